//! How a saga keeps what is known of its steps: one slot of numbers for each.

use crate::event::StepRun;
use crate::state::StepState;

/// What is kept for each step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    pub(super) run: StepRun,
    /// How many of those that it waits for have committed.
    pub(super) met: u32,
    /// Not about this step: the one that committed as the n-th stands in slot n.
    pub(super) order: u32,
}

/// How many steps are in each state.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally([u32; StepState::ALL.len()]);

impl Tally {
    pub(super) fn of(&self, state: StepState) -> u32 {
        self.0.get(state as usize).copied().unwrap_or(0)
    }

    pub(super) fn sum(&self, states: &[StepState]) -> u32 {
        states.iter().map(|&state| self.of(state)).sum()
    }

    pub(super) fn add(&mut self, state: StepState, count: u32) {
        if let Some(slot) = self.0.get_mut(state as usize) {
            *slot = slot.saturating_add(count);
        }
    }

    pub(super) fn shift(&mut self, from: StepState, to: StepState) {
        if let Some(slot) = self.0.get_mut(from as usize) {
            *slot = slot.saturating_sub(1);
        }
        self.add(to, 1);
    }

    /// Attempts that run.
    pub(super) fn running(&self) -> u32 {
        use StepState::{Confirming, Executing, Inspecting, Probing, Undoing};
        self.sum(&[Executing, Probing, Inspecting, Undoing, Confirming])
    }

    /// Steps that are neither untouched nor settled on the way forward.
    pub(super) fn unsettled(&self) -> u32 {
        use StepState::{Executing, InDoubt, Inspecting, Probing, Suspect, Waiting};
        self.sum(&[Executing, Waiting, InDoubt, Probing, Suspect, Inspecting])
    }

    /// Steps on the way back that are taken up and not settled.
    pub(super) fn undoing(&self) -> u32 {
        use StepState::{Confirming, Unconfirmed, UndoWaiting, Undoing};
        self.sum(&[Undoing, UndoWaiting, Unconfirmed, Confirming])
    }

    /// Steps that did not get where they should.
    pub(super) fn lost(&self) -> u32 {
        use StepState::{Assumed, Denied, Failed, Inspecting, Suspect};
        self.sum(&[Failed, Denied, Suspect, Inspecting, Assumed])
    }
}
