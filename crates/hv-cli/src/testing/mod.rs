//! `hv test`: session files and scripts, run for real and held against what is expected of them.

pub mod args;

mod compare;

use crate::Exit;
use crate::args::RunArgs;
use crate::config::args::ConfigArgs;
use crate::output::{self, Refused};
use crate::plan::cause;
use crate::run::{RunFailure, place, reported};
use crate::session::LiveFailure;
use args::TestArgs;
use compare::{differences, lasting, mistakes};
use hv_core::audit::{Verdict, verify};
use hv_core::saga::exec::survivors::settle;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The longest file of what is expected, in bytes.
const LONGEST: u64 = 16 << 20;

/// How the name of what is expected ends, and how those of scenarios end.
const EXPECTED: &str = ".expected.json";
const ENDS: [&str; 3] = [".toml", ".json", ".sh"];

/// A scenario and what is expected of it.
struct Scenario {
    file: PathBuf,
    name: String,
    expected: PathBuf,
    /// Why it cannot be tried, where that is known already.
    cannot: Option<String>,
}

/// Runs the scenarios and says what differs.
///
/// # Errors
/// [`Refused`] where there is no scenario, or the result cannot be printed.
pub fn run(args: &TestArgs) -> Result<Exit, Refused> {
    let scenarios = find(&args.paths)?;
    let folder = std::env::temp_dir().join(format!("hv-test-{}", place::token::<6>().map_err(failed)?));
    let (mut results, mut differ, mut broken) = (Vec::new(), 0, 0);
    let mut exit = Exit::Done;
    for (n, scenario) in scenarios.iter().enumerate() {
        let place = folder.join(format!("{n}-{}", scenario.name));
        let (mark, told, why) = match scenario.tried(&place, args.write) {
            Ok(Tried::Written) => ("written", Vec::new(), None),
            Ok(Tried::Compared(told)) if told.is_empty() => ("as expected", told, None),
            Ok(Tried::Compared(told)) => ("differs", told, None),
            Err(refused @ Refused::Output(_)) => return Err(refused),
            Err(refused) => {
                let (code, why) = refused.said();
                // What cannot be tried says nothing of what was expected, which is worse than a difference.
                exit = if broken == 0 { code } else { exit };
                broken += 1;
                ("broken", Vec::new(), Some(why))
            }
        };
        differ += usize::from(!told.is_empty());
        if !args.json {
            output::print(&format_args!("{mark:<11}  {}\n", scenario.file.display()))?;
            for line in told.iter().chain(&why) {
                output::print(&format_args!("    {}\n", output::one_line(line)))?;
            }
        }
        let file = scenario.file.display().to_string();
        results.push(json!({ "scenario": file, "differences": told, "broken": why }));
    }
    if broken == 0 && differ > 0 {
        exit = Exit::Failed;
    }
    if args.json {
        let code = exit.code();
        output::json(
            &json!({ "scenarios": results, "differ": differ, "broken": broken, "exit_code": code }),
        )?;
    } else {
        let verb = if differ == 1 { "differs" } else { "differ" };
        let count = output::counted(scenarios.len(), "scenario");
        let broken = if broken == 0 { String::new() } else { format!(", {broken} broken") };
        output::print(&format_args!("{count}, {differ} {verb}{broken}\n"))?;
    }
    if args.keep {
        output::error(&format!("hv: the scenarios worked in {}", folder.display()));
    } else {
        // What cannot be removed is in a folder for what is temporary.
        let _ = fs::remove_dir_all(&folder);
    }
    Ok(exit)
}

/// What came of trying a scenario.
enum Tried {
    /// Where it is not as expected.
    Compared(Vec<String>),
    /// It is expected from now on.
    Written,
}

/// The scenarios in folders, by name, and those that are named alone.
fn find(paths: &[PathBuf]) -> Result<Vec<Scenario>, Refused> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_file() {
            found.push(Scenario::of(path).ok_or_else(|| {
                input(format!("{}: a scenario is a .toml, a .json or a .sh file", path.display()))
            })?);
            continue;
        }
        let unread = |error: io::Error| {
            let why = match error.kind() {
                io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
                kind => cause(kind),
            };
            input(format!("{}: {why}; check the path", path.display()))
        };
        let entries = fs::read_dir(path).map_err(unread)?.map(|entry| entry.map(|entry| entry.path()));
        let mut files = entries.collect::<Result<Vec<PathBuf>, _>>().map_err(unread)?;
        files.sort();
        let before = found.len();
        found.extend(files.iter().filter_map(|file| Scenario::of(file)));
        if found.len() == before {
            let none = "there is no scenario in it: no .toml, .json or .sh file";
            return Err(input(format!("{}: {none}", path.display())));
        }
        // What nobody is held against is never missed.
        found.extend(files.iter().filter_map(|file| Scenario::stray(file, &files)));
    }
    let twice: Vec<Option<String>> = found.iter().map(|scenario| scenario.shared(&found)).collect();
    for (scenario, why) in found.iter_mut().zip(twice) {
        scenario.cannot = scenario.cannot.take().or(why);
    }
    Ok(found)
}

impl Scenario {
    fn of(file: &Path) -> Option<Self> {
        let name = file.file_name()?.to_string_lossy();
        let stem = ENDS.iter().find_map(|end| name.strip_suffix(end))?;
        if name.ends_with(EXPECTED) || !file.is_file() {
            return None;
        }
        let expected = file.with_file_name(format!("{stem}{EXPECTED}"));
        let cannot = file.to_str().is_none().then(|| "its name is not UTF-8; rename it".to_owned());
        Some(Self { file: file.to_owned(), name: stem.to_owned(), expected, cannot })
    }

    /// What is expected of a scenario that is not there.
    fn stray(file: &Path, among: &[PathBuf]) -> Option<Self> {
        let stem = file.file_name()?.to_str()?.strip_suffix(EXPECTED)?;
        if ENDS.iter().any(|end| among.contains(&file.with_file_name(format!("{stem}{end}")))) {
            return None;
        }
        let cannot = format!("there is no {stem}.toml, {stem}.json or {stem}.sh of which it is expected");
        Some(Self {
            file: file.to_owned(),
            name: stem.to_owned(),
            expected: file.to_owned(),
            cannot: Some(cannot),
        })
    }

    /// That another one is held against the same.
    fn shared(&self, all: &[Self]) -> Option<String> {
        let other = all.iter().find(|other| other.expected == self.expected && other.file != self.file)?;
        let (other, expected) = (other.file.display(), self.expected.display());
        Some(format!("{other} is held against {expected} too; rename one of them"))
    }

    /// Runs it and holds what came against what is expected, which is read first: a run takes its time.
    fn tried(&self, place: &Path, write: bool) -> Result<Tried, Refused> {
        if let Some(cannot) = &self.cannot {
            return Err(input(format!("{}: {cannot}", self.file.display())));
        }
        let expected = self.expected()?;
        if expected.is_none() && !write {
            return Err(input(format!("{} is not there; --write writes it", self.expected.display())));
        }
        let report = self.report(place)?;
        if let Some(expected) = expected {
            return Ok(Tried::Compared(differences(&expected, &report)));
        }
        let text = serde_json::to_string_pretty(&lasting(&report)).unwrap_or_default();
        fs::write(&self.expected, text + "\n").map_err(|error| io_failure(&self.expected, "write", error))?;
        Ok(Tried::Written)
    }

    fn expected(&self) -> Result<Option<Value>, Refused> {
        if !self.expected.exists() {
            return Ok(None);
        }
        let bad = |why: String| input(format!("{}: {why}", self.expected.display()));
        let length = fs::metadata(&self.expected).map_err(|error| bad(cause(error.kind())))?.len();
        if length > LONGEST {
            return Err(bad(format!("more than {LONGEST} bytes")));
        }
        let text = fs::read(&self.expected).map_err(|error| bad(cause(error.kind())))?;
        let expected = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        // What is said twice would be expected once, and nobody would hear of the other.
        if let Some((line, key)) = crate::plan::said_twice(&String::from_utf8_lossy(&text)) {
            return Err(bad(format!("line {line}: `{key}` is there twice; take one out")));
        }
        let mistakes = mistakes(&expected);
        if mistakes.is_empty() { Ok(Some(expected)) } else { Err(bad(mistakes.join("; "))) }
    }

    /// Runs it in a folder of its own.
    fn report(&self, place: &Path) -> Result<Value, Refused> {
        let (data, work) = (place.join("trail"), place.join("work"));
        fs::create_dir_all(place).map_err(|error| io_failure(place, "create the folder", error))?;
        if self.file.extension().is_some_and(|end| end == "sh") {
            return self.script(place, &data, &work);
        }
        let args = RunArgs {
            file: Some(self.file.clone()),
            data: Some(data),
            work: Some(work),
            resume: false,
            mark: None,
            mark_key: None,
            mark_every: Duration::MAX,
            config: ConfigArgs::default(),
            json: true,
            quiet: true,
        };
        let report = reported(&args)?;
        serde_json::to_value(&report).map_err(|error| Refused::Output(error.into()))
    }

    fn script(&self, place: &Path, data: &Path, work: &Path) -> Result<Value, Refused> {
        fs::create_dir_all(work).map_err(|error| io_failure(work, "create the folder", error))?;
        let file = fs::canonicalize(&self.file).map_err(|error| io_failure(&self.file, "find", error))?;
        let program = std::env::current_exe().map_err(|error| io_failure(Path::new("hv"), "find", error))?;
        let token = place::token::<16>().map_err(failed)?;
        // A file, because a program that the script leaves running would hold a pipe open until it is stopped.
        let path = place.join("stdout");
        let said = fs::File::create(&path).map_err(|error| io_failure(&path, "create", error))?;
        let ran = Command::new("/bin/sh")
            .arg(&file)
            .current_dir(work)
            .env("HV", program)
            .env("DATA", data)
            .env("HV_RUN", &token)
            .stdin(Stdio::null())
            .stdout(said)
            .stderr(Stdio::inherit())
            .status()
            .map_err(|error| io_failure(&file, "run", error))?;
        settle(&token, Duration::ZERO).map_err(|error| io_failure(Path::new("/proc"), "read", error))?;
        let said = fs::read(&path).map_err(|error| io_failure(&path, "read", error))?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let verdict = verify(data).ok().map(|found| match found.verdict {
            Verdict::Complete => "complete",
            Verdict::Open(_) => "open",
            Verdict::Tampered(_) => "tampered",
        });
        Ok(json!({
            "exit_code": ran.code(),
            "stdout": said.lines().collect::<Vec<_>>(),
            "verify": verdict.map(|verdict| json!({ "verdict": verdict })),
        }))
    }
}

fn input(why: String) -> Refused {
    Refused::Session(Box::new(LiveFailure::Input { why }))
}

fn failed(failure: RunFailure) -> Refused {
    Refused::Run(Box::new(failure))
}

fn io_failure(path: &Path, doing: &'static str, error: io::Error) -> Refused {
    failed(RunFailure::Io { path: path.to_owned(), doing, error })
}
