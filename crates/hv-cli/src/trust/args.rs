//! The arguments of `hv trust`.

use crate::lines::LinesArgs;
use clap::{Args, Subcommand};

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
