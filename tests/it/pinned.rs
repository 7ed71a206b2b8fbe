//! A program that a session file pins runs as long as it is the same; one that was changed is not begun, which is said and
//! stands on the trail.

use crate::scene::{assert_complete, attempts, file, look, ran, said, scene, sh, step, trail, with};
use crate::support::{Run, hv, json as report_of};
use hv_core::TrailEvent;
use hv_core::event::{SagaEvent, SessionEvent};
use hv_core::saga::Reason;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A program that says who it is, and its digest as another program computes it.
fn program(folder: &Path, name: &str) -> (String, String) {
    let path = folder.join("tool");
    fs::write(&path, format!("#!/bin/sh\necho {name} >> RAN\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let sum = Command::new("sha256sum").arg(&path).output().unwrap();
    let digest = format!("sha256:{}", &String::from_utf8(sum.stdout).unwrap()[..64]);
    (path.to_str().unwrap().to_owned(), digest)
}

fn pinned(tool: &str, pin: &str) -> Value {
    look("pinned", json!({ "command": [tool], "pin": pin }))
}

fn ran_by(run: &Run) -> String {
    fs::read_to_string(run.work().join("RAN")).unwrap_or_default()
}

/// Why something failed, as the trail keeps it.
fn failures(run: &Run) -> Vec<Reason> {
    let events = trail(&run.data()).into_iter().flat_map(|record| record.events);
    let failed = |event| match event {
        TrailEvent::Session(event) => match *event {
            SessionEvent::Saga { event: SagaEvent::Moved { to, .. }, .. } => {
                to.failure().map(|failure| failure.reason.clone())
            }
            _ => None,
        },
        _ => None,
    };
    events.filter_map(failed).collect()
}

#[test]
fn a_pinned_program_runs_while_it_is_the_same() {
    let tools = tempfile::tempdir().unwrap();
    let (tool, pin) = program(tools.path(), "first");
    let run = scene(&file(0.9, vec![pinned(&tool, &pin)]));
    let output = ran(&mut run.start());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(ran_by(&run), "first\n");
    assert_complete(&run);
}

#[test]
fn a_pinned_program_that_was_changed_is_not_begun_and_the_trail_says_why() {
    let tools = tempfile::tempdir().unwrap();
    let (tool, pin) = program(tools.path(), "first");
    assert_ne!(program(tools.path(), "other"), (tool.clone(), pin.clone()));
    let steps = vec![with(pinned(&tool, &pin), json!({ "retries": 2, "retry_delay": "1ms" }))];
    let run = scene(&file(0.9, steps));
    let output = ran(&mut run.start());
    let report = report_of(&output);
    assert_eq!(output.status.code(), Some(3), "{report:#}");
    assert_eq!(ran_by(&run), "", "it was not begun");
    let tried = attempts(&report, "pinned", "execute");
    assert_eq!(tried.len(), 1, "repeating it helps nobody: {report:#}");
    assert_eq!(tried[0]["reason"], "the program file is not the pinned one", "{report:#}");
    assert_eq!(step(&report, "pinned")["state"], "failed");
    assert!(failures(&run).contains(&Reason::PinMismatch), "{:?}", failures(&run));
    // A person reads the same, from the run itself and from its trail.
    let told = hv().args(["run", "--resume", "--data"]).arg(run.data()).output().unwrap();
    let summary = String::from_utf8(told.stdout).unwrap();
    assert!(summary.contains("    execute: the program file is not the pinned one\n"), "{summary}");
    assert_complete(&run);
}

/// Between its beginning and its end, somebody exchanges what a later step pins.
#[test]
fn a_program_that_is_changed_while_the_run_goes_on_is_not_begun() {
    let tools = tempfile::tempdir().unwrap();
    let (tool, pin) = program(tools.path(), "first");
    let change = look("changes", sh(&format!("echo 'echo other >> RAN' >> {tool}")));
    let steps = vec![pinned(&tool, &pin), change, with(pinned(&tool, &pin), json!({ "id": "again" }))];
    let run = scene(&file(0.9, steps));
    let output = ran(&mut run.start());
    let report = report_of(&output);
    assert_eq!(output.status.code(), Some(3), "{report:#}");
    assert_eq!(ran_by(&run), "first\n");
    assert_eq!(step(&report, "pinned")["state"], "committed");
    assert_eq!(attempts(&report, "again", "execute")[0]["reason"], "the program file is not the pinned one");
    assert_complete(&run);
}
