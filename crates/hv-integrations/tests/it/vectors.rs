//! Recorded cases, one a line: what went in and what the package answered.

use serde_json::Value;

/// Every case of a file under `tests/data`.
pub(crate) fn cases(file: &str) -> Vec<(Value, Value)> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    parse(&std::fs::read_to_string(path).unwrap())
}

/// The cases in a text of JSON lines.
pub(crate) fn parse(text: &str) -> Vec<(Value, Value)> {
    text.lines()
        .map(|line| {
            let mut case: Value = serde_json::from_str(line).unwrap();
            (case["in"].take(), case["out"].take())
        })
        .collect()
}
