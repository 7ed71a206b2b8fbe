//! The one gate: every rule that a call must pass, in order, over plain facts.
//!
//! Whoever holds the state fills in the facts; this module knows nothing else. It stops at the first no. What
//! is missing, late or unknown is a no.

use crate::class::Terms;
use crate::decide::{Denial, basis};
use crate::evidence::{Basis, Shown};
use crate::standing::Standing;
use hv_types::{Ring, Sigma, Timestamp};

mod denial;
mod facts;

pub use denial::{GateDenial, Unfit};
pub use facts::{Acquaintance, Entry, Facts, Identity, Life, Membership, Phase, Principal, Quarantine};

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

    /// What the permission rests on; [`Evidence::spends`](crate::Evidence::spends) says what it uses up.
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
/// registered; the agent's intent; score, certificate and cap of the agent; certificate still fresh; the same of
/// whoever it acts for.
///
/// ```
/// use hv_rings::class::{Override, Class};
/// use hv_rings::gate::{Acquaintance, Entry, Facts, GateDenial, Identity, Life, Membership, Phase, Quarantine};
/// use hv_rings::gate::check;
/// use hv_rings::rate::Limits;
/// use hv_rings::standing::standing;
/// use hv_rings::{ActionId, ActionKind, Reversibility, Ring, Timestamp};
///
/// let action = ActionId::new("file.write")?;
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
///     action: &action,
///     deadline: Timestamp(1_000),
///     rate: Ok(()),
///     limits: &Limits::default(),
///     tools_in_use: 0,
///     terms: Some(class.terms(&Override::default())),
///     sigma,
///     standing: &standing(sigma, &[], now),
///     shown: None,
///     intent: Ok(()),
///     on_behalf_of: &[],
/// };
/// assert_eq!(check(&facts).unwrap().ring(), Ring::Standard);
/// assert_eq!(check(&Facts { terms: None, ..facts }), Err(GateDenial::NotRegistered { action: action.clone() }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`GateDenial`] with the first rule that says no.
pub fn check(facts: &Facts<'_>) -> Result<Allowed, GateDenial> {
    let Facts { action, deadline, rate, limits, tools_in_use, terms, sigma, standing, shown, .. } = *facts;
    let now = facts.entry.now;
    enter(&facts.entry)?;
    rate.map_err(|limit| GateDenial::RateLimited { standing: standing.ring(), limit })?;
    let most = *limits.tools.get(standing.ring());
    if tools_in_use >= most {
        return Err(GateDenial::TooManyTools { standing: standing.ring(), most });
    }
    if deadline < now {
        return Err(GateDenial::Late { deadline });
    }
    let Some(Terms { need, .. }) = terms else {
        return Err(GateDenial::NotRegistered { action: action.clone() });
    };
    facts.intent.map_err(|why| GateDenial::Intent { why: why.clone() })?;
    let basis = earns(need, sigma, standing, shown).map_err(|unfit| GateDenial::Agent { unfit })?;
    let until = shown.map_or(Timestamp::MAX, |shown| shown.evidence.until(basis));
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
            .and_then(|()| earns(need, sigma, standing, facts.shown).map(|_| ())),
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

fn earns(need: Ring, sigma: Sigma, standing: &Standing, shown: Option<Shown<'_>>) -> Result<Basis, Unfit> {
    basis(need, sigma, standing.limit(), shown).map_err(|denial| match (denial, standing.cap()) {
        (Denial::Capped { .. }, Some(cap)) => Unfit::Capped { need, sigma, cap: cap.clone() },
        _ => Unfit::Ring { denial },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Evidence;
    use crate::class::{Class, Override};
    use crate::decide::Needs;
    use crate::intent::Unintended;
    use crate::rate::{Limited, Limits, Rate};
    use crate::standing::{Cap, standing};
    use crate::tests::{NOW, call, did, quorum, sigma, witnessed};
    use hv_types::{ActionKind, Reversibility};
    use std::vec;
    use std::vec::Vec;

    fn entry() -> Entry {
        Entry {
            now: NOW,
            acquaintance: Acquaintance::Known,
            source: Ok(()),
            identity: Identity::Proven,
            session: Phase::Live,
            membership: Membership::Member,
            quarantine: Quarantine::Free,
            life: Life::Running,
        }
    }

    fn terms(need: Ring) -> Option<Terms> {
        let reversibility = Reversibility::Full;
        let class = Class { kind: ActionKind::Effect, reversibility, risk: reversibility.default_risk() };
        Some(class.terms(&Override { ring: Some(need), risk: None }))
    }

    const RATE: Rate = Rate { per_second: 5, burst: 10 };
    const LIMIT: Limited = Limited::TooFast { rate: RATE, retry_at: Timestamp(9) };

    /// Decides the facts of an agent that may do what needs Ring 2, after `change` made something of them.
    fn decided(change: impl FnOnce(&mut Facts<'_>)) -> Result<Allowed, GateDenial> {
        let (call, limits, standing) = (call(), Limits::default(), standing(sigma(700_000), &[], NOW));
        let mut facts = Facts {
            entry: entry(),
            action: &call.action,
            deadline: call.deadline,
            rate: Ok(()),
            limits: &limits,
            tools_in_use: 0,
            terms: terms(Ring::Standard),
            sigma: sigma(700_000),
            standing: &standing,
            shown: None,
            intent: Ok(()),
            on_behalf_of: &[],
        };
        change(&mut facts);
        check(&facts)
    }

    fn agent(unfit: Unfit) -> GateDenial {
        GateDenial::Agent { unfit }
    }

    type Fault = fn(&mut Facts<'_>);

    /// One change for each rule, in the order of the rules, with the denial that it brings about.
    fn faults() -> Vec<(Fault, GateDenial)> {
        vec![
            (|f| f.entry.acquaintance = Acquaintance::Unknown, agent(Unfit::Unknown)),
            (|f| f.entry.source = Err(LIMIT), GateDenial::SourceLimited { limit: LIMIT }),
            (|f| f.entry.identity = Identity::Unproven, GateDenial::Unproven),
            (|f| f.entry.session = Phase::Ending, GateDenial::SessionNotLive { phase: Phase::Ending }),
            (
                |f| f.entry.membership = Membership::Left,
                GateDenial::NotAMember { membership: Membership::Left },
            ),
            (
                |f| f.entry.quarantine = Quarantine::Slashed,
                agent(Unfit::Quarantined { until: Timestamp::MAX }),
            ),
            (|f| f.entry.life = Life::Killed { at: Timestamp(5) }, agent(Unfit::Killed { at: Timestamp(5) })),
            (|f| f.rate = Err(LIMIT), GateDenial::RateLimited { standing: Ring::Standard, limit: LIMIT }),
            (|f| f.tools_in_use = 8, GateDenial::TooManyTools { standing: Ring::Standard, most: 8 }),
            (|f| f.entry.now = Timestamp(f.deadline.0 + 1), GateDenial::Late { deadline: call().deadline }),
            (|f| f.terms = None, GateDenial::NotRegistered { action: call().action }),
            (|f| f.intent = Err(&Unintended::Undeclared), GateDenial::Intent { why: Unintended::Undeclared }),
            (
                |f| f.sigma = sigma(600_000),
                agent(Unfit::Ring {
                    denial: Denial::Score {
                        need: Ring::Standard,
                        sigma: sigma(600_000),
                        above: sigma(600_000),
                    },
                }),
            ),
        ]
    }

    #[test]
    fn an_agent_without_fault_passes() {
        let allowed = decided(|_| {}).unwrap();
        assert_eq!((allowed.ring(), allowed.basis()), (Ring::Standard, Basis::Score));
        assert_eq!(decided(|f| f.entry.identity = Identity::Asserted), Ok(allowed));
        assert_eq!(decided(|f| f.tools_in_use = 7), Ok(allowed));
        assert_eq!(decided(|f| f.entry.now = f.deadline), Ok(allowed));
        let open = decided(|f| (f.terms, f.sigma) = (terms(Ring::Sandbox), Sigma::ZERO)).unwrap();
        assert_eq!((open.ring(), open.basis()), (Ring::Sandbox, Basis::Open));
    }

    #[test]
    fn each_rule_says_no_with_its_own_reason() {
        for (fault, denial) in faults() {
            assert_eq!(decided(fault), Err(denial));
        }
    }

    #[test]
    fn the_first_rule_that_says_no_is_told() {
        let faults = faults();
        for (i, (first, denial)) in faults.iter().enumerate() {
            for (later, _) in faults.iter().skip(i) {
                let both = |f: &mut Facts<'_>| {
                    later(f);
                    first(f);
                };
                assert_eq!(decided(both).as_ref(), Err(denial), "{i}");
            }
        }
    }

    #[test]
    fn only_a_live_session_and_a_member_pass() {
        for phase in [Phase::Unknown, Phase::Forming, Phase::Live, Phase::Ending, Phase::Over] {
            let decided = decided(|f| f.entry.session = phase);
            let expected =
                if phase == Phase::Live { None } else { Some(GateDenial::SessionNotLive { phase }) };
            assert_eq!(decided.err(), expected);
        }
        let membership = Membership::Stranger;
        let stranger = decided(|f| f.entry.membership = membership);
        assert_eq!(stranger, Err(GateDenial::NotAMember { membership }));
    }

    #[test]
    fn a_quarantine_holds_to_its_last_nanosecond() {
        let at = |until| decided(|f| f.entry.quarantine = Quarantine::Until(Timestamp(until)));
        let until = NOW;
        assert_eq!(at(NOW.0), Err(agent(Unfit::Quarantined { until })));
        assert!(at(NOW.0 - 1).is_ok());
        assert!(at(NOW.0 + 1).is_err());
    }

    #[test]
    fn certificates_open_what_they_are_for_as_long_as_they_last() {
        let call = call();
        let evidence = Evidence::none().with_quorum(quorum(&call)).with_witness(witnessed(&call));
        let until = Timestamp(NOW.0 + 500);
        for (need, basis) in [(Ring::Privileged, Basis::Quorum), (Ring::Root, Basis::Witness)] {
            let at = |now| {
                let (entry, limits) = (Entry { now, ..entry() }, Limits::default());
                let standing = standing(Sigma::ONE, &[], now);
                check(&Facts {
                    entry,
                    action: &call.action,
                    deadline: call.deadline,
                    rate: Ok(()),
                    limits: &limits,
                    tools_in_use: 0,
                    terms: terms(need),
                    sigma: Sigma::ONE,
                    standing: &standing,
                    shown: Some(Shown { call: &call, evidence: &evidence }),
                    intent: Ok(()),
                    on_behalf_of: &[],
                })
            };
            assert_eq!(at(until), Ok(Allowed { ring: need, basis }));
            let stale = GateDenial::Stale { basis, until };
            assert_eq!(stale.needs(), Some(Needs::of(need)));
            assert_eq!(at(Timestamp(until.0 + 1)), Err(stale));
        }
    }

    #[test]
    fn a_cap_is_told_with_its_reason() {
        let standing = standing(Sigma::ONE, &[Cap::Probation, Cap::Breaker { until: NOW }], NOW);
        let (need, cap) = (Ring::Standard, Cap::Breaker { until: NOW });
        let limits = Limits::default();
        let facts = |f: &mut Facts<'_>| f.tools_in_use = 1;
        assert!(decided(facts).is_ok());
        let call = call();
        let capped = Facts {
            entry: entry(),
            action: &call.action,
            deadline: call.deadline,
            rate: Ok(()),
            limits: &limits,
            tools_in_use: 1,
            terms: terms(need),
            sigma: Sigma::ONE,
            standing: &standing,
            shown: None,
            intent: Ok(()),
            on_behalf_of: &[],
        };
        let denial = agent(Unfit::Capped { need, sigma: Sigma::ONE, cap });
        assert_eq!(denial.needs(), Some(Needs { uncapped: Some(need), ..Needs::of(need) }));
        assert_eq!(check(&capped), Err(denial));
        // The standing ring sets the limits as well: two tools in Ring 3.
        let busy = check(&Facts { tools_in_use: 2, ..capped });
        assert_eq!(busy, Err(GateDenial::TooManyTools { standing: Ring::Sandbox, most: 2 }));
    }

    #[test]
    fn on_behalf_of_somebody_the_weaker_of_the_two_decides() {
        let (free, low) =
            (standing(Sigma::ONE, &[], NOW), standing(Sigma::ONE, &[Cap::SuspiciousHistory], NOW));
        let did = did("principal");
        let principal = Principal {
            did: &did,
            acquaintance: Acquaintance::Known,
            quarantine: Quarantine::Free,
            life: Life::Running,
            sigma: sigma(600_001),
            standing: &free,
        };
        let with = |principals: &[Principal<'_>]| -> Result<(), Unfit> {
            let (call, limits, standing) = (call(), Limits::default(), standing(sigma(700_000), &[], NOW));
            let facts = Facts {
                entry: entry(),
                action: &call.action,
                deadline: call.deadline,
                rate: Ok(()),
                limits: &limits,
                tools_in_use: 0,
                terms: terms(Ring::Standard),
                sigma: sigma(700_000),
                standing: &standing,
                shown: None,
                intent: Ok(()),
                on_behalf_of: principals,
            };
            match check(&facts) {
                Ok(_) => Ok(()),
                Err(GateDenial::OnBehalfOf { principal, unfit }) if principal == did => Err(unfit),
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(with(&[principal]), Ok(()));
        let (need, above) = (Ring::Standard, sigma(600_000));
        for (weaker, unfit) in [
            (Principal { acquaintance: Acquaintance::Unknown, ..principal }, Unfit::Unknown),
            (
                Principal { quarantine: Quarantine::Slashed, ..principal },
                Unfit::Quarantined { until: Timestamp::MAX },
            ),
            (Principal { life: Life::Killed { at: NOW }, ..principal }, Unfit::Killed { at: NOW }),
            (
                Principal { sigma: above, ..principal },
                Unfit::Ring { denial: Denial::Score { need, sigma: above, above } },
            ),
            (
                Principal { standing: &low, ..principal },
                Unfit::Capped { need, sigma: sigma(600_001), cap: Cap::SuspiciousHistory },
            ),
        ] {
            assert_eq!(with(&[weaker]), Err(unfit.clone()));
            assert_eq!(with(&[principal, weaker]), Err(unfit), "nobody in the chain is left out");
        }
    }
}
