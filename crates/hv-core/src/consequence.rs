//! What follows in the sessions when trust changes: who is put out, and where the others stand.

use crate::charges;
use crate::event::{LedgerEvent, NodeEvent, SessionEvent};
use crate::node::Part;
use crate::state::{Slot, State};
use hv_liability::{AgentNo, Denial, Ledger, SlashOrder, SlashReason, Slashed};
use hv_session::{Eviction, Session, SessionCommand};
use hv_types::{Did, Machine, Ring, Sigma, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A slash with everything that follows from it, to be recorded as one.
#[derive(Debug, Default)]
pub(crate) struct Struck {
    pub(crate) ledger: Vec<LedgerEvent>,
    pub(crate) sessions: Vec<Part>,
}

/// What one order to slash comes to, which is a charge where the accused has time to contest it. Evidence that was used before leads to nothing. INVARIANT (L12)
pub(crate) fn slash(state: &State, order: SlashOrder, now: Timestamp) -> Result<Struck, Denial> {
    charges::ruled(state, &charges::ordered(state, order), now)
}

/// What follows from slashes in the open sessions: whoever is slashed is a member of none of them any more, and
/// everybody else whose trust it touches is assessed anew; so is whoever is charged, and whose charge is dropped.
///
/// Costs a copy of the ledger where there is something of that; and the open sessions, each as often as somebody is
/// touched.
pub(crate) fn of_verdicts(state: &State, events: &[LedgerEvent], now: Timestamp) -> Vec<Part> {
    let slashes: Vec<&Slashed> = events
        .iter()
        .filter_map(|event| match event {
            LedgerEvent::Slashed { slashed } => Some(&**slashed),
            _ => None,
        })
        .collect();
    let accused: Vec<AgentNo> = events
        .iter()
        .filter_map(|event| match event {
            LedgerEvent::Charged { offence, .. } => Some(offence.agent),
            LedgerEvent::Dismissed { evidence, .. } => {
                state.ledger.case(evidence).map(|case| case.offence.agent)
            }
            _ => None,
        })
        .collect();
    if slashes.is_empty() && accused.is_empty() {
        return Vec::new();
    }
    let mut after = state.ledger.clone();
    if events.iter().try_for_each(|event| after.apply(event)).is_err() {
        // The record that holds these events will be refused, and poison the node.
        return Vec::new();
    }
    let name = |agent: AgentNo| after.did(agent).cloned();
    let offenders: Vec<(Did, Eviction)> = slashes
        .iter()
        .filter_map(|slashed| Some((name(slashed.offence.agent)?, eviction(slashed.offence.reason))))
        .collect();
    let mut touched: BTreeSet<Did> = accused.into_iter().filter_map(name).collect();
    for slashed in &slashes {
        let toll = &slashed.toll;
        let losses = toll.losses.iter().map(|loss| loss.agent);
        let cuts = toll.cuts.iter().flat_map(|cut| [cut.voucher, cut.vouchee]);
        touched.extend(losses.chain(cuts).filter_map(name));
        // All that these gave lifts nobody any more.
        for giver in toll.fallen.iter().chain([&slashed.offence.agent]).filter_map(|giver| name(*giver)) {
            let bonds = state.ledger.matrix(now).vouched_by(&giver);
            touched.extend(bonds.into_iter().filter_map(|bond| name(bond.vouchee)));
        }
    }
    state
        .slots()
        .into_iter()
        .filter_map(|slot| part(state, slot, &after, &offenders, &touched, now))
        .collect()
}

/// Where these stand now in each open session that they are members of: for the reader, because the gate
/// computes it anew for every call.
pub(crate) fn reassessed(state: &State, agents: &BTreeSet<Did>, now: Timestamp) -> Vec<Part> {
    let part = |slot: &Slot| {
        let assessed =
            agents.iter().filter_map(|did| assessed(state, slot, &slot.session, &state.ledger, did, now));
        let events: Vec<SessionEvent> = assessed.collect();
        (!events.is_empty()).then(|| Part { stream: slot.stream, lifecycle: Vec::new(), events })
    };
    state.slots().into_iter().filter_map(part).collect()
}

/// What follows in the open sessions where outcomes lift or lower somebody across a threshold.
pub(crate) fn of_outcomes(state: &State, events: &[LedgerEvent], now: Timestamp) -> Vec<Part> {
    let moved: Vec<(&Did, Sigma, Sigma)> = events
        .iter()
        .filter_map(|event| match event {
            LedgerEvent::Earned { agent, amount, .. } => {
                Some((state.ledger.did(*agent)?, *amount, Sigma::ZERO))
            }
            LedgerEvent::Decayed { agent, amount, .. } => {
                Some((state.ledger.did(*agent)?, Sigma::ZERO, *amount))
            }
            _ => None,
        })
        .collect();
    if moved.is_empty() {
        return Vec::new();
    }
    let part = |slot: &Slot| {
        let crossed = moved.iter().filter_map(|(did, earned, lost)| {
            let member = slot.session.member(did)?.ordinal;
            let (before, stood) = state.standing(slot, did, now);
            let sigma = before.saturating_sub(*lost);
            let sigma = sigma.checked_add(*earned).unwrap_or(Sigma::ONE);
            let ring = state.standing_at(slot, did, sigma, now).ring();
            let caps = slot.caps(did).to_vec();
            (ring != stood.ring()).then_some(SessionEvent::Assessed { member, sigma, ring, caps })
        });
        let events: Vec<SessionEvent> = crossed.collect();
        (!events.is_empty()).then(|| Part { stream: slot.stream, lifecycle: Vec::new(), events })
    };
    state.slots().into_iter().filter_map(part).collect()
}

/// What follows where breakers open: whoever called above its ring too often stands in Ring 3 in each open session that
/// it is a member of.
pub(crate) fn of_trips(state: &State, events: &[NodeEvent], now: Timestamp) -> Vec<Part> {
    let tripped: Vec<&Did> = events
        .iter()
        .filter_map(|event| match event {
            NodeEvent::Tripped { agent, .. } => Some(agent),
            _ => None,
        })
        .collect();
    if tripped.is_empty() {
        return Vec::new();
    }
    let part = |slot: &Slot| {
        let fallen = tripped.iter().filter_map(|did| {
            let (member, sigma) = (slot.session.member(did)?.ordinal, state.standing(slot, did, now).0);
            let caps = slot.caps(did).to_vec();
            Some(SessionEvent::Assessed { member, sigma, ring: Ring::Sandbox, caps })
        });
        let events: Vec<SessionEvent> = fallen.collect();
        (!events.is_empty()).then(|| Part { stream: slot.stream, lifecycle: Vec::new(), events })
    };
    state.slots().into_iter().filter_map(part).collect()
}

fn part(
    state: &State,
    slot: &Slot,
    after: &Ledger,
    offenders: &[(Did, Eviction)],
    touched: &BTreeSet<Did>,
    now: Timestamp,
) -> Option<Part> {
    let mut lifecycle = Vec::new();
    let mut session: Cow<'_, Session> = Cow::Borrowed(&slot.session);
    for (did, reason) in offenders {
        if session.member(did).is_none() {
            continue;
        }
        let evict = SessionCommand::Evict { did: did.clone(), reason: *reason };
        // A session that is over has no members to put out.
        let Ok(events) = session.decide(&evict, now) else { continue };
        if events.iter().try_for_each(|event| session.to_mut().apply(event)).is_ok() {
            lifecycle.extend(events);
        }
    }
    let moved = |did: &&Did| {
        let sigma = |ledger: &Ledger| state.standing_on(ledger, slot, did, now);
        let ((before, stood), (now, stands)) = (sigma(&state.ledger), sigma(after));
        before != now || stood.ring() != stands.ring()
    };
    let moved = touched.iter().filter(moved);
    let events: Vec<SessionEvent> =
        moved.filter_map(|did| assessed(state, slot, &session, after, did, now)).collect();
    let nothing = lifecycle.is_empty() && events.is_empty();
    (!nothing).then_some(Part { stream: slot.stream, lifecycle, events })
}

/// Where a member stands; nothing for who is none.
fn assessed(
    state: &State,
    slot: &Slot,
    session: &Session,
    ledger: &Ledger,
    did: &Did,
    now: Timestamp,
) -> Option<SessionEvent> {
    let member = session.member(did)?.ordinal;
    let (sigma, standing) = state.standing_on(ledger, slot, did, now);
    Some(SessionEvent::Assessed { member, sigma, ring: standing.ring(), caps: slot.caps(did).to_vec() })
}

const fn eviction(reason: SlashReason) -> Eviction {
    match reason {
        SlashReason::Drift => Eviction::Drift,
        SlashReason::Violation | SlashReason::Intent => Eviction::Breach,
        SlashReason::UndoFailed | SlashReason::Manual => Eviction::Quarantined,
    }
}
