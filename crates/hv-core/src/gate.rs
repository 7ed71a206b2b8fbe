//! The facts of one call, held against the gate's rules.

use crate::error::Reason;
use crate::event::Denial;
use crate::grant::Right;
use crate::host::right_of;
use crate::state::{NamedSaga, Slot, State};
use hv_rings::Evidence;
use hv_rings::class::{Claims, Class, Override, Terms};
use hv_rings::gate::{Acquaintance, Entry, Facts, GateDenial, Identity, Life, Membership, Phase, Quarantine};
use hv_rings::rate::Limits;
use hv_saga::{Attempt, StepDef};
use hv_session::SessionState;
use hv_types::{Call, Did, Reversibility, Ring, Sigma, Timestamp};

/// That a call passed, and what was known when it did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) ring: Ring,
    pub(crate) sigma: Sigma,
    pub(crate) right: Right,
}

/// Whether an attempt of a saga may start. `tools` is how many attempts of the agent run already.
///
/// Undo and probes rest on the grant of what they undo and ask about; everything else passes every rule.
pub(crate) fn check(
    (state, slot, now): (&State, &Slot, Timestamp),
    (saga, claims): (&NamedSaga, Option<Claims>),
    (attempt, step): (&Attempt, &StepDef),
    call: &Call,
    tools: u32,
) -> Result<Pass, Denial> {
    let agent = &attempt.agent;
    let terms = claims.map(|claims| saga.class(&claims, attempt.ordinal, step).terms(&Override::default()));
    let sigma = terms.map_or(Sigma::ZERO, |terms| state.sigma_eff(slot, agent, terms.reversibility, now));
    let right = right_of(attempt.purpose);
    if right == Right::Earlier {
        let ring = terms.map_or(Ring::Sandbox, |terms| terms.need);
        return Ok(Pass { ring, sigma, right });
    }
    if let Some(reason) = state.kills.hit(&call.session, agent, Some(&call.action)) {
        return Err(Denial::of("step", Some(agent), Some(&attempt.action), &reason));
    }
    held((state, slot, now), agent, call, terms, sigma, tools)
        .map_err(|denial| Denial::of("step", Some(agent), Some(&attempt.action), &Reason::Gate(denial)))
}

/// Whether a call of an action that the supervisor itself offers may be made.
pub(crate) fn check_call(
    (state, slot, now): (&State, &Slot, Timestamp),
    agent: &Did,
    call: &Call,
    class: Class,
    tools: u32,
) -> Result<Pass, Box<GateDenial>> {
    let terms = class.terms(&Override::default());
    let sigma = state.sigma_eff(slot, agent, terms.reversibility, now);
    held((state, slot, now), agent, call, Some(terms), sigma, tools)
}

fn held(
    (state, slot, now): (&State, &Slot, Timestamp),
    agent: &Did,
    call: &Call,
    terms: Option<Terms>,
    sigma: Sigma,
    tools: u32,
) -> Result<Pass, Box<GateDenial>> {
    let full = match terms {
        Some(terms) if terms.reversibility == Reversibility::Full => sigma,
        _ => state.sigma_eff(slot, agent, Reversibility::Full, now),
    };
    let standing = state.standing_at(slot, agent, full, now);
    let facts = Facts {
        entry: entry(state, slot, agent, now),
        call,
        rate: Ok(()),
        limits: &Limits::default(),
        tools_in_use: tools,
        terms,
        sigma,
        standing: &standing,
        evidence: &Evidence::none(),
        on_behalf_of: &[],
    };
    let allowed = hv_rings::gate::check(&facts).map_err(Box::new)?;
    Ok(Pass { ring: allowed.ring(), sigma, right: Right::Standing })
}

/// What can be said before the call itself is looked at.
fn entry(state: &State, slot: &Slot, agent: &Did, now: Timestamp) -> Entry {
    let member = slot.session.known(agent);
    Entry {
        now,
        acquaintance: if member.is_none() && state.ledger.agent(agent).is_none() {
            Acquaintance::Unknown
        } else {
            Acquaintance::Known
        },
        source: Ok(()),
        // What runs here is asked for by the program that hv is embedded in, in the agent's name.
        identity: Identity::Asserted,
        session: match slot.session.state() {
            SessionState::Active if slot.session.live(now) => Phase::Live,
            SessionState::Created | SessionState::Handshaking => Phase::Forming,
            SessionState::Active | SessionState::Archived => Phase::Over,
            SessionState::Terminating => Phase::Ending,
        },
        membership: match member {
            None => Membership::Stranger,
            Some(member) if member.is_present() => Membership::Member,
            Some(_) => Membership::Left,
        },
        quarantine: match state.ledger.quarantined(agent, now) {
            None => Quarantine::Free,
            Some(hv_liability::Quarantine::Until(until)) => Quarantine::Until(until),
            Some(hv_liability::Quarantine::UntilRehabilitated | hv_liability::Quarantine::Charged) => {
                Quarantine::Slashed
            }
        },
        life: state.kills.agent(agent).map_or(Life::Running, |at| Life::Killed { at }),
    }
}
