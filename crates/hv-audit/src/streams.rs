//! Where every open stream ends.

use crate::hash::Blake3;
use crate::log::{Head, LogError, StreamNo};
use crate::tree::CompactRange;
use core::hash::{BuildHasherDefault, Hasher};
use hv_types::Digest;
use smallvec::SmallVec;
use std::collections::HashMap;

/// One stream: the records in the log, and those of the batch that is being filled.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    tree: CompactRange<Blake3>,
    /// The hash of the last record in the tree.
    tip: Digest,
    /// The hashes of the records that are not in the tree yet. A root is asked for far less often than a
    /// record is appended, and of some streams never.
    fresh: Fresh,
    /// How many of those are in the log; the others came with the batch that is being filled.
    kept: usize,
    closing: bool,
}

/// So many records wait at most before they enter the tree.
const FRESH_MAX: usize = 64;

/// Hashes in order. A few lie in place: all that the streams of the node and of the ledger get from one session.
type Fresh = SmallVec<[Digest; 4]>;

/// Room for so many where they are more: what a small session appends.
const FRESH_FIRST: usize = 16;

impl Stream {
    pub(crate) fn new(stream: StreamNo) -> Self {
        Self { tree: CompactRange::new(), tip: stream.origin(), fresh: Fresh::new(), kept: 0, closing: false }
    }

    /// The number of records in the log.
    #[inline]
    pub(crate) const fn length(&self) -> u64 {
        self.tree.size() + self.kept as u64
    }

    /// The number of records with those of the batch.
    #[inline]
    pub(crate) fn next_length(&self) -> u64 {
        self.tree.size() + self.fresh.len() as u64
    }

    /// What the next record of the batch names as its parent.
    #[inline]
    pub(crate) fn next_tip(&self) -> &Digest {
        self.fresh.last().unwrap_or(&self.tip)
    }

    /// Where the stream ends in the log; call it between batches.
    pub(crate) fn head(&mut self) -> Head {
        self.settle();
        Head { length: self.length(), tip: self.tip, root: self.tree.root() }
    }

    /// Where the stream ends with the records of the batch.
    pub(crate) fn next_head(&self) -> Head {
        let root = self.tree.root_with(&self.fresh);
        Head { length: self.next_length(), tip: *self.next_tip(), root }
    }

    /// Adds a record of the batch; answers whether it is the batch's first for this stream.
    #[inline]
    pub(crate) fn push(&mut self, leaf: Digest) -> bool {
        let first = self.fresh.len() == self.kept;
        if self.fresh.len() == self.fresh.inline_size() {
            self.fresh.reserve(FRESH_FIRST - self.fresh.len());
        }
        self.fresh.push(leaf);
        first
    }

    /// No record of the batch or later may follow.
    pub(crate) const fn close(&mut self) {
        self.closing = true;
    }

    pub(crate) const fn is_closing(&self) -> bool {
        self.closing
    }

    /// The batch is in the log.
    #[inline]
    pub(crate) fn keep(&mut self) {
        self.kept = self.fresh.len();
        if self.kept >= FRESH_MAX {
            self.settle();
        }
    }

    /// The batch is given up.
    pub(crate) fn forget(&mut self) {
        self.fresh.truncate(self.kept);
        self.closing = false;
    }

    /// Goes past records of which only hashes are left: the roots of the subtrees that cover them, in order, each with
    /// its level, and the hash of the last one. Between batches; `false` where they do not follow.
    pub(crate) fn skip(&mut self, subtrees: impl Iterator<Item = (u32, Digest)>, tip: Digest) -> bool {
        self.settle();
        self.tip = tip;
        let mut subtrees = subtrees;
        subtrees.all(|(level, root)| self.tree.push_subtree(level, root))
    }

    fn ending(&mut self, stream: StreamNo) -> Ending {
        self.settle();
        Ending { stream, size: self.tree.size(), tip: self.tip, peaks: self.tree.peaks().to_vec() }
    }

    fn resume(ending: &Ending) -> Option<Self> {
        let Ending { stream, size, tip, peaks } = ending;
        let tree = CompactRange::from_peaks(*size, peaks.clone())?;
        Some(Self { tree, tip: *tip, ..Self::new(*stream) })
    }

    fn settle(&mut self) {
        for leaf in self.fresh.drain(..self.kept) {
            self.tree.push(leaf);
            self.tip = leaf;
        }
        self.kept = 0;
    }
}

/// Where one stream ended, as much as is needed to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) stream: StreamNo,
    pub(crate) size: u64,
    pub(crate) tip: Digest,
    pub(crate) peaks: Vec<Digest>,
}

/// All open streams of a log.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    node: Stream,
    ledger: Stream,
    sessions: Sessions,
    /// How many sessions were ever opened.
    opened: u32,
}

impl Streams {
    pub(crate) fn new() -> Self {
        let (node, ledger) = (Stream::new(StreamNo::NODE), Stream::new(StreamNo::LEDGER));
        Self { node, ledger, sessions: Sessions::default(), opened: 0 }
    }

    pub(crate) fn get(&self, stream: StreamNo) -> Result<&Stream, LogError> {
        match stream {
            StreamNo::NODE => Ok(&self.node),
            StreamNo::LEDGER => Ok(&self.ledger),
            StreamNo(number) => self.sessions.get(number).ok_or_else(|| absent(stream, self.opened)),
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, stream: StreamNo) -> Result<&mut Stream, LogError> {
        match stream {
            StreamNo::NODE => Ok(&mut self.node),
            StreamNo::LEDGER => Ok(&mut self.ledger),
            StreamNo(number) => self.sessions.get_mut(number).ok_or_else(|| absent(stream, self.opened)),
        }
    }

    /// How many sessions were ever opened.
    pub(crate) const fn opened(&self) -> u32 {
        self.opened
    }

    /// Opens the next session.
    pub(crate) fn open(&mut self) -> Result<StreamNo, LogError> {
        let number = StreamNo::FIRST_SESSION.0.checked_add(self.opened).ok_or(LogError::NoStreamLeft)?;
        self.opened += 1;
        self.sessions.insert(number, Stream::new(StreamNo(number)));
        Ok(StreamNo(number))
    }

    /// Forgets the sessions opened since there were so many.
    pub(crate) fn unopen(&mut self, opened: u32) {
        for number in opened..self.opened {
            self.sessions.remove(number.saturating_add(StreamNo::FIRST_SESSION.0));
        }
        self.opened = opened;
    }

    /// Nothing follows a closed stream, so nothing of it stays in memory.
    pub(crate) fn remove(&mut self, stream: StreamNo) {
        self.sessions.remove(stream.0);
    }

    /// Where every open stream ends in the log, so that [`resume`](Self::resume) goes on there; between batches.
    pub(crate) fn endings(&mut self) -> Vec<Ending> {
        let mut endings = vec![self.node.ending(StreamNo::NODE), self.ledger.ending(StreamNo::LEDGER)];
        endings.extend(self.sessions.iter_mut().map(|(number, stream)| stream.ending(StreamNo(*number))));
        endings.sort_by_key(|ending| ending.stream);
        endings
    }

    /// The streams that ended like this, of a log in which so many sessions were opened; `None` where none can.
    pub(crate) fn resume(opened: u32, endings: &[Ending]) -> Option<Self> {
        let mut streams = Self { opened, ..Self::new() };
        let mut last = None;
        for ending in endings {
            let stream = Stream::resume(ending)?;
            let number = ending.stream;
            let known = number.0 < StreamNo::FIRST_SESSION.0.saturating_add(opened);
            if !known || last.replace(number).is_some_and(|last| last >= number) {
                return None;
            }
            match number {
                StreamNo::NODE => streams.node = stream,
                StreamNo::LEDGER => streams.ledger = stream,
                StreamNo(number) => streams.sessions.insert(number, stream),
            }
        }
        Some(streams)
    }

    /// How many sessions are open.
    pub(crate) fn open_sessions(&self) -> u32 {
        u32::try_from(self.sessions.len()).unwrap_or(u32::MAX)
    }

    /// Where every open stream ends, in the order of their numbers.
    pub(crate) fn heads(&mut self) -> Vec<(StreamNo, Head)> {
        let mut heads = vec![(StreamNo::NODE, self.node.head()), (StreamNo::LEDGER, self.ledger.head())];
        heads.extend(self.sessions.iter_mut().map(|(number, stream)| (StreamNo(*number), stream.head())));
        heads.sort_by_key(|(stream, _)| *stream);
        heads
    }
}

/// Streams by number: a few are compared one by one, more are hashed. All lie in the list or all in the table.
#[derive(Debug, Clone, Default)]
struct Sessions {
    list: Vec<(u32, Stream)>,
    table: HashMap<u32, Stream, BuildHasherDefault<NumberHasher>>,
}

/// So many streams are compared one by one.
const FEW: usize = 4;

impl Sessions {
    #[inline]
    fn get(&self, number: u32) -> Option<&Stream> {
        if self.table.is_empty() {
            return self.list.iter().find(|(known, _)| *known == number).map(|(_, stream)| stream);
        }
        self.table.get(&number)
    }

    #[inline]
    fn get_mut(&mut self, number: u32) -> Option<&mut Stream> {
        if self.table.is_empty() {
            return self.list.iter_mut().find(|(known, _)| *known == number).map(|(_, stream)| stream);
        }
        self.table.get_mut(&number)
    }

    /// Adds one that is not there.
    fn insert(&mut self, number: u32, stream: Stream) {
        if self.table.is_empty() && self.list.len() < FEW {
            if self.list.capacity() == 0 {
                self.list = Vec::with_capacity(FEW);
            }
            self.list.push((number, stream));
        } else {
            self.table.extend(self.list.drain(..));
            self.table.insert(number, stream);
        }
    }

    fn remove(&mut self, number: u32) {
        self.list.retain(|(known, _)| *known != number);
        self.table.remove(&number);
    }

    fn len(&self) -> usize {
        self.list.len() + self.table.len()
    }

    /// In no order that means anything.
    fn iter_mut(&mut self) -> impl Iterator<Item = (&u32, &mut Stream)> {
        self.list.iter_mut().map(|(number, stream)| (&*number, stream)).chain(&mut self.table)
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
