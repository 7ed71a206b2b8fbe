//! A trail in a folder, open for writing: read once, both to check it and to know what the node is.

use crate::node::Taken;
use hv_audit::{FileLog, FileOptions, Log, LogError};
use hv_types::Timestamp;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A log that is open, and what a node makes of it where that was found on the way.
///
/// A node can be opened on any log that is open, and then goes through it. Where the log is in a folder, it was gone
/// through when it was opened; opened as this, it is not gone through a second time.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hv_core::audit::FileOptions;
/// use hv_core::{Clock, Hypervisor, OpenTrail, SystemClock, entropy};
/// use std::sync::Arc;
///
/// # let folder = tempfile::tempdir()?;
/// # let dir = folder.path().join("trail");
/// # drop(OpenTrail::create(&dir, SystemClock.now(), FileOptions::new(entropy()?))?);
/// let trail = OpenTrail::open(&dir, SystemClock.now(), FileOptions::new(entropy()?))?;
/// let hv = Hypervisor::open(trail, Arc::new(SystemClock))?;
/// assert!(hv.open_sessions()?.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct OpenTrail<L: ?Sized = dyn Log> {
    pub(crate) log: Arc<L>,
    pub(crate) taken: Option<Box<Taken>>,
}

impl OpenTrail<FileLog> {
    /// Opens a trail to continue it, as [`FileLog::open`] does. Costs time in proportion to it, or to what lies behind its
    /// last snapshot.
    ///
    /// # Errors
    /// Those of [`FileLog::open_following`].
    pub fn open(dir: &Path, now: Timestamp, options: FileOptions) -> Result<Self, LogError> {
        let mut taken = Box::<Taken>::default();
        let log = FileLog::open_following(dir, now, options, &mut *taken)?;
        // Opening appended records of its own.
        taken.last = taken.last.max(now);
        Ok(Self { log: Arc::new(log), taken: Some(taken) })
    }

    /// Begins a trail, as [`FileLog::create`] does.
    ///
    /// # Errors
    /// Those of [`FileLog::create`].
    pub fn create(dir: &Path, now: Timestamp, options: FileOptions) -> Result<Self, LogError> {
        Ok(Arc::new(FileLog::create(dir, now, options)?).into())
    }
}

impl<L: ?Sized> OpenTrail<L> {
    /// The log.
    #[must_use]
    pub const fn log(&self) -> &Arc<L> {
        &self.log
    }
}

impl<L: ?Sized> From<Arc<L>> for OpenTrail<L> {
    fn from(log: Arc<L>) -> Self {
        Self { log, taken: None }
    }
}

impl<L: Log + 'static> From<Arc<L>> for OpenTrail {
    fn from(log: Arc<L>) -> Self {
        Self { log, taken: None }
    }
}

impl<L: Log + 'static> From<OpenTrail<L>> for OpenTrail {
    fn from(trail: OpenTrail<L>) -> Self {
        Self { log: trail.log, taken: trail.taken }
    }
}

impl<L: ?Sized + fmt::Debug> fmt::Debug for OpenTrail<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTrail").field("log", &self.log).finish_non_exhaustive()
    }
}
