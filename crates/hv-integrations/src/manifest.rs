//! Capability manifests: what an agent says of itself before it joins, and the port that fetches it.
//!
//! Every field of a manifest is a claim by its author. None of them grants anything.

use core::fmt;
use core::time::Duration;
use hv_types::{ActionDescriptor, Did, Reversibility, Ring, Sigma};
use std::sync::Arc;

/// What an agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilityManifest {
    /// Whom the manifest speaks of: a DID, or a bare name.
    pub agent_id: String,
    /// The agent's version, in whatever form it is kept.
    pub agent_version: Option<String>,
    /// How well the agent is known, by its own account.
    pub trust_level: TrustLevel,
    /// What it can do and how fast.
    pub capabilities: AgentCapabilities,
    /// What it does with data that it is given.
    pub privacy_contract: PrivacyContract,
    /// What it asks to be allowed, such as `repo:read`.
    pub scopes: Vec<String>,
}

/// How well an agent is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TrustLevel {
    /// A partner that somebody has vetted.
    VerifiedPartner,
    /// There is a history of good work.
    Trusted,
    /// No history, nothing against it.
    #[default]
    Standard,
    /// Little is known.
    Unknown,
    /// Something is known against it.
    Untrusted,
}

impl TrustLevel {
    /// All levels, the most trusted first.
    pub const ALL: [Self; 5] =
        [Self::VerifiedPartner, Self::Trusted, Self::Standard, Self::Unknown, Self::Untrusted];

    /// As it is written in a manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VerifiedPartner => "verified_partner",
            Self::Trusted => "trusted",
            Self::Standard => "standard",
            Self::Unknown => "unknown",
            Self::Untrusted => "untrusted",
        }
    }
}

impl fmt::Display for TrustLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an agent can do and how fast, by its own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCapabilities {
    /// Whether a request may be sent twice without doing its work twice.
    pub idempotency: bool,
    /// How far its actions can be taken back.
    pub reversibility: Reversibility,
    /// For how long they can be taken back.
    pub undo_window: Option<Duration>,
    /// How soon it promises to answer.
    pub sla_latency: Option<Duration>,
    /// How many requests a minute it accepts.
    pub rate_limit: Option<u64>,
}

impl Default for AgentCapabilities {
    fn default() -> Self {
        Self {
            idempotency: false,
            reversibility: Reversibility::None,
            undo_window: None,
            sla_latency: None,
            rate_limit: None,
        }
    }
}

/// What an agent does with data that it is given, by its own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivacyContract {
    /// How long it keeps the data.
    pub retention: Retention,
    /// Where it keeps them, such as `eu-west`.
    pub storage_location: Option<String>,
    /// Whether people may look at them.
    pub human_review: bool,
    /// Whether they are encrypted where they lie.
    pub encryption_at_rest: bool,
    /// Whether they are encrypted on the way.
    pub encryption_in_transit: bool,
}

impl PrivacyContract {
    /// A contract that says only how long data are kept: encrypted everywhere, seen by nobody.
    #[must_use]
    pub const fn new(retention: Retention) -> Self {
        Self {
            retention,
            storage_location: None,
            human_review: false,
            encryption_at_rest: true,
            encryption_in_transit: true,
        }
    }
}

/// How long an agent keeps the data that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retention {
    /// Until the session ends.
    Ephemeral,
    /// For some time that the manifest does not state.
    Temporary,
    /// Without end. A manifest writes it `permanent`.
    Permanent,
    /// Without end. A manifest writes it `forever`.
    Forever,
}

impl Retention {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Ephemeral, Self::Temporary, Self::Permanent, Self::Forever];

    /// As it is written in a manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ephemeral => "ephemeral",
            Self::Temporary => "temporary",
            Self::Permanent => "permanent",
            Self::Forever => "forever",
        }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a manifest came here, which says how much its words weigh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// The embedding program or the session file gave it: it counts as given.
    Given,
    /// It came over a wire, and a control plane that the operator trusts has signed for exactly it.
    WireAttested,
    /// It came over a wire and nobody has attested it.
    WireUnattested,
}

/// A manifest's text as somebody handed it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The text, unread.
    pub text: String,
    /// How it came.
    pub provenance: Provenance,
}

/// Hands out the manifests of agents: a folder, a sidecar, a registry.
///
/// An implementation bounds its own waiting and the length of what it reads; the text it returns is read as
/// something an attacker wrote.
pub trait ManifestSource: Send + Sync {
    /// The manifest of this agent.
    ///
    /// # Errors
    /// [`ManifestFault`] where there is none to be had. That is never a reason to let an agent in.
    fn fetch(&self, agent: &Did) -> Result<Fetched, ManifestFault>;
}

/// What a manifest hints at for the agent that joins with it, as far as a session needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Whom the manifest speaks of: the agent that joins.
    pub agent: Did,
    /// The trust that it hints at; at most 0.60 where nobody has attested it.
    pub sigma_hint: Sigma,
    /// The ring that the agent's trust level hints at.
    pub ring_hint: Ring,
    /// The actions that the manifest names. A claim to merge with what the operator registered, the stricter
    /// of the two in every respect.
    pub actions: Vec<ActionDescriptor>,
    /// How the manifest came.
    pub provenance: Provenance,
}

/// Reads the manifest of whoever joins: a source, and somebody who understands what it hands out.
///
/// An implementation bounds its own waiting, and admits nobody by the manifest of another agent.
pub trait Reception: Send + Sync {
    /// What the manifest of this agent hints at.
    ///
    /// # Errors
    /// [`NotAdmitted`] where there is no manifest, or none of this agent's. That is never a reason to let it in.
    fn admit(&self, joining: &Did) -> Result<Admission, NotAdmitted>;
}

impl<R: Reception + ?Sized> Reception for Arc<R> {
    fn admit(&self, joining: &Did) -> Result<Admission, NotAdmitted> {
        (**self).admit(joining)
    }
}

impl<S: ManifestSource + ?Sized> ManifestSource for Arc<S> {
    fn fetch(&self, agent: &Did) -> Result<Fetched, ManifestFault> {
        (**self).fetch(agent)
    }
}

/// Why an agent's manifest hints at nothing: one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAdmitted(pub String);

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for NotAdmitted {}

/// Why a source has no manifest to hand out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestFault {
    /// The source knows of none for this agent.
    None {
        /// Whose manifest was asked for.
        agent: Did,
    },
    /// The source could not be reached, or did not answer in time.
    Unreachable {
        /// The source, as an operator would name it.
        source: String,
    },
    /// The source's answer is longer than it may be.
    TooLarge {
        /// The most bytes that are read.
        limit: usize,
    },
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None { agent } => {
                write!(f, "there is no manifest for {agent}; give one, or let it join without")
            }
            Self::Unreachable { source } => {
                write!(f, "{source} gave no manifest; check that it runs and answers")
            }
            Self::TooLarge { limit } => write!(f, "the manifest is longer than {limit} bytes; shorten it"),
        }
    }
}

impl core::error::Error for ManifestFault {}
