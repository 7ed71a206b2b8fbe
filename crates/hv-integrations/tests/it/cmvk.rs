//! Drift beside `cmvk` 0.3.0.

use hv_integrations::cmvk::drift_line;
use serde_json::Value;

#[test]
fn recorded_embeddings_drift_the_same() {
    let cases = crate::vectors::cases("cmvk.jsonl");
    assert_eq!(cases.len(), 300);
    cases.iter().for_each(compare);
}

#[test]
fn fresh_embeddings_drift_the_same_as_in_the_package() {
    let Some(cases) = crate::peer::ask("cmvk") else { return };
    cases.iter().for_each(compare);
}

fn compare((input, expected): &(Value, Value)) {
    let answer: Value = serde_json::from_str(&drift_line(&input.to_string()).unwrap()).unwrap();
    near(&answer, expected, input);
}

/// Numbers within 10⁻⁹ of each other, everything else equal. What the package does not answer is not compared.
fn near(ours: &Value, theirs: &Value, input: &Value) {
    match (ours, theirs) {
        (Value::Object(_), Value::Object(fields)) => {
            fields.iter().for_each(|(name, value)| near(&ours[name], value, input));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).for_each(|(a, b)| near(a, b, input));
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= 1e-9, "{a} and not {b}: {input}");
        }
        _ => assert_eq!(ours, theirs, "{input}"),
    }
}
