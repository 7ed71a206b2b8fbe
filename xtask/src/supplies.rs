//! What tests and measurements need besides the toolchain: virtual environments with pinned Python packages.
//!
//! Each lives under the target folder, is made once, and is made again when its pins or the Python change.

use crate::command;
use crate::workspace::Workspace;
use std::path::PathBuf;

/// A virtual environment that the tests find through an environment variable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Venv {
    /// What it is called in reports, and its folder under `target/venv/`.
    pub(crate) name: &'static str,
    /// The variable that tells the tests where it is.
    pub(crate) variable: &'static str,
    /// The file with its pins, relative to the root.
    pub(crate) pins: &'static str,
}

/// agent-hypervisor (Python), which the measurements compare with.
pub(crate) const PEER: Venv =
    Venv { name: "agent-hypervisor", variable: "HV_PEER_VENV", pins: "benches/peer/requirements.txt" };

/// The packages that the adapters are compared with.
const ADAPTED: Venv =
    Venv { name: "adapted", variable: "HV_TEST_VENV", pins: "crates/hv-integrations/tests/requirements.txt" };

/// All that `cargo xtask test` prepares.
pub(crate) const FOR_TESTS: [Venv; 1] = [ADAPTED];

impl Venv {
    /// Where the environment is, after making it where it is missing or stale.
    pub(crate) fn prepare(&self, workspace: &Workspace) -> Result<PathBuf, String> {
        let root = &workspace.root;
        let pins = workspace.text(self.pins)?.ok_or_else(|| format!("{}: not UTF-8", self.pins))?;
        let python = command::capture(command::program("python3", root).arg("--version"))?;
        let made_of = format!("{}\n{pins}", python.trim());
        let folder = workspace.target.join("venv").join(self.name);
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
        // Captured, because stdout may belong to a report for another program.
        command::capture(command::program("python3", root).args(["-m", "venv"]).arg(&folder))?;
        command::capture(
            command::program(folder.join("bin/python"), root)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                .args(["--no-input", "--no-deps", "--requirement", self.pins]),
        )?;
        std::fs::write(&mark, made_of).map_err(|e| format!("{}: {e}", mark.display()))?;
        Ok(folder)
    }
}
