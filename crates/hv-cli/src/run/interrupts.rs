//! What the person at the terminal asks for while a run goes on.

use super::RunFailure;
use super::watch::show;
use crate::progress::{Event, Phase, Progress};
use crate::session::steer::Cancels;
use crate::shell::quoted;
use hv_core::saga::drive::Control;
use hv_core::{Clock, SystemClock};
use std::io::Stderr;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long executions may go on after the first Ctrl-C.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long what runs may end by itself after SIGTERM, before it is stopped.
const GRACE: Duration = Duration::from_secs(5);
/// The same after a second Ctrl-C: enough for what takes a moment, such as a step of git, which asked in the middle may
/// leave what keeps it from ever being undone.
pub(crate) const MOMENT: Duration = Duration::from_secs(1);

/// What the person at the terminal asks for.
#[derive(Debug, Clone)]
pub(super) struct Interrupts {
    /// For what is undone on the first Ctrl-C.
    work: Control,
    /// For what only looks, and goes on.
    look: Control,
    asked: Arc<AtomicU32>,
    stopped: tokio::sync::watch::Receiver<bool>,
    /// The trail with which the run can go on; none as long as nothing is known of it there.
    data: Arc<OnceLock<PathBuf>>,
}

impl Interrupts {
    /// Ctrl-C undoes. SIGTERM lets what runs end within a grace, records how, and leaves the run resumable; a second
    /// Ctrl-C does so within a moment. From the return on, no signal is missed.
    pub(super) fn listen(progress: &Arc<Mutex<Progress<Stderr>>>) -> Result<Self, RunFailure> {
        let heard = |kind| {
            let io = |error| RunFailure::Io { path: PathBuf::from("signals"), doing: "listen to", error };
            signal(kind).map_err(io)
        };
        let (mut interrupt, mut terminate) =
            (heard(SignalKind::interrupt())?, heard(SignalKind::terminate())?);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let interrupts = Self {
            work: Control::new(),
            look: Control::new(),
            asked: Arc::default(),
            stopped,
            data: Arc::default(),
        };
        let (own, progress) = (interrupts.clone(), Arc::downgrade(progress));
        tokio::spawn(async move {
            let notice = |text: &str| {
                if let Some(progress) = progress.upgrade() {
                    show(&progress, &Event::Notice { text: text.to_owned() }, SystemClock.now());
                }
            };
            let within = loop {
                let terminated = tokio::select! {
                    biased;
                    _ = terminate.recv() => true,
                    _ = interrupt.recv() => false,
                };
                if terminated {
                    break GRACE;
                }
                if own.asked.fetch_add(1, SeqCst) > 0 {
                    break MOMENT;
                }
                notice("interrupted: undoing what was done; once more to stop at once, to be resumed");
                own.work.cancel(PATIENCE);
            };
            let next = own
                .data
                .get()
                .map(|data| format!("; go on later with `hv run --resume --data {}`", quoted(data)));
            notice(&format!("stopping; nothing more starts{}", next.unwrap_or_default()));
            // First of all: whoever sees a driver leave has to know why, or takes it for one that was paused, and resumes.
            let _ = stop.send(true);
            own.work.suspend(within);
            own.look.suspend(within);
        });
        Ok(interrupts)
    }

    /// From here on the run can be resumed with what this trail says.
    pub(super) fn resumable(&self, data: &Path) {
        let _ = self.data.set(data.to_owned());
    }

    /// What was done is to be undone: somebody asked for it before this program took the run up.
    pub(super) fn turn_back(&self) {
        self.work.cancel(PATIENCE);
    }

    /// Whether everything is to stop at once.
    pub(super) fn are_final(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Whether what was done is to be undone, whoever asked for it.
    pub(super) fn cancelled(&self) -> bool {
        self.asked.load(SeqCst) > 0 || self.work.is_cancelled()
    }

    /// What is turned back in a phase by whoever asks for it from a shell.
    pub(super) fn cancels(&self, phase: Phase) -> Cancels {
        match phase {
            Phase::Setup | Phase::Rehearsal | Phase::Work => Cancels::Driven,
            Phase::ObservingBefore => Cancels::Following(self.work.clone()),
            Phase::ObservingAfter => Cancels::Nothing,
        }
    }

    pub(super) fn control(&self, phase: Phase) -> Control {
        match phase {
            Phase::Setup | Phase::Rehearsal | Phase::Work => self.work.clone(),
            Phase::ObservingBefore | Phase::ObservingAfter => self.look.clone(),
        }
    }
}
