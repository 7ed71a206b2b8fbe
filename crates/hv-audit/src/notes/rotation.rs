//! A log's key is replaced: the old one says so, and the new one that it is there.

use super::decimal;
use super::key::{KeyKind, NoteSigner, NoteVerifier, VerifierKey};
use super::note::{BadNote, Note};
use core::fmt;

/// That from a size on, another key signs for a log. A note of both keys.
///
/// The text is `origin`, `rotated to KEY`, `from SIZE`, a line each; so it is no checkpoint, whose second line is a
/// number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The key that signs from now on; its name is the log's.
    pub to: VerifierKey,
    /// The size of the first checkpoint that it signs. The old key counts for none that is larger or as large.
    pub from: u64,
}

/// Why a note rotates no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadRotation {
    /// The text says something else.
    Text,
    /// The new key is of another log, or is no log's key.
    OtherLog,
    /// The note is none, or one of the two keys did not sign it.
    Note(BadNote),
}

impl Rotation {
    /// The note, signed by both keys.
    ///
    /// # Errors
    /// [`BadRotation::OtherLog`], and [`BadNote::Refused`] where a key's keeper does not sign.
    pub fn sign(
        &self,
        old: (&VerifierKey, &dyn NoteSigner),
        new: &dyn NoteSigner,
    ) -> Result<Note, BadRotation> {
        if old.0.name() != self.to.name() {
            return Err(BadRotation::OtherLog);
        }
        let note = Note::new(&self.to_string()).and_then(|note| note.signed(old.0, 0, old.1));
        note.and_then(|note| note.signed(&self.to, 0, new)).map_err(BadRotation::Note)
    }

    /// The rotation of a note that the old key signed, and the new one too.
    ///
    /// # Errors
    /// [`BadRotation`].
    pub fn open(note: &Note, old: &VerifierKey, verifier: &dyn NoteVerifier) -> Result<Self, BadRotation> {
        let body = note.text().strip_suffix('\n').ok_or(BadRotation::Text)?;
        let lines: Vec<&str> = body.split('\n').collect();
        let [origin, to, from] = lines.as_slice() else { return Err(BadRotation::Text) };
        let to = to.strip_prefix("rotated to ").and_then(|key| key.parse::<VerifierKey>().ok());
        let from = from.strip_prefix("from ").and_then(decimal);
        let (Some(to), Some(from)) = (to, from) else { return Err(BadRotation::Text) };
        if to.name() != *origin || old.name() != *origin || to.kind() != KeyKind::Signer || to == *old {
            return Err(BadRotation::OtherLog);
        }
        let both = [old.clone(), to.clone()];
        let signed = note.verify(&both, verifier).map_err(BadRotation::Note)?;
        if signed.len() == both.len() {
            Ok(Self { to, from })
        } else {
            Err(BadRotation::Note(BadNote::Unsigned))
        }
    }
}

/// Which keys sign for a log at which sizes: the first, and each that replaced the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChain {
    /// Each key with the size from which on it counts.
    keys: Vec<(u64, VerifierKey)>,
}

impl KeyChain {
    /// The key that is known of the log.
    #[must_use]
    pub fn new(first: VerifierKey) -> Self {
        Self { keys: vec![(0, first)] }
    }

    /// Takes up a rotation of the last key.
    ///
    /// # Errors
    /// [`BadRotation`]; one that begins before the rotation before it is [`BadRotation::Text`].
    pub fn rotate(&mut self, note: &Note, verifier: &dyn NoteVerifier) -> Result<(), BadRotation> {
        let Some((since, last)) = self.keys.last() else { return Err(BadRotation::Text) };
        let Rotation { to, from } = Rotation::open(note, last, verifier)?;
        if from < *since {
            return Err(BadRotation::Text);
        }
        self.keys.push((from, to));
        Ok(())
    }

    /// The key that signs a checkpoint of this size.
    #[must_use]
    pub fn at(&self, size: u64) -> Option<&VerifierKey> {
        self.keys.iter().rfind(|(from, _)| *from <= size).map(|(_, key)| key)
    }
}

/// The text that is signed.
impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nrotated to {}\nfrom {}", self.to.name(), self.to, self.from)
    }
}

impl fmt::Display for BadRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("it does not say that the last key is replaced by another"),
            Self::OtherLog => f.write_str("the two keys are not those of one log"),
            Self::Note(BadNote::Unsigned) => f.write_str("not both keys signed it"),
            Self::Note(bad) => bad.fmt(f),
        }
    }
}

impl core::error::Error for BadRotation {}
