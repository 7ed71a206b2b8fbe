//! What has happened in a session.

use crate::{ConsistencyMode, Eviction, FileEvent, FilesPart, SessionConfig, SessionState, Standing};
use hv_types::{Did, SessionId, Timestamp};

/// One change of a session. Members are named by their ordinals; a name appears once, when its bearer joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// The session exists.
    Created {
        /// Its name.
        id: SessionId,
        /// Who created it.
        creator: Did,
        /// Its settings.
        config: SessionConfig,
        /// When; its deadline counts from here.
        at: Timestamp,
    },
    /// It moved to another state.
    Moved {
        /// To which.
        to: SessionState,
    },
    /// An agent is in it for the first time and has the next ordinal.
    Joined {
        /// Who.
        did: Did,
        /// The ordinal of the member on whose behalf it acts.
        parent: Option<u32>,
    },
    /// An agent that left is in it again.
    Rejoined {
        /// Who, by ordinal.
        member: u32,
    },
    /// A member left.
    Left {
        /// Who, by ordinal.
        member: u32,
    },
    /// A member was put out.
    Evicted {
        /// Who, by ordinal.
        member: u32,
        /// Why.
        reason: Eviction,
    },
    /// One that was put out may join again.
    Readmitted {
        /// Who, by ordinal.
        member: u32,
    },
    /// An eventual session is strong from here on.
    StrongForced,
    /// A member changed the files.
    File {
        /// Who, by ordinal.
        agent: u32,
        /// When.
        at: Timestamp,
        /// What changed.
        event: FileEvent,
    },
    /// A session is resumed from its compacted events, of which this is the first and [`Complete`](Self::Complete) the last.
    Resumed {
        /// Its name.
        id: SessionId,
        /// Who created it.
        creator: Did,
        /// The settings it was created with.
        config: SessionConfig,
        /// When it was created.
        at: Timestamp,
        /// Where it is in its life.
        state: SessionState,
        /// The mode that holds.
        mode: ConsistencyMode,
    },
    /// An agent of a session that is resumed has the next ordinal.
    Seated {
        /// Who.
        did: Did,
        /// The ordinal of the member on whose behalf it acts.
        parent: Option<u32>,
        /// Whether it is in the session.
        standing: Standing,
    },
    /// A part of the files of a session that is resumed.
    Files {
        /// Which.
        part: FilesPart,
    },
    /// The session that is resumed is as it was.
    Complete,
}

hv_types::wire_enum!(SessionEvent {
    0 => Created { id, creator, config, at },
    1 => Moved { to },
    2 => Joined { did, parent },
    3 => Rejoined { member },
    4 => Left { member },
    5 => Evicted { member, reason },
    6 => Readmitted { member },
    7 => StrongForced {},
    8 => File { agent, at, event },
    16 => Resumed { id, creator, config, at, state, mode },
    17 => Seated { did, parent, standing },
    18 => Files { part },
    19 => Complete {},
});
