//! A tool server as a program that speaks on its standard input and output, one message a line.

use crate::json::shown;
use crate::tools::MESSAGE_MAX_BYTES;
use crate::tools::client::{Failure, Message, Transport};
use crate::tools::told::{self, Unclear};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio as Pipe};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What is started, and what it sees of the environment.
#[derive(Debug, Clone)]
pub struct Program {
    argv: Vec<String>,
    env: Vec<(String, OsString)>,
}

/// What of the environment a server gets without being told: where programs and the home folder are.
const SEEN: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];
/// How long a server may take to end once its input is closed.
const GRACE: Duration = Duration::from_secs(1);
/// What is kept of its error output.
const SAID_BYTES: usize = 1024;

impl Program {
    /// A program with its arguments; no shell reads them.
    #[must_use]
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        let seen = |name: &&str| std::env::var_os(name).map(|value| ((*name).to_owned(), value));
        Self { argv: argv.into_iter().map(Into::into).collect(), env: SEEN.iter().filter_map(seen).collect() }
    }

    /// The same seeing one more variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }
}

/// A running server. It is stopped, with everything that it started, when this is dropped.
#[derive(Debug)]
pub struct Stdio {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Line>,
    said: Arc<Mutex<VecDeque<u8>>>,
}

/// What came in.
#[derive(Debug)]
enum Line {
    Message(Value),
    NoMessage,
    Twice(String),
    TooLarge,
}

impl Stdio {
    /// Starts the server.
    ///
    /// # Errors
    /// [`Failure::NotStarted`].
    pub fn start(program: &Program) -> Result<Self, Failure> {
        let name = program.argv.first().cloned().unwrap_or_default();
        let not_started = |why: String| Failure::NotStarted { program: name.clone(), why };
        let mut command = Command::new(&name);
        command.args(program.argv.get(1..).unwrap_or_default());
        command.env_clear().envs(program.env.iter().map(|(name, value)| (name, value)));
        // In a group of its own, so that what it starts can be stopped with it.
        command.stdin(Pipe::piped()).stdout(Pipe::piped()).stderr(Pipe::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| not_started(error.to_string()))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(not_started("it has no standard input and output".to_owned()));
        };
        let (sender, lines) = sync_channel(16);
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&said);
        thread::spawn(move || read_lines(BufReader::new(output), &sender));
        thread::spawn(move || keep_the_last(errors, &kept));
        Ok(Self { child, input: Some(input), lines, said })
    }

    fn send(&mut self, message: &Value) -> Result<(), Failure> {
        let mut line = message.to_string();
        line.push('\n');
        let input = self.input.as_mut();
        let sent = input.map(|input| input.write_all(line.as_bytes()).and_then(|()| input.flush()));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(self.closed()),
        }
    }

    fn closed(&mut self) -> Failure {
        // What it said last may still be on its way.
        thread::sleep(Duration::from_millis(20));
        let said = self.said.lock().map(|said| said.iter().copied().collect::<Vec<u8>>()).unwrap_or_default();
        Failure::Closed { said: String::from_utf8_lossy(&said).trim().to_owned() }
    }

    /// A request that the server makes: hv offers it nothing.
    fn decline(&mut self, method: &str, id: &Value) -> Result<(), Failure> {
        self.send(&if method == "ping" {
            json!({ "jsonrpc": "2.0", "id": id, "result": {} })
        } else {
            let error = json!({ "code": -32601, "message": "not offered" });
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        })
    }
}

impl Transport for Stdio {
    fn ask(&mut self, message: &Message<'_>, id: u64, deadline: Instant) -> Result<Value, Failure> {
        self.send(message.body)?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Failure::TimedOut { method: message.method.to_owned() });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.closed()),
            };
            let answer = match line {
                Line::Message(answer) => answer,
                Line::NoMessage => return Err(Failure::Protocol { what: "each line is one JSON object" }),
                Line::Twice(name) => return Err(Failure::Twice { name: shown(&name) }),
                Line::TooLarge => return Err(Failure::TooLarge),
            };
            match (answer.get("method").and_then(Value::as_str), answer.get("id")) {
                (Some(method), Some(asked)) => {
                    let (method, asked) = (method.to_owned(), asked.clone());
                    self.decline(&method, &asked)?;
                }
                // News, and answers to what nobody waits for any more.
                (Some(_), None) => {}
                (None, answered) if answered.and_then(Value::as_u64) != Some(id) => {}
                (None, _) => return Ok(answer),
            }
        }
    }

    fn tell(&mut self, message: &Message<'_>, _: Instant) -> Result<(), Failure> {
        self.send(message.body)
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        drop(self.input.take());
        let until = Instant::now() + GRACE;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
        // Whatever is left of its group, also what outlived it.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Reads lines until the output ends, nobody listens, or a line is too long.
fn read_lines(mut output: impl BufRead, sender: &SyncSender<Line>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = MESSAGE_MAX_BYTES as u64 + 1;
        match (&mut output).take(limit).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        let told = if line.len() > MESSAGE_MAX_BYTES {
            Line::TooLarge
        } else if line.trim_ascii().is_empty() {
            continue;
        } else {
            match told::value(&line) {
                Ok(message @ Value::Object(_)) => Line::Message(message),
                Err(Unclear::Twice { name }) => Line::Twice(name),
                Ok(_) | Err(Unclear::NotJson { .. }) => Line::NoMessage,
            }
        };
        let last = matches!(told, Line::TooLarge);
        if sender.send(told).is_err() || last {
            return;
        }
    }
}

/// Keeps the last bytes of what the server says on its error output.
fn keep_the_last(mut errors: impl Read, said: &Mutex<VecDeque<u8>>) {
    let mut buffer = [0; 1024];
    while let Ok(read) = errors.read(&mut buffer) {
        let Some(new) = buffer.get(..read).filter(|new| !new.is_empty()) else { return };
        let Ok(mut said) = said.lock() else { return };
        said.extend(new);
        let over = said.len().saturating_sub(SAID_BYTES);
        said.drain(..over);
    }
}
