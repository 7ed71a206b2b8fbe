//! Failures seen in systems of this kind, each of which would fail a test here.

use crate::model::{Class, NEVER, Offence, SECOND, UNBONDING};
use crate::twin::{Twin, did, name, policy, sigma};
use hv_liability::{Command, Event, Ledger, SessionNo, Source, Stake, VouchOrder, VouchPolicy, checks};
use hv_types::{Did, Machine, Sigma, Timestamp};
use std::sync::Mutex;

fn offence(agent: usize, evidence: u8, happened: u64) -> Offence {
    let (session, fault, class) = (Some(0), 1_000_000, Some(Class::None));
    Offence { evidence, agent, session, fault, class, risk: None, happened }
}

/// F10: a slash is of the ledger itself, in every session and for good.
#[test]
fn f10_a_slash_takes_reputation_everywhere() {
    let mut twin = Twin::new(&[900_000, 800_000]);
    twin.vouch(1, (0, 1), 200_000, NEVER).unwrap();
    twin.slash(&offence(1, 1, 0)).unwrap();
    for session in [0, 1, 99] {
        assert_eq!(twin.ledger.standing_sigma(&did(1), SessionNo(session), twin.now()), Sigma::ZERO);
    }
    twin.wait(1000 * SECOND);
    assert_eq!(twin.ledger.standing_sigma(&did(1), SessionNo(99), twin.now()), Sigma::ZERO);
    assert_eq!(twin.endow(1, 900_000, 0).unwrap(), []);
    twin.rehabilitate(1, 0).unwrap();
    assert_eq!(twin.ledger.standing_sigma(&did(1), SessionNo(99), twin.now()), Sigma::ZERO);
    twin.restore();
    assert_eq!(twin.ledger.reputation(&did(1)), Sigma::ZERO);
}

/// F11: ten sessions do not make ten limits.
#[test]
fn f11_exposure_counts_all_sessions() {
    let mut twin = Twin::new(&[900_000, 100_000]);
    let made = (0..10).filter(|&session| twin.vouch(session, (0, 1), 360_000, NEVER).is_ok()).count();
    assert_eq!(made, 2);
    assert_eq!(twin.ledger.account(&did(0), twin.now()).unwrap().bonded, sigma(720_000));
}

/// F12: neither releasing a bond nor letting it expire before the slash escapes it.
#[test]
fn f12_a_bond_ended_before_the_slash_answers() {
    for how in 0..4 {
        let mut twin = Twin::new(&[900_000, 300_000]);
        twin.vouch(0, (0, 1), 360_000, if how == 1 { 5 * SECOND } else { NEVER }).unwrap();
        twin.wait(5 * SECOND);
        match how {
            0 => drop(twin.release(0).unwrap()),
            1 => {}
            2 => drop(twin.give(&Command::ReleaseSession { session: SessionNo(0) }).unwrap()),
            // The voucher is slashed itself, which ends its bonds.
            _ => drop(twin.slash(&Offence { fault: 1, session: None, ..offence(0, 9, 0) }).unwrap()),
        }
        twin.wait(UNBONDING - 1);
        let before = twin.ledger.reputation(&did(0)).ppm();
        let answer = twin.ledger.preview_slash(&crate::twin::order(&offence(1, 1, 0)), twin.now()).unwrap();
        let burned: u32 = answer.cuts.iter().map(|cut| cut.burned.ppm()).sum();
        assert_eq!(burned, 342_000, "{how}");
        twin.give(&Command::Slash(crate::twin::order(&offence(1, 1, 0)))).unwrap();
        assert_eq!(before - twin.ledger.reputation(&did(0)).ppm(), 342_000, "{how}");
    }
}

/// F13: a cascade takes what the bonds hold, and a slash lifts nobody, also under the preset with its floor.
#[test]
fn f13_a_cascaded_voucher_keeps_what_was_not_bonded_and_nobody_gains() {
    let mut twin = Twin::new(&[600_000, 520_000, 100_000]);
    twin.vouch(0, (0, 1), 480_000, NEVER).unwrap();
    twin.vouch(0, (1, 2), 416_000, NEVER).unwrap();
    let low: Vec<Sigma> = (0..2).map(|agent| twin.ledger.sigma_low(&did(agent), twin.now())).collect();
    twin.slash(&offence(2, 1, 0)).unwrap();
    for (agent, low) in low.into_iter().enumerate() {
        assert_eq!(twin.ledger.sigma_low(&did(agent), twin.now()), low);
        assert!(twin.ledger.reputation(&did(agent)) >= low);
    }

    let mut ledger = Ledger::default();
    let give = |ledger: &mut Ledger, command: Command| {
        let events = ledger.decide(&command, Timestamp(0)).unwrap();
        events.iter().for_each(|event| ledger.apply(event).unwrap());
    };
    give(&mut ledger, Command::Configure(VouchPolicy::reference()));
    for (agent, rho) in [510_000, 500_000, 500_000].into_iter().enumerate() {
        give(&mut ledger, Command::Endow { agent: did(agent), sigma: sigma(rho), source: Source::Asserted });
    }
    for (voucher, vouchee) in [(0, 1), (1, 2)] {
        let (voucher, vouchee, stake) = (did(voucher), did(vouchee), Stake::Amount(sigma(20_000)));
        let order = VouchOrder { session: SessionNo(0), voucher, vouchee, stake, expires: None };
        give(&mut ledger, Command::Vouch(order));
    }
    // Bob is below the floor already when it is Cy's turn.
    give(&mut ledger, Command::Decay { agent: did(1), amount: sigma(460_000) });
    assert_eq!(ledger.reputation(&did(1)), sigma(40_000));
    give(&mut ledger, Command::Slash(crate::twin::order(&offence(2, 1, 0))));
    assert_eq!(ledger.reputation(&did(1)), sigma(40_000), "neither lifted to the floor nor below it");
    assert!(ledger.reputation(&did(0)) >= sigma(50_000));
    assert!(ledger.reputation(&did(0)) < sigma(510_000), "it cascaded");
}

/// F22: what is asked costs what is there in that session, and what is over leaves nothing.
#[test]
fn f22_ended_bonds_leave_nothing_behind() {
    let mut ledger = Ledger::default();
    let give = |ledger: &mut Ledger, command: &Command, now| {
        let events = ledger.decide(command, Timestamp(now)).unwrap();
        events.iter().for_each(|event| ledger.apply(event).unwrap());
        events
    };
    give(&mut ledger, &Command::Configure(policy()), 0);
    for agent in 0..2 {
        give(
            &mut ledger,
            &Command::Endow { agent: did(agent), sigma: sigma(900_000), source: Source::Scored },
            0,
        );
    }
    let mut sizes = Vec::new();
    for round in 0..2000u32 {
        let now = u64::from(round) * (UNBONDING + SECOND);
        let (voucher, vouchee, stake) = (did(0), did(1), Stake::Default);
        let order = VouchOrder { session: SessionNo(round), voucher, vouchee, stake, expires: None };
        let events = give(&mut ledger, &Command::Vouch(order), now);
        let Some(Event::Vouched { bond, .. }) = events.last() else { panic!("{events:?}") };
        // The place of the last bond is used again, under another number.
        assert_eq!((bond.slot, bond.turn), (0, round));
        give(&mut ledger, &Command::ReleaseSession { session: SessionNo(round) }, now);
        sizes.push(ledger.compact().len());
    }
    assert!(sizes.iter().all(|&size| size == sizes[0]), "{sizes:?}");
    assert_eq!(ledger.bond_count(), 1);
}

/// F23, as far as a machine can: whoever runs it decides and applies under one lock, and then no
/// interleaving breaks anything.
#[test]
fn f23_threads_exceed_no_exposure_close_no_cycle_and_lose_nothing() {
    let threads = if std::env::var_os("HV_DEEP").is_some() { 64 } else { 8 };
    let rounds: u64 = if std::env::var_os("HV_DEEP").is_some() { 1_000_000 / 64 } else { 500 };
    let agents: Vec<Did> = (0..40).map(|no| Did::new(&format!("did:mesh:n{no}")).unwrap()).collect();
    let ledger = Mutex::new(Ledger::default());
    for agent in &agents {
        let command =
            Command::Endow { agent: agent.clone(), sigma: sigma(900_000), source: Source::Asserted };
        run(&mut ledger.lock().unwrap(), &command, 0);
    }
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (ledger, agents) = (&ledger, &agents);
            scope.spawn(move || {
                let mut seed = thread + 1;
                let mut random = move |below: usize| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    usize::try_from(seed % below as u64).unwrap()
                };
                for round in 0..rounds {
                    let (a, b) = (agents[random(40)].clone(), agents[random(40)].clone());
                    let session = SessionNo(u32::try_from(random(4)).unwrap());
                    let mut held = ledger.lock().unwrap();
                    let command = match random(20) {
                        0 => Command::ReleaseSession { session },
                        1 => {
                            let mut order = crate::twin::order(&offence(0, 0, 0));
                            (order.agent, order.session) = (a, Some(session));
                            order.evidence.0[..8].copy_from_slice(&(thread << 32 | round).to_le_bytes());
                            Command::Slash(order)
                        }
                        2..6 => Command::Rehabilitate { agent: a, sigma: sigma(900_000) },
                        _ => {
                            let stake = Stake::Amount(sigma(1 + random(200_000) as u64));
                            Command::Vouch(VouchOrder {
                                session,
                                voucher: a,
                                vouchee: b,
                                stake,
                                expires: None,
                            })
                        }
                    };
                    let before = matches!(command, Command::Slash(_)).then(|| held.clone());
                    for event in run(&mut held, &command, 0) {
                        if let (Event::Slashed { slashed }, Some(before), 0) = (&event, &before, round % 16) {
                            checks::slash(before, &held, slashed).unwrap();
                        }
                    }
                }
            });
        }
    });
    let mut ledger = ledger.into_inner().unwrap();
    checks::ledger(&ledger, Timestamp(0)).unwrap();
    assert!(ledger.bond_count() > 20, "{}", ledger.bond_count());
    for session in 0..4 {
        run(&mut ledger, &Command::ReleaseSession { session: SessionNo(session) }, NEVER / 4);
    }
    run(&mut ledger, &Command::Settle, NEVER / 2);
    assert_eq!(ledger.bond_count(), 0);
    checks::ledger(&ledger, Timestamp(NEVER / 2)).unwrap();
    let at_rest =
        ledger.agents().all(|did| ledger.sigma_low(did, Timestamp(NEVER / 2)) == ledger.reputation(did));
    assert!(at_rest);
}

fn run(ledger: &mut Ledger, command: &Command, now: u64) -> Vec<Event> {
    let events = ledger.decide(command, Timestamp(now)).unwrap_or_default();
    events.iter().for_each(|event| ledger.apply(event).unwrap());
    events
}

/// F5, on the ledger's side: what is no fraction does not get in, as a number or as bytes.
#[test]
fn f5_no_reputation_is_nan_or_out_of_range() {
    use hv_types::Wire;
    for bad in [f64::NAN, f64::INFINITY, -5.0, 42.0, 1.000_001] {
        assert!(Sigma::try_from(bad).is_err(), "{bad}");
    }
    let event = Event::Earned { agent: hv_liability::AgentNo(0), amount: sigma(1_000_000), at: Timestamp(0) };
    let mut bytes = event.to_bytes();
    assert_eq!(bytes[2..5], [0xc0, 0x84, 0x3d]);
    bytes[2] += 1;
    assert!(Event::from_bytes(&bytes).is_err());
    let mut twin = Twin::new(&[990_000]);
    let too_much = Event::Rehabilitated { agent: hv_liability::AgentNo(0), added: sigma(10_001) };
    assert!(twin.ledger.apply(&too_much).is_err());
    assert_eq!(twin.ledger.reputation(&did(0)), sigma(990_000));
    assert_eq!(name(&twin.rehabilitate(0, 990_000).unwrap_err()), "NothingToRehabilitate");
}
