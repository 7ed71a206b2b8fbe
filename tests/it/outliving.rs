//! A run was killed while programs of its steps go on: whoever asks for their end, from a shell or at the terminal, gets
//! it, also while a resumed run waits for them.

use crate::scene::{
    AGENT, assert_complete, ended, ran, said, scene, sh, signal, spawn, wait_for, with, written,
};
use crate::support::{Run, hv, json as report_of};
use hv_core::audit::FileOptions;
use hv_core::config::Config;
use hv_core::event::{KillAnswer, KillTarget};
use hv_core::types::Did;
use hv_core::{Clock, Hypervisor, KillOrder, OpenTrail, SystemClock, entropy};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const OTHER: &str = "did:mesh:b";

/// A step whose effect is a file of its name.
fn act(id: &str, agent: &str, line: &str) -> Value {
    let path = format!("echo $$ > {id}.pid; {line}");
    let undo = format!("rm -f {id}; echo undo {id} >> LOG");
    json!({
        "id": id, "agent": agent, "action": "act", "undo_retries": 0,
        "after": [], "execute": sh(&path), "undo": sh(&undo), "probe": sh(&format!("test -e {id}")),
    })
}

fn file(steps: Vec<Value>) -> Value {
    json!({
        "session": { "id": "k" },
        "limits": { "parallel": 4 },
        "agent": [{ "did": AGENT, "sigma": 0.85 }, { "did": OTHER, "sigma": 0.8 }],
        "action": [{ "id": "act", "reversibility": "full" }],
        "step": steps,
    })
}

/// A run that was killed while these steps are in the middle of their work, and their processes.
fn cut_off<const N: usize>(steps: Vec<Value>, ids: [&str; N]) -> (Run, [String; N]) {
    let run = scene(&file(steps));
    let mut child = spawn(&mut run.start());
    let pids = ids.map(|id| written(&run.work().join(format!("{id}.pid"))));
    child.kill().unwrap();
    child.wait().unwrap();
    (run, pids)
}

fn runs(pid: &str) -> bool {
    crate::scene::runs(pid)
}

fn there(run: &Run, name: &str) -> bool {
    run.work().join(name).exists()
}

fn log(run: &Run) -> Vec<String> {
    let text = std::fs::read_to_string(run.work().join("LOG")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{}: {}", output.status, said(output)))
}

fn kill(run: &Run, target: &[&str]) -> Output {
    let mut kill = hv();
    kill.arg("kill").arg("--data").arg(run.data()).args(target);
    ran(kill.args(["--reason", "it leaks", "--wait", "2s"]))
}

fn word(run: &Run, words: &[&str]) -> Output {
    let mut saga = hv();
    saga.args(["saga", words[0]]).arg(run.data()).args(&words[1..]);
    ran(&mut saga)
}

/// What a resumed run that waits has said.
fn heard(run: &Run) -> String {
    std::fs::read_to_string(run.folder.path().join("heard")).unwrap()
}

/// A resumed run that waits for what goes on.
fn waits(run: &Run) -> Child {
    let told = std::fs::File::create(run.folder.path().join("heard")).unwrap();
    let mut resume = hv();
    resume.args(["run", "--resume", "--data"]).arg(run.data()).stdout(Stdio::piped()).stderr(told);
    let child = resume.spawn().unwrap();
    wait_for("the resumed run", || heard(run).contains("goes on since the interruption"));
    child
}

/// Ends a program that a test has left, whatever came of it.
fn clean(pids: &[String]) {
    for pid in pids {
        let _ = Command::new("kill").args(["-s", "KILL", pid.trim()]).output();
    }
}

#[test]
fn a_kill_stops_the_programs_of_its_target_that_outlived_a_run() {
    let slow = |id: &str, agent: &str| act(id, agent, &format!("sleep 600; touch {id}"));
    for (target, other_ends) in
        [(vec!["--agent", AGENT], false), (vec!["--all"], true), (vec!["--session", "k"], true)]
    {
        let (run, pids) = cut_off(vec![slow("a", AGENT), slow("b", OTHER)], ["a", "b"]);
        let killed = kill(&run, &target);
        let alive = [runs(&pids[0]), runs(&pids[1])];
        clean(&pids);
        assert_eq!(code(&killed), 0, "{target:?}: {}", said(&killed));
        assert_eq!(alive, [false, !other_ends], "{target:?}: {}", said(&killed));
        let output = ran(&mut run.resume());
        assert_eq!(code(&output), 3, "{target:?}: {}", said(&output));
        assert!(!there(&run, "a") && !there(&run, "b"), "{target:?}: {}", said(&output));
        assert_complete(&run);
    }
}

#[test]
fn a_kill_ends_an_outliving_program_that_does_not_listen() {
    let deaf = act("a", AGENT, "trap '' TERM; echo x > deaf; while :; do sleep 0.1; done");
    let (run, pids) = cut_off(vec![deaf], ["a"]);
    wait_for("the trap", || there(&run, "deaf"));
    let killed = kill(&run, &["--agent", AGENT]);
    let alive = runs(&pids[0]);
    clean(&pids);
    assert_eq!((code(&killed), alive), (0, false), "{}", said(&killed));
}

#[test]
fn what_a_killed_agent_had_begun_is_undone_by_the_resumed_run_and_never_kept() {
    let (run, pids) = cut_off(vec![act("a", AGENT, "touch a; sleep 3; touch end")], ["a"]);
    wait_for("the effect", || there(&run, "a"));
    let killed = kill(&run, &["--agent", AGENT]);
    let output = ran(&mut run.resume());
    clean(&pids);
    assert_eq!(code(&killed), 0, "{}", said(&killed));
    assert_eq!(code(&output), 3, "{}", said(&output));
    assert_eq!(log(&run), ["undo a"], "{}", said(&output));
    assert!(!there(&run, "a") && !there(&run, "end"), "{}", said(&output));
    assert_complete(&run);
}

/// Whoever recorded the kill may have ended before it stopped anything.
#[test]
fn what_is_killed_and_goes_on_is_stopped_at_once_by_the_resumed_run() {
    let (run, pids) = cut_off(vec![act("a", AGENT, "touch a; sleep 8; touch end")], ["a"]);
    wait_for("the effect", || there(&run, "a"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = FileOptions::new(entropy().unwrap());
        let trail = OpenTrail::open(&run.data(), SystemClock.now(), options).unwrap();
        let hv = Hypervisor::open_configured(trail, Arc::new(SystemClock), &Config::default()).unwrap();
        let target = KillTarget::Agent { did: Did::new(AGENT).unwrap() };
        let order = KillOrder { target, by: None, reason: "it leaks".to_owned() };
        let answer = hv.kill(&order, async { Ok::<_, Infallible>(()) }).await.unwrap();
        assert_eq!(answer, KillAnswer::Stopped {});
        hv.seal().await.unwrap();
    });
    assert!(runs(&pids[0]));
    let output = ran(&mut run.resume());
    let alive = runs(&pids[0]);
    clean(&pids);
    assert_eq!((code(&output), alive), (3, false), "{}", said(&output));
    assert_eq!(log(&run), ["undo a"], "{}", said(&output));
    assert!(!there(&run, "a") && !there(&run, "end"), "{}", said(&output));
    assert_complete(&run);
}

#[test]
fn an_undo_that_outlived_a_run_is_not_stopped_by_a_kill() {
    let undo = "echo $$ > undo.pid; sleep 2; rm -f a; echo undo a >> LOG";
    let a = with(act("a", AGENT, "touch a"), json!({ "undo": sh(undo) }));
    let fails = with(act("b", OTHER, "exit 1"), json!({ "after": ["a"] }));
    let (run, pids) = cut_off(vec![a, fails], ["undo"]);
    let killed = kill(&run, &["--agent", AGENT]);
    assert_eq!(code(&killed), 0, "{}", said(&killed));
    assert!(runs(&pids[0]), "what is undone is not held back: {}", said(&killed));
    let output = ran(&mut run.resume());
    assert_eq!(code(&output), 3, "{}", said(&output));
    assert!(!there(&run, "a"));
    assert_complete(&run);
}

#[test]
fn a_resumed_run_that_waits_takes_a_kill() {
    for target in [vec!["--agent", AGENT], vec!["--all"]] {
        let (run, pids) = cut_off(vec![act("a", AGENT, "touch a; sleep 600")], ["a"]);
        wait_for("the effect", || there(&run, "a"));
        let mut resumed = waits(&run);
        let killed = kill(&run, &target);
        let alive = runs(&pids[0]);
        clean(&pids);
        if code(&killed) != 0 {
            let _ = resumed.kill();
        }
        assert_eq!((code(&killed), alive), (0, false), "{target:?}: {}", said(&killed));
        let output = ended(resumed);
        assert_eq!(code(&output), 3, "{}", heard(&run));
        assert_eq!(log(&run), ["undo a"]);
        assert_complete(&run);
    }
}

#[test]
fn a_resumed_run_that_waits_is_cancelled_from_a_shell() {
    let steps = vec![act("a", AGENT, "touch a; sleep 600"), act("b", OTHER, "touch b")];
    let (run, pids) = cut_off(steps, ["a", "b"]);
    wait_for("the effects", || there(&run, "a") && there(&run, "b"));
    let mut resumed = waits(&run);
    let cancelled = word(&run, &["cancel", "--wait", "5s"]);
    if code(&cancelled) != 0 {
        clean(&pids);
        let _ = resumed.kill();
    }
    assert_eq!(code(&cancelled), 0, "{}", said(&cancelled));
    assert!(runs(&pids[0]) && there(&run, "b"), "S1: nothing is undone while it goes on");
    let output = ended(resumed);
    assert!(!runs(&pids[0]), "it had its time to end, and was stopped");
    assert_eq!(code(&output), 3, "{}", heard(&run));
    let mut undone = log(&run);
    undone.sort_unstable();
    assert_eq!(undone, ["undo a", "undo b"]);
    assert_complete(&run);
}

#[test]
fn a_resumed_run_that_waits_is_paused_and_let_go_on_from_a_shell() {
    let after = with(act("b", OTHER, "touch b"), json!({ "after": ["a"] }));
    let (run, _) = cut_off(vec![act("a", AGENT, "sleep 4; touch a"), after], ["a"]);
    let resumed = waits(&run);
    let paused = word(&run, &["pause"]);
    assert_eq!(code(&paused), 0, "{}", said(&paused));
    wait_for("the end of what ran", || there(&run, "a"));
    std::thread::sleep(Duration::from_secs(1));
    assert!(!there(&run, "b.pid"), "nothing more starts");
    let going_on = word(&run, &["resume"]);
    assert_eq!(code(&going_on), 0, "{}", said(&going_on));
    let output = ended(resumed);
    assert_eq!(code(&output), 0, "{}", heard(&run));
    assert!(there(&run, "a") && there(&run, "b"));
    assert_complete(&run);
}

#[test]
fn an_agent_is_relieved_of_what_a_resumed_run_waits_for() {
    let line = "test -e AGAIN && touch a && exit; touch AGAIN; exec sleep 600";
    let a = with(act("a", AGENT, line), json!({ "substitute": OTHER }));
    let (run, pids) = cut_off(vec![a], ["a"]);
    wait_for("the step", || there(&run, "AGAIN"));
    let mut resumed = waits(&run);
    let relieved = word(&run, &["relieve", "--agent", AGENT]);
    let alive = runs(&pids[0]);
    clean(&pids);
    if code(&relieved) != 0 {
        let _ = resumed.kill();
    }
    assert_eq!((code(&relieved), alive), (0, false), "{}", said(&relieved));
    let output = ended(resumed);
    assert_eq!(code(&output), 0, "{}", heard(&run));
    let report = report_of(&ran(&mut run.resume()));
    assert_eq!(crate::scene::step(&report, "a")["agent"], OTHER);
    assert_complete(&run);
}

#[test]
fn ctrl_c_ends_the_waiting_of_a_resumed_run_and_undoes() {
    let (run, pids) = cut_off(vec![act("a", AGENT, "touch a; sleep 40; touch end")], ["a"]);
    wait_for("the effect", || there(&run, "a"));
    let resumed = waits(&run);
    let before = Instant::now();
    signal(&resumed, "INT");
    let output = ended(resumed);
    let (took, alive) = (before.elapsed(), runs(&pids[0]));
    clean(&pids);
    assert_eq!((code(&output), alive), (3, false), "{}", heard(&run));
    assert!(took < Duration::from_secs(25), "{took:?}: ten seconds, and what it takes to stop it");
    assert!(!there(&run, "end"));
    assert_eq!(log(&run), ["undo a"]);
    assert_complete(&run);
}

#[test]
fn a_resumed_run_that_was_told_to_undo_while_it_waited_undoes_when_it_is_resumed_again() {
    let (run, pids) = cut_off(vec![act("a", AGENT, "touch a; sleep 12")], ["a"]);
    wait_for("the effect", || there(&run, "a"));
    let resumed = waits(&run);
    signal(&resumed, "INT");
    std::thread::sleep(Duration::from_millis(300));
    let before = Instant::now();
    signal(&resumed, "INT");
    let output = ended(resumed);
    assert_eq!(code(&output), 130, "{}", heard(&run));
    assert!(before.elapsed() < Duration::from_secs(8), "at once");
    assert!(there(&run, "a"));
    let output = ran(&mut run.resume());
    clean(&pids);
    assert_eq!(code(&output), 3, "{}", said(&output));
    assert_eq!(log(&run), ["undo a"]);
    assert_complete(&run);
}

/// Also where both come before anything is looked for.
#[test]
fn a_termination_lets_what_a_resumed_run_waits_for_end_within_a_grace_and_forgets_nothing() {
    let (run, pids) = cut_off(vec![act("a", AGENT, "sleep 600; touch a")], ["a"]);
    let resumed = waits(&run);
    signal(&resumed, "TERM");
    let output = ended(resumed);
    let alive = runs(&pids[0]);
    clean(&pids);
    assert_eq!((code(&output), alive), (130, false), "{}", heard(&run));
}
