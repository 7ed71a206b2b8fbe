//! A disk in memory that loses, tears and refuses.

use hv_audit::disk::{Access, Disk, DiskFile, Listed, ListedKind};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// What every file of a disk holds.
pub(crate) type Image = BTreeMap<PathBuf, Vec<u8>>;

/// A deterministic stream of numbers (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, Node>,
    /// The names that outlast a crash for sure.
    durable_names: BTreeMap<PathBuf, Node>,
    /// What was done to names since their folder was synced.
    unsynced_names: Vec<(PathBuf, NameOp)>,
    files: Vec<Contents>,
    locked: BTreeSet<usize>,
    /// How many changes and syncs were asked for.
    steps: u64,
    /// The step that fails, and how.
    fail: Option<(u64, Fail)>,
    /// How often content was synced.
    syncs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    File(usize),
    Folder,
}

#[derive(Debug, Clone)]
enum NameOp {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Debug, Clone, Default)]
struct Contents {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// What happens at the step that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fail {
    /// It alone fails.
    Once,
    /// It and everything after it fails.
    Forever,
}

const SECTOR: usize = 512;

impl SimDisk {
    /// A disk that holds these files, all durable.
    pub(crate) fn from_image(image: &Image) -> Self {
        let mut state = State::default();
        for (path, bytes) in image {
            for folder in path.ancestors().skip(1) {
                state.names.insert(folder.to_owned(), Node::Folder);
            }
            state.names.insert(path.clone(), Node::File(state.files.len()));
            state.files.push(Contents { live: bytes.clone(), durable: bytes.clone(), unsynced: vec![] });
        }
        state.durable_names = state.names.clone();
        Self(Arc::new(Mutex::new(state)))
    }

    /// Puts other files in the place of all that are there.
    pub(crate) fn put_image(&self, image: &Image) {
        *self.0.lock().unwrap() = std::mem::take(&mut *Self::from_image(image).0.lock().unwrap());
    }

    /// What the files hold now.
    pub(crate) fn image(&self) -> Image {
        let state = self.state();
        let file = |(path, node): (&PathBuf, &Node)| match node {
            Node::File(file) => Some((path.clone(), state.files[*file].live.clone())),
            Node::Folder => None,
        };
        state.names.iter().filter_map(file).collect()
    }

    /// What a crash leaves: of everything that was not synced, any part.
    pub(crate) fn crash(&self, dice: &mut Dice) -> Self {
        let state = self.state();
        let mut after = State { names: state.durable_names.clone(), ..State::default() };
        for (_, op) in &state.unsynced_names {
            if dice.below(2) == 0 {
                apply_name(&mut after.names, op);
            }
        }
        let names = after.names.clone();
        after.names.retain(|path, _| path.ancestors().skip(1).all(|above| is_folder(&names, above)));
        for contents in &state.files {
            let mut bytes = contents.durable.clone();
            for change in &contents.unsynced {
                match (change, dice.below(3)) {
                    (_, 0) => {}
                    (Change::Write(at, written), 1) => {
                        // Any sectors of it.
                        for (start, sector) in sectors(*at, written) {
                            if dice.below(2) == 0 {
                                write(&mut bytes, start, sector);
                            }
                        }
                    }
                    (change, _) => apply_change(&mut bytes, change),
                }
            }
            after.files.push(Contents { live: bytes.clone(), durable: bytes, unsynced: vec![] });
        }
        after.durable_names = after.names.clone();
        Self(Arc::new(Mutex::new(after)))
    }

    /// Lets a step fail, counted from now.
    pub(crate) fn fail_at(&self, step: u64, how: Fail) {
        let mut state = self.state();
        state.fail = Some((state.steps + step, how));
    }

    /// How many changes and syncs were asked for.
    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }

    /// How often content was synced.
    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        let now = self.steps;
        self.steps += 1;
        match self.fail {
            Some((at, how)) if now == at || (now > at && how == Fail::Forever) => {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            _ => Ok(()),
        }
    }

    fn rename(&mut self, path: &Path, op: NameOp) {
        apply_name(&mut self.names, &op);
        self.unsynced_names.push((path.parent().unwrap_or(Path::new("")).to_owned(), op));
    }
}

fn is_folder(names: &BTreeMap<PathBuf, Node>, path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/") || names.get(path) == Some(&Node::Folder)
}

fn apply_name(names: &mut BTreeMap<PathBuf, Node>, op: &NameOp) {
    match op {
        NameOp::Add(path, node) => drop(names.insert(path.clone(), *node)),
        NameOp::Remove(path) => drop(names.remove(path)),
        NameOp::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}

fn apply_change(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, written) => write(bytes, *at, written),
        Change::Length(length) => bytes.resize(*length, 0),
    }
}

fn write(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    if bytes.len() < at + written.len() {
        bytes.resize(at + written.len(), 0);
    }
    bytes[at..at + written.len()].copy_from_slice(written);
}

/// The parts of a write that lie in one sector each.
fn sectors(at: usize, bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut parts, mut start, mut rest) = (vec![], at, bytes);
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(rest.len().min(SECTOR - start % SECTOR));
        parts.push((start, part));
        (start, rest) = (start + part.len(), behind);
    }
    parts
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.step()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Contents::default());
        state.rename(path, NameOp::Add(path.to_owned(), Node::File(file)));
        Ok(Box::new(SimFile {
            disk: self.clone(),
            file,
            access: Access::Write,
            locks: AtomicBool::new(false),
        }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        match self.state().names.get(path) {
            Some(Node::File(file)) => Ok(Box::new(SimFile {
                disk: self.clone(),
                file: *file,
                access,
                locks: AtomicBool::new(false),
            })),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.rename(to, NameOp::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.rename(path, NameOp::Remove(path.to_owned()));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        for folder in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if !is_folder(&state.names, folder) {
                state.rename(folder, NameOp::Add(folder.to_owned(), Node::Folder));
            }
        }
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.names.keys().any(|name| name.parent() == Some(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.rename(path, NameOp::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let (now, later) =
            std::mem::take(&mut state.unsynced_names).into_iter().partition(|(of, _)| of == path);
        state.unsynced_names = later;
        let now: Vec<(PathBuf, NameOp)> = now;
        now.iter().for_each(|(_, op)| apply_name(&mut state.durable_names, op));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let state = self.state();
        if !is_folder(&state.names, path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let within = state.names.iter().filter(|(name, _)| name.parent() == Some(path));
        Ok(within
            .map(|(name, node)| Listed {
                name: name.file_name().unwrap().to_string_lossy().into_owned(),
                kind: if *node == Node::Folder { ListedKind::Folder } else { ListedKind::File },
            })
            .collect())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: usize,
    access: Access,
    locks: AtomicBool,
}

impl SimFile {
    fn change(&self, change: Change) -> io::Result<()> {
        assert_eq!(self.access, Access::Write, "a file opened for reading is written to");
        let mut state = self.disk.state();
        let failed = state.step();
        let contents = &mut state.files[self.file];
        let change = match (&failed, change) {
            // A write that fails may have written some of the sectors.
            (Err(_), Change::Write(at, mut bytes)) => {
                let half = (at + bytes.len() / 2) / SECTOR * SECTOR;
                bytes.truncate(half.saturating_sub(at));
                Change::Write(at, bytes)
            }
            (Err(_), Change::Length(_)) => return failed,
            (Ok(()), change) => change,
        };
        apply_change(&mut contents.live, &change);
        contents.unsynced.push(change);
        failed
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        let live = &state.files[self.file].live;
        let from = live.len().min(usize::try_from(offset).unwrap());
        let count = buffer.len().min(live.len() - from);
        buffer[..count].copy_from_slice(&live[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(Change::Write(usize::try_from(offset).unwrap(), bytes.to_vec()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        state.syncs += 1;
        let contents = &mut state.files[self.file];
        contents.durable = contents.live.clone();
        contents.unsynced.clear();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(length).unwrap()))
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].live.len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let free = self.disk.state().locked.insert(self.file);
        self.locks.fetch_or(free, Ordering::Relaxed);
        Ok(free)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if self.locks.load(Ordering::Relaxed)
            && let Ok(mut state) = self.disk.0.lock()
        {
            state.locked.remove(&self.file);
        }
    }
}
