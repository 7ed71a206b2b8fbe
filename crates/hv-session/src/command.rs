//! What can be asked of a session.

use crate::{ConsistencyMode, Eviction, FileCommand, SessionConfig};
use hv_types::{Did, SessionId};

/// What somebody asks of a session. Whether they may ask is decided elsewhere.
// Its tag is a whole word, so that it is moved word by word.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(u64)]
pub enum SessionCommand {
    /// Creates the session and opens it for joins, in one decision.
    Create {
        /// Its name.
        id: SessionId,
        /// Who creates it. The creator is no member unless it joins.
        creator: Did,
        /// Its settings.
        config: SessionConfig,
    },
    /// Lets an agent in, for the first time or again.
    Join {
        /// Who.
        did: Did,
        /// The weakest mode that its actions allow. [`ConsistencyMode::Strong`] where one of them can be neither
        /// undone nor only reads; the join then forces that mode, and a join that is refused forces nothing.
        needs: ConsistencyMode,
    },
    /// Lets an agent in that acts on behalf of a member. Again later it comes by [`Join`](Self::Join), and its
    /// parent stays the same.
    AddChild {
        /// On whose behalf.
        parent: Did,
        /// Who.
        child: Did,
        /// As for [`Join`](Self::Join).
        needs: ConsistencyMode,
    },
    /// Lets members act.
    Activate,
    /// A member leaves, and with it those that act on its behalf.
    Leave {
        /// Who.
        did: Did,
    },
    /// A member is put out, and with it those that act on its behalf. Also after the deadline. An active
    /// session in which nobody is left begins to terminate.
    Evict {
        /// Who.
        did: Did,
        /// Why.
        reason: Eviction,
    },
    /// Allows one that was put out to join again.
    Readmit {
        /// Who.
        did: Did,
    },
    /// No new work from here on. Also after the deadline.
    Terminate,
    /// The end. Also after the deadline.
    Archive,
    /// [`Terminate`](Self::Terminate), as far as that has not happened, and [`Archive`](Self::Archive) in one
    /// decision, where nothing is left to be done in between.
    End,
    /// Strong from here on; nothing where it is strong already.
    ForceStrong,
    /// A member does something with the files. While the session is active; while it terminates, also after the
    /// deadline, only what undoes: deleting, and restoring a version.
    File {
        /// Who.
        agent: Did,
        /// What.
        command: FileCommand,
    },
}

impl SessionCommand {
    /// A join by an agent whose actions all allow the eventual mode.
    #[must_use]
    pub const fn join(did: Did) -> Self {
        Self::Join { did, needs: ConsistencyMode::Eventual }
    }

    /// What a member does with the files.
    #[must_use]
    pub const fn file(agent: Did, command: FileCommand) -> Self {
        Self::File { agent, command }
    }
}
