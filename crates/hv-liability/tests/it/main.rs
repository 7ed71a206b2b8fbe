//! Tests of the ledger from outside: against a naive model, at boundaries, and against faults of its kind.

mod model;
mod twin;

mod invariants;
