//! Somebody may listen.

use crate::error::Denied;
use crate::event::{Denial, KillAnswer, KillTarget, LedgerEvent, NodeEvent};
use crate::gate::Refused;
use crate::host::Start;
use crate::state::State;
use hv_audit::Lsn;
use hv_saga::{AttemptRef, Class, Saga, SagaCommand, SagaState, Verdict};
use hv_types::{Did, SagaId, SessionId, Sigma, Timestamp};
use std::time::{Duration, Instant};

macro_rules! event {
    ($level:ident in $span:expr, $($told:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::event!(target: "hv", parent: $span, tracing::Level::$level, $($told)*)
    };
}

macro_rules! count {
    ($by:expr, $($named:tt)*) => {
        #[cfg(feature = "metrics")]
        metrics::counter!($($named)*).increment($by)
    };
}

macro_rules! observe {
    ($value:expr, $($named:tt)*) => {
        #[cfg(feature = "metrics")]
        metrics::histogram!($($named)*).record($value)
    };
}

/// Record and state may disagree, or nobody knows what is durable: the node does nothing more.
pub(crate) fn poisoned() {
    event!(ERROR in None, "the node does nothing more until its log is opened again");
    count!(1, "hv_poisoned_total");
}

/// One command to the node, from when it is asked until it is answered.
pub(crate) struct Command {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Command {
    pub(crate) fn begin() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::debug_span!(target: "hv", "command", lsn = tracing::field::Empty),
        }
    }

    /// Tells what it came to, which is durable.
    pub(crate) fn revealed(&self, lsn: Lsn, sums: &Sums, denied: Option<&Denied>) {
        let _ = lsn;
        #[cfg(feature = "tracing")]
        let span = &self.span;
        if sums.events > 0 {
            #[cfg(feature = "tracing")]
            span.record("lsn", lsn.0);
            event!(DEBUG in span, lsn = lsn.0, events = sums.events, "recorded");
            count!(1, "hv_batches_total");
            count!(sums.events, "hv_events_total");
        }
        for (agent, loss) in &sums.slashed {
            event!(WARN in span, agent = agent.as_str(), loss = %loss, lsn = lsn.0, "slashed");
            let _ = (agent, loss);
            count!(1, "hv_slashes_total");
        }
        for (agent, until) in &sums.tripped {
            event!(WARN in span, agent = agent.as_str(), until = %until, "the breaker opened");
            let _ = (agent, until);
            count!(1, "hv_breaker_trips_total");
        }
        match denied {
            None => {
                count!(1, "hv_decisions_total", "of" => "request", "outcome" => "allowed");
            }
            Some(denied) => {
                let rule = denied.reason.rule();
                let reason = denied.reason.to_string();
                event!(WARN in span, rule, reason = ?reason, lsn = denied.lsn.map(|lsn| lsn.0), "denied");
                let _ = (&reason, rule);
                count!(1, "hv_decisions_total", "of" => "request", "outcome" => "denied");
                count!(1, "hv_denials_total", "of" => "request", "rule" => rule);
            }
        }
    }
}

/// What a batch holds, as far as it is told.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    events: u64,
    slashed: Vec<(Did, Sigma)>,
    tripped: Vec<(Did, Timestamp)>,
}

impl Sums {
    pub(crate) fn of(node: &[NodeEvent], ledger: &[LedgerEvent], session: usize, state: &State) -> Self {
        let slashed = ledger.iter().filter_map(|event| match event {
            LedgerEvent::Slashed { slashed } => Some(slashed),
            _ => None,
        });
        let losses = slashed.flat_map(|slashed| &slashed.toll.losses);
        let named = losses.filter_map(|loss| Some((state.ledger.did(loss.agent)?.clone(), loss.amount)));
        let tripped = node.iter().filter_map(|event| match event {
            NodeEvent::Tripped { agent, until, .. } => Some((agent.clone(), *until)),
            _ => None,
        });
        Self {
            events: (node.len() + ledger.len() + session) as u64,
            slashed: named.collect(),
            tripped: tripped.collect(),
        }
    }

    /// With those of what was recorded right before.
    pub(crate) fn behind(mut self, before: Self) -> Self {
        self.events += before.events;
        self.slashed.splice(..0, before.slashed);
        self.tripped.splice(..0, before.tripped);
        self
    }
}

/// One who waits for the disk.
pub(crate) struct Waiting;

impl Waiting {
    pub(crate) fn begin() -> Self {
        #[cfg(feature = "metrics")]
        metrics::gauge!("hv_sync_waiting").increment(1.0);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        #[cfg(feature = "metrics")]
        metrics::gauge!("hv_sync_waiting").decrement(1.0);
    }
}

/// One wait of the disk itself, for everybody.
pub(crate) struct Syncing {
    from: Lsn,
    began: Instant,
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Syncing {
    /// What is durable before it.
    pub(crate) fn begin(from: Lsn) -> Self {
        Self {
            from,
            began: Instant::now(),
            #[cfg(feature = "tracing")]
            span: tracing::debug_span!(target: "hv", "sync", batches = tracing::field::Empty),
        }
    }

    /// What is durable after it.
    pub(crate) fn end(self, to: Lsn) {
        let batches = to.0.saturating_sub(self.from.0);
        #[cfg(feature = "tracing")]
        self.span.record("batches", batches);
        let seconds = self.began.elapsed().as_secs_f64();
        let _ = (batches, seconds);
        count!(1, "hv_syncs_total");
        observe!(seconds, "hv_sync_seconds");
        #[allow(clippy::cast_precision_loss)]
        let batches = batches as f64;
        let _ = batches;
        observe!(batches, "hv_sync_batches");
    }
}

/// One kill, from when it is asked until its callback has answered.
pub(crate) struct KillTold {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl KillTold {
    pub(crate) fn begin(target: &KillTarget) -> Self {
        let _ = target;
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::warn_span!(target: "hv", "kill", target = ?target, answer = tracing::field::Empty),
        }
    }

    pub(crate) fn answered(&self, answer: &KillAnswer) {
        let word = match answer {
            KillAnswer::Stopped {} => "stopped",
            KillAnswer::Failed { .. } => "failed",
            KillAnswer::Late {} => "late",
        };
        #[cfg(feature = "tracing")]
        self.span.record("answer", word);
        event!(WARN in &self.span, answer = word, "killed");
        count!(1, "hv_kills_total", "answer" => word);
        let _ = word;
    }
}

/// One command of a saga: what it ends, what is decided about what it would start.
#[derive(Debug, Default)]
pub(crate) struct SagaTold {
    ended: Option<Ended>,
    denied: Vec<(Denial, &'static str)>,
    held: u64,
}

/// An attempt that ended.
#[derive(Debug)]
struct Ended {
    attempt: AttemptRef,
    agent: Option<Did>,
    outcome: &'static str,
    took: Duration,
}

impl SagaTold {
    pub(crate) fn begin() -> Self {
        Self::default()
    }

    /// What a report ends now, as the saga has it afterwards.
    pub(crate) fn ended(&mut self, command: &SagaCommand, after: &Saga, now: Timestamp) {
        let (SagaCommand::Report { report, .. } | SagaCommand::Record { report }) = command else { return };
        let outcome = match &report.verdict {
            Verdict::Done => "done",
            Verdict::Failed(failure) => match failure.class {
                Class::Retryable => "retryable",
                Class::Permanent => "permanent",
                Class::Unknown => "unknown",
            },
            Verdict::Answer(_) => "answered",
        };
        let step = report.attempt.step;
        let at = now.0.saturating_sub(after.created().0) / 1000;
        let took = after.step(step).map_or(0, |(_, run)| at.saturating_sub(run.started.0));
        let agent = after.agent(step).cloned();
        self.ended =
            Some(Ended { attempt: report.attempt, agent, outcome, took: Duration::from_micros(took) });
    }

    pub(crate) fn denied(&mut self, denial: &Denial, refused: &Refused) {
        let rule = refused.gate.as_ref().map_or("evidence", |gate| gate.name());
        self.denied.push((denial.clone(), rule));
    }

    pub(crate) fn held(&mut self, steps: usize) {
        self.held = steps as u64;
    }

    /// Tells all of it, which is durable.
    pub(crate) fn tell(self, (session, saga): (&SessionId, &SagaId), starts: &[Start], state: SagaState) {
        let (session, saga) = (session.as_str(), saga.as_str());
        #[cfg(feature = "tracing")]
        let span = tracing::debug_span!(target: "hv", "saga", session, saga, state = state.name());
        if let Some(Ended { attempt, agent, outcome, took }) = self.ended {
            let (purpose, seconds) = (attempt.purpose.name(), took.as_secs_f64());
            let agent = agent.as_ref().map(Did::as_str);
            event!(DEBUG in &span, step = attempt.step, purpose, number = attempt.number, agent, outcome, seconds,
                "attempt ended");
            observe!(seconds, "hv_step_seconds", "purpose" => purpose, "outcome" => outcome);
            let _ = (purpose, seconds, agent, outcome);
        }
        for (denial, rule) in &self.denied {
            let agent = denial.agent.as_ref().map(Did::as_str);
            let action = denial.action.as_ref().map(hv_types::ActionId::as_str);
            event!(WARN in &span, agent, action, rule, reason = ?denial.reason, needs = ?denial.needs, "step denied");
            count!(1, "hv_decisions_total", "of" => "step", "outcome" => "denied");
            count!(1, "hv_denials_total", "of" => "step", "rule" => *rule);
            let _ = (agent, action, rule);
        }
        if self.held > 0 {
            event!(DEBUG in &span, steps = self.held, "steps wait for the rate of their agent");
            count!(self.held, "hv_decisions_total", "of" => "step", "outcome" => "held");
        }
        for Start { attempt, pass } in starts {
            let ring = pass.ring.number();
            event!(DEBUG in &span, step = attempt.step.as_str(), purpose = attempt.purpose.name(),
                number = attempt.number, agent = attempt.agent.as_str(), action = attempt.action.as_str(), ring,
                sigma = %pass.sigma, "attempt granted");
            count!(1, "hv_decisions_total", "of" => "step", "outcome" => "allowed");
            let _ = (attempt, ring);
        }
        if state.is_terminal() {
            event!(INFO in &span, "saga ended");
            count!(1, "hv_sagas_total", "state" => state.name());
        }
        let _ = (session, saga);
    }
}
