//! The folder of a node, taken for one command and left whole.

use super::args::{At, Place};
use super::failure::LiveFailure;
use crate::run::place;
use hv_core::audit::{FileLog, Log};
use hv_core::config::Config;
use hv_core::types::{ActionId, SessionId};
use hv_core::{Hypervisor, OpenTrail, SystemClock};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The name under which a session keeps what every command on it has to know.
const NOTE: &str = "hv.live";

/// A node whose folder nobody else uses meanwhile.
pub(crate) struct Folder {
    pub(crate) hv: Hypervisor,
    pub(crate) data: PathBuf,
    file: Arc<FileLog>,
}

/// What every command on a session has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Live {
    version: u32,
    /// By which programs of the session are known.
    pub(crate) token: String,
    /// Actions whose undo counts without proof.
    pub(crate) unproven: Vec<ActionId>,
}

impl Folder {
    /// Waits for the folder as long as it is told to.
    pub(crate) fn open(place: &Place) -> Result<Self, LiveFailure> {
        Self::open_under(&place.config.read()?, &place.data, place.wait)
    }

    /// The same, under what was read already.
    pub(crate) fn open_under(config: &Config, data: &Path, wait: Duration) -> Result<Self, LiveFailure> {
        let data = place::absolute(data)?;
        let trail = place::open(&data, wait)?;
        Self::on(trail, config, data)
    }

    fn on(trail: OpenTrail<FileLog>, config: &Config, data: PathBuf) -> Result<Self, LiveFailure> {
        let file = Arc::clone(trail.log());
        Ok(Self { hv: Hypervisor::open_configured(trail, Arc::new(SystemClock), config)?, data, file })
    }

    /// The same, in a new folder where there is none, under what was read already.
    pub(crate) fn open_or_create(config: &Config, place: &Place) -> Result<Self, LiveFailure> {
        let data = place::absolute(&place.data)?;
        let trail = place::open_or_create(&data, place.wait)?;
        Self::on(trail, config, data)
    }

    /// The session that is meant.
    pub(crate) fn session(&self, at: &At) -> Result<SessionId, LiveFailure> {
        let open = self.hv.open_sessions()?;
        let data = || self.data.clone();
        match (&at.session, open.as_slice()) {
            (Some(named), _) if open.contains(named) => Ok(named.clone()),
            (Some(named), _) => Err(LiveFailure::NotOpen { session: named.clone(), data: data() }),
            (None, [only]) => Ok(only.clone()),
            (None, []) => Err(LiveFailure::NothingOpen { data: data() }),
            (None, _) => Err(LiveFailure::WhichSession { data: data(), open }),
        }
    }

    /// What commands on a session have to know.
    pub(crate) fn live(&self, session: &SessionId) -> Result<Live, LiveFailure> {
        let note = self.hv.noted(session, NOTE)?;
        let note = note.ok_or_else(|| LiveFailure::NotLive { session: session.clone() })?;
        serde_json::from_slice(&note).map_err(|_| LiveFailure::NotLive { session: session.clone() })
    }

    /// Keeps what commands on a session have to know.
    pub(crate) async fn keep(&self, session: &SessionId, live: &Live) -> Result<(), LiveFailure> {
        let note = serde_json::to_vec(live).map_err(|_| LiveFailure::NotLive { session: session.clone() })?;
        Ok(self.hv.note(session, NOTE, note).await?)
    }

    pub(crate) fn log(&self) -> &dyn Log {
        &**self.hv.log()
    }

    /// Leaves the folder, whatever came of a command, with every byte of it covered. Where the command says only that
    /// something failed before, it is told what that was.
    pub(crate) async fn leave<T>(self, came: Result<T, impl Into<LiveFailure>>) -> Result<T, LiveFailure> {
        let left = self.hv.seal().await.map_err(LiveFailure::from);
        let came = came.map_err(Into::into).and_then(|came| left.map(|()| came));
        came.map_err(|failure| match failure {
            LiveFailure::Run(failure) => LiveFailure::Run(failure.behind(self.file.failure())),
            failure => failure,
        })
    }
}

impl Live {
    pub(crate) fn new() -> Result<Self, LiveFailure> {
        Ok(Self { version: 1, token: place::token::<16>()?, unproven: Vec::new() })
    }
}
