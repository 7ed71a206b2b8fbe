//! Vouches, slashes and statements through the program, on one trail, and what `hv trust` says of them.

use crate::evidence::key;
use crate::scene::{assert_calm, said};
use crate::support::{hv, json as report_of};
use hv_core::identity::{Content, Finding, Statement};
use hv_core::types::{Did, Digest, SessionId, Share};
use hv_core::{Clock, SystemClock};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const NODE: &str = "did:web:node.example";

/// A trail with a configured node, and a live session with alice (0.75), bob (0.9) and carol (0.3).
pub(crate) struct Office {
    folder: tempfile::TempDir,
}

impl Office {
    pub(crate) fn new() -> Self {
        Self::configured(&[])
    }

    /// The same with a node that is configured with more.
    fn configured(more: &[&str]) -> Self {
        let office = Self { folder: tempfile::tempdir().unwrap() };
        let (witness, verifier) = (key("witness"), key("verifier"));
        let (witness, verifier) = (witness.did().as_str(), verifier.did().as_str());
        office.ok(&["node", "configure", "--did", NODE, "--witness", witness, "--verifier", verifier], more);
        office.ok(&["session", "open", "--id", "live", "--allow", "ls=read-only"], &[]);
        for (name, sigma) in [("alice", "0.75"), ("bob", "0.9"), ("carol", "0.3")] {
            office.ok(&["session", "join", "--agent", &format!("did:mesh:{name}"), "--sigma", sigma], &[]);
        }
        office.ok(&["session", "activate"], &[]);
        office
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs hv on the trail; gives the exit code, the document and what it said.
    pub(crate) fn hv(&self, arguments: &[&str], more: &[&str]) -> (i32, Value, String) {
        let mut command = hv();
        command.args(arguments).args(more).arg("--data").arg(self.path("trail")).arg("--json");
        let output = command.output().unwrap();
        assert_calm(&output);
        let document = if output.stdout.is_empty() { Value::Null } else { report_of(&output) };
        (output.status.code().unwrap(), document, said(&output))
    }

    pub(crate) fn ok(&self, arguments: &[&str], more: &[&str]) -> Value {
        let (code, document, said) = self.hv(arguments, more);
        assert_eq!(code, 0, "{arguments:?} {more:?}: {said}");
        document
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// An envelope in a file.
    pub(crate) fn signed(&self, name: &str, by: &str, nonce: u8, content: Content) -> String {
        let statement = Statement {
            audience: Did::new(NODE).unwrap(),
            signer: key(by).did().clone(),
            nonce: [nonce; 16],
            deadline: SystemClock.now().after(Duration::from_secs(600)),
            content,
        };
        self.write(name, &statement.seal(&key(by)).unwrap().to_json())
    }
}

fn finding(about: &str, evidence: u8) -> Content {
    Content::Evidence {
        about: Did::new(about).unwrap(),
        session: Some(SessionId::new("live").unwrap()),
        finding: Finding::Violation,
        fault: Share::ONE,
        class: None,
        risk: None,
        happened: SystemClock.now(),
        evidence: Digest([evidence; 32]),
    }
}

#[test]
fn a_vouch_says_before_it_is_done_what_it_does_to_both() {
    let office = Office::new();
    let pair = ["--voucher", "did:mesh:alice", "--vouchee", "did:mesh:carol"];
    // 0.75 of which 20 % are bonded leave 0.60 exactly, and equality does not pass.
    let asked = office.ok(&["vouch", "--preview"], &pair);
    assert_eq!((&asked["done"], &asked["bond"]), (&json!(false), &json!(0.15)));
    assert_eq!(asked["voucher"]["sigma_after"], 0.6);
    assert_eq!((&asked["voucher"]["ring_before"], &asked["voucher"]["ring_after"]), (&json!(2), &json!(3)));
    assert_eq!(
        (&asked["vouchee"]["sigma_after"], &asked["vouchee"]["ring_after"]),
        (&json!(0.42), &json!(3))
    );
    let bonds = |office: &Office| office.ok(&["trust", "show"], &[])["bonds"].as_array().unwrap().clone();
    assert_eq!(bonds(&office).len(), 0, "a preview records nothing");
    let done = office.ok(&["vouch"], &pair);
    assert_eq!(done["done"], true);
    assert_eq!(done["voucher"], asked["voucher"], "what was said is what was done");
    let there = bonds(&office);
    assert_eq!(
        (there.len(), &there[0]["remaining"], &there[0]["state"]),
        (1, &json!(0.15), &json!("active"))
    );
    // Too much over all sessions, nobody there, and for itself.
    let over = ["--voucher", "did:mesh:alice", "--vouchee", "did:mesh:carol", "--bond", "0.7"];
    assert_eq!(office.hv(&["vouch"], &over).0, 5);
    for pair in [&over[..], &["--voucher", "did:mesh:x", "--vouchee", "did:mesh:carol"]] {
        let (code, _, words) = office.hv(&["vouch", "--preview"], pair);
        assert!(code == 5 && words.contains("it would be denied: "), "{words}");
        assert_eq!(office.hv(&["vouch"], pair).0, 5, "{pair:?}");
    }
    // Whom the ledger knows and who has left can no longer answer for anybody, nor be answered for.
    office.ok(&["session", "leave", "--agent", "did:mesh:bob"], &[]);
    for (voucher, vouchee) in [("bob", "carol"), ("alice", "bob")] {
        let [voucher, vouchee] = [voucher, vouchee].map(|name| format!("did:mesh:{name}"));
        let pair = ["--voucher", &voucher, "--vouchee", &vouchee, "--bond", "0.01"];
        let (code, _, words) = office.hv(&["vouch", "--preview"], &pair);
        assert!(code == 5 && words.contains("did:mesh:bob is not a member"), "{words}");
    }
    assert_eq!(office.hv(&["vouch"], &["--voucher", "did:mesh:alice", "--vouchee", "did:mesh:alice"]).0, 5);
}

#[test]
fn what_if_says_what_the_slash_then_costs() {
    let office = Office::new();
    for vouchee in ["carol", "alice"] {
        let vouchee = format!("did:mesh:{vouchee}");
        office.ok(&["vouch", "--voucher", "did:mesh:bob", "--vouchee", &vouchee, "--bond", "0.4"], &[]);
    }
    let asked = office.ok(&["trust", "what-if", "--slash", "did:mesh:carol"], &[]);
    let show = |office: &Office| {
        let shown = office.ok(&["trust", "show"], &[]);
        let agents = shown["agents"].as_array().unwrap().clone();
        move |did: &str| agents.iter().find(|agent| agent["did"] == did).unwrap()["reputation"].clone()
    };
    let before = show(&office);
    let evidence = office.signed("finding.json", "verifier", 1, finding("did:mesh:carol", 1));
    let slashed = office.ok(&["slash", "--evidence", &evidence], &[]);
    assert_eq!(slashed[0]["done"], "slashed");
    let after = show(&office);
    for loss in asked["losses"].as_array().unwrap() {
        let (did, amount) = (loss["agent"].as_str().unwrap(), loss["amount"].as_f64().unwrap());
        let lost = before(did).as_f64().unwrap() - after(did).as_f64().unwrap();
        assert!((lost - amount).abs() < 1e-9, "{did} lost {lost}, and {amount} was said");
    }
    // The same finding again, and somebody else's: nothing, and refused.
    let again = office.signed("again.json", "verifier", 2, finding("did:mesh:carol", 1));
    assert_eq!(office.ok(&["slash", "--evidence", &again], &[])[0]["done"], "already_slashed");
    let (code, _, words) = office.hv(&["slash", "--evidence", &evidence], &[]);
    assert_eq!(code, 5, "{words}");
    assert!(words.contains("it was used before"), "{words}");
    let forged = office.signed("forged.json", "mallory", 3, finding("did:mesh:alice", 3));
    let (code, _, words) = office.hv(&["slash", "--evidence", &forged], &[]);
    assert_eq!(code, 5, "{words}");
    assert!(words.contains("none of the verifiers"), "{words}");
    // History and graph speak of it.
    let history = office.ok(&["trust", "history", "--agent", "did:mesh:carol"], &[]);
    let events: Vec<&str> =
        history.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["ledger.opened", "ledger.vouched", "ledger.slashed"]);
    let mut dot = hv();
    let dot = dot.args(["trust", "show", "--dot", "--data"]).arg(office.path("trail")).output().unwrap();
    let dot = String::from_utf8(dot.stdout).unwrap();
    assert!(dot.starts_with("digraph liability {") && dot.contains("did:mesh:bob"), "{dot}");
    // Sessions are called by their names, which people know.
    assert!(dot.contains(" in live (bond "), "{dot}");
}

#[test]
fn a_charge_is_listed_contested_and_dropped_and_one_that_nobody_contests_is_carried_out() {
    let office = Office::configured(&["--grace", "1h", "--vouching", "reference"]);
    let shown = office.ok(&["node", "show"], &[]);
    assert_eq!((&shown["grace_seconds"], &shown["vouching"]), (&json!(3600.0), &json!("reference")));
    let found = office.signed("found.json", "verifier", 1, finding("did:mesh:carol", 1));
    let charged = office.ok(&["slash", "--evidence", &found], &[]);
    assert_eq!(charged[0]["done"], "charged");
    let (evidence, until) = (charged[0]["evidence"].as_str().unwrap(), charged[0]["until"].clone());
    let open = json!({
        "evidence": evidence, "about": "did:mesh:carol", "reason": "violation", "until": until,
        "contested": false,
    });
    assert_eq!(office.ok(&["charge", "list"], &[]), json!([open]));
    let trust = office.ok(&["trust", "show"], &[]);
    assert_eq!(trust["charges"], json!([open]));
    let carol = trust["agents"].as_array().unwrap().iter().find(|agent| agent["did"] == "did:mesh:carol");
    assert_eq!(carol.unwrap()["sessions"][0]["sigma_eff"], 0.0);
    let grounds = office.write("reply.txt", "it was asked to");
    let dispute = ["charge", "dispute", "--charge", evidence, "--grounds", &grounds];
    assert_eq!(office.hv(&dispute, &[]).0, 5, "without a word");
    let word = |name: &str, nonce: u8, asked: &Value| {
        let content = Content::from_json(hv_core::identity::Kind::Witness, asked.to_string().as_bytes());
        office.signed(name, "witness", nonce, content.unwrap())
    };
    let said = word("word.json", 2, &office.ok(&dispute, &["--ask"]));
    // The word is for these grounds.
    let other = office.write("other.txt", "something else");
    let with_other = ["charge", "dispute", "--charge", evidence, "--grounds", &other];
    assert_eq!(office.hv(&with_other, &["--witness", &said]).0, 5);
    office.ok(&dispute, &["--witness", &said]);
    let none_due = office.ok(&["charge", "carry-out"], &[]);
    assert_eq!((&none_due["open"][0]["contested"], &none_due["carried_out"]), (&json!(true), &json!([])));
    let dismiss = ["charge", "dismiss", "--charge", evidence];
    // Nobody is asked to sign what would be refused anyway.
    let other = "ab".repeat(32);
    let (code, asked, words) = office.hv(&["charge", "dismiss", "--charge", &other, "--ask"], &[]);
    assert!(code == 2 && asked.is_null() && words.contains(&format!("open are {evidence}")), "{words}");
    let said = word("dropped.json", 3, &office.ok(&dismiss, &["--ask"]));
    office.ok(&dismiss, &["--witness", &said]);
    assert_eq!(office.ok(&["charge", "list"], &[]), json!([]));
    let (code, _, words) = office.hv(&dismiss, &["--ask"]);
    assert!(code == 2 && words.contains("nobody is charged"), "{words}");
    assert_eq!(
        office.hv(&["slash", "--evidence", &found], &[]).0,
        5,
        "neither the statement nor the evidence"
    );
    // A grace period of a moment.
    let office = Office::configured(&["--grace", "1ms"]);
    let found = office.signed("found.json", "verifier", 1, finding("did:mesh:carol", 1));
    let charged = office.ok(&["slash", "--evidence", &found], &[]);
    let done = office.ok(&["charge", "carry-out"], &[]);
    let [slashed] = done["carried_out"].as_array().unwrap().as_slice() else { panic!("{done}") };
    assert_eq!(
        (&slashed["about"], &slashed["evidence"]),
        (&json!("did:mesh:carol"), &charged[0]["evidence"])
    );
    assert_eq!((&slashed["slash"]["event"], &done["open"]), (&json!("ledger.slashed"), &json!([])));
    let trust = office.ok(&["trust", "show", "--agent", "did:mesh:carol"], &[]);
    assert_eq!((&trust["agents"][0]["slashes"], &trust["agents"][0]["reputation"]), (&json!(1), &json!(0.0)));
}

#[test]
fn a_person_slashes_by_the_word_of_a_witness_and_rehabilitates_the_same_way() {
    let office = Office::new();
    let content = r#"{"about": "did:mesh:bob", "session": "live", "finding": "violation", "fault": "0.5",
        "happened": "2026-01-31T12:00:00Z", "evidence": "DIGEST"}"#;
    let found = office.write("found.json", &content.replace("DIGEST", &"ab".repeat(32)));
    let word = |name: &str, nonce: u8, asked: &Value| {
        let text = asked.to_string();
        let content = Content::from_json(hv_core::identity::Kind::Witness, text.as_bytes()).unwrap();
        office.signed(name, "witness", nonce, content)
    };
    // Unsigned evidence alone is no evidence.
    let (code, _, words) = office.hv(&["slash", "--evidence", &found], &[]);
    assert!(code == 2 && words.contains("nobody signed it") && words.contains("--ask"), "{words}");
    let asked = office.ok(&["slash", "--ask", "--evidence", &found], &[]);
    let other = office.write("other.json", &content.replace("DIGEST", &"cd".repeat(32)));
    let said = word("word.json", 1, &asked);
    // The word is for that slash alone, and counts once.
    let (code, _, words) = office.hv(&["slash", "--evidence", &other, "--witness", &said], &[]);
    assert!(code == 5 && words.contains("does not count: it speaks of another call"), "{words}");
    // A word of another kind, and one that says nothing at all, are refused by the node, on the trail.
    let call = Content::from_json(hv_core::identity::Kind::Witness, asked.to_string().as_bytes()).unwrap();
    let Content::Witness { call } = call else { panic!() };
    let vote = Content::Vote { call, verdict: hv_core::identity::Verdict::For };
    let vote = office.signed("vote.json", "witness", 9, vote);
    let (code, _, words) = office.hv(&["slash", "--evidence", &found, "--witness", &vote], &[]);
    assert!(code == 5 && words.contains("a statement of kind `vote` says nothing about this"), "{words}");
    let broken = std::fs::read_to_string(&said).unwrap().replace("hv.witness.v1", "hv.witness.v2");
    let broken = office.write("broken.json", &broken);
    let (code, _, words) = office.hv(&["slash", "--evidence", &found, "--witness", &broken], &[]);
    assert!(code == 5 && words.contains("a statement does not count: "), "{words}");
    let shown =
        crate::support::hv().args(["audit", "show", "--json"]).arg(office.path("trail")).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.matches(r#""event":"node.rejected""#).count(), 3, "{shown}");
    let (code, document, words) = office.hv(&["slash", "--evidence", &found, "--witness", &said], &[]);
    assert_eq!((code, &document[0]["done"]), (0, &json!("slashed")), "{words}");
    let (code, _, words) = office.hv(&["slash", "--evidence", &found, "--witness", &said], &[]);
    assert!(code == 5 && words.contains("it was used before"), "{words}");
    // Nor does another word on the same evidence slash anybody again, and it is not said to.
    let said = word("another.json", 5, &office.ok(&["slash", "--ask", "--evidence", &found], &[]));
    let (code, document, words) = office.hv(&["slash", "--evidence", &found, "--witness", &said], &[]);
    assert_eq!((code, &document[0]["done"]), (0, &json!("already_slashed")), "{words}");
    let bob = || {
        let shown = office.ok(&["trust", "show", "--agent", "did:mesh:bob"], &[]);
        let bob = &shown["agents"][0];
        (bob["reputation"].clone(), bob["quarantine"].is_string())
    };
    assert_eq!(bob(), (json!(0.45), true));
    let rehabilitate = ["node", "rehabilitate", "--agent", "did:mesh:bob", "--sigma", "0.5"];
    assert_eq!(office.hv(&rehabilitate, &["--witness", &said]).0, 5, "another word");
    let asked = office.ok(&rehabilitate, &["--ask"]);
    let said = word("mercy.json", 2, &asked);
    office.ok(&rehabilitate, &["--witness", &said]);
    assert_eq!(bob(), (json!(0.5), false));
    // A second configuration takes a witness of the first.
    let configure = ["node", "configure", "--did", NODE, "--verifier", "did:mesh:other"];
    assert_eq!(office.hv(&configure, &[]).0, 5);
    let asked = office.ok(&configure, &["--ask"]);
    let said = word("config.json", 3, &asked);
    office.ok(&configure, &["--witnessed", &said]);
    let shown = office.ok(&["node", "show"], &[]);
    assert_eq!((&shown["did"], &shown["witnesses"]), (&json!(NODE), &json!([])));
    // That one has none, so no word is asked for that nobody can give.
    let of_nobody = word("nobody.json", 4, &office.ok(&configure, &["--ask"]));
    for (request, more) in
        [(&configure[..], &[][..]), (&configure, &["--witnessed", &of_nobody]), (&rehabilitate, &[])]
    {
        let (code, _, words) = office.hv(request, more);
        assert_eq!(code, 5, "{words}");
        let (nobody, enough) = ("is configured without a witness", "enough would be");
        assert!(words.contains(nobody) && !words.contains(enough), "{words}");
    }
}

#[test]
fn statements_are_handed_over_and_each_counts_once() {
    let office = Office::new();
    let live = || SessionId::new("live").unwrap();
    let join = office.signed("join.json", "dave", 1, Content::Join { session: live() });
    let joined = office.ok(&["accept"], &[&join]);
    assert_eq!((&joined[0]["done"], &joined[0]["ring"]), (&json!("joined"), &json!(3)));
    let (code, _, words) = office.hv(&["accept"], &[&join]);
    assert_eq!(code, 5);
    assert!(words.contains("it was used before"), "{words}");
    let revoke = office.signed("revoke.json", "dave", 2, Content::Revoke);
    // Under the name of evidence nothing else is done.
    let (code, _, words) = office.hv(&["slash", "--evidence", &revoke], &[]);
    assert!(code == 2 && words.contains("a statement of kind `revoke`, and no evidence"), "{words}");
    assert_eq!(office.ok(&["accept"], &[&revoke])[0]["done"], "key_changed");
    let late = office.signed("late.json", "dave", 3, Content::Join { session: live() });
    let (code, _, words) = office.hv(&["accept"], &[&late]);
    assert_eq!(code, 5);
    assert!(words.contains("revoked"), "{words}");
    assert_eq!(office.hv(&["accept", "nowhere.json"], &[]).0, 2);
}

#[test]
fn a_quorum_elevates_an_agent_for_named_actions_and_it_works_with_a_shell() {
    let office = Office { folder: tempfile::tempdir().unwrap() };
    office.ok(&["node", "configure", "--did", NODE], &[]);
    let agents = ["a", "b", "c"].map(|name| key(name).did().to_string());
    let join = |id: &str| {
        office.ok(&["session", "open", "--id", id, "--allow", "push=none"], &[]);
        for agent in &agents {
            office.ok(&["session", "join", "--sigma", "0.97", "--agent", agent], &[]);
        }
        office.ok(&["session", "activate"], &[]);
    };
    // Who is new is on probation.
    join("first");
    office.ok(&["session", "close"], &[]);
    join("live");
    let pushed = office.path("pushed");
    let exec = || {
        let mut command = hv();
        command.args(["session", "exec", "--json", "--agent", &agents[0], "--action", "push", "--data"]);
        command.arg(office.path("trail")).args(["--", "touch"]).arg(&pushed);
        let output = command.output().unwrap();
        assert_calm(&output);
        (output.status.code(), said(&output))
    };
    let (code, why) = exec();
    assert_eq!((code, pushed.exists()), (Some(5), false), "{why}");
    assert!(why.contains("a quorum"), "{why}");
    let asked = ["elevate", "--agent", &agents[0], "--action", "push", "--reason", "ship"];
    assert_eq!(office.hv(&asked, &[]).0, 5, "without votes");
    assert_eq!(office.hv(&asked, &["--lasts", "61m"]).0, 2, "longer than there is");
    let call = office.write("call.json", &office.ok(&asked, &["--ask"]).to_string());
    let mut votes = Vec::new();
    for (name, seed) in [("b", "b"), ("c", "c")] {
        let mut bytes = [0; 32];
        bytes[..1].copy_from_slice(seed.as_bytes());
        let Content::Vote { call, verdict } =
            Content::from_json(hv_core::identity::Kind::Vote, &std::fs::read(&call).unwrap()).unwrap()
        else {
            panic!("a vote")
        };
        votes.push(office.signed(&format!("{name}.json"), name, bytes[0], Content::Vote { call, verdict }));
    }
    let few = office.hv(&asked, &["--vote", &votes[0]]);
    assert_eq!(few.0, 5, "{few:?}");
    assert!(few.2.contains("1 of 2 consent, 2 are needed"), "{}", few.2);
    let done = office.ok(&asked, &["--vote", &votes[0], "--vote", &votes[1]]);
    assert_eq!((&done["agent"], &done["actions"]), (&json!(agents[0]), &json!(["push"])));
    // Both places that say how things stand say the same.
    let shown = office.ok(&["trust", "show", "--agent", &agents[0]], &[]);
    assert_eq!(shown["agents"][0]["sessions"][0]["elevation"], done);
    let status = office.ok(&["session", "status"], &[]);
    assert_eq!(status["members"][0]["elevation"], done);
    assert_eq!(status["members"][1]["elevation"], Value::Null);
    let (code, why) = exec();
    assert_eq!((code, pushed.exists()), (Some(0), true), "{why}");
    assert_eq!(
        office.hv(&asked, &["--vote", &votes[0], "--vote", &votes[1]]).0,
        5,
        "used, and one at a time"
    );
    // Whoever leaves has none any more, and that is seen from outside.
    office.ok(&["session", "leave", "--agent", &agents[0]], &[]);
    let shown = office.ok(&["trust", "show", "--agent", &agents[0]], &[]);
    assert_eq!(shown["agents"][0]["sessions"][0]["elevation"], Value::Null);
}
