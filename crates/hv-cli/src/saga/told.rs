//! Sagas in words, as JSON, and drawn.

use super::trail::{Session, Told, Trail};
use super::{Failure, timeline};
use crate::Exit;
use crate::output;
use hv_core::event::SagaEvent;
use hv_core::saga::reversibility::{Failed, LOOK};
use hv_core::saga::{Cause, Join, Move, Reason, SagaState, StepDef, StepState};
use hv_core::types::{ActionId, StepId};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

/// One line a saga, then what waits for a person.
pub(super) fn list(trail: &Trail, as_json: bool) -> Result<Exit, Failure> {
    let open = trail.open();
    if as_json {
        let sagas: Vec<Value> =
            trail.sagas(None).into_iter().map(|(session, .., told)| fields(&session.name, told)).collect();
        let undos: Vec<Value> = failed_undos(trail)
            .map(|(session, action, failed)| {
                json!({ "session": session.name, "action": action, "agent": failed.agent, "step": failed.step,
                    "at": failed.at, "session_is_open": !session.closed })
            })
            .collect();
        output::json(&json!({ "sagas": sagas, "open": open, "failed_undos": undos }))?;
    } else {
        let mut text = String::new();
        for (session, .., told) in trail.sagas(None) {
            let count = |state| told.saga.runs().filter(|run| run.state == state).count();
            let (done, stuck) = (count(StepState::Committed), count(StepState::CompensationFailed));
            let cause = cause(told).map(|cause| format!(", because {cause}")).unwrap_or_default();
            let paused = if told.saga.is_paused() { ", paused" } else { "" };
            let stand = match (done, told.saga.steps().len()) {
                // Nobody knows what of it is there.
                (_, 1) if stuck > 0 => "its step could not be undone".to_owned(),
                (0, 1) => "its step does not stand".to_owned(),
                (_, 1) => "its step stands".to_owned(),
                (1, steps) => format!("1 of {steps} steps stands"),
                (done, steps) => format!("{done} of {steps} steps stand"),
            };
            let stuck = if stuck > 0 && told.saga.steps().len() > 1 {
                format!(", {stuck} could not be undone")
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "{}/{}  {}, {stand}{stuck}{paused}{cause}",
                session.name,
                told.id,
                told.saga.state()
            );
        }
        for item in &open {
            let _ = writeln!(text, "{}", waits(item));
        }
        for (session, action, failed) in failed_undos(trail) {
            let way = if session.closed { "" } else { ": rehearse it, or hv saga restore" };
            let _ = writeln!(
                text,
                "{}  an undo of {action} failed ({} of {}), so it counts as one that cannot be undone{way}",
                session.name, failed.step, failed.agent
            );
        }
        if !open.is_empty() || failed_undos(trail).any(|(session, ..)| !session.closed) {
            text.push_str(missing(trail));
        }
        output::print(&text)?;
    }
    Ok(if open.is_empty() { Exit::Done } else { Exit::Escalated })
}

/// What is said of an open item.
fn waits(item: &str) -> String {
    format!("{item}  waits for a person: hv saga resolve, skip or retry")
}

/// What has to be there before a word of a witness counts.
const fn missing(trail: &Trail) -> &'static str {
    match trail.witnessed {
        Some(true) => "",
        Some(false) => {
            "all but a rehearsal takes the word of a witness; this node has none, and only a witness could change that\n"
        }
        None => {
            "all but a rehearsal takes the word of a witness; name one first: hv node configure --did DID --witness DID\n"
        }
    }
}

/// The actions whose undo failed and was not restored.
fn failed_undos(trail: &Trail) -> impl Iterator<Item = (&Session, &ActionId, &Failed)> {
    trail.sessions.values().flat_map(|session| {
        let failed = session.undos.entries().filter_map(|entry| Some((entry.action, entry.failed?)));
        failed.map(move |(action, failed)| (session, action, failed))
    })
}

pub(super) fn no_such_saga() -> Failure {
    Failure::Input("there is no such saga; `hv saga list` names those that there are".to_owned())
}

pub(super) fn show(trail: &Trail, name: Option<&str>, as_json: bool) -> Result<Exit, Failure> {
    let found = trail.sagas(name);
    if found.is_empty() {
        return Err(no_such_saga());
    }
    if as_json {
        let sagas: Vec<Value> = found.iter().map(|(session, .., told)| fields(&session.name, told)).collect();
        output::json(&sagas)?;
    } else {
        let text: String = lines(trail, name).iter().map(|line| format!("{line}\n")).collect();
        output::print(&text)?;
    }
    Ok(Exit::Done)
}

/// One line a step, and one for the saga behind its steps.
pub(super) fn lines(trail: &Trail, name: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    for (session, .., told) in trail.sagas(name) {
        for (step, (def, run)) in (0u32..).zip(told.saga.steps().iter().zip(told.saga.runs())) {
            let agent = told.saga.agent(step).unwrap_or(&def.agent);
            let after = names(told, def);
            let waits =
                if after.is_empty() { String::new() } else { format!(", after {}", after.join(", ")) };
            lines.push(format!(
                "{}/{}/{}  {}: {} by {agent}, executed {}, undo tried {}, probed {}{waits}",
                session.name, told.id, def.id, run.state, def.action, run.executes, run.undos, run.probes
            ));
        }
        let steps = format!("{}/{}/", session.name, told.id);
        lines.extend(trail.open().iter().filter(|item| item.starts_with(&steps)).map(|item| waits(item)));
        lines.push(format!("{}/{}  {}", session.name, told.id, told.saga.state()));
    }
    lines
}

/// The same as objects: the fields of a step with its session and saga, and those of a saga without its steps.
pub(super) fn objects(trail: &Trail, name: Option<&str>) -> Vec<String> {
    let mut objects = Vec::new();
    for (session, .., told) in trail.sagas(name) {
        for (step, def) in (0u32..).zip(told.saga.steps()) {
            let of = [("session", session.name.as_str().into()), ("saga", told.id.as_str().into())];
            objects.push(with(step_fields(told, step, def), of).to_string());
        }
        objects.push(saga_fields(&session.name, told).to_string());
    }
    objects
}

fn names(told: &Told, def: &StepDef) -> Vec<String> {
    let name = |after: &u32| told.saga.steps().get(*after as usize).map(|step| step.id.to_string());
    def.after.iter().filter_map(name).collect()
}

/// Why the saga turned back, with the step by its name: its number counts from nought, which nobody guesses.
fn cause(told: &Told) -> Option<String> {
    let cause = told.saga.cause()?;
    if cause == (Cause::Cancelled {}) && told.rehearsal && was_all_done(told) {
        return Some(of_rehearsal(told));
    }
    let step = match cause {
        Cause::Failed { step } | Cause::Denied { step } | Cause::InDoubt { step } => step,
        Cause::Cancelled {} | Cause::Unfinished {} | Cause::OutOfTime {} => return Some(cause.to_string()),
    };
    let Some((def, _)) = told.saga.step(step) else { return Some(cause.to_string()) };
    Some(match cause {
        // Its name is in no session file.
        Cause::Failed { .. } if told.rehearsal && def.action.as_str() == LOOK => {
            let of = names(told, def);
            format!("the probe of step {} did not see what it did", of.join(", "))
        }
        _ => turned_at(cause, &def.id, was_seen(told, step)),
    })
}

/// Why a saga turned back at this step, whose effect a probe has `seen` or not.
pub(crate) fn turned_at(cause: Cause, step: &StepId, seen: bool) -> String {
    match cause {
        Cause::Denied { .. } => format!("step {step} was denied"),
        Cause::InDoubt { .. } if seen => format!("step {step} failed and left its effect behind"),
        Cause::InDoubt { .. } => format!("nobody can tell what step {step} did"),
        _ => format!("step {step} failed"),
    }
}

/// Why a rehearsal turned back of which every step was done: that is its way.
fn of_rehearsal(told: &Told) -> String {
    let mut steps = told.saga.steps().iter().zip(told.saga.runs());
    let failed = steps.find(|(_, run)| run.state == StepState::CompensationFailed);
    failed.map_or_else(
        || "a rehearsal undoes what it did".to_owned(),
        |(def, _)| format!("the undo of step {} did not work", def.id),
    )
}

/// Whether every step committed, whatever became of it then.
fn was_all_done(told: &Told) -> bool {
    let committed = |event: &SagaEvent| match event {
        SagaEvent::Moved { step, to: Move::Committed {}, .. } => Some(*step),
        _ => None,
    };
    let committed: BTreeSet<u32> = told.events.iter().filter_map(committed).collect();
    committed.len() == told.saga.steps().len()
}

/// Whether a probe found the effect of a step that had failed.
fn was_seen(told: &Told, of: u32) -> bool {
    told.events.iter().any(|event| match event {
        SagaEvent::Moved { step, to: Move::Assumed { failure }, .. } => {
            *step == of && failure.reason == Reason::Present
        }
        _ => false,
    })
}

fn fields(session: &str, told: &Told) -> Value {
    let steps: Vec<Value> =
        (0u32..).zip(told.saga.steps()).map(|(step, def)| step_fields(told, step, def)).collect();
    with(saga_fields(session, told), [("steps", steps.into())])
}

/// A saga without its steps.
fn saga_fields(session: &str, told: &Told) -> Value {
    json!({
        "session": session,
        "saga": told.id.as_str(),
        "state": told.saga.state().name(),
        "paused": told.saga.is_paused(),
        "cause": cause(told),
    })
}

fn step_fields(told: &Told, step: u32, def: &StepDef) -> Value {
    let run = told.saga.step(step).map(|(_, run)| *run).unwrap_or_default();
    json!({
        "id": def.id.as_str(),
        "agent": told.saga.agent(step).unwrap_or(&def.agent).as_str(),
        "action": def.action.as_str(),
        "after": names(told, def),
        "needs": def.needs(),
        "state": run.state.name(),
        "executes": run.executes,
        "undos": run.undos,
        "probes": run.probes,
    })
}

fn with<const N: usize>(mut value: Value, more: [(&str, Value); N]) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    value
}

/// How sagas are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// What waits for what, indented by the longest way there.
    Plain,
    /// The same for Mermaid.
    Mermaid,
    /// Every attempt over time.
    Svg,
}

/// Draws sagas.
pub(super) fn graph(trail: &Trail, name: Option<&str>, form: Form) -> Result<Exit, Failure> {
    let found = trail.sagas(name);
    if found.is_empty() {
        return Err(no_such_saga());
    }
    if form == Form::Svg {
        let sagas: Vec<&Told> = found.into_iter().map(|(.., told)| told).collect();
        output::print(&timeline::drawn(&sagas))?;
        return Ok(Exit::Done);
    }
    let mermaid = form == Form::Mermaid;
    let mut text = String::new();
    if mermaid {
        text.push_str("flowchart TD\n");
    }
    for (nth, (session, .., told)) in found.into_iter().enumerate() {
        if mermaid {
            drawn(nth, &session.name, told, &mut text);
        } else {
            let _ = writeln!(text, "{}/{} ({})", session.name, told.id, told.saga.state());
            indented(told, &mut text);
        }
    }
    output::print(&text)?;
    Ok(Exit::Done)
}

fn indented(told: &Told, text: &mut String) {
    let mut depths: Vec<usize> = Vec::new();
    for (step, def) in (0u32..).zip(told.saga.steps()) {
        let depth = def
            .after
            .iter()
            .filter_map(|&after| depths.get(after as usize))
            .max()
            .map_or(0, |deepest| deepest + 1);
        depths.push(depth);
        let state = told.saga.step(step).map(|(_, run)| run.state.name()).unwrap_or_default();
        let after = names(told, def);
        let waits = match (after.as_slice(), def.join) {
            ([], _) => String::new(),
            (some, Join::All) => format!(" <- {}", some.join(", ")),
            (some, _) => format!(" <- {} of {}", def.needs(), some.join(", ")),
        };
        let _ = writeln!(text, "{:indent$}{} [{state}]{waits}", "", def.id, indent = 2 + 2 * depth);
    }
}

/// Names may hold what Mermaid reads as its own, so nodes are numbered and labels quoted.
fn drawn(nth: usize, session: &str, told: &Told, text: &mut String) {
    let state = told.saga.state();
    let mark = if state == SagaState::Escalated { " !" } else { "" };
    let _ = writeln!(text, "  subgraph g{nth} [\"{session}/{}: {state}{mark}\"]", told.id);
    for (step, def) in (0u32..).zip(told.saga.steps()) {
        let state = told.saga.step(step).map(|(_, run)| run.state.name()).unwrap_or_default();
        let _ = writeln!(text, "    g{nth}s{step}[\"{}<br/>{state}\"]", def.id);
        for after in &def.after {
            let needs = if def.join == Join::All {
                String::new()
            } else {
                format!("|{} of {}|", def.needs(), def.after.len())
            };
            let _ = writeln!(text, "    g{nth}s{after} -->{needs} g{nth}s{step}");
        }
    }
    text.push_str("  end\n");
}
