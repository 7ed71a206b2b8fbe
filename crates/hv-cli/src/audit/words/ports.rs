//! What scorers, verifiers and desks said, as sentences.

use super::Scene;
use crate::audit::told::Told;
use hv_core::adapters::{DriftRecord, DriftVerdict, PortsOn};
use hv_core::integrations::drift::Response;
use hv_core::types::{Did, Digest, Sigma, Timestamp};

pub(super) fn reported(key: &Digest, agent: &Did) -> Told {
    Told::new("node.reported", format!("the scorer took note of what happened to {agent}"))
        .with("key", key)
        .with("agent", agent)
}

pub(super) fn unreported(why: &str) -> Told {
    Told::new("node.unreported", format!("the scorer takes no reports, so they wait: {why}")).with("why", why)
}

pub(super) fn scored(agent: &Did, sigma: Sigma, until: Timestamp) -> Told {
    let words = format!("the scorer says σ {sigma} for {agent}, which counts until {until}");
    Told::new("node.scored", words).with("agent", agent).with("sigma", sigma).with("until", until)
}

pub(super) fn unscored(agent: &Did, why: &str) -> Told {
    let words = format!("no trust score for {agent}, so at most Ring 3: {why}");
    Told::new("node.unscored", words).with("agent", agent).with("why", why)
}

pub(super) fn ports(on: &PortsOn) -> Told {
    Told::new("session.ports", on.to_string())
        .with("trust", on.trust.as_ref())
        .with("drift", on.drift.as_ref().map(|(name, _)| name))
        .with("manifests", on.manifests.as_ref())
        .with("context", on.context.as_ref())
        .with("correction", on.correction.as_ref())
}

impl Scene<'_> {
    pub(super) fn drift_checked(&self, member: u32, check: &DriftRecord) -> Told {
        let member = self.member(member);
        let (verdict, score, why) = match &check.verdict {
            DriftVerdict::Aligned { score } => ("aligned", Some(score), None),
            DriftVerdict::Drifted { score, severity } => (severity.name(), Some(score), None),
            DriftVerdict::Indeterminate { why } => ("indeterminate", None, Some(why)),
        };
        let response = match check.response {
            Response::Nothing => "nothing",
            Response::Demote => "demote",
            Response::Slash => "slash",
            Response::Restore => "restore",
        };
        Told::new("session.drift_checked", format!("{member}: {check}"))
            .with("member", member)
            .with("verdict", verdict)
            .with("score", score)
            .with("response", response)
            .with("why", why)
    }
}
