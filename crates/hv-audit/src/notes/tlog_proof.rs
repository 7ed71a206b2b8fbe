//! A proof in one text that an entry is in a log whose checkpoint others can check (C2SP tlog-proof).

use super::checkpoint::{BadCheckpoint, Checkpoint};
use super::note::{BadNote, NOTE_MAX_BYTES, Note};
use super::{base64, decimal, hash, unbase64};
use crate::hash::Rfc6962;
use crate::proof::{BadProof, InclusionProof};
use core::fmt;
use hv_types::Digest;

/// The place of an entry, the way from it to the root, and the signed checkpoint that has this root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// What an application needs besides; hv puts a [`DeltaProof`](crate::DeltaProof) here. Not covered by anything.
    pub extra: Option<Vec<u8>>,
    /// The entry's place in the log, from 0.
    pub index: u64,
    /// What its leaf is hashed with, from the leaf to the root.
    pub path: Vec<Digest>,
    /// The checkpoint, signed.
    pub note: Note,
}

/// Why a text is no proof, or proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadTlogProof {
    /// It is longer than any that is read, or not UTF-8.
    Characters,
    /// The first line is another.
    Header,
    /// The line of what an application needs is no base64.
    Extra,
    /// The line behind it is not `index` and a number.
    Index,
    /// A line of the path is no hash, or there are more than 63.
    Path,
    /// What follows is no checkpoint.
    Checkpoint(BadCheckpoint),
    /// The path does not lead from the entry to the checkpoint's root.
    Proof(BadProof),
}

/// The first line of a proof.
pub(crate) const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The longest proof that is read, in bytes: a record of the largest size in base64, and a note.
const MAX_BYTES: usize = (24 << 20) + NOTE_MAX_BYTES;

const PATH_MAX: usize = 63;

impl TlogProof {
    /// Reads a proof.
    ///
    /// # Errors
    /// [`BadTlogProof`], but for the last.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadTlogProof> {
        if bytes.len() > MAX_BYTES {
            return Err(BadTlogProof::Characters);
        }
        let text = core::str::from_utf8(bytes).map_err(|_| BadTlogProof::Characters)?;
        let (first, mut rest) = text.split_once('\n').ok_or(BadTlogProof::Header)?;
        if first != HEADER {
            return Err(BadTlogProof::Header);
        }
        let mut next = || {
            let (line, behind) = rest.split_once('\n')?;
            rest = behind;
            Some(line)
        };
        let mut line = next().ok_or(BadTlogProof::Index)?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            extra = Some(unbase64(encoded).ok_or(BadTlogProof::Extra)?);
            line = next().ok_or(BadTlogProof::Index)?;
        }
        let index = line.strip_prefix("index ").and_then(decimal).ok_or(BadTlogProof::Index)?;
        let mut path = Vec::new();
        loop {
            match next().ok_or(BadTlogProof::Path)? {
                "" => break,
                _ if path.len() == PATH_MAX => return Err(BadTlogProof::Path),
                line => path.push(hash(line).ok_or(BadTlogProof::Path)?),
            }
        }
        let note =
            Note::parse(rest.as_bytes()).map_err(|bad: BadNote| BadTlogProof::Checkpoint(bad.into()))?;
        Ok(Self { extra, index, path, note })
    }

    /// Checks that the entry whose leaf this is is in the log; gives the checkpoint. Says nothing about signatures.
    ///
    /// # Errors
    /// [`BadTlogProof::Checkpoint`] and [`BadTlogProof::Proof`].
    pub fn check(&self, leaf: &Digest) -> Result<Checkpoint, BadTlogProof> {
        let checkpoint = Checkpoint::parse(self.note.text()).map_err(BadTlogProof::Checkpoint)?;
        let proof = InclusionProof { index: self.index, size: checkpoint.size, path: self.path.clone() };
        proof.check::<Rfc6962>(leaf, &checkpoint.root).map_err(BadTlogProof::Proof)?;
        Ok(checkpoint)
    }
}

/// As it is stored, by convention in a file that ends with `.tlog-proof`.
impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", base64(&hash.0)))?;
        write!(f, "\n{}", self.note)
    }
}

impl fmt::Display for BadTlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Characters => f.write_str("not UTF-8, or longer than any proof"),
            Self::Header => write!(f, "the first line is not `{HEADER}`"),
            Self::Extra => f.write_str("the line `extra` is no base64"),
            Self::Index => f.write_str("there is no line `index` with a number"),
            Self::Path => write!(f, "the path is not at most {PATH_MAX} hashes in base64, one a line"),
            Self::Checkpoint(bad) => bad.fmt(f),
            Self::Proof(bad) => bad.fmt(f),
        }
    }
}

impl core::error::Error for BadTlogProof {}
