//! One attempt at one task, and how it ended.

use crate::task::Task;
use crate::{ActionId, Did, SagaId, SessionId, StepId, Timestamp, limits};
use core::fmt;
use core::ops::Deref;
use core::time::Duration;
use hv_types::wire::{Bytes, Reader};
use hv_types::{Undecodable, Wire};
use std::sync::Arc;

/// What an attempt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// To do the step's work.
    Execute,
    /// To take it back.
    Undo,
    /// To find out whether its effect is there.
    Probe,
}

impl Purpose {
    /// The idempotency key, `<session>/<saga>/<step>/<purpose>`: the same for every attempt of the step at this purpose, and
    /// for no other, because no identifier holds a `/`.
    #[must_use]
    pub fn key(self, session: &SessionId, saga: &SagaId, step: &StepId) -> String {
        format!("{session}/{saga}/{step}/{self}")
    }

    /// As it is shown and as it stands in keys: `execute`, `undo`, `probe`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Execute => "execute",
            Self::Undo => "undo",
            Self::Probe => "probe",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An attempt within its saga: which step, what for, and which one it is, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptRef {
    /// The step's ordinal.
    pub step: u32,
    /// What it is for.
    pub purpose: Purpose,
    /// Which attempt at this purpose, counted from 1. A report about an older one is refused.
    pub number: u32,
}

/// Everything that an executor needs to know, and a permit is bound to. Clones share it, so a permit that keeps
/// one copies nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt(Arc<AttemptFacts>);

/// What an [`Attempt`] says; it is read as the attempt itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFacts {
    /// The session.
    pub session: SessionId,
    /// The saga.
    pub saga: SagaId,
    /// The step's name.
    pub step: StepId,
    /// The step's ordinal.
    pub ordinal: u32,
    /// Who does it.
    pub agent: Did,
    /// The action.
    pub action: ActionId,
    /// What it is for.
    pub purpose: Purpose,
    /// Which attempt at this purpose, counted from 1.
    pub number: u32,
    /// What is to be done.
    pub task: Arc<Task>,
    /// When it must have ended: its start and the step's timeout.
    pub deadline: Timestamp,
}

impl Deref for Attempt {
    type Target = AttemptFacts;

    fn deref(&self) -> &AttemptFacts {
        &self.0
    }
}

impl From<AttemptFacts> for Attempt {
    fn from(facts: AttemptFacts) -> Self {
        Self(Arc::new(facts))
    }
}

impl Wire for Attempt {
    fn put(&self, out: &mut Bytes) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        AttemptFacts::take(reader).map(Self::from)
    }
}

impl Attempt {
    /// The [idempotency key](Purpose::key).
    #[must_use]
    pub fn key(&self) -> String {
        self.purpose.key(&self.session, &self.saga, &self.step)
    }

    /// Canonical bytes of what is done: saga, step, purpose and task, without the number and the deadline,
    /// so that somebody can agree to it before it starts and for its repetitions too.
    #[must_use]
    pub fn parameters(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        self.put_parameters(&mut out);
        out
    }

    /// Appends the [parameters](Self::parameters).
    pub fn put_parameters(&self, out: &mut Vec<u8>) {
        self.saga.put(out);
        self.step.put(out);
        self.ordinal.put(out);
        self.purpose.put(out);
        self.task.put(out);
    }

    /// The attempt within its saga.
    #[must_use]
    pub fn at(&self) -> AttemptRef {
        AttemptRef { step: self.ordinal, purpose: self.purpose, number: self.number }
    }
}

/// How an attempt ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an outcome that is not reported leaves its step in doubt"]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// What it said.
    pub output: Option<Output>,
}

impl Outcome {
    /// It succeeded.
    pub const fn done() -> Self {
        Self { verdict: Verdict::Done, output: None }
    }

    /// It failed.
    pub const fn failed(class: Class, reason: Reason) -> Self {
        Self { verdict: Verdict::Failed(Failure::new(class, reason)), output: None }
    }

    /// A probe's answer.
    pub const fn answer(answer: ProbeAnswer) -> Self {
        Self { verdict: Verdict::Answer(answer), output: None }
    }

    /// The same with what it said.
    pub fn with_output(self, output: Output) -> Self {
        Self { output: Some(output), ..self }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Execute: the effect is there. Undo: it is gone, as far as the undo says.
    Done,
    /// It did not succeed.
    Failed(Failure),
    /// What a probe found.
    Answer(ProbeAnswer),
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProbeAnswer {
    /// The effect is there.
    Present,
    /// It is not.
    Absent,
    /// The probe cannot tell.
    Unknown,
}

/// Why an attempt did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What follows from it.
    pub class: Class,
    /// What happened.
    pub reason: Reason,
    /// How long the other side asks to be left alone.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without a request to wait.
    #[must_use]
    pub const fn new(class: Class, reason: Reason) -> Self {
        Self { class, reason, retry_after: None }
    }
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing was done; another attempt may succeed.
    Retryable,
    /// Nothing was done; another attempt would fail as well.
    Permanent,
    /// It may have been done.
    Unknown,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The program ended with this code.
    Exit {
        /// The code.
        code: i32,
    },
    /// A signal ended the program.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// The attempt did not end in time.
    TimedOut,
    /// The attempt was stopped on request.
    Stopped,
    /// The supervisor ended while the attempt ran.
    Crashed,
    /// The program could not be started.
    NotStarted {
        /// Why not.
        problem: StartProblem,
    },
    /// The answer had this status.
    Http {
        /// The status.
        status: u16,
    },
    /// No connection could be made; nothing was sent.
    NotConnected,
    /// The connection broke after something was sent.
    Disconnected,
    /// The permit does not fit the attempt.
    NotPermitted,
    /// Nothing here executes such a task.
    NoExecutor,
    /// A reference (`env:`, `file:`) leads nowhere, or to something that cannot be used there.
    BadReference {
        /// The reference as it stands in the definition.
        reference: String,
    },
    /// The program file is not the pinned one, or cannot be compared.
    PinMismatch,
    /// The gate refused the attempt.
    Denied,
    /// The saga turned back before the next attempt.
    TurnedBack,
    /// Its time was over before it could be tried, or tried again.
    OutOfTime,
    /// A probe found the effect.
    Present,
    /// A probe found no effect.
    Absent,
    /// A probe could not tell.
    CannotTell,
    /// The step has no undo.
    NoUndo,
    /// The undo would come after its window.
    TooLate,
    /// The function panicked.
    Panicked,
    /// What a function of the embedding program says, at most [`limits::REASON_BYTES`] bytes.
    Other {
        /// Its words.
        text: String,
    },
}

impl Reason {
    /// A free text, cut to [`limits::REASON_BYTES`].
    #[must_use]
    pub fn other(text: &str) -> Self {
        let end = (0..=limits::REASON_BYTES.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
        Self::Other { text: text.get(..end.unwrap_or(0)).unwrap_or_default().into() }
    }

    /// Whether nothing of the attempt began: no program ran, and nothing was sent. What is there all the same is not of
    /// its making.
    #[must_use]
    pub const fn began_nothing(&self) -> bool {
        matches!(
            self,
            Self::NotStarted { .. }
                | Self::NotConnected
                | Self::NotPermitted
                | Self::NoExecutor
                | Self::BadReference { .. }
                | Self::PinMismatch
                | Self::Denied
                | Self::TurnedBack
                | Self::OutOfTime
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit { code } => write!(f, "it ended with exit code {code}"),
            Self::Signal { signal } => write!(f, "signal {signal} ended it"),
            Self::TimedOut => f.write_str("it did not end in time"),
            Self::Stopped => f.write_str("it was stopped"),
            Self::Crashed => f.write_str("the supervisor ended while it ran"),
            Self::NotStarted { problem } => write!(f, "it could not be started: {problem}"),
            Self::Http { status } => write!(f, "the answer had status {status}"),
            Self::NotConnected => f.write_str("no connection could be made"),
            Self::Disconnected => f.write_str("the connection broke"),
            Self::NotPermitted => f.write_str("its permit did not fit"),
            Self::NoExecutor => f.write_str("nothing here executes such a task"),
            Self::BadReference { reference } => write!(f, "`{reference}` cannot be read or used"),
            Self::PinMismatch => f.write_str("the program file is not the pinned one"),
            Self::Denied => f.write_str("the gate refused it"),
            Self::TurnedBack => f.write_str("the saga turned back"),
            Self::OutOfTime => f.write_str("its time was over before it could be tried"),
            Self::Present => f.write_str("the probe found its effect"),
            Self::Absent => f.write_str("the probe found no effect"),
            Self::CannotTell => f.write_str("the probe could not tell"),
            Self::NoUndo => f.write_str("it has no undo"),
            Self::TooLate => f.write_str("its undo window is over"),
            Self::Panicked => f.write_str("it panicked"),
            Self::Other { text } => f.write_str(text),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reason, f)
    }
}

/// Why a program could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartProblem {
    /// There is no such program, or no such working directory.
    NotFound,
    /// The system does not allow it.
    NotAllowed,
    /// The system has no room for another process now.
    NoRoom,
    /// Something else.
    Other,
}

impl fmt::Display for StartProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is no such program or working directory",
            Self::NotAllowed => "the system does not allow it",
            Self::NoRoom => "the system has no room for another process",
            Self::Other => "the system refuses",
        })
    }
}

/// What an attempt said: purgeable, and never part of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// The exit code or the status.
    pub exit: Option<i32>,
    /// Standard output or the body of the answer, as far as it was kept.
    pub stdout: Vec<u8>,
    /// Standard error, as far as it was kept.
    pub stderr: Vec<u8>,
    /// Bytes of both that were read and not kept.
    pub dropped: u64,
}

hv_types::wire_enum!(Purpose { 0 => Execute {}, 1 => Undo {}, 2 => Probe {} });
hv_types::wire_enum!(Class { 0 => Retryable {}, 1 => Permanent {}, 2 => Unknown {} });
hv_types::wire_enum!(StartProblem { 0 => NotFound {}, 1 => NotAllowed {}, 2 => NoRoom {}, 3 => Other {} });
hv_types::wire_struct!(Failure { class, reason, retry_after });
hv_types::wire_struct!(AttemptRef { step, purpose, number });
hv_types::wire_struct!(Output { exit, stdout, stderr, dropped });
hv_types::wire_struct!(AttemptFacts {
    session,
    saga,
    step,
    ordinal,
    agent,
    action,
    purpose,
    number,
    task,
    deadline,
});
hv_types::wire_enum!(Reason {
    0 => Exit { code },
    1 => Signal { signal },
    2 => TimedOut {},
    3 => Stopped {},
    4 => Crashed {},
    5 => NotStarted { problem },
    6 => Http { status },
    7 => NotConnected {},
    8 => Disconnected {},
    9 => NotPermitted {},
    10 => NoExecutor {},
    11 => BadReference { reference },
    12 => PinMismatch {},
    13 => Denied {},
    14 => TurnedBack {},
    15 => Present {},
    16 => Absent {},
    17 => CannotTell {},
    18 => NoUndo {},
    19 => TooLate {},
    20 => Panicked {},
    21 => Other { text },
    22 => OutOfTime {},
});
