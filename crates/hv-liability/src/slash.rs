//! What a violation costs whom.
//!
//! The whole toll is collected from the state before the slash, level by level, and only then taken, so it
//! does not depend on any order. `INVARIANT (L11)`

use crate::books::BondRow;
use crate::ledger::ppm;
use crate::{AgentNo, BondNo, CASCADE_DEPTH, Cause, Cut, Ledger, Loss, Offence, SessionNo, SlashRule, Toll};
use hv_types::{Share, Sigma, Timestamp, WHOLE};
use std::collections::{BTreeMap, BTreeSet};

/// What this offence costs whom, were it punished now. Changes nothing.
///
/// Costs the bonds that answer, and those that a voucher which falls has given.
pub(crate) fn toll(ledger: &Ledger, offence: &Offence, now: Timestamp) -> Toll {
    let mut collected = Collected { ledger, now, losses: BTreeMap::new(), cuts: BTreeMap::new() };
    let offender = offence.agent.0;
    let own = ledger.row_reputation(offence.agent).part_up(offence.fault);
    collected.losses.insert(offender, own.ppm());

    let mut fallen = BTreeSet::new();
    let mut level = BTreeSet::from([offender]);
    let mut penalty = ledger.policy.penalty(offence.class, offence.risk);
    for depth in 0..=CASCADE_DEPTH {
        let Some(session) = offence.session else { break };
        let mut struck = BTreeSet::new();
        for &agent in &level {
            collected.strike(agent, session, offence.happened, penalty, depth, &mut struck);
        }
        // An agent falls once, so each of its bonds answers once.
        struck.retain(|&agent| !fallen.contains(&agent) && collected.is_left_with_too_little(agent));
        fallen.extend(&struck);
        level = struck;
        penalty = half_up(penalty);
    }
    let agents: Vec<u32> = collected.losses.keys().copied().collect();
    for agent in agents {
        collected.uncover(agent);
    }
    Toll {
        losses: collected
            .losses
            .into_iter()
            .map(|(a, x)| Loss { agent: AgentNo(a), amount: ppm(x) })
            .collect(),
        cuts: collected.cuts.into_values().collect(),
        fallen: fallen.into_iter().map(AgentNo).collect(),
    }
}

/// What was collected so far.
struct Collected<'a> {
    ledger: &'a Ledger,
    now: Timestamp,
    /// What each agent loses of its reputation.
    losses: BTreeMap<u32, u32>,
    /// What each bond loses, by its place.
    cuts: BTreeMap<u32, Cut>,
}

impl Collected<'_> {
    /// Lets the bonds answer that backed an agent in a session when it happened, and notes whose they are.
    fn strike(
        &mut self,
        agent: u32,
        session: SessionNo,
        happened: Timestamp,
        penalty: Share,
        depth: u8,
        struck: &mut BTreeSet<u32>,
    ) {
        let ledger = self.ledger;
        let Some(backing) = ledger.books.find_backing(agent, session) else { return };
        for slot in ledger.books.in_backing(backing) {
            let Some(bond) = ledger.books.bond(slot).filter(|bond| self.answers(bond, happened)) else {
                continue;
            };
            let burned = match ledger.policy.rule {
                SlashRule::Collateral => ppm(bond.remaining).part_up(penalty),
                SlashRule::Clip { .. } => Sigma::ZERO,
            };
            // INVARIANT (L5): a voucher loses exactly what its bonds lose.
            let loss = self.losses.entry(bond.voucher).or_default();
            match ledger.policy.rule {
                SlashRule::Collateral => *loss += burned.ppm(),
                SlashRule::Clip { floor, .. } if *loss == 0 => {
                    *loss = clipped_off(ledger.row_reputation(AgentNo(bond.voucher)), penalty, floor);
                }
                SlashRule::Clip { .. } => {}
            }
            struck.insert(bond.voucher);
            let cut = Cut {
                bond: BondNo { slot, turn: bond.turn },
                voucher: AgentNo(bond.voucher),
                vouchee: AgentNo(agent),
                burned,
                cause: Cause::Backed { depth },
            };
            self.cuts.insert(slot, cut);
        }
    }

    /// Whether a bond answers for what happened at a time: it was made by then, had not been released by
    /// then, and is not paid back yet. `INVARIANT (L13)`
    fn answers(&self, bond: &BondRow, happened: Timestamp) -> bool {
        let ledger = self.ledger;
        let released = bond.released.min(bond.ends);
        bond.since <= happened && happened <= released && !ledger.paid_back(bond, self.now)
    }

    fn is_left_with_too_little(&self, agent: u32) -> bool {
        let loss = self.losses.get(&agent).copied().unwrap_or(0);
        let left = self.ledger.row_reputation(AgentNo(agent)).ppm().saturating_sub(loss);
        let enough = match self.ledger.policy.rule {
            SlashRule::Collateral => self.ledger.policy.minimum,
            SlashRule::Clip { cascade_below, .. } => cascade_below,
        };
        left < enough.ppm()
    }

    /// Burns of the bonds that an agent gave what its reputation no longer covers, each by its share; what
    /// the shares leave over falls on the lowest numbers. `INVARIANT (L1)`
    fn uncover(&mut self, agent: u32) {
        let ledger = self.ledger;
        let loss = self.losses.get(&agent).copied().unwrap_or(0);
        let reputation = ledger.row_reputation(AgentNo(agent)).ppm().saturating_sub(loss);
        let mut given = BTreeMap::new();
        let mut bonded = 0;
        for slot in ledger.books.given(agent) {
            let Some(bond) = ledger.books.bond(slot).filter(|bond| !ledger.paid_back(bond, self.now)) else {
                continue;
            };
            let cut = self.cuts.get(&slot).map_or(0, |cut| cut.burned.ppm());
            let left = bond.remaining.saturating_sub(cut);
            bonded += left;
            given.insert(slot, (bond, left));
        }
        let excess = bonded.saturating_sub(reputation);
        if excess == 0 {
            return;
        }
        let share = |left: u32| {
            let share = u64::from(left) * u64::from(excess) / u64::from(bonded.max(1));
            u32::try_from(share).unwrap_or(left)
        };
        let mut over = excess.saturating_sub(given.values().map(|&(_, left)| share(left)).sum());
        for (slot, (bond, left)) in given {
            // Where something is left over, every share is less than what it is a share of.
            let extra = u32::from(over > 0);
            over -= extra;
            let burned = ppm(share(left) + extra);
            let Some(vouchee) = ledger.books.backing(bond.backing).map(|backing| backing.vouchee) else {
                continue;
            };
            let cut = self.cuts.entry(slot).or_insert(Cut {
                bond: BondNo { slot, turn: bond.turn },
                voucher: AgentNo(agent),
                vouchee: AgentNo(vouchee),
                burned: Sigma::ZERO,
                cause: Cause::Uncovered,
            });
            cut.burned = ppm(cut.burned.ppm() + burned.ppm());
        }
    }
}

/// What σ·(1−ω) takes from a reputation, as far as it is above the floor.
fn clipped_off(reputation: Sigma, omega: Share, floor: Sigma) -> u32 {
    let rest = reputation.part(Share::capped(u64::from(WHOLE - omega.ppm())));
    reputation.ppm() - rest.max(reputation.min(floor)).ppm()
}

/// Half of a share, rounded up.
const fn half_up(share: Share) -> Share {
    Share::capped((share.ppm() as u64).div_ceil(2))
}

/// Takes a toll: from reputations, from bonds, and the offender's trust.
pub(crate) fn collect(ledger: &mut Ledger, offence: &Offence, toll: &Toll, at: Timestamp) {
    for loss in &toll.losses {
        if let Some(row) = ledger.books.account_mut(loss.agent.0) {
            row.reputation = row.reputation.saturating_sub(loss.amount.ppm());
            ledger.totals.burned += u64::from(loss.amount.ppm());
        }
    }
    let ends = at.after(ledger.policy.unbonding);
    for cut in &toll.cuts {
        ledger.books.burn(cut.bond.slot, cut.burned.ppm());
        ledger.books.unbond(cut.bond.slot, at, ends);
        // What is left of a bond that answered is locked for the whole time, even if it was released before.
        if cut.cause != Cause::Uncovered {
            ledger.books.delay(cut.bond.slot, ends);
        }
    }
    for agent in toll.fallen.iter().chain([&offence.agent]) {
        for slot in ledger.books.given(agent.0).collect::<Vec<_>>() {
            ledger.books.unbond(slot, at, ends);
        }
    }
    // A bond of which nothing is left is over.
    for cut in &toll.cuts {
        if ledger.books.bond_no(cut.bond).is_some_and(|bond| bond.remaining == 0) {
            ledger.books.pay_back(cut.bond.slot);
        }
    }
    if let Some(row) = ledger.books.account_mut(offence.agent.0) {
        // INVARIANT (L14): until somebody rehabilitates it.
        row.quarantine = Timestamp::MAX;
        row.slashes = row.slashes.saturating_add(1);
    }
}
