//! How many attempts each member of a session has under way, so that nobody looks through all of its sagas.

use hv_saga::{Saga, SagaEvent};
use hv_session::Session;
use hv_types::Did;
use smallvec::SmallVec;

/// By ordinal of the member. It is counted whenever a saga changes; replayed, it is the same.
#[derive(Debug, Default)]
pub(super) struct Busy(SmallVec<[u32; 4]>);

impl Busy {
    /// Counts what runs in a saga as it is now.
    #[inline]
    pub(super) fn add(&mut self, session: &Session, saga: &Saga) {
        self.each(session, saga, |count| *count = count.saturating_add(1));
    }

    /// Counts it no more, before it changes.
    #[inline]
    pub(super) fn take(&mut self, session: &Session, saga: &Saga) {
        self.each(session, saga, |count| *count = count.saturating_sub(1));
    }

    /// The same for what an event moves; what else runs in the saga goes on as before.
    #[inline]
    pub(super) fn add_moved(&mut self, session: &Session, saga: &Saga, event: &SagaEvent) {
        self.moved(session, saga, event, |count| *count = count.saturating_add(1));
    }

    /// The same for what it is about to move.
    #[inline]
    pub(super) fn take_moved(&mut self, session: &Session, saga: &Saga, event: &SagaEvent) {
        self.moved(session, saga, event, |count| *count = count.saturating_sub(1));
    }

    /// How many attempts of a member run.
    pub(super) fn of(&self, session: &Session, agent: &Did) -> u32 {
        let member = session.known(agent);
        member.and_then(|member| self.0.get(member.ordinal as usize)).copied().unwrap_or(0)
    }

    /// Counts what somebody else counted as well.
    pub(super) fn join(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(count, more)| *count = count.saturating_add(*more));
    }

    fn each(&mut self, session: &Session, saga: &Saga, change: impl Fn(&mut u32)) {
        saga.running().for_each(|attempt| self.one(session, saga, attempt.step, &change));
    }

    fn moved(&mut self, session: &Session, saga: &Saga, event: &SagaEvent, change: impl Fn(&mut u32)) {
        match event {
            SagaEvent::Started { step, .. }
            | SagaEvent::Moved { step, .. }
            | SagaEvent::HandedOver { step, .. } => {
                if saga.step(*step).is_some_and(|(_, run)| run.state.purpose().is_some()) {
                    self.one(session, saga, *step, change);
                }
            }
            SagaEvent::Restored { .. } => self.each(session, saga, change),
            SagaEvent::Created { .. }
            | SagaEvent::Appended { .. }
            | SagaEvent::Sealed {}
            | SagaEvent::Turned { .. }
            | SagaEvent::Finished { .. }
            | SagaEvent::Paused { .. }
            | SagaEvent::Resumed { .. }
            | SagaEvent::Expiring { .. } => {}
        }
    }

    fn one(&mut self, session: &Session, saga: &Saga, step: u32, change: impl Fn(&mut u32)) {
        let Some(member) = saga.agent(step).and_then(|agent| session.known(agent)) else { return };
        let index = member.ordinal as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        if let Some(count) = self.0.get_mut(index) {
            change(count);
        }
    }
}
