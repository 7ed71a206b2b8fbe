//! `hv audit`: what a trail says, and whether it is whole.
//!
//! Every command reads the folder as any stranger would: without the writer's lock, without changing anything, and
//! also while a run writes to it. What is signed or written lies elsewhere.

pub mod args;

pub(crate) mod asking;
mod bundle;
mod check;
pub(crate) mod checkpoint;
mod diff;
mod export;
mod filter;
mod prove;
mod reduce;
mod show;
mod stats;
mod tail;
mod tree;
mod verify;
mod witness;

pub(crate) mod anchor;
pub(crate) mod anchored;
pub(crate) mod history;
pub(crate) mod keeping;
mod writing;

mod files;
mod keys;
pub(crate) mod ledger;
mod names;
mod source;
mod told;
mod words;

use crate::Exit;
use crate::args::{AuditArgs, AuditCommand};
use crate::output::{self, Refused};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Does one thing with a trail, or with what was taken out of it.
///
/// # Errors
/// [`Refused::Output`] where stdout does not take what is printed.
pub fn run(args: &AuditArgs) -> Result<Exit, Refused> {
    let nowhere = PathBuf::new();
    let (data, done) = match &args.command {
        AuditCommand::Show(args) => (&args.trail.data, show::run(args)),
        AuditCommand::Tail(args) => (&args.trail.data, tail::run(args)),
        AuditCommand::Verify(args) => (&args.trail.data, verify::run(args)),
        AuditCommand::Checkpoint(args) => (&args.trail.data, checkpoint::run(args)),
        AuditCommand::History(args) => (&args.data, history::run(args)),
        AuditCommand::Prove(args) => (&args.trail.data, prove::run(args)),
        AuditCommand::Export(args) => (&args.trail.data, export::run(args)),
        AuditCommand::Stats(args) => (&args.trail.data, stats::run(args)),
        AuditCommand::Diff(args) => (&args.one, diff::run(args)),
        AuditCommand::Check(args) => (&nowhere, check::run(args)),
        AuditCommand::Witness(args) => (&nowhere, witness::run(args)),
        AuditCommand::Purge(args) => (&args.data, keeping::purge(args)),
        AuditCommand::Anchor(args) => (&args.data, anchor::run(args)),
        AuditCommand::Hold(args) => (&args.data, keeping::hold(args)),
    };
    match done {
        Ok(exit) => Ok(exit),
        Err(Failure::NoTrail(cause)) => {
            output::error(&format!("hv: {}: {cause}", data.display()));
            // The exit code of tampering is kept for tampering.
            Ok(Exit::BadInput)
        }
        Err(Failure::BadInput(why)) => {
            output::error(&format!("hv: {why}"));
            Ok(Exit::BadInput)
        }
        Err(Failure::Denied(why)) => {
            output::error(&format!("hv: {}: denied: {why}", data.display()));
            Ok(Exit::Denied)
        }
        Err(Failure::Tampered(finding)) => {
            output::error(&format!("hv: {}: the trail is tampered with: {finding}", data.display()));
            Ok(Exit::Failed)
        }
        Err(Failure::Hv(why)) => {
            output::error(&format!("hv: {}: {why}", data.display()));
            Ok(Exit::Failed)
        }
        Err(Failure::Said(exit, message)) => {
            output::error(&format!("hv: {message}"));
            Ok(exit)
        }
        Err(Failure::Output(refused)) => Err(refused),
    }
}

/// What `hv audit check` says of a file that holds, for whoever wants to know without it being printed.
///
/// # Errors
/// Its exit code and why, where the file does not hold or cannot be used.
pub fn check(args: &args::CheckArgs) -> Result<String, (Exit, String)> {
    check::found(args).map(|document| document.to_string()).map_err(|failure| match failure {
        Failure::NoTrail(_) | Failure::BadInput(_) => (Exit::BadInput, failure.sentence()),
        Failure::Denied(_) => (Exit::Denied, failure.sentence()),
        Failure::Said(exit, why) => (exit, why),
        Failure::Tampered(_) | Failure::Hv(_) | Failure::Output(_) => (Exit::Failed, failure.sentence()),
    })
}

/// Why there is nothing to say about a trail, or no way to say it.
#[derive(Debug)]
enum Failure {
    NoTrail(NoTrail),
    /// What was given cannot be used.
    BadInput(String),
    /// Refused, and the refusal is on the trail.
    Denied(String),
    /// The trail is not what was written to it.
    Tampered(String),
    /// hv itself failed.
    Hv(String),
    /// Something else, in a sentence.
    Said(Exit, String),
    Output(Refused),
}

impl Failure {
    /// Why, for whoever is not asked for an exit code.
    fn sentence(self) -> String {
        match self {
            Self::NoTrail(cause) => cause.to_string(),
            Self::BadInput(why) | Self::Denied(why) | Self::Hv(why) | Self::Said(_, why) => why,
            Self::Tampered(finding) => format!("the trail is tampered with: {finding}"),
            Self::Output(_) => "stdout cannot be written to".to_owned(),
        }
    }
}

/// What was given cannot be used.
fn bad_input(message: &dyn fmt::Display) -> Failure {
    Failure::Said(Exit::BadInput, message.to_string())
}

/// Something does not hold, or could not be done.
fn failed(message: &dyn fmt::Display) -> Failure {
    Failure::Said(Exit::Failed, message.to_string())
}

impl From<NoTrail> for Failure {
    fn from(cause: NoTrail) -> Self {
        Self::NoTrail(cause)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Output(refused)
    }
}

/// Why a path leads to no trail that can be read.
#[derive(Debug)]
pub(crate) enum NoTrail {
    /// Nothing is there.
    Absent,
    /// It is no folder.
    NotAFolder,
    /// Nothing in the folder belongs to a trail. Perhaps a folder in it is one.
    Foreign {
        /// That folder.
        instead: Option<PathBuf>,
    },
    /// The operating system does not let it be read.
    Unreadable(io::Error),
}

impl fmt::Display for NoTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => {
                f.write_str("there is no such folder; give the folder of a trail, as --data of hv run")
            }
            Self::NotAFolder => f.write_str("it is no folder; a trail is a folder, as --data of hv run"),
            Self::Foreign { instead: Some(instead) } => {
                write!(f, "no trail lies here; one lies in {}", instead.display())
            }
            Self::Foreign { instead: None } => {
                f.write_str("no trail lies here; give the folder of a trail, as --data of hv run")
            }
            Self::Unreadable(error) => write!(f, "the trail cannot be read: {error}"),
        }
    }
}

impl From<io::Error> for NoTrail {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Foreign { instead: None },
            _ => Self::Unreadable(error),
        }
    }
}

/// Checks that a path leads to a folder with something of a trail in it; whether that is whole is another question.
pub(crate) fn look(data: &Path) -> Result<(), NoTrail> {
    let entries = fs::read_dir(data).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => NoTrail::Absent,
        io::ErrorKind::NotADirectory => NoTrail::NotAFolder,
        _ => NoTrail::Unreadable(error),
    })?;
    for entry in entries {
        if is_of_a_trail(&entry.map_err(NoTrail::Unreadable)?.file_name().to_string_lossy()) {
            return Ok(());
        }
    }
    let below = data.join("trail");
    Err(NoTrail::Foreign { instead: below.join("mark").is_file().then_some(below) })
}

/// Whether a trail has something of this name. One that lost the rest has lost it, and is a trail still.
fn is_of_a_trail(name: &str) -> bool {
    name == "mark" || name == "keys" || name == "payloads" || name.ends_with(".seg")
}
