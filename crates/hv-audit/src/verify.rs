//! Verification of a log's folder by a stranger: reads everything, believes nothing, changes nothing.

use crate::disk::{Access, Disk, RealDisk};
use crate::finding::{Finding, What};
use crate::folder::Folder;
use crate::hash::Rfc6962;
use crate::inventory::{Purpose, take_inventory};
use crate::log::{Head, LogError, Lsn, StreamNo};
use crate::outside::{Ends, Held, Outside, Reach, Tips, print};
use crate::record::{Entry, Kind};
use crate::reducing::GoneRecords;
use crate::segment::{SegmentReader, segment_name};
use crate::survey::{Survey, Tail};
use crate::transcript::node_entry;
use crate::tree::{CompactRange, TreeHash};
use core::fmt;
use hv_types::Digest;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether the log is whole.
    pub verdict: Verdict,
    /// How much that says, and up to where.
    pub level: Level,
    /// Every stream, in the order of their numbers, as far as it was read.
    pub streams: Vec<StreamReport>,
    /// How many batches were read.
    pub batches: u64,
    /// How many records were read.
    pub records: u64,
    /// How many bytes the segments have that were read to their end.
    pub bytes: u64,
    /// How many payloads were purged: a record says so, and they are gone.
    pub purged: u64,
    /// How many records were purged: what they said is vouched for by their hashes alone.
    pub gone: GoneRecords,
}

/// Whether a log is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was ended, every stream was closed, and everything is as it was then, to the last byte.
    Complete,
    /// It is consistent as far as it goes, and may go on.
    Open(Why),
    /// It is not what an honest writer left.
    Tampered(Box<Finding>),
}

/// Why a consistent log is not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Nothing was written yet.
    Nothing,
    /// It was not ended: a writer has it, or had it and was killed.
    NotEnded {
        /// How many bytes follow the last whole batch that are no whole batch.
        torn_bytes: u64,
    },
    /// It was ended while sessions were open, to be continued.
    SessionsOpen {
        /// How many.
        count: u32,
    },
    /// The writer was killed at the last step of ending it.
    EndInterrupted,
}

/// How much a verdict says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// L0: the folder agrees with itself up to this batch. Whoever can write to it can have rewritten all of it.
    pub lsn: Lsn,
    /// Whether the log was ended there.
    pub ended: bool,
    /// What holds besides, because of something outside the folder; the strongest first. Above the batch that each
    /// names, it does not hold.
    pub outside: Vec<Held>,
}

/// A stream as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    /// Its number.
    pub no: StreamNo,
    /// What the caller calls it.
    pub label: String,
    /// Its number of records.
    pub length: u64,
    /// The root over all its records; over those before the closing one where it is closed.
    pub root: Digest,
    /// Whether it is closed.
    pub closed: bool,
    /// How many of its records were purged.
    pub gone: u64,
}

/// Verifies the log in a folder. Takes no lock and changes nothing; a writer may be at work meanwhile.
///
/// Every byte of an ended log is covered, so any changed one is found, and the place is named. What was rewritten
/// as a whole by somebody who can write to the folder is beyond what a folder alone can tell; the report's level
/// says so. `INVARIANT (A1)`
///
/// Goes once through all bytes. Memory grows with the number of streams and payloads, not of records.
///
/// # Errors
/// Those of the operating system, [`io::ErrorKind::NotFound`] where there is no log, and
/// [`io::ErrorKind::Unsupported`] where it is in a version of the format that is not read.
pub fn verify(dir: &Path) -> io::Result<Report> {
    verify_on(&RealDisk, dir, &mut |_| {})
}

/// As [`verify`], on any disk; shows every record that fits to `f` on the way.
///
/// What `f` has seen counts only as far as the report says.
///
/// # Errors
/// Those of [`verify`].
pub fn verify_on(disk: &dyn Disk, dir: &Path, f: &mut dyn FnMut(Entry<'_>)) -> io::Result<Report> {
    verify_against(disk, dir, &[], f)
}

/// As [`verify_on`], against roots of the node's stream that were kept outside the folder. A log that does not have
/// one of them was tampered with, however well it agrees with itself.
///
/// # Errors
/// Those of [`verify`].
pub fn verify_against(
    disk: &dyn Disk,
    dir: &Path,
    outside: &[Outside<'_>],
    f: &mut dyn FnMut(Entry<'_>),
) -> io::Result<Report> {
    let mut survey = Survey::new(disk, dir);
    let mut streams = BTreeMap::new();
    let mut compared = Compared::new(outside);
    let mut gone = GoneRecords::default();
    let read = survey.read(&mut |entry| {
        note(&mut streams, &entry);
        compared.take(&entry);
        gone.take(&entry);
        f(entry);
        Ok(())
    });
    let checked = read.and_then(|()| take_inventory(&survey, disk, dir, Purpose::Verify).map(drop));
    let ended = survey.says_ended();
    let verdict = match checked {
        Ok(()) => judge(&survey, disk, dir)?,
        Err(LogError::Damaged(finding)) => Verdict::Tampered(finding),
        Err(LogError::Io { kind, .. }) => return Err(kind.into()),
        Err(error @ LogError::Version { .. }) => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, error));
        }
        Err(error) => return Err(io::Error::new(io::ErrorKind::NotFound, error)),
    };
    let (verdict, outside) = match verdict {
        Verdict::Tampered(finding) => (Verdict::Tampered(finding), Vec::new()),
        whole => match compared.judge() {
            Ok(held) => (whole, held),
            Err(finding) => (Verdict::Tampered(Box::new(with_place(disk, dir, finding)?)), Vec::new()),
        },
    };
    let ended = ended && !matches!(verdict, Verdict::Tampered(_));
    for (no, Head { length, root, .. }) in survey.chain.heads() {
        let stream = streams.entry(no).or_insert_with(|| StreamReport::new(no));
        (stream.length, stream.root) = (length, root);
    }
    Ok(Report {
        verdict,
        level: Level { lsn: survey.lsn, ended, outside },
        streams: streams.into_values().collect(),
        batches: survey.lsn.0,
        records: survey.records,
        bytes: survey.bytes,
        purged: survey.purged.len() as u64,
        gone,
    })
}

impl StreamReport {
    fn new(no: StreamNo) -> Self {
        let label = match no {
            StreamNo::NODE => "node",
            StreamNo::LEDGER => "ledger",
            _ => "",
        };
        Self { no, label: label.to_owned(), length: 0, root: Digest::default(), closed: false, gone: 0 }
    }
}

/// Keeps what a report says about streams.
fn note(streams: &mut BTreeMap<StreamNo, StreamReport>, entry: &Entry<'_>) {
    match entry.kind {
        Kind::Genesis { label } => {
            let stream = streams.entry(entry.stream).or_insert_with(|| StreamReport::new(entry.stream));
            label.clone_into(&mut stream.label);
        }
        // What its own records say of that may be gone.
        Kind::StreamOpened { stream, label, .. } => {
            let stream = streams.entry(stream).or_insert_with(|| StreamReport::new(stream));
            if stream.gone > 0 {
                label.clone_into(&mut stream.label);
            }
        }
        Kind::StreamClosed { stream, size, root, .. } => {
            if let Some(stream) = streams.get_mut(&stream) {
                (stream.length, stream.root, stream.closed) = (size + 1, root, true);
            }
        }
        Kind::Gone { records } => {
            streams.entry(entry.stream).or_insert_with(|| StreamReport::new(entry.stream)).gone += records;
        }
        _ => {}
    }
}

/// The roots from outside, beside what the log has.
struct Compared<'a> {
    outside: &'a [Outside<'a>],
    tree: CompactRange<Rfc6962>,
    /// The log's own root at each size that is asked for.
    roots: BTreeMap<u64, Digest>,
    reach: Reach,
    /// Where the open streams end, and the batch of the last record, where anybody vouches for that.
    tips: Option<(Tips, Lsn)>,
    /// The log's own ends behind each batch that is asked for; `None` where they cannot be known any more.
    ends: BTreeMap<Lsn, Option<Ends>>,
    records: u64,
    /// Whether records are gone of which only roots are there: where the others stand among them is not known then.
    blind: bool,
    /// The first record that is not the one that the prints were made of.
    changed: Vec<Option<Place>>,
}

/// A record's place in the log.
#[derive(Debug, Clone, Copy)]
struct Place {
    stream: StreamNo,
    seq: u64,
    lsn: Lsn,
}

impl<'a> Compared<'a> {
    fn new(outside: &'a [Outside<'a>]) -> Self {
        let tree = CompactRange::new();
        let roots = BTreeMap::from([(0, tree.root())]);
        let reach = Reach::default();
        let asked = outside.iter().any(|outside| outside.ends.is_some());
        let tips = asked.then(|| (Tips::default(), Lsn(0)));
        let (ends, changed) = (BTreeMap::new(), vec![None; outside.len()]);
        Self { outside, tree, roots, reach, tips, ends, records: 0, blind: false, changed }
    }

    fn take(&mut self, entry: &Entry<'_>) {
        if self.outside.is_empty() {
            return;
        }
        self.reach.note(entry);
        self.note_ends(Some(entry));
        let of_this = print(&entry.hash);
        let records = if let Kind::Gone { records } = entry.kind { records } else { 1 };
        self.blind |= records > 1;
        for (outside, changed) in self.outside.iter().zip(&mut self.changed) {
            let known = outside.prints.filter(|_| !self.blind).and_then(|prints| prints.at(self.records));
            if changed.is_none() && known.is_some_and(|known| known != of_this) {
                let Entry { stream, seq, lsn, .. } = *entry;
                *changed = Some(Place { stream, seq, lsn });
            }
        }
        self.records += records;
        if entry.stream == StreamNo::NODE {
            self.tree.push(Rfc6962::leaf(&node_entry(entry.bytes)));
            if self.outside.iter().any(|outside| outside.size == self.tree.size()) {
                self.roots.insert(self.tree.size(), self.tree.root());
            }
        }
    }

    /// Keeps where the streams end behind the batches that are asked for; `None` behind the last record.
    fn note_ends(&mut self, next: Option<&Entry<'_>>) {
        let Some((tips, last)) = &mut self.tips else { return };
        // Of batches in between nothing is left, so the streams ended behind each of them where they ended before, but
        // for those of which only roots are there.
        let behind = next.map_or(last.next(), |next| next.lsn);
        let here = |ends: &Ends| (*last..behind).contains(&ends.lsn);
        for lsn in self.outside.iter().filter_map(|outside| outside.ends.filter(here)).map(|ends| ends.lsn) {
            self.ends.insert(lsn, tips.ends(lsn));
        }
        if let Some(next) = next {
            tips.take(next);
            *last = next.lsn;
        }
    }

    /// What holds, or the finding for the smallest root that the log does not have.
    fn judge(&mut self) -> Result<Vec<Held>, Finding> {
        self.note_ends(None);
        let mut all: Vec<_> = self.outside.iter().zip(&self.changed).collect();
        all.sort_by_key(|(outside, _)| outside.size);
        let mut held = Vec::new();
        for (outside, changed) in all {
            let &Outside { rank, size, root, ends, .. } = outside;
            let own = ends.and_then(|ends| self.ends.get(&ends.lsn).copied());
            // Nothing contradicts what cannot be known any more, and nothing bears it out.
            let ends = ends.filter(|_| own != Some(None));
            let as_said = ends.is_none_or(|ends| own == Some(Some(ends)));
            let what = match self.roots.get(&size) {
                Some(own) if *own == root && as_said => {
                    let said = ends.map_or(Lsn(0), |ends| ends.lsn);
                    held.push(Held { rank, size, lsn: self.reach.of(size).max(said) });
                    continue;
                }
                Some(_) => What::NotAsSigned { size },
                None => What::BelowSigned { size, found: self.reach.size() },
            };
            let place = *changed;
            return Err(Finding {
                file: PathBuf::new(),
                offset: 0,
                stream: place.map(|place| place.stream),
                record: place.map(|place| place.seq),
                lsn: place.map(|place| place.lsn),
                what,
            });
        }
        held.sort_by(|a, b| b.rank.cmp(&a.rank).then(b.lsn.cmp(&a.lsn)).then(b.size.cmp(&a.size)));
        held.dedup_by_key(|held| held.rank);
        Ok(held)
    }
}

/// A finding about a batch, with where in the folder the batch begins; one without a batch is about the end.
fn with_place(disk: &dyn Disk, dir: &Path, finding: Finding) -> io::Result<Finding> {
    let mut survey = Survey::new(disk, dir);
    let read = Folder::list(disk, dir).and_then(|folder| {
        let segments = u32::try_from(folder.segments.len()).unwrap_or(u32::MAX);
        // A record that is refused leaves the survey where its batch begins.
        let there =
            |entry: Entry<'_>| if finding.lsn == Some(entry.lsn) { Err(LogError::Abandoned) } else { Ok(()) };
        survey.read_segments(segments, None, &mut { there })
    });
    if let Err(LogError::Io { kind, .. }) = read {
        return Err(kind.into());
    }
    Ok(Finding { file: segment_name(survey.end.segment).into(), offset: survey.end.offset, ..finding })
}

/// The verdict on a log in which nothing is wrong.
fn judge(survey: &Survey<'_>, disk: &dyn Disk, dir: &Path) -> io::Result<Verdict> {
    let why = if survey.lsn == Lsn(0) {
        Why::Nothing
    } else if !survey.says_ended() {
        Why::NotEnded { torn_bytes: torn_bytes(survey, disk, dir)? }
    } else if !survey.marks_agree {
        Why::EndInterrupted
    } else if survey.chain.open_sessions() > 0 {
        Why::SessionsOpen { count: survey.chain.open_sessions() }
    } else {
        return Ok(Verdict::Complete);
    };
    Ok(Verdict::Open(why))
}

fn torn_bytes(survey: &Survey<'_>, disk: &dyn Disk, dir: &Path) -> io::Result<u64> {
    let (segment, from) = match survey.tail {
        Tail::Nothing | Tail::Zeros => return Ok(0),
        Tail::Torn { at, .. } => (survey.end.segment, at),
        Tail::Unbegun { segment } => (segment, 0),
    };
    let path = dir.join(segment_name(segment));
    let mut reader = SegmentReader::new(disk.open(&path, Access::Read)?)?;
    Ok(reader.used(from)? - from)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.verdict, self.level)?;
        match self.purged {
            0 => {}
            1 => f.write_str("; a payload purged")?,
            purged => write!(f, "; {purged} payloads purged")?,
        }
        write!(f, "{}", self.gone)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Open(why) => write!(f, "open: {why}"),
            Self::Tampered(finding) => write!(f, "tampered: {finding}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing was written yet"),
            Self::NotEnded { torn_bytes: 0 } => f.write_str("it was not ended"),
            Self::NotEnded { torn_bytes: 1 } => {
                f.write_str("it was not ended, and a byte follows that is no whole batch")
            }
            Self::NotEnded { torn_bytes } => {
                write!(f, "it was not ended, and {torn_bytes} bytes follow that are no whole batch")
            }
            Self::SessionsOpen { count: 1 } => f.write_str("it was ended with a session open"),
            Self::SessionsOpen { count } => write!(f, "it was ended with {count} sessions open"),
            Self::EndInterrupted => f.write_str("its writer was stopped while ending it"),
        }
    }
}

/// From the strongest to the weakest, each with the batch up to which it holds.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outside.iter().try_for_each(|held| write!(f, "{held}; "))?;
        let up_to = if self.ended { "sealed up to" } else { "consistent up to" };
        write!(f, "L0, self-consistent, {up_to} batch {}", self.lsn)
    }
}
