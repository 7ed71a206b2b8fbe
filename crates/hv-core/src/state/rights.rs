//! What members may do besides what they earn, and what ends it.

use super::Slot;
use crate::event::{KillTarget, MembershipEvent, SessionEvent};
use crate::intent::Intents;
use hv_rings::elevation::Elevation;
use hv_session::Session;
use hv_types::{Did, Illegal};

impl Slot {
    /// What its machine says. Whoever goes has no elevation any more.
    pub(super) fn lives(
        &mut self,
        event: &MembershipEvent,
        apply: fn(&mut Session, &MembershipEvent) -> Result<(), Illegal>,
    ) -> Result<(), Illegal> {
        if let MembershipEvent::Left { member } | MembershipEvent::Evicted { member, .. } = event
            && let Some(elevations) = self.elevations.made()
        {
            elevations.end(*member);
        }
        apply(&mut self.session, event)
    }

    /// Whoever is killed has no elevation any more, also when the kill is lifted.
    pub(super) fn killed(&mut self, target: &KillTarget) {
        let Some(elevations) = self.elevations.made() else { return };
        match target {
            KillTarget::All {} => elevations.end_all(),
            KillTarget::Session { id } if *id == self.id => elevations.end_all(),
            KillTarget::Agent { did } => {
                if let Some(member) = self.session.known(did).map(|member| member.ordinal) {
                    elevations.end(member);
                }
            }
            KillTarget::Session { .. } | KillTarget::Action { .. } => {}
        }
    }

    pub(super) fn elevate(&mut self, elevation: &Elevation) -> Result<(), Illegal> {
        let request = elevation.request();
        let member = self.session.member(request.agent()).filter(|_| *request.session() == self.id);
        let member = member.ok_or(Illegal::new("a member is elevated, for its own session"))?.ordinal;
        self.elevations.begin(member, elevation)
    }

    /// Takes up what is said of intents.
    pub(super) fn bind(&mut self, event: &SessionEvent) -> Result<(), Illegal> {
        let stranger = Illegal::new("only members are held to an intent");
        match event {
            SessionEvent::IntentRuled { policy } => self.intents.get_or_insert_default().rule(*policy),
            SessionEvent::IntentDeclared { member, bounds, since, voices } => {
                self.session.by_ordinal(*member).ok_or(stranger)?;
                self.intents.get_or_insert_default().declare(*member, bounds, *since, voices);
            }
            SessionEvent::IntentUsed { member, action, consented } => {
                let intents = self.intents.as_deref_mut().ok_or(stranger)?;
                intents.count(*member, action, *consented)?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn intents(&self) -> Option<&Intents> {
        self.intents.as_deref()
    }

    pub(crate) fn has_elevations(&self) -> bool {
        !self.elevations.is_empty()
    }

    /// The elevation that a member had last, whether or not it is over.
    pub(crate) fn elevated(&self, agent: &Did) -> Option<&Elevation> {
        if self.elevations.is_empty() {
            return None;
        }
        self.elevations.of(self.session.member(agent)?.ordinal)
    }
}
