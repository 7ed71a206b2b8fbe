//! Purges, holds, anchors and histories.

use super::super::told::{Told, seconds};
use hv_core::anchor::AnchorState;
use hv_core::audit::retention::Scope;
use hv_core::types::{Did, Digest, Timestamp};
use std::time::Duration;

/// So many contents were purged.
pub(super) fn purged(scope: &Scope, older_than: Option<Duration>, contents: u64, bytes: u64) -> Told {
    let age = match older_than {
        Some(age) => format!("at least {} days old", age.as_secs() / 86_400),
        None => "that need not be kept any longer".to_owned(),
    };
    let words = format!("{contents} contents{} {age}, {bytes} bytes", whose(scope));
    Told::new("node.purged", words)
        .with("session", &scope.session)
        .with("subject", &scope.subject)
        .with("older_than_s", older_than.map(seconds))
        .with("contents", contents)
        .with("bytes", bytes)
}

/// A hold was put on.
pub(super) fn held(hold: u32, scope: &Scope, reason: &str) -> Told {
    Told::new("node.held", format!("hold {hold} is put on all contents{}: {reason}", whose(scope)))
        .with("hold", hold)
        .with("session", &scope.session)
        .with("subject", &scope.subject)
        .with("reason", reason)
}

/// A hold was taken off.
pub(super) fn released(hold: u32) -> Told {
    Told::new("node.hold_released", format!("hold {hold} is taken off")).with("hold", hold)
}

/// A checkpoint is to be anchored.
pub(super) fn anchor_queued(
    anchor: u32,
    target: &str,
    (size, root): (u64, &Digest),
    digest: &Digest,
) -> Told {
    let words = format!("anchor {anchor}: the first {size} node records are to be anchored at {target}");
    Told::new("node.anchor_queued", words)
        .with("anchor", anchor)
        .with("target", target)
        .with("size", size)
        .with("root", root)
        .with("digest", digest)
}

/// What is anchored moved on.
pub(super) fn anchor_moved(anchor: u32, state: AnchorState) -> Told {
    Told::new("node.anchor_moved", format!("anchor {anchor} is {}", state.name()))
        .with("anchor", anchor)
        .with("state", state.name())
}

/// What another node says of an agent's last sessions was weighed.
pub(super) fn history_weighed(
    agent: &Did,
    node: &str,
    sessions: u32,
    until: Timestamp,
    flaw: Option<&str>,
) -> Told {
    let words = match flaw {
        None => format!("{node} proves {sessions} sessions of {agent}; that counts until {until}"),
        Some(flaw) => format!("what {node} is said to say of {agent} does not count: {flaw}"),
    };
    Told::new("node.history_weighed", words)
        .with("agent", agent)
        .with("node", node)
        .with("sessions", sessions)
        .with("until", until)
        .with("flaw", flaw)
}

fn whose(scope: &Scope) -> String {
    let session = scope.session.as_ref().map(|session| format!(" of session {session}")).unwrap_or_default();
    let subject = scope.subject.as_ref().map(|subject| format!(" that concern {subject}"));
    session + &subject.unwrap_or_default()
}
