//! What a run says of what went wrong: what a program printed, what the gate wanted, which file it goes on with.

use crate::scene::{
    assert_complete, attempts, change, ended, file, files, look, ran, said, scene, sh, signal, spawn, step,
    with, written,
};
use crate::support::{Run, hv, json as report_of};
use serde_json::{Value, json};

/// A step with a probe that asks this.
fn probed(id: &str, execute: &str, undo: &str, probe: &str) -> Value {
    with(change(id, sh(execute), sh(undo)), json!({ "probe": sh(probe) }))
}

#[test]
fn what_a_failed_step_printed_is_in_its_report() {
    let long = "head -c 5000 /dev/zero | tr '\\0' x";
    let failing = format!("echo on the way; {long} >&2; echo ' it is out of paper' >&2; exit 3");
    let run = scene(&file(
        0.9,
        vec![change("one", sh("echo fine"), sh("true")), {
            with(change("two", sh(&failing), sh("true")), json!({ "retries": 1, "retry_delay": 0 }))
        }],
    ));
    let report = report_of(&ran(&mut run.start()));
    for attempt in attempts(&report, "two", "execute") {
        let printed = attempt["printed"].as_str().unwrap();
        assert!(printed.starts_with("xxx") && printed.ends_with("x it is out of paper"), "{printed}");
        assert_eq!(printed.len(), 2000, "the end of it");
    }
    assert!(attempts(&report, "one", "execute")[0]["printed"].is_null(), "it succeeded");
    // Resumed when it has ended, the same report comes; without --json, its last line.
    assert_eq!(report_of(&ran(&mut run.resume()))["steps"], report["steps"]);
    let summary = ran(hv().args(["run", "--resume", "--data"]).arg(run.data()));
    let summary = String::from_utf8(summary.stdout).unwrap();
    assert!(summary.contains("  two  ") && summary.contains("\n    execute: it ended with exit code 3: xxx"));
}

#[test]
fn what_is_said_of_a_step_is_what_was_seen_of_it() {
    let run = scene(&file(
        0.9,
        vec![
            change("one", sh("true"), sh("true")),
            probed("two", "touch TWO", "echo it sticks; exit 7", "test -e TWO"),
            probed("three", "exit 1", "true", "exit 4"),
        ],
    ));
    let output = ran(&mut run.start());
    assert_eq!(output.status.code(), Some(4));
    let report = report_of(&output);
    // Once an undo has failed, what the action does needs Ring 1; what was done before it needed Ring 2.
    assert_eq!(step(&report, "one")["ring"], 2, "{report:#}");
    assert_eq!(attempts(&report, "two", "undo")[0]["printed"], "it sticks");
    assert_eq!(attempts(&report, "two", "probe").last().unwrap()["outcome"], "present");
    // A probe that cannot tell has found nothing, also where that ends the undo.
    for probe in attempts(&report, "three", "probe") {
        assert_eq!((&probe["outcome"], &probe["exit"]), (&json!("unknown"), &json!(4)), "{report:#}");
        assert_eq!(probe["reason"], "it ended with exit code 4");
    }
}

#[test]
fn a_probe_that_finds_what_a_failed_step_left_has_answered() {
    let run = scene(&file(0.9, vec![probed("one", "touch ONE; exit 3", "rm ONE", "test -e ONE")]));
    let output = ran(&mut run.start());
    let report = report_of(&output);
    assert_eq!(output.status.code(), Some(3), "{report:#}");
    let probes = attempts(&report, "one", "probe");
    let answers: Vec<_> = probes.iter().map(|probe| (&probe["outcome"], &probe["reason"])).collect();
    let (present, absent, nothing) = (json!("present"), json!("absent"), Value::Null);
    assert_eq!(answers, [(&present, &nothing), (&absent, &nothing)], "{report:#}");
}

#[test]
fn why_something_was_not_undone_is_in_the_report_also_where_no_undo_was_run() {
    let late = with(change("one", sh("true"), sh("touch UNDONE")), json!({ "undo_window": "1ms" }));
    let run = scene(&file(0.9, vec![late, change("two", sh("sleep 0.2; exit 1"), sh("true"))]));
    let output = ran(&mut run.start());
    let report = report_of(&output);
    assert_eq!(output.status.code(), Some(4), "{report:#}");
    assert!(!run.work().join("UNDONE").exists());
    assert_eq!(report["failed_undos"][0]["reason"], "its undo window is over", "{report:#}");
    let summary = ran(hv().args(["run", "--resume", "--data"]).arg(run.data()));
    let summary = String::from_utf8(summary.stdout).unwrap();
    assert!(summary.contains("not undone: work/one of did:mesh:a: its undo window is over;"), "{summary}");
}

#[test]
fn what_is_refused_behind_the_end_of_a_run_is_not_in_its_report() {
    let run = scene(&file(
        0.9,
        vec![change("one", sh("true"), sh("exit 1")), change("two", sh("exit 1"), sh("true"))],
    ));
    let report = report_of(&ran(&mut run.start()));
    let path = |name: &str| run.folder.path().join(name);
    let call = ran(hv().args(["saga", "resolve", "--by", "did:mesh:op"]).arg(run.data()).arg("one"));
    std::fs::write(path("call.json"), call.stdout).unwrap();
    assert!(ran(hv().args(["id", "new", "--key"]).arg(path("key"))).status.success());
    let sign =
        ["id", "sign", "--type", "witness", "--audience", "did:mesh:node", "--deadline", "1h", "--key"];
    let word = ran(hv().args(sign).arg(path("key")).arg(path("call.json")));
    std::fs::write(path("word.json"), word.stdout).unwrap();
    let mut resolve = hv();
    resolve.args(["saga", "resolve", "--witness"]).arg(path("word.json")).arg(run.data()).arg("one");
    assert_eq!(ran(&mut resolve).status.code(), Some(5), "nobody is a witness here");
    assert_eq!(report_of(&ran(&mut run.resume()))["denials"], report["denials"]);
    assert_complete(&run);
}

#[test]
fn why_a_saga_turned_back_and_what_waits_is_said_by_name() {
    let left = probed("one", "touch ONE; exit 3", "exit 1", "test -e ONE");
    let other = with(change("two", sh("true"), sh("true")), json!({ "after": [] }));
    let either = with(look("three", sh("true")), json!({ "after": ["one", "two"], "needs": "any" }));
    let run = scene(&file(0.9, vec![left, other, either]));
    assert_eq!(ran(&mut run.start()).status.code(), Some(4));
    let listed = ran(hv().args(["saga", "list"]).arg(run.data()));
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.contains("because step one failed and left its effect behind\n"), "{text}");
    let mut resolve = hv();
    let resolve = resolve.args(["saga", "resolve", "--by", "did:mesh:op"]).arg(run.data()).arg("two");
    let resolved = ran(resolve);
    assert_eq!(resolved.status.code(), Some(2));
    let words = "`two` does not wait for a person; write one of ";
    assert!(
        said(&resolved).contains(words) && said(&resolved).ends_with("work/one\n"),
        "{}",
        said(&resolved)
    );
}

#[test]
fn what_would_be_enough_is_said_once() {
    let run = scene(&file(0.5, vec![change("one", sh("true"), sh("true"))]));
    let output =
        ran(hv().arg("run").arg(&run.file).arg("--data").arg(run.data()).arg("--work").arg(run.work()));
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(said(&output).matches("enough would be").count(), 1, "{}", said(&output));
}

/// `hv run --resume FILE` on the folder of a run.
fn resumed_with(run: &Run, session: &Value) -> std::process::Output {
    let other = run.folder.path().join("given.json");
    std::fs::write(&other, serde_json::to_vec_pretty(session).unwrap()).unwrap();
    ran(hv().args(["run", "--json", "--resume"]).arg(other).arg("--data").arg(run.data()))
}

#[test]
fn a_run_goes_on_with_the_file_that_it_was_begun_with_and_no_other() {
    let session = file(
        0.9,
        vec![
            change(
                "one",
                sh("echo $$ > ONE; test -e AGAIN || (touch AGAIN; exec sleep 10)"),
                sh("rm -f ONE"),
            ),
            change("two", sh("touch TWO"), sh("rm -f TWO")),
        ],
    );
    let mended = with(
        session.clone(),
        json!({
            "step": [session["step"][0].clone(), change("two", sh("touch MENDED"), sh("rm -f MENDED"))],
        }),
    );
    let run = scene(&session);
    let child = spawn(&mut run.start());
    written(&run.work().join("ONE"));
    signal(&child, "KILL");
    ended(child);
    let refused = resumed_with(&run, &mended);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{}", said(&refused));
    for word in ["begun with another file", "given.json", "replay-check"] {
        assert!(said(&refused).contains(word), "{}", said(&refused));
    }
    assert!(!run.work().join("MENDED").exists() && !run.work().join("TWO").exists(), "nothing was run");
    let same = resumed_with(&run, &session);
    assert!(matches!(same.status.code(), Some(0 | 3)), "{}", said(&same));
    assert_complete(&run);
    // Neither is a report of another file given out as this one's.
    assert_eq!(resumed_with(&run, &mended).status.code(), Some(2));
    assert_complete(&run);
}

/// The time for the work is over while a step runs: it is not cut off, it is undone when it has ended, and why is said.
#[test]
fn the_time_for_the_work_ends_no_step_that_runs() {
    let slow = change("slow", sh("sleep 1; touch made"), sh("rm made"));
    let next = with(change("next", sh("touch more"), sh("rm more")), json!({ "after": ["slow"] }));
    let run = scene(&with(file(0.85, vec![slow, next]), json!({ "limits": { "within": "200ms" } })));
    let output =
        ran(hv().arg("run").arg(&run.file).arg("--data").arg(run.data()).arg("--work").arg(run.work()));
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("the time for the work is over; no more steps begin"),
        "{}",
        said(&output)
    );
    let summary = String::from_utf8(output.stdout).unwrap();
    assert!(summary.contains("\n  because its time was over\n"), "{summary}");
    let listed = ran(hv().args(["saga", "list"]).arg(run.data()));
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("compensated, 0 of 2 steps stand, because its time was over"), "{listed}");
    let shown = report_of(&ran(hv().args(["saga", "show", "--json"]).arg(run.data())));
    let steps = shown[0]["steps"].as_array().unwrap().iter();
    let states: Vec<&str> = steps.map(|step| step["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["compensated", "pending"]);
    assert_eq!(files(&run.work()), Vec::<std::path::PathBuf>::new());
}
