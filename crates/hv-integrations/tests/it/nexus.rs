//! Trust points beside `nexus-trust-exchange` 0.1.0.

use hv_integrations::nexus::{ReputationEngine, trust_line};
use hv_integrations::trust::{DisputeOutcome, Severity, SlashReport, TaskOutcome};
use hv_types::Did;
use serde_json::{Value, json};

#[test]
fn recorded_histories_score_the_same() {
    let cases = crate::vectors::cases("nexus.jsonl");
    assert_eq!(cases.len(), 300);
    cases.iter().for_each(compare);
}

#[test]
fn fresh_histories_score_the_same_as_in_the_package() {
    let Some(cases) = crate::peer::ask("nexus") else { return };
    cases.iter().for_each(compare);
}

#[test]
fn an_engine_says_the_same_after_everything_that_happens() {
    let Some(cases) = crate::peer::ask("nexus_engine") else { return };
    for (told, expected) in &cases {
        let engine = ReputationEngine::default();
        let mut answers = Vec::new();
        for what in told.as_array().unwrap() {
            answers.extend(tell(&engine, what.as_str().unwrap()));
        }
        same(&Value::Array(answers), expected, told);
    }
}

/// Tells the engine what happened; its answers are the slash, if it was one, and the points afterwards.
fn tell(engine: &ReputationEngine, what: &str) -> Vec<Value> {
    let agent = Did::new("did:mesh:a").unwrap();
    let task = |outcome| engine.record_task_outcome(&agent, outcome).map(|()| None);
    let dispute = |outcome| engine.record_dispute_outcome(&agent, outcome).map(|()| None);
    let event = match what {
        "success" => task(TaskOutcome::Success),
        "failure" => task(TaskOutcome::Failure),
        "partial" => task(TaskOutcome::Partial),
        "won" => dispute(DisputeOutcome::Won),
        "lost" => dispute(DisputeOutcome::Lost),
        name => {
            let severity = Severity::ALL.into_iter().find(|severity| severity.name() == name).unwrap();
            let reason = "policy_violation".to_owned();
            engine.slash_reputation(&SlashReport { agent: agent.clone(), reason, severity, evidence: None })
        }
    };
    let slash = event
        .unwrap()
        .map(|event| json!([event.score_before.get(), event.score_reduction, event.score_after.get()]));
    slash.into_iter().chain([json!(engine.score(&agent).total.get())]).collect()
}

fn compare((input, expected): &(Value, Value)) {
    let answer: Value = serde_json::from_str(&trust_line(&input.to_string()).unwrap()).unwrap();
    for (name, value) in expected.as_object().unwrap() {
        same(&answer[name], value, input);
    }
}

/// Equal, where a count of halves makes the package answer 402.0 and not 402.
fn same(ours: &Value, theirs: &Value, input: &Value) {
    match (ours, theirs) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).for_each(|(a, b)| same(a, b, input));
        }
        (Value::Number(a), Value::Number(b)) => assert_eq!(a.as_f64(), b.as_f64(), "{input}"),
        _ => assert_eq!(ours, theirs, "{input}"),
    }
}
