//! How often agents call, and how far above their ring. Not part of what is replayed: only trips are recorded, and
//! after a restart every bucket is full and every watch fresh.

use crate::event::NodeEvent;
use crate::guards::Guards;
use crate::state::{Slot, State};
use hv_rings::breach::{Attempt, Breach, Distance, Watches};
use hv_rings::gate::{GateDenial, Unfit};
use hv_rings::rate::{Buckets, Limited};
use hv_types::{Did, Ring, Timestamp};
use std::cell::{RefCell, RefMut};

/// One bucket and one watch for each agent, over all its sessions.
///
/// A decision may read and take from them though it changes nothing else: whoever asks has asked, whatever comes of
/// it.
#[derive(Debug, Default)]
pub(crate) struct Meters(RefCell<Inside>);

#[derive(Debug, Default)]
struct Inside {
    buckets: Buckets<Did>,
    watches: Watches<Did>,
}

impl Meters {
    /// Takes one call from an agent's bucket, at the rate of where it stands.
    pub(crate) fn take(
        &self,
        guards: &Guards,
        agent: &Did,
        stands: Ring,
        now: Timestamp,
    ) -> Result<(), Limited> {
        let mut inside = self.inside(now)?;
        inside.watches.room(&guards.breach, agent, now)?;
        inside.buckets.take(agent, *guards.limits.rate.get(stands), now)
    }

    /// Notes what was decided about a call; answers whether that opens the breaker.
    pub(crate) fn observe(
        &self,
        guards: &Guards,
        agent: &Did,
        attempt: Attempt,
        now: Timestamp,
    ) -> Option<Breach> {
        self.inside(now).ok()?.watches.observe(&guards.breach, agent, attempt, now)
    }

    /// They are used under the node's lock by one decision at a time; were it otherwise, the call would have to wait.
    fn inside(&self, now: Timestamp) -> Result<RefMut<'_, Inside>, Limited> {
        self.0.try_borrow_mut().map_err(|_| Limited::Crowded { retry_at: now })
    }
}

/// What one decision asks of the meters and leads to. An attempt takes one call, however often the decision is made
/// over.
pub(crate) struct Turnstile<'a> {
    state: &'a State,
    slot: &'a Slot,
    now: Timestamp,
    drawn: Option<Drawn>,
    /// Those before it; most decisions ask for one attempt alone.
    earlier: Vec<Drawn>,
    /// The breakers that opened.
    trips: Vec<NodeEvent>,
}

/// What an agent's bucket gave for the attempt of a number.
type Drawn = (u32, Did, Result<(), Limited>);

impl<'a> Turnstile<'a> {
    pub(crate) const fn new((state, slot, now): (&'a State, &'a Slot, Timestamp)) -> Self {
        Self { state, slot, now, drawn: None, earlier: Vec::new(), trips: Vec::new() }
    }

    /// Takes one call from an agent's bucket, for the attempt of this number.
    pub(crate) fn take(&mut self, attempt: u32, agent: &Did, stands: Ring) -> Result<(), Limited> {
        let mut before = self.drawn.iter().chain(&self.earlier);
        if let Some((.., drawn)) = before.find(|(of, by, _)| *of == attempt && by == agent) {
            return *drawn;
        }
        let drawn = self.state.meters.take(&self.state.guards, agent, stands, self.now);
        if let Some(before) = self.drawn.replace((attempt, agent.clone(), drawn)) {
            self.earlier.push(before);
        }
        drawn
    }

    /// Notes a call that passed.
    pub(crate) fn passed(&self, agent: &Did) {
        passed((self.state, self.now), agent);
    }

    /// Notes a call that was refused, as far as the agent's own ring is why.
    pub(crate) fn refused(&mut self, agent: &Did, denial: &GateDenial) {
        self.trips.extend(refused((self.state, self.slot, self.now), agent, denial));
    }

    /// What opened.
    pub(crate) fn into_trips(self) -> Vec<NodeEvent> {
        self.trips
    }
}

/// Takes one call from an agent's bucket, where a decision asks for no more than one.
pub(crate) fn take((state, now): (&State, Timestamp), agent: &Did, stands: Ring) -> Result<(), Limited> {
    state.meters.take(&state.guards, agent, stands, now)
}

/// Notes a call that passed.
pub(crate) fn passed((state, now): (&State, Timestamp), agent: &Did) {
    // What is within the ring trips nothing.
    let _ = state.meters.observe(&state.guards, agent, Attempt::Within, now);
}

/// Notes a call that was refused, as far as the agent's own ring is why; says so where that opens the breaker.
pub(crate) fn refused(
    (state, slot, now): (&State, &Slot, Timestamp),
    agent: &Did,
    denial: &GateDenial,
) -> Option<NodeEvent> {
    let GateDenial::Agent { unfit } = denial else { return None };
    let need = match unfit {
        Unfit::Ring { denial } => denial.need(),
        Unfit::Capped { need, .. } => *need,
        Unfit::Unknown | Unfit::Quarantined { .. } | Unfit::Killed { .. } => return None,
    };
    // An open breaker must not make breaches of ordinary calls.
    let held = state.stands_but_for_the_breaker(slot, agent, now);
    let attempt = Distance::up(held, need).map_or(Attempt::Within, Attempt::Above);
    let breach = state.meters.observe(&state.guards, agent, attempt, now)?;
    Some(NodeEvent::Tripped { agent: agent.clone(), breach, until: now.after(state.guards.breach.open) })
}
