//! A saga with what its session knows of it.

use super::NamedSaga;
use hv_rings::class::{Claims, Class, Undo, Unproven};
use hv_saga::{Saga, StepDef};
use hv_types::{Did, SagaId};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// By whom a saga is driven in this process: the number of a host, or 0 for nobody. Read and written under the node's
/// lock.
#[derive(Debug, Default)]
pub(crate) struct Driven(AtomicU64);

impl Driven {
    pub(crate) fn by(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, host: u64) {
        self.0.store(host, Ordering::Relaxed);
    }
}

impl Clone for Driven {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.by()))
    }
}

/// What is left of a saga that has ended: nothing but its room, for another one.
#[derive(Debug)]
pub(crate) struct Room(Box<NamedSaga>);

impl Room {
    pub(crate) fn of(mut saga: Box<NamedSaga>) -> Self {
        saga.driven.set(0);
        saga.machine.clear();
        saga.unproven.clear();
        saga.principals.clear();
        saga.held.clear();
        Self(saga)
    }

    /// How many steps there is room for.
    pub(crate) const fn steps(&self) -> usize {
        self.0.machine.room()
    }
}

impl NamedSaga {
    /// A saga that does not exist yet.
    pub(crate) fn new(id: SagaId, unproven: &[u32]) -> Self {
        let (unproven, principals) = (unproven.to_vec(), Vec::new());
        let (driven, machine, held) = (Driven::default(), Saga::default(), BTreeSet::new());
        Self { id, driven, machine, unproven, principals, rehearsal: false, held }
    }

    /// The same with those for whom its agents act, as a rehearsal or not, in the room of one that has ended.
    pub(crate) fn begin(
        room: Option<Room>,
        (id, unproven): (&SagaId, &[u32]),
        principals: &[Did],
        rehearsal: bool,
    ) -> Box<Self> {
        let mut saga = match room {
            Some(Room(mut room)) => {
                room.id = id.clone();
                room.unproven.extend_from_slice(unproven);
                room
            }
            None => Box::new(Self::new(id.clone(), unproven)),
        };
        saga.rehearsal = rehearsal;
        saga.principals.extend_from_slice(principals);
        saga
    }

    /// Those whom the saga names as the ones for whom its agents act.
    pub(crate) const fn principals(&self) -> &[Did] {
        self.principals.as_slice()
    }

    /// Whether it is recorded that a step waits for its agent's rate.
    pub(crate) fn holds(&self, step: u32) -> bool {
        self.held.contains(&step)
    }

    /// What one of its steps counts as by what it declares alone, whatever is known of undos since: for what it says
    /// of whoever worked on it.
    pub(crate) fn class(&self, claims: &Claims, ordinal: u32, step: &StepDef) -> Class {
        let undo = match (&step.undo, &step.probe) {
            (None, _) => Undo::Absent,
            (Some(_), None) => Undo::Declared,
            (Some(_), Some(_)) => Undo::Proven,
        };
        let accepted = self.unproven.contains(&ordinal);
        claims.class(undo, if accepted { Unproven::Counts } else { Unproven::DoesNotCount })
    }
}
