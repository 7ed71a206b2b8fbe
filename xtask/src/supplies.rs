//! What tests and measurements need besides the toolchain: virtual environments with pinned Python packages, and
//! folders with pinned packages for Node.
//!
//! Each lives under the target folder, is made once, and is made again when its pins or the interpreter change.

use crate::command;
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};

/// Packages that the tests find through an environment variable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Supply {
    /// What it is called in reports, and its folder under `target/venv/` or `target/node/`.
    pub(crate) name: &'static str,
    /// The variable that tells the tests where it is.
    pub(crate) variable: &'static str,
    /// The file with its pins, relative to the root.
    pub(crate) pins: &'static str,
    /// Who runs them.
    pub(crate) kind: Kind,
}

/// Who runs packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Python, in a virtual environment.
    Python,
    /// The same with Python 3.12 or newer, wherever one is.
    NewPython,
    /// Node, in a folder with `node_modules`.
    Node,
}

/// agent-hypervisor (Python), which the measurements compare with.
pub(crate) const PEER: Supply = Supply {
    name: "agent-hypervisor",
    variable: "HV_PEER_VENV",
    pins: "benches/peer/requirements.txt",
    kind: Kind::Python,
};

/// The packages that the adapters are compared with.
pub(crate) const ADAPTED: Supply = Supply {
    name: "adapted",
    variable: "HV_TEST_VENV",
    pins: "crates/hv-integrations/tests/requirements.txt",
    kind: Kind::Python,
};

/// The five kernels themselves, alive. Apart from those that answers are compared with: here is scipy, with which cmvk
/// computes some distances another way.
const KERNELS: Supply = Supply {
    name: "kernels",
    variable: "HV_KERNELS_VENV",
    pins: "tests/fixtures/kernels.txt",
    kind: Kind::Python,
};

/// A tool server in Python.
const TOOLS_PYTHON: Supply = Supply {
    name: "tool-servers",
    variable: "HV_TEST_TOOLS_VENV",
    pins: "crates/hv-integrations/tests/tools/requirements.txt",
    kind: Kind::Python,
};

/// A client of tiled logs and a witness by others, which check what is exported.
const TLOG: Supply = Supply {
    name: "tlog",
    variable: "HV_TEST_TLOG_VENV",
    pins: "crates/hv-cli/tests/tlog/requirements.txt",
    kind: Kind::NewPython,
};

/// Tool servers in JavaScript.
const TOOLS_NODE: Supply = Supply {
    name: "tool-servers",
    variable: "HV_TEST_TOOLS_NODE",
    pins: "crates/hv-integrations/tests/tools/package-lock.json",
    kind: Kind::Node,
};

/// The local node of an EVM chain, which the tests start and stop.
const ANVIL: Supply = Supply {
    name: "anvil",
    variable: "HV_TEST_ANVIL",
    pins: "crates/hv-cli/tests/anvil/package-lock.json",
    kind: Kind::Node,
};

/// All that `cargo xtask test` prepares.
pub(crate) static FOR_TESTS: [Supply; 6] = [ADAPTED, KERNELS, TOOLS_PYTHON, TOOLS_NODE, ANVIL, TLOG];

impl Supply {
    /// Where the packages are, after installing them where they are missing or stale.
    pub(crate) fn prepare(&self, workspace: &Workspace) -> Result<PathBuf, String> {
        let root = &workspace.root;
        let pins = workspace.text(self.pins)?.ok_or_else(|| format!("{}: not UTF-8", self.pins))?;
        let (interpreter, under) = match self.kind {
            Kind::Python => (PathBuf::from("python3"), "venv"),
            Kind::NewPython => (new_python(root)?, "venv"),
            Kind::Node => (PathBuf::from("node"), "node"),
        };
        let version = command::capture(command::program(&interpreter, root).arg("--version"))?;
        let made_of = format!("{}\n{pins}", version.trim());
        let folder = workspace.target.join(under).join(self.name);
        // Written last, so a folder without it is one that was not finished.
        let mark = folder.join("made-of.txt");
        if std::fs::read_to_string(&mark).is_ok_and(|mark| mark == made_of) {
            eprintln!("{} is ready in {}", self.name, folder.display());
            return Ok(folder);
        }
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        eprintln!("making {} from {}", folder.display(), self.pins);
        match self.kind {
            Kind::Python | Kind::NewPython => self.install_python(workspace, &interpreter, &folder)?,
            Kind::Node => self.install_node(workspace, &folder, &pins)?,
        }
        std::fs::write(&mark, made_of).map_err(|e| format!("{}: {e}", mark.display()))?;
        Ok(folder)
    }

    fn install_python(&self, workspace: &Workspace, python: &Path, folder: &Path) -> Result<(), String> {
        let root = &workspace.root;
        // Captured, because stdout may belong to a report for another program.
        command::capture(command::program(python, root).args(["-m", "venv"]).arg(folder))?;
        command::capture(
            command::program(folder.join("bin/python"), root)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--no-input", "--no-deps", "--requirement", self.pins]),
        )
        .map(drop)
    }

    fn install_node(&self, workspace: &Workspace, folder: &Path, lock: &str) -> Result<(), String> {
        let io = |error: std::io::Error| format!("{}: {error}", folder.display());
        let beside = workspace.root.join(self.pins).with_file_name("package.json");
        let package = std::fs::read(&beside).map_err(|e| format!("{}: {e}", beside.display()))?;
        std::fs::create_dir_all(folder).map_err(io)?;
        std::fs::write(folder.join("package.json"), package).map_err(io)?;
        std::fs::write(folder.join("package-lock.json"), lock).map_err(io)?;
        command::capture(
            command::program("npm", &workspace.root)
                .args(["ci", "--no-fund", "--no-audit", "--ignore-scripts", "--prefix"])
                .arg(folder),
        )
        .map(drop)
    }
}

/// A Python of version 3.12 or newer: by its names, then among those that pyenv keeps.
fn new_python(root: &Path) -> Result<PathBuf, String> {
    let named = ["python3", "python3.14", "python3.13", "python3.12"].map(PathBuf::from);
    let kept = ["3.14", "3.13", "3.12"].iter().filter_map(|version| {
        let prefix = command::capture(command::program("pyenv", root).args(["prefix", version])).ok()?;
        Some(Path::new(prefix.trim()).join("bin/python3"))
    });
    let is_new = |python: &PathBuf| {
        let ask = "import sys; sys.exit(sys.version_info < (3, 12))";
        command::capture(command::program(python, root).args(["-c", ask])).is_ok()
    };
    named.into_iter().chain(kept).find(is_new).ok_or_else(|| "there is no Python 3.12 or newer".to_owned())
}
