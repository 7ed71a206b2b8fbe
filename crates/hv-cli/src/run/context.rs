//! Steps that exchange files of the session with the store of context: into the session's space and out of it through
//! the gate, in the name of the agent.

use crate::plan::{Bound, READ, WRITE};
use hv_core::adapters::STORE;
use hv_core::saga::exec::Closures;
use hv_core::saga::{Attempt, Class, Outcome, Output, ProbeAnswer, Reason, Task, Verdict};
use hv_core::session::Expect;
use hv_core::{Error, Hypervisor};
use hv_integrations::context::{CONTEXT_MAX_BYTES, ContextFault, ContextStore, outside};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a file of the session needs on its way to the store and back.
#[derive(Clone)]
struct Exchange {
    hv: Hypervisor,
    store: Arc<dyn ContextStore>,
    work: PathBuf,
    path: String,
    asked: Arc<Asked>,
}

/// How far the first attempt of a step came. Where it ended before the store was told anything, there is nothing to look
/// for and nothing to take away, and a store that cannot be reached is not needed to know it.
#[derive(Debug, Default)]
struct Asked {
    first: AtomicBool,
    told: AtomicBool,
}

impl Asked {
    fn nothing(&self) -> bool {
        self.first.load(Ordering::Acquire) && !self.told.load(Ordering::Acquire)
    }
}

/// The functions of the steps that exchange files with this store.
pub(super) fn functions(hv: &Hypervisor, store: &Arc<dyn ContextStore>, bound: &Bound) -> Closures {
    let mut functions = Closures::new();
    for step in bound.setup.iter().chain(&bound.steps) {
        let Task::Closure { name } = &*step.def.execute else { continue };
        let exchange = |path: &str| Exchange {
            hv: hv.clone(),
            store: Arc::clone(store),
            work: PathBuf::from(&bound.work),
            path: path.to_owned(),
            asked: Arc::default(),
        };
        if let Some(path) = name.strip_prefix(READ) {
            let taking = exchange(path);
            functions.add_read_only(name, move |attempt| taking.clone().take(attempt));
        } else if let Some(path) = name.strip_prefix(WRITE) {
            let giving = exchange(path);
            let (removing, looking) = (giving.clone(), giving.clone());
            functions.add(
                name,
                move |attempt| giving.clone().give(attempt),
                move |attempt| removing.clone().remove(attempt),
            );
            functions.add_probe(name, move |attempt| looking.clone().look(attempt));
        }
    }
    functions
}

impl Exchange {
    /// Asks the store without holding up anything else; it bounds its own waiting.
    async fn ask<T: Send + 'static>(
        &self,
        attempt: &Attempt,
        question: impl FnOnce(&dyn ContextStore, &str) -> Result<T, ContextFault> + Send + 'static,
    ) -> Result<T, Reason> {
        let (store, at) = (Arc::clone(&self.store), outside(&attempt.session, &self.path));
        match tokio::task::spawn_blocking(move || question(&*store, &at)).await {
            Ok(answer) => answer.map_err(|ContextFault(why)| Reason::other(&why)),
            Err(_) => Err(Reason::Panicked),
        }
    }

    async fn give(self, attempt: Attempt) -> Outcome {
        let never = |why: &str| Outcome::failed(Class::Permanent, Reason::other(why));
        // An earlier attempt, perhaps of a process that was killed, may have told the store.
        self.asked.first.store(attempt.number == 1, Ordering::Release);
        let text = match text(&self.work.join(&self.path)) {
            Ok(text) => text,
            Err(why) => return never(&why),
        };
        match self.ask(&attempt, |store, at| store.read(at)).await {
            Err(why) => return Outcome::failed(Class::Permanent, why),
            Ok(Some(file)) if file.content != text || file.modified_by != attempt.agent.as_str() => {
                return never("the store has another file there; take it away, or write to another path");
            }
            Ok(Some(_) | None) => {}
        }
        let (session, agent) = (&attempt.session, &attempt.agent);
        if let Err(error) =
            self.hv.write_file(session, agent, &self.path, text.into_bytes(), Expect::Any).await
        {
            return never(&error.to_string());
        }
        self.asked.told.store(true, Ordering::Release);
        match self.hv.publish_file(session, agent, &self.path).await {
            Ok(()) => Outcome::done(),
            Err(error) => {
                let class = if may_have_written(&error) {
                    Class::Unknown
                } else {
                    self.asked.told.store(false, Ordering::Release);
                    Class::Permanent
                };
                Outcome::failed(class, Reason::other(&error.to_string()))
            }
        }
    }

    async fn take(self, attempt: Attempt) -> Outcome {
        let (session, agent) = (&attempt.session, &attempt.agent);
        let taken = match self.hv.take_file(session, agent, &self.path).await {
            Ok(true) => self.hv.read_file(session, agent, &self.path).await,
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        };
        match taken {
            Ok(Some(content)) => Outcome {
                verdict: Verdict::Done,
                output: Some(Output { stdout: content, ..Output::default() }),
            },
            Ok(None) => Outcome::failed(Class::Permanent, Reason::other("the store has no such file")),
            Err(error) => Outcome::failed(Class::Permanent, Reason::other(&error.to_string())),
        }
    }

    /// What the session itself recorded of the file stays: it is history.
    async fn remove(self, attempt: Attempt) -> Outcome {
        if self.asked.nothing() {
            return Outcome::done();
        }
        let by = attempt.agent.clone();
        match self.ask(&attempt, move |store, at| store.remove(at, &by)).await {
            Ok(()) => Outcome::done(),
            Err(why) => Outcome::failed(Class::Retryable, why),
        }
    }

    async fn look(self, attempt: Attempt) -> Outcome {
        if self.asked.nothing() {
            return Outcome { verdict: Verdict::Answer(ProbeAnswer::Absent), output: None };
        }
        let answer = match self.ask(&attempt, |store, at| store.read(at)).await {
            Ok(Some(_)) => ProbeAnswer::Present,
            Ok(None) => ProbeAnswer::Absent,
            Err(why) => return Outcome::failed(Class::Unknown, why),
        };
        Outcome { verdict: Verdict::Answer(answer), output: None }
    }
}

fn may_have_written(error: &Error) -> bool {
    match error {
        Error::Denied(denied) => matches!(denied.reason, hv_core::Reason::Port { port: STORE, .. }),
        _ => true,
    }
}

/// A file of the work folder, as the store takes it.
fn text(path: &Path) -> Result<String, String> {
    let at = |why: String| format!("{}: {why}", path.display());
    let file = std::fs::File::open(path).map_err(|error| at(error.to_string()))?;
    let mut bytes = Vec::new();
    let read = file.take(CONTEXT_MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| at(error.to_string()))?;
    if bytes.len() > CONTEXT_MAX_BYTES {
        return Err(at(format!("longer than {CONTEXT_MAX_BYTES} bytes; the store is given less")));
    }
    String::from_utf8(bytes).map_err(|_| at("no text, and the store keeps text".to_owned()))
}
