//! The sequencer: under a short lock decide, append and apply; outside it sync; only then reveal.

use crate::adapters::Ports;
use crate::clock::Clock;
use crate::early::Early;
use crate::elsewhere::Elsewhere;
use crate::error::{Denied, Error, Reason};
use crate::event::{self, LedgerEvent, MembershipEvent, NodeEvent, Rejected, SessionEvent};
use crate::folding::{Door, Source};
use crate::guards::Guards;
use crate::origin::Origin;
use crate::state::State;
use crate::trail::TrailEvent;
use hv_audit::{Batch, Expect, Log, LogError, Lsn, PayloadRef, StreamNo};
use hv_saga::Saga;
use hv_types::{ActionId, Did, Digest, Illegal, SessionId, Timestamp};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::broadcast;

mod keeping;
mod turn;
mod turnaway;

pub use keeping::Kept;

use keeping::Keeping;
use turn::Turn;
use turnaway::folded;

/// One handle to a node: all handles share what is behind the lock, and each knows where its requests come from.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    shared: Arc<Shared>,
    /// None for the program that hv is embedded in.
    origin: Option<Origin>,
}

/// One log, the state that it makes, and the lock between them.
#[derive(Debug)]
struct Shared {
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    /// The time of the last record; the next one is not before it. Written under the lock.
    last: AtomicU64,
    inner: Mutex<Inner>,
    turn: Turn,
    /// Held for reading while an effect begins, for writing while a kill is recorded.
    launches: RwLock<()>,
    /// How many sessions one creator may have open.
    open_sessions: AtomicU32,
    /// Taken alone or behind the lock of `inner`, never before it.
    door: Mutex<Door>,
    /// What is known of other nodes.
    elsewhere: Elsewhere,
    /// When the next counts at the door are due, so that whoever passes need not look behind it.
    counts_due: AtomicU64,
    /// Made when somebody subscribes.
    notices: OnceLock<broadcast::Sender<Arc<Notice>>>,
    ports: Ports,
    keeping: Keeping,
    early: Early,
}

/// Sessions that one creator may have open where nothing else was said.
const OPEN_SESSIONS: u32 = 10_000;

/// Durable records that a subscriber may fall behind before it misses some.
const NOTICES: usize = 1024;

/// A durable batch, as subscribers see it.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The batch.
    pub lsn: Lsn,
    /// When it was recorded.
    pub time: Timestamp,
    /// What it says of each stream, in order. What the log itself adds is left out.
    pub parts: Vec<(StreamNo, Vec<TrailEvent>)>,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    /// Set for good when record and state may disagree.
    poisoned: bool,
}

/// What a decision wants recorded as one atomic batch: at most one record for each stream.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    node: Vec<NodeEvent>,
    ledger: Vec<LedgerEvent>,
    session: Option<Target>,
    /// What the session's own machine says; it stands first in the record.
    lifecycle: Vec<MembershipEvent>,
    events: Vec<SessionEvent>,
    end: End,
    /// What most batches do not have.
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    attached: Option<PayloadRef>,
    /// What is said of further sessions.
    others: Vec<Part>,
    /// Contents to be purged; then the node's events say so.
    purge: Vec<Digest>,
    ahead: Option<Ahead>,
}

/// A saga of the batch's session, as what the batch says of it was applied to it when that was decided. Whoever
/// replays the batch applies it again.
#[derive(Debug)]
pub(crate) struct Ahead {
    pub(crate) number: u32,
    pub(crate) machine: Saga,
}

/// What is said of one open session besides the one that a batch concerns.
#[derive(Debug)]
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
}

/// Whether the batch closes its session's stream.
#[derive(Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Closed,
}

impl Draft {
    #[inline(always)]
    pub(crate) fn node(mut self, mut node: Vec<NodeEvent>) -> Self {
        if self.node.is_empty() {
            self.node = node;
        } else {
            self.node.append(&mut node);
        }
        self
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    fn attached(&self) -> &[PayloadRef] {
        self.more.as_deref().map_or(&[], |more| more.attached.as_slice())
    }

    fn others(&self) -> &[Part] {
        self.more.as_deref().map_or(&[], |more| &more.others)
    }

    fn purge(&self) -> &[Digest] {
        self.more.as_deref().map_or(&[], |more| &more.purge)
    }

    /// With the state to which what is said of a saga leads.
    pub(crate) fn ahead(mut self, number: u32, machine: Saga) -> Self {
        self.more().ahead = Some(Ahead { number, machine });
        self
    }

    /// What is said of sessions besides. What concerns the session of the draft itself joins what is said of it:
    /// the lifecycle behind what its machine says, the events behind everything else.
    #[inline]
    pub(crate) fn also(self, parts: Vec<Part>) -> Self {
        if parts.is_empty() { self } else { self.joined(parts) }
    }

    fn joined(mut self, parts: Vec<Part>) -> Self {
        for mut part in parts {
            match self.session {
                Some(Target::Open(stream)) if stream == part.stream => {
                    self.lifecycle.append(&mut part.lifecycle);
                    self.events.append(&mut part.events);
                }
                _ => {
                    let others = &mut self.more().others;
                    match others.iter_mut().find(|other| other.stream == part.stream) {
                        Some(other) => {
                            other.lifecycle.append(&mut part.lifecycle);
                            other.events.append(&mut part.events);
                        }
                        None => others.push(part),
                    }
                }
            }
        }
        self
    }

    #[inline(always)]
    pub(crate) fn ledger(mut self, ledger: Vec<LedgerEvent>) -> Self {
        self.ledger = ledger;
        self
    }

    /// Purges contents; the event goes into the log's own record of it, behind what the node says before.
    pub(crate) fn purging(mut self, purge: Vec<Digest>, purged: NodeEvent) -> Self {
        self.more().purge = purge;
        self.node(vec![purged])
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
        self.more().attached = Some(attached);
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

    #[inline(always)]
    pub(crate) fn open(
        mut self,
        id: SessionId,
        lifecycle: Vec<MembershipEvent>,
        events: Vec<SessionEvent>,
    ) -> Self {
        (self.session, self.lifecycle, self.events) = (Some(Target::New(id)), lifecycle, events);
        self
    }

    /// Closes the session's stream with what is said of it, which may refer to no payload.
    #[inline(always)]
    pub(crate) fn closing(mut self) -> Self {
        self.end = End::Closed;
        self
    }

    fn is_empty(&self) -> bool {
        let here = self.node.is_empty() && self.ledger.is_empty() && self.says_nothing();
        here && self.end == End::Open && self.others().is_empty()
    }

    /// Whether nothing is said of a session.
    fn says_nothing(&self) -> bool {
        self.lifecycle.is_empty() && self.events.is_empty()
    }

    /// Shows the lengths of the streams that the decision may have read: the ledger's and the sessions'.
    fn expecting<T>(&self, state: &State, show: impl FnOnce(&[Expect]) -> T) -> T {
        let expect = |stream| Some(Expect { stream, length: state.length(stream)? });
        let ledger = Expect { stream: StreamNo::LEDGER, length: state.ledger_length };
        let session = match self.session {
            Some(Target::Open(stream)) => expect(stream),
            Some(Target::New(_)) | None => None,
        };
        match session {
            _ if !self.others().is_empty() => {
                let others = self.others().iter().filter_map(|part| expect(part.stream));
                show(&std::iter::once(ledger).chain(session).chain(others).collect::<Vec<_>>())
            }
            Some(session) => show(&[ledger, session]),
            None => show(&[ledger]),
        }
    }

    fn write(&self, batch: &mut Batch<'_>, made: &mut Made) -> Result<(), LogError> {
        if !self.purge().is_empty() {
            batch.purge(self.purge(), |out| event::put_body(&self.node, out))?;
        } else if !self.node.is_empty() {
            batch.push(StreamNo::NODE, &[], |out| event::put_body(&self.node, out))?;
        }
        if !self.ledger.is_empty() {
            batch.push(StreamNo::LEDGER, &[], |out| event::put_body(&self.ledger, out))?;
        }
        let stream = match &self.session {
            Some(Target::New(id)) => {
                let (stream, _) = batch
                    .genesis(id.as_str(), |out| event::put_session(&self.lifecycle, &self.events, out))?;
                Some(stream)
            }
            Some(Target::Open(stream)) => {
                // What is said last stands in the record that closes the stream.
                if !self.says_nothing() && self.end == End::Open {
                    let body = |out: &mut Vec<u8>| event::put_session(&self.lifecycle, &self.events, out);
                    batch.push(*stream, self.attached(), body)?;
                }
                Some(*stream)
            }
            None => None,
        };
        made.stream = stream;
        for Part { stream, lifecycle, events } in self.others() {
            batch.push(*stream, &[], |out| event::put_session(lifecycle, events, out))?;
        }
        if let (End::Closed, Some(stream)) = (&self.end, stream) {
            let last = matches!(self.session, Some(Target::Open(_))) && !self.says_nothing();
            made.root = Some(batch.close_with(stream, |out| {
                if last {
                    event::put_session(&self.lifecycle, &self.events, out);
                }
            })?);
        }
        Ok(())
    }

    fn apply(&mut self, state: &mut State, made: &Made) -> Result<(), Illegal> {
        self.node.iter().try_for_each(|event| state.apply_node(event))?;
        if !self.ledger.is_empty() {
            state.apply_ledger(&self.ledger)?;
        }
        for Part { stream, lifecycle, events } in self.others() {
            state.apply_session(*stream, (lifecycle, events), &[], None)?;
        }
        let Some(stream) = made.stream else { return Ok(()) };
        if let Some(Target::New(id)) = &self.session {
            state.open_session(stream, id)?;
        }
        if !self.says_nothing() {
            let ahead = self.more.as_deref_mut().and_then(|more| more.ahead.take());
            state.apply_session(stream, (&self.lifecycle, &self.events), self.attached(), ahead)?;
        }
        if self.end == End::Closed {
            state.close_session(stream, made.root.unwrap_or_default())
        } else {
            Ok(())
        }
    }

    fn told(self, stream: Option<StreamNo>) -> Vec<(StreamNo, Vec<TrailEvent>)> {
        let mut parts = Vec::new();
        if !self.node.is_empty() {
            parts.push((StreamNo::NODE, self.node.into_iter().map(TrailEvent::Node).collect()));
        }
        if !self.ledger.is_empty() {
            parts.push((StreamNo::LEDGER, self.ledger.into_iter().map(TrailEvent::Ledger).collect()));
        }
        if let Some(stream) = stream {
            parts.push((stream, told(self.lifecycle, self.events)));
        }
        let others = self.more.map(|more| more.others).unwrap_or_default().into_iter();
        parts.extend(others.map(|part| (part.stream, told(part.lifecycle, part.events))));
        parts
    }
}

fn told(lifecycle: Vec<MembershipEvent>, events: Vec<SessionEvent>) -> Vec<TrailEvent> {
    let lifecycle = lifecycle.into_iter().map(|event| SessionEvent::Session { event });
    lifecycle.chain(events).map(|event| TrailEvent::Session(Box::new(event))).collect()
}

/// A decision against somebody: why, and on whose trail it belongs.
#[derive(Debug)]
pub(crate) struct Refusal {
    stream: StreamNo,
    request: &'static str,
    agent: Option<Did>,
    action: Option<ActionId>,
    reason: Reason,
    /// What was brought and does not count; it stands before the denial.
    rejected: Vec<Rejected>,
    /// What follows from it for the node, whether the refusal itself is told in full or counted.
    also: Vec<NodeEvent>,
}

impl Refusal {
    /// What concerns no session stands on the node's stream.
    pub(crate) fn on_node(request: &'static str, agent: Option<&Did>, reason: Reason) -> Box<Self> {
        Self::on(StreamNo::NODE, request, agent, None, reason)
    }

    pub(crate) fn no_session(request: &'static str, agent: Option<&Did>, session: &SessionId) -> Box<Self> {
        Self::on_node(request, agent, Reason::NoSession(session.clone()))
    }

    #[cold]
    pub(crate) fn on(
        stream: StreamNo,
        request: &'static str,
        agent: Option<&Did>,
        action: Option<&ActionId>,
        reason: Reason,
    ) -> Box<Self> {
        let (agent, action) = (agent.cloned(), action.cloned());
        Box::new(Self { stream, request, agent, action, reason, rejected: Vec::new(), also: Vec::new() })
    }

    /// The same with the statements that were brought and do not count.
    pub(crate) fn rejecting(mut self: Box<Self>, rejected: Vec<Rejected>) -> Box<Self> {
        self.rejected = rejected;
        self
    }

    /// With what follows from it for the node.
    pub(crate) fn leading_to(mut self: Box<Self>, also: Vec<NodeEvent>) -> Box<Self> {
        self.also = also;
        self
    }

    /// Where it comes from, for a request of the embedding program: an agent that is known answers for its own.
    fn source(&self, state: &State) -> Source {
        match &self.agent {
            Some(agent) if state.knows(agent, self.stream) => Source::Agent { did: agent.clone() },
            _ => Source::Program,
        }
    }
}

impl Node {
    /// Replays the log.
    pub(crate) fn open(
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        guards: Option<Guards>,
    ) -> Result<Self, Error> {
        // The state is made where it stays, because it is large.
        let shared = Arc::new(Shared {
            log,
            clock,
            last: AtomicU64::default(),
            inner: Mutex::default(),
            turn: Turn::default(),
            launches: RwLock::new(()),
            open_sessions: AtomicU32::new(OPEN_SESSIONS),
            ports: Ports::default(),
            door: Mutex::default(),
            elsewhere: Elsewhere::default(),
            counts_due: AtomicU64::new(Timestamp::MAX.0),
            notices: OnceLock::new(),
            keeping: Keeping::default(),
            early: Early::default(),
        });
        let node = Self { shared, origin: None };
        let (unusable, kept) = {
            let Shared { log, last, keeping, .. } = &*node.shared;
            let state = &mut node.lock()?.state;
            let opened = keeping::opened(&**log, state, keeping)?;
            last.store(opened.last.0, Ordering::Release);
            (opened.unusable, state.guards)
        };
        let guards = guards.unwrap_or(kept);
        node.door()?.guard(guards);
        let set = (guards != kept).then(|| NodeEvent::Guarded { guards: Box::new(guards) });
        if unusable.is_some() || set.is_some() {
            let draft = Draft { node: unusable.into_iter().chain(set).collect(), ..Draft::default() };
            let now = node.now();
            let made = node.record(&mut *node.lock()?, draft, now)?;
            node.shared.log.sync(made.lsn)?;
        }
        Ok(node)
    }

    /// Another handle to the same node, for what comes from there.
    pub(crate) fn at(&self, origin: Origin) -> Self {
        Self { shared: Arc::clone(&self.shared), origin: Some(origin) }
    }

    /// What becomes durable from now on. A subscriber that falls behind misses the oldest, and is told so; it
    /// holds nobody up.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.shared.notices.get_or_init(|| broadcast::Sender::new(NOTICES)).subscribe()
    }

    /// What is asked outside of the node.
    pub(crate) fn ports(&self) -> &Ports {
        &self.shared.ports
    }

    /// The limits that hold.
    pub(crate) fn guards(&self) -> Guards {
        self.shared.door.lock().unwrap_or_else(PoisonError::into_inner).guards()
    }

    pub(crate) fn log(&self) -> &Arc<dyn Log> {
        &self.shared.log
    }

    /// How many sessions one creator may have open.
    pub(crate) fn open_sessions(&self) -> u32 {
        self.shared.open_sessions.load(Ordering::Relaxed)
    }

    pub(crate) fn limit_open_sessions(&self, limit: u32) {
        self.shared.open_sessions.store(limit, Ordering::Relaxed);
    }

    /// The time now, not before the last record.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now().max(Timestamp(self.shared.last.load(Ordering::Acquire)))
    }

    /// What is known of other nodes.
    pub(crate) fn elsewhere(&self) -> &Elsewhere {
        &self.shared.elsewhere
    }

    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State, Timestamp) -> T) -> Result<T, Error> {
        let inner = self.lock()?;
        Ok(look(&inner.state, self.now()))
    }

    /// Looks at what the time does not matter to.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Error> {
        Ok(look(&self.lock()?.state))
    }

    /// Looks at the state as of a time that the caller has read, or of the last record where that is later.
    pub(crate) fn read_at<T>(
        &self,
        now: Timestamp,
        look: impl FnOnce(&State, Timestamp) -> T,
    ) -> Result<T, Error> {
        let inner = self.lock()?;
        Ok(look(&inner.state, now.max(Timestamp(self.shared.last.load(Ordering::Acquire)))))
    }

    /// Decides, appends and applies. What is answered must not be revealed before the batch is durable; a
    /// refusal is recorded and becomes an error.
    ///
    /// `reveal` makes the answer from what was decided and from the state that the record has made.
    pub(crate) fn run<D, T>(
        &self,
        decide: impl FnOnce(&State, Timestamp) -> Result<(Draft, D), Box<Refusal>>,
        reveal: impl FnOnce(&State, D) -> T,
    ) -> Result<Recorded<T>, Error> {
        if let Some(turned_away) = self.knock() {
            return turned_away;
        }
        let mut inner = self.lock()?;
        let now = self.now();
        match decide(&inner.state, now) {
            Ok((mut draft, decided)) => {
                draft.node.extend(self.due(now)?);
                let made = self.record(&mut inner, draft, now)?;
                Ok(Recorded { value: Ok(reveal(&inner.state, decided)), made })
            }
            Err(refusal) => self.turn_down(&mut inner, *refusal, now),
        }
    }

    #[cold]
    fn turn_down<T>(
        &self,
        inner: &mut Inner,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<Recorded<T>, Error> {
        let source = match &self.origin {
            Some(origin) => Source::Origin { origin: origin.clone() },
            None => refusal.source(&inner.state),
        };
        let told = self.count(&mut *self.door()?, &source, &refusal, now);
        self.tell(inner, refusal, told, now)
    }

    /// Waits until the batch is durable, then reveals what was decided.
    pub(crate) async fn settle<T>(&self, recorded: Recorded<T>) -> Result<T, Error> {
        if self.shared.log.durable() < recorded.made.lsn {
            self.sync(recorded.made.lsn).await?;
        }
        self.reveal(recorded)
    }

    /// What was decided, once the batch is durable.
    fn reveal<T>(&self, recorded: Recorded<T>) -> Result<T, Error> {
        let Recorded { value, made } = recorded;
        self.keep_where_due(made.lsn);
        if let (Some(notice), Some(notices)) = (made.notice, self.shared.notices.get()) {
            // Nobody may be listening any more.
            let _ = notices.send(notice);
        }
        value.map_err(|denied| Error::from(*denied))
    }

    /// [`run`](Self::run) and [`settle`](Self::settle).
    pub(crate) async fn commit<T>(
        &self,
        decide: impl FnOnce(&State, Timestamp) -> Result<(Draft, T), Box<Refusal>>,
    ) -> Result<T, Error> {
        let recorded = self.run(decide, |_, decided| decided)?;
        if self.shared.log.durable() < recorded.made.lsn {
            self.sync(recorded.made.lsn).await?;
        }
        self.reveal(recorded)
    }

    /// As long as this is held, no kill is recorded. Nothing may be waited for meanwhile.
    pub(crate) fn launching(&self) -> RwLockReadGuard<'_, ()> {
        self.shared.launches.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`commit`](Self::commit), recorded while no effect is beginning.
    pub(crate) async fn commit_alone<T>(
        &self,
        decide: impl FnOnce(&State, Timestamp) -> Result<(Draft, T), Box<Refusal>>,
    ) -> Result<T, Error> {
        let recorded = {
            let _alone = self.shared.launches.write().unwrap_or_else(PoisonError::into_inner);
            self.run(decide, |_, decided| decided)?
        };
        self.settle(recorded).await
    }

    /// [`commit`](Self::commit) of what closes a stream; gives the root over it.
    pub(crate) async fn commit_closing(
        &self,
        decide: impl FnOnce(&State, Timestamp) -> Result<(Draft, ()), Box<Refusal>>,
    ) -> Result<Digest, Error> {
        let recorded = self.run(decide, |_, ()| ())?;
        let root = recorded.made.root;
        self.settle(recorded).await?;
        root.ok_or(Error::Illegal(Illegal::new("what is closed has a root")))
    }

    /// Ends the log; whatever comes afterwards is refused by it.
    pub(crate) async fn seal(&self) -> Result<(), Error> {
        let rest = self.door()?.rest();
        if !rest.is_empty() {
            let draft = Draft { node: folded(rest).collect(), ..Draft::default() };
            let made = self.record(&mut *self.lock()?, draft, self.now())?;
            self.settle(Recorded { value: Ok(()), made }).await?;
        }
        self.keep_at_the_end().await;
        let now = self.now();
        let log = Arc::clone(&self.shared.log);
        blocking(move || log.seal(now)).await.map(|_| ())
    }

    /// Destroys what was purged.
    pub(crate) async fn destroy(&self) -> Result<u64, Error> {
        let (log, now) = (Arc::clone(&self.shared.log), self.now());
        blocking(move || log.destroy(now)).await.inspect_err(|_| self.poison())
    }

    pub(crate) fn early(&self) -> &Early {
        &self.shared.early
    }

    /// Stores bytes outside the records, durable when this returns.
    pub(crate) async fn put_payload(&self, bytes: Vec<u8>) -> Result<PayloadRef, Error> {
        if !self.shared.log.waits_for_disk() {
            return Ok(self.shared.log.take_payload(bytes)?);
        }
        let log = Arc::clone(&self.shared.log);
        blocking(move || log.put_payload(&bytes)).await
    }

    fn poison(&self) {
        if let Ok(mut inner) = self.shared.inner.lock() {
            inner.poisoned = true;
        }
    }

    fn lock(&self) -> Result<MutexGuard<'_, Inner>, Error> {
        match self.shared.inner.lock() {
            Ok(inner) if !inner.poisoned => Ok(inner),
            _ => Err(Error::Poisoned),
        }
    }

    /// Appends and applies. State changes only after the log has taken the batch; if it then does not take
    /// the event, record and state disagree, and nothing may go on.
    fn record(&self, inner: &mut Inner, mut draft: Draft, now: Timestamp) -> Result<Made, Error> {
        let mut made = Made::default();
        if draft.is_empty() {
            return Ok(made);
        }
        let appended = draft.expecting(&inner.state, |expect| {
            self.shared.log.append(expect, now, &mut |batch| draft.write(batch, &mut made))
        });
        match appended {
            Ok(lsn) => made.lsn = lsn,
            Err(error) => {
                inner.poisoned |= matches!(error, LogError::Poisoned);
                return Err(error.into());
            }
        }
        self.shared.last.store(now.0, Ordering::Release);
        if let Err(illegal) = draft.apply(&mut inner.state, &made) {
            inner.poisoned = true;
            return Err(Error::Illegal(illegal));
        }
        if self.shared.notices.get().is_some_and(|notices| notices.receiver_count() > 0) {
            let parts = draft.told(made.stream);
            made.notice = Some(Arc::new(Notice { lsn: made.lsn, time: now, parts }));
        } else {
            inner.state.spare(draft.lifecycle, draft.events);
        }
        Ok(made)
    }
}

/// What came of writing a draft.
#[derive(Debug, Default)]
struct Made {
    lsn: Lsn,
    stream: Option<StreamNo>,
    root: Option<Digest>,
    notice: Option<Arc<Notice>>,
}

/// What was decided and appended, but may not be durable yet.
#[derive(Debug)]
#[must_use = "what was recorded may only be revealed through `settle`"]
pub(crate) struct Recorded<T> {
    value: Result<T, Box<Denied>>,
    made: Made,
}

impl<T> Recorded<T> {
    /// What will be answered, where it is no refusal.
    pub(crate) const fn revealed(&self) -> Option<&T> {
        match &self.value {
            Ok(value) => Some(value),
            Err(_) => None,
        }
    }

    pub(crate) const fn lsn(&self) -> Lsn {
        self.made.lsn
    }
}

/// Runs what blocks on the disk where it blocks nobody else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, Error> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => match runtime.spawn_blocking(work).await {
            Ok(result) => result.map_err(Error::from),
            Err(_) => Err(Error::Poisoned),
        },
        Err(_) => work().map_err(Error::from),
    }
}
