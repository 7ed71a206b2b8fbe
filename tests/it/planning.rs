//! The example of an agent that plans as it goes: to its end, into a dead end, and stopped in the middle by signals, by SIGKILL
//! and by a full disk. Said again with the same folder it goes on, and every trail is verified.

use crate::filled::before;
use crate::scene::{ended, said, signal, spawn, wait_for, written};
use crate::support::{built, hv, json};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

fn planner(folder: &Path, words: &[&str]) -> Command {
    let mut command = built("planner");
    command.arg(folder).args(words);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn verdict(folder: &Path, sealed: bool) -> Value {
    let sealed: &[&str] = if sealed { &["--sealed"] } else { &[] };
    let verified = hv().args(["audit", "verify", "--json"]).args(sealed).arg(folder.join("trail")).output();
    json(&verified.unwrap())["verdict"].clone()
}

fn lines(folder: &Path) -> usize {
    fs::read_to_string(folder.join("page")).unwrap_or_default().lines().count()
}

/// What it comes to when nobody stops it, and how many lines are left then.
fn assert_ended(folder: &Path, output: &Output, state: &str, left: usize) {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    let told = format!("the saga is {state}, {left} lines are left");
    assert!(text(output).contains(&told), "{}{}", text(output), said(output));
    assert_eq!(lines(folder), left);
    assert_eq!(verdict(folder, true), "complete");
}

#[test]
fn an_agent_plans_as_it_goes() {
    for (words, expected) in
        [(&[] as &[&str], "planned 6 steps on the way"), (&["dead-end"], "four leads nowhere")]
    {
        let folder = tempfile::tempdir().unwrap();
        let (state, left) = if words.is_empty() { ("completed", 6) } else { ("compensated", 0) };
        // A second time it begins anew.
        for _ in 0..2 {
            let ran = planner(folder.path(), words).output().unwrap();
            assert!(text(&ran).contains(expected), "{}{}", text(&ran), said(&ran));
            assert_ended(folder.path(), &ran, state, left);
        }
    }
}

/// Begins, and gives the program once so many lines are there.
fn begun(folder: &Path, so_many: usize) -> std::process::Child {
    let child = spawn(&mut planner(folder, &["slowly"]));
    wait_for("the lines", || lines(folder) >= so_many);
    child
}

#[test]
fn an_agent_that_plans_is_undone_by_ctrl_c() {
    for so_many in [1, 3, 5] {
        let folder = tempfile::tempdir().unwrap();
        let child = begun(folder.path(), so_many);
        signal(&child, "INT");
        let output = ended(child);
        assert!(
            said(&output).contains("undoing what was done; once more leaves it as it is"),
            "{}",
            said(&output)
        );
        assert_ended(folder.path(), &output, "compensated", 0);
    }
}

#[test]
fn an_agent_that_plans_is_left_as_it_is_by_a_second_ctrl_c_and_undone_when_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let child = begun(folder.path(), 4);
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "INT");
    let output = ended(child);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let tells = format!("left as it is; said again with {}, this goes on with it", folder.path().display());
    assert!(said(&output).contains(&tells), "{}", said(&output));
    assert!(lines(folder.path()) > 0, "it was in the middle");
    assert_eq!(verdict(folder.path(), false), "open");
    let again = planner(folder.path(), &[]).output().unwrap();
    assert_ended(folder.path(), &again, "compensated", 0);
}

#[test]
fn an_agent_that_plans_goes_on_where_a_termination_left_it() {
    for so_many in [1, 4] {
        let folder = tempfile::tempdir().unwrap();
        let child = begun(folder.path(), so_many);
        signal(&child, "TERM");
        let output = ended(child);
        assert_eq!(output.status.code(), Some(130), "{}", said(&output));
        assert!(said(&output).contains("this goes on with it"), "{}", said(&output));
        let left = lines(folder.path());
        assert!((so_many..6).contains(&left), "{left}");
        let again = planner(folder.path(), &[]).output().unwrap();
        assert_ended(folder.path(), &again, "completed", 6);
    }
}

/// Nobody knows how far the step came that was being done; between two steps it goes on.
#[test]
fn an_agent_that_plans_is_consistent_after_sigkill() {
    for so_many in 1..=5 {
        let folder = tempfile::tempdir().unwrap();
        let mut child = begun(folder.path(), so_many);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(verdict(folder.path(), false), "open");
        let again = planner(folder.path(), &[]).output().unwrap();
        let completed = text(&again).contains("completed");
        let (state, left) = if completed { ("completed", 6) } else { ("compensated", 0) };
        assert_ended(folder.path(), &again, state, left);
    }
}

/// On a disk of its own with so many KiB left, where somebody else's trail may be already; then with room again. Gives
/// whether it was full, and how many lines there were then.
fn filled(what: &str, free: u64, before: &Path) -> (bool, usize) {
    const SCRIPT: &str = r#"
        PLANNER=$1 FREE=$2 DIR=$3 HV=$4 BEFORE=$5 DISK=$3/disk
        mkdir -p "$DISK" && mount -t tmpfs -o size=16m tmpfs "$DISK" || exit 9
        mkdir "$DISK/plan"
        test -z "$BEFORE" || "$HV" run -q "$BEFORE" --data "$DISK/plan/trail" --work "$DIR/work" > /dev/null || exit 8
        left=$(df --output=avail -k "$DISK" | tail -1)
        head -c $(( (left - FREE) * 1024 )) /dev/zero > "$DISK/ballast"
        "$PLANNER" "$DISK/plan" > "$DIR/first.out" 2> "$DIR/first.err"
        echo $? > "$DIR/first.code"
        cat "$DISK/plan/page" > "$DIR/page"
        rm "$DISK/ballast"
        "$PLANNER" "$DISK/plan" > "$DIR/second.out" 2> "$DIR/second.err"
        echo $? > "$DIR/second.code"
        cp -r "$DISK/plan" "$DIR/plan""#;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]);
    command.arg(built("planner").get_program()).arg(free.to_string()).arg(folder.path());
    command.arg(hv().get_program()).arg(before);
    let output = command.output().expect("util-linux has unshare");
    assert!(output.status.success(), "a disk of one's own needs user namespaces: {}", said(&output));
    let read = |name: &str| written(&folder.path().join(name));
    let full = read("first.code").trim() == "1";
    if full {
        let said = read("first.err");
        assert!(said.contains("space") && said.contains("say it again with"), "{what}: {said}");
    } else {
        let said = fs::read_to_string(folder.path().join("first.err")).unwrap();
        assert_eq!(read("first.code").trim(), "0", "{what}: {said}");
    }
    let second = fs::read_to_string(folder.path().join("second.err")).unwrap();
    assert_eq!(read("second.code").trim(), "0", "{what}: {second}");
    let out = read("second.out");
    let ends = ["the saga is completed, 6 lines are left", "the saga is compensated, 0 lines are left"];
    assert!(ends.iter().any(|end| out.contains(end)), "{what}: {out}");
    assert_eq!(verdict(&folder.path().join("plan"), true), "complete", "{what}");
    (full, lines(folder.path()))
}

#[test]
fn a_full_disk_under_an_agent_that_plans_is_told_and_it_ends_well_when_there_is_room() {
    // At the beginning: the log takes 256 KiB at once, and that is enough.
    for free in [0, 100, 260, 300] {
        let (full, _) = filled(&format!("{free} KiB"), free, Path::new(""));
        assert_eq!(full, free < 200, "{free} KiB");
    }
    // In the middle: somebody else's trail has left it this part of what it writes.
    let folder = tempfile::tempdir().unwrap();
    let ran = planner(folder.path(), &[]).output().unwrap();
    assert_ended(folder.path(), &ran, "completed", 6);
    let takes = fs::metadata(folder.path().join("trail/00000000.seg")).unwrap().len();
    let mut in_the_middle = 0;
    for part in [40, 55, 70, 85] {
        let (room, folder) = (takes * part / 100, tempfile::tempdir().unwrap());
        let (full, lines) = filled(&format!("{part} %"), (room >> 10) + 100, &before(folder.path(), room));
        assert!(full, "{part} %");
        in_the_middle += u32::from((1..6).contains(&lines));
    }
    assert!(in_the_middle > 1, "{in_the_middle}");
}
