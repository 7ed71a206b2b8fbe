//! Who joins a run, and on what trust.

use super::RunFailure;
use super::adapters::Joining;
use crate::plan::{Agent, Plan, PlanError, Trust};
use hv_core::Entrant;
use hv_core::rings::class::Claim;
use hv_core::rings::standing::Cap;
use hv_core::types::Ring;
use hv_integrations::iatp::IatpAdapter;
use hv_integrations::manifest::Provenance;

/// The agents as they present themselves.
pub(super) fn entrants(plan: &Plan) -> Result<Vec<Joining>, RunFailure> {
    plan.agents().iter().map(|agent| entrant(plan, agent).map_err(RunFailure::Plan)).collect()
}

fn entrant(plan: &Plan, agent: &Agent) -> Result<Joining, PlanError> {
    // What it is held to has to be there before anything begins.
    plan.intent(agent)?;
    let entrant = Entrant::new(agent.did.clone());
    let entrant = match &agent.parent {
        Some(parent) => entrant.with_parent(parent.clone()),
        None => entrant,
    };
    let manifest = match (&agent.trust, plan.manifest(agent)?) {
        (Trust::Sigma(sigma), _) => return Ok(Joining::Presented(entrant.with_sigma(*sigma))),
        (Trust::Fetched, _) => return Ok(Joining::Fetched(agent.did.clone())),
        (Trust::Manifest(_), manifest) => manifest.unwrap_or_default(),
    };
    let bad = |why: &dyn std::error::Error| plan.bad_manifest(agent, why);
    let text = std::str::from_utf8(&manifest).map_err(|error| bad(&error))?;
    let analysis =
        IatpAdapter::default().admit(text, &agent.did, Provenance::Given).map_err(|error| bad(&error))?;
    let mut entrant = entrant.with_sigma(analysis.sigma_hint);
    if analysis.ring_hint == Ring::Sandbox {
        entrant = entrant.with_cap(Cap::Manifest { hint: analysis.ring_hint });
    }
    for action in &analysis.actions {
        entrant = entrant.with_claim(action.id().clone(), Claim::from(action));
    }
    Ok(Joining::Presented(entrant))
}
