//! `hv test` on the scenarios that come with hv, and on ones that are not as expected.

use crate::scene::assert_calm;
use crate::support::{hv, json, workspace};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;

fn test(paths: &[&Path], more: &[&str]) -> Output {
    let output = hv().arg("test").args(paths).args(more).output().unwrap();
    assert_calm(&output);
    output
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_scenario_is_as_expected() {
    let output = test(&[&workspace().join("examples/scenarios")], &["--json"]);
    let told = json(&output);
    assert_eq!(output.status.code(), Some(0), "{told:#}");
    assert!(told["scenarios"].as_array().unwrap().len() >= 19);
}

#[test]
fn agents_with_a_shell_are_denied_undo_and_hand_over() {
    let output = test(&[&workspace().join("examples/shell-agent")], &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{:#}", json(&output));
}

#[test]
fn what_differs_is_named_and_exits_1() {
    let folder = tempfile::tempdir().unwrap();
    let (file, expected) = (folder.path().join("rogue.toml"), folder.path().join("rogue.expected.json"));
    std::fs::copy(workspace().join("examples/scenarios/rogue-agent.toml"), &file).unwrap();
    let missing = test(&[&file], &[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(printed(&missing).contains("--write"), "{}", printed(&missing));
    // What is written down once is expected from then on.
    assert_eq!(test(&[folder.path()], &["--write"]).status.code(), Some(0));
    let mut written: Value = serde_json::from_slice(&std::fs::read(&expected).unwrap()).unwrap();
    assert_eq!((&written["outcome"], &written["steps"][0]["state"]), (&json!("denied"), &json!("denied")));
    assert_eq!(test(&[folder.path()], &[]).status.code(), Some(0));
    written["steps"][0]["state"] = json!("committed");
    written["denials"][0]["reason"] = json!({ "$contains": "out of ink" });
    std::fs::write(&expected, written.to_string()).unwrap();
    let differs = test(&[folder.path()], &["--write"]);
    let told = printed(&differs);
    assert_eq!(differs.status.code(), Some(1), "{told}");
    assert!(told.contains("steps[0].state: expected \"committed\", is \"denied\""), "{told}");
    assert!(told.contains("denials[0].reason") && told.contains("1 differ"), "{told}");
    // It is not written over.
    assert_eq!(std::fs::read_to_string(&expected).unwrap(), written.to_string());
    std::fs::write(&expected, "{").unwrap();
    assert_eq!(test(&[folder.path()], &[]).status.code(), Some(2));
    // What is expected twice would be expected once, and the other never looked at.
    std::fs::write(&expected, "{\n\"exit_code\": 0,\n\"exit_code\": 5 }").unwrap();
    let twice = test(&[folder.path()], &[]);
    assert_eq!(twice.status.code(), Some(2));
    assert!(printed(&twice).contains("line 3: `exit_code` is there twice"), "{}", printed(&twice));
    assert_eq!(test(&[tempfile::tempdir().unwrap().path()], &[]).status.code(), Some(2), "nothing to test");
}

/// One that cannot be tried is named, and the others are tried all the same.
#[test]
fn a_broken_scenario_keeps_no_other_from_being_tried() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("a.toml", "[session]\nid = 7\n");
    put("a.expected.json", "{}");
    put("b.sh", "echo b");
    put("b.expected.json", r#"{ "stdout": ["b"], "exit_code": 0 }"#);
    put("c.sh", "echo c");
    put("c.expected.json", r#"{ "stdout": ["d"], "exitcode": null }"#);
    put("d.sh", "echo d");
    let tried = test(&[folder.path()], &[]);
    let told = printed(&tried);
    assert_eq!(tried.status.code(), Some(2), "{told}");
    let lines = told.lines().filter(|line| !line.starts_with(' '));
    let marks: Vec<&str> = lines.filter_map(|line| Some(line.split_once("  /")?.0.trim())).collect();
    assert_eq!(marks, ["broken", "as expected", "differs", "broken"], "{told}");
    assert!(told.contains("a.toml:2: `session.id`"), "{told}");
    assert!(
        told.contains("exitcode: expected null, but there is no such field; did you mean `exit_code`?"),
        "{told}"
    );
    assert!(told.contains("d.expected.json is not there; --write writes it"), "{told}");
    assert!(told.ends_with("4 scenarios, 1 differs, 2 broken\n"), "{told}");
    let told = json(&test(&[folder.path()], &["--json"]));
    assert_eq!((&told["differ"], &told["broken"], &told["exit_code"]), (&json!(1), &json!(2), &json!(2)));
    assert!(told["scenarios"][0]["broken"].as_str().unwrap().contains("a.toml:2"), "{told:#}");
    assert_eq!(told["scenarios"][1]["broken"], Value::Null);
}

/// A script ends when it ends, whatever it leaves running.
#[test]
fn a_script_that_leaves_a_program_behind_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("server.sh"), "sleep 120 & echo $!\nexit 4\n").unwrap();
    std::fs::write(folder.path().join("server.expected.json"), "{ \"exit_code\": 4 }").unwrap();
    // Whoever asks for the program first waits until it is built.
    let mut program = hv();
    let began = std::time::Instant::now();
    let output = program.arg("test").arg(folder.path()).output().unwrap();
    assert_calm(&output);
    assert_eq!(output.status.code(), Some(0));
    assert!(began.elapsed() < std::time::Duration::from_secs(60));
}

/// What cannot be expected is named with its file and its place, and nothing is run for it.
#[test]
fn what_no_text_can_be_is_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (script, expected) = (folder.path().join("a.sh"), folder.path().join("a.expected.json"));
    let ran = folder.path().join("ran");
    std::fs::write(script, format!("touch {}; echo hello\n", ran.display())).unwrap();
    std::fs::write(&expected, "{ \"stdout\": [{ \"$contains\": 5 }] }").unwrap();
    let output = test(&[folder.path()], &[]);
    let told = printed(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    let wrong = format!("{}: stdout[0]: `$contains` needs a text that is not empty", expected.display());
    assert!(told.contains(&wrong) && told.contains("not 5"), "{told}");
    assert!(!ran.exists());
}

/// What is expected of nothing, or of two at once, would never be missed.
#[test]
fn what_is_expected_is_of_one_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let expected = "{ \"exit_code\": 0 }";
    write("a.sh", "true");
    write("a.expected.json", expected);
    write("b.sh", "true");
    write("b.toml", "");
    write("b.expected.json", expected);
    write("gone.expected.json", expected);
    let output = test(&[folder.path()], &[]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("as expected  ") && told.ends_with("4 scenarios, 0 differ, 3 broken\n"), "{told}");
    assert_eq!(told.matches("b.expected.json too; rename one of them").count(), 2, "{told}");
    assert!(told.contains("there is no gone.toml, gone.json or gone.sh of which it is expected"), "{told}");
}

#[test]
fn a_name_that_is_no_text_is_told() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff.sh")), "true").unwrap();
    let output = test(&[folder.path()], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stdout).unwrap().contains("its name is not UTF-8; rename it"));
}
