//! A saga as few events, and back.

use super::Saga;
use super::table::Tally;
use crate::event::{Cause, SagaEvent, StepRun};
use crate::state::{SagaState, StepState};
use hv_types::Illegal;

impl Saga {
    /// Events that lead to this state at once.
    pub(super) fn snapshot(&self) -> Vec<SagaEvent> {
        if self.state == SagaState::New {
            return Vec::new();
        }
        let Self { seed, limits, pace, created, .. } = *self;
        let created = SagaEvent::Created { seed, limits, pace, at: created };
        let appended = SagaEvent::Appended { steps: self.plan.clone(), growth: self.growth };
        let restored = SagaEvent::Restored {
            state: self.state,
            cause: self.cause,
            retries: self.retries,
            order: self.commit_order().collect(),
            undone: self.undone,
            paused: self.paused,
            steps: self.runs().copied().collect(),
        };
        vec![created, appended, restored]
    }

    /// Takes over a state, as far as it can be one.
    pub(super) fn restore(
        &mut self,
        state: SagaState,
        cause: Option<Cause>,
        order: &[u32],
        undone: u32,
        runs: &[StepRun],
    ) -> Result<(), Illegal> {
        let unfit = Illegal::new("a snapshot fits its steps");
        let fresh = self.runs().all(|run| *run == StepRun::default());
        let back = matches!(state, SagaState::Compensating | SagaState::Compensated | SagaState::Escalated);
        let named = state != SagaState::New && cause.is_some() == back;
        if !fresh || !named || runs.len() != self.slots.len() || undone as usize > order.len() {
            return Err(unfit);
        }
        let mut listed = vec![false; runs.len()];
        for &step in order {
            let slot = listed.get_mut(step as usize).ok_or(unfit)?;
            if core::mem::replace(slot, true) {
                return Err(unfit);
            }
        }
        let mut tally = Tally::default();
        for ((run, def), listed) in runs.iter().zip(&self.plan).zip(listed) {
            // A step stands in the order exactly where it has, or had, a possible effect.
            let done = run.state >= StepState::Committed;
            let nothing = matches!(run.state, StepState::Failed | StepState::Denied);
            if (def.has_effect() && done && !nothing) != listed {
                return Err(unfit);
            }
            tally.add(run.state, 1);
        }
        for (slot, run) in self.slots.iter_mut().zip(runs) {
            slot.run = *run;
        }
        for (slot, step) in self.slots.iter_mut().zip(order) {
            slot.order = *step;
        }
        // While it matters, every step that has committed is still committed.
        self.ready = 0;
        for (slot, def) in self.slots.iter_mut().zip(&self.plan) {
            let committed = |&&after: &&u32| {
                runs.get(after as usize).is_some_and(|run| run.state == StepState::Committed)
            };
            slot.met = u32::try_from(def.after.iter().filter(committed).count()).unwrap_or(u32::MAX);
            let ready = slot.run.state == StepState::Pending && slot.met as usize >= def.needs();
            self.ready += u32::from(ready);
        }
        self.committed = u32::try_from(order.len()).unwrap_or(u32::MAX);
        (self.state, self.cause, self.undone, self.tally) = (state, cause, undone, tally);
        self.advance_frontier();
        Ok(())
    }
}
