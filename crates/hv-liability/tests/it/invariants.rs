//! L1 to L14 as properties of arbitrary histories.

use crate::model::{Class, NEVER, Offence, SECOND, UNBONDING};
use crate::twin::{AGENTS, Op, SESSIONS, Twin, config, did, digest, op, ops, sigma};
use hv_liability::{
    Bond, BondState, Cause, Command, Denial, Event, Ledger, SessionNo, SlashRule, Source, Stake, VouchOrder,
    VouchPolicy, checks,
};
use hv_types::{Machine, Reversibility, Sigma, Timestamp, WHOLE};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

const OPS: usize = 24;
const CLASSES: [Reversibility; 3] = [Reversibility::Full, Reversibility::Partial, Reversibility::None];

fn twin() -> Twin {
    Twin::new(&[900_000, 700_000, 600_000, 550_000, 510_000])
}

/// Vouches among four agents in one session, so that slashes find something to cascade over.
fn vouched(edges: Vec<(u8, u8, u8)>) -> Twin {
    let mut twin = Twin::new(&[900_000, 600_000, 550_000, 530_000, 510_000, 500_000]);
    for (voucher, vouchee, amount) in edges {
        let _ = twin.run(Op::Vouch { session: 0, voucher, vouchee, amount, lasts: 1 });
    }
    twin
}

fn edges() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::vec((0u8..5, 0u8..5, 0u8..6), 1..12)
}

fn offence() -> impl Strategy<Value = Offence> {
    let class = prop::option::of(prop::sample::select(Class::ALL.to_vec()));
    (0..AGENTS, class, 1u64..=1_000_000, any::<bool>()).prop_map(|(agent, class, fault, whole)| Offence {
        evidence: 200,
        agent,
        session: Some(0),
        fault: if whole { 1_000_000 } else { fault },
        class,
        risk: None,
        happened: 0,
    })
}

proptest! {
    #![proptest_config(config(OPS as u32 / 2))]

    #[test]
    fn every_figure_is_that_of_the_naive_model(history in ops(OPS)) {
        let mut twin = twin();
        for op in history {
            let _ = twin.run(op);
            twin.compare();
        }
    }

    #[test]
    fn l1_l8_l9_l14_hold_at_every_moment(history in ops(OPS)) {
        let mut twin = twin();
        for op in history {
            let _ = twin.run(op);
            checks::ledger(&twin.ledger, twin.now())?;
        }
    }

    /// The limit is asked at admission only: a loss may leave an agent with more bonded than it could bond.
    #[test]
    fn l2_exposure_is_within_the_limit_over_all_sessions_whenever_a_bond_is_admitted(history in ops(OPS)) {
        let mut twin = twin();
        for op in history {
            let events = twin.run(op);
            if let Ok([.., Event::Vouched { voucher, .. }]) = events.as_deref() {
                let name = did(voucher.0 as usize);
                let (rho, mut bonded) = (u64::from(twin.ledger.reputation(&name).ppm()), 0);
                for bond in twin.ledger.matrix(twin.now()).vouched_by(&name) {
                    bonded += u64::from(bond.remaining.ppm());
                }
                prop_assert!(bonded * 10 <= rho * 8);
            }
        }
    }

    #[test]
    fn l3_a_bond_is_what_is_left_and_what_was_burned_and_is_paid_back_once(history in ops(OPS)) {
        let mut twin = twin();
        let mut left: Vec<Option<(u32, u32)>> = Vec::new();
        for op in history {
            let events = twin.run(op).unwrap_or_default();
            let burned = Twin::slashed(&events).map(|slashed| slashed.toll.cuts.clone()).unwrap_or_default();
            left.resize(twin.bonds.len(), None);
            for (at, no) in twin.bonds.iter().enumerate() {
                let cut = burned.iter().find(|cut| cut.bond == *no).map_or(0, |cut| cut.burned.ppm());
                let is = twin.ledger.bond(*no, twin.now()).map(|bond| (bond.initial.ppm(), bond.remaining.ppm()));
                match (left[at], is) {
                    (Some((_, 0)), Some(_)) => prop_assert!(false, "a bond came back"),
                    (Some((initial, was)), Some((same, is))) => {
                        prop_assert_eq!(initial, same);
                        prop_assert_eq!(is + cut, was);
                    }
                    _ => {}
                }
                left[at] = is.or(left[at].map(|_| (0, 0)));
            }
        }
    }

    #[test]
    fn l4_reputation_is_what_was_given_less_what_was_taken(history in ops(OPS)) {
        let mut twin = twin();
        for op in history {
            let _ = twin.run(op);
            let sum: u64 = twin.ledger.agents().map(|did| u64::from(twin.ledger.reputation(did).ppm())).sum();
            let totals = twin.ledger.totals();
            prop_assert_eq!(sum + totals.decayed + totals.burned, totals.endowed + totals.earned);
        }
    }

    #[test]
    fn l5_l6_l7_hold_of_every_slash(edges in edges(), offence in offence()) {
        let mut twin = vouched(edges);
        let before = twin.ledger.clone();
        let events = twin.slash(&offence).unwrap();
        checks::slash(&before, &twin.ledger, Twin::slashed(&events).unwrap())?;
        twin.compare();
    }

    #[test]
    fn l5_a_voucher_loses_at_most_its_bonds(edges in edges(), offence in offence()) {
        let mut twin = vouched(edges);
        let before: Vec<(u32, u32)> = (0..AGENTS).map(|agent| {
            let account = twin.ledger.account(&did(agent), twin.now()).unwrap();
            (account.reputation.ppm(), account.bonded.ppm())
        }).collect();
        twin.slash(&offence).unwrap();
        for agent in (0..AGENTS).filter(|&agent| agent != offence.agent) {
            let loss = before[agent].0 - twin.ledger.reputation(&did(agent)).ppm();
            prop_assert!(loss <= before[agent].1);
        }
    }

    /// What a bond gave in the violated class, it loses, in every class, at any fault.
    #[test]
    fn l6_a_direct_bond_loses_at_least_its_lift(edges in edges(), offence in offence()) {
        let mut twin = vouched(edges);
        let direct = twin.ledger.matrix(twin.now()).vouchers_of(&did(offence.agent));
        let events = twin.slash(&offence).unwrap();
        let cuts = &Twin::slashed(&events).unwrap().toll.cuts;
        let omega = offence.class.map_or(50_000, Class::omega);
        for bond in direct {
            let cut = cuts.iter().find(|cut| cut.bond == bond.no).unwrap();
            prop_assert_eq!(cut.cause, Cause::Backed { depth: 0 });
            prop_assert!(u64::from(cut.burned.ppm()) * 1_000_000 >= u64::from(bond.initial.ppm()) * omega);
        }
    }

    #[test]
    fn l7_a_slash_raises_no_sigma(history in ops(OPS), offence in offence()) {
        let mut twin = twin();
        for op in history {
            let _ = twin.run(op);
        }
        let all = |ledger: &Ledger, now| {
            let mut sigmas = Vec::new();
            for agent in 0..AGENTS {
                sigmas.push(ledger.sigma_low(&did(agent), now).min(ledger.sigma_eff(&did(agent), SessionNo(9), CLASSES[0], now)));
                for (session, class) in (0..SESSIONS).flat_map(|s| CLASSES.map(|class| (s, class))) {
                    sigmas.push(ledger.sigma_eff(&did(agent), SessionNo(session), class, now));
                }
            }
            sigmas
        };
        let before = all(&twin.ledger, twin.now());
        if twin.slash(&offence).is_ok() {
            let after = all(&twin.ledger, twin.now());
            prop_assert!(before.iter().zip(&after).all(|(before, after)| after <= before));
        }
    }

    /// Also among agents that all vouch as far as they can, in one session.
    #[test]
    fn l8_no_ring_of_vouches_creates_trust(edges in edges()) {
        let twin = vouched(edges);
        for class in CLASSES {
            let sum = |f: &dyn Fn(usize) -> Sigma| (0..AGENTS).map(|agent| u64::from(f(agent).ppm())).sum::<u64>();
            let standing = sum(&|agent| twin.ledger.sigma_eff(&did(agent), SessionNo(0), class, twin.now()));
            prop_assert!(standing <= sum(&|agent| twin.ledger.reputation(&did(agent))));
        }
    }

    #[test]
    fn l9_borrowed_trust_gives_no_vouching_capacity(edges in edges(), agent in 0..AGENTS) {
        let mut twin = Twin::new(&[900_000, 600_000, 550_000, 530_000, 510_000, 500_000]);
        let own = |twin: &Twin| twin.ledger.capacity(&did(agent), twin.now());
        for (voucher, vouchee, amount) in edges {
            let before = own(&twin);
            let made = twin.run(Op::Vouch { session: 0, voucher, vouchee, amount, lasts: 1 });
            match made.as_deref() {
                Ok([Event::Vouched { voucher, .. }]) if voucher.0 as usize == agent => prop_assert!(own(&twin) < before),
                _ => prop_assert_eq!(own(&twin), before),
            }
        }
    }

    /// Both ways: a refused vouch would have closed a cycle, and no admitted one has.
    #[test]
    fn l10_the_graph_is_acyclic_and_only_cycles_are_refused_as_such(history in ops(OPS)) {
        let mut twin = twin();
        for op in history {
            let answer = twin.run(op);
            if let Err(Denial::Cycle { path, omitted: 0 }) = &answer {
                let matrix = twin.ledger.matrix(twin.now());
                for pair in path.windows(2) {
                    let names = |bond: &Bond| twin.ledger.did(bond.vouchee) == Some(&pair[1]);
                    let vouches = matrix.vouched_by(&pair[0]).iter().any(names);
                    prop_assert!(vouches);
                }
            }
            prop_assert!(twin.ledger.matrix(twin.now()).cycles().is_empty());
        }
    }

    /// The same vouches in any order of making, and so in any place, answer the same.
    #[test]
    fn l11_a_cascade_is_order_free_and_two_levels_deep(edges in edges(), offence in offence(), seed in any::<u64>()) {
        let twin = vouched(edges);
        let made = twin.ledger.matrix(twin.now()).bonds();
        let mut shuffled = made.clone();
        shuffled.sort_by_key(|bond| (u64::from(bond.no.slot) + 1).wrapping_mul(seed | 1) >> 32);
        let mut other = Twin::new(&[900_000, 600_000, 550_000, 530_000, 510_000, 500_000]);
        for bond in shuffled {
            let ends = (bond.voucher.0 as usize, bond.vouchee.0 as usize);
            other.vouch(0, ends, u64::from(bond.initial.ppm()), NEVER).unwrap();
        }
        let toll = |twin: &Twin| {
            let order = crate::twin::order(&offence);
            let mut toll = twin.ledger.preview_slash(&order, twin.now()).unwrap();
            toll.cuts.retain(|cut| cut.cause != Cause::Uncovered);
            let mut cuts: Vec<_> = toll.cuts.iter().map(|cut| (cut.voucher, cut.vouchee, cut.burned)).collect();
            cuts.sort_unstable();
            (toll.losses, cuts, toll.fallen)
        };
        prop_assert_eq!(toll(&twin), toll(&other));
        let cuts = twin.ledger.preview_slash(&crate::twin::order(&offence), twin.now()).unwrap().cuts;
        let deeper = cuts.iter().any(|cut| matches!(cut.cause, Cause::Backed { depth: 3.. }));
        prop_assert!(!deeper);
    }

    #[test]
    fn l12_the_same_evidence_changes_nothing_twice(history in ops(OPS), offence in offence(), later in 0u64..100) {
        let mut twin = twin();
        for op in history {
            let _ = twin.run(op);
        }
        if let Ok(events) = twin.slash(&offence) {
            twin.wait(later * SECOND);
            let before = twin.ledger.compact();
            prop_assert_eq!(twin.slash(&offence).unwrap(), []);
            let slash = events.last().unwrap();
            let mut copy = twin.ledger.clone();
            prop_assert!(copy.apply(slash).is_err());
            prop_assert_eq!(copy.compact(), before);
        }
    }

    /// Whatever is done to a bond between the violation and the slash, as long as its unbonding time is not
    /// over the voucher loses the same.
    #[test]
    fn l13_no_escape_by_release_or_expiry(
        amount in 1u64..=720_000, lasts in 1u64..100, release in prop::option::of(1u64..60), slash in 0u64..=59,
        class in prop::option::of(prop::sample::select(Class::ALL.to_vec())),
    ) {
        let mut twin = Twin::new(&[900_000, 300_000]);
        twin.vouch(0, (0, 1), amount, lasts * SECOND).unwrap();
        let violated = twin.model.now;
        if let Some(release) = release {
            twin.wait(release * SECOND);
            let _ = twin.release(0);
        }
        let stopped = release.unwrap_or(lasts).min(lasts);
        twin.model.now = twin.model.now.max((stopped + slash) * SECOND);
        prop_assume!(twin.model.now < stopped * SECOND + UNBONDING);
        let before = twin.ledger.reputation(&did(0)).ppm();
        let offence = Offence {
            evidence: 1, agent: 1, session: Some(0), fault: 1_000_000, class, risk: None, happened: violated,
        };
        twin.slash(&offence).unwrap();
        let penalty = class.map_or(950_000, |class| [800_000, 650_000, 950_000][class as usize]);
        let loss = u64::from(before - twin.ledger.reputation(&did(0)).ppm());
        prop_assert_eq!(loss, (amount * penalty).div_ceil(u64::from(WHOLE)));
    }

    #[test]
    fn l14_quarantine_means_no_trust_anywhere(history in ops(OPS), agent in 0..AGENTS, until in 1u64..100) {
        let mut twin = twin();
        for op in history {
            let _ = twin.run(op);
        }
        let until = Timestamp(twin.model.now + until * SECOND);
        let command = Command::Quarantine { agent: did(agent), until };
        if twin.give(&command).is_ok() {
            let last = Timestamp(until.0 - 1);
            for (session, class) in (0..SESSIONS + 1).flat_map(|s| CLASSES.map(|class| (s, class))) {
                prop_assert_eq!(twin.ledger.sigma_eff(&did(agent), SessionNo(session), class, last), Sigma::ZERO);
            }
            prop_assert!(twin.ledger.quarantined(&did(agent), last).is_some());
        }
    }

    /// However often the passing of time is recorded, nothing comes out otherwise.
    #[test]
    fn recording_time_more_often_changes_nothing(history in ops(OPS)) {
        let (mut seldom, mut often) = (twin(), twin());
        for op in history {
            let answer = seldom.run(op).is_ok();
            let _ = often.give(&Command::Settle);
            prop_assert_eq!(often.run(op).is_ok(), answer);
            let _ = often.give(&Command::Settle);
        }
        let _ = (seldom.give(&Command::Settle), often.give(&Command::Settle));
        let now = seldom.now();
        prop_assert_eq!(seldom.ledger.matrix(now).bonds(), often.ledger.matrix(now).bonds());
        often.compare();
    }

    #[test]
    fn s4_replaying_any_prefix_gives_the_state_of_the_live_run(history in ops(OPS)) {
        let mut twin = twin();
        let mut states = vec![(0, Vec::new())];
        for op in history {
            let _ = twin.run(if matches!(op, Op::Restore) { Op::Settle } else { op });
            states.push((twin.events.len(), twin.ledger.compact()));
        }
        let mut replayed = Ledger::default();
        let mut done = 0;
        for (events, state) in states {
            twin.events[done..events].iter().for_each(|event| replayed.apply(event).unwrap());
            done = events;
            prop_assert_eq!(replayed.compact(), state);
        }
    }

    /// Any one event of a record left out, doubled or moved is noticed, or makes no difference.
    #[test]
    fn a_doctored_record_is_illegal_or_consistent(history in ops(OPS), at in any::<prop::sample::Index>(), how in 0..3) {
        let mut twin = twin();
        for op in history.into_iter().filter(|op| !matches!(op, Op::Restore)) {
            let _ = twin.run(op);
        }
        let mut events = twin.events.clone();
        let at = at.index(events.len());
        match how {
            0 => drop(events.remove(at)),
            1 => events.insert(at, events[at].clone()),
            _ => events.swap(at, 0),
        }
        let mut ledger = Ledger::default();
        for event in &events {
            let before = ledger.compact();
            if ledger.apply(event).is_err() {
                prop_assert_eq!(ledger.compact(), before);
                break;
            }
            checks::ledger(&ledger, Timestamp(0))?;
        }
    }

    /// The preset for comparison keeps what it is not exempt from.
    #[test]
    fn the_reference_preset_keeps_l1_to_l4_and_l10_to_l14(history in prop::collection::vec(op(), 1..OPS)) {
        let mut ledger = Ledger::default();
        let policy = VouchPolicy { unbonding: std::time::Duration::from_secs(60), ..VouchPolicy::reference() };
        let mut now = Timestamp(1);
        let mut evidence = 0;
        let apply = |ledger: &mut Ledger, command: &Command, now| -> Result<(), TestCaseError> {
            let before = ledger.clone();
            for event in ledger.decide(command, now).unwrap_or_default() {
                prop_assert_eq!(ledger.apply(&event), Ok(()));
                if let Event::Slashed { slashed } = &event {
                    checks::slash(&before, ledger, slashed)?;
                }
            }
            checks::ledger(ledger, now)?;
            Ok(())
        };
        apply(&mut ledger, &Command::Configure(policy), now)?;
        let clips = matches!(ledger.policy().rule, SlashRule::Clip { .. });
        prop_assert!(clips);
        for (agent, rho) in [900_000, 800_000, 600_000, 550_000, 510_000, 700_000].into_iter().enumerate() {
            let command = Command::Endow { agent: did(agent), sigma: sigma(rho), source: Source::Scored };
            apply(&mut ledger, &command, now)?;
        }
        for op in history {
            let command = match op {
                Op::Vouch { voucher, vouchee, amount, .. } => Command::Vouch(VouchOrder {
                    session: SessionNo(0),
                    voucher: did(usize::from(voucher) % AGENTS),
                    vouchee: did(usize::from(vouchee) % AGENTS),
                    stake: Stake::Amount(sigma(u64::from(amount) * 30_000 + 1)),
                    expires: None,
                }),
                Op::Slash { agent, class, fault, .. } => {
                    evidence += 1;
                    Command::Slash(crate::twin::order(&Offence {
                        evidence,
                        agent: usize::from(agent) % AGENTS,
                        session: Some(0),
                        fault: 1_000_000 / (u64::from(fault) + 1),
                        class: Some(Class::ALL[usize::from(class) % 3]),
                        risk: None,
                        happened: now.0,
                    }))
                }
                Op::Rehabilitate { agent, .. } => {
                    Command::Rehabilitate { agent: did(usize::from(agent) % AGENTS), sigma: sigma(700_000) }
                }
                _ => {
                    now = Timestamp(now.0 + 31 * SECOND);
                    Command::ReleaseSession { session: SessionNo(0) }
                }
            };
            apply(&mut ledger, &command, now)?;
        }
        prop_assert!(ledger.verdict(&digest(0)).is_none());
    }
}

/// What the properties above rest on: histories of this kind do get to the places that matter.
#[test]
fn the_histories_reach_what_they_are_meant_to_reach() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..3000 {
        let history = ops(OPS).new_tree(&mut runner).unwrap().current();
        let mut twin = twin();
        for op in history {
            match twin.run(op) {
                Err(denial) => *seen.entry(crate::twin::name(&denial)).or_default() += 1,
                Ok(events) => {
                    if let Some(slashed) = Twin::slashed(&events) {
                        for cut in &slashed.toll.cuts {
                            *seen.entry(format!("{:?}", cut.cause)).or_default() += 1;
                        }
                        *seen.entry("fallen".into()).or_default() += slashed.toll.fallen.len() as u32;
                    }
                    if events.iter().any(|event| matches!(event, Event::Elapsed { .. })) {
                        *seen.entry("elapsed".into()).or_default() += 1;
                    }
                }
            }
        }
        let mut cascade = vouched(edges().new_tree(&mut runner).unwrap().current());
        let offence = offence().new_tree(&mut runner).unwrap().current();
        for cut in &Twin::slashed(&cascade.slash(&offence).unwrap()).unwrap().toll.cuts {
            *seen.entry(format!("{:?} in one session", cut.cause)).or_default() += 1;
        }
        for bond in twin.ledger.matrix(twin.now()).bonds() {
            *seen
                .entry(if bond.state == BondState::Active { "active" } else { "unbonding" }.into())
                .or_default() += 1;
        }
    }
    for name in [
        "Cycle",
        "Exposure",
        "BelowMinimum",
        "Quarantined",
        "SelfVouch",
        "UnknownAgent",
        "UnknownBond",
        "Unbonding",
        "UnderCharge",
        "Dismissed",
        "Disputed",
        "GraceRunning",
        "NoCharge",
        "NoFault",
        "Past",
        "Future",
        "EmptyStake",
        "NothingToRehabilitate",
        "Backed { depth: 0 }",
        "Backed { depth: 1 }",
        "Backed { depth: 2 } in one session",
        "Uncovered",
        "fallen",
        "elapsed",
        "active",
        "unbonding",
    ] {
        assert!(seen.get(name).is_some_and(|&count| count >= 5), "{name} is too rare: {seen:?}");
    }
}
