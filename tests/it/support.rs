//! The program, the examples, and what a repository looks like from outside.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The program `hv`.
pub fn hv() -> Command {
    built("hv")
}

/// The program, or the example, of that name, from what is checked out.
pub fn built(name: &str) -> Command {
    Command::new(made().programs.get(name).unwrap_or_else(|| panic!("cargo names no program {name}")))
}

/// What the compiler reads of the library of that name, from what is checked out.
pub fn library(name: &str) -> &'static Path {
    made().libraries.get(name).unwrap_or_else(|| panic!("cargo names no library {name}"))
}

/// What cargo made, by name.
struct Made {
    programs: BTreeMap<String, PathBuf>,
    libraries: BTreeMap<String, PathBuf>,
}

/// All of it is built at once, and with the features with which the tests of the workspace are built: then nothing
/// that it is made of is built again.
fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--workspace", "--all-features", "--message-format", "json", "--bin", "hv"]);
        build.args(["--example", "quickstart", "--example", "planner"]);
        // What cargo says of this package to its tests makes build scripts of other packages run again, and with
        // them half of the build, each time in turn with a build from outside.
        for (name, _) in std::env::vars_os() {
            let of_package =
                |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
            if name.to_str().is_some_and(of_package) {
                build.env_remove(name);
            }
        }
        let built = build.current_dir(workspace()).output().expect("cargo runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let messages = String::from_utf8(built.stdout).unwrap();
        let mut made = Made { programs: BTreeMap::new(), libraries: BTreeMap::new() };
        for message in messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let Some(name) = message["target"]["name"].as_str() else { continue };
            if let Some(program) = message["executable"].as_str() {
                made.programs.insert(name.to_owned(), program.into());
            }
            let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
            if let Some(library) = files.into_iter().find(|file| file.ends_with(".rmeta")) {
                made.libraries.insert(name.to_owned(), library.into());
            }
        }
        made
    })
}

/// A run of a session file in folders of its own.
pub struct Run {
    pub folder: tempfile::TempDir,
    pub file: PathBuf,
}

impl Run {
    pub fn of(example: &str) -> Self {
        Self::of_file(workspace().join("examples").join(example))
    }

    pub fn of_file(file: PathBuf) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), file }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("trail")
    }

    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// `hv run FILE`
    pub fn start(&self) -> Command {
        let mut command = hv();
        command.arg("run").arg(&self.file).arg("--data").arg(self.data());
        command.arg("--work").arg(self.work()).arg("--json");
        command
    }

    /// `hv run --resume`
    pub fn resume(&self) -> Command {
        let mut command = hv();
        command.args(["run", "--resume", "--json", "--data"]).arg(self.data());
        command
    }

    /// `hv audit verify`
    pub fn verify(&self) -> Output {
        hv().args(["audit", "verify", "--json"]).arg(self.data()).output().unwrap()
    }
}

/// What a program wrote to standard output, as one JSON document.
pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// Everything that can be seen of a repository: commits, branches, tags, status.
pub fn look(repository: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(repository).args(arguments).output().unwrap();
        format!("{arguments:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stdout))
    };
    let bare = git(&["rev-parse", "--is-bare-repository"]).contains("true");
    let mut seen = git(&["log", "--all", "--oneline", "--decorate", "--graph"]);
    seen += &git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
    seen += &git(&["symbolic-ref", "HEAD"]);
    if !bare {
        seen += &git(&["status", "--porcelain=v2", "--branch", "--untracked-files=all"]);
    }
    seen
}
