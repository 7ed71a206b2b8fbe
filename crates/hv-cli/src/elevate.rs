//! `hv elevate`: consent in advance, to named actions of Ring 1 and for a short time.

use crate::Exit;
use crate::answerable::envelope;
use crate::call::{Answer as Verdict, asked_for};
use crate::id::args::duration;
use crate::output::{Refused, one_line};
use crate::session::args::At;
use crate::session::{Answer, Folder, LiveFailure, runtime};
use clap::Args;
use hv_core::identity::{Content, Envelope};
use hv_core::rings::elevation::{Elevation, Request};
use hv_core::types::{ActionId, Did, Timestamp};
use hv_core::{Clock, Presented, SystemClock, elevation_call};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `hv elevate`.
#[derive(Debug, Args)]
#[command(after_help = ELEVATE_HELP)]
pub struct ElevateArgs {
    /// Where.
    #[command(flatten)]
    pub at: At,
    /// Who asks
    #[arg(long, value_name = "DID")]
    pub agent: Did,
    /// What it wants to do; may be given more than once
    #[arg(long, value_name = "ACTION", required = true)]
    pub action: Vec<ActionId>,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = crate::call::reason)]
    pub reason: String,
    /// How long it lasts from the moment at which it is given, at most 1h
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub lasts: Duration,
    /// A vote for it: an envelope; may be given more than once
    #[arg(long, value_name = "FILE", conflicts_with = "ask")]
    pub vote: Vec<PathBuf>,
    /// Print what the voters have to sign, and do nothing
    #[arg(long)]
    pub ask: bool,
    /// How long from now on it may begin that is asked for
    #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "1h", requires = "ask")]
    pub within: Duration,
}

const ELEVATE_HELP: &str = "\
A quorum consents once, and what is named needs no quorum of its own for that
time. Ring 1 only, one at a time, and only for an agent that could do it with a
quorum: its score is asked again at every call. It ends by its time, and before
it when the agent leaves, is slashed, falls to Ring 3 or is killed.

Examples:
  hv elevate --data trail --agent did:mesh:a --action git.push --reason 'ship 1.2' \\
      --ask > call.json
  hv id sign --key b.key --type vote --audience did:web:node.example \\
      --deadline 1h call.json > b.json
  hv elevate --data trail --agent did:mesh:a --action git.push --reason 'ship 1.2' \\
      --vote b.json --vote c.json --vote d.json

Exit codes: 0 done, 1 hv failed, 2 bad input, 5 denied";

/// Does what `hv elevate` was asked.
///
/// # Errors
/// [`Refused`] where nothing was done, or the answer cannot be printed.
pub fn run(args: &ElevateArgs) -> Result<Exit, Refused> {
    let answer = runtime().and_then(|runtime| runtime.block_on(answer(args)));
    crate::session::tell(answer, args.at.place.json)
}

async fn answer(args: &ElevateArgs) -> Result<Answer, LiveFailure> {
    let presented = if args.ask { None } else { Some(presented(&args.vote)?) };
    let folder = Folder::open(&args.at.place)?;
    let done = elevated(&folder, args, presented.as_ref()).await;
    folder.leave(done).await
}

async fn elevated(
    folder: &Folder,
    args: &ElevateArgs,
    presented: Option<&Presented>,
) -> Result<Answer, LiveFailure> {
    let session = folder.session(&args.at)?;
    let request = Request::new(session, args.agent.clone(), args.action.clone(), &args.reason, args.lasts);
    let request = request.map_err(|bad| LiveFailure::Input { why: bad.to_string() })?;
    let Some(presented) = presented else { return ask(&request, args.within) };
    let elevation = folder.hv.elevate(&request, presented).await?;
    let words = format!("{} is elevated until {}", args.agent, elevation.until());
    Ok(Answer::new(Exit::Done, one_line(&words) + "\n", fields(&elevation)))
}

/// An elevation, for programs.
pub(crate) fn fields(elevation: &Elevation) -> Value {
    let request = elevation.request();
    let actions: Vec<&str> = request.actions().iter().map(ActionId::as_str).collect();
    json!({
        "agent": request.agent().as_str(), "session": request.session().as_str(), "actions": actions,
        "reason": request.reason(), "since": elevation.since(), "until": elevation.until(),
    })
}

fn ask(request: &Request, within: Duration) -> Result<Answer, LiveFailure> {
    let deadline = SystemClock.now().after(within);
    // As far as it is spelled.
    let deadline = Timestamp(deadline.0 - deadline.0 % 1_000_000);
    let call =
        elevation_call(request, deadline).map_err(|bad| LiveFailure::Input { why: bad.to_string() })?;
    let asked = serde_json::to_value(asked_for(&call, Some(Verdict::For))).unwrap_or_default();
    let words = serde_json::to_string_pretty(&asked).unwrap_or_default() + "\n";
    Ok(Answer::new(Exit::Done, words, asked))
}

/// Votes, with the first deadline of the calls that they speak of. Whether they count is for the node, which records why
/// one does not; so does what is no vote.
fn presented(files: &[PathBuf]) -> Result<Presented, LiveFailure> {
    let votes: Vec<Envelope> = files.iter().map(|file| envelope(file)).collect::<Result<_, _>>()?;
    let deadlines = votes.iter().filter_map(|vote| match vote.statement().ok()?.content {
        Content::Vote { call, .. } => Some(call.deadline),
        _ => None,
    });
    let deadline = deadlines.min().unwrap_or(Timestamp::MAX);
    Presented::new(deadline, votes).map_err(|many| LiveFailure::Input { why: many.to_string() })
}
