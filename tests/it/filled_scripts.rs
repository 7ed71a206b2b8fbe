//! The disk of the trail becomes full in the middle of a script that works in a live session: that is told, with what to do, and
//! nothing that was done is lost to whoever undoes it when there is room.

use crate::filled::before;
use crate::scene::said;
use crate::stopped::deep;
use crate::stopped_scenarios::at_once;
use crate::stopped_scripts::{Script, assert_settled, assert_untouched, scripts};
use crate::support::hv;
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Runs a script with its trail on a disk of its own that becomes full; then makes room, undoes everything and ends.
const SHELL: &str = r#"
    PROGRAM=$1 FILE=$2 FREE=$3 DIR=$4 BEFORE=$5 DISK=$4/disk
    mkdir "$DISK" "$DIR/work" && mount -t tmpfs -o size=16m tmpfs "$DISK" || exit 9
    "$PROGRAM" run -q "$BEFORE" --data "$DISK/trail" --work "$DIR/before" > /dev/null || exit 8
    left=$(df --output=avail -k "$DISK" | tail -1)
    head -c $(( (left - FREE) * 1024 )) /dev/zero > "$DISK/ballast"
    # What hv says is kept, also where the script throws it away.
    printf '#!/bin/sh\nexec "%s" "$@" 2>> "%s/said"\n' "$PROGRAM" "$DIR" > "$DIR/hv"
    chmod +x "$DIR/hv"
    cd "$DIR/work" || exit 7
    HV=$DIR/hv DATA=$DISK/trail sh "$FILE" > "$DIR/printed" 2>&1
    "$PROGRAM" audit verify --json "$DISK/trail" > "$DIR/between.json"
    "$PROGRAM" session status --json --data "$DISK/trail" > "$DIR/status.json" 2> /dev/null
    rm "$DISK/ballast"
    "$PROGRAM" session undo --all --data "$DISK/trail" > "$DIR/undone" 2>&1
    echo $? > "$DIR/undone.code"
    "$PROGRAM" session status --json --data "$DISK/trail" > "$DIR/settled.json"
    "$PROGRAM" session close --data "$DISK/trail" > "$DIR/closed" 2>&1
    "$PROGRAM" audit verify --sealed --json "$DISK/trail" > "$DIR/after.json"
    true"#;

/// Gives whether a step had been executed when the disk was full.
fn filled(script: &Script, part: u64) -> bool {
    let what = format!("{}, room for {part} %", script.name());
    let folder = tempfile::tempdir().unwrap();
    let room = script.takes * part / 100;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", SHELL, "sh"]);
    // And what steps print takes room beside the log.
    command.arg(hv().get_program()).arg(&script.path).arg(((room >> 10) + 100).to_string());
    let output = command.arg(folder.path()).arg(before(folder.path(), room)).output().unwrap();
    assert!(output.status.success(), "a disk of one's own needs user namespaces: {}", said(&output));
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let document = |name: &str| serde_json::from_str::<Value>(&text(name)).unwrap_or_default();
    let told = text("said");
    let tells =
        "no storage space; make room there; the next command takes up what this one left in the middle\n";
    assert!(told.contains(tells) && !told.contains("panicked"), "{what}: {told}");
    assert!(!told.contains("hv run"), "{what}: it is no run: {told}");
    assert_eq!(document("after.json")["verdict"], "complete", "{what}: {}", text("closed"));
    let between = document("between.json")["verdict"].clone();
    let settled = document("settled.json");
    if between == "complete" || settled["steps"].is_null() {
        // There was no session yet, or the little that ends it found room where something larger did not.
        return false;
    }
    assert_eq!(between, "open", "{what}: {told}");
    let closing = |step: &Value| step["saga_state"] == "completed";
    if settled["steps"].as_array().unwrap().iter().any(closing) {
        // Whoever closes a session keeps what was done in it, and this one was being closed.
        return false;
    }
    let unhealthy = script.is_unhealthy();
    let undone = text("undone");
    let code: i32 = text("undone.code").trim().parse().unwrap();
    assert!([0, 2].contains(&code) || (unhealthy && code == 4), "{what}: {code}: {undone}");
    assert_settled(&what, &settled, unhealthy);
    assert_untouched(&what, &folder.path().join("work"), unhealthy);
    let steps = document("status.json")["steps"].as_array().cloned().unwrap_or_default();
    steps.iter().any(|step| !step["attempts"].as_array().unwrap().is_empty())
}

#[test]
fn a_full_disk_in_the_middle_of_a_script_is_told_and_everything_is_undone_when_there_is_room() {
    let parts: Vec<u64> = if deep() { (30..100).step_by(5).collect() } else { vec![70] };
    let all: Vec<_> =
        scripts().iter().flat_map(|script| parts.iter().map(move |part| (script, *part))).collect();
    let executed = AtomicU32::new(0);
    at_once(&all, |(script, part)| {
        executed.fetch_add(u32::from(filled(script, *part)), Ordering::SeqCst);
    });
    let executed = executed.into_inner();
    println!("something had been executed in {executed} of {}", all.len());
    assert!(executed * 2 > all.len().try_into().unwrap(), "{executed} of {}", all.len());
}
