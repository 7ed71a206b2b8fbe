//! Before the work, what is to be undone on demand is carried out, seen, undone and seen to be gone.

use super::{End, REHEARSAL, Run, WORK};
use crate::progress::{Event, Phase};
use crate::report::Outcome;
use crate::run::history::History;
use crate::run::{RunFailure, place};
use hv_core::saga::{self, SagaCommand, SagaState};
use hv_core::types::SagaId;
use std::sync::Arc;

impl Run {
    /// Carries out and undoes what counts only once it was rehearsed. The work begins where everything was done, seen
    /// and undone; whether each step then counts, the gate says.
    pub(super) async fn rehearse(&self) -> Result<End, RunFailure> {
        let steps = (0u32..).zip(&self.bound.steps);
        let chosen = steps.filter(|(_, step)| self.plan.rehearsed().contains(&step.def.action));
        let chosen: Vec<u32> = chosen.map(|(ordinal, _)| ordinal).collect();
        if chosen.is_empty() {
            return Ok(End::Outcome(Outcome::Completed));
        }
        // It went well where the work has begun; whoever turned back since then turned back the work.
        if self.hv.sagas(&self.session)?.iter().any(|id| id.as_str() == WORK) {
            return Ok(End::Outcome(Outcome::Completed));
        }
        let id = SagaId::new(REHEARSAL).map_err(|_| RunFailure::Unreadable { what: "the name of a saga" })?;
        let (host, first) = if self.hv.sagas(&self.session)?.contains(&id) {
            (self.hv.saga(&self.session, &id), SagaCommand::recover())
        } else if self.interrupts.cancelled() {
            return Ok(End::Outcome(Outcome::RolledBack));
        } else {
            let defs: Vec<_> = self.bound.steps.iter().map(|step| Arc::new(step.def.clone())).collect();
            let concurrency = self.concurrency(&defs, self.plan.limits().parallel)?;
            let (seed, limits) =
                (u64::from_le_bytes(place::random()?), self.limits(Phase::Rehearsal, concurrency));
            let plan = saga::Plan { seed, limits, ..saga::Plan::new(defs) };
            let host = self.hv.create_rehearsal(&self.session, &id, plan, &chosen).await?;
            (host, SagaCommand::advance())
        };
        let mut state = host.state()?;
        if !state.is_terminal() {
            state = self.driven(Phase::Rehearsal, &host, first).await?;
        }
        if !state.is_terminal() && !self.interrupts.are_final() {
            state = self.driven_on(Phase::Rehearsal, &host, SagaCommand::Cancel).await?;
        }
        if !state.is_terminal() {
            return Ok(End::Abandoned);
        }
        let history = History::read(&**self.hv.log(), Some(&self.session))?;
        let went_well = history.is_some_and(|history| history.rehearsed_well());
        Ok(End::Outcome(match state {
            SagaState::Escalated => Outcome::Escalated,
            _ if went_well && !self.interrupts.cancelled() => Outcome::Completed,
            _ => {
                let text =
                    "what is to be undone on demand was not seen to be; nothing of the work was begun".into();
                self.tell(&Event::Notice { text });
                Outcome::RolledBack
            }
        }))
    }
}
