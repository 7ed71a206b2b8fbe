//! Waiting for the disk: one does it for all, and takes along whoever is ready to record something.

use super::{Node, Shared, blocking};
use crate::error::Error;
use crate::observed::{Syncing, Waiting};
use hv_audit::Lsn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// Whose turn it is to wait for the disk.
#[derive(Debug, Default)]
pub(super) struct Turn {
    taken: AtomicBool,
    passed: Notify,
    /// How often somebody came to wait: until now, until the last turn was taken, and until the one before it.
    came: AtomicU64,
    came_last: AtomicU64,
    came_before: AtomicU64,
}

/// The turn, given back whatever becomes of whoever has it.
struct Taken(Arc<Shared>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.turn.taken.store(false, Ordering::Release);
        self.0.turn.passed.notify_waiters();
    }
}

/// So often others are let go first who record something.
const ROUNDS: usize = 32;

impl Node {
    /// Returns when a batch is durable. One thread waits for the disk at a time, for all: one that does nothing else, unless
    /// the log says that this is not worth it.
    pub(crate) async fn sync(&self, lsn: Lsn) -> Result<(), Error> {
        let Shared { log, turn, .. } = &*self.shared;
        if tokio::runtime::Handle::try_current().is_err() {
            return log.sync(lsn).map_err(Error::from).inspect_err(|_| self.poison());
        }
        let _waiting = Waiting::begin();
        turn.came.fetch_add(1, Ordering::Relaxed);
        let mut waited = false;
        loop {
            let mut passed = pin!(turn.passed.notified());
            // From here on nobody passes the turn unheard.
            passed.as_mut().enable();
            if log.durable() >= lsn {
                return Ok(());
            }
            if turn.taken.swap(true, Ordering::AcqRel) {
                passed.await;
                waited = true;
                continue;
            }
            let taken = Taken(Arc::clone(&self.shared));
            let (alone, short) = (turn.is_alone() && !waited, log.sync_is_short());
            let syncing = Syncing::begin(log.durable());
            // The turn belongs to a thread or a task, which goes on as long as its runtime does, whether or not anybody
            // still asks.
            let synced = if alone && !short {
                // Others come while a thread waits; where none does, they only come when they are let go first.
                taken.sync(lsn, short).await
            } else {
                let together = async move {
                    taken.0.turn.gather().await;
                    taken.sync(lsn, short).await
                };
                tokio::spawn(together).await.unwrap_or(Err(Error::Poisoned))
            };
            syncing.end(log.durable());
            return synced.inspect_err(|_| self.poison());
        }
    }
}

impl Taken {
    /// Syncs and passes the turn, in place where it is short. Nothing is waited for before that is begun.
    async fn sync(self, lsn: Lsn, short: bool) -> Result<(), Error> {
        let shared = Arc::clone(&self.0);
        let sync = move || {
            let synced = shared.log.sync(lsn);
            drop(self);
            // Nobody may be left whom what is durable now is revealed to.
            shared.notify();
            synced
        };
        if short { sync().map_err(Error::from) } else { blocking(sync).await }
    }
}

impl Turn {
    /// Whether nobody else came since the turn before the last one was taken; asked once by whoever takes the turn.
    ///
    /// Of many who share their syncs, the first who comes again is the only one since the last turn.
    fn is_alone(&self) -> bool {
        let came = self.came.load(Ordering::Relaxed);
        let last = self.came_last.swap(came, Ordering::Relaxed);
        let before = self.came_before.swap(last, Ordering::Relaxed);
        came.saturating_sub(before) <= 2
    }

    /// Lets those go first who are ready to run, as long as some of them come to wait too: the same sync then serves
    /// them. Whoever is alone waits for nobody.
    async fn gather(&self) {
        for _ in 0..ROUNDS {
            let before = self.came.load(Ordering::Relaxed);
            tokio::task::yield_now().await;
            if self.came.load(Ordering::Relaxed) == before {
                break;
            }
        }
    }
}
