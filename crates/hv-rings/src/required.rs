//! The ring that an action asks for.

use hv_types::{ActionDescriptor, ActionKind, Reversibility, Ring};

/// The ring that an action needs, as it is declared.
///
/// A declaration is a claim; whether it counts is a question that comes before.
///
/// ```
/// use hv_rings::{ActionDescriptor, ActionId, ActionKind, Reversibility, Ring, required};
///
/// let id = ActionId::new("file.write")?;
/// let undoable = ActionDescriptor::new(id.clone(), ActionKind::Effect, Reversibility::Full);
/// assert_eq!(required(&undoable), Ring::Standard);
/// let final_ = ActionDescriptor::new(id, ActionKind::Effect, Reversibility::None);
/// assert_eq!(required(&final_), Ring::Privileged);
/// # Ok::<(), hv_types::BadIdent>(())
/// ```
#[inline]
#[must_use]
pub const fn required(action: &ActionDescriptor) -> Ring {
    required_of(action.kind(), action.reversibility())
}

/// The ring that a kind of action needs: what changes the supervisor 0, what cannot be undone 1, what changes
/// nothing 3, everything else 2.
#[inline]
#[must_use]
pub const fn required_of(kind: ActionKind, reversibility: Reversibility) -> Ring {
    match (kind, reversibility) {
        (ActionKind::Admin, _) => Ring::Root,
        (ActionKind::Effect, Reversibility::None) => Ring::Privileged,
        (ActionKind::ReadOnly, _) => Ring::Sandbox,
        (ActionKind::Effect, Reversibility::Full | Reversibility::Partial) => Ring::Standard,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hv_types::ActionId;

    #[test]
    fn every_kind_and_reversibility() {
        use {ActionKind::*, Reversibility::*};
        for (kind, rings) in [(Admin, [0, 0, 0]), (ReadOnly, [3, 3, 3]), (Effect, [2, 2, 1])] {
            for (reversibility, ring) in [Full, Partial, None].into_iter().zip(rings) {
                let action = ActionDescriptor::new(ActionId::new("a").unwrap(), kind, reversibility);
                assert_eq!(required(&action).number(), ring, "{kind:?} {reversibility}");
            }
        }
    }
}
