//! The words that the crates of hv share: fixed-point trust, validated identifiers, rings, actions, time,
//! and the two traits that every stateful crate implements, [`Machine`] and [`Wire`].
//!
//! This crate decides nothing. It holds no policy, no threshold and no input or output; a type lives here
//! only because two crates that must not know each other both have it in their public interface.
//!
//! ```
//! use hv_types::{Ring, Sigma};
//!
//! let sigma: Sigma = "0.85".parse()?;
//! assert_eq!(sigma.ppm(), 850_000);
//! assert!(Ring::Standard.permits(Ring::Sandbox));
//! # Ok::<(), hv_types::NotAFraction>(())
//! ```

#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "proptest"))]
extern crate std;

pub mod wire;

mod action;
mod call;
mod counted;
mod digest;
mod fraction;
mod ident;
mod machine;
mod name;
mod ring;
mod time;

#[cfg(feature = "proptest")]
pub mod strategies;

pub use action::{ActionDescriptor, ActionKind, Reversibility, RiskOutOfRange};
pub use call::Call;
pub use counted::Counted;
pub use digest::{Digest, NotADigest};
pub use fraction::{NotAFraction, RiskWeight, Share, Sigma, WHOLE};
pub use ident::{ActionId, BadIdent, BadIdentCause, Did, IDENT_MAX_BYTES, SagaId, SessionId, StepId};
pub use machine::{Illegal, Machine, Solo, SoloError};
pub use name::Name;
pub use ring::{ExecutionRing, NotARing, Ring};
pub use time::Timestamp;
pub use wire::{Undecodable, Wire};
