//! One manifest a line, for programs that talk in JSON lines.

use crate::json::BadInput;
use hv_types::{ActionDescriptor, ActionKind};
use serde_json::{Value, json};
use std::time::Duration;

use super::analysis::{IatpAdapter, ManifestAnalysis, PurgeClass};
#[cfg(feature = "attestation")]
use super::attestation::{Attesters, NotAttested};
use super::read::parse_manifest;
use super::score::trust_score;
use crate::manifest::CapabilityManifest;

/// Reads a manifest from one line of JSON and answers with one line of JSON.
///
/// The answer has `trust_score` (0 to 10) and `trust_level`, and as hints `agent_did`, `ring_hint`,
/// `sigma_hint`, `actions`, `has_reversible_actions`, `has_non_reversible_actions`, `undo_window_ms`,
/// `sla_latency_ms` and `purge`. The hints are null where the manifest's `agent_id` neither is a DID nor can
/// end one: a manifest of nobody hints at nothing.
///
/// # Errors
/// As [`parse_manifest`](super::parse_manifest).
///
/// ```
/// use hv_integrations::iatp::manifest_line;
///
/// let line = r#"{"agent_id": "a", "capabilities": {}, "privacy_contract": {"retention": "temporary"}}"#;
/// assert!(manifest_line(line)?.contains(r#""trust_score":6"#));
/// # Ok::<(), hv_integrations::json::BadInput>(())
/// ```
pub fn manifest_line(line: &str) -> Result<String, BadInput> {
    let manifest = parse_manifest(line)?;
    let analysis = IatpAdapter::default().analyze_manifest(&manifest).ok();
    Ok(answer(&manifest, analysis.as_ref()).to_string())
}

/// The same for a manifest that came over a wire: the hints weigh as much as its attestation lets them.
///
/// The answer says besides `attested` (true or false) and `attested_by` (the key's name), and in `refused` why a record
/// does not count; the hints are null then, because such a manifest admits nobody.
///
/// # Errors
/// As [`manifest_line`].
#[cfg(feature = "attestation")]
pub fn attested_line(line: &str, attesters: &Attesters) -> Result<String, BadInput> {
    use crate::manifest::Provenance;

    let manifest = parse_manifest(line)?;
    let (provenance, by, refused) = match attesters.verify(line, None, super::now()) {
        Ok(attested) => (Some(Provenance::WireAttested), Some(attested.key), None),
        Err(NotAttested::None) => (Some(Provenance::WireUnattested), None, None),
        Err(why) => (None, None, Some(why.to_string())),
    };
    let analysis =
        provenance.and_then(|provenance| IatpAdapter::default().analyze(&manifest, provenance).ok());
    let mut answer = answer(&manifest, analysis.as_ref());
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("attested".to_owned(), by.is_some().into());
        fields.insert("attested_by".to_owned(), by.into());
        fields.insert("refused".to_owned(), refused.into());
    }
    Ok(answer.to_string())
}

fn answer(manifest: &CapabilityManifest, analysis: Option<&ManifestAnalysis>) -> Value {
    json!({
        "trust_score": trust_score(manifest).points(),
        "trust_level": manifest.trust_level.name(),
        "agent_did": analysis.map(|a| a.agent_did.as_str()),
        "ring_hint": analysis.map(|a| a.ring_hint.number()),
        "sigma_hint": analysis.map(|a| a.sigma_hint.to_f64()),
        "actions": analysis.map(|a| a.actions.iter().map(action).collect::<Value>()),
        "has_reversible_actions": analysis.map(|a| a.has_reversible_actions),
        "has_non_reversible_actions": analysis.map(|a| a.has_non_reversible_actions),
        "undo_window_ms": milliseconds(analysis.and_then(|a| a.undo_window)),
        "sla_latency_ms": milliseconds(analysis.and_then(|a| a.sla_latency)),
        "purge": analysis.map(|a| purge_name(a.purge)),
    })
}

fn action(action: &ActionDescriptor) -> Value {
    json!({
        "id": action.id().as_str(),
        "read_only": action.kind() == ActionKind::ReadOnly,
        "reversibility": action.reversibility().name(),
    })
}

fn milliseconds(span: Option<Duration>) -> Value {
    span.map_or(Value::Null, |span| json!(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}

const fn purge_name(purge: PurgeClass) -> &'static str {
    match purge {
        PurgeClass::SessionEnd => "session_end",
        PurgeClass::Retention => "retention",
        PurgeClass::Never => "never",
    }
}
