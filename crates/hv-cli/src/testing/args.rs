//! The arguments of `hv test`.

use clap::Args;
use std::path::PathBuf;

/// Arguments of `hv test`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct TestArgs {
    /// Folders with scenarios, or single ones
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Write what came of each scenario as what is expected of it, where nothing is written yet
    #[arg(long)]
    pub write: bool,
    /// Leave the folders in which the scenarios worked
    #[arg(long)]
    pub keep: bool,
    /// Print the result as one JSON document
    #[arg(long)]
    pub json: bool,
}

const HELP: &str = "\
A scenario is a session file (NAME.toml or NAME.json) or a script (NAME.sh)
with what is expected of it beside it, in NAME.expected.json. Each runs in a
folder of its own, for real. What is expected is a part of the report of the
run: each field that stands there must be so, fields that do not stand there
may be anything, and lists have as many entries as are named. In place of a
text, { \"$contains\": \"…\" } asks for a part of it.

A script runs in an empty folder with HV (this program) and DATA (the folder of
a trail that is not there yet) in its environment; its report has exit_code,
stdout as a list of lines, and verify.

Example:
  hv test examples/scenarios

Exit codes: 0 everything is as expected, 1 something is not, 2 bad input (no
scenario, one that cannot be read, or one without what is expected; the others
are run all the same)";
