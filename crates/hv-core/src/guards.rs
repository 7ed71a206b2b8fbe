//! The limits under which a node stands.

use crate::kill::KILL_CALLBACK;
use hv_audit::retention::Retention;
use hv_liability::ScorePolicy;
use hv_rings::breach::BreachPolicy;
use hv_rings::fold::FoldPolicy;
use hv_rings::rate::{Limits, SourceLimits};
use std::time::Duration;

/// The limits that hold on a node, for all its sessions. Whoever opens the log sets them, in code or with what a
/// [`Config`](crate::config::Config) says, and each change is recorded.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// How many sessions one creator may have open; those that are open already stay.
    pub open_sessions: u32,
    /// How long the callback of a kill may take.
    pub kill_callback: Duration,
    /// When what the trail says is kept, so that the node opens sooner.
    pub snapshots: Cadence,
    /// How long contents are kept that nobody needs.
    pub retention: Retention,
}

/// When snapshots are taken by themselves, in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// After so many; later, where the one before was large: it costs about as much as what was appended meanwhile.
    pub every: u64,
    /// A node that ends takes one where opening it would have to read more than this.
    pub at_the_end: u64,
}

impl Default for Cadence {
    fn default() -> Self {
        Self { every: 100_000, at_the_end: 10_000 }
    }
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            breach: BreachPolicy::default(),
            fold: FoldPolicy::default(),
            sources: SourceLimits::default(),
            score: Scoring::default(),
            open_sessions: 10_000,
            kill_callback: KILL_CALLBACK,
            snapshots: Cadence::default(),
            retention: Retention::default(),
        }
    }
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

crate::seldom::blank!(Guards);
hv_types::wire_enum!(Scoring { 0 => Off {}, 1 => By { policy } });
hv_types::wire_struct!(Cadence { every, at_the_end });
hv_types::wire_struct!(Guards {
    limits,
    breach,
    fold,
    sources,
    score,
    open_sessions,
    kill_callback,
    snapshots,
    retention
});
