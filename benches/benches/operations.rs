//! `cargo bench -p hv-benches --bench operations`: what the operations that people ask about take, with criterion.
//!
//! The work is that of the comparison, [`hv_benches::peer`], so a figure here is one that can be set beside it.
//! Each sample is a run from fresh state with its own warm-up, of which the timed calls alone count.

use criterion::{Criterion, criterion_group, criterion_main};
use hv_benches::peer::WORKLOADS;
use std::time::Duration;

/// What is measured, under the name that people look for, and its workload.
const OPERATIONS: [(&str, &str); 6] = [
    ("ring computation", "ring_computation"),
    ("vouch and sigma_eff", "vouching_sigma_eff"),
    ("delta capture", "delta_capture"),
    ("session lifecycle", "session_lifecycle"),
    ("saga of 3 steps", "saga_3_steps"),
    ("full governance pipeline", "full_governance_pipeline"),
];

#[allow(clippy::expect_used, reason = "a workload that fails has no figure, and the run ends with its name")]
fn operations(criterion: &mut Criterion) {
    for (name, workload) in OPERATIONS {
        let found = WORKLOADS.iter().find(|known| known.name == workload).expect(workload);
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|calls| {
                let timed = (found.run)(calls).expect(workload);
                Duration::from_secs_f64(timed.ns_per_call * 1e-9 * calls as f64)
            });
        });
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
