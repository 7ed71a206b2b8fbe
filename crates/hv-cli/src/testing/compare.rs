//! What is expected, held against what came.

use crate::output::counted;
use crate::plan::nearest;
use serde_json::{Map, Value};

/// What asks for a part of a text.
const CONTAINS: &str = "$contains";

/// Every place at which what is expected cannot be, whatever comes, as `place: what is wrong`.
pub(super) fn mistakes(expected: &Value) -> Vec<String> {
    let mut mistakes = Vec::new();
    look(expected, "", &mut mistakes);
    mistakes
}

fn look(expected: &Value, place: &str, out: &mut Vec<String>) {
    match expected {
        Value::Object(fields) if fields.keys().any(|name| name.starts_with('$')) => {
            if let Some(wrong) = misused(fields) {
                out.push(format!("{}: {wrong}", at(place)));
            }
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, expected)| look(expected, &below(place, name), out));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, expected)| look(expected, &format!("{place}[{n}]"), out));
        }
        _ => {}
    }
}

/// What is wrong with what stands there in place of a text.
fn misused(fields: &Map<String, Value>) -> Option<String> {
    if let Some(other) = fields.keys().find(|name| name.starts_with('$') && *name != CONTAINS) {
        return Some(format!("there is no `{other}`; `{CONTAINS}` asks for a part of a text"));
    }
    if let Some(other) = fields.keys().find(|name| *name != CONTAINS) {
        return Some(format!("`{CONTAINS}` stands alone; take `{other}` out"));
    }
    match fields.get(CONTAINS) {
        Some(Value::String(part)) if !part.is_empty() => None,
        found => {
            let found = found.unwrap_or(&Value::Null);
            Some(format!("`{CONTAINS}` needs a text that is not empty, such as \"needs σ_eff\", not {found}"))
        }
    }
}

/// How a place is called.
const fn at(place: &str) -> &str {
    if place.is_empty() { "the report" } else { place }
}

/// The place of a field in what stands at a place.
fn below(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// Every place at which what came is not what was expected, as `place: expected …, is …`.
pub(super) fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    compare(expected, found, "", &mut differences);
    differences
}

fn compare(expected: &Value, found: &Value, place: &str, out: &mut Vec<String>) {
    let at = at(place);
    match (expected, found) {
        (Value::Object(fields), _) if fields.len() == 1 && fields.contains_key(CONTAINS) => {
            let part = fields.get(CONTAINS).and_then(Value::as_str).unwrap_or_default();
            if part.is_empty() || !found.as_str().is_some_and(|text| text.contains(part)) {
                out.push(format!("{at}: expected a text with {part:?}, is {found}"));
            }
        }
        (Value::Object(fields), Value::Object(there)) => {
            for (name, expected) in fields {
                let place = below(place, name);
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
        // JSON has one kind of number, and a whole one may be written in two ways.
        (Value::Number(one), Value::Number(other))
            if one.is_f64() != other.is_f64() && one.as_f64() == other.as_f64() => {}
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
        let found = json!({ "a": 1, "b": [{ "c": "two words", "d": null }], "e": 0.85, "f": 1.0 });
        for same in [
            json!({}),
            json!({ "a": 1 }),
            json!({ "b": [{ "c": "two words" }] }),
            json!({ "b": [{ "c": { "$contains": "two" }, "d": null }], "e": 0.85 }),
            json!({ "a": 1.0, "f": 1 }),
        ] {
            assert_eq!(differences(&same, &found), Vec::<String>::new(), "{same}");
        }
        for (other, place) in [
            (json!({ "a": 2 }), "a: "),
            (json!({ "a": 1.5 }), "a: "),
            (json!({ "a": "1" }), "a: "),
            (json!({ "b": [] }), "b: expected 0 entries"),
            (json!({ "b": [{ "c": "two" }] }), "b[0].c: "),
            (json!({ "b": [{ "c": { "$contains": "three" } }] }), "b[0].c: "),
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
    fn what_cannot_be_expected_is_named_with_its_place() {
        for right in [json!({}), json!([]), json!(5), json!({ "a": [{ "$contains": "x" }], "b": null })] {
            assert_eq!(mistakes(&right), Vec::<String>::new(), "{right}");
        }
        let wrong = json!({
            "a": [{ "b": { "$contains": 5 } }, { "$contains": "" }],
            "c": { "$contain": "x" },
            "d": { "$contains": "x", "e": 1 },
            "f": { "$contains": { "$contains": "x" } },
        });
        let told = mistakes(&wrong);
        let starts = [
            "a[0].b: `$contains` needs a text that is not empty, such as \"needs σ_eff\", not 5",
            "a[1]: `$contains` needs a text",
            "c: there is no `$contain`; `$contains` asks for a part of a text",
            "d: `$contains` stands alone; take `e` out",
            "f: `$contains` needs a text",
        ];
        assert_eq!(told.len(), starts.len(), "{told:?}");
        for (told, start) in told.iter().zip(starts) {
            assert!(told.starts_with(start), "{told}");
        }
        assert!(mistakes(&json!({ "$contains": 5 }))[0].starts_with("the report: "));
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
