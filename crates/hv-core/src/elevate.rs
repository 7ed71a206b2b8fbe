//! Consent in advance: an agent is let do named actions of Ring 1 for a short time, by a quorum on exactly that.
//!
//! An elevation stands in for the quorum of each call and for nothing else. It ends by its time, and before it
//! when the agent leaves or is put out, as after a slash, when it falls to Ring 3, and when it is killed.

use crate::error::{Error, Reason};
use crate::event::SessionEvent;
use crate::evidence::{self, Presented, Weighed, voices};
use crate::gate;
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Refusal};
use crate::rates;
use crate::state::{Slot, State};
use hv_rings::elevation::{Asking, ELEVATE, Elevation, NotElevated, Request, grant};
use hv_rings::gate::{GateDenial, Unfit};
use hv_rings::{Basis, Evidence};
use hv_types::wire::Reader;
use hv_types::{
    ActionId, BadIdent, Call, Did, Digest, Illegal, Ring, SessionId, Timestamp, Undecodable, Wire,
};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static REQUEST_KEY: LazyLock<[u8; 32]> = LazyLock::new(|| blake3::derive_key("hv 2026 elevation v1", &[]));

fn digest(bytes: &[u8]) -> Digest {
    Digest(*blake3::keyed_hash(&REQUEST_KEY, bytes).as_bytes())
}

/// The call on which the others vote who let an agent be elevated. `deadline` is the last point in time at which the
/// elevation may begin.
///
/// # Errors
/// None in practice: the name of the action keeps to the grammar.
pub fn elevation_call(request: &Request, deadline: Timestamp) -> Result<Call, BadIdent> {
    Ok(Call {
        session: request.session().clone(),
        agent: request.agent().clone(),
        action: ActionId::new(ELEVATE)?,
        params: digest(&request.to_bytes()),
        deadline,
    })
}

impl Hypervisor {
    /// Elevates a member: what it names needs no quorum of its own for the time that it asks for, from now on.
    /// `presented` brings the votes of a quorum on the call that [`elevation_call`] gives with the same deadline.
    ///
    /// Only to Ring 1, one at a time, and to nobody who could not do what needs Ring 1 with a quorum: its score for
    /// what cannot be undone is above 0.95, and nothing caps it. Its score and its caps are asked again at every
    /// call. A child is capped at the standing ring of its parent, so none is elevated.
    ///
    /// # Errors
    /// [`Reason::Elevation`] with the rule that says no, and each vote that does not count on the trail with its own
    /// reason; [`Reason::Gate`] where the agent may not call at all now; [`Reason::Killed`];
    /// [`Reason::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn elevate(&self, request: &Request, presented: &Presented) -> Result<Elevation, Error> {
        evidence::verify_ahead(self.node(), presented.statements())?;
        self.node().commit(|state, now| decided(state, now, request, presented)).await
    }

    /// The elevation that an agent has now in a session.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn elevation(&self, session: &SessionId, agent: &Did) -> Result<Option<Elevation>, Error> {
        self.node().read(|state, now| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            Ok(slot.elevated(agent).filter(|elevation| now <= elevation.until()).cloned())
        })?
    }
}

fn decided(
    state: &State,
    now: Timestamp,
    request: &Request,
    presented: &Presented,
) -> Result<(Draft, Elevation), Box<Refusal>> {
    let (session, agent) = (request.session(), request.agent());
    let slot = state.slot(session).ok_or_else(|| Refusal::no_session("elevate", Some(agent), session))?;
    let call = elevation_call(request, presented.deadline());
    let call = call.map_err(|bad| slot.refuse("elevate", Some(agent), None, Reason::Ident(bad)))?;
    let refuse = |reason| slot.refuse("elevate", Some(agent), Some(&call.action), reason);
    if let Some(killed) = state.kills.hit(session, agent, Some(&call.action)) {
        return Err(refuse(killed));
    }
    let entered = gate::enters((state, slot, now), agent);
    entered.map_err(|denial| refuse(gate::reason(state, agent, denial, now)))?;
    let spent = state.authority.spent();
    let weighed = evidence::weigh((state, Some(slot), now), &call, Ring::Privileged, presented, spent);
    let Weighed { evidence, rejected, short } = weighed;
    let asking = Asking {
        call: &call,
        digest,
        sigma: state.sigma_of(slot, &state.party(slot, agent), hv_types::Reversibility::None, now),
        cap: state.standing(slot, agent, now).1.limit(),
        evidence: &evidence,
        last: slot.elevated(agent),
        now,
    };
    match grant(request.clone(), &asking) {
        Ok(elevation) => {
            rates::passed((state, now), agent);
            let spent = evidence::spends(&evidence, Basis::Quorum, now);
            let elevated =
                SessionEvent::Elevated { elevation: Box::new(elevation.clone()), voices: voices(&spent) };
            let mut events: Vec<SessionEvent> =
                rejected.into_iter().map(|rejected| SessionEvent::Rejected { rejected }).collect();
            events.push(elevated);
            Ok((Draft::default().node(spent).session(slot.stream, events), elevation))
        }
        Err(why) => {
            let trip = match &why {
                NotElevated::Denied { denial } => {
                    let unfit = Unfit::Ring { denial: *denial };
                    rates::refused((state, slot, now), agent, &GateDenial::Agent { unfit })
                }
                _ => None,
            };
            let short = short.filter(|_| lacks_quorum(&why)).map(|short| short.to_string());
            let trips = trip.into_iter().collect();
            Err(refuse(Reason::Elevation { why, short }).rejecting(rejected).leading_to(trips))
        }
    }
}

/// Whether what is missing is a quorum, so that how far the votes are from one is worth telling.
const fn lacks_quorum(why: &NotElevated) -> bool {
    matches!(why, NotElevated::Denied { denial: hv_rings::Denial::Certificate { .. } })
}

/// The elevations of a session, by ordinal of the member.
#[derive(Debug, Default)]
pub(crate) struct Elevations(BTreeMap<u32, Elevation>);

crate::seldom::blank!(Elevations, Elevations(BTreeMap::new()));

impl Wire for Elevations {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Wire::take(reader).map(Self)
    }
}

impl Elevations {
    pub(crate) fn of(&self, member: u32) -> Option<&Elevation> {
        self.0.get(&member)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// INVARIANT: one at a time, of a member, for its own session.
    pub(crate) fn begin(&mut self, member: u32, elevation: &Elevation) -> Result<(), Illegal> {
        if self.0.get(&member).is_some_and(|last| elevation.since() <= last.until()) {
            return Err(Illegal::new("an agent has one elevation at a time"));
        }
        self.0.insert(member, elevation.clone());
        Ok(())
    }

    pub(crate) fn end(&mut self, member: u32) {
        self.0.remove(&member);
    }

    pub(crate) fn end_all(&mut self) {
        self.0.clear();
    }
}

/// With what stands in for a quorum on this call, where it needs Ring 1.
pub(crate) fn with_elevation(
    evidence: Evidence,
    slot: &Slot,
    call: &Call,
    need: Ring,
    now: Timestamp,
) -> Evidence {
    let elevation = slot.elevated(&call.agent).filter(|_| need == Ring::Privileged);
    match elevation.and_then(|elevation| elevation.covers(call, now).ok()) {
        Some(elevated) => evidence.with_elevated(elevated),
        None => evidence,
    }
}
