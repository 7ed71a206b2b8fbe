//! Our side of the comparison: waits for a line, does what it says, answers in a line.
//!
//! `list` answers the names of all workloads. `run NAME CALLS` answers `NAME NANOSECONDS ANSWER`.

use hv_benches::peer::WORKLOADS;
use std::io::{BufRead, Write, stdin, stdout};

fn main() -> std::io::Result<()> {
    for line in stdin().lock().lines() {
        let answer = answer(&line?).unwrap_or_else(|why| format!("error {why}"));
        let mut out = stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(line: &str) -> Result<String, String> {
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["list"] => Ok(WORKLOADS.iter().map(|workload| workload.name).collect::<Vec<_>>().join(" ")),
        ["run", name, calls] => {
            let workload = WORKLOADS.iter().find(|workload| workload.name == *name);
            let workload = workload.ok_or_else(|| format!("there is no workload `{name}`"))?;
            let timed =
                (workload.run)(calls.parse().map_err(|_| format!("`{calls}` is no number of calls"))?)?;
            Ok(format!("{name} {} {}", timed.ns_per_call, timed.answer))
        }
        _ => Err(format!("`{line}` is neither `list` nor `run NAME CALLS`")),
    }
}
