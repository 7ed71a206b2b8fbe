//! What lies in a log's folder, by name alone.

use crate::disk::{Disk, ListedKind};
use crate::finding::{Finding, What};
use crate::keys::KEYS_NAME;
use crate::log::{Doing, LogError, Lsn};
use crate::mark::MARK_NAME;
use crate::segment::{segment_index, segment_name};
use crate::snapshot::{is_unfinished, snapshot_lsn};
use hv_types::Digest;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The name of the folder of payloads.
pub(crate) const PAYLOADS_NAME: &str = "payloads";

/// What a payload's name ends with until the payload is whole.
pub(crate) const UNFINISHED: &str = ".tmp";

/// The names in a log's folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folder {
    pub(crate) mark: bool,
    /// Whether there is a file of keys.
    pub(crate) keys: bool,
    /// The indices of the segments.
    pub(crate) segments: BTreeSet<u32>,
    /// The snapshots, by the batches that hold their digests.
    pub(crate) snapshots: BTreeSet<Lsn>,
    /// Whether there is a folder of payloads.
    pub(crate) payload_folder: bool,
    pub(crate) payloads: BTreeSet<Digest>,
    /// Payloads and snapshots that a crash left unfinished, with their folder.
    pub(crate) unfinished: Vec<PathBuf>,
    /// What no log puts there, with its folder.
    pub(crate) strangers: Vec<PathBuf>,
}

impl Folder {
    /// Lists a log's folder.
    pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> Result<Self, LogError> {
        let mut folder = Self::default();
        let listed = disk.list(dir).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => LogError::NoLog { dir: dir.to_owned() },
            kind => LogError::Io { path: dir.to_owned(), doing: Doing::Read, kind },
        })?;
        for entry in listed {
            match (entry.kind, entry.name.as_str(), segment_index(&entry.name)) {
                (ListedKind::File, MARK_NAME, _) => folder.mark = true,
                (ListedKind::File, KEYS_NAME, _) => folder.keys = true,
                (ListedKind::File, _, Some(index)) => drop(folder.segments.insert(index)),
                (ListedKind::Folder, PAYLOADS_NAME, _) => folder.payload_folder = true,
                (ListedKind::File, name, _) if is_unfinished(name) || is_unfinished_short(name) => {
                    folder.unfinished.push(name.into());
                }
                (ListedKind::File, name, _) if snapshot_lsn(name).is_some() => {
                    folder.snapshots.extend(snapshot_lsn(name));
                }
                _ => folder.strangers.push(entry.name.into()),
            }
        }
        if folder.payload_folder {
            let payloads = dir.join(PAYLOADS_NAME);
            let listed = disk.list(&payloads).map_err(io_error(&payloads, Doing::Read))?;
            for entry in listed {
                let unfinished = entry.name.strip_suffix(UNFINISHED).and_then(payload_name);
                match (entry.kind, payload_name(&entry.name), unfinished) {
                    (ListedKind::File, Some(id), _) => drop(folder.payloads.insert(id)),
                    (ListedKind::File, _, Some(_)) => {
                        folder.unfinished.push(Path::new(PAYLOADS_NAME).join(entry.name));
                    }
                    _ => folder.strangers.push(Path::new(PAYLOADS_NAME).join(entry.name)),
                }
            }
        }
        Ok(folder)
    }

    /// Whether nothing at all is there.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_log() && self.strangers.is_empty()
    }

    /// Whether anything is there that belongs to a log.
    pub(crate) fn is_log(&self) -> bool {
        self.mark || !self.segments.is_empty() || self.payload_folder || self.keys
    }

    /// Checks that there is nothing that no log puts there, and that no segment is missing between others.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        if let Some(stranger) = self.strangers.first() {
            return Err(found(stranger, What::Stranger));
        }
        match self.segments.iter().zip(0..).find(|(index, expected)| *index != expected) {
            Some((_, missing)) => Err(found(Path::new(&segment_name(missing)), What::Missing)),
            None => Ok(()),
        }
    }
}

/// Whether a name is that of a segment without records that were purged, as long as it has not taken its place.
fn is_unfinished_short(name: &str) -> bool {
    name.strip_suffix(UNFINISHED).and_then(segment_index).is_some()
}

/// The digest that a payload's file is named by; `None` for any other name.
fn payload_name(name: &str) -> Option<Digest> {
    let id: Digest = name.parse().ok()?;
    // Digests are read in either case, files are named in one.
    (id.to_string() == name).then_some(id)
}

/// A finding about a whole file.
pub(crate) fn found(file: &Path, what: What) -> LogError {
    found_at(file, 0, what)
}

/// A finding at a place of a file.
pub(crate) fn found_at(file: &Path, offset: u64, what: What) -> LogError {
    let finding = Finding { file: file.to_owned(), offset, stream: None, record: None, lsn: None, what };
    LogError::Damaged(Box::new(finding))
}

/// The operating system refused something about a file.
pub(crate) fn io_error(path: &Path, doing: Doing) -> impl Fn(io::Error) -> LogError + use<> {
    let path = path.to_owned();
    move |error| LogError::Io { path: path.clone(), doing, kind: error.kind() }
}
