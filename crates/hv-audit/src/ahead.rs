//! Reading a segment ahead: frames are found, their checksums compared and their records hashed on a thread of their own,
//! while whoever reads takes up the ones before.
//!
//! What is found is the same with and without a thread; a short segment is not worth one.

use crate::finding::What;
use crate::hash::{Blake3, FileDigest};
use crate::log::{LogError, Lsn};
use crate::record::take_framed;
use crate::segment::{FRAME_HEADER_BYTES, Next, SegmentReader};
use crate::tree::TreeHash;
use hv_types::Digest;
use hv_types::wire::Reader;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Frames of a segment that follow one another, whole as far as their own checksums tell, and what follows them where
/// that is no more of these.
#[derive(Debug, Default)]
pub(crate) struct Run {
    bytes: Vec<u8>,
    frames: Vec<Place>,
    leaves: Vec<Digest>,
    pub(crate) stop: Option<Stop>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    lsn: Lsn,
    /// Where its bytes and its hashes end in those of the run.
    bytes: usize,
    leaves: usize,
}

/// A frame with the hashes of its records, where those were asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) lsn: Lsn,
    pub(crate) bytes: &'a [u8],
    pub(crate) leaves: &'a [Digest],
}

/// What lies behind the last frame.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The batch up to which was to be read.
    Until,
    /// The end of the file.
    End,
    /// Nothing but zeros up to there.
    Zeros,
    /// Something else.
    Bad(What),
}

impl Run {
    pub(crate) fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let (mut bytes, mut leaves) = (0, 0);
        self.frames.iter().map(move |place| {
            let frame = Frame {
                lsn: place.lsn,
                bytes: self.bytes.get(bytes..place.bytes).unwrap_or_default(),
                leaves: self.leaves.get(leaves..place.leaves).unwrap_or_default(),
            };
            (bytes, leaves) = (place.bytes, place.leaves);
            frame
        })
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
        self.leaves.clear();
        self.stop = None;
    }
}

/// A segment that is read from a place on.
#[derive(Debug)]
pub(crate) struct Ahead {
    pub(crate) reader: SegmentReader,
    /// Where the next frame should be.
    pub(crate) offset: u64,
    /// The digest of the segment up to there, where somebody wants it.
    pub(crate) digest: Option<FileDigest>,
    /// The last batch to be read.
    pub(crate) until: Option<Lsn>,
    /// Whether records are hashed.
    pub(crate) hashed: bool,
    /// Whether a thread of its own may be had for it.
    pub(crate) hurried: bool,
}

/// So many bytes are handed over at once, or as many as a frame has; and so many times that lie ready.
const RUN_BYTES: usize = 256 << 10;
const READY: usize = 2;

/// From so many bytes on they are read on a thread of their own.
const WORTH_BYTES: u64 = 1 << 20;

impl Ahead {
    /// Shows every run of frames to `take` until that fails or there are no more; gives what follows the last frame.
    pub(crate) fn each(
        &mut self,
        failed: &dyn Fn(io::Error) -> LogError,
        take: &mut dyn FnMut(&Run) -> Result<(), LogError>,
    ) -> Result<Stop, LogError> {
        let left = self.reader.length().saturating_sub(self.offset);
        let worth = self.hurried && left >= WORTH_BYTES;
        let read = if worth { self.apart(failed, take) } else { None };
        read.unwrap_or_else(|| self.here(failed, take))
    }

    fn here(
        &mut self,
        failed: &dyn Fn(io::Error) -> LogError,
        take: &mut dyn FnMut(&Run) -> Result<(), LogError>,
    ) -> Result<Stop, LogError> {
        let mut run = Run::default();
        loop {
            self.next(&mut run).map_err(failed)?;
            take(&run)?;
            if let Some(stop) = run.stop {
                return Ok(stop);
            }
        }
    }

    /// Reads on a thread of its own; `None`, and nothing was read, where none is to be had.
    fn apart(
        &mut self,
        failed: &dyn Fn(io::Error) -> LogError,
        take: &mut dyn FnMut(&Run) -> Result<(), LogError>,
    ) -> Option<Result<Stop, LogError>> {
        thread::scope(|scope| {
            let (ready, runs) = sync_channel(READY);
            let (spent, spare) = sync_channel(READY + 2);
            let work = move || self.hand_over(&ready, &spare);
            thread::Builder::new().name("hv-read".to_owned()).spawn_scoped(scope, work).ok()?;
            for run in runs {
                let mut run = match run.map_err(failed) {
                    Ok(run) => run,
                    Err(error) => return Some(Err(error)),
                };
                if let Err(error) = take(&run) {
                    return Some(Err(error));
                }
                if let Some(stop) = run.stop.take() {
                    return Some(Ok(stop));
                }
                // Its room is used again.
                let _ = spent.try_send(run);
            }
            Some(Err(LogError::Poisoned))
        })
    }

    fn hand_over(&mut self, ready: &SyncSender<io::Result<Run>>, spare: &Receiver<Run>) {
        loop {
            let mut run = spare.try_recv().unwrap_or_default();
            let read = self.next(&mut run);
            let last = read.is_err() || run.stop.is_some();
            // Where one was refused, nobody takes any more.
            if ready.send(read.map(|()| run)).is_err() || last {
                return;
            }
        }
    }

    /// Reads the next frames.
    fn next(&mut self, run: &mut Run) -> io::Result<()> {
        run.clear();
        while run.stop.is_none() && run.bytes.len() < RUN_BYTES {
            let (lsn, bytes) = match self.reader.next(self.offset)? {
                Next::Frame { lsn, bytes } => (lsn, bytes),
                other => {
                    run.stop = Some(match other {
                        Next::Zeros => Stop::Zeros,
                        Next::Bad(what) => Stop::Bad(what),
                        Next::End | Next::Frame { .. } => Stop::End,
                    });
                    break;
                }
            };
            self.offset += bytes.len() as u64;
            if self.hashed {
                let mut records = Reader::new(bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default());
                // Whoever takes them up finds what cannot be read.
                while let Ok((_, record)) = take_framed(&mut records) {
                    run.leaves.push(Blake3::leaf(record));
                }
            }
            run.bytes.extend_from_slice(bytes);
            run.frames.push(Place { lsn, bytes: run.bytes.len(), leaves: run.leaves.len() });
            if self.until.is_some_and(|until| lsn >= until) {
                run.stop = Some(Stop::Until);
            }
        }
        if let Some(digest) = &mut self.digest {
            digest.update(&run.bytes);
        }
        Ok(())
    }
}
