//! What every engine of the log offers, and why it refuses.

use crate::batch::Batch;
use crate::finding::Finding;
use crate::record::Entry;
use crate::reduction::{Irreducible, Reduction, Tier};
use crate::segment::VERSION;
use crate::snapshot::{Opening, PendingSnapshot};
use core::fmt;
use hv_types::{Counted, Digest, Illegal, Timestamp};
use std::io;
use std::path::PathBuf;

/// One log that carries many streams, appended to in atomic batches.
///
/// A batch is appended under a short lock and made durable outside it, so that one sync serves all who wait:
/// [`append`](Log::append) first, then [`sync`](Log::sync), and only then may anything be revealed.
///
/// ```
/// use hv_audit::{Expect, Log, LogError, MemoryLog, StreamNo};
/// use hv_types::Timestamp;
///
/// let log = MemoryLog::new();
/// let mut session = None;
/// log.append(&[], Timestamp(1), &mut |batch| {
///     let (stream, _) = batch.genesis("session:s1", |body| body.extend_from_slice(b"settings"))?;
///     batch.push(stream, &[], |body| body.extend_from_slice(b"joined"))?;
///     session = Some(stream);
///     Ok(())
/// })?;
/// let stream = session.expect("the batch was appended");
/// assert_eq!(log.head(stream).map(|head| head.length), Some(2));
///
/// let stale = log.append(&[Expect { stream, length: 1 }], Timestamp(2), &mut |_| Ok(()));
/// assert_eq!(stale, Err(LogError::Stale { stream, expected: 1, found: 2 }));
/// # Ok::<(), LogError>(())
/// ```
pub trait Log: Send + Sync + fmt::Debug {
    /// Appends one atomic batch and gives its number. Nothing is durable yet.
    ///
    /// The records carry `now`, or the time of the last record where that is later: time does not run backwards.
    /// `fill` pushes the records; it must not call the log. Where it fails, or anything that it asked of the
    /// batch failed, nothing is appended.
    ///
    /// # Errors
    /// [`LogError::Stale`], [`LogError::Unknown`] or [`LogError::Closed`] where an expectation does not hold;
    /// [`LogError::Empty`] where nothing was pushed; what `fill` or its first failing push answered;
    /// [`LogError::Sealed`] after a [`seal`](Log::seal); [`LogError::Poisoned`] after a failed write.
    fn append(
        &self,
        expect: &[Expect],
        now: Timestamp,
        fill: &mut dyn FnMut(&mut Batch<'_>) -> Result<(), LogError>,
    ) -> Result<Lsn, LogError>;

    /// Returns when everything up to this batch is durable. Blocks.
    ///
    /// # Errors
    /// [`LogError::Io`] for the caller whose write or sync failed, [`LogError::Poisoned`] for all others and
    /// for ever after. Nothing above [`durable`](Log::durable) may then be revealed.
    fn sync(&self, to: Lsn) -> Result<(), LogError>;

    /// The last batch that is durable. Cheap: one atomic read.
    fn durable(&self) -> Lsn;

    /// Whether a [`sync`](Log::sync) is likely to be so short that it may be called where nothing should block, by those of
    /// late and by what the log was told. Cheap: one atomic read.
    fn sync_is_short(&self) -> bool {
        false
    }

    /// Whether [`sync`](Log::sync) waits for a disk, and [`put_payload`](Log::put_payload) may, so that whoever must
    /// not block calls them elsewhere.
    fn waits_for_disk(&self) -> bool {
        true
    }

    /// Makes everything durable and goes through it from the first record, in the order in which it was
    /// appended; gives the last batch. Every record's place in its chain is checked again on the way.
    ///
    /// `f` must not call the log.
    ///
    /// # Errors
    /// [`LogError::Illegal`] where `f` refuses a record, [`LogError::Damaged`] where the log does not hold what
    /// was written to it, and those of [`sync`](Log::sync).
    fn replay(&self, f: &mut dyn FnMut(Entry<'_>) -> Result<(), Illegal>) -> Result<Lsn, LogError>;

    /// Where an open stream ends now, synced or not; `None` for one that was never opened or is closed.
    ///
    /// Costs one hash per level of the tree.
    fn head(&self, stream: StreamNo) -> Option<Head>;

    /// Keeps content outside the records; a record then refers to it. It can be read at once, and is durable before
    /// the first batch that was appended after it: whoever waits for that batch waits for it, too.
    ///
    /// For what is large, and for what may have to be purged: a record holds no more of it than a keyed
    /// digest, whose key lies with the content. What no record refers to becomes durable with the next batch all
    /// the same, and the record that ends the log refers to it.
    ///
    /// Costs hashing and enciphering it, and waits for the disk only where so much waits already that memory would grow.
    ///
    /// # Errors
    /// [`LogError::Io`]; [`LogError::Sealed`] and [`LogError::Poisoned`] as for [`append`](Log::append).
    fn put_payload(&self, bytes: &[u8]) -> Result<PayloadRef, LogError>;

    /// The same for content that the caller does not need any more, which need not be copied then.
    ///
    /// # Errors
    /// Those of [`put_payload`](Log::put_payload).
    fn take_payload(&self, bytes: Vec<u8>) -> Result<PayloadRef, LogError> {
        self.put_payload(&bytes)
    }

    /// The same for whoever must not block: gives the content back where taking it would wait for the disk, or take long
    /// because it is large.
    ///
    /// # Errors
    /// Those of [`put_payload`](Log::put_payload).
    fn try_take_payload(&self, bytes: Vec<u8>) -> Result<Result<PayloadRef, Vec<u8>>, LogError> {
        if self.waits_for_disk() { Ok(Err(bytes)) } else { self.take_payload(bytes).map(Ok) }
    }

    /// Forgets a content that no record refers to, as long as it waits: it is never stored then. One that is durable, or
    /// on its way to the disk, stays.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] as for [`append`](Log::append).
    fn forget_payload(&self, payload: &PayloadRef) -> Result<(), LogError>;

    /// The content behind a reference, checked against it; `None` where there is none.
    ///
    /// # Errors
    /// [`LogError::Purged`] where it was purged; [`LogError::Io`], or [`LogError::Damaged`] where the content is
    /// not what was put.
    fn payload(&self, id: &Digest) -> Result<Option<Vec<u8>>, LogError>;

    /// What a batch needs to [`reduce`](Batch::reduce) closed streams to a tier, in the order in which they are named.
    /// `checkpoint` is size and root of the node's stream as a checkpoint has them that is kept outside the log and
    /// speaks for the end of each of them; whether somebody signed it is for the caller to have checked.
    ///
    /// Goes through the whole log.
    ///
    /// # Errors
    /// [`LogError::Irreducible`] for the first stream whose records have to stay; those of [`replay`](Log::replay).
    fn reductions(
        &self,
        streams: &[StreamNo],
        tier: Tier,
        checkpoint: (u64, Digest),
    ) -> Result<Vec<Reduction>, LogError>;

    /// Destroys what [`Batch::purge`] and [`Batch::reduce`] named and says so on the node stream; gives how many
    /// payloads that were. Waits until the purges are durable, and until everything that it did is. Keys go first: without its key a
    /// content cannot be read, and no guess of it be tested.
    ///
    /// Where this is interrupted, opening the log goes on with it.
    ///
    /// # Errors
    /// [`LogError::Io`]; [`LogError::Sealed`] and [`LogError::Poisoned`] as for [`append`](Log::append).
    fn destroy(&self, now: Timestamp) -> Result<u64, LogError>;

    /// Ends the log cleanly: destroys what is still to be destroyed, commits to the head of every open stream, makes everything durable, and leaves
    /// nothing that is not covered to the last byte. Nothing can be appended afterwards.
    ///
    /// # Errors
    /// Those of [`append`](Log::append) and [`sync`](Log::sync).
    fn seal(&self, now: Timestamp) -> Result<Lsn, LogError>;

    /// Begins to keep what its reader made of everything appended so far, so that opening the log again begins there:
    /// appends the record that holds its digest. `None` where the engine keeps none.
    ///
    /// Nobody may append meanwhile what `state` does not hold. Costs a hash over it.
    ///
    /// # Errors
    /// Those of [`append`](Log::append).
    fn begin_snapshot(&self, now: Timestamp, state: &[u8]) -> Result<Option<PendingSnapshot>, LogError> {
        let _ = (now, state);
        Ok(None)
    }

    /// Writes what was begun, durable when this returns; the one before is then removed. Blocks.
    ///
    /// # Errors
    /// [`LogError::Io`] where it cannot be written, which harms nothing else; those of [`sync`](Log::sync).
    fn finish_snapshot(&self, snapshot: PendingSnapshot) -> Result<(), LogError> {
        let _ = snapshot;
        Ok(())
    }

    /// What opening began with, and the state that was kept there, once.
    fn opening(&self) -> (Opening, Option<Vec<u8>>) {
        (Opening::default(), None)
    }

    /// As [`replay`](Log::replay), without what the snapshot covers that [`opening`](Log::opening) names.
    ///
    /// # Errors
    /// Those of [`replay`](Log::replay).
    fn replay_rest(&self, f: &mut dyn FnMut(Entry<'_>) -> Result<(), Illegal>) -> Result<Lsn, LogError> {
        self.replay(f)
    }

    /// Verifies what opening from a snapshot left unread, or waits until that is done; it begins by itself when the
    /// log is opened. A log is not ended before. Blocks.
    ///
    /// # Errors
    /// [`LogError::Damaged`] where the log does not hold what was written to it; then nothing more is appended.
    fn verify_rest(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// The hashes of all records of a stream, in order, synced: what proofs are made from. Goes through the
    /// whole log.
    ///
    /// # Errors
    /// Those of [`replay`](Log::replay).
    fn leaves(&self, stream: StreamNo) -> Result<Vec<Digest>, LogError> {
        let mut leaves = Vec::new();
        self.replay(&mut |entry| {
            if entry.stream == stream {
                leaves.push(entry.hash);
            }
            Ok(())
        })?;
        Ok(leaves)
    }
}

/// The number of a stream, unique within its log and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamNo(pub u32);

impl StreamNo {
    /// The node's own stream: it commits to the beginning and the end of every other.
    pub const NODE: Self = Self(0);
    /// The ledger's stream.
    pub const LEDGER: Self = Self(1);
    /// The first number that [`Batch::genesis`] gives.
    pub const FIRST_SESSION: Self = Self(2);

    /// What record 0 names as its parent: no hash, but the number itself, so that the first records of two
    /// streams never have the same bytes.
    pub(crate) const fn origin(self) -> Digest {
        let mut bytes = [0; 32];
        [bytes[28], bytes[29], bytes[30], bytes[31]] = self.0.to_le_bytes();
        Digest(bytes)
    }
}

impl fmt::Display for StreamNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NODE => f.write_str("the node stream"),
            Self::LEDGER => f.write_str("the ledger stream"),
            Self(number) => write!(f, "stream {number}"),
        }
    }
}

/// The number of a batch, from 1 without gaps; 0 stands for nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How many records a stream must have for a batch to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Expect {
    /// The stream.
    pub stream: StreamNo,
    /// Its number of records.
    pub length: u64,
}

/// Where a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// Its number of records.
    pub length: u64,
    /// The hash of its last record; without records, what record 0 will name as its parent.
    pub tip: Digest,
    /// The root of the tree over all its records (the shape is that of RFC 6962, section 2.1).
    pub root: Digest,
}

/// A content outside the records, as a record refers to it. Only a log makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PayloadRef {
    pub(crate) id: Digest,
    pub(crate) length: u64,
}

impl PayloadRef {
    /// Its name: a hash of the content under a random key that is stored with the content.
    #[must_use]
    pub const fn id(&self) -> Digest {
        self.id
    }

    /// The content's length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }
}

/// The most bytes that the records of one batch may take: 16 MiB. Larger content is a payload.
pub const BATCH_MAX_BYTES: usize = 16 << 20;

/// The longest label of a stream, in bytes.
pub const LABEL_MAX_BYTES: usize = 256;

/// Why the log did not do what was asked.
// Its tag is a whole word, so that every answer that has room for one is copied word by word.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(u64)]
pub enum LogError {
    /// The stream has another length than was expected: somebody else was faster.
    Stale {
        /// The stream.
        stream: StreamNo,
        /// The length that the caller built on.
        expected: u64,
        /// The length that the stream has.
        found: u64,
    },
    /// There is no stream of this number yet.
    Unknown {
        /// The number.
        stream: StreamNo,
    },
    /// The stream is closed; nothing follows the record that closed it.
    Closed {
        /// The stream.
        stream: StreamNo,
    },
    /// The records of the stream may not be destroyed.
    Irreducible {
        /// The stream.
        stream: StreamNo,
        /// Why.
        why: Irreducible,
    },
    /// The node's and the ledger's stream end with the log and cannot be closed alone.
    NeverCloses {
        /// The stream.
        stream: StreamNo,
    },
    /// The batch holds no record.
    Empty,
    /// The caller gave the batch up while filling it.
    Abandoned,
    /// The batch would take more than [`BATCH_MAX_BYTES`].
    TooLarge,
    /// The label is longer than [`LABEL_MAX_BYTES`].
    LabelTooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// All stream numbers were used.
    NoStreamLeft,
    /// The log was sealed; open it again to continue it.
    Sealed,
    /// A write or a sync failed earlier, so nobody knows what the disk holds; open the log again. Or what opening left
    /// unread is not what was written: [`Log::verify_rest`] says what.
    Poisoned,
    /// The content was purged; a record on the node stream says so.
    Purged {
        /// The payload.
        id: Digest,
    },
    /// Another writer has the log open, and had it all the time while it was asked for.
    Locked {
        /// The log's folder.
        dir: PathBuf,
    },
    /// There is no log in the folder.
    NoLog {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder to create a log in is not empty.
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// The operating system refused.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done to it.
        doing: Doing,
        /// The kind of refusal.
        kind: io::ErrorKind,
    },
    /// The log does not hold what was written to it.
    Damaged(Box<Finding>),
    /// Every segment of the log is in another version of the format than this program reads.
    Version {
        /// The version of the first one.
        found: u32,
    },
    /// The reader of a replay refuses a record.
    Illegal {
        /// The record's batch.
        lsn: Lsn,
        /// The record's stream.
        stream: StreamNo,
        /// The record's place in its stream.
        seq: u64,
        /// The rule that it breaks.
        cause: Illegal,
    },
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { stream, expected, found } => {
                let records = Counted(*found, "record");
                write!(f, "{stream} has {records}, not {expected}; read it again and decide anew")
            }
            Self::Unknown { stream } => write!(f, "{stream} was never opened"),
            Self::Closed { stream } => write!(f, "{stream} is closed; nothing can follow"),
            Self::Irreducible { stream, why } => write!(f, "the records of {stream} stay: {why}"),
            Self::NeverCloses { stream } => write!(f, "{stream} ends with the log and cannot be closed"),
            Self::Empty => f.write_str("the batch holds no record"),
            Self::Abandoned => f.write_str("the batch was given up"),
            Self::TooLarge => {
                write!(
                    f,
                    "the batch takes more than {BATCH_MAX_BYTES} bytes; put large content into payloads"
                )
            }
            Self::LabelTooLong { bytes } => {
                write!(f, "the label has {bytes} bytes; at most {LABEL_MAX_BYTES} are allowed")
            }
            Self::NoStreamLeft => f.write_str("all stream numbers are used; begin a new log"),
            Self::Sealed => f.write_str("the log is sealed; open it again to continue it"),
            Self::Poisoned => f.write_str(
                "nothing more is written to the log: an earlier write to it failed, or what it holds is not what was written \
                 to it; open it again, which recovers what is durable, or verify it",
            ),
            Self::Purged { id } => write!(f, "the payload {id} was purged; its content is gone for good"),
            Self::Locked { dir } => {
                write!(f, "somebody else, another process or this one, writes to the log in {}", dir.display())
            }
            Self::NoLog { dir } => write!(f, "there is no log in {}", dir.display()),
            Self::NotEmpty { dir } => {
                write!(f, "{} is not empty; a new log needs a folder of its own", dir.display())
            }
            Self::Io { path, doing, kind } => write!(f, "cannot {doing} {}: {kind}", path.display()),
            Self::Damaged(finding) => write!(f, "the log is damaged: {finding}"),
            Self::Version { found } => write!(
                f,
                "the log is in version {found} of the format, and this program reads version {VERSION}: use the hv that \
                 wrote it"
            ),
            Self::Illegal { lsn, stream, seq, cause } => {
                write!(f, "record {seq} of {stream} (batch {lsn}) is no legal next one: {cause}")
            }
        }
    }
}

impl core::error::Error for LogError {}

/// What was being done to a file when the operating system refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doing {
    /// Making it.
    Create,
    /// Opening it.
    Open,
    /// Reading from it, or listing it.
    Read,
    /// Writing to it.
    Write,
    /// Making it durable.
    Sync,
    /// Setting its length.
    Trim,
    /// Giving it its final name.
    Rename,
    /// Removing it.
    Remove,
    /// Taking the writer's lock on it.
    Lock,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write to",
            Self::Sync => "sync",
            Self::Trim => "trim",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Lock => "lock",
        })
    }
}
