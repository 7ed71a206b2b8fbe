//! Instructions for each call of the counted functions, against the limits of `benches/gate.toml`.
//!
//! Counted with callgrind, without address space randomisation, only while a function named `measured_…` runs:
//! the count is the same run after run, so a limit can be close.

use crate::command::{capture, program};
use crate::report::{Passed, Report};
use crate::workspace::Workspace;
use std::collections::BTreeMap;
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
        for name in names {
            let mean = count(workspace, &gate, name)?;
            match limits.get(name) {
                None => wrong.push(format!("{name} takes {mean:.1} and has no limit in {LIMITS}")),
                Some(limit) => {
                    eprintln!("{name:<40}{mean:>12.1} instructions a call, at most {limit}");
                    if mean > *limit {
                        wrong.push(format!("{name} takes {mean:.1} instructions a call, more than {limit}"));
                    }
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    });
}

/// The mean over the calls of one function.
fn count(workspace: &Workspace, gate: &Path, name: &str) -> Result<f64, String> {
    let written = workspace.target.join(format!("callgrind.{name}.out"));
    let calls = capture(
        program("setarch", &workspace.root)
            .args(["-R", "valgrind", "--quiet", "--tool=callgrind", "--collect-atstart=no"])
            .arg(format!("--toggle-collect=*{name}*"))
            .arg(format!("--callgrind-out-file={}", written.display()))
            .args([gate.as_os_str(), name.as_ref()]),
    )?;
    let text = std::fs::read_to_string(&written).map_err(|e| format!("{}: {e}", written.display()))?;
    mean(&text, &calls).map_err(|why| format!("{name}: {why}"))
}

/// The total that callgrind wrote, divided by the calls that the program printed.
fn mean(written: &str, calls: &str) -> Result<f64, String> {
    let total = written.lines().find_map(|line| line.strip_prefix("totals:"));
    let total: u32 = total.and_then(|total| total.trim().parse().ok()).ok_or("callgrind wrote no total")?;
    let calls: u32 = calls.trim().parse().map_err(|_| format!("`{calls}` is no number of calls"))?;
    if total == 0 || calls == 0 {
        // A function that was inlined all the same is entered never and would pass every limit.
        return Err(format!("{total} instructions in {calls} calls: nothing was counted"));
    }
    Ok(f64::from(total) / f64::from(calls))
}

fn limits(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let table: toml::Table = text.parse().map_err(|e| format!("{e}"))?;
    let limit = |(name, row): (&String, &toml::Value)| {
        let limit = row.get("at_most").and_then(toml::Value::as_integer).and_then(|n| u32::try_from(n).ok());
        let limit = limit.ok_or_else(|| format!("[{name}] needs `at_most`, a whole number"))?;
        Ok((name.clone(), f64::from(limit)))
    };
    table.iter().map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_needs_something_counted() {
        assert_eq!(mean("version: 1\ntotals: 150\n", "10\n").map(f64::to_bits), Ok(15.0_f64.to_bits()));
        for (written, calls) in
            [("totals: 0", "10"), ("totals: 150", "0"), ("", "10"), ("totals: 150", ""), ("totals: x", "1")]
        {
            assert!(mean(written, calls).is_err(), "{written} {calls}");
        }
    }

    #[test]
    fn limits_are_whole_numbers_under_names() {
        assert_eq!(limits("[measured_x]\nat_most = 60\n").unwrap().len(), 1);
        for bad in ["[x]\n", "[x]\nat_most = -1\n", "[x]\nat_most = \"60\"\n", "x = 60\n", "[x"] {
            assert!(limits(bad).is_err(), "{bad}");
        }
    }
}
