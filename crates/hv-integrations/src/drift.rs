//! Drift: how far what an agent does lies from what it said, the port of whoever measures it, and the rules that
//! turn samples into a response.

mod check;
mod history;
mod response;

pub use check::{DriftCheckResult, DriftThresholds, Verdict};
pub use history::{AGENTS_REMEMBERED, DriftHistory, HISTORY_MAX_BYTES, SAMPLES_REMEMBERED};
pub use response::{Change, Cusum, CusumState, Hysteresis, Response, WINDOW_MAX, Watch};

use core::fmt;
use std::sync::Arc;

/// The most dimensions that an embedding may have.
pub const DIMENSIONS_MAX: usize = 65_536;

/// How far two embeddings lie apart, 0 (not at all) to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct DriftScore(f64);

impl DriftScore {
    /// Not at all.
    pub const ZERO: Self = Self(0.0);
    /// As far as can be.
    pub const ONE: Self = Self(1.0);

    /// So far.
    ///
    /// # Errors
    /// [`NotADriftScore`] for what is not a number from 0 to 1: a verifier that says so is not believed.
    ///
    /// ```
    /// use hv_integrations::drift::DriftScore;
    ///
    /// assert!(DriftScore::new(0.3).is_ok());
    /// assert!(DriftScore::new(f64::NAN).is_err() && DriftScore::new(1.5).is_err());
    /// ```
    pub fn new(score: f64) -> Result<Self, NotADriftScore> {
        // Adding 0 turns −0 into 0, so that equal scores are the same score.
        if (0.0..=1.0).contains(&score) { Ok(Self(score + 0.0)) } else { Err(NotADriftScore) }
    }

    /// The number, 0 to 1, never NaN.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// Total, because a score is never NaN.
impl Eq for DriftScore {}

/// Total, because a score is never NaN.
#[allow(clippy::derive_ord_xor_partial_ord)]
impl Ord for DriftScore {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl fmt::Display for DriftScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

/// A number that is no drift score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotADriftScore;

impl fmt::Display for NotADriftScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a drift score; one is a number from 0 to 1")
    }
}

impl core::error::Error for NotADriftScore {}

/// How the distance of two embeddings is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// One less the cosine of the angle: direction alone.
    Cosine,
    /// The length of the difference.
    Euclidean,
    /// The sum of the differences of all dimensions.
    Manhattan,
    /// The largest difference of a dimension.
    Chebyshev,
    /// The length of the difference under a covariance; here the identity, so as [`Euclidean`](Self::Euclidean),
    /// on another scale.
    Mahalanobis,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Cosine, Self::Euclidean, Self::Manhattan, Self::Chebyshev, Self::Mahalanobis];

    /// As it is written: `cosine`, `euclidean`, `manhattan`, `chebyshev`, `mahalanobis`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
            Self::Manhattan => "manhattan",
            Self::Chebyshev => "chebyshev",
            Self::Mahalanobis => "mahalanobis",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How to measure.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DriftSettings<'a> {
    /// How the distance is measured; as the profile has it where this says nothing, and by cosine where
    /// neither does.
    pub metric: Option<Metric>,
    /// How much each dimension counts; all the same where this says nothing.
    pub weights: Option<&'a [f64]>,
    /// What counts as close enough.
    pub profile: Option<ThresholdProfile>,
}

/// What counts as close enough in some field of work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThresholdProfile {
    name: &'static str,
    drift: DriftScore,
    confidence: f64,
    metric: Metric,
}

impl ThresholdProfile {
    /// A profile of one's own: the most drift that passes, the least confidence that passes, and the metric.
    ///
    /// # Errors
    /// [`NotADriftScore`] where the confidence is no number from 0 to 1.
    pub fn new(
        name: &'static str,
        drift: DriftScore,
        confidence: f64,
        metric: Metric,
    ) -> Result<Self, NotADriftScore> {
        DriftScore::new(confidence)?;
        Ok(Self { name, drift, confidence, metric })
    }

    /// The profiles that cmvk comes with: general, carbon, financial, medical, strict, lenient.
    pub const ALL: [Self; 6] = [
        Self::known("general", 0.3, 0.7, Metric::Cosine),
        Self::known("carbon", 0.15, 0.85, Metric::Euclidean),
        Self::known("financial", 0.10, 0.90, Metric::Chebyshev),
        Self::known("medical", 0.20, 0.85, Metric::Manhattan),
        Self::known("strict", 0.05, 0.95, Metric::Euclidean),
        Self::known("lenient", 0.5, 0.5, Metric::Cosine),
    ];

    const fn known(name: &'static str, drift: f64, confidence: f64, metric: Metric) -> Self {
        Self { name, drift: DriftScore(drift), confidence, metric }
    }

    /// The profile of this name, in letters of any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name.eq_ignore_ascii_case(name))
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The most drift that passes.
    #[must_use]
    pub const fn drift_threshold(&self) -> DriftScore {
        self.drift
    }

    /// The least confidence that passes.
    #[must_use]
    pub const fn confidence_threshold(&self) -> f64 {
        self.confidence
    }

    /// The metric that it uses where nobody asks for another.
    #[must_use]
    pub const fn metric(&self) -> Metric {
        self.metric
    }

    /// What the profile says of a drift measured with this confidence.
    #[must_use]
    pub fn judge(&self, score: DriftScore, confidence: f64) -> ProfileVerdict {
        let passed = score <= self.drift && confidence >= self.confidence;
        let ratio = if self.drift > DriftScore::ZERO { score.0 / self.drift.0 } else { f64::INFINITY };
        let severity = if ratio <= 1.0 {
            ProfileSeverity::Pass
        } else if ratio <= 1.5 {
            ProfileSeverity::Warning
        } else if ratio <= 2.0 {
            ProfileSeverity::Critical
        } else {
            ProfileSeverity::Severe
        };
        ProfileVerdict { profile: *self, passed, severity }
    }
}

/// What a profile says of a drift.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProfileVerdict {
    /// The profile.
    pub profile: ThresholdProfile,
    /// Whether both the drift and the confidence pass.
    pub passed: bool,
    /// How far the drift lies beyond the profile's threshold, whatever the confidence.
    pub severity: ProfileSeverity,
}

/// How far a drift lies beyond a profile's threshold. Another scale than [`Severity`](crate::trust::Severity).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProfileSeverity {
    /// Within it.
    Pass,
    /// Up to one and a half times as far.
    Warning,
    /// Up to twice as far.
    Critical,
    /// Farther.
    Severe,
}

impl ProfileSeverity {
    /// As it is written: `pass`, `warning`, `critical`, `severe`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Severe => "severe",
        }
    }
}

/// A drift as it was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// How far, from 0 to 1.
    pub score: DriftScore,
    /// How far the measurement can be relied on, 0 to 1.
    pub confidence: f64,
    /// The distance on the metric's own scale.
    pub raw_distance: f64,
    /// The metric.
    pub metric: Metric,
    /// What the profile says, where there is one.
    pub profile: Option<ProfileVerdict>,
}

impl Drift {
    /// The same, where its numbers can be true: a confidence from 0 to 1, and a distance that is a number.
    ///
    /// # Errors
    /// [`Indeterminate::NotBelieved`] for everything else, NaN too: a verifier that says so is not believed.
    pub fn believed(self) -> Result<Self, Indeterminate> {
        let sound = (0.0..=1.0).contains(&self.confidence) && self.raw_distance.is_finite();
        if sound { Ok(self) } else { Err(Indeterminate::NotBelieved) }
    }
}

/// Measures how far two embeddings lie apart: in the process, or a service somewhere.
///
/// An implementation bounds its own waiting.
pub trait DriftVerifier: Send + Sync {
    /// How far what was observed lies from what was claimed.
    ///
    /// # Errors
    /// [`Indeterminate`] where that cannot be told. It is never a pass.
    fn verify(
        &self,
        claimed: &[f64],
        observed: &[f64],
        settings: &DriftSettings<'_>,
    ) -> Result<Drift, Indeterminate>;
}

impl<V: DriftVerifier + ?Sized> DriftVerifier for Arc<V> {
    fn verify(
        &self,
        claimed: &[f64],
        observed: &[f64],
        settings: &DriftSettings<'_>,
    ) -> Result<Drift, Indeterminate> {
        (**self).verify(claimed, observed, settings)
    }
}

/// One of the two embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// What the agent said.
    Claimed,
    /// What it did.
    Observed,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claimed => "claimed",
            Self::Observed => "observed",
        })
    }
}

/// Why a drift cannot be told. It is never a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Indeterminate {
    /// Both embeddings are empty.
    Empty,
    /// The embeddings have different lengths.
    Mismatched {
        /// The dimensions of what was claimed.
        claimed: usize,
        /// The dimensions of what was observed.
        observed: usize,
    },
    /// The embeddings have more than [`DIMENSIONS_MAX`] dimensions.
    TooLong {
        /// How many they have.
        dimensions: usize,
    },
    /// An embedding has a NaN or an infinity in it.
    NotFinite {
        /// Which of the two.
        side: Side,
        /// The first dimension that is not a number.
        dimension: usize,
    },
    /// An embedding is zero in every dimension, or so small that its length is.
    Zero {
        /// Which of the two.
        side: Side,
    },
    /// An embedding has numbers so large that its length, or the distance, cannot be told.
    Overflow,
    /// There is not one weight for each dimension, or one of them is negative or not finite, or all are zero.
    Weights,
    /// The verifier answered with something that is no drift.
    NotBelieved,
    /// The verifier could not be reached, or did not answer in time.
    Unreachable {
        /// The verifier, as an operator would name it.
        verifier: String,
    },
}

impl fmt::Display for Indeterminate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("both embeddings are empty"),
            Self::Mismatched { claimed, observed } => {
                write!(f, "the claimed embedding has {claimed} dimensions and the observed one {observed}")
            }
            Self::TooLong { dimensions } => {
                write!(
                    f,
                    "the embeddings have {dimensions} dimensions; at most {DIMENSIONS_MAX} are compared"
                )
            }
            Self::NotFinite { side, dimension } => {
                write!(f, "dimension {dimension} of the {side} embedding is not a finite number")
            }
            Self::Zero { side } => write!(f, "the {side} embedding is zero and says nothing"),
            Self::Overflow => f.write_str("the embeddings have numbers too large to compare"),
            Self::Weights => {
                f.write_str("give one weight from 0 for each dimension, and not 0 for all of them")
            }
            Self::NotBelieved => f.write_str("the verifier's answer is no drift from 0 to 1"),
            Self::Unreachable { verifier } => {
                write!(f, "{verifier} measured no drift; check that it runs and answers")
            }
        }
    }
}

impl core::error::Error for Indeterminate {}

hv_types::wire_struct!(Hysteresis { window, needed, calm });
hv_types::wire_enum!(Response { 0 => Nothing {}, 1 => Demote {}, 2 => Slash {}, 3 => Restore {} });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_score_is_refused() {
        for bad in [f64::NAN, f64::INFINITY, -1e-300, 1.000_000_000_1, 42.0] {
            assert_eq!(DriftScore::new(bad), Err(NotADriftScore), "{bad}");
        }
        for good in [0.0, f64::MIN_POSITIVE, 1.0] {
            assert!(DriftScore::new(good).is_ok(), "{good}");
        }
        assert_eq!(
            DriftScore::new(-0.0).map(|score| score.cmp(&DriftScore::ZERO)),
            Ok(core::cmp::Ordering::Equal)
        );
    }

    #[test]
    fn a_profile_judges_at_its_boundaries() {
        let profile = ThresholdProfile::named("LENIENT").unwrap();
        for (score, confidence, passed, severity) in [
            (0.0, 0.5, true, ProfileSeverity::Pass),
            (0.5, 0.5, true, ProfileSeverity::Pass),
            (0.5, 0.499, false, ProfileSeverity::Pass),
            (0.501, 0.9, false, ProfileSeverity::Warning),
            (0.75, 0.9, false, ProfileSeverity::Warning),
            (0.751, 0.9, false, ProfileSeverity::Critical),
            (1.0, 0.9, false, ProfileSeverity::Critical),
        ] {
            let verdict = profile.judge(DriftScore::new(score).unwrap(), confidence);
            assert_eq!((verdict.passed, verdict.severity), (passed, severity), "{score} {confidence}");
        }
        let strict = ThresholdProfile::named("strict").unwrap();
        assert_eq!(strict.judge(DriftScore::new(0.11).unwrap(), 1.0).severity, ProfileSeverity::Severe);
        assert_eq!(ThresholdProfile::named("unheard-of"), None);
        let nothing = ThresholdProfile::new("nothing", DriftScore::ZERO, 1.0, Metric::Cosine).unwrap();
        assert_eq!(nothing.judge(DriftScore::ZERO, 1.0).severity, ProfileSeverity::Severe);
    }
}
