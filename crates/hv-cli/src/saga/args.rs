//! The arguments of `hv saga`.

use crate::id::args::duration;
use clap::{Args, Subcommand};
use hv_core::types::Did;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `hv saga`.
#[derive(Debug, Args)]
pub struct SagaArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SagaCommand,
}

/// What `hv saga` can do.
#[derive(Debug, Subcommand)]
pub enum SagaCommand {
    /// List the sagas of a trail, and what waits for a person
    #[command(after_help = "\
Example:
  hv saga list ~/.local/share/hv/runs/release/trail

Exit codes: 0 nothing waits for a person, 2 bad input, 4 something does")]
    List(ReadArgs),
    /// Show the steps of sagas: where each stands, who does it, how often it was tried
    #[command(after_help = "Example:\n  hv saga show DIR --saga work")]
    Show(PickArgs),
    /// Show steps as they move, until every saga has ended
    ///
    /// Where nobody drives a run that has not ended, that is said, and whoever resumes it is watched.
    #[command(after_help = "Example:\n  hv saga watch DIR --saga work")]
    Watch(PickArgs),
    /// Draw what waits for what, or how it went
    #[command(
        after_help = "Examples:\n  hv saga graph DIR --saga work --mermaid > work.mmd\n  hv saga graph DIR --svg > run.svg"
    )]
    Graph(GraphArgs),
    /// Say whether the recorded history still makes sense under a changed session file
    #[command(
        name = "replay-check",
        after_help = "\
The recorded events are replayed on the steps of the file, and held against its
limits. What changed of each step and of the limits is listed; a step that has
started already keeps what it was started with. A history makes no sense under
limits that it exceeds: more steps ran at once, more were repeated, or it went
forward for longer. A run that is resumed keeps the limits it was begun with.

Example:
  hv saga replay-check DIR --against release.toml

Exit codes: 0 it makes sense, 1 it does not, 2 bad input"
    )]
    ReplayCheck(ReplayArgs),
    /// Say that what could not be undone was taken back by other means
    #[command(after_help = SETTLE_HELP)]
    Resolve(SettleArgs),
    /// Say that what could not be undone stays as it is
    #[command(after_help = SETTLE_HELP)]
    Skip(SettleArgs),
    /// Try once more to undo what could not be undone
    #[command(after_help = SETTLE_HELP)]
    Retry(SettleArgs),
    /// Let whoever drives it start nothing more, until it is resumed
    #[command(after_help = STEER_HELP)]
    Pause(SteerArgs),
    /// Let whoever drives it start again what is ready
    #[command(after_help = STEER_HELP)]
    Resume(SteerArgs),
    /// Let whoever drives it turn back, and undo what was done
    #[command(after_help = CANCEL_HELP)]
    Cancel(SteerArgs),
    /// Stop what an agent executes, and hand its steps to the substitutes that they name
    #[command(after_help = RELIEVE_HELP)]
    Relieve(RelieveArgs),
    /// Let the undo of an action count again in an open session where it failed
    #[command(after_help = RESTORE_HELP)]
    Restore(SettleArgs),
}

const SETTLE_HELP: &str = "\
It takes the word of a witness that the node listens to. Without --witness the
call that the witness is to sign is printed; it counts for one hour.

Example, and the same with skip and retry:
  hv saga resolve DIR flight --by did:mesh:operator > call.json
  hv id sign --key human.key --type witness --audience did:web:node.example \\
     --deadline 1h call.json > word.json
  hv saga resolve DIR flight --witness word.json

Exit codes: 0 settled, or the call was printed; 1 hv failed; 2 bad input;
4 tried once more, and still not undone; 5 denied";

const STEER_HELP: &str = "\
It reaches the saga that is being driven in the folder, and is recorded there.
Where nothing is driven there is nothing to hold back: `hv run --resume` goes on
with what was interrupted, paused or not.

Example:
  hv saga pause ~/.local/share/hv/runs/release/trail
  hv saga resume ~/.local/share/hv/runs/release/trail

Exit codes: 0 recorded, 1 not recorded, or not yet, 2 nothing is driven there";

const CANCEL_HELP: &str = "\
It reaches the saga that is being driven in the folder, and is recorded there.
What runs may end by itself for ten seconds, then it is stopped; what was done is
undone in reverse order, and the run ends as one that was rolled back. Work that
has ended stays as it ended. What was interrupted and is driven by nobody goes on
with `hv run --resume`, and can be cancelled then.

Example:
  hv saga cancel ~/.local/share/hv/runs/release/trail

Exit codes: 0 recorded, 1 not recorded, or not yet, 2 nothing is driven there";

const RELIEVE_HELP: &str = "\
It reaches the saga that is being driven in the folder, and is recorded there.
A step that was stopped and names no substitute is looked at, and tried again or
undone. The agent stays a member and may start its other steps; `hv kill --agent`
keeps it from that.

Example:
  hv saga relieve DIR --agent did:mesh:releaser

Exit codes: 0 recorded, 1 not recorded, or not yet, 2 nothing is driven there";

const RESTORE_HELP: &str = "\
ITEM is SESSION/ACTION, or the action alone where that is clear. It takes the
word of a witness that the node listens to. Without --witness the call that the
witness is to sign is printed; it counts for one hour.

Example:
  hv saga restore DIR git.push --by did:mesh:operator > call.json
  hv id sign --key human.key --type witness --audience did:web:node.example \\
     --deadline 1h call.json > word.json
  hv saga restore DIR git.push --witness word.json

Exit codes: 0 restored, or the call was printed; 1 hv failed; 2 bad input;
5 denied";

/// A trail to read.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A trail, and which saga of it.
#[derive(Debug, Args)]
pub struct PickArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// Only sagas of this name
    #[arg(long, value_name = "NAME")]
    pub saga: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hv saga graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// Only sagas of this name
    #[arg(long, value_name = "NAME")]
    pub saga: Option<String>,
    /// Draw it for Mermaid
    #[arg(long)]
    pub mermaid: bool,
    /// Draw every attempt over time, as an SVG picture
    #[arg(long, conflicts_with = "mermaid")]
    pub svg: bool,
}

/// Arguments of `hv saga replay-check`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// The changed session file
    #[arg(long, value_name = "FILE")]
    pub against: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hv saga pause`, `resume` and `cancel`.
#[derive(Debug, Args)]
pub struct SteerArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// How long to wait for whoever drives the saga
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub wait: Duration,
}

/// Arguments of `hv saga relieve`.
#[derive(Debug, Args)]
pub struct RelieveArgs {
    /// Where.
    #[command(flatten)]
    pub steer: SteerArgs,
    /// Who
    #[arg(long, value_name = "DID")]
    pub agent: Did,
}

/// Arguments of `hv saga resolve`, `skip`, `retry` and `restore`.
#[derive(Debug, Args)]
pub struct SettleArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// What it is about: SESSION/SAGA/STEP, or its last part alone where that is clear
    #[arg(value_name = "ITEM")]
    pub item: String,
    /// Who asks for it; with --witness, whom the witness named
    #[arg(long, value_name = "DID", required_unless_present = "witness", conflicts_with = "witness")]
    pub by: Option<Did>,
    /// The envelope of the witness's word
    #[arg(long, value_name = "FILE")]
    pub witness: Option<PathBuf>,
}
