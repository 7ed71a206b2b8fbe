//! What `hv id verify` says.

use crate::output::one_line;
use hv_identity::{Did, Opened, Refusal};
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// The answer of `hv id verify`.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// Whether it counts now.
    pub(super) valid: bool,
    /// One word for why it does not.
    reason: Option<&'static str>,
    /// The same in a sentence.
    message: Option<String>,
    /// What sort of statement it is.
    #[serde(rename = "type")]
    kind: Option<&'static str>,
    /// The key that signed it, as did:key.
    key: Option<String>,
    /// The statement, as it was signed.
    statement: Option<Value>,
}

impl Verdict {
    pub(super) fn of(opened: &Opened) -> Self {
        let statement = opened.statement();
        Self {
            valid: true,
            reason: None,
            message: None,
            kind: Some(statement.content.kind().name()),
            key: Some(opened.key().to_string()),
            statement: serde_json::from_str(&statement.to_payload()).ok(),
        }
    }

    pub(super) fn against(refusal: &Refusal) -> Self {
        Self::not_valid(refusal.name(), refusal.to_string())
    }

    /// It counts, but is not by whom it should be by.
    pub(super) fn of_another(opened: &Opened, wanted: &Did) -> Self {
        let signer = &opened.statement().signer;
        Self::not_valid("other_signer", format!("it is by {signer}, not by {wanted}"))
    }

    fn not_valid(reason: &'static str, message: String) -> Self {
        let (reason, message) = (Some(reason), Some(message));
        Self { valid: false, reason, message, kind: None, key: None, statement: None }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(kind), Some(key)) = (self.kind, &self.key) else {
            let message = self.message.as_deref().unwrap_or_default();
            return writeln!(f, "not valid: {}", one_line(message));
        };
        writeln!(f, "valid: {kind}")?;
        writeln!(f, "  {:<14} {key}", "signed with")?;
        let members = self.statement.as_ref().and_then(Value::as_object);
        lines(f, members.into_iter().flatten())
    }
}

/// One line for each member; those of a call are set under it.
fn lines<'v>(
    f: &mut fmt::Formatter<'_>,
    members: impl Iterator<Item = (&'v String, &'v Value)>,
) -> fmt::Result {
    for (name, value) in members {
        match value {
            Value::Object(inner) => {
                for (inner_name, value) in inner {
                    line(f, &format!("{name}.{inner_name}"), value)?;
                }
            }
            value => line(f, name, value)?,
        }
    }
    Ok(())
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: &Value) -> fmt::Result {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    writeln!(f, "  {name:<14} {}", one_line(&text))
}
