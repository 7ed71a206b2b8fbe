//! Ctrl-C, signals, timeouts and crashes in the middle of a step: what was done is undone or finished, nothing runs
//! twice at once, and no process is left behind.

use crate::scene::{
    SERVICE, assert_complete, attempts, change, ended, file, look, names, ran, runs, said, scene, sh, signal,
    spawn, step, wait_for, with, written,
};
use crate::support::{Run, hv, json as report_of, look as look_at};
use hv_audit::{Verdict, verify};
use hv_core::event::{KillAnswer, NodeEvent};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

/// A step that says when it begins and when it ends, and that its undo took it back.
fn long(id: &str, seconds: f64) -> Value {
    let begin = format!("echo $$ > {id}.pid; echo begin {id} >> LOG; sleep {seconds}; echo end {id} >> LOG");
    change(id, sh(&begin), sh(&format!("echo undo {id} >> LOG")))
}

/// What the steps of a run wrote down, in order.
fn log(run: &Run) -> Vec<String> {
    let text = std::fs::read_to_string(run.work().join("LOG")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Starts a run and waits until this step is in the middle of its work.
fn in_the_middle(run: &Run, id: &str) -> std::process::Child {
    let child = spawn(&mut run.start());
    written(&run.work().join(format!("{id}.pid")));
    child
}

/// Kills a run in the middle of a step and resumes it at once.
fn killed_and_resumed(run: &Run, id: &str) -> Output {
    let mut child = in_the_middle(run, id);
    child.kill().unwrap();
    child.wait().unwrap();
    ran(&mut run.resume())
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{}: {}", output.status, said(output)))
}

#[test]
fn ctrl_c_undoes_what_was_done_and_lets_the_step_that_runs_end() {
    let run = scene(&file(0.9, vec![long("one", 0.0), long("two", 1.0), long("three", 0.0)]));
    let child = in_the_middle(&run, "two");
    signal(&child, "INT");
    let output = ended(child);
    let report = report_of(&output);
    assert_eq!(code(&output), 3, "{report:#}");
    assert_eq!(log(&run), ["begin one", "end one", "begin two", "end two", "undo two", "undo one"]);
    assert_eq!(names(&report["undo_order"]), ["two", "one"]);
    assert_eq!(step(&report, "three")["state"], "pending");
    assert_eq!(report["outcome"], "rolled_back");
    assert_complete(&run);
}

#[test]
fn ctrl_c_stops_a_step_that_does_not_end_and_undoes_it_too() {
    let run = scene(&file(0.9, vec![long("one", 0.0), long("two", 600.0)]));
    let child = in_the_middle(&run, "two");
    let pid = written(&run.work().join("two.pid"));
    signal(&child, "INT");
    let output = ended(child);
    let report = report_of(&output);
    assert_eq!(code(&output), 3, "{report:#}");
    // Nobody knows how far it came, so it counts as done.
    assert_eq!(log(&run), ["begin one", "end one", "begin two", "undo two", "undo one"]);
    assert_eq!(attempts(&report, "two", "execute")[0]["outcome"], "unknown");
    assert!(!runs(&pid), "it is gone");
    assert_complete(&run);
}

#[test]
fn ctrl_c_in_the_set_up_undoes_the_set_up() {
    let run = scene(&with(
        file(0.9, vec![long("work", 0.0)]),
        json!({ "setup": [long("one", 0.0), long("two", 0.5)] }),
    ));
    let child = in_the_middle(&run, "two");
    signal(&child, "INT");
    let output = ended(child);
    assert_eq!(code(&output), 3, "{}", said(&output));
    assert_eq!(log(&run), ["begin one", "end one", "begin two", "end two", "undo two", "undo one"]);
    assert_complete(&run);
}

#[test]
fn a_second_ctrl_c_stops_at_once_and_leaves_the_run_resumable() {
    let run = scene(&file(0.9, vec![long("one", 0.0), long("two", 600.0)]));
    let child = in_the_middle(&run, "two");
    let pid = written(&run.work().join("two.pid"));
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    let before = Instant::now();
    signal(&child, "INT");
    let output = ended(child);
    let report = report_of(&output);
    assert_eq!(code(&output), 130, "{report:#}");
    assert!(before.elapsed() < Duration::from_secs(8), "at once");
    assert_eq!((&report["outcome"], &report["exit_code"]), (&json!("interrupted"), &json!(130)));
    assert_eq!((&report["root"], &report["verify"]["verdict"]), (&Value::Null, &json!("open")));
    wait_for("the end of the step", || !runs(&pid));
    assert!(matches!(verify(&run.data()).unwrap().verdict, Verdict::Open(_)));

    // It had been told to undo, and that is what it goes on with.
    let output = ran(&mut run.resume());
    let report = report_of(&output);
    assert_eq!(code(&output), 3, "{report:#}");
    assert_eq!(log(&run), ["begin one", "end one", "begin two", "undo two", "undo one"]);
    assert_complete(&run);
}

#[test]
fn what_is_stopped_at_once_is_asked_first_and_may_clean_up_after_itself() {
    // As git takes away the files by which it keeps others out.
    let holds =
        "trap 'rm LOCK; echo cleaned >> LOG; exit 7' TERM; touch LOCK; echo $$ > two.pid; sleep 600 & wait";
    let two = change(
        "two",
        json!({ "command": ["bash", "-c", holds] }),
        sh("test ! -e LOCK; echo undo two >> LOG"),
    );
    for (signals, end) in [(vec!["INT", "INT"], 3), (vec!["TERM"], 3)] {
        let run = scene(&file(0.9, vec![two.clone()]));
        let child = in_the_middle(&run, "two");
        for name in &signals {
            signal(&child, name);
            std::thread::sleep(Duration::from_millis(200));
        }
        let output = ended(child);
        let report = report_of(&output);
        assert_eq!(code(&output), 130, "{report:#}");
        assert_eq!(log(&run), ["cleaned"], "{signals:?}: it was asked, and heard out");
        assert!(!run.work().join("LOCK").exists());
        let attempt = &attempts(&report, "two", "execute")[0];
        assert_eq!(attempt["outcome"], "unknown", "how it ended is on the trail already: {report:#}");
        assert_eq!(attempt["reason"], "it was stopped", "{report:#}");
        let output = ran(&mut run.resume());
        assert_eq!(code(&output), end, "{}", said(&output));
        assert_eq!(log(&run), ["cleaned", "undo two"]);
        assert_complete(&run);
    }
}

#[test]
fn two_signals_in_a_row_leave_a_run_that_ends_when_it_is_resumed() {
    // As a terminal sends them when a key is held down, at any moment.
    let mut seen = Vec::new();
    for pause in [0, 1, 3, 10, 30, 60] {
        let run = scene(&file(0.9, vec![long("one", 0.05), long("two", 0.05)]));
        let child = spawn(&mut run.start());
        wait_for("the trail", || run.data().join("mark").exists());
        std::thread::sleep(Duration::from_millis(pause));
        signal(&child, "INT");
        std::thread::sleep(Duration::from_millis(pause / 4));
        // It may have ended in the meantime.
        let _ = std::process::Command::new("kill").args(["-s", "INT", &child.id().to_string()]).output();
        let output = ended(child);
        let first = code(&output);
        assert!([0, 3, 130].contains(&first), "{first}: {}", said(&output));
        let output = ran(&mut run.resume());
        let last = code(&output);
        assert!(if first == 130 { [0, 3].contains(&last) } else { last == first }, "{first}, then {last}");
        assert_complete(&run);
        let log = log(&run);
        let count = |word: &str| log.iter().filter(|line| line.starts_with(word)).count();
        match last {
            0 => assert_eq!((count("end"), count("undo")), (2, 0), "{log:?}"),
            // What began is undone, and so is what may have begun: a program that was stopped before its first line.
            _ => {
                let mut undone: Vec<&str> =
                    log.iter().filter_map(|line| line.strip_prefix("undo ")).collect();
                for begun in log.iter().filter_map(|line| line.strip_prefix("begin ")) {
                    assert!(undone.contains(&begun), "{log:?}");
                }
                undone.sort_unstable();
                let each = undone.len();
                undone.dedup();
                assert_eq!(undone.len(), each, "nothing is undone twice: {log:?}");
            }
        }
        seen.push(first);
    }
    println!("exit codes: {seen:?}");
}

#[test]
fn a_termination_stops_at_once_and_the_resumed_run_goes_forward() {
    let two = with(long("two", 600.0), json!({ "probe": sh("grep -q 'end two' LOG") }));
    let mut session = file(0.9, vec![long("one", 0.0), two, long("three", 0.0)]);
    session["step"][1]["retries"] = json!(1);
    let run = scene(&session);
    // The second time it is quick.
    let text = std::fs::read_to_string(&run.file).unwrap();
    std::fs::write(
        &run.file,
        text.replace("sleep 600; ", "test -e AGAIN || (touch AGAIN; exec sleep 600); "),
    )
    .unwrap();
    let child = in_the_middle(&run, "two");
    signal(&child, "TERM");
    let output = ended(child);
    assert_eq!(code(&output), 130, "{}", said(&output));
    assert_eq!(report_of(&output)["outcome"], "interrupted");
    let output = ran(&mut run.resume());
    let report = report_of(&output);
    assert_eq!(code(&output), 0, "{report:#}");
    assert_eq!(
        log(&run),
        ["begin one", "end one", "begin two", "begin two", "end two", "begin three", "end three"]
    );
    assert_complete(&run);
}

/// What hv says to do is in backticks, and a person gives it to a shell.
#[test]
fn a_folder_that_a_shell_would_split_is_told_as_one_word() {
    let held = sh("echo $$ > one.pid; until test -e GO; do sleep 0.02; done");
    let usual = scene(&file(0.9, vec![change("one", held, sh("rm one.pid"))]));
    let folder = tempfile::Builder::new().prefix("it's \"mine\" & $HOME ").tempdir().unwrap();
    let run = Run { folder, file: usual.file.clone() };
    let mut command = hv();
    command.arg("run").arg(&run.file).arg("--data").arg(run.data()).arg("--work").arg(run.work());
    let child = spawn(&mut command);
    written(&run.work().join("one.pid"));
    signal(&child, "TERM");
    std::thread::sleep(Duration::from_millis(300));
    std::fs::write(run.work().join("GO"), "").unwrap();
    let output = ended(child);
    assert_eq!(code(&output), 130, "{}", said(&output));
    let told = said(&output);
    let command = told.split('`').nth(1).and_then(|command| command.strip_prefix("hv ")).unwrap();
    let line = format!("\"$0\" {command} --json");
    let output = ran(std::process::Command::new("sh").args(["-c", &line]).arg(hv().get_program()));
    assert_eq!(report_of(&output)["outcome"], "completed", "{told}{}", said(&output));
    assert_complete(&run);
}

#[test]
fn f18_a_step_that_takes_too_long_is_stopped_with_all_that_it_started_and_undone() {
    // A child, a child of the child, one that does not listen, and one that left the group.
    let start = "echo $$ > PIDS; (echo $BASHPID >> PIDS; sleep 600 & echo $! >> PIDS; wait) & \
                 sh -c 'trap \"\" TERM; echo $$ >> PIDS; while :; do sleep 1; done' & \
                 touch EFFECT; wait";
    let slow = with(
        change("slow", json!({ "command": ["bash", "-c", start] }), sh("rm EFFECT; echo undo >> LOG")),
        json!({ "timeout": "700ms", "retries": 3 }),
    );
    let run = scene(&file(0.9, vec![slow, long("never", 0.0)]));
    let output = ran(&mut run.start());
    let report = report_of(&output);
    assert_eq!(code(&output), 3, "{report:#}");
    let tries = attempts(&report, "slow", "execute");
    assert_eq!(tries[0]["outcome"], "unknown");
    assert_eq!(tries.len(), 1, "what may have been done is not done again");
    assert!(!run.work().join("EFFECT").exists(), "the effect that it had is undone");
    assert_eq!(log(&run), ["undo"]);
    let pids = std::fs::read_to_string(run.work().join("PIDS")).unwrap();
    assert_eq!(pids.lines().count(), 4, "{pids}");
    for pid in pids.lines() {
        assert!(!runs(pid), "{pid} of {pids}");
    }
    assert_complete(&run);
}

#[test]
fn what_a_step_leaves_running_ends_with_the_step() {
    let step = change("one", sh("sleep 600 & echo $! > CHILD"), sh("true"));
    let run = scene(&file(0.9, vec![step]));
    let output = ran(&mut run.start());
    assert_eq!(code(&output), 0);
    assert!(!runs(&written(&run.work().join("CHILD"))));
}

#[test]
fn a_step_that_outlived_hv_is_waited_for_and_never_runs_twice_at_once() {
    let run = scene(&file(0.9, vec![with(long("one", 1.5), json!({ "idempotent": true }))]));
    let output = killed_and_resumed(&run, "one");
    let report = report_of(&output);
    assert_eq!(code(&output), 0, "{report:#}");
    assert_eq!(log(&run), ["begin one", "end one", "begin one", "end one"], "one after the other");
    assert_eq!(attempts(&report, "one", "execute").len(), 2);
    assert_complete(&run);
}

#[test]
fn a_step_that_outlived_hv_and_had_its_effect_is_not_run_again() {
    let run = scene(&file(
        0.9,
        vec![with(long("one", 1.0), json!({ "probe": sh("grep -q end LOG") })), long("two", 0.0)],
    ));
    let output = killed_and_resumed(&run, "one");
    let report = report_of(&output);
    assert_eq!(code(&output), 0, "{report:#}");
    assert_eq!(log(&run), ["begin one", "end one", "begin two", "end two"]);
    assert_eq!(attempts(&report, "one", "probe")[0]["outcome"], "present");
    assert_complete(&run);
}

#[test]
fn a_step_that_outlived_hv_is_stopped_when_its_time_is_over() {
    // It does not listen to a request to end, either.
    let deaf = "trap '' TERM; echo $$ > one.pid; while :; do sleep 0.1; done";
    let one = with(change("one", sh(deaf), sh("echo undo >> LOG")), json!({ "timeout": "1s" }));
    let run = scene(&file(0.9, vec![one]));
    let before = Instant::now();
    let output = killed_and_resumed(&run, "one");
    assert_eq!(code(&output), 3, "{}", said(&output));
    assert!(before.elapsed() < Duration::from_secs(30), "a second for the step, and a few for its end");
    assert!(!runs(&written(&run.work().join("one.pid"))));
    assert_eq!(log(&run), ["undo"]);
    assert_complete(&run);
}

#[test]
fn children_of_a_step_that_outlived_hv_are_found_when_the_step_itself_has_ended() {
    // The step's own program is gone; the one that it started is in a session of its own and goes on.
    let start = "setsid sh -c 'echo $$ > child.pid; sleep 1.5; echo end child >> LOG' & \
                 echo begin >> LOG; while ! test -s child.pid; do sleep 0.05; done; echo $$ > one.pid; sleep 600";
    let one = with(change("one", sh(start), sh("echo undo >> LOG")), json!({ "timeout": "5s" }));
    let run = scene(&file(0.9, vec![one]));
    let mut child = in_the_middle(&run, "one");
    child.kill().unwrap();
    child.wait().unwrap();
    let pid = written(&run.work().join("one.pid"));
    assert!(std::process::Command::new("kill").args(["-s", "KILL", pid.trim()]).status().unwrap().success());
    let output = ran(&mut run.resume());
    assert_eq!(code(&output), 3, "{}", said(&output));
    assert_eq!(log(&run), ["begin", "end child", "undo"], "nothing is undone while it still works");
    assert!(!runs(&written(&run.work().join("child.pid"))));
}

/// A service that a step which is done has begun is what it did: a crash in a later step does not take it. Its own undo does.
#[test]
fn what_a_step_that_is_done_has_begun_outlives_a_crash() {
    let serves = change("serves", sh(SERVICE), sh("kill $(cat SERVICE)"));
    let one = with(
        change(
            "one",
            sh("echo $$ > one.pid; exec sleep 600"),
            sh("grep -q sleep /proc/$(cat SERVICE)/cmdline && echo there >> LOG"),
        ),
        json!({ "timeout": "1s" }),
    );
    let run = scene(&file(0.9, vec![serves, one]));
    let output = killed_and_resumed(&run, "one");
    assert_eq!(code(&output), 3, "{}", said(&output));
    assert_eq!(log(&run), ["there"], "{}", said(&output));
    assert!(!runs(&written(&run.work().join("one.pid"))), "that one was not done");
    wait_for("the end of the service", || !runs(&written(&run.work().join("SERVICE"))));
    assert_complete(&run);
}

#[test]
fn in_doubt_without_a_probe_an_idempotent_step_is_run_again_under_the_same_key() {
    let keyed = |id: &str| {
        let line = format!(
            "echo \"$HV_IDEMPOTENCY_KEY $HV_ATTEMPT\" >> KEYS; test -e AGAIN && exit; touch AGAIN; echo $$ > {id}.pid; exec sleep 600"
        );
        with(change(id, sh(&line), sh("true")), json!({ "idempotent": true }))
    };
    let run = scene(&with(file(0.9, vec![keyed("one")]), json!({ "session": { "id": "keys" } })));
    let mut child = in_the_middle(&run, "one");
    child.kill().unwrap();
    child.wait().unwrap();
    let pid = written(&run.work().join("one.pid"));
    assert!(std::process::Command::new("kill").args(["-s", "KILL", pid.trim()]).status().unwrap().success());
    let output = ran(&mut run.resume());
    let report = report_of(&output);
    assert_eq!(code(&output), 0, "{report:#}");
    let keys = std::fs::read_to_string(run.work().join("KEYS")).unwrap();
    let key = ["keys", "work", "one", "execute"].join("/");
    assert_eq!(keys, format!("{key} 1\n{key} 2\n"));
}

#[test]
fn in_doubt_without_a_probe_any_other_step_counts_as_done_and_is_undone() {
    let run = scene(&file(0.9, vec![long("one", 0.0), long("two", 0.5), long("three", 0.0)]));
    let output = killed_and_resumed(&run, "two");
    let report = report_of(&output);
    assert_eq!(code(&output), 3, "{report:#}");
    assert_eq!(log(&run), ["begin one", "end one", "begin two", "end two", "undo two", "undo one"]);
    assert_eq!(step(&report, "two")["state"], "compensated");
    assert_complete(&run);
}

#[test]
fn a_crash_while_something_is_undone_does_not_undo_it_halfway() {
    let undo = "echo begin undo >> LOG; echo $$ > undo.pid; sleep 0.7; echo end undo >> LOG";
    let run = scene(&file(0.9, vec![change("one", sh("true"), sh(undo)), look("fails", sh("exit 1"))]));
    let mut child = spawn(&mut run.start());
    written(&run.work().join("undo.pid"));
    child.kill().unwrap();
    child.wait().unwrap();
    let output = ran(&mut run.resume());
    let report = report_of(&output);
    assert_eq!(code(&output), 3, "{report:#}");
    // An undo is written so that it may be repeated; one after the other.
    assert_eq!(log(&run), ["begin undo", "end undo", "begin undo", "end undo"]);
    assert_eq!(names(&report["undo_order"]), ["one"]);
    assert_complete(&run);
}

#[test]
fn a_run_that_was_killed_again_and_again_still_ends() {
    let probe = |id: &str| json!({ "probe": sh(&format!("grep -q 'end {id}' LOG")), "retries": 20, "retry_delay": "1ms" });
    let steps = ["one", "two", "three"].map(|id| with(long(id, 0.1), probe(id)));
    let run = scene(&file(0.9, steps.to_vec()));
    let mut child = spawn(&mut run.start());
    wait_for("the first step", || run.work().join("LOG").exists());
    for n in 0..6 {
        std::thread::sleep(Duration::from_millis(40 + 45 * n));
        let _ = child.kill();
        child.wait().unwrap();
        child = spawn(&mut run.resume());
    }
    let output = ended(child);
    let report = report_of(&output);
    assert_eq!(code(&output), 0, "{}\n{report:#}", said(&output));
    for id in ["one", "two", "three"] {
        assert_eq!(
            log(&run).iter().filter(|line| **line == format!("end {id}")).count(),
            1,
            "{:?}",
            log(&run)
        );
    }
    assert_complete(&run);
}

#[test]
fn ctrl_c_at_any_moment_of_a_release_leaves_it_done_or_undone() {
    let seen = |report: &Value| -> Vec<String> {
        let paths = ["repository", "remote"].map(|name| report["paths"][name].as_str().unwrap().to_owned());
        paths.iter().filter(|path| Path::new(path).exists()).map(|path| look_at(Path::new(path))).collect()
    };
    let of = |example: &str| seen(&report_of(&ran(&mut Run::of(example).start())));
    let (released, set_up) = (of("release.toml"), of("release-fails.toml"));
    assert_eq!((released.len(), set_up.len()), (2, 2));
    let mut codes = Vec::new();
    for pause in [0, 40, 80, 130, 180, 240, 300] {
        let run = Run::of("release.toml");
        let child = spawn(&mut run.start());
        wait_for("the trail", || run.data().join("mark").exists());
        std::thread::sleep(Duration::from_millis(pause));
        signal(&child, "INT");
        let output = ended(child);
        let report = report_of(&output);
        match code(&output) {
            0 => assert_eq!(seen(&report), released),
            3 => {
                // As after the set-up; or the set-up itself was undone, or not begun.
                let seen = seen(&report);
                assert!(seen.is_empty() || seen == set_up, "after {pause} ms: {seen:?}");
            }
            other => panic!("{other}: {}", said(&output)),
        }
        assert_complete(&run);
        codes.push(code(&output));
    }
    println!("exit codes: {codes:?}");
    assert!(codes.contains(&3), "{codes:?}");
}

/// `hv kill` from another process reaches a run: it is recorded there, what runs is stopped and undone, and the answer
/// comes back.
#[test]
fn a_kill_reaches_a_run_and_is_recorded_by_it() {
    let run = scene(&file(0.9, vec![long("one", 0.0), long("two", 600.0)]));
    let child = in_the_middle(&run, "two");
    let pid = written(&run.work().join("two.pid"));
    let mut kill = crate::support::hv();
    kill.arg("kill").arg("--data").arg(run.data()).args(["--all", "--reason", "it leaks", "--json"]);
    let killed = ran(&mut kill);
    assert_eq!(code(&killed), 0, "{}", said(&killed));
    assert_eq!(report_of(&killed)["target"], "everything");
    let output = ended(child);
    let report = report_of(&output);
    assert_eq!(code(&output), 3, "{report:#}");
    assert_eq!(log(&run), ["begin one", "end one", "begin two", "undo two", "undo one"]);
    assert!(!runs(&pid), "it is gone");
    let told = crate::scene::trail(&run.data());
    let events: Vec<_> = told.iter().flat_map(|record| &record.events).collect();
    let killed =
        |event: &&&hv_core::TrailEvent| matches!(event, hv_core::TrailEvent::Node(NodeEvent::Killed { .. }));
    let answered = |event: &&&hv_core::TrailEvent| {
        matches!(
            event,
            hv_core::TrailEvent::Node(NodeEvent::KillAnswered { answer: KillAnswer::Stopped {}, .. })
        )
    };
    assert_eq!(events.iter().filter(killed).count(), 1);
    assert_eq!(events.iter().filter(answered).count(), 1);
    assert_complete(&run);
    let beside = std::fs::read_dir(run.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(
        beside.into_iter().all(|name| !name.to_string_lossy().contains("kill")),
        "nothing is left beside"
    );
}
