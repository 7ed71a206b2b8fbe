//! Where members stand: what their trust earns, under everything that caps it now.

use super::{Slot, State};
use hv_liability::{AgentNo, Ledger};
use hv_rings::standing::{Cap, Standing, standing_under};
use hv_session::MemberRef;
use hv_types::{Did, Reversibility, Ring, Sigma, Timestamp};

/// An agent and what is known of it, looked up once for everything that one decision asks about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Party<'a> {
    pub(crate) did: &'a Did,
    /// Its account on the ledger.
    pub(crate) account: Option<AgentNo>,
    /// Its place in the session, also where it is no member any more.
    pub(crate) seat: Option<MemberRef<'a>>,
}

impl Party<'_> {
    /// The ordinal of the member for whom it acts.
    pub(crate) fn parent(&self) -> Option<u32> {
        self.seat.and_then(|seat| seat.parent)
    }
}

impl State {
    /// Looks an agent up.
    pub(crate) fn party<'a>(&self, slot: &'a Slot, did: &'a Did) -> Party<'a> {
        Party { did, account: self.ledger.agent(did), seat: slot.session.known(did) }
    }

    /// σ_eff of an agent in a session, for a class of action. INVARIANT (R4): computed from the ledger as it
    /// is now, never kept.
    pub(crate) fn sigma_of(
        &self,
        slot: &Slot,
        party: &Party<'_>,
        class: Reversibility,
        now: Timestamp,
    ) -> Sigma {
        self.sigma_on(&self.ledger, slot, party, class, now)
    }

    /// σ_eff of an agent on a ledger; that of a stranger where the ledger does not know it.
    fn sigma_on(
        &self,
        ledger: &Ledger,
        slot: &Slot,
        party: &Party<'_>,
        class: Reversibility,
        now: Timestamp,
    ) -> Sigma {
        let Some(account) = party.account else { return super::UNKNOWN_SIGMA };
        let sigma = ledger.sigma_eff_of(account, slot.ledger_no(), class, now);
        if slot.adapted.scored() {
            self.scores.lowered(party.did, sigma, ledger.reputation(party.did))
        } else {
            sigma
        }
    }

    /// Where a member stands now.
    pub(crate) fn standing(&self, slot: &Slot, agent: &Did, now: Timestamp) -> (Sigma, Standing) {
        let party = self.party(slot, agent);
        let sigma = self.sigma_of(slot, &party, Reversibility::Full, now);
        (sigma, self.standing_of(slot, &party, sigma, now))
    }

    /// Where a member would stand now on another ledger.
    pub(crate) fn standing_on(
        &self,
        ledger: &Ledger,
        slot: &Slot,
        agent: &Did,
        now: Timestamp,
    ) -> (Sigma, Standing) {
        let party = Party { account: ledger.agent(agent), ..self.party(slot, agent) };
        let sigma = self.sigma_on(ledger, slot, &party, Reversibility::Full, now);
        (sigma, self.standing_of(slot, &party, sigma, now))
    }

    /// Where a member with this σ_eff, for what can be undone entirely, stands now.
    pub(crate) fn standing_at(&self, slot: &Slot, agent: &Did, sigma: Sigma, now: Timestamp) -> Standing {
        self.standing_of(slot, &self.party(slot, agent), sigma, now)
    }

    /// The same for an agent that was looked up.
    pub(crate) fn standing_of(
        &self,
        slot: &Slot,
        party: &Party<'_>,
        sigma: Sigma,
        now: Timestamp,
    ) -> Standing {
        self.capped(slot, party, sigma, self.breaker(party.did).as_ref(), now)
    }

    /// Where a member would stand if its breaker were closed.
    pub(crate) fn stands_but_for_the_breaker(&self, slot: &Slot, agent: &Did, now: Timestamp) -> Ring {
        let party = self.party(slot, agent);
        let sigma = self.sigma_of(slot, &party, Reversibility::Full, now);
        self.capped(slot, &party, sigma, None, now).ring()
    }

    fn breaker(&self, agent: &Did) -> Option<Cap> {
        let until = if self.breakers.is_empty() { None } else { self.breakers.get(agent) };
        until.map(|until| Cap::Breaker { until: *until })
    }

    fn capped(
        &self,
        slot: &Slot,
        party: &Party<'_>,
        sigma: Sigma,
        breaker: Option<&Cap>,
        now: Timestamp,
    ) -> Standing {
        let recorded = slot.caps_of(party.seat);
        if breaker.is_none() && nothing_caps(slot, party, sigma) {
            return standing_under(sigma, recorded, now);
        }
        let seen = self.caps_seen(slot, party, None, sigma, now);
        standing_under(sigma, recorded.iter().chain(seen.iter().flatten()).chain(breaker), now)
    }

    /// What the ports of a session keep an agent from: a scorer without an answer that counts, a drift.
    fn port_caps(&self, slot: &Slot, party: &Party<'_>, now: Timestamp) -> [Option<Cap>; 2] {
        let unscored = if slot.adapted.scored() { self.scores.cap(party.did, now) } else { None };
        let drifted = slot.adapted.on().drift.is_some()
            && party.seat.is_some_and(|seat| slot.adapted.drifted(seat.ordinal));
        [unscored, drifted.then_some(Cap::Drift)]
    }

    /// Whether there are none of [these caps](Self::caps_now) on an agent that is not about to get a parent; mostly so.
    pub(crate) fn unseen(&self, slot: &Slot, party: &Party<'_>, sigma: Sigma) -> bool {
        self.breaker(party.did).is_none() && nothing_caps(slot, party, sigma)
    }

    /// The caps on an agent that nobody recorded, because they are seen at every moment anew: what the session asks, the
    /// breaker, and its parents, of which the first may be one that it is about to get.
    pub(crate) fn caps_now(
        &self,
        slot: &Slot,
        party: &Party<'_>,
        parent: Option<&Did>,
        sigma: Sigma,
        now: Timestamp,
    ) -> [Option<Cap>; 5] {
        let [minimum, unscored, drifted, parent] = self.caps_seen(slot, party, parent, sigma, now);
        [minimum, unscored, drifted, parent, self.breaker(party.did)]
    }

    /// The same but for the breaker, and with what its ports keep a member from.
    fn caps_seen(
        &self,
        slot: &Slot,
        party: &Party<'_>,
        parent: Option<&Did>,
        sigma: Sigma,
        now: Timestamp,
    ) -> [Option<Cap>; 4] {
        let minimum = Cap::below_minimum(slot.session.config().min_sigma_eff(), sigma);
        let [unscored, drifted] = self.port_caps(slot, party, now);
        [minimum, unscored, drifted, self.parent_cap(slot, party, parent, now)]
    }

    /// The cap that its parents lay on an agent: none of them stands below where it may stand.
    fn parent_cap(&self, slot: &Slot, party: &Party<'_>, also: Option<&Did>, now: Timestamp) -> Option<Cap> {
        // One that is there already keeps the parent that it has.
        let of = also.filter(|_| party.seat.is_none());
        let seat = of.map_or(party.seat, |parent| slot.session.known(parent));
        let parents = of.into_iter().chain(slot.answerable(seat, &[]));
        let above = parents.map(|parent| {
            let party = self.party(slot, parent);
            let sigma = self.sigma_of(slot, &party, Reversibility::Full, now);
            let minimum = Cap::below_minimum(slot.session.config().min_sigma_eff(), sigma);
            let more = [self.breaker(parent), minimum];
            let ports = self.port_caps(slot, &party, now);
            let caps = slot.caps_of(party.seat).iter().chain(more.iter().chain(&ports).flatten());
            Cap::Parent { parent: parent.clone(), ring: standing_under(sigma, caps, now).ring() }
        });
        above.max_by_key(Cap::ring)
    }
}

/// Mostly nobody but the session itself can cap an agent: it acts for nobody, and no port is asked about it.
fn nothing_caps(slot: &Slot, party: &Party<'_>, sigma: Sigma) -> bool {
    let alone = party.parent().is_none();
    let asks = slot.adapted.scored() || slot.adapted.on().drift.is_some();
    let minimum = slot.session.config().min_sigma_eff();
    alone && !asks && Cap::below_minimum(minimum, sigma).is_none()
}

impl Slot {
    /// Those for whom an agent acts in the session: its parent and the parent's parents, and those named besides.
    pub(crate) fn answerable<'a>(
        &'a self,
        seat: Option<MemberRef<'_>>,
        named: &'a [Did],
    ) -> impl Iterator<Item = &'a Did> + use<'a> {
        let first = seat.and_then(|seat| seat.parent);
        let parent = |of: &u32| self.session.by_ordinal(*of).and_then(|member| member.parent);
        let parents = std::iter::successors(first, parent);
        parents.filter_map(|of| self.session.by_ordinal(of).map(|member| member.did)).chain(named)
    }
}
