//! The examples' commands, carried out as they stand: each step does what it says, its probe tells the truth, its undo
//! restores, and all of it also when a command was stopped half way.

use crate::root;
use hv_cli::plan::{Bound, BoundStep, Format, Plan, Source};
use hv_saga::{Purpose, Task, Value};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

fn example(name: &str) -> Plan {
    let plan = Plan::load(&root().join("examples").join(name)).unwrap();
    plan.check_references().unwrap();
    plan
}

/// A run of an example without a supervisor.
struct Run {
    work: TempDir,
    bound: Bound,
}

impl Run {
    fn of(plan: &Plan) -> Self {
        // A name that would mean something to a shell, were it not quoted.
        let work = tempfile::Builder::new().prefix("it's $HOME; {x}").tempdir().unwrap();
        let bound = plan.bind(work.path()).unwrap();
        let run = Self { work, bound };
        for step in &run.bound.setup {
            assert_eq!(run.probe(step), 1, "{}", step.def.id);
            assert_eq!(run.execute(step), 0, "{}", step.def.id);
            assert_eq!(run.probe(step), 0, "{}", step.def.id);
        }
        run
    }

    fn command(&self, task: &Task) -> Command {
        let Task::Command(task) = task else { panic!("{task:?}") };
        let mut command = Command::new(&task.argv[0]);
        command.args(&task.argv[1..]).current_dir(task.cwd.as_ref().unwrap()).env_clear();
        for name in ["PATH", "HOME"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        for (name, value) in &task.env {
            let Value::Literal(text) = value else { panic!("{value}") };
            command.env(name, text);
        }
        command.stdin(Stdio::null());
        command
    }

    fn do_it(&self, step: &BoundStep, purpose: Purpose) -> i32 {
        let task = step.def.task(purpose).unwrap_or_else(|| panic!("{} has no {purpose}", step.def.id));
        let output = self.command(task).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // Shown by the test that fails.
        println!("{} {purpose}: {} {said}", step.def.id, output.status);
        output.status.code().unwrap()
    }

    fn execute(&self, step: &BoundStep) -> i32 {
        self.do_it(step, Purpose::Execute)
    }

    fn probe(&self, step: &BoundStep) -> i32 {
        self.do_it(step, Purpose::Probe)
    }

    /// Undoes, and once more as after a crash.
    fn undo(&self, step: &BoundStep) {
        for time in ["first", "second"] {
            assert_eq!(self.do_it(step, Purpose::Undo), 0, "{} undone a {time} time", step.def.id);
        }
        assert_eq!(self.probe(step), 1, "{} is undone", step.def.id);
    }

    /// What all observations print, with the work folder's name taken out.
    fn observe(&self) -> Vec<(String, String)> {
        let look = |seen: &hv_cli::plan::BoundObservation| {
            let output = self.command(&seen.def.execute).output().unwrap();
            assert!(output.status.success(), "{}: {}", seen.name, String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).unwrap();
            (seen.name.clone(), text.replace(self.work.path().to_str().unwrap(), "WORK"))
        };
        self.bound.observations.iter().map(look).collect()
    }

    /// Starts a task in a group of its own and stops the group after a while.
    fn stop_after(&self, task: &Task, wait: Duration) {
        let mut child =
            self.command(task).process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(wait);
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).stderr(Stdio::null()).status().unwrap();
        child.wait().unwrap();
        // A program of the group may need a moment more than its shell; one that nobody reaps stays for ever.
        let alive = || {
            Command::new("kill").args(["-0", "--", &group]).stderr(Stdio::null()).status().unwrap().success()
        };
        (0..500).take_while(|_| alive()).for_each(|_| std::thread::sleep(Duration::from_millis(2)));
        unlock(self.work.path());
    }
}

/// Git removes its locks when it is stopped, but for the instant between making one and noting that it did. Whoever
/// stops it just then has to remove the lock, as git's own message says. (A supervisor that is killed stops nothing.)
fn unlock(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            unlock(&path);
        } else if path.extension().is_some_and(|extension| extension == "lock") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

fn in_order(run: &Run) -> Vec<&BoundStep> {
    assert!(run.bound.steps.iter().enumerate().all(|(n, step)| {
        let after: Vec<u32> = (0..u32::try_from(n).unwrap()).last().into_iter().collect();
        step.def.after == after
    }));
    run.bound.steps.iter().collect()
}

#[test]
fn the_release_publishes_and_every_step_can_be_undone_exactly() {
    let run = Run::of(&example("release.toml"));
    let mut states = vec![run.observe()];
    assert_eq!(run.bound.observations.len(), 5);
    for step in in_order(&run) {
        assert_eq!(run.probe(step), 1, "{} before", step.def.id);
        assert_eq!(run.execute(step), 0, "{}", step.def.id);
        assert_eq!(run.probe(step), 0, "{} after", step.def.id);
        states.push(run.observe());
    }
    let seen: String = states.last().unwrap().iter().map(|(_, text)| text.as_str()).collect();
    assert!(seen.contains("refs/tags/v1.1.0") && seen.contains("refs/heads/release/1.1.0"), "{seen}");
    let remote = &run.bound.paths["remote"];
    let tagged = Command::new("git").args(["-C", remote, "show", "v1.1.0:VERSION"]).output().unwrap();
    assert_eq!(tagged.stdout, b"1.1.0\n");
    for step in in_order(&run).into_iter().rev() {
        states.pop();
        run.undo(step);
        assert_eq!(&run.observe(), states.last().unwrap(), "{} undone", step.def.id);
    }
    for step in run.bound.setup.iter().rev() {
        run.undo(step);
    }
    assert_eq!(std::fs::read_dir(run.work.path()).unwrap().count(), 0);
}

#[test]
fn two_releases_give_the_same_commits() {
    let plan = example("release.toml");
    let seen: Vec<_> = (0..2)
        .map(|_| {
            let run = Run::of(&plan);
            in_order(&run).into_iter().for_each(|step| assert_eq!(run.execute(step), 0));
            run.observe()
        })
        .collect();
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn the_failing_release_fails_to_publish_and_leaves_nothing() {
    let plan = example("release-fails.toml");
    let run = Run::of(&plan);
    let before = run.observe();
    let steps = in_order(&run);
    let (publish, done) = steps.split_last().unwrap();
    assert_eq!(publish.def.id.as_str(), "publish");
    assert!(publish.def.retry.max >= 1 && publish.def.retry.cap <= Duration::from_secs(1));
    done.iter().for_each(|step| assert_eq!(run.execute(step), 0, "{}", step.def.id));
    for _ in 0..=publish.def.retry.max {
        assert_eq!(run.execute(publish), 1);
        assert_eq!(run.probe(publish), 1);
    }
    done.iter().rev().for_each(|step| run.undo(step));
    assert_eq!(run.observe(), before);
}

#[test]
fn the_two_releases_differ_in_the_remote_alone() {
    let read = |name: &str| {
        let text = std::fs::read_to_string(root().join("examples").join(name)).unwrap();
        let (_, text) = text.split_once("[session]").unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (works, fails) = (read("release.toml"), read("release-fails.toml"));
    let added: Vec<_> = fails.iter().filter(|line| !works.contains(line)).collect();
    assert_eq!(fails.len(), works.len() + added.len());
    assert!(
        added
            .iter()
            .all(|line| line.contains("remote.new/hooks/pre-receive") || line.contains("refs/heads/main"))
    );
}

#[test]
fn a_step_that_was_stopped_anywhere_is_completed_or_undone() {
    let rounds = if std::env::var_os("HV_DEEP").is_some() { 40 } else { 3 };
    let plan = example("release.toml");
    for round in 0..rounds {
        let run = Run::of(&plan);
        let mut states = vec![run.observe()];
        for (n, step) in in_order(&run).into_iter().enumerate() {
            for purpose in [Purpose::Execute, Purpose::Undo] {
                // From the first system calls to well after the end.
                let wait = Duration::from_micros((round * 1117 + n as u64 * 389) % 12_000);
                if purpose == Purpose::Undo {
                    assert_eq!(run.execute(step), 0, "{} completed", step.def.id);
                }
                run.stop_after(step.def.task(purpose).unwrap(), wait);
                run.undo(step);
                assert_eq!(
                    &run.observe(),
                    states.last().unwrap(),
                    "{} {purpose} after {wait:?}",
                    step.def.id
                );
            }
            run.stop_after(&step.def.execute, Duration::from_micros((round * 2003) % 9000));
            if run.probe(step) != 0 {
                assert_eq!(run.execute(step), 0, "{} completed", step.def.id);
            }
            assert_eq!(run.probe(step), 0);
            states.push(run.observe());
        }
        let undisturbed = Run::of(&plan);
        in_order(&undisturbed).into_iter().for_each(|step| assert_eq!(undisturbed.execute(step), 0));
        assert_eq!(states.last().unwrap(), &undisturbed.observe());
    }
}

#[test]
fn a_set_up_that_was_stopped_is_begun_again() {
    let rounds = if std::env::var_os("HV_DEEP").is_some() { 40 } else { 3 };
    let plan = example("release.toml");
    let wanted = Run::of(&plan).observe();
    for round in 0..rounds {
        let work = tempfile::tempdir().unwrap();
        let run = Run { bound: plan.bind(work.path()).unwrap(), work };
        for step in &run.bound.setup {
            run.stop_after(&step.def.execute, Duration::from_micros((round * 3571) % 30_000));
            if run.probe(step) != 0 {
                assert_eq!(run.execute(step), 0, "{}", step.def.id);
            }
        }
        assert_eq!(run.observe(), wanted);
    }
}

#[test]
fn the_same_session_in_json_is_the_same_plan() {
    for name in ["release.toml", "release-fails.toml"] {
        let plan = example(name);
        let text = std::fs::read_to_string(root().join("examples").join(name)).unwrap();
        let json =
            serde_json::to_string_pretty(&toml::from_str::<serde_json::Value>(&text).unwrap()).unwrap();
        let folder = plan.source().folder();
        let other = Plan::parse(&Source::new("release.json", folder, Format::Json, &json)).unwrap();
        let (bound, other) = (plan.bind(Path::new("/w")).unwrap(), other.bind(Path::new("/w")).unwrap());
        assert_eq!((bound.setup, bound.steps), (other.setup, other.steps));
        assert_eq!((bound.observations, bound.paths), (other.observations, other.paths));
    }
}

/// What is agreed to, bound and recorded is the address that the request goes to.
#[test]
fn an_address_that_is_a_path_is_completed_before_anybody_looks_at_it() {
    for (base, url, whole) in [
        ("http://127.0.0.1:8765/api/", "/v1?x", "http://127.0.0.1:8765/api/v1?x"),
        ("https://a.example", "/v1", "https://a.example/v1"),
        ("https://a.example", "https://b.example/v1", "https://b.example/v1"),
    ] {
        let text = format!(
            "[session]\nbase_url = \"{base}\"\n[[agent]]\ndid = \"did:mesh:a\"\nsigma = 0.9\n[[action]]\nid = \"pay\"\n\
             reversibility = \"none\"\n[[step]]\nid = \"pay\"\naction = \"pay\"\nagent = \"did:mesh:a\"\n\
             execute = {{ http = {{ url = \"{url}\" }} }}\n"
        );
        let plan = Plan::parse(&Source::new("pay.toml", "/", Format::Toml, &text)).unwrap();
        let bound = plan.bind(Path::new("/work")).unwrap();
        let Task::Http(request) = &*bound.steps[0].def.execute else { panic!("{:?}", bound.steps[0]) };
        assert_eq!(request.url, whole);
    }
}
