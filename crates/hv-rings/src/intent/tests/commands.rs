//! Programs with their arguments, and where they and their files really are.

use super::*;

#[test]
fn commands_within_and_outside() {
    let real = &as_written(&["/srv/repo", "/srv/repo/src", "/srv/repository", "/srv"]);
    let held = |argv: &[&str], folder, variables: &[&str], input| {
        hold(command(push()), &Deed::Command { argv: &words(argv), folder, variables, input, real })
    };
    let here = Some("/srv/repo/src");
    let origin = ["git", "push", "origin"];
    for (argv, outside) in [
        (&["git", "push", "origin"][..], false),
        (&["git", "push", "origin", "main"], false),
        (&["git", "push", "origin", "main", "--force"], true),
        (&["git", "status"], false),
        (&["git", "status", "x"], true),
        (&["git", "push"], true),
        (&["git", "push", "evil"], true),
        (&["git", "fetch", "origin"], true),
        (&["/opt/git", "push", "origin"], true),
        (&["git", "push", "origin "], true),
        (&[], true),
    ] {
        assert_eq!(held(argv, here, &[], false), outside.then_some(Part::Command), "{argv:?}");
    }
    for (folder, outside) in [
        (Some("/srv/repo"), false),
        (Some("/srv/repo/"), false),
        (Some("/srv/repository"), true),
        (Some("/srv/repo/../other"), true),
        (Some("/srv"), true),
        (Some("repo"), true),
        (None, true),
    ] {
        assert_eq!(held(&origin, folder, &[], false), outside.then_some(Part::Folder), "{folder:?}");
    }
    assert_eq!(held(&origin, here, &["LANG"], false), None);
    assert_eq!(held(&origin, here, &["LANG", "LD_PRELOAD"], false), Some(Part::Variable));
    assert_eq!(held(&origin, here, &[], true), Some(Part::Input));
    // Anywhere is anywhere, also where it is not said; and input may be let through.
    let anywhere = CommandBounds { folders: set(&["/"]), input: true, ..push() };
    let argv = words(&origin);
    for folder in [None, Some("/tmp")] {
        let deed = Deed::Command { argv: &argv, folder, variables: &[], input: true, real: &Places::new() };
        assert_eq!(hold(command(anywhere.clone()), &deed), None);
    }
}

/// A folder is where its links lead, and it is not enough that only the one or the other is within.
#[test]
fn a_folder_is_where_it_really_is() {
    let real: Places =
        [("/srv/repo/in", "/srv/repo/sub"), ("/srv/repo/out", "/etc"), ("/var/back", "/srv/repo")]
            .map(|(path, real)| (path.to_string(), real.to_string()))
            .into();
    let (bounds, argv) = (bounds_of(command(push())), words(&["git", "status"]));
    let held = |folder| {
        let deed =
            Deed::Command { argv: &argv, folder: Some(folder), variables: &[], input: false, real: &real };
        let outside = bounds.hold(&action("act"), &deed, Used::default()).err();
        outside.map(|outside| (outside.part, outside.given, outside.limit))
    };
    let outside = |given: &str| Some((Part::Folder, given.to_string(), "/srv/repo".to_string()));
    assert_eq!(held("/srv/repo/in"), None);
    assert_eq!(held("/srv/repo/out"), outside("/etc (by /srv/repo/out)"));
    assert_eq!(held("/var/back"), outside("/var/back"));
    assert_eq!(held("/srv/repo"), outside("/srv/repo, and where that is cannot be told"));
    // What is asked for is what is bound, and no more.
    let paths = |bounds: CommandBounds, argv: &[&str], folder| {
        let argv = words(argv);
        let deed = Deed::Command { argv: &argv, folder, variables: &[], input: false, real: &real };
        bounds_of(command(bounds)).paths(&action("act"), &deed)
    };
    let below = |more, folders: &[&str]| CommandLine {
        rest: Rest::Paths { folders: set(folders) },
        ..line(&["cp"], more)
    };
    let cp = |folders: &[&str]| CommandBounds { commands: BTreeSet::from([below(2, folders)]), ..push() };
    assert_eq!(paths(push(), &["git", "push", "origin", "x"], Some("/srv/repo/")), set(&["/srv/repo"]));
    assert_eq!(paths(push(), &["git"], Some("repo")), set(&[]));
    assert_eq!(paths(CommandBounds { folders: set(&["/"]), ..push() }, &["git"], Some("/srv")), set(&[]));
    let named = ["cp", "a", "/b", ".."];
    assert_eq!(paths(cp(&["/srv"]), &named[..3], Some("/srv")), set(&["/srv", "/srv/a", "/b"]));
    assert_eq!(paths(cp(&["/srv"]), &named, Some("/srv")), set(&["/srv"]));
    assert_eq!(paths(cp(&["/srv"]), &["cp", ".."], None), set(&[]));
    assert_eq!(paths(cp(&["/srv", "/"]), &named[..3], Some("/srv")), set(&["/srv"]));
    let other = Deed::Function { name: "work" };
    assert_eq!(bounds.paths(&action("act"), &other), set(&[]));
    assert_eq!(bounds_of(What::Files { paths: set(&["/"]) }).paths(&action("act"), &other), set(&[]));
}

#[test]
fn what_follows_is_looked_at() {
    let real: Places =
        [("/w/a", "/w/a"), ("/w/out", "/etc"), ("/w", "/w"), ("/w/-x", "/w/-x"), ("/var/in", "/w/a")]
            .map(|(path, real)| (path.to_string(), real.to_string()))
            .into();
    let held = |rest: &Rest, argv: &[&str], folder| {
        let line = CommandLine { rest: rest.clone(), ..line(&["rm", "-r"], 2) };
        let bounds = CommandBounds { commands: BTreeSet::from([line]), folders: set(&["/"]), ..push() };
        let (argv, variables) = (words(argv), &[][..]);
        let deed = Deed::Command { argv: &argv, folder, variables, input: false, real: &real };
        let outside = bounds_of(command(bounds)).hold(&action("act"), &deed, Used::default()).err();
        outside.map(|outside| format!("{}: {}; {}", outside.part, outside.given, outside.limit))
    };
    let words = Rest::Words { words: set(&["x", "-f"]) };
    let paths = Rest::Paths { folders: set(&["/w"]) };
    let anywhere = Rest::Paths { folders: set(&["/"]) };
    for (rest, argv, outside) in [
        (&Rest::Any, &["rm", "-r", "-f", "--"][..], None),
        (&Rest::Operands, &["rm", "-r"], None),
        (&Rest::Operands, &["rm", "-r", "x", "x-"], None),
        (&Rest::Operands, &["rm", "-r", "x", "-f"], Some("argument: -f; what begins with no dash")),
        (&words, &["rm", "-r", "x", "-f"], None),
        (&words, &["rm", "-r", "-f", "y"], Some("argument: y; -f, x")),
        (&paths, &["rm", "-r", "a", "/w/a"], None),
        (&paths, &["rm", "-r", "a/"], None),
        (&paths, &["rm", "-r", "/w"], None),
        (&paths, &["rm", "-r", "out"], Some("argument: /etc (by /w/out); /w")),
        (&paths, &["rm", "-r", "b"], Some("argument: /w/b, and where that is cannot be told; /w")),
        (&paths, &["rm", "-r", "/var/in"], Some("argument: /var/in; /w")),
        (&paths, &["rm", "-r", "../etc"], Some("argument: ../etc; /w")),
        (&paths, &["rm", "-r", "-x"], Some("argument: -x; /w")),
        // The folder itself, to whoever takes that for a path.
        (&paths, &["rm", "-r", ""], None),
        (&anywhere, &["rm", "-r", "nowhere"], None),
        (&anywhere, &["rm", "-r", "/var/../x"], Some("argument: /var/../x; /")),
        (
            &words,
            &["rm", "-r", "x", "x", "x"],
            Some("command: rm -r x x x; rm -r and at most 2 more (-f, x)"),
        ),
        (&Rest::Operands, &["rm"], Some("command: rm; rm -r and at most 2 more (what begins with no dash)")),
        (&paths, &["rm"], Some("command: rm; rm -r and at most 2 more (/w)")),
        (&Rest::Any, &["rm"], Some("command: rm; rm -r and at most 2 more")),
    ] {
        assert_eq!(held(rest, argv, Some("/w")).as_deref(), outside, "{rest:?} {argv:?}");
    }
    // From nowhere there is no path, and from an odd folder neither.
    for folder in [None, Some("/w/.."), Some("w")] {
        assert!(held(&paths, &["rm", "-r", "a"], folder).is_some_and(|why| why.starts_with("argument: a;")));
    }
    assert_eq!(held(&paths, &["rm", "-r", "/w/a"], None), None);
    // One line that lets it through is enough.
    let lines = [
        CommandLine { rest: Rest::Operands, ..line(&["rm"], 1) },
        CommandLine { rest: words.clone(), ..line(&["rm"], 1) },
    ];
    let bounds = CommandBounds { commands: lines.into(), folders: set(&["/"]), ..push() };
    let bounds = bounds_of(command(bounds));
    let held = |argument| {
        let argv = ["rm", argument].map(String::from);
        let real = &Places::new();
        let deed = Deed::Command { argv: &argv, folder: None, variables: &[], input: false, real };
        bounds.hold(&action("act"), &deed, Used::default()).err().map(|outside| outside.limit)
    };
    assert_eq!(["y", "-f"].map(held), [None, None]);
    assert_eq!(held("-g"), Some("what begins with no dash".to_string()));
}

/// What may follow is narrower, or named, where it may follow there.
#[test]
fn narrower_in_what_follows() {
    let lines = |now: CommandLine, before: CommandLine| {
        let of = |line| command(CommandBounds { commands: BTreeSet::from([line]), ..push() });
        bounds_of(of(now)).narrows(&bounds_of(of(before)), |_| 0).is_ok()
    };
    let rests = [
        Rest::Any,
        Rest::Operands,
        Rest::Words { words: set(&["x"]) },
        Rest::Words { words: set(&["x", "-y"]) },
        Rest::Paths { folders: set(&["/a/b"]) },
        Rest::Paths { folders: set(&["/a"]) },
    ];
    // Down, what is narrower; across, what is before it.
    let expected = [
        [true, false, false, false, false, false],
        [true, true, false, false, false, false],
        [true, true, true, true, false, false],
        [true, false, false, true, false, false],
        [true, true, false, false, true, true],
        [true, true, false, false, false, true],
    ];
    for (now, expected) in rests.iter().zip(expected) {
        for (before, narrower) in rests.iter().zip(expected) {
            let of = |rest: &Rest, more| CommandLine { rest: rest.clone(), ..line(&["rm"], more) };
            assert_eq!(lines(of(now, 1), of(before, 1)), narrower, "{now:?} {before:?}");
            // Where nothing may follow it does not matter what.
            assert!(lines(of(now, 0), of(before, 1)), "{now:?} {before:?}");
            assert!(!lines(of(now, 2), of(before, 1)), "{now:?} {before:?}");
        }
        // What is named must be what may follow.
        let named =
            |word: &str| lines(line(&["rm", word], 0), CommandLine { rest: now.clone(), ..line(&["rm"], 1) });
        let may = match now {
            Rest::Any => [true, true, true],
            Rest::Operands => [true, false, true],
            Rest::Words { words } => [true, words.len() == 2, false],
            Rest::Paths { .. } => [false, false, false],
        };
        assert_eq!(["x", "-y", "/a/b"].map(named), may, "{now:?}");
    }
}

/// Lines that say nothing of what follows are encoded as they were before they could; others are not.
#[test]
fn golden_bytes_with_and_without_what_follows() {
    let lines = |rest: Rest| {
        let commands = BTreeSet::from([CommandLine { rest, ..line(&["a", "b"], 2) }, line(&["c"], 0)]);
        command(CommandBounds { commands, folders: set(&["/"]), variables: set(&[]), input: true })
    };
    let tail = [1, 1, b'/', 0, 1];
    let plain = [&[0, 2, 2, 1, b'a', 1, b'b', 2, 1, 1, b'c', 0][..], &tail].concat();
    assert_eq!(lines(Rest::Any).to_bytes(), plain);
    assert_eq!(What::from_bytes(&plain), Ok(lines(Rest::Any)));
    let bytes_of = |rest: &[u8]| [&[4, 2, 2, 1, b'a', 1, b'b', 2], rest, &[1, 1, b'c', 0, 0], &tail].concat();
    for (rest, bytes) in [
        (Rest::Operands, &[1][..]),
        (Rest::Words { words: set(&["x"]) }, &[2, 1, 1, b'x']),
        (Rest::Paths { folders: set(&["/x"]) }, &[3, 1, 2, b'/', b'x']),
    ] {
        assert_eq!(lines(rest.clone()).to_bytes(), bytes_of(bytes));
        assert_eq!(What::from_bytes(&bytes_of(bytes)), Ok(lines(rest)));
    }
    assert!(What::from_bytes(&bytes_of(&[0])).is_err(), "two encodings of the same");
    assert!(What::from_bytes(&[5]).is_err());
}
