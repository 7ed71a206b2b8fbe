//! What a declared tool counts as.

use crate::tools::Tool;
use crate::tools::undo::{Tried, tried};
use core::fmt;
use hv_types::{ActionDescriptor, ActionId, ActionKind, Reversibility};

/// How far the operator takes a server at its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The operator chose this server and knows whose it is.
    Trusted,
    /// Anybody's.
    Untrusted,
}

/// What a tool counts as, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// What sort of thing it does.
    pub kind: ActionKind,
    /// How far it can be undone.
    pub reversibility: Reversibility,
    /// Why.
    pub why: Why,
}

impl Class {
    /// As a declaration for the registry, under this name.
    #[must_use]
    pub fn describe(&self, action: ActionId) -> ActionDescriptor {
        ActionDescriptor::new(action, self.kind, self.reversibility)
    }
}

/// Why a tool counts as what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// A trusted server says that it changes nothing.
    ReadOnly,
    /// The catalogue has an undo that was tried with what this tool takes.
    Undo,
    /// The server says that it changes nothing, and nobody trusts the server.
    NotTrusted,
    /// The server says that it changes nothing and that it destroys something.
    Contradiction,
    /// The catalogue has an undo, but it was tried when the tool took something else.
    Untried,
    /// The server says that it changes something, and there is no undo.
    NoUndo,
    /// The server says nothing.
    Silence,
}

impl Why {
    /// One word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::Undo => "undo",
            Self::NotTrusted => "not_trusted",
            Self::Contradiction => "contradiction",
            Self::Untried => "untried",
            Self::NoUndo => "no_undo",
            Self::Silence => "silence",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "a trusted server says that it changes nothing",
            Self::Undo => "its undo was tried",
            Self::NotTrusted => "the server says that it changes nothing, and is not trusted",
            Self::Contradiction => "the server says that it changes nothing and that it destroys",
            Self::Untried => "an undo is known, but was tried when the tool took something else",
            Self::NoUndo => "it changes something, and no undo is known",
            Self::Silence => "the server says nothing about it",
        })
    }
}

/// What a tool of a server counts as.
///
/// Read-only, if a trusted server says so and does not contradict itself; undoable, if the server is trusted and
/// the [catalogue](crate::tools::undo) has an undo that was tried with what this tool takes; otherwise, silence
/// included, an effect that cannot be undone. A server that nobody trusts could go by any name, so for it the
/// catalogue does not count.
///
/// ```
/// use hv_integrations::tools::{Standing, Tool, Why, classify};
/// use hv_types::{ActionKind, Reversibility};
/// use serde_json::json;
///
/// let look = json!({"name": "look", "annotations": {"readOnlyHint": true}});
/// let look = Tool::read(&look).expect("a tool");
/// assert_eq!(classify(&look, "anybody", Standing::Trusted).kind, ActionKind::ReadOnly);
/// let doubted = classify(&look, "anybody", Standing::Untrusted);
/// assert_eq!((doubted.reversibility, doubted.why), (Reversibility::None, Why::NotTrusted));
/// ```
#[must_use]
pub fn classify(tool: &Tool, server: &str, standing: Standing) -> Class {
    let effect = |why| Class { kind: ActionKind::Effect, reversibility: Reversibility::None, why };
    let hints = tool.hints;
    match (hints.read_only, standing) {
        (Some(true), _) if hints.destructive == Some(true) => return effect(Why::Contradiction),
        (Some(true), Standing::Trusted) => {
            return Class {
                kind: ActionKind::ReadOnly,
                reversibility: Reversibility::Full,
                why: Why::ReadOnly,
            };
        }
        (Some(true), Standing::Untrusted) => return effect(Why::NotTrusted),
        (Some(false) | None, _) => {}
    }
    let known = if standing == Standing::Trusted { tried(server, tool) } else { Tried::No };
    match known {
        Tried::Yes(reversibility) => Class { kind: ActionKind::Effect, reversibility, why: Why::Undo },
        Tried::WithAnother => effect(Why::Untried),
        Tried::No if hints.read_only.is_none() && hints.destructive.is_none() => effect(Why::Silence),
        Tried::No => effect(Why::NoUndo),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn f9_the_rule_for_every_pair_of_hints_and_both_standings() {
        let both = [None, Some(true), Some(false)];
        for read_only in both {
            for destructive in both {
                for standing in [Standing::Trusted, Standing::Untrusted] {
                    let mut annotations = json!({"idempotentHint": true, "openWorldHint": false});
                    for (key, hint) in [("readOnlyHint", read_only), ("destructiveHint", destructive)] {
                        if let Some(hint) = hint {
                            annotations[key] = json!(hint);
                        }
                    }
                    let tool = Tool::read(&json!({"name": "t", "annotations": annotations})).unwrap();
                    let class = classify(&tool, "nobody", standing);
                    let reads =
                        read_only == Some(true) && destructive != Some(true) && standing == Standing::Trusted;
                    assert_eq!(class.kind == ActionKind::ReadOnly, reads, "{read_only:?} {destructive:?}");
                    assert_eq!(class.reversibility == Reversibility::None, !reads);
                    assert_eq!(class.why == Why::Silence, read_only.is_none() && destructive.is_none());
                }
            }
        }
    }
}
