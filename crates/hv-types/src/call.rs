//! One call of one action.

use crate::{ActionId, Did, Digest, SessionId, Timestamp};

/// Exactly one call: who, where, what, with which parameters, and until when it may start.
///
/// Grants, certificates and evidence are bound to a call; two calls that differ in any field are different.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// The session in which the action is done.
    pub session: SessionId,
    /// Who does it.
    pub agent: Did,
    /// What is done.
    pub action: ActionId,
    /// Digest of the parameters, all of them.
    pub params: Digest,
    /// The last point in time at which it may start.
    pub deadline: Timestamp,
}

crate::wire_struct!(Call { session, agent, action, params, deadline });
