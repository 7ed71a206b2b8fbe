//! The way back: in which order steps are undone, and when that is over.

use super::Saga;
use crate::definition::Pace;
use crate::state::StepState;

impl Saga {
    /// The step that is to be taken up for undo next. INVARIANT (S2): the last to commit among the rest.
    pub(super) fn next_undo(&self) -> Option<u32> {
        self.commit_order().rev().nth(self.undone as usize)
    }

    /// Whether the undo of a step waits for others: for what depends on it, and where somebody asked for each step, for
    /// everything that came after it. Who asks for a step knows what came of those before, whether it waits for them or not.
    pub(super) fn is_undo_held(&self, step: u32) -> bool {
        (self.pace == Pace::Asked && self.tally.undoing() > 0) || self.is_undo_blocked(step)
    }

    /// Whether a step that depends on this one, directly or over others, is still being undone.
    pub(super) fn is_undo_blocked(&self, step: u32) -> bool {
        if self.tally.undoing() == 0 {
            return false;
        }
        let mut seen = vec![false; self.slots.len()];
        let mut open = vec![step];
        while let Some(step) = open.pop() {
            for dependent in self.dependents(step) {
                let Some((_, run)) = self.step(dependent) else { continue };
                use StepState::{Confirming, Unconfirmed, UndoWaiting, Undoing};
                if matches!(run.state, Undoing | UndoWaiting | Unconfirmed | Confirming) {
                    return true;
                }
                let first =
                    seen.get_mut(dependent as usize).is_some_and(|seen| !core::mem::replace(seen, true));
                if first {
                    open.push(dependent);
                }
            }
        }
        false
    }

    /// The steps that depend on this one, directly or over others, in the order of their ordinals. Costs time in
    /// proportion to the steps and to what they wait for.
    #[must_use]
    pub fn dependents_of(&self, step: u32) -> Vec<u32> {
        let mut seen = vec![false; self.slots.len()];
        let mut open = vec![step];
        while let Some(step) = open.pop() {
            for dependent in self.dependents(step) {
                let first =
                    seen.get_mut(dependent as usize).is_some_and(|seen| !core::mem::replace(seen, true));
                if first {
                    open.push(dependent);
                }
            }
        }
        (0u32..).zip(seen).filter(|(_, seen)| *seen).map(|(step, _)| step).collect()
    }

    /// Whether everything with a possible effect is undone, or known to be beyond undo.
    pub(super) fn is_undone(&self) -> bool {
        self.tally.unsettled() == 0 && self.tally.undoing() == 0 && self.undone == self.committed
    }
}
