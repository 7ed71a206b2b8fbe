//! How fast a run may go: the rates that its file sets, and how many steps its agents may run at once.

use super::{Run, RunFailure};
use crate::plan::Plan;
use hv_core::audit::FileLog;
use hv_core::config::Config;
use hv_core::saga::StepDef;
use hv_core::{Error, Guards, Hypervisor, OpenTrail, SystemClock};
use std::sync::Arc;

/// The node on its trail, under what is said of its limits, and under the rates of the session file where it sets some.
pub(super) fn open(trail: OpenTrail<FileLog>, config: &Config, plan: &Plan) -> Result<Hypervisor, Error> {
    Hypervisor::open_with(trail, Arc::new(SystemClock), |kept| {
        let guards = config.over(kept).map_err(|bad| Error::Setting(Box::new(bad)))?;
        Ok(Guards { limits: plan.rates().copied().unwrap_or(guards.limits), ..guards })
    })
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
