//! A second reader of the trail: it makes its own state from the records alone and holds every one of them
//! against the invariants.

use hv_core::audit::{Entry, Lsn, StreamNo};
use hv_core::event::{KillTarget, LedgerEvent, NodeEvent, SessionEvent};
use hv_core::liability::{Ledger, SessionNo, checks};
use hv_core::saga::{Machine, Purpose, Saga, SagaEvent, SagaState, StepDef, StepState};
use hv_core::session::{Session, SessionState};
use hv_core::types::{Did, Digest, Reversibility, Ring, SagaId, SessionId, Sigma, Timestamp, Wire};
use hv_core::{TrailEvent, read_record};
use std::collections::{BTreeMap, BTreeSet};

/// What counts for somebody of whom nothing is known.
const UNKNOWN: Sigma = Sigma::capped(500_000);
/// What Ring 2 is earned above.
const STANDARD: Sigma = Sigma::capped(600_000);

/// What the trail says, taken together by somebody else than the node.
#[derive(Debug, Default)]
pub struct Shadow {
    pub ledger: Ledger,
    pub sessions: BTreeMap<StreamNo, Shade>,
    /// Sessions that ended since somebody took these.
    pub over: Vec<Shade>,
    /// What was granted: the digest of the parameters and the deadline.
    pub granted: BTreeSet<(Digest, Timestamp)>,
    /// The agents that are killed.
    pub killed: BTreeSet<Did>,
    /// Batches that hold a denial.
    pub denials: BTreeSet<Lsn>,
    /// Every record so far.
    pub records: Vec<(Lsn, StreamNo, Vec<TrailEvent>)>,
    /// How sagas ended, and how many slashes there were: what shows that something happened here.
    pub ends: BTreeMap<&'static str, u32>,
    /// The ledger before the batch that is being read.
    before: Ledger,
    /// The attempt that the last event started: the grant has to follow. First the digest of its parameters.
    started: Option<(Digest, Did, Purpose)>,
    time: Timestamp,
}

/// One open session.
#[derive(Debug, Default)]
pub struct Shade {
    pub session: Session,
    pub sagas: Vec<(SagaId, Saga)>,
}

impl Shade {
    pub fn saga(&self, id: &SagaId) -> Option<&Saga> {
        self.sagas.iter().find(|(name, _)| name == id).map(|(_, saga)| saga)
    }
}

/// The digest of a call's parameters, as docs/FORMATS.md has it: it is no secret of the node's.
fn params(saga: &SagaId, ordinal: u32, step: &StepDef, purpose: Purpose) -> Digest {
    let mut bytes = Vec::new();
    saga.put(&mut bytes);
    step.id.put(&mut bytes);
    ordinal.put(&mut bytes);
    purpose.put(&mut bytes);
    step.task(purpose).expect("what starts is defined").put(&mut bytes);
    let key = blake3::derive_key("hv 2026 call parameters v1", &[]);
    Digest(*blake3::keyed_hash(&key, &bytes).as_bytes())
}

impl Shadow {
    pub fn session(&self, id: &SessionId) -> Option<(StreamNo, &Shade)> {
        let mut all = self.sessions.iter();
        all.find(|(_, shade)| shade.session.id() == Some(id)).map(|(no, shade)| (*no, shade))
    }

    /// Takes up one record as the log has it; panics where it breaks an invariant.
    pub fn read(&mut self, entry: &Entry<'_>) {
        let record = read_record(entry).unwrap();
        self.take(record.lsn, record.time, record.stream, record.events);
    }

    /// Takes up what a record says; panics where it breaks an invariant.
    pub fn take(&mut self, lsn: Lsn, time: Timestamp, stream: StreamNo, mut events: Vec<TrailEvent>) {
        // What the log says of itself is the log's to check.
        let own = |event: &TrailEvent| {
            matches!(
                event,
                TrailEvent::Started
                    | TrailEvent::Opened { .. }
                    | TrailEvent::Closed { .. }
                    | TrailEvent::Snapshot { .. }
                    | TrailEvent::Sealed
            )
        };
        events.retain(|event| !own(event));
        if events.is_empty() {
            return;
        }
        assert!(time >= self.time, "time runs backwards on the trail");
        self.time = time;
        if self.records.last().is_none_or(|(last, ..)| *last != lsn) {
            self.before = self.ledger.clone();
        }
        for event in &events {
            match event {
                TrailEvent::Node(NodeEvent::Denied { .. }) => drop(self.denials.insert(lsn)),
                TrailEvent::Node(NodeEvent::Killed { target: KillTarget::Agent { did }, .. }) => {
                    self.killed.insert(did.clone());
                    *self.ends.entry("killed").or_default() += 1;
                }
                TrailEvent::Node(NodeEvent::KillLifted { target: KillTarget::Agent { did }, .. }) => {
                    self.killed.remove(did);
                }
                TrailEvent::Ledger(event) => self.ledger_event(event, time),
                TrailEvent::Session(event) => {
                    if matches!(**event, SessionEvent::Denied { .. }) {
                        self.denials.insert(lsn);
                    }
                    self.session_event(stream, event, time);
                }
                _ => {}
            }
        }
        assert!(self.started.is_none(), "C1: an attempt starts without a grant in its record");
        self.records.push((lsn, stream, events));
    }

    fn ledger_event(&mut self, event: &LedgerEvent, now: Timestamp) {
        let before = self.ledger.clone();
        self.ledger.apply(event).unwrap();
        checks::ledger(&self.ledger, now).unwrap();
        if let LedgerEvent::Slashed { slashed } = event {
            checks::slash(&before, &self.ledger, slashed).unwrap();
            *self.ends.entry("slashed").or_default() += 1;
        }
    }

    fn session_event(&mut self, stream: StreamNo, event: &SessionEvent, now: Timestamp) {
        if let SessionEvent::Granted { deadline, ring, sigma } = event {
            let (params, agent, purpose) =
                self.started.take().expect("a grant follows the start that it is for");
            self.granted.insert((params, *deadline));
            if purpose == Purpose::Execute {
                self.fair(stream, &agent, (*ring, *sigma), now);
            }
            return;
        }
        assert!(self.started.is_none(), "C1: an attempt starts without a grant behind it");
        let shade = self.sessions.entry(stream).or_default();
        match event {
            SessionEvent::Session { event } => {
                shade.session.apply(event).unwrap();
                if shade.session.state() == SessionState::Archived {
                    let open = shade.sagas.iter().find(|(_, saga)| !saga.state().is_terminal());
                    assert!(open.is_none(), "a session ends while a saga runs: {open:?}");
                    self.over.extend(self.sessions.remove(&stream));
                }
            }
            SessionEvent::SagaOpened { id, .. } => {
                assert!(shade.saga(id).is_none(), "the sagas of a session have different names");
                shade.sagas.push((id.clone(), Saga::default()));
            }
            SessionEvent::Saga { saga, event } => {
                let (name, machine) = &mut shade.sagas[*saga as usize];
                assert!(!machine.state().is_terminal(), "S3: {event:?} after the end");
                machine.apply(event).unwrap();
                if let SagaEvent::Started { step, purpose, .. } = event {
                    let def = machine.step(*step).unwrap().0;
                    let params = params(name, *step, def, *purpose);
                    self.started = Some((params, def.agent.clone(), *purpose));
                }
                if machine.state().is_terminal() {
                    *self.ends.entry(machine.state().name()).or_default() += 1;
                }
                if machine.state() == SagaState::Compensated {
                    let undone = |run: &hv_core::saga::StepRun| {
                        !matches!(run.state, StepState::Committed | StepState::CompensationFailed)
                    };
                    let kept = machine.steps().iter().zip(machine.runs());
                    let kept = kept.filter(|(step, run)| step.has_effect() && !undone(run)).count();
                    assert_eq!(kept, 0, "S1: compensated before every undo is confirmed");
                }
            }
            _ => {}
        }
    }

    /// Whether an execution was granted to somebody who had the trust for it then. R2, R3, R4
    fn fair(&self, stream: StreamNo, agent: &Did, (ring, sigma): (Ring, Sigma), now: Timestamp) {
        let of = |class| self.before.sigma_eff(agent, SessionNo(stream.0), class, now);
        let classes = [Reversibility::Full, Reversibility::Partial, Reversibility::None];
        let known = classes.map(of).contains(&sigma);
        let unknown = self.before.agent(agent).is_none() && sigma == UNKNOWN;
        assert!(known || unknown, "R4: {agent} was granted with σ {sigma}, which it does not have");
        let quarantined = self.before.quarantined(agent, now);
        assert!(quarantined.is_none(), "L14: {agent} was granted {ring} in quarantine");
        assert!(!self.killed.contains(agent), "{agent} was granted {ring} after it was killed");
        if ring != Ring::Sandbox {
            assert!(sigma > STANDARD, "R2: {agent} got {ring} with σ {sigma}");
        }
        assert!(
            !matches!(ring, Ring::Root | Ring::Privileged),
            "R3: {agent} got {ring} without a certificate"
        );
    }
}
