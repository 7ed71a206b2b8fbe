//! Sagas of a program that decides as it goes: a step is added, asked for, and done by a function.

use crate::calm::{awaited, called};
use crate::error::{Error, Reason};
use crate::event::{Denial, SessionEvent};
use crate::gate;
use crate::grant::Mismatch;
use crate::host::{Drives, SagaHost, Watching};
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Refusal};
use crate::state::{Known, NamedSaga};
use hv_audit::StreamNo;
use hv_rings::class::Claim;
use hv_saga::{
    Attempt, Class, Limits, Outcome, Pace, Plan, Purpose, SagaCommand, SagaDenial, SagaState, StepState,
};
use hv_types::{ActionId, ActionKind, Did, Reversibility, SagaId, SessionId, StepId};
use relief::Relieved;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::{poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use undos::{NoFunction, Undo};

mod new_step;
mod relief;
mod undos;

pub use new_step::NewStep;
pub use relief::Relief;
pub use undos::Undos;

/// What a function of the program comes to.
type Work<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

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
    probes: BTreeMap<u32, Undo>,
    driven: Arc<Mutex<Driven>>,
    relieved: Relieved,
    /// A step that was added, and of which it was not said any more that its undo counts.
    unsaid: Mutex<Option<u32>>,
}

/// As long as it is there, nobody else drives the saga.
impl Drop for OpenSaga {
    fn drop(&mut self) {
        self.host.let_go();
    }
}

/// Whether something drives a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driven {
    No,
    Yes,
    /// Something did that was dropped before it had come to its end.
    Abandoned,
}

/// What drives the saga, and there is only one; dropped before it is over, it leaves a word.
struct Driving<'a> {
    driven: &'a Mutex<Driven>,
    /// Whether what drove it before left one.
    taken_over: bool,
    over: bool,
}

impl<'a> Driving<'a> {
    fn begin(driven: &'a Mutex<Driven>) -> Option<Self> {
        let was = replace(driven, Driven::Yes);
        // Made only where it is so: whatever is dropped leaves a word.
        (was != Driven::Yes).then(|| Self { driven, taken_over: was == Driven::Abandoned, over: false })
    }

    /// It has come to its end.
    fn over(mut self) {
        self.over = true;
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        replace(self.driven, if self.over { Driven::No } else { Driven::Abandoned });
    }
}

fn standing(driven: &Mutex<Driven>) -> Driven {
    *driven.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts this into a place and gives what was there.
fn replace<T>(place: &Mutex<T>, with: T) -> T {
    std::mem::replace(&mut *place.lock().unwrap_or_else(PoisonError::into_inner), with)
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
    /// The gate did not let the agent do it, nor who would take it over. The denial, of who was asked for last, is on the trail,
    /// as is that of the agent.
    Denied(Box<Denial>),
    /// Its probe found that it is done, and the saga stands where it stood; but it failed, panicked, did not end in time, or its
    /// agent was relieved, so there is no result.
    NoResult {
        /// Why the function gave none.
        why: String,
    },
    /// It failed for good.
    Failed {
        /// What the function said last.
        why: String,
        /// Where that left the saga: compensated, or escalated where something could not be undone.
        saga: SagaState,
    },
}

impl OpenSaga {
    pub(crate) async fn begin(hv: Hypervisor, session: SessionId, saga: &SagaId) -> Result<Self, Error> {
        let limits = Limits { concurrency: 1, ..Limits::default() };
        let plan = Plan { pace: Pace::Asked, limits, ..Plan::open() };
        let host = hv.saga(&session, saga).begins();
        let open = Self::of(hv, session, host);
        open.host.begin(plan).await?;
        Ok(open)
    }

    /// A saga that is taken.
    fn of(hv: Hypervisor, session: SessionId, host: SagaHost) -> Self {
        let (no, undos, probes) = (BEGUN.fetch_add(1, Ordering::Relaxed), BTreeMap::new(), BTreeMap::new());
        let (driven, relieved, unsaid) =
            (Arc::new(Mutex::new(Driven::No)), Relieved::default(), Mutex::default());
        Self { no, hv, session, host, undos, probes, driven, relieved, unsaid }
    }

    /// Takes up a saga of an earlier program: what that left in the middle is settled first.
    pub(crate) async fn reopen(
        hv: Hypervisor,
        session: SessionId,
        saga: &SagaId,
        undos: &Undos,
    ) -> Result<Self, Error> {
        let host = hv.saga(&session, saga);
        host.state()?;
        host.take().await?;
        let mut open = Self::of(hv, session, host);
        let running = open.hv.saga_machine(&open.session, saga)?;
        for (number, step) in (0..).zip(running.iter().flat_map(|saga| saga.steps())) {
            match (undos.of(step, number), undos.probe_of(step, number)) {
                (Ok(undo), Ok(probe)) => {
                    open.undos.extend(undo.map(|undo| (number, undo)));
                    open.probes.extend(probe.map(|probe| (number, probe)));
                }
                (Err(NoFunction), _) | (_, Err(NoFunction)) => {
                    let reason = Reason::NoFunction(Box::new((saga.clone(), step.id.clone())));
                    return Err(refused(&open.hv, &open.session, "reopen_saga", reason).await);
                }
            }
        }
        if running.is_some() {
            open.undo(SagaCommand::recover()).await?;
        }
        for step in open.waiting()? {
            open.accept(step.number).await?;
        }
        Ok(open)
    }

    /// The steps that were added and not asked for yet, in the order in which they were added.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::NoSaga`], [`Error::Poisoned`].
    pub fn waiting(&self) -> Result<Vec<StepNo>, Error> {
        let waiting = self.running(|_, saga| {
            let runs = (0..).zip(saga.machine.runs());
            let waiting = runs.filter(|(_, run)| run.state == StepState::Pending);
            waiting.map(|(number, _)| StepNo { of: self.no, number }).collect()
        })?;
        Ok(waiting.unwrap_or_default())
    }

    /// Says of a step what adding it says, where its program did not come to that.
    async fn accept(&self, step: u32) -> Result<(), Error> {
        let found = self.running(|number, saga| Some((number, Arc::clone(saga.machine.step(step)?.0))))?;
        let Some((saga, def)) = found.flatten() else { return Ok(()) };
        let undone = def.undo.is_some();
        self.register(&def.action, said(def.kind, undone)).await?;
        if undone { self.accept_undo(saga, step).await } else { Ok(()) }
    }

    /// The saga's name.
    #[must_use]
    pub const fn id(&self) -> &SagaId {
        self.host.saga()
    }

    /// Who does a step: its agent, or the [substitute](NewStep::with_substitute) that has taken it over. Nothing where another
    /// saga added it, or this one has ended. May be asked by the function that does the step, of which it tells for whom that
    /// acts.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::NoSaga`], [`Error::Poisoned`].
    pub fn agent(&self, step: StepNo) -> Result<Option<Did>, Error> {
        let found = self.running(|_, saga| saga.machine.agent(step.number).cloned())?;
        Ok(found.flatten().filter(|_| step.of == self.no))
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
    /// Dropped before it has ended, it may have added the step all the same: [`waiting`](Self::waiting) gives that then.
    ///
    /// # Errors
    /// [`Reason::Saga`](crate::Reason::Saga) where the saga takes no more steps or this one is outside its
    /// limits; [`Reason::NoSaga`] where it ends meanwhile; [`Error::NoSession`], [`Error::NoSaga`], [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn add_step(&mut self, step: NewStep) -> Result<StepNo, Error> {
        self.say_rest().await?;
        let Some((id, next)) = self.name_for(step.action())? else {
            let over = SagaDenial::Over { state: self.state()? };
            let reason = Reason::Saga(Box::new(over));
            return Err(refused(&self.hv, &self.session, "add_step", reason).await);
        };
        let (step, undo, probe) = step.into_parts(id.clone());
        // Whoever drops this finds the step with all that belongs to it.
        self.undos.extend(undo.map(|undo| (next, undo)));
        self.probes.extend(probe.map(|probe| (next, probe)));
        replace(&self.unsaid, Some(next));
        if let Err(error) = self.host.append(vec![Arc::new(step)]).await {
            // Where that cannot be asked any more, what failed first is what a person needs to know.
            if self.is_there(&id).is_ok_and(|there| !there) {
                self.undos.remove(&next);
                self.probes.remove(&next);
                replace(&self.unsaid, None);
            }
            return Err(error);
        }
        self.say_rest().await?;
        Ok(StepNo { of: self.no, number: next })
    }

    /// Does a step: passes the gate, calls the function, and again where it fails and may be repeated. Where
    /// it fails for good, what the saga did before is undone first; where it panics or does not end in time, so
    /// is what it may have done itself, unless its [probe](NewStep::with_probe) knows better.
    ///
    /// Dropped before it has ended, it stops the function where that is and turns the saga back: what it may have done is
    /// undone, with what the saga did before, by whatever is asked of the saga next, this, [`cancel`](Self::cancel) or
    /// [`finish`](Self::finish). Where it is dropped while something is being undone already, nobody knows how far that
    /// came: it is called again where it is [idempotent](NewStep::with_idempotent_undo), and otherwise the saga escalates.
    ///
    /// # Errors
    /// [`StepFailure`], with what it left behind; [`Reason::OtherSaga`] where another saga added the step;
    /// [`Reason::SagaHeld`] while another step of this one is being done.
    pub async fn execute_step<X, F, T, E>(&self, step: StepNo, mut executor: X) -> Result<T, StepFailure>
    where
        X: FnMut() -> F,
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: fmt::Display,
    {
        if step.of != self.no {
            let reason = Reason::OtherSaga(self.id().clone());
            let refused = refused(&self.hv, &self.session, "execute_step", reason);
            return Err(StepFailure::Node(refused.await));
        }
        let told = &Mutex::new(Told { result: None, why: "it was not started".to_owned(), stopped: None });
        let act = |attempt: Attempt| -> Work<'_> {
            if attempt.purpose != Purpose::Execute {
                return self.take_back(&attempt);
            }
            // Whom the gate refused before has been followed by somebody whom it did not.
            let _ = self.host.take_refused();
            if self.relieved.has(&attempt.agent) {
                say(told, format!("it was not started: {} was relieved of it", attempt.agent));
                return Box::pin(ready(Outcome::failed(Class::Permanent, hv_saga::Reason::NotPermitted)));
            }
            // What is dropped in the middle says nothing more.
            say(told, hv_saga::Reason::TimedOut.to_string());
            let work = called(&mut executor);
            // What an error says may panic, too.
            let work = work.map(|work| async move { work.await.map_err(|error| error.to_string()) });
            Box::pin(async move {
                match unless(awaited(work), self.relieved.of(&attempt.agent)).await {
                    Some(done) => done.map_or_else(|| panicked(told), |result| keep(result, told)),
                    None => stopped(attempt.agent.clone(), told),
                }
            })
        };
        self.say_rest().await.map_err(StepFailure::Node)?;
        let driving = self.drive("execute_step").await.map_err(StepFailure::Node)?;
        let first = SagaCommand::Start { step: step.number, refused: Vec::new() };
        let saga = match self.heed().await {
            Ok(()) => {
                self.host.run_telling(first, act, (Drives::Already, Telling { saga: self, told })).await
            }
            Err(error) => Err(error),
        };
        driving.over();
        let saga = saga.map_err(StepFailure::Node)?;
        if let Some(denial) = self.host.take_refused() {
            return Err(StepFailure::Denied(Box::new(denial)));
        }
        let (result, why) = {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            (told.result.take(), std::mem::take(&mut told.why))
        };
        match (result, saga) {
            (Some(result), SagaState::Running | SagaState::Completed) => Ok(result),
            (None, SagaState::Running | SagaState::Completed) => Err(StepFailure::NoResult { why }),
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
        self.end("finish", SagaCommand::Finish).await
    }

    /// Turns the saga back: what is done is undone, also where every step of it is.
    ///
    /// # Errors
    /// [`Reason::Saga`](crate::Reason::Saga) where it is over; [`Error::NoSession`], [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn cancel(self) -> Result<SagaState, Error> {
        self.end("cancel", SagaCommand::Cancel).await
    }

    async fn end(self, asked: &'static str, command: SagaCommand) -> Result<SagaState, Error> {
        let driving = self.drive(asked).await?;
        let state = match self.state()? {
            state if driving.taken_over && state.is_terminal() => Ok(state),
            _ => self.undo(command).await,
        };
        driving.over();
        state
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

    /// Drives the saga from here on, and settles what was dropped in the middle first: what nobody waited for is undone.
    async fn drive(&self, asked: &'static str) -> Result<Driving<'_>, Error> {
        let Some(driving) = Driving::begin(&self.driven) else {
            return Err(refused(&self.hv, &self.session, asked, Reason::SagaHeld(self.id().clone())).await);
        };
        if driving.taken_over {
            let settled = self.undo(SagaCommand::recover()).await?;
            if settled == SagaState::Running {
                self.undo(SagaCommand::Cancel).await?;
            }
        }
        Ok(driving)
    }

    /// Runs the saga where no step is to be done.
    async fn undo(&self, first: SagaCommand) -> Result<SagaState, Error> {
        self.host.run_telling(first, |attempt| self.take_back(&attempt), (Drives::Already, ())).await
    }

    /// Takes the work from those who were relieved while nothing was driven.
    async fn heed(&self) -> Result<(), Error> {
        while let Some(agent) = self.relieved.next() {
            self.undo(relieve(agent)).await?;
        }
        Ok(())
    }

    /// Says of a step that was added what adding it says, where that was not said yet.
    async fn say_rest(&self) -> Result<(), Error> {
        let unsaid = *self.unsaid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(step) = unsaid {
            self.accept(step).await?;
            replace(&self.unsaid, None);
        }
        Ok(())
    }

    /// What undoes a step, or finds out what it did; what an earlier program called is not called again.
    fn take_back(&self, attempt: &Attempt) -> Work<'static> {
        let function = match attempt.purpose {
            Purpose::Execute => None,
            Purpose::Undo => self.undos.get(&attempt.ordinal),
            Purpose::Probe => self.probes.get(&attempt.ordinal),
        };
        match function {
            Some(function) => function(),
            None => Box::pin(ready(Outcome::failed(Class::Permanent, hv_saga::Reason::NoExecutor))),
        }
    }

    /// The name of the next step and its number: that of its action, with a number where it is not the first. What has ended
    /// takes no step.
    fn name_for(&self, action: &ActionId) -> Result<Option<(StepId, u32)>, Error> {
        let named = self.running(|_, saga| {
            let steps = saga.machine.steps();
            let next = u32::try_from(steps.len()).ok()?;
            let plain = (next == 0).then(|| action.to_string());
            // There are fewer steps than numbers, so one is free.
            let numbered = (next..).flat_map(|n| [format!("{action}.{n}"), format!("step.{n}")]);
            let mut names = plain.into_iter().chain(numbered).filter_map(|name| StepId::new(&name).ok());
            let free = names.find(|name| steps.iter().all(|step| step.id != *name))?;
            Some((free, next))
        })?;
        Ok(named.flatten())
    }

    fn is_there(&self, id: &StepId) -> Result<bool, Error> {
        let there = self.running(|_, saga| saga.machine.ordinal(id).is_some())?;
        Ok(there.unwrap_or_default())
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

    /// Says this of an action where nothing was said, or where it is stricter.
    async fn register(&self, action: &ActionId, claim: Claim) -> Result<(), Error> {
        let registered = self.hv.action_claims(&self.session, action)?.is_some();
        if claim.reversibility == Some(Reversibility::None) || !registered {
            self.hv.register_action(&self.session, action, claim).await?;
        }
        Ok(())
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

/// Refuses what was asked of a saga, on the trail.
async fn refused(hv: &Hypervisor, session: &SessionId, asked: &'static str, reason: Reason) -> Error {
    let refused = hv.node().commit(|state, _| -> Result<(Draft, Infallible), Box<Refusal>> {
        let stream = state.slot(session).map_or(StreamNo::NODE, |slot| slot.stream);
        Err(Refusal::on(stream, asked, None, None, reason))
    });
    match refused.await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// What a program says of an action by adding a step of it, with an undo or without.
fn said(kind: ActionKind, undone: bool) -> Claim {
    let reversible = undone || kind == ActionKind::ReadOnly;
    let reversibility = if reversible { Reversibility::Full } else { Reversibility::None };
    Claim { kind: Some(kind), reversibility: Some(reversibility), ..Claim::default() }
}

/// What is known of a step that is being done.
struct Told<T> {
    result: Option<T>,
    /// Why there is no result, as far as that is known by now.
    why: String,
    /// Who was relieved while it did the step, and is not yet as far as the saga knows.
    stopped: Option<Did>,
}

/// What keeps a step from being done, for the saga and for who asked.
struct Telling<'a, T> {
    saga: &'a OpenSaga,
    told: &'a Mutex<Told<T>>,
}

impl<T> Watching for Telling<'_, T> {
    fn withheld(&mut self, attempt: &Attempt, why: Mismatch) {
        if attempt.purpose == Purpose::Execute {
            let _ = self.saga.host.take_refused();
            say(self.told, format!("it was not started: {}", self.saga.withheld(attempt, why)));
        }
    }

    fn ended(&mut self) -> Option<SagaCommand> {
        let agent = self.told.lock().unwrap_or_else(PoisonError::into_inner).stopped.take()?;
        self.saga.relieved.remove(&agent);
        Some(relieve(agent))
    }

    fn woken(&mut self) -> Option<SagaCommand> {
        self.saga.relieved.next().map(relieve)
    }
}

const fn relieve(agent: Did) -> SagaCommand {
    SagaCommand::Relieve { agent, refused: Vec::new() }
}

/// What a work comes to; nothing where it is to be stopped before.
async fn unless<T>(work: impl Future<Output = T>, stop: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut stop) = (pin!(work), pin!(stop));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => stop.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// What an execution came to, for the saga; its result or its error is kept for who asked.
fn keep<T>(result: Result<T, String>, told: &Mutex<Told<T>>) -> Outcome {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    match result {
        Ok(result) => {
            told.result = Some(result);
            Outcome::done()
        }
        Err(error) => {
            told.why = error;
            failed(&told.why)
        }
    }
}

/// Nobody knows how far a function came that panicked.
fn panicked<T>(told: &Mutex<Told<T>>) -> Outcome {
    say(told, hv_saga::Reason::Panicked.to_string());
    Outcome::failed(Class::Unknown, hv_saga::Reason::Panicked)
}

/// Nor how far one came that was dropped with the work of its agent.
fn stopped<T>(agent: Did, told: &Mutex<Told<T>>) -> Outcome {
    say(told, format!("it was stopped, because {agent} was relieved of it"));
    told.lock().unwrap_or_else(PoisonError::into_inner).stopped = Some(agent);
    Outcome::failed(Class::Unknown, hv_saga::Reason::Stopped)
}

/// Keeps why there is no result, as far as that is known by now.
fn say<T>(told: &Mutex<Told<T>>, why: String) {
    told.lock().unwrap_or_else(PoisonError::into_inner).why = why;
}

fn failed(why: &str) -> Outcome {
    Outcome::failed(Class::Retryable, hv_saga::Reason::other(why))
}

impl fmt::Debug for OpenSaga {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSaga").field("host", &self.host).finish_non_exhaustive()
    }
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(error) => fmt::Display::fmt(error, f),
            Self::Denied(denial) => fmt::Display::fmt(denial, f),
            Self::NoResult { why } => {
                write!(f, "the step is done, as its probe says, but has no result: {why}")
            }
            Self::Failed { why, saga } => write!(f, "the step failed: {why}; the saga is {saga}"),
        }
    }
}

impl std::error::Error for StepFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Node(error) => Some(error),
            Self::Denied(_) | Self::NoResult { .. } | Self::Failed { .. } => None,
        }
    }
}
