//! The log: durable appends beside a bare sync, many writers beside SQLite, roots beside agent-hypervisor (Python), and
//! what verification, proofs and memory cost. One run, in turns, so that a slow moment of the machine meets both.
//!
//! Everything is written in one folder under the target folder. A goal that is missed fails nothing.

use super::peer::{Runs, Side};
use crate::command::{cargo, program, stream};
use crate::report::{Passed, Report};
use crate::supplies;
use crate::workspace::Workspace;
use serde_json::{Value, json};
use std::process::Command;

/// How the figures are taken and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    json: bool,
    rounds: u32,
}

impl Options {
    pub(crate) fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut options = Self { json: false, rounds: 3 };
        while let Some(word) = words.next() {
            match word {
                "--json" => options.json = true,
                "--rounds" => {
                    let rounds = words.next().and_then(|rounds| rounds.parse().ok());
                    options.rounds = rounds.filter(|n| *n > 0).ok_or("`--rounds` needs a number from 1")?;
                }
                other => return Err(format!("`bench log` does not know `{other}`")),
            }
        }
        Ok(options)
    }
}

/// What a figure should be, by itself or beside the first of what stands next to it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// So many times the other at most.
    TimesAtMost(f64),
    /// The other is so many times it at least.
    TimesLess(f64),
}

/// One figure.
struct Row {
    name: &'static str,
    unit: &'static str,
    value: f64,
    beside: Vec<(&'static str, f64)>,
    goal: Option<Goal>,
}

impl Row {
    fn times(&self) -> Option<f64> {
        self.beside.first().map(|(_, other)| self.value / other)
    }

    /// Whether the goal is met, and what it says.
    fn judged(&self) -> Option<(bool, String)> {
        let times = self.times().unwrap_or(f64::NAN);
        let judged = match self.goal? {
            Goal::AtMost(most) => (self.value <= most, format!("at most {most}")),
            Goal::AtLeast(least) => (self.value >= least, format!("at least {least}")),
            Goal::TimesAtMost(most) => (times <= most, format!("at most {most} times that")),
            Goal::TimesLess(least) => (1.0 / times >= least, format!("at most a {least}th of that")),
        };
        Some(judged)
    }

    fn json(&self) -> Value {
        let beside = |(what, value): &(&str, f64)| json!({ "what": what, "value": rounded(*value), "times": rounded(self.value / value) });
        let judged = self.judged();
        json!({
            "name": self.name,
            "unit": self.unit,
            "value": rounded(self.value),
            "beside": self.beside.iter().map(beside).collect::<Vec<_>>(),
            "goal": judged.as_ref().map(|(_, goal)| goal),
            "met": judged.as_ref().map(|(met, _)| met),
        })
    }

    fn show(&self) {
        let Self { name, unit, value, .. } = self;
        let goal = self.judged().map(|(met, goal)| format!("{goal}: {}", if met { "met" } else { "missed" }));
        eprintln!("{name:<38}{value:>14.2} {unit:<12}{}", goal.unwrap_or_default());
        for (what, other) in &self.beside {
            eprintln!("  {what:<36}{other:>14.2} {unit:<12}{}", times(value / other));
        }
    }
}

/// How often one is the other, in words that can be read where it is a small part of it.
fn times(times: f64) -> String {
    if times < 0.1 { format!("1/{:.0} of that", 1.0 / times) } else { format!("{times:.2} times that") }
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// Builds and prepares all sides, measures, shows what came out.
pub(crate) fn run(workspace: &Workspace, report: &mut Report, options: Options) {
    let mut venv = None;
    report.part("prepare agent-hypervisor", || {
        venv = Some(supplies::PEER.prepare(workspace)?);
        Ok(())
    });
    let theirs = report.part("build SQLite", || {
        let build = ["build", "--release", "--locked", "--manifest-path", "benches/sqlite/Cargo.toml"];
        stream(cargo(&workspace.root).args(build).arg("--target-dir").arg(&workspace.target))
    });
    let ours = report.part("build ours", || super::build(workspace, "hv-bench-log"));
    let (Some(venv), Passed::Yes, Passed::Yes) = (venv, theirs, ours) else { return };
    report.part("measure", || {
        let folder = workspace.target.join("bench-log");
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let side =
            |name: &str| Side::start(&mut program(workspace.target.join("release").join(name), &folder));
        let script = workspace.root.join("benches/peer/peer.py");
        let mut sides = Sides {
            ours: side("hv-bench-log")?,
            sqlite: side("sqlite-bench")?,
            python: Side::start(Command::new(venv.join("bin/python")).arg("-I").arg(script))?,
        };
        let rows = sides.measure(options.rounds)?;
        rows.iter().for_each(Row::show);
        if options.json {
            println!("{:#}", Value::Array(rows.iter().map(Row::json).collect()));
        }
        Ok(())
    });
}

struct Sides {
    ours: Side,
    sqlite: Side,
    python: Side,
}

impl Sides {
    fn measure(&mut self, rounds: u32) -> Result<Vec<Row>, String> {
        let (append, bare) = self.durable(rounds)?;
        let per_second = |nanoseconds: f64| 1e9 / nanoseconds;
        let mut rows = vec![Row {
            name: "durable append, one writer, p50",
            unit: "us",
            value: append / 1e3,
            beside: vec![("bare write and fdatasync, p50", bare / 1e3)],
            goal: Some(Goal::TimesAtMost(1.3)),
        }];
        for (name, ours, full, normal) in [
            ("64 writers, a record a commit", "writers_1", "full_1", "normal_1"),
            ("64 writers, ten records a commit", "writers_10", "full_10", "normal_10"),
        ] {
            let each = if ours == "writers_1" { 1 } else { 10 };
            let (mut a, mut b, mut c) = Default::default();
            for _ in 0..rounds {
                self.ours.run(ours, each * 12_800, &mut a)?;
                self.sqlite.run(full, each * 320, &mut b)?;
                self.sqlite.run(normal, each * 12_800, &mut c)?;
                self.ours.run(ours, each * 12_800, &mut a)?;
            }
            rows.push(Row {
                name,
                unit: "records/s",
                value: per_second(a.fastest()),
                beside: vec![
                    ("SQLite, WAL, synchronous=FULL", per_second(b.fastest())),
                    ("the same, NORMAL: not durable", per_second(c.fastest())),
                ],
                goal: Some(Goal::AtLeast(100_000.0)),
            });
        }
        let verified = self.alone("verification", 1_000_000, rounds)?;
        let check = self.alone("inclusion_check", 50_000, rounds)?;
        let (root, anew) =
            (self.alone("root_of_10000", 500_000, rounds)?, self.alone("root_of_10000_anew", 50, rounds)?);
        let running = self.alone("running_root", 1, rounds)?;
        let memory = self.alone("memory_per_delta", 1_000_000, 1)?;
        let mut reference = Runs::default();
        for _ in 0..rounds {
            self.python.run("root_of_10000", 10, &mut reference)?;
        }
        let reference = ("agent-hypervisor, from its deltas", reference.fastest() / 1e3);
        rows.extend([
            Row {
                name: "verification, one core",
                unit: "deltas/s",
                value: per_second(verified.fastest()),
                beside: Vec::new(),
                goal: Some(Goal::AtLeast(2e6)),
            },
            Row {
                name: "inclusion check, a million leaves",
                unit: "us",
                value: check.fastest() / 1e3,
                beside: Vec::new(),
                goal: Some(Goal::AtMost(5.0)),
            },
            Row {
                name: "root of 10 000 deltas, as it is kept",
                unit: "us",
                value: root.fastest() / 1e3,
                beside: vec![reference],
                goal: Some(Goal::TimesLess(1000.0)),
            },
            Row {
                name: "root of 10 000 deltas, from leaves",
                unit: "us",
                value: anew.fastest() / 1e3,
                beside: vec![reference],
                goal: None,
            },
            Row {
                name: "append and root at 2^20 - 1 deltas",
                unit: "ns",
                value: running.fastest(),
                beside: vec![("the same at 2^10", running.number()?)],
                goal: Some(Goal::TimesAtMost(3.0)),
            },
            Row {
                name: "memory for a delta, besides its body",
                unit: "bytes",
                value: memory.fastest(),
                beside: Vec::new(),
                goal: Some(Goal::AtMost(70.0)),
            },
            Row {
                name: "the same where the log is on the disk",
                unit: "bytes",
                value: memory.number()?,
                beside: Vec::new(),
                goal: Some(Goal::AtMost(70.0)),
            },
        ]);
        Ok(rows)
    }

    /// The round in the middle by how often ours is the bare one.
    fn durable(&mut self, rounds: u32) -> Result<(f64, f64), String> {
        let mut all = Vec::new();
        for _ in 0..rounds {
            let mut one = Runs::default();
            self.ours.run("durable_append", 300, &mut one)?;
            all.push((one.fastest(), one.number()?));
        }
        all.sort_by(|(a, b), (c, d)| (a / b).total_cmp(&(c / d)));
        all.get(all.len() / 2).copied().ok_or_else(|| "no round was made".to_owned())
    }

    fn alone(&mut self, name: &str, calls: u64, rounds: u32) -> Result<Runs, String> {
        let mut runs = Runs::default();
        for _ in 0..rounds {
            self.ours.run(name, calls, &mut runs)?;
        }
        eprintln!("{name}: {rounds} runs of {calls}");
        Ok(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f64, other: f64, goal: Goal) -> Row {
        Row { name: "x", unit: "us", value, beside: vec![("y", other)], goal: Some(goal) }
    }

    #[test]
    fn a_goal_is_met_at_its_edge_and_missed_beyond_and_without_a_number() {
        for (row, met) in [
            (row(13.0, 10.0, Goal::TimesAtMost(1.3)), true),
            (row(13.1, 10.0, Goal::TimesAtMost(1.3)), false),
            (row(1.0, 1000.0, Goal::TimesLess(1000.0)), true),
            (row(1.1, 1000.0, Goal::TimesLess(1000.0)), false),
            (row(5.0, 1.0, Goal::AtMost(5.0)), true),
            (row(4.9, 1.0, Goal::AtLeast(5.0)), false),
            (row(f64::NAN, 1.0, Goal::AtMost(5.0)), false),
            (row(1.0, f64::NAN, Goal::TimesAtMost(3.0)), false),
        ] {
            assert_eq!(row.judged().map(|(met, _)| met), Some(met), "{}", row.json());
            assert_eq!(row.json()["met"], json!(met));
        }
    }

    #[test]
    fn a_small_part_is_told_as_one() {
        assert_eq!(times(0.35 / 23_621.0), "1/67489 of that");
        assert_eq!(times(1.048), "1.05 times that");
    }

    #[test]
    fn options_are_understood_or_refused() {
        let parse = |line: &str| Options::parse(&mut line.split_whitespace());
        assert_eq!(parse("--json --rounds 2"), Ok(Options { json: true, rounds: 2 }));
        for bad in ["--rounds", "--rounds 0", "--only verification"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
