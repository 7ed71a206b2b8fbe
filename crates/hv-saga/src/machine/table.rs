//! How a saga keeps its steps: definitions that are shared, and one slot of numbers for each step.

use crate::definition::StepDef;
use crate::event::StepRun;
use crate::state::StepState;
use core::ops::Deref;
use std::sync::Arc;

/// The definitions, and which steps wait for which.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps {
    pub(super) defs: Vec<Arc<StepDef>>,
    /// How many of them can be undone for a limited time only.
    pub(super) windows: u32,
    /// Lists of dependents, linked, so that all of them take one allocation.
    edges: Vec<Edge>,
}

/// Definitions that clones share. Without any it allocates nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Option<Arc<Steps>>);

impl Shared {
    /// The definitions, to change them; copied first where a clone shares them.
    pub(super) fn make_mut(&mut self) -> &mut Steps {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl Deref for Shared {
    type Target = Steps;

    fn deref(&self) -> &Steps {
        static NONE: Steps = Steps { defs: Vec::new(), windows: 0, edges: Vec::new() };
        self.0.as_deref().unwrap_or(&NONE)
    }
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    dependent: u32,
    /// The next of the list, counted from 1; 0 is the end.
    next: u32,
}

/// What is kept for each step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    pub(super) run: StepRun,
    /// How many of those that it waits for have committed.
    pub(super) met: u32,
    /// The head of the list of its dependents.
    pub(super) edges: u32,
    /// Not about this step: the one that committed as the n-th stands in slot n.
    pub(super) order: u32,
}

impl Steps {
    /// Room for so many steps and edges more.
    pub(super) fn reserve(&mut self, steps: usize, edges: usize) {
        self.defs.reserve(steps);
        self.edges.reserve(edges);
    }

    /// Puts a dependent before a list, and gives the new head.
    pub(super) fn link(&mut self, head: u32, dependent: u32) -> u32 {
        self.edges.push(Edge { dependent, next: head });
        u32::try_from(self.edges.len()).unwrap_or(0)
    }

    /// The dependents in a list.
    pub(super) fn edges(&self, head: u32) -> impl Iterator<Item = u32> + '_ {
        let at = |head: u32| self.edges.get((head as usize).checked_sub(1)?);
        core::iter::successors(at(head), move |edge| at(edge.next)).map(|edge| edge.dependent)
    }
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
