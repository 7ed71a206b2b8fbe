//! `hv audit history`: what this node says about an agent's last sessions, for other nodes to weigh.

use super::keys::NoteKey;
use super::{Failure, bad_input, files, source};
use crate::Exit;
use crate::output;
use crate::plan::read_duration;
use clap::Args;
use hv_core::audit::{HISTORY_LENGTH, HistoryProof, KeyKind};
use hv_core::types::{Did, Timestamp};
use hv_core::{Clock, EndedSessions, SystemClock};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `hv audit history`.
#[derive(Debug, Args)]
#[command(after_help = "\
Writes which were the agent's last five sessions on this node, signed with the
log's key, with the proof that the log has them. Another node that listens to
this key believes it for as long as it says, an hour at most; whoever has it
can show it, and nobody can change it.

Example:
  hv audit history trail --agent did:mesh:author --key log.key --for 1h --to author.history

Exit codes: 0 written, 1 the trail was tampered with, 2 bad input")]
pub struct HistoryArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// Whose history
    #[arg(long, value_name = "DID")]
    pub agent: Did,
    /// The log's private key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The log's name [default: hv-trail/ and its number]
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// How long it is said for, at most a day
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub lasting: Duration,
    /// Where to write it; what is there is replaced
    #[arg(long, value_name = "FILE", value_parser = crate::outside::parser())]
    pub to: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    read_duration(text).map_err(|_| format!("`{text}` is no length of time; write one as 1h or 20m"))
}

/// What was written.
#[derive(Debug, Serialize)]
struct Document {
    agent: Did,
    origin: String,
    /// How many sessions it proves.
    sessions: usize,
    until: Timestamp,
    /// The key that other nodes have to listen to.
    key: String,
}

/// Signs and writes it.
pub(super) fn run(args: &HistoryArgs) -> Result<Exit, Failure> {
    let mut ended = EndedSessions::default();
    let (_, read) = source::read(&args.data, &mut |entry| {
        ended.take(entry);
        false
    })?;
    let signer = NoteKey::read(&args.key)?;
    let origin = args.origin.clone().unwrap_or_else(|| read.origin());
    let key = signer.named(&origin, KeyKind::Signer);
    let key = key.map_err(|bad| bad_input(&format_args!("--origin: {bad}")))?;
    let now = SystemClock.now();
    let closes = ended.of(&args.agent);
    let made = HistoryProof::make(&read, &args.agent, closes, (now, args.lasting), (&key, &signer));
    let made = made.map_err(|bad| bad_input(&bad))?;
    files::replace(&args.to, &made.to_file()).map_err(|error| error.failure())?;
    let sessions = closes.len().min(HISTORY_LENGTH);
    let until = now.after(args.lasting);
    let document = Document { agent: args.agent.clone(), origin, sessions, until, key: key.to_string() };
    if args.json {
        output::json(&document)?;
    } else {
        let Document { agent, sessions, until, key, .. } = &document;
        output::print(&format_args!(
            "{agent}: {sessions} of at most {HISTORY_LENGTH} sessions, said until {until}\n  key  {key}\n"
        ))?;
    }
    Ok(Exit::Done)
}
