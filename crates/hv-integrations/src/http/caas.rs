//! Context that CaaS keeps.

use super::{NoAnswer, Server, at, escaped};
use crate::context::{CONTEXT_MAX_BYTES, ContextFault, ContextFile, ContextStore, GatewayVerdict};
use hv_types::Did;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// A server of `caas-core` 0.3.0: files under `/vfs`, verdicts under `/gateway`.
pub struct CaasStore {
    server: Server,
}

impl fmt::Debug for CaasStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaasStore").field("url", &self.server.url).finish_non_exhaustive()
    }
}

impl CaasStore {
    /// The server at an address, such as `http://127.0.0.1:8082`.
    #[must_use]
    pub fn new(url: &str, deadline: Duration) -> Self {
        // A file in JSON may take six bytes for one.
        Self { server: Server::new(url, deadline, 6 * CONTEXT_MAX_BYTES + 4096) }
    }

    fn ask(&self, method: &str, path: &str, body: Option<String>) -> Result<(u16, Value), ContextFault> {
        let answer = self.server.exchange(method, path, body).map_err(|no| match no {
            NoAnswer::Unreachable(why) => ContextFault(format!("{why} gave no answer")),
            NoAnswer::TooLarge => self.fault("its answer is too long"),
        })?;
        if answer.status == 404 {
            return Ok((404, Value::Null));
        }
        match serde_json::from_slice(&answer.body) {
            Ok(said @ Value::Object(_)) => Ok((answer.status, said)),
            Ok(_) | Err(_) => Err(self.fault("its answer is no JSON object")),
        }
    }

    fn fault(&self, what: &str) -> ContextFault {
        ContextFault(format!("{} is not believed: {what}", self.server.url))
    }

    fn refused(&self, status: u16, said: &Value) -> ContextFault {
        let detail: String = at(said, "detail").to_string().chars().take(200).collect();
        ContextFault(format!("{} refused with status {status}: {detail}", self.server.url))
    }
}

impl ContextStore for CaasStore {
    fn read(&self, path: &str) -> Result<Option<ContextFile>, ContextFault> {
        match self.ask("GET", &format!("/vfs/files?path={}", escaped(path)), None)? {
            (404, _) => Ok(None),
            (200, said) => {
                match (
                    at(&said, "path").as_str(),
                    at(&said, "content").as_str(),
                    at(&said, "modified_by").as_str(),
                ) {
                    (Some(named), ..) if named != path => Err(self.fault("it answers with another file")),
                    (Some(_), Some(content), Some(by)) if content.len() <= CONTEXT_MAX_BYTES => {
                        Ok(Some(ContextFile { content: content.to_owned(), modified_by: by.to_owned() }))
                    }
                    _ => Err(self.fault("its answer is no file")),
                }
            }
            (status, said) => Err(self.refused(status, &said)),
        }
    }

    fn write(&self, path: &str, content: &str, by: &Did) -> Result<(), ContextFault> {
        let method = if self.read(path)?.is_some() { "PUT" } else { "POST" };
        let file = json!({ "path": path, "content": content, "agent_id": by.as_str() });
        match self.ask(method, "/vfs/files", Some(file.to_string()))? {
            (200 | 201, said) if at(&said, "modified_by") == by.as_str() => Ok(()),
            (200 | 201, _) => Err(self.fault("it names somebody else as the author")),
            (status, said) => Err(self.refused(status, &said)),
        }
    }

    fn remove(&self, path: &str, by: &Did) -> Result<(), ContextFault> {
        let from = format!("/vfs/files?path={}&agent_id={}", escaped(path), escaped(by.as_str()));
        match self.ask("DELETE", &from, None)? {
            (200 | 204 | 404, _) => Ok(()),
            (status, said) => Err(self.refused(status, &said)),
        }
    }

    fn verdict(&self, agent: &Did, request: &str) -> Result<GatewayVerdict, ContextFault> {
        let path =
            format!("/gateway/validate?query={}&user_id={}", escaped(request), escaped(agent.as_str()));
        let (status, said) = self.ask("POST", &path, None)?;
        if status != 200 {
            return Err(self.refused(status, &said));
        }
        let text = |violation: &Value| violation.as_str().unwrap_or("a violation without words").to_owned();
        let violations =
            at(&said, "violations").as_array().map(|all| all.iter().map(text).collect::<Vec<_>>());
        match (at(&said, "valid").as_bool(), violations) {
            (Some(true), Some(none)) if none.is_empty() => Ok(GatewayVerdict::default()),
            (Some(false), Some(some)) if !some.is_empty() => Ok(GatewayVerdict { violations: some }),
            _ => Err(self.fault("its verdict contradicts itself")),
        }
    }
}
