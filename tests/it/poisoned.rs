//! Many sagas on one log that a crash cut off are taken up again at once; some of them panic, hang or cannot be undone,
//! and none of the others waits for that.

use crate::disks::unhurried;
use hv_core::audit::{FileLog, FileOptions, Verdict, verify};
use hv_core::rings::class::Claim;
use hv_core::rings::rate::{Limits, PerRing};
use hv_core::saga::drive::{Control, drive};
use hv_core::saga::exec::Closures;
use hv_core::saga::{
    Attempt, Class, Idempotence, Outcome, Plan, Purpose, Reason, Retry, SagaCommand, SagaState, StepDef,
};
use hv_core::session::Expect;
use hv_core::types::{ActionId, ActionKind, Did, Reversibility, SagaId, SessionId, StepId};
use hv_core::{Clock, Entrant, Guards, Hypervisor, SessionConfig, SystemClock, entropy};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

const SAGAS: usize = 40;
/// How long what hangs may take.
const LONG: Duration = Duration::from_secs(3600);
/// Far more than all that does not hang takes, and far less than what hangs may.
const SOON: Duration = Duration::from_secs(120);

/// What is wrong with a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Poison {
    Panics,
    NeverEnds,
    UndoFails,
    UndoHangs,
}

fn poison(saga: &str) -> Option<Poison> {
    match saga {
        "g7" => Some(Poison::Panics),
        "g15" => Some(Poison::NeverEnds),
        "g23" => Some(Poison::UndoFails),
        "g31" => Some(Poison::UndoHangs),
        _ => None,
    }
}

fn names() -> impl Iterator<Item = String> {
    (0..SAGAS).map(|n| format!("g{n}"))
}

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn session() -> SessionId {
    SessionId::new("s").unwrap()
}

/// Who does the steps of a saga, and which action they are. The one whose undo fails has both to itself: its agent answers
/// for that, and its action counts as one that cannot be undone from then on.
fn work(saga: &str) -> (Did, ActionId) {
    let (agent, action) =
        if poison(saga) == Some(Poison::UndoFails) { ("b", "fragile") } else { ("a", "work") };
    (did(agent), ActionId::new(action).unwrap())
}

/// Three steps, one after another.
fn plan(saga: &str) -> Plan {
    let (agent, action) = work(saga);
    let retry = Retry { max: 1, base: Duration::from_millis(1), cap: Duration::from_millis(1) };
    let step = |n: u32| {
        let id = StepId::new(["one", "two", "three"][n as usize]).unwrap();
        let step = Closures::step(id, action.clone(), agent.clone(), "act");
        let after = n.checked_sub(1).into_iter().collect();
        let (timeout, undo_timeout, idempotent) = (LONG, LONG, Idempotence::Both);
        Arc::new(StepDef { after, timeout, undo_timeout, idempotent, retry, undo_retry: retry, ..step })
    };
    Plan::new((0..3).map(step).collect())
}

/// What was begun, in this order.
type Begun = Arc<Mutex<Vec<(String, String, Purpose)>>>;

/// Functions that do what `act` says, and write down what they begin.
fn closures<F: Future<Output = Outcome> + Send + 'static>(
    begun: &Begun,
    act: impl Fn(Attempt) -> F + Clone + Send + Sync + 'static,
) -> Arc<Closures> {
    let begun = Arc::clone(begun);
    let acts = move |attempt: Attempt| {
        let what = (attempt.saga.to_string(), attempt.step.to_string(), attempt.purpose);
        begun.lock().unwrap().push(what);
        act(attempt)
    };
    let mut closures = Closures::new();
    closures.add("act", acts.clone(), acts);
    Arc::new(closures)
}

fn start(
    hv: &Hypervisor,
    saga: &str,
    closures: &Arc<Closures>,
    control: &Control,
    recover: bool,
) -> JoinHandle<SagaState> {
    let undoable = Claim {
        kind: Some(ActionKind::Effect),
        reversibility: Some(Reversibility::Full),
        ..Claim::default()
    };
    let host = hv.saga(&session(), &SagaId::new(saga).unwrap()).accepting(vec![0, 1, 2]);
    let host = host.registering(work(saga).1, undoable);
    let (closures, control, plan) = (Arc::clone(closures), control.clone(), plan(saga));
    let first = if recover { SagaCommand::recover() } else { SagaCommand::begin(plan) };
    tokio::spawn(async move { drive(&host, &*closures, &control, first).await.unwrap() })
}

/// A node on the log in a folder, of which an agent may use as many tools at once as there are sagas.
fn node(folder: &Path) -> Hypervisor {
    let options = || FileOptions::new(entropy().unwrap());
    let log = match FileLog::open(folder, SystemClock.now(), options()) {
        Ok(log) => log,
        Err(_) => FileLog::create(folder, SystemClock.now(), options()).unwrap(),
    };
    let tools = u32::try_from(2 * SAGAS).unwrap();
    let tools = PerRing { root: tools, privileged: tools, standard: tools, sandbox: tools };
    let guards = unhurried();
    let guards = Guards { limits: Limits { tools, ..guards.limits }, ..guards };
    Hypervisor::open_guarded(Arc::new(log), Arc::new(SystemClock), guards).unwrap()
}

/// Begins all of them; the process ends when each has done its first step and is at its second.
fn cut_off(folder: &Path, runtime: Runtime) {
    let begun = Begun::default();
    runtime.block_on(async {
        let hv = node(folder);
        hv.create_session(&session(), SessionConfig::default(), &did("admin")).await.unwrap();
        for name in ["a", "b"] {
            hv.join_session(&session(), &Entrant::new(did(name)).with_sigma("0.85".parse().unwrap()))
                .await
                .unwrap();
        }
        hv.activate_session(&session()).await.unwrap();
        let closures = closures(&begun, async |attempt: Attempt| {
            if attempt.step.as_str() == "two" { std::future::pending().await } else { Outcome::done() }
        });
        let sagas: Vec<_> =
            names().map(|name| start(&hv, &name, &closures, &Control::new(), false)).collect();
        until("all are under way", || begun.lock().unwrap().len() == 2 * SAGAS).await;
        assert!(sagas.iter().all(|saga| !saga.is_finished()));
    });
    // Whatever ran is gone, and nothing has been said about it.
    drop(runtime);
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < SOON, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn act(attempt: Attempt) -> Outcome {
    let failed = || Outcome::failed(Class::Permanent, Reason::other("it cannot be"));
    let (step, purpose) = (attempt.step.as_str(), attempt.purpose);
    match (poison(attempt.saga.as_str()), step, purpose) {
        (Some(Poison::Panics), "two", Purpose::Execute) => panic!("a poisoned step"),
        (Some(Poison::NeverEnds), "two", Purpose::Execute)
        | (Some(Poison::UndoHangs), "two", Purpose::Undo) => std::future::pending().await,
        (Some(Poison::UndoFails | Poison::UndoHangs), "three", Purpose::Execute)
        | (Some(Poison::UndoFails), "two", Purpose::Undo) => failed(),
        _ => Outcome::done(),
    }
}

async fn ended(sagas: &mut BTreeMap<String, JoinHandle<SagaState>>, name: &str) -> SagaState {
    let saga = sagas.remove(name).unwrap();
    tokio::time::timeout(SOON, saga).await.unwrap_or_else(|_| panic!("{name} is held up")).unwrap()
}

async fn taken_up(hv: &Hypervisor) -> Duration {
    let begun = Begun::default();
    let closures = closures(&begun, act);
    let state = |name: &str| hv.saga(&session(), &SagaId::new(name).unwrap()).state().unwrap();
    let controls: BTreeMap<_, _> = names().map(|name| (name, Control::new())).collect();
    assert!(names().all(|name| state(&name) == SagaState::Running));
    let began = Instant::now();
    let mut sagas: BTreeMap<_, _> = controls
        .iter()
        .map(|(name, control)| (name.clone(), start(hv, name, &closures, control, true)))
        .collect();
    for name in names().filter(|name| poison(name).is_none()) {
        assert_eq!(ended(&mut sagas, &name).await, SagaState::Completed, "{name}");
    }
    let others = began.elapsed();
    // What can end does: a step that panics may have done something, and is undone.
    assert_eq!(ended(&mut sagas, "g7").await, SagaState::Compensated);
    assert_eq!(ended(&mut sagas, "g23").await, SagaState::Escalated);
    let of = |name: &str| {
        let begun = begun.lock().unwrap();
        let of = begun.iter().filter(|(saga, ..)| saga == name);
        of.map(|(_, step, purpose)| format!("{purpose} {step}")).collect::<Vec<_>>()
    };
    assert_eq!(of("g7")[..2], ["execute two", "execute two"]);
    assert_eq!(of("g7")[2..], ["undo two", "undo one"]);
    assert_eq!(of("g23"), ["execute two", "execute three", "undo two", "undo one"]);
    // What hangs stays where it is, for as long as its own time lasts.
    until("the undo hangs", || of("g31").len() == 3).await;
    assert_eq!((of("g15"), state("g15")), (vec!["execute two".to_owned()], SagaState::Running));
    assert_eq!(of("g31"), ["execute two", "execute three", "undo two"]);
    assert_eq!(state("g31"), SagaState::Compensating);
    assert!(sagas.values().all(|saga| !saga.is_finished()) && sagas.len() == 2);
    // And what is new is not held up by it either.
    let mut new = BTreeMap::from([("new".to_owned(), start(hv, "new", &closures, &Control::new(), false))]);
    assert_eq!(ended(&mut new, "new").await, SagaState::Completed);
    let (id, agent) = (session(), did("a"));
    let written = hv.write_file(&id, &agent, "notes", b"n".to_vec(), Expect::Any);
    tokio::time::timeout(SOON, written).await.expect("a file is written meanwhile").unwrap();
    // Whoever is asked to give up undoes what may have happened; an undo is not given up, only left for later.
    controls["g15"].cancel(Duration::ZERO);
    assert_eq!(ended(&mut sagas, "g15").await, SagaState::Compensated);
    controls["g31"].cancel(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!sagas["g31"].is_finished());
    controls["g31"].abandon();
    assert_eq!(ended(&mut sagas, "g31").await, SagaState::Compensating);
    others
}

#[test]
fn one_poisoned_saga_delays_no_other() {
    let one = || Builder::new_current_thread().enable_time().build().unwrap();
    let two = || Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for (threads, runtime) in [(1, &one as &dyn Fn() -> Runtime), (2, &two)] {
        let folder = tempfile::tempdir().unwrap();
        let trail = folder.path().join("trail");
        cut_off(&trail, runtime());
        let others = runtime().block_on(async { taken_up(&node(&trail)).await });
        println!("{threads} threads: {} others ended within {others:?}", SAGAS - 4);
        assert!(others < SOON, "{others:?}");
        // Taken up by a node where its undo works, the last one ends too.
        runtime().block_on(async {
            let hv = node(&trail);
            let closures = closures(&Begun::default(), async |_| Outcome::done());
            let saga = start(&hv, "g31", &closures, &Control::new(), true);
            assert_eq!(saga.await.unwrap(), SagaState::Compensated);
            hv.terminate_session(&session()).await.unwrap();
            hv.seal().await.unwrap();
        });
        assert_eq!(verify(&trail).unwrap().verdict, Verdict::Complete);
    }
}
