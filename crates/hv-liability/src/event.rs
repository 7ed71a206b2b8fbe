//! What a ledger records.

use crate::{AgentNo, BondNo, SessionNo, SlashReason, Source, VouchPolicy};
use hv_types::{Did, Digest, Reversibility, RiskWeight, Share, Sigma, Timestamp};

/// Something that happened to the ledger. Amounts are what was really moved, after every limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The policy was set.
    Configured {
        /// The policy from now on.
        policy: Box<VouchPolicy>,
    },
    /// An agent became known.
    Opened {
        /// Its number from now on, the next in order.
        agent: AgentNo,
        /// Its name.
        did: Did,
        /// Its reputation to begin with.
        sigma: Sigma,
        /// Who says so.
        source: Source,
    },
    /// Something became known about an agent of which nothing was known.
    Endowed {
        /// The agent.
        agent: AgentNo,
        /// What was added to its reputation.
        added: Sigma,
        /// Who says so.
        source: Source,
    },
    /// A bond was made.
    Vouched {
        /// Its number.
        bond: BondNo,
        /// Where it lifts.
        session: SessionNo,
        /// Whose reputation is locked.
        voucher: AgentNo,
        /// Who is lifted.
        vouchee: AgentNo,
        /// How much is locked.
        amount: Sigma,
        /// When.
        at: Timestamp,
        /// When it ends by itself.
        expires: Option<Timestamp>,
    },
    /// A bond was ended.
    Released {
        /// The bond.
        bond: BondNo,
        /// When.
        at: Timestamp,
    },
    /// All bonds of a session were ended.
    SessionReleased {
        /// The session.
        session: SessionNo,
        /// When.
        at: Timestamp,
    },
    /// An agent was slashed.
    Slashed {
        /// What for, and what it cost whom.
        slashed: Box<Slashed>,
    },
    /// Time has passed: everything that was due up to this point took effect, each at its own time.
    Elapsed {
        /// Up to when.
        at: Timestamp,
    },
    /// An agent earned reputation.
    Earned {
        /// The agent.
        agent: AgentNo,
        /// How much.
        amount: Sigma,
        /// When.
        at: Timestamp,
    },
    /// An agent lost reputation by how its work went.
    Decayed {
        /// The agent.
        agent: AgentNo,
        /// How much.
        amount: Sigma,
        /// When.
        at: Timestamp,
    },
    /// An agent was quarantined.
    Quarantined {
        /// The agent.
        agent: AgentNo,
        /// Until when.
        until: Timestamp,
    },
    /// An agent's quarantines ended.
    Rehabilitated {
        /// The agent.
        agent: AgentNo,
        /// What was added to its reputation.
        added: Sigma,
    },
    /// A case was opened.
    Charged {
        /// What for.
        offence: Box<Offence>,
        /// When.
        at: Timestamp,
        /// When it may be carried out unless it is disputed.
        until: Timestamp,
    },
    /// A charge was contested.
    Disputed {
        /// The evidence that it rests on.
        evidence: Digest,
    },
    /// A charge was dropped.
    Dismissed {
        /// The evidence that it rested on.
        evidence: Digest,
        /// When.
        at: Timestamp,
    },
    /// A snapshot begins; the events up to [`Event::Restored`] are its rows.
    Restoring {
        /// The policy.
        policy: Box<VouchPolicy>,
        /// The time of the last event before the snapshot.
        clock: Timestamp,
        /// What was ever given and taken.
        totals: Totals,
    },
    /// An account in a snapshot.
    AccountKept {
        /// The account.
        account: Box<AccountKept>,
    },
    /// A bond in a snapshot.
    BondKept {
        /// The bond.
        bond: Box<BondKept>,
    },
    /// A place for bonds that is free in a snapshot.
    SlotKept {
        /// The number that the next bond in this place gets.
        bond: BondNo,
    },
    /// Evidence that was used before a snapshot.
    VerdictKept {
        /// The evidence.
        evidence: Digest,
        /// What came of it.
        verdict: Verdict,
    },
    /// An open case in a snapshot.
    CaseKept {
        /// The case.
        case: Box<Case>,
    },
    /// A snapshot ends, and adds up.
    Restored {},
}

/// What somebody is to answer for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// Digest of the evidence.
    pub evidence: Digest,
    /// Who violated.
    pub agent: AgentNo,
    /// Where, if in a session.
    pub session: Option<SessionNo>,
    /// How much of it is the agent's own doing.
    pub fault: Share,
    /// The class of the action that was involved, if one was.
    pub class: Option<Reversibility>,
    /// The risk weight of that action, if it has one of its own.
    pub risk: Option<RiskWeight>,
    /// When it happened.
    pub happened: Timestamp,
    /// What kind of violation it was.
    pub reason: SlashReason,
}

/// A slash that was carried out, with everything that it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slashed {
    /// What for.
    pub offence: Offence,
    /// When it was carried out.
    pub at: Timestamp,
    /// What it cost whom.
    pub toll: Toll,
}

/// What a slash costs whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Toll {
    /// What each agent loses of its reputation, by the agent's number; the offender is one of them.
    pub losses: Vec<Loss>,
    /// The bonds that answer, by their number: what is left of them goes to unbonding.
    pub cuts: Vec<Cut>,
    /// The vouchers that are left with too little to vouch, by their number: all their bonds go to unbonding.
    pub fallen: Vec<AgentNo>,
}

/// What an agent loses of its reputation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The agent.
    pub agent: AgentNo,
    /// How much it loses.
    pub amount: Sigma,
}

/// What a bond loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The bond.
    pub bond: BondNo,
    /// Whose bond it is.
    pub voucher: AgentNo,
    /// For whom it was.
    pub vouchee: AgentNo,
    /// How much of it is burned.
    pub burned: Sigma,
    /// Why it answers.
    pub cause: Cause,
}

/// Why a bond answers for a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It backed the offender (depth 0), or a voucher that fell because of it (depth 1 or 2).
    Backed {
        /// How far from the offender.
        depth: u8,
    },
    /// Its voucher has no longer the reputation that it stands for.
    Uncovered,
}

/// What came of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody was slashed on it.
    Slashed,
    /// The charge was dropped.
    Dismissed,
}

/// A charge that is not decided yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What for.
    pub offence: Offence,
    /// When it may be carried out unless it is disputed.
    pub until: Timestamp,
    /// Whether it is disputed.
    pub standing: Standing,
}

/// Whether a charge is disputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has contested it: it can be carried out when the grace period is over.
    Uncontested,
    /// It waits for a ruling.
    Disputed,
}

/// What was ever given and taken, in parts per million.
///
/// `INVARIANT (L4)`: the sum of all reputations is `endowed + earned − decayed − burned`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Given to begin with.
    pub endowed: u64,
    /// Earned by conduct.
    pub earned: u64,
    /// Lost by how its work went.
    pub decayed: u64,
    /// Burned by slashes.
    pub burned: u64,
}

/// An account as a snapshot keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountKept {
    /// Its number.
    pub agent: AgentNo,
    /// Its name.
    pub did: Did,
    /// Who said what it began with.
    pub source: Source,
    /// Its reputation.
    pub reputation: Sigma,
    /// Until when it is quarantined; [`Timestamp::MAX`] until rehabilitation, 0 not at all.
    pub quarantine: Timestamp,
    /// How often it was slashed; 65 535 stands for more too.
    pub slashes: u16,
    /// The last day on which it earned, counted from 1970-01-01, and from 0 again after 65 536 days.
    pub gain_day: u16,
    /// What it earned on that day.
    pub gained: Sigma,
}

/// A bond as a snapshot keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BondKept {
    /// Its number.
    pub bond: BondNo,
    /// Where it lifts.
    pub session: SessionNo,
    /// Whose it is.
    pub voucher: AgentNo,
    /// Who is lifted.
    pub vouchee: AgentNo,
    /// What was locked.
    pub initial: Sigma,
    /// What is left of it.
    pub remaining: Sigma,
    /// When it was made.
    pub since: Timestamp,
    /// When it stopped lifting, if it did.
    pub released: Option<Timestamp>,
    /// When it expires, or is paid back.
    pub ends: Timestamp,
}

hv_types::wire_struct!(Offence { evidence, agent, session, fault, class, risk, happened, reason });
hv_types::wire_struct!(Slashed { offence, at, toll });
hv_types::wire_struct!(Toll { losses, cuts, fallen });
hv_types::wire_struct!(Loss { agent, amount });
hv_types::wire_struct!(Cut { bond, voucher, vouchee, burned, cause });
hv_types::wire_enum!(Cause { 0 => Backed { depth }, 1 => Uncovered {} });
hv_types::wire_enum!(Verdict { 0 => Slashed {}, 1 => Dismissed {} });
hv_types::wire_struct!(Case { offence, until, standing });
hv_types::wire_enum!(Standing { 0 => Uncontested {}, 1 => Disputed {} });
hv_types::wire_struct!(Totals { endowed, earned, decayed, burned });
hv_types::wire_struct!(AccountKept { agent, did, source, reputation, quarantine, slashes, gain_day, gained });
hv_types::wire_struct!(BondKept {
    bond,
    session,
    voucher,
    vouchee,
    initial,
    remaining,
    since,
    released,
    ends
});
hv_types::wire_enum!(Event {
    0 => Configured { policy },
    1 => Opened { agent, did, sigma, source },
    2 => Endowed { agent, added, source },
    3 => Vouched { bond, session, voucher, vouchee, amount, at, expires },
    4 => Released { bond, at },
    5 => SessionReleased { session, at },
    6 => Slashed { slashed },
    7 => Elapsed { at },
    8 => Earned { agent, amount, at },
    9 => Decayed { agent, amount, at },
    10 => Quarantined { agent, until },
    11 => Rehabilitated { agent, added },
    12 => Charged { offence, at, until },
    13 => Disputed { evidence },
    14 => Dismissed { evidence, at },
    32 => Restoring { policy, clock, totals },
    33 => AccountKept { account },
    34 => BondKept { bond },
    35 => SlotKept { bond },
    36 => VerdictKept { evidence, verdict },
    37 => CaseKept { case },
    38 => Restored {},
});
