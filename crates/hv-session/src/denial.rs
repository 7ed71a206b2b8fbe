//! Why a session refuses a command.

use crate::{BadMove, Eviction, FileDenial, ROSTER_MAX, SessionState};
use core::fmt;
use hv_types::{Counted, Did, SessionId, Timestamp};

/// Why a session refuses a command. A refusal changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionDenial {
    /// There is no session yet.
    NotCreated,
    /// There is one already.
    AlreadyCreated {
        /// Its name.
        id: SessionId,
    },
    /// The session cannot move there from where it is.
    Move(BadMove),
    /// The session does not do this in the state in which it is.
    State {
        /// What was asked, such as `join`.
        command: &'static str,
        /// Where the session is.
        state: SessionState,
    },
    /// The session's time is over.
    Expired {
        /// Since when.
        deadline: Timestamp,
    },
    /// As many members as the session may have.
    Full {
        /// How many that is.
        limit: u32,
    },
    /// As many different agents as a session may see in its life, [`ROSTER_MAX`].
    RosterFull,
    /// The agent is in the session already.
    AlreadyMember {
        /// Who.
        did: Did,
    },
    /// The agent is not in the session.
    NotAMember {
        /// Who.
        did: Did,
    },
    /// The agent was put out and not readmitted.
    Evicted {
        /// Who.
        did: Did,
        /// Why it was put out.
        reason: Eviction,
    },
    /// The agent was not put out, so there is nothing to readmit.
    NotEvicted {
        /// Who.
        did: Did,
    },
    /// The agent was in the session before, and who it acts for does not change.
    ParentIsFixed {
        /// Who.
        did: Did,
    },
    /// The agent acts for one that is not in the session now.
    ParentAbsent {
        /// Who.
        did: Did,
        /// For whom it acts.
        parent: Did,
    },
    /// Nobody is in the session, so nobody could act in it.
    Nobody,
    /// Without this agent nobody would be left in an active session.
    LastMember {
        /// Who.
        did: Did,
    },
    /// The files do not allow it.
    File(FileDenial),
}

impl SessionDenial {
    /// The reason alone, as one word: what refusals are counted by.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotCreated => "not_created",
            Self::AlreadyCreated { .. } => "already_created",
            Self::Move(_) => "move",
            Self::State { .. } => "state",
            Self::Expired { .. } => "expired",
            Self::Full { .. } => "full",
            Self::RosterFull => "roster_full",
            Self::AlreadyMember { .. } => "already_member",
            Self::NotAMember { .. } => "not_a_member",
            Self::Evicted { .. } => "evicted",
            Self::NotEvicted { .. } => "not_evicted",
            Self::ParentIsFixed { .. } => "parent_is_fixed",
            Self::ParentAbsent { .. } => "parent_absent",
            Self::Nobody => "nobody",
            Self::LastMember { .. } => "last_member",
            Self::File(denial) => denial.name(),
        }
    }
}

impl fmt::Display for SessionDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCreated => f.write_str("there is no session yet; create it first"),
            Self::AlreadyCreated { id } => write!(f, "session {id} exists already; choose another name"),
            Self::Move(bad) => bad.fmt(f),
            Self::File(denial) => denial.fmt(f),
            Self::State { command, state } => write!(f, "cannot {command} while the session is {state}"),
            Self::Expired { deadline } => {
                write!(f, "the session's time was over at {deadline}; terminate it")
            }
            Self::Full { limit } => {
                let members = Counted(*limit, "member");
                write!(f, "the session is full with {members}; one must leave before another joins")
            }
            Self::RosterFull => {
                write!(f, "the session has seen {ROSTER_MAX} different agents, the most it may see")
            }
            Self::AlreadyMember { did } => write!(f, "{did} is a member already"),
            Self::NotAMember { did } => write!(f, "{did} is not a member; it has to join first"),
            Self::Evicted { did, reason } => {
                write!(f, "{did} was put out because {reason}; it has to be readmitted before it joins")
            }
            Self::NotEvicted { did } => write!(f, "{did} was not put out; it can join without this"),
            Self::ParentIsFixed { did } => {
                write!(
                    f,
                    "{did} was in the session before; let it join again, for whom it acts stays as it was"
                )
            }
            Self::ParentAbsent { did, parent } => {
                write!(f, "{did} acts for {parent}, which is not in the session; that one has to join first")
            }
            Self::Nobody => f.write_str("nobody is in the session; an agent has to join first"),
            Self::LastMember { did } => write!(
                f,
                "{did} is the last member of an active session; terminate the session, or let another join first"
            ),
        }
    }
}

impl core::error::Error for SessionDenial {}

impl From<BadMove> for SessionDenial {
    fn from(bad: BadMove) -> Self {
        Self::Move(bad)
    }
}

impl From<FileDenial> for SessionDenial {
    fn from(denial: FileDenial) -> Self {
        Self::File(denial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_session_for_one_is_told_as_such() {
        let full = |limit| SessionDenial::Full { limit }.to_string();
        assert_eq!(full(1), "the session is full with 1 member; one must leave before another joins");
        assert_eq!(full(2), "the session is full with 2 members; one must leave before another joins");
    }
}
