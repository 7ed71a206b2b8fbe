//! Sagas behind the gate: every start that a saga decides on gets a grant or is refused.

use crate::calm::{awaited, called};
use crate::consequence;
use crate::error::{Error, Reason};
use crate::event::{Denial, LedgerEvent, SessionEvent};
use crate::evidence::{self, Presented};
use crate::gate::{self, Brought, Certified, Pass, Refused};
use crate::grant::{Grant, Mismatch, Right, parameters_of};
use crate::intent::{self, Looked, NOWHERE, Use};
use crate::node::{Draft, Node, Refusal};
use crate::observed::{Command, SagaTold};
use crate::rates::Turnstile;
use crate::scoring;
use crate::slash;
use crate::state::{Known, NamedSaga, Slot, State};
use hv_audit::{PayloadRef, StreamNo};
use hv_rings::class::{Claim, Claims, Source};
use hv_rings::gate::GateDenial;
use hv_rings::rate::Limited;
use hv_saga::{
    Attempt, Begin, BoxFuture, Class, Decided as SagaDecided, Halt, Host, Outcome, Output, Plan, Progress,
    Purpose, Report, Saga, SagaCommand, SagaDenial, SagaEvent, SagaState, StepDef,
};
use hv_types::{ActionId, Call, Did, SagaId, SessionId, Timestamp, Wire};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::time::error::Elapsed;

/// One saga of one session, for a driver: it commits what the driver reports, and gives out grants.
///
/// The saga begins with [`SagaCommand::Create`]; its opening, its first starts and their grants are one record.
#[derive(Debug, Clone)]
pub struct SagaHost {
    node: Arc<Node>,
    session: SessionId,
    saga: SagaId,
    unproven: Vec<u32>,
    principals: Vec<Did>,
    actions: Vec<(ActionId, Claim)>,
    /// Whether the saga begins as a rehearsal.
    rehearsal: bool,
    /// What is brought for steps, by ordinal.
    brought: BTreeMap<u32, Presented>,
    /// Where it is, once that is known; names are looked up no more than once.
    place: OnceLock<Place>,
    /// What the gate refused since somebody asked, at most one of it; it may be told once its record is durable.
    refused: Arc<Mutex<Option<Denial>>>,
}

/// The stream of a saga's session, and the saga's number there.
#[derive(Debug, Clone, Copy)]
struct Place {
    stream: StreamNo,
    number: u32,
}

/// An attempt that passed the gate.
pub(crate) struct Start {
    pub(crate) attempt: Attempt,
    pub(crate) call: Box<Call>,
    pub(crate) pass: Pass,
}

/// What has to be known before a command can be decided: where these paths really are.
struct Asks {
    command: SagaCommand,
    paths: BTreeSet<String>,
}

/// What was decided, or what has to be known before.
type Answerable = Result<Decided, Box<Asks>>;

/// The starts that passed the gate, and where the saga is.
struct Decided {
    starts: Vec<Start>,
    place: Place,
    /// When a step that waits for its agent's rate may be tried again.
    held: Option<Timestamp>,
}

impl SagaHost {
    pub(crate) fn new(node: Arc<Node>, session: SessionId, saga: SagaId) -> Self {
        let (unproven, principals, actions) = (Vec::new(), Vec::new(), Vec::new());
        let (brought, place, refused) = (BTreeMap::new(), OnceLock::new(), Arc::default());
        let rehearsal = false;
        Self { node, session, saga, unproven, principals, actions, rehearsal, brought, place, refused }
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
        self.carry_out(SagaCommand::Create { plan, begin: Begin::Later, refused: Vec::new() }, None).await?;
        Ok(self)
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
        self.node.read(|state, _| {
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
    /// [`Reason::Saga`] where the saga refuses `first`; [`Error::NoSession`], [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn run<A, F>(&self, first: SagaCommand, act: A) -> Result<SagaState, Error>
    where
        A: FnMut(Attempt) -> F,
        F: Future<Output = Outcome>,
    {
        self.run_telling(first, act, |_, _| {}).await
    }

    /// The same, telling of each attempt that was granted and whose grant opened nothing any more.
    pub(crate) async fn run_telling<A, F>(
        &self,
        first: SagaCommand,
        mut act: A,
        mut withheld: impl FnMut(&Attempt, Mismatch),
    ) -> Result<SagaState, Error>
    where
        A: FnMut(Attempt) -> F,
        F: Future<Output = Outcome>,
    {
        let mut progress = self.carry_out(first, None).await?;
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                waiting = VecDeque::from(progress.starts);
            } else {
                waiting.extend(progress.starts);
            }
            if let Some((attempt, grant)) = waiting.pop_front() {
                let (at, now) = (attempt.at(), self.node.now());
                let outcome = match grant.redeem_at(&attempt, now) {
                    Ok(()) => within(attempt.deadline.since(now), calmly(|| act(attempt))).await,
                    Err(why) => {
                        withheld(&attempt, why);
                        Ok(Outcome::failed(Class::Permanent, hv_saga::Reason::NotPermitted))
                    }
                };
                let late = |_| Outcome::failed(Class::Unknown, hv_saga::Reason::TimedOut);
                let Outcome { verdict, output } = outcome.unwrap_or_else(late);
                progress = self.carry_out(Report::of(at, verdict).into(), output).await?;
            } else if let (false, Some(wake)) = (progress.state.is_terminal(), progress.next_wake) {
                tokio::time::sleep(wake.since(self.node.now())).await;
                progress = self.carry_out(SagaCommand::advance(), None).await?;
            } else {
                return Ok(progress.state);
            }
        }
    }

    /// What the gate refused to the saga last, once; ask when what was asked of the saga has been answered.
    #[must_use]
    pub fn take_refused(&self) -> Option<Denial> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Commits one command; what it starts comes with a grant each.
    ///
    /// # Errors
    /// [`Reason::Saga`] where the saga refuses; [`Error::Log`], [`Error::Poisoned`].
    pub(crate) async fn carry_out(
        &self,
        mut command: SagaCommand,
        output: Option<Output>,
    ) -> Result<Progress<Grant>, Error> {
        let attached = match output.filter(says_something) {
            Some(output) => Some(self.node.put_payload(output.to_bytes()).await?),
            None => None,
        };
        self.node.refresh(&self.session, |slot| self.workers(slot, &command)).await?;
        evidence::verify_ahead(&self.node, self.brought.values().flat_map(Presented::statements))?;
        let asked = if let SagaCommand::Start { .. } = command { Some(command.clone()) } else { None };
        let mut told = SagaTold::begin();
        let mut looked: Option<Looked> = None;
        let (lsn, Answer { starts, stream, mut next_wake, held, state }) = loop {
            let begun = Command::begin();
            let known = (attached, looked.as_ref().unwrap_or(&NOWHERE));
            let decide = |state: &State, now| self.decide(state, now, command, known, &mut told);
            let recorded = self.node.run(decide, |state, decided| {
                let Decided { starts, place, held } = decided?;
                let Place { stream, number } = *self.place.get_or_init(|| place);
                // What the saga waits for next is told by the state that the record has made.
                let slot = state.open(stream);
                let running = slot.and_then(|slot| slot.running_saga(number)).map(|saga| &saga.machine);
                let next_wake = running.and_then(Saga::next_wake);
                let ended = || slot.and_then(|slot| slot.ended(number)).unwrap_or_default();
                let state = running.map_or_else(ended, Saga::state);
                Ok(Answer { starts, stream, next_wake, held, state })
            })?;
            let lsn = recorded.lsn();
            let durable = match self.node.durable(lsn) {
                Some(durable) => durable,
                None => self.node.synced(lsn).await?,
            };
            let asks: Box<Asks> = match self.node.reveal(durable, &begun, recorded)? {
                Ok(answer) => break (lsn, answer),
                Err(asks) => asks,
            };
            // Rare, so that no other request has to have room for it.
            Box::pin(looked.get_or_insert_default().look(asks.paths)).await;
            command = asks.command;
        };
        told.tell((&self.session, &self.saga), &starts, state);
        if let Some(until) = held {
            let now = self.node.now();
            if let Some(asked) = asked {
                // What was asked for by itself is asked for again; what is ready anyway is woken.
                tokio::time::sleep(until.since(now)).await;
                return Box::pin(self.carry_out(asked, None)).await;
            }
            // What the saga itself would wake for now is what is held.
            next_wake = next_wake.filter(|wake| *wake > now).into_iter().chain([until]).min();
        }
        let granted =
            |start: Start| (start.attempt.clone(), Grant::new(start, stream, lsn, Arc::clone(&self.node)));
        let starts = starts.into_iter().map(granted).collect();
        Ok(Progress { starts, next_wake, state })
    }

    /// Those who have steps in the saga, as far as they may still start.
    fn workers(&self, slot: &Slot, command: &SagaCommand) -> Vec<Did> {
        match (slot.saga(&self.saga), command) {
            (Some(Known::Running(_, saga)), _) => {
                saga.machine.steps().iter().map(|step| step.agent.clone()).collect()
            }
            (None, SagaCommand::Create { plan, .. }) => {
                plan.steps.iter().map(|step| step.agent.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Decides until the gate has an answer for every start: what it refuses, the saga decides again without.
    fn decide(
        &self,
        state: &State,
        now: Timestamp,
        mut command: SagaCommand,
        (attached, looked): (Option<PayloadRef>, &Looked),
        told: &mut SagaTold,
    ) -> Result<(Draft, Answerable), Box<Refusal>> {
        let place = self.place.get();
        let slot = place.map_or_else(|| state.slot(&self.session), |place| state.open(place.stream));
        let Some(slot) = slot else {
            return Err(Refusal::no_session("saga", None, &self.session));
        };
        let refuse = |reason| slot.refuse("saga", None, None, reason);
        let denied = |denial| refuse(Reason::Saga(Box::new(denial)));
        let fresh;
        // What this host says about actions counts from the saga's beginning on, and is recorded with it.
        let known = match place {
            Some(place) => slot.numbered(place.number),
            None => slot.saga(&self.saga),
        };
        let said = if known.is_none() { self.actions.as_slice() } else { &[] };
        let (number, saga, mut out) = match (known, &command) {
            (Some(Known::Running(number, saga)), _) => (number, saga, state.room()),
            (Some(Known::Ended(_)), SagaCommand::Create { .. }) => {
                return Err(denied(SagaDenial::AlreadyCreated));
            }
            (Some(Known::Ended(state)), _) => return Err(denied(SagaDenial::Over { state })),
            (None, SagaCommand::Create { .. }) => {
                let (id, unproven) = (self.saga.clone(), &self.unproven);
                fresh = NamedSaga::begin(id, unproven, &self.principals, self.rehearsal);
                let registered = said.iter().map(|(action, claim)| SessionEvent::Registered {
                    action: action.clone(),
                    source: Source::Registry,
                    claim: *claim,
                });
                // With room for what most sagas begin with.
                let mut out = state.room();
                out.reserve(said.len() + 6);
                out.extend(registered);
                out.push(SessionEvent::SagaOpened { id: self.saga.clone(), unproven: unproven.clone() });
                let number = slot.next_saga();
                out.extend(self.rehearsal.then_some(SessionEvent::Rehearsal { saga: number }));
                if !self.principals.is_empty() {
                    let principals = self.principals.clone();
                    out.push(SessionEvent::OnBehalf { saga: number, principals });
                }
                (number, &fresh, out)
            }
            (None, _) => return Err(refuse(Reason::NoSaga(self.saga.clone()))),
        };
        let mut turnstile = Turnstile::new((state, slot, now));
        let mut held: Vec<(u32, Timestamp)> = Vec::new();
        let before = slot.intents().and_then(|_| command.refused_mut().map(|refused| refused.len()));
        // What is outside the intents of agents, where that is a reason to slash them.
        let mut violations = Vec::new();
        loop {
            let holding: Vec<u32> = held.iter().map(|(step, _)| *step).collect();
            let decided = saga.machine.decide_holding(&command, &holding, now).map_err(denied)?;
            let SagaDecided { events, after } = decided;
            let starts = saga.machine.starts(&self.session, &self.saga, &events);
            if let Some(paths) = intent::unknown((slot, now), &starts, looked) {
                // Nothing is recorded: all of it is decided again, with what is known then.
                command.refused_mut().into_iter().for_each(|refused| refused.truncate(before.unwrap_or(0)));
                return Ok((Draft::default(), Err(Box::new(Asks { command, paths }))));
            }
            let mut passed: Vec<Start> = Vec::with_capacity(starts.len());
            let (mut refused, mut later) = (Vec::new(), Vec::new());
            let mut spent = Vec::new();
            for attempt in starts {
                let Some(step) = step_of(saga, &command, attempt.ordinal) else { continue };
                let presented = self.brought.get(&attempt.ordinal);
                let brought = Brought {
                    presented,
                    own: slot.voices(number, attempt.ordinal),
                    also: &spent,
                    passed: &passed,
                    real: looked.real(),
                };
                let tools = running(slot, saga, &attempt, &events) + started(&passed, &attempt);
                let claims = slot.claims(&attempt.action).copied();
                let claims = said.iter().filter(|(action, _)| *action == attempt.action).fold(claims, also);
                let facts = (state, slot, now);
                match gate::check(facts, (saga, claims), (&attempt, step), brought, tools, &mut turnstile) {
                    Ok((call, mut pass)) => {
                        pass.certified.iter_mut().for_each(|rests| spent.append(&mut rests.spent));
                        passed.push(Start { attempt, call, pass });
                    }
                    Err(no) => match waits(&no) {
                        Some(until) => later.push((attempt.ordinal, until)),
                        None => refused.push((attempt, no)),
                    },
                }
            }
            if !later.is_empty() {
                held.append(&mut later);
                continue;
            }
            if refused.is_empty() {
                for start in passed.iter().filter(|start| start.pass.right == Right::Standing) {
                    turnstile.passed(&start.attempt.agent);
                }
                let slashes = escalation(state, slot, saga, (&events, &after), now);
                told.ended(&command, &after);
                let violated = !violations.is_empty();
                let slashes = intent::slashes(state, violations, slashes, now);
                let (earned, outcomes) = scoring::consequences((state, slot, now), saga, (&events, &after));
                let earned = if violated { intent::possible_after(state, &slashes, earned) } else { earned };
                if ends(&events) {
                    held.clear();
                }
                let until = held.iter().map(|(_, until)| *until).min();
                write(number, events, &mut passed, &mut out);
                told.held(held.len());
                if !held.is_empty() {
                    let told = held.into_iter().filter(|(step, _)| !saga.holds(*step));
                    out.extend(told.map(|(step, until)| SessionEvent::Held { saga: number, step, until }));
                }
                let trips = turnstile.into_trips();
                let mut follows = consequence::of_verdicts(state, &slashes, now);
                add(&mut follows, consequence::of_outcomes(state, &earned, now));
                add(&mut follows, consequence::of_trips(state, &trips, now));
                add(&mut spent, trips);
                let mut ledger = slashes;
                add(&mut ledger, earned);
                let draft = state.draft().node(spent).ledger(ledger);
                let draft = draft
                    .session_with(slot.stream, out, attached)
                    .also(follows)
                    .ahead(number, after, outcomes);
                let place = Place { stream: slot.stream, number };
                return Ok((draft, Ok(Decided { starts: passed, place, held: until })));
            }
            for (attempt, no) in refused {
                told.denied(&no.denial, &no);
                let (step, Refused { denial, rejected, gate, terms }) = (attempt.ordinal, *no);
                if slot.intents().is_some() {
                    let of = (&attempt.agent, &attempt.action, parameters_of(&attempt));
                    violations.extend(intent::violation(slot, of, gate.as_deref(), terms, now));
                }
                if let Some(gate) = gate {
                    turnstile.refused(&attempt.agent, &gate);
                }
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(denial.clone());
                out.extend(rejected.into_iter().map(|rejected| SessionEvent::Rejected { rejected }));
                out.push(SessionEvent::Denied { denial });
                match command.refused_mut() {
                    Some(refused) => refused.push(step),
                    // Only a command that carries refusals starts an execution; were it otherwise, its start
                    // must not happen.
                    None => return Err(denied(SagaDenial::NotReady { step })),
                }
            }
        }
    }
}

/// Appends what mostly is nothing.
fn add<T>(to: &mut Vec<T>, more: Vec<T>) {
    if !more.is_empty() {
        to.extend(more);
    }
}

/// What a command came to; revealed when it is durable.
struct Answer {
    starts: Vec<Start>,
    stream: StreamNo,
    next_wake: Option<Timestamp>,
    held: Option<Timestamp>,
    state: SagaState,
}

/// Whether the saga is over with these events.
fn ends(events: &[SagaEvent]) -> bool {
    events.iter().any(|event| matches!(event, SagaEvent::Finished { .. }))
}

/// Until when an attempt waits that only its agent's rate keeps back; nothing where waiting does not help.
fn waits(refused: &Refused) -> Option<Timestamp> {
    let GateDenial::RateLimited { limit, .. } = **refused.gate.as_ref()? else { return None };
    let (Limited::TooFast { retry_at, .. } | Limited::Crowded { retry_at }) = limit;
    (retry_at < Timestamp::MAX).then_some(retry_at)
}

/// What a function of the program comes to. Nobody knows how far one came that panicked.
async fn calmly<F: Future<Output = Outcome>>(act: impl FnOnce() -> F) -> Outcome {
    awaited(called(act)).await.unwrap_or_else(|| Outcome::failed(Class::Unknown, hv_saga::Reason::Panicked))
}

/// Waits for what ends in time. What is ready at once needs no timer.
async fn within<F: Future>(time: Duration, work: F) -> Result<F::Output, Elapsed> {
    let mut work = pin!(work);
    match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => tokio::time::timeout(time, work).await,
    }
}

/// With one more thing that the operator says.
fn also(claims: Option<Claims>, (_, claim): &(ActionId, Claim)) -> Option<Claims> {
    let claims = claims.unwrap_or_default().with(Source::Registry, claim);
    claims.registered().then_some(claims)
}

/// One record: the outcome, what it leads to, and the grant behind each start.
fn write(saga: u32, events: Vec<SagaEvent>, passed: &mut [Start], out: &mut Vec<SessionEvent>) {
    out.reserve(events.len() + passed.len());
    let mut granted = passed.iter_mut();
    for event in events {
        let started = matches!(event, SagaEvent::Started { .. });
        let Some(Start { attempt, call, pass }) = started.then(|| granted.next()).flatten() else {
            out.push(SessionEvent::Saga { saga, event });
            continue;
        };
        let rejected = core::mem::take(&mut pass.rejected);
        out.extend(rejected.into_iter().map(|rejected| SessionEvent::Rejected { rejected }));
        if let Some(certified) = pass.certified.take() {
            let Certified { basis, until, voices, .. } = *certified;
            out.push(SessionEvent::Certified { saga, step: attempt.ordinal, basis, until, voices });
        }
        if let Some(Use { member, consented, .. }) = pass.intent {
            let action = attempt.action.clone();
            out.push(SessionEvent::IntentUsed { member, action, consented });
        }
        out.push(SessionEvent::Saga { saga, event });
        let (params, deadline) = (call.params, call.deadline);
        out.push(SessionEvent::Granted { params, deadline, ring: pass.ring, sigma: pass.sigma });
    }
}

/// What an escalated saga costs those who answer for it.
fn escalation(
    state: &State,
    slot: &Slot,
    saga: &NamedSaga,
    (events, after): (&[SagaEvent], &Saga),
    now: Timestamp,
) -> Vec<LedgerEvent> {
    let escalated =
        |event: &SagaEvent| matches!(event, SagaEvent::Finished { state: SagaState::Escalated, .. });
    if !events.iter().any(escalated) {
        return Vec::new();
    }
    slash::for_escalation(state, slot, &saga.id, after, now)
}

/// A step of the saga, also one that the command is about to append.
fn step_of<'a>(saga: &'a NamedSaga, command: &'a SagaCommand, ordinal: u32) -> Option<&'a StepDef> {
    let known = saga.machine.step(ordinal).map(|(step, _)| &**step);
    known.or_else(|| match command {
        SagaCommand::Create { plan, .. } => plan.steps.get(ordinal as usize).map(|step| &**step),
        _ => None,
    })
}

/// Attempts of the same agent that run in the session, but for those of this saga that the events end.
fn running(slot: &Slot, saga: &NamedSaga, attempt: &Attempt, events: &[SagaEvent]) -> u32 {
    let ends = |ended: u32| {
        events.iter().any(|event| matches!(event, SagaEvent::Moved { step, .. } if *step == ended))
    };
    let of = |step| saga.machine.agent(step).is_some_and(|agent| *agent == attempt.agent);
    let ended = saga.machine.running().filter(|run| of(run.step) && ends(run.step)).count();
    slot.attempts_of(&attempt.agent).saturating_sub(u32::try_from(ended).unwrap_or(u32::MAX))
}

/// Attempts of the same agent that are about to start.
fn started(passed: &[Start], attempt: &Attempt) -> u32 {
    let of_agent = passed.iter().filter(|start| start.attempt.agent == attempt.agent);
    u32::try_from(of_agent.count()).unwrap_or(u32::MAX)
}

fn says_something(output: &Output) -> bool {
    !output.stdout.is_empty() || !output.stderr.is_empty()
}

/// Whether a start rests on the agent's own standing or on an earlier grant.
pub(crate) const fn right_of(purpose: Purpose) -> Right {
    match purpose {
        Purpose::Execute => Right::Standing,
        Purpose::Undo | Purpose::Probe => Right::Earlier,
    }
}

impl Host for SagaHost {
    type Permit = Grant;

    fn commit(
        &self,
        command: SagaCommand,
        output: Option<Output>,
    ) -> BoxFuture<'_, Result<Progress<Grant>, Halt>> {
        Box::pin(async move {
            self.carry_out(command, output).await.map_err(|error| match error {
                Error::Denied(denied) => match denied.reason {
                    Reason::Saga(denial) => Halt::Denied(*denial),
                    _ => Halt::Host(Box::new(Error::Denied(denied))),
                },
                error => Halt::Host(Box::new(error)),
            })
        })
    }

    fn now(&self) -> Timestamp {
        self.node.now()
    }
}
