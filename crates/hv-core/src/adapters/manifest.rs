//! Joining by a manifest that somebody hands out.

use super::call::Caller;
use crate::error::{Error, Reason};
use crate::hypervisor::{Entrant, Hypervisor};
use crate::node::Refusal;
use hv_integrations::manifest::{Admission, NotAdmitted, Provenance, Reception};
use hv_liability::Source;
use hv_rings::class::Claim;
use hv_rings::standing::Cap;
use hv_types::{Did, Ring, SessionId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A desk that is connected.
pub(crate) struct ManifestPort {
    pub(crate) name: String,
    desk: Arc<dyn Reception>,
    deadline: Duration,
    caller: Caller,
}

impl fmt::Debug for ManifestPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestPort").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ManifestPort {
    pub(super) fn new<R: Reception + 'static>(name: &str, desk: R, deadline: Duration) -> Self {
        Self { name: name.to_owned(), desk: Arc::new(desk), deadline, caller: Caller::default() }
    }

    async fn admit(&self, agent: &Did) -> Result<Admission, String> {
        let (desk, joining) = (Arc::clone(&self.desk), agent.clone());
        let answer = self.caller.call(self.deadline, move || desk.admit(&joining)).await;
        let admitted = match answer {
            Ok(admitted) => admitted.map_err(|NotAdmitted(why)| why),
            Err(none) => Err(none.to_string()),
        };
        match admitted {
            Ok(admission) if admission.agent == *agent => Ok(admission),
            Ok(admission) => Err(format!("{}: the manifest speaks of {}", self.name, admission.agent)),
            Err(why) => Err(format!("{}: {why}", self.name)),
        }
    }
}

impl Entrant {
    /// An agent as its manifest presents it: its hint of a σ (which weighs less where nobody attested what came over a wire), the
    /// cap of its trust level, and what it says of actions.
    #[must_use]
    pub fn presented(admission: &Admission) -> Self {
        let source = match admission.provenance {
            Provenance::Given => Source::Asserted,
            Provenance::WireAttested => Source::Attested,
            Provenance::WireUnattested => Source::Hint,
        };
        let mut entrant = Self::new(admission.agent.clone()).with_sigma_from(admission.sigma_hint, source);
        if admission.ring_hint == Ring::Sandbox {
            entrant = entrant.with_cap(Cap::Manifest { hint: admission.ring_hint });
        }
        for action in &admission.actions {
            entrant = entrant.with_claim(action.id().clone(), Claim::from(action));
        }
        entrant
    }
}

impl Hypervisor {
    /// Lets an agent join by the manifest that the connected desk has of it; gives the ring in which it stands.
    ///
    /// # Errors
    /// [`Reason::Port`] where manifests are off, or there is none of this agent in time; it does not join then.
    /// Otherwise as [`join_session`](Self::join_session).
    pub async fn join_by_manifest(&self, session: &SessionId, agent: &Did) -> Result<Ring, Error> {
        let on = self
            .node()
            .read(|state, _| state.slot(session).is_some_and(|slot| slot.adapted.on().manifests.is_some()))?;
        let admitted = match self.node().ports().manifests() {
            Some(port) if on => port.admit(agent).await,
            Some(_) | None => Err("manifests are off in this session".to_owned()),
        };
        match admitted {
            Ok(admission) => self.join_session(session, &Entrant::presented(&admission)).await,
            Err(why) => {
                self.node()
                    .commit::<Ring>(|state, _| {
                        let reason = Reason::Port { port: "manifests", why };
                        Err(match state.slot(session) {
                            Some(slot) => slot.refuse("join", Some(agent), None, reason),
                            None => Refusal::no_session("join", Some(agent), session),
                        })
                    })
                    .await
            }
        }
    }
}
