//! A witness: sees that a log only grows, and says so (C2SP tlog-witness).
//!
//! What it remembers is the last checkpoint that it cosigned of each log. A checkpoint that does not follow from
//! that one is a rollback or a fork; it is refused, and both notes together are the evidence.

use super::checkpoint::{BadCheckpoint, Checkpoint};
use super::key::{NoteSigner, NoteVerifier, VerifierKey};
use super::note::{BadNote, NOTE_MAX_BYTES, Note, NoteSignature};
use super::{base64, decimal, hash};
use crate::hash::Rfc6962;
use crate::proof::ConsistencyProof;
use crate::tree::TreeHash;
use core::fmt;
use hv_types::Digest;

/// A new checkpoint, and the proof that it continues an older one: what a log sends to a witness, and what proves by
/// itself that a log only grew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the older checkpoint.
    pub old: u64,
    /// What both roots are hashed from.
    pub path: Vec<Digest>,
    /// The new checkpoint, signed.
    pub note: Note,
}

/// What a witness remembers of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The last checkpoint that it cosigned.
    pub checkpoint: Checkpoint,
    /// When, in seconds since 1970.
    pub time: u64,
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitnessRefusal {
    /// The request is none, or speaks of a smaller log than it begins with.
    Malformed(Malformed),
    /// The log is not one that the witness knows.
    UnknownLog,
    /// No known key of the log signed it.
    NotSigned(BadCheckpoint),
    /// It begins at another size than the witness last saw.
    Conflict {
        /// The size that the witness last saw.
        size: u64,
    },
    /// It does not continue what the witness last saw: the log was rewritten.
    Forked,
    /// The clock says that the last cosignature lies in the future.
    Clock {
        /// When that was, in seconds since 1970.
        last: u64,
    },
    /// The keeper of the witness's key did not sign.
    Key,
}

/// What is wrong with the form of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// The first line is not `old` and a number.
    Old,
    /// A line of the proof is no hash, or there are more than 63.
    Proof,
    /// No blank line stands behind the proof.
    Blank,
    /// What follows is no checkpoint.
    Checkpoint(BadCheckpoint),
    /// The checkpoint is smaller than the one that it should continue.
    Smaller,
    /// It has lines below the root, which nobody could check.
    Extension,
}

/// The longest proof between two trees of up to 2⁶³ leaves.
const PATH_MAX: usize = 63;

impl AddCheckpoint {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Malformed`], but for the last two.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > 2 * NOTE_MAX_BYTES {
            return Err(Malformed::Checkpoint(BadNote::TooLong.into()));
        }
        let text = core::str::from_utf8(bytes).map_err(|_| Malformed::Old)?;
        let (first, mut rest) = text.split_once('\n').ok_or(Malformed::Old)?;
        let old = first.strip_prefix("old ").and_then(decimal).ok_or(Malformed::Old)?;
        let mut path = Vec::new();
        loop {
            let (line, behind) = rest.split_once('\n').ok_or(Malformed::Blank)?;
            rest = behind;
            if line.is_empty() {
                break;
            }
            if path.len() == PATH_MAX {
                return Err(Malformed::Proof);
            }
            path.push(hash(line).ok_or(Malformed::Proof)?);
        }
        let note = Note::parse(rest.as_bytes()).map_err(|bad| Malformed::Checkpoint(bad.into()))?;
        Ok(Self { old, path, note })
    }

    /// Whether the new checkpoint continues a tree of this root; gives the new one. Says nothing about signatures.
    ///
    /// # Errors
    /// [`Malformed::Checkpoint`] and [`Malformed::Smaller`] as refusals, and [`WitnessRefusal::Forked`].
    pub fn continues(&self, root: &Digest) -> Result<Checkpoint, WitnessRefusal> {
        let new = Checkpoint::parse(self.note.text()).map_err(Malformed::Checkpoint)?;
        if new.size < self.old {
            return Err(Malformed::Smaller.into());
        }
        let proof = ConsistencyProof { from: self.old, to: new.size, path: self.path.clone() };
        match proof.check::<Rfc6962>(root, &new.root) {
            Ok(()) => Ok(new),
            Err(_) => Err(WitnessRefusal::Forked),
        }
    }

    /// Decides about the request as a witness that knows these keys of logs and last saw `seen` of this one.
    ///
    /// Whoever calls it keeps the answer before it reveals the cosignature that
    /// [`cosign`](Self::cosign) makes.
    ///
    /// # Errors
    /// [`WitnessRefusal`], in the order that the specification prescribes.
    pub fn consider(
        &self,
        logs: &[VerifierKey],
        seen: Option<&Seen>,
        now: u64,
        verifier: &dyn NoteVerifier,
    ) -> Result<Seen, WitnessRefusal> {
        let new = Checkpoint::parse(self.note.text()).map_err(Malformed::Checkpoint)?;
        let own: Vec<VerifierKey> = logs.iter().filter(|key| key.name() == new.origin).cloned().collect();
        if own.is_empty() {
            return Err(WitnessRefusal::UnknownLog);
        }
        if !new.extension.is_empty() {
            return Err(Malformed::Extension.into());
        }
        Checkpoint::open(&self.note, &own, verifier).map_err(WitnessRefusal::NotSigned)?;
        if new.size < self.old {
            return Err(Malformed::Smaller.into());
        }
        let (size, root) =
            seen.map_or((0, Rfc6962::empty()), |seen| (seen.checkpoint.size, seen.checkpoint.root));
        if self.old != size {
            return Err(WitnessRefusal::Conflict { size });
        }
        if new.size == 0 && new.root != Rfc6962::empty() {
            return Err(WitnessRefusal::Forked);
        }
        self.continues(&root)?;
        if let Some(last) = seen.map(|seen| seen.time).filter(|last| *last > now) {
            return Err(WitnessRefusal::Clock { last });
        }
        Ok(Seen { checkpoint: new, time: now })
    }

    /// The witness's cosignature, of a request that [`consider`](Self::consider) found good.
    ///
    /// # Errors
    /// [`WitnessRefusal::Key`].
    pub fn cosign(
        &self,
        good: &Seen,
        key: &VerifierKey,
        signer: &dyn NoteSigner,
    ) -> Result<NoteSignature, WitnessRefusal> {
        NoteSignature::make(self.note.text(), key, good.time, signer).map_err(|_| WitnessRefusal::Key)
    }
}

impl WitnessRefusal {
    /// The status by which a witness answers over HTTP.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::NotSigned(_) => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::Forked => 422,
            Self::Key => 500,
            Self::Clock { .. } => 503,
        }
    }

    /// Whether the request itself is evidence of a log that was rewritten or rolled back.
    #[must_use]
    pub const fn is_evidence(&self) -> bool {
        matches!(self, Self::Forked | Self::Conflict { .. })
    }
}

impl From<Malformed> for WitnessRefusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// As it is sent: the old size, the proof, a blank line, the note.
impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", base64(&hash.0)))?;
        write!(f, "\n{}", self.note)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Old => f.write_str("the first line is not `old` and a number"),
            Self::Proof => write!(f, "the proof is not at most {PATH_MAX} hashes in base64, one a line"),
            Self::Blank => f.write_str("no blank line stands between proof and checkpoint"),
            Self::Checkpoint(bad) => bad.fmt(f),
            Self::Smaller => f.write_str("the checkpoint is smaller than the one that it should continue"),
            Self::Extension => {
                f.write_str("the checkpoint has lines below its root, which nobody could check")
            }
        }
    }
}

impl fmt::Display for WitnessRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::UnknownLog => f.write_str("the log is not one that this witness knows"),
            Self::NotSigned(bad) => bad.fmt(f),
            Self::Conflict { size } => {
                write!(f, "the last checkpoint seen has size {size}; prove from there")
            }
            Self::Forked => {
                f.write_str("it does not continue the last checkpoint seen: the log was rewritten")
            }
            Self::Clock { last } => {
                write!(f, "the clock is behind the last cosignature, {last} s since 1970")
            }
            Self::Key => f.write_str("the witness's key did not sign"),
        }
    }
}

impl core::error::Error for WitnessRefusal {}
