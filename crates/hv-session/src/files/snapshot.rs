//! The files as they were, and what differs between two such moments.

use crate::{File, FilePath, Revision};
use core::fmt;
use hv_types::wire::{Bytes, Reader, put_bytes};
use hv_types::{BadIdent, SessionId, Timestamp, Undecodable, Wire};

use super::tree::Tree;
use std::sync::Arc;

/// The name of a snapshot, with the grammar and the length of other identifiers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotName(Arc<str>);

/// The files and their ACLs as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub(super) number: u32,
    pub(super) name: SnapshotName,
    pub(super) agent: u32,
    pub(super) at: Timestamp,
    pub(super) revision: Revision,
    pub(super) files: Tree<FilePath, File>,
    pub(super) bytes: u64,
}

/// A moment whose files can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment<'a> {
    /// Now.
    Now,
    /// When a snapshot was taken.
    Snapshot(&'a SnapshotName),
}

/// A path that is not the same at two moments: by its contents, its owner or its ACL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathChange<'a> {
    /// Which.
    pub path: &'a FilePath,
    /// The file at the first moment; none where there was none.
    pub before: Option<&'a File>,
    /// The file at the second moment; none where there is none.
    pub after: Option<&'a File>,
}

impl SnapshotName {
    /// Checks the name.
    ///
    /// # Errors
    /// [`BadIdent`] with the first thing that is wrong.
    pub fn new(text: &str) -> Result<Self, BadIdent> {
        // The grammar is that of a session's name.
        SessionId::new(text).map_err(|bad| BadIdent { what: "a snapshot name", ..bad })?;
        Ok(Self(Arc::from(text)))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of one that was given none.
    pub(super) fn numbered(number: u32) -> Self {
        Self(Arc::from(format!("snap-{number}")))
    }

    /// The same where somebody gave that name to another one.
    pub(super) fn numbered_again(number: u32, nth: u64) -> Self {
        Self(Arc::from(format!("snap-{number}.{nth}")))
    }
}

impl Snapshot {
    /// Its number, counted from 1 over all that were ever taken in the session.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &SnapshotName {
        &self.name
    }

    /// Who took it, by ordinal.
    #[must_use]
    pub const fn agent(&self) -> u32 {
        self.agent
    }

    /// When it was taken.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The session's revision when it was taken.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// How many files it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether it holds no file.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of all contents that could be read.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file as it was. O(log n).
    #[must_use]
    pub fn get(&self, path: &FilePath) -> Option<&File> {
        self.files.get(path)
    }

    /// All files as they were, in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&FilePath, &File)> {
        self.files.iter()
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Wire for SnapshotName {
    fn put(&self, out: &mut Bytes) {
        put_bytes(self.0.as_bytes(), out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Self::new(reader.text()?).map_err(|_| reader.invalid("SnapshotName"))
    }
}
