//! Asking a scorer, and telling it what happened.

use super::call::Caller;
use hv_integrations::trust::{ScorerFault, TrustEvent, TrustPoints, TrustScorer};
use hv_types::{Did, Digest, Sigma, Timestamp};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a node waits for a scorer, and how long an answer counts.
///
/// Fields are public because every value is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustSetup {
    /// The longest wait for one answer.
    pub deadline: Duration,
    /// How long an answer counts. After it, the scorer is asked again before anything else is decided.
    pub life: Duration,
    /// How long a scorer that gave no answer is not asked again.
    pub retry: Duration,
}

/// Two seconds for an answer, which counts for thirty; five seconds after a failure.
impl Default for TrustSetup {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(2),
            life: Duration::from_secs(30),
            retry: Duration::from_secs(5),
        }
    }
}

/// Answers that are kept; beyond it the one that is over first is forgotten.
const CACHE_MAX: usize = 10_000;

/// A scorer, whatever else it takes as facts.
trait Scores: Send + Sync {
    fn points(&self, agent: &Did) -> Result<TrustPoints, ScorerFault>;
    fn report(&self, key: &Digest, event: &TrustEvent) -> Result<(), ScorerFault>;
}

impl<S: TrustScorer> Scores for S {
    fn points(&self, agent: &Did) -> Result<TrustPoints, ScorerFault> {
        TrustScorer::points(self, agent, None)
    }

    fn report(&self, key: &Digest, event: &TrustEvent) -> Result<(), ScorerFault> {
        self.report_once(key, event)
    }
}

/// A scorer that is connected.
pub(crate) struct TrustPort {
    pub(crate) name: String,
    pub(crate) setup: TrustSetup,
    scorer: Arc<dyn Scores>,
    caller: Caller,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    answers: BTreeMap<Did, (Sigma, Timestamp)>,
    /// After a failure: until when the scorer is not asked, and why.
    down: Option<(Timestamp, String)>,
}

impl fmt::Debug for TrustPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustPort")
            .field("name", &self.name)
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

impl TrustPort {
    pub(crate) fn new<S: TrustScorer + 'static>(name: &str, scorer: S, setup: TrustSetup) -> Self {
        let (scorer, caller, cache) = (Arc::new(scorer), Caller::default(), Mutex::default());
        Self { name: name.to_owned(), setup, scorer, caller, cache }
    }

    /// An agent's σ and until when it counts, or why there is none.
    pub(crate) async fn ask(&self, agent: &Did, now: Timestamp) -> Result<(Sigma, Timestamp), String> {
        if let Some(known) = self.known(agent, now) {
            return known;
        }
        let (scorer, asked) = (Arc::clone(&self.scorer), agent.clone());
        let answer = self.caller.call(self.setup.deadline, move || scorer.points(&asked)).await;
        let points = match answer {
            Ok(Ok(points)) => points,
            // About this agent alone, so others are asked for all the same.
            Ok(Err(fault @ (ScorerFault::Points(_) | ScorerFault::Full { .. }))) => {
                return Err(format!("{}: {fault}", self.name));
            }
            Ok(Err(fault)) => return Err(self.down(format!("{}: {fault}", self.name), now)),
            Err(none) => return Err(self.down(format!("{}: {none}", self.name), now)),
        };
        let until = now.after(self.setup.life);
        let mut cache = self.lock();
        cache.down = None;
        if cache.answers.len() >= CACHE_MAX && !cache.answers.contains_key(agent) {
            let oldest =
                cache.answers.iter().min_by_key(|(_, (_, until))| *until).map(|(did, _)| did.clone());
            oldest.map(|did| cache.answers.remove(&did));
        }
        cache.answers.insert(agent.clone(), (points.sigma(), until));
        Ok((points.sigma(), until))
    }

    /// What needs no asking: an answer that will count for a while, or a scorer that has just failed.
    fn known(&self, agent: &Did, now: Timestamp) -> Option<Result<(Sigma, Timestamp), String>> {
        let cache = self.lock();
        if let Some((sigma, until)) = cache.answers.get(agent)
            && self.lasts(*until, now)
        {
            return Some(Ok((*sigma, *until)));
        }
        match &cache.down {
            Some((until, why)) if now < *until => Some(Err(why.clone())),
            _ => None,
        }
    }

    /// Whether an answer counts for long enough that a decision taken now still finds it.
    pub(crate) fn lasts(&self, until: Timestamp, now: Timestamp) -> bool {
        now.after(self.setup.life / 4) <= until
    }

    fn down(&self, why: String, now: Timestamp) -> String {
        self.lock().down = Some((now.after(self.setup.retry), why.clone()));
        why
    }

    /// Tells the scorer what happened. What it said of the agent before counts no more.
    pub(crate) async fn report(&self, key: Digest, event: TrustEvent) -> Result<(), String> {
        let agent = match &event {
            TrustEvent::Task(agent, _) | TrustEvent::Dispute(agent, _) => agent.clone(),
            TrustEvent::Slash(report) => report.agent.clone(),
        };
        let scorer = Arc::clone(&self.scorer);
        let taken = self.caller.call(self.setup.deadline, move || scorer.report(&key, &event)).await;
        // It may have been taken also where nothing says so.
        self.lock().answers.remove(&agent);
        match taken {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(format!("{}: {fault}", self.name)),
            Err(none) => Err(format!("{}: {none}", self.name)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
