//! Programs as steps: no shell, a listed environment, a process group that ends with the step.

mod capture;
mod group;

use super::relay::{Printed, Relay};
use super::router::not_mine;
use super::secrets::{Cutter, Secrets};
use super::{Clock, system_clock};
use crate::attempt::StartProblem;
use crate::drive::Stopping;
use crate::drive::control::{Asked, first};
use crate::{
    Attempt, BoxFuture, Class, CommandTask, Executor, Outcome, Output, Permit, ProbeAnswer, Purpose, Reason,
    Task, Verdict,
};
use capture::{Capture, Passing};
use core::fmt;
use core::time::Duration;
use group::Group;
use hv_types::Digest;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use tokio::process::Child;
use tokio::time::{Instant, timeout, timeout_at};

/// The variables of the supervisor's own environment that a program gets, besides those that its task
/// declares and those that begin with `HV_`.
pub const PASSED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "TERM",
    "XDG_RUNTIME_DIR",
];

/// Tells whether the file at the path has the pinned digest.
pub type Pinned = Arc<dyn Fn(&Path, &Digest) -> bool + Send + Sync>;

/// Runs programs.
///
/// A program runs in a process group of its own, so that a signal to the supervisor's terminal does not reach
/// it. When its time is over, the group gets SIGTERM, then SIGKILL after a grace, and the outcome is unknown.
/// When the program itself has ended, what it left running in its group is killed, because nobody would
/// govern it any more. Dropping the future kills the group.
///
/// Exit code 0 is success. 126 and 127 (not executable, not found; POSIX.1-2024, XCU 2.8.2) fail for good, as
/// does a program that cannot be started; any other code may be tried again. A signal that somebody else sent
/// leaves the outcome unknown. A probe answers 0 for present, 1 for absent, anything else for unknown.
///
/// A program finds `HV_SESSION`, `HV_SAGA`, `HV_STEP`, `HV_PURPOSE`, `HV_ATTEMPT` (a number), and
/// `HV_IDEMPOTENCY_KEY` in its environment, and `HV_RUN`, by which [`survivors`](super::survivors) finds it.
#[derive(Clone)]
pub struct CommandExecutor {
    run: String,
    passed: Vec<String>,
    keep: usize,
    grace: Duration,
    pinned: Option<Pinned>,
    stopping: Vec<Stopping>,
    relay: Option<Arc<dyn Relay>>,
    clock: Clock,
}

impl CommandExecutor {
    /// An executor whose programs carry this token, which tells the run from all others; keeps 64 KiB of each
    /// output, gives 5 s between SIGTERM and SIGKILL, and refuses pinned programs for want of a comparison.
    #[must_use]
    pub fn new(run: &str) -> Self {
        Self {
            run: run.replace('\0', ""),
            passed: Vec::new(),
            keep: 65_536,
            grace: Duration::from_secs(5),
            pinned: None,
            stopping: Vec::new(),
            relay: None,
            clock: system_clock(),
        }
    }

    /// The same keeping so many bytes of standard output and of standard error each.
    #[must_use]
    pub fn with_output_bytes(self, keep: usize) -> Self {
        Self { keep, ..self }
    }

    /// The same letting more of the supervisor's own environment through than [`PASSED`].
    #[must_use]
    pub fn with_passed(self, names: Vec<String>) -> Self {
        Self { passed: names, ..self }
    }

    /// The same with another time between SIGTERM and SIGKILL.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// The same with a comparison for pinned programs. It is called on a thread that may block, with the full path of the
    /// file that is then run, and what it refuses fails for good.
    #[must_use]
    pub fn with_pinned(self, pinned: Pinned) -> Self {
        Self { pinned: Some(pinned), ..self }
    }

    /// The same whose programs are stopped in order when this asks for it: SIGTERM, the grace, SIGKILL. May be
    /// given for several drivers.
    #[must_use]
    pub fn with_stopping(mut self, stopping: Stopping) -> Self {
        self.stopping.push(stopping);
        self
    }

    /// The same passing on what a step's execution prints while it prints it, all of it; what undo and probes print is
    /// not passed on.
    #[must_use]
    pub fn with_relay(self, relay: Arc<dyn Relay>) -> Self {
        Self { relay: Some(relay), ..self }
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    async fn execute<P: Permit>(
        &self,
        permit: P,
        attempt: &Attempt,
        task: &CommandTask,
    ) -> Result<Outcome, Reason> {
        let program = match &task.pin {
            Some(pin) => Some(self.check_pin(task, pin).await?),
            None => None,
        };
        let now = (self.clock)();
        let until = Instant::now() + attempt.deadline.since(now);
        let started = permit.start(attempt, now, || self.begin(attempt, task, program.as_deref()));
        let Begun { child, input, secrets } = started.map_err(|_| Reason::NotPermitted)??;
        let mut child = match child {
            Ok(child) => child,
            Err(error) => return Ok(not_started(&error)),
        };
        let group = Group::of(&child);
        let secrets = Arc::new(secrets);
        let mut capture = Capture::of(&mut child, input, self.keep.saturating_add(secrets.longest()));
        if let (Some(relay), Purpose::Execute) = (&self.relay, attempt.purpose) {
            let to = |printed| Passing::to(relay, printed, Cutter::new(Arc::clone(&secrets)));
            capture = capture.passing(to(Printed::Stdout), to(Printed::Stderr));
        }
        let ended =
            first(&self.stopping, attempt.purpose, timeout_at(until, capture.until_exit(&mut child))).await;
        let (status, late) = match ended {
            Ok(Ok(status)) => (status, None),
            Ok(Err(_)) => (self.stop(&group, &mut child, &mut capture).await, Some(Reason::TimedOut)),
            Err(Asked) => (self.stop(&group, &mut child, &mut capture).await, Some(Reason::Stopped)),
        };
        // Whatever is left in the group holds the outputs open and is governed by nobody.
        group.finish();
        capture.drain().await;
        let output = self.output(&capture, &secrets, status);
        let verdict = match (late, status) {
            (None, Some(status)) => verdict(attempt.purpose, status),
            (None, None) => unknown(Reason::CannotTell),
            (Some(reason), _) => unknown(reason),
        };
        Ok(Outcome { verdict, output: Some(output) })
    }

    /// Reads what is only named, and starts the program.
    fn begin(&self, attempt: &Attempt, task: &CommandTask, program: Option<&Path>) -> Result<Begun, Reason> {
        let mut secrets = Secrets::default();
        let mut command = self.prepare(attempt, task, program, &mut secrets)?;
        let input = task.stdin.as_ref().map(|value| secrets.resolve(value)).transpose()?;
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        Ok(Begun { child: command.spawn(), input, secrets })
    }

    fn prepare(
        &self,
        attempt: &Attempt,
        task: &CommandTask,
        program: Option<&Path>,
        secrets: &mut Secrets,
    ) -> Result<tokio::process::Command, Reason> {
        let mut argv = task.argv.iter();
        let name = argv.next().ok_or(Reason::NoExecutor)?;
        let mut command = std::process::Command::new(program.unwrap_or(Path::new(name)));
        command.arg0(name).args(argv).env_clear();
        let passed = PASSED.into_iter().chain(self.passed.iter().map(String::as_str));
        for name in passed {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        for (name, value) in &task.env {
            let bytes = secrets.resolve(value)?;
            if bytes.contains(&0) {
                return Err(Reason::BadReference { reference: value.to_string() });
            }
            command.env(name, OsString::from_vec(bytes));
        }
        if let Some(cwd) = &task.cwd {
            command.current_dir(cwd);
        }
        command.env("HV_SESSION", attempt.session.as_str());
        command.env("HV_SAGA", attempt.saga.as_str());
        command.env("HV_STEP", attempt.step.as_str());
        command.env("HV_PURPOSE", attempt.purpose.name());
        command.env("HV_ATTEMPT", attempt.number.to_string());
        command.env("HV_IDEMPOTENCY_KEY", attempt.key());
        command.env("HV_RUN", &self.run);
        command.process_group(0);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(tokio::process::Command::from(command))
    }

    /// The program file of a pinned task, compared: this very file is run, and none is looked for again.
    async fn check_pin(&self, task: &CommandTask, pin: &Digest) -> Result<PathBuf, Reason> {
        let pinned = self.pinned.clone().ok_or(Reason::PinMismatch)?;
        let path = found(task)?;
        let (file, pin) = (path.clone(), *pin);
        let same = tokio::task::spawn_blocking(move || pinned(&file, &pin)).await;
        if same.unwrap_or(false) { Ok(path) } else { Err(Reason::PinMismatch) }
    }

    /// Ends a program whose time is over.
    async fn stop(&self, group: &Group, child: &mut Child, capture: &mut Capture) -> Option<ExitStatus> {
        group.terminate();
        let until = Instant::now() + self.grace;
        if let Ok(status) = timeout_at(until, capture.until_exit(child)).await {
            // Those that do not end within the grace either are ended with the group.
            let _ = timeout_at(until, group.emptied()).await;
            return status;
        }
        group.kill();
        // Nothing survives SIGKILL, except in the kernel: then nobody waits for it any longer.
        timeout(self.grace.max(Duration::from_secs(1)), capture.until_exit(child)).await.unwrap_or(None)
    }

    fn output(&self, capture: &Capture, secrets: &Secrets, status: Option<ExitStatus>) -> Output {
        let (stdout, cut_out) = secrets.redact(capture.stdout(), self.keep);
        let (stderr, cut_err) = secrets.redact(capture.stderr(), self.keep);
        let dropped = capture.dropped().saturating_add((cut_out + cut_err) as u64);
        Output { exit: status.and_then(|status| status.code()), stdout, stderr, dropped }
    }
}

/// A program that was started, or could not be.
struct Begun {
    child: std::io::Result<Child>,
    input: Option<Vec<u8>>,
    secrets: Secrets,
}

impl fmt::Debug for CommandExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandExecutor")
            .field("keep", &self.keep)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

impl<P: Permit> Executor<P> for CommandExecutor {
    fn run<'a>(&'a self, permit: P, attempt: &'a Attempt) -> BoxFuture<'a, Outcome> {
        let Task::Command(task) = &*attempt.task else { return not_mine(permit, attempt, (self.clock)()) };
        Box::pin(async move {
            let outcome = self.execute(permit, attempt, task).await;
            outcome.unwrap_or_else(|reason| Outcome::failed(Class::Permanent, reason))
        })
    }

    /// The grace after SIGTERM and the wait after SIGKILL, where programs can be asked.
    fn stops_within(&self) -> Duration {
        if self.stopping.is_empty() { Duration::ZERO } else { (self.grace + Duration::from_secs(1)) * 2 }
    }
}

/// What an exit means.
fn verdict(purpose: Purpose, status: ExitStatus) -> Verdict {
    let code = match status.code() {
        Some(code) => code,
        None => return unknown(Reason::Signal { signal: status.signal().unwrap_or(0) }),
    };
    match (purpose, code) {
        (Purpose::Probe, 0) => Verdict::Answer(ProbeAnswer::Present),
        (Purpose::Probe, 1) => Verdict::Answer(ProbeAnswer::Absent),
        (Purpose::Probe, _) => unknown(Reason::Exit { code }),
        (_, 0) => Verdict::Done,
        (_, 126 | 127) => Outcome::failed(Class::Permanent, Reason::Exit { code }).verdict,
        _ => Outcome::failed(Class::Retryable, Reason::Exit { code }).verdict,
    }
}

fn unknown(reason: Reason) -> Verdict {
    Outcome::failed(Class::Unknown, reason).verdict
}

fn not_started(error: &std::io::Error) -> Outcome {
    use std::io::ErrorKind;
    let (class, problem) = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => (Class::Permanent, StartProblem::NotFound),
        ErrorKind::PermissionDenied => (Class::Permanent, StartProblem::NotAllowed),
        ErrorKind::WouldBlock | ErrorKind::OutOfMemory | ErrorKind::ExecutableFileBusy => {
            (Class::Retryable, StartProblem::NoRoom)
        }
        _ => (Class::Permanent, StartProblem::Other),
    };
    Outcome::failed(class, Reason::NotStarted { problem })
}

/// The file that the program's name leads to where the program runs: in its folder, with its own `PATH`, as the system
/// looks it up.
fn found(task: &CommandTask) -> Result<PathBuf, Reason> {
    let program = task.argv.first().ok_or(Reason::NoExecutor)?;
    let folder = Path::new(task.cwd.as_deref().unwrap_or("."));
    let place = |path: PathBuf| std::path::absolute(folder.join(path)).map_err(|_| Reason::PinMismatch);
    if program.contains('/') {
        return place(PathBuf::from(program));
    }
    let declared = task.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = match declared {
        Some((_, value)) => Some(OsString::from_vec(Secrets::default().resolve(value)?)),
        None => std::env::var_os("PATH"),
    };
    let may_run = |file: &PathBuf| {
        file.metadata().is_ok_and(|known| known.is_file() && known.permissions().mode() & 0o111 != 0)
    };
    for entry in std::env::split_paths(&path.ok_or(Reason::PinMismatch)?) {
        let file = place(entry.join(program))?;
        if may_run(&file) {
            return Ok(file);
        }
    }
    Err(Reason::PinMismatch)
}
