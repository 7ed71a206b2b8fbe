//! The high-water mark: up to where the log is known to be durable, and whether it was ended cleanly.
//!
//! A file of two slots of 512 bytes. They are written in turn and in place, after each sync, so one of them is
//! always whole; a slot lies in one sector of the disk, and a sector is taken to be written as a whole or not.
//! A clean end writes the same into both. Below the mark, nothing that is wrong can come from a crash.
//!
//! Slot: `magic (8) ‖ version (4) ‖ state (4) ‖ turn (8) ‖ nonce (16) ‖ lsn (8) ‖ segment (4) ‖ zero (4) ‖
//! offset (8) ‖ node length (8) ‖ node tip (32) ‖ digest (32) ‖ zeros ‖ check (32)`, little endian.

use crate::disk::{DiskFile, read_up_to};
use crate::log::Lsn;
use hv_types::wire::Reader;
use hv_types::{Digest, Wire};
use std::io;

/// The name of the file.
pub(crate) const MARK_NAME: &str = "mark";

/// The length of a slot in bytes.
pub(crate) const SLOT_BYTES: usize = 512;

/// The length of the file in bytes.
pub(crate) const MARK_BYTES: usize = 2 * SLOT_BYTES;

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) state: MarkState,
    /// Counts the writes; the slot with the larger number holds.
    pub(crate) turn: u64,
    /// The number that tells this log from all others.
    pub(crate) nonce: [u8; 16],
    /// The last durable batch.
    pub(crate) lsn: Lsn,
    /// The segment that holds it.
    pub(crate) segment: u32,
    /// Where in the segment it ends.
    pub(crate) offset: u64,
    /// The number of records of the node's stream up to there.
    pub(crate) node_length: u64,
    /// The hash of the last of them.
    pub(crate) node_tip: Digest,
    /// The digest of the segment up to `offset`, where the log was ended; else zero.
    pub(crate) digest: Digest,
}

/// Whether a writer has the log, or ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MarkState {
    Open,
    Sealed,
}

impl Mark {
    /// The mark of a log that holds nothing yet.
    pub(crate) const fn first(nonce: [u8; 16]) -> Self {
        Self {
            state: MarkState::Open,
            turn: 0,
            nonce,
            lsn: Lsn(0),
            segment: 0,
            offset: 0,
            node_length: 0,
            node_tip: Digest([0; 32]),
            digest: Digest([0; 32]),
        }
    }

    /// Where the slot lies that the mark is written to in its turn.
    pub(crate) const fn place(&self) -> u64 {
        (self.turn % 2) * SLOT_BYTES as u64
    }

    /// Where the slot lies that is not at `place`.
    pub(crate) const fn other_place(place: u64) -> u64 {
        SLOT_BYTES as u64 - place
    }

    pub(crate) fn to_slot(self) -> [u8; SLOT_BYTES] {
        let state: u32 = match self.state {
            MarkState::Open => 1,
            MarkState::Sealed => 2,
        };
        let mut out = Vec::with_capacity(SLOT_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&state.to_le_bytes());
        out.extend_from_slice(&self.turn.to_le_bytes());
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.lsn.0.to_le_bytes());
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.node_length.to_le_bytes());
        self.node_tip.put(&mut out);
        self.digest.put(&mut out);
        out.resize(SLOT_BYTES - 32, 0);
        let check = check(&out);
        out.extend_from_slice(&check);
        let mut slot = [0; SLOT_BYTES];
        slot.copy_from_slice(&out);
        slot
    }

    /// Reads a slot; `None` where it is not exactly what a mark is written as.
    pub(crate) fn from_slot(slot: &[u8; SLOT_BYTES]) -> Option<Self> {
        let mut reader = Reader::new(slot);
        let mark = Self::take(&mut reader)?;
        // Written again, it must give the same bytes: that covers the zeros and the check.
        (mark.to_slot() == *slot).then_some(mark)
    }

    fn take(reader: &mut Reader<'_>) -> Option<Self> {
        reader.slice(MAGIC.len()).ok()?;
        reader.slice(4).ok()?;
        let state = match u32::from_le_bytes(reader.array().ok()?) {
            1 => MarkState::Open,
            2 => MarkState::Sealed,
            _ => return None,
        };
        let turn = u64::from_le_bytes(reader.array().ok()?);
        let nonce = reader.array().ok()?;
        let lsn = Lsn(u64::from_le_bytes(reader.array().ok()?));
        let segment = u32::from_le_bytes(reader.array().ok()?);
        reader.slice(4).ok()?;
        let offset = u64::from_le_bytes(reader.array().ok()?);
        let node_length = u64::from_le_bytes(reader.array().ok()?);
        let (node_tip, digest) = (Digest::take(reader).ok()?, Digest::take(reader).ok()?);
        Some(Self { state, turn, nonce, lsn, segment, offset, node_length, node_tip, digest })
    }
}

/// What the file of the two slots holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Marks {
    /// No more was ever written to it than what begins a log, and that perhaps not whole.
    Blank,
    /// It has another length than two slots.
    Length(u64),
    /// Each slot, where it is whole.
    Slots(Box<[Option<Mark>; 2]>),
}

impl Marks {
    /// Reads the file. A slot that is not whole is read again: its writer may just be at it.
    pub(crate) fn read(file: &dyn DiskFile) -> io::Result<Self> {
        let mut marks = Self::Blank;
        for _ in 0..ATTEMPTS {
            marks = Self::read_once(file)?;
            if let Self::Slots(slots) = &marks
                && slots.iter().all(Option::is_some)
            {
                break;
            }
        }
        Ok(marks)
    }

    fn read_once(file: &dyn DiskFile) -> io::Result<Self> {
        let length = file.length()?;
        let mut bytes = [0; MARK_BYTES];
        let read = read_up_to(file, 0, &mut bytes)?;
        let written = bytes.get(..read).unwrap_or_default();
        if length <= MARK_BYTES as u64 && (written.iter().all(|byte| *byte == 0) || is_torn_first(written)) {
            return Ok(Self::Blank);
        }
        if length != MARK_BYTES as u64 || read != MARK_BYTES {
            return Ok(Self::Length(length));
        }
        let (slots, _) = bytes.as_chunks::<SLOT_BYTES>();
        let mut slots = slots.iter().map(Mark::from_slot);
        Ok(Self::Slots(Box::new([slots.next().flatten(), slots.next().flatten()])))
    }
}

/// Whether the bytes are the beginning, but not the whole, of what begins a log.
fn is_torn_first(bytes: &[u8]) -> bool {
    let nonce = bytes.get(NONCE_AT..).and_then(|rest| rest.first_chunk()).copied();
    let slot = Mark::first(nonce.unwrap_or_default()).to_slot();
    // Before the nonce is whole, what comes before it must do.
    let known = if nonce.is_some() { bytes } else { bytes.get(..NONCE_AT).unwrap_or(bytes) };
    bytes.len() < MARK_BYTES && [slot, slot].concat().starts_with(known)
}

/// Where in a slot the nonce lies.
const NONCE_AT: usize = 24;

const MAGIC: &[u8; 8] = b"hv-mark\n";
const VERSION: u32 = 1;

/// How often a slot is read that is not whole.
const ATTEMPTS: usize = 4;

fn check(slot: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(&MARK_KEY, slot).as_bytes()
}

/// `derive_key` of the context `hv 2026 audit mark v1`.
const MARK_KEY: [u8; 32] = [
    5, 161, 118, 148, 173, 138, 119, 102, 249, 138, 158, 37, 200, 13, 107, 166, 15, 105, 26, 18, 18, 66, 110,
    157, 56, 85, 155, 7, 10, 8, 64, 195,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Mark {
        Mark {
            state: MarkState::Sealed,
            turn: 3,
            nonce: [5; 16],
            lsn: Lsn(77),
            segment: 2,
            offset: 4096,
            node_length: 9,
            node_tip: Digest([6; 32]),
            digest: Digest([7; 32]),
        }
    }

    #[test]
    fn the_key_is_derived_from_its_context() {
        assert_eq!(blake3::derive_key("hv 2026 audit mark v1", &[]), MARK_KEY);
    }

    #[test]
    fn a_slot_goes_there_and_back_and_no_bit_of_it_is_free() {
        let slot = sample().to_slot();
        assert_eq!(Mark::from_slot(&slot), Some(sample()));
        for bit in 0..SLOT_BYTES * 8 {
            let mut flipped = slot;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::from_slot(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn only_the_torn_beginning_of_a_log_counts_as_nothing() {
        let two = |mark: Mark| [mark.to_slot(), mark.to_slot()].concat();
        let (first, later) = (two(Mark::first([5; 16])), two(Mark { turn: 1, ..Mark::first([5; 16]) }));
        assert!((0..MARK_BYTES).all(|length| is_torn_first(&first[..length])));
        assert!(!is_torn_first(&first));
        assert!((NONCE_AT..MARK_BYTES).all(|length| !is_torn_first(&later[..length])));
    }

    #[test]
    fn golden_bytes() {
        let slot = sample().to_slot();
        assert_eq!(&slot[..24], b"hv-mark\n\x01\0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0");
        assert_eq!(slot[24..40], [5; 16]);
        assert_eq!(
            slot[40..72],
            [
                77, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0,
                0, 0
            ]
        );
        assert_eq!((&slot[72..104], &slot[104..136]), (&[6; 32][..], &[7; 32][..]));
        assert_eq!(slot[136..480], [0; 344]);
    }
}
