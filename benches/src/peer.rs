//! The workloads of the comparison with agent-hypervisor (Python), under the names of its own benchmark.
//!
//! `benches/peer/peer.py` does the same work with that package. A workload that is not in [`WORKLOADS`] is not
//! compared. Each run starts from fresh state, warms up with as many calls as the Python benchmark does, and
//! then times all calls together, because a call here can be shorter than reading the clock.

use core::fmt::Display;
use hv_rings::earned;
use hv_types::Sigma;
use std::hint::black_box;
use std::time::Instant;

/// A piece of work that both sides can do.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// The name that the Python benchmark gives it.
    pub name: &'static str,
    /// Does it this many times.
    pub run: fn(u64) -> Result<Timed, String>,
}

/// How long the calls of one run took.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Nanoseconds for each call, warm-up excluded.
    pub ns_per_call: f64,
    /// What the last call answered: a ring, a score, a root.
    pub answer: String,
}

/// Every workload that this side runs.
pub const WORKLOADS: &[Workload] = &[Workload { name: "ring_computation", run: ring_computation }];

/// The ring that a score of 0.85 earns, from the floating-point number on, as the Python package takes it.
fn ring_computation(calls: u64) -> Result<Timed, String> {
    timed(calls, || Sigma::try_from(black_box(0.85)).map(|sigma| earned(sigma).number()))
}

/// Times the calls of one run together.
fn timed<T: Display, E: Display>(
    calls: u64,
    mut call: impl FnMut() -> Result<T, E>,
) -> Result<Timed, String> {
    for _ in 0..(calls / 10).min(100) {
        black_box(call().map_err(|e| e.to_string())?);
    }
    let mut answer = None;
    let started = Instant::now();
    for _ in 0..calls {
        answer = Some(black_box(call().map_err(|e| e.to_string())?));
    }
    let took = started.elapsed();
    let answer = answer.ok_or("no calls, so nothing to time")?.to_string();
    let calls = u32::try_from(calls).map_err(|_| "at most 4 294 967 295 calls")?;
    Ok(Timed { ns_per_call: took.as_secs_f64() * 1e9 / f64::from(calls), answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_answers() {
        for workload in WORKLOADS {
            let timed = (workload.run)(20).unwrap();
            assert!(timed.ns_per_call > 0.0 && !timed.answer.is_empty(), "{}", workload.name);
            assert!((workload.run)(0).is_err(), "{}", workload.name);
        }
    }

    #[test]
    fn the_answers_are_those_of_the_rules() {
        assert_eq!(ring_computation(10).unwrap().answer, "2");
    }
}
