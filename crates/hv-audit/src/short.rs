//! Segments of which records were purged: how one is written, and how records are stood for in it.
//!
//! Such a segment has the frames of the segment that it was, without the records that are gone. In their place stand
//! `stream ‖ 0 ‖ count ‖ hashes`: the roots of the full subtrees that cover exactly these records in the tree of their
//! stream, in order, and behind more than one of them the hash of the last record. A frame of which nothing is left is
//! left out. The first and the last record of a stream are always stood for alone, right before what the node's
//! stream says about them.

use crate::disk::{Access, Disk};
use crate::finding::What;
use crate::folder::{UNFINISHED, found, found_at, io_error};
use crate::hash::{Blake3, FileDigest};
use crate::log::{Doing, LogError, Lsn, StreamNo};
use crate::record::{Kind, Record, take_framed};
use crate::reduction::Tier;
use crate::segment::{
    FRAME_HEADER_BYTES, HEADER_BYTES, Next, SHORT_HEADER_BYTES, SegmentReader, ShortHeader, finish_frame,
    segment_name,
};
use crate::tree::{CompactRange, TreeHash};
use hv_types::wire::{Reader, Undecodable, put_varint};
use hv_types::{Digest, Wire};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The levels of the subtrees that cover so many leaves from a place on, in order: each as large as its place allows.
pub(crate) fn cover(from: u64, count: u64) -> impl Iterator<Item = u32> {
    let (mut at, mut left) = (from, count);
    core::iter::from_fn(move || {
        let fits = left.checked_ilog2()?;
        let level = if at == 0 { fits } else { at.trailing_zeros().min(fits) };
        at = at.saturating_add(1 << level);
        left -= 1 << level;
        Some(level)
    })
}

/// What stands for records that are gone.
#[derive(Debug, Clone)]
pub(crate) struct Gone {
    pub(crate) count: u64,
    /// The roots of the subtrees that cover them.
    pub(crate) roots: Vec<Digest>,
    /// The hash of the last of them.
    pub(crate) tip: Digest,
}

impl Gone {
    /// Reads what stands for the records of a stream from a place on, behind the stream and the length of no record.
    pub(crate) fn take(reader: &mut Reader<'_>, from: u64) -> Result<Self, Undecodable> {
        let count = reader.varint()?;
        if count == 0 || from.checked_add(count).is_none() {
            return Err(reader.invalid("Gone"));
        }
        let roots: Vec<Digest> =
            cover(from, count).map(|_| Digest::take(reader)).collect::<Result<_, _>>()?;
        let tip = match roots.as_slice() {
            [leaf] if count == 1 => *leaf,
            _ => Digest::take(reader)?,
        };
        Ok(Self { count, roots, tip })
    }

    fn put(&self, stream: StreamNo, out: &mut Vec<u8>) {
        put_varint(u64::from(stream.0), out);
        out.push(0);
        put_varint(self.count, out);
        self.roots.iter().for_each(|root| root.put(out));
        if self.count > 1 {
            self.tip.put(out);
        }
    }

    /// What stands for these records of a stream from a place on.
    fn of(leaves: &[Digest], from: u64) -> Self {
        let mut rest = leaves;
        let mut roots = Vec::new();
        for level in cover(from, leaves.len() as u64) {
            let (these, behind) = rest.split_at_checked(1 << level).unwrap_or((rest, &[]));
            let mut range = CompactRange::<Blake3>::new();
            these.iter().for_each(|leaf| range.push(*leaf));
            roots.push(range.root());
            rest = behind;
        }
        Self { count: leaves.len() as u64, roots, tip: leaves.last().copied().unwrap_or_default() }
    }
}

/// Goes through the segments of a log from the first on and writes those anew of which something goes.
#[derive(Debug)]
pub(crate) struct Shortening<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    /// What is left of the streams that go.
    pub(crate) tiers: &'a BTreeMap<StreamNo, Tier>,
    /// Where each stream stands.
    pub(crate) places: BTreeMap<StreamNo, u64>,
}

/// What a frame of the new segment is put together from.
enum Piece {
    Bytes(Vec<u8>),
    /// What stands for the records of a run, by its number.
    Run(usize),
}

/// Records of a stream that follow each other and are stood for together.
struct Run {
    stream: StreamNo,
    from: u64,
    leaves: Vec<Digest>,
}

/// One record of a frame, or what stands for some.
enum Part<'a> {
    Record(Record<'a>, Digest),
    Gone(Gone),
}

impl Shortening<'_> {
    /// Writes a finished segment without what goes, and puts that in its place, durable; gives the digest of the file
    /// that is there then, where it is one of which records are gone.
    pub(crate) fn segment(&mut self, index: u32) -> Result<Option<Digest>, LogError> {
        let name = PathBuf::from(segment_name(index));
        let path = self.dir.join(&name);
        let file = self.disk.open(&path, Access::Read).map_err(io_error(&path, Doing::Open))?;
        let read = io_error(&path, Doing::Read);
        let mut reader = SegmentReader::new(file).map_err(&read)?;
        let whole = reader.header().map_err(&read)?.map(|(header, _)| header);
        let short = reader.short_header().map_err(&read)?.map(|(header, _)| header);
        let mut at = if short.is_some() { SHORT_HEADER_BYTES } else { HEADER_BYTES } as u64;
        let mut was = FileDigest::default();
        was.update(reader.bytes(0, usize::try_from(at).unwrap_or(0)).map_err(&read)?);
        let mut new = New { frames: Vec::new(), runs: Vec::new(), current: BTreeMap::new(), changed: false };
        let mut last = None;
        loop {
            match reader.next(at).map_err(&read)? {
                Next::Frame { lsn, bytes } => {
                    was.update(bytes);
                    at += bytes.len() as u64;
                    let payload = bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default();
                    last = Some(lsn);
                    let taken = self.frame(&mut new, lsn, payload);
                    taken.map_err(|error| found_at(&name, at, What::NotARecord(error)))?;
                }
                Next::End => break,
                Next::Zeros => return Err(found_at(&name, at, What::Trailing)),
                Next::Bad(what) => return Err(found_at(&name, at, what)),
            }
        }
        let digest = was.finish();
        if !new.changed {
            return Ok(short.map(|_| digest));
        }
        let header = match (short, whole) {
            (Some(header), _) => header,
            (None, Some(was)) => {
                let last_lsn = last.unwrap_or(was.first_lsn);
                ShortHeader { was, last_lsn, digest, length: reader.length() }
            }
            (None, None) => return Err(found(&name, What::SegmentHeader)),
        };
        let bytes = new.bytes(header);
        let unfinished = self.dir.join(format!("{}{UNFINISHED}", name.display()));
        let file = self.disk.create(&unfinished).map_err(io_error(&unfinished, Doing::Create))?;
        file.write_at(0, &bytes).map_err(io_error(&unfinished, Doing::Write))?;
        file.sync_all().map_err(io_error(&unfinished, Doing::Sync))?;
        self.disk.rename(&unfinished, &path).map_err(io_error(&path, Doing::Rename))?;
        self.disk.sync_dir(self.dir).map_err(io_error(self.dir, Doing::Sync))?;
        let mut digest = FileDigest::default();
        digest.update(&bytes);
        Ok(Some(digest.finish()))
    }

    fn frame(&mut self, new: &mut New, lsn: Lsn, payload: &[u8]) -> Result<(), Undecodable> {
        let mut reader = Reader::new(payload);
        let mut parts = Vec::new();
        while !reader.rest().is_empty() {
            let before = reader.rest();
            let (stream, bytes) = take_framed(&mut reader)?;
            let place = self.places.entry(stream).or_default();
            let from = *place;
            let part = if bytes.is_empty() {
                let gone = Gone::take(&mut reader, from)?;
                *place += gone.count;
                Part::Gone(gone)
            } else {
                *place += 1;
                Part::Record(Record::read(bytes)?, Blake3::leaf(bytes))
            };
            let raw = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
            parts.push((stream, from, part, raw));
        }
        let mut pieces = Vec::new();
        let mut rest = parts.iter().peekable();
        while let Some((stream, from, part, raw)) = rest.next() {
            if let Part::Record(Record { kind: Kind::Sealed { .. }, .. }, _) = part {
                // It says where every stream ends, so that must be known here.
                new.current.clear();
            }
            let leaf = match part {
                Part::Record(_, leaf) => Some(*leaf),
                Part::Gone(gone) => (gone.count == 1).then_some(gone.tip),
            };
            match (self.tiers.get(stream), leaf) {
                (Some(tier), Some(leaf)) => {
                    new.changed |= matches!(part, Part::Record(..));
                    let closes = rest.peek().is_some_and(|(_, _, next, _)| next.closes(*stream));
                    let alone = *from == 0 || closes || *tier == Tier::Leaves;
                    new.gone(*stream, *from, leaf, alone, &mut pieces);
                }
                (Some(_), None) => {
                    new.current.remove(stream);
                    pieces.push(Piece::Bytes(raw.to_vec()));
                }
                (None, _) => pieces.push(Piece::Bytes(raw.to_vec())),
            }
        }
        if !pieces.is_empty() {
            new.frames.push((lsn, pieces));
        }
        Ok(())
    }
}

impl Part<'_> {
    /// Whether it says that a stream was closed.
    fn closes(&self, of: StreamNo) -> bool {
        matches!(self, Self::Record(Record { kind: Kind::StreamClosed { stream, .. }, .. }, _) if *stream == of)
    }
}

/// A segment that is being put together.
struct New {
    frames: Vec<(Lsn, Vec<Piece>)>,
    runs: Vec<Run>,
    /// The run that the next record of a stream belongs to.
    current: BTreeMap<StreamNo, usize>,
    changed: bool,
}

impl New {
    fn gone(&mut self, stream: StreamNo, from: u64, leaf: Digest, alone: bool, pieces: &mut Vec<Piece>) {
        let current = self.current.get(&stream).and_then(|run| self.runs.get_mut(*run));
        if let (false, Some(run)) = (alone, current) {
            // Two that were stood for each alone are stood for together now.
            self.changed = true;
            run.leaves.push(leaf);
            return;
        }
        let number = self.runs.len();
        self.runs.push(Run { stream, from, leaves: vec![leaf] });
        pieces.push(Piece::Run(number));
        if alone {
            self.current.remove(&stream);
        } else {
            self.current.insert(stream, number);
        }
    }

    fn bytes(&self, header: ShortHeader) -> Vec<u8> {
        let mut out = header.to_bytes().to_vec();
        for (lsn, pieces) in &self.frames {
            let start = out.len();
            out.resize(start + FRAME_HEADER_BYTES, 0);
            for piece in pieces {
                match piece {
                    Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                    Piece::Run(run) => {
                        if let Some(Run { stream, from, leaves }) = self.runs.get(*run) {
                            Gone::of(leaves, *from).put(*stream, &mut out);
                        }
                    }
                }
            }
            finish_frame(out.get_mut(start..).unwrap_or_default(), *lsn);
        }
        out
    }
}
