//! `hv audit purge --tier`: the records of sessions that are over go, their hashes stay.

use super::args::TrustArgs;
use super::keeping::{PurgeArgs, TierArg, contents};
use super::keys::Trust;
use super::verify::Mark;
use super::writing::Writer;
use super::{Failure, NoTrail, bad_input};
use crate::Exit;
use crate::output::{self, counted, one_line};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::retention::Fate;
use hv_core::audit::{Outside, Tier, Verdict, verify_against};
use hv_core::{Clock, ReducePlan, ReduceRequest, SystemClock};
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// Reduces sessions to a tier, or says which would be.
pub(super) fn run(args: &PurgeArgs, tier: TierArg, path: &Path) -> Result<Exit, Failure> {
    let real = |path: &Path| {
        path.canonicalize().map_err(|error| bad_input(&format_args!("{}: {error}", path.display())))
    };
    if real(path)?.starts_with(real(&args.data)?) {
        let why = "a mark in the folder of the trail vouches for nothing; keep it elsewhere";
        return Err(bad_input(&format_args!("{}: {why}", path.display())));
    }
    let trust = TrustArgs { key: args.key.clone(), rotation: args.rotation.clone(), ..TrustArgs::default() };
    let mark = Mark::read(path, &Trust::read(&trust)?)?;
    // What is destroyed must be what was signed.
    let outside: Vec<Outside<'_>> = mark.outside().collect();
    let report = verify_against(&RealDisk, &args.data, &outside, &mut |_| {}).map_err(NoTrail::from)?;
    if let Verdict::Tampered(finding) = report.verdict {
        return Err(Failure::Tampered(finding.to_string()));
    }
    let tier = match tier {
        TierArg::Leaves => Tier::Leaves,
        TierArg::Roots => Tier::Roots,
    };
    let checkpoint = (mark.checkpoint.size, mark.checkpoint.root);
    let (session, older_than) = (args.session.clone(), args.older_than);
    let request = ReduceRequest { session, older_than, tier, checkpoint };
    let plan = if args.dry_run {
        contents(args)?.reduce_plan(&request, SystemClock.now())
    } else {
        let writer = Writer::open(&args.data, false)?;
        writer.run(|hv| async move { hv.reduce(&request).await })?
    };
    let document = Document::of(args.dry_run, tier, &plan);
    output::document(&document, args.json)?;
    let early = args.dry_run && document.early > 0;
    Ok(if early { Exit::Denied } else { Exit::Done })
}

/// A reduction as it is printed.
#[derive(Debug, Serialize)]
struct Document {
    dry_run: bool,
    tier: String,
    /// The sessions whose records go, or would go.
    sessions: Vec<SessionDocument>,
    records: u64,
    /// Contents that go with them.
    contents: u64,
    bytes: u64,
    /// Sessions that stay, by why.
    evidence: u64,
    held: u64,
    open: u64,
    early: u64,
    /// Those for whose end the mark does not speak.
    uncovered: u64,
    /// Those of which not more is left already.
    reduced: u64,
    /// Those that are not meant, or not due.
    others: u64,
}

#[derive(Debug, Serialize)]
struct SessionDocument {
    session: String,
    stream: u32,
    records: u64,
}

impl Document {
    fn of(dry_run: bool, tier: Tier, plan: &ReducePlan) -> Self {
        let sessions = plan.due.iter().map(|due| SessionDocument {
            session: due.session.to_string(),
            stream: due.stream.0,
            records: due.records,
        });
        Self {
            dry_run,
            tier: tier.to_string(),
            sessions: sessions.collect(),
            records: plan.records(),
            contents: plan.contents.len() as u64,
            bytes: plan.contents.iter().map(|kept| kept.payload.length()).sum(),
            evidence: plan.staying(Fate::Forensic),
            held: plan.staying(Fate::Held),
            open: plan.staying(Fate::InUse),
            early: plan.staying(Fate::Early),
            uncovered: plan.uncovered,
            reduced: plan.reduced,
            others: plan.staying(Fate::Stays),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, contents, bytes, .. } = self;
        let left = if self.tier == "leaves" { "the hash of each" } else { "the roots over them" };
        let what = format!(
            "{} of {}, with {} of {}",
            counted(records, "record"),
            counted(self.sessions.len(), "session"),
            counted(contents, "content"),
            counted(bytes, "byte")
        );
        if self.dry_run {
            writeln!(f, "would purge {what}, and keep {left}; nothing was changed")?;
        } else {
            writeln!(f, "purged {what}; kept is {left}")?;
        }
        for SessionDocument { session, stream, records } in &self.sessions {
            writeln!(f, "  {} (stream {stream}): {}", one_line(session), counted(records, "record"))?;
        }
        for (count, why) in [
            (self.evidence, "because of evidence, which is never purged"),
            (self.held, "on hold (`hv audit hold DIR list`)"),
            (self.open, "open"),
            (self.early, "to be kept longer, so a purge of this would be denied"),
            (self.uncovered, "ended after the mark was made (`hv audit checkpoint` makes one now)"),
            (self.reduced, "of which no more is left"),
        ] {
            if count > 0 {
                writeln!(f, "stay: {}, {why}", counted(count, "session"))?;
            }
        }
        writeln!(f, "out of reach: copies of the folder, and what a disk keeps of overwritten blocks")
    }
}
