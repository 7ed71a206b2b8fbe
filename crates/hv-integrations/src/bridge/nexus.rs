//! The real Nexus as a scorer.

use super::process::Bridge;
use super::{BridgeFault, Kernel, at, put};
use crate::trust::{
    DisputeOutcome, ScorerFault, SlashReport, TaskOutcome, TrustEvent, TrustPoints, TrustScorer,
};
use hv_types::{Did, Digest};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Reports that a new process is told again. The package keeps what it is told in memory only.
pub const RETOLD_MAX: usize = 10_000;

/// `nexus-trust-exchange` behind a bridge.
#[derive(Debug)]
pub struct NexusBridge {
    bridge: Bridge,
    retold: AtomicUsize,
    /// For reports without a key of their own.
    unnamed: AtomicUsize,
}

/// What the package has on file of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct NexusRecord {
    /// How often it was slashed.
    pub times_slashed: u64,
    /// For what it was slashed last, and how bad that was, in the package's words.
    pub last_slash: Option<(String, String)>,
    /// Its tasks that succeeded, partial ones as halves.
    pub successful_tasks: f64,
    /// Its tasks that failed, likewise.
    pub failed_tasks: f64,
}

impl NexusBridge {
    /// A bridge to the package that this Python has.
    #[must_use]
    pub fn new(python: &Path, deadline: Duration) -> Self {
        Self::over(Bridge::new(python, Kernel::Nexus, deadline))
    }

    /// The same over a bridge of one's own.
    #[must_use]
    pub const fn over(bridge: Bridge) -> Self {
        Self { bridge, retold: AtomicUsize::new(0), unnamed: AtomicUsize::new(0) }
    }

    /// The bridge.
    pub const fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// Tells the package what is known of an agent: an object as `hv trust score` reads it.
    ///
    /// # Errors
    /// [`BridgeFault`] where a process runs and does not take it.
    pub fn known(&self, agent: &Did, facts: &Value) -> Result<(), BridgeFault> {
        self.bridge.ask_first("known", json!({ "agent": agent.as_str(), "facts": facts }))
    }

    /// What the package has on file of an agent.
    ///
    /// # Errors
    /// [`BridgeFault`].
    pub fn record(&self, agent: &Did) -> Result<NexusRecord, BridgeFault> {
        let said = self.bridge.ask("record", json!({ "agent": agent.as_str() }))?;
        let number = |name: &str| at(&said, name).as_f64();
        let text = |name: &str| at(&said, name).as_str().map(str::to_owned);
        let last_slash = text("reason").zip(text("severity"));
        let (good, bad) = (number("successful_tasks"), number("failed_tasks"));
        match (at(&said, "times_slashed").as_u64(), good, bad) {
            (Some(times_slashed), Some(successful_tasks), Some(failed_tasks)) => {
                Ok(NexusRecord { times_slashed, last_slash, successful_tasks, failed_tasks })
            }
            _ => Err(BridgeFault::Garbled { kernel: Kernel::Nexus, what: "a record lacks a number" }),
        }
    }

    fn tell(&self, key: &str, event: &TrustEvent) -> Result<(), ScorerFault> {
        let mut fields = match event {
            TrustEvent::Task(agent, outcome) => {
                let outcome = match outcome {
                    TaskOutcome::Success => "success",
                    TaskOutcome::Failure => "failure",
                    TaskOutcome::Partial => "partial",
                };
                json!({ "agent": agent.as_str(), "what": "task", "outcome": outcome })
            }
            TrustEvent::Dispute(agent, outcome) => {
                let outcome = match outcome {
                    DisputeOutcome::Won => "won",
                    DisputeOutcome::Lost => "lost",
                };
                json!({ "agent": agent.as_str(), "what": "dispute", "outcome": outcome })
            }
            TrustEvent::Slash(SlashReport { agent, reason, severity, .. }) => {
                json!({
                    "agent": agent.as_str(), "what": "slash", "reason": in_words(reason), "severity": severity.name(),
                })
            }
        };
        put(&mut fields, "key", key);
        self.bridge.ask("report", fields.clone()).map_err(|fault| unreachable(&fault))?;
        if self.retold.fetch_add(1, Ordering::Relaxed) < RETOLD_MAX {
            // It counts once, whether it is told now or first.
            self.bridge.ask_first("report", fields).map_err(|fault| unreachable(&fault))?;
        }
        Ok(())
    }
}

/// The package has its own words for why somebody is slashed; behaviour that is not what was claimed it calls a
/// hallucination.
fn in_words(reason: &str) -> &'static str {
    match reason {
        "drift" => "hallucination",
        _ => "policy_violation",
    }
}

fn unreachable(fault: &BridgeFault) -> ScorerFault {
    ScorerFault::Unreachable { scorer: fault.to_string() }
}

impl TrustScorer for NexusBridge {
    type Facts = Value;

    fn points(&self, agent: &Did, facts: Option<&Value>) -> Result<TrustPoints, ScorerFault> {
        if let Some(facts) = facts {
            self.known(agent, facts).map_err(|fault| unreachable(&fault))?;
        }
        let said = self
            .bridge
            .ask("points", json!({ "agent": agent.as_str() }))
            .map_err(|fault| unreachable(&fault))?;
        match at(&said, "points").as_i64() {
            Some(points) => Ok(TrustPoints::new(points)?),
            None => {
                let what = "its points are no whole number";
                Err(unreachable(&BridgeFault::Garbled { kernel: Kernel::Nexus, what }))
            }
        }
    }

    fn report(&self, event: &TrustEvent) -> Result<(), ScorerFault> {
        let key = match event {
            TrustEvent::Slash(SlashReport { evidence: Some(evidence), .. }) => evidence.to_string(),
            _ => format!("unnamed-{}", self.unnamed.fetch_add(1, Ordering::Relaxed)),
        };
        self.tell(&key, event)
    }

    fn report_once(&self, key: &Digest, event: &TrustEvent) -> Result<(), ScorerFault> {
        self.tell(&key.to_string(), event)
    }
}
