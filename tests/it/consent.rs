//! A command of an agent with a shell, on the word of others: asked for, signed, brought, and for nothing else.

use crate::answerable::{NODE, Office};
use crate::evidence::did;
use crate::scene::{assert_calm, said};
use crate::support::hv;
use hv_core::identity::{Content, Kind, Verdict};

const BOUNDS: &str = r#"
[[action]]
id = "make"
command = { run = [{ argv = ["touch", "made"] }], folders = ["/"] }
"#;

/// Runs `touch FILE` as an agent; gives the exit code, what was printed and what was said.
fn exec(office: &Office, (agent, action): (&str, &str), file: &str, more: &[&str]) -> (i32, String, String) {
    let mut command = hv();
    command.args(["session", "exec", "--session", "desk", "--agent", agent, "--action", action]);
    command.args(["--undo", &format!("rm -f {file}"), "--probe", &format!("test -e {file}")]).args(more);
    command.arg("--data").arg(office.path("trail")).args(["--", "touch", file]);
    let output = command.current_dir(office.path("")).output().unwrap();
    assert_calm(&output);
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    (output.status.code().unwrap(), printed, said(&output))
}

/// An office in whose session an agent with a key is held to an intent.
fn held(rules: &[&str]) -> (Office, String) {
    let office = Office::new();
    let key = office.path("a.key");
    let made = hv().args(["id", "new", "--key"]).arg(&key).output().unwrap();
    assert_calm(&made);
    let agent = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    office.ok(&["session", "open", "--id", "desk", "--allow", "make=full"], rules);
    office.ok(&["session", "join", "--session", "desk", "--sigma", "0.9", "--agent", &agent], &[]);
    office.ok(&["session", "activate", "--session", "desk"], &[]);
    let bounds = office.write("bounds.toml", BOUNDS);
    let intent = ["intent", "--session", "desk", "--bounds", &bounds];
    let asked = office.ok(&intent, &["--ask", &agent]).to_string();
    let mut sign = hv();
    sign.args(["id", "sign", "--type", "intent", "--audience", NODE, "--deadline", "1h", "--key"]).arg(&key);
    let signed = sign.arg(office.write("call.json", &asked)).output().unwrap();
    assert_calm(&signed);
    let signed = office.write("signed.json", &String::from_utf8(signed.stdout).unwrap());
    office.ok(&intent, &["--signed", &signed]);
    (office, agent)
}

#[test]
fn a_witness_lets_exactly_one_command_pass_that_is_outside_an_intent() {
    let (office, agent) = held(&["--outside-intent", "consent"]);
    let ask = |step: &str| {
        let (code, printed, why) =
            exec(&office, (&agent, "make"), "other", &["--step", step, "--ask", "witness"]);
        assert_eq!(code, 0, "{why}");
        Content::from_json(Kind::Witness, printed.as_bytes()).unwrap()
    };
    let word = office.signed("word.json", "witness", 1, ask("once"));
    let stranger = office.signed("stranger.json", "somebody", 2, ask("strange"));
    assert!(!office.path("other").exists(), "what is asked for is not run");
    // Without it, by a name that was not asked for, for another command, and by somebody who is no witness.
    for (file, step, signed) in [
        ("other", "bare", None),
        ("other", "twice", Some(&word)),
        ("elsewhere", "else", Some(&word)),
        ("other", "strange", Some(&stranger)),
    ] {
        let mut more = vec!["--step", step];
        more.extend(signed.into_iter().flat_map(|word| ["--signed", word.as_str()]));
        let (code, _, why) = exec(&office, (&agent, "make"), file, &more);
        assert_eq!(code, 5, "{step}: {why}");
        assert!(why.contains("is outside the agent's intent"), "{why}");
        let told = match step {
            "bare" => "the word of a witness on exactly this call",
            "strange" => "its author is none of those who may make it",
            _ => "it speaks of another call",
        };
        assert!(why.contains(told), "{step}: {why}");
        assert!(!office.path(file).exists());
    }
    let (code, _, why) = exec(&office, (&agent, "make"), "other", &["--step", "once", "--signed", &word]);
    assert_eq!(code, 0, "{why}");
    assert!(office.path("other").exists());
    // What was run is not asked for again, and its word is used up.
    let (code, _, why) = exec(&office, (&agent, "make"), "other", &["--step", "once", "--ask", "witness"]);
    assert!(code == 2 && why.contains("once was run already"), "{code} {why}");
    let verified = hv().args(["audit", "verify"]).arg(office.path("trail")).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
}

#[test]
fn the_votes_of_a_quorum_open_ring_1_to_one_command() {
    let office = Office::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| did(name).as_str().to_owned());
    // Whoever is new is on probation, so what counts is the second session.
    for session in ["first", "desk"] {
        office.ok(&["session", "open", "--id", session, "--allow", "ship=none"], &[]);
        for agent in [&a, &b, &c] {
            let join = ["session", "join", "--session", session, "--sigma", "0.97", "--agent", agent];
            office.ok(&join, &[]);
        }
        office.ok(&["session", "activate", "--session", session], &[]);
        if session == "first" {
            office.ok(&["session", "close", "--session", session], &[]);
        }
    }
    let ship = ["--step", "ship"];
    let (code, printed, why) =
        exec(&office, (&a, "ship"), "shipped", &[&ship[..], &["--ask", "voter"]].concat());
    assert_eq!(code, 0, "{why}");
    let content = Content::from_json(Kind::Vote, printed.as_bytes()).unwrap();
    assert!(matches!(content, Content::Vote { verdict: Verdict::For, .. }), "{content:?}");
    let [b, c] = [("b", 1), ("c", 2)].map(|(by, nonce)| office.signed(by, by, nonce, content.clone()));
    let (code, _, why) = exec(&office, (&a, "ship"), "shipped", &["--step", "few", "--signed", &b]);
    assert!(code == 5 && why.contains("it speaks of another call"), "{code} {why}");
    assert!(!office.path("shipped").exists());
    let signed = ["--signed", &b, "--signed", &c];
    let (code, _, why) = exec(&office, (&a, "ship"), "shipped", &[&ship[..], &signed].concat());
    assert_eq!(code, 0, "{why}");
    assert!(office.path("shipped").exists());
    // What a name stands for is said beforehand, because it is part of what is signed.
    let (code, _, why) = exec(&office, (&a, "ship"), "shipped", &["--ask", "voter"]);
    assert!(code == 2 && why.contains("--step"), "{code} {why}");
}
