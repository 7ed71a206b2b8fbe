//! How risky it is to let an agent in.

use crate::{Ledger, Source};
use core::fmt;
use hv_types::{Counted, Did, Sigma, Timestamp};

/// What a ledger knows about the risk that an agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiskProfile {
    /// Its reputation; nothing for one that is not known.
    pub reputation: Sigma,
    /// What of it is not bonded.
    pub sigma_low: Sigma,
    /// How often it was slashed for violations of its own.
    pub slashes: u32,
    /// How many bonds there are for it, over all sessions.
    pub backers: usize,
    /// What speaks against letting it in, the gravest first.
    pub concerns: Vec<Concern>,
}

/// Something that speaks against letting an agent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// It is quarantined.
    Quarantined,
    /// It was slashed as often as the policy bears, or more often.
    SlashedOften {
        /// How often.
        times: u32,
        /// How often the policy bears it.
        most: u32,
    },
    /// It was slashed.
    Slashed {
        /// How often.
        times: u32,
    },
    /// It has more bonded than it could bond now.
    Overextended {
        /// What it has bonded.
        bonded: Sigma,
        /// What it could have bonded.
        limit: Sigma,
    },
    /// What it began with is a hint that nobody attests.
    Unattested,
    /// Nothing is known about it.
    NoHistory,
}

/// Whether an agent is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admission {
    /// It is.
    Admit,
    /// It is, under watch: it does not get everything that its score would earn.
    Probation,
    /// It is not.
    Deny,
}

impl RiskProfile {
    /// Whether the agent is let in: not while it is quarantined or once it was slashed too often, and under
    /// watch where anything else speaks against it.
    #[must_use]
    pub fn admission(&self) -> Admission {
        self.concerns.iter().map(Concern::admission).max().unwrap_or(Admission::Admit)
    }
}

impl Concern {
    /// What this concern alone leads to.
    #[must_use]
    pub const fn admission(&self) -> Admission {
        match self {
            Self::Quarantined | Self::SlashedOften { .. } => Admission::Deny,
            Self::Slashed { .. } | Self::Overextended { .. } | Self::Unattested | Self::NoHistory => {
                Admission::Probation
            }
        }
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quarantined => f.write_str("it is quarantined"),
            Self::SlashedOften { times, most } => {
                let are = if *most == 1 { "is" } else { "are" };
                write!(f, "it was slashed {}; {most} {are} too many", Counted(*times, "time"))
            }
            Self::Slashed { times } => write!(f, "it was slashed {}", Counted(*times, "time")),
            Self::Overextended { bonded, limit } => {
                write!(f, "it has {bonded} bonded, more than the {limit} that its reputation bears")
            }
            Self::Unattested => f.write_str("what it began with is a hint that nobody attests"),
            Self::NoHistory => f.write_str("nothing is known about it"),
        }
    }
}

impl Ledger {
    /// What is known about the risk that an agent is. Costs the bonds for it.
    ///
    /// ```
    /// use hv_liability::{Admission, Concern, Ledger};
    /// use hv_types::{Did, Timestamp};
    ///
    /// let profile = Ledger::default().risk_profile(&Did::new("did:mesh:new")?, Timestamp(0));
    /// assert_eq!(profile.concerns, [Concern::NoHistory]);
    /// assert_eq!(profile.admission(), Admission::Probation);
    /// # Ok::<(), hv_types::BadIdent>(())
    /// ```
    #[must_use]
    pub fn risk_profile(&self, did: &Did, now: Timestamp) -> RiskProfile {
        let Some(account) = self.account(did, now) else {
            return RiskProfile {
                reputation: Sigma::ZERO,
                sigma_low: Sigma::ZERO,
                slashes: 0,
                backers: 0,
                concerns: vec![Concern::NoHistory],
            };
        };
        let (times, most) = (account.slashes, self.policy.deny_after);
        let (bonded, limit) = (account.bonded, self.policy.exposure_limit(account.reputation));
        let concerns = [
            account.quarantine.map(|_| Concern::Quarantined),
            (times >= most).then_some(Concern::SlashedOften { times, most }),
            (0 < times && times < most).then_some(Concern::Slashed { times }),
            (bonded > limit).then_some(Concern::Overextended { bonded, limit }),
            (account.source == Source::Hint).then_some(Concern::Unattested),
            (account.source == Source::Unknown).then_some(Concern::NoHistory),
        ];
        RiskProfile {
            reputation: account.reputation,
            sigma_low: account.reputation.saturating_sub(account.bonded),
            slashes: times,
            backers: self.matrix(now).vouchers_of(did).len(),
            concerns: concerns.into_iter().flatten().collect(),
        }
    }
}
