//! Manifests of `inter-agent-trust-protocol` 0.5.0: reading them, scoring them, and what they hint at.
//!
//! ```
//! use hv_integrations::iatp::IatpAdapter;
//! use hv_integrations::manifest::{Provenance, TrustLevel};
//! use hv_types::{Did, Ring};
//!
//! let manifest = r#"{
//!     "agent_id": "did:mesh:agent-1",
//!     "trust_level": "trusted",
//!     "capabilities": { "reversibility": "full", "undo_window": "24h", "idempotency": true },
//!     "privacy_contract": { "retention": "temporary" },
//!     "scopes": ["repo:read", "repo:write"]
//! }"#;
//! let iatp = IatpAdapter::default();
//! let analysis = iatp.analyze_manifest_json(manifest)?;
//! assert_eq!(analysis.trust_level, TrustLevel::Trusted);
//! assert_eq!(analysis.ring_hint, Ring::Standard);
//! assert_eq!(analysis.sigma_hint, "1.0".parse()?);
//! assert_eq!(analysis.actions.len(), 2);
//! assert!(analysis.has_reversible_actions && !analysis.has_non_reversible_actions);
//!
//! // Who joins must be whom the manifest speaks of, and a hint from a wire weighs less.
//! let joining = Did::new("did:mesh:agent-1")?;
//! let analysis = iatp.admit(manifest, &joining, Provenance::WireUnattested)?;
//! assert_eq!(analysis.sigma_hint, "0.60".parse()?);
//! assert!(iatp.admit(manifest, &Did::new("did:mesh:agent-2")?, Provenance::Given).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod analysis;
#[cfg(feature = "attestation")]
mod attestation;
mod desk;
mod line;
mod plain;
mod read;
mod score;
mod span;

pub use analysis::{
    IatpAdapter, ManifestAnalysis, ManifestError, PurgeClass, UNATTESTED_SIGMA_PPM, UNDO_WINDOW_MAX,
};
#[cfg(feature = "attestation")]
pub use attestation::{
    ATTESTATION_LIFE, Attested, Attesters, CLOCK_AHEAD, NotAKey, NotAttested, config_hash,
};
pub use desk::ManifestDesk;
#[cfg(feature = "attestation")]
pub use line::attested_line;
pub use line::manifest_line;
pub use read::{ITEM_MAX_BYTES, MANIFEST_MAX_BYTES, SCOPES_MAX, parse_manifest};
pub use score::{IatpScore, trust_score};
pub use span::parse_span;

/// The system's time.
#[cfg(feature = "attestation")]
fn now() -> hv_types::Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    hv_types::Timestamp(0).after(since.unwrap_or_default())
}
