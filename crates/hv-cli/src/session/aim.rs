//! What a kill is aimed at.

use hv_core::event::KillTarget;
use hv_core::saga::{Purpose, Saga, StepDef};
use hv_core::types::{Did, SagaId, SessionId};
use std::sync::Arc;

/// What a kill means for a saga of which something runs.
pub(crate) enum Aim {
    Nothing,
    /// It turns back, and what executes is stopped.
    Cancels,
    /// Others are named to take over from the agent: its work is handed to them.
    Relieves(Did),
}

/// What a kill means for a saga that is driven.
pub(crate) fn aim(target: &KillTarget, session: &SessionId, saga: &Saga) -> Aim {
    let mut steps = saga.steps().iter();
    let meant = match target {
        KillTarget::All {} => true,
        KillTarget::Session { id } => id == session,
        KillTarget::Action { action } => steps.any(|step| step.action == *action),
        KillTarget::Agent { did } => {
            // Whoever may have taken a step over may be at it.
            let handed = saga.steps().iter().any(|step| {
                let substitute = step.substitute.as_ref();
                substitute.is_some() && (step.agent == *did || substitute == Some(did))
            });
            if handed {
                return Aim::Relieves(did.clone());
            }
            steps.any(|step| step.agent == *did)
        }
    };
    if meant { Aim::Cancels } else { Aim::Nothing }
}

/// The steps at which a kill is aimed and of which an execution was begun that nobody knows the end of.
fn begun<'a>(
    target: &'a KillTarget,
    session: &'a SessionId,
    saga: &'a Saga,
) -> impl Iterator<Item = &'a Arc<StepDef>> {
    let open = (0u32..).zip(saga.steps()).zip(saga.runs()).filter(|(_, run)| run.state.is_open());
    let hit = move |(ordinal, step): &(u32, &Arc<StepDef>)| match target {
        KillTarget::All {} => true,
        KillTarget::Session { id } => id == session,
        KillTarget::Agent { did } => saga.agent(*ordinal) == Some(did),
        KillTarget::Action { action } => step.action == *action,
    };
    open.map(|(step, _)| step).filter(hit).map(|(_, step)| step)
}

/// Whether a kill is aimed at something that a saga has begun.
pub(crate) fn is_at_work(target: &KillTarget, session: &SessionId, saga: &Saga) -> bool {
    begun(target, session, saga).next().is_some()
}

/// By which the programs are known that a kill is to stop where nobody drives the saga.
pub(super) fn keys(target: &KillTarget, session: &SessionId, id: &SagaId, saga: &Saga) -> Vec<String> {
    begun(target, session, saga).map(|step| Purpose::Execute.key(session, id, &step.id)).collect()
}
