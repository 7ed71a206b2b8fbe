//! The shape of everything that has state.

use crate::{Timestamp, Wire};
use alloc::vec::Vec;
use core::fmt;

/// State that changes only by recorded events.
///
/// [`decide`](Machine::decide) answers what a command would change, without changing anything;
/// [`apply`](Machine::apply) is the only thing that does. Between the two, the events are made durable by
/// whoever runs the machine, so the record and the state cannot disagree: the record makes the state.
///
/// A machine has no input or output, no clock, no randomness and no async. What it needs of those is an
/// argument.
pub trait Machine: Clone + Default {
    /// What somebody asks for.
    type Command;
    /// What has happened.
    type Event: Wire;
    /// Why a command is refused.
    type Denial;

    /// What the command would change.
    ///
    /// # Errors
    /// The reason why it is refused. A refusal changes nothing.
    fn decide(&self, command: &Self::Command, now: Timestamp) -> Result<Vec<Self::Event>, Self::Denial>;

    /// Changes the state by one event.
    ///
    /// # Errors
    /// [`Illegal`] for an event that [`decide`](Machine::decide) cannot have given in this state: the record
    /// was not written by an honest run. The state is then as it was before.
    fn apply(&mut self, event: &Self::Event) -> Result<(), Illegal>;

    /// Events that lead from the initial state to this one, as few as the machine knows how to give.
    fn compact(&self) -> Vec<Self::Event>;
}

/// An event that no honest run could have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Illegal {
    /// The rule that it breaks, such as `a step commits only while it executes`.
    pub rule: &'static str,
}

impl Illegal {
    /// Names the rule that is broken.
    #[must_use]
    pub const fn new(rule: &'static str) -> Self {
        Self { rule }
    }
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the record breaks the rule that {}", self.rule)
    }
}

impl core::error::Error for Illegal {}

/// A machine on its own: nothing is recorded, a command takes effect at once.
///
/// For those who use one crate without the rest. `hv-core` runs the same machines behind one durable log.
#[derive(Debug, Clone, Default)]
pub struct Solo<M> {
    state: M,
    defect: Option<Illegal>,
}

/// Why a machine on its own did not carry out a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SoloError<D> {
    /// The machine refuses the command. Nothing has changed.
    Denied(D),
    /// The machine refused its own event, now or earlier: a defect of the machine. Its state may hold a part
    /// of what was decided, so it carries out nothing more.
    Illegal(Illegal),
}

impl<M: Machine> Solo<M> {
    /// The machine's state.
    pub const fn state(&self) -> &M {
        &self.state
    }

    /// Decides and applies.
    ///
    /// # Errors
    /// [`SoloError::Denied`] where the machine refuses the command, [`SoloError::Illegal`] where it refuses
    /// its own event, and for every command after that.
    pub fn run(
        &mut self,
        command: &M::Command,
        now: Timestamp,
    ) -> Result<Vec<M::Event>, SoloError<M::Denial>> {
        self.defect.map_or(Ok(()), |defect| Err(SoloError::Illegal(defect)))?;
        let events = self.state.decide(command, now).map_err(SoloError::Denied)?;
        let applied = events.iter().try_for_each(|event| self.state.apply(event));
        applied.map_err(|defect| SoloError::Illegal(*self.defect.insert(defect)))?;
        Ok(events)
    }
}
