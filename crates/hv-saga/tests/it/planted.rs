//! Defects that supervisors of sagas have had, put back on purpose: the checks of this suite must find each.

use crate::simulation::{Bug, Turn};
use crate::worlds::random_run;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Whether the checks object to some of many random runs of a supervisor with this defect, and how often.
fn caught(bug: Option<Bug>) -> u32 {
    let mut caught = 0;
    for seed in 0..200 {
        let run = AssertUnwindSafe(|| {
            let (mut run, mut dice) = random_run(seed, 8, bug);
            run.bug = bug;
            run.finish(|running| match dice.roll(12) {
                0 => Turn::Crash(dice.0),
                _ => Turn::End(dice.roll(running)),
            });
            run.check_end();
        });
        caught += u32::from(catch_unwind(run).is_err());
    }
    caught
}

#[test]
fn every_planted_defect_is_found() {
    assert_eq!(caught(None), 0, "a supervisor without a defect passes");
    for bug in [
        Bug::DoubtForgotten,
        Bug::UndoBelieved,
        Bug::CrashRetried,
        Bug::RecordLost,
        Bug::NeverFinished,
        Bug::UndoInOrder,
        Bug::UndoLeftOut,
        Bug::ProbeInverted,
        Bug::StartedEarly,
        Bug::SettledEarly,
    ] {
        let caught = caught(Some(bug));
        assert!(caught > 0, "{bug:?} goes unnoticed");
    }
}
