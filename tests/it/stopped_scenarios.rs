//! Each scenario that is a session file, and the example with the five packages, is stopped in the middle, as `stopped.rs`
//! does it with the other examples.

use crate::barrier::Barrier;
use crate::filled;
use crate::kernels::{PATIENCE, Server, example, python};
use crate::scene::{files, ran, said, spawn};
use crate::stopped::{By, code, deep, start, stopped_with};
use crate::support::{Run, workspace};
use hv_core::integrations::context::ContextStore;
use hv_core::integrations::http::CaasStore;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// A scenario, and what it does when nobody stops it.
pub struct Scenario {
    /// Below the folder of examples.
    pub name: String,
    pub end: i32,
    pub programs: usize,
    /// Bytes of its log.
    pub takes: u64,
    leaves: Vec<PathBuf>,
}

/// All that are session files.
pub fn scenarios() -> &'static [Scenario] {
    static SCENARIOS: OnceLock<Vec<Scenario>> = OnceLock::new();
    SCENARIOS.get_or_init(|| {
        let folder = workspace().join("examples/scenarios");
        let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let all: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|of| of == "toml")).collect();
        let found = Mutex::new(Vec::new());
        at_once(&all, |path| found.lock().unwrap().push(undisturbed(path)));
        found.into_inner().unwrap()
    })
}

fn undisturbed(path: &Path) -> Scenario {
    let name = format!("scenarios/{}", path.file_name().unwrap().to_str().unwrap());
    let expected = fs::read(path.with_extension("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let (run, barrier) = (Run::of(&name), Barrier::before(0));
    let output = ran(&mut barrier.under(start(&run)));
    assert_eq!(i64::from(code(&output)), expected["exit_code"], "{name}: {}", said(&output));
    Scenario { end: code(&output), programs: barrier.count(), takes: logged(&run), leaves: left(&run), name }
}

/// How many bytes the log of a run that is over takes.
pub fn logged(run: &Run) -> u64 {
    fs::metadata(run.data().join("00000000.seg")).unwrap().len()
}

/// What is in the work folder, by its names there.
fn left(run: &Run) -> Vec<PathBuf> {
    let work = run.work();
    let files = if work.exists() { files(&work) } else { Vec::new() };
    files.iter().map(|file| file.strip_prefix(&work).unwrap().to_owned()).collect()
}

/// Before which program of so many one is stopped: where a rehearsal is over and more than the end is still to come.
fn points(programs: usize) -> Vec<usize> {
    let last = (programs * 2).div_ceil(3);
    if deep() { (1..=last).collect() } else { vec![last] }
}

/// Does it with each, several at a time: most of it is waiting.
pub fn at_once<T: Sync>(all: &[T], does: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                    does(one);
                }
            });
        }
    });
}

fn each_is_stopped(by: By) {
    at_once(scenarios(), |scenario| {
        // Who is refused at once begins no program, so there is nothing in which to stop it.
        assert_eq!(scenario.programs == 0, scenario.end == 5, "{}: {}", scenario.name, scenario.programs);
        for number in points(scenario.programs) {
            if number > 0 {
                one_is_stopped(scenario, number, by);
            }
        }
    });
}

fn one_is_stopped(Scenario { name, end, programs, leaves, .. }: &Scenario, number: usize, by: By) {
    let what = format!("{name} before program {number} of {programs}, {by:?}");
    let (run, barrier) = (Run::of(name), Barrier::before(number));
    let child = spawn(&mut barrier.under(start(&run)));
    barrier.reached();
    let ends = by.ends(*end);
    let report = stopped_with(&what, &run, (by, ends, &[]), child, || barrier.let_go());
    assert_eq!(report["exit_code"], ends, "{what}: {report:#}");
    let left = left(&run);
    if by == By::Termination {
        assert_eq!(left, *leaves, "{what}: it goes forward to where it goes undisturbed");
    } else {
        // What stays when all is undone is what stays when it undoes itself.
        let stays = |file| *end != 0 && leaves.contains(file);
        assert!(left.iter().all(stays), "{what}: {left:?}");
    }
}

#[test]
fn ctrl_c_in_the_middle_of_each_scenario_undoes_it() {
    each_is_stopped(By::CtrlC);
}

#[test]
fn a_second_ctrl_c_in_the_middle_of_each_scenario_leaves_it_resumable() {
    each_is_stopped(By::CtrlCTwice);
}

#[test]
fn a_termination_in_the_middle_of_each_scenario_leaves_it_resumable() {
    each_is_stopped(By::Termination);
}

/// The two of the five packages that are servers.
struct Servers {
    sidecar: Server,
    caas: Server,
}

impl Servers {
    fn start(python: &Path) -> Self {
        let env = [("IATP_AGENT_ID", "did:mesh:analyst"), ("IATP_TRUST_LEVEL", "trusted")];
        // Both at once: each takes seconds.
        std::thread::scope(|scope| {
            let caas = scope.spawn(|| Server::start(python, "caas.api.server:app", &[]));
            let sidecar = Server::start(python, "iatp.main:app", &env);
            Self { sidecar, caas: caas.join().unwrap() }
        })
    }

    fn example(&self) -> Run {
        example(&self.sidecar.url, &self.caas.url)
    }

    /// The plan, where the store has it.
    fn shared(&self) -> Option<String> {
        CaasStore::new(&self.caas.url, PATIENCE)
            .read("/sessions/kernels/plan.txt")
            .unwrap()
            .map(|file| file.content)
    }
}

#[test]
fn the_example_with_the_five_packages_stopped_or_on_a_full_disk_in_the_middle_leaves_nothing_in_the_store() {
    let Some(python) = python() else { return };
    let servers = Servers::start(&python);
    let needs = [("HV_KERNELS_PYTHON", python.as_path())];
    // Before the second program the plan is shared, and nothing measured.
    let points = if deep() {
        let (run, barrier) = (servers.example(), Barrier::before(0));
        let mut command = barrier.under(start(&run));
        assert_eq!(code(&ran(command.envs(needs))), 3);
        (1..=barrier.count()).collect()
    } else {
        vec![2]
    };
    let mut takes = 0;
    for number in points {
        for by in By::ALL {
            let what = format!("kernels.toml before program {number}, {by:?}");
            let (run, barrier) = (servers.example(), Barrier::before(number));
            let mut command = barrier.under(start(&run));
            let child = spawn(command.envs(needs));
            barrier.reached();
            if number == 2 {
                assert_eq!(servers.shared().as_deref(), Some("the plan\n"), "{what}");
            }
            let report = stopped_with(&what, &run, (by, 3, &needs), child, || barrier.let_go());
            assert_eq!(report["exit_code"], 3, "{what}: {report:#}");
            assert_eq!(servers.shared(), None, "{what}: {report:#}");
            assert_eq!(left(&run), Vec::<PathBuf>::new(), "{what}: {report:#}");
            takes = logged(&run);
        }
    }
    // And where its disk becomes full.
    let run = || {
        let run = servers.example();
        let text = fs::read_to_string(&run.file).unwrap();
        fs::write(&run.file, text.replace("env:HV_KERNELS_PYTHON", python.to_str().unwrap())).unwrap();
        run
    };
    let (begun, executed) = filled::five(takes, &run);
    assert!(begun > 0 && executed > 0, "{begun} begun, {executed} executed");
    assert_eq!(servers.shared(), None);
}
