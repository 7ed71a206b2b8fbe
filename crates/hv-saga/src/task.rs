//! What an executor is told to do, as data.

use crate::limits;
use core::fmt;
use hv_types::wire::Reader;
use hv_types::{Digest, Undecodable, Wire};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Run a program.
    Command(Box<CommandTask>),
    /// Send a request.
    Http(Box<HttpTask>),
    /// Call a function of the embedding program by the name under which it was registered.
    Closure {
        /// The name, the same for execute, undo and probe.
        name: String,
    },
}

/// A program to run: without a shell, in a process group of its own, with an environment that is listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandTask {
    /// The program and its arguments. Arguments are visible to every user of the machine, so they cannot
    /// be references to secrets.
    pub argv: Vec<String>,
    /// The working directory; the supervisor's own where there is none.
    pub cwd: Option<String>,
    /// Variables in addition to those that the executor lets through.
    pub env: Vec<(String, Value)>,
    /// What the program reads; nothing where there is none.
    pub stdin: Option<Value>,
    /// The digest that the program file must have.
    pub pin: Option<Digest>,
}

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpTask {
    /// The method in capitals, such as `POST`.
    pub method: String,
    /// `http://…` or `https://…`, or a path that the executor's base URL completes.
    pub url: String,
    /// Headers in addition to `Idempotency-Key`.
    pub headers: Vec<(String, Value)>,
    /// What is sent.
    pub body: Option<Value>,
    /// The statuses that mean success; empty means 200 to 299.
    pub expect: Vec<u16>,
}

/// A text, or where to find one at the moment of execution.
///
/// A secret is only ever named. What the name stands for is read by the executor, is in no event, no report
/// and no error, and is cut out of captured output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The text itself, which everybody who reads the trail may know.
    Literal(String),
    /// The environment variable of this name, of the supervisor's own environment.
    Env(String),
    /// The content of this file, without the line break at its end.
    File(String),
}

impl Value {
    /// Reads `env:NAME`, `file:PATH`, or takes the text as it stands.
    ///
    /// ```
    /// use hv_saga::Value;
    ///
    /// assert_eq!(Value::parse("env:TOKEN"), Value::Env("TOKEN".into()));
    /// assert_eq!(Value::parse("plain"), Value::Literal("plain".into()));
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match (text.strip_prefix("env:"), text.strip_prefix("file:")) {
            (Some(name), _) => Self::Env(name.into()),
            (_, Some(path)) => Self::File(path.into()),
            _ => Self::Literal(text.into()),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Literal(text) | Self::Env(text) | Self::File(text) => text,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) => f.write_str(text),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

impl Task {
    /// A program with its arguments, nothing else said.
    #[must_use]
    pub fn command<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self::from(CommandTask { argv: argv.into_iter().map(Into::into).collect(), ..CommandTask::default() })
    }

    /// A function of the embedding program.
    #[must_use]
    pub fn closure(name: &str) -> Self {
        Self::Closure { name: name.into() }
    }

    /// Checks the limits and what no program, header or variable can hold.
    ///
    /// # Errors
    /// The first [`TaskProblem`].
    pub fn check(&self) -> Result<(), TaskProblem> {
        match self {
            Self::Command(task) => task.check(),
            Self::Http(task) => task.check(),
            Self::Closure { name } if name.is_empty() => Err(TaskProblem::Empty { what: "closure name" }),
            Self::Closure { name } => {
                no_more("closure name", "bytes", name.len(), limits::CLOSURE_NAME_BYTES)
            }
        }
    }
}

impl From<CommandTask> for Task {
    fn from(task: CommandTask) -> Self {
        Self::Command(Box::new(task))
    }
}

impl From<HttpTask> for Task {
    fn from(task: HttpTask) -> Self {
        Self::Http(Box::new(task))
    }
}

impl CommandTask {
    fn check(&self) -> Result<(), TaskProblem> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err(TaskProblem::Empty { what: "program" });
        }
        no_more("arguments", "arguments", self.argv.len(), limits::ARGV)?;
        no_more("arguments", "bytes", self.argv.iter().map(String::len).sum(), limits::ARGV_BYTES)?;
        no_more("environment", "variables", self.env.len(), limits::ENV)?;
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || name.starts_with("HV_") {
                return Err(TaskProblem::Name { what: "environment variable", name: shortened(name) });
            }
            no_more("environment variable", "bytes", name.len() + value.text().len(), limits::VALUE_BYTES)?;
        }
        no_more("input", "bytes", self.stdin.as_ref().map_or(0, |v| v.text().len()), limits::BODY_BYTES)?;
        let texts = self.argv.iter().map(String::as_str).chain(self.cwd.as_deref());
        match texts.chain(self.env.iter().map(|(_, value)| value.text())).find(|text| text.contains('\0')) {
            Some(_) => Err(TaskProblem::Nul { what: "command" }),
            None => Ok(()),
        }
    }
}

impl HttpTask {
    fn check(&self) -> Result<(), TaskProblem> {
        if self.method.is_empty()
            || self.method.len() > 16
            || !self.method.bytes().all(|b| b.is_ascii_uppercase())
        {
            return Err(TaskProblem::Name { what: "method", name: shortened(&self.method) });
        }
        no_more("URL", "bytes", self.url.len(), limits::URL_BYTES)?;
        let known = ["http://", "https://", "/"].iter().any(|start| self.url.starts_with(start));
        if !known || !has_host(&self.url) || self.url.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(TaskProblem::Name { what: "URL", name: shortened(&self.url) });
        }
        no_more("headers", "headers", self.headers.len(), limits::HEADERS)?;
        for (name, value) in &self.headers {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name.is_empty() || !name.bytes().all(token) || name.eq_ignore_ascii_case("idempotency-key") {
                return Err(TaskProblem::Name { what: "header", name: shortened(name) });
            }
            no_more("header", "bytes", name.len() + value.text().len(), limits::VALUE_BYTES)?;
            if matches!(value, Value::Literal(text) if text.contains(['\r', '\n', '\0'])) {
                return Err(TaskProblem::Nul { what: "header" });
            }
        }
        no_more("statuses", "statuses", self.expect.len(), limits::HEADERS)?;
        no_more("body", "bytes", self.body.as_ref().map_or(0, |v| v.text().len()), limits::BODY_BYTES)
    }
}

/// What is wrong with a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskProblem {
    /// Something that must be there is empty.
    Empty {
        /// What is empty.
        what: &'static str,
    },
    /// More than the limit.
    TooMuch {
        /// Of what.
        what: &'static str,
        /// Counted in this.
        unit: &'static str,
        /// How much was given.
        given: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// A name or an address that cannot be used.
    Name {
        /// What it names.
        what: &'static str,
        /// As given, cut after 80 characters.
        name: String,
    },
    /// A character that cannot be passed on: NUL, or a line break in a header.
    Nul {
        /// Where.
        what: &'static str,
    },
}

impl fmt::Display for TaskProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { what } => write!(f, "the {what} is empty"),
            Self::TooMuch { what, unit, given, limit } => {
                write!(f, "the {what} has {given} {unit}; at most {limit} are allowed")
            }
            Self::Name { what, name } => write!(f, "`{name}` cannot be used as {what}"),
            Self::Nul { what } => write!(f, "the {what} holds a character that cannot be passed on"),
        }
    }
}

impl core::error::Error for TaskProblem {}

fn no_more(what: &'static str, unit: &'static str, given: usize, limit: usize) -> Result<(), TaskProblem> {
    if given > limit { Err(TaskProblem::TooMuch { what, unit, given, limit }) } else { Ok(()) }
}

/// Whether an address that is more than a path names a host, and no port that there is none of.
fn has_host(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://").filter(|_| !url.starts_with('/')) else { return true };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match place.strip_prefix('[').map(|place| place.split_once(']')) {
        Some(Some((host, ""))) => (host, ""),
        Some(Some((host, rest))) if rest.starts_with(':') => (host, rest.trim_start_matches(':')),
        Some(_) => return false,
        None => place.split_once(':').unwrap_or((place, "")),
    };
    !host.is_empty() && (port.is_empty() || port.parse::<u16>().is_ok())
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

hv_types::wire_struct!(CommandTask { argv, cwd, env, stdin, pin });
hv_types::wire_struct!(HttpTask { method, url, headers, body, expect });

impl Wire for Task {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Command(task) => {
                out.push(0);
                task.put(out);
            }
            Self::Http(task) => {
                out.push(1);
                task.put(out);
            }
            Self::Closure { name } => {
                out.push(2);
                name.put(out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        match reader.byte()? {
            0 => CommandTask::take(reader).map(Self::from),
            1 => HttpTask::take(reader).map(Self::from),
            2 => String::take(reader).map(|name| Self::Closure { name }),
            tag => Err(reader.unknown_tag("Task", tag)),
        }
    }
}

impl Wire for Value {
    fn put(&self, out: &mut Vec<u8>) {
        let (tag, text) = match self {
            Self::Literal(text) => (0, text),
            Self::Env(text) => (1, text),
            Self::File(text) => (2, text),
        };
        out.push(tag);
        text.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        match reader.byte()? {
            0 => String::take(reader).map(Self::Literal),
            1 => String::take(reader).map(Self::Env),
            2 => String::take(reader).map(Self::File),
            tag => Err(reader.unknown_tag("Value", tag)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let task = Task::from(CommandTask {
            argv: vec!["ls".into()],
            cwd: Some("/".into()),
            env: vec![("A".into(), Value::Env("B".into()))],
            stdin: Some(Value::File("f".into())),
            pin: None,
        });
        let bytes = task.to_bytes();
        assert_eq!(bytes, [0, 1, 2, b'l', b's', 1, 1, b'/', 1, 1, b'A', 1, 1, b'B', 1, 2, 1, b'f', 0]);
        assert_eq!(Task::from_bytes(&bytes), Ok(task));
        let task = Task::from(HttpTask {
            method: "GET".into(),
            url: "/".into(),
            body: Some(Value::Literal("x".into())),
            expect: vec![200],
            headers: vec![],
        });
        let bytes = task.to_bytes();
        assert_eq!(bytes, [1, 3, b'G', b'E', b'T', 1, b'/', 0, 1, 0, 1, b'x', 1, 0xc8, 1]);
        assert_eq!(Task::from_bytes(&bytes), Ok(task));
        assert_eq!(Task::closure("f").to_bytes(), [2, 1, b'f']);
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let long = "x".repeat(limits::ARGV_BYTES);
        let env = |name: &str| CommandTask {
            argv: vec!["a".into()],
            env: vec![(name.into(), Value::Literal("v".into()))],
            ..CommandTask::default()
        };
        let http = |method: &str, url: &str| HttpTask {
            method: method.into(),
            url: url.into(),
            ..HttpTask::default()
        };
        let header = |name: &str, value: &str| HttpTask {
            headers: vec![(name.into(), Value::Literal(value.into()))],
            ..http("GET", "/a")
        };
        for (task, good) in [
            (Task::command(["a"]), true),
            (Task::command([""]), false),
            (Task::command(Vec::<String>::new()), false),
            (Task::command(["a", "b\0"]), false),
            (Task::command([long.as_str()]), true),
            (Task::command(["a", long.as_str()]), false),
            (Task::from(http("GET", "http://[::1]:80/a")), true),
            (Task::from(http("GET", "https://u@a.example:8443?b")), true),
            (Task::from(http("GET", "http://")), false),
            (Task::from(http("GET", "https:///a")), false),
            (Task::from(http("GET", "http://a:99999/")), false),
            (Task::from(http("GET", "http://[::1]80/")), false),
            (Task::from(env("A")), true),
            (Task::from(env("A=B")), false),
            (Task::from(env("HV_KEY")), false),
            (Task::from(env("")), false),
            (Task::from(http("GET", "/a")), true),
            (Task::from(http("get", "/a")), false),
            (Task::from(http("GET", "https://a/b")), true),
            (Task::from(http("GET", "ftp://a/b")), false),
            (Task::from(http("GET", "/a b")), false),
            (Task::from(header("X-A", "1")), true),
            (Task::from(header("X-A", "1\r\nX-B: 2")), false),
            (Task::from(header("Idempotency-key", "1")), false),
            (Task::from(header("X A", "1")), false),
            (Task::closure("a"), true),
            (Task::closure(""), false),
        ] {
            assert_eq!(task.check().is_ok(), good, "{task:?}");
        }
    }
}
