//! `cargo xtask`: everything that is done to this workspace, as one program without dependencies worth
//! mentioning.
//!
//! A command is a list of parts. Each part says what it runs and how long it took; a part that is left out
//! says so and why; what failed is named once more at the end, and the exit code is then 1.

// A tool for the terminal: its output is its purpose.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod check;
mod command;
mod guided;
mod mutants;
mod report;
mod supplies;
mod tidy;
mod workspace;

use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use workspace::Workspace;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  test [--integration] [--no-services]
                           every test of the workspace, with what they need prepared while they are built
                             --integration  those of the composition alone, with the real program
                             --no-services  leave out what needs a Python package or a server
  lint                     format, clippy, every feature on its own, no_std
  tidy [--root DIR]        the rules about the repository itself: floors, weights, invariants, and so on
                             --root DIR     of another checkout
  doc                      the documentation, warnings denied
  guided                   `hv` built guided by a profile: first with counters, then, once they have counted, as they say;
                           three quarters of the time for a governed session, and three builds instead of one
  bench peer [--json]      ours, built so, beside agent-hypervisor (Python), interleaved in one run
                             --json         the array alone on stdout
                             --plain        ours as `cargo build --release` makes it
                             --rounds N     groups of four runs, ours, theirs, theirs, ours (default 10)
                             --only NAME    one workload
  bench saga [--json]      our sagas beside those of steno, interleaved in one run; options as of bench peer
  bench log [--json]       the log beside a bare sync, SQLite and agent-hypervisor; what checks and memory cost
                             --json         the array alone on stdout
                             --rounds N     how often each is measured (default 3)
  bench adapters [--json]  our adapters beside the packages whose answers they give; options as of bench peer
  bench gate               instructions per call of the measured functions, against benches/gate.toml
  bench scale [--json]     instructions per call at n, 2n, 4n, 8n of what claims O(1) or O(log n), against the claim
                             --json         the array alone on stdout
                             --only NAME    one operation
  mutants                  whether the tests of hv-rings and hv-liability bite: faults planted in a copy, then every
                           mutant of both; what survives has its argument in docs/mutants.toml. Takes hours, and goes
                           on where it was interrupted
                             --planted      the planted faults alone
                             --crate NAME   the mutants of one crate alone
                             --shard K/N    one part of N of them, K from 0
                             --since COMMIT those alone in lines that changed since then
  ci [--deep]              tidy, lint, doc, test, bench gate
                             --deep         with the long versions of the tests (HV_DEEP=1), bare metal, licences,
                                            bench scale, mutants
  help                     this

Exit codes: 0 all parts passed, 1 a part failed, 2 the command line is wrong.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Task::parse(&arguments) {
        Ok(Task::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(task) => match run(&task) {
            Ok(report) => report.finish(),
            Err(why) => {
                eprintln!("cargo xtask: {why}");
                ExitCode::FAILURE
            }
        },
        Err(why) => {
            eprintln!("cargo xtask: {why}; see `cargo xtask help`");
            ExitCode::from(2)
        }
    }
}

/// What somebody asks for on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Task {
    Help,
    Test(check::Scope, check::Services),
    Lint,
    Tidy { root: Option<PathBuf> },
    Doc,
    Guided,
    Peer(bench::peer::Options),
    Saga(bench::peer::Options),
    Log(bench::log::Options),
    Adapters(bench::peer::Options),
    Gate,
    Scale(bench::scale::Options),
    Mutants(mutants::Options),
    Ci(check::Depth),
}

impl Task {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        if arguments.iter().any(|word| word == "--help" || word == "-h") {
            return Ok(Self::Help);
        }
        let mut words = arguments.iter().map(String::as_str);
        let task = match words.next() {
            None | Some("help") => Self::Help,
            Some("test") => {
                let (mut scope, mut services) = (check::Scope::All, check::Services::Start);
                for word in words.by_ref() {
                    match word {
                        "--integration" => scope = check::Scope::Integration,
                        "--no-services" => services = check::Services::LeaveOut,
                        other => return Err(format!("`test` does not know `{other}`")),
                    }
                }
                Self::Test(scope, services)
            }
            Some("lint") => Self::Lint,
            Some("tidy") => match words.next() {
                None => Self::Tidy { root: None },
                Some("--root") => {
                    let root = words.next().ok_or("`--root` needs a folder")?;
                    Self::Tidy { root: Some(PathBuf::from(root)) }
                }
                Some(other) => return Err(format!("`tidy` does not know `{other}`")),
            },
            Some("doc") => Self::Doc,
            Some("guided") => Self::Guided,
            Some("bench") => match words.next() {
                Some("peer") => Self::Peer(bench::peer::Options::parse(&mut words)?),
                Some("saga") => Self::Saga(bench::saga::options(&mut words)?),
                Some("log") => Self::Log(bench::log::Options::parse(&mut words)?),
                Some("adapters") => Self::Adapters(bench::adapters::options(&mut words)?),
                Some("gate") => Self::Gate,
                Some("scale") => Self::Scale(bench::scale::Options::parse(&mut words)?),
                Some(other) => return Err(format!("there is no benchmark `{other}`")),
                None => {
                    return Err(
                        "`bench` needs `peer`, `saga`, `log`, `adapters`, `gate` or `scale`".to_owned()
                    );
                }
            },
            Some("mutants") => Self::Mutants(mutants::Options::parse(&mut words)?),
            Some("ci") => match words.next() {
                None => Self::Ci(check::Depth::Daily),
                Some("--deep") => Self::Ci(check::Depth::Deep),
                Some(other) => return Err(format!("`ci` does not know `{other}`")),
            },
            Some(other) => return Err(format!("there is no command `{other}`")),
        };
        match words.next() {
            None => Ok(task),
            Some(more) => Err(format!("`{more}` is one word too many")),
        }
    }
}

fn run(task: &Task) -> Result<Report, String> {
    let root = match task {
        Task::Tidy { root: Some(root) } => root.clone(),
        _ => workspace::own_root()?,
    };
    let workspace = Workspace::load(&root)?;
    let mut report = Report::new();
    match task {
        Task::Help => {}
        Task::Test(scope, services) => {
            check::test(&workspace, &mut report, *scope, *services, check::Depth::Daily);
        }
        Task::Lint => check::lint(&workspace, &mut report),
        Task::Tidy { .. } => tidy::run(&workspace, &mut report),
        Task::Doc => check::doc(&workspace, &mut report),
        Task::Guided => guided::run(&workspace, &mut report),
        Task::Peer(options) => bench::peer::run(&workspace, &mut report, options),
        Task::Saga(options) => bench::saga::run(&workspace, &mut report, options),
        Task::Log(options) => bench::log::run(&workspace, &mut report, *options),
        Task::Adapters(options) => bench::adapters::run(&workspace, &mut report, options),
        Task::Gate => bench::gate::run(&workspace, &mut report),
        Task::Scale(options) => bench::scale::run(&workspace, &mut report, options),
        Task::Mutants(options) => mutants::run(&workspace, &mut report, options),
        Task::Ci(depth) => {
            tidy::run(&workspace, &mut report);
            check::lint(&workspace, &mut report);
            check::doc(&workspace, &mut report);
            check::test(&workspace, &mut report, check::Scope::All, check::Services::Start, *depth);
            bench::gate::run(&workspace, &mut report);
            if *depth == check::Depth::Deep {
                check::deep(&workspace, &mut report);
                bench::scale::run(&workspace, &mut report, &bench::scale::Options::default());
                mutants::run(&workspace, &mut report, &mutants::Options::default());
            }
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Task, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Task::parse(&words)
    }

    #[test]
    fn every_command_is_understood_and_everything_else_refused() {
        for (line, task) in [
            ("", Task::Help),
            ("help", Task::Help),
            ("bench --help", Task::Help),
            ("ci -h", Task::Help),
            ("test", Task::Test(check::Scope::All, check::Services::Start)),
            ("test --no-services", Task::Test(check::Scope::All, check::Services::LeaveOut)),
            ("test --integration", Task::Test(check::Scope::Integration, check::Services::Start)),
            (
                "test --no-services --integration",
                Task::Test(check::Scope::Integration, check::Services::LeaveOut),
            ),
            ("tidy --root elsewhere", Task::Tidy { root: Some(PathBuf::from("elsewhere")) }),
            ("bench gate", Task::Gate),
            ("bench scale", Task::Scale(bench::scale::Options::default())),
            ("mutants", Task::Mutants(mutants::Options::default())),
            ("ci --deep", Task::Ci(check::Depth::Deep)),
        ] {
            assert_eq!(parse(line), Ok(task), "{line}");
        }
        for line in [
            "tests",
            "test --no-service",
            "test integration",
            "lint all",
            "tidy --root",
            "bench",
            "bench all",
            "bench gate --json",
            "bench scale --rounds 3",
            "bench peer --rounds none",
            "bench saga --only saga_3_steps",
            "bench adapters --only saga_in_memory",
            "bench peer --rounds 0",
            "bench log --only verification",
            "mutants --crate hv-core",
            "mutants --shard 4/4",
            "mutants --since",
            "mutants --since --planted",
            "ci --deep deeper",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
