//! The two thresholds, and the one comparison with them.

use hv_types::{Ring, Sigma};

/// Ring 2 is earned strictly above this score: 0.60.
pub const STANDARD_ABOVE: Sigma = Sigma::capped(600_000);

/// Ring 1 is open strictly above this score, to whoever brings a quorum: 0.95.
pub const PRIVILEGED_ABOVE: Sigma = Sigma::capped(950_000);

/// Whether a score passes a threshold. Equality does not.
///
/// INVARIANT (R2): every comparison of a score with a threshold, at assignment and at every check, is this
/// function.
///
/// ```
/// use hv_rings::{STANDARD_ABOVE, Sigma, exceeds};
///
/// assert!(!exceeds("0.60".parse()?, STANDARD_ABOVE));
/// assert!(exceeds("0.600001".parse()?, STANDARD_ABOVE));
/// # Ok::<(), hv_types::NotAFraction>(())
/// ```
#[inline]
#[must_use]
pub const fn exceeds(sigma: Sigma, threshold: Sigma) -> bool {
    sigma.ppm() > threshold.ppm()
}

/// The score that a ring asks to be exceeded, or `None` where it asks for none.
///
/// Ring 3 is open to everybody. Ring 0 is not a matter of trust (R3): a witness opens it and nothing else does,
/// and every cap on the agent still holds.
#[inline]
#[must_use]
pub const fn threshold(ring: Ring) -> Option<Sigma> {
    match ring {
        Ring::Privileged => Some(PRIVILEGED_ABOVE),
        Ring::Standard => Some(STANDARD_ABOVE),
        Ring::Root | Ring::Sandbox => None,
    }
}

/// The ring that a score earns alone: 2 or 3.
///
/// INVARIANT (R3): no score earns Ring 1 or Ring 0.
///
/// ```
/// use hv_rings::{Ring, earned};
///
/// assert_eq!(earned("0.601".parse()?), Ring::Standard);
/// assert_eq!(earned("0.60".parse()?), Ring::Sandbox);
/// assert_eq!(earned("1".parse()?), Ring::Standard);
/// # Ok::<(), hv_types::NotAFraction>(())
/// ```
#[inline]
#[must_use]
pub const fn earned(sigma: Sigma) -> Ring {
    if exceeds(sigma, STANDARD_ABOVE) { Ring::Standard } else { Ring::Sandbox }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sigma(ppm: u32) -> Sigma {
        Sigma::from_ppm(ppm).unwrap()
    }

    #[test]
    fn r2_thresholds_to_the_millionth() {
        for (ppm, ring) in [
            (0, Ring::Sandbox),
            (599_999, Ring::Sandbox),
            (600_000, Ring::Sandbox),
            (600_001, Ring::Standard),
            (949_999, Ring::Standard),
            (950_000, Ring::Standard),
            (950_001, Ring::Standard),
            (1_000_000, Ring::Standard),
        ] {
            assert_eq!(earned(sigma(ppm)), ring, "{ppm}");
        }
        for (threshold, ppm) in [(STANDARD_ABOVE, 600_000), (PRIVILEGED_ABOVE, 950_000)] {
            assert_eq!(threshold.ppm(), ppm);
            assert!(!exceeds(sigma(ppm - 1), threshold));
            assert!(!exceeds(sigma(ppm), threshold));
            assert!(exceeds(sigma(ppm + 1), threshold));
        }
    }

    #[test]
    fn each_ring_asks_for_its_own_threshold() {
        let asked = Ring::ALL.map(|ring| threshold(ring).map(Sigma::ppm));
        assert_eq!(asked, [None, Some(950_000), Some(600_000), None]);
    }
}
