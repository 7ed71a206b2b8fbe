//! The sequencer: under a short lock decide, append and apply; outside it sync; only then reveal.

use crate::adapters::Ports;
use crate::clock::Time;
use crate::early::Early;
use crate::elsewhere::Elsewhere;
use crate::error::{Denied, Error, Reason};
use crate::event::{NodeEvent, Rejected};
use crate::evidence::Rejection;
use crate::folding::{Door, Source};
use crate::guards::Guards;
use crate::observed::{self, Command, Sums};
use crate::open_trail::OpenTrail;
use crate::origin::Origin;
use crate::seldom::Seldom;
use crate::state::State;
use hv_audit::{Log, LogError, Lsn, PayloadRef, StreamNo};
use hv_liability::SlashOrder;
use hv_types::{ActionId, Did, Digest, SessionId, Timestamp};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::broadcast;

mod draft;
mod keeping;
mod notice;
mod ripe;
mod turn;
mod turnaway;

pub(crate) use draft::{Ahead, Draft, Granted, Part};
pub use keeping::Kept;
pub(crate) use keeping::Taken;
pub use notice::{Notice, Said, Told};

use keeping::{Keeping, Opened};
use notice::Notices;
use turn::Turn;
use turnaway::folded;

/// One handle to a node: all handles share what is behind the lock, and each knows where its requests come from. Cloning
/// gives another one.
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
    clock: Time,
    /// The time of the last record; the next one is not before it. Written under the lock.
    last: AtomicU64,
    inner: Mutex<Inner>,
    turn: Turn,
    /// Held for reading while an effect begins, for writing while a kill is recorded.
    launches: RwLock<()>,
    /// The limits that hold.
    guards: Seldom<Guards>,
    /// Taken alone or behind the lock of `inner`, never before it. Made when somebody knocks or is refused.
    door: OnceLock<Box<Mutex<Door>>>,
    /// What is known of other nodes.
    elsewhere: Elsewhere,
    /// When the next counts at the door are due, so that whoever passes need not look behind it.
    counts_due: AtomicU64,
    /// Made when somebody subscribes.
    notices: OnceLock<Notices>,
    ports: Ports,
    keeping: Keeping,
    early: Early,
}

#[derive(Debug, Default)]
struct Inner {
    /// In a place of its own, because it is large and moves with the node until that is shared.
    state: Box<State>,
    /// The batch that was appended last; what the state says rests on nothing after it.
    lsn: Lsn,
    /// Set for good when record and state may disagree.
    poisoned: bool,
}

/// What is behind a lock cannot be relied on. It has no room for other errors, which are large.
#[derive(Debug)]
struct Poisoned;

impl From<Poisoned> for Error {
    fn from(_: Poisoned) -> Self {
        Self::Poisoned
    }
}

/// Why nothing was recorded. It takes a word, so that what was recorded is handed on as it is.
#[derive(Debug)]
pub(crate) struct Failed(Box<Error>);

impl From<Error> for Failed {
    #[cold]
    fn from(error: Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<Poisoned> for Failed {
    #[cold]
    fn from(_: Poisoned) -> Self {
        Error::Poisoned.into()
    }
}

impl From<Failed> for Error {
    #[cold]
    fn from(Failed(error): Failed) -> Self {
        *error
    }
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
    /// The slash that follows from it, as well.
    slash: Option<Box<SlashOrder>>,
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
        Box::new(Self {
            stream,
            request,
            agent,
            action,
            reason,
            rejected: Vec::new(),
            also: Vec::new(),
            slash: None,
        })
    }

    /// The same with the statements that were brought and do not count.
    pub(crate) fn rejecting(mut self: Box<Self>, rejected: Vec<Rejected>) -> Box<Self> {
        self.rejected = rejected;
        self
    }

    /// Whether what was brought was used before.
    pub(crate) fn is_replay(&self) -> bool {
        let replayed = Rejection::NotCounted { refusal: hv_rings::Refusal::Replayed };
        self.rejected.iter().any(|rejected| rejected.rejection == replayed)
    }

    /// The same for another reason.
    pub(crate) fn because(mut self: Box<Self>, reason: Reason) -> Box<Self> {
        self.reason = reason;
        self
    }

    /// With what follows from it for the node.
    pub(crate) fn leading_to(mut self: Box<Self>, also: Vec<NodeEvent>) -> Box<Self> {
        self.also = also;
        self
    }

    /// With the slash that follows from it.
    pub(crate) fn slashing(mut self: Box<Self>, order: SlashOrder) -> Box<Self> {
        self.slash = Some(Box::new(order));
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
    /// Takes up what the log says; from then on those limits hold that are made of those that held before, or those
    /// themselves.
    pub(crate) fn open(
        OpenTrail { log, taken }: OpenTrail,
        clock: Time,
        set: impl FnOnce(&Guards) -> Result<Option<Guards>, Error>,
    ) -> Result<Self, Error> {
        let mut inner = Inner::default();
        let keeping = Keeping::default();
        let Opened { last, unusable } = keeping::opened(&*log, taken, &mut inner.state, &keeping)?;
        let mut guards = inner.state.guards.clone();
        let set = set(&guards)?.filter(|set| *set != *guards).map(Box::new);
        if let Some(set) = &set {
            guards = Seldom::from(**set);
        }
        keeping.pace(&*log, guards.snapshots);
        let shared = Arc::new(Shared {
            log,
            clock,
            last: AtomicU64::new(last.0),
            inner: Mutex::new(inner),
            turn: Turn::default(),
            launches: RwLock::new(()),
            ports: Ports::default(),
            guards,
            door: OnceLock::new(),
            elsewhere: Elsewhere::default(),
            counts_due: AtomicU64::new(Timestamp::MAX.0),
            notices: OnceLock::new(),
            keeping,
            early: Early::default(),
        });
        let node = Self { shared, origin: None };
        let set = set.map(|guards| NodeEvent::Guarded { guards });
        if unusable.is_some() || set.is_some() {
            let mut draft = Draft::default().node(unusable.into_iter().chain(set).collect());
            let (now, mut made) = (node.now(), Made::default());
            node.record(&mut *node.lock()?, &mut draft, now, &mut made)?;
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
        self.shared.notices.get_or_init(Notices::default).subscribe()
    }

    /// What is asked outside of the node.
    pub(crate) fn ports(&self) -> &Ports {
        &self.shared.ports
    }

    /// The limits that hold.
    pub(crate) fn guards(&self) -> Guards {
        *self.shared.guards
    }

    pub(crate) fn log(&self) -> &Arc<dyn Log> {
        &self.shared.log
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
    ) -> Result<Recorded<T>, Failed> {
        if self.origin.is_some()
            && let Some(turned_away) = self.knock()
        {
            return turned_away;
        }
        let (mut inner, now, ripened) = self.begin()?;
        let mut recorded = match decide(&inner.state, now) {
            Ok((draft, decided)) => {
                let lsn = if draft.shows { inner.lsn } else { Lsn::default() };
                let mut made = Made { lsn, ..Made::default() };
                self.complete(&mut inner, draft, now, &mut made)?;
                Recorded { value: Ok(reveal(&inner.state, decided)), made }
            }
            Err(refusal) => self.turn_down(&mut inner, *refusal, now)?,
        };
        if let Some(before) = ripened {
            recorded.made = recorded.made.behind(*before);
        }
        Ok(recorded)
    }

    /// Takes the lock and does what comes due by time alone. As what every command has in common it stands in one place,
    /// like [`complete`](Self::complete): code that is shared is where the next command finds it.
    #[inline(never)]
    fn begin(&self) -> Result<Begun<'_>, Failed> {
        let mut inner = self.lock()?;
        let now = self.now();
        let ripened = self.ripen(&mut inner, now)?;
        Ok((inner, now, ripened))
    }

    /// Records what was decided, with the counts that are due.
    #[inline(never)]
    fn complete(
        &self,
        inner: &mut Inner,
        mut draft: Draft,
        now: Timestamp,
        made: &mut Made,
    ) -> Result<(), Failed> {
        if self.is_due(now) {
            draft.node.extend(self.due(now)?);
        }
        self.record(inner, &mut draft, now, made)?;
        draft.spare();
        Ok(())
    }

    #[cold]
    fn turn_down<T>(
        &self,
        inner: &mut Inner,
        refusal: Refusal,
        now: Timestamp,
    ) -> Result<Recorded<T>, Failed> {
        let source = match &self.origin {
            Some(origin) => Source::Origin { origin: origin.clone() },
            None => refusal.source(&inner.state),
        };
        let told = self.count(&mut *self.door()?, &source, &refusal, now);
        self.tell(inner, refusal, told, now)
    }

    /// Waits until the batch is durable, then reveals what was decided.
    pub(crate) async fn settle<T>(&self, recorded: Recorded<T>) -> Result<T, Error> {
        let command = Command::begin();
        let durable = match self.durable(recorded.made.lsn) {
            Some(durable) => durable,
            None => self.synced(recorded.made.lsn).await?,
        };
        self.reveal(durable, &command, recorded)
    }

    /// That a batch is durable, where it is.
    pub(crate) fn durable(&self, lsn: Lsn) -> Option<Durable> {
        (self.shared.log.durable() >= lsn).then_some(Durable(lsn))
    }

    /// Waits until a batch is durable.
    pub(crate) async fn synced(&self, lsn: Lsn) -> Result<Durable, Error> {
        self.sync(lsn).await?;
        Ok(Durable(lsn))
    }

    /// What was decided, once the batch is durable.
    ///
    /// # Errors
    /// [`Error::Poisoned`] where it is another batch that is durable; what was refused.
    pub(crate) fn reveal<T>(
        &self,
        Durable(upto): Durable,
        command: &Command,
        Recorded { value, made }: Recorded<T>,
    ) -> Result<T, Error> {
        if upto < made.lsn {
            return Err(Error::Poisoned);
        }
        self.keep_where_due(made.lsn);
        command.revealed(made.lsn, &made.sums, value.as_ref().err().map(|denied| &**denied));
        self.shared.notify();
        value.map_err(|denied| Error::from(*denied))
    }

    /// [`run`](Self::run) and [`settle`](Self::settle).
    pub(crate) async fn commit<T>(
        &self,
        decide: impl FnOnce(&State, Timestamp) -> Result<(Draft, T), Box<Refusal>>,
    ) -> Result<T, Error> {
        let command = Command::begin();
        let recorded = self.run(decide, |_, decided| decided)?;
        let durable = match self.durable(recorded.made.lsn) {
            Some(durable) => durable,
            None => self.synced(recorded.made.lsn).await?,
        };
        self.reveal(durable, &command, recorded)
    }

    /// As long as this is held, no kill is recorded. Nothing may be waited for meanwhile.
    pub(crate) fn launching(&self) -> RwLockReadGuard<'_, ()> {
        self.shared.launches.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`run`](Self::run), recorded while no effect is beginning.
    pub(crate) fn run_alone<T>(
        &self,
        decide: impl FnOnce(&State, Timestamp) -> Result<(Draft, T), Box<Refusal>>,
    ) -> Result<Recorded<T>, Failed> {
        let _alone = self.shared.launches.write().unwrap_or_else(PoisonError::into_inner);
        self.run(decide, |_, decided| decided)
    }

    /// [`commit`](Self::commit) of what closes a stream; gives the root over it, where it does, and what is asked of the
    /// state then.
    pub(crate) async fn commit_closing<T>(
        &self,
        decide: impl FnOnce(&State, Timestamp) -> Result<Draft, Box<Refusal>>,
        ask: impl FnOnce(&State) -> T,
    ) -> Result<Option<(Digest, T)>, Error> {
        let command = Command::begin();
        let decide = |state: &State, now| decide(state, now).map(|draft| (draft, ()));
        let recorded = self.run(decide, |state, ()| ask(state))?;
        let root = recorded.made.root;
        let durable = match self.durable(recorded.made.lsn) {
            Some(durable) => durable,
            None => self.synced(recorded.made.lsn).await?,
        };
        let answer = self.reveal(durable, &command, recorded)?;
        Ok(root.map(|root| (root, answer)))
    }

    /// Ends the log; whatever comes afterwards is refused by it.
    pub(crate) async fn seal(&self) -> Result<(), Error> {
        let rest = self.door()?.rest();
        if !rest.is_empty() {
            let mut draft = Draft::default().node(folded(rest).collect());
            let mut made = Made::default();
            self.record(&mut *self.lock()?, &mut draft, self.now(), &mut made)?;
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

    /// Keeps bytes outside the records, durable with the record that will name them; mostly without waiting.
    pub(crate) async fn put_payload(&self, bytes: Vec<u8>) -> Result<PayloadRef, Error> {
        match self.shared.log.try_take_payload(bytes)? {
            Ok(payload) => Ok(payload),
            Err(bytes) => {
                let log = Arc::clone(&self.shared.log);
                blocking(move || log.take_payload(bytes)).await
            }
        }
    }

    fn poison(&self) {
        if let Ok(mut inner) = self.shared.inner.lock() {
            inner.poisoned = true;
        }
        observed::poisoned();
    }

    fn lock(&self) -> Result<MutexGuard<'_, Inner>, Poisoned> {
        match self.shared.inner.lock() {
            Ok(inner) if !inner.poisoned => Ok(inner),
            _ => Err(Poisoned),
        }
    }

    /// Appends and applies, and writes down what came of it. State changes only after the log has taken the batch; if it
    /// then does not take the event, record and state disagree, and nothing may go on.
    fn record(
        &self,
        inner: &mut Inner,
        draft: &mut Draft,
        now: Timestamp,
        made: &mut Made,
    ) -> Result<(), Failed> {
        if draft.is_empty() {
            return Ok(());
        }
        let mut written = Written::default();
        let appended = draft.expecting(&inner.state, |expect| {
            self.shared.log.append(expect, now, &mut |batch| draft.write(batch, &mut written))
        });
        match appended {
            Ok(lsn) => (made.lsn, inner.lsn) = (lsn, lsn),
            Err(error) => {
                inner.poisoned |= matches!(error, LogError::Poisoned);
                return Err(Error::from(error).into());
            }
        }
        self.shared.last.store(now.0, Ordering::Release);
        if let Err(illegal) = draft.apply(&mut inner.state, &written) {
            inner.poisoned = true;
            return Err(Error::Illegal(illegal).into());
        }
        made.sums = draft.sums(&inner.state);
        made.root = written.root;
        if let Some(notices) = self.shared.notices.get().filter(|notices| notices.anybody()) {
            notices.later(Notice::of(draft, (made.lsn, now), written.stream));
        }
        Ok(())
    }
}

/// What came of writing a draft, for applying it.
#[derive(Debug, Default)]
struct Written {
    stream: Option<StreamNo>,
    /// Of what it closes.
    root: Option<Digest>,
}

/// What came of recording a draft, for revealing it.
#[derive(Debug, Default)]
struct Made {
    lsn: Lsn,
    sums: Sums,
    /// Of what it closes.
    root: Option<Digest>,
}

/// That everything up to a batch is durable: nothing is revealed without it, and only the log's word gives one.
#[derive(Debug)]
pub(crate) struct Durable(Lsn);

/// The lock, the time, and what was recorded before because it was due by then.
type Begun<'a> = (MutexGuard<'a, Inner>, Timestamp, Option<Box<Made>>);

/// What was decided and appended, but may not be durable yet.
#[derive(Debug)]
#[must_use = "what was recorded may only be revealed when it is durable"]
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
