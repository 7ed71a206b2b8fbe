//! An intent through the program: asked for, signed, declared, held to, narrowed, and widened by a witness's word.

use crate::answerable::{NODE, Office};
use crate::scene::{assert_calm, said};
use crate::support::hv;
use hv_core::identity::{Content, Kind};
use serde_json::{Value, json};

const BOUNDS: &str = r#"
lasts = "30m"
calls = 3
[[action]]
id = "make"
command = { run = [{ argv = ["touch", "made"] }], folders = ["/"] }
"#;

/// An office with a second session, in which an agent with a key of its own works, and nothing goes without an intent.
struct Desk {
    office: Office,
    agent: String,
}

impl Desk {
    fn new() -> Self {
        Self::with(&[])
    }

    /// With rules of its own for intents.
    fn with(rules: &[&str]) -> Self {
        let office = Office::new();
        let key = office.path("a.key");
        let made = hv().args(["id", "new", "--key"]).arg(&key).output().unwrap();
        assert_calm(&made);
        let agent = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let strict = ["--intents", "required", "--on-violation", "deny"];
        let open = ["session", "open", "--id", "desk", "--allow", "make=full", "--allow", "look=read-only"];
        office.ok(&open, &[&strict[..], rules].concat());
        office.ok(&["session", "join", "--session", "desk", "--sigma", "0.9", "--agent"], &[&agent]);
        office.ok(&["session", "activate", "--session", "desk"], &[]);
        Self { office, agent }
    }

    /// What `hv session exec` comes to.
    fn exec(&self, action: &str, argv: &[&str]) -> (i32, String) {
        self.exec_with(("rm -f made", "test -e made"), action, argv)
    }

    fn exec_with(&self, (undo, probe): (&str, &str), action: &str, argv: &[&str]) -> (i32, String) {
        let mut command = hv();
        command.args(["session", "exec", "--session", "desk", "--agent", &self.agent, "--action", action]);
        command.args(["--undo", undo, "--probe", probe]);
        command.arg("--data").arg(self.office.path("trail")).arg("--").args(argv);
        let output = command.current_dir(self.office.path("")).output().unwrap();
        assert_calm(&output);
        (output.status.code().unwrap(), said(&output))
    }

    /// Asks for an intent and signs it; gives the files of the bounds and of the envelope, and what was signed.
    fn signed(&self, name: &str, bounds: &str) -> (String, String, Vec<u8>) {
        let bounds = self.office.write(&format!("{name}.toml"), bounds);
        let ask = ["intent", "--session", "desk", "--bounds", &bounds, "--ask", &self.agent];
        let asked = self.office.ok(&ask, &[]).to_string();
        let call = self.office.write(&format!("{name}.call.json"), &asked);
        let mut sign = hv();
        sign.args(["id", "sign", "--type", "intent", "--audience", NODE, "--deadline", "1h", "--key"]);
        let output = sign.arg(self.office.path("a.key")).arg(call).output().unwrap();
        assert_calm(&output);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let envelope = self.office.path(&format!("{name}.json"));
        std::fs::write(&envelope, output.stdout).unwrap();
        (bounds, envelope.to_str().unwrap().to_owned(), asked.into_bytes())
    }

    fn declare(
        &self,
        (bounds, signed, _): &(String, String, Vec<u8>),
        more: &[&str],
    ) -> (i32, Value, String) {
        self.office.hv(&["intent", "--session", "desk", "--bounds", bounds, "--signed", signed], more)
    }
}

#[test]
fn an_agent_with_a_shell_is_held_to_what_it_signed() {
    let desk = Desk::new();
    let (code, why) = desk.exec("make", &["touch", "made"]);
    assert_eq!(code, 5, "{why}");
    assert!(why.contains("the session asks for an intent, and the agent has none in force"), "{why}");
    assert!(!desk.office.path("made").exists());
    let signed = desk.signed("first", BOUNDS);
    let (code, declared, why) = desk.declare(&signed, &[]);
    assert_eq!((code, &declared["signed"], &declared["calls"]), (0, &json!(true), &json!(3)), "{why}");
    assert_eq!(desk.exec("make", &["touch", "made"]).0, 0);
    assert!(desk.office.path("made").exists());
    for argv in [&["touch", "other"][..], &["sh", "-c", "touch made"]] {
        let (code, why) = desk.exec("make", argv);
        assert_eq!(code, 5, "{why}");
        assert!(why.contains("is outside the agent's intent"), "{why}");
        assert!(why.contains("the command within touch made"), "{why}");
    }
    assert!(!desk.office.path("other").exists());
    let shown = desk.office.ok(&["intent", "--session", "desk"], &[]);
    assert_eq!((&shown["intent"], &shown["outside"]), (&json!("required"), &json!("deny")));
    let intent = &shown["agents"][0]["intent"];
    assert_eq!((&intent["used"], &intent["bounds"]), (&json!(1), &declared["bounds"]));
    let status = desk.office.ok(&["session", "status", "--session", "desk"], &[]);
    assert_eq!(status["members"][0]["intent"]["used"], 1);
    // The same signature once more.
    let (code, _, why) = desk.declare(&signed, &[]);
    assert_eq!(code, 5);
    assert!(why.contains("used before"), "{why}");
}

/// Where the session says so, the lines of undo and probe are among what the agent signed.
#[test]
fn the_lines_that_an_agent_gives_for_undo_and_probe_can_be_held_against_its_intent() {
    let desk = Desk::with(&["--undo-lines", "held"]);
    let named = BOUNDS.replace(
        r#"{ argv = ["touch", "made"] }"#,
        r#"{ argv = ["touch", "made"] }, { argv = ["/bin/sh", "-c", "rm -f made"] }, { argv = ["/bin/sh", "-c", "test -e made"] }"#,
    );
    assert_eq!(desk.declare(&desk.signed("first", &named), &[]).0, 0);
    for (lines, of) in [(("touch stolen", "test -e made"), "undo"), (("rm -f made", "touch stolen"), "probe")]
    {
        let (code, why) = desk.exec_with(lines, "make", &["touch", "made"]);
        assert_eq!(code, 5, "{why}");
        assert!(
            why.contains(&format!("of its {of}, the command `/bin/sh -c touch stolen` is outside")),
            "{why}"
        );
        assert!(!desk.office.path("made").exists() && !desk.office.path("stolen").exists());
    }
    // Neither is counted.
    for _ in 0..3 {
        let (code, why) = desk.exec("make", &["touch", "made"]);
        assert_eq!(code, 0, "{why}");
    }
    assert_eq!(desk.exec("make", &["touch", "made"]).0, 5, "three calls, and no more");
    let undone = desk.office.hv(&["session", "undo", "--session", "desk"], &["--all"]);
    assert_eq!(undone.0, 0, "{}", undone.2);
    assert!(!desk.office.path("made").exists());
    let shown = desk.office.ok(&["intent", "--session", "desk"], &[]);
    assert_eq!(shown["undo"], "held");
    let verified = hv().args(["audit", "verify"]).arg(desk.office.path("trail")).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));

    // Where it does not, they are not.
    let free = Desk::new();
    assert_eq!(free.declare(&free.signed("first", BOUNDS), &[]).0, 0);
    assert_eq!(free.exec_with(("touch other", "test -e made"), "make", &["touch", "made"]).0, 0);
    assert_eq!(free.office.ok(&["intent", "--session", "desk"], &[])["undo"], "free");
}

/// What a rehearsal looks by is hv's own idea: an agent that signed what it does may rehearse exactly that.
#[test]
fn what_an_agent_signed_can_be_rehearsed() {
    let desk = Desk::new();
    assert_eq!(desk.declare(&desk.signed("first", BOUNDS), &[]).0, 0);
    let rehearse = |argv: &[&str]| {
        let mut command = hv();
        command.args([
            "session",
            "rehearse",
            "--session",
            "desk",
            "--agent",
            &desk.agent,
            "--action",
            "make",
        ]);
        command.args(["--undo", "rm made", "--probe", "test -e made", "--data"]);
        let command = command.arg(desk.office.path("trail")).arg("--").args(argv);
        let output = command.current_dir(desk.office.path("")).output().unwrap();
        assert_calm(&output);
        (output.status.code(), said(&output))
    };
    let (code, why) = rehearse(&["touch", "made"]);
    assert_eq!(code, Some(0), "{why}");
    let (code, why) = rehearse(&["touch", "other"]);
    assert_eq!(code, Some(5), "{why}");
    let shown = desk.office.ok(&["intent", "--session", "desk"], &[]);
    assert_eq!(shown["agents"][0]["intent"]["used"], 1, "what was rehearsed is what it did");
}

#[test]
fn a_wider_intent_takes_a_witness_and_other_bounds_are_not_what_was_signed() {
    let desk = Desk::new();
    assert_eq!(desk.declare(&desk.signed("first", BOUNDS), &[]).0, 0);
    let wider =
        BOUNDS.replace("calls = 3", "calls = 9").replace(r#""touch", "made"]"#, r#""touch"], more = 1"#);
    let signed = desk.signed("wider", &wider);
    // Bounds that were not signed.
    let (_, envelope, _) = &signed;
    let first = desk.office.path("first.toml").to_str().unwrap().to_owned();
    let (code, _, why) = desk.declare(&(first, envelope.clone(), vec![]), &[]);
    assert_eq!(code, 5);
    assert!(why.contains("it speaks of another call"), "{why}");
    let (code, _, why) = desk.declare(&signed, &[]);
    assert_eq!(code, 5);
    assert!(why.contains("it is wider than the one in force: the number of calls"), "{why}");
    let Content::Intent { call, .. } = Content::from_json(Kind::Intent, &signed.2).unwrap() else { panic!() };
    let word = desk.office.signed("word.json", "witness", 7, Content::Witness { call });
    let (code, declared, why) = desk.declare(&signed, &["--witness", &word]);
    assert_eq!((code, &declared["calls"]), (0, &json!(9)), "{why}");
    assert_eq!(desk.exec("make", &["touch", "other"]).0, 0);
    // What is no bounds at all.
    let bad = desk.office.write("bad.toml", "[[action]]\nid = \"make\"\nfiles = [\"src\"]\n");
    let (code, _, why) =
        desk.office.hv(&["intent", "--session", "desk", "--bounds", &bad, "--ask", &desk.agent], &[]);
    assert_eq!(code, 2);
    assert!(why.contains("`src` is no path, such as /src"), "{why}");
}
