//! Anchors that need no network: a file somewhere else, and notes in a git repository.

use super::{Anchor, AnchorFault, Look};
use hv_types::Digest;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a line begins with.
const WORD: &str = "hv-anchor v1 ";

fn line(digest: &Digest) -> String {
    format!("{WORD}{digest}\n")
}

fn is_there(text: &str, digest: &Digest) -> bool {
    text.lines().any(|found| found == line(digest).trim_end())
}

fn unreachable(what: &Path, error: &io::Error) -> AnchorFault {
    AnchorFault::Unreachable { why: format!("{}: {error}", what.display()) }
}

/// A file to which lines are added, on a medium that whoever writes to the log does not write to.
#[derive(Debug, Clone)]
pub struct FileAnchor {
    path: PathBuf,
}

impl FileAnchor {
    /// Adds to this file; it is made where there is none.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    fn text(&self) -> Result<String, AnchorFault> {
        match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|error| unreachable(&self.path, &error)),
        }
    }
}

impl Anchor for FileAnchor {
    fn target(&self) -> String {
        format!("file:{}", self.path.display())
    }

    fn prepare(&self, _: &Digest) -> Result<Vec<u8>, AnchorFault> {
        Ok(Vec::new())
    }

    fn send(&self, digest: &Digest, receipt: &[u8]) -> Result<Vec<u8>, AnchorFault> {
        let text = self.text()?;
        if !is_there(&text, digest) {
            let add = || {
                let mut file: File = OpenOptions::new().append(true).create(true).open(&self.path)?;
                // A line that was cut off is ended first.
                let begin = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
                file.write_all(format!("{begin}{}", line(digest)).as_bytes())?;
                file.sync_all()
            };
            add().map_err(|error| unreachable(&self.path, &error))?;
        }
        Ok(receipt.to_vec())
    }

    fn look(&self, digest: &Digest, receipt: &[u8]) -> Result<Look, AnchorFault> {
        let there = is_there(&self.text()?, digest);
        Ok(if there { Look::Included { receipt: receipt.to_vec(), is_final: false } } else { Look::Missing })
    }
}

/// Notes under `refs/notes/hv-anchor`, on the commit that the repository has checked out.
#[derive(Debug, Clone)]
pub struct GitAnchor {
    repository: PathBuf,
}

impl GitAnchor {
    /// Adds notes in this repository.
    #[must_use]
    pub fn new(repository: &Path) -> Self {
        Self { repository: repository.to_owned() }
    }

    /// What git prints; `None` where it fails.
    fn git(&self, arguments: &[&str]) -> Result<Result<String, String>, AnchorFault> {
        let mut git = Command::new("git");
        // Who made the note is not the point, so that git need not know who it works for.
        git.env("GIT_AUTHOR_NAME", "hv").env("GIT_AUTHOR_EMAIL", "hv@localhost");
        git.env("GIT_COMMITTER_NAME", "hv").env("GIT_COMMITTER_EMAIL", "hv@localhost");
        let done = git.arg("-C").arg(&self.repository).args(arguments).output();
        let done = done.map_err(|error| unreachable(Path::new("git"), &error))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Ok(if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) })
    }

    /// The note on a commit; nothing where there is none. A repository that is not there, or that git does not take for
    /// one of ours to read, says nothing about its notes.
    fn note(&self, commit: &str) -> Result<String, AnchorFault> {
        match self.git(&["notes", "--ref=hv-anchor", "show", commit])? {
            Ok(note) => Ok(note),
            Err(_) => {
                let readable = self.git(&["rev-parse", "--git-dir"])?;
                readable.map(|_| String::new()).map_err(|why| AnchorFault::Unreachable { why })
            }
        }
    }
}

fn commit(receipt: &[u8]) -> Result<&str, AnchorFault> {
    let commit = core::str::from_utf8(receipt).ok().filter(|text| !text.starts_with('-'));
    commit.ok_or_else(|| AnchorFault::Unusable { why: "the receipt names no commit".to_owned() })
}

impl Anchor for GitAnchor {
    fn target(&self) -> String {
        format!("git:{}", self.repository.display())
    }

    fn prepare(&self, _: &Digest) -> Result<Vec<u8>, AnchorFault> {
        let head = self.git(&["rev-parse", "--verify", "HEAD"])?;
        head.map(String::into_bytes).map_err(|why| AnchorFault::Unusable { why })
    }

    fn send(&self, digest: &Digest, receipt: &[u8]) -> Result<Vec<u8>, AnchorFault> {
        let commit = commit(receipt)?;
        if !is_there(&self.note(commit)?, digest) {
            let message = line(digest);
            let added =
                self.git(&["notes", "--ref=hv-anchor", "append", "-m", message.trim_end(), commit])?;
            added.map_err(|why| AnchorFault::Refused { why })?;
        }
        Ok(receipt.to_vec())
    }

    fn look(&self, digest: &Digest, receipt: &[u8]) -> Result<Look, AnchorFault> {
        let there = is_there(&self.note(commit(receipt)?)?, digest);
        Ok(if there { Look::Included { receipt: receipt.to_vec(), is_final: false } } else { Look::Missing })
    }
}
