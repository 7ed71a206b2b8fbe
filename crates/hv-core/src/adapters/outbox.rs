//! What is to be told to the scorer. It follows from the trail, so it is as durable as what it tells; what was
//! taken is recorded, so it is told at least once and, by its key, counts once.

use crate::error::Error;
use crate::event::NodeEvent;
use crate::hypervisor::Hypervisor;
use crate::node::Draft;
use hv_integrations::trust::{Severity, SlashReport, TaskOutcome, TrustEvent};
use hv_liability::Slashed;
use hv_saga::{Saga, SagaState, StepState};
use hv_types::{Did, Digest, SagaId, SessionId, Wire};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Outcomes that wait to be told. Beyond it further ones are not told; slashes always are.
pub const OUTBOX_MAX: usize = 10_000;

/// What came of telling the scorer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Reports that it took now.
    pub taken: usize,
    /// Reports that still wait.
    pub left: usize,
    /// Why they wait.
    pub why: Option<String>,
}

/// Reports that wait, in the order of what they tell.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: BTreeMap<u64, (Digest, TrustEvent)>,
    numbers: BTreeMap<Digest, u64>,
    next: u64,
    /// The scorer took no report when it was told last; the trail says so once.
    failing: bool,
}

hv_types::wire_struct!(Outbox { waiting, numbers, next, failing });
crate::seldom::blank!(
    Outbox,
    Outbox { waiting: BTreeMap::new(), numbers: BTreeMap::new(), next: 0, failing: false }
);

impl Outbox {
    fn put(&mut self, key: Digest, event: TrustEvent) {
        if self.numbers.contains_key(&key) {
            return;
        }
        self.numbers.insert(key, self.next);
        self.waiting.insert(self.next, (key, event));
        self.next += 1;
    }

    pub(crate) fn slashed(&mut self, agent: &Did, slashed: &Slashed) {
        let offence = &slashed.offence;
        let report = SlashReport {
            agent: agent.clone(),
            reason: offence.reason.name().to_owned(),
            severity: Severity::of_fault(offence.fault),
            evidence: Some(offence.evidence),
        };
        self.put(offence.evidence, TrustEvent::Slash(report));
    }

    /// The slash on this evidence is as bad as the drift that led to it.
    pub(crate) fn drifted(&mut self, evidence: &Digest, how: Severity) {
        let waiting = self.numbers.get(evidence).and_then(|number| self.waiting.get_mut(number));
        if let Some((_, TrustEvent::Slash(report))) = waiting {
            report.severity = how;
        }
    }

    pub(crate) fn ended(&mut self, outcomes: Vec<(Did, TaskOutcome, Digest)>) {
        for (agent, outcome, key) in outcomes {
            if self.waiting.len() < OUTBOX_MAX {
                self.put(key, TrustEvent::Task(agent, outcome));
            }
        }
    }

    pub(crate) fn taken(&mut self, key: &Digest) {
        if let Some(number) = self.numbers.remove(key) {
            self.waiting.remove(&number);
        }
        self.failing = false;
    }

    pub(crate) fn failed(&mut self) {
        self.failing = true;
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn first(&self) -> Option<(Digest, TrustEvent)> {
        self.waiting.first_key_value().map(|(_, report)| report.clone())
    }
}

static OUTCOME_KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key("hv 2026 task outcome v1", &[]));

/// What a saga that has ended says of those who worked on it: all did well where it completed; where it did not,
/// those whose steps failed did not. One whose undo failed is slashed, and that is told instead.
pub(crate) fn outcomes(session: &SessionId, id: &SagaId, saga: &Saga) -> Vec<(Did, TaskOutcome, Digest)> {
    let (state, outcome) = match saga.state() {
        SagaState::Completed => (StepState::Committed, TaskOutcome::Success),
        SagaState::Compensated | SagaState::Escalated => (StepState::Failed, TaskOutcome::Failure),
        _ => return Vec::new(),
    };
    let of = (0u32..).zip(saga.runs()).filter(|(_, run)| run.state == state);
    let agents: BTreeSet<&Did> = of.filter_map(|(step, _)| saga.agent(step)).collect();
    let told = |agent: &Did| {
        let mut bytes = Vec::new();
        session.put(&mut bytes);
        id.put(&mut bytes);
        agent.put(&mut bytes);
        (agent.clone(), outcome, Digest(*blake3::keyed_hash(&OUTCOME_KEY, &bytes).as_bytes()))
    };
    agents.into_iter().map(told).collect()
}

impl Hypervisor {
    /// Tells the scorer what waits to be told, in order, until it takes one no more.
    ///
    /// Called by itself when a session ends and when a drift led to a slash; call it after a restart and whenever
    /// the scorer is back. Each report waits for at most the scorer's deadline, and the first that fails ends it.
    ///
    /// # Errors
    /// [`Error::Log`], [`Error::Poisoned`]; a scorer that takes nothing is no error, the answer says so.
    pub async fn deliver_reports(&self) -> Result<Delivered, Error> {
        let mut taken = 0;
        loop {
            let (first, left) = self.node().read(|state, _| (state.outbox.first(), state.outbox.len()))?;
            let Some((key, event)) = first else { return Ok(Delivered { taken, left, why: None }) };
            let agent = match &event {
                TrustEvent::Task(agent, _) | TrustEvent::Dispute(agent, _) => agent.clone(),
                TrustEvent::Slash(report) => report.agent.clone(),
            };
            let told = match self.node().ports().trust() {
                Some(port) => port.report(key, event).await,
                None => Err("no trust scorer is connected".to_owned()),
            };
            match told {
                Ok(()) => {
                    taken += 1;
                    let events = vec![NodeEvent::Reported { key, agent }];
                    self.node().commit(|_, _| Ok((Draft::default().node(events), ()))).await?;
                }
                Err(why) => {
                    let said = why.clone();
                    self.node()
                        .commit(|state, _| {
                            let told = NodeEvent::Unreported { why: said };
                            let events = if state.outbox.failing { Vec::new() } else { vec![told] };
                            Ok((Draft::default().node(events), ()))
                        })
                        .await?;
                    return Ok(Delivered { taken, left, why: Some(why) });
                }
            }
        }
    }

    /// Reports that wait to be told.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn reports_owed(&self) -> Result<usize, Error> {
        self.node().look(|state| state.outbox.len())
    }
}
