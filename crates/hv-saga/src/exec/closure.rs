//! Functions of the embedding program as steps: each brings the function that takes it back.

use super::router::not_mine;
use super::{Clock, redeem, system_clock};
use crate::{
    ActionId, Attempt, BoxFuture, Class, Did, Executor, Outcome, Permit, Purpose, Reason, StepDef, StepId,
    Task,
};
use core::fmt;
use core::future::ready;
use core::time::Duration;
use std::collections::BTreeMap;

type Function = Box<dyn Fn(Attempt) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// Functions by name: each with its undo, some with a probe.
pub struct Closures {
    functions: BTreeMap<(String, Purpose), Function>,
    clock: Clock,
}

impl Default for Closures {
    fn default() -> Self {
        Self::new()
    }
}

impl Closures {
    /// No functions yet; permits are redeemed by the system's time.
    #[must_use]
    pub fn new() -> Self {
        Self { functions: BTreeMap::new(), clock: system_clock() }
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Adds a function and the one that takes back what it did; a later one of the same name takes its place.
    ///
    /// Either may be called again with the same [`Attempt::key`] where the step says that it is idempotent.
    /// An attempt that does not end before its deadline is dropped, with an unknown outcome.
    pub fn add<E, U, EF, UF>(&mut self, name: &str, execute: E, undo: U)
    where
        E: Fn(Attempt) -> EF + Send + Sync + 'static,
        EF: Future<Output = Outcome> + Send + 'static,
        U: Fn(Attempt) -> UF + Send + Sync + 'static,
        UF: Future<Output = Outcome> + Send + 'static,
    {
        self.insert(name, Purpose::Execute, execute);
        self.insert(name, Purpose::Undo, undo);
    }

    /// Adds a function that finds out whether the effect of the one of this name is there.
    pub fn add_probe<P, PF>(&mut self, name: &str, probe: P)
    where
        P: Fn(Attempt) -> PF + Send + Sync + 'static,
        PF: Future<Output = Outcome> + Send + 'static,
    {
        self.insert(name, Purpose::Probe, probe);
    }

    /// Adds a function that changes nothing and needs no undo, for steps whose action is read-only.
    pub fn add_read_only<E, EF>(&mut self, name: &str, execute: E)
    where
        E: Fn(Attempt) -> EF + Send + Sync + 'static,
        EF: Future<Output = Outcome> + Send + 'static,
    {
        self.insert(name, Purpose::Execute, execute);
    }

    /// A step that calls the function of this name, and its undo to take it back.
    #[must_use]
    pub fn step(id: StepId, action: ActionId, agent: Did, name: &str) -> StepDef {
        StepDef::new(id, action, agent, Task::closure(name)).with_undo(Task::closure(name))
    }

    fn insert<F, FF>(&mut self, name: &str, purpose: Purpose, function: F)
    where
        F: Fn(Attempt) -> FF + Send + Sync + 'static,
        FF: Future<Output = Outcome> + Send + 'static,
    {
        let boxed: Function = Box::new(move |attempt| Box::pin(function(attempt)));
        self.functions.insert((name.into(), purpose), boxed);
    }
}

impl fmt::Debug for Closures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closures").field("functions", &self.functions.keys()).finish_non_exhaustive()
    }
}

impl<P: Permit> Executor<P> for Closures {
    fn run<'a>(&'a self, permit: P, attempt: &'a Attempt) -> BoxFuture<'a, Outcome> {
        let now = (self.clock)();
        let Task::Closure { name } = &*attempt.task else { return not_mine(permit, attempt, now) };
        let Some(function) = self.functions.get(&(name.clone(), attempt.purpose)) else {
            return not_mine(permit, attempt, now);
        };
        if let Err(outcome) = redeem(permit, attempt, now) {
            return Box::pin(ready(outcome));
        }
        let left = attempt.deadline.since(now);
        Box::pin(async move {
            let outcome = tokio::time::timeout(left, function(attempt.clone())).await;
            outcome.unwrap_or_else(|_| Outcome::failed(Class::Unknown, Reason::TimedOut))
        })
    }

    /// A closure is dropped.
    fn stops_within(&self) -> Duration {
        Duration::ZERO
    }
}
