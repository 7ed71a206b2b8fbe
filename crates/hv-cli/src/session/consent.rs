//! What others say about one command that an agent runs: what they are asked to sign, and what they have signed.

use super::args::AskedArgs;
use super::failure::LiveFailure;
use super::folder::Folder;
use super::steps::definition;
use super::told::Answer;
use crate::Exit;
use crate::answerable::envelope;
use crate::call::{Answer as Verdict, asked_for};
use crate::id::args::duration;
use crate::run::history::History;
use clap::{Args, ValueEnum};
use hv_core::identity::{Content, Envelope};
use hv_core::types::{SagaId, SessionId, Timestamp};
use hv_core::{Clock, Presented, SystemClock, call_for};
use std::path::PathBuf;
use std::time::Duration;

/// What is brought for a command of `hv session exec`.
#[derive(Debug, Args)]
pub struct ConsentArgs {
    /// What somebody signed about exactly this command: an envelope; may be given more than once
    #[arg(long, value_name = "FILE", requires = "step")]
    pub signed: Vec<PathBuf>,
    /// Print what somebody has to sign about this command, and run nothing
    #[arg(long, value_enum, value_name = "WHOM", requires = "step", conflicts_with = "signed")]
    pub ask: Option<Whom>,
    /// How long from now on the command may start that is asked for
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "1h", requires = "ask")]
    pub within: Duration,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Whom {
    /// A witness, for Ring 0 and for what is outside an intent
    Witness,
    /// One of a quorum, for Ring 1
    Voter,
}

/// The call that the command will make, as it is signed.
pub(super) fn ask(folder: &Folder, args: &AskedArgs, whom: Whom) -> Result<Answer, LiveFailure> {
    let input = |why: String| LiveFailure::Input { why };
    let session = folder.session(&args.exec.at)?;
    let step = definition(folder, &session, &args.exec)?;
    let saga = SagaId::new(step.id.as_str()).map_err(|bad| input(bad.to_string()))?;
    if folder.hv.sagas(&session)?.contains(&saga) {
        return Err(input(format!("{saga} was run already; --step names what is not there yet")));
    }
    // As far as it is spelled.
    let deadline = SystemClock.now().after(args.consent.within);
    let deadline = Timestamp(deadline.0 - deadline.0 % 1_000_000);
    let call = call_for(&session, &saga, 0, &step, deadline);
    let verdict = (whom == Whom::Voter).then_some(Verdict::For);
    let asked = serde_json::to_value(asked_for(&call, verdict)).unwrap_or_default();
    let words = serde_json::to_string_pretty(&asked).unwrap_or_default() + "\n";
    Ok(Answer::new(Exit::Done, words, asked))
}

/// What was signed, with the first deadline of the calls that it speaks of. Whether it counts is for the node, which
/// records why something does not.
pub(super) fn brought(files: &[PathBuf]) -> Result<Option<Presented>, LiveFailure> {
    if files.is_empty() {
        return Ok(None);
    }
    let said: Vec<Envelope> = files.iter().map(|file| envelope(file)).collect::<Result<_, _>>()?;
    let deadlines = said.iter().filter_map(|envelope| match envelope.statement().ok()?.content {
        Content::Vote { call, .. } | Content::Witness { call } => Some(call.deadline),
        _ => None,
    });
    let deadline = deadlines.min().unwrap_or(Timestamp::MAX);
    let presented = Presented::new(deadline, said);
    presented.map(Some).map_err(|many| LiveFailure::Input { why: many.to_string() })
}

/// Why what was brought for the command that was refused last does not count.
pub(super) fn in_vain(folder: &Folder, session: &SessionId) -> Result<Vec<String>, LiveFailure> {
    let history = History::read(folder.log(), Some(session))?;
    let refused = history.and_then(|mut history| history.denials.pop());
    Ok(refused.map(|refused| refused.rejected).unwrap_or_default())
}
