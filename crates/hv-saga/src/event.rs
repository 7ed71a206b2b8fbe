//! What happened to a saga, as it is recorded.
//!
//! Steps are named by ordinal and times are counted from the creation, so that an event takes a few bytes.

use crate::definition::{Growth, Limits, Pace};
use crate::state::{SagaState, StepSignal, StepState};
use crate::steps::Steps;
use crate::{Failure, Purpose, Timestamp};
use core::fmt;
use core::time::Duration;

/// Microseconds since the creation of the saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub u64);

impl Micros {
    /// As a duration, rounded down.
    #[must_use]
    pub fn of(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }

    /// This long after the creation.
    #[must_use]
    pub fn since(self, created: Timestamp) -> Timestamp {
        created.after(Duration::from_micros(self.0))
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SagaEvent {
    /// The saga exists.
    Created {
        /// What the waits before repetitions are drawn from.
        seed: u64,
        /// Limits for the saga as a whole.
        limits: Limits,
        /// Whether steps start by themselves.
        pace: Pace,
        /// When.
        at: Timestamp,
    },
    /// These steps follow those before.
    Appended {
        /// The steps.
        steps: Steps,
        /// Whether more may follow.
        growth: Growth,
    },
    /// No more steps follow.
    Sealed {},
    /// An attempt starts.
    Started {
        /// The step's ordinal.
        step: u32,
        /// What it is for.
        purpose: Purpose,
        /// Which attempt at this purpose, counted from 1.
        number: u32,
        /// When.
        at: Micros,
    },
    /// A step moves in another way.
    Moved {
        /// The step's ordinal.
        step: u32,
        /// How.
        to: Move,
        /// When.
        at: Micros,
    },
    /// The saga turns back.
    Turned {
        /// Why.
        cause: Cause,
        /// When.
        at: Micros,
    },
    /// The saga ends.
    Finished {
        /// In which state.
        state: SagaState,
        /// When.
        at: Micros,
    },
    /// The whole state at once, after `Created` and `Appended`; only snapshots hold it.
    Restored {
        /// The saga's state.
        state: SagaState,
        /// Why it turned back.
        cause: Option<Cause>,
        /// Repetitions of executions so far.
        retries: u32,
        /// Steps with a possible effect, in the order in which they committed.
        order: Vec<u32>,
        /// How many of them, from the last, have been taken up for undo.
        undone: u32,
        /// Whether it is paused.
        paused: bool,
        /// The steps.
        steps: Vec<StepRun>,
    },
    /// No execution starts until the saga is resumed; probes and undo go on.
    Paused {
        /// When.
        at: Micros,
    },
    /// Executions start again.
    Resumed {
        /// When.
        at: Micros,
    },
    /// The substitute takes a step over.
    HandedOver {
        /// The step's ordinal.
        step: u32,
        /// When.
        at: Micros,
    },
    /// The undo of a committed step may come too late once another step, which starts next, has ended.
    Expiring {
        /// The step whose undo window may then be over.
        step: u32,
        /// The step that starts next.
        by: u32,
        /// When.
        at: Micros,
    },
}

/// How a step moves when no attempt starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// The effect is there.
    Committed {},
    /// It failed, left nothing behind and is repeated not before this.
    Retry {
        /// How long it waits.
        wait: Micros,
        /// Why.
        failure: Failure,
    },
    /// It failed for good and left nothing behind.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// It failed for good; a probe is asked what it left behind.
    Suspect {
        /// How long the probe waits.
        wait: Micros,
        /// Why.
        failure: Failure,
    },
    /// Nobody knows whether it had its effect.
    Doubt {
        /// How long whatever settles it waits.
        wait: Micros,
        /// Why.
        failure: Failure,
    },
    /// It is treated as done and undone.
    Assumed {
        /// Why.
        failure: Failure,
    },
    /// The gate refuses it.
    Denied {},
    /// The effect is gone.
    Undone {},
    /// The undo failed and is repeated not before this.
    UndoRetry {
        /// How long it waits.
        wait: Micros,
        /// Why.
        failure: Failure,
    },
    /// The undo ended; a probe is asked whether the effect is gone.
    Unconfirmed {
        /// How long the probe waits.
        wait: Micros,
        /// Why it has to be asked, where the undo did not simply succeed.
        failure: Option<Failure>,
    },
    /// It cannot be undone.
    UndoFailed {
        /// Why.
        failure: Failure,
    },
}

impl Move {
    /// The signal that it gives to the step.
    #[must_use]
    pub const fn signal(&self) -> StepSignal {
        match self {
            Self::Committed {} => StepSignal::Committed,
            Self::Retry { .. } => StepSignal::Retry,
            Self::Failed { .. } => StepSignal::Failed,
            Self::Suspect { .. } => StepSignal::Suspect,
            Self::Doubt { .. } => StepSignal::Doubt,
            Self::Assumed { .. } => StepSignal::Assumed,
            Self::Denied {} => StepSignal::Denied,
            Self::Undone {} => StepSignal::Undone,
            Self::UndoRetry { .. } => StepSignal::UndoRetry,
            Self::Unconfirmed { .. } => StepSignal::Unconfirmed,
            Self::UndoFailed { .. } => StepSignal::UndoFailed,
        }
    }

    /// Why, where there is something to explain.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Committed {} | Self::Denied {} | Self::Undone {} => None,
            Self::Unconfirmed { failure, .. } => failure.as_ref(),
            Self::Retry { failure, .. }
            | Self::Failed { failure }
            | Self::Suspect { failure, .. }
            | Self::Doubt { failure, .. }
            | Self::Assumed { failure }
            | Self::UndoRetry { failure, .. }
            | Self::UndoFailed { failure } => Some(failure),
        }
    }

    /// How long the step then waits at least.
    pub(crate) const fn wait(&self) -> Micros {
        match self {
            Self::Retry { wait, .. }
            | Self::Suspect { wait, .. }
            | Self::Doubt { wait, .. }
            | Self::UndoRetry { wait, .. }
            | Self::Unconfirmed { wait, .. } => *wait,
            _ => Micros(0),
        }
    }
}

/// Why a saga turned back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A step failed for good.
    Failed {
        /// Its ordinal.
        step: u32,
    },
    /// The gate refused a step.
    Denied {
        /// Its ordinal.
        step: u32,
    },
    /// Nobody can tell whether a step had its effect.
    InDoubt {
        /// Its ordinal.
        step: u32,
    },
    /// Somebody asked for it.
    Cancelled {},
    /// The saga was finished with work left.
    Unfinished {},
    /// The saga's time was over.
    OutOfTime {},
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { step } => write!(f, "step number {step} failed"),
            Self::Denied { step } => write!(f, "step number {step} was denied"),
            Self::InDoubt { step } => write!(f, "nobody can tell what step number {step} did"),
            Self::Cancelled {} => f.write_str("it was cancelled"),
            Self::Unfinished {} => f.write_str("it was finished with work left"),
            Self::OutOfTime {} => f.write_str("its time was over"),
        }
    }
}

/// What is known about one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepRun {
    /// Where it stands.
    pub state: StepState,
    /// Attempts to execute it so far.
    pub executes: u32,
    /// Attempts to undo it so far.
    pub undos: u32,
    /// Probes so far.
    pub probes: u32,
    /// Probes since something was executed or undone, but for those that a crash cut off.
    pub asked: u32,
    /// Crashes of the supervisor while it was executed or undone, counted up to the limit, and hand-overs of what had
    /// begun: they cost no repetition.
    pub crashes: u32,
    /// Whether an execution ended in doubt, or began and failed where there is a probe, and nothing has shown since
    /// that it left nothing behind.
    pub doubtful: bool,
    /// Whether its substitute has taken it over.
    pub handed: bool,
    /// Whether it was said that its undo may come too late.
    pub warned: bool,
    /// When its first attempt started.
    pub began: Micros,
    /// When its last attempt started.
    pub started: Micros,
    /// When it last moved in another way; from its commit on, when it committed, until it is known what came of its undo.
    pub moved: Micros,
    /// Before this nothing starts.
    pub not_before: Micros,
}

impl StepRun {
    /// Whether it is over since it committed, so long after the saga was created: an undo of it would come too late.
    pub(crate) fn is_too_late(&self, undo_window: Option<Duration>, at: Micros) -> bool {
        undo_window.is_some_and(|window| at.0 > self.moved.0.saturating_add(Micros::of(window).0))
    }

    /// Whether a probe that a crash cuts off costs no question: so many of them do, counted generously.
    pub(crate) const fn is_asked_for_nothing(&self) -> bool {
        self.asked > 0 && self.probes.saturating_sub(self.asked) < crate::limits::CRASHES
    }

    /// How many attempts at a purpose were started.
    #[must_use]
    pub const fn attempts(&self, purpose: Purpose) -> u32 {
        match purpose {
            Purpose::Execute => self.executes,
            Purpose::Undo => self.undos,
            Purpose::Probe => self.probes,
        }
    }
}

impl hv_types::Wire for Micros {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        hv_types::wire::put_varint(self.0, out);
    }

    #[inline]
    fn take(reader: &mut hv_types::wire::Reader<'_>) -> Result<Self, hv_types::Undecodable> {
        reader.varint().map(Self)
    }
}

hv_types::wire_enum!(SagaEvent {
    0 => Created { seed, limits, pace, at },
    1 => Appended { steps, growth },
    2 => Sealed {},
    3 => Started { step, purpose, number, at },
    4 => Moved { step, to, at },
    5 => Turned { cause, at },
    6 => Finished { state, at },
    7 => Restored { state, cause, retries, order, undone, paused, steps },
    8 => Paused { at },
    9 => Resumed { at },
    10 => HandedOver { step, at },
    11 => Expiring { step, by, at },
});
hv_types::wire_enum!(Move {
    0 => Committed {},
    1 => Retry { wait, failure },
    2 => Failed { failure },
    3 => Suspect { wait, failure },
    4 => Doubt { wait, failure },
    5 => Assumed { failure },
    6 => Denied {},
    7 => Undone {},
    8 => UndoRetry { wait, failure },
    9 => Unconfirmed { wait, failure },
    10 => UndoFailed { failure },
});
hv_types::wire_enum!(Cause {
    0 => Failed { step },
    1 => Denied { step },
    2 => InDoubt { step },
    3 => Cancelled {},
    4 => Unfinished {},
    5 => OutOfTime {},
});
hv_types::wire_struct!(StepRun {
    state,
    executes,
    undos,
    probes,
    asked,
    crashes,
    doubtful,
    handed,
    warned,
    began,
    started,
    moved,
    not_before,
});
