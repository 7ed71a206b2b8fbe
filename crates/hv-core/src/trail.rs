//! The trail as something to read: records with what they say.

use crate::event::{self, LedgerEvent, NodeEvent, SessionEvent};
use hv_audit::{Entry, Kind, Lsn, PayloadRef, Reduce, StreamNo, Tier};
use hv_types::{Digest, Timestamp, Undecodable};

/// One record of the trail, decoded.
#[derive(Debug, Clone)]
pub struct TrailRecord {
    /// The batch that it came with.
    pub lsn: Lsn,
    /// The stream that it belongs to.
    pub stream: StreamNo,
    /// Its place in its stream, from 0.
    pub seq: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// Its hash: link of the chain and leaf of the tree.
    pub hash: Digest,
    /// Content that it refers to.
    pub attached: Vec<PayloadRef>,
    /// What it says, in order.
    pub events: Vec<TrailEvent>,
}

/// One thing that a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrailEvent {
    /// The log was created, or opened again.
    Started,
    /// A session's stream began.
    Opened {
        /// The stream.
        stream: StreamNo,
        /// The session's name.
        label: String,
        /// The hash of its record 0.
        genesis: Digest,
    },
    /// A session's stream ended; on that stream, this is its last record.
    Closed {
        /// The stream.
        stream: StreamNo,
        /// Records before the one that closed it.
        size: u64,
        /// The root over them.
        root: Digest,
    },
    /// Contents are purged.
    Purged {
        /// Which.
        ids: Vec<Digest>,
    },
    /// The contents and keys of a purge are destroyed.
    Destroyed {
        /// The place of its record on the node stream.
        purge: u64,
    },
    /// The records of a session that is over are destroyed, up to their hashes.
    Reducing {
        /// Its stream.
        stream: StreamNo,
        /// What is left.
        tier: Tier,
        /// Records before the one that closed it.
        size: u64,
        /// The root over them.
        root: Digest,
        /// The batches of its first and its last record.
        batches: (u64, u64),
        /// Size and root of the checkpoint that speaks for its end.
        checkpoint: (u64, Digest),
    },
    /// That is done.
    Reduced {
        /// The places of these records on the node stream.
        purges: Vec<u64>,
        /// How many segments are without these records.
        segments: u64,
    },
    /// Records that are gone.
    Gone {
        /// How many.
        records: u64,
    },
    /// What was made of everything before is kept in a file beside the log.
    Snapshot {
        /// Digest of that file.
        digest: Digest,
        /// Its length in bytes.
        length: u64,
    },
    /// The log was ended cleanly.
    Sealed,
    /// Something that concerns the node.
    Node(NodeEvent),
    /// Something that concerns trust.
    Ledger(LedgerEvent),
    /// Something that happened in a session.
    Session(Box<SessionEvent>),
}

/// Decodes one record of a log.
///
/// # Errors
/// [`Undecodable`] where its body is not what this version writes.
pub fn read_record(entry: &Entry<'_>) -> Result<TrailRecord, Undecodable> {
    let events = match (entry.kind, entry.stream) {
        (Kind::Started { .. }, _) => vec![TrailEvent::Started],
        (Kind::Sealed { .. }, _) => vec![TrailEvent::Sealed],
        (Kind::StreamOpened { stream, label, genesis }, _) => {
            vec![TrailEvent::Opened { stream, label: label.to_owned(), genesis }]
        }
        (Kind::StreamClosed { stream, size, root, .. }, _) => vec![TrailEvent::Closed { stream, size, root }],
        (Kind::Close { size, root }, stream) => {
            let mut events = Vec::new();
            if !entry.body.is_empty() {
                events.extend(read(entry.body, |event| TrailEvent::Session(Box::new(event)))?);
            }
            events.push(TrailEvent::Closed { stream, size, root });
            events
        }
        (Kind::Destroyed { purge }, _) => vec![TrailEvent::Destroyed { purge }],
        (Kind::Reduce(reduce), _) => {
            let (batches, checkpoint) =
                ((reduce.first.0, reduce.last.0), (reduce.checkpoint_size, reduce.checkpoint_root));
            let Reduce { stream, tier, size, root, .. } = reduce;
            let mut events = vec![TrailEvent::Reducing { stream, tier, size, root, batches, checkpoint }];
            if !entry.body.is_empty() {
                events.extend(read(entry.body, TrailEvent::Node)?);
            }
            events
        }
        (Kind::Reduced { done }, _) => {
            let segments = done.segments().count() as u64;
            vec![TrailEvent::Reduced { purges: done.purges().collect(), segments }]
        }
        (Kind::Gone { records }, _) => vec![TrailEvent::Gone { records }],
        (Kind::Snapshot { digest, length }, _) => vec![TrailEvent::Snapshot { digest, length }],
        (Kind::Purge { ids }, _) => {
            let mut events = vec![TrailEvent::Purged { ids: ids.collect() }];
            if !entry.body.is_empty() {
                events.extend(read(entry.body, TrailEvent::Node)?);
            }
            events
        }
        (_, StreamNo::NODE) => read(entry.body, TrailEvent::Node)?,
        (_, StreamNo::LEDGER) => read(entry.body, TrailEvent::Ledger)?,
        (_, _) => read(entry.body, |event| TrailEvent::Session(Box::new(event)))?,
    };
    Ok(TrailRecord {
        lsn: entry.lsn,
        stream: entry.stream,
        seq: entry.seq,
        time: entry.time,
        hash: entry.hash,
        attached: entry.attachments.collect(),
        events,
    })
}

fn read<E: hv_types::Wire>(
    body: &[u8],
    wrap: impl Fn(E) -> TrailEvent,
) -> Result<Vec<TrailEvent>, Undecodable> {
    Ok(event::read_body(body)?.into_iter().map(wrap).collect())
}
