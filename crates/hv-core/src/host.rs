//! Sagas behind the gate: every start that a saga decides on gets a grant or is refused.

use crate::calm::called;
use crate::error::{Error, Reason};
use crate::event::Denial;
use crate::evidence::{self, Presented};
use crate::gate::Pass;
use crate::grant::{Grant, Right};
use crate::intent::{Looked, NOWHERE};
use crate::node::Node;
use crate::observed::{Command, SagaTold};
use crate::seldom::Seldom;
use crate::state::{Known, NamedSaga, Slot, State};
use hv_audit::{Lsn, StreamNo};
use hv_rings::class::Claim;
use hv_saga::{
    Attempt, Begin, BoxFuture, Class, Growth, Halt, Host, Outcome, Output, Plan, Progress, Purpose, Report,
    Saga, SagaCommand, SagaState, StepDef,
};
use hv_types::{ActionId, Did, SagaId, SessionId, Timestamp, Wire};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

mod deciding;
mod driver;
mod known;
mod withheld;

pub(crate) use driver::{Drives, Watching};

use driver::{Driver, Driving};
use known::{Found, LastRefused, Place};
use withheld::{Key, Withheld};

/// One saga of one session, for a driver: it commits what the driver reports, and gives out grants.
///
/// The saga begins with [`SagaCommand::Create`]; its opening, its first starts and their grants are one record.
///
/// A saga has one driver at a time in a process: [`run`](Self::run), [`drive`](hv_saga::drive::drive), or an
/// [`OpenSaga`](crate::OpenSaga) as long as it is there. It takes the saga when it begins, and lets go of it when it has
/// ended or is dropped. Meanwhile every command through another host is refused with [`Reason::SagaHeld`] (a driver hears
/// [`Halt::Gone`]), and so is a second driver through this one, so that none takes for lost what another one still does. Of
/// a driver that was dropped, what it had begun is in doubt: [`SagaCommand::recover`] settles that, and what was granted to
/// it and had not begun cannot begin any more ([`Mismatch::Over`](crate::Mismatch::Over)). A copy is another host.
#[derive(Debug, Clone)]
pub struct SagaHost {
    node: Node,
    session: SessionId,
    saga: SagaId,
    unproven: Vec<u32>,
    principals: Vec<Did>,
    /// Mostly one.
    actions: SmallVec<[(ActionId, Claim); 1]>,
    /// Whether the saga begins as a rehearsal.
    rehearsal: bool,
    /// What is brought for steps, by ordinal.
    brought: Seldom<BTreeMap<u32, Presented>>,
    /// Where it is, once that is known; names are looked up no more than once.
    place: Found,
    /// What the gate refused since somebody asked, at most one of it; it may be told once its record is durable.
    refused: LastRefused,
    driver: Driver,
}

/// An attempt that passed the gate.
pub(crate) struct Start {
    pub(crate) attempt: Attempt,
    pub(crate) pass: Pass,
}

/// What was decided, or what has to be known before that: where these paths really are.
type Answerable = Result<Decided, BTreeSet<String>>;

/// Where the saga is, whose starts passed the gate.
struct Decided {
    place: Place,
    /// When a step that waits for its agent's rate may be tried again.
    held: Option<Timestamp>,
    key: Key,
}

impl SagaHost {
    pub(crate) fn new(node: Node, session: SessionId, saga: SagaId) -> Self {
        let (unproven, principals, actions) = (Vec::new(), Vec::new(), SmallVec::new());
        let (brought, place, refused) = (Seldom::default(), Found::nowhere(), LastRefused::default());
        let (rehearsal, driver) = (false, Driver::new());
        Self {
            node,
            session,
            saga,
            unproven,
            principals,
            actions,
            rehearsal,
            brought,
            place,
            refused,
            driver,
        }
    }

    /// The saga's name.
    #[must_use]
    pub const fn id(&self) -> &SagaId {
        &self.saga
    }

    /// The same as a rehearsal, where the saga begins through this host.
    pub(crate) fn rehearsing(self) -> Self {
        Self { rehearsal: true, ..self }
    }

    /// The same accepting the undo of these steps without proof, where the saga begins through this host. The
    /// acceptance is recorded.
    #[must_use]
    pub fn accepting(self, unproven: Vec<u32>) -> Self {
        Self { unproven, ..self }
    }

    /// The same with those for whom the agents of the saga act in it, where the saga begins through this host: what an
    /// agent does there, each of these could do itself at that moment. It is recorded.
    #[must_use]
    pub fn on_behalf_of(self, principals: Vec<Did>) -> Self {
        Self { principals, ..self }
    }

    /// The same saying this about an action, as the operator, where the saga begins through this host.
    #[must_use]
    pub fn registering(mut self, action: ActionId, claim: Claim) -> Self {
        self.actions.push((action, claim));
        self
    }

    /// The same bringing statements of others for a step, by its ordinal: they speak of the call that
    /// [`call_for`](crate::call_for) gives with the same deadline.
    ///
    /// Only what a step's ring asks for is looked at. What does not count is recorded with its reason; what
    /// counts is used up by the step's first start, and covers its repetitions up to the deadline.
    #[must_use]
    pub fn presenting(mut self, step: u32, presented: Presented) -> Self {
        self.brought.insert(step, presented);
        self
    }

    /// Creates the saga; nothing of it starts yet.
    ///
    /// # Errors
    /// [`Reason::Saga`] where the definition is refused or the name is taken; [`Error::NoSession`],
    /// [`Error::Log`], [`Error::Poisoned`].
    pub async fn create(self, plan: Plan) -> Result<Self, Error> {
        self.begin(plan).await.map(|()| self)
    }

    /// The same with this host where it is.
    pub(crate) async fn begin(&self, plan: Plan) -> Result<(), Error> {
        let mut command = SagaCommand::Create { plan, begin: Begin::Later, refused: Vec::new() };
        self.carry_out(&mut command, None, &mut Carried::default()).await.map(drop)
    }

    /// The saga's name.
    #[must_use]
    pub const fn saga(&self) -> &SagaId {
        &self.saga
    }

    /// Where the saga stands.
    ///
    /// # Errors
    /// [`Error::NoSession`] and [`Error::NoSaga`] where it is not there, [`Error::Poisoned`].
    pub fn state(&self) -> Result<SagaState, Error> {
        self.node.look(|state| {
            let slot = state.slot(&self.session).ok_or_else(|| Error::NoSession(self.session.clone()))?;
            let saga = slot.saga(&self.saga).ok_or_else(|| Error::NoSaga(self.saga.clone()))?;
            Ok(saga.state())
        })?
    }

    /// Runs a saga on the caller's task, one attempt after another: each is handed to `act` when its grant is
    /// redeemed, for executing, undoing and probing alike. Gives where the saga stands when nothing is left
    /// to do.
    ///
    /// For programs that act by themselves; `hv_saga::drive` runs attempts side by side and can be stopped.
    /// Attempts that start together wait for each other here, and their time runs meanwhile, so give the plan
    /// a concurrency of 1. An attempt that takes longer than it may is dropped, and its outcome is unknown.
    ///
    /// # Errors
    /// [`Reason::Saga`] where the saga refuses `first`; [`Reason::SagaHeld`] where somebody else drives it, and then nothing
    /// is changed; [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub fn run<A, F>(&self, first: SagaCommand, act: A) -> impl Future<Output = Result<SagaState, Error>>
    where
        A: FnMut(Attempt) -> F,
        F: Future<Output = Outcome>,
    {
        self.run_telling(first, act, (Drives::Here, ()))
    }

    /// The same, also of whoever has taken the saga before, with somebody who watches it.
    pub(crate) fn run_telling<A, F>(
        &self,
        mut command: SagaCommand,
        mut act: A,
        (drives, mut watching): (Drives, impl Watching),
    ) -> impl Future<Output = Result<SagaState, Error>>
    where
        A: FnMut(Attempt) -> F,
        F: Future<Output = Outcome>,
    {
        let (mut said, mut waiting, mut carried) = (None, VecDeque::new(), Carried::default());
        // As a block it uses the command where that lies, without a move.
        async move {
            // It is there longer than what runs.
            let Some(mut driving) = Driving::begin(self, drives) else {
                return Err(Box::pin(self.held_elsewhere()).await);
            };
            loop {
                let key = self.carry_out(&mut command, said.as_ref(), &mut carried).await?;
                said = None;
                let starts = carried.starts.open(&key);
                let Carried { stream, told, next_wake, state, .. } = carried;
                // Mostly one starts, and nothing waits.
                let mut next = if waiting.is_empty() && starts.len() == 1 { starts.pop() } else { None };
                if next.is_none() {
                    waiting.extend(starts.drain(..));
                    next = waiting.pop_front();
                }
                command = if let Some(Start { attempt, pass }) = next {
                    let (at, now) = (attempt.at(), told.unwrap_or_else(|| self.node.now()));
                    let Outcome { verdict, output } = match pass.redeem((&self.node, stream), &attempt, now) {
                        Ok(()) => within(attempt.deadline.since(now), called(|| act(attempt))).await,
                        Err(why) => {
                            watching.withheld(&attempt, why);
                            Outcome::failed(Class::Permanent, hv_saga::Reason::NotPermitted)
                        }
                    };
                    said = output;
                    watching.ended().unwrap_or_else(|| Report::of(at, verdict).into())
                } else if let (false, Some(wake)) = (state.is_terminal(), next_wake) {
                    tokio::time::sleep(wake.since(self.node.now())).await;
                    watching.woken().unwrap_or_else(SagaCommand::advance)
                } else {
                    driving.ended(state);
                    return Ok(state);
                };
            }
        }
    }

    /// What the gate refused to the saga through this host last, once; ask when what was asked of the saga has been answered.
    #[must_use]
    pub fn take_refused(&self) -> Option<Denial> {
        self.refused.take()
    }

    /// Adds steps to an open saga; nothing starts.
    ///
    /// # Errors
    /// [`Reason::Saga`] where the saga takes no more; [`Error::Log`], [`Error::Poisoned`].
    pub(crate) async fn append(&self, steps: Vec<Arc<StepDef>>) -> Result<(), Error> {
        let mut command = SagaCommand::Append { steps, growth: Growth::Open };
        self.carry_out(&mut command, None, &mut Carried::default()).await.map(drop)
    }

    /// Commits one command. What the gate refuses of it stays in it no longer than that takes. What it comes to stands in
    /// `carried`; what starts is found with the key that this gives.
    ///
    /// # Errors
    /// [`Reason::Saga`] where the saga refuses; [`Error::Log`], [`Error::Poisoned`].
    fn carry_out(
        &self,
        command: &mut SagaCommand,
        output: Option<&Output>,
        carried: &mut Carried,
    ) -> impl Future<Output = Result<Key, Error>> {
        let (mut told, mut looked) = (SagaTold::begin(), None::<Looked>);
        // As a block it uses what it is given where that lies.
        async move {
            let attached = match output.filter(|output| says_something(output)) {
                Some(output) => Some(self.node.put_payload(output.to_bytes()).await?),
                None => None,
            };
            self.node.refresh(&self.session, |slot| self.workers(slot, command)).await?;
            if !self.brought.is_empty() {
                evidence::verify_ahead(&self.node, self.brought.values().flat_map(Presented::statements))?;
            }
            let given = command.refused_mut().map_or(0, |refused| refused.len());
            let (held, key) = loop {
                let begun = Command::begin();
                let known = (attached.as_ref(), looked.as_ref().unwrap_or(&NOWHERE));
                let Carried { starts, stream, lsn: batch, told: at, next_wake, state: stands } =
                    &mut *carried;
                let decide = |state: &State, now| {
                    *at = Some(now);
                    self.decide(state, now, command, known, (&mut told, starts))
                };
                let recorded = self.node.run(decide, |state, decided| {
                    let Decided { place, held, key } = decided?;
                    self.place.set(place);
                    let number = place.number;
                    *stream = place.stream;
                    // What the saga waits for next is told by the state that the record has made.
                    let slot = state.open(place.stream);
                    let running = slot.and_then(|slot| slot.running_saga(number)).map(|saga| &saga.machine);
                    *next_wake = running.and_then(Saga::next_wake);
                    let ended = || slot.and_then(|slot| slot.ended(&self.saga)).unwrap_or_default();
                    *stands = running.map_or_else(ended, Saga::state);
                    Ok((held, key))
                })?;
                let lsn = recorded.lsn();
                let (durable, waited) = match self.node.durable(lsn) {
                    Some(durable) => (durable, false),
                    None => (self.node.synced(lsn).await?, true),
                };
                let paths: BTreeSet<String> = match self.node.reveal(durable, &begun, recorded)? {
                    Ok((held, key)) => {
                        *batch = lsn;
                        if waited {
                            *at = None;
                        }
                        break (held, key);
                    }
                    Err(paths) => paths,
                };
                // Rare, so that no other request has to have room for it. All of it is decided again.
                Box::pin(looked.get_or_insert_default().look(paths)).await;
                command.refused_mut().into_iter().for_each(|refused| refused.truncate(given));
            };
            told.tell((&self.session, &self.saga), carried.starts.open(&key), carried.state);
            if let Some(until) = held {
                let now = self.node.now();
                if let SagaCommand::Start { refused, .. } = command {
                    // What was asked for by itself is asked for again; what is ready anyway is woken.
                    refused.truncate(given);
                    tokio::time::sleep(until.since(now)).await;
                    return Box::pin(self.carry_out(command, None, carried)).await;
                }
                // What the saga itself would wake for now is what is held.
                carried.next_wake =
                    carried.next_wake.filter(|wake| *wake > now).into_iter().chain([until]).min();
            }
            Ok(key)
        }
    }

    /// Those who have steps in the saga, as far as they may still start.
    fn workers(&self, slot: &Slot, command: &SagaCommand) -> Vec<Did> {
        match (slot.saga(&self.saga), command) {
            (Some(Known::Running(_, saga)), _) => {
                saga.machine.steps().iter().flat_map(doers).cloned().collect()
            }
            (None, SagaCommand::Create { plan, .. }) => plan.steps.iter().flat_map(doers).cloned().collect(),
            _ => Vec::new(),
        }
    }
}

/// What a command came to; revealed when it is durable. Whoever asks for commands has a place for it, so that it is not
/// handed from one to the next.
struct Carried {
    starts: Withheld,
    stream: StreamNo,
    /// The batch.
    lsn: Lsn,
    /// What the clock told when it was decided, where nothing was waited for since.
    told: Option<Timestamp>,
    next_wake: Option<Timestamp>,
    state: SagaState,
}

impl Default for Carried {
    fn default() -> Self {
        let (starts, stream, lsn, state) =
            (Withheld::default(), StreamNo::NODE, Lsn::default(), SagaState::New);
        Self { starts, stream, lsn, told: None, next_wake: None, state }
    }
}

impl Carried {
    /// Where the saga stands; what starts comes with a grant.
    fn granted(mut self, key: &Key, node: &Node) -> Progress<Grant> {
        let Self { stream, lsn, next_wake, state, .. } = self;
        let grant = |Start { attempt, pass }| {
            let grant = Grant::new(&attempt, &pass, stream, lsn, node.clone());
            (attempt, grant)
        };
        Progress { starts: self.starts.open(key).drain(..).map(grant).collect(), next_wake, state }
    }
}

/// What a function of the program comes to that ends in time. Nobody knows how far one came that does not, or that
/// panicked. What is ready at once needs no timer.
async fn within<F: Future<Output = Outcome>>(time: Duration, work: Option<F>) -> Outcome {
    let unknown = |reason| Outcome::failed(Class::Unknown, reason);
    let Some(work) = work else { return unknown(hv_saga::Reason::Panicked) };
    let (mut work, mut timer) = (pin!(work), None);
    poll_fn(|cx| match called(|| work.as_mut().poll(cx)) {
        Some(Poll::Ready(outcome)) => Poll::Ready(outcome),
        Some(Poll::Pending) => {
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
            timer.as_mut().poll(cx).map(|()| unknown(hv_saga::Reason::TimedOut))
        }
        None => Poll::Ready(unknown(hv_saga::Reason::Panicked)),
    })
    .await
}

/// Whoever does a step, or may take it over.
fn doers(step: &Arc<StepDef>) -> impl Iterator<Item = &Did> {
    [Some(&step.agent), step.substitute.as_ref()].into_iter().flatten()
}

fn says_something(output: &Output) -> bool {
    !output.stdout.is_empty() || !output.stderr.is_empty()
}

/// Whether a start of a saga rests on the agent's own standing or on an earlier grant.
pub(crate) const fn right_of(saga: &NamedSaga, purpose: Purpose) -> Right {
    match purpose {
        Purpose::Execute => Right::Standing { named: !saga.principals().is_empty() },
        Purpose::Undo | Purpose::Probe => Right::Earlier,
    }
}

impl Host for SagaHost {
    type Permit = Grant;

    fn hold(&self) -> BoxFuture<'_, Result<(), Halt>> {
        Box::pin(async {
            self.take().await.map_err(|error| match &error {
                Error::Denied(denied) if matches!(denied.reason, Reason::SagaHeld(_)) => Halt::Gone,
                _ => Halt::Host(Box::new(error)),
            })
        })
    }

    fn release(&self) {
        self.let_go();
    }

    fn commit(
        &self,
        mut command: SagaCommand,
        output: Option<Output>,
    ) -> BoxFuture<'_, Result<Progress<Grant>, Halt>> {
        Box::pin(async move {
            let mut carried = Carried::default();
            match self.carry_out(&mut command, output.as_ref(), &mut carried).await {
                Ok(key) => Ok(carried.granted(&key, &self.node)),
                Err(Error::Denied(denied)) => Err(match denied.reason {
                    Reason::Saga(denial) => Halt::Denied(*denial),
                    Reason::SagaHeld(_) => Halt::Gone,
                    _ => Halt::Host(Box::new(Error::Denied(denied))),
                }),
                Err(error) => Err(Halt::Host(Box::new(error))),
            }
        })
    }

    fn now(&self) -> Timestamp {
        self.node.now()
    }
}
