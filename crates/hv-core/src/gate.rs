//! The facts of one call, held against the gate's rules.

use crate::charges;
use crate::elevate::with_elevation;
use crate::error::Reason;
use crate::event::{Denial, NodeEvent};
use crate::evidence::{self, Presented, Rejected, Voice, Weighed, call_of, voice, voices};
use crate::grant::Right;
use crate::host::{Start, right_of};
use crate::intent::{Intended, Use};
use crate::rates::{self, Turnstile};
use crate::said::is_final;
use crate::state::{NamedSaga, Party, Slot, State};
use hv_identity::Kind;
use hv_rings::class::{Claims, Class, Terms};
use hv_rings::gate::{
    Acquaintance, Entry, Facts, GateDenial, Identity, Life, Membership, Phase, Principal, Quarantine, Unfit,
};
use hv_rings::intent::{Places, Unintended};
use hv_rings::rate::Limited;
use hv_rings::standing::Standing;
use hv_rings::{Basis, Evidence};
use hv_saga::reversibility::Known;
use hv_saga::{Attempt, StepDef};
use hv_session::SessionState;
use hv_types::{ActionId, ActionKind, Call, Did, Digest, Reversibility, Ring, SessionId, Sigma, Timestamp};

/// What is brought for most calls.
static NO_EVIDENCE: Evidence = Evidence::none();

/// That a call passed, and what was known when it did.
#[derive(Debug, Clone)]
pub(crate) struct Pass {
    /// Digest of the call's parameters.
    pub(crate) params: Digest,
    /// The last point in time at which it may start.
    pub(crate) deadline: Timestamp,
    pub(crate) ring: Ring,
    pub(crate) sigma: Sigma,
    pub(crate) right: Right,
    /// Whether what it does can neither be undone nor only reads.
    pub(crate) is_final: bool,
    /// What most calls do not have.
    pub(crate) besides: Option<Box<Besides>>,
}

/// What else was known when a call passed.
#[derive(Debug, Clone)]
pub(crate) struct Besides {
    /// The intents that cover it: its agent's, and those of whom that acts for, as far as they have one.
    pub(crate) intents: Vec<Use>,
    /// What it rests on, where that is the word of others.
    pub(crate) certified: Option<Box<Certified>>,
    /// What was brought besides and does not count.
    pub(crate) rejected: Vec<Rejected>,
}

impl Besides {
    fn of(
        intents: Vec<Use>,
        certified: Option<Box<Certified>>,
        rejected: Vec<Rejected>,
    ) -> Option<Box<Self>> {
        let nothing = intents.is_empty() && certified.is_none() && rejected.is_empty();
        (!nothing).then(|| Box::new(Self { intents, certified, rejected }))
    }
}

impl Pass {
    /// The intents that cover it.
    pub(crate) fn intents(&self) -> &[Use] {
        self.besides.as_ref().map_or(&[], |besides| &besides.intents)
    }
}

/// On whose word a call passed.
#[derive(Debug, Clone)]
pub(crate) struct Certified {
    pub(crate) basis: Basis,
    pub(crate) until: Timestamp,
    pub(crate) voices: Vec<Voice>,
    /// What is used up by it.
    pub(crate) spent: Vec<NodeEvent>,
}

impl Certified {
    /// What rests on the one and on the other: the word of both is used up.
    fn both(one: Option<Box<Self>>, other: Option<Box<Self>>) -> Option<Box<Self>> {
        let (mut one, mut other) = match (one, other) {
            (Some(one), Some(other)) => (one, other),
            (one, other) => return one.or(other),
        };
        one.until = one.until.min(other.until);
        one.voices.append(&mut other.voices);
        one.spent.append(&mut other.spent);
        Some(one)
    }
}

/// That an attempt was refused: why, and what was brought and does not count.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) denial: Denial,
    pub(crate) rejected: Vec<Rejected>,
    /// The rule of the gate, where it was one.
    pub(crate) gate: Option<Box<GateDenial>>,
    /// On which terms it was decided.
    pub(crate) terms: Option<Terms>,
}

/// What is brought for an attempt, and what of it was used before: for the same step, and by what starts
/// together with it.
#[derive(Clone, Copy)]
pub(crate) struct Brought<'a> {
    pub(crate) presented: Option<&'a Presented>,
    pub(crate) own: &'a [Voice],
    pub(crate) also: &'a [NodeEvent],
    /// What starts together with it.
    pub(crate) passed: &'a [Start],
    /// Where the paths really are of which its intent asks that.
    pub(crate) real: &'a Places,
}

/// Whether an attempt of a saga may start. `tools` is how many attempts of the agent run already.
///
/// Undo and probes rest on the grant of what they undo and ask about; everything else passes every rule.
#[inline(never)]
pub(crate) fn check(
    (state, slot, now): (&State, &Slot, Timestamp),
    (saga, claims): (&NamedSaga, Option<&Claims>),
    (attempt, step): (&Attempt, &StepDef),
    brought: Brought<'_>,
    tools: u32,
    turnstile: &mut Turnstile<'_>,
) -> Result<Pass, Box<Refused>> {
    let agent = &attempt.agent;
    let party = state.party(slot, agent);
    let overrides = state.override_of(slot, &attempt.action);
    let class = |claims| slot.class(saga, claims, (attempt.ordinal, step), agent);
    let class_now = claims.map(class);
    let terms = class_now.map(|class| class.terms(&overrides));
    let sigma = terms.map_or(Sigma::ZERO, |terms| state.sigma_of(slot, &party, terms.reversibility, now));
    let right = right_of(saga, attempt.purpose);
    if right == Right::Earlier {
        let ring = terms.map_or(Ring::Sandbox, |terms| terms.need);
        let (params, deadline) = (state.parameters_of(attempt), attempt.deadline);
        return Ok(Pass { params, deadline, ring, sigma, right, is_final: false, besides: None });
    }
    if let Some(reason) = state.kills.hit(&attempt.session, agent, Some(&attempt.action)) {
        let denial = Denial::of("step", Some(agent), Some(&attempt.action), &reason);
        return Err(Box::new(Refused { denial, rejected: Vec::new(), gate: None, terms }));
    }
    let Brought { presented, own, also, passed, real } = brought;
    let intended = match slot.intents() {
        None => Intended::Free,
        Some(intents) => {
            let only_reads = class_now.is_some_and(|class| class.kind == ActionKind::ReadOnly);
            let (who, what) = ((party.seat, saga.principals()), (&attempt.action, &*attempt.task));
            intents.hold((slot, now), who, what, only_reads, (passed, real))
        }
    };
    let asks_witness = matches!(intended, Intended::Asks(..));
    // What needs nobody's word is not bound to the deadline up to which it was asked for.
    let asks = |ring: Ring| !matches!(ring, Ring::Standard | Ring::Sandbox);
    let presented = presented.filter(|_| asks_witness || terms.is_some_and(|terms| asks(terms.need)));
    let deadline = presented.map_or(attempt.deadline, Presented::deadline);
    let call = call_of(attempt, state.parameters_of(attempt), deadline);
    // What is brought is large, and mostly nothing is.
    let (mut weighed, mut consent) = (None, None);
    if let Some((presented, terms)) = presented.zip(terms) {
        (weighed, consent) =
            weighed_of((state, slot, now), &call, (presented, terms, asks_witness), (own, also));
    }
    if let Some(terms) = terms.filter(|_| slot.has_elevations()) {
        elevate((slot, now), &call, terms.need, weighed.get_or_insert_default());
    }
    let evidence = weighed.as_ref().map_or(&NO_EVIDENCE, |weighed| &weighed.evidence);
    let who = (&party, saga.principals());
    let rate = |stands| turnstile.take(attempt.ordinal, agent, stands);
    let consenting = consent.as_ref().map_or(evidence, |consent| &consent.evidence);
    let (covered, unintended) = intended.with(consenting, now);
    let intent = unintended.as_ref().map_or(Ok(()), Err);
    let held = held((state, slot, now), who, &call, (terms, sigma), (evidence, intent), tools, rate);
    let (ring, basis) = match held {
        Ok(held) => held,
        Err(denial) => {
            let brought = weighed.into_iter().chain(consent);
            return Err(refused((state, slot, now), (saga, step), (&call, agent), (denial, terms), brought));
        }
    };
    // It may start as long as the attempt has time, and as long as what it rests on counts.
    let mut pass = Pass {
        params: call.params,
        deadline: attempt.deadline.min(evidence.until(basis)),
        ring,
        sigma,
        right,
        is_final: class_now.as_ref().is_some_and(is_final),
        besides: None,
    };
    if weighed.is_some() || consent.is_some() || !covered.is_empty() {
        pass.rests_on((weighed, basis), consent, covered, (own, now));
    }
    Ok(pass)
}

/// What is brought for a call, as far as it counts; and the word of a witness that an intent asks for, where it stands
/// beside the votes.
#[cold]
fn weighed_of(
    (state, slot, now): (&State, &Slot, Timestamp),
    call: &Call,
    (presented, terms, asks_witness): (&Presented, Terms, bool),
    (own, also): (&[Voice], &[NodeEvent]),
) -> (Option<Box<Weighed>>, Option<Box<Weighed>>) {
    let spent = evidence::spent_for(state.authority.spent(), own, also);
    let weigh = |need, presented: &_| {
        Some(Box::new(evidence::weigh((state, Some(slot), now), call, need, presented, &spent)))
    };
    if asks_witness && terms.need != Ring::Root {
        let (words, votes) = presented.apart(Kind::Witness);
        return (weigh(terms.need, &votes), weigh(Ring::Root, &words));
    }
    (weigh(terms.need, presented), None)
}

#[cold]
fn elevate((slot, now): (&Slot, Timestamp), call: &Call, need: Ring, weighed: &mut Weighed) {
    let evidence = std::mem::take(&mut weighed.evidence);
    weighed.evidence = with_elevation(evidence, slot, call, need, now);
}

impl Pass {
    /// With what it rests on besides the agent's own standing; without a word of others nothing rests on one.
    #[cold]
    fn rests_on(
        &mut self,
        (weighed, basis): (Option<Box<Weighed>>, Basis),
        consent: Option<Box<Weighed>>,
        covered: Vec<Use>,
        (own, now): (&[Voice], Timestamp),
    ) {
        let rests = weighed.as_ref().and_then(|weighed| certified(&weighed.evidence, basis, own, now));
        let by_consent = covered.iter().any(|covered| covered.consented);
        let consented = consent.as_deref().filter(|_| by_consent);
        let consented = consented.and_then(|consent| certified(&consent.evidence, Basis::Witness, own, now));
        if !covered.is_empty() {
            let consented = consented.as_ref().map_or(Timestamp::MAX, |consented| consented.until);
            let ends = covered.iter().map(|covered| covered.until).chain([consented]);
            self.deadline = ends.fold(self.deadline, Timestamp::min);
        }
        let rejected = weighed.into_iter().chain(consent).flat_map(|weighed| weighed.rejected).collect();
        self.besides = Besides::of(covered, Certified::both(rests, consented), rejected);
    }
}

/// Why an attempt may not start, in words.
#[cold]
fn refused(
    (state, slot, now): (&State, &Slot, Timestamp),
    (saga, step): (&NamedSaga, &StepDef),
    (call, agent): (&Call, &Did),
    (gate, terms): (Box<GateDenial>, Option<Terms>),
    brought: impl Iterator<Item = Box<Weighed>>,
) -> Box<Refused> {
    let (mut rejected, mut short) = (Vec::new(), None);
    for weighed in brought {
        rejected.extend(weighed.rejected);
        short = short.or(weighed.short);
    }
    let lacks_quorum = lacks_quorum(&gate);
    let why = undo_counts_not(slot, saga, step, &gate, agent);
    let reason = reason(state, agent, gate.clone(), now);
    let mut denial = Denial::of("step", Some(agent), Some(&call.action), &reason);
    if let Some(short) = short.filter(|_| lacks_quorum) {
        denial.reason = format!("{}: {short}", denial.reason);
    }
    // An elevation that there was is asked about first by whoever had it.
    let elevation = slot.elevated(agent).filter(|_| lacks_quorum);
    let uncovered = elevation.and_then(|elevation| elevation.covers(call, now).err());
    let capped = capped_besides((state, slot, now), agent).filter(|_| lacks_quorum);
    for why in why.into_iter().chain(uncovered.map(|why| why.to_string())).chain(capped) {
        denial.reason = format!("{}; {why}", denial.reason);
    }
    Box::new(Refused { denial, rejected, gate: Some(gate), terms })
}

/// The gate's reason. It knows no charge, only that somebody is quarantined without an end that is set: what would end
/// that is for the ledger to say.
pub(crate) fn reason(state: &State, agent: &Did, denial: Box<GateDenial>, now: Timestamp) -> Reason {
    let quarantined = match &*denial {
        GateDenial::Agent { unfit: Unfit::Quarantined { .. } } => Some(agent),
        GateDenial::OnBehalfOf { principal, unfit: Unfit::Quarantined { .. } } => Some(principal),
        _ => None,
    };
    let charged = quarantined.filter(|did| charges::is_charged(state, did, now)).cloned();
    charged.map_or_else(|| Reason::Gate(denial), Reason::Charged)
}

/// Why an agent may not begin what it was granted any more; nothing where it may.
pub(crate) fn withdrawn(
    (state, now): (&State, Timestamp),
    (session, agent, action): (&SessionId, &Did, &ActionId),
) -> Option<Reason> {
    if let Some(killed) = state.kills.hit(session, agent, Some(action)) {
        return Some(killed);
    }
    let Some(slot) = state.slot(session) else { return Some(Reason::NoSession(session.clone())) };
    let entered = hv_rings::gate::enter(&entry(state, slot, &state.party(slot, agent), now));
    entered.err().map(|denial| reason(state, agent, Box::new(denial), now))
}

/// Whether what is missing is a quorum, so that how far the votes are from one is worth telling.
fn lacks_quorum(denial: &GateDenial) -> bool {
    use hv_rings::{Certificate, Denial as Rule};
    let GateDenial::Agent { unfit: Unfit::Ring { denial } } = denial else { return false };
    matches!(denial, Rule::Certificate { certificate: Certificate::Quorum, .. })
}

/// What keeps an agent out of Ring 1 whoever consents, so that nobody gathers votes in vain.
fn capped_besides((state, slot, now): (&State, &Slot, Timestamp), agent: &Did) -> Option<String> {
    let (_, standing) = state.standing(slot, agent, now);
    let cap = standing.cap().filter(|cap| matches!(cap.ring(), Ring::Standard | Ring::Sandbox))?;
    Some(format!("a quorum alone would not be enough, because the agent is capped at {}: {cap}", cap.ring()))
}

/// Why the undo of a step counts for nothing here, where that is what puts its ring out of reach.
fn undo_counts_not(
    slot: &Slot,
    saga: &NamedSaga,
    step: &StepDef,
    denial: &GateDenial,
    agent: &Did,
) -> Option<String> {
    let lacks_ring = matches!(denial, GateDenial::Agent { unfit: Unfit::Ring { .. } });
    if !lacks_ring || saga.rehearsal {
        return None;
    }
    let action = &step.action;
    match slot.undos.known(step, agent) {
        Known::Failed => {
            let by = slot
                .undos
                .failed(action)
                .map(|failed| format!(" (step {} of {})", failed.step, failed.agent));
            let by = by.unwrap_or_default();
            Some(format!(
                "an undo of {action} failed in this session{by}, so it counts as one that cannot be undone until it \
                 is rehearsed, or restored by a witness"
            ))
        }
        Known::Unrehearsed => Some(format!(
            "the undo of {action} counts only once it was rehearsed, and this one was not, not by {agent}"
        )),
        Known::Absent | Known::Declared | Known::Probed | Known::Rehearsed => None,
    }
}

/// Whose word a permission rests on, if on anybody's. What was used for the same step before is not used again.
fn certified(evidence: &Evidence, basis: Basis, own: &[Voice], now: Timestamp) -> Option<Box<Certified>> {
    let mut spent = evidence::spends(evidence, basis, now);
    let voices = voices(&spent);
    // An elevation uses nothing up: it was given before.
    if voices.is_empty() && basis != Basis::Elevation {
        return None;
    }
    let used = |event: &NodeEvent| voice(event).is_some_and(|voice| own.contains(&voice));
    spent.retain(|event| !used(event));
    Some(Box::new(Certified { basis, until: evidence.until(basis), voices, spent }))
}

/// Whether an agent may call at all now, before what it calls for is looked at; takes one call from its bucket.
pub(crate) fn enters(
    (state, slot, now): (&State, &Slot, Timestamp),
    agent: &Did,
) -> Result<(), Box<GateDenial>> {
    hv_rings::gate::enter(&entry(state, slot, &state.party(slot, agent), now)).map_err(Box::new)?;
    let standing = state.standing(slot, agent, now).1.ring();
    let limited = |limit| Box::new(GateDenial::RateLimited { standing, limit });
    rates::take((state, now), agent, standing).map_err(limited)
}

/// Whether a call of an action that the supervisor itself offers may be made; takes one call from the agent's bucket.
/// Where it may not, with the breaker that opened for it.
pub(crate) fn check_call(
    (state, slot, now): (&State, &Slot, Timestamp),
    agent: &Did,
    call: &Call,
    class: Class,
) -> Result<Ring, (Box<GateDenial>, Option<Box<NodeEvent>>)> {
    let terms = class.terms(&state.override_of(slot, &call.action));
    let party = state.party(slot, agent);
    let sigma = state.sigma_of(slot, &party, terms.reversibility, now);
    let passed = {
        let rate = |stands| rates::take((state, now), agent, stands);
        let elevated =
            slot.has_elevations().then(|| with_elevation(Evidence::none(), slot, call, terms.need, now));
        let evidence = elevated.as_ref().unwrap_or(&NO_EVIDENCE);
        held((state, slot, now), (&party, &[]), call, (Some(terms), sigma), (evidence, Ok(())), 0, rate)
    };
    match passed {
        Ok((ring, _)) => {
            rates::passed((state, now), agent);
            Ok(ring)
        }
        Err(denial) => {
            let trip = rates::refused((state, slot, now), agent, &denial);
            Err((denial, trip.map(Box::new)))
        }
    }
}

fn held(
    (state, slot, now): (&State, &Slot, Timestamp),
    (party, principals): (&Party<'_>, &[Did]),
    call: &Call,
    (terms, sigma): (Option<Terms>, Sigma),
    (evidence, intent): (&Evidence, Result<(), &Unintended>),
    tools: u32,
    rate: impl FnOnce(Ring) -> Result<(), Limited>,
) -> Result<(Ring, Basis), Box<GateDenial>> {
    let full = match terms {
        Some(terms) if terms.reversibility == Reversibility::Full => sigma,
        _ => state.sigma_of(slot, party, Reversibility::Full, now),
    };
    let standing = state.standing_of(slot, party, full, now);
    let class = terms.map_or(Reversibility::None, |terms| terms.reversibility);
    let stand = |did| Stand::of((state, slot, now), did, class);
    let principals: Vec<Stand<'_>> = match (party.parent(), principals) {
        // Most act for nobody.
        (None, []) => Vec::new(),
        _ => slot.answerable(party.seat, principals).map(stand).collect(),
    };
    let on_behalf_of: Vec<Principal<'_>> =
        if principals.is_empty() { Vec::new() } else { principals.iter().map(Stand::principal).collect() };
    let mut facts = Facts {
        entry: entry(state, slot, party, now),
        call,
        rate: Ok(()),
        limits: &state.guards.limits,
        tools_in_use: tools,
        terms,
        sigma,
        standing: &standing,
        evidence,
        intent,
        on_behalf_of: &on_behalf_of,
    };
    // Nobody empties the bucket of an agent that it only pretends to be.
    if hv_rings::gate::enter(&facts.entry).is_ok()
        && let Err(limited) = rate(standing.ring())
    {
        facts.rate = Err(limited);
    }
    let allowed = hv_rings::gate::check(&facts).map_err(Box::new)?;
    Ok((allowed.ring(), allowed.basis()))
}

/// What can be said before the call itself is looked at.
fn entry(state: &State, slot: &Slot, party: &Party<'_>, now: Timestamp) -> Entry {
    Entry {
        now,
        acquaintance: if party.seat.is_none() && party.account.is_none() {
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
        membership: match party.seat {
            None => Membership::Stranger,
            Some(seat) if seat.is_present() => Membership::Member,
            Some(_) => Membership::Left,
        },
        quarantine: quarantine(state, party, now),
        life: life(state, party.did),
    }
}

fn quarantine(state: &State, party: &Party<'_>, now: Timestamp) -> Quarantine {
    match party.account.and_then(|account| state.ledger.quarantine_of(account, now)) {
        None => Quarantine::Free,
        Some(hv_liability::Quarantine::Until(until)) => Quarantine::Until(until),
        Some(hv_liability::Quarantine::UntilRehabilitated | hv_liability::Quarantine::Charged) => {
            Quarantine::Slashed
        }
    }
}

fn life(state: &State, agent: &Did) -> Life {
    state.kills.agent(agent).map_or(Life::Running, |at| Life::Killed { at })
}

/// Somebody for whom an agent acts, as it stands now.
struct Stand<'a> {
    did: &'a Did,
    acquaintance: Acquaintance,
    quarantine: Quarantine,
    life: Life,
    sigma: Sigma,
    standing: Standing,
}

impl<'a> Stand<'a> {
    fn of((state, slot, now): (&State, &Slot, Timestamp), did: &'a Did, class: Reversibility) -> Self {
        let party = state.party(slot, did);
        let sigma = |class| state.sigma_of(slot, &party, class, now);
        Self {
            did,
            acquaintance: if party.account.is_some() || party.seat.is_some() {
                Acquaintance::Known
            } else {
                Acquaintance::Unknown
            },
            quarantine: quarantine(state, &party, now),
            life: life(state, did),
            sigma: sigma(class),
            standing: state.standing_of(slot, &party, sigma(Reversibility::Full), now),
        }
    }

    const fn principal(&self) -> Principal<'_> {
        Principal {
            did: self.did,
            acquaintance: self.acquaintance,
            quarantine: self.quarantine,
            life: self.life,
            sigma: self.sigma,
            standing: &self.standing,
        }
    }
}
