//! The rules of a saga one by one, each as a small story with its exact course.

use crate::simulation::{Act, Fate, Run, Sight, Turn, declared, step};
use Act::{Dirty, Done, LostDone, LostNot, Permanent, Retryable, Unbegun};
use hv_saga::{
    AttemptRef, Begin, Cause, Class, Decided, Failure, Growth, Idempotence, Join, Limits, Micros, Move, Pace,
    Plan, PlanError, Purpose, Reason, Report, Retry, Saga, SagaCommand, SagaDenial, SagaEvent, SagaState,
    StepDef, StepState, Task, TaskProblem, Verdict, limits,
};
use hv_types::{Machine, Solo, Timestamp};
use std::sync::Arc;
use std::time::Duration;

fn plan(steps: impl IntoIterator<Item = StepDef>) -> Plan {
    Plan::new(steps.into_iter().map(Arc::new).collect())
}

fn finished(steps: impl IntoIterator<Item = StepDef>, fates: Vec<Fate>) -> Run {
    let mut run = Run::new(plan(steps), fates);
    run.finish(|_| Turn::End(0));
    run.check_end();
    run
}

fn chain(length: usize) -> Vec<StepDef> {
    (0..length).map(|n| step(n, if n == 0 { vec![] } else { vec![n as u32 - 1] })).collect()
}

fn good(count: usize) -> Vec<Fate> {
    vec![Fate::of(Done, Done); count]
}

/// The starts of a run as `<purpose><step>.<number>`.
fn starts(run: &Run) -> Vec<String> {
    let starts = run.events.iter().filter_map(|event| match event {
        SagaEvent::Started { step, purpose, number, .. } => Some(format!("{purpose}{step}.{number}")),
        _ => None,
    });
    starts.collect()
}

fn state(run: &Run, step: usize) -> StepState {
    run.saga.step(step as u32).unwrap().1.state
}

#[test]
fn a_saga_completes_by_itself() {
    let run = finished(chain(3), good(3));
    assert_eq!(starts(&run), ["execute0.1", "execute1.1", "execute2.1"]);
    assert_eq!(run.saga.state(), SagaState::Completed);
    // Creation with the first start, and two reports with the start that follows, and one with the end.
    assert_eq!(run.events.len(), 2 + 3 * 2 + 1);
}

#[test]
fn a_failed_step_undoes_what_was_committed_in_reverse() {
    let mut fates = good(3);
    fates[2] = Fate::of(Permanent, Done);
    let run = finished(chain(3), fates);
    assert_eq!(starts(&run), ["execute0.1", "execute1.1", "execute2.1", "undo1.1", "undo0.1"]);
    assert_eq!(run.saga.state(), SagaState::Compensated);
    assert_eq!(run.saga.cause(), Some(Cause::Failed { step: 2 }));
    assert_eq!(run.saga.undo_order().collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn retries_grow_are_capped_and_repeat_for_a_seed() {
    let retry = Retry { max: 6, base: Duration::from_millis(100), cap: Duration::from_millis(1000) };
    let ceilings: Vec<_> = (1..=6).map(|n| retry.ceiling(n).as_millis()).collect();
    assert_eq!(ceilings, [100, 200, 400, 800, 1000, 1000]);
    assert_eq!(
        Retry { max: 100, base: Duration::from_secs(86_400), cap: limits::DELAY }.ceiling(100),
        limits::DELAY
    );
    let waits = |seed| {
        let def = StepDef { retry, ..step(0, vec![]) };
        let mut run = Run::new(Plan { seed, ..plan([def]) }, vec![Fate::of(Retryable, Done)]);
        run.finish(|_| Turn::End(0));
        let waits = run.events.iter().filter_map(|event| match event {
            SagaEvent::Moved { to: Move::Retry { wait, .. }, .. } => Some(u128::from(wait.0) / 1000),
            _ => None,
        });
        waits.collect::<Vec<_>>()
    };
    let (one, two) = (waits(1), waits(2));
    assert_eq!(one.len(), 6);
    assert!(one.iter().zip(&ceilings).all(|(wait, ceiling)| wait <= ceiling), "{one:?}");
    assert_eq!(one, waits(1));
    assert_ne!(one, two);
    // Full jitter: over many seeds the first wait is anywhere between nothing and the ceiling.
    let first: Vec<_> = (0..200).map(|seed| waits(seed)[0]).collect();
    let low = first.iter().filter(|wait| **wait < 50).count();
    assert!((60..140).contains(&low), "{low} of 200 in the lower half");
}

#[test]
fn a_request_to_wait_is_honoured_up_to_the_cap() {
    for (asked, at_least) in [(50, 50), (5000, 100)] {
        let retry = Retry { max: 1, base: Duration::ZERO, cap: Duration::from_millis(100) };
        let mut saga = Solo::<Saga>::default();
        saga.run(&SagaCommand::begin(plan([StepDef { retry, ..step(0, vec![]) }])), Timestamp(0)).unwrap();
        let first = saga.state().running().next().unwrap();
        let mut failure = Failure::new(Class::Retryable, Reason::Http { status: 503 });
        failure.retry_after = Some(Duration::from_millis(asked));
        saga.run(&Report::of(first, Verdict::Failed(failure)).into(), Timestamp(0)).unwrap();
        assert_eq!(saga.state().next_wake(), Some(Timestamp(0).after(Duration::from_millis(at_least))));
        // A moment too early nothing starts.
        let early = Timestamp(at_least * 1_000_000 - 1);
        assert_eq!(saga.run(&SagaCommand::advance(), early), Ok(vec![]));
        assert_eq!(saga.run(&SagaCommand::advance(), Timestamp(at_least * 1_000_000)).unwrap().len(), 1);
    }
}

/// What follows from a doubt, for each way to declare a step and each thing that happened.
#[test]
fn a_step_in_doubt_is_probed_or_repeated_or_undone() {
    for (kind, act, course, end, standing) in [
        // A probe that finds the effect keeps it; one that does not lets the step be tried as often as it may.
        (1, LostDone, &["execute0.1", "probe0.1"][..], SagaState::Completed, StepState::Committed),
        (1, LostNot, &["execute0.1", "probe0.1"], SagaState::Compensated, StepState::Failed),
        // Repeated under the same key.
        (2, LostDone, &["execute0.1", "execute0.2"], SagaState::Completed, StepState::Committed),
        // Neither: treated as done, and undone.
        (0, LostDone, &["execute0.1", "undo0.1"], SagaState::Compensated, StepState::Compensated),
        (0, LostNot, &["execute0.1", "undo0.1"], SagaState::Compensated, StepState::Compensated),
        // Nothing takes it back.
        (3, LostDone, &["execute0.1"], SagaState::Escalated, StepState::CompensationFailed),
        // Nothing to take back.
        (5, LostDone, &["execute0.1", "execute0.2"], SagaState::Completed, StepState::Committed),
    ] {
        let fate = Fate { execute: vec![act, Done], ..Fate::of(act, Done) };
        let run = finished([declared(step(0, vec![]), kind)], vec![fate]);
        assert_eq!(starts(&run), course, "declared as {kind}, {act:?}");
        assert_eq!((run.saga.state(), state(&run, 0)), (end, standing), "declared as {kind}, {act:?}");
    }
}

#[test]
fn a_probe_that_cannot_tell_leads_to_undo() {
    let fate = Fate { probe: vec![Sight::Blind, Sight::Blind, Sight::Truth], ..Fate::of(LostDone, Done) };
    let retry = Retry { max: 1, ..step(0, vec![]).undo_retry };
    let def = StepDef { undo_retry: retry, ..declared(step(0, vec![]), 1) };
    let run = finished([def], vec![fate]);
    assert_eq!(starts(&run), ["execute0.1", "probe0.1", "probe0.2", "undo0.1", "probe0.3"]);
    assert_eq!(run.saga.state(), SagaState::Compensated);
}

/// A step that failed half way is asked what it left behind.
#[test]
fn a_definite_failure_is_probed_too() {
    let run = finished([declared(step(0, vec![]), 1)], vec![Fate::of(Dirty, Done)]);
    assert_eq!(starts(&run), ["execute0.1", "probe0.1", "undo0.1", "probe0.2"]);
    assert_eq!((run.saga.state(), run.world.there[0]), (SagaState::Compensated, false));
}

/// What could not begin, however often, is neither asked about nor undone: a probe that cannot answer either would
/// make a failure of it that nobody can take back, and one that finds something would have somebody else's work undone.
#[test]
fn s1_what_never_began_is_not_undone() {
    let often = |max| StepDef { retry: Retry::times(max), ..declared(step(0, vec![]), 1) };
    for (max, course) in [(0, &["execute0.1"][..]), (1, &["execute0.1", "execute0.2"])] {
        for (there, sight) in [(true, Sight::Truth), (false, Sight::Blind)] {
            let fate = Fate { probe: vec![sight], ..Fate::of(Unbegun, Permanent) };
            let mut run = Run::new(plan([often(max)]), vec![fate]);
            run.world.there[0] = there;
            run.finish(|_| Turn::End(0));
            assert_eq!(starts(&run), course);
            assert_eq!((run.saga.state(), state(&run, 0)), (SagaState::Compensated, StepState::Failed));
            assert_eq!(run.world.there[0], there, "what was there stays there");
        }
    }
}

/// An attempt that did begin is asked about, also where the last one did not, was refused or never came.
#[test]
fn s1_an_attempt_that_began_is_asked_about_whatever_follows() {
    let def = || StepDef { retry: Retry::times(1), ..declared(step(0, vec![]), 1) };
    let fate = Fate { execute: vec![Dirty, Unbegun], ..Fate::of(Done, Done) };
    let mut run = Run::new(plan([def()]), vec![fate.clone()]);
    run.finish(|_| Turn::End(0));
    assert_eq!(starts(&run), ["execute0.1", "execute0.2", "probe0.1", "undo0.1", "probe0.2"]);
    assert!(!run.world.there[0]);

    let mut run = Run::new(plan([def()]), vec![fate.clone()]);
    let verdict = run_dirty(&mut run);
    run.commit(Report::of(AttemptRef { step: 0, purpose: Purpose::Execute, number: 1 }, verdict).into());
    run.commit(SagaCommand::Cancel);
    run.finish(|_| Turn::End(0));
    assert_eq!(starts(&run), ["execute0.1", "probe0.1", "undo0.1", "probe0.2"]);

    let mut run = Run::new(plan([def()]), vec![Fate { execute: vec![Dirty, Done], ..fate }]);
    let verdict = run_dirty(&mut run);
    run.commit(Report::of(AttemptRef { step: 0, purpose: Purpose::Execute, number: 1 }, verdict).into());
    run.fates[0].refused = true;
    run.finish(|_| Turn::End(0));
    assert_eq!(starts(&run), ["execute0.1", "probe0.1", "undo0.1", "probe0.2"]);
}

/// The first attempt has its effect and fails.
fn run_dirty(run: &mut Run) -> Verdict {
    run.world.there[0] = true;
    Verdict::Failed(Failure::new(Class::Retryable, Reason::Exit { code: 1 }))
}

/// A later definite failure says nothing about an earlier attempt in doubt.
#[test]
fn s1_an_earlier_doubt_outlives_a_later_failure() {
    let fate = Fate { execute: vec![LostDone, Permanent], ..Fate::of(Done, Done) };
    let run = finished([declared(step(0, vec![]), 2)], vec![fate]);
    assert_eq!(starts(&run), ["execute0.1", "execute0.2", "undo0.1"]);
    assert_eq!((run.saga.state(), run.world.there[0]), (SagaState::Compensated, false));
}

/// Never "compensated" before a probe has confirmed it; what lies about its undo is found out.
#[test]
fn s1_an_undo_is_confirmed_by_its_probe() {
    for (undo, sight, end) in [
        (Done, Sight::Truth, SagaState::Compensated),
        (LostDone, Sight::Truth, SagaState::Compensated),
        (LostNot, Sight::Truth, SagaState::Escalated),
        (Permanent, Sight::Truth, SagaState::Escalated),
        (Done, Sight::Blind, SagaState::Escalated),
    ] {
        let fates = vec![Fate { probe: vec![sight], ..Fate::of(Done, undo) }, Fate::of(Permanent, Done)];
        let run = finished([declared(step(0, vec![]), 1), step(1, vec![0])], fates);
        assert_eq!(run.saga.state(), end, "{undo:?} {sight:?}");
    }
}

#[test]
fn an_undo_is_repeated_and_the_others_run_on_when_it_fails() {
    let retry = Retry { max: 2, ..step(0, vec![]).undo_retry };
    let mut steps = chain(3);
    steps[1].undo_retry = retry;
    for (undo, end) in [
        (vec![Retryable, Retryable, Done], SagaState::Compensated),
        (vec![Retryable, Retryable, Retryable, Done], SagaState::Escalated),
    ] {
        let fates =
            vec![Fate::of(Done, Done), Fate { undo, ..Fate::of(Done, Done) }, Fate::of(Permanent, Done)];
        let run = finished(steps.clone(), fates);
        let expected = ["execute0.1", "execute1.1", "execute2.1", "undo1.1", "undo1.2", "undo1.3", "undo0.1"];
        assert_eq!(starts(&run), expected);
        assert_eq!((run.saga.state(), run.world.there[0]), (end, false));
    }
}

/// An undo that timed out is repeated only if it may be; otherwise a person must look.
#[test]
fn an_undo_in_doubt_is_repeated_only_if_declared() {
    for (idempotent, end) in [
        (Idempotence::None, SagaState::Escalated),
        (Idempotence::Execute, SagaState::Escalated),
        (Idempotence::Undo, SagaState::Compensated),
    ] {
        let fates =
            vec![Fate { undo: vec![LostNot, Done], ..Fate::of(Done, Done) }, Fate::of(Permanent, Done)];
        let run = finished([StepDef { idempotent, ..step(0, vec![]) }, step(1, vec![0])], fates);
        assert_eq!(run.saga.state(), end, "{idempotent:?}");
    }
}

#[test]
fn a_refused_step_turns_the_saga_back() {
    let mut fates = good(3);
    fates[1].refused = true;
    let run = finished(chain(3), fates);
    assert_eq!(starts(&run), ["execute0.1", "undo0.1"]);
    assert_eq!((state(&run, 1), state(&run, 2)), (StepState::Denied, StepState::Pending));
    assert_eq!(run.saga.cause(), Some(Cause::Denied { step: 1 }));

    let mut fates = good(1);
    fates[0].refused = true;
    let run = finished(chain(1), fates);
    assert!(starts(&run).is_empty());
    assert_eq!(run.saga.state(), SagaState::Compensated);
}

#[test]
fn a_held_step_waits_and_everything_else_goes_on() {
    let now = Timestamp(1_000_000_000);
    let mut saga = Saga::default();
    let begin = SagaCommand::begin(plan([step(0, vec![]), step(1, vec![]), step(2, vec![0])]));
    let mut act = |command: &SagaCommand, held: &[u32]| {
        let Decided { events, after } = saga.decide_holding(command, held, now).unwrap();
        events.iter().for_each(|event| saga.apply(event).unwrap());
        assert_eq!(saga, after);
        let started = events.iter().filter_map(|event| match event {
            SagaEvent::Started { step, .. } => Some(*step),
            _ => None,
        });
        (started.collect::<Vec<_>>(), saga.state())
    };
    assert_eq!(act(&begin, &[0]), (vec![1], SagaState::Running));
    let at = AttemptRef { step: 1, purpose: Purpose::Execute, number: 1 };
    // All that can start is held: nothing happens, and the saga is not over.
    assert_eq!(act(&Report::of(at, Verdict::Done).into(), &[0]), (vec![], SagaState::Running));
    assert_eq!(act(&SagaCommand::advance(), &[0]), (vec![], SagaState::Running));
    assert_eq!(act(&SagaCommand::advance(), &[2]), (vec![0], SagaState::Running));
    let at = AttemptRef { step: 0, ..at };
    assert_eq!(act(&Report::of(at, Verdict::Done).into(), &[]), (vec![2], SagaState::Running));
}

#[test]
fn independent_steps_run_at_the_same_time_up_to_the_limit() {
    let steps: Vec<_> = (0..10).map(|n| step(n, vec![])).collect();
    for (concurrency, running) in [(1, 1), (8, 8), (100, 10)] {
        let limits = Limits { concurrency, ..Limits::default() };
        let mut run = Run::new(Plan { limits, ..plan(steps.clone()) }, good(10));
        assert_eq!(run.saga.running().count(), running);
        run.finish(|running| Turn::End(running - 1));
        assert_eq!(run.saga.state(), SagaState::Completed);
    }
}

/// Fan-out: a failure is borne as long as what waits for it can still get what it needs.
#[test]
fn a_join_bears_failures_as_far_as_it_says() {
    for (join, failures, end) in [
        (Join::All, 0, SagaState::Completed),
        (Join::All, 1, SagaState::Compensated),
        (Join::Majority, 1, SagaState::Completed),
        (Join::Majority, 2, SagaState::Compensated),
        (Join::AtLeast(1), 2, SagaState::Completed),
        (Join::AtLeast(1), 3, SagaState::Compensated),
        (Join::AtLeast(3), 1, SagaState::Compensated),
    ] {
        let steps = (0..3).map(|n| step(n, vec![])).chain([StepDef { join, ..step(3, vec![0, 1, 2]) }]);
        let mut fates = good(4);
        fates.iter_mut().take(failures).for_each(|fate| fate.execute = vec![Permanent]);
        let run = finished(steps, fates);
        assert_eq!(run.saga.state(), end, "{join:?} with {failures} failures");
    }
}

#[test]
fn undo_runs_side_by_side_where_the_graph_allows() {
    let steps = [step(0, vec![]), step(1, vec![0]), step(2, vec![0]), step(3, vec![1, 2])];
    let mut fates = good(4);
    fates[3] = Fate::of(Permanent, Done);
    let mut run = Run::new(plan(steps), fates);
    while run.saga.state() == SagaState::Running {
        let attempt = run.saga.running().next().unwrap();
        let verdict = run.perform(attempt);
        run.commit(Report::of(attempt, verdict).into());
    }
    let running: Vec<_> = run.saga.running().map(|attempt| attempt.step).collect();
    assert_eq!(running, [1, 2]);
    run.finish(|_| Turn::End(0));
    run.check_end();
    assert_eq!(run.saga.undo_order().collect::<Vec<_>>(), [2, 1, 0]);
}

/// Whoever asked for a step knew what came of those before: nothing is undone before what came after it is.
#[test]
fn s2_what_was_asked_for_is_undone_one_step_at_a_time() {
    let retry = Retry { max: 1, base: Duration::from_secs(1), cap: Duration::from_secs(1) };
    let steps = [step(0, vec![]), StepDef { undo_retry: retry, ..step(1, vec![]) }];
    for (pace, meanwhile) in [(Pace::Asked, vec![]), (Pace::AsReady, vec![0])] {
        let mut fates = good(2);
        fates[1].undo = vec![Retryable, Done];
        let mut run = Run::new(Plan { pace, growth: Growth::Open, ..plan(steps.clone()) }, fates);
        let ends = |run: &mut Run, step, purpose| {
            let at = AttemptRef { step, purpose, number: 1 };
            let verdict = run.perform(at);
            run.commit(Report::of(at, verdict).into());
        };
        for step in 0..2 {
            if pace == Pace::Asked {
                run.commit(SagaCommand::Start { step, refused: vec![] });
            }
            ends(&mut run, step, Purpose::Execute);
        }
        run.commit(SagaCommand::Cancel);
        ends(&mut run, 1, Purpose::Undo);
        assert_eq!(state(&run, 1), StepState::UndoWaiting);
        let running: Vec<_> = run.saga.running().map(|attempt| attempt.step).collect();
        assert_eq!(running, meanwhile, "while the undo of the last waits to be tried again");
        run.finish(|_| Turn::End(0));
        run.check_end();
        assert_eq!(run.saga.state(), SagaState::Compensated);
    }
}

#[test]
fn an_undo_that_would_come_too_late_is_not_run() {
    let window = |ms| StepDef { undo_window: Some(Duration::from_millis(ms)), ..step(0, vec![]) };
    for (ms, end) in [(3, SagaState::Compensated), (2, SagaState::Escalated)] {
        let run =
            finished([window(ms), step(1, vec![0])], vec![Fate::of(Done, Done), Fate::of(Permanent, Done)]);
        assert_eq!(run.saga.state(), end, "a window of {ms} ms, 3 ms after the commit");
    }
}

/// The window counts from the commit, however often the undo was tried since: what can be tried again is so while it is
/// open, and given up behind it.
#[test]
fn an_undo_is_not_tried_again_behind_its_window() {
    let retry = Retry { max: 8, base: Duration::from_millis(1), cap: Duration::from_millis(1) };
    let fates = || vec![Fate::of(Done, Retryable), Fate::of(Permanent, Done)];
    let with =
        |undo_window| [StepDef { undo_window, undo_retry: retry, ..step(0, vec![]) }, step(1, vec![0])];
    let tried = |window| {
        let run = finished(with(window), fates());
        assert_eq!(run.saga.state(), SagaState::Escalated);
        run.saga.step(0).unwrap().1.undos
    };
    assert_eq!(tried(None), 9);
    let few = tried(Some(Duration::from_millis(6)));
    assert!((1..9).contains(&few), "{few}");
    // No record gives it up before.
    let mut run = Run::new(plan(with(Some(Duration::from_millis(500)))), fates());
    while state(&run, 0) != StepState::UndoWaiting {
        let next = run.saga.running().next().unwrap();
        let verdict = run.perform(next);
        run.commit(Report::of(next, verdict).into());
    }
    let failure = Failure::new(Class::Permanent, Reason::TooLate);
    let gives_up = |at| SagaEvent::Moved { step: 0, to: Move::UndoFailed { failure: failure.clone() }, at };
    for (at, good) in [(Micros(400_000), false), (Micros(900_000), true)] {
        assert_eq!(run.saga.clone().apply(&gives_up(at)).is_ok(), good, "{at:?}");
    }
}

#[test]
fn a_saga_out_of_time_is_undone() {
    let limits = Limits { within: Some(Duration::from_millis(5)), ..Limits::default() };
    let mut run = Run::new(Plan { limits, ..plan(chain(4)) }, good(4));
    assert_eq!(run.saga.next_wake(), Some(run.now.after(Duration::from_millis(5))));
    run.finish(|_| Turn::End(0));
    run.check_end();
    assert_eq!(run.saga.cause(), Some(Cause::OutOfTime {}));
    assert_eq!(starts(&run), ["execute0.1", "execute1.1", "undo1.1", "undo0.1"]);
}

#[test]
fn cancelling_undoes_and_undo_cannot_be_cancelled() {
    let mut run = Run::new(plan(chain(3)), good(3));
    let first = run.saga.running().next().unwrap();
    let verdict = run.perform(first);
    run.commit(Report::of(first, verdict).into());
    run.commit(SagaCommand::Cancel);
    assert_eq!(run.saga.state(), SagaState::Compensating);
    run.commit(SagaCommand::Cancel);
    run.finish(|_| Turn::End(0));
    run.check_end();
    assert_eq!(starts(&run), ["execute0.1", "execute1.1", "undo1.1", "undo0.1"]);
}

#[test]
fn a_saga_grows_while_it_runs_until_it_is_sealed_or_finished() {
    let at = Timestamp(0);
    let mut saga = Solo::<Saga>::default();
    let append = |n, growth| SagaCommand::Append { steps: vec![Arc::new(step(n, vec![]))], growth };
    saga.run(&SagaCommand::begin(Plan::open()), at).unwrap();
    assert_eq!(saga.state().state(), SagaState::Running);
    for n in 0..2 {
        saga.run(&append(n, Growth::Open), at).unwrap();
        saga.run(&SagaCommand::advance(), at).unwrap();
        let attempt = saga.state().running().next().unwrap();
        assert_eq!(attempt.step, n as u32);
        saga.run(&Report::of(attempt, Verdict::Done).into(), at).unwrap();
    }
    let mut sealed = saga.clone();
    sealed.run(&SagaCommand::Seal, at).unwrap();
    assert_eq!(sealed.state().state(), SagaState::Completed);
    let mut finished = saga.clone();
    finished.run(&SagaCommand::Finish, at).unwrap();
    assert_eq!(finished.state().state(), SagaState::Completed);
    // With work left, to finish is to undo.
    saga.run(&append(2, Growth::Open), at).unwrap();
    saga.run(&SagaCommand::Finish, at).unwrap();
    assert_eq!(saga.state().cause(), Some(Cause::Unfinished {}));
    assert_eq!(saga.state().undo_order().collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn steps_start_when_asked_where_the_pace_says_so() {
    let at = Timestamp(0);
    let mut saga = Solo::<Saga>::default();
    saga.run(&SagaCommand::begin(Plan { pace: Pace::Asked, ..plan(chain(2)) }), at).unwrap();
    assert_eq!(saga.state().running().count(), 0);
    let start = |step| SagaCommand::Start { step, refused: vec![] };
    let denied = |error| match error {
        Err(hv_types::SoloError::Denied(denial)) => denial,
        other => panic!("{other:?}"),
    };
    assert_eq!(denied(saga.run(&start(1), at)), SagaDenial::NotReady { step: 1 });
    assert_eq!(denied(saga.run(&start(2), at)), SagaDenial::NoStep { step: 2, of: 2 });
    saga.run(&start(0), at).unwrap();
    assert_eq!(denied(saga.run(&start(0), at)), SagaDenial::NotReady { step: 0 });
    let first = saga.state().running().next().unwrap();
    saga.run(&Report::of(first, Verdict::Done).into(), at).unwrap();
    assert_eq!((saga.state().state(), saga.state().running().count()), (SagaState::Running, 0));
}

#[test]
fn an_empty_saga_completes_at_once() {
    let run = Run::new(plan([]), vec![]);
    assert_eq!(run.saga.state(), SagaState::Completed);
}

#[test]
fn commands_out_of_place_are_refused() {
    let now = Timestamp(5);
    let none = Saga::default();
    assert_eq!(none.decide(&SagaCommand::Cancel, now), Err(SagaDenial::NotCreated));
    let run = Run::new(plan(chain(2)), good(2));
    let again = SagaCommand::Create { plan: plan([]), begin: Begin::Later, refused: vec![] };
    assert_eq!(run.saga.decide(&again, now), Err(SagaDenial::AlreadyCreated));
    let append = SagaCommand::Append { steps: vec![], growth: Growth::Open };
    assert_eq!(run.saga.decide(&append, now), Err(SagaDenial::Sealed));
    // A report about an attempt that does not run, does not exist, or is of another kind.
    for (step, purpose, number) in
        [(0, Purpose::Execute, 2), (0, Purpose::Undo, 1), (1, Purpose::Execute, 1), (9, Purpose::Execute, 1)]
    {
        let attempt = AttemptRef { step, purpose, number };
        let report = Report::of(attempt, Verdict::Done).into();
        assert_eq!(run.saga.decide(&report, now), Err(SagaDenial::Stale { attempt }));
    }
    let mut cancelled = run.saga.clone();
    for event in run.saga.decide(&SagaCommand::Cancel, now).unwrap() {
        cancelled.apply(&event).unwrap();
    }
    assert_eq!(cancelled.decide(&SagaCommand::Finish, now), Err(SagaDenial::TurnedBack));
}

/// The attempt of a process that was given up cannot report any more.
#[test]
fn a_report_from_before_the_crash_is_refused() {
    let mut run = Run::new(plan([declared(step(0, vec![]), 2)]), good(1));
    let old = run.saga.running().next().unwrap();
    run.crash(0);
    let new = run.saga.running().next().unwrap();
    assert_eq!((old.number, new.number), (1, 2));
    let report = Report::of(old, Verdict::Done).into();
    assert_eq!(run.saga.decide(&report, run.now), Err(SagaDenial::Stale { attempt: old }));
}

/// A crash costs no retry; a step that brings the supervisor down again and again is given up.
#[test]
fn crashes_are_counted_up_to_a_limit() {
    let mut run = Run::new(plan([declared(step(0, vec![]), 2)]), good(1));
    for _ in 0..limits::CRASHES {
        run.crash(0);
        assert_eq!(run.saga.state(), SagaState::Running);
    }
    for _ in 0..3 {
        run.crash(0);
    }
    assert_eq!(run.saga.state(), SagaState::Compensating);
}

#[test]
fn definitions_are_checked_as_a_whole() {
    let ms = Duration::from_millis;
    let set = |change: fn(&mut StepDef)| {
        let mut def = step(1, vec![0]);
        change(&mut def);
        plan([step(0, vec![]), def]).check()
    };
    let id = || step(1, vec![]).id;
    assert_eq!(set(|_| ()), Ok(()));
    assert_eq!(set(|def| def.after = vec![1]), Err(PlanError::AfterLater { step: id(), after: 1 }));
    assert_eq!(set(|def| def.after = vec![0, 0]), Err(PlanError::AfterTwice { step: id() }));
    assert_eq!(
        set(|def| def.id = step(0, vec![]).id),
        Err(PlanError::DuplicateStep { id: step(0, vec![]).id })
    );
    for (count, good) in [(0, false), (1, true), (2, false)] {
        let def = StepDef { join: Join::AtLeast(count), ..step(1, vec![0]) };
        assert_eq!(plan([step(0, vec![]), def]).check().is_ok(), good, "{count} of 1");
    }
    for (timeout, good) in
        [(Duration::ZERO, false), (ms(1), true), (limits::TIMEOUT, true), (limits::TIMEOUT + ms(1), false)]
    {
        assert_eq!(plan([StepDef { timeout, ..step(0, vec![]) }]).check().is_ok(), good, "{timeout:?}");
        let undo = StepDef { undo_timeout: timeout, ..step(0, vec![]) };
        assert_eq!(plan([undo]).check().is_ok(), good, "{timeout:?}");
    }
    for (max, base, cap, good) in [
        (limits::RETRIES, ms(0), ms(0), true),
        (limits::RETRIES + 1, ms(0), ms(0), false),
        (0, ms(2), ms(1), false),
        (0, limits::DELAY, limits::DELAY, true),
        (0, ms(1), limits::DELAY + ms(1), false),
    ] {
        let retry = Retry { max, base, cap };
        assert_eq!(plan([StepDef { retry, ..step(0, vec![]) }]).check().is_ok(), good, "{retry:?}");
    }
    for (window, good) in [(ms(0), false), (limits::UNDO_WINDOW, true), (limits::UNDO_WINDOW + ms(1), false)]
    {
        let def = StepDef { undo_window: Some(window), ..step(0, vec![]) };
        assert_eq!(plan([def]).check().is_ok(), good, "{window:?}");
    }
    for (concurrency, good) in
        [(0, false), (1, true), (limits::CONCURRENCY, true), (limits::CONCURRENCY + 1, false)]
    {
        let limits = Limits { concurrency, ..Limits::default() };
        assert_eq!(Plan { limits, ..plan([]) }.check().is_ok(), good, "{concurrency}");
    }
    let problem = TaskProblem::Empty { what: "program" };
    let task = step(0, vec![]).with_undo(Task::command([""]));
    let expected = PlanError::Task { step: task.id.clone(), purpose: Purpose::Undo, problem };
    assert_eq!(plan([task]).check(), Err(expected));
    let most: Vec<_> = (0..limits::STEPS).map(|n| step(n, vec![])).collect();
    assert_eq!(plan(most.clone()).check(), Ok(()));
    let more = most.into_iter().chain([step(limits::STEPS, vec![])]);
    assert_eq!(plan(more).check(), Err(PlanError::TooManySteps { given: limits::STEPS + 1 }));
}

/// A loss that shows only when a doubt is settled turns the saga back before anything else starts: neither what is ready
/// nor another doubt is tried any more.
#[test]
fn nothing_starts_once_a_doubt_has_lost_the_saga() {
    let limits = Limits { concurrency: 2, ..Limits::default() };
    let steps = [declared(step(0, vec![]), 2), declared(step(1, vec![]), 0), declared(step(2, vec![]), 3)];
    let mut run = Run::new(Plan { limits, ..plan(steps) }, good(3));
    run.crash(0);
    run.finish(|_| Turn::End(0));
    run.check_end();
    assert_eq!(run.saga.cause(), Some(Cause::InDoubt { step: 1 }));
    assert_eq!(starts(&run), ["execute0.1", "execute1.1", "undo0.1", "undo1.1"]);
    assert_eq!((run.saga.state(), state(&run, 2)), (SagaState::Compensated, StepState::Pending));
}

/// What can be neither asked nor repeated is not waited for: the way back begins at once.
#[test]
fn a_doubt_that_nothing_settles_holds_nobody_up() {
    let retry = Retry { max: 1, base: Duration::from_secs(3600), cap: Duration::from_secs(3600) };
    for kind in [0, 2] {
        let mut run = Run::new(plan([StepDef { retry, ..declared(step(0, vec![]), kind) }]), good(1));
        let attempt = run.saga.running().next().unwrap();
        let lost = Verdict::Failed(Failure::new(Class::Unknown, Reason::TimedOut));
        run.perform(attempt);
        run.commit(Report::of(attempt, lost).into());
        run.commit(SagaCommand::Cancel);
        assert_eq!(starts(&run), ["execute0.1", "undo0.1"], "declared as {kind}");
    }
}

/// A clock that goes back, as it may between two runs, keeps nothing from being undone.
#[test]
fn what_has_committed_is_undone_also_when_the_clock_went_back() {
    let at = |ms: u64| Timestamp(ms * 1_000_000);
    let mut saga = Solo::<Saga>::default();
    saga.run(&SagaCommand::begin(plan(chain(2))), at(1_000)).unwrap();
    for now in [5_000, 9_000] {
        let attempt = saga.state().running().next().unwrap();
        saga.run(&Report::of(attempt, Verdict::Done).into(), at(now)).unwrap();
        if now == 5_000 {
            saga.run(&SagaCommand::Cancel, at(500)).unwrap();
        }
    }
    let undone = |saga: &mut Solo<Saga>| {
        let attempt = saga.state().running().next().unwrap();
        assert_eq!(attempt.purpose, Purpose::Undo);
        saga.run(&Report::of(attempt, Verdict::Done).into(), at(200)).unwrap();
    };
    undone(&mut saga);
    undone(&mut saga);
    assert_eq!(saga.state().state(), SagaState::Compensated);
}

/// A question that a crash cut off is asked again, and is no reason to execute a step more often than it may be.
#[test]
fn a_crash_while_a_probe_runs_gives_no_execution() {
    let fate = Fate { execute: vec![LostNot, Dirty], ..Fate::of(Done, Done) };
    let mut run = Run::new(plan([declared(step(0, vec![]), 1)]), vec![fate]);
    run.crash(0);
    run.crash(0);
    run.finish(|_| Turn::End(0));
    run.check_end();
    let course = ["execute0.1", "probe0.1", "probe0.2", "execute0.2", "probe0.3", "undo0.1", "probe0.4"];
    assert_eq!(starts(&run), course);
    // Not without end: who crashes whenever it asks asks no more one day.
    let mut run = Run::new(plan([declared(step(0, vec![]), 1)]), good(1));
    run.crash(1);
    while run.saga.state() == SagaState::Running {
        run.crash(0);
        run.now = run.saga.next_wake().unwrap_or(run.now);
        run.commit(SagaCommand::advance());
        assert!(
            state(&run, 0) != StepState::Probing || run.saga.step(0).unwrap().1.probes <= limits::CRASHES + 2
        );
    }
    assert_eq!(run.saga.cause(), Some(Cause::InDoubt { step: 0 }));
    assert!(run.saga.step(0).unwrap().1.probes > limits::CRASHES);
}
