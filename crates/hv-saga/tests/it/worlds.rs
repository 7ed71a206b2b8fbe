//! Every small saga in every world, and many large ones in random worlds.

use crate::simulation::{Act, Bug, Dice, Fate, LATE, Run, Sight, Turn, declared, deep, replay, step};
use hv_saga::{Join, Limits, Plan, Retry, Saga, SagaState, StepDef};
use hv_types::{Did, Machine};
use std::sync::Arc;
use std::time::Duration;

/// All graphs over so many steps: each step may wait for any set of earlier ones.
fn graphs(steps: usize) -> Vec<Vec<Vec<u32>>> {
    let mut graphs = vec![vec![]];
    for step in 0..steps {
        let sets =
            (0u32..1 << step).map(|set| (0..step as u32).filter(|n| set >> n & 1 == 1).collect::<Vec<_>>());
        let sets: Vec<_> = sets.collect();
        graphs = graphs
            .into_iter()
            .flat_map(|graph: Vec<Vec<u32>>| {
                sets.iter()
                    .map(move |set| graph.iter().cloned().chain([set.clone()]).collect())
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    graphs
}

/// What can become of one step: how it is declared, what happens when it is executed, and when it is undone.
fn cases(deep: bool, late: bool) -> Vec<(usize, Act, Act)> {
    use Act::{Dirty, Done, Late, LostDone, LostNot, Permanent};
    let kinds: &[usize] = if deep { &[0, 1, 2] } else { &[0, 1, 2, 3] };
    let mut cases = Vec::new();
    for &kind in kinds {
        for execute in [Done, Permanent, LostDone, LostNot, Dirty] {
            // Without a probe, an honest executor reports a failure only where nothing is left behind.
            if execute != Dirty || kind == 1 {
                cases.push((kind, execute, Done));
            }
        }
        if late {
            cases.extend([(kind, Late, Done), (kind, Late, Permanent)]);
        }
        if kind != 3 {
            cases.push((kind, Done, Permanent));
        }
    }
    cases
}

#[test]
fn s1_every_small_saga_in_every_world() {
    let sizes = if deep() { 0..=4 } else { 0..=3 };
    let mut ends = [0u64; 3];
    for size in sizes {
        let cases = cases(size == 4, size <= 2);
        for graph in graphs(size) {
            for mut world in 0..cases.len().pow(size as u32) {
                let mut fates = Vec::new();
                let mut steps = Vec::new();
                for (n, after) in graph.iter().enumerate() {
                    let (kind, execute, undo) = cases[world % cases.len()];
                    world /= cases.len();
                    let def = declared(step(n, after.clone()), kind);
                    steps.push(Arc::new(if execute == Act::Late { def.with_settles(LATE) } else { def }));
                    fates.push(Fate::of(execute, undo));
                }
                // The first to start ends first; then the last to start ends first.
                for order in [0, usize::MAX / 2] {
                    let mut run = Run::new(Plan::new(steps.clone()), fates.clone());
                    run.finish(|running| Turn::End(order.min(running - 1)));
                    run.check_end();
                    ends[run.saga.state() as usize - SagaState::Completed as usize] += 1;
                }
            }
        }
    }
    assert!(ends.iter().all(|&count| count > 100), "all ends are reached: {ends:?}");
}

/// A random definition with up to so many steps.
fn definition(dice: &mut Dice, most: usize) -> Plan {
    let size = dice.roll(most + 1);
    let steps = (0..size).map(|n| {
        let after: Vec<u32> = (0..n as u32).filter(|_| dice.roll(n + 2) < 2).collect();
        let join = match dice.roll(4) {
            0 if !after.is_empty() => Join::AtLeast(1 + dice.roll(after.len()) as u32),
            1 if !after.is_empty() => Join::Majority,
            _ => Join::All,
        };
        let kind = dice.pick(&[0, 0, 1, 1, 1, 2, 2, 4, 3, 5]);
        let retry = |max| Retry { max, base: Duration::from_millis(10), cap: Duration::from_millis(100) };
        let (max, undo_max) = (dice.pick(&[0u32, 0, 1, 3]), dice.pick(&[0u32, 1, 3]));
        let undo_window = dice.pick(&[None, None, None, Some(Duration::from_millis(50))]);
        let substitute = (dice.roll(4) == 0).then(|| Did::new("did:mesh:b").unwrap());
        let def = StepDef {
            join,
            undo_window,
            substitute,
            settles: dice.pick(&[None, Some(LATE), Some(LATE * 2)]),
            within: dice.pick(&[None, None, None, Some(LATE)]),
            start_within: dice.pick(&[None, None, None, None, Some(LATE)]),
            retry: retry(max),
            undo_retry: retry(undo_max),
            ..step(n, after)
        };
        Arc::new(declared(def, kind))
    });
    let steps = steps.collect();
    let limits = Limits {
        concurrency: dice.pick(&[1u32, 2, 8, 50]),
        retries: dice.pick(&[0, 2, u32::MAX]),
        within: dice.pick(&[None, None, None, Some(Duration::from_millis(200))]),
    };
    Plan { seed: dice.0, limits, ..Plan::new(steps) }
}

/// Fates of which most are good, so that sagas get far.
fn fate(dice: &mut Dice, def: &StepDef) -> Fate {
    use Act::{Dirty, Done, Late, LostDone, LostNot, Permanent, Retryable, Unbegun};
    let execute = |dice: &mut Dice| {
        let bad = if def.probe.is_some() { Dirty } else { Retryable };
        let late = if def.settles.is_some() { Late } else { LostDone };
        let others = [Retryable, Unbegun, LostDone, LostNot, Permanent, bad, late];
        if dice.roll(12) < 10 { Done } else { dice.pick(&others) }
    };
    let undo = |dice: &mut Dice| {
        if dice.roll(8) < 6 { Done } else { dice.pick(&[Retryable, Unbegun, LostDone, LostNot, Permanent]) }
    };
    Fate {
        execute: (0..5).map(|_| execute(dice)).collect(),
        undo: (0..5).map(|_| undo(dice)).collect(),
        probe: (0..5).map(|_| dice.pick(&[Sight::Truth, Sight::Truth, Sight::Truth, Sight::Blind])).collect(),
        refused: dice.roll(40) == 0,
        refused_again: dice.roll(2) == 0,
    }
}

pub(crate) fn random_run(seed: u64, most: usize, bug: Option<Bug>) -> (Run, Dice) {
    let mut dice = Dice(seed);
    let plan = definition(&mut dice, most);
    let fates = plan.steps.iter().map(|def| fate(&mut dice, def)).collect();
    (Run::with(plan, fates, bug), dice)
}

#[test]
fn s1_s2_random_sagas_with_faults_crashes_and_cancellation() {
    let mut ends = [0u64; 3];
    for seed in 0..if deep() { 200_000 } else { 3000 } {
        let (mut run, mut dice) = random_run(seed, if seed % 10 == 0 { 50 } else { 12 }, None);
        run.finish(|running| match dice.roll(60) {
            0 => Turn::Crash(dice.0),
            1 if dice.roll(8) == 0 => Turn::Cancel,
            2 => Turn::Pause,
            3 => Turn::Resume,
            4 if dice.roll(8) == 0 => Turn::Relieve("did:mesh:a"),
            5 => Turn::Stop(dice.roll(running)),
            _ => Turn::End(dice.roll(running)),
        });
        run.check_end();
        ends[run.saga.state() as usize - SagaState::Completed as usize] += 1;
    }
    assert!(ends.iter().all(|&count| count > 100), "all ends are reached: {ends:?}");
}

#[test]
fn s4_every_prefix_gives_the_state_of_the_live_run() {
    for seed in 0..300 {
        let (mut run, mut dice) = random_run(seed, 8, None);
        run.finish(
            |running| if dice.roll(20) == 0 { Turn::Crash(dice.0) } else { Turn::End(dice.roll(running)) },
        );
        let mut live = Saga::default();
        for (k, event) in run.events.iter().enumerate() {
            live.apply(event).unwrap();
            assert_eq!(replay(&run.events[..=k]), live);
            // A snapshot at this point decides the same from here on.
            let snapshot = live.compact();
            let bytes: Vec<_> = snapshot.iter().map(hv_types::Wire::to_bytes).collect();
            let decoded =
                bytes.iter().map(|bytes| hv_types::Wire::from_bytes(bytes).unwrap()).collect::<Vec<_>>();
            let restored = replay(&decoded);
            assert_eq!(restored, live);
            let recover = hv_saga::SagaCommand::recover();
            assert_eq!(restored.decide(&recover, run.now), live.decide(&recover, run.now));
        }
    }
}
