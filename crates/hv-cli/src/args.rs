//! The command line.

use crate::answerable::{AcceptArgs, SlashArgs, VouchArgs};
use crate::audit::anchor::AnchorArgs;
use crate::audit::args::{
    CheckArgs as AuditCheckArgs, CheckpointArgs, DiffArgs, ExportArgs, ProveArgs, ShowArgs, StatsArgs,
    TailArgs, VerifyArgs, WitnessArgs,
};
use crate::audit::history::HistoryArgs;
use crate::audit::keeping::{HoldArgs, PurgeArgs};
use crate::call::CallArgs;
use crate::charge::ChargeArgs;
use crate::claimed::ManifestArgs;
use crate::config::args::{ConfigArgs, ConfigCommandArgs};
use crate::elevate::ElevateArgs;
use crate::exit::EXIT_CODES;
use crate::id::args::IdArgs;
use crate::intent::IntentArgs;
use crate::lines::LinesArgs;
use crate::log::Logging;
use crate::node::NodeArgs;
use crate::saga::args::SagaArgs;
use crate::session::args::{KillArgs, SessionArgs};
use crate::testing::args::TestArgs;
use crate::tools::args::ToolsArgs;
use crate::trust::args::TrustArgs;
use crate::vfs::args::VfsArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use hv_types::{NotAFraction, Reversibility, Sigma};
use std::path::PathBuf;
use std::time::Duration;

/// Supervises AI agents that act together.
///
/// hv decides at the moment of each action whether this agent may do it, undoes what was done when the work fails,
/// and leaves a trail that anybody can verify offline.
#[derive(Debug, Parser)]
#[command(name = "hv", version, propagate_version = true, after_help = EXIT_CODES)]
#[command(subcommand_required = true, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// Tell on stderr what the supervisor does: off, error, warn, info or debug; debug:json for JSON lines [default: $HV_LOG,
    /// or off]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<Logging>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `hv` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what is wrong with a session file, without running anything
    Check(CheckArgs),
    /// Run a session file, or go on with a run that was interrupted
    Run(RunArgs),
    /// Run scenarios and hold them against what is expected of them
    Test(TestArgs),
    /// Work in a session with a shell: open, join, exec, undo, close
    Session(SessionArgs),
    /// Read and change the files of a session, as one of its members
    Vfs(VfsArgs),
    /// Stop an agent, an action, a session or everything, at once
    Kill(KillArgs),
    /// Let one member of a session answer for another; says before what it does to both
    Vouch(VouchArgs),
    /// Slash an agent, on a verifier's evidence or by a witness's word
    Slash(SlashArgs),
    /// List charges, contest them, rule on them by a witness's word, and carry out what is due
    Charge(ChargeArgs),
    /// Let a member do named actions of Ring 1 for a short time, by the votes of a quorum
    Elevate(ElevateArgs),
    /// Declare what an agent signed that it will do, or show what agents are held to
    Intent(IntentArgs),
    /// Say whom a node listens to, and change the supervisor by a witness's word
    Node(NodeArgs),
    /// Print and check what is said of a node's limits, by a file or the environment
    Config(ConfigCommandArgs),
    /// Hand signed statements to the node: join, vouch, release, evidence, rotate, revoke
    Accept(AcceptArgs),
    /// Print the call that a step will make, for those who are asked to sign for it
    Call(CallArgs),
    /// List, show and draw sagas, and settle what could not be undone
    Saga(SagaArgs),
    /// Say which ring a score earns, or whether it suffices for an action
    Ring(RingArgs),
    /// Show or verify a trail
    Audit(AuditArgs),
    /// Make keys, sign statements and verify them
    Id(IdArgs),
    /// Say what is known of agents and what it amounts to
    Trust(TrustArgs),
    /// Measure how far behaviour lies from a claim, one JSON object a line, as CMVK does
    #[command(after_help = DRIFT_HELP)]
    Drift(LinesArgs),
    /// Read and score manifests, one JSON object a line, as IATP does
    #[command(after_help = MANIFEST_HELP)]
    Manifest(ManifestArgs),
    /// Look at the tools of a server: what they count as, and whether they changed
    Tools(ToolsArgs),
    /// Print the JSON Schema of session files
    #[command(after_help = "Example:\n  hv schema > session.schema.json")]
    Schema,
    /// Print the completions for a shell
    #[command(after_help = "Example:\n  hv completions bash > ~/.local/share/bash-completion/completions/hv")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Arguments of `hv check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every reference to a secret (env:NAME, file:PATH) must lead somewhere; none is read.

Example:
  hv check examples/release.toml

Exit codes: 0 nothing is wrong, 2 something is (one line on stderr)")]
pub struct CheckArgs {
    /// The session file, TOML or JSON
    pub file: PathBuf,
}

/// Arguments of `hv run`.
#[derive(Debug, Args)]
#[command(after_long_help = RUN_HELP)]
pub struct RunArgs {
    /// The session file, TOML or JSON; `hv schema` prints what may stand in it
    #[arg(required_unless_present = "resume")]
    pub file: Option<PathBuf>,
    /// The folder of the trail [default: a new one in the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The folder in which the commands work [default: a new one in the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,
    /// Go on with a run that was interrupted; needs --data. With a file, begin it where nothing was begun yet
    #[arg(long, requires = "data")]
    pub resume: bool,
    /// Keep a signed mark of the trail in this file outside its folder, while the run goes on and when it has ended
    #[arg(long, value_name = "FILE", requires = "mark_key", value_parser = crate::outside::parser())]
    pub mark: Option<PathBuf>,
    /// The log's private key, which signs the mark; `hv id new` makes one
    #[arg(long, value_name = "FILE", requires = "mark")]
    pub mark_key: Option<PathBuf>,
    /// How long a mark may be old while the run goes on, such as 30s; at most a twentieth of the time goes into marks
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub mark_every: Duration,
    /// What is said of the node's limits.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print the report as one JSON document on stdout, and no progress
    #[arg(long)]
    pub json: bool,
    /// Print no progress
    #[arg(long, short)]
    pub quiet: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let read = crate::plan::read_duration(text).ok().filter(|read| !read.is_zero());
    read.ok_or_else(|| format!("`{text}` is no length of time above nothing; write one as 30s or 5m"))
}

const RUN_HELP: &str = "\
Progress goes to stderr, the report to stdout. The first Ctrl-C undoes what
was done; a second one gives what runs one second and leaves the run resumable.

Examples:
  hv run examples/release.toml
  hv run examples/release.toml --data /var/lib/hv/release --json > report.json
  hv run --resume --data /var/lib/hv/release
  hv run examples/release.toml --mark /mnt/elsewhere/release.mark --mark-key log.key

Exit codes:
    0  completed
    1  hv itself failed
    2  the session file or a reference in it is wrong; nothing was run
    3  failed, and everything was undone
    4  something could not be undone and waits for a person
    5  denied before anything was done
  130  interrupted twice; resume it with --resume";

const DRIFT_HELP: &str = "\
A line has claimed and observed, two lists of numbers, and where they are
wanted metric, weights and profile. It is answered with drift_score,
confidence, metric_used, raw_distance, profile, explanation and hv's own
verdict. What cannot be measured has the verdict indeterminate and does not
pass. A bad line is answered with its number and what is wrong with it; the
others are answered all the same.

Examples:
  hv drift embeddings.jsonl
  echo '{\"claimed\": [0.9, 0.1], \"observed\": [0.8, 0.2]}' | hv drift -

Exit codes: 0 every line answered, whatever the verdict; 2 a line was bad, or
the file";

const MANIFEST_HELP: &str = "\
A line is a capability manifest. It is answered with trust_score (0 to 10) and
with what it hints at: ring_hint, sigma_hint, actions, undo_window_ms. A bad
line is answered with its number and what is wrong with it; the others are
answered all the same.

With --attester the manifests count as what came over a wire: without an
attestation they are worth at most 0.60 and state no undo; with one that does
not count they hint at nothing, and refused says why.

Examples:
  curl -s http://127.0.0.1:8001/.well-known/agent-manifest | hv manifest -
  hv manifest - --attester control-plane-1=did:key:z6Mk... < manifests.jsonl

Exit codes: 0 every line answered, 2 a line was bad, or the file";

/// Arguments of `hv ring`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --reversibility, --read-only and --admin: the ring that the score
earns alone. With them: the ring that such an action needs, whether the score
suffices, and what else would have to be brought. Scores are exact to a
millionth; digits behind the sixth place are dropped, so 0.6000009 is 0.60.

Examples:
  hv ring --sigma 0.85
  hv ring --sigma 0.97 --reversibility none --json

Exit codes: 0 answered, whatever the answer; 2 bad input")]
pub struct RingArgs {
    /// The trust score, from 0 to 1
    #[arg(long, value_name = "S", value_parser = sigma, allow_hyphen_values = true)]
    pub sigma: Sigma,
    /// How far the action can be undone [default: full]
    #[arg(long, value_enum)]
    pub reversibility: Option<ReversibilityArg>,
    /// The action changes nothing
    #[arg(long)]
    pub read_only: bool,
    /// The action changes the supervisor itself
    #[arg(long)]
    pub admin: bool,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// How far an action can be undone.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ReversibilityArg {
    /// Entirely
    Full,
    /// In part
    Partial,
    /// Not at all
    None,
}

impl From<ReversibilityArg> for Reversibility {
    fn from(arg: ReversibilityArg) -> Self {
        match arg {
            ReversibilityArg::Full => Self::Full,
            ReversibilityArg::Partial => Self::Partial,
            ReversibilityArg::None => Self::None,
        }
    }
}

/// Arguments of `hv audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// What to do with the trail.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What `hv audit` can do.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Print the records of a trail, or draw who led to what
    Show(ShowArgs),
    /// Print the last records of a trail, and go on as it grows
    Tail(TailArgs),
    /// Put a checkpoint where nobody can take it back: a chain, a time stamp, a file, a git note
    Anchor(AnchorArgs),
    /// Destroy contents that need not be kept any longer; no hash changes
    Purge(PurgeArgs),
    /// Keep contents whatever is asked, as for a case before a court
    Hold(HoldArgs),
    /// Verify a trail: complete, open (not closed, as after a crash), or tampered
    Verify(VerifyArgs),
    /// Sign how long a trail is and the root over it, to be kept elsewhere
    Checkpoint(CheckpointArgs),
    /// Prove that a record is in a trail, or that the trail only grew
    Prove(ProveArgs),
    /// Say which were an agent's last sessions, signed, for other nodes
    History(HistoryArgs),
    /// Check a proof, a checkpoint or an evidence bundle, without the trail
    Check(AuditCheckArgs),
    /// Write a trail as a tiled log, or a session as one file that anybody can check
    Export(ExportArgs),
    /// See that logs only grow, and say so
    Witness(WitnessArgs),
    /// Say where two trails differ
    Diff(DiffArgs),
    /// Count what is in a trail
    Stats(StatsArgs),
}

/// A trail and how to print what is said about it.
#[derive(Debug, Args)]
pub struct TrailArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn sigma(text: &str) -> Result<Sigma, NotAFraction> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[derive(Debug, Parser)]
    struct Later {
        #[command(subcommand)]
        command: LaterCommand,
    }

    #[derive(Debug, Subcommand)]
    enum LaterCommand {
        Run(RunArgs),
        Audit(AuditArgs),
    }

    #[test]
    fn every_command_line_is_well_formed() {
        Cli::command().debug_assert();
        Later::command().debug_assert();
    }

    #[test]
    fn run_takes_a_file_or_a_folder_to_resume() {
        let parse = |line: &str| Later::try_parse_from(line.split(' '));
        for good in [
            "hv run a.toml",
            "hv run a.toml --data d --work w --json",
            "hv run --resume --data d -q",
            "hv run a.toml --resume --data d",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["hv run", "hv run --resume", "hv run a.toml --resume", "hv run a.toml b.toml"] {
            assert_eq!(parse(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
        let Ok(Later { command: LaterCommand::Audit(audit) }) = parse("hv audit verify d --sealed --json")
        else {
            panic!("audit verify")
        };
        assert!(matches!(audit.command, AuditCommand::Verify(VerifyArgs { sealed: true, .. })));
    }
}
