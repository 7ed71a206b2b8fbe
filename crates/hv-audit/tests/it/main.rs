//! The trail as its users and its enemies see it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test says by panicking that it failed, also in its helpers"
)]

mod attack;
mod concurrency;
mod conformance;
mod contents;
mod corpus;
mod crash;
mod delta;
mod follow;
mod kill;
mod located;
mod notes;
mod outside;
mod purge;
mod reading;
mod reduce;
mod sim;
mod snapshot;
mod trail;
mod tree;
mod version;

/// Larger numbers where somebody asks for them: `HV_DEEP=1`.
fn deep(usual: u64, deep: u64) -> u64 {
    if std::env::var_os("HV_DEEP").is_some() { deep } else { usual }
}
