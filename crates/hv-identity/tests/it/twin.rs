//! The registry beside a naive twin, which keeps for each DID a list of moments and who speaks at each.

use crate::{NOW, cases, did, node};
use hv_identity::registry::Command;
use hv_identity::strategies::known_signer;
use hv_identity::{Content, Did, Machine, PublicKey, Registry, Resolver, Statement, Timestamp, open};
use hv_types::{Solo, SoloError};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// How many moments there are.
const MOMENTS: usize = 16;
const KEYS: u8 = 6;

/// Computed once; there are many questions to each history.
static PUBLIC: LazyLock<Vec<PublicKey>> =
    LazyLock::new(|| (0..KEYS).map(|n| known_signer(n).public().clone()).collect());

fn moment(n: usize) -> Timestamp {
    Timestamp(NOW.0 + n as u64)
}

#[derive(Debug, Clone)]
enum Step {
    /// Time passes.
    Wait,
    /// A statement is signed by these keys and recorded, or kept for later.
    Say { who: usize, by: u8, said: Said, later: bool },
    /// Something that was kept is recorded.
    Late,
}

#[derive(Debug, Clone, Copy)]
enum Said {
    Bind { key: u8, from: usize, until: usize },
    Rotate { key: u8, from: usize, until: usize },
    Revoke,
    Replace { key: u8, from: usize, until: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let key = || (0..KEYS, 0..MOMENTS, 1..=MOMENTS + 4);
    let said = prop_oneof![
        3 => key().prop_map(|(key, from, until)| Said::Bind { key, from, until }),
        4 => key().prop_map(|(key, from, until)| Said::Rotate { key, from, until }),
        1 => Just(Said::Revoke),
        1 => key().prop_map(|(key, from, until)| Said::Replace { key, from, until }),
    ];
    prop_oneof![
        2 => Just(Step::Wait),
        1 => Just(Step::Late),
        8 => (0usize..3, 0..KEYS, said, prop::bool::weighted(0.2))
            .prop_map(|(who, by, said, later)| Step::Say { who, by, said, later }),
    ]
}

/// Who speaks for each DID at each moment, and which keys were ever anybody's.
#[derive(Debug, Clone)]
struct Twin {
    speaks: BTreeMap<Did, [Option<u8>; MOMENTS]>,
    last: BTreeMap<Did, u8>,
    used: BTreeSet<u8>,
}

impl Twin {
    /// Whether it is allowed; then it is done.
    fn say(&mut self, who: &Did, by: u8, said: Said, now: usize) -> bool {
        let is_key = who.as_str().starts_with("did:key:");
        let speaks_now = self.speaks.get(who).is_some_and(|moments| moments[now] == Some(by));
        let fits = |from: usize, until: usize| until > from.max(now);
        let allowed = match said {
            Said::Bind { key, from, until } => {
                !is_key && !self.last.contains_key(who) && !self.used.contains(&key) && fits(from, until)
            }
            Said::Rotate { key, from, until } => {
                let last = self.last.get(who) == Some(&by);
                !is_key && speaks_now && last && !self.used.contains(&key) && fits(from, until)
            }
            Said::Revoke => speaks_now,
            Said::Replace { key, from, until } => {
                !is_key && self.last.contains_key(who) && !self.used.contains(&key) && fits(from, until)
            }
        };
        if !allowed {
            return false;
        }
        let moments = self.speaks.entry(who.clone()).or_insert([None; MOMENTS]);
        match said {
            Said::Revoke => {
                moments[now..].fill(None);
                self.used.extend(is_key.then_some(by));
            }
            Said::Bind { key, from, until }
            | Said::Rotate { key, from, until }
            | Said::Replace { key, from, until } => {
                let first = from.max(now);
                let cleared = if matches!(said, Said::Replace { .. }) { now } else { first };
                moments[cleared..].fill(None);
                moments[first..until.min(MOMENTS)].fill(Some(key));
                self.used.insert(key);
                self.last.insert(who.clone(), key);
                // A key that is bound is nobody's own any more, and never was.
                self.speaks.remove(known_signer(key).did());
            }
        }
        true
    }
}

fn content(said: Said) -> Content {
    let key = |n: u8| known_signer(n).public().clone();
    match said {
        Said::Bind { key: n, from, until } | Said::Replace { key: n, from, until } => {
            Content::Bind { key: key(n), from: moment(from), until: moment(until) }
        }
        Said::Rotate { key: n, from, until } => {
            Content::Rotate { key: key(n), from: moment(from), until: moment(until) }
        }
        Said::Revoke => Content::Revoke,
    }
}

fn run(registry: &mut Solo<Registry>, command: &Command, now: usize) -> Result<bool, TestCaseError> {
    match registry.run(command, moment(now)) {
        Ok(events) => {
            prop_assert_eq!(events.len(), 1);
            Ok(true)
        }
        Err(SoloError::Denied(_)) => Ok(false),
        Err(SoloError::Illegal(illegal)) => Err(TestCaseError::fail(illegal.to_string())),
    }
}

fn agree(registry: &Registry, twin: &Twin, dids: &[Did]) -> Result<(), TestCaseError> {
    for did in dids {
        for n in 0..MOMENTS {
            let ours = registry.key(did, moment(n)).ok();
            let theirs = twin.speaks.get(did).and_then(|moments| moments[n]);
            let theirs = theirs.map(|n| &PUBLIC[usize::from(n)]);
            prop_assert_eq!(ours.as_ref(), theirs, "{} at {}", did, n);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(128), ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_as_the_twin_says(steps in prop::collection::vec(step(), 0..40)) {
        let names = [did("did:mesh:a"), did("did:mesh:b"), known_signer(0).did().clone()];
        let own: Vec<Did> = (0..KEYS).map(|n| known_signer(n).did().clone()).collect();
        let speaks = (0..KEYS).zip(&own).map(|(n, did)| (did.clone(), [Some(n); MOMENTS])).collect();
        let mut twin = Twin { speaks, last: BTreeMap::new(), used: BTreeSet::new() };
        let mut registry = Solo::<Registry>::default();
        let (mut now, mut kept) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Wait => now = (now + 1).min(MOMENTS - 1),
                Step::Late => {
                    if let Some((who, by, said, command)) = kept.pop() {
                        prop_assert_eq!(run(&mut registry, &command, now)?, twin.say(&who, by, said, now));
                    }
                }
                Step::Say { who, by, said, later } => {
                    let who = names[who].clone();
                    // A binding is signed by the key itself, a rotation by the old and the new one.
                    let by = if let Said::Bind { key, .. } | Said::Replace { key, .. } = said { key } else { by };
                    let statement = Statement {
                        audience: node(),
                        signer: who.clone(),
                        nonce: [0; 16],
                        deadline: moment(MOMENTS),
                        content: content(said),
                    };
                    let Ok(mut envelope) = statement.seal(&known_signer(by)) else { continue };
                    if let Said::Rotate { key, .. } = said {
                        envelope = envelope.cosign(&known_signer(key)).unwrap();
                    }
                    let Ok(opened) = open(&envelope, registry.state(), &node(), moment(now)) else {
                        prop_assert!(!twin.clone().say(&who, by, said, now), "{:?} is allowed", said);
                        continue;
                    };
                    let replaces = matches!(said, Said::Replace { .. });
                    let command = if replaces { Command::Replace(opened) } else { Command::Record(opened) };
                    if later {
                        kept.push((who, by, said, command));
                    } else {
                        prop_assert_eq!(run(&mut registry, &command, now)?, twin.say(&who, by, said, now), "{:?}", said);
                    }
                }
            }
            agree(registry.state(), &twin, &names)?;
            let mut resumed = Registry::default();
            for event in registry.state().compact() {
                prop_assert_eq!(resumed.apply(&event), Ok(()));
            }
            prop_assert_eq!(&resumed, registry.state());
        }
        agree(registry.state(), &twin, &own)?;
    }
}

/// The twin is no use if nothing ever happens to it.
#[test]
fn the_twin_sees_every_kind_of_change() {
    let mut twin = Twin { speaks: BTreeMap::new(), last: BTreeMap::new(), used: BTreeSet::new() };
    let a = did("did:mesh:a");
    let key = |key| (key, 0, MOMENTS);
    let (k, from, until) = key(1);
    assert!(twin.say(&a, 1, Said::Bind { key: k, from, until }, 0));
    assert!(!twin.say(&a, 2, Said::Revoke, 0));
    let (k, from, until) = key(2);
    assert!(twin.say(&a, 1, Said::Rotate { key: k, from, until }, 1));
    assert!(twin.say(&a, 2, Said::Revoke, 2));
    let (k, from, until) = key(3);
    assert!(twin.say(&a, 3, Said::Replace { key: k, from, until }, 3));
    let speaks: Vec<Option<u8>> = twin.speaks[&a][..5].to_vec();
    assert_eq!(speaks, [Some(1), Some(2), None, Some(3), Some(3)]);
}
