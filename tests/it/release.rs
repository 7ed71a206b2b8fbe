//! The two examples of the README: a release that completes and one that is rolled back.

use crate::support::{Run, hv, json, look, workspace};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn path<'a>(report: &'a Value, name: &str) -> &'a Path {
    Path::new(report["paths"][name].as_str().unwrap_or_else(|| panic!("no path {name} in {report:#}")))
}

fn assert_root(report: &Value) {
    let root = report["root"].as_str().unwrap();
    assert!(root.len() == 64 && root.bytes().all(|b| b.is_ascii_hexdigit()), "{root}");
}

#[test]
fn a_release_completes_and_its_trail_verifies() {
    let run = Run::of("release.toml");
    let output = run.start().output().unwrap();
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_root(&report);
    let tags = Command::new("git").arg("-C").arg(path(&report, "remote")).arg("tag").output().unwrap();
    assert!(!tags.stdout.is_empty(), "the remote has the tag");
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.len() >= 5);
    for step in steps {
        assert_eq!(step["state"], "committed", "{step:#}");
        assert!(step["ring"].is_u64() && step["agent"].is_string());
        let attempts = step["attempts"].as_array().unwrap();
        assert!(!attempts.is_empty());
        for attempt in attempts {
            assert!(attempt["started"].is_string() && attempt["ended"].is_string(), "{attempt:#}");
        }
    }
    let verified = run.verify();
    assert_eq!(verified.status.code(), Some(0));
    let verdict = json(&verified);
    assert_eq!(verdict["verdict"], "complete", "{verdict:#}");
}

#[test]
fn a_release_that_fails_leaves_both_repositories_as_they_were() {
    let run = Run::of("release-fails.toml");
    let output = run.start().output().unwrap();
    let report = json(&output);
    assert_eq!(output.status.code(), Some(3), "{report:#}");
    assert_root(&report);
    for observation in report["observations"].as_array().unwrap() {
        assert_eq!(observation["before"], observation["after"], "{observation:#}");
        assert_eq!(observation["equal"], true);
    }
    assert!(report["observations"].as_array().unwrap().len() >= 2);
    // The same, seen with other eyes: a run that stops after its set-up.
    let untouched = Run::of("release-fails.toml");
    let setup = std::fs::read_to_string(&untouched.file).unwrap();
    let file = untouched.folder.path().join("setup-only.toml");
    std::fs::write(&file, only_set_up(&setup)).unwrap();
    let setup_only = Run { folder: untouched.folder, file };
    let output = setup_only.start().output().unwrap();
    let reference = json(&output);
    assert_eq!(output.status.code(), Some(0), "{reference:#}");
    for name in ["repository", "remote"] {
        assert_eq!(look(path(&report, name)), look(path(&reference, name)), "{name}");
    }
    let undone: Vec<_> =
        report["undo_order"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    let committed: Vec<_> =
        report["commit_order"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    assert!(undone.len() >= 3);
    assert!(undone.iter().eq(committed.iter().rev()), "{undone:?} reverses {committed:?}");
}

/// The file with its steps replaced by one that only reads.
fn only_set_up(text: &str) -> String {
    let mut kept = String::new();
    let mut keep = true;
    for line in text.lines() {
        if line.starts_with('[') {
            keep = !line.starts_with("[[step]]") && !line.starts_with("[step.");
        }
        if keep {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let agent = text.lines().find_map(|line| line.strip_prefix("did = ")).unwrap();
    kept + &format!(
        "[[action]]\nid = \"look.only\"\nread_only = true\n\n[[step]]\nid = \"look\"\nagent = {agent}\naction = \"look.only\"\n\
         execute = {{ command = [\"true\"] }}\n"
    )
}

/// A picture without where in it things are and how long they took.
fn shape(picture: &str) -> String {
    let mut shape = String::new();
    for c in picture.chars() {
        match c {
            '0'..='9' | '.' if shape.ends_with('#') => {}
            '0'..='9' | '.' => shape.push('#'),
            c => shape.push(c),
        }
    }
    shape
}

#[test]
fn the_picture_of_the_readme_is_one_of_the_release_that_fails() {
    let run = Run::of("release-fails.toml");
    assert_eq!(run.start().output().unwrap().status.code(), Some(3));
    let drawn = hv().args(["saga", "graph", "--saga", "work", "--svg"]).arg(run.data()).output().unwrap();
    let drawn = String::from_utf8(drawn.stdout).unwrap();
    let kept = std::fs::read_to_string(workspace().join("docs/run.svg")).unwrap();
    assert_eq!(
        shape(&drawn),
        shape(&kept),
        "draw it anew: hv saga graph DIR --saga work --svg > docs/run.svg"
    );
    // Each step is done once, or tried three times; each that is done is undone and looked at.
    for (colour, times) in [("#2da44e", 4), ("#cf222e", 2), ("#8250df", 1), ("#bf8700", 4), ("#8c959f", 5)] {
        let bars = drawn.lines().filter(|line| line.contains(colour) && line.contains("<title>")).count();
        assert_eq!(bars, times, "{colour}: {drawn}");
    }
}
