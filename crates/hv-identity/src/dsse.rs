//! Envelopes: a payload, what kind it is, and who signed both (DSSE, version 1.0.2).

use crate::json::{self, Node, Out, Value};
use crate::known::Known;
use crate::{
    BadSignature, Field, Kind, Malformed, MalformedCause, PublicKey, Refusal, Signer, Statement, TextLimit,
};
use data_encoding::{BASE64, BASE64URL};
use hv_types::wire::{Reader, put_bytes, put_varint};
use hv_types::{Undecodable, Wire};
use std::borrow::Cow;

/// The longest envelope that is read, as JSON, in bytes.
pub const ENVELOPE_MAX_BYTES: usize = 65_536;
/// The longest payload of an envelope, in bytes.
pub const PAYLOAD_MAX_BYTES: usize = 16_384;
/// The most signatures of one envelope.
pub const SIGNATURES_MAX: usize = 8;

/// What a signature is made over: the payload's type and the payload, each with its length in front, so that
/// no two pairs give the same bytes (DSSE protocol, "Signature Definition").
///
/// ```
/// let bytes = hv_identity::pae("http://example.com/HelloWorld", b"hello world");
/// assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
/// ```
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// A payload with one to eight signatures, as it travels. Nothing is known of it until it is
/// [opened](crate::open).
///
/// It remembers which of its signatures fit which keys, so an envelope that was opened before, or a copy of which
/// was, is opened again without a verification; whose key that is, and whether it counts, is asked anew.
#[derive(Debug, Clone)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
    known: Known,
}

/// What is known of it is no part of what it says.
impl PartialEq for Envelope {
    fn eq(&self, other: &Self) -> bool {
        let Self { payload_type, payload, signatures, known: _ } = self;
        *payload_type == other.payload_type && *payload == other.payload && *signatures == other.signatures
    }
}

impl Eq for Envelope {}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    keyid: String,
    sig: Vec<u8>,
}

impl Signature {
    /// A hint at the key; empty where there is none. No part of what is signed, so nothing is decided by it.
    #[must_use]
    pub fn keyid(&self) -> &str {
        &self.keyid
    }

    /// The signature's bytes: 64 where it is one by an Ed25519 key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.sig
    }
}

impl Envelope {
    /// Signs a payload. Statements have [`Statement::seal`](crate::Statement::seal) for it; this is for what
    /// else a node signs, under a payload type of its own.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] for a payload or a payload type beyond its [`TextLimit`].
    pub fn sign(payload_type: &str, payload: &[u8], signer: &Signer) -> Result<Self, Refusal> {
        let (payload_type, payload) = (payload_type.to_owned(), payload.to_owned());
        let signature = sign(&pae(&payload_type, &payload), signer);
        Self::checked(payload_type, payload, vec![signature])
    }

    /// Adds a signature by another key over the same.
    ///
    /// # Errors
    /// [`Refusal::Signatures`] where there are [`SIGNATURES_MAX`] already.
    pub fn cosign(mut self, signer: &Signer) -> Result<Self, Refusal> {
        self.signatures.push(sign(&pae(&self.payload_type, &self.payload), signer));
        Self::checked(self.payload_type, self.payload, self.signatures)
    }

    /// What sort of thing the payload is.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// What is signed, at most [`PAYLOAD_MAX_BYTES`]. Not to be believed before a signature was verified.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signatures, one to [`SIGNATURES_MAX`].
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Whether one of the signatures is by this key. Costs a verification for each signature, at most eight.
    ///
    /// # Errors
    /// [`BadSignature`] where none is.
    pub fn verify(&self, key: &PublicKey) -> Result<(), BadSignature> {
        if self.is_by(key) { Ok(()) } else { Err(BadSignature) }
    }

    /// Whether one of the signatures is by this key; each is verified once for a key.
    pub(crate) fn is_by(&self, key: &PublicKey) -> bool {
        (0..self.signatures.len()).any(|place| self.fits(key, place))
    }

    /// Whether the signature at this place is by this key.
    pub(crate) fn fits(&self, key: &PublicKey, place: usize) -> bool {
        let Some(signature) = self.signatures.get(place) else { return false };
        self.known
            .fits(key, place, || key.verify(&pae(&self.payload_type, &self.payload), &signature.sig).is_ok())
    }

    /// The keys by which it is known to be signed.
    pub(crate) fn signed_by(&self) -> Vec<PublicKey> {
        self.known.signed_by()
    }

    /// What the payload says, if it is a statement; read once.
    ///
    /// # Errors
    /// [`Refusal::PayloadType`] and those of [`Statement::from_payload`].
    pub fn statement(&self) -> Result<Statement, Refusal> {
        self.known.statement(|| {
            let kind = Kind::of_payload_type(&self.payload_type).ok_or(Refusal::PayloadType)?;
            Statement::from_payload(kind, &self.payload)
        })
    }

    /// Reads the JSON form. Standard and URL-safe base64 count alike and fields that the specification does
    /// not know are passed over, as it demands; a name that occurs twice is refused.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] and [`Refusal::Malformed`].
    pub fn from_json(text: &[u8]) -> Result<Self, Refusal> {
        TextLimit::Envelope.check(text)?;
        let envelope = json::read(text)?;
        let payload = base64(&envelope, Field::Payload)?;
        let payload_type = string(&envelope, Field::PayloadType)?.to_owned();
        let list = member(&envelope, Field::Signatures)?;
        let Node::List(items) = &list.node else { return Err(invalid(list, Field::Signatures).into()) };
        if items.is_empty() || items.len() > SIGNATURES_MAX {
            return Err(invalid(list, Field::Signatures).into());
        }
        let mut signatures = Vec::new();
        for item in items {
            let keyid = if find(item, Field::KeyId)?.is_some() { string(item, Field::KeyId)? } else { "" };
            signatures.push(Signature { keyid: keyid.to_owned(), sig: base64(item, Field::Sig)? });
        }
        Self::checked(payload_type, payload, signatures)
    }

    /// Writes the JSON form, which is the same for equal envelopes: no space, names in order, standard base64,
    /// and no `keyid` where it is empty.
    #[must_use]
    pub fn to_json(&self) -> String {
        let base64 = |bytes: &[u8]| Out::Text(BASE64.encode(bytes).into());
        let signature = |signature: &'_ Signature| {
            let mut members = vec![("sig", base64(&signature.sig))];
            if !signature.keyid.is_empty() {
                members.push(("keyid", Out::Text(Cow::Owned(signature.keyid.clone()))));
            }
            Out::Object(members)
        };
        let members = vec![
            ("payload", base64(&self.payload)),
            ("payloadType", Out::Text(Cow::Borrowed(&self.payload_type))),
            ("signatures", Out::List(self.signatures.iter().map(signature).collect())),
        ];
        let mut text = String::new();
        Out::Object(members).write(&mut text);
        text
    }

    fn checked(payload_type: String, payload: Vec<u8>, signatures: Vec<Signature>) -> Result<Self, Refusal> {
        TextLimit::PayloadType.check(payload_type.as_bytes())?;
        TextLimit::Payload.check(&payload)?;
        if signatures.is_empty() || signatures.len() > SIGNATURES_MAX {
            let found = u32::try_from(signatures.len()).unwrap_or(u32::MAX);
            return Err(Refusal::Signatures { found, wanted: 1 });
        }
        for Signature { keyid, sig } in &signatures {
            TextLimit::KeyId.check(keyid.as_bytes())?;
            TextLimit::Signature.check(sig)?;
        }
        Ok(Self { payload_type, payload, signatures, known: Known::default() })
    }
}

/// Lengths in front, as everywhere; what no envelope can be does not decode. INVARIANT (A4)
impl Wire for Envelope {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.payload_type.as_bytes(), out);
        put_bytes(&self.payload, out);
        put_varint(self.signatures.len() as u64, out);
        for Signature { keyid, sig } in &self.signatures {
            put_bytes(keyid.as_bytes(), out);
            put_bytes(sig, out);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let (payload_type, payload) = (reader.text()?.to_owned(), reader.bytes()?.to_owned());
        let count = reader.varint()?;
        if count > SIGNATURES_MAX as u64 {
            return Err(reader.invalid("Envelope"));
        }
        let mut signatures = Vec::new();
        for _ in 0..count {
            signatures.push(Signature { keyid: reader.text()?.to_owned(), sig: reader.bytes()?.to_owned() });
        }
        Self::checked(payload_type, payload, signatures).map_err(|_| reader.invalid("Envelope"))
    }
}

fn sign(message: &[u8], signer: &Signer) -> Signature {
    Signature { keyid: signer.did().as_str().to_owned(), sig: signer.sign(message).to_vec() }
}

fn find<'v, 'a>(object: &'v Value<'a>, field: Field) -> Result<Option<&'v Value<'a>>, Malformed> {
    match &object.node {
        Node::Object(members) => {
            Ok(members.iter().find(|(name, _)| name == field.name()).map(|(_, value)| value))
        }
        _ => Err(json::malformed(object.at, MalformedCause::OtherKind)),
    }
}

fn member<'v, 'a>(object: &'v Value<'a>, field: Field) -> Result<&'v Value<'a>, Malformed> {
    find(object, field)?.ok_or_else(|| json::malformed(object.at, MalformedCause::Missing { field }))
}

fn string<'v>(object: &'v Value<'_>, field: Field) -> Result<&'v str, Malformed> {
    let value = member(object, field)?;
    match &value.node {
        Node::Text(text) => Ok(text),
        _ => Err(invalid(value, field)),
    }
}

/// Base64 with its padding and nothing left over, in one alphabet or the other.
fn base64(object: &Value<'_>, field: Field) -> Result<Vec<u8>, Malformed> {
    let text = string(object, field)?.as_bytes();
    let alphabet = if text.iter().any(|b| matches!(b, b'-' | b'_')) { BASE64URL } else { BASE64 };
    alphabet.decode(text).map_err(|_| match member(object, field) {
        Ok(value) => invalid(value, field),
        Err(missing) => missing,
    })
}

fn invalid(value: &Value<'_>, field: Field) -> Malformed {
    json::malformed(value.at, MalformedCause::Value { field })
}
