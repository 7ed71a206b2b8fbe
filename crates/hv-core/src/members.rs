//! Members that go, and members that may come back.

use crate::error::{Error, Reason};
use crate::hypervisor::Hypervisor;
use crate::node::{Draft, Refusal};
use hv_liability::Command as LedgerCommand;
use hv_session::{Eviction, SessionCommand};
use hv_types::{Did, Machine, SessionId};
use std::time::Duration;

/// How long a quarantine lasts where nothing else is said.
pub const QUARANTINE: Duration = Duration::from_secs(300);

impl Hypervisor {
    /// Lets a member leave, and with it those that act on its behalf; it may join again. Its bonds stay until the
    /// session ends.
    ///
    /// # Errors
    /// [`Reason::Session`](crate::Reason::Session) where it is no member, or the last one of an active session;
    /// [`Error::NoSession`], [`Error::Log`], [`Error::Poisoned`].
    pub async fn leave_session(&self, session: &SessionId, agent: &Did) -> Result<(), Error> {
        self.member("leave", session, agent, SessionCommand::Leave { did: agent.clone() }).await
    }

    /// Puts a member out, and with it those that act on its behalf. An active session in which nobody is left
    /// begins to terminate.
    ///
    /// # Errors
    /// [`Reason::Session`](crate::Reason::Session) where it is no member; [`Error::NoSession`], [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn evict_agent(&self, session: &SessionId, agent: &Did, reason: Eviction) -> Result<(), Error> {
        self.member("evict", session, agent, SessionCommand::Evict { did: agent.clone(), reason }).await
    }

    /// Lets one that was put out join again.
    ///
    /// # Errors
    /// [`Reason::Session`](crate::Reason::Session) where it was not put out; [`Error::NoSession`], [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn readmit_agent(&self, session: &SessionId, agent: &Did) -> Result<(), Error> {
        self.member("readmit", session, agent, SessionCommand::Readmit { did: agent.clone() }).await
    }

    /// Takes all effective trust from an agent for a time, in every session: nothing of it starts until then.
    /// [`QUARANTINE`] is what is usual. A quarantine that holds longer is not shortened.
    ///
    /// # Errors
    /// [`Reason::Ledger`] where the ledger does not know the agent; [`Error::Log`], [`Error::Poisoned`].
    pub async fn quarantine(&self, agent: &Did, lasting: Duration) -> Result<(), Error> {
        self.node()
            .commit(|state, now| {
                let order = LedgerCommand::Quarantine { agent: agent.clone(), until: now.after(lasting) };
                let events = state.ledger.decide(&order, now);
                let refuse =
                    |denial| Refusal::on_node("quarantine", Some(agent), Reason::Ledger(Box::new(denial)));
                Ok((Draft::default().ledger(events.map_err(refuse)?), ()))
            })
            .await
    }

    async fn member(
        &self,
        request: &'static str,
        session: &SessionId,
        agent: &Did,
        command: SessionCommand,
    ) -> Result<(), Error> {
        self.node()
            .commit(|state, now| {
                let slot = state.slot(session);
                let slot = slot.ok_or_else(|| Refusal::no_session(request, Some(agent), session))?;
                let events = slot.session.decide(&command, now);
                let events = events.map_err(|denial| slot.refuse_session(request, Some(agent), denial))?;
                Ok((Draft::default().lifecycle(slot.stream, events), ()))
            })
            .await
    }
}
