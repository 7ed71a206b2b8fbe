//! What a log's records say about records that are gone, held against what is gone; and destroying them.

use crate::disk::Disk;
use crate::file::FileLog;
use crate::finding::{Finding, What};
use crate::folder::{Folder, io_error};
use crate::hash::{Blake3, Rfc6962};
use crate::log::{Doing, Log, LogError, Lsn, StreamNo};
use crate::record::{Entry, Kind};
use crate::reduction::{Irreducible, Reduction, Segments, Tier};
use crate::segment::segment_name;
use crate::short::Shortening;
use crate::snapshot::{self, snapshot_name};
use crate::survey::Survey;
use crate::transcript::node_entry;
use crate::tree::{CompactRange, TreeHash};
use core::fmt;
use hv_types::{Counted, Digest, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What was read about records that are gone.
#[derive(Debug, Default)]
pub(crate) struct Reductions {
    /// The records that begin reductions, by their places on the node stream.
    begun: BTreeMap<u64, Begun>,
    /// What the segments are whose records were destroyed, as it was said last.
    pinned: Segments,
    /// The digests of the segments of which records are gone.
    short: Segments,
    /// The sessions: what is there of them, and how they were closed.
    sessions: BTreeMap<StreamNo, Seen>,
}

#[derive(Debug)]
struct Begun {
    stream: StreamNo,
    tier: Tier,
    end: (u64, Digest),
    place: Place,
}

/// Where a record lies that something is said about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) lsn: Lsn,
}

#[derive(Debug, Default)]
struct Seen {
    /// Whether its first record is there.
    begins: bool,
    /// What is gone of it at least, and where that should be.
    gone: Option<(Tier, Place)>,
    /// Records before the one that closed it, and the root over them.
    closed: Option<(u64, Digest)>,
}

/// How many records are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GoneRecords {
    /// The sessions that they were of.
    pub sessions: u64,
    /// Those whose hashes are there.
    pub leaves: u64,
    /// Those of which only roots of subtrees are there, each over some of them.
    pub roots: u64,
}

impl GoneRecords {
    /// Takes the next record of a log.
    pub(crate) fn take(&mut self, entry: &Entry<'_>) {
        let Kind::Gone { records } = entry.kind else { return };
        self.sessions += u64::from(entry.seq == 0);
        if records == 1 { self.leaves += 1 } else { self.roots += records }
    }
}

impl Reductions {
    /// Takes the next record of a log.
    pub(crate) fn note(&mut self, entry: &Entry<'_>, place: Place) {
        match entry.kind {
            Kind::Genesis { .. } => self.sessions.entry(entry.stream).or_default().begins = true,
            Kind::StreamClosed { stream, size, root, .. } => {
                self.sessions.entry(stream).or_default().closed = Some((size, root));
            }
            Kind::Gone { records } => {
                let tier = if records == 1 { Tier::Leaves } else { Tier::Roots };
                let gone = &mut self.sessions.entry(entry.stream).or_default().gone;
                match gone {
                    Some((least, _)) if *least >= tier => {}
                    _ => *gone = Some((tier, place)),
                }
            }
            Kind::Reduce(reduce) => {
                let (stream, tier, end) = (reduce.stream, reduce.tier, (reduce.size, reduce.root));
                self.begun.insert(entry.seq, Begun { stream, tier, end, place });
            }
            Kind::Reduced { done } => self.pinned.extend(done.segments()),
            _ => {}
        }
    }

    /// A segment of which records are gone was read to its end.
    pub(crate) fn short(&mut self, segment: u32, digest: Digest) {
        self.short.insert(segment, digest);
    }

    fn is_short(&self, segment: u32) -> bool {
        self.short.contains_key(&segment)
    }

    /// The reductions that these records begin, as a writer goes on with them.
    pub(crate) fn pending(&self, reducing: &BTreeSet<u64>) -> Vec<(u64, StreamNo, Tier)> {
        let of = |seq: &u64| self.begun.get(seq).map(|begun| (*seq, begun.stream, begun.tier));
        reducing.iter().filter_map(of).collect()
    }

    /// Whether everything that is gone was purged, and everything that was purged is gone. Where reading began in the
    /// middle, `from` is the segment, and what lies before it is left out.
    fn check(&self, reducing: &BTreeSet<u64>, from: Option<u32>) -> Result<(), LogError> {
        let mut allowed: BTreeMap<StreamNo, Tier> = BTreeMap::new();
        for (seq, Begun { stream, tier, end, place }) in &self.begun {
            let seen = self.sessions.get(stream);
            let closed = seen.and_then(|seen| seen.closed);
            if closed.map_or(from.is_none(), |closed| closed != *end) {
                return Err(finding(StreamNo::NODE, Some(*seq), *place, What::ReductionElsewhere));
            }
            if !reducing.contains(seq) && seen.is_some_and(|seen| seen.begins) {
                return Err(finding(*stream, Some(0), *place, What::RecordsAgain));
            }
            let most = allowed.entry(*stream).or_insert(*tier);
            *most = (*most).max(*tier);
        }
        for (stream, seen) in &self.sessions {
            let Some((tier, place)) = seen.gone else { continue };
            if allowed.get(stream).is_none_or(|allowed| *allowed < tier) {
                return Err(finding(*stream, None, place, What::Unpurged));
            }
        }
        if !reducing.is_empty() {
            // They are being written; what they are now is said when that is done.
            return Ok(());
        }
        for (segment, digest) in self.pinned.iter().filter(|(segment, _)| Some(**segment) >= from) {
            match self.short.get(segment) {
                None => return Err(about(*segment, What::RecordsAgain)),
                Some(short) if short != digest => return Err(about(*segment, What::ShortDigest)),
                Some(_) => {}
            }
        }
        match self.short.keys().find(|segment| !self.pinned.contains_key(segment)) {
            Some(segment) => Err(about(*segment, What::Unpurged)),
            None => Ok(()),
        }
    }
}

fn finding(stream: StreamNo, record: Option<u64>, place: Place, what: What) -> LogError {
    let Place { segment, offset, lsn } = place;
    let file = segment_name(segment).into();
    LogError::Damaged(Box::new(Finding { file, offset, stream: Some(stream), record, lsn: Some(lsn), what }))
}

fn about(segment: u32, what: What) -> LogError {
    crate::folder::found(Path::new(&segment_name(segment)), what)
}

/// So often a log is read again whose writer destroys records while it is read.
const AGAIN: u32 = 3;

/// Whether what is gone of a log is what its records say. A writer that is at work may have destroyed something after
/// the records were read that say so: the record comes first, so whoever sees the one finds the other.
pub(crate) fn check_reductions(
    survey: &Survey<'_>,
    disk: &dyn Disk,
    dir: &Path,
    at_work: bool,
) -> Result<(), LogError> {
    let checked = |survey: &Survey<'_>| {
        // What a writer goes on in, and what the mark names, is never reduced.
        let marked = survey.mark.filter(|mark| mark.lsn > Lsn(0)).map(|mark| mark.segment);
        if survey.end.short.is_some() || marked.is_some_and(|marked| survey.reductions.is_short(marked)) {
            return Err(about(marked.unwrap_or(survey.end.segment), What::NotAsMarked));
        }
        survey.reductions.check(survey.chain.reducing(), survey.stood_in())
    };
    let mut result = checked(survey);
    for _ in 0..AGAIN {
        if result.is_ok() || !at_work {
            break;
        }
        let mut later = Survey::new(disk, dir);
        if later.read(&mut |_| Ok(())).is_ok() {
            result = checked(&later);
        }
    }
    result
}

/// Nothing where no record is gone; otherwise how many, and what vouches for them.
impl fmt::Display for GoneRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, leaves, roots } = self;
        match leaves + roots {
            0 => Ok(()),
            records => write!(
                f,
                "; {} of {} purged: {leaves} vouched for by their hash, {roots} by the root over them",
                Counted(records, "record"),
                Counted(*sessions, "session")
            ),
        }
    }
}

/// What has to be known about a stream so that it can be reduced.
#[derive(Debug, Default)]
struct Candidate {
    tree: CompactRange<Blake3>,
    first: Option<Lsn>,
    last: Lsn,
    /// What is gone of it.
    gone: Option<Tier>,
    contents: BTreeSet<Digest>,
    /// Its end: how many records it had before, the root over them, and how many records the node's stream has with it.
    closed: Option<(u64, Digest, u64)>,
}

impl FileLog {
    /// What a batch needs to reduce these streams.
    pub(crate) fn find_reductions(
        &self,
        streams: &[StreamNo],
        tier: Tier,
        checkpoint: (u64, Digest),
    ) -> Result<Vec<Reduction>, LogError> {
        let mut candidates: BTreeMap<StreamNo, Candidate> =
            streams.iter().map(|stream| (*stream, Candidate::default())).collect();
        let mut node = CompactRange::<Rfc6962>::new();
        let mut signed = (checkpoint.0 == 0).then(|| node.root());
        // What a record says about records that are gone was checked when the log was opened.
        let mut said: BTreeMap<StreamNo, Vec<Digest>> = BTreeMap::new();
        self.replay(&mut |entry| {
            if entry.stream == StreamNo::NODE {
                node.push(Rfc6962::leaf(&node_entry(entry.bytes)));
                if node.size() == checkpoint.0 {
                    signed = Some(node.root());
                }
            }
            match entry.kind {
                Kind::StreamClosed { stream, size, root, .. } => {
                    if let Some(candidate) = candidates.get_mut(&stream) {
                        (candidate.closed, candidate.last) = (Some((size, root, node.size())), entry.lsn);
                    }
                }
                Kind::Reduce(reduce) => {
                    said.insert(reduce.stream, reduce.peaks.collect());
                }
                _ => {}
            }
            let Some(candidate) = candidates.get_mut(&entry.stream) else { return Ok(()) };
            candidate.first.get_or_insert(entry.lsn);
            candidate.contents.extend(entry.attachments.map(|content| content.id()));
            match entry.kind {
                Kind::Gone { records } => {
                    let tier = if records == 1 { Tier::Leaves } else { Tier::Roots };
                    candidate.gone = candidate.gone.max(Some(tier));
                }
                Kind::Close { .. } => {}
                _ => candidate.tree.push(entry.hash),
            }
            Ok(())
        })?;
        let reduction = |stream: StreamNo| {
            let refused = |why| LogError::Irreducible { stream, why };
            let candidate = candidates.get(&stream).ok_or_else(|| refused(Irreducible::Open))?;
            let (size, root, with_end) = candidate.closed.ok_or_else(|| refused(Irreducible::Open))?;
            if signed != Some(checkpoint.1) {
                return Err(refused(Irreducible::NotAsSigned));
            }
            if with_end > checkpoint.0 {
                return Err(refused(Irreducible::NotCovered));
            }
            if candidate.gone.is_some_and(|gone| gone >= tier) {
                return Err(refused(Irreducible::Reduced));
            }
            if !candidate.contents.iter().all(|content| self.is_purged(content)) {
                return Err(refused(Irreducible::Content));
            }
            let peaks = match candidate.gone {
                Some(_) => said.get(&stream).cloned().unwrap_or_default(),
                None => candidate.tree.peaks().to_vec(),
            };
            let whole = CompactRange::<Blake3>::from_peaks(size, peaks.clone());
            if whole.is_none_or(|whole| whole.root() != root) {
                return Err(refused(Irreducible::Open));
            }
            let (first, last) = (candidate.first.unwrap_or_default(), candidate.last);
            Ok(Reduction { stream, tier, size, root, peaks, first, last, checkpoint })
        };
        streams.iter().map(|stream| reduction(*stream)).collect()
    }

    /// Destroys the records of all reductions that are under way. Whoever calls it keeps everybody else from doing so.
    pub(crate) fn reduce_in(&self, now: Timestamp) -> Result<(), LogError> {
        loop {
            let pending = self.pending_reductions()?;
            if pending.is_empty() {
                return Ok(());
            }
            // What opening left unread must be read as it was.
            self.verify_rest()?;
            self.sync(Lsn(u64::MAX))?;
            let finished = self.pin_marks()?;
            self.poisoning(|| {
                let mut tiers = BTreeMap::new();
                for (_, stream, tier) in &pending {
                    let most = tiers.entry(*stream).or_insert(*tier);
                    *most = (*most).max(*tier);
                }
                let (disk, dir) = self.place();
                remove_snapshots(disk, dir)?;
                let mut shortening = Shortening { disk, dir, tiers: &tiers, places: BTreeMap::new() };
                let mut segments = Segments::new();
                for index in 0..finished {
                    if let Some(digest) = shortening.segment(index)? {
                        segments.insert(index, digest);
                    }
                }
                let done: Vec<u64> = pending.iter().map(|(seq, ..)| *seq).collect();
                let lsn = self.append_frame(|journal| journal.append_reduced(&done, &segments, now))?;
                self.sync(lsn)
            })?;
        }
    }
}

/// Snapshots stand in segments that are written anew, and nothing needs them.
fn remove_snapshots(disk: &dyn Disk, dir: &Path) -> Result<(), LogError> {
    let snapshots = Folder::list(disk, dir)?.snapshots;
    for lsn in &snapshots {
        snapshot::remove(disk, &dir.join(snapshot_name(*lsn)))?;
    }
    if snapshots.is_empty() { Ok(()) } else { disk.sync_dir(dir).map_err(io_error(dir, Doing::Sync)) }
}
