//! Reductions: closed streams of which only hashes are kept, and what the node's stream says about them.
//!
//! The record that begins a reduction comes first and is durable before anything is destroyed; the record that it is
//! done says what every segment is from then on, to the last byte.

use crate::hash::Blake3;
use crate::log::{Lsn, StreamNo};
use crate::record::Ids;
use crate::tree::CompactRange;
use core::fmt;
use hv_types::wire::{Reader, Undecodable, put_varint};
use hv_types::{Digest, Wire};
use std::collections::BTreeMap;

/// What is left of the records of a closed stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The hash of every record.
    Leaves,
    /// The hashes of its first and last record, and the roots of the subtrees that cover those in between.
    Roots,
}

impl Tier {
    const fn byte(self) -> u8 {
        match self {
            Self::Leaves => 1,
            Self::Roots => 2,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leaves => "leaves",
            Self::Roots => "roots",
        })
    }
}

/// A closed stream whose records may be destroyed. Only a log makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reduction {
    pub(crate) stream: StreamNo,
    pub(crate) tier: Tier,
    /// Records before the one that closed it, the root over them, and the subtrees that it is made of.
    pub(crate) size: u64,
    pub(crate) root: Digest,
    pub(crate) peaks: Vec<Digest>,
    /// The batches of its first and of its last record.
    pub(crate) first: Lsn,
    pub(crate) last: Lsn,
    /// The checkpoint that was kept outside and speaks for its end.
    pub(crate) checkpoint: (u64, Digest),
}

impl Reduction {
    /// The stream.
    #[must_use]
    pub const fn stream(&self) -> StreamNo {
        self.stream
    }

    /// How many records go, the one that closed the stream among them.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.size.saturating_add(1)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let Self { stream, tier, size, root, peaks, first, last, checkpoint } = self;
        put_varint(u64::from(stream.0), out);
        out.push(tier.byte());
        put_varint(*size, out);
        root.put(out);
        peaks.iter().for_each(|peak| peak.put(out));
        put_varint(first.0, out);
        put_varint(last.0, out);
        put_varint(checkpoint.0, out);
        checkpoint.1.put(out);
    }
}

/// What a record says that begins a reduction.
#[derive(Debug, Clone, Copy)]
pub struct Reduce<'a> {
    /// The stream, which is closed.
    pub stream: StreamNo,
    /// What is left.
    pub tier: Tier,
    /// How many records it has before the one that closed it.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// The roots of the full subtrees that this root is made of, the largest first.
    pub peaks: Ids<'a>,
    /// The batch of its first record.
    pub first: Lsn,
    /// The batch of its last record.
    pub last: Lsn,
    /// The size of the checkpoint, kept outside the folder, that speaks for the stream's end.
    pub checkpoint_size: u64,
    /// The root of that checkpoint.
    pub checkpoint_root: Digest,
}

impl<'a> Reduce<'a> {
    pub(crate) fn take(reader: &mut Reader<'a>) -> Result<Self, Undecodable> {
        let stream = StreamNo(u32::take(reader)?);
        let tier = match reader.byte()? {
            1 => Tier::Leaves,
            2 => Tier::Roots,
            tag => return Err(reader.unknown_tag("Tier", tag)),
        };
        let (size, root) = (reader.varint()?, Digest::take(reader)?);
        let peaks = Ids::of(reader.slice(size.count_ones() as usize * 32)?);
        let reduce = Self {
            stream,
            tier,
            size,
            root,
            peaks,
            first: Lsn(reader.varint()?),
            last: Lsn(reader.varint()?),
            checkpoint_size: reader.varint()?,
            checkpoint_root: Digest::take(reader)?,
        };
        let range = CompactRange::<Blake3>::from_peaks(size, peaks.collect());
        if range.is_none_or(|range| range.root() != root) {
            return Err(reader.invalid("Reduce"));
        }
        Ok(reduce)
    }

    #[cfg(test)]
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        let &Self { stream, tier, size, root, peaks, first, last, .. } = self;
        let checkpoint = (self.checkpoint_size, self.checkpoint_root);
        Reduction { stream, tier, size, root, peaks: peaks.collect(), first, last, checkpoint }.put(out);
    }
}

/// Digests of segments, by their indexes.
pub(crate) type Segments = BTreeMap<u32, Digest>;

/// What a record says by which reductions are done.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    purges: &'a [u8],
    segments: &'a [u8],
}

impl<'a> Done<'a> {
    pub(crate) fn take(reader: &mut Reader<'a>) -> Result<Self, Undecodable> {
        let purges = list(reader, "Reduced", 1, |reader| reader.varint())?;
        let segments = list(reader, "Reduced", 0, |reader| {
            let index = u32::take(reader)?;
            Digest::take(reader)?;
            Ok(u64::from(index))
        })?;
        Ok(Self { purges, segments })
    }

    /// The places of the records that begin these reductions on the node stream, in order.
    pub fn purges(&self) -> impl Iterator<Item = u64> + use<'a> {
        items(self.purges, |reader| reader.varint())
    }

    /// The segments of which records were destroyed, in order, each with the digest of its file from then on.
    pub fn segments(&self) -> impl Iterator<Item = (u32, Digest)> + use<'a> {
        items(self.segments, |reader| Ok((u32::take(reader)?, Digest::take(reader)?)))
    }
}

/// The bytes of a list whose items have ascending keys, behind their number.
fn list<'a>(
    reader: &mut Reader<'a>,
    what: &'static str,
    least: u64,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<u64, Undecodable>,
) -> Result<&'a [u8], Undecodable> {
    let count = reader.varint()?;
    let before = reader.rest();
    let mut last = None;
    for _ in 0..count {
        let key = item(reader)?;
        if last.replace(key).is_some_and(|last| last >= key) {
            return Err(reader.invalid(what));
        }
    }
    if count < least {
        return Err(reader.invalid(what));
    }
    Ok(before.get(..before.len() - reader.rest().len()).unwrap_or_default())
}

/// The items of a list that was read before.
fn items<'a, T>(
    bytes: &'a [u8],
    item: impl Fn(&mut Reader<'a>) -> Result<T, Undecodable>,
) -> impl Iterator<Item = T> {
    let mut reader = Reader::new(bytes);
    core::iter::from_fn(move || if reader.rest().is_empty() { None } else { item(&mut reader).ok() })
}

/// The content of the record that these reductions are done.
pub(crate) fn put_done(purges: &[u64], segments: &Segments, out: &mut Vec<u8>) {
    put_varint(purges.len() as u64, out);
    purges.iter().for_each(|purge| put_varint(*purge, out));
    put_varint(segments.len() as u64, out);
    for (index, digest) in segments {
        index.put(out);
        digest.put(out);
    }
}

/// Why the records of a stream may not be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Irreducible {
    /// The log does not lie in a folder.
    Memory,
    /// It is the node's or the ledger's stream, or was not closed.
    Open,
    /// Not more is left of it already.
    Reduced,
    /// A record refers to a content that was not purged.
    Content,
    /// The checkpoint does not speak for its end.
    NotCovered,
    /// The log does not have the root of the checkpoint.
    NotAsSigned,
}

impl fmt::Display for Irreducible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "the log does not lie in a folder",
            Self::Open => "it was not closed",
            Self::Reduced => "not more is left of it already",
            Self::Content => "a record refers to a content that was not purged; purge it first",
            Self::NotCovered => "the checkpoint was signed before it was closed; sign one now",
            Self::NotAsSigned => "the log does not have the root that the checkpoint signs",
        })
    }
}
