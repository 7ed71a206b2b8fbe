//! The formula of `nexus-trust-exchange` 0.1.0.

use crate::trust::{Tier, TrustPoints};
use hv_types::Reversibility;

/// What the points of an agent are made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustFacts {
    /// Who has looked at it.
    pub level: VerificationLevel,
    /// What it has done.
    pub history: ReputationHistory,
    /// What it says that it can do, where it says anything.
    pub capabilities: Option<CapabilityFacts>,
    /// What it says that it does with data, where it says anything.
    pub privacy: Option<PrivacyFacts>,
}

/// A registered agent with this history, of which nothing else is known.
impl From<ReputationHistory> for TrustFacts {
    fn from(history: ReputationHistory) -> Self {
        Self { history, ..Self::default() }
    }
}

/// Who has looked at an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum VerificationLevel {
    /// It is a vetted partner's.
    VerifiedPartner,
    /// Its identity was verified.
    Verified,
    /// It is registered.
    #[default]
    Registered,
    /// Nobody has; every word that is none of the others counts as this.
    Unknown,
}

impl VerificationLevel {
    /// The points with which an agent of this level starts: 800, 650, 400, 100.
    #[must_use]
    pub const fn base(self) -> u16 {
        match self {
            Self::VerifiedPartner => 800,
            Self::Verified => 650,
            Self::Registered => 400,
            Self::Unknown => 100,
        }
    }
}

/// What an agent has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReputationHistory {
    /// Tasks that succeeded.
    pub successful_tasks: Tasks,
    /// Tasks that failed.
    pub failed_tasks: Tasks,
    /// Disputes in which it was right.
    pub disputes_won: u64,
    /// Disputes in which it was wrong.
    pub disputes_lost: u64,
    /// Days for which it has been there.
    pub uptime_days: u64,
    /// How often it was slashed.
    pub times_slashed: u64,
}

/// A number of tasks, counted in halves: one half done is half a success and half a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tasks(u64);

impl Tasks {
    /// So many whole tasks.
    #[must_use]
    pub const fn whole(tasks: u64) -> Self {
        Self(tasks.saturating_mul(2))
    }

    /// So many halves of tasks.
    #[must_use]
    pub const fn halves(halves: u64) -> Self {
        Self(halves)
    }

    /// One more half, or two.
    pub(super) const fn plus_halves(self, halves: u64) -> Self {
        Self(self.0.saturating_add(halves))
    }
}

/// What an agent says that it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilityFacts {
    /// How far its actions can be taken back.
    pub reversibility: Reversibility,
    /// Whether requests may be sent twice.
    pub idempotency: bool,
}

/// What an agent says that it does with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivacyFacts {
    /// How long it keeps them.
    pub retention: DataRetention,
    /// Whether it trains with them.
    pub training_consent: bool,
    /// What it does with what concerns a person.
    pub pii: PiiHandling,
}

/// How long an agent keeps data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataRetention {
    /// Not beyond the task.
    Ephemeral,
    /// Without end.
    Permanent,
    /// Anything else, which counts neither for it nor against it.
    Other,
}

/// What an agent does with what concerns a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PiiHandling {
    /// It does not take it.
    Reject,
    /// Anything else, which counts neither for it nor against it.
    Other,
}

/// An agent's points, and what they are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustScore {
    /// The points.
    pub total: TrustPoints,
    /// What the level gives, 100 to 800.
    pub base: u16,
    /// What the history gives or takes, −300 to 300.
    pub behavioral_modifier: i16,
    /// What capabilities and privacy give or take, −40 to 120.
    pub capability_modifier: i16,
}

impl TrustScore {
    /// The tier in which the points lie.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.total.tier()
    }
}

/// Computes an agent's points.
///
/// The level's base, and: 2 for each success, −10 for each failure, 10 for each dispute won, −50 for each
/// lost, 1 for each two whole days, −75 for each slash, together held within ±300; 50 or 25 for full or
/// partial reversibility, 20 for idempotency; 30 for ephemeral and −20 for permanent retention, −20 for
/// training with the data, 20 for not taking what concerns a person. The sum is held within 0 and 1000.
///
/// ```
/// use hv_integrations::nexus::{ReputationHistory, Tasks, TrustFacts, VerificationLevel, calculate_trust_score};
///
/// let history = ReputationHistory { successful_tasks: Tasks::whole(85), ..Default::default() };
/// let facts = TrustFacts { level: VerificationLevel::Verified, ..history.into() };
/// assert_eq!(calculate_trust_score(&facts).total.get(), 820);
/// ```
#[must_use]
pub fn calculate_trust_score(facts: &TrustFacts) -> TrustScore {
    let base = facts.level.base();
    let behavioral_modifier = behavior(&facts.history);
    let capability_modifier = facts.capabilities.as_ref().map_or(0, capability_points)
        + facts.privacy.as_ref().map_or(0, privacy_points);
    let sum = i64::from(base) + i64::from(behavioral_modifier) + i64::from(capability_modifier);
    let total = TrustPoints::new(sum.clamp(0, 1000)).unwrap_or_default();
    TrustScore { total, base, behavioral_modifier, capability_modifier }
}

const BEHAVIOR_MOST: i16 = 300;

/// No count of 64 bits, times what it weighs, leaves 128 bits.
fn behavior(history: &ReputationHistory) -> i16 {
    let of = |count: u64, weight: i128| i128::from(count) * weight;
    let sum = of(history.successful_tasks.0, 1) - of(history.failed_tasks.0, 5)
        + of(history.disputes_won, 10)
        - of(history.disputes_lost, 50)
        + of(history.uptime_days / 2, 1)
        - of(history.times_slashed, 75);
    let most = i128::from(BEHAVIOR_MOST);
    i16::try_from(sum.clamp(-most, most)).unwrap_or(-BEHAVIOR_MOST)
}

fn capability_points(facts: &CapabilityFacts) -> i16 {
    let reversibility = match facts.reversibility {
        Reversibility::Full => 50,
        Reversibility::Partial => 25,
        Reversibility::None => 0,
    };
    reversibility + if facts.idempotency { 20 } else { 0 }
}

fn privacy_points(facts: &PrivacyFacts) -> i16 {
    let retention = match facts.retention {
        DataRetention::Ephemeral => 30,
        DataRetention::Permanent => -20,
        DataRetention::Other => 0,
    };
    let pii = match facts.pii {
        PiiHandling::Reject => 20,
        PiiHandling::Other => 0,
    };
    retention + pii - if facts.training_consent { 20 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(level: VerificationLevel, history: ReputationHistory) -> (u16, i16) {
        let score = calculate_trust_score(&TrustFacts { level, ..history.into() });
        (score.total.get(), score.behavioral_modifier)
    }

    #[test]
    fn each_part_weighs_what_it_should() {
        let none = ReputationHistory::default;
        let registered = VerificationLevel::Registered;
        for (history, modifier) in [
            (none(), 0),
            (ReputationHistory { successful_tasks: Tasks::whole(1), ..none() }, 2),
            (ReputationHistory { successful_tasks: Tasks::halves(1), ..none() }, 1),
            (ReputationHistory { failed_tasks: Tasks::whole(1), ..none() }, -10),
            (ReputationHistory { failed_tasks: Tasks::halves(1), ..none() }, -5),
            (ReputationHistory { disputes_won: 1, ..none() }, 10),
            (ReputationHistory { disputes_lost: 1, ..none() }, -50),
            (ReputationHistory { uptime_days: 1, ..none() }, 0),
            (ReputationHistory { uptime_days: 3, ..none() }, 1),
            (ReputationHistory { times_slashed: 1, ..none() }, -75),
            (ReputationHistory { successful_tasks: Tasks::whole(150), ..none() }, 300),
            (ReputationHistory { successful_tasks: Tasks::whole(151), ..none() }, 300),
            (ReputationHistory { failed_tasks: Tasks::whole(31), ..none() }, -300),
            (ReputationHistory { times_slashed: u64::MAX, ..none() }, -300),
            (ReputationHistory { successful_tasks: Tasks::whole(u64::MAX), ..none() }, 300),
        ] {
            let expected = (u16::try_from(400 + modifier).unwrap(), modifier);
            assert_eq!(total(registered, history.clone()), expected, "{history:?}");
        }
    }

    #[test]
    fn the_sum_stays_within_0_and_1000() {
        let good = ReputationHistory { successful_tasks: Tasks::whole(200), ..Default::default() };
        let bad = ReputationHistory { failed_tasks: Tasks::whole(200), ..Default::default() };
        assert_eq!(total(VerificationLevel::VerifiedPartner, good), (1000, 300));
        assert_eq!(total(VerificationLevel::Unknown, bad), (0, -300));
    }
}
