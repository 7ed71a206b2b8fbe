//! Limits of sessions: how many, how long, and who is held back for a time.

use hv_core::audit::MemoryLog;
use hv_core::session::{Expect, SessionDenial};
use hv_core::types::{Did, SessionId, Timestamp};
use hv_core::{Entrant, Error, Guards, Hypervisor, ManualClock, QUARANTINE, Reason, SessionConfig};
use std::sync::Arc;
use std::time::Duration;

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn id(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

fn node() -> (Hypervisor, Arc<MemoryLog>, Arc<ManualClock>) {
    let log = Arc::new(MemoryLog::new());
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
    (Hypervisor::open(log.clone(), clock.clone()).unwrap(), log, clock)
}

async fn active(hv: &Hypervisor, name: &str, config: SessionConfig) {
    hv.create_session(&id(name), config, &did("admin")).await.unwrap();
    for agent in ["a", "b"] {
        hv.join_session(&id(name), &Entrant::new(did(agent)).with_sigma("0.85".parse().unwrap()))
            .await
            .unwrap();
    }
    hv.activate_session(&id(name)).await.unwrap();
}

async fn writes(hv: &Hypervisor, name: &str, agent: &str) -> Result<(), Error> {
    hv.write_file(&id(name), &did(agent), "x", b"x".to_vec(), Expect::Any).await
}

fn reason<T: std::fmt::Debug>(result: Result<T, Error>) -> Reason {
    match result {
        Err(Error::Denied(denied)) => denied.reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_creator_has_so_many_sessions_open_and_no_more() {
    let (log, clock) = (Arc::new(MemoryLog::new()), Arc::new(ManualClock::at(Timestamp(1_000_000_000))));
    let guards = Guards { open_sessions: 3, ..Guards::default() };
    let hv = Hypervisor::open_guarded(log.clone(), clock.clone(), guards).unwrap();
    let create = async |name: &str, creator: &str| {
        hv.create_session(&id(name), SessionConfig::default(), &did(creator)).await.map(|_| ())
    };
    for name in ["one", "two", "three"] {
        create(name, "admin").await.unwrap();
    }
    assert_eq!(reason(create("four", "admin").await), Reason::TooManySessions { limit: 3 });
    create("other", "somebody").await.unwrap();
    hv.terminate_session(&id("two")).await.unwrap();
    create("four", "admin").await.unwrap();
    // A node that replays the log counts the same, and up to the same limit.
    let again = Hypervisor::open(log, clock).unwrap();
    let fifth = again.create_session(&id("five"), SessionConfig::default(), &did("admin")).await;
    assert_eq!(reason(fifth), Reason::TooManySessions { limit: 3 });
}

#[tokio::test]
async fn a_session_whose_time_is_over_takes_nothing_but_its_end() {
    let (hv, _, clock) = node();
    let config = SessionConfig::default().with_max_duration(Duration::from_secs(60)).unwrap();
    active(&hv, "s", config).await;
    clock.advance(Duration::from_secs(59));
    writes(&hv, "s", "a").await.unwrap();
    clock.advance(Duration::from_secs(1));
    assert!(matches!(reason(writes(&hv, "s", "a").await), Reason::Gate(_)));
    let late = hv.join_session(&id("s"), &Entrant::new(did("late"))).await;
    let Reason::Session(denial) = reason(late) else { panic!("refused by the session") };
    assert!(matches!(*denial, SessionDenial::Expired { .. }));
    hv.terminate_session(&id("s")).await.unwrap();
}

#[tokio::test]
async fn a_quarantine_ends_by_itself_and_holds_in_every_session() {
    let (hv, log, clock) = node();
    active(&hv, "s", SessionConfig::default()).await;
    active(&hv, "t", SessionConfig::default()).await;
    assert!(matches!(reason(hv.quarantine(&did("nobody"), QUARANTINE).await), Reason::Ledger(_)));
    hv.quarantine(&did("a"), QUARANTINE).await.unwrap();
    let again = Hypervisor::open(log, clock.clone()).unwrap();
    for (node, session) in [(&hv, "s"), (&again, "t")] {
        assert!(matches!(reason(writes(node, session, "a").await), Reason::Gate(_)));
    }
    clock.advance(QUARANTINE - Duration::from_millis(1));
    assert!(writes(&hv, "s", "a").await.is_err());
    clock.advance(Duration::from_millis(1));
    writes(&hv, "s", "a").await.unwrap();
}

#[tokio::test]
async fn a_join_that_fails_leaves_nothing_but_its_denial() {
    let (hv, _, _) = node();
    let config = SessionConfig::default().with_max_participants(2).unwrap();
    active(&hv, "s", config).await;
    let before = hv.session_view(&id("s")).unwrap();
    let full = Entrant::new(did("c")).with_sigma("0.9".parse().unwrap());
    assert!(matches!(reason(hv.join_session(&id("s"), &full).await), Reason::Session(_)));
    let after = hv.session_view(&id("s")).unwrap();
    assert_eq!((before.members, before.mode), (after.members, after.mode));
    // Nor does the ledger know it: what is said of it elsewhere counts as if it had never asked.
    hv.leave_session(&id("s"), &did("b")).await.unwrap();
    let entrant = Entrant::new(did("c")).with_sigma("0.3".parse().unwrap());
    hv.join_session(&id("s"), &entrant).await.unwrap();
    assert_eq!(hv.standing(&id("s"), &did("c")).unwrap().0, "0.3".parse().unwrap());
}
