//! Creating a log and opening one: what a crash left is told from damage, and nothing is overwritten.

use crate::disk::{Access, Disk, DiskFile};
use crate::file::{Begun, FileLog, FileOptions};
use crate::folder::{Folder, io_error};
use crate::follow::{Follow, Nobody, surveyed};
use crate::inventory::{Purpose, take_inventory};
use crate::journal::{Journal, Purges};
use crate::log::{Doing, Log, LogError, Lsn, PayloadRef};
use crate::mark::{MARK_NAME, Mark};
use crate::payload::{Entropy, Pending, Vault, finish};
use crate::prefix::{OpenDigest, Prefix};
use crate::record::Tag;
use crate::rest::Rest;
use crate::segment::{SegmentHeader, SegmentReader, segment_name};
use crate::snapshot::{self, Opening, UnusableSnapshot, snapshot_name};
use crate::survey::{End, Survey, Tail};
use crate::turns::Turns;
use crate::writer::{OpenSegment, Writer};
use hv_types::{Digest, Timestamp};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

impl FileLog {
    /// Begins a log in a folder that is empty or not there yet; durable when this returns. Where that is
    /// interrupted, [`open`](Self::open) completes it.
    ///
    /// # Errors
    /// [`LogError::NotEmpty`] where anything is in the folder; [`LogError::Io`].
    pub fn create(dir: &Path, now: Timestamp, options: FileOptions) -> Result<Self, LogError> {
        let disk = &*options.disk;
        disk.create_dir(dir).map_err(io_error(dir, Doing::Create))?;
        if !Folder::list(disk, dir)?.is_empty() {
            return Err(LogError::NotEmpty { dir: dir.to_owned() });
        }
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            disk.sync_dir(parent).map_err(io_error(parent, Doing::Sync))?;
        }
        let path = dir.join(MARK_NAME);
        let marks = disk.create(&path).map_err(io_error(&path, Doing::Create))?;
        take_lock(&*marks, dir)?;
        Self::start(dir, now, options, (marks, None))
    }

    /// Opens a log to continue it, whether it was ended cleanly or not.
    ///
    /// Everything is read and checked. What a crash left behind the last whole batch, above the mark, is kept
    /// as a payload of the record that says that the log is written to again.
    ///
    /// # Errors
    /// [`LogError::NoLog`] where there is none; [`LogError::Locked`] where another writer has it, for a quarter of a second;
    /// [`LogError::Damaged`] where it does not hold what was written to it, [`LogError::Version`] where it is in a version
    /// of the format that is not read, which both change nothing in the folder;
    /// [`LogError::Io`].
    pub fn open(dir: &Path, now: Timestamp, options: FileOptions) -> Result<Self, LogError> {
        Self::open_for(dir, now, options, None)
    }

    /// As [`open`](Self::open), and shows every record that was there to whoever follows as it is checked; those that
    /// opening itself appends are not among them. [`replay`](Log::replay) would show the same, and read the log again.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); [`LogError::Illegal`] for the first record that is refused.
    pub fn open_following(
        dir: &Path,
        now: Timestamp,
        options: FileOptions,
        follow: &mut dyn Follow,
    ) -> Result<Self, LogError> {
        Self::open_for(dir, now, options, Some(follow))
    }

    fn open_for(
        dir: &Path,
        now: Timestamp,
        options: FileOptions,
        follow: Option<&mut dyn Follow>,
    ) -> Result<Self, LogError> {
        let path = dir.join(MARK_NAME);
        match options.disk.open(&path, Access::Write) {
            Ok(marks) => {
                take_lock(&*marks, dir)?;
                Self::start(dir, now, options, (marks, follow))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Nothing is there, or something is there without its mark.
                Survey::new(&*options.disk, dir).read(&mut |_| Ok(()))?;
                Err(LogError::NoLog { dir: dir.to_owned() })
            }
            Err(error) => Err(io_error(&path, Doing::Open)(error)),
        }
    }

    /// Brings the folder into order and says that a writer began.
    fn start(
        dir: &Path,
        now: Timestamp,
        options: FileOptions,
        (marks, follow): (Box<dyn DiskFile>, Option<&mut dyn Follow>),
    ) -> Result<Self, LogError> {
        let FileOptions { mut entropy, disk, segment_bytes: limit, again, snapshots, short_sync } = options;
        let shared = Arc::clone(&disk);
        let followed = follow.is_some();
        let (mut survey, read) = surveyed(&*shared, dir, snapshots, follow.unwrap_or(&mut Nobody))?;
        let mut inventory = take_inventory(&survey, &*disk, dir, Purpose::Open(again))?;
        let mut loose = inventory.loose_payloads(&*disk, dir)?;
        if !inventory.unnamed.is_empty() {
            finish(&*disk, dir, &inventory.unnamed)?;
            survey.folder = Folder::list(&*disk, dir)?;
            inventory = take_inventory(&survey, &*disk, dir, Purpose::Open(again))?;
            loose = inventory.loose_payloads(&*disk, dir)?;
        }
        let mark = match survey.mark {
            Some(mark) => mark,
            None => first_mark(&mut entropy, &*marks, &*disk, dir)?,
        };
        let (slots, folder) = (inventory.slots, survey.folder.payload_folder);
        let mut vault = Vault::new(Arc::clone(&disk), dir, mark.nonce, slots, folder);
        let End { segment, offset, digest, .. } = &survey.end;
        let (digest, prefix) = match digest {
            Some(digest) => (digest.clone().into(), None),
            None => {
                let prefix = Prefix::new((Arc::clone(&shared), dir), *segment, *offset);
                (OpenDigest::from(Arc::clone(&prefix)), Some(prefix))
            }
        };
        let mut recovery = Recovery { disk: &*disk, dir, vault: &mut vault, entropy: &mut entropy, loose };
        recovery.remove_unfinished(&survey.folder)?;
        if snapshots {
            recovery.remove_snapshots(&survey.folder, read.as_ref().map(|(lsn, _)| *lsn))?;
        }
        recovery.vault.tidy(&inventory.keys)?;
        let ended = survey.says_ended();
        let segment = if ended {
            reopened(&survey, digest, &*disk, dir)?
        } else {
            recovery.segment(&survey, digest, mark, limit)?
        };
        let loose = recovery.loose;
        let mut writer = Writer { disk, dir: dir.to_owned(), marks, mark, segment, limit };
        if ended {
            writer.reopen()?;
        }
        let (lsn, time) = (survey.lsn, survey.chain.time());
        let purges = purges(&survey);
        let mut begun = match snapshots {
            true => begun(&survey, read.as_ref().map(|(lsn, _)| *lsn)),
            false => Begun::default(),
        };

        if let Some((lsn, read)) = read {
            let (point, state) = read.into_parts(!followed);
            let rest = Rest::new(
                (Arc::clone(&shared), dir),
                &survey,
                (point, lsn),
                prefix,
                Arc::clone(&begun.failed),
            );
            (begun.state, begun.rest) = (state, Some(rest));
        }
        let rest = begun.rest.clone();
        begun.turns = Turns::new(short_sync);
        let journal = Journal::resume(survey.chain.into_streams(), lsn, time, purges);
        let log = Self::assemble(writer, journal, (vault, entropy), begun);
        let nonce = mark.nonce;
        let started = |journal: &mut Journal| {
            journal.append_own(Tag::Started, now, &loose, |out| out.extend_from_slice(&nonce))
        };
        let lsn = log.append_frame(started)?;
        log.sync(lsn)?;
        if !inventory.again.is_empty() {
            log.append(&[], now, &mut |batch| batch.purge(&inventory.again, |_| {}).map(drop))?;
        }
        // What a crash interrupted, or what came back.
        log.destroy(now)?;
        if let Some(rest) = rest {
            rest.begin();
        }
        Ok(log)
    }
}

/// What opening begins with, where it could use this snapshot.
fn begun(survey: &Survey<'_>, used: Option<Lsn>) -> Begun {
    let last = survey.snapshots.last_key_value().map(|(lsn, _)| *lsn);
    let unusable = last.filter(|_| last != used);
    let unusable =
        unusable.map(|lsn| UnusableSnapshot { lsn, there: survey.folder.snapshots.contains(&lsn) });
    Begun { opening: Opening { snapshot: used, unusable }, ..Begun::default() }
}

/// What was purged, and which purges a crash interrupted.
fn purges(survey: &Survey<'_>) -> Purges {
    let of = |purge: u64| survey.purged.iter().filter(move |(_, by)| **by == purge).map(|(id, _)| *id);
    let pending = survey.chain.purging().map(|purge| (purge, of(purge).collect())).collect();
    let reducing = survey.reductions.pending(survey.chain.reducing());
    Purges { purged: survey.purged.keys().copied().collect(), pending, reducing }
}

/// A program that a process is about to start has its locks, too, for the moment until it is another program; so what
/// somebody else has is asked for a little longer than that.
fn take_lock(marks: &dyn DiskFile, dir: &Path) -> Result<(), LogError> {
    for _ in 0..LOCK_ASKED {
        if marks.try_lock().map_err(io_error(&dir.join(MARK_NAME), Doing::Lock))? {
            return Ok(());
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Err(LogError::Locked { dir: dir.to_owned() })
}

/// How often the lock is asked for, and how long in between: for a quarter of a second.
const LOCK_ASKED: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Gives a new log its number, durable before anything else is written.
fn first_mark(
    entropy: &mut Entropy,
    marks: &dyn DiskFile,
    disk: &dyn Disk,
    dir: &Path,
) -> Result<Mark, LogError> {
    let path = dir.join(MARK_NAME);
    let mark = Mark::first(entropy().first_chunk().copied().unwrap_or_default());
    marks.write_at(0, &[mark.to_slot(), mark.to_slot()].concat()).map_err(io_error(&path, Doing::Write))?;
    marks.sync_all().map_err(io_error(&path, Doing::Sync))?;
    disk.sync_dir(dir).map_err(io_error(dir, Doing::Sync))?;
    Ok(mark)
}

/// Opens the last segment of a log that was ended.
fn reopened(
    survey: &Survey<'_>,
    digest: OpenDigest,
    disk: &dyn Disk,
    dir: &Path,
) -> Result<OpenSegment, LogError> {
    let path = dir.join(segment_name(survey.end.segment));
    let file = disk.open(&path, Access::Write).map_err(io_error(&path, Doing::Open))?;
    Ok(open_segment(survey, digest, (file, path), survey.end.offset))
}

fn open_segment(
    survey: &Survey<'_>,
    digest: OpenDigest,
    (file, path): (Box<dyn DiskFile>, PathBuf),
    filled: u64,
) -> OpenSegment {
    let (index, offset) = (survey.end.segment, survey.end.offset);
    OpenSegment { file, path, index, offset, filled, digest }
}

/// Tidies what a crash left; what is not whole is kept as a payload first.
struct Recovery<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    vault: &'a mut Vault,
    entropy: &'a mut Entropy,
    loose: Vec<PayloadRef>,
}

impl Recovery<'_> {
    /// Removes payloads that never got their names: nobody was told of them.
    fn remove_unfinished(&self, folder: &Folder) -> Result<(), LogError> {
        for name in &folder.unfinished {
            let path = self.dir.join(name);
            self.disk.remove(&path).map_err(io_error(&path, Doing::Remove))?;
        }
        Ok(())
    }

    /// Removes every snapshot but the one that was used: nothing needs them.
    fn remove_snapshots(&self, folder: &Folder, used: Option<Lsn>) -> Result<(), LogError> {
        for lsn in folder.snapshots.iter().filter(|lsn| Some(**lsn) != used) {
            snapshot::remove(self.disk, &self.dir.join(snapshot_name(*lsn)))?;
        }
        Ok(())
    }

    /// The segment to continue in.
    fn segment(
        &mut self,
        survey: &Survey<'_>,
        digest: OpenDigest,
        mark: Mark,
        limit: u64,
    ) -> Result<OpenSegment, LogError> {
        if let Tail::Unbegun { segment } = survey.tail {
            let path = self.dir.join(segment_name(segment));
            let file = self.disk.open(&path, Access::Read).map_err(io_error(&path, Doing::Open))?;
            self.keep(file, &path, 0)?;
            self.disk.remove(&path).map_err(io_error(&path, Doing::Remove))?;
            self.disk.sync_dir(self.dir).map_err(io_error(self.dir, Doing::Sync))?;
        }
        if survey.end.offset == 0 {
            let first_lsn = survey.lsn.next();
            let header =
                SegmentHeader { index: 0, nonce: mark.nonce, first_lsn, previous: Digest::default() };
            return OpenSegment::create(self.disk, self.dir, header, limit);
        }
        let path = self.dir.join(segment_name(survey.end.segment));
        let open = || self.disk.open(&path, Access::Write).map_err(io_error(&path, Doing::Open));
        let file = open()?;
        let filled = file.length().map_err(io_error(&path, Doing::Read))?;
        if let Tail::Torn { at, .. } = survey.tail {
            let used = self.keep(open()?, &path, at)?;
            let zeros = vec![0; usize::try_from(used - at).unwrap_or(0)];
            file.write_at(at, &zeros).map_err(io_error(&path, Doing::Write))?;
            file.sync_all().map_err(io_error(&path, Doing::Sync))?;
        }
        Ok(open_segment(survey, digest, (file, path), filled))
    }

    /// Keeps what a file holds from an offset on; gives where it ends, zeros left out.
    fn keep(&mut self, file: Box<dyn DiskFile>, path: &Path, from: u64) -> Result<u64, LogError> {
        let read = io_error(path, Doing::Read);
        let mut reader = SegmentReader::new(file).map_err(&read)?;
        let used = reader.used(from).map_err(&read)?;
        let count = usize::try_from(used - from).unwrap_or(usize::MAX);
        let bytes = reader.bytes(from, count).map_err(&read)?;
        if !bytes.is_empty() {
            let kept = Arc::new(Pending::new((self.entropy)(), bytes.to_vec()));
            self.loose.push(kept.reference());
            self.vault.store(&[kept])?;
        }
        Ok(used)
    }
}
