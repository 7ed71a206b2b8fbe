//! Reading the file, with the line of everything that it says.

use crate::plan::cause;
use hv_core::config::{BadSetting, Config, Fault, SETTINGS, Source, Takes};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// The largest file that is read, in bytes.
const MOST: u64 = 1 << 20;

/// Why what was said of a node's limits is not used.
#[derive(Debug)]
pub enum BadConfig {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// The file is no TOML.
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1 on.
        line: u32,
        /// What is wrong there.
        message: String,
    },
    /// A setting cannot be what was said.
    Setting(BadSetting),
    /// The trail on which it is to hold cannot be read.
    Trail {
        /// The folder.
        data: PathBuf,
        /// Why.
        why: String,
    },
}

/// Takes what a file says.
pub(super) fn read(path: &Path, config: &mut Config) -> Result<(), BadConfig> {
    let unreadable = |kind| BadConfig::Unreadable { path: path.to_owned(), kind };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| unreadable(error.kind()))?;
    let read = file.take(MOST + 1).read_to_string(&mut text).map_err(|error| unreadable(error.kind()))?;
    if read as u64 > MOST {
        return Err(unreadable(io::ErrorKind::FileTooLarge));
    }
    let document = DeTable::parse(&text).map_err(|error| BadConfig::Syntax {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| line(&text, span.start)),
        message: error.message().lines().collect::<Vec<_>>().join(", "),
    })?;
    config.read_a_file();
    Reader { path, text: &text, config }.table("", document.into_inner())
}

/// The line of a place in a text, from 1 on.
fn line(text: &str, at: usize) -> u32 {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    u32::try_from(before.iter().filter(|byte| **byte == b'\n').count() + 1).unwrap_or(u32::MAX)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    config: &'a mut Config,
}

impl Reader<'_> {
    fn table(&mut self, prefix: &str, table: DeTable<'_>) -> Result<(), BadConfig> {
        let mut entries: Vec<_> = table.into_iter().collect();
        // The parser sorts by name; a message speaks of the first fault in the file.
        entries.sort_by_key(|(key, _)| key.span().start);
        for (name, value) in entries {
            let by = Source::File {
                path: self.path.display().to_string(),
                line: line(self.text, name.span().start),
            };
            let key = format!("{prefix}{}", name.into_inner());
            let inside = format!("{key}.");
            match value.into_inner() {
                DeValue::Table(table) if SETTINGS.iter().any(|setting| setting.key.starts_with(&inside)) => {
                    self.table(&inside, table)?;
                }
                value => self.value(&key, &value, by)?,
            }
        }
        Ok(())
    }

    fn value(&mut self, key: &str, value: &DeValue<'_>, by: Source) -> Result<(), BadConfig> {
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        let text = match (value, setting.map(|setting| setting.takes)) {
            (DeValue::Integer(number), Some(Takes::Count { .. } | Takes::Share) | None) => {
                i64::from_str_radix(number.as_str(), number.radix())
                    .map_or_else(|_| number.to_string(), |number| number.to_string())
            }
            (DeValue::Float(number), Some(Takes::Share)) => number.as_str().to_owned(),
            (DeValue::String(text), Some(Takes::Time { .. } | Takes::Word(_))) => text.to_string(),
            // Of another kind than the setting takes: shown, never read.
            (_, Some(_)) => {
                let value = shown(value);
                let fault = setting.map(|setting| Fault::Misfit { value, setting });
                let fault = fault.unwrap_or(Fault::Unknown { nearest: None });
                return Err(BadConfig::Setting(BadSetting { by, key: key.to_owned(), fault }));
            }
            (value, None) => shown(value),
        };
        Ok(self.config.say(key, &text, by)?)
    }
}

/// A value as a person would write it, not all of it where it is long.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.chars().take(64).collect(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, kind } => write!(
                f,
                "{}: the configuration cannot be read: {}; name another file with --config or HV_CONFIG, or unset it",
                path.display(),
                cause(*kind)
            ),
            Self::Syntax { path, line, message } => write!(f, "{}:{line}: {message}", path.display()),
            Self::Setting(bad) => fmt::Display::fmt(bad, f),
            Self::Trail { data, why } => write!(f, "{}: {why}", data.display()),
        }
    }
}

impl std::error::Error for BadConfig {}

impl From<BadSetting> for BadConfig {
    fn from(bad: BadSetting) -> Self {
        Self::Setting(bad)
    }
}
