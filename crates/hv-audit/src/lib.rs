//! The trail: hash-chained streams in one log, Merkle trees over them, and verification.
//!
//! A [`Log`] takes atomic batches of records over numbered streams. Every record names the hash of the one
//! before it in its stream, and that hash is also its leaf in the stream's Merkle tree. The node's stream
//! commits to the beginning and the end of every other, so a dropped stream shows.
//!
//! This crate does not know what a record means. It has no clock and no randomness: both are arguments.

mod log;

mod record;

mod hash;
mod proof;
mod tree;

mod batch;
mod journal;
mod streams;

mod memory;

mod file;
mod recover;
mod writer;

mod folder;
mod mark;
mod payload;
mod segment;

mod chain;
mod locate;
mod survey;

mod finding;
mod salvage;
mod verify;

pub mod disk;

pub use batch::Batch;
pub use file::{FileLog, FileOptions, SEGMENT_BYTES, SEGMENT_MIN_BYTES};
pub use finding::{Finding, What};
pub use hash::{Blake3, Rfc6962};
pub use log::{
    BATCH_MAX_BYTES, Doing, Expect, Head, LABEL_MAX_BYTES, Log, LogError, Lsn, PayloadRef, StreamNo,
};
pub use memory::MemoryLog;
pub use payload::Entropy;
pub use proof::{BadProof, ConsistencyProof, InclusionProof};
pub use record::{Attachments, Entry, Heads, Kind};
pub use salvage::salvage_on;
pub use tree::{CompactRange, TreeHash};
pub use verify::{Level, Report, StreamReport, Verdict, Why, verify, verify_on};
