//! Files of a session and files of a real folder.

use crate::outside::{is_trail, trail_of};
use crate::run::RunFailure;
use crate::session::LiveFailure;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How many files are taken at once.
const FILES: usize = 100_000;

/// What there is in a folder.
pub(super) struct Found {
    pub(super) files: Vec<RealFile>,
    /// What is neither file nor folder, is the folder of a trail, or has a name that no path of a session can have.
    pub(super) left_out: Vec<PathBuf>,
}

/// A file, and the path that it has in the folder.
pub(super) struct RealFile {
    pub(super) path: String,
    pub(super) file: PathBuf,
}

/// Everything below a folder, in order. Links are not followed. Nothing longer than it may be is among it, so that no
/// more than a part of it is taken before that is known.
pub(super) fn look(folder: &Path, longest: u64) -> Result<Found, LiveFailure> {
    if !folder.is_dir() {
        return Err(LiveFailure::Input {
            why: format!("{} is no folder that can be read", folder.display()),
        });
    }
    if let Some(trail) = trail_of(folder) {
        let why =
            format!("{} is the folder of a trail, whose keys are no files of a session", trail.display());
        return Err(LiveFailure::Input { why });
    }
    let mut found = Found { files: Vec::new(), left_out: Vec::new() };
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((folder, path)) = open.pop() {
        let failed = |error| io_failure(&folder, "read the folder", error);
        let mut entries =
            fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let kind = entry.file_type().map_err(failed)?;
            let Some(name) = entry.file_name().to_str().map(ToOwned::to_owned) else {
                found.left_out.push(entry.path());
                continue;
            };
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            if kind.is_dir() && !is_trail(&entry.path()) {
                open.push((entry.path(), path));
            } else if kind.is_file() {
                if entry.metadata().map_err(failed)?.len() > longest {
                    return Err(too_long(&entry.path(), longest));
                }
                found.files.push(RealFile { path, file: entry.path() });
            } else {
                found.left_out.push(entry.path());
            }
            if found.files.len() > FILES {
                let why = format!("{} has more than {FILES} files; take a part of it", folder.display());
                return Err(LiveFailure::Input { why });
            }
        }
    }
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The content of a file, if it is not longer than it may be.
pub(super) fn read(file: &Path, longest: u64) -> Result<Vec<u8>, LiveFailure> {
    let mut content = Vec::new();
    let length = File::open(file).and_then(|opened| opened.take(longest + 1).read_to_end(&mut content));
    let length = length.map_err(|error| io_failure(file, "read", error))? as u64;
    if length > longest {
        return Err(too_long(file, longest));
    }
    Ok(content)
}

fn too_long(file: &Path, longest: u64) -> LiveFailure {
    LiveFailure::Input { why: format!("{}: more than {longest} bytes", file.display()) }
}

/// That files of these paths can be written there: the folder is empty, and no path needs a folder where another
/// needs a file. A path of a session leads out of nothing.
pub(super) fn check(folder: &Path, paths: &[String]) -> Result<(), LiveFailure> {
    let input = |why| Err(LiveFailure::Input { why });
    match fs::read_dir(folder).map(|mut entries| entries.next()) {
        Ok(Some(_)) => {
            return input(format!("{} is not empty; give an empty or a new folder", folder.display()));
        }
        Ok(None) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return input(format!("{}: {error}; give an empty or a new folder", folder.display())),
    }
    let all: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    for path in paths {
        let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        if let Some(both) = above.into_iter().find(|above| all.contains(above)) {
            return input(format!(
                "`{both}` is a file and the folder of `{path}`, which no folder can hold; rename one"
            ));
        }
    }
    fs::create_dir_all(folder)
        .or_else(|error| input(format!("{}: {error}; give another place", folder.display())))
}

/// Writes a file that was not there.
pub(super) fn write(folder: &Path, path: &str, content: &[u8]) -> Result<(), LiveFailure> {
    let file = folder.join(path);
    let made = file.parent().map_or(Ok(()), fs::create_dir_all);
    let opened = made.and_then(|()| OpenOptions::new().write(true).create_new(true).open(&file));
    opened.and_then(|mut opened| opened.write_all(content)).map_err(|error| io_failure(&file, "write", error))
}

fn io_failure(path: &Path, doing: &'static str, error: io::Error) -> LiveFailure {
    RunFailure::Io { path: path.to_owned(), doing, error }.into()
}
