//! Purges, holds, anchors and histories.

use super::super::names::Name;
use super::super::told::{Told, seconds};
use crate::output::counted;
use hv_core::anchor::AnchorState;
use hv_core::audit::Tier;
use hv_core::audit::retention::Scope;
use hv_core::event::AgentKept;
use hv_core::liability::TrackRecord;
use hv_core::types::{Did, Digest, SessionId, Timestamp};
use serde_json::json;
use std::time::Duration;

/// So many contents were purged.
pub(super) fn purged(scope: &Scope, older_than: Option<Duration>, contents: u64, bytes: u64) -> Told {
    let age = match older_than {
        Some(age) => format!("at least {} old", counted(age.as_secs() / 86_400, "day")),
        None => "that need not be kept any longer".to_owned(),
    };
    let words = format!("{}{} {age}, {}", counted(contents, "content"), whose(scope), counted(bytes, "byte"));
    Told::new("node.purged", words)
        .with("session", &scope.session)
        .with("subject", &scope.subject)
        .with("older_than_s", older_than.map(seconds))
        .with("contents", contents)
        .with("bytes", bytes)
}

/// The records of a session go.
pub(super) fn reducing(
    name: Name,
    (stream, tier): (u32, Tier),
    (size, root): (u64, &Digest),
    (first, last): (u64, u64),
    (checkpoint, signed): &(u64, Digest),
) -> Told {
    let left = match tier {
        Tier::Leaves => "the hash of each stays",
        Tier::Roots => "the roots over them stay",
    };
    let words = format!(
        "the records of session {name}, batches {first} to {last}, are purged; {left}; the checkpoint of size \
         {checkpoint} speaks for its end"
    );
    Told::new("log.records_purged", words)
        .with("stream", stream)
        .with("label", name)
        .with("tier", tier.to_string())
        .with("size", size)
        .with("root", root)
        .with("first", first)
        .with("last", last)
        .with("checkpoint", json!({ "size": checkpoint, "root": signed }))
}

/// That is done.
pub(super) fn records_gone(purges: &[u64], segments: u64) -> Told {
    let of = if let [purge] = purges {
        format!("node record {purge}")
    } else {
        format!("{} records", purges.len())
    };
    let words =
        format!("the purge of {of} is done; without records that are gone: {}", counted(segments, "segment"));
    Told::new("log.records_destroyed", words).with("purges", purges).with("segments", segments)
}

/// What outlives the records of a session.
pub(super) fn reduced(session: &SessionId, stream: u32, agents: &[AgentKept]) -> Told {
    let words = format!(
        "session {session} is purged; of {} it is kept what it came to",
        counted(agents.len(), "agent")
    );
    let agents: Vec<_> = agents
        .iter()
        .map(|AgentKept { did, summaries, track }| {
            let track =
                track.map(|TrackRecord { good, bad, day }| json!({ "good": good, "bad": bad, "day": day }));
            json!({ "agent": did, "summaries": summaries, "track": track })
        })
        .collect();
    Told::new("node.reduced", words).with("session", session).with("stream", stream).with("agents", agents)
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
    let words = format!(
        "anchor {anchor}: the beginning, {}, is to be anchored at {target}",
        counted(size, "node record")
    );
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
        None => {
            format!("{node} proves {} of {agent}; that counts until {until}", counted(sessions, "session"))
        }
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
