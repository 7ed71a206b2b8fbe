//! What opening from a snapshot left unread: verified behind the work that goes on meanwhile, and before the log is
//! ended at the latest.

use crate::disk::Disk;
use crate::finding::What;
use crate::folder::{Folder, found};
use crate::inventory::{Purpose, take_inventory};
use crate::log::{LogError, Lsn, PayloadRef};
use crate::mark::Mark;
use crate::prefix::Prefix;
use crate::snapshot::{Point, snapshot_name};
use crate::survey::Survey;
use core::sync::atomic::{AtomicBool, Ordering};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// The log as it was when it was opened, from its first record to its last one then.
#[derive(Debug)]
pub(crate) struct Rest {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    mark: Option<Mark>,
    folder: Folder,
    /// Where the snapshot says that the log stood, and the batch that holds its digest.
    point: Point,
    snapshot: Lsn,
    /// What the segment held that is written to.
    prefix: Option<Arc<Prefix>>,
    /// The last batch that there was.
    until: Lsn,
    /// What came of it; `None` while nobody has looked.
    done: Mutex<Option<Result<Vec<PayloadRef>, LogError>>>,
    /// Set when the log is dropped.
    dropped: AtomicBool,
    /// The log's own: nothing more is appended to a log that is not what was written to it.
    failed: Arc<OnceLock<LogError>>,
}

impl Rest {
    /// What is left of a log that was read from a snapshot on.
    pub(crate) fn new(
        (disk, dir): (Arc<dyn Disk>, &Path),
        survey: &Survey<'_>,
        (point, snapshot): (Point, Lsn),
        prefix: Option<Arc<Prefix>>,
        failed: Arc<OnceLock<LogError>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            disk,
            dir: dir.to_owned(),
            mark: survey.mark,
            folder: survey.folder.clone(),
            point,
            snapshot,
            prefix,
            until: survey.lsn,
            done: Mutex::new(None),
            dropped: AtomicBool::new(false),
            failed,
        })
    }

    /// Where the snapshot says that the log stood.
    pub(crate) const fn point(&self) -> &Point {
        &self.point
    }

    /// Begins in the background. Where no thread can be had, it is done before the log is ended.
    pub(crate) fn begin(self: &Arc<Self>) {
        let rest = Arc::clone(self);
        let work = move || {
            // Whoever finishes the segment needs that; where it fails, that one is told.
            rest.prefix.as_ref().map(|prefix| prefix.digest().map(drop));
            rest.verify().map(drop)
        };
        let begun = std::thread::Builder::new().name("hv-verify".to_owned()).spawn(work);
        drop(begun);
    }

    /// Whether everything is verified.
    pub(crate) fn is_done(&self) -> bool {
        self.done.try_lock().is_ok_and(|done| matches!(*done, Some(Ok(_))))
    }

    /// Nobody waits for it any more.
    pub(crate) fn give_up(&self) {
        self.dropped.store(true, Ordering::Relaxed);
        if let Some(prefix) = &self.prefix {
            prefix.give_up();
        }
    }

    /// Verifies, or waits until it is; gives the payloads that no record refers to.
    pub(crate) fn verify(&self) -> Result<Vec<PayloadRef>, LogError> {
        let mut done = self.done.lock().map_err(|_| LogError::Poisoned)?;
        if let Some(done) = &*done {
            return done.clone();
        }
        let result = self.read();
        if self.dropped.load(Ordering::Relaxed) {
            return Err(LogError::Abandoned);
        }
        if let Err(error) = &result {
            let _ = self.failed.set(error.clone());
        }
        done.insert(result).clone()
    }

    fn read(&self) -> Result<Vec<PayloadRef>, LogError> {
        let mut survey = Survey::new(&*self.disk, &self.dir).unhurried();
        (survey.mark, survey.folder) = (self.mark, self.folder.clone());
        let segments = u32::try_from(self.folder.segments.len()).unwrap_or(u32::MAX);
        let go_on = |_: crate::record::Entry<'_>| {
            if self.dropped.load(Ordering::Relaxed) { Err(LogError::Abandoned) } else { Ok(()) }
        };
        survey.read_segments(segments, Some(self.point.lsn), &mut { go_on })?;
        if !survey.point().agrees(&self.point) {
            return Err(found(Path::new(&snapshot_name(self.snapshot)), What::SnapshotElsewhere));
        }
        survey.read_segments(segments, Some(self.until), &mut { go_on })?;
        let inventory = take_inventory(&survey, &*self.disk, &self.dir, Purpose::Rest)?;
        inventory.loose_payloads(&*self.disk, &self.dir)
    }
}
