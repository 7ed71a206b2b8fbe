//! Tests of sessions as a user of the crate sees them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

mod lifecycle;

mod access;
mod files;
mod paths;
mod snapshots;

mod forged;
mod model;
mod replay;
mod wire;
