//! The arguments of what `hv audit` proves, exports and keeps outside the folder.

use super::anchored::Place;
use super::asking::AskArgs;
use super::keys::{KeyText, WitnessKey};
use crate::args::TrailArgs;
use clap::{ArgGroup, Args, Subcommand};
use hv_core::anchor::evm::CONFIRMATIONS;
use hv_core::types::{ActionId, Did, Digest, SessionId, Timestamp};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Arguments of `hv audit show`.
#[derive(Debug, Args)]
#[command(after_help = "\
A filter keeps the records that name what it asks for; several filters must
all match. --tree shows who led to what instead: who is in a session, what
each was allowed, what came of it.

Examples:
  hv audit show ~/.local/share/hv/runs/release/trail
  hv audit show DIR --agent did:mesh:author --since 2026-01-31T12:00:00Z
  hv audit show DIR --session release-1-0 --tree

Exit codes: 0 shown, 1 the trail was tampered with, 2 bad input")]
pub struct ShowArgs {
    /// The trail.
    #[command(flatten)]
    pub trail: TrailArgs,
    /// What is shown of it.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Draw who led to what
    #[arg(long, conflicts_with = "json")]
    pub tree: bool,
}

/// Which records are meant.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// Only what names this agent
    #[arg(long, value_name = "DID")]
    pub agent: Option<Did>,
    /// Only what happened in this session
    #[arg(long, value_name = "ID")]
    pub session: Option<SessionId>,
    /// Only what names this action
    #[arg(long, value_name = "ACTION")]
    pub action: Option<ActionId>,
    /// Only what happened at this time or later, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Timestamp>,
    /// Only what happened before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Timestamp>,
}

/// Arguments of `hv audit tail`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hv audit tail DIR --lines 20 --follow

Exit codes: 0 shown, 1 the trail was tampered with, 2 bad input")]
pub struct TailArgs {
    /// The trail.
    #[command(flatten)]
    pub trail: TrailArgs,
    /// What is shown of it.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// How many records, counted from the end
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    pub lines: usize,
    /// Go on as the trail grows, until interrupted or until the trail is ended
    #[arg(long, short, conflicts_with = "json")]
    pub follow: bool,
}

/// Arguments of `hv audit stats`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hv audit stats DIR --json")]
pub struct StatsArgs {
    /// The trail.
    #[command(flatten)]
    pub trail: TrailArgs,
}

/// Arguments of `hv audit diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Says whether one trail continues the other, and if not, which record is the
first that differs. Of records that were purged the hashes that are left are
compared; each speaks for all records before it.

Example:
  hv audit diff backup/trail trail

Exit codes: 0 one is the beginning of the other, 1 they differ, one was
tampered with and is compared up to there, or of some records nothing is left
to compare with, 2 bad input")]
pub struct DiffArgs {
    /// The folder of one trail
    #[arg(value_name = "DIR")]
    pub one: PathBuf,
    /// The folder of the other
    #[arg(value_name = "OTHER")]
    pub other: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hv audit verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --mark, the folder can only be compared with itself (level L0). A mark
is a checkpoint that was kept outside the folder: with it, whatever lies at or
below it cannot have been changed by anybody, not even with the log's own key
(L1); with enough cosignatures of witnesses, nobody can have shown two versions
(L2). What lies above is said to hold at the lower level only.

An anchor that is found where --anchor looks gives L3. What the trail says about
its own anchors gives nothing; it is shown, and has to fit. Places:
  file:PATH, git:REPOSITORY   a line or a note, worth what whoever keeps it is
  evm:URL                     a node of the chain; so many blocks make it final
  rfc3161:CERTIFICATES        openssl verifies the time stamp (PEM); asks nobody

Examples:
  hv audit verify --sealed ~/.local/share/hv/runs/release/trail
  hv audit verify DIR --mark release.mark --key did:key:z6Mk...
  hv audit verify DIR --mark release.mark --key log.vkey --policy witnesses.policy
  hv audit verify DIR --anchor rfc3161:tsa.pem --anchor evm:http://127.0.0.1:8545
  hv audit verify DIR --anchor file:anchors.txt --receipt kept.json

Exit codes: 0 complete or open, 1 tampered (or open, with --sealed; or too few
witnesses; or no anchor where you look), 2 bad input")]
pub struct VerifyArgs {
    /// The trail.
    #[command(flatten)]
    pub trail: TrailArgs,
    /// Take an open trail for a failure
    #[arg(long)]
    pub sealed: bool,
    /// A checkpoint that was kept outside the folder; may be given more than once
    #[arg(long, visible_alias = "checkpoint", value_name = "FILE", requires = "key")]
    pub mark: Vec<PathBuf>,
    /// Where to look for its anchors; may be given more than once
    #[arg(long, value_name = "PLACE")]
    pub anchor: Vec<Place>,
    /// Receipts that were kept outside the folder, as hv audit anchor --json prints them
    #[arg(long, value_name = "FILE", requires = "anchor")]
    pub receipt: Vec<PathBuf>,
    /// So many blocks make a transaction final
    #[arg(long, value_name = "N", default_value_t = CONFIRMATIONS)]
    pub confirmations: u64,
    /// Whose signature counts.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Whose signatures count.
#[derive(Debug, Clone, Default, Args)]
pub struct TrustArgs {
    /// The log's public key: as notes have it (name+id+base64), a did:key, or a file with one of them
    #[arg(long, value_name = "KEY")]
    pub key: Option<KeyText>,
    /// A note by which the key was replaced; may be given more than once, the oldest first
    #[arg(long, value_name = "FILE", requires = "key")]
    pub rotation: Vec<PathBuf>,
    /// Which witnesses must have cosigned (C2SP tlog-policy)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["witness", "quorum"])]
    pub policy: Option<PathBuf>,
    /// The public key of a witness (name+id+base64); may be given more than once
    #[arg(long, value_name = "KEY")]
    pub witness: Vec<WitnessKey>,
    /// How many of the witnesses must have cosigned, at least 1 [default: all of them]
    #[arg(long, value_name = "K", requires = "witness")]
    pub quorum: Option<NonZeroUsize>,
}

/// What a proof leads to: a checkpoint that is there, or one that is signed now.
#[derive(Debug, Clone, Args)]
pub struct SignedArgs {
    /// A checkpoint of this trail
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub checkpoint: Option<PathBuf>,
    /// The private key to sign a checkpoint with now
    #[arg(long, value_name = "FILE", required_unless_present = "checkpoint")]
    pub key: Option<PathBuf>,
    /// What the log is called [default: hv-trail/ and the trail's own number]
    #[arg(long, value_name = "NAME", conflicts_with = "checkpoint")]
    pub origin: Option<String>,
}

/// Arguments of `hv audit checkpoint`.
#[derive(Debug, Args)]
#[command(after_help = "\
Signs how long the trail is and the root over it, as a checkpoint that other
programs read (C2SP tlog-checkpoint). Keep it where whoever writes to the trail
cannot write. With --mark it goes to a file, and beside it FILE.prints, which
helps to tell later which record was changed.

A mark that is there is continued, never contradicted: where the trail no longer
has what was signed, nothing is signed, and what shows it is kept beside the
mark. --rotate-from replaces the log's key: both sign that, in FILE.rotation-N.

Examples:
  hv id new --key log.key
  hv audit checkpoint DIR --key log.key --mark /mnt/elsewhere/release.mark
  hv audit checkpoint DIR --key new.key --rotate-from log.key --mark release.mark

Exit codes: 0 signed, 1 the trail was tampered with, rolled back or rewritten,
2 bad input")]
pub struct CheckpointArgs {
    /// The trail.
    #[command(flatten)]
    pub trail: TrailArgs,
    /// The file of the log's private key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// What the log is called [default: hv-trail/ and the trail's own number]
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// The file outside the trail that keeps the checkpoint [default: it is printed]
    #[arg(long, value_name = "FILE", value_parser = crate::outside::parser())]
    pub mark: Option<PathBuf>,
    /// The file of the private key that signed for the log until now
    #[arg(long, value_name = "FILE", requires = "mark")]
    pub rotate_from: Option<PathBuf>,
}

/// Arguments of `hv audit prove`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["record", "hash", "from"]))]
#[command(after_help = "\
A record is proven in two levels: from the record to the root of its stream, and
from what the node's stream says of that root to the checkpoint. The proof is a
tlog-proof (C2SP): any program that knows it checks the second level, and
`hv audit check` both. With --from it is proven that the log only grew since it
had so many entries; the text is what a witness takes.

Examples:
  hv audit prove DIR --session release-1-0 --record 4 --key log.key > four.tlog-proof
  hv audit prove DIR --hash 5d41...c592 --checkpoint release.mark
  hv audit prove DIR --from 12 --checkpoint release.mark > grown

Exit codes: 0 proven, 1 the trail was tampered with or has no such proof, 2 bad input")]
pub struct ProveArgs {
    /// The trail.
    #[command(flatten)]
    pub trail: TrailArgs,
    /// The record with this place in its stream, from 0
    #[arg(long, value_name = "N")]
    pub record: Option<u64>,
    /// The session whose record it is
    #[arg(long, value_name = "ID", requires = "record", conflicts_with = "stream")]
    pub session: Option<SessionId>,
    /// The number of the stream, where it is not a session's by name: 0 the node, 1 the ledger [default: 0]
    #[arg(long, value_name = "N", requires = "record")]
    pub stream: Option<u32>,
    /// The record with this hash
    #[arg(long, value_name = "HASH")]
    pub hash: Option<Digest>,
    /// That the log only grew since it had so many entries
    #[arg(long, value_name = "SIZE")]
    pub from: Option<u64>,
    /// What it leads to.
    #[command(flatten)]
    pub signed: SignedArgs,
}

/// Arguments of `hv audit check`.
#[derive(Debug, Args)]
#[command(after_help = "\
The file is a proof (of a record, or of growth), a checkpoint, or an evidence
bundle; it is enough by itself. A bundle says which key signed it; whether that
is the log's key is known only with --key.

Examples:
  hv audit check four.tlog-proof --key log.vkey
  hv audit check grown --key log.vkey --old older.mark
  hv audit check release.evidence.py --key did:key:z6Mk...

Exit codes: 0 it holds, 1 it does not, 2 bad input")]
pub struct CheckArgs {
    /// The proof, the checkpoint or the bundle; - for stdin
    pub file: PathBuf,
    /// Whose signature counts.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// The older checkpoint that a proof of growth begins with
    #[arg(long, value_name = "FILE", requires = "key")]
    pub old: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `hv audit export`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("form").required(true).args(["tiles", "bundle"]))]
#[command(after_help = "\
--tiles writes the node's stream as a tiled log (C2SP tlog-tiles: checkpoint,
tiles, bundles of entries), which any web server can serve and any client of
such logs can check. --bundle writes one file with everything about a session:
`python3 FILE` checks it where nothing but Python is, `hv audit check FILE` too.

Examples:
  hv audit export DIR --to site/ --tiles --key log.key
  hv audit export DIR --to release.evidence.py --bundle --session release-1-0 --key log.key

Exit codes: 0 written, 1 the trail was tampered with or the session cannot be
proven yet, 2 bad input")]
pub struct ExportArgs {
    /// The trail.
    #[command(flatten)]
    pub trail: TrailArgs,
    /// The folder for tiles, or the file for a bundle; it must not be there
    #[arg(long, value_name = "OUT", value_parser = crate::outside::parser())]
    pub to: PathBuf,
    /// The node's stream as a tiled log
    #[arg(long)]
    pub tiles: bool,
    /// One session as one file
    #[arg(long, requires = "session")]
    pub bundle: bool,
    /// The session
    #[arg(long, value_name = "ID", conflicts_with = "tiles")]
    pub session: Option<SessionId>,
    /// The log's public key, where --checkpoint is given: name+id+base64, a did:key, or a file with one of them
    #[arg(long, value_name = "KEY", requires = "checkpoint", conflicts_with = "tiles")]
    pub log: Option<KeyText>,
    /// Enclose what steps printed and files held, too; it cannot be called back from there
    #[arg(long, conflicts_with = "tiles")]
    pub payloads: bool,
    /// What it leads to.
    #[command(flatten)]
    pub signed: SignedArgs,
}

/// Arguments of `hv audit witness`.
#[derive(Debug, Args)]
pub struct WitnessArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WitnessCommand,
}

/// What `hv audit witness` can do.
#[derive(Debug, Subcommand)]
pub enum WitnessCommand {
    /// Print the public key of a witness, to be told to others
    #[command(after_help = "Example:\n  hv audit witness key --key witness.key --name witness.example/one")]
    Key(WitnessKeyArgs),
    /// Cosign a checkpoint that continues what was seen of its log; refuse a fork or a rollback
    Cosign(CosignArgs),
    /// Put cosignatures that came back into the file of a checkpoint
    Add(AddArgs),
    /// Ask a witness over HTTP, and put its cosignature into the mark
    Ask(AskArgs),
}

/// A witness.
#[derive(Debug, Args)]
pub struct WitnessKeyArgs {
    /// The file of the witness's private key; use it for nothing else
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// What the witness is called
    #[arg(long, value_name = "NAME")]
    pub name: String,
}

/// Arguments of `hv audit witness cosign`.
#[derive(Debug, Args)]
#[command(after_help = "\
The request is what `hv audit prove --from SIZE` prints (C2SP tlog-witness), SIZE
being what this witness last saw, 0 at first. What it saw is kept in --state; a
refused request that shows a rewritten log is kept there as evidence.

Example:
  hv audit prove DIR --from 0 --checkpoint release.mark |
    hv audit witness cosign --key witness.key --name witness.example/one \\
      --log log.vkey --state seen/ - > cosigned
  hv audit witness add release.mark --witness witness.vkey cosigned

Exit codes: 0 cosigned, 1 refused (400 malformed, 403 not signed, 404 unknown log,
409 another size was seen, 422 rewritten, 503 clock), 2 bad input")]
pub struct CosignArgs {
    /// The witness.
    #[command(flatten)]
    pub witness: WitnessKeyArgs,
    /// The public key of a log that it knows (name+id+base64); may be given more than once
    #[arg(long, value_name = "KEY", required = true)]
    pub log: Vec<KeyText>,
    /// The folder of what it saw; it is made where it is missing
    #[arg(long, value_name = "DIR", value_parser = crate::outside::parser())]
    pub state: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The request; - for stdin
    pub request: PathBuf,
}

/// Arguments of `hv audit witness add`.
#[derive(Debug, Args)]
#[command(after_help = "\
Only what a known witness made over this checkpoint is added.

Example:
  hv audit witness add release.mark --witness witness.vkey cosigned

Exit codes: 0 added, 1 a cosignature does not count, 2 bad input")]
pub struct AddArgs {
    /// The checkpoint
    #[arg(value_name = "MARK", value_parser = crate::outside::parser())]
    pub mark: PathBuf,
    /// The public key of a witness (name+id+base64); may be given more than once
    #[arg(long, value_name = "KEY", required = true)]
    pub witness: Vec<WitnessKey>,
    /// The cosignatures, one a line; - for stdin
    pub lines: PathBuf,
}

fn time(text: &str) -> Result<Timestamp, String> {
    let day = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    hv_identity::read_time(&day)
        .ok_or_else(|| "not a time in UTC, such as 2026-01-31T12:00:00Z, or a day".to_owned())
}
