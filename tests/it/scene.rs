//! Small session files, what a run of one leaves, and processes seen from outside.

use crate::support::Run;
use hv_audit::disk::RealDisk;
use hv_audit::{Verdict, verify, verify_on};
use hv_core::event::{Denial, NodeEvent, SessionEvent};
use hv_core::{TrailEvent, TrailRecord, read_record};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// An agent of these tests.
pub const AGENT: &str = "did:mesh:a";

/// A session file of one agent with this score; it may register what the steps below name.
pub fn file(sigma: f64, steps: Vec<Value>) -> Value {
    json!({
        "agent": [{ "did": AGENT, "sigma": sigma }],
        "action": [
            { "id": "change", "reversibility": "full" },
            { "id": "final", "reversibility": "none" },
            { "id": "govern", "admin": true, "reversibility": "none" },
            { "id": "look", "read_only": true },
        ],
        "step": steps,
    })
}

/// A step that changes something; its undo counts because the file says so.
pub fn change(id: &str, execute: Value, undo: Value) -> Value {
    json!({
        "id": id, "agent": AGENT, "action": "change", "accept_unproven_undo": true, "undo_retries": 0,
        "execute": execute, "undo": undo,
    })
}

/// A line of shell that begins a service in a session of its own and leaves it, with its process in the file SERVICE.
pub const SERVICE: &str = "setsid sh -c 'echo $$ > SERVICE; exec sleep 600' < /dev/null > /dev/null 2>&1 & \
                           until test -s SERVICE; do sleep 0.02; done";

/// A step that changes nothing.
pub fn look(id: &str, execute: Value) -> Value {
    json!({ "id": id, "agent": AGENT, "action": "look", "execute": execute })
}

/// A line of shell as a task.
pub fn sh(line: &str) -> Value {
    json!({ "command": ["sh", "-c", line] })
}

/// The value with these fields in place of its own.
pub fn with(mut value: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("{fields} are no fields") };
    value.as_object_mut().unwrap().extend(fields);
    value
}

/// A run of this session file, in folders of its own.
pub fn scene(file: &Value) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.json");
    std::fs::write(&path, serde_json::to_vec_pretty(file).unwrap()).unwrap();
    Run { folder, file: path }
}

/// Runs to the end. Whatever happens, hv does not panic, and what it leaves verifies.
pub fn ran(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_calm(&output);
    output
}

/// That hv has not panicked.
pub fn assert_calm(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    assert_ne!(output.status.code(), Some(101), "{said}");
}

/// What hv said on standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// That the trail of a run is there to the last byte.
pub fn assert_complete(run: &Run) {
    assert_eq!(verify(&run.data()).unwrap().verdict, Verdict::Complete);
}

/// Every record of a trail, as a stranger reads it: without the lock, changing nothing.
pub fn trail(data: &Path) -> Vec<TrailRecord> {
    let mut records = Vec::new();
    let report = verify_on(&RealDisk, data, &mut |entry| records.push(read_record(&entry).unwrap())).unwrap();
    assert!(!matches!(report.verdict, Verdict::Tampered(_)), "{report:?}");
    records
}

/// What was refused, as the trail keeps it.
pub fn denials(data: &Path) -> Vec<Denial> {
    let events = trail(data).into_iter().flat_map(|record| record.events);
    let denied = |event| match event {
        TrailEvent::Node(NodeEvent::Denied { denial }) => Some(denial),
        TrailEvent::Session(event) => match *event {
            SessionEvent::Denied { denial } => Some(denial),
            _ => None,
        },
        _ => None,
    };
    events.filter_map(denied).collect()
}

/// The names in a list of the report.
pub fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

/// A step of the report.
pub fn step<'a>(report: &'a Value, id: &str) -> &'a Value {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("no step {id} in {report:#}"))
}

/// Attempts of a step at a purpose.
pub fn attempts<'a>(report: &'a Value, id: &str, purpose: &str) -> Vec<&'a Value> {
    let attempts = step(report, id)["attempts"].as_array().unwrap();
    attempts.iter().filter(|attempt| attempt["purpose"] == purpose).collect()
}

/// Starts hv and keeps what it says.
pub fn spawn(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal to one process.
pub fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

/// What a child says to its end, which comes in time.
pub fn ended(mut child: Child) -> Output {
    wait_for("the end of hv", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    assert_calm(&output);
    output
}

/// Waits until it is so; a minute is far more than anything here takes.
pub fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a step has written this file, and gives its text.
pub fn written(path: &Path) -> String {
    let mut text = String::new();
    wait_for(&format!("{}", path.display()), || {
        text = std::fs::read_to_string(path).unwrap_or_default();
        text.ends_with('\n')
    });
    text
}

/// Whether a process runs. One that has ended and that nobody has asked about is gone.
pub fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']))
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// The bytes of every file below a folder, by path; of a link, where it leads.
pub fn image(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let bytes = |path: &PathBuf| match std::fs::read_link(path) {
        Ok(target) => target.into_os_string().into_encoded_bytes(),
        Err(_) => std::fs::read(path).unwrap(),
    };
    files(folder).into_iter().map(|path| (path.clone(), bytes(&path))).collect()
}
