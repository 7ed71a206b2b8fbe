//! The real SCAK: failures out, patches in as proposals.

use super::process::Bridge;
use super::{BridgeFault, Kernel, at};
use crate::correction::{CorrectionFault, FailureKind, FailureReport, Heard, Proposal, SelfCorrection};
use hv_types::Did;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// `scak` behind a bridge.
#[derive(Debug)]
pub struct ScakBridge {
    bridge: Bridge,
}

impl ScakBridge {
    /// A bridge to the package that this Python has.
    #[must_use]
    pub fn new(python: &Path, deadline: Duration) -> Self {
        Self::over(Bridge::new(python, Kernel::Scak, deadline))
    }

    /// The same over a bridge of one's own.
    #[must_use]
    pub const fn over(bridge: Bridge) -> Self {
        Self { bridge }
    }

    /// The bridge.
    pub const fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// Tells the package of a failure in its own words.
    ///
    /// # Errors
    /// [`BridgeFault`].
    pub fn failed(&self, agent: &Did, error: &str, context: &Value) -> Result<Heard, BridgeFault> {
        heard(
            &self
                .bridge
                .ask("failure", json!({ "agent": agent.as_str(), "error": error, "context": context }))?,
        )
    }

    /// Tells the package what an agent was asked for and what it answered, so that it hears of those that give up.
    ///
    /// # Errors
    /// [`BridgeFault`].
    pub fn answered(&self, agent: &Did, asked: &str, answer: &str) -> Result<Heard, BridgeFault> {
        heard(
            &self
                .bridge
                .ask("outcome", json!({ "agent": agent.as_str(), "asked": asked, "answer": answer }))?,
        )
    }

    /// The failures of an agent that the package knows of, at most 1 000.
    ///
    /// # Errors
    /// [`BridgeFault`].
    pub fn failures(&self, agent: &Did) -> Result<u64, BridgeFault> {
        count(&self.bridge.ask("failures", json!({ "agent": agent.as_str() }))?)
    }
}

impl SelfCorrection for ScakBridge {
    /// Put so that the package knows what it was: it classifies failures by the words in them.
    fn hear(&self, report: &FailureReport) -> Result<Heard, CorrectionFault> {
        let FailureReport { agent, kind, what, step, action } = report;
        let said = match kind {
            FailureKind::TimedOut => format!("timeout: {what}"),
            FailureKind::Refused => format!("blocked by the control plane: {what}"),
            FailureKind::Failed | FailureKind::Drifted | FailureKind::GaveUp => what.clone(),
        };
        let heard = match kind {
            FailureKind::GaveUp => self.answered(agent, action.as_deref().unwrap_or_default(), &said),
            _ => self.failed(agent, &said, &json!({ "step": step, "action": action })),
        };
        heard.map_err(|fault| CorrectionFault(fault.to_string()))
    }
}

fn heard(said: &Value) -> Result<Heard, BridgeFault> {
    let text = |patch: &Value, name: &str| at(patch, name).as_str().unwrap_or_default().to_owned();
    let proposal = said.get("patch").filter(|patch| patch.is_object()).map(|patch| Proposal {
        id: text(patch, "id"),
        kind: text(patch, "kind"),
        content: text(patch, "content"),
    });
    Ok(Heard { failures: count(said)?, proposal })
}

fn count(said: &Value) -> Result<u64, BridgeFault> {
    let what = "the number of failures is missing";
    at(said, "failures").as_u64().ok_or(BridgeFault::Garbled { kernel: Kernel::Scak, what })
}
