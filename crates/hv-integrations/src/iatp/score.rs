//! The score that a manifest has by the rules of `inter-agent-trust-protocol` 0.5.0.

use crate::manifest::{CapabilityManifest, Retention, TrustLevel};
use core::fmt;
use hv_types::{Reversibility, Sigma};

/// A manifest's trust score, 0 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IatpScore(u8);

impl IatpScore {
    /// The points, 0 to 10.
    #[must_use]
    pub const fn points(self) -> u8 {
        self.0
    }

    /// The score as a σ: a tenth for each point.
    #[must_use]
    pub fn sigma(self) -> Sigma {
        Sigma::capped(u64::from(self.0) * 100_000)
    }
}

impl fmt::Display for IatpScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/10", self.0)
    }
}

/// Scores what a manifest says, whoever says it.
///
/// Starts at 5 and adds by trust level (verified partner 3, trusted 2, standard 0, unknown −2, untrusted −5);
/// 1 each where requests may be repeated, where actions can be taken back at all, and where no person looks
/// at the data; 2 for ephemeral retention, −2 for retention without end. The sum is held within 0 and 10.
///
/// What else a manifest says does not count; in particular not encryption, windows, limits and scopes.
///
/// ```
/// use hv_integrations::iatp::{parse_manifest, trust_score};
///
/// let manifest = r#"{"agent_id": "a", "capabilities": {}, "privacy_contract": {"retention": "temporary"}}"#;
/// assert_eq!(trust_score(&parse_manifest(manifest)?).points(), 6);
/// # Ok::<(), hv_integrations::json::BadInput>(())
/// ```
#[must_use]
pub fn trust_score(manifest: &CapabilityManifest) -> IatpScore {
    let level: i8 = match manifest.trust_level {
        TrustLevel::VerifiedPartner => 3,
        TrustLevel::Trusted => 2,
        TrustLevel::Standard => 0,
        TrustLevel::Unknown => -2,
        TrustLevel::Untrusted => -5,
    };
    let retention = match manifest.privacy_contract.retention {
        Retention::Ephemeral => 2,
        Retention::Temporary => 0,
        Retention::Permanent | Retention::Forever => -2,
    };
    let bonus = |earned: bool| i8::from(earned);
    let sum = 5
        + level
        + retention
        + bonus(manifest.capabilities.idempotency)
        + bonus(manifest.capabilities.reversibility != Reversibility::None)
        + bonus(!manifest.privacy_contract.human_review);
    IatpScore(sum.clamp(0, 10).unsigned_abs())
}
