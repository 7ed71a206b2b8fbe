//! The recorded answers of the packages, through the program, line by line.

use crate::support::{hv, workspace};
use serde_json::Value;
use std::io::Write;
use std::process::{Output, Stdio};

fn answers(arguments: &[&str], input: &str) -> (Output, Vec<Value>) {
    let mut command = hv();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = command.spawn().unwrap();
    let mut stdin = program.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = program.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let answers = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output, answers)
}

/// What was recorded stands in the answer: numbers to within 1e-9, everything else as it is.
fn within(recorded: &Value, answer: &Value) -> bool {
    match (recorded, answer) {
        (Value::Object(fields), Value::Object(_)) => {
            fields.iter().all(|(name, field)| within(field, &answer[name]))
        }
        (Value::Number(a), Value::Number(b)) => (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= 1e-9,
        _ => recorded == answer,
    }
}

#[test]
fn every_recorded_case_is_answered_as_the_package_did() {
    for (arguments, file) in
        [(&["trust", "score", "-"][..], "nexus"), (&["drift", "-"], "cmvk"), (&["manifest", "-"], "iatp")]
    {
        let path = workspace().join("crates/hv-integrations/tests/data").join(file).with_extension("jsonl");
        let cases: Vec<Value> = std::fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let input: String = cases.iter().map(|case| format!("{}\n", case["in"])).collect();
        let (output, answers) = answers(arguments, &input);
        assert_eq!(output.status.code(), Some(0), "{file}");
        assert_eq!((answers.len(), cases.len()), (300, 300), "{file}");
        for (case, answer) in cases.iter().zip(&answers) {
            assert!(within(&case["out"], answer), "{file}: {case}\n{answer}");
        }
    }
}

#[test]
fn a_bad_line_is_named_and_spoils_no_other() {
    for (arguments, good) in [
        (&["trust", "score", "-"][..], r#"{"verification_level": "verified", "history": {}}"#),
        (&["drift", "-"], r#"{"claimed": [1, 2], "observed": [2, 1]}"#),
        (
            &["manifest", "-"],
            r#"{"agent_id": "a", "capabilities": {}, "privacy_contract": {"retention": "temporary"}}"#,
        ),
    ] {
        let (output, answers) = answers(arguments, &format!("{good}\nnot json\n\n{good}"));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(answers.len(), 4, "{arguments:?}");
        assert_eq!(
            (&answers[0], &answers[1]["line"], &answers[2]["line"]),
            (&answers[3], &2.into(), &3.into())
        );
        assert!(answers[1]["error"].as_str().is_some_and(|error| !error.is_empty()));
        assert_eq!(answers[0].get("error"), None);
    }
    let missing = hv().args(["drift", "no-such-file.jsonl"]).output().unwrap();
    assert_eq!((missing.status.code(), missing.stdout.len()), (Some(2), 0));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no-such-file.jsonl"));
}
