//! `hv saga`: where sagas stand, and what a person makes of what could not be undone.

pub mod args;

mod held;
mod replay;
mod settle;
mod timeline;
mod told;
mod trail;

use crate::audit::look;
use crate::output::{self, Refused};
use crate::session::steer::{self, Word};
use crate::shell::quoted;
use crate::{Exit, plan::PlanError};
use args::{SagaArgs, SagaCommand};
use hv_core::Settlement;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime};
pub(crate) use told::turned_at;
use trail::{Trail, Watched};

/// How often a trail is looked at anew.
const LOOK: Duration = Duration::from_millis(500);

/// So many looks in turn find nobody who drives what has begun, before that is said: whoever resumes it needs a moment.
const LONELY: u32 = 6;

/// Why a command did nothing.
#[derive(Debug)]
enum Failure {
    /// What it was given cannot be used.
    Input(String),
    /// The session file cannot be used.
    Plan(PlanError),
    /// hv itself failed, or the trail is not what was written.
    Hv(String),
    /// It was refused; the refusal is on the trail.
    Denied(String),
    /// stdout does not take what is printed.
    Output(Refused),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Output(refused)
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl From<hv_core::Error> for Failure {
    fn from(error: hv_core::Error) -> Self {
        match error {
            hv_core::Error::Denied(denied) => Self::Denied(denied.to_string()),
            error => Self::Hv(error.to_string()),
        }
    }
}

/// Does one thing with the sagas of a trail.
///
/// # Errors
/// [`Refused`] where the session file cannot be used, or stdout does not take what is printed.
pub fn run(args: &SagaArgs) -> Result<Exit, Refused> {
    let done = match &args.command {
        SagaCommand::List(args) => Trail::read(&args.data).and_then(|trail| told::list(&trail, args.json)),
        SagaCommand::Show(args) => {
            Trail::read(&args.data).and_then(|trail| told::show(&trail, args.saga.as_deref(), args.json))
        }
        SagaCommand::Watch(args) => watch(args),
        SagaCommand::Graph(args) => {
            let form = match (args.mermaid, args.svg) {
                (true, _) => told::Form::Mermaid,
                (_, true) => told::Form::Svg,
                _ => told::Form::Plain,
            };
            Trail::read(&args.data).and_then(|trail| told::graph(&trail, args.saga.as_deref(), form))
        }
        SagaCommand::ReplayCheck(args) => replay::check(args),
        SagaCommand::Resolve(args) => settle::settle(args, Settlement::Resolved {}),
        SagaCommand::Skip(args) => settle::settle(args, Settlement::Skipped {}),
        SagaCommand::Retry(args) => settle::settle(args, Settlement::Retried {}),
        SagaCommand::Pause(args) => steer(args, Word::Pause),
        SagaCommand::Cancel(args) => steer(args, Word::Cancel),
        SagaCommand::Resume(args) => steer(args, Word::Resume),
        SagaCommand::Relieve(args) => steer(&args.steer, Word::Relieve(args.agent.clone())),
        SagaCommand::Restore(args) => settle::restore(args),
    };
    let (exit, message) = match done {
        Ok(exit) => return Ok(exit),
        Err(Failure::Output(refused)) => return Err(refused),
        Err(Failure::Plan(error)) => return Err(Refused::Plan(error)),
        Err(Failure::Input(message)) => (Exit::BadInput, message),
        Err(Failure::Hv(message)) => (Exit::Failed, message),
        Err(Failure::Denied(message)) => (Exit::Denied, format!("denied: {message}")),
    };
    output::error(&format!("hv: {message}"));
    Ok(exit)
}

/// Asks whoever drives a saga of the folder.
fn steer(args: &args::SteerArgs, word: Word) -> Result<Exit, Failure> {
    look(&args.data).map_err(|no| Failure::Input(format!("{}: {no}", args.data.display())))?;
    let asked = steer::ask(&args.data, word, args.wait);
    let (words, done) = asked.map_err(|failure| Failure::Input(failure.to_string()))?;
    output::print(&format_args!("{words}\n"))?;
    Ok(if done { Exit::Done } else { Exit::Failed })
}

/// Prints what moves until nothing runs any more.
fn watch(args: &args::PickArgs) -> Result<Exit, Failure> {
    let mut before: HashSet<String> = HashSet::new();
    let mut seen = Seen::default();
    let mut watched: Option<Watched<'_>> = None;
    let mut alone = 0;
    loop {
        if !seen.may_have_changed(&args.data) {
            let held = held::is_held(&args.data);
            alone = if held == Some(false) { alone + 1 } else { 0 };
            if alone == LONELY && watched.as_ref().is_some_and(|watched| watched.trail.is_a_run()) {
                let data = quoted(&args.data);
                output::error(&format!(
                    "hv: nobody drives this run at the moment; `hv run --resume --data {data}` goes on with it"
                ));
            }
            std::thread::sleep(LOOK);
            continue;
        }
        let watched = match &mut watched {
            Some(watched) => {
                watched.go_on()?;
                watched
            }
            none => none.insert(Watched::begin(&args.data)?),
        };
        let trail = &watched.trail;
        let said = if args.json { told::objects } else { told::lines };
        let lines = said(trail, args.saga.as_deref());
        for line in lines.iter().filter(|line| !before.contains(*line)) {
            output::print(&format_args!("{line}\n"))?;
        }
        if trail.ended(args.saga.as_deref()) {
            let misnamed = lines.is_empty() && args.saga.is_some();
            return if misnamed { Err(told::no_such_saga()) } else { Ok(Exit::Done) };
        }
        before = lines.into_iter().collect();
        std::thread::sleep(LOOK);
    }
}

/// How the files of a trail looked from outside when they were last read.
#[derive(Debug, Default)]
struct Seen {
    files: Vec<(OsString, u64, Option<SystemTime>)>,
    /// Whether they looked the same the time before: what is written within one tick of the clock shows only then.
    twice: bool,
}

impl Seen {
    /// Whether something may have been written since.
    fn may_have_changed(&mut self, data: &Path) -> bool {
        let files = std::fs::read_dir(data).into_iter().flatten().flatten().filter_map(|file| {
            let about = file.metadata().ok()?;
            Some((file.file_name(), about.len(), about.modified().ok()))
        });
        let mut files: Vec<_> = files.collect();
        files.sort();
        let same = !files.is_empty() && files == self.files;
        let unchanged = same && self.twice;
        (self.files, self.twice) = (files, same);
        !unchanged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_to_which_nothing_is_written_is_not_read_again() {
        let folder = std::env::temp_dir().join(format!("hv-seen-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let mut seen = Seen::default();
        assert!(seen.may_have_changed(&folder), "nothing there yet is no reason to wait");
        std::fs::write(folder.join("a"), "1").unwrap();
        let looks = [(); 4].map(|()| seen.may_have_changed(&folder));
        assert_eq!(looks, [true, true, false, false], "once more than it changed, then not");
        std::fs::write(folder.join("a"), "22").unwrap();
        assert!(seen.may_have_changed(&folder));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
