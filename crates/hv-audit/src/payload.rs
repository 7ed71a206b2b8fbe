//! Content outside the records: enciphered under a key of its own, named by a keyed digest.
//!
//! File: `magic (8) ‖ slot of its key (8, little endian) ‖ length (varint) ‖ cipher text ‖ crc32c of all that (4,
//! little endian)`. The key lies apart, in the file of keys. From it follow the salt under which the content is
//! hashed to its name, and the stream that it is enciphered with. Each key serves one content, so no nonce is
//! needed, and the name authenticates the content. Destroying the key destroys the content, and whoever lacks it
//! cannot test a guess of the content either.

use crate::disk::{Access, Disk, DiskFile, read_up_to};
use crate::finding::What;
use crate::folder::{PAYLOADS_NAME, UNFINISHED, found, io_error};
use crate::keys::{KEYS_NAME, Key, Keys, Slot, header, place, read_slot};
use crate::log::{Doing, LogError, PayloadRef};
use crate::record::varint_len;
use core::fmt;
use hv_types::Digest;
use hv_types::wire::{Reader, put_varint};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where random bytes come from: each call gives 32 that nobody can guess.
pub type Entropy = Box<dyn FnMut() -> [u8; 32] + Send>;

/// The name of a content under its key.
pub(crate) fn payload_id(key: &Key, bytes: &[u8]) -> Digest {
    payload_name(&salt_of(key), bytes)
}

fn salt_of(key: &Key) -> [u8; 32] {
    blake3::derive_key("hv 2026 audit payload salt v1", key)
}

/// The name of a content under its salt: BLAKE3 in keyed mode. Whoever has salt and content can show that a record
/// names it; the salt does not reveal the key.
#[must_use]
pub fn payload_name(salt: &[u8; 32], content: &[u8]) -> Digest {
    Digest(*blake3::keyed_hash(salt, content).as_bytes())
}

/// A content, and the salt under which it is named.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenPayload {
    /// The salt; [`payload_name`] gives the name.
    pub salt: [u8; 32],
    /// The content.
    pub content: Vec<u8>,
}

/// Shows no content.
impl fmt::Debug for OpenPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenPayload").field("length", &self.content.len()).finish_non_exhaustive()
    }
}

/// Reads a payload in a log's folder; `None` where it is not there, as after a purge. Takes no lock.
///
/// # Errors
/// [`LogError::Io`], or [`LogError::Damaged`] where the content is not what was put.
pub fn open_payload(disk: &dyn Disk, dir: &Path, id: &Digest) -> Result<Option<OpenPayload>, LogError> {
    let opened = read_with_key(disk, dir, id)?;
    Ok(opened.map(|(key, content)| OpenPayload { salt: salt_of(&key), content }))
}

/// Enciphers, and deciphers what was enciphered: both add the same stream of bits.
fn add_stream(key: &Key, bytes: &mut [u8]) {
    let stream = blake3::derive_key("hv 2026 audit payload stream v1", key);
    let mut stream = blake3::Hasher::new_keyed(&stream).finalize_xof();
    let mut block = [0; 1024];
    for chunk in bytes.chunks_mut(block.len()) {
        stream.fill(&mut block);
        chunk.iter_mut().zip(block).for_each(|(byte, bits)| *byte ^= bits);
    }
}

/// The payloads and keys of a log that is written to.
pub(crate) struct Vault {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    entropy: Entropy,
    nonce: [u8; 16],
    /// The file of keys; none where nothing was ever put.
    keys: Option<Box<dyn DiskFile>>,
    /// The slot of the next key.
    next: u64,
    /// Whether the folder of payloads is there.
    folder: bool,
    pub(crate) sealed: bool,
}

impl Vault {
    /// The vault of a log whose keys and folder of payloads were found like this. What a crash left behind the
    /// last key that counts is cut off when the next one is written, or by [`tidy`](Self::tidy).
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: &Path,
        entropy: Entropy,
        nonce: [u8; 16],
        next: u64,
        folder: bool,
    ) -> Self {
        Self { disk, dir: dir.to_owned(), entropy, nonce, keys: None, next, folder, sealed: false }
    }

    /// Cuts off what a crash left of a key that no payload has; only then is anything changed.
    pub(crate) fn tidy(&mut self, keys: &Keys) -> Result<(), LogError> {
        let leftover = keys.odd > 0 || keys.slots.len() as u64 > self.next;
        if leftover { self.open_keys().map(drop) } else { Ok(()) }
    }

    /// Keeps a content; it and its key are durable when this returns.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<PayloadRef, LogError> {
        let key = (self.entropy)();
        let reference = PayloadRef { id: payload_id(&key, bytes), length: bytes.len() as u64 };
        let slot = self.next;
        self.make_folder()?;
        let folder = self.dir.join(PAYLOADS_NAME);
        let path = self.dir.join(KEYS_NAME);
        let file = self.open_keys()?;
        let written = file.write_at(place(slot), &Slot::Live { id: reference.id, key }.to_bytes());
        written.map_err(io_error(&path, Doing::Write))?;
        file.sync_data().map_err(io_error(&path, Doing::Sync))?;
        self.next += 1;

        let path = folder.join(reference.id.to_string());
        let unfinished = folder.join(format!("{}{UNFINISHED}", reference.id));
        let file = self.disk.create(&unfinished).map_err(io_error(&unfinished, Doing::Create))?;
        file.write_at(0, &encode(slot, &key, bytes)).map_err(io_error(&unfinished, Doing::Write))?;
        file.sync_all().map_err(io_error(&unfinished, Doing::Sync))?;
        self.disk.rename(&unfinished, &path).map_err(io_error(&path, Doing::Rename))?;
        self.disk.sync_dir(&folder).map_err(io_error(&folder, Doing::Sync))?;
        Ok(reference)
    }

    /// Destroys keys, then removes the contents; durable when this returns. What is gone already stays gone.
    pub(crate) fn destroy(&mut self, ids: &[Digest]) -> Result<(), LogError> {
        let path = self.dir.join(KEYS_NAME);
        let all = Keys::read(&*self.disk, &self.dir, self.nonce)?;
        let slots: BTreeMap<Digest, u64> = (0..)
            .zip(&all.slots)
            .filter_map(|(at, slot)| match slot {
                Slot::Live { id, .. } | Slot::Bad { id } => Some((*id, at)),
                Slot::Destroyed { .. } => None,
            })
            .collect();
        let mut destroyed = false;
        for id in ids {
            if let Some(slot) = slots.get(id) {
                let file = self.open_keys()?;
                let written = file.write_at(place(*slot), &Slot::Destroyed { id: *id }.to_bytes());
                written.map_err(io_error(&path, Doing::Write))?;
                destroyed = true;
            }
        }
        if destroyed {
            self.open_keys()?.sync_data().map_err(io_error(&path, Doing::Sync))?;
        }
        if !self.folder {
            return Ok(());
        }
        for id in ids {
            let path = self.dir.join(payload_path(id));
            match self.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error(&path, Doing::Remove)(error));
                }
                _ => {}
            }
        }
        let folder = self.dir.join(PAYLOADS_NAME);
        self.disk.sync_dir(&folder).map_err(io_error(&folder, Doing::Sync))
    }

    /// Whether no key was ever put.
    pub(crate) const fn has_no_keys(&self) -> bool {
        self.next == 0
    }

    fn make_folder(&mut self) -> Result<(), LogError> {
        if !self.folder {
            let folder = self.dir.join(PAYLOADS_NAME);
            self.disk.create_dir(&folder).map_err(io_error(&folder, Doing::Create))?;
            self.disk.sync_dir(&self.dir).map_err(io_error(&self.dir, Doing::Sync))?;
            self.folder = true;
        }
        Ok(())
    }

    /// The file of keys, with a whole header and nothing behind the last key that counts.
    fn open_keys(&mut self) -> Result<&dyn DiskFile, LogError> {
        if self.keys.is_none() {
            let path = self.dir.join(KEYS_NAME);
            let file = match self.disk.open(&path, Access::Write) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.disk.create(&path).map_err(io_error(&path, Doing::Create))?
                }
                Err(error) => return Err(io_error(&path, Doing::Open)(error)),
            };
            file.set_len(Keys::length(self.next)).map_err(io_error(&path, Doing::Trim))?;
            file.write_at(0, &header(self.nonce)).map_err(io_error(&path, Doing::Write))?;
            file.sync_all().map_err(io_error(&path, Doing::Sync))?;
            self.disk.sync_dir(&self.dir).map_err(io_error(&self.dir, Doing::Sync))?;
            self.keys = Some(file);
        }
        self.keys.as_deref().ok_or(LogError::Poisoned)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("dir", &self.dir).field("next", &self.next).finish_non_exhaustive()
    }
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
    Ok(read_with_key(disk, dir, id)?.map(|(_, content)| content))
}

/// The same, with the payload's key.
fn read_with_key(disk: &dyn Disk, dir: &Path, id: &Digest) -> Result<Option<(Key, Vec<u8>)>, LogError> {
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
    let damaged = || found(&name, What::PayloadDamaged);
    let (slot, content) = decode(&bytes).ok_or_else(damaged)?;
    let path = dir.join(KEYS_NAME);
    let keys = match disk.open(&path, Access::Read) {
        Ok(keys) => keys,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(found(Path::new(KEYS_NAME), What::Missing));
        }
        Err(error) => return Err(io_error(&path, Doing::Open)(error)),
    };
    let Slot::Live { id: named, key } = read_slot(&*keys, slot).map_err(io_error(&path, Doing::Read))? else {
        return Err(damaged());
    };
    let mut content = content.to_vec();
    add_stream(&key, &mut content);
    if named == *id && payload_id(&key, &content) == *id { Ok(Some((key, content))) } else { Err(damaged()) }
}

/// The length of the file of a content of so many bytes.
fn file_length(length: u64) -> u64 {
    (MAGIC.len() + 8 + varint_len(length) + 4) as u64 + length
}

fn encode(slot: u64, key: &Key, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 40);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&slot.to_le_bytes());
    put_varint(bytes.len() as u64, &mut out);
    let start = out.len();
    out.extend_from_slice(bytes);
    add_stream(key, out.get_mut(start..).unwrap_or_default());
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

/// Slot and cipher text, where the bytes are exactly what they are written as.
fn decode(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (front, crc) = bytes.split_last_chunk::<4>()?;
    let mut reader = Reader::new(front.strip_prefix(MAGIC)?);
    let slot = u64::from_le_bytes(reader.array().ok()?);
    let content = reader.bytes().ok()?;
    reader.end().ok()?;
    (crc32c::crc32c(front).to_le_bytes() == *crc).then_some((slot, content))
}

const MAGIC: &[u8; 8] = b"hv-load2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_goes_there_and_back_and_no_bit_of_it_is_free() {
        let key = [3; 32];
        let bytes = encode(5, &key, b"content");
        assert_eq!(file_length(7), bytes.len() as u64);
        assert_eq!(&bytes[..8], b"hv-load2");
        assert_eq!(bytes[8..17], [5, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(bytes[24..], crc32c::crc32c(&bytes[..24]).to_le_bytes());
        let (slot, cipher) = decode(&bytes).unwrap();
        assert_eq!((slot, cipher.len()), (5, 7));
        let mut content = cipher.to_vec();
        add_stream(&key, &mut content);
        assert_eq!(content, b"content");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), None, "bit {bit}");
        }
    }

    /// The cipher is what the page says: BLAKE3's extendable output in keyed mode, over no bytes.
    #[test]
    fn the_stream_is_the_same_however_it_is_drawn() {
        let mut zeros = vec![0; 5000];
        add_stream(&[7; 32], &mut zeros);
        let key = blake3::derive_key("hv 2026 audit payload stream v1", &[7; 32]);
        let mut whole = vec![0; 5000];
        blake3::Hasher::new_keyed(&key).finalize_xof().fill(&mut whole);
        assert_eq!(zeros, whole);
    }

    #[test]
    fn the_name_of_a_content_cannot_be_computed_without_its_key() {
        assert_ne!(payload_id(&[1; 32], b"yes"), payload_id(&[2; 32], b"yes"));
    }
}
