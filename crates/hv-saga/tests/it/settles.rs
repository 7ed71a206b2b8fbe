//! What began and was given up may still go on: what settles the doubt waits until it has ended.

use crate::simulation::{Act, Fate, LATE, Run, Turn, declared, replay, step};
use hv_saga::{
    Class, Failure, HttpTask, Limits, Machine, Micros, Move, Plan, Reason, Report, SagaCommand, SagaEvent,
    SagaState, StepDef, StepState, Task, Verdict, limits,
};
use hv_types::{Did, Timestamp, Wire};
use std::sync::Arc;
use std::time::Duration;

const SETTLES: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_micros(1);

/// A step that is declared so and settles within ten seconds.
fn def(kind: usize) -> StepDef {
    declared(step(0, vec![]), kind).with_settles(SETTLES)
}

fn begun(steps: impl IntoIterator<Item = StepDef>) -> Run {
    let steps: Vec<_> = steps.into_iter().map(Arc::new).collect();
    let fates = vec![Fate::of(Act::Done, Act::Done); steps.len()];
    Run::new(Plan::new(steps), fates)
}

/// The attempt of the first step that runs ends so.
fn ends(run: &mut Run, class: Class, reason: Reason) {
    let attempt = run.saga.running().find(|attempt| attempt.step == 0).unwrap();
    run.commit(Report::of(attempt, Verdict::Failed(Failure::new(class, reason))).into());
}

fn timed_out(run: &mut Run) {
    ends(run, Class::Unknown, Reason::TimedOut);
}

fn state(run: &Run) -> StepState {
    run.saga.step(0).unwrap().1.state
}

/// The saga wakes at this time; a moment before, nothing comes of it, and its snapshot says the same.
fn wakes(run: &mut Run, at: Timestamp) {
    assert_eq!(run.saga.next_wake(), Some(at));
    let snapshot = replay(&run.saga.compact());
    for saga in [&run.saga, &snapshot] {
        let early = Timestamp(at.0 - 1000);
        assert_eq!(saga.decide(&SagaCommand::advance(), early), Ok(vec![]), "a moment too early");
    }
    run.now = at;
    run.commit(SagaCommand::advance());
}

fn runs(run: &Run) -> Vec<String> {
    run.saga
        .running()
        .map(|attempt| format!("{}{}.{}", attempt.purpose, attempt.step, attempt.number))
        .collect()
}

#[test]
fn s1_a_probe_is_not_asked_before_what_began_has_settled() {
    for reason in [Reason::TimedOut, Reason::Disconnected, Reason::Stopped, Reason::Panicked] {
        // The gate, a pause and a declaration make no difference: a probe says what is there, so it has to wait.
        for kind in [1, 4] {
            let mut run = begun([def(kind)]);
            ends(&mut run, Class::Unknown, reason.clone());
            run.commit(SagaCommand::Pause);
            let due = run.now.after(SETTLES);
            wakes(&mut run, due);
            assert_eq!(runs(&run), ["probe0.1"]);
        }
    }
}

#[test]
fn s1_what_began_is_not_treated_as_done_before_it_has_settled() {
    for (cancels, pauses) in [(false, false), (true, false), (false, true)] {
        let mut run = begun([def(0)]);
        timed_out(&mut run);
        let due = run.now.after(SETTLES);
        run.now = run.now.after(SETTLES / 2);
        if cancels {
            run.commit(SagaCommand::Cancel);
        }
        if pauses {
            run.commit(SagaCommand::Pause);
        }
        assert_eq!(state(&run), StepState::InDoubt);
        wakes(&mut run, due);
        assert_eq!(runs(&run), ["undo0.1"]);
        let wait = Micros::of(SETTLES);
        assert!(run.events.iter().any(
            |event| matches!(event, SagaEvent::Moved { to: Move::Doubt { wait: said, .. }, .. } if *said == wait)
        ));
    }
}

/// A cancellation, an agent that is relieved and a time that is over follow the same rule.
#[test]
fn s1_whoever_stops_an_attempt_waits_for_what_it_began() {
    let relieve = SagaCommand::Relieve { agent: Did::new("did:mesh:a").unwrap(), refused: vec![] };
    for (stops, kind, next) in
        [(&relieve, 1, "probe0.1"), (&relieve, 0, "undo0.1"), (&SagaCommand::Cancel, 0, "undo0.1")]
    {
        let mut run = begun([def(kind)]);
        run.commit(stops.clone());
        if *stops == SagaCommand::Cancel {
            ends(&mut run, Class::Unknown, Reason::Stopped);
        }
        let due = run.now.after(SETTLES);
        wakes(&mut run, due);
        assert_eq!(runs(&run), [next]);
    }
    let limits = Limits { within: Some(Duration::from_secs(1)), ..Limits::default() };
    let fates = vec![Fate::of(Act::Done, Act::Done)];
    let mut run = Run::new(Plan { limits, ..Plan::new(vec![Arc::new(def(0))]) }, fates);
    run.now = run.now.after(Duration::from_secs(2));
    timed_out(&mut run);
    assert_eq!(run.saga.state(), SagaState::Compensating);
    let due = run.now.after(SETTLES);
    wakes(&mut run, due);
    assert_eq!(runs(&run), ["undo0.1"]);
}

#[test]
fn s1_after_a_crash_the_wait_counts_from_the_recovery() {
    for (kind, next) in [(0, "undo0.1"), (1, "probe0.1")] {
        let mut run = begun([def(kind)]);
        run.now = run.now.after(Duration::from_secs(3600));
        run.crash(0);
        let due = run.now.after(SETTLES);
        // A second crash while nothing runs does not begin it anew.
        run.now = run.now.after(SETTLES / 2);
        run.crash(0);
        wakes(&mut run, due);
        assert_eq!(runs(&run), [next]);
    }
}

#[test]
fn what_may_be_repeated_in_doubt_is_repeated_at_once() {
    let mut run = begun([def(2)]);
    timed_out(&mut run);
    let wake = run.saga.next_wake().unwrap();
    assert!(wake <= run.now.after(def(2).retry.ceiling(1)), "{wake:?}");
    run.now = wake;
    run.commit(SagaCommand::advance());
    assert_eq!(runs(&run), ["execute0.2"]);
    let mut run = begun([def(2)]);
    run.crash(0);
    assert_eq!(runs(&run), ["execute0.2"]);
    // What reads leaves nothing behind.
    let mut run = begun([def(5)]);
    timed_out(&mut run);
    assert!(run.saga.next_wake().unwrap() <= run.now.after(def(5).retry.ceiling(1)));
}

#[test]
fn s1_what_may_be_repeated_and_is_not_waits_from_its_doubt() {
    // The saga turns back before the repetition.
    let mut run = begun([def(2)]);
    timed_out(&mut run);
    let due = run.now.after(SETTLES);
    run.commit(SagaCommand::Cancel);
    run.now = run.now.after(SETTLES / 2);
    wakes(&mut run, due);
    assert_eq!(runs(&run), ["undo0.1"]);
    // There is no repetition left.
    let mut run = begun([def(2)]);
    for _ in 0..2 {
        run.now = run.saga.next_wake().unwrap_or(run.now);
        run.commit(SagaCommand::advance());
        timed_out(&mut run);
    }
    let due = run.now.after(SETTLES);
    wakes(&mut run, due);
    assert_eq!(runs(&run), ["undo0.1"]);
}

/// A service that still works at a request answers its repetition with 409: the step is lost at once, and undone only
/// when the first request has ended.
#[test]
fn s1_what_an_earlier_attempt_began_is_waited_for_before_it_is_undone() {
    let mut run = begun([def(2)]);
    timed_out(&mut run);
    run.now = run.saga.next_wake().unwrap();
    run.commit(SagaCommand::advance());
    let due = run.now.after(SETTLES);
    run.now = run.now.after(Duration::from_millis(5));
    ends(&mut run, Class::Permanent, Reason::Http { status: 409 });
    assert_eq!((state(&run), run.saga.state()), (StepState::Assumed, SagaState::Compensating));
    wakes(&mut run, due);
    assert_eq!(runs(&run), ["undo0.1"]);
    // The same where the gate refuses the repetition.
    let mut run = begun([def(2)]);
    timed_out(&mut run);
    let due = run.now.after(SETTLES);
    run.fates[0].refused = true;
    run.now = run.saga.next_wake().unwrap();
    run.commit(SagaCommand::advance());
    assert_eq!(state(&run), StepState::Assumed);
    wakes(&mut run, due);
    assert_eq!(runs(&run), ["undo0.1"]);
}

#[test]
fn s1_what_was_done_before_is_undone_behind_what_is_waited_for() {
    let first = step(1, vec![]);
    let mut run = begun([def(0), first]);
    let other = run.saga.running().find(|attempt| attempt.step == 1).unwrap();
    run.commit(Report::of(other, Verdict::Done).into());
    timed_out(&mut run);
    let due = run.now.after(SETTLES);
    wakes(&mut run, due);
    run.finish(|_| Turn::End(0));
    assert_eq!(run.saga.undo_order().collect::<Vec<_>>(), [0, 1]);
}

/// Whoever is treated as done needs no place for that.
#[test]
fn a_doubt_is_over_in_time_also_where_every_place_is_taken() {
    let limits = Limits { concurrency: 1, ..Limits::default() };
    let steps = vec![Arc::new(def(0)), Arc::new(step(1, vec![]))];
    let mut run = Run::new(Plan { limits, ..Plan::new(steps) }, vec![Fate::of(Act::Done, Act::Done); 2]);
    timed_out(&mut run);
    assert_eq!(runs(&run), ["execute1.1"]);
    let due = run.now.after(SETTLES);
    wakes(&mut run, due);
    assert_eq!((state(&run), run.saga.state()), (StepState::Assumed, SagaState::Compensating));
    assert_eq!(run.saga.next_wake(), None, "its undo waits for the place");
}

/// What was answered has ended, and what never began goes on nowhere.
#[test]
fn an_answer_is_not_waited_for() {
    let mut run = begun([def(1)]);
    ends(&mut run, Class::Permanent, Reason::Http { status: 500 });
    assert_eq!(runs(&run), ["probe0.1"]);
    let mut run = begun([def(1)]);
    ends(&mut run, Class::Unknown, Reason::NotConnected);
    assert_eq!(runs(&run), ["probe0.1"]);
    let mut run = begun([def(0)]);
    ends(&mut run, Class::Permanent, Reason::Http { status: 500 });
    assert_eq!(run.saga.state(), SagaState::Compensated);
}

#[test]
fn a_request_settles_within_its_timeout_where_nothing_is_said() {
    let request = HttpTask { method: "POST".into(), url: "/book".into(), ..HttpTask::default() };
    let of = |task: Task, timeout| StepDef { execute: Arc::new(task), timeout, ..step(0, vec![]) };
    let second = Duration::from_secs(1);
    for (task, timeout, settles) in [
        (Task::from(request.clone()), second, second),
        (Task::from(request.clone()), limits::TIMEOUT, limits::SETTLES),
        (Task::command(["true"]), second, Duration::ZERO),
        (Task::closure("f"), second, Duration::ZERO),
    ] {
        let def = of(task, timeout);
        assert_eq!(def.settles_within(), settles, "{def:?}");
        let said = def.with_settles(SETTLES);
        assert_eq!(said.settles_within(), SETTLES);
        assert_eq!(StepDef::from_bytes(&said.to_bytes()), Ok(said));
    }
    for (settles, good) in
        [(Duration::ZERO, true), (limits::TIMEOUT, true), (limits::TIMEOUT + MOMENT, false)]
    {
        let plan = Plan::new(vec![Arc::new(step(0, vec![]).with_settles(settles))]);
        assert_eq!(plan.check().is_ok(), good, "{settles:?}");
        assert!(good || plan.check().unwrap_err().to_string().contains("604800 s"));
    }
}

/// What ends with its attempt waits for no clock, also for one that has gone back.
#[test]
fn what_settles_at_once_is_undone_at_once() {
    let mut run = begun([step(0, vec![])]);
    run.now = run.now.after(SETTLES);
    let attempt = run.saga.running().next().unwrap();
    let stopped = Verdict::Failed(Failure::new(Class::Unknown, Reason::Stopped));
    run.commit(SagaCommand::Record { report: Report::of(attempt, stopped) });
    run.now = Timestamp(run.now.0 - 5_000_000_000);
    run.crash(0);
    assert_eq!(runs(&run), ["undo0.1"]);
}

/// A request that was given up has its effect at the very last moment: it is kept or undone, however the step is declared.
#[test]
fn s1_what_comes_late_is_found_or_undone() {
    for (kind, end) in [
        (0, SagaState::Compensated),
        (1, SagaState::Completed),
        (2, SagaState::Compensated),
        (3, SagaState::Escalated),
        (4, SagaState::Completed),
    ] {
        for settles in [LATE, LATE * 2] {
            let def = declared(step(0, vec![]), kind).with_settles(settles);
            let fate = Fate { execute: vec![Act::Late, Act::Permanent], ..Fate::of(Act::Late, Act::Done) };
            let mut run = Run::new(Plan::new(vec![Arc::new(def)]), vec![fate]);
            run.finish(|_| Turn::End(0));
            run.check_end();
            assert_eq!(run.saga.state(), end, "declared as {kind}");
        }
    }
}
