//! The trail: hash-chained streams in one log, Merkle trees over them, and verification.
//!
//! A [`Log`] takes atomic batches of records over numbered streams. Every record names the hash of the one
//! before it in its stream, and that hash is also its leaf in the stream's Merkle tree. The node's stream
//! commits to the beginning and the end of every other, so a dropped stream shows.
//!
//! What leaves the folder is hashed with SHA-256, so that programs that know certificate transparency can check it: a
//! [`Transcript`] gives the [`Checkpoint`] of the node's stream, [`TlogProof`]s and [`tiles`]; witnesses and signers
//! are reached through the ports [`NoteSigner`] and [`NoteVerifier`].
//!
//! This crate does not know what a record means. It has no clock and no randomness: both are arguments.

mod log;

mod record;

mod hash;
mod proof;
mod tree;
mod turns;

mod batch;
mod journal;
mod reduction;
mod streams;

mod memory;

mod file;
mod follow;
mod prefix;
mod recover;
mod rest;
mod snapshot;
mod waiting;
mod writer;

mod folder;
mod inventory;
mod keys;
mod mark;
mod payload;
mod reducing;
mod segment;
mod short;

mod ahead;
mod chain;
mod locate;
mod survey;

mod finding;
mod history;
mod reading;
mod salvage;
mod verify;

mod delta;
mod notes;
mod outside;
mod tiles;
mod transcript;

pub mod disk;

pub mod retention;

pub use batch::Batch;
pub use delta::{BadDelta, DeltaProof, Inner};
pub use file::{FileLog, FileOptions, SEGMENT_BYTES, SEGMENT_MIN_BYTES};
pub use finding::{Finding, What};
pub use follow::{Follow, Kept};
pub use hash::{Blake3, Rfc6962};
pub use history::{Flaw, HISTORY_LENGTH, History, check_history};
pub use hv_types::{Digest, Illegal, Timestamp};
pub use log::{
    BATCH_MAX_BYTES, Doing, Expect, Head, LABEL_MAX_BYTES, Log, LogError, Lsn, PayloadRef, StreamNo,
};
pub use memory::MemoryLog;
pub use notes::checkpoint::{BadCheckpoint, Checkpoint};
pub use notes::history_note::{BadHistory, HISTORY_SAID_MAX, HistoryProof, ProvenHistory};
pub use notes::key::{BadKeyText, KeyKind, NoteSigner, NoteVerifier, VerifierKey};
pub use notes::note::{BadNote, NOTE_MAX_BYTES, NOTE_MAX_SIGNATURES, Note, NoteSignature, Signed};
pub use notes::policy::{BadPolicy, BadPolicyCause, POLICY_MAX_LINES, Policy, Quorum};
pub use notes::rotation::{BadRotation, KeyChain, Rotation};
pub use notes::tlog_proof::{BadTlogProof, TlogProof};
pub use notes::witness::{AddCheckpoint, Malformed, Seen, WitnessRefusal};
pub use outside::{Ends, Held, Outside, Prints, Rank, Reach};
pub use payload::{Entropy, OpenPayload, open_payload, payload_name};
pub use proof::{BadProof, ConsistencyProof, InclusionProof};
pub use reading::Reading;
pub use record::{Attachments, Entry, Heads, Ids, Kind, first_parent, read_entry};
pub use reducing::GoneRecords;
pub use reduction::{Done, Irreducible, Reduce, Reduction, Tier};
pub use salvage::salvage_on;
pub use snapshot::{Opening, PendingSnapshot, UnusableSnapshot};
pub use tiles::{EntryTooLong, TILE_WIDTH, TileFile, bundle_entries, tiles};
pub use transcript::{ENTRY_MAX_BYTES, NoProof, Transcript, node_entry, origin};
pub use tree::{CompactRange, TreeHash};
pub use verify::{Level, Report, StreamReport, Verdict, Why, verify, verify_against, verify_on};

/// The examples in the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
