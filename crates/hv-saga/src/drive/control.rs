//! Stopping and waking a driver from outside.

use core::time::Duration;
use std::sync::Arc;
use tokio::sync::watch;

/// The handle by which a driver is stopped or woken. Clones reach the same driver; one handle may serve many.
#[derive(Debug, Clone)]
pub struct Control(Arc<watch::Sender<Signal>>);

/// What was asked of the driver so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Signal {
    pub(super) stop: Stop,
    pub(super) wakes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stop {
    #[default]
    Go,
    Cancel {
        within: Duration,
    },
    Abandon,
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}

impl Control {
    /// A handle that asks for nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Signal::default())))
    }

    /// Undoes what was done. Executions that run may end by themselves within this time; then they are
    /// dropped, their outcome is unknown, and what settles that follows. Undo and probes are never dropped.
    pub fn cancel(&self, within: Duration) {
        self.0.send_modify(|signal| {
            if signal.stop == Stop::Go {
                signal.stop = Stop::Cancel { within };
            }
        });
    }

    /// Stops at once and leaves the saga as it is recorded, to be recovered later. Attempts that run are
    /// dropped.
    pub fn abandon(&self) {
        self.0.send_modify(|signal| signal.stop = Stop::Abandon);
    }

    /// Makes the driver look for what has become ready, such as appended steps.
    pub fn wake(&self) {
        self.0.send_modify(|signal| signal.wakes = signal.wakes.wrapping_add(1));
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Signal> {
        self.0.subscribe()
    }
}
