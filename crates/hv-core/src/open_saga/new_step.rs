//! A step as a growing saga takes it.

use super::undos::{Undo, probe_by, undo_by};
use hv_saga::{Idempotence, Retry, StepDef, Task};
use hv_types::{ActionId, ActionKind, Did, StepId};
use std::fmt;
use std::time::Duration;

/// A step as it is added.
pub struct NewStep {
    action: ActionId,
    agent: Did,
    kind: ActionKind,
    undo: Option<Undo>,
    probe: Option<Undo>,
    timeout: Duration,
    retries: u32,
    undo_timeout: Duration,
    undo_retries: u32,
    undo_window: Option<Duration>,
    idempotent: Idempotence,
    substitute: Option<Did>,
    within: Option<Duration>,
    settles: Option<Duration>,
}

impl NewStep {
    /// A step of an agent. Without an undo it cannot be undone, and so needs Ring 1. It may take 300 s, as may its
    /// undo, and is not repeated.
    #[must_use]
    pub const fn new(action: ActionId, agent: Did) -> Self {
        let timeout = Duration::from_secs(300);
        Self {
            action,
            agent,
            kind: ActionKind::Effect,
            undo: None,
            probe: None,
            timeout,
            retries: 0,
            undo_timeout: timeout,
            undo_retries: 0,
            undo_window: None,
            idempotent: Idempotence::None,
            substitute: None,
            within: None,
            settles: None,
        }
    }

    /// A step that changes nothing.
    #[must_use]
    pub fn reading(action: ActionId, agent: Did) -> Self {
        Self { kind: ActionKind::ReadOnly, ..Self::new(action, agent) }
    }

    /// The same with a function that takes its effect back. It counts without a probe, because it is part of
    /// the program that does the step; that it was accepted is recorded.
    #[must_use]
    pub fn with_undo<U, F, E>(self, undo: U) -> Self
    where
        U: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        Self { undo: Some(undo_by(undo)), ..self }
    }

    /// The same with a function that finds out whether its effect is there; it changes nothing. Where the step failed for
    /// good, or nobody knows what it did, because it panicked, took too long or was cut off, it is asked: `true` makes the step
    /// done, `false` one that did nothing. It is also asked whether an undo worked, which has to make it `false`. An error tells
    /// nothing: the function is asked again as often as the undo is [repeated](Self::with_undo_retries); then the step counts as
    /// done and is undone, and an undo as failed, so the saga escalates. It has as long as the step.
    #[must_use]
    pub fn with_probe<P, F, E>(self, probe: P) -> Self
    where
        P: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<bool, E>> + Send + 'static,
        E: fmt::Display,
    {
        Self { probe: Some(probe_by(probe)), ..self }
    }

    /// The same with so much time for each attempt, 1 ms to 7 days.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same with so much time for each attempt to undo it, 1 ms to 7 days.
    #[must_use]
    pub fn with_undo_timeout(self, undo_timeout: Duration) -> Self {
        Self { undo_timeout, ..self }
    }

    /// The same whose undo is repeated so many times where it fails, at most 100, with exponentially growing waits.
    #[must_use]
    pub fn with_undo_retries(self, undo_retries: u32) -> Self {
        Self { undo_retries, ..self }
    }

    /// The same with an undo that works no longer than this after the step was done, 1 ms to 7 days. Before a step starts
    /// that may last longer, the trail says so; an undo that comes too late is not tried, and the saga escalates.
    #[must_use]
    pub fn with_undo_window(self, undo_window: Duration) -> Self {
        Self { undo_window: Some(undo_window), ..self }
    }

    /// The same with an undo that does no harm when it is called again. Where nobody knows whether it came to its end, as
    /// after a crash, it is; otherwise the saga escalates then.
    #[must_use]
    pub fn with_idempotent_undo(self) -> Self {
        Self { idempotent: Idempotence::Undo, ..self }
    }

    /// The same repeated so many times where it fails, at most 100, with exponentially growing waits.
    #[must_use]
    pub fn with_retries(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// The same with somebody who takes it over where its agent must not do it, or is [relieved](crate::Relief) of it, before
    /// it is done; not its agent. The gate judges the substitute by itself, and where it refuses that one too, the step is
    /// denied. The function is called again, for the substitute, which [`OpenSaga::agent`](crate::OpenSaga::agent) tells.
    ///
    /// What an agent had begun when it was relieved is settled first. A step with a probe is done where that says so, without a
    /// result ([`StepFailure::NoResult`](crate::StepFailure::NoResult)), and else the substitute does it; so it does a step that
    /// changes nothing. Any other counts as done and is undone, by whoever has taken it over, with what the saga did before.
    #[must_use]
    pub fn with_substitute(self, substitute: Did) -> Self {
        Self { substitute: Some(substitute), ..self }
    }

    /// The same with so much time for all attempts together, with the waits between them and whoever does them, 1 ms to
    /// 7 days from the start of the first one on; as long as its retries and its timeout allow where this is not said. None
    /// starts later, and the last one is cut off then. What settles a doubt about it, a probe or an undo, may take longer.
    #[must_use]
    pub fn with_within(self, within: Duration) -> Self {
        Self { within: Some(within), ..self }
    }

    /// The same whose function may have begun something elsewhere, as a request, that goes on for so long once the function
    /// was dropped because its time was over or its agent was relieved: 0, where this is not said, to 7 days. Before that it
    /// is neither asked about nor undone.
    #[must_use]
    pub fn with_settles(self, settles: Duration) -> Self {
        Self { settles: Some(settles), ..self }
    }

    /// What the saga knows of it, and the functions that undo it and find out what it did.
    pub(super) fn into_parts(self, id: StepId) -> (StepDef, Option<Undo>, Option<Undo>) {
        (self.definition(id), self.undo, self.probe)
    }

    pub(super) const fn action(&self) -> &ActionId {
        &self.action
    }

    fn definition(&self, id: StepId) -> StepDef {
        let task = || Task::closure(self.action.as_str());
        let step = StepDef::new(id, self.action.clone(), self.agent.clone(), task());
        let step = if self.undo.is_some() { step.with_undo(task()) } else { step };
        let step = if self.probe.is_some() { step.with_probe(task()) } else { step };
        StepDef {
            kind: self.kind,
            timeout: self.timeout,
            retry: Retry::times(self.retries),
            undo_timeout: self.undo_timeout,
            undo_retry: Retry::times(self.undo_retries),
            undo_window: self.undo_window,
            idempotent: self.idempotent,
            substitute: self.substitute.clone(),
            within: self.within,
            settles: self.settles,
            ..step
        }
    }
}

impl fmt::Debug for NewStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewStep")
            .field("action", &self.action)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}
