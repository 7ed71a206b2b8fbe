//! How what a saga asks for is decided: until the gate has an answer for every start.

use super::known::Place;
use super::withheld::{Key, Starts, Withheld};
use super::{Answerable, Decided, SagaHost, Start};
use crate::consequence;
use crate::error::Reason;
use crate::event::{LedgerEvent, NodeEvent, SessionEvent};
use crate::gate::{self, Besides, Brought, Certified, Pass, Refused};
use crate::grant::{Right, parameters_of};
use crate::intent::{self, Looked, Use};
use crate::node::{Ahead, Draft, Granted, Refusal};
use crate::observed::SagaTold;
use crate::rates::Turnstile;
use crate::said;
use crate::scoring;
use crate::slash;
use crate::state::{Known, NamedSaga, Slot, State};
use hv_audit::PayloadRef;
use hv_liability::SlashOrder;
use hv_rings::class::{Claim, Claims, Source};
use hv_rings::gate::GateDenial;
use hv_rings::rate::Limited;
use hv_saga::{Attempt, Decided as SagaDecided, SagaCommand, SagaDenial, SagaEvent, SagaState, StepDef};
use hv_session::ConsistencyMode;
use hv_types::{ActionId, Timestamp};

/// What the operator says about actions.
type Claimed = [(ActionId, Claim)];

/// What decides on a command of one saga.
struct Deciding<'a> {
    host: &'a SagaHost,
    state: &'a State,
    slot: &'a Slot,
    now: Timestamp,
    number: u32,
    saga: &'a NamedSaga,
    /// What the host says about actions, where the saga begins: it counts from there on, and is recorded with it.
    said: &'a Claimed,
    looked: &'a Looked,
}

/// What most decisions do not come to. It takes a word until something of it is there.
#[derive(Default)]
struct Rare {
    /// Steps that wait for the rate of their agents, until then.
    held: Vec<(u32, Timestamp)>,
    holding: Vec<u32>,
    /// What is outside the intents of agents, where that is a reason to slash them.
    violations: Vec<SlashOrder>,
    /// What the gate refused in this round.
    refused: Vec<(Attempt, Box<Refused>)>,
    /// What it holds back from now on.
    later: Vec<(u32, Timestamp)>,
    /// What is used up by what starts.
    spent: Vec<NodeEvent>,
}

impl Rare {
    /// Everything is asked again.
    fn again(&mut self) {
        self.refused.clear();
        self.later.clear();
        self.spent.clear();
    }

    fn refuses(&mut self, attempt: Attempt, no: Box<Refused>) {
        match waits(&no) {
            Some(until) => self.later.push((attempt.ordinal, until)),
            None => self.refused.push((attempt, no)),
        }
    }

    /// Holds back what waits; answers whether something was not held before.
    fn hold(&mut self) -> bool {
        let more = !self.later.is_empty();
        self.holding.extend(self.later.iter().map(|(step, _)| *step));
        self.held.append(&mut self.later);
        more
    }
}

/// A part of what is rare, where there is any.
fn of<'a, T>(rare: &'a Option<Box<Rare>>, part: impl FnOnce(&'a Rare) -> &'a Vec<T>) -> &'a [T] {
    rare.as_deref().map_or(&[], |rare| part(rare))
}

impl SagaHost {
    /// Decides until the gate has an answer for every start: what it refuses, the saga decides again without. Those that
    /// passed it are left in `starts`.
    pub(super) fn decide(
        &self,
        state: &State,
        now: Timestamp,
        command: &mut SagaCommand,
        (attached, looked): (Option<&PayloadRef>, &Looked),
        (told, starts): (&mut SagaTold, &mut Withheld),
    ) -> Result<(Draft, Answerable), Box<Refusal>> {
        let place = self.place.get();
        let slot = place.map_or_else(|| state.slot(&self.session), |place| state.open(place.stream));
        let Some(slot) = slot else {
            return Err(Refusal::no_session("saga", None, &self.session));
        };
        let known = match place {
            Some(place) => slot.numbered(place.number, &self.saga),
            None => slot.saga(&self.saga),
        };
        let mut draft = Draft::begin().of(slot.stream);
        let mut fresh = None;
        let (number, saga, said) = match (known, &*command) {
            (Some(Known::Running(number, saga)), _) if self.driver.may(&saga.driven) => {
                (number, saga, [].as_slice())
            }
            (None, SagaCommand::Create { .. }) => {
                let (begun, said) = self.opened((slot, now), &mut draft)?;
                self.driver.begins(&begun.driven);
                (slot.next_saga(), &**fresh.insert(begun), said)
            }
            (known, _) => return Err(self.undecidable(slot, known, command)),
        };
        let deciding = Deciding { host: self, state, slot, now, number, saga, said, looked };
        let mut turnstile = Turnstile::new((state, slot, now));
        let mut rare = None;
        loop {
            let holding = of(&rare, |rare| &rare.holding);
            let denied = |denial| deciding.denied(denial);
            saga.machine.decide_in(&mut draft.ahead.decided, command, holding, now).map_err(denied)?;
            let events = draft.ahead.decided.events.as_slice();
            let attempts = || {
                let started = saga.machine.started(&self.session, &self.saga, events);
                started.map(|attempt| {
                    let step = step_of(saga, command, attempt.ordinal);
                    (attempt, step)
                })
            };
            if let Some(paths) = intent::unknown((slot, now), saga.principals(), attempts, looked) {
                // Nothing is recorded.
                return Ok((Draft::default(), Err(paths)));
            }
            let (passed, key) = starts.write();
            deciding.ask(command, events, passed, &mut turnstile, &mut rare);
            if let Some(rare) = &mut rare {
                if rare.hold() {
                    rare.again();
                    continue;
                }
                if !rare.refused.is_empty() {
                    deciding.deny(command, &mut draft, rare, &mut turnstile, told)?;
                    rare.again();
                    continue;
                }
            }
            let forces = passed.iter().any(|start| start.pass.is_final);
            if forces && slot.session.mode() == ConsistencyMode::Eventual {
                said::force_strong((slot, now), "saga", &mut draft)?;
            }
            let draft = deciding.complete(command, draft, passed, (turnstile, rare), (attached, told));
            let (mut draft, answerable) = deciding.answered(draft, key);
            draft.ahead.begun = fresh;
            return Ok((draft, answerable));
        }
    }

    /// The saga that begins, as the record says; that goes into the draft. With what the host says about actions, where
    /// the session does not know all of it: only what is new is recorded.
    fn opened(
        &self,
        (slot, now): (&Slot, Timestamp),
        draft: &mut Draft,
    ) -> Result<(Box<NamedSaga>, &Claimed), Box<Refusal>> {
        if self.actions.iter().any(|(action, claim)| slot.forces(Source::Registry, action, claim)) {
            said::force_strong((slot, now), "saga", draft)?;
        }
        let (out, saga) = (&mut draft.events, slot.next_saga());
        let mut said: &Claimed = &[];
        for (action, claim) in &self.actions {
            if !slot.knows(Source::Registry, action, claim) {
                said = &self.actions;
                let (action, source, claim) = (action.clone(), Source::Registry, *claim);
                out.push(SessionEvent::Registered { action, source, claim });
            }
        }
        out.push(SessionEvent::SagaOpened { id: self.saga.clone(), unproven: self.unproven.clone() });
        if self.rehearsal {
            out.push(SessionEvent::Rehearsal { saga });
        }
        if !self.principals.is_empty() {
            out.push(SessionEvent::OnBehalf { saga, principals: self.principals.clone() });
        }
        let (room, named) = (draft.ahead.room.take(), (&self.saga, self.unproven.as_slice()));
        Ok((NamedSaga::begin(room, named, &self.principals, self.rehearsal), said))
    }

    /// Why a command cannot even be decided on.
    #[cold]
    fn undecidable(&self, slot: &Slot, known: Option<Known<'_>>, command: &SagaCommand) -> Box<Refusal> {
        let denial = match (known, command) {
            (None, _) => return slot.refuse("saga", None, None, Reason::NoSaga(self.saga.clone())),
            (Some(_), SagaCommand::Create { .. }) => SagaDenial::AlreadyCreated,
            (Some(Known::Running(..)), _) => {
                return slot.refuse("saga", None, None, Reason::SagaHeld(self.saga.clone()));
            }
            (Some(known), _) => SagaDenial::Over { state: known.state() },
        };
        slot.refuse("saga", None, None, Reason::Saga(Box::new(denial)))
    }
}

impl Deciding<'_> {
    #[cold]
    fn denied(&self, denial: SagaDenial) -> Box<Refusal> {
        self.slot.refuse("saga", None, None, Reason::Saga(Box::new(denial)))
    }

    /// Holds every start against the gate. What passes is left in `passed`, everything else in `rare`.
    fn ask(
        &self,
        command: &SagaCommand,
        events: &[SagaEvent],
        passed: &mut Starts,
        turnstile: &mut Turnstile<'_>,
        rare: &mut Option<Box<Rare>>,
    ) {
        let Self { host, state, slot, now, number, saga, said, looked } = *self;
        passed.reserve_exact(count_of_starts(events));
        for attempt in saga.machine.started(&host.session, &host.saga, events) {
            let Some(step) = step_of(saga, command, attempt.ordinal) else { continue };
            let brought = Brought {
                presented: host.brought.get(&attempt.ordinal),
                own: slot.voices(number, attempt.ordinal),
                also: of(rare, |rare| &rare.spent),
                passed,
                real: looked.real(),
            };
            let tools = running(slot, saga, &attempt, events) + started(passed, &attempt);
            let with_said;
            let mut claims = slot.claims(&attempt.action);
            if said.iter().any(|(action, _)| *action == attempt.action) {
                with_said = also(claims, said, &attempt.action);
                claims = Some(&with_said).filter(|claims| claims.registered());
            }
            match gate::check((state, slot, now), (saga, claims), (&attempt, step), brought, tools, turnstile)
            {
                Ok(mut pass) => {
                    let rests = pass.besides.as_mut().and_then(|besides| besides.certified.as_mut());
                    if let Some(rests) = rests {
                        rare.get_or_insert_default().spent.append(&mut rests.spent);
                    }
                    passed.push(Start { attempt, pass });
                }
                Err(no) => rare.get_or_insert_default().refuses(attempt, no),
            }
        }
    }

    /// What the gate refused is told, and asked for no more.
    #[cold]
    fn deny(
        &self,
        command: &mut SagaCommand,
        draft: &mut Draft,
        rare: &mut Rare,
        turnstile: &mut Turnstile<'_>,
        told: &mut SagaTold,
    ) -> Result<(), Box<Refusal>> {
        for (attempt, no) in rare.refused.drain(..) {
            told.denied(&no.denial, &no);
            let (step, Refused { denial, rejected, gate, terms }) = (attempt.ordinal, *no);
            if self.slot.intents().is_some() {
                let of = (&attempt.agent, &attempt.action, parameters_of(&attempt));
                let violation = intent::violation(self.slot, of, gate.as_deref(), terms, self.now);
                rare.violations.extend(violation);
            }
            if let Some(gate) = gate {
                turnstile.refused(&attempt.agent, &gate);
            }
            self.host.refused.set(denial.clone());
            let rejected = rejected.into_iter().map(|rejected| SessionEvent::Rejected { rejected });
            draft.events.extend(rejected.chain([SessionEvent::Denied { denial }]));
            match command.refused_mut() {
                Some(refused) => refused.push(step),
                // Only a command that carries refusals starts an execution; were it otherwise, its start
                // must not happen.
                None => return Err(self.denied(SagaDenial::NotReady { step })),
            }
        }
        Ok(())
    }

    /// Puts together what is recorded, and when what is held may be tried again.
    fn complete(
        &self,
        command: &SagaCommand,
        mut draft: Draft,
        passed: &mut [Start],
        (turnstile, rare): (Turnstile<'_>, Option<Box<Rare>>),
        (attached, told): (Option<&PayloadRef>, &mut SagaTold),
    ) -> (Draft, Option<Timestamp>) {
        let Self { state, slot, now, number, saga, .. } = *self;
        for start in passed.iter().filter(|start| start.pass.right != Right::Earlier) {
            turnstile.passed(&start.attempt.agent);
        }
        let parts = &mut *draft;
        let Ahead { number: ahead, decided: SagaDecided { events, after }, grants, outcomes, .. } =
            &mut parts.ahead;
        *ahead = Some(number);
        told.ended(command, after, now);
        let over = after.state();
        let (mut slashes, mut earned) = (Vec::new(), Vec::new());
        if over.is_terminal() {
            if over == SagaState::Escalated {
                // What an escalated saga costs those who answer for it.
                slashes = slash::for_escalation(state, slot, &saga.id, after, now);
            }
            earned = scoring::consequences((state, slot, now), saga, after, outcomes);
        }
        let trips = turnstile.into_trips();
        let alone = rare.is_none() && slashes.is_empty() && earned.is_empty() && trips.is_empty();
        let bare = alone && passed.iter().all(|start| start.pass.besides.is_none());
        if bare {
            // They are written from where they are.
            let granted = |Start { pass: Pass { deadline, ring, sigma, .. }, .. }: &Start| Granted {
                deadline: *deadline,
                ring: *ring,
                sigma: *sigma,
            };
            grants.extend(passed.iter().map(granted));
        } else {
            write(number, events, passed, &mut parts.events);
        }
        if let Some(attached) = attached {
            draft = draft.attaching(*attached);
        }
        told.held(0);
        if alone {
            return (draft, None);
        }
        let rare = rare.unwrap_or_default();
        let held = if over.is_terminal() { Vec::new() } else { rare.held };
        told.held(held.len());
        let until = held.iter().map(|(_, until)| *until).min();
        let told = held.into_iter().filter(|(step, _)| !saga.holds(*step));
        draft.events.extend(told.map(|(step, until)| SessionEvent::Held { saga: number, step, until }));
        (following(draft.node(rare.spent), state, (rare.violations, slashes, earned, trips), now), until)
    }

    fn answered(&self, (draft, held): (Draft, Option<Timestamp>), key: Key) -> (Draft, Answerable) {
        let place = Place { stream: self.slot.stream, number: self.number };
        (draft, Ok(Decided { place, held, key }))
    }
}

/// What follows for the ledger, the node and the sessions: of what is outside intents and of an escalation, of outcomes,
/// and of breakers that opened.
#[cold]
fn following(
    draft: Draft,
    state: &State,
    (violations, slashes, earned, trips): (
        Vec<SlashOrder>,
        Vec<LedgerEvent>,
        Vec<LedgerEvent>,
        Vec<NodeEvent>,
    ),
    now: Timestamp,
) -> Draft {
    let violated = !violations.is_empty();
    let mut ledger = intent::slashes(state, violations, slashes, now);
    let earned = if violated { intent::possible_after(state, &ledger, earned) } else { earned };
    let mut follows = consequence::of_verdicts(state, &ledger, now);
    follows.extend(consequence::of_outcomes(state, &earned, now));
    follows.extend(consequence::of_trips(state, &trips, now));
    ledger.extend(earned);
    draft.node(trips).ledger(ledger).also(follows)
}

/// How many attempts start with these events.
fn count_of_starts(events: &[SagaEvent]) -> usize {
    events.iter().filter(|event| matches!(event, SagaEvent::Started { .. })).count()
}

/// Until when an attempt waits that only its agent's rate keeps back; nothing where waiting does not help.
fn waits(refused: &Refused) -> Option<Timestamp> {
    let GateDenial::RateLimited { limit, .. } = **refused.gate.as_ref()? else { return None };
    let (Limited::TooFast { retry_at, .. } | Limited::Crowded { retry_at }) = limit;
    (retry_at < Timestamp::MAX).then_some(retry_at)
}

/// With what the operator says of an action besides.
fn also(claims: Option<&Claims>, said: &Claimed, of: &ActionId) -> Claims {
    let said = said.iter().filter(|(action, _)| action == of);
    said.fold(claims.copied().unwrap_or_default(), |claims, (_, claim)| claims.with(Source::Registry, claim))
}

/// One record: the outcome, what it leads to, and the grant behind each start.
#[cold]
fn write(saga: u32, events: &mut Vec<SagaEvent>, passed: &mut [Start], out: &mut Vec<SessionEvent>) {
    out.reserve(events.len() + passed.len());
    let mut granted = passed.iter_mut();
    for event in events.drain(..) {
        let started = matches!(event, SagaEvent::Started { .. });
        let mut start = started.then(|| granted.next()).flatten();
        if let Some(Start { attempt, pass }) = &mut start
            && let Some(besides) = pass.besides.take()
        {
            write_besides(saga, attempt, *besides, out);
        }
        out.push(SessionEvent::Saga { saga, event });
        if let Some(start) = start {
            let Pass { deadline, ring, sigma, .. } = start.pass;
            out.push(SessionEvent::Granted { deadline, ring, sigma });
        }
    }
}

/// What most starts do not have.
#[cold]
fn write_besides(saga: u32, attempt: &Attempt, besides: Besides, out: &mut Vec<SessionEvent>) {
    let Besides { intents, certified, rejected } = besides;
    out.extend(rejected.into_iter().map(|rejected| SessionEvent::Rejected { rejected }));
    if let Some(certified) = certified {
        let Certified { params, basis, until, voices, .. } = *certified;
        out.push(SessionEvent::Certified { saga, step: attempt.ordinal, params, basis, until, voices });
    }
    out.extend(intents.into_iter().map(|Use { member, consented, .. }| SessionEvent::IntentUsed {
        member,
        action: attempt.action.clone(),
        consented,
    }));
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
    let under_way = slot.attempts_of(&attempt.agent);
    if under_way == 0 {
        return 0;
    }
    let ends = |ended: u32| {
        events.iter().any(|event| matches!(event, SagaEvent::Moved { step, .. } if *step == ended))
    };
    let of = |step| saga.machine.agent(step).is_some_and(|agent| *agent == attempt.agent);
    let ended = saga.machine.running().filter(|run| of(run.step) && ends(run.step)).count();
    under_way.saturating_sub(u32::try_from(ended).unwrap_or(u32::MAX))
}

/// Attempts of the same agent that are about to start.
fn started(passed: &[Start], attempt: &Attempt) -> u32 {
    let of_agent = passed.iter().filter(|start| start.attempt.agent == attempt.agent);
    u32::try_from(of_agent.count()).unwrap_or(u32::MAX)
}
