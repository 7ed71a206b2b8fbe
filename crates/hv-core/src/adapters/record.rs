//! What the trail keeps of ports and of what they said.

use hv_integrations::drift::{Hysteresis, Response};
use hv_integrations::trust::Severity;
use hv_types::{Share, Timestamp};
use std::fmt;

/// The ports that are on in a session, each by the name that the operator gave it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortsOn {
    /// Who scores trust.
    pub trust: Option<String>,
    /// Who measures drift, and how many samples it takes to act.
    pub drift: Option<(String, Hysteresis)>,
    /// Who hands out manifests.
    pub manifests: Option<String>,
    /// Who keeps context outside of the node.
    pub context: Option<String>,
    /// Who hears of failures.
    pub correction: Option<String>,
}

impl PortsOn {
    pub(crate) const NONE: Self =
        Self { trust: None, drift: None, manifests: None, context: None, correction: None };
}

/// A check of an agent's behaviour, as the trail keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftRecord {
    /// What it says.
    pub verdict: DriftVerdict,
    /// What the samples so far called for.
    pub response: Response,
    /// When it was checked.
    pub at: Timestamp,
}

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriftVerdict {
    /// The agent does what it claimed.
    Aligned {
        /// How far apart the two were, rounded up.
        score: Share,
    },
    /// It does not.
    Drifted {
        /// How far apart the two were, rounded up.
        score: Share,
        /// How bad that is.
        severity: Severity,
    },
    /// It cannot be told, which never passes.
    Indeterminate {
        /// Why.
        why: String,
    },
}

impl fmt::Display for PortsOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named =
            |name: Option<&String>| name.map_or_else(|| "off".to_owned(), |name| format!("by {name}"));
        write!(
            f,
            "trust scores {}, drift checks {}, manifests {}, context {}, correction {}",
            named(self.trust.as_ref()),
            named(self.drift.as_ref().map(|(name, _)| name)),
            named(self.manifests.as_ref()),
            named(self.context.as_ref()),
            named(self.correction.as_ref())
        )
    }
}

impl fmt::Display for DriftVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aligned { score } => write!(f, "aligned (drift {score})"),
            Self::Drifted { score, severity } => write!(f, "{severity} drift of {score}"),
            Self::Indeterminate { why } => write!(f, "indeterminate: {why}"),
        }
    }
}

impl fmt::Display for DriftRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let response = match self.response {
            Response::Nothing => "",
            Response::Demote => "; demoted",
            Response::Slash => "; slashed",
            Response::Restore => "; the demotion ends",
        };
        write!(f, "{}{response}", self.verdict)
    }
}

hv_types::wire_struct!(PortsOn { trust, drift, manifests, context, correction });
hv_types::wire_struct!(DriftRecord { verdict, response, at });
hv_types::wire_enum!(DriftVerdict {
    0 => Aligned { score },
    1 => Drifted { score, severity },
    2 => Indeterminate { why },
});
