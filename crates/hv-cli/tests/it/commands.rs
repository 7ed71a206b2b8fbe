//! The commands, as a shell sees them.

use crate::{hv, root, text};
use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Stdio};

#[test]
fn ring_answers_for_a_score_and_for_an_action() {
    let ask = |line: &str| {
        let output = hv(["ring", "--json"].into_iter().chain(line.split(' ')));
        assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let quorum = json!({"above": 0.95, "certificate": "quorum", "uncapped": null});
    let witness = json!({"above": null, "certificate": "witness", "uncapped": null});
    let standard = json!({"above": 0.6, "certificate": null, "uncapped": null});
    for (line, ring, sufficient, needs) in [
        ("--sigma 0.85", 2, true, &quorum),
        ("--sigma 0.96", 2, true, &quorum),
        ("--sigma 0.601", 2, true, &quorum),
        ("--sigma 0.60", 3, true, &standard),
        ("--sigma 0", 3, true, &standard),
        ("--sigma 0.601 --reversibility full", 2, true, &Value::Null),
        ("--sigma 0.60 --reversibility partial", 2, false, &standard),
        ("--sigma 0.99 --reversibility none", 1, false, &quorum),
        ("--sigma 0.5 --reversibility none", 1, false, &quorum),
        ("--sigma 0.1 --read-only", 3, true, &Value::Null),
        ("--sigma 0.1 --read-only --reversibility none", 3, true, &Value::Null),
        ("--sigma 1 --admin", 0, false, &witness),
        ("--sigma 1 --admin --read-only", 0, false, &witness),
    ] {
        let answer = ask(line);
        assert_eq!(answer["ring"], ring, "{line}");
        assert_eq!(answer["sufficient"], sufficient, "{line}");
        assert_eq!(&answer["needs"], needs, "{line}");
        assert!(!answer["reason"].as_str().unwrap().is_empty(), "{line}");
    }
    assert_eq!(
        text(&hv(["ring", "--sigma", "0.85"]).stdout),
        "Ring 2 (standard): σ 0.85 is above 0.60, which earns Ring 2 (standard)\n\
         the next ring needs σ_eff above 0.95 and a quorum for exactly this call\n"
    );
}

#[test]
fn a_score_that_is_none_is_refused() {
    for (sigma, fragment) in [
        ("NaN", "not a finite number"),
        ("inf", "not a finite number"),
        ("-5", "outside [0, 1]"),
        ("-0.1", "outside [0, 1]"),
        ("42", "outside [0, 1]"),
        ("1.0000001", "outside [0, 1]"),
        ("abc", "not a decimal number"),
        ("0,85", "not a decimal number"),
        ("", "not a decimal number"),
    ] {
        for spelled in [vec!["ring", "--sigma", sigma], vec!["ring", &format!("--sigma={sigma}")]] {
            let output = hv(spelled);
            assert_eq!(output.status.code(), Some(2), "{sigma}");
            assert!(text(&output.stderr).contains(fragment), "{sigma}: {}", text(&output.stderr));
            assert!(output.stdout.is_empty());
        }
    }
    assert_eq!(hv(["ring"]).status.code(), Some(2));
    assert_eq!(hv(["ring", "--sigma", "0.5", "--reversibility", "half"]).status.code(), Some(2));
}

#[test]
fn the_schema_that_is_printed_is_the_one_that_is_checked_in() {
    let printed = hv(["schema"]);
    assert_eq!(printed.status.code(), Some(0));
    let checked_in = fs::read_to_string(root().join("docs/session.schema.json")).unwrap();
    assert!(text(&printed.stdout) == checked_in, "write it again: hv schema > docs/session.schema.json");
}

#[test]
fn every_key_of_the_schema_is_described() {
    fn undescribed(value: &Value, place: &str, missing: &mut Vec<String>) {
        let Some(table) = value.as_object() else { return };
        for (key, inner) in table {
            let place = format!("{place}/{key}");
            if let (true, Some(properties)) = (key == "properties", inner.as_object()) {
                for (name, property) in properties {
                    if property.get("description").is_none() {
                        missing.push(format!("{place}/{name}"));
                    }
                }
            }
            undescribed(inner, &place, missing);
        }
    }
    let schema: Value = serde_json::from_slice(&hv(["schema"]).stdout).unwrap();
    let mut missing = Vec::new();
    undescribed(&schema, "", &mut missing);
    assert_eq!(missing, Vec::<String>::new());
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn completions_version_and_help() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = hv(["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(text(&output.stdout).contains("reversibility"), "{shell}");
    }
    let version = hv(["--version"]);
    assert_eq!(text(&version.stdout), format!("hv {}\n", env!("CARGO_PKG_VERSION")));
    for (command, example) in [("ring", "hv ring --sigma 0.85"), ("check", "hv check examples/release.toml")]
    {
        let help = hv([command, "--help"]);
        assert_eq!(help.status.code(), Some(0));
        let help = text(&help.stdout);
        assert!(help.contains(example) && help.contains("Exit codes"), "{help}");
    }
    for wrong in [vec!["frobnicate"], vec!["completions", "tcsh"], vec![], vec!["ring", "--sigma", "1", "x"]]
    {
        assert_eq!(hv(wrong.clone()).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hv"))
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

/// A session file whose step has this line in it.
fn with_step_line(line: &str) -> String {
    format!(
        "[[agent]]\ndid = \"did:mesh:a\"\nsigma = 0.9\n[[action]]\nid = \"look\"\nread_only = true\n\
         [[step]]\nid = \"s\"\nagent = \"did:mesh:a\"\naction = \"look\"\n{line}\n"
    )
}

#[test]
fn secrets_must_be_there_and_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.toml");
    let check = |line: &str| {
        fs::write(&file, with_step_line(line)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_hv"))
            .arg("check")
            .arg(&file)
            .env("HV_TEST_TOKEN", "canary-in-a-variable")
            .env_remove("HV_TEST_ABSENT")
            .output()
            .unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(!said.contains("canary"), "{said}");
        (output.status.code().unwrap(), said)
    };
    fs::write(folder.path().join("token"), "canary-in-a-file").unwrap();
    let command = |env: &str| format!("execute = {{ command = [\"true\"], env = {{ T = \"{env}\" }} }}");
    for there in ["env:HV_TEST_TOKEN", "file:token", "file:{file}/token", "text:env:HV_TEST_ABSENT", "plain"]
    {
        assert_eq!(
            check(&command(there)),
            (0, format!("{}: nothing is wrong; 1 agent, 1 step\n", file.display()))
        );
    }
    for (absent, fragment) in [
        (
            "env:HV_TEST_ABSENT",
            "the environment variable HV_TEST_ABSENT is referred to and not set; set it before",
        ),
        (
            "file:nowhere",
            "/nowhere is referred to and cannot be read: there is no such file; put it there before",
        ),
        ("file:.", "is referred to and cannot be read: it is a folder"),
        ("file:{work}/token", "there is no placeholder {work}"),
    ] {
        let (code, said) = check(&command(absent));
        assert_eq!(code, 2, "{absent}");
        assert!(said.contains(":11: ") && said.contains(fragment), "{said}");
    }
    for line in [
        "execute = { command = [\"true\"], stdin = \"env:HV_TEST_ABSENT\" }",
        "execute = { http = { url = \"http://localhost/\", body = \"env:HV_TEST_ABSENT\" } }",
        "execute = { http = { url = \"http://localhost/\", headers = { A = \"env:HV_TEST_ABSENT\" } } }",
        "execute = { command = [\"true\"] }\n[env]\nT = \"env:HV_TEST_ABSENT\"",
    ] {
        assert_eq!(check(line).0, 2, "{line}");
    }
}

#[test]
fn a_manifest_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.toml");
    let text_with =
        with_step_line("execute = { command = [\"true\"] }").replace("sigma = 0.9", "manifest = \"m.json\"");
    fs::write(&file, text_with).unwrap();
    let output = hv(["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains(":1: the file "), "{}", text(&output.stderr));
    fs::write(folder.path().join("m.json"), "{}").unwrap();
    assert_eq!(hv(["check", file.to_str().unwrap()]).status.code(), Some(0));
    fs::write(folder.path().join("m.json"), " ".repeat((1 << 20) + 1)).unwrap();
    let output = hv(["check", file.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("has more than 1048576 bytes"), "{}", text(&output.stderr));
}

/// What others sign is the call that the run makes, whether its work folder was there when they were asked or not.
#[test]
fn a_call_is_the_same_before_and_after_its_work_folder_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.json");
    let session = json!({
        "session": { "id": "s" },
        "agent": [{ "did": "did:mesh:a", "sigma": 0.97 }],
        "action": [{ "id": "push", "reversibility": "none" }],
        "step": [{ "id": "push", "agent": "did:mesh:a", "action": "push", "execute": { "command": ["true"] } }],
    });
    fs::write(&file, session.to_string()).unwrap();
    let work = folder.path().join("work");
    let call = |work: &str| {
        let output = hv(["call", file.to_str().unwrap(), "--step", "push", "--work", work]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["call"]["params"].clone()
    };
    let work_ = work.to_str().unwrap();
    let before = call(work_);
    assert_eq!(call(&format!("{work_}/")), before);
    fs::create_dir(&work).unwrap();
    for spelled in [work_, &format!("{work_}/"), &format!("{work_}/.")] {
        assert_eq!(call(spelled), before, "{spelled}");
    }
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&work, &link).unwrap();
    assert_eq!(call(link.to_str().unwrap()), before, "a link is what it leads to");
}

/// Whoever closes the pipe takes nothing from the exit code, and a full disk is nobody's success.
#[test]
fn what_a_command_comes_to_is_its_exit_code_whoever_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (trail, lines, keep) = (path("trail"), path("lines"), path("work"));
    let plan = root().join("examples/scenarios/thresholds-above.toml");
    assert_eq!(hv(["run", plan.to_str().unwrap(), "--data", &trail, "--work", &keep]).status.code(), Some(0));
    fs::write(&lines, "no\n").unwrap();
    let code = |arguments: &[&str], stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hv"));
        let output =
            command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn();
        let output = output.unwrap().wait_with_output().unwrap();
        (output.status.code().unwrap(), text(&output.stderr).to_owned())
    };
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let commands = [
        &["audit", "verify", &trail][..],
        &["audit", "show", &trail],
        &["audit", "show", "--json", &trail],
        &["audit", "tail", "--follow", &trail],
        &["trust", "show", "--data", &trail],
        &["config", "schema"],
        &["--help"],
        &["--version"],
        &["session", "--help"],
    ];
    for command in commands {
        assert_eq!(code(command, closed()).0, 0, "{command:?}");
        let (exit, said) = code(command, full());
        assert!(exit == 1 && said.contains("stdout cannot be written to"), "{command:?}: {exit} {said}");
    }
    let (key, nowhere) = (path("log.key"), path("no/such/file"));
    assert_eq!(hv(["id", "new", "--key", &key]).status.code(), Some(0));
    let (exit, said) = code(
        &["audit", "history", &trail, "--agent", "did:mesh:a", "--key", &key, "--to", &nowhere],
        Stdio::null(),
    );
    assert!(exit == 2 && said.contains("it cannot be written"), "{exit} {said}");
    // What is wrong is told by the exit code alone then.
    assert_eq!(code(&["drift", &lines], closed()).0, 2);
    fs::write(folder.path().join("trail/notes.txt"), "mine").unwrap();
    for command in &commands[..4] {
        assert_eq!(code(command, closed()).0, 1, "{command:?}");
    }
    // Nothing is said on the word of such a trail, be it as long as it may.
    let listed = ["session", "list", "--data", &trail];
    for command in [&["audit", "hold", &trail, "list"][..], &["audit", "diff", &trail, &trail], &listed] {
        let (exit, said) = code(command, Stdio::null());
        assert!(exit == 1 && said.contains("notes.txt"), "{command:?}: {exit} {said}");
    }
    // And a path that leads to no folder is bad input, whoever asks.
    for command in [
        &["session", "list", "--data", &lines][..],
        &["audit", "show", &lines],
        &["node", "show", "--data", &lines],
    ] {
        assert_eq!(code(command, Stdio::null()).0, 2, "{command:?}");
    }
}
