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

/// Reads a payload in a log's folder; `None` where it is not there, as after a purge or before it is durable. Takes no lock.
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

/// A content that was put and does not lie on the disk yet: named and enciphered, so that nothing is left but to write it.
pub(crate) struct Pending {
    reference: PayloadRef,
    key: Key,
    cipher: Vec<u8>,
}

impl Pending {
    /// Names a content under its key, and enciphers it in place.
    pub(crate) fn new(key: Key, content: Vec<u8>) -> Self {
        let reference = PayloadRef { id: payload_id(&key, &content), length: content.len() as u64 };
        let mut cipher = content;
        add_stream(&key, &mut cipher);
        Self { reference, key, cipher }
    }

    pub(crate) const fn reference(&self) -> PayloadRef {
        self.reference
    }

    /// The content's length in bytes.
    pub(crate) const fn length(&self) -> usize {
        self.cipher.len()
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        let mut content = self.cipher.clone();
        add_stream(&self.key, &mut content);
        content
    }
}

/// Shows neither key nor content.
impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("reference", &self.reference).finish_non_exhaustive()
    }
}

/// The payloads and keys of a log that is written to, as they lie on the disk.
pub(crate) struct Vault {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    nonce: [u8; 16],
    /// The file of keys; none where nothing was ever stored.
    keys: Option<Box<dyn DiskFile>>,
    /// The slot of the next key.
    next: u64,
    /// Whether the folder of payloads is there.
    folder: bool,
}

impl Vault {
    /// The vault of a log whose keys and folder of payloads were found like this. What a crash left behind the
    /// last key that counts is cut off when the next one is written, or by [`tidy`](Self::tidy).
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, nonce: [u8; 16], next: u64, folder: bool) -> Self {
        Self { disk, dir: dir.to_owned(), nonce, keys: None, next, folder }
    }

    /// Cuts off what a crash left of keys that no payload has; only then is anything changed.
    pub(crate) fn tidy(&mut self, keys: &Keys) -> Result<(), LogError> {
        let leftover = keys.odd > 0 || keys.slots.len() as u64 > self.next;
        if leftover { self.open_keys().map(drop) } else { Ok(()) }
    }

    /// Stores contents; they and their keys are durable when this returns.
    ///
    /// All together cost two syncs, and one each; more than one cost one sync more. Every key is durable before any file
    /// of theirs has its name, and every file is before it gets it: what has its name is whole, whatever a crash takes.
    pub(crate) fn store(&mut self, contents: &[Arc<Pending>]) -> Result<(), LogError> {
        if contents.is_empty() {
            return Ok(());
        }
        let first = self.next;
        self.make_folder()?;
        let path = self.dir.join(KEYS_NAME);
        let slot = |content: &Arc<Pending>| Slot::Live { id: content.reference.id, key: content.key };
        let slots: Vec<u8> = contents.iter().flat_map(|content| slot(content).to_bytes()).collect();
        let file = self.open_keys()?;
        file.write_at(place(first), &slots).map_err(io_error(&path, Doing::Write))?;
        file.sync_data().map_err(io_error(&path, Doing::Sync))?;
        self.next += contents.len() as u64;

        let folder = self.dir.join(PAYLOADS_NAME);
        for (slot, content) in (first..).zip(contents) {
            let unfinished = self.dir.join(unfinished_path(&content.reference.id));
            let file = self.disk.create(&unfinished).map_err(io_error(&unfinished, Doing::Create))?;
            let bytes = encode(slot, &content.cipher);
            file.write_at(0, &bytes).map_err(io_error(&unfinished, Doing::Write))?;
            file.sync_all().map_err(io_error(&unfinished, Doing::Sync))?;
        }
        if contents.len() > 1 {
            // A crash may let any of them get their names. The others must be there to be given theirs: a key without
            // its payload, before one that has its own, is what somebody took away.
            self.disk.sync_dir(&folder).map_err(io_error(&folder, Doing::Sync))?;
        }
        contents.iter().try_for_each(|content| give_name(&*self.disk, &self.dir, &content.reference.id))?;
        self.disk.sync_dir(&folder).map_err(io_error(&folder, Doing::Sync))
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

    /// Whether no key was ever stored.
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

/// Where it lies before it has its name.
fn unfinished_path(id: &Digest) -> PathBuf {
    Path::new(PAYLOADS_NAME).join(format!("{id}{UNFINISHED}"))
}

fn give_name(disk: &dyn Disk, dir: &Path, id: &Digest) -> Result<(), LogError> {
    let path = dir.join(payload_path(id));
    disk.rename(&dir.join(unfinished_path(id)), &path).map_err(io_error(&path, Doing::Rename))
}

/// Gives payloads their names that a crash kept from it; durable when this returns.
pub(crate) fn finish(disk: &dyn Disk, dir: &Path, ids: &[Digest]) -> Result<(), LogError> {
    ids.iter().try_for_each(|id| give_name(disk, dir, id))?;
    let folder = dir.join(PAYLOADS_NAME);
    disk.sync_dir(&folder).map_err(io_error(&folder, Doing::Sync))
}

/// Reads a payload and checks it against its name; `None` where there is no such file.
pub(crate) fn read_payload(disk: &dyn Disk, dir: &Path, id: &Digest) -> Result<Option<Vec<u8>>, LogError> {
    Ok(read_with_key(disk, dir, id)?.map(|(_, content)| content))
}

/// Whether a payload is there as a whole that has not got its name yet.
pub(crate) fn is_whole_unnamed(disk: &dyn Disk, dir: &Path, id: &Digest) -> Result<bool, LogError> {
    Ok(read_at_path(disk, dir, &unfinished_path(id), id)?.is_some())
}

/// A payload with its key.
fn read_with_key(disk: &dyn Disk, dir: &Path, id: &Digest) -> Result<Option<(Key, Vec<u8>)>, LogError> {
    read_at_path(disk, dir, &payload_path(id), id)
}

fn read_at_path(
    disk: &dyn Disk,
    dir: &Path,
    name: &Path,
    id: &Digest,
) -> Result<Option<(Key, Vec<u8>)>, LogError> {
    let path = dir.join(name);
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
    let damaged = || found(name, What::PayloadDamaged);
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

fn encode(slot: u64, cipher: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(cipher.len() + 40);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&slot.to_le_bytes());
    put_varint(cipher.len() as u64, &mut out);
    out.extend_from_slice(cipher);
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
        let pending = Pending::new(key, b"content".to_vec());
        assert_eq!(pending.content(), b"content");
        let bytes = encode(5, &pending.cipher);
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
