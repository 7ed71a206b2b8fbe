//! Writes to files that are answered before they are durable: in the eventual mode, and nothing else anywhere.
//!
//! At most [`EARLY_MAX`] of them are under way at once; the next one waits for the disk. Each begins to be made durable
//! when it is answered, so a crash takes those of the last two syncs at most.

use crate::error::Error;
use crate::event::NodeEvent;
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Node, Recorded, blocking};
use crate::observed::Command;
use hv_audit::{Lsn, StreamNo};
use hv_session::ConsistencyMode;
use hv_types::{Digest, SessionId};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many writes of a node are answered and not durable, at most.
pub const EARLY_MAX: usize = 64;

/// What proves that a write was answered. It is durable, its content with it, once [`Hypervisor::lost_writes`] does not
/// name it after the node was opened again, or once [`Hypervisor::is_durable`] says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The session.
    pub session: SessionId,
    /// The number of its stream.
    pub stream: StreamNo,
    /// The place of the write's record in it, from 0.
    pub seq: u64,
    /// The batch.
    pub lsn: Lsn,
    /// The hash of the record.
    pub hash: Digest,
}

/// A write that was decided and recorded, with what proves it.
pub(crate) enum Write {
    Answered(Option<Box<Receipt>>),
    Waits(Box<Waiting>),
}

/// A write that is not durable yet, and the mode in which it was decided.
pub(crate) struct Waiting {
    recorded: Recorded<Option<Box<Receipt>>>,
    mode: ConsistencyMode,
}

/// Whether a write gives a receipt. It costs a hash for each level of the session's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Wanted,
    NotWanted,
}

/// How many writes may still be answered early; nothing where none was.
#[derive(Debug, Default)]
pub(crate) struct Early(OnceLock<Arc<Semaphore>>);

impl Early {
    /// Room for one more, where there is some.
    fn room(&self) -> Option<OwnedSemaphorePermit> {
        let room = self.0.get_or_init(|| Arc::new(Semaphore::new(EARLY_MAX)));
        Arc::clone(room).try_acquire_owned().ok()
    }
}

impl Node {
    /// Reveals a write that is durable already.
    pub(crate) fn written(
        &self,
        recorded: Recorded<Option<Box<Receipt>>>,
        mode: ConsistencyMode,
    ) -> Result<Write, Error> {
        let lsn = recorded.lsn();
        let Some(durable) = self.durable(lsn) else {
            return Ok(Write::Waits(Box::new(Waiting { recorded, mode })));
        };
        let receipt = self.reveal(durable, &Command::begin(), recorded)?;
        Ok(Write::Answered(in_batch(lsn, receipt)))
    }

    /// Reveals a write: at once in the eventual mode, as long as few enough are under way; otherwise when it is durable.
    pub(crate) async fn settle_write(&self, write: Write) -> Result<Option<Box<Receipt>>, Error> {
        let Waiting { recorded, mode } = match write {
            Write::Answered(receipt) => return Ok(receipt),
            Write::Waits(waiting) => *waiting,
        };
        let lsn = recorded.lsn();
        let early = mode == ConsistencyMode::Eventual && recorded.revealed().is_some();
        let room = if early { self.early().room() } else { None };
        let runtime = tokio::runtime::Handle::try_current();
        match (room, runtime) {
            (Some(room), Ok(runtime)) => {
                let answer = recorded.revealed().cloned().flatten();
                let node = self.clone();
                drop(runtime.spawn(async move {
                    // Where that fails, the node is poisoned, and says so to whoever comes next.
                    let _ = node.settle(recorded).await;
                    drop(room);
                }));
                Ok(in_batch(lsn, answer))
            }
            _ => self.settle(recorded).await.map(|answer| in_batch(lsn, answer)),
        }
    }
}

/// The receipt once it is known which batch the write is in.
fn in_batch(lsn: Lsn, receipt: Option<Box<Receipt>>) -> Option<Box<Receipt>> {
    let mut receipt = receipt?;
    receipt.lsn = lsn;
    Some(receipt)
}

impl Hypervisor {
    /// Whether a write is durable by now. In the strong mode it is when it is answered.
    #[must_use]
    pub fn is_durable(&self, receipt: &Receipt) -> bool {
        self.log().durable() >= receipt.lsn
    }

    /// Waits until everything that was answered is durable.
    ///
    /// # Errors
    /// [`Error::Log`], [`Error::Poisoned`].
    pub async fn flush(&self) -> Result<(), Error> {
        self.node().sync(Lsn(u64::MAX)).await
    }

    /// Which of these writes a crash took, in the order given and each once: answered by the node before it was opened again, and not on its trail.
    /// That is recorded, each once however often it is asked. Nobody signs a receipt, so what is recorded is the word of
    /// whoever shows it. Goes through the whole trail once, outside every lock.
    ///
    /// # Errors
    /// [`Error::Log`], [`Error::Poisoned`].
    pub async fn lost_writes(&self, receipts: &[Receipt]) -> Result<Vec<Receipt>, Error> {
        let log = Arc::clone(self.log());
        let mut missing: BTreeSet<Digest> = receipts.iter().map(|receipt| receipt.hash).collect();
        let (mut missing, told) = blocking(move || {
            let mut told = BTreeSet::new();
            log.replay(&mut |entry| {
                missing.remove(&entry.hash);
                if entry.stream == StreamNo::NODE {
                    let events: Vec<NodeEvent> = crate::event::read_body(entry.body).unwrap_or_default();
                    told.extend(events.into_iter().filter_map(|event| match event {
                        NodeEvent::WriteLost { record, .. } => Some(record),
                        _ => None,
                    }));
                }
                Ok(())
            })?;
            Ok((missing, told))
        })
        .await?;
        // In the order in which they are shown, each once.
        let lost: Vec<Receipt> =
            receipts.iter().filter(|receipt| missing.remove(&receipt.hash)).cloned().collect();
        let new = lost.iter().filter(|receipt| !told.contains(&receipt.hash));
        let events: Vec<NodeEvent> = new
            .map(|receipt| NodeEvent::WriteLost {
                session: receipt.session.clone(),
                stream: receipt.stream.0,
                seq: receipt.seq,
                record: receipt.hash,
            })
            .collect();
        self.node().commit(|_, _| Ok((Draft::default().node(events), ()))).await?;
        Ok(lost)
    }
}
