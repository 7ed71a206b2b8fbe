//! Manifests beside `inter-agent-trust-protocol` 0.5.0.

use hv_integrations::iatp::manifest_line;
use serde_json::Value;

#[test]
fn recorded_manifests_score_the_same() {
    let cases = crate::vectors::cases("iatp.jsonl");
    assert_eq!(cases.len(), 300);
    cases.iter().for_each(compare);
}

#[test]
fn fresh_manifests_score_the_same_as_in_the_package() {
    let Some(cases) = crate::peer::ask("iatp") else { return };
    let refused = cases.iter().filter(|(_, answer)| answer.is_null()).count();
    assert!((100..9000).contains(&refused), "the cases show little: {refused} of them are refused");
    cases.iter().for_each(compare);
}

/// What the package refuses is refused, and what it scores has the same score.
fn compare((input, expected): &(Value, Value)) {
    match manifest_line(&input.to_string()) {
        Ok(line) => {
            let answer: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(answer["trust_score"], expected["trust_score"], "{input}");
        }
        Err(error) => assert!(expected.is_null(), "{error}: {input}"),
    }
}
