//! What a person makes of a step that could not be undone, on the word of a witness.

use super::Failure;
use super::args::SettleArgs;
use super::trail::Trail;
use crate::call::CallText;
use crate::config::args::ConfigArgs;
use crate::output;
use crate::run::{RunFailure, begun, place, settled_left, undoing};
use crate::{Exit, plan::Plan};
use hv_core::audit::FileOptions;
use hv_core::identity::{Content, Envelope, Kind, Statement};
use hv_core::saga::drive::Control;
use hv_core::saga::exec::survivors::settle_those;
use hv_core::saga::{Attempt, BoxFuture, Class, Executor, Outcome, Purpose, Reason};
use hv_core::types::{ActionId, Did, SagaId, SessionId, StepId, Timestamp};
use hv_core::{
    Clock, Grant, Hypervisor, ItemRef, OpenTrail, Presented, Request, Retried, Settlement, SystemClock,
    entropy,
};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long a printed call counts.
const LASTS: Duration = Duration::from_secs(3600);

pub(super) fn settle(args: &SettleArgs, how: Settlement) -> Result<Exit, Failure> {
    let trail = Trail::read(&args.data)?;
    let item = named(&trail, &args.item)?;
    let request = Request::Settle { item: item.clone(), how };
    let Some((by, presented)) = word(args, &request)? else { return Ok(Exit::Done) };
    let named = item.to_string();
    let note = trail.waiting().into_iter().find(|(_, waits)| *waits == named);
    let note = note.and_then(|(session, _)| session.note);
    let begun = note
        .ok_or_else(|| "no session file is kept with its session".to_owned())
        .and_then(|note| begun(&args.data, &note));
    if let (Settlement::Retried {}, Ok(begun)) = (how, &begun) {
        let next = format!("hv saga retry {} {} --witness FILE", args.data.display(), args.item);
        place::check_there(Path::new(&begun.work), &next)
            .map_err(|failure| Failure::Input(failure.to_string()))?;
    }
    let hv = opened(&args.data)?;
    runtime()?.block_on(async {
        let done = async {
            match how {
                Settlement::Resolved {} | Settlement::Skipped {} => {
                    hv.govern(&by, &request, &presented).await?;
                    if let Ok(begun) = &begun {
                        let key = |purpose: Purpose| purpose.key(&item.session, &item.saga, &item.step);
                        let keys = [Purpose::Undo, Purpose::Probe].map(key);
                        if let Err(failure) = stop_left(&begun.token, keys.into()).await {
                            output::error(&format!("hv: {failure}"));
                        }
                    }
                    Ok(None)
                }
                Settlement::Retried {} => {
                    let begun = begun.map_err(Failure::Hv)?;
                    let plan = Plan::parse(&begun.source().map_err(Failure::Hv)?)?;
                    let bound = plan.bind(Path::new(&begun.work))?;
                    let control = Control::new();
                    let inner = undoing(&plan, &bound, &begun, &control);
                    let inner = inner.map_err(|failure| Failure::Hv(failure.to_string()))?;
                    let executor = Behind { inner, token: begun.token };
                    let _heard = Interrupted::listen(&item, control)?;
                    Ok(Some(hv.retry_undo(&by, &item, &presented, &executor).await?))
                }
            }
        };
        let done: Result<_, Failure> = done.await;
        // Behind what was added, the trail is ended again.
        hv.seal().await?;
        match done? {
            None => output::print(&format_args!("{item}: settled\n"))?,
            Some(Retried::Undone {}) => output::print(&format_args!("{item}: undone\n"))?,
            Some(Retried::Failed { failure }) => {
                output::print(&format_args!("{item}: still not undone: {failure}\n"))?;
                return Ok(Exit::Escalated);
            }
        }
        Ok(Exit::Done)
    })
}

/// Stops what an attempt at these keys has left that was cut off, because hv was killed. Whoever asks holds the folder, and
/// was granted what it is about to do: so nobody else is at it, and the time of what was cut off is over.
async fn stop_left(token: &str, keys: Vec<String>) -> Result<(), RunFailure> {
    let token = token.to_owned();
    let settled = settled_left(move || settle_those(&token, &keys, Duration::ZERO)).await?;
    for stopped in settled.stopped {
        output::error(&format!("hv: {stopped} went on after an earlier try and was stopped"));
    }
    Ok(())
}

/// An executor that begins nothing before what an earlier attempt at the same has left is stopped.
struct Behind<E> {
    inner: E,
    token: String,
}

impl<E: Executor<Grant>> Executor<Grant> for Behind<E> {
    fn run<'a>(&'a self, permit: Grant, attempt: &'a Attempt) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match stop_left(&self.token, vec![attempt.key()]).await {
                Ok(()) => self.inner.run(permit, attempt).await,
                Err(failure) => Outcome::failed(Class::Retryable, Reason::other(&failure.to_string())),
            }
        })
    }

    fn stops_within(&self) -> Duration {
        self.inner.stops_within()
    }
}

/// Listens to who interrupts an undo, until it is dropped.
struct Interrupted(tokio::task::JoinHandle<()>);

impl Interrupted {
    /// Ctrl-C and SIGTERM stop what runs, in order, so that what came of it is recorded.
    fn listen(item: &ItemRef, control: Control) -> Result<Self, Failure> {
        let heard = |kind| {
            signal(kind).map_err(|error| Failure::Hv(format!("signals cannot be listened to: {error}")))
        };
        let (mut interrupt, mut terminate) =
            (heard(SignalKind::interrupt())?, heard(SignalKind::terminate())?);
        let text = format!(
            "hv: interrupted; the undo of {item} is stopped. The word of the witness is used up: another try takes a new one"
        );
        Ok(Self(tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            output::error(&text);
            control.stop();
        })))
    }
}

impl Drop for Interrupted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets the undo of an action count again.
pub(super) fn restore(args: &SettleArgs) -> Result<Exit, Failure> {
    let trail = Trail::read(&args.data)?;
    let open = trail.sessions.values().filter(|session| !session.closed);
    let failed: Vec<String> = open
        .flat_map(|session| {
            let failed = session.undos.entries().filter(|entry| entry.failed.is_some());
            failed.map(move |entry| format!("{}/{}", session.name, entry.action))
        })
        .collect();
    let found = one_of(&failed, &args.item, "is no action whose undo failed in an open session")?;
    let (session, action) = found.split_once('/').unwrap_or_default();
    let bad = |bad: hv_core::types::BadIdent| Failure::Hv(bad.to_string());
    let (session, action) = (SessionId::new(session).map_err(bad)?, ActionId::new(action).map_err(bad)?);
    let request = Request::RestoreUndo { session, action };
    let Some((by, presented)) = word(args, &request)? else { return Ok(Exit::Done) };
    let hv = opened(&args.data)?;
    runtime()?.block_on(async {
        let done = hv.govern(&by, &request, &presented).await;
        hv.seal().await?;
        done?;
        output::print(&format_args!("{found}: its undo counts again\n"))?;
        Ok(Exit::Done)
    })
}

/// Who asks and the word of a witness; without one, the call that it is to sign is printed.
fn word(args: &SettleArgs, request: &Request) -> Result<Option<(Did, Presented)>, Failure> {
    let Some(file) = &args.witness else {
        let by = args.by.as_ref().ok_or_else(|| Failure::Input("--by says who asks for it".to_owned()))?;
        let call = request.call(by, SystemClock.now().after(LASTS));
        let call = call.map_err(|bad| Failure::Hv(bad.to_string()))?;
        output::json(&json!({ "call": CallText::from(&call) }))?;
        return Ok(None);
    };
    let bad = |why: &dyn std::fmt::Display| Failure::Input(format!("{}: {why}", file.display()));
    let text = std::fs::read(file).map_err(|error| bad(&error.kind()))?;
    let envelope = Envelope::from_json(&text).map_err(|refusal| bad(&refusal))?;
    // Only what it is about is taken from it here; whether it counts, the node decides.
    let said = Statement::from_payload(Kind::Witness, envelope.payload()).map_err(|refusal| bad(&refusal))?;
    let Content::Witness { call } = said.content else {
        return Err(bad(&"it is no word of a witness; sign with --type witness"));
    };
    let (by, deadline): (_, Timestamp) = (call.agent, call.deadline);
    let presented = Presented::new(deadline, vec![envelope]).map_err(|many| bad(&many))?;
    Ok(Some((by, presented)))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map_err(|error| Failure::Hv(format!("the runtime does not start: {error}")))
}

fn opened(data: &Path) -> Result<Hypervisor, Failure> {
    let config = ConfigArgs::default().read().map_err(|bad| Failure::Input(bad.to_string()))?;
    let failed = |error: &dyn std::fmt::Display| Failure::Hv(format!("{}: {error}", data.display()));
    let options = FileOptions::new(entropy().map_err(|error| failed(&error))?);
    let trail = OpenTrail::open(data, SystemClock.now(), options).map_err(|error| failed(&error))?;
    Ok(Hypervisor::open_configured(trail, Arc::new(SystemClock), &config)?)
}

/// The open item of this name; the step alone where only one is called so.
fn named(trail: &Trail, text: &str) -> Result<ItemRef, Failure> {
    let open = trail.open();
    let found = one_of(&open, text, "does not wait for a person")?;
    let mut parts = found.split('/');
    let mut part = || parts.next().unwrap_or_default();
    let bad = |bad: hv_core::types::BadIdent| Failure::Hv(bad.to_string());
    Ok(ItemRef {
        session: SessionId::new(part()).map_err(bad)?,
        saga: SagaId::new(part()).map_err(bad)?,
        step: StepId::new(part()).map_err(bad)?,
    })
}

/// The one of this name, or with this as its last part; of several that are called the same, the first.
fn one_of<'a>(list: &'a [String], text: &str, otherwise: &str) -> Result<&'a str, Failure> {
    let fits = |item: &&String| **item == text || item.rsplit('/').next() == Some(text);
    let found: Vec<&String> = list.iter().filter(fits).collect();
    match found.as_slice() {
        [one, others @ ..] if others.iter().all(|other| other == one) => Ok(one.as_str()),
        [] => {
            let those = if list.is_empty() {
                "there is none".to_owned()
            } else {
                format!("write one of {}", list.join(", "))
            };
            Err(Failure::Input(format!("`{text}` {otherwise}; {those}")))
        }
        many => {
            let list: Vec<&str> = many.iter().map(|item| item.as_str()).collect();
            Err(Failure::Input(format!("`{text}` may be any of {}; write one of them", list.join(", "))))
        }
    }
}
