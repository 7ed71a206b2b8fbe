//! What has happened to keys.

use super::{KEYS_MAX, Registry};
use crate::key::is_did_key;
use crate::{KeyFault, PublicKey, Resolver};
use hv_types::{Did, Illegal, Timestamp};
use std::collections::BTreeSet;

/// One change of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A DID has its first key.
    Bound {
        /// Which DID.
        did: Did,
        /// The key.
        key: PublicKey,
        /// From when on it counts.
        from: Timestamp,
        /// When it counts no longer.
        until: Timestamp,
    },
    /// A DID has a new key; the one before counts up to where this one begins.
    Rotated {
        /// Which DID.
        did: Did,
        /// The new key.
        key: PublicKey,
        /// From when on it counts.
        from: Timestamp,
        /// When it counts no longer.
        until: Timestamp,
    },
    /// No key of a DID counts any more.
    Revoked {
        /// Which DID.
        did: Did,
        /// Since when.
        at: Timestamp,
    },
    /// A DID has a new key by the word of who governs the node; no key before it counts any more.
    Replaced {
        /// Which DID.
        did: Did,
        /// The new key.
        key: PublicKey,
        /// From when on it counts.
        from: Timestamp,
        /// When it counts no longer.
        until: Timestamp,
        /// Since when no key before it counts.
        at: Timestamp,
    },
    /// A DID of a registry that is resumed, with all its keys.
    Restored {
        /// Which DID.
        did: Did,
        /// Its keys, in order.
        keys: Vec<Held>,
    },
}

/// A key that a DID has or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The key.
    pub key: PublicKey,
    /// The first point in time at which it counts.
    pub from: Timestamp,
    /// The first point in time at which it counts no longer.
    pub until: Timestamp,
    /// Since when it is revoked, if it is; from then on it never counts.
    pub revoked: Option<Timestamp>,
}

hv_types::wire_struct!(Held { key, from, until, revoked });

hv_types::wire_enum!(Event {
    0 => Bound { did, key, from, until },
    1 => Rotated { did, key, from, until },
    2 => Revoked { did, at },
    3 => Replaced { did, key, from, until, at },
    16 => Restored { did, keys },
});

impl Held {
    /// Why the key does not count at that time.
    #[must_use]
    pub fn fault(&self, at: Timestamp) -> Option<KeyFault> {
        match self.revoked {
            Some(since) if since <= at => Some(KeyFault::Revoked { at: since }),
            _ if at < self.from => Some(KeyFault::NotYet { from: self.from }),
            _ if at >= self.until => Some(KeyFault::Ended { at: self.until }),
            _ => None,
        }
    }

    fn revoke(&mut self, at: Timestamp) {
        // What is revoked, or was over before, stays as it was.
        if self.revoked.is_none() && self.until > at {
            self.revoked = Some(at);
        }
    }
}

/// Changes nothing where it refuses: every check comes before the first change.
pub(super) fn apply(registry: &mut Registry, event: &Event) -> Result<(), Illegal> {
    match event {
        Event::Bound { did, key, from, until } => {
            need(!is_did_key(did), "a did:key is its own key")?;
            need(registry.held(did).is_empty(), "a DID is bound once")?;
            let held = fresh(registry, did, key, *from, *until)?;
            registry.push(did, held);
        }
        Event::Rotated { did, key, from, until } => {
            need(!is_did_key(did), "a did:key is its own key")?;
            let last = registry.held(did).last().ok_or(Illegal::new("what is rotated is bound"))?;
            need(last.revoked.is_none(), "a revoked key rotates nothing")?;
            need(last.from <= *from, "the keys of a DID follow each other in time")?;
            let held = fresh(registry, did, key, *from, *until)?;
            // What came before the last one was over, or revoked, when that one was bound.
            if let Some(last) = registry.keys.get_mut(did).and_then(|keys| keys.last_mut()) {
                last.until = last.until.min(*from);
            }
            registry.push(did, held);
        }
        Event::Revoked { did, at } => {
            let key = registry.key(did, *at).map_err(|_| Illegal::new("only what counts is revoked"))?;
            if registry.held(did).is_empty() {
                registry.push(did, Held { key, from: Timestamp(0), until: Timestamp::MAX, revoked: None });
            }
            registry.each_held(did, |held| held.revoke(*at));
        }
        Event::Replaced { did, key, from, until, at } => {
            need(!is_did_key(did), "a did:key is its own key")?;
            need(!registry.held(did).is_empty(), "what is replaced is bound")?;
            need(at <= from, "a replacement does not count before it was made")?;
            let held = fresh(registry, did, key, *from, *until)?;
            registry.each_held(did, |earlier| earlier.revoke(*at));
            registry.push(did, held);
        }
        Event::Restored { did, keys } => {
            need(registry.held(did).is_empty(), "a DID is restored once")?;
            need(!keys.is_empty() && keys.len() <= KEYS_MAX, "a DID has one to 64 keys")?;
            need(keys.iter().all(|held| held.from <= held.until), "a key begins before it ends")?;
            let ordered = |pair: &[Held]| match pair {
                [a, b] => a.revoked.is_some() || a.until <= b.from,
                _ => true,
            };
            need(keys.windows(2).all(ordered), "the keys of a DID follow each other in time")?;
            if is_did_key(did) {
                let own = |held: &Held| {
                    held.key.did() == did && held.revoked.is_some() && held.until == Timestamp::MAX
                };
                need(
                    keys.len() == 1 && keys.iter().all(own),
                    "of a did:key only that it is revoked is kept",
                )?;
            }
            let different: BTreeSet<&PublicKey> = keys.iter().map(|held| &held.key).collect();
            let free =
                different.len() == keys.len() && different.iter().all(|key| registry.owner(key).is_none());
            need(free, "a key belongs to one DID")?;
            keys.iter().for_each(|held| registry.push(did, held.clone()));
        }
    }
    Ok(())
}

/// A key that may become one of this DID's.
fn fresh(
    registry: &Registry,
    did: &Did,
    key: &PublicKey,
    from: Timestamp,
    until: Timestamp,
) -> Result<Held, Illegal> {
    need(from < until, "a key begins before it ends")?;
    need(registry.is_free(did, key).is_ok(), "a key belongs to one DID, which has at most 64")?;
    Ok(Held { key: key.clone(), from, until, revoked: None })
}

fn need(holds: bool, rule: &'static str) -> Result<(), Illegal> {
    if holds { Ok(()) } else { Err(Illegal::new(rule)) }
}
