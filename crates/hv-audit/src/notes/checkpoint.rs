//! Checkpoints: the size and the root of the node's stream, to be signed and kept outside the folder.

use super::key::{KeyKind, NoteSigner, NoteVerifier, VerifierKey, is_name};
use super::note::{BadNote, Note, Signed};
use super::{base64, decimal, hash};
use core::fmt;
use hv_types::Digest;

/// How long a log was, and the root over all its entries (C2SP tlog-checkpoint).
///
/// The log is the node's stream, hashed with SHA-256 as RFC 6962 prescribes. Because the node's stream commits to
/// every other, this one root stands for everything up to a batch.
///
/// ```
/// use hv_audit::Checkpoint;
///
/// let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
/// let checkpoint = Checkpoint::parse(text)?;
/// assert_eq!(checkpoint.size, 20_852_163);
/// assert_eq!(checkpoint.to_string(), text);
/// # Ok::<(), hv_audit::BadCheckpoint>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is.
    pub origin: String,
    /// Its number of entries.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// Lines below, each with a line break at its end: others may put some there, and a mark has the one of its
    /// [`Ends`](crate::Ends).
    pub extension: String,
}

/// Why a text is no checkpoint, or one that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadCheckpoint {
    /// The first line is no name of a log: empty, or with spaces or a plus in it.
    Origin,
    /// The second line is no number in its shortest form.
    Size,
    /// The third line is no base64 of 32 bytes.
    Root,
    /// A line is empty, or the last has no line break.
    Line,
    /// The note around it is none, or does not count.
    Note(BadNote),
    /// It is of another log than the key that signed it.
    OtherLog {
        /// The log that it is of.
        origin: String,
    },
}

impl Checkpoint {
    /// A checkpoint of this log.
    ///
    /// # Errors
    /// [`BadCheckpoint::Origin`].
    pub fn new(origin: &str, size: u64, root: Digest) -> Result<Self, BadCheckpoint> {
        if !is_name(origin) {
            return Err(BadCheckpoint::Origin);
        }
        Ok(Self { origin: origin.to_owned(), size, root, extension: String::new() })
    }

    /// What stands for it where there is room for one digest: SHA-256 over its text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(self.to_string()).into())
    }

    /// Reads the text of a note.
    ///
    /// # Errors
    /// The first four of [`BadCheckpoint`].
    pub fn parse(text: &str) -> Result<Self, BadCheckpoint> {
        let body = text.strip_suffix('\n').ok_or(BadCheckpoint::Line)?;
        let mut lines = body.split('\n');
        let origin = lines.next().unwrap_or_default();
        let size = lines.next().and_then(decimal).ok_or(BadCheckpoint::Size)?;
        let root = lines.next().and_then(hash).ok_or(BadCheckpoint::Root)?;
        let mut extension = String::new();
        for line in lines {
            if line.is_empty() {
                return Err(BadCheckpoint::Line);
            }
            extension.push_str(line);
            extension.push('\n');
        }
        Ok(Self { extension, ..Self::new(origin, size, root)? })
    }

    /// The checkpoint as a note that its log signed.
    ///
    /// # Errors
    /// [`BadCheckpoint::Note`] where the key's keeper does not sign it, or it is no key of a log's;
    /// [`BadCheckpoint::OtherLog`] where the key has another name than the log.
    pub fn sign(&self, key: &VerifierKey, signer: &dyn NoteSigner) -> Result<Note, BadCheckpoint> {
        if key.name() != self.origin {
            return Err(BadCheckpoint::OtherLog { origin: self.origin.clone() });
        }
        if key.kind() != KeyKind::Signer {
            return Err(BadNote::Refused.into());
        }
        Ok(Note::new(&self.to_string())?.signed(key, 0, signer)?)
    }

    /// The checkpoint of a note that one of these keys of a log signed.
    ///
    /// # Errors
    /// [`BadCheckpoint`].
    pub fn open(
        note: &Note,
        logs: &[VerifierKey],
        verifier: &dyn NoteVerifier,
    ) -> Result<Self, BadCheckpoint> {
        let checkpoint = Self::parse(note.text())?;
        let logs = logs.iter().filter(|key| key.kind() == KeyKind::Signer);
        let signed = note.verify(logs, verifier)?;
        if signed.iter().any(|signed| signed.key.name() == checkpoint.origin) {
            Ok(checkpoint)
        } else {
            Err(BadCheckpoint::OtherLog { origin: checkpoint.origin })
        }
    }

    /// Which of these witnesses cosigned the note, and when.
    ///
    /// # Errors
    /// [`BadNote::Twice`] and [`BadNote::Signature`]; that none did is an empty answer.
    pub fn witnessed<'k>(
        note: &Note,
        witnesses: impl IntoIterator<Item = &'k VerifierKey>,
        verifier: &dyn NoteVerifier,
    ) -> Result<Vec<Signed<'k>>, BadNote> {
        let witnesses = witnesses.into_iter().filter(|key| key.kind() == KeyKind::Cosigner);
        match note.verify(witnesses, verifier) {
            Err(BadNote::Unsigned) => Ok(Vec::new()),
            done => done,
        }
    }
}

/// The text that is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, root, extension } = self;
        write!(f, "{origin}\n{size}\n{}\n{extension}", base64(&root.0))
    }
}

impl From<BadNote> for BadCheckpoint {
    fn from(bad: BadNote) -> Self {
        Self::Note(bad)
    }
}

impl fmt::Display for BadCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin => f.write_str("the first line is no name of a log"),
            Self::Size => f.write_str("the second line is no number of entries"),
            Self::Root => f.write_str("the third line is no hash in base64"),
            Self::Line => f.write_str("a line of the checkpoint is empty or not ended"),
            Self::Note(bad) => bad.fmt(f),
            Self::OtherLog { origin } => {
                write!(f, "it is a checkpoint of {origin}, and the key is not that log's")
            }
        }
    }
}

impl core::error::Error for BadCheckpoint {}
