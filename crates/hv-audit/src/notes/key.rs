//! Keys by which notes are signed, and the two ports to whoever computes signatures.

use super::{base64, unbase64};
use core::fmt;
use core::str::FromStr;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// Makes Ed25519 signatures (RFC 8032): the port to whoever keeps a private key.
pub trait NoteSigner {
    /// The public key.
    fn public(&self) -> [u8; 32];
    /// Signs a message; `None` where the key's keeper does not sign such a message.
    fn sign(&self, message: &[u8]) -> Option<[u8; 64]>;
}

/// Checks Ed25519 signatures, strictly: one signature per key and message, no weak keys.
pub trait NoteVerifier {
    /// Whether the key made the signature over the message.
    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool;
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// A note's text, as a log signs its checkpoints: type 0x01.
    Signer,
    /// A checkpoint with the time at which it was seen, as a witness does: type 0x04.
    Cosigner,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Signer => 0x01,
            Self::Cosigner => 0x04,
        }
    }
}

/// A public key with the name under which it signs, as C2SP signed-note writes it:
/// `name+id+base64(type ‖ key)`, the id in eight hexadecimal digits.
///
/// ```
/// use hv_audit::{KeyKind, VerifierKey};
///
/// let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
/// let key: VerifierKey = text.parse()?;
/// assert_eq!((key.name(), key.kind()), ("PeterNeumann", KeyKind::Signer));
/// assert_eq!(key.to_string(), text);
/// # Ok::<(), hv_audit::BadKeyText>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    key: [u8; 32],
    id: [u8; 4],
}

/// Why a text is no key of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKeyText {
    /// It does not have three parts with `+` between them.
    Parts,
    /// The name is empty, or has a space, a plus or a control character in it.
    Name,
    /// The id is not eight hexadecimal digits.
    Id,
    /// The last part is not base64 of a type and 32 bytes.
    Key,
    /// The type is neither that of an Ed25519 signer (0x01) nor that of a cosigner (0x04).
    Kind,
    /// The id is not that of this name and key.
    Mismatch,
}

impl VerifierKey {
    /// The key of this name.
    ///
    /// # Errors
    /// [`BadKeyText::Name`].
    pub fn new(name: &str, kind: KeyKind, key: [u8; 32]) -> Result<Self, BadKeyText> {
        if !is_name(name) {
            return Err(BadKeyText::Name);
        }
        let hash = Sha256::new_with_prefix(name).chain_update([b'\n', kind.byte()]).chain_update(key);
        let hash: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, ..] = hash;
        Ok(Self { name: name.to_owned(), kind, key, id: [a, b, c, d] })
    }

    /// The name under which it signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public key's 32 bytes.
    #[must_use]
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The first four bytes of SHA-256 over name, line break, type and key: a hint in front of each signature, which
    /// proves nothing.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }
}

impl FromStr for VerifierKey {
    type Err = BadKeyText;

    fn from_str(text: &str) -> Result<Self, BadKeyText> {
        // Base64 has a plus of its own.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadKeyText::Parts);
        };
        let id = HEXLOWER.decode(id.as_bytes()).map_err(|_| BadKeyText::Id)?;
        let bytes = unbase64(key).ok_or(BadKeyText::Key)?;
        let (kind, key) = bytes.split_first().ok_or(BadKeyText::Key)?;
        let kind = match kind {
            0x01 => KeyKind::Signer,
            0x04 => KeyKind::Cosigner,
            _ => return Err(BadKeyText::Kind),
        };
        let key = Self::new(name, kind, key.try_into().map_err(|_| BadKeyText::Key)?)?;
        match <[u8; 4]>::try_from(id) {
            Ok(id) if id == key.id => Ok(key),
            Ok(_) => Err(BadKeyText::Mismatch),
            Err(_) => Err(BadKeyText::Id),
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[self.kind.byte()][..], &self.key].concat();
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id), base64(&typed))
    }
}

impl fmt::Display for BadKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parts => "not a key as notes have it: name+id+base64",
            Self::Name => "a key's name is not empty and has no space, plus or control character",
            Self::Id => "the id between the plus signs is not eight hexadecimal digits in lower case",
            Self::Key => "the last part is not base64 of a type and a key of 32 bytes",
            Self::Kind => "a key of another type; Ed25519 signers (1) and cosigners (4) are known",
            Self::Mismatch => "the id is not that of the name and the key; a character is wrong",
        })
    }
}

impl core::error::Error for BadKeyText {}

/// Whether a key may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    /// As the tests of the Go implementation mangle it.
    #[test]
    fn no_part_and_no_neighbour_of_a_key_is_a_key() {
        for from in 0..=GO.len() {
            for to in from + 1..=GO.len() {
                assert_eq!(GO[from..to].parse::<VerifierKey>().is_ok(), (from, to) == (0, GO.len()));
            }
        }
        for at in 0..GO.len() {
            let mut bytes = GO.as_bytes().to_vec();
            bytes[at] += 1;
            assert!(String::from_utf8(bytes).unwrap().parse::<VerifierKey>().is_err(), "byte {at}");
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        for (text, bad) in [
            ("", BadKeyText::Parts),
            ("a+b", BadKeyText::Parts),
            ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", BadKeyText::Name),
            ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", BadKeyText::Name),
            ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", BadKeyText::Id),
            ("PeterNeumann+c74f20+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", BadKeyText::Id),
            ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T", BadKeyText::Key),
            ("PeterNeumann+c74f20a3+", BadKeyText::Key),
            ("PeterNeumann+c74f20a3+BhpcBw==", BadKeyText::Kind),
            ("PeterNeumann+c74f20a3+AVpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", BadKeyText::Mismatch),
        ] {
            assert_eq!(text.parse::<VerifierKey>(), Err(bad), "{text}");
        }
    }
}
