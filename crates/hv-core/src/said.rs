//! What is said about actions, and the strong mode that some of it forces.

use crate::event::SessionEvent;
use crate::node::{Draft, Refusal};
use crate::state::Slot;
use hv_rings::class::{Claim, Class, Source, Undo, Unproven};
use hv_session::SessionCommand;
use hv_types::{ActionId, ActionKind, Reversibility, Timestamp};

/// Takes up what is said about an action of a session.
pub(crate) fn said(
    (slot, now): (&Slot, Timestamp),
    request: &'static str,
    action: &ActionId,
    (source, claim): (Source, Claim),
) -> Result<Draft, Box<Refusal>> {
    let mut draft = Draft::default().of(slot.stream);
    if slot.forces(source, action, &claim) {
        force_strong((slot, now), request, &mut draft)?;
    }
    draft.events.push(SessionEvent::Registered { action: action.clone(), source, claim });
    Ok(draft)
}

/// Forces the session of a draft into the strong mode, unless it is in it or comes into it by the same draft.
pub(crate) fn force_strong(
    (slot, now): (&Slot, Timestamp),
    request: &'static str,
    draft: &mut Draft,
) -> Result<(), Box<Refusal>> {
    if draft.forces_strong() {
        return Ok(());
    }
    let forced = draft.decide(&slot.session, &SessionCommand::ForceStrong, now);
    forced.map_err(|denial| slot.refuse_session(request, None, denial))
}

/// Whether a call of this class can neither be undone nor only reads.
pub(crate) const fn is_final(class: &Class) -> bool {
    matches!((class.kind, class.reversibility), (ActionKind::Effect | ActionKind::Admin, Reversibility::None))
}

impl Slot {
    /// Whether what is said about an action means that something may happen in the session that can neither be undone
    /// nor only reads. An action that is not registered counts as what is said of it here, because nobody may do it yet.
    pub(crate) fn forces(&self, source: Source, action: &ActionId, claim: &Claim) -> bool {
        let claims = self.claims(action).copied().unwrap_or_default().with(source, claim);
        if claims.registered() {
            // Whether there is an undo is seen with each step.
            return is_final(&claims.class(Undo::Proven, Unproven::Counts));
        }
        claim.reversibility == Some(Reversibility::None) && claim.kind != Some(ActionKind::ReadOnly)
    }
}
