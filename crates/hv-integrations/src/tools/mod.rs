//! Tool servers (Model Context Protocol): what they declare, what that is worth, and how it is taken back.
//!
//! A server's annotations are its own words. [`classify()`] turns them into a class by one rule: what a trusted
//! server calls read-only is read-only; what has an undo that was tried can be undone; everything else, silence
//! included, cannot. [`pin`] remembers definitions, so that one that changes under us is noticed; [`undo`] is
//! the catalogue of what can be taken back on well-known servers.
//!
//! [`Client`] speaks to a server over [stdio](Stdio) or over [HTTP](Http), in both eras of the protocol: with
//! the handshake (2024-11-05 to 2025-11-25), and stateless (2026-07-28).

pub mod classify;
pub mod client;
pub mod pin;
pub mod undo;

mod http;
mod stdio;
mod told;

pub use classify::{Class, Standing, Why, classify};
pub use client::{Client, Era, Failure, ServerInfo};
pub use http::Http;
pub use stdio::{Program, Stdio};

use core::fmt;
use hv_types::{ActionId, BadIdent, Digest};
use serde_json::Value;
use std::sync::LazyLock;

/// The most bytes that one message of a server may have: 16 MiB.
pub const MESSAGE_MAX_BYTES: usize = 16 << 20;
/// The most tools that are read from one server.
pub const TOOLS_MAX: usize = 10_000;
/// The most pages in which a server may hand out its tools.
pub const PAGES_MAX: usize = 1_000;

/// One tool, as its server declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name on the server.
    pub name: String,
    /// What it is called for people.
    pub title: Option<String>,
    /// What it is said to do.
    pub description: Option<String>,
    /// What the server says about its effects.
    pub hints: Hints,
    /// Digest of the whole definition, whatever stands in it.
    pub definition: Digest,
    /// Digest of the name and of what the tool takes, for which an undo was tried.
    pub shape: Digest,
}

/// What a server says about a tool's effects; nothing where it says nothing.
///
/// Source: Model Context Protocol, `ToolAnnotations`. All of them are hints, and none grants anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// It may destroy something.
    pub destructive: Option<bool>,
    /// Calling it twice does no more than calling it once.
    pub idempotent: Option<bool>,
    /// It reaches things outside the server's own.
    pub open_world: Option<bool>,
}

/// A definition that is no tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadTool {
    /// It is no JSON object.
    NotAnObject,
    /// It has no name, or an empty one, or one of more than 256 bytes.
    Name,
}

impl fmt::Display for BadTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnObject => "a tool is a JSON object",
            Self::Name => "a tool has a name of 1 to 256 bytes",
        })
    }
}

impl core::error::Error for BadTool {}

static DEFINITION_KEY: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("hv 2026 tool definition v1", &[]));
static SHAPE_KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key("hv 2026 tool shape v1", &[]));

impl Tool {
    /// Reads one entry of `tools/list`. A hint of another kind than true or false counts as silence.
    ///
    /// # Errors
    /// [`BadTool`].
    pub fn read(definition: &Value) -> Result<Self, BadTool> {
        let object = definition.as_object().ok_or(BadTool::NotAnObject)?;
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        let name = text("name").filter(|name| (1..=256).contains(&name.len())).ok_or(BadTool::Name)?;
        let hint =
            |key: &str| object.get("annotations").and_then(|all| all.get(key)).and_then(Value::as_bool);
        let hints = Hints {
            read_only: hint("readOnlyHint"),
            destructive: hint("destructiveHint"),
            idempotent: hint("idempotentHint"),
            open_world: hint("openWorldHint"),
        };
        let takes = object.get("inputSchema").unwrap_or(&Value::Null);
        let mut shape = name.clone().into_bytes();
        shape.push(0);
        canonical(takes, &mut shape);
        let mut whole = Vec::new();
        canonical(definition, &mut whole);
        Ok(Self {
            title: text("title"),
            description: text("description"),
            hints,
            definition: Digest(*blake3::keyed_hash(&DEFINITION_KEY, &whole).as_bytes()),
            shape: Digest(*blake3::keyed_hash(&SHAPE_KEY, &shape).as_bytes()),
            name,
        })
    }

    /// The action that a call of this tool is: `mcp.<server>.<tool>`, each part with what an action's name
    /// cannot hold written as `_`, and then four digits of the name's digest, so that no two tools meet.
    ///
    /// # Errors
    /// [`BadIdent`] where that is longer than a name may be.
    pub fn action(&self, server: &str) -> Result<ActionId, BadIdent> {
        ActionId::new(&format!("mcp.{}.{}", part(server), part(&self.name)))
    }
}

/// A part of an action's name.
fn part(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let plain = text.chars().all(fits) && text.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric());
    if plain {
        return text.to_owned();
    }
    let kept: String = text.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    let digest = blake3::hash(text.as_bytes()).to_hex();
    format!("{kept}-{}", digest.get(..4).unwrap_or_default())
}

/// One spelling for each JSON value: names in order, no white space.
///
/// Two values are spelt alike exactly if they are equal, as far as a parser that keeps numbers can tell.
pub(crate) fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (n, (name, field)) in sorted.into_iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                out.extend(Value::from(name.as_str()).to_string().as_bytes());
                out.push(b':');
                canonical(field, out);
            }
            out.push(b'}');
        }
        scalar => out.extend(scalar.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(definition: &Value) -> Tool {
        Tool::read(definition).unwrap()
    }

    #[test]
    fn a_definition_is_the_same_whatever_the_order_of_its_names() {
        let one = r#"{"name":"a","inputSchema":{"type":"object","required":["x"]},"annotations":{"readOnlyHint":true}}"#;
        let two = r#"{"annotations":{"readOnlyHint":true},"inputSchema":{"required":["x"],"type":"object"},"name":"a"}"#;
        let [one, two] = [one, two].map(|text| read(&serde_json::from_str(text).unwrap()));
        assert_eq!(one, two);
    }

    #[test]
    fn whatever_changes_in_a_definition_changes_its_digest() {
        let base = json!({"name": "a", "description": "d", "inputSchema": {"type": "object"}});
        let first = read(&base);
        for (field, value, shape) in [
            ("description", json!("e"), true),
            ("title", json!("t"), true),
            ("annotations", json!({"readOnlyHint": true}), true),
            ("_meta", json!({"x": 1}), true),
            ("inputSchema", json!({"type": "object", "required": ["x"]}), false),
            ("name", json!("b"), false),
        ] {
            let mut changed = base.clone();
            changed[field] = value;
            let changed = read(&changed);
            assert_ne!(changed.definition, first.definition, "{field}");
            assert_eq!(changed.shape == first.shape, shape, "{field}");
        }
    }

    #[test]
    fn a_hint_that_is_no_truth_value_is_silence() {
        let hints = |value: Value| {
            read(&json!({"name": "a", "annotations": {"readOnlyHint": value}})).hints.read_only
        };
        assert_eq!(hints(json!(true)), Some(true));
        assert_eq!(hints(json!(false)), Some(false));
        for odd in [json!("true"), json!(1), json!(null), json!([true]), json!({})] {
            assert_eq!(hints(odd), None);
        }
        assert_eq!(read(&json!({"name": "a", "annotations": "readOnlyHint"})).hints, Hints::default());
    }

    #[test]
    fn what_is_no_tool_is_refused() {
        for (value, why) in [
            (json!([]), BadTool::NotAnObject),
            (json!({}), BadTool::Name),
            (json!({"name": ""}), BadTool::Name),
            (json!({"name": 7}), BadTool::Name),
            (json!({"name": "x".repeat(257)}), BadTool::Name),
        ] {
            assert_eq!(Tool::read(&value), Err(why));
        }
    }

    #[test]
    fn tools_have_different_actions() {
        let action = |server: &str, name: &str| {
            read(&json!({"name": name})).action(server).map(|action| action.as_str().to_owned())
        };
        assert_eq!(action("memory", "read_graph").unwrap(), "mcp.memory.read_graph");
        let odd = ["a/b", "a b", "a_b", "a.b", "ä", "", "a_", "-"];
        let mut names: Vec<String> = odd[..5].iter().map(|name| action("s", name).unwrap()).collect();
        names.push(action("s", odd[6]).unwrap());
        names.push(action("s.t", "a_b").unwrap());
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
        assert!(action("s", &"x".repeat(256)).is_err());
    }
}
