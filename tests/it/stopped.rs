//! Each example is stopped in the middle, by Ctrl-C once and twice and by SIGTERM, while a step of it runs: what is left is
//! consistent, says what to do, and ends well when just that is done. `filled.rs` does it with a full disk.

use crate::barrier::Barrier;
use crate::sagas::Agency;
use crate::scene::{assert_calm, ended, files, ran, said, signal, spawn, wait_for};
use crate::support::{Run, hv, json, workspace};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::Duration;

/// Those that need nothing but the program and git; and how they end when nobody stops them.
pub const EXAMPLES: [(&str, i32); 6] = [
    ("release.toml", 0),
    ("release-fails.toml", 3),
    ("rehearsal.toml", 0),
    ("reviews.toml", 0),
    ("late.toml", 3),
    ("vouching.toml", 3),
];

/// Those of them that leave nothing in their work folder when they are undone.
const TRACELESS: [&str; 3] = ["rehearsal.toml", "reviews.toml", "late.toml"];

/// The steps of all examples that only look.
const LOOKS: [&str; 4] = ["inspect", "look", "measure", "read"];

/// The only steps that cannot be undone when they should be: a flight that nobody cancels, and what scenarios are about.
const STAYS: [&str; 3] = ["flight", "change", "shelf"];

pub fn deep() -> bool {
    std::env::var_os("HV_DEEP").is_some()
}

/// The travel example with the service that it speaks to.
pub fn travel() -> (Run, Agency) {
    let agency = Agency::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("travel.toml");
    let text = fs::read_to_string(workspace().join("examples/travel.toml")).unwrap();
    // This service acts as soon as it is asked.
    let text = text.replace("action = \"travel.book\"", "action = \"travel.book\"\nsettles = \"0s\"");
    fs::write(&file, text.replace("8765", &agency.port.to_string())).unwrap();
    (Run { folder, file }, agency)
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{}: {}", output.status, said(output)))
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The run as a person starts it.
pub fn start(run: &Run) -> Command {
    let mut command = hv();
    command.arg("run").arg(&run.file).arg("--data").arg(run.data()).arg("--work").arg(run.work());
    command
}

pub fn verdict(run: &Run, more: &[&str]) -> Value {
    let verified = hv().args(["audit", "verify", "--json"]).args(more).arg(run.data()).output().unwrap();
    json(&verified)["verdict"].clone()
}

/// That a report tells of a run that is whole: done, or undone to the last step.
pub fn assert_consistent(what: &str, report: &Value) {
    let in_state = |of: &str, state: &str| {
        let steps = report[of].as_array().unwrap().iter();
        steps.filter(|step| step["state"] == state).map(|step| step["id"].clone()).collect::<Vec<_>>()
    };
    let state = |state: &str| in_state("steps", state);
    match report["exit_code"].as_i64() {
        Some(0) => {
            assert!(report["outcome"] == "completed" && state("pending").is_empty(), "{what}: {report:#}")
        }
        Some(3) => {
            assert_eq!(report["outcome"], "rolled_back", "{what}: {report:#}");
            // Where somebody looked there is nothing to undo.
            let mut committed = state("committed");
            committed.retain(|step| step.as_str().is_none_or(|step| !LOOKS.contains(&step)));
            assert_eq!(committed, Vec::<Value>::new(), "{what}: {report:#}");
            for seen in report["observations"].as_array().unwrap() {
                // What was stopped before its work, or in its set-up, was not looked at twice.
                let twice = seen["before"].is_string() && seen["after"].is_string();
                assert!(seen["equal"] == true || !twice, "{what}: {report:#}");
            }
        }
        Some(4) => {
            assert_eq!(report["outcome"], "escalated", "{what}: {report:#}");
            let failed = ["steps", "rehearsal"].map(|of| in_state(of, "compensation_failed")).concat();
            let [step] = &failed[..] else { panic!("{what}: {report:#}") };
            assert!(STAYS.contains(&step.as_str().unwrap()), "{what}: {report:#}");
        }
        // Who was refused before anything was done.
        Some(5) => {
            assert_eq!(report["outcome"], "denied", "{what}: {report:#}");
            assert!(state("committed").is_empty(), "{what}: {report:#}");
        }
        other => panic!("{what}: {other:?}: {report:#}"),
    }
    assert_eq!(report["verify"]["verdict"], "complete", "{what}: {report:#}");
    assert!(report["root"].is_string(), "{what}: {report:#}");
}

/// A way to stop a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    CtrlC,
    CtrlCTwice,
    Termination,
}

impl By {
    pub const ALL: [Self; 3] = [Self::CtrlC, Self::CtrlCTwice, Self::Termination];

    /// What is held goes on only when hv has heard the last signal.
    fn stop(self, child: &Child, let_go: impl FnOnce()) {
        self.stop_by(|name| signal(child, name), let_go);
    }

    /// The same with whatever sends a signal.
    pub fn stop_by(self, send: impl Fn(&str), let_go: impl FnOnce()) {
        let names: &[&str] = match self {
            Self::CtrlC => &["INT"],
            Self::CtrlCTwice => &["INT", "INT"],
            Self::Termination => &["TERM"],
        };
        for name in names {
            send(name);
            std::thread::sleep(Duration::from_millis(100));
        }
        let_go();
    }

    /// How a run ends that is stopped by it and gone on with, which ends so when nobody stops it.
    pub fn ends(self, undisturbed: i32) -> i32 {
        match (self, undisturbed) {
            // Who is only terminated goes forward again.
            (Self::Termination, end) => end,
            // What cannot be undone cannot be undone then either.
            (_, 4) => 4,
            _ => 3,
        }
    }
}

/// Sends the signals to a run that is held in the middle, looks at what it says, does that, and gives the last report.
pub fn stopped(what: &str, run: &Run, by: By, child: Child, let_go: impl FnOnce()) -> Value {
    stopped_with(what, run, (by, 3, &[]), child, let_go)
}

/// Variables that a command needs, also one that goes on with a run.
type Needs<'a> = &'a [(&'a str, &'a Path)];

/// The same of one that ends so when it is told to undo, and where whatever goes on with it needs something.
pub fn stopped_with(
    what: &str,
    run: &Run,
    (by, undone, needs): (By, i32, Needs),
    child: Child,
    let_go: impl FnOnce(),
) -> Value {
    by.stop(&child, let_go);
    let output = ended(child);
    let (told, summary) = (said(&output), printed(&output));
    if by != By::Termination {
        let tells = "interrupted: undoing what was done; once more to stop at once, to be resumed";
        assert!(told.contains(tells), "{what}: {told}");
    }
    let last = if by == By::CtrlC {
        assert_eq!(code(&output), undone, "{what}: {told}{summary}");
        let undid = if undone == 4 {
            ": escalated; something could not be undone and waits for a person\n"
        } else {
            ": failed; everything is undone\n"
        };
        assert!(summary.contains(undid), "{what}: {summary}");
        // It is over; this tells it again.
        ran(run.resume().envs(needs.iter().copied()))
    } else {
        assert_eq!(code(&output), 130, "{what}: {told}{summary}");
        let next = format!("hv run --resume --data {}", run.data().display());
        assert!(summary.contains(&format!(": interrupted; go on with `{next}`\n")), "{what}: {summary}");
        let tells = format!("stopping; nothing more starts; go on later with `{next}`\n");
        assert!(told.contains(&tells), "{what}: {told}");
        assert_eq!(verdict(run, &[]), "open", "{what}");
        does(&summary, needs)
    };
    assert!(!last.stdout.is_empty(), "{what}: {}", said(&last));
    let report = json(&last);
    assert_eq!(report["exit_code"], code(&last), "{what}");
    assert_consistent(what, &report);
    assert_eq!(verdict(run, &["--sealed"]), "complete", "{what}");
    report
}

/// Does what is said between the first two backticks of a text.
fn does(text: &str, needs: Needs) -> Output {
    let command = text.split('`').nth(1).and_then(|command| command.strip_prefix("hv ")).unwrap();
    let line = format!("\"$0\" {command} --json");
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).arg(hv().get_program()).envs(needs.iter().copied());
    ran(&mut shell)
}

/// How many programs an example begins, undisturbed.
fn programs(name: &str, end: i32) -> usize {
    let (run, barrier) = (Run::of(name), Barrier::before(0));
    let output = ran(&mut barrier.under(start(&run)));
    assert_eq!(code(&output), end, "{name}: {}", said(&output));
    barrier.count()
}

/// Before which program an example of so many is stopped: at the beginning, and in the first two thirds.
fn points(programs: usize) -> Vec<usize> {
    assert!(programs > 3, "{programs}");
    if deep() { (1..=programs * 2 / 3).collect() } else { vec![1, programs / 3 + 1, programs * 2 / 3] }
}

fn each_is_stopped(by: By) {
    for (name, end) in EXAMPLES {
        let mut turned = 0;
        for number in points(programs(name, end)) {
            let what = format!("{name} before program {number}");
            let (run, barrier) = (Run::of(name), Barrier::before(number));
            let child = spawn(&mut barrier.under(start(&run)));
            barrier.reached();
            let report = stopped(&what, &run, by, child, || barrier.let_go());
            turned += u32::from(report["cause"].as_str().is_some_and(|why| why.contains("cancelled")));
            let ends = by.ends(end);
            assert_eq!(report["exit_code"], ends, "{what}: {report:#}");
            if ends == 3 && TRACELESS.contains(&name) {
                assert_eq!(files(&run.work()), Vec::<std::path::PathBuf>::new(), "{what}");
            }
        }
        assert_eq!(turned > 0, by != By::Termination, "{name} was turned back by whoever pressed Ctrl-C");
    }
    let (run, agency) = travel();
    agency.hold();
    let child = spawn(&mut start(&run));
    wait_for("the first booking", || is_asked(&run.data()));
    let report = stopped("travel.toml", &run, by, child, || agency.let_go());
    let (ends, booked) = if by == By::Termination { (4, json!(["flight"])) } else { (3, json!([])) };
    assert_eq!(report["exit_code"], ends, "{report:#}");
    assert_eq!(agency.counts()["booked"], booked, "{report:#}");
}

/// Whether a step has begun, as anybody may ask.
fn is_asked(data: &Path) -> bool {
    let listed = hv().args(["saga", "list", "--json"]).arg(data).output().unwrap();
    assert_calm(&listed);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
    listed["sagas"][0]["steps"][0]["executes"] == 1
}

#[test]
fn ctrl_c_in_the_middle_of_each_example_undoes_it() {
    each_is_stopped(By::CtrlC);
}

#[test]
fn a_second_ctrl_c_in_the_middle_of_each_example_leaves_it_resumable() {
    each_is_stopped(By::CtrlCTwice);
}

#[test]
fn a_termination_in_the_middle_of_each_example_leaves_it_resumable() {
    each_is_stopped(By::Termination);
}
