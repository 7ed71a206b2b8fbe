//! A run as its trail tells it: the source of every report.

use super::RunFailure;
use crate::report::{
    self, AgentReport, AttemptOutcome, AttemptReport, BondReport, ChargeReport, DemotionReport, DenialReport,
    FailedUndoReport, LossReport, Settled, SlashReport, StepReport, VouchReport,
};
use hv_core::audit::{Log, Lsn, StreamNo};
use hv_core::event::{Denial, LedgerEvent, MembershipEvent, NodeEvent, SagaEvent, SessionEvent};
use hv_core::liability::{AgentNo, BondNo};
use hv_core::saga::{
    Cause, Class, Failure, Move, Output, Purpose, Reason, SagaState, StepDef, StepState, Task,
};
use hv_core::types::{Did, Digest, Illegal, Ring, SagaId, SessionId, Sigma, StepId, Timestamp, Wire};
use hv_core::{Retried, SessionConfig, Settlement, TrailEvent, TrailRecord, read_record};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the trail says about one session.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) session: SessionId,
    /// Who created it, and with which settings.
    pub(crate) created: Option<(Did, SessionConfig)>,
    stream: StreamNo,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) root: Option<Digest>,
    pub(crate) agents: Vec<AgentReport>,
    pub(crate) vouches: Vec<VouchReport>,
    pub(crate) slashes: Vec<SlashReport>,
    /// Those that are open.
    pub(crate) charges: Vec<ChargeReport>,
    pub(crate) denials: Vec<DenialReport>,
    pub(crate) sagas: Vec<SagaHistory>,
    /// The content that was noted last under each name.
    pub(crate) notes: Vec<(String, Digest)>,
    members: Vec<Did>,
    accounts: Vec<Did>,
    /// What was locked in each bond of the session.
    bonds: BTreeMap<BondNo, Sigma>,
    /// The batch of the last slash.
    slashed: Option<Lsn>,
}

/// What the trail says about one saga.
#[derive(Debug)]
pub(crate) struct SagaHistory {
    pub(crate) id: SagaId,
    pub(crate) state: SagaState,
    /// Why it turned back.
    pub(crate) cause: Option<Cause>,
    pub(crate) steps: Vec<StepHistory>,
    pub(crate) committed: Vec<StepId>,
    pub(crate) undone: Vec<StepId>,
}

/// What the trail says about one step.
#[derive(Debug)]
pub(crate) struct StepHistory {
    def: Arc<StepDef>,
    state: StepState,
    ring: Option<Ring>,
    attempts: Vec<AttemptReport>,
    /// What the last execution printed, where that was kept.
    pub(crate) output: Option<Digest>,
    /// Why it could not be undone.
    not_undone: Option<String>,
    /// What a person made of that.
    settled: Option<Settled>,
    /// Whether it turned its saga back because a probe found what it had left, though it had failed.
    pub(crate) was_seen: bool,
    /// Which of its limits of time was over while nothing of it ran.
    given_up: Option<String>,
}

impl History {
    /// Reads a log. With a name, that session; without, the one that began last. `None` where there is none.
    pub(crate) fn read(log: &dyn Log, session: Option<&SessionId>) -> Result<Option<Self>, RunFailure> {
        let mut found: Option<Self> = None;
        let mut accounts: Vec<Did> = Vec::new();
        let mut unreadable = false;
        log.replay(&mut |entry| {
            let Ok(record) = read_record(&entry) else {
                unreadable = true;
                return Err(Illegal::new("a record holds events of a known version"));
            };
            for event in &record.events {
                if let TrailEvent::Opened { stream, label, .. } = event {
                    let wanted = session.is_none_or(|session| session.as_str() == label);
                    if let (true, Ok(id)) = (wanted, SessionId::new(label)) {
                        // Its first records come before the one that names it.
                        let early = found.take().filter(|history| history.stream == *stream);
                        let history = early.unwrap_or_else(|| Self::begin(id.clone(), *stream, record.time));
                        found = Some(Self { session: id, ..history });
                    }
                }
                if let TrailEvent::Ledger(LedgerEvent::Opened { did, .. }) = event {
                    accounts.push(did.clone());
                }
            }
            let genesis = record.seq == 0 && record.stream >= StreamNo::FIRST_SESSION;
            if genesis && let hv_core::audit::Kind::Genesis { label } = entry.kind {
                let wanted = session.is_none_or(|session| session.as_str() == label);
                if let (true, Ok(id)) = (wanted, SessionId::new(label)) {
                    found = Some(Self::begin(id, record.stream, record.time));
                }
            }
            if let Some(history) = &mut found {
                history.accounts.clone_from(&accounts);
                history.take(record);
            }
            Ok(())
        })
        .map_err(|error| {
            if unreadable { RunFailure::Unreadable { what: "a record" } } else { error.into() }
        })?;
        Ok(found)
    }

    fn begin(session: SessionId, stream: StreamNo, started: Timestamp) -> Self {
        Self {
            session,
            created: None,
            stream,
            started,
            ended: None,
            root: None,
            agents: Vec::new(),
            vouches: Vec::new(),
            slashes: Vec::new(),
            charges: Vec::new(),
            denials: Vec::new(),
            sagas: Vec::new(),
            notes: Vec::new(),
            members: Vec::new(),
            accounts: Vec::new(),
            bonds: BTreeMap::new(),
            slashed: None,
        }
    }

    /// A saga by name.
    pub(crate) fn saga(&self, id: &str) -> Option<&SagaHistory> {
        self.sagas.iter().find(|saga| saga.id.as_str() == id)
    }

    /// Whether everything in the rehearsal was done, and what had an effect undone.
    pub(crate) fn rehearsed_well(&self) -> bool {
        let well = |step: &StepHistory| match step.def.has_effect() {
            true => step.state == StepState::Compensated,
            false => step.state == StepState::Committed,
        };
        self.saga(super::engine::REHEARSAL).is_some_and(|saga| saga.steps.iter().all(well))
    }

    /// What was to be undone, had an undo, and was not: from then on nothing of the same action counted as undoable
    /// without a rehearsal.
    pub(crate) fn failed_undos(&self) -> Vec<FailedUndoReport> {
        let steps = self.sagas.iter().flat_map(|saga| saga.steps.iter().map(move |step| (saga, step)));
        let failed =
            steps.filter(|(_, step)| step.state == StepState::CompensationFailed && step.def.undo.is_some());
        failed
            .map(|(saga, step)| FailedUndoReport {
                action: step.def.action.clone(),
                agent: step.def.agent.clone(),
                saga: saga.id.clone(),
                step: step.def.id.clone(),
                reason: step.not_undone.clone().unwrap_or_default(),
                settled: step.settled,
            })
            .collect()
    }

    /// Whether there is something that could not be undone, and a person has seen to all of it.
    pub(crate) fn is_settled(&self) -> bool {
        let steps = self.sagas.iter().flat_map(|saga| &saga.steps);
        let mut failed = steps.filter(|step| step.state == StepState::CompensationFailed).peekable();
        failed.peek().is_some() && failed.all(|step| step.settled.is_some())
    }

    fn settle(&mut self, saga: u32, step: u32, how: Settled) {
        let saga = self.sagas.get_mut(saga as usize);
        if let Some(step) = saga.and_then(|saga| saga.steps.get_mut(step as usize)) {
            step.settled = Some(how);
        }
    }

    /// What was noted last under a name.
    pub(crate) fn note(&self, key: &str) -> Option<Digest> {
        self.notes.iter().rev().find(|(name, _)| name == key).map(|(_, id)| *id)
    }

    /// Whether a run began the session: it says what it was started with, or was interrupted before it could, and then
    /// nothing is in it.
    pub(crate) fn is_of_a_run(&self) -> bool {
        let untouched = self.notes.is_empty() && self.agents.is_empty() && self.sagas.is_empty();
        untouched || self.note(super::begun::NOTE).is_some()
    }

    fn take(&mut self, record: TrailRecord) {
        let (time, own) = (record.time, record.stream == self.stream);
        let mut started = None;
        // What was brought and does not count stands before the denial that it did not avert.
        let mut rejected = Vec::new();
        for event in record.events {
            match event {
                TrailEvent::Closed { root, stream, .. } if own && stream == self.stream => {
                    (self.root, self.ended) = (Some(root), Some(time));
                }
                TrailEvent::Ledger(event) => self.ledger(&event, record.lsn),
                // What is refused behind its end is of somebody else.
                TrailEvent::Node(NodeEvent::Denied { denial }) if self.ended.is_none() => {
                    self.denied(denial, Vec::new());
                }
                TrailEvent::Node(event) => self.node(&event),
                TrailEvent::Session(event) if own => match *event {
                    SessionEvent::Saga { saga, event } => {
                        let attached = record.attached.first().map(|payload| payload.id());
                        // What undoes a step may have come to need more than the step did.
                        if let SagaEvent::Started { step, purpose, .. } = event {
                            started = (purpose == Purpose::Execute).then_some((saga, step));
                        }
                        if let Some(saga) = self.sagas.get_mut(saga as usize) {
                            saga.take(&event, time, attached);
                        }
                    }
                    SessionEvent::Granted { ring, .. } => {
                        let step = started.take().and_then(|(saga, step)| {
                            self.sagas.get_mut(saga as usize)?.steps.get_mut(step as usize)
                        });
                        if let Some(step) = step {
                            step.ring = Some(step.ring.map_or(ring, |before| before.min(ring)));
                        }
                    }
                    SessionEvent::Rejected { rejected: why } => rejected.push(why.to_string()),
                    SessionEvent::Denied { denial } => self.denied(denial, std::mem::take(&mut rejected)),
                    event => {
                        let attached = record.attached.first().map(|payload| payload.id());
                        self.session(event, attached, record.lsn);
                    }
                },
                _ => {}
            }
        }
    }

    fn node(&mut self, event: &NodeEvent) {
        match event {
            NodeEvent::ItemSettled { stream, saga, step, how, .. } if *stream == self.stream.0 => match how {
                Settlement::Resolved {} => self.settle(*saga, *step, Settled::Resolved),
                Settlement::Skipped {} => self.settle(*saga, *step, Settled::Skipped),
                Settlement::Retried {} => {}
            },
            NodeEvent::UndoEnded { stream, saga, step, result: Retried::Undone {}, .. }
                if *stream == self.stream.0 =>
            {
                self.settle(*saga, *step, Settled::Undone);
            }
            _ => {}
        }
    }

    fn session(&mut self, event: SessionEvent, attached: Option<Digest>, lsn: Lsn) {
        match event {
            SessionEvent::Session { event: MembershipEvent::Created { creator, config, .. } } => {
                self.created = Some((creator, config));
            }
            SessionEvent::Session { event: MembershipEvent::Joined { did, .. } } => self.members.push(did),
            SessionEvent::Session { event: MembershipEvent::Evicted { member, reason } } => {
                let did = self.members.get(member as usize);
                let agent = self.agents.iter_mut().find(|agent| Some(&agent.did) == did);
                if let Some(agent) = agent {
                    agent.put_out = Some(reason.to_string());
                }
            }
            SessionEvent::Assessed { member, sigma, ring, .. } => {
                let Some(did) = self.members.get(member as usize) else { return };
                let now = AgentReport { did: did.clone(), sigma, ring, put_out: None };
                let Some(agent) = self.agents.iter_mut().find(|agent| agent.did == now.did) else {
                    return self.agents.push(now);
                };
                let before = std::mem::replace(agent, now);
                // A slash and what follows from it are one batch.
                let slash = self.slashes.last_mut().filter(|_| self.slashed == Some(lsn));
                if let Some(slash) = slash.filter(|_| ring > before.ring) {
                    let (agent, from, to) = (before.did, before.ring, ring);
                    slash.demoted.push(DemotionReport { agent, from, to, sigma });
                }
            }
            SessionEvent::SagaOpened { id, .. } => {
                let state = SagaState::New;
                let (steps, committed, undone) = (Vec::new(), Vec::new(), Vec::new());
                self.sagas.push(SagaHistory { id, state, cause: None, steps, committed, undone });
            }
            SessionEvent::Noted { key } => self.notes.extend(attached.map(|id| (key, id))),
            SessionEvent::Session { .. }
            | SessionEvent::Registered { .. }
            | SessionEvent::Saga { .. }
            | SessionEvent::Granted { .. }
            | SessionEvent::UndoAccepted { .. }
            | SessionEvent::Rehearsal { .. }
            | SessionEvent::RehearsalDemanded { .. }
            | SessionEvent::VotersNamed { .. }
            | SessionEvent::Overridden { .. }
            | SessionEvent::Certified { .. }
            | SessionEvent::Elevated { .. }
            | SessionEvent::IntentRuled { .. }
            | SessionEvent::IntentDeclared { .. }
            | SessionEvent::IntentUsed { .. }
            | SessionEvent::Ports { .. }
            | SessionEvent::DriftChecked { .. }
            | SessionEvent::Denied { .. }
            | SessionEvent::Rejected { .. }
            | SessionEvent::Held { .. }
            | SessionEvent::OnBehalf { .. } => {}
        }
    }

    fn denied(&mut self, denial: Denial, rejected: Vec<String>) {
        let Denial { agent, action, request, reason, needs } = denial;
        self.denials.push(DenialReport { agent, action, request, reason, needs, rejected });
    }

    fn ledger(&mut self, event: &LedgerEvent, lsn: Lsn) {
        let session = self.stream.0;
        let name = |agent: AgentNo| self.accounts.get(agent.0 as usize).cloned();
        match event {
            LedgerEvent::Vouched { bond, session: of, voucher, vouchee, amount, .. } if of.0 == session => {
                self.bonds.insert(*bond, *amount);
                if let (Some(voucher), Some(vouchee)) = (name(*voucher), name(*vouchee)) {
                    self.vouches.push(VouchReport { voucher, vouchee, bond: *amount });
                }
            }
            LedgerEvent::Charged { offence, until, .. } => {
                let (reason, evidence, until) = (offence.reason.name().to_owned(), offence.evidence, *until);
                let charge = |agent| ChargeReport { agent, reason, evidence, until, contested: false };
                self.charges.extend(name(offence.agent).map(charge));
            }
            LedgerEvent::Disputed { evidence } => {
                let mut charges = self.charges.iter_mut();
                if let Some(charge) = charges.find(|charge| charge.evidence == *evidence) {
                    charge.contested = true;
                }
            }
            LedgerEvent::Dismissed { evidence, .. } => {
                self.charges.retain(|charge| charge.evidence != *evidence);
            }
            LedgerEvent::Slashed { slashed } => {
                self.charges.retain(|charge| charge.evidence != slashed.offence.evidence);
                let losses = slashed.toll.losses.iter();
                let losses = losses
                    .filter_map(|loss| Some(LossReport { agent: name(loss.agent)?, amount: loss.amount }));
                let losses = losses.collect();
                let bonds = slashed.toll.cuts.iter().filter_map(|cut| {
                    // Of a bond in another session only what is burned is told here.
                    let bond = self.bonds.get(&cut.bond).copied().unwrap_or(cut.burned);
                    let (voucher, vouchee) = (name(cut.voucher)?, name(cut.vouchee)?);
                    Some(BondReport { voucher, vouchee, bond, burned: cut.burned })
                });
                let bonds = bonds.collect();
                if let Some(agent) = name(slashed.offence.agent) {
                    let stood = self.agents.iter().find(|known| known.did == agent).map(|known| known.ring);
                    let offence = &slashed.offence;
                    let (fault, reason) = (offence.fault, offence.reason.name().to_owned());
                    let (evidence, demoted) = (offence.evidence, Vec::new());
                    let slash = SlashReport { agent, stood, fault, reason, evidence, losses, bonds, demoted };
                    self.slashes.push(slash);
                    self.slashed = Some(lsn);
                }
            }
            _ => {}
        }
    }
}

impl SagaHistory {
    /// Whether anything of it was executed.
    pub(crate) fn acted(&self) -> bool {
        self.steps.iter().any(|step| step.attempts.iter().any(|attempt| attempt.purpose == Purpose::Execute))
    }

    pub(crate) fn step_reports(&self, log: &dyn Log) -> Result<Vec<StepReport>, RunFailure> {
        self.steps.iter().map(|step| step.report(log)).collect()
    }

    fn take(&mut self, event: &SagaEvent, time: Timestamp, attached: Option<Digest>) {
        match event {
            SagaEvent::Created { .. } => self.state = SagaState::Running,
            SagaEvent::Appended { steps, .. } => {
                self.steps.extend(steps.iter().cloned().map(StepHistory::of))
            }
            SagaEvent::Started { step, purpose, number, .. } => {
                if let Some(step) = self.steps.get_mut(*step as usize) {
                    step.started(*purpose, *number, time);
                }
            }
            SagaEvent::Moved { step, to, .. } => {
                let Some(step) = self.steps.get_mut(*step as usize) else { return };
                step.moved(to, time, attached);
                match to {
                    Move::Committed {} => self.committed.push(step.def.id.clone()),
                    Move::Undone {} => self.undone.push(step.def.id.clone()),
                    _ => {}
                }
            }
            SagaEvent::Turned { cause, .. } => {
                (self.state, self.cause) = (SagaState::Compensating, Some(*cause))
            }
            SagaEvent::Finished { state, .. } => self.state = *state,
            SagaEvent::HandedOver { step, .. } => {
                if let Some(step) = self.steps.get_mut(*step as usize) {
                    step.handed_over();
                }
            }
            SagaEvent::Sealed {}
            | SagaEvent::Restored { .. }
            | SagaEvent::Paused { .. }
            | SagaEvent::Resumed { .. }
            | SagaEvent::Expiring { .. } => {}
        }
    }
}

impl StepHistory {
    /// From here on its substitute does it.
    fn handed_over(&mut self) {
        if let Some(agent) = self.def.substitute.clone() {
            Arc::make_mut(&mut self.def).agent = agent;
        }
    }

    fn of(def: Arc<StepDef>) -> Self {
        let (state, attempts) = (StepState::Pending, Vec::new());
        Self {
            def,
            state,
            ring: None,
            attempts,
            output: None,
            not_undone: None,
            settled: None,
            was_seen: false,
            given_up: None,
        }
    }

    pub(crate) fn id(&self) -> &StepId {
        &self.def.id
    }

    /// How much of its time an attempt has left that runs.
    pub(crate) fn time_left(&self, now: Timestamp) -> Option<Duration> {
        let running = self.attempts.last().filter(|attempt| attempt.outcome == AttemptOutcome::Running)?;
        let first = self.attempts.iter().find(|attempt| attempt.purpose == Purpose::Execute);
        let passed = first.map_or(Duration::ZERO, |first| running.started.since(first.started));
        Some(running.started.after(self.def.time_left(running.purpose, passed)).since(now))
    }

    fn report(&self, log: &dyn Log) -> Result<StepReport, RunFailure> {
        let mut attempts = self.attempts.clone();
        for attempt in &mut attempts {
            if matches!(attempt.outcome, AttemptOutcome::Failed | AttemptOutcome::Unknown) {
                attempt.printed = last_words(log, attempt.output)?;
            }
        }
        Ok(StepReport {
            id: self.def.id.clone(),
            agent: self.def.agent.clone(),
            action: self.def.action.clone(),
            ring: self.ring,
            state: self.state,
            attempts,
            undo_unproven: false,
            given_up: self.given_up.clone(),
        })
    }

    fn started(&mut self, purpose: Purpose, number: u32, started: Timestamp) {
        use hv_core::saga::StepSignal as On;
        let signal = match purpose {
            Purpose::Execute => On::ExecuteStarted,
            Purpose::Undo => On::UndoStarted,
            Purpose::Probe => On::ProbeStarted,
        };
        self.state = self.state.transition(signal).unwrap_or(self.state);
        self.attempts.push(AttemptReport {
            purpose,
            number,
            started,
            ended: None,
            outcome: AttemptOutcome::Running,
            exit: None,
            status: None,
            reason: None,
            output: None,
            printed: None,
        });
    }

    fn moved(&mut self, to: &Move, time: Timestamp, attached: Option<Digest>) {
        if to.failure().is_some_and(|failure| failure.reason == Reason::OutOfTime) {
            let limit = |limit: Option<Duration>| crate::plan::told_time(limit.unwrap_or_default());
            self.given_up = Some(match self.state {
                StepState::Pending => {
                    format!(
                        "it waited for its turn longer than start_within, {}",
                        limit(self.def.start_within)
                    )
                }
                _ => format!(
                    "its time, within {}, was over before it could be tried again",
                    limit(self.def.within)
                ),
            });
        }
        self.state = self.state.transition(to.signal()).unwrap_or(self.state);
        match to {
            Move::UndoFailed { failure } => self.not_undone = Some(failure.to_string()),
            Move::Assumed { failure } => self.was_seen |= failure.reason == Reason::Present,
            _ => {}
        }
        let running = self.attempts.last_mut().filter(|attempt| attempt.outcome == AttemptOutcome::Running);
        let Some(attempt) = running else { return };
        let failure = to.failure();
        attempt.ended = Some(time);
        attempt.outcome = outcome(attempt.purpose, to);
        attempt.output = attached;
        let said = attempt.purpose != Purpose::Probe || attempt.outcome == AttemptOutcome::Unknown;
        attempt.reason = failure.filter(|_| said).map(ToString::to_string);
        match failure.map(|failure| &failure.reason) {
            Some(Reason::Exit { code }) => attempt.exit = Some(*code),
            Some(Reason::Http { status }) => attempt.status = Some(*status),
            _ => {}
        }
        if attempt.purpose == Purpose::Execute {
            self.output = attached;
        }
        if let (AttemptOutcome::Done, Some(Task::Command(_))) =
            (attempt.outcome, self.def.task(attempt.purpose).map(|task| &**task))
        {
            attempt.exit = Some(0);
        }
    }
}

/// How an attempt ended that this move ends.
fn outcome(purpose: Purpose, to: &Move) -> AttemptOutcome {
    let failed = |failure: &Failure| match failure.class {
        Class::Unknown => AttemptOutcome::Unknown,
        Class::Retryable | Class::Permanent => AttemptOutcome::Failed,
    };
    match (purpose, to) {
        (Purpose::Probe, Move::Committed {}) => AttemptOutcome::Present,
        // A probe that says nothing has the same end; only one that answered has found something.
        (
            Purpose::Probe,
            Move::UndoRetry { failure, .. } | Move::UndoFailed { failure } | Move::Assumed { failure },
        ) if failure.reason == Reason::Present => AttemptOutcome::Present,
        (Purpose::Probe, Move::Retry { .. } | Move::Failed { .. } | Move::Undone {}) => {
            AttemptOutcome::Absent
        }
        (Purpose::Probe, _) => AttemptOutcome::Unknown,
        (Purpose::Undo, Move::Undone {} | Move::Unconfirmed { failure: None, .. }) => AttemptOutcome::Done,
        (_, Move::Committed {} | Move::Denied {} | Move::Undone {}) => AttemptOutcome::Done,
        (_, Move::Assumed { .. }) => AttemptOutcome::Unknown,
        (_, Move::Unconfirmed { failure: Some(failure), .. }) => failed(failure),
        (_, Move::Unconfirmed { failure: None, .. }) => AttemptOutcome::Unknown,
        (
            _,
            Move::Retry { failure, .. }
            | Move::Failed { failure }
            | Move::Suspect { failure, .. }
            | Move::Doubt { failure, .. }
            | Move::UndoRetry { failure, .. }
            | Move::UndoFailed { failure },
        ) => failed(failure),
    }
}

/// The end of what a program printed last: on standard error, or on standard output where that is empty. Nothing
/// where nothing was kept, or nothing of it is left.
fn last_words(log: &dyn Log, output: Option<Digest>) -> Result<Option<String>, RunFailure> {
    let Some(bytes) = output.map(|id| log.payload(&id)).transpose()?.flatten() else { return Ok(None) };
    let output = Output::from_bytes(&bytes).map_err(|_| RunFailure::Unreadable { what: "an output" })?;
    let said = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes));
    let said = said.iter().map(|text| text.trim_end()).find(|text| !text.is_empty());
    Ok(said.map(|text| {
        let from = text.char_indices().rev().nth(report::PRINTED - 1).map_or(0, |(at, _)| at);
        text.get(from..).unwrap_or_default().to_owned()
    }))
}

/// What a program printed, as text.
pub(crate) fn printed(log: &dyn Log, output: Option<Digest>) -> Result<String, RunFailure> {
    let Some(id) = output else { return Ok(String::new()) };
    let bytes = log.payload(&id)?.ok_or(RunFailure::Unreadable { what: "an output" })?;
    let output = Output::from_bytes(&bytes).map_err(|_| RunFailure::Unreadable { what: "an output" })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
