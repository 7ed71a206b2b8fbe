//! What can be asked of a ledger.

use crate::{BondNo, SessionNo, VouchPolicy};
use hv_types::{Did, Digest, Reversibility, RiskWeight, Share, Sigma, Timestamp};

/// A request to the ledger. Who may make it is not the ledger's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Sets the policy; only while nothing is bonded and no charge is open.
    Configure(VouchPolicy),
    /// Opens an agent's account. For an agent that is known already nothing changes, except that one of which
    /// nothing was known, and which was never slashed, gets what is now known about it.
    Endow {
        /// The agent.
        agent: Did,
        /// Its reputation to begin with.
        sigma: Sigma,
        /// Who says so.
        source: Source,
    },
    /// Locks a part of one agent's reputation for another.
    Vouch(VouchOrder),
    /// Ends a bond: it lifts nobody any more, and is paid back after the unbonding time.
    Release {
        /// The bond.
        bond: BondNo,
    },
    /// Ends all bonds of a session.
    ReleaseSession {
        /// The session.
        session: SessionNo,
    },
    /// Punishes a violation at once.
    Slash(SlashOrder),
    /// Opens a case: the agent is quarantined and the bonds of the session are held until it is decided.
    Charge(SlashOrder),
    /// Contests a charge, so that it is not carried out merely because time passes.
    Dispute {
        /// The evidence that the charge rests on.
        evidence: Digest,
    },
    /// Carries a charge out: an undisputed one after the grace period, a disputed one by a ruling.
    Uphold {
        /// The evidence that the charge rests on.
        evidence: Digest,
    },
    /// Drops a charge. The same evidence cannot be used again.
    Dismiss {
        /// The evidence that the charge rested on.
        evidence: Digest,
    },
    /// Takes all effective trust from an agent until a point in time.
    Quarantine {
        /// The agent.
        agent: Did,
        /// When it ends.
        until: Timestamp,
    },
    /// Ends every quarantine of an agent that no open charge keeps up.
    Rehabilitate {
        /// The agent.
        agent: Did,
        /// The reputation that it gets at least; what is missing to it is recorded as endowment.
        sigma: Sigma,
    },
    /// Adds to an agent's reputation, as far as the day's limit and the ceiling allow.
    Earn {
        /// The agent.
        agent: Did,
        /// How much.
        amount: Sigma,
        /// The reputation beyond which this does not lift.
        ceiling: Sigma,
    },
    /// Takes from an agent's reputation, but nothing of what is bonded.
    Decay {
        /// The agent.
        agent: Did,
        /// How much.
        amount: Sigma,
    },
    /// Lets time pass: bonds expire, and what was released long enough ago is paid back.
    Settle,
}

/// Who says what reputation an agent begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The program that hv is embedded in.
    Asserted,
    /// A configured scorer.
    Scored,
    /// A hint that came over a wire unattested; counts at most [`VouchPolicy::hint_cap`].
    Hint,
    /// Nobody: the account is there, and nothing is known.
    Unknown,
    /// Hinted at in a manifest that a control plane which the operator trusts has signed for.
    Attested,
}

/// An order to vouch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VouchOrder {
    /// The session in which the bond lifts the vouchee.
    pub session: SessionNo,
    /// Whose reputation is locked.
    pub voucher: Did,
    /// Who is lifted.
    pub vouchee: Did,
    /// How much is locked.
    pub stake: Stake,
    /// When the bond ends by itself; without it, it lasts until it is released.
    pub expires: Option<Timestamp>,
}

/// How much of a reputation is bonded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stake {
    /// The policy's share.
    Default,
    /// A share of the voucher's reputation, rounded down.
    Share(Share),
    /// So much.
    Amount(Sigma),
}

/// An order to slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlashOrder {
    /// Digest of the evidence; a second slash on the same evidence changes nothing.
    pub evidence: Digest,
    /// Who violated.
    pub agent: Did,
    /// Where. Outside any session nobody has vouched, and the agent answers alone.
    pub session: Option<SessionNo>,
    /// How much of the violation is the agent's own doing.
    pub fault: Share,
    /// The class of the action that was involved, if one was.
    pub class: Option<Reversibility>,
    /// The risk weight of that action; without it, its class's default.
    pub risk: Option<RiskWeight>,
    /// When it happened, which is when the violating action was granted, not when it came to light. Bonds
    /// answer for what happened while they lifted the agent, whatever was done to them since.
    pub happened: Timestamp,
    /// What kind of violation it was.
    pub reason: SlashReason,
}

/// What an agent is slashed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlashReason {
    /// It did what it may not do.
    Violation,
    /// It behaved otherwise than it claimed to.
    Drift,
    /// What it did could not be undone.
    UndoFailed,
    /// It acted outside the intent that it had signed.
    Intent,
    /// A person with the authority decided so.
    Manual,
}

impl SlashReason {
    /// As it is written in files and shown to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Violation => "violation",
            Self::Drift => "drift",
            Self::UndoFailed => "undo_failed",
            Self::Intent => "intent",
            Self::Manual => "manual",
        }
    }
}

impl Source {
    /// As it is written in files and shown to people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asserted => "asserted",
            Self::Scored => "scored",
            Self::Hint => "hint",
            Self::Attested => "attested",
            Self::Unknown => "unknown",
        }
    }
}

hv_types::wire_enum!(Source { 0 => Asserted {}, 1 => Scored {}, 2 => Hint {}, 3 => Unknown {}, 4 => Attested {} });
hv_types::wire_enum!(SlashReason {
    0 => Violation {},
    1 => Drift {},
    2 => UndoFailed {},
    3 => Intent {},
    4 => Manual {},
});
