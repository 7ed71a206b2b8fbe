//! Whom a run asks outside of itself: who scores trust, measures drift, hands out manifests and hears of failures.

use super::fault::{Fault, Located};
use super::file::{RawAdapters, RawFacts, RawVerification};
use super::tree::At;
use super::{Agent, Reference, Secret, Source, Trust, value};
use data_encoding::BASE64;
use hv_core::identity::PublicKey;
use hv_integrations::iatp::Attesters;
use hv_types::Did;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the file turns on. What it does not name is off, and the session says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adapters {
    /// The Python whose packages stand behind the bridges; there is one where a bridge is on.
    pub(crate) python: Option<Python>,
    /// Whether Nexus scores trust.
    pub(crate) trust: Switch,
    /// Whether CMVK measures drift.
    pub(crate) drift: Switch,
    /// Whether SCAK hears of failures.
    pub(crate) correction: Switch,
    /// The IATP sidecar.
    pub(crate) manifests: Option<String>,
    /// Whose attestations count: the name of the key, and the key.
    pub(crate) attesters: Vec<(String, [u8; 32])>,
    /// The CaaS server.
    pub(crate) context: Option<String>,
    /// The longest wait for one answer.
    pub(crate) deadline: Duration,
}

/// Whether something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Switch {
    /// It is.
    On,
    /// It is not.
    #[default]
    Off,
}

/// Which Python runs the bridges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Python {
    /// This one.
    Path(PathBuf),
    /// The one that this variable names.
    Variable(String),
}

impl Python {
    /// The program; `None` where the variable is not set.
    pub(crate) fn program(&self) -> Option<PathBuf> {
        match self {
            Self::Path(path) => Some(path.clone()),
            Self::Variable(name) => std::env::var_os(name).map(PathBuf::from),
        }
    }
}

/// What is known of an agent to the scorer from the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// In the words of the package.
    pub(crate) level: &'static str,
    pub(crate) successful_tasks: u32,
    pub(crate) failed_tasks: u32,
}

/// A wish that needs an adapter which is off, or two that exclude each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadAdapter {
    /// A bridge without a Python.
    NoPython {
        /// The key that turns it on.
        key: &'static str,
    },
    /// An agent whose manifest would come from a sidecar.
    NoManifests {
        /// The agent.
        agent: String,
    },
    /// An agent that joins by a fetched manifest and by something else.
    FetchedToo {
        /// The agent.
        agent: String,
    },
    /// Facts that no scorer hears.
    NoTrust {
        /// The agent.
        agent: String,
    },
    /// A step whose samples nobody measures.
    NoDrift {
        /// The step.
        step: String,
    },
    /// Attestations of manifests that nobody hands out.
    NothingAttested,
    /// A text that is no key.
    Key {
        /// The name that it is given.
        name: String,
    },
    /// A code that is expected of an agent whose attestation nobody looks at.
    NoAttesters {
        /// The agent.
        agent: String,
    },
    /// A step that exchanges files with nobody.
    NoContext,
    /// An exchange of no file, or of several.
    NotOneFile,
    /// A path that no file of a session has.
    ContextPath {
        /// The path.
        path: String,
    },
    /// An exchange that does not belong where it stands.
    Misplaced {
        /// What it does.
        does: &'static str,
        /// Under which key it may stand.
        under: &'static str,
    },
    /// A step that tells both findings and samples.
    ToldTwice {
        /// The step.
        step: String,
    },
}

impl fmt::Display for BadAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPython { key } => write!(
                f,
                "`{key}` runs in Python; say which one has its package, such as python = \"env:HV_KERNELS_PYTHON\""
            ),
            Self::NoManifests { agent } => write!(
                f,
                "agent `{agent}` has its manifest fetched, and nobody hands any out; set `manifests` in [adapters]"
            ),
            Self::FetchedToo { agent } => write!(
                f,
                "agent `{agent}` has `fetch_manifest` beside `sigma` or `manifest`; keep one of them"
            ),
            Self::NoTrust { agent } => write!(
                f,
                "agent `{agent}` has facts, and nobody scores trust; set `trust` in [adapters], or leave them out"
            ),
            Self::NoDrift { step } => {
                write!(f, "step `{step}` tells samples, and nobody measures drift; set `drift` in [adapters]")
            }
            Self::NothingAttested => f.write_str(
                "`attesters` speak for manifests from a sidecar, and there is none; set `manifests` in [adapters]",
            ),
            Self::Key { name } => write!(
                f,
                "the key `{name}` is no Ed25519 public key; write it as a did:key or as its 32 bytes in base64"
            ),
            Self::NoAttesters { agent } => write!(
                f,
                "agent `{agent}` has a `codebase` to be attested and no attested manifest; set `fetch_manifest`, and \
                 `attesters` in [adapters]"
            ),
            Self::NoContext => f.write_str(
                "this exchanges a file with a store of context, and there is none; set `context` in [adapters]",
            ),
            Self::NotOneFile => {
                f.write_str("`context` takes one of `write`, `read`, `remove` and `look`; give it one, with a path")
            }
            Self::ContextPath { path } => {
                write!(f, "`{path}` is no path of a file in a session; write one such as notes/plan.txt")
            }
            Self::Misplaced { does, under } => {
                write!(f, "a `{does}` of context belongs under `{under}`; move it there")
            }
            Self::ToldTwice { step } => {
                write!(f, "step `{step}` has both `findings` and `drift`; keep one of them")
            }
        }
    }
}

fn bad<T>(line: u32, bad: BadAdapter) -> Result<T, Located> {
    Err(Located { line, fault: Fault::Adapter(bad) })
}

pub(super) fn adapters(
    raw: Option<&RawAdapters>,
    agents: &[Agent],
    source: &Source,
) -> Result<(Adapters, Vec<Reference>), Located> {
    let none = RawAdapters::default();
    let RawAdapters { python, trust, drift, correction, manifests, attesters, context, deadline } =
        raw.unwrap_or(&none);
    let bridges = [
        ("trust", trust.as_ref().map(|at| at.line)),
        ("drift", drift.as_ref().map(|at| at.line)),
        ("correction", correction.as_ref().map(|at| at.line)),
    ];
    if let (None, Some((key, line))) =
        (python, bridges.iter().find_map(|(key, line)| line.map(|line| (*key, line))))
    {
        return bad(line, BadAdapter::NoPython { key });
    }
    let mut references = Vec::new();
    let python = python.as_ref().map(|At { line, value }| match value.strip_prefix("env:") {
        Some(name) => {
            references.push(Reference { line: *line, secret: Secret::Variable(name.to_owned()) });
            Python::Variable(name.to_owned())
        }
        None if value.contains('/') => Python::Path(Path::new(source.folder()).join(value)),
        None => Python::Path(value.into()),
    });
    for agent in agents {
        if agent.trust == Trust::Fetched && manifests.is_none() {
            return bad(agent.line, BadAdapter::NoManifests { agent: agent.did.to_string() });
        }
        if agent.codebase.is_some() && (agent.trust != Trust::Fetched || attesters.is_none()) {
            return bad(agent.line, BadAdapter::NoAttesters { agent: agent.did.to_string() });
        }
        if agent.facts.is_some() && trust.is_none() {
            return bad(agent.line, BadAdapter::NoTrust { agent: agent.did.to_string() });
        }
    }
    let switch = |on: bool| if on { Switch::On } else { Switch::Off };
    let (least, usual, most) = (Duration::from_millis(10), Duration::from_secs(30), Duration::from_secs(600));
    let adapters = Adapters {
        python,
        trust: switch(trust.is_some()),
        drift: switch(drift.is_some()),
        correction: switch(correction.is_some()),
        manifests: manifests.clone().map(super::check::base).transpose()?,
        attesters: keys(attesters.as_ref(), manifests.is_some())?,
        context: context.clone().map(super::check::base).transpose()?,
        deadline: value::duration(deadline.as_ref(), "deadline", usual, least, most)?,
    };
    Ok((adapters, references))
}

/// The keys of attesters.
fn keys(
    raw: Option<&At<BTreeMap<String, At<String>>>>,
    handed_out: bool,
) -> Result<Vec<(String, [u8; 32])>, Located> {
    let Some(At { line, value }) = raw else { return Ok(Vec::new()) };
    if !handed_out {
        return bad(*line, BadAdapter::NothingAttested);
    }
    let read = |(name, At { line, value }): (&String, &At<String>)| match key(value) {
        Some(key) => Ok((name.clone(), key)),
        None => bad(*line, BadAdapter::Key { name: name.clone() }),
    };
    value.iter().map(read).collect()
}

/// An Ed25519 public key as a did:key, or as its bytes in base64.
pub(crate) fn key(text: &str) -> Option<[u8; 32]> {
    let bytes = if text.starts_with("did:key:") {
        *PublicKey::of(&Did::new(text).ok()?).ok()?.as_bytes()
    } else {
        BASE64.decode(text.as_bytes()).ok()?.try_into().ok()?
    };
    Attesters::default().with_key("", &bytes).is_ok().then_some(bytes)
}

pub(super) fn facts(raw: &RawFacts) -> Facts {
    let RawFacts { level, successful_tasks, failed_tasks } = raw;
    let level = match level {
        RawVerification::Unknown => "unknown",
        RawVerification::Registered => "registered",
        RawVerification::Verified => "verified",
        RawVerification::VerifiedPartner => "verified_partner",
    };
    Facts { level, successful_tasks: *successful_tasks, failed_tasks: *failed_tasks }
}
