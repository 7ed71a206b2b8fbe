//! Files of a session, exchanged with a store outside of the node.

use super::call::Caller;
use crate::error::{Error, Reason};
use crate::hypervisor::Hypervisor;
use crate::node::Refusal;
use hv_integrations::context::{ContextFault, ContextStore, outside};
use hv_session::Expect;
use hv_types::{Did, SessionId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The port in refusals where nothing was written.
const PORT: &str = "context";

/// The port in refusals where the store was told to write, and may have written.
pub const STORE: &str = "context store";

/// A store that is connected.
pub(crate) struct ContextPort {
    pub(crate) name: String,
    store: Arc<dyn ContextStore>,
    deadline: Duration,
    caller: Caller,
}

impl fmt::Debug for ContextPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextPort").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ContextPort {
    pub(super) fn new<S: ContextStore + 'static>(name: &str, store: S, deadline: Duration) -> Self {
        Self { name: name.to_owned(), store: Arc::new(store), deadline, caller: Caller::default() }
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn ContextStore) -> Result<T, ContextFault> + Send + 'static,
    ) -> Result<T, String> {
        let store = Arc::clone(&self.store);
        match self.caller.call(self.deadline, move || work(&*store)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(ContextFault(why))) => Err(format!("{}: {why}", self.name)),
            Err(none) => Err(format!("{}: {none}", self.name)),
        }
    }

    /// Whether the store's gateway lets an agent's request through.
    async fn allowed(&self, agent: &Did, request: String) -> Result<(), String> {
        let asking = agent.clone();
        let verdict = self.call(move |store| store.verdict(&asking, &request)).await?;
        if verdict.allows() {
            return Ok(());
        }
        Err(format!("{}: its gateway forbids it: {}", self.name, verdict.violations.join("; ")))
    }
}

impl Hypervisor {
    /// Gives a file of the session to the connected store, in the name of the agent, under the path that it has
    /// in the session: `/sessions/<id>/…`. The agent must be allowed to read it, and the store's gateway must let
    /// it through. What is given away is out of hv's hands, so the file itself stays as it is.
    ///
    /// # Errors
    /// [`Reason::Port`] where context is off, or the store forbids it or gives no answer in time; those of
    /// [`read_file`](Self::read_file). Each is on the trail. Where the store was told to write and did not say that
    /// it has, the port is called [`STORE`]: it may have the file all the same.
    pub async fn publish_file(&self, session: &SessionId, agent: &Did, path: &str) -> Result<(), Error> {
        let port = self.context_of(session, agent).await?;
        let content = self.read_file(session, agent, path).await?;
        let text = content.ok_or_else(|| format!("the session has no file {path}"));
        let text = text.and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| format!("{path} is no text, and the store keeps text"))
        });
        let allowed = match text {
            Err(why) => Err(why),
            Ok(text) => port.allowed(agent, format!("write {path}")).await.map(|()| text),
        };
        let text = match allowed {
            Ok(text) => text,
            Err(why) => return self.refused_context(session, agent, (PORT, why)).await,
        };
        let (at, by) = (outside(session, path), agent.clone());
        match port.call(move |store| store.write(&at, &text, &by)).await {
            Ok(()) => Ok(()),
            Err(why) => self.refused_context(session, agent, (STORE, why)).await,
        }
    }

    /// Takes a file of the connected store into the session, in the name of the agent: the gate asks for what it
    /// asks for every write. Says whether the store has such a file.
    ///
    /// # Errors
    /// [`Reason::Port`] as [`publish_file`](Self::publish_file); those of [`write_file`](Self::write_file).
    pub async fn take_file(&self, session: &SessionId, agent: &Did, path: &str) -> Result<bool, Error> {
        let port = self.context_of(session, agent).await?;
        let taken = match port.allowed(agent, format!("read {path}")).await {
            Err(why) => Err(why),
            Ok(()) => {
                let at = outside(session, path);
                port.call(move |store| store.read(&at)).await
            }
        };
        match taken {
            Ok(None) => Ok(false),
            Ok(Some(file)) => {
                self.write_file(session, agent, path, file.content.into_bytes(), Expect::Any).await?;
                Ok(true)
            }
            Err(why) => self.refused_context(session, agent, (PORT, why)).await,
        }
    }

    async fn context_of(&self, session: &SessionId, agent: &Did) -> Result<Arc<ContextPort>, Error> {
        let on = self
            .node()
            .read(|state, _| state.slot(session).is_some_and(|slot| slot.adapted.on().context.is_some()))?;
        match self.node().ports().context() {
            Some(port) if on => Ok(port),
            Some(_) | None => {
                let why = "context is off in this session".to_owned();
                self.refused_context(session, agent, (PORT, why)).await
            }
        }
    }

    async fn refused_context<T>(
        &self,
        session: &SessionId,
        agent: &Did,
        (port, why): (&'static str, String),
    ) -> Result<T, Error> {
        self.node()
            .commit(|state, _| {
                let reason = Reason::Port { port, why };
                Err(match state.slot(session) {
                    Some(slot) => slot.refuse("context", Some(agent), None, reason),
                    None => Refusal::no_session("context", Some(agent), session),
                })
            })
            .await
    }
}
