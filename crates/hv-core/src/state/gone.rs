//! How sessions end; and replaying a log of which records are gone.

use super::{Slot, State};
use crate::event::AgentKept;
use crate::seldom::Seldom;
use hv_audit::{Kind, StreamNo};
use hv_liability::SessionNo;
use hv_types::{Did, Digest, Illegal, SessionId, Timestamp};

impl State {
    /// Forgets a session that is over; its trail remains.
    pub(crate) fn close_session(&mut self, stream: StreamNo, root: Digest) -> Result<(), Illegal> {
        let slot = self.sessions.remove(&stream).ok_or(Illegal::new("an open session is closed"))?;
        slot.session.roster().for_each(|member| self.histories.ended(member.did, root));
        self.forget_slot(&slot);
        Ok(())
    }

    /// What ends with a session, whatever it was.
    fn forget_slot(&mut self, slot: &Slot) {
        self.names.remove(&slot.id);
        if let Some(creator) = slot.session.creator()
            && let Some(count) = self.creators.get_mut(creator)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.creators.remove(creator);
            }
        }
        self.over(slot.stream, &slot.id);
    }

    /// A session of this name is over.
    fn over(&mut self, stream: StreamNo, id: &SessionId) {
        if let Some(kills) = self.kills.made() {
            kills.forget_session(id);
        }
        // INVARIANT (L13): ending a session is no escape. Its name leads to its bonds as long as there are any.
        if self.ledger.bond_count() == 0 {
            self.answering = Seldom::default();
            return;
        }
        let matrix = self.ledger.matrix(Timestamp::default());
        if let Some(answering) = self.answering.made() {
            answering.retain(|_, no| !matrix.in_session(*no).is_empty());
        }
        if !matrix.in_session(SessionNo(stream.0)).is_empty() {
            self.answering.insert(id.clone(), SessionNo(stream.0));
        }
    }

    /// Takes up that records of a session are gone, or what the node's stream says about such a session.
    pub(super) fn note_gone(&mut self, on: StreamNo, kind: Kind<'_>) {
        match kind {
            Kind::Gone { .. } => drop(self.gone.entry(on).or_default()),
            Kind::StreamOpened { stream, label, .. } => {
                if let Some(id) = self.gone.made().and_then(|gone| gone.get_mut(&stream)) {
                    *id = SessionId::new(label).ok();
                }
            }
            Kind::StreamClosed { stream, .. } => {
                let Some(id) = self.gone.made().and_then(|gone| gone.remove(&stream)) else { return };
                match (self.sessions.remove(&stream), id) {
                    (Some(slot), _) => self.forget_slot(&slot),
                    (None, Some(id)) => self.over(stream, &id),
                    (None, None) => {}
                }
            }
            _ => {}
        }
    }

    /// What is known of agents from sessions is from here on what it was when records of them were destroyed.
    pub(super) fn restore_agents(&mut self, agents: &[AgentKept]) {
        for AgentKept { did, summaries, track } in agents {
            self.histories.restore(did, summaries);
            if let (Some(agent), Some(track)) = (self.ledger.agent(did), track) {
                self.track.restore(agent, *track);
            }
        }
    }

    /// What is known of an agent from sessions.
    pub(crate) fn agent_kept(&self, did: &Did) -> AgentKept {
        let track = self.ledger.agent(did).map(|agent| self.track.record(agent));
        AgentKept { did: did.clone(), summaries: self.histories.of(did).to_vec(), track }
    }
}
