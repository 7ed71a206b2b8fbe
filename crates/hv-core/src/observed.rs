//! What a node tells of itself while it works: spans and events by `tracing`, counts by `metrics`, each behind its
//! feature. Without them all of this is nothing.
//!
//! Told is what is durable, and never under the node's lock, so that nobody waits for whoever listens. Nothing is
//! told that is not on the trail too, or is a count or a time: names, rings, scores, rules, reasons. Parameters,
//! contents and what programs print are not.

#[cfg(any(feature = "tracing", feature = "metrics"))]
mod on;
#[cfg(any(feature = "tracing", feature = "metrics"))]
pub(crate) use on::{Command, KillTold, SagaTold, Sums, Syncing, Waiting, poisoned};

#[cfg(not(any(feature = "tracing", feature = "metrics")))]
mod off;
#[cfg(not(any(feature = "tracing", feature = "metrics")))]
pub(crate) use off::{Command, KillTold, SagaTold, Sums, Syncing, Waiting, poisoned};

#[cfg(test)]
#[cfg(all(feature = "folder", feature = "tracing", feature = "metrics"))]
mod tests;
