//! Steps: what starts, how it ends, and what is undone.

use super::super::names::Name;
use super::super::told::{Told, json, list, object, seconds};
use super::{Scene, kind_name};
use crate::output::counted;
use hv_core::event::SagaEvent as Event;
use hv_core::saga::{
    Cause, Class, CommandTask, Failure, Growth, HttpTask, Idempotence, Join, Limits, Micros, Move, Pace,
    Purpose, Retry, StepDef, Task, Value as Text,
};
use serde_json::Value;
use std::time::Duration;

impl Scene<'_> {
    pub(super) fn undo_accepted(&self, number: u32, step: u32) -> Told {
        let words = format!("the undo of {} counts without proof", self.step(number, step));
        Told::new("session.undo_accepted", words)
            .with("saga", self.names.saga(self.stream, number))
            .with("step", self.names.step(self.stream, number, step))
    }

    pub(super) fn rehearsal(&self, number: u32) -> Told {
        let saga = self.names.saga(self.stream, number);
        let words =
            format!("saga {saga} is a rehearsal: it is carried out and undone to see whether that works");
        Told::new("session.rehearsal", words).with("saga", saga)
    }

    pub(super) fn saga(&self, number: u32, event: &Event) -> Told {
        let saga = self.names.saga(self.stream, number);
        let told = match event {
            Event::Created { seed, limits, pace, at } => {
                let words = format!("saga {saga}: {}{}", limits_words(limits), pace_words(*pace));
                Told::new("saga.created", words)
                    .with("limits", limits_fields(limits))
                    .with("pace", pace_name(*pace))
                    // Beyond 2⁵³, many readers of JSON lose digits of a number.
                    .with("seed", seed.to_string())
                    .with("at", at)
            }
            Event::Appended { steps, growth } => self.appended(number, &saga, steps, *growth),
            Event::Sealed {} => Told::new("saga.sealed", format!("saga {saga}: no more steps follow")),
            Event::Started { step, purpose, number: attempt, at } => {
                Told::new("saga.started", self.started(number, *step, *purpose, *attempt))
                    .with("step", self.names.step(self.stream, number, *step))
                    .with("purpose", purpose.name())
                    .with("attempt", attempt)
                    .with("agent", self.doer(number, *step).map(|step| json(&step.agent)))
                    .with("action", self.doer(number, *step).map(|step| json(&step.action)))
                    .with("at_s", micros(*at))
            }
            Event::Moved { step, to, at } => self
                .moved(number, *step, to)
                .with("agent", self.doer(number, *step).map(|step| json(&step.agent)))
                .with("action", self.doer(number, *step).map(|step| json(&step.action)))
                .with("at_s", micros(*at)),
            Event::Turned { cause, at } => {
                let (name, step) = cause_fields(*cause);
                let words = match step {
                    Some(step) => format!("{} {}", self.step(number, step), cause_words(*cause)),
                    None => cause_words(*cause).to_owned(),
                };
                Told::new("saga.turned", format!("saga {saga} turns back: {words}"))
                    .with("cause", name)
                    .with("step", step.map(|step| self.names.step(self.stream, number, step)))
                    .with("at_s", micros(*at))
            }
            Event::Finished { state, at } => Told::new("saga.finished", format!("saga {saga} is {state}"))
                .with("state", state.name())
                .with("at_s", micros(*at)),
            Event::Restored { state, cause, retries, order, undone, paused, steps } => {
                let words =
                    format!("snapshot: saga {saga} is {state}, with {}", counted(steps.len(), "step"));
                let ids = list(order, |step| json(self.names.step(self.stream, number, *step)));
                Told::new("saga.restored", words)
                    .with("state", state.name())
                    .with("cause", cause.map(|cause| cause_fields(cause).0))
                    .with("retries", retries)
                    .with("order", ids)
                    .with("undone", undone)
                    .with("paused", paused)
                    .with("steps", list(steps, |run| json(run.state.name())))
            }
            Event::Paused { at } => {
                Told::new("saga.paused", format!("saga {saga} is paused; nothing starts"))
                    .with("at_s", micros(*at))
            }
            Event::Resumed { at } => {
                Told::new("saga.resumed", format!("saga {saga} goes on")).with("at_s", micros(*at))
            }
            Event::HandedOver { step, at } => {
                let by = self.names.definition(self.stream, number, *step).map(|step| step.agent.to_string());
                let words = format!(
                    "{} is handed over to {}",
                    self.step(number, *step),
                    by.as_deref().unwrap_or("its substitute")
                );
                Told::new("saga.handed_over", words)
                    .with("step", self.names.step(self.stream, number, *step))
                    .with("by", by)
                    .with("at_s", micros(*at))
            }
            Event::Expiring { step, by, at } => {
                let words = format!(
                    "{} may not be undone any more when {} has ended: its undo window is over before",
                    self.step(number, *step),
                    self.step(number, *by)
                );
                Told::new("saga.expiring", words)
                    .with("step", self.names.step(self.stream, number, *step))
                    .with("by", self.names.step(self.stream, number, *by))
                    .with("at_s", micros(*at))
            }
        };
        told.with("saga", saga)
    }

    fn appended(&self, number: u32, saga: &Name, steps: &[impl AsRef<StepDef>], growth: Growth) -> Told {
        let definition = |step: &StepDef| {
            let after: Vec<String> = step
                .after
                .iter()
                .map(|after| self.names.step(self.stream, number, *after).to_string())
                .collect();
            let after = if after.is_empty() { String::new() } else { format!(" after {}", after.join(", ")) };
            format!("{} ({} by {}){after}", step.id, step.action, step.agent)
        };
        let listed: Vec<String> = steps.iter().map(|step| definition(step.as_ref())).collect();
        let (growth, more) = match growth {
            Growth::Open => ("open", "; more may follow"),
            Growth::Sealed => ("sealed", ""),
        };
        let listed = if listed.is_empty() { "no steps yet".to_owned() } else { listed.join("; ") };
        Told::new("saga.appended", format!("saga {saga}: {listed}{more}"))
            .with("steps", list(steps, |step| self.definition_fields(number, step.as_ref())))
            .with("growth", growth)
    }

    fn started(&self, saga: u32, step: u32, purpose: Purpose, attempt: u32) -> String {
        let name = self.step(saga, step);
        let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
        match (purpose, self.names.definition(self.stream, saga, step)) {
            (Purpose::Execute, Some(step)) => format!("{name}: {} starts {}{again}", step.agent, step.action),
            (Purpose::Execute, None) => format!("{name}: starts{again}"),
            (Purpose::Undo, _) => format!("{name}: undoing{again}"),
            (Purpose::Probe, _) => format!("{name}: asking whether its effect is there{again}"),
        }
    }

    fn moved(&self, saga: u32, step: u32, to: &Move) -> Told {
        let (name, wait, words) = match to {
            Move::Committed {} => ("committed", None, "committed".to_owned()),
            Move::Retry { wait, failure } => (
                "retry",
                Some(*wait),
                format!("failed and left nothing: {failure}; again in {}", told_in(*wait)),
            ),
            Move::Failed { failure } => {
                ("failed", None, format!("failed for good and left nothing: {failure}"))
            }
            Move::Suspect { wait, failure } => {
                ("suspect", Some(*wait), format!("failed for good: {failure}; a probe is asked what it left"))
            }
            Move::Doubt { wait, failure } => {
                let waits = if wait.0 > 0 { format!("; it waits {}", told_in(*wait)) } else { String::new() };
                let words = format!("nobody knows whether it had its effect: {failure}{waits}");
                ("doubt", Some(*wait), words)
            }
            Move::Assumed { failure } => {
                ("assumed", None, format!("treated as done, to be undone: {failure}"))
            }
            Move::Denied {} => ("denied", None, "denied by the gate".to_owned()),
            Move::Undone {} => ("undone", None, "undone".to_owned()),
            Move::UndoRetry { wait, failure } => {
                ("undo_retry", Some(*wait), format!("not undone: {failure}; again in {}", told_in(*wait)))
            }
            Move::Unconfirmed { wait, failure } => {
                let why = failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
                (
                    "unconfirmed",
                    Some(*wait),
                    format!("its undo ended{why}; a probe is asked whether the effect is gone"),
                )
            }
            Move::UndoFailed { failure } => {
                ("undo_failed", None, format!("cannot be undone: {failure}; a person must look"))
            }
        };
        Told::new("saga.moved", format!("{}: {words}", self.step(saga, step)))
            .with("step", self.names.step(self.stream, saga, step))
            .with("to", name)
            .with("failure", to.failure().map(failure_fields))
            .with("wait_s", wait.map(micros))
    }

    /// The step as a sentence names it: with its saga where another one has a step of this name.
    pub(super) fn step(&self, saga: u32, step: u32) -> String {
        let name = self.names.step(self.stream, saga, step);
        if self.names.is_shared(self.stream, saga, step) {
            format!("step {}/{name}", self.names.saga(self.stream, saga))
        } else {
            format!("step {name}")
        }
    }

    /// Who does what in a step, where the trail has told it.
    fn doer(&self, saga: u32, step: u32) -> Option<&StepDef> {
        self.names.definition(self.stream, saga, step)
    }

    fn definition_fields(&self, saga: u32, step: &StepDef) -> Value {
        let StepDef {
            id,
            action,
            kind,
            agent,
            after,
            join,
            execute,
            undo,
            probe,
            idempotent,
            timeout,
            retry,
            undo_timeout,
            undo_retry,
            undo_window,
            substitute,
            settles,
            within,
            start_within,
        } = step;
        object([
            ("id", json(id)),
            ("action", json(action)),
            ("kind", json(kind_name(*kind))),
            ("agent", json(agent)),
            ("after", list(after, |after| json(self.names.step(self.stream, saga, *after)))),
            ("join", join_fields(*join)),
            ("execute", task_fields(execute)),
            ("undo", json(undo.as_deref().map(task_fields))),
            ("probe", json(probe.as_deref().map(task_fields))),
            ("idempotent", json(idempotence_name(*idempotent))),
            ("timeout_s", seconds(*timeout)),
            ("retry", retry_fields(*retry)),
            ("undo_timeout_s", seconds(*undo_timeout)),
            ("undo_retry", retry_fields(*undo_retry)),
            ("undo_window_s", json(undo_window.map(seconds))),
            ("substitute", json(substitute)),
            ("settles_s", json(settles.map(seconds))),
            ("within_s", json(within.map(seconds))),
            ("start_within_s", json(start_within.map(seconds))),
        ])
    }
}

fn limits_words(Limits { concurrency, retries, within }: &Limits) -> String {
    let retries = limited(*retries)
        .map(|retries| format!(", {} in all", counted(retries, "retry")))
        .unwrap_or_default();
    let within = within.map(|within| format!(", {within:?} to go forward")).unwrap_or_default();
    format!("{} at a time{retries}{within}", counted(concurrency, "attempt"))
}

fn limits_fields(Limits { concurrency, retries, within }: &Limits) -> Value {
    object([
        ("concurrency", json(concurrency)),
        ("retries", json(limited(*retries))),
        ("within_s", json(within.map(seconds))),
    ])
}

/// The largest number stands for no limit.
fn limited(retries: u32) -> Option<u32> {
    Some(retries).filter(|retries| *retries < u32::MAX)
}

const fn pace_words(pace: Pace) -> &'static str {
    match pace {
        Pace::AsReady => "",
        Pace::Asked => ", each step when it is asked for",
    }
}

const fn pace_name(pace: Pace) -> &'static str {
    match pace {
        Pace::AsReady => "as_ready",
        Pace::Asked => "asked",
    }
}

/// What the cause is called, and the step that it speaks of.
const fn cause_fields(cause: Cause) -> (&'static str, Option<u32>) {
    match cause {
        Cause::Failed { step } => ("failed", Some(step)),
        Cause::Denied { step } => ("denied", Some(step)),
        Cause::InDoubt { step } => ("in_doubt", Some(step)),
        Cause::Cancelled {} => ("cancelled", None),
        Cause::Unfinished {} => ("unfinished", None),
        Cause::OutOfTime {} => ("out_of_time", None),
    }
}

/// Why, as what is said of the step where the cause speaks of one.
const fn cause_words(cause: Cause) -> &'static str {
    match cause {
        Cause::Failed { .. } => "failed",
        Cause::Denied { .. } => "was denied",
        Cause::InDoubt { .. } => "is in doubt",
        Cause::Cancelled {} => "it was cancelled",
        Cause::Unfinished {} => "it was finished with work left",
        Cause::OutOfTime {} => "its time was over",
    }
}

fn failure_fields(failure: &Failure) -> Value {
    let class = match failure.class {
        Class::Retryable => "retryable",
        Class::Permanent => "permanent",
        Class::Unknown => "unknown",
    };
    object([
        ("class", json(class)),
        ("reason", json(failure.reason.to_string())),
        ("retry_after_s", json(failure.retry_after.map(seconds))),
    ])
}

fn join_fields(join: Join) -> Value {
    match join {
        Join::All => json("all"),
        Join::Majority => json("majority"),
        Join::AtLeast(count) => json(count),
    }
}

const fn idempotence_name(idempotence: Idempotence) -> &'static str {
    match idempotence {
        Idempotence::None => "none",
        Idempotence::Execute => "execute",
        Idempotence::Undo => "undo",
        Idempotence::Both => "both",
    }
}

fn retry_fields(Retry { max, base, cap }: Retry) -> Value {
    object([("max", json(max)), ("base_s", seconds(base)), ("cap_s", seconds(cap))])
}

/// What is done. A reference to a secret is on the trail as a reference, and shown as one.
fn task_fields(task: &Task) -> Value {
    let pairs = |pairs: &[(String, Text)]| {
        list(pairs, |(name, value)| object([("name", json(name)), ("value", text_fields(value))]))
    };
    let text = |text: &Option<Text>| json(text.as_ref().map(text_fields));
    match task {
        Task::Command(task) => {
            let CommandTask { argv, cwd, env, stdin, pin } = &**task;
            object([
                ("command", json(argv)),
                ("cwd", json(cwd)),
                ("env", pairs(env)),
                ("stdin", text(stdin)),
                ("pin", json(pin)),
            ])
        }
        Task::Http(task) => {
            let HttpTask { method, url, headers, body, expect } = &**task;
            object([
                ("method", json(method)),
                ("url", json(url)),
                ("headers", pairs(headers)),
                ("body", text(body)),
                ("expect", json(expect)),
            ])
        }
        Task::Closure { name } => object([("closure", json(name))]),
    }
}

fn text_fields(text: &Text) -> Value {
    match text {
        Text::Literal(text) => object([("text", json(text))]),
        Text::Env(name) => object([("env", json(name))]),
        Text::File(path) => object([("file", json(path))]),
    }
}

fn micros(micros: Micros) -> Value {
    seconds(Duration::from_micros(micros.0))
}

fn told_in(wait: Micros) -> String {
    format!("{:.3} s", Duration::from_micros(wait.0).as_secs_f64())
}
