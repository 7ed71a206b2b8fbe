//! What is wrong with a log, and where.

use crate::log::{Lsn, StreamNo};
use crate::segment::VERSION;
use core::fmt;
use hv_types::{Counted, Digest, Undecodable};
use std::path::PathBuf;

/// A place where a log does not hold what an honest writer leaves, even after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as named within the log's folder; empty for a log in memory.
    pub file: PathBuf,
    /// The first byte of the file that does not fit, or of the smallest checked unit that holds it.
    pub offset: u64,
    /// The stream, where it is known.
    pub stream: Option<StreamNo>,
    /// The record's place in its stream, where it is known.
    pub record: Option<u64>,
    /// The batch, where it is known.
    pub lsn: Option<Lsn>,
    /// What is wrong.
    pub what: What,
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// Something in the folder that no log puts there.
    Stranger,
    /// A file is missing.
    Missing,
    /// The mark has another length than a mark has, or was never written though there are segments.
    MarkLength {
        /// Its length in bytes.
        found: u64,
    },
    /// A slot of the mark is not what was written, in a log that says it was ended.
    MarkSlot,
    /// The two slots of the mark cannot both have been written by one log.
    MarksDisagree,
    /// The log ends before what the mark says was durable.
    BelowMark {
        /// The last batch that the mark knows.
        marked: Lsn,
        /// The last batch that is there.
        found: Lsn,
    },
    /// The batch that the mark names is there, but is not the one that was marked.
    NotAsMarked,
    /// The header of a segment is not what was written.
    SegmentHeader,
    /// The segment is in another version of the format than others of the log.
    SegmentVersion {
        /// That version.
        found: u32,
    },
    /// The segment belongs to another log or to another place.
    SegmentPlace,
    /// The segment before this one has another digest than was written here.
    SegmentDigest,
    /// The log was ended with another content of its last segment.
    EndDigest,
    /// The header of a frame is not what was written.
    FrameHeader,
    /// The content of a frame is not what was written.
    FrameChecksum,
    /// The file ends within a frame.
    Cut,
    /// The frame has another number than the one that is next.
    FrameLsn {
        /// The number that is next.
        expected: Lsn,
    },
    /// There are bytes behind the last frame of a finished segment.
    Trailing,
    /// The bytes are no record.
    NotARecord(Undecodable),
    /// The record names another parent than the record before it: one of the two is not what was written.
    Parent,
    /// The record has another place in its stream than the one that is next.
    Sequence {
        /// The place that is next.
        expected: u64,
    },
    /// The record says that it came with another batch.
    RecordLsn {
        /// The batch that it names.
        found: Lsn,
    },
    /// The record is earlier than the one before it.
    Time,
    /// The stream is not open.
    NoStream,
    /// A record of this kind cannot be here.
    Misplaced,
    /// The log does not begin with the record that starts it.
    Beginning,
    /// The record starts another log than this one.
    Nonce,
    /// The node's stream does not say that a stream was opened or closed.
    Uncommitted,
    /// The node's stream says something else about a stream than its own records.
    Commitment,
    /// The record that closes a stream holds another root than its records have.
    Root,
    /// The record that ends the log holds another end of a stream than its records have.
    EndOf {
        /// The stream.
        stream: StreamNo,
    },
    /// The record that ends the log does not name the streams that are open.
    Ends,
    /// Something follows the record that ends the log.
    AfterEnd,
    /// The mark says that the log was ended, its last record does not.
    NotEnded,
    /// A record refers to a payload that is not there.
    PayloadMissing {
        /// The payload.
        id: Digest,
    },
    /// The payload is not what was written.
    PayloadDamaged,
    /// No record refers to the payload.
    PayloadUnreferenced,
    /// The log agrees with itself, but is not the one that was signed outside its folder: it was rewritten.
    NotAsSigned {
        /// The number of records of the node's stream that the checkpoint signs.
        size: u64,
    },
    /// The log agrees with itself, but ends before what was signed outside its folder: it was rolled back.
    BelowSigned {
        /// The number of records of the node's stream that the checkpoint signs.
        size: u64,
        /// How many there are.
        found: u64,
    },
    /// The payload was purged, and it or its key is there again.
    PurgedAgain {
        /// The payload.
        id: Digest,
    },
    /// The file of keys does not begin as it must.
    KeysHeader,
    /// A payload is there and its key is not.
    KeyMissing {
        /// The payload.
        id: Digest,
    },
    /// The payload was purged, and the file of keys does not say that its key was destroyed.
    KeyUnlisted {
        /// The payload.
        id: Digest,
    },
    /// The key is not what was written.
    KeyDamaged,
    /// No payload has this key.
    KeyUnreferenced,
    /// The key was destroyed, and no record says that its payload is purged.
    KeyDestroyed,
    /// The record says that a purge is done that is not under way.
    NoPurge,
    /// The log was ended in the middle of a purge.
    PurgeUnfinished,
    /// Records of a stream are gone, and no record says that they were purged, or not so much of them.
    Unpurged,
    /// Records of a stream were purged, and are there again.
    RecordsAgain,
    /// A segment of which records were purged is not what was left of it then.
    ShortDigest,
    /// A record purges records of a stream that was not closed like that.
    ReductionElsewhere,
    /// No record names the snapshot.
    SnapshotUnrecorded,
    /// The snapshot is not what was kept.
    SnapshotDamaged,
    /// The snapshot, as it was kept, says of the log what its records do not.
    SnapshotElsewhere,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.as_os_str().is_empty() {
            write!(f, "{} at byte {}: ", self.file.display(), self.offset)?;
        }
        if let (Some(stream), Some(record)) = (self.stream, self.record) {
            write!(f, "record {record} of {stream}: ")?;
        }
        if let Some(lsn) = self.lsn {
            write!(f, "batch {lsn}: ")?;
        }
        write!(f, "{}", self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stranger => "no log puts this here",
            Self::Missing => "the file is missing",
            Self::MarkLength { found } => {
                return write!(f, "the mark has {}, which no mark has", Counted(*found, "byte"));
            }
            Self::MarkSlot => "this half of the mark is not what was written",
            Self::MarksDisagree => "the two halves of the mark contradict each other",
            Self::BelowMark { marked, found } => {
                return write!(f, "the log ends with batch {found}, but batch {marked} was durable");
            }
            Self::NotAsMarked => "the batch is not the one that was marked as durable",
            Self::SegmentHeader => "the segment's header is not what was written",
            Self::SegmentVersion { found } => {
                return write!(
                    f,
                    "the segment is in version {found} of the format, and others of the log are in version {VERSION}"
                );
            }
            Self::SegmentPlace => "the segment belongs to another log or another place",
            Self::SegmentDigest => "the segment before this one is not what it was when this one began",
            Self::EndDigest => "the segment is not what it was when the log was ended",
            Self::FrameHeader => "the frame's header is not what was written",
            Self::FrameChecksum => "the frame's content is not what was written",
            Self::Cut => "the file ends within a frame",
            Self::FrameLsn { expected } => return write!(f, "batch {expected} should be here"),
            Self::Trailing => "there are bytes behind the last frame",
            Self::NotARecord(cause) => return write!(f, "the bytes are no record: {cause}"),
            Self::Parent => {
                "it names another parent than the record before it, so one of the two was changed"
            }
            Self::Sequence { expected } => return write!(f, "record {expected} should be here"),
            Self::RecordLsn { found } => return write!(f, "the record says that it came with batch {found}"),
            Self::Time => "it is earlier than the record before it",
            Self::NoStream => "the stream is not open",
            Self::Misplaced => "a record of this kind cannot be here",
            Self::Beginning => "the log does not begin with the record that starts it",
            Self::Nonce => "it starts another log than this one",
            Self::Uncommitted => "the node's stream does not say that a stream was opened or closed",
            Self::Commitment => "the node's stream says something else than the stream's own records",
            Self::Root => "the stream is closed with another root than its records have",
            Self::EndOf { stream } => {
                return write!(f, "the log was ended with another end of {stream} than its records have");
            }
            Self::Ends => "the log was ended with other streams open than its records say",
            Self::AfterEnd => "something follows the record that ends the log",
            Self::NotEnded => "the mark says that the log was ended, its last record does not",
            Self::PayloadMissing { id } => return write!(f, "the payload {id} is missing"),
            Self::PayloadDamaged => "the payload is not what was written",
            Self::PayloadUnreferenced => "no record refers to this payload",
            Self::NotAsSigned { size } => {
                return write!(f, "the log was rewritten: not what the checkpoint of size {size} signs");
            }
            Self::BelowSigned { size, found } => {
                let records = Counted(*found, "record");
                return write!(
                    f,
                    "the log was rolled back: the node's stream has {records}, and {size} were signed"
                );
            }
            Self::PurgedAgain { id } => {
                return write!(f, "the payload {id} was purged, and it or its key is there again");
            }
            Self::KeysHeader => "the file of keys does not begin as it must",
            Self::KeyMissing { id } => return write!(f, "the key of payload {id} is missing"),
            Self::KeyUnlisted { id } => {
                return write!(f, "the payload {id} was purged, and its key is not listed as destroyed");
            }
            Self::KeyDamaged => "the key is not what was written",
            Self::KeyUnreferenced => "no payload has this key",
            Self::KeyDestroyed => "the key was destroyed, and no record says that its payload is purged",
            Self::NoPurge => "it says that a purge is done that is not under way",
            Self::Unpurged => "records are gone, and no record says that they were purged",
            Self::RecordsAgain => "records were purged, and are there again",
            Self::ShortDigest => "the segment is not what was left of it when records were purged",
            Self::ReductionElsewhere => "it purges records of a stream that was not closed like that",
            Self::SnapshotUnrecorded => "no record names this snapshot",
            Self::SnapshotDamaged => "the snapshot is not what was kept",
            Self::SnapshotElsewhere => "the snapshot says of the log what its records do not",
            Self::PurgeUnfinished => "the log was ended in the middle of a purge",
        })
    }
}
