//! `hv audit anchor`: a checkpoint of the trail put where whoever runs it cannot take it back.

use super::anchored::OwnAnchors;
use super::writing::Writer;
use super::{Failure, NoTrail, look};
use crate::Exit;
use crate::output::{self, counted, one_line};
use clap::{Args, ValueEnum};
use hv_core::anchor::evm::{CONFIRMATIONS, EvmAnchor};
use hv_core::anchor::tsa::TsaAnchor;
use hv_core::anchor::{Anchor, AnchorFault, AnchorState, FileAnchor, GitAnchor, advance};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Checkpoint, Entry, Kind, StreamNo, Transcript, Verdict, verify_on};
use hv_core::event::NodeEvent;
use hv_core::{AnchorEntry, Hypervisor, TrailEvent, read_record};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Arguments of `hv audit anchor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Anchors a checkpoint over everything that the trail says so far, and moves on
what is under way: run it again until it is final. Each checkpoint is anchored
once, however often this is killed. Nothing waits for an anchor.

  evm      a transaction whose data is the checkpoint's digest (EIP-1559)
  rfc3161  a time stamp; with --ca, openssl verifies the authority's signature
  file     a line in a file that somebody else keeps
  git      a note in a repository that somebody else keeps

Examples:
  hv audit anchor trail --to evm --at http://127.0.0.1:8545 --key env:ANCHOR_KEY
  hv audit anchor trail --to rfc3161 --at http://tsa.example/ --ca tsa.pem
  hv audit anchor trail --to file --at /mnt/worm/anchors.txt
  hv audit anchor trail --status --json

Exit codes: 0 done, whatever the state; 1 the anchor does not answer or refuses, or the trail is
tampered with; 2 bad input")]
pub struct AnchorArgs {
    /// The folder of the trail
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// What to anchor with
    #[arg(long, value_enum, required_unless_present = "status", requires = "at")]
    pub to: Option<Means>,
    /// Where: a URL, a file, or a repository
    #[arg(long, value_name = "PLACE")]
    pub at: Option<String>,
    /// The account's private key, as env:NAME or file:PATH
    #[arg(long, value_name = "REF", required_if_eq("to", "evm"))]
    pub key: Option<String>,
    /// So many blocks make a transaction final
    #[arg(long, value_name = "N", default_value_t = CONFIRMATIONS)]
    pub confirmations: u64,
    /// Certificates (PEM) by which openssl verifies time stamps
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Only say what the trail says about its anchors; ask nobody
    #[arg(long, conflicts_with = "to")]
    pub status: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to anchor with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Means {
    /// An EVM chain
    Evm,
    /// A time-stamping authority
    Rfc3161,
    /// A file
    File,
    /// A git repository
    Git,
}

/// Anchors, or says what was anchored.
pub(super) fn run(args: &AnchorArgs) -> Result<Exit, Failure> {
    look(&args.data)?;
    let (Some(kind), Some(at)) = (args.to, &args.at) else { return status(args) };
    let anchor = anchor(args, kind, at)?;
    let writer = Writer::open(&args.data, false)?;
    let ran = writer.run(|hv| async move {
        let fault = drive(&hv, &*anchor).await?;
        let mut origin = String::new();
        hv.log().replay(&mut |entry| {
            if let Kind::Started { nonce } = entry.kind {
                origin = hv_core::audit::origin(&nonce);
            }
            Ok(())
        })?;
        Ok((hv.anchors()?, origin, fault))
    });
    let (entries, origin, fault) = ran?;
    print(args, &entries, &origin)?;
    match fault {
        None => Ok(Exit::Done),
        Some(fault) => Err(Failure::Hv(fault.to_string())),
    }
}

fn anchor(args: &AnchorArgs, kind: Means, at: &str) -> Result<Box<dyn Anchor>, Failure> {
    Ok(match kind {
        Means::File => Box::new(FileAnchor::new(&absolute(at)?)),
        Means::Git => Box::new(GitAnchor::new(&absolute(at)?)),
        // What is queued is on the trail for ever, so no place is that cannot be one.
        Means::Rfc3161 | Means::Evm
            if !["http://", "https://"].iter().any(|scheme| at.starts_with(scheme)) =>
        {
            return Err(Failure::BadInput(format!("--at {at}: no address; write one as http://HOST:PORT")));
        }
        Means::Rfc3161 => {
            let tsa = TsaAnchor::new(at);
            Box::new(match &args.ca {
                Some(ca) => tsa.with_authority(ca),
                None => tsa,
            })
        }
        Means::Evm => {
            let key = secret(args.key.as_deref().unwrap_or_default())?;
            let evm = EvmAnchor::new(at, &key).map_err(|fault| Failure::BadInput(fault.to_string()))?;
            Box::new(evm.with_confirmations(args.confirmations))
        }
    })
}

fn absolute(at: &str) -> Result<PathBuf, Failure> {
    std::path::absolute(at).map_err(|error| Failure::BadInput(format!("{at}: {error}")))
}

/// What a reference stands for. It is never printed.
fn secret(reference: &str) -> Result<String, Failure> {
    let bad =
        || Failure::BadInput(format!("--key {reference}: nothing is there; give env:NAME or file:PATH"));
    match reference.split_once(':') {
        Some(("env", name)) => std::env::var(name).map_err(|_| bad()),
        Some(("file", path)) => std::fs::read_to_string(path).map_err(|_| bad()),
        _ => Err(Failure::BadInput("--key is a reference: env:NAME or file:PATH".to_owned())),
    }
}

/// Moves on what is under way, the oldest first; then anchors what is new.
async fn drive(hv: &Hypervisor, anchor: &dyn Anchor) -> Result<Option<AnchorFault>, hv_core::Error> {
    let target = anchor.target();
    let ours = |entry: &AnchorEntry| entry.target == target;
    let known = hv.anchors()?;
    for entry in known.iter().filter(|entry| ours(entry)) {
        if let Some(fault) = carry(hv, anchor, entry.clone()).await? {
            return Ok(Some(fault));
        }
    }
    let Some(checkpoint) = news(hv, known.iter().filter(|entry| ours(entry)))? else { return Ok(None) };
    let number = hv.queue_anchor(&target, &checkpoint).await?;
    let queued = hv.anchors()?.into_iter().find(|entry| entry.number == number);
    match queued {
        Some(entry) => carry(hv, anchor, entry).await,
        None => Ok(None),
    }
}

async fn carry(
    hv: &Hypervisor,
    anchor: &dyn Anchor,
    entry: AnchorEntry,
) -> Result<Option<AnchorFault>, hv_core::Error> {
    let mut anchoring = entry.anchoring;
    let handle = tokio::runtime::Handle::current();
    let moved = tokio::task::block_in_place(|| {
        advance(anchor, &mut anchoring, &mut |next| handle.block_on(hv.move_anchor(entry.number, next)))
    });
    Ok(moved?.err())
}

/// The checkpoint over all of the trail, where it says something that no anchor speaks for yet.
fn news<'a>(
    hv: &Hypervisor,
    known: impl Iterator<Item = &'a AnchorEntry>,
) -> Result<Option<Checkpoint>, hv_core::Error> {
    let (mut size, mut said) = (0, 0);
    let mut transcript = Transcript::new();
    hv.log().replay(&mut |entry| {
        transcript.take(&entry, &mut |_| false);
        size += u64::from(entry.stream == StreamNo::NODE);
        if says_something(&entry) {
            // What stands on another stream is spoken for by the node's next record.
            said = size + u64::from(entry.stream != StreamNo::NODE);
        }
        Ok(())
    })?;
    let anchored = known.map(|entry| entry.size).max();
    if anchored.is_some_and(|anchored| anchored >= said) {
        return Ok(None);
    }
    let checkpoint = transcript.checkpoint(&transcript.origin(), transcript.size());
    // The origin is a name that the log gives itself, so it is one.
    Ok(checkpoint.ok())
}

/// Whether a record is more than the log's own beginning and end, and what anchors say.
fn says_something(entry: &Entry<'_>) -> bool {
    match entry.kind {
        Kind::Started { .. } | Kind::Sealed { .. } => false,
        _ => match read_record(entry) {
            Ok(record) => record.events.iter().any(|event| {
                !matches!(
                    event,
                    TrailEvent::Node(NodeEvent::AnchorQueued { .. } | NodeEvent::AnchorMoved { .. })
                )
            }),
            Err(_) => true,
        },
    }
}

/// What the trail says about its anchors.
fn status(args: &AnchorArgs) -> Result<Exit, Failure> {
    let mut own = OwnAnchors::default();
    let report = verify_on(&RealDisk, &args.data, &mut |entry| own.take(&entry));
    let report = report.map_err(NoTrail::from)?;
    if let Verdict::Tampered(finding) = report.verdict {
        return Err(Failure::Tampered(finding.to_string()));
    }
    let entries = own.entries().map_err(|illegal| Failure::Hv(illegal.to_string()))?;
    print(args, entries, &own.origin())?;
    Ok(Exit::Done)
}

fn print(args: &AnchorArgs, entries: &[AnchorEntry], origin: &str) -> Result<(), Failure> {
    let documents: Vec<Document> = entries.iter().map(|entry| Document::of(entry, origin)).collect();
    if args.json {
        output::json(&documents)?;
    } else if documents.is_empty() {
        output::print(&"nothing was anchored\n")?;
    } else {
        let lines: String = documents.iter().map(ToString::to_string).collect();
        output::print(&lines)?;
    }
    Ok(())
}

/// An anchor as it is printed.
#[derive(Debug, Serialize)]
struct Document {
    anchor: u32,
    target: String,
    /// The level that it gives: L3 once it is there.
    level: Option<&'static str>,
    state: &'static str,
    size: u64,
    root: String,
    digest: String,
    /// The log whose checkpoint it is.
    origin: String,
    /// What shows it: JSON of a transaction, or bytes in hexadecimal digits.
    receipt: serde_json::Value,
}

impl Document {
    fn of(entry: &AnchorEntry, origin: &str) -> Self {
        let receipt = &entry.anchoring.receipt;
        let json = serde_json::from_slice(receipt).ok().filter(serde_json::Value::is_object);
        let hex = || receipt.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let there = matches!(entry.anchoring.state, AnchorState::Included | AnchorState::Final);
        Self {
            anchor: entry.number,
            target: entry.target.clone(),
            level: there.then_some("L3"),
            state: entry.anchoring.state.name(),
            size: entry.size,
            root: entry.root.to_string(),
            digest: entry.anchoring.digest.to_string(),
            origin: origin.to_owned(),
            receipt: json.unwrap_or_else(|| hex().into()),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { anchor, target, level, state, size, digest, .. } = self;
        let level = level.map(|level| format!("{level} ")).unwrap_or_default();
        writeln!(
            f,
            "anchor {anchor}: {level}{state}; {}, {digest}, at {}",
            counted(size, "node record"),
            one_line(target)
        )
    }
}
