//! One question for points a line, for programs that talk in JSON lines.

use crate::json::{BadField, BadInput, Node};
use hv_types::Reversibility;
use serde_json::json;

use super::score::{
    CapabilityFacts, DataRetention, PiiHandling, PrivacyFacts, ReputationHistory, Tasks, TrustFacts,
    VerificationLevel, calculate_trust_score,
};

/// The longest line that [`trust_line`] reads, in bytes.
pub const LINE_MAX_BYTES: usize = 64 * 1024;

/// Reads what is known of an agent from one line of JSON and answers with its points on one line of JSON.
///
/// The line has `verification_level`, `history` (`successful_tasks`, `failed_tasks`, `disputes_won`,
/// `disputes_lost`, `uptime_days`, `times_slashed`, each 0 where it is missing), and where anything is known
/// `capabilities` (`reversibility`, `idempotency`) and `privacy` (`retention_policy`, `training_consent`,
/// `pii_handling`). Words that the formula does not know count neither for the agent nor against it, and a
/// level that it does not know counts as `unknown`. The answer has `total_score`, `tier`, `base_score`,
/// `behavioral_modifier`, `capability_modifier` and `sigma`.
///
/// # Errors
/// [`BadInput::TooLarge`] above [`LINE_MAX_BYTES`], [`BadInput::NotJson`] for other text, and
/// [`BadInput::Field`] with the name of the first field that does not fit. A count below 0 does not fit.
///
/// ```
/// use hv_integrations::nexus::trust_line;
///
/// let answer = trust_line(r#"{"verification_level": "verified", "history": {"successful_tasks": 85}}"#)?;
/// assert!(answer.contains(r#""total_score":820"#) && answer.contains(r#""tier":"trusted""#));
///
/// let bad = trust_line(r#"{"verification_level": "verified", "history": {"failed_tasks": -1}}"#);
/// assert!(bad.unwrap_err().to_string().starts_with("`history.failed_tasks`"));
/// # Ok::<(), hv_integrations::json::BadInput>(())
/// ```
pub fn trust_line(line: &str) -> Result<String, BadInput> {
    let score = calculate_trust_score(&facts(&Node::read(line, LINE_MAX_BYTES)?)?);
    let answer = json!({
        "total_score": score.total.get(),
        "tier": score.tier().name(),
        "base_score": score.base,
        "behavioral_modifier": score.behavioral_modifier,
        "capability_modifier": score.capability_modifier,
        "sigma": score.total.sigma().to_f64(),
    });
    Ok(answer.to_string())
}

fn facts(root: &Node<'_>) -> Result<TrustFacts, BadField> {
    let root = root.root().object()?;
    let optional = |path| root.field(path).optional().map(|field| field.object()).transpose();
    Ok(TrustFacts {
        level: match root.field("verification_level").text(WORD_MAX_BYTES)? {
            "verified_partner" => VerificationLevel::VerifiedPartner,
            "verified" => VerificationLevel::Verified,
            "registered" => VerificationLevel::Registered,
            _ => VerificationLevel::Unknown,
        },
        history: history(root.field("history").object()?)?,
        capabilities: optional("capabilities")?.map(capabilities).transpose()?,
        privacy: optional("privacy")?.map(privacy).transpose()?,
    })
}

const WORD_MAX_BYTES: usize = 256;

fn history(object: &Node<'_>) -> Result<ReputationHistory, BadField> {
    let count = |path| object.field(path).present().map_or(Ok(0), |field| field.whole());
    let tasks = |path| object.field(path).present().map_or(Ok(0), |field| field.halves()).map(Tasks::halves);
    Ok(ReputationHistory {
        successful_tasks: tasks("history.successful_tasks")?,
        failed_tasks: tasks("history.failed_tasks")?,
        disputes_won: count("history.disputes_won")?,
        disputes_lost: count("history.disputes_lost")?,
        uptime_days: count("history.uptime_days")?,
        times_slashed: count("history.times_slashed")?,
    })
}

fn capabilities(object: &Node<'_>) -> Result<CapabilityFacts, BadField> {
    Ok(CapabilityFacts {
        reversibility: match word(object, "capabilities.reversibility")? {
            "full" => Reversibility::Full,
            "partial" => Reversibility::Partial,
            _ => Reversibility::None,
        },
        idempotency: said(object, "capabilities.idempotency")?,
    })
}

fn privacy(object: &Node<'_>) -> Result<PrivacyFacts, BadField> {
    Ok(PrivacyFacts {
        retention: match word(object, "privacy.retention_policy")? {
            "ephemeral" => DataRetention::Ephemeral,
            "permanent" => DataRetention::Permanent,
            _ => DataRetention::Other,
        },
        training_consent: said(object, "privacy.training_consent")?,
        pii: match word(object, "privacy.pii_handling")? {
            "reject" => PiiHandling::Reject,
            _ => PiiHandling::Other,
        },
    })
}

/// The word, or an empty one where there is none.
fn word<'n>(object: &'n Node<'_>, path: &'static str) -> Result<&'n str, BadField> {
    object.field(path).optional().map_or(Ok(""), |field| field.text(WORD_MAX_BYTES))
}

/// Whether it says so; where it says nothing, it does not.
fn said(object: &Node<'_>, path: &'static str) -> Result<bool, BadField> {
    object.field(path).optional().map_or(Ok(false), |field| field.truth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(line: &str) -> &'static str {
        match trust_line(line) {
            Err(BadInput::Field(bad)) => bad.path,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_field_that_does_not_fit_is_named() {
        let history = |fields: &str| format!(r#"{{"verification_level": "x", "history": {{{fields}}}}}"#);
        let more = |fields: &str| format!(r#"{{"verification_level": "x", "history": {{}}, {fields}}}"#);
        for (line, path) in [
            ("7".to_owned(), ""),
            ("{}".to_owned(), "verification_level"),
            (r#"{"verification_level": 1}"#.to_owned(), "verification_level"),
            (r#"{"verification_level": "x"}"#.to_owned(), "history"),
            (history(r#""successful_tasks": -1"#), "history.successful_tasks"),
            (history(r#""successful_tasks": 0.25"#), "history.successful_tasks"),
            (history(r#""failed_tasks": "1""#), "history.failed_tasks"),
            (history(r#""uptime_days": 0.5"#), "history.uptime_days"),
            (history(r#""times_slashed": null"#), "history.times_slashed"),
            (history(r#""disputes_won": true"#), "history.disputes_won"),
            (history(r#""disputes_lost": 1e300"#), "history.disputes_lost"),
            (more(r#""capabilities": 1"#), "capabilities"),
            (more(r#""capabilities": {"idempotency": "false"}"#), "capabilities.idempotency"),
            (more(r#""capabilities": {"reversibility": 1}"#), "capabilities.reversibility"),
            (more(r#""privacy": {"training_consent": 0}"#), "privacy.training_consent"),
            (more(r#""privacy": {"pii_handling": []}"#), "privacy.pii_handling"),
        ] {
            assert_eq!(field(&line), path, "{line}");
        }
    }
}
