//! What hv tells on stderr while it works, for whoever asks: `--log LEVEL` or `HV_LOG`.
//!
//! Told is what the supervisor tells of itself and nothing of any other crate, so nothing gets there that is not on the
//! trail too.

use crate::output::one_line;
use std::fmt;
use std::str::FromStr;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The variable of the environment that says what is told; the option stands over it.
pub const LOG_VARIABLE: &str = "HV_LOG";

/// How much is told, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logging {
    level: LevelFilter,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Json,
}

/// A text that says no such thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLogging(String);

impl FromStr for Logging {
    type Err = BadLogging;

    fn from_str(text: &str) -> Result<Self, BadLogging> {
        let bad = || BadLogging(text.chars().take(64).collect());
        let (level, form) = match text.split_once(':') {
            None => (text, Form::Plain),
            Some((level, "json")) => (level, Form::Json),
            Some(_) => return Err(bad()),
        };
        let levels = [
            ("off", LevelFilter::OFF),
            ("error", LevelFilter::ERROR),
            ("warn", LevelFilter::WARN),
            ("info", LevelFilter::INFO),
            ("debug", LevelFilter::DEBUG),
        ];
        let found = levels.into_iter().find(|(name, _)| *name == level).ok_or_else(bad)?;
        Ok(Self { level: found.1, form })
    }
}

impl fmt::Display for BadLogging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no level; write off, error, warn, info or debug, with :json behind it for JSON lines",
            one_line(&self.0)
        )
    }
}

impl std::error::Error for BadLogging {}

/// Tells from here on what was asked for: by the option, or else by the environment, or else nothing.
///
/// # Errors
/// [`BadLogging`] where the variable says no such thing.
pub fn begin(asked: Option<Logging>) -> Result<(), BadLogging> {
    let logging = match (asked, std::env::var_os(LOG_VARIABLE)) {
        (Some(logging), _) => logging,
        (None, Some(said)) => {
            let said = said.to_string_lossy();
            said.parse().map_err(|BadLogging(text)| BadLogging(format!("{LOG_VARIABLE}={text}")))?
        }
        (None, None) => return Ok(()),
    };
    let only_ours = Targets::new().with_target("hv", logging.level);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        // Where stderr is gone, nobody is there to be told so.
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry();
    // It is set once, by the program; one that an embedding program has set before stays.
    let _ = match logging.form {
        Form::Plain => registry.with(only_ours).with(layer).try_init(),
        Form::Json => registry.with(only_ours).with(layer.json().flatten_event(true)).try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_of_five_in_one_of_two_forms() {
        for (text, level, form) in [
            ("off", LevelFilter::OFF, Form::Plain),
            ("warn:json", LevelFilter::WARN, Form::Json),
            ("debug", LevelFilter::DEBUG, Form::Plain),
        ] {
            assert_eq!(text.parse(), Ok(Logging { level, form }));
        }
        for bad in ["", "DEBUG", "verbose", "debug:", "debug:xml", ":json", "hv=debug", "trace"] {
            assert!(bad.parse::<Logging>().is_err(), "{bad}");
        }
    }
}
