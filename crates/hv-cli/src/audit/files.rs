//! Reading small files to their end, and writing files so that they are whole or not there.

use super::{Failure, bad_input};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The longest file that is read as a whole, in bytes: larger than any proof, smaller than memory.
const MAX_BYTES: u64 = 1 << 30;

/// A file, and why it cannot be read or written.
#[derive(Debug)]
pub(super) struct FileError {
    path: PathBuf,
    doing: &'static str,
    error: io::Error,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: it cannot be {}: {}", self.path.display(), self.doing, self.error)
    }
}

impl FileError {
    /// What that is to whoever named the file: a place that cannot be is bad input, and a disk that fails is not.
    pub(super) fn failure(&self) -> Failure {
        use io::ErrorKind::{
            AlreadyExists, InvalidFilename, IsADirectory, NotADirectory, NotFound, PermissionDenied,
            ReadOnlyFilesystem,
        };
        match self.error.kind() {
            NotFound | NotADirectory | IsADirectory | PermissionDenied | ReadOnlyFilesystem
            | AlreadyExists | InvalidFilename => bad_input(self),
            _ => super::failed(self),
        }
    }
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |error| FileError { path, doing, error }
}

/// Reads a file, or stdin where it is `-`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let limit = MAX_BYTES + 1;
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    let read = read.map_err(failed(path, "read"))?;
    if read as u64 > MAX_BYTES {
        return Err(failed(path, "read")(io::Error::other(
            "it is larger than anything that is expected here",
        )));
    }
    Ok(bytes)
}

/// The same where the file holds text.
pub(super) fn read_text(path: &Path) -> Result<String, FileError> {
    String::from_utf8(read(path)?)
        .map_err(|_| failed(path, "read")(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))
}

/// Where a file is written before it has its name.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Whether a file could be written there, asked before the work that it is to hold. Nothing is left behind.
pub(super) fn try_replace(path: &Path) -> Result<(), FileError> {
    let beside = beside(path);
    File::create(&beside).and_then(|_| fs::remove_file(&beside)).map_err(failed(path, "written"))
}

/// Writes a file beside its name and renames it, so that what was there stays until the new is durable.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let beside = beside(path);
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder(path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&beside))).map_err(failed(path, "written"))
}

/// Writes a file that must not be there.
pub(super) fn create(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        sync_folder(path)
    };
    write().map_err(failed(path, "written"))
}

/// Writes a file under the first name that is free: the path with a number behind it. Gives the name.
pub(super) fn create_numbered(path: &Path, bytes: &[u8]) -> Result<PathBuf, FileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for number in 1u32.. {
        let free = path.with_file_name(format!("{name}-{number}"));
        match create(&free, bytes) {
            Err(FileError { error, .. }) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done.map(|()| free),
        }
    }
    Err(failed(path, "written")(io::ErrorKind::AlreadyExists.into()))
}

/// Makes a folder, and those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(failed(path, "made"))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
