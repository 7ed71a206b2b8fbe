//! A segment: a file of frames, one frame a batch.
//!
//! Header: `magic (8) ‖ version (4) ‖ index (4) ‖ nonce (16) ‖ first lsn (8) ‖ digest of the whole segment
//! before (32) ‖ crc32c of all that (4)`. Frame: `payload length (4) ‖ lsn (8) ‖ crc32c of the payload (4) ‖
//! crc32c of those 16 bytes (4) ‖ payload`, all little endian. The payload is the batch's records, each with
//! its stream and its length in front. Behind the last frame lie zeros, made in advance so that a sync changes
//! no metadata; a finished segment ends with its last frame.

use crate::disk::{DiskFile, read_up_to};
use crate::finding::What;
use crate::log::{BATCH_MAX_BYTES, Lsn};
use hv_types::Digest;
use hv_types::wire::{Reader, Undecodable};
use std::io;

/// The length of a segment's header in bytes.
pub(crate) const HEADER_BYTES: usize = 76;

/// The length of a frame's header in bytes.
pub(crate) const FRAME_HEADER_BYTES: usize = 20;

/// The name of a segment's file.
pub(crate) fn segment_name(index: u32) -> String {
    format!("{index:08}.seg")
}

/// The index in the name of a segment's file; `None` for any other name.
pub(crate) fn segment_index(name: &str) -> Option<u32> {
    let index = name.strip_suffix(".seg")?.parse().ok()?;
    (segment_name(index) == name).then_some(index)
}

/// What the header of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) index: u32,
    pub(crate) nonce: [u8; 16],
    pub(crate) first_lsn: Lsn,
    pub(crate) previous: Digest,
}

impl SegmentHeader {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.first_lsn.0.to_le_bytes());
        out.extend_from_slice(&self.previous.0);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&out);
        header
    }

    /// Reads a header; `None` where it is not exactly what one is written as.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let header = Self::take(&mut Reader::new(bytes.get(MAGIC.len() + 4..)?)).ok()?;
        (header.to_bytes() == *bytes).then_some(header)
    }

    /// Reads what stands between version and checksum.
    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Ok(Self {
            index: u32::from_le_bytes(reader.array()?),
            nonce: reader.array()?,
            first_lsn: Lsn(u64::from_le_bytes(reader.array()?)),
            previous: Digest(reader.array()?),
        })
    }
}

/// What the header of a segment says of which records were purged: those of the segment as it was, and what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShortHeader {
    pub(crate) was: SegmentHeader,
    /// The last batch that was in it.
    pub(crate) last_lsn: Lsn,
    /// The file digest that it had.
    pub(crate) digest: Digest,
    /// The length that it had.
    pub(crate) length: u64,
}

/// The length of the header of a segment of which records were purged.
pub(crate) const SHORT_HEADER_BYTES: usize = HEADER_BYTES + 48;

impl ShortHeader {
    pub(crate) fn to_bytes(self) -> [u8; SHORT_HEADER_BYTES] {
        let mut out = SHORT_MAGIC.to_vec();
        let was = self.was.to_bytes();
        out.extend_from_slice(was.get(MAGIC.len()..HEADER_BYTES - 4).unwrap_or_default());
        out.extend_from_slice(&self.last_lsn.0.to_le_bytes());
        out.extend_from_slice(&self.digest.0);
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        let mut header = [0; SHORT_HEADER_BYTES];
        header.copy_from_slice(&out);
        header
    }

    /// Reads a header; `None` where it is not exactly what one is written as.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes.get(MAGIC.len() + 4..)?);
        let was = SegmentHeader::take(&mut reader).ok()?;
        let last_lsn = Lsn(u64::from_le_bytes(reader.array().ok()?));
        let digest = reader.array().map(Digest).ok()?;
        let length = u64::from_le_bytes(reader.array().ok()?);
        let header = Self { was, last_lsn, digest, length };
        (header.to_bytes() == *bytes).then_some(header)
    }
}

/// Writes the header of a frame in front of its payload: `frame` begins with room for it.
pub(crate) fn finish_frame(frame: &mut [u8], lsn: Lsn) {
    let Some((header, payload)) = frame.split_first_chunk_mut::<FRAME_HEADER_BYTES>() else { return };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let (front, check) = header.split_at_mut(16);
    let (numbers, crc) = front.split_at_mut(12);
    let (length_at, lsn_at) = numbers.split_at_mut(4);
    length_at.copy_from_slice(&length.to_le_bytes());
    lsn_at.copy_from_slice(&lsn.0.to_le_bytes());
    crc.copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    check.copy_from_slice(&crc32c::crc32c(front).to_le_bytes());
}

/// Reads a segment's bytes forward.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    file: Box<dyn DiskFile>,
    length: u64,
    window: Vec<u8>,
    /// Where in the file the window begins.
    start: u64,
}

/// What lies at an offset of a segment.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// A frame whose checksums hold.
    Frame {
        /// The batch's number.
        lsn: Lsn,
        /// Header and payload.
        bytes: &'a [u8],
    },
    /// The end of the file.
    End,
    /// Nothing but zeros up to the end of the file.
    Zeros,
    /// Something else.
    Bad(What),
}

impl SegmentReader {
    pub(crate) fn new(file: Box<dyn DiskFile>) -> io::Result<Self> {
        let length = file.length()?;
        Ok(Self { file, length, window: Vec::new(), start: 0 })
    }

    /// The file's length when it was opened.
    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// The header, where it is whole.
    pub(crate) fn header(&mut self) -> io::Result<Option<(SegmentHeader, &[u8])>> {
        let bytes = self.bytes(0, HEADER_BYTES)?;
        Ok(SegmentHeader::from_bytes(bytes).map(|header| (header, bytes)))
    }

    /// The header of a segment of which records were purged, where it is one and whole.
    pub(crate) fn short_header(&mut self) -> io::Result<Option<(ShortHeader, &[u8])>> {
        let bytes = self.bytes(0, SHORT_HEADER_BYTES)?;
        Ok(ShortHeader::from_bytes(bytes).map(|header| (header, bytes)))
    }

    /// Where the frames begin.
    pub(crate) fn frames_at(&mut self) -> io::Result<u64> {
        let short = self.short_header()?.is_some();
        Ok(if short { SHORT_HEADER_BYTES } else { HEADER_BYTES } as u64)
    }

    /// Whether there is a whole header as one is written here.
    pub(crate) fn is_of_this_version(&mut self) -> io::Result<bool> {
        Ok(self.header()?.is_some() || self.short_header()?.is_some())
    }

    /// The version of a header that is whole, where it is another one than is written here.
    pub(crate) fn other_version(&mut self) -> io::Result<Option<u32>> {
        Ok(other_version(self.bytes(0, SHORT_HEADER_BYTES)?))
    }

    /// The number of the batch whose frame lies at `offset`, where the frame's header is whole.
    pub(crate) fn frame_lsn(&mut self, offset: u64) -> io::Result<Option<Lsn>> {
        let header = self.bytes(offset, FRAME_HEADER_BYTES)?;
        Ok(read_frame_header(header).map(|(_, lsn, _)| lsn))
    }

    /// What lies at `offset`.
    pub(crate) fn next(&mut self, offset: u64) -> io::Result<Next<'_>> {
        if offset >= self.length {
            return Ok(Next::End);
        }
        let header = self.bytes(offset, FRAME_HEADER_BYTES)?;
        if header.iter().all(|byte| *byte == 0) {
            let used = self.used(offset)?;
            return Ok(if used == offset { Next::Zeros } else { Next::Bad(What::FrameHeader) });
        }
        let Some((length, lsn, crc)) = read_frame_header(header) else {
            let short = header.len() < FRAME_HEADER_BYTES;
            return Ok(Next::Bad(if short { What::Cut } else { What::FrameHeader }));
        };
        // An honest length is bounded, so a wrong one allocates no more than a batch takes.
        if length > BATCH_MAX_BYTES {
            return Ok(Next::Bad(What::FrameHeader));
        }
        let whole = FRAME_HEADER_BYTES + length;
        let bytes = self.bytes(offset, whole)?;
        if bytes.len() < whole {
            return Ok(Next::Bad(What::Cut));
        }
        let payload = bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default();
        if crc32c::crc32c(payload) != crc {
            return Ok(Next::Bad(What::FrameChecksum));
        }
        Ok(Next::Frame { lsn, bytes })
    }

    /// Where from `offset` on the last byte that is not zero ends; `offset` where all are zero.
    pub(crate) fn used(&mut self, offset: u64) -> io::Result<u64> {
        let (mut at, mut used) = (offset, offset);
        loop {
            let bytes = self.bytes(at, WINDOW_BYTES)?;
            if bytes.is_empty() {
                return Ok(used);
            }
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                used = at + last as u64 + 1;
            }
            at += bytes.len() as u64;
        }
    }

    /// So many bytes from `offset`; fewer where the file ends.
    pub(crate) fn bytes(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = count.min(left);
        let held = offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let from = match held.filter(|from| from.saturating_add(count) <= self.window.len()) {
            Some(from) => from,
            None => {
                self.window.resize(count.max(WINDOW_BYTES).min(left), 0);
                let read = read_up_to(&*self.file, offset, &mut self.window)?;
                self.window.truncate(read);
                self.start = offset;
                0
            }
        };
        let end = (from + count).min(self.window.len());
        Ok(self.window.get(from..end).unwrap_or_default())
    }
}

fn other_version(bytes: &[u8]) -> Option<u32> {
    let (magic, rest) = bytes.split_first_chunk()?;
    let length = match magic {
        MAGIC => HEADER_BYTES,
        SHORT_MAGIC => SHORT_HEADER_BYTES,
        _ => return None,
    };
    let (front, crc) = bytes.get(..length)?.split_last_chunk()?;
    let version = u32::from_le_bytes(*rest.first_chunk()?);
    (version != VERSION && crc32c::crc32c(front).to_le_bytes() == *crc).then_some(version)
}

/// Payload length, number and payload checksum of a frame; `None` where the header's own checksum fails or a
/// frame would be empty.
fn read_frame_header(bytes: &[u8]) -> Option<(usize, Lsn, u32)> {
    let (front, check) = bytes.split_at_checked(16)?;
    if crc32c::crc32c(front).to_le_bytes() != *check {
        return None;
    }
    let mut reader = Reader::new(front);
    let length = u32::from_le_bytes(reader.array().ok()?);
    let lsn = Lsn(u64::from_le_bytes(reader.array().ok()?));
    let crc = u32::from_le_bytes(reader.array().ok()?);
    let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
    Some((length, lsn, crc))
}

const MAGIC: &[u8; 8] = b"hv-trail";
const SHORT_MAGIC: &[u8; 8] = b"hv-short";
/// In version 1 a record's parent was hashed with the rest of it, and is the key of that hash now.
pub(crate) const VERSION: u32 = 2;

/// So many bytes are read at once, or as many as a frame has.
const WINDOW_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_segments() {
        assert_eq!(segment_name(7), "00000007.seg");
        for (name, index) in [
            ("00000000.seg", Some(0)),
            ("4294967295.seg", Some(u32::MAX)),
            ("0000000.seg", None),
            ("000000000.seg", None),
            ("+0000001.seg", None),
            ("00000001.SEG", None),
            ("mark", None),
        ] {
            assert_eq!(segment_index(name), index, "{name}");
        }
    }

    #[test]
    fn a_header_goes_there_and_back_and_no_bit_of_it_is_free() {
        let header = SegmentHeader { index: 3, nonce: [4; 16], first_lsn: Lsn(9), previous: Digest([8; 32]) };
        let bytes = header.to_bytes();
        assert_eq!(&bytes[..16], b"hv-trail\x02\0\0\0\x03\0\0\0");
        assert_eq!((&bytes[16..32], &bytes[32..40]), (&[4; 16][..], &[9, 0, 0, 0, 0, 0, 0, 0][..]));
        assert_eq!(bytes[40..72], [8; 32]);
        assert_eq!(SegmentHeader::from_bytes(&bytes), Some(header));
        assert_eq!(SegmentHeader::from_bytes(&bytes[..75]), None);
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::from_bytes(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn golden_bytes_of_a_frame() {
        let mut frame = [[0; FRAME_HEADER_BYTES].as_slice(), b"123456789"].concat();
        finish_frame(&mut frame, Lsn(0x0102));
        // 0xe3069283 is the check value that the catalogue of CRC algorithms gives for CRC-32/ISCSI.
        assert_eq!(frame[..16], [9, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0x83, 0x92, 0x06, 0xe3]);
        assert_eq!(frame[16..20], crc32c::crc32c(&frame[..16]).to_le_bytes());
        assert_eq!(read_frame_header(&frame[..20]), Some((9, Lsn(0x0102), 0xe306_9283)));
    }
}
