//! Real programs: what they get, what they say, and how they end.

use crate::running::{Slip, attempt, execute, now, plan, run};
use crate::simulation::step;
use hv_saga::drive::Control;
use hv_saga::exec::{CommandExecutor, Printed, Relay, system_clock};
use hv_saga::{
    Class, CommandTask, Executor, Failure, Outcome, Output, ProbeAnswer, Purpose, Reason, SagaState,
    StartProblem, StepDef, Task, Value, Verdict,
};
use hv_types::Digest;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

fn executor() -> CommandExecutor {
    CommandExecutor::new("run-of-a-test").with_grace(Duration::from_millis(300))
}

fn shell(script: &str) -> Task {
    Task::command(["sh", "-c", script])
}

fn failed(class: Class, reason: Reason) -> Verdict {
    Verdict::Failed(Failure::new(class, reason))
}

fn output(outcome: &Outcome) -> &Output {
    outcome.output.as_ref().unwrap()
}

fn stdout(outcome: &Outcome) -> String {
    String::from_utf8(output(outcome).stdout.clone()).unwrap()
}

#[tokio::test]
async fn exit_codes_and_what_they_mean() {
    use Class::{Permanent, Retryable, Unknown};
    let answer = Verdict::Answer;
    let exit = |class, code| failed(class, Reason::Exit { code });
    for (script, purpose, verdict) in [
        ("exit 0", Purpose::Execute, Verdict::Done),
        ("exit 1", Purpose::Execute, exit(Retryable, 1)),
        ("exit 126", Purpose::Execute, exit(Permanent, 126)),
        ("no-such-program-anywhere", Purpose::Execute, exit(Permanent, 127)),
        ("kill -9 $$", Purpose::Execute, failed(Unknown, Reason::Signal { signal: 9 })),
        ("exit 0", Purpose::Undo, Verdict::Done),
        ("exit 3", Purpose::Undo, exit(Retryable, 3)),
        ("exit 0", Purpose::Probe, answer(ProbeAnswer::Present)),
        ("exit 1", Purpose::Probe, answer(ProbeAnswer::Absent)),
        ("exit 2", Purpose::Probe, exit(Unknown, 2)),
    ] {
        let attempt = attempt(shell(script), purpose, Duration::from_secs(20));
        let outcome = executor().run(Slip::Good, &attempt).await;
        assert_eq!(outcome.verdict, verdict, "{script} as {purpose}");
    }
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    fs::write(&plain, "echo never").unwrap();
    let not_started = |problem| failed(Permanent, Reason::NotStarted { problem });
    for (task, verdict) in [
        (Task::command(["no-such-program-anywhere"]), not_started(StartProblem::NotFound)),
        (Task::command([plain.to_str().unwrap()]), not_started(StartProblem::NotAllowed)),
        (
            Task::from(CommandTask {
                argv: vec!["true".into()],
                cwd: Some("/no/such/folder".into()),
                ..CommandTask::default()
            }),
            not_started(StartProblem::NotFound),
        ),
    ] {
        assert_eq!(execute(&executor(), task).await.verdict, verdict);
    }
}

/// Whoever is told what programs print, and may be busy for good.
#[derive(Default)]
struct Reader {
    busy: AtomicBool,
    heard: Mutex<Vec<(Printed, Vec<u8>)>>,
}

impl Relay for Reader {
    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<()> {
        if self.busy.load(Ordering::SeqCst) { Poll::Pending } else { Poll::Ready(()) }
    }

    fn pass(&self, printed: Printed, bytes: &[u8]) {
        self.heard.lock().unwrap().push((printed, bytes.to_vec()));
    }
}

impl Reader {
    fn heard(&self, from: Printed) -> String {
        let heard = std::mem::take(&mut *self.heard.lock().unwrap());
        let of = heard.iter().filter(|(printed, _)| *printed == from);
        String::from_utf8(of.flat_map(|(_, bytes)| bytes.clone()).collect()).unwrap()
    }
}

#[tokio::test]
async fn what_a_program_prints_is_passed_on_and_kept_within_bounds() {
    let reader = Arc::new(Reader::default());
    let executor = executor().with_output_bytes(10).with_relay(reader.clone());
    let outcome = execute(&executor, shell("echo 0123456789abcdef; echo aside >&2")).await;
    assert_eq!((stdout(&outcome).as_str(), output(&outcome).dropped), ("0123456789", 7));
    assert_eq!(reader.heard(Printed::Stdout), "0123456789abcdef\n");
    assert_eq!(execute(&executor, shell("echo out; echo aside >&2")).await.verdict, Verdict::Done);
    assert_eq!(reader.heard(Printed::Stderr), "aside\n");
    // Undo and probes are nobody's business but hv's.
    for purpose in [Purpose::Undo, Purpose::Probe] {
        let attempt = attempt(shell("echo undone"), purpose, Duration::from_secs(20));
        assert_eq!(stdout(&executor.run(Slip::Good, &attempt).await), "undone\n");
        assert_eq!(reader.heard(Printed::Stdout), "");
    }
    // Whoever is not ready holds the program up; its time goes on, and what it has printed is read at its end.
    reader.busy.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let attempt =
        attempt(shell("head -c 1000000 /dev/zero; echo never"), Purpose::Execute, Duration::from_millis(300));
    let outcome = executor.run(Slip::Good, &attempt).await;
    assert_eq!(outcome.verdict, failed(Class::Unknown, Reason::TimedOut));
    let heard = reader.heard(Printed::Stdout);
    assert!((4096..1_000_000).contains(&heard.len()) && !heard.contains("never"), "{}", heard.len());
    assert!(began.elapsed() < Duration::from_secs(15));
    let outcome = execute(&executor, shell("echo short")).await;
    assert_eq!((outcome.verdict, reader.heard(Printed::Stdout).as_str()), (Verdict::Done, "short\n"));
}

#[tokio::test]
async fn a_program_gets_no_shell_and_a_listed_environment() {
    let told = execute(&executor(), Task::command(["printf", "%s|", "$HOME", "a b", ";ls"])).await;
    assert_eq!(stdout(&told), "$HOME|a b|;ls|");

    let folder = tempfile::tempdir().unwrap();
    let task = Task::from(CommandTask {
        argv: vec!["env".into()],
        cwd: Some(folder.path().to_str().unwrap().into()),
        env: vec![("GREETING".into(), Value::Literal("hello".into()))],
        ..CommandTask::default()
    });
    let told = stdout(&execute(&executor(), task).await);
    // Cargo sets this one for the test, and nobody lists it.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some() && !told.contains("CARGO_PKG_NAME"));
    for line in [
        "GREETING=hello",
        "HV_SESSION=s",
        "HV_SAGA=g",
        "HV_STEP=step",
        "HV_PURPOSE=execute",
        "HV_ATTEMPT=3",
        "HV_IDEMPOTENCY_KEY=s/g/step/execute",
        "HV_RUN=run-of-a-test",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} in {told}");
    }
    let pwd = Task::from(CommandTask {
        argv: vec!["pwd".into(), "-P".into()],
        cwd: Some(folder.path().to_str().unwrap().into()),
        ..CommandTask::default()
    });
    let real = folder.path().canonicalize().unwrap();
    assert_eq!(Path::new(stdout(&execute(&executor(), pwd).await).trim_end()), real);
}

#[tokio::test]
async fn input_is_fed_and_may_be_ignored() {
    let fed = |argv: &[&str], input: String| {
        Task::from(CommandTask {
            argv: argv.iter().map(|arg| (*arg).into()).collect(),
            stdin: Some(Value::Literal(input)),
            ..CommandTask::default()
        })
    };
    let long = "0123456789".repeat(50_000);
    let told = execute(&executor(), fed(&["wc", "-c"], long.clone())).await;
    assert_eq!(stdout(&told).trim(), "500000");
    assert_eq!(execute(&executor(), fed(&["true"], long)).await.verdict, Verdict::Done);
    assert_eq!(stdout(&execute(&executor(), Task::command(["cat"])).await), "");
}

#[tokio::test]
async fn a_flood_is_drained_and_counted() {
    let flood = "yes 0123456 | head -c 3000000; yes abcdefg | head -c 100000 >&2";
    let outcome = execute(&executor().with_output_bytes(1000), shell(flood)).await;
    assert_eq!(outcome.verdict, Verdict::Done);
    let output = output(&outcome);
    assert_eq!((output.stdout.len(), output.stderr.len()), (1000, 1000));
    assert_eq!(output.dropped, 3_000_000 + 100_000 - 2000);
}

/// Its time over, a program gets SIGTERM and may still say something; the outcome stays unknown.
#[tokio::test]
async fn a_program_that_is_late_is_asked_to_end() {
    let script = "trap 'echo bye; exit 0' TERM; echo hello; sleep 30 & wait";
    let attempt = attempt(shell(script), Purpose::Execute, Duration::from_millis(300));
    let began = Instant::now();
    let outcome = CommandExecutor::new("r").run(Slip::Good, &attempt).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(outcome.verdict, failed(Class::Unknown, Reason::TimedOut));
    assert_eq!(stdout(&outcome), "hello\nbye\n");
}

/// Who was asked to end may clean up, also when the program that started it has ended already.
#[tokio::test]
async fn what_a_late_program_started_is_asked_too_and_heard_out() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    let script = format!(
        "(trap 'sleep 0.3; rm {lock}; exit' TERM; touch {lock}; sleep 30 & wait) & sleep 30",
        lock = lock.display()
    );
    let attempt = attempt(shell(&script), Purpose::Execute, Duration::from_millis(300));
    let began = Instant::now();
    let outcome = CommandExecutor::new("r").run(Slip::Good, &attempt).await;
    assert_eq!(outcome.verdict, failed(Class::Unknown, Reason::TimedOut));
    assert!(!lock.exists(), "it was killed in the middle of that");
    assert!(began.elapsed() < Duration::from_secs(3), "it had ended long before: {:?}", began.elapsed());
}

/// One that ignores SIGTERM, with a child that does too, is killed with its group.
#[tokio::test]
async fn a_program_that_ignores_the_request_is_killed_with_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("alive");
    let script = format!(
        "trap '' TERM; (while :; do echo x >> {mark}; sleep 0.05; done) & while :; do sleep 1; done",
        mark = mark.display()
    );
    let attempt = attempt(shell(&script), Purpose::Execute, Duration::from_millis(300));
    let outcome = executor().run(Slip::Good, &attempt).await;
    assert_eq!(outcome.verdict, failed(Class::Unknown, Reason::TimedOut));
    let length = || fs::metadata(&mark).unwrap().len();
    let before = length();
    assert!(before > 0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(length(), before, "the grandchild goes on");
}

/// What a program leaves in its group when it ends is ended too, and does not hold up the report.
#[tokio::test]
async fn what_a_program_leaves_behind_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("late");
    let script = format!("(sleep 4; echo x > {}) & echo started", mark.display());
    let began = Instant::now();
    let outcome = execute(&executor(), shell(&script)).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!((outcome.verdict.clone(), stdout(&outcome).as_str()), (Verdict::Done, "started\n"));
    tokio::time::sleep(Duration::from_millis(4300)).await;
    assert!(!mark.exists());
}

#[tokio::test]
async fn dropping_an_attempt_kills_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("late");
    let script = format!("sleep 1; echo x > {}", mark.display());
    let attempt = attempt(shell(&script), Purpose::Execute, Duration::from_secs(20));
    let executor = executor();
    let run = executor.run(Slip::Good, &attempt);
    assert!(tokio::time::timeout(Duration::from_millis(300), run).await.is_err());
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(!mark.exists());
}

/// C1 at this floor: without a permit that fits nothing runs.
#[tokio::test]
async fn c1_no_program_starts_without_a_permit_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let task = Task::command(["touch", mark.to_str().unwrap()]);
    let attempt = attempt(task.clone(), Purpose::Execute, Duration::from_secs(20));
    let outcome = executor().run(Slip::Bad, &attempt).await;
    assert_eq!(outcome.verdict, failed(Class::Permanent, Reason::NotPermitted));
    assert!(!mark.exists());
    assert_eq!(execute(&executor(), task).await.verdict, Verdict::Done);
    assert!(mark.exists());
}

#[tokio::test]
async fn a_pinned_program_runs_only_if_it_is_the_same() {
    let pin = Digest([7; 32]);
    let task = |pin| Task::from(CommandTask { argv: vec!["true".into()], pin, ..CommandTask::default() });
    let refused = failed(Class::Permanent, Reason::PinMismatch);
    assert_eq!(execute(&executor(), task(Some(pin))).await.verdict, refused);
    let comparing = |known: Digest| {
        executor().with_pinned(Arc::new(move |path: &Path, digest: &Digest| {
            path.is_absolute() && path.ends_with("true") && *digest == known
        }))
    };
    assert_eq!(execute(&comparing(pin), task(Some(pin))).await.verdict, Verdict::Done);
    assert_eq!(execute(&comparing(Digest([8; 32])), task(Some(pin))).await.verdict, refused);
}

/// A secret is used and found nowhere: not in outputs, in whole, in pieces at the cut, or in errors.
#[tokio::test]
async fn a_secret_is_used_and_found_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (secret, file) = ("canary-5f2c91aa", folder.path().join("secret"));
    fs::write(&file, format!("{secret}\n")).unwrap();
    let used = folder.path().join("used");
    let value = Value::File(file.to_str().unwrap().into());
    let task = |script: String| {
        Task::from(CommandTask {
            argv: vec!["sh".into(), "-c".into(), script],
            env: vec![("TOKEN".into(), value.clone())],
            stdin: Some(value.clone()),
            ..CommandTask::default()
        })
    };
    let script = format!("printf %s $TOKEN > {}; env; cat; echo $TOKEN >&2; exit 9", used.display());
    let outcome = execute(&executor(), task(script)).await;
    assert_eq!(fs::read_to_string(&used).unwrap(), secret);
    let shown =
        format!("{outcome:?}{}{}", stdout(&outcome), String::from_utf8_lossy(&output(&outcome).stderr));
    assert!(!shown.contains(secret) && shown.contains("[redacted]"), "{shown}");
    // Cut in the middle of the secret.
    for keep in 1..20 {
        let outcome = execute(&executor().with_output_bytes(keep), task("printf xxx$TOKEN".into())).await;
        assert!(!stdout(&outcome).contains("can"), "{keep}: {}", stdout(&outcome));
    }
    let missing = Value::File("/no/such/secret".into());
    let task = Task::from(CommandTask {
        argv: vec!["true".into()],
        env: vec![("TOKEN".into(), missing)],
        ..CommandTask::default()
    });
    let reason = Reason::BadReference { reference: "file:/no/such/secret".into() };
    assert_eq!(execute(&executor(), task).await.verdict, failed(Class::Permanent, reason));
}

/// The whole way: three programs, the last of which fails; the first two are undone in reverse order.
#[tokio::test]
async fn a_saga_of_programs_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let line = |text: &str| shell(&format!("echo {text} $HV_STEP >> {}", log.display()));
    let def = |n: usize, after: Vec<u32>, execute: Task| StepDef {
        execute: Arc::new(execute),
        undo: Some(Arc::new(line("undo"))),
        ..step(n, after)
    };
    let steps = [def(0, vec![], line("do")), def(1, vec![0], line("do")), def(2, vec![1], shell("exit 4"))];
    let executor = executor().with_clock(system_clock());
    let (state, saga) = run(plan(steps), &executor, &Control::new()).await;
    assert_eq!(state, SagaState::Compensated);
    assert_eq!(fs::read_to_string(&log).unwrap(), "do step0\ndo step1\nundo step1\nundo step0\n");
    assert!(saga.created() <= now());
}

/// A driver that is to stop lets programs end by themselves for a while, then asks them to, and only then kills
/// them: who clears up when asked leaves nothing behind, such as a lock file.
#[tokio::test]
async fn programs_are_stopped_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    let script = format!(
        "trap 'rm {lock}; exit 1' TERM; echo > {lock}; while :; do sleep 0.05; done",
        lock = lock.display()
    );
    let quick = format!("sleep 0.4; echo > {}", folder.path().join("quick").display());
    for (suspended, expected) in [(true, SagaState::Running), (false, SagaState::Compensated)] {
        let control = Control::new();
        let executor = CommandExecutor::new("run-of-a-test").with_stopping(control.stopping());
        let def = |n: usize, script: &str| StepDef { execute: Arc::new(shell(script)), ..step(n, vec![]) };
        let undo = |def: StepDef| def.with_undo(Task::command(["true"]));
        let steps = [undo(def(0, &script)), undo(def(1, &quick))];
        let other = control.clone();
        let mark = lock.clone();
        tokio::spawn(async move {
            while !mark.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let within = Duration::from_millis(800);
            if suspended { other.suspend(within) } else { other.cancel(within) }
        });
        let began = Instant::now();
        let (state, saga) = run(plan(steps), &executor, &control).await;
        assert_eq!(state, expected);
        assert!(!lock.exists(), "it was killed before it could clear up");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let states: Vec<_> = saga.runs().map(|run| run.state).collect();
        if suspended {
            assert_eq!(states, [hv_saga::StepState::InDoubt, hv_saga::StepState::Committed]);
        } else {
            assert_eq!(states, [hv_saga::StepState::Compensated; 2]);
        }
    }
}

/// What is compared is what is run: a program is looked for where it runs, and never twice.
#[tokio::test]
async fn c1_a_pinned_program_is_the_one_that_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    let script = |folder: &Path, name: &str, says: &str, mode| {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name), format!("#!/bin/sh\nprintf {says}\n")).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    script(&good, "tool", "good", 0o755);
    script(&bad, "tool", "bad", 0o755);
    // What a name leads to that may not be run is passed over, as the system does.
    script(&good, "only-bad-runs", "good", 0o644);
    script(&bad, "only-bad-runs", "bad", 0o755);
    let trusted = good.clone();
    let comparing = executor().with_pinned(Arc::new(move |path: &Path, _: &Digest| {
        path.is_absolute() && fs::canonicalize(path).is_ok_and(|path| path.starts_with(&trusted))
    }));
    let both = |first: &Path, second: &Path| format!("{}:{}", first.display(), second.display());
    for (program, cwd, path, runs) in [
        ("./tool", &good, None, true),
        ("./tool", &bad, None, false),
        ("../good/tool", &bad, None, true),
        ("tool", &bad, Some(both(&good, &bad)), true),
        ("tool", &good, Some(both(&bad, &good)), false),
        ("tool", &good, Some(".".into()), true),
        ("tool", &bad, Some(".".into()), false),
        ("only-bad-runs", &good, Some(both(&good, &bad)), false),
        ("tool", &good, None, false),
    ] {
        let env = path.iter().map(|path| ("PATH".to_owned(), Value::Literal(path.clone()))).collect();
        let task = Task::from(CommandTask {
            argv: vec![program.into()],
            cwd: Some(cwd.to_str().unwrap().into()),
            env,
            pin: Some(Digest([7; 32])),
            ..CommandTask::default()
        });
        let outcome = execute(&comparing, task).await;
        let said = outcome.output.as_ref().map(|output| output.stdout.as_slice());
        if runs {
            assert_eq!((said, &outcome.verdict), (Some(&b"good"[..]), &Verdict::Done), "{program} {path:?}");
        } else {
            let refused = failed(Class::Permanent, Reason::PinMismatch);
            assert_eq!((said, &outcome.verdict), (None, &refused), "{program} {path:?}");
        }
    }
}
