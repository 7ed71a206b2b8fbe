//! Whether a recorded history still makes sense under a changed definition.

use super::Failure;
use super::args::ReplayArgs;
use super::trail::{Told, Trail};
use crate::Exit;
use crate::output;
use crate::plan::Plan;
use crate::run::{SETUP, WORK, begun};
use hv_core::event::SagaEvent;
use hv_core::saga::{Limits, Machine, Saga, StepDef, StepState};
use hv_core::types::Wire;
use serde_json::json;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

mod limits;
mod tries;

/// What came of one saga.
struct Checked {
    name: String,
    /// Digest of the recorded steps and of the file's.
    versions: [String; 2],
    /// The recorded ones and the file's, where the trail tells of any.
    limits: Option<[Limits; 2]>,
    changes: Vec<String>,
    /// Why the history makes no sense.
    broken: Option<String>,
}

pub(super) fn check(args: &ReplayArgs) -> Result<Exit, Failure> {
    let trail = Trail::read(&args.data)?;
    let plan = Plan::load(&args.against)?;
    let mut checked = Vec::new();
    for session in trail.sessions.values() {
        let Some(note) = session.note else { continue };
        let begun = begun(&args.data, &note).map_err(Failure::Hv)?;
        let bound = plan.bind(Path::new(&begun.work))?;
        let before = begun.source().ok().and_then(|source| Plan::parse(&source).ok());
        for told in &session.sagas {
            let steps = match told.id.as_str() {
                SETUP => &bound.setup,
                WORK => &bound.steps,
                _ => continue,
            };
            let steps: Vec<_> = steps.iter().map(|step| Arc::new(step.def.clone())).collect();
            let mut held = held(format!("{}/{}", session.name, told.id), told, &steps);
            let work = told.id.as_str() == WORK;
            let mut broken = Vec::from_iter(held.broken);
            if let Some(limits) = limits::compared(told, &plan, before.as_ref(), work) {
                held.limits = Some([limits.recorded, limits.file]);
                held.changes.extend(limits.changes);
                broken.extend(limits.broken);
            }
            broken.extend(tries::unlike(&told.events, &steps, held.limits.map(|[_, file]| file.retries)));
            held.broken = (!broken.is_empty()).then(|| broken.join("; "));
            checked.push(held);
        }
    }
    if checked.is_empty() {
        let why = "no saga in it was begun from a session file, so there is nothing to compare";
        return Err(Failure::Input(format!("{}: {why}", args.data.display())));
    }
    let sound = checked.iter().all(|checked| checked.broken.is_none());
    if args.json {
        let sagas = checked.iter().map(|checked| {
            json!({
                "saga": checked.name,
                "recorded": checked.versions[0],
                "file": checked.versions[1],
                "limits": checked.limits.map(|[recorded, file]| json!({
                    "recorded": limits::document(recorded),
                    "file": limits::document(file),
                })),
                "changes": checked.changes,
                "broken": checked.broken,
            })
        });
        output::json(&json!({ "makes_sense": sound, "sagas": sagas.collect::<Vec<_>>() }))?;
    } else {
        let mut text = String::new();
        for Checked { name, versions: [recorded, file], changes, broken, .. } in &checked {
            match (recorded == file, broken) {
                (true, None) if changes.is_empty() => {
                    let _ = writeln!(text, "{name}: the steps are those that are recorded ({recorded})");
                }
                (true, None) => {
                    let _ = writeln!(
                        text,
                        "{name}: the steps are those that are recorded ({recorded}), and the history makes sense \
                         under the limits"
                    );
                }
                (true, Some(why)) => {
                    let _ = writeln!(
                        text,
                        "{name}: the steps are those that are recorded ({recorded}), and the history makes no \
                         sense under the limits: {why}"
                    );
                }
                (false, None) => {
                    let _ = writeln!(text, "{name}: the history makes sense ({recorded} -> {file})");
                }
                (false, Some(why)) => {
                    let _ =
                        writeln!(text, "{name}: the history makes no sense ({recorded} -> {file}): {why}");
                }
            }
            for change in changes {
                let _ = writeln!(text, "  {change}");
            }
        }
        output::print(&text)?;
    }
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

fn held(name: String, told: &Told, steps: &[Arc<StepDef>]) -> Checked {
    let recorded = told.saga.steps();
    let versions = [version(recorded), version(steps)];
    let mut changes = Vec::new();
    let mut broken = None;
    for (n, def) in recorded.iter().enumerate() {
        let started = told.saga.runs().nth(n).is_some_and(|run| run.state != StepState::Pending);
        match steps.get(n) {
            None => changes.push(format!("step {} is gone", def.id)),
            Some(new) if new.id != def.id => changes.push(format!("step {} became {}", def.id, new.id)),
            Some(new) => changes.extend(changed(def, new)),
        }
        // What was begun as one thing cannot be undone as another.
        let other = steps
            .get(n)
            .is_none_or(|new| (&new.id, &new.action, &new.execute) != (&def.id, &def.action, &def.execute));
        if started && other {
            broken.get_or_insert(format!("step {} has started, and is not what it was", def.id));
        }
    }
    changes.extend(steps.iter().skip(recorded.len()).map(|def| format!("step {} is new", def.id)));
    let broken = broken.or_else(|| replayed(told, steps).err());
    Checked { name, versions, limits: None, changes, broken }
}

fn changed(old: &StepDef, new: &StepDef) -> Option<String> {
    let parts = [
        ("action", old.action != new.action),
        ("kind", old.kind != new.kind),
        ("agent", old.agent != new.agent),
        ("after", old.after != new.after || old.join != new.join),
        ("execute", old.execute != new.execute),
        ("undo", old.undo != new.undo || old.undo_window != new.undo_window),
        ("probe", old.probe != new.probe),
        ("timeouts", (old.timeout, old.undo_timeout) != (new.timeout, new.undo_timeout)),
        ("retries", (old.retry, old.undo_retry) != (new.retry, new.undo_retry)),
        ("idempotence", old.idempotent != new.idempotent),
        ("substitute", old.substitute != new.substitute),
        ("time to settle", old.settles != new.settles),
        ("time for all attempts", old.within != new.within),
        ("time to wait for its turn", old.start_within != new.start_within),
    ];
    let parts: Vec<&str> = parts.into_iter().filter(|(_, changed)| *changed).map(|(part, _)| part).collect();
    (!parts.is_empty()).then(|| format!("step {} has another {}", old.id, parts.join(", ")))
}

/// Replays the record on other steps; the first event that breaks a rule is told.
fn replayed(told: &Told, steps: &[Arc<StepDef>]) -> Result<(), String> {
    let mut saga = Saga::default();
    for (n, event) in on(&told.events, steps) {
        saga.apply(&event).map_err(|illegal| format!("event {} of its history: {illegal}", n + 1))?;
    }
    Ok(())
}

/// A history with its numbers, as if these had been its steps.
fn on<'a>(
    events: &'a [SagaEvent],
    steps: &'a [Arc<StepDef>],
) -> impl Iterator<Item = (usize, SagaEvent)> + 'a {
    let mut appended = false;
    events.iter().enumerate().filter_map(move |(n, event)| match event {
        SagaEvent::Appended { .. } if appended => None,
        SagaEvent::Appended { growth, .. } => {
            appended = true;
            Some((n, SagaEvent::Appended { steps: steps.to_vec().into(), growth: *growth }))
        }
        event => Some((n, event.clone())),
    })
}

/// A short digest of definitions.
fn version(steps: &[Arc<StepDef>]) -> String {
    let mut bytes = Vec::new();
    for step in steps {
        bytes.extend_from_slice(&step.to_bytes());
    }
    blake3::hash(&bytes).to_hex().chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hv_core::saga::{Idempotence, Join, Retry, Task};
    use hv_core::types::{ActionId, ActionKind, Did, StepId};
    use std::time::Duration;

    /// Whatever is another one in a definition is named: only what has the same digest is told as the same.
    #[test]
    fn every_change_of_a_step_is_named() {
        let did = |name: &str| Did::new(&format!("did:mesh:{name}")).unwrap();
        let action = |name| ActionId::new(name).unwrap();
        let task = |name| Task::closure(name);
        let old =
            StepDef::new(StepId::new("s").unwrap(), action("act"), did("a"), task("x")).with_undo(task("x"));
        assert_eq!(changed(&old, &old), None);
        let (second, same) = (Duration::from_secs(1), || old.clone());
        for (new, part) in [
            (StepDef { action: action("other"), ..same() }, "action"),
            (StepDef { kind: ActionKind::ReadOnly, ..same() }, "kind"),
            (StepDef { agent: did("b"), ..same() }, "agent"),
            (StepDef { after: vec![0], ..same() }, "after"),
            (StepDef { join: Join::Majority, ..same() }, "after"),
            (StepDef { execute: Arc::new(task("y")), ..same() }, "execute"),
            (StepDef { undo: None, ..same() }, "undo"),
            (StepDef { undo_window: Some(second), ..same() }, "undo"),
            (same().with_probe(task("x")), "probe"),
            (StepDef { idempotent: Idempotence::Undo, ..same() }, "idempotence"),
            (StepDef { timeout: second, ..same() }, "timeouts"),
            (StepDef { undo_timeout: second, ..same() }, "timeouts"),
            (StepDef { retry: Retry::times(1), ..same() }, "retries"),
            (StepDef { undo_retry: Retry::times(1), ..same() }, "retries"),
            (same().with_substitute(did("b")), "substitute"),
            (same().with_settles(second), "time to settle"),
            (same().with_within(second), "time for all attempts"),
            (same().with_start_within(second), "time to wait for its turn"),
        ] {
            assert_ne!(version(&[Arc::new(same())]), version(&[Arc::new(new.clone())]));
            assert_eq!(changed(&old, &new), Some(format!("step s has another {part}")));
        }
    }
}
