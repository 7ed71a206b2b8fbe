//! The files of a session.

use super::super::told::{Told, json, list, object};
use super::{Scene, short};
use crate::output::counted;
use hv_core::session::{Acl, Content, File, FileEvent as Event, FilesPart, Grantee, Revision, Right, Rights};
use hv_core::types::{Digest, Timestamp};
use serde_json::Value;

impl Scene<'_> {
    pub(super) fn file(&self, agent: u32, at: Timestamp, event: &Event) -> Told {
        let who = self.member(agent);
        let told = match event {
            Event::Created { path, content } => {
                Told::new("file.created", format!("{who} creates {path}: {}", content_words(content)))
                    .with("path", path.as_str())
                    .with("content", content_fields(content))
            }
            Event::Updated { path, content, previous } => {
                Told::new("file.updated", format!("{who} writes {path}: {}", content_words(content)))
                    .with("path", path.as_str())
                    .with("content", content_fields(content))
                    .with("previous", previous)
            }
            Event::Diverged { path, content, previous, seen } => {
                let words = format!(
                    "{who} writes {path} having seen version {seen} and no later one: {}, beside what it had not seen",
                    content_words(content)
                );
                Told::new("file.diverged", words)
                    .with("path", path.as_str())
                    .with("content", content_fields(content))
                    .with("previous", previous)
                    .with("seen", seen.0)
            }
            Event::Deleted { path, previous } => Told::new("file.deleted", format!("{who} deletes {path}"))
                .with("path", path.as_str())
                .with("previous", previous),
            Event::Renamed { from, to, content } => {
                Told::new("file.renamed", format!("{who} renames {from} to {to}"))
                    .with("from", from.as_str())
                    .with("to", to.as_str())
                    .with("content_id", content)
            }
            Event::Restored { path, revision, content, previous } => {
                let words =
                    format!("{who} makes version {revision} of {path} the newest: {}", short(content));
                Told::new("file.restored", words)
                    .with("path", path.as_str())
                    .with("revision", revision.0)
                    .with("content_id", content)
                    .with("previous", previous)
            }
            Event::AclSet { path, acl } => {
                let words = format!("{who} sets who may do what with {path}: {}", self.acl_words(acl));
                Told::new("file.acl_set", words).with("path", path.as_str()).with("acl", self.acl_fields(acl))
            }
            Event::AclCleared { path } => {
                Told::new("file.acl_cleared", format!("{who} opens {path} to all members"))
                    .with("path", path.as_str())
            }
            Event::SnapshotTaken { name } => {
                let name = name.as_ref().map(ToString::to_string);
                let named = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
                Told::new("file.snapshot_taken", format!("{who} takes snapshot{named} of the files"))
                    .with("name", name)
            }
            Event::RolledBack { snapshot } => {
                let words = format!("{who} makes the files what they were at snapshot number {snapshot}");
                Told::new("file.rolled_back", words).with("snapshot", snapshot)
            }
            Event::SnapshotDropped { snapshot } => {
                Told::new("file.snapshot_dropped", format!("{who} drops snapshot number {snapshot}"))
                    .with("snapshot", snapshot)
            }
        };
        told.with("member", who).with("at", at)
    }

    pub(super) fn files_part(&self, part: &FilesPart) -> Told {
        let told = Told::new("session.files", "snapshot: ");
        match part {
            FilesPart::File { path, file } => {
                let words = match file {
                    Some(file) => format!("file {path}: {}", content_words(&file.content())),
                    None => format!("no file {path} any more"),
                };
                told.and(&words)
                    .with("part", "file")
                    .with("path", path.as_str())
                    .with("file", file.as_ref().map(|file| self.file_fields(file)))
            }
            FilesPart::Snapshot { number, name, agent, at, revision } => {
                let member = self.member(*agent);
                told.and(&format!("these files are snapshot {name}, taken by {member} at {at}"))
                    .with("part", "snapshot")
                    .with("number", number)
                    .with("name", name.to_string())
                    .with("member", member)
                    .with("at", at)
                    .with("revision", revision.0)
            }
            FilesPart::Past { path, .. } => told
                .and(&format!("earlier versions of {path}"))
                .with("part", "past")
                .with("path", path.as_str()),
            FilesPart::Counters { revision, taken, forgotten } => told
                .and(&format!("counting goes on from {revision}"))
                .with("part", "counters")
                .with("revision", revision.0)
                .with("taken", taken)
                .with("forgotten", forgotten.0),
        }
    }

    fn file_fields(&self, file: &File) -> Value {
        let heads = list(file.heads(), |head| {
            let Revision(revision) = head.stamp.revision;
            object([
                ("content", content_fields(&head.content)),
                ("revision", json(revision)),
                ("member", json(self.member(head.stamp.agent))),
                ("at", json(head.stamp.at)),
            ])
        });
        object([
            ("versions", heads),
            ("owner", json(self.member(file.owner()))),
            ("acl", json(file.acl().map(|acl| self.acl_fields(acl)))),
        ])
    }

    fn grantee(&self, who: Grantee) -> String {
        match who {
            Grantee::Everyone => "everyone".to_owned(),
            Grantee::Member { ordinal } => self.member(ordinal).to_string(),
        }
    }

    fn acl_words(&self, acl: &Acl) -> String {
        if acl.rules().is_empty() {
            return "nobody but its owner".to_owned();
        }
        let rule = |rule: &hv_core::session::Rule| {
            let part = |verb, rights: Rights| match rights_names(rights) {
                names if names.is_empty() => None,
                names => Some(format!("{verb} {}", names.join(", "))),
            };
            let said: Vec<String> =
                [part("may", rule.allow), part("must not", rule.deny)].into_iter().flatten().collect();
            format!("{} {}", self.grantee(rule.who), said.join(" and "))
        };
        acl.rules().iter().map(rule).collect::<Vec<_>>().join("; ")
    }

    fn acl_fields(&self, acl: &Acl) -> Value {
        list(acl.rules(), |rule| {
            object([
                ("who", json(self.grantee(rule.who))),
                ("allow", json(rights_names(rule.allow))),
                ("deny", json(rights_names(rule.deny))),
            ])
        })
    }
}

fn rights_names(rights: Rights) -> Vec<&'static str> {
    let all = [Right::Read, Right::Write, Right::Delete, Right::Share];
    all.into_iter().filter(|right| rights.has(*right)).map(Right::name).collect()
}

fn content_words(Content { id, length }: &Content) -> String {
    format!("{}, {}", counted(length, "byte"), short(id))
}

fn content_fields(Content { id, length }: &Content) -> Value {
    let id: &Digest = id;
    object([("id", json(id)), ("length", json(length))])
}
