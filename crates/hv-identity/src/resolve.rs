//! Which key speaks for a DID.

use crate::{BadKey, PublicKey, Registry};
use core::fmt;
use hv_types::{Did, Timestamp};

/// Knows the keys of DIDs: the port for methods that live elsewhere.
///
/// An answer may come from a network or a file; a machine never asks, so a replay needs no answer again.
pub trait Resolver {
    /// The key that speaks for the DID at that time.
    ///
    /// # Errors
    /// The [`KeyFault`] that says why there is none.
    fn key(&self, did: &Did, at: Timestamp) -> Result<PublicKey, KeyFault>;

    /// Whether this is the key that [`key`](Self::key) gives, for who has it at hand already.
    fn speaks(&self, did: &Did, key: &PublicKey, at: Timestamp) -> bool {
        self.key(did, at).as_ref() == Ok(key)
    }

    /// Why a key, which is not the one that [`key`](Self::key) gives, does not speak for the DID at that time
    /// although it did or will. Tells reasons apart; nothing is accepted by it.
    fn other_key(&self, did: &Did, key: &PublicKey, at: Timestamp) -> Option<KeyFault> {
        let _ = (did, key, at);
        None
    }
}

/// Why no key, or not this one, speaks for a DID at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFault {
    /// Nobody knows a key of the DID.
    Unknown,
    /// The DID is a `did:key`, and what it spells is no key that counts.
    Bad {
        /// Why not.
        why: BadKey,
    },
    /// It does not count yet.
    NotYet {
        /// From when on it will.
        from: Timestamp,
    },
    /// Its time is over, or another key took its place.
    Ended {
        /// Since when.
        at: Timestamp,
    },
    /// It was revoked.
    Revoked {
        /// Since when.
        at: Timestamp,
    },
    /// It speaks for another DID, and for that one alone.
    Bound {
        /// For which.
        to: Did,
    },
    /// Whoever knows the method did not answer.
    Unreachable,
}

hv_types::wire_enum!(KeyFault {
    0 => Unknown {},
    1 => Bad { why },
    2 => NotYet { from },
    3 => Ended { at },
    4 => Revoked { at },
    5 => Bound { to },
    6 => Unreachable {},
});

impl KeyFault {
    /// One word for it, as [`Refusal::name`](crate::Refusal::name) gives it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "key_unknown",
            Self::Bad { .. } => "key_bad",
            Self::NotYet { .. } => "key_not_yet",
            Self::Ended { .. } => "key_ended",
            Self::Revoked { .. } => "key_revoked",
            Self::Bound { .. } => "key_bound",
            Self::Unreachable => "key_unreachable",
        }
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no key of it is known; bind one first"),
            Self::Bad { why } => why.fmt(f),
            Self::NotYet { from } => write!(f, "its key counts from {from} on"),
            Self::Ended { at } => write!(f, "its key counted until {at}; sign with the one that followed"),
            Self::Revoked { at } => write!(f, "its key was revoked at {at}"),
            Self::Bound { to } => write!(f, "its key speaks for {to} alone"),
            Self::Unreachable => f.write_str("its key could not be asked for; try again"),
        }
    }
}

impl core::error::Error for KeyFault {}

/// Knows the DIDs that are keys, and no others.
#[derive(Debug, Clone, Copy, Default)]
pub struct DidKey;

impl Resolver for DidKey {
    fn key(&self, did: &Did, _: Timestamp) -> Result<PublicKey, KeyFault> {
        PublicKey::of(did).map_err(|why| match why {
            BadKey::OtherMethod => KeyFault::Unknown,
            why => KeyFault::Bad { why },
        })
    }
}

/// Asks a registry first, and for what it does not know a resolver.
#[derive(Debug, Clone, Copy)]
pub struct Fallback<'a, R: ?Sized> {
    /// Comes first.
    pub registry: &'a Registry,
    /// Is asked for DIDs that the registry does not know.
    pub other: &'a R,
}

impl<R: Resolver + ?Sized> Resolver for Fallback<'_, R> {
    fn key(&self, did: &Did, at: Timestamp) -> Result<PublicKey, KeyFault> {
        match self.registry.key(did, at) {
            Err(KeyFault::Unknown) => {
                let key = self.other.key(did, at)?;
                // What the registry holds against a key, it holds against it under every name.
                self.registry.key(key.did(), at)
            }
            answer => answer,
        }
    }

    fn other_key(&self, did: &Did, key: &PublicKey, at: Timestamp) -> Option<KeyFault> {
        self.registry.other_key(did, key, at).or_else(|| self.other.other_key(did, key, at))
    }
}
