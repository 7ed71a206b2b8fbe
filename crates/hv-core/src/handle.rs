//! A session, held by a program that creates sagas in it.

use crate::error::Error;
use crate::hypervisor::Hypervisor;
use crate::open_saga::{OpenSaga, Undos};
use hv_types::{SagaId, SessionId};

/// A session of a node: its name, and a place where sagas begin.
///
/// Holding it keeps nothing open; the session ends with
/// [`terminate_session`](Hypervisor::terminate_session) alone.
#[derive(Debug, Clone)]
pub struct SessionHandle {
    hv: Hypervisor,
    id: SessionId,
}

impl SessionHandle {
    pub(crate) const fn new(hv: Hypervisor, id: SessionId) -> Self {
        Self { hv, id }
    }

    /// The session's name.
    #[must_use]
    pub const fn id(&self) -> &SessionId {
        &self.id
    }

    /// Begins a saga to which steps are added while it runs.
    ///
    /// # Errors
    /// [`Reason::Saga`](crate::Reason::Saga) where the name is taken; [`Error::NoSession`], [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn create_saga(&self, saga: &SagaId) -> Result<OpenSaga, Error> {
        OpenSaga::begin(self.hv.clone(), self.id.clone(), saga).await
    }

    /// Takes up again a saga that an earlier program began with [`create_saga`](Self::create_saga), and goes on with it.
    ///
    /// What that program left in the middle is settled before this returns: nobody knows how far a step came that was
    /// being done, so the saga turns back, and what was being undone goes on. Ask for its [state](OpenSaga::state), then; of
    /// one that runs, [`waiting`](OpenSaga::waiting) gives the steps that were added and not begun.
    ///
    /// # Errors
    /// [`Reason::SagaHeld`](crate::Reason::SagaHeld) as long as something in this program drives the saga, as another
    /// [`OpenSaga`] of it does until it is dropped;
    /// [`Reason::NoFunction`](crate::Reason::NoFunction) where a step has an undo and `undos` has none for its action.
    /// Nothing is settled in either case. [`Error::NoSaga`], [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn reopen_saga(&self, saga: &SagaId, undos: &Undos) -> Result<OpenSaga, Error> {
        OpenSaga::reopen(self.hv.clone(), self.id.clone(), saga, undos).await
    }
}

impl Hypervisor {
    /// A session that has not ended, also one that was there when the node was opened.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn session(&self, id: &SessionId) -> Result<SessionHandle, Error> {
        let there = self.node().read(|state, _| state.slot(id).is_some())?;
        if there {
            Ok(SessionHandle::new(self.clone(), id.clone()))
        } else {
            Err(Error::NoSession(id.clone()))
        }
    }
}
