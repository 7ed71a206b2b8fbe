//! The signed statements that a session file names, as a run takes them.

use super::RunFailure;
use crate::plan::{Bound, BoundStep, Plan};
use hv_core::identity::Envelope;
use hv_core::{NodeConfig, Presented};
use std::collections::BTreeMap;
use std::path::Path;

/// Statements that bind keys, and what others say about the steps of the set-up and of the work, by ordinal.
pub(super) type Brought = (Vec<Envelope>, [BTreeMap<u32, Presented>; 2]);

pub(super) fn brought(plan: &Plan, bound: &Bound) -> Result<Brought, RunFailure> {
    let of = |steps: &[BoundStep]| -> Result<BTreeMap<u32, Presented>, RunFailure> {
        let mut brought = BTreeMap::new();
        for (ordinal, step) in (0..).zip(steps) {
            brought.extend(plan.evidence(step)?.map(|presented| (ordinal, presented)));
        }
        Ok(brought)
    };
    Ok((plan.keys()?, [of(&bound.setup)?, of(&bound.steps)?]))
}

/// That a node which was configured before listens to those to whom the file says that it does.
pub(super) fn same_node(plan: &Plan, known: Option<NodeConfig>, data: &Path) -> Result<(), RunFailure> {
    match (plan.node(), known) {
        (Some(node), Some(known)) if node.config != known => {
            Err(RunFailure::OtherNode { data: data.to_owned() })
        }
        _ => Ok(()),
    }
}
