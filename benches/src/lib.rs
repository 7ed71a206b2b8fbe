//! What is measured, and by which rule.
//!
//! * [`peer`]: the workloads that agent-hypervisor (Python) publishes, compared in wall time with that package,
//!   both in one run: `cargo xtask bench peer`.
//! * The same workloads, timed with criterion: `cargo bench -p hv-benches --bench operations`.
//! * [`counted`]: functions counted in instructions, which are the same run after run, against the table
//!   `gate.toml`: `cargo xtask bench gate`.

pub mod counted;
pub mod peer;
