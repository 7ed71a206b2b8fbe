//! A policy of one's own: who may do what, and what it costs to answer for somebody.
//!
//! It stands for the rules of a house that is more careful than hv is by itself. What is worth reading is
//! beside it, in `tests/policy.rs`: how to show that such rules still keep what hv promises.

use hv_liability::{VouchPolicy, Weights};
use hv_rings::{ActionDescriptor, ActionKind, Call, Denial, Evidence, Reversibility, Ring, Sigma};
use hv_rings::{decide, required};
use hv_types::Share;
use std::time::Duration;

/// The rings of this house.
///
/// ```
/// use hv_rings::{ActionDescriptor, ActionId, ActionKind, Reversibility, Ring, Sigma};
/// use own_policy::House;
///
/// let partly = Reversibility::Partial;
/// let mail = ActionDescriptor::new(ActionId::new("mail.send")?, ActionKind::Effect, partly);
/// assert_eq!(House.needs(&mail), Ring::Privileged);
/// assert_eq!(House.earns("0.65".parse()?), Ring::Sandbox);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct House;

impl House {
    /// The score above which Ring 2 is earned: 0.70 instead of 0.60.
    pub const STANDARD_ABOVE: Sigma = Sigma::capped(700_000);

    /// The ring that a score earns alone. Equality does not pass.
    #[must_use]
    pub fn earns(self, sigma: Sigma) -> Ring {
        if sigma > Self::STANDARD_ABOVE { Ring::Standard } else { Ring::Sandbox }
    }

    /// The ring that an action needs: here, what can be undone only in part needs a quorum too.
    #[must_use]
    pub fn needs(self, action: &ActionDescriptor) -> Ring {
        match (action.kind(), action.reversibility()) {
            (ActionKind::Effect, Reversibility::Partial) => Ring::Privileged,
            _ => required(action),
        }
    }

    /// Whether a call that needs a ring may run: what hv asks for, and what this house asks for besides.
    ///
    /// # Errors
    /// [`Refused`], with who says no.
    pub fn decide(
        self,
        need: Ring,
        sigma: Sigma,
        cap: Ring,
        call: &Call,
        evidence: &Evidence,
    ) -> Result<(), Refused> {
        decide(need, sigma, cap, call, evidence).map_err(Refused::ByHv)?;
        if need == Ring::Standard && sigma <= Self::STANDARD_ABOVE {
            return Err(Refused::ByHouse { sigma });
        }
        Ok(())
    }
}

/// Who says no, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// What hv asks for is not there.
    ByHv(Denial),
    /// hv would allow it; the score is not above [`House::STANDARD_ABOVE`].
    ByHouse {
        /// The score.
        sigma: Sigma,
    },
}

/// What it costs to answer for somebody here: nobody has more than half of its reputation at stake, nobody lifts
/// anybody towards what cannot be undone, and what is released can still be slashed for a week.
#[must_use]
pub fn vouching() -> VouchPolicy {
    VouchPolicy {
        exposure: Share::capped(500_000),
        weights: Weights { full: Share::capped(600_000), partial: Share::capped(200_000), none: Share::ZERO },
        unbonding: Duration::from_secs(7 * 86_400),
        deny_after: 1,
        ..VouchPolicy::default()
    }
}
