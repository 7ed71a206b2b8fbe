//! The hypervisor: sessions, trust, sagas and the trail, composed behind one gate.
//!
//! Everything that changes goes the same way: decide under a short lock, append to the log, apply; sync outside
//! the lock; then reveal. What hv executes needs a [`Grant`], which only that way makes.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! use hv_core::types::{Did, Sigma};
//! use hv_core::{Entrant, ExecutionRing, Hypervisor, SessionConfig};
//!
//! let hv = Hypervisor::in_memory()?;
//! let session = hv.create_session(&"release".parse()?, SessionConfig::default(), &"did:mesh:admin".parse()?).await?;
//! let agent: Did = "did:mesh:agent-alpha".parse()?;
//! let ring = hv.join_session(session.id(), &Entrant::new(agent).with_sigma("0.85".parse()?)).await?;
//! assert_eq!(ring, ExecutionRing::Standard);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate wires. Thresholds and the gate's rules are in `hv-rings`, trust is in `hv-liability`, steps and
//! undo in `hv-saga`, members and files in `hv-session`, the log in `hv-audit`.

pub mod adapters;
pub mod config;
pub mod event;

mod accept;
mod anchors;
mod authority;
mod calm;
mod charges;
mod clock;
mod closed;
mod consequence;
mod early;
mod elsewhere;
mod error;
mod evidence;
mod few;
mod file_space;
mod files;
#[cfg(feature = "folder")]
mod folder;
mod grant;
mod guards;
mod handle;
mod item;
mod kill;
mod members;
mod open_saga;
mod open_trail;
mod origin;

mod elevate;
mod folding;
mod gate;
mod govern;
mod history;
mod host;
mod hypervisor;
mod intent;
mod node;
mod observed;
mod preview;
mod purge;
mod rates;
mod reduce;
mod rehearsal;
mod said;
mod scoring;
mod seldom;
mod slash;
mod snapshot;
mod state;
mod trail;
mod view;

pub use accept::Accepted;
pub use anchors::{AnchorBook, AnchorEntry};
pub use authority::NodeConfig;
pub use charges::{Charge, Vouching};
pub use clock::{Clock, ManualClock, SystemClock};
pub use closed::ClosedSession;
pub use early::{EARLY_MAX, Receipt};
pub use elevate::elevation_call;
pub use elsewhere::{HISTORY_LIFE, HistorySource};
pub use error::{Denied, Error, Reason};
pub use evidence::{Presented, STATEMENTS_MAX, TooManyStatements, call_for};
pub use file_space::{AclRule, FileDiff, FileMoment, FileVersion, FileView, SnapshotView};
#[cfg(feature = "folder")]
pub use folder::entropy;
pub use govern::{NODE_SESSION, Request};
pub use grant::{Grant, Mismatch};
pub use guards::{Cadence, Guards, Scoring};
pub use handle::SessionHandle;
pub use history::EndedSessions;
pub use host::SagaHost;
pub use hv_session::{ConsistencyMode, SessionConfig};
pub use hv_types::Ring as ExecutionRing;
pub use hypervisor::{Entrant, Hypervisor};
pub use intent::{Intent, NotDeclared, bounds_digest, intent_call, intent_evidence};
pub use item::{ItemRef, OpenItem, Retried, Settlement};
pub use kill::{KILL_CALLBACK, KILLS_MAX, KillOrder};
pub use members::QUARANTINE;
pub use node::{Kept, Notice, Said, Told};
pub use open_saga::{NewStep, OpenSaga, Relief, StepFailure, StepNo, Undos};
pub use open_trail::OpenTrail;
pub use origin::{ORIGIN_MAX_BYTES, Origin};
pub use preview::VouchEffect;
pub use purge::{Contents, Hold, PurgePlan, PurgeRequest};
pub use reduce::{ReducePlan, ReduceRequest, SessionRecords};
pub use rehearsal::UndoView;
pub use trail::{TrailEvent, TrailRecord, read_record};
pub use view::{MemberView, SessionView};

pub use hv_audit as audit;
pub use hv_identity as identity;
pub use hv_integrations as integrations;
pub use hv_integrations::anchor;
pub use hv_liability as liability;
pub use hv_rings as rings;
pub use hv_saga as saga;
pub use hv_session as session;
pub use hv_types as types;

/// The examples in the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
