//! Who said it: `did:key` identities, a registry that binds other DIDs to keys, and signed statements.
//!
//! A [`Statement`] names who makes it, for which node, until when, and under which nonce; it travels in an
//! [`Envelope`] as DSSE v1 describes it. [`open`] is the only way from an envelope to an [`Opened`] statement,
//! and every reason to refuse one has its own name. What follows from a statement is for others: nothing here
//! knows a ring, a session or a bond, reads a clock or makes a random number.
//!
//! ```
//! use hv_identity::{Content, DidKey, Envelope, Signer, Statement, open};
//! use hv_types::{Did, SessionId, Timestamp};
//!
//! let alpha = Signer::new(&[7; 32])?; // 32 bytes from the operating system's random source
//! let node = Did::new("did:mesh:node")?;
//! let statement = Statement {
//!     audience: node.clone(),
//!     signer: alpha.did().clone(),
//!     nonce: [1; 16],
//!     deadline: Timestamp(60_000_000_000),
//!     content: Content::Join { session: SessionId::new("release")? },
//! };
//! let json = statement.seal(&alpha)?.to_json();
//!
//! let envelope = Envelope::from_json(json.as_bytes())?;
//! let opened = open(&envelope, &DidKey, &node, Timestamp(0))?;
//! assert_eq!(opened.statement(), &statement);
//! assert!(open(&envelope, &DidKey, &node, Timestamp(60_000_000_001)).is_err(), "its time is over");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod key;
mod signer;

mod dsse;
mod known;
mod statement;

mod resolve;

mod open;
mod refusal;

pub mod registry;

#[cfg(all(feature = "files", unix))]
pub mod key_file;

mod json;
mod moment;
mod payload;

#[cfg(feature = "proptest")]
pub mod strategies;

/// The examples in the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;

pub use dsse::{ENVELOPE_MAX_BYTES, Envelope, PAYLOAD_MAX_BYTES, SIGNATURES_MAX, Signature, pae};
pub use json::scalars;
pub use key::{BadKey, BadSignature, PublicKey};
pub use moment::read as read_time;
pub use open::{MAX_VALIDITY, Opened, open, open_among};
pub use refusal::{Field, Malformed, MalformedCause, Refusal, TextLimit};
pub use registry::Registry;
pub use resolve::{DidKey, Fallback, KeyFault, Resolver};
pub use signer::Signer;
pub use statement::{Content, Finding, Kind, Statement, Verdict};

pub use hv_types::{
    ActionId, Call, Did, Digest, Illegal, Machine, Reversibility, RiskWeight, SessionId, Share, Sigma,
    Timestamp,
};
