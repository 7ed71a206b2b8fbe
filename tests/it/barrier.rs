//! A run held in the middle: the programs of its steps are there under their own names, and one of them waits to begin.

use crate::scene::wait_for;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// What the examples call by name.
const PROGRAMS: [&str; 8] = ["cp", "git", "grep", "ls", "mkdir", "rm", "sh", "test"];

/// Counts the programs that steps begin; the one of a given number waits until it is let go.
pub struct Barrier {
    folder: tempfile::TempDir,
}

impl Barrier {
    /// Before the program of this number, counted from 1; with 0 none waits.
    pub fn before(number: usize) -> Self {
        let barrier = Self { folder: tempfile::tempdir().unwrap() };
        let (bin, begun) = (barrier.path("bin"), barrier.path("begun"));
        [&bin, &begun].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let path = std::env::var("PATH").unwrap();
        for name in PROGRAMS {
            // What a program begins itself is not counted: the path is the old one again.
            let script = format!(
                "#!/bin/sh\nPATH='{path}'; export PATH\nn=1\n\
                 until mkdir '{begun}'/$n 2> /dev/null; do n=$((n + 1)); done\n\
                 if test $n = {number}; then\n  : > '{there}'\n  until test -e '{go}'; do sleep 0.02; done\nfi\n\
                 exec {name} \"$@\"\n",
                begun = begun.display(),
                there = barrier.path("there").display(),
                go = barrier.path("go").display(),
            );
            let file = bin.join(name);
            fs::write(&file, script).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        barrier
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command with these programs in front of the others.
    pub fn under(&self, mut command: Command) -> Command {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path);
        command
    }

    pub fn reached(&self) {
        wait_for("the program that waits", || self.path("there").exists());
    }

    pub fn let_go(&self) {
        fs::write(self.path("go"), "").unwrap();
    }

    /// How many programs were begun.
    pub fn count(&self) -> usize {
        fs::read_dir(self.path("begun")).unwrap().count()
    }
}
