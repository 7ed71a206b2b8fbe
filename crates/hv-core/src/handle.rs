//! A session, held by the program that created it.

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
