//! The saga as a machine: its state, and what can be asked of it.

mod apply;
mod decide;
mod due;
mod snapshot;
mod table;
mod undo;
mod unlike;

use crate::attempt::Purpose;
use crate::command::{SagaCommand, SagaDenial};
use crate::definition::{Growth, Limits, Pace, StepDef};
use crate::event::{Cause, Micros, SagaEvent, StepRun};
use crate::state::{SagaState, StepState};
use crate::steps::Steps;
use crate::{Attempt, AttemptFacts, AttemptRef, Did, SagaId, SessionId, StepId, Timestamp};
use core::mem;
use core::time::Duration;
use hv_types::{Illegal, Machine};
use std::sync::Arc;
use table::{Slot, Tally};

pub use unlike::Unlike;

/// One saga.
///
/// INVARIANT (S1): every step with a possible effect is kept in a completed saga, or undone exactly once, or
/// the saga is escalated. INVARIANT (S2): undo starts in the reverse order of commit, and no step's undo while
/// that of one that depends on it goes on. What commits after a step began that needs only some of those it
/// waits for is undone before that step, and an undo that failed holds up no other. INVARIANT (S3): what has
/// ended stays ended. INVARIANT (S4): the same events give the same state.
#[derive(Debug, Clone, Default)]
pub struct Saga {
    // Shared, so that deciding copies no definition.
    plan: Steps,
    // In one place, so that deciding copies it at once.
    slots: Vec<Slot>,
    tally: Tally,
    /// How many steps with a possible effect have committed.
    committed: u32,
    /// How many of them, from the last, have been taken up for undo.
    undone: u32,
    /// No step below this one is pending.
    frontier: u32,
    /// How many pending steps have what they wait for.
    ready: u32,
    retries: u32,
    state: SagaState,
    cause: Option<Cause>,
    growth: Growth,
    paused: bool,
    pace: Pace,
    limits: Limits,
    seed: u64,
    created: Timestamp,
}

/// What a command comes to.
#[derive(Debug, Clone, Default)]
pub struct Decided {
    /// What happens.
    pub events: Vec<SagaEvent>,
    /// The saga to which these events lead, made by applying them: whoever has recorded them may go on with it.
    pub after: Saga,
}

impl Decided {
    /// Leaves nothing but the room of it, for [another decision](Saga::decide_in): it keeps no definition.
    pub fn clear(&mut self) {
        self.events.clear();
        self.after.clear();
    }

    /// How many events and steps there is room for.
    #[must_use]
    pub const fn room(&self) -> usize {
        let (events, steps) = (self.events.capacity(), self.after.room());
        if events < steps { steps } else { events }
    }
}

/// Two sagas are equal where they will act the same for ever; whether a definition is shared does not matter.
impl PartialEq for Saga {
    fn eq(&self, other: &Self) -> bool {
        // Everything else follows from this.
        self.plan == other.plan
            && self.runs().eq(other.runs())
            && self.commit_order().eq(other.commit_order())
            && (self.undone, self.retries, self.state, self.cause)
                == (other.undone, other.retries, other.state, other.cause)
            && (self.growth, self.paused, self.pace, self.limits, self.seed, self.created)
                == (other.growth, other.paused, other.pace, other.limits, other.seed, other.created)
    }
}

impl Eq for Saga {}

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

    /// Whether it is paused.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Limits for the saga as a whole.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Who does a step now: its agent, or the substitute that has taken it over.
    #[must_use]
    pub fn agent(&self, step: u32) -> Option<&Did> {
        let (def, run) = self.step(step)?;
        Some(def.substitute.as_ref().filter(|_| run.handed).unwrap_or(&def.agent))
    }

    /// The steps in the order of their ordinals.
    #[must_use]
    pub fn steps(&self) -> &[Arc<StepDef>] {
        &self.plan
    }

    /// What is known about each step, in the order of their ordinals.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = &StepRun> + Clone {
        self.slots.iter().map(|slot| &slot.run)
    }

    /// One step: its definition and what is known about it.
    #[must_use]
    pub fn step(&self, ordinal: u32) -> Option<(&Arc<StepDef>, &StepRun)> {
        self.plan.get(ordinal as usize).zip(self.slots.get(ordinal as usize).map(|slot| &slot.run))
    }

    /// The ordinal of a step. Costs time in proportion to the number of steps.
    #[must_use]
    pub fn ordinal(&self, id: &StepId) -> Option<u32> {
        self.plan.iter().position(|step| step.id == *id).and_then(|at| u32::try_from(at).ok())
    }

    /// Steps with a possible effect, in the order in which they committed (or came to be treated as done).
    pub fn commit_order(&self) -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator + Clone {
        let listed = self.slots.get(..self.committed as usize).unwrap_or_default();
        listed.iter().map(|slot| slot.order)
    }

    /// Steps that were taken up for undo, in that order.
    pub fn undo_order(&self) -> impl Iterator<Item = u32> + '_ {
        self.commit_order().rev().take(self.undone as usize)
    }

    /// The attempts that run, in the order of the steps. Costs time in proportion to the number of steps.
    pub fn running(&self) -> impl Iterator<Item = AttemptRef> + '_ {
        let slots = if self.tally.running() == 0 { [].as_slice() } else { self.slots.as_slice() };
        (0u32..).zip(slots).filter_map(|(step, Slot { run, .. })| {
            let purpose = run.state.purpose()?;
            Some(AttemptRef { step, purpose, number: run.attempts(purpose) })
        })
    }

    /// The idempotency keys of what may still be at work if whoever drove the saga was cut off: of the steps of which an
    /// attempt runs or is to be repeated, or of which nobody knows what they did. A program of a step that is done, as a
    /// service that it has begun, is part of what it did. Costs time in proportion to the number of steps.
    pub fn unsettled_keys<'a>(
        &'a self,
        session: &'a SessionId,
        saga: &'a SagaId,
    ) -> impl Iterator<Item = String> + 'a {
        let unsettled = self.steps().iter().zip(self.runs()).filter(|(_, run)| !run.state.is_settled());
        unsettled.flat_map(move |(def, _)| {
            [Purpose::Execute, Purpose::Probe, Purpose::Undo]
                .map(|purpose| purpose.key(session, saga, &def.id))
        })
    }

    /// As [`decide`](Machine::decide), but these steps are not executed yet, as if there were no room for them: they
    /// stay where they are, and start with a later command. Whoever holds them back sees to it that one comes;
    /// [`next_wake`](Self::next_wake) does not know of it. Undo and probes are not held.
    ///
    /// # Errors
    /// Those of [`decide`](Machine::decide).
    pub fn decide_holding(
        &self,
        command: &SagaCommand,
        held: &[u32],
        now: Timestamp,
    ) -> Result<Decided, SagaDenial> {
        let mut decided = Decided::default();
        self.decide_in(&mut decided, command, held, now)?;
        Ok(decided)
    }

    /// The same where an earlier decision stands, whatever that was: it is replaced. After a denial nothing that stands
    /// there was decided.
    ///
    /// # Errors
    /// Those of [`decide`](Machine::decide).
    pub fn decide_in(
        &self,
        decided: &mut Decided,
        command: &SagaCommand,
        held: &[u32],
        now: Timestamp,
    ) -> Result<(), SagaDenial> {
        decide::decide(self, command, held, now, decided)
    }

    /// The attempts that these events start, complete with what an executor needs. The events are what
    /// [`decide`](Machine::decide) gave in this state; they need not have been applied.
    #[must_use]
    pub fn starts(&self, session: &SessionId, saga: &SagaId, events: &[SagaEvent]) -> Vec<Attempt> {
        self.started(session, saga, events).collect()
    }

    /// The same, one after another.
    pub fn started<'a>(
        &'a self,
        session: &'a SessionId,
        saga: &'a SagaId,
        events: &'a [SagaEvent],
    ) -> impl Iterator<Item = Attempt> + 'a {
        let mut created = self.created;
        let mut appended: &[Arc<StepDef>] = &[];
        let mut handed: Vec<u32> = Vec::new();
        events.iter().filter_map(move |event| {
            match event {
                SagaEvent::Created { at, .. } => created = *at,
                SagaEvent::Appended { steps, .. } => appended = steps,
                SagaEvent::HandedOver { step, .. } => handed.push(*step),
                SagaEvent::Started { step, purpose, number, at } => {
                    let ordinal = *step as usize;
                    let known = self.plan.get(ordinal);
                    let def = known.or_else(|| appended.get(ordinal.checked_sub(self.plan.len())?))?;
                    let taken = self.run(*step).is_some_and(|run| run.handed) || handed.contains(step);
                    let agent = def.substitute.as_ref().filter(|_| taken).unwrap_or(&def.agent);
                    return Some(Attempt::from(AttemptFacts {
                        session: session.clone(),
                        saga: saga.clone(),
                        step: def.id.clone(),
                        ordinal: *step,
                        agent: agent.clone(),
                        action: def.action.clone(),
                        purpose: *purpose,
                        number: *number,
                        task: Arc::clone(def.task(*purpose)?),
                        deadline: at.since(created).after(self.time_left(*step, def, *purpose, *number, *at)),
                    }));
                }
                _ => {}
            }
            None
        })
    }

    /// Becomes what was decided; what is left of that is room for [another decision](Self::decide_in).
    pub fn reach(&mut self, decided: &mut Decided) {
        let after = &mut decided.after;
        let plan = mem::replace(&mut after.plan, mem::take(&mut self.plan));
        let slots = mem::replace(&mut after.slots, mem::take(&mut self.slots));
        *self = Self { plan, slots, ..*after };
    }

    /// Leaves nothing but the room of it: it is new again.
    pub fn clear(&mut self) {
        let mut slots = mem::take(&mut self.slots);
        slots.clear();
        *self = Self { slots, ..Self::default() };
    }

    /// How many steps there is room for.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.slots.capacity()
    }

    /// Becomes a copy of another saga, in the room that this one has.
    fn follow(&mut self, other: &Self) {
        let (plan, slots) = (mem::take(&mut self.plan), mem::take(&mut self.slots));
        *self = Self { plan, slots, ..*other };
        self.plan.clone_from(&other.plan);
        if self.slots.capacity() == 0 {
            self.slots = other.slots.clone();
        } else {
            self.slots.clone_from(&other.slots);
        }
    }

    /// How long an attempt may take that starts then.
    fn time_left(&self, step: u32, def: &StepDef, purpose: Purpose, number: u32, at: Micros) -> Duration {
        if def.within.is_none() {
            return def.timeout(purpose);
        }
        let first = if number == 1 { None } else { self.run(step).map(|run| run.began.0) };
        let passed = at.0.saturating_sub(first.unwrap_or(at.0));
        def.time_left(purpose, Duration::from_micros(passed))
    }

    fn run(&self, step: u32) -> Option<&StepRun> {
        self.slots.get(step as usize).map(|slot| &slot.run)
    }

    /// How many steps there are.
    fn size(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// The steps that wait for this one, in no particular order.
    fn dependents(&self, step: u32) -> impl Iterator<Item = u32> + '_ {
        self.plan.dependents(step)
    }

    /// Whether the substitute may take a step over: it is not finished, and no attempt at it runs.
    fn may_be_handed_over(&self, step: u32) -> bool {
        use StepState::{InDoubt, Pending, Waiting};
        self.step(step).is_some_and(|(def, run)| {
            def.substitute.is_some() && !run.handed && matches!(run.state, Pending | Waiting | InDoubt)
        })
    }

    /// When the saga has gone forward long enough.
    fn time_over(&self) -> Option<Micros> {
        self.limits.within.map(Micros::of)
    }

    /// Whether a step that did not get where it should is borne: something waits for it, and everything that
    /// does still gets what it needs.
    fn is_borne(&self, step: u32) -> bool {
        let reachable = |dependent: u32| {
            self.step(dependent).is_some_and(|(def, run)| {
                let alive = |&&after: &&u32| self.run(after).is_some_and(|run| !is_lost(run.state));
                run.state != StepState::Pending || def.after.iter().filter(alive).count() >= def.needs()
            })
        };
        let mut dependents = self.dependents(step).peekable();
        dependents.peek().is_some() && dependents.all(reachable)
    }

    /// The first step whose loss is not borne. Costs nothing where no step is lost.
    #[inline]
    fn fatal(&self) -> Option<Cause> {
        if self.tally.lost() == 0 { None } else { self.first_fatal() }
    }

    fn first_fatal(&self) -> Option<Cause> {
        (0u32..).zip(self.runs()).find_map(|(step, run)| match run.state {
            StepState::Assumed => Some(Cause::InDoubt { step }),
            state if !is_lost(state) || self.is_borne(step) => None,
            StepState::Denied => Some(Cause::Denied { step }),
            _ => Some(Cause::Failed { step }),
        })
    }

    /// Whether every step is where it can stay in a completed saga, as long as nothing is fatal.
    fn all_settled(&self) -> bool {
        use StepState::{Committed, Denied, Failed};
        self.tally.sum(&[Committed, Failed, Denied]) == self.size()
    }

    /// Whether a pending step has what it waits for.
    fn is_ready(&self, step: u32) -> bool {
        let at = step as usize;
        let met = self.slots.get(at).map_or(0, |slot| slot.met as usize);
        self.plan.get(at).is_some_and(|def| met >= def.needs())
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

    /// Copies about 80 bytes per step; apart from that it costs time in proportion to what follows, and to
    /// the number of steps where some wait or are lost.
    fn decide(&self, command: &SagaCommand, now: Timestamp) -> Result<Vec<SagaEvent>, SagaDenial> {
        self.decide_holding(command, &[], now).map(|decided| decided.events)
    }

    fn apply(&mut self, event: &SagaEvent) -> Result<(), Illegal> {
        self.apply_event(event)
    }

    fn compact(&self) -> Vec<SagaEvent> {
        self.snapshot()
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
