//! The keys of payloads, in one file beside them: what is destroyed by a purge.
//!
//! File: a header slot, then one slot of 128 bytes for each payload, in the order in which they were put. No slot
//! crosses a sector, so a disk that tears writes leaves each one as it was or as it should be. A destroyed slot
//! keeps the payload's id and holds zeros where the key was; slots are never used again.

use crate::disk::{Access, Disk, DiskFile, read_up_to};
use crate::finding::What;
use crate::folder::{found_at, io_error};
use crate::log::{Doing, LogError};
use hv_types::Digest;
use std::io;
use std::path::Path;

/// The name of the file of keys in the log's folder.
pub(crate) const KEYS_NAME: &str = "keys";

/// The length of a slot.
pub(crate) const SLOT_BYTES: usize = 128;

/// What a payload is enciphered with; whoever lacks it can neither read the content nor test a guess of it.
pub(crate) type Key = [u8; 32];

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The key of a payload.
    Live { id: Digest, key: Key },
    /// The key of this payload was here.
    Destroyed { id: Digest },
    /// What no slot holds.
    Bad {
        /// What stands where the id would be.
        id: Digest,
    },
}

impl Slot {
    pub(crate) fn to_bytes(self) -> [u8; SLOT_BYTES] {
        let (state, id, key) = match self {
            Self::Live { id, key } => (LIVE, id, key),
            Self::Destroyed { id } | Self::Bad { id } => (DESTROYED, id, [0; 32]),
        };
        let mut out = Vec::with_capacity(SLOT_BYTES);
        out.extend_from_slice(&state.to_le_bytes());
        out.extend_from_slice(&id.0);
        out.extend_from_slice(&key);
        finish(out)
    }

    fn read(bytes: &[u8]) -> Self {
        let digest = |from: usize| bytes.get(from..).and_then(|rest| rest.first_chunk::<32>()).copied();
        let id = Digest(digest(4).unwrap_or_default());
        let key = digest(36).unwrap_or_default();
        let live = Self::Live { id, key };
        let destroyed = Self::Destroyed { id };
        if live.to_bytes() == *bytes {
            live
        } else if destroyed.to_bytes() == *bytes {
            destroyed
        } else {
            Self::Bad { id }
        }
    }
}

/// Fills up with zeros, and closes with the checksum.
fn finish(mut front: Vec<u8>) -> [u8; SLOT_BYTES] {
    front.resize(SLOT_BYTES - 4, 0);
    let crc = crc32c::crc32c(&front).to_le_bytes();
    front.extend_from_slice(&crc);
    let mut slot = [0; SLOT_BYTES];
    slot.copy_from_slice(&front);
    slot
}

const LIVE: u32 = 1;
const DESTROYED: u32 = 2;
const MAGIC: &[u8; 8] = b"hv-keys\n";
const VERSION: u32 = 1;

/// The first slot of the file.
pub(crate) fn header(nonce: [u8; 16]) -> [u8; SLOT_BYTES] {
    let mut out = Vec::with_capacity(SLOT_BYTES);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&nonce);
    finish(out)
}

/// Where the slot of a number lies in the file; payloads count from 0.
pub(crate) const fn place(slot: u64) -> u64 {
    slot.saturating_add(1).saturating_mul(SLOT_BYTES as u64)
}

/// All slots of a log, as they were read.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) slots: Vec<Slot>,
    /// Whether there is a file with a whole header.
    pub(crate) begun: bool,
    /// Bytes behind the last whole slot.
    pub(crate) odd: u64,
}

impl Keys {
    /// Reads the file of keys; nothing where there is none. A header that is not whole is a finding only where
    /// something follows it.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path, nonce: [u8; 16]) -> Result<Self, LogError> {
        let path = dir.join(KEYS_NAME);
        let file = match disk.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io_error(&path, Doing::Open)(error)),
        };
        let read = io_error(&path, Doing::Read);
        let length = file.length().map_err(&read)?;
        let mut first = [0; SLOT_BYTES];
        let count = read_up_to(&*file, 0, &mut first).map_err(&read)?;
        if count < SLOT_BYTES || (first != header(nonce) && length == SLOT_BYTES as u64) {
            return Ok(Self { slots: Vec::new(), begun: false, odd: length });
        }
        if first != header(nonce) {
            return Err(found_at(Path::new(KEYS_NAME), 0, What::KeysHeader));
        }
        let mut keys = Self { slots: Vec::new(), begun: true, odd: 0 };
        let mut buffer = vec![0; SLOT_BYTES * 512];
        let mut at = SLOT_BYTES as u64;
        while at < length {
            let count = read_up_to(&*file, at, &mut buffer).map_err(&read)?;
            let read = buffer.get(..count).unwrap_or_default();
            let slots = read.chunks_exact(SLOT_BYTES);
            keys.odd = slots.remainder().len() as u64;
            keys.slots.extend(slots.map(Slot::read));
            at += count as u64;
            if count == 0 || keys.odd > 0 {
                break;
            }
        }
        Ok(keys)
    }

    /// The length of the file with so many slots.
    pub(crate) const fn length(slots: u64) -> u64 {
        place(slots)
    }
}

/// The slot of a number.
pub(crate) fn read_slot(file: &dyn DiskFile, slot: u64) -> io::Result<Slot> {
    let mut bytes = [0; SLOT_BYTES];
    let count = read_up_to(file, place(slot), &mut bytes)?;
    Ok(if count == SLOT_BYTES { Slot::read(&bytes) } else { Slot::Bad { id: Digest::default() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_goes_there_and_back_and_no_bit_of_it_is_free() {
        for slot in
            [Slot::Live { id: Digest([1; 32]), key: [2; 32] }, Slot::Destroyed { id: Digest([1; 32]) }]
        {
            let bytes = slot.to_bytes();
            assert_eq!(Slot::read(&bytes), slot);
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(matches!(Slot::read(&flipped), Slot::Bad { .. }), "bit {bit}");
            }
        }
        let destroyed = Slot::Destroyed { id: Digest([1; 32]) }.to_bytes();
        assert_eq!(destroyed[36..68], [0; 32]);
        // A slot that claims to be destroyed and still holds a key is neither.
        let mut both = Slot::Live { id: Digest([1; 32]), key: [2; 32] }.to_bytes().to_vec();
        both[0] = 2;
        let both = finish(both[..124].to_vec());
        assert!(matches!(Slot::read(&both), Slot::Bad { .. }));
    }
}
