//! What is measured, and by which rule.
//!
//! * [`peer`]: the workloads that agent-hypervisor (Python) publishes, compared in wall time with that package,
//!   both in one run: `cargo xtask bench peer`.
//! * The same workloads, timed with criterion: `cargo bench -p hv-benches --bench operations`.
//! * [`saga`]: sagas, compared in wall time with steno, both in one run: `cargo xtask bench saga`.
//! * [`log`]: the log by itself, beside a bare disk and beside SQLite, in one run: `cargo xtask bench log`.
//! * [`adapters`]: the native adapters, compared in wall time with the packages whose answers they give, both in one
//!   run: `cargo xtask bench adapters`.
//! * [`counted`]: functions counted in instructions, which are the same run after run, against the table
//!   `gate.toml`: `cargo xtask bench gate`.
//! * [`scale`]: what is done once, counted at four sizes of what is there, against what it claims:
//!   `cargo xtask bench scale`.

pub mod adapters;
pub mod counted;
pub mod log;
pub mod peer;
pub mod saga;
pub mod scale;

use crate::peer::Workload;
use std::io::{BufRead, Write, stdin, stdout};

/// One side of a comparison: waits for a line, does what it says, answers in a line.
///
/// `list` answers the names of all workloads. `run NAME CALLS` answers `NAME NANOSECONDS ANSWER`.
///
/// # Errors
/// Those of standard input and output.
pub fn serve(workloads: &[Workload]) -> std::io::Result<()> {
    for line in stdin().lock().lines() {
        let answer = answer(workloads, &line?).unwrap_or_else(|why| format!("error {why}"));
        let mut out = stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(workloads: &[Workload], line: &str) -> Result<String, String> {
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["list"] => Ok(workloads.iter().map(|workload| workload.name).collect::<Vec<_>>().join(" ")),
        ["run", name, calls] => {
            let workload = workloads.iter().find(|workload| workload.name == *name);
            let workload = workload.ok_or_else(|| format!("there is no workload `{name}`"))?;
            let timed =
                (workload.run)(calls.parse().map_err(|_| format!("`{calls}` is no number of calls"))?)?;
            Ok(format!("{name} {} {}", timed.ns_per_call, timed.answer))
        }
        _ => Err(format!("`{line}` is neither `list` nor `run NAME CALLS`")),
    }
}
