//! Writes, deletions, versions and history, in both modes.

use crate::support::{Run, at, content, did, does, path, replay, write};
use hv_session::{
    BESIDE_MAX, Change, ConsistencyMode, Eviction, Expect, FileCommand as F, FileDenial as D, FileEvent as E,
    HistoryEntry, Machine, Quota, Quotas, Revision, SessionCommand as C, SessionConfig, SessionDenial,
    SessionState, SnapshotName,
};

fn delete(name: &str) -> F {
    F::Delete { path: path(name), expect: Expect::Any }
}

fn rename(from: &str, to: &str) -> F {
    F::Rename { from: path(from), to: path(to), expect: Expect::Any }
}

fn restore(name: &str, revision: u64) -> F {
    F::Restore { path: path(name), revision: Revision(revision), expect: Expect::Any }
}

#[test]
fn each_change_names_the_content_and_what_was_there_before() {
    let mut run = Run::strong(2);
    let (one, two) = (content(1, 10), content(2, 10));
    run.does(0, F::create(path("a"), one));
    assert_eq!(run.last(), &E::Created { path: path("a"), content: one });
    run.does(1, F::update(path("a"), two, Revision(1)));
    assert_eq!(run.last(), &E::Updated { path: path("a"), content: two, previous: one.id });
    run.does(0, restore("a", 1));
    let restored =
        E::Restored { path: path("a"), revision: Revision(1), content: one.id, previous: Some(two.id) };
    assert_eq!(run.last(), &restored);
    run.does(1, delete("a"));
    assert_eq!(run.last(), &E::Deleted { path: path("a"), previous: one.id });
    assert_eq!(run.read("a"), None);
    assert_eq!(run.refused(0, delete("a")), D::NotFound { path: path("a") });
    run.does(0, restore("a", 2));
    let undeleted = E::Restored { path: path("a"), revision: Revision(2), content: two.id, previous: None };
    assert_eq!(run.last(), &undeleted);

    let history = run.session.files().history(&path("a"));
    let lines: Vec<_> = history.iter().map(|h| (h.stamp.revision.0, h.stamp.agent, h.content)).collect();
    let expected = [(1, 0, Some(one)), (2, 1, Some(two)), (3, 0, Some(one)), (4, 1, None), (5, 0, Some(two))];
    assert_eq!(lines, expected);
    assert!(history.iter().all(|h| h.stamp.at == at(5)));
    assert_eq!(history[2].stamp.change, Change::Restored { from: Revision(1) });
}

#[test]
fn a_missing_file_reads_as_none_and_the_list_is_relative_and_sorted() {
    let mut run = Run::strong(1);
    assert_eq!(run.session.read(&did(0), &path("a")), Ok(None));
    for name in ["b/x", "a", "/sessions/s1/b/a", "b.x", "b", "ba/x"] {
        run.does(0, write(name, 1, Expect::Absent));
    }
    let names = |run: &Run| run.session.files().list().map(|(p, _)| p.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&run), ["a", "b", "b.x", "b/a", "b/x", "ba/x"]);
    let below: Vec<_> = run.session.files().list_in(&path("b")).map(|(p, _)| p.as_str()).collect();
    assert_eq!(below, ["b/a", "b/x"]);
    assert!(run.session.files().list_in(&path("b/a")).next().is_none());
    assert_eq!(run.session.read(&did(7), &path("a")), Err(SessionDenial::NotAMember { did: did(7) }));
}

/// What a write comes to, by what its writer takes to be there and by what is there.
#[test]
fn what_is_expected_decides_what_a_write_is() {
    #[derive(Debug, PartialEq)]
    enum Is {
        Created,
        Updated,
        Diverged,
        AlreadyExists,
        NotFound,
        Stale,
        UnknownRevision,
    }
    use Is::{AlreadyExists, Created, Diverged, NotFound, Stale, Updated};
    let never: [(Expect, Is, Is); 5] = [
        (Expect::Any, Created, Created),
        (Expect::Absent, Created, Created),
        (Expect::Present, NotFound, NotFound),
        (Expect::Revision(Revision(0)), Created, Created),
        (Expect::Revision(Revision(99)), Is::UnknownRevision, Is::UnknownRevision),
    ];
    // The file has the versions 2 and 4; 1, 3 and 5 belong to another.
    let there = [
        (Expect::Any, Updated, Updated),
        (Expect::Absent, AlreadyExists, Diverged),
        (Expect::Present, Updated, Updated),
        (Expect::Revision(Revision(0)), Stale, Diverged),
        (Expect::Revision(Revision(2)), Stale, Diverged),
        (Expect::Revision(Revision(3)), Stale, Diverged),
        (Expect::Revision(Revision(4)), Updated, Updated),
        (Expect::Revision(Revision(5)), Updated, Updated),
        (Expect::Revision(Revision(6)), Is::UnknownRevision, Is::UnknownRevision),
    ];
    // It was deleted by version 6.
    let gone = [
        (Expect::Any, Created, Created),
        (Expect::Absent, Created, Created),
        (Expect::Present, NotFound, NotFound),
        (Expect::Revision(Revision(4)), Stale, Diverged),
        (Expect::Revision(Revision(5)), Stale, Diverged),
        (Expect::Revision(Revision(6)), Created, Created),
        (Expect::Revision(Revision(7)), Is::UnknownRevision, Is::UnknownRevision),
    ];
    for mode in [ConsistencyMode::Strong, ConsistencyMode::Eventual] {
        let mut run = Run::active(SessionConfig::default().with_mode(mode), 1);
        let check = |run: &Run, expect, strong: &Is, eventual: &Is| {
            let mut run = run.clone();
            let is = match run.run(&does(0, write("f", 9, expect)), at(5)) {
                Ok(()) => match run.last() {
                    E::Created { .. } => Created,
                    E::Updated { .. } => Updated,
                    E::Diverged { .. } => Diverged,
                    other => panic!("{other:?}"),
                },
                Err(SessionDenial::File(D::AlreadyExists { .. })) => AlreadyExists,
                Err(SessionDenial::File(D::NotFound { .. })) => NotFound,
                Err(SessionDenial::File(D::Stale { .. })) => Stale,
                Err(SessionDenial::File(D::UnknownRevision { .. })) => Is::UnknownRevision,
                Err(other) => panic!("{other}"),
            };
            let expected = if mode == ConsistencyMode::Strong { strong } else { eventual };
            assert_eq!(&is, expected, "{mode} {expect:?}");
        };
        never.iter().for_each(|(expect, strong, eventual)| check(&run, *expect, strong, eventual));
        for name in ["g", "f", "g", "f", "g"] {
            run.does(0, write(name, 1, Expect::Any));
        }
        there.iter().for_each(|(expect, strong, eventual)| check(&run, *expect, strong, eventual));
        run.does(0, delete("f"));
        gone.iter().for_each(|(expect, strong, eventual)| check(&run, *expect, strong, eventual));
    }
}

#[test]
fn a_stale_write_is_refused_with_the_newer_version() {
    let mut run = Run::strong(2);
    run.does(0, write("f", 1, Expect::Absent));
    run.does(0, write("f", 2, Expect::Revision(Revision(1))));
    let stale = D::Stale { path: path("f"), seen: Revision(1), newest: Revision(2) };
    assert_eq!(run.refused(1, write("f", 3, Expect::Revision(Revision(1)))), stale);
    assert!(stale.to_string().contains("r2"));
    for command in [
        F::Delete { path: path("f"), expect: Expect::Revision(Revision(1)) },
        F::Rename { from: path("f"), to: path("g"), expect: Expect::Revision(Revision(1)) },
        F::Restore { path: path("f"), revision: Revision(1), expect: Expect::Revision(Revision(1)) },
    ] {
        assert_eq!(run.refused(1, command), stale);
    }
}

#[test]
fn every_concurrent_write_stays_visible_until_somebody_has_seen_it() {
    let mut run = Run::active(SessionConfig::default(), 3);
    let heads = |run: &Run| {
        let file = run.session.files().get(&path("f")).unwrap();
        file.heads().map(|head| (head.stamp.revision.0, head.content)).collect::<Vec<_>>()
    };
    run.does(0, write("f", 1, Expect::Absent));
    for agent in 0..3 {
        run.does(agent, write("f", 10 + u64::from(agent), Expect::Revision(Revision(1))));
    }
    assert_eq!(heads(&run), [(2, content(10, 10)), (3, content(11, 10)), (4, content(12, 10))]);
    assert_eq!(run.session.files().bytes(), 30);
    let seen_first = E::Diverged {
        path: path("f"),
        content: content(11, 10),
        previous: Some(content(1, 10).id),
        seen: Revision(1),
    };
    assert!(
        run.log
            .iter()
            .any(|e| matches!(e, hv_session::SessionEvent::File { event, .. } if *event == seen_first))
    );
    // Who has seen two of them replaces these two.
    run.does(0, write("f", 20, Expect::Revision(Revision(3))));
    assert_eq!(heads(&run), [(5, content(20, 10)), (4, content(12, 10))]);
    let conflict = D::Conflicted { path: path("f"), newest: Revision(5) };
    assert_eq!(run.refused(0, rename("f", "g")), conflict);
    // Also a deletion that has not seen all is refused, in this mode too.
    let stale = F::Delete { path: path("f"), expect: Expect::Revision(Revision(4)) };
    assert!(matches!(run.refused(0, stale), D::Stale { .. }));
    run.does(1, write("f", 30, Expect::Revision(Revision(5))));
    assert_eq!(heads(&run), [(6, content(30, 10))]);
    assert_eq!(run.session.files().bytes(), 10);
    let all = run.session.files().history(&path("f"));
    assert_eq!(
        all.iter().map(|h| h.stamp.revision.0).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6],
        "nothing is lost"
    );
    // A write that does not know of a deletion brings the file back.
    run.does(2, delete("f"));
    run.does(0, write("f", 40, Expect::Revision(Revision(6))));
    assert_eq!(heads(&run), [(8, content(40, 10))]);
}

#[test]
fn a_rename_takes_owner_and_content_along_and_both_paths_tell_of_it() {
    let mut run = Run::strong(2);
    run.does(0, write("a", 1, Expect::Absent)).does(0, write("b", 2, Expect::Absent));
    assert_eq!(run.refused(0, rename("a", "b")), D::AlreadyExists { path: path("b"), newest: Revision(2) });
    assert_eq!(run.refused(0, rename("a", "a")), D::AlreadyExists { path: path("a"), newest: Revision(1) });
    assert_eq!(run.refused(0, rename("x", "y")), D::NotFound { path: path("x") });
    run.does(1, rename("a", "c"));
    assert_eq!(run.last(), &E::Renamed { from: path("a"), to: path("c"), content: content(1, 10).id });
    assert_eq!((run.read("a"), run.read("c")), (None, Some(content(1, 10))));
    assert_eq!(run.session.files().get(&path("c")).unwrap().owner(), 0);
    let last = |run: &Run, name: &str| run.session.files().history(&path(name)).pop().unwrap().stamp.change;
    assert_eq!(last(&run, "a"), Change::MovedTo { path: path("c") });
    assert_eq!(last(&run, "c"), Change::MovedFrom { path: path("a") });
    assert_eq!((run.session.files().len(), run.session.files().bytes()), (2, 20));
    run.does(1, rename("c", "a"));
    assert_eq!(run.session.files().history(&path("a")).len(), 3);
}

#[test]
fn quotas_hold_at_their_boundaries() {
    let quotas = Quotas { files: 2, bytes: 100, versions: 3, snapshots: 1 };
    let mut run = Run::active(SessionConfig::default().with_quotas(quotas), 1);
    let sized = |name: &str, n, length| F::Write {
        path: path(name),
        content: content(n, length),
        expect: Expect::Any,
    };
    let bytes = D::Quota { quota: Quota::Bytes, limit: 100 };
    let files = D::Quota { quota: Quota::Files, limit: 2 };
    assert_eq!(run.refused(0, sized("a", 1, 101)), bytes);
    assert_eq!(run.refused(0, sized("a", 1, u64::MAX)), bytes);
    run.does(0, sized("a", 1, 60)).does(0, sized("b", 2, 40));
    assert_eq!(run.refused(0, sized("c", 3, 0)), files);
    assert_eq!(run.refused(0, sized("b", 3, 41)), bytes);
    run.does(0, sized("a", 4, 50)).does(0, sized("b", 5, 50));
    assert_eq!(run.session.files().bytes(), 100);
    // A sibling takes room beside what it does not replace.
    let sibling = F::Write { path: path("a"), content: content(6, 1), expect: Expect::Revision(Revision(1)) };
    assert_eq!(run.refused(0, sibling), bytes);
    // It gives back the room of the version that its writer had seen, and of no other.
    let mut beside = Run::active(SessionConfig::default().with_quotas(quotas), 1);
    let late = |n, length, seen| F::Write {
        path: path("a"),
        content: content(n, length),
        expect: Expect::Revision(Revision(seen)),
    };
    beside.does(0, sized("a", 1, 60)).does(0, late(2, 10, 0));
    assert_eq!(beside.refused(0, late(3, 91, 1)), bytes);
    beside.does(0, late(3, 90, 1));
    run.does(0, delete("b")).does(0, sized("c", 7, 10));
    assert_eq!(run.refused(0, restore("b", 2)), files, "a restored file counts again");
    let take = |name: &str| F::TakeSnapshot { name: Some(SnapshotName::new(name).unwrap()) };
    run.does(0, take("one"));
    assert_eq!(run.refused(0, take("two")), D::Quota { quota: Quota::Snapshots, limit: 1 });
    run.does(0, F::DropSnapshot { snapshot: SnapshotName::new("one").unwrap() }).does(0, take("two"));
}

#[test]
fn the_largest_quota_of_bytes_is_exact_too() {
    let quotas = Quotas { bytes: u64::MAX, ..Quotas::default() };
    let mut run = Run::active(SessionConfig::default().with_quotas(quotas), 1);
    let sized =
        |name: &str, length| F::Write { path: path(name), content: content(1, length), expect: Expect::Any };
    run.does(0, sized("a", u64::MAX));
    assert!(matches!(run.refused(0, sized("b", 1)), D::Quota { quota: Quota::Bytes, .. }));
    run.does(0, F::TakeSnapshot { name: None }).does(0, delete("a")).does(0, sized("b", u64::MAX));
    run.does(0, F::RollBack { snapshot: SnapshotName::new("snap-1").unwrap() });
    assert_eq!((run.session.files().bytes(), run.read("b")), (u64::MAX, None));
}

#[test]
fn old_versions_and_long_deleted_files_are_forgotten_and_stay_stale() {
    let quotas = Quotas { files: 2, versions: 2, ..Quotas::default() };
    let mut run =
        Run::active(SessionConfig::default().with_mode(ConsistencyMode::Strong).with_quotas(quotas), 1);
    for n in 0..5 {
        run.does(0, write("a", n, Expect::Any));
    }
    let revisions = |run: &Run, name: &str| {
        let history = run.session.files().history(&path(name));
        history.iter().map(|h: &HistoryEntry| h.stamp.revision.0).collect::<Vec<_>>()
    };
    assert_eq!(revisions(&run, "a"), [3, 4, 5]);
    assert_eq!(run.refused(0, restore("a", 2)), D::NoSuchVersion { path: path("a"), revision: Revision(2) });
    run.does(0, delete("a"));
    assert_eq!(revisions(&run, "a"), [5, 6]);
    for name in ["b", "c"] {
        run.does(0, write(name, 1, Expect::Absent)).does(0, delete(name));
    }
    assert_eq!(
        revisions(&run, "a"),
        [0; 0],
        "two deleted files are remembered, and this was the first of three"
    );
    assert_eq!(run.refused(0, restore("a", 5)), D::NoSuchVersion { path: path("a"), revision: Revision(5) });
    // Whoever last saw it before it was deleted is still stale.
    let stale = D::Stale { path: path("a"), seen: Revision(5), newest: Revision(6) };
    assert_eq!(run.refused(0, write("a", 9, Expect::Revision(Revision(5)))), stale);
    run.does(0, write("a", 9, Expect::Revision(Revision(10))));
    assert_eq!(revisions(&run, "a"), [11], "a revision never comes twice");
    assert!(replay(&run.session.compact()).as_ref() == Ok(&run.session), "what was forgotten is remembered");
}

/// Failure 14: writes after archive.
#[test]
fn files_change_only_while_the_session_is_active_or_to_undo() {
    let commands = |run: &Run| {
        let mut all = vec![
            write("new", 9, Expect::Any),
            write("f", 9, Expect::Any),
            rename("f", "g"),
            F::SetAcl { path: path("f"), acl: hv_session::Acl::closed() },
            F::ClearAcl { path: path("guarded") },
            F::TakeSnapshot { name: None },
            F::RollBack { snapshot: SnapshotName::new("snap-1").unwrap() },
            F::DropSnapshot { snapshot: SnapshotName::new("snap-1").unwrap() },
        ];
        assert!(all.iter().all(|c| run.clone().run(&does(0, c.clone()), at(5)).is_ok()));
        all.extend([delete("f"), restore("f", 1)]);
        all
    };
    let mut run = Run::strong(2);
    run.does(0, write("f", 1, Expect::Any)).does(0, write("guarded", 1, Expect::Any));
    run.does(0, F::SetAcl { path: path("guarded"), acl: hv_session::Acl::closed() });
    run.does(0, F::TakeSnapshot { name: None }).does(0, write("f", 2, Expect::Any));
    let (all, active) = (commands(&run), run.clone());
    let undoes = |c: &F| matches!(c, F::Delete { .. } | F::Restore { .. });

    let deadline = run.session.deadline().unwrap();
    for command in &all {
        assert_eq!(run.denied(&does(0, command.clone()), deadline), SessionDenial::Expired { deadline });
    }
    run.ok(&C::Terminate, deadline);
    for command in &all {
        let mut run = run.clone();
        let asked = does(0, command.clone());
        if undoes(command) {
            run.ok(&asked, deadline);
        } else {
            let state = SessionState::Terminating;
            assert_eq!(run.denied(&asked, deadline), SessionDenial::State { command: "change files", state });
        }
    }
    run.ok(&C::Archive, deadline);
    for command in &all {
        let state = SessionState::Archived;
        let denial = run.denied(&does(0, command.clone()), at(5));
        assert_eq!(denial, SessionDenial::State { command: "change files", state });
        // Nor does an event that a dishonest record might hold change anything.
        let events = Machine::decide(&active.session, &does(0, command.clone()), at(5)).unwrap();
        let before = run.session.clone();
        assert!(Machine::apply(&mut run.session, &events[0]).is_err());
        assert_eq!(run.session, before);
    }
    let mut early = Run::handshaking(SessionConfig::default(), 1);
    let state = SessionState::Handshaking;
    assert_eq!(
        early.denied(&does(0, write("f", 1, Expect::Any)), at(5)),
        SessionDenial::State { command: "change files", state }
    );
}

#[test]
fn only_members_change_files() {
    let mut run = Run::strong(3);
    run.does(1, write("f", 1, Expect::Any));
    run.ok(&C::Leave { did: did(1) }, at(5));
    run.ok(&C::Evict { did: did(2), reason: Eviction::Killed }, at(5));
    for n in [1, 2, 7] {
        let denial = run.denied(&does(n, write("f", 2, Expect::Any)), at(5));
        assert_eq!(denial, SessionDenial::NotAMember { did: did(n) });
        assert_eq!(run.session.read(&did(n), &path("f")), Err(SessionDenial::NotAMember { did: did(n) }));
    }
}

/// Contents of no bytes use up no quota, and each write looks at all that stand beside each other.
#[test]
fn only_so_many_versions_stand_beside_each_other() {
    let mut run = Run::active(SessionConfig::default(), 1);
    let stale = |n: usize| F::Write {
        path: path("a"),
        content: content(n as u64, 0),
        expect: Expect::Revision(Revision(0)),
    };
    for n in 0..BESIDE_MAX {
        run.ok(&does(0, stale(n)), at(1));
    }
    let denial = run.denied(&does(0, stale(BESIDE_MAX)), at(1));
    let newest = Revision(BESIDE_MAX as u64);
    assert_eq!(denial, D::Conflicted { path: path("a"), newest }.into());
    assert!(denial.to_string().contains("write one that has seen r1000 first"), "{denial}");
    // Who has seen some of them makes room.
    run.ok(&does(0, write("a", 1, Expect::Revision(Revision(1)))), at(1));
    run.denied(&does(0, stale(0)), at(1));
    run.ok(&does(0, write("a", 1, Expect::Any)), at(1));
    run.ok(&does(0, stale(0)), at(1));
    assert_eq!(replay(&run.log), Ok(run.session));
}
