//! The native implementations beside the packages whose answers they give.
//!
//! `vectors` replays recorded cases; `peer` asks the installed packages themselves, `tools` speaks to real
//! tool servers.

// Helpers of tests may fail as tests do; clippy sees only what stands inside a test itself.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod cmvk;
mod iatp;
mod nexus;
mod peer;
mod tools;
mod vectors;
