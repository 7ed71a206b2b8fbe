//! The log on disk: every byte of its folder is covered.

use crate::batch::Batch;
use crate::disk::{Disk, RealDisk};
use crate::finding::What;
use crate::folder::{Folder, PAYLOADS_NAME, found_at, io_error};
use crate::inventory::Again;
use crate::journal::Journal;
use crate::keys::KEYS_NAME;
use crate::log::{Doing, Expect, Head, Log, LogError, Lsn, PayloadRef, StreamNo};
use crate::payload::{Entropy, Pending, Vault, read_payload};
use crate::record::{Entry, Tag, put_snapshot};
use crate::reduction::{Reduction, Tier};
use crate::rest::Rest;
use crate::segment::{FRAME_HEADER_BYTES, HEADER_BYTES, finish_frame, segment_name};
use crate::snapshot::{self, Opening, PendingSnapshot, Point, Print, encode};
use crate::survey::Survey;
use crate::turns::{Turns, Upto};
use crate::waiting::{AT_ONCE_MAX_BYTES, Contents, Taken};
use crate::writer::{Cut, Work, Writer};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use hv_types::{Digest, Illegal, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// A log in a folder of its own: segments, a mark, and payloads.
///
/// Batches are appended and contents put in memory, and written by the first caller who waits for a batch; one write
/// and one sync serve all who wait, and every content that was put is durable before a batch behind it is written.
/// What was acknowledged survives a crash. `INVARIANT (C2)` What was appended or put and never synced is gone when the
/// log is dropped.
///
/// Memory grows with the number of open streams, not of records or closed streams. At most 8 MiB of batches and 8 MiB of
/// contents wait, each content weighing 32 KiB more than it has, and what whoever goes beyond that has in hand: it is
/// written before they go on.
///
/// ```
/// use hv_audit::{FileLog, FileOptions, Log, LogError, StreamNo, Verdict, verify};
/// use hv_types::Timestamp;
///
/// let folder = tempfile::tempdir().expect("a temporary folder");
/// let dir = folder.path().join("trail");
/// // A program takes its random bytes from the operating system.
/// let options = FileOptions::new(Box::new(|| [7; 32]));
/// let log = FileLog::create(&dir, Timestamp(1), options)?;
/// let lsn = log.append(&[], Timestamp(2), &mut |batch| {
///     batch.push(StreamNo::LEDGER, &[], |body| body.extend_from_slice(b"opened"))?;
///     Ok(())
/// })?;
/// log.sync(lsn)?; // from here on it may be revealed
/// log.seal(Timestamp(3))?;
///
/// let report = verify(&dir).expect("the folder can be read");
/// assert_eq!(report.verdict, Verdict::Complete);
/// # Ok::<(), LogError>(())
/// ```
pub struct FileLog {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    appender: Mutex<Appender>,
    writer: Mutex<Writer>,
    /// Whoever has the turn to write stores contents, and whoever purges destroys them.
    vault: Mutex<Vault>,
    entropy: Mutex<Entropy>,
    turns: Turns,
    appended: AtomicU64,
    durable: AtomicU64,
    /// How many contents were put and are durable.
    stored: AtomicU64,
    /// The failure after which nothing more is done, once there is one.
    failed: Arc<OnceLock<LogError>>,
    nonce: [u8; 16],
    opening: Opening,
    /// The state that was kept in the snapshot that the log was opened from, until somebody takes it.
    state: Mutex<Option<Vec<u8>>>,
    /// What that snapshot left unread.
    rest: Option<Arc<Rest>>,
    /// Held while a snapshot is written.
    keeping: Mutex<()>,
    /// Held while contents and records are destroyed.
    purging: Mutex<()>,
}

/// What a log on disk needs from outside.
pub struct FileOptions {
    pub(crate) entropy: Entropy,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) segment_bytes: u64,
    pub(crate) again: Again,
    pub(crate) snapshots: bool,
    pub(crate) short_sync: Duration,
}

/// What a segment holds at most, unless a single batch is larger: 64 MiB.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// The least that a segment can be told to hold.
pub const SEGMENT_MIN_BYTES: u64 = 256;

impl FileOptions {
    /// Randomness for the log's own number and for the keys of payloads.
    #[must_use]
    pub fn new(entropy: Entropy) -> Self {
        Self {
            entropy,
            disk: Arc::new(RealDisk),
            segment_bytes: SEGMENT_BYTES,
            again: Again::Refuse,
            snapshots: true,
            short_sync: Duration::ZERO,
        }
    }

    /// The same with segments of another size, at least [`SEGMENT_MIN_BYTES`].
    #[must_use]
    pub fn with_segment_bytes(self, bytes: u64) -> Self {
        Self { segment_bytes: bytes.max(SEGMENT_MIN_BYTES), ..self }
    }

    /// The same where opening destroys once more what was purged and is there again, as after a backup was put
    /// back, and records that. Otherwise such a log does not open.
    #[must_use]
    pub fn destroying_again(self) -> Self {
        Self { again: Again::Destroy, ..self }
    }

    /// The same where opening reads everything before it returns, whatever snapshot there is.
    #[must_use]
    pub fn without_snapshots(self) -> Self {
        Self { snapshots: false, ..self }
    }

    /// The same where a sync that is likely to take less than this counts as [short](Log::sync_is_short); otherwise none is.
    ///
    /// A node waits for a short sync on a thread of its runtime, which saves handing it to another one and being told: some
    /// 30 microseconds each time, where whoever asks runs on such a thread, too. Nothing else runs on that thread in the
    /// meantime, and where the disk hangs it hangs, too: no time runs out there, and nobody is stopped. So this is for
    /// programs that do little else. The longest of late counts, halved with each one since, so behind a long one some are
    /// handed over before the next counts as short.
    #[must_use]
    pub fn with_short_syncs(self, less_than: Duration) -> Self {
        Self { short_sync: less_than, ..self }
    }

    /// The same on another disk.
    #[must_use]
    pub fn with_disk(self, disk: Arc<dyn Disk>) -> Self {
        Self { disk, ..self }
    }
}

impl fmt::Debug for FileOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileOptions")
            .field("disk", &self.disk)
            .field("segment_bytes", &self.segment_bytes)
            .finish_non_exhaustive()
    }
}

/// Where batches wait to be written.
struct Appender {
    journal: Journal,
    contents: Contents,
    cuts: Vec<Cut>,
    /// Where the next frame will go.
    segment: u32,
    offset: u64,
    limit: u64,
    sealed: bool,
    /// An empty buffer, to be swapped for the journal's.
    spare: Vec<u8>,
}

/// Where more than so many bytes wait, appending writes them itself.
const WAITING_MAX_BYTES: usize = 8 << 20;

impl FileLog {
    /// The log of a writer whose segment and mark are in order.
    pub(crate) fn assemble(
        writer: Writer,
        journal: Journal,
        (vault, entropy): (Vault, Entropy),
        begun: Begun,
    ) -> Self {
        let Begun { opening, state, rest, failed, turns } = begun;
        let nonce = writer.mark.nonce;
        let lsn = journal.lsn().0;
        let (segment, offset, limit) = (writer.segment.index, writer.segment.offset, writer.limit);
        let (contents, cuts, spare) = (Contents::default(), Vec::new(), Vec::new());
        let appender = Appender { journal, contents, cuts, segment, offset, limit, sealed: false, spare };
        Self {
            dir: writer.dir.clone(),
            disk: Arc::clone(&writer.disk),
            appender: Mutex::new(appender),
            writer: Mutex::new(writer),
            vault: Mutex::new(vault),
            entropy: Mutex::new(entropy),
            turns,
            appended: AtomicU64::new(lsn),
            durable: AtomicU64::new(lsn),
            stored: AtomicU64::new(0),
            failed,
            nonce,
            opening,
            state: Mutex::new(state),
            rest,
            keeping: Mutex::new(()),
            purging: Mutex::new(()),
        }
    }

    /// Whether everything is verified that opening from a snapshot left unread.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.rest.as_ref().is_none_or(|rest| rest.is_done())
    }

    /// The log's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends with the appender's own means, as a frame; nothing of it stays where that fails.
    pub(crate) fn append_frame(
        &self,
        append: impl FnOnce(&mut Journal) -> Result<Lsn, LogError>,
    ) -> Result<Lsn, LogError> {
        let mut appender = lock(&self.appender)?;
        self.check()?;
        if appender.sealed {
            return Err(LogError::Sealed);
        }
        let lsn = appender.append(append)?;
        self.appended.store(lsn.0, Ordering::Release);
        let waiting = appender.journal.out.len();
        drop(appender);
        if waiting > WAITING_MAX_BYTES {
            self.sync(lsn)?;
        }
        Ok(lsn)
    }

    /// Reductions whose destruction is not recorded yet.
    pub(crate) fn pending_reductions(&self) -> Result<Vec<(u64, StreamNo, Tier)>, LogError> {
        Ok(lock(&self.appender)?.journal.reducing().to_vec())
    }

    /// Whether a record says that a payload is purged.
    pub(crate) fn is_purged(&self, id: &Digest) -> bool {
        lock(&self.appender).is_ok_and(|appender| appender.journal.is_purged(id))
    }

    /// The log's folder and the disk that it lies on.
    pub(crate) fn place(&self) -> (&dyn Disk, &Path) {
        (&*self.disk, &self.dir)
    }

    /// Lets neither half of the mark name a place in a finished segment; gives how many of those there are.
    pub(crate) fn pin_marks(&self) -> Result<u32, LogError> {
        let mut writer = lock(&self.writer)?;
        self.poison(writer.pin())?;
        Ok(writer.segment.index)
    }

    /// Does something, after whose failure nobody knows what the disk holds.
    pub(crate) fn poisoning<T>(&self, work: impl FnOnce() -> Result<T, LogError>) -> Result<T, LogError> {
        self.check()?;
        self.poison(work())
    }

    /// Writes everything that waits, contents first; gives up to where everything is durable now.
    fn lead(&self) -> Result<Upto, LogError> {
        let taken = lock(&self.appender)?.take();
        let frames = taken.store(|contents| {
            let mut vault = lock(&self.vault)?;
            // Whoever had it before may have failed.
            self.check()?;
            vault.store(contents)
        })?;
        let upto = frames.upto();
        if !frames.work().bytes.is_empty() {
            let mut writer = lock(&self.writer)?;
            writer.write(&frames)?;
            self.durable.store(upto.lsn.0, Ordering::Release);
        }
        self.stored.store(upto.contents, Ordering::Release);
        lock(&self.appender)?.written(frames.into_parts());
        Ok(upto)
    }

    /// Returns when everything up to there is durable.
    fn reach(&self, to: Upto) -> Result<(), LogError> {
        loop {
            self.check()?;
            if self.reached(to) {
                return Ok(());
            }
            if let Some(turn) = self.turns.wait(to, || self.reached(to))? {
                self.check()?;
                turn.served(self.poison(self.lead())?);
            }
        }
    }

    fn reached(&self, to: Upto) -> bool {
        self.durable() >= to.lsn && self.stored.load(Ordering::Acquire) >= to.contents
    }

    /// Names and enciphers a content, and takes it up in memory; gives where it waits where too much does.
    fn put(&self, bytes: Vec<u8>) -> Result<(PayloadRef, Option<Upto>), LogError> {
        self.check()?;
        let key = lock(&self.entropy)?();
        let content = Pending::new(key, bytes);
        let reference = content.reference();
        let mut appender = lock(&self.appender)?;
        self.check()?;
        if appender.sealed {
            return Err(LogError::Sealed);
        }
        let contents = appender.contents.put(content);
        appender.journal.put_loose(reference);
        let over = appender.contents.is_over().then_some(Upto { lsn: Lsn(0), contents });
        Ok((reference, over))
    }

    /// Goes through what was appended, from a point on where there is one.
    fn read(
        &self,
        point: Option<&Point>,
        f: &mut dyn FnMut(Entry<'_>) -> Result<(), Illegal>,
    ) -> Result<Lsn, LogError> {
        let last = Lsn(self.appended.load(Ordering::Acquire));
        self.sync(last)?;
        let mut survey = Survey::new(&*self.disk, &self.dir);
        let segments = lock(&self.writer)?.segment.index.saturating_add(1);
        point.map_or(Ok(()), |point| survey.stand_at(point))?;
        survey.read_segments(segments, Some(last), &mut |entry| f(entry).map_err(|e| entry.illegal(e)))?;
        if survey.lsn < last {
            let name = PathBuf::from(segment_name(survey.end.segment));
            let what = What::BelowMark { marked: last, found: survey.lsn };
            return Err(found_at(&name, survey.end.offset, what));
        }
        Ok(last)
    }

    fn check(&self) -> Result<(), LogError> {
        self.failed.get().map_or(Ok(()), |_| Err(LogError::Poisoned))
    }

    fn poison<T>(&self, result: Result<T, LogError>) -> Result<T, LogError> {
        result.inspect_err(|error| {
            let _ = self.failed.set(error.clone());
        })
    }

    /// The failure after which everything more is [`LogError::Poisoned`]: a write, a sync, or what was found when the rest of
    /// the log was read behind the work. Whoever hears that something failed before may not be the one to whom it did.
    #[must_use]
    pub fn failure(&self) -> Option<&LogError> {
        self.failed.get()
    }

    /// Destroys what purges name. Whoever calls it keeps everybody else from doing so.
    fn destroy_in(&self, now: Timestamp) -> Result<u64, LogError> {
        let mut destroyed = 0;
        loop {
            let Some((purge, ids)) = lock(&self.appender)?.journal.pending_purge() else { break };
            // First the record, and with it what was put before it, then what it says.
            self.sync(Lsn(self.appended.load(Ordering::Acquire)))?;
            let mut vault = lock(&self.vault)?;
            self.check()?;
            self.poison(vault.destroy(&ids))?;
            drop(vault);
            let lsn = self.append_frame(|journal| journal.append_destroyed(purge, now))?;
            self.sync(lsn)?;
            destroyed += ids.len() as u64;
        }
        self.reduce_in(now)?;
        Ok(destroyed)
    }

    /// Removes the folder of payloads where none is in it, and the file of keys where none was ever put.
    fn remove_empty(&self, keys: bool) -> Result<(), LogError> {
        let listed = Folder::list(&*self.disk, &self.dir)?;
        if listed.payload_folder && listed.payloads.is_empty() && listed.unfinished.is_empty() {
            let folder = self.dir.join(PAYLOADS_NAME);
            self.disk.remove_dir(&folder).map_err(io_error(&folder, Doing::Remove))?;
        }
        if listed.keys && keys {
            let path = self.dir.join(KEYS_NAME);
            self.disk.remove(&path).map_err(io_error(&path, Doing::Remove))?;
        }
        self.disk.sync_dir(&self.dir).map_err(io_error(&self.dir, Doing::Sync))?;
        Ok(())
    }
}

/// What opening a log began with.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    pub(crate) opening: Opening,
    pub(crate) state: Option<Vec<u8>>,
    pub(crate) rest: Option<Arc<Rest>>,
    pub(crate) failed: Arc<OnceLock<LogError>>,
    pub(crate) turns: Turns,
}

impl Drop for FileLog {
    fn drop(&mut self) {
        if let Some(rest) = &self.rest {
            rest.give_up();
        }
    }
}

impl Appender {
    fn append(
        &mut self,
        append: impl FnOnce(&mut Journal) -> Result<Lsn, LogError>,
    ) -> Result<Lsn, LogError> {
        let out = &mut self.journal.out;
        let start = out.len();
        out.resize(start + FRAME_HEADER_BYTES, 0);
        let lsn = match append(&mut self.journal) {
            Ok(lsn) => lsn,
            Err(error) => {
                self.journal.out.truncate(start);
                return Err(error);
            }
        };
        let frame = self.journal.out.get_mut(start..).unwrap_or_default();
        finish_frame(frame, lsn);
        let length = frame.len() as u64;
        // What is reduced lies in finished segments, in which nothing changes but by that.
        let full = self.offset + length > self.limit || self.journal.begins_reduction();
        if self.offset > HEADER_BYTES as u64 && full {
            self.cuts.push(Cut { at: start, first_lsn: lsn });
            self.segment = self.segment.saturating_add(1);
            self.offset = HEADER_BYTES as u64;
        }
        self.offset += length;
        Ok(lsn)
    }

    /// Everything that waits: at once, so that no batch is taken without what was put before it.
    fn take(&mut self) -> Taken {
        let spare = core::mem::take(&mut self.spare);
        self.contents.take(Work {
            bytes: core::mem::replace(&mut self.journal.out, spare),
            cuts: core::mem::take(&mut self.cuts),
            lsn: self.journal.lsn(),
            node: self.journal.node(),
        })
    }

    fn written(&mut self, (contents, mut spare): (Vec<PayloadRef>, Vec<u8>)) {
        self.contents.stored(&contents);
        spare.clear();
        self.spare = spare;
    }
}

impl fmt::Debug for FileLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileLog")
            .field("dir", &self.dir)
            .field("appended", &self.appended)
            .field("durable", &self.durable)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Log for FileLog {
    fn append(
        &self,
        expect: &[Expect],
        now: Timestamp,
        fill: &mut dyn FnMut(&mut Batch<'_>) -> Result<(), LogError>,
    ) -> Result<Lsn, LogError> {
        self.append_frame(|journal| journal.append(expect, now, fill))
    }

    fn sync(&self, to: Lsn) -> Result<(), LogError> {
        self.reach(Upto::batch(to.min(Lsn(self.appended.load(Ordering::Acquire)))))
    }

    fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    fn sync_is_short(&self) -> bool {
        self.turns.are_short()
    }

    fn replay(&self, f: &mut dyn FnMut(Entry<'_>) -> Result<(), Illegal>) -> Result<Lsn, LogError> {
        self.read(None, f)
    }

    fn head(&self, stream: StreamNo) -> Option<Head> {
        lock(&self.appender).ok()?.journal.head(stream)
    }

    fn put_payload(&self, bytes: &[u8]) -> Result<PayloadRef, LogError> {
        self.take_payload(bytes.to_vec())
    }

    fn take_payload(&self, bytes: Vec<u8>) -> Result<PayloadRef, LogError> {
        let (reference, over) = self.put(bytes)?;
        over.map_or(Ok(()), |over| self.reach(over))?;
        Ok(reference)
    }

    fn try_take_payload(&self, bytes: Vec<u8>) -> Result<Result<PayloadRef, Vec<u8>>, LogError> {
        let at_once =
            bytes.len() <= AT_ONCE_MAX_BYTES && lock(&self.appender)?.contents.has_room(bytes.len());
        if at_once { self.put(bytes).map(|(reference, _)| Ok(reference)) } else { Ok(Err(bytes)) }
    }

    fn forget_payload(&self, payload: &PayloadRef) -> Result<(), LogError> {
        let mut appender = lock(&self.appender)?;
        if appender.journal.is_loose(&payload.id) && appender.contents.forget(&payload.id) {
            appender.journal.forget_loose(&payload.id);
        }
        Ok(())
    }

    fn payload(&self, id: &Digest) -> Result<Option<Vec<u8>>, LogError> {
        let appender = lock(&self.appender)?;
        if appender.journal.is_purged(id) {
            return Err(LogError::Purged { id: *id });
        }
        let pending = appender.contents.get(id);
        drop(appender);
        match pending {
            Some(pending) => Ok(Some(pending.content())),
            None => read_payload(&*self.disk, &self.dir, id),
        }
    }

    fn destroy(&self, now: Timestamp) -> Result<u64, LogError> {
        let _alone = lock(&self.purging)?;
        self.check()?;
        if lock(&self.appender)?.sealed {
            return Err(LogError::Sealed);
        }
        self.destroy_in(now)
    }

    fn reductions(
        &self,
        streams: &[StreamNo],
        tier: Tier,
        checkpoint: (u64, Digest),
    ) -> Result<Vec<Reduction>, LogError> {
        self.find_reductions(streams, tier, checkpoint)
    }

    fn begin_snapshot(&self, now: Timestamp, state: &[u8]) -> Result<Option<PendingSnapshot>, LogError> {
        let mut bytes = Vec::new();
        let nonce = self.nonce;
        let mut appender = lock(&self.appender)?;
        self.check()?;
        if appender.sealed {
            return Err(LogError::Sealed);
        }
        if !appender.journal.reducing().is_empty() {
            // The segment in which it would stand is about to be written anew.
            return Ok(None);
        }
        let end = (appender.segment, appender.offset);
        let lsn = appender.append(|journal| {
            bytes = encode(&journal.point(nonce, end), state);
            let Print { digest, length } = Print::of(&bytes);
            journal.append_own(Tag::Snapshot, now, &[], |out| put_snapshot(&digest, length, out))
        })?;
        self.appended.store(lsn.0, Ordering::Release);
        Ok(Some(PendingSnapshot { lsn, bytes }))
    }

    fn finish_snapshot(&self, snapshot: PendingSnapshot) -> Result<(), LogError> {
        self.sync(snapshot.lsn)?;
        let _alone = lock(&self.keeping)?;
        // Nothing is written into the folder of a log that was ended.
        if lock(&self.appender)?.sealed {
            return Err(LogError::Sealed);
        }
        snapshot::write(&*self.disk, &self.dir, snapshot.lsn, &snapshot.bytes)
    }

    fn opening(&self) -> (Opening, Option<Vec<u8>>) {
        (self.opening.clone(), lock(&self.state).ok().and_then(|mut state| state.take()))
    }

    fn replay_rest(&self, f: &mut dyn FnMut(Entry<'_>) -> Result<(), Illegal>) -> Result<Lsn, LogError> {
        match &self.rest {
            Some(rest) => self.read(Some(rest.point()), f),
            None => self.replay(f),
        }
    }

    fn verify_rest(&self) -> Result<(), LogError> {
        match &self.rest {
            Some(rest) => rest.verify().map(drop),
            None => Ok(()),
        }
    }

    fn seal(&self, now: Timestamp) -> Result<Lsn, LogError> {
        let _alone = lock(&self.keeping)?;
        let loose = self.rest.as_ref().map_or_else(|| Ok(Vec::new()), |rest| rest.verify())?;
        let _purging = lock(&self.purging)?;
        self.check()?;
        let mut appender = loop {
            self.destroy_in(now)?;
            let appender = lock(&self.appender)?;
            // Another purge may have come in between.
            let pending =
                appender.journal.pending_purge().is_some() || !appender.journal.reducing().is_empty();
            if !pending {
                break appender;
            }
        };
        self.check()?;
        if appender.sealed {
            return Err(LogError::Sealed);
        }
        let lsn = appender.append(|journal| {
            loose.iter().for_each(|payload| journal.put_loose(*payload));
            journal.append_sealed(now)
        })?;
        self.appended.store(lsn.0, Ordering::Release);
        appender.sealed = true;
        drop(appender);
        self.sync(lsn)?;
        let no_keys = lock(&self.vault)?.has_no_keys();
        self.poison(self.remove_empty(no_keys))?;
        let mut writer = lock(&self.writer)?;
        self.poison(writer.end())?;
        Ok(lsn)
    }
}

/// Takes a lock. A panic while it was held leaves nobody knows what, so the log takes nothing more.
fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, LogError> {
    mutex.lock().map_err(|_| LogError::Poisoned)
}
