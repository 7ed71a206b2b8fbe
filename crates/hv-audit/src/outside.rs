//! What was kept outside a log's folder, and how far it reaches into the log.
//!
//! A checkpoint signs the first records of the node's stream. How much of the other streams it speaks for follows
//! from what those records say: the record that ends the log holds where each of them ends. A checkpoint of a log that
//! goes on says itself where they end.

use crate::log::{Lsn, StreamNo};
use crate::notes::{base64, decimal, hash};
use crate::record::{Entry, Kind};
use core::fmt;
use hv_types::wire::Reader;
use hv_types::{Digest, Wire};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Who vouches for a root, besides the folder that it is a root of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// L1: the log's own key, in a file that whoever writes to the folder does not write to.
    Signed,
    /// L2: enough witnesses that saw the log only grow.
    Witnessed,
    /// L3: something public that nobody can take back, such as a ledger or a time-stamping authority.
    Anchored,
}

/// A root that somebody vouches for. That they do is for the caller to have checked.
#[derive(Debug, Clone, Copy)]
pub struct Outside<'a> {
    /// Who.
    pub rank: Rank,
    /// The number of records of the node's stream.
    pub size: u64,
    /// The root over their entries, as [`Checkpoint`](crate::Checkpoint) has it.
    pub root: Digest,
    /// Where every open stream ended, where they vouch for that too.
    pub ends: Option<Ends>,
    /// What helps to tell which record was changed, where one was.
    pub prints: Option<&'a Prints>,
}

/// Where every open stream ended behind a batch: what lets a checkpoint of a log that goes on speak for everything up to
/// there, and not only up to where the log was ended last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The batch.
    pub lsn: Lsn,
    /// SHA-256 over, for each open stream in the order of numbers: its number (4 bytes, little endian), its number of
    /// records (8, the same), the hash of its last record.
    pub digest: Digest,
}

/// What a line about ends begins with.
const WORD: &str = "hv-ends ";

impl Ends {
    /// The line that stands for it in a checkpoint, below the root.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{WORD}{} {}\n", self.lsn, base64(&self.digest.0))
    }

    /// What the lines of a checkpoint below the root say; `None` where none of them, or more than one, is about ends.
    #[must_use]
    pub fn of_lines(lines: &str) -> Option<Self> {
        let mut about = lines.lines().filter_map(|line| line.strip_prefix(WORD));
        let (line, None) = (about.next()?, about.next()) else { return None };
        let (lsn, digest) = line.split_once(' ')?;
        Some(Self { lsn: Lsn(decimal(lsn)?), digest: hash(digest)? })
    }
}

/// Where the open streams end, record by record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tips {
    open: BTreeMap<StreamNo, (u64, Digest)>,
    /// Open streams of which only roots are there: where they ended is known at some batches only.
    vague: BTreeSet<StreamNo>,
}

impl Tips {
    /// Takes the next record of the log.
    pub(crate) fn take(&mut self, entry: &Entry<'_>) {
        match entry.kind {
            Kind::Close { .. } => {
                self.open.remove(&entry.stream);
                return;
            }
            // Its own record of that may be gone.
            Kind::StreamClosed { stream, .. } => {
                self.open.remove(&stream);
                self.vague.remove(&stream);
            }
            Kind::Gone { records: 2.. } => {
                self.vague.insert(entry.stream);
            }
            _ => {}
        }
        self.open.insert(entry.stream, (entry.seq.saturating_add(1), entry.hash));
    }

    /// Where they end, the last record being of this batch; `None` where that cannot be known any more.
    pub(crate) fn ends(&self, lsn: Lsn) -> Option<Ends> {
        if !self.vague.is_empty() {
            return None;
        }
        let mut hash = Sha256::new();
        for (stream, (length, tip)) in &self.open {
            hash.update(stream.0.to_le_bytes());
            hash.update(length.to_le_bytes());
            hash.update(tip.0);
        }
        Some(Ends { lsn, digest: Digest(hash.finalize().into()) })
    }
}

/// How far a root from outside reaches, once the log was found to have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Who vouches for it.
    pub rank: Rank,
    /// The number of records of the node's stream.
    pub size: u64,
    /// The last batch up to which nothing can have been changed.
    pub lsn: Lsn,
}

impl Rank {
    /// `L1`, `L2` or `L3`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signed => "L1",
            Self::Witnessed => "L2",
            Self::Anchored => "L3",
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.rank {
            Rank::Signed => "signed outside the folder",
            Rank::Witnessed => "witnessed",
            Rank::Anchored => "anchored",
        };
        write!(f, "{}, {words}, up to batch {}", self.rank.name(), self.lsn)
    }
}

/// Up to which batch the first records of the node's stream speak for everything.
///
/// That is the last batch that holds the ends of all streams, as the record that ends the log does. What was written
/// since is spoken for only in part: closed streams are, but records could have been added to the others.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// The number of records of the node's stream.
    size: u64,
    /// For each record that holds all ends: the size with it, and its batch.
    ends: Vec<(u64, Lsn)>,
}

impl Reach {
    /// The number of records of the node's stream.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next record of the log.
    pub fn note(&mut self, entry: &Entry<'_>) {
        if entry.stream == StreamNo::NODE {
            self.size += 1;
            if let Kind::Sealed { .. } = entry.kind {
                self.ends.push((self.size, entry.lsn));
            }
        }
    }

    /// The last batch up to which the first `size` records speak for everything.
    #[must_use]
    pub fn of(&self, size: u64) -> Lsn {
        let before = self.ends.partition_point(|(with, _)| *with <= size);
        before.checked_sub(1).and_then(|at| self.ends.get(at)).map_or(Lsn(0), |(_, lsn)| *lsn)
    }
}

/// Four bytes of the hash of every record that a checkpoint speaks for, in the order of the log: not needed to find
/// out that a log was rewritten, but to tell where.
///
/// Nobody signs them, so they prove nothing; where they were changed too, the place that is named is a wrong one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prints {
    /// The root of the checkpoint that they belong to.
    pub root: Digest,
    prints: Vec<u32>,
}

impl Prints {
    pub(crate) const fn new(root: Digest, prints: Vec<u32>) -> Self {
        Self { root, prints }
    }

    /// How many records they tell apart.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.prints.len()
    }

    /// Whether they tell nothing apart.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.prints.is_empty()
    }

    pub(crate) fn at(&self, place: u64) -> Option<u32> {
        self.prints.get(usize::try_from(place).ok()?).copied()
    }

    /// As they are stored: `hv-prints\n`, the root, four bytes each, CRC-32C of all that (little endian).
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        self.root.put(&mut out);
        self.prints.iter().for_each(|print| out.extend_from_slice(&print.to_be_bytes()));
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads them; `None` where the bytes are not what was stored.
    #[must_use]
    pub fn from_file(bytes: &[u8]) -> Option<Self> {
        let (content, crc) = bytes.split_last_chunk()?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut reader = Reader::new(content.strip_prefix(MAGIC)?);
        let root = Digest::take(&mut reader).ok()?;
        let (prints, rest) = reader.rest().as_chunks();
        rest.is_empty().then(|| Self::new(root, prints.iter().copied().map(u32::from_be_bytes).collect()))
    }
}

const MAGIC: &[u8] = b"hv-prints\n";

/// The print of a record.
pub(crate) fn print(hash: &Digest) -> u32 {
    let [a, b, c, d, ..] = hash.0;
    u32::from_be_bytes([a, b, c, d])
}
