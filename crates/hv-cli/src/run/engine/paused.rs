//! Whoever resumes a run resumes what was paused in it.

use super::Run;
use crate::progress::Phase;
use crate::run::RunFailure;
use hv_core::SagaHost;
use hv_core::saga::{SagaCommand, SagaState};

impl Run {
    /// Goes on with a saga that the driver has left because it is paused, as it was when the run was interrupted. A
    /// driver that is asked to pause itself waits instead.
    pub(super) async fn unpaused(
        &self,
        phase: Phase,
        host: &SagaHost,
        state: SagaState,
    ) -> Result<SagaState, RunFailure> {
        if state.is_terminal() || self.interrupts.are_final() {
            return Ok(state);
        }
        let machine = self.hv.saga_machine(&self.session, host.saga())?;
        if !machine.is_some_and(|machine| machine.is_paused()) {
            return Ok(state);
        }
        self.driven(phase, host, SagaCommand::Resume { refused: Vec::new() }).await
    }
}
