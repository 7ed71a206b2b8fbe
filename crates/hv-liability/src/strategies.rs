//! Strategies for property tests: commands that make sense together, and ledgers that came about by them.

use crate::{
    BondNo, Command, Demand, Ledger, Outcome, ScorePolicy, SessionNo, SlashOrder, SlashReason, Source, Stake,
    TrackRecord, UNBONDING_MIN, VouchOrder, VouchPolicy, Went,
};
use core::time::Duration;
use hv_types::strategies::{did, digest, reversibility, risk_weight, share, sigma};
use hv_types::{Did, Machine, Share, Sigma, Timestamp, WHOLE};
use proptest::prelude::*;

/// One of a few sessions.
pub fn session() -> impl Strategy<Value = SessionNo> {
    (0u32..3).prop_map(SessionNo)
}

/// One of the sources of a first reputation.
pub fn source() -> impl Strategy<Value = Source> {
    prop::sample::select(vec![
        Source::Asserted,
        Source::Scored,
        Source::Hint,
        Source::Unknown,
        Source::Attested,
    ])
}

/// A policy that a ledger takes: the default, the preset for comparison, or the default with other times.
pub fn policy() -> impl Strategy<Value = VouchPolicy> {
    let times = (60u64..1_000_000, 0u64..1_000_000).prop_map(|(unbonding, grace)| VouchPolicy {
        unbonding: UNBONDING_MIN.max(Duration::from_secs(unbonding)),
        grace: Duration::from_secs(grace),
        ..VouchPolicy::default()
    });
    prop_oneof![Just(VouchPolicy::default()), Just(VouchPolicy::reference()), times]
}

/// Any stake, mostly small shares.
pub fn stake() -> impl Strategy<Value = Stake> {
    let small = (1u64..400_000).prop_map(|ppm| Stake::Share(Share::capped(ppm)));
    prop_oneof![3 => small, 1 => Just(Stake::Default), 1 => sigma().prop_map(Stake::Amount)]
}

/// A point in time within the first thousand seconds.
pub fn time() -> impl Strategy<Value = Timestamp> {
    (0u64..1_000_000_000_000).prop_map(Timestamp)
}

/// Any order to vouch among a few agents.
pub fn vouch_order() -> impl Strategy<Value = VouchOrder> {
    (session(), did(), did(), stake(), prop::option::weighted(0.2, time())).prop_map(
        |(session, voucher, vouchee, stake, expires)| VouchOrder {
            session,
            voucher,
            vouchee,
            stake,
            expires,
        },
    )
}

/// Any order to slash one of a few agents.
pub fn slash_order() -> impl Strategy<Value = SlashOrder> {
    let what = (digest(), did(), prop::option::weighted(0.9, session()), share());
    let how = (prop::option::of(reversibility()), prop::option::of(risk_weight()), time());
    (what, how).prop_map(|((evidence, agent, session, fault), (class, risk, happened))| SlashOrder {
        evidence,
        agent,
        session,
        fault,
        class,
        risk,
        happened,
        reason: SlashReason::Violation,
    })
}

/// Any command but a change of policy; a history of them has vouches, slashes and all between.
pub fn command() -> impl Strategy<Value = Command> {
    let endow =
        (did(), sigma(), source()).prop_map(|(agent, sigma, source)| Command::Endow { agent, sigma, source });
    let bond = (0u32..12, 0u32..2).prop_map(|(slot, turn)| BondNo { slot, turn });
    let amount = || (0u64..60_000).prop_map(Sigma::capped);
    prop_oneof![
        6 => endow,
        8 => vouch_order().prop_map(Command::Vouch),
        2 => bond.prop_map(|bond| Command::Release { bond }),
        1 => session().prop_map(|session| Command::ReleaseSession { session }),
        3 => slash_order().prop_map(Command::Slash),
        1 => slash_order().prop_map(Command::Charge),
        1 => digest().prop_map(|evidence| Command::Uphold { evidence }),
        1 => (did(), time()).prop_map(|(agent, until)| Command::Quarantine { agent, until }),
        2 => (did(), sigma()).prop_map(|(agent, sigma)| Command::Rehabilitate { agent, sigma }),
        1 => (did(), amount(), sigma()).prop_map(|(agent, amount, ceiling)| Command::Earn {
            agent,
            amount,
            ceiling
        }),
        1 => (did(), amount()).prop_map(|(agent, amount)| Command::Decay { agent, amount }),
        1 => Just(Command::Settle),
    ]
}

/// How outcomes become reputation, in any way that an operator could set.
pub fn score_policy() -> impl Strategy<Value = ScorePolicy> {
    (share(), sigma(), sigma(), sigma()).prop_map(|(remembered, gain, loss, open_ceiling)| ScorePolicy {
        remembered,
        gain,
        loss,
        open_ceiling,
    })
}

/// Any outcome; as many good ones as bad ones.
pub fn outcome() -> impl Strategy<Value = Outcome> {
    let went = prop::sample::select(vec![Went::Well, Went::Badly]);
    let demand = prop::sample::select(vec![Demand::Nothing, Demand::Trust]);
    (went, risk_weight(), demand).prop_map(|(went, risk, demand)| Outcome { went, risk, demand })
}

/// Any track record of the first thousand days.
pub fn track_record() -> impl Strategy<Value = TrackRecord> {
    let sum = || prop_oneof![0u64..100_000_000, any::<u64>()];
    (sum(), sum(), 0u32..1000).prop_map(|(good, bad, day)| TrackRecord { good, bad, day })
}

/// A ledger of eight agents, half of whose reputations allow them to vouch, that came about by up to so many
/// commands, and the time at which it did.
pub fn ledger(most: usize) -> impl Strategy<Value = (Ledger, Timestamp)> {
    let opened = prop::collection::vec(0..=WHOLE, 8);
    (policy(), opened, prop::collection::vec((command(), 0u64..50_000_000_000), 0..=most)).prop_map(
        |(policy, opened, history)| {
            let (mut ledger, mut now) = (Ledger::default(), Timestamp(0));
            let opened = ('a'..='h').zip(opened).filter_map(|(name, ppm)| {
                let (agent, sigma) =
                    (Did::new(&format!("did:mesh:{name}")).ok()?, Sigma::capped(u64::from(ppm)));
                Some(Command::Endow { agent, sigma, source: Source::Scored })
            });
            let first = [Command::Configure(policy)].into_iter().chain(opened).map(|command| (command, 0));
            for (command, after) in first.chain(history) {
                now = Timestamp(now.0 + after);
                for event in ledger.decide(&command, now).unwrap_or_default() {
                    // A refused event would be a defect; the properties tested on the ledger will tell.
                    let _ = ledger.apply(&event);
                }
            }
            (ledger, now)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;
    use proptest::strategy::ValueTree;

    proptest! {
        #[test]
        fn ledgers_keep_their_invariants_and_come_back_from_snapshots((ledger, now) in ledger(60)) {
            checks::ledger(&ledger, now)?;
            let rows = ledger.compact();
            let mut restored = Ledger::default();
            rows.iter().for_each(|row| restored.apply(row).unwrap());
            prop_assert_eq!(restored.compact(), rows);
        }
    }

    #[test]
    fn policies_differ_in_each_of_their_times() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let some: Vec<_> = (0..100).map(|_| policy().new_tree(&mut runner).unwrap().current()).collect();
        let count = |time: fn(&VouchPolicy) -> Duration| {
            some.iter().map(time).collect::<std::collections::BTreeSet<_>>().len()
        };
        assert!(count(|policy| policy.unbonding) > 20 && count(|policy| policy.grace) > 20);
    }

    #[test]
    fn ledgers_have_bonds_and_slashes() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let some = (0..200).map(|_| ledger(60).new_tree(&mut runner).unwrap().current().0);
        let (mut bonds, mut burned) = (0, 0);
        for ledger in some {
            bonds += ledger.bond_count();
            burned += u64::from(ledger.totals().burned > 0);
        }
        assert!(bonds > 200 && burned > 50, "{bonds} bonds, {burned} ledgers with slashes");
    }
}
