//! Whether the tests bite: every mutant of the crates whose rules everything rests on, and ten planted faults.
//!
//! A mutant is the crate with one operator, constant or body changed, made by cargo-mutants; a planted fault is
//! one that a ledger of this kind could have, written down in `docs/mutants.toml` as the lines it changes. Either
//! is caught where a test of the crate itself fails. What survives fails the task, unless the same file argues
//! why no test could or need tell it apart; an argument about something that no longer survives fails it too.
//!
//! Both work on a copy of the checkout under the target folder. A run that was interrupted goes on where it was,
//! as long as the sources are the same.

mod list;

use crate::command::{self, cargo, stream};
use crate::report::{Passed, Report};
use crate::workspace::Workspace;
use list::{List, Planted};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates whose mutants are made.
const CRATES: [&str; 2] = ["hv-rings", "hv-liability"];
/// What makes the mutants. Another version makes others.
const VERSION: &str = "27.1.0";
/// How many cases a property is tried on for each mutant; the seed keeps what survives the same.
const CASES: &str = "200";
/// Tests that check how far random histories get. They take long, however few cases are asked for.
const LEFT_OUT: [&str; 2] = [
    "the_histories_reach_what_they_are_meant_to_reach",
    "every_state_within_reach_is_that_of_the_naive_model",
];
/// Tests that try many cases, by parts of their names: they come last, because most mutants fail before.
const LATER: [&str; 9] = [
    "invariants::",
    "scoring::",
    "attribution::l15",
    "both_ends_and_the_whole_agree",
    "properties::",
    "strategies::",
    "every_number_and_every_mix",
    "nothing_is_lost_and_little_is_told",
    "behaves_like_a_set",
];
/// After how many seconds of processor time a program of tests that does not end counts as failed: ten times what the
/// slowest takes without a mutant, and the same on a machine that is busy.
const SECONDS: u32 = 20;
/// After how many seconds a mutant whose tests wait for nothing counts as noticed.
const TIMEOUT: &str = "90";
/// A mutant that allocates without end stops here.
const BYTES: &str = "--as=8589934592";

/// What is not ours runs fast; what is ours is built fast, because it is built for each mutant.
const FAST: &str = "--config=profile.dev.package.\"*\".opt-level=3";

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Nothing but the planted faults.
    planted: bool,
    /// The mutants of one crate alone.
    only: Option<&'static str>,
    /// One part of them, such as `0/4`.
    shard: Option<String>,
    /// Only those in lines that are not as they were in this commit.
    since: Option<String>,
}

impl Options {
    /// Reads the words after `mutants`.
    pub(crate) fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            match word {
                "--planted" => options.planted = true,
                "--crate" => {
                    let name = words.next().unwrap_or_default();
                    let found = CRATES.into_iter().find(|known| *known == name);
                    options.only =
                        Some(found.ok_or_else(|| format!("`--crate` is one of {}", CRATES.join(", ")))?);
                }
                "--shard" => {
                    let shard = words.next().unwrap_or_default();
                    let parts =
                        shard.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
                    if parts.is_none_or(|(k, n): (u32, u32)| k >= n) {
                        return Err("`--shard` needs which of how many, such as 0/4".to_owned());
                    }
                    options.shard = Some(shard.to_owned());
                }
                "--since" => {
                    let since = words.next().filter(|since| !since.starts_with('-'));
                    options.since = Some(since.ok_or("`--since` needs a commit")?.to_owned());
                }
                other => return Err(format!("`mutants` does not know `{other}`")),
            }
        }
        Ok(options)
    }
}

/// Which mutants of a crate are made; all where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Part {
    shard: Option<String>,
    /// The lines that are to be changed, as a diff that leads to them.
    diff: Option<String>,
}

impl Options {
    fn part_of(&self, workspace: &Workspace, name: &str) -> Result<Part, String> {
        let diff = self.since.as_ref().map(|since| {
            let mut git = command::program("git", &workspace.root);
            let sources = format!("crates/{name}/src");
            command::capture(git.args(["diff", "--no-color", "--no-ext-diff", since, "--", sources.as_str()]))
        });
        Ok(Part { shard: self.shard.clone(), diff: diff.transpose()? })
    }
}

/// Plants the faults, makes the mutants, and compares what survives with the list.
pub(crate) fn run(workspace: &Workspace, report: &mut Report, options: &Options) {
    let (mut list, mut place) = (None, None);
    report.part("mutants: prepare", || {
        list = Some(List::read(workspace)?);
        place = Some(Place::prepare(workspace)?);
        Ok(())
    });
    let (Some(list), Some(place)) = (list, place) else { return };
    if options.only.is_none() && options.shard.is_none() && options.since.is_none() {
        for planted in &list.planted {
            report.part(&format!("planted: {}", planted.name), || place.plant(planted));
        }
    }
    if options.planted {
        return;
    }
    let mut tool = PathBuf::new();
    if report.part("mutants: cargo-mutants", || {
        tool = install(workspace)?;
        Ok(())
    }) == Passed::No
    {
        return;
    }
    for name in CRATES.into_iter().filter(|name| options.only.is_none_or(|only| only == *name)) {
        report.part(&format!("mutants of {name}"), || {
            let part = options.part_of(workspace, name)?;
            if part.diff.as_deref() == Some("") {
                eprintln!("{name}: nothing is changed");
                return Ok(());
            }
            let survived = place.mutate(&tool, name, &part)?;
            let whole = part == Part::default();
            list.compare(&format!("crates/{name}/"), &survived, whole)
        });
    }
}

/// cargo-mutants in the version that the list is about, installed where it is not.
fn install(workspace: &Workspace) -> Result<PathBuf, String> {
    let own = workspace.target.join("tools");
    let right = |path: &Path| {
        let version =
            command::capture(command::program(path, &workspace.root).args(["mutants", "--version"]));
        version.is_ok_and(|version| version.trim() == format!("cargo-mutants {VERSION}"))
    };
    let known = [PathBuf::from("cargo-mutants"), own.join("bin/cargo-mutants")];
    if let Some(found) = known.iter().find(|path| right(path)) {
        return Ok(found.clone());
    }
    let [_, installed] = known;
    stream(
        cargo(&workspace.root)
            .args(["install", "cargo-mutants", "--locked", "--version", VERSION, "--root"])
            .arg(&own),
    )?;
    Ok(installed)
}

/// A copy of the checkout, to be broken.
struct Place {
    tree: PathBuf,
    /// Where it is built.
    target: PathBuf,
    /// Where cargo-mutants writes what came of each mutant, by crate.
    outcomes: PathBuf,
    /// What the sources of each crate are, to tell whether an interrupted run can go on.
    made_of: BTreeMap<&'static str, String>,
}

impl Place {
    /// Brings the copy up to date. A file that is the same is not written again, so little is built anew.
    fn prepare(workspace: &Workspace) -> Result<Self, String> {
        let under = workspace.target.join("mutants");
        let place = |name: &str| under.join(name);
        let mut made_of = BTreeMap::<_, String>::new();
        let mut there = BTreeMap::new();
        for file in &workspace.files {
            let bytes = fs::read(workspace.root.join(file)).map_err(|e| format!("{file}: {e}"))?;
            if let Some(name) = CRATES.iter().find(|name| file.starts_with(&format!("crates/{name}/"))) {
                let text = format!("== {file}\n{}", String::from_utf8_lossy(&bytes));
                made_of.entry(*name).or_default().push_str(&text);
            }
            there.insert(file.as_str(), bytes);
        }
        let tree = place("tree");
        for gone in files_under(&tree)?.iter().filter(|file| !there.contains_key(file.as_str())) {
            fs::remove_file(tree.join(gone)).map_err(|e| format!("{gone}: {e}"))?;
        }
        there.iter().try_for_each(|(file, bytes)| write(&tree.join(file), bytes))?;
        Ok(Self { tree, target: place("build"), outcomes: under, made_of })
    }

    /// Makes the mutants of a crate, and names those that no test of the crate notices.
    fn mutate(&self, tool: &Path, name: &str, Part { shard, diff }: &Part) -> Result<Vec<String>, String> {
        let part = shard.as_ref().map(|shard| format!("-{}", shard.replace('/', "-of-"))).unwrap_or_default();
        let since = if diff.is_some() { "-since" } else { "" };
        let outcomes = self.outcomes.join(format!("{name}{since}{part}"));
        let mark = outcomes.join("made-of.txt");
        let mut made_of = self.made_of.get(name).cloned().unwrap_or_default();
        made_of.push_str(diff.as_deref().unwrap_or_default());
        let goes_on = fs::read_to_string(&mark).is_ok_and(|then| then == made_of);
        if !goes_on && outcomes.exists() {
            fs::remove_dir_all(&outcomes).map_err(|e| format!("{}: {e}", outcomes.display()))?;
        }
        write(&mark, made_of.as_bytes())?;
        let mut command = command::program(tool, &self.tree);
        command.args(["mutants", "--in-place", "--no-shuffle", "--iterate", "--colors=never"]);
        command.args(["--package", name, "--timeout", TIMEOUT, "--output"]).arg(&outcomes);
        command.args(shard.iter().flat_map(|shard| ["--shard", shard]));
        if let Some(diff) = diff {
            let file = outcomes.join("since.diff");
            write(&file, diff.as_bytes())?;
            command.arg("--in-diff").arg(file);
        }
        command.args([format!("--cargo-arg={FAST}").as_str(), "--cargo-arg=--tests"]);
        command.arg(format!("--cargo-arg={}", self.quick_first()?));
        command.args(["--", "--"]).args(LEFT_OUT.iter().flat_map(|name| ["--skip", name]));
        let mut command = self.bound(&command);
        eprintln!("mutants of {name}; what comes of each is in {}", outcomes.display());
        let status = command.status().map_err(|e| format!("cargo-mutants does not start: {e}"))?;
        // 2: some survive, 3: some take too long; the first is for the list to judge.
        if !matches!(status.code(), Some(0 | 2 | 3)) {
            return Err(format!("cargo-mutants ended with {status}"));
        }
        let missed = outcomes.join("mutants.out/missed.txt");
        match fs::read_to_string(&missed) {
            Ok(missed) => Ok(missed.lines().map(str::to_owned).collect()),
            // Where the lines in question hold no mutant, none was tried, and there is no list.
            Err(error) if status.success() && error.kind() == ErrorKind::NotFound => Ok(Default::default()),
            Err(error) => Err(format!("{}: {error}", missed.display())),
        }
    }

    /// What makes cargo run a program of tests twice, the second time with those that take long.
    fn quick_first(&self) -> Result<String, String> {
        let script = self.outcomes.join("quick-first.sh");
        let later = LATER.map(|name| format!(" --skip {name}")).concat();
        let text = format!("#!/bin/sh\nulimit -t {SECONDS}\n\"$@\"{later} && exec \"$@\"\n");
        write(&script, text.as_bytes())?;
        Ok(format!("--config=target.\"cfg(all())\".runner=[\"sh\", {:?}]", script.display().to_string()))
    }

    /// Plants a fault, and insists that the test named for it passes without and fails with it.
    fn plant(&self, planted: &Planted) -> Result<(), String> {
        let read = |file: &str| fs::read_to_string(self.tree.join(file)).map_err(|e| format!("{file}: {e}"));
        let faulty = planted.plant(read)?;
        let sound = faulty.keys().map(|file| Ok((*file, read(file)?)));
        let sound = sound.collect::<Result<BTreeMap<_, _>, String>>()?;
        let put = |files: &BTreeMap<&str, String>| {
            files.iter().try_for_each(|(file, text)| write(&self.tree.join(file), text.as_bytes()))
        };
        let test = |more: &[&str]| {
            let mut command = cargo(&self.tree);
            command.args(["test", "--quiet", "--locked", "--package", &planted.package, "--tests"]);
            command.arg(FAST).args(more);
            command::capture(&mut self.bound(&command))
        };
        let only = ["--", "--exact", planted.test.as_str()];
        put(&faulty)?;
        let built = test(&["--no-run"]);
        let with = test(&only);
        put(&sound)?;
        built?;
        let passed = test(&only)?;
        if !passed.contains("1 passed") {
            return Err(format!("there is no test `{}` in {}", planted.test, planted.package));
        }
        match with {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("`{}` passes all the same", planted.test)),
        }
    }

    /// A command in the copy, with little memory to lose, and the same random histories each time.
    fn bound(&self, command: &Command) -> Command {
        let mut command = command::under("prlimit", &[BYTES], command);
        command
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("PROPTEST_CASES", CASES)
            .env("PROPTEST_RNG_SEED", "1")
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            .env("RUST_BACKTRACE", "0")
            .env_remove("HV_DEEP");
        command
    }
}

/// Writes a file where it says something else, or is not there.
fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let wrong = |e: std::io::Error| format!("{}: {e}", path.display());
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(wrong)?;
    fs::write(path, bytes).map_err(wrong)
}

/// The files of a folder and those below, relative to it.
fn files_under(folder: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(at) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&at) else { continue };
        for entry in entries {
            let path = entry.map_err(|e| format!("{}: {e}", at.display()))?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if let Ok(file) = path.strip_prefix(folder) {
                files.push(file.to_string_lossy().into_owned());
            }
        }
    }
    Ok(files)
}
