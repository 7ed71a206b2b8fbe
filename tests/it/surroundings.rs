//! What a step sees of the world around it, what it may do to the trail, and what a person sees of the run.

use crate::scene::{
    AGENT, assert_complete, attempts, change, file, files, look, names, ran, said, scene, sh, with,
};
use crate::support::{hv, json as report_of};
use hv_audit::{Verdict, verify};
use serde_json::json;
use std::process::Stdio;
use std::time::Instant;

#[test]
fn a_step_sees_only_the_variables_that_are_listed() {
    let env = json!({ "GIVEN": "text", "PASSED_ON": "env:HV_TEST_PASSED_ON", "ODD": "text:env:NOT" });
    let session = with(file(0.9, vec![look("look", sh("env > ENV"))]), json!({ "env": env }));
    let run = scene(&session);
    let mut command = run.start();
    command
        .env("HV_TEST_PASSED_ON", "yes")
        .env("HV_TEST_HIDDEN", "no")
        .env("LD_PRELOAD", "")
        .env("TZ", "UTC");
    let output = ran(&mut command);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = std::fs::read_to_string(run.work().join("ENV")).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let listed = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "TMPDIR",
        "TERM",
        "XDG_RUNTIME_DIR",
        "GIVEN",
        "PASSED_ON",
        "ODD",
        "HV_SESSION",
        "HV_SAGA",
        "HV_STEP",
        "HV_PURPOSE",
        "HV_ATTEMPT",
        "HV_IDEMPOTENCY_KEY",
        "HV_RUN",
    ];
    // The shell's own.
    let shells = ["PWD", "OLDPWD", "SHLVL", "_"];
    for name in &names {
        assert!(listed.contains(name) || shells.contains(name), "{name} in {text}");
    }
    for line in ["GIVEN=text", "PASSED_ON=yes", "ODD=env:NOT", "TZ=UTC", "HV_STEP=look", "HV_ATTEMPT=1"] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert!(text.lines().any(|line| line == format!("PWD={}", run.work().canonicalize().unwrap().display())));
}

#[test]
fn no_shell_reads_what_a_step_is_told() {
    let told =
        ["$(touch PWNED)", "; touch PWNED", "`touch PWNED`", "| touch PWNED", "-n", "*", "a b", "ü\u{1f511}"];
    let mut command = vec!["sh", "-c", "for told in \"$@\"; do printf '%s\\n' \"$told\"; done > TOLD", "sh"];
    command.extend(told);
    let run = scene(&file(0.9, vec![look("look", json!({ "command": command }))]));
    let output = ran(&mut run.start());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = std::fs::read_to_string(run.work().join("TOLD")).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), told);
    assert!(!run.work().join("PWNED").exists());
}

#[test]
fn a_step_reads_what_it_is_given_and_never_what_is_typed_to_hv() {
    let quick =
        with(look("given", json!({ "command": ["cat"], "stdin": "given" })), json!({ "timeout": "20s" }));
    let nothing = with(look("nothing", sh("cat > NOTHING")), json!({ "timeout": "20s" }));
    let run = scene(&file(0.9, vec![quick, nothing]));
    let mut child =
        run.start().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let typed = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(typed);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(std::fs::read(run.work().join("NOTHING")).unwrap(), b"");
}

#[test]
fn a_step_that_never_stops_talking_fills_neither_memory_nor_the_trail() {
    let loud = look("loud", sh("head -c 30000000 /dev/zero | tr '\\0' x; head -c 30000000 /dev/zero >&2"));
    let run = scene(&with(file(0.9, vec![loud]), json!({ "limits": { "output_bytes": 1000 } })));
    let output = ran(&mut run.start());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let bytes: u64 = files(&run.data()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(bytes < 20_000, "{bytes}");
    assert_complete(&run);
}

#[test]
fn a_step_that_touches_the_trail_is_found_out_and_the_run_is_no_success() {
    for (name, line) in [
        ("a file more", "echo x > ../trail/notes.txt"),
        ("a byte changed", "printf X | dd of=../trail/00000000.seg bs=1 seek=300 conv=notrunc"),
        (
            "a payload changed",
            "for file in ../trail/payloads/*; do printf X | dd of=$file bs=1 seek=40 conv=notrunc; done",
        ),
    ] {
        let run = scene(&file(0.9, vec![look("one", sh("echo said")), look("two", sh(line))]));
        let output = ran(&mut run.start());
        assert_eq!(output.status.code(), Some(1), "{name}: {}", said(&output));
        // Where the trail can still be read, there is a report; it says so as well.
        if output.stdout.is_empty() {
            assert!(said(&output).contains("damaged: "), "{name}: {}", said(&output));
        } else {
            assert!(said(&output).contains("hv audit verify"), "{name}: {}", said(&output));
            let report = report_of(&output);
            assert_eq!((&report["outcome"], &report["exit_code"]), (&json!("failed"), &json!(1)), "{name}");
            assert_eq!(report["verify"]["verdict"], "tampered", "{name}");
        }
        assert!(matches!(verify(&run.data()).unwrap().verdict, Verdict::Tampered(_)), "{name}");
        assert_eq!(run.verify().status.code(), Some(1), "{name}");
    }
}

#[test]
fn what_is_printed_is_one_report_and_plain_lines() {
    let escape = "printf '\\033[2J\\033]0;owned\\007'; printf '\\033[31m' >&2; exit 3";
    let fails = with(look("fails", sh(escape)), json!({ "retries": 1, "retry_delay": "1ms" }));
    let mut session = file(0.9, vec![change("one", sh("true"), sh("true")), fails]);
    session["observe"] = json!([{ "name": "seen", "agent": AGENT, "command": ["printf", "\\033[2Jseen"] }]);
    let start = |options: &[&str]| {
        let run = scene(&session);
        let mut command = hv();
        command
            .arg("run")
            .arg(&run.file)
            .arg("--data")
            .arg(run.data())
            .arg("--work")
            .arg(run.work())
            .args(options);
        let output = ran(&mut command);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        for text in [&output.stdout, &output.stderr] {
            assert!(text.iter().all(|byte| *byte == b'\n' || !byte.is_ascii_control()), "{options:?}");
        }
        output
    };
    let machine = start(&["--json"]);
    assert!(machine.stderr.is_empty(), "no progress: {}", said(&machine));
    let report = report_of(&machine);
    assert_eq!(report["observations"][0]["before"], "\u{1b}[2Jseen");
    assert_eq!(attempts(&report, "fails", "execute").len(), 2);
    let quiet = start(&["--quiet"]);
    assert!(quiet.stderr.is_empty(), "no progress: {}", said(&quiet));
    let plain = start(&[]);
    let summary = String::from_utf8(plain.stdout.clone()).unwrap();
    assert!(
        summary.contains("everything is undone") && summary.contains("seen: as after the set-up"),
        "{summary}"
    );
    let lines = said(&plain);
    for word in ["joined with", "one", "fails", "exit code 3", "undo"] {
        assert!(lines.lines().any(|line| line.contains(word)), "{word} in {lines}");
    }
}

#[test]
fn as_many_steps_run_at_once_as_the_ring_allows_and_each_gets_its_turn() {
    for (sigma, ring, at_once) in [(0.9, 2, 8), (0.3, 3, 2)] {
        let line = "mkdir -p now; touch now/$HV_STEP; ls now | wc -l >> SEEN; sleep 0.2; rm now/$HV_STEP";
        let steps = (0..3 * at_once).map(|n| with(look(&format!("s{n}"), sh(line)), json!({ "after": [] })));
        let run = scene(&with(file(sigma, steps.collect()), json!({ "limits": { "parallel": 100 } })));
        let output = ran(&mut run.start());
        let report = report_of(&output);
        assert_eq!(output.status.code(), Some(0), "Ring {ring}: {:#}", report["denials"]);
        assert_eq!(report["agents"][0]["ring"], ring);
        let seen = std::fs::read_to_string(run.work().join("SEEN")).unwrap();
        let most = seen.lines().map(|line| line.trim().parse::<usize>().unwrap()).max().unwrap();
        assert!((2..=at_once).contains(&most), "Ring {ring}: {most} at once");
        assert_eq!(seen.lines().count(), 3 * at_once);
    }
}

#[test]
fn undos_of_many_steps_at_once_find_room_too() {
    let steps = (0..20)
        .map(|n| with(change(&format!("s{n}"), sh("true"), sh("echo x >> UNDONE")), json!({ "after": [] })));
    let last: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    let fails = with(look("fails", sh("exit 1")), json!({ "after": last }));
    let run = scene(&file(0.9, steps.chain([fails]).collect()));
    let output = ran(&mut run.start());
    let report = report_of(&output);
    assert_eq!(output.status.code(), Some(3), "{report:#}");
    assert_eq!(std::fs::read_to_string(run.work().join("UNDONE")).unwrap().lines().count(), 20);
    assert_eq!((names(&report["commit_order"]).len(), names(&report["undo_order"]).len()), (20, 20));
}

#[test]
fn many_steps_take_time_in_proportion() {
    // Each agent has a rate of its own, so there are enough of them to be held up by none.
    let agents: Vec<String> = (0..16).map(|n| format!("did:mesh:a{n}")).collect();
    let timed = |count: usize| {
        let task = |n: usize| look(&format!("s{n}"), json!({ "command": ["true"] }));
        let by = |n: usize| json!({ "after": [], "agent": agents[n % agents.len()] });
        let mut session = file(0.9, (0..count).map(|n| with(task(n), by(n))).collect());
        session["agent"] = agents.iter().map(|did| json!({ "did": did, "sigma": 0.9 })).collect();
        session["session"] = json!({ "max_participants": 16 });
        let run = scene(&session);
        let began = Instant::now();
        let output = ran(&mut run.start());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        began.elapsed()
    };
    // The machine may have a slow moment, but not each time.
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (few, many) = (timed(60), timed(480));
        if many < few * 8 * 2 {
            return;
        }
        seen.push((few, many));
    }
    panic!("eight times as many steps took, each time: {seen:?}");
}
