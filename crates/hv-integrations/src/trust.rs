//! Trust that somebody else keeps: points from 0 to 1000, and the port of whoever gives them.

use core::fmt;
use hv_types::wire::Reader;
use hv_types::{Did, Digest, Share, Sigma, Undecodable, Wire};
use std::sync::Arc;

/// Trust points, 0 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TrustPoints(u16);

impl TrustPoints {
    /// The most points there are.
    pub const MAX: Self = Self(1000);

    /// So many points.
    ///
    /// # Errors
    /// [`PointsOutOfRange`] below 0 and above 1000: a scorer that says so is not believed.
    pub fn new(points: i64) -> Result<Self, PointsOutOfRange> {
        u16::try_from(points).ok().filter(|&p| p <= Self::MAX.0).map(Self).ok_or(PointsOutOfRange(points))
    }

    /// The points, 0 to 1000.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The points as a σ: a thousandth for each.
    ///
    /// ```
    /// use hv_integrations::trust::TrustPoints;
    ///
    /// assert_eq!(TrustPoints::new(820)?.sigma(), "0.82".parse().unwrap());
    /// # Ok::<(), hv_integrations::trust::PointsOutOfRange>(())
    /// ```
    #[must_use]
    pub fn sigma(self) -> Sigma {
        Sigma::capped(u64::from(self.0) * 1000)
    }

    /// The tier in which the points lie.
    #[must_use]
    pub const fn tier(self) -> Tier {
        match self.0 {
            900.. => Tier::VerifiedPartner,
            700.. => Tier::Trusted,
            500.. => Tier::Standard,
            300.. => Tier::Probationary,
            _ => Tier::Untrusted,
        }
    }

    /// So many points fewer, and none below 0.
    #[must_use]
    pub const fn less(self, points: u16) -> Self {
        Self(self.0.saturating_sub(points))
    }
}

impl fmt::Display for TrustPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/1000", self.0)
    }
}

/// A number of points that there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PointsOutOfRange(pub i64);

impl fmt::Display for PointsOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no number of trust points; they run from 0 to 1000", self.0)
    }
}

impl core::error::Error for PointsOutOfRange {}

/// A band of trust points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// 0 to 299.
    Untrusted,
    /// 300 to 499.
    Probationary,
    /// 500 to 699.
    Standard,
    /// 700 to 899.
    Trusted,
    /// 900 to 1000.
    VerifiedPartner,
}

impl Tier {
    /// As it is written: `verified_partner`, `trusted`, `standard`, `probationary`, `untrusted`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Probationary => "probationary",
            Self::Standard => "standard",
            Self::Trusted => "trusted",
            Self::VerifiedPartner => "verified_partner",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How bad something was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth noting.
    Low,
    /// Worth acting upon.
    Medium,
    /// A violation.
    High,
    /// A violation that nobody can overlook.
    Critical,
}

impl Severity {
    /// All of them, the mildest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// As it is written: `low`, `medium`, `high`, `critical`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// How bad it was by how much of it is the agent's own doing: a quarter of the whole for each.
    ///
    /// ```
    /// use hv_integrations::trust::Severity;
    /// use hv_types::Share;
    ///
    /// assert_eq!(Severity::of_fault(Share::ONE), Severity::Critical);
    /// assert_eq!(Severity::of_fault(Share::capped(333_333)), Severity::Medium);
    /// ```
    #[must_use]
    pub const fn of_fault(fault: Share) -> Self {
        match fault.ppm() {
            750_000.. => Self::Critical,
            500_000.. => Self::High,
            250_000.. => Self::Medium,
            _ => Self::Low,
        }
    }

    /// The trust points that a slash of this severity costs: 25, 50, 100, 200.
    #[must_use]
    pub const fn penalty(self) -> u16 {
        match self {
            Self::Low => 25,
            Self::Medium => 50,
            Self::High => 100,
            Self::Critical => 200,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskOutcome {
    /// Done.
    Success,
    /// Not done.
    Failure,
    /// Half done: half a success and half a failure.
    Partial,
}

/// How a dispute ended for the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisputeOutcome {
    /// It was right.
    Won,
    /// It was wrong.
    Lost,
}

/// A slash, told to whoever keeps trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlashReport {
    /// Who was slashed.
    pub agent: Did,
    /// Why, for people.
    pub reason: String,
    /// How bad it was.
    pub severity: Severity,
    /// What proves it. A report that names the same evidence again is the same report, and counts once.
    pub evidence: Option<Digest>,
}

/// Something that happened to an agent and bears on its trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustEvent {
    /// A task ended.
    Task(Did, TaskOutcome),
    /// A dispute ended.
    Dispute(Did, DisputeOutcome),
    /// A slash.
    Slash(SlashReport),
}

/// Keeps the trust of agents: an engine in the process, or a service somewhere.
///
/// An implementation bounds its own waiting. An error never counts as trust.
pub trait TrustScorer: Send + Sync {
    /// What is known of an agent, for scorers that do not keep everything themselves.
    type Facts;

    /// The agent's points now, from the facts given, or from what the scorer itself has on file.
    ///
    /// # Errors
    /// [`ScorerFault`] where no points are to be had.
    fn points(&self, agent: &Did, facts: Option<&Self::Facts>) -> Result<TrustPoints, ScorerFault>;

    /// Takes note of what happened.
    ///
    /// # Errors
    /// [`ScorerFault`] where it could not; the caller tells it again later.
    fn report(&self, event: &TrustEvent) -> Result<(), ScorerFault>;

    /// The same under a key: what was taken note of under a key before counts no second time.
    ///
    /// Unless an implementation says otherwise, only slashes are told apart, by their evidence.
    ///
    /// # Errors
    /// As [`report`](Self::report).
    fn report_once(&self, key: &Digest, event: &TrustEvent) -> Result<(), ScorerFault> {
        let _ = key;
        self.report(event)
    }
}

impl<S: TrustScorer + ?Sized> TrustScorer for Arc<S> {
    type Facts = S::Facts;

    fn points(&self, agent: &Did, facts: Option<&S::Facts>) -> Result<TrustPoints, ScorerFault> {
        (**self).points(agent, facts)
    }

    fn report(&self, event: &TrustEvent) -> Result<(), ScorerFault> {
        (**self).report(event)
    }

    fn report_once(&self, key: &Digest, event: &TrustEvent) -> Result<(), ScorerFault> {
        (**self).report_once(key, event)
    }
}

/// Why a scorer gives no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScorerFault {
    /// The scorer could not be reached, or did not answer in time.
    Unreachable {
        /// The scorer, as an operator would name it.
        scorer: String,
    },
    /// The scorer answered with points that there are not.
    Points(PointsOutOfRange),
    /// The scorer keeps no more agents, or no more evidence against this one.
    Full {
        /// The most that it keeps.
        limit: usize,
    },
}

impl fmt::Display for ScorerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { scorer } => {
                write!(f, "{scorer} gave no trust score; check that it runs and answers")
            }
            Self::Points(bad) => write!(f, "the trust score is not believed: {bad}"),
            Self::Full { limit } => {
                write!(f, "the trust scorer keeps at most {limit}; raise its limit or let it forget")
            }
        }
    }
}

impl core::error::Error for ScorerFault {}

hv_types::wire_enum!(Severity { 0 => Low {}, 1 => Medium {}, 2 => High {}, 3 => Critical {} });
hv_types::wire_enum!(DisputeOutcome { 0 => Won {}, 1 => Lost {} });
hv_types::wire_struct!(SlashReport { agent, reason, severity, evidence });

impl Wire for TrustEvent {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Task(agent, outcome) => (0u8, (agent.clone(), *outcome)).put(out),
            Self::Dispute(agent, outcome) => (1u8, (agent.clone(), *outcome)).put(out),
            Self::Slash(report) => {
                out.push(2);
                report.put(out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        match reader.byte()? {
            0 => Ok(Self::Task(Wire::take(reader)?, Wire::take(reader)?)),
            1 => Ok(Self::Dispute(Wire::take(reader)?, Wire::take(reader)?)),
            2 => Wire::take(reader).map(Self::Slash),
            tag => Err(reader.unknown_tag("TrustEvent", tag)),
        }
    }
}

hv_types::wire_enum!(TaskOutcome { 0 => Success {}, 1 => Failure {}, 2 => Partial {} });

impl From<PointsOutOfRange> for ScorerFault {
    fn from(bad: PointsOutOfRange) -> Self {
        Self::Points(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_begin_at_their_boundaries() {
        for (points, tier) in [
            (0, Tier::Untrusted),
            (299, Tier::Untrusted),
            (300, Tier::Probationary),
            (499, Tier::Probationary),
            (500, Tier::Standard),
            (699, Tier::Standard),
            (700, Tier::Trusted),
            (899, Tier::Trusted),
            (900, Tier::VerifiedPartner),
            (1000, Tier::VerifiedPartner),
        ] {
            let points = TrustPoints::new(points).unwrap();
            assert_eq!(points.tier(), tier, "{points}");
            assert_eq!(points.sigma().ppm(), u32::from(points.get()) * 1000);
        }
    }

    #[test]
    fn points_that_there_are_not_are_refused() {
        for bad in [-1, 1001, 5000, i64::MIN, i64::MAX, 65_536] {
            assert_eq!(TrustPoints::new(bad), Err(PointsOutOfRange(bad)));
        }
    }

    #[test]
    fn a_penalty_takes_at_most_what_is_there() {
        let points = TrustPoints::new(120).unwrap();
        let after = Severity::ALL.map(|severity| points.less(severity.penalty()).get());
        assert_eq!(after, [95, 70, 20, 0]);
    }
}
