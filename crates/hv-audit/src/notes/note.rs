//! Signed notes: a text, and the signatures of those who stand behind it (C2SP signed-note).

use super::key::{KeyKind, NoteSigner, NoteVerifier, VerifierKey, is_name};
use super::{base64, unbase64};
use core::fmt;
use core::str::FromStr;

/// The longest note that is read, in bytes.
pub const NOTE_MAX_BYTES: usize = 1 << 20;

/// The most signatures that a note has.
pub const NOTE_MAX_SIGNATURES: usize = 64;

/// A text that ends in a line break, and signatures over it.
///
/// Reading one checks its form alone; whether a signature counts says [`verify`](Note::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A key that signed a note, as far as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed<'k> {
    /// The key.
    pub key: &'k VerifierKey,
    /// When it says that it saw the checkpoint, in seconds since 1970; of a cosigner only.
    pub time: Option<u64>,
}

/// Why bytes are no note, or one that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadNote {
    /// It is longer than [`NOTE_MAX_BYTES`].
    TooLong,
    /// It is not UTF-8, or has a control character other than line breaks.
    Characters,
    /// The text does not end with a line break, or no blank line follows it.
    Text,
    /// A line below the blank one is no signature, or there is none, or more than [`NOTE_MAX_SIGNATURES`].
    SignatureLine,
    /// A known key signed it twice.
    Twice {
        /// The key's name.
        name: String,
    },
    /// The signature of a known key is not over this text.
    Signature {
        /// The key's name.
        name: String,
    },
    /// No known key signed it.
    Unsigned,
    /// The keeper of the key does not sign such a text.
    Refused,
}

impl Note {
    /// A text, to be signed.
    ///
    /// # Errors
    /// [`BadNote::Text`], [`BadNote::Characters`] or [`BadNote::TooLong`].
    pub fn new(text: &str) -> Result<Self, BadNote> {
        if !text.ends_with('\n') {
            return Err(BadNote::Text);
        }
        check_characters(text)?;
        Ok(Self { text: text.to_owned(), signatures: Vec::new() })
    }

    /// Reads a note. Costs no hash.
    ///
    /// # Errors
    /// The first six of [`BadNote`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadNote> {
        if bytes.len() > NOTE_MAX_BYTES {
            return Err(BadNote::TooLong);
        }
        let all = core::str::from_utf8(bytes).map_err(|_| BadNote::Characters)?;
        check_characters(all)?;
        let (before, lines) = all.rsplit_once("\n\n").ok_or(BadNote::Text)?;
        let lines = lines.strip_suffix('\n').ok_or(BadNote::SignatureLine)?;
        let signatures = lines.split('\n').map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > NOTE_MAX_SIGNATURES {
            return Err(BadNote::SignatureLine);
        }
        Ok(Self { text: format!("{before}\n"), signatures })
    }

    /// What is signed, with the line break at its end.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures as they stand there.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// The same with a signature more, in front or behind the others as it was asked for.
    ///
    /// # Errors
    /// [`BadNote::Refused`] where the keeper of the key does not sign it.
    pub fn signed(mut self, key: &VerifierKey, time: u64, signer: &dyn NoteSigner) -> Result<Self, BadNote> {
        self.signatures.push(NoteSignature::make(&self.text, key, time, signer)?);
        Ok(self)
    }

    /// The same with a signature that came from elsewhere; one of the same name and id is replaced.
    #[must_use]
    pub fn with(mut self, signature: NoteSignature) -> Self {
        self.signatures.retain(|other| (&other.name, other.id) != (&signature.name, signature.id));
        self.signatures.push(signature);
        self
    }

    /// Which of these keys signed it. Signatures by others are passed over; one by a known key that is wrong makes
    /// the whole note count for nothing.
    ///
    /// # Errors
    /// [`BadNote::Twice`], [`BadNote::Signature`], and [`BadNote::Unsigned`] where none of the keys did.
    pub fn verify<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
        verifier: &dyn NoteVerifier,
    ) -> Result<Vec<Signed<'k>>, BadNote> {
        let mut signed = Vec::new();
        for key in keys {
            let mut own = self.signatures.iter().filter(|s| s.name == key.name() && s.id == key.id());
            let Some(signature) = own.next() else { continue };
            if own.next().is_some() {
                return Err(BadNote::Twice { name: key.name().to_owned() });
            }
            match signature.check(&self.text, key, verifier) {
                Some(time) => signed.push(Signed { key, time }),
                None => return Err(BadNote::Signature { name: key.name().to_owned() }),
            }
        }
        if signed.is_empty() { Err(BadNote::Unsigned) } else { Ok(signed) }
    }
}

impl NoteSignature {
    /// Signs a text as a key of this kind does; `time` counts for cosigners only.
    ///
    /// # Errors
    /// [`BadNote::Refused`].
    pub fn make(text: &str, key: &VerifierKey, time: u64, signer: &dyn NoteSigner) -> Result<Self, BadNote> {
        let message = message(text, key.kind(), time);
        let made = (signer.public() == *key.key()).then(|| signer.sign(message.as_bytes())).flatten();
        let made = made.ok_or(BadNote::Refused)?;
        let bytes = match key.kind() {
            KeyKind::Signer => made.to_vec(),
            KeyKind::Cosigner => [&time.to_be_bytes()[..], &made].concat(),
        };
        Ok(Self { name: key.name().to_owned(), id: key.id(), bytes })
    }

    /// The name of the key that made it, as it says.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the key made it over this text; gives the time that a cosigner states.
    fn check(&self, text: &str, key: &VerifierKey, verifier: &dyn NoteVerifier) -> Option<Option<u64>> {
        let (time, signature) = match key.kind() {
            KeyKind::Signer => (None, self.bytes.as_slice()),
            KeyKind::Cosigner => {
                let (time, signature) = self.bytes.split_first_chunk()?;
                (Some(u64::from_be_bytes(*time)), signature)
            }
        };
        // More than that is no time of day.
        if time.is_some_and(|time| i64::try_from(time).is_err()) {
            return None;
        }
        let message = message(text, key.kind(), time.unwrap_or_default());
        let good = verifier.verify(key.key(), message.as_bytes(), signature.try_into().ok()?);
        good.then_some(time)
    }
}

/// What a key of this kind signs of a text. Neither of the two can be taken for the other: a note's first line
/// is a name without spaces, and a cosigner signs checkpoints only, whose second line is a number.
fn message(text: &str, kind: KeyKind, time: u64) -> String {
    match kind {
        KeyKind::Signer => text.to_owned(),
        KeyKind::Cosigner => format!("cosignature/v1\ntime {time}\n{text}"),
    }
}

fn check_characters(text: &str) -> Result<(), BadNote> {
    if text.len() > NOTE_MAX_BYTES {
        return Err(BadNote::TooLong);
    }
    let control = text.bytes().any(|byte| byte < 0x20 && byte != b'\n');
    if control { Err(BadNote::Characters) } else { Ok(()) }
}

impl FromStr for NoteSignature {
    type Err = BadNote;

    /// Reads a line without its line break.
    fn from_str(line: &str) -> Result<Self, BadNote> {
        let (name, bytes) =
            line.strip_prefix("— ").and_then(|line| line.split_once(' ')).ok_or(BadNote::SignatureLine)?;
        let bytes = unbase64(bytes).ok_or(BadNote::SignatureLine)?;
        match bytes.split_first_chunk() {
            Some((id, bytes)) if is_name(name) && !bytes.is_empty() => {
                Ok(Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
            }
            _ => Err(BadNote::SignatureLine),
        }
    }
}

/// As it stands in a note, with its line break.
impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "— {} {}", self.name, base64(&[&self.id[..], &self.bytes].concat()))
    }
}

/// The note as it is stored and sent.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

impl fmt::Display for BadNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a note has at most {NOTE_MAX_BYTES} bytes"),
            Self::Characters => f.write_str("it is not UTF-8, or has control characters in it"),
            Self::Text => f.write_str("no text with a blank line below it"),
            Self::SignatureLine => f.write_str("what stands below the blank line are no signatures"),
            Self::Twice { name } => write!(f, "{name} signed it twice"),
            Self::Signature { name } => write!(f, "the signature by {name} is not over this text"),
            Self::Unsigned => f.write_str("none of the known keys signed it"),
            Self::Refused => f.write_str("the key does not sign such a text, or is another one"),
        }
    }
}

impl core::error::Error for BadNote {}
