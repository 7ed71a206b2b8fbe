//! What follows from a command: the rules by which a saga goes forward, settles doubts, and turns back.

use super::due::{is_askable, may_ask, out_of_time, settled, unsettled_until};
use super::unlike::may_execute_again;
use super::{Decided, Saga, drawn, elapsed};
use crate::command::{Begin, Report, SagaCommand, SagaDenial};
use crate::definition::{Growth, Pace, Plan, StepDef, check_steps};
use crate::event::{Cause, Micros, Move, SagaEvent, StepRun};
use crate::state::{SagaState, StepState};
use crate::steps::Steps;
use crate::{AttemptRef, Class, Did, Failure, ProbeAnswer, Purpose, Reason, Timestamp, Verdict};
use hv_types::Machine;

/// Decides in the room that an earlier decision has left.
pub(super) fn decide(
    saga: &Saga,
    command: &SagaCommand,
    held: &[u32],
    now: Timestamp,
    Decided { events, after }: &mut Decided,
) -> Result<(), SagaDenial> {
    events.clear();
    if events.capacity() == 0 {
        *events = Vec::with_capacity(4);
    }
    after.follow(saga);
    Draft { saga: after, events, now, refused: command.refused(), held }.run(command)
}

/// A copy of the saga that runs ahead, and the events that brought it there.
struct Draft<'a> {
    saga: &'a mut Saga,
    events: &'a mut Vec<SagaEvent>,
    now: Timestamp,
    refused: &'a [u32],
    held: &'a [u32],
}

/// Whether a command may start executions; those that cannot be refused must not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forward {
    Yes,
    No,
}

impl Draft<'_> {
    fn run(&mut self, command: &SagaCommand) -> Result<(), SagaDenial> {
        let state = self.saga.state;
        match command {
            SagaCommand::Create { plan, begin, .. } if state == SagaState::New => self.create(plan, *begin),
            SagaCommand::Create { .. } => Err(SagaDenial::AlreadyCreated),
            _ if state == SagaState::New => Err(SagaDenial::NotCreated),
            SagaCommand::Advance { .. } => self.settle(Forward::Yes),
            SagaCommand::Recover { .. } => {
                let lost = Verdict::Failed(Failure::new(Class::Unknown, Reason::Crashed));
                let running: Vec<_> = self.saga.running().collect();
                running.into_iter().try_for_each(|attempt| self.ended(attempt, &lost))?;
                self.settle(Forward::Yes)
            }
            SagaCommand::Report { report, .. } => {
                self.reported(report)?;
                self.settle(Forward::Yes)
            }
            SagaCommand::Record { report } => self.reported(report),
            SagaCommand::Relieve { agent, .. } => self.relieve(agent),
            _ if state.is_terminal() => Err(SagaDenial::Over { state }),
            SagaCommand::Cancel => {
                if state == SagaState::Running {
                    self.turn(Cause::Cancelled {})?;
                }
                self.settle(Forward::No)
            }
            _ if state == SagaState::Compensating => Err(SagaDenial::TurnedBack),
            SagaCommand::Append { steps, growth } => {
                if self.saga.growth == Growth::Sealed {
                    return Err(SagaDenial::Sealed);
                }
                check_steps(&self.saga.plan, steps)?;
                self.append(Steps::checked(steps, self.saga.plan.is_empty()), *growth);
                Ok(())
            }
            SagaCommand::Start { step, .. } => self.start_asked(*step),
            SagaCommand::Pause if self.saga.paused => Ok(()),
            SagaCommand::Pause => {
                let at = self.elapsed();
                self.emit(SagaEvent::Paused { at })
            }
            SagaCommand::Resume { .. } => {
                if self.saga.paused {
                    let at = self.elapsed();
                    self.emit(SagaEvent::Resumed { at })?;
                }
                self.settle(Forward::Yes)
            }
            SagaCommand::Seal => {
                self.seal()?;
                self.settle(Forward::No)
            }
            SagaCommand::Finish => {
                self.seal()?;
                if !self.saga.all_settled() || self.saga.fatal().is_some() {
                    self.turn(Cause::Unfinished {})?;
                }
                self.settle(Forward::No)
            }
        }
    }

    /// Takes note of how an attempt ended that runs.
    fn reported(&mut self, Report { attempt, verdict }: &Report) -> Result<(), SagaDenial> {
        let run = self.saga.run(attempt.step);
        let current = run.is_some_and(|run| {
            run.state.purpose() == Some(attempt.purpose) && run.attempts(attempt.purpose) == attempt.number
        });
        if current { self.ended(*attempt, verdict) } else { Err(SagaDenial::Stale { attempt: *attempt }) }
    }

    /// Stops what an agent executes, and hands over what it has not finished.
    fn relieve(&mut self, agent: &Did) -> Result<(), SagaDenial> {
        let stopped = Verdict::Failed(Failure::new(Class::Unknown, Reason::Stopped));
        let saga = &self.saga;
        // A probe of what a substitute takes over begins anew, so that the agent does not go on after its answer.
        let handed = |step| {
            let (def, run) = saga.step(step)?;
            let forward = saga.state == SagaState::Running && run.state == StepState::Probing;
            (forward && !run.handed).then_some(def.substitute.as_ref()?)
        };
        let of_agent = |at: &AttemptRef| {
            (at.purpose == Purpose::Execute || handed(at.step).is_some())
                && saga.agent(at.step).is_some_and(|other| other == agent)
        };
        let running: Vec<_> = saga.running().filter(of_agent).collect();
        running.into_iter().try_for_each(|attempt| self.ended(attempt, &stopped))?;
        if self.saga.state == SagaState::Running {
            for step in 0..self.saga.size() {
                if self.saga.agent(step).is_some_and(|other| other == agent)
                    && self.saga.may_be_handed_over(step)
                {
                    self.hand_over(step)?;
                }
            }
        }
        self.settle(Forward::Yes)
    }

    fn create(&mut self, plan: &Plan, begin: Begin) -> Result<(), SagaDenial> {
        plan.check()?;
        let Plan { seed, limits, pace, growth, ref steps } = *plan;
        self.emit(SagaEvent::Created { seed, limits, pace, at: self.now })?;
        if !steps.is_empty() || growth == Growth::Sealed {
            self.append(steps.clone(), growth);
        }
        match begin {
            Begin::Now => self.settle(Forward::Yes),
            Begin::Later => Ok(()),
        }
    }

    /// Adds steps that were checked.
    fn append(&mut self, steps: Steps, growth: Growth) {
        self.saga.append(&steps, growth);
        self.events.push(SagaEvent::Appended { steps, growth });
    }

    fn seal(&mut self) -> Result<(), SagaDenial> {
        if self.saga.growth == Growth::Open { self.emit(SagaEvent::Sealed {}) } else { Ok(()) }
    }

    fn start_asked(&mut self, step: u32) -> Result<(), SagaDenial> {
        let of = self.saga.size();
        let run = *self.saga.run(step).ok_or(SagaDenial::NoStep { step, of })?;
        let ready = run.state == StepState::Pending && self.saga.is_ready(step);
        if !ready || self.saga.paused || !self.has_room() {
            return Err(SagaDenial::NotReady { step });
        }
        // One that has waited for too long is given up instead.
        if !self.saga.is_late(step, self.elapsed()) {
            self.execute(step, run)?;
        }
        self.settle(Forward::Yes)
    }

    /// What an ended attempt means for its step.
    fn ended(&mut self, attempt: AttemptRef, verdict: &Verdict) -> Result<(), SagaDenial> {
        let step = attempt.step;
        let Some((def, &run)) = self.saga.step(step) else { return Err(SagaDenial::Stale { attempt }) };
        let to = match run.state {
            StepState::Executing => self.executed(step, def, run, verdict),
            StepState::Probing => self.probed(step, def, run, verdict),
            StepState::Inspecting => self.inspected(step, def, run, verdict),
            StepState::Undoing => self.undone(step, def, run, verdict),
            StepState::Confirming => self.confirmed(step, def, run, verdict),
            _ => return Err(SagaDenial::Stale { attempt }),
        };
        let commits = matches!(to, Move::Committed {}) && def.undo_window.is_some();
        let withheld = matches!(&to, Move::Retry { failure, .. } if failure.reason == Reason::NotPermitted);
        self.moved(step, to)?;
        if withheld && self.saga.may_be_handed_over(step) {
            return self.hand_over(step);
        }
        if commits { self.warn_beside(step) } else { Ok(()) }
    }

    fn executed(&self, step: u32, def: &StepDef, run: StepRun, verdict: &Verdict) -> Move {
        let failure = match verdict {
            Verdict::Done => return Move::Committed {},
            Verdict::Failed(failure) => failure.clone(),
            // Only a probe answers; what an executor that mixes them up has done is unknown.
            Verdict::Answer(_) => Failure::new(Class::Unknown, Reason::CannotTell),
        };
        match failure.class {
            Class::Retryable => match self.execute_again(step, def, run, &failure) {
                Some(wait) => Move::Retry { wait, failure },
                None => failed_for_good(def, run, failure),
            },
            Class::Permanent if self.is_taken_over(def, run, &failure) => {
                Move::Retry { wait: Micros(0), failure }
            }
            Class::Permanent => failed_for_good(def, run, failure),
            Class::Unknown => Move::Doubt { wait: self.doubt(step, def, run, &failure), failure },
        }
    }

    /// Whether the substitute does what was not begun, because its agent lost the right to it behind the gate.
    fn is_taken_over(&self, def: &StepDef, run: StepRun, failure: &Failure) -> bool {
        self.saga.state == SagaState::Running
            && failure.reason == Reason::NotPermitted
            && def.substitute.is_some()
            && !run.handed
            && self.saga.has_budget()
    }

    /// How long whatever settles a new doubt waits: until what began can be expected to have ended, but for a repetition
    /// that does no harm.
    fn doubt(&self, step: u32, def: &StepDef, run: StepRun, failure: &Failure) -> Micros {
        let crashed = failure.reason == Reason::Crashed;
        let after = StepRun { crashes: run.crashes.saturating_add(u32::from(crashed)), ..run };
        if def.probe.is_none() && self.saga.is_repeatable(def, after) {
            let drawn = || self.wait(step, def, Purpose::Execute, run.executes, failure);
            let wait = if crashed { Micros(0) } else { drawn() };
            let now = self.elapsed().0;
            return match out_of_time(def, run) {
                // What would be repeated after its time is settled, and not repeated.
                Some(over) if over.0 <= now.saturating_add(wait.0) => {
                    Micros::of(def.settles_within()).max(Micros(over.0.saturating_sub(now)))
                }
                _ => wait,
            };
        }
        let nothing = !def.has_effect() || failure.reason.began_nothing();
        if nothing { Micros(0) } else { Micros::of(def.settles_within()) }
    }

    /// The answer about a step in doubt.
    fn probed(&self, step: u32, def: &StepDef, run: StepRun, verdict: &Verdict) -> Move {
        match answer(verdict) {
            Ok(ProbeAnswer::Present) => Move::Committed {},
            Ok(ProbeAnswer::Absent) => {
                let failure = Failure::new(Class::Retryable, Reason::Absent);
                match self.execute_again(step, def, run, &failure) {
                    Some(wait) => Move::Retry { wait, failure },
                    None => Move::Failed { failure },
                }
            }
            Ok(ProbeAnswer::Unknown) => self.ask_again(step, def, run, cannot_tell()),
            Err(failure) => self.ask_again(step, def, run, failure),
        }
    }

    fn ask_again(&self, step: u32, def: &StepDef, run: StepRun, failure: Failure) -> Move {
        Move::Doubt { wait: self.wait(step, def, Purpose::Probe, run.asked, &failure), failure }
    }

    /// The answer about a step that failed for good.
    fn inspected(&self, step: u32, def: &StepDef, run: StepRun, verdict: &Verdict) -> Move {
        match answer(verdict) {
            Ok(ProbeAnswer::Present) => {
                Move::Assumed { failure: Failure::new(Class::Unknown, Reason::Present) }
            }
            Ok(ProbeAnswer::Absent) => {
                Move::Failed { failure: Failure::new(Class::Permanent, Reason::Absent) }
            }
            unclear => {
                let failure = unclear.err().unwrap_or_else(cannot_tell);
                if may_ask(def, run, &failure) {
                    Move::Suspect { wait: self.wait(step, def, Purpose::Probe, run.asked, &failure), failure }
                } else {
                    Move::Assumed { failure }
                }
            }
        }
    }

    fn undone(&self, step: u32, def: &StepDef, run: StepRun, verdict: &Verdict) -> Move {
        let failure = match verdict {
            // INVARIANT (S1): undone is what the probe says, where there is one.
            Verdict::Done if def.probe.is_some() => {
                return Move::Unconfirmed { wait: Micros(0), failure: None };
            }
            Verdict::Done => return Move::Undone {},
            Verdict::Failed(failure) => failure.clone(),
            Verdict::Answer(_) => Failure::new(Class::Unknown, Reason::CannotTell),
        };
        let again = may_undo_again(def, run, &failure);
        match failure.class {
            Class::Retryable if again => self.undo_later(step, def, run, failure),
            _ if def.probe.is_some() => Move::Unconfirmed { wait: Micros(0), failure: Some(failure) },
            Class::Unknown if again && def.idempotent.covers(Purpose::Undo) => {
                self.undo_later(step, def, run, failure)
            }
            _ => Move::UndoFailed { failure },
        }
    }

    fn undo_later(&self, step: u32, def: &StepDef, run: StepRun, failure: Failure) -> Move {
        Move::UndoRetry { wait: self.wait(step, def, Purpose::Undo, run.undos, &failure), failure }
    }

    /// The answer about a step that was undone as far as its undo says.
    fn confirmed(&self, step: u32, def: &StepDef, run: StepRun, verdict: &Verdict) -> Move {
        match answer(verdict) {
            Ok(ProbeAnswer::Absent) => Move::Undone {},
            Ok(ProbeAnswer::Present) => {
                let failure = Failure::new(Class::Retryable, Reason::Present);
                if may_undo_again(def, run, &failure) {
                    self.undo_later(step, def, run, failure)
                } else {
                    Move::UndoFailed { failure }
                }
            }
            unclear => {
                let failure = unclear.err().unwrap_or_else(cannot_tell);
                if may_ask(def, run, &failure) {
                    let wait = self.wait(step, def, Purpose::Probe, run.asked, &failure);
                    Move::Unconfirmed { wait, failure: Some(failure) }
                } else {
                    Move::UndoFailed { failure }
                }
            }
        }
    }

    /// Everything that follows until the saga waits for somebody. Each round ends with an event or is the
    /// last, and every event brings a step or the saga nearer to its end.
    fn settle(&mut self, forward: Forward) -> Result<(), SagaDenial> {
        loop {
            let before = self.events.len();
            if self.saga.state == SagaState::Running {
                self.give_up()?;
                let over = self.saga.time_over().is_some_and(|over| self.elapsed() >= over);
                let cause = self.saga.fatal().or_else(|| over.then_some(Cause::OutOfTime {}));
                if let Some(cause) = cause {
                    self.turn(cause)?;
                }
            }
            self.settle_doubts(forward)?;
            match self.saga.state {
                // What was lost by now turns the saga back in the next round, before anything else starts.
                SagaState::Running if self.saga.fatal().is_some() => {}
                SagaState::Running => self.go_forward(forward)?,
                SagaState::Compensating => self.go_back()?,
                _ => return Ok(()),
            }
            if self.events.len() == before {
                return Ok(());
            }
        }
    }

    /// Ends what has waited for its turn, or to be tried again, for longer than it may.
    fn give_up(&mut self) -> Result<(), SagaDenial> {
        if self.saga.plan.timed() == 0 {
            return Ok(());
        }
        for step in 0..self.saga.size() {
            let Some((def, &run)) = self.saga.step(step) else { break };
            if self.saga.is_late(step, self.elapsed()) {
                let failure = Failure::new(Class::Permanent, Reason::OutOfTime);
                self.moved(step, failed_for_good(def, run, failure))?;
            }
        }
        Ok(())
    }

    /// Ends what can be neither asked nor run again, asks the probes that are due, and runs again what may be.
    fn settle_doubts(&mut self, forward: Forward) -> Result<(), SagaDenial> {
        use StepState::{InDoubt, Suspect, Unconfirmed, Waiting};
        if self.saga.tally.sum(&[InDoubt, Suspect, Unconfirmed, Waiting]) == 0 {
            return Ok(());
        }
        let back = self.saga.state == SagaState::Compensating;
        for step in 0..self.saga.size() {
            let Some((def, &run)) = self.saga.step(step) else { continue };
            // What would be repeated waits for no time: nothing comes of it any more, and the way back waits for it.
            let to = match run.state {
                Waiting if back => {
                    failed_for_good(def, run, Failure::new(Class::Retryable, Reason::TurnedBack))
                }
                InDoubt if is_askable(def, run) || self.saga.is_repeatable(def, run) => continue,
                // INVARIANT (S1): nothing is undone while what its attempt began may still do it.
                InDoubt if settled(def, run) > self.elapsed() => continue,
                InDoubt if def.has_effect() => Move::Assumed { failure: cannot_tell() },
                InDoubt => Move::Failed { failure: cannot_tell() },
                _ => continue,
            };
            self.moved(step, to)?;
        }
        for step in 0..self.saga.size() {
            let Some((def, &run)) = self.saga.step(step) else { continue };
            if run.not_before > self.elapsed() {
                continue;
            }
            match run.state {
                Suspect | Unconfirmed => self.probe(step, run)?,
                InDoubt if is_askable(def, run) => self.probe(step, run)?,
                InDoubt if !self.saga.is_repeatable(def, run) => {}
                InDoubt if forward == Forward::No || self.saga.paused || self.saga.fatal().is_some() => {}
                InDoubt => self.execute(step, run)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn go_forward(&mut self, forward: Forward) -> Result<(), SagaDenial> {
        if forward == Forward::Yes && !self.saga.paused {
            // Most sagas have no step that waits, and then nothing below the frontier can start.
            let waiting = self.saga.tally.of(StepState::Waiting);
            let mut left = waiting + if self.saga.pace == Pace::AsReady { self.saga.ready } else { 0 };
            let first = if waiting > 0 { 0 } else { self.saga.frontier };
            for step in first..self.saga.size() {
                if left == 0 || !self.has_room() {
                    break;
                }
                let Some(&run) = self.saga.run(step) else { break };
                let due = match run.state {
                    StepState::Pending => self.saga.pace == Pace::AsReady && self.saga.is_ready(step),
                    StepState::Waiting => {
                        left -= 1;
                        run.not_before <= self.elapsed()
                    }
                    _ => false,
                };
                if due {
                    left -= u32::from(run.state == StepState::Pending);
                    self.execute(step, run)?;
                    if self.saga.fatal().is_some() {
                        // Refused: the next round turns back before anything else starts.
                        return Ok(());
                    }
                }
            }
        }
        if self.saga.growth == Growth::Sealed && self.saga.all_settled() && self.saga.fatal().is_none() {
            self.finish(SagaState::Completed)?;
        }
        Ok(())
    }

    /// Whether the first attempt to undo a step may start now.
    fn may_start_undo(&self, step: u32, run: StepRun) -> bool {
        self.has_room()
            && unsettled_until(run).is_none_or(|until| until <= self.elapsed())
            && !self.saga.is_undo_held(step)
    }

    fn too_late(&mut self, step: u32) -> Result<(), SagaDenial> {
        self.moved(step, Move::UndoFailed { failure: Failure::new(Class::Permanent, Reason::TooLate) })
    }

    fn go_back(&mut self) -> Result<(), SagaDenial> {
        if self.saga.tally.unsettled() > 0 {
            return Ok(());
        }
        if self.saga.tally.of(StepState::UndoWaiting) > 0 {
            for step in 0..self.saga.size() {
                let Some((def, &run)) = self.saga.step(step) else { break };
                if run.state != StepState::UndoWaiting || run.not_before > self.elapsed() {
                    continue;
                }
                if run.is_too_late(def.undo_window, self.elapsed()) {
                    self.too_late(step)?;
                } else if self.has_room() {
                    self.start(step, Purpose::Undo, run)?;
                }
            }
        }
        // INVARIANT (S2): the last to commit is taken up first, and blocks the others until it may start.
        while let Some(step) = self.saga.next_undo() {
            let Some((def, &run)) = self.saga.step(step) else { break };
            if def.undo.is_none() {
                self.moved(
                    step,
                    Move::UndoFailed { failure: Failure::new(Class::Permanent, Reason::NoUndo) },
                )?;
            } else if run.is_too_late(def.undo_window, self.elapsed()) {
                self.too_late(step)?;
            } else if self.may_start_undo(step, run) {
                self.start(step, Purpose::Undo, run)?;
            } else {
                break;
            }
        }
        if self.saga.is_undone() {
            let failed = self.saga.tally.of(StepState::CompensationFailed) > 0;
            self.finish(if failed { SagaState::Escalated } else { SagaState::Compensated })?;
        }
        Ok(())
    }

    /// Starts an execution, or follows the gate's refusal.
    fn execute(&mut self, step: u32, run: StepRun) -> Result<(), SagaDenial> {
        let refusals = self.refused.iter().filter(|&&refused| refused == step).count();
        let handed = refusals > 0 && self.saga.may_be_handed_over(step);
        if handed {
            self.hand_over(step)?;
        }
        if refusals == usize::from(handed) {
            let may = self.has_room() && !self.held.contains(&step);
            return if may { self.start(step, Purpose::Execute, run) } else { Ok(()) };
        }
        let Some((def, _)) = self.saga.step(step) else { return Ok(()) };
        let denied = Failure::new(Class::Permanent, Reason::Denied);
        let to = match run.state {
            StepState::InDoubt if def.has_effect() => Move::Assumed { failure: denied },
            StepState::InDoubt => Move::Failed { failure: denied },
            StepState::Waiting if def.has_effect() && run.doubtful => failed_for_good(def, run, denied),
            _ => Move::Denied {},
        };
        self.moved(step, to)
    }

    fn probe(&mut self, step: u32, run: StepRun) -> Result<(), SagaDenial> {
        if self.has_room() { self.start(step, Purpose::Probe, run) } else { Ok(()) }
    }

    fn start(&mut self, step: u32, purpose: Purpose, run: StepRun) -> Result<(), SagaDenial> {
        let number = run.attempts(purpose).saturating_add(1);
        let at = self.elapsed();
        if purpose == Purpose::Execute && self.saga.plan.windows() > 0 {
            self.warn(step, at)?;
        }
        self.emit(SagaEvent::Started { step, purpose, number, at })
    }

    /// Says which undos may come too late once this step has ended, each once.
    fn warn(&mut self, by: u32, at: Micros) -> Result<(), SagaDenial> {
        let expiring = |step: &u32| self.may_expire(*step, by, at);
        let expiring: Vec<u32> = self.saga.commit_order().filter(expiring).collect();
        expiring.into_iter().try_for_each(|step| self.emit(SagaEvent::Expiring { step, by, at }))
    }

    /// Says whether the undo of a step that has committed may come too late once one that runs beside it has ended.
    fn warn_beside(&mut self, step: u32) -> Result<(), SagaDenial> {
        if self.saga.state != SagaState::Running {
            return Ok(());
        }
        let by = self.saga.running().find(|attempt| {
            let began = self.saga.run(attempt.step).map_or(Micros(0), |run| run.started);
            attempt.purpose == Purpose::Execute && self.may_expire(step, attempt.step, began)
        });
        let at = self.elapsed();
        by.map_or(Ok(()), |by| self.emit(SagaEvent::Expiring { step, by: by.step, at }))
    }

    /// Whether the window of a step that has committed may be over before its undo can begin, where another one that began
    /// then takes as long as it may; what depends on the step is undone before it.
    fn may_expire(&self, step: u32, by: u32, began: Micros) -> bool {
        let (Some((def, run)), Some((other, _))) = (self.saga.step(step), self.saga.step(by)) else {
            return false;
        };
        let Some(window) = def.undo_window else { return false };
        if run.state != StepState::Committed || run.warned {
            return false;
        }
        let mut end = began.0.saturating_add(Micros::of(other.timeout).0);
        if other.undo.is_some() && self.saga.dependents_of(step).contains(&by) {
            end = end.saturating_add(Micros::of(other.undo_timeout).0);
        }
        run.moved.0.saturating_add(Micros::of(window).0) < end
    }

    fn hand_over(&mut self, step: u32) -> Result<(), SagaDenial> {
        let at = self.elapsed();
        self.emit(SagaEvent::HandedOver { step, at })
    }

    fn moved(&mut self, step: u32, to: Move) -> Result<(), SagaDenial> {
        let at = self.elapsed();
        self.emit(SagaEvent::Moved { step, to, at })
    }

    fn turn(&mut self, cause: Cause) -> Result<(), SagaDenial> {
        let at = self.elapsed();
        self.emit(SagaEvent::Turned { cause, at })
    }

    fn finish(&mut self, state: SagaState) -> Result<(), SagaDenial> {
        let at = self.elapsed();
        self.emit(SagaEvent::Finished { state, at })
    }

    /// Where the saga does not take the event, nothing of the draft is used.
    #[inline]
    fn emit(&mut self, event: SagaEvent) -> Result<(), SagaDenial> {
        self.saga.apply(&event).map_err(SagaDenial::Defect)?;
        self.events.push(event);
        Ok(())
    }

    fn elapsed(&self) -> Micros {
        elapsed(self.saga.created, self.now)
    }

    fn has_room(&self) -> bool {
        self.saga.tally.running() < self.saga.limits.concurrency
    }

    /// How long a step that left nothing behind waits until it is tried again; nothing where it is not. A crash of the
    /// supervisor costs no retry.
    fn execute_again(&self, step: u32, def: &StepDef, run: StepRun, failure: &Failure) -> Option<Micros> {
        let may =
            self.saga.state == SagaState::Running && may_execute_again(def, run) && self.saga.has_budget();
        let wait = may.then(|| self.wait(step, def, Purpose::Execute, run.executes, failure))?;
        let next = self.elapsed().0.saturating_add(wait.0);
        out_of_time(def, run).is_none_or(|over| next < over.0).then_some(wait)
    }

    /// How long the n-th repetition waits.
    fn wait(&self, step: u32, def: &StepDef, purpose: Purpose, n: u32, failure: &Failure) -> Micros {
        let retry = def.retry(purpose);
        let drawn = drawn(retry.ceiling(n), self.saga.seed, step, purpose, n);
        drawn.max(failure.retry_after.map_or(Micros(0), |asked| Micros::of(asked.min(retry.cap))))
    }
}

/// What a probe's end says, or why it says nothing.
fn answer(verdict: &Verdict) -> Result<ProbeAnswer, Failure> {
    match verdict {
        Verdict::Answer(answer) => Ok(*answer),
        Verdict::Failed(failure) => Err(failure.clone()),
        Verdict::Done => Ok(ProbeAnswer::Unknown),
    }
}

pub(super) fn cannot_tell() -> Failure {
    Failure::new(Class::Unknown, Reason::CannotTell)
}

/// A failure that is not repeated: nothing is left behind, or a probe is to tell, or an earlier attempt may
/// have left something.
fn failed_for_good(def: &StepDef, run: StepRun, failure: Failure) -> Move {
    // INVARIANT (S1): what began nothing is not undone, whatever a probe would find; somebody else put it there.
    let nothing = !run.doubtful && failure.reason.began_nothing();
    if !def.has_effect() || nothing {
        Move::Failed { failure }
    } else if def.probe.is_some() {
        Move::Suspect { wait: Micros(0), failure }
    } else if run.doubtful {
        Move::Assumed { failure }
    } else {
        Move::Failed { failure }
    }
}

/// Whether a failed undo is tried again. The crash that the failure tells of costs nothing.
pub(super) fn may_undo_again(def: &StepDef, run: StepRun, failure: &Failure) -> bool {
    let crashed = u32::from(failure.reason == Reason::Crashed && run.crashes < crate::limits::CRASHES);
    let least = u32::from(failure.class == Class::Unknown && crashed == 0);
    run.undos <= def.undo_retry.max.max(least).saturating_add(run.crashes).saturating_add(crashed)
}
