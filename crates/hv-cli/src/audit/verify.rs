//! `hv audit verify`: complete, open or tampered, and how much that says.

use super::anchored::{Looking, OwnAnchors, Roots, Seen};
use super::args::VerifyArgs;
use super::checkpoint::prints_of;
use super::keys::{Strict, Trust};
use super::{Failure, NoTrail, bad_input, failed, files, look};
use crate::Exit;
use crate::output::{self, counted, one_line};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{
    self, Checkpoint, Ends, Entry, Finding, GoneRecords, Level, Note, Outside, Prints, Quorum, Rank, Report,
    StreamNo, StreamReport, Verdict,
};
use hv_core::types::Digest;
use serde::Serialize;
use std::fmt;
use std::fs;
use std::path::Path;

/// Verifies a trail and prints what was found.
pub(super) fn run(args: &VerifyArgs) -> Result<Exit, Failure> {
    let data = &args.trail.data;
    look(data)?;
    let trust = Trust::read(&args.trust)?;
    let marks = args.mark.iter().map(|path| Mark::read(path, &trust)).collect::<Result<Vec<_>, _>>()?;
    let outside: Vec<Outside<'_>> = marks.iter().flat_map(Mark::outside).collect();
    let looking =
        Looking { places: &args.anchor, receipts: &args.receipt, confirmations: args.confirmations };
    let (report, anchors) = beside_anchors(data, outside, looking)?;
    let found = anchors.iter().any(|anchor| anchor.counts);
    let document = Document { anchors, ..Document::of(&report) };
    output::document(&document, args.trail.json)?;
    if document.verdict == Word::Tampered {
        return Ok(Exit::Failed);
    }
    if trust.policy.needs_witnesses() && !marks.iter().all(|mark| mark.quorum.reached) {
        return Err(failed(&format_args!(
            "{}: too few of the known witnesses cosigned the mark",
            data.display()
        )));
    }
    if !found && !args.anchor.is_empty() {
        let data = data.display();
        return Err(failed(&format_args!(
            "{data}: no anchor of it counts where you look; one has to be there, and on a chain final (--confirmations)"
        )));
    }
    match document.verdict {
        Word::Open if args.sealed => {
            let why = document.why.as_deref().unwrap_or_default();
            Err(failed(&format_args!(
                "{}: the trail is open ({why}), and --sealed was asked for",
                data.display()
            )))
        }
        _ => Ok(Exit::Done),
    }
}

/// Verifies a trail against what was kept outside, and against its anchors.
fn beside_anchors(
    data: &Path,
    mut outside: Vec<Outside<'_>>,
    looking: Looking<'_>,
) -> Result<(Report, Vec<Seen>), Failure> {
    let mut own = OwnAnchors::default();
    let verify = |outside: &[Outside<'_>], f: &mut dyn FnMut(Entry<'_>)| {
        audit::verify_against(&RealDisk, data, outside, f).map_err(NoTrail::from)
    };
    let report = verify(&outside, &mut |entry| own.take(&entry))?;
    if matches!(report.verdict, Verdict::Tampered(_)) {
        return Ok((report, Vec::new()));
    }
    let seen = looking.look(&own)?;
    if seen.is_empty() {
        return Ok((report, seen));
    }
    for anchor in &seen {
        outside.extend(anchor.outside());
    }
    let mut roots = Roots::of(&seen);
    let report = verify(&outside, &mut |entry| roots.take(&entry))?;
    let wrong = roots.finding().filter(|_| !matches!(report.verdict, Verdict::Tampered(_)));
    match wrong {
        Some(finding) => Ok((tampered(report, finding), seen)),
        None => Ok((report, seen)),
    }
}

fn tampered(mut report: Report, finding: Finding) -> Report {
    report.verdict = Verdict::Tampered(Box::new(finding));
    report.level.ended = false;
    report.level.outside.clear();
    report
}

/// A checkpoint from outside the folder that the log's key signed.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) checkpoint: Checkpoint,
    quorum: Quorum,
    /// What helps to tell which record was changed.
    prints: Option<Prints>,
}

impl Mark {
    pub(super) fn read(path: &Path, trust: &Trust) -> Result<Self, Failure> {
        let said = |bad: &dyn fmt::Display| bad_input(&format_args!("{}: {bad}", path.display()));
        let note =
            Note::parse(&files::read(path).map_err(|error| bad_input(&error))?).map_err(|bad| said(&bad))?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(|bad| said(&bad))?;
        let key = trust.key_of(&checkpoint.origin, checkpoint.size)?;
        let key =
            key.ok_or_else(|| bad_input(&"whose signature counts? give the log's public key with --key"))?;
        Checkpoint::open(&note, &[key], &Strict).map_err(|bad| said(&bad))?;
        let quorum = trust.policy.check(&note, &Strict).map_err(|bad| said(&bad))?;
        // Without them the change is found all the same; they are not signed, so what is wrong with them proves nothing.
        let prints = fs::read(prints_of(path)).ok().and_then(|bytes| Prints::from_file(&bytes));
        let prints = prints.filter(|prints| prints.root == checkpoint.root);
        Ok(Self { checkpoint, quorum, prints })
    }

    /// The levels that it gives.
    pub(super) fn outside(&self) -> impl Iterator<Item = Outside<'_>> {
        let Checkpoint { size, root, .. } = self.checkpoint;
        let ends = Ends::of_lines(&self.checkpoint.extension);
        let witnessed = self.quorum.reached.then_some(Rank::Witnessed);
        let ranks = [Some(Rank::Signed), witnessed].into_iter().flatten();
        ranks.map(move |rank| Outside { rank, size, root, ends, prints: self.prints.as_ref() })
    }
}

/// A verification as it is printed.
#[derive(Debug, Serialize)]
struct Document {
    verdict: Word,
    /// Why it is not complete, where it is open.
    why: Option<String>,
    level: LevelDocument,
    finding: Option<FindingDocument>,
    /// Every anchor that the trail names, and every receipt that was given.
    anchors: Vec<Seen>,
    streams: Vec<StreamDocument>,
    batches: u64,
    records: u64,
    bytes: u64,
    purged: u64,
    /// The records of sessions that were purged.
    gone: GoneDocument,
}

/// Records that are gone, and what vouches for them.
#[derive(Debug, Serialize)]
struct GoneDocument {
    sessions: u64,
    /// Those whose hashes are there.
    leaves: u64,
    /// Those over which only roots are there.
    roots: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Complete,
    Open,
    Tampered,
}

/// How much the verdict says, and up to where.
#[derive(Debug, Serialize)]
struct LevelDocument {
    /// The highest that holds.
    name: &'static str,
    /// The last batch for which it holds.
    up_to: u64,
    /// Whether the log was ended at its last batch.
    sealed: bool,
    /// The last batch that was read.
    end: u64,
    /// The levels above L0, the highest first.
    outside: Vec<OutsideDocument>,
    text: String,
}

impl LevelDocument {
    fn of(level: &Level) -> Self {
        let outside = level.outside.iter().map(|held| OutsideDocument {
            name: held.rank.name(),
            up_to: held.lsn.0,
            size: held.size,
        });
        let outside: Vec<_> = outside.collect();
        let (name, up_to) = outside.first().map_or(("L0", level.lsn.0), |held| (held.name, held.up_to));
        Self { name, up_to, sealed: level.ended, end: level.lsn.0, outside, text: level.to_string() }
    }
}

/// A level that something outside the folder gives, and how far.
#[derive(Debug, Serialize)]
struct OutsideDocument {
    name: &'static str,
    /// The last batch for which it holds.
    up_to: u64,
    /// The records of the node's stream that are signed.
    size: u64,
}

/// What is wrong, and where.
#[derive(Debug, Serialize)]
struct FindingDocument {
    file: String,
    offset: u64,
    stream: Option<u32>,
    /// What the stream is called, as far as it was read.
    label: Option<String>,
    record: Option<u64>,
    lsn: Option<u64>,
    what: String,
}

#[derive(Debug, Serialize)]
struct StreamDocument {
    no: u32,
    label: String,
    length: u64,
    root: Digest,
    closed: bool,
    /// How many of the records were purged.
    gone: u64,
}

impl Document {
    fn of(report: &Report) -> Self {
        let Report { verdict, level, streams, batches, records, bytes, purged, gone } = report;
        let GoneRecords { sessions, leaves, roots } = *gone;
        let gone = GoneDocument { sessions, leaves, roots };
        let (word, why, finding) = match verdict {
            Verdict::Complete => (Word::Complete, None, None),
            Verdict::Open(why) => (Word::Open, Some(why.to_string()), None),
            Verdict::Tampered(finding) => (Word::Tampered, None, Some(FindingDocument::of(finding, streams))),
        };
        let level = LevelDocument::of(level);
        let stream = |stream: &StreamReport| StreamDocument {
            no: stream.no.0,
            label: stream.label.clone(),
            length: stream.length,
            root: stream.root,
            closed: stream.closed,
            gone: stream.gone,
        };
        let streams = streams.iter().map(stream).collect();
        let (batches, records, bytes, purged) = (*batches, *records, *bytes, *purged);
        let anchors = Vec::new();
        Self { verdict: word, why, level, finding, anchors, streams, batches, records, bytes, purged, gone }
    }
}

impl FindingDocument {
    fn of(finding: &Finding, streams: &[StreamReport]) -> Self {
        let label =
            |no: StreamNo| streams.iter().find(|stream| stream.no == no).map(|stream| stream.label.clone());
        Self {
            file: finding.file.display().to_string(),
            offset: finding.offset,
            stream: finding.stream.map(|stream| stream.0),
            label: finding.stream.and_then(label).filter(|label| !label.is_empty()),
            record: finding.record,
            lsn: finding.lsn.map(|lsn| lsn.0),
            what: finding.what.to_string(),
        }
    }
}

/// The verdict, what it rests on, and the streams as a table.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.verdict, &self.why) {
            (Word::Complete, _) => writeln!(f, "complete: everything is as it was when the trail was ended")?,
            (Word::Open, why) => {
                let why = why.as_deref().unwrap_or_default();
                writeln!(f, "open: consistent as far as it goes, and may go on; {why}")?;
            }
            (Word::Tampered, _) => writeln!(f, "tampered: this is not what hv wrote")?,
        }
        if let Some(finding) = &self.finding {
            write!(f, "{finding}")?;
        }
        writeln!(f, "level: {}", self.level.text)?;
        self.anchors.iter().try_for_each(|anchor| writeln!(f, "{anchor}"))?;
        let read = if self.verdict == Word::Tampered { "read up to there" } else { "read" };
        let Self { batches, records, bytes, .. } = self;
        writeln!(
            f,
            "{read}: {}, {}, {} of segments",
            counted(batches, "batch"),
            counted(records, "record"),
            counted(bytes, "byte")
        )?;
        if self.purged > 0 {
            writeln!(
                f,
                "purged: {}; what is recorded of them is there, their contents are gone",
                counted(self.purged, "payload")
            )?;
        }
        let GoneDocument { sessions, leaves, roots } = self.gone;
        if leaves + roots > 0 {
            writeln!(
                f,
                "purged: {} of {}; vouched for by their hash alone: {leaves}, by the root over them: {roots}",
                counted(leaves + roots, "record"),
                counted(sessions, "session")
            )?;
        }
        if self.streams.is_empty() {
            return Ok(());
        }
        let labels = self.streams.iter().map(|stream| one_line(&stream.label).chars().count());
        let width = labels.max().unwrap_or_default().max("label".len());
        writeln!(f, "\n{:>6}  {:width$}  {:>8}  {:6}  root", "stream", "label", "records", "state")?;
        for StreamDocument { no, label, length, root, closed, gone } in &self.streams {
            // The node's and the ledger's stream end with the log and are never closed alone.
            let state = match (*closed, self.level.sealed) {
                (true, _) => "closed",
                (false, true) if *no < StreamNo::FIRST_SESSION.0 => "ended",
                (false, _) => "open",
            };
            let state = if *gone > 0 { "purged" } else { state };
            writeln!(f, "{no:>6}  {:width$}  {length:>8}  {state:6}  {root}", one_line(label))?;
        }
        Ok(())
    }
}

impl fmt::Display for FindingDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, stream, label, record, lsn, what } = self;
        if !file.is_empty() {
            writeln!(f, "  file    {}, at byte {offset}", one_line(file))?;
        }
        if let Some(stream) = stream {
            let label = label.as_ref().map(|label| format!(" ({})", one_line(label))).unwrap_or_default();
            writeln!(f, "  stream  {stream}{label}")?;
        }
        if let Some(record) = record {
            writeln!(f, "  record  {record}")?;
        }
        if let Some(lsn) = lsn {
            writeln!(f, "  batch   {lsn}")?;
        }
        writeln!(f, "  what    {}", one_line(what))
    }
}
