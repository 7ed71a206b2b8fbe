//! What a decision wants recorded, as one batch: how it is put together, written and applied.

use super::Written;
use crate::event::{self, LedgerEvent, MembershipEvent, NodeEvent, SessionEvent};
use crate::observed::Sums;
use crate::scoring::Outcomes;
use crate::state::{NamedSaga, Room, State};
use hv_audit::{Batch, Expect, LogError, PayloadRef, Reduction, StreamNo};
use hv_saga::{Decided, SagaEvent};
use hv_session::{ConsistencyMode, FileCommand, Session, SessionCommand, SessionDenial};
use hv_types::{Did, Digest, Illegal, Ring, SessionId, Sigma, Timestamp};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};

thread_local! {
    /// A draft that says nothing: decisions come one after another, and each would make its own.
    static SPARE: Cell<Option<Draft>> = const { Cell::new(None) };
}

/// What a decision wants recorded as one atomic batch: at most one record for each stream. It is handed on while it is
/// put together, so its parts lie elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Draft(Box<Parts>);

#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(super) node: Vec<NodeEvent>,
    pub(crate) ledger: Vec<LedgerEvent>,
    session: Option<Target>,
    /// What the session's own machine says; it stands first in the record.
    pub(super) lifecycle: Vec<MembershipEvent>,
    pub(crate) events: Vec<SessionEvent>,
    attached: Option<PayloadRef>,
    /// Whether what is answered shows the state as it is, though nothing may be recorded: then all that this rests on is
    /// durable first.
    pub(super) shows: bool,
    pub(crate) ahead: Ahead,
    /// What most batches do not have.
    more: Option<Box<More>>,
}

impl Deref for Draft {
    type Target = Parts;

    #[inline]
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Draft {
    #[inline]
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

#[derive(Debug, Default)]
struct More {
    /// What is said of further sessions.
    others: Vec<Part>,
    /// Contents to be purged; then the node's events say so.
    purge: Vec<Digest>,
    /// Sessions whose records go, each with what is told of that.
    reduce: Vec<(Reduction, NodeEvent)>,
}

/// A saga of the batch's session, as what the batch says of it was applied to it when that was decided. Whoever
/// replays the batch applies it again.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// Nothing where the batch says nothing of a saga that was decided with it.
    pub(crate) number: Option<u32>,
    /// It is decided here, in the room of an earlier one. The events that are left in it in the end are the last of the
    /// batch; they are written from here.
    pub(crate) decided: Decided,
    /// What the gate says of each of them that starts something, in order.
    pub(crate) grants: Vec<Granted>,
    /// What it says of those who worked in it, where it ends with the batch.
    pub(crate) outcomes: Option<Outcomes>,
    /// Whether the saga has become what was decided.
    pub(crate) reached: bool,
    /// What it says of those who worked in it, once it has ended, and when that was.
    pub(crate) judged: Option<(Timestamp, Outcomes)>,
    /// The saga that begins with the batch, as it is before its first event.
    pub(crate) begun: Option<Box<NamedSaga>>,
    /// Room for the next one, of a saga that has ended.
    pub(crate) room: Option<Room>,
}

/// A [`SessionEvent::Granted`] that stands directly behind its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Granted {
    pub(crate) deadline: Timestamp,
    pub(crate) ring: Ring,
    pub(crate) sigma: Sigma,
}

/// What is said of one open session besides the one that a batch concerns.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) stream: StreamNo,
    /// What the session's own machine says; it stands first in the record.
    pub(crate) lifecycle: Vec<MembershipEvent>,
    pub(crate) events: Vec<SessionEvent>,
}

/// The session that a batch concerns.
#[derive(Debug)]
enum Target {
    New(SessionId),
    Open(StreamNo),
    /// What is said of it stands in the record that closes its stream, and may refer to no payload.
    Closing(StreamNo),
}

impl Target {
    /// The stream, where there is one already.
    const fn stream(&self) -> Option<StreamNo> {
        match self {
            Self::New(_) => None,
            Self::Open(stream) | Self::Closing(stream) => Some(*stream),
        }
    }
}

impl Draft {
    #[inline(always)]
    pub(crate) fn node(mut self, mut node: Vec<NodeEvent>) -> Self {
        if self.node.capacity() == 0 {
            self.node = node;
        } else {
            self.node.append(&mut node);
        }
        self
    }

    /// What a session's machine decides is said of the session, once it is told which one that is.
    pub(crate) fn decide(
        &mut self,
        session: &Session,
        command: &SessionCommand,
        now: Timestamp,
    ) -> Result<(), SessionDenial> {
        session.decide_into(command, now, &mut self.lifecycle)
    }

    /// What happens on the ledger by it.
    pub(crate) fn on_ledger(&self) -> &[LedgerEvent] {
        &self.ledger
    }

    /// Whether the session comes into the strong mode by it.
    pub(crate) fn forces_strong(&self) -> bool {
        self.lifecycle.iter().any(|event| matches!(event, MembershipEvent::StrongForced))
    }

    /// The same for what a member does with the files.
    pub(crate) fn decide_file(
        &mut self,
        session: &Session,
        agent: &Did,
        command: &FileCommand,
        now: Timestamp,
    ) -> Result<(), SessionDenial> {
        session.decide_file(agent, command, now, &mut self.lifecycle)
    }

    /// One that says nothing yet, with room for what is mostly said of a session.
    pub(crate) fn begin() -> Self {
        SPARE.try_with(Cell::take).ok().flatten().unwrap_or_else(|| {
            let mut draft = Self::default();
            draft.events.reserve_exact(SAID);
            draft
        })
    }

    /// Gives its room to the next decision on this thread. Nobody reads there what was before.
    pub(super) fn spare(mut self) {
        self.clear();
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| spare.set(Some(self)));
    }

    /// Says nothing any more. Long lists are given back.
    fn clear(&mut self) {
        let Parts { node, ledger, session, lifecycle, events, attached, shows, ahead, more } = &mut *self.0;
        emptied(node);
        emptied(ledger);
        emptied(lifecycle);
        emptied(events);
        ahead.clear();
        (*session, *attached, *more, *shows) = (None, None, None, false);
    }

    /// Shows files of a session: in the strong mode, none that a crash could still take.
    pub(crate) fn showing(session: &Session) -> Self {
        let shows = session.mode() == ConsistencyMode::Strong;
        Self(Box::new(Parts { shows, ..Parts::default() }))
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    fn attached(&self) -> &[PayloadRef] {
        self.attached.as_slice()
    }

    fn others(&self) -> &[Part] {
        self.more.as_deref().map_or(&[], |more| &more.others)
    }

    fn purge(&self) -> &[Digest] {
        self.more.as_deref().map_or(&[], |more| &more.purge)
    }

    /// What is said of sessions besides. What concerns the session of the draft itself joins what is said of it:
    /// the lifecycle behind what its machine says, the events behind everything else.
    #[inline]
    pub(crate) fn also(self, parts: Vec<Part>) -> Self {
        if parts.is_empty() { self } else { self.joined(parts) }
    }

    fn joined(mut self, parts: Vec<Part>) -> Self {
        for mut part in parts {
            if self.session.as_ref().and_then(Target::stream) == Some(part.stream) {
                self.lifecycle.append(&mut part.lifecycle);
                self.events.append(&mut part.events);
                continue;
            }
            let others = &mut self.more().others;
            match others.iter_mut().find(|other| other.stream == part.stream) {
                Some(other) => {
                    other.lifecycle.append(&mut part.lifecycle);
                    other.events.append(&mut part.events);
                }
                None => others.push(part),
            }
        }
        self
    }

    /// What is said of sessions where nothing is said of another; one part of each.
    pub(crate) fn elsewhere(mut self, parts: Vec<Part>) -> Self {
        if !parts.is_empty() {
            self.more().others = parts;
        }
        self
    }

    #[inline(always)]
    pub(crate) fn ledger(mut self, ledger: Vec<LedgerEvent>) -> Self {
        self.ledger = ledger;
        self
    }

    /// With what else is said of the session; mostly nothing.
    #[inline(always)]
    pub(crate) fn and(mut self, mut events: Vec<SessionEvent>) -> Self {
        if !events.is_empty() {
            self.events.append(&mut events);
        }
        self
    }

    /// Purges contents; the event goes into the log's own record of it, behind what the node says before.
    pub(crate) fn purging(mut self, purge: Vec<Digest>, purged: NodeEvent) -> Self {
        self.more().purge = purge;
        self.node(vec![purged])
    }

    /// Destroys the records of sessions that are over; each event goes into the log's own record of it.
    pub(crate) fn reducing(mut self, reduce: Vec<(Reduction, NodeEvent)>) -> Self {
        self.more().reduce = reduce;
        self
    }

    fn reduce(&self) -> &[(Reduction, NodeEvent)] {
        self.more.as_deref().map_or(&[], |more| &more.reduce)
    }

    #[inline(always)]
    pub(crate) fn session(self, stream: StreamNo, events: Vec<SessionEvent>) -> Self {
        self.session_with(stream, events, None)
    }

    /// What the session's own machine says, before everything else of the session.
    #[inline(always)]
    pub(crate) fn lifecycle(mut self, stream: StreamNo, lifecycle: Vec<MembershipEvent>) -> Self {
        (self.session, self.lifecycle) = (Some(Target::Open(stream)), lifecycle);
        self
    }

    pub(crate) fn attaching(mut self, attached: PayloadRef) -> Self {
        self.attached = Some(attached);
        self
    }

    #[inline(always)]
    pub(crate) fn session_with(
        mut self,
        stream: StreamNo,
        events: Vec<SessionEvent>,
        attached: Option<PayloadRef>,
    ) -> Self {
        (self.session, self.events) = (Some(Target::Open(stream)), events);
        match attached {
            Some(attached) => self.attaching(attached),
            None => self,
        }
    }

    /// What was [decided](Self::decide) opens a session, with what else is said of it.
    #[inline(always)]
    pub(crate) fn open(mut self, id: SessionId, event: impl FnOnce() -> SessionEvent) -> Self {
        self.session = Some(Target::New(id));
        self.events.extend(std::iter::once_with(event));
        self
    }

    /// What was [decided](Self::decide) is said of this session.
    #[inline(always)]
    pub(crate) fn of(mut self, stream: StreamNo) -> Self {
        self.session = Some(Target::Open(stream));
        self
    }

    /// What was [decided](Self::decide) closes a session's stream.
    #[inline(always)]
    pub(crate) fn closing(mut self, stream: StreamNo) -> Self {
        self.session = Some(Target::Closing(stream));
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        let here = self.node.is_empty() && self.ledger.is_empty() && self.says_nothing();
        let also = self.others().is_empty() && self.reduce().is_empty();
        here && !matches!(self.session, Some(Target::Closing(_))) && also
    }

    /// Whether nothing is said of a session.
    fn says_nothing(&self) -> bool {
        self.lifecycle.is_empty() && self.events.is_empty() && self.ahead.moves().is_none()
    }

    /// Shows the lengths of the streams that the decision may have read: the ledger's and the sessions'.
    pub(super) fn expecting<T>(&self, state: &State, show: impl FnOnce(&[Expect]) -> T) -> T {
        let expect = |stream| Some(Expect { stream, length: state.length(stream)? });
        let ledger = Expect { stream: StreamNo::LEDGER, length: state.ledger_length };
        let session = self.session.as_ref().and_then(Target::stream).and_then(expect);
        match session {
            _ if !self.others().is_empty() => {
                let others = self.others().iter().filter_map(|part| expect(part.stream));
                show(&std::iter::once(ledger).chain(session).chain(others).collect::<Vec<_>>())
            }
            Some(session) => show(&[ledger, session]),
            None => show(&[ledger]),
        }
    }

    pub(super) fn write(&self, batch: &mut Batch<'_>, written: &mut Written) -> Result<(), LogError> {
        if !self.purge().is_empty() {
            batch.purge(self.purge(), |out| event::put_body(&self.node, out))?;
        } else if !self.node.is_empty() {
            batch.push(StreamNo::NODE, &[], |out| event::put_body(&self.node, out))?;
        }
        for (reduction, event) in self.reduce() {
            batch.reduce(reduction, |out| event::put_body(std::slice::from_ref(event), out))?;
        }
        if !self.ledger.is_empty() {
            batch.push(StreamNo::LEDGER, &[], |out| event::put_body(&self.ledger, out))?;
        }
        let body = |out: &mut Vec<u8>| {
            event::put_session(&self.lifecycle, &self.events, out);
            if let Some((saga, moves)) = self.ahead.moves() {
                event::put_moves(saga, moves, &self.ahead.grants, out);
            }
        };
        written.stream = match &self.session {
            Some(Target::New(id)) => Some(batch.genesis(id.as_str(), body)?.0),
            Some(Target::Open(stream)) => {
                if !self.says_nothing() {
                    batch.push(*stream, self.attached(), body)?;
                }
                Some(*stream)
            }
            Some(Target::Closing(stream)) => Some(*stream),
            None => None,
        };
        for Part { stream, lifecycle, events } in self.others() {
            batch.push(*stream, &[], |out| event::put_session(lifecycle, events, out))?;
        }
        if let Some(Target::Closing(stream)) = &self.session {
            written.root = Some(batch.close_with(*stream, |out| {
                if !self.says_nothing() {
                    body(out);
                }
            })?);
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, state: &mut State, written: &Written) -> Result<(), Illegal> {
        self.node.iter().try_for_each(|event| state.apply_node(event))?;
        self.reduce().iter().try_for_each(|(_, event)| state.apply_node(event))?;
        if !self.ledger.is_empty() {
            state.apply_ledger(&self.ledger)?;
        }
        for Part { stream, lifecycle, events } in self.others() {
            state.apply_session(*stream, (lifecycle, events), &[], None)?;
        }
        let Some(stream) = written.stream else { return Ok(()) };
        if let Some(Target::New(id)) = &self.session {
            state.open_session(stream, id)?;
        }
        if !self.says_nothing() {
            let Parts { lifecycle, events, attached, ahead, .. } = &mut *self.0;
            let ahead = ahead.number.is_some().then_some(ahead);
            state.apply_session(stream, (lifecycle, events), attached.as_slice(), ahead)?;
        }
        if let Some(Target::Closing(_)) = &self.session {
            state.close_session(stream, written.root.unwrap_or_default())
        } else {
            Ok(())
        }
    }

    /// What it holds, as far as it is told.
    #[inline(always)]
    pub(super) fn sums(&self, state: &State) -> Sums {
        let moves = self.ahead.moves().map_or(0, |(_, moves)| moves.len() + self.ahead.grants.len());
        Sums::of(&self.node, &self.ledger, self.lifecycle.len() + self.events.len() + moves, state)
    }

    /// What it says of sessions besides, which it says no more.
    pub(super) fn take_others(&mut self) -> Vec<Part> {
        self.more.as_mut().map(|more| std::mem::take(&mut more.others)).unwrap_or_default()
    }
}

impl Ahead {
    /// The saga's number, and what happens to it as far as it stands in no list of the batch.
    #[inline]
    pub(crate) fn moves(&self) -> Option<(u32, &[SagaEvent])> {
        self.number.zip(Some(self.decided.events.as_slice()).filter(|moves| !moves.is_empty()))
    }

    /// The same as they are read later, behind what else is said; nothing of them is left here.
    pub(super) fn tell(&mut self, events: &mut Vec<SessionEvent>) {
        let Some(saga) = self.number else { return };
        let mut grants = self.grants.drain(..);
        for event in self.decided.events.drain(..) {
            let granted = if matches!(event, SagaEvent::Started { .. }) { grants.next() } else { None };
            events.push(SessionEvent::Saga { saga, event });
            if let Some(Granted { deadline, ring, sigma }) = granted {
                events.push(SessionEvent::Granted { deadline, ring, sigma });
            }
        }
    }

    /// Leaves nothing but some room.
    fn clear(&mut self) {
        if self.number.take().is_none() {
            return;
        }
        self.decided.clear();
        if self.decided.room() > KEPT {
            self.decided = Decided::default();
        }
        emptied(&mut self.grants);
        (self.outcomes, self.judged, self.begun, self.reached) = (None, None, None, false);
        self.room = self.room.take().filter(|room| room.steps() <= KEPT);
    }
}

/// As many events as a decision mostly has: a saga of one step begins with them.
const SAID: usize = 6;

/// Lists longer than this are not kept.
const KEPT: usize = 64;

fn emptied<T>(list: &mut Vec<T>) {
    list.clear();
    if list.capacity() > KEPT {
        *list = Vec::new();
    }
}
