//! Where an agent stands: what its score earns, under the caps that lie on it.

use crate::score::earned;
use core::fmt;
use hv_types::{Did, Ring, Sigma, Timestamp};

/// A reason for which an agent stands no higher than a ring, whatever it earned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case", tag = "cap"))]
pub enum Cap {
    /// A child never stands above its parent.
    Parent {
        /// Who made the agent.
        parent: Did,
        /// Where the parent stands.
        ring: Ring,
    },
    /// The agent was demoted.
    Demotion {
        /// To where.
        ring: Ring,
        /// The last point in time at which it holds.
        until: Timestamp,
    },
    /// The agent called above its ring too often, and the breaker is open: Ring 3.
    Breaker {
        /// The last point in time at which it holds.
        until: Timestamp,
    },
    /// The agent has no history yet: at most Ring 2.
    Probation,
    /// The agent's history is missing, contradictory or made up: Ring 3.
    SuspiciousHistory,
    /// The score lies below what the session asks of its members: Ring 3.
    SessionMinimum {
        /// What the session asks.
        minimum: Sigma,
        /// The score that there is.
        sigma: Sigma,
    },
    /// The manifest's trust level goes no further.
    Manifest {
        /// The ring that the level hints at.
        hint: Ring,
    },
    /// An operator set it.
    Operator {
        /// To which ring.
        ring: Ring,
    },
    /// The agent does otherwise than it claimed: Ring 3, until enough samples pass.
    Drift,
    /// A scorer is asked about trust, and no answer of it counts now: Ring 3.
    Unscored,
    /// Its history lies on another node, which could not be reached: Ring 3, until it is asked again and answers.
    UnreachableHistory,
}

hv_types::wire_enum!(Cap {
    0 => Parent { parent, ring },
    1 => Demotion { ring, until },
    2 => Breaker { until },
    3 => Probation {},
    4 => SuspiciousHistory {},
    5 => SessionMinimum { minimum, sigma },
    6 => Manifest { hint },
    7 => Operator { ring },
    40 => Drift {},
    41 => Unscored {},
    42 => UnreachableHistory {},
});

impl Cap {
    /// The cap on an agent whose score lies below what the session asks; none from the minimum upwards.
    #[must_use]
    pub fn below_minimum(minimum: Sigma, sigma: Sigma) -> Option<Self> {
        (sigma < minimum).then_some(Self::SessionMinimum { minimum, sigma })
    }

    /// The most privileged ring that it leaves.
    #[must_use]
    pub const fn ring(&self) -> Ring {
        match *self {
            Self::Parent { ring, .. } | Self::Demotion { ring, .. } | Self::Operator { ring } => ring,
            Self::Manifest { hint } => hint,
            Self::Probation => Ring::Standard,
            Self::Breaker { .. }
            | Self::SuspiciousHistory
            | Self::SessionMinimum { .. }
            | Self::Drift
            | Self::Unscored
            | Self::UnreachableHistory => Ring::Sandbox,
        }
    }

    /// The last point in time at which it holds; [`Timestamp::MAX`] where it does not end by itself.
    #[must_use]
    pub const fn until(&self) -> Timestamp {
        match *self {
            Self::Demotion { until, .. } | Self::Breaker { until } => until,
            Self::Parent { .. }
            | Self::Probation
            | Self::SuspiciousHistory
            | Self::SessionMinimum { .. }
            | Self::Manifest { .. }
            | Self::Operator { .. }
            | Self::Drift
            | Self::Unscored
            | Self::UnreachableHistory => Timestamp::MAX,
        }
    }
}

/// The reason alone, as a clause about the agent; the ring is [`Cap::ring`].
impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parent { parent, ring } => write!(f, "its parent {parent} stands in {ring}"),
            Self::Demotion { until, .. } => write!(f, "it was demoted until {until}"),
            Self::Breaker { until } => {
                write!(f, "it called above its ring too often, and the breaker is open until {until}")
            }
            Self::Probation => f.write_str("it is on probation, with no history yet"),
            Self::SuspiciousHistory => f.write_str("its history does not hold together"),
            Self::SessionMinimum { minimum, sigma } => {
                write!(f, "the session asks for a σ_eff of at least {minimum}, and it has {sigma}")
            }
            Self::Manifest { .. } => f.write_str("its manifest's trust level goes no further"),
            Self::Operator { .. } => f.write_str("an operator set it"),
            Self::Drift => f.write_str("it did otherwise than it claimed"),
            Self::Unscored => f.write_str("its trust scorer gives no answer that counts"),
            Self::UnreachableHistory => f.write_str("the node that has its history cannot be reached"),
        }
    }
}

/// Where an agent stands, and why. Only [`standing`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Standing {
    ring: Ring,
    earned: Ring,
    cap: Option<Cap>,
}

impl Standing {
    /// The standing ring: the less privileged of what is earned and what the caps leave. 2 or 3.
    #[must_use]
    pub const fn ring(&self) -> Ring {
        self.ring
    }

    /// What the score earns alone.
    #[must_use]
    pub const fn earned(&self) -> Ring {
        self.earned
    }

    /// The strictest of the caps that hold.
    #[must_use]
    pub const fn cap(&self) -> Option<&Cap> {
        self.cap.as_ref()
    }

    /// The most privileged ring that the caps leave, [`Ring::Root`] without one: what
    /// [`decide`](crate::decide) asks for.
    #[must_use]
    pub fn limit(&self) -> Ring {
        self.cap.as_ref().map_or(Ring::Root, Cap::ring)
    }
}

/// Where an agent with this score stands under these caps. Caps whose time is over do not count. Costs O(n).
///
/// `sigma` is σ_eff for what can be undone in full. The order of the caps settles nothing: among equally strict
/// ones, the reason that is told is the one that lasts longest.
///
/// INVARIANT (R1): more σ or fewer caps never leads to a less privileged ring.
///
/// ```
/// use hv_rings::{Ring, Timestamp};
/// use hv_rings::standing::{Cap, standing};
///
/// let caps = [Cap::Probation, Cap::Breaker { until: Timestamp(100) }];
/// let open = standing("0.85".parse()?, &caps, Timestamp(100));
/// assert_eq!((open.ring(), open.earned(), open.limit()), (Ring::Sandbox, Ring::Standard, Ring::Sandbox));
/// let closed = standing("0.85".parse()?, &caps, Timestamp(101));
/// assert_eq!((closed.ring(), closed.limit()), (Ring::Standard, Ring::Standard));
/// # Ok::<(), hv_types::NotAFraction>(())
/// ```
#[must_use]
pub fn standing(sigma: Sigma, caps: &[Cap], now: Timestamp) -> Standing {
    standing_under(sigma, caps, now)
}

/// The same under caps that are kept in several places.
#[must_use]
pub fn standing_under<'a>(sigma: Sigma, caps: impl IntoIterator<Item = &'a Cap>, now: Timestamp) -> Standing {
    let holding = caps.into_iter().filter(|cap| now <= cap.until());
    let cap = holding.max_by_key(|cap| (cap.ring(), cap.until(), *cap)).cloned();
    let earned = earned(sigma);
    let ring = earned.weaker(cap.as_ref().map_or(Ring::Root, Cap::ring));
    Standing { ring, earned, cap }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn sigma(ppm: u32) -> Sigma {
        Sigma::from_ppm(ppm).unwrap()
    }

    fn every_cap() -> Vec<(Cap, u8)> {
        let until = Timestamp(1000);
        let parent = || Did::new("did:mesh:parent").unwrap();
        let mut caps = std::vec![
            (Cap::Breaker { until }, 3),
            (Cap::Probation, 2),
            (Cap::SuspiciousHistory, 3),
            (Cap::SessionMinimum { minimum: sigma(700_000), sigma: sigma(650_000) }, 3),
        ];
        for ring in Ring::ALL {
            caps.push((Cap::Parent { parent: parent(), ring }, ring.number()));
            caps.push((Cap::Demotion { ring, until }, ring.number()));
            caps.push((Cap::Manifest { hint: ring }, ring.number()));
            caps.push((Cap::Operator { ring }, ring.number()));
        }
        caps
    }

    #[test]
    fn each_cap_leaves_its_ring() {
        for (cap, ring) in every_cap() {
            assert_eq!(cap.ring().number(), ring, "{cap:?}");
            for (ppm, earned) in [(600_000, 3), (600_001, 2), (1_000_000, 2)] {
                let standing = standing(sigma(ppm), core::slice::from_ref(&cap), Timestamp(0));
                assert_eq!(standing.ring().number(), ring.max(earned), "{cap:?} {ppm}");
                assert_eq!(standing.earned().number(), earned);
                assert_eq!(standing.limit().number(), ring);
                assert_eq!(standing.cap(), Some(&cap));
            }
        }
        let free = standing(sigma(1_000_000), &[], Timestamp(0));
        assert_eq!((free.ring(), free.limit(), free.cap()), (Ring::Standard, Ring::Root, None));
    }

    #[test]
    fn the_strictest_cap_counts_in_whichever_order() {
        for (a, ring_a) in every_cap() {
            for (b, ring_b) in every_cap() {
                let one = standing(Sigma::ONE, &[a.clone(), b.clone()], Timestamp(0));
                let other = standing(Sigma::ONE, &[b.clone(), a.clone()], Timestamp(0));
                assert_eq!(one, other);
                assert_eq!(one.limit().number(), ring_a.max(ring_b));
            }
        }
    }

    #[test]
    fn among_equals_the_cap_that_lasts_longest_is_told() {
        let caps = [
            Cap::Demotion { ring: Ring::Sandbox, until: Timestamp(30) },
            Cap::Breaker { until: Timestamp(40) },
            Cap::Demotion { ring: Ring::Sandbox, until: Timestamp(50) },
            Cap::Breaker { until: Timestamp(20) },
        ];
        assert_eq!(standing(Sigma::ONE, &caps, Timestamp(0)).cap(), Some(&caps[2]));
    }

    #[test]
    fn a_cap_holds_up_to_its_last_nanosecond() {
        for cap in [
            Cap::Breaker { until: Timestamp(100) },
            Cap::Demotion { ring: Ring::Sandbox, until: Timestamp(100) },
        ] {
            let at = |now| standing(Sigma::ONE, core::slice::from_ref(&cap), Timestamp(now)).limit();
            assert_eq!([99, 100, 101].map(at), [Ring::Sandbox, Ring::Sandbox, Ring::Root]);
        }
        assert_eq!(standing(Sigma::ONE, &[Cap::Probation], Timestamp::MAX).limit(), Ring::Standard);
    }

    #[test]
    fn the_session_minimum_itself_is_enough() {
        let minimum = sigma(700_000);
        let cap = |ppm| Cap::below_minimum(minimum, sigma(ppm));
        assert_eq!(cap(699_999), Some(Cap::SessionMinimum { minimum, sigma: sigma(699_999) }));
        assert_eq!(cap(700_000), None);
        assert_eq!(cap(700_001), None);
    }
}
