//! Who led to what: for each session its members, what stands behind each of them, what each did, and what came of it.

use super::told::Told;
use crate::output::one_line;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Everything that is drawn, in the order in which it happened first.
#[derive(Debug, Default)]
pub(super) struct Tree {
    sessions: BTreeMap<String, Session>,
    /// What happened without a session, such as a denial before it began.
    outside: Vec<String>,
}

#[derive(Debug, Default)]
struct Session {
    /// How many came before it.
    place: usize,
    creator: String,
    members: BTreeMap<String, Member>,
    state: String,
    /// Saga and step of what started last.
    started: (String, String),
}

#[derive(Debug, Default)]
struct Member {
    /// How many came before it.
    place: usize,
    /// Why it is there, what it may, and what it lost.
    notes: Vec<String>,
    deeds: Vec<Deed>,
}

/// A step, or a request that was denied.
#[derive(Debug, Default)]
struct Deed {
    saga: String,
    step: String,
    what: String,
    came_of_it: Vec<String>,
}

impl Tree {
    /// Takes up what a record of a stream says.
    pub(super) fn take(&mut self, label: &str, told: &[Told]) {
        for told in told {
            self.take_one(label, told);
        }
    }

    fn take_one(&mut self, label: &str, told: &Told) {
        let text = |name: &str| told.field(name).map(plain).unwrap_or_default();
        match told.event() {
            "session.created" => self.session(label).creator = text("creator"),
            "session.moved" => self.session(label).state = text("to"),
            "session.joined" | "session.seated" => {
                let note = match text("parent") {
                    parent if parent.is_empty() => "joined".to_owned(),
                    parent => format!("joined on behalf of {parent}"),
                };
                self.member(label, &text("member")).notes.push(note);
            }
            "session.assessed" => {
                let note = format!("may as far as ring {}, with σ {}", text("ring"), text("sigma"));
                self.member(label, &text("member")).notes.push(note);
            }
            "session.left" | "session.rejoined" | "session.evicted" => {
                self.member(label, &text("member")).notes.push(told.words().to_owned());
            }
            "ledger.vouched" => {
                let note = format!("{} answers for it with {}", text("voucher"), text("amount"));
                self.member(&text("session"), &text("vouchee")).notes.push(note);
            }
            "ledger.slashed" | "ledger.charged" => {
                // Everybody whom it costs something hears of it, in every session that it is in.
                for session in self.sessions.values_mut() {
                    for (_, member) in session.members.iter_mut().filter(|(name, _)| told.names(name)) {
                        member.notes.push(told.words().to_owned());
                    }
                }
            }
            "saga.appended" => self.appended(label, told),
            "saga.started" | "saga.moved" => self.went_on(label, told),
            "session.granted" => self.granted(label, &format!("granted, ring {}", text("ring"))),
            "session.denied" => {
                let (agent, action) = (text("agent"), text("action"));
                let what = if action.is_empty() { text("request") } else { action };
                let deed =
                    Deed { what, came_of_it: vec![format!("denied: {}", text("reason"))], ..Deed::default() };
                self.member(label, &agent).deeds.push(deed);
            }
            "node.denied" | "node.killed" | "node.kill_lifted" => self.outside.push(told.words().to_owned()),
            _ => {}
        }
    }

    fn appended(&mut self, label: &str, told: &Told) {
        let saga = told.field("saga").map(plain).unwrap_or_default();
        for step in told.field("steps").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| step.get(name).map(plain).unwrap_or_default();
            let after: Vec<String> =
                step.get("after").and_then(Value::as_array).into_iter().flatten().map(plain).collect();
            let after =
                if after.is_empty() { String::new() } else { format!(", after {}", after.join(", ")) };
            let what = format!("{} ({}{after})", text("id"), text("action"));
            let deed = Deed { saga: saga.clone(), step: text("id"), what, came_of_it: Vec::new() };
            self.member(label, &text("agent")).deeds.push(deed);
        }
    }

    fn went_on(&mut self, label: &str, told: &Told) {
        let text = |name: &str| told.field(name).map(plain).unwrap_or_default();
        let (saga, step) = (text("saga"), text("step"));
        let words = match told.event() {
            "saga.started" => match text("purpose").as_str() {
                "execute" => "started".to_owned(),
                purpose => format!("{purpose} started"),
            },
            _ => {
                let words = told.words();
                words.split_once(": ").map_or(words, |(_, rest)| rest).to_owned()
            }
        };
        let session = self.session(label);
        if told.event() == "saga.started" {
            session.started = (saga.clone(), step.clone());
        }
        if let Some(deed) = session.deed(&saga, &step) {
            deed.came_of_it.push(words);
        }
    }

    /// A grant stands directly behind the start that it is for.
    fn granted(&mut self, label: &str, words: &str) {
        let session = self.session(label);
        let (saga, step) = core::mem::take(&mut session.started);
        if let Some(last) = session.deed(&saga, &step).and_then(|deed| deed.came_of_it.last_mut()) {
            *last = format!("{words}, {last}");
        }
    }

    fn session(&mut self, label: &str) -> &mut Session {
        let place = self.sessions.len();
        self.sessions.entry(label.to_owned()).or_insert_with(|| Session { place, ..Session::default() })
    }

    fn member(&mut self, label: &str, name: &str) -> &mut Member {
        let members = &mut self.session(label).members;
        let place = members.len();
        members.entry(name.to_owned()).or_insert_with(|| Member { place, ..Member::default() })
    }

    /// The drawing.
    pub(super) fn draw(&self) -> String {
        let mut out = String::new();
        let mut sessions: Vec<_> = self.sessions.iter().collect();
        sessions.sort_by_key(|(_, session)| session.place);
        for (label, Session { creator, members, state, .. }) in sessions {
            let by = if creator.is_empty() { String::new() } else { format!(", made by {creator}") };
            // What a filter leaves out is not made up.
            let state = if state.is_empty() { String::new() } else { format!(", {state}") };
            let _ = writeln!(out, "{}", one_line(&format!("session {label}{by}{state}")));
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(_, member)| member.place);
            let parts: Vec<Node> = members.iter().map(|(name, member)| member.node(name)).collect();
            branches(&parts, "", &mut out);
        }
        if !self.outside.is_empty() {
            let _ = writeln!(out, "outside any session");
            let parts: Vec<Node> = self.outside.iter().map(|line| Node::new(line.clone())).collect();
            branches(&parts, "", &mut out);
        }
        out
    }
}

/// A line with what hangs below it.
#[derive(Debug)]
struct Node {
    line: String,
    below: Vec<Node>,
}

impl Node {
    const fn new(line: String) -> Self {
        Self { line, below: Vec::new() }
    }
}

impl Session {
    fn deed(&mut self, saga: &str, step: &str) -> Option<&mut Deed> {
        let mut deeds = self.members.values_mut().flat_map(|member| &mut member.deeds);
        deeds.find(|deed| deed.saga == saga && deed.step == step && !step.is_empty())
    }
}

impl Member {
    fn node(&self, name: &str) -> Node {
        let deeds = self.deeds.iter().map(|deed| {
            let below = deed.came_of_it.iter().cloned().map(Node::new).collect();
            Node { line: deed.what.clone(), below }
        });
        let notes = self.notes.iter().cloned().map(Node::new);
        Node { line: name.to_owned(), below: notes.chain(deeds).collect() }
    }
}

fn branches(nodes: &[Node], front: &str, out: &mut String) {
    for (at, node) in nodes.iter().enumerate() {
        let last = at + 1 == nodes.len();
        let (own, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let _ = writeln!(out, "{front}{own}{}", one_line(&node.line));
        branches(&node.below, &format!("{front}{below}"), out);
    }
}

/// A value without quotes; nothing where there is none.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
