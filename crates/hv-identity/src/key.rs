//! Public keys, and the name that each has as a `did:key`.

use core::fmt;
use ed25519_dalek::VerifyingKey;
use hv_types::wire::Reader;
use hv_types::{Did, Undecodable, Wire};

/// What every `did:key` begins with: the method, then `z` for base58btc.
const PREFIX: &str = "did:key:z";
/// Multicodec of an Ed25519 public key, 0xed, as a varint.
const CODEC: [u8; 2] = [0xed, 0x01];

/// An Ed25519 public key (RFC 8032) that may sign statements, with its name as a `did:key`.
///
/// Only a key whose encoding is the one of its point, and whose point is not one of the eight of small order,
/// under which one signature fits many messages. A key has one name and a name one key.
///
/// ```
/// use hv_identity::{BadKey, Did, PublicKey};
///
/// let did = Did::new("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp")?;
/// let key = PublicKey::of(&did)?;
/// assert_eq!(PublicKey::from_bytes(key.as_bytes())?.did(), &did);
/// assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(BadKey::SmallOrder));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    bytes: [u8; 32],
    did: Did,
}

/// Why something is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BadKey {
    /// The DID is not a `did:key`.
    OtherMethod,
    /// The text after `did:key:` is not base58btc with `z` in front, or not in its one form.
    Multibase,
    /// The bytes are those of another kind of key.
    OtherKind,
    /// The key does not have 32 bytes.
    Length,
    /// The bytes are not the encoding of a point, or not its canonical one.
    NotCanonical,
    /// The point is one of the eight of small order.
    SmallOrder,
}

hv_types::wire_enum!(BadKey {
    0 => OtherMethod {},
    1 => Multibase {},
    2 => OtherKind {},
    3 => Length {},
    4 => NotCanonical {},
    5 => SmallOrder {},
});

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherMethod => "not a did:key",
            Self::Multibase => "not base58btc with `z` in front, as `hv id show` prints it",
            Self::OtherKind => "not an Ed25519 key; those begin with did:key:z6Mk",
            Self::Length => "an Ed25519 key has 32 bytes",
            Self::NotCanonical => "not the encoding of an Ed25519 key",
            Self::SmallOrder => "a weak key, under which one signature fits many messages; make another",
        })
    }
}

impl core::error::Error for BadKey {}

/// A signature that the key did not make over the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature does not fit the message and the key")
    }
}

impl core::error::Error for BadSignature {}

impl PublicKey {
    /// Checks 32 bytes.
    ///
    /// Costs one decompression of a point, some microseconds.
    ///
    /// # Errors
    /// [`BadKey::NotCanonical`] and [`BadKey::SmallOrder`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BadKey> {
        let key = decompress(bytes)?;
        if key.is_weak() {
            return Err(BadKey::SmallOrder);
        }
        let text = format!("{PREFIX}{}", bs58::encode([&CODEC[..], bytes].concat()).into_string());
        // Base58 has letters and digits only, so this is a DID.
        let did = Did::new(&text).map_err(|_| BadKey::Multibase)?;
        Ok(Self { bytes: *bytes, did })
    }

    /// The key that a `did:key` is (W3C CCG did:key method, section 3.1).
    ///
    /// # Errors
    /// Every [`BadKey`].
    pub fn of(did: &Did) -> Result<Self, BadKey> {
        if !is_did_key(did) {
            return Err(BadKey::OtherMethod);
        }
        let base58 = did.as_str().strip_prefix(PREFIX).ok_or(BadKey::Multibase)?;
        let bytes = bs58::decode(base58).into_vec().map_err(|_| BadKey::Multibase)?;
        let raw = bytes.strip_prefix(&CODEC).ok_or(BadKey::OtherKind)?;
        let key = Self::from_bytes(raw.try_into().map_err(|_| BadKey::Length)?)?;
        if key.did == *did { Ok(key) } else { Err(BadKey::Multibase) }
    }

    /// The key's name.
    #[must_use]
    pub const fn did(&self) -> &Did {
        &self.did
    }

    /// The key's 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Whether the key signed the message, strictly: without the cofactor, with a canonical `S` and an `R`
    /// that is not of small order, so that no second signature follows from a first.
    ///
    /// Costs one verification, some fifty microseconds, and hashes the message.
    ///
    /// # Errors
    /// [`BadSignature`], also where there are not 64 bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature)?;
        let key = decompress(&self.bytes).map_err(|_| BadSignature)?;
        key.verify_strict(message, &signature).map_err(|_| BadSignature)
    }
}

/// Whether the DID is a key, rather than bound to one.
pub(crate) fn is_did_key(did: &Did) -> bool {
    did.as_str().starts_with("did:key:")
}

fn decompress(bytes: &[u8; 32]) -> Result<VerifyingKey, BadKey> {
    if !is_reduced(bytes) {
        return Err(BadKey::NotCanonical);
    }
    VerifyingKey::from_bytes(bytes).map_err(|_| BadKey::NotCanonical)
}

/// Whether the y coordinate is below p = 2²⁵⁵ − 19 (RFC 8032, section 5.1.3, step 1). The library reduces it
/// instead, so that some points would have two encodings.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    *low < 0xed || high & 0x7f != 0x7f || middle.iter().any(|&byte| byte != 0xff)
}

impl Wire for PublicKey {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Self::from_bytes(&reader.array()?).map_err(|_| reader.invalid("PublicKey"))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.did, f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.did, f)
    }
}
