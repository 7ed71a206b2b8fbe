//! `hv run`: a session file from joining to a verified trail, also after a crash.

mod adapters;
mod begun;
mod brought;
mod context;
mod discreet;
mod engine;
mod entrants;
mod findings;
mod foreseen;
pub(crate) mod history;
mod interrupts;
mod killable;
mod left;
mod marks;
pub(crate) mod place;
mod verified;
mod watch;

use crate::args::RunArgs;
use crate::config::BadConfig;
use crate::output::{self, Refused};
use crate::plan::PlanError;
use crate::progress::Style;
use crate::report::{Outcome, Report};
use crate::shell::quoted;
use crate::{Exit, plan::Plan};
use hv_core::audit::LogError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use begun::{Begun, NOTE, begun, undoing};
pub(crate) use engine::{SETUP, WORK};
pub(crate) use interrupts::{MOMENT, PATIENCE};
pub(crate) use left::{GoingOn, blocking, settled_left, stopped_at_once};

/// Runs or resumes a session file and prints the report.
///
/// # Errors
/// [`Refused`] where nothing was run, or the report cannot be printed.
pub fn run(args: &RunArgs) -> Result<Exit, Refused> {
    let report = reported(args)?;
    if report.outcome == Outcome::Failed {
        output::error(&format!(
            "the trail is not what was written to it; `hv audit verify {}` names the place",
            quoted(Path::new(&report.data))
        ));
    }
    output::document(&report, args.json).map(|()| report.outcome.exit())
}

/// The work folder that a run will have which is told this one.
///
/// # Errors
/// [`RunFailure::Io`] where the present folder is unknown.
pub(crate) fn work_folder(work: &Path) -> Result<PathBuf, RunFailure> {
    place::absolute(work).map(|work| place::real(&work))
}

/// Runs or resumes a session file; gives the report.
pub(crate) fn reported(args: &RunArgs) -> Result<Report, Refused> {
    let style = if args.json || args.quiet { Style::Silent } else { Style::for_stderr() };
    let plan = match &args.file {
        Some(file) => {
            let plan = Plan::load(file)?;
            plan.check_references()?;
            Some(plan)
        }
        None => None,
    };
    let config = args.config.read()?;
    engine::run(args, &config, plan, style).map_err(|failure| Refused::Run(Box::new(failure)))
}

/// Why there is no report.
#[derive(Debug)]
pub enum RunFailure {
    /// The session file, or something that it refers to, cannot be used.
    Plan(PlanError),
    /// What is said of the node's limits cannot be.
    Config(Box<BadConfig>),
    /// The folder holds a run that was interrupted.
    Unfinished {
        /// The folder of the trail.
        data: PathBuf,
        /// The session that is open in it.
        session: String,
    },
    /// The work folder lies in the folder of the trail, or the other way round.
    Entangled {
        /// The work folder.
        work: PathBuf,
        /// The folder of the trail.
        data: PathBuf,
    },
    /// The work folder of a new run holds something already.
    WorkNotEmpty {
        /// The work folder.
        work: PathBuf,
    },
    /// The trail or the work cannot be where it was told to be.
    Unusable {
        /// The folder or file.
        path: PathBuf,
        /// What was being done.
        doing: String,
        /// Why it failed.
        kind: io::ErrorKind,
        /// What names another place.
        option: &'static str,
    },
    /// No user's data directory is known.
    NoHome,
    /// The run that is to go on was begun with another session file.
    OtherFile {
        /// The folder of the trail.
        data: PathBuf,
        /// Its session.
        session: String,
        /// The file that was given now.
        file: PathBuf,
    },
    /// There is no session yet, or one of which nothing was begun, and nobody says what is to be done.
    NothingBegun {
        /// The folder of the trail.
        data: PathBuf,
        /// Its session, where that was recorded.
        session: Option<String>,
    },
    /// The session that is to be begun was recorded otherwise than is said of it now.
    OtherSettings {
        /// The folder of the trail.
        data: PathBuf,
        /// Its session.
        session: String,
        /// The file that was given now.
        file: PathBuf,
    },
    /// A run that is to go on works in another folder than the one given.
    OtherWork {
        /// The folder of the trail.
        data: PathBuf,
        /// Its session.
        session: String,
        /// The folder that was given now.
        given: PathBuf,
        /// Where it works.
        work: PathBuf,
    },
    /// The work folder of a run that has begun is not there.
    NoWork {
        /// The work folder.
        work: PathBuf,
        /// What is wrong with it.
        why: io::ErrorKind,
        /// The command that goes on.
        next: String,
    },
    /// The session of the trail was not begun by a run.
    NoRun {
        /// The folder of the trail.
        data: PathBuf,
        /// Its session.
        session: String,
    },
    /// What a run was started with is not in its trail any more.
    Purged {
        /// The folder of the trail.
        data: PathBuf,
        /// Its session.
        session: String,
    },
    /// The session's name is taken in this trail.
    SessionTaken {
        /// The session.
        session: String,
        /// The folder of the trail.
        data: PathBuf,
    },
    /// A call is asked for of a session whose name is made up at every run.
    NoSessionId {
        /// The session file.
        file: PathBuf,
    },
    /// A call is asked for of a step that there is not.
    NoStep {
        /// The session file.
        file: PathBuf,
        /// The step.
        step: String,
    },
    /// The node of this trail listens to others than the session file says.
    OtherNode {
        /// The folder of the trail.
        data: PathBuf,
    },
    /// The mark cannot be where or what it was told to be, or could not be written.
    Mark {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
        /// Whether the run had ended.
        ended: bool,
    },
    /// A folder or a file does not do what is asked of it.
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        error: io::Error,
    },
    /// The trail cannot be opened.
    Log(LogError),
    /// The supervisor failed while it ran.
    Node(Box<hv_core::Error>),
    /// The trail of an earlier run does not say what this program writes.
    Unreadable {
        /// What of it.
        what: &'static str,
    },
}

impl RunFailure {
    /// The exit code: bad input where nothing was begun, a failure of hv itself elsewhere.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Plan(_)
            | Self::Config(_)
            | Self::Unfinished { .. }
            | Self::Entangled { .. }
            | Self::WorkNotEmpty { .. }
            | Self::Unusable { .. }
            | Self::NoHome
            | Self::OtherFile { .. }
            | Self::NothingBegun { .. }
            | Self::OtherSettings { .. }
            | Self::OtherWork { .. }
            | Self::NoWork { .. }
            | Self::NoRun { .. }
            | Self::Purged { .. }
            | Self::SessionTaken { .. }
            | Self::OtherNode { .. }
            | Self::NoSessionId { .. }
            | Self::NoStep { .. }
            | Self::Mark { ended: false, .. }
            | Self::Log(
                LogError::NoLog { .. }
                | LogError::NotEmpty { .. }
                | LogError::Locked { .. }
                | LogError::Version { .. }
                // A path that leads to no folder, or to one that is not to be looked into.
                | LogError::Io { kind: io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied, .. },
            ) => Exit::BadInput,
            Self::Mark { .. } | Self::Io { .. } | Self::Log(_) | Self::Node(_) | Self::Unreadable { .. } => {
                Exit::Failed
            }
        }
    }
}

impl fmt::Display for RunFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(error) => fmt::Display::fmt(error, f),
            Self::Config(bad) => fmt::Display::fmt(bad, f),
            Self::Unfinished { data, session } => write!(
                f,
                "{} holds an unfinished run of session `{session}`; go on with `hv run --resume --data {}`, \
                 or choose another folder",
                data.display(),
                quoted(data)
            ),
            Self::Entangled { work, data } => write!(
                f,
                "the work folder {} and the trail {} must not lie in one another; every file beside the trail's \
                 own would count as tampering",
                work.display(),
                data.display()
            ),
            Self::WorkNotEmpty { work } => {
                write!(f, "the work folder {} is not empty; give an empty one with --work", work.display())
            }
            Self::Unusable { path, doing, kind, option } => {
                write!(f, "cannot {doing} {}: {kind}; give another folder with {option}", path.display())
            }
            Self::NoHome => {
                f.write_str("no data directory is known; give --data DIR and --work DIR, or set HOME")
            }
            Self::OtherFile { data, session, file } => write!(
                f,
                "session `{session}` in {data} was begun with another file than {file}; leave the file out to go on \
                 as it was begun (`hv saga replay-check {} --against {}` says what differs), or begin this \
                 file in another folder",
                quoted(data),
                quoted(file),
                data = data.display(),
                file = file.display()
            ),
            Self::NothingBegun { data, session: None } => write!(
                f,
                "nothing was begun in {data}; give the session file: `hv run --resume FILE --data {}`",
                quoted(data),
                data = data.display()
            ),
            Self::NothingBegun { data, session: Some(session) } => write!(
                f,
                "session `{session}` in {data} was recorded, and nothing of it was begun; give its session file: `hv run \
                 --resume FILE --data {}`",
                quoted(data),
                data = data.display()
            ),
            Self::OtherSettings { data, session, file } => write!(
                f,
                "session `{session}` in {} was recorded with another id, creator or settings than {} and the limits of \
                 this node give it; give the file and the options with which it was begun, or choose another folder",
                data.display(),
                file.display()
            ),
            Self::OtherWork { data, session, given, work } => write!(
                f,
                "a resumed run works where it was begun: session `{session}` in {} works in {}, not in {}; leave --work \
                 out",
                data.display(),
                work.display(),
                given.display()
            ),
            Self::NoWork { work, why: io::ErrorKind::NotFound, next } => write!(
                f,
                "the work folder {} is not there; put it back, then go on with `{next}`",
                work.display()
            ),
            Self::NoWork { work, why: io::ErrorKind::NotADirectory, next } => write!(
                f,
                "the work folder {} is no folder; put it back, then go on with `{next}`",
                work.display()
            ),
            Self::NoWork { work, why, next } => write!(
                f,
                "the work folder {} cannot be used: {why}; mend that, then go on with `{next}`",
                work.display()
            ),
            Self::NoRun { data, session } => write!(
                f,
                "session `{session}` in {data} was not begun by `hv run`, and stays as it is; `hv session list --data \
                 {}` says where it stands; choose another folder",
                quoted(data),
                data = data.display(),
            ),
            Self::Purged { data, session } => write!(
                f,
                "what session `{session}` in {} was begun with has been purged, so nothing can go on or be reported; \
                 `hv audit show {}` prints its records",
                data.display(),
                quoted(data)
            ),
            Self::SessionTaken { session, data } => write!(
                f,
                "session `{session}` has been in {} before; change its id in the session file, or choose another \
                 folder",
                data.display()
            ),
            Self::NoSessionId { file } => write!(
                f,
                "{}: the session has no id, so nobody knows its calls before it begins; give it one",
                file.display()
            ),
            Self::NoStep { file, step } => write!(f, "{}: there is no step `{step}`", file.display()),
            Self::OtherNode { data } => write!(
                f,
                "the node of {} is configured otherwise than [node] says; let both say the same, leave [node] out, \
                 or choose another folder",
                data.display()
            ),
            Self::Mark { path, why, ended: false } => write!(f, "the mark {}: {why}", path.display()),
            Self::Mark { path, why, ended: true } => write!(
                f,
                "the run is as it is, but nothing newer was signed in the mark {}: {why}; hv run --resume with the \
                 same options signs it and prints the report",
                path.display()
            ),
            Self::Io { path, doing, error } => write!(f, "cannot {doing} {}: {error}", path.display()),
            Self::Log(LogError::NoLog { dir }) => write!(
                f,
                "there is no trail in {}; begin a run there with `hv run FILE --data {}`",
                dir.display(),
                quoted(dir)
            ),
            Self::Log(LogError::Locked { dir }) => write!(
                f,
                "another process writes to the trail in {}, and one does at a time; wait for its end, or choose \
                 another folder",
                dir.display()
            ),
            Self::Log(error) => {
                fmt::Display::fmt(error, f)?;
                room(self, f)
            }
            Self::Node(error) => {
                fmt::Display::fmt(error, f)?;
                room(self, f)
            }
            Self::Unreadable { what } => write!(
                f,
                "{what} in the trail is not what this version writes; use the version that began the run"
            ),
        }
    }
}

impl RunFailure {
    /// What failed first, where this says only that something did before.
    pub(crate) fn behind(self, first: Option<&LogError>) -> Self {
        use hv_core::Error::{Log, Poisoned};
        let later = match &self {
            Self::Log(error) => matches!(error, LogError::Poisoned),
            Self::Node(error) => matches!(**error, Poisoned | Log(LogError::Poisoned)),
            _ => false,
        };
        first.filter(|_| later).map_or(self, |first| Self::Log(first.clone()))
    }

    /// What failed where the disk, or what may be used of it, is full. Nothing that was acknowledged is lost then.
    pub(crate) fn full(&self) -> Option<&LogError> {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let error = match self {
            Self::Log(error) => error,
            Self::Node(error) => match &**error {
                hv_core::Error::Log(error) => error,
                _ => return None,
            },
            _ => return None,
        };
        let full = matches!(error, LogError::Io { kind: StorageFull | QuotaExceeded | FileTooLarge, .. });
        full.then_some(error)
    }
}

/// How a run goes on for which there was no room.
fn room(failure: &RunFailure, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(LogError::Io { path, .. }) = failure.full() else { return Ok(()) };
    let within = |path: &Path| path.file_name().is_some_and(|name| name == "payloads" || name == "keys");
    let folder = path.parent().unwrap_or(path);
    let folder = if within(folder) { folder.parent().unwrap_or(folder) } else { folder };
    write!(
        f,
        "; make room there, then go on with `hv run --resume FILE --data {}`, where FILE is the session file of this run",
        quoted(folder)
    )
}

impl std::error::Error for RunFailure {}

impl From<BadConfig> for RunFailure {
    fn from(bad: BadConfig) -> Self {
        Self::Config(Box::new(bad))
    }
}

impl From<PlanError> for RunFailure {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl From<LogError> for RunFailure {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<hv_core::Error> for RunFailure {
    fn from(error: hv_core::Error) -> Self {
        match error {
            hv_core::Error::Setting(bad) => BadConfig::from(*bad).into(),
            error => Self::Node(Box::new(error)),
        }
    }
}
