//! Which keys DIDs are bound to, as a machine.
//!
//! A `did:key` is its own key. Any other DID, such as `did:mesh:alpha`, has the keys that were bound to it
//! here, one at a time, each for a time. Whoever binds one proves to have it; whoever changes it proves to have
//! the one before. A key speaks for one DID, for ever: one that was bound no longer counts as the `did:key` that
//! it is, and one that was replaced or revoked never counts again.

mod command;
mod event;

pub use command::{Command, Denial};
pub use event::{Event, Held};

use crate::key::is_did_key;
use crate::{Content, KeyFault, Opened, PublicKey, Resolver};
use hv_types::{Did, Illegal, Machine, Timestamp};
use std::collections::BTreeMap;

/// The most keys that a DID has in the course of time.
pub const KEYS_MAX: usize = 64;

/// The keys of DIDs.
///
/// ```
/// use hv_identity::registry::Command;
/// use hv_identity::{Content, Did, Registry, Resolver, Signer, Statement, Timestamp, open};
/// use hv_types::Solo;
///
/// let (key, now) = (Signer::new(&[7; 32])?, Timestamp(1_000));
/// let (node, alpha) = (Did::new("did:mesh:node")?, Did::new("did:mesh:alpha")?);
/// let claim = Statement {
///     audience: node.clone(),
///     signer: alpha.clone(),
///     nonce: [1; 16],
///     deadline: Timestamp(2_000),
///     content: Content::Bind { key: key.public().clone(), from: now, until: Timestamp::MAX },
/// };
///
/// let mut registry = Solo::<Registry>::default();
/// let opened = open(&claim.seal(&key)?, registry.state(), &node, now)?;
/// registry.run(&Command::Record(opened), now).unwrap();
/// assert_eq!(registry.state().key(&alpha, now).as_ref(), Ok(key.public()));
/// assert!(registry.state().key(key.did(), now).is_err(), "it speaks for alpha alone");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    /// Never empty, in order of the time from which they count.
    keys: BTreeMap<Did, Vec<Held>>,
    /// For which DID each key speaks, now or at some other time.
    owners: BTreeMap<PublicKey, Did>,
}

impl Registry {
    /// The keys that a DID has had and will have, in order; nothing for one that is not known, and for a
    /// `did:key` that was not revoked.
    #[must_use]
    pub fn held(&self, did: &Did) -> &[Held] {
        self.keys.get(did).map_or(&[], Vec::as_slice)
    }

    /// For which DID a key speaks, or spoke. Nothing for a key that counts as its `did:key`.
    #[must_use]
    pub fn owner(&self, key: &PublicKey) -> Option<&Did> {
        self.owners.get(key)
    }

    /// The DIDs of which something is known, in order.
    pub fn dids(&self) -> impl Iterator<Item = &Did> {
        self.keys.keys()
    }

    /// Whether the key may become one of this DID's.
    fn is_free(&self, did: &Did, key: &PublicKey) -> Result<(), Denial> {
        if self.held(did).len() >= KEYS_MAX {
            return Err(Denial::TooMany);
        }
        match self.owners.get(key) {
            Some(by) => Err(Denial::KeyTaken { by: by.clone() }),
            None => Ok(()),
        }
    }

    fn push(&mut self, did: &Did, held: Held) {
        self.owners.insert(held.key.clone(), did.clone());
        self.keys.entry(did.clone()).or_default().push(held);
    }

    fn each_held(&mut self, did: &Did, change: impl FnMut(&mut Held)) {
        self.keys.get_mut(did).into_iter().flatten().for_each(change);
    }
}

/// A `did:key` counts unless it was revoked or is bound to another DID; another DID has the key that was bound
/// to it for that time.
impl Resolver for Registry {
    fn key(&self, did: &Did, at: Timestamp) -> Result<PublicKey, KeyFault> {
        let held = self.held(did);
        if held.is_empty() && is_did_key(did) {
            let key = crate::DidKey.key(did, at)?;
            return match self.owners.get(&key) {
                Some(to) => Err(KeyFault::Bound { to: to.clone() }),
                None => Ok(key),
            };
        }
        // The one that was bound last rules, as soon as it counts.
        let begun = held.iter().rev().find(|held| held.from <= at);
        match begun.map(|held| held.fault(at)) {
            Some(None) => return begun.map(|held| held.key.clone()).ok_or(KeyFault::Unknown),
            Some(Some(fault @ KeyFault::Revoked { .. })) => return Err(fault),
            _ => {}
        }
        let next = held.iter().filter(|held| matches!(held.fault(at), Some(KeyFault::NotYet { .. })));
        let next = next.map(|held| held.from).min().map(|from| KeyFault::NotYet { from });
        Err(next.or_else(|| begun.and_then(|held| held.fault(at))).unwrap_or(KeyFault::Unknown))
    }

    fn speaks(&self, did: &Did, key: &PublicKey, at: Timestamp) -> bool {
        if key.did() == did && self.held(did).is_empty() {
            // It is its own name, which was found out when it was made, and costs a point of the curve.
            return !self.owners.contains_key(key);
        }
        self.key(did, at).as_ref() == Ok(key)
    }

    fn other_key(&self, did: &Did, key: &PublicKey, at: Timestamp) -> Option<KeyFault> {
        self.held(did).iter().find(|held| held.key == *key)?.fault(at)
    }
}

impl Machine for Registry {
    type Command = Command;
    type Event = Event;
    type Denial = Denial;

    fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Denial> {
        let (Command::Record(opened) | Command::Replace(opened)) = command;
        let statement = opened.statement();
        if statement.deadline < now {
            return Err(Denial::Expired { deadline: statement.deadline });
        }
        let did = &statement.signer;
        let (is_known, is_key) = (!self.held(did).is_empty(), is_did_key(did));
        let event = match (command, &statement.content) {
            (_, Content::Bind { .. } | Content::Rotate { .. }) if is_key => return Err(Denial::IsKey),
            (Command::Record(_), Content::Bind { .. }) if is_known => return Err(Denial::AlreadyBound),
            (Command::Record(_), Content::Bind { key, from, until }) => {
                self.is_free(did, key)?;
                let (from, until) = lasting(*from, *until, now)?;
                Event::Bound { did: did.clone(), key: key.clone(), from, until }
            }
            (Command::Record(_), Content::Rotate { key, from, until }) => {
                self.is_last(opened, now)?;
                self.is_free(did, key)?;
                let (from, until) = lasting(*from, *until, now)?;
                Event::Rotated { did: did.clone(), key: key.clone(), from, until }
            }
            (Command::Record(_), Content::Revoke) => {
                self.is_current(opened, now)?;
                Event::Revoked { did: did.clone(), at: now }
            }
            (Command::Replace(_), Content::Bind { .. }) if !is_known => return Err(Denial::NotBound),
            (Command::Replace(_), Content::Bind { key, from, until }) => {
                self.is_free(did, key)?;
                let (from, until) = lasting(*from, *until, now)?;
                Event::Replaced { did: did.clone(), key: key.clone(), from, until, at: now }
            }
            (_, content) => return Err(Denial::OtherKind { kind: content.kind() }),
        };
        Ok(vec![event])
    }

    fn apply(&mut self, event: &Event) -> Result<(), Illegal> {
        event::apply(self, event)
    }

    fn compact(&self) -> Vec<Event> {
        let restored =
            |(did, keys): (&Did, &Vec<Held>)| Event::Restored { did: did.clone(), keys: keys.clone() };
        self.keys.iter().map(restored).collect()
    }
}

impl Registry {
    /// That the key which signed speaks for the DID now. It did when the statement was opened, which may have
    /// been before something else was recorded.
    fn is_current(&self, opened: &Opened, now: Timestamp) -> Result<(), Denial> {
        match self.key(&opened.statement().signer, now) {
            Ok(key) if key == *opened.key() => Ok(()),
            Ok(_) => Err(Denial::OtherKey),
            Err(fault) => Err(Denial::Key { fault }),
        }
    }

    /// That besides no other key waits to take its place.
    fn is_last(&self, opened: &Opened, now: Timestamp) -> Result<(), Denial> {
        self.is_current(opened, now)?;
        match self.held(&opened.statement().signer).last() {
            Some(last) if last.key == *opened.key() => Ok(()),
            Some(last) => Err(Denial::Pending { from: last.from }),
            None => Err(Denial::NotBound),
        }
    }
}

/// The time for which a key counts that is recorded now.
fn lasting(from: Timestamp, until: Timestamp, now: Timestamp) -> Result<(Timestamp, Timestamp), Denial> {
    let from = from.max(now);
    if until > from { Ok((from, until)) } else { Err(Denial::NeverCounts { until }) }
}
