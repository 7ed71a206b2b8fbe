//! A host that records nothing, for those who use this crate alone.

use crate::machine::Saga;
use crate::{Attempt, BoxFuture, Halt, Host, Output, Progress, Purpose, SagaCommand};
use crate::{SagaId, SessionId, Timestamp};
use core::fmt;
use hv_types::Machine;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use tokio::time::Instant;

/// Runs one saga in memory: nothing is durable, and the permit is whatever the closure gives.
///
/// The closure is asked before every execution; `None` refuses it. Undo and probes are asked about as well,
/// because they need a permit; a refusal there stops the saga with [`Halt::Gone`].
pub struct SoloHost<F> {
    session: SessionId,
    saga: SagaId,
    state: Mutex<Saga>,
    permit: F,
    driven: AtomicBool,
    began: (Timestamp, Instant),
}

impl<F> SoloHost<F> {
    /// A host for a saga that does not exist yet.
    pub fn new(session: SessionId, saga: SagaId, permit: F) -> Self {
        Self::resume(session, saga, Saga::default(), permit)
    }

    /// A host for a saga in a state that was kept.
    pub fn resume(session: SessionId, saga: SagaId, state: Saga, permit: F) -> Self {
        let began = (system_time(), Instant::now());
        let driven = AtomicBool::new(false);
        Self { session, saga, state: Mutex::new(state), permit, driven, began }
    }

    /// The saga as it is now.
    pub fn saga(&self) -> Saga {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<F> fmt::Debug for SoloHost<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoloHost").field("session", &self.session).field("saga", &self.saga).finish()
    }
}

impl<P: Send + 'static, F: Fn(&Attempt) -> Option<P> + Send + Sync> SoloHost<F> {
    fn run(&self, mut command: SagaCommand) -> Result<Progress<P>, Halt> {
        let now = self.now();
        let mut saga = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let events = saga.decide(&command, now).map_err(Halt::Denied)?;
            let mut starts = Vec::new();
            let mut refused = Vec::new();
            for attempt in saga.starts(&self.session, &self.saga, &events) {
                match (self.permit)(&attempt) {
                    Some(permit) => starts.push((attempt, permit)),
                    None if attempt.purpose == Purpose::Execute => refused.push(attempt.ordinal),
                    None => return Err(Halt::Gone),
                }
            }
            match command.refused_mut() {
                // What was refused before is not started again, so this ends.
                Some(known) if !refused.is_empty() => known.append(&mut refused),
                _ => {
                    let defect = |illegal| Halt::Denied(crate::SagaDenial::Defect(illegal));
                    events.iter().try_for_each(|event| saga.apply(event)).map_err(defect)?;
                    return Ok(Progress { starts, next_wake: saga.next_wake(), state: saga.state() });
                }
            }
        }
    }
}

impl<P: Send + 'static, F: Fn(&Attempt) -> Option<P> + Send + Sync> Host for SoloHost<F> {
    type Permit = P;

    fn hold(&self) -> BoxFuture<'_, Result<(), Halt>> {
        Box::pin(async { if self.driven.swap(true, Ordering::Acquire) { Err(Halt::Gone) } else { Ok(()) } })
    }

    fn release(&self) {
        self.driven.store(false, Ordering::Release);
    }

    fn commit(
        &self,
        command: SagaCommand,
        _: Option<Output>,
    ) -> BoxFuture<'_, Result<Progress<Self::Permit>, Halt>> {
        Box::pin(core::future::ready(self.run(command)))
    }

    fn now(&self) -> Timestamp {
        self.began.0.after(self.began.1.elapsed())
    }
}

fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(0).after(since.unwrap_or_default())
}
