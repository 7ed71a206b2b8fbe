//! The adapters beside the packages whose answers they give: `cargo xtask bench adapters`.
//!
//! Both sides get what they take most readily: here slices, there numpy arrays; a history as an object; a manifest as
//! the text that the package's own sidecar sends. What is checked here and not there (that every number is finite, that
//! an embedding says something) is part of the call.

use crate::peer::{Timed, Workload, timed};
use hv_integrations::cmvk::verify_embeddings;
use hv_integrations::drift::{DriftSettings, Indeterminate, Metric};
use hv_integrations::iatp::{parse_manifest, trust_score};
use hv_integrations::nexus::{
    ReputationHistory, Tasks, TrustFacts, VerificationLevel, calculate_trust_score,
};
use std::hint::black_box;

/// As many numbers as common embeddings have.
const DIMENSIONS: u32 = 1536;

/// What the package's sidecar answers; both sides read this file.
pub const MANIFEST: &str = include_str!("../peer/manifest.json");

/// Every workload that this side runs.
pub const WORKLOADS: &[Workload] = &[
    Workload { name: "drift_cosine", run: |calls| drift(Metric::Cosine, calls) },
    Workload { name: "drift_euclidean", run: |calls| drift(Metric::Euclidean, calls) },
    Workload { name: "drift_manhattan", run: |calls| drift(Metric::Manhattan, calls) },
    Workload { name: "drift_chebyshev", run: |calls| drift(Metric::Chebyshev, calls) },
    Workload { name: "drift_mahalanobis", run: |calls| drift(Metric::Mahalanobis, calls) },
    Workload { name: "trust_score", run: trust },
    Workload { name: "manifest_score", run: manifest },
];

/// Two embeddings of which the second lies a little off the first.
fn embeddings() -> (Vec<f64>, Vec<f64>) {
    let claimed = (0..DIMENSIONS).map(|i| (f64::from(i) * 0.37).sin());
    let observed = (0..DIMENSIONS).map(|i| (f64::from(i) * 0.37).sin() + 0.1 * (f64::from(i) * 1.7).cos());
    (claimed.collect(), observed.collect())
}

/// The drift of two embeddings, validated.
fn drift(metric: Metric, calls: u64) -> Result<Timed, String> {
    let (claimed, observed) = embeddings();
    let settings = DriftSettings { metric: Some(metric), ..DriftSettings::default() };
    timed(calls, || {
        let drift = verify_embeddings(black_box(&claimed), black_box(&observed), &settings)?;
        Ok::<_, Indeterminate>(Rounded(drift.score.get()))
    })
}

/// The points of an agent with a history.
fn trust(calls: u64) -> Result<Timed, String> {
    let history = ReputationHistory {
        successful_tasks: Tasks::whole(85),
        failed_tasks: Tasks::whole(3),
        uptime_days: 40,
        ..ReputationHistory::default()
    };
    let facts = TrustFacts { level: VerificationLevel::Verified, ..history.into() };
    timed(calls, || Ok::<_, String>(calculate_trust_score(black_box(&facts)).total.get()))
}

/// From a manifest's text to its score.
fn manifest(calls: u64) -> Result<Timed, String> {
    timed(calls, || parse_manifest(black_box(MANIFEST)).map(|manifest| trust_score(&manifest).points()))
}

/// Nine places: as far as both sides agree.
struct Rounded(f64);

impl core::fmt::Display for Rounded {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:.9}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_answers_and_the_answers_are_those_of_the_rules() {
        for workload in WORKLOADS {
            assert!((workload.run)(20).unwrap().ns_per_call > 0.0, "{}", workload.name);
        }
        assert_eq!(trust(10).unwrap().answer, "810");
        assert_eq!(manifest(10).unwrap().answer, "10");
    }
}
