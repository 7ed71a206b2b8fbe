//! S1: a saga has one driver at a time in a process; what that still does is never taken for lost by another one.

use crate::evidence::did;
use hv_core::audit::MemoryLog;
use hv_core::rings::class::Claim;
use hv_core::saga::drive::{Control, Heading, Left, drive, drive_left};
use hv_core::saga::exec::Closures;
use hv_core::saga::{
    Attempt, BoxFuture, Executor, Halt, Host, Outcome, Permit, Plan, Purpose, SagaCommand, SagaState,
    StepDef, StepState, Task,
};
use hv_core::session::SessionConfig;
use hv_core::types::{ActionId, ActionKind, Reversibility, SagaId, SessionId, StepId};
use hv_core::{Entrant, Error, Grant, Hypervisor, Mismatch, NewStep, Reason, SagaHost, SystemClock, Undos};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

fn session() -> SessionId {
    SessionId::new("s").unwrap()
}

fn saga() -> SagaId {
    SagaId::new("g").unwrap()
}

fn act() -> ActionId {
    ActionId::new("act").unwrap()
}

async fn stage() -> Hypervisor {
    let hv = Hypervisor::open(Arc::new(MemoryLog::new()), Arc::new(SystemClock)).unwrap();
    hv.create_session(&session(), SessionConfig::default(), &did("admin")).await.unwrap();
    let entrant = Entrant::new(did("a")).with_sigma("0.97".parse().unwrap());
    hv.join_session(&session(), &entrant).await.unwrap();
    let claim = Claim {
        kind: Some(ActionKind::Effect),
        reversibility: Some(Reversibility::Full),
        ..Claim::default()
    };
    hv.register_action(&session(), &act(), claim).await.unwrap();
    hv.activate_session(&session()).await.unwrap();
    hv
}

/// Two steps, one after the other.
fn plan() -> Plan {
    let step = |n: u32| {
        let id = StepId::new(&format!("step{n}")).unwrap();
        let def = StepDef::new(id, act(), did("a"), Task::closure("act")).with_undo(Task::closure("act"));
        Arc::new(StepDef { after: (0..n).collect(), ..def })
    };
    Plan::new(vec![step(0), step(1)])
}

fn host(hv: &Hypervisor) -> SagaHost {
    hv.saga(&session(), &saga()).accepting(vec![0, 1])
}

/// The work of both steps: the first one hangs until it is let go on.
#[derive(Default)]
struct Work {
    begun: Notify,
    go_on: Notify,
    executed: AtomicU32,
    undone: AtomicU32,
}

impl Work {
    async fn execute(&self) -> Outcome {
        if self.executed.fetch_add(1, Ordering::SeqCst) == 0 {
            self.begun.notify_one();
            self.go_on.notified().await;
        }
        Outcome::done()
    }

    async fn act(&self, attempt: Attempt) -> Outcome {
        match attempt.purpose {
            Purpose::Execute => self.execute().await,
            _ => {
                self.undone.fetch_add(1, Ordering::SeqCst);
                Outcome::done()
            }
        }
    }

    fn closures(self: &Arc<Self>) -> Closures {
        let mut closures = Closures::new();
        let (one, other) = (Arc::clone(self), Arc::clone(self));
        let act = |work: Arc<Self>| {
            move |attempt: Attempt| {
                let work = Arc::clone(&work);
                async move { work.act(attempt).await }
            }
        };
        closures.add("act", act(one), act(other));
        closures
    }

    fn counts(&self) -> (u32, u32) {
        (self.executed.load(Ordering::SeqCst), self.undone.load(Ordering::SeqCst))
    }
}

fn is_held(error: &Error) -> bool {
    matches!(error, Error::Denied(denied) if denied.reason == Reason::SagaHeld(saga()) && denied.lsn.is_some())
}

/// All that another one could ask of a saga that somebody drives; each is refused, and changes nothing.
async fn every_other_driver_is_refused(hv: &Hypervisor) {
    let machine = || hv.saga_machine(&session(), &saga()).unwrap().unwrap();
    let before = machine();
    let nothing = Closures::new();
    for command in [SagaCommand::recover(), SagaCommand::advance(), SagaCommand::Cancel] {
        let other = host(hv);
        let refused = drive(&other, &nothing, &Control::new(), command.clone()).await.unwrap_err();
        assert!(matches!(refused, Halt::Gone), "{refused}");
        assert!(refused.to_string().contains("somebody else drives the saga"), "{refused}");
        let refused = other.run(command.clone(), async |_| panic!("nothing is done")).await.unwrap_err();
        assert!(is_held(&refused), "{refused}");
        assert!(refused.to_string().contains("`g` is held"), "{refused}");
        let refused = other.commit(command, None).await.unwrap_err();
        assert!(matches!(refused, Halt::Gone), "{refused}");
    }
    let left = before.running().map(|attempt| Left {
        attempt,
        agent: did("a"),
        end: Box::pin(async { panic!("it is not this one's to wait for") }),
    });
    let stands = (before.state(), Heading::AsItStands);
    let refused = drive_left(&host(hv), &nothing, &Control::new(), stands, left.collect()).await;
    assert!(matches!(refused, Err(Halt::Gone)));
    assert_eq!(format!("{:?}", machine()), format!("{before:?}"));
}

#[tokio::test]
async fn s1_what_one_driver_still_does_is_not_taken_for_lost_by_another() {
    for by_hand in [false, true] {
        let hv = stage().await;
        let work = Arc::new(Work::default());
        let first = host(&hv);
        let begin = SagaCommand::begin(plan());
        let closures = work.closures();
        let control = Control::new();
        let driven = async {
            if by_hand {
                first.run(begin, |attempt| work.act(attempt)).await.unwrap()
            } else {
                drive(&first, &closures, &control, begin).await.unwrap()
            }
        };
        let others = async {
            work.begun.notified().await;
            every_other_driver_is_refused(&hv).await;
            // Nor may a second one do it through the same host.
            let again = first.run(SagaCommand::recover(), |attempt| work.act(attempt)).await;
            assert!(is_held(&again.unwrap_err()));
            let again = drive(&first, &closures, &control, SagaCommand::recover()).await;
            assert!(matches!(again, Err(Halt::Gone)));
            // A refused driver leaves no word that would let in the next one.
            every_other_driver_is_refused(&hv).await;
            work.go_on.notify_one();
        };
        let (end, ()) = tokio::join!(driven, others);
        assert_eq!(end, SagaState::Completed);
        assert_eq!(work.counts(), (2, 0), "each step once");
        // One that has ended is nobody's.
        let over = host(&hv).run(SagaCommand::recover(), |attempt| work.act(attempt)).await.unwrap_err();
        assert!(matches!(&over, Error::Denied(denied) if matches!(denied.reason, Reason::Saga(_))), "{over}");
    }
}

/// Begins nothing, and keeps what it was given.
#[derive(Default)]
struct Keeper(Mutex<Vec<(Attempt, Grant)>>);

impl Executor<Grant> for Keeper {
    fn run<'a>(&'a self, permit: Grant, attempt: &'a Attempt) -> BoxFuture<'a, Outcome> {
        self.0.lock().unwrap().push((attempt.clone(), permit));
        Box::pin(std::future::pending())
    }

    fn stops_within(&self) -> Duration {
        Duration::ZERO
    }
}

#[tokio::test]
async fn s1_a_dropped_driver_lets_go_and_what_was_granted_to_it_begins_nothing_any_more() {
    let hv = stage().await;
    let (keeper, first) = (Keeper::default(), host(&hv));
    let control = Control::new();
    let driven = drive(&first, &keeper, &control, SagaCommand::begin(plan()));
    assert!(tokio::time::timeout(Duration::from_millis(50), driven).await.is_err());
    let [(attempt, grant)] = <[_; 1]>::try_from(std::mem::take(&mut *keeper.0.lock().unwrap())).unwrap();
    assert_eq!(attempt.purpose, Purpose::Execute);

    let work = Arc::new(Work::default());
    let second = host(&hv);
    let end = second.run(SagaCommand::recover(), |attempt| work.act(attempt)).await.unwrap();
    assert_eq!(end, SagaState::Compensated, "it may have happened");
    assert_eq!(work.counts(), (0, 1));
    let refused = Permit::redeem(grant, &attempt, hv.now()).unwrap_err();
    assert_eq!(refused, Mismatch::Over);
    assert_eq!(refused.to_string(), "the saga waits for this attempt no more");
}

/// What is dropped before it has ended lets go at every point.
#[tokio::test]
async fn a_driver_that_is_dropped_anywhere_leaves_a_saga_that_can_be_driven() {
    for polls in 0..12 {
        for by_hand in [false, true] {
            let hv = stage().await;
            let work = Arc::new(Work::default());
            let (first, closures, control) = (host(&hv), work.closures(), Control::new());
            let begin = SagaCommand::begin(plan());
            {
                let mut driven: BoxFuture<'_, ()> = if by_hand {
                    Box::pin(async { drop(first.run(begin, |attempt| work.act(attempt)).await) })
                } else {
                    Box::pin(async { drop(drive(&first, &closures, &control, begin).await) })
                };
                for _ in 0..polls {
                    let once = std::future::poll_fn(|cx| std::task::Poll::Ready(driven.as_mut().poll(cx)));
                    assert!(once.await.is_pending());
                    tokio::task::yield_now().await;
                }
            }
            work.go_on.notify_one();
            let second = host(&hv);
            let there = hv.sagas(&session()).unwrap().contains(&saga());
            let next = if there { SagaCommand::recover() } else { SagaCommand::begin(plan()) };
            let end = second.run(next, |attempt| work.act(attempt)).await.unwrap();
            assert!(end.is_terminal(), "{polls} {by_hand}: {end}");
        }
    }
}

/// A growing saga is its program's as long as that has it, also between its steps.
#[tokio::test]
async fn s1_a_growing_saga_that_is_held_is_driven_by_nobody_else() {
    let hv = stage().await;
    let handle = hv.session(&session()).unwrap();
    let mut growing = handle.create_saga(&saga()).await.unwrap();
    let undone = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&undone);
    let step = NewStep::new(act(), did("a")).with_undo(move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok::<(), Infallible>(()) }
    });
    let one = growing.add_step(step).await.unwrap();
    every_other_driver_is_refused(&hv).await;
    let (begun, go_on) = (Notify::new(), Notify::new());
    let done = growing.execute_step(one, async || {
        begun.notify_one();
        go_on.notified().await;
        Ok::<_, Infallible>(7)
    });
    let others = async {
        begun.notified().await;
        every_other_driver_is_refused(&hv).await;
        assert!(is_held(&handle.reopen_saga(&saga(), &Undos::new()).await.unwrap_err()));
        go_on.notify_one();
    };
    let (done, ()) = tokio::join!(done, others);
    assert_eq!(done.unwrap(), 7);
    // Neither the name nor what holds it is another one's to take.
    let taken = handle.create_saga(&saga()).await.unwrap_err();
    assert!(matches!(&taken, Error::Denied(denied) if matches!(denied.reason, Reason::Saga(_))), "{taken}");
    every_other_driver_is_refused(&hv).await;
    drop(growing);

    let mut undone_by = 0;
    let next = host(&hv);
    let end = next.run(SagaCommand::Cancel, |attempt| {
        undone_by += u32::from(attempt.purpose == Purpose::Undo);
        async { Outcome::done() }
    });
    assert_eq!(end.await.unwrap(), SagaState::Compensated);
    assert_eq!((undone_by, undone.load(Ordering::SeqCst)), (1, 0));
}

/// One that is driven by hand is taken by hand.
#[tokio::test]
async fn a_host_is_taken_and_let_go_of_by_hand() {
    let hv = stage().await;
    let first = host(&hv).create(plan()).await.unwrap();
    first.hold().await.unwrap();
    assert!(matches!(first.hold().await, Err(Halt::Gone)), "it is taken once");
    assert!(matches!(first.clone().hold().await, Err(Halt::Gone)), "a copy is another one");
    every_other_driver_is_refused(&hv).await;
    let progress = first.commit(SagaCommand::advance(), None).await.unwrap();
    let [(attempt, grant)] = <[_; 1]>::try_from(progress.starts).unwrap();
    Permit::redeem(grant, &attempt, hv.now()).unwrap();
    every_other_driver_is_refused(&hv).await;
    first.release();

    let second = host(&hv);
    second.hold().await.unwrap();
    let late = first.commit(SagaCommand::advance(), None).await;
    assert!(matches!(late, Err(Halt::Gone)), "who let go of it is another one now");
    first.release();
    assert!(matches!(first.hold().await, Err(Halt::Gone)), "nothing of its own is to be let go of");
    let machine = hv.saga_machine(&session(), &saga()).unwrap().unwrap();
    let states: Vec<_> = machine.runs().map(|run| run.state).collect();
    assert_eq!(states, [StepState::Executing, StepState::Pending]);
}
