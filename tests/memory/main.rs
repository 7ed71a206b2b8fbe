//! What is held in memory, counted by the allocator: of sagas nothing but their name when they have ended, and little
//! while they run; of drift as much as is said.
//!
//! A program of its own, because the allocator counts everything that happens in the process.

mod drift;

use hv_core::audit::FileOptions;
use hv_core::rings::class::Claim;
use hv_core::rings::rate::{Limits, PerRing, Rate};
use hv_core::saga::exec::Closures;
use hv_core::saga::{Outcome, Plan, Purpose, SagaCommand, SagaState, StepDef};
use hv_core::session::{Content, Expect, Quotas};
use hv_core::types::{ActionId, ActionKind, Did, Digest, Reversibility, SagaId, SessionId, StepId};
use hv_core::{Clock, Entrant, Guards, Hypervisor, OpenTrail, SagaHost, SessionConfig, SystemClock, entropy};
use peak_alloc::PeakAlloc;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test at a time, where they share the process.
static ALONE: Mutex<()> = Mutex::new(());

/// So many sagas run side by side.
const AT_ONCE: usize = 64;

fn deep(daily: usize, deep: usize) -> usize {
    if std::env::var_os("HV_DEEP").is_some() { deep } else { daily }
}

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

/// A node on the log in a folder that sets an agent no limits.
fn node(folder: &Path) -> Hypervisor {
    let rate = Rate { per_second: u32::MAX, burst: u32::MAX };
    let rate = PerRing { root: rate, privileged: rate, standard: rate, sandbox: rate };
    let tools = PerRing { root: u32::MAX, privileged: u32::MAX, standard: u32::MAX, sandbox: u32::MAX };
    let guards = Guards { limits: Limits { rate, tools }, open_sessions: u32::MAX, ..Guards::default() };
    let (now, options) = (SystemClock.now(), FileOptions::new(entropy().unwrap()));
    let trail = if folder.exists() {
        OpenTrail::open(folder, now, options)
    } else {
        OpenTrail::create(folder, now, options)
    };
    Hypervisor::open_guarded(trail.unwrap(), Arc::new(SystemClock), guards).unwrap()
}

async fn session(hv: &Hypervisor, name: &str) -> SessionId {
    let session = SessionId::new(name).unwrap();
    hv.create_session(&session, SessionConfig::default(), &did("admin")).await.unwrap();
    hv.join_session(&session, &Entrant::new(did("a")).with_sigma("0.8".parse().unwrap())).await.unwrap();
    hv.activate_session(&session).await.unwrap();
    session
}

/// What the steps of a saga are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steps {
    /// The same as those of every other saga.
    Same,
    /// Those of no other saga.
    Own,
    /// The same, in a saga that no counter names.
    Named,
}

/// A saga with names as long as people give them, and three steps with undo, one after another.
fn saga(hv: &Hypervisor, session: &SessionId, n: usize, steps: Steps) -> (SagaHost, SagaCommand) {
    let action = ActionId::new("booking.reserve").unwrap();
    let whose = if steps == Steps::Own { format!("{n:09}") } else { String::new() };
    let step = |n: u32| {
        let id = StepId::new(&format!("reserve-{n}{whose}")).unwrap();
        let step = Closures::step(id, action.clone(), did("a"), &format!("reserve{whose}"));
        Arc::new(StepDef { after: n.checked_sub(1).into_iter().collect(), ..step })
    };
    let claim = Claim {
        kind: Some(ActionKind::Effect),
        reversibility: Some(Reversibility::Full),
        ..Claim::default()
    };
    let name = match steps {
        Steps::Named => format!("booking-{:016x}", (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        Steps::Same | Steps::Own => format!("booking-{n:09}"),
    };
    let host = hv.saga(session, &SagaId::new(&name).unwrap());
    let host = host.accepting(vec![0, 1, 2]).registering(action.clone(), claim);
    (host, SagaCommand::begin(Plan::new((0..3).map(step).collect())))
}

/// Runs these sagas to their end, many at once.
async fn finish(hv: &Hypervisor, session: &SessionId, sagas: std::ops::Range<usize>, steps: Steps) {
    let next = Arc::new(Mutex::new(sagas));
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (hv, session, next) = (hv.clone(), session.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.lock().unwrap().next();
                    let Some(n) = n else { break };
                    let (host, first) = saga(&hv, &session, n, steps);
                    let end = host.run(first, |_| async { Outcome::done() }).await.unwrap();
                    assert_eq!(end, SagaState::Completed, "{:?}", host.take_refused());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Begins these sagas and leaves each in the middle of its second step.
async fn leave(hv: &Hypervisor, session: &SessionId, sagas: std::ops::Range<usize>, steps: Steps) {
    let next = Arc::new(Mutex::new(sagas));
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (hv, session, next) = (hv.clone(), session.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.lock().unwrap().next();
                    let Some(n) = n else { break };
                    let (host, first) = saga(&hv, &session, n, steps);
                    let (acts, left) = (AtomicU32::new(0), tokio::sync::Notify::new());
                    let run = host.run(first, |_| {
                        let act = acts.fetch_add(1, Ordering::Relaxed);
                        if act == 1 {
                            left.notify_one();
                        }
                        async move {
                            if act == 1 {
                                std::future::pending::<()>().await;
                            }
                            Outcome::done()
                        }
                    });
                    tokio::select! {
                        ended = run => panic!("{ended:?}"),
                        () = left.notified() => {}
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

fn growth(from: usize) -> usize {
    MEMORY.current_usage().saturating_sub(from)
}

#[test]
fn sagas_that_have_ended_hold_nothing() {
    let sagas = deep(10_000, 1_000_000);
    let (held, rest) = ended(sagas, Steps::Same);
    println!("{sagas} ended sagas: {held} bytes in their session, {rest} after it");
    assert!(held <= 256 << 10, "{held} bytes for {sagas} sagas that have ended");
    assert!(rest <= 256 << 10, "{rest} bytes for {sagas} sagas whose session has ended");
}

#[test]
fn sagas_that_have_ended_and_that_no_counter_names_hold_nine_bytes_until_their_session_ends() {
    let sagas = deep(10_000, 1_000_000);
    let (held, rest) = ended(sagas, Steps::Named);
    println!("{sagas} ended sagas with names of their own: {held} bytes in their session, {rest} after it");
    // The names of the last ones are kept as they are.
    assert!(held <= sagas * 9 + (96 << 10), "{held} bytes for {sagas} sagas that have ended");
    assert!(rest <= 256 << 10, "{rest} bytes for {sagas} sagas whose session has ended");
}

/// How many bytes so many sagas that have ended hold in their session, and once that has ended.
fn ended(sagas: usize, steps: Steps) -> (usize, usize) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let hv = node(&folder.path().join("trail"));
        // What is held once, whatever comes afterwards.
        let warm = session(&hv, "warm").await;
        finish(&hv, &warm, 0..1_000, steps).await;
        hv.terminate_session(&warm).await.unwrap();
        let before = MEMORY.current_usage();
        let busy = session(&hv, "busy").await;
        finish(&hv, &busy, 0..sagas, steps).await;
        let held = growth(before);
        hv.terminate_session(&busy).await.unwrap();
        (held, growth(before))
    })
}

#[test]
fn a_saga_in_flight_that_is_resumed_holds_two_kilobytes_at_most_and_is_undone() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let same = resumed(deep(2_000, 100_000), Steps::Same);
    let own = resumed(2_000, Steps::Own);
    println!("a saga in flight: {same} bytes where all have the same steps, {own} where each has its own");
    assert!((64..=1024).contains(&same), "{same} bytes for a saga whose steps are those of the others");
    assert!((64..=2048).contains(&own), "{own} bytes for a saga with steps of its own");
}

/// How many bytes each saga holds that is in the middle of its second step when the node is opened again; some of them
/// are then recovered.
fn resumed(sagas: usize, steps: Steps) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let trail = folder.path().join("trail");
    runtime().block_on(async {
        let hv = node(&trail);
        let busy = session(&hv, "busy").await;
        leave(&hv, &busy, 0..sagas, steps).await;
    });
    let before = MEMORY.current_usage();
    let hv = node(&trail);
    let held = growth(before);
    let busy = SessionId::new("busy").unwrap();
    runtime().block_on(async {
        for n in (0..sagas).step_by(sagas / 100) {
            let (host, _) = saga(&hv, &busy, n, steps);
            assert_eq!(host.state().unwrap(), SagaState::Running);
            // The step in doubt may have happened, and so it and the one before it are taken back.
            let acts = Mutex::new(Vec::new());
            let end = host.run(SagaCommand::recover(), |attempt| {
                acts.lock().unwrap().push((attempt.purpose, attempt.ordinal));
                async { Outcome::done() }
            });
            assert_eq!(end.await.unwrap(), SagaState::Compensated);
            assert_eq!(*acts.lock().unwrap(), [(Purpose::Undo, 1), (Purpose::Undo, 0)]);
        }
    });
    held / sagas
}

/// Opens these sessions, each with a member and active, many at once; ends them again where that is asked for.
async fn sessions(hv: &Hypervisor, names: std::ops::Range<usize>, end: bool) {
    let next = Arc::new(Mutex::new(names));
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (hv, next) = (hv.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.lock().unwrap().next();
                    let Some(n) = n else { break };
                    let id = session(&hv, &format!("session-{n:09}")).await;
                    if end {
                        hv.terminate_session(&id).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// What 100 snapshots of so many files take is what their records take: no file is copied, nor a name of one.
#[test]
fn a_snapshot_of_many_files_copies_nothing() {
    const SNAPSHOTS: usize = 100;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let files = deep(2_000, 100_000);
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let hv = node(&folder.path().join("trail"));
        let quotas = Quotas { files: 1_000_000, bytes: u64::MAX, ..Quotas::default() };
        let session = SessionId::new("s").unwrap();
        let config = SessionConfig::default().with_quotas(quotas);
        hv.create_session(&session, config, &did("admin")).await.unwrap();
        let entrant = Entrant::new(did("a")).with_sigma("0.8".parse().unwrap());
        hv.join_session(&session, &entrant).await.unwrap();
        hv.activate_session(&session).await.unwrap();
        for n in 0..files {
            let content = Content { id: Digest([7; 32]), length: 2 };
            let path = format!("src/part{}/file{n}", n % 16);
            hv.record_file(&session, &did("a"), &path, content, Expect::Absent).await.unwrap();
        }
        hv.flush().await.unwrap();
        // The first one makes room for those that follow.
        hv.take_snapshot(&session, &did("a"), None).await.unwrap();
        let before = MEMORY.current_usage();
        for _ in 0..SNAPSHOTS {
            hv.take_snapshot(&session, &did("a"), None).await.unwrap();
        }
        let held = growth(before);
        println!("{files} files: {} bytes for each snapshot", held / SNAPSHOTS);
        assert_eq!(hv.snapshots(&session, &did("a")).await.unwrap().len(), SNAPSHOTS + 1);
        assert!(held <= SNAPSHOTS * 1024, "{held} bytes for {SNAPSHOTS} snapshots of {files} files");
    });
}

#[test]
fn an_open_session_holds_four_kilobytes_at_most() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let open = deep(5_000, 100_000);
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let hv = node(&folder.path().join("trail"));
        sessions(&hv, 0..100, true).await;
        let before = MEMORY.current_usage();
        sessions(&hv, 100..100 + open, false).await;
        let held = growth(before);
        println!("{open} open sessions: {} bytes each", held / open);
        assert_eq!(hv.open_sessions().unwrap().len(), open);
        assert!(held > open * 64, "{held} bytes: are they there?");
        assert!(held <= open * 4096, "{held} bytes for {open} open sessions");
    });
}

#[test]
fn a_closed_session_holds_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let closed = deep(10_000, 1_000_000);
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let hv = node(&folder.path().join("trail"));
        sessions(&hv, 0..1_000, true).await;
        let before = MEMORY.current_usage();
        sessions(&hv, 1_000..1_000 + closed, true).await;
        let held = growth(before);
        println!("{closed} closed sessions: {held} bytes");
        assert!(held <= 256 << 10, "{held} bytes for {closed} sessions that are closed");
        // What they were is on the trail.
        let last = SessionId::new(&format!("session-{:09}", 999 + closed)).unwrap();
        assert_eq!(hv.closed_sessions(&last).unwrap().len(), 1);
    });
}
