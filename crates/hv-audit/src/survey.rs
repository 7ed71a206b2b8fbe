//! Reading a log's folder from the first byte to the last, believing nothing.
//!
//! Opening a log and verifying one both begin here. What a crash can leave (a tail that is not whole, above
//! the mark) is told from what it cannot.

use crate::ahead::{Ahead, Frame, Stop};
use crate::chain::{self, Chain, Misfit};
use crate::disk::{Access, Disk};
use crate::finding::{Finding, What};
use crate::folder::{Folder, found, found_at, io_error};
use crate::hash::FileDigest;
use crate::locate::locate;
use crate::log::{Doing, LogError, Lsn, StreamNo};
use crate::mark::{MARK_NAME, Mark, MarkState, Marks, SLOT_BYTES};
use crate::prefix::digest_up_to;
use crate::record::{Entry, Kind};
use crate::reducing::{Place, Reductions};
use crate::segment::{FRAME_HEADER_BYTES, HEADER_BYTES, SegmentReader, ShortHeader, segment_name};
use crate::snapshot::{Point, Print};
use hv_types::Digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What was read of a log so far.
#[derive(Debug)]
pub(crate) struct Survey<'d> {
    disk: &'d dyn Disk,
    dir: &'d Path,
    pub(crate) folder: Folder,
    /// The half of the mark that holds; `None` where nothing was ever written to it.
    pub(crate) mark: Option<Mark>,
    /// Whether both halves of the mark say the same.
    pub(crate) marks_agree: bool,
    pub(crate) chain: Chain,
    /// The last batch that is whole.
    pub(crate) lsn: Lsn,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Where the last whole batch ends.
    pub(crate) end: End,
    pub(crate) tail: Tail,
    /// The payloads that records refer to, and the first record that does.
    pub(crate) references: BTreeMap<Digest, Reference>,
    /// The payloads that records purge, and the place of the last such record on the node stream.
    pub(crate) purged: BTreeMap<Digest, u64>,
    /// What records say of snapshots, by their batches.
    pub(crate) snapshots: BTreeMap<Lsn, Print>,
    /// What records say about records that are gone, and what is gone.
    pub(crate) reductions: Reductions,
    /// The segment in which reading began, where it began at a snapshot.
    stood: Option<u32>,
    /// Whether somebody waits for it.
    hurried: bool,
    /// Something wrong with a whole segment, kept back for something more exact.
    suspended: Option<LogError>,
}

/// Where the whole batches of a log end.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// The last segment whose header is whole.
    pub(crate) segment: u32,
    /// Where in it the last whole batch ends; 0 where there is no segment.
    pub(crate) offset: u64,
    /// The segment's digest up to there; `None` where reading began in the middle of it and nobody has asked for it.
    pub(crate) digest: Option<FileDigest>,
    /// What the segment was, where records of it are gone.
    pub(crate) short: Option<ShortHeader>,
}

/// What follows the last whole batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing.
    Nothing,
    /// Zeros.
    Zeros,
    /// Bytes that are no whole batch.
    Torn { at: u64, finding: Box<Finding> },
    /// A segment whose header is not whole, behind the last one that is.
    Unbegun { segment: u32 },
}

/// A payload as a record refers to it.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) length: u64,
    pub(crate) stream: StreamNo,
    pub(crate) seq: u64,
    pub(crate) lsn: Lsn,
}

impl<'d> Survey<'d> {
    /// Nothing was read yet.
    pub(crate) fn new(disk: &'d dyn Disk, dir: &'d Path) -> Self {
        Self {
            disk,
            dir,
            folder: Folder::default(),
            mark: None,
            marks_agree: false,
            chain: Chain::new(),
            lsn: Lsn(0),
            records: 0,
            bytes: 0,
            end: End { digest: Some(FileDigest::default()), ..End::default() },
            tail: Tail::Nothing,
            references: BTreeMap::new(),
            purged: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            reductions: Reductions::default(),
            stood: None,
            hurried: true,
            suspended: None,
        }
    }

    /// The same where nobody waits for it, so that it takes no more than one thread from others.
    pub(crate) fn unhurried(self) -> Self {
        Self { hurried: false, ..self }
    }

    /// Reads everything but the payloads; stops at the first thing that no crash can have left.
    ///
    /// What was read up to there is in `self` either way.
    pub(crate) fn read(
        &mut self,
        f: &mut dyn FnMut(Entry<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        self.read_behind(None, f)
    }

    /// As [`read`](Self::read), without what lies before a point where there is one. What is read holds only if the
    /// log stood there.
    pub(crate) fn read_behind(
        &mut self,
        point: Option<&Point>,
        f: &mut dyn FnMut(Entry<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let segments = self.look()?;
        point.map_or(Ok(()), |point| self.stand_at(point))?;
        self.read_segments(segments, None, f)?;
        self.check_end()
    }

    /// As [`read`](Self::read), from where it stands: what came since it was read before.
    pub(crate) fn read_on(
        &mut self,
        f: &mut dyn FnMut(Entry<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let before = self.mark;
        let segments = self.look()?;
        // A mark only grows; what has another one is another log, or the same as it was once.
        let same =
            |before: Mark| self.mark.is_some_and(|mark| mark.nonce == before.nonce && mark.lsn >= before.lsn);
        if !before.is_none_or(same) {
            return Err(found(Path::new(MARK_NAME), What::NotAsMarked));
        }
        self.tail = Tail::Nothing;
        self.read_segments(segments, None, f)?;
        self.check_end()
    }

    /// What the mark and the folder say; gives the number of segments.
    fn look(&mut self) -> Result<u32, LogError> {
        // The mark first: whatever a living writer adds meanwhile lies above it.
        let marks = self.read_marks()?;
        self.folder = Folder::list(self.disk, self.dir)?;
        if !self.folder.is_log() {
            return Err(LogError::NoLog { dir: self.dir.to_owned() });
        }
        self.folder.check()?;
        let Some(marks) = marks else { return Err(found(Path::new(MARK_NAME), What::Missing)) };
        self.take_marks(marks)?;
        let segments = u32::try_from(self.folder.segments.len()).unwrap_or(u32::MAX);
        if self.mark.is_some_and(|mark| mark.lsn > Lsn(0) && mark.segment >= segments) {
            return Err(found(Path::new(&segment_name(segments)), What::Missing));
        }
        Ok(segments)
    }

    /// Whether nothing was left out before the first record that was read.
    pub(crate) const fn is_whole(&self) -> bool {
        self.stood.is_none()
    }

    /// The segment in which reading began, where it began at a snapshot.
    pub(crate) const fn stood_in(&self) -> Option<u32> {
        self.stood
    }

    /// Whether the log says that it was ended.
    pub(crate) fn says_ended(&self) -> bool {
        self.mark.is_some_and(|mark| mark.state == MarkState::Sealed)
    }

    /// Whether a payload is being purged: the record is there, and the one that it is done is not.
    pub(crate) fn is_purging(&self, id: &Digest) -> bool {
        self.purged.get(id).is_some_and(|purge| self.chain.is_purging(*purge))
    }

    fn read_marks(&self) -> Result<Option<Marks>, LogError> {
        let path = self.dir.join(MARK_NAME);
        match self.disk.open(&path, Access::Read) {
            Ok(file) => Marks::read(&*file).map(Some).map_err(io_error(&path, Doing::Read)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path, Doing::Open)(error)),
        }
    }

    fn take_marks(&mut self, marks: Marks) -> Result<(), LogError> {
        let file = Path::new(MARK_NAME);
        let slots = match marks {
            // The folder of a log that was being created: nothing can have been lost.
            Marks::Blank
                if self.folder.segments.is_empty() && !self.folder.payload_folder && !self.folder.keys =>
            {
                return Ok(());
            }
            Marks::Blank => return Err(found(file, What::MarkLength { found: 0 })),
            Marks::Length(length) => return Err(found(file, What::MarkLength { found: length })),
            Marks::Slots(slots) => slots,
        };
        let mark = match *slots {
            [Some(a), Some(b)] => {
                let (older, newer) = if a.turn <= b.turn { (a, b) } else { (b, a) };
                let same_turn = a.turn == b.turn;
                if a.nonce != b.nonce || older.lsn > newer.lsn || (same_turn && a != b) {
                    return Err(found(file, What::MarksDisagree));
                }
                self.marks_agree = same_turn;
                newer
            }
            // A half that is not whole can be a write that a crash tore; the end of a log is written one
            // half after the other, each synced.
            [Some(mark), None] | [None, Some(mark)] if mark.state == MarkState::Open => mark,
            [Some(_), None] => return Err(found_at(file, SLOT_BYTES as u64, What::MarkSlot)),
            [None, _] => return Err(found(file, What::MarkSlot)),
        };
        self.mark = Some(mark);
        Ok(())
    }

    /// Goes to where a snapshot says that the log stood.
    pub(crate) fn stand_at(&mut self, point: &Point) -> Result<(), LogError> {
        let name = PathBuf::from(segment_name(point.segment));
        let path = self.dir.join(&name);
        let file = self.disk.open(&path, Access::Read).map_err(io_error(&path, Doing::Open))?;
        let read = io_error(&path, Doing::Read);
        let mut reader = SegmentReader::new(file).map_err(&read)?;
        let header = reader.header().map_err(&read)?.map(|(header, _)| header);
        let nonce = self.mark.map_or(point.nonce, |mark| mark.nonce);
        let fits = header.is_some_and(|header| {
            let here = (header.index, header.nonce) == (point.segment, point.nonce);
            here && header.first_lsn <= point.lsn.next() && header.nonce == nonce
        });
        let chain = Chain::resume(point)
            .filter(|_| fits && (HEADER_BYTES as u64..=reader.length()).contains(&point.offset));
        self.chain = chain.ok_or_else(|| self.at_header(&name, What::SegmentPlace))?;
        self.stood = Some(point.segment);
        (self.lsn, self.end.segment, self.end.offset) = (point.lsn, point.segment, point.offset);
        self.end.digest = None;
        self.purged.extend(point.purged.iter().map(|id| (*id, 0)));
        for (purge, ids) in &point.pending {
            self.purged.extend(ids.iter().map(|id| (*id, *purge)));
        }
        Ok(())
    }

    /// Where the log stands that was read up to here.
    pub(crate) fn point(&mut self) -> Point {
        let (opened, endings) = self.chain.endings();
        let of = |purge: u64| self.purged.iter().filter(move |(_, by)| **by == purge).map(|(id, _)| *id);
        Point {
            nonce: self.chain.nonce().unwrap_or_default(),
            lsn: self.lsn,
            time: self.chain.time(),
            segment: self.end.segment,
            offset: self.end.offset,
            opened,
            endings,
            pending: self.chain.purging().map(|purge| (purge, of(purge).collect())).collect(),
            purged: self.purged.keys().copied().collect(),
        }
    }

    /// Reads so many segments, up to a batch where one is given; goes on where it stands.
    pub(crate) fn read_segments(
        &mut self,
        segments: u32,
        until: Option<Lsn>,
        f: &mut dyn FnMut(Entry<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        self.read_frames(segments, until, f)?;
        self.suspended.take().map_or(Ok(()), Err)
    }

    fn read_frames(
        &mut self,
        segments: u32,
        until: Option<Lsn>,
        f: &mut dyn FnMut(Entry<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let stands = (self.end.offset > 0).then_some(self.end.segment);
        for index in stands.unwrap_or(0)..segments {
            let last = index + 1 == segments;
            let name = PathBuf::from(segment_name(index));
            let path = self.dir.join(&name);
            let file = self.disk.open(&path, Access::Read).map_err(io_error(&path, Doing::Open))?;
            let read = io_error(&path, Doing::Read);
            let mut reader = SegmentReader::new(file).map_err(&read)?;
            if stands != Some(index) && !self.begin_segment(&mut reader, index, last, &name)? {
                return Ok(());
            }
            if until.is_some_and(|until| self.lsn >= until) {
                return Ok(());
            }
            let (offset, hashed) = (self.end.offset, self.end.short.is_none());
            let digest = self.end.digest.take();
            let mut ahead = Ahead { reader, offset, digest, until, hashed, hurried: self.hurried };
            let stop =
                ahead.each(&read, &mut |run| run.frames().try_for_each(|frame| self.frame(frame, &name, f)));
            let Ahead { mut reader, digest, .. } = ahead;
            self.end.digest = digest;
            let offset = self.end.offset;
            match stop? {
                Stop::Until => return Ok(()),
                Stop::End => {}
                Stop::Zeros if last => self.tail = Tail::Zeros,
                Stop::Zeros => return Err(found_at(&name, offset, What::Trailing)),
                Stop::Bad(what) => {
                    let finding = self.finding(&mut reader, segments, what).map_err(&read)?;
                    if !last {
                        return Err(LogError::Damaged(finding));
                    }
                    self.tail = Tail::Torn { at: offset, finding };
                }
            }
            self.bytes += reader.length();
            self.end_short(&name)?;
        }
        Ok(())
    }

    /// The digest of the last segment up to where its last whole batch ends.
    fn end_digest(&mut self) -> Result<Digest, LogError> {
        let End { segment, offset, ref mut digest, .. } = self.end;
        let digest = match digest {
            Some(digest) => digest,
            None => digest.insert(digest_up_to((self.disk, self.dir), segment, offset, &|| true)?),
        };
        Ok(digest.finish())
    }

    /// Behind a segment of which records are gone, the log stands where it stood behind what that was.
    fn end_short(&mut self, name: &Path) -> Result<(), LogError> {
        let Some(short) = self.end.short else { return Ok(()) };
        if self.lsn > short.last_lsn {
            return Err(found_at(name, self.end.offset, What::SegmentHeader));
        }
        let digest = self.end_digest()?;
        self.reductions.short(self.end.segment, digest);
        self.lsn = short.last_lsn;
        self.chain.skip_to(short.last_lsn);
        Ok(())
    }

    /// Reads a segment's header; answers whether there are frames to read.
    fn begin_segment(
        &mut self,
        reader: &mut SegmentReader,
        index: u32,
        last: bool,
        name: &Path,
    ) -> Result<bool, LogError> {
        let read = io_error(&self.dir.join(name), Doing::Read);
        let short = reader.short_header().map_err(&read)?.map(|(header, bytes)| (header, bytes.to_vec()));
        let whole = match &short {
            Some((header, bytes)) => Some((header.was, bytes.as_slice())),
            None => reader.header().map_err(&read)?,
        };
        let Some((header, bytes)) = whole else {
            if let Some(found) = reader.other_version().map_err(&read)? {
                return Err(self.other_version(index, name, found)?);
            }
            // A segment is synced before anything in it is marked, so a torn header lies above the mark.
            let above = self.mark.is_none_or(|mark| mark.lsn <= self.lsn && mark.state == MarkState::Open);
            if last && above {
                self.tail = Tail::Unbegun { segment: index };
                return Ok(false);
            }
            return Err(self.at_header(name, What::SegmentHeader));
        };
        let previous = match self.end.short {
            _ if index == 0 => Digest::default(),
            Some(short) => short.digest,
            None => self.end_digest()?,
        };
        let nonce = self.mark.map_or(header.nonce, |mark| mark.nonce);
        if header.index != index || header.nonce != nonce || header.first_lsn != self.lsn.next() {
            return Err(self.at_header(name, What::SegmentPlace));
        }
        if header.previous != previous && self.suspended.is_none() {
            // A record further on may tell more exactly what was changed before.
            self.suspended = Some(self.at_header(name, What::SegmentDigest));
        }
        self.end.segment = index;
        self.end.offset = bytes.len() as u64;
        self.end.short = short.as_ref().map(|(header, _)| *header);
        let digest = self.end.digest.get_or_insert_default();
        digest.reset();
        digest.update(bytes);
        Ok(true)
    }

    /// A log of another version is nothing that was changed; one of which only some segments are is.
    fn other_version(&self, index: u32, name: &Path, found: u32) -> Result<LogError, LogError> {
        let mixed = index > 0 || self.is_any_of_this_version()?;
        let what = What::SegmentVersion { found };
        Ok(if mixed { self.at_header(name, what) } else { LogError::Version { found } })
    }

    fn is_any_of_this_version(&self) -> Result<bool, LogError> {
        for index in 0.. {
            let path = self.dir.join(segment_name(index));
            let file = match self.disk.open(&path, Access::Read) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
                file => file.map_err(io_error(&path, Doing::Open))?,
            };
            let read = io_error(&path, Doing::Read);
            let mut reader = SegmentReader::new(file).map_err(&read)?;
            if reader.is_of_this_version().map_err(&read)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A finding about a segment's header: the batches that should follow are not there.
    fn at_header(&self, name: &Path, what: What) -> LogError {
        let (file, lsn) = (name.to_owned(), Some(self.lsn.next()));
        LogError::Damaged(Box::new(Finding { file, offset: 0, stream: None, record: None, lsn, what }))
    }

    /// Whether the next batch can have this number because nothing is left of some before it.
    fn is_gap(&self, lsn: Lsn) -> bool {
        self.end.short.is_some_and(|short| lsn > self.lsn && lsn <= short.last_lsn)
    }

    fn frame(
        &mut self,
        Frame { lsn, bytes, leaves }: Frame<'_>,
        name: &Path,
        f: &mut dyn FnMut(Entry<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let offset = self.end.offset;
        let at = |misfit: Misfit| {
            let Misfit { at, stream, seq, what } = misfit;
            let offset = offset + (FRAME_HEADER_BYTES + at) as u64;
            LogError::Damaged(Box::new(Finding {
                file: name.to_owned(),
                offset,
                stream,
                record: seq,
                lsn: Some(lsn),
                what,
            }))
        };
        let whole = |what| at(Misfit { at: 0, stream: None, seq: None, what });
        if lsn != self.lsn.next() && !self.is_gap(lsn) {
            return Err(whole(What::FrameLsn { expected: self.lsn.next() }));
        }
        let payload = bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default();
        let (records, references, purged) = (&mut self.records, &mut self.references, &mut self.purged);
        let (snapshots, reductions) = (&mut self.snapshots, &mut self.reductions);
        let place = Place { segment: self.end.segment, offset, lsn };
        let mut count = |entry: Entry<'_>, _| {
            *records += if let Kind::Gone { records } = entry.kind { records } else { 1 };
            reductions.note(&entry, place);
            for attachment in entry.attachments {
                let Entry { stream, seq, lsn, .. } = entry;
                let reference = Reference { length: attachment.length(), stream, seq, lsn };
                references.entry(attachment.id()).or_insert(reference);
            }
            if let Kind::Snapshot { digest, length } = entry.kind {
                snapshots.insert(entry.lsn, Print { digest, length });
            }
            if let Kind::Purge { ids } = entry.kind {
                purged.extend(ids.map(|id| (id, entry.seq)));
            }
            f(entry)
        };
        let read = match self.end.short {
            Some(_) => self.chain.read_short(payload, lsn, &mut count),
            None => self.chain.read_hashed(payload, leaves, &mut count),
        };
        match read {
            Ok(()) => {}
            Err(chain::Stop::Misfit(misfit)) => return Err(at(misfit)),
            Err(chain::Stop::Refused(error)) => return Err(error),
        }
        if self.chain.lsn() != lsn {
            return Err(whole(What::RecordLsn { found: self.chain.lsn() }));
        }
        if lsn == Lsn(1) && self.mark.is_some_and(|mark| self.chain.nonce() != Some(mark.nonce)) {
            return Err(whole(What::Beginning));
        }
        self.lsn = lsn;
        self.end.offset += bytes.len() as u64;
        match self.mark {
            // That no segment of which records are gone is the marked one is checked last: it may have become one since.
            Some(mark) if mark.lsn == lsn && self.end.short.is_none() => {
                let place = (self.end.segment, self.end.offset, self.chain.node());
                let marked = (mark.segment, mark.offset, (mark.node_length, mark.node_tip));
                if place == marked { Ok(()) } else { Err(whole(What::NotAsMarked)) }
            }
            _ => Ok(()),
        }
    }

    /// Checks how the log ends against what the mark says about it.
    fn check_end(&mut self) -> Result<(), LogError> {
        let Some(mark) = self.mark else { return Ok(()) };
        let ended = mark.state == MarkState::Sealed;
        match &self.tail {
            Tail::Torn { finding, .. } if ended || self.lsn < mark.lsn => {
                return Err(LogError::Damaged(finding.clone()));
            }
            _ => {}
        }
        let name = PathBuf::from(segment_name(self.end.segment));
        let here = |what| found_at(&name, self.end.offset, what);
        if self.lsn < mark.lsn {
            return Err(here(What::BelowMark { marked: mark.lsn, found: self.lsn }));
        }
        if !ended {
            return Ok(());
        }
        if self.lsn > mark.lsn {
            return Err(here(What::AfterEnd));
        }
        if self.tail != Tail::Nothing {
            return Err(here(What::Trailing));
        }
        if !self.chain.is_sealed() {
            return Err(here(What::NotEnded));
        }
        if self.end_digest()? != mark.digest {
            return Err(found(&name, What::EndDigest));
        }
        if let Some(unfinished) = self.folder.unfinished.first() {
            return Err(found(unfinished, What::Stranger));
        }
        if self.folder.payload_folder && self.folder.payloads.is_empty() {
            return Err(found(Path::new(crate::folder::PAYLOADS_NAME), What::Stranger));
        }
        Ok(())
    }

    /// A finding about the frame that should be next, with the record as far as the bytes still tell.
    fn finding(
        &self,
        reader: &mut SegmentReader,
        segments: u32,
        what: What,
    ) -> std::io::Result<Box<Finding>> {
        let offset = self.end.offset;
        let mark = self.mark.map(|mark| (mark.node_length, mark.node_tip));
        let mut behind = (self.end.segment + 1..segments).map(|index| {
            let file = self.disk.open(&self.dir.join(segment_name(index)), Access::Read)?;
            SegmentReader::new(file)
        });
        let record = locate(&self.chain, reader, offset, &mut || behind.next().transpose(), mark)?;
        let (stream, record) = record.unzip();
        let said = reader.frame_lsn(offset)?.filter(|lsn| self.is_gap(*lsn));
        let (file, lsn) = (segment_name(self.end.segment).into(), Some(said.unwrap_or(self.lsn.next())));
        Ok(Box::new(Finding { file, offset, stream, record, lsn, what }))
    }
}
