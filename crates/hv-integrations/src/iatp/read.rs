//! Reading a manifest's text, field by field.
//!
//! What is accepted is what the package's own model accepts: the same required fields, defaults, spellings of
//! flags and numbers, words in exactly that spelling; a name that occurs twice counts the last time; unknown
//! names are passed over. Stricter on purpose: sizes are limited, a window or latency must have a unit that
//! is known, a rate limit is not negative and has no underscores in it.

use crate::json::{self, BadField, BadInput, Field, Node, Problem, object, shown};
use crate::manifest::{AgentCapabilities, CapabilityManifest, PrivacyContract, Retention, TrustLevel};
use hv_types::Reversibility;
use serde_core::de::{Deserialize, DeserializeSeed, Deserializer, Error};
use std::time::Duration;

use super::plain;
use super::span::parse_span;

/// The longest text of a manifest that is read, in bytes.
pub const MANIFEST_MAX_BYTES: usize = 64 * 1024;

/// The longest text in a manifest's field, in bytes.
pub const ITEM_MAX_BYTES: usize = 256;

/// The most scopes that a manifest may have.
pub const SCOPES_MAX: usize = 256;

/// Reads a manifest from JSON. Takes time in the length of the text.
///
/// # Errors
/// [`BadInput::TooLarge`] above [`MANIFEST_MAX_BYTES`], [`BadInput::NotJson`] for other text, and
/// [`BadInput::Field`] with the name of the first field that does not fit.
///
/// ```
/// use hv_integrations::iatp::parse_manifest;
///
/// let manifest = parse_manifest(
///     r#"{"agent_id": "a", "capabilities": {"undo_window": "24"}, "privacy_contract": {"retention": "ephemeral"}}"#,
/// );
/// assert_eq!(
///     manifest.unwrap_err().to_string(),
///     "`capabilities.undo_window` must be a number and a unit (ms, s, m, h, d, w), such as 24h, and is `24`",
/// );
/// ```
pub fn parse_manifest(text: &str) -> Result<CapabilityManifest, BadInput> {
    plain::manifest(text).map_or_else(|| general(text), Ok)
}

/// The same for every text, whether it is plain or not.
pub(super) fn general(text: &str) -> Result<CapabilityManifest, BadInput> {
    Ok(manifest(&json::read(text, MANIFEST_MAX_BYTES)?)?)
}

object! {
    /// A manifest's fields as they stand there.
    Fields<'a> {
        agent_id: Node<'a>,
        agent_version: Node<'a>,
        trust_level: Node<'a>,
        capabilities: Node<'a, Capabilities<'a>>,
        privacy_contract: Node<'a, Privacy<'a>>,
        scopes: Node<'a>,
    }
}

object! {
    Capabilities<'a> {
        idempotency: Node<'a>,
        reversibility: Node<'a>,
        undo_window: Node<'a>,
        sla_latency: Node<'a>,
        rate_limit: Node<'a>,
    }
}

object! {
    Privacy<'a> {
        retention: Node<'a>,
        storage_location: Node<'a>,
        human_review: Node<'a>,
        encryption_at_rest: Node<'a>,
        encryption_in_transit: Node<'a>,
    }
}

fn manifest(root: &Node<'_, Fields<'_>>) -> Result<CapabilityManifest, BadField> {
    let fields = root.at("").object()?;
    Ok(CapabilityManifest {
        agent_id: text(fields.agent_id.at("agent_id"))?,
        agent_version: fields.agent_version.at("agent_version").optional().map(text).transpose()?,
        trust_level: match fields.trust_level.at("trust_level").present() {
            Some(level) => level.word(LEVEL_NAMES, &TrustLevel::ALL)?,
            None => TrustLevel::Standard,
        },
        capabilities: capabilities(fields.capabilities.at("capabilities").object()?)?,
        privacy_contract: privacy(fields.privacy_contract.at("privacy_contract").object()?)?,
        scopes: match fields.scopes.at("scopes").present() {
            Some(scopes) => scopes.items(SCOPES_MAX)?.map(text).collect::<Result<_, _>>()?,
            None => Vec::new(),
        },
    })
}

/// From any format that serde knows, so that a manifest can stand in a larger file.
impl<'de> Deserialize<'de> for CapabilityManifest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut root = Node::Missing;
        root.deserialize(d)?;
        manifest(&root).map_err(D::Error::custom)
    }
}

const LEVEL_NAMES: &[&str] = &["verified_partner", "trusted", "standard", "unknown", "untrusted"];
const RETENTION_NAMES: &[&str] = &["ephemeral", "temporary", "permanent", "forever"];
const REVERSIBILITY_NAMES: &[&str] = &["full", "partial", "none"];
const REVERSIBILITIES: [Reversibility; 3] =
    [Reversibility::Full, Reversibility::Partial, Reversibility::None];

fn capabilities(fields: &Capabilities<'_>) -> Result<AgentCapabilities, BadField> {
    Ok(AgentCapabilities {
        idempotency: flag(fields.idempotency.at("capabilities.idempotency"), false)?,
        reversibility: match fields.reversibility.at("capabilities.reversibility").present() {
            Some(word) => word.word(REVERSIBILITY_NAMES, &REVERSIBILITIES)?,
            None => Reversibility::None,
        },
        undo_window: span(fields.undo_window.at("capabilities.undo_window"))?,
        sla_latency: span(fields.sla_latency.at("capabilities.sla_latency"))?,
        rate_limit: fields
            .rate_limit
            .at("capabilities.rate_limit")
            .optional()
            .map(|limit| limit.count())
            .transpose()?,
    })
}

fn privacy(fields: &Privacy<'_>) -> Result<PrivacyContract, BadField> {
    Ok(PrivacyContract {
        retention: fields
            .retention
            .at("privacy_contract.retention")
            .word(RETENTION_NAMES, &Retention::ALL)?,
        storage_location: fields
            .storage_location
            .at("privacy_contract.storage_location")
            .optional()
            .map(text)
            .transpose()?,
        human_review: flag(fields.human_review.at("privacy_contract.human_review"), false)?,
        encryption_at_rest: flag(fields.encryption_at_rest.at("privacy_contract.encryption_at_rest"), true)?,
        encryption_in_transit: flag(
            fields.encryption_in_transit.at("privacy_contract.encryption_in_transit"),
            true,
        )?,
    })
}

fn text(field: Field<'_, '_>) -> Result<String, BadField> {
    field.text(ITEM_MAX_BYTES).map(str::to_owned)
}

fn flag(field: Field<'_, '_>, default: bool) -> Result<bool, BadField> {
    field.present().map_or(Ok(default), |field| field.flag())
}

fn span(field: Field<'_, '_>) -> Result<Option<Duration>, BadField> {
    let Some(field) = field.optional() else { return Ok(None) };
    let text = field.text(ITEM_MAX_BYTES)?;
    parse_span(text).map(Some).ok_or_else(|| field.bad(Problem::Span { found: shown(text) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str =
        r#"{"agent_id": "a", "capabilities": {}, "privacy_contract": {"retention": "forever"}}"#;

    #[test]
    fn only_three_fields_are_required() {
        let manifest = parse_manifest(LEAST).unwrap();
        assert_eq!(
            manifest,
            CapabilityManifest {
                agent_id: "a".into(),
                agent_version: None,
                trust_level: TrustLevel::Standard,
                capabilities: AgentCapabilities::default(),
                privacy_contract: PrivacyContract::new(Retention::Forever),
                scopes: Vec::new(),
            }
        );
    }

    #[test]
    fn every_field_is_read() {
        let text = r#"{
            "agent_id": "did:mesh:\u0061", "agent_version": "1", "trust_level": "unknown", "extra": [{}, 1.5, null],
            "capabilities": {"idempotency": true, "reversibility": "partial", "undo_window": "24h",
                             "sla_latency": "2000ms", "rate_limit": 60, "more": {"a": 1}},
            "privacy_contract": {"retention": "temporary", "storage_location": "eu", "human_review": "Yes",
                                 "encryption_at_rest": 0, "encryption_in_transit": "off"},
            "scopes": ["repo:read", ""], "agent_id": "last"
        }"#;
        let manifest = parse_manifest(text).unwrap();
        assert_eq!(
            manifest,
            CapabilityManifest {
                agent_id: "last".into(),
                agent_version: Some("1".into()),
                trust_level: TrustLevel::Unknown,
                capabilities: AgentCapabilities {
                    idempotency: true,
                    reversibility: Reversibility::Partial,
                    undo_window: Some(Duration::from_secs(86_400)),
                    sla_latency: Some(Duration::from_secs(2)),
                    rate_limit: Some(60),
                },
                privacy_contract: PrivacyContract {
                    retention: Retention::Temporary,
                    storage_location: Some("eu".into()),
                    human_review: true,
                    encryption_at_rest: false,
                    encryption_in_transit: false,
                },
                scopes: vec!["repo:read".into(), String::new()],
            }
        );
    }

    #[test]
    fn a_field_that_does_not_fit_is_named() {
        let caps = |fields: &str| LEAST.replace("{}", fields);
        let privacy = |fields: &str| LEAST.replace(r#""retention": "forever""#, fields);
        let long = "x".repeat(ITEM_MAX_BYTES + 1);
        for (text, path, index) in [
            ("[]".into(), "", None),
            ("{}".into(), "agent_id", None),
            (LEAST.replace(r#""a""#, "7"), "agent_id", None),
            (LEAST.replace(r#""a""#, &format!("{long:?}")), "agent_id", None),
            (LEAST.replace("{}", "null"), "capabilities", None),
            (caps(r#"{"idempotency": null}"#), "capabilities.idempotency", None),
            (caps(r#"{"idempotency": "maybe"}"#), "capabilities.idempotency", None),
            (caps(r#"{"reversibility": "Full"}"#), "capabilities.reversibility", None),
            (caps(r#"{"undo_window": 24}"#), "capabilities.undo_window", None),
            (caps(r#"{"undo_window": ""}"#), "capabilities.undo_window", None),
            (caps(r#"{"sla_latency": "5"}"#), "capabilities.sla_latency", None),
            (caps(r#"{"rate_limit": -1}"#), "capabilities.rate_limit", None),
            (caps(r#"{"rate_limit": 1.5}"#), "capabilities.rate_limit", None),
            (caps(r#"{"rate_limit": 18446744073709551616}"#), "capabilities.rate_limit", None),
            (privacy(""), "privacy_contract.retention", None),
            (privacy(r#""retention": "weekly""#), "privacy_contract.retention", None),
            (privacy(r#""retention": "forever", "human_review": 2"#), "privacy_contract.human_review", None),
            (LEAST.replacen('{', r#"{"trust_level": null, "#, 1), "trust_level", None),
            (LEAST.replacen('{', r#"{"scopes": ["a", 1], "#, 1), "scopes", Some(1)),
            (LEAST.replacen('{', r#"{"scopes": "a", "#, 1), "scopes", None),
            (
                LEAST.replacen('{', &format!(r#"{{"scopes": [{}""], "#, "\"\",".repeat(SCOPES_MAX)), 1),
                "scopes",
                None,
            ),
        ] {
            match parse_manifest(&text) {
                Err(BadInput::Field(bad)) => assert_eq!((bad.path, bad.index), (path, index), "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_manifest_can_stand_in_a_larger_file() {
        let read = |text: &str| serde_json::from_str::<Vec<CapabilityManifest>>(text);
        let two = read(&format!("[{LEAST}, {LEAST}]")).unwrap();
        assert_eq!(two, [parse_manifest(LEAST).unwrap(), parse_manifest(LEAST).unwrap()]);
        let bad = read(&format!("[{}]", LEAST.replace("forever", "weekly"))).unwrap_err();
        assert!(bad.to_string().starts_with("`privacy_contract.retention` must be one of"), "{bad}");
    }

    #[test]
    fn what_just_fits_is_read() {
        let scopes = format!(r#"{{"scopes": [{}"x"], "#, r#""x","#.repeat(SCOPES_MAX - 1));
        let text = LEAST.replacen('{', &scopes, 1);
        assert_eq!(parse_manifest(&text).unwrap().scopes.len(), SCOPES_MAX);
        let name = "x".repeat(ITEM_MAX_BYTES);
        let text = LEAST.replace(r#""a""#, &format!("{name:?}"));
        assert_eq!(parse_manifest(&text).unwrap().agent_id, name);
        let text = format!("{LEAST}{}", " ".repeat(MANIFEST_MAX_BYTES - LEAST.len()));
        assert!(parse_manifest(&text).is_ok());
        assert!(parse_manifest(&format!("{text} ")).is_err());
    }

    #[test]
    fn what_is_too_long_or_no_json_is_not_read() {
        let long = format!("{LEAST}{}", " ".repeat(MANIFEST_MAX_BYTES));
        assert!(matches!(parse_manifest(&long), Err(BadInput::TooLarge { .. })));
        let deep = "[".repeat(60_000);
        for text in ["", "{", "{\"agent_id\": NaN}", "\u{feff}{}", deep.as_str(), "{} {}"] {
            assert!(matches!(parse_manifest(text), Err(BadInput::NotJson { .. })), "{text:.20}");
        }
    }
}
