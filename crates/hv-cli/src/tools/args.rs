//! The command line of `hv tools`.

use crate::id::args::duration;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `hv tools`.
#[derive(Debug, Args)]
pub struct ToolsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ToolsCommand,
}

/// What `hv tools` can do.
#[derive(Debug, Subcommand)]
pub enum ToolsCommand {
    /// Say what the tools of a server (Model Context Protocol) count as, and whether they changed
    #[command(after_help = CLASSIFY_HELP)]
    Classify(ClassifyArgs),
}

const CLASSIFY_HELP: &str = "\
What a server says of its tools is its own word. With --trust, a tool that it calls
read-only is open to everybody (Ring 3), and one whose undo hv has tried needs Ring 2.
Everything else, and everything of a server that nobody trusts, counts as what cannot be
undone: Ring 1. The server sees PATH, HOME, LANG and TMPDIR of the environment, and what
--env names.

Examples:
  hv tools classify --trust -- npx @modelcontextprotocol/server-filesystem /srv/files
  hv tools classify --pin git.pins -- mcp-server-git --repository .
  hv tools classify --url http://127.0.0.1:3001/mcp --json
  hv tools classify --trust --actions -- mcp-server-git >> session.toml

Exit codes: 0 told; 1 a pinned definition is another one now, or the server does not
answer as it should; 2 bad input";

/// Arguments of `hv tools classify`.
#[derive(Debug, Args)]
pub struct ClassifyArgs {
    /// The program of the server, and its arguments
    #[arg(last = true, required_unless_present = "url", value_name = "COMMAND")]
    pub program: Vec<String>,
    /// A server behind an address, instead of a program
    #[arg(long, value_name = "URL", conflicts_with = "program", value_parser = url)]
    pub url: Option<String>,
    /// Take the server at its word: you chose it, and know whose it is
    #[arg(long)]
    pub trust: bool,
    /// Compare the definitions with those in this file; where there is none yet, write it
    #[arg(long, value_name = "FILE", value_parser = crate::outside::parser())]
    pub pin: Option<PathBuf>,
    /// Pin the definitions as they are now
    #[arg(long, requires = "pin")]
    pub accept: bool,
    /// Let the server see this variable too
    #[arg(long, value_name = "NAME")]
    pub env: Vec<String>,
    /// How long an answer may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience)]
    pub timeout: Duration,
    /// Print the answer as JSON
    #[arg(long, conflicts_with = "actions")]
    pub json: bool,
    /// Print the tools as the `[[action]]` tables of a session file; nothing where one is not as pinned
    #[arg(long)]
    pub actions: bool,
}

fn url(text: &str) -> Result<String, &'static str> {
    if text.starts_with("http://") || text.starts_with("https://") {
        Ok(text.to_owned())
    } else {
        Err("it begins with http:// or https://")
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&time) {
        Ok(time)
    } else {
        Err("it lies between 1ms and 1h".to_owned())
    }
}
