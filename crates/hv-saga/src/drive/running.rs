//! The attempts that run at the same time.

use crate::{AttemptRef, BoxFuture, Class, Did, Outcome, Purpose, Reason};
use core::fmt;
use core::task::{Context, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Attempts with their futures, in the order in which they started. Polling costs time in proportion to
/// their number, which the saga's limit keeps small.
#[derive(Default)]
pub(super) struct Running<'a>(Vec<(AttemptRef, Did, BoxFuture<'a, Outcome>)>);

impl fmt::Debug for Running<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(attempt, ..)| attempt)).finish()
    }
}

impl<'a> Running<'a> {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, attempt: AttemptRef, agent: Did, future: BoxFuture<'a, Outcome>) {
        self.0.push((attempt, agent, future));
    }

    /// The first attempt that has ended. An executor that panics leaves an unknown outcome.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(AttemptRef, Outcome)> {
        let ended = self.0.iter_mut().enumerate().find_map(|(at, (.., future))| {
            // After a panic the future is dropped and never polled again.
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(Poll::Pending) => None,
                Ok(Poll::Ready(outcome)) => Some((at, outcome)),
                Err(_) => Some((at, Outcome::failed(Class::Unknown, Reason::Panicked))),
            }
        });
        match ended {
            Some((at, outcome)) => Poll::Ready((self.0.remove(at).0, outcome)),
            None => Poll::Pending,
        }
    }

    /// Drops the attempts at this purpose, and says which they were.
    pub(super) fn stop(&mut self, purpose: Purpose) -> Vec<AttemptRef> {
        let (stopped, kept) =
            core::mem::take(&mut self.0).into_iter().partition(|(attempt, ..)| attempt.purpose == purpose);
        self.0 = kept;
        let stopped: Vec<_> = stopped;
        stopped.into_iter().map(|(attempt, ..)| attempt).collect()
    }

    /// Drops what an agent executes.
    pub(super) fn drop_of(&mut self, agent: &Did) {
        self.0.retain(|(attempt, other, _)| attempt.purpose != Purpose::Execute || other != agent);
    }
}
