//! What is printed, and where: answers on stdout, errors on stderr.

use crate::config::BadConfig;
use crate::exit::Exit;
use crate::id::IdFailure;
use crate::lines::LinesFailure;
use crate::plan::PlanError;
use crate::run::RunFailure;
use crate::session::LiveFailure;
use crate::tools::ToolsFailure;
use hv_types::Counted;
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Refused {
    /// The session file, or something that it refers to, cannot be used.
    Plan(PlanError),
    /// A run that could not begin, or failed in a way that leaves no report.
    Run(Box<RunFailure>),
    /// A command on a live session that did nothing.
    Session(Box<LiveFailure>),
    /// A key or a statement that cannot be used, or not be made.
    Id(Box<IdFailure>),
    /// A file of questions that cannot be read.
    Lines(LinesFailure),
    /// A tool server that could not be looked at.
    Tools(Box<ToolsFailure>),
    /// What is said of a node's limits cannot be.
    Config(Box<BadConfig>),
    /// stdout does not take what is printed.
    Output(io::Error),
}

impl Refused {
    /// Says so on stderr and gives the exit code.
    #[must_use]
    pub fn tell(&self) -> Exit {
        let (exit, message) = self.said();
        error(&message);
        exit
    }

    /// The exit code and what is said.
    pub(crate) fn said(&self) -> (Exit, String) {
        match self {
            Self::Plan(error) => (Exit::BadInput, error.to_string()),
            Self::Run(failure) => (failure.exit(), failure.to_string()),
            Self::Session(failure) => (failure.exit(), format!("hv: {failure}")),
            Self::Id(failure) => (failure.exit(), failure.to_string()),
            Self::Tools(failure) => (failure.exit(), failure.to_string()),
            Self::Config(bad) => (Exit::BadInput, bad.to_string()),
            Self::Lines(failure) => (Exit::BadInput, failure.to_string()),
            Self::Output(error) => {
                (Exit::Failed, format!("hv: stdout cannot be written to: {error}; try another"))
            }
        }
    }
}

impl From<BadConfig> for Refused {
    fn from(bad: BadConfig) -> Self {
        Self::Config(Box::new(bad))
    }
}

impl From<PlanError> for Refused {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

/// Prints a message on stderr, as one line. There is nowhere to say that this failed.
pub fn error(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", one_line(message));
}

/// Prints a text on stdout.
///
/// # Errors
/// [`Refused::Output`].
pub fn print(text: &dyn fmt::Display) -> Result<(), Refused> {
    bytes(text.to_string().as_bytes())
}

/// Prints one JSON document on stdout, with a line break at its end.
///
/// # Errors
/// [`Refused::Output`].
pub fn json(value: &impl Serialize) -> Result<(), Refused> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| Refused::Output(e.into()))?;
    text.push(b'\n');
    bytes(&text)
}

/// Prints what a command found: as one JSON document where it is asked for, and else in words.
///
/// # Errors
/// [`Refused::Output`].
pub fn document(document: &(impl Serialize + fmt::Display), as_json: bool) -> Result<(), Refused> {
    if as_json { json(document) } else { print(document) }
}

/// Prints bytes on stdout. Where nobody reads any more that is no failure: what the command comes to is what it exits with
/// all the same, and whoever closed the pipe knows that it is closed.
///
/// # Errors
/// [`Refused::Output`].
pub fn bytes(bytes: &[u8]) -> Result<(), Refused> {
    piece(bytes).map(drop)
}

/// The same, saying whether somebody reads, for what goes on printing.
///
/// # Errors
/// [`Refused::Output`].
pub fn piece(bytes: &[u8]) -> Result<bool, Refused> {
    let mut out = io::stdout().lock();
    is_read(out.write_all(bytes).and_then(|()| out.flush())).map_err(Refused::Output)
}

/// Whether somebody read what was written.
///
/// # Errors
/// What went wrong, but for a pipe that is closed.
pub fn is_read(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// What to say behind a reason about what would be enough: nothing where there is nothing, or the reason says it already.
///
/// ```
/// assert_eq!(hv_cli::output::enough("it is 0.45", "a quorum"), "; enough would be a quorum");
/// assert_eq!(hv_cli::output::enough("it needs a quorum", "a quorum"), "");
/// assert_eq!(hv_cli::output::enough("never", ""), "");
/// ```
#[must_use]
pub fn enough(reason: &str, needs: &str) -> String {
    if reason.contains(needs) { String::new() } else { format!("; enough would be {needs}") }
}

/// So many of something.
///
/// ```
/// # use hv_cli::output::counted;
/// assert_eq!([counted(0, "batch"), counted(1, "entry")], ["0 batches", "1 entry"]);
/// assert_eq!([counted(2, "entry"), counted(11, "day")], ["2 entries", "11 days"]);
/// ```
#[must_use]
pub fn counted(count: impl fmt::Display, one: &str) -> String {
    Counted(count, one).to_string()
}

/// A text as one line that a terminal takes as text: control characters, line breaks among them, are escaped.
///
/// ```
/// assert_eq!(hv_cli::output::one_line("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
/// ```
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Besides control characters, those that reorder text on the screen.
        let hidden = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || hidden { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
