//! What a saga waits for: until when what was begun may go on, and what becomes due by itself.

use super::Saga;
use super::decide::cannot_tell;
use crate::definition::StepDef;
use crate::event::{Micros, StepRun};
use crate::state::{SagaState, StepState};
use crate::{Failure, Purpose, Reason, Timestamp};
use core::time::Duration;

impl Saga {
    /// When something becomes due by itself; nothing where the saga waits for reports or commands only.
    /// Costs time in proportion to the number of steps where some of them wait.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        use StepState::{InDoubt, Suspect, Unconfirmed, UndoWaiting, Waiting};
        if self.state.is_terminal() || self.state == SagaState::New {
            return None;
        }
        let over = (self.state == SagaState::Running).then(|| self.time_over()).flatten();
        // Mostly nothing waits while a saga goes forward.
        if self.state == SagaState::Running
            && self.plan.timed() == 0
            && self.tally.sum(&[InDoubt, Suspect, Unconfirmed, UndoWaiting, Waiting]) == 0
        {
            return over.map(|at| at.since(self.created));
        }
        // With every place taken, the next report starts what is due.
        let room = self.tally.running() < self.limits.concurrency;
        let started = if room { self.tally.sum(&[Suspect, Unconfirmed, UndoWaiting, Waiting]) } else { 0 };
        let waits = started + self.tally.of(InDoubt) > 0;
        let slots = if waits { self.slots.as_slice() } else { [].as_slice() };
        let due = slots.iter().zip(&self.plan).filter_map(|(slot, def)| self.due(def, slot.run, room)).min();
        let undo = if room { self.undo_due() } else { None };
        [due, undo, over, self.first_late()].into_iter().flatten().min().map(|at| at.since(self.created))
    }

    /// When something is done about a step that waits. Only what starts an attempt needs room.
    fn due(&self, def: &StepDef, run: StepRun, room: bool) -> Option<Micros> {
        use StepState::{InDoubt, Suspect, Unconfirmed, UndoWaiting, Waiting};
        let starts = match run.state {
            Suspect | Unconfirmed | UndoWaiting => true,
            Waiting => !self.paused,
            InDoubt if is_askable(def, run) => true,
            InDoubt if self.is_repeatable(def, run) => !self.paused,
            InDoubt => return Some(settled(def, run)),
            _ => false,
        };
        (starts && room).then_some(run.not_before)
    }

    /// When the next step may be undone, where it waits for what it began.
    fn undo_due(&self) -> Option<Micros> {
        if self.state != SagaState::Compensating
            || self.tally.of(StepState::Assumed) == 0
            || self.tally.unsettled() > 0
        {
            return None;
        }
        let step = self.next_undo().filter(|step| !self.is_undo_held(*step))?;
        unsettled_until(*self.run(step)?)
    }

    /// When the first of the steps that wait for their turn has waited for too long.
    fn first_late(&self) -> Option<Micros> {
        let timed = self.state == SagaState::Running && self.plan.timed() > 0;
        (0..if timed { self.size() } else { 0 }).filter_map(|step| self.late_from(step)).min()
    }

    /// When a step that waits for its turn, or to be tried again, has waited for too long.
    pub(super) fn late_from(&self, step: u32) -> Option<Micros> {
        let (def, run) = self.step(step)?;
        match run.state {
            StepState::Pending if self.is_ready(step) => {
                def.start_within.map(|within| after(self.ready_since(def), within))
            }
            StepState::Waiting => out_of_time(def, *run),
            _ => None,
        }
    }

    /// Whether a step that waits has waited for too long.
    pub(super) fn is_late(&self, step: u32, at: Micros) -> bool {
        // Mostly no step has such a limit.
        self.plan.timed() > 0 && self.late_from(step).is_some_and(|late| late <= at)
    }

    /// When as many of the steps had committed that a step waits for as it needs.
    fn ready_since(&self, def: &StepDef) -> Micros {
        let Some(last) = def.needs().checked_sub(1) else { return Micros(0) };
        let committed = |after: &u32| self.run(*after).filter(|run| run.state == StepState::Committed);
        let mut times: Vec<Micros> = def.after.iter().filter_map(committed).map(|run| run.moved).collect();
        times.sort_unstable();
        times.get(last).copied().unwrap_or_default()
    }

    /// Whether a step in doubt is to be run again: that does no harm, and there are attempts and time left.
    pub(super) fn is_repeatable(&self, def: &StepDef, run: StepRun) -> bool {
        let harmless = !def.has_effect() || def.idempotent.covers(Purpose::Execute);
        // A step that may be repeated in doubt is, at least once, even where no failure is.
        let allowed = 1u32.saturating_add(def.retry.max.max(1)).saturating_add(run.crashes);
        self.state == SagaState::Running
            && harmless
            && run.executes < allowed
            && out_of_time(def, run).is_none_or(|over| run.not_before < over)
            && self.has_budget()
    }

    /// Whether the saga has a repetition left that no step waits for already.
    pub(super) fn has_budget(&self) -> bool {
        let taken = self.retries.saturating_add(self.tally.of(StepState::Waiting));
        taken < self.limits.retries
    }
}

/// From when on a step that was begun is not tried again; nothing where it has no such limit.
pub(super) fn out_of_time(def: &StepDef, run: StepRun) -> Option<Micros> {
    def.within.map(|within| after(run.began, within))
}

/// So much later.
pub(super) fn after(at: Micros, wait: Duration) -> Micros {
    Micros(at.0.saturating_add(Micros::of(wait).0))
}

/// Whether a step in doubt has a probe that is still to be asked.
pub(super) fn is_askable(def: &StepDef, run: StepRun) -> bool {
    def.probe.is_some() && def.has_effect() && may_ask(def, run, &cannot_tell())
}

/// Whether a probe without an answer is asked again. The crash that the failure tells of costs nothing.
pub(super) fn may_ask(def: &StepDef, run: StepRun, failure: &Failure) -> bool {
    let crashed = u32::from(failure.reason == Reason::Crashed && run.is_asked_for_nothing());
    run.asked <= def.undo_retry.max.saturating_add(run.crashes).saturating_add(crashed)
}

/// Until when what attempts at a step have begun may go on, where no probe was asked after that. It counts from the
/// doubt; of one that was followed by another attempt it is known that it came before that started.
pub(super) fn settled(def: &StepDef, run: StepRun) -> Micros {
    let within = def.settles_within();
    match run.state {
        // What ends with its attempt is waited for by no clock, also where that has gone back.
        _ if within.is_zero() || !def.has_effect() || def.probe.is_some() => Micros(0),
        // What may be repeated does not wait for that long.
        StepState::InDoubt if def.idempotent.covers(Purpose::Execute) => after(run.moved, within),
        StepState::InDoubt => run.not_before,
        StepState::Executing | StepState::Waiting if run.doubtful => after(run.started, within),
        _ => Micros(0),
    }
}

/// Until when a step is not undone that is treated as done; nothing where that was settled before.
pub(super) fn unsettled_until(run: StepRun) -> Option<Micros> {
    (run.state == StepState::Assumed && run.not_before > run.moved).then_some(run.not_before)
}
