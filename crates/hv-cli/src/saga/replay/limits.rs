//! Whether what a saga did keeps to other limits than those under which it was begun.

use super::super::trail::Told;
use crate::plan::Plan;
use hv_core::event::SagaEvent;
use hv_core::saga::{Cause, Limits, Machine, Micros, Purpose, Saga, SagaState};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The limits of a saga as its trail has them and as a file gives them.
pub(super) struct Compared {
    pub(super) recorded: Limits,
    pub(super) file: Limits,
    pub(super) changes: Vec<String>,
    /// What of the history could not have been under the file's limits.
    pub(super) broken: Vec<String>,
}

/// Compares them. `before` is the file that the run was begun with, where this version still reads it; retries and time
/// are limits of the `work` alone.
pub(super) fn compared(told: &Told, file: &Plan, before: Option<&Plan>, work: bool) -> Option<Compared> {
    let recorded = told.events.iter().find_map(|event| match event {
        SagaEvent::Created { limits, .. } => Some(*limits),
        _ => None,
    })?;
    let given = file.limits();
    // Where the agents' rings allowed less than the file did, that is not known of another file.
    let same = before.is_some_and(|before| before.limits().parallel == given.parallel);
    let ringed = before.is_some_and(|before| before.limits().parallel > recorded.concurrency);
    let concurrency = match given.parallel {
        _ if same => recorded.concurrency,
        parallel if ringed => parallel.min(recorded.concurrency),
        parallel => parallel,
    };
    let of_work = Limits {
        retries: given.retries.unwrap_or(Limits::default().retries),
        within: given.within,
        ..Limits::default()
    };
    let file = Limits { concurrency, ..if work { of_work } else { Limits::default() } };
    let changes = [
        (recorded.concurrency != concurrency).then(|| {
            format!("limit parallel: {} is recorded, {concurrency} is in the file", recorded.concurrency)
        }),
        (recorded.retries != file.retries).then(|| {
            let [old, new] = [recorded, file].map(|limits| no_more(limits.retries));
            format!("limit retries: {old} is recorded, {new} is in the file")
        }),
        (recorded.within != file.within).then(|| {
            let [old, new] = [recorded, file].map(|limits| limits.within.map_or("none".to_owned(), time));
            format!("limit within: {old} is recorded, {new} is in the file")
        }),
    ];
    let broken = if recorded == file { Vec::new() } else { broken(told, recorded, file) };
    Some(Compared { recorded, file, changes: changes.into_iter().flatten().collect(), broken })
}

/// What of the history could not have been, the first of each kind, and what to do about it.
fn broken(told: &Told, recorded: Limits, file: Limits) -> Vec<String> {
    let mut saga = Saga::default();
    let mut found: BTreeMap<&str, String> = BTreeMap::new();
    let (mut most, mut repeated, mut executed) = (0, 0_u32, BTreeMap::new());
    let (mut crowd, mut last) = (Vec::new(), None);
    for event in &told.events {
        let forward = saga.state() == SagaState::Running;
        if saga.apply(event).is_err() {
            // Told by what replays the steps.
            break;
        }
        if let (true, Some(at)) = (forward, at(event)) {
            last = Some(at);
            if let SagaEvent::Turned { cause: Cause::OutOfTime {}, .. } = event
                && file.within.is_none_or(|within| Micros::of(within) > at)
            {
                let given = file.within.map_or("no such limit".to_owned(), time);
                found.insert(
                    "within",
                    format!(
                        "it turned back after {} because its time was over, and [limits] within gives it {given} \
                         now; keep {} for it",
                        time(Duration::from_micros(at.0)),
                        recorded.within.map_or("none".to_owned(), time)
                    ),
                );
            }
        }
        if let SagaEvent::Started { step, purpose, .. } = event {
            let running: Vec<String> = saga.running().map(|at| name(&saga, at.step)).collect();
            if running.len() > most {
                (most, crowd) = (running.len(), running);
            }
            if *purpose == Purpose::Execute {
                let times = executed.entry(*step).or_insert(0_u32);
                repeated += u32::from(*times > 0);
                *times += 1;
            }
        }
    }
    if most > file.concurrency as usize {
        let why = format!(
            "{most} steps ran at once ({}), and [limits] parallel allows {}; allow at least {most}",
            crowd.join(", "),
            file.concurrency
        );
        found.insert("parallel", why);
    }
    if repeated > file.retries {
        let of: Vec<String> = executed
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(|(step, times)| format!("{} {}", name(&saga, *step), *times - 1))
            .collect();
        let why = format!(
            "{repeated} repetitions were used ({}), and [limits] retries allows {}; allow at least {repeated}",
            of.join(", "),
            file.retries
        );
        found.insert("retries", why);
    }
    if let (Some(within), Some(last)) = (file.within, last)
        && last > Micros::of(within)
    {
        let took = time(Duration::from_micros(last.0));
        let why = format!(
            "it went forward for {took}, and [limits] within allows {}; allow more than {took}",
            time(within)
        );
        found.insert("within", why);
    }
    found.into_values().collect()
}

fn name(saga: &Saga, step: u32) -> String {
    saga.step(step).map_or_else(|| format!("step {step}"), |(def, _)| def.id.to_string())
}

/// When something happened, as far as the record tells.
const fn at(event: &SagaEvent) -> Option<Micros> {
    match event {
        SagaEvent::Started { at, .. }
        | SagaEvent::Moved { at, .. }
        | SagaEvent::Turned { at, .. }
        | SagaEvent::Finished { at, .. }
        | SagaEvent::Paused { at }
        | SagaEvent::Resumed { at }
        | SagaEvent::HandedOver { at, .. }
        | SagaEvent::Expiring { at, .. } => Some(*at),
        SagaEvent::Created { .. }
        | SagaEvent::Appended { .. }
        | SagaEvent::Sealed { .. }
        | SagaEvent::Restored { .. } => None,
    }
}

/// Rounded up, so that what is allowed for so long is long enough.
fn time(time: Duration) -> String {
    let millis = time.as_micros().div_ceil(1000);
    if millis.is_multiple_of(1000) { format!("{} s", millis / 1000) } else { format!("{millis} ms") }
}

fn no_more(retries: u32) -> String {
    if retries == u32::MAX { "none".to_owned() } else { retries.to_string() }
}

/// For programs: what is not limited is null, a time is in milliseconds.
pub(super) fn document(limits: Limits) -> Value {
    let Limits { concurrency, retries, within } = limits;
    json!({
        "parallel": concurrency,
        "retries": (retries != u32::MAX).then_some(retries),
        "within_ms": within.map(|within| u64::try_from(within.as_millis()).unwrap_or(u64::MAX)),
    })
}
