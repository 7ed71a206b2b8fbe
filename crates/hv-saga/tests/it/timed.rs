//! Limits of a step over all its attempts, and for how long it may wait for its turn.

use crate::simulation::{Act, Fate, Run, Turn, declared, replay, step};
use hv_saga::{
    Cause, Class, Failure, Join, Limits, Machine, Micros, Move, Pace, Plan, PlanError, Reason, Report, Retry,
    SagaCommand, SagaEvent, SagaState, StepDef, StepLimit, StepState, Verdict, limits,
};
use hv_types::{SagaId, SessionId, Timestamp};
use std::sync::Arc;
use std::time::Duration;

const WITHIN: Duration = Duration::from_millis(100);

/// A repetition that comes at once, as often as it takes.
const AT_ONCE: Retry = Retry { max: 100, base: Duration::ZERO, cap: Duration::ZERO };

fn begun(limits: Limits, steps: impl IntoIterator<Item = StepDef>) -> Run {
    let steps: Vec<_> = steps.into_iter().map(Arc::new).collect();
    let fates = vec![Fate::of(Act::Done, Act::Done); steps.len()];
    Run::new(Plan { limits, ..Plan::new(steps) }, fates)
}

/// One after another, in the order of the steps.
fn one_by_one() -> Limits {
    Limits { concurrency: 1, ..Limits::default() }
}

fn state(run: &Run, step: u32) -> StepState {
    run.saga.step(step).unwrap().1.state
}

/// So long later the only attempt that runs ends with this.
fn ends(run: &mut Run, later: Duration, verdict: Verdict) {
    run.now = run.now.after(later);
    let attempt = run.saga.running().next().unwrap();
    run.commit(Report::of(attempt, verdict).into());
}

fn failed(class: Class) -> Verdict {
    Verdict::Failed(Failure::new(class, Reason::Exit { code: 1 }))
}

/// How long the attempt may take that runs.
fn time_left(run: &Run) -> Duration {
    let names = (SessionId::new("s").unwrap(), SagaId::new("g").unwrap());
    let at = run.events.iter().rposition(|event| matches!(event, SagaEvent::Started { .. })).unwrap();
    let before = replay(&run.events[..at]);
    // The answer is the same before the event is applied and after it.
    let answers = [&before, &run.saga].map(|saga| saga.starts(&names.0, &names.1, &run.events[at..=at]));
    assert_eq!(answers[0], answers[1]);
    answers[0][0].deadline.since(run.now)
}

#[test]
fn no_attempt_starts_after_the_time_of_its_step_and_the_last_is_cut_off_then() {
    let def = StepDef { retry: AT_ONCE, timeout: WITHIN * 10, ..step(0, vec![]) }.with_within(WITHIN);
    let mut run = begun(Limits::default(), [def]);
    assert_eq!(time_left(&run), WITHIN);
    ends(&mut run, WITHIN * 7 / 10, failed(Class::Retryable));
    assert_eq!(state(&run, 0), StepState::Executing, "there is time for another attempt");
    assert_eq!(time_left(&run), WITHIN * 3 / 10);
    ends(&mut run, WITHIN * 3 / 10, failed(Class::Retryable));
    assert_eq!(state(&run, 0), StepState::Failed);
    assert_eq!(run.saga.step(0).unwrap().1.executes, 2);
    assert_eq!(
        (run.saga.state(), run.saga.cause()),
        (SagaState::Compensated, Some(Cause::Failed { step: 0 }))
    );
}

#[test]
fn an_attempt_takes_its_own_time_where_that_is_shorter_and_undo_all_of_it() {
    let short = StepDef { timeout: WITHIN / 4, ..step(0, vec![]) }.with_within(WITHIN);
    let mut run = begun(Limits::default(), [short.clone(), step(1, vec![0])]);
    assert_eq!(time_left(&run), WITHIN / 4);
    ends(&mut run, Duration::ZERO, Verdict::Done);
    ends(&mut run, WITHIN * 50, failed(Class::Permanent));
    assert_eq!(state(&run, 0), StepState::Undoing);
    assert_eq!(time_left(&run), short.undo_timeout);
}

/// A repetition that would come after the time is not waited for.
#[test]
fn a_step_whose_next_attempt_would_come_too_late_fails_at_once() {
    let mut seen = [0; 2];
    for seed in 0..60 {
        let retry = Retry { max: 3, base: WITHIN * 2, cap: WITHIN * 2 };
        let def = StepDef { retry, ..step(0, vec![]) }.with_within(WITHIN);
        let plan = Plan { seed, ..Plan::new(vec![Arc::new(def)]) };
        let mut run = Run::new(plan, vec![Fate::of(Act::Done, Act::Done)]);
        let begun = run.now;
        ends(&mut run, Duration::from_millis(1), failed(Class::Retryable));
        match state(&run, 0) {
            StepState::Waiting => {
                assert!(run.saga.next_wake().unwrap() < begun.after(WITHIN));
                seen[0] += 1;
            }
            StepState::Failed => seen[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert!(seen.iter().all(|count| *count > 10), "half of the waits are longer than the time: {seen:?}");
}

/// There is no place for the repetition, and the saga is paused: the clock goes on.
#[test]
fn a_step_that_waits_for_its_repetition_is_given_up_when_its_time_is_over() {
    for (kind, next) in [(0, StepState::Failed), (1, StepState::Inspecting)] {
        let def = declared(StepDef { retry: AT_ONCE, ..step(0, vec![]) }, kind).with_within(WITHIN);
        let mut run = begun(Limits::default(), [def]);
        let begun = run.now;
        run.commit(SagaCommand::Pause);
        ends(&mut run, WITHIN / 2, failed(Class::Retryable));
        assert_eq!(state(&run, 0), StepState::Waiting);
        assert_eq!(run.saga.next_wake(), Some(begun.after(WITHIN)));
        let early = Timestamp(begun.after(WITHIN).0 - 1000);
        assert_eq!(run.saga.decide(&SagaCommand::advance(), early), Ok(vec![]));
        // No record gives it up before, and none starts it then.
        let over = Micros::of(WITHIN);
        let failure = Failure::new(Class::Permanent, Reason::OutOfTime);
        let given_up = |at| SagaEvent::Moved { step: 0, to: Move::Failed { failure: failure.clone() }, at };
        let takes = |event: SagaEvent| run.saga.clone().apply(&event).is_ok();
        assert!(!takes(given_up(Micros(over.0 - 1))));
        assert_eq!(takes(given_up(over)), kind == 0, "what has a probe is asked");
        run.now = begun.after(WITHIN);
        run.commit(SagaCommand::advance());
        assert_eq!(state(&run, 0), next);
        run.finish(|_| Turn::End(0));
        run.check_end();
    }
}

/// What may be repeated in doubt is not repeated after its time: a probe, or an undo, settles it.
#[test]
fn a_step_in_doubt_is_not_repeated_after_its_time() {
    for (kind, later, executes, next) in [
        (2, WITHIN / 2, 2, StepState::Executing),
        (2, WITHIN, 1, StepState::Undoing),
        (4, WITHIN, 1, StepState::Probing),
        (5, WITHIN, 1, StepState::Failed),
    ] {
        let def = declared(StepDef { retry: AT_ONCE, ..step(0, vec![]) }, kind).with_within(WITHIN);
        let mut run = begun(Limits::default(), [def]);
        ends(&mut run, later, Verdict::Failed(Failure::new(Class::Unknown, Reason::TimedOut)));
        assert_eq!(
            (state(&run, 0), run.saga.step(0).unwrap().1.executes),
            (next, executes),
            "{kind} {later:?}"
        );
        run.finish(|_| Turn::End(0));
        run.check_end();
    }
}

#[test]
fn a_step_without_its_turn_fails_and_nothing_of_it_was_begun() {
    let mut run = begun(one_by_one(), [step(0, vec![]), step(1, vec![]).with_start_within(WITHIN)]);
    let due = run.now.after(WITHIN);
    assert_eq!((state(&run, 1), run.saga.next_wake()), (StepState::Pending, Some(due)));
    let failure = Failure::new(Class::Permanent, Reason::OutOfTime);
    let given_up = |at| SagaEvent::Moved { step: 1, to: Move::Failed { failure: failure.clone() }, at };
    let over = Micros::of(WITHIN);
    for (at, taken) in [(Micros(over.0 - 1), false), (over, true)] {
        assert_eq!(run.saga.clone().apply(&given_up(at)).is_ok(), taken, "{at:?}");
    }
    run.now = due;
    run.commit(SagaCommand::advance());
    assert_eq!(state(&run, 1), StepState::Failed);
    assert_eq!(run.saga.cause(), Some(Cause::Failed { step: 1 }));
    run.finish(|_| Turn::End(0));
    run.check_end();
    assert_eq!(run.world.made, [1, 0]);
    assert_eq!(run.saga.state(), SagaState::Compensated);
}

/// It counts from the commit of the last step that it needed, not of the last that it names.
#[test]
fn waiting_for_others_is_no_waiting_in_line() {
    let last = StepDef { join: Join::AtLeast(1), ..step(2, vec![0, 1]) }.with_start_within(WITHIN);
    let mut run =
        begun(Limits { concurrency: 2, ..Limits::default() }, [step(0, vec![]), step(1, vec![]), last]);
    run.commit(SagaCommand::Pause);
    assert_eq!(run.saga.next_wake(), None);
    ends(&mut run, WITHIN * 20, Verdict::Done);
    let due = run.now.after(WITHIN);
    assert_eq!(run.saga.next_wake(), Some(due));
    ends(&mut run, WITHIN / 2, Verdict::Done);
    assert_eq!(run.saga.next_wake(), Some(due));
    let paused = run.saga.clone();
    run.now = Timestamp(due.0 - 1000);
    run.commit(SagaCommand::Resume { refused: vec![] });
    assert_eq!(state(&run, 2), StepState::Executing);
    // Paused to the end it has failed, also where the saga is read back from its snapshot.
    let snapshot = replay(&paused.compact());
    for saga in [&paused, &snapshot] {
        let events = saga.decide(&SagaCommand::Resume { refused: vec![] }, due).unwrap();
        let after = events.iter().fold(saga.clone(), |mut saga, event| {
            saga.apply(event).unwrap();
            saga
        });
        assert_eq!(after.step(2).unwrap().1.state, StepState::Failed);
        assert_eq!(after.cause(), Some(Cause::Failed { step: 2 }));
    }
}

/// Whoever holds a step back does not hold its clock.
#[test]
fn a_step_that_is_held_back_fails_when_it_has_waited_for_too_long() {
    let plan = Plan::new(vec![Arc::new(step(0, vec![]).with_start_within(WITHIN))]);
    let saga = replay(&[]);
    let now = Timestamp(1_000_000_000);
    let decided = saga.decide_holding(&SagaCommand::begin(plan), &[0], now).unwrap();
    assert_eq!(decided.after.running().count(), 0);
    let due = decided.after.next_wake().unwrap();
    assert_eq!(due, now.after(WITHIN));
    let late = decided.after.decide_holding(&SagaCommand::advance(), &[0], due).unwrap().after;
    assert_eq!((late.state(), late.cause()), (SagaState::Compensated, Some(Cause::Failed { step: 0 })));
}

/// Somebody who asks for it in a saga that starts nothing by itself gets the same.
#[test]
fn a_step_that_is_asked_for_too_late_fails() {
    let plan = Plan::new(vec![Arc::new(step(0, vec![]).with_start_within(WITHIN))]);
    for (later, executes) in [(WITHIN - Duration::from_millis(1), 1), (WITHIN, 0)] {
        let mut run =
            Run::new(Plan { pace: Pace::Asked, ..plan.clone() }, vec![Fate::of(Act::Done, Act::Done)]);
        run.now = run.now.after(later);
        run.commit(SagaCommand::Start { step: 0, refused: vec![] });
        assert_eq!(run.saga.step(0).unwrap().1.executes, executes);
        assert_eq!(run.saga.cause(), (executes == 0).then_some(Cause::Failed { step: 0 }));
    }
}

/// Where what waits for the step can do without it, the saga goes on.
#[test]
fn a_step_without_its_turn_is_borne_where_others_suffice() {
    let late = step(1, vec![]).with_start_within(WITHIN);
    let last = StepDef { join: Join::AtLeast(1), ..step(2, vec![0, 1]) };
    let mut run = begun(one_by_one(), [step(0, vec![]), late, last]);
    run.now = run.now.after(WITHIN);
    run.commit(SagaCommand::advance());
    run.finish(|_| Turn::End(0));
    run.check_end();
    assert_eq!(run.saga.state(), SagaState::Completed);
    assert_eq!(run.world.made, [1, 0, 1]);
}

#[test]
fn a_limit_of_nothing_or_over_a_week_is_refused() {
    let longest = limits::TIMEOUT;
    for (given, good) in [
        (Duration::ZERO, false),
        (Duration::from_micros(999), false),
        (Duration::from_millis(1), true),
        (longest, true),
        (longest + Duration::from_millis(1), false),
    ] {
        for (limit, def) in [
            (StepLimit::Within, step(0, vec![]).with_within(given)),
            (StepLimit::StartWithin, step(0, vec![]).with_start_within(given)),
        ] {
            let checked = Plan::new(vec![Arc::new(def)]).check();
            let refused = PlanError::StepLimit { step: step(0, vec![]).id, limit, given };
            assert_eq!(checked, if good { Ok(()) } else { Err(refused) });
        }
    }
}
