//! Ours beside agent-hypervisor (Python), on the same work, in one run.
//!
//! Both programs take turns: ours, theirs, theirs, ours, so that a slow moment of the machine meets both; each workload in
//! turn and then all of them again, several times, so that a slow while does not meet all runs of one. Each time both are
//! started anew, because where a program's pages lie in the caches is settled once for a process, and is worth a twentieth
//! of what some workloads take. A run does as many calls as the Python package's own benchmark and times them together.
//! What counts is the fastest run of each side; the medians are shown beside it.

use crate::guided;
use crate::report::Report;
use crate::supplies;
use crate::workspace::Workspace;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A workload under the name that both sides know.
pub(super) struct Workload {
    name: &'static str,
    /// How often it is called in a run.
    calls: u64,
    /// How many times as fast ours has to be.
    budget: Option<f64>,
    /// Whether both sides have to answer the same.
    alike: bool,
}

impl Workload {
    /// The same where both sides have to answer the same.
    pub(super) const fn alike(self) -> Self {
        Self { alike: true, ..self }
    }
}

pub(super) const fn workload(name: &'static str, calls: u64, budget: Option<f64>) -> Workload {
    Workload { name, calls, budget, alike: false }
}

const WORKLOADS: [Workload; 10] = [
    workload("ring_computation", 50_000, Some(100.0)),
    workload("vouching_sigma_eff", 10_000, Some(500.0)),
    workload("delta_capture", 50_000, Some(20.0)),
    workload("merkle_root_10_deltas", 10_000, None),
    workload("merkle_root_100_deltas", 1_000, Some(20.0)),
    workload("chain_verify_50_deltas", 2_000, Some(20.0)),
    workload("session_lifecycle", 5_000, Some(8.0)),
    workload("saga_3_steps", 5_000, Some(20.0)),
    workload("saga_of_3_new_steps", 5_000, None),
    workload("full_governance_pipeline", 2_000, Some(20.0)),
];

/// So many groups of four runs, where nothing else is said. A machine that others work on too is slow for a while at a
/// time: with five groups it happened that every run of a workload that takes 12 milliseconds met such a while.
const ROUNDS: u32 = 10;

/// How the comparison is done and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    shown: Shown,
    /// Groups of four runs.
    rounds: u32,
    built: Built,
    only: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Table,
    /// The table on stderr, and the array alone on stdout.
    Json,
}

/// How ours is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Built {
    /// [By a profile](guided).
    Guided,
    /// As everybody builds it.
    Plain,
}

impl Options {
    pub(crate) fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut built = Built::Guided;
        let mut others = words.filter(|word| {
            let plain = *word == "--plain";
            if plain {
                built = Built::Plain;
            }
            !plain
        });
        let options = Self::of("peer", &WORKLOADS, &mut others)?;
        Ok(Self { built, ..options })
    }

    /// For one benchmark with these workloads.
    pub(super) fn of<'a>(
        bench: &str,
        workloads: &[Workload],
        words: &mut impl Iterator<Item = &'a str>,
    ) -> Result<Self, String> {
        let mut options = Self { shown: Shown::Table, rounds: ROUNDS, built: Built::Plain, only: None };
        while let Some(word) = words.next() {
            match word {
                "--json" => options.shown = Shown::Json,
                "--rounds" => {
                    let rounds = words.next().and_then(|rounds| rounds.parse().ok());
                    options.rounds = rounds.filter(|n| *n > 0).ok_or("`--rounds` needs a number from 1")?;
                }
                "--only" => {
                    let name = words.next().ok_or("`--only` needs the name of a workload")?;
                    if !workloads.iter().any(|workload| workload.name == name) {
                        return Err(format!("there is no workload `{name}`"));
                    }
                    options.only = Some(name.to_owned());
                }
                other => return Err(format!("`bench {bench}` does not know `{other}`")),
            }
        }
        Ok(options)
    }
}

/// Prepares both sides, compares them, shows what came out. A budget that is missed fails nothing.
pub(crate) fn run(workspace: &Workspace, report: &mut Report, options: &Options) {
    let mut venv = None;
    report.part("prepare agent-hypervisor", || {
        venv = Some(supplies::PEER.prepare(workspace)?);
        Ok(())
    });
    let profile = match options.built {
        Built::Guided => guided::profile(workspace, report),
        Built::Plain => None,
    };
    let mut ours = None;
    report.part("build ours", || {
        let built = match (options.built, profile) {
            (Built::Plain, _) => {
                super::build(workspace, "hv-bench-peer")?;
                workspace.target.join("release")
            }
            (Built::Guided, Some(profile)) => {
                guided::build(workspace, &profile, &["--package", "hv-benches", "--bin", "hv-bench-peer"])?
            }
            (Built::Guided, None) => return Err("there is no profile; see above, or `--plain`".to_owned()),
        };
        ours = Some(built.join("hv-bench-peer"));
        Ok(())
    });
    let (Some(venv), Some(ours)) = (venv, ours) else { return };
    report.part("compare", || {
        let script = workspace.root.join("benches/peer/peer.py");
        eprintln!("ours is {}", ours.display());
        let start = || {
            let ours = Side::start(&mut Command::new(&ours))?;
            Ok((ours, Side::start(Command::new(venv.join("bin/python")).arg("-I").arg(&script))?))
        };
        compared(start, &WORKLOADS, options)
    });
}

/// Compares both sides, ours and theirs as this starts them, and shows what came out.
pub(super) fn compared(
    start: impl Fn() -> Result<(Side, Side), String>,
    workloads: &[Workload],
    options: &Options,
) -> Result<(), String> {
    let rows = compare(start, workloads, options)?;
    show(&rows);
    if options.shown == Shown::Json {
        println!("{:#}", Value::Array(rows.iter().map(Row::json).collect()));
    }
    Ok(())
}

/// What came out for one workload.
struct Row {
    name: &'static str,
    budget: Option<f64>,
    ours: Runs,
    theirs: Runs,
}

/// The runs of one side, and what its last call answered.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Runs {
    nanoseconds: Vec<f64>,
    answer: String,
}

impl Runs {
    pub(super) fn fastest(&self) -> f64 {
        self.nanoseconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The last answer, where it is a number.
    pub(super) fn number(&self) -> Result<f64, String> {
        let number = self.answer.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| format!("`{}` is no number", self.answer))
    }

    /// The middle run; of an even number the slower of the two in the middle.
    fn median(&self) -> f64 {
        let mut sorted = self.nanoseconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl Row {
    fn ratio(&self) -> f64 {
        self.theirs.fastest() / self.ours.fastest()
    }

    fn met(&self) -> Option<bool> {
        self.budget.map(|budget| self.ratio() >= budget)
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "ours_ns": hundredths(self.ours.fastest()),
            "peer_ns": hundredths(self.theirs.fastest()),
            "ratio": hundredths(self.ratio()),
            "budget": self.budget,
            "met": self.met(),
        })
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn compare(
    start: impl Fn() -> Result<(Side, Side), String>,
    workloads: &[Workload],
    options: &Options,
) -> Result<Vec<Row>, String> {
    let known = start()?.0.ask("list")?;
    let known: Vec<&str> = known.split_whitespace().collect();
    let wanted = |workload: &&Workload| options.only.as_ref().is_none_or(|only| only == workload.name);
    let (there, missing): (Vec<&Workload>, Vec<&Workload>) =
        workloads.iter().filter(wanted).partition(|workload| known.contains(&workload.name));
    for Workload { name, .. } in missing {
        eprintln!("{name}: LEFT OUT: ours does not run it yet");
    }
    let row = |workload: &&Workload| Row {
        name: workload.name,
        budget: workload.budget,
        ours: Runs::default(),
        theirs: Runs::default(),
    };
    let mut rows: Vec<Row> = there.iter().map(row).collect();
    for round in 1..=options.rounds {
        let (mut ours, mut theirs) = start()?;
        for (Workload { name, calls, .. }, row) in there.iter().zip(&mut rows) {
            ours.run(name, *calls, &mut row.ours)?;
            theirs.run(name, *calls, &mut row.theirs)?;
            theirs.run(name, *calls, &mut row.theirs)?;
            ours.run(name, *calls, &mut row.ours)?;
        }
        eprintln!("group {round} of {}: each side ran each workload twice", options.rounds);
    }
    for (Workload { name, calls, alike, .. }, row) in there.iter().zip(&rows) {
        eprintln!("{name}: {} runs of {calls} calls on each side", row.ours.nanoseconds.len());
        if *alike && row.ours.answer != row.theirs.answer {
            let (ours, theirs) = (&row.ours.answer, &row.theirs.answer);
            return Err(format!(
                "{name}: ours answers {ours}, theirs {theirs}; what differs cannot be compared"
            ));
        }
    }
    Ok(rows)
}

fn show(rows: &[Row]) {
    eprintln!(
        "\n{:<26}{:>14}{:>14}{:>14}{:>14}{:>10}{:>8}",
        "nanoseconds a call", "ours", "median", "theirs", "median", "ratio", "budget"
    );
    for row in rows {
        let budget = row.budget.map(|budget| budget.to_string()).unwrap_or_default();
        let missed = if row.met() == Some(false) { "  missed" } else { "" };
        eprintln!(
            "{:<26}{:>14.1}{:>14.1}{:>14.1}{:>14.1}{:>10.1}{budget:>8}{missed}",
            row.name,
            row.ours.fastest(),
            row.ours.median(),
            row.theirs.fastest(),
            row.theirs.median(),
            row.ratio(),
        );
    }
    for row in rows {
        eprintln!("{} answered: ours {}, theirs {}", row.name, row.ours.answer, row.theirs.answer);
    }
}

/// A program that waits for a line, does what it says and answers in a line.
pub(crate) struct Side {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Side {
    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        let shown = Path::new(command.get_program()).display().to_string();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{shown} does not start: {e}"))?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let from = BufReader::new(from.ok_or("a child without stdout")?);
        Ok(Self { child, to, from })
    }

    fn ask(&mut self, line: &str) -> Result<String, String> {
        let to = self.to.as_mut().ok_or("a child without stdin")?;
        writeln!(to, "{line}").and_then(|()| to.flush()).map_err(|e| format!("`{line}`: {e}"))?;
        let mut answer = String::new();
        let read = self.from.read_line(&mut answer).map_err(|e| format!("`{line}`: {e}"))?;
        if read == 0 {
            return Err(format!("`{line}`: the program ended without an answer"));
        }
        Ok(answer.trim().to_owned())
    }

    /// What one run answers.
    pub(crate) fn answer(&mut self, name: &str, calls: u64) -> Result<String, String> {
        let mut runs = Runs::default();
        self.run(name, calls, &mut runs)?;
        Ok(runs.answer)
    }

    pub(super) fn run(&mut self, name: &str, calls: u64, runs: &mut Runs) -> Result<(), String> {
        let answer = self.ask(&format!("run {name} {calls}"))?;
        let mut words = answer.splitn(3, ' ');
        let (Some(same), Some(nanoseconds), Some(last)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("{name}: `{answer}`"));
        };
        let nanoseconds: f64 = nanoseconds.parse().map_err(|_| format!("{name}: `{answer}`"))?;
        if same != name || !nanoseconds.is_finite() || nanoseconds <= 0.0 {
            return Err(format!("{name}: `{answer}`"));
        }
        runs.nanoseconds.push(nanoseconds);
        last.clone_into(&mut runs.answer);
        Ok(())
    }
}

impl Drop for Side {
    /// Both sides end by themselves when nothing more can come.
    fn drop(&mut self) {
        drop(self.to.take());
        _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A side that answers every `run` with what the shell script prints for it.
    fn side(script: &str) -> Side {
        let script = format!("while read verb name calls; do {script}; done");
        Side::start(Command::new("sh").args(["-c", &script])).unwrap()
    }

    fn options(line: &str) -> Options {
        Options::parse(&mut line.split_whitespace()).unwrap()
    }

    const OURS: &str = "case $verb in list) echo ring_computation;; *) echo $name 2.5 2;; esac";

    #[test]
    fn only_what_ours_runs_is_compared_and_the_fastest_run_counts() {
        let start = || Ok((side(OURS), side("n=$((n+100)); echo $name $n two words")));
        let rows = compare(start, &WORKLOADS, &options("--rounds 2")).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].theirs.nanoseconds, [100.0, 200.0, 100.0, 200.0], "started anew");
        assert_eq!(rows[0].theirs.answer, "two words");
        assert_eq!(
            rows[0].json(),
            json!({"name": "ring_computation", "ours_ns": 2.5, "peer_ns": 100.0, "ratio": 40.0,
                   "budget": 100.0, "met": false})
        );
    }

    #[test]
    fn ours_is_built_by_a_profile_where_nothing_else_is_asked_for() {
        assert_eq!((options("").built, options("--rounds 3 --plain").built), (Built::Guided, Built::Plain));
        assert_eq!(options("--rounds 3 --plain").rounds, 3);
        let saga = Options::of("saga", &WORKLOADS, &mut "--plain".split_whitespace());
        assert!(saga.unwrap_err().contains("--plain"));
    }

    #[test]
    fn a_side_that_answers_something_else_or_nothing_is_an_error() {
        for script in ["echo error", "echo $name NaN 2", "echo $name 0 2", "echo other 1 2", "exit 0"] {
            let start = || Ok((side(OURS), side(script)));
            let all = compare(start, &WORKLOADS, &options("--rounds 1"));
            assert!(all.is_err(), "{script}");
        }
    }

    #[test]
    fn who_has_to_answer_alike_and_does_not_is_an_error() {
        let compared = |theirs: &str| {
            let workloads = [workload("ring_computation", 10, None).alike()];
            compare(|| Ok((side(OURS), side(theirs))), &workloads, &options("--rounds 1"))
        };
        assert!(compared("echo $name 100 2").is_ok());
        assert!(compared("echo $name 100 3").is_err());
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let runs = |nanoseconds: &[f64]| Runs { nanoseconds: nanoseconds.to_vec(), answer: String::new() };
        assert_eq!(runs(&[3.0, 1.0, 2.0]).median().to_bits(), 2.0_f64.to_bits());
        assert_eq!(runs(&[4.0, 1.0, 2.0, 3.0]).median().to_bits(), 3.0_f64.to_bits());
    }
}
