//! Requests as steps: one connection each, the idempotency key in a header, no redirects.

mod date;

use super::router::not_mine;
use super::secrets::Secrets;
use super::{Clock, redeem, system_clock};
use crate::drive::Stopping;
use crate::drive::control::{Asked, first};
use crate::{
    Attempt, BoxFuture, Class, Executor, Failure, HttpTask, Outcome, Output, Permit, ProbeAnswer, Purpose,
    Reason, Task, Verdict,
};
use core::cell::Cell;
use core::fmt;
use core::future::ready;
use core::time::Duration;
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinHandle;
use ureq::http::{HeaderValue, Request, Response, StatusCode};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, Transport};
use ureq::{Agent, Body};

/// Sends requests.
///
/// Every request has the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header) with the key of
/// the attempt, quoted as the draft has it. Redirects are not followed, and no proxy is used.
///
/// | what happens | what it means |
/// |---|---|
/// | 2xx, or a status that the task expects | success |
/// | 408, 425, 429, 500 to 599 | may be tried again, after `Retry-After` where it is given |
/// | any other status | fails for good |
/// | no connection, or no TLS on it | nothing was sent; may be tried again |
/// | no answer in time, or the connection breaks | unknown |
///
/// A request that was sent cannot be called back: dropping the future leaves it running until its time is over. One that
/// still waits for a thread is not sent any more.
///
/// A probe finds its effect present at success, absent at 404 and 410; anything else tells nothing.
#[derive(Clone)]
pub struct HttpExecutor {
    agent: Agent,
    base: Option<Arc<str>>,
    keep: usize,
    stopping: Vec<Stopping>,
    clock: Clock,
}

/// A base URL that does not start with `http://` or `https://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotABase(pub String);

impl fmt::Display for NotABase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no base URL; one starts with http:// or https://", self.0)
    }
}

impl core::error::Error for NotABase {}

impl Default for HttpExecutor {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpExecutor {
    /// An executor without a base URL that keeps 64 KiB of each answer.
    #[must_use]
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            // A connection that was kept may break after the request was sent; a fresh one cannot be stale.
            .max_idle_connections(0)
            .user_agent("hv")
            .build();
        let connector = DefaultConnector::default().chain(Noticing);
        Self {
            agent: Agent::with_parts(config, connector, DefaultResolver::default()),
            base: None,
            keep: 65_536,
            stopping: Vec::new(),
            clock: system_clock(),
        }
    }

    /// The same with a base that completes URLs which are only a path.
    ///
    /// # Errors
    /// [`NotABase`] where it starts with neither `http://` nor `https://`.
    pub fn with_base(self, base: &str) -> Result<Self, NotABase> {
        let rest = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
        match rest {
            Some(rest) if !rest.is_empty() => {
                Ok(Self { base: Some(Arc::from(base.trim_end_matches('/'))), ..self })
            }
            _ => Err(NotABase(base.chars().take(80).collect())),
        }
    }

    /// The same keeping so many bytes of each answer.
    #[must_use]
    pub fn with_output_bytes(self, keep: usize) -> Self {
        Self { keep, ..self }
    }

    /// The same that waits no longer for an answer when this asks to stop. A request that was sent cannot be
    /// called back, so its outcome is unknown then. May be given for several drivers.
    #[must_use]
    pub fn with_stopping(mut self, stopping: Stopping) -> Self {
        self.stopping.push(stopping);
        self
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Builds the request. References are read here.
    fn request(&self, attempt: &Attempt, task: &HttpTask) -> Result<(Request<Vec<u8>>, Secrets), Reason> {
        let mut secrets = Secrets::default();
        let bad = |reference: &str| Reason::BadReference { reference: reference.chars().take(200).collect() };
        let base =
            if task.url.starts_with('/') { self.base.as_deref().ok_or_else(|| bad(&task.url))? } else { "" };
        let key = format!("\"{}\"", attempt.key());
        let mut request = Request::builder()
            .method(task.method.as_str())
            .uri(format!("{base}{}", task.url))
            .header("Idempotency-Key", key);
        for (name, value) in &task.headers {
            let bytes = secrets.resolve(value)?;
            let mut header = HeaderValue::from_bytes(&bytes).map_err(|_| bad(&value.to_string()))?;
            header.set_sensitive(true);
            request = request.header(name.as_str(), header);
        }
        let body = task.body.as_ref().map(|value| secrets.resolve(value)).transpose()?.unwrap_or_default();
        let request = request.body(body).map_err(|_| bad(&task.url))?;
        Ok((request, secrets))
    }

    fn send(&self, attempt: &Attempt, task: &HttpTask, left: Duration) -> Result<Outcome, Reason> {
        if left.is_zero() {
            return Ok(Outcome::failed(Class::Retryable, Reason::NotConnected));
        }
        let (request, secrets) = self.request(attempt, task)?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(Some(left))
            .allow_non_standard_methods(true)
            .build();
        CONNECTED.set(false);
        match self.agent.run(request) {
            Ok(response) => Ok(self.answered(attempt.purpose, task, response, &secrets)),
            Err(error) => Ok(not_answered(&error, CONNECTED.get())),
        }
    }

    fn answered(
        &self,
        purpose: Purpose,
        task: &HttpTask,
        mut response: Response<Body>,
        secrets: &Secrets,
    ) -> Outcome {
        let status = response.status();
        let retry_after = response.headers().get("Retry-After").and_then(|value| self.retry_after(value));
        let mut body = Vec::new();
        let keep = self.keep.saturating_add(secrets.longest());
        let length = response.body().content_length().unwrap_or(0);
        // The status decides; a body that breaks off is kept as far as it came. One byte more tells one that is longer,
        // where its length is not said.
        let read = response.body_mut().as_reader().take(keep as u64 + 1).read_to_end(&mut body);
        let least = u64::from(read.is_err() || body.len() > keep);
        body.truncate(keep);
        let (stdout, cut) = secrets.redact(&body, self.keep);
        let dropped = length.saturating_sub(body.len() as u64).max(least).saturating_add(cut as u64);
        let output = Output { exit: Some(i32::from(status.as_u16())), stdout, stderr: Vec::new(), dropped };
        let mut verdict = verdict(purpose, task, status);
        if let Verdict::Failed(failure) = &mut verdict {
            failure.retry_after = retry_after;
        }
        Outcome { verdict, output: Some(output) }
    }

    /// RFC 9110, section 10.2.3: a number of seconds, or a date. One that is too large to be counted is as long as can be.
    fn retry_after(&self, value: &HeaderValue) -> Option<Duration> {
        let text = value.to_str().ok()?.trim();
        match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(Duration::MAX)
            }
            Err(_) => {
                let now = (self.clock)();
                Some(date::read(text, now)?.since(now))
            }
        }
    }
}

impl fmt::Debug for HttpExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpExecutor")
            .field("base", &self.base)
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

impl<P: Permit> Executor<P> for HttpExecutor {
    fn run<'a>(&'a self, permit: P, attempt: &'a Attempt) -> BoxFuture<'a, Outcome> {
        let now = (self.clock)();
        if !matches!(*attempt.task, Task::Http(_)) {
            return not_mine(permit, attempt, now);
        }
        if let Err(outcome) = redeem(permit, attempt, now) {
            return Box::pin(ready(outcome));
        }
        let (left, purpose) = (attempt.deadline.since(now), attempt.purpose);
        Box::pin(async move {
            let (executor, attempt, asked) = (self.clone(), attempt.clone(), Instant::now());
            let sending = tokio::task::spawn_blocking(move || match &*attempt.task {
                // Where all threads are taken, it has waited for one.
                Task::Http(task) => executor.send(&attempt, task, left.saturating_sub(asked.elapsed())),
                _ => Err(Reason::NoExecutor),
            });
            let mut sending = Unsent(sending);
            match first(&self.stopping, purpose, &mut sending.0).await {
                Err(Asked) => Outcome::failed(Class::Unknown, Reason::Stopped),
                Ok(Ok(Ok(outcome))) => outcome,
                Ok(Ok(Err(reason))) => Outcome::failed(Class::Permanent, reason),
                Ok(Err(_)) => Outcome::failed(Class::Unknown, Reason::Panicked),
            }
        })
    }

    /// A request that is under way is given up at once.
    fn stops_within(&self) -> Duration {
        Duration::ZERO
    }
}

/// A request that is never sent once nobody waits for it any more, unless that has begun.
struct Unsent<T>(JoinHandle<T>);

impl<T> Drop for Unsent<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a status means.
fn verdict(purpose: Purpose, task: &HttpTask, status: StatusCode) -> Verdict {
    let code = status.as_u16();
    let good = if task.expect.is_empty() { status.is_success() } else { task.expect.contains(&code) };
    let failed = |class| Verdict::Failed(Failure::new(class, Reason::Http { status: code }));
    match (purpose, code) {
        (Purpose::Probe, _) if good => Verdict::Answer(ProbeAnswer::Present),
        (Purpose::Probe, 404 | 410) => Verdict::Answer(ProbeAnswer::Absent),
        (Purpose::Probe, _) => failed(Class::Unknown),
        (_, _) if good => Verdict::Done,
        (_, 408 | 425 | 429 | 500..=599) => failed(Class::Retryable),
        _ => failed(Class::Permanent),
    }
}

/// What it means that no answer came. The error itself is not kept: it may quote the address or a header.
fn not_answered(error: &ureq::Error, connected: bool) -> Outcome {
    use ureq::Error::{BadUri, Http, RequireHttpsOnly, Timeout};
    match error {
        BadUri(_) | Http(_) | RequireHttpsOnly(_) => Outcome::failed(Class::Permanent, Reason::NotConnected),
        _ if !connected => Outcome::failed(Class::Retryable, Reason::NotConnected),
        Timeout(_) => Outcome::failed(Class::Unknown, Reason::TimedOut),
        _ => Outcome::failed(Class::Unknown, Reason::Disconnected),
    }
}

thread_local! {
    /// Whether the request that this thread sends has a connection, TLS included. Before that, nothing of it is sent.
    static CONNECTED: Cell<bool> = const { Cell::new(false) };
}

/// The last in the chain of what makes a connection: notices that there is one.
#[derive(Debug)]
struct Noticing;

impl<In: Transport> Connector<In> for Noticing {
    type Out = In;

    fn connect(&self, _: &ConnectionDetails<'_>, made: Option<In>) -> Result<Option<In>, ureq::Error> {
        CONNECTED.set(made.is_some());
        Ok(made)
    }
}
