//! What is known of a file: its contents by their ids, who gave them, and what it was before.

use crate::{Acl, FilePath, Rights};
use core::fmt;
use hv_types::wire::{Bytes, Reader};
use hv_types::{Digest, Timestamp, Undecodable, Wire};
use std::collections::VecDeque;
use std::sync::Arc;

/// So many versions of a path may stand beside each other, at most. Each write looks at all of them.
pub const BESIDE_MAX: usize = 1000;

/// A number that each change of a content in a session gets, counted from 1; 0 stands before the first.
///
/// It names a version of a path and, because it counts over the whole session, never names another one, not
/// even where the path was deleted and is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// A content: the id that the caller gave it, and its length in bytes. The bytes are kept elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    /// Its id.
    pub id: Digest,
    /// Its length in bytes.
    pub length: u64,
}

/// Who made a version, when, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The version's number.
    pub revision: Revision,
    /// Who, by ordinal.
    pub agent: u32,
    /// When.
    pub at: Timestamp,
    /// By what.
    pub change: Change,
}

/// What makes a new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A write.
    Written,
    /// A write by somebody who had not seen the newest version; in the eventual mode it stands beside it.
    Diverged {
        /// The newest version that the writer had seen.
        seen: Revision,
    },
    /// A deletion.
    Deleted,
    /// The file has another path.
    MovedTo {
        /// Which.
        path: FilePath,
    },
    /// The file had another path.
    MovedFrom {
        /// Which.
        path: FilePath,
    },
    /// An earlier version of the same path was made the newest.
    Restored {
        /// Which.
        from: Revision,
    },
    /// The session's files were made what they were at a snapshot.
    RolledBack {
        /// The snapshot's number.
        snapshot: u32,
    },
}

/// A version that can be read now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its content.
    pub content: Content,
    /// Who made it, when, and by what.
    pub stamp: Stamp,
}

/// One line of a path's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The content from here on; none where the file is gone from here on.
    pub content: Option<Content>,
    /// Who made the version, when, and by what.
    pub stamp: Stamp,
}

/// A file that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub(super) main: Version,
    pub(super) siblings: Vec<Version>,
    pub(super) guard: Guard,
}

/// Whose a path is, and who else may do what with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    pub(super) owner: u32,
    pub(super) acl: Option<Arc<Acl>>,
}

/// What is remembered of a path besides the file that may be there now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathPast {
    pub(super) versions: VecDeque<HistoryEntry>,
    /// There exactly where no file is there.
    pub(super) grave: Option<Grave>,
}

/// A deleted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grave {
    pub(super) guard: Guard,
    /// The version by which it went.
    pub(super) revision: Revision,
}

impl File {
    /// The version that a plain read gives.
    #[must_use]
    pub const fn main(&self) -> &Version {
        &self.main
    }

    /// Its content.
    #[must_use]
    pub const fn content(&self) -> Content {
        self.main.content
    }

    /// Writes of which nobody has seen both them and the main version since; only the eventual mode makes them.
    #[must_use]
    pub fn siblings(&self) -> &[Version] {
        &self.siblings
    }

    /// The newest of all versions that can be read: who has seen this one has seen all.
    #[must_use]
    pub fn newest(&self) -> Revision {
        self.heads().map(|head| head.stamp.revision).max().unwrap_or_default()
    }

    /// The ordinal of the agent that made the file.
    #[must_use]
    pub const fn owner(&self) -> u32 {
        self.guard.owner
    }

    /// Who else may do what; none where the file is open.
    #[must_use]
    pub fn acl(&self) -> Option<&Acl> {
        self.guard.acl.as_deref()
    }

    /// What the agent of this ordinal may do with it; of use for a file in a snapshot, whose ACL is that of then.
    #[must_use]
    pub fn rights(&self, agent: u32) -> Rights {
        self.guard.rights(agent)
    }

    /// The main version, then its siblings.
    pub fn heads(&self) -> impl Iterator<Item = &Version> {
        core::iter::once(&self.main).chain(&self.siblings)
    }

    /// The bytes of all contents that can be read.
    pub(super) fn bytes(&self) -> u64 {
        self.heads().fold(0, |sum, head| sum.saturating_add(head.content.length))
    }

    /// Whether the two hold the same contents, whoever wrote them.
    pub(super) fn same_contents(&self, other: &Self) -> bool {
        self.heads().map(|head| head.content).eq(other.heads().map(|head| head.content))
    }

    /// Whether a reader could not tell them apart, but for who wrote them and when.
    pub(super) fn same_state(&self, other: &Self) -> bool {
        self.same_contents(other) && self.guard == other.guard
    }
}

impl Version {
    pub(super) fn entry(self) -> HistoryEntry {
        HistoryEntry { content: Some(self.content), stamp: self.stamp }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl Wire for Revision {
    fn put(&self, out: &mut Bytes) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        u64::take(reader).map(Self)
    }
}

hv_types::wire_struct!(Content { id, length });
hv_types::wire_struct!(Stamp { revision, agent, at, change });
hv_types::wire_struct!(Version { content, stamp });
hv_types::wire_struct!(HistoryEntry { content, stamp });
hv_types::wire_struct!(File { main, siblings, guard });
hv_types::wire_struct!(Grave { guard, revision });
hv_types::wire_enum!(Change {
    0 => Written {},
    1 => Diverged { seen },
    2 => Deleted {},
    3 => MovedTo { path },
    4 => MovedFrom { path },
    5 => Restored { from },
    6 => RolledBack { snapshot },
});

impl Wire for Guard {
    fn put(&self, out: &mut Bytes) {
        self.owner.put(out);
        self.acl.is_some().put(out);
        if let Some(acl) = &self.acl {
            acl.put(out);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let (owner, acl) = (u32::take(reader)?, <Option<Acl> as Wire>::take(reader)?);
        Ok(Self { owner, acl: acl.map(Arc::new) })
    }
}

impl Wire for PathPast {
    fn put(&self, out: &mut Bytes) {
        (self.versions.len() as u64).put(out);
        self.versions.iter().for_each(|version| version.put(out));
        self.grave.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let versions = Vec::<HistoryEntry>::take(reader)?.into();
        Ok(Self { versions, grave: Wire::take(reader)? })
    }
}
