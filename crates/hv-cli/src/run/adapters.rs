//! Whom a run asks outside of itself: connected before its session is there, asked by the node, and told by it.

use super::RunFailure;
use crate::plan::adapters::Switch;
use crate::plan::{BoundStep, Facts, Findings as Tells, Plan};
use hv_core::adapters::{Correction, DriftSample, DriftSetup, DriftVerdict, TrustSetup};
use hv_core::saga::{Attempt, BoxFuture, Class, Executor, Outcome, Purpose, Reason, Verdict};
use hv_core::types::{Did, SessionId, StepId};
use hv_core::{Entrant, Error, Grant, Hypervisor};
use hv_integrations::bridge::{CmvkBridge, NexusBridge, ScakBridge};
use hv_integrations::context::ContextStore;
use hv_integrations::correction::{FailureKind, FailureReport};
use hv_integrations::drift::{Metric, Response};
use hv_integrations::http::{CaasStore, Sidecar};
use hv_integrations::iatp::{Attesters, ManifestDesk};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The name under which a session keeps what SCAK was told and what it proposed.
const CORRECTION: &str = "hv.correction";

/// A node with what its session file turns on.
pub(super) struct Connected {
    pub(super) hv: Hypervisor,
    /// With whom files are exchanged.
    pub(super) context: Option<Arc<dyn ContextStore>>,
}

impl Connected {
    /// Connects what the plan names. Nothing is started before it is asked.
    pub(super) fn to(hv: Hypervisor, plan: &Plan) -> Result<Self, RunFailure> {
        let adapters = plan.adapters();
        let deadline = adapters.deadline;
        let python = match &adapters.python {
            Some(python) => {
                python.program().ok_or(RunFailure::Unreadable { what: "the Python of the bridges" })?
            }
            None => PathBuf::new(),
        };
        let mut hv = hv;
        if adapters.trust == Switch::On {
            let nexus = NexusBridge::new(&python, deadline);
            for agent in plan.agents() {
                if let Some(facts) = &agent.facts {
                    let told = nexus.known(&agent.did, &in_words(facts));
                    told.map_err(|fault| RunFailure::Io {
                        path: python.clone(),
                        doing: "tell facts to",
                        error: std::io::Error::other(fault.to_string()),
                    })?;
                }
            }
            hv = hv.with_trust("nexus", nexus, TrustSetup { deadline, ..TrustSetup::default() });
        }
        if adapters.drift == Switch::On {
            let setup = DriftSetup { deadline, ..DriftSetup::default() };
            hv = hv.with_drift("cmvk", CmvkBridge::new(&python, deadline), setup);
        }
        if let Some(url) = &adapters.manifests {
            let desk = ManifestDesk::new(Sidecar::new(url, deadline)).attested_by(attesters(plan)?);
            hv = hv.with_manifests("iatp", desk, deadline);
        }
        if adapters.correction == Switch::On {
            hv = hv.with_correction("scak", ScakBridge::new(&python, deadline), deadline);
        }
        let context = adapters
            .context
            .as_ref()
            .map(|url| -> Arc<dyn ContextStore> { Arc::new(CaasStore::new(url, deadline)) });
        if let Some(store) = &context {
            hv = hv.with_context("caas", Arc::clone(store), deadline);
        }
        Ok(Self { hv, context })
    }
}

/// Whose attestations count, and for which code.
fn attesters(plan: &Plan) -> Result<Attesters, RunFailure> {
    let mut attesters = Attesters::default();
    for (name, key) in &plan.adapters().attesters {
        let named = attesters.with_key(name, key);
        attesters = named.map_err(|_| RunFailure::Unreadable { what: "a key of [adapters]" })?;
    }
    for agent in plan.agents() {
        if let Some(codebase) = &agent.codebase {
            attesters = attesters.with_codebase(&agent.did, &codebase.to_string());
        }
    }
    Ok(attesters)
}

/// As the package reads it.
fn in_words(facts: &Facts) -> Value {
    json!({
        "verification_level": facts.level,
        "history": { "successful_tasks": facts.successful_tasks, "failed_tasks": facts.failed_tasks },
    })
}

/// An agent on its way in.
#[derive(Debug)]
pub(super) enum Joining {
    /// As it presents itself.
    Presented(Entrant),
    /// As the manifest presents it that is fetched when it joins.
    Fetched(Did),
}

impl Joining {
    pub(super) const fn did(&self) -> &Did {
        match self {
            Self::Presented(entrant) => entrant.did(),
            Self::Fetched(did) => did,
        }
    }

    pub(super) async fn join(&self, hv: &Hypervisor, session: &SessionId) -> Result<(), Error> {
        match self {
            Self::Presented(entrant) => hv.join_session(session, entrant).await.map(drop),
            Self::Fetched(did) => hv.join_by_manifest(session, did).await.map(drop),
        }
    }
}

/// A sample as a step tells it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    agent: String,
    claimed: Vec<f64>,
    observed: Vec<f64>,
    metric: Option<String>,
    weights: Option<Vec<f64>>,
}

impl Told {
    fn read(line: &[u8]) -> Result<(Did, DriftSample), String> {
        let Self { agent, claimed, observed, metric, weights } =
            serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let agent = Did::new(&agent).map_err(|bad| bad.to_string())?;
        let named = |name: String| {
            let found = Metric::ALL.into_iter().find(|metric| metric.name() == name);
            found.ok_or_else(|| format!("there is no metric `{name}`"))
        };
        let metric = metric.map(named).transpose()?;
        Ok((agent, DriftSample { claimed, observed, metric, weights, profile: None }))
    }
}

/// An executor that has the samples of a step measured before it says that the step is done, so that whoever is
/// slashed by them does nothing afterwards; and that lets who is asked for corrections hear of what went wrong.
#[derive(Debug)]
pub(super) struct Adapted<E> {
    inner: E,
    hv: Hypervisor,
    /// Whether anybody hears of failures.
    correction: Switch,
    /// The steps that tell samples.
    steps: BTreeSet<StepId>,
}

impl<E> Adapted<E> {
    pub(super) fn new<'a>(
        inner: E,
        hv: Hypervisor,
        correction: Switch,
        steps: impl Iterator<Item = &'a BoundStep>,
    ) -> Self {
        let steps = steps.filter(|step| step.findings == Tells::Samples);
        Self { inner, hv, correction, steps: steps.map(|step| step.def.id.clone()).collect() }
    }

    /// Has one sample after the other measured; tells what stands in the way of the first that cannot be.
    async fn measure(&self, attempt: &Attempt, said: &[u8]) -> Result<(), String> {
        for line in said.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
        {
            let at = |why: String| format!("the sample does not count: {why}");
            let (agent, sample) = Told::read(line).map_err(at)?;
            let checked = self.hv.check_drift(&attempt.session, &agent, sample).await;
            let answer = checked.map_err(|error| at(error.to_string()))?;
            let grace =
                self.hv.config().map_err(|error| error.to_string())?.and_then(|config| config.grace());
            let consequence = match answer.response {
                Response::Slash if grace.is_some() => Some("charged with drift"),
                Response::Slash => Some("slashed for drift"),
                Response::Demote => Some("demoted for drift"),
                _ => None,
            };
            if let Some(what) = consequence {
                self.tell(attempt, &agent, (FailureKind::Drifted, what))
                    .await
                    .map_err(|error| error.to_string())?;
            }
            if let DriftVerdict::Indeterminate { why } = answer.verdict {
                return Err(at(why));
            }
        }
        Ok(())
    }

    async fn tell(
        &self,
        attempt: &Attempt,
        agent: &Did,
        (kind, what): (FailureKind, &str),
    ) -> Result<(), Error> {
        let report = FailureReport {
            agent: agent.clone(),
            kind,
            what: what.to_owned(),
            step: Some(attempt.step.to_string()),
            action: Some(attempt.action.to_string()),
        };
        tell(&self.hv, &attempt.session, report).await
    }
}

/// Tells of a failure and keeps in the trail that it was told, and what was proposed; or why it was not.
pub(super) async fn tell(hv: &Hypervisor, session: &SessionId, report: FailureReport) -> Result<(), Error> {
    let mut note = json!({
        "agent": report.agent.as_str(), "kind": report.kind.name(), "failure": report.what, "step": report.step,
        "action": report.action,
    });
    let answer = match hv.tell_failure(session, report).await? {
        Correction::Off => return Ok(()),
        Correction::Heard(heard) => {
            let proposal = heard
                .proposal
                .map(|patch| json!({ "id": patch.id, "kind": patch.kind, "content": patch.content }));
            json!({ "failures": heard.failures, "proposal": proposal })
        }
        Correction::Untold { why } => json!({ "untold": why }),
    };
    if let Some(fields) = note.as_object_mut() {
        fields.insert("answer".to_owned(), answer);
    }
    hv.note(session, CORRECTION, note.to_string().into_bytes()).await
}

impl<E: Executor<Grant>> Executor<Grant> for Adapted<E> {
    fn run<'a>(&'a self, permit: Grant, attempt: &'a Attempt) -> BoxFuture<'a, Outcome> {
        let ran = self.inner.run(permit, attempt);
        let samples = self.steps.contains(&attempt.step);
        if attempt.purpose != Purpose::Execute || !samples && self.correction == Switch::Off {
            return ran;
        }
        Box::pin(async move {
            let mut outcome = ran.await;
            let said = outcome.output.as_ref().filter(|_| samples && outcome.verdict == Verdict::Done);
            let measured = match said {
                // What is not there to its end cannot be told from what somebody cut off.
                Some(output) if output.dropped > 0 => Err("the samples are longer than is kept".to_owned()),
                Some(output) => self.measure(attempt, &output.stdout).await,
                None => Ok(()),
            };
            if let Err(text) = measured {
                // The step reads only, so nothing was done that another attempt would do twice.
                outcome = Outcome {
                    output: outcome.output,
                    ..Outcome::failed(Class::Permanent, Reason::other(&text))
                };
            }
            if let Verdict::Failed(failure) = &outcome.verdict {
                let kind = match failure.reason {
                    Reason::TimedOut => FailureKind::TimedOut,
                    _ => FailureKind::Failed,
                };
                let what = failure.reason.to_string();
                // Where even the trail takes nothing any more, the step's own end says so.
                let _ = self.tell(attempt, &attempt.agent, (kind, &what)).await;
            }
            outcome
        })
    }

    fn stops_within(&self) -> Duration {
        self.inner.stops_within()
    }
}
