//! Programs that outlive their supervisor.

use hv_saga::exec::survivors::{Settled, settle, settle_those, survivors};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A program that carries the token of a run, as if its supervisor had died.
fn orphan(run: &str, script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("HV_RUN", run).env("HV_IDEMPOTENCY_KEY", format!("s/g/{run}/execute"));
    command.spawn().unwrap()
}

fn token(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// Collects a child in the background, as the system does for a real orphan.
fn adopt(mut child: Child) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        child.wait().unwrap();
    })
}

#[test]
fn only_the_programs_of_the_run_are_found() {
    let (mine, other) = (token("found"), token("found-not"));
    let mut children = [orphan(&mine, "sleep 20; :"), orphan(&other, "sleep 20; :")];
    let mut found = Vec::new();
    let until = Instant::now() + Duration::from_secs(5);
    // The shell and its `sleep`, once both have started.
    while found.len() < 2 && Instant::now() < until {
        found = survivors(&mine).unwrap();
    }
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|survivor| survivor.pid == i32::try_from(children[0].id()).unwrap()));
    assert!(found.iter().all(|survivor| survivor.key == format!("s/g/{mine}/execute")));
    assert!(survivors("no-such-run").unwrap().is_empty());
    children.iter_mut().for_each(|child| child.kill().unwrap());
    for run in [&mine, &other] {
        settle(run, Duration::ZERO).unwrap();
    }
    children.iter_mut().for_each(|child| {
        child.wait().unwrap();
    });
}

#[test]
fn survivors_may_end_by_themselves() {
    let run = token("ends");
    let child = adopt(orphan(&run, "exec sleep 0.5"));
    let settled = settle(&run, Duration::from_secs(10)).unwrap();
    assert_eq!((settled.ended.len(), settled.stopped.len(), settled.left.len()), (1, 0, 0), "{settled:?}");
    child.join().unwrap();
}

/// Those of other keys are neither waited for nor stopped.
#[test]
fn only_the_programs_of_these_keys_are_settled() {
    let run = token("keys");
    let child = adopt(orphan(&run, "exec sleep 20"));
    let key = format!("s/g/{run}/execute");
    let began = Instant::now();
    while survivors(&run).unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(5), "it did not start");
    }
    for others in [vec![], vec![format!("{key}d"), format!("s/g/{run}/undo")]] {
        let settled = settle_those(&run, &others, Duration::from_secs(10)).unwrap();
        assert_eq!(settled, Settled::default());
    }
    assert_eq!(survivors(&run).unwrap().len(), 1);
    let settled = settle_those(&run, &[key], Duration::ZERO).unwrap();
    assert_eq!((settled.ended.len(), settled.stopped.len(), settled.left.len()), (0, 1, 0), "{settled:?}");
    child.join().unwrap();
}

#[test]
fn survivors_that_stay_are_stopped_even_against_their_will() {
    let run = token("stays");
    let child = adopt(orphan(&run, "trap '' TERM; while :; do sleep 1; done"));
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    let settled = settle(&run, Duration::from_millis(100)).unwrap();
    assert!(!settled.stopped.is_empty() && settled.left.is_empty(), "{settled:?}");
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert!(survivors(&run).unwrap().is_empty());
    child.join().unwrap();
}

/// While a program puts another in its place its environment reads as empty. Such a one is found all the same, so that
/// nothing goes on behind whoever stops what is left.
#[test]
fn a_program_that_becomes_another_one_is_found_at_every_moment() {
    let run = token("becomes");
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("again");
    std::fs::write(&script, "exec sh \"$0\"\n").unwrap();
    let mut child = orphan(&run, &format!("exec sh {}", script.display()));
    std::thread::sleep(Duration::from_millis(100));
    let missed = (0..400).filter(|_| survivors(&run).unwrap().is_empty()).count();
    let settled = settle(&run, Duration::ZERO).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((missed, settled.stopped.len(), settled.left.len()), (0, 1, 0), "{settled:?}");
}
