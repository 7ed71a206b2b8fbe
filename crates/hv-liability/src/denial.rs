//! Why a ledger refuses a command, and what would be enough.

use crate::{BondNo, UnfitPolicy};
use core::fmt;
use core::num::NonZeroU32;
use hv_types::{Counted, Did, Digest, Share, Sigma, Timestamp};

/// How many agents of a cycle are named; the others are counted.
pub const CYCLE_NAMES_MAX: usize = 16;

/// Why a command is refused. Exhaustive on purpose: a new reason is a change that every caller must see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The ledger has no account of this agent.
    UnknownAgent {
        /// The agent.
        agent: Did,
    },
    /// Nobody vouches for itself.
    SelfVouch {
        /// The agent.
        agent: Did,
    },
    /// The one vouched for answers, directly or through others, for the voucher already.
    Cycle {
        /// From the one vouched for to the voucher, each vouching for the next; from the middle of a path of
        /// more than [`CYCLE_NAMES_MAX`] agents, some are left out.
        path: Vec<Did>,
        /// How many are left out.
        omitted: usize,
    },
    /// The voucher has too little reputation to vouch.
    BelowMinimum {
        /// The voucher.
        agent: Did,
        /// Its reputation.
        reputation: Sigma,
        /// What it takes, inclusive.
        minimum: Sigma,
    },
    /// The voucher would have more bonded than it may, over all sessions.
    Exposure {
        /// The voucher.
        agent: Did,
        /// What it wanted to bond.
        asked: Sigma,
        /// What it may still bond.
        left: Sigma,
        /// What it has bonded, unbonding included.
        bonded: Sigma,
        /// The most that it may have bonded.
        limit: Sigma,
    },
    /// The stake comes to nothing.
    EmptyStake {
        /// The voucher.
        agent: Did,
        /// Its reputation, of which the stake is a share.
        reputation: Sigma,
    },
    /// The agent is quarantined.
    Quarantined {
        /// The agent.
        agent: Did,
        /// What keeps it there.
        by: Quarantine,
    },
    /// The point in time that the command names is over.
    Past {
        /// The point in time.
        named: Timestamp,
        /// The present.
        now: Timestamp,
    },
    /// The violation is said to happen in the future.
    Future {
        /// When it is said to happen.
        named: Timestamp,
        /// The present.
        now: Timestamp,
    },
    /// No bond has this number: it never had, or the bond was paid back.
    UnknownBond {
        /// The number.
        bond: BondNo,
    },
    /// The bond was ended already; it is paid back at the time given.
    Unbonding {
        /// The bond.
        bond: BondNo,
        /// When it is paid back.
        until: Timestamp,
    },
    /// A slash without fault takes nothing; an agent without fault is not slashed.
    NoFault {
        /// The agent.
        agent: Did,
    },
    /// The evidence is under a charge; uphold or dismiss that.
    UnderCharge {
        /// The evidence.
        evidence: Digest,
    },
    /// A charge on this evidence was dropped.
    Dismissed {
        /// The evidence.
        evidence: Digest,
    },
    /// No charge on this evidence is open.
    NoCharge {
        /// The evidence.
        evidence: Digest,
    },
    /// The charge may still be disputed.
    GraceRunning {
        /// The evidence.
        evidence: Digest,
        /// When the grace period is over.
        until: Timestamp,
    },
    /// The charge is disputed already.
    Disputed {
        /// The evidence.
        evidence: Digest,
    },
    /// The agent is not quarantined and lacks no reputation.
    NothingToRehabilitate {
        /// The agent.
        agent: Did,
    },
    /// The policy cannot change while it binds somebody.
    PolicyBinds {
        /// How many bonds are active or unbonding.
        bonds: u64,
        /// How many charges are open.
        charges: u64,
    },
    /// The policy is none that could hold anybody liable.
    UnfitPolicy(UnfitPolicy),
    /// The ledger has as many of these as it can number.
    Full {
        /// Accounts or bonds.
        what: &'static str,
    },
}

/// What keeps an agent quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quarantine {
    /// A time that must pass.
    Until(Timestamp),
    /// A slash; somebody must rehabilitate the agent.
    UntilRehabilitated,
    /// Open charges; they must be decided.
    Charged,
}

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Until(time) => write!(f, "until {time}"),
            Self::UntilRehabilitated => f.write_str("until it is rehabilitated"),
            Self::Charged => f.write_str("until the charges against it are decided"),
        }
    }
}

impl Denial {
    /// The reason alone, as one word: what refusals are counted by.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UnknownAgent { .. } => "unknown_agent",
            Self::SelfVouch { .. } => "self_vouch",
            Self::Cycle { .. } => "cycle",
            Self::BelowMinimum { .. } => "below_minimum",
            Self::Exposure { .. } => "exposure",
            Self::EmptyStake { .. } => "empty_stake",
            Self::Quarantined { .. } => "quarantined",
            Self::Past { .. } => "past",
            Self::Future { .. } => "future",
            Self::UnknownBond { .. } => "unknown_bond",
            Self::Unbonding { .. } => "unbonding",
            Self::NoFault { .. } => "no_fault",
            Self::UnderCharge { .. } => "under_charge",
            Self::Dismissed { .. } => "dismissed",
            Self::NoCharge { .. } => "no_charge",
            Self::GraceRunning { .. } => "grace_running",
            Self::Disputed { .. } => "disputed",
            Self::NothingToRehabilitate { .. } => "nothing_to_rehabilitate",
            Self::PolicyBinds { .. } => "policy_binds",
            Self::UnfitPolicy(_) => "unfit_policy",
            Self::Full { .. } => "full",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAgent { agent } => {
                write!(f, "the ledger does not know {agent}; open its account first")
            }
            Self::SelfVouch { agent } => write!(f, "{agent} cannot vouch for itself; another agent must"),
            Self::Cycle { path, omitted } => {
                f.write_str("the vouch would close a cycle: ")?;
                for (at, agent) in path.iter().enumerate() {
                    if at > 0 {
                        f.write_str(" → ")?;
                    }
                    if *omitted > 0 && at == path.len() / 2 {
                        write!(f, "({omitted} more) → ")?;
                    }
                    write!(f, "{agent}")?;
                }
                f.write_str(" vouch for each other already; one of these bonds must be paid back first")
            }
            Self::BelowMinimum { agent, reputation, minimum } => {
                write!(f, "{agent} has a reputation of {reputation}; vouching takes at least {minimum}")
            }
            Self::Exposure { agent, asked, left, bonded, limit } => write!(
                f,
                "{agent} would bond {asked} beside {bonded}, and may have {limit} bonded; at most {left} is left"
            ),
            Self::EmptyStake { agent, reputation } => {
                write!(f, "the stake of {agent} comes to nothing; ")?;
                match least_share(*reputation) {
                    Some(share) => write!(
                        f,
                        "of a reputation of {reputation}, bond at least 0.000001, or a share of at least {share}"
                    ),
                    None => f.write_str("it has no reputation of which anything could be bonded"),
                }
            }
            Self::Quarantined { agent, by } => write!(f, "{agent} is quarantined {by}"),
            Self::Past { named, now } => write!(f, "{named} is over, it is {now}; name a later time"),
            Self::Future { named, now } => {
                write!(f, "nothing can have happened at {named}, it is {now}; name the time of the violation")
            }
            Self::UnknownBond { bond } => write!(f, "there is no bond {bond}, or it was paid back"),
            Self::Unbonding { bond, until } => {
                write!(f, "bond {bond} was ended already and is paid back at {until}")
            }
            Self::NoFault { agent } => {
                write!(f, "{agent} is not at fault; a slash takes a fault above 0")
            }
            Self::UnderCharge { evidence } => {
                write!(f, "evidence {evidence} is under a charge; uphold or dismiss the charge")
            }
            Self::Dismissed { evidence } => {
                write!(f, "the charge on evidence {evidence} was dropped; it takes other evidence")
            }
            Self::NoCharge { evidence } => write!(f, "no charge on evidence {evidence} is open"),
            Self::GraceRunning { evidence, until } => {
                write!(f, "the charge on evidence {evidence} may be disputed until {until}; wait until then")
            }
            Self::Disputed { evidence } => {
                write!(f, "the charge on evidence {evidence} is disputed already; it waits for a ruling")
            }
            Self::NothingToRehabilitate { agent } => {
                write!(f, "{agent} is not quarantined and has the reputation named already")
            }
            Self::PolicyBinds { bonds, charges } => {
                let (bonds, charges) = (Counted(*bonds, "bond"), Counted(*charges, "charge"));
                write!(f, "the policy binds {bonds} and {charges}; change it when none is left")
            }
            Self::UnfitPolicy(why) => fmt::Display::fmt(why, f),
            Self::Full { what } => write!(f, "the ledger cannot number more {what}"),
        }
    }
}

/// The least share of a reputation that is an amount at all: what follows from rounding down.
fn least_share(reputation: Sigma) -> Option<Share> {
    let ppm = NonZeroU32::new(reputation.ppm())?;
    Share::from_ppm(1_000_000_u32.div_ceil(ppm.get())).ok()
}

impl core::error::Error for Denial {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::UnfitPolicy(why) => Some(why),
            _ => None,
        }
    }
}
