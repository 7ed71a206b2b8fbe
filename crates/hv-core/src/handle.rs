//! A session, held by a program that creates sagas in it.

use crate::error::Error;
use crate::hypervisor::Hypervisor;
use crate::open_saga::OpenSaga;
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
