//! The hashes of trees: the trail's own, and the one that other programs know.

use crate::tree::TreeHash;
use hv_types::Digest;
use sha2::{Digest as _, Sha256};

/// The hash of the trail itself: BLAKE3, in a mode of its own for whatever is not to be shown as something else.
///
/// A leaf is a record, whose first 32 bytes are its parent's hash: they are the key of BLAKE3's keyed mode, and the
/// rest is what is hashed under it, so the hash covers both and most records are one block. An inner node is the plain
/// hash of its two children. What is shorter than a key is no record; as a leaf it is hashed by `derive_key`, under the
/// context `hv 2026 audit leaf v2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blake3;

impl TreeHash for Blake3 {
    #[inline]
    fn leaf(bytes: &[u8]) -> Digest {
        bytes.split_first_chunk().map_or_else(|| short_leaf(bytes), |(parent, rest)| chained(parent, rest))
    }

    #[inline]
    fn node(left: &Digest, right: &Digest) -> Digest {
        Digest(*blake3::hash([left.0, right.0].as_flattened()).as_bytes())
    }

    fn empty() -> Digest {
        Digest(*blake3::hash(&[]).as_bytes())
    }
}

#[inline]
fn chained(parent: &[u8; 32], rest: &[u8]) -> Digest {
    Digest(*blake3::keyed_hash(parent, rest).as_bytes())
}

#[cold]
fn short_leaf(bytes: &[u8]) -> Digest {
    Digest(blake3::derive_key("hv 2026 audit leaf v2", bytes))
}

/// The digest of a file that is written or read piece by piece: plain BLAKE3.
///
/// Pieces are put together before they are hashed, because a large one takes a fraction of the time of many
/// small ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileDigest {
    hasher: Box<blake3::Hasher>,
    waiting: Vec<u8>,
}

/// So many bytes are hashed at once.
const PIECE_BYTES: usize = 64 << 10;

impl FileDigest {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        // What is large already waits for nothing.
        if self.waiting.is_empty() && bytes.len() >= PIECE_BYTES {
            self.hasher.update(bytes);
            return;
        }
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PIECE_BYTES {
            self.hasher.update(&self.waiting);
            self.waiting.clear();
        }
    }

    /// The digest of everything up to here.
    pub(crate) fn finish(&mut self) -> Digest {
        self.hasher.update(&self.waiting);
        self.waiting.clear();
        Digest(*self.hasher.finalize().as_bytes())
    }

    /// Begins anew.
    pub(crate) fn reset(&mut self) {
        self.hasher.reset();
        self.waiting.clear();
    }
}

/// The hash of certificate transparency: SHA-256 as RFC 6962, section 2.1, prescribes.
///
/// What other programs verify is hashed with it; the trail itself is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rfc6962;

impl TreeHash for Rfc6962 {
    fn leaf(bytes: &[u8]) -> Digest {
        Digest(Sha256::new_with_prefix([0]).chain_update(bytes).finalize().into())
    }

    fn node(left: &Digest, right: &Digest) -> Digest {
        let mut bytes = [1; 65];
        let (first, second) = bytes.split_at_mut(33);
        first.split_at_mut(1).1.copy_from_slice(&left.0);
        second.copy_from_slice(&right.0);
        Digest(Sha256::digest(bytes).into())
    }

    fn empty() -> Digest {
        Digest(Sha256::digest([]).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_file_does_not_depend_on_its_pieces() {
        let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        for piece in [1000, PIECE_BYTES - 1, PIECE_BYTES, bytes.len()] {
            let mut digest = FileDigest::default();
            for (at, piece) in bytes.chunks(piece).enumerate() {
                digest.update(piece);
                if at == 3 {
                    digest.finish();
                }
            }
            assert_eq!(digest.finish().0, *blake3::hash(&bytes).as_bytes());
        }
    }
}
