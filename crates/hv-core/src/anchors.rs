//! What of the trail was anchored, and what became of it: the outbox of anchors is the trail itself.

use crate::error::{Error, Reason};
use crate::event::NodeEvent;
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Refusal};
use hv_audit::Checkpoint;
use hv_integrations::anchor::Anchoring;
use hv_types::wire::Reader;
use hv_types::{Digest, Illegal, Undecodable, Wire};

/// One checkpoint on its way to one anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorEntry {
    /// Its number; never used again.
    pub number: u32,
    /// Where it is anchored.
    pub target: String,
    /// The number of records of the node's stream that the checkpoint is over.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// What is anchored, where it stands, and what shows it.
    pub anchoring: Anchoring,
}

/// All checkpoints that were ever on their way.
#[derive(Debug, Clone, Default)]
pub struct AnchorBook(Vec<AnchorEntry>);

hv_types::wire_struct!(AnchorEntry { number, target, size, root, anchoring });

/// As a snapshot keeps it.
impl Wire for AnchorBook {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Wire::take(reader).map(Self)
    }
}

impl AnchorBook {
    /// All of them, in the order of their numbers.
    #[must_use]
    pub fn entries(&self) -> &[AnchorEntry] {
        &self.0
    }

    /// Takes up what an event says about anchors; others change nothing.
    ///
    /// # Errors
    /// [`Illegal`] where it does not follow from what was said before.
    pub fn apply(&mut self, event: &NodeEvent) -> Result<(), Illegal> {
        match event {
            NodeEvent::AnchorQueued { anchor, target, size, root, digest } => {
                if *anchor as usize != self.0.len() {
                    return Err(Illegal::new("anchors are numbered without a gap"));
                }
                let (number, target) = (*anchor, target.clone());
                let anchoring = Anchoring::new(*digest);
                self.0.push(AnchorEntry { number, target, size: *size, root: *root, anchoring });
                Ok(())
            }
            NodeEvent::AnchorMoved { anchor, state, receipt } => {
                let entry = self.0.get_mut(*anchor as usize);
                let entry = entry.ok_or(Illegal::new("what is anchored was queued first"))?;
                if !entry.anchoring.state.leads_to(*state) {
                    return Err(Illegal::new("an anchor moves from one state to one that follows"));
                }
                (entry.anchoring.state, entry.anchoring.receipt) = (*state, receipt.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Hypervisor {
    /// What was anchored.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn anchors(&self) -> Result<Vec<AnchorEntry>, Error> {
        self.node().read(|state, _| state.anchors.entries().to_vec())
    }

    /// Says that a checkpoint is to be anchored; gives its number. The same checkpoint goes to the same anchor once.
    ///
    /// # Errors
    /// [`Error::Log`], [`Error::Poisoned`].
    pub async fn queue_anchor(&self, target: &str, checkpoint: &Checkpoint) -> Result<u32, Error> {
        let digest = checkpoint.digest();
        self.node()
            .commit(|state, _| {
                let same = |entry: &&AnchorEntry| entry.target == target && entry.anchoring.digest == digest;
                if let Some(known) = state.anchors.entries().iter().find(same) {
                    return Ok((Draft::default(), known.number));
                }
                let anchor = u32::try_from(state.anchors.entries().len()).unwrap_or(u32::MAX);
                let queued = NodeEvent::AnchorQueued {
                    anchor,
                    target: target.to_owned(),
                    size: checkpoint.size,
                    root: checkpoint.root,
                    digest,
                };
                Ok((Draft::default().node(vec![queued]), anchor))
            })
            .await
    }

    /// Says where a checkpoint stands now on its way to its anchor; durable when this returns.
    ///
    /// # Errors
    /// [`Reason::Anchor`] where there is none of this number, or it cannot move there; [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn move_anchor(&self, anchor: u32, next: &Anchoring) -> Result<(), Error> {
        let moved = NodeEvent::AnchorMoved { anchor, state: next.state, receipt: next.receipt.clone() };
        self.node()
            .commit(|state, _| {
                let known = state.anchors.entries().get(anchor as usize);
                if !known.is_some_and(|entry| entry.anchoring.state.leads_to(next.state)) {
                    return Err(Refusal::on_node("anchor", None, Reason::Anchor(anchor)));
                }
                Ok((Draft::default().node(vec![moved]), ()))
            })
            .await
    }
}
