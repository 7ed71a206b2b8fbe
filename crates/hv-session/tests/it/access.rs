//! Who may do what with a file.

use crate::support::{Run, at, did, does, path, write};
use hv_session::{
    ACL_MAX_RULES, Acl, Expect, FileCommand as F, FileDenial as D, FileEvent as E, Grantee, Quota, Quotas,
    Revision, Right, Rights, SessionConfig, SessionDenial, SnapshotName,
};

const ONE: Grantee = Grantee::Member { ordinal: 1 };

fn set(name: &str, acl: &Acl) -> F {
    F::SetAcl { path: path(name), acl: acl.clone() }
}

fn delete(name: &str) -> F {
    F::Delete { path: path(name), expect: Expect::Any }
}

fn restore(name: &str, revision: u64) -> F {
    F::Restore { path: path(name), revision: Revision(revision), expect: Expect::Any }
}

fn clear(name: &str) -> F {
    F::ClearAcl { path: path(name) }
}

/// Agent 0 owns `f`, which has two versions.
fn owned() -> Run {
    let mut run = Run::strong(3);
    run.does(0, write("f", 1, Expect::Any)).does(0, write("f", 2, Expect::Any));
    run
}

#[test]
fn a_file_is_open_until_its_owner_closes_it() {
    let mut run = owned();
    assert!(run.session.read(&did(1), &path("f")).unwrap().is_some());
    for command in [write("f", 3, Expect::Any), restore("f", 1), delete("f")] {
        run.clone().does(1, command);
    }
    // Failure 14: anyone replaces an ACL.
    assert_eq!(run.refused(1, set("f", &Acl::closed())), D::NotOwner { path: path("f") });
    run.does(0, set("f", &Acl::closed()));
    assert_eq!(run.last(), &E::AclSet { path: path("f"), acl: Acl::closed() });
    let forbidden = |right| D::Forbidden { path: path("f"), right };
    assert_eq!(run.session.read(&did(1), &path("f")), Err(SessionDenial::File(forbidden(Right::Read))));
    for (command, right) in [
        (write("f", 3, Expect::Any), Right::Write),
        (restore("f", 1), Right::Write),
        (delete("f"), Right::Delete),
        (F::Rename { from: path("f"), to: path("g"), expect: Expect::Any }, Right::Delete),
    ] {
        assert_eq!(run.refused(1, command), forbidden(right));
    }
    for command in [set("f", &Acl::closed()), set("f", &Acl::closed().allow(ONE, Rights::ALL)), clear("f")] {
        assert_eq!(run.refused(1, command), D::NotOwner { path: path("f") });
    }
    assert!(run.session.read(&did(0), &path("f")).unwrap().is_some());
    run.does(0, write("f", 3, Expect::Any)).does(0, restore("f", 1));
    // Failure 14: an ACL cleared without a line in the log.
    let lines = run.log.len();
    run.does(0, clear("f"));
    assert_eq!((run.log.len(), run.last()), (lines + 1, &E::AclCleared { path: path("f") }));
    run.does(1, write("f", 4, Expect::Any));
    assert_eq!(run.refused(0, clear("f")), D::NoAcl { path: path("f") });
    assert_eq!(run.refused(0, clear("x")), D::NotFound { path: path("x") });
    assert_eq!(run.refused(0, set("x", &Acl::closed())), D::NotFound { path: path("x") });
}

#[test]
fn each_right_opens_one_thing_and_a_denial_closes_it() {
    let rights =
        [(Right::Read, Rights::READ), (Right::Write, Rights::WRITE), (Right::Delete, Rights::DELETE)];
    for (right, set_of_one) in rights {
        let mut run = owned();
        run.does(0, set("f", &Acl::closed().allow(ONE, set_of_one)));
        let can = |run: &Run, n: u32, right| match right {
            Right::Read => run.session.read(&did(n), &path("f")).is_ok(),
            Right::Write => run.clone().run(&does(n, write("f", 9, Expect::Any)), at(5)).is_ok(),
            Right::Delete => run.clone().run(&does(n, delete("f")), at(5)).is_ok(),
            Right::Share => run.clone().run(&does(n, set("f", &Acl::closed())), at(5)).is_ok(),
        };
        for other in [Right::Read, Right::Write, Right::Delete, Right::Share] {
            assert_eq!(can(&run, 1, other), other == right, "{right} {other}");
            assert!(!can(&run, 2, other));
        }
        run.does(0, set("f", &Acl::closed().allow(ONE, set_of_one).deny(Grantee::Everyone, set_of_one)));
        assert!(!can(&run, 1, right), "deny wins");
        assert!(can(&run, 0, right), "not over the owner");
    }
}

#[test]
fn sharing_passes_on_what_one_has() {
    let mut run = owned();
    let acl = Acl::closed().allow(ONE, Rights::READ.and(Rights::SHARE));
    run.does(0, set("f", &acl));
    let two = Grantee::Member { ordinal: 2 };
    run.does(1, set("f", &acl.clone().allow(two, Rights::READ)));
    assert!(run.session.read(&did(2), &path("f")).is_ok());
    for grab in [
        acl.clone().allow(two, Rights::READ.and(Rights::WRITE)),
        acl.clone().allow(ONE, Rights::ALL).allow(two, Rights::READ),
        Acl::closed().allow(ONE, Rights::READ.and(Rights::SHARE)),
        acl.clone().allow(two, Rights::READ).deny(two, Rights::READ),
    ] {
        assert_eq!(run.refused(1, set("f", &grab)), D::NotOwner { path: path("f") }, "{grab:?}");
    }
    assert_eq!(run.refused(2, set("f", &Acl::closed())), D::NotOwner { path: path("f") });
}

#[test]
fn a_list_is_bounded_and_speaks_of_agents_that_the_session_knows() {
    let mut run = owned();
    let unknown = Acl::closed().allow(Grantee::Member { ordinal: 3 }, Rights::READ);
    assert_eq!(run.refused(0, set("f", &unknown)), D::UnknownGrantee { ordinal: 3 });
    let many = |count: usize| {
        (0u32..)
            .take(count)
            .fold(Acl::closed(), |acl, ordinal| acl.allow(Grantee::Member { ordinal }, Rights::READ))
    };
    let too_many = run.refused(0, set("f", &many(ACL_MAX_RULES + 1)));
    assert_eq!(too_many, D::TooManyRules { count: ACL_MAX_RULES + 1 });
    assert_eq!(run.refused(0, set("f", &many(ACL_MAX_RULES))), D::UnknownGrantee { ordinal: 3 });
}

#[test]
fn an_acl_outlives_its_file_and_guards_its_history() {
    let mut run = owned();
    run.does(0, set("f", &Acl::closed())).does(0, delete("f"));
    let forbidden = D::Forbidden { path: path("f"), right: Right::Write };
    assert_eq!(run.refused(1, write("f", 3, Expect::Any)), forbidden);
    assert_eq!(run.refused(1, restore("f", 1)), forbidden);
    assert!(run.session.read(&did(1), &path("f")).is_err());
    assert_eq!(run.refused(1, clear("f")), D::NotOwner { path: path("f") });
    run.does(1, write("g", 1, Expect::Any));
    let onto = F::Rename { from: path("g"), to: path("f"), expect: Expect::Any };
    assert_eq!(run.refused(1, onto.clone()), D::Guarded { path: path("f") });
    let mut again = run.clone();
    again.does(0, restore("f", 1));
    assert_eq!(again.session.files().acl(&path("f")), Some(&Acl::closed()));
    assert_eq!(again.session.files().get(&path("f")).unwrap().owner(), 0);
    run.does(0, clear("f")).does(1, onto);
    assert_eq!(run.session.files().get(&path("f")).unwrap().owner(), 1);
}

#[test]
fn guarded_paths_count_as_files() {
    let quotas = Quotas { files: 2, ..Quotas::default() };
    let mut run = Run::active(SessionConfig::default().with_quotas(quotas), 1);
    run.does(0, write("a", 1, Expect::Any)).does(0, set("a", &Acl::closed())).does(0, delete("a"));
    run.does(0, write("b", 1, Expect::Any));
    let full = D::Quota { quota: Quota::Files, limit: 2 };
    assert_eq!(run.refused(0, write("c", 1, Expect::Any)), full);
    run.does(0, set("b", &Acl::closed()));
    assert_eq!(run.refused(0, F::Rename { from: path("b"), to: path("c"), expect: Expect::Any }), full);
    run.does(0, write("a", 2, Expect::Any)).does(0, delete("a")).does(0, clear("a"));
    run.does(0, write("c", 1, Expect::Any));
}

#[test]
fn a_guarded_path_that_is_rolled_back_counts_once() {
    let quotas = Quotas { files: 2, ..Quotas::default() };
    let mut run = Run::active(SessionConfig::default().with_quotas(quotas), 1);
    let (early, late) = (SnapshotName::new("early").unwrap(), SnapshotName::new("late").unwrap());
    run.does(0, F::TakeSnapshot { name: Some(early.clone()) });
    run.does(0, write("a", 1, Expect::Any))
        .does(0, set("a", &Acl::closed()))
        .does(0, write("b", 1, Expect::Any));
    run.does(0, F::TakeSnapshot { name: Some(late.clone()) });
    run.does(0, delete("a")).does(0, F::RollBack { snapshot: late.clone() });
    assert_eq!(run.session.files().len(), 2);
    // Rolled back to nothing, `a` still counts, so one file has room beside it.
    run.does(0, F::RollBack { snapshot: early }).does(0, write("c", 1, Expect::Any));
    assert_eq!(run.refused(0, write("d", 1, Expect::Any)), D::Quota { quota: Quota::Files, limit: 2 });
    run.does(0, F::RollBack { snapshot: late });
    // What it deletes stays guarded and counts, so it would be three.
    let name = SnapshotName::new("empty").unwrap();
    let mut run = Run::active(SessionConfig::default().with_quotas(quotas), 1);
    run.does(0, write("a", 1, Expect::Any)).does(0, write("b", 1, Expect::Any));
    run.does(0, F::TakeSnapshot { name: Some(name.clone()) });
    run.does(0, delete("a")).does(0, write("c", 1, Expect::Any)).does(0, set("c", &Acl::closed()));
    assert_eq!(
        run.refused(0, F::RollBack { snapshot: name.clone() }),
        D::Quota { quota: Quota::Files, limit: 2 }
    );
    run.does(0, clear("c")).does(0, F::RollBack { snapshot: name });
}

#[test]
fn rolling_back_needs_every_right_that_it_uses() {
    let name = SnapshotName::new("s").unwrap();
    let back = || F::RollBack { snapshot: name.clone() };
    let mut base = owned();
    base.does(1, F::TakeSnapshot { name: Some(name.clone()) });

    // It would open what its owner closed since.
    let mut closed = base.clone();
    closed.does(0, set("f", &Acl::closed()));
    assert_eq!(closed.refused(1, back()), D::NotOwner { path: path("f") });
    let all_but_owner = Acl::closed().allow(ONE, Rights::ALL);
    closed.does(0, set("f", &all_but_owner));
    assert_eq!(closed.refused(1, back()), D::NotOwner { path: path("f") });
    closed.does(0, back());
    assert_eq!(closed.session.files().acl(&path("f")), None);

    // It would delete what others may not delete, or write what they may not write.
    let mut newer = base.clone();
    newer.does(0, write("new", 1, Expect::Any)).does(0, set("new", &Acl::closed().allow(ONE, Rights::WRITE)));
    assert_eq!(newer.refused(1, back()), D::Forbidden { path: path("new"), right: Right::Delete });
    newer.does(0, back());
    assert_eq!(
        (newer.read("new"), newer.session.files().acl(&path("new"))),
        (None, Some(&Acl::closed().allow(ONE, Rights::WRITE)))
    );

    // It would bring back what was closed then, or what is guarded now.
    let mut then_closed = owned();
    then_closed.does(0, set("f", &Acl::closed())).does(1, F::TakeSnapshot { name: Some(name.clone()) });
    then_closed.does(0, delete("f"));
    let mut cleared = then_closed.clone();
    let forbidden = D::Forbidden { path: path("f"), right: Right::Write };
    assert_eq!(then_closed.refused(1, back()), forbidden);
    cleared.does(0, clear("f"));
    assert_eq!(cleared.refused(1, back()), forbidden);
    cleared.does(1, write("f", 5, Expect::Any));
    assert_eq!(cleared.refused(1, back()), forbidden);
    assert_eq!(cleared.refused(0, back()), D::NotOwner { path: path("f") }, "the file is another's now");
}
