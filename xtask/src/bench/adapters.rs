//! Our adapters beside the packages whose answers they give, on the same work, in one run; taking turns as in
//! [`peer`](super::peer). Both must answer the same. A goal that is missed fails nothing.

use super::peer::{Options, Side, Workload, compared, workload};
use crate::report::{Passed, Report};
use crate::supplies;
use crate::workspace::Workspace;
use std::process::Command;

const WORKLOADS: [Workload; 7] = [
    workload("drift_cosine", 500, Some(20.0)).alike(),
    workload("drift_euclidean", 500, Some(20.0)).alike(),
    workload("drift_manhattan", 500, Some(20.0)).alike(),
    workload("drift_chebyshev", 500, Some(20.0)).alike(),
    workload("drift_mahalanobis", 50, Some(20.0)).alike(),
    workload("trust_score", 20_000, Some(10.0)).alike(),
    workload("manifest_score", 10_000, Some(10.0)).alike(),
];

pub(crate) fn options<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Options, String> {
    Options::of("adapters", &WORKLOADS, words)
}

/// Prepares both sides, compares them, shows what came out.
pub(crate) fn run(workspace: &Workspace, report: &mut Report, options: &Options) {
    let mut venv = None;
    report.part("prepare the packages", || {
        venv = Some(supplies::ADAPTED.prepare(workspace)?);
        Ok(())
    });
    let built = report.part("build ours", || super::build(workspace, "hv-bench-adapters"));
    let (Some(venv), Passed::Yes) = (venv, built) else { return };
    report.part("compare", || {
        let script = workspace.root.join("benches/peer/adapters.py");
        let start = || {
            let ours = Side::start(&mut Command::new(workspace.target.join("release/hv-bench-adapters")))?;
            Ok((ours, Side::start(Command::new(venv.join("bin/python")).arg("-I").arg(&script))?))
        };
        compared(start, &WORKLOADS, options)
    });
}
