//! Telling what went wrong to somebody who may know better.

use super::call::Caller;
use crate::error::Error;
use crate::hypervisor::Hypervisor;
use hv_integrations::correction::{CorrectionFault, FailureReport, Heard, SelfCorrection};
use hv_types::SessionId;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Somebody who hears of failures.
pub(crate) struct CorrectionPort {
    pub(crate) name: String,
    corrector: Arc<dyn SelfCorrection>,
    deadline: Duration,
    caller: Caller,
}

impl fmt::Debug for CorrectionPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CorrectionPort").field("name", &self.name).finish_non_exhaustive()
    }
}

impl CorrectionPort {
    pub(super) fn new<S: SelfCorrection + 'static>(name: &str, corrector: S, deadline: Duration) -> Self {
        let corrector = Arc::new(corrector);
        Self { name: name.to_owned(), corrector, deadline, caller: Caller::default() }
    }
}

/// What came of telling a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Correction {
    /// Nobody hears of failures in this session.
    Off,
    /// It was not heard.
    Untold {
        /// Why not.
        why: String,
    },
    /// It was heard. What is proposed is a proposal; nothing follows from it.
    Heard(Heard),
}

impl Hypervisor {
    /// Tells what went wrong in a session. It decides nothing, so nothing is recorded of it; keep what is proposed with
    /// [`note`](Self::note).
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub async fn tell_failure(
        &self,
        session: &SessionId,
        report: FailureReport,
    ) -> Result<Correction, Error> {
        let on = self.node().read(|state, _| {
            state.slot(session).is_some_and(|slot| slot.adapted.on().correction.is_some())
        })?;
        if !on {
            return Ok(Correction::Off);
        }
        let Some(port) = self.node().ports().correction() else {
            return Ok(Correction::Untold { why: "nobody who hears of failures is connected".to_owned() });
        };
        let corrector = Arc::clone(&port.corrector);
        let untold = |why: String| Correction::Untold { why: format!("{}: {why}", port.name) };
        Ok(match port.caller.call(port.deadline, move || corrector.hear(&report)).await {
            Ok(Ok(heard)) => Correction::Heard(heard),
            Ok(Err(CorrectionFault(why))) => untold(why),
            Err(none) => untold(none.to_string()),
        })
    }
}
