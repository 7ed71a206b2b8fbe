//! The disk of the operating system in other moods: slow to sync, held up in the middle, or careless.

use hv_core::Guards;
use hv_core::audit::disk::{Access, Disk, DiskFile, Listed, RealDisk};
use hv_core::rings::rate::{Limits, PerRing, Rate};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// How a disk is.
#[derive(Debug, Clone)]
pub struct Mood {
    /// How long a sync takes at least.
    pub takes: Duration,
    /// Whether it syncs at all. What the operating system has is enough for a test that ends its process in order.
    pub syncs: bool,
    /// As long as this is set, nothing is written to a segment, to a content or to its key.
    held: Arc<AtomicBool>,
    /// How often somebody waited for it.
    waits: Arc<AtomicU64>,
    /// Which thread waited for it last.
    waited: Arc<Mutex<Option<ThreadId>>>,
    /// How much longer the next sync takes.
    longer: Arc<Mutex<Duration>>,
}

impl Mood {
    pub fn slow(takes: Duration) -> Self {
        Self {
            takes,
            syncs: true,
            held: Arc::default(),
            waits: Arc::default(),
            waited: Arc::default(),
            longer: Arc::default(),
        }
    }

    /// For filling long logs.
    pub fn careless() -> Self {
        Self { syncs: false, ..Self::slow(Duration::ZERO) }
    }

    /// Holds everything up until what this gives is dropped, also by a test that fails: nothing would end otherwise.
    pub fn hold(&self) -> Hold<'_> {
        self.held.store(true, Ordering::SeqCst);
        Hold(&self.held)
    }

    /// How often somebody waited for it.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::SeqCst)
    }

    /// Whether it was this thread that waited for it last.
    pub fn held_this_thread_up(&self) -> bool {
        *self.waited.lock().unwrap() == Some(thread::current().id())
    }

    /// Makes the next sync take so much longer.
    pub fn hesitate(&self, longer: Duration) {
        *self.longer.lock().unwrap() = longer;
    }

    fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.waits.fetch_add(1, Ordering::SeqCst);
        *self.waited.lock().unwrap() = Some(thread::current().id());
        thread::sleep(self.takes + std::mem::take(&mut *self.longer.lock().unwrap()));
        if self.syncs { sync() } else { Ok(()) }
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        // Whoever opens a log writes its mark.
        let holds = path.file_name().is_some_and(|name| name != "mark");
        Box::new(MoodyFile { file, mood: self.clone(), holds })
    }
}

/// As long as this is there, nothing is written to a segment, to a content or to its key.
#[must_use]
#[derive(Debug)]
pub struct Hold<'a>(&'a AtomicBool);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct MoodyFile {
    file: Box<dyn DiskFile>,
    mood: Mood,
    holds: bool,
}

impl Disk for Mood {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.create(path).map(|file| self.file(path, file))
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open(path, access).map(|file| self.file(path, file))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.sync(|| RealDisk.sync_dir(path))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        RealDisk.list(path)
    }
}

impl DiskFile for MoodyFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        while self.holds && self.mood.held.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        self.file.write_at(offset, bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.mood.sync(|| self.file.sync_data())
    }
    fn sync_all(&self) -> io::Result<()> {
        self.mood.sync(|| self.file.sync_all())
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}

/// Guards that ask nobody how often it calls.
pub fn unhurried() -> Guards {
    let rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
    let rate = PerRing { root: rate, privileged: rate, standard: rate, sandbox: rate };
    Guards { limits: Limits { rate, ..Limits::default() }, ..Guards::default() }
}
