//! `hv tools`: what a tool server declares, and what its tools count as.

pub mod args;

mod told;

use crate::Exit;
use crate::output::{self, Refused};
use args::{ClassifyArgs, ToolsArgs, ToolsCommand};
use hv_integrations::tools::pin::{BadPins, Pins};
use hv_integrations::tools::{Client, Failure, Http, Program, Standing, Stdio, classify};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use told::{Answer, Told};

/// The longest file of pins that is read, in bytes: more than 10 000 tools with the longest names take.
const PINS_MAX_BYTES: u64 = 16 << 20;

/// Why a tool server could not be looked at.
#[derive(Debug)]
pub enum ToolsFailure {
    /// The server does not give what it was asked for.
    Server(Failure),
    /// A variable that the server is to see is not set.
    Variable(String),
    /// The file of pins cannot be read or written.
    File(PathBuf, io::Error),
    /// The file of pins holds none.
    Pins(PathBuf, BadPins),
}

impl ToolsFailure {
    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            // Not 1, which says that a definition changed.
            Self::Server(Failure::NotStarted { .. })
            | Self::Variable(_)
            | Self::Pins(..)
            | Self::File(..) => Exit::BadInput,
            Self::Server(_) => Exit::Failed,
        }
    }
}

impl fmt::Display for ToolsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(failure) => write!(f, "hv tools: {failure}"),
            Self::Variable(name) => {
                write!(f, "hv tools: the variable {name} is not set; set it, or leave out `--env {name}`")
            }
            Self::File(path, error) => {
                write!(f, "{}: {error}; `--pin` takes a file in a folder that is there", path.display())
            }
            Self::Pins(path, bad) => {
                write!(f, "{}: {bad}; give another file, or remove it to pin anew", path.display())
            }
        }
    }
}

impl From<ToolsFailure> for Refused {
    fn from(failure: ToolsFailure) -> Self {
        Self::Tools(Box::new(failure))
    }
}

/// Does what `hv tools` is asked.
///
/// # Errors
/// As the part that is asked for.
pub fn run(args: &ToolsArgs) -> Result<Exit, Refused> {
    match &args.command {
        ToolsCommand::Classify(args) => classified(args),
    }
}

fn classified(args: &ClassifyArgs) -> Result<Exit, Refused> {
    // Before the server is asked, because what is wrong with the file is known without it.
    let before = args.pin.as_deref().map(pinned).transpose()?.flatten();
    let standing = if args.trust { Standing::Trusted } else { Standing::Untrusted };
    let mut client = connect(args)?;
    let tools = client.tools().map_err(ToolsFailure::Server)?;
    let server = client.server();
    let told = tools.iter().map(|tool| {
        let class = classify(tool, &server.name, standing);
        Told::of(tool, class, tool.action(&server.name).ok())
    });
    let mut answer = Answer::new(server, client.era(), standing, told.collect());
    let mut exit = Exit::Done;
    if let Some(file) = &args.pin {
        let now = Pins::of(&server.name, &tools);
        match before {
            None => keep(file, &now)?,
            Some(before) => {
                let changes = before.changes(&now);
                if args.accept {
                    keep(file, &now)?;
                } else if !changes.is_empty() {
                    exit = Exit::Failed;
                }
                answer.compared(&changes);
                if args.actions {
                    changes.iter().for_each(|change| output::error(&format!("{}: {change}", file.display())));
                }
                if exit == Exit::Failed {
                    let file = file.display();
                    output::error(&format!(
                        "{file}: not as pinned; look at it, and pin it anew with --accept"
                    ));
                }
            }
        }
    }
    if args.json {
        output::json(&answer)?;
    } else if args.actions {
        // What is not as pinned becomes nobody's session file.
        if exit == Exit::Done {
            output::print(&answer.actions())?;
        }
    } else {
        output::print(&answer)?;
    }
    Ok(exit)
}

fn connect(args: &ClassifyArgs) -> Result<Client, ToolsFailure> {
    let connected = match &args.url {
        Some(url) => Client::connect(Box::new(Http::new(url)), args.timeout),
        None => {
            let mut program = Program::new(args.program.iter().cloned());
            for name in &args.env {
                let value = std::env::var_os(name).ok_or_else(|| ToolsFailure::Variable(name.clone()))?;
                program = program.with_env(name, value);
            }
            Stdio::start(&program).and_then(|started| Client::connect(Box::new(started), args.timeout))
        }
    };
    connected.map_err(ToolsFailure::Server)
}

/// What was pinned before; nothing where there is no such file yet.
fn pinned(file: &Path) -> Result<Option<Pins>, ToolsFailure> {
    // Asked before opening: opening a pipe would wait for somebody to write into it.
    let read = || match std::fs::metadata(file)? {
        known if !known.is_file() => Err(io::Error::other("it is no regular file")),
        known if known.len() > PINS_MAX_BYTES => {
            Err(io::Error::other(format!("it is longer than {PINS_MAX_BYTES} bytes")))
        }
        _ => std::fs::read_to_string(file),
    };
    match read() {
        Ok(text) => Pins::from_json(&text).map(Some).map_err(|bad| ToolsFailure::Pins(file.to_owned(), bad)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ToolsFailure::File(file.to_owned(), error)),
    }
}

/// Writes the pins beside their place first, so that nobody reads half of them.
fn keep(file: &Path, pins: &Pins) -> Result<(), ToolsFailure> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let write = || {
        std::fs::write(&beside, pins.to_json())?;
        std::fs::rename(&beside, file)
    };
    write().map_err(|error| ToolsFailure::File(file.to_owned(), error))
}
