//! Where every stream ends, and how a batch moves all of them or none.

use crate::hash::Blake3;
use crate::log::{BATCH_MAX_BYTES, Expect, Head, LABEL_MAX_BYTES, LogError, Lsn, PayloadRef, StreamNo};
use crate::record::{Preamble, Tag, put_close, put_closed, put_genesis, put_head, put_opened, put_record};
use crate::tree::{CompactRange, TreeHash};
use core::fmt;
use core::hash::{BuildHasherDefault, Hasher};
use hv_types::{Digest, Timestamp};
use std::collections::HashMap;

/// The records that are about to be appended together.
///
/// The first thing asked of it that fails ends it: nothing of it is appended, whatever `fill` answers.
pub struct Batch<'a> {
    journal: &'a mut Journal,
}

impl Batch<'_> {
    /// Adds a record to a stream; gives its hash.
    ///
    /// # Errors
    /// [`LogError::Unknown`] and [`LogError::Closed`] where the stream takes no records;
    /// [`LogError::TooLarge`] where the batch would exceed [`BATCH_MAX_BYTES`].
    pub fn push(
        &mut self,
        stream: StreamNo,
        attachments: &[PayloadRef],
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Digest, LogError> {
        self.journal.push(stream, Tag::Data, attachments, body)
    }

    /// Opens a stream with its record 0, and says so on the node stream; gives number and hash of record 0.
    ///
    /// The label is part of the record, so it is bound to the stream for ever; labels need not be unique.
    ///
    /// # Errors
    /// [`LogError::LabelTooLong`], [`LogError::NoStreamLeft`], and those of [`push`](Self::push).
    pub fn genesis(
        &mut self,
        label: &str,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(StreamNo, Digest), LogError> {
        let stream = self.journal.open_stream(label)?;
        let genesis = self.journal.push(stream, Tag::Genesis, &[], |out| {
            put_genesis(label, out);
            body(out);
        })?;
        let opened = |out: &mut Vec<u8>| put_opened(stream, label, &genesis, out);
        self.journal.push(StreamNo::NODE, Tag::StreamOpened, &[], opened)?;
        Ok((stream, genesis))
    }

    /// Closes a stream with a record that holds the root over all before it, and says so on the node stream;
    /// gives that root.
    ///
    /// # Errors
    /// [`LogError::NeverCloses`] for the node's and the ledger's stream, and those of [`push`](Self::push).
    pub fn close(&mut self, stream: StreamNo) -> Result<Digest, LogError> {
        let Head { length, root, .. } = self.journal.closable(stream)?;
        let close = self.journal.push(stream, Tag::Close, &[], |out| put_close(length, &root, out))?;
        self.journal.close(stream);
        let closed = |out: &mut Vec<u8>| put_closed(stream, length, &root, &close, out);
        self.journal.push(StreamNo::NODE, Tag::StreamClosed, &[], closed)?;
        Ok(root)
    }

    /// Where an open stream ends, with what this batch added to it.
    #[must_use]
    pub fn head(&self, stream: StreamNo) -> Option<Head> {
        self.journal.pending_head(stream)
    }

    /// The number that this batch will have.
    #[must_use]
    pub const fn lsn(&self) -> Lsn {
        self.journal.lsn.next()
    }

    /// The time that the records carry.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.journal.time
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("lsn", &self.lsn())
            .field("time", &self.time())
            .field("records", &self.journal.leaves.len())
            .finish()
    }
}

impl Lsn {
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Where every open stream ends, and the bytes of what was appended since an engine last took them.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    node: Stream,
    ledger: Stream,
    sessions: HashMap<u32, Stream, BuildHasherDefault<NumberHasher>>,
    /// How many sessions were ever opened.
    opened: u32,
    lsn: Lsn,
    time: Timestamp,
    /// The appended bytes; an engine takes them away and frames them as it likes.
    pub(crate) out: Vec<u8>,
    pending: Pending,
    leaves: Vec<(StreamNo, Digest)>,
    /// The body that is being encoded. What encodes it cannot reach anything else.
    body: Vec<u8>,
}

/// What is undone when a batch is not appended.
#[derive(Debug, Default)]
struct Pending {
    start: usize,
    opened: u32,
    time: Timestamp,
    touched: Vec<StreamNo>,
    failed: Option<LogError>,
}

/// One stream: where it ends, and where it will end with the batch that is being filled.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    tree: CompactRange<Blake3>,
    tip: Digest,
    next: Next,
}

#[derive(Debug, Clone, Copy)]
struct Next {
    length: u64,
    tip: Digest,
    closed: bool,
}

impl Stream {
    pub(crate) fn new(stream: StreamNo) -> Self {
        let tip = stream.origin();
        Self { tree: CompactRange::default(), tip, next: Next { length: 0, tip, closed: false } }
    }

    /// Adds a record that is already in the log.
    pub(crate) fn add(&mut self, leaf: Digest) {
        self.tree.push(leaf);
        self.tip = leaf;
        self.next = Next { length: self.tree.size(), tip: leaf, closed: false };
    }

    pub(crate) fn head(&self) -> Head {
        Head { length: self.tree.size(), tip: self.tip, root: self.tree.root() }
    }

    pub(crate) const fn length(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) const fn tip(&self) -> Digest {
        self.tip
    }

    fn touched(&self) -> bool {
        self.next.length != self.tree.size()
    }
}

/// The node's stream: number 0.
impl Default for Stream {
    fn default() -> Self {
        Self::new(StreamNo::NODE)
    }
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { ledger: Stream::new(StreamNo::LEDGER), ..Self::default() }
    }

    /// The journal of a log that was read to its end.
    pub(crate) fn resume(
        node: Stream,
        ledger: Stream,
        sessions: impl Iterator<Item = (StreamNo, Stream)>,
        (opened, lsn, time): (u32, Lsn, Timestamp),
    ) -> Self {
        let sessions = sessions.map(|(number, stream)| (number.0, stream)).collect();
        Self { node, ledger, sessions, opened, lsn, time, ..Self::default() }
    }

    /// The last batch.
    pub(crate) const fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Appends a batch to `out`, or leaves everything as it was.
    pub(crate) fn append(
        &mut self,
        expect: &[Expect],
        now: Timestamp,
        fill: &mut dyn FnMut(&mut Batch<'_>) -> Result<(), LogError>,
    ) -> Result<Lsn, LogError> {
        for expected in expect {
            let found = self.stream(expected.stream)?.length();
            if found != expected.length {
                let Expect { stream, length } = *expected;
                return Err(LogError::Stale { stream, expected: length, found });
            }
        }
        self.begin(now);
        let filled = fill(&mut Batch { journal: self });
        let failed = self.pending.failed.take();
        match failed.map_or(filled, Err) {
            Ok(()) if !self.leaves.is_empty() => Ok(self.commit()),
            Ok(()) => self.roll_back(LogError::Empty),
            Err(error) => self.roll_back(error),
        }
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
    pub(crate) fn append_sealed(
        &mut self,
        now: Timestamp,
        attachments: &[PayloadRef],
    ) -> Result<Lsn, LogError> {
        let mut heads = vec![(StreamNo::NODE, self.node.head()), (StreamNo::LEDGER, self.ledger.head())];
        heads.extend(self.sessions.iter().map(|(number, stream)| (StreamNo(*number), stream.head())));
        heads.sort_by_key(|(stream, _)| *stream);
        let content =
            |out: &mut Vec<u8>| heads.iter().for_each(|(stream, head)| put_head(*stream, head, out));
        self.append_own(Tag::Sealed, now, attachments, content)
    }

    /// Where an open stream ends, without the batch that is being filled.
    pub(crate) fn head(&self, stream: StreamNo) -> Option<Head> {
        self.stream(stream).ok().map(Stream::head)
    }

    fn begin(&mut self, now: Timestamp) {
        self.pending.start = self.out.len();
        self.pending.opened = self.opened;
        self.pending.time = self.time;
        self.pending.touched.clear();
        self.pending.failed = None;
        self.leaves.clear();
        self.time = self.time.max(now);
    }

    fn commit(&mut self) -> Lsn {
        let leaves = core::mem::take(&mut self.leaves);
        for (stream, leaf) in &leaves {
            if let Ok(stream) = self.stream_mut(*stream) {
                stream.tree.push(*leaf);
                stream.tip = *leaf;
            }
        }
        self.leaves = leaves;
        // Nothing follows a closed stream, so nothing of it stays in memory.
        let sessions = &mut self.sessions;
        for stream in &self.pending.touched {
            if sessions.get(&stream.0).is_some_and(|stream| stream.next.closed) {
                sessions.remove(&stream.0);
            }
        }
        self.lsn = self.lsn.next();
        self.lsn
    }

    fn roll_back(&mut self, error: LogError) -> Result<Lsn, LogError> {
        self.out.truncate(self.pending.start);
        for opened in self.pending.opened..self.opened {
            self.sessions.remove(&opened.saturating_add(StreamNo::FIRST_SESSION.0));
        }
        self.opened = self.pending.opened;
        let touched = core::mem::take(&mut self.pending.touched);
        for number in &touched {
            if let Ok(stream) = self.stream_mut(*number) {
                stream.next = Next { length: stream.tree.size(), tip: stream.tip, closed: false };
            }
        }
        self.pending.touched = touched;
        self.time = self.pending.time;
        self.leaves.clear();
        Err(error)
    }

    #[inline]
    fn push(
        &mut self,
        number: StreamNo,
        tag: Tag,
        attachments: &[PayloadRef],
        content: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Digest, LogError> {
        let (lsn, time) = (self.lsn.next(), self.time);
        self.body.clear();
        content(&mut self.body);
        let batch = self.out.len() - self.pending.start;
        let attached = attachments.len().saturating_mul(48);
        let size = batch.saturating_add(attached).saturating_add(self.body.len()).saturating_add(80);
        if size > BATCH_MAX_BYTES {
            return self.fail(LogError::TooLarge);
        }
        let body = core::mem::take(&mut self.body);
        let mut out = core::mem::take(&mut self.out);
        let pushed = self.stream_mut(number).and_then(|stream| {
            if stream.next.closed {
                return Err(LogError::Closed { stream: number });
            }
            let first = !stream.touched();
            let preamble =
                Preamble { parent: &stream.next.tip, tag, seq: stream.next.length, lsn, time, attachments };
            let start = put_record(number, &preamble, &body, &mut out);
            let leaf = Blake3::leaf(out.get(start..).unwrap_or_default());
            stream.next.tip = leaf;
            stream.next.length += 1;
            Ok((leaf, first))
        });
        self.body = body;
        self.out = out;
        match pushed {
            Ok((leaf, first)) => {
                if first {
                    self.pending.touched.push(number);
                }
                self.leaves.push((number, leaf));
                Ok(leaf)
            }
            Err(error) => self.fail(error),
        }
    }

    fn open_stream(&mut self, label: &str) -> Result<StreamNo, LogError> {
        if label.len() > LABEL_MAX_BYTES {
            return self.fail(LogError::LabelTooLong { bytes: label.len() });
        }
        let Some(number) = StreamNo::FIRST_SESSION.0.checked_add(self.opened) else {
            return self.fail(LogError::NoStreamLeft);
        };
        self.opened += 1;
        let stream = StreamNo(number);
        self.sessions.insert(number, Stream::new(stream));
        Ok(stream)
    }

    fn closable(&mut self, stream: StreamNo) -> Result<Head, LogError> {
        if stream < StreamNo::FIRST_SESSION {
            return self.fail(LogError::NeverCloses { stream });
        }
        match self.stream(stream) {
            Ok(open) if open.next.closed => self.fail(LogError::Closed { stream }),
            Ok(open) => Ok(self.head_of(stream, open)),
            Err(error) => self.fail(error),
        }
    }

    fn close(&mut self, stream: StreamNo) {
        if let Ok(stream) = self.stream_mut(stream) {
            stream.next.closed = true;
        }
    }

    fn pending_head(&self, stream: StreamNo) -> Option<Head> {
        let open = self.stream(stream).ok().filter(|open| !open.next.closed)?;
        Some(self.head_of(stream, open))
    }

    fn head_of(&self, number: StreamNo, stream: &Stream) -> Head {
        let mut tree = stream.tree.clone();
        self.leaves.iter().filter(|(of, _)| *of == number).for_each(|(_, leaf)| tree.push(*leaf));
        Head { length: stream.next.length, tip: stream.next.tip, root: tree.root() }
    }

    fn fail<T>(&mut self, error: LogError) -> Result<T, LogError> {
        self.pending.failed.get_or_insert_with(|| error.clone());
        Err(error)
    }

    fn stream(&self, stream: StreamNo) -> Result<&Stream, LogError> {
        match stream {
            StreamNo::NODE => Ok(&self.node),
            StreamNo::LEDGER => Ok(&self.ledger),
            StreamNo(number) => self.sessions.get(&number).ok_or_else(|| absent(stream, self.opened)),
        }
    }

    #[inline]
    fn stream_mut(&mut self, stream: StreamNo) -> Result<&mut Stream, LogError> {
        match stream {
            StreamNo::NODE => Ok(&mut self.node),
            StreamNo::LEDGER => Ok(&mut self.ledger),
            StreamNo(number) => self.sessions.get_mut(&number).ok_or_else(|| absent(stream, self.opened)),
        }
    }
}

/// Why there is no open stream of this number, where so many sessions were opened.
fn absent(stream: StreamNo, opened: u32) -> LogError {
    let was_open = stream.0.saturating_sub(StreamNo::FIRST_SESSION.0) < opened;
    if was_open { LogError::Closed { stream } } else { LogError::Unknown { stream } }
}

/// Spreads stream numbers, which the log itself gives, over a hash map. Multiplies by 2^64 divided by the
/// golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4).
#[derive(Debug, Default, Clone, Copy)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
