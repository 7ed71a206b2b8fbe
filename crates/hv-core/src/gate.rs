//! The facts of one call, held against the gate's rules.

use crate::charges;
use crate::elevate::with_elevation;
use crate::error::Reason;
use crate::event::{Denial, NodeEvent};
use crate::evidence::{self, Presented, Rejected, Voice, Weighed, call_with, voice, voices};
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
use hv_rings::{Basis, Evidence, Shown};
use hv_saga::reversibility::Known;
use hv_saga::reversibility::{LOOK, is_look};
use hv_saga::{Attempt, StepDef};
use hv_session::SessionState;
use hv_types::{ActionId, ActionKind, Call, Did, Digest, Reversibility, Ring, SessionId, Sigma, Timestamp};

/// That a call passed, and what was known when it did.
#[derive(Debug, Clone)]
pub(crate) struct Pass {
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
    /// Digest of the parameters of the call for which that word was given.
    pub(crate) params: Digest,
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
    // That action is registered for what looks in a rehearsal, and for nothing that anybody else calls so.
    let of_rehearsals = attempt.action.as_str() == LOOK;
    let looks = of_rehearsals && saga.rehearsal && is_look(&saga.machine, step);
    let claims = claims.filter(|_| looks || !of_rehearsals);
    let class = |claims| slot.class(saga, claims, (attempt.ordinal, step), agent);
    let class_now = claims.map(class);
    let terms = class_now.map(|class| class.terms(&overrides));
    let sigma = terms.map_or(Sigma::ZERO, |terms| state.sigma_of(slot, &party, terms.reversibility, now));
    let right = right_of(saga, attempt.purpose);
    if right == Right::Earlier {
        let ring = terms.map_or(Ring::Sandbox, |terms| terms.need);
        let deadline = attempt.deadline;
        return Ok(Pass { deadline, ring, sigma, right, is_final: false, besides: None });
    }
    if let Some(reason) = state.kills.hit(&attempt.session, agent, Some(&attempt.action)) {
        let denial = Denial::of("step", Some(agent), Some(&attempt.action), &reason);
        return Err(Box::new(Refused { denial, rejected: Vec::new(), gate: None, terms }));
    }
    let Brought { presented, own, also, passed, real } = brought;
    let intended = match slot.intents() {
        None => Intended::Free,
        // What looks is a probe, and hv's own idea: no agent is held to what it said of its own.
        Some(_) if looks => Intended::Free,
        Some(intents) => {
            let only_reads = class_now.is_some_and(|class| class.kind == ActionKind::ReadOnly);
            let (who, what) = ((party.seat, saga.principals()), (&attempt.action, &*attempt.task));
            intents.hold((slot, now), who, (what, step), only_reads, (passed, real))
        }
    };
    let asks_witness = matches!(intended, Intended::Asks(..));
    // What needs nobody's word is not bound to the deadline up to which it was asked for.
    let asks = |ring: Ring| !matches!(ring, Ring::Standard | Ring::Sandbox);
    let presented = presented.filter(|_| asks_witness || terms.is_some_and(|terms| asks(terms.need)));
    let deadline = presented.map_or(attempt.deadline, Presented::deadline);
    // What is brought is large, and mostly nothing is.
    let mut brought = None;
    if let Some(terms) = terms.filter(|_| presented.is_some() || slot.has_elevations()) {
        let call = call_with(attempt, deadline);
        brought = Some(bring((state, slot, now), call, (presented, terms, asks_witness), (own, also)));
    }
    let shown = brought.as_deref().map(Bring::shown);
    let who = (&party, saga.principals());
    let rate = |stands| turnstile.take(attempt.ordinal, agent, stands);
    let (covered, unintended) = intended.with(brought.as_deref().map(Bring::consenting), now);
    let intent = unintended.as_ref().map_or(Ok(()), Err);
    let what = (&attempt.action, deadline);
    let held = held((state, slot, now), who, what, (terms, sigma), (shown, intent), tools, rate);
    let (ring, basis) = match held {
        Ok(held) => held,
        Err(denial) => {
            return Err(refused(
                (state, slot, now),
                (saga, step),
                (attempt, deadline),
                (denial, terms),
                brought,
            ));
        }
    };
    // It may start as long as the attempt has time, and as long as what it rests on counts.
    let rests = shown.map_or(Timestamp::MAX, |shown| shown.evidence.until(basis));
    let mut pass = Pass {
        deadline: attempt.deadline.min(rests),
        ring,
        sigma,
        right,
        is_final: class_now.as_ref().is_some_and(is_final),
        besides: None,
    };
    if brought.is_some() || !covered.is_empty() {
        pass.rests_on((brought, basis), covered, (own, now));
    }
    Ok(pass)
}

/// What is brought for a call, as far as it counts.
struct Bring {
    call: Call,
    weighed: Weighed,
    /// The word of a witness that an intent asks for, where it stands beside the votes.
    consent: Option<Weighed>,
}

impl Bring {
    fn shown(&self) -> Shown<'_> {
        Shown { call: &self.call, evidence: &self.weighed.evidence }
    }

    /// What an intent that asks for a witness is shown.
    fn consenting(&self) -> &Evidence {
        &self.consent.as_ref().unwrap_or(&self.weighed).evidence
    }

    fn rejected(&self) -> impl Iterator<Item = &Rejected> {
        std::iter::once(&self.weighed).chain(&self.consent).flat_map(|weighed| &weighed.rejected)
    }
}

#[cold]
fn bring(
    (state, slot, now): (&State, &Slot, Timestamp),
    call: Call,
    (presented, terms, asks_witness): (Option<&Presented>, Terms, bool),
    (own, also): (&[Voice], &[NodeEvent]),
) -> Box<Bring> {
    let spent = evidence::spent_for(state.authority.spent(), own, also);
    let weigh =
        |need, presented: &_| evidence::weigh((state, Some(slot), now), &call, need, presented, &spent);
    let (mut weighed, consent) = match presented {
        None => (Weighed::default(), None),
        Some(presented) if asks_witness && terms.need != Ring::Root => {
            let (words, votes) = presented.apart(Kind::Witness);
            (weigh(terms.need, &votes), Some(weigh(Ring::Root, &words)))
        }
        Some(presented) => (weigh(terms.need, presented), None),
    };
    if slot.has_elevations() {
        weighed.evidence = with_elevation(weighed.evidence, slot, &call, terms.need, now);
    }
    Box::new(Bring { call, weighed, consent })
}

impl Pass {
    /// With what it rests on besides the agent's own standing; without a word of others nothing rests on one.
    #[cold]
    fn rests_on(
        &mut self,
        (brought, basis): (Option<Box<Bring>>, Basis),
        covered: Vec<Use>,
        (own, now): (&[Voice], Timestamp),
    ) {
        let by_consent = covered.iter().any(|covered| covered.consented);
        let brought = brought.as_deref();
        let rests = brought.and_then(|brought| certified(brought.shown(), basis, own, now));
        let consented = brought.filter(|_| by_consent).and_then(|brought| {
            let evidence = &brought.consent.as_ref()?.evidence;
            certified(Shown { evidence, ..brought.shown() }, Basis::Witness, own, now)
        });
        if !covered.is_empty() {
            let consented = consented.as_ref().map_or(Timestamp::MAX, |consented| consented.until);
            let ends = covered.iter().map(|covered| covered.until).chain([consented]);
            self.deadline = ends.fold(self.deadline, Timestamp::min);
        }
        let rejected = brought.into_iter().flat_map(Bring::rejected).cloned().collect();
        self.besides = Besides::of(covered, Certified::both(rests, consented), rejected);
    }
}

/// Why an attempt may not start, in words.
#[cold]
fn refused(
    (state, slot, now): (&State, &Slot, Timestamp),
    (saga, step): (&NamedSaga, &StepDef),
    (attempt, deadline): (&Attempt, Timestamp),
    (gate, terms): (Box<GateDenial>, Option<Terms>),
    brought: Option<Box<Bring>>,
) -> Box<Refused> {
    let agent = &attempt.agent;
    let rejected = brought.iter().flat_map(|brought| brought.rejected()).cloned().collect();
    let short = brought.and_then(|brought| {
        let Bring { weighed, consent, .. } = *brought;
        weighed.short.or_else(|| consent?.short)
    });
    let lacks_quorum = lacks_quorum(&gate);
    let why = undo_counts_not(slot, saga, step, &gate, agent);
    let reason = reason(state, agent, gate.clone(), now);
    let mut denial = Denial::of("step", Some(agent), Some(&attempt.action), &reason);
    if let Some(short) = short.filter(|_| lacks_quorum) {
        denial.reason = format!("{}: {short}", denial.reason);
    }
    // An elevation that there was is asked about first by whoever had it.
    let elevation = slot.elevated(agent).filter(|_| lacks_quorum);
    let uncovered =
        elevation.and_then(|elevation| elevation.covers(&call_with(attempt, deadline), now).err());
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
fn certified(
    Shown { call, evidence }: Shown<'_>,
    basis: Basis,
    own: &[Voice],
    now: Timestamp,
) -> Option<Box<Certified>> {
    let mut spent = evidence::spends(evidence, basis, now);
    let voices = voices(&spent);
    // An elevation uses nothing up: it was given before.
    if voices.is_empty() && basis != Basis::Elevation {
        return None;
    }
    let used = |event: &NodeEvent| voice(event).is_some_and(|voice| own.contains(&voice));
    spent.retain(|event| !used(event));
    let (params, until) = (call.params, evidence.until(basis));
    Some(Box::new(Certified { params, basis, until, voices, spent }))
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
    action: &ActionId,
    class: Class,
) -> Result<Ring, (Box<GateDenial>, Option<Box<NodeEvent>>)> {
    let terms = class.terms(&state.override_of(slot, action));
    let party = state.party(slot, agent);
    let sigma = state.sigma_of(slot, &party, terms.reversibility, now);
    let passed = {
        let rate = |stands| rates::take((state, now), agent, stands);
        let elevated = slot.has_elevations().then(|| {
            let call = call_of_its_own(slot, agent, action, now);
            (with_elevation(Evidence::none(), slot, &call, terms.need, now), call)
        });
        let shown = elevated.as_ref().map(|(evidence, call)| Shown { call, evidence });
        let what = (action, now);
        held((state, slot, now), (&party, &[]), what, (Some(terms), sigma), (shown, Ok(())), 0, rate)
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

/// A call of what the supervisor itself offers. No grant and no certificate is bound to it, only an elevation may cover
/// it: what is done is the record itself.
#[cold]
fn call_of_its_own(slot: &Slot, agent: &Did, action: &ActionId, now: Timestamp) -> Call {
    Call {
        session: slot.id.clone(),
        agent: agent.clone(),
        action: action.clone(),
        params: Digest::default(),
        deadline: now,
    }
}

fn held(
    (state, slot, now): (&State, &Slot, Timestamp),
    (party, principals): (&Party<'_>, &[Did]),
    (action, deadline): (&ActionId, Timestamp),
    (terms, sigma): (Option<Terms>, Sigma),
    (shown, intent): (Option<Shown<'_>>, Result<(), &Unintended>),
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
        action,
        deadline,
        rate: Ok(()),
        limits: &state.guards.limits,
        tools_in_use: tools,
        terms,
        sigma,
        standing: &standing,
        shown,
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
