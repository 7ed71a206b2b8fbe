//! What a saga needs from outside: a permit for every attempt, somebody who carries it out, and somebody
//! who makes events durable.

use crate::command::{SagaCommand, SagaDenial};
use crate::state::SagaState;
use crate::{Attempt, Outcome, Output, Timestamp};
use core::fmt;
use core::pin::Pin;
use core::time::Duration;

/// A future on the heap that may change threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The right to carry out one attempt, once.
///
/// `hv-core` implements it for the receipt of a durable record. Whoever uses this crate alone writes one,
/// and sees that nothing governs then.
pub trait Permit: Send + 'static {
    /// Why it does not fit the attempt.
    type Refusal: core::error::Error;

    /// Uses it up for this attempt.
    ///
    /// # Errors
    /// The refusal where it was given for something else, or came too late.
    fn redeem(self, attempt: &Attempt, now: Timestamp) -> Result<(), Self::Refusal>;

    /// Uses it up and begins the effect. A permit that can be taken away overrides this, so that it is not taken
    /// away in between; `begin` is short, waits for nothing and uses up no other permit.
    ///
    /// # Errors
    /// Those of [`redeem`](Self::redeem); then nothing was begun.
    fn start<T>(
        self,
        attempt: &Attempt,
        now: Timestamp,
        begin: impl FnOnce() -> T,
    ) -> Result<T, Self::Refusal>
    where
        Self: Sized,
    {
        self.redeem(attempt, now)?;
        Ok(begin())
    }
}

/// Carries out attempts. Redeems the permit before any effect.
///
/// An executor cannot be asked without one:
///
/// ```compile_fail,E0061
/// use hv_saga::{Attempt, Executor, Permit};
///
/// async fn ungoverned<P: Permit>(executor: &dyn Executor<P>, attempt: &Attempt) {
///     let _ = executor.run(attempt).await;
/// }
/// ```
///
/// and a permit cannot be used twice:
///
/// ```compile_fail,E0382
/// use hv_saga::{Attempt, Executor, Permit};
///
/// async fn twice<P: Permit>(executor: &dyn Executor<P>, permit: P, attempt: &Attempt) {
///     let _ = executor.run(permit, attempt).await;
///     let _ = executor.run(permit, attempt).await;
/// }
/// ```
///
/// With one, this compiles:
///
/// ```
/// use hv_saga::{Attempt, Executor, Permit};
///
/// async fn once<P: Permit>(executor: &dyn Executor<P>, permit: P, attempt: &Attempt) {
///     let _ = executor.run(permit, attempt).await;
/// }
/// ```
pub trait Executor<P>: Send + Sync {
    /// Carries out the attempt. Dropping the future stops it, with an unknown outcome.
    fn run<'a>(&'a self, permit: P, attempt: &'a Attempt) -> BoxFuture<'a, Outcome>;

    /// How long attempts may take to stop in order once they were asked to; nothing for an executor whose
    /// attempts cannot be asked and are dropped. Who wraps an executor passes on what that one says, which is why
    /// there is no answer by default.
    fn stops_within(&self) -> Duration;
}

/// Makes events durable and hands out permits: the side of a saga that governs.
pub trait Host: Send + Sync {
    /// What allows an attempt.
    type Permit: Send;

    /// Takes the saga for one driver, until that [lets go](Self::release) of it. A second one would take for lost what
    /// the first one still does. [`drive`](crate::drive::drive) asks for it before its first command, and so does
    /// whoever drives a saga by hand. Who wraps a host passes both on, which is why there is no answer by default.
    ///
    /// Dropped before it has answered, it has not taken it.
    ///
    /// # Errors
    /// [`Halt::Gone`] where somebody else drives it; nothing is changed then, and there is nothing to let go of.
    fn hold(&self) -> BoxFuture<'_, Result<(), Halt>>;

    /// Lets go of the saga that was taken, when nothing that was begun for it is at work any more.
    fn release(&self);

    /// Decides a command, records the events, and answers once they are durable. `output` belongs to the
    /// attempt that the command reports on.
    fn commit(
        &self,
        command: SagaCommand,
        output: Option<Output>,
    ) -> BoxFuture<'_, Result<Progress<Self::Permit>, Halt>>;

    /// The time.
    fn now(&self) -> Timestamp;
}

/// Where a saga stands after a command, and what is to be carried out now.
#[derive(Debug)]
pub struct Progress<P> {
    /// Attempts that have started, each with its permit.
    pub starts: Vec<(Attempt, P)>,
    /// When something becomes due by itself.
    pub next_wake: Option<Timestamp>,
    /// The saga's state.
    pub state: SagaState,
}

/// Why a host cannot go on.
#[derive(Debug)]
pub enum Halt {
    /// The saga refuses the command.
    Denied(SagaDenial),
    /// Somebody else drives the saga now, or it is gone. Nothing was changed.
    Gone,
    /// Nothing can be made durable, or something else that the host alone knows.
    Host(Box<dyn core::error::Error + Send + Sync>),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denial) => fmt::Display::fmt(denial, f),
            Self::Gone => f.write_str(
                "somebody else drives the saga, or it is gone, so nothing of it is carried out from here; \
                 recover it when nobody drives it any more",
            ),
            Self::Host(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for Halt {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Denied(denial) => Some(denial),
            Self::Gone => None,
            Self::Host(error) => Some(&**error),
        }
    }
}
