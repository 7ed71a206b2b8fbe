//! `hv audit stats`: what is in a trail, in numbers.

use super::anchored::OwnAnchors;
use super::args::StatsArgs;
use super::names::Names;
use super::source::tampered;
use super::words::tell;
use super::{Failure, NoTrail, look};
use crate::Exit;
use crate::output::{self, counted, one_line};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Entry, StreamNo, StreamReport, Verdict, verify_on};
use hv_core::read_record;
use hv_core::types::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// The numbers.
#[derive(Debug, Default, Serialize)]
struct Document {
    level: String,
    batches: u64,
    records: u64,
    bytes: u64,
    payloads: u64,
    payload_bytes: u64,
    /// Payloads that were purged.
    purged: u64,
    /// Records that are gone, by what is left of them.
    leaves: u64,
    roots: u64,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    sessions: Vec<SessionDocument>,
    /// How often each event happened.
    events: BTreeMap<&'static str, u64>,
    /// How many records name each agent.
    agents: BTreeMap<String, u64>,
    unreadable: u64,
}

#[derive(Debug, Serialize)]
struct SessionDocument {
    stream: u32,
    label: String,
    records: u64,
    closed: bool,
    /// Records that are gone.
    gone: u64,
}

/// Counts.
pub(super) fn run(args: &StatsArgs) -> Result<Exit, Failure> {
    let data = &args.trail.data;
    look(data)?;
    let (mut document, mut names, mut own) = (Document::default(), Names::default(), OwnAnchors::default());
    let report = verify_on(&RealDisk, data, &mut |entry| {
        own.take(&entry);
        document.count(&mut names, &entry);
    });
    let report = report.map_err(NoTrail::from)?;
    if let Verdict::Tampered(finding) = &report.verdict {
        return Err(tampered(data, finding));
    }
    document.level = own.beside(&report.level);
    (document.batches, document.records, document.bytes) = (report.batches, report.records, report.bytes);
    (document.purged, document.leaves, document.roots) =
        (report.purged, report.gone.leaves, report.gone.roots);
    let session = |stream: &StreamReport| SessionDocument {
        stream: stream.no.0,
        label: stream.label.clone(),
        records: stream.length,
        closed: stream.closed,
        gone: stream.gone,
    };
    document.sessions =
        report.streams.iter().filter(|stream| stream.no >= StreamNo::FIRST_SESSION).map(session).collect();
    output::document(&document, args.trail.json)?;
    Ok(Exit::Done)
}

impl Document {
    fn count(&mut self, names: &mut Names, entry: &Entry<'_>) {
        self.from.get_or_insert(entry.time);
        self.to = Some(entry.time);
        for payload in entry.attachments {
            self.payloads += 1;
            self.payload_bytes = self.payload_bytes.saturating_add(payload.length());
        }
        names.enter(entry);
        let Ok(record) = read_record(entry) else {
            self.unreadable += 1;
            return;
        };
        names.learn(&record);
        let told = tell(names, &record);
        names.forget(&record);
        for told in &told {
            *self.events.entry(told.event()).or_default() += 1;
        }
        let agents = ["agent", "member", "creator", "voucher", "vouchee"];
        let named = told.iter().flat_map(|told| agents.iter().filter_map(|name| told.field(name)?.as_str()));
        let mut named: Vec<&str> = named.filter(|name| name.starts_with("did:")).collect();
        named.sort_unstable();
        named.dedup();
        for name in named {
            *self.agents.entry(name.to_owned()).or_default() += 1;
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, batches, records, bytes, payloads, payload_bytes, .. } = self;
        writeln!(
            f,
            "{} in {}, {} of segments",
            counted(records, "record"),
            counted(batches, "batch"),
            counted(bytes, "byte")
        )?;
        writeln!(f, "payloads that are named: {payloads}, {}", counted(payload_bytes, "byte"))?;
        let Self { purged, leaves, roots, .. } = self;
        let whole = records - leaves - roots;
        writeln!(
            f,
            "tiers: {} whole, {leaves} by their hash, {roots} by roots; {} purged",
            counted(whole, "record"),
            counted(purged, "payload")
        )?;
        if let (Some(from), Some(to)) = (self.from, self.to) {
            writeln!(f, "from {from} to {to}")?;
        }
        writeln!(f, "level: {level}")?;
        if self.unreadable > 0 {
            writeln!(f, "what this version does not know is in {}", counted(self.unreadable, "record"))?;
        }
        for SessionDocument { stream, label, records, closed, gone } in &self.sessions {
            let state = match (*closed, *gone) {
                (true, 0) => "closed",
                (true, _) => "closed, its records purged",
                (false, _) => "open",
            };
            writeln!(
                f,
                "session {} (stream {stream}): {}, {state}",
                one_line(label),
                counted(records, "record")
            )?;
        }
        for (title, counts) in [
            ("agents", self.agents.iter().map(|(name, n)| (name.as_str(), *n)).collect::<Vec<_>>()),
            ("events", self.events.iter().map(|(name, n)| (*name, *n)).collect()),
        ] {
            writeln!(f, "\n{title}")?;
            counts.iter().try_for_each(|(name, count)| writeln!(f, "{count:>8}  {}", one_line(name)))?;
        }
        Ok(())
    }
}
