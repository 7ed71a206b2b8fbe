//! Files, versions, snapshots and ACLs as lines and as documents.

use crate::output::counted;
use hv_core::session::{Change, Content, Right, Rights};
use hv_core::types::{Did, Digest};
use hv_core::{AclRule, FileDiff, FileVersion, FileView, SnapshotView};
use serde_json::{Value, json};

pub(super) fn line(file: &FileView) -> String {
    let siblings = match file.siblings.len() {
        0 => String::new(),
        count => format!("  and {count} beside it, the newest of all is {}", file.revision),
    };
    let FileView { path, content, main, .. } = file;
    format!("{main}  {:>10}  {}  {path}{siblings}\n", content.length, whom(file.owner.as_ref()))
}

/// What of a file is not its main version.
pub(super) fn beside(file: &FileView) -> String {
    let others: Vec<String> = file.siblings.iter().map(|(revision, _)| revision.to_string()).collect();
    format!("{} is as of {}, beside which stand {}", file.path, file.main, others.join(", "))
}

pub(super) fn file(file: &FileView) -> Value {
    let sibling = |(revision, content): &(hv_core::session::Revision, Content)| json!({ "revision": revision.0, "id": content.id, "length": content.length });
    json!({
        "path": file.path,
        "main": file.main.0,
        "revision": file.revision.0,
        "id": file.content.id,
        "length": file.content.length,
        "owner": file.owner,
        "siblings": file.siblings.iter().map(sibling).collect::<Vec<_>>(),
        "rights": names(file.rights),
    })
}

pub(super) fn version_line(version: &FileVersion) -> String {
    let stamp = &version.entry.stamp;
    let content = match version.entry.content {
        Some(content) => format!("{}, {}", counted(content.length, "byte"), short(&content.id)),
        None => "no content".to_owned(),
    };
    let who = whom(version.agent.as_ref());
    format!("{}  {}  {who}  {}  {content}\n", stamp.revision, stamp.at, change_words(&stamp.change))
}

pub(super) fn version(version: &FileVersion) -> Value {
    let stamp = &version.entry.stamp;
    json!({
        "revision": stamp.revision.0,
        "at": stamp.at,
        "agent": version.agent,
        "change": change_words(&stamp.change),
        "id": version.entry.content.map(|content| content.id),
        "length": version.entry.content.map(|content| content.length),
    })
}

fn change_words(change: &Change) -> String {
    match change {
        Change::Written => "written".to_owned(),
        Change::Diverged { seen } => format!("written beside what came after {seen}"),
        Change::Deleted => "deleted".to_owned(),
        Change::MovedTo { path } => format!("moved to {path}"),
        Change::MovedFrom { path } => format!("moved from {path}"),
        Change::Restored { from } => format!("restored from {from}"),
        Change::RolledBack { snapshot } => format!("rolled back to snapshot number {snapshot}"),
    }
}

pub(super) fn change_line(change: &FileDiff) -> String {
    let sign = match (&change.before, &change.after) {
        (None, _) => '+',
        (_, None) => '-',
        _ => '~',
    };
    format!("{sign} {}\n", change.path)
}

pub(super) fn change(change: &FileDiff) -> Value {
    let content = |content: &Option<Content>| {
        content.map(|content| json!({ "id": content.id, "length": content.length }))
    };
    json!({ "path": change.path, "before": content(&change.before), "after": content(&change.after) })
}

pub(super) fn snapshot_line(snapshot: &SnapshotView) -> String {
    let SnapshotView { name, agent, at, files, bytes } = snapshot;
    format!(
        "{name}  {at}  {}  {}, {}\n",
        whom(agent.as_ref()),
        counted(files, "file"),
        counted(bytes, "byte")
    )
}

pub(super) fn snapshot(snapshot: &SnapshotView) -> Value {
    let SnapshotView { name, agent, at, files, bytes } = snapshot;
    json!({ "name": name.as_str(), "agent": agent, "at": at, "files": files, "bytes": bytes })
}

pub(super) fn acl_lines(acl: Option<&[AclRule]>) -> String {
    let Some(rules) = acl else { return "open to all members\n".to_owned() };
    if rules.is_empty() {
        return "closed to everybody but its owner\n".to_owned();
    }
    let line = |rule: &AclRule| {
        let who = rule.who.as_ref().map_or_else(|| "everyone".to_owned(), ToString::to_string);
        let part = |verb: &str, rights: Rights| match names(rights) {
            names if names.is_empty() => String::new(),
            names => format!("  {verb} {}", names.join(", ")),
        };
        format!("{who}{}{}\n", part("may", rule.allow), part("must not", rule.deny))
    };
    rules.iter().map(line).collect()
}

pub(super) fn acl(path: &str, acl: Option<&[AclRule]>) -> Value {
    let rule = |rule: &AclRule| {
        let who = rule.who.as_ref().map_or_else(|| "everyone".to_owned(), ToString::to_string);
        json!({ "who": who, "allow": names(rule.allow), "deny": names(rule.deny) })
    };
    json!({ "path": path, "acl": acl.map(|rules| rules.iter().map(rule).collect::<Vec<_>>()) })
}

fn names(rights: Rights) -> Vec<&'static str> {
    let all = [Right::Read, Right::Write, Right::Delete, Right::Share];
    all.into_iter().filter(|right| rights.has(*right)).map(Right::name).collect()
}

fn whom(did: Option<&Did>) -> &str {
    did.map_or("nobody", Did::as_str)
}

fn short(id: &Digest) -> String {
    id.to_string().chars().take(8).collect()
}
