//! What a killed hv left running: waited for or stopped before anything goes on.

use super::RunFailure;
use hv_core::saga::exec::survivors::Settled;
use std::io;
use std::path::PathBuf;

/// Settles what is left where that blocks nobody else.
///
/// # Errors
/// Where it cannot be looked at, and where something of it cannot be stopped.
pub(crate) async fn settled_left(
    settle: impl FnOnce() -> io::Result<Settled> + Send + 'static,
) -> Result<Settled, RunFailure> {
    let io = |error| RunFailure::Io { path: PathBuf::from("/proc"), doing: "read", error };
    let settled = tokio::task::spawn_blocking(settle).await;
    let settled = settled.map_err(|error| io(io::Error::other(error)))?.map_err(io)?;
    match settled.left.first() {
        None => Ok(settled),
        Some(left) => Err(io(io::Error::other(format!(
            "{left} goes on since an interruption and cannot be stopped; stop it, then try again"
        )))),
    }
}
