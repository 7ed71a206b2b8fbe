//! The arguments of `hv config`, and the one of every command that opens a node.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Where a node's limits are said.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// The file with the node's limits, TOML; see `hv config` [default: $HV_CONFIG; without either, those that the trail
    /// recorded last]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `hv config`.
#[derive(Debug, Args)]
#[command(after_help = CONFIG_HELP)]
pub struct ConfigCommandArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What `hv config` can do.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting with what holds and who said it
    Show(ShowArgs),
    /// Say what is wrong with the file or the environment
    Check(CheckArgs),
    /// Print the JSON Schema of the file; each description names the variable
    Schema,
}

/// Arguments of `hv config show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// What is said.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What holds on the node with its trail in this folder, once it is opened
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hv config check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// What is said.
    #[command(flatten)]
    pub config: ConfigArgs,
}

const CONFIG_HELP: &str = "\
A file says everything: what it does not name is as by default. Without one,
what the trail recorded last holds. A variable HV_CONFIG_… changes one value of
either, as HV_CONFIG_RATES_SANDBOX_BURST=5 does; one of that kind that is not
known is an error. What holds is recorded when a node is opened with it.

Examples:
  hv config check --config hv.toml
  hv config show --config hv.toml --data trail
  HV_CONFIG_TOOLS_SANDBOX=1 hv config show --json
  hv config schema > hv.schema.json

Exit codes: 0 done, 2 something that was said cannot be";
