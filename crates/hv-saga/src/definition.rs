//! A saga as data: its steps, what they wait for, and the limits that hold for all of them.

use crate::retry::Retry;
use crate::steps::Steps;
use crate::task::{Task, TaskProblem};
use crate::{ActionId, ActionKind, Did, Purpose, StepId};
use core::fmt;
use core::time::Duration;
use hv_types::Counted;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Limits on what a definition may hold, each with its unit in the name or in its first line.
pub mod limits {
    use core::time::Duration;

    /// Steps in one saga, appended ones included.
    pub const STEPS: usize = 1000;
    /// Attempts of one saga that may run at the same time.
    pub const CONCURRENCY: u32 = 1024;
    /// Repetitions of one task after its first attempt.
    pub const RETRIES: u32 = 100;
    /// The longest timeout of one attempt, the longest time for what it began to settle, and the longest time for a whole
    /// saga: seven days.
    pub const TIMEOUT: Duration = Duration::from_secs(604_800);
    /// The longest wait before a repetition: one day.
    pub const DELAY: Duration = Duration::from_secs(86_400);
    /// The longest undo window: one day.
    pub const UNDO_WINDOW: Duration = Duration::from_secs(86_400);
    /// How long a request may go on at most of which nothing is said, once nobody waits for its answer any more.
    pub const SETTLES: Duration = Duration::from_secs(30);
    /// Crashes of the supervisor that give a step another attempt beyond its retries.
    pub const CRASHES: u32 = 16;
    /// Arguments of one program.
    pub const ARGV: usize = 1024;
    /// Bytes in all arguments of one program together.
    pub const ARGV_BYTES: usize = 131_072;
    /// Environment variables declared for one program.
    pub const ENV: usize = 256;
    /// Bytes of one variable or header, its name included.
    pub const VALUE_BYTES: usize = 65_536;
    /// Headers of one request.
    pub const HEADERS: usize = 64;
    /// Bytes of a URL.
    pub const URL_BYTES: usize = 2048;
    /// Bytes of a request body or of a program's input, as far as it stands in the definition.
    pub const BODY_BYTES: usize = 1_048_576;
    /// Bytes of a closure's name.
    pub const CLOSURE_NAME_BYTES: usize = 256;
    /// Bytes of a free text that an executor gives as the reason for a failure.
    pub const REASON_BYTES: usize = 512;
}

/// How long a task may take of which nothing is said. Records rest on it: another one would read them in another way.
pub(crate) const USUAL_TIMEOUT: Duration = Duration::from_secs(300);

/// One step: who does what, after what, and how it is executed, undone and asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepDef {
    /// Its name, unique in the saga.
    pub id: StepId,
    /// The action that the gate is asked about.
    pub action: ActionId,
    /// What sort of action that is, as registered. A read-only step needs no undo and may be repeated; so
    /// whoever builds the definition takes this from the registry and never from the step itself.
    pub kind: ActionKind,
    /// Who does it.
    pub agent: Did,
    /// Ordinals of earlier steps that this one waits for.
    pub after: Vec<u32>,
    /// How many of them must have committed.
    pub join: Join,
    /// What is done.
    pub execute: Arc<Task>,
    /// What takes it back. A committed step without one cannot be compensated: the saga escalates.
    pub undo: Option<Arc<Task>>,
    /// What finds out, without changing anything, whether the effect is there.
    pub probe: Option<Arc<Task>>,
    /// What may be repeated under the same idempotency key when its outcome is unknown.
    pub idempotent: Idempotence,
    /// How long an attempt to execute, or a probe, may take.
    pub timeout: Duration,
    /// How often and how soon a failed execution is repeated.
    pub retry: Retry,
    /// How long an attempt to undo may take.
    pub undo_timeout: Duration,
    /// How often and how soon a failed undo, or a probe without an answer, is repeated.
    pub undo_retry: Retry,
    /// How long after the commit the undo still works; always where there is no value. Where it may be over before the undo
    /// can begin, because a step starts or runs that may last longer, or that depends on this one and is undone before it,
    /// [`SagaEvent::Expiring`](crate::SagaEvent::Expiring) says so.
    pub undo_window: Option<Duration>,
    /// Who takes the step over where the gate refuses its agent, also behind its answer, or its agent is relieved, before it
    /// has committed. The gate judges this agent anew. Nobody where there is no value: then the step is denied,
    /// or settled as any other in doubt.
    pub substitute: Option<Did>,
    /// How long what an attempt to execute has begun may go on after nobody waits for its answer any more, 0 to
    /// [`limits::TIMEOUT`]. What settles the doubt about such an attempt waits for so long: the probe, or that the step
    /// is treated as done and undone. An execution that may be repeated in doubt is repeated without it. Where there is
    /// no value, [`settles_within`](Self::settles_within) says how long that is.
    pub settles: Option<Duration>,
    /// How long all attempts to execute the step may take together, with the waits between them, 1 ms to
    /// [`limits::TIMEOUT`] from the start of the first one on; as long as its retries and timeouts allow where there is
    /// no value. None starts later, and the last one is cut off then as by its [`timeout`](Self::timeout). Pauses and
    /// interruptions are included. What settles a doubt about it (a probe, an undo) is not limited by it.
    pub within: Option<Duration>,
    /// How long the step may be ready and wait for its turn, because as many attempts run as
    /// [may](Limits::concurrency), whoever drives the saga holds it back, or the saga is paused: 1 ms to
    /// [`limits::TIMEOUT`]; for as long as it takes where there is no value. It counts from the commit of the last step
    /// that it needed, and where it needs none from the creation of the saga. Then it fails and has left nothing behind.
    pub start_within: Option<Duration>,
}

impl StepDef {
    /// A step that waits for nothing, changes something, takes at most 300 s, and is neither repeated nor
    /// undone nor probed.
    #[must_use]
    pub fn new(id: StepId, action: ActionId, agent: Did, execute: Task) -> Self {
        Self {
            id,
            action,
            kind: ActionKind::Effect,
            agent,
            after: Vec::new(),
            join: Join::All,
            execute: Arc::new(execute),
            undo: None,
            probe: None,
            idempotent: Idempotence::None,
            timeout: USUAL_TIMEOUT,
            retry: Retry::NONE,
            undo_timeout: USUAL_TIMEOUT,
            undo_retry: Retry::NONE,
            undo_window: None,
            substitute: None,
            settles: None,
            within: None,
            start_within: None,
        }
    }

    /// The same with an undo.
    #[must_use]
    pub fn with_undo(self, undo: Task) -> Self {
        Self { undo: Some(Arc::new(undo)), ..self }
    }

    /// The same with a probe.
    #[must_use]
    pub fn with_probe(self, probe: Task) -> Self {
        Self { probe: Some(Arc::new(probe)), ..self }
    }

    /// What is done for this purpose; nothing where the step does not say.
    #[must_use]
    pub const fn task(&self, purpose: Purpose) -> Option<&Arc<Task>> {
        match purpose {
            Purpose::Execute => Some(&self.execute),
            Purpose::Undo => self.undo.as_ref(),
            Purpose::Probe => self.probe.as_ref(),
        }
    }

    /// How long one attempt for this purpose may take.
    #[must_use]
    pub const fn timeout(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Execute | Purpose::Probe => self.timeout,
            Purpose::Undo => self.undo_timeout,
        }
    }

    /// How long what an attempt to execute has begun may go on after nobody waits for its answer any more:
    /// [`settles`](Self::settles), and where that says nothing the [`timeout`](Self::timeout) of a request, at most
    /// [`limits::SETTLES`]. A program is stopped and a function dropped before their end is reported, so nothing of them
    /// goes on.
    #[must_use]
    pub fn settles_within(&self) -> Duration {
        match (self.settles, &*self.execute) {
            (Some(settles), _) => settles,
            (None, Task::Http(_)) => self.timeout.min(limits::SETTLES),
            (None, Task::Command(_) | Task::Closure { .. }) => Duration::ZERO,
        }
    }

    /// How often a task for this purpose is repeated.
    #[must_use]
    pub const fn retry(&self, purpose: Purpose) -> Retry {
        match purpose {
            Purpose::Execute => self.retry,
            Purpose::Undo | Purpose::Probe => self.undo_retry,
        }
    }

    /// How many of [`after`](Self::after) must have committed before the step may start.
    #[must_use]
    pub fn needs(&self) -> usize {
        match self.join {
            Join::All => self.after.len(),
            Join::Majority => self.after.len() / 2 + usize::from(!self.after.is_empty()),
            Join::AtLeast(count) => count as usize,
        }
    }

    /// The same with somebody who takes it over where its agent must not, or cannot go on.
    #[must_use]
    pub fn with_substitute(self, substitute: Did) -> Self {
        Self { substitute: Some(substitute), ..self }
    }

    /// The same where what it has begun may go on for so long after nobody waits for its answer any more.
    #[must_use]
    pub fn with_settles(self, settles: Duration) -> Self {
        Self { settles: Some(settles), ..self }
    }

    /// The same where all attempts to execute it may take so long together.
    #[must_use]
    pub fn with_within(self, within: Duration) -> Self {
        Self { within: Some(within), ..self }
    }

    /// The same where it may wait for its turn for so long.
    #[must_use]
    pub fn with_start_within(self, start_within: Duration) -> Self {
        Self { start_within: Some(start_within), ..self }
    }

    /// How long an attempt for this purpose may take that starts so long after the first execution did: its
    /// [`timeout`](Self::timeout), and of an execution not more than is left of [`within`](Self::within).
    #[must_use]
    pub fn time_left(&self, purpose: Purpose, passed: Duration) -> Duration {
        let timeout = self.timeout(purpose);
        match self.within {
            Some(within) if purpose == Purpose::Execute => timeout.min(within.saturating_sub(passed)),
            _ => timeout,
        }
    }

    /// Whether the step can leave something behind.
    #[must_use]
    pub fn has_effect(&self) -> bool {
        self.kind != ActionKind::ReadOnly
    }

    /// Checks the step as number `ordinal` of its saga, by itself.
    fn check(&self, ordinal: usize) -> Result<(), PlanError> {
        let id = || self.id.clone();
        if let Some(&after) = self.after.iter().find(|&&after| after as usize >= ordinal) {
            return Err(PlanError::AfterLater { step: id(), after });
        }
        if has_twice(&self.after) {
            return Err(PlanError::AfterTwice { step: id() });
        }
        let needs = self.needs();
        if needs > self.after.len() || (needs == 0 && !self.after.is_empty()) {
            return Err(PlanError::Join { step: id(), needs, of: self.after.len() });
        }
        for purpose in [Purpose::Execute, Purpose::Undo, Purpose::Probe] {
            let timeout = self.timeout(purpose);
            if timeout < Duration::from_millis(1) || timeout > limits::TIMEOUT {
                return Err(PlanError::Timeout { step: id(), purpose, given: timeout });
            }
            let retry = self.retry(purpose);
            if retry.max > limits::RETRIES {
                return Err(PlanError::Retries { step: id(), purpose, given: retry.max });
            }
            if retry.base > retry.cap || retry.cap > limits::DELAY {
                return Err(PlanError::Delay { step: id(), purpose, given: retry });
            }
            if let Some(problem) = self.task(purpose).and_then(|task| task.check().err()) {
                return Err(PlanError::Task { step: id(), purpose, problem });
            }
        }
        if self.substitute.as_ref() == Some(&self.agent) {
            return Err(PlanError::Substitute { step: id() });
        }
        if let Some(given) = self.settles.filter(|settles| *settles > limits::TIMEOUT) {
            return Err(PlanError::Settles { step: id(), given });
        }
        for (limit, given) in [(StepLimit::Within, self.within), (StepLimit::StartWithin, self.start_within)]
        {
            let range = Duration::from_millis(1)..=limits::TIMEOUT;
            if let Some(given) = given.filter(|given| !range.contains(given)) {
                return Err(PlanError::StepLimit { step: id(), limit, given });
            }
        }
        match self.undo_window {
            Some(given) if given.is_zero() || given > limits::UNDO_WINDOW => {
                Err(PlanError::UndoWindow { step: id(), given })
            }
            _ => Ok(()),
        }
    }
}

/// A limit of a step over its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepLimit {
    /// [`StepDef::within`].
    Within,
    /// [`StepDef::start_within`].
    StartWithin,
}

/// How many of the steps that a step waits for must have committed.
///
/// A step that fails for good is borne where every step that waits for it can still get what it needs;
/// otherwise, and where nothing waits for it or it may have left something behind, the saga is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Join {
    /// All of them.
    #[default]
    All,
    /// More than half of them.
    Majority,
    /// At least so many, from 1 to all.
    AtLeast(u32),
}

/// What may be repeated under the same idempotency key when nobody knows whether it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Idempotence {
    /// Nothing.
    #[default]
    None,
    /// The execution.
    Execute,
    /// The undo.
    Undo,
    /// Both.
    Both,
}

impl Idempotence {
    /// Whether a task for this purpose may be repeated. A probe changes nothing and always may.
    #[must_use]
    pub const fn covers(self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Execute => matches!(self, Self::Execute | Self::Both),
            Purpose::Undo => matches!(self, Self::Undo | Self::Both),
            Purpose::Probe => true,
        }
    }
}

/// A whole saga, as it is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps; a step's ordinal is its place in this list.
    pub steps: Steps,
    /// What the waits before repetitions are drawn from.
    pub seed: u64,
    /// Limits for the saga as a whole.
    pub limits: Limits,
    /// Whether steps start by themselves.
    pub pace: Pace,
    /// Whether steps may follow.
    pub growth: Growth,
}

impl Plan {
    /// These steps and no more, each started as soon as it is ready.
    #[must_use]
    pub fn new(steps: Vec<Arc<StepDef>>) -> Self {
        Self::of(steps.into())
    }

    /// The same of steps that many sagas have: what follows from them was found out when they were put together, so it
    /// costs the same however many there are.
    #[must_use]
    pub fn of(steps: Steps) -> Self {
        Self { steps, seed: 0, limits: Limits::default(), pace: Pace::AsReady, growth: Growth::Sealed }
    }

    /// No steps yet; they are appended while the saga runs.
    #[must_use]
    pub fn open() -> Self {
        Self { growth: Growth::Open, ..Self::new(Vec::new()) }
    }

    /// Checks the definition as a whole.
    ///
    /// # Errors
    /// The first [`PlanError`], in the order of the steps. Whether there is one among the steps was found out when they
    /// were put together.
    pub fn check(&self) -> Result<(), PlanError> {
        self.limits.check()?;
        if self.steps.are_legal() { Ok(()) } else { check_steps(&[], &self.steps) }
    }
}

/// Checks steps that are to follow others.
pub(crate) fn check_steps(before: &[Arc<StepDef>], steps: &[Arc<StepDef>]) -> Result<(), PlanError> {
    let total = before.len() + steps.len();
    if total > limits::STEPS {
        return Err(PlanError::TooManySteps { given: total });
    }
    for (n, step) in steps.iter().enumerate() {
        step.check(before.len() + n)?;
    }
    // A handful of names is compared faster than it is sorted.
    let twice = if steps.len() <= 8 {
        let earlier = |n| before.iter().chain(steps.iter().take(n));
        steps
            .iter()
            .enumerate()
            .find(|(n, step)| earlier(*n).any(|other| other.id == step.id))
            .map(|(_, s)| s)
    } else {
        let mut seen: BTreeSet<_> = before.iter().map(|step| &step.id).collect();
        steps.iter().find(|step| !seen.insert(&step.id))
    };
    match twice {
        Some(step) => Err(PlanError::DuplicateStep { id: step.id.clone() }),
        None => Ok(()),
    }
}

/// Whether a number stands in a list twice.
fn has_twice(list: &[u32]) -> bool {
    match list {
        [] | [_] => false,
        [a, b] => a == b,
        _ => list.iter().collect::<BTreeSet<_>>().len() < list.len(),
    }
}

/// Limits for a saga as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attempts that may run at the same time, 1 to [`limits::CONCURRENCY`]; 8 where nothing is said.
    pub concurrency: u32,
    /// Repetitions of executions over all steps; as many as the steps allow where nothing is said. Undo is
    /// not limited by it.
    pub retries: u32,
    /// How long after its creation the saga still goes forward, up to [`limits::TIMEOUT`]; then it is undone. An attempt that
    /// runs then goes on as long as its step lets it.
    pub within: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 8, retries: u32::MAX, within: None }
    }
}

impl Limits {
    pub(crate) fn check(self) -> Result<(), PlanError> {
        if self.concurrency == 0 || self.concurrency > limits::CONCURRENCY {
            return Err(PlanError::Concurrency { given: self.concurrency });
        }
        match self.within {
            Some(given) if given.is_zero() || given > limits::TIMEOUT => Err(PlanError::Within { given }),
            _ => Ok(()),
        }
    }
}

/// Whether steps start by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// Each as soon as what it waits for has committed.
    #[default]
    AsReady,
    /// Each when it is asked for by [`SagaCommand::Start`](crate::SagaCommand::Start); its repetitions, its
    /// probe and its undo still come by themselves. What was done is undone one step at a time, the last to commit
    /// first: whoever asked for a step knew what came of those before it.
    Asked,
}

/// Whether steps may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Growth {
    /// Steps may be appended until the saga is sealed.
    Open,
    /// These are all.
    #[default]
    Sealed,
}

/// Why a definition is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanError {
    /// More steps than [`limits::STEPS`].
    TooManySteps {
        /// How many there would be.
        given: usize,
    },
    /// Two steps of one name.
    DuplicateStep {
        /// The name.
        id: StepId,
    },
    /// A step waits for itself, for a later one, or for one that does not exist.
    AfterLater {
        /// The step.
        step: StepId,
        /// The ordinal that it waits for.
        after: u32,
    },
    /// A step names the same earlier step twice.
    AfterTwice {
        /// The step.
        step: StepId,
    },
    /// A step needs more of the steps that it waits for than there are, or none of them.
    Join {
        /// The step.
        step: StepId,
        /// How many it needs.
        needs: usize,
        /// How many it waits for.
        of: usize,
    },
    /// A timeout under 1 ms or over [`limits::TIMEOUT`].
    Timeout {
        /// The step.
        step: StepId,
        /// For which of its tasks.
        purpose: Purpose,
        /// As given.
        given: Duration,
    },
    /// More repetitions than [`limits::RETRIES`].
    Retries {
        /// The step.
        step: StepId,
        /// For which of its tasks.
        purpose: Purpose,
        /// As given.
        given: u32,
    },
    /// A first wait over the longest wait, or a longest wait over [`limits::DELAY`].
    Delay {
        /// The step.
        step: StepId,
        /// For which of its tasks.
        purpose: Purpose,
        /// As given.
        given: Retry,
    },
    /// An undo window of nothing or over [`limits::UNDO_WINDOW`].
    UndoWindow {
        /// The step.
        step: StepId,
        /// As given.
        given: Duration,
    },
    /// More time for what an attempt began than [`limits::TIMEOUT`].
    Settles {
        /// The step.
        step: StepId,
        /// As given.
        given: Duration,
    },
    /// A time for all attempts, or for waiting in line, under 1 ms or over [`limits::TIMEOUT`].
    StepLimit {
        /// The step.
        step: StepId,
        /// Which time.
        limit: StepLimit,
        /// The time.
        given: Duration,
    },
    /// A step whose substitute is its own agent.
    Substitute {
        /// The step.
        step: StepId,
    },
    /// A task that cannot be run.
    Task {
        /// The step.
        step: StepId,
        /// Which of its tasks.
        purpose: Purpose,
        /// What is wrong.
        problem: TaskProblem,
    },
    /// No attempt at a time, or more than [`limits::CONCURRENCY`].
    Concurrency {
        /// As given.
        given: u32,
    },
    /// A time for the whole saga of nothing or over [`limits::TIMEOUT`].
    Within {
        /// As given.
        given: Duration,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManySteps { given } => {
                write!(f, "a saga may have at most {} steps; this one would have {given}", limits::STEPS)
            }
            Self::DuplicateStep { id } => write!(f, "two steps are called `{id}`; give one another name"),
            Self::AfterLater { step, after } => {
                write!(f, "step `{step}` waits for step number {after}, which does not come before it")
            }
            Self::AfterTwice { step } => write!(f, "step `{step}` names an earlier step twice"),
            Self::Join { step, needs, of } => {
                let steps = Counted(*of, "earlier step");
                write!(f, "step `{step}` needs {needs} of {steps}; say a number from 1 to {of}")
            }
            Self::Timeout { step, purpose, given } => write!(
                f,
                "step `{step}`: {purpose} may take from 1 ms to {} s, not {given:?}",
                limits::TIMEOUT.as_secs()
            ),
            Self::Retries { step, purpose, given } => write!(
                f,
                "step `{step}`: {purpose} may be repeated at most {} times, not {given}",
                limits::RETRIES
            ),
            Self::Delay { step, purpose, given } => write!(
                f,
                "step `{step}`: {purpose} waits {:?} at first and at most {:?}; the first must not be \
                 longer than the last, and that at most {} s",
                given.base,
                given.cap,
                limits::DELAY.as_secs()
            ),
            Self::UndoWindow { step, given } => write!(
                f,
                "step `{step}`: an undo window is longer than nothing and at most {} s, not {given:?}",
                limits::UNDO_WINDOW.as_secs()
            ),
            Self::Settles { step, given } => write!(
                f,
                "step `{step}`: what it began settles within at most {} s, not {given:?}",
                limits::TIMEOUT.as_secs()
            ),
            Self::StepLimit { step, limit, given } => {
                let what = match limit {
                    StepLimit::Within => "all its attempts may take together",
                    StepLimit::StartWithin => "it may wait for its turn",
                };
                let longest = limits::TIMEOUT.as_secs();
                write!(f, "step `{step}`: {what} from 1 ms to {longest} s, not {given:?}")
            }
            Self::Substitute { step } => {
                write!(f, "step `{step}`: its substitute is its own agent; name another one or none")
            }
            Self::Task { step, purpose, problem } => write!(f, "step `{step}`, {purpose}: {problem}"),
            Self::Concurrency { given } => {
                write!(f, "from 1 to {} attempts may run at the same time, not {given}", limits::CONCURRENCY)
            }
            Self::Within { given } => write!(
                f,
                "a saga may go forward for at most {} s and longer than nothing, not {given:?}",
                limits::TIMEOUT.as_secs()
            ),
        }
    }
}

impl core::error::Error for PlanError {}

hv_types::wire_struct!(Limits { concurrency, retries, within });
hv_types::wire_enum!(Idempotence { 0 => None {}, 1 => Execute {}, 2 => Undo {}, 3 => Both {} });
hv_types::wire_enum!(Pace { 0 => AsReady {}, 1 => Asked {} });
hv_types::wire_enum!(Growth { 0 => Open {}, 1 => Sealed {} });
impl hv_types::Wire for Join {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::All => out.push(0),
            Self::Majority => out.push(1),
            Self::AtLeast(count) => {
                out.push(2);
                count.put(out);
            }
        }
    }

    fn take(reader: &mut hv_types::wire::Reader<'_>) -> Result<Self, hv_types::Undecodable> {
        match reader.byte()? {
            0 => Ok(Self::All),
            1 => Ok(Self::Majority),
            2 => u32::take(reader).map(Self::AtLeast),
            tag => Err(reader.unknown_tag("Join", tag)),
        }
    }
}
