//! `hv audit`: what a trail says, and whether it is whole.

mod anchors;
mod bundle;
mod every;
mod formats;
mod history;
mod interop;
mod marks;
mod outside;
mod purge;
mod show;
mod stranger;
mod tiers;
mod trails;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Whether the long versions of the tests are asked for.
fn deep() -> bool {
    std::env::var_os("HV_DEEP").is_some()
}

/// Runs `hv audit` on a folder; gives exit code, stdout and stderr.
fn audit(command: &str, dir: &Path, options: &[&str]) -> (i32, String, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_hv"));
    let Output { status, stdout, stderr } =
        program.args(["audit", command]).arg(dir).args(options).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// What `hv audit … --json` prints, and the exit code.
fn audit_json(command: &str, dir: &Path, options: &[&str]) -> (i32, serde_json::Value) {
    let (code, stdout, stderr) = audit(command, dir, &[options, &["--json"]].concat());
    let value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    (code, value)
}

/// Every file below a folder, by its path in it.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A folder of a trail that is removed in the end.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("trail")
    }

    async fn finished() -> Self {
        let place = Self::new();
        trails::finished(&place.dir()).await;
        place
    }
}
