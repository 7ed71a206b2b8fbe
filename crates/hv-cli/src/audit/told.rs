//! An event as it is told: a name and fields for programs, a sentence for people.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};
use std::time::Duration;

/// One event. As JSON it is an object with `event` first and the fields after it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    event: &'static str,
    fields: Vec<(&'static str, Value)>,
    words: String,
}

impl Told {
    /// An event by its name, and what happened as a clause.
    pub(super) fn new(event: &'static str, words: impl Into<String>) -> Self {
        Self { event, fields: Vec::new(), words: words.into() }
    }

    /// The same with a field more.
    pub(super) fn with(mut self, name: &'static str, value: impl Serialize) -> Self {
        self.fields.push((name, json(value)));
        self
    }

    /// The event's name.
    pub(super) const fn event(&self) -> &'static str {
        self.event
    }

    /// A field, where the event has it.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(of, _)| *of == name).map(|(_, value)| value)
    }

    /// Whether any field holds this text, at any depth.
    pub(super) fn names(&self, text: &str) -> bool {
        self.fields.iter().any(|(_, value)| holds(value, text))
    }

    /// What happened, for people. It may hold any character that the trail holds.
    pub(super) fn words(&self) -> &str {
        &self.words
    }

    /// The same with more words.
    pub(super) fn and(mut self, words: &str) -> Self {
        self.words.push_str(words);
        self
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len() + 1))?;
        map.serialize_entry("event", self.event)?;
        self.fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        Value::Array(items) => items.iter().any(|item| holds(item, text)),
        Value::Object(fields) => fields.values().any(|value| holds(value, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A value as JSON.
pub(super) fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// An object.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(Map::from_iter(fields.map(|(name, value)| (name.to_owned(), value))))
}

/// A list.
pub(super) fn list<T>(items: impl IntoIterator<Item = T>, each: impl FnMut(T) -> Value) -> Value {
    Value::Array(items.into_iter().map(each).collect())
}

/// A time span in seconds.
pub(super) fn seconds(duration: Duration) -> Value {
    json(duration.as_secs_f64())
}
