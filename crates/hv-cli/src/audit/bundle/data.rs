//! Bytes as a bundle holds them.

use super::BadBundle;
use hv_core::audit::{Kind, StreamNo, read_entry};
use hv_core::types::Digest;

/// A record of the node's stream that was found in the signed log.
#[derive(Debug)]
pub(super) struct Decoded(pub(super) Vec<u8>);

impl Decoded {
    /// What it says.
    pub(super) fn kind(&self) -> Option<Kind<'_>> {
        read_entry(&self.0, StreamNo::NODE).ok().map(|entry| entry.kind)
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>, BadBundle> {
    let bytes = data_encoding::BASE64.decode(text.as_bytes()).ok();
    // The library also takes several padded texts behind each other.
    bytes.filter(|bytes| encode(bytes) == text).ok_or(BadBundle::Part("base64 in another form than its own"))
}

pub(super) fn decode_digest(text: &str) -> Result<Digest, BadBundle> {
    decode(text)?.try_into().map(Digest).map_err(|_| BadBundle::Part("a hash has another length"))
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Digest(<sha2::Sha256 as sha2::Digest>::digest(bytes).into()).to_string()
}
