//! How fast a run may go: the rates that its file sets, and how many steps its agents may run at once.

use super::{Run, RunFailure};
use crate::plan::Plan;
use hv_core::audit::FileLog;
use hv_core::saga::StepDef;
use hv_core::{Error, Guards, Hypervisor, SystemClock};
use std::sync::Arc;

/// The node on its log, under the rates of the file where it sets some.
pub(super) fn open(log: Arc<FileLog>, plan: &Plan) -> Result<Hypervisor, Error> {
    let clock = Arc::new(SystemClock);
    match plan.rates() {
        Some(limits) => Hypervisor::open_guarded(log, clock, Guards { limits: *limits, ..Guards::default() }),
        None => Hypervisor::open(log, clock),
    }
}

impl Run {
    /// As many attempts at once as the file allows and the agents may use.
    pub(super) fn concurrency(&self, defs: &[Arc<StepDef>], parallel: u32) -> Result<u32, RunFailure> {
        let limits = self.hv.guards().limits;
        let mut most = parallel;
        for def in defs {
            let (_, ring) = self.hv.standing(&self.session, &def.agent)?;
            most = most.min(*limits.tools.get(ring));
        }
        Ok(most.max(1))
    }
}
