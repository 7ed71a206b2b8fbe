//! Snapshots: what they hold, what they cost, what differs.

use crate::support::{Run, content, path, write};
use hv_session::{
    Acl, Expect, FileCommand as F, FileDenial as D, FileEvent as E, Moment, PathChange, Revision, Rights,
    SessionConfig, SnapshotName,
};

fn name(text: &str) -> SnapshotName {
    SnapshotName::new(text).unwrap()
}

fn take(run: &mut Run, text: &str) {
    run.does(0, F::TakeSnapshot { name: Some(name(text)) });
}

#[test]
fn names_are_given_or_made_and_never_double() {
    let mut run = Run::strong(2);
    take(&mut run, "first");
    assert_eq!(
        run.refused(0, F::TakeSnapshot { name: Some(name("first")) }),
        D::SnapshotExists { name: name("first") }
    );
    run.does(0, F::TakeSnapshot { name: None });
    take(&mut run, "snap-4");
    run.does(0, F::TakeSnapshot { name: None });
    let names: Vec<_> =
        run.session.files().snapshots().iter().map(|s| (s.number(), s.name().to_string())).collect();
    let expected = [(1, "first"), (2, "snap-2"), (3, "snap-4"), (4, "snap-4.2")];
    assert_eq!(names, expected.map(|(number, name)| (number, name.to_string())));
    assert_eq!(
        run.refused(1, F::DropSnapshot { snapshot: name("first") }),
        D::NotYourSnapshot { name: name("first") }
    );
    run.does(0, F::DropSnapshot { snapshot: name("first") });
    assert_eq!(run.last(), &E::SnapshotDropped { snapshot: 1 });
    for command in [F::RollBack { snapshot: name("first") }, F::DropSnapshot { snapshot: name("first") }] {
        assert_eq!(run.refused(0, command), D::NoSuchSnapshot { name: name("first") });
    }
    take(&mut run, "first");
    assert_eq!(
        run.session.files().snapshot(&name("first")).map(|s| s.number()),
        Some(5),
        "a number never comes twice"
    );
    assert!(SnapshotName::new("../x").is_err() && SnapshotName::new("").is_err());
}

#[test]
fn v2_restore_brings_back_files_siblings_owners_and_acls() {
    let mut run = Run::active(SessionConfig::default(), 2);
    run.does(0, write("kept", 1, Expect::Any)).does(0, write("changed", 2, Expect::Any));
    run.does(0, write("deleted", 3, Expect::Any)).does(0, write("closed", 4, Expect::Any));
    run.does(0, write("both", 5, Expect::Absent)).does(1, write("both", 6, Expect::Absent));
    run.does(0, F::SetAcl { path: path("closed"), acl: Acl::closed() });
    take(&mut run, "s");
    let closed = run.session.files().snapshots()[0].get(&path("closed")).unwrap();
    assert_eq!((closed.rights(0), closed.rights(1)), (Rights::ALL, Rights::NONE));
    let (then, kept) = (run.session.files().clone(), run.newest("kept"));

    run.does(1, write("changed", 7, Expect::Any))
        .does(1, F::Delete { path: path("deleted"), expect: Expect::Any });
    run.does(1, write("deleted", 8, Expect::Any)).does(0, write("new", 9, Expect::Any));
    run.does(0, write("both", 10, Expect::Any)).does(0, F::ClearAcl { path: path("closed") });
    let differs: Vec<_> = run.session.files().diff(Moment::Snapshot(&name("s")), Moment::Now).unwrap();
    let paths: Vec<_> = differs.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["both", "changed", "closed", "deleted", "new"]);
    let (before, after) = (then.get(&path("changed")), run.session.files().get(&path("changed")));
    assert_eq!(differs[1], PathChange { path: &path("changed"), before, after });
    assert_eq!((differs[4].before, differs[3].after.map(|f| f.owner())), (None, Some(1)));

    run.does(0, F::RollBack { snapshot: name("s") });
    assert_eq!(run.last(), &E::RolledBack { snapshot: 1 });
    let now = run.session.files();
    assert_eq!(now.diff(Moment::Snapshot(&name("s")), Moment::Now), Ok(vec![]));
    let state = |space: &hv_session::FileSpace| {
        let file = |f: &hv_session::File| {
            (f.heads().map(|h| h.content).collect::<Vec<_>>(), f.owner(), f.acl().cloned())
        };
        space.list().map(|(path, f)| (path.clone(), file(f))).collect::<Vec<_>>()
    };
    assert_eq!(state(now), state(&then));
    assert_eq!(now.bytes(), then.bytes());
    assert_eq!(now.get(&path("kept")).unwrap().newest(), kept, "what did not change has no new version");
    let history = now.history(&path("changed"));
    assert_eq!(
        history.iter().map(|h| h.content).collect::<Vec<_>>(),
        [2, 7, 2].map(|n| Some(content(n, 10)))
    );
    // Who saw the file before it was rolled back is stale.
    let stale = F::Delete { path: path("changed"), expect: Expect::Revision(Revision(7)) };
    assert!(matches!(run.refused(0, stale), D::Stale { .. }));
}
