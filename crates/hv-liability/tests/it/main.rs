//! Tests of the ledger from outside: against a naive model, at boundaries, and against faults of its kind.

mod model;
mod twin;

mod boundaries;
mod failures;
mod invariants;
mod numbers;
mod planted;
mod reachable;
