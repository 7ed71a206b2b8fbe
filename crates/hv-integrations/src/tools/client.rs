//! Speaking to a tool server, in either era of the protocol.
//!
//! Source: Model Context Protocol, revisions 2024-11-05 to 2025-11-25 (`initialize`), and 2026-07-28
//! (`server/discover`, and everything that a request needs in its `_meta`).

use crate::tools::{BadTool, PAGES_MAX, TOOLS_MAX, Tool};
use core::fmt;
use core::time::Duration;
use serde_json::{Map, Value, json};
use std::time::Instant;

/// The newest revision that begins with a handshake.
const HANDSHAKE: &str = "2025-11-25";
/// Every revision with a handshake that is spoken here.
const HANDSHAKES: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", HANDSHAKE];
/// The revision without.
const STATELESS: &str = "2026-07-28";
/// The answer of a server that speaks other revisions.
const OTHER_REVISION: i64 = -32022;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// A handshake first, then requests.
    Handshake,
    /// Requests that each bring all that they need.
    Stateless,
}

impl Era {
    /// As it is shown: `handshake`, `stateless`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Stateless => "stateless",
        }
    }
}

/// What a server says of itself. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// How it calls itself.
    pub name: String,
    /// Its version, where it says one.
    pub version: Option<String>,
    /// The revision of the protocol that is spoken with it.
    pub protocol: String,
}

/// One message to a server, with what a transport needs to know of it besides.
#[derive(Debug)]
pub struct Message<'a> {
    /// The message itself.
    pub body: &'a Value,
    /// Its method.
    pub method: &'a str,
    /// The tool that it calls, if it calls one.
    pub tool: Option<&'a str>,
    /// The revision that is spoken, once that is known.
    pub protocol: Option<&'a str>,
}

/// Carries messages to one server and back.
pub trait Transport: Send + fmt::Debug {
    /// Sends a request and waits for the answer of that number: the whole response object.
    ///
    /// # Errors
    /// [`Failure`], [`TimedOut`](Failure::TimedOut) at the deadline.
    fn ask(&mut self, message: &Message<'_>, id: u64, deadline: Instant) -> Result<Value, Failure>;

    /// Sends what is not answered.
    ///
    /// # Errors
    /// [`Failure`].
    fn tell(&mut self, message: &Message<'_>, deadline: Instant) -> Result<(), Failure>;
}

/// Why a server does not give what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The program could not be started.
    NotStarted {
        /// The program.
        program: String,
        /// What the operating system says.
        why: String,
    },
    /// It ended, or closed the connection.
    Closed {
        /// The last that it said on its error output.
        said: String,
    },
    /// It could not be reached.
    Unreachable {
        /// What happened.
        why: String,
    },
    /// It did not answer in time.
    TimedOut {
        /// What it was asked.
        method: String,
    },
    /// A message of more than [`MESSAGE_MAX_BYTES`](crate::tools::MESSAGE_MAX_BYTES).
    TooLarge,
    /// What it sent is not what the protocol says.
    Protocol {
        /// What is wrong.
        what: &'static str,
    },
    /// An object in what it sent says one name twice, so that what it means depends on who reads it.
    Twice {
        /// The name, cut after 40 characters.
        name: String,
    },
    /// It answered with an HTTP status instead.
    Status {
        /// The status.
        status: u16,
    },
    /// It refused.
    Refused {
        /// The code.
        code: i64,
        /// Its words, cut after 200 characters.
        message: String,
        /// The revisions that it speaks, where it says so.
        supported: Vec<String>,
    },
    /// It speaks no revision that is spoken here.
    Revision {
        /// Those that it speaks.
        supported: Vec<String>,
    },
    /// It has more than [`TOOLS_MAX`] tools, or hands them out in more than [`PAGES_MAX`] pages.
    TooManyTools,
    /// One of its tools is none.
    BadTool {
        /// Which one, counted from 1.
        number: usize,
        /// Why.
        why: BadTool,
    },
    /// Two of its tools have one name.
    ToolTwice {
        /// The name.
        name: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { program, why } => write!(f, "`{program}` cannot be started: {why}"),
            Self::Closed { said } if said.is_empty() => f.write_str("the server ended"),
            Self::Closed { said } => write!(f, "the server ended; the last that it said: {said}"),
            Self::Unreachable { why } => write!(f, "the server cannot be reached: {why}"),
            Self::TimedOut { method } => write!(f, "the server did not answer `{method}` in time"),
            Self::TooLarge => f.write_str("the server sent a message of more than 16 MiB"),
            Self::Protocol { what } => write!(f, "the server does not keep to the protocol: {what}"),
            Self::Twice { name } => write!(
                f,
                "the server says `{name}` twice in one object, and nobody can tell which of the two it means"
            ),
            Self::Status { status } => write!(f, "the server answered with HTTP status {status}"),
            Self::Refused { code, message, .. } => write!(f, "the server refused ({code}): {message}"),
            Self::Revision { supported } => {
                write!(f, "the server speaks {}, none of which is spoken here", supported.join(", "))
            }
            Self::TooManyTools => {
                write!(
                    f,
                    "the server has more than {TOOLS_MAX} tools, or more than {PAGES_MAX} pages of them"
                )
            }
            Self::BadTool { number, why } => write!(f, "tool {number} of the server: {why}"),
            Self::ToolTwice { name } => write!(f, "the server has two tools of the name `{name}`"),
        }
    }
}

impl core::error::Error for Failure {}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Called {
    /// Whether the tool says that it failed.
    pub failed: bool,
    /// All texts of its answer.
    pub text: String,
    /// Its structured answer, where it gives one.
    pub structured: Option<Value>,
}

/// A connection to one tool server.
#[derive(Debug)]
pub struct Client {
    transport: Box<dyn Transport>,
    era: Era,
    server: ServerInfo,
    next: u64,
    patience: Duration,
}

impl Client {
    /// Connects: asks in the newer way first, and falls back to the handshake. No answer takes longer than
    /// `patience`; the first question gets a third of it, for some older servers do not answer it at all.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn connect(transport: Box<dyn Transport>, patience: Duration) -> Result<Self, Failure> {
        let server = ServerInfo { name: String::new(), version: None, protocol: STATELESS.to_owned() };
        let mut client = Self { transport, era: Era::Stateless, server, next: 0, patience };
        match client.discover(patience / 3) {
            Ok(true) => return Ok(client),
            Err(Failure::Refused { code: OTHER_REVISION, supported, .. })
                if !supported.is_empty() && !supported.iter().any(|s| HANDSHAKES.contains(&s.as_str())) =>
            {
                return Err(Failure::Revision { supported });
            }
            Ok(false)
            | Err(
                Failure::Refused { .. }
                | Failure::TimedOut { .. }
                | Failure::Status { .. }
                | Failure::Protocol { .. },
            ) => {}
            Err(failure) => return Err(failure),
        }
        match client.handshake() {
            // The first question was answered after all, only late: then the server holds to the newer way.
            Err(Failure::Refused { code: OTHER_REVISION, supported, .. }) => {
                client.era = Era::Stateless;
                STATELESS.clone_into(&mut client.server.protocol);
                match client.discover(patience) {
                    Ok(true) => Ok(client),
                    _ => Err(Failure::Revision { supported }),
                }
            }
            Err(failure) => Err(failure),
            Ok(()) => Ok(client),
        }
    }

    /// How the server is spoken to.
    #[must_use]
    pub const fn era(&self) -> Era {
        self.era
    }

    /// What the server says of itself.
    #[must_use]
    pub const fn server(&self) -> &ServerInfo {
        &self.server
    }

    /// Every tool of the server, in its own order.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn tools(&mut self) -> Result<Vec<Tool>, Failure> {
        let mut tools: Vec<Tool> = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        let mut cursor: Option<Value> = None;
        for _ in 0..PAGES_MAX {
            let params = cursor.take().map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
            let page = self.ask("tools/list", None, params, self.patience)?;
            let listed = page.get("tools").and_then(Value::as_array);
            for definition in listed.ok_or(Failure::Protocol { what: "`tools` is a list" })? {
                let number = tools.len() + 1;
                if number > TOOLS_MAX {
                    return Err(Failure::TooManyTools);
                }
                let tool = Tool::read(definition).map_err(|why| Failure::BadTool { number, why })?;
                if !names.insert(tool.name.clone()) {
                    return Err(Failure::ToolTwice { name: tool.name });
                }
                tools.push(tool);
            }
            match page.get("nextCursor") {
                None | Some(Value::Null) => return Ok(tools),
                Some(next) => cursor = Some(next.clone()),
            }
        }
        Err(Failure::TooManyTools)
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// [`Failure`]; that the tool itself failed is no failure of the server, and stands in the answer.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> Result<Called, Failure> {
        let params = json!({ "name": tool, "arguments": arguments });
        let result = self.ask("tools/call", Some(tool), params, self.patience)?;
        let parts = result.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
        Ok(Called {
            failed: result.get("isError").and_then(Value::as_bool).unwrap_or(false),
            text: texts.join("\n"),
            structured: result.get("structuredContent").cloned(),
        })
    }

    /// Asks in the newer way who the server is; answers whether it speaks that way.
    fn discover(&mut self, patience: Duration) -> Result<bool, Failure> {
        let found = self.ask("server/discover", None, json!({}), patience)?;
        let supported = found.get("supportedVersions").and_then(Value::as_array);
        if !supported.is_some_and(|all| all.iter().any(|one| one == STATELESS)) {
            return Ok(false);
        }
        let said = found.get("_meta").and_then(|meta| meta.get("io.modelcontextprotocol/serverInfo"));
        self.introduce(said.or_else(|| found.get("serverInfo")))?;
        Ok(true)
    }

    fn handshake(&mut self) -> Result<(), Failure> {
        self.era = Era::Handshake;
        HANDSHAKE.clone_into(&mut self.server.protocol);
        let params = json!({ "protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": client_info() });
        let found = self.ask("initialize", None, params, self.patience)?;
        let spoken = found.get("protocolVersion").and_then(Value::as_str);
        let spoken = spoken.ok_or(Failure::Protocol { what: "`protocolVersion` is a text" })?;
        if !HANDSHAKES.contains(&spoken) {
            return Err(Failure::Revision { supported: vec![cut(spoken)] });
        }
        spoken.clone_into(&mut self.server.protocol);
        self.introduce(found.get("serverInfo"))?;
        let body = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let protocol = Some(self.server.protocol.as_str());
        let message = Message { body: &body, method: "notifications/initialized", tool: None, protocol };
        self.transport.tell(&message, Instant::now() + self.patience)
    }

    fn introduce(&mut self, said: Option<&Value>) -> Result<(), Failure> {
        let text = |key: &str| said.and_then(|info| info.get(key)).and_then(Value::as_str).map(cut);
        let name = text("name").filter(|name| !name.is_empty());
        self.server.name = name.ok_or(Failure::Protocol { what: "a server says its name" })?;
        self.server.version = text("version");
        Ok(())
    }

    fn ask(
        &mut self,
        method: &str,
        tool: Option<&str>,
        params: Value,
        patience: Duration,
    ) -> Result<Value, Failure> {
        self.next += 1;
        let id = self.next;
        let mut params = match params {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        if self.era == Era::Stateless {
            params.insert("_meta".to_owned(), meta());
        }
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        // The handshake itself goes out before a revision is agreed on.
        let protocol = (method != "initialize").then_some(self.server.protocol.as_str());
        let message = Message { body: &body, method, tool, protocol };
        let mut answer = self.transport.ask(&message, id, Instant::now() + patience)?;
        if let Some(error) = answer.get("error") {
            return Err(refused(error));
        }
        match answer.get_mut("result") {
            Some(result @ Value::Object(_)) => Ok(result.take()),
            _ => Err(Failure::Protocol { what: "an answer has a `result` or an `error`" }),
        }
    }
}

fn refused(error: &Value) -> Failure {
    let supported = error.get("data").and_then(|data| data.get("supported")).and_then(Value::as_array);
    Failure::Refused {
        code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
        message: cut(error.get("message").and_then(Value::as_str).unwrap_or_default()),
        supported: supported.into_iter().flatten().filter_map(Value::as_str).take(20).map(cut).collect(),
    }
}

fn client_info() -> Value {
    json!({ "name": "hv", "version": env!("CARGO_PKG_VERSION") })
}

/// What every request brings along in the newer way.
fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": client_info(),
    })
}

/// A text of the server's, as long as it may be to be shown.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Answers what it was told to answer, for what no real server does.
    #[derive(Debug)]
    struct Scripted(VecDeque<Result<Value, Failure>>, Vec<Value>);

    impl Transport for Scripted {
        fn ask(&mut self, message: &Message<'_>, _: u64, _: Instant) -> Result<Value, Failure> {
            self.1.push(message.body.clone());
            self.0.pop_front().unwrap_or(Err(Failure::Closed { said: String::new() }))
        }

        fn tell(&mut self, _: &Message<'_>, _: Instant) -> Result<(), Failure> {
            Ok(())
        }
    }

    fn connect(script: impl IntoIterator<Item = Result<Value, Failure>>) -> Result<Client, Failure> {
        let transport = Scripted(script.into_iter().collect(), Vec::new());
        Client::connect(Box::new(transport), Duration::from_secs(1))
    }

    fn result(value: Value) -> Result<Value, Failure> {
        Ok(Value::Object(Map::from_iter([("result".to_owned(), value)])))
    }

    fn error(code: i64, supported: &[&str]) -> Result<Value, Failure> {
        Ok(json!({ "error": { "code": code, "message": "no", "data": { "supported": supported } } }))
    }

    fn discovered() -> Result<Value, Failure> {
        result(json!({ "supportedVersions": ["2026-07-28"], "serverInfo": { "name": "s" } }))
    }

    fn initialized(version: &str) -> Result<Value, Failure> {
        result(json!({ "protocolVersion": version, "serverInfo": { "name": "s", "version": "1" } }))
    }

    #[test]
    fn either_era_is_found() {
        let client = connect([discovered()]).unwrap();
        assert_eq!((client.era(), client.server().protocol.as_str()), (Era::Stateless, "2026-07-28"));
        for first in [
            error(-32601, &[]),
            error(-32022, &["2025-11-25", "2027-01-01"]),
            result(json!({ "supportedVersions": ["2025-11-25"] })),
            result(json!({})),
            Err(Failure::TimedOut { method: "server/discover".into() }),
            Err(Failure::Status { status: 400 }),
        ] {
            let client = connect([first, initialized("2024-11-05")]).unwrap();
            assert_eq!((client.era(), client.server().protocol.as_str()), (Era::Handshake, "2024-11-05"));
        }
        let late = Err(Failure::TimedOut { method: "server/discover".into() });
        let client = connect([late, error(-32022, &["2026-07-28"]), discovered()]).unwrap();
        assert_eq!(client.era(), Era::Stateless);
    }

    #[test]
    fn who_speaks_nothing_known_is_refused() {
        let of = |versions: &[&str]| Failure::Revision {
            supported: versions.iter().map(|v| (*v).to_owned()).collect(),
        };
        assert_eq!(connect([error(-32022, &["2027-01-01"])]).unwrap_err(), of(&["2027-01-01"]));
        assert_eq!(
            connect([error(-32601, &[]), initialized("2023-01-01")]).unwrap_err(),
            of(&["2023-01-01"])
        );
        assert_eq!(connect([]).unwrap_err(), Failure::Closed { said: String::new() });
        let nameless = result(json!({ "protocolVersion": "2025-06-18" }));
        assert!(matches!(connect([error(-32601, &[]), nameless]), Err(Failure::Protocol { .. })));
    }

    #[test]
    fn every_page_is_read_and_a_server_without_end_is_left() {
        let page =
            |name: &str, next: Value| result(json!({ "tools": [{ "name": name }], "nextCursor": next }));
        let mut client = connect([discovered(), page("a", json!("x")), page("b", Value::Null)]).unwrap();
        let names: Vec<_> = client.tools().unwrap().into_iter().map(|tool| tool.name).collect();
        assert_eq!(names, ["a", "b"]);
        let endless = (0..2000).map(|n| page(&format!("t{n}"), json!("x")));
        let mut client = connect([discovered()].into_iter().chain(endless)).unwrap();
        assert_eq!(client.tools(), Err(Failure::TooManyTools));
        let mut client = connect([discovered(), page("a", json!("x")), page("a", Value::Null)]).unwrap();
        assert_eq!(client.tools(), Err(Failure::ToolTwice { name: "a".into() }));
        for bad in [json!({}), json!({ "tools": {} }), json!({ "tools": [7] })] {
            let mut client = connect([discovered(), result(bad)]).unwrap();
            assert!(client.tools().is_err());
        }
    }

    #[test]
    fn a_tool_s_answer_says_whether_it_failed() {
        let answer = json!({
            "isError": true,
            "content": [{ "type": "text", "text": "a" }, { "type": "image" }, { "type": "text", "text": "b" }],
        });
        let mut client = connect([discovered(), result(answer)]).unwrap();
        let called = client.call("t", &json!({})).unwrap();
        assert_eq!(called, Called { failed: true, text: "a\nb".into(), structured: None });
    }
}
