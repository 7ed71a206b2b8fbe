//! The arguments of `hv trust`.

use crate::lines::LinesArgs;
use clap::{Args, Subcommand};
use hv_core::types::{Did, SessionId};
use std::path::PathBuf;

/// Arguments of `hv trust`.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TrustCommand,
}

/// What `hv trust` can do.
#[derive(Debug, Subcommand)]
pub enum TrustCommand {
    /// Compute trust points from histories, one JSON object a line, as Nexus does
    #[command(after_help = SCORE_HELP)]
    Score(LinesArgs),
    /// Show the reputation of agents, what they have bonded, and for whom
    #[command(after_help = "\
ρ is an agent's reputation, bonded the part of it that is locked for others;
σ_eff is what is left, with what others have locked for it. Read without the
lock of the trail, also while something works on it.

Examples:
  hv trust show --data trail
  hv trust show --data trail --agent did:mesh:alice --json
  hv trust show --data trail --dot | dot -Tsvg > trust.svg

Exit codes: 0 shown, 1 the trail is tampered with, 2 bad input")]
    Show(ShowArgs),
    /// Show what happened to trust: accounts, vouches, slashes, in order
    #[command(after_help = "\
Examples:
  hv trust history --data trail
  hv trust history --data trail --agent did:mesh:carol --json

Exit codes: 0 shown, 1 the trail is tampered with, 2 bad input")]
    History(HistoryArgs),
    /// Say what it would cost whom if an agent were slashed now
    #[command(after_help = "\
For a violation that cannot be undone and is all the agent's own fault, now.
Nothing is recorded.

Example:
  hv trust what-if --data trail --slash did:mesh:carol

Exit codes: 0 said, 1 the trail is tampered with, 2 bad input")]
    WhatIf(WhatIfArgs),
}

/// Arguments of `hv trust show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The folder of the trail
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Only this agent, and the vouches from it and for it
    #[arg(long, value_name = "DID")]
    pub agent: Option<Did>,
    /// Print the vouches as a graph in the DOT language
    #[arg(long, conflicts_with_all = ["json", "agent"])]
    pub dot: bool,
    /// Print the answer as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hv trust history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The folder of the trail
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Only what speaks of this agent
    #[arg(long, value_name = "DID")]
    pub agent: Option<Did>,
    /// Print the answer as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hv trust what-if`.
#[derive(Debug, Args)]
pub struct WhatIfArgs {
    /// The folder of the trail
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Who would be slashed
    #[arg(long, value_name = "DID")]
    pub slash: Did,
    /// In which session [default: the last one in which somebody answers for the agent]
    #[arg(long, value_name = "ID")]
    pub session: Option<SessionId>,
    /// Print the answer as one JSON document
    #[arg(long)]
    pub json: bool,
}

const SCORE_HELP: &str = "\
A line has verification_level and history, and where they are known
capabilities and privacy. It is answered with total_score (0 to 1000), tier, base_score,
behavioral_modifier, capability_modifier and sigma. A bad line is answered
with its number and what is wrong with it; the others are answered all the
same.

Examples:
  hv trust score histories.jsonl
  echo '{\"verification_level\": \"verified\", \"history\": {}}' | hv trust score -

Exit codes: 0 every line answered, 2 a line was bad, or the file";
