//! Verification of a log's folder by a stranger: reads everything, believes nothing, changes nothing.

use crate::disk::{Access, Disk, RealDisk};
use crate::finding::{Finding, What};
use crate::folder::found;
use crate::log::{Head, LogError, Lsn, StreamNo};
use crate::payload::{check_length, payload_path, read_payload};
use crate::record::{Entry, Kind};
use crate::segment::{SegmentReader, segment_name};
use crate::survey::{Reference, Survey, Tail};
use core::fmt;
use hv_types::Digest;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The folder agrees with itself. Whoever can write to it can have rewritten all of it.
    SelfConsistent {
        /// The last batch up to which that holds.
        lsn: Lsn,
        /// Whether the log was ended there.
        ended: bool,
    },
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
/// Those of the operating system, and [`io::ErrorKind::NotFound`] where there is no log.
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
    let mut survey = Survey::new(disk, dir);
    let mut streams = BTreeMap::new();
    let read = survey.read(&mut |entry| {
        note(&mut streams, &entry);
        f(entry);
        Ok(())
    });
    let checked = read.and_then(|()| check_payloads(&survey, disk, dir));
    let ended = survey.says_ended();
    let verdict = match checked {
        Ok(()) => judge(&survey, disk, dir)?,
        Err(LogError::Damaged(finding)) => Verdict::Tampered(finding),
        Err(LogError::Io { kind, .. }) => return Err(kind.into()),
        Err(error) => return Err(io::Error::new(io::ErrorKind::NotFound, error)),
    };
    let ended = ended && !matches!(verdict, Verdict::Tampered(_));
    for (no, Head { length, root, .. }) in survey.chain.heads() {
        let stream = streams.entry(no).or_insert_with(|| StreamReport::new(no));
        (stream.length, stream.root) = (length, root);
    }
    Ok(Report {
        verdict,
        level: Level::SelfConsistent { lsn: survey.lsn, ended },
        streams: streams.into_values().collect(),
        batches: survey.lsn.0,
        records: survey.records,
        bytes: survey.bytes,
    })
}

impl StreamReport {
    fn new(no: StreamNo) -> Self {
        let label = match no {
            StreamNo::NODE => "node",
            StreamNo::LEDGER => "ledger",
            _ => "",
        };
        Self { no, label: label.to_owned(), length: 0, root: Digest::default(), closed: false }
    }
}

/// Keeps what a report says about streams.
fn note(streams: &mut BTreeMap<StreamNo, StreamReport>, entry: &Entry<'_>) {
    match entry.kind {
        Kind::Genesis { label } => {
            let stream = streams.entry(entry.stream).or_insert_with(|| StreamReport::new(entry.stream));
            label.clone_into(&mut stream.label);
        }
        Kind::Close { size, root } => {
            if let Some(stream) = streams.get_mut(&entry.stream) {
                (stream.length, stream.root, stream.closed) = (size + 1, root, true);
            }
        }
        _ => {}
    }
}

/// Checks that every payload that a record refers to is there and is what was put, and in a log that was ended
/// that there is no other.
fn check_payloads(survey: &Survey<'_>, disk: &dyn Disk, dir: &Path) -> Result<(), LogError> {
    for (id, reference) in &survey.references {
        let Reference { length, stream, seq, lsn } = *reference;
        let checked = check_length(disk, dir, id, length).and_then(|()| read_payload(disk, dir, id));
        match checked {
            Ok(_) => {}
            Err(LogError::Damaged(finding)) => {
                let (stream, record, lsn) = (Some(stream), Some(seq), Some(lsn));
                return Err(LogError::Damaged(Box::new(Finding { stream, record, lsn, ..*finding })));
            }
            Err(error) => return Err(error),
        }
    }
    let loose = survey.folder.payloads.iter().find(|id| !survey.references.contains_key(id));
    match loose.filter(|_| survey.says_ended()) {
        Some(id) => Err(found(&payload_path(id), What::PayloadUnreferenced)),
        None => Ok(()),
    }
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
        write!(f, "{}; {}", self.verdict, self.level)
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
            Self::NotEnded { torn_bytes } => {
                write!(f, "it was not ended, and {torn_bytes} bytes follow that are no whole batch")
            }
            Self::SessionsOpen { count } => write!(f, "it was ended with {count} sessions open"),
            Self::EndInterrupted => f.write_str("its writer was stopped while ending it"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::SelfConsistent { lsn, ended } = self;
        let up_to = if *ended { "sealed up to" } else { "consistent up to" };
        write!(f, "L0, self-consistent, {up_to} batch {lsn}")
    }
}
