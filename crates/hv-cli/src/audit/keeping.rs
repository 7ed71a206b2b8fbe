//! `hv audit purge` and `hv audit hold`: what of a trail is destroyed, and what stays whatever is asked.

use super::keys::KeyText;
use super::writing::Writer;
use super::{Failure, NoTrail, bad_input, look, reduce};
use crate::Exit;
use crate::answerable::{ask, word_of};
use crate::node::Word;
use crate::output::{self, counted, one_line};
use crate::plan::read_duration;
use clap::{Args, Subcommand, ValueEnum};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::retention::{Fate, Scope};
use hv_core::audit::{Entry, Kind, Verdict, verify_on};
use hv_core::types::{BadIdent, Did, Digest, SessionId};
use hv_core::{Clock, Contents, Hold, Hypervisor, PurgePlan, PurgeRequest, Request, SystemClock};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `hv audit purge`.
#[derive(Debug, Args)]
#[command(after_help = "\
Contents (what programs printed, notes, versions of files) are kept for 184
days and can be purged then. What is evidence (of denials, slashes, undos that
failed) is never purged, what a hold keeps and what an open session needs is
not either. Records stay; every hash, proof and checkpoint still verifies.

Before their time contents go only by the word of a witness of the node on
exactly this purge: whose, how old, and by whom. Evidence, and what is on hold
or in use, stays then too.

With --tier records go, too: those of sessions that ended 184 days ago or more
(or as long ago as the node sets), with all their contents. What is left of a session are the hashes of its records
(leaves), or of the first and the last, and the roots over the others (roots). A
checkpoint that you keep outside the folder must speak for their end. Sessions
with evidence in them, what is on hold, and what the node and the ledger said
stay whole.

Out of reach are copies of the folder, and what a disk keeps of blocks that
were overwritten.

Examples:
  hv audit purge trail --dry-run
  hv audit purge trail --subject did:mesh:alice --older-than 365d
  hv audit purge trail --again   # after a backup was put back
  hv audit purge trail --tier leaves --mark trail.mark --key log.key --dry-run
  hv audit purge trail --tier roots --mark trail.mark --key log.key
  hv audit purge trail --subject did:mesh:alice --older-than 30d --ask > call.json
  hv id sign --key human.key --type witness --audience did:web:node.example \\
      --deadline 10m call.json > word.json
  hv audit purge trail --subject did:mesh:alice --older-than 30d --witness word.json

Exit codes: 0 done, also where nothing was due; 1 the trail is tampered with;
2 bad input; 5 something is asked for that has to be kept longer, and no word
of a witness counts for it")]
pub struct PurgeArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// Only contents of this session
    #[arg(long, value_parser = session)]
    pub session: Option<SessionId>,
    /// Only contents that concern this agent
    #[arg(long, value_name = "DID", value_parser = did)]
    pub subject: Option<Did>,
    /// Only contents at least this old, as 184d [default: as long as they must be kept]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub older_than: Option<Duration>,
    /// Destroy also the records of sessions that are over, but for the hash of each (leaves), or but for the roots over
    /// them (roots)
    #[arg(long, value_enum, requires_all = ["mark", "key"], conflicts_with_all = ["subject", "again", "ask", "witness"])]
    pub tier: Option<TierArg>,
    /// A checkpoint outside the folder that speaks for the end of these sessions
    #[arg(long, value_name = "FILE", requires = "tier")]
    pub mark: Option<PathBuf>,
    /// The log's public key: as notes have it (name+id+base64), a did:key, or a file with one of them
    #[arg(long, value_name = "KEY", requires = "tier")]
    pub key: Option<KeyText>,
    /// A note by which the key was replaced; may be given more than once, the oldest first
    #[arg(long, value_name = "FILE", requires = "tier")]
    pub rotation: Vec<PathBuf>,
    /// Say what would be purged, and change nothing
    #[arg(long, conflicts_with_all = ["ask", "witness"])]
    pub dry_run: bool,
    /// Destroy once more what was purged and is there again
    #[arg(long, conflicts_with = "dry_run")]
    pub again: bool,
    /// The word of a witness for this purge: an envelope
    #[arg(long, value_name = "FILE", conflicts_with = "ask", requires = "older_than")]
    pub witness: Option<PathBuf>,
    /// Who decides a purge before its time.
    #[command(flatten)]
    pub word: Word,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is left of the records of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TierArg {
    /// The hash of every record
    Leaves,
    /// The hashes of the first and the last, and the roots over those in between
    Roots,
}

/// Arguments of `hv audit hold`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hv audit hold trail add --session release-7 --reason \"case 2026-114\"
  hv audit hold trail list
  hv audit hold trail release 0

Exit codes: 0 done, 1 the trail is tampered with, 2 bad input, 5 there is no such hold")]
pub struct HoldArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: HoldCommand,
}

/// What `hv audit hold` can do.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// Put a hold on contents, those to come too
    Add {
        /// On those of this session
        #[arg(long, value_parser = session)]
        session: Option<SessionId>,
        /// On those that may concern this agent
        #[arg(long, value_name = "DID", value_parser = did)]
        subject: Option<Did>,
        /// Why, for whoever wants to release it
        #[arg(long, value_name = "TEXT", value_parser = crate::call::reason)]
        reason: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a hold off
    Release {
        /// Its number
        hold: u32,
    },
    /// Print the holds that are on
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

fn session(text: &str) -> Result<SessionId, BadIdent> {
    SessionId::new(text)
}

fn did(text: &str) -> Result<Did, BadIdent> {
    Did::new(text)
}

fn duration(text: &str) -> Result<Duration, String> {
    read_duration(text).map_err(|_| format!("`{text}` is no length of time; write one as 184d or 12h"))
}

/// Purges, or says what would be purged.
pub(super) fn purge(args: &PurgeArgs) -> Result<Exit, Failure> {
    look(&args.data)?;
    if let (Some(tier), Some(mark)) = (args.tier, &args.mark) {
        return reduce::run(args, tier, mark);
    }
    let scope = Scope { session: args.session.clone(), subject: args.subject.clone() };
    let request = PurgeRequest { scope, older_than: args.older_than };
    if args.dry_run {
        let contents = contents(args)?;
        let plan = contents.plan(&request, SystemClock.now());
        return tell(args, &plan, contents.purged());
    }
    if args.word.ask {
        if request.older_than.is_none() {
            return Err(bad_input(&"--ask needs --older-than; what is due needs nobody's word"));
        }
        let Word { by, lasts, .. } = &args.word;
        let asked = ask(&Request::Purge { purge: request }, by, *lasts).map_err(|why| bad_input(&why))?;
        return Ok(asked.tell(args.json)?);
    }
    let word = args.witness.as_deref().map(word_of).transpose().map_err(|why| bad_input(&why))?;
    let (by, meant) = (args.word.by.clone(), args.session.clone());
    let writer = Writer::open(&args.data, args.again)?;
    let done = writer.run(|hv| async move {
        if let Some(session) = meant.filter(|session| !in_trail(&hv, session)) {
            output::error(&misspelt(&session, "nothing of it is purged"));
        }
        let plan = match &word {
            Some(word) => hv.purge_witnessed(&by, &request, word).await?,
            None => hv.purge(&request).await?,
        };
        let purged = hv.contents()?.purged();
        Ok((plan, purged))
    });
    let (plan, purged) = done?;
    tell(args, &plan, purged)
}

/// What the trail refers to, read as a stranger does.
pub(super) fn contents(args: &PurgeArgs) -> Result<Contents, Failure> {
    let (mut contents, mut missing) = (Contents::default(), args.session.as_ref());
    let mut take = |entry: Entry<'_>| {
        contents.take(&entry);
        if let Kind::StreamOpened { label, .. } = entry.kind {
            missing = missing.filter(|session| session.as_str() != label);
        }
    };
    let report = verify_on(&RealDisk, &args.data, &mut take).map_err(NoTrail::from)?;
    if let Verdict::Tampered(finding) = report.verdict {
        return Err(Failure::Tampered(finding.to_string()));
    }
    if let Some(session) = missing {
        output::error(&misspelt(session, "nothing of it is purged"));
    }
    Ok(contents)
}

/// Whether there is, or was, a session of this name. One that cannot be read back is none that is misspelt.
fn in_trail(hv: &Hypervisor, session: &SessionId) -> bool {
    let open = hv.open_sessions().is_ok_and(|open| open.contains(session));
    open || hv.closed_sessions(session).map_or(true, |closed| !closed.is_empty())
}

/// What is told of a session that the trail does not have; it may come, so that is no error.
fn misspelt(session: &SessionId, so: &str) -> String {
    format!(
        "hv: there is no session `{session}` in this trail yet; {so} (`hv audit stats` lists what there is)"
    )
}

fn tell(args: &PurgeArgs, plan: &PurgePlan, purged: u64) -> Result<Exit, Failure> {
    let document = PurgeDocument::of(args, plan, purged);
    output::document(&document, args.json)?;
    let early = args.dry_run && document.early > 0;
    Ok(if early { Exit::Denied } else { Exit::Done })
}

/// A purge as it is printed.
#[derive(Debug, Serialize)]
struct PurgeDocument {
    dry_run: bool,
    /// Contents that are, or would be, purged now.
    contents: u64,
    bytes: u64,
    ids: Vec<Digest>,
    /// Contents that stay, by why.
    evidence: u64,
    held: u64,
    in_use: u64,
    early: u64,
    /// Contents that are not meant, or not due.
    others: u64,
    /// All contents of the trail that were ever purged.
    purged: u64,
}

impl PurgeDocument {
    fn of(args: &PurgeArgs, plan: &PurgePlan, purged: u64) -> Self {
        Self {
            dry_run: args.dry_run,
            contents: plan.due.len() as u64,
            bytes: plan.bytes(),
            ids: plan.due.iter().map(|kept| kept.payload.id()).collect(),
            evidence: plan.staying(Fate::Forensic),
            held: plan.staying(Fate::Held),
            in_use: plan.staying(Fate::InUse),
            early: plan.staying(Fate::Early),
            others: plan.staying(Fate::Stays),
            purged,
        }
    }
}

impl fmt::Display for PurgeDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (contents, bytes) = (counted(self.contents, "content"), counted(self.bytes, "byte"));
        if self.dry_run {
            writeln!(f, "would purge {contents} of {bytes}; nothing was changed")?;
        } else {
            writeln!(f, "purged {contents} of {bytes}, with their keys")?;
        }
        for (count, why) in [
            (self.evidence, "evidence, which is never purged"),
            (self.held, "on hold (`hv audit hold DIR list`)"),
            (self.in_use, "of a session that is open"),
            (self.early, "to be kept longer, so a purge of this would be denied"),
        ] {
            if count > 0 {
                writeln!(f, "stay: {count}, {why}")?;
            }
        }
        writeln!(f, "out of reach: copies of the folder, and what a disk keeps of overwritten blocks")
    }
}

/// Puts holds on, takes them off and lists them.
pub(super) fn hold(args: &HoldArgs) -> Result<Exit, Failure> {
    look(&args.data)?;
    match &args.command {
        HoldCommand::Add { session, subject, reason, json } => {
            let scope = Scope { session: session.clone(), subject: subject.clone() };
            let writer = Writer::open(&args.data, false)?;
            let (held, why) = (scope.clone(), reason.clone());
            let number = writer.run(|hv| async move {
                if let Some(session) = held.session.as_ref().filter(|session| !in_trail(&hv, session)) {
                    output::error(&misspelt(session, "the hold waits for one of that name"));
                }
                hv.hold(&held, &why).await
            })?;
            let hold = Hold { number, scope, reason: reason.clone() };
            let document = HoldDocument::of(&hold);
            output::document(&document, *json)?;
        }
        HoldCommand::Release { hold } => {
            let hold = *hold;
            let writer = Writer::open(&args.data, false)?;
            writer.run(|hv| async move { hv.release_hold(hold).await })?;
            output::print(&format_args!("hold {hold} is off\n"))?;
        }
        HoldCommand::List { json } => {
            let mut contents = Contents::default();
            let report = verify_on(&RealDisk, &args.data, &mut |entry| contents.take(&entry));
            if let Verdict::Tampered(finding) = report.map_err(NoTrail::from)?.verdict {
                return Err(Failure::Tampered(finding.to_string()));
            }
            let holds: Vec<HoldDocument> = contents.holds().map(HoldDocument::of).collect();
            if *json {
                output::json(&holds)?;
            } else if holds.is_empty() {
                output::print(&"no hold is on\n")?;
            } else {
                let lines: String = holds.iter().map(ToString::to_string).collect();
                output::print(&lines)?;
            }
        }
    }
    Ok(Exit::Done)
}

/// A hold as it is printed.
#[derive(Debug, Serialize)]
struct HoldDocument {
    hold: u32,
    session: Option<String>,
    subject: Option<String>,
    reason: String,
}

impl HoldDocument {
    fn of(hold: &Hold) -> Self {
        let Hold { number, scope, reason } = hold;
        Self {
            hold: *number,
            session: scope.session.as_ref().map(ToString::to_string),
            subject: scope.subject.as_ref().map(ToString::to_string),
            reason: reason.clone(),
        }
    }
}

impl fmt::Display for HoldDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hold, session, subject, reason } = self;
        write!(f, "hold {hold}")?;
        match (session, subject) {
            (None, None) => write!(f, " on everything")?,
            (session, subject) => {
                session.iter().try_for_each(|session| write!(f, " on session {session}"))?;
                subject.iter().try_for_each(|subject| write!(f, " on agent {subject}"))?;
            }
        }
        writeln!(f, ": {}", one_line(reason))
    }
}
