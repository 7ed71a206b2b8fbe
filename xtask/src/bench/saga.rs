//! Our sagas beside those of steno, a saga engine in Rust, on the same work, in one run; taking turns as in
//! [`peer`](super::peer).
//!
//! Both write their logs in one folder under the target folder, so that they meet the same disk: one saga after another
//! (`saga_on_log`), and 4, 16 and 64 side by side. Alone, ours waits for the disk 4 times and steno 11 times, so that
//! 2.75 times is what there is where the disk costs all; the goal is that of a rate, and the same for one and for 64.
//! Sagas in flight are taken up again from a snapshot and what lies behind it, as a node leaves them (`saga_recovery`), and
//! from the whole log (`saga_recovery_whole`). A goal that is missed fails nothing. Behind the comparison stands what ours
//! costs beside a bare disk, and beside a bare future.

use super::peer::{Options, Side, Workload, compared, workload};
use crate::command::{cargo, program, stream};
use crate::report::{Passed, Report};
use crate::workspace::Workspace;

const WORKLOADS: [Workload; 7] = [
    workload("saga_in_memory", 2_000, Some(3.0)),
    workload("saga_on_log", 25, Some(5.0)),
    workload("saga_on_log_4", 80, None),
    workload("saga_on_log_16", 320, None),
    workload("saga_on_log_64", 1_280, Some(5.0)),
    workload("saga_recovery", 100_000, Some(10.0)),
    workload("saga_recovery_whole", 100_000, None),
];

/// What is measured on our side only, and how often.
const BESIDE: [(&str, u64); 3] =
    [("saga_beside_disk", 400), ("saga_beside_disk_in_place", 400), ("saga_beside_future", 2_000)];

pub(crate) fn options<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Options, String> {
    Options::of("saga", &WORKLOADS, words)
}

/// Builds both sides, compares them, shows what came out.
pub(crate) fn run(workspace: &Workspace, report: &mut Report, options: &Options) {
    let theirs = report.part("build steno", || {
        let build = ["build", "--release", "--locked", "--manifest-path", "benches/steno/Cargo.toml"];
        stream(cargo(&workspace.root).args(build).arg("--target-dir").arg(&workspace.target))
    });
    let ours = report.part("build ours", || super::build(workspace, "hv-bench-saga"));
    let (Passed::Yes, Passed::Yes) = (theirs, ours) else { return };
    report.part("compare", || {
        let folder = workspace.target.join("bench-saga");
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let side =
            |name: &str| Side::start(&mut program(workspace.target.join("release").join(name), &folder));
        compared(|| Ok((side("hv-bench-saga")?, side("steno-bench")?)), &WORKLOADS, options)?;
        let mut ours = side("hv-bench-saga")?;
        for (name, calls) in BESIDE {
            eprintln!("{name}: {}", ours.answer(name, calls)?);
        }
        Ok(())
    });
}
