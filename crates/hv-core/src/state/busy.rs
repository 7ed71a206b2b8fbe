//! How many attempts each member of a session has under way, so that nobody looks through all of its sagas.

use hv_saga::Saga;
use hv_session::Session;
use hv_types::Did;

/// By ordinal of the member. It is counted whenever a saga changes; replayed, it is the same.
#[derive(Debug, Default)]
pub(super) struct Busy(Vec<u32>);

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

    /// How many attempts of a member run.
    pub(super) fn of(&self, session: &Session, agent: &Did) -> u32 {
        let member = session.known(agent);
        member.and_then(|member| self.0.get(member.ordinal as usize)).copied().unwrap_or(0)
    }

    fn each(&mut self, session: &Session, saga: &Saga, change: impl Fn(&mut u32)) {
        for attempt in saga.running() {
            let Some(member) = saga.agent(attempt.step).and_then(|agent| session.known(agent)) else {
                continue;
            };
            let index = member.ordinal as usize;
            if self.0.len() <= index {
                self.0.resize(index + 1, 0);
            }
            if let Some(count) = self.0.get_mut(index) {
                change(count);
            }
        }
    }
}
