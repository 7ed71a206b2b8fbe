//! The limits under which a node stands.

use hv_liability::ScorePolicy;
use hv_rings::breach::BreachPolicy;
use hv_rings::fold::FoldPolicy;
use hv_rings::rate::{Limits, SourceLimits};

/// The limits that hold on a node, for all its sessions. Whoever opens the log sets them, and each change is recorded.
///
/// The defaults are those of the published execution-control specification, where it has one.
///
/// ```
/// use hv_core::Guards;
/// use hv_core::rings::Ring;
///
/// let guards = Guards::default();
/// assert_eq!(guards.limits.rate.get(Ring::Standard).burst, 40);
/// assert_eq!(guards.breach.open.as_secs(), 300);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guards {
    /// How often an agent may call, over all sessions, and how many tools it may use at once, by where it stands.
    pub limits: Limits,
    /// When calls above the ring open the breaker.
    pub breach: BreachPolicy,
    /// When refusals are told one by one, and when as numbers.
    pub fold: FoldPolicy,
    /// What one source of requests may.
    pub sources: SourceLimits,
    /// How outcomes become reputation.
    pub score: Scoring,
}

/// Whether outcomes become reputation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// They do not: another scorer says what an agent is worth, or nobody does.
    Off,
    /// By the default scorer.
    By {
        /// With these numbers.
        policy: ScorePolicy,
    },
}

impl Default for Scoring {
    fn default() -> Self {
        Self::By { policy: ScorePolicy::default() }
    }
}

hv_types::wire_enum!(Scoring { 0 => Off {}, 1 => By { policy } });
hv_types::wire_struct!(Guards { limits, breach, fold, sources, score });
