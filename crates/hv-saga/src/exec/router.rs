//! Choosing the executor by what is to be done.

use super::redeem;
use crate::{Attempt, BoxFuture, Class, Executor, Outcome, Permit, Reason, Task};
use core::fmt;
use core::future::ready;
use core::time::Duration;

/// One executor for each kind of task; a kind that has none fails for good.
pub struct Router<P> {
    command: Option<Box<dyn Executor<P>>>,
    http: Option<Box<dyn Executor<P>>>,
    closure: Option<Box<dyn Executor<P>>>,
}

impl<P> Default for Router<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> Router<P> {
    /// A router that executes nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { command: None, http: None, closure: None }
    }

    /// The same with an executor for programs.
    #[must_use]
    pub fn with_command(self, executor: impl Executor<P> + 'static) -> Self {
        Self { command: Some(Box::new(executor)), ..self }
    }

    /// The same with an executor for requests.
    #[must_use]
    pub fn with_http(self, executor: impl Executor<P> + 'static) -> Self {
        Self { http: Some(Box::new(executor)), ..self }
    }

    /// The same with an executor for functions.
    #[must_use]
    pub fn with_closures(self, executor: impl Executor<P> + 'static) -> Self {
        Self { closure: Some(Box::new(executor)), ..self }
    }
}

impl<P> fmt::Debug for Router<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("command", &self.command.is_some())
            .field("http", &self.http.is_some())
            .field("closure", &self.closure.is_some())
            .finish()
    }
}

impl<P: Permit> Executor<P> for Router<P> {
    fn run<'a>(&'a self, permit: P, attempt: &'a Attempt) -> BoxFuture<'a, Outcome> {
        let executor = match *attempt.task {
            Task::Command(_) => &self.command,
            Task::Http(_) => &self.http,
            Task::Closure { .. } => &self.closure,
        };
        match executor {
            Some(executor) => executor.run(permit, attempt),
            None => {
                drop(permit);
                Box::pin(ready(Outcome::failed(Class::Permanent, Reason::NoExecutor)))
            }
        }
    }

    fn stops_within(&self) -> Duration {
        let all = [&self.command, &self.http, &self.closure];
        all.into_iter().flatten().map(|executor| executor.stops_within()).max().unwrap_or_default()
    }
}

/// What every executor answers about a task that is not of its kind. The permit is used up first, so that it
/// is not lying about.
pub(super) fn not_mine<'a, P: Permit>(
    permit: P,
    attempt: &Attempt,
    now: crate::Timestamp,
) -> BoxFuture<'a, Outcome> {
    let outcome = redeem(permit, attempt, now).err();
    Box::pin(ready(outcome.unwrap_or_else(|| Outcome::failed(Class::Permanent, Reason::NoExecutor))))
}
