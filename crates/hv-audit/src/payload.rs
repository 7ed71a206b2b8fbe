//! Content outside the records, behind a keyed digest whose key lies with the content.
//!
//! File: `magic (8) ‖ salt (32) ‖ length (varint) ‖ content ‖ crc32c of all that (4, little endian)`; its name is
//! the content's hash under the salt. Destroying the file destroys the salt, and without the salt nobody can
//! test a guess of the content.

use crate::disk::{Access, Disk, read_up_to};
use crate::finding::What;
use crate::folder::{PAYLOADS_NAME, UNFINISHED, found, io_error};
use crate::log::{Doing, LogError, PayloadRef};
use crate::record::varint_len;
use hv_types::Digest;
use hv_types::wire::{Reader, put_bytes};
use std::io;
use std::path::{Path, PathBuf};

/// Where random bytes come from: each call gives 32 that nobody can guess.
pub type Entropy = Box<dyn FnMut() -> [u8; 32] + Send>;

/// The name of a content under its salt.
pub(crate) fn payload_id(salt: &[u8; 32], bytes: &[u8]) -> Digest {
    Digest(*blake3::keyed_hash(salt, bytes).as_bytes())
}

/// Writes a payload; it is durable and has its final name when this returns.
pub(crate) fn write_payload(
    disk: &dyn Disk,
    dir: &Path,
    salt: &[u8; 32],
    bytes: &[u8],
) -> Result<PayloadRef, LogError> {
    let reference = PayloadRef { id: payload_id(salt, bytes), length: bytes.len() as u64 };
    let folder = dir.join(PAYLOADS_NAME);
    let path = folder.join(reference.id.to_string());
    let unfinished = folder.join(format!("{}{UNFINISHED}", reference.id));
    let file = disk.create(&unfinished).map_err(io_error(&unfinished, Doing::Create))?;
    file.write_at(0, &encode(salt, bytes)).map_err(io_error(&unfinished, Doing::Write))?;
    file.sync_all().map_err(io_error(&unfinished, Doing::Sync))?;
    disk.rename(&unfinished, &path).map_err(io_error(&path, Doing::Rename))?;
    disk.sync_dir(&folder).map_err(io_error(&folder, Doing::Sync))?;
    Ok(reference)
}

/// Whether the file of a payload of so many bytes is there, and has the length that it must have.
pub(crate) fn check_length(disk: &dyn Disk, dir: &Path, id: &Digest, length: u64) -> Result<(), LogError> {
    let name = payload_path(id);
    let path = dir.join(&name);
    let file = match disk.open(&path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(found(&name, What::PayloadMissing { id: *id }));
        }
        opened => opened.map_err(io_error(&path, Doing::Open))?,
    };
    let whole = file.length().map_err(io_error(&path, Doing::Read))? == file_length(length);
    if whole { Ok(()) } else { Err(found(&name, What::PayloadDamaged)) }
}

/// Where a payload lies in the log's folder.
pub(crate) fn payload_path(id: &Digest) -> PathBuf {
    Path::new(PAYLOADS_NAME).join(id.to_string())
}

/// Reads a payload and checks it against its name; `None` where there is no such file.
pub(crate) fn read_payload(disk: &dyn Disk, dir: &Path, id: &Digest) -> Result<Option<Vec<u8>>, LogError> {
    let name = payload_path(id);
    let path = dir.join(&name);
    let file = match disk.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(&path, Doing::Open)(error)),
    };
    let read = io_error(&path, Doing::Read);
    let length = file.length().map_err(&read)?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let whole = read_up_to(&*file, 0, &mut bytes).map_err(&read)?;
    bytes.truncate(whole);
    let content = decode(&bytes).filter(|(salt, content)| payload_id(salt, content) == *id);
    content.map(|(_, content)| Some(content.to_vec())).ok_or_else(|| found(&name, What::PayloadDamaged))
}

/// The length of the file of a content of so many bytes.
fn file_length(length: u64) -> u64 {
    (MAGIC.len() + 32 + varint_len(length) + 4) as u64 + length
}

fn encode(salt: &[u8; 32], bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(salt);
    put_bytes(bytes, &mut out);
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

/// Salt and content, where the bytes are exactly what they are written as.
fn decode(bytes: &[u8]) -> Option<([u8; 32], &[u8])> {
    let (front, crc) = bytes.split_last_chunk::<4>()?;
    let mut reader = Reader::new(front.strip_prefix(MAGIC)?);
    let salt = reader.array().ok()?;
    let content = reader.bytes().ok()?;
    reader.end().ok()?;
    (crc32c::crc32c(front).to_le_bytes() == *crc).then_some((salt, content))
}

const MAGIC: &[u8; 8] = b"hv-load\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_goes_there_and_back_and_no_bit_of_it_is_free() {
        let bytes = encode(&[3; 32], b"content");
        assert_eq!(file_length(7), bytes.len() as u64);
        assert_eq!(&bytes[..8], b"hv-load\n");
        assert_eq!(bytes[8..41], [[3; 32].as_slice(), &[7]].concat());
        assert_eq!(&bytes[41..48], b"content");
        assert_eq!(bytes[48..], crc32c::crc32c(&bytes[..48]).to_le_bytes());
        assert_eq!(decode(&bytes), Some(([3; 32], &b"content"[..])));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn the_name_of_a_content_cannot_be_computed_without_its_salt() {
        assert_ne!(payload_id(&[1; 32], b"yes"), payload_id(&[2; 32], b"yes"));
    }
}
