//! A reputation engine in the process.

use crate::trust::{
    DisputeOutcome, ScorerFault, Severity, SlashReport, TaskOutcome, TrustEvent, TrustPoints, TrustScorer,
};
use hv_types::{Did, Digest};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::score::{TrustFacts, TrustScore, calculate_trust_score};

/// The most agents that an engine keeps.
pub const AGENTS_MAX: usize = 100_000;

/// The most pieces of evidence that an engine keeps against one agent.
pub const EVIDENCE_MAX: usize = 1024;

/// How many slashes of an agent an engine can still tell about; their count is kept for ever.
pub const SLASHES_TOLD: usize = 16;

/// The most keys of reports that an engine keeps, so that none of the last ones counts twice.
pub const KEYS_MAX: usize = 65_536;

/// Keeps histories and computes points from them, each time anew: no answer is older than the last report.
///
/// An agent of which nothing is on file counts as registered, without a history: 400 points. Bounded by
/// [`AGENTS_MAX`] agents and [`EVIDENCE_MAX`] pieces of evidence each.
#[derive(Debug, Default)]
pub struct ReputationEngine {
    agents: Mutex<BTreeMap<Did, OnFile>>,
    taken: Mutex<Taken>,
}

/// The keys of the last reports that were taken note of, at most [`KEYS_MAX`].
#[derive(Debug, Default)]
struct Taken {
    keys: BTreeSet<Digest>,
    order: VecDeque<Digest>,
}

#[derive(Debug, Clone, Default)]
struct OnFile {
    facts: TrustFacts,
    evidence: BTreeSet<Digest>,
    slashes: VecDeque<SlashEvent>,
}

/// A slash as it was put on file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlashEvent {
    /// Why, for people.
    pub reason: String,
    /// How bad it was.
    pub severity: Severity,
    /// What proves it.
    pub evidence: Option<Digest>,
    /// The points before.
    pub score_before: TrustPoints,
    /// The points that the severity costs.
    pub score_reduction: u16,
    /// The points before less what the severity costs. What the agent scores from now on is computed from
    /// its history, in which every slash weighs the same.
    pub score_after: TrustPoints,
}

impl ReputationEngine {
    /// Puts on file what is known of an agent, in place of what was.
    ///
    /// Its evidence and slashes stay, and so does the larger count of slashes: nobody is cleared by being
    /// registered again.
    ///
    /// # Errors
    /// [`ScorerFault::Full`] beyond [`AGENTS_MAX`] agents.
    pub fn register(&self, agent: &Did, facts: TrustFacts) -> Result<(), ScorerFault> {
        self.change(agent, |file| {
            let slashed = file.facts.history.times_slashed;
            file.facts = facts;
            file.facts.history.times_slashed = file.facts.history.times_slashed.max(slashed);
            Ok(())
        })
    }

    /// The agent's points and what they are made of.
    #[must_use]
    pub fn score(&self, agent: &Did) -> TrustScore {
        match self.lock().get(agent) {
            Some(file) => calculate_trust_score(&file.facts),
            None => calculate_trust_score(&TrustFacts::default()),
        }
    }

    /// Counts a task.
    ///
    /// # Errors
    /// [`ScorerFault::Full`] beyond [`AGENTS_MAX`] agents.
    pub fn record_task_outcome(&self, agent: &Did, outcome: TaskOutcome) -> Result<(), ScorerFault> {
        let (good, bad) = match outcome {
            TaskOutcome::Success => (2, 0),
            TaskOutcome::Failure => (0, 2),
            TaskOutcome::Partial => (1, 1),
        };
        self.change(agent, |file| {
            let history = &mut file.facts.history;
            history.successful_tasks = history.successful_tasks.plus_halves(good);
            history.failed_tasks = history.failed_tasks.plus_halves(bad);
            Ok(())
        })
    }

    /// Counts a dispute.
    ///
    /// # Errors
    /// [`ScorerFault::Full`] beyond [`AGENTS_MAX`] agents.
    pub fn record_dispute_outcome(&self, agent: &Did, outcome: DisputeOutcome) -> Result<(), ScorerFault> {
        self.change(agent, |file| {
            let history = &mut file.facts.history;
            let count = match outcome {
                DisputeOutcome::Won => &mut history.disputes_won,
                DisputeOutcome::Lost => &mut history.disputes_lost,
            };
            *count = count.saturating_add(1);
            Ok(())
        })
    }

    /// Counts a slash, and tells it. Answers nothing where the same evidence was reported before; then
    /// nothing changes.
    ///
    /// # Errors
    /// [`ScorerFault::Full`] beyond [`AGENTS_MAX`] agents or [`EVIDENCE_MAX`] pieces of evidence.
    pub fn slash_reputation(&self, report: &SlashReport) -> Result<Option<SlashEvent>, ScorerFault> {
        self.change(&report.agent, |file| {
            if let Some(evidence) = report.evidence {
                if file.evidence.contains(&evidence) {
                    return Ok(None);
                }
                if file.evidence.len() >= EVIDENCE_MAX {
                    return Err(ScorerFault::Full { limit: EVIDENCE_MAX });
                }
                file.evidence.insert(evidence);
            }
            let score_before = calculate_trust_score(&file.facts).total;
            let score_reduction = report.severity.penalty();
            let event = SlashEvent {
                reason: report.reason.chars().take(REASON_MAX_CHARS).collect(),
                severity: report.severity,
                evidence: report.evidence,
                score_before,
                score_reduction,
                score_after: score_before.less(score_reduction),
            };
            let history = &mut file.facts.history;
            history.times_slashed = history.times_slashed.saturating_add(1);
            if file.slashes.len() >= SLASHES_TOLD {
                file.slashes.pop_front();
            }
            file.slashes.push_back(event.clone());
            Ok(Some(event))
        })
    }

    /// The last slashes of an agent, at most [`SLASHES_TOLD`], the oldest first.
    #[must_use]
    pub fn slash_history(&self, agent: &Did) -> Vec<SlashEvent> {
        self.lock().get(agent).map(|file| file.slashes.iter().cloned().collect()).unwrap_or_default()
    }

    fn change<T>(
        &self,
        agent: &Did,
        change: impl FnOnce(&mut OnFile) -> Result<T, ScorerFault>,
    ) -> Result<T, ScorerFault> {
        let mut agents = self.lock();
        if !agents.contains_key(agent) && agents.len() >= AGENTS_MAX {
            return Err(ScorerFault::Full { limit: AGENTS_MAX });
        }
        change(agents.entry(agent.clone()).or_default())
    }

    /// No change of a file can stop half way, so the files are good even where a thread died with the lock.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Did, OnFile>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const REASON_MAX_CHARS: usize = 200;

impl TrustScorer for ReputationEngine {
    type Facts = TrustFacts;

    fn points(&self, agent: &Did, facts: Option<&TrustFacts>) -> Result<TrustPoints, ScorerFault> {
        Ok(match facts {
            Some(facts) => calculate_trust_score(facts).total,
            None => self.score(agent).total,
        })
    }

    fn report(&self, event: &TrustEvent) -> Result<(), ScorerFault> {
        match event {
            TrustEvent::Task(agent, outcome) => self.record_task_outcome(agent, *outcome),
            TrustEvent::Dispute(agent, outcome) => self.record_dispute_outcome(agent, *outcome),
            TrustEvent::Slash(report) => self.slash_reputation(report).map(drop),
        }
    }

    fn report_once(&self, key: &Digest, event: &TrustEvent) -> Result<(), ScorerFault> {
        // Held for as long as it takes to count, so that of two equal reports one comes second.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.keys.contains(key) {
            return Ok(());
        }
        self.report(event)?;
        if taken.order.len() >= KEYS_MAX
            && let Some(oldest) = taken.order.pop_front()
        {
            taken.keys.remove(&oldest);
        }
        taken.keys.insert(*key);
        taken.order.push_back(*key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nexus::{ReputationHistory, VerificationLevel};

    fn did(name: &str) -> Did {
        Did::new(&format!("did:mesh:{name}")).unwrap()
    }

    fn slash(agent: &Did, severity: Severity, evidence: Option<u8>) -> SlashReport {
        let evidence = evidence.map(|byte| Digest([byte; 32]));
        SlashReport { agent: agent.clone(), reason: "drift".into(), severity, evidence }
    }

    #[test]
    fn an_answer_is_never_older_than_the_last_report() {
        let engine = ReputationEngine::default();
        let agent = did("a");
        let mut seen = vec![engine.score(&agent).total.get()];
        engine.record_task_outcome(&agent, TaskOutcome::Success).unwrap();
        seen.push(engine.score(&agent).total.get());
        engine.record_task_outcome(&agent, TaskOutcome::Partial).unwrap();
        seen.push(engine.score(&agent).total.get());
        engine.record_dispute_outcome(&agent, DisputeOutcome::Lost).unwrap();
        seen.push(engine.score(&agent).total.get());
        engine.slash_reputation(&slash(&agent, Severity::High, None)).unwrap();
        seen.push(engine.score(&agent).total.get());
        assert_eq!(seen, [400, 402, 398, 348, 273]);
        assert_eq!(engine.score(&did("b")).total.get(), 400);
    }

    #[test]
    fn the_same_evidence_slashes_once() {
        let engine = ReputationEngine::default();
        let agent = did("a");
        let first = engine.slash_reputation(&slash(&agent, Severity::Critical, Some(1))).unwrap().unwrap();
        assert_eq!(
            (first.score_before.get(), first.score_reduction, first.score_after.get()),
            (400, 200, 200)
        );
        assert_eq!(engine.slash_reputation(&slash(&agent, Severity::Critical, Some(1))), Ok(None));
        assert_eq!(engine.score(&agent).total.get(), 325);
        engine.slash_reputation(&slash(&agent, Severity::Low, Some(2))).unwrap();
        assert_eq!(engine.score(&agent).total.get(), 250);
        assert_eq!(engine.slash_history(&agent).len(), 2);
    }

    #[test]
    fn a_report_under_the_same_key_counts_once() {
        let engine = ReputationEngine::default();
        let agent = did("a");
        let done = TrustEvent::Task(agent.clone(), TaskOutcome::Success);
        for _ in 0..3 {
            engine.report_once(&Digest([7; 32]), &done).unwrap();
        }
        assert_eq!(engine.score(&agent).total.get(), 402);
        engine.report_once(&Digest([8; 32]), &done).unwrap();
        assert_eq!(engine.score(&agent).total.get(), 404);
    }

    #[test]
    fn registering_again_clears_nobody() {
        let engine = ReputationEngine::default();
        let agent = did("a");
        engine.slash_reputation(&slash(&agent, Severity::High, Some(1))).unwrap();
        let fresh = TrustFacts { level: VerificationLevel::Verified, ..ReputationHistory::default().into() };
        engine.register(&agent, fresh).unwrap();
        assert_eq!(engine.score(&agent).total.get(), 650 - 75);
        assert_eq!(engine.slash_reputation(&slash(&agent, Severity::High, Some(1))), Ok(None));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let engine = ReputationEngine::default();
        let agent = did("a");
        for number in 0..EVIDENCE_MAX {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            let report = SlashReport { evidence: Some(Digest(bytes)), ..slash(&agent, Severity::Low, None) };
            engine.slash_reputation(&report).unwrap();
        }
        let full = engine.slash_reputation(&slash(&agent, Severity::Low, Some(255)));
        assert_eq!(full, Err(ScorerFault::Full { limit: EVIDENCE_MAX }));
        assert_eq!(engine.slash_history(&agent).len(), SLASHES_TOLD);
        for number in 1..AGENTS_MAX {
            engine.record_task_outcome(&did(&number.to_string()), TaskOutcome::Success).unwrap();
        }
        let beyond = engine.record_task_outcome(&did("beyond"), TaskOutcome::Success);
        assert_eq!(beyond, Err(ScorerFault::Full { limit: AGENTS_MAX }));
        assert_eq!(engine.record_task_outcome(&agent, TaskOutcome::Success), Ok(()));
    }
}
