//! Python packages that are libraries, each in a process of its own: JSON lines over its standard input and output.
//!
//! A bridge starts its process when it is asked first, and stops it when it gives no answer in time or one that is
//! none; after a wait that grows with each failure it is started again. The process ends with the one that started
//! it. What the packages keep, they keep in memory: a new Nexus is told what the old one was told, up to
//! [`RETOLD_MAX`] reports; a new SCAK knows of no failure.

mod nexus;
mod process;
mod scak;
mod verify;

pub use nexus::{NexusBridge, NexusRecord, RETOLD_MAX};
pub use process::{ANSWER_MAX_BYTES, Bridge};
pub use scak::ScakBridge;
pub use verify::CmvkBridge;

use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A package that runs behind a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// `nexus-trust-exchange` 0.1.0.
    Nexus,
    /// `cmvk` 0.3.0.
    Cmvk,
    /// `scak` 2.1.0.
    Scak,
}

impl Kernel {
    /// Its name on the bridge: `nexus`, `cmvk`, `scak`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nexus => "nexus",
            Self::Cmvk => "cmvk",
            Self::Scak => "scak",
        }
    }

    /// The version of the package that the bridge knows. Another is not spoken to.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Nexus => "0.1.0",
            Self::Cmvk => "0.3.0",
            Self::Scak => "2.1.0",
        }
    }

    /// The package as an operator would install it.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Self::Nexus => "nexus-trust-exchange==0.1.0",
            Self::Cmvk => "cmvk==0.3.0",
            Self::Scak => "scak==2.1.0",
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A field of an object; null where there is none.
fn at<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// Sets a field of an object.
fn put(value: &mut Value, name: &str, to: impl Into<Value>) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(name.to_owned(), to.into());
    }
}

/// The Python of a virtual environment.
#[must_use]
pub fn python_of(venv: &Path) -> PathBuf {
    process::python_of(venv)
}

/// Why a bridge has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BridgeFault {
    /// The process cannot be started.
    NotStarted {
        /// What was to be behind it.
        kernel: Kernel,
        /// Why not.
        why: String,
    },
    /// The package is not there, or not in the version that the bridge knows.
    NotInstalled {
        /// What was to be behind it.
        kernel: Kernel,
        /// What is there instead.
        why: String,
    },
    /// It failed a moment ago and is not started again yet.
    Waiting {
        /// What is behind it.
        kernel: Kernel,
        /// For how long.
        left: Duration,
    },
    /// No answer came in time.
    Late {
        /// What is behind it.
        kernel: Kernel,
        /// How long was waited.
        deadline: Duration,
    },
    /// The process ended, or reads nothing any more.
    Gone {
        /// What was behind it.
        kernel: Kernel,
    },
    /// What it wrote is no answer.
    Garbled {
        /// What is behind it.
        kernel: Kernel,
        /// In what way.
        what: &'static str,
    },
    /// The package itself refused the question.
    Refused {
        /// What is behind it.
        kernel: Kernel,
        /// What it said.
        why: String,
    },
}

impl fmt::Display for BridgeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { kernel, why } => write!(f, "the bridge to {kernel} does not start: {why}"),
            Self::NotInstalled { kernel, why } => {
                write!(f, "the bridge to {kernel} has no {}: {why}; install it", kernel.package())
            }
            Self::Waiting { kernel, left } => {
                write!(f, "the bridge to {kernel} failed and starts again in {} ms", left.as_millis())
            }
            Self::Late { kernel, deadline } => {
                write!(f, "the bridge to {kernel} gave no answer within {} ms", deadline.as_millis())
            }
            Self::Gone { kernel } => write!(f, "the process behind the bridge to {kernel} is gone"),
            Self::Garbled { kernel, what } => write!(f, "the bridge to {kernel} is not believed: {what}"),
            Self::Refused { kernel, why } => write!(f, "{kernel} refused: {why}"),
        }
    }
}

impl std::error::Error for BridgeFault {}
