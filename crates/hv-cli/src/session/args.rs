//! The arguments of `hv session` and `hv kill`.

use super::consent::ConsentArgs;
use crate::args::ReversibilityArg;
use crate::config::args::ConfigArgs;
use crate::id::args::duration;
use crate::intent::PolicyArgs;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use hv_core::rings::class::Claim;
use hv_core::session::{BadConfig as BadSession, Quotas, SessionConfig};
use hv_core::types::{ActionId, ActionKind, Did, NotAFraction, Reversibility, SessionId, Sigma, StepId};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `hv session`.
#[derive(Debug, Args)]
#[command(after_help = SESSION_HELP)]
pub struct SessionArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SessionCommand,
}

const SESSION_HELP: &str = "\
A session lives in a folder. Whoever runs the node opens it and says which
actions there are and what they count as; agents then do everything through
`hv session exec`, each call past the gate, recorded, and undone on demand.
One command works on a folder at a time; the others wait.

Example:
  hv session open --data trail --id fix-42 --allow git.commit=full --allow ls=read-only
  hv session join --data trail --agent did:mesh:coder --sigma 0.85
  hv session activate --data trail
  hv session exec --data trail --agent did:mesh:coder --action git.commit \\
      --undo 'git reset --soft HEAD~1' --probe 'git log -1 | grep -q \"Fix 42\"' \\
      -- git commit -m 'Fix 42'
  hv session undo --data trail
  hv session close --data trail

Exit codes: 0 done, 1 hv failed, 2 bad input, 3 exec: it failed and is undone,
4 something could not be undone, 5 denied, 130 interrupted twice";

/// What `hv session` can do.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Open a session in a folder, and say which actions there are
    Open(OpenArgs),
    /// List the sessions of a folder, those that have ended too
    List(Place),
    /// Let an agent join; prints the ring in which it stands
    Join(JoinArgs),
    /// Let members act
    Activate(At),
    /// Say what actions count as; what was said before still counts, and the strictest wins
    Allow(AllowArgs),
    /// Run a command as an agent: past the gate, recorded, to be undone
    Exec(AskedArgs),
    /// Run a command and undo it, to see whether that works: from then on it counts for this agent
    #[command(after_long_help = REHEARSE_HELP)]
    Rehearse(ExecArgs),
    /// Undo what was run last, or what is named
    Undo(UndoArgs),
    /// Say who is in a session, what was run in it and what was refused
    Status(At),
    /// Let a member leave; it may join again
    Leave(MemberArgs),
    /// Put a member out; it has to be readmitted before it joins again
    Evict(MemberArgs),
    /// Let one that was put out join again
    Readmit(MemberArgs),
    /// End a session; prints the root over its records
    Close(CloseArgs),
}

/// Where a node keeps its trail.
#[derive(Debug, Args)]
pub struct Place {
    /// The folder of the trail
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// How long to wait for another command that works on the folder
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub wait: Duration,
    /// What is said of the node's limits.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print the answer as one JSON document
    #[arg(long)]
    pub json: bool,
}

/// One session of a folder.
#[derive(Debug, Args)]
pub struct At {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// The session [default: the only open one]
    #[arg(long, value_name = "ID")]
    pub session: Option<SessionId>,
}

/// Arguments of `hv session open`.
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// Where; the folder is made where there is none.
    #[command(flatten)]
    pub place: Place,
    /// The session's name [default: one that is not taken]
    #[arg(long, value_name = "ID")]
    pub id: Option<SessionId>,
    /// Who opens it
    #[arg(long, value_name = "DID", default_value = "did:hv:operator")]
    pub creator: Did,
    /// What a stale write of a file meets [default: `session.mode` of the configuration, strong]
    #[arg(long, value_enum)]
    pub mode: Option<ModeArg>,
    /// How many members it may have at once, 1 to 1000 [default: `session.max_participants`, 10]
    #[arg(long, value_name = "N")]
    pub max_participants: Option<u32>,
    /// How long it may last, 1s to 7d [default: `session.duration`, 1h]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// The σ_eff below which a member is held in Ring 3 [default: `session.min_sigma`, 0.60]
    #[arg(long, value_name = "S", value_parser = sigma, allow_hyphen_values = true)]
    pub min_sigma: Option<Sigma>,
    /// How many files it may hold at once [default: `session.max_files`, 10000]
    #[arg(long, value_name = "N")]
    pub max_files: Option<u32>,
    /// How many bytes they may hold together [default: `session.max_bytes`, 1 GiB]
    #[arg(long, value_name = "N")]
    pub max_bytes: Option<u64>,
    /// An action and what it counts as; see `hv session allow --help`
    #[arg(long, value_name = "ACTION=CLASS", value_parser = allowance)]
    pub allow: Vec<Allowance>,
    /// What it makes of intents.
    #[command(flatten)]
    pub intents: PolicyArgs,
}

/// What a stale write of a file meets.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ModeArg {
    /// It is refused
    Strong,
    /// It is kept beside the newer version
    Eventual,
}

/// Arguments of `hv session join`.
#[derive(Debug, Args)]
#[command(after_help = "\
An agent that the ledger knows keeps its reputation; --sigma and --manifest speak of new ones.

Exit codes: 0 joined, 5 refused")]
pub struct JoinArgs {
    /// Which session.
    #[command(flatten)]
    pub at: At,
    /// Who joins
    #[arg(long, value_name = "DID")]
    pub agent: Did,
    /// The trust score for which you vouch, from 0 to 1
    #[arg(long, value_name = "S", value_parser = sigma, conflicts_with = "manifest", allow_hyphen_values = true)]
    pub sigma: Option<Sigma>,
    /// Its manifest (IATP, JSON)
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// Arguments of `hv session allow`.
#[derive(Debug, Args)]
#[command(after_help = "\
Classes:
  read-only          changes nothing; every member may
  full, partial      can be undone; counts only with an undo and a probe that
                     shows that the undo worked
  full-unproven,     the same, and you accept an undo without a probe
  partial-unproven
  full-rehearsed,    the same, and only once this very command and this very
  partial-rehearsed  undo were seen to work, with `hv session rehearse`
  none               cannot be undone; needs Ring 1
  admin              changes the supervisor itself; needs Ring 0

Example:
  hv session allow --data trail git.push=full deploy=none")]
pub struct AllowArgs {
    /// Which session.
    #[command(flatten)]
    pub at: At,
    /// Actions and what they count as
    #[arg(value_name = "ACTION=CLASS", value_parser = allowance, required = true)]
    pub allow: Vec<Allowance>,
}

/// Arguments of `hv session exec`.
#[derive(Debug, Args)]
#[command(after_long_help = EXEC_HELP)]
pub struct AskedArgs {
    /// What is run.
    #[command(flatten)]
    pub exec: ExecArgs,
    /// What others say about it.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// A command that an agent runs.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Which session.
    #[command(flatten)]
    pub at: At,
    /// Who does it
    #[arg(long, value_name = "DID")]
    pub agent: Did,
    /// What it is; an action that nobody allowed is denied
    #[arg(long, value_name = "ACTION")]
    pub action: ActionId,
    /// How far it can be undone, where that is less than what was allowed
    #[arg(long, value_enum)]
    pub reversibility: Option<ReversibilityArg>,
    /// A shell line that takes it back
    #[arg(long, value_name = "LINE")]
    pub undo: Option<String>,
    /// A shell line that says whether its effect is there: 0 it is, 1 it is not
    #[arg(long, value_name = "LINE")]
    pub probe: Option<String>,
    /// A name for it [default: e1, e2, …]
    #[arg(long, value_name = "NAME")]
    pub step: Option<StepId>,
    /// How long it may take
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub timeout: Duration,
    /// How often it is repeated where it fails
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retries: u32,
    /// A variable for the command; a secret is named, not written: env:NAME or file:PATH
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// A variable of hv's own environment that the command gets as it is
    #[arg(long, value_name = "NAME")]
    pub pass: Vec<String>,
    /// What the command reads: a text, env:NAME or file:PATH
    #[arg(long, value_name = "TEXT")]
    pub stdin: Option<String>,
    /// The command and its arguments; no shell
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

const REHEARSE_HELP: &str = "\
The command is run, its probe has to see its effect, its undo is run, and its
probe has to see that the effect is gone. Then `hv session exec` with the same
agent, command, undo, folder and variables counts as one that can be undone,
until an undo of the action fails in the session. Whoever runs the node answers
for a rehearsal: its undo is accepted unproven, and the trail says so.

Example:
  hv session rehearse --data trail --agent did:mesh:coder --action db.migrate \\
      --undo './migrate down' --probe './migrate is-up' -- ./migrate up

Exit codes:
    0  it works, and counts
    1  hv itself failed
    2  bad input; nothing was run
    3  it was not seen to work, and is undone; it does not count
    4  it could not be undone; a person has to look
    5  denied; nothing was run
  130  interrupted twice; the next command takes it up";

const EXEC_HELP: &str = "\
What the command prints is shown as it comes (with --json: when it has ended),
with the secrets that it was given cut out, and up to 1 MiB of it kept beside the
trail. Its environment is PATH, HOME and the like, what --env and --pass name,
and HV_SESSION, HV_STEP, HV_IDEMPOTENCY_KEY; nothing else.

Where a command fails (exit code other than 0), its probe is asked what it left,
and that is undone; without a probe it counts as having left nothing behind.
Where it does not end by itself (a timeout, a signal), its probe says whether it
is done, and without one it is undone. Ctrl-C and SIGTERM undo it; a second one
stops that, and the next command takes it up. hv exits 3 where it is not done.

What needs Ring 1 takes the votes of a quorum on exactly this command, what is
outside an intent the word of a witness, where the session says so. --ask prints
what they sign; the same command with --signed brings it. Another name of the
step, folder, argument or variable is another command.

Examples:
  hv session exec --data trail --agent did:mesh:coder --action ls -- ls -l
  hv session exec --data trail --agent did:mesh:coder --action git.push \\
      --undo 'git push origin :fix-42' \\
      --probe 'git ls-remote --exit-code origin fix-42 || case $? in 2) exit 1;; *) exit 3;; esac' \\
      --env GIT_TOKEN=env:GIT_TOKEN -- git push origin fix-42
  hv session exec --data trail --agent did:mesh:coder --action deploy --step ship \\
      --ask voter -- ./deploy v2 > call.json
  hv id sign --key b.key --type vote --audience did:web:node.example \\
      --deadline 1h call.json > b.json
  hv session exec --data trail --agent did:mesh:coder --action deploy --step ship \\
      --signed b.json --signed c.json -- ./deploy v2

Exit codes:
    0  done
    1  hv itself failed
    2  bad input; nothing was run
    3  it failed, and what its probe found of it is undone
    4  it failed, and could not be undone; a person has to look
    5  denied; nothing was run
  130  interrupted twice; the next command takes it up";

/// Arguments of `hv session undo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 undone, 2 there is nothing to undo, 4 it could not be undone,
130 interrupted twice; the next command takes up what was being undone")]
pub struct UndoArgs {
    /// Which session.
    #[command(flatten)]
    pub at: At,
    /// What to undo, by its name [default: what was run last and is not undone]
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    pub step: Option<StepId>,
    /// Undo everything, the last first
    #[arg(long)]
    pub all: bool,
}

/// A member of a session.
#[derive(Debug, Args)]
pub struct MemberArgs {
    /// Which session.
    #[command(flatten)]
    pub at: At,
    /// Who
    #[arg(long, value_name = "DID")]
    pub agent: Did,
}

/// Arguments of `hv session close`.
#[derive(Debug, Args)]
pub struct CloseArgs {
    /// Which session.
    #[command(flatten)]
    pub at: At,
    /// Undo everything first, the last first
    #[arg(long)]
    pub undo: bool,
}

/// Arguments of `hv kill`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("target").required(true).args(["agent", "action", "session", "all"]))]
#[command(after_help = "\
From the record of it on, nothing of the target starts, whatever was granted
before, and what runs under `hv session exec` or `hv run` is stopped and undone;
where its step names a substitute, that one takes over from a killed agent. What
came of that is recorded too. Undo still runs.

Examples:
  hv kill --data trail --agent did:mesh:coder --reason 'it deletes branches'
  hv kill --data trail --agent did:mesh:coder --lift --reason 'mended'

Exit codes: 0 recorded, 1 hv failed or what runs could not be stopped, 2 bad
input, 5 refused (killed already, or nothing to lift)")]
pub struct KillArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// An agent, in every session
    #[arg(long, value_name = "DID")]
    pub agent: Option<Did>,
    /// An action, in every session
    #[arg(long, value_name = "ACTION")]
    pub action: Option<ActionId>,
    /// A session
    #[arg(long, value_name = "ID")]
    pub session: Option<SessionId>,
    /// Everything
    #[arg(long)]
    pub all: bool,
    /// Why
    #[arg(long, value_name = "TEXT", value_parser = crate::call::reason)]
    pub reason: String,
    /// Who says so
    #[arg(long, value_name = "DID", default_value = "did:hv:operator")]
    pub by: Did,
    /// Lift the kill instead
    #[arg(long)]
    pub lift: bool,
}

/// An action and what whoever runs the node says of it.
#[derive(Debug, Clone)]
pub struct Allowance {
    pub(super) action: ActionId,
    pub(super) claim: Claim,
    pub(super) proof: Proof,
}

/// Whether an undo has to be shown to have worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Needed,
    NotNeeded,
    /// Shown before, in a rehearsal.
    Rehearsed,
}

impl OpenArgs {
    /// The settings, where they are within their limits; those that are left out are these.
    pub(super) fn config(&self, unsaid: &SessionConfig) -> Result<SessionConfig, BadSession> {
        let mode = self.mode.map_or(unsaid.mode(), |mode| match mode {
            ModeArg::Strong => hv_core::ConsistencyMode::Strong,
            ModeArg::Eventual => hv_core::ConsistencyMode::Eventual,
        });
        let quotas = Quotas {
            files: self.max_files.unwrap_or(unsaid.quotas().files),
            bytes: self.max_bytes.unwrap_or(unsaid.quotas().bytes),
            ..*unsaid.quotas()
        };
        unsaid
            .with_mode(mode)
            .with_min_sigma_eff(self.min_sigma.unwrap_or(unsaid.min_sigma_eff()))
            .with_quotas(quotas)
            .with_max_participants(self.max_participants.unwrap_or(unsaid.max_participants()))?
            .with_max_duration(self.duration.unwrap_or(unsaid.max_duration()))
    }
}

fn sigma(text: &str) -> Result<Sigma, NotAFraction> {
    text.parse()
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("no NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn allowance(text: &str) -> Result<Allowance, String> {
    let (action, class) = text.split_once('=').ok_or("no ACTION=CLASS, such as git.push=full")?;
    let action = ActionId::new(action).map_err(|bad| bad.to_string())?;
    if action.as_str().starts_with("hv.") {
        return Err(format!("names that begin with hv. are kept for hv; call `{action}` otherwise"));
    }
    let (kind, reversibility, proof) = match class {
        "read-only" => (ActionKind::ReadOnly, Reversibility::Full, Proof::Needed),
        "full" => (ActionKind::Effect, Reversibility::Full, Proof::Needed),
        "full-unproven" => (ActionKind::Effect, Reversibility::Full, Proof::NotNeeded),
        "partial" => (ActionKind::Effect, Reversibility::Partial, Proof::Needed),
        "partial-unproven" => (ActionKind::Effect, Reversibility::Partial, Proof::NotNeeded),
        "full-rehearsed" => (ActionKind::Effect, Reversibility::Full, Proof::Rehearsed),
        "partial-rehearsed" => (ActionKind::Effect, Reversibility::Partial, Proof::Rehearsed),
        "none" => (ActionKind::Effect, Reversibility::None, Proof::Needed),
        "admin" => (ActionKind::Admin, Reversibility::None, Proof::Needed),
        _ => {
            return Err(
                "the class is read-only, full, full-unproven, full-rehearsed, partial, partial-unproven, \
                 partial-rehearsed, none or admin"
                    .into(),
            );
        }
    };
    let claim = Claim { kind: Some(kind), reversibility: Some(reversibility), ..Claim::default() };
    Ok(Allowance { action, claim, proof })
}
