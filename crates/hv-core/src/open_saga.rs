//! Sagas of a program that decides as it goes: a step is added, asked for, and done by a function.

use crate::calm::{awaited, called};
use crate::error::{Error, Reason};
use crate::event::{Denial, SessionEvent};
use crate::gate;
use crate::grant::Mismatch;
use crate::host::SagaHost;
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Refusal};
use crate::state::{Known, NamedSaga};
use hv_audit::StreamNo;
use hv_rings::class::Claim;
use hv_saga::{
    Attempt, Class, Limits, Outcome, Pace, Plan, Purpose, Retry, SagaCommand, SagaState, StepDef, Task,
};
use hv_types::{ActionId, ActionKind, Did, Illegal, Reversibility, SagaId, SessionId, StepId};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a function of the program comes to.
type Work<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;
type Undo = Box<dyn Fn() -> Work<'static> + Send + Sync>;

/// A saga that grows: steps are added with [`add_step`](Self::add_step) and done one at a time with
/// [`execute_step`](Self::execute_step).
///
/// A step that fails for good has everything before it undone, in reverse order of commit. The saga completes
/// when its session is terminated with every step of it done.
pub struct OpenSaga {
    /// Which of all that this program ever began, so that a step of another one is known.
    no: u64,
    hv: Hypervisor,
    session: SessionId,
    host: SagaHost,
    undos: BTreeMap<u32, Undo>,
    /// Whether somebody dropped what drove the saga before it had come to its end.
    abandoned: AtomicBool,
}

/// What drives the saga; dropped before it is over, it leaves a word.
struct Driving<'a> {
    abandoned: &'a AtomicBool,
    over: bool,
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.abandoned.store(true, Ordering::Release);
        }
    }
}

/// A step as it is added.
pub struct NewStep {
    action: ActionId,
    agent: Did,
    kind: ActionKind,
    undo: Option<Undo>,
    timeout: Duration,
    retries: u32,
    undo_timeout: Duration,
}

/// A step of an [`OpenSaga`], and of no other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepNo {
    /// The number of the saga among those of the program.
    of: u64,
    /// Its number there.
    number: u32,
}

/// How many sagas this program began that grow.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Why a step has no result.
#[derive(Debug)]
pub enum StepFailure {
    /// The supervisor itself failed, or refused what was asked of the saga.
    Node(Error),
    /// The gate did not let the agent do it. The denial is on the trail.
    Denied(Box<Denial>),
    /// It failed for good.
    Failed {
        /// What the function said last.
        why: String,
        /// Where that left the saga: compensated, or escalated where something could not be undone.
        saga: SagaState,
    },
}

impl NewStep {
    /// A step of an agent. Without an undo it cannot be undone, and so needs Ring 1. It may take 300 s, as may its
    /// undo, and is not repeated.
    #[must_use]
    pub const fn new(action: ActionId, agent: Did) -> Self {
        let timeout = Duration::from_secs(300);
        let (kind, undo, retries) = (ActionKind::Effect, None, 0);
        Self { action, agent, kind, undo, timeout, retries, undo_timeout: timeout }
    }

    /// A step that changes nothing.
    #[must_use]
    pub fn reading(action: ActionId, agent: Did) -> Self {
        Self { kind: ActionKind::ReadOnly, ..Self::new(action, agent) }
    }

    /// The same with a function that takes its effect back. It counts without a probe, because it is part of
    /// the program that does the step; that it was accepted is recorded.
    #[must_use]
    pub fn with_undo<U, F, E>(self, undo: U) -> Self
    where
        U: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let boxed: Undo = Box::new(move || {
            let work = undo();
            Box::pin(async move {
                match work.await {
                    Ok(()) => Outcome::done(),
                    Err(error) => failed(&error.to_string()),
                }
            })
        });
        Self { undo: Some(boxed), ..self }
    }

    /// The same with so much time for each attempt, 1 ms to 7 days.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same with so much time for each attempt to undo it, 1 ms to 7 days.
    #[must_use]
    pub fn with_undo_timeout(self, undo_timeout: Duration) -> Self {
        Self { undo_timeout, ..self }
    }

    /// The same repeated so many times where it fails, at most 100, with exponentially growing waits.
    #[must_use]
    pub fn with_retries(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// What the program says of the action by adding it so.
    fn claim(&self) -> Claim {
        let reversibility = match (self.kind, &self.undo) {
            (ActionKind::ReadOnly, _) | (_, Some(_)) => Reversibility::Full,
            (_, None) => Reversibility::None,
        };
        Claim { kind: Some(self.kind), reversibility: Some(reversibility), ..Claim::default() }
    }

    fn definition(&self, id: StepId) -> StepDef {
        let task = || Task::closure(self.action.as_str());
        let step = StepDef::new(id, self.action.clone(), self.agent.clone(), task());
        let step = if self.undo.is_some() { step.with_undo(task()) } else { step };
        let (kind, timeout, undo_timeout) = (self.kind, self.timeout, self.undo_timeout);
        StepDef { kind, timeout, retry: Retry::times(self.retries), undo_timeout, ..step }
    }
}

impl OpenSaga {
    pub(crate) async fn begin(hv: Hypervisor, session: SessionId, saga: &SagaId) -> Result<Self, Error> {
        let limits = Limits { concurrency: 1, ..Limits::default() };
        let plan = Plan { pace: Pace::Asked, limits, ..Plan::open() };
        let host = hv.create_saga(&session, saga, plan, Vec::new()).await?;
        let (no, undos) = (BEGUN.fetch_add(1, Ordering::Relaxed), BTreeMap::new());
        Ok(Self { no, hv, session, host, undos, abandoned: AtomicBool::new(false) })
    }

    /// The saga's name.
    #[must_use]
    pub const fn id(&self) -> &SagaId {
        self.host.saga()
    }

    /// Where the saga stands.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::NoSaga`], [`Error::Poisoned`].
    pub fn state(&self) -> Result<SagaState, Error> {
        self.host.state()
    }

    /// Adds a step, named after its action; nothing starts. What was not said about the action yet is said by
    /// the step: it can be undone entirely where it has an undo, and else not at all.
    ///
    /// # Errors
    /// [`Reason::Saga`](crate::Reason::Saga) where the saga takes no more steps or this one is outside its
    /// limits; [`Reason::NoSaga`] where it ends meanwhile; [`Error::NoSession`], [`Error::NoSaga`], [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn add_step(&mut self, step: NewStep) -> Result<StepNo, Error> {
        let id = self.name_for(&step.action)?;
        let steps = vec![Arc::new(step.definition(id.clone()))];
        self.host.append(steps).await?;
        let (saga, number) = self.find(&id)?;
        let claim = step.claim();
        if claim.reversibility == Some(Reversibility::None) || !self.registered(&step.action)? {
            self.hv.register_action(&self.session, &step.action, claim).await?;
        }
        if let Some(undo) = step.undo {
            self.accept_undo(saga, number).await?;
            self.undos.insert(number, undo);
        }
        Ok(StepNo { of: self.no, number })
    }

    /// Does a step: passes the gate, calls the function, and again where it fails and may be repeated. Where
    /// it fails for good, what the saga did before is undone first; where it panics or does not end in time, so
    /// is what it may have done itself.
    ///
    /// Dropped before it has ended, it stops the function where that is. What it may have done is undone, with what
    /// the saga did before, by whatever is asked of the saga next, this or [`finish`](Self::finish).
    ///
    /// # Errors
    /// [`StepFailure`], with what it left behind; [`Reason::OtherSaga`] where another saga added the step.
    pub async fn execute_step<X, F, T, E>(&self, step: StepNo, mut executor: X) -> Result<T, StepFailure>
    where
        X: FnMut() -> F,
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: fmt::Display,
    {
        if step.of != self.no {
            return Err(StepFailure::Node(self.refuse_step().await));
        }
        let said: Mutex<(Option<T>, String)> = Mutex::new((None, "it was not started".to_owned()));
        let told = &said;
        let act = |attempt: Attempt| -> Work<'_> {
            if attempt.purpose != Purpose::Execute {
                return self.take_back(&attempt);
            }
            // What is dropped in the middle says nothing more.
            say(told, hv_saga::Reason::TimedOut.to_string());
            let work = called(&mut executor);
            Box::pin(async move {
                awaited(work).await.map_or_else(|| panicked(told), |result| keep(result, told))
            })
        };
        self.take_up().await.map_err(StepFailure::Node)?;
        let first = SagaCommand::Start { step: step.number, refused: Vec::new() };
        let withheld = |attempt: &Attempt, why| {
            if attempt.purpose == Purpose::Execute {
                say(told, format!("it was not started: {}", self.withheld(attempt, why)));
            }
        };
        let run = self.host.run_telling(first, act, withheld);
        let saga = self.driven(run).await.map_err(StepFailure::Node)?;
        if let Some(denial) = self.host.take_refused() {
            return Err(StepFailure::Denied(Box::new(denial)));
        }
        let (result, why) = said.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (result, saga) {
            (Some(result), SagaState::Running | SagaState::Completed) => Ok(result),
            _ => Err(StepFailure::Failed { why, saga }),
        }
    }

    /// Ends the saga: it completes where every step of it is done, and else what is done is undone. A session
    /// that is terminated does the same with a saga that needs no undo.
    ///
    /// # Errors
    /// [`Reason::Saga`](crate::Reason::Saga) where it is over; [`Error::NoSession`], [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn finish(self) -> Result<SagaState, Error> {
        if let Some(state) = self.take_up().await?.filter(|state| state.is_terminal()) {
            return Ok(state);
        }
        self.driven(self.host.run(SagaCommand::Finish, |attempt| self.take_back(&attempt))).await
    }

    /// Why a step that was granted could not begin any more.
    fn withheld(&self, attempt: &Attempt, why: Mismatch) -> String {
        let reason = self.hv.node().read(|state, now| {
            gate::withdrawn((state, now), (&self.session, &attempt.agent, &attempt.action))
        });
        match (why, reason) {
            (Mismatch::Withdrawn, Ok(Some(reason))) => reason.to_string(),
            (why, _) => why.to_string(),
        }
    }

    /// Refuses a step that another saga added: its number may be that of quite another one here.
    async fn refuse_step(&self) -> Error {
        let refused = self.hv.node().commit(|state, _| -> Result<(Draft, Infallible), Box<Refusal>> {
            let reason = Reason::OtherSaga(self.id().clone());
            let stream = state.slot(&self.session).map_or(StreamNo::NODE, |slot| slot.stream);
            Err(Refusal::on(stream, "execute_step", None, None, reason))
        });
        match refused.await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    /// Settles what was dropped in the middle, as after a crash; says where that left the saga.
    async fn take_up(&self) -> Result<Option<SagaState>, Error> {
        if !self.abandoned.load(Ordering::Acquire) {
            return Ok(None);
        }
        let state = self.host.run(SagaCommand::recover(), |attempt| self.take_back(&attempt)).await?;
        self.abandoned.store(false, Ordering::Release);
        Ok(Some(state))
    }

    /// The same work, which leaves a word where it is dropped before it has ended.
    async fn driven<T>(&self, work: impl Future<Output = T>) -> T {
        let mut driving = Driving { abandoned: &self.abandoned, over: false };
        let done = work.await;
        driving.over = true;
        done
    }

    /// What undoes a step; functions are asked nothing.
    fn take_back(&self, attempt: &Attempt) -> Work<'static> {
        match self.undos.get(&attempt.ordinal) {
            Some(undo) if attempt.purpose == Purpose::Undo => undo(),
            _ => Box::pin(ready(Outcome::failed(Class::Permanent, hv_saga::Reason::NoExecutor))),
        }
    }

    /// The name of the next step: that of its action, with its number where it is not the first.
    fn name_for(&self, action: &ActionId) -> Result<StepId, Error> {
        let next = self.running(|_, saga| saga.machine.steps().len())?.unwrap_or(0);
        let name = if next == 0 { action.to_string() } else { format!("{action}.{next}") };
        let named = StepId::new(&name).or_else(|_| StepId::new(&format!("step.{next}")));
        named.map_err(|_| Error::Illegal(Illegal::new("a number makes a name")))
    }

    /// The numbers of the saga and of one of its steps.
    fn find(&self, id: &StepId) -> Result<(u32, u32), Error> {
        let found = self.running(|number, saga| {
            let at = saga.machine.steps().iter().position(|step| step.id == *id)?;
            Some((number, u32::try_from(at).ok()?))
        })?;
        found.flatten().ok_or_else(|| Error::NoSaga(self.id().clone()))
    }

    /// Looks at the saga where it has not ended.
    fn running<T>(&self, look: impl FnOnce(u32, &NamedSaga) -> T) -> Result<Option<T>, Error> {
        self.hv.node().read(|state, _| {
            let slot = state.slot(&self.session).ok_or_else(|| Error::NoSession(self.session.clone()))?;
            match slot.saga(self.id()) {
                None => Err(Error::NoSaga(self.id().clone())),
                Some(Known::Ended(_)) => Ok(None),
                Some(Known::Running(number, saga)) => Ok(Some(look(number, saga))),
            }
        })?
    }

    fn registered(&self, action: &ActionId) -> Result<bool, Error> {
        self.hv.node().read(|state, _| {
            let slot = state.slot(&self.session).ok_or_else(|| Error::NoSession(self.session.clone()))?;
            Ok(slot.claims(action).is_some())
        })?
    }

    /// Says that a step's undo counts. Since it was added its session may have ended, and another one have its name.
    async fn accept_undo(&self, saga: u32, step: u32) -> Result<(), Error> {
        self.hv
            .node()
            .commit(|state, _| {
                let slot = state.slot(&self.session);
                let slot = slot.ok_or_else(|| Refusal::no_session("accept_undo", None, &self.session))?;
                let added = match slot.saga(self.id()) {
                    Some(Known::Running(number, known)) => {
                        number == saga && known.machine.step(step).is_some()
                    }
                    Some(Known::Ended(_)) | None => false,
                };
                if !added {
                    return Err(slot.refuse("accept_undo", None, None, Reason::NoSaga(self.id().clone())));
                }
                let accepted = vec![SessionEvent::UndoAccepted { saga, step }];
                Ok((Draft::default().session(slot.stream, accepted), ()))
            })
            .await
    }
}

/// What an execution came to, for the saga; its result or its error is kept for who asked.
fn keep<T, E: fmt::Display>(result: Result<T, E>, told: &Mutex<(Option<T>, String)>) -> Outcome {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    match result {
        Ok(result) => {
            told.0 = Some(result);
            Outcome::done()
        }
        Err(error) => {
            told.1 = error.to_string();
            failed(&told.1)
        }
    }
}

/// Nobody knows how far a function came that panicked.
fn panicked<T>(told: &Mutex<(Option<T>, String)>) -> Outcome {
    say(told, hv_saga::Reason::Panicked.to_string());
    Outcome::failed(Class::Unknown, hv_saga::Reason::Panicked)
}

/// Keeps why there is no result, as far as that is known by now.
fn say<T>(told: &Mutex<(Option<T>, String)>, why: String) {
    told.lock().unwrap_or_else(PoisonError::into_inner).1 = why;
}

fn failed(why: &str) -> Outcome {
    Outcome::failed(Class::Retryable, hv_saga::Reason::other(why))
}

impl fmt::Debug for OpenSaga {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSaga").field("host", &self.host).finish_non_exhaustive()
    }
}

impl fmt::Debug for NewStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewStep")
            .field("action", &self.action)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(error) => fmt::Display::fmt(error, f),
            Self::Denied(denial) => fmt::Display::fmt(denial, f),
            Self::Failed { why, saga } => write!(f, "the step failed: {why}; the saga is {saga}"),
        }
    }
}

impl std::error::Error for StepFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Node(error) => Some(error),
            Self::Denied(_) | Self::Failed { .. } => None,
        }
    }
}
