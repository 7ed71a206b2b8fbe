//! Steps of a growing saga of which nobody knows what they did are asked about, where they bring a function for that.

use crate::evidence::did;
use hv_core::audit::MemoryLog;
use hv_core::saga::SagaState;
use hv_core::session::SessionConfig;
use hv_core::types::{ActionId, SagaId, SessionId};
use hv_core::{
    Entrant, Error, Hypervisor, NewStep, OpenSaga, Reason, SessionHandle, StepFailure, StepNo, SystemClock,
    Undos,
};
use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Undone = Arc<Mutex<Vec<&'static str>>>;
type Answer = Result<bool, &'static str>;

fn action(name: &str) -> ActionId {
    ActionId::new(name).unwrap()
}

fn mail() -> SagaId {
    SagaId::new("mail").unwrap()
}

fn undoable(name: &'static str, undone: &Undone) -> NewStep {
    let undone = Arc::clone(undone);
    NewStep::new(action(name), did("a")).with_undo(move || {
        undone.lock().unwrap().push(name);
        async { Ok::<(), Infallible>(()) }
    })
}

/// A saga with a step that is done and one that its probe answers for so.
async fn staged(
    undone: &Undone,
    asked: &Arc<AtomicU32>,
    answer: Answer,
) -> (Hypervisor, SessionHandle, OpenSaga, StepNo) {
    let hv = Hypervisor::open(Arc::new(MemoryLog::new()), Arc::new(SystemClock)).unwrap();
    let id = SessionId::new("s").unwrap();
    let session = hv.create_session(&id, SessionConfig::default(), &did("admin")).await.unwrap();
    hv.join_session(&id, &Entrant::new(did("a")).with_sigma("0.85".parse().unwrap())).await.unwrap();
    hv.activate_session(&id).await.unwrap();
    let mut saga = session.create_saga(&mail()).await.unwrap();
    let one = saga.add_step(undoable("one", undone)).await.unwrap();
    saga.execute_step(one, async || Ok::<_, Infallible>(())).await.unwrap();
    let (asked, gone) = (Arc::clone(asked), Arc::clone(undone));
    let two = undoable("two", undone).with_timeout(Duration::from_millis(30)).with_undo_retries(1);
    let two = two.with_probe(move || {
        asked.fetch_add(1, Ordering::SeqCst);
        // What was undone is gone, as an undo of a step with a probe has to show.
        let answer = if gone.lock().unwrap().contains(&"two") { Ok(false) } else { answer };
        async move { answer }
    });
    let two = saga.add_step(two).await.unwrap();
    (hv, session, saga, two)
}

/// S3: what the probe finds settles a step that took too long after it had its effect, or before.
#[tokio::test]
async fn s3_a_step_that_took_too_long_is_what_its_probe_says() {
    for answer in [Ok(true), Ok(false), Err("the service is away")] {
        let (undone, asked) = (Undone::default(), Arc::new(AtomicU32::new(0)));
        let (hv, session, mut saga, two) = staged(&undone, &asked, answer).await;
        let late = saga.execute_step(two, pending::<Result<(), Infallible>>).await.unwrap_err();
        let times = asked.load(Ordering::SeqCst);
        match answer {
            Ok(true) => {
                assert!(matches!(&late, StepFailure::NoResult { why } if why == "it did not end in time"));
                assert!(late.to_string().contains("the step is done, as its probe says"), "{late}");
                assert_eq!((saga.state().unwrap(), times), (SagaState::Running, 1));
                // The saga goes on, and all of it stands.
                let three = saga.add_step(undoable("three", &undone)).await.unwrap();
                assert_eq!(saga.execute_step(three, async || Ok::<_, Infallible>(3)).await.unwrap(), 3);
                assert_eq!(saga.finish().await.unwrap(), SagaState::Completed);
                assert!(undone.lock().unwrap().is_empty());
            }
            Ok(false) => {
                let compensated = matches!(&late, StepFailure::Failed { saga: SagaState::Compensated, .. });
                assert!(compensated, "{late:?}");
                assert_eq!(times, 1);
                assert_eq!(*undone.lock().unwrap(), ["one"], "what was not done is not undone");
            }
            Err(_) => {
                let compensated = matches!(&late, StepFailure::Failed { saga: SagaState::Compensated, .. });
                assert!(compensated, "{late:?}");
                assert_eq!(times, 3, "it is asked again, and whether the undo worked");
                assert_eq!(*undone.lock().unwrap(), ["two", "one"], "it may have been done");
            }
        }
        hv.terminate_session(session.id()).await.unwrap();
    }
}

/// A step that an earlier program was cut off in is asked about by the next one, which brings a function for that.
#[tokio::test]
async fn a_saga_that_is_taken_up_asks_what_its_last_step_did() {
    for there in [true, false] {
        let (undone, asked) = (Undone::default(), Arc::new(AtomicU32::new(0)));
        let (_hv, session, saga, two) = staged(&undone, &asked, Ok(!there)).await;
        let stuck = saga.execute_step(two, pending::<Result<(), Infallible>>);
        assert!(tokio::time::timeout(Duration::from_millis(5), stuck).await.is_err());
        drop(saga);
        let taken_back = Undone::default();
        let undo = |name: &'static str| {
            let taken_back = Arc::clone(&taken_back);
            move |_| {
                taken_back.lock().unwrap().push(name);
                async { Ok::<(), Infallible>(()) }
            }
        };
        let undos = Undos::new().with(action("one"), undo("one")).with(action("two"), undo("two"));
        let refused = session.reopen_saga(&mail(), &undos).await.unwrap_err();
        let Error::Denied(denied) = &refused else { panic!("{refused}") };
        assert!(matches!(&denied.reason, Reason::NoFunction(of) if of.1.as_str() == "two.1"), "{refused}");

        let undos = undos.with_probe(action("two"), move |step| async move {
            assert_eq!(step, 1);
            Ok::<_, Infallible>(there)
        });
        let saga = session.reopen_saga(&mail(), &undos).await.unwrap();
        if there {
            assert_eq!(saga.state().unwrap(), SagaState::Running, "it is done, so the saga goes on");
            assert_eq!(saga.finish().await.unwrap(), SagaState::Completed);
            assert!(taken_back.lock().unwrap().is_empty());
        } else {
            assert_eq!(saga.state().unwrap(), SagaState::Compensated);
            assert_eq!(*taken_back.lock().unwrap(), ["one"]);
        }
        assert_eq!((asked.load(Ordering::SeqCst), undone.lock().unwrap().len()), (0, 0));
    }
}
