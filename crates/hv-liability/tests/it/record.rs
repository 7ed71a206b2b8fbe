//! What is recorded: the bytes of each event, and the events that no honest run could have written.

use crate::model::{Class, NEVER, Offence, SECOND};
use crate::twin::{Twin, did, digest, order, policy, sigma};
use hv_liability::{
    AccountKept, AgentNo, BondKept, BondNo, Case, Command, Event, Ledger, Loss, Offence as Recorded,
    SessionNo, SlashReason, Source, Standing, Toll, Totals, Verdict, VouchPolicy,
};
use hv_types::{Illegal, Machine, Share, Sigma, Timestamp, Wire};

const AT: Timestamp = Timestamp(0x0807_0605_0403_0201);

fn hex(event: &Event) -> String {
    event.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// These bytes are on disks: a change of any of them is a new version of the format.
#[test]
fn golden_bytes() {
    let (agent, bond) = (AgentNo(300), BondNo { slot: 5, turn: 1 });
    let amount = sigma(160_000);
    let offence = Recorded {
        evidence: digest(0xee),
        agent,
        session: Some(SessionNo(2)),
        fault: Share::ONE,
        class: None,
        risk: None,
        happened: AT,
        reason: SlashReason::UndoFailed,
    };
    let ee = "ee".repeat(32);
    let at = "0102030405060708";
    for (event, bytes) in [
        (
            Event::Configured { policy: Box::default() },
            "00a0c21ec09a0c80ea3080ea30b0ae15d0860300\
             80a305009\
             01c00c0cf24d0860303"
                .replace(' ', ""),
        ),
        (
            Event::Opened { agent, did: did(2), sigma: amount, source: Source::Hint },
            "01ac020b6469643a6d6573683a637980e20902".into(),
        ),
        (Event::Endowed { agent, added: amount, source: Source::Scored }, "02ac0280e20901".into()),
        (
            Event::Vouched {
                bond,
                session: SessionNo(2),
                voucher: agent,
                vouchee: AgentNo(1),
                amount,
                at: AT,
                expires: Some(Timestamp(9)),
            },
            format!("03050102ac020180e209{at}010900000000000000"),
        ),
        (Event::Released { bond, at: AT }, format!("040501{at}")),
        (Event::SessionReleased { session: SessionNo(2), at: AT }, format!("0502{at}")),
        (
            Event::Slashed {
                slashed: Box::new(hv_liability::Slashed {
                    offence: offence.clone(),
                    at: AT,
                    toll: Toll {
                        losses: vec![Loss { agent, amount }],
                        cuts: vec![hv_liability::Cut {
                            bond,
                            voucher: AgentNo(1),
                            vouchee: agent,
                            burned: amount,
                            cause: hv_liability::Cause::Backed { depth: 2 },
                        }],
                        fallen: vec![AgentNo(1)],
                    },
                }),
            },
            format!("06{ee}ac020102c0843d0000{at}02{at}01ac0280e20901050101ac0280e20900020101"),
        ),
        (Event::Elapsed { at: AT }, format!("07{at}")),
        (Event::Earned { agent, amount, at: AT }, format!("08ac0280e209{at}")),
        (Event::Decayed { agent, amount, at: AT }, format!("09ac0280e209{at}")),
        (Event::Quarantined { agent, until: AT }, format!("0aac02{at}")),
        (Event::Rehabilitated { agent, added: amount }, "0bac0280e209".into()),
        (
            Event::Charged { offence: Box::new(offence.clone()), at: AT, until: AT },
            format!("0c{ee}ac020102c0843d0000{at}02{at}{at}"),
        ),
        (Event::Disputed { evidence: digest(0xee) }, format!("0d{ee}")),
        (Event::Dismissed { evidence: digest(0xee), at: AT }, format!("0e{ee}{at}")),
        (
            Event::AccountKept {
                account: Box::new(AccountKept {
                    agent,
                    did: did(2),
                    source: Source::Unknown,
                    reputation: amount,
                    quarantine: AT,
                    slashes: 4,
                    gain_day: 300,
                    gained: Sigma::ONE,
                }),
            },
            format!("21ac020b6469643a6d6573683a63790380e209{at}04ac02c0843d"),
        ),
        (
            Event::BondKept {
                bond: Box::new(BondKept {
                    bond,
                    session: SessionNo(2),
                    voucher: agent,
                    vouchee: AgentNo(1),
                    initial: Sigma::ONE,
                    remaining: amount,
                    since: AT,
                    released: Some(AT),
                    ends: AT,
                }),
            },
            format!("22050102ac0201c0843d80e209{at}01{at}{at}"),
        ),
        (Event::SlotKept { bond }, "230501".into()),
        (Event::VerdictKept { evidence: digest(0xee), verdict: Verdict::Dismissed }, format!("24{ee}01")),
        (
            Event::CaseKept { case: Box::new(Case { offence, until: AT, standing: Standing::Disputed }) },
            format!("25{ee}ac020102c0843d0000{at}02{at}01"),
        ),
        (Event::Restored {}, "26".into()),
    ] {
        assert_eq!(hex(&event), bytes, "{event:?}");
        assert_eq!(Event::from_bytes(&event.to_bytes()), Ok(event));
    }
    let totals = Totals { endowed: 1, earned: 2, decayed: 3, burned: 4 };
    let restoring = Event::Restoring { policy: Box::new(VouchPolicy::reference()), clock: AT, totals };
    assert!(hex(&restoring).starts_with("20a0c21e") && hex(&restoring).ends_with("01020304"));
    assert_eq!(Event::from_bytes(&restoring.to_bytes()), Ok(restoring));
    assert!(Event::from_bytes(&[15]).is_err());
}

fn busy() -> Twin {
    let mut twin = Twin::new(&[900_000, 600_000, 300_000]);
    twin.model.now = SECOND;
    twin.vouch(0, (0, 1), 200_000, 10 * SECOND).unwrap();
    twin.vouch(0, (1, 2), 100_000, NEVER).unwrap();
    twin
}

/// Whatever the ledger refuses to decide it refuses to apply, and is as it was.
#[test]
fn what_no_honest_run_could_have_written_is_illegal() {
    let at = Timestamp(2 * SECOND);
    let (ada, bob, nobody) = (AgentNo(0), AgentNo(1), AgentNo(9));
    let next = BondNo { slot: 2, turn: 0 };
    let vouched = |bond, voucher, vouchee, amount, at, expires| Event::Vouched {
        bond,
        session: SessionNo(0),
        voucher,
        vouchee,
        amount: sigma(amount),
        at,
        expires,
    };
    let offence = |agent, fault, happened| Recorded {
        evidence: digest(1),
        agent,
        session: Some(SessionNo(0)),
        fault: Share::from_ppm(fault).unwrap(),
        class: None,
        risk: None,
        happened,
        reason: SlashReason::Manual,
    };
    let slashed =
        |offence, toll| Event::Slashed { slashed: Box::new(hv_liability::Slashed { offence, at, toll }) };
    let charged = |offence, until| Event::Charged { offence: Box::new(offence), at, until };
    let honest = busy().ledger.preview_slash(
        &order(&Offence {
            evidence: 1,
            agent: 2,
            session: Some(0),
            fault: 1_000_000,
            class: None,
            risk: None,
            happened: at.0,
        }),
        at,
    );
    let honest = honest.unwrap();
    let cheaper = Toll { losses: honest.losses[1..].to_vec(), ..honest.clone() };
    let cy = AgentNo(2);
    assert!(busy().ledger.apply(&slashed(offence(cy, 1_000_000, at), honest.clone())).is_ok());
    assert!(busy().ledger.apply(&vouched(next, ada, cy, 520_000, at, None)).is_ok());
    let late = Timestamp(10 * SECOND);
    let grace = Timestamp(at.0 + 30 * SECOND);
    assert!(busy().ledger.apply(&charged(offence(bob, 1, at), grace)).is_ok());
    for event in [
        Event::Configured { policy: Box::default() },
        Event::Opened { agent: AgentNo(4), did: did(5), sigma: sigma(1), source: Source::Asserted },
        Event::Opened { agent: AgentNo(3), did: did(0), sigma: sigma(1), source: Source::Asserted },
        Event::Opened { agent: AgentNo(3), did: did(5), sigma: sigma(600_001), source: Source::Hint },
        Event::Opened { agent: AgentNo(3), did: did(5), sigma: sigma(1), source: Source::Unknown },
        Event::Endowed { agent: ada, added: sigma(1), source: Source::Scored },
        vouched(BondNo { slot: 3, turn: 0 }, ada, cy, 1, at, None),
        vouched(BondNo { slot: 2, turn: 1 }, ada, cy, 1, at, None),
        vouched(next, ada, ada, 1, at, None),
        vouched(next, ada, nobody, 1, at, None),
        vouched(next, nobody, ada, 1, at, None),
        vouched(next, cy, bob, 1, at, None),
        vouched(next, bob, ada, 1, at, None),
        vouched(next, ada, cy, 0, at, None),
        vouched(next, ada, cy, 520_001, at, None),
        vouched(next, ada, cy, 1, Timestamp(SECOND - 1), None),
        vouched(next, ada, cy, 1, at, Some(at)),
        vouched(next, ada, cy, 1, late, None),
        Event::Released { bond: next, at },
        Event::Released { bond: BondNo { slot: 0, turn: 1 }, at },
        Event::Released { bond: BondNo { slot: 0, turn: 0 }, at: late },
        Event::SessionReleased { session: SessionNo(7), at },
        Event::SessionReleased { session: SessionNo(0), at: Timestamp(0) },
        slashed(offence(cy, 1_000_000, at), cheaper),
        slashed(offence(cy, 1_000_000, at), Toll::default()),
        slashed(offence(cy, 999_000, at), honest.clone()),
        slashed(offence(cy, 0, at), honest.clone()),
        slashed(offence(cy, 1_000_000, late), honest.clone()),
        slashed(offence(nobody, 1_000_000, at), honest),
        Event::Elapsed { at },
        Event::Elapsed { at: Timestamp(0) },
        Event::Earned { agent: nobody, amount: sigma(1), at },
        Event::Earned { agent: ada, amount: sigma(0), at },
        Event::Earned { agent: ada, amount: sigma(50_001), at },
        Event::Earned { agent: ada, amount: sigma(1), at: late },
        Event::Decayed { agent: ada, amount: sigma(700_001), at },
        Event::Decayed { agent: ada, amount: sigma(0), at },
        Event::Decayed { agent: nobody, amount: sigma(0), at },
        Event::Decayed { agent: ada, amount: sigma(1), at: late },
        Event::Quarantined { agent: nobody, until: at },
        Event::Quarantined { agent: ada, until: Timestamp(0) },
        Event::Rehabilitated { agent: ada, added: sigma(0) },
        Event::Rehabilitated { agent: ada, added: sigma(100_001) },
        Event::Rehabilitated { agent: nobody, added: sigma(1) },
        charged(offence(bob, 1, at), at),
        charged(offence(bob, 1, late), grace),
        charged(offence(bob, 0, at), grace),
        charged(offence(nobody, 1, at), grace),
        Event::Disputed { evidence: digest(1) },
        Event::Dismissed { evidence: digest(1), at },
        Event::Restoring { policy: Box::new(policy()), clock: at, totals: Totals::default() },
        Event::SlotKept { bond: next },
        Event::Restored {},
    ] {
        let mut twin = busy();
        let before = twin.ledger.compact();
        assert!(twin.ledger.apply(&event).is_err(), "{event:?}");
        assert_eq!(twin.ledger.compact(), before, "{event:?}");
    }
}

/// What needs no time does not record that time has passed, and what needs it does so first.
#[test]
fn time_is_recorded_where_it_is_needed() {
    let mut twin = busy();
    twin.wait(20 * SECOND);
    let opened = twin.endow(5, 100_000, 0).unwrap();
    assert!(matches!(opened.as_slice(), [Event::Opened { .. }]), "{opened:?}");
    let until = Timestamp(NEVER);
    let quarantined = twin.give(&Command::Quarantine { agent: did(5), until }).unwrap();
    assert!(matches!(quarantined.as_slice(), [Event::Quarantined { .. }]), "{quarantined:?}");
    assert_eq!(twin.give(&Command::ReleaseSession { session: SessionNo(9) }).unwrap(), []);
    let released = twin.clone().give(&Command::ReleaseSession { session: SessionNo(0) }).unwrap();
    assert!(
        matches!(released.as_slice(), [Event::Elapsed { .. }, Event::SessionReleased { .. }]),
        "{released:?}"
    );
    let settled = twin.give(&Command::Settle).unwrap();
    assert!(matches!(settled.as_slice(), [Event::Elapsed { .. }]), "{settled:?}");
    assert_eq!(twin.give(&Command::Settle).unwrap(), []);
}

#[test]
fn evidence_is_used_once_in_a_record_too() {
    let at = Timestamp(2 * SECOND);
    let offence = Offence {
        evidence: 1,
        agent: 2,
        session: Some(0),
        fault: 500_000,
        class: None,
        risk: None,
        happened: SECOND,
    };
    let mut twin = busy();
    twin.wait(SECOND);
    let events = twin.clone().charge(&offence).unwrap();
    let charged = |mut twin: Twin| twin.ledger.apply(&events[0]).is_ok();
    assert!(charged(twin.clone()));
    let mut slashed = twin.clone();
    slashed.slash(&offence).unwrap();
    assert!(!charged(slashed));
    twin.charge(&offence).unwrap();
    assert_eq!(
        twin.ledger.cases().map(|case| case.until).collect::<Vec<_>>(),
        [Timestamp(at.0 + 30 * SECOND)]
    );
    assert!(!charged(twin.clone()));
    twin.dismiss(1).unwrap();
    assert!(!charged(twin));
}

/// From a quarantine or to a reputation, and not out of a charge.
#[test]
fn a_rehabilitation_is_from_something() {
    let offence = |agent| Offence {
        evidence: 1,
        agent,
        session: None,
        fault: 500_000,
        class: None,
        risk: None,
        happened: SECOND,
    };
    let bob = AgentNo(1);
    let legal = |twin: &Twin, added| {
        let event = Event::Rehabilitated { agent: bob, added: sigma(added) };
        twin.ledger.clone().apply(&event).is_ok()
    };
    let free = busy();
    let mut timed = busy();
    timed.give(&Command::Quarantine { agent: did(1), until: Timestamp(5 * SECOND) }).unwrap();
    let mut charged = busy();
    charged.charge(&offence(1)).unwrap();
    let mut slashed = busy();
    slashed.slash(&offence(1)).unwrap();
    let mut both = charged.clone();
    both.slash(&Offence { evidence: 2, ..offence(1) }).unwrap();
    for (says, twin, nothing, something) in [
        ("free", free, false, true),
        ("for a time", timed, true, true),
        ("charged", charged, false, false),
        ("slashed", slashed, true, true),
        ("slashed and charged", both, true, true),
    ] {
        assert_eq!((legal(&twin, 0), legal(&twin, 1)), (nothing, something), "{says}");
    }
}

#[test]
fn a_charge_is_carried_out_once_and_as_it_was_brought() {
    let mut twin = busy();
    let offence = Offence {
        evidence: 1,
        agent: 2,
        session: Some(0),
        fault: 500_000,
        class: Some(Class::Full),
        risk: None,
        happened: SECOND,
    };
    twin.charge(&offence).unwrap();
    let early = twin.ledger.clone();
    twin.wait(40 * SECOND);
    let events = twin.uphold(1).unwrap();
    let [Event::Elapsed { .. }, slash @ Event::Slashed { slashed }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(twin.ledger.clone().apply(slash).is_err());
    let mut changed = slashed.clone();
    changed.at = Timestamp(SECOND);
    changed.toll = early.preview_slash(&order(&offence), Timestamp(SECOND)).unwrap();
    assert!(
        early.clone().apply(&Event::Slashed { slashed: changed.clone() }).is_err(),
        "within the grace period"
    );
    let mut disputed = early.clone();
    disputed.apply(&Event::Disputed { evidence: digest(1) }).unwrap();
    assert!(disputed.apply(&Event::Disputed { evidence: digest(1) }).is_err());
    let mut other = changed.clone();
    other.offence.reason = SlashReason::Drift;
    assert!(disputed.clone().apply(&Event::Slashed { slashed: other }).is_err(), "not what was charged");
    assert!(disputed.apply(&Event::Slashed { slashed: changed }).is_ok());
}

/// A snapshot in which anything was changed does not add up, or is one of another ledger that could be.
#[test]
fn a_doctored_snapshot_is_illegal() {
    let twin = busy();
    let rows = twin.ledger.compact();
    let restore = |rows: &[Event]| {
        let mut ledger = Ledger::default();
        rows.iter().try_for_each(|row| ledger.apply(row)).map(|()| ledger.compact())
    };
    assert_eq!(restore(&rows).as_deref(), Ok(rows.as_slice()));
    // Without the first row it is no snapshot; without any other but the last it does not add up.
    for left_out in 0..rows.len() - 1 {
        let mut fewer = rows.clone();
        let row = fewer.remove(left_out);
        let bond = matches!(row, Event::BondKept { .. });
        assert!(bond && left_out == rows.len() - 2 || restore(&fewer).is_err(), "{row:?}");
    }
    let doctor = |change: &dyn Fn(&mut Event)| {
        let mut rows = rows.clone();
        rows.iter_mut().for_each(change);
        restore(&rows)
    };
    let richer = |row: &mut Event| {
        if let Event::AccountKept { account } = row {
            account.reputation = Sigma::ONE;
        }
    };
    let bond = |change: &'static dyn Fn(&mut BondKept)| {
        move |row: &mut Event| {
            if let Event::BondKept { bond } = row {
                change(bond);
            }
        }
    };
    assert!(doctor(&richer).is_err());
    assert!(doctor(&bond(&|bond| bond.remaining = Sigma::ZERO)).is_err());
    assert!(doctor(&bond(&|bond| (bond.initial, bond.remaining) = (Sigma::ONE, Sigma::ONE))).is_err());
    assert!(doctor(&bond(&|bond| bond.initial = sigma(1))).is_err());
    assert!(doctor(&bond(&|bond| bond.vouchee = bond.voucher)).is_err());
    let unknown = Err(Illegal::new("a bond is between two known agents"));
    assert_eq!(doctor(&bond(&|bond| bond.voucher = AgentNo(9))), unknown);
    assert_eq!(doctor(&bond(&|bond| bond.vouchee = AgentNo(9))), unknown);
    assert!(doctor(&bond(&|bond| bond.vouchee = AgentNo(1 - bond.voucher.0))).is_err());
    assert!(doctor(&bond(&|bond| bond.ends = Timestamp(SECOND))).is_err());
    assert!(doctor(&bond(&|bond| bond.since = Timestamp(2 * SECOND))).is_err());
    assert!(doctor(&bond(&|bond| bond.released = Some(Timestamp(2 * SECOND)))).is_err());
    // A bond that is over is there only where it was released and a case holds it.
    assert!(
        doctor(&bond(&|bond| (bond.released, bond.ends) = (Some(bond.since), Timestamp(SECOND)))).is_err()
    );
    assert!(doctor(&bond(&|bond| bond.bond.slot += 1)).is_err());
    // Time has an end, at which nothing happened yet.
    let end = |clock: u64| {
        let mut rows = Twin::new(&[900_000]).ledger.compact();
        if let Some(Event::Restoring { clock: at, .. }) = rows.first_mut() {
            *at = Timestamp(clock);
        }
        restore(&rows)
    };
    assert!(end(u64::MAX - 1).is_ok() && end(u64::MAX).is_err());
    // Nothing follows half a snapshot, and a snapshot follows nothing.
    let mut half = Ledger::default();
    half.apply(&rows[0]).unwrap();
    assert!(half.apply(&Event::Elapsed { at: Timestamp(1) }).is_err());
    assert!(half.apply(&rows[0]).is_err());
    assert!(Ledger::default().apply(&rows[1]).is_err());
    assert_eq!(Ledger::default().compact(), []);
    let mut configured = Ledger::default();
    let events = configured.decide(&Command::Configure(policy()), Timestamp(0)).unwrap();
    configured.apply(&events[0]).unwrap();
    assert_eq!(restore(&configured.compact()).unwrap().len(), 2);
}

/// A bond of an agent in a session that is the ten-thousandth of its kind is still a few bytes.
#[test]
fn an_event_is_small() {
    let event = Event::Vouched {
        bond: BondNo { slot: 100_000, turn: 3 },
        session: SessionNo(10_000),
        voucher: AgentNo(100_000),
        vouchee: AgentNo(100_001),
        amount: sigma(160_000),
        at: AT,
        expires: Some(AT),
    };
    assert!(event.to_bytes().len() <= 36, "{}", event.to_bytes().len());
}
