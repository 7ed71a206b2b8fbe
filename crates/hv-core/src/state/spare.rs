//! Room for what decisions say, used again for the next one. It holds nothing between decisions.

use super::State;
use crate::event::{MembershipEvent, SessionEvent};
use hv_session::{Session, SessionCommand, SessionDenial};
use hv_types::Timestamp;
use std::cell::RefCell;

/// Lists without entries.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    lifecycle: RefCell<Vec<MembershipEvent>>,
    events: RefCell<Vec<SessionEvent>>,
}

/// Longer ones are not kept.
const MOST: usize = 64;

impl State {
    /// What a session's machine decides.
    pub(crate) fn decided(
        &self,
        session: &Session,
        command: &SessionCommand,
        now: Timestamp,
    ) -> Result<Vec<MembershipEvent>, SessionDenial> {
        let mut events = taken(&self.spare.lifecycle);
        match session.decide_into(command, now, &mut events) {
            Ok(()) => Ok(events),
            Err(denial) => {
                give(&self.spare.lifecycle, events);
                Err(denial)
            }
        }
    }

    /// A list for the events of a session.
    pub(crate) fn room(&self) -> Vec<SessionEvent> {
        taken(&self.spare.events)
    }

    /// Takes lists back that are needed no more.
    pub(crate) fn spare(&self, lifecycle: Vec<MembershipEvent>, events: Vec<SessionEvent>) {
        give(&self.spare.lifecycle, lifecycle);
        give(&self.spare.events, events);
    }
}

fn taken<T>(spare: &RefCell<Vec<T>>) -> Vec<T> {
    spare.try_borrow_mut().map(|mut spare| std::mem::take(&mut *spare)).unwrap_or_default()
}

fn give<T>(spare: &RefCell<Vec<T>>, mut list: Vec<T>) {
    list.clear();
    if let Ok(mut spare) = spare.try_borrow_mut()
        && spare.capacity() < list.capacity()
        && list.capacity() <= MOST
    {
        *spare = list;
    }
}
