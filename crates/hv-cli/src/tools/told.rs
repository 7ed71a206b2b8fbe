//! What `hv tools classify` says.

use crate::output::{counted, one_line};
use hv_integrations::tools::pin::Change;
use hv_integrations::tools::{Class, Era, ServerInfo, Standing, Tool};
use hv_rings::required_of;
use hv_types::{ActionId, ActionKind};
use serde::Serialize;
use std::fmt;

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    server: Server,
    trusted: bool,
    tools: Vec<Told>,
    /// What is different from the pins; nothing where none were compared.
    changes: Option<Vec<Different>>,
}

#[derive(Debug, Serialize)]
struct Server {
    name: String,
    version: Option<String>,
    protocol: String,
    era: &'static str,
}

/// One tool.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    name: String,
    /// The action that its calls are; nothing where it cannot be named, and so not be registered.
    action: Option<ActionId>,
    kind: &'static str,
    reversibility: &'static str,
    /// The ring that its calls need.
    ring: u8,
    /// One word for why.
    reason: &'static str,
    /// The same in a sentence.
    message: String,
    /// Digest of its definition.
    definition: String,
}

#[derive(Debug, Serialize)]
struct Different {
    change: &'static str,
    tool: Option<String>,
    message: String,
}

impl Answer {
    pub(super) fn new(server: &ServerInfo, era: Era, standing: Standing, tools: Vec<Told>) -> Self {
        let ServerInfo { name, version, protocol } = server.clone();
        let server = Server { name, version, protocol, era: era.name() };
        Self { server, trusted: standing == Standing::Trusted, tools, changes: None }
    }

    pub(super) fn compared(&mut self, changes: &[Change]) {
        let different = |change: &Change| {
            let (word, tool) = match change {
                Change::Server { .. } => ("server", None),
                Change::Changed { tool } => ("changed", Some(tool)),
                Change::Added { tool } => ("added", Some(tool)),
                Change::Removed { tool } => ("removed", Some(tool)),
            };
            Different { change: word, tool: tool.cloned(), message: change.to_string() }
        };
        self.changes = Some(changes.iter().map(different).collect());
    }

    /// The tools as tables of a session file.
    pub(super) const fn actions(&self) -> Actions<'_> {
        Actions(self)
    }
}

impl Told {
    pub(super) fn of(tool: &Tool, class: Class, action: Option<ActionId>) -> Self {
        Self {
            name: tool.name.clone(),
            action,
            kind: match class.kind {
                ActionKind::ReadOnly => "read_only",
                ActionKind::Effect => "effect",
                ActionKind::Admin => "admin",
            },
            reversibility: class.reversibility.name(),
            ring: required_of(class.kind, class.reversibility).number(),
            reason: class.why.name(),
            message: class.why.to_string(),
            definition: tool.definition.to_string(),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server { name, version, protocol, era } = &self.server;
        write!(f, "{}", one_line(name))?;
        if let Some(version) = version {
            write!(f, " {}", one_line(version))?;
        }
        let trust = if self.trusted { "trusted" } else { "not trusted" };
        writeln!(f, " (protocol {protocol}, {era}), {trust}, {}", counted(self.tools.len(), "tool"))?;
        let width = |of: fn(&Told) -> &str| self.tools.iter().map(|t| one_line(of(t)).chars().count()).max();
        let names = width(|tool| &tool.name).unwrap_or(0).max(4);
        writeln!(f, "{:names$}  ring  undo     definition  because", "tool")?;
        for tool in &self.tools {
            let undo = if tool.kind == "read_only" { "-" } else { tool.reversibility };
            let definition = tool.definition.get(..8).unwrap_or_default();
            write!(
                f,
                "{:names$}  {:4}  {undo:7}  {definition}    {}",
                one_line(&tool.name),
                tool.ring,
                tool.message
            )?;
            let unnamed = if tool.action.is_none() { "; its name is too long for an action" } else { "" };
            writeln!(f, "{unnamed}")?;
        }
        match &self.changes {
            Some(changes) if changes.is_empty() => writeln!(f, "as pinned"),
            Some(changes) => changes
                .iter()
                .try_for_each(|change| writeln!(f, "{}: {}", change.change, one_line(&change.message))),
            None => Ok(()),
        }
    }
}

/// Tables of a session file.
pub(super) struct Actions<'a>(&'a Answer);

impl fmt::Display for Actions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for tool in &self.0.tools {
            let Some(action) = &tool.action else {
                writeln!(f, "# {}: its name is too long for an action", one_line(&tool.name))?;
                continue;
            };
            writeln!(f, "# {}: {}", one_line(&tool.name), tool.message)?;
            writeln!(f, "[[action]]\nid = \"{action}\"")?;
            match tool.kind {
                "read_only" => writeln!(f, "read_only = true\n")?,
                _ => writeln!(f, "reversibility = \"{}\"\n", tool.reversibility)?,
            }
        }
        Ok(())
    }
}
