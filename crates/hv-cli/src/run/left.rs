//! What a killed hv left running: waited for or stopped before anything goes on.

use super::RunFailure;
use hv_core::saga::exec::survivors::{Settled, kill_those, settle_those, settle_while};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Settles what is left where that blocks nobody else.
///
/// # Errors
/// Where it cannot be looked at, and where something of it cannot be stopped.
pub(crate) async fn settled_left(
    settle: impl FnOnce() -> io::Result<Settled> + Send + 'static,
) -> Result<Settled, RunFailure> {
    let io = |error| RunFailure::Io { path: PathBuf::from("/proc"), doing: "read", error };
    blocking(settle).await.and_then(all_gone).map_err(io)
}

/// Does it where it blocks nobody else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn all_gone(settled: Settled) -> io::Result<Settled> {
    match settled.left.first() {
        None => Ok(settled),
        Some(left) => Err(io::Error::other(format!(
            "{left} goes on since an interruption and cannot be stopped; stop it, then try again"
        ))),
    }
}

/// Stops what goes on of attempts that were given up.
pub(crate) async fn stopped_at_once(token: &str, keys: Vec<String>, tell: impl Fn(String)) -> io::Result<()> {
    let token = token.to_owned();
    let settled = blocking(move || settle_those(&token, &keys, Duration::ZERO)).await?;
    all_gone(settled).map(|settled| told(&settled, tell))
}

fn told(settled: &Settled, tell: impl Fn(String)) {
    for (survivors, what) in [
        (&settled.ended, "went on after the interruption and has ended"),
        (&settled.stopped, "went on after the interruption and was stopped"),
    ] {
        survivors.iter().for_each(|survivor| tell(format!("{survivor} {what}")));
    }
}

/// Programs of an attempt that go on since its driver was cut off. Whoever drops them ends them, as with programs of its
/// own.
pub(crate) struct GoingOn {
    token: String,
    keys: Vec<String>,
    gone: bool,
}

impl GoingOn {
    pub(crate) fn new(token: &str, keys: Vec<String>) -> Self {
        Self { token: token.to_owned(), keys, gone: false }
    }

    /// Waits until they have ended, for so long or until they are `asked` to; then stops them.
    pub(crate) async fn ended(
        mut self,
        wait: Duration,
        asked: impl Future<Output = ()>,
        tell: impl Fn(String),
    ) -> io::Result<()> {
        let hurry = Arc::new(AtomicBool::new(false));
        let until = Instant::now() + wait;
        let (token, keys, hurried) = (self.token.clone(), self.keys.clone(), Arc::clone(&hurry));
        let patient = move || !hurried.load(SeqCst) && Instant::now() < until;
        let mut settling = std::pin::pin!(blocking(move || settle_while(&token, &keys, patient)));
        let settled = tokio::select! {
            settled = &mut settling => settled?,
            () = asked => {
                hurry.store(true, SeqCst);
                settling.await?
            }
        };
        let settled = all_gone(settled)?;
        self.gone = true;
        told(&settled, tell);
        Ok(())
    }
}

impl Drop for GoingOn {
    fn drop(&mut self) {
        if !self.gone {
            kill_those(&self.token, &self.keys);
        }
    }
}
