//! The functions that undo the steps of a saga that grows, or find out what they did: those that come with a step, and those
//! for steps of an earlier program.

use super::{Work, failed};
use hv_saga::{Outcome, ProbeAnswer, StepDef, Task, Verdict};
use hv_types::ActionId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What undoes one step, or finds out whether its effect is there.
pub(super) type Undo = Box<dyn Fn() -> Work<'static> + Send + Sync>;
type UndoOf = Box<dyn Fn(u32) -> Undo + Send + Sync>;

/// The functions that undo the steps which an earlier program added to a saga, or find out what they did, by their actions;
/// see [`SessionHandle::reopen_saga`](crate::SessionHandle::reopen_saga).
#[derive(Default)]
pub struct Undos {
    by_action: BTreeMap<ActionId, UndoOf>,
    probes: BTreeMap<ActionId, UndoOf>,
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

    /// The same with what finds out whether the effect of a step of this action is there, as
    /// [`NewStep::with_probe`](crate::NewStep::with_probe) does. It is told the step's number.
    #[must_use]
    pub fn with_probe<P, F, E>(mut self, action: ActionId, probe: P) -> Self
    where
        P: Fn(u32) -> F + Send + Sync + 'static,
        F: Future<Output = Result<bool, E>> + Send + 'static,
        E: fmt::Display,
    {
        let probe = Arc::new(probe);
        let of = move |number| {
            let probe = Arc::clone(&probe);
            probe_by(move || probe(number))
        };
        self.probes.insert(action, Box::new(of));
        self
    }

    /// What finds out whether a step of this number had its effect; nothing where it has no probe.
    pub(super) fn probe_of(&self, step: &StepDef, number: u32) -> Result<Option<Undo>, NoFunction> {
        of(&self.probes, step.probe.as_deref(), (step, number))
    }

    /// What undoes a step of this number; nothing where it has no undo.
    pub(super) fn of(&self, step: &StepDef, number: u32) -> Result<Option<Undo>, NoFunction> {
        of(&self.by_action, step.undo.as_deref(), (step, number))
    }
}

/// The function for a step whose definition has such a task; nothing where it has none.
fn of(
    functions: &BTreeMap<ActionId, UndoOf>,
    task: Option<&Task>,
    (step, number): (&StepDef, u32),
) -> Result<Option<Undo>, NoFunction> {
    match task {
        None => Ok(None),
        Some(Task::Closure { .. }) => {
            functions.get(&step.action).map(|of| Some(of(number))).ok_or(NoFunction)
        }
        Some(_) => Err(NoFunction),
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

/// A function of the program, as what finds out whether a step had its effect.
pub(super) fn probe_by<P, F, E>(probe: P) -> Undo
where
    P: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<bool, E>> + Send + 'static,
    E: fmt::Display,
{
    Box::new(move || {
        let work = probe();
        Box::pin(async move {
            let answer = match work.await {
                Ok(true) => ProbeAnswer::Present,
                Ok(false) => ProbeAnswer::Absent,
                Err(error) => return failed(&error.to_string()),
            };
            Outcome { verdict: Verdict::Answer(answer), ..Outcome::done() }
        })
    })
}
