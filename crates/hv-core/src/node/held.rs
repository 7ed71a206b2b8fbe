//! Who holds a saga of this node and calls functions for it, so that nobody else takes it up meanwhile. A program that ended
//! holds nothing: that no other process has the trail open is what the lock of its folder is for.

use super::{Node, Shared};
use hv_types::{SagaId, SessionId};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type ByName = BTreeMap<(SessionId, SagaId), u64>;

/// Sagas that are held, and by whom: each holder has a number of its own.
#[derive(Debug, Default)]
pub(super) struct HeldSagas(Mutex<ByName>);

impl HeldSagas {
    fn lock(&self) -> MutexGuard<'_, ByName> {
        // Whatever panicked, what is in it is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A saga that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    shared: Arc<Shared>,
    name: (SessionId, SagaId),
    holder: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.shared.held.lock();
        // A session that has ended leaves its name, and those of its sagas, to others.
        if held.get(&self.name) == Some(&self.holder) {
            held.remove(&self.name);
        }
    }
}

impl Node {
    /// Holds a saga that has just begun.
    pub(crate) fn hold(&self, session: &SessionId, saga: &SagaId, holder: u64) -> Held {
        let name = (session.clone(), saga.clone());
        self.shared.held.lock().insert(name.clone(), holder);
        Held { shared: Arc::clone(&self.shared), name, holder }
    }

    /// Holds a saga that nobody else holds; nothing where somebody does.
    pub(crate) fn try_hold(&self, session: &SessionId, saga: &SagaId, holder: u64) -> Option<Held> {
        let name = (session.clone(), saga.clone());
        match self.shared.held.lock().entry(name.clone()) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(free) => free.insert(holder),
        };
        Some(Held { shared: Arc::clone(&self.shared), name, holder })
    }
}
