//! A secret that the file only names is used by a step and found nowhere afterwards: not in the trail, not in the
//! report, not in anything that hv says.

use crate::scene::{AGENT, assert_calm, assert_complete, change, file, image, look, scene, sh, step, with};
use crate::server::{Answer, Server};
use crate::support::{Run, hv, json as report_of};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

/// Where the canary lies for hv: nobody else has a variable of this name.
const VARIABLE: &str = "HV_TEST_CANARY";

/// Two secrets that occur nowhere else, not even in part.
struct Canaries {
    variable: String,
    file: String,
}

impl Canaries {
    fn new() -> Self {
        let draw = || {
            let bytes = std::fs::read("/proc/sys/kernel/random/uuid").unwrap();
            format!("canary+{}=", String::from_utf8(bytes).unwrap().trim())
        };
        Self { variable: draw(), file: draw() }
    }

    /// The run of a session file beside which the second secret lies.
    fn scene(&self, file: &Value) -> Run {
        let run = scene(file);
        // An editor ends a file with a line break, which is no part of the secret.
        std::fs::write(run.folder.path().join("token"), format!("{}\n", self.file)).unwrap();
        run
    }

    /// Runs it telling all that hv can tell of itself.
    fn run(&self, mut command: Command) -> Output {
        let output = command.env(VARIABLE, &self.variable).env("HV_LOG", "debug").output().unwrap();
        assert_calm(&output);
        output
    }

    /// Both secrets and the halves of them that a cut in the middle would leave.
    fn needles(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut needles = Vec::new();
        for (name, secret) in [("variable", &self.variable), ("file", &self.file)] {
            let bytes = secret.as_bytes();
            needles.push((name, bytes.to_vec()));
            needles.push((name, bytes[..24].to_vec()));
            needles.push((name, bytes[bytes.len() - 24..].to_vec()));
            needles.push((name, bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into_bytes()));
        }
        needles
    }

    /// That none of it is in any of the texts or in any byte of the trail.
    fn assert_nowhere(&self, run: &Run, outputs: &[&Output]) {
        let mut haystacks: Vec<(String, Vec<u8>)> = Vec::new();
        for (path, bytes) in image(&run.data()) {
            haystacks.push((path.display().to_string(), bytes));
        }
        assert!(haystacks.len() >= 2, "the trail is there");
        for output in outputs {
            haystacks.push(("stdout".into(), output.stdout.clone()));
            haystacks.push(("stderr".into(), output.stderr.clone()));
        }
        for (place, bytes) in &haystacks {
            for (name, needle) in self.needles() {
                assert!(
                    !contains(bytes, &needle),
                    "the {name} is in {place}: {}",
                    String::from_utf8_lossy(bytes)
                );
            }
        }
    }

    /// What a step that has got both secrets writes: their digest, as the shell's own tool computes it.
    fn digest(&self) -> String {
        let mut sum = Command::new("sha256sum");
        let mut child =
            sum.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(
            &mut child.stdin.take().unwrap(),
            format!("{}{}", self.variable, self.file).as_bytes(),
        )
        .unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A task that knows both secrets, as `$V` and `$F`, and the first one on its standard input.
fn knowing(line: &str) -> Value {
    let variable = format!("env:{VARIABLE}");
    with(sh(line), json!({ "env": { "V": variable, "F": "file:token" }, "stdin": variable }))
}

const SAY_ALL: &str = r#"echo "out $V and $F"; echo "err $V and $F" >&2; printf %s "$V$F"; cat; "#;

#[test]
fn a_secret_is_used_and_found_nowhere() {
    let canaries = Canaries::new();
    let use_it = knowing(
        r#"printf %s "$(cat)$F" | sha256sum > DIGEST; test "$V$F" = "$(cat copy 2>/dev/null || echo "$V$F")""#,
    );
    let run = canaries.scene(&file(0.9, vec![change("use", use_it, knowing("true"))]));
    let output = canaries.run(run.start());
    assert_eq!(output.status.code(), Some(0), "{:#}", report_of(&output));
    assert_eq!(std::fs::read_to_string(run.work().join("DIGEST")).unwrap(), canaries.digest(), "it was used");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("attempt granted") && told.contains("attempt ended"), "hv tells of itself: {told}");
    let plain = canaries.run({
        let mut command = hv();
        command.args(["run", "--resume", "--data"]).arg(run.data());
        command
    });
    assert_eq!(plain.status.code(), Some(0));
    canaries.assert_nowhere(&run, &[&output, &plain]);
    assert_complete(&run);
}

#[test]
fn a_secret_that_steps_say_aloud_is_cut_out_of_everything() {
    let canaries = Canaries::new();
    let loud = |end: &str| knowing(&format!("{SAY_ALL}{end}"));
    // Probe, undo, a failure with the secret in its message, an observation: everything that a run executes.
    let first = with(
        change("first", loud("touch FIRST"), loud("rm FIRST")),
        json!({ "probe": loud("test -e FIRST || exit 1"), "accept_unproven_undo": false }),
    );
    let second = change("second", loud("touch SECOND"), loud("rm SECOND"));
    let fails = with(
        look("fails", loud(r#"exec 2>&1; set -x; : "$V"; exit 7"#)),
        json!({ "retries": 1, "retry_delay": "1ms" }),
    );
    let mut session = file(0.9, vec![first, second, fails]);
    session["setup"] = json!([change("setup", loud("touch SETUP"), loud("rm SETUP"))]);
    let seen = loud("true");
    session["observe"] =
        json!([{ "name": "seen", "agent": AGENT, "command": seen["command"], "env": seen["env"] }]);
    for progress in ["--json", "--quiet", ""] {
        let run = canaries.scene(&session);
        let mut command = hv();
        command.arg("run").arg(&run.file).arg("--data").arg(run.data()).arg("--work").arg(run.work());
        command.args((!progress.is_empty()).then_some(progress));
        let output = canaries.run(command);
        assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
        canaries.assert_nowhere(&run, &[&output]);
        assert_complete(&run);
        if progress == "--json" {
            let report = report_of(&output);
            let seen = report["observations"][0]["before"].as_str().unwrap();
            assert!(
                seen.contains("out [redacted] and [redacted]"),
                "what was said is kept, without them: {seen}"
            );
            assert_eq!(step(&report, "fails")["attempts"].as_array().unwrap().len(), 2);
        }
    }
}

#[test]
fn a_secret_that_a_step_left_in_a_file_is_cut_out_of_what_others_print() {
    // The tool that got the token keeps it in its settings; a later step that never asked for it shows them.
    let canaries = Canaries::new();
    let store = knowing(r#"printf "token = %s\nother = %s\n" "$V" "$F" > settings"#);
    let show = sh("cat settings; cat settings >&2");
    let steps = vec![
        with(
            change("store", store, sh("cat settings; rm settings")),
            json!({ "probe": sh("cat settings") , "undo_retries": 0}),
        ),
        look("show", show.clone()),
        look("fails", sh("cat settings; exit 1")),
    ];
    let mut session = file(0.9, steps);
    session["observe"] =
        json!([{ "name": "seen", "agent": AGENT, "command": ["sh", "-c", "cat settings; true"] }]);
    let run = canaries.scene(&session);
    let output = canaries.run(run.start());
    assert_eq!(output.status.code(), Some(3), "{:#}", report_of(&output));
    canaries.assert_nowhere(&run, &[&output]);
}

#[test]
fn a_secret_across_the_limit_of_what_is_kept_is_not_cut_in_two() {
    let canaries = Canaries::new();
    for keep in [0, 1, 10, 20, 60] {
        let say =
            knowing(r#"printf 'xxxxxxxxxxxxxxxx%s' "$V"; printf 'xxxxxxxxxxxxxxxx%s' "$F" >&2; exit 1"#);
        let session = with(file(0.9, vec![look("say", say)]), json!({ "limits": { "output_bytes": keep } }));
        let run = canaries.scene(&session);
        let output = canaries.run(run.start());
        assert_eq!(output.status.code(), Some(3));
        canaries.assert_nowhere(&run, &[&output]);
    }
}

#[test]
fn a_secret_in_a_request_reaches_the_server_and_nobody_else() {
    let canaries = Canaries::new();
    // A server that gives back everything that it was sent, as debugging servers do.
    let server = Server::start(|request, _| {
        let status = if request.path == "/fails" { 400 } else { 200 };
        Answer::new(status, &request.text).with("X-Echo", request.header("authorization").unwrap_or_default())
    });
    let task = |path: &str| {
        json!({ "http": {
            "url": server.url(path),
            "headers": { "Authorization": format!("env:{VARIABLE}") },
            "body": "file:token",
        } })
    };
    let send = with(
        change("send", task("/send"), task("/undo")),
        json!({ "probe": { "http": { "method": "GET", "url": server.url("/probe"), "headers": { "X-Token": "file:token" } } } }),
    );
    // The undo cannot be confirmed, because the probe still finds its effect.
    let run = canaries.scene(&file(0.9, vec![send, look("fails", task("/fails"))]));
    let output = canaries.run(run.start());
    assert_eq!(output.status.code(), Some(4), "{:#}", report_of(&output));
    let requests = server.requests();
    let sent = requests.iter().find(|request| request.path == "/send").unwrap();
    assert_eq!(sent.header("authorization"), Some(canaries.variable.as_str()), "it was used");
    assert_eq!(sent.body, canaries.file);
    canaries.assert_nowhere(&run, &[&output]);
}

#[test]
fn a_secret_is_not_in_the_trail_of_a_run_that_was_killed() {
    let canaries = Canaries::new();
    let long = knowing(&format!("{SAY_ALL}touch BEGUN; sleep 1; echo end > ENDED"));
    let run = canaries
        .scene(&file(0.9, vec![with(change("long", long, knowing("true")), json!({ "idempotent": true }))]));
    let mut command = run.start();
    let mut child =
        crate::scene::spawn(command.env(VARIABLE, &canaries.variable).env("HV_LOG", "debug:json"));
    crate::scene::wait_for("the step", || run.work().join("BEGUN").exists());
    child.kill().unwrap();
    let killed = child.wait_with_output().unwrap();
    canaries.assert_nowhere(&run, &[&killed]);
    let resumed = canaries.run(run.resume());
    assert_eq!(resumed.status.code(), Some(0), "{:#}", report_of(&resumed));
    canaries.assert_nowhere(&run, &[&killed, &resumed]);
}

#[test]
fn a_reference_that_leads_nowhere_is_bad_input_and_names_no_value() {
    let canaries = Canaries::new();
    let of = |env: Value| {
        let run = canaries.scene(&file(
            0.9,
            vec![
                change("first", sh("touch FIRST"), sh("rm FIRST")),
                look("second", with(sh("true"), json!({ "env": env }))),
            ],
        ));
        std::fs::create_dir(run.folder.path().join("folder")).unwrap();
        run
    };
    for (name, env, told) in [
        (
            "no variable",
            json!({ "V": "env:HV_TEST_NO_SUCH", "W": format!("env:{VARIABLE}") }),
            "HV_TEST_NO_SUCH",
        ),
        ("no file", json!({ "F": "file:nowhere", "G": "file:token" }), "nowhere"),
        ("a folder", json!({ "F": "file:folder", "G": "file:token" }), "folder"),
    ] {
        let run = of(env);
        let output = canaries.run(run.start());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(told) && said.contains("session.json:"), "{name}: {said}");
        assert!(!said.contains(&canaries.variable) && !said.contains(&canaries.file), "{name}: {said}");
        assert!(output.stdout.is_empty(), "{name}");
        assert!(!run.data().exists() && !run.work().exists(), "{name}: nothing was begun");
    }
}

#[test]
fn a_secret_that_has_gone_since_is_bad_input_of_the_resumed_run() {
    let canaries = Canaries::new();
    let run = canaries.scene(&file(
        0.9,
        vec![
            change("first", sh("echo begun > BEGUN; sleep 0.3"), sh("rm BEGUN")),
            look("second", knowing("true")),
        ],
    ));
    let mut command = run.start();
    let mut child =
        crate::scene::spawn(command.env(VARIABLE, &canaries.variable).env("HV_LOG", "debug:json"));
    crate::scene::written(&run.work().join("BEGUN"));
    child.kill().unwrap();
    child.wait().unwrap();
    let output = run.resume().env_remove(VARIABLE).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains(VARIABLE));
    // With it, the run goes on from where it stood.
    let output = canaries.run(run.resume());
    assert_eq!(
        output.status.code(),
        Some(3),
        "nobody knows what the first step did: {:#}",
        report_of(&output)
    );
    assert!(!Path::new(&run.work()).join("BEGUN").exists());
    canaries.assert_nowhere(&run, &[&output]);
}
