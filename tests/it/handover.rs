//! An agent is killed, or relieved, in the middle of what it does: whoever is named takes over, or it is undone. A saga
//! that is paused starts nothing until it is resumed. Whoever asks for something from a shell is told what came of it.

use crate::scene::{
    AGENT, assert_complete, change, ended, file, ran, said, scene, sh, spawn, step, trail, wait_for, with,
    written,
};
use crate::support::{Run, hv, json as report_of};
use hv_core::TrailEvent;
use hv_core::event::{KillAnswer, NodeEvent, SagaEvent, SessionEvent};
use serde_json::{Value, json};
use std::time::Duration;

const OTHER: &str = "did:mesh:b";

/// What the steps of a run wrote down, in order.
fn log(run: &Run) -> Vec<String> {
    let text = std::fs::read_to_string(run.work().join("LOG")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A step that says when it begins and ends; the first time somebody does it, it does not end by itself.
fn stuck(id: &str) -> Value {
    let line = format!(
        "echo $$ > {id}.pid; echo begin {id} >> LOG; test -e AGAIN || (touch AGAIN; exec sleep 600); echo end {id} >> LOG"
    );
    with(change(id, sh(&line), sh(&format!("echo undo {id} >> LOG"))), json!({ "agent": OTHER }))
}

fn quick(id: &str) -> Value {
    change(id, sh(&format!("echo do {id} >> LOG")), sh(&format!("echo undo {id} >> LOG")))
}

/// Three steps, the second of which another agent does and does not come to an end with.
fn three(second: Value) -> Run {
    let session = file(0.9, vec![quick("one"), second, quick("three")]);
    let agents = json!([{ "did": AGENT, "sigma": 0.9 }, { "did": OTHER, "sigma": 0.9 }]);
    scene(&with(session, json!({ "agent": agents })))
}

fn events(run: &Run) -> Vec<TrailEvent> {
    trail(&run.data()).into_iter().flat_map(|record| record.events).collect()
}

fn handed_over(events: &[TrailEvent]) -> usize {
    let handed = |event: &&TrailEvent| {
        let TrailEvent::Session(event) = event else { return false };
        matches!(**event, SessionEvent::Saga { event: SagaEvent::HandedOver { .. }, .. })
    };
    events.iter().filter(handed).count()
}

fn kill(run: &Run, agent: &str) -> std::process::Output {
    let mut kill = hv();
    kill.arg("kill").arg("--data").arg(run.data());
    ran(kill.args(["--agent", agent, "--reason", "it hangs"]))
}

fn word(run: &Run, words: &[&str]) -> std::process::Output {
    let mut saga = hv();
    saga.args(["saga", words[0]]).arg(run.data()).args(&words[1..]);
    ran(&mut saga)
}

#[test]
fn what_a_killed_agent_does_is_handed_over_to_whom_its_step_names() {
    let probe = sh("grep -q 'end two' LOG");
    let run = three(with(stuck("two"), json!({ "substitute": AGENT, "probe": probe })));
    let child = spawn(&mut run.start());
    let pid = written(&run.work().join("two.pid"));
    let killed = kill(&run, OTHER);
    assert_eq!(killed.status.code(), Some(0), "{}", said(&killed));
    let output = ended(child);
    let report = report_of(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(log(&run), ["do one", "begin two", "begin two", "end two", "do three"]);
    assert_eq!(step(&report, "two")["agent"], AGENT);
    assert!(!crate::scene::runs(&pid), "what the killed agent had started is gone");
    let events = events(&run);
    assert_eq!(handed_over(&events), 1);
    let stopped = |event: &TrailEvent| {
        matches!(event, TrailEvent::Node(NodeEvent::KillAnswered { answer: KillAnswer::Stopped {}, .. }))
    };
    assert!(events.iter().any(stopped), "that it was stopped is on the trail");
    assert_complete(&run);
}

/// Whoever has taken a step over is stopped by a kill like anybody else, also who has no step of its own.
#[test]
fn a_substitute_that_is_killed_is_stopped() {
    const THIRD: &str = "did:mesh:c";
    let line = "echo $$ > two.$HV_ATTEMPT; echo begin two >> LOG; exec sleep 600";
    let second = with(
        change("two", sh(line), sh("echo undo two >> LOG")),
        json!({ "agent": OTHER, "substitute": THIRD, "probe": sh("false") }),
    );
    let agents = [AGENT, OTHER, THIRD].map(|did| json!({ "did": did, "sigma": 0.9 }));
    let run = scene(&with(file(0.9, vec![quick("one"), second]), json!({ "agent": agents })));
    let child = spawn(&mut run.start());
    written(&run.work().join("two.1"));
    let killed = kill(&run, OTHER);
    assert_eq!(killed.status.code(), Some(0), "{}", said(&killed));
    let pid = written(&run.work().join("two.2"));
    let killed = kill(&run, THIRD);
    assert_eq!(killed.status.code(), Some(0), "{}", said(&killed));
    let output = ended(child);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(!crate::scene::runs(&pid), "what the substitute had started is gone");
    assert_eq!(log(&run), ["do one", "begin two", "begin two", "undo one"]);
    assert_complete(&run);
}

#[test]
fn what_a_killed_agent_does_is_undone_where_nobody_is_named() {
    let run = three(stuck("two"));
    let child = spawn(&mut run.start());
    written(&run.work().join("two.pid"));
    let killed = kill(&run, OTHER);
    assert_eq!(killed.status.code(), Some(0), "{}", said(&killed));
    let output = ended(child);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert_eq!(log(&run), ["do one", "begin two", "undo two", "undo one"]);
    assert_complete(&run);
}

#[test]
fn an_agent_is_relieved_from_a_shell() {
    let probe = sh("grep -q 'end two' LOG");
    let run = three(with(stuck("two"), json!({ "substitute": AGENT, "probe": probe })));
    let child = spawn(&mut run.start());
    written(&run.work().join("two.pid"));
    let relieved = word(&run, &["relieve", "--agent", OTHER]);
    assert_eq!(relieved.status.code(), Some(0), "{}", said(&relieved));
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(handed_over(&events(&run)), 1);
    assert_complete(&run);
}

#[test]
fn a_saga_that_is_paused_from_a_shell_starts_nothing_until_it_is_resumed() {
    let slow = change("two", sh("echo $$ > two.pid; sleep 3; echo do two >> LOG"), sh("true"));
    let run = scene(&file(0.9, vec![quick("one"), slow, quick("three")]));
    let child = spawn(&mut run.start());
    written(&run.work().join("two.pid"));
    let paused = word(&run, &["pause"]);
    assert_eq!(paused.status.code(), Some(0), "{}", said(&paused));
    wait_for("the end of what ran", || log(&run).len() == 2);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(log(&run), ["do one", "do two"], "nothing more starts");
    let resumed = word(&run, &["resume"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", said(&resumed));
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(log(&run), ["do one", "do two", "do three"]);
    assert_complete(&run);
    // Where nothing is driven, there is nothing to hold back.
    let nobody = word(&run, &["pause", "--wait", "200ms"]);
    assert_eq!(nobody.status.code(), Some(2), "{}", said(&nobody));
}

#[test]
fn whoever_resumes_a_run_resumes_what_was_paused_in_it() {
    let slow = change("two", sh("echo $$ > two.pid; sleep 3; echo do two >> LOG"), sh("true"));
    let run = scene(&file(0.9, vec![quick("one"), slow, quick("three")]));
    let child = spawn(&mut run.start());
    written(&run.work().join("two.pid"));
    assert_eq!(word(&run, &["pause"]).status.code(), Some(0));
    wait_for("the end of what ran", || log(&run).len() == 2);
    crate::scene::signal(&child, "TERM");
    assert_eq!(ended(child).status.code(), Some(130));
    let output = ran(&mut run.resume());
    assert_eq!(output.status.code(), Some(0), "{:#}", report_of(&output));
    assert_eq!(log(&run), ["do one", "do two", "do three"]);
    assert_complete(&run);
}

#[test]
fn a_saga_that_is_cancelled_from_a_shell_is_undone_paused_or_not() {
    for pause in [false, true] {
        let slow =
            change("two", sh("echo $$ > two.pid; sleep 2; echo do two >> LOG"), sh("echo undo two >> LOG"));
        let run = scene(&file(0.9, vec![quick("one"), slow, quick("three")]));
        let child = spawn(&mut run.start());
        written(&run.work().join("two.pid"));
        if pause {
            assert_eq!(word(&run, &["pause"]).status.code(), Some(0));
        }
        let cancelled = word(&run, &["cancel"]);
        assert_eq!(cancelled.status.code(), Some(0), "{}", said(&cancelled));
        let output = ended(child);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let log = log(&run);
        // What ran was let end by itself, and is undone with what was done before.
        assert_eq!(&log[..3], ["do one", "do two", "undo two"], "{log:?}");
        assert!(!log.iter().any(|line| line == "do three"), "{log:?}");
        assert_eq!(report_of(&output)["undo_order"], serde_json::json!(["two", "one"]));
        assert_complete(&run);
    }
}

/// A run whose observations wait for this file each time they look, and say that they do.
fn looked_at(name: &str) -> Run {
    let look = format!("echo $$ >> LOOKS; until test -e {name}; do sleep 0.02; done");
    let observe = json!([{ "name": "looks", "agent": AGENT, "command": ["sh", "-c", look] }]);
    scene(&with(file(0.9, vec![quick("one")]), json!({ "observe": observe })))
}

#[test]
fn what_is_cancelled_while_a_run_looks_around_before_its_work_does_not_begin() {
    let run = looked_at("GO");
    let child = spawn(&mut run.start());
    written(&run.work().join("LOOKS"));
    let cancelled = word(&run, &["cancel"]);
    assert_eq!(cancelled.status.code(), Some(1), "nothing is recorded of it yet");
    let words = String::from_utf8_lossy(&cancelled.stdout).into_owned();
    assert!(words.contains("nothing of the work begins"), "{words}");
    std::fs::write(run.work().join("GO"), "").unwrap();
    let output = ended(child);
    assert_eq!(output.status.code(), Some(3), "{:#}", report_of(&output));
    assert_eq!(log(&run), [""; 0]);
    assert_eq!(report_of(&ran(&mut run.resume()))["outcome"], "rolled_back");
    assert_complete(&run);
}

#[test]
fn work_that_has_ended_is_not_called_cancelled() {
    // The first look finds the folder as it is before the work, and goes on by itself.
    let run = looked_at("LOOKS -a ! -e LOG -o -e GO");
    let child = spawn(&mut run.start());
    wait_for("the second look", || written(&run.work().join("LOOKS")).lines().count() == 2);
    let cancelled = word(&run, &["cancel"]);
    assert_eq!(cancelled.status.code(), Some(1));
    let words = String::from_utf8_lossy(&cancelled.stdout).into_owned();
    assert!(words.contains("the work has ended, and stays as it ended"), "{words}");
    std::fs::write(run.work().join("GO"), "").unwrap();
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0), "{:#}", report_of(&output));
    assert_eq!(log(&run), ["do one"]);
    assert!(report_of(&output)["observations"][0]["after"].is_string(), "it looked to its end");
    assert_complete(&run);
}

#[test]
fn what_is_being_undone_is_not_called_paused() {
    let slow = change("one", sh("true"), sh("echo $$ > undo.pid; until test -e GO; do sleep 0.02; done"));
    let run = scene(&file(0.9, vec![slow, change("two", sh("exit 1"), sh("true"))]));
    let child = spawn(&mut run.start());
    written(&run.work().join("undo.pid"));
    let paused = word(&run, &["pause"]);
    assert_eq!(paused.status.code(), Some(1));
    let words = String::from_utf8_lossy(&paused.stdout).into_owned();
    assert!(words.contains("what was done is undone, and that is not held back"), "{words}");
    std::fs::write(run.work().join("GO"), "").unwrap();
    let report = report_of(&ended(child));
    assert_eq!((&report["outcome"], &report["denials"]), (&json!("rolled_back"), &json!([])), "{report:#}");
    assert_complete(&run);
}

#[test]
fn a_saga_is_watched_from_before_it_begins() {
    let slow = change("ready", sh("echo $$ > setup.pid; until test -e GO; do sleep 0.02; done"), sh("true"));
    let run = scene(&with(file(0.9, vec![quick("one")]), json!({ "setup": [slow] })));
    let child = spawn(&mut run.start());
    written(&run.work().join("setup.pid"));
    let watches = [&["watch", "--saga", "work"][..], &["watch"], &["watch", "--saga", "no"]].map(|words| {
        let mut saga = hv();
        spawn(saga.arg("saga").args(words).arg(run.data()))
    });
    std::thread::sleep(Duration::from_millis(1500));
    std::fs::write(run.work().join("GO"), "").unwrap();
    assert_eq!(ended(child).status.code(), Some(0));
    let [work, all, none] = watches.map(ended);
    for watched in [work, all] {
        assert_eq!(watched.status.code(), Some(0), "{}", said(&watched));
        let text = String::from_utf8(watched.stdout).unwrap();
        assert!(text.trim_end().ends_with("/work  completed"), "{text}");
    }
    assert_eq!(none.status.code(), Some(2));
    assert!(said(&none).contains("there is no such saga"), "{}", said(&none));
}
