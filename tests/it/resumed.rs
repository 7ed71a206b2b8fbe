//! A run goes on where it was cut off, with all that it needs, or says what is missing before it records anything; and it
//! tells what it does then as any other run.

use crate::scene::{
    AGENT, assert_complete, change, file, image, look, ran, said, scene, sh, signal, spawn, step, trail,
    wait_for, with, written,
};
use crate::support::{Run, hv, json as report_of};
use hv_core::Hypervisor;
use hv_core::config::Config;
use hv_core::types::{Did, SessionId};
use serde_json::{Value, json};
use std::process::{Command, Output};

/// Two steps, the second of which is in the middle of its work for a while, in a session of this name.
fn two() -> Value {
    let one = change("one", sh("touch ONE"), sh("rm ONE"));
    let slow = "echo $$ > two.pid; test -e AGAIN && exit; touch AGAIN; exec sleep 600";
    let two = change("two", sh(slow), sh("rm -f AGAIN"));
    with(file(0.9, vec![one, two]), json!({ "session": { "id": "k" } }))
}

/// Starts a run and kills it in the middle of its second step, with what that had started.
fn killed(run: &Run) {
    let mut child = spawn(&mut run.start());
    let pid = written(&run.work().join("two.pid"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(Command::new("kill").args(["-s", "KILL", pid.trim()]).status().unwrap().success());
}

/// `hv run --resume`, with its progress and more arguments.
fn resumed(run: &Run, more: &[&str]) -> Output {
    ran(hv().args(["run", "--resume", "--data"]).arg(run.data()).args(more))
}

fn refused(output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(2), "{}", said(output));
    for word in words {
        assert!(said(output).contains(word), "{word}: {}", said(output));
    }
}

#[test]
fn a_run_whose_work_folder_is_gone_is_not_resumed_and_nothing_is_recorded() {
    let run = scene(&two());
    killed(&run);
    let (work, away) = (run.work(), run.folder.path().join("away"));
    std::fs::rename(&work, &away).unwrap();
    let records = trail(&run.data()).len();
    refused(
        &resumed(&run, &[]),
        &["work folder", "is not there; put it back, then go on with `hv run --resume"],
    );
    std::fs::write(&work, "a file").unwrap();
    refused(&resumed(&run, &[]), &["is no folder; put it back"]);
    assert_eq!(trail(&run.data()).len(), records, "nothing was recorded");
    std::fs::remove_file(&work).unwrap();
    std::fs::rename(&away, &work).unwrap();
    let output = ran(&mut run.resume());
    let report = report_of(&output);
    assert_eq!(output.status.code(), Some(3), "{report:#}");
    assert_eq!(report["slashes"], json!([]), "{report:#}");
    assert!(!work.join("ONE").exists());
    assert_complete(&run);
}

/// A trail in which the session of a run was recorded, and not what it was to do.
async fn cut_off(run: &Run) {
    let hv = Hypervisor::in_folder(&run.data()).unwrap();
    let (id, creator) = (SessionId::new("k").unwrap(), Did::new(AGENT).unwrap());
    hv.create_session(&id, Config::default().session(), &creator).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cut_off_behind_its_session_is_carried_out_with_its_file() {
    let session = with(
        file(0.9, vec![change("one", sh("touch ONE"), sh("rm ONE"))]),
        json!({ "session": { "id": "k" } }),
    );
    let run = scene(&session);
    cut_off(&run).await;
    let records = trail(&run.data()).len();
    let ask = ["session `k`", "nothing of it was begun", "hv run --resume FILE --data"];
    refused(&resumed(&run, &[]), &ask);
    assert_eq!(trail(&run.data()).len(), records, "nothing was recorded");
    refused(&ran(&mut run.start()), &ask);
    let other = run.folder.path().join("other.json");
    std::fs::write(&other, with(session, json!({ "session": { "id": "j" } })).to_string()).unwrap();
    refused(&resumed(&run, &[other.to_str().unwrap()]), &["session `k`", "another id, creator or settings"]);
    let output = ran(run.start().arg("--resume"));
    let report = report_of(&output);
    assert_eq!(output.status.code(), Some(0), "{}\n{report:#}", said(&output));
    assert_eq!((&report["session"], &step(&report, "one")["state"]), (&json!("k"), &json!("committed")));
    assert!(run.work().join("ONE").exists());
    assert_complete(&run);
}

#[test]
fn resuming_where_nothing_was_begun_asks_for_the_session_file_and_writes_nothing() {
    let run = scene(&two());
    std::fs::create_dir(run.data()).unwrap();
    refused(&resumed(&run, &[]), &["there is no trail in", "hv run FILE --data"]);
    assert_eq!(image(&run.data()), []);
    // A trail without a session, closed in order.
    let mut node = hv();
    node.args(["node", "configure", "--did", "did:web:node.example", "--data"]).arg(run.data());
    let made = ran(&mut node);
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    let records = trail(&run.data()).len();
    refused(&resumed(&run, &[]), &["nothing was begun in", "hv run --resume FILE --data"]);
    assert_eq!(trail(&run.data()).len(), records, "nothing was recorded");
    assert_complete(&run);
}

#[test]
fn a_resumed_run_works_where_it_was_begun_and_nowhere_else() {
    let run = scene(&two());
    killed(&run);
    let elsewhere = run.folder.path().join("elsewhere");
    let other = resumed(&run, &["--work", elsewhere.to_str().unwrap()]);
    refused(&other, &["a resumed run works where it was begun", "elsewhere", "leave --work out"]);
    assert!(!elsewhere.exists());
    // The same folder by another name is the same folder.
    let link = run.folder.path().join("link");
    std::os::unix::fs::symlink(run.work(), &link).unwrap();
    let same = resumed(&run, &["--work", link.to_str().unwrap()]);
    assert_eq!(same.status.code(), Some(3), "{}", said(&same));
    assert_complete(&run);
}

#[test]
fn a_resumed_run_tells_what_starts_what_is_not_undone_and_who_loses_what() {
    let one = change("one", sh("touch ONE"), sh("exit 1"));
    let slow = "echo $$ > two.pid; test -e AGAIN && exit; touch AGAIN; exec sleep 600";
    let two = with(look("two", sh(slow)), json!({ "retries": 1, "retry_delay": "1ms" }));
    let run = scene(&file(0.9, vec![one, two, look("three", sh("exit 1"))]));
    killed(&run);
    let output = resumed(&run, &[]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let said = said(&output);
    for line in [
        format!("two: {AGENT} starts look in Ring 3 (sandbox), attempt 2\n"),
        "two: done\n".to_owned(),
        format!("three: {AGENT} starts look in "),
        "one: undoing\n".to_owned(),
        "one: not undone, a person must look: ".to_owned(),
        format!("slashed: {AGENT} loses 0.9"),
    ] {
        assert!(said.contains(&line), "{line}: {said}");
    }
}

/// A slash in a trail in which the agent has had its account since an earlier run names it, too.
#[test]
fn who_is_slashed_in_a_later_run_of_a_trail_is_named() {
    let first = scene(&file(0.9, vec![look("one", sh("true"))]));
    assert_eq!(ran(&mut first.start()).status.code(), Some(0));
    let steps = vec![change("one", sh("touch ONE"), sh("exit 1")), look("two", sh("exit 1"))];
    std::fs::write(&first.file, file(0.9, steps).to_string()).unwrap();
    let mut second = hv();
    second.arg("run").arg(&first.file).arg("--data").arg(first.data());
    let output = ran(second.arg("--work").arg(first.folder.path().join("second")));
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains(&format!("slashed: {AGENT} loses ")), "{}", said(&output));
}

/// Whoever interrupts a run that was resumed sees it go on with what it did.
#[test]
fn a_run_that_was_terminated_is_resumed_with_its_steps_by_name() {
    let run = scene(&two());
    let child = spawn(&mut run.start());
    written(&run.work().join("two.pid"));
    signal(&child, "TERM");
    let mut child = child;
    wait_for("its end", || child.try_wait().unwrap().is_some());
    let output = resumed(&run, &[]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("one: undoing\n") && said(&output).contains("one: undone\n"),
        "{}",
        said(&output)
    );
}
