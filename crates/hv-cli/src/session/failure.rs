//! Why a command on a session did not do what it was asked.

use crate::Exit;
use crate::config::BadConfig;
use crate::output::enough;
use crate::run::RunFailure;
use crate::shell::quoted;
use hv_core::Error;
use hv_core::audit::LogError;
use hv_core::types::{SessionId, StepId};
use std::fmt;
use std::path::PathBuf;

/// Why a command on a live session did not do what it was asked.
#[derive(Debug)]
pub enum LiveFailure {
    /// The folder, or the supervisor in it.
    Run(RunFailure),
    /// Refused; the refusal is on the trail.
    Denied(Box<hv_core::Denied>),
    /// Previewed, and would be refused; nothing was recorded.
    WouldDeny(Box<hv_core::Reason>),
    /// No session of this name is open.
    NotOpen {
        /// As given.
        session: SessionId,
        /// The folder.
        data: PathBuf,
    },
    /// No session is open.
    NothingOpen {
        /// The folder.
        data: PathBuf,
    },
    /// Several sessions are open, and none was named.
    WhichSession {
        /// The folder.
        data: PathBuf,
        /// Their names.
        open: Vec<SessionId>,
    },
    /// The session was not opened with `hv session open`.
    NotLive {
        /// Which.
        session: SessionId,
    },
    /// Nothing of this name is done and not undone.
    NothingToUndo {
        /// As given.
        step: Option<StepId>,
    },
    /// What was given cannot be used.
    Input {
        /// Why.
        why: String,
    },
    /// Somebody at the terminal asked for the end while an earlier command was settled.
    Interrupted,
    /// Nobody drives a saga in the folder.
    NothingDriven {
        /// The folder.
        data: PathBuf,
    },
    /// A kill was asked of the command that works on the folder, and it did not answer.
    NoAnswer {
        /// The folder.
        data: PathBuf,
    },
}

impl LiveFailure {
    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Run(failure) => failure.exit(),
            Self::Denied(_) | Self::WouldDeny(_) => Exit::Denied,
            Self::NoAnswer { .. } => Exit::Failed,
            Self::Interrupted => Exit::Interrupted,
            _ => Exit::BadInput,
        }
    }

    /// Whether another command works on the folder.
    pub(super) const fn is_locked(&self) -> bool {
        matches!(self, Self::Run(RunFailure::Log(LogError::Locked { .. })))
    }
}

impl fmt::Display for LiveFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(RunFailure::Log(LogError::NoLog { dir })) => write!(
                f,
                "there is no trail in {}; begin with `hv session open --data {}`",
                dir.display(),
                quoted(dir)
            ),
            Self::Run(RunFailure::Log(LogError::Locked { dir })) => write!(
                f,
                "another command works on {}, and one does at a time; try again, or wait longer with --wait",
                dir.display()
            ),
            Self::Run(failure) => match failure.full() {
                // No run goes on here.
                Some(full) => write!(
                    f,
                    "{full}; make room there; the next command takes up what this one left in the middle"
                ),
                None => fmt::Display::fmt(failure, f),
            },
            Self::Denied(denied) => {
                let why = denied.to_string();
                write!(f, "denied: {why}{}", enough(&why, &denied.reason.needs()))
            }
            Self::WouldDeny(reason) => {
                let why = reason.to_string();
                write!(f, "it would be denied: {why}{}", enough(&why, &reason.needs()))
            }
            Self::Interrupted => f.write_str(
                "interrupted while an earlier command was settled; nothing of this one was begun, so give it again",
            ),
            Self::NotOpen { session, data } => write!(
                f,
                "no session `{session}` is open in {}; `hv session list --data {}` names those that are",
                data.display(),
                quoted(data)
            ),
            Self::NothingOpen { data } => {
                write!(f, "no session is open in {}; open one with `hv session open`", data.display())
            }
            Self::WhichSession { data, open } => {
                let names: Vec<&str> = open.iter().map(SessionId::as_str).collect();
                write!(
                    f,
                    "several sessions are open in {}; name one with --session: {}",
                    data.display(),
                    names.join(", ")
                )
            }
            Self::NotLive { session } => write!(
                f,
                "session `{session}` was not opened with `hv session open`; `hv run --resume` goes on with a run"
            ),
            Self::NothingToUndo { step: Some(step) } => {
                write!(
                    f,
                    "`{step}` is not there, not done or undone already; `hv session status` lists what was run"
                )
            }
            Self::NothingToUndo { step: None } => f.write_str("there is nothing to undo"),
            Self::Input { why } => f.write_str(why),
            Self::NothingDriven { data } => write!(
                f,
                "nobody drives a saga in {} now, or takes no word for it; `hv run --resume --data {}` goes on with what \
                 was interrupted",
                data.display(),
                quoted(data)
            ),
            Self::NoAnswer { data } => write!(
                f,
                "another command works on {} and takes no kill; nothing was recorded. Stop that command, then try \
                 again",
                data.display()
            ),
        }
    }
}

impl std::error::Error for LiveFailure {}

impl From<BadConfig> for LiveFailure {
    fn from(bad: BadConfig) -> Self {
        Self::Run(bad.into())
    }
}

impl From<RunFailure> for LiveFailure {
    fn from(failure: RunFailure) -> Self {
        Self::Run(failure)
    }
}

impl From<Error> for LiveFailure {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(denied) => Self::Denied(denied),
            error => Self::Run(error.into()),
        }
    }
}
