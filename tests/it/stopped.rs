//! Each example is stopped in the middle, by a full disk, by Ctrl-C once and twice, and by SIGTERM, at several points:
//! what is left is consistent, says what to do, and ends well when that is done.

use crate::sagas::Agency;
use crate::scene::{assert_calm, ended, ran, said, signal, spawn, wait_for};
use crate::support::{Run, hv, json, workspace};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Those that need nothing but the program and git; and how they end when nobody stops them.
const EXAMPLES: [(&str, i32); 6] = [
    ("release.toml", 0),
    ("release-fails.toml", 3),
    ("rehearsal.toml", 0),
    ("reviews.toml", 0),
    ("late.toml", 3),
    ("vouching.toml", 3),
];

fn deep() -> bool {
    std::env::var_os("HV_DEEP").is_some()
}

/// The travel example with the service that it speaks to.
fn travel() -> (Run, Agency) {
    let agency = Agency::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("travel.toml");
    let text = fs::read_to_string(workspace().join("examples/travel.toml")).unwrap();
    // This service acts as soon as it is asked.
    let text = text.replace("action = \"travel.book\"", "action = \"travel.book\"\nsettles = \"0s\"");
    fs::write(&file, text.replace("8765", &agency.port.to_string())).unwrap();
    (Run { folder, file }, agency)
}

fn code(output: &std::process::Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{}: {}", output.status, said(output)))
}

/// What a run on a small disk left behind.
struct Filled {
    first: i32,
    second: i32,
    said: String,
    /// How many sagas had begun when it was full.
    begun: usize,
}

/// Runs a file with its trail on a disk of its own with so many KiB left; then makes room and resumes.
fn filled(file: &Path, folder: &Path, free: u32) -> Filled {
    const SCRIPT: &str = r#"
        HV=$1 FILE=$2 FREE=$3 DIR=$4 DISK=$4/disk
        mkdir -p "$DISK" && mount -t tmpfs -o size=16m tmpfs "$DISK" || exit 9
        left=$(df --output=avail -k "$DISK" | tail -1)
        head -c $(( (left - FREE) * 1024 )) /dev/zero > "$DISK/ballast"
        "$HV" run "$FILE" --data "$DISK/trail" --work "$DIR/work" --json > "$DIR/first.json" 2> "$DIR/first.err"
        echo $? > "$DIR/first.code"
        "$HV" audit verify --json "$DISK/trail" > "$DIR/between.json"
        "$HV" saga list --json "$DISK/trail" > "$DIR/sagas.json"
        rm "$DISK/ballast"
        "$HV" run --resume "$FILE" --json --data "$DISK/trail" --work "$DIR/work" > "$DIR/second.json" 2> "$DIR/second.err"
        echo $? > "$DIR/second.code"
        "$HV" audit verify --sealed --json "$DISK/trail" > "$DIR/after.json"
        true"#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]);
    command.arg(hv().get_program()).arg(file).arg(free.to_string()).arg(folder);
    let output = command.output().expect("util-linux has unshare");
    assert!(output.status.success(), "a disk of one's own needs user namespaces: {}", said(&output));
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let number = |name: &str| text(name).trim().parse().unwrap();
    let document = |name: &str| serde_json::from_str::<Value>(&text(name)).unwrap_or_default();
    let between = document("between.json");
    assert!(["open", "complete"].contains(&between["verdict"].as_str().unwrap()), "{between}");
    assert_eq!(document("after.json")["verdict"], "complete", "{}", text("second.err"));
    Filled {
        first: number("first.code"),
        second: number("second.code"),
        said: text("first.err"),
        begun: document("sagas.json")["sagas"].as_array().map_or(0, Vec::len),
    }
}

fn disk_points() -> Vec<u32> {
    // The log takes 256 KiB at once; what comes on top is what steps print.
    let step = if deep() { 4 } else { 20 };
    [0, 100].into_iter().chain((260..=330).step_by(step)).collect()
}

/// Holds what a full disk left against how the example ends otherwise. Gives whether it was full in the middle.
fn holds(name: &str, free: u32, ends: &[i32], left: &Filled) -> bool {
    let Filled { first, second, said, begun } = left;
    assert!(!said.contains("panicked"), "{name}, {free} KiB: {said}");
    if *first != 1 {
        assert!(ends.contains(first) && first == second, "{name}, {free} KiB: {first}, {second}");
        return false;
    }
    // With the file it goes on whether anything was begun or not.
    let tells =
        said.contains("no storage space; make room there, then go on with `hv run --resume FILE --data ");
    assert!(tells && said.contains("/disk/trail`"), "{name}, {free} KiB: {said}");
    assert!(ends.contains(second), "{name}, {free} KiB: {second}");
    *begun > 0
}

#[test]
fn a_full_disk_in_the_middle_of_each_example_is_told_and_the_run_ends_well_when_there_is_room() {
    for (name, end) in EXAMPLES {
        let mut in_the_middle = 0;
        for free in disk_points() {
            let folder = tempfile::tempdir().unwrap();
            let left = filled(&workspace().join("examples").join(name), folder.path(), free);
            in_the_middle += u32::from(holds(name, free, &[end], &left));
        }
        // What prints nothing needs no more room than was taken at the beginning.
        assert!(in_the_middle > 0 || !name.starts_with("release"), "{name}");
    }
    for free in disk_points() {
        let (run, _agency) = travel();
        let left = filled(&run.file, run.folder.path(), free);
        holds("travel.toml", free, &[3, 4], &left);
    }
}

/// Sends signals to a run after a pause, and resumes it where it is to be resumed. Gives both exit codes and the last report.
fn stopped(run: &Run, pause: u64, signals: &[&str]) -> (i32, i32, Value) {
    let child = spawn(&mut run.start());
    wait_for("the trail", || run.data().join("mark").exists());
    std::thread::sleep(Duration::from_millis(pause));
    for (n, name) in signals.iter().enumerate() {
        if n == 0 {
            signal(&child, name);
        } else {
            std::thread::sleep(Duration::from_millis(20));
            // It may have ended in the meantime.
            let _ = Command::new("kill").args(["-s", name, &child.id().to_string()]).output();
        }
    }
    let output = ended(child);
    assert_calm(&output);
    let first = code(&output);
    if first != 130 {
        return (first, first, json(&output));
    }
    assert_eq!(json(&output)["outcome"], "interrupted");
    let output = ran(&mut run.resume());
    assert_calm(&output);
    (first, code(&output), json(&output))
}

fn each_is_stopped(signals: &[&str], firsts: &[i32]) {
    let pauses: &[u64] = if deep() { &[0, 10, 20, 40, 60, 90, 130, 180, 250] } else { &[15, 120] };
    let mut seen = Vec::new();
    let mut check = |name: &str, end: i32, run: &Run, pause: u64| {
        let (first, second, report) = stopped(run, pause, signals);
        assert!(first == end || firsts.contains(&first), "{name} after {pause} ms: {first}");
        // It was undone, or it ended as it does; what the airline does not cancel stays.
        let ends = if end == 4 { [4, 3] } else { [end, 3] };
        assert!(ends.contains(&second), "{name} after {pause} ms: {first}, then {second}: {report:#}");
        let verified = hv().args(["audit", "verify", "--sealed", "--json"]).arg(run.data()).output().unwrap();
        assert_eq!(json(&verified)["verdict"], "complete", "{name} after {pause} ms");
        seen.push(first);
    };
    for &pause in pauses {
        for (name, end) in EXAMPLES {
            check(name, end, &Run::of(name), pause);
        }
        let (run, _agency) = travel();
        check("travel.toml", 4, &run, pause);
    }
    println!("exit codes: {seen:?}");
    assert!(seen.iter().any(|code| firsts.contains(code)), "{seen:?}");
}

#[test]
fn ctrl_c_in_the_middle_of_each_example_undoes_it() {
    each_is_stopped(&["INT"], &[3]);
}

#[test]
fn a_second_ctrl_c_in_the_middle_of_each_example_leaves_it_resumable() {
    each_is_stopped(&["INT", "INT"], &[3, 130]);
}

#[test]
fn a_termination_in_the_middle_of_each_example_leaves_it_resumable() {
    each_is_stopped(&["TERM"], &[130]);
}
