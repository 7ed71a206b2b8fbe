//! From durable records to what a person sees: one direction, nothing decided.

use super::RunFailure;
use super::engine::WORK;
use crate::output::counted;
use crate::progress::{Event, Progress};
use hv_core::audit::{Kind, Log, StreamNo};
use hv_core::event::{Denial, LedgerEvent, MembershipEvent, SagaEvent, SessionEvent};
use hv_core::saga::{Cause, Class, Micros, Move, Purpose, Reason, SagaState, StepDef};
use hv_core::types::{Did, Illegal, Ring, SessionId, Timestamp};
use hv_core::{Clock, Notice, Said, SystemClock, TrailEvent, read_record};
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// How often waiting times are drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// What has to be remembered to put an event into words.
#[derive(Default)]
pub(super) struct Names {
    members: Vec<Did>,
    /// Those of whom was told where they stand.
    met: HashSet<u32>,
    accounts: Vec<Did>,
    sagas: Vec<Vec<Arc<StepDef>>>,
    /// The number of the saga that does the work.
    work: Option<u32>,
    /// The start that waits for its grant.
    started: Option<(u32, u32, u32)>,
    /// What runs for a step: what for, and which attempt.
    running: HashMap<(u32, u32), (Purpose, u32)>,
    /// Why the last execution of a step failed.
    failures: HashMap<(u32, u32), String>,
    /// The steps that may be tried more often than their retries say.
    more: HashSet<(u32, u32)>,
    /// Refusals whose step has not been told yet.
    refused: Vec<Denial>,
}

/// Shows what becomes durable until the node is gone.
pub(super) async fn watch<W: Write>(
    mut names: Names,
    mut notices: Receiver<Arc<Notice>>,
    progress: Arc<Mutex<Progress<W>>>,
) {
    loop {
        match tokio::time::timeout(TICK, notices.recv()).await {
            Ok(Ok(notice)) => {
                for said in notice.said() {
                    names.tell(said, &mut |told| show(&progress, &told, notice.time));
                }
            }
            Ok(Err(RecvError::Lagged(missed))) => {
                let text =
                    format!("{} went by too fast to be shown; the trail has all", counted(missed, "record"));
                show(&progress, &Event::Notice { text }, SystemClock.now());
            }
            Ok(Err(RecvError::Closed)) => return,
            Err(_) => {
                if let Ok(mut progress) = progress.lock() {
                    progress.tick(SystemClock.now());
                }
            }
        }
    }
}

pub(super) fn show<W: Write>(progress: &Mutex<Progress<W>>, event: &Event, at: Timestamp) {
    if let Ok(mut progress) = progress.lock() {
        progress.show(event, at);
    }
}

impl Names {
    /// What the trail says already of this session and of who has an account.
    pub(super) fn read(log: &dyn Log, session: &SessionId) -> Result<Self, RunFailure> {
        let (mut names, mut stream, mut unreadable) = (Self::default(), None, false);
        let read = log.replay(&mut |entry| {
            let Ok(record) = read_record(&entry) else {
                unreadable = true;
                return Err(Illegal::new("a record holds events of a known version"));
            };
            if let Kind::Genesis { label } = entry.kind
                && label == session.as_str()
                && record.stream >= StreamNo::FIRST_SESSION
            {
                stream = Some(record.stream);
            }
            for event in &record.events {
                match event {
                    TrailEvent::Ledger(event) => names.ledger(event, &mut |_| {}),
                    TrailEvent::Session(event) if stream == Some(record.stream) => {
                        names.session(event, &mut |_| {});
                    }
                    _ => {}
                }
            }
            Ok(())
        });
        match read {
            Ok(_) => Ok(Self { started: None, refused: Vec::new(), ..names }),
            Err(_) if unreadable => Err(RunFailure::Unreadable { what: "a record" }),
            Err(error) => Err(error.into()),
        }
    }

    fn tell(&mut self, said: Said<'_>, show: &mut dyn FnMut(Event)) {
        match said {
            Said::Node(_) => {}
            Said::Ledger(event) => self.ledger(event, show),
            Said::Lifecycle(event) => self.lifecycle(event, show),
            Said::Session(event) => self.session(event, show),
        }
    }

    fn ledger(&mut self, event: &LedgerEvent, show: &mut dyn FnMut(Event)) {
        let name = |agent: hv_core::liability::AgentNo| self.accounts.get(agent.0 as usize).cloned();
        match event {
            LedgerEvent::Opened { did, .. } => self.accounts.push(did.clone()),
            LedgerEvent::Vouched { voucher, vouchee, amount, .. } => {
                if let (Some(voucher), Some(vouchee)) = (name(*voucher), name(*vouchee)) {
                    show(Event::Vouched { voucher, vouchee, bond: *amount });
                }
            }
            LedgerEvent::Slashed { slashed } => {
                let losses = slashed
                    .toll
                    .losses
                    .iter()
                    .filter_map(|loss| Some(format!("{} loses {}", name(loss.agent)?, loss.amount)));
                let losses: Vec<String> = losses.collect();
                show(Event::Notice { text: format!("slashed: {}", losses.join(", ")) });
            }
            _ => {}
        }
    }

    fn lifecycle(&mut self, event: &MembershipEvent, show: &mut dyn FnMut(Event)) {
        match event {
            MembershipEvent::Joined { did, .. } => self.members.push(did.clone()),
            MembershipEvent::Evicted { member, reason } => {
                if let Some(agent) = self.members.get(*member as usize) {
                    show(Event::Notice { text: format!("{agent} is put out: {reason}") });
                }
            }
            _ => {}
        }
    }

    fn session(&mut self, event: &SessionEvent, show: &mut dyn FnMut(Event)) {
        match event {
            SessionEvent::Session { event } => self.lifecycle(event, show),
            SessionEvent::Assessed { member, sigma, ring, .. } => {
                let Some(agent) = self.members.get(*member as usize).cloned() else { return };
                if self.met.insert(*member) {
                    show(Event::AgentJoined { agent, sigma: *sigma, ring: *ring });
                } else {
                    show(Event::Notice { text: format!("{agent} stands in {ring} now, with σ {sigma}") });
                }
            }
            SessionEvent::SagaOpened { id, .. } => {
                if id.as_str() == WORK {
                    self.work = u32::try_from(self.sagas.len()).ok();
                }
                self.sagas.push(Vec::new());
            }
            SessionEvent::Saga { saga, event } => self.saga(*saga, event, show),
            SessionEvent::Granted { ring, .. } => self.granted(*ring, show),
            // What refuses a step is told with the step.
            SessionEvent::Denied { denial } if denial.request == "step" => self.refused.push(denial.clone()),
            SessionEvent::Denied { denial } => show(Event::Notice { text: denial.to_string() }),
            SessionEvent::Rejected { rejected } => show(Event::Notice { text: rejected.to_string() }),
            SessionEvent::DriftChecked { member, check } => {
                if let Some(agent) = self.members.get(*member as usize) {
                    show(Event::Notice { text: format!("{agent}: {check}") });
                }
            }
            SessionEvent::Elevated { elevation, .. } => {
                let (agent, until) = (elevation.request().agent(), elevation.until());
                show(Event::Notice { text: format!("{agent} is elevated until {until}") });
            }
            SessionEvent::IntentDeclared { member, bounds, since, .. } => {
                if let Some(agent) = self.members.get(*member as usize) {
                    let until = since.after(bounds.lasts());
                    show(Event::Notice { text: format!("{agent} is held to an intent until {until}") });
                }
            }
            SessionEvent::Registered { .. }
            | SessionEvent::IntentRuled { .. }
            | SessionEvent::IntentUsed { .. }
            | SessionEvent::Ports { .. }
            | SessionEvent::Noted { .. }
            | SessionEvent::VotersNamed { .. }
            | SessionEvent::Overridden { .. }
            | SessionEvent::Certified { .. }
            | SessionEvent::UndoAccepted { .. }
            | SessionEvent::Rehearsal { .. }
            | SessionEvent::RehearsalDemanded { .. }
            | SessionEvent::Held { .. }
            | SessionEvent::OnBehalf { .. } => {}
        }
    }

    fn step(&self, saga: u32, step: u32) -> Option<&Arc<StepDef>> {
        self.sagas.get(saga as usize)?.get(step as usize)
    }

    fn saga(&mut self, number: u32, event: &SagaEvent, show: &mut dyn FnMut(Event)) {
        match event {
            SagaEvent::Appended { steps, .. } => {
                if let Some(known) = self.sagas.get_mut(number as usize) {
                    known.extend(steps.iter().cloned());
                }
            }
            SagaEvent::Started { step, purpose, number: attempt, .. } => {
                self.running.insert((number, *step), (*purpose, *attempt));
                match (purpose, self.step(number, *step).map(|def| def.id.clone())) {
                    (Purpose::Execute, _) => self.started = Some((number, *step, *attempt)),
                    (Purpose::Undo, Some(step)) => show(Event::Undoing { step, attempt: *attempt }),
                    (Purpose::Probe, Some(step)) => show(Event::Probing { step }),
                    (_, None) => {}
                }
            }
            SagaEvent::Moved { step, to, .. } => {
                let ran = self.running.remove(&(number, *step));
                if let (Move::Denied {}, Some(def)) = (to, self.step(number, *step).cloned()) {
                    return self.denied(&def, show);
                }
                if let (Some((Purpose::Execute, _)), Some(failure)) = (ran, to.failure()) {
                    self.failures.insert((number, *step), failure.to_string());
                }
                if to.failure().is_some_and(|failure| failure.reason == Reason::Crashed) {
                    self.more.insert((number, *step));
                }
                let why = self.failures.get(&(number, *step)).map(String::as_str);
                if let Some(def) = self.step(number, *step) {
                    moved(def, ran, to, why, show);
                }
            }
            SagaEvent::Turned { cause, .. } => {
                if *cause == (Cause::OutOfTime {}) {
                    show(Event::Notice { text: "the time for the work is over; no more steps begin".into() });
                }
                show(Event::SagaState { state: SagaState::Compensating });
            }
            // That a set-up or a look around is done is told by what follows.
            SagaEvent::Finished { state, .. } => {
                if self.work == Some(number) || *state != SagaState::Completed {
                    show(Event::SagaState { state: *state });
                }
            }
            SagaEvent::HandedOver { step, .. } => {
                let known =
                    self.sagas.get_mut(number as usize).and_then(|steps| steps.get_mut(*step as usize));
                let Some(def) = known else { return };
                self.more.insert((number, *step));
                if let Some(agent) = def.substitute.clone() {
                    let text = format!("{}: {agent} takes it over from {}", def.id, def.agent);
                    Arc::make_mut(def).agent = agent;
                    show(Event::Notice { text });
                }
            }
            SagaEvent::Expiring { step, by, .. } => {
                if let (Some(step), Some(by)) = (self.step(number, *step), self.step(number, *by)) {
                    let text = format!(
                        "{}: its undo may come too late once {} has ended, which may take {:?}",
                        step.id, by.id, by.timeout
                    );
                    show(Event::Notice { text });
                }
            }
            SagaEvent::Paused { .. } => show(Event::Notice { text: "paused; nothing starts".to_owned() }),
            SagaEvent::Resumed { .. } => show(Event::Notice { text: "goes on".to_owned() }),
            SagaEvent::Created { .. } | SagaEvent::Sealed {} | SagaEvent::Restored { .. } => {}
        }
    }

    fn denied(&mut self, def: &StepDef, show: &mut dyn FnMut(Event)) {
        let of_step = |denial: &Denial| {
            denial.agent.as_ref() == Some(&def.agent) && denial.action.as_ref() == Some(&def.action)
        };
        let refused = self.refused.iter().position(of_step).map(|at| self.refused.remove(at));
        let (reason, needs) = refused.map(|denial| (denial.reason, denial.needs)).unwrap_or_default();
        show(Event::StepDenied { step: def.id.clone(), agent: def.agent.clone(), reason, needs });
    }

    fn granted(&mut self, ring: Ring, show: &mut dyn FnMut(Event)) {
        let Some((saga, step, attempt)) = self.started.take() else { return };
        let Some(def) = self.step(saga, step) else { return };
        show(Event::StepStarted {
            step: def.id.clone(),
            agent: def.agent.clone(),
            action: def.action.clone(),
            ring,
            attempt,
            attempts: (!self.more.contains(&(saga, step))).then(|| def.retry.max.saturating_add(1)),
        });
    }
}

/// A step's move, in words. `ran` is what it ends, if it ends an attempt; `why` is how the last execution failed.
fn moved(
    def: &StepDef,
    ran: Option<(Purpose, u32)>,
    to: &Move,
    why: Option<&str>,
    show: &mut dyn FnMut(Event),
) {
    let step = def.id.clone();
    // A probe that finds nothing has not failed; it has answered.
    let failed = ran.filter(|(purpose, _)| *purpose != Purpose::Probe);
    if let (Some((purpose, attempt)), Some(failure)) = (failed, to.failure()) {
        let unknown = if failure.class == Class::Unknown { " (nobody knows what it did)" } else { "" };
        let reason = format!("{failure}{unknown}");
        show(Event::AttemptFailed { step: step.clone(), purpose, attempt, reason });
    }
    match to {
        Move::Committed {} => show(Event::StepCommitted { step }),
        Move::Retry { wait, .. } => {
            show(Event::RetryIn { step, purpose: Purpose::Execute, delay: Duration::from_micros(wait.0) });
        }
        Move::UndoRetry { wait, .. } => {
            show(Event::RetryIn { step, purpose: Purpose::Undo, delay: Duration::from_micros(wait.0) });
        }
        Move::Failed { failure } => {
            let reason = why.map_or_else(|| failure.to_string(), str::to_owned);
            show(Event::StepFailed { step, reason });
        }
        Move::Undone {} => show(Event::Undone { step }),
        Move::UndoFailed { failure } => show(Event::Escalated { step, reason: failure.to_string() }),
        // Behind a question, and before a repetition, it waits for something else.
        Move::Doubt { wait, .. }
            if ran.is_none_or(|(purpose, _)| purpose == Purpose::Execute)
                && wait.0 > 0
                && *wait == Micros::of(def.settles_within()) =>
        {
            show(Event::Settling { step, delay: Duration::from_micros(wait.0) });
        }
        Move::Denied {}
        | Move::Suspect { .. }
        | Move::Doubt { .. }
        | Move::Assumed { .. }
        | Move::Unconfirmed { .. } => {}
    }
}
