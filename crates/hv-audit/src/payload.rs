//! Content outside the records, behind a keyed digest whose key lies with the content.

use hv_types::Digest;

/// Where random bytes come from: each call gives 32 that nobody can guess.
pub type Entropy = Box<dyn FnMut() -> [u8; 32] + Send>;

/// The name of a content under its salt: without the salt nobody can test a guess of the content.
pub(crate) fn payload_id(salt: &[u8; 32], bytes: &[u8]) -> Digest {
    Digest(*blake3::keyed_hash(salt, bytes).as_bytes())
}
