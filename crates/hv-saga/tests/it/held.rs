//! Pauses, agents that are relieved, undos that may come too late, and reports that start nothing.

use crate::simulation::{Act, Fate, Run, Turn, declared, step};
use hv_saga::{
    Begin, Cause, Class, Failure, Idempotence, Limits, Plan, PlanError, Reason, Report, Retry, SagaCommand,
    SagaDenial, SagaEvent, SagaState, StepDef, StepState, Verdict,
};
use hv_types::{Did, Machine};
use std::sync::Arc;
use std::time::Duration;

fn did(name: &str) -> Did {
    Did::new(name).unwrap()
}

fn run(steps: impl IntoIterator<Item = StepDef>, fates: Vec<Fate>) -> Run {
    Run::new(Plan::new(steps.into_iter().map(Arc::new).collect()), fates)
}

fn done(count: usize) -> Vec<Fate> {
    vec![Fate::of(Act::Done, Act::Done); count]
}

/// Ends the first attempt that runs.
fn end_first(run: &mut Run) {
    let attempt = run.saga.running().next().unwrap();
    let verdict = run.perform(attempt);
    run.commit(Report::of(attempt, verdict).into());
}

const RESUME: SagaCommand = SagaCommand::Resume { refused: Vec::new() };

#[test]
fn a_paused_saga_starts_nothing_until_it_is_resumed() {
    let mut run = run([step(0, vec![]), step(1, vec![0])], done(2));
    run.commit(SagaCommand::Pause);
    let events = run.events.len();
    run.commit(SagaCommand::Pause);
    assert_eq!(run.events.len(), events, "asked again, it changes nothing");
    end_first(&mut run);
    assert!(run.saga.is_paused() && run.saga.running().next().is_none());
    assert_eq!((run.saga.next_wake(), run.saga.state()), (None, SagaState::Running));
    assert!(matches!(
        run.saga.decide(&SagaCommand::Start { step: 1, refused: vec![] }, run.now),
        Err(SagaDenial::NotReady { step: 1 })
    ));
    // The start that was due is refused as a forgery while the pause lasts.
    let mut resumed = run.saga.clone();
    let events = resumed.decide(&RESUME, run.now).unwrap();
    assert!(matches!(events[..], [SagaEvent::Resumed { .. }, SagaEvent::Started { step: 1, .. }]));
    assert!(resumed.apply(&events[1]).is_err());
    run.commit(RESUME);
    run.finish(|_| Turn::End(0));
    assert_eq!(run.saga.state(), SagaState::Completed);
    run.check_end();
}

#[test]
fn a_pause_holds_repetitions_and_ends_with_the_way_back() {
    let retry = Retry { max: 1, ..Retry::times(1) };
    let mut fates = done(1);
    fates[0].execute = vec![Act::Retryable, Act::Done];
    let mut run = run([StepDef { retry, ..step(0, vec![]) }], fates);
    run.commit(SagaCommand::Pause);
    end_first(&mut run);
    assert_eq!(run.saga.step(0).unwrap().1.state, StepState::Waiting);
    assert_eq!(run.saga.next_wake(), None, "a held repetition wakes nobody");
    run.commit(SagaCommand::Cancel);
    assert!(!run.saga.is_paused());
    assert_eq!((run.saga.state(), run.saga.cause()), (SagaState::Compensated, Some(Cause::Cancelled {})));
}

/// A pause does not stop the clock of a saga that has only so much time.
#[test]
fn a_paused_saga_runs_out_of_time() {
    let plan = Plan {
        limits: Limits { within: Some(Duration::from_secs(1)), ..Limits::default() },
        ..Plan::new(vec![Arc::new(step(0, vec![])), Arc::new(step(1, vec![0]))])
    };
    let mut run = Run::new(plan, done(2));
    run.commit(SagaCommand::Pause);
    end_first(&mut run);
    run.now = run.saga.next_wake().unwrap();
    run.commit(SagaCommand::advance());
    run.finish(|_| Turn::End(0));
    assert_eq!((run.saga.state(), run.saga.cause()), (SagaState::Compensated, Some(Cause::OutOfTime {})));
}

#[test]
fn a_refused_step_goes_to_its_substitute() {
    let mut fates = done(1);
    fates[0].refused = true;
    fates[0].refused_again = false;
    let def = || step(0, vec![]).with_substitute(did("did:mesh:b"));
    let mut taken = run([def()], fates.clone());
    assert_eq!(taken.saga.agent(0), Some(&did("did:mesh:b")));
    taken.finish(|_| Turn::End(0));
    assert_eq!(taken.saga.state(), SagaState::Completed);
    // Who is refused as well does not do it either.
    fates[0].refused_again = true;
    let denied = run([def()], fates);
    assert_eq!(denied.saga.step(0).unwrap().1.state, StepState::Denied);
    assert_eq!(denied.saga.state(), SagaState::Compensated);
    let own = Plan::new(vec![Arc::new(step(0, vec![]).with_substitute(did("did:mesh:a")))]);
    assert!(matches!(own.check(), Err(PlanError::Substitute { .. })));
}

#[test]
fn what_a_relieved_agent_was_doing_is_settled_and_handed_over() {
    // In the middle of a step with a probe: the probe tells, and the substitute does it.
    let def = || declared(step(0, vec![]), 1).with_substitute(did("did:mesh:b"));
    let relieve = || SagaCommand::Relieve { agent: did("did:mesh:a"), refused: vec![] };
    let mut fates = done(1);
    fates[0].refused_again = false;
    // It is nobody's repetition: none is allowed here.
    assert_eq!(def().retry.max, 0);
    let mut run = run([def()], fates);
    run.commit(relieve());
    assert_eq!(run.saga.agent(0), Some(&did("did:mesh:b")));
    assert_eq!(run.saga.running().next().unwrap().purpose.name(), "probe");
    end_first(&mut run);
    run.finish(|_| Turn::End(0));
    assert_eq!(run.saga.step(0).unwrap().1.executes, 2);
    assert_eq!(run.saga.state(), SagaState::Completed);
    assert_eq!(run.world.made, [1], "done once, by the substitute");
}

#[test]
fn what_nobody_takes_over_is_undone() {
    let mut run = run([step(0, vec![]), step(1, vec![0])], done(2));
    end_first(&mut run);
    run.commit(SagaCommand::Relieve { agent: did("did:mesh:a"), refused: vec![] });
    run.finish(|_| Turn::End(0));
    assert_eq!(
        (run.saga.state(), run.saga.cause()),
        (SagaState::Compensated, Some(Cause::InDoubt { step: 1 }))
    );
    run.check_end();
    // An agent that does nothing here changes nothing.
    let idle = Run::new(Plan::new(vec![Arc::new(step(0, vec![]))]), done(1));
    let other = SagaCommand::Relieve { agent: did("did:mesh:z"), refused: vec![] };
    assert_eq!(idle.saga.decide(&other, idle.now), Ok(vec![]));
}

#[test]
fn an_undo_that_may_come_too_late_is_said_before_the_step_runs() {
    let window = Some(Duration::from_secs(60));
    let first = StepDef { undo_window: window, ..step(0, vec![]) };
    let long = StepDef { timeout: Duration::from_secs(61), ..step(1, vec![0]) };
    let lasting = |timeout, undo_timeout| {
        let [timeout, undo_timeout] = [timeout, undo_timeout].map(Duration::from_secs);
        StepDef { timeout, undo_timeout, ..step(1, vec![0]) }
    };
    let short = lasting(30, 29);
    let after_first = |next: StepDef| {
        let mut run = run([first.clone(), next], done(2));
        end_first(&mut run);
        run
    };
    let quiet = after_first(short);
    assert!(!quiet.events.iter().any(|event| matches!(event, SagaEvent::Expiring { .. })));
    let said = after_first(long);
    let tail = &said.events[said.events.len() - 2..];
    assert!(
        matches!(tail, [SagaEvent::Expiring { step: 0, by: 1, .. }, SagaEvent::Started { step: 1, .. }]),
        "{tail:?}"
    );
    assert!(said.saga.step(0).unwrap().1.warned);
    // What depends on it is undone before it, which takes time, too; what does not is undone beside it.
    let expires = |run: &Run| {
        let expiring = |event: &SagaEvent| match event {
            SagaEvent::Expiring { step, by, .. } => Some((*step, *by)),
            _ => None,
        };
        run.events.iter().find_map(expiring)
    };
    assert_eq!(expires(&after_first(lasting(30, 31))), Some((0, 1)));
    let apart = |timeout| StepDef { after: vec![], ..lasting(timeout, 300) };
    assert_eq!(expires(&after_first(apart(59))), None);
    // One that runs already is spoken of when the step with the window commits.
    assert_eq!(expires(&after_first(apart(61))), Some((0, 1)));
}

/// As many repetitions as there may be over all steps, also where many wait for theirs at once.
#[test]
fn repetitions_of_all_steps_together_are_no_more_than_the_saga_may_have() {
    for most in [0, 1, 3, 5] {
        let steps: Vec<_> =
            (0..6).map(|n| Arc::new(StepDef { retry: Retry::times(3), ..step(n, vec![]) })).collect();
        let mut plan = Plan::new(steps);
        plan.limits.retries = most;
        let mut run = Run::new(plan, vec![Fate::of(Act::Retryable, Act::Done); 6]);
        run.finish(|_| Turn::End(0));
        let repeated: u32 = run.saga.runs().map(|run| run.executes.saturating_sub(1)).sum();
        assert!(repeated <= most, "{repeated} of {most}");
        assert_eq!(run.saga.state(), SagaState::Compensated);
    }
}

/// A crash in the middle of an execution is nothing that gives its undo another attempt.
#[test]
fn an_undo_is_tried_as_often_as_it_may_be_whatever_its_execution_went_through() {
    for crashes in 0..3 {
        let first = StepDef { idempotent: Idempotence::Both, undo_retry: Retry::times(1), ..step(0, vec![]) };
        let mut run = run([first], vec![Fate::of(Act::Done, Act::Retryable)]);
        (0..crashes).for_each(|_| run.commit(SagaCommand::recover()));
        run.commit(SagaCommand::Cancel);
        run.finish(|_| Turn::End(0));
        assert_eq!(
            (run.saga.state(), run.saga.step(0).unwrap().1.undos),
            (SagaState::Escalated, 2),
            "{crashes}"
        );
    }
}

#[test]
fn a_recorded_report_starts_nothing() {
    let mut run = run([step(0, vec![]), step(1, vec![0])], done(2));
    let attempt = run.saga.running().next().unwrap();
    let verdict = run.perform(attempt);
    run.commit(SagaCommand::Record { report: Report::of(attempt, verdict) });
    assert_eq!(run.saga.running().next(), None);
    assert_eq!(run.saga.step(0).unwrap().1.state, StepState::Committed);
    let again = SagaCommand::Record { report: Report::of(attempt, Verdict::Done) };
    assert!(matches!(run.saga.decide(&again, run.now), Err(SagaDenial::Stale { .. })));
    run.crash(0);
    run.finish(|_| Turn::End(0));
    assert_eq!((run.saga.state(), run.world.made.clone()), (SagaState::Completed, vec![1, 1]));
    // The last failure of a saga, recorded: the way back begins when it is taken up again.
    let mut run = Run::new(Plan::new(vec![Arc::new(step(0, vec![]))]), done(1));
    let attempt = run.saga.running().next().unwrap();
    let failed = Verdict::Failed(Failure::new(Class::Permanent, Reason::CannotTell));
    run.commit(SagaCommand::Record { report: Report::of(attempt, failed) });
    assert_eq!(run.saga.state(), SagaState::Running);
    run.crash(0);
    assert_eq!(run.saga.state(), SagaState::Compensated);
}

#[test]
fn later_means_later() {
    let mut run = run([step(0, vec![])], done(1));
    run.finish(|_| Turn::End(0));
    let create = SagaCommand::Create { plan: Plan::open(), begin: Begin::Later, refused: vec![] };
    assert_eq!(run.saga.decide(&create, run.now), Err(SagaDenial::AlreadyCreated));
    for command in [SagaCommand::Pause, RESUME] {
        assert!(matches!(run.saga.decide(&command, run.now), Err(SagaDenial::Over { .. })));
    }
}

/// An agent is relieved while a probe looks at its step: the substitute is asked about it and does it, not the agent.
#[test]
fn a_step_that_is_being_probed_is_handed_over_too() {
    let retry = Retry { max: 1, ..Retry::times(1) };
    let def = StepDef { retry, ..declared(step(0, vec![]), 1) }.with_substitute(did("did:mesh:b"));
    let execute = vec![Act::LostNot, Act::Done];
    let fate = Fate { execute, refused_again: false, ..Fate::of(Act::Done, Act::Done) };
    let mut run = run([def], vec![fate]);
    end_first(&mut run);
    assert_eq!(run.saga.step(0).unwrap().1.state, StepState::Probing);
    run.commit(SagaCommand::Relieve { agent: did("did:mesh:a"), refused: vec![] });
    assert_eq!(run.saga.agent(0), Some(&did("did:mesh:b")));
    run.finish(|_| Turn::End(0));
    run.check_end();
    assert_eq!(run.saga.state(), SagaState::Completed);
    assert_eq!(run.saga.step(0).unwrap().1.probes, 2);
}

/// An agent that loses its right between the gate's answer and the beginning is followed by the substitute, whom the gate
/// judges; nothing was begun, so no retry is used up and nothing is in doubt.
#[test]
fn what_an_agent_could_not_begin_any_more_goes_to_its_substitute() {
    let withheld = |def: StepDef, refused_again| {
        let fate = Fate { refused_again, ..Fate::of(Act::Done, Act::Done) };
        let mut begun = run([def], vec![fate]);
        let attempt = begun.saga.running().next().unwrap();
        let verdict = Verdict::Failed(Failure::new(Class::Permanent, Reason::NotPermitted));
        begun.commit(Report::of(attempt, verdict).into());
        begun.finish(|_| Turn::End(0));
        begun.check_end();
        let state = begun.saga.step(0).unwrap().1.state;
        (state, begun.saga.agent(0).unwrap().as_str().to_owned(), begun.saga.state())
    };
    let named = || step(0, vec![]).with_substitute(did("did:mesh:b"));
    let [a, b] = ["did:mesh:a", "did:mesh:b"].map(str::to_owned);
    let (done, back) = (SagaState::Completed, SagaState::Compensated);
    assert_eq!(withheld(named(), false), (StepState::Committed, b.clone(), done));
    assert_eq!(withheld(declared(named(), 1), false), (StepState::Committed, b.clone(), done));
    assert_eq!(withheld(named(), true), (StepState::Denied, b, back));
    assert_eq!(withheld(step(0, vec![]), false), (StepState::Failed, a.clone(), back));
    // Nor is there more of it than the saga may repeat.
    let none = Limits { retries: 0, ..Limits::default() };
    let plan = Plan { limits: none, ..Plan::new(vec![Arc::new(named())]) };
    let mut begun = Run::new(plan, vec![Fate::of(Act::Done, Act::Done)]);
    let attempt = begun.saga.running().next().unwrap();
    let verdict = Verdict::Failed(Failure::new(Class::Permanent, Reason::NotPermitted));
    begun.commit(Report::of(attempt, verdict).into());
    assert_eq!((begun.saga.state(), begun.saga.agent(0).unwrap().as_str()), (back, a.as_str()));
}
