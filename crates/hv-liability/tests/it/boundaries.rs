//! Tables at every threshold, one part per million or one nanosecond to either side.

use crate::model::{Class, GRACE, NEVER, Offence, SECOND, UNBONDING};
use crate::twin::{Twin, did, digest, name, policy, sigma};
use hv_liability::{
    BondState, Command, Denial, Event, Ledger, Quarantine, SessionNo, Source, Stake, UNBONDING_MIN,
    UnfitPolicy, VouchOrder, VouchPolicy, Weights,
};
use hv_types::{Machine, Reversibility, Share, Sigma, Timestamp};
use std::time::Duration;

fn offence(agent: usize, happened: u64) -> Offence {
    let (session, fault, class) = (Some(0), 1_000_000, Some(Class::None));
    Offence { evidence: 1, agent, session, fault, class, risk: None, happened }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Denial>) -> String {
    name(&answer.unwrap_err())
}

/// 80 % of 0.9 is 0.72, inclusive, whether it is bonded at once, in parts, or over several sessions.
#[test]
fn l2_exposure_of_0_72_of_0_9() {
    for (amounts, passes) in [
        (&[720_000][..], true),
        (&[720_001], false),
        (&[719_999], true),
        (&[360_000, 360_000], true),
        (&[360_000, 360_001], false),
        (&[360_001, 360_000], false),
        (&[719_999, 1], true),
        (&[719_999, 2], false),
        (&[720_000, 1], false),
        (&[240_000, 240_000, 240_000], true),
        (&[240_000, 240_000, 240_001], false),
    ] {
        for sessions in [1, 2, 7] {
            let mut twin = Twin::new(&[900_000, 100_000, 100_000]);
            let (last, first) = amounts.split_last().unwrap();
            for (at, &amount) in (0..).zip(first) {
                twin.vouch(at % sessions, (0, 1), amount, NEVER).unwrap();
            }
            let answer = twin.vouch(sessions - 1, (0, 2), *last, NEVER);
            assert_eq!(answer.is_ok(), passes, "{amounts:?} over {sessions} sessions");
            if let Err(denial) = answer {
                let bonded = first.iter().sum();
                assert_eq!(
                    denial,
                    Denial::Exposure {
                        agent: did(0),
                        asked: sigma(*last),
                        left: sigma(720_000 - bonded),
                        bonded: sigma(bonded),
                        limit: sigma(720_000),
                    }
                );
                // What it says is left is what passes.
                if bonded < 720_000 {
                    twin.vouch(0, (0, 2), 720_000 - bonded, NEVER).unwrap();
                }
            }
        }
    }
}

#[test]
fn the_limit_rounds_down() {
    for (rho, limit) in [(500_000, 400_000), (500_001, 400_000), (500_004, 400_003), (999_999, 799_999)] {
        let mut twin = Twin::new(&[rho, 1]);
        assert_eq!(refused(twin.vouch(0, (0, 1), limit + 1, NEVER)), "Exposure", "{rho}");
        twin.vouch(0, (0, 1), limit, NEVER).unwrap();
    }
}

#[test]
fn the_minimum_to_vouch_is_inclusive() {
    for (rho, passes) in [(499_999, false), (500_000, true), (500_001, true)] {
        let answer = Twin::new(&[rho, 100_000]).vouch(0, (0, 1), 1, NEVER);
        let agent = did(0);
        let expected = Denial::BelowMinimum { agent, reputation: sigma(rho), minimum: sigma(500_000) };
        assert_eq!(answer.map(|_| ()), if passes { Ok(()) } else { Err(expected) });
    }
}

/// What an agent has bonded does not count against the minimum: reputation does.
#[test]
fn the_minimum_is_asked_of_reputation() {
    let mut twin = Twin::new(&[500_000, 1, 1]);
    twin.vouch(0, (0, 1), 399_999, NEVER).unwrap();
    twin.vouch(0, (0, 2), 1, NEVER).unwrap();
}

#[test]
fn the_smallest_stake_is_a_part_per_million() {
    let mut twin = Twin::new(&[900_000, 1]);
    assert_eq!(refused(twin.vouch(0, (0, 1), 0, NEVER)), "EmptyStake");
    twin.vouch(0, (0, 1), 1, NEVER).unwrap();
    let share = |ppm| {
        let (voucher, vouchee, stake) = (did(0), did(1), Stake::Share(Share::from_ppm(ppm).unwrap()));
        let order = VouchOrder { session: SessionNo(0), voucher, vouchee, stake, expires: None };
        twin.ledger.preview_vouch(&order, twin.now()).map(|preview| preview.bond)
    };
    assert_eq!(share(1).unwrap_err(), Denial::EmptyStake { agent: did(0), reputation: sigma(900_000) });
    assert_eq!(share(2), Ok(sigma(1)));
    assert_eq!(share(400_000), Ok(sigma(360_000)));
    assert_eq!(refused(share(1_000_000)), "Exposure");
}

/// A bond lifts up to its last nanosecond, is locked up to the last of its unbonding time, and answers for
/// what happened up to its end, inclusive.
#[test]
fn l13_a_bond_ends_to_the_nanosecond() {
    let mut twin = Twin::new(&[900_000, 300_000]);
    let end = 10 * SECOND;
    twin.vouch(0, (0, 1), 360_000, end).unwrap();
    let sigma_at = |twin: &Twin, now, agent| {
        twin.ledger.sigma_eff(&did(agent), SessionNo(0), Reversibility::Full, Timestamp(now)).ppm()
    };
    assert_eq!([sigma_at(&twin, end - 1, 1), sigma_at(&twin, end, 1)], [588_000, 300_000]);
    let paid = end + UNBONDING;
    assert_eq!([sigma_at(&twin, paid - 1, 0), sigma_at(&twin, paid, 0)], [540_000, 900_000]);
    for (now, happened, hit) in [
        (end, 0, true),
        (end, end, true),
        (end + 1, end + 1, false),
        (paid - 1, 0, true),
        (paid - 1, end, true),
        (paid, 0, false),
        (paid, end, false),
    ] {
        let mut twin = twin.clone();
        twin.model.now = now;
        twin.slash(&offence(1, happened)).unwrap();
        let loss = 900_000 - twin.ledger.reputation(&did(0)).ppm();
        assert_eq!(loss, if hit { 342_000 } else { 0 }, "slashed at {now} for {happened}");
    }
}

/// Also in the last nanosecond there is, which stands for a bond that was never released.
#[test]
fn a_bond_that_is_released_at_the_end_of_time_is_released() {
    let mut twin = Twin::new(&[900_000, 300_000]);
    twin.vouch(0, (0, 1), 360_000, NEVER).unwrap();
    twin.model.now = u64::MAX;
    let bond = twin.bonds[0];
    twin.give(&Command::Release { bond }).unwrap();
    let bond = twin.ledger.bond(bond, Timestamp::MAX).unwrap();
    assert_eq!((bond.state, bond.released), (BondState::Unbonding, Some(Timestamp(u64::MAX - 1))));
}

#[test]
fn a_bond_answers_from_the_nanosecond_it_is_made() {
    for (happened, hit) in [(4, false), (5, true), (6, true)] {
        let mut twin = Twin::new(&[900_000, 300_000]);
        twin.model.now = 5;
        twin.vouch(0, (0, 1), 360_000, NEVER).unwrap();
        twin.model.now = 9;
        twin.slash(&offence(1, happened)).unwrap();
        assert_eq!(twin.ledger.reputation(&did(0)).ppm() < 900_000, hit, "{happened}");
    }
}

#[test]
fn times_that_are_over_or_not_yet_are_refused() {
    let mut twin = Twin::new(&[900_000, 300_000]);
    twin.model.now = 5;
    assert_eq!(refused(twin.vouch(0, (0, 1), 1, 5)), "Past");
    twin.vouch(0, (0, 1), 1, 6).unwrap();
    assert_eq!(refused(twin.slash(&offence(1, 6))), "Future");
    let quarantine = |until| Command::Quarantine { agent: did(0), until: Timestamp(until) };
    assert_eq!(refused(twin.give(&quarantine(5))), "Past");
    twin.give(&quarantine(6)).unwrap();
    assert_eq!(twin.give(&quarantine(6)), Ok(vec![]), "as long as it is already");
    assert_eq!(twin.ledger.quarantined(&did(0), Timestamp(5)), Some(Quarantine::Until(Timestamp(6))));
    assert_eq!(twin.ledger.quarantined(&did(0), Timestamp(6)), None);
}

#[test]
fn a_charge_is_carried_out_after_the_last_nanosecond_of_grace_or_by_a_ruling() {
    let mut twin = Twin::new(&[900_000, 300_000]);
    twin.charge(&offence(1, 0)).unwrap();
    assert_eq!(twin.ledger.quarantined(&did(1), twin.now()), Some(Quarantine::Charged));
    twin.model.now = GRACE - 1;
    let until = Timestamp(GRACE);
    let ripe = |twin: &Twin, now| twin.ledger.ripe(Timestamp(now)).count();
    assert_eq!((twin.ledger.next_ripe(), ripe(&twin, GRACE - 1), ripe(&twin, GRACE)), (Some(until), 0, 1));
    let case = twin.ledger.case(&digest(1)).unwrap();
    assert_eq!((case.until, twin.ledger.case(&digest(2))), (until, None));
    assert_eq!(twin.uphold(1), Err(Denial::GraceRunning { evidence: digest(1), until }));
    let mut disputed = twin.clone();
    disputed.dispute(1).unwrap();
    assert_eq!((disputed.ledger.next_ripe(), ripe(&disputed, GRACE)), (None, 0));
    let mut restored = disputed.clone();
    restored.restore();
    assert_eq!(restored.ledger.next_ripe(), None);
    disputed.uphold(1).unwrap();
    let mut restored = twin.clone();
    restored.restore();
    assert_eq!((restored.ledger.next_ripe(), ripe(&restored, GRACE)), (Some(until), 1));
    let mut dropped = twin.clone();
    dropped.dismiss(1).unwrap();
    twin.model.now = GRACE;
    twin.uphold(1).unwrap();
    for over in [&twin, &dropped] {
        assert_eq!((over.ledger.next_ripe(), ripe(over, GRACE)), (None, 0));
    }
    for ledger in [&twin.ledger, &disputed.ledger] {
        assert_eq!(ledger.reputation(&did(1)), Sigma::ZERO);
        assert_eq!(ledger.quarantined(&did(1), until), Some(Quarantine::UntilRehabilitated));
    }
}

/// A dispute takes as long as it takes: what would have been paid back meanwhile is held, in the session of
/// the charge and nowhere else, and is paid back the moment after the charge is dropped.
#[test]
fn a_charge_holds_the_bonds_of_its_session() {
    let mut twin = Twin::new(&[900_000, 300_000]);
    for session in [0, 1] {
        twin.vouch(session, (0, 1), 200_000, 10 * SECOND).unwrap();
    }
    twin.charge(&offence(1, 0)).unwrap();
    twin.dispute(1).unwrap();
    twin.wait(1000 * SECOND);
    let bonded = |twin: &Twin| twin.ledger.account(&did(0), twin.now()).unwrap().bonded.ppm();
    assert_eq!(bonded(&twin), 200_000);
    let mut dropped = twin.clone();
    dropped.dismiss(1).unwrap();
    assert_eq!(bonded(&dropped), 200_000);
    dropped.wait(1);
    assert_eq!(bonded(&dropped), 0);
    dropped.give(&Command::Settle).unwrap();
    assert_eq!(dropped.ledger.bond_count(), 0);
    assert_eq!(refused(dropped.slash(&offence(1, 0))), "Dismissed");
    twin.uphold(1).unwrap();
    assert_eq!(twin.ledger.reputation(&did(0)).ppm(), 900_000 - 190_000);
    twin.compare();
}

/// What is left of a bond that answered while a charge held it is locked for its whole time, also where the
/// charge is dropped before.
#[test]
fn l13_a_charge_that_is_dropped_frees_no_bond_early() {
    let mut twin = Twin::new(&[900_000, 300_000]);
    twin.vouch(0, (0, 1), 200_000, 10 * SECOND).unwrap();
    twin.charge(&offence(1, 0)).unwrap();
    twin.wait(1000 * SECOND);
    twin.give(&Command::Settle).unwrap();
    twin.slash(&Offence { evidence: 2, ..offence(1, 0) }).unwrap();
    twin.wait(10 * SECOND);
    twin.dismiss(1).unwrap();
    let bonded = |twin: &Twin| twin.ledger.account(&did(0), twin.now()).unwrap().bonded.ppm();
    for (later, left) in [(1, 10_000), (UNBONDING - 10 * SECOND - 2, 10_000), (1, 0)] {
        twin.wait(later);
        assert_eq!(bonded(&twin), left, "{later}");
        twin.compare();
    }
}

#[test]
fn a_fall_below_the_minimum_cascades_and_one_to_it_does_not() {
    // Ada vouches for Bob, Bob for Cy; a bond of 0.2 loses 0.19 for what cannot be undone.
    for (rho, falls) in [(690_000, false), (689_999, true)] {
        let mut twin = Twin::new(&[900_000, rho, 100_000]);
        twin.vouch(0, (0, 1), 200_000, NEVER).unwrap();
        twin.vouch(0, (1, 2), 200_000, NEVER).unwrap();
        twin.slash(&offence(2, 0)).unwrap();
        assert_eq!(twin.ledger.reputation(&did(1)).ppm(), rho as u32 - 190_000);
        let ada = 900_000 - twin.ledger.reputation(&did(0)).ppm();
        assert_eq!(ada, if falls { 95_000 } else { 0 }, "{rho}");
    }
}

/// Eve, three vouchers away from the offender, loses a quarter; a fourth one nothing.
#[test]
fn l11_a_cascade_ends_after_two_levels() {
    let mut twin = Twin::new(&[600_000, 600_000, 600_000, 600_000, 600_000, 100_000]);
    for voucher in 0..5 {
        twin.vouch(0, (voucher, voucher + 1), 400_000, NEVER).unwrap();
    }
    twin.slash(&offence(5, 0)).unwrap();
    let left: Vec<u32> = (0..6).map(|agent| twin.ledger.reputation(&did(agent)).ppm()).collect();
    assert_eq!(left, [600_000, 600_000, 505_000, 410_000, 220_000, 0]);
}

#[test]
fn a_policy_that_holds_nobody_liable_is_refused() {
    let default = VouchPolicy::default();
    let mut ledger = Ledger::default();
    let mut set = |policy| {
        let events = ledger.decide(&Command::Configure(policy), Timestamp(0))?;
        events.iter().for_each(|event| ledger.apply(event).unwrap());
        Ok(events.len())
    };
    let short = UNBONDING_MIN - Duration::from_nanos(1);
    assert_eq!(
        set(VouchPolicy { unbonding: short, ..default }),
        Err(Denial::UnfitPolicy(UnfitPolicy::Unbonding { given: short }))
    );
    let rising = Weights { partial: Share::from_ppm(800_001).unwrap(), ..default.weights };
    assert_eq!(
        set(VouchPolicy { weights: rising, ..default }),
        Err(Denial::UnfitPolicy(UnfitPolicy::Weights { weights: rising }))
    );
    let flat = Weights { partial: default.weights.full, none: default.weights.full, ..default.weights };
    assert_eq!(set(default), Ok(0));
    assert_eq!(set(VouchPolicy { unbonding: UNBONDING_MIN, weights: flat, ..default }), Ok(1));
    assert_eq!(set(VouchPolicy::reference()), Ok(1));
}

#[test]
fn a_policy_does_not_change_while_it_binds() {
    let mut twin = Twin::new(&[900_000, 300_000]);
    twin.vouch(0, (0, 1), 1, NEVER).unwrap();
    let other = Command::Configure(VouchPolicy { deny_after: 9, ..policy() });
    assert_eq!(twin.give(&other), Err(Denial::PolicyBinds { bonds: 1, charges: 0 }));
    twin.release(0).unwrap();
    assert_eq!(twin.give(&other), Err(Denial::PolicyBinds { bonds: 1, charges: 0 }));
    twin.wait(UNBONDING);
    twin.give(&Command::Settle).unwrap();
    twin.charge(&offence(1, 0)).unwrap();
    assert_eq!(twin.give(&other), Err(Denial::PolicyBinds { bonds: 0, charges: 1 }));
    twin.dismiss(1).unwrap();
    twin.give(&other).unwrap();
}

#[test]
fn an_account_opens_with_what_its_source_may_say() {
    for (source, sigma_given, rho) in [
        (Source::Asserted, 1_000_000, 1_000_000),
        (Source::Scored, 850_000, 850_000),
        (Source::Hint, 599_999, 599_999),
        (Source::Hint, 600_001, 600_000),
        (Source::Unknown, 900_000, 0),
    ] {
        let mut twin = Twin::new(&[]);
        let give = |source, ppm| Command::Endow { agent: did(0), sigma: sigma(ppm), source };
        twin.give(&give(source, sigma_given)).unwrap();
        assert_eq!(u64::from(twin.ledger.reputation(&did(0)).ppm()), rho, "{source:?}");
        // For a known agent nothing changes; of one of which nothing was known, something can become known.
        twin.give(&give(Source::Asserted, 700_000)).unwrap();
        let then = if source == Source::Unknown { 700_000 } else { rho };
        assert_eq!(u64::from(twin.ledger.reputation(&did(0)).ppm()), then, "{source:?}");
        assert_eq!(twin.ledger.totals().endowed, then);
    }
}

/// An agent of which nothing is known cannot shed a slash by becoming known.
#[test]
fn a_slashed_stranger_is_not_endowed_again() {
    let mut twin = Twin::new(&[900_000]);
    twin.endow(1, 0, 3).unwrap();
    twin.slash(&offence(1, 0)).unwrap();
    assert_eq!(twin.endow(1, 900_000, 0).unwrap(), []);
    assert_eq!(twin.ledger.reputation(&did(1)), Sigma::ZERO);
}

#[test]
fn gains_are_limited_by_day_and_ceiling() {
    let mut twin = Twin::new(&[500_000]);
    let earn = |twin: &mut Twin, amount, ceiling| {
        let before = twin.ledger.reputation(&did(0)).ppm();
        let command = Command::Earn { agent: did(0), amount: sigma(amount), ceiling: sigma(ceiling) };
        twin.give(&command).unwrap();
        twin.ledger.reputation(&did(0)).ppm() - before
    };
    assert_eq!(earn(&mut twin, 49_999, 1_000_000), 49_999);
    assert_eq!(earn(&mut twin, 2, 1_000_000), 1);
    assert_eq!(earn(&mut twin, 2, 1_000_000), 0);
    twin.model.now = 86_400 * SECOND - 1;
    assert_eq!(earn(&mut twin, 1, 1_000_000), 0);
    twin.model.now += 1;
    assert_eq!(earn(&mut twin, 50_001, 1_000_000), 50_000);
    twin.model.now += 86_400 * SECOND;
    assert_eq!(earn(&mut twin, 50_000, 600_001), 1);
    assert_eq!(earn(&mut twin, 50_000, 550_000), 0);
}

/// What was earned on a day is known after a restart, and until the day is over.
#[test]
fn gains_of_a_day_are_in_its_snapshot() {
    let mut twin = Twin::new(&[500_000]);
    let day = 86_400 * SECOND;
    for today in [20_000, 65_535] {
        twin.model.now = today * day + 1;
        let earn = Command::Earn { agent: did(0), amount: sigma(50_000), ceiling: Sigma::ONE };
        assert_eq!(twin.give(&earn).unwrap().len(), 1);
        twin.restore();
        let kept = twin.events.iter().find_map(|row| match row {
            Event::AccountKept { account } => Some(u64::from(account.gain_day)),
            _ => None,
        });
        assert_eq!(kept, Some(today));
        twin.model.now = today * day + day - 1;
        assert_eq!(twin.give(&earn), Ok(vec![]));
    }
}

#[test]
fn l1_decay_stops_at_what_is_bonded() {
    let mut twin = Twin::new(&[900_000, 1]);
    twin.vouch(0, (0, 1), 700_000, NEVER).unwrap();
    let decay = |amount| Command::Decay { agent: did(0), amount: sigma(amount) };
    twin.give(&decay(199_999)).unwrap();
    twin.give(&decay(500_000)).unwrap();
    assert_eq!(twin.ledger.reputation(&did(0)).ppm(), 700_000);
    assert_eq!(twin.give(&decay(1)).unwrap(), []);
    assert_eq!(twin.ledger.totals().decayed, 200_000);
}

#[test]
fn admission_at_its_boundaries() {
    use hv_liability::{Admission, Concern};
    let mut twin = Twin::new(&[900_000, 900_000]);
    let ask = |twin: &Twin| twin.ledger.risk_profile(&did(1), twin.now());
    assert_eq!(ask(&twin).admission(), Admission::Admit);
    for times in 1..=3u32 {
        let evidence = u8::try_from(times).unwrap();
        twin.slash(&Offence { evidence, fault: 100_000, ..offence(1, 0) }).unwrap();
        assert_eq!(ask(&twin).admission(), Admission::Deny);
        assert!(ask(&twin).concerns.contains(&Concern::Quarantined));
        twin.rehabilitate(1, 900_000).unwrap();
        let (concern, admission) = if times < 3 {
            (Concern::Slashed { times }, Admission::Probation)
        } else {
            (Concern::SlashedOften { times, most: 3 }, Admission::Deny)
        };
        assert_eq!((ask(&twin).concerns, ask(&twin).admission()), (vec![concern], admission));
    }
    // A loss leaves Ada with more bonded than she could bond now.
    twin.vouch(0, (0, 1), 720_000, NEVER).unwrap();
    assert_eq!(twin.ledger.risk_profile(&did(1), twin.now()).backers, 1);
    twin.slash(&Offence { evidence: 9, class: Some(Class::Partial), risk: Some(0), ..offence(1, 0) })
        .unwrap();
    let (bonded, limit) = (sigma(468_000), sigma(518_400));
    assert_eq!(twin.ledger.account(&did(0), twin.now()).unwrap().bonded, bonded);
    assert_eq!(twin.ledger.matrix(twin.now()).exposure(&did(0)).unwrap().limit, limit);
    let mut decayed = twin.clone();
    decayed.give(&Command::Decay { agent: did(0), amount: sigma(120_000) }).unwrap();
    let concern = Concern::Overextended { bonded, limit: sigma(422_400) };
    assert_eq!(decayed.ledger.risk_profile(&did(0), decayed.now()).concerns, [concern]);
    assert_eq!(twin.ledger.risk_profile(&did(0), twin.now()).concerns, []);
    let mut hinted = Twin::new(&[]);
    hinted.endow(0, 500_000, 2).unwrap();
    hinted.endow(1, 0, 3).unwrap();
    let concerns = |agent| hinted.ledger.risk_profile(&did(agent), hinted.now()).concerns;
    assert_eq!([concerns(0), concerns(1)], [vec![Concern::Unattested], vec![Concern::NoHistory]]);
}

/// Of two bonds for the same agent that end at the same time, in two sessions, each counts where it is.
#[test]
fn a_bond_that_is_over_is_over_in_its_own_session() {
    let mut twin = Twin::new(&[900_000, 100_000]);
    twin.vouch(0, (0, 1), 100_000, 10 * SECOND).unwrap();
    twin.vouch(1, (0, 1), 200_000, 20 * SECOND).unwrap();
    twin.vouch(1, (0, 1), 50_000, NEVER).unwrap();
    let backing = |now, session| twin.ledger.backing(&did(1), SessionNo(session), Timestamp(now * SECOND));
    assert_eq!([backing(9, 0), backing(9, 1)], [100_000, 250_000]);
    assert_eq!([backing(10, 0), backing(10, 1)], [0, 250_000]);
    assert_eq!([backing(20, 0), backing(20, 1)], [0, 50_000]);
    let mut released = twin.clone();
    released.release(1).unwrap();
    let backing = |now| released.ledger.backing(&did(1), SessionNo(1), Timestamp(now * SECOND));
    assert_eq!([backing(0), backing(60), backing(70)], [50_000; 3]);
}
