//! Who answers when an undo failed.

use crate::event::LedgerEvent;
use crate::state::{Slot, State};
use hv_liability::{Command, SlashOrder, SlashReason};
use hv_saga::{Saga, StepState};
use hv_types::{Did, Digest, Machine, SagaId, SessionId, Share, Timestamp, WHOLE, Wire};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static EVIDENCE_KEY: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("hv 2026 escalation evidence v1", &[]));

/// The slashes that follow from a saga that is escalated: each agent whose step could not be undone answers
/// for an equal share. INVARIANT (L15)
pub(crate) fn for_escalation(
    state: &State,
    slot: &Slot,
    id: &SagaId,
    saga: &Saga,
    now: Timestamp,
) -> Vec<LedgerEvent> {
    let mut liable: BTreeMap<&Did, &hv_types::ActionId> = BTreeMap::new();
    for (step, run) in saga.steps().iter().zip(saga.runs()) {
        if run.state == StepState::CompensationFailed {
            liable.entry(&step.agent).or_insert(&step.action);
        }
    }
    let shares = equal_shares(liable.len());
    let mut ledger = state.ledger.clone();
    let mut slashes = Vec::new();
    for ((agent, _), fault) in liable.into_iter().zip(shares) {
        let order = SlashOrder {
            evidence: evidence(&slot.id, id, agent),
            agent: agent.clone(),
            session: Some(slot.ledger_no()),
            fault,
            // What could not be undone counts as what cannot be undone, whatever it was declared to be.
            class: None,
            risk: None,
            happened: saga.created(),
            reason: SlashReason::UndoFailed,
        };
        // An agent without an account has nothing to lose; its denial is that of a stranger.
        let Ok(events) = ledger.decide(&Command::Slash(order), now) else { continue };
        if events.iter().try_for_each(|event| ledger.apply(event)).is_ok() {
            slashes.extend(events);
        }
    }
    slashes
}

/// The whole in so many parts; what does not divide goes to the first ones, so that nothing is lost.
fn equal_shares(parts: usize) -> impl Iterator<Item = Share> {
    let count = u32::try_from(parts).unwrap_or(u32::MAX).max(1);
    let (each, left) = (WHOLE / count, WHOLE % count);
    (0..count).map(move |n| Share::capped(u64::from(each + u32::from(n < left))))
}

fn evidence(session: &SessionId, saga: &SagaId, agent: &Did) -> Digest {
    let mut bytes = Vec::new();
    session.put(&mut bytes);
    saga.put(&mut bytes);
    agent.put(&mut bytes);
    Digest(*blake3::keyed_hash(&EVIDENCE_KEY, &bytes).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l15_shares_sum_to_the_whole() {
        for parts in 1..=50 {
            let shares: Vec<u32> = equal_shares(parts).map(Share::ppm).collect();
            assert_eq!(shares.iter().sum::<u32>(), WHOLE);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }
}
