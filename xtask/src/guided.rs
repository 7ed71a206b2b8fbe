//! Programs built twice: once so that they count which way they go, and again as those counts say.
//!
//! What a command goes through is larger than a processor's first cache. Where the compiler knows which way is mostly
//! gone, it puts what is seldom gone elsewhere, and what is left of a governed session is two thirds as large and takes
//! three quarters of the time (docs/adr/0015).

use crate::bench::peer::Side;
use crate::command::{capture, cargo, program, stream};
use crate::report::{Passed, Report};
use crate::workspace::Workspace;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The programs whose ways are counted, and how often each does what.
const TRAINING: [(&str, &[(&str, u64)]); 2] = [
    (
        "hv-bench-peer",
        &[
            ("vouching_sigma_eff", 2_000),
            ("delta_capture", 10_000),
            ("merkle_root_100_deltas", 100),
            ("chain_verify_50_deltas", 200),
            ("session_lifecycle", 5_000),
            ("saga_3_steps", 5_000),
            ("full_governance_pipeline", 5_000),
        ],
    ),
    ("hv-bench-saga", &[("saga_in_memory", 2_000), ("saga_on_log_64", 1_280), ("saga_recovery", 10_000)]),
];

/// `cargo xtask guided`: `hv` itself, built so.
pub(crate) fn run(workspace: &Workspace, report: &mut Report) {
    let profile = profile(workspace, report);
    report.part("build hv as that says", || {
        let profile = profile.ok_or("there is no profile")?;
        let built = build(workspace, &profile, &["--package", "hv-cli", "--bin", "hv"])?;
        eprintln!("{}", built.join("hv").display());
        Ok(())
    });
}

/// Counts which way the programs go; gives where it is written down. What was counted before is taken again as long as the
/// programs are the same.
pub(crate) fn profile(workspace: &Workspace, report: &mut Report) -> Option<PathBuf> {
    let mut found = None;
    let built = report.part("build what counts its ways", || {
        let merge = merge_tool()?;
        let folder = folder(workspace);
        let counts = folder.join("counts");
        fs::create_dir_all(&counts).map_err(|e| format!("{}: {e}", counts.display()))?;
        let mut what = vec!["--package", "hv-benches"];
        TRAINING.iter().for_each(|(name, _)| what.extend(["--bin", name]));
        let programs = compile(workspace, "counting", &flag("profile-generate", &counts), &what)?;
        found = Some((merge, counts, programs));
        Ok(())
    });
    let (Passed::Yes, Some((merge, counts, programs))) = (built, found) else { return None };
    let profile = folder(workspace).join("profile.profdata");
    let trained = report.part("count which way they go", || {
        let newest = TRAINING.iter().filter_map(|(name, _)| changed(&programs.join(name))).max();
        if changed(&profile).zip(newest).is_some_and(|(profile, newest)| profile > newest) {
            eprintln!("as counted before: the programs are the same");
            return Ok(());
        }
        fs::remove_dir_all(&counts).map_err(|e| format!("{}: {e}", counts.display()))?;
        for (name, work) in TRAINING {
            let mut side = Side::start(&mut program(programs.join(name), &folder(workspace)))?;
            for (workload, calls) in work {
                side.answer(workload, *calls)?;
            }
        }
        stream(Command::new(&merge).arg("merge").arg("-o").arg(&profile).arg(&counts))
    });
    matches!(trained, Passed::Yes).then_some(profile)
}

/// Builds a program as the profile says; gives the folder in which it lies.
pub(crate) fn build(workspace: &Workspace, profile: &Path, what: &[&str]) -> Result<PathBuf, String> {
    // Cargo looks at the flags, not at the file: another profile has another name.
    let changed = changed(profile).and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let changed = changed.ok_or_else(|| format!("{}: it is not there", profile.display()))?;
    let profiles = folder(workspace).join("profiles");
    let named = profiles.join(format!("{}.profdata", changed.as_nanos()));
    // Those before it are nobody's any more.
    let emptied = if profiles.exists() { fs::remove_dir_all(&profiles) } else { Ok(()) };
    let kept = emptied.and_then(|()| fs::create_dir_all(&profiles)).and_then(|()| fs::copy(profile, &named));
    kept.map_err(|e| format!("{}: {e}", named.display()))?;
    compile(workspace, "built", &flag("profile-use", &named), what)
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("guided")
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

/// As cargo's configuration takes it, behind the flags that stand there already.
fn flag(name: &str, path: &Path) -> String {
    format!("build.rustflags=[{:?}]", format!("-C{name}={}", path.display()))
}

/// Builds for the machine that it runs on, so that what runs while it is built is not built with the flag.
fn compile(workspace: &Workspace, part: &str, flag: &str, what: &[&str]) -> Result<PathBuf, String> {
    let (host, target) = (host()?, folder(workspace).join(part));
    let mut command = cargo(&workspace.root);
    command.args(["build", "--release", "--locked", "--config", flag, "--target", &host]).args(what);
    // They would take the place of the flag.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    stream(command.arg("--target-dir").arg(&target))?;
    Ok(target.join(host).join("release"))
}

fn host() -> Result<String, String> {
    let told = capture(Command::new("rustc").arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| format!("rustc does not say for what it is: {told}"))
}

/// What merges counts, of the same compiler; it is fetched where it is not there.
fn merge_tool() -> Result<PathBuf, String> {
    let sysroot = capture(Command::new("rustc").args(["--print", "sysroot"]))?;
    let tool = Path::new(sysroot.trim()).join("lib/rustlib").join(host()?).join("bin/llvm-profdata");
    if !tool.is_file() {
        stream(Command::new("rustup").args(["component", "add", "llvm-tools"]))?;
    }
    let missing = || format!("{} is not there: `rustup component add llvm-tools`", tool.display());
    if tool.is_file() { Ok(tool) } else { Err(missing()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_flag_is_a_string_of_toml() {
        let flag = flag("profile-use", Path::new("/a b/\"c\"/x.profdata"));
        assert_eq!(flag, r#"build.rustflags=["-Cprofile-use=/a b/\"c\"/x.profdata"]"#);
    }

    #[test]
    fn the_machine_is_one_that_rustc_knows() {
        let host = host().unwrap();
        let known = capture(Command::new("rustc").args(["--print", "target-list"])).unwrap();
        assert!(known.lines().any(|line| line == host), "{host}");
    }
}
