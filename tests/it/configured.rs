//! What is said of a node's limits holds there, also when the node is opened without saying it again.

use crate::disks::Mood;
use hv_core::audit::retention::{Fate, Retention};
use hv_core::audit::{Entry, FileLog, FileOptions, Kind, LogError, MemoryLog};
use hv_core::config::{Config, Source};
use hv_core::event::{KillAnswer, KillTarget};
use hv_core::session::Expect;
use hv_core::types::{Did, SessionId, Timestamp};
use hv_core::{
    Cadence, Clock, Entrant, Error, Guards, Hypervisor, KillOrder, ManualClock, PurgeRequest, SessionConfig,
    SystemClock, entropy,
};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const DAY: Duration = Duration::from_secs(86_400);

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn log(folder: &Path) -> Arc<FileLog> {
    log_at(folder, SystemClock.now())
}

fn log_at(folder: &Path, now: Timestamp) -> Arc<FileLog> {
    let options = || FileOptions::new(entropy().unwrap()).with_disk(Arc::new(Mood::careless()));
    if !folder.exists() {
        return Arc::new(FileLog::create(folder, now, options()).unwrap());
    }
    // What the node before does in the background may go on for a moment.
    for _ in 0..40 {
        match FileLog::open(folder, now, options()) {
            Err(LogError::Locked { .. }) => {}
            opened => return Arc::new(opened.unwrap()),
        }
    }
    panic!("somebody keeps the lock");
}

/// A session with a file of so many versions.
async fn written(hv: &Hypervisor, versions: u32) -> SessionId {
    let id = SessionId::new("s").unwrap();
    hv.create_session(&id, SessionConfig::default(), &did("admin")).await.unwrap();
    hv.join_session(&id, &Entrant::new(did("a")).with_sigma("0.85".parse().unwrap())).await.unwrap();
    hv.activate_session(&id).await.unwrap();
    for n in 0..versions {
        hv.write_file(&id, &did("a"), "f", n.to_string().into_bytes(), Expect::Any).await.unwrap();
    }
    id
}

#[tokio::test]
async fn a_callback_is_late_when_the_configuration_says_so() {
    let log = Arc::new(MemoryLog::new());
    let mut config = Config::default();
    config.say("kill.callback", "200ms", Source::Default).unwrap();
    drop(Hypervisor::open_configured(log.clone(), Arc::new(SystemClock), &config).unwrap());
    let hv = Hypervisor::open(log, Arc::new(SystemClock)).unwrap();
    let order = KillOrder { target: KillTarget::All {}, by: None, reason: "now".to_owned() };
    let began = Instant::now();
    let never = std::future::pending::<Result<(), Infallible>>();
    assert_eq!(hv.kill(&order, never).await.unwrap(), KillAnswer::Late {});
    assert!((200..4000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_are_taken_as_often_as_is_said() {
    for (snapshots, taken) in [
        (Cadence { every: 1_000_000, at_the_end: 1_000_000 }, false),
        (Cadence { every: 1_000_000, at_the_end: 5 }, true),
        (Cadence { every: 5, at_the_end: 1_000_000 }, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let trail = folder.path().join("trail");
        let guards = Guards { snapshots, ..Guards::default() };
        drop(Hypervisor::open_guarded(log(&trail), Arc::new(SystemClock), guards).unwrap());
        let hv = Hypervisor::open(log(&trail), Arc::new(SystemClock)).unwrap();
        written(&hv, 20).await;
        // One that is taken in the background is on its way: the trail is not ended before it is recorded.
        let recorded = || {
            let mut found = false;
            let seen = &mut |entry: Entry<'_>| {
                found |= matches!(entry.kind, Kind::Snapshot { .. });
                Ok(())
            };
            hv.log().replay(seen).unwrap();
            found
        };
        let until = Instant::now() + Duration::from_secs(20);
        while snapshots.every < 20 && !recorded() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        hv.seal().await.unwrap();
        drop(hv);
        let again = Hypervisor::open(log(&trail), Arc::new(SystemClock)).unwrap();
        assert_eq!(again.opening().snapshot.is_some(), taken, "{snapshots:?}");
    }
}

#[tokio::test]
async fn contents_are_kept_as_long_as_the_trail_says() {
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
    let folder = tempfile::tempdir().unwrap();
    let trail = folder.path().join("trail");
    let retention = Retention { file: 365 * DAY, ..Retention::default() };
    let guards = Guards { retention, ..Guards::default() };
    drop(Hypervisor::open_guarded(log_at(&trail, clock.now()), clock.clone(), guards).unwrap());
    let hv = Hypervisor::open(log_at(&trail, clock.now()), clock.clone()).unwrap();
    let id = written(&hv, 3).await;
    hv.terminate_session(&id).await.unwrap();
    clock.advance(364 * DAY);
    // By the records alone, as a dry run has it, and under the lock.
    let asked = PurgeRequest { older_than: Some(Duration::ZERO), ..PurgeRequest::default() };
    assert_eq!(hv.contents().unwrap().plan(&asked, clock.now()).staying(Fate::Early), 3);
    let refused = hv.purge(&asked).await;
    assert!(matches!(refused, Err(Error::Denied(_))), "{refused:?}");
    assert_eq!(hv.purge(&PurgeRequest::default()).await.unwrap().due.len(), 0);
    clock.advance(DAY);
    assert_eq!(hv.contents().unwrap().plan(&PurgeRequest::default(), clock.now()).due.len(), 3);
    assert_eq!(hv.purge(&PurgeRequest::default()).await.unwrap().due.len(), 3);
}
