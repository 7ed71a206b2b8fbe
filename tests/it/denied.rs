//! Who lacks the ring does nothing: its command leaves no mark, and the refusal is on the trail with its reason
//! and what would be enough.

use crate::scene::{
    AGENT, assert_complete, attempts, change, denials, file, look, names, ran, said, scene, sh, step, trail,
    with,
};
use crate::support::{Run, hv, json as report_of};
use hv_core::TrailEvent;
use hv_core::event::SessionEvent;
use serde_json::{Value, json};
use std::path::Path;

fn mark(line: &str) -> Value {
    change("mark", sh(line), sh("rm -f MARK"))
}

/// Runs it and gives the exit code and the report.
fn outcome(run: &Run) -> (i32, Value) {
    let output = ran(&mut run.start());
    (output.status.code().unwrap(), report_of(&output))
}

/// Grants on the trail: what was allowed to start.
fn grants(data: &Path) -> usize {
    let events = trail(data).into_iter().flat_map(|record| record.events);
    events.filter(|event| matches!(event, TrailEvent::Session(event) if matches!(**event, SessionEvent::Granted { .. }))).count()
}

#[test]
fn f1_a_command_whose_agent_lacks_the_ring_leaves_no_mark() {
    let touch = || mark("touch MARK");
    let unproven = || with(touch(), json!({ "accept_unproven_undo": false }));
    let of = |action: &str| {
        let mut step = touch();
        let fields = step.as_object_mut().unwrap();
        fields.remove("undo");
        fields["action"] = action.into();
        step
    };
    let govern = || with(touch(), json!({ "action": "govern" }));
    let proven = || with(unproven(), json!({ "probe": sh("test -e MARK") }));
    let table = [
        // (σ, the step, allowed, in the reason, in what would be enough)
        ("0.60 exactly", 0.60, touch(), false, "it is 0.60", "σ_eff above 0.60"),
        ("0.600001", 0.600_001, touch(), true, "", ""),
        ("0.30", 0.30, touch(), false, "it is 0.30", "σ_eff above 0.60"),
        ("nothing", 0.0, touch(), false, "it is 0.00", "σ_eff above 0.60"),
        ("an unproven undo", 0.9, unproven(), false, "0.95", "σ_eff above 0.95"),
        ("an unproven undo and σ 1", 1.0, unproven(), false, "quorum", "quorum"),
        ("a proven undo", 0.9, proven(), true, "", ""),
        ("irreversible with σ 0.96", 0.96, of("final"), false, "quorum", "quorum"),
        ("irreversible with σ 1", 1.0, of("final"), false, "quorum", "quorum"),
        ("admin with σ 1", 1.0, govern(), false, "witness", "witness"),
    ];
    for (name, sigma, step_of_file, allowed, reason, needs) in table {
        let run = scene(&file(sigma, vec![step_of_file]));
        let (code, report) = outcome(&run);
        assert_eq!(code, if allowed { 0 } else { 5 }, "{name}: {report:#}");
        assert_eq!(run.work().join("MARK").exists(), allowed, "{name}");
        assert_complete(&run);
        let denied = denials(&run.data());
        assert_eq!(denied.is_empty(), allowed, "{name}");
        if allowed {
            continue;
        }
        assert_eq!(grants(&run.data()), 0, "{name}: C1, nothing starts without a grant");
        assert_eq!(report["outcome"], "denied", "{name}");
        assert_eq!(step(&report, "mark")["state"], "denied", "{name}");
        assert_eq!(step(&report, "mark")["attempts"], json!([]), "{name}");
        assert_eq!(denied.len(), 1, "{name}");
        assert_eq!(denied[0].request, "step", "{name}");
        assert_eq!(denied[0].agent.as_ref().unwrap().as_str(), AGENT, "{name}");
        assert!(denied[0].reason.contains(reason), "{name}: {}", denied[0].reason);
        assert!(denied[0].needs.contains(needs), "{name}: {}", denied[0].needs);
        assert_eq!(report["denials"][0]["reason"], *denied[0].reason, "{name}");
        assert_eq!(report["denials"][0]["needs"], *denied[0].needs, "{name}");
    }
}

#[test]
fn what_was_done_before_a_refusal_is_undone() {
    let first = change("first", sh("touch FIRST"), sh("rm FIRST && touch UNDONE"));
    let steps = vec![first, with(mark("touch MARK"), json!({ "agent": "did:mesh:weak" }))];
    let both = json!([{ "did": AGENT, "sigma": 0.9 }, { "did": "did:mesh:weak", "sigma": 0.6 }]);
    let run = scene(&with(file(0.9, steps), json!({ "agent": both })));
    let (code, report) = outcome(&run);
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(report["outcome"], "rolled_back");
    assert_eq!(
        (names(&report["commit_order"]), names(&report["undo_order"])),
        (vec!["first"], vec!["first"])
    );
    assert_eq!(step(&report, "mark")["state"], "denied");
    for (name, there) in [("FIRST", false), ("UNDONE", true), ("MARK", false)] {
        assert_eq!(run.work().join(name).exists(), there, "{name}");
    }
    assert_eq!(denials(&run.data())[0].agent.as_ref().unwrap().as_str(), "did:mesh:weak");
    assert_complete(&run);
}

#[test]
fn a_refusal_in_the_set_up_keeps_the_work_from_starting() {
    let run = scene(&with(
        file(0.6, vec![look("look", sh("touch LOOKED"))]),
        json!({ "setup": [mark("touch MARK")] }),
    ));
    let (code, report) = outcome(&run);
    assert_eq!(code, 5, "{report:#}");
    assert_eq!(report["steps"], json!([]), "the work was never begun");
    assert_eq!(std::fs::read_dir(run.work()).unwrap().count(), 0, "nothing was done");
    assert_eq!(denials(&run.data()).len(), 1);
}

#[test]
fn steps_that_run_at_once_are_undone_when_one_of_them_is_refused() {
    // The refusal comes while another step runs; what that one does is undone as well.
    let long = change("long", sh("sleep 0.5; touch LONG"), sh("rm LONG"));
    let refused = with(mark("touch MARK"), json!({ "agent": "did:mesh:weak", "after": [] }));
    let both = json!([{ "did": AGENT, "sigma": 0.9 }, { "did": "did:mesh:weak", "sigma": 0.6 }]);
    let run = scene(&with(file(0.9, vec![long, refused]), json!({ "agent": both })));
    let (code, report) = outcome(&run);
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(std::fs::read_dir(run.work()).unwrap().count(), 0);
    assert_eq!(names(&report["undo_order"]), ["long"]);
}

#[test]
fn a_ring_3_agent_may_look_and_what_is_read_only_needs_no_undo() {
    let run = scene(&file(0.0, vec![look("look", sh("echo seen"))]));
    let (code, report) = outcome(&run);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(step(&report, "look")["ring"], 3);
    assert!(denials(&run.data()).is_empty());
}

#[test]
fn a_vouch_lifts_an_agent_over_the_threshold_and_costs_the_voucher_its_own() {
    let agents = |voucher: f64, low: f64| json!([{ "did": "did:mesh:voucher", "sigma": voucher }, { "did": AGENT, "sigma": low }]);
    let vouch = json!([{ "voucher": "did:mesh:voucher", "vouchee": AGENT }]);
    let of = |agents: Value, steps: Vec<Value>| {
        scene(&with(file(0.0, steps), json!({ "agent": agents, "vouch": vouch })))
    };

    // 0.5 + 0.8 · 0.18 = 0.644
    let run = of(agents(0.9, 0.5), vec![mark("touch MARK")]);
    let (code, report) = outcome(&run);
    assert_eq!(code, 0, "{report:#}");
    assert!(run.work().join("MARK").exists());
    assert_eq!(report["vouches"][0]["bond"], 0.18);
    let lifted = report["agents"].as_array().unwrap().iter().find(|agent| agent["did"] == AGENT).unwrap();
    assert_eq!((&lifted["sigma"], &lifted["ring"]), (&json!(0.644), &json!(2)));

    // 0.456 + 0.8 · 0.18 = 0.60: exactly the threshold, which does not pass.
    let run = of(agents(0.9, 0.456), vec![mark("touch MARK")]);
    assert_eq!(outcome(&run).0, 5);
    assert!(!run.work().join("MARK").exists());

    // 0.75 less a bond of 20 % is 0.60: who has vouched may not do any longer what it could.
    let run = of(agents(0.75, 0.5), vec![with(mark("touch MARK"), json!({ "agent": "did:mesh:voucher" }))]);
    assert_eq!(outcome(&run).0, 5);
    assert!(!run.work().join("MARK").exists());

    // What cannot be undone is not bought with borrowed trust.
    let last = with(mark("touch MARK"), json!({ "action": "final" }));
    let last = {
        let mut last = last;
        last.as_object_mut().unwrap().remove("undo");
        last
    };
    let run = of(agents(1.0, 0.94), vec![last]);
    assert_eq!(outcome(&run).0, 5);
    assert!(!run.work().join("MARK").exists());
}

#[test]
fn a_vouch_that_the_ledger_refuses_ends_the_run_before_anything_is_done() {
    let agents = json!([{ "did": "did:mesh:poor", "sigma": 0.4 }, { "did": AGENT, "sigma": 0.9 }]);
    let vouch = json!([{ "voucher": "did:mesh:poor", "vouchee": AGENT }]);
    let run = scene(&with(file(0.0, vec![mark("touch MARK")]), json!({ "agent": agents, "vouch": vouch })));
    let (code, report) = outcome(&run);
    assert_eq!(code, 5, "{report:#}");
    assert!(!run.work().join("MARK").exists());
    let denied = denials(&run.data());
    assert_eq!((denied.len(), denied[0].request.as_str()), (1, "vouch"));
    assert_complete(&run);
}

/// The same file with a manifest for the agent.
fn with_manifest(level: &str, agent: &str, reversibility: &str, action: &str) -> Run {
    let step = with(mark("touch MARK"), json!({ "action": action }));
    let mut session = file(0.0, vec![step]);
    session["agent"] = json!([{ "did": AGENT, "manifest": "manifest.json" }]);
    session["action"].as_array_mut().unwrap().push(json!({ "id": "repo:write", "reversibility": "full" }));
    let run = scene(&session);
    let manifest = json!({
        "agent_id": agent,
        "trust_level": level,
        "trust_score": 10,
        "capabilities": { "reversibility": reversibility, "undo_window": "24h", "idempotency": true },
        "privacy_contract": { "retention": "ephemeral" },
        "scopes": ["repo:read", "repo:write"],
    });
    std::fs::write(run.folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    run
}

#[test]
fn f20_a_manifest_says_how_far_an_agent_is_trusted_and_not_more() {
    for (level, ring, allowed) in [
        ("verified_partner", 2, true),
        ("trusted", 2, true),
        ("standard", 2, true),
        ("unknown", 3, false),
        ("untrusted", 3, false),
    ] {
        let run = with_manifest(level, AGENT, "full", "change");
        let (code, report) = outcome(&run);
        assert_eq!(code, if allowed { 0 } else { 5 }, "{level}: {report:#}");
        assert_eq!(report["agents"][0]["ring"], ring, "{level}");
        assert_eq!(run.work().join("MARK").exists(), allowed, "{level}");
        assert_eq!(denials(&run.data()).is_empty(), allowed, "{level}");
    }
}

#[test]
fn f9_a_manifest_makes_an_action_stricter_and_never_laxer() {
    // The operator says that it can be undone, the agent that it cannot: the stricter counts.
    let run = with_manifest("verified_partner", AGENT, "none", "repo:write");
    let (code, report) = outcome(&run);
    assert_eq!(code, 5, "{report:#}");
    assert!(!run.work().join("MARK").exists());
    assert!(denials(&run.data())[0].needs.contains("quorum"));
    let run = with_manifest("verified_partner", AGENT, "full", "repo:write");
    assert_eq!(outcome(&run).0, 0);
}

#[test]
fn f20_a_manifest_that_cannot_be_used_is_bad_input_and_nothing_is_run() {
    type Spoil = fn(&Path);
    let table: [(&str, Spoil, &str); 5] = [
        ("another agent's", |path| rewrite(path, AGENT, "did:mesh:b"), "did:mesh:b"),
        ("24 without a unit", |path| rewrite(path, "24h", "24"), "undo_window"),
        ("no JSON", |path| std::fs::write(path, "agent_id: a").unwrap(), "manifest"),
        ("not there", |path| std::fs::remove_file(path).unwrap(), "manifest.json"),
        ("bad UTF-8", |path| std::fs::write(path, b"{\"agent_id\": \"\xff\"}").unwrap(), "manifest"),
    ];
    for (name, spoil, told) in table {
        let run = with_manifest("trusted", AGENT, "full", "change");
        spoil(&run.folder.path().join("manifest.json"));
        let output = ran(&mut run.start());
        assert_eq!(output.status.code(), Some(2), "{name}: {}", said(&output));
        assert!(
            said(&output).contains(told) && said(&output).contains("session.json:"),
            "{name}: {}",
            said(&output)
        );
        assert!(output.stdout.is_empty(), "{name}");
        assert!(!run.data().exists() && !run.work().exists(), "{name}");
        let checked = hv().arg("check").arg(&run.file).output().unwrap();
        if name == "not there" {
            assert_eq!(checked.status.code(), Some(2), "{name}");
        }
    }
}

fn rewrite(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn f10_what_an_agent_lost_in_one_run_it_lacks_in_the_next_on_the_same_trail() {
    let undo_fails = change("mark", sh("touch MARK"), sh("exit 1"));
    let fails = look("fails", sh("exit 1"));
    let run = scene(&with(file(0.9, vec![undo_fails, fails]), json!({ "session": { "id": "first" } })));
    assert_eq!(outcome(&run).0, 4);
    let again = with(file(1.0, vec![mark("touch MARK")]), json!({ "session": { "id": "second" } }));
    std::fs::write(&run.file, again.to_string()).unwrap();
    let output = ran(hv()
        .arg("run")
        .arg(&run.file)
        .arg("--json")
        .arg("--data")
        .arg(run.data())
        .arg("--work")
        .arg(run.folder.path().join("work2")));
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    let report = report_of(&output);
    assert_eq!(report["session"], "second");
    assert!(!run.folder.path().join("work2/MARK").exists());
    let denied = denials(&run.data());
    assert_eq!(denied.last().unwrap().request, "join");
    assert!(attempts_of(&report).is_empty());
    assert_complete(&run);
}

fn attempts_of(report: &Value) -> Vec<&Value> {
    report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|step| attempts(report, step["id"].as_str().unwrap(), "execute"))
        .collect()
}

/// Whoever wrote an undo that does not count learns it, and not of a quorum alone.
#[test]
fn a_step_whose_undo_does_not_count_says_what_would_make_it_count() {
    let told = |accepted: bool| {
        let made = with(mark("touch MARK"), json!({ "accept_unproven_undo": accepted }));
        let run = scene(&file(if accepted { 0.6 } else { 0.9 }, vec![made]));
        let (code, report) = outcome(&run);
        assert_eq!(code, 5, "{report:#}");
        let again = ran(hv().args(["run", "--resume", "--quiet", "--data"]).arg(run.data()));
        (String::from_utf8_lossy(&again.stdout).into_owned(), step(&report, "mark").clone())
    };
    let (words, report) = told(false);
    assert!(words.contains("give it a `probe`, or say accept_unproven_undo = true"), "{words}");
    assert_eq!(report["undo_unproven"], true);
    let (words, report) = told(true);
    assert!(!words.contains("give it a `probe`"), "σ is what is missing: {words}");
    assert_eq!(report["undo_unproven"], false);
}
