//! The manifests of a source, read for whoever joins.

use crate::manifest::{Admission, ManifestSource, NotAdmitted, Reception};
use hv_types::Did;

use super::analysis::IatpAdapter;

/// Fetches manifests from a source and reads them as IATP writes them.
#[derive(Debug, Clone)]
pub struct ManifestDesk<S> {
    adapter: IatpAdapter,
    source: S,
}

impl<S: ManifestSource> ManifestDesk<S> {
    /// A desk for this source; bare names stand for `did:mesh:<name>`.
    pub fn new(source: S) -> Self {
        Self::reading(IatpAdapter::default(), source)
    }

    /// A desk that reads with an adapter of one's own.
    pub const fn reading(adapter: IatpAdapter, source: S) -> Self {
        Self { adapter, source }
    }
}

impl<S: ManifestSource> Reception for ManifestDesk<S> {
    fn admit(&self, joining: &Did) -> Result<Admission, NotAdmitted> {
        let fetched = self.source.fetch(joining).map_err(|fault| NotAdmitted(fault.to_string()))?;
        let provenance = fetched.provenance;
        let analysis = self.adapter.admit(&fetched.text, joining, provenance);
        let analysis = analysis.map_err(|error| NotAdmitted(error.to_string()))?;
        Ok(Admission {
            agent: analysis.agent_did,
            sigma_hint: analysis.sigma_hint,
            ring_hint: analysis.ring_hint,
            actions: analysis.actions,
            provenance,
        })
    }
}
