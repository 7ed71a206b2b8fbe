//! Where members stand: what their trust earns, under everything that caps it now.

use super::{Slot, State, sigma_on};
use hv_liability::Ledger;
use hv_rings::standing::{Cap, Standing, standing};
use hv_types::{Did, Reversibility, Ring, Sigma, Timestamp};

impl State {
    /// Where a member stands now.
    pub(crate) fn standing(&self, slot: &Slot, agent: &Did, now: Timestamp) -> (Sigma, Standing) {
        let sigma = self.sigma_eff(slot, agent, Reversibility::Full, now);
        (sigma, self.standing_at(slot, agent, sigma, now))
    }

    /// Where a member would stand now on another ledger.
    pub(crate) fn standing_on(
        &self,
        ledger: &Ledger,
        slot: &Slot,
        agent: &Did,
        now: Timestamp,
    ) -> (Sigma, Standing) {
        let sigma = sigma_on((ledger, &self.scores), slot, agent, Reversibility::Full, now);
        (sigma, self.standing_at(slot, agent, sigma, now))
    }

    /// Where a member with this σ_eff, for what can be undone entirely, stands now.
    pub(crate) fn standing_at(&self, slot: &Slot, agent: &Did, sigma: Sigma, now: Timestamp) -> Standing {
        let breaker = if self.breakers.is_empty() { None } else { self.breakers.get(agent) };
        let breaker = breaker.map(|until| Cap::Breaker { until: *until });
        self.capped(slot, agent, sigma, breaker, now)
    }

    /// Where a member would stand if its breaker were closed.
    pub(crate) fn stands_but_for_the_breaker(&self, slot: &Slot, agent: &Did, now: Timestamp) -> Ring {
        let sigma = self.sigma_eff(slot, agent, Reversibility::Full, now);
        self.capped(slot, agent, sigma, None, now).ring()
    }

    fn capped(
        &self,
        slot: &Slot,
        agent: &Did,
        sigma: Sigma,
        breaker: Option<Cap>,
        now: Timestamp,
    ) -> Standing {
        let caps = slot.caps(agent);
        let more: Vec<Cap> = self.caps_seen(slot, agent, None, sigma, now).chain(breaker).collect();
        if more.is_empty() {
            return standing(sigma, caps, now);
        }
        standing(sigma, &caps.iter().cloned().chain(more).collect::<Vec<_>>(), now)
    }

    /// What the ports of a session keep an agent from: a scorer without an answer that counts, a drift.
    fn port_caps(&self, slot: &Slot, agent: &Did, now: Timestamp) -> [Option<Cap>; 2] {
        let unscored = if slot.adapted.scored() { self.scores.cap(agent, now) } else { None };
        let drifted = slot.adapted.on().drift.is_some()
            && slot.session.known(agent).is_some_and(|member| slot.adapted.drifted(member.ordinal));
        [unscored, drifted.then_some(Cap::Drift)]
    }

    /// The caps on an agent that nobody recorded, because they are seen at every moment anew: what the session asks, the
    /// breaker, and its parents, of which the first may be one that it is about to get.
    pub(crate) fn caps_now(
        &self,
        slot: &Slot,
        agent: &Did,
        parent: Option<&Did>,
        sigma: Sigma,
        now: Timestamp,
    ) -> impl Iterator<Item = Cap> {
        let breaker = self.breakers.get(agent).map(|until| Cap::Breaker { until: *until });
        self.caps_seen(slot, agent, parent, sigma, now).chain(breaker)
    }

    /// The same but for the breaker, and with what its ports keep a member from.
    fn caps_seen(
        &self,
        slot: &Slot,
        agent: &Did,
        parent: Option<&Did>,
        sigma: Sigma,
        now: Timestamp,
    ) -> impl Iterator<Item = Cap> + use<> {
        let minimum = Cap::below_minimum(slot.session.config().min_sigma_eff(), sigma);
        let [unscored, drifted] = self.port_caps(slot, agent, now);
        let parent = self.parent_cap(slot, agent, parent, now);
        [minimum, unscored, drifted, parent].into_iter().flatten()
    }

    /// The cap that its parents lay on an agent: none of them stands below where it may stand.
    fn parent_cap(&self, slot: &Slot, agent: &Did, also: Option<&Did>, now: Timestamp) -> Option<Cap> {
        let of = also.filter(|_| slot.session.known(agent).is_none());
        let parents = of.into_iter().chain(self.answerable(slot, of.unwrap_or(agent), &[]));
        let above = parents.map(|parent| {
            let sigma = self.sigma_eff(slot, parent, Reversibility::Full, now);
            let breaker = self.breakers.get(parent).map(|until| Cap::Breaker { until: *until });
            let minimum = Cap::below_minimum(slot.session.config().min_sigma_eff(), sigma);
            let more = [breaker, minimum].into_iter().chain(self.port_caps(slot, parent, now)).flatten();
            let caps: Vec<Cap> = slot.caps(parent).iter().cloned().chain(more).collect();
            Cap::Parent { parent: parent.clone(), ring: standing(sigma, &caps, now).ring() }
        });
        above.max_by_key(Cap::ring)
    }

    /// Those for whom an agent acts in a session: its parent and the parent's parents, and those named besides.
    pub(crate) fn answerable<'a>(
        &self,
        slot: &'a Slot,
        agent: &Did,
        named: &'a [Did],
    ) -> impl Iterator<Item = &'a Did> + use<'a> {
        let first = slot.session.known(agent).and_then(|member| member.parent);
        let parent = |of: &u32| slot.session.by_ordinal(*of).and_then(|member| member.parent);
        let parents = std::iter::successors(first, parent);
        parents.filter_map(|of| slot.session.by_ordinal(of).map(|member| member.did)).chain(named)
    }
}
