//! A step and an observation with the places of a run still open.

use super::fault::Located;
use super::task::Effect;
use super::template::Places;
use super::{BoundObservation, BoundStep, EvidenceFiles, Findings, UnprovenUndo};
use hv_saga::{Idempotence, Join, Purpose, Retry, StepDef};
use hv_types::{ActionId, ActionKind, Did, StepId};
use std::sync::Arc;
use std::time::Duration;

/// A step of the set-up or of the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub(super) id: StepId,
    pub(super) agent: Did,
    pub(super) action: ActionId,
    pub(super) kind: ActionKind,
    pub(super) after: Vec<u32>,
    pub(super) join: Join,
    pub(super) execute: Effect,
    pub(super) undo: Option<Effect>,
    pub(super) probe: Option<Effect>,
    pub(super) idempotent: Idempotence,
    pub(super) timeout: Duration,
    pub(super) retry: Retry,
    pub(super) undo_timeout: Duration,
    pub(super) undo_retry: Retry,
    pub(super) undo_window: Option<Duration>,
    pub(super) substitute: Option<Did>,
    pub(super) settles: Option<Duration>,
    pub(super) within: Option<Duration>,
    pub(super) start_within: Option<Duration>,
    pub(super) unproven_undo: UnprovenUndo,
    pub(super) evidence: Option<EvidenceFiles>,
    pub(super) findings: Findings,
}

impl Step {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &StepId {
        &self.id
    }

    /// Who does it.
    #[must_use]
    pub const fn agent(&self) -> &Did {
        &self.agent
    }

    /// What it is.
    #[must_use]
    pub const fn action(&self) -> &ActionId {
        &self.action
    }

    pub(super) fn bind(&self, places: &Places) -> Result<BoundStep, Located> {
        let optional = |effect: &Option<Effect>, purpose| {
            effect.as_ref().map(|effect| effect.bind(purpose, places).map(Arc::new)).transpose()
        };
        let def = StepDef {
            id: self.id.clone(),
            action: self.action.clone(),
            kind: self.kind,
            agent: self.agent.clone(),
            after: self.after.clone(),
            join: self.join,
            execute: Arc::new(self.execute.bind(Purpose::Execute, places)?),
            undo: optional(&self.undo, Purpose::Undo)?,
            probe: optional(&self.probe, Purpose::Probe)?,
            idempotent: self.idempotent,
            timeout: self.timeout,
            retry: self.retry,
            undo_timeout: self.undo_timeout,
            undo_retry: self.undo_retry,
            undo_window: self.undo_window,
            substitute: self.substitute.clone(),
            settles: self.settles,
            within: self.within,
            start_within: self.start_within,
        };
        let (evidence, findings) = (self.evidence.clone(), self.findings);
        Ok(BoundStep { def, unproven_undo: self.unproven_undo, evidence, findings })
    }
}

/// A read-only command whose output is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub(super) name: StepId,
    pub(super) agent: Did,
    pub(super) action: ActionId,
    pub(super) effect: Effect,
    pub(super) timeout: Duration,
}

impl Observation {
    /// Its name in the report.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Who looks.
    #[must_use]
    pub const fn agent(&self) -> &Did {
        &self.agent
    }

    /// The read-only action that it is: `hv.observe.<name>`.
    #[must_use]
    pub const fn action(&self) -> &ActionId {
        &self.action
    }

    pub(super) fn bind(&self, places: &Places) -> Result<BoundObservation, Located> {
        let task = self.effect.bind(Purpose::Execute, places)?;
        let def = StepDef {
            kind: ActionKind::ReadOnly,
            timeout: self.timeout,
            ..StepDef::new(self.name.clone(), self.action.clone(), self.agent.clone(), task)
        };
        Ok(BoundObservation { name: self.name.to_string(), def })
    }
}
