//! Steps of a growing saga that somebody else takes over, where the gate refuses their agent or their agent is relieved.

use crate::disks::Mood;
use crate::open_saga::is_pending;
use hv_core::audit::{Entry, FileLog, FileOptions, Log, MemoryLog};
use hv_core::event::{KillAnswer, KillTarget, SessionEvent};
use hv_core::saga::{SagaEvent, SagaState};
use hv_core::types::{ActionId, Did, SagaId, SessionId};
use hv_core::{
    Clock, Entrant, Error, Hypervisor, KillOrder, NewStep, OpenSaga, Reason, SessionConfig, SessionHandle,
    StepFailure, StepNo, SystemClock, TrailEvent, Undos, entropy, read_record,
};
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Undone = Arc<Mutex<Vec<&'static str>>>;

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn action(name: &str) -> ActionId {
    ActionId::new(name).unwrap()
}

fn mail() -> SagaId {
    SagaId::new("mail").unwrap()
}

fn undoable(name: &'static str, agent: &str, undone: &Undone) -> NewStep {
    let undone = Arc::clone(undone);
    NewStep::new(action(name), did(agent)).with_undo(move || {
        undone.lock().unwrap().push(name);
        async { Ok::<(), Infallible>(()) }
    })
}

struct Stage {
    hv: Hypervisor,
    log: Arc<dyn Log>,
    session: SessionHandle,
    saga: OpenSaga,
    undone: Undone,
}

/// A saga whose first step is done. Two agents may do what can be undone, one may only look.
async fn staged(log: Arc<dyn Log>) -> Stage {
    let hv = Hypervisor::open(Arc::clone(&log), Arc::new(SystemClock)).unwrap();
    let id = SessionId::new("s").unwrap();
    let session = hv.create_session(&id, SessionConfig::default(), &did("admin")).await.unwrap();
    for (name, sigma) in [("a", "0.85"), ("b", "0.85"), ("low", "0.4")] {
        hv.join_session(&id, &Entrant::new(did(name)).with_sigma(sigma.parse().unwrap())).await.unwrap();
    }
    hv.activate_session(&id).await.unwrap();
    let undone = Undone::default();
    let mut saga = session.create_saga(&mail()).await.unwrap();
    let one = saga.add_step(undoable("one", "b", &undone)).await.unwrap();
    saga.execute_step(one, async || Ok::<_, Infallible>(())).await.unwrap();
    Stage { hv, log, session, saga, undone }
}

async fn in_memory() -> Stage {
    staged(Arc::new(MemoryLog::new())).await
}

impl Stage {
    /// What the trail says of the step: who was denied it, and how often it was handed over.
    fn told(&self) -> (Vec<Did>, usize) {
        let mut denied = Vec::new();
        let mut handed = 0;
        let mut read = |entry: Entry<'_>| {
            for event in read_record(&entry).unwrap().events {
                let TrailEvent::Session(event) = event else { continue };
                match *event {
                    SessionEvent::Denied { denial } => denied.extend(denial.agent),
                    SessionEvent::Saga { event: SagaEvent::HandedOver { step, .. }, .. } => {
                        assert_eq!(step, 1);
                        handed += 1;
                    }
                    _ => {}
                }
            }
            Ok(())
        };
        self.log.replay(&mut read).unwrap();
        (denied, handed)
    }

    /// A step that these do, in this order; it may be asked what it did where there is an answer.
    async fn two(&mut self, agent: &str, substitute: Option<&str>, answer: Option<bool>) -> StepNo {
        let step = undoable("two", agent, &self.undone);
        let step = match substitute {
            Some(substitute) => step.with_substitute(did(substitute)),
            None => step,
        };
        let gone = Arc::clone(&self.undone);
        let step = match answer {
            Some(answer) => step.with_probe(move || {
                let there = answer && !gone.lock().unwrap().contains(&"two");
                async move { Ok::<_, Infallible>(there) }
            }),
            None => step,
        };
        self.saga.add_step(step).await.unwrap()
    }

    fn undone(&self) -> Vec<&'static str> {
        self.undone.lock().unwrap().clone()
    }

    /// Kills an agent, and has it relieved by that.
    async fn kill(&self, agent: &str) -> KillAnswer {
        let (relief, did) = (self.saga.relief(), did(agent));
        self.hv.kill(&order(agent), async move { relief.relieve(&did).await }).await.unwrap()
    }
}

fn order(agent: &str) -> KillOrder {
    let target = KillTarget::Agent { did: did(agent) };
    KillOrder { target, by: Some(did("admin")), reason: "it leaks".to_owned() }
}

/// Counts what was dropped.
struct Gone<'a>(&'a AtomicU32);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits until something was called.
async fn called(calls: &AtomicU32) {
    while calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
}

/// C1: each is judged by itself, and what the substitute did is its own.
#[tokio::test]
async fn c1_a_step_that_the_gate_refuses_its_agent_is_done_by_its_substitute() {
    let mut stage = in_memory().await;
    let two = stage.two("low", Some("a"), None).await;
    assert_eq!(stage.saga.agent(two).unwrap(), Some(did("low")));
    let saga = &stage.saga;
    let done = saga.execute_step(two, async || saga.agent(two)).await.unwrap();
    assert_eq!(done, Some(did("a")), "the function is told for whom it acts");
    assert_eq!(stage.told(), (vec![did("low")], 1));
    assert_eq!(stage.saga.state().unwrap(), SagaState::Running);
    // Another saga's step is nobody's here.
    let other = stage.session.create_saga(&SagaId::new("other").unwrap()).await.unwrap();
    assert_eq!(other.agent(two).unwrap(), None);
    let undone = Arc::clone(&stage.undone);
    assert_eq!(stage.saga.cancel().await.unwrap(), SagaState::Compensated);
    assert_eq!(*undone.lock().unwrap(), ["two", "one"]);
}

#[tokio::test]
async fn c1_a_step_that_the_gate_refuses_its_substitute_too_is_denied() {
    for substitute in ["low", "nobody", "b"] {
        let mut stage = in_memory().await;
        let agent = if substitute == "low" { "nobody" } else { "low" };
        let two = stage.two(agent, Some(substitute), None).await;
        if substitute == "b" {
            assert_eq!(stage.kill("b").await, KillAnswer::Stopped {});
        }
        let never = async || -> Result<(), String> { panic!("it must not run") };
        let denied = stage.saga.execute_step(two, never).await.unwrap_err();
        let StepFailure::Denied(denial) = denied else { panic!("{substitute}: {denied:?}") };
        assert_eq!(denial.agent, Some(did(substitute)), "it says who was asked for last");
        assert_eq!(stage.told(), (vec![did(agent), did(substitute)], 1));
        assert_eq!((stage.saga.state().unwrap(), stage.undone()), (SagaState::Compensated, vec!["one"]));
    }
}

/// What the gate refused first is not what a step failed for that its substitute did.
#[tokio::test]
async fn a_step_that_its_substitute_does_fails_for_what_that_comes_to() {
    let mut stage = in_memory().await;
    let two = stage.two("low", Some("a"), None).await;
    let failed = stage.saga.execute_step(two, async || Err::<(), _>("no paper")).await.unwrap_err();
    let StepFailure::Failed { why, saga } = failed else { panic!("{failed:?}") };
    assert_eq!((why.as_str(), saga, stage.undone()), ("no paper", SagaState::Compensated, vec!["one"]));
}

/// S3: what a killed agent had begun is what its probe says, and goes on under another name only where it is not done.
#[tokio::test]
async fn s3_what_a_killed_agent_does_is_stopped_settled_and_handed_over() {
    for (substitute, answer) in [
        (Some("a"), Some(false)),
        (Some("a"), Some(true)),
        (Some("a"), None),
        (None, Some(false)),
        (None, None),
    ] {
        let mut stage = in_memory().await;
        let two = stage.two("b", substitute, answer).await;
        let (calls, gone, saga) = (AtomicU32::new(0), AtomicU32::new(0), &stage.saga);
        let doing = saga.execute_step(two, async || {
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                let _stopped = Gone(&gone);
                pending::<()>().await;
            }
            saga.agent(two)
        });
        let killing = async {
            called(&calls).await;
            let answer = stage.kill("b").await;
            (answer, gone.load(Ordering::SeqCst))
        };
        let (done, answered) = tokio::join!(doing, killing);
        assert_eq!(answered, (KillAnswer::Stopped {}, 1), "what is called stopped has ended");
        let (state, undone) = (stage.saga.state().unwrap(), stage.undone());
        let calls = calls.load(Ordering::SeqCst);
        let stopped = "it was stopped, because did:mesh:b was relieved of it";
        match (substitute, answer) {
            (Some(_), Some(false)) => {
                assert_eq!((done.unwrap(), calls, state), (Some(did("a")), 2, SagaState::Running));
                assert!(undone.is_empty());
            }
            (Some(_), Some(true)) => {
                assert!(matches!(done, Err(StepFailure::NoResult { why }) if why == stopped));
                assert_eq!((calls, state), (1, SagaState::Running));
                assert!(undone.is_empty());
            }
            (_, answer) => {
                let failed = done.unwrap_err();
                let StepFailure::Failed { why, saga } = failed else { panic!("{failed:?}") };
                assert_eq!((why.as_str(), calls, saga), (stopped, 1, SagaState::Compensated));
                let all = if answer.is_some() { vec!["one"] } else { vec!["two", "one"] };
                assert_eq!(undone, all);
            }
        }
        assert_eq!(stage.told().1, usize::from(substitute.is_some()));
    }
}

/// The time of a step is one for all who do it, and a substitute that is killed is followed by nobody.
#[tokio::test]
async fn a_substitute_ends_with_the_time_of_the_step_or_when_it_is_killed_itself() {
    for killed in [false, true] {
        let mut stage = in_memory().await;
        let within = if killed { 600_000 } else { 1500 };
        let new = undoable("two", "b", &stage.undone).with_within(Duration::from_millis(within));
        let new = new.with_probe(|| async { Ok::<_, Infallible>(false) }).with_substitute(did("a"));
        let two = stage.saga.add_step(new).await.unwrap();
        let calls = AtomicU32::new(0);
        let doing = stage.saga.execute_step(two, || {
            calls.fetch_add(1, Ordering::SeqCst);
            pending::<Result<(), Infallible>>()
        });
        let killing = async {
            called(&calls).await;
            assert_eq!(stage.kill("b").await, KillAnswer::Stopped {});
            while killed && calls.load(Ordering::SeqCst) == 1 {
                tokio::task::yield_now().await;
            }
            if killed {
                assert_eq!(stage.kill("a").await, KillAnswer::Stopped {});
            }
        };
        let both = async { tokio::join!(doing, killing).0 };
        let failed = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap().unwrap_err();
        let StepFailure::Failed { why, saga } = failed else { panic!("{failed:?}") };
        // Where the wait before the substitute's turn would take the rest of the time, it has no turn.
        let ends: &[&str] = if killed {
            &["it was stopped, because did:mesh:a was relieved of it"]
        } else {
            &["it did not end in time", "it was stopped, because did:mesh:b was relieved of it"]
        };
        assert!(ends.contains(&why.as_str()), "{why}");
        assert_eq!((saga, stage.undone()), (SagaState::Compensated, vec!["one"]));
    }
}

/// A kill alone stops no function, as before.
#[tokio::test]
async fn a_kill_without_its_callback_lets_the_function_end() {
    let mut stage = in_memory().await;
    let two = stage.two("b", Some("a"), None).await;
    let done = stage.saga.execute_step(two, async || {
        stage.hv.kill(&order("b"), async { Ok::<(), Infallible>(()) }).await.map(drop)
    });
    done.await.unwrap();
    assert_eq!(stage.told(), (vec![], 0));
}

/// The wait before a repetition ends as it would, and then it is the substitute's turn.
#[tokio::test]
async fn an_agent_that_is_killed_or_relieved_while_it_waits_is_followed_by_its_substitute() {
    for killed in [true, false] {
        let mut stage = in_memory().await;
        let new = undoable("two", "b", &stage.undone).with_retries(1).with_substitute(did("a"));
        let two = stage.saga.add_step(new).await.unwrap();
        let (calls, saga) = (AtomicU32::new(0), &stage.saga);
        let doing = saga.execute_step(two, async || {
            let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
            if first { Err("not yet".to_owned()) } else { saga.agent(two).map_err(|error| error.to_string()) }
        });
        let taking = async {
            called(&calls).await;
            if killed {
                stage.hv.kill(&order("b"), async { Ok::<(), Infallible>(()) }).await.unwrap();
            } else {
                saga.relief().relieve(&did("b")).await.unwrap();
            }
        };
        let (done, ()) = tokio::join!(doing, taking);
        assert_eq!((done.unwrap(), calls.load(Ordering::SeqCst)), (Some(did("a")), 2));
        let denied = if killed { vec![did("b")] } else { vec![] };
        assert_eq!(stage.told(), (denied, 1));
    }
}

/// R4: an agent that is killed between the record of its grant and the beginning does not begin, and its substitute does.
#[tokio::test]
async fn r4_an_agent_that_is_killed_behind_its_grant_is_followed_by_its_substitute() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Mood::slow(Duration::ZERO));
    let options = FileOptions::new(entropy().unwrap()).with_disk(Arc::new(disk.clone()));
    let log = FileLog::create(&folder.path().join("trail"), SystemClock.now(), options).unwrap();
    let mut stage = staged(Arc::new(log)).await;
    let two = stage.two("b", Some("a"), None).await;
    let (calls, saga) = (AtomicU32::new(0), &stage.saga);
    let held = disk.hold();
    let mut doing = pin!(saga.execute_step(two, || {
        calls.fetch_add(1, Ordering::SeqCst);
        async { saga.agent(two) }
    }));
    // Decided and recorded, and not durable yet; so is what takes the right away.
    assert!(is_pending(doing.as_mut()).await, "its end waits for the disk");
    let order = order("b");
    let mut kill = pin!(stage.hv.kill(&order, async { Ok::<(), Infallible>(()) }));
    assert!(is_pending(kill.as_mut()).await, "its end waits for the disk");
    drop(held);
    kill.await.unwrap();
    assert_eq!((doing.await.unwrap(), calls.load(Ordering::SeqCst)), (Some(did("a")), 1));
    assert_eq!(stage.told(), (vec![], 1));
}

/// Whoever is relieved while no step is done is relieved of those that are there then, and of no later one.
#[tokio::test]
async fn who_is_relieved_between_two_steps_does_not_do_the_next_one() {
    let mut stage = in_memory().await;
    let two = stage.two("b", Some("a"), None).await;
    stage.saga.relief().relieve(&did("b")).await.unwrap();
    let saga = &stage.saga;
    assert_eq!(saga.execute_step(two, async || saga.agent(two)).await.unwrap(), Some(did("a")));
    assert_eq!(stage.told(), (vec![], 1));
    let three = undoable("three", "b", &stage.undone).with_substitute(did("a"));
    let three = stage.saga.add_step(three).await.unwrap();
    let saga = &stage.saga;
    assert_eq!(saga.execute_step(three, async || saga.agent(three)).await.unwrap(), Some(did("b")));
    assert_eq!(stage.saga.finish().await.unwrap(), SagaState::Completed);
}

/// Whoever has nothing to do is relieved of nothing, so that no more agents are kept than steps name.
#[tokio::test]
async fn who_is_relieved_without_a_step_does_the_one_that_comes() {
    let mut stage = in_memory().await;
    // What it did is done.
    stage.saga.relief().relieve(&did("b")).await.unwrap();
    let two = stage.two("b", Some("a"), None).await;
    let saga = &stage.saga;
    assert_eq!(saga.execute_step(two, async || saga.agent(two)).await.unwrap(), Some(did("b")));
    assert_eq!(stage.told(), (vec![], 0));
}

/// S1: what a substitute had begun when its call was dropped is undone like anything else.
#[tokio::test]
async fn s1_a_step_that_is_dropped_after_it_was_handed_over_is_undone() {
    let mut stage = in_memory().await;
    let two = stage.two("low", Some("a"), None).await;
    let stuck = stage.saga.execute_step(two, pending::<Result<(), Infallible>>);
    assert!(tokio::time::timeout(Duration::from_millis(20), stuck).await.is_err());
    // Nothing waits for what nobody does any more.
    assert_eq!(stage.kill("a").await, KillAnswer::Stopped {});
    let undone = Arc::clone(&stage.undone);
    assert_eq!(stage.saga.finish().await.unwrap(), SagaState::Compensated);
    assert_eq!(*undone.lock().unwrap(), ["two", "one"]);
}

/// S3, S4: who takes a saga up finds the step with its substitute, and its probe says what that did.
#[tokio::test]
async fn s3_a_saga_whose_step_was_handed_over_before_a_crash_is_taken_up() {
    for there in [true, false] {
        let mut stage = in_memory().await;
        let two = stage.two("low", Some("a"), Some(true)).await;
        let stuck = stage.saga.execute_step(two, pending::<Result<(), Infallible>>);
        assert!(tokio::time::timeout(Duration::from_millis(20), stuck).await.is_err());
        let Stage { log, saga, session, hv, .. } = stage;
        drop((saga, session, hv));

        let hv = Hypervisor::open(log, Arc::new(SystemClock)).unwrap();
        let session = hv.session(&SessionId::new("s").unwrap()).unwrap();
        let undone = Undone::default();
        let undo = |name: &'static str| {
            let undone = Arc::clone(&undone);
            move |_| {
                undone.lock().unwrap().push(name);
                async { Ok::<(), Infallible>(()) }
            }
        };
        let undos = Undos::new().with(action("one"), undo("one")).with(action("two"), undo("two"));
        let undos = undos.with_probe(action("two"), move |_| async move { Ok::<_, Infallible>(there) });
        let saga = session.reopen_saga(&mail(), &undos).await.unwrap();
        if there {
            let machine = hv.saga_machine(session.id(), &mail()).unwrap().unwrap();
            assert_eq!(machine.agent(1), Some(&did("a")));
            assert_eq!(saga.finish().await.unwrap(), SagaState::Completed);
            assert!(undone.lock().unwrap().is_empty());
        } else {
            assert_eq!(saga.state().unwrap(), SagaState::Compensated);
            assert_eq!(*undone.lock().unwrap(), ["one"]);
        }
    }
}

/// Nothing of a step that is refused is kept.
#[tokio::test]
async fn a_step_outside_its_limits_is_not_added_and_says_why() {
    let mut stage = in_memory().await;
    let week = Duration::from_secs(604_800);
    let new = |stage: &Stage| undoable("two", "a", &stage.undone);
    let refused = [
        (new(&stage).with_substitute(did("a")), "its substitute is its own agent; name another one or none"),
        (
            new(&stage).with_within(Duration::ZERO),
            "all its attempts may take together from 1 ms to 604800 s, not 0ns",
        ),
        (
            new(&stage).with_within(week + Duration::from_nanos(1)),
            "from 1 ms to 604800 s, not 604800.000000001s",
        ),
        (new(&stage).with_settles(week * 2), "what it began settles within at most 604800 s, not 1209600s"),
    ];
    for (step, why) in refused {
        let Error::Denied(denied) = stage.saga.add_step(step).await.unwrap_err() else { panic!("{why}") };
        assert!(matches!(denied.reason, Reason::Saga(_)), "{denied}");
        assert!(denied.to_string().contains(why), "{denied}");
        assert!(denied.lsn.is_some(), "it is on the trail");
        assert!(stage.saga.waiting().unwrap().is_empty());
    }
    for within in [Duration::from_millis(1), week] {
        let step = new(&stage).with_within(within).with_settles(Duration::ZERO);
        stage.saga.add_step(step).await.unwrap();
    }
    assert_eq!(stage.saga.waiting().unwrap().len(), 2);
}
