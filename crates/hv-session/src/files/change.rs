//! What can be asked of a session's files, what has happened to them, and why something is refused.

use crate::{ACL_MAX_RULES, Acl, Content, FilePath, Revision, Right, SnapshotName};
use core::fmt;
use hv_types::Digest;

/// What a member asks of the session's files.
// Its tag is a whole word, so that it is moved word by word.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(u64)]
pub enum FileCommand {
    /// Gives a file a new content; makes the file where there is none.
    Write {
        /// Which file.
        path: FilePath,
        /// Its content.
        content: Content,
        /// What the writer takes to be there.
        expect: Expect,
    },
    /// Deletes a file. Its history stays.
    Delete {
        /// Which.
        path: FilePath,
        /// What the agent takes to be there.
        expect: Expect,
    },
    /// Gives a file another path that no file has. Its owner and its ACL go with it.
    Rename {
        /// Which.
        from: FilePath,
        /// The new path.
        to: FilePath,
        /// What the agent takes to be there.
        expect: Expect,
    },
    /// Makes an earlier version of a path the newest one, also where the file was deleted since.
    Restore {
        /// Which path.
        path: FilePath,
        /// Which version.
        revision: Revision,
        /// What the agent takes to be there now.
        expect: Expect,
    },
    /// Sets who but its owner may do what with a file.
    SetAcl {
        /// Which.
        path: FilePath,
        /// The list; it replaces the one that is there.
        acl: Acl,
    },
    /// Opens a path to all members again, its history included.
    ClearAcl {
        /// Which; also one whose file was deleted.
        path: FilePath,
    },
    /// Keeps the files and their ACLs as they are now. O(1).
    TakeSnapshot {
        /// Its name; where there is none, `snap-` and the snapshot's number.
        name: Option<SnapshotName>,
    },
    /// Makes the files and their ACLs what they were at a snapshot. O(changes · log files).
    RollBack {
        /// Which.
        snapshot: SnapshotName,
    },
    /// Forgets a snapshot.
    DropSnapshot {
        /// Which.
        snapshot: SnapshotName,
    },
}

/// What somebody takes to be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Whatever there is; a write replaces all versions that can be read.
    Any,
    /// No file.
    Absent,
    /// Some file.
    Present,
    /// What was there at this revision of the session or of the path, unchanged since.
    Revision(Revision),
}

/// One change of the session's files. Its agent and its time stand beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileEvent {
    /// A file where there was none.
    Created {
        /// Its path.
        path: FilePath,
        /// Its content.
        content: Content,
    },
    /// A new content of a file, instead of all that could be read.
    Updated {
        /// Its path.
        path: FilePath,
        /// The content.
        content: Content,
        /// The id of the main content before.
        previous: Digest,
    },
    /// A content by somebody who had not seen the newest version: it stands beside what was not seen.
    Diverged {
        /// The path.
        path: FilePath,
        /// The content.
        content: Content,
        /// The id of the newest content that the writer had seen, where one is remembered.
        previous: Option<Digest>,
        /// Up to which revision the writer had seen.
        seen: Revision,
    },
    /// The file is gone.
    Deleted {
        /// Its path.
        path: FilePath,
        /// The id of its main content.
        previous: Digest,
    },
    /// The file has another path.
    Renamed {
        /// The path it had.
        from: FilePath,
        /// The path it has.
        to: FilePath,
        /// The id of its content.
        content: Digest,
    },
    /// An earlier version is the newest again.
    Restored {
        /// Its path.
        path: FilePath,
        /// The earlier version.
        revision: Revision,
        /// The id of its content.
        content: Digest,
        /// The id of the main content before; none where there was no file.
        previous: Option<Digest>,
    },
    /// An ACL was set.
    AclSet {
        /// Its path.
        path: FilePath,
        /// The list.
        acl: Acl,
    },
    /// An ACL was taken away.
    AclCleared {
        /// Its path.
        path: FilePath,
    },
    /// The files as they are now were kept as the snapshot of the next number.
    SnapshotTaken {
        /// Its name, where one was given.
        name: Option<SnapshotName>,
    },
    /// The files are what they were at a snapshot.
    RolledBack {
        /// The snapshot's number.
        snapshot: u32,
    },
    /// A snapshot was forgotten.
    SnapshotDropped {
        /// The snapshot's number.
        snapshot: u32,
    },
}

/// Why something is refused with the session's files. A refusal changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileDenial {
    /// There is no such file.
    NotFound {
        /// The path.
        path: FilePath,
    },
    /// There is a file already.
    AlreadyExists {
        /// The path.
        path: FilePath,
        /// Its newest version.
        newest: Revision,
    },
    /// Somebody changed the path since it was seen.
    Stale {
        /// The path.
        path: FilePath,
        /// What the agent had seen.
        seen: Revision,
        /// The newest version.
        newest: Revision,
    },
    /// The session has had no such revision yet.
    UnknownRevision {
        /// As given.
        revision: Revision,
        /// The newest of the session.
        newest: Revision,
    },
    /// No content of this version of the path is remembered.
    NoSuchVersion {
        /// The path.
        path: FilePath,
        /// The version.
        revision: Revision,
    },
    /// The path's ACL does not let the agent do this.
    Forbidden {
        /// The path.
        path: FilePath,
        /// What was missing.
        right: Right,
    },
    /// Only the owner may set or clear the ACL in this way.
    NotOwner {
        /// The path.
        path: FilePath,
    },
    /// The path has no ACL that could be cleared.
    NoAcl {
        /// The path.
        path: FilePath,
    },
    /// The ACL has too many rules.
    TooManyRules {
        /// How many.
        count: usize,
    },
    /// The ACL speaks of an ordinal that nobody has.
    UnknownGrantee {
        /// The ordinal.
        ordinal: u32,
    },
    /// A file was deleted there, and its ACL still guards its history.
    Guarded {
        /// The path.
        path: FilePath,
    },
    /// Several versions stand beside each other: too many for one more, or for a rename.
    Conflicted {
        /// The path.
        path: FilePath,
        /// The newest of them.
        newest: Revision,
    },
    /// A quota would be exceeded.
    Quota {
        /// Which.
        quota: Quota,
        /// How much it allows.
        limit: u64,
    },
    /// There is no such snapshot.
    NoSuchSnapshot {
        /// As given.
        name: SnapshotName,
    },
    /// A snapshot has this name already.
    SnapshotExists {
        /// The name.
        name: SnapshotName,
    },
    /// Only who took a snapshot may drop it.
    NotYourSnapshot {
        /// The name.
        name: SnapshotName,
    },
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Files, and deleted ones that an ACL still guards.
    Files,
    /// Bytes that can be read.
    Bytes,
    /// Snapshots.
    Snapshots,
}

impl FileCommand {
    /// A write of a file that is not there yet.
    #[must_use]
    pub const fn create(path: FilePath, content: Content) -> Self {
        Self::Write { path, content, expect: Expect::Absent }
    }

    /// A write over the version of a file that the writer has seen.
    #[must_use]
    pub const fn update(path: FilePath, content: Content, seen: Revision) -> Self {
        Self::Write { path, content, expect: Expect::Revision(seen) }
    }
}

impl FileDenial {
    /// The rule that a recorded event breaks where it should have been refused for this reason.
    pub(crate) const fn rule(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "only a file that is there is changed",
            Self::AlreadyExists { .. } => "a file is created where there is none",
            Self::Stale { .. } => {
                "a stale change is refused, or a write in the eventual mode kept as a sibling"
            }
            Self::UnknownRevision { .. } => "nobody has seen a revision before it was",
            Self::NoSuchVersion { .. } => "only a remembered version is restored",
            Self::Forbidden { .. } => "what an ACL forbids is not done",
            Self::NotOwner { .. } => "an ACL is its owner's",
            Self::NoAcl { .. } => "only an ACL that is there is cleared",
            Self::TooManyRules { .. } => "an ACL has so many rules and no more",
            Self::UnknownGrantee { .. } => "an ACL speaks of agents that the session knows",
            Self::Guarded { .. } => "nothing is renamed to a guarded path",
            Self::Conflicted { .. } => "a file with siblings is not renamed, and has so many and no more",
            Self::Quota { .. } => "the quotas hold",
            Self::NoSuchSnapshot { .. } => "only a snapshot that is there is used",
            Self::SnapshotExists { .. } => "a snapshot has a name of its own",
            Self::NotYourSnapshot { .. } => "a snapshot is dropped by who took it",
        }
    }
}

impl FileDenial {
    /// The reason alone, as one word: what refusals are counted by.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::AlreadyExists { .. } => "already_exists",
            Self::Stale { .. } => "stale",
            Self::UnknownRevision { .. } => "unknown_revision",
            Self::NoSuchVersion { .. } => "no_such_version",
            Self::Forbidden { .. } => "forbidden",
            Self::NotOwner { .. } => "not_owner",
            Self::NoAcl { .. } => "no_acl",
            Self::TooManyRules { .. } => "too_many_rules",
            Self::UnknownGrantee { .. } => "unknown_grantee",
            Self::Guarded { .. } => "guarded",
            Self::Conflicted { .. } => "conflicted",
            Self::Quota { .. } => "quota",
            Self::NoSuchSnapshot { .. } => "no_such_snapshot",
            Self::SnapshotExists { .. } => "snapshot_exists",
            Self::NotYourSnapshot { .. } => "not_your_snapshot",
        }
    }
}

impl fmt::Display for FileDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { path } => write!(f, "there is no file `{path}`"),
            Self::AlreadyExists { path, newest } => {
                write!(f, "`{path}` exists already (newest version {newest}); read it and update it")
            }
            Self::Stale { path, seen, newest } => {
                write!(f, "`{path}` was changed since {seen}; read version {newest} and try again")
            }
            Self::UnknownRevision { revision, newest } => {
                write!(f, "the session has no revision {revision} yet; its newest is {newest}")
            }
            Self::NoSuchVersion { path, revision } => {
                write!(
                    f,
                    "no content of `{path}` at {revision} is remembered; its history lists those that are"
                )
            }
            Self::Forbidden { path, right } => {
                write!(f, "the ACL of `{path}` does not let this agent {right}; its owner can allow it")
            }
            Self::NotOwner { path } => {
                write!(
                    f,
                    "only the owner of `{path}` may change its ACL so; the right to share lets others allow what they may themselves"
                )
            }
            Self::NoAcl { path } => write!(f, "`{path}` has no ACL to clear; it is open"),
            Self::TooManyRules { count } => {
                write!(f, "an ACL has {ACL_MAX_RULES} rules at most, not {count}; name everyone instead")
            }
            Self::UnknownGrantee { ordinal } => {
                write!(f, "no agent of the session has the ordinal {ordinal}, of which the ACL speaks")
            }
            Self::Guarded { path } => {
                write!(
                    f,
                    "a deleted file `{path}` is still guarded by its ACL; choose another path or clear it"
                )
            }
            Self::Conflicted { path, newest } => {
                write!(f, "`{path}` has versions beside each other; write one that has seen {newest} first")
            }
            Self::Quota { quota, limit } => {
                write!(f, "the session may hold {limit} {quota}; delete some first")
            }
            Self::NoSuchSnapshot { name } => write!(f, "there is no snapshot `{name}`"),
            Self::SnapshotExists { name } => {
                write!(f, "there is a snapshot `{name}` already; choose another name")
            }
            Self::NotYourSnapshot { name } => {
                write!(f, "snapshot `{name}` may only be dropped by the agent that took it")
            }
        }
    }
}

impl core::error::Error for FileDenial {}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "files",
            Self::Bytes => "bytes",
            Self::Snapshots => "snapshots",
        })
    }
}

hv_types::wire_enum!(FileEvent {
    0 => Created { path, content },
    1 => Updated { path, content, previous },
    2 => Diverged { path, content, previous, seen },
    3 => Deleted { path, previous },
    4 => Renamed { from, to, content },
    5 => Restored { path, revision, content, previous },
    6 => AclSet { path, acl },
    7 => AclCleared { path },
    8 => SnapshotTaken { name },
    9 => RolledBack { snapshot },
    10 => SnapshotDropped { snapshot },
});
