//! What the gate answers when it says no.

use super::facts::{Membership, Phase};
use crate::decide::{Denial, Needs};
use crate::evidence::Basis;
use crate::intent::Unintended;
use crate::rate::Limited;
use crate::standing::Cap;
use core::fmt;
use hv_types::{ActionId, Counted, Did, Ring, Sigma, Timestamp};

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
    /// The agent's intent does not cover the call, or it has none and needs one.
    Intent {
        /// Why not.
        why: Unintended,
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
    11 => Intent { why },
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
            | Self::NotRegistered { .. }
            | Self::Intent { .. } => None,
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

impl Unfit {
    /// The reason alone, as one word: what refusals are counted by.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Quarantined { .. } => "quarantined",
            Self::Killed { .. } => "killed",
            Self::Ring { denial } => denial.name(),
            Self::Capped { .. } => "capped",
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
                write!(f, "needs {need} and is capped at {}: {cap}", cap.ring())
            }
        }
    }
}

impl GateDenial {
    /// The reason alone, as one word: what refusals are counted by.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SourceLimited { .. } => "source_limited",
            Self::Unproven => "unproven",
            Self::SessionNotLive { .. } => "session_not_live",
            Self::NotAMember { .. } => "not_a_member",
            Self::RateLimited { .. } => "rate_limited",
            Self::TooManyTools { .. } => "too_many_tools",
            Self::Late { .. } => "late",
            Self::NotRegistered { .. } => "not_registered",
            Self::Intent { .. } => "intent",
            Self::Stale { .. } => "stale",
            Self::Agent { unfit } => unfit.name(),
            Self::OnBehalfOf { .. } => "on_behalf_of",
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
                let most = Counted(*most, "tool");
                write!(f, "in {standing} an agent uses at most {most} at once; wait for one to end")
            }
            Self::Late { deadline } => write!(f, "the call had to start by {deadline}; make a new one"),
            Self::NotRegistered { action } => {
                write!(f, "nobody registered the action `{action}`; register it with its reversibility")
            }
            Self::Intent { why } => write!(f, "{why}"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Rate;
    use crate::tests::{did, sigma};
    use hv_types::Wire;
    use std::string::{String, ToString};
    use std::vec::Vec;
    use std::{format, vec};

    const RATE: Rate = Rate { per_second: 5, burst: 10 };

    fn agent(unfit: Unfit) -> GateDenial {
        GateDenial::Agent { unfit }
    }

    fn every_denial() -> Vec<(GateDenial, &'static [u8], &'static str)> {
        let (need, standing) = (Ring::Standard, Ring::Sandbox);
        let (limit, crowded) = (
            Limited::TooFast { rate: RATE, retry_at: Timestamp(1) },
            Limited::Crowded { retry_at: Timestamp(1) },
        );
        let denial = Denial::Score { need, sigma: sigma(1), above: sigma(2) };
        let capped = |cap| Unfit::Capped { need, sigma: sigma(1), cap };
        let principal = did("p");
        let parent = did("q");
        let until = Timestamp(1);
        vec![
            (
                GateDenial::SourceLimited { limit },
                b"\x00\x00\x05\x0a\x01\0\0\0\0\0\0\0",
                "too many calls from one source: faster than 5 calls a second and 10 at once; try again at \
                 1970-01-01T00:00:00.000Z",
            ),
            (GateDenial::Unproven, b"\x01", "nothing shows that the agent is who it says; sign the call"),
            (
                GateDenial::SessionNotLive { phase: Phase::Over },
                b"\x02\x04",
                "the session has ended; calls need a live one",
            ),
            (
                GateDenial::NotAMember { membership: Membership::Left },
                b"\x03\x01",
                "the agent is no longer a member of the session; let it join again",
            ),
            (
                GateDenial::NotAMember { membership: Membership::Stranger },
                b"\x03\x02",
                "the agent is not a member of the session; let it join first",
            ),
            (
                GateDenial::RateLimited { standing, limit: crowded },
                b"\x04\x03\x01\x01\0\0\0\0\0\0\0",
                "too many calls for Ring 3 (sandbox): too many callers at once to count one more; try again at \
                 1970-01-01T00:00:00.000Z",
            ),
            (
                GateDenial::TooManyTools { standing, most: 2 },
                b"\x05\x03\x02",
                "in Ring 3 (sandbox) an agent uses at most 2 tools at once; wait for one to end",
            ),
            (
                GateDenial::Late { deadline: until },
                b"\x06\x01\0\0\0\0\0\0\0",
                "the call had to start by 1970-01-01T00:00:00.000Z; make a new one",
            ),
            (
                GateDenial::NotRegistered { action: ActionId::new("a").unwrap() },
                b"\x07\x01a",
                "nobody registered the action `a`; register it with its reversibility",
            ),
            (
                GateDenial::Intent { why: Unintended::Undeclared },
                b"\x0b\x00",
                "the session asks for an intent, and the agent has none in force",
            ),
            (
                GateDenial::Stale { basis: Basis::Quorum, until },
                b"\x08\x02\x01\0\0\0\0\0\0\0",
                "the quorum counted until 1970-01-01T00:00:00.000Z; ask for it again",
            ),
            (
                GateDenial::Stale { basis: Basis::Elevation, until },
                b"\x08\x04\x01\0\0\0\0\0\0\0",
                "the elevation counted until 1970-01-01T00:00:00.000Z; ask for it again",
            ),
            (agent(Unfit::Unknown), b"\x09\x00", "the agent is not known here; let it join a session first"),
            (
                agent(Unfit::Quarantined { until }),
                b"\x09\x01\x01\0\0\0\0\0\0\0",
                "the agent is quarantined until 1970-01-01T00:00:00.000Z",
            ),
            (
                agent(Unfit::Quarantined { until: Timestamp::MAX }),
                b"\x09\x01\xff\xff\xff\xff\xff\xff\xff\xff",
                "the agent is quarantined until it is rehabilitated",
            ),
            (
                agent(Unfit::Killed { at: until }),
                b"\x09\x02\x01\0\0\0\0\0\0\0",
                "the agent was killed at 1970-01-01T00:00:00.000Z",
            ),
            (
                agent(Unfit::Ring { denial }),
                b"\x09\x03\x00\x02\x01\x02",
                "the agent does not earn the ring: Ring 2 (standard) needs σ_eff above 0.000002; it is \
                 0.000001; enough would be σ_eff above 0.60",
            ),
            (
                GateDenial::OnBehalfOf { principal, unfit: capped(Cap::SuspiciousHistory) },
                b"\x0a\x0adid:mesh:p\x04\x02\x01\x04",
                "did:mesh:p, for whom the agent acts, needs Ring 2 (standard) and is capped at Ring 3 (sandbox): \
                 its history does not hold together",
            ),
            (
                agent(capped(Cap::Parent { parent, ring: standing })),
                b"\x09\x04\x02\x01\x00\x0adid:mesh:q\x03",
                "the agent needs Ring 2 (standard) and is capped at Ring 3 (sandbox): its parent did:mesh:q \
                 stands in Ring 3 (sandbox)",
            ),
            (
                agent(capped(Cap::Demotion { ring: standing, until })),
                b"\x09\x04\x02\x01\x01\x03\x01\0\0\0\0\0\0\0",
                "the agent needs Ring 2 (standard) and is capped at Ring 3 (sandbox): it was demoted until \
                 1970-01-01T00:00:00.000Z",
            ),
            (
                agent(capped(Cap::Breaker { until })),
                b"\x09\x04\x02\x01\x02\x01\0\0\0\0\0\0\0",
                "the agent needs Ring 2 (standard) and is capped at Ring 3 (sandbox): it called above its ring \
                 too often, and the breaker is open until 1970-01-01T00:00:00.000Z",
            ),
            (
                agent(capped(Cap::Probation)),
                b"\x09\x04\x02\x01\x03",
                "the agent needs Ring 2 (standard) and is capped at Ring 2 (standard): it is on probation, with \
                 no history yet",
            ),
            (
                agent(capped(Cap::SessionMinimum { minimum: sigma(3), sigma: sigma(2) })),
                b"\x09\x04\x02\x01\x05\x03\x02",
                "the agent needs Ring 2 (standard) and is capped at Ring 3 (sandbox): the session asks for a \
                 σ_eff of at least 0.000003, and it has 0.000002",
            ),
            (
                agent(capped(Cap::Manifest { hint: standing })),
                b"\x09\x04\x02\x01\x06\x03",
                "the agent needs Ring 2 (standard) and is capped at Ring 3 (sandbox): its manifest's trust \
                 level goes no further",
            ),
            (
                agent(capped(Cap::Operator { ring: standing })),
                b"\x09\x04\x02\x01\x07\x03",
                "the agent needs Ring 2 (standard) and is capped at Ring 3 (sandbox): an operator set it",
            ),
        ]
    }

    #[test]
    fn golden_bytes_and_words() {
        for (denial, bytes, words) in every_denial() {
            assert_eq!(denial.to_string(), words);
            assert_eq!(denial.to_bytes(), bytes, "{words}");
            assert_eq!(GateDenial::from_bytes(bytes), Ok(denial));
        }
    }

    /// What refusals are counted by is the name of the innermost variant.
    #[test]
    fn every_denial_is_counted_by_its_own_name() {
        for (denial, _, words) in every_denial() {
            let name = match &denial {
                GateDenial::Agent { unfit: Unfit::Ring { denial } } => snake_case(denial),
                GateDenial::Agent { unfit } => snake_case(unfit),
                outer => snake_case(outer),
            };
            assert_eq!(denial.name(), name, "{words}");
        }
    }

    fn snake_case(variant: &impl fmt::Debug) -> String {
        let variant = format!("{variant:?}");
        let mut name = String::new();
        for letter in variant.chars().take_while(char::is_ascii_alphanumeric) {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }

    #[test]
    fn only_what_a_score_a_certificate_or_a_cap_mends_says_so() {
        let says: String = every_denial()
            .iter()
            .map(|(denial, ..)| denial.needs().map_or_else(|| "-".to_string(), |needs| format!("{needs};")))
            .collect();
        assert_eq!(says.matches('-').count(), 14, "{says}");
        let none = GateDenial::Stale { basis: Basis::Score, until: Timestamp(0) };
        assert_eq!(none.needs(), None);
    }
}
