//! Sessions: who takes part, how long, and the files they share, as a machine without input or output.
//!
//! A [`Session`] changes only by its own events: [`decide`](Machine::decide) answers what a
//! [`SessionCommand`] would change, [`apply`](Machine::apply) does it. The session knows who is a member and
//! which state it is in. It stores no trust score, no ring and no threshold, reads no clock, computes no hash
//! and holds no content: a file is known by the [`Digest`] that the caller gives.
//!
//! ```
//! use hv_session::{Session, SessionCommand, SessionConfig, SessionState};
//! use hv_types::{Did, SessionId, Solo, Timestamp};
//!
//! let (alpha, now) = (Did::new("did:mesh:alpha").unwrap(), Timestamp(0));
//! let mut session = Solo::<Session>::default();
//! let creator = Did::new("did:mesh:admin").unwrap();
//! let id = SessionId::new("s1").unwrap();
//! session.run(&SessionCommand::Create { id, creator, config: SessionConfig::default() }, now).unwrap();
//! assert!(session.run(&SessionCommand::Activate, now).is_err(), "nobody is in it");
//! session.run(&SessionCommand::join(alpha.clone()), now).unwrap();
//! session.run(&SessionCommand::Activate, now).unwrap();
//! assert_eq!(session.state().state(), SessionState::Active);
//! assert_eq!(session.state().member(&alpha).map(|member| member.ordinal), Some(0));
//! ```

mod session;

mod command;
mod denial;
mod event;

mod config;
mod lifecycle;
mod roster;

mod files;

pub use command::SessionCommand;
pub use config::{BadConfig, ConsistencyMode, DURATION, PARTICIPANTS, Quotas, SessionConfig};
pub use denial::SessionDenial;
pub use event::SessionEvent;
pub use files::FileSpace;
pub use files::acl::{ACL_MAX_RULES, Acl, Grantee, Right, Rights, Rule};
pub use files::change::{Expect, FileCommand, FileDenial, FileEvent, Quota};
pub use files::image::FilesPart;
pub use files::path::{BadPath, BadPathCause, FilePath, NAME_MAX_BYTES, PATH_MAX_BYTES, PATH_TEXT_MAX_BYTES};
pub use files::snapshot::{Moment, PathChange, Snapshot, SnapshotName};
pub use files::version::{
    BESIDE_MAX, Change, Content, File, HistoryEntry, PathPast, Revision, Stamp, Version,
};
pub use hv_types::{Did, Digest, Illegal, Machine, SessionId, Sigma, Timestamp};
pub use lifecycle::{BadMove, SessionState};
pub use roster::{Eviction, MemberRef, ROSTER_MAX, Standing};
pub use session::Session;

/// The example in the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
