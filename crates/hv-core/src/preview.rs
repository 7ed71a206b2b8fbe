//! What something would do, before it is done.

use crate::error::{Error, Reason};
use crate::hypervisor::Hypervisor;
use crate::state::{Slot, State};
use hv_liability::{Stake, VouchOrder, VouchPreview};
use hv_session::SessionDenial;
use hv_types::{Did, Ring, SessionId, Sigma, Timestamp};

/// What a vouch would do: to σ_eff, and to where both stand under the caps that they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VouchEffect {
    /// What would be locked, and what it would leave and give.
    pub trust: VouchPreview,
    /// Where the voucher stands, and where it would stand.
    pub voucher: (Ring, Ring),
    /// Where the one vouched for stands, and where it would stand.
    pub vouchee: (Ring, Ring),
}

impl Hypervisor {
    /// What [`vouch`](Self::vouch) would do. Nothing is recorded.
    ///
    /// # Errors
    /// [`Error::NoSession`] and [`Error::Poisoned`]; in the answer, the [`Reason`] with which it would be refused.
    pub fn preview_vouch(
        &self,
        session: &SessionId,
        (voucher, vouchee): (&Did, &Did),
        stake: Stake,
    ) -> Result<Result<VouchEffect, Reason>, Error> {
        self.node().read(|state, now| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            let order = VouchOrder {
                session: slot.ledger_no(),
                voucher: voucher.clone(),
                vouchee: vouchee.clone(),
                stake,
                expires: None,
            };
            if let Err(reason) = may_vouch(state, (session, slot), (voucher, vouchee)) {
                return Ok(Err(reason));
            }
            let refused = |denial| Reason::Ledger(Box::new(denial));
            Ok(state.ledger.preview_vouch(&order, now).map_err(refused).map(|trust| {
                let stands = |did, before, after| {
                    (ring(state, slot, did, before, now), ring(state, slot, did, after, now))
                };
                VouchEffect {
                    trust,
                    voucher: stands(voucher, trust.voucher_before.full, trust.voucher_after.full),
                    vouchee: stands(vouchee, trust.vouchee_before.full, trust.vouchee_after.full),
                }
            }))
        })?
    }
}

/// Whether one member may vouch for another at all, before the ledger is asked.
pub(crate) fn may_vouch(
    state: &State,
    (session, slot): (&SessionId, &Slot),
    (voucher, vouchee): (&Did, &Did),
) -> Result<(), Reason> {
    if let Some(killed) = state.kills.hit(session, voucher, None) {
        return Err(killed);
    }
    match [voucher, vouchee].into_iter().find(|did| slot.session.member(did).is_none()) {
        Some(did) => Err(Reason::Session(Box::new(SessionDenial::NotAMember { did: did.clone() }))),
        None => Ok(()),
    }
}

fn ring(state: &State, slot: &Slot, did: &Did, sigma: Sigma, now: Timestamp) -> Ring {
    state.standing_at(slot, did, sigma, now).ring()
}
