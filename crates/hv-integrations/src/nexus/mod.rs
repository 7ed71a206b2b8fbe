//! Trust as `nexus-trust-exchange` 0.1.0 scores it, and the adapter that turns points into σ.
//!
//! ```
//! use hv_integrations::nexus::{NexusAdapter, ReputationEngine, ReputationHistory, Tasks, TrustFacts, VerificationLevel};
//! use hv_integrations::trust::Severity;
//! use hv_types::Did;
//!
//! let nexus = NexusAdapter::new(ReputationEngine::default());
//! let agent = Did::new("did:mesh:agent-1")?;
//! let history = ReputationHistory { successful_tasks: Tasks::whole(85), ..Default::default() };
//! let facts = TrustFacts { level: VerificationLevel::Verified, ..history.into() };
//!
//! // 820 of 1000 points.
//! let sigma = nexus.resolve_sigma(&agent, Some(&facts))?;
//! assert_eq!(sigma, "0.82".parse()?);
//!
//! // Of what is on file, every slash takes its part.
//! nexus.scorer().register(&agent, facts)?;
//! nexus.report_slash(&agent, "Behavioral drift", Severity::High)?;
//! assert_eq!(nexus.resolve_sigma(&agent, None)?, "0.745".parse()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod engine;
mod line;
mod score;

pub use engine::{AGENTS_MAX, EVIDENCE_MAX, KEYS_MAX, ReputationEngine, SLASHES_TOLD, SlashEvent};
pub use line::{LINE_MAX_BYTES, trust_line};
pub use score::{
    CapabilityFacts, DataRetention, PiiHandling, PrivacyFacts, ReputationHistory, Tasks, TrustFacts,
    TrustScore, VerificationLevel, calculate_trust_score,
};

use crate::trust::{ScorerFault, Severity, SlashReport, TaskOutcome, TrustEvent, TrustScorer};
use hv_types::{Did, Digest, Sigma};

/// Turns a scorer's points into σ, and tells the scorer what happened.
#[derive(Debug, Clone)]
pub struct NexusAdapter<S> {
    scorer: S,
}

impl<S: TrustScorer> NexusAdapter<S> {
    /// An adapter to this scorer.
    pub const fn new(scorer: S) -> Self {
        Self { scorer }
    }

    /// The scorer.
    pub const fn scorer(&self) -> &S {
        &self.scorer
    }

    /// The agent's σ by the facts given, or by what the scorer has on file: a thousandth for each point.
    ///
    /// # Errors
    /// [`ScorerFault`] where the scorer has no answer, or one that is not believed. That is never trust.
    pub fn resolve_sigma(&self, agent: &Did, facts: Option<&S::Facts>) -> Result<Sigma, ScorerFault> {
        self.scorer.points(agent, facts).map(|points| points.sigma())
    }

    /// Tells the scorer that an agent was slashed.
    ///
    /// # Errors
    /// [`ScorerFault`] where the scorer could not take note.
    pub fn report_slash(&self, agent: &Did, reason: &str, severity: Severity) -> Result<(), ScorerFault> {
        self.slashed(agent, reason, severity, None)
    }

    /// The same with the evidence named, so that it may be told twice and counts once.
    ///
    /// # Errors
    /// [`ScorerFault`] where the scorer could not take note; tell it again.
    pub fn report_slash_once(
        &self,
        agent: &Did,
        reason: &str,
        severity: Severity,
        evidence: Digest,
    ) -> Result<(), ScorerFault> {
        self.slashed(agent, reason, severity, Some(evidence))
    }

    /// Tells the scorer how a task ended.
    ///
    /// # Errors
    /// [`ScorerFault`] where the scorer could not take note.
    pub fn report_task_outcome(&self, agent: &Did, outcome: TaskOutcome) -> Result<(), ScorerFault> {
        self.scorer.report(&TrustEvent::Task(agent.clone(), outcome))
    }

    fn slashed(
        &self,
        agent: &Did,
        reason: &str,
        severity: Severity,
        evidence: Option<Digest>,
    ) -> Result<(), ScorerFault> {
        let report = SlashReport { agent: agent.clone(), reason: reason.to_owned(), severity, evidence };
        self.scorer.report(&TrustEvent::Slash(report))
    }
}
