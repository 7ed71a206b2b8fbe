//! What a refusal says, word for word: what is wrong, where, and what would be enough.

use crate::model::{NEVER, SECOND};
use crate::twin::{Twin, did, digest, policy, sigma};
use hv_liability::{
    BondNo, CYCLE_NAMES_MAX, Command, Denial, Ledger, Quarantine, SessionNo, Source, Stake, UnfitPolicy,
    VouchOrder, VouchPolicy, Weights,
};
use hv_types::{Did, Machine, Share, Timestamp};
use std::error::Error;
use std::time::Duration;

fn every_denial() -> Vec<(Denial, String)> {
    let agent = did(0);
    let at = Timestamp(SECOND);
    let evidence = digest(0xab);
    let hex = "ab".repeat(32);
    let bond = BondNo { slot: 4, turn: 2 };
    let weights = Weights { full: Share::ZERO, ..VouchPolicy::default().weights };
    let quarantined = |by| Denial::Quarantined { agent: did(0), by };
    vec![
        (
            Denial::UnknownAgent { agent: agent.clone() },
            "the ledger does not know did:mesh:ada; open its account first".into(),
        ),
        (
            Denial::SelfVouch { agent: agent.clone() },
            "did:mesh:ada cannot vouch for itself; another agent must".to_owned(),
        ),
        (
            Denial::Cycle { path: vec![did(1), did(0)], omitted: 0 },
            "the vouch would close a cycle: did:mesh:bob → did:mesh:ada vouch for each other already; one of these \
             bonds must be paid back first"
                .into(),
        ),
        (
            Denial::Cycle { path: vec![did(1), did(2), did(3), did(0)], omitted: 7 },
            "the vouch would close a cycle: did:mesh:bob → did:mesh:cy → (7 more) → did:mesh:dee → did:mesh:ada vouch \
             for each other already; one of these bonds must be paid back first"
                .into(),
        ),
        (
            Denial::BelowMinimum { agent: agent.clone(), reputation: sigma(499_999), minimum: sigma(500_000) },
            "did:mesh:ada has a reputation of 0.499999; vouching takes at least 0.50".into(),
        ),
        (
            Denial::Exposure {
                agent: agent.clone(),
                asked: sigma(360_001),
                left: sigma(360_000),
                bonded: sigma(360_000),
                limit: sigma(720_000),
            },
            "did:mesh:ada would bond 0.360001 beside 0.36, and may have 0.72 bonded; at most 0.36 is left".into(),
        ),
        (
            Denial::EmptyStake { agent: agent.clone(), reputation: sigma(900_000) },
            "the stake of did:mesh:ada comes to nothing; of a reputation of 0.90, bond at least 0.000001, or a share of at \
             least 0.000002"
                .into(),
        ),
        (
            Denial::EmptyStake { agent: agent.clone(), reputation: sigma(500_000) },
            "the stake of did:mesh:ada comes to nothing; of a reputation of 0.50, bond at least 0.000001, or a share of at \
             least 0.000002"
                .into(),
        ),
        (
            Denial::EmptyStake { agent: agent.clone(), reputation: sigma(0) },
            "the stake of did:mesh:ada comes to nothing; it has no reputation of which anything could be bonded".into(),
        ),
        (
            quarantined(Quarantine::Until(at)),
            "did:mesh:ada is quarantined until 1970-01-01T00:00:01.000Z".into(),
        ),
        (
            quarantined(Quarantine::UntilRehabilitated),
            "did:mesh:ada is quarantined until it is rehabilitated".into(),
        ),
        (
            quarantined(Quarantine::Charged),
            "did:mesh:ada is quarantined until the charges against it are decided".into(),
        ),
        (
            Denial::Past { named: Timestamp(0), now: at },
            "1970-01-01T00:00:00.000Z is over, it is 1970-01-01T00:00:01.000Z; name a later time".into(),
        ),
        (
            Denial::Future { named: at, now: Timestamp(0) },
            "nothing can have happened at 1970-01-01T00:00:01.000Z, it is 1970-01-01T00:00:00.000Z; name the time of \
             the violation"
                .into(),
        ),
        (Denial::UnknownBond { bond }, "there is no bond 4.2, or it was paid back".into()),
        (
            Denial::Unbonding { bond, until: at },
            "bond 4.2 was ended already and is paid back at 1970-01-01T00:00:01.000Z".into(),
        ),
        (
            Denial::NoFault { agent: agent.clone() },
            "did:mesh:ada is not at fault; a slash takes a fault above 0".into(),
        ),
        (
            Denial::UnderCharge { evidence },
            format!("evidence {hex} is under a charge; uphold or dismiss the charge"),
        ),
        (
            Denial::Dismissed { evidence },
            format!("the charge on evidence {hex} was dropped; it takes other evidence"),
        ),
        (Denial::NoCharge { evidence }, format!("no charge on evidence {hex} is open")),
        (
            Denial::GraceRunning { evidence, until: at },
            format!("the charge on evidence {hex} may be disputed until 1970-01-01T00:00:01.000Z; wait until then"),
        ),
        (
            Denial::Disputed { evidence },
            format!("the charge on evidence {hex} is disputed already; it waits for a ruling"),
        ),
        (
            Denial::NothingToRehabilitate { agent },
            "did:mesh:ada is not quarantined and has the reputation named already".into(),
        ),
        (
            Denial::PolicyBinds { bonds: 3, charges: 1 },
            "the policy binds 3 bonds and 1 charge; change it when none is left".into(),
        ),
        (
            Denial::UnfitPolicy(UnfitPolicy::Unbonding { given: Duration::from_secs(1) }),
            "bonds that are free 1s after their release let vouchers escape; give at least 60s".into(),
        ),
        (
            Denial::UnfitPolicy(UnfitPolicy::Weights { weights }),
            "the vouching weights must not rise with the risk; full 0.00, partial 0.35, none 0.05 do".into(),
        ),
        (Denial::Full { what: "bonds" }, "the ledger cannot number more bonds".into()),
    ]
}

#[test]
fn every_denial_says_what_would_be_enough() {
    for (denial, words) in every_denial() {
        assert_eq!(denial.to_string(), words);
        assert_eq!(denial.source().is_some(), matches!(denial, Denial::UnfitPolicy(_)));
    }
}

/// What refusals are counted by is the name of the variant, in the manner of names in files.
#[test]
fn every_denial_is_counted_by_its_own_name() {
    for (denial, _) in every_denial() {
        let mut name = String::new();
        for letter in format!("{denial:?}").chars().take_while(char::is_ascii_alphanumeric) {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(letter.to_lowercase());
        }
        assert_eq!(denial.name(), name);
    }
}

#[test]
fn every_concern_says_what_it_is_about() {
    use hv_liability::Concern;
    for (concern, words) in [
        (Concern::Quarantined, "it is quarantined"),
        (Concern::SlashedOften { times: 4, most: 3 }, "it was slashed 4 times; 3 are too many"),
        (Concern::Slashed { times: 2 }, "it was slashed 2 times"),
        (
            Concern::Overextended { bonded: sigma(500_000), limit: sigma(400_000) },
            "it has 0.50 bonded, more than the 0.40 that its reputation bears",
        ),
        (Concern::Unattested, "what it began with is a hint that nobody attests"),
        (Concern::NoHistory, "nothing is known about it"),
    ] {
        assert_eq!(concern.to_string(), words);
    }
}

#[test]
fn what_cannot_be_attributed_says_why() {
    use hv_liability::Unattributable;
    assert_eq!(
        Unattributable::NoSuchStep { step: 3, steps: 2 }.to_string(),
        "there is no step 3 among 2 steps, numbered from 0"
    );
    assert_eq!(
        Unattributable::NoCause.to_string(),
        "no step that went wrong leads to the failed one; mark the one that did"
    );
}

/// A long cycle is named from both its ends, and what is left out is counted.
#[test]
fn a_long_cycle_is_named_from_both_ends() {
    for length in [CYCLE_NAMES_MAX - 1, CYCLE_NAMES_MAX, CYCLE_NAMES_MAX + 1, 40] {
        let names: Vec<Did> = (0..length).map(|no| Did::new(&format!("did:mesh:n{no}")).unwrap()).collect();
        let mut ledger = Ledger::default();
        let mut give = |command: &Command| -> Result<(), Denial> {
            let events = ledger.decide(command, Timestamp(0))?;
            events.iter().for_each(|event| ledger.apply(event).unwrap());
            Ok(())
        };
        for agent in &names {
            let endow =
                Command::Endow { agent: agent.clone(), sigma: sigma(900_000), source: Source::Asserted };
            give(&endow).unwrap();
        }
        let vouch = |voucher: &Did, vouchee: &Did| {
            let (voucher, vouchee, stake) = (voucher.clone(), vouchee.clone(), Stake::Default);
            Command::Vouch(VouchOrder { session: SessionNo(0), voucher, vouchee, stake, expires: None })
        };
        for pair in names.windows(2) {
            give(&vouch(&pair[0], &pair[1])).unwrap();
        }
        let denial = give(&vouch(&names[length - 1], &names[0])).unwrap_err();
        let shown: Vec<Did> = if length <= CYCLE_NAMES_MAX {
            names.clone()
        } else {
            let half = CYCLE_NAMES_MAX / 2;
            names[..half].iter().chain(&names[length - half..]).cloned().collect()
        };
        let omitted = length - shown.len();
        assert_eq!(denial, Denial::Cycle { path: shown, omitted }, "{length}");
    }
}

#[test]
fn names_of_what_is_recorded() {
    use hv_liability::{BondState, SlashReason};
    let sources = [Source::Asserted, Source::Scored, Source::Hint, Source::Unknown].map(Source::name);
    assert_eq!(sources, ["asserted", "scored", "hint", "unknown"]);
    let reasons = [
        SlashReason::Violation,
        SlashReason::Drift,
        SlashReason::UndoFailed,
        SlashReason::Intent,
        SlashReason::Manual,
    ];
    assert_eq!(reasons.map(SlashReason::name), ["violation", "drift", "undo_failed", "intent", "manual"]);
    assert_eq!([BondState::Active, BondState::Unbonding].map(|s| s.to_string()), ["active", "unbonding"]);
}

#[test]
fn what_a_ledger_tells_about_itself() {
    let mut twin = Twin::new(&[900_000, 300_000]);
    assert_eq!(twin.ledger.policy(), &policy());
    assert_eq!((twin.ledger.agent_count(), twin.ledger.bond_count()), (2, 0));
    assert_eq!((twin.ledger.next_due(), twin.ledger.next_bond()), (None, Some(BondNo { slot: 0, turn: 0 })));
    twin.vouch(0, (0, 1), 100_000, NEVER).unwrap();
    assert_eq!(twin.ledger.next_due(), None);
    twin.vouch(0, (0, 1), 100_000, 9).unwrap();
    assert_eq!(twin.ledger.next_due(), Some(Timestamp(9)));
    let bond = twin.ledger.bond(twin.bonds[1], twin.now()).unwrap();
    assert_eq!((bond.since, bond.released, bond.ends), (Timestamp(0), None, Some(Timestamp(9))));
    assert_eq!(twin.ledger.bond(twin.bonds[0], twin.now()).unwrap().ends, None);
    assert_eq!(twin.ledger.did(hv_liability::AgentNo(1)), Some(&did(1)));
    assert_eq!(twin.ledger.did(hv_liability::AgentNo(2)), None);
    assert_eq!(twin.ledger.agent(&did(1)), Some(hv_liability::AgentNo(1)));
    assert_eq!(twin.ledger.cases().count(), 0);
    let breach = hv_liability::checks::Breach { invariant: "L4", says: "it adds up", agent: Some(did(0)) };
    assert_eq!(breach.to_string(), "L4 does not hold: it adds up (did:mesh:ada)");
}
