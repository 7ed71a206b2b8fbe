//! How long a step of a growing saga may take with all its attempts, and how long what it began may go on without it.

use hv_core::audit::MemoryLog;
use hv_core::saga::SagaState;
use hv_core::types::{ActionId, Did, SagaId, SessionId};
use hv_core::{Entrant, Guards, Hypervisor, NewStep, OpenSaga, SessionConfig, StepFailure, SystemClock};
use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What was undone, and when.
type Undone = Arc<Mutex<Vec<(&'static str, Instant)>>>;

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn undoable(name: &'static str, undone: &Undone) -> NewStep {
    let undone = Arc::clone(undone);
    NewStep::new(ActionId::new(name).unwrap(), did("a")).with_undo(move || {
        undone.lock().unwrap().push((name, Instant::now()));
        async { Ok::<(), Infallible>(()) }
    })
}

fn names(undone: &Undone) -> Vec<&'static str> {
    undone.lock().unwrap().iter().map(|(name, _)| *name).collect()
}

/// A saga whose first step is done.
async fn staged(guards: Guards, undone: &Undone) -> OpenSaga {
    let hv = Hypervisor::open_guarded(Arc::new(MemoryLog::new()), Arc::new(SystemClock), guards).unwrap();
    let id = SessionId::new("s").unwrap();
    let session = hv.create_session(&id, SessionConfig::default(), &did("admin")).await.unwrap();
    hv.join_session(&id, &Entrant::new(did("a")).with_sigma("0.85".parse().unwrap())).await.unwrap();
    hv.activate_session(&id).await.unwrap();
    let mut saga = session.create_saga(&SagaId::new("mail").unwrap()).await.unwrap();
    let one = saga.add_step(undoable("one", undone)).await.unwrap();
    saga.execute_step(one, async || Ok::<_, Infallible>(())).await.unwrap();
    saga
}

/// S3: the attempt that runs when the time of its step is over is cut off and not repeated; its probe says what it did.
#[tokio::test]
async fn s3_an_attempt_is_cut_off_when_the_time_of_its_step_is_over() {
    for answer in [None, Some(true), Some(false)] {
        let undone = Undone::default();
        let mut saga = staged(Guards::default(), &undone).await;
        let two = undoable("two", &undone).with_retries(5).with_within(Duration::from_millis(50));
        let two = match answer {
            Some(answer) => two.with_probe(move || async move { Ok::<_, Infallible>(answer) }),
            None => two,
        };
        let two = saga.add_step(two).await.unwrap();
        let calls = AtomicU32::new(0);
        let stuck = saga.execute_step(two, || {
            calls.fetch_add(1, Ordering::SeqCst);
            pending::<Result<(), Infallible>>()
        });
        let cut = tokio::time::timeout(Duration::from_secs(60), stuck).await.unwrap().unwrap_err();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        let (why, state) = match cut {
            StepFailure::NoResult { why } => (why, saga.state().unwrap()),
            StepFailure::Failed { why, saga } => (why, saga),
            other => panic!("{other:?}"),
        };
        assert_eq!(why, "it did not end in time");
        let (ends, undoes) = match answer {
            Some(true) => (SagaState::Running, vec![]),
            Some(false) => (SagaState::Compensated, vec!["one"]),
            None => (SagaState::Compensated, vec!["two", "one"]),
        };
        assert_eq!((state, names(&undone)), (ends, undoes));
    }
}

/// A hundred retries would take an hour and more.
#[tokio::test]
async fn a_step_is_not_repeated_once_its_time_is_over() {
    let undone = Undone::default();
    let mut saga = staged(Guards::default(), &undone).await;
    let two = undoable("two", &undone).with_retries(100).with_within(Duration::from_secs(2));
    let two = saga.add_step(two).await.unwrap();
    let failing = saga.execute_step(two, async || Err::<(), _>("no paper"));
    let failed = tokio::time::timeout(Duration::from_secs(60), failing).await.unwrap().unwrap_err();
    let StepFailure::Failed { why, saga } = failed else { panic!("{failed:?}") };
    assert_eq!((why.as_str(), saga, names(&undone)), ("no paper", SagaState::Compensated, vec!["one"]));
}

/// What waits for its agent's rate when its time is over was not begun again, and is not begun later.
#[tokio::test]
async fn a_repetition_that_is_held_back_until_the_time_of_its_step_is_over_is_given_up() {
    let mut guards = Guards::default();
    (guards.limits.rate.standard.per_second, guards.limits.rate.standard.burst) = (1, 1);
    let undone = Undone::default();
    let mut saga = staged(guards, &undone).await;
    let two = undoable("two", &undone).with_retries(1).with_within(Duration::from_millis(800));
    let two = saga.add_step(two).await.unwrap();
    let calls = AtomicU32::new(0);
    let failing = saga.execute_step(two, || {
        calls.fetch_add(1, Ordering::SeqCst);
        async { Err::<(), _>("no paper") }
    });
    let failed = failing.await.unwrap_err();
    let StepFailure::Failed { saga, .. } = failed else { panic!("{failed:?}") };
    assert_eq!((calls.load(Ordering::SeqCst), saga), (1, SagaState::Compensated));
    assert_eq!(names(&undone), ["one"]);
}

/// S1: what a function asked of a service may come after the function is gone, so it is asked about, or undone, behind that.
#[tokio::test]
async fn s1_what_a_step_began_elsewhere_settles_before_it_is_asked_about_or_undone() {
    let settles = Duration::from_millis(400);
    for probed in [true, false] {
        let undone = Undone::default();
        let mut saga = staged(Guards::default(), &undone).await;
        let asked = Arc::new(Mutex::new(None));
        let new = undoable("two", &undone).with_timeout(Duration::from_millis(20)).with_settles(settles);
        let first = Arc::clone(&asked);
        let new = if probed {
            new.with_probe(move || {
                first.lock().unwrap().get_or_insert_with(Instant::now);
                async { Ok::<_, Infallible>(true) }
            })
        } else {
            new
        };
        let two = saga.add_step(new).await.unwrap();
        let began = Instant::now();
        saga.execute_step(two, pending::<Result<(), Infallible>>).await.unwrap_err();
        let settled = if probed { asked.lock().unwrap().unwrap() } else { undone.lock().unwrap()[0].1 };
        assert!(settled.duration_since(began) >= settles, "{:?}", settled.duration_since(began));
        assert_eq!(names(&undone), if probed { vec![] } else { vec!["two", "one"] });
    }
}
