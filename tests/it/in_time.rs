//! Steps with limits over their attempts: none starts later, and what waits for its turn too long was never begun.

use crate::scene::{assert_complete, attempts, change, file, look, said, scene, sh, step, with};
use crate::support::json as report_of;
use serde_json::json;
use std::time::Duration;

fn repeated(step: serde_json::Value) -> serde_json::Value {
    let often = json!({ "retries": 100, "retry_delay": "50ms", "retry_cap": "50ms" });
    with(step, with(often, json!({ "within": "5s" })))
}

#[test]
fn a_step_is_repeated_until_its_time_is_over_and_the_work_is_undone() {
    let made = change("make", sh("touch made"), sh("rm made"));
    let flaky = repeated(look("flaky", sh("sleep 0.2; false")));
    let run = scene(&file(0.85, vec![made, flaky]));
    let output = run.start().output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let report = report_of(&output);
    let tried = attempts(&report, "flaky", "execute");
    // As many as begin within the five seconds, each of a fifth of one; never as many as its retries.
    assert!((2..=25).contains(&tried.len()), "{tried:?}");
    assert_eq!(step(&report, "flaky")["state"], "failed");
    assert_eq!(step(&report, "make")["state"], "compensated");
    assert!(!run.work().join("made").exists());
    assert_complete(&run);
}

#[test]
fn the_last_attempt_is_cut_off_when_the_time_of_its_step_is_over() {
    let slow = repeated(change("slow", sh("sleep 600; touch made"), sh("rm -f made")));
    let run = scene(&file(0.85, vec![with(slow, json!({ "timeout": "10m" }))]));
    let begun = std::time::Instant::now();
    let output = run.start().output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(begun.elapsed() < Duration::from_secs(300), "it is not waited for: {}", said(&output));
    let report = report_of(&output);
    let tried = attempts(&report, "slow", "execute");
    assert_eq!(tried.len(), 1, "{tried:?}");
    assert_eq!(tried[0]["reason"], "it did not end in time");
    assert_eq!(step(&report, "slow")["state"], "compensated");
    assert_complete(&run);
}

#[test]
fn a_step_that_waits_for_its_turn_too_long_was_never_begun() {
    let free = |step| with(step, json!({ "after": [] }));
    let long = free(change("long", sh("sleep 1; touch long"), sh("rm long")));
    let queued = free(change("queued", sh("touch queued"), sh("rm queued")));
    let file = with(
        file(0.85, vec![long, with(queued, json!({ "start_within": "200ms" }))]),
        json!({ "limits": { "parallel": 1 } }),
    );
    let run = scene(&file);
    let output = run.start().output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let report = report_of(&output);
    assert_eq!(step(&report, "queued")["state"], "failed");
    assert!(attempts(&report, "queued", "execute").is_empty());
    let why = "it waited for its turn longer than start_within, 200ms";
    assert_eq!(step(&report, "queued")["given_up"], why);
    // What was done meanwhile is taken back.
    assert_eq!(step(&report, "long")["state"], "compensated");
    assert!(!run.work().join("queued").exists() && !run.work().join("long").exists());
    assert_complete(&run);
}
