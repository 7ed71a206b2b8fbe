//! What can be seen of a session from outside.

use crate::error::Error;
use crate::hypervisor::Hypervisor;
use crate::intent::Intent;
use crate::node::Refusal;
use crate::said::said;
use crate::state::Known;
use hv_rings::class::{Claim, Claims, Source};
use hv_rings::elevation::Elevation;
use hv_saga::Saga;
use hv_session::{ConsistencyMode, SessionConfig, SessionState, Standing};
use hv_types::{ActionId, Did, Ring, SagaId, SessionId, Sigma, Timestamp};

/// A session as it is now.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Who created it.
    pub creator: Option<Did>,
    /// Where it is in its life.
    pub state: SessionState,
    /// Its settings, as it was created with them.
    pub config: SessionConfig,
    /// The mode that holds.
    pub mode: ConsistencyMode,
    /// When its time is over.
    pub deadline: Option<Timestamp>,
    /// Who is or was in it, in the order of first joins.
    pub members: Vec<MemberView>,
    /// How many files there are.
    pub files: usize,
}

/// An agent of a session as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub did: Did,
    /// The member on whose behalf it acts.
    pub parent: Option<Did>,
    /// Whether it is in the session.
    pub standing: Standing,
    /// Its σ_eff, for what can be undone entirely.
    pub sigma: Sigma,
    /// The ring in which it stands.
    pub ring: Ring,
    /// What it may do of Ring 1 without a quorum for each call, and how long.
    pub elevation: Option<Elevation>,
    /// What it is held to now.
    pub intent: Option<Intent>,
}

impl Hypervisor {
    /// A session as it is now. O(members).
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn session_view(&self, session: &SessionId) -> Result<SessionView, Error> {
        self.node().read(|state, now| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            let of = &slot.session;
            let members = of.roster().map(|member| {
                let (sigma, standing) = state.standing(slot, member.did, now);
                let parent = member.parent.and_then(|parent| of.by_ordinal(parent));
                MemberView {
                    did: member.did.clone(),
                    parent: parent.map(|parent| parent.did.clone()),
                    standing: member.standing,
                    sigma,
                    ring: standing.ring(),
                    elevation: slot.elevated(member.did).filter(|it| now <= it.until()).cloned(),
                    intent: slot.intent(Some(member), now).cloned(),
                }
            });
            Ok(SessionView {
                creator: of.creator().cloned(),
                state: of.state(),
                config: *of.config(),
                mode: of.mode(),
                deadline: of.deadline(),
                members: members.collect(),
                files: of.files().len(),
            })
        })?
    }

    /// What was said about an action in a session; nothing where nobody registered it, and then nobody may do it.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn action_claims(&self, session: &SessionId, action: &ActionId) -> Result<Option<Claims>, Error> {
        self.node().read(|state, _| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            Ok(slot.claims(action).copied())
        })?
    }

    /// The machine of a saga that has not ended; nothing where it has, or where there is none. O(steps).
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn saga_machine(&self, session: &SessionId, saga: &SagaId) -> Result<Option<Saga>, Error> {
        self.node().read(|state, _| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            Ok(match slot.saga(saga) {
                Some(Known::Running(_, saga)) => Some(saga.machine.clone()),
                Some(Known::Ended(_)) | None => None,
            })
        })?
    }

    /// Takes note of what somebody other than the operator says about an action: it can make the action stricter,
    /// never laxer, and does not register it. That it cannot be undone forces the strong mode, as with
    /// [`register_action`](Self::register_action).
    ///
    /// # Errors
    /// [`Reason::Session`](crate::Reason::Session) where that is said and the session is over; [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn declare_action(
        &self,
        session: &SessionId,
        action: &ActionId,
        claim: Claim,
    ) -> Result<(), Error> {
        self.node()
            .commit(|state, now| {
                let slot = state.slot(session);
                let slot = slot.ok_or_else(|| Refusal::no_session("declare_action", None, session))?;
                Ok((said((slot, now), "declare_action", action, (Source::Manifest, claim))?, ()))
            })
            .await
    }
}
