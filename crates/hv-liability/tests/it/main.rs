//! Tests of the ledger from outside: against a naive model, at boundaries, and against faults of its kind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, in its helpers too"
)]

mod attribution;
mod boundaries;
mod failures;
mod interleavings;
mod invariants;
mod matrix;
mod model;
mod numbers;
mod planted;
mod reachable;
mod record;
mod scoring;
mod twin;
mod words;
