//! Tests, lints and documentation: cargo, called so that nothing is forgotten.

use crate::command::{self, cargo, stream};
use crate::report::{Passed, Report};
use crate::supplies::{self, Supply};
use crate::workspace::{Package, Workspace};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Whether tests that need more than the toolchain take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Services {
    Start,
    LeaveOut,
}

/// Which tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of every package.
    All,
    /// Those of the composition alone: `tests/`, with the real program.
    Integration,
}

impl Scope {
    const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::All => &["--workspace"],
            Self::Integration => &["--package", "hv-tests"],
        }
    }
}

/// How long the tests may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Minutes.
    Daily,
    /// As long as it takes.
    Deep,
}

/// A bare-metal target: what builds for it leans on no operating system.
const BARE_METAL: &str = "thumbv7em-none-eabi";
/// The crates that need no operating system.
pub(crate) const NO_STD: [&str; 2] = ["hv-types", "hv-rings"];

/// So many tests run at once for each core, every day: most of them wait, for a disk, a process or a clock.
///
/// Where a test measures it does so when it is asked to be deep, and then as few run as the runner chooses.
const TESTS_FOR_EACH_CORE: usize = 4;

/// A supply that was prepared: how long that took, and where it is.
type Prepared = (&'static Supply, Duration, Result<PathBuf, String>);

/// The tests of the workspace. The runner's own lines are passed through as they are.
///
/// What they need is fetched while they are built: the one waits for the net, the other for the processor.
pub(crate) fn test(
    workspace: &Workspace,
    report: &mut Report,
    scope: Scope,
    services: Services,
    depth: Depth,
) {
    let mut found = Vec::new();
    if services == Services::LeaveOut {
        for supply in &supplies::FOR_TESTS {
            let why = format!("--no-services; tests that read {} leave themselves out", supply.variable);
            report.leave_out(&preparing(supply), &why);
        }
    }
    let built = std::thread::scope(|threads| {
        let prepared = (services == Services::Start).then(|| threads.spawn(|| prepare(workspace)));
        let built = report.part("build the tests", || {
            stream(&mut runner(workspace, scope, services, depth, &[], &["--no-run"]))
        });
        let Some(prepared) = prepared else { return built };
        match prepared.join() {
            Ok(prepared) => {
                eprintln!("\nprepared beside the build:");
                for (supply, took, outcome) in prepared {
                    let outcome = outcome.map(|folder| found.push((supply.variable, folder)));
                    report.done(&preparing(supply), took, outcome);
                }
            }
            Err(_) => _ = report.done("prepare", Duration::ZERO, Err("a thread panicked".to_owned())),
        }
        built
    });
    match built {
        Passed::Yes => {
            let mut command = runner(workspace, scope, services, depth, &found, &[]);
            report.part("test", || stream(&mut command));
        }
        Passed::No => report.leave_out("test", "the tests do not build"),
    }
}

fn preparing(supply: &Supply) -> String {
    format!("prepare {}", supply.variable)
}

/// All of them at once: each mostly waits for what it loads.
fn prepare(workspace: &Workspace) -> Vec<Prepared> {
    let one = |supply: &'static Supply| {
        let started = Instant::now();
        let outcome = supply.prepare(workspace);
        (supply, started.elapsed(), outcome)
    };
    std::thread::scope(|threads| {
        let all: Vec<_> =
            supplies::FOR_TESTS.iter().map(|supply| (supply, threads.spawn(move || one(supply)))).collect();
        let panicked = |supply| (supply, Duration::ZERO, Err("a thread panicked".to_owned()));
        all.into_iter().map(|(supply, one)| one.join().unwrap_or_else(|_| panicked(supply))).collect()
    })
}

/// `cargo test` with these supplies, and what it says to the tests.
fn runner(
    workspace: &Workspace,
    scope: Scope,
    services: Services,
    depth: Depth,
    found: &[(&str, PathBuf)],
    arguments: &[&str],
) -> Command {
    let mut command = cargo(&workspace.root);
    command.arg("test").args(scope.packages());
    command.args(["--all-features", "--no-fail-fast"]).args(arguments);
    // What was not prepared here is not there, whatever the caller's environment says.
    supplies::FOR_TESTS.iter().for_each(|supply| _ = command.env_remove(supply.variable));
    command.envs(found.iter().map(|(variable, folder)| (variable, folder)));
    match services {
        Services::LeaveOut => command.env("HV_TEST_NO_SERVICES", "1"),
        // A comparison that cannot be made fails instead of being left out.
        Services::Start => command.env("HV_REQUIRE_SERVICES", "1"),
    };
    match depth {
        Depth::Deep => _ = command.env("HV_DEEP", "1"),
        Depth::Daily if std::env::var_os("RUST_TEST_THREADS").is_none() => {
            let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
            command.env("RUST_TEST_THREADS", (cores * TESTS_FOR_EACH_CORE).to_string());
        }
        Depth::Daily => {}
    }
    command
}

/// Format, clippy, features, `no_std`.
pub(crate) fn lint(workspace: &Workspace, report: &mut Report) {
    let root = &workspace.root;
    report.part("fmt", || stream(cargo(root).args(["fmt", "--all", "--check"])));
    report.part("clippy", || {
        let arguments = ["clippy", "--workspace", "--all-targets", "--all-features", "--locked"];
        stream(cargo(root).args(arguments).args(["--", "-D", "warnings"]))
    });
    report.part("features", || features(workspace));
    report.part("lock files", || lock_files(workspace));
    no_std(workspace, report);
}

/// What stands outside the workspace has a lock file of its own, which no command above looks at.
fn lock_files(workspace: &Workspace) -> Result<(), String> {
    for folder in workspace.files.iter().filter_map(|file| file.strip_suffix("/Cargo.lock")) {
        eprintln!("{folder}/Cargo.lock");
        let manifest = format!("{folder}/Cargo.toml");
        let update = ["update", "--workspace", "--locked", "--quiet", "--manifest-path", &manifest];
        stream(cargo(&workspace.root).args(update)).map_err(|why| {
            format!(
                "{folder}/Cargo.lock was not made for the manifest beside it ({why}); make it anew with `cargo update \
                 --workspace --manifest-path {manifest}`"
            )
        })?;
    }
    Ok(())
}

/// What takes a tool or a target that is not on every machine: bare metal, licences, fuzzing.
pub(crate) fn deep(workspace: &Workspace, report: &mut Report) {
    bare_metal(workspace, report);
    licences(workspace, report);
    fuzz(workspace, report);
}

/// How long each decoder is fed with anything.
const FUZZ_SECONDS: u32 = 600;

/// Every fuzz target, from its corpus on; what it finds besides stays in the target folder.
fn fuzz(workspace: &Workspace, report: &mut Report) {
    if !command::exists("cargo-fuzz") {
        report.leave_out("fuzz", "cargo-fuzz is not installed (`cargo install cargo-fuzz --locked`)");
        return;
    }
    let sources = workspace.files.iter().filter_map(|file| file.strip_prefix("fuzz/fuzz_targets/"));
    for target in sources.filter_map(|file| file.strip_suffix(".rs")) {
        report.part(&format!("fuzz {target}"), || {
            let found = workspace.target.join("fuzz").join(target);
            std::fs::create_dir_all(&found).map_err(|e| format!("{}: {e}", found.display()))?;
            let limit = format!("-max_total_time={FUZZ_SECONDS}");
            let mut command = cargo(&workspace.root);
            command.args(["fuzz", "run", "--sanitizer", "none", target]).arg(&found);
            stream(command.arg(format!("fuzz/corpus/{target}")).args(["--", &limit]))
        });
    }
}

/// The documentation of every crate, with every warning an error.
pub(crate) fn doc(workspace: &Workspace, report: &mut Report) {
    report.part("doc", || {
        stream(
            cargo(&workspace.root)
                .args(["doc", "--workspace", "--no-deps", "--all-features", "--locked"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    });
}

/// Each crate without its features and with each one alone: features that only build together are a defect.
fn features(workspace: &Workspace) -> Result<(), String> {
    let mut wrong = Vec::new();
    for package in workspace.crates() {
        let alone = package.features.iter().map(|feature| Some(feature.as_str()));
        for feature in std::iter::once(None).chain(alone) {
            if let Err(why) = check_alone(workspace, package, feature, &[]) {
                eprintln!("{why}");
                wrong.push(format!(
                    "{}{}",
                    package.name,
                    feature.map(|f| format!("/{f}")).unwrap_or_default()
                ));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("do not build cleanly alone: {}", wrong.join(", "))) }
}

fn check_alone(
    workspace: &Workspace,
    package: &Package,
    feature: Option<&str>,
    more: &[&str],
) -> Result<(), String> {
    let mut command = cargo(&workspace.root);
    command.args(["check", "--quiet", "--locked", "--no-default-features", "--package", &package.name]);
    command.args(feature.iter().flat_map(|feature| ["--features", feature])).args(more);
    let shown = format!("{} with {}", package.name, feature.unwrap_or("no feature"));
    eprintln!("checking {shown}");
    let output = command.output().map_err(|e| format!("cargo does not start: {e}"))?;
    // With `--quiet` a clean check says nothing, so what is said is an error or a warning.
    if output.status.success() && output.stderr.is_empty() {
        return Ok(());
    }
    Err(format!("{shown}:\n{}", String::from_utf8_lossy(&output.stderr)))
}

fn no_std(workspace: &Workspace, report: &mut Report) {
    report.part("no_std in the sources", || {
        NO_STD.iter().try_for_each(|name| {
            let file = format!("crates/{name}/src/lib.rs");
            let text = workspace.text(&file)?.unwrap_or_default();
            declares_no_std(&text).map_err(|why| format!("{file}: {why}"))
        })
    });
}

fn bare_metal(workspace: &Workspace, report: &mut Report) {
    let sysroot = command::capture(command::program("rustc", &workspace.root).args(["--print", "sysroot"]));
    let installed = sysroot.is_ok_and(|sysroot| {
        std::path::Path::new(sysroot.trim()).join("lib/rustlib").join(BARE_METAL).is_dir()
    });
    let name = format!("no_std for {BARE_METAL}");
    if !installed {
        report
            .leave_out(&name, "the target is not installed (`rustup target add` it); the sources were read");
        return;
    }
    report.part(&name, || {
        workspace
            .crates()
            .filter(|package| NO_STD.contains(&package.name.as_str()))
            .try_for_each(|package| check_alone(workspace, package, None, &["--lib", "--target", BARE_METAL]))
    });
}

/// That a crate root takes `core` and links the standard library only under a condition.
///
/// With no dependency that links it either (the weights of `tidy` see to that), this is what a build for
/// bare metal would show.
fn declares_no_std(text: &str) -> Result<(), String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    if !lines.contains(&"#![no_std]") {
        return Err("no `#![no_std]`".to_owned());
    }
    let mut before = "";
    for line in lines {
        if line == "extern crate std;" && !before.starts_with("#[cfg(") {
            return Err("`extern crate std` without a condition".to_owned());
        }
        before = line;
    }
    Ok(())
}

fn licences(workspace: &Workspace, report: &mut Report) {
    let name = "licences, bans, sources";
    if !command::exists("cargo-deny") {
        report.leave_out(name, "cargo-deny is not installed (`cargo install cargo-deny --locked`)");
        return;
    }
    report.part(name, || {
        // All platforms' packages are judged, so all have to be here.
        stream(cargo(&workspace.root).args(["fetch", "--quiet", "--locked"]))?;
        stream(cargo(&workspace.root).args(["deny", "--offline", "check", "bans", "licenses", "sources"]))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_std_is_a_declaration_without_an_unconditional_way_back() {
        assert!(declares_no_std("//! Docs.\n#![no_std]\nextern crate alloc;\n").is_ok());
        assert!(
            declares_no_std("#![no_std]\n#[cfg(any(test, feature = \"x\"))]\nextern crate std;\n").is_ok()
        );
        assert!(declares_no_std("#![no_std]\nextern crate std;\n").is_err());
        assert!(declares_no_std("#![cfg_attr(not(test), no_std)]\n").is_err());
        assert!(declares_no_std("//! `#![no_std]`\n").is_err());
    }
}
