//! The saga as a machine: its state, what may change it, and what can be asked of it.

mod decide;
mod undo;

use crate::command::{SagaCommand, SagaDenial};
use crate::definition::{Growth, Limits, Pace, StepDef, check_steps};
use crate::event::{Cause, Micros, Move, SagaEvent, StepRun};
use crate::state::{SagaSignal, SagaState, StepSignal, StepState};
use crate::{Attempt, AttemptRef, Purpose, Reason, SagaId, SessionId, StepId, Timestamp, limits};
use core::time::Duration;
use hv_types::{Illegal, Machine};
use std::sync::Arc;

/// One saga.
///
/// INVARIANT (S1): every step with a possible effect is kept in a completed saga, or undone exactly once, or
/// the saga is escalated. INVARIANT (S2): undo starts in the reverse order of commit, and no step is undone
/// before those that depend on it. INVARIANT (S3): what has ended stays ended. INVARIANT (S4): the same
/// events give the same state.
#[derive(Debug, Clone, Default)]
pub struct Saga {
    // Shared, so that deciding copies no definition.
    plan: Arc<Steps>,
    runs: Vec<StepRun>,
    /// For each step, how many of those that it waits for have committed.
    met: Vec<u32>,
    /// Steps with a possible effect in the order in which they committed.
    order: Vec<u32>,
    /// How many of them, from the last, have been taken up for undo.
    undone: u32,
    tally: Tally,
    retries: u32,
    state: SagaState,
    cause: Option<Cause>,
    growth: Growth,
    pace: Pace,
    limits: Limits,
    seed: u64,
    created: Timestamp,
}

/// Two sagas are equal where they will act the same for ever; whether a definition is shared does not matter.
impl PartialEq for Saga {
    fn eq(&self, other: &Self) -> bool {
        // `met`, `tally` and the dependents follow from the rest.
        self.plan.defs == other.plan.defs
            && self.runs == other.runs
            && self.order == other.order
            && (self.undone, self.retries, self.state, self.cause)
                == (other.undone, other.retries, other.state, other.cause)
            && (self.growth, self.pace, self.limits, self.seed, self.created)
                == (other.growth, other.pace, other.limits, other.seed, other.created)
    }
}

impl Eq for Saga {}

#[derive(Debug, Clone, Default)]
struct Steps {
    defs: Vec<Arc<StepDef>>,
    /// For each step, those that wait for it.
    dependents: Vec<Vec<u32>>,
}

/// How many steps are in each state.
#[derive(Debug, Clone, Copy, Default)]
struct Tally([u32; StepState::ALL.len()]);

impl Tally {
    fn of(&self, state: StepState) -> u32 {
        self.0.get(state as usize).copied().unwrap_or(0)
    }

    fn sum(&self, states: &[StepState]) -> u32 {
        states.iter().map(|&state| self.of(state)).sum()
    }

    fn add(&mut self, state: StepState, count: u32) {
        if let Some(slot) = self.0.get_mut(state as usize) {
            *slot = slot.saturating_add(count);
        }
    }

    fn shift(&mut self, from: StepState, to: StepState) {
        if let Some(slot) = self.0.get_mut(from as usize) {
            *slot = slot.saturating_sub(1);
        }
        self.add(to, 1);
    }

    fn running(&self) -> u32 {
        use StepState::{Confirming, Executing, Inspecting, Probing, Undoing};
        self.sum(&[Executing, Probing, Inspecting, Undoing, Confirming])
    }

    /// Steps that are neither untouched nor settled on the way forward.
    fn unsettled(&self) -> u32 {
        use StepState::{Executing, InDoubt, Inspecting, Probing, Suspect, Waiting};
        self.sum(&[Executing, Waiting, InDoubt, Probing, Suspect, Inspecting])
    }

    /// Steps on the way back that are taken up and not settled.
    fn undoing(&self) -> u32 {
        use StepState::{Confirming, Unconfirmed, UndoWaiting, Undoing};
        self.sum(&[Undoing, UndoWaiting, Unconfirmed, Confirming])
    }

    /// Steps that did not get where they should.
    fn lost(&self) -> u32 {
        use StepState::{Assumed, Denied, Failed, Inspecting, Suspect};
        self.sum(&[Failed, Denied, Suspect, Inspecting, Assumed])
    }
}

impl Saga {
    /// Where the saga stands.
    #[must_use]
    pub const fn state(&self) -> SagaState {
        self.state
    }

    /// Why it turned back; nothing where it did not.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// When it was created.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// Whether steps may follow.
    #[must_use]
    pub const fn growth(&self) -> Growth {
        self.growth
    }

    /// The steps in the order of their ordinals.
    #[must_use]
    pub fn steps(&self) -> &[Arc<StepDef>] {
        &self.plan.defs
    }

    /// What is known about each step, in the order of their ordinals.
    #[must_use]
    pub fn runs(&self) -> &[StepRun] {
        &self.runs
    }

    /// One step: its definition and what is known about it.
    #[must_use]
    pub fn step(&self, ordinal: u32) -> Option<(&Arc<StepDef>, &StepRun)> {
        self.plan.defs.get(ordinal as usize).zip(self.runs.get(ordinal as usize))
    }

    /// The ordinal of a step. Costs time in proportion to the number of steps.
    #[must_use]
    pub fn ordinal(&self, id: &StepId) -> Option<u32> {
        self.plan.defs.iter().position(|step| step.id == *id).and_then(|at| u32::try_from(at).ok())
    }

    /// Steps with a possible effect, in the order in which they committed (or came to be treated as done).
    #[must_use]
    pub fn commit_order(&self) -> &[u32] {
        &self.order
    }

    /// Steps that were taken up for undo, in that order.
    pub fn undo_order(&self) -> impl Iterator<Item = u32> + '_ {
        self.order.iter().rev().take(self.undone as usize).copied()
    }

    /// The attempts that run, in the order of the steps.
    pub fn running(&self) -> impl Iterator<Item = AttemptRef> + '_ {
        let runs = if self.tally.running() == 0 { [].as_slice() } else { self.runs.as_slice() };
        (0u32..).zip(runs).filter_map(|(step, run)| {
            let purpose = run.state.purpose()?;
            Some(AttemptRef { step, purpose, number: run.attempts(purpose) })
        })
    }

    /// When something becomes due by itself; nothing where the saga waits for reports or commands only.
    /// Costs time in proportion to the number of steps.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        use StepState::{InDoubt, Suspect, Unconfirmed, UndoWaiting, Waiting};
        if self.state.is_terminal() || self.state == SagaState::New {
            return None;
        }
        let over = (self.state == SagaState::Running).then(|| self.time_over()).flatten();
        // With every place taken, the next report starts what is due.
        let room = self.tally.running() < self.limits.concurrency;
        let waits = self.tally.sum(&[InDoubt, Suspect, Unconfirmed, UndoWaiting, Waiting]) > 0;
        let runs = if room && waits { self.runs.as_slice() } else { [].as_slice() };
        let waiting =
            |run: &&StepRun| matches!(run.state, InDoubt | Suspect | Unconfirmed | UndoWaiting | Waiting);
        let due = runs.iter().filter(waiting).map(|run| run.not_before).min();
        due.into_iter().chain(over).min().map(|at| at.since(self.created))
    }

    /// The attempts that these events start, complete with what an executor needs. The events are what
    /// [`decide`](Machine::decide) gave in this state; they need not have been applied.
    #[must_use]
    pub fn starts(&self, session: &SessionId, saga: &SagaId, events: &[SagaEvent]) -> Vec<Attempt> {
        let mut created = self.created;
        let mut appended: &[Arc<StepDef>] = &[];
        let mut starts = Vec::new();
        for event in events {
            match event {
                SagaEvent::Created { at, .. } => created = *at,
                SagaEvent::Appended { steps, .. } => appended = steps,
                SagaEvent::Started { step, purpose, number, at } => {
                    let ordinal = *step as usize;
                    let known = self.plan.defs.get(ordinal);
                    let def = known.or_else(|| appended.get(ordinal.saturating_sub(self.plan.defs.len())));
                    let attempt = def.and_then(|def| {
                        Some(Attempt {
                            session: session.clone(),
                            saga: saga.clone(),
                            step: def.id.clone(),
                            ordinal: *step,
                            agent: def.agent.clone(),
                            action: def.action.clone(),
                            purpose: *purpose,
                            number: *number,
                            task: Arc::clone(def.task(*purpose)?),
                            deadline: at.since(created).after(def.timeout(*purpose)),
                        })
                    });
                    starts.extend(attempt);
                }
                _ => {}
            }
        }
        starts
    }

    /// When the saga has gone forward long enough.
    fn time_over(&self) -> Option<Micros> {
        self.limits.within.map(Micros::of)
    }

    /// Whether a step that did not get where it should is borne: something waits for it, and everything that
    /// does still gets what it needs.
    fn is_borne(&self, step: u32) -> bool {
        let dependents = self.plan.dependents.get(step as usize).map_or(&[][..], Vec::as_slice);
        let reachable = |&dependent: &u32| {
            self.step(dependent).is_some_and(|(def, run)| {
                let alive =
                    |&&after: &&u32| self.runs.get(after as usize).is_some_and(|run| !is_lost(run.state));
                run.state != StepState::Pending || def.after.iter().filter(alive).count() >= def.needs()
            })
        };
        !dependents.is_empty() && dependents.iter().all(reachable)
    }

    /// The first step whose loss is not borne. Costs nothing where no step is lost.
    fn fatal(&self) -> Option<Cause> {
        if self.tally.lost() == 0 {
            return None;
        }
        (0u32..).zip(&self.runs).find_map(|(step, run)| match run.state {
            StepState::Assumed => Some(Cause::InDoubt { step }),
            state if !is_lost(state) || self.is_borne(step) => None,
            StepState::Denied => Some(Cause::Denied { step }),
            _ => Some(Cause::Failed { step }),
        })
    }

    /// Whether every step is where it can stay in a completed saga, as long as nothing is fatal.
    fn all_settled(&self) -> bool {
        use StepState::{Committed, Denied, Failed};
        self.tally.sum(&[Committed, Failed, Denied]) as usize == self.runs.len()
    }

    /// Whether a pending step has what it waits for.
    fn is_ready(&self, step: u32) -> bool {
        let met = self.met.get(step as usize).copied().unwrap_or(0) as usize;
        self.plan.defs.get(step as usize).is_some_and(|def| met >= def.needs())
    }

    fn append(&mut self, steps: &[Arc<StepDef>], growth: Growth) {
        let plan = Arc::make_mut(&mut self.plan);
        for def in steps {
            let ordinal = u32::try_from(plan.defs.len()).unwrap_or(u32::MAX);
            let mut met = 0;
            for &after in &def.after {
                if let Some(dependents) = plan.dependents.get_mut(after as usize) {
                    dependents.push(ordinal);
                }
                let committed = |run: &StepRun| run.state == StepState::Committed;
                met += u32::from(self.runs.get(after as usize).is_some_and(committed));
            }
            plan.defs.push(Arc::clone(def));
            plan.dependents.push(Vec::new());
            self.runs.push(StepRun::default());
            self.met.push(met);
        }
        self.tally.add(StepState::Pending, u32::try_from(steps.len()).unwrap_or(u32::MAX));
        self.growth = growth;
    }

    /// The state that a step would have after the signal, in this saga as it stands.
    fn after_signal(&self, step: u32, signal: StepSignal) -> Result<StepState, Illegal> {
        use StepState::{Assumed, Committed, Executing, InDoubt, Pending, Undoing, Waiting};
        let (def, run) = self.step(step).ok_or(Illegal::new("a step that moves exists"))?;
        let next = run.state.transition(signal).ok_or(Illegal::new("a step moves along its transitions"))?;
        let forward = self.state == SagaState::Running;
        let (rule, holds) = match signal {
            StepSignal::ExecuteStarted => (
                "a step starts while its saga runs, after what it waits for, and again in doubt only if it may",
                forward
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
                "a step is denied while its saga runs, and only if it left nothing behind",
                forward && !(run.doubtful && def.has_effect()),
            ),
            // INVARIANT (S1): an earlier attempt in doubt is not forgotten because a later one failed.
            StepSignal::Failed if matches!(run.state, Executing | Waiting) => (
                "a step fails only if it left nothing behind, and is given up only when its saga turns back",
                !((run.doubtful && def.has_effect()) || (forward && run.state == Waiting)),
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
        let Some(run) = self.runs.get_mut(step as usize) else { return };
        let from = core::mem::replace(&mut run.state, next);
        self.tally.shift(from, next);
        let has_effect = self.plan.defs.get(step as usize).is_some_and(|def| def.has_effect());
        if next == StepState::Committed {
            for &dependent in self.plan.dependents.get(step as usize).map_or(&[][..], Vec::as_slice) {
                if let Some(met) = self.met.get_mut(dependent as usize) {
                    *met += 1;
                }
            }
        }
        if has_effect && matches!(next, StepState::Committed | StepState::Assumed) {
            self.order.push(step);
        }
        let taken_up = matches!(next, StepState::Undoing | StepState::CompensationFailed);
        if matches!(from, StepState::Committed | StepState::Assumed) && taken_up {
            self.undone += 1;
        }
    }

    fn apply_start(&mut self, step: u32, purpose: Purpose, number: u32, at: Micros) -> Result<(), Illegal> {
        let signal = match purpose {
            Purpose::Execute => StepSignal::ExecuteStarted,
            Purpose::Undo => StepSignal::UndoStarted,
            Purpose::Probe => StepSignal::ProbeStarted,
        };
        let next = self.after_signal(step, signal)?;
        let room = self.tally.running() < self.limits.concurrency;
        let (def, run) = self.step(step).ok_or(Illegal::new("a step that moves exists"))?;
        if def.task(purpose).is_none() {
            return Err(Illegal::new("an attempt has a task"));
        }
        if number != run.attempts(purpose).saturating_add(1) {
            return Err(Illegal::new("attempts are numbered without a gap"));
        }
        if run.not_before > at {
            return Err(Illegal::new("nothing is repeated before its time"));
        }
        if !room {
            return Err(Illegal::new("no more attempts run at the same time than the limit says"));
        }
        self.set(step, next);
        if let Some(run) = self.runs.get_mut(step as usize) {
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
                Purpose::Undo => (run.undos, run.asked) = (number, 0),
                Purpose::Probe => (run.probes, run.asked) = (number, run.asked.saturating_add(1)),
            }
        }
        Ok(())
    }

    fn apply_move(&mut self, step: u32, to: &Move, at: Micros) -> Result<(), Illegal> {
        let next = self.after_signal(step, to.signal())?;
        self.set(step, next);
        if let Some(run) = self.runs.get_mut(step as usize) {
            run.moved = at;
            run.not_before = Micros(at.0.saturating_add(to.wait().0));
            match to {
                Move::Doubt { .. } => run.doubtful = true,
                // Only a probe can clear a doubt.
                Move::Retry { failure, .. } if failure.reason == Reason::Absent => run.doubtful = false,
                _ => {}
            }
            let crashed = to.failure().is_some_and(|failure| failure.reason == Reason::Crashed);
            if crashed && run.crashes < limits::CRASHES {
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
        Ok(())
    }
}

/// Whether a step did not get where it should.
const fn is_lost(state: StepState) -> bool {
    use StepState::{Assumed, Denied, Failed, Inspecting, Suspect};
    matches!(state, Failed | Denied | Suspect | Inspecting | Assumed)
}

impl Machine for Saga {
    type Command = SagaCommand;
    type Event = SagaEvent;
    type Denial = SagaDenial;

    /// Costs time in proportion to the number of steps, with a copy of about 64 bytes per step.
    fn decide(&self, command: &SagaCommand, now: Timestamp) -> Result<Vec<SagaEvent>, SagaDenial> {
        decide::decide(self, command, now)
    }

    fn apply(&mut self, event: &SagaEvent) -> Result<(), Illegal> {
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
                check_steps(&self.plan.defs, steps)
                    .map_err(|_| Illegal::new("a saga keeps to the limits"))?;
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
            SagaEvent::Restored { state, cause, retries, order, undone, steps } => {
                let fresh = self.runs.iter().all(|run| *run == StepRun::default());
                if !fresh || steps.len() != self.runs.len() || *undone as usize > order.len() {
                    return Err(Illegal::new("a snapshot fits its steps"));
                }
                self.restore(*state, *cause, *retries, order, *undone, steps)
            }
        }
    }

    fn compact(&self) -> Vec<SagaEvent> {
        if self.state == SagaState::New {
            return Vec::new();
        }
        let Self { seed, limits, pace, created, .. } = *self;
        let created = SagaEvent::Created { seed, limits, pace, at: created };
        let appended = SagaEvent::Appended { steps: self.plan.defs.clone(), growth: self.growth };
        let restored = SagaEvent::Restored {
            state: self.state,
            cause: self.cause,
            retries: self.retries,
            order: self.order.clone(),
            undone: self.undone,
            steps: self.runs.clone(),
        };
        vec![created, appended, restored]
    }
}

impl Saga {
    fn restore(
        &mut self,
        state: SagaState,
        cause: Option<Cause>,
        retries: u32,
        order: &[u32],
        undone: u32,
        steps: &[StepRun],
    ) -> Result<(), Illegal> {
        let unfit = Illegal::new("a snapshot fits its steps");
        let mut listed = vec![false; steps.len()];
        for &step in order {
            let slot = listed.get_mut(step as usize).ok_or(unfit)?;
            if core::mem::replace(slot, true) {
                return Err(unfit);
            }
        }
        let mut tally = Tally::default();
        for ((run, def), listed) in steps.iter().zip(&self.plan.defs).zip(listed) {
            // A step stands in the order exactly where it has, or had, a possible effect.
            let effect = def.has_effect() && run.state >= StepState::Committed && {
                !matches!(run.state, StepState::Failed | StepState::Denied)
            };
            if effect != listed {
                return Err(unfit);
            }
            tally.add(run.state, 1);
        }
        if state == SagaState::New
            || (cause.is_some()
                != matches!(state, SagaState::Compensating | SagaState::Compensated | SagaState::Escalated))
        {
            return Err(unfit);
        }
        let met = |def: &Arc<StepDef>| {
            // Only a step that has committed at some time counts: never one that is treated as done.
            let was = |&&after: &&u32| {
                steps.get(after as usize).is_some_and(|run| run.state == StepState::Committed)
            };
            u32::try_from(def.after.iter().filter(was).count()).unwrap_or(u32::MAX)
        };
        self.met = self.plan.defs.iter().map(met).collect();
        (self.state, self.cause, self.retries, self.undone, self.tally) =
            (state, cause, retries, undone, tally);
        (self.order, self.runs) = (order.to_vec(), steps.to_vec());
        Ok(())
    }
}

/// The time that has passed since the creation, as events tell it.
fn elapsed(created: Timestamp, now: Timestamp) -> Micros {
    Micros(now.0.saturating_sub(created.0) / 1000)
}

/// A wait drawn evenly from nothing to the ceiling, the same for the same numbers.
fn drawn(ceiling: Duration, seed: u64, step: u32, purpose: Purpose, number: u32) -> Micros {
    let mixed = [u64::from(step), purpose as u64, u64::from(number)].into_iter().fold(seed, |state, word| {
        // One step of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
        let state = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    });
    let ceiling = Micros::of(ceiling).0;
    let part = (u128::from(mixed) * (u128::from(ceiling) + 1)) >> 64;
    Micros(u64::try_from(part).unwrap_or(ceiling))
}
