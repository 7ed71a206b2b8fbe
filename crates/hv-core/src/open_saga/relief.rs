//! Taking the work of a growing saga from an agent, from outside while its function runs.

use super::{Driven, OpenSaga, standing};
use crate::error::Error;
use crate::hypervisor::Hypervisor;
use crate::kill::{LOOK, executes};
use crate::state::Known;
use hv_saga::{Saga, StepDef, StepState};
use hv_types::{Did, SagaId, SessionId};
use std::fmt;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Takes the work of one [`OpenSaga`] from agents; [`OpenSaga::relief`] gives it. Copies are of the same saga.
///
/// ```
/// # use hv_core::event::KillTarget;
/// # use hv_core::{Error, Hypervisor, KillOrder, OpenSaga};
/// # use hv_core::types::Did;
/// /// Kills an agent, so that what it does in this saga is stopped and handed over.
/// async fn kill(hv: &Hypervisor, saga: &OpenSaga, agent: &Did) -> Result<(), Error> {
///     let target = KillTarget::Agent { did: agent.clone() };
///     let order = KillOrder { target, by: None, reason: "it leaks".to_owned() };
///     let (relief, agent) = (saga.relief(), agent.clone());
///     hv.kill(&order, async move { relief.relieve(&agent).await }).await.map(drop)
/// }
/// ```
#[derive(Clone)]
pub struct Relief {
    hv: Hypervisor,
    session: SessionId,
    saga: SagaId,
    driven: Arc<Mutex<Driven>>,
    relieved: Relieved,
}

impl Relief {
    /// Takes the work from an agent: its function that runs is dropped, and what it has not finished goes to the substitutes
    /// that its steps [name](crate::NewStep::with_substitute), or else is settled and undone. Of what is undone nothing is
    /// stopped. Where no step is being done, it holds for those that are there when the next one is asked for; what is added
    /// after that is the agent's own again. Of an agent that no unfinished step names, nothing is kept.
    ///
    /// Ends when the agent does nothing in the saga any more. For the callback of [`Hypervisor::kill`], which by itself
    /// stops no function that runs; also for one that is not to go on although it may.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub async fn relieve(&self, agent: &Did) -> Result<(), Error> {
        // Kept are only those whom steps name, so that it is bounded.
        if !self.is_so_of(|saga| has_work(saga, agent))? {
            return Ok(());
        }
        self.relieved.add(agent);
        while standing(&self.driven) == Driven::Yes && self.is_so_of(|saga| executes(saga, agent))? {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Whether something is so of the saga; of one that is over nothing is.
    fn is_so_of(&self, so: impl FnOnce(&Saga) -> bool) -> Result<bool, Error> {
        self.hv.node().read(|state, _| {
            let slot = state.slot(&self.session);
            let Some(Known::Running(_, saga)) = slot.and_then(|slot| slot.saga(&self.saga)) else {
                return false;
            };
            so(&saga.machine)
        })
    }
}

/// Whether a step that is to be done, or is being done, is an agent's or may come to it.
fn has_work(saga: &Saga, agent: &Did) -> bool {
    let names = |def: &StepDef| def.agent == *agent || def.substitute.as_ref() == Some(agent);
    let open = |state: StepState| state == StepState::Pending || !state.is_settled();
    saga.steps().iter().zip(saga.runs()).any(|(def, run)| open(run.state) && names(def))
}

impl OpenSaga {
    /// What takes the work from agents of this saga, also while a step is being done.
    #[must_use]
    pub fn relief(&self) -> Relief {
        let (driven, relieved) = (Arc::clone(&self.driven), self.relieved.clone());
        let (hv, session, saga) = (self.hv.clone(), self.session.clone(), self.id().clone());
        Relief { hv, session, saga, driven, relieved }
    }
}

impl fmt::Debug for Relief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relief")
            .field("session", &self.session)
            .field("saga", &self.saga)
            .finish_non_exhaustive()
    }
}

/// The agents of a saga that are to be relieved, and are not yet.
#[derive(Clone, Default)]
pub(super) struct Relieved(Arc<watch::Sender<Vec<Did>>>);

impl Relieved {
    fn add(&self, agent: &Did) {
        self.0.send_if_modified(|agents| {
            let new = !agents.contains(agent);
            if new {
                agents.push(agent.clone());
            }
            new
        });
    }

    pub(super) fn has(&self, agent: &Did) -> bool {
        self.0.borrow().contains(agent)
    }

    /// The first of them, which is relieved by that.
    pub(super) fn next(&self) -> Option<Did> {
        let mut next = None;
        self.0.send_if_modified(|agents| {
            next = (!agents.is_empty()).then(|| agents.remove(0));
            false
        });
        next
    }

    /// It is relieved.
    pub(super) fn remove(&self, agent: &Did) {
        self.0.send_if_modified(|agents| {
            agents.retain(|other| other != agent);
            false
        });
    }

    /// Ends when this agent is to be relieved; never where nobody can ask for it any more.
    pub(super) async fn of(&self, agent: &Did) {
        let mut agents = self.0.subscribe();
        if agents.wait_for(|agents| agents.contains(agent)).await.is_err() {
            std::future::pending().await
        }
    }
}
