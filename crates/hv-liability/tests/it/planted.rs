//! Ten faults that a ledger of this kind could have, each with the test that catches it: `cargo xtask mutants
//! --planted` plants each, as `docs/mutants.toml` says, and sees its test fail.

use crate::model::{Class, NEVER, Offence, SECOND, UNBONDING};
use crate::twin::{Twin, did, name, order, sigma};
use hv_liability::{Cause, Command, SessionNo};
use hv_types::{NotAFraction, Reversibility, RiskWeight, Share, Sigma};

fn offence(agent: usize, class: Class) -> Offence {
    let (evidence, session, fault) = (1, Some(0), 1_000_000);
    Offence { evidence, agent, session, fault, class: Some(class), risk: None, happened: 0 }
}

/// Ada, who vouches for Bob in session 0.
fn ada_vouches() -> Twin {
    let mut twin = Twin::new(&[900_000, 600_000, 600_000]);
    twin.vouch(0, (0, 1), 360_000, NEVER).unwrap();
    twin
}

#[test]
fn planted_bond_not_locked() {
    let mut twin = ada_vouches();
    for session in [0, 1, 7] {
        assert_eq!(twin.ledger.standing_sigma(&did(0), SessionNo(session), twin.now()), sigma(540_000));
    }
    assert_eq!(twin.ledger.capacity(&did(0), twin.now()), sigma(360_000));
    // Locked too while it is unbonding.
    twin.release(0).unwrap();
    assert_eq!(twin.ledger.sigma_low(&did(0), twin.now()), sigma(540_000));
}

#[test]
fn planted_cap_per_session() {
    let mut twin = ada_vouches();
    twin.vouch(1, (0, 1), 360_000, NEVER).unwrap();
    for session in 0..4 {
        assert_eq!(name(&twin.vouch(session, (0, 1), 1, NEVER).unwrap_err()), "Exposure");
    }
}

#[test]
fn planted_cycle_check_without_unbonding() {
    let mut twin = ada_vouches();
    twin.vouch(0, (1, 2), 100_000, NEVER).unwrap();
    twin.release(0).unwrap();
    twin.release(1).unwrap();
    assert_eq!(name(&twin.vouch(1, (1, 0), 1, NEVER).unwrap_err()), "Cycle");
    assert_eq!(name(&twin.vouch(1, (2, 0), 1, NEVER).unwrap_err()), "Cycle");
    twin.wait(UNBONDING);
    twin.vouch(1, (2, 0), 1, NEVER).unwrap();
}

#[test]
fn planted_lift_rising_with_risk() {
    let twin = ada_vouches();
    let lift = |class| {
        twin.ledger.sigma_eff(&did(1), SessionNo(0), class, twin.now()).ppm()
            - twin.ledger.sigma_low(&did(1), twin.now()).ppm()
    };
    let lifts = [Reversibility::Full, Reversibility::Partial, Reversibility::None].map(lift);
    assert!(lifts[0] > lifts[1] && lifts[1] > lifts[2], "{lifts:?}");
    // What cannot be undone is never bought with borrowed trust: the most that anybody can bond for another
    // lifts by less than a twentieth.
    assert!(lifts[2] * 20 <= 360_000);
}

#[test]
fn planted_penalty_on_reputation() {
    for amount in [1, 90_000, 360_000, 720_000] {
        let mut twin = Twin::new(&[900_000, 600_000]);
        twin.vouch(0, (0, 1), amount, NEVER).unwrap();
        twin.slash(&offence(1, Class::None)).unwrap();
        let loss = 900_000 - u64::from(twin.ledger.reputation(&did(0)).ppm());
        assert_eq!(loss, (amount * 95).div_ceil(100), "of a bond of {amount}");
    }
}

/// Ada and Cy vouch for Bob; Ada vouches for Cy too. Cy falls, so Ada answers twice, whoever is looked at
/// first; and she falls only by both together, so Dee answers for her at the second level.
#[test]
fn planted_order_dependent_cascade() {
    // ρ of Ada, Bob, Cy, Dee; each bond by its voucher and vouchee.
    let edges = [((0, 1), 50_000), ((2, 1), 300_000), ((0, 2), 400_000), ((3, 0), 200_000)];
    let mut outcomes = Vec::new();
    for turn in 0..24 {
        let mut order: Vec<usize> = (0..4).collect();
        let mut rest = turn;
        for place in 0..4 {
            let pick = place + rest % (4 - place);
            rest /= 4 - place;
            order[place..=pick].rotate_right(1);
        }
        let mut twin = Twin::new(&[700_000, 300_000, 520_000, 900_000]);
        for at in order {
            let (ends, amount) = edges[at];
            twin.vouch(0, ends, amount, NEVER).unwrap();
        }
        twin.slash(&offence(1, Class::None)).unwrap();
        outcomes.push([0, 1, 2, 3].map(|agent| twin.ledger.reputation(&did(agent)).ppm()));
    }
    // 0.95 of 0.05 and of 0.3, half of that of 0.4, a quarter of 0.2.
    let expected = [700_000 - 47_500 - 190_000, 0, 520_000 - 285_000, 900_000 - 47_500];
    assert!(outcomes.iter().all(|outcome| *outcome == expected), "{outcomes:?}");
}

#[test]
fn planted_expiry_escape() {
    let mut twin = Twin::new(&[900_000, 600_000]);
    twin.vouch(0, (0, 1), 360_000, 10 * SECOND).unwrap();
    // It has expired, recorded or not.
    twin.wait(10 * SECOND + UNBONDING - 1);
    for recorded in [false, true] {
        let mut twin = twin.clone();
        if recorded {
            twin.give(&Command::Settle).unwrap();
        }
        assert_eq!(twin.ledger.backing(&did(1), SessionNo(0), twin.now()), 0);
        assert_eq!(twin.ledger.sigma_low(&did(0), twin.now()), sigma(540_000));
        twin.slash(&offence(1, Class::None)).unwrap();
        assert_eq!(twin.ledger.reputation(&did(0)), sigma(900_000 - 342_000));
    }
}

#[test]
fn planted_no_quarantine() {
    let mut twin = ada_vouches();
    twin.slash(&Offence { fault: 1, ..offence(1, Class::Full) }).unwrap();
    assert_eq!(twin.ledger.reputation(&did(1)), sigma(599_999));
    twin.wait(1_000_000 * SECOND);
    assert!(twin.ledger.quarantined(&did(1), twin.now()).is_some());
    assert_eq!(twin.ledger.standing_sigma(&did(1), SessionNo(5), twin.now()), Sigma::ZERO);
    assert_eq!(name(&twin.vouch(0, (1, 2), 1, NEVER).unwrap_err()), "Quarantined");
    assert_eq!(name(&twin.vouch(0, (2, 1), 1, NEVER).unwrap_err()), "Quarantined");
    twin.rehabilitate(1, 0).unwrap();
    assert_eq!(twin.ledger.standing_sigma(&did(1), SessionNo(5), twin.now()), sigma(599_999));
}

#[test]
fn planted_remainder_of_a_hit_bond_handed_back() {
    for released in [false, true] {
        let mut twin = ada_vouches();
        if released {
            twin.release(0).unwrap();
            twin.wait(UNBONDING - SECOND);
        }
        let low = twin.ledger.sigma_low(&did(0), twin.now());
        let toll = twin.ledger.preview_slash(&order(&offence(1, Class::Full)), twin.now()).unwrap();
        assert_eq!(toll.cuts[0].cause, Cause::Backed { depth: 0 });
        twin.slash(&offence(1, Class::Full)).unwrap();
        assert_eq!(twin.ledger.sigma_low(&did(0), twin.now()), low);
        twin.wait(UNBONDING - 1);
        assert_eq!(twin.ledger.sigma_low(&did(0), twin.now()), low);
        twin.wait(1);
        let left = 900_000 - 288_000;
        assert_eq!(twin.ledger.sigma_low(&did(0), twin.now()), sigma(left), "paid back in the end");
    }
}

/// A number that is none does not become a share of anything that the ledger deals in.
#[test]
fn planted_nan_let_through() {
    assert_eq!(Sigma::try_from(f64::NAN), Err(NotAFraction::NotFinite));
    assert_eq!(Share::try_from(f64::NAN), Err(NotAFraction::NotFinite));
    assert_eq!(RiskWeight::try_from(-f64::NAN), Err(NotAFraction::NotFinite));
    for text in ["NaN", "nan", "-nan", "inf"] {
        assert!(text.parse::<Sigma>().is_err() && text.parse::<Share>().is_err(), "{text}");
    }
}
