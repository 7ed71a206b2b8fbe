//! What members may do besides what they earn, and what ends it.

use super::Slot;
use crate::event::{KillTarget, MembershipEvent};
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
        if let MembershipEvent::Left { member } | MembershipEvent::Evicted { member, .. } = event {
            self.elevations.end(*member);
        }
        apply(&mut self.session, event)
    }

    /// Whoever is killed has no elevation any more, also when the kill is lifted.
    pub(super) fn killed(&mut self, target: &KillTarget) {
        match target {
            KillTarget::All {} => self.elevations.end_all(),
            KillTarget::Session { id } if *id == self.id => self.elevations.end_all(),
            KillTarget::Agent { did } => {
                if let Some(member) = self.session.known(did).map(|member| member.ordinal) {
                    self.elevations.end(member);
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
