//! The real SCAK: failures out, patches in as proposals.

use super::process::Bridge;
use super::{BridgeFault, Kernel, at};
use hv_types::Did;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// `scak` behind a bridge.
#[derive(Debug)]
pub struct ScakBridge {
    bridge: Bridge,
}

/// A change that the package proposes. It is a proposal and nothing more: whoever wants it carried out asks the
/// gate for a grant, as for everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The package's name for it.
    pub id: String,
    /// What sort it is.
    pub kind: String,
    /// What it would change, as JSON, at most 8 192 characters.
    pub content: String,
}

/// What came of telling a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The failures of the agent that the package knows of now, at most 1 000.
    pub failures: u64,
    /// What it proposes, where it does.
    pub proposal: Option<Patch>,
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

    /// Tells the package of a failure: a step that failed, a drift, work that was given up.
    ///
    /// # Errors
    /// [`BridgeFault`].
    pub fn failed(&self, agent: &Did, error: &str, context: &Value) -> Result<Told, BridgeFault> {
        let question = json!({ "agent": agent.as_str(), "error": error, "context": context });
        let said = self.bridge.ask("failure", question)?;
        let text = |patch: &Value, name: &str| at(patch, name).as_str().unwrap_or_default().to_owned();
        let proposal = said.get("patch").filter(|patch| patch.is_object()).map(|patch| Patch {
            id: text(patch, "id"),
            kind: text(patch, "kind"),
            content: text(patch, "content"),
        });
        Ok(Told { failures: count(&said)?, proposal })
    }

    /// The failures of an agent that the package knows of, at most 1 000.
    ///
    /// # Errors
    /// [`BridgeFault`].
    pub fn failures(&self, agent: &Did) -> Result<u64, BridgeFault> {
        count(&self.bridge.ask("failures", json!({ "agent": agent.as_str() }))?)
    }
}

fn count(said: &Value) -> Result<u64, BridgeFault> {
    let what = "the number of failures is missing";
    at(said, "failures").as_u64().ok_or(BridgeFault::Garbled { kernel: Kernel::Scak, what })
}
