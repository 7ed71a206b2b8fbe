//! What changes a saga: the only place where its state moves, and every rule that a record must keep.

use super::due::settled;
use super::{Saga, is_lost};
use crate::definition::{Growth, check_steps};
use crate::event::{Cause, Micros, Move, SagaEvent};
use crate::state::{SagaSignal, SagaState, StepSignal, StepState};
use crate::steps::Steps;
use crate::{Purpose, Reason, limits};
use hv_types::Illegal;

impl Saga {
    pub(super) fn apply_event(&mut self, event: &SagaEvent) -> Result<(), Illegal> {
        // INVARIANT (S3): what has ended stays ended.
        if self.state.is_terminal() {
            return Err(Illegal::new("a saga that has ended changes no more"));
        }
        let live = self.state != SagaState::New;
        match event {
            SagaEvent::Created { seed, limits, pace, at } => {
                let signal = SagaSignal::Created;
                let next = self.state.transition(signal).ok_or(Illegal::new("a saga is created once"))?;
                limits.check().map_err(|_| Illegal::new("a saga keeps to the limits"))?;
                (self.seed, self.limits, self.pace, self.created) = (*seed, *limits, *pace, *at);
                (self.state, self.growth) = (next, Growth::Open);
                Ok(())
            }
            _ if !live => Err(Illegal::new("a saga is created first")),
            SagaEvent::Appended { steps, growth } => {
                if self.growth == Growth::Sealed || self.state != SagaState::Running {
                    return Err(Illegal::new("steps are added to a running saga that is not sealed"));
                }
                let first = self.plan.is_empty();
                if !(if first { steps.are_legal() } else { check_steps(&self.plan, steps).is_ok() }) {
                    return Err(Illegal::new("a saga keeps to the limits"));
                }
                self.append(steps, *growth);
                Ok(())
            }
            SagaEvent::Sealed {} if self.growth == Growth::Sealed => {
                Err(Illegal::new("a saga is sealed once"))
            }
            SagaEvent::Sealed {} => {
                self.growth = Growth::Sealed;
                Ok(())
            }
            SagaEvent::Started { step, purpose, number, at } => {
                self.apply_start(*step, *purpose, *number, *at)
            }
            SagaEvent::Moved { step, to, at } => self.apply_move(*step, to, *at),
            SagaEvent::Turned { cause, .. } => self.turn(*cause),
            SagaEvent::Finished { state, .. } => self.apply_finish(*state),
            SagaEvent::Restored { state, cause, retries, order, undone, paused, steps } => {
                if *paused && *state != SagaState::Running {
                    return Err(Illegal::new("only a running saga is paused"));
                }
                self.restore(*state, *cause, order, *undone, steps)?;
                (self.retries, self.paused) = (*retries, *paused);
                Ok(())
            }
            SagaEvent::Paused { .. } => self.hold(true),
            SagaEvent::Resumed { .. } => self.hold(false),
            SagaEvent::HandedOver { step, .. } => self.hand_over(*step),
            SagaEvent::Expiring { step, by, .. } => self.warn(*step, *by),
        }
    }

    /// Adds steps that were checked.
    pub(super) fn append(&mut self, steps: &Steps, growth: Growth) {
        let before = self.slots.len();
        if before == 0 && self.slots.capacity() < steps.len() {
            self.slots = Vec::with_capacity(steps.len());
        }
        self.slots.reserve_exact(steps.len());
        self.slots.resize(before + steps.len(), super::Slot::default());
        self.plan.append(steps);
        if before == 0 {
            self.ready = steps.free();
        } else {
            for (at, def) in (before..).zip(steps) {
                let committed =
                    |after: &&u32| self.run(**after).is_some_and(|run| run.state == StepState::Committed);
                let met = def.after.iter().filter(committed).count();
                if let Some(slot) = self.slots.get_mut(at) {
                    slot.met = u32::try_from(met).unwrap_or(u32::MAX);
                }
                self.ready += u32::from(met >= def.needs());
            }
        }
        self.tally.add(StepState::Pending, u32::try_from(steps.len()).unwrap_or(u32::MAX));
        self.growth = growth;
    }

    /// The state that a step would have after the signal, in this saga as it stands.
    fn after_signal(&self, step: u32, signal: StepSignal, at: Micros) -> Result<StepState, Illegal> {
        use StepState::{Assumed, Committed, Executing, InDoubt, Pending, Undoing, Waiting};
        let (def, run) = self.step(step).ok_or(Illegal::new("a step that moves exists"))?;
        let next = run.state.transition(signal).ok_or(Illegal::new("a step moves along its transitions"))?;
        let forward = self.state == SagaState::Running;
        let (rule, holds) = match signal {
            StepSignal::ExecuteStarted => (
                "a step starts while its saga runs, in its time, after what it waits for, and again in doubt only if \
                 it may",
                forward
                    && !self.paused
                    && !self.is_late(step, at)
                    && (run.state != Pending || self.is_ready(step))
                    && (run.state != InDoubt || !def.has_effect() || def.idempotent.covers(Purpose::Execute)),
            ),
            StepSignal::UndoStarted => (
                "undo starts in the reverse order of commit, after everything that depends on it",
                self.state == SagaState::Compensating
                    && self.tally.unsettled() == 0
                    && (run.state == StepState::UndoWaiting
                        || (self.next_undo() == Some(step) && !self.is_undo_blocked(step))),
            ),
            StepSignal::Retry => ("a step is tried while its saga runs", forward),
            StepSignal::Denied => (
                "a step is denied when it would start, and only if it left nothing behind",
                forward
                    && !self.paused
                    && !(run.doubtful && def.has_effect())
                    && (run.state != Pending || self.is_ready(step)),
            ),
            // INVARIANT (S1): an earlier attempt in doubt is not forgotten because a later one failed.
            StepSignal::Failed if matches!(run.state, Executing | Waiting) => (
                "a step fails only if it left nothing behind, and is given up only when its saga turns back or its \
                 time is over",
                !(run.doubtful && def.has_effect())
                    && (!forward || run.state != Waiting || self.is_late(step, at)),
            ),
            StepSignal::Failed if run.state == Pending => (
                "a step that was not begun fails only if its time is over",
                forward && self.is_late(step, at),
            ),
            StepSignal::Failed if run.state == InDoubt => {
                ("a step in doubt fails only if it has no effect", !def.has_effect())
            }
            StepSignal::Suspect | StepSignal::Unconfirmed => {
                ("what has an effect and a probe is asked", def.probe.is_some() && def.has_effect())
            }
            StepSignal::Assumed => (
                "a step is treated as done only where it may have left something behind",
                def.has_effect() && (run.doubtful || !matches!(run.state, Executing | Waiting)),
            ),
            // INVARIANT (S1): nothing is called undone that a probe has not confirmed.
            StepSignal::Undone if run.state == Undoing => {
                ("an undo with a probe is confirmed", def.probe.is_none())
            }
            StepSignal::UndoFailed if matches!(run.state, Committed | Assumed) => (
                "undo starts in the reverse order of commit, after everything that depends on it",
                self.state == SagaState::Compensating
                    && self.tally.unsettled() == 0
                    && self.next_undo() == Some(step),
            ),
            _ => ("", true),
        };
        if holds { Ok(next) } else { Err(Illegal::new(rule)) }
    }

    /// Moves a step, and keeps what follows from its state.
    fn set(&mut self, step: u32, next: StepState) {
        let Some(slot) = self.slots.get_mut(step as usize) else { return };
        let from = core::mem::replace(&mut slot.run.state, next);
        self.tally.shift(from, next);
        if next == StepState::Committed {
            for dependent in self.plan.dependents(step) {
                let at = dependent as usize;
                let Some((slot, def)) = self.slots.get_mut(at).zip(self.plan.get(at)) else { continue };
                slot.met += 1;
                let last = slot.run.state == StepState::Pending && slot.met as usize == def.needs();
                self.ready += u32::from(last);
            }
        }
        let has_effect = self.plan.get(step as usize).is_some_and(|def| def.has_effect());
        if has_effect && matches!(next, StepState::Committed | StepState::Assumed) {
            // No step commits twice, so there is a slot for each.
            if let Some(slot) = self.slots.get_mut(self.committed as usize) {
                slot.order = step;
                self.committed += 1;
            }
        }
        let taken_up = matches!(next, StepState::Undoing | StepState::CompensationFailed);
        if matches!(from, StepState::Committed | StepState::Assumed) && taken_up {
            self.undone += 1;
        }
        if from == StepState::Pending {
            // Only a step that is ready leaves this state.
            self.ready = self.ready.saturating_sub(1);
            if step == self.frontier {
                self.advance_frontier();
            }
        }
    }

    pub(super) fn advance_frontier(&mut self) {
        let rest = self.slots.get(self.frontier as usize..).unwrap_or_default();
        let passed = rest.iter().take_while(|slot| slot.run.state != StepState::Pending).count();
        self.frontier = self.frontier.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
    }

    fn apply_start(&mut self, step: u32, purpose: Purpose, number: u32, at: Micros) -> Result<(), Illegal> {
        let signal = match purpose {
            Purpose::Execute => StepSignal::ExecuteStarted,
            Purpose::Undo => StepSignal::UndoStarted,
            Purpose::Probe => StepSignal::ProbeStarted,
        };
        let next = self.after_signal(step, signal, at)?;
        let room = self.tally.running() < self.limits.concurrency;
        let (def, run) = self.step(step).ok_or(Illegal::new("a step that moves exists"))?;
        if def.task(purpose).is_none() {
            return Err(Illegal::new("an attempt has a task"));
        }
        if number != run.attempts(purpose).saturating_add(1) {
            return Err(Illegal::new("attempts are numbered without a gap"));
        }
        // What is undone for the first time repeats nothing, also where the clock has gone back since.
        let first = matches!(run.state, StepState::Committed | StepState::Assumed);
        if run.not_before > at && !first {
            return Err(Illegal::new("nothing is repeated before its time"));
        }
        if !room {
            return Err(Illegal::new("no more attempts run at the same time than the limit says"));
        }
        self.set(step, next);
        if let Some(super::Slot { run, .. }) = self.slots.get_mut(step as usize) {
            if run.executes == 0 {
                run.began = at;
            }
            run.started = at;
            run.not_before = Micros(0);
            match purpose {
                Purpose::Execute => {
                    self.retries = self.retries.saturating_add(u32::from(run.executes > 0));
                    (run.executes, run.asked) = (number, 0);
                }
                Purpose::Undo => {
                    // What cut off an execution is nothing that an undo has used up.
                    if run.undos == 0 {
                        run.crashes = 0;
                    }
                    (run.undos, run.asked) = (number, 0);
                }
                Purpose::Probe => (run.probes, run.asked) = (number, run.asked.saturating_add(1)),
            }
        }
        Ok(())
    }

    fn apply_move(&mut self, step: u32, to: &Move, at: Micros) -> Result<(), Illegal> {
        let next = self.after_signal(step, to.signal(), at)?;
        if matches!(to, Move::UndoFailed { .. })
            && let Some((def, run)) = self.step(step)
            && run.state == StepState::UndoWaiting
            && !run.is_too_late(def.undo_window, at)
        {
            return Err(Illegal::new(
                "an undo that is to be tried again is given up only when its window is over",
            ));
        }
        let asking = self.run(step).is_some_and(|run| run.state.purpose() == Some(Purpose::Probe));
        // INVARIANT (S1): what is treated as done is not undone while what its attempts began may still do it.
        let until = match to {
            Move::Assumed { .. } => self.step(step).map_or(Micros(0), |(def, run)| settled(def, *run)),
            _ => Micros(0),
        };
        self.set(step, next);
        let asks = self.plan.get(step as usize).is_some_and(|def| def.probe.is_some());
        if let Some(super::Slot { run, .. }) = self.slots.get_mut(step as usize) {
            // While its undo is tried, its window still counts from the commit.
            if !matches!(to, Move::UndoRetry { .. } | Move::Unconfirmed { .. }) {
                run.moved = at;
            }
            run.not_before = Micros(at.0.saturating_add(to.wait().0)).max(until);
            match to {
                Move::Doubt { .. } => run.doubtful = true,
                // Only a probe can clear a doubt.
                Move::Retry { failure, .. } if failure.reason == Reason::Absent => run.doubtful = false,
                // Where there is a probe, it tells what an attempt left that began and failed.
                Move::Retry { failure, .. } if asks && !failure.reason.began_nothing() => run.doubtful = true,
                _ => {}
            }
            let crashed = to.failure().is_some_and(|failure| failure.reason == Reason::Crashed);
            if crashed && asking {
                // It is asked once more for it; nothing is executed once more because a question was cut off.
                run.asked -= u32::from(run.is_asked_for_nothing());
            } else if crashed && run.crashes < limits::CRASHES {
                run.crashes += 1;
            }
        }
        Ok(())
    }

    fn apply_finish(&mut self, state: SagaState) -> Result<(), Illegal> {
        let signal = match state {
            SagaState::Completed => SagaSignal::Completed,
            SagaState::Compensated => SagaSignal::Compensated,
            SagaState::Escalated => SagaSignal::Escalated,
            _ => return Err(Illegal::new("a saga ends in a terminal state")),
        };
        let next = self.state.transition(signal).ok_or(Illegal::new("a saga moves along its transitions"))?;
        let failed = self.tally.of(StepState::CompensationFailed) > 0;
        // INVARIANT (S1): the end says what became of every step with a possible effect.
        let holds = match next {
            SagaState::Completed => {
                self.growth == Growth::Sealed && self.all_settled() && self.fatal().is_none()
            }
            _ => self.is_undone() && failed == (next == SagaState::Escalated),
        };
        if !holds {
            return Err(Illegal::new("a saga ends when its steps are where its end says"));
        }
        self.state = next;
        self.paused = false;
        Ok(())
    }

    fn turn(&mut self, cause: Cause) -> Result<(), Illegal> {
        let signal = SagaSignal::Turned;
        let next = self.state.transition(signal).ok_or(Illegal::new("a saga moves along its transitions"))?;
        let known = match cause {
            Cause::Failed { step } | Cause::Denied { step } | Cause::InDoubt { step } => {
                self.step(step).is_some_and(|(_, run)| is_lost(run.state))
            }
            Cause::Cancelled {} | Cause::Unfinished {} | Cause::OutOfTime {} => true,
        };
        if !known {
            return Err(Illegal::new("a saga turns back for a step that is lost"));
        }
        self.state = next;
        self.cause = Some(cause);
        self.paused = false;
        Ok(())
    }

    fn hold(&mut self, paused: bool) -> Result<(), Illegal> {
        if self.state != SagaState::Running || self.paused == paused {
            return Err(Illegal::new("a running saga is paused once, and resumed once"));
        }
        self.paused = paused;
        Ok(())
    }

    fn hand_over(&mut self, step: u32) -> Result<(), Illegal> {
        if self.state != SagaState::Running || !self.may_be_handed_over(step) {
            return Err(Illegal::new(
                "what is handed over is not finished, does not run, and has a substitute",
            ));
        }
        if let Some(super::Slot { run, .. }) = self.slots.get_mut(step as usize) {
            run.handed = true;
            // What was taken from somebody in the middle is not what whoever takes it over has used up.
            run.crashes = run.crashes.saturating_add(u32::from(run.executes > 0));
        }
        Ok(())
    }

    fn warn(&mut self, step: u32, by: u32) -> Result<(), Illegal> {
        let open = self.step(step).is_some_and(|(def, run)| {
            def.undo_window.is_some() && run.state == StepState::Committed && !run.warned
        });
        if self.state != SagaState::Running || !open || by == step || by >= self.size() {
            return Err(Illegal::new("what may be undone too late has committed, and is named once"));
        }
        if let Some(super::Slot { run, .. }) = self.slots.get_mut(step as usize) {
            run.warned = true;
        }
        Ok(())
    }
}
