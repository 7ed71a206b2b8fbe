//! What a run says of itself when nothing more is done.

use super::{REHEARSAL, SETUP, WORK};
use crate::plan::{Bound, BoundStep};
use crate::report::{self, Done, ObservationReport, Outcome, Report, StepReport};
use crate::run::RunFailure;
use crate::run::history::{History, SagaHistory, printed};
use crate::saga::turned_at;
use hv_core::audit::Log;
use hv_core::saga::{Cause, SagaState};
use hv_core::types::SessionId;
use std::collections::BTreeMap;
use std::path::Path;

/// How a run ended that has a history to its end.
pub(super) fn ended(history: &History) -> Outcome {
    let state = |name| history.saga(name).map(|saga| (saga.state, saga.acted()));
    let of = |(state, acted): (SagaState, bool)| {
        let done = if acted || history.denials.is_empty() { Done::Something } else { Done::Nothing };
        Outcome::of(state, done)
    };
    if let Some((SagaState::Escalated, _)) = state(REHEARSAL) {
        return Outcome::Escalated;
    }
    match (state(SETUP), state(WORK)) {
        (_, Some(work)) => of(work).unwrap_or(Outcome::RolledBack),
        (Some(setup), None) if setup.0 != SagaState::Completed => of(setup).unwrap_or(Outcome::RolledBack),
        (None, None) if !history.denials.is_empty() => Outcome::Denied,
        _ => Outcome::RolledBack,
    }
}

/// Why the run turned back: the first of its sagas that did. A rehearsal is called off when all of it is done, so that is
/// no reason; and where each went its way and yet no work began, that was called off in between.
fn cause(history: &History, outcome: Outcome) -> Option<String> {
    let sagas = [SETUP, REHEARSAL, WORK].into_iter().filter_map(|name| Some((name, history.saga(name)?)));
    let its_way = |name, saga: &SagaHistory| {
        name == REHEARSAL
            && saga.cause == Some(Cause::Cancelled {})
            && saga.committed.len() == saga.steps.len()
    };
    let turned = sagas.filter(|(name, saga)| !its_way(*name, saga));
    let found = turned.filter_map(|(name, saga)| Some((name, saga, saga.cause?))).next();
    let Some((name, saga, cause)) = found else {
        let went_well = history.saga(REHEARSAL).is_none() || history.rehearsed_well();
        let called_off = outcome == Outcome::RolledBack && history.saga(WORK).is_none() && went_well;
        return called_off.then(|| format!("{} before its work began", Cause::Cancelled {}));
    };
    let why = match cause {
        Cause::Failed { step } | Cause::Denied { step } | Cause::InDoubt { step } => {
            let step = saga.steps.get(step as usize);
            step.map_or_else(|| cause.to_string(), |step| turned_at(cause, step.id(), step.was_seen))
        }
        Cause::Cancelled {} | Cause::Unfinished {} | Cause::OutOfTime {} => cause.to_string(),
    };
    Some(if name == WORK { why } else { format!("in the {name} {why}") })
}

/// A report of a session in which nothing was done.
pub(super) fn blank(session: Option<SessionId>, data: &Path) -> Report {
    let outcome = Outcome::RolledBack;
    Report {
        version: report::VERSION,
        outcome,
        exit_code: outcome.exit().code(),
        session,
        cause: None,
        root: None,
        data: data.display().to_string(),
        work: String::new(),
        paths: BTreeMap::new(),
        started: hv_core::types::Timestamp::default(),
        ended: None,
        agents: Vec::new(),
        vouches: Vec::new(),
        setup: Vec::new(),
        rehearsal: Vec::new(),
        steps: Vec::new(),
        commit_order: Vec::new(),
        undo_order: Vec::new(),
        denials: Vec::new(),
        slashes: Vec::new(),
        charges: Vec::new(),
        failed_undos: Vec::new(),
        observations: Vec::new(),
        verify: None,
    }
}

pub(super) fn report(
    history: &History,
    log: &dyn Log,
    bound: &Bound,
    data: &Path,
    outcome: Outcome,
) -> Result<Report, RunFailure> {
    let steps = |name: &str, bound: &[BoundStep]| -> Result<Vec<StepReport>, RunFailure> {
        let mut steps = history.saga(name).map_or(Ok(Vec::new()), |saga| saga.step_reports(log))?;
        for step in &mut steps {
            step.undo_unproven = bound.iter().any(|bound| bound.def.id == step.id && bound.is_unproven());
        }
        Ok(steps)
    };
    let order = |pick: fn(&SagaHistory) -> &Vec<hv_core::types::StepId>| {
        history.saga(WORK).map(|saga| pick(saga).clone()).unwrap_or_default()
    };
    let look = |saga: &str, name: &str| -> Result<Option<String>, RunFailure> {
        let saga = history.saga(saga).filter(|saga| saga.state == SagaState::Completed);
        let step = saga.and_then(|saga| saga.steps.iter().find(|step| step.id().as_str() == name));
        step.map(|step| printed(log, step.output)).transpose()
    };
    let mut observations = Vec::new();
    for seen in &bound.observations {
        let (before, after) = (look("observe-before", &seen.name)?, look("observe-after", &seen.name)?);
        observations.push(ObservationReport::new(&seen.name, before, after));
    }
    let outcome = match outcome {
        Outcome::Escalated if history.is_settled() => Outcome::Settled,
        outcome => outcome,
    };
    Ok(Report {
        outcome,
        exit_code: outcome.exit().code(),
        cause: cause(history, outcome),
        root: history.root,
        work: bound.work.clone(),
        paths: bound.paths.clone(),
        started: history.started,
        ended: history.ended,
        agents: history.agents.clone(),
        vouches: history.vouches.clone(),
        setup: steps(SETUP, &bound.setup)?,
        rehearsal: steps(REHEARSAL, &bound.steps)?,
        steps: steps(WORK, &bound.steps)?,
        commit_order: order(|saga| &saga.committed),
        undo_order: order(|saga| &saga.undone),
        denials: history.denials.clone(),
        slashes: history.slashes.clone(),
        charges: history.charges.clone(),
        failed_undos: history.failed_undos(),
        observations,
        ..blank(Some(history.session.clone()), data)
    })
}
