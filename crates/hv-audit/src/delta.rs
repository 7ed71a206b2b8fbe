//! The two levels of a proof: from a record to the root of its stream, and from the record that holds this root to the
//! root of the node's stream.

use crate::hash::{Blake3, Rfc6962};
use crate::log::StreamNo;
use crate::proof::{BadProof, InclusionProof};
use crate::record::{Kind, Record};
use crate::transcript::node_entry;
use crate::tree::TreeHash;
use core::fmt;
use hv_types::wire::Reader;
use hv_types::{Digest, Undecodable, Wire};

/// That a record is in a trail, down to an entry of the node's stream; that entry's place under a checkpoint is the
/// rest of the proof, and any program that knows tiled logs can check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaProof {
    /// The record's stream.
    pub stream: StreamNo,
    /// The record.
    pub record: Vec<u8>,
    /// How the node's stream commits to it; nothing where it is in the node's stream itself.
    pub inner: Option<Inner>,
}

/// The first level of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inner {
    /// The record of the node's stream that commits to the record's stream.
    pub entry: Vec<u8>,
    /// Its place in the node's stream.
    pub index: u64,
    /// From the record's hash to the root that the entry holds; empty where it holds the hash itself.
    pub path: Vec<Digest>,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadDelta {
    /// The record or the entry is none.
    NotARecord(Undecodable),
    /// The entry does not commit to this stream.
    NoCommitment,
    /// The entry is not at the place that it says.
    Place,
    /// The path does not lead from the record to what the entry holds.
    Path(BadProof),
}

/// What a record of the node's stream says of another stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commitment {
    /// The hash of record 0.
    First(Digest),
    /// The root over the first records, and where the stream was closed the hash of the record behind them.
    Root { size: u64, root: Digest, close: Option<Digest> },
}

impl Commitment {
    /// What an entry says of a stream.
    pub(crate) fn read(entry: &[u8], stream: StreamNo) -> Option<Self> {
        match Record::read(entry).ok()?.kind {
            Kind::StreamOpened { stream: of, genesis, .. } if of == stream => Some(Self::First(genesis)),
            Kind::StreamClosed { stream: of, size, root, close } if of == stream => {
                Some(Self::Root { size, root, close: Some(close) })
            }
            Kind::Sealed { mut heads } => heads.find(|(of, _)| *of == stream).map(|(_, head)| Self::Root {
                size: head.length,
                root: head.root,
                close: None,
            }),
            _ => None,
        }
    }

    /// The path from a record to what is committed to.
    pub(crate) fn path(&self, leaves: &[Digest], seq: u64) -> Option<Vec<Digest>> {
        match *self {
            Self::First(_) => (seq == 0).then(Vec::new),
            Self::Root { size, close: Some(_), .. } if seq == size => Some(Vec::new()),
            Self::Root { size, .. } => {
                let leaves = leaves.get(..usize::try_from(size).ok()?)?;
                InclusionProof::make::<Blake3>(leaves, seq).map(|proof| proof.path)
            }
        }
    }

    fn check(&self, leaf: &Digest, seq: u64, path: &[Digest]) -> Result<(), BadProof> {
        let same = |hash: Digest| match (path.is_empty(), hash == *leaf) {
            (false, _) => Err(BadProof::Length),
            (_, false) => Err(BadProof::Root),
            (true, true) => Ok(()),
        };
        match *self {
            Self::First(_) if seq > 0 => Err(BadProof::Size),
            Self::First(genesis) => same(genesis),
            Self::Root { size, close: Some(close), .. } if seq == size => same(close),
            Self::Root { size, root, .. } => {
                InclusionProof { index: seq, size, path: path.to_vec() }.check::<Blake3>(leaf, &root)
            }
        }
    }
}

impl DeltaProof {
    /// Checks the first level; gives the record's place in its stream.
    ///
    /// # Errors
    /// [`BadDelta`].
    pub fn check(&self) -> Result<u64, BadDelta> {
        let record = Record::read(&self.record).map_err(BadDelta::NotARecord)?;
        let Some(inner) = &self.inner else {
            return if self.stream == StreamNo::NODE { Ok(record.seq) } else { Err(BadDelta::NoCommitment) };
        };
        let entry = Record::read(&inner.entry).map_err(BadDelta::NotARecord)?;
        if entry.seq != inner.index {
            return Err(BadDelta::Place);
        }
        let commitment = Commitment::read(&inner.entry, self.stream).ok_or(BadDelta::NoCommitment)?;
        let leaf = Blake3::leaf(&self.record);
        commitment.check(&leaf, record.seq, &inner.path).map_err(BadDelta::Path)?;
        Ok(record.seq)
    }

    /// The leaf of the node's tree that this proof leads to, and its place.
    ///
    /// # Errors
    /// [`BadDelta`], because only what holds on the first level leads anywhere.
    pub fn node_leaf(&self) -> Result<(u64, Digest), BadDelta> {
        let seq = self.check()?;
        Ok(match &self.inner {
            None => (seq, Rfc6962::leaf(&node_entry(&self.record))),
            Some(inner) => (inner.index, Rfc6962::leaf(&node_entry(&inner.entry))),
        })
    }

    /// The version byte of [`to_extra`](Self::to_extra). In version 1 the record's parent was hashed with the rest of it.
    pub const VERSION: u8 = 2;

    /// As it is stored besides the second level: a version byte and the fields.
    #[must_use]
    pub fn to_extra(&self) -> Vec<u8> {
        let mut out = vec![Self::VERSION];
        self.put(&mut out);
        out
    }

    /// Reads what [`to_extra`](Self::to_extra) wrote.
    ///
    /// # Errors
    /// [`Undecodable`].
    pub fn from_extra(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != Self::VERSION {
            return Err(reader.invalid("DeltaProof version"));
        }
        let proof = Self::take(&mut reader)?;
        reader.end()?;
        Ok(proof)
    }
}

impl Wire for StreamNo {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        u32::take(reader).map(Self)
    }
}

hv_types::wire_struct!(DeltaProof { stream, record, inner });
hv_types::wire_struct!(Inner { entry, index, path });

impl fmt::Display for BadDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecord(cause) => write!(f, "a record in the proof is none: {cause}"),
            Self::NoCommitment => {
                f.write_str("the entry of the node's stream says nothing of the record's stream")
            }
            Self::Place => f.write_str("the entry of the node's stream is from another place"),
            Self::Path(bad) => bad.fmt(f),
        }
    }
}

impl core::error::Error for BadDelta {}
