//! Joint liability: who has which reputation, who has locked how much of it for whom, and what a violation
//! costs whom.
//!
//! [`Ledger`] is a machine without input or output, clock or randomness: commands become events, events make
//! the state. It knows nothing of rings and of the insides of sessions.
//!
//! An agent that vouches locks a part of its reputation. While it is locked it lifts the one vouched for, by
//! the less the more is at stake, and is gone from what the voucher can use or bond elsewhere. If the one
//! vouched for violates, the bond burns.

mod ids;
mod policy;

mod command;
mod denial;
mod event;

mod apply;
mod books;
mod decide;
mod ledger;
mod preview;
mod slash;
mod snapshot;

pub mod checks;

mod admission;
mod attribution;
mod matrix;
mod scorer;

#[cfg(any(test, feature = "proptest"))]
pub mod strategies;

pub use admission::{Admission, Concern, RiskProfile};
pub use attribution::{
    Attribution, CausalGraph, CausalStep, Method, Part, SHAPLEY_AGENTS_MAX, Unattributable, attribute,
};
pub use command::{Command, SlashOrder, SlashReason, Source, Stake, VouchOrder};
pub use denial::{CYCLE_NAMES_MAX, Denial, Quarantine};
pub use event::{
    AccountKept, BondKept, Case, Cause, Cut, Event, Loss, Offence, Slashed, Standing, Toll, Totals, Verdict,
};
pub use hv_types::{Did, Digest, Machine, Reversibility, RiskWeight, Share, Sigma, Solo, Timestamp};
pub use ids::{AgentNo, BondNo, SessionNo};
pub use ledger::{Account, Bond, BondState, Ledger};
pub use matrix::{Exposure, Matrix};
pub use policy::{CASCADE_DEPTH, SlashRule, UNBONDING_MIN, UnfitPolicy, VouchPolicy, Weights, lifted};
pub use preview::{ByClass, VouchPreview};
pub use scorer::{Demand, Outcome, ScorePolicy, Scores, TrackRecord, Went};

/// The example of the README, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
