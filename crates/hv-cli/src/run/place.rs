//! Where a run keeps its trail and where its commands work, and the names that it draws.

use super::RunFailure;
use crate::outside;
use hv_core::audit::{FileLog, FileOptions, LogError};
use hv_core::types::Digest;
use hv_core::{Clock, OpenTrail, SystemClock, entropy};
use std::fs;
use std::io::{self, Read};
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

/// Checks that a new run can work there, before anything is there.
pub(super) fn check_work(work: &Path, data: &Path) -> Result<(), RunFailure> {
    apart(work, data)?;
    apart(&real(work), &real(data))?;
    // Also in no other one's, which would be tampered with by being worked in.
    if let Some(data) = outside::trail_of(work) {
        return Err(RunFailure::Entangled { work: work.to_owned(), data });
    }
    match fs::read_dir(work) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(RunFailure::WorkNotEmpty { work: work.to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unusable(work, "read the folder", &error)),
    }
}

/// Makes the work folder of a new run.
pub(super) fn prepare_work(work: &Path, data: &Path) -> Result<PathBuf, RunFailure> {
    fs::create_dir_all(work).map_err(|error| unusable(work, "create the folder", &error))?;
    let work = fs::canonicalize(work).map_err(|error| unusable(work, "find the folder", &error))?;
    check_work(&work, data).map(|()| work)
}

/// Checks that the work folder of a run that has begun is where it was, before anything is recorded: no program of it could
/// start, and that would count as a failure of its agents. `next` is the command that goes on once it is back.
pub(crate) fn check_there(work: &Path, next: &str) -> Result<(), RunFailure> {
    let failure = |why| RunFailure::NoWork { work: work.to_owned(), why, next: next.to_owned() };
    match fs::metadata(work) {
        Ok(there) if there.is_dir() => Ok(()),
        Ok(_) => Err(failure(io::ErrorKind::NotADirectory)),
        Err(error) => Err(failure(error.kind())),
    }
}

/// Checks that neither folder lies in the other.
fn apart(work: &Path, data: &Path) -> Result<(), RunFailure> {
    if work.starts_with(data) || data.starts_with(work) {
        return Err(RunFailure::Entangled { work: work.to_owned(), data: data.to_owned() });
    }
    Ok(())
}

/// The path with every link resolved, as far as it leads to something; the same text whether all of it is there or not.
pub(crate) fn real(path: &Path) -> PathBuf {
    let known = path.ancestors().find_map(|there| Some((there, fs::canonicalize(there).ok()?)));
    let rest = known.as_ref().and_then(|(there, _)| path.strip_prefix(there).ok());
    known.zip(rest).map_or_else(
        || path.to_owned(),
        |((_, there), rest)| {
            // Not `join`, which ends a path with a slash where nothing is left to add.
            there.components().chain(rest.components()).collect()
        },
    )
}

fn unusable(work: &Path, doing: &str, error: &io::Error) -> RunFailure {
    let (path, doing) = (work.to_owned(), doing.to_owned());
    RunFailure::Unusable { path, doing, kind: error.kind(), option: "--work" }
}

/// Whether a program's file has this digest. A file that cannot be read has none.
pub(super) fn is_pinned(path: &Path, pin: &Digest) -> bool {
    use sha2::{Digest as _, Sha256};
    let Ok(mut file) = fs::File::open(path) else { return false };
    let mut hasher = Sha256::new();
    let mut bytes = [0; 8192];
    loop {
        match file.read(&mut bytes) {
            Ok(0) => return hasher.finalize().as_slice() == pin.0,
            Ok(count) => hasher.update(bytes.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// The path from the root, whether it is there or not.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, RunFailure> {
    std::path::absolute(path).map_err(|error| RunFailure::Io { path: path.to_owned(), doing: "find", error })
}

/// The trail in a folder, when nobody else has it open any more; a new one where there is none.
pub(crate) fn open_or_create(data: &Path, wait: Duration) -> Result<OpenTrail<FileLog>, RunFailure> {
    match open(data, wait) {
        Err(RunFailure::Log(LogError::NoLog { .. })) => {
            if let Some(parent) = data.parent() {
                fs::create_dir_all(parent).map_err(|error| RunFailure::Unusable {
                    path: parent.to_owned(),
                    doing: "create the folder".to_owned(),
                    kind: error.kind(),
                    option: "--data",
                })?;
            }
            OpenTrail::create(data, SystemClock.now(), FileOptions::new(entropy()?))
                .map_err(|error| misplaced(data, error))
        }
        opened => opened,
    }
}

/// The trail of a run that was interrupted.
pub(super) fn reopen(data: &Path) -> Result<OpenTrail<FileLog>, RunFailure> {
    open(data, LOCK_WAIT)
}

pub(crate) fn open(data: &Path, wait: Duration) -> Result<OpenTrail<FileLog>, RunFailure> {
    let until = Instant::now() + wait;
    loop {
        match OpenTrail::open(data, SystemClock.now(), FileOptions::new(entropy()?)) {
            Err(LogError::Locked { .. }) if Instant::now() < until => {
                thread::sleep(Duration::from_millis(20))
            }
            Err(error) => return Err(misplaced(data, error)),
            Ok(trail) => return Ok(trail),
        }
    }
}

/// Tells a place where no trail can be from a machine that fails. A place that is no folder is named as it was given, and
/// not what would lie in it.
fn misplaced(data: &Path, error: LogError) -> RunFailure {
    use io::ErrorKind::{
        AlreadyExists, InvalidFilename, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        ReadOnlyFilesystem,
    };
    match error {
        LogError::Io { path, doing, kind } => match kind {
            NotADirectory => RunFailure::Unusable {
                path: data.to_owned(),
                doing: doing.to_string(),
                kind,
                option: "--data",
            },
            AlreadyExists | InvalidFilename | IsADirectory | NotFound | PermissionDenied
            | ReadOnlyFilesystem => {
                RunFailure::Unusable { path, doing: doing.to_string(), kind, option: "--data" }
            }
            _ => LogError::Io { path, doing, kind }.into(),
        },
        error => error.into(),
    }
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], RunFailure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| RunFailure::Io {
        path: PathBuf::from("the operating system's random numbers"),
        doing: "read",
        error: io::Error::other(error.to_string()),
    })?;
    Ok(bytes)
}

/// So many random bytes in hexadecimal digits.
pub(crate) fn token<const N: usize>() -> Result<String, RunFailure> {
    Ok(random::<N>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The user's data directory, as the XDG Base Directory Specification says.
fn user_data() -> Result<PathBuf, RunFailure> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share"))).ok_or(RunFailure::NoHome)
}
