//! What ended sagas say about those who worked in them, for the default scorer.

use crate::event::LedgerEvent;
use crate::guards::Scoring;
use crate::state::{NamedSaga, Slot, State};
use hv_liability::{Demand, Outcome, Went};
use hv_rings::class::Override;
use hv_saga::{Machine, Saga, SagaState, StepState};
use hv_types::{Did, Ring, Timestamp};
use smallvec::SmallVec;

/// The outcomes of a saga, by who worked, in the order of names; mostly one agent did a few steps.
pub(crate) type Outcomes = SmallVec<[(Did, SmallVec<[Outcome; 3]>); 1]>;

/// What the saga says that has ended: a step speaks for its agent where the whole saga was done, and against it
/// where it failed for good. What was undone because somebody else failed says nothing, and for an undo that failed
/// the ledger is asked anyway. A rehearsal says nothing.
pub(crate) fn outcomes(slot: &Slot, saga: &NamedSaga, ended: &Saga) -> Outcomes {
    if saga.rehearsal {
        return Outcomes::new();
    }
    let mut outcomes = Outcomes::new();
    let done = ended.state() == SagaState::Completed;
    for (ordinal, (step, run)) in (0u32..).zip(ended.steps().iter().zip(ended.runs())) {
        let went = match run.state {
            StepState::Committed if done => Went::Well,
            StepState::Failed => Went::Badly,
            _ => continue,
        };
        let Some(claims) = slot.claims(&step.action) else { continue };
        let terms = saga.class(claims, ordinal, step).terms(&Override::default());
        let demand = if terms.need == Ring::Sandbox { Demand::Nothing } else { Demand::Trust };
        let outcome = Outcome { went, risk: terms.risk, demand };
        // Whoever did it in the end answers for it, also in somebody's place.
        let doer = ended.agent(ordinal).unwrap_or(&step.agent);
        let place = outcomes.binary_search_by(|(agent, _)| agent.cmp(doer));
        match place.map(|at| outcomes.get_mut(at)) {
            Ok(Some((_, of_agent))) => of_agent.push(outcome),
            Ok(None) => {}
            Err(at) => {
                // Mostly the next steps are of the same agent.
                let left = ended.steps().len().saturating_sub(ordinal as usize);
                let mut of_agent = SmallVec::with_capacity(left);
                of_agent.push(outcome);
                outcomes.insert(at, (doer.clone(), of_agent));
            }
        }
    }
    outcomes
}

/// What follows on the ledger where a saga ends like that. Nothing where somebody else is asked for scores, and nothing
/// beside slashes, which speak for themselves. The outcomes from which it follows are left in `known`, where they were
/// looked for.
pub(crate) fn consequences(
    (state, slot, now): (&State, &Slot, Timestamp),
    saga: &NamedSaga,
    ended: &Saga,
    known: &mut Option<Outcomes>,
) -> Vec<LedgerEvent> {
    let mut ledger: Vec<LedgerEvent> = Vec::new();
    let Scoring::By { policy } = &state.guards.score else { return ledger };
    if slot.scored_elsewhere() || !matches!(ended.state(), SagaState::Completed | SagaState::Compensated) {
        return ledger;
    }
    for (agent, outcomes) in &*known.insert(outcomes(slot, saga, ended)) {
        for command in state.track.consequences(policy, &state.ledger, agent, outcomes, now) {
            // Whoever cannot earn or lose now does not; nobody asked for it.
            for event in state.ledger.decide(&command, now).unwrap_or_default() {
                let told = matches!(event, LedgerEvent::Elapsed { .. }) && ledger.contains(&event);
                ledger.extend((!told).then_some(event));
            }
        }
    }
    ledger
}
