//! Session files with one fault each: exit code 2, one line, the right place and the right words.

use crate::{hv, root, text};
use std::collections::BTreeSet;
use std::fs;

#[test]
fn every_malformed_file_is_refused_with_file_line_and_mend() {
    let folder = root().join("tests/fixtures/malformed");
    let table = fs::read_to_string(folder.join("expected.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    let nowhere = tempfile::tempdir().unwrap();
    let (data, work) = (nowhere.path().join("data"), nowhere.path().join("work"));
    let (data, work) = (data.to_str().unwrap(), work.to_str().unwrap());
    let mut listed = BTreeSet::from(["expected.tsv".to_owned()]);
    for row in &rows {
        let [name, line, fragment] = row[..] else { panic!("{row:?}") };
        assert!(listed.insert(name.to_owned()), "{name} twice");
        let path = folder.join(name);
        let path = path.to_str().unwrap();
        let output = hv(["check", path]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {message}");
        assert!(output.stdout.is_empty(), "{name}");
        let run = hv(["run", path, "--data", data, "--work", work]);
        assert_eq!((run.status.code(), text(&run.stderr)), (Some(2), message), "{name}");
        assert!(
            run.stdout.is_empty() && fs::read_dir(&nowhere).unwrap().next().is_none(),
            "{name} left something"
        );
        assert_eq!(message.matches('\n').count(), 1, "{name}: {message}");
        assert!(message.starts_with(&format!("{path}:{line}: ")), "{name} is not on line {line}: {message}");
        assert!(message.contains(fragment), "{name} does not say `{fragment}`: {message}");
        assert!(
            message.contains(';') || message.contains("it must be") || message.contains(": give"),
            "{message}"
        );
    }
    let present: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(present, listed);
    assert!(rows.len() > 100);
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("large.toml"), "#".repeat((1 << 20) + 1)).unwrap();
    fs::write(path("largest.toml"), "#".repeat(1 << 20)).unwrap();
    std::os::unix::net::UnixListener::bind(path("socket.toml")).unwrap();
    for (name, fragment) in [
        ("nowhere.toml", "there is no such file; check the path"),
        (".", "this is no file; give the path of a session file"),
        ("socket.toml", "this is no file; give the path of a session file"),
        ("large.toml", "more than 1048576 bytes; a session file may have at most that"),
        ("largest.toml", ":1: there is no [[agent]]"),
    ] {
        let output = hv(["check", &path(name)]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(message.starts_with(&path(name)) && message.contains(fragment), "{message}");
    }
}

#[test]
fn a_byte_order_mark_and_carriage_returns_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let example = fs::read_to_string(root().join("examples/release.toml")).unwrap();
    fs::write(&path, format!("\u{feff}{}", example.replace('\n', "\r\n"))).unwrap();
    assert_eq!(hv(["check", path.to_str().unwrap()]).status.code(), Some(0));
}
