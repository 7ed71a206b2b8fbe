//! The functions that undo the steps of a saga that grows: those that come with a step, and those for steps of an earlier
//! program.

use super::{Work, failed};
use hv_saga::{Outcome, StepDef, Task};
use hv_types::ActionId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What undoes one step.
pub(super) type Undo = Box<dyn Fn() -> Work<'static> + Send + Sync>;
type UndoOf = Box<dyn Fn(u32) -> Undo + Send + Sync>;

/// The functions that undo the steps which an earlier program added to a saga, by their actions; see
/// [`SessionHandle::reopen_saga`](crate::SessionHandle::reopen_saga).
#[derive(Default)]
pub struct Undos {
    by_action: BTreeMap<ActionId, UndoOf>,
}

/// The program has no function for a step that needs one.
pub(super) struct NoFunction;

impl Undos {
    /// No functions yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with what takes back the effect of each step of this action. It is told the step's number: steps are
    /// counted from 0, in the order in which they were added.
    #[must_use]
    pub fn with<U, F, E>(mut self, action: ActionId, undo: U) -> Self
    where
        U: Fn(u32) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let undo = Arc::new(undo);
        let of = move |number| {
            let undo = Arc::clone(&undo);
            undo_by(move || undo(number))
        };
        self.by_action.insert(action, Box::new(of));
        self
    }

    /// What undoes a step of this number; nothing where it has no undo.
    pub(super) fn of(&self, step: &StepDef, number: u32) -> Result<Option<Undo>, NoFunction> {
        match step.undo.as_deref() {
            None => Ok(None),
            Some(Task::Closure { .. }) => {
                self.by_action.get(&step.action).map(|of| Some(of(number))).ok_or(NoFunction)
            }
            Some(_) => Err(NoFunction),
        }
    }
}

impl fmt::Debug for Undos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_action.keys()).finish()
    }
}

/// A function of the program, as what undoes a step.
pub(super) fn undo_by<U, F, E>(undo: U) -> Undo
where
    U: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: fmt::Display,
{
    Box::new(move || {
        let work = undo();
        Box::pin(async move {
            match work.await {
                Ok(()) => Outcome::done(),
                Err(error) => failed(&error.to_string()),
            }
        })
    })
}
