//! Evidence brought by a session file, with the real program: what opens Ring 1 and Ring 0, and what does not.

use crate::evidence::{did, key};
use crate::scene::{assert_calm, assert_complete, ran, said, sh, trail, with};
use crate::support::{Run, hv, json as report_of};
use hv_core::TrailEvent;
use hv_core::event::{NodeEvent, SessionEvent};
use hv_core::identity::{Content, Envelope, Kind, Statement, Verdict};
use hv_core::types::{Call, Did, Digest, SessionId, Timestamp};
use hv_core::{Clock, SystemClock};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NODE: &str = "did:web:node.example";

/// Agents a, b, c with 0.97 and e with 0.50, the human h, a witness, and one step of an action.
fn file(session: &str, action: &str) -> Value {
    let agents: Vec<Value> = [("a", 0.97), ("b", 0.97), ("c", 0.97), ("e", 0.5)]
        .map(|(name, sigma)| json!({ "did": did(name).as_str(), "sigma": sigma }))
        .to_vec();
    json!({
        "session": { "id": session, "voters": [did("h").as_str()] },
        "node": { "did": NODE, "witnesses": [did("witness").as_str()], "verifiers": [did("verifier").as_str()] },
        "agent": agents,
        "action": [
            { "id": "final", "reversibility": "none" },
            { "id": "govern", "admin": true },
            { "id": "look", "read_only": true },
        ],
        "step": [{ "id": "push", "agent": did("a").as_str(), "action": action, "execute": sh("touch MARK") }],
    })
}

/// One trail on which runs follow each other.
struct Ground {
    folder: tempfile::TempDir,
    nonce: AtomicU64,
}

impl Ground {
    /// After a first run, in which everybody joined: who was known before is on probation no longer.
    fn new() -> Self {
        let ground = Self { folder: tempfile::tempdir().unwrap(), nonce: AtomicU64::new(0) };
        let first = ground.run("first", &file("first", "look"));
        assert_eq!(first.0, 0, "{:#}", first.1);
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("trail")
    }

    fn work(&self, session: &str) -> PathBuf {
        self.path(&format!("{session}.work"))
    }

    fn write(&self, session: &str, file: &Value) -> PathBuf {
        let path = self.path(&format!("{session}.json"));
        std::fs::write(&path, file.to_string()).unwrap();
        path
    }

    /// Runs it; gives the exit code and the report.
    fn run(&self, session: &str, file: &Value) -> (i32, Value) {
        let path = self.write(session, file);
        let mut command = hv();
        command.arg("run").arg(path).arg("--data").arg(self.data());
        command.arg("--work").arg(self.work(session)).arg("--json");
        let output = ran(&mut command);
        assert!(!output.stdout.is_empty(), "{}", said(&output));
        (output.status.code().unwrap(), report_of(&output))
    }

    /// What `hv call` prints for the step.
    fn asked(&self, session: &str, file: &Value, more: &[&str]) -> Value {
        let path = self.write(session, file);
        let mut command = hv();
        command.arg("call").arg(path).args(["--step", "push", "--work"]).arg(self.work(session)).args(more);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        report_of(&output)
    }

    fn call(&self, session: &str, file: &Value) -> Call {
        let asked = self.asked(session, file, &["--for", "10m"]);
        std::fs::write(self.path(&format!("{session}.call")), asked.to_string()).unwrap();
        match Content::from_json(Kind::Witness, asked.to_string().as_bytes()).unwrap() {
            Content::Witness { call } => call,
            other => panic!("{other:?}"),
        }
    }

    fn statement(&self, by: &str, content: Content) -> Statement {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.nonce.fetch_add(1, Ordering::SeqCst).to_le_bytes());
        let deadline = SystemClock.now().after(Duration::from_secs(600));
        Statement { audience: Did::new(NODE).unwrap(), signer: did(by), nonce, deadline, content }
    }

    fn vote(&self, by: &str, call: &Call) -> Envelope {
        let content = Content::Vote { call: call.clone(), verdict: Verdict::For };
        self.statement(by, content).seal(&key(by)).unwrap()
    }

    /// The session file with these statements at its step.
    fn presenting(&self, session: &str, file: Value, statements: &[Envelope]) -> Value {
        let names: Vec<String> = statements
            .iter()
            .enumerate()
            .map(|(n, envelope)| {
                let name = format!("{session}.{n}.dsse");
                std::fs::write(self.path(&name), envelope.to_json()).unwrap();
                name
            })
            .collect();
        let mut step = file["step"][0].clone();
        step["evidence"] = json!({ "call": format!("{session}.call"), "statements": names });
        with(file, json!({ "step": [step] }))
    }

    /// The words for what was rejected in a session, in order.
    fn reasons(&self, session: &str) -> Vec<&'static str> {
        let mut stream = None;
        let mut reasons = Vec::new();
        for record in trail(&self.data()) {
            for event in record.events {
                match event {
                    TrailEvent::Opened { stream: opened, label, .. } if label == session => {
                        stream = Some(opened);
                    }
                    TrailEvent::Session(event) if stream == Some(record.stream) => {
                        if let SessionEvent::Rejected { rejected } = *event {
                            reasons.push(rejected.rejection.name());
                        }
                    }
                    _ => {}
                }
            }
        }
        reasons
    }

    fn marked(&self, session: &str) -> bool {
        self.work(session).join("MARK").exists()
    }
}

type Attack = (&'static str, fn(&Ground, &Call) -> Vec<Envelope>, &'static [&'static str]);

fn vote_with(ground: &Ground, call: &Call, change: impl Fn(Statement) -> Statement) -> Vec<Envelope> {
    let content = Content::Vote { call: call.clone(), verdict: Verdict::For };
    vec![change(ground.statement("c", content)).seal(&key("c")).unwrap()]
}

/// Two votes of the three (b, c and h may vote) are there already; each of these would be the third.
const ATTACKS: [Attack; 9] = [
    (
        "forged",
        |ground, call| {
            let content = Content::Vote { call: call.clone(), verdict: Verdict::For };
            let payload = ground.statement("c", content).to_payload();
            vec![Envelope::sign(Kind::Vote.payload_type(), payload.as_bytes(), &key("e")).unwrap()]
        },
        &["signer_mismatch"],
    ),
    (
        "expired",
        |ground, call| {
            vote_with(ground, call, |vote| Statement { deadline: Timestamp(SystemClock.now().0 - 1), ..vote })
        },
        &["expired"],
    ),
    (
        "foreign-audience",
        |ground, call| {
            vote_with(ground, call, |vote| Statement {
                audience: Did::new("did:web:other.example").unwrap(),
                ..vote
            })
        },
        &["foreign_audience"],
    ),
    (
        "foreign-session",
        |ground, call| {
            vec![ground.vote("c", &Call { session: SessionId::new("first").unwrap(), ..call.clone() })]
        },
        &["foreign_session"],
    ),
    (
        "wrong-call",
        |ground, call| vec![ground.vote("c", &Call { params: Digest([7; 32]), ..call.clone() })],
        &["other_call"],
    ),
    ("duplicate-voter", |ground, call| vec![ground.vote("b", call)], &["duplicate"]),
    ("actor-voted", |ground, call| vec![ground.vote("a", call)], &["by_actor"]),
    ("ineligible-voter", |ground, call| vec![ground.vote("e", call)], &["not_eligible"]),
    (
        "other-kind",
        |ground, call| {
            vec![ground.statement("c", Content::Witness { call: call.clone() }).seal(&key("c")).unwrap()]
        },
        &["other_kind"],
    ),
];

#[test]
fn what_does_not_count_leaves_no_mark_and_stands_on_the_trail_with_its_own_reason() {
    let ground = Ground::new();
    for (name, attack, reasons) in ATTACKS {
        let plain = file(name, "final");
        let call = ground.call(name, &plain);
        let mut brought = vec![ground.vote("b", &call), ground.vote("h", &call)];
        brought.extend(attack(&ground, &call));
        let (code, report) = ground.run(name, &ground.presenting(name, plain, &brought));
        assert_eq!(code, 5, "{name}: {report:#}");
        assert!(!ground.marked(name), "{name}");
        assert_eq!(ground.reasons(name), reasons, "{name}");
        let denied = report["denials"][0]["reason"].as_str().unwrap();
        assert!(denied.contains("2 of 3 consent, 3 are needed"), "{name}: {denied}");
        let told = report["denials"][0]["rejected"].as_array().unwrap();
        assert_eq!(told.len(), reasons.len(), "{name}: {told:?}");
        assert!(
            told.iter().all(|why| why.as_str().unwrap().contains("does not count: ")),
            "{name}: {told:?}"
        );
    }
}

#[test]
fn a_quorum_opens_ring_1_and_a_witness_ring_0_to_one_step_of_a_session_file() {
    let ground = Ground::new();
    let plain = file("quorum", "final");
    let call = ground.call("quorum", &plain);
    let votes = ["b", "c", "h"].map(|by| ground.vote(by, &call));
    let (code, report) = ground.run("quorum", &ground.presenting("quorum", plain, &votes));
    assert_eq!((code, ground.marked("quorum")), (0, true), "{report:#}");
    assert_eq!(report["steps"][0]["ring"], 1);
    // The same votes for a step of another session, where the call file names this deadline too.
    let other = ground.presenting("quorum", file("again", "final"), &votes);
    let (code, _) = ground.run("again", &other);
    assert_eq!((code, ground.marked("again")), (5, false));
    assert_eq!(ground.reasons("again"), ["foreign_session"; 3]);

    let plain = file("witness", "govern");
    let call = ground.call("witness", &plain);
    let word = ground.statement("witness", Content::Witness { call }).seal(&key("witness")).unwrap();
    let (code, report) = ground.run("witness", &ground.presenting("witness", plain, &[word]));
    assert_eq!((code, ground.marked("witness")), (0, true), "{report:#}");
    assert_eq!(report["steps"][0]["ring"], 0);
}

#[test]
fn without_a_configured_node_no_session_file_reaches_ring_1_or_ring_0() {
    let ground = Ground { folder: tempfile::tempdir().unwrap(), nonce: AtomicU64::new(0) };
    let unconfigured = |session: &str, action: &str| {
        let mut file = file(session, action);
        file.as_object_mut().unwrap().remove("node");
        file
    };
    assert_eq!(ground.run("first", &unconfigured("first", "look")).0, 0);
    for (session, action) in [("one", "final"), ("zero", "govern")] {
        let plain = unconfigured(session, action);
        let call = ground.call(session, &plain);
        let mut brought: Vec<Envelope> = ["b", "c", "h"].map(|by| ground.vote(by, &call)).to_vec();
        brought.push(ground.statement("witness", Content::Witness { call }).seal(&key("witness")).unwrap());
        let (code, report) = ground.run(session, &ground.presenting(session, plain, &brought));
        assert_eq!((code, ground.marked(session)), (5, false), "{report:#}");
        assert_eq!(ground.reasons(session), ["not_configured"; 4]);
    }
}

#[test]
fn a_node_is_what_its_first_run_says_and_no_later_file_changes_it() {
    let ground = Ground::new();
    let mut other = file("other", "look");
    other["node"]["witnesses"] = json!([did("mallory").as_str()]);
    let path = ground.write("other", &other);
    let mut command = hv();
    command.arg("run").arg(path).arg("--data").arg(ground.data()).arg("--work").arg(ground.work("other"));
    let output = command.output().unwrap();
    assert_calm(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("is configured otherwise than [node] says"), "{}", said(&output));
    // Nothing was begun, and what was there is whole.
    assert_complete(&Run { folder: ground.folder, file: PathBuf::new() });
}

/// The way of the manual, with the program alone: keys, a call, signatures, a run.
#[test]
fn keys_a_call_and_signatures_made_with_the_program_open_ring_1() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let ok = |arguments: &[&str], paths: &[&Path]| {
        let output = hv().args(arguments).args(paths).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let new = |name: &str| ok(&["id", "new", "--key"], &[&at(name)]).trim().to_owned();
    let voters = [new("one.key"), new("two.key")];
    let session = |id: &str, action: &str, evidence: &str| {
        format!(
            r#"
            [session]
            id = "{id}"
            voters = ["{}", "{}"]
            [node]
            did = "{NODE}"
            [[agent]]
            did = "did:mesh:deployer"
            sigma = 0.97
            [[action]]
            id = "look"
            read_only = true
            [[action]]
            id = "push"
            reversibility = "none"
            [[step]]
            id = "push"
            agent = "did:mesh:deployer"
            action = "{action}"
            execute = {{ command = ["touch", "MARK"] }}
            {evidence}
            "#,
            voters[0], voters[1]
        )
    };
    let run = |id: &str, text: String| {
        std::fs::write(at("session.toml"), text).unwrap();
        let mut command = hv();
        command.arg("run").arg(at("session.toml")).arg("--data").arg(at("trail"));
        command.arg("--work").arg(at(id)).arg("--json").output().unwrap()
    };
    assert_eq!(run("first", session("first", "look", "")).status.code(), Some(0));
    std::fs::write(at("session.toml"), session("second", "push", "")).unwrap();
    let mut command = hv();
    command.arg("call").arg(at("session.toml")).args(["--step", "push", "--vote", "for", "--work"]);
    let call = command.arg(at("second")).output().unwrap();
    std::fs::write(at("push.call"), &call.stdout).unwrap();
    let mut votes = Vec::new();
    for name in ["one", "two"] {
        let mut command = hv();
        command.args(["id", "sign", "--type", "vote", "--audience", NODE, "--deadline", "10m", "--key"]);
        let signed = command.arg(at(&format!("{name}.key"))).arg(at("push.call")).output().unwrap();
        assert_eq!(signed.status.code(), Some(0), "{}", said(&signed));
        std::fs::write(at(&format!("{name}.vote")), &signed.stdout).unwrap();
        votes.push(format!("\"{name}.vote\""));
    }
    // Of two that may vote, both must.
    let evidence = |votes: &[String]| {
        format!("evidence = {{ call = \"push.call\", statements = [{}] }}", votes.join(", "))
    };
    std::fs::write(at("session.toml"), session("second", "push", &evidence(&votes))).unwrap();
    ok(&["check"], &[&at("session.toml")]);
    let output = run("second", session("second", "push", &evidence(&votes)));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(at("second").join("MARK").exists());
    let spent = trail(&at("trail")).into_iter().flat_map(|record| record.events);
    let spent = spent.filter(|event| matches!(event, TrailEvent::Node(NodeEvent::Spent { .. })));
    assert_eq!(spent.count(), 2);
}
