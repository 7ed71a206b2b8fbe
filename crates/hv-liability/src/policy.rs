//! The numbers that an operator may set, and the two formulas that use them.

use core::fmt;
use core::time::Duration;
use hv_types::{Reversibility, RiskWeight, Share, Sigma, WHOLE};

/// The shortest time that an operator may let bonds be slashable after their release.
pub const UNBONDING_MIN: Duration = Duration::from_secs(60);

/// How many levels a slash climbs beyond the bonds that backed the offender itself.
pub const CASCADE_DEPTH: u8 = 2;

/// What vouching costs, what it gives, and what a slash takes.
///
/// ```
/// use hv_liability::VouchPolicy;
/// use hv_types::Reversibility;
///
/// let policy = VouchPolicy::default();
/// assert_eq!(policy.omega(Reversibility::Full).ppm(), 800_000);
/// assert_eq!(policy.omega(Reversibility::None).ppm(), 50_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VouchPolicy {
    /// The least reputation with which an agent may vouch, inclusive: 0.50.
    pub minimum: Sigma,
    /// The share of the voucher's reputation that is bonded where an order names none: 0.20.
    pub default_stake: Share,
    /// The most that an agent may have bonded, as a share of its reputation, inclusive and over all
    /// sessions: 0.80.
    pub exposure: Share,
    /// The vouching weight ω: how much of a bond lifts the one vouched for.
    pub weights: Weights,
    /// What a slash takes from those who vouched.
    pub rule: SlashRule,
    /// How long a bond stays locked, and slashable for what happened before, after its release or its
    /// expiry: one day, the longest window in which an action may be undone.
    pub unbonding: Duration,
    /// How long an agent that was charged may dispute before the charge can be carried out: one hour.
    pub grace: Duration,
    /// The most that an unattested hint opens an account with: 0.60.
    pub hint_cap: Sigma,
    /// The most that an agent may earn on one day: 0.05.
    pub gain_per_day: Sigma,
    /// How many slashes of its own make an agent one that is not admitted any more: 3.
    pub deny_after: u32,
}

/// The vouching weight ω of each class of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights {
    /// For what can be undone entirely.
    pub full: Share,
    /// For what can be undone in part.
    pub partial: Share,
    /// For what cannot be undone.
    pub none: Share,
}

/// What a slash takes from a voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlashRule {
    /// A share π = max(risk, ω) of each bond that backed the offender, rounded up; what is left of it stays
    /// locked until the unbonding time is over. Keeps all of L1 to L15.
    Collateral,
    /// σ·(1−ω) of the voucher's whole reputation with ω the risk weight, as in the Python package
    /// agent-hypervisor. Not held to L5 to L9.
    Clip {
        /// What a slash leaves a voucher at least, as far as it had that much.
        floor: Sigma,
        /// A voucher left with less than this passes the slash on to those who vouch for it.
        cascade_below: Sigma,
    },
}

impl Default for VouchPolicy {
    fn default() -> Self {
        Self {
            minimum: Sigma::capped(500_000),
            default_stake: Share::capped(200_000),
            exposure: Share::capped(800_000),
            weights: Weights {
                full: Share::capped(800_000),
                partial: Share::capped(350_000),
                none: Share::capped(50_000),
            },
            rule: SlashRule::Collateral,
            unbonding: Duration::from_secs(86_400),
            grace: Duration::from_secs(3600),
            hint_cap: Sigma::capped(600_000),
            gain_per_day: Sigma::capped(50_000),
            deny_after: 3,
        }
    }
}

impl VouchPolicy {
    /// The numbers of the Python package agent-hypervisor: ω is the risk weight of the action's class, and a
    /// slash clips the voucher's reputation down to a floor of 0.05.
    ///
    /// Collateral stays locked here too. The preset exists for comparison; trust that is borrowed for an
    /// irreversible action weighs most in it.
    #[must_use]
    pub fn reference() -> Self {
        let risk = |class: Reversibility| Share::from(class.default_risk());
        Self {
            weights: Weights {
                full: risk(Reversibility::Full),
                partial: risk(Reversibility::Partial),
                none: risk(Reversibility::None),
            },
            rule: SlashRule::Clip { floor: Sigma::capped(50_000), cascade_below: Sigma::capped(60_000) },
            ..Self::default()
        }
    }

    /// The vouching weight ω of a class.
    #[must_use]
    pub const fn omega(&self, class: Reversibility) -> Share {
        match class {
            Reversibility::Full => self.weights.full,
            Reversibility::Partial => self.weights.partial,
            Reversibility::None => self.weights.none,
        }
    }

    /// The share π of a bond that a violation takes: the larger of the risk at stake and ω, so that a bond
    /// never loses less than the lift that it gave.
    ///
    /// Where no action was involved, the class is that of actions which cannot be undone. `INVARIANT (L6)`
    #[must_use]
    pub fn penalty(&self, class: Option<Reversibility>, risk: Option<RiskWeight>) -> Share {
        let class = class.unwrap_or(Reversibility::None);
        let risk = Share::from(risk.unwrap_or(class.default_risk()));
        match self.rule {
            SlashRule::Collateral => risk.max(self.omega(class)),
            SlashRule::Clip { .. } => risk,
        }
    }

    /// The most that an agent of this reputation may have bonded: ⌊exposure · ρ⌋.
    #[must_use]
    pub const fn exposure_limit(&self, reputation: Sigma) -> Sigma {
        reputation.part(self.exposure)
    }

    /// What makes these numbers unfit to hold anybody liable, if anything does.
    ///
    /// # Errors
    /// [`UnfitPolicy::Unbonding`] where a release would be an escape, [`UnfitPolicy::Weights`] where trust
    /// could be borrowed more easily the more is at stake (except under [`SlashRule::Clip`]).
    pub fn check(&self) -> Result<(), UnfitPolicy> {
        if self.unbonding < UNBONDING_MIN {
            return Err(UnfitPolicy::Unbonding { given: self.unbonding });
        }
        let Weights { full, partial, none } = self.weights;
        if self.rule == SlashRule::Collateral && !(full >= partial && partial >= none) {
            return Err(UnfitPolicy::Weights { weights: self.weights });
        }
        Ok(())
    }
}

/// σ_eff = min(1, σ_low + ω · Σ bonds), rounded down.
///
/// ```
/// use hv_liability::lifted;
/// use hv_types::{Share, Sigma};
///
/// let sigma = lifted(Sigma::from_ppm(300_000)?, Share::from_ppm(200_000)?, 450_000);
/// assert_eq!(sigma, Sigma::from_ppm(390_000)?);
/// # Ok::<(), hv_types::NotAFraction>(())
/// ```
#[must_use]
pub fn lifted(low: Sigma, omega: Share, bonded_ppm: u64) -> Sigma {
    let (whole, omega) = (u64::from(WHOLE), u64::from(omega.ppm()));
    // In two parts, neither of which leaves 64 bits: ω is at most the whole.
    let lift = bonded_ppm / whole * omega + bonded_ppm % whole * omega / whole;
    Sigma::capped(lift.saturating_add(u64::from(low.ppm())))
}

/// Why a policy is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnfitPolicy {
    /// Bonds would be free too soon after their release.
    Unbonding {
        /// The time as given.
        given: Duration,
    },
    /// The weights do not fall as the risk rises.
    Weights {
        /// The weights as given.
        weights: Weights,
    },
}

impl fmt::Display for UnfitPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unbonding { given } => write!(
                f,
                "bonds that are free {given:?} after their release let vouchers escape; give at least {UNBONDING_MIN:?}"
            ),
            Self::Weights { weights: Weights { full, partial, none } } => write!(
                f,
                "the vouching weights must not rise with the risk; full {full}, partial {partial}, none {none} do"
            ),
        }
    }
}

impl core::error::Error for UnfitPolicy {}

hv_types::wire_struct!(Weights { full, partial, none });
hv_types::wire_enum!(SlashRule { 0 => Collateral {}, 1 => Clip { floor, cascade_below } });
hv_types::wire_struct!(VouchPolicy {
    minimum,
    default_stake,
    exposure,
    weights,
    rule,
    unbonding,
    grace,
    hint_cap,
    gain_per_day,
    deny_after,
});
