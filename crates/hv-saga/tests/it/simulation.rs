//! A world that a saga acts on: it knows what really happened, which the saga only learns from reports.

use hv_saga::{
    Attempt, AttemptRef, Class, Decided, Failure, Idempotence, Move, Plan, ProbeAnswer, Purpose, Reason,
    Report, Retry, Saga, SagaCommand, SagaEvent, SagaState, StepDef, StepState, Task, Verdict,
};
use hv_types::{ActionId, ActionKind, Did, Machine, SagaId, SessionId, StepId, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What one attempt to execute or undo does, and what it reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Happens, and says so.
    Done,
    /// Does not happen, and may be tried again.
    Retryable,
    /// Does not even begin, and may be tried again.
    Unbegun,
    /// Does not happen, and never will.
    Permanent,
    /// Happens, and reports a failure: only a step with a probe may do so.
    Dirty,
    /// Happens, and nobody hears.
    LostDone,
    /// Does not happen, and nobody hears.
    LostNot,
    /// Nobody hears, and it happens [`LATE`] after nobody waits for it any more: as a request that was given up.
    Late,
}

/// How late what was given up happens at most: the steps of which it may say that they settle within so long.
pub(crate) const LATE: Duration = Duration::from_millis(30);

/// What a probe says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    Truth,
    Blind,
}

/// The fate of one step: the n-th attempt does the n-th thing, and the last thing for ever.
#[derive(Debug, Clone)]
pub(crate) struct Fate {
    pub(crate) execute: Vec<Act>,
    pub(crate) undo: Vec<Act>,
    pub(crate) probe: Vec<Sight>,
    /// The gate refuses the step's own agent.
    pub(crate) refused: bool,
    /// The gate refuses its substitute as well.
    pub(crate) refused_again: bool,
}

impl Fate {
    pub(crate) fn of(execute: Act, undo: Act) -> Self {
        Self {
            execute: vec![execute],
            undo: vec![undo],
            probe: vec![Sight::Truth],
            refused: false,
            refused_again: true,
        }
    }
}

fn nth<T: Copy>(list: &[T], number: u32) -> T {
    list[(number as usize - 1).min(list.len() - 1)]
}

/// What is really there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) there: Vec<bool>,
    /// How often the effect came to be.
    pub(crate) made: Vec<u32>,
    /// How often it was taken away.
    pub(crate) taken: Vec<u32>,
    /// What still happens: when, to which step, and whether the key keeps it from happening again.
    pub(crate) coming: Vec<(Timestamp, usize, bool)>,
}

impl World {
    fn new(steps: usize) -> Self {
        Self { there: vec![false; steps], made: vec![0; steps], taken: vec![0; steps], coming: Vec::new() }
    }

    /// What comes late and is due happens.
    fn goes_on(&mut self, now: Timestamp) {
        for (at, step, keyed) in std::mem::take(&mut self.coming) {
            if at > now {
                self.coming.push((at, step, keyed));
            } else if !(self.there[step] || keyed && self.made[step] > 0) {
                self.there[step] = true;
                self.made[step] += 1;
            }
        }
    }

    fn perform(&mut self, def: &StepDef, fate: &Fate, at: AttemptRef, now: Timestamp) -> Verdict {
        self.goes_on(now);
        let step = at.step as usize;
        if at.purpose == Purpose::Probe {
            return Verdict::Answer(match (nth(&fate.probe, at.number), self.there[step]) {
                (Sight::Blind, _) => ProbeAnswer::Unknown,
                (Sight::Truth, true) => ProbeAnswer::Present,
                (Sight::Truth, false) => ProbeAnswer::Absent,
            });
        }
        let undo = at.purpose == Purpose::Undo;
        let act = nth(if undo { &fate.undo } else { &fate.execute }, at.number);
        if act == Act::Late && def.has_effect() {
            self.coming.push((now.after(LATE), step, def.idempotent.covers(Purpose::Execute)));
        }
        if matches!(act, Act::Done | Act::Dirty | Act::LostDone) {
            let counts = def.has_effect() && self.there[step] == undo;
            if counts && undo {
                self.taken[step] += 1;
            } else if counts {
                self.made[step] += 1;
            }
            assert!(
                undo || !def.has_effect()
                    || counts
                    || def.idempotent.covers(Purpose::Execute)
                    || retried(def),
                "step {step} was done twice"
            );
            self.there[step] = !undo && def.has_effect();
        }
        let failed = |class, reason| Verdict::Failed(Failure::new(class, reason));
        match act {
            Act::Done => Verdict::Done,
            Act::Retryable | Act::Dirty => failed(Class::Retryable, Reason::Exit { code: 1 }),
            Act::Unbegun => failed(Class::Retryable, Reason::NotConnected),
            Act::Permanent => failed(Class::Permanent, Reason::Exit { code: 127 }),
            Act::LostDone | Act::LostNot | Act::Late => failed(Class::Unknown, Reason::TimedOut),
        }
    }
}

/// Whether the definition itself asks to run a failed step again without looking.
fn retried(def: &StepDef) -> bool {
    def.retry.max > 0 && def.probe.is_some()
}

/// What happens next in a world.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Turn {
    /// The n-th of the running attempts ends.
    End(usize),
    /// The supervisor ends; the n-th bit tells whether the n-th running attempt still has its effect.
    Crash(u64),
    /// Somebody cancels.
    Cancel,
    /// Somebody pauses it.
    Pause,
    /// Somebody resumes it.
    Resume,
    /// An agent must not go on.
    Relieve(&'static str),
    /// The n-th of the running attempts ends, and the supervisor stops before anything follows.
    Stop(usize),
}

/// A saga, its world, and everything that was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) saga: Saga,
    pub(crate) world: World,
    pub(crate) fates: Vec<Fate>,
    pub(crate) now: Timestamp,
    pub(crate) events: Vec<SagaEvent>,
    /// The world after so many events.
    pub(crate) worlds: Vec<World>,
    /// What is wrong with the supervisor.
    pub(crate) bug: Option<Bug>,
}

/// A defect that a supervisor of sagas can have, put back on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A step whose end nobody saw counts as one that did nothing.
    DoubtForgotten,
    /// An undo that failed is reported as one that worked.
    UndoBelieved,
    /// After a crash, what was running is simply started again.
    CrashRetried,
    /// The last record before a crash is lost.
    RecordLost,
    /// A finished saga stays running.
    NeverFinished,
    /// Steps are undone in the order in which they were declared.
    UndoInOrder,
    /// One step is left out of the way back.
    UndoLeftOut,
    /// A probe's answer is turned round.
    ProbeInverted,
    /// A step starts although what it waits for has not committed.
    StartedEarly,
    /// A doubt is settled although what was begun may still go on.
    SettledEarly,
}

impl Bug {
    fn in_report(self, at: AttemptRef, verdict: Verdict) -> Verdict {
        let permanent = Verdict::Failed(Failure::new(Class::Permanent, Reason::CannotTell));
        match (self, at.purpose, &verdict) {
            (Self::DoubtForgotten, Purpose::Execute, Verdict::Failed(failure))
                if failure.class == Class::Unknown =>
            {
                permanent
            }
            (Self::UndoBelieved, Purpose::Undo, _) => Verdict::Done,
            (Self::ProbeInverted, _, Verdict::Answer(ProbeAnswer::Present)) => {
                Verdict::Answer(ProbeAnswer::Absent)
            }
            (Self::ProbeInverted, _, Verdict::Answer(ProbeAnswer::Absent)) => {
                Verdict::Answer(ProbeAnswer::Present)
            }
            _ => verdict,
        }
    }

    fn in_events(self, saga: &Saga, events: &mut Vec<SagaEvent>) {
        let undo = |event: &SagaEvent| matches!(event, SagaEvent::Started { purpose: Purpose::Undo, .. });
        match self {
            Self::NeverFinished => events.retain(|event| !matches!(event, SagaEvent::Finished { .. })),
            Self::UndoInOrder => {
                let first = saga.commit_order().min();
                for event in events.iter_mut() {
                    if let (SagaEvent::Started { purpose: Purpose::Undo, step, number: 1, .. }, Some(first)) =
                        (event, first)
                    {
                        *step = first;
                    }
                }
            }
            Self::UndoLeftOut if saga.undo_order().count() == 1 => events.retain(|event| !undo(event)),
            Self::StartedEarly => {
                for event in events.iter_mut() {
                    if let SagaEvent::Started { purpose: Purpose::Execute, step, number: 1, .. } = event {
                        *step = saga.steps().len().saturating_sub(1) as u32;
                    }
                }
            }
            _ => {}
        }
    }
}

impl Run {
    pub(crate) fn new(plan: Plan, fates: Vec<Fate>) -> Self {
        Self::with(plan, fates, None)
    }

    /// The same of a supervisor that has a defect from the start.
    pub(crate) fn with(plan: Plan, fates: Vec<Fate>, bug: Option<Bug>) -> Self {
        let early = |def: &Arc<StepDef>| Arc::new((**def).clone().with_settles(Duration::ZERO));
        let plan = match bug {
            Some(Bug::SettledEarly) => {
                let steps: Vec<_> = plan.steps.iter().map(early).collect();
                Plan { steps: steps.into(), ..plan }
            }
            _ => plan,
        };
        let world = World::new(plan.steps.len());
        let mut run = Self {
            saga: Saga::default(),
            worlds: vec![world.clone()],
            bug: None,
            world,
            fates,
            now: Timestamp(1_000_000),
            events: Vec::new(),
        };
        run.commit(SagaCommand::begin(plan));
        run
    }

    /// Decides as a host does: what the gate refuses is decided again.
    pub(crate) fn commit(&mut self, mut command: SagaCommand) {
        let (session, saga) = (SessionId::new("s").unwrap(), SagaId::new("g").unwrap());
        let events = loop {
            let Decided { events, after } = self.saga.decide_holding(&command, &[], self.now).unwrap();
            let mut applied = self.saga.clone();
            events.iter().for_each(|event| applied.apply(event).unwrap());
            assert_eq!(applied, after, "what was decided is what is recorded");
            let starts = self.saga.starts(&session, &saga, &events);
            let started = events.iter().filter(|event| matches!(event, SagaEvent::Started { .. })).count();
            assert_eq!(starts.len(), started, "every start gives an attempt");
            let refused = |start: &&Attempt| {
                let fate = &self.fates[start.ordinal as usize];
                let own = start.agent == Did::new("did:mesh:a").unwrap();
                if own { fate.refused } else { fate.refused_again }
            };
            let refused: Vec<u32> = starts
                .iter()
                .filter(|start| start.purpose == Purpose::Execute)
                .filter(refused)
                .map(|start| start.ordinal)
                .collect();
            match command.refused_mut() {
                Some(known) if !refused.is_empty() => known.extend(refused),
                _ => {
                    assert!(refused.is_empty());
                    break events;
                }
            }
        };
        let mut events = events;
        if let Some(bug) = self.bug {
            bug.in_events(&self.saga, &mut events);
        }
        for event in events {
            let before = self.saga.clone();
            assert!(self.bug.is_some() || before.unlike(&event).is_none(), "{event:?}");
            self.saga.apply(&event).unwrap_or_else(|error| panic!("{error}: {event:?}"));
            check_undo_order(&before, &event);
            self.events.push(event);
            self.worlds.push(self.world.clone());
        }
    }

    /// Goes on until the saga has ended. The schedule is asked with the number of running attempts.
    pub(crate) fn finish(&mut self, mut schedule: impl FnMut(usize) -> Turn) {
        for _ in 0..100_000 {
            if self.saga.state().is_terminal() {
                return;
            }
            let running: Vec<_> = self.saga.running().collect();
            if running.is_empty() && self.saga.is_paused() && self.saga.next_wake().is_none() {
                self.commit(SagaCommand::Resume { refused: vec![] });
                continue;
            }
            if running.is_empty() {
                let wake = self.saga.next_wake().expect("a saga with nothing to wait for hangs");
                assert!(wake > self.now, "what is due has started");
                self.now = wake;
                self.commit(SagaCommand::advance());
                continue;
            }
            self.now = self.now.after(Duration::from_millis(3));
            match schedule(running.len()) {
                Turn::End(n) => {
                    let attempt = running[n % running.len()];
                    let verdict = self.perform(attempt);
                    self.commit(Report::of(attempt, verdict).into());
                }
                Turn::Crash(effects) => self.crash(effects),
                Turn::Cancel => self.commit(SagaCommand::Cancel),
                Turn::Pause if self.saga.state() == SagaState::Running => self.commit(SagaCommand::Pause),
                Turn::Resume if self.saga.state() == SagaState::Running => {
                    self.commit(SagaCommand::Resume { refused: vec![] });
                }
                Turn::Pause | Turn::Resume => {}
                Turn::Relieve(agent) => self.relieve(&Did::new(agent).unwrap()),
                Turn::Stop(n) => {
                    let attempt = running[n % running.len()];
                    let verdict = self.perform(attempt);
                    self.commit(SagaCommand::Record { report: Report::of(attempt, verdict) });
                    self.crash(0);
                }
            }
        }
        panic!("the saga does not end: {:?}", self.saga);
    }

    /// What the agent executes is stopped before or after it had its effect; later the gate refuses it.
    fn relieve(&mut self, agent: &Did) {
        for attempt in self.saga.running().collect::<Vec<_>>() {
            let own = self.saga.agent(attempt.step) == Some(agent);
            if own && attempt.purpose == Purpose::Execute && self.now.0.is_multiple_of(2) {
                self.perform(attempt);
            }
        }
        for (step, fate) in (0u32..).zip(&mut self.fates) {
            fate.refused |= self.saga.steps()[step as usize].agent == *agent;
        }
        self.commit(SagaCommand::Relieve { agent: agent.clone(), refused: vec![] });
    }

    pub(crate) fn perform(&mut self, attempt: AttemptRef) -> Verdict {
        let def = Arc::clone(self.saga.step(attempt.step).unwrap().0);
        let fate = &self.fates[attempt.step as usize];
        let verdict = self.world.perform(&def, fate, attempt, self.now);
        match self.bug {
            Some(bug) => bug.in_report(attempt, verdict),
            None => verdict,
        }
    }

    /// Loses the memory of the supervisor, and takes the saga up again from what was recorded.
    pub(crate) fn crash(&mut self, effects: u64) {
        for (n, attempt) in self.saga.running().collect::<Vec<_>>().into_iter().enumerate() {
            if effects >> (n % 64) & 1 == 1 {
                self.perform(attempt);
            }
        }
        if self.bug == Some(Bug::RecordLost) {
            self.events.pop();
        }
        let recovered = replay(&self.events);
        assert_eq!(recovered, self.saga, "S4: the record makes the state");
        self.saga = recovered;
        if self.bug == Some(Bug::CrashRetried) {
            for attempt in self.saga.running().collect::<Vec<_>>() {
                let failed = Verdict::Failed(Failure::new(Class::Retryable, Reason::Crashed));
                self.commit(Report::of(attempt, failed).into());
            }
        }
        self.commit(SagaCommand::recover());
    }

    /// S1: what has become of every step.
    pub(crate) fn check_end(&self) {
        let state = self.saga.state();
        let mut failed = false;
        let mut world = self.world.clone();
        world.goes_on(Timestamp::MAX);
        for (step, run) in self.saga.runs().enumerate() {
            let (there, def) = (world.there[step], &self.saga.steps()[step]);
            failed |= run.state == StepState::CompensationFailed;
            match state {
                SagaState::Completed => assert_eq!(
                    there,
                    run.state == StepState::Committed && def.has_effect(),
                    "S1: step {step} of a completed saga is {:?}",
                    run.state
                ),
                SagaState::Compensated => assert!(!there, "S1: step {step} is not undone: {:?}", run.state),
                SagaState::Escalated => assert!(
                    !there || run.state == StepState::CompensationFailed,
                    "S1: nobody knows about step {step}: {:?}",
                    run.state
                ),
                state => panic!("{state} is no end"),
            }
            assert!(world.taken[step] <= world.made[step], "S1: undone once at most");
            assert!(!run.state.is_running());
        }
        assert_eq!(failed, state == SagaState::Escalated);
        // S3: nothing more happens.
        for command in [SagaCommand::advance(), SagaCommand::recover()] {
            assert_eq!(self.saga.decide(&command, Timestamp::MAX), Ok(vec![]));
        }
        assert!(self.saga.decide(&SagaCommand::Cancel, self.now).is_err());
        assert_eq!(self.saga.next_wake(), None);
        // A snapshot is as good as the record.
        assert_eq!(replay(&self.saga.compact()), self.saga);
    }
}

/// The saga that a record makes.
pub(crate) fn replay(events: &[SagaEvent]) -> Saga {
    let mut saga = Saga::default();
    for event in events {
        saga.apply(event).unwrap_or_else(|error| panic!("{error}: {event:?}"));
    }
    saga
}

/// S2, said in another way than the machine says it: what is taken up for undo is the last committed of what
/// is left, and everything that depends on it and committed after it is settled.
fn check_undo_order(before: &Saga, event: &SagaEvent) {
    let step = match event {
        SagaEvent::Started { step, purpose: Purpose::Undo, .. } => *step,
        SagaEvent::Moved { step, to: Move::UndoFailed { .. }, .. } => *step,
        _ => return,
    };
    let first = matches!(before.step(step).unwrap().1.state, StepState::Committed | StepState::Assumed);
    let order: Vec<u32> = before.commit_order().collect();
    let place = order.iter().position(|&other| other == step).expect("what is undone has committed");
    let taken_up: BTreeSet<u32> = before.undo_order().collect();
    for (later, &other) in order.iter().enumerate().skip(place + 1) {
        assert!(!first || taken_up.contains(&other), "S2: {other} committed after {step} (place {later})");
        let settled = matches!(
            before.step(other).unwrap().1.state,
            StepState::Compensated | StepState::CompensationFailed
        );
        let starts = matches!(event, SagaEvent::Started { .. });
        assert!(!starts || settled || !depends(before, other, step), "S2: {other} depends on {step}");
    }
}

fn depends(saga: &Saga, step: u32, on: u32) -> bool {
    step == on || saga.steps()[step as usize].after.iter().any(|&after| depends(saga, after, on))
}

/// A step with the given name that may be undone.
pub(crate) fn step(name: usize, after: Vec<u32>) -> StepDef {
    let id = StepId::new(&format!("step{name}")).unwrap();
    let (action, agent) = (ActionId::new("act").unwrap(), Did::new("did:mesh:a").unwrap());
    let retry = Retry { max: 0, base: Duration::from_millis(10), cap: Duration::from_millis(100) };
    let task = Task::closure("x");
    StepDef {
        after,
        retry,
        undo_retry: retry,
        ..StepDef::new(id, action, agent, task.clone()).with_undo(task)
    }
}

/// How steps are declared, in all the ways that change what is done about a doubt.
pub(crate) fn declared(def: StepDef, kind: usize) -> StepDef {
    let probed = def.clone().with_probe(Task::closure("x"));
    match kind {
        0 => def,
        1 => probed,
        2 => StepDef { idempotent: Idempotence::Both, ..def },
        3 => StepDef { undo: None, ..def },
        4 => StepDef { idempotent: Idempotence::Both, ..probed },
        _ => StepDef { kind: ActionKind::ReadOnly, undo: None, ..def },
    }
}

/// Numbers that are the same every time (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides.max(1) as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }
}

/// Whether the long runs are asked for.
pub(crate) fn deep() -> bool {
    std::env::var_os("HV_DEEP").is_some()
}
