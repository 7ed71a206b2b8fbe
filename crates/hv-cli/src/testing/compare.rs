//! What is expected, held against what came.

use crate::output::counted;
use crate::plan::nearest;
use serde_json::Value;

/// What asks for a part of a text.
const CONTAINS: &str = "$contains";

/// Every place at which what came is not what was expected, as `place: expected …, is …`.
pub(super) fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare(expected, found, "", &mut differences);
    differences
}

fn compare(expected: &Value, found: &Value, place: &str, out: &mut Vec<String>) {
    let at = if place.is_empty() { "the report" } else { place };
    match (expected, found) {
        (Value::Object(fields), _) if fields.len() == 1 && fields.contains_key(CONTAINS) => {
            let asked = fields.get(CONTAINS).unwrap_or(&Value::Null);
            match asked.as_str().filter(|part| !part.is_empty()) {
                None => {
                    out.push(format!("{at}: `{CONTAINS}` asks for a text that is not empty, not for {asked}"))
                }
                Some(part) if !found.as_str().is_some_and(|text| text.contains(part)) => {
                    out.push(format!("{at}: expected a text with {part:?}, is {found}"));
                }
                Some(_) => {}
            }
        }
        (Value::Object(fields), Value::Object(there)) => {
            for (name, expected) in fields {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                match there.get(name) {
                    Some(found) => compare(expected, found, &place, out),
                    None => {
                        let near = nearest(name, there.keys().map(String::as_str));
                        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                        out.push(format!("{place}: expected {expected}, but there is no such field{near}"));
                    }
                }
            }
        }
        (Value::Object(fields), _) if fields.keys().any(|name| name.starts_with('$')) => {
            out.push(format!(
                "{at}: only `{CONTAINS}`, alone, asks for a part of a text; expected {expected}, is {found}"
            ));
        }
        (Value::Array(list), Value::Array(there)) if list.len() == there.len() => {
            for (n, (expected, found)) in list.iter().zip(there).enumerate() {
                compare(expected, found, &format!("{place}[{n}]"), out);
            }
        }
        (Value::Array(list), Value::Array(there)) => {
            out.push(format!(
                "{at}: expected {}, has {}: {found}",
                counted(list.len(), "entry"),
                there.len()
            ));
        }
        _ if expected == found => {}
        _ => out.push(format!("{at}: expected {expected}, is {found}")),
    }
}

/// The part of a report that is the same whenever a scenario runs again.
pub(super) fn lasting(report: &Value) -> Value {
    let whole = |name: &str| report.get(name).cloned();
    let parts = |name: &str, fields: &[&str]| -> Option<Value> {
        let entries = report.get(name)?.as_array()?.iter().map(|entry| {
            fields.iter().filter_map(|field| Some(((*field).to_owned(), entry.get(field)?.clone()))).collect()
        });
        Some(Value::Array(entries.map(Value::Object).collect()))
    };
    let step = ["id", "agent", "action", "ring", "state"];
    let kept = [
        ("outcome", whole("outcome")),
        ("exit_code", whole("exit_code")),
        ("stdout", whole("stdout")),
        ("agents", whole("agents")),
        ("vouches", whole("vouches")),
        ("setup", parts("setup", &step)),
        ("steps", parts("steps", &step)),
        ("commit_order", whole("commit_order")),
        ("undo_order", whole("undo_order")),
        ("denials", parts("denials", &["agent", "action", "request", "reason", "needs"])),
        ("slashes", whole("slashes")),
        ("observations", parts("observations", &["name", "equal"])),
    ];
    let verdict = report.pointer("/verify/verdict").map(|verdict| serde_json::json!({ "verdict": verdict }));
    let kept = kept.into_iter().chain([("verify", verdict)]);
    // What is empty is said by its absence, so that a person reads what there is.
    let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty) && !value.is_null();
    let fields =
        kept.filter_map(|(name, value)| Some((name.to_owned(), value.filter(|value| !empty(value))?)));
    Value::Object(fields.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_named_may_be_anything_and_what_is_must_be_so() {
        let found = json!({ "a": 1, "b": [{ "c": "two words", "d": null }], "e": 0.85 });
        for same in [
            json!({}),
            json!({ "a": 1 }),
            json!({ "b": [{ "c": "two words" }] }),
            json!({ "b": [{ "c": { "$contains": "two" }, "d": null }], "e": 0.85 }),
        ] {
            assert_eq!(differences(&same, &found), Vec::<String>::new(), "{same}");
        }
        for (other, place) in [
            (json!({ "a": 2 }), "a: "),
            (json!({ "a": "1" }), "a: "),
            (json!({ "b": [] }), "b: expected 0 entries"),
            (json!({ "b": [{ "c": "two" }] }), "b[0].c: "),
            (json!({ "b": [{ "c": { "$contains": "three" } }] }), "b[0].c: "),
            (
                json!({ "b": [{ "c": { "$contains": "" } }] }),
                "b[0].c: `$contains` asks for a text that is not empty",
            ),
            (
                json!({ "b": [{ "c": { "$contains": 5 } }] }),
                "b[0].c: `$contains` asks for a text that is not empty, not for 5",
            ),
            (json!({ "b": [{ "c": { "$contain": "two" } }] }), "b[0].c: only `$contains`"),
            (json!({ "absent": 1 }), "absent: expected 1, but there is no such field"),
            // What is misspelt is not as expected because it is not there.
            (
                json!({ "b": [{ "dd": null }] }),
                "b[0].dd: expected null, but there is no such field; did you mean `d`?",
            ),
            (json!([]), "the report: "),
        ] {
            let told = differences(&other, &found);
            assert!(told.len() == 1 && told[0].starts_with(place), "{other}: {told:?}");
        }
    }

    #[test]
    fn what_lasts_is_what_a_second_run_says_too() {
        let report = json!({ "outcome": "completed", "exit_code": 0, "root": "x", "started": 7, "denials": [],
            "steps": [{ "id": "s", "state": "committed", "attempts": [1, 2] }],
            "verify": { "verdict": "complete", "records": 9 } });
        let kept = lasting(&report);
        assert_eq!(
            kept,
            json!({ "outcome": "completed", "exit_code": 0,
            "steps": [{ "id": "s", "state": "committed" }], "verify": { "verdict": "complete" } })
        );
        assert!(differences(&kept, &report).is_empty());
    }
}
