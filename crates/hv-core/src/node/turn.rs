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
    /// How often somebody came to wait.
    came: AtomicU64,
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
    /// Returns when a batch is durable. Nobody's thread waits but that of the one whose turn it is.
    pub(crate) async fn sync(&self, lsn: Lsn) -> Result<(), Error> {
        let Shared { log, turn, .. } = &*self.shared;
        if tokio::runtime::Handle::try_current().is_err() {
            return log.sync(lsn).map_err(Error::from).inspect_err(|_| self.poison());
        }
        let _waiting = Waiting::begin();
        turn.came.fetch_add(1, Ordering::Relaxed);
        loop {
            let mut passed = pin!(turn.passed.notified());
            // From here on nobody passes the turn unheard.
            passed.as_mut().enable();
            if log.durable() >= lsn {
                return Ok(());
            }
            if turn.taken.swap(true, Ordering::AcqRel) {
                passed.await;
                continue;
            }
            // The turn belongs to a task, which goes on as long as its runtime does, whether or not anybody still asks.
            let taken = Taken(Arc::clone(&self.shared));
            let syncing = Syncing::begin(log.durable());
            let synced = tokio::spawn(async move {
                taken.0.turn.gather().await;
                let shared = Arc::clone(&taken.0);
                let synced = blocking(move || taken.0.log.sync(lsn)).await;
                // Nobody may be left whom what is durable now is revealed to.
                shared.notify();
                synced
            });
            let synced = synced.await.unwrap_or(Err(Error::Poisoned));
            syncing.end(log.durable());
            return synced.inspect_err(|_| self.poison());
        }
    }
}

impl Turn {
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
