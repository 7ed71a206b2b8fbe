//! What teams already run, behind ports: who scores trust, who measures drift, who hands out manifests.
//!
//! The modules at the root are the ports: plain types and one trait each, which anybody implements. Each
//! feature adds a native implementation with the answers of a published package, and the adapter that turns
//! those answers into the words of hv. Nothing here decides: a score, a drift or a hint is an input.
//!
//! | port | feature | same answers as | packages that it adds |
//! |---|---|---|---|
//! | [`trust`] | `nexus` | `nexus-trust-exchange` 0.1.0 | the same 5 |
//! | [`drift`] | `cmvk` | `cmvk` 0.3.0 | the same 5 |
//! | [`tools`] | `tools` | servers of the Model Context Protocol, both eras | 34, most of them for TLS |
//! | [`trust`], [`drift`] | `bridge` | the packages themselves, in Python processes; SCAK too | the same 5 and rustix, bitflags, linux-raw-sys |
//! | [`manifest`], [`context`] | `http` | an IATP sidecar and a CaaS server themselves | 28, most of them for TLS |
//! | [`manifest`] | `iatp` | `inter-agent-trust-protocol` 0.5.0 | 5: serde_core, serde_json, itoa, memchr, zmij |
//! | [`anchor`] | `evm` | EIP-1559 transactions over JSON-RPC | k256, sha3, ureq and what they need |
//! | [`anchor`] | `rfc3161` | RFC 3161 over HTTP, `openssl ts` | ureq and what it needs |
//!
//! Without features the crate has one dependency, `hv-types`.

pub mod anchor;
pub mod context;
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
