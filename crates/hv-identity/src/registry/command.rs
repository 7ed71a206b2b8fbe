//! What can be asked of a registry, and why it refuses.

use crate::{KeyFault, Kind, Opened};
use core::fmt;
use hv_types::{Did, Timestamp};

/// A request to the registry. Who may make it is not the registry's question: binding a name that somebody
/// else goes by, and replacing keys, are for whoever governs the node.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Records a [`Bind`](crate::Content::Bind) of a DID that has no key yet, a
    /// [`Rotate`](crate::Content::Rotate), or a [`Revoke`](crate::Content::Revoke), also of a `did:key`.
    Record(Opened),
    /// Gives a known DID another key without the one before, because that was lost or revoked. What was bound
    /// before is revoked. Needs a [`Bind`](crate::Content::Bind).
    Replace(Opened),
}

/// Why a registry refuses a command. A refusal changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The statement is about something else than keys, or of the wrong kind for this command.
    OtherKind {
        /// Its kind.
        kind: Kind,
    },
    /// The statement's deadline passed after it was opened.
    Expired {
        /// The last point in time at which it counted.
        deadline: Timestamp,
    },
    /// The DID is a `did:key`, which is its own key and has no other.
    IsKey,
    /// The DID has, or had, a key.
    AlreadyBound,
    /// The DID never had a key.
    NotBound,
    /// The key speaks for a DID already, or did.
    KeyTaken {
        /// For which.
        by: Did,
    },
    /// The DID has had as many keys as it may have, [`KEYS_MAX`](super::KEYS_MAX).
    TooMany,
    /// The key would count no longer before it counts.
    NeverCounts {
        /// When it would count no longer.
        until: Timestamp,
    },
    /// Another key speaks for the DID now than the one that signed.
    OtherKey,
    /// No key speaks for the DID now.
    Key {
        /// Why none.
        fault: KeyFault,
    },
    /// A new key waits to take the place of the one that signed.
    Pending {
        /// From when on it counts.
        from: Timestamp,
    },
}

hv_types::wire_enum!(Denial {
    0 => OtherKind { kind },
    1 => Expired { deadline },
    2 => IsKey {},
    3 => AlreadyBound {},
    4 => NotBound {},
    5 => KeyTaken { by },
    6 => TooMany {},
    7 => NeverCounts { until },
    8 => OtherKey {},
    9 => Key { fault },
    10 => Pending { from },
});

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherKind { kind } => write!(f, "a statement of kind `{kind}` changes no key this way"),
            Self::Expired { deadline } => write!(f, "it counted until {deadline}; a new one is needed"),
            Self::IsKey => f.write_str("a did:key is its own key; it can be revoked and nothing else"),
            Self::AlreadyBound => f.write_str(
                "it has a key, or had one; rotate it, or have it replaced by who governs the node",
            ),
            Self::NotBound => f.write_str("it has no key; bind one first"),
            Self::KeyTaken { by } => write!(f, "the key belongs to {by}, for ever; make another"),
            Self::TooMany => write!(f, "it has had {} keys, the most that it may have", super::KEYS_MAX),
            Self::NeverCounts { until } => {
                write!(
                    f,
                    "the key would count no longer from {until} on, before it counts; choose a later time"
                )
            }
            Self::OtherKey => f.write_str("another key speaks for it by now; sign with that one"),
            Self::Key { fault } => fault.fmt(f),
            Self::Pending { from } => {
                write!(f, "a new key takes its place at {from}; that one can be rotated from then on")
            }
        }
    }
}

impl core::error::Error for Denial {}
