//! What is remembered of the checks of each agent, within a bound.

use crate::drift::DriftScore;
use hv_types::Did;
use std::collections::{BTreeMap, VecDeque};

use super::check::Verdict;
use super::response::{Change, Cusum, CusumState, Hysteresis, Response, Watch};

/// The most agents that are remembered. The one that was checked longest ago is forgotten for the next.
pub const AGENTS_REMEMBERED: usize = 10_000;

/// What all of it takes in memory at most, where DIDs have 32 bytes; longer ones take as much more, twice each.
pub const HISTORY_MAX_BYTES: usize = 12_000_000;

/// The most samples of an agent that are remembered one by one.
pub const SAMPLES_REMEMBERED: usize = 32;

/// The checks of all agents.
///
/// Counts, rate and mean are over every check of an agent since it is remembered; samples are the last
/// [`SAMPLES_REMEMBERED`]. It takes at most [`HISTORY_MAX_BYTES`].
#[derive(Debug, Clone, Default)]
pub struct DriftHistory {
    agents: BTreeMap<Did, Track>,
    /// Agents by their last check, the oldest first.
    by_last: BTreeMap<u64, Did>,
    checks: u64,
    failed: u64,
}

#[derive(Debug, Clone, Default)]
struct Track {
    last: u64,
    checks: u64,
    failed: u64,
    measured: u64,
    sum: f64,
    samples: VecDeque<Option<DriftScore>>,
    watch: Watch,
    cusum: CusumState,
}

impl DriftHistory {
    /// Remembers a check, and says what this and the checks before call for.
    ///
    /// Takes time in the logarithm of the number of agents.
    pub fn record(
        &mut self,
        agent: &Did,
        verdict: &Verdict,
        score: Option<DriftScore>,
        rules: (Hysteresis, Cusum),
    ) -> (Response, Option<Change>) {
        self.checks = self.checks.saturating_add(1);
        let failed = !verdict.passed();
        self.failed = self.failed.saturating_add(u64::from(failed));
        if !self.agents.contains_key(agent)
            && self.agents.len() >= AGENTS_REMEMBERED
            && let Some((_, oldest)) = self.by_last.pop_first()
        {
            self.agents.remove(&oldest);
        }
        let track = self.agents.entry(agent.clone()).or_default();
        self.by_last.remove(&track.last);
        track.last = self.checks;
        self.by_last.insert(self.checks, agent.clone());
        track.checks = track.checks.saturating_add(1);
        track.failed = track.failed.saturating_add(u64::from(failed));
        if track.samples.len() >= SAMPLES_REMEMBERED {
            track.samples.pop_front();
        }
        track.samples.push_back(score);
        let response = track.watch.observe(verdict, rules.0);
        let change = score.and_then(|score| {
            track.measured = track.measured.saturating_add(1);
            track.sum += score.get();
            track.cusum.observe(score, rules.1)
        });
        (response, change)
    }

    /// The last samples of an agent, the oldest first; nothing for one that could not be told.
    pub fn samples(&self, agent: &Did) -> impl Iterator<Item = Option<DriftScore>> {
        self.agents.get(agent).into_iter().flat_map(|track| track.samples.iter().copied())
    }

    /// The share of the agent's checks that did not pass, 0 to 1; what could not be told did not. Nothing
    /// where there was no check.
    #[must_use]
    pub fn rate(&self, agent: &Did) -> Option<f64> {
        self.agents.get(agent).map(|track| ratio(track.failed, track.checks))
    }

    /// The mean of the agent's scores, 0 to 1. Nothing where none was measured.
    #[must_use]
    pub fn mean(&self, agent: &Did) -> Option<f64> {
        let track = self.agents.get(agent).filter(|track| track.measured > 0)?;
        Some(track.sum / float(track.measured))
    }

    /// How many checks there were, of all agents, forgotten ones too.
    #[must_use]
    pub const fn total_checks(&self) -> u64 {
        self.checks
    }

    /// How many of them did not pass.
    #[must_use]
    pub const fn total_violations(&self) -> u64 {
        self.failed
    }

    /// How many agents are remembered.
    #[must_use]
    pub fn agents(&self) -> usize {
        self.agents.len()
    }

    /// Forgets an agent, such as one whose session ended.
    pub fn forget(&mut self, agent: &Did) {
        if let Some(track) = self.agents.remove(agent) {
            self.by_last.remove(&track.last);
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    float(part) / float(whole)
}

/// Exact up to 2⁵³ checks.
#[allow(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Indeterminate;
    use crate::trust::Severity;

    fn did(number: usize) -> Did {
        Did::new(&format!("did:mesh:{number}")).unwrap()
    }

    fn rules() -> (Hysteresis, Cusum) {
        (Hysteresis::default(), Cusum::default())
    }

    #[test]
    fn rate_and_mean_are_over_all_checks() {
        let mut history = DriftHistory::default();
        let agent = did(1);
        assert_eq!((history.rate(&agent), history.mean(&agent)), (None, None));
        let score = |score| DriftScore::new(score).unwrap();
        for (verdict, measured) in [
            (Verdict::Aligned, Some(score(0.0))),
            (Verdict::Drifted(Severity::Low), Some(score(0.25))),
            (Verdict::Drifted(Severity::High), Some(score(0.5))),
            (Verdict::Indeterminate(Indeterminate::Empty), None),
        ] {
            history.record(&agent, &verdict, measured, rules());
        }
        assert_eq!((history.rate(&agent), history.mean(&agent)), (Some(0.5), Some(0.25)));
        assert_eq!((history.total_checks(), history.total_violations()), (4, 2));
        assert_eq!(history.samples(&agent).last(), Some(None));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut history = DriftHistory::default();
        let record = |history: &mut DriftHistory, number| {
            history.record(&did(number), &Verdict::Aligned, Some(DriftScore::ZERO), rules());
        };
        for number in 0..AGENTS_REMEMBERED {
            record(&mut history, number);
        }
        record(&mut history, 0);
        record(&mut history, AGENTS_REMEMBERED);
        assert_eq!(history.agents(), AGENTS_REMEMBERED);
        assert!(history.rate(&did(0)).is_some() && history.rate(&did(1)).is_none());
        for _ in 0..SAMPLES_REMEMBERED * 2 {
            record(&mut history, 2);
        }
        assert_eq!(history.samples(&did(2)).count(), SAMPLES_REMEMBERED);
        history.forget(&did(2));
        assert_eq!((history.agents(), history.by_last.len()), (AGENTS_REMEMBERED - 1, AGENTS_REMEMBERED - 1));
    }
}
