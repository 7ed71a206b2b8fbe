//! Whether what a saga tried, and how often, is what other steps would have tried.

use super::on;
use hv_core::event::SagaEvent;
use hv_core::saga::{Limits, Machine, Purpose, Saga, StepDef, Unlike};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was tried too often, or given up too early, the first of each step and purpose, and what would do. The saga is
/// repeated as often as the file allows, where that is known.
pub(super) fn unlike(events: &[SagaEvent], steps: &[Arc<StepDef>], retries: Option<u32>) -> Vec<String> {
    let mut saga = Saga::default();
    let mut found: BTreeMap<(u32, bool), String> = BTreeMap::new();
    for (_, mut event) in on(events, steps) {
        if let (SagaEvent::Created { limits, .. }, Some(retries)) = (&mut event, retries) {
            *limits = Limits { retries, ..*limits };
        }
        if let Some(unlike) = saga.unlike(&event) {
            let (Unlike::TriedAgain { step, purpose, .. } | Unlike::GivenUp { step, purpose, .. }) = unlike;
            let why = || saga.step(step).map(|(def, _)| told(unlike, def)).unwrap_or_default();
            found.entry((step, purpose == Purpose::Undo)).or_insert_with(why);
        }
        if saga.apply(&event).is_err() {
            // Told by what replays the steps.
            break;
        }
    }
    found.into_values().collect()
}

fn told(unlike: Unlike, def: &StepDef) -> String {
    let (Unlike::TriedAgain { purpose, .. } | Unlike::GivenUp { purpose, .. }) = unlike;
    let (what, key) = match purpose {
        Purpose::Undo => ("the undo of step", "undo_retries"),
        Purpose::Execute | Purpose::Probe => ("step", "retries"),
    };
    let allows = def.retry(purpose).max;
    match unlike {
        Unlike::TriedAgain { least, .. } => {
            format!("{what} {} was tried again, and {key} allows {allows}; allow at least {least}", def.id)
        }
        Unlike::GivenUp { most, .. } => format!(
            "{what} {} was given up, and {key} allows {allows}, so it would have been tried again; allow {most}",
            def.id
        ),
    }
}
