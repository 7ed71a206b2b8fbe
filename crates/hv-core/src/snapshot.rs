//! Opening a node without replaying all of its trail.

use crate::error::Error;
use crate::hypervisor::Hypervisor;
use crate::node::Kept;
use hv_audit::Opening;
use hv_types::Digest;
use std::sync::Arc;

impl Hypervisor {
    /// Keeps what the node has made of its trail, in a file beside it whose digest is on the trail; `None` where the
    /// log keeps none, as in memory. Opening the node then begins there.
    ///
    /// Taken by itself every so many batches as [`Guards::snapshots`](crate::Guards::snapshots) say, and by
    /// [`seal`](Self::seal) where enough were appended since. Costs time in proportion to the open sessions, the agents and their bonds; nothing is decided
    /// while they are encoded.
    ///
    /// # Errors
    /// [`Error::Log`] where the file cannot be written, which harms nothing else; [`Error::Poisoned`].
    pub async fn keep_snapshot(&self) -> Result<Option<Kept>, Error> {
        self.node().keep_snapshot().await
    }

    /// What opening the log began with. That a snapshot could not be used is on the trail, too.
    #[must_use]
    pub fn opening(&self) -> Opening {
        self.log().opening().0
    }

    /// Waits until everything is verified that opening from a snapshot left unread. That begins by itself, and a log
    /// is not sealed before it is done.
    ///
    /// # Errors
    /// [`Error::Log`] where the trail is not what was written to it; nothing is recorded any more.
    pub async fn verify_rest(&self) -> Result<(), Error> {
        let log = Arc::clone(self.log());
        crate::node::blocking(move || log.verify_rest()).await
    }

    /// A digest over everything that the trail makes of the node: sessions, members, files, trust, sagas, kills,
    /// holds, anchors. Two nodes whose trails say the same have the same, however they were opened. What is not a
    /// matter of the trail, such as rates and ports, is not in it. `INVARIANT (S4)`
    ///
    /// Costs time in proportion to all of that.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn state_digest(&self) -> Result<Digest, Error> {
        self.node().state_digest()
    }
}
