//! The attempts that run at the same time.

use super::Left;
use crate::{AttemptRef, BoxFuture, Class, Did, Outcome, Purpose, Reason};
use core::fmt;
use core::task::{Context, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Attempts with their futures, in the order in which they started. Polling costs time in proportion to
/// their number, which the saga's limit keeps small.
#[derive(Default)]
pub(super) struct Running<'a> {
    own: Vec<(AttemptRef, Did, BoxFuture<'a, Outcome>)>,
    /// The same of what somebody else began.
    left: Vec<(AttemptRef, Did, BoxFuture<'a, Outcome>)>,
}

impl fmt::Debug for Running<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.own.iter().chain(&self.left).map(|(attempt, ..)| attempt)).finish()
    }
}

impl<'a> Running<'a> {
    pub(super) fn of(left: Vec<Left<'a>>) -> Self {
        let left = left.into_iter().map(|Left { attempt, agent, end }| (attempt, agent, end)).collect();
        Self { own: Vec::new(), left }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.own.is_empty() && self.left.is_empty()
    }

    /// Whether something is at work that somebody else began.
    pub(super) const fn has_left(&self) -> bool {
        !self.left.is_empty()
    }

    pub(super) fn push(&mut self, attempt: AttemptRef, agent: Did, future: BoxFuture<'a, Outcome>) {
        self.own.push((attempt, agent, future));
    }

    /// The first attempt that has ended. An executor that panics leaves an unknown outcome.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(AttemptRef, Outcome)> {
        let ended = [&mut self.own, &mut self.left].into_iter().find_map(|list| first_ended(list, cx));
        ended.map_or(Poll::Pending, Poll::Ready)
    }

    /// Drops the attempts at this purpose, and says which they were.
    pub(super) fn stop(&mut self, purpose: Purpose) -> Vec<AttemptRef> {
        let mut stopped = Vec::new();
        for list in [&mut self.own, &mut self.left] {
            let (ends, kept): (Vec<_>, Vec<_>) =
                core::mem::take(list).into_iter().partition(|(attempt, ..)| attempt.purpose == purpose);
            *list = kept;
            stopped.extend(ends.into_iter().map(|(attempt, ..)| attempt));
        }
        stopped
    }

    /// Drops what an agent executes.
    pub(super) fn drop_of(&mut self, agent: &Did) {
        for list in [&mut self.own, &mut self.left] {
            list.retain(|(attempt, other, _)| attempt.purpose != Purpose::Execute || other != agent);
        }
    }
}

fn first_ended(
    list: &mut Vec<(AttemptRef, Did, BoxFuture<'_, Outcome>)>,
    cx: &mut Context<'_>,
) -> Option<(AttemptRef, Outcome)> {
    let (at, outcome) = list.iter_mut().enumerate().find_map(|(at, (.., future))| {
        // After a panic the future is dropped and never polled again.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(outcome)) => Some((at, outcome)),
            Err(_) => Some((at, Outcome::failed(Class::Unknown, Reason::Panicked))),
        }
    })?;
    Some((list.remove(at).0, outcome))
}
