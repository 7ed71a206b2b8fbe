//! The states of a step and of a saga, and every move between them.

use core::fmt;

/// Where a step stands.
///
/// ```
/// use hv_saga::{StepSignal, StepState};
///
/// let executing = StepState::Pending.transition(StepSignal::ExecuteStarted);
/// assert_eq!(executing, Some(StepState::Executing));
/// assert_eq!(StepState::Compensated.transition(StepSignal::ExecuteStarted), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum StepState {
    /// Never started.
    #[default]
    Pending,
    /// An attempt to execute it runs.
    Executing,
    /// An attempt failed and left nothing behind; it is repeated later.
    Waiting,
    /// Nobody knows whether it had its effect.
    InDoubt,
    /// In doubt, and a probe runs.
    Probing,
    /// It failed for good; a probe is to tell whether it left something behind.
    Suspect,
    /// Failed for good, and a probe runs.
    Inspecting,
    /// Done.
    Committed,
    /// It may have had its effect and nobody can tell, so it is treated as done and is to be undone.
    Assumed,
    /// Failed for good, with nothing left behind.
    Failed,
    /// The gate refused it; it was never executed, or what was executed left nothing behind.
    Denied,
    /// An attempt to undo it runs.
    Undoing,
    /// An attempt to undo it failed; it is repeated later.
    UndoWaiting,
    /// It was undone as far as the undo says; a probe is to confirm it.
    Unconfirmed,
    /// Undone as far as the undo says, and a probe runs.
    Confirming,
    /// Undone.
    Compensated,
    /// It could not be undone.
    CompensationFailed,
}

/// What happens to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepSignal {
    /// An attempt to execute starts.
    ExecuteStarted,
    /// A probe starts.
    ProbeStarted,
    /// An attempt to undo starts.
    UndoStarted,
    /// The effect is there.
    Committed,
    /// It failed, left nothing behind and is to be repeated.
    Retry,
    /// It failed for good and left nothing behind.
    Failed,
    /// It failed for good and may have left something behind.
    Suspect,
    /// Nobody knows.
    Doubt,
    /// Nobody will know.
    Assumed,
    /// The gate refuses.
    Denied,
    /// The effect is gone.
    Undone,
    /// The undo failed and is to be repeated.
    UndoRetry,
    /// The undo ended; whether the effect is gone is to be asked.
    Unconfirmed,
    /// The undo failed for good, or there is none.
    UndoFailed,
}

impl StepState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Pending,
        Self::Executing,
        Self::Waiting,
        Self::InDoubt,
        Self::Probing,
        Self::Suspect,
        Self::Inspecting,
        Self::Committed,
        Self::Assumed,
        Self::Failed,
        Self::Denied,
        Self::Undoing,
        Self::UndoWaiting,
        Self::Unconfirmed,
        Self::Confirming,
        Self::Compensated,
        Self::CompensationFailed,
    ];

    /// Whether nothing is at work for the step, and what it did is known: untouched, done, undone, or given up.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Pending
            | Self::Committed
            | Self::Failed
            | Self::Denied
            | Self::Compensated
            | Self::CompensationFailed => true,
            Self::Executing
            | Self::Waiting
            | Self::InDoubt
            | Self::Probing
            | Self::Suspect
            | Self::Inspecting
            | Self::Assumed
            | Self::Undoing
            | Self::UndoWaiting
            | Self::Unconfirmed
            | Self::Confirming => false,
        }
    }

    /// The state after the signal; nothing where the signal has no place. The only way a step moves.
    #[must_use]
    pub const fn transition(self, signal: StepSignal) -> Option<Self> {
        use StepSignal as On;
        match (self, signal) {
            (Self::Pending | Self::Waiting | Self::InDoubt, On::ExecuteStarted) => Some(Self::Executing),
            (Self::Pending | Self::Waiting, On::Denied) => Some(Self::Denied),
            (Self::InDoubt, On::ProbeStarted) => Some(Self::Probing),
            (Self::Suspect, On::ProbeStarted) => Some(Self::Inspecting),
            (Self::Unconfirmed, On::ProbeStarted) => Some(Self::Confirming),
            (Self::Executing | Self::Probing, On::Committed) => Some(Self::Committed),
            (Self::Executing | Self::Probing, On::Retry) => Some(Self::Waiting),
            (Self::Executing | Self::Probing, On::Doubt) => Some(Self::InDoubt),
            (Self::Executing | Self::Waiting | Self::Inspecting, On::Suspect) => Some(Self::Suspect),
            (
                Self::Pending
                | Self::Executing
                | Self::Waiting
                | Self::InDoubt
                | Self::Probing
                | Self::Inspecting,
                On::Failed,
            ) => Some(Self::Failed),
            (
                Self::Executing | Self::Waiting | Self::InDoubt | Self::Suspect | Self::Inspecting,
                On::Assumed,
            ) => Some(Self::Assumed),
            (Self::Committed | Self::Assumed | Self::UndoWaiting, On::UndoStarted) => Some(Self::Undoing),
            (Self::Undoing | Self::Confirming, On::Undone) => Some(Self::Compensated),
            (Self::Undoing | Self::Confirming, On::UndoRetry) => Some(Self::UndoWaiting),
            (Self::Undoing | Self::Confirming, On::Unconfirmed) => Some(Self::Unconfirmed),
            (
                Self::Undoing | Self::UndoWaiting | Self::Confirming | Self::Committed | Self::Assumed,
                On::UndoFailed,
            ) => Some(Self::CompensationFailed),
            _ => None,
        }
    }

    /// Whether its execution was begun, and nobody knows yet what came of it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        use StepState::{Assumed, Executing, InDoubt, Inspecting, Probing, Suspect, Waiting};
        matches!(self, Executing | Waiting | InDoubt | Probing | Suspect | Inspecting | Assumed)
    }

    /// Whether an attempt runs.
    #[must_use]
    pub const fn is_running(self) -> bool {
        self.purpose().is_some()
    }

    /// What the running attempt is for; nothing where none runs.
    #[must_use]
    pub const fn purpose(self) -> Option<crate::Purpose> {
        match self {
            Self::Executing => Some(crate::Purpose::Execute),
            Self::Probing | Self::Inspecting | Self::Confirming => Some(crate::Purpose::Probe),
            Self::Undoing => Some(crate::Purpose::Undo),
            _ => None,
        }
    }

    /// As it is shown: the states of waiting and asking go under the one that they belong to.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Executing | Self::Waiting => "executing",
            Self::InDoubt | Self::Probing | Self::Suspect | Self::Inspecting | Self::Assumed => "in_doubt",
            Self::Committed => "committed",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Undoing | Self::UndoWaiting | Self::Unconfirmed | Self::Confirming => "compensating",
            Self::Compensated => "compensated",
            Self::CompensationFailed => "compensation_failed",
        }
    }
}

impl StepSignal {
    /// Every signal.
    pub const ALL: [Self; 14] = [
        Self::ExecuteStarted,
        Self::ProbeStarted,
        Self::UndoStarted,
        Self::Committed,
        Self::Retry,
        Self::Failed,
        Self::Suspect,
        Self::Doubt,
        Self::Assumed,
        Self::Denied,
        Self::Undone,
        Self::UndoRetry,
        Self::Unconfirmed,
        Self::UndoFailed,
    ];
}

impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where a saga stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum SagaState {
    /// Not created yet.
    #[default]
    New,
    /// Steps are executed, or more may be appended.
    Running,
    /// What was done is being undone.
    Compensating,
    /// Every step has committed, or its failure is borne.
    Completed,
    /// Everything that was done, or may have been, is undone.
    Compensated,
    /// Something could not be undone; a person must look at it.
    Escalated,
}

/// What happens to a saga as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SagaSignal {
    /// It is created.
    Created,
    /// It turns back.
    Turned,
    /// It ends with its work done.
    Completed,
    /// It ends with its work undone.
    Compensated,
    /// It ends with work that could not be undone.
    Escalated,
}

impl SagaState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::New, Self::Running, Self::Compensating, Self::Completed, Self::Compensated, Self::Escalated];

    /// The state after the signal; nothing where the signal has no place.
    #[must_use]
    pub const fn transition(self, signal: SagaSignal) -> Option<Self> {
        use SagaSignal as On;
        match (self, signal) {
            (Self::New, On::Created) => Some(Self::Running),
            (Self::Running, On::Turned) => Some(Self::Compensating),
            (Self::Running, On::Completed) => Some(Self::Completed),
            (Self::Compensating, On::Compensated) => Some(Self::Compensated),
            (Self::Compensating, On::Escalated) => Some(Self::Escalated),
            _ => None,
        }
    }

    /// Whether nothing can happen any more. INVARIANT (S3): a terminal state has no transition.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated | Self::Escalated)
    }

    /// As it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Escalated => "escalated",
        }
    }
}

impl SagaSignal {
    /// Every signal.
    pub const ALL: [Self; 5] =
        [Self::Created, Self::Turned, Self::Completed, Self::Compensated, Self::Escalated];
}

impl fmt::Display for SagaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

hv_types::wire_enum!(SagaState {
    0 => New {},
    1 => Running {},
    2 => Compensating {},
    3 => Completed {},
    4 => Compensated {},
    5 => Escalated {},
});
hv_types::wire_enum!(StepState {
    0 => Pending {},
    1 => Executing {},
    2 => Waiting {},
    3 => InDoubt {},
    4 => Probing {},
    5 => Suspect {},
    6 => Inspecting {},
    7 => Committed {},
    8 => Assumed {},
    9 => Failed {},
    10 => Denied {},
    11 => Undoing {},
    12 => UndoWaiting {},
    13 => Unconfirmed {},
    14 => Confirming {},
    15 => Compensated {},
    16 => CompensationFailed {},
});
