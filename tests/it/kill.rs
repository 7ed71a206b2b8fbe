//! `kill -9` at random moments: after a resume, everything is as after an undisturbed run.

use crate::support::{Run, hv, json, look};
use hv_audit::{Verdict, verify};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Kills of each example: with `HV_DEEP` 100, which make the 200 that are promised, else half. `HV_KILLS` sets another
/// number.
fn kills() -> u32 {
    let usual = if std::env::var_os("HV_DEEP").is_some() { 100 } else { 50 };
    std::env::var("HV_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

fn state(report: &Value) -> BTreeMap<String, String> {
    ["repository", "remote"]
        .into_iter()
        .map(|name| (name.to_owned(), look(Path::new(report["paths"][name].as_str().unwrap()))))
        .collect()
}

/// An undisturbed run: how long it takes, how it ends, and what it leaves.
struct Undisturbed {
    takes: Duration,
    status: ExitStatus,
    state: BTreeMap<String, String>,
}

fn undisturbed(example: &str) -> Undisturbed {
    // Built before anything is timed.
    drop(hv());
    let run = Run::of(example);
    let began = Instant::now();
    let output = run.start().output().unwrap();
    let takes = began.elapsed();
    let report = json(&output);
    Undisturbed { takes, status: output.status, state: state(&report) }
}

/// A small generator of its own (SplitMix64), so that a failing seed can be run again.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn kill_at_random_moments(example: &str, other: &str) {
    let ends = [undisturbed(example), undisturbed(other)];
    // As long as a run takes, which changes with what else the machine has to do.
    let mut takes = ends[0].takes;
    let mut seed = std::env::var("HV_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_122);
    let (mut interrupted, mut nothing) = (0, 0);
    for round in 0..kills() {
        let run = Run::of(example);
        let after = Duration::from_nanos(next(&mut seed) % (takes.as_nanos() as u64 + 1));
        let mut child = run.start().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        if child.try_wait().unwrap().is_none() {
            interrupted += 1;
            takes += takes / 16;
        } else {
            takes = after;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if !run.data().exists() {
            nothing += 1;
            continue;
        }
        let mut output = run.resume().output().unwrap();
        if output.status.code() == Some(2) {
            // Killed before its trail said what to do, which its file says.
            assert!(String::from_utf8_lossy(&output.stderr).contains("FILE --data"));
            output = run.start().arg("--resume").output().unwrap();
        }
        let context =
            || format!("round {round}, killed after {after:?}: {}", String::from_utf8_lossy(&output.stderr));
        let report = json(&output);
        let end = ends.iter().find(|end| end.status.code() == output.status.code());
        let end = end.unwrap_or_else(|| panic!("{}\n{report:#}", context()));
        assert_eq!(state(&report), end.state, "{}", context());
        assert_eq!(verify(&run.data()).unwrap().verdict, Verdict::Complete, "{}", context());
    }
    println!("{example}: {interrupted} of {} were interrupted, {nothing} before the trail began", kills());
    assert!(interrupted > kills() / 2, "most kills must hit the run while it works");
}

#[test]
fn c2_a_killed_release_ends_as_an_undisturbed_one() {
    kill_at_random_moments("release.toml", "release-fails.toml");
}

#[test]
fn c2_a_killed_release_that_fails_ends_as_an_undisturbed_one() {
    kill_at_random_moments("release-fails.toml", "release.toml");
}
