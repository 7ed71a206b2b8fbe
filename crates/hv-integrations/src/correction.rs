//! Self-correction: who hears of what went wrong, and proposes what to change.

use core::fmt;
use hv_types::Did;
use std::sync::Arc;

/// How something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It was tried, and failed.
    Failed,
    /// It did not end in time.
    TimedOut,
    /// It was refused before it began.
    Refused,
    /// The agent behaved otherwise than it had claimed.
    Drifted,
    /// The agent said that it could not do it.
    GaveUp,
}

impl FailureKind {
    /// As it is written: `failed`, `timed_out`, `refused`, `drifted`, `gave_up`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::Drifted => "drifted",
            Self::GaveUp => "gave_up",
        }
    }
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureReport {
    /// Whose doing it was.
    pub agent: Did,
    /// How it went wrong.
    pub kind: FailureKind,
    /// What happened, for people; of an agent that gave up, its own words.
    pub what: String,
    /// The step in which it happened, where there is one.
    pub step: Option<String>,
    /// The action that it was, where there is one; of an agent that gave up, what it was asked for.
    pub action: Option<String>,
}

/// A change that is proposed. It is a proposal and nothing more: whoever wants it carried out asks the gate for a
/// grant, as for everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its name with whoever proposes it.
    pub id: String,
    /// What sort it is.
    pub kind: String,
    /// What it would change, as JSON, at most 8 192 characters.
    pub content: String,
}

/// What came of telling it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The failures of the agent that are known there now.
    pub failures: u64,
    /// What is proposed, where anything is.
    pub proposal: Option<Proposal>,
}

/// Hears of failures and proposes changes.
///
/// An implementation bounds its own waiting, and carries nothing out.
pub trait SelfCorrection: Send + Sync {
    /// Takes note of what went wrong.
    ///
    /// # Errors
    /// [`CorrectionFault`] where it could not.
    fn hear(&self, report: &FailureReport) -> Result<Heard, CorrectionFault>;
}

impl<S: SelfCorrection + ?Sized> SelfCorrection for Arc<S> {
    fn hear(&self, report: &FailureReport) -> Result<Heard, CorrectionFault> {
        (**self).hear(report)
    }
}

/// Why nobody took note: one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionFault(pub String);

impl fmt::Display for CorrectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for CorrectionFault {}
