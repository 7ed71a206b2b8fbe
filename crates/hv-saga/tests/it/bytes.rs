//! The bytes of events and attempts, pinned.

use crate::simulation::step;
use hv_saga::{
    Attempt, AttemptFacts, Cause, Class, Failure, Growth, Idempotence, Join, Limits, Micros, Move, Pace,
    Plan, Purpose, Reason, Retry, Saga, SagaCommand, SagaEvent, SagaState, StepDef, StepRun, StepState,
    Steps, Task,
};
use hv_types::{ActionId, Did, Machine, SagaId, SessionId, StepId, Timestamp, Wire};
use std::sync::Arc;
use std::time::Duration;

fn pinned(event: &SagaEvent, bytes: &[u8]) {
    assert_eq!(event.to_bytes(), bytes, "{event:?}");
    assert_eq!(SagaEvent::from_bytes(bytes).as_ref(), Ok(event));
    for cut in 0..bytes.len() {
        assert!(SagaEvent::from_bytes(&bytes[..cut]).is_err(), "{event:?} cut at {cut}");
    }
}

#[test]
fn golden_bytes_of_events() {
    let at = Micros(300);
    let failure = Failure::new(Class::Retryable, Reason::Exit { code: 1 });
    let limits = Limits { concurrency: 8, retries: 2, within: Some(Duration::from_secs(9)) };
    let created = SagaEvent::Created { seed: 7, limits, pace: Pace::Asked, at: Timestamp(5) };
    pinned(&created, &[0, 7, 8, 2, 1, 9, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0]);
    pinned(&SagaEvent::Sealed {}, &[2]);
    let started = SagaEvent::Started { step: 2, purpose: Purpose::Undo, number: 1, at };
    pinned(&started, &[3, 2, 1, 1, 0xac, 2]);
    let moved = |to| SagaEvent::Moved { step: 2, to, at };
    let wait = Micros(4);
    let reason = [0, 0, 1, 0, 0, 0, 0];
    let with = |tag: u8, middle: &[u8]| [&[4, 2, tag], middle, &[0xac, 2]].concat();
    let waits = |tag: u8| with(tag, &[&[4], &reason[..]].concat());
    pinned(&moved(Move::Committed {}), &with(0, &[]));
    pinned(&moved(Move::Retry { wait, failure: failure.clone() }), &waits(1));
    pinned(&moved(Move::Failed { failure: failure.clone() }), &with(2, &reason));
    pinned(&moved(Move::Suspect { wait, failure: failure.clone() }), &waits(3));
    pinned(&moved(Move::Doubt { wait, failure: failure.clone() }), &waits(4));
    pinned(&moved(Move::Assumed { failure: failure.clone() }), &with(5, &reason));
    pinned(&moved(Move::Denied {}), &with(6, &[]));
    pinned(&moved(Move::Undone {}), &with(7, &[]));
    pinned(&moved(Move::UndoRetry { wait, failure: failure.clone() }), &waits(8));
    pinned(&moved(Move::Unconfirmed { wait, failure: None }), &with(9, &[4, 0]));
    pinned(&moved(Move::UndoFailed { failure }), &with(10, &reason));
    pinned(&SagaEvent::Turned { cause: Cause::Denied { step: 3 }, at }, &[5, 1, 3, 0xac, 2]);
    pinned(&SagaEvent::Turned { cause: Cause::OutOfTime {}, at }, &[5, 5, 0xac, 2]);
    pinned(&SagaEvent::Finished { state: SagaState::Escalated, at }, &[6, 5, 0xac, 2]);
    let run = StepRun { state: StepState::Committed, executes: 1, moved: Micros(9), ..StepRun::default() };
    let (state, cause) = (SagaState::Compensating, Some(Cause::Cancelled {}));
    let restored = SagaEvent::Restored {
        state,
        cause,
        retries: 1,
        order: vec![0],
        undone: 0,
        paused: false,
        steps: vec![run],
    };
    pinned(&restored, &[7, 2, 1, 3, 1, 1, 0, 0, 0, 1, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0]);
    pinned(&SagaEvent::Paused { at }, &[8, 0xac, 2]);
    pinned(&SagaEvent::Resumed { at }, &[9, 0xac, 2]);
    pinned(&SagaEvent::HandedOver { step: 3, at }, &[10, 3, 0xac, 2]);
    pinned(&SagaEvent::Expiring { step: 3, by: 4, at }, &[11, 3, 4, 0xac, 2]);
    let steps = vec![Arc::new(step(0, vec![]))].into();
    let appended = SagaEvent::Appended { steps, growth: Growth::Sealed };
    let bytes = [
        &[1, 1, 5][..],
        b"step0",
        // An effect, undone by what does it, with a retry and an undo retry that are not the usual ones.
        &[2, 0x82, 0x88, 1, 10],
        b"did:mesh:a",
        &[3],
        b"act",
        &[2, 1],
        b"x",
        &[0, 0, 0x80, 0xad, 0xe2, 0x04, 0, 0x80, 0xc2, 0xd7, 0x2f],
        &[0, 0, 0x80, 0xad, 0xe2, 0x04, 0, 0x80, 0xc2, 0xd7, 0x2f, 1],
    ]
    .concat();
    pinned(&appended, &bytes);
}

/// Of a step only that is written which is not as usual, in one way.
#[test]
fn a_step_is_written_in_one_way() {
    let plain = || {
        let (id, action) = (StepId::new("s").unwrap(), ActionId::new("act").unwrap());
        StepDef::new(id, action, Did::new("did:mesh:a").unwrap(), Task::closure("f"))
    };
    // Name and kind, the bits that tell what is written, then agent, action and task, and what else is written.
    let (start, middle) = (b"\x01s\x02", b"\x0adid:mesh:a\x03act\x02\x01f");
    let with = |bits: u32, rest: &[u8]| [start, &bits.to_bytes()[..], middle, rest].concat();
    assert_eq!(plain().to_bytes(), with(0, &[]));
    assert_eq!(StepDef::from_bytes(&with(0, &[])), Ok(plain()));
    let second = Duration::from_secs(1);
    let (task, some) = (Arc::new(Task::closure("g")), Retry::times(1));
    // Each field alone, with the bit that tells of it and the bytes that must not stand there.
    let fields: [(StepDef, u32, &[u8]); 14] = [
        (StepDef { undo: Some(Arc::clone(&task)), ..plain() }, 0, &[2, 1, b'f']),
        (StepDef { after: vec![0], ..plain() }, 5, &[0]),
        (StepDef { probe: Some(task), ..plain() }, 6, &[]),
        (StepDef { join: Join::Majority, ..plain() }, 7, &[0]),
        (StepDef { idempotent: Idempotence::Both, ..plain() }, 8, &[0]),
        (StepDef { timeout: second, ..plain() }, 9, &[0xac, 2, 0]),
        (StepDef { retry: some, ..plain() }, 10, &[0, 1, 0, 60, 0]),
        (StepDef { undo_window: Some(second), ..plain() }, 11, &[]),
        (plain().with_substitute(Did::new("did:mesh:b").unwrap()), 12, &[]),
        (StepDef { undo_timeout: second, ..plain() }, 13, &[0xac, 2, 0]),
        (plain().with_settles(second), 15, &[]),
        (plain().with_within(second), 16, &[]),
        (plain().with_start_within(second), 17, &[]),
        (StepDef { undo_retry: some, ..plain() }, 14, &[0, 1, 0, 60, 0]),
    ];
    for (step, bit, usual) in fields {
        let bytes = step.to_bytes();
        assert!(bytes.starts_with(&with(1 << bit, &[])), "bit {bit} tells of {step:?}");
        assert_eq!(StepDef::from_bytes(&bytes), Ok(step));
        assert!(
            StepDef::from_bytes(&with(1 << bit, usual)).is_err(),
            "bit {bit}: what is usual is not written"
        );
    }
    let undone = plain().with_undo(Task::closure("f"));
    assert_eq!(undone.to_bytes(), with(2, &[]));
    assert_eq!(StepDef::from_bytes(&with(2, &[])), Ok(undone));
    assert!(StepDef::from_bytes(&with(3, &[2, 1, b'g'])).is_err(), "it is undone in one way");
    assert!(StepDef::from_bytes(&with(1 << 16, &[])).is_err(), "no bit tells of nothing");
}

/// What a step has in common with the one before it is not written again, and is shared when it is read.
#[test]
fn a_step_is_written_behind_the_one_before() {
    let step = |name: &str, agent: &str| {
        let (id, action) = (StepId::new(name).unwrap(), ActionId::new("act").unwrap());
        Arc::new(StepDef::new(id, action, Did::new(agent).unwrap(), Task::closure("f")))
    };
    let first = b"\x01s\x02\x00\x0adid:mesh:a\x03act\x02\x01f";
    let list = |count: u8, next: &[u8]| [&[count], &first[..], next].concat();
    let steps = |next: &Arc<StepDef>| Steps::from(vec![step("s", "did:mesh:a"), Arc::clone(next)]);
    let (same, other) = (step("t", "did:mesh:a"), step("t", "did:mesh:b"));
    assert_eq!(steps(&same).to_bytes(), list(2, b"\x01t\x02\x1c"));
    assert_eq!(steps(&other).to_bytes(), list(2, b"\x01t\x02\x18\x0adid:mesh:b"));
    for next in [&same, &other] {
        let read = Steps::from_bytes(&steps(next).to_bytes()).unwrap();
        assert_eq!(read, steps(next));
        assert!(Arc::ptr_eq(&read[0].execute, &read[1].execute));
    }
    // Each of the three written all the same, and a first step that has no other before it.
    for next in [&b"\x01t\x02\x18\x0adid:mesh:a"[..], b"\x01t\x02\x14\x03act", b"\x01t\x02\x0c\x02\x01f"] {
        assert!(Steps::from_bytes(&list(2, next)).is_err(), "{next:?}");
    }
    assert!(StepDef::from_bytes(b"\x01t\x02\x1c").is_err());
    assert!(Steps::from_bytes(&list(u8::MAX, b"")).is_err(), "more steps are said than there are");
}

#[test]
fn an_attempt_is_bound_to_what_it_does() {
    let (session, saga) = (SessionId::new("s1").unwrap(), SagaId::new("g1").unwrap());
    let plan = Plan::new(vec![Arc::new(step(0, vec![]))]);
    let events = Saga::default().decide(&SagaCommand::begin(plan), Timestamp(1000)).unwrap();
    let attempts = Saga::default().starts(&session, &saga, &events);
    let [attempt] = attempts.as_slice() else { panic!("{attempts:?}") };
    assert_eq!(attempt.key(), "s1/g1/step0/execute");
    assert_eq!(attempt.deadline, Timestamp(1000).after(Duration::from_secs(300)));
    assert_eq!(attempt.parameters(), b"\x02g1\x05step0\x00\x00\x02\x01x");
    let again = AttemptFacts { number: 2, deadline: Timestamp(7), ..(**attempt).clone() };
    let undo = AttemptFacts { purpose: Purpose::Undo, ..again.clone() };
    let (again, undo) = (Attempt::from(again), Attempt::from(undo));
    assert_eq!(again.parameters(), attempt.parameters());
    assert_ne!(again.to_bytes(), attempt.to_bytes());
    assert_ne!(undo.parameters(), attempt.parameters());
}

/// The records of a three-step saga after its creation stay small.
#[test]
fn an_outcome_and_the_next_start_take_few_bytes() {
    let mut saga = Saga::default();
    let plan = Plan::new((0..3).map(|n| Arc::new(step(n, vec![]))).collect());
    // A minute in, the times take more bytes than at the beginning.
    let late = Timestamp(0).after(Duration::from_secs(60));
    saga.decide(&SagaCommand::begin(plan), Timestamp(0)).unwrap().iter().for_each(|e| saga.apply(e).unwrap());
    let attempt = saga.running().next().unwrap();
    let report = hv_saga::Report::of(attempt, hv_saga::Verdict::Done).into();
    let events = saga.decide(&report, late).unwrap();
    // Independent steps: nothing follows but the end of the first.
    assert_eq!(events.iter().map(|event| event.to_bytes().len()).sum::<usize>(), 7);
}
