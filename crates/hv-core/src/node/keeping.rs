//! What a node has made of its trail, kept so that it opens sooner; and opening with it.

use super::{Node, blocking};
use crate::error::Error;
use crate::event::NodeEvent;
use crate::guards::Cadence;
use crate::state::{State, keep, restore};
use hv_audit::{self as audit, Entry, Follow, Log, LogError, Lsn, Opening};
use hv_types::{Digest, Illegal, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// When the next snapshot is due, and when the last one was begun, in batches.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    due: AtomicU64,
    last: AtomicU64,
    every: AtomicU64,
    at_the_end: AtomicU64,
}

impl Keeping {
    /// From here on by this measure.
    pub(super) fn pace(&self, log: &dyn Log, Cadence { every, at_the_end }: Cadence) {
        self.every.store(every, Ordering::Relaxed);
        self.at_the_end.store(at_the_end, Ordering::Relaxed);
        let due = self.last.load(Ordering::Relaxed).saturating_add(every);
        self.due.store(if log.waits_for_disk() { due } else { u64::MAX }, Ordering::Relaxed);
    }

    fn every(&self) -> u64 {
        self.every.load(Ordering::Relaxed)
    }
}

/// So many bytes of a snapshot are worth one batch: about as many as a batch of a saga writes itself, and waits for.
const BYTES_A_BATCH: u64 = 256;

/// A snapshot that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The batch that holds its digest.
    pub lsn: Lsn,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What a node makes of its log: of all of it, or from a snapshot on.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    state: State,
    /// The time of the last record.
    pub(crate) last: Timestamp,
    /// The batch of the snapshot that it began with; 0 where there was none.
    since: u64,
    /// The last snapshot that led nowhere, and why.
    unusable: Option<(Lsn, String)>,
}

impl Follow for Taken {
    fn begin(&mut self, kept: Option<audit::Kept<'_>>) -> bool {
        let restored = kept.map(|audit::Kept { lsn, state }| (lsn, restore(state)));
        let (begun, since) = match restored {
            None => (Ok((State::default(), Timestamp::default())), Lsn(0)),
            Some((lsn, restored)) => (restored.map_err(|error| (lsn, unfit(&error))), lsn),
        };
        match begun {
            Ok((state, last)) => (self.state, self.last, self.since) = (state, last, since.0),
            Err(unusable) => {
                self.unusable = Some(unusable);
                return false;
            }
        }
        true
    }

    fn take(&mut self, entry: &Entry<'_>) -> Result<(), Illegal> {
        self.last = self.last.max(entry.time);
        let taken = self.state.replay(entry);
        if let (Err(illegal), 1..) = (&taken, self.since) {
            self.unusable = Some((Lsn(self.since), unfit(illegal)));
        }
        taken
    }
}

fn unfit(error: &dyn std::fmt::Display) -> String {
    format!("it is not what this version keeps: {error}")
}

/// What a log says of a node.
pub(crate) struct Opened {
    /// The time of the last record.
    pub(crate) last: Timestamp,
    /// What is to be said of a snapshot that could not be used.
    pub(crate) unusable: Option<NodeEvent>,
}

/// Puts what was taken into a state of which nothing is known yet; what was not is replayed first, from the snapshot on
/// where there is one.
pub(crate) fn opened(
    log: &dyn Log,
    taken: Option<Box<Taken>>,
    state: &mut State,
    keeping: &Keeping,
) -> Result<Opened, Error> {
    let (Opening { snapshot, unusable }, kept) = log.opening();
    let mut unusable = unusable.map(|unusable| (unusable.lsn, unusable.to_string()));
    let taken = match taken {
        Some(taken) => Some(*taken),
        None => match snapshot.zip(kept) {
            Some((lsn, kept)) => Some(resumed(log, lsn, &kept)?),
            None => None,
        },
    };
    let (last, since) = match taken {
        Some(taken) => {
            *state = taken.state;
            unusable = taken.unusable.or(unusable);
            (taken.last, taken.since)
        }
        // The state stays where it is, because it is large.
        None => (replayed(log, state)?, 0),
    };
    // Once is enough.
    let unusable = unusable.filter(|(lsn, _)| state.unusable != lsn.0);
    let unusable = unusable.map(|(lsn, why)| NodeEvent::SnapshotUnusable { batch: lsn.0, why });
    keeping.last.store(since, Ordering::Relaxed);
    Ok(Opened { last, unusable })
}

fn replayed(log: &dyn Log, state: &mut State) -> Result<Timestamp, LogError> {
    let mut last = Timestamp::default();
    log.replay(&mut |entry| {
        last = last.max(entry.time);
        state.replay(&entry)
    })?;
    Ok(last)
}

/// Replays a log that is open from its snapshot on, or all of it where that leads nowhere.
fn resumed(log: &dyn Log, lsn: Lsn, state: &[u8]) -> Result<Taken, LogError> {
    let mut taken = Taken::default();
    if taken.begin(Some(audit::Kept { lsn, state })) {
        match log.replay_rest(&mut |entry| taken.take(&entry)) {
            // What follows it does not follow from it.
            Err(LogError::Illegal { .. }) => {}
            rest => return rest.map(|_| taken),
        }
    }
    taken.begin(None);
    log.replay(&mut |entry| taken.take(&entry))?;
    Ok(taken)
}

impl Node {
    /// A digest over everything that the trail makes of the node, but for when its last record was.
    pub(crate) fn state_digest(&self) -> Result<Digest, Error> {
        let bytes = keep(&self.lock()?.state, Timestamp::default());
        Ok(Digest(*blake3::hash(&bytes).as_bytes()))
    }

    /// Takes a snapshot of the node; `None` where its log keeps none. Nothing is decided while the state is encoded.
    pub(crate) async fn keep_snapshot(&self) -> Result<Option<Kept>, Error> {
        let pending = {
            let inner = self.lock()?;
            let now = self.now();
            let state = keep(&inner.state, Timestamp(self.shared.last.load(Ordering::Acquire)));
            let pending = self.shared.log.begin_snapshot(now, &state)?;
            self.shared.last.fetch_max(now.0, Ordering::AcqRel);
            pending
        };
        let Keeping { due, last, .. } = &self.shared.keeping;
        let Some(pending) = pending else {
            due.store(u64::MAX, Ordering::Relaxed);
            return Ok(None);
        };
        let kept = Kept { lsn: pending.lsn(), bytes: pending.size() };
        last.store(kept.lsn.0, Ordering::Relaxed);
        due.store(
            kept.lsn.0.saturating_add(self.shared.keeping.every().max(kept.bytes / BYTES_A_BATCH)),
            Ordering::Relaxed,
        );
        let log = Arc::clone(&self.shared.log);
        blocking(move || log.finish_snapshot(pending)).await?;
        Ok(Some(kept))
    }

    /// Takes a snapshot in the background where enough was appended since the last one. One that fails costs a
    /// later opening time; the next one is due as if it had not.
    #[inline]
    pub(crate) fn keep_where_due(&self, lsn: Lsn) {
        if lsn.0 >= self.shared.keeping.due.load(Ordering::Relaxed) {
            self.keep_in_background(lsn);
        }
    }

    #[cold]
    fn keep_in_background(&self, lsn: Lsn) {
        let due = self.shared.keeping.due.swap(u64::MAX, Ordering::Relaxed);
        if due > lsn.0 {
            // Somebody else was faster, and says when the next one is due.
            self.shared.keeping.due.fetch_min(due, Ordering::Relaxed);
            return;
        }
        let Keeping { due, .. } = &self.shared.keeping;
        due.store(lsn.0.saturating_add(self.shared.keeping.every()), Ordering::Relaxed);
        let node = self.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(async move { node.keep_snapshot().await.map(drop) }));
        }
    }

    /// Takes a snapshot of a node that ends, where it is worth it.
    pub(crate) async fn keep_at_the_end(&self) {
        let since = self.shared.keeping.last.load(Ordering::Relaxed);
        let most = self.shared.keeping.at_the_end.load(Ordering::Relaxed);
        if self.shared.log.waits_for_disk() && self.shared.log.durable().0.saturating_sub(since) > most {
            // Without it, opening reads more.
            let _ = self.keep_snapshot().await;
        }
    }
}
