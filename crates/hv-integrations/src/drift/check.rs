//! One check of an agent's behaviour, on hv's own scale.

use crate::drift::{Drift, DriftScore, Indeterminate, NotADriftScore};
use crate::trust::Severity;
use hv_types::{Did, SessionId};

use super::response::{Change, Response};

/// From which score on a drift has which severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriftThresholds([DriftScore; 4]);

/// Low from 0.15, medium from 0.30, high from 0.50, critical from 0.75.
impl Default for DriftThresholds {
    fn default() -> Self {
        Self([0.15, 0.30, 0.50, 0.75].map(|score| DriftScore::new(score).unwrap_or(DriftScore::ZERO)))
    }
}

impl DriftThresholds {
    /// Thresholds of one's own: where low, medium, high and critical begin, in this order.
    ///
    /// # Errors
    /// [`NotADriftScore`] where one is no number from 0 to 1, or one lies below the one before it.
    pub fn new(low: f64, medium: f64, high: f64, critical: f64) -> Result<Self, NotADriftScore> {
        let mut scores = [DriftScore::ZERO; 4];
        for (score, given) in scores.iter_mut().zip([low, medium, high, critical]) {
            *score = DriftScore::new(given)?;
        }
        if scores.is_sorted() { Ok(Self(scores)) } else { Err(NotADriftScore) }
    }

    /// How bad a drift of this score is; nothing where it is not even low.
    #[must_use]
    pub fn severity(&self, score: DriftScore) -> Option<Severity> {
        let reached = |&(threshold, _): &(DriftScore, Severity)| score >= threshold;
        self.0.into_iter().zip(Severity::ALL).rfind(reached).map(|(_, severity)| severity)
    }
}

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Below every threshold.
    Aligned,
    /// So bad.
    Drifted(Severity),
    /// Nobody can tell. It is never a pass.
    Indeterminate(Indeterminate),
}

impl Verdict {
    /// Whether the behaviour is what was claimed: measured, and of severity low at most.
    #[must_use]
    pub const fn passed(&self) -> bool {
        matches!(self, Self::Aligned | Self::Drifted(Severity::Low))
    }

    /// Whether the drift is bad enough for a slash: high or critical.
    #[must_use]
    pub const fn should_slash(&self) -> bool {
        matches!(self, Self::Drifted(Severity::High | Severity::Critical))
    }

    /// Whether the drift is bad enough for a demotion, and not for a slash: medium.
    #[must_use]
    pub const fn should_demote(&self) -> bool {
        matches!(self, Self::Drifted(Severity::Medium))
    }
}

/// A check of an agent's behaviour.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftCheckResult {
    /// Whose behaviour.
    pub agent_did: Did,
    /// In which session.
    pub session_id: SessionId,
    /// What the check says.
    pub verdict: Verdict,
    /// What was measured, where anything could be.
    pub drift: Option<Drift>,
    /// The dimensions with the largest shares in a drift that does not pass, at most five, the largest first.
    pub drivers: Vec<(usize, f64)>,
    /// What this sample and those before it call for.
    pub response: Response,
    /// A change of the mean that shows with this sample.
    pub change: Option<Change>,
}

impl DriftCheckResult {
    /// As [`Verdict::passed`].
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.verdict.passed()
    }

    /// As [`Verdict::should_slash`]: of this sample alone. Whether to act is for
    /// [`response`](Self::response), which one noisy sample does not move.
    #[must_use]
    pub const fn should_slash(&self) -> bool {
        self.verdict.should_slash()
    }

    /// As [`Verdict::should_demote`]: of this sample alone.
    #[must_use]
    pub const fn should_demote(&self) -> bool {
        self.verdict.should_demote()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_begin_at_their_thresholds() {
        let thresholds = DriftThresholds::default();
        for (score, severity) in [
            (0.0, None),
            (0.149_999_999, None),
            (0.15, Some(Severity::Low)),
            (0.299_999_999, Some(Severity::Low)),
            (0.30, Some(Severity::Medium)),
            (0.499_999_999, Some(Severity::Medium)),
            (0.50, Some(Severity::High)),
            (0.749_999_999, Some(Severity::High)),
            (0.75, Some(Severity::Critical)),
            (1.0, Some(Severity::Critical)),
        ] {
            assert_eq!(thresholds.severity(DriftScore::new(score).unwrap()), severity, "{score}");
        }
    }

    #[test]
    fn thresholds_rise() {
        assert!(DriftThresholds::new(0.1, 0.2, 0.3, 0.4).is_ok());
        assert!(DriftThresholds::new(0.1, 0.1, 0.1, 0.1).is_ok());
        for (low, medium, high, critical) in
            [(0.2, 0.1, 0.3, 0.4), (0.1, 0.2, 0.5, 0.4), (f64::NAN, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 1.1)]
        {
            assert_eq!(DriftThresholds::new(low, medium, high, critical), Err(NotADriftScore));
        }
    }
}
