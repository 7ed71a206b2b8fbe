//! The only thing that starts an effect.

use crate::evidence::call_with;
use crate::gate::Pass;
use crate::node::Node;
use hv_audit::{Lsn, StreamNo};
use hv_saga::{Attempt, Permit};
use hv_types::{Call, Digest, Timestamp};
use std::fmt;
use std::sync::LazyLock;

/// The receipt of a durable record that one call may start, once.
///
/// Only the sequencer makes one, after the record is durable. It cannot be copied, and using it uses it up.
/// INVARIANT (C1): every effect that hv runs has one durable grant before it.
///
/// ```compile_fail
/// let forged = hv_core::Grant { attempt: unimplemented!(), lsn: unimplemented!(), node: unimplemented!() };
/// ```
/// ```compile_fail
/// fn twice(grant: hv_core::Grant) -> (hv_core::Grant, hv_core::Grant) { (grant.clone(), grant) }
/// ```
#[must_use = "a grant that is not redeemed opens nothing"]
pub struct Grant {
    attempt: Attempt,
    deadline: Timestamp,
    stream: StreamNo,
    lsn: Lsn,
    node: Node,
    right: Right,
}

/// What lets the call pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// The agent's own standing, and that of those for whom it acts, which must still be there when the effect starts.
    Standing {
        /// Whether the saga names some of these.
        named: bool,
    },
    /// The grant of what is now undone or asked about. Losing trust later does not take it away: it would
    /// make the damage permanent.
    Earlier,
    /// The same for what a saga left that has ended.
    Again,
}

impl Grant {
    /// For an attempt that passed the gate, in the session of this stream, by this batch.
    pub(crate) fn new(attempt: &Attempt, pass: &Pass, stream: StreamNo, lsn: Lsn, node: Node) -> Self {
        Self { attempt: attempt.clone(), deadline: pass.deadline, stream, lsn, node, right: pass.right }
    }

    /// For one more attempt to take back what was granted before, recorded in this batch.
    pub(crate) fn again(attempt: &Attempt, stream: StreamNo, lsn: Lsn, node: Node) -> Self {
        let (attempt, deadline) = (attempt.clone(), attempt.deadline);
        Self { attempt, deadline, stream, lsn, node, right: Right::Again }
    }

    /// The call that may start.
    #[must_use]
    pub fn call(&self) -> Call {
        call_with(&self.attempt, self.deadline)
    }

    /// Uses the grant up for this call; gives the number of the batch that holds the record.
    ///
    /// Asks the node once more, under its lock, whether the agent may still act, so that a loss committed
    /// before the effect starts is seen by it, INVARIANT (R4), and whether the saga still waits for the attempt: one that it
    /// took for lost, because who drove it was dropped, begins nothing any more.
    ///
    /// # Errors
    /// [`Mismatch`] where the call is another one, too late, or the agent may not act any more.
    pub fn redeem(self, call: &Call, now: Timestamp) -> Result<u64, Mismatch> {
        if self.call() == *call { self.opens(now) } else { Err(Mismatch::OtherCall) }
    }

    fn opens(self, now: Timestamp) -> Result<u64, Mismatch> {
        let Self { attempt, deadline, stream, lsn, node, right } = &self;
        opens((node, *stream), attempt, (*right, *deadline), (now, None))?;
        if *right == Right::Again {
            return Ok(lsn.0);
        }
        match node.look(|state| state.waits_for(*stream, attempt)) {
            Ok(true) => Ok(lsn.0),
            Ok(false) => Err(Mismatch::Over),
            Err(_) => Err(Mismatch::NodeFailed),
        }
    }
}

impl Pass {
    /// Uses it up as its grant would be, at a time that the node itself has just told.
    pub(crate) fn redeem(
        self,
        place: (&Node, StreamNo),
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<(), Mismatch> {
        opens(place, attempt, (self.right, self.deadline), (now, Some(now)))
    }
}

/// Whether what was granted may begin. `told` is what the node's clock says, where it was asked already; it counts
/// besides what the caller says.
fn opens(
    (node, stream): (&Node, StreamNo),
    attempt: &Attempt,
    (right, deadline): (Right, Timestamp),
    (now, told): (Timestamp, Option<Timestamp>),
) -> Result<(), Mismatch> {
    if now > deadline {
        return Err(Mismatch::TooLate { deadline });
    }
    if let Right::Standing { named } = right {
        let told = told.unwrap_or_else(|| node.now());
        match node.read_at(told, |state, now| state.may_act(stream, (attempt, named), now)) {
            Ok(true) => {}
            Ok(false) => return Err(Mismatch::Withdrawn),
            Err(_) => return Err(Mismatch::NodeFailed),
        }
    }
    Ok(())
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("call", &self.call()).field("lsn", &self.lsn).finish_non_exhaustive()
    }
}

impl Permit for Grant {
    type Refusal = Mismatch;

    /// The attempt itself is compared, every part of it; the digest of its parameters is made of it.
    fn redeem(self, attempt: &Attempt, now: Timestamp) -> Result<(), Mismatch> {
        if self.attempt == *attempt { self.opens(now).map(|_| ()) } else { Err(Mismatch::OtherCall) }
    }

    /// No kill is recorded between the question whether the agent may act and the beginning of the effect.
    fn start<T>(self, attempt: &Attempt, now: Timestamp, begin: impl FnOnce() -> T) -> Result<T, Mismatch> {
        let node = self.node.clone();
        let _unkilled = node.launching();
        Permit::redeem(self, attempt, now)?;
        Ok(begin())
    }
}

static PARAMETERS_KEY: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("hv 2026 call parameters v1", &[]));

/// Digest of the parameters of the call that an attempt makes.
pub(crate) fn parameters_of(attempt: &Attempt) -> Digest {
    Digest(*blake3::keyed_hash(&PARAMETERS_KEY, &attempt.parameters()).as_bytes())
}

/// Why a grant does not open a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// It was given for another call.
    OtherCall,
    /// The call had to start earlier.
    TooLate {
        /// The last point in time at which it could.
        deadline: Timestamp,
    },
    /// The agent, or somebody for whom it acts, left, was quarantined, was killed or lost its standing since.
    Withdrawn,
    /// The saga waits for the attempt no more: it was given up, or the saga has ended.
    Over,
    /// The node failed since.
    NodeFailed,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherCall => f.write_str("the grant is for another call"),
            Self::TooLate { deadline } => write!(f, "the grant counted until {deadline}"),
            Self::Withdrawn => f.write_str("the agent may not act any more"),
            Self::Over => f.write_str("the saga waits for this attempt no more"),
            Self::NodeFailed => f.write_str("the node failed since the grant was given"),
        }
    }
}

impl std::error::Error for Mismatch {}
