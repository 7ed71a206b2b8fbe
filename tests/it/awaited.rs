//! What a killed `hv session exec` left running is waited for by the next command, which takes a kill, Ctrl-C and SIGTERM
//! meanwhile as it does later.

use crate::live::Desk;
use crate::scene::{ended, runs, said, signal, spawn, wait_for};
use hv_audit::{Verdict, Why};
use std::process::Child;
use std::time::{Duration, Instant};

/// What tells its process and goes on for a minute.
const LONG: &str = "echo $$ > pid; echo begun >> log; sleep 60; echo ended >> log";

/// A desk on which hv was killed in the middle of a command; its program goes on.
fn left(line: &str) -> (Desk, String) {
    let desk = Desk::new(&["change=full-unproven", "look=read-only"]);
    let mut exec = desk.exec("did:mesh:coder", "change");
    let mut running = spawn(exec.args(["--undo", "echo undone >> log", "--", "sh", "-c", line]));
    wait_for("the command", || desk.text("log").ends_with("begun\n"));
    running.kill().unwrap();
    running.wait().unwrap();
    let pid = desk.text("pid");
    (desk, pid)
}

/// That its trail is there to the last byte; its session goes on.
fn assert_sound(desk: &Desk) {
    assert!(matches!(desk.verdict(), Verdict::Open(Why::SessionsOpen { count: 1 })));
}

/// The next command, which waits for what is left.
fn waiting(desk: &Desk) -> Child {
    let mut exec = desk.exec("did:mesh:coder", "change");
    let child = spawn(exec.args(["--undo", "true", "--", "sh", "-c", "echo next >> log"]));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(desk.text("log"), "begun\n", "it waits");
    child
}

#[test]
fn a_kill_reaches_what_the_next_command_waits_for() {
    let (desk, pid) = left(LONG);
    let child = waiting(&desk);
    let began = Instant::now();
    let killed = desk.kill(&["--agent", "did:mesh:coder", "--by", "did:mesh:operator"]).output().unwrap();
    assert_eq!(killed.status.code(), Some(0), "{}", said(&killed));
    assert!(!runs(&pid), "it is gone when the kill says so");
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    let next = ended(child);
    assert_eq!(next.status.code(), Some(5), "who is killed begins nothing: {}", said(&next));
    assert!(said(&next).contains("e1 was interrupted; what it left is undone"), "{}", said(&next));
    assert_eq!(desk.text("log"), "begun\nundone\n");
    assert_sound(&desk);
}

#[test]
fn a_signal_turns_back_what_the_next_command_waits_for_and_nothing_new_begins() {
    for name in ["INT", "TERM"] {
        let (desk, _) = left("echo begun >> log; sleep 4; echo ended >> log");
        let child = waiting(&desk);
        signal(&child, name);
        let next = ended(child);
        assert_eq!(next.status.code(), Some(130), "{}", said(&next));
        let told = said(&next);
        assert!(told.contains("interrupted; undoing what was done. Once more to stop at once"), "{told}");
        assert!(told.contains("nothing of this one was begun, so give it again"), "{told}");
        assert_eq!(desk.text("log"), "begun\nended\nundone\n", "it had ten seconds: {told}");
        assert_sound(&desk);
    }
}

#[test]
fn a_second_signal_stops_what_the_next_command_waits_for_at_once_and_a_later_one_settles_it() {
    let (desk, pid) = left(LONG);
    let child = waiting(&desk);
    let began = Instant::now();
    for _ in 0..2 {
        signal(&child, "INT");
        std::thread::sleep(Duration::from_millis(200));
    }
    let next = ended(child);
    assert_eq!(next.status.code(), Some(130), "{}", said(&next));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    wait_for("the end of the program", || !runs(&pid));
    assert_eq!(desk.text("log"), "begun\n", "nothing is undone yet");
    let later =
        desk.exec("did:mesh:coder", "change").args(["--undo", "true", "--", "true"]).output().unwrap();
    assert_eq!(later.status.code(), Some(0), "{}", said(&later));
    assert!(said(&later).contains("e1 was interrupted; what it left is undone"), "{}", said(&later));
    assert_eq!(desk.text("log"), "begun\nundone\n");
    assert_sound(&desk);
}
