//! Drift as `cmvk` 0.3.0 measures it, and the adapter that turns it into what hv acts upon.
//!
//! ```
//! use hv_integrations::cmvk::{CmvkAdapter, NativeVerifier, Response, Verdict};
//! use hv_types::{Did, SessionId};
//!
//! let mut cmvk = CmvkAdapter::new(NativeVerifier);
//! let agent = Did::new("did:mesh:agent-1")?;
//! let session = SessionId::new("session-1")?;
//! let (manifest_vector, output_vector) = ([0.9, 0.1, 0.0], [-0.2, 0.1, 0.9]);
//!
//! let result = cmvk.check_behavioral_drift(&agent, &session, &manifest_vector, &output_vector);
//! assert!(result.should_slash() && !result.passed());
//! // One sample is noise; the second calls for the slash.
//! assert_eq!(result.response, Response::Nothing);
//! let result = cmvk.check_behavioral_drift(&agent, &session, &manifest_vector, &output_vector);
//! assert_eq!(result.response, Response::Slash);
//! assert_eq!(cmvk.history().rate(&agent), Some(1.0));
//!
//! // What cannot be measured does not pass.
//! let result = cmvk.check_behavioral_drift(&agent, &session, &manifest_vector, &[f64::NAN, 0.1, 0.9]);
//! assert!(!result.passed() && matches!(result.verdict, Verdict::Indeterminate(_)));
//! # Ok::<(), hv_types::BadIdent>(())
//! ```

mod line;
mod native;
mod sums;

pub use crate::drift::{
    AGENTS_REMEMBERED, Change, Cusum, CusumState, DriftCheckResult, DriftHistory, DriftThresholds,
    HISTORY_MAX_BYTES, Hysteresis, Response, SAMPLES_REMEMBERED, Verdict, WINDOW_MAX, Watch,
};
pub use line::{LINE_MAX_BYTES, drift_line};
pub use native::{Explanation, NativeVerifier, explain_drift, verify_embeddings};

use crate::drift::{Drift, DriftSettings, DriftVerifier};
use hv_types::{Did, SessionId};

/// Checks the behaviour of agents with a verifier, and remembers what came of it.
#[derive(Debug, Clone)]
pub struct CmvkAdapter<V> {
    verifier: V,
    rules: Rules,
    history: DriftHistory,
}

/// By which rules an adapter judges what its verifier measures.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rules {
    /// From which score on a drift has which severity.
    pub thresholds: DriftThresholds,
    /// How many samples it takes to act.
    pub hysteresis: Hysteresis,
    /// What counts as a change of the mean.
    pub cusum: Cusum,
}

impl<V: DriftVerifier> CmvkAdapter<V> {
    /// An adapter to this verifier, by the default rules.
    pub fn new(verifier: V) -> Self {
        Self::with_rules(verifier, Rules::default())
    }

    /// An adapter to this verifier, by rules of one's own.
    pub fn with_rules(verifier: V, rules: Rules) -> Self {
        Self { verifier, rules, history: DriftHistory::default() }
    }

    /// Checks whether an agent does what it claimed, by cosine.
    ///
    /// There is no error: what cannot be told is [`Verdict::Indeterminate`], which does not pass.
    pub fn check_behavioral_drift(
        &mut self,
        agent: &Did,
        session: &SessionId,
        claimed: &[f64],
        observed: &[f64],
    ) -> DriftCheckResult {
        self.check_with(agent, session, (claimed, observed), &DriftSettings::default())
    }

    /// The same with a metric, weights or a profile of one's own; the embeddings are what was claimed and
    /// what was observed.
    pub fn check_with(
        &mut self,
        agent: &Did,
        session: &SessionId,
        (claimed, observed): (&[f64], &[f64]),
        settings: &DriftSettings<'_>,
    ) -> DriftCheckResult {
        let measured = self.verifier.verify(claimed, observed, settings).and_then(Drift::believed);
        let (verdict, drift) = match measured {
            Ok(drift) => {
                let severity = self.rules.thresholds.severity(drift.score);
                (severity.map_or(Verdict::Aligned, Verdict::Drifted), Some(drift))
            }
            Err(why) => (Verdict::Indeterminate(why), None),
        };
        let rules = (self.rules.hysteresis, self.rules.cusum);
        let score = drift.map(|drift| drift.score);
        let (response, change) = self.history.record(agent, &verdict, score, rules);
        let mut result = DriftCheckResult {
            agent_did: agent.clone(),
            session_id: session.clone(),
            verdict,
            drift,
            drivers: Vec::new(),
            response,
            change,
        };
        if drift.is_some() && !result.passed() {
            // A verifier elsewhere may measure what cannot be explained here.
            result.drivers =
                explain_drift(claimed, observed, settings.weights).map(|e| e.top).unwrap_or_default();
        }
        result
    }

    /// What is remembered of the checks.
    #[must_use]
    pub const fn history(&self) -> &DriftHistory {
        &self.history
    }

    /// Forgets an agent's checks.
    pub fn forget(&mut self, agent: &Did) {
        self.history.forget(agent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::{Indeterminate, Metric, Side};
    use proptest::prelude::*;

    #[test]
    fn failure_21_what_cannot_be_measured_never_passes() {
        let settings = |metric| DriftSettings { metric: Some(metric), ..DriftSettings::default() };
        let agent = Did::new("did:mesh:a").unwrap();
        let session = SessionId::new("s").unwrap();
        let not_finite = |side, dimension| Indeterminate::NotFinite { side, dimension };
        let long = vec![1.0; crate::drift::DIMENSIONS_MAX + 1];
        for metric in Metric::ALL {
            for (claimed, observed, why) in [
                (&[][..], &[][..], Indeterminate::Empty),
                (&[1.0], &[1.0, 2.0], Indeterminate::Mismatched { claimed: 1, observed: 2 }),
                (&[1.0], &[], Indeterminate::Mismatched { claimed: 1, observed: 0 }),
                (&[1.0, f64::NAN], &[1.0, 2.0], not_finite(Side::Claimed, 1)),
                (&[1.0, 2.0], &[f64::INFINITY, 2.0], not_finite(Side::Observed, 0)),
                (&[1.0, 2.0], &[1.0, f64::NEG_INFINITY], not_finite(Side::Observed, 1)),
                (&[0.0, -0.0], &[1.0, 2.0], Indeterminate::Zero { side: Side::Claimed }),
                (&[1.0, 2.0], &[0.0, 0.0], Indeterminate::Zero { side: Side::Observed }),
                (&[1.0, 2.0], &[1e-200, 0.0], Indeterminate::Zero { side: Side::Observed }),
                (&[1e200, 2.0], &[1.0, 2.0], Indeterminate::Overflow),
                (&long, &long, Indeterminate::TooLong { dimensions: long.len() }),
            ] {
                let mut cmvk = CmvkAdapter::new(NativeVerifier);
                let result = cmvk.check_with(&agent, &session, (claimed, observed), &settings(metric));
                assert_eq!(result.verdict, Verdict::Indeterminate(why), "{metric}");
                assert!(!result.passed() && !result.should_slash() && !result.should_demote());
                assert_eq!(cmvk.history().rate(&agent), Some(1.0));
            }
        }
    }

    #[test]
    fn weights_that_do_not_fit_measure_nothing() {
        for metric in Metric::ALL {
            for weights in
                [&[][..], &[1.0], &[1.0; 3], &[0.0; 2], &[-1.0, 3.0], &[f64::NAN, 1.0], &[f64::MAX; 2]]
            {
                let settings = DriftSettings {
                    metric: Some(metric),
                    weights: Some(weights),
                    ..DriftSettings::default()
                };
                let measured = verify_embeddings(&[1.0, 2.0], &[3.0, 5.0], &settings);
                assert_eq!(measured, Err(Indeterminate::Weights), "{metric} {weights:?}");
                assert_eq!(
                    explain_drift(&[1.0, 2.0], &[3.0, 5.0], Some(weights)),
                    Err(Indeterminate::Weights)
                );
            }
        }
    }

    #[test]
    fn the_drivers_of_a_drift_are_named() {
        let mut cmvk = CmvkAdapter::new(NativeVerifier);
        let agent = Did::new("did:mesh:a").unwrap();
        let session = SessionId::new("s").unwrap();
        let passed = cmvk.check_behavioral_drift(&agent, &session, &[1.0, 2.0], &[1.0, 2.1]);
        assert!(passed.passed() && passed.drivers.is_empty());
        let failed = cmvk.check_behavioral_drift(&agent, &session, &[1.0, 2.0], &[-2.0, 1.0]);
        assert_eq!(failed.drivers, [(0, 0.75), (1, 0.25)]);
    }

    fn measure(a: &[f64], b: &[f64], metric: Metric) -> Drift {
        verify_embeddings(a, b, &DriftSettings { metric: Some(metric), ..DriftSettings::default() }).unwrap()
    }

    fn pair() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
        (1usize..300).prop_flat_map(|n| {
            let side = || proptest::collection::vec(prop_oneof![0.001..10.0f64, -10.0..-0.001f64], n);
            (side(), side())
        })
    }

    proptest! {
        #[test]
        fn a_drift_is_the_same_both_ways_and_none_from_itself((a, b) in pair()) {
            for metric in Metric::ALL {
                let (there, back) = (measure(&a, &b, metric), measure(&b, &a, metric));
                prop_assert_eq!(there.score, back.score);
                prop_assert!((0.0..=0.9).contains(&there.confidence));
                prop_assert!(measure(&a, &a, metric).score.get() < 1e-12);
            }
        }

        #[test]
        fn shares_sum_to_one((a, b) in pair()) {
            let explanation = explain_drift(&a, &b, None).unwrap();
            let sum: f64 = explanation.contributions.iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-9);
            prop_assert!(explanation.top.is_sorted_by(|x, y| x.1 >= y.1));
            let largest = explanation.contributions.iter().copied().fold(0.0, f64::max);
            prop_assert_eq!(explanation.top.first().map(|top| top.1), Some(largest));
        }
    }
}
