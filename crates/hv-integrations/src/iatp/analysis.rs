//! What a manifest hints at, in the words of hv.

use crate::json::BadInput;
use crate::manifest::{
    CapabilityManifest, ManifestFault, ManifestSource, PrivacyContract, Provenance, Retention, TrustLevel,
};
use core::fmt;
use hv_types::{ActionDescriptor, ActionId, ActionKind, BadIdent, Did, Reversibility, Ring, Sigma};
use std::time::Duration;

use super::read::parse_manifest;
use super::score::{IatpScore, trust_score};

/// The most that a hint weighs that came over a wire and that nobody attested: 0.60 in parts per million.
pub const UNATTESTED_SIGMA_PPM: u64 = 600_000;

/// The longest undo window that counts; a longer one counts as this.
pub const UNDO_WINDOW_MAX: Duration = Duration::from_secs(86_400);

/// Turns manifests into hints.
#[derive(Debug, Clone)]
pub struct IatpAdapter {
    namespace: String,
}

/// What a manifest hints at. Every field is a claim of the manifest's author, put into the words of hv.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestAnalysis {
    /// Whom the manifest speaks of.
    pub agent_did: Did,
    /// How well the agent is known, by its own account.
    pub trust_level: TrustLevel,
    /// The ring that this trust level suggests: verified partner 1, trusted and standard 2, the rest 3.
    /// Where it is Ring 3, it caps the standing ring; Ring 1 still needs its certificate.
    pub ring_hint: Ring,
    /// The manifest's score, 0 to 10.
    pub trust_score: IatpScore,
    /// The score as a σ, at most 0.60 where nobody attested what came over a wire.
    pub sigma_hint: Sigma,
    /// One action for each scope that can name one; one named `default` for a manifest without scopes.
    ///
    /// A claim to merge with what the operator registered, the stricter of the two in every respect. Of a
    /// manifest that came over a wire unattested, every action is stated as one that cannot be undone.
    pub actions: Vec<ActionDescriptor>,
    /// Whether any action that changes something claims that it can be taken back, wholly or in part.
    pub has_reversible_actions: bool,
    /// Whether any action that changes something cannot be taken back.
    pub has_non_reversible_actions: bool,
    /// All scopes, as they stand in the manifest.
    pub scopes: Vec<String>,
    /// For how long the agent says that its actions can be taken back, at most [`UNDO_WINDOW_MAX`].
    pub undo_window: Option<Duration>,
    /// How soon the agent promises to answer.
    pub sla_latency: Option<Duration>,
    /// How many requests a minute the agent accepts.
    pub rate_limit: Option<u64>,
    /// Whether requests may be sent twice, by the agent's own account.
    pub idempotent: bool,
    /// What the agent says that it does with data.
    pub privacy: PrivacyContract,
    /// When what the agent was given is to be purged, by its own account.
    pub purge: PurgeClass,
}

/// When data that an agent was given are to be purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PurgeClass {
    /// When the session ends.
    SessionEnd,
    /// When the node's retention period ends.
    Retention,
    /// Never by itself.
    Never,
}

/// Why a manifest hints at nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestError {
    /// The text is no manifest.
    Input(BadInput),
    /// There is no manifest to be had.
    Source(ManifestFault),
    /// Whom it speaks of cannot be told: neither a DID nor a name that can end one.
    AgentId(BadIdent),
    /// It speaks of another agent than the one that joins.
    OtherAgent {
        /// Whom the manifest speaks of.
        manifest: Did,
        /// Who joins.
        joining: Did,
    },
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(bad) => write!(f, "manifest: {bad}"),
            Self::Source(fault) => fault.fmt(f),
            Self::AgentId(bad) => write!(f, "manifest: `agent_id`: {bad}"),
            Self::OtherAgent { manifest, joining } => {
                write!(
                    f,
                    "the manifest speaks of {manifest} and {joining} joins; give {joining} a manifest of its own"
                )
            }
        }
    }
}

impl core::error::Error for ManifestError {}

impl From<BadInput> for ManifestError {
    fn from(bad: BadInput) -> Self {
        Self::Input(bad)
    }
}

/// Bare names stand for `did:mesh:<name>`.
impl Default for IatpAdapter {
    fn default() -> Self {
        Self { namespace: "did:mesh:".to_owned() }
    }
}

impl IatpAdapter {
    /// An adapter for which a bare name in a manifest stands for the DID that starts with this and ends with
    /// the name, such as `did:web:agents.example.com:`.
    ///
    /// # Errors
    /// [`BadIdent`] where no DID starts with this.
    pub fn in_namespace(namespace: &str) -> Result<Self, BadIdent> {
        Did::new(&format!("{namespace}a"))?;
        Ok(Self { namespace: namespace.to_owned() })
    }

    /// What a manifest hints at that the embedding program gives.
    ///
    /// Says nothing about who joins; [`admit`](Self::admit) does.
    ///
    /// # Errors
    /// [`ManifestError::AgentId`] where it cannot be told whom the manifest speaks of.
    pub fn analyze_manifest(&self, manifest: &CapabilityManifest) -> Result<ManifestAnalysis, ManifestError> {
        self.analyze(manifest, Provenance::Given)
    }

    /// The same from a manifest's JSON text.
    ///
    /// # Errors
    /// [`ManifestError::Input`] where the text is no manifest, and as
    /// [`analyze_manifest`](Self::analyze_manifest).
    pub fn analyze_manifest_json(&self, text: &str) -> Result<ManifestAnalysis, ManifestError> {
        self.analyze_manifest(&parse_manifest(text)?)
    }

    /// What a manifest hints at for the agent that joins with it.
    ///
    /// # Errors
    /// [`ManifestError::OtherAgent`] where it speaks of somebody else, and as
    /// [`analyze_manifest_json`](Self::analyze_manifest_json).
    pub fn admit(
        &self,
        text: &str,
        joining: &Did,
        provenance: Provenance,
    ) -> Result<ManifestAnalysis, ManifestError> {
        let analysis = self.analyze(&parse_manifest(text)?, provenance)?;
        if analysis.agent_did == *joining {
            Ok(analysis)
        } else {
            Err(ManifestError::OtherAgent { manifest: analysis.agent_did, joining: joining.clone() })
        }
    }

    /// Fetches the manifest of the agent that joins, and reads it as [`admit`](Self::admit) does.
    ///
    /// # Errors
    /// [`ManifestError::Source`] where there is none to be had, and as [`admit`](Self::admit).
    pub fn admit_from(
        &self,
        source: &dyn ManifestSource,
        joining: &Did,
    ) -> Result<ManifestAnalysis, ManifestError> {
        let fetched = source.fetch(joining).map_err(ManifestError::Source)?;
        self.admit(&fetched.text, joining, fetched.provenance)
    }

    pub(super) fn analyze(
        &self,
        manifest: &CapabilityManifest,
        provenance: Provenance,
    ) -> Result<ManifestAnalysis, ManifestError> {
        let trust_score = trust_score(manifest);
        let actions = actions(manifest, provenance);
        let any_effect = |fits: fn(Reversibility) -> bool| {
            actions.iter().any(|action| action.kind() == ActionKind::Effect && fits(action.reversibility()))
        };
        let sigma_hint = match provenance {
            Provenance::Given | Provenance::WireAttested => trust_score.sigma(),
            Provenance::WireUnattested => trust_score.sigma().min(Sigma::capped(UNATTESTED_SIGMA_PPM)),
        };
        Ok(ManifestAnalysis {
            agent_did: self.did(&manifest.agent_id)?,
            trust_level: manifest.trust_level,
            ring_hint: ring_hint(manifest.trust_level),
            trust_score,
            sigma_hint,
            has_reversible_actions: any_effect(|undo| undo != Reversibility::None),
            has_non_reversible_actions: any_effect(|undo| undo == Reversibility::None),
            actions,
            scopes: manifest.scopes.clone(),
            undo_window: manifest.capabilities.undo_window.map(|window| window.min(UNDO_WINDOW_MAX)),
            sla_latency: manifest.capabilities.sla_latency,
            rate_limit: manifest.capabilities.rate_limit,
            idempotent: manifest.capabilities.idempotency,
            privacy: manifest.privacy_contract.clone(),
            purge: purge_class(manifest.privacy_contract.retention),
        })
    }

    fn did(&self, agent_id: &str) -> Result<Did, ManifestError> {
        let whole = if agent_id.starts_with("did:") || agent_id.is_empty() {
            Did::new(agent_id)
        } else {
            Did::new(&format!("{}{agent_id}", self.namespace))
        };
        whole.map_err(ManifestError::AgentId)
    }
}

const fn ring_hint(level: TrustLevel) -> Ring {
    match level {
        TrustLevel::VerifiedPartner => Ring::Privileged,
        TrustLevel::Trusted | TrustLevel::Standard => Ring::Standard,
        TrustLevel::Unknown | TrustLevel::Untrusted => Ring::Sandbox,
    }
}

const fn purge_class(retention: Retention) -> PurgeClass {
    match retention {
        Retention::Ephemeral => PurgeClass::SessionEnd,
        Retention::Temporary => PurgeClass::Retention,
        Retention::Permanent | Retention::Forever => PurgeClass::Never,
    }
}

/// A scope that cannot name an action (a wildcard, a space) stays among the scopes and registers nothing, and
/// what is not registered is refused.
fn actions(manifest: &CapabilityManifest, provenance: Provenance) -> Vec<ActionDescriptor> {
    let named = |scope: &str| {
        let id = ActionId::new(scope).ok()?;
        let (kind, reversibility) = match provenance {
            Provenance::WireUnattested => (ActionKind::Effect, Reversibility::None),
            _ if scope.ends_with(":read") => (ActionKind::ReadOnly, Reversibility::Full),
            Provenance::Given | Provenance::WireAttested => {
                (ActionKind::Effect, manifest.capabilities.reversibility)
            }
        };
        Some(ActionDescriptor::new(id, kind, reversibility))
    };
    if manifest.scopes.is_empty() {
        named("default").into_iter().collect()
    } else {
        manifest.scopes.iter().filter_map(|scope| named(scope)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(agent: &str, level: &str, more: &str) -> String {
        format!(
            r#"{{"agent_id": "{agent}", "trust_level": "{level}", "trust_score": 10,
                "capabilities": {{"reversibility": "full", "idempotency": true, "undo_window": "7d"}},
                "privacy_contract": {{"retention": "ephemeral"}}{more}}}"#
        )
    }

    #[test]
    fn failure_20_the_level_sets_the_ring_and_nobody_scores_himself() {
        let iatp = IatpAdapter::default();
        for (level, ring, points) in [
            ("verified_partner", Ring::Privileged, 10),
            ("trusted", Ring::Standard, 10),
            ("standard", Ring::Standard, 10),
            ("unknown", Ring::Sandbox, 8),
            ("untrusted", Ring::Sandbox, 5),
        ] {
            let analysis = iatp.analyze_manifest_json(&manifest("did:mesh:a", level, "")).unwrap();
            assert_eq!(analysis.ring_hint, ring, "{level}");
            assert_eq!(analysis.trust_score.points(), points, "{level}");
            assert_eq!(analysis.sigma_hint.ppm(), u32::from(points) * 100_000, "{level}");
        }
    }

    #[test]
    fn failure_20_a_manifest_of_another_agent_admits_nobody() {
        let iatp = IatpAdapter::default();
        let joining = Did::new("did:mesh:a").unwrap();
        for (agent, admitted) in [
            ("did:mesh:a", true),
            ("a", true),
            ("did:mesh:b", false),
            ("did:web:a", false),
            ("did:mesh:A", false),
            ("mesh:a", false),
        ] {
            let result = iatp.admit(&manifest(agent, "trusted", ""), &joining, Provenance::Given);
            assert_eq!(result.is_ok(), admitted, "{agent}");
            assert!(admitted || matches!(result, Err(ManifestError::OtherAgent { .. })), "{agent}");
        }
        for agent in ["", "a b", "did:", "a:"] {
            let result = iatp.admit(&manifest(agent, "trusted", ""), &joining, Provenance::Given);
            assert!(matches!(result, Err(ManifestError::AgentId(_))), "{agent}");
        }
    }

    #[test]
    fn failure_20_a_hint_from_a_wire_weighs_at_most_060_and_lowers_no_class() {
        let iatp = IatpAdapter::default();
        let joining = Did::new("did:mesh:a").unwrap();
        let scopes = r#", "scopes": ["repo:read", "repo:write"]"#;
        for level in TrustLevel::ALL {
            let text = manifest("a", level.name(), scopes);
            let given = iatp.admit(&text, &joining, Provenance::Given).unwrap();
            let wire = iatp.admit(&text, &joining, Provenance::WireUnattested).unwrap();
            assert_eq!(wire.sigma_hint, given.sigma_hint.min("0.60".parse().unwrap()), "{level}");
            for action in &wire.actions {
                assert_eq!(
                    (action.kind(), action.reversibility()),
                    (ActionKind::Effect, Reversibility::None),
                    "{level}"
                );
            }
            assert!(wire.has_non_reversible_actions && !wire.has_reversible_actions, "{level}");
        }
    }

    #[test]
    fn scopes_name_actions() {
        let iatp = IatpAdapter::default();
        let of = |scopes: &str| {
            let text = manifest("a", "trusted", &format!(r#", "scopes": {scopes}"#));
            let analysis = iatp.analyze_manifest_json(&text).unwrap();
            let names = |a: &ActionDescriptor| (a.id().to_string(), a.kind(), a.reversibility());
            (analysis.actions.iter().map(names).collect::<Vec<_>>(), analysis.scopes.len())
        };
        let effect = |name: &str| (name.to_owned(), ActionKind::Effect, Reversibility::Full);
        assert_eq!(of("[]"), (vec![effect("default")], 0));
        assert_eq!(
            of(r#"["repo:read", "repo:write", "repo:*", "read"]"#),
            (
                vec![
                    ("repo:read".to_owned(), ActionKind::ReadOnly, Reversibility::Full),
                    effect("repo:write"),
                    effect("read")
                ],
                4
            )
        );
    }

    #[test]
    fn a_window_beyond_a_day_counts_as_a_day() {
        let analysis = IatpAdapter::default().analyze_manifest_json(&manifest("a", "trusted", "")).unwrap();
        assert_eq!(analysis.undo_window, Some(UNDO_WINDOW_MAX));
        assert_eq!(analysis.purge, PurgeClass::SessionEnd);
    }

    #[test]
    fn what_the_contract_says_sets_when_data_are_purged() {
        for (retention, purge) in [
            ("ephemeral", PurgeClass::SessionEnd),
            ("temporary", PurgeClass::Retention),
            ("permanent", PurgeClass::Never),
            ("forever", PurgeClass::Never),
        ] {
            let text = manifest("a", "trusted", "").replace("ephemeral", retention);
            let analysis = IatpAdapter::default().analyze_manifest_json(&text).unwrap();
            assert_eq!(analysis.purge, purge, "{retention}");
            assert_eq!(analysis.privacy.retention.name(), retention);
        }
    }

    #[test]
    fn a_bare_name_belongs_to_the_namespace() {
        let iatp = IatpAdapter::in_namespace("did:web:example.com:").unwrap();
        let analysis = iatp.analyze_manifest_json(&manifest("a", "trusted", "")).unwrap();
        assert_eq!(analysis.agent_did.as_str(), "did:web:example.com:a");
        for bad in ["", "mesh:", "did:mesh", "did:me sh:"] {
            assert!(IatpAdapter::in_namespace(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_source_that_fails_admits_nobody() {
        struct Fixed(Result<crate::manifest::Fetched, ManifestFault>);
        impl ManifestSource for Fixed {
            fn fetch(&self, _: &Did) -> Result<crate::manifest::Fetched, ManifestFault> {
                self.0.clone()
            }
        }
        let iatp = IatpAdapter::default();
        let joining = Did::new("did:mesh:a").unwrap();
        let fault = ManifestFault::Unreachable { source: "sidecar".into() };
        assert_eq!(iatp.admit_from(&Fixed(Err(fault.clone())), &joining), Err(ManifestError::Source(fault)));
        let text = manifest("a", "trusted", "");
        let fetched = crate::manifest::Fetched { text, provenance: Provenance::WireUnattested };
        let analysis = iatp.admit_from(&Fixed(Ok(fetched)), &joining).unwrap();
        assert_eq!(analysis.sigma_hint.to_string(), "0.60");
    }
}
