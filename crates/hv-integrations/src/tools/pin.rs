//! Pins: which definitions a server had when somebody looked at them.

use crate::json::shown;
use crate::tools::Tool;
use crate::tools::told::{self, Unclear};
use core::fmt;
use hv_types::Digest;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The definitions of one server's tools, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    /// The server, as it calls itself.
    pub server: String,
    /// Digest of each definition.
    pub tools: BTreeMap<String, Digest>,
}

/// What is different from what was pinned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The server calls itself otherwise.
    Server {
        /// As it was called.
        was: String,
        /// As it is called.
        is: String,
    },
    /// A tool is defined otherwise.
    Changed {
        /// The tool.
        tool: String,
    },
    /// A tool is new.
    Added {
        /// The tool.
        tool: String,
    },
    /// A tool is gone.
    Removed {
        /// The tool.
        tool: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { was, is } => write!(f, "the server called itself `{was}` and calls itself `{is}`"),
            Self::Changed { tool } => write!(f, "`{tool}` is defined otherwise than when it was pinned"),
            Self::Added { tool } => write!(f, "`{tool}` is new since the pins were made"),
            Self::Removed { tool } => write!(f, "`{tool}` was pinned and is gone"),
        }
    }
}

/// Why a text holds no pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadPins {
    /// It is no JSON.
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// It says a name twice, so that a pin might be either of the two.
    Twice {
        /// The name, cut after 40 characters.
        name: String,
    },
    /// It is of another format or version.
    Format,
    /// The digest of this tool is not 64 hexadecimal digits.
    Digest {
        /// The tool, cut after 40 characters.
        tool: String,
    },
}

impl fmt::Display for BadPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => write!(f, "not JSON at line {line}, column {column}"),
            Self::Twice { name } => write!(f, "it says `{name}` twice; take one out"),
            Self::Format => write!(
                f,
                "not a file of pins: `format` must be `{FORMAT}`, `server` a name and `tools` an object"
            ),
            Self::Digest { tool } => write!(f, "the digest of `{tool}` is not 64 hexadecimal digits"),
        }
    }
}

impl core::error::Error for BadPins {}

const FORMAT: &str = "hv-tool-pins-1";

impl Pins {
    /// The definitions as they are now.
    #[must_use]
    pub fn of(server: &str, tools: &[Tool]) -> Self {
        let tools = tools.iter().map(|tool| (tool.name.clone(), tool.definition)).collect();
        Self { server: server.to_owned(), tools }
    }

    /// What is different now, in order.
    #[must_use]
    pub fn changes(&self, now: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.server != now.server {
            changes.push(Change::Server { was: self.server.clone(), is: now.server.clone() });
        }
        for (tool, digest) in &now.tools {
            match self.tools.get(tool) {
                None => changes.push(Change::Added { tool: tool.clone() }),
                Some(pinned) if pinned != digest => changes.push(Change::Changed { tool: tool.clone() }),
                Some(_) => {}
            }
        }
        let gone = self.tools.keys().filter(|tool| !now.tools.contains_key(*tool));
        changes.extend(gone.map(|tool| Change::Removed { tool: tool.clone() }));
        changes
    }

    /// As a file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let tools: Map<String, Value> =
            self.tools.iter().map(|(tool, digest)| (tool.clone(), json!(digest.to_string()))).collect();
        let file = json!({ "format": FORMAT, "server": self.server, "tools": tools });
        format!("{file:#}\n")
    }

    /// From a file.
    ///
    /// # Errors
    /// [`BadPins`].
    pub fn from_json(text: &str) -> Result<Self, BadPins> {
        let file = told::value(text.as_bytes()).map_err(|unclear| match unclear {
            Unclear::NotJson { line, column } => BadPins::NotJson { line, column },
            Unclear::Twice { name } => BadPins::Twice { name: shown(&name) },
        })?;
        if file.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err(BadPins::Format);
        }
        let server = file.get("server").and_then(Value::as_str).ok_or(BadPins::Format)?.to_owned();
        let tools = file.get("tools").and_then(Value::as_object).ok_or(BadPins::Format)?;
        let read = |(tool, digest): (&String, &Value)| {
            let bad = || BadPins::Digest { tool: shown(tool) };
            let digest = digest.as_str().and_then(|text| text.parse().ok()).ok_or_else(bad)?;
            Ok((tool.clone(), digest))
        };
        Ok(Self { server, tools: tools.iter().map(read).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(definitions: &Value) -> Vec<Tool> {
        definitions.as_array().unwrap().iter().map(|one| Tool::read(one).unwrap()).collect()
    }

    #[test]
    fn pins_go_there_and_back_and_say_what_changed() {
        let before = Pins::of("s", &tools(&json!([{"name": "a"}, {"name": "b"}, {"name": "c"}])));
        assert_eq!(Pins::from_json(&before.to_json()), Ok(before.clone()));
        assert_eq!(before.changes(&before), []);
        let after =
            tools(&json!([{"name": "a"}, {"name": "b", "description": "and your mail"}, {"name": "d"}]));
        let of = |tool: &str| tool.to_owned();
        assert_eq!(
            before.changes(&Pins::of("t", &after)),
            [
                Change::Server { was: of("s"), is: of("t") },
                Change::Changed { tool: of("b") },
                Change::Added { tool: of("d") },
                Change::Removed { tool: of("c") },
            ]
        );
    }

    #[test]
    fn f25_what_cannot_be_read_is_not_taken_for_empty() {
        assert_eq!(Pins::from_json(""), Err(BadPins::NotJson { line: 1, column: 0 }));
        for text in
            ["{}", "[]", r#"{"format":"hv-tool-pins-2"}"#, r#"{"format":"hv-tool-pins-1","server":"s"}"#]
        {
            assert_eq!(Pins::from_json(text), Err(BadPins::Format), "{text}");
        }
        let text = r#"{"format":"hv-tool-pins-1","server":"s","tools":{"a":"00","a":"11"}}"#;
        assert_eq!(Pins::from_json(text), Err(BadPins::Twice { name: "a".into() }));
        let text = r#"{"format":"hv-tool-pins-1","server":"s","tools":{"a":"00"}}"#;
        assert_eq!(Pins::from_json(text), Err(BadPins::Digest { tool: "a".into() }));
    }
}
