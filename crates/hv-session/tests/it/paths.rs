//! Paths that try to leave.

use crate::support::{Dice, Run, does, path, rounds, write};
use hv_session::{Expect, FileCommand, FilePath, SessionId};
use hv_types::Wire;

/// Pieces of which hostile paths are made.
const PIECES: [&str; 44] = [
    "..",
    "..",
    "..",
    ".",
    "...",
    "/",
    "/",
    "/",
    "//",
    "\\",
    "\0",
    "a",
    "ab",
    "b",
    "sessions",
    "/sessions/",
    "/sessions/a",
    "/sessions/ab",
    "/sessions/a/",
    "/sessions/b/",
    "..\\",
    "%2e%2e",
    "%2f",
    "\u{ff0e}\u{ff0e}",
    "\u{ff0f}",
    "\u{2215}",
    "\u{2024}",
    "\u{202e}",
    "\u{200b}",
    "\u{feff}",
    "e\u{301}",
    "é",
    "A",
    "C:",
    "~",
    " ",
    "\n",
    "\u{7f}",
    "\u{85}",
    "\u{2066}",
    "..;",
    "\u{2025}",
    "🦀",
    "-",
];

/// Lexical resolution as operating systems do it, written independently: where an absolute path leads.
fn resolve(absolute: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for name in absolute.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names
}

/// Failure 14. A path that is accepted leads below the session's own folder, and says the same when it is read again.
#[test]
fn v1_no_hostile_path_reaches_another_session() {
    let mut dice = Dice(1);
    let ids = ["a", "ab", "b", "sessions"].map(|id| SessionId::new(id).unwrap());
    let (mut accepted, mut refused) = (0usize, 0usize);
    for round in 0..rounds(20_000, 1_000_000) {
        let pieces = 1 + dice.below(8);
        let mut text = String::new();
        for _ in 0..pieces {
            text.push_str(dice.pick::<&str>(&PIECES));
            if dice.below(2) == 0 {
                text.push('/');
            }
        }
        if round % 100 == 0 {
            text = text.repeat(usize::try_from(1 + dice.below(200)).unwrap());
        }
        let id = dice.pick(&ids);
        let Ok(path) = FilePath::parse(id, &text) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        let absolute = path.absolute(id);
        let names = resolve(&absolute);
        assert_eq!(names[..2], ["sessions", id.as_str()], "{text:?}");
        assert!(names.len() > 2, "{text:?}");
        assert_eq!(names[2..].join("/"), path.as_str(), "{text:?} is not in its normal form");
        // Where the text itself leads, by the independent reading, is the same place.
        let given = if text.starts_with('/') { text.clone() } else { format!("/sessions/{id}/{text}") };
        assert_eq!(resolve(&given), names, "{text:?}");
        assert_eq!(FilePath::parse(id, path.as_str()).as_ref(), Ok(&path));
        assert_eq!(FilePath::parse(id, &absolute).as_ref(), Ok(&path));
        assert_eq!(FilePath::from_bytes(&path.to_bytes()).as_ref(), Ok(&path));
        assert!(path.as_str().len() <= 1024 && !path.as_str().contains(['\\', '\0', '\n', '\u{202e}']));
        for other in ids.iter().filter(|other| *other != id) {
            let foreign = FilePath::parse(other, &absolute);
            assert!(foreign.is_err(), "{absolute} from session {other}");
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
}

#[test]
fn different_texts_of_one_path_are_one_file() {
    let mut run = Run::strong(1);
    run.does(0, write("x/y", 1, Expect::Absent));
    for (n, text) in (2..).zip(["./x/y", "x//y", "x/z/../y", "/sessions/s1/x/y", "x/y/"]) {
        run.does(0, write(text, n, Expect::Present));
    }
    assert_eq!(run.session.files().len(), 1);
    assert_eq!(run.session.files().history(&path("x/y")).len(), 6);
}

#[test]
fn a_session_reads_paths_with_its_own_name() {
    let run = Run::strong(1);
    assert!(run.session.path("/sessions/s1/x").is_ok());
    assert!(run.session.path("/sessions/s/x").is_err());
    assert!(hv_session::Session::default().path("x").is_err());
    let command = FileCommand::Delete { path: path("x"), expect: Expect::Any };
    assert!(run.clone().run(&does(0, command), crate::support::at(5)).is_err());
}
