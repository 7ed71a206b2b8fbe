//! One question for points a line, for programs that talk in JSON lines.

use crate::json::{self, BadField, BadInput, Field, Node, object};
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
    let score = calculate_trust_score(&facts(&json::read(line, LINE_MAX_BYTES)?)?);
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

object! {
    /// A question's fields as they stand there.
    Question<'a> {
        verification_level: Node<'a>,
        history: Node<'a, History<'a>>,
        capabilities: Node<'a, Capabilities<'a>>,
        privacy: Node<'a, Privacy<'a>>,
    }
}

object! {
    History<'a> {
        successful_tasks: Node<'a>,
        failed_tasks: Node<'a>,
        disputes_won: Node<'a>,
        disputes_lost: Node<'a>,
        uptime_days: Node<'a>,
        times_slashed: Node<'a>,
    }
}

object! {
    Capabilities<'a> { reversibility: Node<'a>, idempotency: Node<'a> }
}

object! {
    Privacy<'a> { retention_policy: Node<'a>, training_consent: Node<'a>, pii_handling: Node<'a> }
}

fn facts(root: &Node<'_, Question<'_>>) -> Result<TrustFacts, BadField> {
    let fields = root.at("").object()?;
    let given = fields.capabilities.at("capabilities").optional();
    let capabilities = given.map(|field| capabilities(field.object()?)).transpose()?;
    let given = fields.privacy.at("privacy").optional();
    let privacy = given.map(|field| privacy(field.object()?)).transpose()?;
    Ok(TrustFacts {
        level: match fields.verification_level.at("verification_level").text(WORD_MAX_BYTES)? {
            "verified_partner" => VerificationLevel::VerifiedPartner,
            "verified" => VerificationLevel::Verified,
            "registered" => VerificationLevel::Registered,
            _ => VerificationLevel::Unknown,
        },
        history: history(fields.history.at("history").object()?)?,
        capabilities,
        privacy,
    })
}

const WORD_MAX_BYTES: usize = 256;

fn history(fields: &History<'_>) -> Result<ReputationHistory, BadField> {
    let count = |field: Field<'_, '_>| field.present().map_or(Ok(0), |field| field.whole());
    let tasks =
        |field: Field<'_, '_>| field.present().map_or(Ok(0), |field| field.halves()).map(Tasks::halves);
    Ok(ReputationHistory {
        successful_tasks: tasks(fields.successful_tasks.at("history.successful_tasks"))?,
        failed_tasks: tasks(fields.failed_tasks.at("history.failed_tasks"))?,
        disputes_won: count(fields.disputes_won.at("history.disputes_won"))?,
        disputes_lost: count(fields.disputes_lost.at("history.disputes_lost"))?,
        uptime_days: count(fields.uptime_days.at("history.uptime_days"))?,
        times_slashed: count(fields.times_slashed.at("history.times_slashed"))?,
    })
}

fn capabilities(fields: &Capabilities<'_>) -> Result<CapabilityFacts, BadField> {
    Ok(CapabilityFacts {
        reversibility: match word(fields.reversibility.at("capabilities.reversibility"))? {
            "full" => Reversibility::Full,
            "partial" => Reversibility::Partial,
            _ => Reversibility::None,
        },
        idempotency: said(fields.idempotency.at("capabilities.idempotency"))?,
    })
}

fn privacy(fields: &Privacy<'_>) -> Result<PrivacyFacts, BadField> {
    Ok(PrivacyFacts {
        retention: match word(fields.retention_policy.at("privacy.retention_policy"))? {
            "ephemeral" => DataRetention::Ephemeral,
            "permanent" => DataRetention::Permanent,
            _ => DataRetention::Other,
        },
        training_consent: said(fields.training_consent.at("privacy.training_consent"))?,
        pii: match word(fields.pii_handling.at("privacy.pii_handling"))? {
            "reject" => PiiHandling::Reject,
            _ => PiiHandling::Other,
        },
    })
}

/// The word, or an empty one where there is none.
fn word<'n>(field: Field<'n, '_>) -> Result<&'n str, BadField> {
    field.optional().map_or(Ok(""), |field| field.text(WORD_MAX_BYTES))
}

/// Whether it says so; where it says nothing, it does not.
fn said(field: Field<'_, '_>) -> Result<bool, BadField> {
    field.optional().map_or(Ok(false), |field| field.truth())
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
