//! What a saga is asked to do, and why it may refuse.

use crate::definition::{Growth, Plan, PlanError, StepDef};
use crate::state::SagaState;
use crate::{AttemptRef, Did, Verdict};
use core::fmt;
use hv_types::Illegal;
use std::sync::Arc;

/// What a saga is asked to do.
///
/// Commands that may start an attempt to execute carry `refused`, the ordinals of the steps whose start the
/// gate refuses: for those the answer holds the denial and what follows from it in place of the start. Who
/// runs the machine decides once with nothing refused, asks the gate about each start, and where one is
/// refused decides again. A step with a substitute is handed over when it is refused once, and denied when it
/// stands in the list twice. Undo and probes cannot be refused.
// Its tag is a whole word, so that it is moved word by word.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(u64)]
pub enum SagaCommand {
    /// Create the saga.
    Create {
        /// Its definition.
        plan: Plan,
        /// Whether what is ready starts at once.
        begin: Begin,
        /// Steps that the gate refuses.
        refused: Vec<u32>,
    },
    /// Add steps after those before. Nothing starts by this alone; [`SagaCommand::Advance`] follows.
    Append {
        /// The steps.
        steps: Vec<Arc<StepDef>>,
        /// Whether more may follow.
        growth: Growth,
    },
    /// Start whatever is ready.
    Advance {
        /// Steps that the gate refuses.
        refused: Vec<u32>,
    },
    /// Start this step and whatever is ready, in a saga whose steps start when they are asked for.
    Start {
        /// The step's ordinal.
        step: u32,
        /// Steps that the gate refuses.
        refused: Vec<u32>,
    },
    /// Take note of how an attempt ended, and start what follows.
    Report {
        /// Which attempt, and how it ended.
        report: Report,
        /// Steps that the gate refuses.
        refused: Vec<u32>,
    },
    /// Take note of how an attempt ended and start nothing: for a supervisor that is about to stop. What
    /// follows comes with [`SagaCommand::Recover`] or [`SagaCommand::Advance`].
    Record {
        /// Which attempt, and how it ended.
        report: Report,
    },
    /// Start no execution until the saga is resumed. Probes go on, and so does the time that the saga has.
    /// Asked again, it changes nothing.
    Pause,
    /// Start again what is ready. Where the saga is not paused, this is [`SagaCommand::Advance`].
    Resume {
        /// Steps that the gate refuses.
        refused: Vec<u32>,
    },
    /// An agent must not go on: what it executes is stopped and in doubt, and what it has not finished is
    /// handed over to the substitutes that the steps name. A step without one is settled as any other in
    /// doubt, or refused by the gate when it would start.
    Relieve {
        /// The agent.
        agent: Did,
        /// Steps that the gate refuses.
        refused: Vec<u32>,
    },
    /// No more steps follow: the saga completes when every step has committed.
    Seal,
    /// The saga is to end now: completed where every step has committed, otherwise undone.
    Finish,
    /// Undo everything. Asked again, it changes nothing.
    Cancel,
    /// After a crash: every attempt that was running is in doubt, and what settles that starts.
    Recover {
        /// Steps that the gate refuses.
        refused: Vec<u32>,
    },
}

impl SagaCommand {
    /// Creates the saga and starts what is ready.
    #[must_use]
    pub const fn begin(plan: Plan) -> Self {
        Self::Create { plan, begin: Begin::Now, refused: Vec::new() }
    }

    /// Starts whatever is ready.
    #[must_use]
    pub const fn advance() -> Self {
        Self::Advance { refused: Vec::new() }
    }

    /// Takes up the saga after a crash.
    #[must_use]
    pub const fn recover() -> Self {
        Self::Recover { refused: Vec::new() }
    }

    /// Where the ordinals of refused steps go; nothing for a command that starts no execution.
    pub const fn refused_mut(&mut self) -> Option<&mut Vec<u32>> {
        match self {
            Self::Create { refused, .. }
            | Self::Advance { refused }
            | Self::Start { refused, .. }
            | Self::Report { refused, .. }
            | Self::Resume { refused }
            | Self::Relieve { refused, .. }
            | Self::Recover { refused } => Some(refused),
            Self::Append { .. }
            | Self::Record { .. }
            | Self::Pause
            | Self::Seal
            | Self::Finish
            | Self::Cancel => None,
        }
    }

    pub(crate) fn refused(&self) -> &[u32] {
        match self {
            Self::Create { refused, .. }
            | Self::Advance { refused }
            | Self::Start { refused, .. }
            | Self::Report { refused, .. }
            | Self::Resume { refused }
            | Self::Relieve { refused, .. }
            | Self::Recover { refused } => refused,
            Self::Append { .. }
            | Self::Record { .. }
            | Self::Pause
            | Self::Seal
            | Self::Finish
            | Self::Cancel => &[],
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which attempt.
    pub attempt: AttemptRef,
    /// How it ended.
    pub verdict: Verdict,
}

impl Report {
    /// Says how an attempt ended.
    #[must_use]
    pub const fn of(attempt: AttemptRef, verdict: Verdict) -> Self {
        Self { attempt, verdict }
    }
}

impl From<Report> for SagaCommand {
    fn from(report: Report) -> Self {
        Self::Report { report, refused: Vec::new() }
    }
}

/// Whether what is ready starts at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the creation, in the same answer.
    Now,
    /// With a later command.
    Later,
}

/// Why a saga refuses a command. A refusal changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SagaDenial {
    /// There is no saga yet.
    NotCreated,
    /// There is one already.
    AlreadyCreated,
    /// The definition cannot be used.
    Plan(PlanError),
    /// The saga has ended.
    Over {
        /// In this state.
        state: SagaState,
    },
    /// No more steps may follow.
    Sealed,
    /// The saga is undoing what was done; nothing new starts.
    TurnedBack,
    /// There is no such step.
    NoStep {
        /// The ordinal asked for.
        step: u32,
        /// How many steps there are.
        of: u32,
    },
    /// The step cannot start now: it has started before, waits for others, or the limit of attempts at the
    /// same time is reached.
    NotReady {
        /// Its ordinal.
        step: u32,
    },
    /// The attempt does not run: it was reported before, or given up as crashed.
    Stale {
        /// The attempt.
        attempt: AttemptRef,
    },
    /// The machine refuses its own event: a defect of the machine.
    Defect(Illegal),
}

impl SagaDenial {
    /// The reason alone, as one word: what refusals are counted by.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotCreated => "not_created",
            Self::AlreadyCreated => "already_created",
            Self::Plan(_) => "plan",
            Self::Over { .. } => "over",
            Self::Sealed => "sealed",
            Self::TurnedBack => "turned_back",
            Self::NoStep { .. } => "no_step",
            Self::NotReady { .. } => "not_ready",
            Self::Stale { .. } => "stale",
            Self::Defect(_) => "defect",
        }
    }
}

impl fmt::Display for SagaDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCreated => f.write_str("the saga was not created yet"),
            Self::AlreadyCreated => f.write_str("a saga of this name exists already; choose another name"),
            Self::Plan(error) => fmt::Display::fmt(error, f),
            Self::Over { state } => write!(f, "the saga has ended: {state}"),
            Self::Sealed => f.write_str("the saga is sealed; no step can follow"),
            Self::TurnedBack => f.write_str("the saga is undoing what was done; nothing new can start"),
            Self::NoStep { step, of } => write!(f, "there is no step number {step}; the saga has {of}"),
            Self::NotReady { step } => write!(
                f,
                "step number {step} cannot start now: it started before, waits for others, or too many \
                 attempts run already"
            ),
            Self::Stale { attempt } => write!(
                f,
                "attempt {} to {} step number {} does not run any more; its report changes nothing",
                attempt.number, attempt.purpose, attempt.step
            ),
            Self::Defect(illegal) => write!(f, "the saga refuses its own event: {illegal}"),
        }
    }
}

impl core::error::Error for SagaDenial {}

impl From<PlanError> for SagaDenial {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}
