//! What steps leave in the world, and how that is held against what the trail says of them.

use super::World;
use hv_core::saga::{Attempt, Purpose, SagaState, StepDef, StepState};
use hv_core::types::{SagaId, SessionId, StepId};
use std::collections::BTreeSet;

/// The name of one step: its session, its saga, itself.
pub(super) type Place = (SessionId, SagaId, StepId);

pub(super) fn place_of(attempt: &Attempt) -> Place {
    (attempt.session.clone(), attempt.saga.clone(), attempt.step.clone())
}

impl World {
    /// How often the effect of a step is there.
    pub(super) fn there(&self, place: &Place) -> u32 {
        self.effects.get(place).copied().unwrap_or(0)
    }

    /// What must be true of every saga that has ended, in the world.
    pub(super) fn check_ends(&mut self) {
        let over = std::mem::take(&mut self.shadow.over);
        for shade in self.shadow.sessions.values().chain(&over) {
            let Some(session) = shade.session.id() else { continue };
            for (id, saga) in &shade.sagas {
                for (step, run) in saga.steps().iter().zip(saga.runs()) {
                    let there = self.there(&(session.clone(), id.clone(), step.id.clone()));
                    let context = || {
                        format!(
                            "seed {}: {session}/{id}/{}: {:?}, and there: {there}",
                            self.seed, step.id, run.state
                        )
                    };
                    match (saga.state(), run.state) {
                        (SagaState::Completed, StepState::Committed) => {
                            assert!(there == 1 || !step.has_effect(), "S1: lost: {}", context());
                        }
                        (SagaState::Completed | SagaState::Compensated, _) => {
                            assert_eq!(there, 0, "S1: left behind: {}", context());
                        }
                        // Of what could not be undone, nobody says that it is gone; of everything else, the trail does.
                        (SagaState::Escalated, state) if state != StepState::CompensationFailed => {
                            assert_eq!(there, 0, "S1: left behind in an escalated saga: {}", context());
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// S1: a crash leaves no more in doubt than ran at once: just what ran, but in the saga that something was asked of.
    /// About everything else the trail is right.
    pub(super) fn check_doubts(
        &mut self,
        ran: &BTreeSet<(Place, Purpose)>,
        asked: Option<&(SessionId, SagaId)>,
    ) {
        use StepState::{Committed, Compensated, Denied, Failed, Pending};
        for shade in self.shadow.sessions.values() {
            let Some(session) = shade.session.id() else { continue };
            for (id, saga) in shade.sagas.iter().filter(|(_, saga)| !saga.state().is_terminal()) {
                let context = format!("seed {}: {session}/{id}", self.seed);
                let place = |step: &StepDef| (session.clone(), id.clone(), step.id.clone());
                let doubtful = saga.running().map(|at| (place(&saga.steps()[at.step as usize]), at.purpose));
                let doubtful: BTreeSet<_> = doubtful.collect();
                let (many, at_once) = (doubtful.len(), saga.limits().concurrency as usize);
                assert!(many <= at_once, "S1: {many} in doubt where {at_once} may run: {context}");
                if asked.is_none_or(|(of, asked)| of != session || asked != id) {
                    let known = ran.iter().filter(|((of, saga, _), _)| of == session && saga == id);
                    assert!(known.eq(&doubtful), "S1: {doubtful:?} in doubt, and {ran:?} ran: {context}");
                }
                let kind = match (at_once, many) {
                    (_, 0) => "none in doubt",
                    (1, _) => "the only one in doubt",
                    (_, 1) => "one of several in doubt",
                    _ => "several in doubt",
                };
                *self.doubts.entry(kind).or_default() += 1;
                for (step, run) in saga.steps().iter().zip(saga.runs()) {
                    let (there, state) = (self.there(&place(step)), run.state);
                    let right = match state {
                        Committed => there == 1 || !step.has_effect(),
                        Pending | Failed | Denied | Compensated => there == 0,
                        _ => true,
                    };
                    assert!(right, "S1: {state:?}, and there: {there}: {context}/{}", step.id);
                }
            }
        }
    }

    /// Changes the world, as far as nobody did under this key before where the step says that this is looked at.
    pub(super) fn change(&mut self, attempt: &Attempt, place: Place, purpose: Purpose) {
        let shade = self.shadow.session(&attempt.session).and_then(|(_, shade)| shade.saga(&attempt.saga));
        let (step, _) = shade.and_then(|saga| saga.step(attempt.ordinal)).expect("what runs is on the trail");
        let idempotent = step.idempotent.covers(purpose);
        let acts = self.acts.entry((place.clone(), purpose)).or_default();
        *acts += 1;
        assert!(
            *acts == 1 || idempotent,
            "S1: seed {}: {} acts for the {acts}. time",
            self.seed,
            attempt.key()
        );
        let there = self.effects.entry(place).or_default();
        match purpose {
            _ if *acts > 1 => {}
            Purpose::Execute => *there += 1,
            Purpose::Undo | Purpose::Probe => *there = there.saturating_sub(1),
        }
        assert!(*there <= 1, "S1: seed {}: {} is there {there} times", self.seed, attempt.key());
    }
}
