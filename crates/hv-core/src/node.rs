//! The sequencer: under a short lock decide, append and apply; outside it sync; only then reveal.

use crate::clock::Clock;
use crate::error::{Denied, Error, Reason};
use crate::event::{self, Denial, LedgerEvent, NodeEvent, SessionEvent};
use crate::state::State;
use crate::trail::TrailEvent;
use hv_audit::{Batch, Expect, Log, LogError, Lsn, PayloadRef, StreamNo};
use hv_types::{ActionId, Did, Digest, Illegal, SessionId, Timestamp};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use tokio::sync::broadcast;

/// One log, the state that it makes, and the lock between them.
#[derive(Debug)]
pub(crate) struct Node {
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    /// Made when somebody subscribes.
    notices: OnceLock<broadcast::Sender<Arc<Notice>>>,
}

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

#[derive(Debug)]
struct Inner {
    state: State,
    /// The time of the last record; the next one is not before it.
    last: Timestamp,
    /// Set for good when record and state may disagree.
    poisoned: bool,
}

/// What a decision wants recorded, in this order, as one atomic batch.
#[derive(Debug, Default)]
pub(crate) struct Draft(Vec<Part>);

#[derive(Debug)]
enum Part {
    Node(Vec<NodeEvent>),
    Ledger(Vec<LedgerEvent>),
    Session { stream: StreamNo, events: Vec<SessionEvent>, attached: Vec<PayloadRef> },
    Open { id: SessionId, events: Vec<SessionEvent> },
    Close { stream: StreamNo },
}

impl Draft {
    pub(crate) fn ledger(mut self, events: Vec<LedgerEvent>) -> Self {
        if !events.is_empty() {
            self.0.push(Part::Ledger(events));
        }
        self
    }

    pub(crate) fn session(self, stream: StreamNo, events: Vec<SessionEvent>) -> Self {
        self.session_with(stream, events, Vec::new())
    }

    pub(crate) fn session_with(
        mut self,
        stream: StreamNo,
        events: Vec<SessionEvent>,
        attached: Vec<PayloadRef>,
    ) -> Self {
        if !events.is_empty() {
            self.0.push(Part::Session { stream, events, attached });
        }
        self
    }

    pub(crate) fn open(mut self, id: SessionId, events: Vec<SessionEvent>) -> Self {
        self.0.push(Part::Open { id, events });
        self
    }

    pub(crate) fn close(mut self, stream: StreamNo) -> Self {
        self.0.push(Part::Close { stream });
        self
    }

    /// The lengths of all streams that the decision may have read: of those that it writes, and the ledger.
    fn expectations(&self, state: &State) -> Vec<Expect> {
        let written = self.0.iter().filter_map(|part| match part {
            Part::Session { stream, .. } | Part::Close { stream } => Some(*stream),
            Part::Node(_) | Part::Ledger(_) | Part::Open { .. } => None,
        });
        let streams = written.chain([StreamNo::LEDGER]);
        streams.filter_map(|stream| Some(Expect { stream, length: state.length(stream)? })).collect()
    }
}

/// A decision against somebody: why, and on whose trail it belongs.
#[derive(Debug)]
pub(crate) struct Refusal {
    stream: StreamNo,
    denial: Denial,
    reason: Reason,
}

impl Refusal {
    /// What concerns no session stands on the node's stream.
    pub(crate) fn on_node(request: &'static str, agent: Option<&Did>, reason: Reason) -> Box<Self> {
        Self::on(StreamNo::NODE, request, agent, None, reason)
    }

    pub(crate) fn no_session(request: &'static str, agent: Option<&Did>, session: &SessionId) -> Box<Self> {
        Self::on_node(request, agent, Reason::NoSession(session.clone()))
    }

    pub(crate) fn on(
        stream: StreamNo,
        request: &'static str,
        agent: Option<&Did>,
        action: Option<&ActionId>,
        reason: Reason,
    ) -> Box<Self> {
        let denial = Denial::of(request, agent, action, &reason);
        Box::new(Self { stream, denial, reason })
    }
}

impl Node {
    /// Replays the log.
    pub(crate) fn open(log: Arc<dyn Log>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let mut inner = Inner { state: State::default(), last: Timestamp::default(), poisoned: false };
        log.replay(&mut |entry| {
            inner.last = inner.last.max(entry.time);
            inner.state.replay(&entry)
        })?;
        Ok(Self { log, clock, inner: Mutex::new(inner), notices: OnceLock::new() })
    }

    /// What becomes durable from now on. A subscriber that falls behind misses the oldest, and is told so; it
    /// holds nobody up.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.notices.get_or_init(|| broadcast::Sender::new(NOTICES)).subscribe()
    }

    pub(crate) fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The time now, not before the last record.
    pub(crate) fn now(&self) -> Timestamp {
        let last = self.inner.lock().map_or(Timestamp::MAX, |inner| inner.last);
        self.clock.now().max(last)
    }

    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State, Timestamp) -> T) -> Result<T, Error> {
        let inner = self.lock()?;
        Ok(look(&inner.state, self.clock.now().max(inner.last)))
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
        let mut inner = self.lock()?;
        let now = self.clock.now().max(inner.last);
        match decide(&inner.state, now) {
            Ok((draft, decided)) => {
                let made = self.record(&mut inner, draft, now)?;
                Ok(Recorded { value: Ok(reveal(&inner.state, decided)), made })
            }
            Err(refusal) => {
                let Refusal { stream, denial, reason } = *refusal;
                let draft = match stream {
                    StreamNo::NODE => Draft(vec![Part::Node(vec![NodeEvent::Denied { denial }])]),
                    stream => Draft::default().session(stream, vec![SessionEvent::Denied { denial }]),
                };
                let made = self.record(&mut inner, draft, now)?;
                let lsn = made.lsn;
                Ok(Recorded { value: Err(Denied { reason, lsn }), made })
            }
        }
    }

    /// Waits until the batch is durable, then reveals what was decided.
    pub(crate) async fn settle<T>(&self, recorded: Recorded<T>) -> Result<T, Error> {
        let Recorded { value, made } = recorded;
        self.sync(made.lsn).await?;
        if let (Some(notice), Some(notices)) = (made.notice, self.notices.get()) {
            // Nobody may be listening any more.
            let _ = notices.send(notice);
        }
        value.map_err(Error::from)
    }

    /// [`run`](Self::run) and [`settle`](Self::settle).
    pub(crate) async fn commit<T>(
        &self,
        decide: impl FnOnce(&State, Timestamp) -> Result<(Draft, T), Box<Refusal>>,
    ) -> Result<T, Error> {
        let recorded = self.run(decide, |_, decided| decided)?;
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
        let now = self.now();
        let log = Arc::clone(&self.log);
        blocking(move || log.seal(now)).await.map(|_| ())
    }

    pub(crate) async fn sync(&self, lsn: Lsn) -> Result<(), Error> {
        if self.log.durable() >= lsn {
            return Ok(());
        }
        let log = Arc::clone(&self.log);
        blocking(move || log.sync(lsn)).await.inspect_err(|_| self.poison())
    }

    /// Stores bytes outside the records, durable when this returns.
    pub(crate) async fn put_payload(&self, bytes: Vec<u8>) -> Result<PayloadRef, Error> {
        if !self.log.waits_for_disk() {
            return Ok(self.log.put_payload(&bytes)?);
        }
        let log = Arc::clone(&self.log);
        blocking(move || log.put_payload(&bytes)).await
    }

    fn poison(&self) {
        if let Ok(mut inner) = self.inner.lock() {
            inner.poisoned = true;
        }
    }

    fn lock(&self) -> Result<MutexGuard<'_, Inner>, Error> {
        match self.inner.lock() {
            Ok(inner) if !inner.poisoned => Ok(inner),
            _ => Err(Error::Poisoned),
        }
    }

    /// Appends and applies. State changes only after the log has taken the batch; if it then does not take
    /// the event, record and state disagree, and nothing may go on.
    fn record(&self, inner: &mut Inner, draft: Draft, now: Timestamp) -> Result<Made, Error> {
        let mut made = Made::default();
        if draft.0.is_empty() {
            return Ok(made);
        }
        let expect = draft.expectations(&inner.state);
        let appended = self.log.append(&expect, now, &mut |batch| {
            draft.0.iter().try_for_each(|part| part.write(batch, &mut made))
        });
        match appended {
            Ok(lsn) => made.lsn = lsn,
            Err(error) => {
                inner.poisoned |= matches!(error, LogError::Poisoned);
                return Err(error.into());
            }
        }
        inner.last = now;
        if let Err(illegal) = draft.0.iter().try_for_each(|part| part.apply(&mut inner.state, &made)) {
            inner.poisoned = true;
            return Err(Error::Illegal(illegal));
        }
        if self.notices.get().is_some_and(|notices| notices.receiver_count() > 0) {
            let parts = draft.0.into_iter().filter_map(|part| part.told(made.opened)).collect();
            made.notice = Some(Arc::new(Notice { lsn: made.lsn, time: now, parts }));
        }
        Ok(made)
    }
}

/// What came of writing a draft.
#[derive(Debug, Default)]
struct Made {
    lsn: Lsn,
    opened: Option<StreamNo>,
    root: Option<Digest>,
    notice: Option<Arc<Notice>>,
}

impl Part {
    fn write(&self, batch: &mut Batch<'_>, made: &mut Made) -> Result<(), LogError> {
        match self {
            Self::Node(events) => {
                batch.push(StreamNo::NODE, &[], |out| event::put_body(events, out))?;
            }
            Self::Ledger(events) => {
                batch.push(StreamNo::LEDGER, &[], |out| event::put_body(events, out))?;
            }
            Self::Session { stream, events, attached } => {
                batch.push(*stream, attached, |out| event::put_body(events, out))?;
            }
            Self::Open { id, events } => {
                let (stream, _) = batch.genesis(id.as_str(), |out| event::put_body(events, out))?;
                made.opened = Some(stream);
            }
            Self::Close { stream } => {
                made.root = Some(batch.close(*stream)?);
            }
        }
        Ok(())
    }

    fn told(self, opened: Option<StreamNo>) -> Option<(StreamNo, Vec<TrailEvent>)> {
        let session = |events: Vec<SessionEvent>| {
            events.into_iter().map(|event| TrailEvent::Session(Box::new(event))).collect()
        };
        match self {
            Self::Node(events) => Some((StreamNo::NODE, events.into_iter().map(TrailEvent::Node).collect())),
            Self::Ledger(events) => Some((StreamNo::LEDGER, events.into_iter().map(TrailEvent::Ledger).collect())),
            Self::Session { stream, events, .. } => Some((stream, session(events))),
            Self::Open { events, .. } => Some((opened?, session(events))),
            Self::Close { .. } => None,
        }
    }

    fn apply(&self, state: &mut State, made: &Made) -> Result<(), Illegal> {
        match self {
            Self::Node(events) => events.iter().try_for_each(|event| state.apply_node(event)),
            Self::Ledger(events) => state.apply_ledger(events),
            Self::Session { stream, events, attached } => state.apply_session(*stream, events, attached),
            Self::Open { id, events } => {
                let stream = made.opened.ok_or(Illegal::new("a session that was opened has a stream"))?;
                state.open_session(stream, id)?;
                state.apply_session(stream, events, &[])
            }
            Self::Close { stream } => state.close_session(*stream),
        }
    }
}

/// What was decided and appended, but may not be durable yet.
#[derive(Debug)]
#[must_use = "what was recorded may only be revealed through `settle`"]
pub(crate) struct Recorded<T> {
    value: Result<T, Denied>,
    made: Made,
}

impl<T> Recorded<T> {
    pub(crate) const fn lsn(&self) -> Lsn {
        self.made.lsn
    }
}

/// Runs what blocks on the disk where it blocks nobody else.
async fn blocking<T: Send + 'static>(
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
