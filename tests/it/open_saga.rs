//! Sagas of a program that decides as it goes: each step is added, asked for, and done by a function.

use crate::disks::Mood;
use hv_core::audit::{FileLog, FileOptions, Log, MemoryLog};
use hv_core::event::KillTarget;
use hv_core::saga::SagaState;
use hv_core::session::Eviction;
use hv_core::types::{ActionId, Did, SagaId, SessionId};
use hv_core::{
    Clock, Entrant, Error, Hypervisor, KillOrder, NewStep, Reason, SessionConfig, SessionHandle, StepFailure,
    SystemClock, Undos, entropy,
};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn action(name: &str) -> ActionId {
    ActionId::new(name).unwrap()
}

/// An active session with an agent in Ring 2 and one in Ring 3.
async fn stage() -> (Hypervisor, Arc<MemoryLog>, SessionHandle) {
    let log = Arc::new(MemoryLog::new());
    let (hv, session) = stage_on(log.clone()).await;
    (hv, log, session)
}

/// A log on which everything that is recorded is waited for.
fn on_disk() -> (tempfile::TempDir, Arc<FileLog>) {
    let folder = tempfile::tempdir().unwrap();
    let options = FileOptions::new(entropy().unwrap());
    let log = FileLog::create(&folder.path().join("trail"), SystemClock.now(), options).unwrap();
    (folder, Arc::new(log))
}

async fn stage_on(log: Arc<dyn Log>) -> (Hypervisor, SessionHandle) {
    let hv = Hypervisor::open(log, Arc::new(SystemClock)).unwrap();
    let id = SessionId::new("s").unwrap();
    let session = hv.create_session(&id, SessionConfig::default(), &did("admin")).await.unwrap();
    for (name, sigma) in [("a", "0.85"), ("low", "0.4")] {
        hv.join_session(&id, &Entrant::new(did(name)).with_sigma(sigma.parse().unwrap())).await.unwrap();
    }
    hv.activate_session(&id).await.unwrap();
    (hv, session)
}

/// A step whose undo writes its name down.
fn undoable(name: &str, agent: &str, undone: &Arc<Mutex<Vec<String>>>) -> NewStep {
    let (undone, name) = (undone.clone(), name.to_owned());
    NewStep::new(action(&name), did(agent)).with_undo(move || {
        undone.lock().unwrap().push(name.clone());
        async { Ok::<(), Infallible>(()) }
    })
}

#[tokio::test]
async fn s2_a_step_that_fails_has_everything_before_it_undone_and_says_why() {
    let (hv, _, session) = stage().await;
    let undone = Arc::new(Mutex::new(Vec::new()));
    let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
    for name in ["one", "two"] {
        let step = saga.add_step(undoable(name, "a", &undone)).await.unwrap();
        assert_eq!(saga.execute_step(step, async || Ok::<_, String>(name)).await.unwrap(), name);
    }
    let step = saga.add_step(undoable("three", "a", &undone)).await.unwrap();
    let failed = saga.execute_step(step, async || Err::<(), _>("no paper")).await.unwrap_err();
    let StepFailure::Failed { why, saga: state } = failed else { panic!("{failed:?}") };
    assert_eq!((why.as_str(), state), ("no paper", SagaState::Compensated));
    assert_eq!(*undone.lock().unwrap(), ["two", "one"]);
    // A saga that is over takes no more steps.
    let refused = saga.add_step(undoable("four", "a", &undone)).await.unwrap_err();
    assert!(matches!(refused, Error::Denied(denied) if matches!(denied.reason, Reason::Saga(_))));
    hv.terminate_session(session.id()).await.unwrap();
}

#[tokio::test]
async fn a_step_is_repeated_as_often_as_it_may_be_and_stopped_when_its_time_is_over() {
    let (_, _, session) = stage().await;
    let undone = Arc::new(Mutex::new(Vec::new()));
    let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
    let step = saga.add_step(undoable("flaky", "a", &undone).with_retries(1)).await.unwrap();
    let tries = Mutex::new(0);
    let second = saga.execute_step(step, async || {
        *tries.lock().unwrap() += 1;
        let tried = *tries.lock().unwrap();
        if tried == 2 { Ok(tried) } else { Err("not yet") }
    });
    assert_eq!(second.await.unwrap(), 2);
    let slow = undoable("slow", "a", &undone).with_timeout(Duration::from_millis(20));
    let step = saga.add_step(slow).await.unwrap();
    let late = saga.execute_step(step, async || {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok::<_, String>(())
    });
    let StepFailure::Failed { why, saga: state } = late.await.unwrap_err() else { panic!("it was late") };
    assert_eq!((why.as_str(), state), ("it did not end in time", SagaState::Compensated));
    // What may have happened is undone too.
    assert_eq!(*undone.lock().unwrap(), ["slow", "flaky"]);
}

/// S1: nobody knows how far a function came that panicked, so what it may have done is undone as well.
#[tokio::test]
async fn s1_a_function_that_panics_leaves_a_saga_that_is_undone() {
    let (hv, _, session) = stage().await;
    for (name, at_once) in [("early", true), ("late", false)] {
        let undone = Arc::new(Mutex::new(Vec::new()));
        let mut saga = session.create_saga(&SagaId::new(name).unwrap()).await.unwrap();
        let step = saga.add_step(undoable("one", "a", &undone)).await.unwrap();
        saga.execute_step(step, async || Ok::<_, String>(1)).await.unwrap();
        let step = saga.add_step(undoable("two", "a", &undone)).await.unwrap();
        let panics = || {
            assert!(!at_once, "it panics before there is anything to wait for");
            async {
                tokio::task::yield_now().await;
                if at_once { Ok::<i32, String>(2) } else { panic!("it panics in the middle") }
            }
        };
        let failed = saga.execute_step(step, panics).await.unwrap_err();
        let StepFailure::Failed { why, saga: state } = failed else { panic!("{failed:?}") };
        assert_eq!((why.as_str(), state), ("it panicked", SagaState::Compensated));
        assert_eq!(*undone.lock().unwrap(), ["two", "one"]);
    }
    // An undo that panics has not undone anything; a person has to look, and the agent answers for it.
    let mut saga = session.create_saga(&SagaId::new("undo").unwrap()).await.unwrap();
    let undo = || async { if true { panic!("no way back") } else { Ok::<(), Infallible>(()) } };
    let step = saga.add_step(NewStep::new(action("stuck"), did("a")).with_undo(undo)).await.unwrap();
    saga.execute_step(step, async || Ok::<_, String>(1)).await.unwrap();
    let step = saga.add_step(undoable("three", "a", &Arc::default())).await.unwrap();
    let failed = saga.execute_step(step, async || Err::<(), _>("no paper")).await.unwrap_err();
    assert!(matches!(failed, StepFailure::Failed { saga: SagaState::Escalated, .. }), "{failed:?}");
    hv.terminate_session(session.id()).await.unwrap();
}

#[tokio::test]
async fn an_undo_that_does_not_end_in_time_escalates() {
    let (_, _, session) = stage().await;
    let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
    let hangs =
        NewStep::new(action("one"), did("a")).with_undo(std::future::pending::<Result<(), Infallible>>);
    let step = saga.add_step(hangs.with_undo_timeout(Duration::from_millis(20))).await.unwrap();
    saga.execute_step(step, async || Ok::<_, String>(1)).await.unwrap();
    let step = saga.add_step(undoable("two", "a", &Arc::default())).await.unwrap();
    let failing = saga.execute_step(step, async || Err::<(), _>("no paper"));
    let failed = tokio::time::timeout(Duration::from_secs(60), failing).await.unwrap().unwrap_err();
    assert!(matches!(failed, StepFailure::Failed { saga: SagaState::Escalated, .. }), "{failed:?}");
}

/// S1: whoever drops a step in the middle finds it undone, with what was done before, and the session can end.
#[tokio::test]
async fn s1_a_step_that_is_dropped_in_the_middle_is_undone_by_what_is_asked_next() {
    let (hv, _, session) = stage().await;
    for (name, again) in [("again", true), ("finish", false)] {
        let undone = Arc::new(Mutex::new(Vec::new()));
        let mut saga = session.create_saga(&SagaId::new(name).unwrap()).await.unwrap();
        let step = saga.add_step(undoable("one", "a", &undone)).await.unwrap();
        saga.execute_step(step, async || Ok::<_, String>(1)).await.unwrap();
        let step = saga.add_step(undoable("two", "a", &undone)).await.unwrap();
        let stuck = saga.execute_step(step, std::future::pending::<Result<(), Infallible>>);
        assert!(tokio::time::timeout(Duration::from_millis(20), stuck).await.is_err());
        assert!(undone.lock().unwrap().is_empty());
        if again {
            let over = saga.execute_step(step, async || Ok::<_, String>(2)).await.unwrap_err();
            assert!(matches!(over, StepFailure::Node(Error::Denied(_))), "{over:?}");
        } else {
            assert_eq!(saga.finish().await.unwrap(), SagaState::Compensated);
        }
        assert_eq!(*undone.lock().unwrap(), ["two", "one"]);
    }
    hv.terminate_session(session.id()).await.unwrap();
}

/// A saga of which nothing was done has nothing to be undone, and ends with its session.
#[tokio::test]
async fn a_saga_of_which_nothing_was_done_ends_with_its_session() {
    let (hv, _, session) = stage().await;
    let undone = Arc::new(Mutex::new(Vec::new()));
    let mut begun = session.create_saga(&SagaId::new("begun").unwrap()).await.unwrap();
    for name in ["one", "two"] {
        begun.add_step(undoable(name, "a", &undone)).await.unwrap();
    }
    let mut done = session.create_saga(&SagaId::new("done").unwrap()).await.unwrap();
    let step = done.add_step(undoable("three", "a", &undone)).await.unwrap();
    done.execute_step(step, async || Ok::<_, String>(1)).await.unwrap();
    done.add_step(undoable("four", "a", &undone)).await.unwrap();
    let refused = hv.terminate_session(session.id()).await.unwrap_err();
    let Error::Denied(denied) = refused else { panic!("{refused:?}") };
    assert!(matches!(&denied.reason, Reason::SagaUnfinished(id) if id.as_str() == "done"), "{denied:?}");
    assert_eq!(begun.state().unwrap(), SagaState::Compensated);
    assert_eq!(done.finish().await.unwrap(), SagaState::Compensated);
    assert_eq!(*undone.lock().unwrap(), ["three"]);
    hv.terminate_session(session.id()).await.unwrap();
}

#[tokio::test]
async fn c1_a_step_that_the_gate_refuses_calls_no_function() {
    let (_, _, session) = stage().await;
    let undone = Arc::new(Mutex::new(Vec::new()));
    let never = async || -> Result<(), String> { panic!("it must not run") };
    for (name, step, needs) in [
        ("low", undoable("draft", "low", &undone), "0.60"),
        // Without an undo it cannot be undone, whatever somebody says.
        ("final", NewStep::new(action("final"), did("a")), "0.95"),
        ("stranger", undoable("draft", "nobody", &undone), ""),
    ] {
        let mut saga = session.create_saga(&SagaId::new(name).unwrap()).await.unwrap();
        let step = saga.add_step(step).await.unwrap();
        let denied = saga.execute_step(step, never).await.unwrap_err();
        let StepFailure::Denied(denial) = denied else { panic!("{name}: {denied:?}") };
        assert!(denial.needs.contains(needs), "{name}: {denial}");
    }
    assert!(undone.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_saga_that_is_finished_completes_or_is_undone() {
    let (_, _, session) = stage().await;
    let undone = Arc::new(Mutex::new(Vec::new()));
    for (name, left, state) in
        [("whole", false, SagaState::Completed), ("part", true, SagaState::Compensated)]
    {
        let mut saga = session.create_saga(&SagaId::new(name).unwrap()).await.unwrap();
        let step = saga.add_step(undoable(name, "a", &undone)).await.unwrap();
        saga.execute_step(step, async || Ok::<_, String>(())).await.unwrap();
        if left {
            saga.add_step(undoable("more", "a", &undone)).await.unwrap();
        }
        assert_eq!(saga.finish().await.unwrap(), state);
    }
    assert_eq!(*undone.lock().unwrap(), ["part"]);
}

#[tokio::test]
async fn s4_a_saga_that_grows_is_the_same_after_a_replay_and_completes_with_its_session() {
    let (hv, log, session) = stage().await;
    let undone = Arc::new(Mutex::new(Vec::new()));
    let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
    let step = saga.add_step(undoable("one", "a", &undone)).await.unwrap();
    saga.execute_step(step, async || Ok::<_, String>(())).await.unwrap();
    assert_eq!(saga.state().unwrap(), SagaState::Running);
    let look = NewStep::reading(action("look"), did("low"));
    let look = saga.add_step(look).await.unwrap();
    assert_eq!(saga.execute_step(look, async || Ok::<_, String>(7)).await.unwrap(), 7);
    // A node that reads the same log ends it in the same way.
    drop(hv);
    let again = Hypervisor::open(log, Arc::new(SystemClock)).unwrap();
    let host = again.saga(session.id(), &SagaId::new("mail").unwrap());
    assert_eq!(host.state().unwrap(), SagaState::Running);
    again.terminate_session(session.id()).await.unwrap();
    assert!(undone.lock().unwrap().is_empty());
}

/// The functions of an earlier program are gone: the next one brings its own, and goes on where the other one was, or undoes
/// what that left in the middle.
#[tokio::test]
async fn s1_a_saga_of_an_earlier_program_is_gone_on_with_or_undone_by_the_functions_that_the_next_one_brings()
{
    for begun in [false, true] {
        let (hv, log, session) = stage().await;
        let id = SagaId::new("mail").unwrap();
        let earlier = Arc::new(Mutex::new(Vec::new()));
        let mut saga = session.create_saga(&id).await.unwrap();
        for name in ["one", "two"] {
            let step = saga.add_step(undoable(name, "a", &earlier)).await.unwrap();
            saga.execute_step(step, async || Ok::<_, String>(())).await.unwrap();
        }
        let three = saga.add_step(undoable("three", "a", &earlier)).await.unwrap();
        if begun {
            let stuck = saga.execute_step(three, std::future::pending::<Result<(), Infallible>>);
            assert!(tokio::time::timeout(Duration::from_millis(20), stuck).await.is_err());
        }
        drop((saga, session, hv));

        let hv = Hypervisor::open(log.clone(), Arc::new(SystemClock)).unwrap();
        let session = hv.session(&SessionId::new("s").unwrap()).unwrap();
        let undone = Arc::new(Mutex::new(Vec::new()));
        let undo = |name: &'static str| {
            let undone = undone.clone();
            move |step: u32| {
                undone.lock().unwrap().push((name, step));
                async { Ok::<(), Infallible>(()) }
            }
        };
        let two = Undos::new().with(action("one"), undo("one")).with(action("two"), undo("two"));
        let refused = session.reopen_saga(&id, &two).await.unwrap_err();
        let Error::Denied(denied) = refused else { panic!("{refused}") };
        assert!(matches!(&denied.reason, Reason::NoFunction(of) if of.1.as_str() == "three.2"));
        assert!(denied.lsn.is_some(), "it is on the trail");

        let all = two.with(action("three"), undo("three"));
        let saga = session.reopen_saga(&id, &all).await.unwrap();
        let again = session.reopen_saga(&id, &all).await;
        if begun {
            // It has ended by now, and what has is nobody's.
            assert_eq!(again.unwrap().state().unwrap(), SagaState::Compensated);
            assert_eq!(saga.state().unwrap(), SagaState::Compensated);
            assert_eq!(*undone.lock().unwrap(), [("three", 2), ("two", 1), ("one", 0)]);
            drop(saga);
        } else {
            let refused = again.unwrap_err();
            let held =
                matches!(&refused, Error::Denied(denied) if denied.reason == Reason::SagaHeld(id.clone()));
            assert!(held && refused.to_string().contains("`mail` is held"), "{refused}");
            assert_eq!(saga.state().unwrap(), SagaState::Running);
            let [three] = saga.waiting().unwrap()[..] else { panic!("three waits") };
            assert_eq!(saga.execute_step(three, async || Ok::<_, String>(3)).await.unwrap(), 3);
            assert!(saga.waiting().unwrap().is_empty());
            assert_eq!(saga.finish().await.unwrap(), SagaState::Completed);
            assert!(undone.lock().unwrap().is_empty());
        }
        assert!(earlier.lock().unwrap().is_empty(), "what is gone is not called");
        // What has ended is taken up as what it is.
        let over = session.reopen_saga(&id, &Undos::new()).await.unwrap();
        assert!(over.state().unwrap().is_terminal());
        hv.terminate_session(session.id()).await.unwrap();
    }
}

/// A crash between the record that a step is there and the one that its undo counts: whoever takes the saga up says it again.
#[tokio::test]
async fn a_step_whose_undo_was_not_accepted_any_more_counts_as_undoable_once_its_saga_is_taken_up() {
    let (_folder, log) = on_disk();
    let (hv, session) = stage_on(log.clone()).await;
    let id = SagaId::new("mail").unwrap();
    let mut saga = session.create_saga(&id).await.unwrap();
    {
        // Adding a step is three records here; dropped after the first one was made, it made no other.
        let mut adding = pin!(saga.add_step(undoable("one", "a", &Arc::default())));
        for _ in 0..10 {
            let there = |saga: &hv_core::saga::Saga| saga.steps().len() == 1;
            if hv.saga_machine(session.id(), &id).unwrap().as_ref().is_some_and(there) {
                break;
            }
            let polled =
                std::future::poll_fn(|context| std::task::Poll::Ready(adding.as_mut().poll(context)));
            assert!(polled.await.is_pending());
        }
    }
    drop((saga, session, hv));
    let hv = Hypervisor::open(log, Arc::new(SystemClock)).unwrap();
    let session = hv.session(&SessionId::new("s").unwrap()).unwrap();
    let undos = Undos::new().with(action("one"), |_| async { Ok::<(), Infallible>(()) });
    let saga = session.reopen_saga(&id, &undos).await.unwrap();
    let [one] = saga.waiting().unwrap()[..] else { panic!("one waits") };
    saga.execute_step(one, async || Ok::<_, String>(())).await.expect("ring 2 may do what can be undone");
    assert_eq!(saga.cancel().await.unwrap(), SagaState::Compensated);
}

/// Also where every step of it is done.
#[tokio::test]
async fn a_saga_that_is_cancelled_is_undone() {
    let (_, _, session) = stage().await;
    let undone = Arc::new(Mutex::new(Vec::new()));
    let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
    let step = saga.add_step(undoable("one", "a", &undone)).await.unwrap();
    saga.execute_step(step, async || Ok::<_, String>(())).await.unwrap();
    assert_eq!(saga.cancel().await.unwrap(), SagaState::Compensated);
    assert_eq!(*undone.lock().unwrap(), ["one"]);
}

#[tokio::test]
async fn an_undo_is_repeated_as_often_as_the_step_says_and_not_tried_once_its_window_is_over() {
    let tries = Arc::new(Mutex::new(0));
    let failing = |tries: &Arc<Mutex<u32>>| {
        let tries = tries.clone();
        NewStep::new(action("one"), did("a")).with_undo(move || {
            *tries.lock().unwrap() += 1;
            let tried = *tries.lock().unwrap();
            async move { if tried < 2 { Err("not yet") } else { Ok(()) } }
        })
    };
    for (name, retries, ended) in [("once", 0, SagaState::Escalated), ("twice", 1, SagaState::Compensated)] {
        *tries.lock().unwrap() = 0;
        let (_, _, session) = stage().await;
        let mut saga = session.create_saga(&SagaId::new(name).unwrap()).await.unwrap();
        let step = saga.add_step(failing(&tries).with_undo_retries(retries)).await.unwrap();
        saga.execute_step(step, async || Ok::<_, String>(())).await.unwrap();
        assert_eq!(saga.cancel().await.unwrap(), ended);
        assert_eq!(*tries.lock().unwrap(), retries + 1);
    }
    let (_, _, session) = stage().await;
    let mut saga = session.create_saga(&SagaId::new("late").unwrap()).await.unwrap();
    let short = failing(&tries).with_undo_window(Duration::from_millis(20));
    let step = saga.add_step(short).await.unwrap();
    saga.execute_step(step, async || Ok::<_, String>(())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(40)).await;
    let before = *tries.lock().unwrap();
    assert_eq!(saga.cancel().await.unwrap(), SagaState::Escalated);
    assert_eq!(*tries.lock().unwrap(), before);
}

async fn polled<F: Future>(times: usize, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    for _ in 0..times {
        let polled = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        if let Poll::Ready(done) = polled {
            return Some(done);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

/// S1: however far a step came that is dropped, also behind its end, it is undone with what was done before.
#[tokio::test]
async fn s1_a_step_that_is_dropped_at_any_point_is_undone_with_what_was_done_before() {
    for times in 1..=4 {
        let (_folder, log) = on_disk();
        let (hv, session) = stage_on(log).await;
        let (undone, done) = (Arc::new(Mutex::new(Vec::new())), Mutex::new(0));
        let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
        let one = saga.add_step(undoable("one", "a", &undone)).await.unwrap();
        saga.execute_step(one, async || Ok::<_, String>(())).await.unwrap();
        let two = saga.add_step(undoable("two", "a", &undone)).await.unwrap();
        let doing = saga.execute_step(two, async || {
            *done.lock().unwrap() += 1;
            Ok::<_, String>(())
        });
        let ended = polled(times, doing).await.is_some();
        let expected = if ended { SagaState::Completed } else { SagaState::Compensated };
        assert_eq!(saga.finish().await.unwrap(), expected, "{times}");
        let undone = undone.lock().unwrap().clone();
        match (ended, *done.lock().unwrap()) {
            (true, 1) => assert!(undone.is_empty()),
            (false, 0) => assert!(undone.ends_with(&["one".to_owned()]), "{times}: {undone:?}"),
            (false, 1) => assert_eq!(undone, ["two", "one"], "{times}"),
            other => panic!("{times}: {other:?}"),
        }
        hv.terminate_session(session.id()).await.unwrap();
    }
}

/// S1: what one call does is not taken for lost because of another one, whether that is refused or dropped.
#[tokio::test]
async fn s1_steps_are_done_one_at_a_time_and_a_call_beside_another_settles_nothing_of_it() {
    let (_folder, log) = on_disk();
    let (_, session) = stage_on(log).await;
    let undone = Arc::new(Mutex::new(Vec::new()));
    let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
    let one = saga.add_step(undoable("one", "a", &undone)).await.unwrap();
    let two = saga.add_step(undoable("two", "a", &undone)).await.unwrap();
    let first = saga.execute_step(one, async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok::<_, String>(1)
    });
    let others = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(polled(1, saga.execute_step(two, async || Ok::<_, String>(2))).await.is_none());
        let refused = saga.execute_step(two, async || Ok::<_, String>(2)).await.unwrap_err();
        let StepFailure::Node(Error::Denied(denied)) = refused else { panic!("{refused}") };
        assert_eq!(denied.reason, Reason::SagaHeld(SagaId::new("mail").unwrap()));
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(first.unwrap(), 1);
    assert_eq!(saga.execute_step(two, async || Ok::<_, String>(2)).await.unwrap(), 2);
    assert_eq!(saga.finish().await.unwrap(), SagaState::Completed);
    assert!(undone.lock().unwrap().is_empty());
}

/// What is being undone is driven by one call, however many ask.
#[tokio::test]
async fn what_was_dropped_is_undone_once_where_two_ask_for_the_next_step() {
    let (hv, _, session) = stage().await;
    let undos = Arc::new(Mutex::new(0));
    let slow = undos.clone();
    let new = NewStep::new(action("one"), did("a")).with_undo(move || {
        let slow = slow.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            *slow.lock().unwrap() += 1;
            Ok::<(), Infallible>(())
        }
    });
    let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
    let one = saga.add_step(new).await.unwrap();
    let two = saga.add_step(NewStep::reading(action("look"), did("low"))).await.unwrap();
    let stuck = saga.execute_step(one, std::future::pending::<Result<(), Infallible>>);
    assert!(tokio::time::timeout(Duration::from_millis(20), stuck).await.is_err());
    let ask = async || saga.execute_step(two, async || Ok::<_, String>(())).await.is_err();
    let second = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        ask().await
    };
    assert_eq!(tokio::join!(ask(), second), (true, true));
    assert_eq!(saga.state().unwrap(), SagaState::Compensated);
    assert_eq!(*undos.lock().unwrap(), 1);
    assert_eq!(hv.standing(session.id(), &did("a")).unwrap().0, "0.85".parse().unwrap());
}

/// What a dropped call added can be asked for, and is undone by the function that came with it.
#[tokio::test]
async fn a_step_is_whole_where_the_call_that_added_it_was_dropped() {
    for times in 1..=3 {
        let (_folder, log) = on_disk();
        let (_, session) = stage_on(log).await;
        let undone = Arc::new(Mutex::new(Vec::new()));
        let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
        assert!(polled(times, saga.add_step(undoable("one", "a", &undone))).await.is_none(), "{times}");
        let [one] = saga.waiting().unwrap()[..] else { panic!("{times}: it is there") };
        assert_eq!(saga.execute_step(one, async || Ok::<_, String>(1)).await.unwrap(), 1);
        assert_eq!(saga.cancel().await.unwrap(), SagaState::Compensated);
        assert_eq!(*undone.lock().unwrap(), ["one"]);
    }
}

#[tokio::test]
async fn a_step_has_a_name_whatever_others_are_called() {
    let (_, _, session) = stage().await;
    let long = "x".repeat(256);
    for names in [["deploy.1", "deploy"], ["step.1", &long], ["deploy.2", "deploy"]] {
        let mut saga =
            session.create_saga(&SagaId::new(&format!("of-{}", &names[0])).unwrap()).await.unwrap();
        for name in names.iter().cycle().take(6) {
            let step = saga.add_step(undoable(name, "a", &Arc::default())).await.unwrap();
            saga.execute_step(step, async || Ok::<_, String>(())).await.unwrap();
        }
        assert_eq!(saga.finish().await.unwrap(), SagaState::Completed);
    }
}

/// An error that cannot say what it is is no step that took too long.
#[tokio::test]
async fn an_error_that_panics_when_it_is_asked_what_it_is_is_a_function_that_panicked() {
    struct Mute;
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("it says nothing")
        }
    }
    let (_, _, session) = stage().await;
    let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
    let step = saga.add_step(undoable("one", "a", &Arc::default())).await.unwrap();
    let failed = saga.execute_step(step, async || Err::<(), _>(Mute)).await.unwrap_err();
    let StepFailure::Failed { why, saga } = failed else { panic!("{failed:?}") };
    assert_eq!((why.as_str(), saga), ("it panicked", SagaState::Compensated));
}

/// C1: the same number is another step in another saga, so it is refused there, and nothing is called.
#[tokio::test]
async fn c1_a_step_of_another_saga_is_refused_wherever_that_one_is() {
    let (hv, log, session) = stage().await;
    let (other_hv, _, elsewhere) = stage().await;
    let undone = Arc::new(Mutex::new(Vec::new()));
    let never = async || -> Result<(), String> { panic!("it must not run") };
    // Of the same name and with the same step, but on another node.
    let id = SagaId::new("mail").unwrap();
    let mut away = elsewhere.create_saga(&id).await.unwrap();
    let mut other = session.create_saga(&SagaId::new("post").unwrap()).await.unwrap();
    let foreign = [
        away.add_step(undoable("draft", "a", &undone)).await.unwrap(),
        other.add_step(undoable("draft", "a", &undone)).await.unwrap(),
    ];
    let mut saga = session.create_saga(&id).await.unwrap();
    let own = saga.add_step(undoable("draft", "a", &undone)).await.unwrap();
    for step in foreign {
        assert_ne!(step, own);
        let before = log.durable();
        let refused = saga.execute_step(step, never).await.unwrap_err();
        let StepFailure::Node(Error::Denied(denied)) = refused else { panic!("{refused:?}") };
        assert_eq!(denied.reason, Reason::OtherSaga(id.clone()));
        assert!(denied.to_string().contains("ask the saga that added it"), "{denied}");
        // It is on the trail.
        assert!(denied.lsn.is_some_and(|lsn| lsn > before), "{denied:?}");
    }
    // Neither saga was touched by that.
    assert_eq!(saga.execute_step(own, async || Ok::<_, String>(1)).await.unwrap(), 1);
    assert_eq!(away.execute_step(foreign[0], async || Ok::<_, String>(2)).await.unwrap(), 2);
    assert_eq!(other.execute_step(foreign[1], async || Ok::<_, String>(3)).await.unwrap(), 3);
    for saga in [saga, away, other] {
        assert_eq!(saga.finish().await.unwrap(), SagaState::Completed);
    }
    hv.terminate_session(session.id()).await.unwrap();
    other_hv.terminate_session(elsewhere.id()).await.unwrap();
}

/// The session ends, and its name is asked for again, while a step is added whose action is recorded and whose undo is not:
/// that is refused, and the node and its trail go on.
#[tokio::test]
async fn a_session_may_end_while_a_step_is_added() {
    let dir = tempfile::tempdir().unwrap();
    let hv = Hypervisor::in_folder(&dir.path().join("trail")).unwrap();
    let admin = did("admin");
    for round in 0..10 {
        let id = SessionId::new(&format!("s{round}")).unwrap();
        let session = hv.create_session(&id, SessionConfig::default(), &admin).await.unwrap();
        hv.join_session(&id, &Entrant::new(did("a")).with_sigma("0.85".parse().unwrap())).await.unwrap();
        hv.activate_session(&id).await.unwrap();
        let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
        let undone = Arc::default();
        let ending = async {
            while hv.action_claims(&id, &action("one")).unwrap().is_none() {
                tokio::task::yield_now().await;
            }
            // Whether the name is free by then does not matter.
            let again = hv.create_session(&id, SessionConfig::default(), &admin);
            tokio::join!(hv.terminate_session(&id), again).0
        };
        let (added, ended) = tokio::join!(saga.add_step(undoable("one", "a", &undone)), ending);
        ended.unwrap();
        match added {
            Ok(_) | Err(Error::Denied(_) | Error::NoSession(_) | Error::NoSaga(_)) => {}
            Err(other) => panic!("{round}: {other}"),
        }
    }
    hv.seal().await.unwrap();
    drop(hv);
    Hypervisor::in_folder(&dir.path().join("trail")).unwrap();
}

/// Begins something, or goes on with it as far as it comes by itself.
pub async fn is_pending<F: Future + ?Sized>(mut work: Pin<&mut F>) -> bool {
    poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_pending())).await
}

/// R4: what takes the right away between the record of a grant and the beginning of its effect is what the failure names.
#[tokio::test]
async fn a_step_that_was_kept_from_running_says_by_what() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Mood::slow(Duration::ZERO);
    let options = FileOptions::new(entropy().unwrap()).with_disk(Arc::new(disk.clone()));
    let log = FileLog::create(&dir.path().join("trail"), SystemClock.now(), options).unwrap();
    let hv = Hypervisor::open(Arc::new(log), Arc::new(SystemClock)).unwrap();
    let admin = did("admin");
    let target = KillTarget::Agent { did: did("a") };
    let order = KillOrder { target, by: Some(admin.clone()), reason: "it leaks".to_owned() };
    for (name, why) in
        [("killed", "agent did:mesh:a was killed at "), ("evicted", "the agent is no longer a member of ")]
    {
        let id = SessionId::new(name).unwrap();
        let session = hv.create_session(&id, SessionConfig::default(), &admin).await.unwrap();
        for member in ["a", "b"] {
            hv.join_session(&id, &Entrant::new(did(member)).with_sigma("0.85".parse().unwrap()))
                .await
                .unwrap();
        }
        hv.activate_session(&id).await.unwrap();
        let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
        let step = saga.add_step(undoable("one", "a", &Arc::default())).await.unwrap();
        let held = disk.hold();
        let mut asked =
            pin!(saga.execute_step(step, async || -> Result<(), String> { panic!("it must not run") }));
        // Decided and recorded, and not durable yet; so is what takes the right away.
        assert!(is_pending(asked.as_mut()).await, "{name}: it waits for the disk");
        let mut taken: Pin<Box<dyn Future<Output = ()>>> = if name == "killed" {
            let kill = hv.kill(&order, async { Ok::<(), Infallible>(()) });
            Box::pin(async { drop(kill.await.unwrap()) })
        } else {
            let (hv, id) = (&hv, &id);
            Box::pin(async move { hv.evict_agent(id, &did("a"), Eviction::Operator).await.unwrap() })
        };
        assert!(is_pending(taken.as_mut()).await, "{name}: it waits for the disk");
        drop(held);
        taken.await;
        let StepFailure::Failed { why: said, saga: state } = asked.await.unwrap_err() else {
            panic!("{name}")
        };
        assert!(said.starts_with("it was not started: ") && said.contains(why), "{name}: {said}");
        assert_eq!(state, SagaState::Compensated);
        if name == "killed" {
            hv.lift_kill(&order).await.unwrap();
        }
    }
}
