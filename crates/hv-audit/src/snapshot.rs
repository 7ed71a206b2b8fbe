//! Snapshots: where a log stood at a batch, and what its reader had made of everything up to there, so that opening
//! does not begin with the first record.
//!
//! File: `magic (8) ‖ version (4, little endian) ‖ point ‖ state up to the end`. It is named by the batch right behind
//! that point, whose one record holds the digest of the whole file; so a snapshot is nothing that is believed, only
//! something that need not be made again. One that is missing or damaged costs the time to make it again.

use crate::disk::{Access, Disk, read_up_to};
use crate::folder::{UNFINISHED, io_error};
use crate::log::{Doing, LogError, Lsn, StreamNo};
use crate::streams::{Ending, Streams};
use core::fmt;
use hv_types::wire::{Reader, Undecodable, put_varint};
use hv_types::{Digest, Timestamp, Wire};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

/// What the name of a snapshot ends with.
const EXTENSION: &str = ".snap";

/// The name of the snapshot whose digest is in this batch.
pub(crate) fn snapshot_name(lsn: Lsn) -> String {
    format!("{:016}{EXTENSION}", lsn.0)
}

/// The batch in the name of a snapshot; `None` for any other name.
pub(crate) fn snapshot_lsn(name: &str) -> Option<Lsn> {
    let lsn = Lsn(name.strip_suffix(EXTENSION)?.parse().ok()?);
    (snapshot_name(lsn) == name).then_some(lsn)
}

/// Whether a name is that of a snapshot that is not whole yet.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(UNFINISHED).and_then(snapshot_lsn).is_some()
}

/// What a record says of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Print {
    pub(crate) digest: Digest,
    pub(crate) length: u64,
}

impl Print {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        static KEY: LazyLock<[u8; 32]> =
            LazyLock::new(|| blake3::derive_key("hv 2026 audit snapshot v1", &[]));
        let digest = Digest(*blake3::keyed_hash(&KEY, bytes).as_bytes());
        Self { digest, length: bytes.len() as u64 }
    }
}

/// Where a log stood behind a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) nonce: [u8; 16],
    /// The last batch that it covers.
    pub(crate) lsn: Lsn,
    pub(crate) time: Timestamp,
    /// Where that batch ends.
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    /// How many sessions were ever opened.
    pub(crate) opened: u32,
    /// Where every open stream ends, in the order of their numbers.
    pub(crate) endings: Vec<Ending>,
    /// Purges whose destruction is not recorded, and what they purge.
    pub(crate) pending: Vec<(u64, Vec<Digest>)>,
    /// Everything that was purged.
    pub(crate) purged: BTreeSet<Digest>,
}

impl Wire for Point {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { nonce, lsn, time, segment, offset, opened, endings, pending, purged } = self;
        out.extend_from_slice(nonce);
        put_varint(lsn.0, out);
        time.put(out);
        segment.put(out);
        offset.put(out);
        opened.put(out);
        endings.put(out);
        pending.put(out);
        put_varint(purged.len() as u64, out);
        purged.iter().for_each(|id| id.put(out));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Ok(Self {
            nonce: reader.array()?,
            lsn: Lsn(reader.varint()?),
            time: Wire::take(reader)?,
            segment: Wire::take(reader)?,
            offset: Wire::take(reader)?,
            opened: Wire::take(reader)?,
            endings: Wire::take(reader)?,
            pending: Wire::take(reader)?,
            purged: Vec::take(reader)?.into_iter().collect(),
        })
    }
}

impl Point {
    /// Whether both stand at the same place of the same log.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let purges = |point: &Self| point.pending.iter().map(|(purge, _)| *purge).collect::<Vec<_>>();
        let bare = |point: &Self| Self { pending: Vec::new(), ..point.clone() };
        purges(self) == purges(other) && bare(self) == bare(other)
    }

    /// The streams as they stood; `None` where no log can have stood like this.
    pub(crate) fn streams(&self) -> Option<Streams> {
        Streams::resume(self.opened, &self.endings)
    }
}

/// A snapshot as it was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) point: Point,
    pub(crate) print: Print,
    /// All of it, and where in it the state begins.
    bytes: Vec<u8>,
    state: usize,
}

impl Read {
    /// The state that was kept.
    pub(crate) fn state(&self) -> &[u8] {
        self.bytes.get(self.state..).unwrap_or_default()
    }

    /// Where the log stood, and the state where somebody wants it.
    pub(crate) fn into_parts(mut self, wanted: bool) -> (Point, Option<Vec<u8>>) {
        let state = wanted.then(|| self.bytes.split_off(self.state));
        (self.point, state)
    }
}

const MAGIC: &[u8; 8] = b"hv-snap\n";
const VERSION: u32 = 1;

/// The bytes of a snapshot.
pub(crate) fn encode(point: &Point, state: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(state.len() + 1024);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    point.put(&mut out);
    out.extend_from_slice(state);
    out
}

/// Reads the snapshot of this name; `None` where it is not there or is none. Whether it is the one that was kept
/// only its record tells.
pub(crate) fn read(disk: &dyn Disk, dir: &Path, lsn: Lsn) -> Option<Read> {
    let bytes = read_bytes(disk, dir, lsn).ok()??;
    let print = Print::of(&bytes);
    let mut reader = Reader::new(&bytes);
    let begins = reader.array().ok()? == *MAGIC && reader.array().ok()? == VERSION.to_le_bytes();
    let point = if begins { Point::take(&mut reader).ok()? } else { return None };
    let state = bytes.len() - reader.rest().len();
    Some(Read { point, print, bytes, state })
}

/// The bytes of the snapshot of this name; `None` where it is not there.
pub(crate) fn read_bytes(disk: &dyn Disk, dir: &Path, lsn: Lsn) -> Result<Option<Vec<u8>>, LogError> {
    let path = dir.join(snapshot_name(lsn));
    let file = match disk.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(&path, Doing::Open)(error)),
    };
    let read = io_error(&path, Doing::Read);
    let length = usize::try_from(file.length().map_err(&read)?).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(length).is_err() {
        return Err(read(std::io::ErrorKind::OutOfMemory.into()));
    }
    bytes.resize(length, 0);
    let count = read_up_to(&*file, 0, &mut bytes).map_err(&read)?;
    bytes.truncate(count);
    Ok(Some(bytes))
}

/// Writes a snapshot, durable with its name when this returns, and removes those before it.
pub(crate) fn write(disk: &dyn Disk, dir: &Path, lsn: Lsn, bytes: &[u8]) -> Result<(), LogError> {
    let path = dir.join(snapshot_name(lsn));
    let unfinished = dir.join(format!("{}{UNFINISHED}", snapshot_name(lsn)));
    let file = disk.create(&unfinished).map_err(io_error(&unfinished, Doing::Create))?;
    file.write_at(0, bytes).map_err(io_error(&unfinished, Doing::Write))?;
    file.sync_all().map_err(io_error(&unfinished, Doing::Sync))?;
    disk.rename(&unfinished, &path).map_err(io_error(&path, Doing::Rename))?;
    disk.sync_dir(dir).map_err(io_error(dir, Doing::Sync))?;
    for entry in disk.list(dir).map_err(io_error(dir, Doing::Read))? {
        if snapshot_lsn(&entry.name).is_some_and(|other| other < lsn) {
            remove(disk, &dir.join(entry.name))?;
        }
    }
    Ok(())
}

/// Removes a file that nothing needs.
pub(crate) fn remove(disk: &dyn Disk, path: &Path) -> Result<(), LogError> {
    match disk.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_error(path, Doing::Remove)(error))
        }
        _ => Ok(()),
    }
}

/// A snapshot whose record is appended and whose file is not written yet.
#[derive(Debug)]
#[must_use = "without its file, the record alone shortens nothing"]
pub struct PendingSnapshot {
    pub(crate) lsn: Lsn,
    pub(crate) bytes: Vec<u8>,
}

impl PendingSnapshot {
    /// The batch that holds its digest.
    #[must_use]
    pub const fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// What opening a log began with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opening {
    /// The snapshot, by the batch that holds its digest; `None` where everything was read.
    pub snapshot: Option<Lsn>,
    /// The last snapshot that the log names, where it could not be used.
    pub unusable: Option<UnusableSnapshot>,
}

/// A snapshot that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusableSnapshot {
    /// The batch that holds its digest.
    pub lsn: Lsn,
    /// Whether there is a file of its name. One is missing, too, where a crash came before it was written.
    pub there: bool,
}

impl fmt::Display for UnusableSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.there { "is not what was kept" } else { "is not there" };
        write!(f, "the snapshot {} {how}", snapshot_name(self.lsn))
    }
}

impl Wire for Ending {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { stream, size, tip, peaks } = self;
        put_varint(u64::from(stream.0), out);
        put_varint(*size, out);
        tip.put(out);
        peaks.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let (stream, size) = (StreamNo(Wire::take(reader)?), reader.varint()?);
        Ok(Self { stream, size, tip: Wire::take(reader)?, peaks: Wire::take(reader)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_snapshots() {
        assert_eq!(snapshot_name(Lsn(7)), "0000000000000007.snap");
        for (name, lsn) in [
            ("0000000000000007.snap", Some(Lsn(7))),
            ("18446744073709551615.snap", Some(Lsn(u64::MAX))),
            ("7.snap", None),
            ("+000000000000007.snap", None),
            ("0000000000000007.SNAP", None),
            ("0000000000000007.snap.tmp", None),
        ] {
            assert_eq!(snapshot_lsn(name), lsn, "{name}");
        }
        assert!(is_unfinished("0000000000000007.snap.tmp"));
        assert!(!is_unfinished("7.snap.tmp"));
    }

    #[test]
    fn golden_bytes() {
        let ending =
            Ending { stream: StreamNo(1), size: 1, tip: Digest([2; 32]), peaks: vec![Digest([2; 32])] };
        let point = Point {
            nonce: [9; 16],
            lsn: Lsn(300),
            time: Timestamp(5),
            segment: 1,
            offset: 80,
            opened: 2,
            endings: vec![ending],
            pending: vec![(4, vec![Digest([3; 32])])],
            purged: BTreeSet::from([Digest([3; 32])]),
        };
        let bytes = encode(&point, b"state");
        let expected = [
            &b"hv-snap\n\x01\0\0\0"[..],
            &[9; 16],
            &[0xac, 2, 5, 0, 0, 0, 0, 0, 0, 0, 1, 80, 2, 1, 1, 1],
            &[2; 32],
            &[1],
            &[2; 32],
            &[1, 4, 1],
            &[3; 32],
            &[1],
            &[3; 32],
            b"state",
        ]
        .concat();
        assert_eq!(bytes, expected);
        assert_eq!(Point::take(&mut Reader::new(&bytes[12..])), Ok(point));
    }
}
