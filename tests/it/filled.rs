//! The disk of the trail becomes full in the middle of each example: that is told, nothing is lost, and the run ends well when
//! there is room and what was said is done.

use crate::scene::{AGENT, ran, said};
use crate::stopped::{EXAMPLES, assert_consistent, deep, travel};
use crate::stopped_scenarios::{Scenario, at_once, scenarios};
use crate::support::{Run, hv, workspace};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A log takes room in steps of this size.
const STEP_BYTES: u64 = 256 << 10;

/// What a run on a small disk left behind.
struct Filled {
    first: i32,
    second: i32,
    said: String,
    /// The example's sagas when it was full.
    sagas: Vec<Value>,
    report: Value,
}

/// The disk on which a run begins.
enum Disk {
    /// So many KiB are left, and no trail is there.
    New { free: u32 },
    /// A trail is there, which this file leaves; the log has room for so many bytes, and the disk for no more.
    Used { before: PathBuf, room: u64 },
}

/// Runs a file with its trail on a disk of its own; then makes room, does what was said and gives what came of it.
fn filled(file: &Path, folder: &Path, disk: &Disk) -> Filled {
    const SCRIPT: &str = r#"
        HV=$1 FILE=$2 FREE=$3 DIR=$4 BEFORE=$5 DISK=$4/disk
        mkdir -p "$DISK" && mount -t tmpfs -o size=16m tmpfs "$DISK" || exit 9
        test -z "$BEFORE" || "$HV" run -q "$BEFORE" --data "$DISK/trail" --work "$DIR/before" > /dev/null || exit 8
        left=$(df --output=avail -k "$DISK" | tail -1)
        head -c $(( (left - FREE) * 1024 )) /dev/zero > "$DISK/ballast"
        "$HV" run "$FILE" --data "$DISK/trail" --work "$DIR/work" --json > "$DIR/first.json" 2> "$DIR/first.err"
        echo $? > "$DIR/first.code"
        "$HV" audit verify --json "$DISK/trail" > "$DIR/between.json"
        "$HV" saga list --json "$DISK/trail" > "$DIR/sagas.json"
        rm "$DISK/ballast"
        said=$(sed -n 's/.*go on with `hv \([^`]*\)`.*/\1/p' "$DIR/first.err")
        test -n "$said" || said='run --resume FILE --data '$DISK/trail
        eval "\"\$HV\" $(echo "$said" | sed 's/ FILE / "$FILE" /') --json" > "$DIR/second.json" 2> "$DIR/second.err"
        echo $? > "$DIR/second.code"
        "$HV" audit verify --sealed --json "$DISK/trail" > "$DIR/after.json"
        true"#;
    let (free, before) = match disk {
        Disk::New { free } => (*free, PathBuf::new()),
        // And what the session file and what steps print take beside the log.
        Disk::Used { before, room } => (u32::try_from(room >> 10).unwrap() + 100, before.clone()),
    };
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]);
    command.arg(hv().get_program()).arg(file).arg(free.to_string()).arg(folder).arg(before);
    let output = command.output().expect("util-linux has unshare");
    assert!(output.status.success(), "a disk of one's own needs user namespaces: {}", said(&output));
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let number = |name: &str| text(name).trim().parse().unwrap();
    let document = |name: &str| serde_json::from_str::<Value>(&text(name)).unwrap_or_default();
    let between = document("between.json");
    assert!(["open", "complete"].contains(&between["verdict"].as_str().unwrap()), "{between}");
    assert_eq!(document("after.json")["verdict"], "complete", "{}", text("second.err"));
    let mut sagas = document("sagas.json")["sagas"].as_array().cloned().unwrap_or_default();
    sagas.retain(|saga| saga["session"] != "before");
    Filled {
        first: number("first.code"),
        second: number("second.code"),
        said: text("first.err"),
        sagas,
        report: document("second.json"),
    }
}

/// Holds what a full disk left against how the example ends otherwise. Gives whether it was full before the end.
fn holds(what: &str, ends: &[i32], left: &Filled) -> bool {
    let Filled { first, second, said, report, .. } = left;
    assert!(!said.contains("panicked"), "{what}: {said}");
    assert!(ends.contains(second), "{what}: {first}, {second}: {report:#}");
    assert_consistent(what, report);
    if *first != 1 {
        assert_eq!(first, second, "{what}: {said}");
        return false;
    }
    // With the file it goes on whether anything was begun or not.
    let tells =
        said.contains("no storage space; make room there, then go on with `hv run --resume FILE --data ");
    let which = said.contains("/disk/trail`, where FILE is the session file of this run\n");
    assert!(tells && which, "{what}: {said}");
    true
}

/// The session of somebody else that was there before; it leaves a log which has so many bytes to the end of its step.
pub fn before(folder: &Path, room: u64) -> PathBuf {
    let write = |text: usize| {
        // Nothing in it repeats, so that nothing makes it shorter.
        let mut state = 1_u64;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(state >> 58) as usize]
                as char
        };
        let step = |n: usize| {
            let text: String = (0..text / 16).map(|_| letter()).collect();
            json!({ "id": format!("s{n}"), "agent": AGENT, "action": "look", "execute": { "command": ["true", text] } })
        };
        let session = json!({
            "session": { "id": "before" },
            "agent": [{ "did": AGENT, "sigma": 0.9 }],
            "action": [{ "id": "look", "read_only": true }],
            "step": (0..16).map(step).collect::<Vec<_>>(),
        });
        let file = folder.join("before.json");
        fs::write(&file, session.to_string()).unwrap();
        file
    };
    const TEXT: u64 = 240_000;
    static TAKES: OnceLock<u64> = OnceLock::new();
    let takes = TAKES.get_or_init(|| log_bytes(&Run::of_file(write(TEXT as usize)), 0));
    write(usize::try_from(TEXT + STEP_BYTES - room - takes).unwrap())
}

/// How many bytes of a log a run takes, undisturbed.
fn log_bytes(run: &Run, end: i32) -> u64 {
    let output = ran(&mut run.start());
    assert_eq!(output.status.code(), Some(end), "{}", said(&output));
    fs::metadata(run.data().join("00000000.seg")).unwrap().len()
}

/// At several points of the run: which part of what it writes finds room.
fn parts() -> Vec<u64> {
    if deep() { (20..95).step_by(5).collect() } else { vec![50, 70, 90] }
}

/// Fills the disk at each point, where it is full in the middle, and something had been executed at one of them.
fn in_the_middle(name: &str, takes: u64, ends: &[i32], run: &dyn Fn() -> Place) {
    let (begun, executed) = in_parts(name, takes, &parts(), ends, run);
    assert!(begun > 1 && executed > 0, "{name}: {begun} begun, {executed} executed");
}

/// Fills the disk where these parts of what a run writes have found room, and counts where it was begun and where something
/// had been executed.
fn in_parts(name: &str, takes: u64, parts: &[u64], ends: &[i32], run: &dyn Fn() -> Place) -> (u32, u32) {
    let (mut begun, mut executed) = (0, 0);
    for part in parts {
        let place = run();
        let room = takes * part / 100;
        let what = format!("{name}, room for {part} %");
        let disk = Disk::Used { before: before(place.run.folder.path(), room), room };
        let left = filled(&place.run.file, place.run.folder.path(), &disk);
        assert!(holds(&what, ends, &left), "{what}: it was not full: {}", left.first);
        begun += u32::from(!left.sagas.is_empty());
        let steps = left.sagas.iter().flat_map(|saga| saga["steps"].as_array().into_iter().flatten());
        executed += u32::from(steps.map(|step| step["executes"].as_u64().unwrap()).sum::<u64>() > 0);
    }
    println!("{name} takes {takes} bytes: {begun} begun, {executed} executed");
    (begun, executed)
}

/// A run, and what has to stay there for it.
struct Place {
    run: Run,
    _needs: Option<crate::sagas::Agency>,
}

#[test]
fn a_full_disk_in_the_middle_of_each_example_is_told_and_the_run_ends_well_when_there_is_room() {
    for (name, end) in EXAMPLES {
        let takes = log_bytes(&Run::of(name), end);
        in_the_middle(name, takes, &[end], &|| Place { run: Run::of(name), _needs: None });
    }
    let (run, _agency) = travel();
    let takes = log_bytes(&run, 4);
    in_the_middle("travel.toml", takes, &[3, 4], &|| {
        let (run, agency) = travel();
        Place { run, _needs: Some(agency) }
    });
}

#[test]
fn a_full_disk_in_the_middle_of_each_scenario_is_told_and_it_ends_well_when_there_is_room() {
    let parts = if deep() { parts() } else { vec![75] };
    let executed = AtomicU32::new(0);
    at_once(scenarios(), |scenario| {
        // Who is refused at once has no middle.
        if scenario.programs == 0 {
            return;
        }
        let Scenario { name, end, takes, .. } = scenario;
        let run = || Place { run: Run::of(name), _needs: None };
        // In one of them a step has no probe; where nobody can tell what such a step did, it is undone.
        let ends = if name.ends_with("-proven.toml") { vec![*end, 3] } else { vec![*end] };
        let found = in_parts(name, *takes, &parts, &ends, &run);
        assert!(found.0 > 0, "{name}: not begun");
        executed.fetch_add(u32::from(found.1 > 0), Ordering::SeqCst);
    });
    let executed = executed.into_inner();
    assert!(executed > 6, "something had been executed in {executed} of them only");
}

/// The same of the example with the five packages, whose log takes so much.
pub fn five(takes: u64, run: &dyn Fn() -> Run) -> (u32, u32) {
    let parts = if deep() { parts() } else { vec![60] };
    in_parts("kernels.toml", takes, &parts, &[3], &|| Place { run: run(), _needs: None })
}

#[test]
fn a_full_disk_at_the_beginning_of_each_example_is_told_and_the_run_ends_well_when_there_is_room() {
    let step = if deep() { 4 } else { 40 };
    // The log takes 256 KiB at once; what comes on top is what steps print.
    for free in [0, 100].into_iter().chain((260..=330).step_by(step)) {
        let disk = Disk::New { free };
        for (name, end) in EXAMPLES {
            let folder = tempfile::tempdir().unwrap();
            let left = filled(&workspace().join("examples").join(name), folder.path(), &disk);
            let full = holds(&format!("{name}, {free} KiB"), &[end], &left);
            assert!(full || free > 200, "{name}, {free} KiB");
        }
        let (run, _agency) = travel();
        let left = filled(&run.file, run.folder.path(), &disk);
        holds(&format!("travel.toml, {free} KiB"), &[3, 4], &left);
    }
}
