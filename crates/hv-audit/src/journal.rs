//! The writing side that all engines share: how a batch moves every stream, or none.

use crate::batch::Batch;
use crate::hash::Blake3;
use crate::log::{BATCH_MAX_BYTES, Expect, Head, LABEL_MAX_BYTES, LogError, Lsn, PayloadRef, StreamNo};
use crate::record::{Preamble, Tag, put_head, put_record};
use crate::reduction::{Segments, Tier, put_done};
use crate::snapshot::Point;
use crate::streams::{Stream, Streams};
use crate::tree::TreeHash;
use hv_types::wire::put_varint;
use hv_types::{Digest, Timestamp};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};

/// Where every open stream ends, and the bytes of what was appended since an engine last took them.
#[derive(Debug)]
pub(crate) struct Journal {
    streams: Streams,
    lsn: Lsn,
    time: Timestamp,
    /// The appended records; an engine takes them away and frames them as it likes.
    pub(crate) out: Vec<u8>,
    /// The content that is being encoded. What encodes it cannot reach anything else.
    content: Vec<u8>,
    /// Payloads that no record refers to yet.
    loose: BTreeMap<Digest, PayloadRef>,
    purges: Purges,
    batch: Pending,
}

/// What was purged.
#[derive(Debug, Default)]
pub(crate) struct Purges {
    /// Every payload that a record says is purged.
    pub(crate) purged: BTreeSet<Digest>,
    /// Purges whose destruction is not recorded yet: the record's place on the node stream, and the payloads.
    pub(crate) pending: Vec<(u64, Vec<Digest>)>,
    /// Reductions of the same kind: the record's place, the stream, and what is left of it.
    pub(crate) reducing: Vec<(u64, StreamNo, Tier)>,
}

/// What a batch has done so far, as far as it takes to undo it.
#[derive(Debug, Default)]
struct Pending {
    start: usize,
    opened: u32,
    time: Timestamp,
    touched: SmallVec<[StreamNo; 4]>,
    attached: Vec<Digest>,
    purges: Vec<(u64, Vec<Digest>)>,
    reducing: Vec<(u64, StreamNo, Tier)>,
    failed: Option<LogError>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self::resume(Streams::new(), Lsn(0), Timestamp(0), Purges::default())
    }

    /// The journal of a log that was read to its end.
    pub(crate) fn resume(streams: Streams, lsn: Lsn, time: Timestamp, purges: Purges) -> Self {
        let (out, content, loose) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { streams, lsn, time, out, content, loose, purges, batch: Pending::default() }
    }

    /// The last batch.
    pub(crate) const fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// The time of the last record, or of the batch that is being filled.
    pub(crate) const fn time(&self) -> Timestamp {
        self.time
    }

    /// The number of streams that the batch touches.
    pub(crate) fn pending(&self) -> usize {
        self.batch.touched.len()
    }

    /// Appends a batch to `out`, or leaves everything as it was.
    #[inline]
    pub(crate) fn append(
        &mut self,
        expect: &[Expect],
        now: Timestamp,
        fill: &mut dyn FnMut(&mut Batch<'_>) -> Result<(), LogError>,
    ) -> Result<Lsn, LogError> {
        for &Expect { stream, length } in expect {
            let found = self.streams.get(stream)?.length();
            if found != length {
                return Err(LogError::Stale { stream, expected: length, found });
            }
        }
        self.begin(now);
        let filled = fill(&mut Batch { journal: self });
        if filled.is_ok() && self.batch.failed.is_none() && !self.batch.touched.is_empty() {
            return Ok(self.commit());
        }
        let error = self.batch.failed.take().map_or(filled, Err).err();
        self.roll_back(error.unwrap_or(LogError::Empty))
    }

    /// Appends a single record that the log writes itself to the node stream.
    pub(crate) fn append_own(
        &mut self,
        tag: Tag,
        now: Timestamp,
        attachments: &[PayloadRef],
        content: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Lsn, LogError> {
        self.begin(now);
        match self.push(StreamNo::NODE, tag, attachments, content) {
            Ok(_) => Ok(self.commit()),
            Err(error) => self.roll_back(error),
        }
    }

    /// Appends the record that ends the log cleanly.
    ///
    /// It refers to every payload that nobody referred to, so that each one in the folder is accounted for.
    pub(crate) fn append_sealed(&mut self, now: Timestamp) -> Result<Lsn, LogError> {
        let heads = self.streams.heads();
        let loose: Vec<_> = self.loose.values().copied().collect();
        self.append_own(Tag::Sealed, now, &loose, |out| {
            heads.iter().for_each(|(stream, head)| put_head(*stream, head, out));
        })
    }

    /// Whether a record says that a payload is purged.
    pub(crate) fn is_purged(&self, id: &Digest) -> bool {
        self.purges.purged.contains(id)
    }

    /// Where the log stands, in a segment that ends there.
    pub(crate) fn point(&mut self, nonce: [u8; 16], (segment, offset): (u32, u64)) -> Point {
        let (opened, endings) = (self.streams.opened(), self.streams.endings());
        let Purges { purged, pending, .. } = &self.purges;
        let (pending, purged) = (pending.clone(), purged.clone());
        Point { nonce, lsn: self.lsn, time: self.time, segment, offset, opened, endings, pending, purged }
    }

    /// The oldest purge whose destruction is not recorded yet.
    pub(crate) fn pending_purge(&self) -> Option<(u64, Vec<Digest>)> {
        self.purges.pending.first().cloned()
    }

    /// Appends the record that a purge is done.
    pub(crate) fn append_destroyed(&mut self, purge: u64, now: Timestamp) -> Result<Lsn, LogError> {
        let lsn = self.append_own(Tag::Destroyed, now, &[], |out| put_varint(purge, out))?;
        self.purges.pending.retain(|(pending, _)| *pending != purge);
        Ok(lsn)
    }

    /// The record that was pushed last purges these payloads.
    pub(crate) fn note_purge(&mut self, ids: Vec<Digest>) {
        let seq = self.streams.get(StreamNo::NODE).map_or(0, |node| node.next_length().saturating_sub(1));
        self.batch.purges.push((seq, ids));
    }

    /// The record that was pushed last reduces a stream.
    pub(crate) fn note_reduction(&mut self, stream: StreamNo, tier: Tier) {
        let seq = self.streams.get(StreamNo::NODE).map_or(0, |node| node.next_length().saturating_sub(1));
        self.batch.reducing.push((seq, stream, tier));
    }

    /// Reductions whose destruction is not recorded yet.
    pub(crate) fn reducing(&self) -> &[(u64, StreamNo, Tier)] {
        &self.purges.reducing
    }

    /// Whether the batch that was appended last begins a reduction.
    pub(crate) fn begins_reduction(&self) -> bool {
        !self.batch.reducing.is_empty()
    }

    /// Appends the record that these reductions are done, and what the segments are now.
    pub(crate) fn append_reduced(
        &mut self,
        purges: &[u64],
        segments: &Segments,
        now: Timestamp,
    ) -> Result<Lsn, LogError> {
        let lsn = self.append_own(Tag::Reduced, now, &[], |out| put_done(purges, segments, out))?;
        self.purges.reducing.retain(|(seq, ..)| !purges.contains(seq));
        Ok(lsn)
    }

    /// Notes a payload that a record may refer to.
    pub(crate) fn put_loose(&mut self, payload: PayloadRef) {
        self.loose.insert(payload.id, payload);
    }

    /// Takes back what no record refers to; answers whether none did.
    pub(crate) fn forget_loose(&mut self, id: &Digest) -> bool {
        self.loose.remove(id).is_some()
    }

    /// Whether no record refers to a payload that was put.
    pub(crate) fn is_loose(&self, id: &Digest) -> bool {
        self.loose.contains_key(id)
    }

    /// Number of records and last hash of the node's stream.
    pub(crate) fn node(&self) -> (u64, Digest) {
        let node = self.streams.get(StreamNo::NODE);
        node.map_or_else(|_| Default::default(), |node| (node.length(), *node.next_tip()))
    }

    /// Where an open stream ends in the log.
    pub(crate) fn head(&mut self, stream: StreamNo) -> Option<Head> {
        self.streams.get_mut(stream).ok().map(Stream::head)
    }

    /// Where an open stream ends with the batch that is being filled.
    pub(crate) fn next_head(&self, stream: StreamNo) -> Option<Head> {
        self.streams.get(stream).ok().filter(|open| !open.is_closing()).map(Stream::next_head)
    }

    /// Adds a record to the batch.
    #[inline]
    pub(crate) fn push(
        &mut self,
        number: StreamNo,
        tag: Tag,
        attachments: &[PayloadRef],
        content: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Digest, LogError> {
        self.content.clear();
        content(&mut self.content);
        self.put(number, tag, attachments)
    }

    /// The same of the content that was just encoded; in one place, whoever encodes it.
    #[inline(never)]
    fn put(&mut self, number: StreamNo, tag: Tag, attachments: &[PayloadRef]) -> Result<Digest, LogError> {
        let sizes = [self.out.len() - self.batch.start, self.content.len(), attachments.len() * 48, 96];
        if sizes.iter().sum::<usize>() > BATCH_MAX_BYTES {
            return self.fail(LogError::TooLarge);
        }
        let stream = match self.streams.get_mut(number) {
            Ok(stream) if stream.is_closing() => return self.fail(LogError::Closed { stream: number }),
            Ok(stream) => stream,
            Err(error) => return self.fail(error),
        };
        let (parent, seq) = (stream.next_tip(), stream.next_length());
        let preamble = Preamble { parent, tag, seq, lsn: self.lsn.next(), time: self.time, attachments };
        let start = put_record(number, &preamble, &self.content, &mut self.out);
        self.batch.attached.extend(attachments.iter().map(PayloadRef::id));
        let leaf = Blake3::leaf(self.out.get(start..).unwrap_or_default());
        if stream.push(leaf) {
            self.batch.touched.push(number);
        }
        Ok(leaf)
    }

    /// Opens a stream in the batch.
    pub(crate) fn open_stream(&mut self, label: &str) -> Result<StreamNo, LogError> {
        if label.len() > LABEL_MAX_BYTES {
            return self.fail(LogError::LabelTooLong { bytes: label.len() });
        }
        self.streams.open().or_else(|error| self.fail(error))
    }

    /// Where a stream ends that may be closed.
    pub(crate) fn closable(&mut self, stream: StreamNo) -> Result<Head, LogError> {
        if stream < StreamNo::FIRST_SESSION {
            return self.fail(LogError::NeverCloses { stream });
        }
        match self.streams.get(stream) {
            Ok(open) if open.is_closing() => self.fail(LogError::Closed { stream }),
            Ok(open) => Ok(open.next_head()),
            Err(error) => self.fail(error),
        }
    }

    /// Lets nothing follow in a stream.
    pub(crate) fn close(&mut self, stream: StreamNo) {
        if let Ok(stream) = self.streams.get_mut(stream) {
            stream.close();
        }
    }

    #[inline]
    fn begin(&mut self, now: Timestamp) {
        if self.content.capacity() == 0 {
            self.make_room();
        }
        let batch = &mut self.batch;
        (batch.start, batch.opened, batch.time) = (self.out.len(), self.streams.opened(), self.time);
        batch.touched.clear();
        batch.attached.clear();
        batch.reducing.clear();
        self.time = self.time.max(now);
    }

    /// What most records need, so that the first ones do not grow it byte by byte.
    #[cold]
    fn make_room(&mut self) {
        self.content = Vec::with_capacity(CONTENT_BYTES);
    }

    #[inline]
    fn commit(&mut self) -> Lsn {
        for &number in &self.batch.touched {
            if let Ok(stream) = self.streams.get_mut(number) {
                stream.keep();
                if stream.is_closing() {
                    self.streams.remove(number);
                }
            }
        }
        for id in &self.batch.attached {
            self.loose.remove(id);
        }
        if !(self.batch.purges.is_empty() && self.batch.reducing.is_empty()) {
            self.destroys();
        }
        self.lsn = self.lsn.next();
        self.lsn
    }

    /// Notes what the batch purges and reduces.
    #[cold]
    fn destroys(&mut self) {
        for (seq, ids) in self.batch.purges.drain(..) {
            self.purges.purged.extend(ids.iter().copied());
            self.purges.pending.push((seq, ids));
        }
        self.purges.reducing.extend_from_slice(&self.batch.reducing);
    }

    fn roll_back(&mut self, error: LogError) -> Result<Lsn, LogError> {
        self.out.truncate(self.batch.start);
        self.streams.unopen(self.batch.opened);
        for number in &self.batch.touched {
            if let Ok(stream) = self.streams.get_mut(*number) {
                stream.forget();
            }
        }
        self.time = self.batch.time;
        self.batch.purges.clear();
        self.batch.reducing.clear();
        self.batch.failed = None;
        Err(error)
    }

    /// What fails once fails the batch, whatever is made of the answer.
    #[cold]
    pub(crate) fn fail<T>(&mut self, error: LogError) -> Result<T, LogError> {
        self.batch.failed.get_or_insert_with(|| error.clone());
        Err(error)
    }
}

/// Room for what one record says, to begin with, in bytes.
const CONTENT_BYTES: usize = 512;

impl Lsn {
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
