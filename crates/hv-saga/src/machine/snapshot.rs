//! A saga as few events, and back.

use super::Saga;
use super::table::Tally;
use crate::event::{Cause, SagaEvent, StepRun};
use crate::state::{SagaState, StepState};
use hv_types::wire::{Reader, take_list};
use hv_types::{Illegal, Machine, Undecodable, Wire};

/// Room for what is read of one saga and is over when it stands, used again for the next one.
#[derive(Debug, Default)]
pub struct Room {
    order: Vec<u32>,
    runs: Vec<StepRun>,
    listed: Vec<bool>,
}

/// Where a saga stands, as a snapshot says it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stands<'a> {
    pub(super) state: SagaState,
    pub(super) cause: Option<Cause>,
    pub(super) retries: u32,
    pub(super) order: &'a [u32],
    pub(super) undone: u32,
    pub(super) paused: bool,
    pub(super) runs: &'a [StepRun],
}

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

    /// Reads one event and applies it. That is the same as [`apply`](Machine::apply) with what [`SagaEvent`] is read as,
    /// and takes no memory of its own for what snapshots hold.
    ///
    /// # Errors
    /// Those of reading the event; [`Undecodable`], too, where it cannot be applied.
    pub fn take_up(&mut self, reader: &mut Reader<'_>, room: &mut Room) -> Result<(), Undecodable> {
        if reader.rest().first() != Some(&SagaEvent::RESTORED) {
            let event = SagaEvent::take(reader)?;
            return self.apply(&event).map_err(|_| reader.invalid("Saga"));
        }
        reader.byte()?;
        let Room { order, runs, listed } = room;
        order.clear();
        runs.clear();
        let (state, cause, retries) = (Wire::take(reader)?, Wire::take(reader)?, Wire::take(reader)?);
        take_list(reader, order)?;
        let (undone, paused) = (Wire::take(reader)?, Wire::take(reader)?);
        take_list(reader, runs)?;
        let stands = Stands { state, cause, retries, order, undone, paused, runs };
        self.restore(&stands, listed).map_err(|_| reader.invalid("Saga"))
    }

    /// Takes over a state, as far as it can be one.
    pub(super) fn restore(&mut self, stands: &Stands<'_>, listed: &mut Vec<bool>) -> Result<(), Illegal> {
        let Stands { state, cause, retries, order, undone, paused, runs } = *stands;
        // INVARIANT (S3): what has ended stays ended.
        if self.state.is_terminal() {
            return Err(Illegal::new("a saga that has ended changes no more"));
        }
        if self.state == SagaState::New {
            return Err(Illegal::new("a saga is created first"));
        }
        if paused && state != SagaState::Running {
            return Err(Illegal::new("only a running saga is paused"));
        }
        let unfit = Illegal::new("a snapshot fits its steps");
        let fresh = self.runs().all(|run| *run == StepRun::default());
        let back = matches!(state, SagaState::Compensating | SagaState::Compensated | SagaState::Escalated);
        let named = state != SagaState::New && cause.is_some() == back;
        if !fresh || !named || runs.len() != self.slots.len() || undone as usize > order.len() {
            return Err(unfit);
        }
        listed.clear();
        listed.resize(runs.len(), false);
        for &step in order {
            let slot = listed.get_mut(step as usize).ok_or(unfit)?;
            if core::mem::replace(slot, true) {
                return Err(unfit);
            }
        }
        let mut tally = Tally::default();
        for ((run, def), listed) in runs.iter().zip(&self.plan).zip(&*listed) {
            // A step stands in the order exactly where it has, or had, a possible effect.
            let done = run.state >= StepState::Committed;
            let nothing = matches!(run.state, StepState::Failed | StepState::Denied);
            if (def.has_effect() && done && !nothing) != *listed {
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
        (self.retries, self.paused) = (retries, paused);
        self.advance_frontier();
        Ok(())
    }
}
