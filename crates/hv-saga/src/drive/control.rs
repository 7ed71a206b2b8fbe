//! Stopping, pausing and waking a driver from outside.

use crate::{Did, Purpose};
#[cfg(any(feature = "command", feature = "http"))]
use core::task::Poll;
use core::time::Duration;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The handle by which a driver is stopped, paused or woken. Clones reach the same driver; one handle may
/// serve many.
#[derive(Debug, Clone)]
pub struct Control(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    signal: watch::Sender<Signal>,
    halted: watch::Sender<Halted>,
    relieved: Mutex<Vec<Did>>,
    /// So many of them a driver has taken the work from.
    answered: AtomicUsize,
}

/// What was asked of the driver so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Signal {
    pub(super) stop: Stop,
    pub(super) paused: bool,
    pub(super) relieved: usize,
    pub(super) wakes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stop {
    #[default]
    Go,
    Cancel {
        within: Duration,
    },
    Abandon {
        within: Duration,
    },
}

/// Which attempts are to end now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Halted {
    #[default]
    None,
    Executions,
    All,
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
        Self(Arc::new(Inner {
            signal: watch::Sender::new(Signal::default()),
            halted: watch::Sender::new(Halted::default()),
            relieved: Mutex::default(),
            answered: AtomicUsize::new(0),
        }))
    }

    /// Undoes what was done. Executions that run may end by themselves within this time; then those that know
    /// [`Stopping`] are stopped in order, the others are dropped, their outcome is unknown, and what settles
    /// that follows. Undo and probes are never stopped.
    pub fn cancel(&self, within: Duration) {
        self.0.signal.send_modify(|signal| {
            if signal.stop == Stop::Go {
                signal.stop = Stop::Cancel { within };
            }
        });
    }

    /// Whether what was done is to be undone, as [`cancel`](Self::cancel) asks for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.signal.borrow().stop, Stop::Cancel { .. })
    }

    /// [`suspend`](Self::suspend) that lets nothing that runs end by itself.
    pub fn abandon(&self) {
        self.suspend(Duration::ZERO);
    }

    /// Starts nothing more and leaves the saga to be recovered later. Attempts that run may end by themselves
    /// within this time, and how they end is recorded; then those that know [`Stopping`] are stopped in order,
    /// and the others are dropped.
    pub fn suspend(&self, within: Duration) {
        self.0.signal.send_modify(|signal| signal.stop = Stop::Abandon { within });
    }

    /// Starts no execution until [`resume`](Self::resume); the pause is recorded. Attempts that run go on, and
    /// so do probes. The driver waits meanwhile, and one that begins meanwhile pauses its saga first.
    pub fn pause(&self) {
        self.0.signal.send_modify(|signal| signal.paused = true);
    }

    /// Starts executions again after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.0.signal.send_modify(|signal| signal.paused = false);
    }

    /// Takes the work from an agent: what it executes is dropped and in doubt, and what it has not finished is
    /// handed over to the substitutes that its steps name. A driver that begins once another has done so does not
    /// repeat it.
    pub fn relieve(&self, agent: Did) {
        let mut relieved = self.0.relieved.lock().unwrap_or_else(PoisonError::into_inner);
        relieved.push(agent);
        let count = relieved.len();
        drop(relieved);
        self.0.signal.send_modify(|signal| signal.relieved = count);
    }

    /// Makes the driver look for what has become ready, such as appended steps.
    pub fn wake(&self) {
        self.0.signal.send_modify(|signal| signal.wakes = signal.wakes.wrapping_add(1));
    }

    /// Asks every attempt whose executor knows [`Stopping`] to stop in order, whatever it is for. For whoever lets an
    /// executor run by itself; a driver does it on its own when its time to wait is over.
    pub fn stop(&self) {
        self.halt(Halted::All);
    }

    /// For an executor whose attempts can be stopped in order, such as programs.
    #[must_use]
    pub fn stopping(&self) -> Stopping {
        Stopping(self.0.halted.subscribe())
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Signal> {
        self.0.signal.subscribe()
    }

    pub(super) fn halt(&self, which: Halted) {
        self.0.halted.send_modify(|halted| *halted = which.max(*halted));
    }

    /// So many of those relieved no driver that begins now relieves again.
    pub(super) fn answered(&self) -> usize {
        self.0.answered.load(SeqCst)
    }

    pub(super) fn answer(&self, relieved: usize) {
        self.0.answered.fetch_max(relieved, SeqCst);
    }

    /// The agents relieved from this place of the list on.
    pub(super) fn relieved(&self, from: usize) -> Vec<Did> {
        let relieved = self.0.relieved.lock().unwrap_or_else(PoisonError::into_inner);
        relieved.get(from..).unwrap_or_default().to_vec()
    }
}

/// That an attempt was asked to stop.
#[cfg(any(feature = "command", feature = "http"))]
pub(crate) struct Asked;

/// Waits for the work, or until somebody asks to stop.
#[cfg(any(feature = "command", feature = "http"))]
pub(crate) async fn first<F: Future>(
    stopping: &[Stopping],
    purpose: Purpose,
    work: F,
) -> Result<F::Output, Asked> {
    let mut work = core::pin::pin!(work);
    let mut asked: Vec<_> = stopping.iter().map(|stopping| Box::pin(stopping.asked(purpose))).collect();
    core::future::poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        let stop = asked.iter_mut().any(|asked| asked.as_mut().poll(cx).is_ready());
        if stop { Poll::Ready(Err(Asked)) } else { Poll::Pending }
    })
    .await
}

/// Tells an executor when its attempts are to be stopped.
#[derive(Debug, Clone)]
pub struct Stopping(watch::Receiver<Halted>);

impl Stopping {
    /// Ends when an attempt for this purpose is to stop; never where nobody can ask for it any more.
    pub async fn asked(&self, purpose: Purpose) {
        let mut halted = self.0.clone();
        let asked = |halted: &Halted| match halted {
            Halted::None => false,
            Halted::Executions => purpose == Purpose::Execute,
            Halted::All => true,
        };
        if halted.wait_for(asked).await.is_err() {
            core::future::pending().await
        }
    }
}
