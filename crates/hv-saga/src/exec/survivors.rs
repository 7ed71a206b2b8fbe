//! Programs that outlived the supervisor that started them: finding them, waiting for them, ending them.
//!
//! A supervisor that is killed takes nothing with it: its programs go on, and would have their effects while
//! a resumed run asks its probes. So a resumed run first looks for those that carry the token of the old one, and waits
//! for them or stops them.
//!
//! What this cannot see: a program that has cleared or replaced its environment, one that runs as another
//! user, and one on another machine (a remote job that a program started). Linux only.

use core::fmt;
use core::time::Duration;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, test_kill_process_group};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Instant;

/// How long [`settle`] waits after SIGTERM, and again after SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// How long it looks at least: a program that was being started when its supervisor died carries the token
/// only a moment later.
const LEAST: Duration = Duration::from_millis(50);
/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(20);
/// How long a process may be between two programs, before it counts as one without an environment.
const BETWEEN: Duration = Duration::from_secs(1);

/// A program of an earlier run that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Its process id.
    pub pid: i32,
    /// Its process group.
    pub pgid: i32,
    /// The idempotency key of the attempt that it belongs to.
    pub key: String,
}

impl fmt::Display for Survivor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} of {}", self.pid, self.key)
    }
}

/// What became of the survivors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// They ended by themselves.
    pub ended: Vec<Survivor>,
    /// They were stopped.
    pub stopped: Vec<Survivor>,
    /// They could not be stopped; what they do is not known.
    pub left: Vec<Survivor>,
}

/// The programs that carry the token of a run, in the order of their ids. Reads the environment of every
/// process that this user may look at.
///
/// # Errors
/// Where `/proc` cannot be read.
pub fn survivors(run: &str) -> io::Result<Vec<Survivor>> {
    Sought { run, keys: None }.found()
}

/// Which programs are looked for.
#[derive(Debug, Clone, Copy)]
struct Sought<'a> {
    run: &'a str,
    /// Those of all attempts where nothing is said.
    keys: Option<&'a [String]>,
}

impl Sought<'_> {
    fn found(self) -> io::Result<Vec<Survivor>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(entry) = entry else { continue };
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            found.extend(self.look(pid));
        }
        found.sort_by_key(|survivor| survivor.pid);
        Ok(found)
    }

    fn settle(self, patient: impl Fn() -> bool, grace: Duration) -> io::Result<Settled> {
        std::thread::sleep(LEAST);
        let first = self.found()?;
        let (mut seen, mut left) = (first.clone(), self.until_none(patient, first)?);
        let mut asked: Vec<Survivor> = Vec::new();
        for signal in [Signal::TERM, Signal::KILL] {
            if left.is_empty() {
                break;
            }
            for survivor in &left {
                if !asked.contains(survivor) {
                    asked.push(survivor.clone());
                }
                if !seen.contains(survivor) {
                    seen.push(survivor.clone());
                }
                self.send(survivor.pid, signal);
            }
            left = self.until_none(for_so_long(grace), left)?;
        }
        let (stopped, ended) =
            seen.into_iter().filter(|s| !left.contains(s)).partition(|s| asked.contains(s));
        Ok(Settled { ended, stopped, left })
    }

    /// Looks again and again until there are none or nobody is patient any more. Who starts others while being watched is
    /// found with them.
    fn until_none(self, patient: impl Fn() -> bool, mut left: Vec<Survivor>) -> io::Result<Vec<Survivor>> {
        while !left.is_empty() && patient() {
            std::thread::sleep(INTERVAL);
            left = self.found()?;
        }
        Ok(left)
    }

    /// The process if it carries the token.
    fn look(self, pid: i32) -> Option<Survivor> {
        let folder = Path::new("/proc").join(pid.to_string());
        let environment = environment(&folder)?;
        let value = |name: &str| {
            let mut entries = environment.split(|&byte| byte == 0);
            entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        };
        if pid == i32::try_from(std::process::id()).ok()? || value("HV_RUN")? != self.run.as_bytes() {
            return None;
        }
        let (_, pgid) = standing(&folder)?;
        let key = String::from_utf8_lossy(value("HV_IDEMPOTENCY_KEY").unwrap_or_default()).into_owned();
        if self.keys.is_some_and(|keys| !keys.contains(&key)) {
            return None;
        }
        Some(Survivor { pid, pgid, key })
    }

    /// Signals a process through a handle that is taken before the process is looked at once more, so that
    /// another one with the same id is never hit.
    fn send(self, pid: i32, signal: Signal) {
        let handle = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        if let Some(handle) = handle
            && self.look(pid).is_some()
        {
            let _ = pidfd_send_signal(handle, signal);
        }
    }
}

/// Waits this long for the programs of a run to end by themselves, then stops them.
///
/// Blocks for at least 50 ms, and for up to `wait` and two times 5 s more.
///
/// # Errors
/// Where `/proc` cannot be read.
pub fn settle(run: &str, wait: Duration) -> io::Result<Settled> {
    Sought { run, keys: None }.settle(for_so_long(wait), GRACE)
}

fn for_so_long(wait: Duration) -> impl Fn() -> bool {
    let until = Instant::now() + wait;
    move || Instant::now() < until
}

/// The same of the programs that belong to these [idempotency keys](crate::Attempt::key) alone: what others left, as a
/// service that a step has begun, goes on. Without a key nothing is waited for.
///
/// # Errors
/// Those of [`settle`].
pub fn settle_those(run: &str, keys: &[String], wait: Duration) -> io::Result<Settled> {
    settle_while(run, keys, for_so_long(wait))
}

/// The same that waits as long as somebody is `patient`, who is asked again and again.
///
/// # Errors
/// Those of [`settle`].
pub fn settle_while(run: &str, keys: &[String], patient: impl Fn() -> bool) -> io::Result<Settled> {
    match keys {
        [] => Ok(Settled::default()),
        keys => Sought { run, keys: Some(keys) }.settle(patient, GRACE),
    }
}

/// The same that waits for nothing, with another time after SIGTERM, and again after SIGKILL.
///
/// # Errors
/// Those of [`settle`].
pub fn stop_those(run: &str, keys: &[String], grace: Duration) -> io::Result<Settled> {
    match keys {
        [] => Ok(Settled::default()),
        keys => Sought { run, keys: Some(keys) }.settle(|| false, grace),
    }
}

/// Ends the programs of these keys without asking them, and waits for a moment until they are gone: for whoever drops what
/// they belong to.
pub fn kill_those(run: &str, keys: &[String]) {
    let sought = Sought { run, keys: Some(keys) };
    let until = Instant::now() + BETWEEN;
    while let Ok(found) = sought.found()
        && !found.is_empty()
        && Instant::now() < until
    {
        found.iter().for_each(|survivor| sought.send(survivor.pid, Signal::KILL));
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The programs of these keys that are there, after a moment: one that was being started when its supervisor died carries
/// the token only then.
///
/// # Errors
/// Those of [`survivors`].
pub fn survivors_of(run: &str, keys: &[String]) -> io::Result<Vec<Survivor>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    std::thread::sleep(LEAST);
    Sought { run, keys: Some(keys) }.found()
}

/// What a process was begun with; nothing where there is nothing. While a process puts one program in place of another
/// its environment reads as empty, so that is looked at again.
fn environment(folder: &Path) -> Option<Vec<u8>> {
    let until = Instant::now() + BETWEEN;
    loop {
        let environment = at_once(&folder.join("environ")).ok()?;
        if !environment.is_empty() {
            return Some(environment);
        }
        if has_none(folder)? || Instant::now() >= until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A file, read in one call: what is read in two may end after the first, where the program becomes another meanwhile.
fn at_once(path: &Path) -> io::Result<Vec<u8>> {
    let mut length = 1 << 16;
    loop {
        let mut bytes = vec![0; length];
        let read = fs::File::open(path)?.read(&mut bytes)?;
        if read < length {
            bytes.truncate(read);
            return Ok(bytes);
        }
        length = length.saturating_mul(2);
    }
}

/// Whether a process has no environment and gets none: it has ended and waits for its parent, is a thread of the kernel,
/// or was begun with nothing.
fn has_none(folder: &Path) -> Option<bool> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // Where the code begins is told once the environment is there.
    let (memory, code, from, to) = (number(20)?, number(23)?, number(47)?, number(48)?);
    Some(matches!(*fields.first()?, "Z" | "X") || memory == 0 || (code != 0 && from == to))
}

/// The state of a process, as one letter, and its group.
fn standing(folder: &Path) -> Option<(char, i32)> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The name in brackets may hold anything; the state follows it, then the parent, then the group.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.nth(1)?.parse().ok()?))
}

/// Whether somebody in a process group is still at work. Who has ended and waits to be collected is not, however long
/// that takes.
pub(super) fn any_alive(group: Pid) -> bool {
    if test_kill_process_group(group).is_err() {
        return false;
    }
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    let mut standings = processes.flatten().filter_map(|entry| standing(&entry.path()));
    standings.any(|(state, pgid)| pgid == group.as_raw_nonzero().get() && !matches!(state, 'Z' | 'X'))
}
