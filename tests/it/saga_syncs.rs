//! What a saga costs on the disk: how often it waits for it, counted, alone and among many.

use crate::disks::Mood;
use hv_core::audit::{FileLog, FileOptions};
use hv_core::liability::Stake;
use hv_core::rings::class::Claim;
use hv_core::rings::rate::{Limits, PerRing, Rate};
use hv_core::saga::exec::Closures;
use hv_core::saga::{Outcome, Plan, SagaCommand, SagaState, StepDef};
use hv_core::types::{ActionId, ActionKind, Did, Reversibility, SagaId, SessionId, StepId};
use hv_core::{Clock, Entrant, Guards, Hypervisor, SessionConfig, SystemClock, entropy};
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

/// A node that lets an agent call as often as it likes and with 64 tools at once, and in a session of it an agent that stands where it does
/// because another has staked reputation on it.
async fn bonded(folder: &Path, disk: &Mood) -> (Hypervisor, SessionId) {
    bonded_where_short_is(folder, disk, Duration::ZERO).await
}

/// The same where a sync that takes less than this counts as short.
async fn bonded_where_short_is(folder: &Path, disk: &Mood, short: Duration) -> (Hypervisor, SessionId) {
    let rate = Rate { per_second: u32::MAX, burst: u32::MAX };
    let rate = PerRing { root: rate, privileged: rate, standard: rate, sandbox: rate };
    let tools = PerRing { root: 64, privileged: 64, standard: 64, sandbox: 64 };
    let guards = Guards { limits: Limits { rate, tools }, ..Guards::default() };
    let options = FileOptions::new(entropy().unwrap()).with_disk(Arc::new(disk.clone()));
    let options = options.with_short_syncs(short);
    let log = FileLog::create(folder, SystemClock.now(), options).unwrap();
    let hv = Hypervisor::open_guarded(Arc::new(log), Arc::new(SystemClock), guards).unwrap();
    let session = SessionId::new("s").unwrap();
    hv.create_session(&session, SessionConfig::default(), &did("admin")).await.unwrap();
    for (name, sigma) in [("a", "0.55"), ("voucher", "0.9")] {
        hv.join_session(&session, &Entrant::new(did(name)).with_sigma(sigma.parse().unwrap())).await.unwrap();
    }
    hv.vouch(&session, &did("voucher"), &did("a"), Stake::Default).await.unwrap();
    hv.activate_session(&session).await.unwrap();
    (hv, session)
}

/// Three steps with undo, one after another, from their definition to their end.
async fn saga(hv: &Hypervisor, session: &SessionId, name: &str) {
    saga_saying(hv, session, name, Outcome::done).await;
}

/// The same, each step with this outcome.
pub(crate) async fn saga_saying(hv: &Hypervisor, session: &SessionId, name: &str, said: fn() -> Outcome) {
    let action = ActionId::new("work").unwrap();
    let step = |n: u32| {
        let id = StepId::new(&format!("step{n}")).unwrap();
        let step = Closures::step(id, action.clone(), did("a"), "work");
        Arc::new(StepDef { after: n.checked_sub(1).into_iter().collect(), ..step })
    };
    let claim = Claim {
        kind: Some(ActionKind::Effect),
        reversibility: Some(Reversibility::Full),
        ..Claim::default()
    };
    let host = hv.saga(session, &SagaId::new(name).unwrap());
    let host = host.accepting(vec![0, 1, 2]).registering(action.clone(), claim);
    let first = SagaCommand::begin(Plan::new((0..3).map(step).collect()));
    let end = host.run(first, |_| async move { said() }).await.unwrap();
    assert_eq!(end, SagaState::Completed, "{name}: {:?}", host.take_refused());
}

#[tokio::test]
async fn a_saga_of_three_steps_waits_for_the_disk_four_times() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Mood::slow(Duration::ZERO));
    let (hv, session) = bonded(&folder.path().join("trail"), &disk).await;
    for n in 0..20 {
        let before = disk.waits();
        saga(&hv, &session, &format!("g{n}")).await;
        // Its opening with the first start, two outcomes with the next start, the last outcome with its end; the
        // trail, the gate's grants and the ledger are in the same records.
        assert_eq!(disk.waits() - before, 4);
    }
}

/// So many sagas run side by side, so often.
const AT_ONCE: u64 = 64;
const EACH: u64 = 6;

/// On a disk slow enough that all of them come to it while it is busy, and on one that answers at once, waited for by a
/// thread of its own or in place; on one thread and on two.
#[test]
fn sixty_four_sagas_at_once_share_their_syncs() {
    let (slow, fast) = (Duration::from_millis(50), Duration::ZERO);
    let never = Duration::ZERO;
    for (disk, takes, short) in
        [("slow", slow, never), ("fast", fast, never), ("fast, in place,", fast, Duration::from_secs(1))]
    {
        let one = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let two =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        for (threads, runtime) in [(1, one), (2, two)] {
            let syncs = syncs_of_many(&runtime, takes, short);
            let sagas = AT_ONCE * EACH;
            println!("{disk} disk, {threads} threads: {syncs} syncs for {sagas} sagas, {AT_ONCE} at once");
            assert!(syncs >= 4 * EACH, "{syncs}: nobody goes on before the disk has answered");
            assert!(syncs * 100 <= sagas * 15, "{syncs} syncs for {sagas} sagas: more than 0.15 for each");
        }
    }
}

fn syncs_of_many(runtime: &tokio::runtime::Runtime, takes: Duration, short: Duration) -> u64 {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Mood::slow(takes));
    runtime.block_on(async {
        let (hv, session) = bonded_where_short_is(&folder.path().join("trail"), &disk, short).await;
        let before = disk.waits();
        let sagas: Vec<_> = (0..AT_ONCE)
            .map(|task| {
                let (hv, session) = (hv.clone(), session.clone());
                tokio::spawn(async move {
                    for n in 0..EACH {
                        saga(&hv, &session, &format!("g{task}.{n}")).await;
                    }
                })
            })
            .collect();
        for saga in sagas {
            saga.await.unwrap();
        }
        disk.waits() - before
    })
}

/// Where that was asked for, and only as long as syncs are short.
#[tokio::test]
async fn a_runtime_waits_in_place_for_short_syncs_only_and_only_where_it_may() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Mood::slow(Duration::ZERO));
    let (hv, session) = bonded(&folder.path().join("elsewhere"), &disk).await;
    for n in 0..5 {
        saga(&hv, &session, &format!("g{n}")).await;
        assert!(!disk.held_this_thread_up(), "nobody said that it may");
    }
    let short = Duration::from_secs(1);
    let (hv, session) = bonded_where_short_is(&folder.path().join("in place"), &disk, short).await;
    saga(&hv, &session, "short").await;
    assert!(disk.held_this_thread_up());
    // One that takes long holds this thread up itself, and the next ones do not: the longest of late counts.
    disk.hesitate(short * 3);
    hv.create_session(&SessionId::new("long").unwrap(), SessionConfig::default(), &did("admin"))
        .await
        .unwrap();
    assert!(disk.held_this_thread_up());
    for behind in ["behind", "further-behind"] {
        hv.create_session(&SessionId::new(behind).unwrap(), SessionConfig::default(), &did("admin"))
            .await
            .unwrap();
        assert!(!disk.held_this_thread_up(), "{behind}");
    }
    saga(&hv, &session, "short-again").await;
    assert!(disk.held_this_thread_up());
}

/// As in a loop over `select!`, where something that was begun is kept and not gone on with.
#[tokio::test]
async fn a_request_that_nobody_goes_on_with_holds_up_nobody() {
    for (name, short) in [("elsewhere", Duration::ZERO), ("in place", Duration::from_secs(1))] {
        nobody_is_held_up(name, short).await;
    }
}

async fn nobody_is_held_up(name: &str, short: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Mood::slow(Duration::ZERO);
    let (hv, _) = bonded_where_short_is(&folder.path().join(name), &disk, short).await;
    let (admin, config) = (did("admin"), SessionConfig::default);
    for polls in 1..=6 {
        let [kept, other] = ["kept", "other"].map(|name| SessionId::new(&format!("{name}{polls}")).unwrap());
        let mut begun = pin!(hv.create_session(&kept, config(), &admin));
        let mut ended = None;
        for _ in 0..polls {
            match poll_fn(|context| Poll::Ready(begun.as_mut().poll(context))).await {
                Poll::Ready(session) => {
                    ended = Some(session);
                    break;
                }
                Poll::Pending => tokio::task::yield_now().await,
            }
        }
        let others =
            tokio::time::timeout(Duration::from_secs(20), hv.create_session(&other, config(), &admin));
        assert_eq!(others.await.expect("nobody is held up").unwrap().id(), &other);
        // Whoever asks again hears what came of it.
        let session = match ended {
            Some(session) => session,
            None => begun.await,
        };
        assert_eq!(session.unwrap().id(), &kept, "{polls}");
    }
}
