//! A run held in the middle: the programs of its steps are there under their own names, and one of them waits to begin.

use crate::scene::wait_for;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the examples call by name.
const PROGRAMS: [&str; 13] =
    ["cp", "echo", "false", "git", "grep", "ls", "mkdir", "rm", "rmdir", "sh", "test", "touch", "true"];

fn write(file: &Path, script: &str) {
    fs::write(file, script).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

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
            write(&bin.join(name), &script);
        }
        barrier
    }

    /// The program hv for a script: what hv begins is counted, and not what the script does beside it. What it says is
    /// kept, also where the script throws it away.
    pub fn hv(&self) -> PathBuf {
        let (file, program) = (self.path("hv"), crate::support::hv());
        let bin = self.path("bin");
        let script = format!(
            "#!/bin/sh\nPATH='{}':\"$PATH\" exec '{}' \"$@\" 2>> '{}'\n",
            bin.display(),
            program.get_program().display(),
            self.path("said").display(),
        );
        write(&file, &script);
        file
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

    /// What hv has said to the script.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("said")).unwrap_or_default()
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
