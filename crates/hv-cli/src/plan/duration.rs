//! Durations as people write them: `"30s"`, `"250ms"`, or a number of seconds.

use super::fault::BadDuration;
use hv_core::config::BadTime;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A duration as it stands in a file, not yet read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RawDuration {
    Seconds(f64),
    Text(String),
}

impl RawDuration {
    /// Reads it.
    ///
    /// # Errors
    /// [`BadDuration`].
    pub(super) fn read(&self) -> Result<Duration, BadDuration> {
        match self {
            Self::Seconds(seconds) => {
                Duration::try_from_secs_f64(*seconds).map_err(|_| BadDuration::Number(*seconds))
            }
            Self::Text(text) => read_text(text),
        }
    }
}

/// Reads `<digits>[.<digits>]<unit>` exactly, to the nanosecond.
pub(crate) fn read_text(text: &str) -> Result<Duration, BadDuration> {
    hv_core::config::read_time(text).map_err(|bad| match bad {
        BadTime::Unreadable => BadDuration::Unreadable(text.into()),
        BadTime::NoUnit => BadDuration::NoUnit(text.trim_end().into()),
        BadTime::TooLong => BadDuration::TooLong(text.into()),
    })
}

impl<'de> Deserialize<'de> for RawDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DurationVisitor;

        #[allow(clippy::cast_precision_loss)]
        impl Visitor<'_> for DurationVisitor {
            type Value = RawDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as \"30s\" or a number of seconds")
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<RawDuration, E> {
                Ok(RawDuration::Seconds(seconds as f64))
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<RawDuration, E> {
                Ok(RawDuration::Seconds(seconds as f64))
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<RawDuration, E> {
                Ok(RawDuration::Seconds(seconds))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawDuration, E> {
                Ok(RawDuration::Text(text.into()))
            }
        }

        deserializer.deserialize_any(DurationVisitor)
    }
}

impl JsonSchema for RawDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of seconds, or a text with its unit: 250ms, 30s, 5m, 1h, 7d.",
            "anyOf": [
                { "type": "number", "minimum": 0 },
                { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? *(ms|s|m|h|d)$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_never_guessed() {
        for (text, nanos) in [
            ("0s", 0),
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("0.1ms", 100_000),
            ("30s", 30_000_000_000),
            ("5 m", 300_000_000_000),
            ("24h", 86_400_000_000_000),
            ("7d", 604_800_000_000_000),
        ] {
            assert_eq!(RawDuration::Text(text.into()).read(), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for bad in ["", "s", "-5s", "1,5s", "1.s", ".5s", "1.2.3s", "5x", "5 min", "1e3s", "NaN", "٣s"] {
            let why = RawDuration::Text(bad.into()).read().unwrap_err();
            assert_eq!(why, BadDuration::Unreadable(bad.into()));
        }
        assert_eq!(RawDuration::Text("24".into()).read(), Err(BadDuration::NoUnit("24".into())));
        for long in ["99999999999999999999s", "300000d", "18446744073709551615h"] {
            assert_eq!(RawDuration::Text(long.into()).read(), Err(BadDuration::TooLong(long.into())));
        }
    }

    #[test]
    fn numbers_are_seconds() {
        assert_eq!(RawDuration::Seconds(0.25).read(), Ok(Duration::from_millis(250)));
        for bad in [-1.0, f64::INFINITY, 1e300] {
            assert_eq!(RawDuration::Seconds(bad).read(), Err(BadDuration::Number(bad)));
        }
        assert!(RawDuration::Seconds(f64::NAN).read().is_err());
    }
}
