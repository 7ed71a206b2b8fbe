//! A tool server behind an address: each message is a POST, its answer JSON or a stream of events.
//!
//! Source: Model Context Protocol, "Streamable HTTP".

use crate::json::shown;
use crate::tools::MESSAGE_MAX_BYTES;
use crate::tools::client::{Failure, Message, Transport, cut};
use crate::tools::told::{self, Unclear};
use serde_json::Value;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::time::Instant;
use ureq::http::{Request, Response, StatusCode};
use ureq::{Agent, Body};

/// A server behind an address.
pub struct Http {
    agent: Agent,
    url: String,
    /// Given by servers that keep a session.
    session: Option<String>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Http {
    /// A server at `http://…` or `https://…`. Nothing is sent yet. Redirects are not followed.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
        Self { agent: Agent::new_with_config(config), url: url.to_owned(), session: None }
    }

    fn post(&mut self, message: &Message<'_>, deadline: Instant) -> Result<Response<Body>, Failure> {
        let timed_out = || Failure::TimedOut { method: message.method.to_owned() };
        let unreachable = |why: &dyn fmt::Display| Failure::Unreachable { why: cut(&why.to_string()) };
        let left = deadline.checked_duration_since(Instant::now()).ok_or_else(timed_out)?;
        let mut request = Request::post(&self.url)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream")
            .header("Mcp-Method", message.method);
        let named = [("MCP-Protocol-Version", message.protocol), ("Mcp-Name", message.tool)];
        for (name, value) in named.into_iter().chain([("Mcp-Session-Id", self.session.as_deref())]) {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(message.body.to_string()).map_err(|error| unreachable(&error))?;
        let request = self.agent.configure_request(request).timeout_global(Some(left)).build();
        match self.agent.run(request) {
            Ok(response) => {
                let session = response.headers().get("Mcp-Session-Id").and_then(|id| id.to_str().ok());
                if let Some(session) = session {
                    self.session = Some(session.to_owned());
                }
                Ok(response)
            }
            Err(ureq::Error::Timeout(_)) => Err(timed_out()),
            Err(error) => Err(unreachable(&error)),
        }
    }
}

impl Transport for Http {
    fn ask(&mut self, message: &Message<'_>, id: u64, deadline: Instant) -> Result<Value, Failure> {
        let mut response = self.post(message, deadline)?;
        let status = response.status();
        let kind = response.headers().get("Content-Type").and_then(|kind| kind.to_str().ok());
        let streams = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        let mut body = BufReader::new(response.body_mut().as_reader());
        let broken = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => {
                Failure::TimedOut { method: message.method.to_owned() }
            }
            _ => Failure::Unreachable { why: cut(&error.to_string()) },
        };
        let is_answer = |answer: &Value| {
            let to = answer.get("id");
            // An answer to what could not be read as a request names none.
            to.and_then(Value::as_u64) == Some(id)
                || (!status.is_success() && to.is_none_or(Value::is_null) && answer.get("error").is_some())
        };
        if streams {
            return answer_in_stream(&mut body, is_answer, broken);
        }
        let mut bytes = Vec::new();
        body.take(MESSAGE_MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(broken)?;
        if bytes.len() > MESSAGE_MAX_BYTES {
            return Err(Failure::TooLarge);
        }
        match told::value(&bytes) {
            Err(Unclear::Twice { name }) => Err(Failure::Twice { name: shown(&name) }),
            Ok(answer) if is_answer(&answer) => Ok(answer),
            _ if !status.is_success() => Err(Failure::Status { status: status.as_u16() }),
            _ => Err(Failure::Protocol { what: "the answer is a JSON object with the request's `id`" }),
        }
    }

    fn tell(&mut self, message: &Message<'_>, deadline: Instant) -> Result<(), Failure> {
        match self.post(message, deadline)?.status() {
            StatusCode::ACCEPTED | StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
            status => Err(Failure::Status { status: status.as_u16() }),
        }
    }
}

/// Reads events until one is the answer. Source: HTML, section 9.2.6, "Interpreting an event stream".
fn answer_in_stream(
    body: &mut impl BufRead,
    is_answer: impl Fn(&Value) -> bool,
    broken: impl Fn(std::io::Error) -> Failure,
) -> Result<Value, Failure> {
    let (mut read, mut data, mut line) = (0, String::new(), Vec::new());
    loop {
        line.clear();
        let limit = (MESSAGE_MAX_BYTES - read) as u64 + 1;
        let count = body.take(limit).read_until(b'\n', &mut line).map_err(&broken)?;
        read += count;
        if read > MESSAGE_MAX_BYTES {
            return Err(Failure::TooLarge);
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        if let Some(part) = text.strip_prefix("data:") {
            data.push_str(part.strip_prefix(' ').unwrap_or(part));
            data.push('\n');
        } else if text.is_empty() && !data.is_empty() {
            match told::value(data.as_bytes()) {
                Ok(answer) if is_answer(&answer) => return Ok(answer),
                Err(Unclear::Twice { name }) => return Err(Failure::Twice { name: shown(&name) }),
                _ => data.clear(),
            }
        }
        if count == 0 {
            return Err(Failure::Protocol { what: "the stream of events ended without the answer" });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> Result<Value, Failure> {
        let is_answer = |answer: &Value| answer.get("id").and_then(Value::as_u64) == Some(7);
        let broken = |_| Failure::Protocol { what: "broken" };
        answer_in_stream(&mut text.as_bytes(), is_answer, broken)
    }

    #[test]
    fn the_answer_is_found_among_other_events() {
        let news = "event: message\ndata: {\"method\":\"news\"}\n\n: ping\n\n";
        for answer in
            ["data: {\"id\":7}\n\n", "id: 1\r\ndata:{\r\ndata: \"id\":7}\r\n\r\n", "data: {\"id\":7}"]
        {
            assert_eq!(stream(&format!("{news}{answer}")).unwrap()["id"], 7, "{answer}");
        }
        let twice = Failure::Twice { name: "id".into() };
        assert_eq!(stream("data: {\"id\":7,\"id\":7}\n\n"), Err(twice));
        for nothing in ["", news, "data: {\"id\":8}\n\n", "data: no\n\n"] {
            assert!(matches!(stream(nothing), Err(Failure::Protocol { .. })), "{nothing}");
        }
    }

    #[test]
    fn a_stream_without_end_is_left() {
        let mut endless = BufReader::new(std::io::repeat(b'x'));
        let broken = |_| Failure::Protocol { what: "broken" };
        assert_eq!(answer_in_stream(&mut endless, |_| true, broken), Err(Failure::TooLarge));
    }
}
