//! Scripts that work in live sessions are stopped in the middle, with all that they have begun, as a terminal and a service
//! manager do it: what ran is undone or taken up by the next command, and the session goes on and ends well.

use crate::barrier::Barrier;
use crate::live::Desk;
use crate::scene::{assert_calm, ended, files, ran, said, signal, spawn, wait_for};
use crate::stopped::{By, code, deep};
use crate::stopped_scenarios::at_once;
use crate::support::{hv, json, workspace};
use serde_json::Value;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::{Mutex, OnceLock};

const NOTICE: &str = "hv: interrupted; undoing what was done. Once more to stop at once\n";
const LATER: &str = " was stopped; the next command takes it up\n";

/// The one of them in which a step cannot be undone, which is what it is about; and what the step leaves.
const UNHEALTHY: (&str, &str) = ("reversibility-unhealthy.sh", "two");

/// What scripts write for themselves.
const NOTES: [&str; 2] = ["verdict", "why"];

/// A script, and how many programs hv begins for it when nobody stops it.
pub struct Script {
    pub path: PathBuf,
    programs: usize,
    /// What the log takes then, in bytes.
    pub takes: u64,
}

impl Script {
    pub fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    pub fn is_unhealthy(&self) -> bool {
        self.name() == UNHEALTHY.0
    }
}

/// Every script among the examples.
pub fn scripts() -> &'static [Script] {
    static SCRIPTS: OnceLock<Vec<Script>> = OnceLock::new();
    SCRIPTS.get_or_init(|| {
        let mut all = Vec::new();
        for folder in ["examples/scenarios", "examples/shell-agent"] {
            let entries = fs::read_dir(workspace().join(folder)).unwrap().map(|entry| entry.unwrap().path());
            all.extend(entries.filter(|path| path.extension().is_some_and(|of| of == "sh")));
        }
        assert!(all.len() >= 4, "{all:?}");
        let found = Mutex::new(Vec::new());
        at_once(&all, |path| {
            let desk = Place::new(0);
            let output = ended(desk.start(path));
            assert!(output.status.success(), "{}: {}", path.display(), desk.barrier.said());
            let takes = fs::metadata(desk.data().join("00000000.seg")).unwrap().len();
            found.lock().unwrap().push(Script { path: path.clone(), programs: desk.barrier.count(), takes });
        });
        found.into_inner().unwrap()
    })
}

/// Where a script works, and with which hv.
struct Place {
    folder: tempfile::TempDir,
    barrier: Barrier,
}

impl Place {
    fn new(number: usize) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), barrier: Barrier::before(number) };
        fs::create_dir(place.work()).unwrap();
        place
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("trail")
    }

    /// The script in a process group of its own, in which a signal means what it means at a terminal.
    fn start(&self, script: &Path) -> Child {
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,TERM", "sh"]).arg(script).current_dir(self.work());
        command.env("HV", self.barrier.hv()).env("DATA", self.data()).process_group(0);
        spawn(&mut command)
    }

    fn hv(&self, words: &[&str]) -> Output {
        let mut command = hv();
        command.args(words).arg("--data").arg(self.data()).current_dir(self.work());
        ran(&mut command)
    }

    fn verdict(&self, more: &[&str]) -> Value {
        let verified = ran(hv().args(["audit", "verify", "--json"]).args(more).arg(self.data()));
        json(&verified)["verdict"].clone()
    }
}

/// Before which programs of so many a script is stopped.
fn points(programs: usize) -> Vec<usize> {
    if deep() { (1..=programs).collect() } else { vec![(programs * 2).div_ceil(3)] }
}

fn each_is_stopped(by: By) {
    let all =
        scripts().iter().flat_map(|script| points(script.programs).into_iter().map(move |at| (script, at)));
    at_once(&all.collect::<Vec<_>>(), |(script, number)| one_is_stopped(script, *number, by));
}

fn one_is_stopped(script: &Script, number: usize, by: By) {
    let what = format!("{} before program {number} of {}, {by:?}", script.name(), script.programs);
    let place = Place::new(number);
    let child = place.start(&script.path);
    place.barrier.reached();
    let group = format!("-{}", child.id());
    let send = |name: &str| {
        assert!(Command::new("kill").args(["-s", name, "--", &group]).status().unwrap().success());
    };
    by.stop_by(send, || place.barrier.let_go());
    // What it has begun holds what it prints to, so that it has ended, too.
    let output = ended(child);
    let told = place.barrier.said() + &String::from_utf8_lossy(&output.stdout);
    assert!(!told.contains("panicked"), "{what}: {told}");
    assert_eq!(told.matches(NOTICE).count(), 1, "{what}: {told}");
    assert_eq!(told.matches(LATER).count(), usize::from(by == By::CtrlCTwice), "{what}: {told}");
    // Some shells go on where a program has dealt with Ctrl-C itself.
    if output.status.success() {
        assert_ne!(by, By::Termination, "{what}: {told}");
        assert_eq!(place.verdict(&["--sealed"]), "complete", "{what}: {told}");
        return;
    }
    assert_eq!(place.verdict(&[]), "open", "{what}: {told}");
    let unhealthy = script.is_unhealthy();
    // The next command, whichever: this takes back all the rest.
    let undo = place.hv(&["session", "undo", "--all"]);
    let took = said(&undo);
    assert!([0, 2].contains(&code(&undo)) || (unhealthy && code(&undo) == 4), "{what}: {took}");
    let settled = took.matches(" was interrupted; what it left is undone\n").count()
        + took.matches(" was interrupted; it could not be undone; look at it\n").count();
    assert_eq!(settled, usize::from(by == By::CtrlCTwice), "{what}: {took}");
    let status = json(&place.hv(&["session", "status", "--json"]));
    assert_settled(&what, &status, unhealthy);
    assert_untouched(&what, &place.work(), unhealthy);
    let close = place.hv(&["session", "close"]);
    assert_eq!(code(&close), 0, "{what}: {}", said(&close));
    assert_eq!(place.verdict(&["--sealed"]), "complete", "{what}");
}

/// That a session stands on nothing that was done in it.
pub fn assert_settled(what: &str, status: &Value, unhealthy: bool) {
    for step in status["steps"].as_array().unwrap() {
        let (state, action) = (step["state"].as_str().unwrap(), step["action"].as_str().unwrap());
        let stays = unhealthy && state == "compensation_failed";
        let looks = action.ends_with("look") && state == "committed";
        let over = ["compensated", "denied", "pending"].contains(&state);
        assert!(over || looks || stays, "{what}: {status:#}");
    }
}

/// That nothing is left of what was done under hv.
pub fn assert_untouched(what: &str, work: &Path, unhealthy: bool) {
    let checkout = work.join("checkout");
    if checkout.exists() {
        let git = |arguments: &[&str]| {
            let output = Command::new("git").arg("-C").arg(&checkout).args(arguments).output().unwrap();
            assert!(output.status.success(), "{what}: {arguments:?}: {}", said(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(git(&["log", "--all", "--format=%s"]), "Begin\n", "{what}");
        assert_eq!(git(&["status", "--porcelain"]), "", "{what}");
        assert_eq!(git(&["ls-remote", "origin"]), "", "{what}");
        return;
    }
    for file in files(work) {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(NOTES.contains(&name) || (unhealthy && name == UNHEALTHY.1), "{what}: {name} is left");
    }
}

#[test]
fn ctrl_c_in_the_middle_of_a_script_undoes_what_runs() {
    each_is_stopped(By::CtrlC);
}

#[test]
fn a_second_ctrl_c_in_the_middle_of_a_script_leaves_what_runs_to_the_next_command() {
    each_is_stopped(By::CtrlCTwice);
}

#[test]
fn a_termination_in_the_middle_of_a_script_undoes_what_runs() {
    each_is_stopped(By::Termination);
}

/// Once is asked while one is undone, and once more while the next is: that stops it, and says so.
#[test]
fn a_second_ctrl_c_stops_an_undo_of_several_and_the_next_one_finishes_it() {
    let desk = Desk::new(&["change=full"]);
    for name in ["a", "b", "c"] {
        let mut exec = desk.exec("did:mesh:coder", "change");
        let undo = format!("touch at-{name}; until test -e go-{name}; do sleep 0.02; done; rm {name}");
        exec.args([
            "--step",
            name,
            "--undo",
            &undo,
            "--probe",
            &format!("test -e {name}"),
            "--",
            "touch",
            name,
        ]);
        assert_eq!(code(&ran(&mut exec)), 0);
    }
    let undo = || {
        let mut undo = desk.session("undo");
        undo.arg("--all");
        undo
    };
    let there = |name: &str| desk.work().join(name).exists();
    let go = |name: &str| fs::write(desk.work().join(name), "").unwrap();
    let child = spawn(&mut undo());
    for name in ["c", "b"] {
        wait_for("the undo", || there(&format!("at-{name}")));
        signal(&child, "INT");
        std::thread::sleep(std::time::Duration::from_millis(100));
        go(&format!("go-{name}"));
    }
    go("go-a");
    let output = ended(child);
    let told = said(&output) + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), 130, "{told}");
    assert_eq!(told.matches(NOTICE).count(), 1, "{told}");
    assert!(told.contains("c is undone\n") && told.contains(&format!("b{LATER}")), "{told}");
    assert!(!there("c") && !there("at-a"), "{told}");
    let again = ran(&mut undo());
    assert_eq!(code(&again), 0, "{}", said(&again));
    assert!(said(&again).contains("b was interrupted; what it left is undone"), "{}", said(&again));
    assert!(!there("a") && !there("b"), "{}", said(&again));
    let close = ran(&mut desk.session("close"));
    assert_calm(&close);
    assert_eq!((code(&close), desk.verdict()), (0, hv_audit::Verdict::Complete));
}
