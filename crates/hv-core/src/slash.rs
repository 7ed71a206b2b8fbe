//! Who answers when an undo failed.

use crate::charges;
use crate::event::LedgerEvent;
use crate::state::{Slot, State};
use hv_liability::{CausalGraph, CausalStep, Part, SlashOrder, SlashReason, attribute};
use hv_saga::{Saga, StepState};
use hv_types::{Did, Digest, Machine, SagaId, SessionId, Share, Timestamp, WHOLE, Wire};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static EVIDENCE_KEY: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("hv 2026 escalation evidence v1", &[]));

/// With more undos that failed than this, each is charged to its own agent alone.
const TRACED: usize = 16;

/// The slashes, or charges, that follow from a saga that is escalated. INVARIANT (L15)
///
/// Every effect that could not be undone is an equal part of the whole. Where its undo failed by itself, its
/// agent answers for that part. Where the undo of something that builds on it had failed before, that one may
/// have stood in its way: then the part is divided by the Shapley value among the agents without whom it would
/// not have come to this.
pub(crate) fn for_escalation(
    state: &State,
    slot: &Slot,
    id: &SagaId,
    saga: &Saga,
    now: Timestamp,
) -> Vec<LedgerEvent> {
    let mut ledger = state.ledger.clone();
    let mut slashes = Vec::new();
    for (agent, fault) in shares(saga) {
        let order = SlashOrder {
            evidence: evidence(&slot.id, id, &agent),
            agent,
            session: Some(slot.ledger_no()),
            fault,
            // What could not be undone counts as what cannot be undone, whatever it was declared to be.
            class: None,
            risk: None,
            happened: saga.created(),
            reason: SlashReason::UndoFailed,
        };
        // An agent without an account has nothing to lose; its denial is that of a stranger.
        let Ok(events) = ledger.decide(&charges::ordered(state, order), now) else { continue };
        if events.iter().try_for_each(|event| ledger.apply(event)).is_ok() {
            slashes.extend(events);
        }
    }
    slashes
}

/// The agents that answer for what could not be undone, each with its share; together the whole.
fn shares(saga: &Saga) -> BTreeMap<Did, Share> {
    let failed: Vec<u32> = (0u32..)
        .zip(saga.runs())
        .filter(|(_, run)| run.state == StepState::CompensationFailed)
        .map(|(step, _)| step)
        .collect();
    let graph = causes(saga, &failed);
    let mut shares: BTreeMap<Did, u64> = BTreeMap::new();
    for (at, part) in (0u32..).zip(equal_shares(failed.len()).take(failed.len())) {
        let graph = CausalGraph { steps: graph.clone(), failed: at };
        // Going back from any of them leads to one that failed by itself, so there is always a cause.
        for (agent, share) in attribute(&graph, part).map(|found| found.shares).unwrap_or_default() {
            *shares.entry(agent).or_default() += u64::from(share.ppm());
        }
    }
    shares.into_iter().map(|(agent, ppm)| (agent, Share::capped(ppm))).collect()
}

/// The undos that failed, and which of them were to come before which.
fn causes(saga: &Saga, failed: &[u32]) -> Vec<CausalStep> {
    let traced = failed.len() <= TRACED;
    let place =
        |step: u32| failed.iter().position(|&other| other == step).and_then(|at| u32::try_from(at).ok());
    let cause = |&step: &u32| {
        let after: Vec<u32> = if traced {
            saga.dependents_of(step).into_iter().filter_map(place).collect()
        } else {
            Vec::new()
        };
        let part = if after.is_empty() { Part::Cause } else { Part::PassedOn };
        Some(CausalStep { agent: saga.agent(step)?.clone(), part, after })
    };
    failed.iter().filter_map(cause).collect()
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
    #![allow(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

    use super::*;
    use hv_saga::{
        Class, Failure, Outcome, Plan, Purpose, Reason, Report, SagaCommand, SagaState, StepDef, Task,
    };
    use hv_types::{ActionId, StepId};
    use std::sync::Arc;

    #[test]
    fn l15_shares_sum_to_the_whole() {
        for parts in 1..=50 {
            let shares: Vec<u32> = equal_shares(parts).map(Share::ppm).collect();
            assert_eq!(shares.iter().sum::<u32>(), WHOLE);
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }

    /// A saga of these steps, each with its agent, what it waits for and whether its undo fails, that is
    /// cancelled when all have committed.
    fn escalated(steps: &[(&str, &[u32], bool)]) -> Saga {
        let def = |(n, (agent, after, _)): (usize, &(&str, &[u32], bool))| {
            let (id, action) = (StepId::new(&format!("s{n}")).unwrap(), ActionId::new("act").unwrap());
            let agent = Did::new(&format!("did:mesh:{agent}")).unwrap();
            let def = StepDef::new(id, action, agent, Task::closure("x")).with_undo(Task::closure("x"));
            Arc::new(StepDef { after: after.to_vec(), ..def })
        };
        let last = StepDef::new(
            StepId::new("last").unwrap(),
            ActionId::new("act").unwrap(),
            Did::new("did:mesh:last").unwrap(),
            Task::closure("x"),
        );
        let all: Vec<u32> = (0..steps.len() as u32).collect();
        let last = Arc::new(StepDef { after: all, ..last });
        let mut saga = Saga::default();
        let mut command =
            SagaCommand::begin(Plan::new(steps.iter().enumerate().map(def).chain([last]).collect()));
        loop {
            for event in saga.decide(&command, Timestamp(0)).unwrap() {
                saga.apply(&event).unwrap();
            }
            let Some(at) = saga.running().next() else { break };
            let fails = match at.purpose {
                Purpose::Execute => at.step as usize == steps.len(),
                _ => steps[at.step as usize].2,
            };
            let no = Failure::new(Class::Permanent, Reason::other("no"));
            let failed = Outcome { verdict: hv_saga::Verdict::Failed(no), output: None };
            let outcome = if fails { failed } else { Outcome::done() };
            command = Report::of(at, outcome.verdict).into();
        }
        assert_eq!(saga.state(), SagaState::Escalated);
        saga
    }

    fn told(saga: &Saga) -> Vec<(String, u32)> {
        let shares = shares(saga);
        assert_eq!(shares.values().map(|share| share.ppm()).sum::<u32>(), WHOLE, "nothing is lost");
        let name = |did: &Did| did.as_str().trim_start_matches("did:mesh:").to_owned();
        shares.iter().map(|(agent, share)| (name(agent), share.ppm())).collect()
    }

    fn list(shares: &[(&str, u32)]) -> Vec<(String, u32)> {
        shares.iter().map(|(name, ppm)| ((*name).to_owned(), *ppm)).collect()
    }

    #[test]
    fn l15_fault_follows_the_undos_that_failed() {
        // One undo fails: its agent answers for all of it, and the others for nothing.
        let one = escalated(&[("a", &[], false), ("b", &[0], true), ("c", &[1], false)]);
        assert_eq!(told(&one), list(&[("b", WHOLE)]));
        // Two that have nothing to do with each other share equally.
        let apart = escalated(&[("a", &[], true), ("b", &[], true)]);
        assert_eq!(told(&apart), list(&[("a", 500_000), ("b", 500_000)]));
        // The second builds on the first and its undo failed before: half of the first part is its own too.
        let chain = escalated(&[("a", &[], true), ("b", &[0], true)]);
        assert_eq!(told(&chain), list(&[("a", 250_000), ("b", 750_000)]));
        // Also over a step in between that was undone.
        let over = escalated(&[("a", &[], true), ("c", &[0], false), ("b", &[1], true)]);
        assert_eq!(told(&over), list(&[("a", 250_000), ("b", 750_000)]));
        // Two that build on one: each of them could have stood in its way.
        let fork = escalated(&[("a", &[], true), ("b", &[0], true), ("c", &[0], true)]);
        assert_eq!(told(&fork), list(&[("a", 222_223), ("b", 388_889), ("c", 388_888)]));
        // An agent with two steps answers for both.
        let twice = escalated(&[("a", &[], true), ("a", &[], true), ("b", &[], true)]);
        assert_eq!(told(&twice), list(&[("a", 666_667), ("b", 333_333)]));
    }

    #[test]
    fn l15_many_failures_are_each_their_own_agents() {
        let steps: Vec<(String, Vec<u32>)> = (0..TRACED as u32 + 1)
            .map(|n| (format!("a{n}"), n.checked_sub(1).into_iter().collect()))
            .collect();
        let steps: Vec<_> =
            steps.iter().map(|(name, after)| (name.as_str(), after.as_slice(), true)).collect();
        let told = told(&escalated(&steps));
        assert_eq!(told.len(), TRACED + 1);
        assert!(told.iter().all(|(_, ppm)| ppm.abs_diff(WHOLE / 17) <= 1), "{told:?}");
    }
}
