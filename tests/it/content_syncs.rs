//! What contents cost on the disk: how often a write of a file, and a step that says something, wait for it, counted.

use crate::disks::{Mood, unhurried};
use crate::saga_syncs::saga_saying;
use hv_core::audit::{FileLog, FileOptions};
use hv_core::saga::{Outcome, Output};
use hv_core::session::Expect;
use hv_core::types::{Did, SessionId};
use hv_core::{Clock, ConsistencyMode, Entrant, Hypervisor, SessionConfig, SystemClock, entropy};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

/// A node with a session in which a content lies already, so that folder and keys are there.
async fn node(folder: &Path, disk: &Mood, mode: ConsistencyMode) -> (Hypervisor, SessionId) {
    let options = FileOptions::new(entropy().unwrap()).with_disk(Arc::new(disk.clone()));
    let log = FileLog::create(&folder.join("trail"), SystemClock.now(), options).unwrap();
    let hv = Hypervisor::open_guarded(Arc::new(log), Arc::new(SystemClock), unhurried()).unwrap();
    let id = SessionId::new("s").unwrap();
    hv.create_session(&id, SessionConfig::default().with_mode(mode), &did("admin")).await.unwrap();
    hv.join_session(&id, &Entrant::new(did("a")).with_sigma("0.85".parse().unwrap())).await.unwrap();
    hv.activate_session(&id).await.unwrap();
    write(&hv, &id, "first").await;
    hv.flush().await.unwrap();
    (hv, id)
}

async fn write(hv: &Hypervisor, session: &SessionId, path: &str) {
    hv.write_file(session, &did("a"), path, path.as_bytes().to_vec(), Expect::Any).await.unwrap();
}

#[tokio::test]
async fn a_write_waits_for_its_content_and_its_record_and_nothing_else() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Mood::slow(Duration::ZERO));
    let (hv, session) = node(folder.path(), &disk, ConsistencyMode::Strong).await;
    for n in 0..10 {
        let before = disk.waits();
        write(&hv, &session, &format!("f{n}")).await;
        // The key, the file, its name; and the record.
        assert_eq!(disk.waits() - before, 4);
    }
}

/// Who may not write fills no disk.
#[tokio::test]
async fn what_a_denied_write_brought_is_not_stored() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Mood::slow(Duration::ZERO));
    let (hv, session) = node(folder.path(), &disk, ConsistencyMode::Strong).await;
    let payloads = folder.path().join("trail").join("payloads");
    let stored = || std::fs::read_dir(&payloads).unwrap().count();
    let before = (disk.waits(), stored());
    let content = b"nobody asked for it".to_vec();
    let denied = hv.write_file(&session, &did("stranger"), "f", content.clone(), Expect::Any).await;
    assert!(matches!(denied, Err(hv_core::Error::Denied(_))), "{denied:?}");
    assert_eq!(
        (disk.waits() - before.0, stored()),
        (1, before.1),
        "the denial is recorded, and nothing else"
    );
    write(&hv, &session, "later").await;
    assert_eq!(stored(), before.1 + 1);
    hv.seal().await.unwrap();
    assert_eq!(stored(), before.1 + 1, "nor at the end");
}

const AT_ONCE: u64 = 64;

/// On one thread and on two; each content is a file that is synced, and everything else is shared.
#[test]
fn sixty_four_writes_at_once_share_all_but_the_syncs_of_their_files() {
    let one = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let two = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for (threads, runtime) in [(1, one), (2, two)] {
        let (folder, disk) = (tempfile::tempdir().unwrap(), Mood::slow(Duration::from_millis(5)));
        let syncs = runtime.block_on(async {
            let (hv, session) = node(folder.path(), &disk, ConsistencyMode::Strong).await;
            let before = disk.waits();
            let write = |n: u64| {
                let (hv, session) = (hv.clone(), session.clone());
                tokio::spawn(async move { write(&hv, &session, &format!("f{n}")).await })
            };
            let writes: Vec<_> = (0..AT_ONCE).map(write).collect();
            for write in writes {
                write.await.unwrap();
            }
            disk.waits() - before
        });
        println!("{threads} threads: {syncs} syncs for {AT_ONCE} writes at once");
        assert!(syncs > AT_ONCE, "{syncs}: a content that was not synced");
        assert!(syncs * 2 <= AT_ONCE * 3, "{syncs} syncs for {AT_ONCE} writes: more than 1.5 for each");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eventual_write_is_revealed_before_anything_of_it_was_synced() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Mood::slow(Duration::ZERO));
    let (hv, session) = node(folder.path(), &disk, ConsistencyMode::Eventual).await;
    let held = disk.hold();
    let before = disk.waits();
    for n in 0..20 {
        write(&hv, &session, &format!("f{n}")).await;
        let read = hv.read_file(&session, &did("a"), &format!("f{n}")).await.unwrap();
        assert_eq!(read, Some(format!("f{n}").into_bytes()), "what is not durable is read as well");
    }
    let syncs = disk.waits() - before;
    println!("eventual: {syncs} syncs before 20 writes are revealed");
    assert_eq!(syncs, 0);
    drop(held);
    hv.flush().await.unwrap();
    assert!(disk.waits() - before >= 20 + 4, "each content is synced in the end");
}

#[tokio::test]
async fn a_saga_whose_three_steps_say_something_waits_for_the_disk_once_for_each_command() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Mood::slow(Duration::ZERO));
    let (hv, session) = node(folder.path(), &disk, ConsistencyMode::Strong).await;
    let before = disk.waits();
    let said = || {
        let output = Output { stdout: b"done\n".to_vec(), ..Output::default() };
        Outcome { output: Some(output), ..Outcome::done() }
    };
    saga_saying(&hv, &session, "g", said).await;
    // Its opening; and three outcomes, each with what the step said: the key, the file, its name.
    let syncs = disk.waits() - before;
    println!("saga: {syncs} syncs for three steps that say something");
    assert_eq!(syncs, 4 + 3 * 3);
}
