//! Execution rings: which privilege an action needs, and whether a trust score and its evidence earn it.
//!
//! Four rings, the lower the number the more it may do. A score σ, 0 to 1, earns Ring 2 above 0.60 and
//! otherwise Ring 3; Ring 1 needs more than 0.95 *and* a quorum, Ring 0 a witness, both for exactly one call.
//! Everything here is a pure rule over values: no state that is not an argument, no clock, no cryptography.
//!
//! ```
//! use hv_rings::{Denial, Evidence, Ring, Sigma, decide, earned, required};
//! use hv_rings::{ActionDescriptor, ActionId, ActionKind, Call, Did, Digest, Reversibility, SessionId, Timestamp};
//!
//! let sigma: Sigma = "0.85".parse()?;
//! assert_eq!(earned(sigma), Ring::Standard);
//!
//! let push = ActionDescriptor::new(ActionId::new("git.push")?, ActionKind::Effect, Reversibility::None);
//! assert_eq!(required(&push), Ring::Privileged);
//!
//! let call = Call {
//!     session: SessionId::new("release")?,
//!     agent: Did::new("did:mesh:alpha")?,
//!     action: push.id().clone(),
//!     params: Digest::default(),
//!     deadline: Timestamp::MAX,
//! };
//! let denial = decide(required(&push), sigma, Ring::Root, &call, &Evidence::none()).unwrap_err();
//! assert!(matches!(denial, Denial::Score { .. }));
//! assert_eq!(denial.needs().to_string(), "σ_eff above 0.95 and a quorum for exactly this call");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "proptest"))]
extern crate std;

mod score;

mod required;

pub mod class;

mod statement;

pub mod quorum;
pub mod witness;

pub mod elevation;
pub mod intent;

mod evidence;

mod decide;

mod mostly_one;

pub mod standing;

pub mod breach;
pub mod fold;
pub mod rate;

pub mod gate;

#[cfg(any(test, feature = "proptest"))]
pub mod strategies;

#[cfg(any(test, feature = "proptest"))]
pub mod properties;

#[cfg(test)]
mod tests;

/// The examples in the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;

pub use decide::{Denial, Lack, Needs, decide, ring_with};
pub use evidence::{Basis, Certificate, Evidence, Shown};
pub use required::{required, required_of};
pub use score::{PRIVILEGED_ABOVE, STANDARD_ABOVE, earned, exceeds, threshold};
pub use statement::{MAX_VALIDITY, Nonce, Refusal, Scope, Spent, Statement};

pub use hv_types::{
    ActionDescriptor, ActionId, ActionKind, Call, Did, Digest, Reversibility, Ring, RiskWeight, SessionId,
    Sigma, Timestamp,
};
