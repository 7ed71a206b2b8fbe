//! Commands that add to a trail: they take the writer's lock, and end the trail again behind what they add.

use super::{Failure, NoTrail};
use crate::config::args::ConfigArgs;
use crate::output::enough;
use hv_core::audit::{FileOptions, LogError};
use hv_core::{Clock, Error, Hypervisor, OpenTrail, SystemClock, entropy};
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A trail that is open for writing.
pub(super) struct Writer {
    hv: Hypervisor,
    runtime: tokio::runtime::Runtime,
}

impl Writer {
    /// Opens a trail. With `again`, what was purged and is there again is destroyed once more.
    pub(super) fn open(data: &Path, again: bool) -> Result<Self, Failure> {
        let config = ConfigArgs::default().read().map_err(|bad| Failure::BadInput(bad.to_string()))?;
        let options = FileOptions::new(entropy()?);
        let options = if again { options.destroying_again() } else { options };
        let trail = OpenTrail::open(data, SystemClock.now(), options)?;
        let hv = Hypervisor::open_configured(trail, Arc::new(SystemClock), &config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Hv(format!("the runtime does not start: {error}")))?;
        Ok(Self { hv, runtime })
    }

    /// Does something, and ends the trail again whatever came of it.
    pub(super) fn run<T, F>(self, work: impl FnOnce(Hypervisor) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let Self { hv, runtime } = self;
        runtime.block_on(async {
            let done = work(hv.clone()).await;
            let sealed = hv.seal().await;
            let done = done?;
            sealed?;
            Ok(done)
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(denied) => {
                let why = denied.to_string();
                let enough = enough(&why, &denied.reason.needs());
                Self::Denied(why + &enough)
            }
            Error::Log(error) => error.into(),
            error => Self::Hv(error.to_string()),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Damaged(finding) => Self::Tampered(finding.to_string()),
            LogError::Version { .. } => {
                NoTrail::Unreadable(io::Error::new(io::ErrorKind::Unsupported, error)).into()
            }
            error => Self::Hv(error.to_string()),
        }
    }
}
