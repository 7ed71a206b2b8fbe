//! Executors: what carries out attempts.
//!
//! Each redeems its permit before any effect, and reads what is only named (`env:`, `file:`) at that moment.

mod closure;
#[cfg(any(feature = "command", feature = "http"))]
mod encodings;
mod router;
#[cfg(any(feature = "command", feature = "http"))]
mod secrets;

#[cfg(feature = "command")]
mod command;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "command")]
mod relay;
#[cfg(all(feature = "command", target_os = "linux"))]
pub mod survivors;

pub use closure::Closures;
#[cfg(feature = "command")]
pub use command::{CommandExecutor, PASSED, Pinned};
#[cfg(feature = "http")]
pub use http::{HttpExecutor, NotABase};
#[cfg(feature = "command")]
pub use relay::{Printed, Relay};
pub use router::Router;

use crate::{Attempt, Class, Outcome, Permit, Reason, Timestamp};
use std::sync::Arc;
use std::time::SystemTime;

/// Where an executor reads the time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The system's time.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Timestamp(0).after(since.unwrap_or_default())
    })
}

/// INVARIANT (C1): nothing happens before the permit is used up for exactly this attempt.
fn redeem<P: Permit>(permit: P, attempt: &Attempt, now: Timestamp) -> Result<(), Outcome> {
    permit.redeem(attempt, now).map_err(|_| Outcome::failed(Class::Permanent, Reason::NotPermitted))
}
