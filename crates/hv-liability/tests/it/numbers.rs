//! The published numbers, as tables.

use crate::model::{Class, NEVER, Offence, SECOND};
use crate::twin::{Twin, did, digest, sigma};
use hv_liability::{
    Command, Denial, Ledger, SessionNo, SlashOrder, SlashReason, Source, Stake, VouchOrder, VouchPolicy,
    lifted,
};
use hv_types::{Machine, Reversibility, RiskWeight, Share, Sigma, Solo, Timestamp};

const NOW: Timestamp = Timestamp(1);
const SESSION: SessionNo = SessionNo(2);

fn ppm(text: &str) -> u32 {
    text.parse::<Sigma>().unwrap().ppm()
}

fn share(text: &str) -> Share {
    text.parse().unwrap()
}

/// A ledger under the preset, with these reputations.
fn reference(reputations: &[&str]) -> Solo<Ledger> {
    let mut ledger = Solo::<Ledger>::default();
    ledger.run(&Command::Configure(VouchPolicy::reference()), NOW).unwrap();
    for (agent, rho) in reputations.iter().enumerate() {
        let command =
            Command::Endow { agent: did(agent), sigma: rho.parse().unwrap(), source: Source::Asserted };
        ledger.run(&command, NOW).unwrap();
    }
    ledger
}

fn vouch(voucher: usize, vouchee: usize, stake: Stake) -> Command {
    let (voucher, vouchee) = (did(voucher), did(vouchee));
    Command::Vouch(VouchOrder { session: SESSION, voucher, vouchee, stake, expires: None })
}

fn amount(text: &str) -> Stake {
    Stake::Amount(text.parse().unwrap())
}

fn slash(agent: usize, risk: &str) -> Command {
    Command::Slash(SlashOrder {
        evidence: digest(7),
        agent: did(agent),
        session: Some(SESSION),
        fault: Share::ONE,
        class: Some(Reversibility::Partial),
        risk: Some(risk.parse::<RiskWeight>().unwrap()),
        happened: NOW,
        reason: SlashReason::Manual,
    })
}

#[test]
fn sigma_eff_is_low_plus_omega_times_bonded_and_at_most_1() {
    for (low, omega, bonds, eff) in [
        ("0.3", "0.2", &["0.45"][..], "0.39"),
        ("0.1", "0.5", &["0.40", "0.30"], "0.45"),
        ("0.7", "0.2", &[], "0.7"),
        ("0.9", "0.8", &["0.5"], "1"),
        ("0.6", "0.8", &["0.5"], "1"),
        ("0.599999", "0.8", &["0.5"], "0.999999"),
        ("0", "0.5", &["0.000001"], "0"),
        ("0", "0.5", &["0.000003"], "0.000001"),
    ] {
        let sum = bonds.iter().map(|bond| u64::from(ppm(bond))).sum();
        assert_eq!(lifted(low.parse().unwrap(), share(omega), sum), eff.parse().unwrap(), "{low} {omega}");
        // And so it comes out of a ledger.
        let mut ledger = reference(&["0.9", "0.8", low]);
        for (voucher, bond) in bonds.iter().enumerate() {
            ledger.run(&vouch(voucher, 2, amount(bond)), NOW).unwrap();
        }
        let ours = ledger.state().sigma_eff_weighted(&did(2), SESSION, share(omega), NOW);
        assert_eq!(ours, eff.parse().unwrap());
    }
    assert_eq!(lifted(Sigma::ONE, Share::ONE, u64::MAX), Sigma::ONE);
}

/// However much was bonded: what is added is exactly ω of it, rounded down, computed here with 128 bits.
#[test]
fn no_sum_of_bonds_is_too_large_for_sigma_eff() {
    for bonded in
        [0, 1, 999_999, 1_000_000, 1_000_001, 1_999_999, 2_500_000, 123_456_789, u64::MAX - 1, u64::MAX]
    {
        for omega in [0, 1, 3, 200_000, 333_333, 500_000, 999_999, 1_000_000] {
            for low in [0, 1, 300_000, 1_000_000] {
                let exact = u128::from(low) + u128::from(bonded) * u128::from(omega) / 1_000_000;
                let expected = Sigma::from_ppm(u32::try_from(exact.min(1_000_000)).unwrap()).unwrap();
                let found = lifted(Sigma::from_ppm(low).unwrap(), Share::from_ppm(omega).unwrap(), bonded);
                assert_eq!(found, expected, "{low} + {omega} of {bonded}");
            }
        }
    }
}

#[test]
fn the_default_bond_is_a_fifth() {
    for (rho, bond) in [("0.8", "0.16"), ("0.5", "0.1"), ("1", "0.2"), ("0.500004", "0.1")] {
        let ledger = reference(&[rho, "0.1"]);
        let Command::Vouch(order) = vouch(0, 1, Stake::Default) else { continue };
        let preview = ledger.state().preview_vouch(&order, NOW).unwrap();
        assert_eq!(preview.bond, bond.parse().unwrap(), "{rho}");
    }
}

/// 0.75 that bonds a fifth keeps 0.60, which is not above the threshold of Ring 2.
#[test]
fn a_vouch_is_previewed_exactly() {
    let mut twin = Twin::new(&[750_000, 400_000, 300_000]);
    let Command::Vouch(mut order) = vouch(0, 1, Stake::Default) else { return };
    order.session = SessionNo(0);
    let preview = twin.ledger.preview_vouch(&order, twin.now()).unwrap();
    assert_eq!((preview.voucher_before.full, preview.voucher_after.full), (sigma(750_000), sigma(600_000)));
    assert_eq!((preview.vouchee_before.full, preview.vouchee_after.full), (sigma(400_000), sigma(520_000)));
    assert_eq!((preview.vouchee_after.partial, preview.vouchee_after.none), (sigma(452_500), sigma(407_500)));
    assert_eq!(preview.capacity_after, sigma(450_000));
    twin.vouch(0, (0, 1), 150_000, NEVER).unwrap();
    let (ledger, now) = (&twin.ledger, twin.now());
    for (class, voucher, vouchee) in [
        (Reversibility::Full, preview.voucher_after.full, preview.vouchee_after.full),
        (Reversibility::Partial, preview.voucher_after.partial, preview.vouchee_after.partial),
        (Reversibility::None, preview.voucher_after.none, preview.vouchee_after.none),
    ] {
        assert_eq!(ledger.sigma_eff(&did(0), SessionNo(0), class, now), voucher);
        assert_eq!(ledger.sigma_eff(&did(1), SessionNo(0), class, now), vouchee);
    }
    assert_eq!(ledger.standing_sigma(&did(1), SessionNo(0), now), preview.vouchee_after.full);
    assert_eq!(ledger.capacity(&did(0), now), preview.capacity_after);
    // What is refused has no preview.
    (order.voucher, order.vouchee) = (did(1), did(0));
    assert_eq!(
        ledger.preview_vouch(&order, now),
        Err(Denial::BelowMinimum { agent: did(1), reputation: sigma(400_000), minimum: sigma(500_000) })
    );
}

#[test]
fn the_preset_clips_as_the_python_package_does() {
    for (omega, cases) in [
        ("0.5", &[("0.9", "0.45")][..]),
        ("0.3", &[("0.8", "0.56"), ("0.7", "0.49")]),
        ("0.95", &[("0.9", "0.05")]),
    ] {
        for (before, after) in cases {
            let mut ledger = reference(&[before, "0.6"]);
            ledger.run(&vouch(0, 1, amount("0.1")), NOW).unwrap();
            ledger.run(&slash(1, omega), NOW).unwrap();
            assert_eq!(ledger.state().reputation(&did(0)), after.parse().unwrap(), "{before} at {omega}");
            assert_eq!(ledger.state().reputation(&did(1)), Sigma::ZERO);
        }
    }
}

/// A voucher cannot come below the floor, and one that is below it already is not lifted to it: 0.06 at 0.95
/// comes to 0.05, and 0.04 stays. (Both get so low only after they vouched.)
#[test]
fn the_preset_never_clips_below_its_floor_nor_lifts_to_it() {
    for (low, after) in [("0.06", "0.05"), ("0.05", "0.05"), ("0.04", "0.04")] {
        let mut ledger = reference(&["0.5", "0.6"]);
        ledger.run(&vouch(0, 1, amount("0.01")), NOW).unwrap();
        let decay = Sigma::from_ppm(ppm("0.5") - ppm(low)).unwrap();
        ledger.run(&Command::Decay { agent: did(0), amount: decay }, NOW).unwrap();
        ledger.run(&slash(1, "0.95"), NOW).unwrap();
        assert_eq!(ledger.state().reputation(&did(0)), after.parse().unwrap(), "{low}");
    }
}

/// A voucher is clipped once a slash, by the whole weight where it backs the offender itself, whatever else it
/// backs: Ada backs Cy, and Bob, who falls and backs Cy too.
#[test]
fn the_preset_clips_a_voucher_once() {
    let mut ledger = reference(&["0.9", "0.5", "0.6"]);
    for (voucher, vouchee, bond) in [(0, 1, "0.1"), (0, 2, "0.1"), (0, 2, "0.2"), (1, 2, "0.1")] {
        ledger.run(&vouch(voucher, vouchee, amount(bond)), NOW).unwrap();
    }
    ledger.run(&slash(2, "0.9"), NOW).unwrap();
    assert_eq!(ledger.state().reputation(&did(1)), "0.05".parse().unwrap());
    assert_eq!(ledger.state().reputation(&did(0)), "0.09".parse().unwrap());
    // What Ada bonded is more than she has left; it burns down to that.
    assert_eq!(ledger.state().account(&did(0), NOW).unwrap().bonded, "0.09".parse().unwrap());
}

/// Ours, the default: the loss is the collateral, by the larger of the risk and the lift.
#[test]
fn a_bond_loses_the_larger_of_risk_and_lift() {
    for (class, risk, penalty) in [
        (Some(Class::Full), None, 800_000),
        (Some(Class::Full), Some(300_000), 800_000),
        (Some(Class::Partial), None, 650_000),
        (Some(Class::Partial), Some(800_000), 800_000),
        (Some(Class::None), None, 950_000),
        (Some(Class::None), Some(1_000_000), 1_000_000),
        (None, None, 950_000),
        (None, Some(100_000), 100_000),
    ] {
        let mut twin = Twin::new(&[900_000, 600_000]);
        twin.vouch(0, (0, 1), 333_333, NEVER).unwrap();
        let (fault, evidence) = (1, 1);
        twin.slash(&Offence { evidence, agent: 1, session: Some(0), fault, class, risk, happened: 0 })
            .unwrap();
        let burned = (333_333u64 * penalty).div_ceil(1_000_000);
        let account = twin.ledger.account(&did(0), twin.now()).unwrap();
        assert_eq!(u64::from(account.reputation.ppm()), 900_000 - burned, "{class:?} {risk:?}");
        assert_eq!(u64::from(account.bonded.ppm()), 333_333 - burned);
        assert_eq!(twin.ledger.sigma_low(&did(0), twin.now()).ppm(), 900_000 - 333_333);
        twin.wait(60 * SECOND);
        assert_eq!(u64::from(twin.ledger.sigma_low(&did(0), twin.now()).ppm()), 900_000 - burned);
    }
}

#[test]
fn the_weights_fall_as_the_risk_rises() {
    let policy = VouchPolicy::default();
    let omega =
        [Reversibility::Full, Reversibility::Partial, Reversibility::None].map(|c| policy.omega(c).ppm());
    assert_eq!(omega, [800_000, 350_000, 50_000]);
    let reference = VouchPolicy::reference();
    let omega =
        [Reversibility::Full, Reversibility::Partial, Reversibility::None].map(|c| reference.omega(c).ppm());
    assert_eq!(omega, [200_000, 650_000, 950_000]);
}

#[test]
fn an_offender_loses_its_share_of_fault_rounded_up() {
    for (rho, fault, left) in [
        (900_000, 1_000_000, 0),
        (900_000, 500_000, 450_000),
        (3, 500_000, 1),
        (1, 1, 0),
        (1_000_000, 1, 999_999),
    ] {
        let mut twin = Twin::new(&[rho]);
        let (class, risk, session) = (None, None, None);
        twin.slash(&Offence { evidence: 1, agent: 0, session, fault, class, risk, happened: 0 }).unwrap();
        assert_eq!(u64::from(twin.ledger.reputation(&did(0)).ppm()), left);
        assert_eq!(twin.ledger.totals().burned, rho - left);
    }
}

/// The machine's own interface, as a user of this crate alone has it.
#[test]
fn an_unknown_agent_has_nothing_and_is_named() {
    let ledger = Ledger::default();
    let (stranger, now) = (did(3), NOW);
    assert_eq!(ledger.sigma_eff(&stranger, SESSION, Reversibility::Full, now), Sigma::ZERO);
    assert_eq!(ledger.sigma_low(&stranger, now), Sigma::ZERO);
    assert_eq!(ledger.capacity(&stranger, now), Sigma::ZERO);
    assert_eq!(ledger.account(&stranger, now), None);
    let decay = Command::Decay { agent: stranger.clone(), amount: Sigma::ONE };
    assert_eq!(ledger.decide(&decay, now), Err(Denial::UnknownAgent { agent: stranger }));
}
