//! Functions of the embedding program that may panic.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// What a function gives; nothing where it panics.
pub(crate) fn called<T>(function: impl FnOnce() -> T) -> Option<T> {
    // Whoever calls drops what the function may have left half done, and looks at nothing of it.
    catch_unwind(AssertUnwindSafe(function)).ok()
}

/// What the future that a function gave comes to; nothing where either panics. It is not polled again then.
pub(crate) async fn awaited<F: Future>(work: Option<F>) -> Option<F::Output> {
    let mut work = pin!(work?);
    poll_fn(|cx| match called(|| work.as_mut().poll(cx)) {
        Some(polled) => polled.map(Some),
        None => Poll::Ready(None),
    })
    .await
}
