//! What hv tells on stderr while it works.

use super::{root, text};
use serde_json::Value;
use std::process::{Command, Output};

fn run(options: &[&str], variable: Option<&str>) -> (tempfile::TempDir, Output) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hv"));
    command.args(options).arg("run").arg(root().join("examples/vouching.toml")).arg("--quiet");
    command.arg("--data").arg(folder.path().join("trail")).arg("--work").arg(folder.path().join("work"));
    let output = command.envs(variable.map(|value| ("HV_LOG", value))).output().unwrap();
    (folder, output)
}

#[test]
fn nothing_is_told_unless_somebody_asks() {
    for (options, variable) in [(&[][..], None), (&[], Some("off")), (&["--log", "off"], Some("debug"))] {
        let (_, output) = run(options, variable);
        assert_eq!(text(&output.stderr), "", "{options:?} {variable:?}");
    }
}

#[test]
fn a_level_tells_so_much_and_json_is_an_object_a_line() {
    let (_, warned) = run(&["--log", "warn"], None);
    let warned = text(&warned.stderr);
    assert!(warned.contains("slashed") && !warned.contains("attempt granted"), "{warned}");
    let (_, all) = run(&[], Some("debug"));
    let all = text(&all.stderr);
    assert!(all.contains("attempt granted") && all.contains("command{lsn="), "{all}");
    let (_, lines) = run(&["--log", "debug:json"], None);
    let lines: Vec<Value> =
        text(&lines.stderr).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let slashed = lines.iter().find(|line| line["message"] == "slashed").unwrap();
    assert_eq!((&slashed["level"], &slashed["target"]), (&"WARN".into(), &"hv".into()));
    assert!(slashed["agent"].as_str().unwrap().starts_with("did:"), "{slashed}");
    let command = lines.iter().find(|line| line["span"]["name"] == "command" && line["message"] == "close");
    assert!(command.is_some(), "{lines:#?}");
    assert!(lines.iter().all(|line| line["target"] == "hv"), "nobody else is heard");
}

#[test]
fn a_level_that_is_none_is_bad_input() {
    let (folder, output) = run(&[], Some("loud"));
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(told.contains("HV_LOG=loud") && told.contains("error, warn, info or debug"), "{told}");
    assert!(!folder.path().join("trail").exists());
    assert_eq!(run(&["--log", "loud"], None).1.status.code(), Some(2));
}
