//! One measurement a line, for programs that talk in JSON lines.

use crate::drift::{DIMENSIONS_MAX, Drift, DriftSettings, Indeterminate, Metric, ThresholdProfile};
use crate::json::{self, BadField, BadInput, Field, Node, Problem, object, shown};
use serde_json::{Value, json};

use super::native::{explain_drift, verify_embeddings};
use crate::drift::{DriftThresholds, Verdict};

/// The longest line that [`drift_line`] reads, in bytes.
pub const LINE_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Measures the drift of two embeddings from one line of JSON and answers with one line of JSON.
///
/// The line has `claimed` and `observed`, and where they are given `metric`, `weights` and `profile`. As in
/// the package, `cosine` leaves the choice to the profile. The answer has `drift_score`, `confidence`,
/// `metric_used`, `raw_distance`, `profile` (`name`, `drift_threshold`, `passed`, `severity`, on the profile's
/// own scale) and `explanation`, and on hv's scale `verdict`, `passed`, `should_slash` and `should_demote`.
/// What cannot be measured has the verdict `indeterminate`, no numbers, and a `reason`; it does not pass.
///
/// # Errors
/// [`BadInput::TooLarge`] above [`LINE_MAX_BYTES`], [`BadInput::NotJson`] for other text, and
/// [`BadInput::Field`] with the name of the first field that does not fit.
///
/// ```
/// use hv_integrations::cmvk::drift_line;
///
/// let answer = drift_line(r#"{"claimed": [0.1, 0.9], "observed": [0.1, 0.4], "metric": "chebyshev"}"#)?;
/// assert!(answer.contains(r#""drift_score":0.25"#));
///
/// let bad = drift_line(r#"{"claimed": [0.1, "0.9"], "observed": [0.1, 0.4]}"#);
/// assert_eq!(bad.unwrap_err().to_string(), "`claimed[1]` must be a number, and is a text");
/// # Ok::<(), hv_integrations::json::BadInput>(())
/// ```
pub fn drift_line(line: &str) -> Result<String, BadInput> {
    let root: Node<'_, Question<'_>> = json::read(line, LINE_MAX_BYTES)?;
    let fields = root.at("").object()?;
    let claimed = numbers(fields.claimed.at("claimed"))?;
    let observed = numbers(fields.observed.at("observed"))?;
    let weights = fields.weights.at("weights").optional().map(numbers).transpose()?;
    let settings = DriftSettings {
        metric: fields.metric.at("metric").optional().map(metric).transpose()?.flatten(),
        weights: weights.as_deref(),
        profile: fields.profile.at("profile").optional().map(profile).transpose()?,
    };
    let answer = match verify_embeddings(&claimed, &observed, &settings) {
        Ok(drift) => measured(&drift, &explanation(&claimed, &observed, weights.as_deref())),
        Err(why) => indeterminate(&why),
    };
    Ok(answer.to_string())
}

object! {
    /// A question's fields as they stand there.
    Question<'a> {
        claimed: Node<'a>,
        observed: Node<'a>,
        metric: Node<'a>,
        weights: Node<'a>,
        profile: Node<'a>,
    }
}

fn measured(drift: &Drift, explanation: &Value) -> Value {
    let severity = DriftThresholds::default().severity(drift.score);
    let verdict = severity.map_or(Verdict::Aligned, Verdict::Drifted);
    let profile = drift.profile.map(|verdict| {
        json!({
            "name": verdict.profile.name(),
            "drift_threshold": verdict.profile.drift_threshold().get(),
            "passed": verdict.passed,
            "severity": verdict.severity.name(),
        })
    });
    json!({
        "drift_score": drift.score.get(),
        "confidence": drift.confidence,
        "metric_used": drift.metric.name(),
        "raw_distance": drift.raw_distance,
        "profile": profile,
        "explanation": explanation,
        "verdict": severity.map_or("none", |severity| severity.name()),
        "passed": verdict.passed(),
        "should_slash": verdict.should_slash(),
        "should_demote": verdict.should_demote(),
    })
}

fn indeterminate(why: &Indeterminate) -> Value {
    json!({
        "drift_score": null,
        "confidence": null,
        "metric_used": null,
        "raw_distance": null,
        "profile": null,
        "explanation": null,
        "verdict": "indeterminate",
        "passed": false,
        "should_slash": false,
        "should_demote": false,
        "reason": why.to_string(),
    })
}

/// The dimensions with the largest shares; null where nothing differs.
fn explanation(claimed: &[f64], observed: &[f64], weights: Option<&[f64]>) -> Value {
    match explain_drift(claimed, observed, weights) {
        Ok(explanation) => json!({
            "primary_drift_dimension": explanation.primary,
            "top_contributors": explanation.top,
        }),
        Err(_) => Value::Null,
    }
}

fn numbers(field: Field<'_, '_>) -> Result<Vec<f64>, BadField> {
    field.items(DIMENSIONS_MAX)?.map(|item| item.number()).collect()
}

const METRICS: &[&str] = &["cosine", "euclidean", "manhattan", "chebyshev", "mahalanobis"];

/// `cosine` in just this spelling is what the package takes when nothing is said.
fn metric(field: Field<'_, '_>) -> Result<Option<Metric>, BadField> {
    let name = field.text(NAME_MAX_BYTES)?;
    let metric = Metric::ALL.into_iter().find(|metric| metric.name().eq_ignore_ascii_case(name));
    match metric {
        Some(Metric::Cosine) if name == "cosine" => Ok(None),
        Some(metric) => Ok(Some(metric)),
        None => Err(field.bad(Problem::Word { found: shown(name), allowed: METRICS })),
    }
}

const PROFILES: &[&str] = &["general", "carbon", "financial", "medical", "strict", "lenient"];

fn profile(field: Field<'_, '_>) -> Result<ThresholdProfile, BadField> {
    let name = field.text(NAME_MAX_BYTES)?;
    let unknown = || field.bad(Problem::Word { found: shown(name), allowed: PROFILES });
    ThresholdProfile::named(name).ok_or_else(unknown)
}

const NAME_MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_does_not_fit_is_named() {
        let more = |fields: &str| format!(r#"{{"claimed": [1], "observed": [2], {fields}}}"#);
        for (line, path, index) in [
            ("[]".to_owned(), "", None),
            ("{}".to_owned(), "claimed", None),
            (r#"{"claimed": [1]}"#.to_owned(), "observed", None),
            (r#"{"claimed": [1, null], "observed": [2]}"#.to_owned(), "claimed", Some(1)),
            (r#"{"claimed": [1], "observed": [true]}"#.to_owned(), "observed", Some(0)),
            (r#"{"claimed": [[1]], "observed": [1]}"#.to_owned(), "claimed", Some(0)),
            (more(r#""metric": "cityblock""#), "metric", None),
            (more(r#""metric": 1"#), "metric", None),
            (more(r#""profile": "loose""#), "profile", None),
            (more(r#""weights": ["1"]"#), "weights", Some(0)),
        ] {
            match drift_line(&line) {
                Err(BadInput::Field(bad)) => assert_eq!((bad.path, bad.index), (path, index), "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        for line in [r#"{"claimed": [NaN], "observed": [1]}"#, r#"{"claimed": [1e999], "observed": [1]}"#] {
            assert!(matches!(drift_line(line), Err(BadInput::NotJson { .. })), "{line}");
        }
    }

    #[test]
    fn failure_21_a_line_that_cannot_be_measured_does_not_pass() {
        for line in [
            r#"{"claimed": [], "observed": []}"#,
            r#"{"claimed": [1], "observed": [1, 2]}"#,
            r#"{"claimed": [0, 0], "observed": [1, 2], "metric": "euclidean"}"#,
            r#"{"claimed": [1, 2], "observed": [1, 2], "weights": [0, 0]}"#,
        ] {
            let answer: Value = serde_json::from_str(&drift_line(line).unwrap()).unwrap();
            assert_eq!(answer["verdict"], "indeterminate", "{line}");
            assert_eq!((&answer["passed"], &answer["drift_score"]), (&json!(false), &Value::Null), "{line}");
            assert!(answer["reason"].as_str().unwrap().len() > 10, "{line}");
        }
    }
}
