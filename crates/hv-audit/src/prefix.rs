//! The digest of a segment in the middle of which reading began.
//!
//! Where the log was opened from a snapshot and is written to in the same segment, nothing compares that digest with
//! anything until the segment is finished. So opening does not wait for it: it is made in the background, or by whoever
//! finishes the segment.

use crate::disk::{Access, Disk};
use crate::finding::What;
use crate::folder::{found_at, io_error};
use crate::hash::FileDigest;
use crate::log::{Doing, LogError};
use crate::segment::{SegmentReader, segment_name};
use core::sync::atomic::{AtomicBool, Ordering};
use hv_types::Digest;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// So many bytes are read and hashed at once.
const PIECE_BYTES: usize = 256 << 10;

/// The digest of a segment's first bytes, as long as somebody wants it.
pub(crate) fn digest_up_to(
    (disk, dir): (&dyn Disk, &Path),
    segment: u32,
    end: u64,
    wanted: &dyn Fn() -> bool,
) -> Result<FileDigest, LogError> {
    let name = PathBuf::from(segment_name(segment));
    let path = dir.join(&name);
    let file = disk.open(&path, Access::Read).map_err(io_error(&path, Doing::Open))?;
    let read = io_error(&path, Doing::Read);
    let mut reader = SegmentReader::new(file).map_err(&read)?;
    let (mut digest, mut at) = (FileDigest::default(), 0);
    while at < end {
        if !wanted() {
            return Err(LogError::Abandoned);
        }
        let count = usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let bytes = reader.bytes(at, count).map_err(&read)?;
        if bytes.is_empty() {
            return Err(found_at(&name, at, What::Cut));
        }
        digest.update(bytes);
        at += bytes.len() as u64;
    }
    Ok(digest)
}

/// What a segment held when its log was opened.
#[derive(Debug)]
pub(crate) struct Prefix {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment: u32,
    end: u64,
    /// What came of it; `None` while nobody has looked.
    made: Mutex<Option<Result<FileDigest, LogError>>>,
    is_made: AtomicBool,
    dropped: AtomicBool,
}

impl Prefix {
    pub(crate) fn new((disk, dir): (Arc<dyn Disk>, &Path), segment: u32, end: u64) -> Arc<Self> {
        let (made, is_made, dropped) = (Mutex::new(None), AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { disk, dir: dir.to_owned(), segment, end, made, is_made, dropped })
    }

    /// Makes its digest, or waits until it is made.
    pub(crate) fn digest(&self) -> Result<FileDigest, LogError> {
        let mut made = self.made.lock().map_err(|_| LogError::Poisoned)?;
        let make = || {
            let wanted = || !self.dropped.load(Ordering::Relaxed);
            digest_up_to((&*self.disk, &self.dir), self.segment, self.end, &wanted)
        };
        let digest = made.get_or_insert_with(make).clone();
        self.is_made.store(true, Ordering::Release);
        digest
    }

    /// Nobody waits for it any more.
    pub(crate) fn give_up(&self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

/// The digest of the segment that is written to.
#[derive(Debug)]
pub(crate) struct OpenDigest {
    digest: FileDigest,
    /// What comes first, where that is not in it yet; and what was written since.
    before: Option<Arc<Prefix>>,
    since: Vec<u8>,
}

/// So many bytes are kept at most until what comes before them is there.
const SINCE_BYTES: usize = 1 << 20;

impl From<FileDigest> for OpenDigest {
    fn from(digest: FileDigest) -> Self {
        Self { digest, before: None, since: Vec::new() }
    }
}

impl From<Arc<Prefix>> for OpenDigest {
    fn from(before: Arc<Prefix>) -> Self {
        Self { digest: FileDigest::default(), before: Some(before), since: Vec::new() }
    }
}

impl OpenDigest {
    pub(crate) fn update(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let Some(before) = &self.before else {
            self.digest.update(bytes);
            return Ok(());
        };
        self.since.extend_from_slice(bytes);
        if before.is_made.load(Ordering::Acquire) || self.since.len() >= SINCE_BYTES {
            self.catch_up()?;
        }
        Ok(())
    }

    /// The digest of everything up to here.
    pub(crate) fn finish(&mut self) -> Result<Digest, LogError> {
        self.catch_up()?;
        Ok(self.digest.finish())
    }

    fn catch_up(&mut self) -> Result<(), LogError> {
        if let Some(before) = &self.before {
            self.digest = before.digest()?;
            self.digest.update(&self.since);
            (self.before, self.since) = (None, Vec::new());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn whole(bytes: &[u8]) -> Digest {
        let mut digest = FileDigest::default();
        digest.update(bytes);
        digest.finish()
    }

    /// Whoever comes first, the digest is that of all bytes in their order.
    #[test]
    fn what_was_there_and_what_was_written_since_are_one_digest() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, dir): (Arc<dyn Disk>, _) = (Arc::new(RealDisk), folder.path());
        let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(dir.join(segment_name(3)), &bytes).unwrap();
        for end in [0, 1, PIECE_BYTES as u64, bytes.len() as u64] {
            let there = &bytes[..usize::try_from(end).unwrap()];
            for made_first in [true, false] {
                let prefix = Prefix::new((Arc::clone(&disk), dir), 3, end);
                if made_first {
                    prefix.digest().unwrap();
                }
                let mut digest = OpenDigest::from(Arc::clone(&prefix));
                let (mut all, piece) = (there.to_vec(), [7; 1000]);
                assert_eq!(digest.finish(), Ok(whole(&all)));
                let mut digest = OpenDigest::from(prefix);
                for _ in 0..SINCE_BYTES / 1000 + 2 {
                    digest.update(&piece).unwrap();
                    all.extend_from_slice(&piece);
                    assert!(digest.since.len() <= SINCE_BYTES);
                }
                assert!(digest.before.is_none());
                assert_eq!(digest.finish(), Ok(whole(&all)));
            }
        }
    }

    #[test]
    fn what_is_cut_or_not_there_or_not_wanted_has_no_digest() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, dir): (Arc<dyn Disk>, _) = (Arc::new(RealDisk), folder.path());
        let prefix = |end| Prefix::new((Arc::clone(&disk), dir), 0, end);
        assert!(matches!(prefix(1).digest(), Err(LogError::Io { .. })));
        std::fs::write(dir.join(segment_name(0)), [1; 10]).unwrap();
        assert!(prefix(10).digest().is_ok());
        let cut = prefix(11);
        assert!(matches!(cut.digest(), Err(LogError::Damaged(_))));
        // That is told again whenever it is asked for, and nothing is taken for it.
        let mut digest = OpenDigest::from(cut);
        assert!(digest.update(&[1]).is_err() && digest.update(&[1]).is_err() && digest.finish().is_err());
        let dropped = prefix(10);
        dropped.give_up();
        assert_eq!(dropped.digest().err(), Some(LogError::Abandoned));
    }
}
