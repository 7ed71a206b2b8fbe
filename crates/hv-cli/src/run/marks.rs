//! Marks of a run's trail in a file outside its folder: while it goes on, and when it has ended.

use super::watch::show;
use super::{RunFailure, place};
use crate::args::RunArgs;
use crate::audit::checkpoint::Marker;
use crate::progress::{Event, Progress};
use hv_core::audit::{FileLog, Log, Lsn};
use hv_core::{Clock, SystemClock};
use std::io::Stderr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Signing reads the whole trail: of its time a run spends this part on it at most, as one in so many.
const SHARE: u32 = 20;

/// Where the marks of a run are kept; nothing where nobody asked for any.
pub(super) struct Marks {
    marker: Option<Arc<Mutex<Marker>>>,
    log: Arc<FileLog>,
    task: Option<JoinHandle<()>>,
}

/// What was asked for, once key and file were found to be in order.
pub(super) fn marker(args: &RunArgs, data: &Path) -> Result<Option<Marker>, RunFailure> {
    let (Some(path), Some(key)) = (&args.mark, &args.mark_key) else { return Ok(None) };
    let path = place::absolute(path)?;
    let bad = |why| RunFailure::Mark { path: path.clone(), why, ended: false };
    let folder = path.parent().map(place::real).unwrap_or_default();
    if folder.starts_with(place::real(data)) {
        return Err(bad("it must not lie in the folder of the trail".to_owned()));
    }
    Marker::new(&path, key, data).map(Some).map_err(bad)
}

impl Marks {
    /// Signs the trail again and again, as often as is asked for and no oftener than it may; only where there is
    /// something new. What fails is told and tried again.
    pub(super) fn begin(
        marker: Option<Marker>,
        every: Duration,
        log: Arc<FileLog>,
        progress: &Arc<Mutex<Progress<Stderr>>>,
    ) -> Self {
        let marker = marker.map(|marker| Arc::new(Mutex::new(marker)));
        let progress = Arc::downgrade(progress);
        let task = marker.clone().map(|marker| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let (mut wait, mut last) = (every, Lsn(0));
                loop {
                    tokio::time::sleep(wait).await;
                    if log.durable() <= last {
                        continue;
                    }
                    let started = Instant::now();
                    match mark(&marker, &log).await {
                        Ok(lsn) => last = lsn,
                        Err(why) => {
                            let Some(progress) = progress.upgrade() else { return };
                            let text = format!("there is no new mark: {why}");
                            show(&progress, &Event::Notice { text }, SystemClock.now());
                        }
                    }
                    wait = every.max(started.elapsed() * SHARE);
                }
            })
        });
        Self { marker, log, task }
    }

    /// Signs what there is now, for the last time.
    pub(super) async fn end(mut self) -> Result<(), RunFailure> {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        let Some(marker) = &self.marker else { return Ok(()) };
        mark(marker, &self.log).await.map(drop).map_err(|why| {
            let path = marker.lock().unwrap_or_else(PoisonError::into_inner).path().to_owned();
            RunFailure::Mark { path, why, ended: true }
        })
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// One after the other: what was begun for a task that is given up comes to its end first.
async fn mark(marker: &Arc<Mutex<Marker>>, log: &Arc<FileLog>) -> Result<Lsn, String> {
    let (marker, log) = (Arc::clone(marker), Arc::clone(log));
    let marked = tokio::task::spawn_blocking(move || {
        let marker = marker.lock().map_err(|_| "an earlier one failed".to_owned())?;
        marker.mark(&*log)
    });
    marked.await.unwrap_or_else(|error| Err(error.to_string()))
}
