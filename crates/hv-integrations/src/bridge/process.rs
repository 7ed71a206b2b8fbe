//! The process behind a bridge: started when it is asked, stopped when it does not answer, started again later.

use super::{BridgeFault, Kernel, at, put};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// What runs in the process.
const SCRIPT: &str = include_str!("bridge.py");
/// The protocol that is spoken.
const SPOKEN: u64 = 1;
/// The longest line that is read, in bytes.
pub const ANSWER_MAX_BYTES: usize = 256 * 1024;
/// How long a package may take to be loaded.
const LOADING: Duration = Duration::from_secs(30);
/// The wait before a process is started again; it doubles with each failure in a row, up to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// What of the environment the process sees.
const SEEN: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// A package in a Python process, asked one question after another.
#[derive(Debug)]
pub struct Bridge {
    kernel: Kernel,
    argv: Vec<OsString>,
    deadline: Duration,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    process: Option<Process>,
    /// What every new process is told first.
    first: Vec<Value>,
    /// Failures in a row.
    failures: u32,
    not_before: Option<Instant>,
    asked: u64,
}

#[derive(Debug)]
struct Process {
    child: Child,
    questions: SyncSender<String>,
    answers: Receiver<Result<Value, &'static str>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // With everything that it started.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Bridge {
    /// A bridge to a package that this Python has. Nothing is started before something is asked; each answer is
    /// waited for no longer than `deadline`.
    #[must_use]
    pub fn new(python: &Path, kernel: Kernel, deadline: Duration) -> Self {
        let argv =
            [python.as_os_str(), "-I".as_ref(), "-c".as_ref(), SCRIPT.as_ref(), kernel.name().as_ref()];
        Self::of_program(argv.map(OsString::from).to_vec(), kernel, deadline)
    }

    /// A bridge to a program of one's own that speaks as the script does.
    #[must_use]
    pub fn of_program(argv: Vec<OsString>, kernel: Kernel, deadline: Duration) -> Self {
        Self { kernel, argv, deadline, slot: Mutex::default() }
    }

    /// What is behind it.
    #[must_use]
    pub const fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The process that runs now, for an operator to look at.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.lock().process.as_ref().map(|process| process.child.id())
    }

    /// Tells every process that is started from now on this before anything else; one that runs is told now.
    ///
    /// # Errors
    /// As [`ask`](Self::ask) where one runs.
    pub(super) fn ask_first(&self, op: &str, fields: Value) -> Result<(), BridgeFault> {
        let mut slot = self.lock();
        slot.first.push(question(0, op, fields.clone()));
        let runs = slot.process.is_some();
        drop(slot);
        if runs { self.ask(op, fields).map(drop) } else { Ok(()) }
    }

    /// Asks one question.
    ///
    /// # Errors
    /// [`BridgeFault`]; after each but [`BridgeFault::Refused`] and [`BridgeFault::Waiting`] the process is
    /// stopped.
    pub fn ask(&self, op: &str, fields: Value) -> Result<Value, BridgeFault> {
        let until = Instant::now() + self.deadline;
        let mut slot = self.lock_until(until).ok_or_else(|| self.late())?;
        let asked = self.ask_in(&mut slot, op, fields, until);
        match &asked {
            Ok(_) | Err(BridgeFault::Refused { .. }) => slot.failures = 0,
            Err(BridgeFault::Waiting { .. }) => {}
            Err(_) => {
                slot.process = None;
                let wait = BACKOFF.0.saturating_mul(1 << slot.failures.min(10)).min(BACKOFF.1);
                slot.failures = slot.failures.saturating_add(1);
                slot.not_before = Some(Instant::now() + wait);
            }
        }
        asked
    }

    fn ask_in(&self, slot: &mut Slot, op: &str, fields: Value, until: Instant) -> Result<Value, BridgeFault> {
        if slot.process.is_none() {
            if let Some(at) = slot.not_before.filter(|at| Instant::now() < *at) {
                let left = at.saturating_duration_since(Instant::now());
                return Err(BridgeFault::Waiting { kernel: self.kernel, left });
            }
            let loaded = Instant::now() + LOADING.min(self.deadline.saturating_mul(10));
            let process = self.start(loaded)?;
            for (n, first) in slot.first.iter().enumerate() {
                let mut first = first.clone();
                let number = u64::MAX - n as u64;
                put(&mut first, "id", number);
                self.answer(&process, &first, number, loaded)?;
            }
            slot.process = Some(process);
        }
        // Loading a package is not answering a question.
        let until = until.max(Instant::now() + self.deadline / 2);
        slot.asked += 1;
        let number = slot.asked;
        let Some(process) = &slot.process else { return Err(self.late()) };
        self.answer(process, &question(number, op, fields), number, until)
    }

    fn start(&self, until: Instant) -> Result<Process, BridgeFault> {
        let not_started = |why: String| BridgeFault::NotStarted { kernel: self.kernel, why };
        let Some((program, arguments)) = self.argv.split_first() else {
            return Err(not_started("no program is named".to_owned()));
        };
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        for name in SEEN {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().map_err(|error| not_started(error.to_string()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(not_started("it has no standard input and output".to_owned()));
        };
        // A process that does not read holds up its writer, never whoever waits for the answer.
        let (questions, to_write) = sync_channel::<String>(1);
        thread::spawn(move || write_lines(input, &to_write));
        let (read, answers) = sync_channel(1);
        thread::spawn(move || read_lines(BufReader::new(output), &read));
        let process = Process { child, questions, answers };
        let hello = self.line(&process, until)?;
        if let Some(why) = at(&hello, "error").as_str() {
            return Err(BridgeFault::NotInstalled { kernel: self.kernel, why: cut(why) });
        }
        if at(&hello, "bridge").as_u64() != Some(SPOKEN) || at(&hello, "kernel") != self.kernel.name() {
            return Err(self.garbled("it speaks another protocol"));
        }
        if at(&hello, "version") != self.kernel.version() {
            let why = format!("it is version {}", cut(&at(&hello, "version").to_string()));
            return Err(BridgeFault::NotInstalled { kernel: self.kernel, why });
        }
        Ok(process)
    }

    fn answer(
        &self,
        process: &Process,
        question: &Value,
        number: u64,
        until: Instant,
    ) -> Result<Value, BridgeFault> {
        // The writer takes one; where it still has the one before, that process is stuck.
        process.questions.try_send(format!("{question}\n")).map_err(|_| self.gone())?;
        let mut answer = self.line(process, until)?;
        if at(&answer, "id").as_u64() != Some(number) {
            return Err(self.garbled("it answers another question"));
        }
        if let Some(why) = at(&answer, "error").as_str() {
            return Err(BridgeFault::Refused { kernel: self.kernel, why: cut(why) });
        }
        match answer.get_mut("ok") {
            Some(said) => Ok(said.take()),
            None => Err(self.garbled("it answers nothing")),
        }
    }

    fn line(&self, process: &Process, until: Instant) -> Result<Value, BridgeFault> {
        match process.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(what)) => Err(self.garbled(what)),
            Err(RecvTimeoutError::Timeout) => Err(self.late()),
            Err(RecvTimeoutError::Disconnected) => Err(self.gone()),
        }
    }

    const fn late(&self) -> BridgeFault {
        BridgeFault::Late { kernel: self.kernel, deadline: self.deadline }
    }

    const fn gone(&self) -> BridgeFault {
        BridgeFault::Gone { kernel: self.kernel }
    }

    const fn garbled(&self, what: &'static str) -> BridgeFault {
        BridgeFault::Garbled { kernel: self.kernel, what }
    }

    /// What a thread that died with the lock leaves is a process like any other, or none.
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_until(&self, until: Instant) -> Option<MutexGuard<'_, Slot>> {
        loop {
            match self.slot.try_lock() {
                Ok(slot) => return Some(slot),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(TryLockError::WouldBlock) => return None,
            }
        }
    }
}

fn question(number: u64, op: &str, mut fields: Value) -> Value {
    if !fields.is_object() {
        fields = Value::Object(Map::new());
    }
    put(&mut fields, "id", number);
    put(&mut fields, "op", op);
    fields
}

fn write_lines(mut input: impl Write, lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        if input.write_all(line.as_bytes()).and_then(|()| input.flush()).is_err() {
            return;
        }
    }
}

/// Reads lines until the output ends, nobody listens, or one is bad.
fn read_lines(mut output: impl BufRead, answers: &SyncSender<Result<Value, &'static str>>) {
    loop {
        let mut line = Vec::new();
        let read = (&mut output).take(ANSWER_MAX_BYTES as u64 + 1).read_until(b'\n', &mut line);
        let told = match read {
            Ok(0) | Err(_) => return,
            Ok(_) if line.len() > ANSWER_MAX_BYTES => Err("its answer is too long"),
            Ok(_) => match serde_json::from_slice::<Value>(&line) {
                Ok(answer @ Value::Object(_)) => Ok(answer),
                Ok(_) | Err(_) => Err("its answer is no JSON object"),
            },
        };
        let bad = told.is_err();
        if answers.send(told).is_err() || bad {
            return;
        }
    }
}

/// As much of a text as an operator needs.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A path as the tests and the program name it.
pub(super) fn python_of(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}
