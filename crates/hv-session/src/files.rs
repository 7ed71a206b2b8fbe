//! The files that the members of a session share: versions, ACLs, history, snapshots.

mod decide;

mod apply;

pub(crate) mod image;

pub(crate) mod acl;
pub(crate) mod change;
pub(crate) mod path;
pub(crate) mod snapshot;
pub(crate) mod tree;
pub(crate) mod version;

use crate::{
    Acl, ConsistencyMode, File, FileDenial, FilePath, HistoryEntry, Moment, PathChange, PathPast, Quotas,
    Revision, Right, Rights, Snapshot, SnapshotName,
};
use hv_types::Timestamp;
use tree::Tree;
use version::Guard;

/// The files of one session.
///
/// A path is looked up here and nowhere else, so it reaches no other session's file. `INVARIANT (V1)`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSpace {
    /// What exists; snapshots share it.
    files: Tree<FilePath, File>,
    /// What is remembered besides.
    past: Tree<FilePath, PathPast>,
    /// The deleted paths without an ACL, the longest deleted first.
    gone: Tree<(Revision, FilePath), ()>,
    /// No path that is not remembered was deleted after this.
    forgotten: Revision,
    /// How many deleted paths an ACL still guards.
    guarded: usize,
    bytes: u64,
    revision: Revision,
    snapshots: Vec<Snapshot>,
    /// How many snapshots were ever taken.
    taken: u32,
}

/// Who does something with the files, when, and under which rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actor<'a> {
    pub(crate) agent: u32,
    pub(crate) at: Timestamp,
    pub(crate) mode: ConsistencyMode,
    pub(crate) quotas: &'a Quotas,
    /// How many ordinals the session has given.
    pub(crate) ordinals: u32,
}

/// Where an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From a record, whoever wrote it.
    Recorded,
    /// From a decision in this very state.
    Decided,
}

impl FileSpace {
    /// The file at a path; none where there is none. O(log n). Asks no ACL: see
    /// [`Session::read`](crate::Session::read).
    #[must_use]
    pub fn get(&self, path: &FilePath) -> Option<&File> {
        self.files.get(path)
    }

    /// How many files there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of all contents that can be read.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of the newest version of any path: who has seen the files now has seen up to here.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// All files in the order of their paths (byte by byte).
    pub fn list(&self) -> impl Iterator<Item = (&FilePath, &File)> {
        self.files.iter()
    }

    /// The files below a folder, in the order of their paths. O(log n) and O(1) for each.
    pub fn list_in(&self, folder: &FilePath) -> impl Iterator<Item = (&FilePath, &File)> {
        let folder = folder.as_folder();
        let first = self.files.iter_from(folder.as_str());
        first.take_while(move |(path, _)| path.as_str().starts_with(&folder))
    }

    /// What is remembered of a path, the oldest first: every version with its agent, its time and its content,
    /// and every deletion. O(versions · log versions).
    #[must_use]
    pub fn history(&self, path: &FilePath) -> Vec<HistoryEntry> {
        let past = self.past.get(path).into_iter().flat_map(|past| past.versions.iter().cloned());
        let heads = self.files.get(path).into_iter().flat_map(File::heads).cloned();
        let mut all: Vec<_> = past.chain(heads.map(|head| head.entry())).collect();
        all.sort_by_key(|entry| entry.stamp.revision);
        all
    }

    /// What the agent of this ordinal may do at a path, whether a file is there or not.
    #[must_use]
    pub fn rights(&self, agent: u32, path: &FilePath) -> Rights {
        self.guard(path).map_or(Rights::ALL.without(Rights::SHARE), |guard| guard.rights(agent))
    }

    /// The ACL at a path; none where it is open. It outlives its file, so that it guards its history.
    #[must_use]
    pub fn acl(&self, path: &FilePath) -> Option<&Acl> {
        self.guard(path).and_then(|guard| guard.acl.as_deref())
    }

    /// The snapshots in the order in which they were taken.
    #[must_use]
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// The snapshot of this name. O(snapshots).
    #[must_use]
    pub fn snapshot(&self, name: &SnapshotName) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.name == *name)
    }

    /// The name that a snapshot gets which is taken next without one.
    #[must_use]
    pub fn next_name(&self) -> SnapshotName {
        self.free_name(self.taken.saturating_add(1))
    }

    /// What differs between two moments, in the order of paths. O(d · log n) for d changes between them.
    ///
    /// # Errors
    /// [`FileDenial::NoSuchSnapshot`] where a snapshot of that name is not there.
    pub fn diff(&self, from: Moment<'_>, to: Moment<'_>) -> Result<Vec<PathChange<'_>>, FileDenial> {
        Ok(changes(self.at(from)?, self.at(to)?).collect())
    }

    fn at(&self, moment: Moment<'_>) -> Result<&Tree<FilePath, File>, FileDenial> {
        match moment {
            Moment::Now => Ok(&self.files),
            Moment::Snapshot(name) => self.snapshot_named(name).map(|snapshot| &snapshot.files),
        }
    }

    fn snapshot_named(&self, name: &SnapshotName) -> Result<&Snapshot, FileDenial> {
        self.snapshot(name).ok_or_else(|| FileDenial::NoSuchSnapshot { name: name.clone() })
    }
}

impl Guard {
    fn rights(&self, agent: u32) -> Rights {
        match &self.acl {
            _ if agent == self.owner => Rights::ALL,
            Some(acl) => acl.rights(agent),
            None => Rights::ALL.without(Rights::SHARE),
        }
    }

    fn check(&self, agent: u32, right: Right, path: &FilePath) -> Result<(), FileDenial> {
        if self.rights(agent).has(right) {
            return Ok(());
        }
        Err(FileDenial::Forbidden { path: path.clone(), right })
    }
}

/// What a reader could tell apart.
fn changes<'a>(
    before: &'a Tree<FilePath, File>,
    after: &'a Tree<FilePath, File>,
) -> impl Iterator<Item = PathChange<'a>> {
    before.diff(after).filter_map(|(path, before, after)| {
        let same = matches!((before, after), (Some(a), Some(b)) if a.same_state(b));
        (!same).then_some(PathChange { path, before, after })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, Expect, FileCommand, SessionEvent};
    use hv_types::{Digest, SessionId};

    #[test]
    fn a_snapshot_of_many_files_copies_nothing_and_a_difference_looks_at_few() {
        let quotas = Quotas { files: 100_000, ..Quotas::default() };
        let session = SessionId::new("s").unwrap();
        let actor =
            Actor { agent: 0, at: Timestamp(0), mode: ConsistencyMode::Strong, quotas: &quotas, ordinals: 1 };
        let mut space = FileSpace::default();
        let mut run = |command: &FileCommand| {
            let mut told = Vec::new();
            space.decide(actor, command, &mut told).unwrap();
            let [SessionEvent::File { event, .. }] = &*told else { panic!("one event") };
            space.apply(actor, event, Origin::Recorded).unwrap();
            space.clone()
        };
        let content = Content { id: Digest([1; 32]), length: 1 };
        let path = |n: u32| FilePath::parse(&session, &format!("d{}/f{n}", n % 100)).unwrap();
        for n in 0..100_000 {
            run(&FileCommand::create(path(n), content));
        }
        let taken = run(&FileCommand::TakeSnapshot { name: None });
        assert!(taken.files.is_shared(&taken.snapshots[0].files));
        let content = Content { id: Digest([2; 32]), length: 1 };
        let changed = run(&FileCommand::Write { path: path(77), content, expect: Expect::Present });
        let mut diff = changed.snapshots[0].files.diff(&changed.files);
        assert_eq!(diff.by_ref().filter(|(_, before, after)| before != after).count(), 1);
        assert!(diff.visited() < 100, "{} of 100 000 files", diff.visited());
        let name = changed.snapshots[0].name.clone();
        let back = run(&FileCommand::RollBack { snapshot: name });
        let mut diff = back.snapshots[0].files.diff(&back.files);
        assert!(
            diff.by_ref().all(|(_, before, after)| before.zip(after).is_some_and(|(a, b)| a.same_state(b)))
        );
        assert!(diff.visited() < 100, "rolling back copies one way only");
    }
}
