//! What is asked of a run from a shell holds for what it is meant for, from one part of the run to the next; and what is
//! told of it is right.

use crate::scene::{
    AGENT, assert_complete, change, ended, file, ran, said, scene, sh, signal, spawn, wait_for, with, written,
};
use crate::support::{Run, hv, json as report_of};
use serde_json::{Value, json};
use std::process::Output;
use std::time::Duration;

const OTHER: &str = "did:mesh:b";

fn word(run: &Run, words: &[&str]) -> Output {
    let mut saga = hv();
    saga.args(["saga", words[0]]).arg(run.data()).args(&words[1..]);
    ran(&mut saga)
}

/// A step of the set-up that says that it has begun and ends once GO is there.
fn slow() -> Value {
    change("ready", sh("echo $$ > setup.pid; until test -e GO; do sleep 0.02; done"), sh("true"))
}

fn quick(id: &str) -> Value {
    change(id, sh(&format!("echo do {id} >> LOG")), sh(&format!("echo undo {id} >> LOG")))
}

fn log(run: &Run) -> String {
    std::fs::read_to_string(run.work().join("LOG")).unwrap_or_default()
}

fn agents(file: Value) -> Value {
    with(file, json!({ "agent": [{ "did": AGENT, "sigma": 0.9 }, { "did": OTHER, "sigma": 0.9 }] }))
}

fn go(run: &Run) {
    std::fs::write(run.work().join("GO"), "").unwrap();
}

#[test]
fn a_pause_in_the_set_up_holds_back_the_first_steps_of_the_work() {
    let file = file(0.9, vec![quick("one"), quick("two")]);
    let run = scene(&with(file, json!({ "setup": [slow()], "limits": { "parallel": 4 } })));
    let child = spawn(&mut run.start());
    written(&run.work().join("setup.pid"));
    let paused = word(&run, &["pause"]);
    assert_eq!(paused.status.code(), Some(0), "{}", said(&paused));
    go(&run);
    let listed = || String::from_utf8(word(&run, &["list"]).stdout).unwrap();
    wait_for("the work, paused", || {
        listed().lines().any(|line| line.contains("/work  running") && line.contains("paused"))
    });
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(log(&run), "", "no step of the work starts");
    let resumed = word(&run, &["resume"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", said(&resumed));
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(log(&run).lines().count(), 2);
    assert_complete(&run);
}

#[test]
fn a_pause_while_a_run_looks_around_holds_back_its_work() {
    let look = "echo $$ > look.pid; until test -e GO; do sleep 0.02; done";
    let observe = json!([{ "name": "looks", "agent": AGENT, "command": ["sh", "-c", look] }]);
    let run = scene(&with(file(0.9, vec![quick("one")]), json!({ "observe": observe })));
    let child = spawn(&mut run.start());
    written(&run.work().join("look.pid"));
    assert_eq!(word(&run, &["pause"]).status.code(), Some(0));
    go(&run);
    std::thread::sleep(Duration::from_millis(800));
    assert_eq!(log(&run), "", "no step of the work starts");
    assert_eq!(word(&run, &["resume"]).status.code(), Some(0));
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(log(&run), "do one\n");
}

#[test]
fn who_is_relieved_in_the_set_up_is_not_relieved_of_the_work_again() {
    let begun = "echo $$ > setup.pid; test -e AGAIN && exit; touch AGAIN; exec sleep 600";
    let setup = with(change("ready", sh(begun), sh("true")), json!({ "agent": OTHER, "substitute": AGENT }));
    let setup = with(setup, json!({ "probe": sh("false") }));
    let work = with(
        change("one", sh("sleep 0.5; echo do one >> LOG"), sh("echo undo one >> LOG")),
        json!({ "agent": OTHER }),
    );
    let run = scene(&with(agents(file(0.9, vec![work])), json!({ "setup": [setup] })));
    let child = spawn(&mut run.start());
    written(&run.work().join("setup.pid"));
    let relieved = word(&run, &["relieve", "--agent", OTHER]);
    assert_eq!(relieved.status.code(), Some(0), "{}", said(&relieved));
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0), "{:#}", report_of(&output));
    assert_eq!(log(&run), "do one\n");
    assert_complete(&run);
}

#[test]
fn relieving_who_has_no_step_there_is_bad_input_and_names_who_has() {
    let slow = change("one", sh("echo $$ > setup.pid; until test -e GO; do sleep 0.02; done"), sh("true"));
    let run = scene(&agents(file(0.9, vec![slow, with(quick("two"), json!({ "agent": OTHER }))])));
    let child = spawn(&mut run.start());
    written(&run.work().join("setup.pid"));
    let nobody = word(&run, &["relieve", "--agent", "did:mesh:nobody"]);
    assert_eq!(nobody.status.code(), Some(2), "{}", said(&nobody));
    let words = said(&nobody);
    assert!(
        words.contains("did:mesh:nobody") && words.contains(&format!("its agents are {AGENT}, {OTHER}")),
        "{words}"
    );
    go(&run);
    assert_eq!(ended(child).status.code(), Some(0));
}

#[test]
fn an_attempt_behind_a_handover_is_not_counted_against_the_retries_of_before() {
    let begun = "echo $$ > setup.pid; test -e AGAIN && exit; touch AGAIN; exec sleep 600";
    let one = with(change("one", sh(begun), sh("true")), json!({ "agent": OTHER, "substitute": AGENT }));
    let run = scene(&agents(file(0.9, vec![with(one, json!({ "probe": sh("false") }))])));
    let mut start = hv();
    start.arg("run").arg(&run.file).arg("--data").arg(run.data()).arg("--work").arg(run.work());
    let child = spawn(&mut start);
    written(&run.work().join("setup.pid"));
    assert_eq!(word(&run, &["relieve", "--agent", OTHER]).status.code(), Some(0));
    let output = ended(child);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let words = said(&output);
    assert!(
        words.contains(&format!("one: {AGENT} starts change in Ring 2 (standard), attempt 2\n")),
        "{words}"
    );
}

#[test]
fn what_is_cancelled_in_a_rehearsal_or_before_the_work_says_so() {
    for (by, shell) in [("cancel", true), ("INT", false)] {
        let mut step = change("one", sh("echo $$ > setup.pid; sleep 1; touch ONE"), sh("rm -f ONE"));
        step.as_object_mut().unwrap().remove("accept_unproven_undo");
        let step = with(step, json!({ "probe": sh("test -e ONE") }));
        let mut session = file(0.9, vec![step]);
        session["action"][0]["rehearse"] = json!(true);
        let run = scene(&session);
        let child = spawn(&mut run.start());
        written(&run.work().join("setup.pid"));
        if shell {
            assert_eq!(word(&run, &["cancel"]).status.code(), Some(0));
        } else {
            signal(&child, "INT");
        }
        let output = ended(child);
        let report = report_of(&output);
        assert_eq!(output.status.code(), Some(3), "{report:#}");
        assert_eq!(report["cause"], "in the rehearsal it was cancelled", "{by}: {report:#}");
    }
    let look = "echo $$ > look.pid; until test -e GO; do sleep 0.02; done";
    let observe = json!([{ "name": "looks", "agent": AGENT, "command": ["sh", "-c", look] }]);
    let run = scene(&with(file(0.9, vec![quick("one")]), json!({ "observe": observe })));
    let child = spawn(&mut run.start());
    written(&run.work().join("look.pid"));
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(200));
    go(&run);
    let report = report_of(&ended(child));
    assert_eq!(report["cause"], "it was cancelled before its work began", "{report:#}");
}

#[test]
fn watching_as_json_prints_an_object_with_the_fields_of_a_step_on_each_line() {
    let run = scene(&file(0.9, vec![quick("one"), quick("two")]));
    assert_eq!(ran(&mut run.start()).status.code(), Some(0));
    let watched = String::from_utf8(word(&run, &["watch", "--json"]).stdout).unwrap();
    let lines: Vec<Value> = watched.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown = report_of(&word(&run, &["show", "--json"]));
    let saga = &shown[0];
    assert_eq!(lines.len(), 3, "{watched}");
    for (line, step) in lines.iter().zip(saga["steps"].as_array().unwrap()) {
        let of = json!({ "session": saga["session"], "saga": saga["saga"] });
        assert_eq!(*line, with(step.clone(), of), "{watched}");
    }
    let mut whole = saga.clone();
    whole.as_object_mut().unwrap().remove("steps");
    assert_eq!(lines[2], whole, "{watched}");
}
