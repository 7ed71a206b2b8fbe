//! The eventual mode on a slow disk: a write is answered before it is durable, nothing else is, and what a crash took is
//! told to whoever shows its receipt.

use crate::disks::{Mood, unhurried};
use hv_core::audit::{FileLog, FileOptions};
use hv_core::event::NodeEvent;
use hv_core::session::{Content, Expect};
use hv_core::types::{Did, Digest, SessionId};
use hv_core::{
    Clock, ConsistencyMode, EARLY_MAX, Entrant, Hypervisor, Receipt, SessionConfig, SystemClock, TrailEvent,
    entropy, read_record,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn node(folder: &Path, mood: &Mood) -> Hypervisor {
    let options = FileOptions::new(entropy().unwrap()).with_disk(Arc::new(mood.clone()));
    let log = FileLog::create(folder, SystemClock.now(), options).unwrap();
    Hypervisor::open_guarded(Arc::new(log), Arc::new(SystemClock), unhurried()).unwrap()
}

async fn session(hv: &Hypervisor, name: &str, mode: ConsistencyMode) -> SessionId {
    let id = SessionId::new(name).unwrap();
    hv.create_session(&id, SessionConfig::default().with_mode(mode), &did("admin")).await.unwrap();
    hv.join_session(&id, &Entrant::new(did("a")).with_sigma("0.85".parse().unwrap())).await.unwrap();
    hv.activate_session(&id).await.unwrap();
    id
}

async fn record(hv: &Hypervisor, session: &SessionId, n: u8) {
    let content = Content { id: Digest([n; 32]), length: 10 };
    hv.record_file(session, &did("a"), &format!("f{n}"), content, Expect::Any).await.unwrap();
}

/// Whether something is answered within a time in which nothing can become durable.
async fn answered<T>(what: impl Future<Output = T>) -> bool {
    tokio::time::timeout(Duration::from_millis(200), what).await.is_ok()
}

fn copied(folder: &Path, to: PathBuf) -> PathBuf {
    std::fs::create_dir(&to).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    to
}

fn lost_on(trail: &Hypervisor) -> Vec<Digest> {
    let mut lost = Vec::new();
    let read = trail.log().replay(&mut |entry| {
        lost.extend(read_record(&entry).unwrap().events.into_iter().filter_map(|event| match event {
            TrailEvent::Node(NodeEvent::WriteLost { record, .. }) => Some(record),
            _ => None,
        }));
        Ok(())
    });
    read.unwrap();
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eventual_write_does_not_wait_for_a_slow_disk_and_a_strong_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let takes = Duration::from_millis(50);
    let hv = node(&folder.path().join("trail"), &Mood::slow(takes));
    for (mode, waits) in [(ConsistencyMode::Eventual, false), (ConsistencyMode::Strong, true)] {
        let id = session(&hv, if waits { "strong" } else { "eventual" }, mode).await;
        let mut quickest = Duration::MAX;
        for n in 0..5 {
            let began = Instant::now();
            record(&hv, &id, n).await;
            quickest = quickest.min(began.elapsed());
        }
        assert_eq!(quickest >= takes, waits, "{mode:?}: {quickest:?}");
        hv.flush().await.unwrap();
    }
    hv.seal().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_writes_are_answered_early_and_only_so_many() {
    let folder = tempfile::tempdir().unwrap();
    let mood = Mood::slow(Duration::ZERO);
    let hv = node(&folder.path().join("trail"), &mood);
    let eventual = session(&hv, "eventual", ConsistencyMode::Eventual).await;
    let strong = session(&hv, "strong", ConsistencyMode::Strong).await;
    let held = mood.hold();
    assert!(!answered(record(&hv, &strong, 0)).await, "a strong write");
    let newcomer = Entrant::new(did("b")).with_sigma("0.85".parse().unwrap());
    assert!(!answered(hv.join_session(&eventual, &newcomer)).await, "a join");
    assert!(!answered(hv.note(&eventual, "k", b"n".to_vec())).await, "a note");
    assert!(!answered(hv.quarantine(&did("b"), Duration::from_secs(60))).await, "trust");
    for n in 0..u8::try_from(EARLY_MAX).unwrap() {
        assert!(answered(record(&hv, &eventual, n)).await, "write {n}");
    }
    assert!(!answered(record(&hv, &eventual, 200)).await, "one too many");
    // What is read is what was written, durable or not.
    assert_eq!(hv.list_files(&eventual).unwrap().len(), EARLY_MAX + 1);
    drop(held);
    hv.flush().await.unwrap();
    assert!(answered(record(&hv, &eventual, 201)).await);
    hv.seal().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c2_what_a_crash_took_of_answered_writes_is_said_and_nothing_strong_is_among_it() {
    let folder = tempfile::tempdir().unwrap();
    let trail = folder.path().join("trail");
    let mood = Mood::slow(Duration::ZERO);
    let hv = node(&trail, &mood);
    let eventual = session(&hv, "eventual", ConsistencyMode::Eventual).await;
    let strong = session(&hv, "strong", ConsistencyMode::Strong).await;
    let write = async |session: &SessionId, n: u8| -> Receipt {
        let content = format!("content {n}").into_bytes();
        let (agent, path) = (did("a"), format!("f{n}"));
        hv.write_file_with_receipt(session, &agent, &path, content, Expect::Any).await.unwrap()
    };
    let mut kept = vec![write(&strong, 0).await, write(&eventual, 1).await];
    assert!(hv.is_durable(&kept[0]));
    hv.flush().await.unwrap();
    assert!(hv.is_durable(&kept[1]));
    let held = mood.hold();
    let mut lost = Vec::new();
    for n in 2..7 {
        lost.push(write(&eventual, n).await);
    }
    assert!(lost.iter().all(|receipt| !hv.is_durable(receipt)));
    // The power fails: what is on the disk now is all that there is.
    let left = copied(&trail, folder.path().join("left"));
    let after = Hypervisor::in_folder(&left).unwrap();
    let all: Vec<Receipt> = kept.iter().chain(&lost).cloned().collect();
    assert_eq!(after.lost_writes(&all).await.unwrap(), lost);
    let hashes: Vec<Digest> = lost.iter().map(|receipt| receipt.hash).collect();
    assert_eq!(lost_on(&after), hashes);
    assert_eq!(after.lost_writes(&all).await.unwrap(), lost, "asked again, it is the same");
    assert_eq!(lost_on(&after), hashes, "and said once");
    assert_eq!(after.list_files(&eventual).unwrap(), ["f1"]);
    assert_eq!(after.list_files(&strong).unwrap(), ["f0"]);
    let read = async |hv: &Hypervisor, session: &SessionId, n: u8| {
        hv.read_file(session, &did("a"), &format!("f{n}")).await.unwrap()
    };
    let content = |n: u8| Some(format!("content {n}").into_bytes());
    assert_eq!(read(&after, &strong, 0).await, content(0));
    assert_eq!(read(&after, &eventual, 1).await, content(1), "its content is there as its record is");
    assert_eq!(read(&after, &eventual, 2).await, None);
    // Had the power not failed, nothing would have been lost.
    drop(held);
    hv.flush().await.unwrap();
    kept.extend(lost);
    assert!(kept.iter().all(|receipt| hv.is_durable(receipt)));
    assert_eq!(hv.lost_writes(&kept).await.unwrap(), []);
    let left = copied(&trail, folder.path().join("flushed"));
    let after = Hypervisor::in_folder(&left).unwrap();
    assert_eq!(after.lost_writes(&kept).await.unwrap(), []);
    for n in 1..7 {
        assert_eq!(read(&after, &eventual, n).await, content(n), "what is durable has its content");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_strong_session_shows_of_its_files_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let mood = Mood::slow(Duration::ZERO);
    let hv = node(&folder.path().join("trail"), &mood);
    let strong = session(&hv, "strong", ConsistencyMode::Strong).await;
    let a = did("a");
    let write = |text: &str| {
        let (hv, id, text) = (hv.clone(), strong.clone(), text.as_bytes().to_vec());
        tokio::spawn(async move { hv.write_file(&id, &did("a"), "f", text, Expect::Any).await })
    };
    let old = hv.write_file_with_receipt(&strong, &a, "f", b"old".to_vec(), Expect::Any).await.unwrap();
    let held = mood.hold();
    let writing = write("new");
    // It is decided, and waits for the disk.
    while hv.log().head(old.stream).unwrap().tip == old.hash {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!answered(hv.read_file(&strong, &a, "f")).await, "its content");
    assert!(!answered(hv.stat_files(&strong, &a, None)).await, "that it is there");
    assert!(!answered(hv.file_history(&strong, &a, "f")).await, "its history");
    assert!(!answered(hv.snapshots(&strong, &a)).await, "snapshots");
    drop(held);
    writing.await.unwrap().unwrap();
    assert_eq!(hv.read_file(&strong, &a, "f").await.unwrap(), Some(b"new".to_vec()));
    hv.seal().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn snapshots_that_are_taken_at_once_are_told_by_their_own_names() {
    let folder = tempfile::tempdir().unwrap();
    let mood = Mood::slow(Duration::ZERO);
    let hv = node(&folder.path().join("trail"), &mood);
    let id = session(&hv, "strong", ConsistencyMode::Strong).await;
    let held = mood.hold();
    let taking: Vec<_> = (0..4)
        .map(|_| {
            let (hv, id) = (hv.clone(), id.clone());
            tokio::spawn(async move { hv.take_snapshot(&id, &did("a"), None).await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(held);
    let mut names = Vec::new();
    for taken in taking {
        names.push(taken.await.unwrap().to_string());
    }
    names.sort();
    assert_eq!(names, ["snap-1", "snap-2", "snap-3", "snap-4"]);
    hv.seal().await.unwrap();
}
