//! What a server sends, as JSON in which no object says a name twice.
//!
//! RFC 8259 leaves open what such an object means: one reader takes the first, another the last. A definition that says
//! of a tool both that it changes nothing and that it does would be whatever its reader likes, so there is none.

use core::fmt;
use serde_core::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeSet;

/// Why a text says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unclear {
    /// It is no JSON.
    NotJson {
        /// In which line.
        line: usize,
        /// And column.
        column: usize,
    },
    /// An object in it says this name twice.
    Twice {
        /// The name.
        name: String,
    },
}

/// Reads a text.
pub(super) fn value(text: &[u8]) -> Result<Value, Unclear> {
    let bad = |error: serde_json::Error| Unclear::NotJson { line: error.line(), column: error.column() };
    let value = serde_json::from_slice(text).map_err(bad)?;
    let mut twice = Twice(None);
    twice.deserialize(&mut serde_json::Deserializer::from_slice(text)).map_err(bad)?;
    match twice.0 {
        None => Ok(value),
        Some(name) => Err(Unclear::Twice { name }),
    }
}

/// The first name that an object says twice.
struct Twice(Option<String>);

impl<'de> DeserializeSeed<'de> for &mut Twice {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Twice {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.contains(&name) {
                self.0.get_or_insert(name);
            } else {
                seen.insert(name);
            }
            map.next_value_seed(&mut *self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_once_is_read_and_what_is_said_twice_is_not() {
        for text in ["null", "[{}, {\"a\": [1, -1, 1.5, true, \"x\"]}, {\"a\": {\"a\": null}}]"] {
            assert_eq!(value(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
        for (text, name) in [
            (r#"{"a": 1, "a": 1}"#, "a"),
            (r#"{"a": 1, "\u0061": 2}"#, "a"),
            (r#"[{"b": {"readOnlyHint": true, "c": [], "readOnlyHint": false}}]"#, "readOnlyHint"),
        ] {
            assert_eq!(value(text.as_bytes()), Err(Unclear::Twice { name: name.into() }), "{text}");
        }
        for text in ["", "{", "{\"a\": 1, \"a\": 1} x"] {
            assert!(matches!(value(text.as_bytes()), Err(Unclear::NotJson { line: _, column: _ })), "{text}");
        }
    }
}
