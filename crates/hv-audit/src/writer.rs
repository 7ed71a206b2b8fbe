//! The one thread at a time that brings batches to the disk.

use crate::disk::{Disk, DiskFile};
use crate::folder::io_error;
use crate::hash::FileDigest;
use crate::log::{Doing, LogError, Lsn};
use crate::mark::{MARK_NAME, Mark, MarkState};
use crate::prefix::OpenDigest;
use crate::segment::{HEADER_BYTES, SegmentHeader, segment_name};
use crate::waiting::Frames;
use hv_types::Digest;
use std::path::PathBuf;
use std::sync::Arc;

/// The open segment and the mark.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) marks: Box<dyn DiskFile>,
    pub(crate) mark: Mark,
    pub(crate) segment: OpenSegment,
    /// After so many bytes a segment is finished; also how far zeros are written ahead at most.
    pub(crate) limit: u64,
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) path: PathBuf,
    pub(crate) index: u32,
    /// Where the next frame goes.
    pub(crate) offset: u64,
    /// Up to where the file is written with zeros.
    pub(crate) filled: u64,
    /// The digest of everything up to `offset`.
    pub(crate) digest: OpenDigest,
}

/// Batches to be written in one go.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) bytes: Vec<u8>,
    /// Where in the bytes a new segment begins.
    pub(crate) cuts: Vec<Cut>,
    pub(crate) lsn: Lsn,
    /// Number of records and last hash of the node's stream.
    pub(crate) node: (u64, Digest),
}

/// The beginning of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) at: usize,
    pub(crate) first_lsn: Lsn,
}

/// So many bytes are made ready at once: a sync within them changes no metadata of the file.
const STEP_BYTES: u64 = 256 << 10;

impl Writer {
    /// Writes batches and makes them durable. After an error nobody knows what the disk holds.
    ///
    /// What they name is durable already: nobody has frames before.
    pub(crate) fn write(&mut self, frames: &Frames) -> Result<(), LogError> {
        let work = frames.work();
        let mut from = 0;
        for cut in &work.cuts {
            self.put(work.bytes.get(from..cut.at).unwrap_or_default())?;
            self.rotate(cut.first_lsn)?;
            from = cut.at;
        }
        self.put(work.bytes.get(from..).unwrap_or_default())?;
        let segment = &self.segment;
        segment.file.sync_data().map_err(io_error(&segment.path, Doing::Sync))?;
        let (node_length, node_tip) = work.node;
        self.mark = Mark {
            state: MarkState::Open,
            turn: self.mark.turn.saturating_add(1),
            lsn: work.lsn,
            segment: segment.index,
            offset: segment.offset,
            node_length,
            node_tip,
            ..self.mark
        };
        self.write_mark(self.mark.place())
    }

    /// Ends the log: the last segment ends with its last frame, and both halves of the mark say so.
    pub(crate) fn end(&mut self) -> Result<(), LogError> {
        self.trim()?;
        self.mark.state = MarkState::Sealed;
        self.mark.turn = self.mark.turn.saturating_add(1);
        self.mark.digest = self.segment.digest.finish()?;
        let place = self.mark.place();
        for place in [place, Mark::other_place(place)] {
            self.write_mark(place)?;
            self.sync_marks()?;
        }
        Ok(())
    }

    /// Writes both halves of the mark anew, so that neither names a place in a finished segment.
    pub(crate) fn pin(&mut self) -> Result<(), LogError> {
        for _ in 0..2 {
            self.mark.turn = self.mark.turn.saturating_add(1);
            self.write_mark(self.mark.place())?;
            self.sync_marks()?;
        }
        Ok(())
    }

    /// Says that the log is written to again, before anything else of it is touched.
    pub(crate) fn reopen(&mut self) -> Result<(), LogError> {
        self.mark.state = MarkState::Open;
        self.mark.turn = self.mark.turn.saturating_add(1);
        self.mark.digest = Digest::default();
        self.write_mark(self.mark.place())?;
        self.sync_marks()
    }

    fn write_mark(&self, place: u64) -> Result<(), LogError> {
        let written = self.marks.write_at(place, &self.mark.to_slot());
        written.map_err(io_error(&self.dir.join(MARK_NAME), Doing::Write))
    }

    fn sync_marks(&self) -> Result<(), LogError> {
        self.marks.sync_all().map_err(io_error(&self.dir.join(MARK_NAME), Doing::Sync))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.segment.write(bytes)?;
        self.segment.fill(self.limit)
    }

    /// Finishes the segment and begins the next one.
    fn rotate(&mut self, first_lsn: Lsn) -> Result<(), LogError> {
        self.trim()?;
        self.sync_marks()?;
        let index = self.segment.index.saturating_add(1);
        let header = SegmentHeader {
            index,
            nonce: self.mark.nonce,
            first_lsn,
            previous: self.segment.digest.finish()?,
        };
        self.segment = OpenSegment::create(&*self.disk, &self.dir, header, self.limit)?;
        Ok(())
    }

    /// Makes the segment durable and cuts it behind its last frame.
    fn trim(&mut self) -> Result<(), LogError> {
        let segment = &mut self.segment;
        segment.file.sync_data().map_err(io_error(&segment.path, Doing::Sync))?;
        segment.file.set_len(segment.offset).map_err(io_error(&segment.path, Doing::Trim))?;
        segment.filled = segment.offset;
        segment.file.sync_all().map_err(io_error(&segment.path, Doing::Sync))
    }
}

impl OpenSegment {
    /// Makes a new segment, durable with its name.
    pub(crate) fn create(
        disk: &dyn Disk,
        dir: &std::path::Path,
        header: SegmentHeader,
        limit: u64,
    ) -> Result<Self, LogError> {
        let path = dir.join(segment_name(header.index));
        let file = disk.create(&path).map_err(io_error(&path, Doing::Create))?;
        let digest = FileDigest::default().into();
        let mut segment = Self { file, path, index: header.index, offset: 0, filled: 0, digest };
        segment.write(&header.to_bytes())?;
        segment.fill(limit)?;
        segment.file.sync_all().map_err(io_error(&segment.path, Doing::Sync))?;
        disk.sync_dir(dir).map_err(io_error(dir, Doing::Sync))?;
        debug_assert_eq!(segment.offset, HEADER_BYTES as u64);
        Ok(segment)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        self.file.write_at(self.offset, bytes).map_err(io_error(&self.path, Doing::Write))?;
        self.digest.update(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Writes zeros ahead, where the last ones are used up.
    fn fill(&mut self, limit: u64) -> Result<(), LogError> {
        if self.offset <= self.filled {
            return Ok(());
        }
        let step = (self.offset / STEP_BYTES + 1) * STEP_BYTES;
        self.filled = step.min(limit).max(self.offset);
        let zeros = vec![0; usize::try_from(self.filled - self.offset).unwrap_or(0)];
        self.file.write_at(self.offset, &zeros).map_err(io_error(&self.path, Doing::Write))
    }
}
