//! The one gate: every rule that a call must pass, in order, over plain facts.
//!
//! Whoever holds the state fills in the facts; this module knows nothing else. It stops at the first no. What
//! is missing, late or unknown is a no.

use crate::class::Terms;
use crate::decide::{Denial, Needs, basis};
use crate::evidence::{Basis, Evidence};
use crate::rate::{Limited, Limits};
use crate::standing::{Cap, Standing};
use core::fmt;
use hv_types::{ActionId, Call, Did, Ring, Sigma, Timestamp};

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
    const fn holds(self, now: Timestamp) -> Option<Timestamp> {
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
    /// The call.
    pub call: &'a Call,
    /// What the agent's bucket says; take from it after [`enter`] and before [`check`], at the rate of the
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
    /// The certificates that are presented.
    pub evidence: &'a Evidence,
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

/// That a call passed. Only [`check`] makes one; it is no grant, for it records nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a call that passed is not yet granted"]
pub struct Allowed {
    ring: Ring,
    basis: Basis,
}

impl Allowed {
    /// The ring in which the call runs.
    #[must_use]
    pub const fn ring(&self) -> Ring {
        self.ring
    }

    /// What the permission rests on; [`Evidence::spends`] says what it uses up.
    #[must_use]
    pub const fn basis(&self) -> Basis {
        self.basis
    }
}

/// The rules that a call must pass before it may take from the agent's bucket.
///
/// They come first so that nobody empties the bucket of an agent that it only pretends to be.
///
/// # Errors
/// [`Unfit::Unknown`], [`GateDenial::SourceLimited`], [`GateDenial::Unproven`],
/// [`GateDenial::SessionNotLive`], [`GateDenial::NotAMember`], [`Unfit::Quarantined`], [`Unfit::Killed`], in
/// this order.
pub fn enter(entry: &Entry) -> Result<(), GateDenial> {
    let Entry { now, acquaintance, source, identity, session, membership, quarantine, life } = *entry;
    match acquaintance {
        Acquaintance::Known => {}
        Acquaintance::Unknown => return Err(GateDenial::Agent { unfit: Unfit::Unknown }),
    }
    source.map_err(|limit| GateDenial::SourceLimited { limit })?;
    match identity {
        Identity::Proven | Identity::Asserted => {}
        Identity::Unproven => return Err(GateDenial::Unproven),
    }
    match session {
        Phase::Live => {}
        phase => return Err(GateDenial::SessionNotLive { phase }),
    }
    match membership {
        Membership::Member => {}
        membership => return Err(GateDenial::NotAMember { membership }),
    }
    at_large(quarantine, life, now).map_err(|unfit| GateDenial::Agent { unfit })
}

/// Holds a call against every rule, in this order: what [`enter`] asks; rate; tools at once; deadline; action
/// registered; score, certificate and cap of the agent; certificate still fresh; the same of whoever it acts
/// for.
///
/// ```
/// use hv_rings::class::{Override, Class};
/// use hv_rings::gate::{Acquaintance, Entry, Facts, GateDenial, Identity, Life, Membership, Phase, Quarantine};
/// use hv_rings::gate::check;
/// use hv_rings::rate::Limits;
/// use hv_rings::standing::standing;
/// use hv_rings::{ActionId, ActionKind, Call, Did, Digest, Evidence, Reversibility, Ring, SessionId, Timestamp};
///
/// let call = Call {
///     session: SessionId::new("release")?,
///     agent: Did::new("did:mesh:alpha")?,
///     action: ActionId::new("file.write")?,
///     params: Digest::default(),
///     deadline: Timestamp(1_000),
/// };
/// let now = Timestamp(500);
/// let class = Class {
///     kind: ActionKind::Effect,
///     reversibility: Reversibility::Full,
///     risk: Reversibility::Full.default_risk(),
/// };
/// let sigma = "0.85".parse()?;
/// let facts = Facts {
///     entry: Entry {
///         now,
///         acquaintance: Acquaintance::Known,
///         source: Ok(()),
///         identity: Identity::Proven,
///         session: Phase::Live,
///         membership: Membership::Member,
///         quarantine: Quarantine::Free,
///         life: Life::Running,
///     },
///     call: &call,
///     rate: Ok(()),
///     limits: &Limits::default(),
///     tools_in_use: 0,
///     terms: Some(class.terms(&Override::default())),
///     sigma,
///     standing: &standing(sigma, &[], now),
///     evidence: &Evidence::none(),
///     on_behalf_of: &[],
/// };
/// assert_eq!(check(&facts).unwrap().ring(), Ring::Standard);
/// assert_eq!(check(&Facts { terms: None, ..facts }), Err(GateDenial::NotRegistered { action: call.action.clone() }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`GateDenial`] with the first rule that says no.
pub fn check(facts: &Facts<'_>) -> Result<Allowed, GateDenial> {
    let Facts { entry, call, rate, limits, tools_in_use, terms, sigma, standing, evidence, .. } = *facts;
    let now = entry.now;
    enter(&entry)?;
    rate.map_err(|limit| GateDenial::RateLimited { standing: standing.ring(), limit })?;
    let most = *limits.tools.get(standing.ring());
    if tools_in_use >= most {
        return Err(GateDenial::TooManyTools { standing: standing.ring(), most });
    }
    if call.deadline < now {
        return Err(GateDenial::Late { deadline: call.deadline });
    }
    let Some(Terms { need, .. }) = terms else {
        return Err(GateDenial::NotRegistered { action: call.action.clone() });
    };
    let basis = earns(need, sigma, standing, call, evidence).map_err(|unfit| GateDenial::Agent { unfit })?;
    let until = evidence.until(basis);
    if until < now {
        return Err(GateDenial::Stale { basis, until });
    }
    facts.on_behalf_of.iter().try_for_each(|principal| vouches(principal, need, facts))?;
    Ok(Allowed { ring: need, basis })
}

/// The rule for whoever the agent acts for: it is at large, and its own score and caps would let it.
fn vouches(principal: &Principal<'_>, need: Ring, facts: &Facts<'_>) -> Result<(), GateDenial> {
    let Principal { did, acquaintance, quarantine, life, sigma, standing } = *principal;
    let itself = match acquaintance {
        Acquaintance::Unknown => Err(Unfit::Unknown),
        Acquaintance::Known => at_large(quarantine, life, facts.entry.now)
            .and_then(|()| earns(need, sigma, standing, facts.call, facts.evidence).map(|_| ())),
    };
    itself.map_err(|unfit| GateDenial::OnBehalfOf { principal: did.clone(), unfit })
}

fn at_large(quarantine: Quarantine, life: Life, now: Timestamp) -> Result<(), Unfit> {
    if let Some(until) = quarantine.holds(now) {
        return Err(Unfit::Quarantined { until });
    }
    match life {
        Life::Running => Ok(()),
        Life::Killed { at } => Err(Unfit::Killed { at }),
    }
}

fn earns(
    need: Ring,
    sigma: Sigma,
    standing: &Standing,
    call: &Call,
    evidence: &Evidence,
) -> Result<Basis, Unfit> {
    basis(need, sigma, standing.limit(), call, evidence).map_err(|denial| match (denial, standing.cap()) {
        (Denial::Capped { .. }, Some(cap)) => Unfit::Capped { need, sigma, cap: cap.clone() },
        _ => Unfit::Ring { denial },
    })
}

/// The first rule of the gate that said no, with what there was.
///
/// The list is exhaustive on purpose: a new way to be refused is a change for everybody who handles one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case", tag = "rule"))]
pub enum GateDenial {
    /// The source of the call knocks too often.
    SourceLimited {
        /// The limit.
        limit: Limited,
    },
    /// Nothing shows that the agent is who it says.
    Unproven,
    /// The session takes no calls.
    SessionNotLive {
        /// How far it is.
        phase: Phase,
    },
    /// The agent does not belong to the session.
    NotAMember {
        /// Whether it ever did.
        membership: Membership,
    },
    /// The agent calls too often.
    RateLimited {
        /// Where it stands, which sets its rate.
        standing: Ring,
        /// The limit.
        limit: Limited,
    },
    /// The agent uses as many tools at once as it may.
    TooManyTools {
        /// Where it stands, which sets how many.
        standing: Ring,
        /// How many it may use.
        most: u32,
    },
    /// The call had to start earlier.
    Late {
        /// The last point in time at which it might have.
        deadline: Timestamp,
    },
    /// Nobody registered the action.
    NotRegistered {
        /// The action.
        action: ActionId,
    },
    /// The certificate that the permission rests on was given for a time that is over.
    Stale {
        /// What it rests on.
        basis: Basis,
        /// The last point in time at which it counted.
        until: Timestamp,
    },
    /// The agent itself may not.
    Agent {
        /// Why.
        unfit: Unfit,
    },
    /// Somebody for whom the agent acts may not.
    OnBehalfOf {
        /// Who.
        principal: Did,
        /// Why.
        unfit: Unfit,
    },
}

/// Why somebody may not do what a call does, whether it calls itself or has another call for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case", tag = "why"))]
pub enum Unfit {
    /// Nobody has heard of it.
    Unknown,
    /// It is quarantined.
    Quarantined {
        /// The last point in time at which that holds; [`Timestamp::MAX`] until it is rehabilitated.
        until: Timestamp,
    },
    /// It was killed.
    Killed {
        /// When.
        at: Timestamp,
    },
    /// Its score or its certificate is not enough.
    Ring {
        /// What is missing.
        denial: Denial,
    },
    /// It is capped below the ring that the call needs.
    Capped {
        /// The ring that the call needs.
        need: Ring,
        /// The score that there is.
        sigma: Sigma,
        /// The cap, with its reason.
        cap: Cap,
    },
}

hv_types::wire_enum!(Unfit {
    0 => Unknown {},
    1 => Quarantined { until },
    2 => Killed { at },
    3 => Ring { denial },
    4 => Capped { need, sigma, cap },
});

hv_types::wire_enum!(GateDenial {
    0 => SourceLimited { limit },
    1 => Unproven {},
    2 => SessionNotLive { phase },
    3 => NotAMember { membership },
    4 => RateLimited { standing, limit },
    5 => TooManyTools { standing, most },
    6 => Late { deadline },
    7 => NotRegistered { action },
    8 => Stale { basis, until },
    9 => Agent { unfit },
    10 => OnBehalfOf { principal, unfit },
});

impl GateDenial {
    /// What would be enough, where a score, a certificate or a cap is what is missing.
    #[must_use]
    pub const fn needs(&self) -> Option<Needs> {
        match self {
            Self::Agent { unfit } | Self::OnBehalfOf { unfit, .. } => unfit.needs(),
            Self::Stale { basis, .. } => match basis {
                Basis::Quorum | Basis::Elevation => Some(Needs::of(Ring::Privileged)),
                Basis::Witness => Some(Needs::of(Ring::Root)),
                Basis::Open | Basis::Score => None,
            },
            Self::SourceLimited { .. }
            | Self::Unproven
            | Self::SessionNotLive { .. }
            | Self::NotAMember { .. }
            | Self::RateLimited { .. }
            | Self::TooManyTools { .. }
            | Self::Late { .. }
            | Self::NotRegistered { .. } => None,
        }
    }
}

impl Unfit {
    /// What would be enough, where a score, a certificate or a cap is what is missing.
    #[must_use]
    pub const fn needs(&self) -> Option<Needs> {
        match self {
            Self::Ring { denial } => Some(denial.needs()),
            Self::Capped { need, .. } => Some(Needs { uncapped: Some(*need), ..Needs::of(*need) }),
            Self::Unknown | Self::Quarantined { .. } | Self::Killed { .. } => None,
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("is not known here; let it join a session first"),
            Self::Quarantined { until: Timestamp::MAX } => {
                f.write_str("is quarantined until it is rehabilitated")
            }
            Self::Quarantined { until } => write!(f, "is quarantined until {until}"),
            Self::Killed { at } => write!(f, "was killed at {at}"),
            Self::Ring { denial } => {
                write!(f, "does not earn the ring: {denial}; enough would be {}", denial.needs())
            }
            Self::Capped { need, cap, .. } => {
                write!(f, "needs {need} and is capped at {}, for {cap}", cap.ring())
            }
        }
    }
}

impl fmt::Display for GateDenial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceLimited { limit } => write!(f, "too many calls from one source: {limit}"),
            Self::Unproven => f.write_str("nothing shows that the agent is who it says; sign the call"),
            Self::SessionNotLive { phase } => write!(f, "{phase}; calls need a live one"),
            Self::NotAMember { membership: Membership::Left } => {
                f.write_str("the agent is no longer a member of the session; let it join again")
            }
            Self::NotAMember { .. } => {
                f.write_str("the agent is not a member of the session; let it join first")
            }
            Self::RateLimited { standing, limit } => write!(f, "too many calls for {standing}: {limit}"),
            Self::TooManyTools { standing, most } => {
                write!(f, "in {standing} an agent uses at most {most} tools at once; wait for one to end")
            }
            Self::Late { deadline } => write!(f, "the call had to start by {deadline}; make a new one"),
            Self::NotRegistered { action } => {
                write!(f, "nobody registered the action `{action}`; register it with its reversibility")
            }
            Self::Stale { basis, until } => {
                let certificate = match basis {
                    Basis::Quorum => "quorum",
                    Basis::Elevation => "elevation",
                    Basis::Witness => "witness",
                    Basis::Open | Basis::Score => "permission",
                };
                write!(f, "the {certificate} counted until {until}; ask for it again")
            }
            Self::Agent { unfit } => write!(f, "the agent {unfit}"),
            Self::OnBehalfOf { principal, unfit } => {
                write!(f, "{principal}, for whom the agent acts, {unfit}")
            }
        }
    }
}

impl core::error::Error for GateDenial {}
