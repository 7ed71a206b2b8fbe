//! What a run was started with, as its trail keeps it, and what carries out its undo when it is over.

use super::discreet::Discreet;
use super::{RunFailure, place};
use crate::plan::{Bound, Format, Plan, Source};
use hv_core::Grant;
use hv_core::audit::disk::RealDisk;
use hv_core::audit::open_payload;
use hv_core::saga::drive::Control;
use hv_core::saga::exec::{CommandExecutor, HttpExecutor, Router};
use hv_core::types::Digest;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// The name under which a session keeps what it was started with.
pub(crate) const NOTE: &str = "hv.run";

/// The name under which a session keeps that its run was told to undo, where that may show in none of its sagas yet.
pub(super) const TURNED: &str = "hv.turned";

/// What a run was started with: enough to go on with it, and no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(super) version: u32,
    pub(super) name: String,
    pub(super) folder: String,
    pub(super) format: String,
    pub(super) text: String,
    pub(crate) work: String,
    /// By which programs of this run are known.
    pub(crate) token: String,
}

impl Begun {
    /// The session file.
    pub(crate) fn source(&self) -> Result<Source, String> {
        let format = match self.format.as_str() {
            "TOML" => Format::Toml,
            "JSON" => Format::Json,
            other => return Err(format!("this version reads no session files in {other}")),
        };
        Ok(Source::new(&self.name, &self.folder, format, &self.text))
    }
}

/// What a run was started with, read from its trail without the writer's lock.
pub(crate) fn begun(data: &Path, note: &Digest) -> Result<Begun, String> {
    let read = open_payload(&RealDisk, data, note).map_err(|error| error.to_string())?;
    let read = read.ok_or("what its session was started with was purged")?;
    serde_json::from_slice(&read.content)
        .map_err(|_| "what its session was started with cannot be read by this version".to_owned())
}

/// What carries out the undo of a step of a run that is over, as long as `control` asks nobody to stop.
pub(crate) fn undoing(
    plan: &Plan,
    bound: &Bound,
    begun: &Begun,
    control: &Control,
) -> Result<Discreet<Router<Grant>>, RunFailure> {
    let keep = usize::try_from(plan.limits().output_bytes).unwrap_or(usize::MAX);
    let command = CommandExecutor::new(&begun.token)
        .with_output_bytes(keep)
        .with_pinned(Arc::new(place::is_pinned))
        .with_stopping(control.stopping());
    let http = HttpExecutor::new().with_output_bytes(keep).with_stopping(control.stopping());
    let http = based(http, plan)?;
    Ok(Discreet::new(Router::new().with_command(command).with_http(http), bound))
}

/// With the base URL that the file gives.
pub(super) fn based(http: HttpExecutor, plan: &Plan) -> Result<HttpExecutor, RunFailure> {
    match &plan.session().base_url {
        Some(base) => http.with_base(base).map_err(|_| RunFailure::Unreadable { what: "the base URL" }),
        None => Ok(http),
    }
}
