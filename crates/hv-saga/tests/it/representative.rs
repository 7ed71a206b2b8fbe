//! Twenty sagas as people write them: each fails at every place, and is cut off at every place.

use crate::simulation::{Act, Fate, Run, Turn, declared, replay, step};
use hv_saga::{Growth, Join, Limits, Plan, Retry, SagaState, StepDef};
use std::sync::Arc;
use std::time::Duration;

/// Steps by what they wait for, and how each is declared.
fn shaped(after: &[&[u32]], kinds: &[usize]) -> Vec<StepDef> {
    let steps = after.iter().enumerate();
    steps.map(|(n, after)| declared(step(n, after.to_vec()), kinds[n % kinds.len()])).collect()
}

fn with(steps: Vec<StepDef>, change: impl Fn(StepDef) -> StepDef) -> Vec<StepDef> {
    steps.into_iter().map(change).collect()
}

/// The sagas by name.
fn sagas() -> Vec<(&'static str, Plan)> {
    let chain3: &[&[u32]] = &[&[], &[0], &[1]];
    let chain6: &[&[u32]] = &[&[], &[0], &[1], &[2], &[3], &[4]];
    let diamond: &[&[u32]] = &[&[], &[0], &[0], &[1, 2]];
    let fan: &[&[u32]] = &[&[], &[0], &[0], &[0], &[0], &[0], &[1, 2, 3, 4, 5]];
    let fan_in: &[&[u32]] = &[&[], &[], &[], &[0, 1, 2]];
    let lattice: &[&[u32]] = &[&[], &[], &[0, 1], &[0, 1], &[2, 3], &[2, 3]];
    let pipeline: &[&[u32]] = &[&[], &[0], &[1], &[], &[3], &[4], &[2, 5]];
    let apart: &[&[u32]] = &[&[], &[], &[], &[]];
    let retried = |def| StepDef { retry: Retry { max: 2, ..Retry::NONE }, ..def };
    let joined =
        |join: Join| move |def: StepDef| if def.after.len() > 2 { StepDef { join, ..def } } else { def };
    let mut sagas = vec![
        ("booking, bare", shaped(chain3, &[0])),
        ("booking, probed", shaped(chain3, &[1])),
        ("booking, repeatable", shaped(chain3, &[2])),
        ("booking, last cannot be undone", shaped(chain3, &[0, 1, 3])),
        ("booking, mixed", shaped(chain3, &[1, 2, 0])),
        ("release of six steps", shaped(chain6, &[1])),
        ("release, every other step reads", shaped(chain6, &[1, 5])),
        ("release, repeated on failure", with(shaped(chain6, &[1]), retried)),
        ("build and test side by side", shaped(diamond, &[1])),
        ("build and test, unprobed", shaped(diamond, &[0])),
        ("five reviewers, all", shaped(fan, &[1])),
        ("five reviewers, majority", with(shaped(fan, &[1]), joined(Join::Majority))),
        ("five reviewers, any", with(shaped(fan, &[0]), joined(Join::AtLeast(1)))),
        ("five reviewers, two", with(shaped(fan, &[2]), joined(Join::AtLeast(2)))),
        ("three sources into one", shaped(fan_in, &[5, 5, 5, 1])),
        ("lattice", shaped(lattice, &[1, 0])),
        ("two pipelines", shaped(pipeline, &[1, 2])),
        ("four things apart", shaped(apart, &[0, 1, 2, 3])),
    ];
    let mut plans: Vec<(&'static str, Plan)> = Vec::new();
    for (name, steps) in sagas.drain(..) {
        plans.push((name, Plan::new(steps.into_iter().map(Arc::new).collect())));
    }
    let limited =
        |steps: Vec<StepDef>, limits| Plan { limits, ..Plan::new(steps.into_iter().map(Arc::new).collect()) };
    let one = Limits { concurrency: 1, ..Limits::default() };
    plans.push(("two pipelines, one at a time", limited(shaped(pipeline, &[1]), one)));
    let short = Limits { within: Some(Duration::from_millis(9)), ..Limits::default() };
    plans.push(("a booking that runs out of time", limited(shaped(chain6, &[0]), short)));
    plans
}

fn good(plan: &Plan) -> Vec<Fate> {
    vec![Fate::of(Act::Done, Act::Done); plan.steps.len()]
}

/// INVARIANT (S1): whichever step fails, in whichever way, the end says what became of every step.
#[test]
fn s1_each_fails_at_every_step() {
    let (mut runs, sagas) = (0, sagas());
    assert_eq!(sagas.len(), 20);
    for (name, plan) in sagas {
        assert_eq!(plan.growth, Growth::Sealed, "{name}");
        for k in 0..plan.steps.len() {
            for (execute, undo) in [
                (Act::Permanent, Act::Done),
                (Act::LostDone, Act::Done),
                (Act::LostNot, Act::Done),
                (Act::Done, Act::Permanent),
            ] {
                let mut fates = good(&plan);
                fates[k] = Fate::of(execute, undo);
                // So that there is something to undo where only an undo fails.
                if undo == Act::Permanent && k + 1 < fates.len() {
                    fates[k + 1] = Fate::of(Act::Permanent, Act::Done);
                }
                let mut run = Run::new(plan.clone(), fates);
                run.finish(|_| Turn::End(0));
                run.check_end();
                runs += 1;
            }
        }
    }
    assert!(runs > 300, "{runs}");
}

/// INVARIANT (S1), (S4): wherever the supervisor is cut off, and whatever was running then had its effect or
/// not, the saga that is taken up again ends as it may.
#[test]
fn s1_each_is_cut_off_at_every_record() {
    let mut places = 0;
    for (name, plan) in sagas() {
        for failing in [None, Some(plan.steps.len() - 1)] {
            let mut fates = good(&plan);
            if let Some(step) = failing {
                fates[step] = Fate::of(Act::Permanent, Act::Done);
            }
            let mut whole = Run::new(plan.clone(), fates);
            whole.finish(|_| Turn::End(0));
            for k in 2..whole.events.len() {
                for effects in [0, u64::MAX] {
                    let saga = replay(&whole.events[..k]);
                    let (world, events) = (whole.worlds[k].clone(), whole.events[..k].to_vec());
                    let mut run =
                        Run { saga, world, events, worlds: whole.worlds[..=k].to_vec(), ..whole.clone() };
                    run.crash(effects);
                    run.finish(|_| Turn::End(0));
                    run.check_end();
                    let state = run.saga.state();
                    let probed = plan.steps.iter().all(|def| def.probe.is_some() || !def.has_effect());
                    if probed && failing.is_none() {
                        assert_eq!(state, SagaState::Completed, "{name}: nothing is lost by a crash");
                    }
                    places += 1;
                }
            }
        }
    }
    assert!(places > 700, "{places}");
}
