//! Instructions for each call of the counted functions, against the limits of `benches/gate.toml`; and how often the
//! compression function of the hash is called, where a limit for that is given.
//!
//! Counted with callgrind, without address space randomisation, only while a function named `measured_…` runs:
//! the count is the same run after run, so a limit can be close. callgrind knows no names of what is written in
//! assembly; `nm` does.

use crate::command::{capture, program};
use crate::report::{Passed, Report};
use crate::workspace::Workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const LIMITS: &str = "benches/gate.toml";

/// Counts every function and compares.
pub(crate) fn run(workspace: &Workspace, report: &mut Report) {
    if report.part("build the counted functions", || super::build(workspace, "hv-bench-gate")) == Passed::No {
        return;
    }
    report.part("count instructions", || {
        let text = workspace.text(LIMITS)?.unwrap_or_default();
        let limits = limits(&text).map_err(|why| format!("{LIMITS}: {why}"))?;
        let gate = workspace.target.join("release/hv-bench-gate");
        let names = capture(&mut program(&gate, &workspace.root))?;
        let names: Vec<&str> = names.lines().collect();
        let mut wrong = Vec::new();
        for name in limits.keys().filter(|name| !names.contains(&name.as_str())) {
            wrong.push(format!("{name} has a limit and is not counted"));
        }
        let compressing = compressing(&capture(program("nm", &workspace.root).arg(&gate))?);
        for name in names {
            let Counts { instructions, compressions } = count(workspace, &gate, &compressing, name)?;
            let Some(limit) = limits.get(name) else {
                wrong.push(format!("{name} takes {instructions:.1} and has no limit in {LIMITS}"));
                continue;
            };
            let mut judge = |counted: f64, what: &str, most: f64| {
                eprintln!("{name:<40}{counted:>12.2} {what} a call, at most {most}");
                if counted > most {
                    wrong.push(format!("{name} takes {counted:.2} {what} a call, more than {most}"));
                }
            };
            judge(instructions, "instructions", limit.instructions);
            if let Some(most) = limit.compressions {
                if compressions == 0.0 {
                    return Err(format!("{name}: no call of the compression function was seen"));
                }
                judge(compressions, "compressions", most);
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    });
}

/// What one call takes, as a mean over the calls of one function.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counts {
    instructions: f64,
    /// Calls of the hash's compression function.
    compressions: f64,
}

/// What it may take at most.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Limit {
    instructions: f64,
    compressions: Option<f64>,
}

/// Whether a function of this name compresses one block. What only chooses among them by the machine is none of them, and
/// is inlined here and there.
fn compresses(name: &str) -> bool {
    !name.contains("platform") && (name.contains("compress_in_place") || name.contains("compress_xof"))
}

/// Where the functions are that compress a block, from what `nm` lists.
fn compressing(symbols: &str) -> BTreeSet<u64> {
    let place = |line: &str| {
        let (address, named) = line.split_once(' ')?;
        compresses(named).then(|| u64::from_str_radix(address, 16).ok()).flatten()
    };
    symbols.lines().filter_map(place).collect()
}

fn count(
    workspace: &Workspace,
    gate: &Path,
    compressing: &BTreeSet<u64>,
    name: &str,
) -> Result<Counts, String> {
    let (text, calls) = callgrind(workspace, gate, name, &[])?;
    means(&text, compressing, &calls).map_err(|why| format!("{name}: {why}"))
}

/// Instructions for each call of a function, by a program that takes its name and these arguments.
pub(super) fn instructions(
    workspace: &Workspace,
    counting: &Path,
    name: &str,
    arguments: &[&str],
) -> Result<f64, String> {
    let (text, calls) = callgrind(workspace, counting, name, arguments)?;
    let means = means(&text, &BTreeSet::new(), &calls);
    means.map(|means| means.instructions).map_err(|why| format!("{name}: {why}"))
}

/// What callgrind wrote of a function, and the calls that the program printed.
fn callgrind(
    workspace: &Workspace,
    counting: &Path,
    name: &str,
    arguments: &[&str],
) -> Result<(String, String), String> {
    let written = workspace.target.join(format!("callgrind.{name}.out"));
    let calls = capture(
        program("setarch", &workspace.root)
            .args(["-R", "valgrind", "--quiet", "--tool=callgrind", "--collect-atstart=no"])
            // Not what it calls back into: a closure of its own would turn the count off.
            .arg(format!("--toggle-collect=*::{name}"))
            .arg(format!("--callgrind-out-file={}", written.display()))
            .args([counting.as_os_str(), name.as_ref()])
            .args(arguments),
    )?;
    let text = std::fs::read_to_string(&written).map_err(|e| format!("{}: {e}", written.display()))?;
    Ok((text, calls))
}

/// The totals that callgrind wrote, divided by the calls that the program printed.
fn means(written: &str, compressing: &BTreeSet<u64>, calls: &str) -> Result<Counts, String> {
    let total = written.lines().find_map(|line| line.strip_prefix("totals:"));
    let total: u32 = total.and_then(|total| total.trim().parse().ok()).ok_or("callgrind wrote no total")?;
    let calls: u32 = calls.trim().parse().map_err(|_| format!("`{calls}` is no number of calls"))?;
    if total == 0 || calls == 0 {
        // A function that was inlined all the same is entered never and would pass every limit.
        return Err(format!("{total} instructions in {calls} calls: nothing was counted"));
    }
    let (total, calls) = (f64::from(total), f64::from(calls));
    Ok(Counts {
        instructions: total / calls,
        compressions: f64::from(compressions(written, compressing)) / calls,
    })
}

/// How often a block was compressed: `calls=` lines follow the name of whom they call, which is written out once, with a
/// number that stands for it from there on. What has no name has its address for one.
fn compressions(written: &str, places: &BTreeSet<u64>) -> u32 {
    let at = |name: &str| u64::from_str_radix(name.strip_prefix("0x")?, 16).ok();
    let (mut numbers, mut compressing, mut count) = (BTreeSet::new(), false, 0_u32);
    for line in written.lines() {
        let named = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn="));
        if let Some((number, name)) = named.and_then(|named| named.split_once(')')) {
            let name = name.trim();
            if compresses(name) || at(name).is_some_and(|at| places.contains(&at)) {
                numbers.insert(number);
            }
            compressing = numbers.contains(number);
        } else if let Some(calls) = line.strip_prefix("calls=").filter(|_| compressing) {
            let calls = calls.split(' ').next().and_then(|calls| calls.parse().ok()).unwrap_or(0);
            count = count.saturating_add(calls);
        }
    }
    count
}

fn limits(text: &str) -> Result<BTreeMap<String, Limit>, String> {
    let table: toml::Table = text.parse().map_err(|e| format!("{e}"))?;
    let limit = |(name, row): (&String, &toml::Value)| {
        let instructions =
            row.get("at_most").and_then(toml::Value::as_integer).and_then(|n| u32::try_from(n).ok());
        let instructions = instructions.ok_or_else(|| format!("[{name}] needs `at_most`, a whole number"))?;
        let compressions = row.get("compressions").map(|most| {
            let most = most.as_float().filter(|most| *most > 0.0);
            most.ok_or_else(|| format!("[{name}]: `compressions` is a number with a point, above 0"))
        });
        let limit = Limit { instructions: f64::from(instructions), compressions: compressions.transpose()? };
        Ok((name.clone(), limit))
    };
    table.iter().map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_needs_something_counted() {
        let counts = means("version: 1\ntotals: 150\n", &BTreeSet::new(), "10\n");
        assert_eq!(counts, Ok(Counts { instructions: 15.0, compressions: 0.0 }));
        for (written, calls) in
            [("totals: 0", "10"), ("totals: 150", "0"), ("", "10"), ("totals: 150", ""), ("totals: x", "1")]
        {
            assert!(means(written, &BTreeSet::new(), calls).is_err(), "{written} {calls}");
        }
    }

    #[test]
    fn compressions_are_the_calls_of_the_functions_that_are_named_so() {
        let written = "fn=(1) capture\n16 3\ncfn=(2) blake3_compress_in_place_sse41\ncalls=3 0\n16 9\n\
                       cfn=(3) memcpy\ncalls=70 0\n16 9\nfn=(4) push\ncfn=(2)\ncalls=4 0\n16 9\n\
                       cfn=(5) blake3_compress_xof_avx512\ncalls=1 0\n16 9\n\
                       cfn=(6) blake3::platform::Platform::compress_in_place\ncalls=9 0\n16 9\n\
                       cfn=(7) 0x00000000002c6400\ncalls=2 0\n16 9\ncfn=(8) 0x00000000002c6500\ncalls=5 0\ntotals: 80\n";
        let places = compressing(
            "00000000002c6400 T blake3_compress_in_place_sse41\n00000000002c6500 T memcpy\n\
             0000000000060150 t _ZN6blake38platform8Platform17compress_in_place17hf0E\n                 U malloc\n",
        );
        assert_eq!(places, BTreeSet::from([0x2c_6400]));
        assert_eq!(compressions(written, &places), 10);
        assert_eq!(means(written, &places, "2"), Ok(Counts { instructions: 40.0, compressions: 5.0 }));
    }

    #[test]
    fn limits_are_whole_numbers_under_names() {
        let known =
            limits("[measured_x]\nat_most = 60\n[measured_y]\nat_most = 9\ncompressions = 3.1\n").unwrap();
        assert_eq!(known["measured_x"], Limit { instructions: 60.0, compressions: None });
        assert_eq!(known["measured_y"], Limit { instructions: 9.0, compressions: Some(3.1) });
        for bad in [
            "[x]\n",
            "[x]\nat_most = -1\n",
            "[x]\nat_most = \"60\"\n",
            "x = 60\n",
            "[x",
            "[x]\nat_most = 1\ncompressions = 3\n",
        ] {
            assert!(limits(bad).is_err(), "{bad}");
        }
    }
}
