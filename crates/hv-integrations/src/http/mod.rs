//! Kernels that are servers: an IATP sidecar and a CaaS store, over HTTP.
//!
//! Every exchange has a deadline for all of it and a limit for the body; redirects are not followed.

mod caas;
mod sidecar;

pub use caas::CaasStore;
pub use sidecar::Sidecar;

use serde_json::Value;
use std::io::Read;
use std::time::Duration;
use ureq::Agent;
use ureq::http::Request;

/// What came back.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Why nothing usable came back.
enum NoAnswer {
    /// Nobody answered, or not in time.
    Unreachable(String),
    /// The body is longer than it may be.
    TooLarge,
}

/// A server at an address.
struct Server {
    agent: Agent,
    url: String,
    deadline: Duration,
    limit: usize,
}

impl Server {
    fn new(url: &str, deadline: Duration, limit: usize) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(deadline))
            .build();
        let url = url.trim_end_matches('/').to_owned();
        Self { agent: Agent::new_with_config(config), url, deadline, limit }
    }

    fn exchange(&self, method: &str, path: &str, body: Option<String>) -> Result<Answer, NoAnswer> {
        let unreachable = |why: String| {
            let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
            NoAnswer::Unreachable(format!("{} ({why}, deadline {} ms)", self.url, self.deadline.as_millis()))
        };
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let response = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json").body(body);
                request.map_err(|error| unreachable(error.to_string())).map(|request| self.agent.run(request))
            }
            None => request
                .body(())
                .map_err(|error| unreachable(error.to_string()))
                .map(|request| self.agent.run(request)),
        }?;
        let mut response = response.map_err(|error| unreachable(error.to_string()))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        let reader = response.body_mut().as_reader();
        let read = reader.take(self.limit as u64 + 1).read_to_end(&mut body);
        read.map_err(|error| unreachable(error.to_string()))?;
        if body.len() > self.limit { Err(NoAnswer::TooLarge) } else { Ok(Answer { status, body }) }
    }
}

/// A field of an object; null where there is none.
fn at<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// A text as a part of a query.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte => {
                const DIGITS: [char; 16] =
                    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    out.extend(DIGITS.get(usize::from(digit)));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_a_query_may_not_hold_is_escaped() {
        assert_eq!(escaped("/s/ä b&c=d"), "%2Fs%2F%C3%A4%20b%26c%3Dd");
    }
}
