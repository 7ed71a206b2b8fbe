//! Which record of a damaged frame is the one that was changed.
//!
//! A frame's checksum says only that something in it is not what was written. But every record's hash is told
//! once more by what comes after it: as the parent of the next record of its stream, in the node's record of
//! its closing, in the record that ends the log, or in the mark. The record whose hash, computed from the bytes
//! as they are now, is not the one that was told is the changed one. A record that was changed where it names
//! its parent makes the one before it look wrong too; so the last that looks wrong is named. Where none does, it is the
//! first of which nothing else was told: of records that are gone, what stands for them may be all that there is.

use crate::chain::Chain;
use crate::hash::Blake3;
use crate::log::StreamNo;
use crate::record::{Kind, Record, take_framed};
use crate::segment::{FRAME_HEADER_BYTES, Next, SegmentReader};
use crate::short::Gone;
use crate::tree::TreeHash;
use hv_types::wire::{Reader, Undecodable};
use hv_types::{Digest, Wire};
use std::collections::BTreeMap;
use std::io;

/// The record behind a frame at `offset` that is not what was written, as far as the bytes still tell.
///
/// `behind` gives the segments behind this one, and `mark` is what the mark says about the end of the node's
/// stream. Reads on until every record of the frame was told of.
pub(crate) fn locate(
    chain: &Chain,
    reader: &mut SegmentReader,
    offset: u64,
    behind: &mut dyn FnMut() -> io::Result<Option<SegmentReader>>,
    mark: Option<(u64, Digest)>,
) -> io::Result<Option<(StreamNo, u64)>> {
    let header = reader.bytes(offset, FRAME_HEADER_BYTES)?;
    let length = header.first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    let mut suspects =
        Suspects { chain, records: Vec::new(), last: BTreeMap::new(), places: BTreeMap::new() };
    let begin = offset + FRAME_HEADER_BYTES as u64;
    let broken = suspects.read_damaged(reader.bytes(begin, length)?);
    if broken.is_none() {
        suspects.listen(reader, begin + length as u64)?;
        while !suspects.last.is_empty() {
            let Some(mut next) = behind()? else { break };
            let from = next.frames_at()?;
            suspects.listen(&mut next, from)?;
        }
        if let Some((length, tip)) = mark {
            suspects.ends(StreamNo::NODE, length, tip);
        }
    }
    let wrong = suspects.records.iter().rfind(|record| record.fits == Some(false)).map(Suspect::place);
    let untold = suspects.records.iter().find(|record| record.fits.is_none()).map(Suspect::place);
    let first = suspects.records.first().map(Suspect::place);
    Ok(wrong.or(broken.flatten()).or(untold).or(first))
}

/// The records of the damaged frame, as far as they can be told apart.
struct Suspects<'c> {
    chain: &'c Chain,
    records: Vec<Suspect>,
    /// The last record of each stream whose hash was not told yet.
    last: BTreeMap<StreamNo, usize>,
    /// The place that the next record of each stream has of which something was read here.
    places: BTreeMap<StreamNo, u64>,
}

struct Suspect {
    stream: StreamNo,
    /// The place that it has by those before it, whatever it says itself.
    seq: u64,
    hash: Digest,
    /// Whether its hash is the one that was told, where one was.
    fits: Option<bool>,
}

impl Suspect {
    const fn place(&self) -> (StreamNo, u64) {
        (self.stream, self.seq)
    }
}

impl Suspects<'_> {
    /// Reads the damaged frame; where its records cannot be told apart from some point on, gives the place of
    /// the record there, if that can be told.
    fn read_damaged(&mut self, payload: &[u8]) -> Option<Option<(StreamNo, u64)>> {
        let mut reader = Reader::new(payload);
        while !reader.rest().is_empty() {
            let here = u32::take(&mut reader.clone()).ok().map(StreamNo);
            let place = here.and_then(|stream| Some((stream, self.next_seq(stream)?)));
            let (Ok((stream, bytes)), Some((_, seq))) = (take_framed(&mut reader), place) else {
                return Some(place);
            };
            let (seq, hash) = if bytes.is_empty() {
                let Ok(gone) = self.gone(stream, seq, &mut reader) else { return Some(place) };
                (seq + gone.count - 1, gone.tip)
            } else {
                self.record(stream, seq, bytes);
                (seq, Blake3::leaf(bytes))
            };
            self.last.insert(stream, self.records.len());
            self.records.push(Suspect { stream, seq, hash, fits: None });
        }
        None
    }

    /// Reads what the frames from an offset on tell.
    fn listen(&mut self, reader: &mut SegmentReader, from: u64) -> io::Result<()> {
        let mut at = from;
        while let Next::Frame { bytes, .. } = reader.next(at)? {
            at += bytes.len() as u64;
            self.hear(bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default());
            if self.last.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Reads what a later frame tells.
    fn hear(&mut self, payload: &[u8]) {
        let mut reader = Reader::new(payload);
        while let Ok((stream, bytes)) = take_framed(&mut reader) {
            // A stream that is opened later begins then.
            let seq = self.next_seq(stream).unwrap_or_default();
            if !bytes.is_empty() {
                self.record(stream, seq, bytes);
            } else if self.gone(stream, seq, &mut reader).is_err() {
                break;
            }
        }
    }

    /// What a record tells.
    fn record(&mut self, stream: StreamNo, seq: u64, bytes: &[u8]) {
        self.places.insert(stream, seq.saturating_add(1));
        self.parent_told(stream, bytes);
        if let Ok(record) = Record::read(bytes) {
            self.content_told(&record);
        }
    }

    /// What stands for records that are gone names no parent: of what was before it in its stream nothing is told.
    fn gone(&mut self, stream: StreamNo, seq: u64, reader: &mut Reader<'_>) -> Result<Gone, Undecodable> {
        let gone = Gone::take(reader, seq)?;
        self.places.insert(stream, seq.saturating_add(gone.count));
        self.last.remove(&stream);
        Ok(gone)
    }

    /// The place that the next record of a stream has.
    fn next_seq(&self, stream: StreamNo) -> Option<u64> {
        self.places.get(&stream).copied().or_else(|| self.chain.next_seq(stream))
    }

    fn parent_told(&mut self, stream: StreamNo, bytes: &[u8]) {
        if let Some(parent) = bytes.first_chunk() {
            self.told(stream, Digest(*parent));
        }
    }

    fn content_told(&mut self, record: &Record<'_>) {
        match record.kind {
            Kind::StreamOpened { stream, genesis, .. } => self.told(stream, genesis),
            Kind::StreamClosed { stream, close, .. } => self.told(stream, close),
            Kind::Sealed { heads } => {
                heads.for_each(|(stream, head)| self.ends(stream, head.length, head.tip))
            }
            _ => {}
        }
    }

    fn ends(&mut self, stream: StreamNo, length: u64, tip: Digest) {
        let last = self.last.get(&stream).and_then(|at| self.records.get(*at));
        if last.is_some_and(|record| record.seq.checked_add(1) == Some(length)) {
            self.told(stream, tip);
        }
    }

    /// The hash of a stream's last record so far is told.
    fn told(&mut self, stream: StreamNo, hash: Digest) {
        let at = self.last.remove(&stream);
        if let Some(record) = at.and_then(|at| self.records.get_mut(at)) {
            record.fits = Some(record.hash == hash);
        }
    }
}
