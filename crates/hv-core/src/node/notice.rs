//! What subscribers are told of a durable batch: its own lists as they are, read where they are needed.

use super::Shared;
use super::draft::{Draft, Part};
use crate::event::{LedgerEvent, MembershipEvent, NodeEvent, SessionEvent};
use crate::trail::TrailEvent;
use hv_audit::{Lsn, StreamNo};
use hv_types::Timestamp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// Durable records that a subscriber may fall behind before it misses some.
const NOTICES: usize = 1024;

/// Those who subscribed, and what they are told once it is durable: in the order of the trail, and whether or not
/// whoever asked for it still waits.
#[derive(Debug)]
pub(super) struct Notices {
    told: broadcast::Sender<Arc<Notice>>,
    /// What was recorded and not told yet. No more than one sync makes durable, and held while it is told.
    waiting: Mutex<VecDeque<Arc<Notice>>>,
}

impl Default for Notices {
    fn default() -> Self {
        Self { told: broadcast::Sender::new(NOTICES), waiting: Mutex::default() }
    }
}

impl Notices {
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.told.subscribe()
    }

    /// Whether anybody listens.
    pub(super) fn anybody(&self) -> bool {
        self.told.receiver_count() > 0
    }

    /// Tells of a batch once it is durable. The node's lock is held, so they come in order.
    pub(super) fn later(&self, notice: Notice) {
        self.waiting().push_back(Arc::new(notice));
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Arc<Notice>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Tells subscribers what is durable by now.
    pub(super) fn notify(&self) {
        let Some(notices) = self.notices.get() else { return };
        let durable = self.log.durable();
        let mut waiting = notices.waiting();
        while let Some(notice) = waiting.pop_front_if(|notice| notice.lsn <= durable) {
            // Nobody may be listening any more.
            let _ = notices.told.send(notice);
        }
    }
}

/// A durable batch, as subscribers see it.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The batch.
    pub lsn: Lsn,
    /// When it was recorded.
    pub time: Timestamp,
    node: Vec<NodeEvent>,
    ledger: Vec<LedgerEvent>,
    /// The session that it concerns, and what is said of others.
    session: Option<Part>,
    others: Vec<Part>,
}

/// What a batch says of one stream.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The stream.
    pub stream: StreamNo,
    node: &'a [NodeEvent],
    ledger: &'a [LedgerEvent],
    lifecycle: &'a [MembershipEvent],
    events: &'a [SessionEvent],
}

/// One thing that a batch says.
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// Something that concerns the node.
    Node(&'a NodeEvent),
    /// Something that concerns trust.
    Ledger(&'a LedgerEvent),
    /// What a session's own machine says; among the trail's events it is a [`SessionEvent::Session`].
    Lifecycle(&'a MembershipEvent),
    /// Something else that happened in a session.
    Session(&'a SessionEvent),
}

impl Notice {
    /// With all that a draft says; nothing of that is left in it, but the room for the next one.
    pub(super) fn of(draft: &mut Draft, (lsn, time): (Lsn, Timestamp), stream: Option<StreamNo>) -> Self {
        let (node, ledger) = (taken(&mut draft.node), taken(&mut draft.ledger));
        let (lifecycle, mut events) = (taken(&mut draft.lifecycle), taken(&mut draft.events));
        draft.ahead.tell(&mut events);
        let others = draft.take_others();
        let session = stream.map(|stream| Part { stream, lifecycle, events });
        Self { lsn, time, node, ledger, session, others }
    }

    /// What it says of each stream, in order. What the log itself adds is left out.
    pub fn told(&self) -> impl Iterator<Item = Told<'_>> {
        let nothing = |stream| Told { stream, node: &[], ledger: &[], lifecycle: &[], events: &[] };
        let node = (!self.node.is_empty()).then(|| Told { node: &self.node, ..nothing(StreamNo::NODE) });
        let ledger =
            (!self.ledger.is_empty()).then(|| Told { ledger: &self.ledger, ..nothing(StreamNo::LEDGER) });
        let sessions = self.session.iter().chain(&self.others).map(move |part| Told {
            lifecycle: &part.lifecycle,
            events: &part.events,
            ..nothing(part.stream)
        });
        node.into_iter().chain(ledger).chain(sessions)
    }

    /// All that it says, in order.
    pub fn said(&self) -> impl Iterator<Item = Said<'_>> {
        self.told().flat_map(|told| told.said())
    }
}

/// An empty list stays where it is, with its room.
fn taken<T>(list: &mut Vec<T>) -> Vec<T> {
    if list.is_empty() { Vec::new() } else { std::mem::take(list) }
}

impl<'a> Told<'a> {
    /// What is said of the stream, in order.
    pub fn said(&self) -> impl Iterator<Item = Said<'a>> + use<'a> {
        let node = self.node.iter().map(Said::Node);
        let ledger = self.ledger.iter().map(Said::Ledger);
        let lifecycle = self.lifecycle.iter().map(Said::Lifecycle);
        node.chain(ledger).chain(lifecycle).chain(self.events.iter().map(Said::Session))
    }
}

impl From<Said<'_>> for TrailEvent {
    fn from(said: Said<'_>) -> Self {
        match said {
            Said::Node(event) => Self::Node(event.clone()),
            Said::Ledger(event) => Self::Ledger(event.clone()),
            Said::Lifecycle(event) => Self::Session(Box::new(SessionEvent::Session { event: event.clone() })),
            Said::Session(event) => Self::Session(Box::new(event.clone())),
        }
    }
}
