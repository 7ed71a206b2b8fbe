//! A history held against a definition that allows another number of attempts. That it is like its own one is asserted of
//! every history of every test here.

use crate::simulation::{Act, Fate, Run, declared, step};
use hv_saga::{
    Class, Failure, Growth, Idempotence, Machine, Plan, Purpose, Reason, Report, Retry, Saga, SagaCommand,
    SagaEvent, SagaState, StepDef, Unlike, Verdict,
};
use std::sync::Arc;
use std::time::Duration;

/// A step with an undo and no probe, and with so many repetitions of both.
fn def(retries: u32) -> StepDef {
    let step = declared(step(0, vec![]), 0);
    assert!(step.undo.is_some() && step.probe.is_none());
    StepDef {
        retry: Retry::times(retries),
        undo_retry: Retry::times(retries),
        idempotent: Idempotence::Execute,
        ..step
    }
}

/// The history of this step: whatever runs fails so, until nothing does.
fn history(def: StepDef, class: Class) -> Run {
    let mut run = Run::new(Plan::new(vec![Arc::new(def)]), vec![Fate::of(Act::Done, Act::Done)]);
    run.commit(SagaCommand::advance());
    while !run.saga.state().is_terminal() {
        let running = run.saga.running().next();
        if let Some(attempt) = running {
            run.commit(Report::of(attempt, Verdict::Failed(Failure::new(class, Reason::TimedOut))).into());
        } else {
            run.now = run.saga.next_wake().unwrap();
            run.commit(SagaCommand::advance());
        }
    }
    run
}

/// Everything in it that is unlike what this step would have been.
fn held(run: &Run, def: StepDef) -> Vec<Unlike> {
    let (mut saga, def) = (Saga::default(), Arc::new(def));
    let events = run.events.iter().cloned().map(|event| match event {
        SagaEvent::Appended { growth, .. } => {
            SagaEvent::Appended { steps: vec![Arc::clone(&def)].into(), growth }
        }
        event => event,
    });
    let mut found = Vec::new();
    for event in events {
        found.extend(saga.unlike(&event));
        saga.apply(&event).unwrap();
    }
    found
}

const fn more(purpose: Purpose, least: u32) -> Unlike {
    Unlike::TriedAgain { step: 0, purpose, least }
}

const fn fewer(purpose: Purpose, most: u32) -> Unlike {
    Unlike::GivenUp { step: 0, purpose, most }
}

#[test]
fn an_execution_that_failed_is_held_against_its_repetitions() {
    let run = history(def(2), Class::Retryable);
    assert_eq!((run.saga.step(0).unwrap().1.executes, run.saga.state()), (3, SagaState::Compensated));
    assert_eq!(held(&run, def(2)), []);
    assert_eq!(held(&run, def(3)), [fewer(Purpose::Execute, 2)]);
    assert_eq!(held(&run, def(1)), [more(Purpose::Execute, 2)]);
    assert_eq!(held(&run, def(0)), [more(Purpose::Execute, 1), more(Purpose::Execute, 2)]);
    // With a limit of time, a repetition that may have waited longer than there was time for tells nothing.
    let within = |millis| def(3).with_within(Duration::from_millis(millis));
    assert_eq!(held(&run, within(3_600_000)), [fewer(Purpose::Execute, 2)]);
    assert_eq!(held(&run, within(5_000)), []);
}

/// What may be repeated in doubt is, at least once; with its undo it is no other.
#[test]
fn an_execution_in_doubt_and_an_undo_are_held_against_their_repetitions() {
    let run = history(def(2), Class::Unknown);
    let tried = run.saga.step(0).unwrap().1;
    assert_eq!((tried.executes, tried.undos, run.saga.state()), (3, 1, SagaState::Escalated));
    assert_eq!(held(&run, def(2)), []);
    assert_eq!(held(&run, def(1)), [more(Purpose::Execute, 2)]);
    assert_eq!(held(&run, def(0)), [more(Purpose::Execute, 2)]);
}

#[test]
fn an_undo_that_failed_is_held_against_its_repetitions() {
    // It would be over when its step is done.
    let open = Plan { growth: Growth::Open, ..Plan::new(vec![Arc::new(def(2))]) };
    let mut run = Run::new(open, vec![Fate::of(Act::Done, Act::Done)]);
    run.commit(SagaCommand::advance());
    let attempt = run.saga.running().next().unwrap();
    run.commit(Report::of(attempt, Verdict::Done).into());
    run.commit(SagaCommand::Cancel);
    while !run.saga.state().is_terminal() {
        let running = run.saga.running().next();
        if let Some(attempt) = running {
            let failure = Failure::new(Class::Retryable, Reason::TimedOut);
            run.commit(Report::of(attempt, Verdict::Failed(failure)).into());
        } else {
            run.now = run.saga.next_wake().unwrap();
            run.commit(SagaCommand::advance());
        }
    }
    assert_eq!((run.saga.step(0).unwrap().1.undos, run.saga.state()), (3, SagaState::Escalated));
    assert_eq!(held(&run, def(2)), []);
    assert_eq!(held(&run, def(3)), [fewer(Purpose::Undo, 2)]);
    assert_eq!(held(&run, def(1)), [more(Purpose::Undo, 2)]);
}
