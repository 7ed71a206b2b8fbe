//! Where a run keeps its trail and where its commands work, and the names that it draws.

use super::RunFailure;
use hv_core::audit::{Entropy, FileLog, FileOptions, LogError};
use hv_core::{Clock, SystemClock};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long a resumed run waits for the old process to let go of the trail: a program that was being started
/// when its supervisor was killed holds it a moment longer.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// The folders of a new run.
pub(super) fn folders(
    run: &str,
    data: Option<&Path>,
    work: Option<&Path>,
) -> Result<(PathBuf, PathBuf), RunFailure> {
    let home = || Ok::<_, RunFailure>(user_data()?.join("hv"));
    let data = match data {
        Some(data) => absolute(data)?,
        None => home()?.join("runs").join(run).join("trail"),
    };
    let work = match work {
        Some(work) => absolute(work)?,
        None => home()?.join("runs").join(run).join("work"),
    };
    Ok((data, work))
}

/// Makes the work folder of a new run.
pub(super) fn prepare_work(work: &Path, data: &Path) -> Result<PathBuf, RunFailure> {
    let io = |doing| move |error| RunFailure::Io { path: work.to_owned(), doing, error };
    if work.starts_with(data) || data.starts_with(work) {
        return Err(RunFailure::Entangled { work: work.to_owned(), data: data.to_owned() });
    }
    fs::create_dir_all(work).map_err(io("create the folder"))?;
    let work = fs::canonicalize(work).map_err(io("find the folder"))?;
    let parent = data.parent().and_then(|parent| fs::canonicalize(parent).ok());
    let real = parent.zip(data.file_name()).map(|(parent, name)| parent.join(name));
    if real.is_some_and(|data| work.starts_with(&data) || data.starts_with(&work)) {
        return Err(RunFailure::Entangled { work, data: data.to_owned() });
    }
    let mut entries = fs::read_dir(&work).map_err(io("read the folder"))?;
    if entries.next().is_some() {
        return Err(RunFailure::WorkNotEmpty { work });
    }
    Ok(work)
}

/// The path from the root, whether it is there or not.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, RunFailure> {
    std::path::absolute(path).map_err(|error| RunFailure::Io { path: path.to_owned(), doing: "find", error })
}

/// The log in a folder; a new one where there is none.
pub(super) fn open_or_create(data: &Path) -> Result<FileLog, RunFailure> {
    match open(data, Duration::ZERO) {
        Err(RunFailure::Log(LogError::NoLog { .. })) => {
            if let Some(parent) = data.parent() {
                fs::create_dir_all(parent).map_err(|error| RunFailure::Io {
                    path: parent.to_owned(),
                    doing: "create the folder",
                    error,
                })?;
            }
            Ok(FileLog::create(data, SystemClock.now(), FileOptions::new(entropy()?))?)
        }
        opened => opened,
    }
}

/// The log of a run that was interrupted.
pub(super) fn reopen(data: &Path) -> Result<FileLog, RunFailure> {
    open(data, LOCK_WAIT)
}

fn open(data: &Path, wait: Duration) -> Result<FileLog, RunFailure> {
    let until = Instant::now() + wait;
    loop {
        match FileLog::open(data, SystemClock.now(), FileOptions::new(entropy()?)) {
            Err(LogError::Locked { .. }) if Instant::now() < until => {
                thread::sleep(Duration::from_millis(20))
            }
            Err(error) => return Err(error.into()),
            Ok(log) => return Ok(log),
        }
    }
}

/// Random bytes of the operating system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], RunFailure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| RunFailure::Io {
        path: PathBuf::from("the operating system's random numbers"),
        doing: "read",
        error: io::Error::other(error.to_string()),
    })?;
    Ok(bytes)
}

/// So many random bytes in hexadecimal digits.
pub(super) fn token<const N: usize>() -> Result<String, RunFailure> {
    Ok(random::<N>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where the log takes its salts from. Should the operating system run out of random numbers later on, salts
/// are derived from the first, which nobody knows.
fn entropy() -> Result<Entropy, RunFailure> {
    let mut seed: [u8; 32] = random()?;
    Ok(Box::new(move || {
        let mut fresh = [0; 32];
        if getrandom::fill(&mut fresh).is_err() {
            fresh = blake3::derive_key("hv 2026 salt from salt v1", &seed);
        }
        seed = blake3::derive_key("hv 2026 next seed v1", &[seed, fresh].concat());
        fresh
    }))
}

/// The user's data directory, as the XDG Base Directory Specification says.
fn user_data() -> Result<PathBuf, RunFailure> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share"))).ok_or(RunFailure::NoHome)
}
