//! Sagas that grow in random worlds: steps that are appended at any moment, also behind lost ones, reports that come
//! twice or late, clocks that jump, pauses, ends and cancellations in any order.

use crate::simulation::{Act, Dice, Fate, Run, declared, deep, replay, step};
use hv_saga::{
    AttemptRef, Class, Failure, Growth, Join, Limits, Machine, Pace, Plan, Purpose, Reason, Report, Retry,
    SagaCommand, SagaDenial, SagaState, StepDef, StepState, Verdict,
};
use hv_types::{Did, Timestamp};
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

fn definition(dice: &mut Dice, n: usize) -> StepDef {
    let after: Vec<u32> = (0..n as u32).filter(|_| dice.roll(n + 1) < 2).collect();
    let join = match dice.roll(4) {
        0 if !after.is_empty() => Join::AtLeast(1 + dice.roll(after.len()) as u32),
        1 if !after.is_empty() => Join::Majority,
        _ => Join::All,
    };
    let kind = dice.pick(&[0, 0, 1, 1, 2, 4, 3, 5]);
    let retry = |max| Retry { max, base: Duration::from_millis(10), cap: Duration::from_millis(100) };
    let (max, undo_max) = (dice.pick(&[0u32, 0, 1, 3]), dice.pick(&[0u32, 1, 3]));
    let undo_window = dice.pick(&[None, None, None, Some(Duration::from_millis(50))]);
    let substitute = (dice.roll(3) == 0).then(|| Did::new("did:mesh:b").unwrap());
    let (retry, undo_retry) = (retry(max), retry(undo_max));
    let settles = [None, Some(Duration::from_millis(20)), Some(DAY)][n % 3];
    let within = [None, None, Some(Duration::from_millis(40))][dice.roll(3)];
    let start_within = [None, None, Some(DAY), Some(Duration::from_millis(60))][dice.roll(4)];
    let def = StepDef { join, undo_window, substitute, settles, retry, undo_retry, ..step(n, after) };
    declared(StepDef { within, start_within, ..def }, kind)
}

fn fate(dice: &mut Dice, def: &StepDef) -> Fate {
    use Act::{Dirty, Done, LostDone, LostNot, Permanent, Retryable};
    let bad = if def.probe.is_some() { Dirty } else { Retryable };
    let mut execute =
        || if dice.roll(10) < 7 { Done } else { dice.pick(&[Retryable, LostDone, LostNot, Permanent, bad]) };
    let execute = (0..3).map(|_| execute()).collect();
    let undo = (0..2)
        .map(|_| if dice.roll(8) < 6 { Done } else { dice.pick(&[Retryable, LostDone, LostNot, Permanent]) });
    let undo = undo.collect();
    Fate {
        execute,
        undo,
        refused: dice.roll(8) == 0,
        refused_again: dice.roll(2) == 0,
        ..Fate::of(Done, Done)
    }
}

/// A command that may be refused, but is no defect.
fn tried(run: &mut Run, command: SagaCommand) {
    match run.saga.decide(&command, run.now) {
        Ok(_) => run.commit(command),
        Err(SagaDenial::Defect(illegal)) => panic!("{illegal}: {command:?}"),
        Err(_) => {}
    }
}

fn grow(run: &mut Run, dice: &mut Dice, most: usize) {
    let size = run.saga.steps().len();
    if size >= most {
        return;
    }
    let steps: Vec<_> =
        (size..(size + 1 + dice.roll(3)).min(most)).map(|n| Arc::new(definition(dice, n))).collect();
    let growth = if dice.roll(6) == 0 { Growth::Sealed } else { Growth::Open };
    let command = SagaCommand::Append { steps: steps.clone(), growth };
    if run.saga.decide(&command, run.now).is_ok() {
        for def in &steps {
            run.fates.push(fate(dice, def));
            run.world.there.push(false);
            run.world.made.push(0);
            run.world.taken.push(0);
        }
        run.commit(command);
    }
}

fn played(seed: u64) -> SagaState {
    let mut dice = Dice(seed);
    let limits = Limits {
        concurrency: dice.pick(&[1, 2, 8]),
        retries: dice.pick(&[0, 2, u32::MAX]),
        within: dice.pick(&[None, None, Some(Duration::from_millis(300))]),
    };
    let pace = if dice.roll(4) == 0 { Pace::Asked } else { Pace::AsReady };
    let mut run = Run::new(Plan { seed, limits, pace, ..Plan::open() }, vec![]);
    let most = 1 + dice.roll(12);
    let mut last: Option<(AttemptRef, Verdict)> = None;
    for turn in 0..4000 {
        assert_eq!(replay(&run.saga.compact()), run.saga, "a snapshot is as good as the record");
        if run.saga.state().is_terminal() {
            if let Some((attempt, verdict)) = last {
                assert!(matches!(
                    run.saga.decide(&Report::of(attempt, verdict).into(), run.now),
                    Err(SagaDenial::Stale { .. })
                ));
            }
            let shape = run.saga.runs().map(|step| step.state).collect::<Vec<_>>();
            if run.saga.state() == SagaState::Completed {
                let fine = [StepState::Committed, StepState::Failed, StepState::Denied];
                assert!(shape.iter().all(|state| fine.contains(state)), "{shape:?}");
            }
            run.check_end();
            return run.saga.state();
        }
        run.now = run.now.after(Duration::from_millis(dice.roll(5) as u64));
        let calm = turn > 400;
        match dice.roll(if calm { 5 } else { 24 }) {
            0..5 => {
                let running: Vec<_> = run.saga.running().collect();
                if running.is_empty() {
                    if run.saga.is_paused() && (calm || dice.roll(3) == 0) {
                        tried(&mut run, SagaCommand::Resume { refused: vec![] });
                    }
                    if calm && run.saga.state() == SagaState::Running {
                        tried(
                            &mut run,
                            if dice.roll(2) == 0 { SagaCommand::Seal } else { SagaCommand::Finish },
                        );
                    }
                    if let Some(wake) = run.saga.next_wake() {
                        run.now = run.now.max(wake);
                    }
                    tried(&mut run, SagaCommand::advance());
                    if run.saga.running().next().is_none() && run.saga.next_wake().is_none() {
                        let waits = run.saga.is_paused()
                            || run.saga.growth() == Growth::Open
                            || pace == Pace::Asked
                            || run.saga.state().is_terminal();
                        assert!(waits, "seed {seed}: nothing ever follows: {:?}", run.saga);
                    }
                    continue;
                }
                let attempt = running[dice.roll(running.len())];
                let verdict = run.perform(attempt);
                last = Some((attempt, verdict.clone()));
                run.commit(Report::of(attempt, verdict).into());
            }
            5..=7 => grow(&mut run, &mut dice, most),
            8 => tried(&mut run, SagaCommand::Pause),
            9 => tried(&mut run, SagaCommand::Resume { refused: vec![] }),
            10 => run.crash(dice.0),
            11 => {
                // It comes twice, or for another attempt, or another purpose.
                if let Some((mut attempt, verdict)) = last.clone() {
                    match dice.roll(4) {
                        0 => attempt.number += 1,
                        1 => attempt.purpose = dice.pick(&[Purpose::Execute, Purpose::Undo, Purpose::Probe]),
                        2 => attempt.step = dice.roll(20) as u32,
                        _ => {}
                    }
                    let running = run.saga.running().any(|other| other == attempt);
                    let report = Report::of(attempt, verdict).into();
                    if !running {
                        let stale = run.saga.decide(&report, run.now);
                        assert!(matches!(stale, Err(SagaDenial::Stale { .. })), "{stale:?}");
                    }
                }
            }
            12 => {
                run.now = if dice.roll(2) == 0 {
                    run.now.after(DAY)
                } else {
                    Timestamp(run.now.0.saturating_sub(86_400_000_000_000))
                }
            }
            13 => tried(&mut run, SagaCommand::advance()),
            14 | 15 => {
                let size = run.saga.steps().len() + 1;
                tried(&mut run, SagaCommand::Start { step: dice.roll(size) as u32, refused: vec![] });
            }
            16 if dice.roll(4) == 0 => tried(&mut run, SagaCommand::Cancel),
            17 if dice.roll(4) == 0 => tried(&mut run, SagaCommand::Finish),
            18 if dice.roll(4) == 0 => tried(&mut run, SagaCommand::Seal),
            19 if dice.roll(3) == 0 => {
                let agent = Did::new(dice.pick(&["did:mesh:a", "did:mesh:b"])).unwrap();
                for attempt in run.saga.running().collect::<Vec<_>>() {
                    let own = run.saga.agent(attempt.step) == Some(&agent);
                    if own && attempt.purpose == Purpose::Execute && dice.roll(2) == 0 {
                        run.perform(attempt);
                    }
                }
                run.commit(SagaCommand::Relieve { agent, refused: vec![] });
            }
            20 => {
                let first = run.saga.running().next();
                if let Some(attempt) = first {
                    let verdict = run.perform(attempt);
                    run.commit(SagaCommand::Record { report: Report::of(attempt, verdict) });
                }
            }
            21 => {
                // An executor that mixes things up: an answer where there is none to give.
                let attempt = run.saga.running().find(|attempt| attempt.purpose == Purpose::Probe);
                if let Some(attempt) = attempt {
                    let failed = Failure::new(Class::Retryable, Reason::other("no answer"));
                    run.commit(Report::of(attempt, Verdict::Failed(failed)).into());
                }
            }
            _ => {}
        }
    }
    panic!("seed {seed}: it does not end: {:?}", run.saga);
}

#[test]
fn s1_a_saga_that_grows_ends_as_it_says_in_every_world() {
    let mut ends = [0u64; 3];
    for seed in 0..if deep() { 200_000 } else { 4_000 } {
        let state = std::panic::catch_unwind(|| played(seed)).unwrap_or_else(|_| panic!("seed {seed}"));
        ends[state as usize - SagaState::Completed as usize] += 1;
    }
    assert!(ends.iter().all(|&count| count > 100), "all ends are reached: {ends:?}");
}
