//! What the gate is told.

use crate::class::Terms;
use crate::evidence::Shown;
use crate::intent::Unintended;
use crate::rate::{Limited, Limits};
use crate::standing::Standing;
use core::fmt;
use hv_types::{ActionId, Did, Sigma, Timestamp};

/// Who knocks: what can be said before a call costs anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The present.
    pub now: Timestamp,
    /// Whether anybody here has heard of the agent.
    pub acquaintance: Acquaintance,
    /// What the limit on calls whose author is not proven yet says to their source.
    pub source: Result<(), Limited>,
    /// Whether the agent is who it says.
    pub identity: Identity,
    /// How far the session is.
    pub session: Phase,
    /// Whether the agent belongs to it.
    pub membership: Membership,
    /// Whether the agent is quarantined.
    pub quarantine: Quarantine,
    /// Whether the agent was killed.
    pub life: Life,
}

/// Whether somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquaintance {
    /// It has an account.
    Known,
    /// Nobody has heard of it.
    Unknown,
}

/// Whether somebody is who it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Identity {
    /// A signature shows it.
    Proven,
    /// The embedding program says so.
    Asserted,
    /// Nothing shows it.
    Unproven,
}

/// How far a session is, as far as calls are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Phase {
    /// There is none of this name.
    Unknown,
    /// It has not begun.
    Forming,
    /// It takes calls.
    Live,
    /// It is ending.
    Ending,
    /// It has ended.
    Over,
}

hv_types::wire_enum!(Phase { 0 => Unknown {}, 1 => Forming {}, 2 => Live {}, 3 => Ending {}, 4 => Over {} });

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "there is no such session",
            Self::Forming => "the session has not begun",
            Self::Live => "the session takes calls",
            Self::Ending => "the session is ending",
            Self::Over => "the session has ended",
        })
    }
}

/// Whether somebody belongs to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Membership {
    /// It does.
    Member,
    /// It did and has left, or was put out.
    Left,
    /// It never did.
    Stranger,
}

hv_types::wire_enum!(Membership { 0 => Member {}, 1 => Left {}, 2 => Stranger {} });

/// Whether somebody is quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quarantine {
    /// It is not.
    Free,
    /// It is, up to and including a point in time.
    Until(Timestamp),
    /// It is until it is rehabilitated.
    Slashed,
}

impl Quarantine {
    /// Whether it holds, and the last point in time at which it does.
    pub(super) const fn holds(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Until(until) if now.0 <= until.0 => Some(until),
            Self::Slashed => Some(Timestamp::MAX),
            Self::Free | Self::Until(_) => None,
        }
    }
}

/// Whether somebody was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Running,
    /// It was killed.
    Killed {
        /// When.
        at: Timestamp,
    },
}

/// All that the gate asks about one call.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Who knocks.
    pub entry: Entry,
    /// The action that is called.
    pub action: &'a ActionId,
    /// The last point in time at which the call may start.
    pub deadline: Timestamp,
    /// What the agent's bucket says; take from it after [`enter`](super::enter) and before [`check`](super::check), at the rate of the
    /// standing ring.
    pub rate: Result<(), Limited>,
    /// The limits that hold here.
    pub limits: &'a Limits,
    /// How many tools the agent uses at this moment, this call not counted.
    pub tools_in_use: u32,
    /// On which terms the action's calls are decided; none where it is not registered.
    pub terms: Option<Terms>,
    /// σ_eff of the agent for these terms' class, computed now.
    pub sigma: Sigma,
    /// Where the agent stands, computed now.
    pub standing: &'a Standing,
    /// The certificates that are presented, where any are.
    pub shown: Option<Shown<'a>>,
    /// Whether the agent's intent covers the call, as far as it has to have one.
    pub intent: Result<(), &'a Unintended>,
    /// For whom the agent acts, if for anybody, and for whom that one acts, and so on.
    pub on_behalf_of: &'a [Principal<'a>],
}

/// Somebody for whom an agent acts. The call must be one that it could make itself.
#[derive(Debug, Clone, Copy)]
pub struct Principal<'a> {
    /// Who.
    pub did: &'a Did,
    /// Whether anybody here has heard of it.
    pub acquaintance: Acquaintance,
    /// Whether it is quarantined.
    pub quarantine: Quarantine,
    /// Whether it was killed.
    pub life: Life,
    /// Its σ_eff for the terms' class, computed now.
    pub sigma: Sigma,
    /// Where it stands, computed now.
    pub standing: &'a Standing,
}
