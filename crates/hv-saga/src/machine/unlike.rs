//! Where a record tells of another number of attempts than a saga would have made.

use super::Saga;
use super::decide::may_undo_again;
use super::due::{after, out_of_time};
use crate::definition::StepDef;
use crate::event::{Micros, Move, SagaEvent, StepRun};
use crate::state::{SagaState, StepState};
use crate::{Class, Failure, Purpose, Reason};

/// What a record tells that a saga would not have decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlike {
    /// Something was tried again that would have been given up.
    TriedAgain {
        /// The step's ordinal.
        step: u32,
        /// What was tried.
        purpose: Purpose,
        /// How many repetitions would have to be allowed.
        least: u32,
    },
    /// Something was given up that would have been tried again.
    GivenUp {
        /// The step's ordinal.
        step: u32,
        /// What was given up.
        purpose: Purpose,
        /// How many repetitions may be allowed at most, so that it is given up there.
        most: u32,
    },
}

impl Saga {
    /// Whether this saga, where it stands, would have tried again what the event gives up, or given up what the event tries
    /// again: so a history is held against another definition, event by event, each before it is applied. Where the wait
    /// before a repetition decides, which nobody drew, nothing is said. A history of this very definition has none of it.
    #[must_use]
    pub fn unlike(&self, event: &SagaEvent) -> Option<Unlike> {
        use StepState::{Confirming, Executing, InDoubt, Probing, Undoing};
        if let SagaEvent::Started { step, purpose: Purpose::Execute, .. } = *event {
            let (def, run) = self.step(step)?;
            let allowed = def.retry.max.max(1).saturating_add(run.crashes);
            let least = run.executes.saturating_sub(run.crashes);
            let again = run.state == InDoubt && run.executes > allowed;
            return again.then_some(Unlike::TriedAgain { step, purpose: Purpose::Execute, least });
        }
        let SagaEvent::Moved { step, ref to, at } = *event else { return None };
        let (def, &run) = self.step(step)?;
        let repeats = |purpose, attempts: u32| {
            let least = attempts.saturating_sub(run.crashes);
            Some(Unlike::TriedAgain { step, purpose, least })
        };
        let ends = |purpose, attempts: u32| {
            let most = attempts.saturating_sub(run.crashes).saturating_sub(1);
            Some(Unlike::GivenUp { step, purpose, most })
        };
        match (run.state, to) {
            // What was not begun, because its agent lost the right to it, goes to the substitute, and is no repetition.
            (Executing, Move::Retry { failure, .. }) if failure.reason == Reason::NotPermitted => None,
            (Executing | Probing, Move::Retry { .. }) if !may_execute_again(def, run) => {
                repeats(Purpose::Execute, run.executes)
            }
            (
                Executing | Probing,
                Move::Failed { failure } | Move::Suspect { failure, .. } | Move::Assumed { failure },
            ) if self.would_execute_again(def, run, failure, at) => ends(Purpose::Execute, run.executes),
            (_, Move::UndoRetry { failure, .. }) if !may_undo_again(def, run, failure) => {
                repeats(Purpose::Undo, run.undos)
            }
            (Undoing, Move::Unconfirmed { failure: Some(failure), .. } | Move::UndoFailed { failure })
                if would_undo_again(def, run, failure) =>
            {
                ends(Purpose::Undo, run.undos)
            }
            (Confirming, Move::UndoFailed { failure })
                if failure.reason == Reason::Present && would_undo_again(def, run, failure) =>
            {
                ends(Purpose::Undo, run.undos)
            }
            _ => None,
        }
    }

    fn would_execute_again(&self, def: &StepDef, run: StepRun, failure: &Failure, at: Micros) -> bool {
        // The longest that it could have waited.
        let longest = def.retry.ceiling(run.executes);
        let longest = longest.max(failure.retry_after.unwrap_or_default().min(def.retry.cap));
        failure.class == Class::Retryable
            && self.state == SagaState::Running
            && may_execute_again(def, run)
            && self.has_budget()
            && out_of_time(def, run).is_none_or(|over| after(at, longest) < over)
    }
}

pub(super) const fn may_execute_again(def: &StepDef, run: StepRun) -> bool {
    run.executes <= def.retry.max.saturating_add(run.crashes)
}

fn would_undo_again(def: &StepDef, run: StepRun, failure: &Failure) -> bool {
    failure.class == Class::Retryable && may_undo_again(def, run, failure)
}
