//! The sagas of a session: those that run, and how those ended that do not.

use super::{CROWD, NamedSaga, Slot};
use hv_saga::SagaState;
use hv_types::{Did, SagaId};

/// A saga of a session, by what is left of it.
pub(crate) enum Known<'a> {
    Running(u32, &'a NamedSaga),
    Ended(SagaState),
}

impl Known<'_> {
    pub(crate) fn state(&self) -> SagaState {
        match self {
            Self::Running(_, saga) => saga.machine.state(),
            Self::Ended(state) => *state,
        }
    }
}

impl Slot {
    /// A saga by name.
    pub(crate) fn saga(&self, id: &SagaId) -> Option<Known<'_>> {
        self.numbered(self.saga_names.number(id)?)
    }

    /// A saga by number.
    pub(crate) fn numbered(&self, number: u32) -> Option<Known<'_>> {
        match self.running.get(&number) {
            Some(saga) => Some(Known::Running(number, saga)),
            None => self.ended(number).map(Known::Ended),
        }
    }

    /// A saga by number that has not ended.
    pub(crate) fn running_saga(&self, number: u32) -> Option<&NamedSaga> {
        self.running.get(&number).map(|saga| &**saga)
    }

    /// The sagas that have not ended, in the order of their numbers.
    pub(crate) fn numbered_sagas(&self) -> impl ExactSizeIterator<Item = (u32, &NamedSaga)> {
        let mut sagas: Vec<_> = self.running.iter().map(|(number, saga)| (*number, &**saga)).collect();
        sagas.sort_unstable_by_key(|(number, _)| *number);
        sagas.into_iter()
    }

    /// The sagas that have not ended, in no particular order.
    pub(crate) fn running_sagas(&self) -> impl Iterator<Item = &NamedSaga> {
        self.running.values().map(|saga| &**saga)
    }

    /// How many attempts of an agent run in all of them. O(log members).
    pub(crate) fn attempts_of(&self, agent: &Did) -> u32 {
        let attempts = self.busy.of(&self.session, agent);
        debug_assert_eq!(
            attempts as usize,
            self.attempts_seen(agent),
            "it is counted whenever a saga changes"
        );
        attempts
    }

    /// The same by looking through all of them.
    fn attempts_seen(&self, agent: &Did) -> usize {
        let of_saga = |saga: &NamedSaga| {
            let of_agent = |step| saga.machine.agent(step).is_some_and(|by| by == agent);
            saga.machine.running().filter(|run| of_agent(run.step)).count()
        };
        self.running_sagas().map(of_saga).sum()
    }

    /// The first saga that has not ended.
    pub(crate) fn unfinished(&self) -> Option<&NamedSaga> {
        self.running.iter().min_by_key(|(number, _)| **number).map(|(_, saga)| &**saga)
    }

    /// A saga that has ended; the room of many that have is given back.
    pub(super) fn take_running(&mut self, number: u32) -> Option<Box<NamedSaga>> {
        let ended = self.running.remove(&number);
        if let Some(saga) = &ended {
            self.busy.take(&self.session, &saga.machine);
        }
        if self.running.capacity() > CROWD && self.running.len() < self.running.capacity() / 8 {
            self.running.shrink_to(self.running.len() * 2);
        }
        ended
    }

    /// The names of all sagas, in the order of their numbers.
    pub(crate) fn saga_ids(&self) -> Vec<SagaId> {
        self.saga_names.all().filter_map(|name| SagaId::new(name).ok()).collect()
    }

    /// How a saga ended that has.
    pub(crate) fn ended(&self, number: u32) -> Option<SagaState> {
        self.ended.get(number as usize).copied().flatten()
    }

    /// The number that the next saga gets.
    pub(crate) fn next_saga(&self) -> u32 {
        self.saga_names.next()
    }
}
