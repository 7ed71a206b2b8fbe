//! A log read once, as far as it takes to prove things about it.

use crate::delta::{Commitment, DeltaProof, Inner};
use crate::disk::Disk;
use crate::hash::Rfc6962;
use crate::log::{Log, LogError, Lsn, StreamNo};
use crate::notes::checkpoint::{BadCheckpoint, Checkpoint};
use crate::outside::{Ends, Prints, Reach, Tips, print};
use crate::proof::{ConsistencyProof, InclusionProof};
use crate::record::{Entry, Kind};
use crate::tree::{CompactRange, TreeHash};
use crate::verify::{Report, verify_on};
use core::fmt;
use data_encoding::HEXLOWER;
use hv_types::Digest;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The longest entry of a tiled log.
pub const ENTRY_MAX_BYTES: usize = u16::MAX as usize;

/// What a record of the node's stream is as an entry of the tree that others check: its bytes; where those are more
/// than [`ENTRY_MAX_BYTES`], its hash (a record is longer than one, so neither passes for the other).
///
/// ```
/// assert_eq!(hv_audit::node_entry(b"a record").as_ref(), b"a record");
/// ```
#[must_use]
pub fn node_entry(record: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if record.len() <= ENTRY_MAX_BYTES {
        record.into()
    } else {
        crate::hash::Blake3::leaf(record).0.to_vec().into()
    }
}

/// Everything about a log that proofs are made of: the hashes of all records, and the bytes of those that the node's
/// stream holds and of those that were asked for.
///
/// Takes 36 bytes of memory a record, and the bytes that it keeps.
#[derive(Debug, Clone)]
pub struct Transcript {
    nonce: Option<[u8; 16]>,
    node: Vec<Digest>,
    node_records: Vec<Vec<u8>>,
    streams: BTreeMap<StreamNo, Told>,
    reach: Reach,
    tips: Tips,
    last: Lsn,
    prints: Vec<u32>,
    /// How many records there are up to each batch, from the first.
    ends: Vec<usize>,
}

/// What a log of this number is called where nobody gave it a name: `hv-trail/` and the number in hexadecimal.
#[must_use]
pub fn origin(nonce: &[u8; 16]) -> String {
    format!("hv-trail/{}", HEXLOWER.encode(nonce))
}

/// What is kept of a stream.
#[derive(Debug, Clone, Default)]
struct Told {
    label: String,
    /// The hashes of its records, without those of which only roots are there.
    leaves: Vec<Digest>,
    /// Whether records are gone.
    gone: bool,
    /// How many have no hash before one that has, by its place among the hashes.
    rooted: BTreeMap<usize, u64>,
    records: BTreeMap<u64, Vec<u8>>,
    /// The records of the node's stream that commit to this one, and to how many records of it.
    commitments: Vec<(u64, u64)>,
}

impl Told {
    /// The place in the stream of the record whose hash is at a place among the hashes.
    fn place(&self, at: usize) -> u64 {
        at as u64 + self.rooted.range(..=at).map(|(_, rooted)| rooted).sum::<u64>()
    }
}

/// Why there is no such proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoProof {
    /// There is no such stream.
    Stream,
    /// The stream has no such record.
    Record,
    /// The record's bytes were not kept while reading.
    NotKept,
    /// The node's stream has fewer records.
    Size,
    /// The record was purged, or others without which no path leads to it.
    Purged,
    /// Nothing in that many records of the node's stream commits to the record: its stream was neither closed nor
    /// did the log end since it was written.
    NotCommitted,
}

impl Transcript {
    /// Nothing was read yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nonce: None,
            node: Vec::new(),
            node_records: Vec::new(),
            streams: BTreeMap::new(),
            reach: Reach::default(),
            tips: Tips::default(),
            last: Lsn(0),
            prints: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Verifies a folder and reads it on the way. `keep` says of which records outside the node's stream the bytes
    /// are kept. Where the report says that the log was tampered with, the transcript is of no use.
    ///
    /// # Errors
    /// Those of [`verify`](crate::verify).
    pub fn read_on(
        disk: &dyn Disk,
        dir: &Path,
        keep: &mut dyn FnMut(&Entry<'_>) -> bool,
    ) -> io::Result<(Report, Self)> {
        let mut read = Self::new();
        let report = verify_on(disk, dir, &mut |entry| read.take(&entry, keep))?;
        Ok((report, read))
    }

    /// The same of a log that is open.
    ///
    /// # Errors
    /// Those of [`Log::replay`].
    pub fn of(log: &dyn Log, keep: &mut dyn FnMut(&Entry<'_>) -> bool) -> Result<Self, LogError> {
        let mut read = Self::new();
        log.replay(&mut |entry| {
            read.take(&entry, keep);
            Ok(())
        })?;
        Ok(read)
    }

    /// Takes the next record of the log.
    pub fn take(&mut self, entry: &Entry<'_>, keep: &mut dyn FnMut(&Entry<'_>) -> bool) {
        self.reach.note(entry);
        self.tips.take(entry);
        self.last = entry.lsn;
        let batch = usize::try_from(entry.lsn.0).unwrap_or(usize::MAX);
        // Of batches in between nothing is left.
        let before = self.prints.len();
        self.ends.resize(batch.max(self.ends.len()), before);
        let gone = if let Kind::Gone { records } = entry.kind { records } else { 0 };
        let records = before.saturating_add(usize::try_from(gone.max(1)).unwrap_or(usize::MAX));
        self.prints.resize(records, print(&entry.hash));
        if let Some(end) = self.ends.last_mut() {
            *end = self.prints.len();
        }
        let index = self.node.len() as u64;
        let mut commits = |stream, length| {
            self.streams.entry(stream).or_default().commitments.push((index, length));
        };
        match entry.kind {
            Kind::Started { nonce } => self.nonce = Some(nonce),
            Kind::StreamOpened { stream, label, .. } => {
                commits(stream, 1);
                // Its own record of that may be gone.
                label.clone_into(&mut self.streams.entry(stream).or_default().label);
            }
            // The record that closes a stream stands behind those that it counts.
            Kind::StreamClosed { stream, size, .. } => commits(stream, size.saturating_add(1)),
            Kind::Sealed { heads } => heads.for_each(|(stream, head)| commits(stream, head.length)),
            Kind::Data
            | Kind::Genesis { .. }
            | Kind::Close { .. }
            | Kind::Purge { .. }
            | Kind::Destroyed { .. }
            | Kind::Reduce(_)
            | Kind::Reduced { .. }
            | Kind::Gone { .. }
            | Kind::Snapshot { .. } => {}
        }
        let kept = keep(entry);
        let told = self.streams.entry(entry.stream).or_default();
        if gone > 1 {
            told.rooted.insert(told.leaves.len(), gone - 1);
        }
        told.leaves.push(entry.hash);
        told.gone |= gone > 0;
        if let Kind::Genesis { label } = entry.kind {
            label.clone_into(&mut told.label);
        }
        if gone > 0 {
            return;
        }
        if entry.stream == StreamNo::NODE {
            self.node.push(Rfc6962::leaf(&node_entry(entry.bytes)));
            self.node_records.push(entry.bytes.to_vec());
        } else if kept {
            told.records.insert(entry.seq, entry.bytes.to_vec());
        }
    }

    /// The number that tells this log from all others.
    #[must_use]
    pub const fn nonce(&self) -> Option<[u8; 16]> {
        self.nonce
    }

    /// What the log is called where nobody gave it a name: `hv-trail/` and its number in hexadecimal.
    #[must_use]
    pub fn origin(&self) -> String {
        origin(&self.nonce.unwrap_or_default())
    }

    /// The number of records of the node's stream.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.node.len() as u64
    }

    /// The leaves of the tree that others check.
    #[must_use]
    pub fn node_leaves(&self) -> &[Digest] {
        &self.node
    }

    /// The records of the node's stream.
    #[must_use]
    pub fn node_records(&self) -> &[Vec<u8>] {
        &self.node_records
    }

    /// The streams that have records, with what they are called.
    pub fn streams(&self) -> impl Iterator<Item = (StreamNo, &str)> {
        self.streams.iter().map(|(stream, told)| (*stream, told.label.as_str()))
    }

    /// The number of records of a stream.
    #[must_use]
    pub fn length(&self, stream: StreamNo) -> u64 {
        self.streams.get(&stream).map_or(0, |told| told.place(told.leaves.len()))
    }

    /// The bytes of a record, where they were kept.
    #[must_use]
    pub fn record(&self, stream: StreamNo, seq: u64) -> Option<&[u8]> {
        if stream == StreamNo::NODE {
            return self.node_records.get(usize::try_from(seq).ok()?).map(Vec::as_slice);
        }
        self.streams.get(&stream)?.records.get(&seq).map(Vec::as_slice)
    }

    /// Why a record that a stream has is not here.
    #[must_use]
    pub fn absent(&self, stream: StreamNo) -> NoProof {
        let gone = self.streams.get(&stream).is_some_and(|told| told.gone);
        if gone { NoProof::Purged } else { NoProof::NotKept }
    }

    /// The place of the record with this hash.
    #[must_use]
    pub fn find(&self, hash: &Digest) -> Option<(StreamNo, u64)> {
        self.streams.iter().find_map(|(stream, told)| {
            let at = told.leaves.iter().position(|leaf| leaf == hash)?;
            Some((*stream, told.place(at)))
        })
    }

    /// The root over the first entries of the node's stream.
    ///
    /// # Errors
    /// [`NoProof::Size`].
    pub fn root(&self, size: u64) -> Result<Digest, NoProof> {
        let mut range = CompactRange::<Rfc6962>::new();
        self.leaves_to(size)?.iter().for_each(|leaf| range.push(*leaf));
        Ok(range.root())
    }

    /// The checkpoint of this size, to be signed.
    ///
    /// # Errors
    /// [`BadCheckpoint::Size`] where there are not so many records, [`BadCheckpoint::Origin`].
    pub fn checkpoint(&self, origin: &str, size: u64) -> Result<Checkpoint, BadCheckpoint> {
        Checkpoint::new(origin, size, self.root(size).map_err(|_| BadCheckpoint::Size)?)
    }

    /// The last batch up to which the first records of the node's stream speak for everything: that of the last record
    /// among them that ended the log. Of what came later, they speak for the streams that were closed.
    #[must_use]
    pub fn reach(&self, size: u64) -> Lsn {
        self.reach.of(size)
    }

    /// The last batch that was read.
    #[must_use]
    pub const fn last(&self) -> Lsn {
        self.last
    }

    /// Where every open stream ends, behind the last batch that was read; `None` where that is not known.
    #[must_use]
    pub fn ends(&self) -> Option<Ends> {
        self.tips.ends(self.last)
    }

    /// The checkpoint of everything that was read, to be signed: where the log was not ended, it says where every open
    /// stream ends.
    ///
    /// # Errors
    /// [`BadCheckpoint::Origin`].
    pub fn mark(&self, origin: &str) -> Result<Checkpoint, BadCheckpoint> {
        let checkpoint = self.checkpoint(origin, self.size())?;
        let whole = self.reach(self.size()) >= self.last;
        let ends = self.ends().filter(|_| !whole);
        let extension = ends.map_or_else(String::new, |ends| ends.to_line());
        Ok(Checkpoint { extension, ..checkpoint })
    }

    /// What tells later which record was changed: of those up to a checkpoint's reach, or up to the ends that it says.
    ///
    /// # Errors
    /// [`NoProof::Size`].
    pub fn prints(&self, size: u64, ends: Option<Ends>) -> Result<Prints, NoProof> {
        let root = self.root(size)?;
        let reach = self.reach.of(size).max(ends.map_or(Lsn(0), |ends| ends.lsn));
        let last = usize::try_from(reach.0).ok().and_then(|batches| self.ends.get(batches.checked_sub(1)?));
        let prints = self.prints.get(..last.copied().unwrap_or_default()).unwrap_or_default();
        Ok(Prints::new(root, prints.to_vec()))
    }

    /// That an entry is among the first ones of the node's stream.
    ///
    /// # Errors
    /// [`NoProof::Size`] and [`NoProof::Record`].
    pub fn inclusion(&self, index: u64, size: u64) -> Result<InclusionProof, NoProof> {
        InclusionProof::make::<Rfc6962>(self.leaves_to(size)?, index).ok_or(NoProof::Record)
    }

    /// That the node's stream only grew from one size to another.
    ///
    /// # Errors
    /// [`NoProof::Size`].
    pub fn consistency(&self, from: u64, to: u64) -> Result<ConsistencyProof, NoProof> {
        ConsistencyProof::make::<Rfc6962>(self.leaves_to(to)?, from).ok_or(NoProof::Size)
    }

    /// That a record is in the trail: its way to an entry of the node's stream, and that entry's place among the first
    /// `size`.
    ///
    /// # Errors
    /// [`NoProof`].
    pub fn delta(&self, stream: StreamNo, seq: u64, size: u64) -> Result<DeltaProof, NoProof> {
        let told = self.streams.get(&stream).ok_or(NoProof::Stream)?;
        if seq >= self.length(stream) {
            return Err(NoProof::Record);
        }
        if told.gone {
            return Err(NoProof::Purged);
        }
        let record = self.record(stream, seq).ok_or(NoProof::NotKept)?.to_vec();
        if size > self.size() {
            return Err(NoProof::Size);
        }
        if stream == StreamNo::NODE {
            return if seq < size {
                Ok(DeltaProof { stream, record, inner: None })
            } else {
                Err(NoProof::NotCommitted)
            };
        }
        // The first that commits to it: what was proven once is proven by the same ever after.
        let found =
            told.commitments.iter().find(|(_, length)| seq < *length).filter(|(index, _)| *index < size);
        let (index, _) = found.ok_or(NoProof::NotCommitted)?;
        let entry = self.record(StreamNo::NODE, *index).ok_or(NoProof::NotKept)?;
        let commitment = Commitment::read(entry, stream).ok_or(NoProof::NotCommitted)?;
        let path = commitment.path(&told.leaves, seq).ok_or(NoProof::NotCommitted)?;
        Ok(DeltaProof { stream, record, inner: Some(Inner { entry: entry.to_vec(), index: *index, path }) })
    }

    fn leaves_to(&self, size: u64) -> Result<&[Digest], NoProof> {
        usize::try_from(size).ok().and_then(|size| self.node.get(..size)).ok_or(NoProof::Size)
    }
}

impl Default for Transcript {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for NoProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "there is no such stream",
            Self::Record => "the stream has no such record",
            Self::Purged => "records of its session were purged; a proof from before still holds",
            Self::NotKept => "the record was not kept while the trail was read",
            Self::Size => "the node's stream has fewer records than that",
            Self::NotCommitted => {
                "nothing that was signed commits to this record: since it was written its stream was not closed, \
                 nor did the log end; end it, and sign a checkpoint then"
            }
        })
    }
}

impl core::error::Error for NoProof {}
