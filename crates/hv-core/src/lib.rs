//! The hypervisor: sessions, trust, sagas and the trail, composed behind one gate.
//!
//! Everything that changes goes the same way: decide under a short lock, append to the log, apply; sync outside
//! the lock; then reveal. What hv executes needs a [`Grant`], which only that way makes.
//!
//! This crate wires. Thresholds and the gate's rules are in `hv-rings`, trust is in `hv-liability`, steps and
//! undo in `hv-saga`, members and files in `hv-session`, the log in `hv-audit`.

pub mod event;

mod clock;
mod error;
mod files;
mod grant;

mod gate;
mod host;
mod hypervisor;
mod node;
mod slash;
mod state;
mod trail;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Denied, Error, Reason};
pub use grant::{Grant, Mismatch};
pub use host::SagaHost;
pub use hypervisor::{Entrant, Hypervisor};
pub use node::Notice;
pub use trail::{TrailEvent, TrailRecord, read_record};

pub use hv_audit as audit;
pub use hv_liability as liability;
pub use hv_rings as rings;
pub use hv_saga as saga;
pub use hv_session as session;
pub use hv_types as types;
