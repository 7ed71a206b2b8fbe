//! `hv tools classify`, with a real server.

use crate::{hv, root, text};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;

/// The Python of the virtual environment with tool servers. Where it is missing the test is skipped, loudly; with
/// `HV_REQUIRE_SERVICES=1` it fails instead.
fn python() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("HV_TEST_TOOLS_VENV") {
        return Some(PathBuf::from(folder).join("bin/python"));
    }
    let required = std::env::var_os("HV_REQUIRE_SERVICES").is_some_and(|value| value == "1");
    assert!(!required, "HV_TEST_TOOLS_VENV names no folder, and HV_REQUIRE_SERVICES=1");
    std::io::stderr().write_all(b"SKIPPED: HV_TEST_TOOLS_VENV names no folder\n").unwrap();
    None
}

fn server() -> Option<[String; 3]> {
    let script = root().join("crates/hv-integrations/tests/tools/changing.py");
    let path = |path: PathBuf| path.to_str().unwrap().to_owned();
    Some(["--".to_owned(), path(python()?), path(script)])
}

/// Runs `hv tools classify` on the server that says this of its tool.
fn classify(says: &str, arguments: &[&str]) -> Option<(i32, String, String)> {
    let server = server()?;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hv"))
        .args(["tools", "classify", "--env", "SAYS"])
        .args(arguments)
        .args(server)
        .env("SAYS", says)
        .output()
        .unwrap();
    let said = |bytes: &[u8]| text(bytes).to_owned();
    Some((output.status.code().unwrap(), said(&output.stdout), said(&output.stderr)))
}

#[test]
fn tools_count_by_what_their_server_is_worth() {
    let Some((code, trusted, _)) = classify("Adds.", &["--trust", "--json"]) else { return };
    let (_, doubted, _) = classify("Adds.", &["--json"]).unwrap();
    assert_eq!(code, 0);
    let [trusted, doubted] = [trusted, doubted].map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let rings = |answer: &Value| {
        let tools = answer["tools"].as_array().unwrap().clone();
        tools.into_iter().map(|tool| tool["ring"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((rings(&trusted), rings(&doubted)), (vec![1, 3], vec![1, 1]));
    assert_eq!(trusted["tools"][1]["action"], "mcp.changing.look");
    assert_eq!(
        (&trusted["server"]["name"], &trusted["server"]["era"]),
        (&"changing".into(), &"stateless".into())
    );
    assert_eq!(trusted["changes"], Value::Null);
    let (_, plain, _) = classify("Adds.", &["--trust"]).unwrap();
    assert!(plain.contains("the server says nothing about it"), "{plain}");
}

#[test]
fn a_definition_that_changed_since_it_was_pinned_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let pins = folder.path().join("pins.json");
    let file = pins.to_str().unwrap();
    let with = |says: &str, more: &[&str]| {
        let arguments: Vec<&str> = ["--json", "--pin", file].iter().chain(more).copied().collect();
        let (code, told, said) = classify(says, &arguments)?;
        Some((code, serde_json::from_str::<Value>(&told).unwrap()["changes"].clone(), said))
    };
    let Some((0, Value::Null, _)) = with("Adds.", &[]) else { return assert!(server().is_none()) };
    assert_eq!(with("Adds.", &[]).unwrap(), (0, serde_json::json!([]), String::new()));
    let (code, changes, said) = with("Adds, and mails it to me.", &[]).unwrap();
    assert_eq!((code, &changes[0]["change"], &changes[0]["tool"]), (1, &"changed".into(), &"add".into()));
    assert!(said.contains("--accept"), "{said}");
    assert_eq!(with("Adds, and mails it to me.", &["--accept"]).unwrap().0, 0);
    assert_eq!(with("Adds, and mails it to me.", &[]).unwrap().0, 0);
    // What is not as pinned is not printed as the actions of a session file.
    let actions = ["--trust", "--actions", "--pin", file];
    let (code, told, said) = classify("Adds, and keeps it.", &actions).unwrap();
    assert!(code == 1 && told.is_empty() && said.contains("defined otherwise"), "{code} {told} {said}");
    let (code, told, said) = classify("Adds, and mails it to me.", &actions).unwrap();
    assert!(code == 0 && told.contains("[[action]]"), "{code} {told} {said}");
    std::fs::write(&pins, "").unwrap();
    let (code, _, said) = classify("Adds.", &["--pin", file]).unwrap();
    assert_eq!(code, 2, "a file of pins that cannot be read is not taken for none: {said}");
}

#[test]
fn the_actions_stand_in_a_session_file_as_they_are() {
    let Some((0, actions, _)) = classify("Adds.", &["--trust", "--actions"]) else {
        return assert!(server().is_none());
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.toml");
    let session = format!(
        "{actions}\n[[agent]]\ndid = \"did:mesh:a\"\nsigma = 0.7\n\n[[step]]\nid = \"look\"\nagent = \"did:mesh:a\"\n\
         action = \"mcp.changing.look\"\nexecute = {{ command = [\"true\"] }}\n"
    );
    std::fs::write(&file, session).unwrap();
    let output = hv(["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{actions}\n{}", text(&output.stderr));
}

#[test]
fn pins_are_a_file_and_none_in_a_trail() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(path("trail")).unwrap();
    std::fs::write(path("trail/00000000.seg"), "").unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
    assert!(pipe.success());
    // The server would be asked for a minute; what is wrong with the file is known before.
    for (pins, fragment) in [
        (path("trail/pins"), "is the folder of a trail"),
        (path("pipe"), "it is no regular file"),
        (path("trail"), "is the folder of a trail"),
        (path(""), "it is no regular file"),
    ] {
        let output = hv(["tools", "classify", "--timeout", "1m", "--pin", &pins, "--", "sleep", "60"]);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(fragment), "{pins}: {said}");
    }
    assert!(!folder.path().join("trail/pins").exists());
}

#[test]
fn what_is_no_server_is_said() {
    for (arguments, code, fragment) in [
        (&["--", "/no/such/program"][..], 2, "/no/such/program"),
        (&["--env", "NO_SUCH_VARIABLE_HERE", "--", "true"], 2, "NO_SUCH_VARIABLE_HERE"),
        (&["--", "false"], 1, "ended"),
        (&["--timeout", "300ms", "--", "sleep", "9"], 1, "in time"),
        (&["--timeout", "0s", "--", "true"], 2, "between"),
        (&["--url", "ftp://x"], 2, "http://"),
        (&["--url", "http://127.0.0.1:1/mcp"], 1, "reached"),
        (&[], 2, "required"),
        (&["--accept", "--", "true"], 2, "--pin"),
    ] {
        let output = hv(["tools", "classify"].into_iter().chain(arguments.iter().copied()));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(fragment), "{arguments:?}: {said}");
    }
}
