//! Programs that a part runs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// Cargo in the given folder, as if it was called from a shell there.
///
/// `cargo xtask` itself runs under cargo, which describes the package xtask in the environment; that
/// description is taken out again.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|p| text.starts_with(p))
        {
            command.env_remove(&name);
        }
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// A program in the given folder.
pub(crate) fn program(name: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// The same command, run by another program, such as one that limits it.
pub(crate) fn under(other: &str, arguments: &[&str], command: &Command) -> Command {
    let mut wrapped = Command::new(other);
    wrapped.args(arguments).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

/// Runs the program with its output passed through as it comes.
///
/// # Errors
/// What was run and how it ended, where that is not exit code 0.
pub(crate) fn stream(command: &mut Command) -> Result<(), String> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let status = command.status().map_err(|e| format!("`{shown}` does not start: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` ended with {status}")) }
}

/// Runs the program and returns what it wrote to stdout.
///
/// # Errors
/// As [`stream`], with what it wrote to stderr.
pub(crate) fn capture(command: &mut Command) -> Result<String, String> {
    let shown = show(command);
    let output = command.output().map_err(|e| format!("`{shown}` does not start: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{shown}` ended with {}: {}", output.status, said.trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{shown}` wrote what is not UTF-8"))
}

/// Whether a program of this name is on the path.
pub(crate) fn exists(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn show(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_or_is_missing_is_an_error_that_names_it() {
        let here = std::env::temp_dir();
        let failed = capture(program("sh", &here).args(["-c", "echo because >&2; exit 3"])).unwrap_err();
        assert!(failed.contains("exit status: 3") && failed.contains("because"), "{failed}");
        let missing = capture(&mut program("hv-no-such-program", &here)).unwrap_err();
        assert!(missing.contains("hv-no-such-program"), "{missing}");
        assert!(exists("sh") && !exists("hv-no-such-program"));
    }
}
