//! What a command would do, before it is given.

use crate::decide::{check_offence_order, check_vouch};
use crate::{Denial, Ledger, SlashOrder, Toll, VouchOrder, lifted};
use hv_types::{Reversibility, Sigma, Timestamp};

/// What a vouch would leave the voucher with, and what it would give the vouchee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VouchPreview {
    /// What would be locked.
    pub bond: Sigma,
    /// What the voucher stands with in the session.
    pub voucher_before: ByClass,
    /// What it would stand with.
    pub voucher_after: ByClass,
    /// What it could bond beyond that.
    pub capacity_after: Sigma,
    /// What the vouchee stands with in the session.
    pub vouchee_before: ByClass,
    /// What it would stand with.
    pub vouchee_after: ByClass,
}

/// σ_eff in a session, for each class of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByClass {
    /// For what can be undone entirely; the one that standing is judged by.
    pub full: Sigma,
    /// For what can be undone in part.
    pub partial: Sigma,
    /// For what cannot be undone.
    pub none: Sigma,
}

impl Ledger {
    /// What an order to vouch would do.
    ///
    /// ```
    /// use hv_liability::{Command, Ledger, SessionNo, Source, Stake, VouchOrder};
    /// use hv_types::{Did, Solo, Timestamp};
    ///
    /// let (alpha, beta) = (Did::new("did:mesh:alpha")?, Did::new("did:mesh:beta")?);
    /// let mut ledger = Solo::<Ledger>::default();
    /// for (agent, sigma) in [(&alpha, "0.75"), (&beta, "0.3")] {
    ///     let (agent, sigma) = (agent.clone(), sigma.parse()?);
    ///     ledger.run(&Command::Endow { agent, sigma, source: Source::Asserted }, Timestamp(0)).unwrap();
    /// }
    /// let (session, stake) = (SessionNo(2), Stake::Default);
    /// let order = VouchOrder { session, voucher: alpha, vouchee: beta, stake, expires: None };
    /// let preview = ledger.state().preview_vouch(&order, Timestamp(0))?;
    /// assert_eq!(preview.voucher_after.full, "0.6".parse()?); // not above 0.60: it would be in Ring 3
    /// assert_eq!(preview.vouchee_after.full, "0.42".parse()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The [`Denial`] with which the order would be refused.
    pub fn preview_vouch(&self, order: &VouchOrder, now: Timestamp) -> Result<VouchPreview, Denial> {
        let now = self.present(now);
        let checked = check_vouch(self, order, now)?;
        let bond = checked.amount;
        let stands = |agent, low: Sigma, more: u32| {
            let backed = self.backed(agent, order.session, now) + u64::from(more);
            let at = |class| lifted(low, self.policy.omega(class), backed);
            ByClass {
                full: at(Reversibility::Full),
                partial: at(Reversibility::Partial),
                none: at(Reversibility::None),
            }
        };
        let (voucher, vouchee) = (self.low(checked.voucher, now), self.low(checked.vouchee, now));
        Ok(VouchPreview {
            bond,
            voucher_before: stands(checked.voucher, voucher, 0),
            voucher_after: stands(checked.voucher, voucher.saturating_sub(bond), 0),
            capacity_after: self.capacity(&order.voucher, now).saturating_sub(bond),
            vouchee_before: stands(checked.vouchee, vouchee, 0),
            vouchee_after: stands(checked.vouchee, vouchee, bond.ppm()),
        })
    }

    /// What a slash would cost whom.
    ///
    /// Whether the evidence was used before is not asked.
    ///
    /// # Errors
    /// The [`Denial`] with which the order would be refused otherwise.
    pub fn preview_slash(&self, order: &SlashOrder, now: Timestamp) -> Result<Toll, Denial> {
        let now = self.present(now);
        let offence = check_offence_order(self, order, now)?;
        Ok(crate::slash::toll(self, &offence, now))
    }
}
