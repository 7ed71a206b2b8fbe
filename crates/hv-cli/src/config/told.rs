//! What `hv config` prints.

use hv_core::Guards;
use hv_core::config::{Config, SETTINGS, Setting, Source, Takes, Value};
use serde::Serialize;
use serde_json::{Map, json};
use std::fmt;

/// Every setting with what holds and who said it.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    settings: Vec<Told>,
}

#[derive(Debug, Serialize)]
struct Told {
    key: &'static str,
    value: serde_json::Value,
    #[serde(skip)]
    text: String,
    source: String,
    default: serde_json::Value,
}

impl Settings {
    pub(super) fn of(config: &Config, guards: &Guards, before: Option<&Guards>) -> Self {
        let told = |(setting, value, by): (&'static Setting, Value, Source)| Told {
            key: setting.key,
            value: document(value),
            text: value.to_string(),
            source: by.to_string(),
            default: document(setting.default_value()),
        };
        Self { settings: config.told(guards, before).map(told).collect() }
    }
}

/// What is said beside the defaults.
#[derive(Debug)]
pub(super) struct Checked(usize);

impl Checked {
    pub(super) fn of(config: &Config, guards: &Guards) -> Self {
        Self(config.told(guards, None).filter(|(.., by)| *by != Source::Default).count())
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = |of: fn(&Told) -> usize| self.settings.iter().map(of).max().unwrap_or(0);
        let (key, text) = (widest(|told| told.key.len()), widest(|told| told.text.len()));
        for told in &self.settings {
            writeln!(
                f,
                "{:key$}  {:>text$}  {}",
                told.key,
                told.text,
                crate::output::one_line(&told.source)
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let are = if self.0 == 1 { "is" } else { "are" };
        writeln!(f, "nothing is wrong; {} of {} settings {are} said", self.0, SETTINGS.len())
    }
}

fn document(value: Value) -> serde_json::Value {
    match value {
        Value::Count(count) => json!(count),
        Value::Time(_) | Value::Word(_) => json!(value.to_string()),
        Value::Share(ppm) => json!(f64::from(ppm) / 1e6),
    }
}

/// The JSON Schema of the file.
pub(super) fn schema() -> serde_json::Value {
    let mut root = table("The limits of a node. Everything may be left out.");
    for setting in SETTINGS {
        let mut place = &mut root;
        let mut names = setting.key.split('.').peekable();
        while let Some(name) = names.next() {
            let inner = match names.peek() {
                Some(_) => table("Settings that belong together."),
                None => one(setting),
            };
            let Some(properties) = place.get_mut("properties").and_then(serde_json::Value::as_object_mut)
            else {
                break;
            };
            place = properties.entry(name).or_insert(inner);
        }
    }
    if let Some(root) = root.as_object_mut() {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!("Configuration of hv"));
    }
    root
}

fn table(description: &str) -> serde_json::Value {
    json!({ "type": "object", "description": description, "additionalProperties": false, "properties": Map::new() })
}

fn one(setting: &Setting) -> serde_json::Value {
    let mut schema = match setting.takes {
        Takes::Count { from, to, .. } => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Takes::Time { .. } => json!({ "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? *(ms|s|m|h|d)$" }),
        Takes::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Takes::Word(words) => json!({ "enum": words }),
    };
    if let Some(schema) = schema.as_object_mut() {
        let about = format!("{}: {}. {}", setting.about, setting.takes, setting.variable());
        schema.insert("description".to_owned(), json!(about));
        schema.insert("default".to_owned(), document(setting.default_value()));
    }
    schema
}
