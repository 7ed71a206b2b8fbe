//! The log in memory: the same records and the same hashes, gone with the process.

use crate::batch::Batch;
use crate::chain::{Chain, Misfit, Stop};
use crate::finding::Finding;
use crate::journal::Journal;
use crate::log::{Expect, Head, Log, LogError, Lsn, PayloadRef, StreamNo};
use crate::payload::{Entropy, payload_id};
use crate::record::{Entry, Tag};
use crate::reduction::{Irreducible, Reduction, Tier};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use hv_types::{Digest, Illegal, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

/// A log in memory. Everything in it is as durable as the process, so syncing costs nothing.
///
/// Keeps every record for [`replay`](Log::replay): about 55 bytes a record besides its body.
pub struct MemoryLog {
    inner: Mutex<Inner>,
    last: AtomicU64,
}

struct Inner {
    journal: Journal,
    /// Full chunks of records, oldest first; the newest is the journal's own.
    full: Vec<Vec<u8>>,
    payloads: BTreeMap<Digest, Vec<u8>>,
    entropy: Option<Entropy>,
    sealed: bool,
}

impl MemoryLog {
    /// An empty log. Allocates nothing.
    ///
    /// The keys of its payloads are counted, not random: nothing of it outlives the process.
    #[must_use]
    pub fn new() -> Self {
        let journal = Journal::new();
        let inner =
            Inner { journal, full: Vec::new(), payloads: BTreeMap::new(), entropy: None, sealed: false };
        Self { inner: Mutex::new(inner), last: AtomicU64::new(0) }
    }

    /// A log that begins as a [`FileLog`](crate::FileLog) does, with a record of who it is, and draws its
    /// randomness from `entropy`: given the same, both engines hold the same records.
    ///
    /// # Errors
    /// None of today; the same type as all that appends.
    pub fn started(now: Timestamp, mut entropy: Entropy) -> Result<Self, LogError> {
        let log = Self::new();
        {
            let mut inner = log.lock()?;
            let nonce = entropy();
            let nonce = nonce.first_chunk::<16>().copied().unwrap_or_default();
            inner.entropy = Some(entropy);
            let lsn =
                inner.journal.append_own(Tag::Started, now, &[], |out| out.extend_from_slice(&nonce))?;
            log.last.store(lsn.0, Ordering::Release);
        }
        Ok(log)
    }

    /// A panic while a batch was filled left it half done, so nothing more is taken.
    fn lock(&self) -> Result<MutexGuard<'_, Inner>, LogError> {
        self.inner.lock().map_err(|_| LogError::Poisoned)
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").field("last", &self.durable()).finish_non_exhaustive()
    }
}

impl Log for MemoryLog {
    fn append(
        &self,
        expect: &[Expect],
        now: Timestamp,
        fill: &mut dyn FnMut(&mut Batch<'_>) -> Result<(), LogError>,
    ) -> Result<Lsn, LogError> {
        let mut inner = self.lock()?;
        if inner.sealed {
            return Err(LogError::Sealed);
        }
        inner.make_room();
        let lsn = inner.journal.append(expect, now, fill)?;
        self.last.store(lsn.0, Ordering::Release);
        Ok(lsn)
    }

    fn sync(&self, _: Lsn) -> Result<(), LogError> {
        Ok(())
    }

    fn durable(&self) -> Lsn {
        Lsn(self.last.load(Ordering::Acquire))
    }

    fn waits_for_disk(&self) -> bool {
        false
    }

    fn replay(&self, f: &mut dyn FnMut(Entry<'_>) -> Result<(), Illegal>) -> Result<Lsn, LogError> {
        let inner = self.lock()?;
        if inner.journal.lsn() == Lsn(0) {
            return Ok(Lsn(0));
        }
        let mut chain = Chain::new();
        for chunk in inner.full.iter().chain([&inner.journal.out]) {
            let read = chain.read(chunk, &mut |entry, _| f(entry).map_err(|cause| entry.illegal(cause)));
            match read {
                Ok(()) => {}
                Err(Stop::Refused(error)) => return Err(error),
                Err(Stop::Misfit(misfit)) => return Err(damaged(misfit)),
            }
        }
        Ok(inner.journal.lsn())
    }

    fn head(&self, stream: StreamNo) -> Option<Head> {
        self.lock().ok()?.journal.head(stream)
    }

    fn put_payload(&self, bytes: &[u8]) -> Result<PayloadRef, LogError> {
        self.take_payload(bytes.to_vec())
    }

    fn take_payload(&self, bytes: Vec<u8>) -> Result<PayloadRef, LogError> {
        let mut inner = self.lock()?;
        if inner.sealed {
            return Err(LogError::Sealed);
        }
        let count = inner.payloads.len() as u64;
        let salt = match &mut inner.entropy {
            Some(entropy) => entropy(),
            None => counted(count),
        };
        let reference = PayloadRef { id: payload_id(&salt, &bytes), length: bytes.len() as u64 };
        inner.payloads.insert(reference.id, bytes);
        inner.journal.put_loose(reference);
        Ok(reference)
    }

    fn forget_payload(&self, payload: &PayloadRef) -> Result<(), LogError> {
        let mut inner = self.lock()?;
        if inner.journal.forget_loose(&payload.id) {
            inner.payloads.remove(&payload.id);
        }
        Ok(())
    }

    fn payload(&self, id: &Digest) -> Result<Option<Vec<u8>>, LogError> {
        let inner = self.lock()?;
        if inner.journal.is_purged(id) {
            return Err(LogError::Purged { id: *id });
        }
        Ok(inner.payloads.get(id).cloned())
    }

    fn reductions(
        &self,
        streams: &[StreamNo],
        _: Tier,
        _: (u64, Digest),
    ) -> Result<Vec<Reduction>, LogError> {
        let refused = |stream: &StreamNo| LogError::Irreducible { stream: *stream, why: Irreducible::Memory };
        streams.first().map_or_else(|| Ok(Vec::new()), |stream| Err(refused(stream)))
    }

    fn destroy(&self, now: Timestamp) -> Result<u64, LogError> {
        let mut inner = self.lock()?;
        if inner.sealed {
            return Err(LogError::Sealed);
        }
        let destroyed = inner.destroy(now)?;
        self.last.store(inner.journal.lsn().0, Ordering::Release);
        Ok(destroyed)
    }

    fn seal(&self, now: Timestamp) -> Result<Lsn, LogError> {
        let mut inner = self.lock()?;
        if inner.sealed {
            return Err(LogError::Sealed);
        }
        inner.destroy(now)?;
        let lsn = inner.journal.append_sealed(now)?;
        inner.sealed = true;
        self.last.store(lsn.0, Ordering::Release);
        Ok(lsn)
    }
}

/// The first allocation for records, in bytes: what a small session takes.
const FIRST_BYTES: usize = 3 << 10;

/// Records are kept in chunks of so many bytes, so that a large log does not move when it grows. As large as this, what one
/// log gives back serves the next: pages that are fetched anew for every log took a fifteenth of a saga's time.
const CHUNK_BYTES: usize = 4 << 20;

/// A chunk with less room than this is full.
const ROOM_BYTES: usize = 4 << 10;

impl Inner {
    fn destroy(&mut self, now: Timestamp) -> Result<u64, LogError> {
        let mut destroyed = 0;
        while let Some((purge, ids)) = self.journal.pending_purge() {
            ids.iter().for_each(|id| drop(self.payloads.remove(id)));
            self.journal.append_destroyed(purge, now)?;
            destroyed += ids.len() as u64;
        }
        Ok(destroyed)
    }

    fn make_room(&mut self) {
        let chunk = &mut self.journal.out;
        let room = chunk.capacity() - chunk.len();
        if chunk.capacity() >= CHUNK_BYTES && room < ROOM_BYTES {
            self.full.push(core::mem::replace(chunk, Vec::with_capacity(CHUNK_BYTES)));
        } else if chunk.capacity() == 0 {
            *chunk = Vec::with_capacity(FIRST_BYTES);
        }
    }
}

/// A salt that is different for each payload, and no secret.
fn counted(count: u64) -> [u8; 32] {
    let mut salt = [0; 32];
    if let Some(first) = salt.first_chunk_mut() {
        *first = count.to_le_bytes();
    }
    salt
}

/// Memory that does not hold what was written: a defect or a broken machine.
fn damaged(misfit: Misfit) -> LogError {
    let Misfit { at, stream, seq, what } = misfit;
    let finding = Finding { file: PathBuf::new(), offset: at as u64, stream, record: seq, lsn: None, what };
    LogError::Damaged(Box::new(finding))
}
