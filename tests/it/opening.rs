//! Opening a node: from a snapshot sooner than without, after a crash at every append as it was, and a session that is
//! over as the trail has it.

use crate::disks::{Mood, unhurried};
use hv_core::audit::{FileLog, FileOptions, Verdict, verify};
use hv_core::rings::class::Claim;
use hv_core::saga::SagaState;
use hv_core::session::{Content, Expect, Standing};
use hv_core::types::{ActionId, ActionKind, Did, Digest, Reversibility, SagaId, SessionId};
use hv_core::{
    Clock, ConsistencyMode, Entrant, Error, Hypervisor, OpenTrail, Reason, SessionConfig, SystemClock,
    entropy,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn options() -> FileOptions {
    FileOptions::new(entropy().unwrap()).with_disk(Arc::new(Mood::careless()))
}

fn opened(options: FileOptions, folder: &Path) -> (Hypervisor, Duration) {
    let began = Instant::now();
    let trail = OpenTrail::open(folder, SystemClock.now(), options).unwrap();
    let hv = Hypervisor::open(trail, Arc::new(SystemClock)).unwrap();
    (hv, began.elapsed())
}

/// The same, where the log is opened first and then gone through again.
fn opened_twice(options: FileOptions, folder: &Path) -> Hypervisor {
    let log = FileLog::open(folder, SystemClock.now(), options).unwrap();
    Hypervisor::open(Arc::new(log), Arc::new(SystemClock)).unwrap()
}

async fn begun(hv: &Hypervisor, name: &str) -> SessionId {
    let id = SessionId::new(name).unwrap();
    let config = SessionConfig::default().with_mode(ConsistencyMode::Strong);
    hv.create_session(&id, config, &did("admin")).await.unwrap();
    for agent in ["a", "b"] {
        hv.join_session(&id, &Entrant::new(did(agent)).with_sigma("0.85".parse().unwrap())).await.unwrap();
    }
    hv.activate_session(&id).await.unwrap();
    id
}

async fn write(hv: &Hypervisor, session: &SessionId, agent: &str, n: usize) {
    let content = Content { id: Digest([u8::try_from(n % 251).unwrap(); 32]), length: n as u64 % 100 };
    hv.record_file(session, &did(agent), &format!("f{}", n % 50), content, Expect::Any).await.unwrap();
}

/// One number of deltas every day, a million of them where somebody asks for it, and then twenty times as fast.
#[test]
fn a_long_trail_opens_from_its_snapshot_and_is_the_one_that_was_left() {
    let deep = std::env::var_os("HV_DEEP").is_some();
    let deltas = if deep { 1_000_000 } else { 5_000 };
    let folder = tempfile::tempdir().unwrap();
    let trail = folder.path().join("trail");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let left = runtime.block_on(async {
        let log = FileLog::create(&trail, SystemClock.now(), options()).unwrap();
        let hv = Hypervisor::open_guarded(Arc::new(log), Arc::new(SystemClock), unhurried()).unwrap();
        let mut session = begun(&hv, "s0").await;
        for n in 0..deltas {
            if n % 1000 == 999 {
                hv.terminate_session(&session).await.unwrap();
                session = begun(&hv, &format!("s{n}")).await;
            }
            write(&hv, &session, "a", n).await;
        }
        assert!(hv.keep_snapshot().await.unwrap().is_some());
        // Some work behind it.
        for n in 0..100 {
            write(&hv, &session, "b", n).await;
        }
        hv.flush().await.unwrap();
        hv.state_digest().unwrap()
    });
    let (hv, replayed) = opened(options().without_snapshots(), &trail);
    assert_eq!(hv.state_digest().unwrap(), left);
    drop(hv);
    let (hv, resumed) = opened(options(), &trail);
    assert!(hv.opening().snapshot.is_some());
    assert_eq!(hv.state_digest().unwrap(), left);
    drop(hv);
    let hv = opened_twice(options(), &trail);
    assert!(hv.opening().snapshot.is_some());
    assert_eq!(hv.state_digest().unwrap(), left);
    let ratio = replayed.as_secs_f64() / resumed.as_secs_f64();
    println!(
        "{deltas} deltas: {replayed:?} replayed, {resumed:?} from the snapshot, {ratio:.1} times as fast"
    );
    assert!(!deep || ratio >= 20.0, "{ratio}");
    runtime.block_on(async {
        hv.verify_rest().await.unwrap();
        hv.seal().await.unwrap();
    });
    drop(hv);
    assert!(!matches!(verify(&trail).unwrap().verdict, Verdict::Tampered(_)));
}

/// After each of 200 commands the process dies, and whatever opens its folder is in the state in which it died.
#[test]
fn c2_after_a_crash_at_every_append_of_a_session_the_state_is_the_live_one() {
    let folder = tempfile::tempdir().unwrap();
    let trail = folder.path().join("trail");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let log = FileLog::create(&trail, SystemClock.now(), options()).unwrap();
        let hv = Hypervisor::open_guarded(Arc::new(log), Arc::new(SystemClock), unhurried()).unwrap();
        let session = begun(&hv, "s").await;
        let mut commands = 0;
        let mut before = hv.log().durable();
        for n in 0..400usize {
            match n % 10 {
                0 => {
                    let action = ActionId::new(&format!("act.{n}")).unwrap();
                    let claim = Claim {
                        kind: Some(ActionKind::Effect),
                        reversibility: Some(Reversibility::Full),
                        ..Claim::default()
                    };
                    hv.register_action(&session, &action, claim).await.unwrap();
                }
                1 => hv.note(&session, &format!("n{n}"), vec![1; n]).await.unwrap(),
                2 => {
                    let name = format!("c{n}");
                    let entrant = Entrant::new(did(&name)).with_sigma("0.7".parse().unwrap());
                    // Beyond the session's limit it is refused, which is a record too.
                    let _ = hv.join_session(&session, &entrant).await;
                }
                3 => hv.quarantine(&did(&format!("c{}", n - 1)), Duration::from_secs(60)).await.unwrap_or(()),
                4 => drop(hv.activate_session(&SessionId::new("nowhere").unwrap()).await),
                5 => drop(hv.delete_file(&session, &did("a"), &format!("f{}", n % 50), Expect::Any).await),
                6 if n % 40 == 6 => drop(hv.keep_snapshot().await.unwrap()),
                _ => write(&hv, &session, if n % 2 == 0 { "a" } else { "b" }, n).await,
            }
            // What appends nothing leaves nothing to be lost.
            commands += u32::from(hv.log().durable() > before);
            before = hv.log().durable();
            let copy = folder.path().join("left");
            copied(&trail, &copy);
            let (again, _) = opened(options(), &copy);
            assert_eq!(again.state_digest().unwrap(), hv.state_digest().unwrap(), "after command {n}");
            drop(again);
            if n % 8 == 0 {
                let again = opened_twice(options(), &copy);
                assert_eq!(again.state_digest().unwrap(), hv.state_digest().unwrap(), "after command {n}");
            }
            std::fs::remove_dir_all(&copy).unwrap();
        }
        assert!(commands >= 200, "{commands} commands");
    });
}

fn copied(folder: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn a_session_that_is_over_is_read_back_from_its_trail() {
    let hv = Hypervisor::in_memory().unwrap();
    let mut roots = Vec::new();
    for round in 0..3 {
        let session = begun(&hv, "again").await;
        begun(&hv, &format!("other{round}")).await;
        write(&hv, &session, "a", round).await;
        hv.leave_session(&session, &did("b")).await.unwrap();
        roots.push(hv.terminate_session(&session).await.unwrap());
    }
    let closed = hv.closed_sessions(&SessionId::new("again").unwrap()).unwrap();
    assert_eq!(closed.iter().map(|closed| closed.root).collect::<Vec<_>>(), roots);
    for (round, closed) in closed.iter().enumerate() {
        assert_eq!(closed.creator, Some(did("admin")));
        assert_eq!(closed.members, [(did("a"), Standing::Present), (did("b"), Standing::Left)]);
        assert_eq!(closed.files, [format!("f{round}")]);
        assert!(closed.began <= closed.ended && closed.records > 4);
    }
    assert_eq!(hv.closed_sessions(&SessionId::new("other0").unwrap()).unwrap(), [], "it is open");
}

/// A name of which nothing can be said from others.
fn single(n: u64) -> SagaId {
    SagaId::new(&format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).unwrap()
}

#[tokio::test]
async fn the_names_of_ended_sagas_are_read_back_and_taken_however_the_node_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (trail, copy) = (folder.path().join("trail"), folder.path().join("copy"));
    let log = FileLog::create(&trail, SystemClock.now(), options()).unwrap();
    let hv = Hypervisor::open_guarded(Arc::new(log), Arc::new(SystemClock), unhurried()).unwrap();
    let mut expected = BTreeSet::new();
    // A session of the same name that is over has names of its own.
    for round in [0, 1_500] {
        let session = begun(&hv, "s").await;
        let sagas = hv.session(&session).unwrap();
        for n in round..round + 1_500 {
            let saga = sagas.create_saga(&single(n)).await.unwrap();
            assert_eq!(saga.finish().await.unwrap(), SagaState::Completed);
            if n == round + 1_400 {
                hv.keep_snapshot().await.unwrap();
            }
        }
        let running = [
            sagas.create_saga(&single(7_001)).await.unwrap(),
            sagas.create_saga(&single(7_000)).await.unwrap(),
        ];
        expected = (round..round + 1_500).map(single).collect();
        let check = |hv: &Hypervisor| {
            let names = hv.sagas(&session).unwrap();
            let (ended, running) = names.split_at(expected.len());
            assert_eq!(running, [single(7_001), single(7_000)]);
            assert_eq!(ended.iter().cloned().collect::<BTreeSet<_>>(), expected);
        };
        check(&hv);
        for twice in [false, true] {
            copied(&trail, &copy);
            let again = if twice { opened_twice(options(), &copy) } else { opened(options(), &copy).0 };
            assert_eq!(again.state_digest().unwrap(), hv.state_digest().unwrap());
            check(&again);
            for n in [round, round + 700, round + 1_499, 7_000] {
                let refused = again.session(&session).unwrap().create_saga(&single(n)).await.unwrap_err();
                assert!(
                    matches!(&refused, Error::Denied(denial) if matches!(denial.reason, Reason::Saga(_))),
                    "{refused}"
                );
            }
            let fresh = again.session(&session).unwrap().create_saga(&single(9_000)).await.unwrap();
            assert_eq!(fresh.finish().await.unwrap(), SagaState::Completed);
            drop(again);
            std::fs::remove_dir_all(&copy).unwrap();
        }
        for saga in running {
            saga.finish().await.unwrap();
        }
        hv.terminate_session(&session).await.unwrap();
    }
    let closed = hv.closed_sessions(&SessionId::new("s").unwrap()).unwrap();
    let [_, last] = closed.as_slice() else { panic!("{closed:?}") };
    expected.extend([single(7_000), single(7_001)]);
    assert_eq!(last.sagas.iter().cloned().collect::<BTreeSet<_>>(), expected);
}
