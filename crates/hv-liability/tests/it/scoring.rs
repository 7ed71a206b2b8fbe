//! The default scorer: what outcomes lift and take, and what they cannot.

use crate::twin::{config, did, sigma};
use hv_liability::strategies::{ledger, outcome, score_policy, track_record};
use hv_liability::{
    Command, Demand, Event, Ledger, Outcome, ScorePolicy, Scores, Source, TrackRecord, Went, checks,
};
use hv_types::{Did, Machine, Reversibility, RiskWeight, Share, Sigma, Timestamp, WHOLE, Wire};
use proptest::prelude::*;

const DAY: u64 = 86_400 * 1_000_000_000;

fn at(day: u64) -> Timestamp {
    Timestamp(day * DAY)
}

fn out(went: Went, class: Reversibility, demand: Demand) -> Outcome {
    Outcome { went, risk: class.default_risk(), demand }
}

fn opened(ppm: u64) -> Ledger {
    let mut ledger = Ledger::default();
    let endow = Command::Endow { agent: did(0), sigma: Sigma::capped(ppm), source: Source::Asserted };
    ledger.decide(&endow, at(0)).unwrap().iter().for_each(|event| ledger.apply(event).unwrap());
    ledger
}

/// Carries out what outcomes lead to; gives what was earned and what was taken.
fn live(ledger: &mut Ledger, scores: &mut Scores, outcomes: &[Outcome], now: Timestamp) -> (u32, u32) {
    live_by((&ScorePolicy::default(), &did(0)), ledger, scores, outcomes, now)
}

fn live_by(
    (policy, agent): (&ScorePolicy, &Did),
    ledger: &mut Ledger,
    scores: &mut Scores,
    outcomes: &[Outcome],
    now: Timestamp,
) -> (u32, u32) {
    let (mut earned, mut decayed) = (0, 0);
    for command in scores.consequences(policy, ledger, agent, outcomes, now) {
        for event in ledger.decide(&command, now).unwrap() {
            match event {
                Event::Earned { amount, .. } => earned += amount.ppm(),
                Event::Decayed { amount, .. } => decayed += amount.ppm(),
                _ => {}
            }
            ledger.apply(&event).unwrap();
        }
    }
    scores.observe(policy, ledger.agent(agent).unwrap(), outcomes, now);
    (earned, decayed)
}

#[test]
fn the_numbers_of_the_default() {
    let ScorePolicy { remembered, gain, loss, open_ceiling } = ScorePolicy::default();
    assert_eq!(
        (remembered.ppm(), gain.ppm(), loss.ppm(), open_ceiling.ppm()),
        (990_000, 10_000, 50_000, 600_000)
    );
    let policy = ScorePolicy::default();
    for (class, ceiling) in
        [(Reversibility::Full, 680_000), (Reversibility::Partial, 860_000), (Reversibility::None, 980_000)]
    {
        assert_eq!(policy.ceiling(class.default_risk(), Demand::Trust), sigma(ceiling));
        assert_eq!(policy.ceiling(class.default_risk(), Demand::Nothing), sigma(600_000));
    }
    for risk in [RiskWeight::ZERO, RiskWeight::ONE] {
        let above = u64::from(risk.ppm()) * 400_000 / 1_000_000;
        assert_eq!(policy.ceiling(risk, Demand::Trust), sigma(600_000 + above));
    }
}

#[test]
fn the_expectation_is_that_of_the_paper() {
    let policy = ScorePolicy::default();
    let of = |good: u64, bad: u64| {
        let record = TrackRecord { good: good * 1_000_000, bad: bad * 1_000_000, day: 0 };
        record.expectation(&policy, at(0)).ppm()
    };
    // (r + 1) / (r + s + 2), rounded down.
    for (good, bad, expected) in [
        (0, 0, 500_000),
        (1, 0, 666_666),
        (0, 1, 333_333),
        (8, 0, 900_000),
        (7, 1, 800_000),
        (98, 0, 990_000),
    ] {
        assert_eq!(of(good, bad), expected, "{good} good, {bad} bad");
    }
    let huge = TrackRecord { good: u64::MAX, bad: 0, day: 0 };
    assert_eq!(huge.expectation(&policy, at(0)).ppm(), 999_999, "never the whole");
    let huge = TrackRecord { good: u64::MAX, bad: u64::MAX, day: 0 };
    assert_eq!(huge.expectation(&policy, at(0)).ppm(), 500_000);
}

#[test]
fn what_is_known_is_forgotten_by_the_day() {
    let policy = ScorePolicy { remembered: Share::from_ppm(500_000).unwrap(), ..ScorePolicy::default() };
    let record = TrackRecord { good: 8_000_000, bad: 8_000_001, day: 10 };
    let none = Outcome { went: Went::Well, risk: RiskWeight::ZERO, demand: Demand::Nothing };
    let on = |now| record.with(&policy, &none, now);
    assert_eq!(on(Timestamp(at(11).0 - 1)), record, "not before the day is over");
    assert_eq!(on(at(11)), TrackRecord { good: 4_000_000, bad: 4_000_001, day: 11 }, "against the agent");
    assert_eq!(on(at(13)), TrackRecord { good: 1_000_000, bad: 1_000_001, day: 13 });
    assert_eq!(on(at(3)), record, "a clock that runs backwards forgets nothing");
    assert_eq!(on(Timestamp::MAX).good, 0);
    // Forgotten is what makes good and what makes bad: the expectation goes back to the middle.
    let good = TrackRecord { good: 8_000_000, bad: 0, day: 0 };
    let expected: Vec<u32> = (0..4).map(|day| good.expectation(&policy, at(day)).ppm()).collect();
    assert_eq!(expected, [900_000, 833_333, 750_000, 666_666]);
    // Half of it after 69 days at the default.
    let (day, default) = (|day| good.expectation(&ScorePolicy::default(), at(day)).ppm(), 833_333);
    assert!(day(68) > default && day(69) < default);
}

#[test]
fn a_good_outcome_lifts_by_its_risk_and_a_bad_one_takes_five_times_as_much() {
    for (class, gain) in
        [(Reversibility::Full, 2_000), (Reversibility::Partial, 6_500), (Reversibility::None, 9_500)]
    {
        let (mut ledger, mut scores) = (opened(540_000), Scores::default());
        let (well, badly) =
            ([out(Went::Well, class, Demand::Trust)], [out(Went::Badly, class, Demand::Trust)]);
        assert_eq!(live(&mut ledger, &mut scores, &well, at(1)), (gain, 0));
        assert_eq!(live(&mut ledger, &mut scores, &badly, at(1)), (0, 5 * gain));
        let record = scores.record(ledger.agent(&did(0)).unwrap());
        let risk = u64::from(class.default_risk().ppm());
        assert_eq!(record, TrackRecord { good: risk, bad: risk, day: 1 });
        assert_eq!(scores.records().count(), 1);
    }
}

#[test]
fn what_needs_no_trust_never_lifts_above_0_60() {
    for (start, end) in [(0, 600_000), (599_999, 600_000), (600_000, 600_000), (700_000, 700_000)] {
        let (mut ledger, mut scores) = (opened(start), Scores::default());
        for n in 0..20_000 {
            let open = out(Went::Well, Reversibility::None, Demand::Nothing);
            live(&mut ledger, &mut scores, &[open], at(n / 100));
            assert!(ledger.reputation(&did(0)) <= sigma(end));
        }
        assert_eq!(ledger.reputation(&did(0)), sigma(end), "from {start}");
    }
}

#[test]
fn trust_cannot_be_farmed_with_what_risks_little() {
    let (mut ledger, mut scores) = (opened(600_001), Scores::default());
    for day in 0..365 {
        for _ in 0..200 {
            let small = out(Went::Well, Reversibility::Full, Demand::Trust);
            live(&mut ledger, &mut scores, &[small], at(day));
        }
    }
    assert_eq!(ledger.reputation(&did(0)), sigma(680_000), "a year of it is not enough for Ring 1");
}

#[test]
fn a_day_lifts_by_the_cap_of_the_ledger_and_not_more() {
    let (mut ledger, mut scores) = (opened(500_000), Scores::default());
    let risky = out(Went::Well, Reversibility::None, Demand::Trust);
    // The last moment of a day and the first of the next.
    for (now, reached) in [(at(7), 550_000), (Timestamp(at(8).0 - 1), 550_000), (at(8), 600_000)] {
        for _ in 0..100 {
            live(&mut ledger, &mut scores, &[risky], now);
        }
        assert_eq!(ledger.reputation(&did(0)), sigma(reached));
    }
}

#[test]
fn failures_take_nothing_that_the_track_record_bears_out() {
    let (mut ledger, mut scores) = (opened(600_000), Scores::default());
    let (well, badly) =
        ([Went::Well, Went::Badly]).map(|went| out(went, Reversibility::Full, Demand::Trust)).into();
    for _ in 0..45 {
        live(&mut ledger, &mut scores, &[well], at(1));
    }
    // Nine good outcomes of full weight and a fifth of a bad one: 0.89 is expected, and 0.65 is not above it.
    let before = ledger.reputation(&did(0));
    assert_eq!((before, live(&mut ledger, &mut scores, &[badly], at(1))), (sigma(650_000), (0, 0)));
    // Where nothing is known, each failure takes its part, down to what is expected then.
    let (mut ledger, mut scores) = (opened(505_000), Scores::default());
    assert_eq!(live(&mut ledger, &mut scores, &[badly], at(1)), (0, 10_000));
    for _ in 0..1000 {
        live(&mut ledger, &mut scores, &[badly], at(1));
        let expected =
            scores.record(ledger.agent(&did(0)).unwrap()).expectation(&ScorePolicy::default(), at(1));
        assert!(ledger.reputation(&did(0)) >= expected);
    }
}

#[test]
fn nothing_is_earned_under_quarantine_or_without_an_account() {
    let (mut ledger, scores) = (opened(550_000), Scores::default());
    let policy = ScorePolicy::default();
    let good = [out(Went::Well, Reversibility::None, Demand::Trust)];
    assert_eq!(scores.consequences(&policy, &ledger, &did(1), &good, at(1)), []);
    assert_eq!(scores.consequences(&policy, &ledger, &did(0), &[], at(1)), []);
    assert_eq!(scores.consequences(&policy, &ledger, &did(0), &good, at(1)).len(), 1);
    let quarantine = Command::Quarantine { agent: did(0), until: at(2) };
    ledger.decide(&quarantine, at(1)).unwrap().iter().for_each(|event| ledger.apply(event).unwrap());
    assert_eq!(scores.consequences(&policy, &ledger, &did(0), &good, at(1)), []);
    let bad = [out(Went::Badly, Reversibility::None, Demand::Trust)];
    assert_eq!(scores.consequences(&policy, &ledger, &did(0), &bad, at(1)).len(), 1);
}

#[test]
fn records_are_restored_as_they_were() {
    let (mut ledger, mut scores) = (opened(500_000), Scores::default());
    live(&mut ledger, &mut scores, &[out(Went::Badly, Reversibility::Full, Demand::Trust)], at(3));
    let mut restored = Scores::default();
    for (agent, record) in scores.records() {
        restored.restore(agent, TrackRecord::from_bytes(&record.to_bytes()).unwrap());
    }
    assert_eq!(restored, scores);
    let mut untouched = scores.clone();
    untouched.observe(&ScorePolicy::default(), ledger.agent(&did(0)).unwrap(), &[], at(400));
    assert_eq!(untouched, scores);
}

proptest! {
    #![proptest_config(config(10))]

    /// Whatever happens and whatever the policy: what was earned on a day is within the ledger's cap, nothing that
    /// is bonded decays, nothing lifts above what its risk allows, and the ledger keeps its invariants.
    #[test]
    fn outcomes_move_reputation_within_their_bounds(
        (mut ledger, start) in ledger(6),
        policy in score_policy(),
        lives in prop::collection::vec((prop::collection::vec(outcome(), 0..4), 0u64..3), 1..8),
    ) {
        let agent = ledger.agents().next().unwrap().clone();
        let (mut scores, mut now) = (Scores::default(), start);
        let (mut earned_on, mut day) = (0, 0);
        let cap = ledger.policy().gain_per_day.ppm();
        for (outcomes, days) in lives {
            now = Timestamp(now.0 + days * DAY);
            let before = ledger.account(&agent, now).unwrap();
            let well = outcomes.iter().filter(|outcome| outcome.went == Went::Well);
            let highest = well.map(|outcome| policy.ceiling(outcome.risk, outcome.demand)).max();
            let (earned, taken) = live_by((&policy, &agent), &mut ledger, &mut scores, &outcomes, now);
            let after = ledger.account(&agent, now).unwrap();
            if now.0 / DAY != day {
                (earned_on, day) = (0, now.0 / DAY);
            }
            earned_on += earned;
            prop_assert!(earned_on <= cap);
            prop_assert!(earned == 0 || before.quarantine.is_none());
            prop_assert_eq!(after.reputation.ppm() + taken, before.reputation.ppm() + earned);
            prop_assert!(after.bonded <= after.reputation, "what is bonded does not decay");
            prop_assert!(earned == 0 || Some(before.reputation) < highest);
            prop_assert!(earned == 0 || after.reputation <= highest.unwrap());
            checks::ledger(&ledger, now)?;
        }
    }

    /// One more good outcome never makes less be expected, one more bad outcome never more; the order of outcomes
    /// of a day changes nothing; and no record expects anything outside (0, 1).
    #[test]
    fn the_expectation_follows_the_outcomes(
        record in track_record(),
        policy in score_policy(),
        outcomes in prop::collection::vec(outcome(), 1..6),
        day in 0u64..2000,
    ) {
        let now = at(day);
        let mut reached = record.with(&policy, &Outcome { risk: RiskWeight::ZERO, ..outcomes[0] }, now);
        let first = reached;
        for outcome in &outcomes {
            let before = reached.expectation(&policy, now);
            reached = reached.with(&policy, outcome, now);
            let after = reached.expectation(&policy, now);
            match outcome.went {
                Went::Well => prop_assert!(after >= before),
                Went::Badly => prop_assert!(after <= before),
            }
            prop_assert!(after < Sigma::ONE);
        }
        let back = outcomes.iter().rev().fold(first, |record, outcome| record.with(&policy, outcome, now));
        prop_assert_eq!(back, reached);
        prop_assert!(u64::from(WHOLE) > u64::from(reached.expectation(&policy, now).ppm()));
    }

    /// What outcomes lead to does not depend on their order.
    #[test]
    fn consequences_are_order_free((ledger, now) in ledger(4), outcomes in prop::collection::vec(outcome(), 0..6)) {
        let (policy, scores) = (ScorePolicy::default(), Scores::default());
        let agent = ledger.agents().next().unwrap();
        let lead = |outcomes: &[Outcome]| scores.consequences(&policy, &ledger, agent, outcomes, now);
        let back: Vec<Outcome> = outcomes.iter().rev().copied().collect();
        prop_assert_eq!(lead(&outcomes), lead(&back));
    }
}
