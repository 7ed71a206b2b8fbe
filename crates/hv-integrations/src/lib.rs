//! What teams already run, behind ports: who scores trust, who measures drift, who hands out manifests.
//!
//! The modules at the root are the ports: plain types and one trait each, which anybody implements. Each
//! feature adds a native implementation with the answers of a published package, and the adapter that turns
//! those answers into the words of hv. Nothing here decides: a score, a drift or a hint is an input.
//!
//! | port | feature | same answers as, or speaks to | packages with it |
//! |---|---|---|---|
//! | [`trust`] | `nexus` | `nexus-trust-exchange` 0.1.0 | 7 |
//! | [`drift`] | `cmvk` | `cmvk` 0.3.0 | 7 |
//! | [`manifest`] | `iatp` | `inter-agent-trust-protocol` 0.5.0 | 7 |
//! | [`manifest`] | `attestation` | the same, with attestation records: Ed25519, SHA-256 | 27 |
//! | [`trust`], [`drift`], [`correction`] | `bridge` | Nexus, CMVK and SCAK themselves, in Python processes | 10 |
//! | [`manifest`], [`context`] | `http` | an IATP sidecar and a CaaS server themselves; most of it is TLS | 28 |
//! | [`tools`] | `tools` | servers of the Model Context Protocol, both eras; most of it is TLS | 35 |
//! | [`anchor`] | `evm` | EIP-1559 transactions over JSON-RPC | 51 |
//! | [`anchor`] | `rfc3161` | RFC 3161 over HTTP, `openssl ts`; most of it is TLS | 24 |
//!
//! The weights count the crate itself and `hv-types`, without features 2; `cargo xtask tidy` holds them.
//!
//! Without features the crate has one dependency, `hv-types`.

pub mod anchor;
pub mod context;
pub mod correction;
pub mod drift;
pub mod manifest;
pub mod trust;

#[cfg(feature = "bridge")]
pub mod bridge;
#[cfg(feature = "cmvk")]
pub mod cmvk;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "iatp")]
pub mod iatp;
#[cfg(any(feature = "iatp", feature = "nexus", feature = "cmvk", feature = "tools"))]
// Each adapter reads other kinds of fields.
#[cfg_attr(
    not(all(feature = "iatp", feature = "nexus", feature = "cmvk")),
    allow(dead_code, unused_imports, unused_macros)
)]
pub mod json;
#[cfg(feature = "nexus")]
pub mod nexus;
#[cfg(feature = "tools")]
pub mod tools;
