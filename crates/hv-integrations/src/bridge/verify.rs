//! The real CMVK as a verifier.

use super::process::Bridge;
use super::{BridgeFault, Kernel, at};
use crate::drift::{
    DIMENSIONS_MAX, Drift, DriftScore, DriftSettings, DriftVerifier, Indeterminate, Metric, Side,
};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// `cmvk` behind a bridge.
///
/// What it could not measure rightly is not sent: the package takes what is no number, or has no direction, for a
/// vector like any other.
#[derive(Debug)]
pub struct CmvkBridge {
    bridge: Bridge,
}

impl CmvkBridge {
    /// A bridge to the package that this Python has.
    #[must_use]
    pub fn new(python: &Path, deadline: Duration) -> Self {
        Self::over(Bridge::new(python, Kernel::Cmvk, deadline))
    }

    /// The same over a bridge of one's own.
    #[must_use]
    pub const fn over(bridge: Bridge) -> Self {
        Self { bridge }
    }

    /// The bridge.
    pub const fn bridge(&self) -> &Bridge {
        &self.bridge
    }
}

impl DriftVerifier for CmvkBridge {
    fn verify(
        &self,
        claimed: &[f64],
        observed: &[f64],
        settings: &DriftSettings<'_>,
    ) -> Result<Drift, Indeterminate> {
        measurable(claimed, observed)?;
        if let Some(weights) = settings.weights
            && (weights.len() != claimed.len()
                || weights.iter().any(|w| !w.is_finite() || *w < 0.0)
                || weights.iter().all(|w| *w == 0.0))
        {
            return Err(Indeterminate::Weights);
        }
        // Cosine in this spelling is what the package takes when nothing is said; asked for, it is told in capitals.
        let metric = match settings.metric {
            None => "cosine",
            Some(Metric::Cosine) => "COSINE",
            Some(metric) => metric.name(),
        };
        let question = json!({
            "claimed": claimed, "observed": observed, "metric": metric, "weights": settings.weights,
            "profile": settings.profile.map(|profile| profile.name()),
        });
        let said = self.bridge.ask("verify", question).map_err(|fault| match fault {
            BridgeFault::Garbled { .. } => Indeterminate::NotBelieved,
            fault => Indeterminate::Unreachable { verifier: fault.to_string() },
        })?;
        let metric = at(&said, "metric_used").as_str();
        let metric = metric.and_then(|name| Metric::ALL.into_iter().find(|metric| metric.name() == name));
        let score = at(&said, "drift_score").as_f64().and_then(|score| DriftScore::new(score).ok());
        let confidence =
            at(&said, "confidence").as_f64().filter(|confidence| (0.0..=1.0).contains(confidence));
        let raw = at(&said, "raw_distance").as_f64().filter(|raw| raw.is_finite() && *raw >= 0.0);
        let (Some(metric), Some(score), Some(confidence), Some(raw_distance)) =
            (metric, score, confidence, raw)
        else {
            return Err(Indeterminate::NotBelieved);
        };
        let profile = settings.profile.map(|profile| profile.judge(score, confidence));
        Ok(Drift { score, confidence, raw_distance, metric, profile })
    }
}

/// Whether two embeddings can be compared at all.
fn measurable(claimed: &[f64], observed: &[f64]) -> Result<(), Indeterminate> {
    if claimed.len() != observed.len() {
        return Err(Indeterminate::Mismatched { claimed: claimed.len(), observed: observed.len() });
    }
    if claimed.is_empty() {
        return Err(Indeterminate::Empty);
    }
    if claimed.len() > DIMENSIONS_MAX {
        return Err(Indeterminate::TooLong { dimensions: claimed.len() });
    }
    for (side, values) in [(Side::Claimed, claimed), (Side::Observed, observed)] {
        if let Some(dimension) = values.iter().position(|value| !value.is_finite()) {
            return Err(Indeterminate::NotFinite { side, dimension });
        }
        let length: f64 = values.iter().map(|value| value * value).sum();
        if length == 0.0 {
            return Err(Indeterminate::Zero { side });
        }
        if !length.is_finite() {
            return Err(Indeterminate::Overflow);
        }
    }
    Ok(())
}
