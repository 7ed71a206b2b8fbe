//! The manifests of a source, read for whoever joins.

use crate::manifest::{Admission, ManifestSource, NotAdmitted, Reception};
use hv_types::Did;

use super::analysis::IatpAdapter;
#[cfg(feature = "attestation")]
use super::attestation::{Attesters, NotAttested};
use crate::manifest::{Fetched, Provenance};

/// Fetches manifests from a source and reads them as IATP writes them.
#[derive(Debug, Clone)]
pub struct ManifestDesk<S> {
    adapter: IatpAdapter,
    source: S,
    #[cfg(feature = "attestation")]
    attesters: Attesters,
}

impl<S: ManifestSource> ManifestDesk<S> {
    /// A desk for this source; bare names stand for `did:mesh:<name>`.
    pub fn new(source: S) -> Self {
        Self::reading(IatpAdapter::default(), source)
    }

    /// A desk that reads with an adapter of one's own.
    pub fn reading(adapter: IatpAdapter, source: S) -> Self {
        Self {
            adapter,
            source,
            #[cfg(feature = "attestation")]
            attesters: Attesters::default(),
        }
    }

    /// The same where these attest what comes over a wire. A manifest without a record stays unattested; one with a
    /// record that does not count admits nobody.
    #[cfg(feature = "attestation")]
    #[must_use]
    pub fn attested_by(self, attesters: Attesters) -> Self {
        Self { attesters, ..self }
    }

    /// How a manifest came, once what it has to show for itself is looked at.
    #[cfg(feature = "attestation")]
    fn provenance(&self, fetched: &Fetched, joining: &Did) -> Result<Provenance, NotAdmitted> {
        if fetched.provenance != Provenance::WireUnattested || self.attesters.is_empty() {
            return Ok(fetched.provenance);
        }
        match self.attesters.verify(&fetched.text, Some(joining), super::now()) {
            Ok(_) => Ok(Provenance::WireAttested),
            Err(NotAttested::None) => Ok(Provenance::WireUnattested),
            Err(why) => Err(NotAdmitted(why.to_string())),
        }
    }

    /// How a manifest came; nobody looks at records.
    #[cfg(not(feature = "attestation"))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    const fn provenance(&self, fetched: &Fetched, _: &Did) -> Result<Provenance, NotAdmitted> {
        Ok(fetched.provenance)
    }
}

impl<S: ManifestSource> Reception for ManifestDesk<S> {
    fn admit(&self, joining: &Did) -> Result<Admission, NotAdmitted> {
        let fetched = self.source.fetch(joining).map_err(|fault| NotAdmitted(fault.to_string()))?;
        let provenance = self.provenance(&fetched, joining)?;
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
