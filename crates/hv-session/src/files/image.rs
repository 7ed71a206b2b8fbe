//! The files of a session as events that lead straight to them, and back.
//!
//! First the files of the oldest snapshot, then what differs in the next one, and so on to those of now, so
//! that what the moments share is told once and shared again; then what is remembered of each path.

use super::FileSpace;
use super::tree::Tree;
use super::version::Guard;
use crate::{File, FilePath, PathPast, Quotas, Revision, Snapshot, SnapshotName, Stamp};
use hv_types::{Illegal, Timestamp};

/// A part of the files of a session that is resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilesPart {
    /// A file, or none, at a path.
    File {
        /// The path.
        path: FilePath,
        /// The file that is there from here on.
        file: Option<Box<File>>,
    },
    /// What the files are at this point is a snapshot.
    Snapshot {
        /// Its number.
        number: u32,
        /// Its name.
        name: SnapshotName,
        /// Who took it, by ordinal.
        agent: u32,
        /// When.
        at: Timestamp,
        /// The session's revision then.
        revision: Revision,
    },
    /// What is remembered of a path.
    Past {
        /// The path.
        path: FilePath,
        /// What that is.
        past: Box<PathPast>,
    },
    /// Where counting goes on.
    Counters {
        /// The newest revision.
        revision: Revision,
        /// The number of the newest snapshot.
        taken: u32,
        /// Up to which revision deleted paths were forgotten.
        forgotten: Revision,
    },
}

impl FileSpace {
    /// The parts that lead to these files from none.
    pub(crate) fn image(&self) -> Vec<FilesPart> {
        let mut parts = Vec::new();
        let none = Tree::default();
        let mut before = &none;
        for snapshot in &self.snapshots {
            put_changes(before, &snapshot.files, &mut parts);
            let Snapshot { number, name, agent, at, revision, .. } = snapshot.clone();
            parts.push(FilesPart::Snapshot { number, name, agent, at, revision });
            before = &snapshot.files;
        }
        put_changes(before, &self.files, &mut parts);
        parts.extend(
            self.past
                .iter()
                .map(|(path, past)| FilesPart::Past { path: path.clone(), past: Box::new(past.clone()) }),
        );
        let (revision, taken, forgotten) = (self.revision, self.taken, self.forgotten);
        if revision > Revision::default() || taken > 0 {
            parts.push(FilesPart::Counters { revision, taken, forgotten });
        }
        parts
    }

    /// Adds a part of files that are resumed; `ordinals` is how many the session has given.
    pub(crate) fn resume(&mut self, part: &FilesPart, ordinals: u32) -> Result<(), Illegal> {
        match part {
            FilesPart::File { path, file } => self.resume_file(path, file.as_deref(), ordinals),
            FilesPart::Snapshot { number, name, agent, at, revision } => {
                rule(self.past.len() == 0 && self.taken == 0, ORDER)?;
                let last = self.snapshots.last().map_or(0, |snapshot| snapshot.number);
                rule(*number > last && self.snapshot(name).is_none(), "a snapshot has a name of its own")?;
                rule(*agent < ordinals, KNOWN)?;
                self.snapshots.push(Snapshot {
                    number: *number,
                    name: name.clone(),
                    agent: *agent,
                    at: *at,
                    revision: *revision,
                    files: self.files.clone(),
                    bytes: self.bytes,
                });
                Ok(())
            }
            FilesPart::Past { path, past } => self.resume_past(path, past, ordinals),
            FilesPart::Counters { revision, taken, forgotten } => {
                rule(self.taken == 0 && self.revision <= *revision, ORDER)?;
                rule(forgotten <= revision, ORDER)?;
                (self.revision, self.taken, self.forgotten) = (*revision, *taken, *forgotten);
                Ok(())
            }
        }
    }

    /// Checks what can only be seen at the end.
    pub(crate) fn resumed(&self, quotas: &Quotas) -> Result<(), Illegal> {
        let held = (self.files.len() + self.guarded) as u64;
        let snapshots = self.snapshots.len() as u64;
        let within = held <= u64::from(quotas.files)
            && self.bytes <= quotas.bytes
            && snapshots <= u64::from(quotas.snapshots)
            && self.gone.len() as u64 <= u64::from(quotas.files);
        rule(within, "the quotas hold")?;
        rule(self.snapshots.last().is_none_or(|last| last.number <= self.taken), ORDER)
    }

    fn resume_file(&mut self, path: &FilePath, file: Option<&File>, ordinals: u32) -> Result<(), Illegal> {
        rule(self.past.len() == 0 && self.taken == 0, ORDER)?;
        let before = self.files.get(path).map_or(0, File::bytes);
        let Some(file) = file else {
            rule(self.files.remove(path).is_some(), "only a file that is there is deleted")?;
            self.bytes -= before;
            return Ok(());
        };
        let stamps = file.heads().map(|head| &head.stamp);
        rule(known(stamps, ordinals) && known_guard(&file.guard, ordinals), KNOWN)?;
        let mut lengths = file.heads().map(|head| head.content.length);
        let bytes = lengths.try_fold(self.bytes - before, u64::checked_add);
        self.bytes = bytes.ok_or(Illegal::new("the quotas hold"))?;
        self.revision = self.revision.max(file.newest());
        self.files.insert(path.clone(), file.clone());
        Ok(())
    }

    fn resume_past(&mut self, path: &FilePath, past: &PathPast, ordinals: u32) -> Result<(), Illegal> {
        rule(self.taken == 0 && self.past.get(path).is_none(), ORDER)?;
        let here = self.files.get(path).is_some();
        rule(here == past.grave.is_none(), "a path has a file or had one")?;
        rule(!here || !past.versions.is_empty(), "nothing is remembered of nothing")?;
        let stamps = past.versions.iter().map(|entry| &entry.stamp);
        rule(known(stamps, ordinals), KNOWN)?;
        let newest = past.versions.iter().map(|entry| entry.stamp.revision).max();
        if let Some(grave) = &past.grave {
            rule(known_guard(&grave.guard, ordinals), KNOWN)?;
            self.revision = self.revision.max(grave.revision);
            if grave.guard.acl.is_some() {
                self.guarded += 1;
            } else {
                self.gone.insert((grave.revision, path.clone()), ());
            }
        }
        self.revision = self.revision.max(newest.unwrap_or_default());
        self.past.insert(path.clone(), past.clone());
        Ok(())
    }
}

const KNOWN: &str = "files name agents that the session knows";
const ORDER: &str = "a session is resumed part by part, in order";

fn put_changes(before: &Tree<FilePath, File>, after: &Tree<FilePath, File>, parts: &mut Vec<FilesPart>) {
    let changed = before.diff(after).filter(|(_, before, after)| before != after);
    parts.extend(
        changed.map(|(path, _, after)| FilesPart::File {
            path: path.clone(),
            file: after.cloned().map(Box::new),
        }),
    );
}

fn known<'a>(mut stamps: impl Iterator<Item = &'a Stamp>, ordinals: u32) -> bool {
    stamps.all(|stamp| stamp.agent < ordinals)
}

fn known_guard(guard: &Guard, ordinals: u32) -> bool {
    guard.owner < ordinals
}

const fn rule(holds: bool, rule: &'static str) -> Result<(), Illegal> {
    if holds { Ok(()) } else { Err(Illegal::new(rule)) }
}

hv_types::wire_enum!(FilesPart {
    0 => File { path, file },
    1 => Snapshot { number, name, agent, at, revision },
    2 => Past { path, past },
    3 => Counters { revision, taken, forgotten },
});
