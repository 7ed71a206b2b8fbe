//! Rehearsals: steps are carried out and undone, to see whether their undo works, before it counts.

use crate::error::{Error, Reason};
use crate::event::SessionEvent;
use crate::host::SagaHost;
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Refusal};
use crate::state::{Known, State};
use hv_rings::class::Claim;
use hv_saga::reversibility::{Failed, LOOK, rehearsal};
use hv_saga::{Growth, Plan};
use hv_types::{ActionId, ActionKind, Did, Illegal, Reversibility, SagaId, SessionId};

/// What is known of an action's undo in a session, beyond what its steps declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoView {
    /// The action.
    pub action: ActionId,
    /// Whether its undo counts only once it was rehearsed.
    pub demanded: bool,
    /// The first undo of it that failed; nothing where none did, or where a witness has restored it since.
    pub failed: Option<Failed>,
    /// Whose undo was rehearsed since.
    pub rehearsed: Vec<Did>,
}

impl Hypervisor {
    /// From here on the undo of an action counts in a session only once it was rehearsed. There is no way back.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn demand_rehearsal(&self, session: &SessionId, action: &ActionId) -> Result<(), Error> {
        self.node()
            .commit(|state, _| {
                let slot = state.slot(session);
                let slot = slot.ok_or_else(|| Refusal::no_session("demand_rehearsal", None, session))?;
                let demanded = vec![SessionEvent::RehearsalDemanded { action: action.clone() }];
                Ok((Draft::default().session(slot.stream, demanded), ()))
            })
            .await
    }

    /// Creates a saga that rehearses the chosen steps of a plan, by ordinal, after what they wait for; nothing of it
    /// starts yet. Drive it until nothing is left to do, then cancel it and drive it to its end: where everything is
    /// undone, each chosen step whose probe saw its effect come and go counts as rehearsed, for its agent and exactly
    /// these two tasks. The operator answers for it: in a rehearsal every undo is accepted without proof, and recorded
    /// as such.
    ///
    /// # Errors
    /// [`Reason::Rehearsal`] where a step of it has no undo or a chosen one no probe; those of
    /// [`create_saga`](Self::create_saga).
    pub async fn create_rehearsal(
        &self,
        session: &SessionId,
        saga: &SagaId,
        plan: Plan,
        chosen: &[u32],
    ) -> Result<SagaHost, Error> {
        let steps = match rehearsal(&plan.steps, chosen) {
            Ok(steps) => steps,
            Err(cannot) => {
                let refused = |state: &State, _| match state.slot(session) {
                    None => Err(Refusal::no_session("rehearse", None, session)),
                    Some(slot) => Err(slot.refuse("rehearse", None, None, Reason::Rehearsal(cannot.clone()))),
                };
                return self.node().commit(refused).await;
            }
        };
        let plan = Plan { steps: steps.into(), growth: Growth::Open, ..plan };
        let look = ActionId::new(LOOK).map_err(|_| Error::Illegal(Illegal::new("a look is an action")))?;
        let reading = Claim {
            kind: Some(ActionKind::ReadOnly),
            reversibility: Some(Reversibility::Full),
            ..Claim::default()
        };
        self.saga(session, saga).rehearsing().registering(look, reading).create(plan).await
    }

    /// Whether a saga that has not ended is a rehearsal.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn is_rehearsal(&self, session: &SessionId, saga: &SagaId) -> Result<bool, Error> {
        self.node().read(|state, _| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            Ok(matches!(slot.saga(saga), Some(Known::Running(_, saga)) if saga.rehearsal))
        })?
    }

    /// What is known of undos in a session beyond what steps declare, by action. Of an action that is not listed, an
    /// undo counts where it has a probe, or where the operator accepts it without.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn undos(&self, session: &SessionId) -> Result<Vec<UndoView>, Error> {
        self.node().read(|state, _| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            let views = slot.undos.entries().map(|entry| UndoView {
                action: entry.action.clone(),
                demanded: entry.demanded,
                failed: entry.failed.cloned(),
                rehearsed: entry.rehearsed.into_iter().cloned().collect(),
            });
            Ok(views.collect())
        })?
    }
}
