//! What subscribers are told: all that becomes durable, in the order of the trail, whoever still waits for it.

use crate::disks::{Mood, unhurried};
use hv_core::audit::{FileLog, FileOptions, Lsn};
use hv_core::types::{Did, SessionId};
use hv_core::{Clock, Hypervisor, Notice, SessionConfig, SystemClock, entropy};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;

fn id(n: u32) -> SessionId {
    SessionId::new(&format!("s{n}")).unwrap()
}

fn node(folder: &tempfile::TempDir, mood: &Mood) -> Hypervisor {
    let options = FileOptions::new(entropy().unwrap()).with_disk(Arc::new(mood.clone()));
    let log = FileLog::create(&folder.path().join("trail"), SystemClock.now(), options).unwrap();
    Hypervisor::open_guarded(Arc::new(log), Arc::new(SystemClock), unhurried()).unwrap()
}

async fn create(hv: &Hypervisor, n: u32) -> Result<(), hv_core::Error> {
    let creator = Did::new("did:mesh:admin").unwrap();
    hv.create_session(&id(n), SessionConfig::default(), &creator).await.map(drop)
}

fn told(notices: &mut Receiver<Arc<Notice>>) -> Vec<Lsn> {
    std::iter::from_fn(|| notices.try_recv().ok()).map(|notice| notice.lsn).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_durable_is_told_although_nobody_waits_for_it_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mood = Mood::slow(Duration::ZERO);
    let hv = node(&folder, &mood);
    let mut notices = hv.subscribe();
    let held = mood.hold();
    for n in 0..3 {
        let given_up = tokio::time::timeout(Duration::from_millis(50), create(&hv, n)).await;
        assert!(given_up.is_err(), "the disk is held up");
    }
    assert_eq!(told(&mut notices), [], "nothing is durable");
    drop(held);
    create(&hv, 3).await.unwrap();
    hv.flush().await.unwrap();
    assert_eq!(hv.open_sessions().unwrap().len(), 4);
    assert_eq!(told(&mut notices).len(), 4, "each session that there is was told");
    hv.seal().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_becomes_durable_together_is_told_in_the_order_of_the_trail() {
    let folder = tempfile::tempdir().unwrap();
    let mood = Mood::slow(Duration::from_millis(2));
    let hv = node(&folder, &mood);
    let mut notices = hv.subscribe();
    let creating: Vec<_> = (0..400)
        .map(|n| {
            let hv = hv.clone();
            tokio::spawn(async move { create(&hv, n).await.unwrap() })
        })
        .collect();
    for creates in creating {
        creates.await.unwrap();
    }
    let told = told(&mut notices);
    assert_eq!(told.len(), 400);
    assert!(told.is_sorted(), "{told:?}");
    hv.seal().await.unwrap();
}
