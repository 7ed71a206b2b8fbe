//! Records that no honest run could have written, each with the rule that it breaks.

use crate::support::{Run, at, content, create, did, does, path, replay, write};
use hv_session::{
    Acl, ConsistencyMode, Did, Eviction, Expect, FileCommand as F, FileDenial as D, FileEvent, FilesPart,
    Machine, Quotas, ROSTER_MAX, Revision, Session, SessionCommand as C, SessionConfig, SessionDenial,
    SessionEvent as E, SessionId, SessionState as S, SnapshotName, Standing,
};
use hv_types::Wire;

/// The event is illegal by a rule that says this, and changes nothing.
fn illegal(session: &Session, event: &E, says: &str) {
    let mut after = session.clone();
    match after.apply(event) {
        Ok(()) => panic!("taken: {event:?}"),
        Err(illegal) => assert!(illegal.rule.contains(says), "{event:?}: {illegal}"),
    }
    assert!(after == *session);
}

fn file(agent: u32, seconds: u64, event: FileEvent) -> E {
    E::File { agent, at: at(seconds), event }
}

#[test]
fn members_come_and_go_by_the_rules() {
    let config = SessionConfig::default().with_max_participants(3).unwrap();
    let mut run = Run::active(config, 3);
    let joined = |n, parent| E::Joined { did: did(n), parent };
    illegal(&run.session, &joined(7, None), "so many members");
    illegal(&run.session, &E::Rejoined { member: 1 }, "so many members");
    run.ok(&C::Leave { did: did(1) }, at(1));
    run.ok(&C::Evict { did: did(2), reason: Eviction::Drift }, at(1));
    illegal(&run.session, &joined(1, None), "one ordinal");
    illegal(&run.session, &joined(0, None), "one ordinal");
    illegal(&run.session, &joined(7, Some(1)), "its parent is there");
    illegal(&run.session, &joined(7, Some(9)), "its parent is there");
    illegal(&run.session, &E::Rejoined { member: 0 }, "only one that left");
    illegal(&run.session, &E::Rejoined { member: 2 }, "only one that left");
    illegal(&run.session, &E::Rejoined { member: 9 }, "only one that left");
    illegal(&run.session, &E::Left { member: 1 }, "only a member goes");
    illegal(&run.session, &E::Left { member: 9 }, "only a member goes");
    illegal(&run.session, &E::Evicted { member: 2, reason: Eviction::Drift }, "only a member goes");
    illegal(&run.session, &E::Left { member: 0 }, "has a member");
    illegal(&run.session, &E::Evicted { member: 0, reason: Eviction::Drift }, "has a member");
    illegal(&run.session, &E::Readmitted { member: 0 }, "put out is readmitted");
    illegal(&run.session, &E::Readmitted { member: 1 }, "put out is readmitted");
    illegal(&run.session, &create_event(), "created once");
    run.ok(&C::AddChild { parent: did(0), child: did(8), needs: ConsistencyMode::Strong }, at(1));
    illegal(&run.session, &E::StrongForced, "forced once");
    run.ok(&C::Leave { did: did(8) }, at(1));
    run.ok(&C::join(did(1)), at(1));
    run.ok(&C::Leave { did: did(0) }, at(1));
    illegal(&run.session, &E::Rejoined { member: 3 }, "its parent is there");
}

fn create_event() -> E {
    Session::default().decide(&create(SessionConfig::default()), at(0)).unwrap().remove(0)
}

#[test]
fn states_follow_each_other() {
    let empty = Run::handshaking(SessionConfig::default(), 0).session;
    illegal(&empty, &E::Moved { to: S::Active }, "has a member");
    let run = Run::active(SessionConfig::default(), 2);
    for to in [S::Created, S::Handshaking, S::Active, S::Archived] {
        illegal(&run.session, &E::Moved { to }, "moves from each state");
    }
    for event in [E::Moved { to: S::Handshaking }, E::Joined { did: did(0), parent: None }, E::Complete] {
        illegal(&Session::default(), &event, "begins with its creation");
    }
    let mut over = run.clone();
    over.ok(&C::Evict { did: did(1), reason: Eviction::Killed }, at(1));
    over.ok(&C::Terminate, at(1));
    illegal(&over.session, &E::Joined { did: did(5), parent: None }, "while the session is open");
    illegal(&over.session, &E::Left { member: 0 }, "while the session is open");
    illegal(&over.session, &E::StrongForced, "while the session is open");
    over.ok(&C::Archive, at(1));
    illegal(&over.session, &E::Evicted { member: 0, reason: Eviction::Killed }, "that is over");
    illegal(&over.session, &E::Readmitted { member: 1 }, "that is over");
}

#[test]
fn a_session_sees_so_many_agents_and_no_more() {
    let mut run = Run::handshaking(SessionConfig::default(), 0);
    let agent = |n: u32| Did::new(&format!("did:mesh:{n:08}")).unwrap();
    for n in 0..ROSTER_MAX {
        run.session.apply(&E::Joined { did: agent(n), parent: None }).unwrap();
        run.session.apply(&E::Left { member: n }).unwrap();
    }
    assert_eq!(run.session.decide(&C::join(agent(ROSTER_MAX)), at(1)), Err(SessionDenial::RosterFull));
    assert!(run.session.apply(&E::Joined { did: agent(ROSTER_MAX), parent: None }).is_err());
    run.session.apply(&E::Rejoined { member: 7 }).unwrap();
    let mut compact = run.session.compact();
    assert!(replay(&compact) == Ok(run.session));
    let one_more = E::Seated { did: agent(ROSTER_MAX), parent: None, standing: Standing::Left };
    compact.insert(1, one_more);
    assert!(replay(&compact).is_err());
}

#[test]
fn files_change_by_members_in_time_and_from_what_was_there() {
    let mut run = Run::strong(3);
    run.does(0, write("f", 1, Expect::Any)).does(0, F::TakeSnapshot { name: None });
    run.ok(&C::Leave { did: did(2) }, at(5));
    let updated = |previous| FileEvent::Updated { path: path("f"), content: content(2, 10), previous };
    let right = updated(content(1, 10).id);
    let mut honest = run.session.clone();
    honest.apply(&file(1, 3599, right.clone())).unwrap();
    illegal(&run.session, &file(1, 3600, right.clone()), "may act");
    illegal(&run.session, &file(2, 5, right.clone()), "only a member");
    illegal(&run.session, &file(9, 5, right), "only a member");
    illegal(&run.session, &file(1, 5, updated(content(9, 10).id)), "what was there before");
    let created = FileEvent::Created { path: path("f"), content: content(2, 10) };
    illegal(&run.session, &file(1, 5, created), "where there is none");
    let diverged =
        FileEvent::Diverged { path: path("f"), content: content(2, 10), previous: None, seen: Revision(0) };
    illegal(&run.session, &file(1, 5, diverged.clone()), "stale");
    for snapshot in [0, 2] {
        illegal(&run.session, &file(0, 5, FileEvent::RolledBack { snapshot }), "a snapshot that is there");
        illegal(
            &run.session,
            &file(0, 5, FileEvent::SnapshotDropped { snapshot }),
            "a snapshot that is there",
        );
    }
    illegal(&run.session, &file(1, 5, FileEvent::SnapshotDropped { snapshot: 1 }), "by who took it");
    // In the eventual mode only a write that is stale diverges.
    let mut eventual = Run::active(SessionConfig::default(), 2);
    illegal(&eventual.session, &file(1, 5, diverged.clone()), "what was there before");
    eventual.does(0, write("f", 1, Expect::Any));
    eventual.session.apply(&file(1, 5, diverged)).unwrap();
}

/// The head, the seats, the files, the snapshots and the past of a session with all of them.
fn resumable() -> (Session, Vec<E>) {
    let quotas = Quotas { files: 3, snapshots: 2, bytes: 60, ..Quotas::default() };
    let mut run = Run::active(SessionConfig::default().with_quotas(quotas), 2);
    run.does(0, write("a", 1, Expect::Any)).does(0, F::TakeSnapshot { name: None });
    run.does(0, write("b", 1, Expect::Any)).does(0, write("a", 2, Expect::Any));
    run.does(0, F::TakeSnapshot { name: None }).does(0, F::Delete { path: path("b"), expect: Expect::Any });
    run.does(0, write("c", 3, Expect::Any)).does(0, F::SetAcl { path: path("c"), acl: Acl::closed() });
    run.does(0, F::Delete { path: path("c"), expect: Expect::Any });
    let compact = run.session.compact();
    (run.session, compact)
}

fn is_file(event: &E) -> bool {
    matches!(event, E::Files { part: FilesPart::File { .. } })
}

fn is_past(event: &E) -> bool {
    matches!(event, E::Files { part: FilesPart::Past { .. } })
}

fn is_snapshot(event: &E) -> bool {
    matches!(event, E::Files { part: FilesPart::Snapshot { .. } })
}

/// Swaps are refused, omissions too, and so is what does not fit together.
#[test]
fn a_session_is_resumed_in_order_and_whole() {
    let (session, compact) = resumable();
    assert!(replay(&compact).as_ref() == Ok(&session));
    let refused = |events: &[E], says: &str| match replay(events) {
        Ok(_) => panic!("taken, which should break: {says}"),
        Err(illegal) => assert!(illegal.rule.contains(says), "{illegal}, not: {says}"),
    };
    let at_first = |which: fn(&E) -> bool| compact.iter().position(which).unwrap();
    let moved = |from: usize, to: usize| {
        let mut events = compact.clone();
        let event = events.remove(from);
        events.insert(to, event);
        events
    };
    let with = |place: usize, event: E| {
        let mut events = compact.clone();
        events.insert(place, event);
        events
    };
    let end = compact.len() - 1;
    let (files, past, snapshot) = (at_first(is_file), at_first(is_past), at_first(is_snapshot));
    let seated = |n: u32, parent| E::Seated { did: did(n), parent, standing: Standing::Left };

    refused(&moved(0, 1), "begins with its creation");
    refused(&with(1, compact[0].clone()), "before anything else");
    refused(&with(1, create_event()), "before anything else");
    refused(&with(files, seated(1, None)), "one ordinal");
    refused(&with(files, seated(7, Some(2))), "before its children");
    refused(&with(files + 1, seated(7, None)), "before the files");
    let unseated: Vec<_> = compact.iter().filter(|e| !matches!(e, E::Seated { .. })).cloned().collect();
    refused(&unseated, "agents that the session knows");
    refused(&moved(past, files), "a path has a file or had one");
    refused(&with(past + 1, compact[files].clone()), "in order");
    refused(&with(past + 1, compact[snapshot].clone()), "in order");
    refused(&with(past + 1, compact[past].clone()), "in order");
    refused(&with(end, compact[files].clone()), "in order");
    refused(&with(end, compact[end - 1].clone()), "in order");
    refused(&with(snapshot + 1, compact[snapshot].clone()), "a name of its own");
    let renumbered = |number: u32, name: &str| E::Files {
        part: FilesPart::Snapshot {
            number,
            name: SnapshotName::new(name).unwrap(),
            agent: 0,
            at: at(1),
            revision: Revision(1),
        },
    };
    refused(&with(snapshot + 1, renumbered(1, "other")), "a name of its own");
    refused(&with(snapshot + 1, renumbered(2, "snap-1")), "a name of its own");
    let nothing = E::from_bytes(&[0x12, 2, 1, b'a', 0, 0]).unwrap();
    let without_past: Vec<_> = compact[..past].iter().cloned().chain([nothing]).collect();
    refused(&without_past, "nothing is remembered of nothing");
    let gone = E::Files { part: FilesPart::File { path: path("x"), file: None } };
    refused(&with(files, gone), "a file that is there");
    let mut short = compact.clone();
    short.remove(end - 1);
    refused(&short, "in order");

    // Heads that contradict what follows.
    let head = |change: &dyn Fn(&mut SessionConfig, &mut S, &mut ConsistencyMode)| {
        let mut events = compact.clone();
        if let E::Resumed { config, state, mode, .. } = &mut events[0] {
            change(config, state, mode);
        }
        events
    };
    refused(
        &head(&|config, _, mode| {
            *config = config.with_mode(ConsistencyMode::Strong);
            *mode = ConsistencyMode::Eventual;
        }),
        "stays strong",
    );
    refused(&head(&|config, _, _| *config = config.with_max_participants(1).unwrap()), "so many members");
    for quotas in [
        Quotas { files: 1, ..*session.config().quotas() },
        Quotas { bytes: 9, ..*session.config().quotas() },
        Quotas { snapshots: 1, ..*session.config().quotas() },
    ] {
        refused(&head(&|config, _, _| *config = config.with_quotas(quotas)), "the quotas hold");
    }
    let mut nobody = compact.clone();
    for seat in &mut nobody[1..=2] {
        if let E::Seated { standing, .. } = seat {
            *standing = Standing::Left;
        }
    }
    refused(&nobody, "has a member");
    let counters = |revision: u64, taken, forgotten: u64| {
        let mut events = compact.clone();
        let (revision, forgotten) = (Revision(revision), Revision(forgotten));
        events[end - 1] = E::Files { part: FilesPart::Counters { revision, taken, forgotten } };
        events
    };
    let newest = session.files().revision().0;
    assert!(replay(&counters(newest, 2, 0)).as_ref() == Ok(&session));
    refused(&counters(newest - 1, 2, 0), "in order");
    refused(&counters(newest, 1, 0), "in order");
    refused(&counters(newest, 2, newest + 1), "in order");
    let foreign = E::Files {
        part: FilesPart::Snapshot {
            number: 9,
            name: SnapshotName::new("foreign").unwrap(),
            agent: 2,
            at: at(1),
            revision: Revision(1),
        },
    };
    refused(&with(past, foreign), "agents that the session knows");
}

/// Who owns a file is known, also where somebody else wrote it last.
#[test]
fn owners_are_agents_that_the_session_knows() {
    let mut run =
        Run::active(SessionConfig::default().with_quotas(Quotas { versions: 0, ..Quotas::default() }), 2);
    run.does(1, write("x", 1, Expect::Any)).does(0, write("x", 2, Expect::Any));
    let mut deleted = run.clone();
    deleted.does(0, F::Delete { path: path("x"), expect: Expect::Any });
    let mut between = Run::active(SessionConfig::default(), 2);
    for n in [0, 1, 0] {
        between.does(n, write("x", 1, Expect::Any));
    }
    for session in [run.session, deleted.session, between.session] {
        let mut compact = session.compact();
        assert!(replay(&compact) == Ok(session));
        compact.remove(2);
        let illegal = replay(&compact).unwrap_err();
        assert!(illegal.rule.contains("agents that the session knows"), "{illegal}");
    }
}

#[test]
fn what_is_not_there_takes_no_event() {
    let compact = Run::active(SessionConfig::default(), 2).session.compact();
    assert_eq!(compact.len(), 4, "a head, two seats and the end: {compact:?}");
    assert_eq!(Session::default().compact(), []);
}

#[test]
fn a_session_goes_by_the_name_it_was_created_with() {
    let (session, compact) = resumable();
    assert_eq!(session.id(), Some(&SessionId::new("s1").unwrap()));
    let resumed = replay(&compact).unwrap();
    assert_eq!((resumed.id(), resumed.deadline()), (session.id(), session.deadline()));
    let mut run = Run { session: resumed, log: Vec::new() };
    // The counters went on where they were.
    run.does(0, write("z", 9, Expect::Any));
    assert_eq!(run.newest("z"), Revision(session.files().revision().0 + 1));
    let denial = run.refused(1, write("c", 9, Expect::Any));
    assert!(matches!(denial, D::Forbidden { .. }), "{denial}");
    assert!(run.run(&does(0, F::ClearAcl { path: path("c") }), at(5)).is_ok());
}
