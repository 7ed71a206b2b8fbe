//! The registry: who may change which key, forged records, and a registry that is resumed.

use crate::{NOW, did, node};
use hv_identity::registry::{Command, Denial, Event, Held, KEYS_MAX};
use hv_identity::strategies::{known_signer, registry_event};
use hv_identity::{
    Content, Did, KeyFault, Kind, Machine, Opened, PublicKey, Refusal, Registry, Resolver, SessionId, Signer,
    Statement, Timestamp, open, open_among,
};
use hv_types::{Solo, SoloError};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn at(seconds: u64) -> Timestamp {
    Timestamp(NOW.0 + seconds * 1_000_000_000)
}

fn public(number: u8) -> PublicKey {
    known_signer(number).public().clone()
}

fn bind(number: u8, from: Timestamp, until: Timestamp) -> Content {
    Content::Bind { key: public(number), from, until }
}

fn rotate(number: u8, from: Timestamp, until: Timestamp) -> Content {
    Content::Rotate { key: public(number), from, until }
}

const EVER: Timestamp = Timestamp::MAX;

/// A registry on its own, and what is said to it.
#[derive(Default)]
struct Desk(Solo<Registry>);

impl Desk {
    fn open(&self, signer: &Did, by: &[u8], content: Content, now: Timestamp) -> Result<Opened, Refusal> {
        let statement =
            Statement { audience: node(), signer: signer.clone(), nonce: [9; 16], deadline: now, content };
        let (first, others) = by.split_first().unwrap();
        let envelope = statement.seal(&known_signer(*first))?;
        let envelope = others.iter().fold(envelope, |e, n| e.cosign(&known_signer(*n)).unwrap());
        open(&envelope, self.0.state(), &node(), now)
    }

    fn run(&mut self, command: &Command, now: Timestamp) -> Result<Event, Denial> {
        match self.0.run(command, now) {
            Ok(events) => Ok(events.into_iter().next().unwrap()),
            Err(SoloError::Denied(denial)) => Err(denial),
            Err(SoloError::Illegal(illegal)) => panic!("{illegal}"),
        }
    }

    fn record(&mut self, signer: &Did, by: &[u8], content: Content, now: Timestamp) -> Result<Event, Denial> {
        let opened = self.open(signer, by, content, now).unwrap();
        self.run(&Command::Record(opened), now)
    }

    fn replace(&mut self, signer: &Did, by: u8, content: Content, now: Timestamp) -> Result<Event, Denial> {
        let opened = self.open(signer, &[by], content, now).unwrap();
        self.run(&Command::Replace(opened), now)
    }

    fn key(&self, did: &Did, at: Timestamp) -> Result<PublicKey, KeyFault> {
        self.0.state().key(did, at)
    }
}

#[test]
fn a_did_is_bound_once_and_a_key_to_one_did() {
    let (alpha, beta) = (did("did:mesh:alpha"), did("did:mesh:beta"));
    let mut desk = Desk::default();
    assert_eq!(desk.key(&alpha, NOW), Err(KeyFault::Unknown));
    desk.record(&alpha, &[1], bind(1, Timestamp(0), EVER), NOW).unwrap();
    assert_eq!(desk.key(&alpha, NOW), Ok(public(1)));
    assert_eq!(desk.record(&alpha, &[1], bind(1, NOW, EVER), NOW), Err(Denial::AlreadyBound));
    assert_eq!(desk.record(&alpha, &[2], bind(2, NOW, EVER), NOW), Err(Denial::AlreadyBound));
    let taken = Denial::KeyTaken { by: alpha.clone() };
    assert_eq!(desk.record(&beta, &[1], bind(1, NOW, EVER), NOW), Err(taken));
    // What its key is called on its own no longer counts.
    let own = public(1).did().clone();
    assert_eq!(desk.key(&own, NOW), Err(KeyFault::Bound { to: alpha.clone() }));
    assert_eq!(desk.0.state().owner(&public(1)), Some(&alpha));
    assert_eq!(desk.0.state().dids().collect::<Vec<_>>(), [&alpha]);
}

#[test]
fn a_did_key_is_its_own_key() {
    let own = public(1).did().clone();
    let mut desk = Desk::default();
    assert_eq!(desk.record(&own, &[1], bind(1, NOW, EVER), NOW), Err(Denial::IsKey));
    assert_eq!(desk.record(&own, &[1, 2], rotate(2, NOW, EVER), NOW), Err(Denial::IsKey));
    assert_eq!(desk.replace(&own, 1, bind(1, NOW, EVER), NOW), Err(Denial::IsKey));
    assert_eq!(desk.key(&own, NOW), Ok(public(1)));
    desk.record(&own, &[1], Content::Revoke, at(1)).unwrap();
    assert_eq!(desk.key(&own, NOW), Ok(public(1)), "at that time it counted");
    assert_eq!(desk.key(&own, at(1)), Err(KeyFault::Revoked { at: at(1) }));
    let again = desk.open(&own, &[1], Content::Revoke, at(2));
    let fault = KeyFault::Revoked { at: at(1) };
    assert_eq!(again, Err(Refusal::Key { signer: own.clone(), fault }));
    let taken = Denial::KeyTaken { by: own };
    assert_eq!(desk.record(&did("did:mesh:alpha"), &[1], bind(1, NOW, EVER), NOW), Err(taken));
}

#[test]
fn keys_count_from_then_until_then() {
    let alpha = did("did:mesh:alpha");
    let mut desk = Desk::default();
    for until in [at(10), at(5)] {
        let never = Err(Denial::NeverCounts { until });
        assert_eq!(desk.record(&alpha, &[1], bind(1, at(10), until), NOW), never);
    }
    let never = Err(Denial::NeverCounts { until: at(0) });
    assert_eq!(
        desk.record(&alpha, &[1], bind(1, Timestamp(0), at(0)), NOW),
        never,
        "not before it is recorded"
    );
    desk.record(&alpha, &[1], bind(1, at(10), at(20)), NOW).unwrap();
    let one = Timestamp(1);
    assert_eq!(desk.key(&alpha, Timestamp(at(10).0 - one.0)), Err(KeyFault::NotYet { from: at(10) }));
    assert_eq!(desk.key(&alpha, at(10)), Ok(public(1)));
    assert_eq!(desk.key(&alpha, Timestamp(at(20).0 - one.0)), Ok(public(1)));
    assert_eq!(desk.key(&alpha, at(20)), Err(KeyFault::Ended { at: at(20) }));
    // Once its time is over, nobody but who governs the node gives it another.
    let signed = desk.open(&alpha, &[1, 2], rotate(2, at(20), EVER), at(20));
    assert_eq!(signed, Err(Refusal::Key { signer: alpha.clone(), fault: KeyFault::Ended { at: at(20) } }));
    desk.replace(&alpha, 2, bind(2, at(30), EVER), at(20)).unwrap();
    assert_eq!(desk.key(&alpha, at(25)), Err(KeyFault::NotYet { from: at(30) }));
    assert_eq!(desk.key(&alpha, at(30)), Ok(public(2)));
}

#[test]
fn a_rotation_hands_over_at_its_time() {
    let alpha = did("did:mesh:alpha");
    let mut desk = Desk::default();
    desk.record(&alpha, &[1], bind(1, NOW, EVER), NOW).unwrap();
    desk.record(&alpha, &[1, 2], rotate(2, at(10), EVER), at(1)).unwrap();
    assert_eq!(desk.key(&alpha, Timestamp(at(10).0 - 1)), Ok(public(1)));
    assert_eq!(desk.key(&alpha, at(10)), Ok(public(2)));
    // While it waits, the old key still counts but appoints nobody else.
    let pending = Denial::Pending { from: at(10) };
    assert_eq!(desk.record(&alpha, &[1, 3], rotate(3, at(5), EVER), at(2)), Err(pending));
    // A key that it had, or that somebody has, is not taken again.
    let taken = Denial::KeyTaken { by: alpha.clone() };
    assert_eq!(desk.record(&alpha, &[2, 1], rotate(1, at(20), EVER), at(20)), Err(taken.clone()));
    assert_eq!(desk.record(&alpha, &[2, 2], rotate(2, at(20), EVER), at(20)), Err(taken));
    // Nothing that is said later reaches back.
    desk.record(&alpha, &[2, 3], rotate(3, Timestamp(0), EVER), at(20)).unwrap();
    assert_eq!(desk.key(&alpha, Timestamp(at(20).0 - 1)), Ok(public(2)));
    assert_eq!(desk.key(&alpha, at(20)), Ok(public(3)));
    let held: Vec<_> = desk.0.state().held(&alpha).iter().map(|held| (held.from, held.until)).collect();
    assert_eq!(held, [(NOW, at(10)), (at(10), at(20)), (at(20), EVER)]);
}

#[test]
fn what_is_revoked_never_counts_again() {
    let alpha = did("did:mesh:alpha");
    let mut desk = Desk::default();
    desk.record(&alpha, &[1], bind(1, NOW, EVER), NOW).unwrap();
    desk.record(&alpha, &[1, 2], rotate(2, at(10), EVER), at(1)).unwrap();
    // The stolen key appointed a successor; revoking it revokes that one too.
    desk.record(&alpha, &[1], Content::Revoke, at(2)).unwrap();
    assert_eq!(desk.key(&alpha, at(1)), Ok(public(1)));
    for later in [at(2), at(9), at(10), EVER] {
        assert_eq!(desk.key(&alpha, later), Err(KeyFault::Revoked { at: at(2) }), "{later}");
    }
    assert_eq!(desk.record(&alpha, &[3], bind(3, at(3), EVER), at(3)), Err(Denial::AlreadyBound));
    let taken = Denial::KeyTaken { by: alpha.clone() };
    assert_eq!(desk.replace(&alpha, 2, bind(2, at(3), EVER), at(3)), Err(taken));
    desk.replace(&alpha, 3, bind(3, at(3), EVER), at(3)).unwrap();
    assert_eq!(desk.key(&alpha, at(3)), Ok(public(3)));
    assert_eq!(
        desk.key(&alpha, at(2)),
        Err(KeyFault::Revoked { at: at(2) }),
        "at that time nobody spoke for it"
    );
}

#[test]
fn who_governs_the_node_replaces_what_is_lost() {
    let alpha = did("did:mesh:alpha");
    let mut desk = Desk::default();
    assert_eq!(desk.replace(&alpha, 1, bind(1, NOW, EVER), NOW), Err(Denial::NotBound));
    desk.record(&alpha, &[1], bind(1, NOW, EVER), NOW).unwrap();
    desk.record(&alpha, &[1, 2], rotate(2, at(100), EVER), at(1)).unwrap();
    desk.replace(&alpha, 3, bind(3, at(50), EVER), at(2)).unwrap();
    assert_eq!(desk.key(&alpha, at(1)), Ok(public(1)));
    assert_eq!(desk.key(&alpha, at(2)), Err(KeyFault::Revoked { at: at(2) }));
    assert_eq!(desk.key(&alpha, at(50)), Ok(public(3)));
    assert_eq!(desk.key(&alpha, at(100)), Ok(public(3)), "the successor that waited is gone with the rest");
    let opened = desk.open(&alpha, &[3, 4], rotate(4, at(60), EVER), at(60)).unwrap();
    let other_kind = Denial::OtherKind { kind: Kind::Rotate };
    assert_eq!(desk.run(&Command::Replace(opened), at(60)), Err(other_kind));
    // What is rotated later ends at its time; the one that never counted stays as it was, and all of it resumes.
    desk.record(&alpha, &[3, 4], rotate(4, at(60), EVER), at(60)).unwrap();
    let held: Vec<_> = desk.0.state().held(&alpha).iter().map(|held| (held.from, held.until)).collect();
    assert_eq!(held, [(NOW, at(100)), (at(100), EVER), (at(50), at(60)), (at(60), EVER)]);
    let mut resumed = Registry::default();
    for event in desk.0.state().compact() {
        resumed.apply(&event).unwrap();
    }
    assert_eq!(&resumed, desk.0.state());
}

#[test]
fn what_was_opened_may_be_too_late() {
    let alpha = did("did:mesh:alpha");
    let mut desk = Desk::default();
    desk.record(&alpha, &[1], bind(1, NOW, EVER), NOW).unwrap();
    let revocation = desk.open(&alpha, &[1], Content::Revoke, at(5)).unwrap();
    let expired = desk.open(&alpha, &[1], Content::Revoke, at(1)).unwrap();
    let rotation = desk.open(&alpha, &[1, 3], rotate(3, NOW, EVER), at(5)).unwrap();
    desk.record(&alpha, &[1, 2], rotate(2, NOW, EVER), at(2)).unwrap();
    let deadline = at(1);
    assert_eq!(desk.run(&Command::Record(expired), at(2)), Err(Denial::Expired { deadline }));
    assert_eq!(desk.run(&Command::Record(revocation), at(5)), Err(Denial::OtherKey));
    assert_eq!(desk.run(&Command::Record(rotation), at(5)), Err(Denial::OtherKey));
    let revocation = desk.open(&alpha, &[2], Content::Revoke, at(6)).unwrap();
    desk.record(&alpha, &[2], Content::Revoke, at(6)).unwrap();
    let fault = KeyFault::Revoked { at: at(6) };
    assert_eq!(desk.run(&Command::Record(revocation), at(6)), Err(Denial::Key { fault }));
}

#[test]
fn the_same_statement_changes_nothing_twice() {
    let alpha = did("did:mesh:alpha");
    let mut desk = Desk::default();
    let steps: [(&[u8], Content); 3] =
        [(&[1], bind(1, NOW, EVER)), (&[1, 2], rotate(2, NOW, EVER)), (&[2], Content::Revoke)];
    for (by, content) in steps {
        // Opened twice while it counts, run twice.
        let [first, second] = [(), ()].map(|()| desk.open(&alpha, by, content.clone(), at(1)).unwrap());
        desk.run(&Command::Record(first), at(1)).unwrap();
        assert!(desk.run(&Command::Record(second), at(1)).is_err(), "{content:?}");
    }
}

#[test]
fn what_is_about_something_else_changes_no_key() {
    let mut desk = Desk::default();
    let join = Content::Join { session: SessionId::new("s").unwrap() };
    let own = public(1).did().clone();
    let other_kind = Denial::OtherKind { kind: Kind::Join };
    assert_eq!(desk.record(&own, &[1], join.clone(), NOW), Err(other_kind.clone()));
    assert_eq!(desk.replace(&own, 1, join, NOW), Err(other_kind));
    assert_eq!(desk.0.state(), &Registry::default());
}

/// A hundred keys in turn, each signed for by the one before.
#[test]
fn a_did_has_at_most_so_many_keys() {
    let alpha = did("did:mesh:alpha");
    let signer = |n: usize| Signer::new(&[u8::try_from(n).unwrap() + 100; 32]).unwrap();
    let mut registry = Solo::<Registry>::default();
    let mut last = Ok(());
    for n in 0..=KEYS_MAX {
        let key = signer(n).public().clone();
        let content = match n {
            0 => Content::Bind { key, from: NOW, until: EVER },
            _ => Content::Rotate { key, from: NOW, until: EVER },
        };
        let statement =
            Statement { audience: node(), signer: alpha.clone(), nonce: [0; 16], deadline: at(1), content };
        let envelope = statement.seal(&signer(n.saturating_sub(1))).unwrap().cosign(&signer(n)).unwrap();
        let opened = open_among(&envelope, registry.state(), &node(), NOW).unwrap();
        assert_eq!(last, Ok(()), "only the last one is one too many");
        last = registry.run(&Command::Record(opened), NOW).map(|_| ()).map_err(|error| match error {
            SoloError::Denied(denial) => denial,
            SoloError::Illegal(illegal) => panic!("{illegal}"),
        });
    }
    assert_eq!(last, Err(Denial::TooMany));
    assert_eq!(registry.state().held(&alpha).len(), KEYS_MAX);
    let mut resumed = Registry::default();
    for event in registry.state().compact() {
        resumed.apply(&event).unwrap();
    }
    assert_eq!(&resumed, registry.state());
}

#[test]
fn forged_records_and_the_rule_that_each_breaks() {
    let (alpha, beta, own) = (did("did:mesh:alpha"), did("did:mesh:beta"), public(1).did().clone());
    let mut base = Registry::default();
    base.apply(&Event::Bound { did: alpha.clone(), key: public(1), from: at(0), until: at(100) }).unwrap();
    let held = |n: u8, from: u64, until: u64, revoked: Option<u64>| Held {
        key: public(n),
        from: at(from),
        until: at(until),
        revoked: revoked.map(at),
    };
    let bound = |did: &Did, n: u8, from: u64, until: u64| Event::Bound {
        did: did.clone(),
        key: public(n),
        from: at(from),
        until: at(until),
    };
    let rotated = |did: &Did, n: u8, from: u64, until: u64| Event::Rotated {
        did: did.clone(),
        key: public(n),
        from: at(from),
        until: at(until),
    };
    let replaced = |did: &Did, n: u8, from: u64, now: u64| Event::Replaced {
        did: did.clone(),
        key: public(n),
        from: at(from),
        until: EVER,
        at: at(now),
    };
    let restored = |did: &Did, keys: Vec<Held>| Event::Restored { did: did.clone(), keys };
    let ever = |revoked| Held { key: public(2), from: Timestamp(0), until: EVER, revoked };
    let two = public(2).did().clone();
    let many = (0..=u8::try_from(KEYS_MAX).unwrap())
        .map(|n| {
            let key = Signer::new(&[n + 100; 32]).unwrap().public().clone();
            Held { key, from: at(0), until: at(0), revoked: None }
        })
        .collect();
    for (event, rule) in [
        (bound(&alpha, 2, 0, 1), "a DID is bound once"),
        (bound(&own, 2, 0, 1), "a did:key is its own key"),
        (bound(&beta, 1, 0, 1), "a key belongs to one DID, which has at most 64"),
        (bound(&beta, 2, 1, 1), "a key begins before it ends"),
        (rotated(&beta, 2, 0, 1), "what is rotated is bound"),
        (rotated(&own, 2, 0, 1), "a did:key is its own key"),
        (rotated(&alpha, 1, 0, 1), "a key belongs to one DID, which has at most 64"),
        (rotated(&alpha, 2, 2, 1), "a key begins before it ends"),
        (
            Event::Rotated { did: alpha.clone(), key: public(2), from: Timestamp(at(0).0 - 1), until: EVER },
            "the keys of a DID follow each other in time",
        ),
        (Event::Revoked { did: beta.clone(), at: at(0) }, "only what counts is revoked"),
        (Event::Revoked { did: own.clone(), at: at(0) }, "only what counts is revoked"),
        (Event::Revoked { did: alpha.clone(), at: at(100) }, "only what counts is revoked"),
        (replaced(&beta, 2, 0, 0), "what is replaced is bound"),
        (replaced(&own, 2, 0, 0), "a did:key is its own key"),
        (replaced(&alpha, 1, 0, 0), "a key belongs to one DID, which has at most 64"),
        (replaced(&alpha, 2, 0, 1), "a replacement does not count before it was made"),
        (restored(&alpha, vec![held(2, 0, 1, None)]), "a DID is restored once"),
        (restored(&beta, vec![]), "a DID has one to 64 keys"),
        (restored(&beta, many), "a DID has one to 64 keys"),
        (restored(&beta, vec![held(1, 0, 1, None)]), "a key belongs to one DID"),
        (restored(&beta, vec![held(2, 0, 1, None), held(2, 1, 2, None)]), "a key belongs to one DID"),
        (restored(&beta, vec![held(2, 2, 1, None)]), "a key begins before it ends"),
        (
            restored(&beta, vec![held(2, 0, 5, None), held(3, 4, 9, None)]),
            "the keys of a DID follow each other in time",
        ),
        (restored(&two, vec![ever(None)]), "of a did:key only that it is revoked is kept"),
        (restored(&two, vec![held(3, 0, 1, Some(0))]), "of a did:key only that it is revoked is kept"),
        (
            restored(&two, vec![ever(Some(at(1))), held(3, 1, 2, Some(1))]),
            "of a did:key only that it is revoked is kept",
        ),
    ] {
        let mut registry = base.clone();
        assert_eq!(registry.apply(&event).map_err(|illegal| illegal.rule), Err(rule), "{event:?}");
        assert_eq!(registry, base, "{event:?}");
    }
    base.apply(&Event::Revoked { did: alpha.clone(), at: at(1) }).unwrap();
    let rule = base.apply(&rotated(&alpha, 2, 2, 3)).unwrap_err().rule;
    assert_eq!(rule, "a revoked key rotates nothing");
    assert!(base.apply(&restored(&two, vec![ever(Some(at(1)))])).is_ok());
    assert!(base.apply(&restored(&beta, vec![held(3, 0, 5, Some(1)), held(4, 4, 9, None)])).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::cases(256), ..ProptestConfig::default() })]

    /// Any record at all: refused and nothing changed, or a registry in which everything still holds.
    #[test]
    fn any_record_leaves_a_registry_whole(events in prop::collection::vec(registry_event(), 0..30)) {
        let mut registry = Registry::default();
        for event in &events {
            let before = registry.clone();
            if registry.apply(event).is_err() {
                prop_assert_eq!(&registry, &before);
                continue;
            }
            let mut seen = BTreeSet::new();
            for did in registry.dids() {
                let held = registry.held(did);
                prop_assert!((1..=KEYS_MAX).contains(&held.len()));
                for held in held {
                    prop_assert!(seen.insert(held.key.clone()), "a key has one DID");
                    prop_assert_eq!(registry.owner(&held.key), Some(did));
                    prop_assert!(held.from <= held.until);
                }
            }
            let mut resumed = Registry::default();
            for event in registry.compact() {
                prop_assert_eq!(resumed.apply(&event), Ok(()));
            }
            prop_assert_eq!(&resumed, &registry);
        }
    }
}
