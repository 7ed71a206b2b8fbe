//! What a person sees while a run goes on: events in, lines on stderr out.
//!
//! On a terminal, what has happened scrolls by and what is going on stands in a few lines at the bottom, which are
//! drawn anew with each event. Elsewhere every event is one plain line. With `--json` or `--quiet` there is nothing.
//!
//! ```
//! use hv_cli::progress::{Event, Progress, Style};
//! use hv_types::Timestamp;
//!
//! let mut out = Vec::new();
//! let mut progress = Progress::new(&mut out, Style::Plain);
//! progress.show(&Event::Notice { text: "interrupted; undoing what was done".into() }, Timestamp(0));
//! drop(progress);
//! assert_eq!(out, b"  0.000s  interrupted; undoing what was done\n");
//! ```

mod live;
mod words;

use hv_saga::{Purpose, SagaState};
use hv_types::{ActionId, Did, Digest, Ring, SessionId, Sigma, StepId, Timestamp};
use live::Live;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Something that happened in a run, as far as a person who watches needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The run begins, or goes on.
    RunStarted {
        /// The session.
        session: SessionId,
        /// The folder of the trail.
        data: String,
        /// The folder in which the commands work.
        work: String,
        /// Steps of the work, the set-up not counted.
        steps: usize,
        /// Whether it is new.
        start: Start,
    },
    /// An agent joined and stands in this ring.
    AgentJoined {
        /// The agent.
        agent: Did,
        /// Its score.
        sigma: Sigma,
        /// Its standing ring.
        ring: Ring,
    },
    /// An agent vouches for another.
    Vouched {
        /// Who vouches.
        voucher: Did,
        /// For whom.
        vouchee: Did,
        /// How much reputation is bonded.
        bond: Sigma,
    },
    /// Another part of the run begins.
    Phase(Phase),
    /// An attempt at a step started.
    StepStarted {
        /// The step.
        step: StepId,
        /// Who does it.
        agent: Did,
        /// What it is.
        action: ActionId,
        /// The ring that it needed.
        ring: Ring,
        /// Which attempt, counted from 1.
        attempt: u32,
        /// How many there may be; nothing where a crash or a handover allows more than its retries.
        attempts: Option<u32>,
    },
    /// An attempt failed.
    AttemptFailed {
        /// The step.
        step: StepId,
        /// What the attempt was for.
        purpose: Purpose,
        /// Which attempt, counted from 1.
        attempt: u32,
        /// Why.
        reason: String,
    },
    /// The next attempt comes after a wait.
    RetryIn {
        /// The step.
        step: StepId,
        /// What the attempt is for.
        purpose: Purpose,
        /// How long it waits.
        delay: Duration,
    },
    /// What an attempt began may still go on; nothing is asked or undone before it has ended.
    Settling {
        /// The step.
        step: StepId,
        /// How long it waits.
        delay: Duration,
    },
    /// A probe is asked, because nobody knows how an attempt ended.
    Probing {
        /// The step.
        step: StepId,
    },
    /// The step is done.
    StepCommitted {
        /// The step.
        step: StepId,
    },
    /// The step failed for good.
    StepFailed {
        /// The step.
        step: StepId,
        /// Why.
        reason: String,
    },
    /// The gate refused the step.
    StepDenied {
        /// The step.
        step: StepId,
        /// Who was refused.
        agent: Did,
        /// Why.
        reason: String,
        /// What would be enough; empty where nothing would.
        needs: String,
    },
    /// The step is being undone.
    Undoing {
        /// The step.
        step: StepId,
        /// Which attempt, counted from 1.
        attempt: u32,
    },
    /// The step is undone.
    Undone {
        /// The step.
        step: StepId,
    },
    /// The step could not be undone and waits for a person.
    Escalated {
        /// The step.
        step: StepId,
        /// Why.
        reason: String,
    },
    /// The saga moved.
    SagaState {
        /// Where it is now.
        state: SagaState,
    },
    /// The session is closed.
    Root {
        /// The root over its records.
        root: Digest,
    },
    /// Something else that a person should know.
    Notice {
        /// In words.
        text: String,
    },
}

/// Whether a run is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It is.
    New,
    /// It was interrupted and goes on.
    Resumed,
}

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The set-up.
    Setup,
    /// Looking at what the set-up left.
    ObservingBefore,
    /// Carrying out and undoing what is to be undone on demand.
    Rehearsal,
    /// The steps.
    Work,
    /// Looking at what the run left.
    ObservingAfter,
}

/// How events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Silent,
    /// One line for each.
    Plain,
    /// On a terminal.
    Live {
        /// Whether it shows colors.
        color: Color,
        /// How much it shows.
        size: Size,
    },
}

/// Whether a terminal shows colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// It does.
    On,
    /// It does not, or somebody asked for none (`NO_COLOR`).
    Off,
}

/// How much a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

impl Style {
    /// What suits stderr: live on a terminal that is not `dumb`, plain lines elsewhere; without colors where
    /// `NO_COLOR` is set.
    #[must_use]
    pub fn for_stderr() -> Self {
        let stderr = io::stderr();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let size = terminal_size::terminal_size_of(&stderr);
        match size {
            Some((terminal_size::Width(columns), terminal_size::Height(rows)))
                if stderr.is_terminal() && !dumb =>
            {
                let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let color = if no_color { Color::Off } else { Color::On };
                Self::Live { color, size: Size { columns, rows } }
            }
            _ => Self::Plain,
        }
    }
}

/// Shows events as they come.
///
/// A write that fails is not an error of the run: what happened stands in the trail.
#[derive(Debug)]
#[must_use = "nothing is shown until events are"]
pub struct Progress<W: Write> {
    out: W,
    style: Style,
    since: Option<Timestamp>,
    live: Live,
}

impl<W: Write> Progress<W> {
    /// Shows events there, in this style.
    pub fn new(out: W, style: Style) -> Self {
        Self { out, style, since: None, live: Live::default() }
    }

    /// Shows an event that happened at this time.
    pub fn show(&mut self, event: &Event, at: Timestamp) {
        let elapsed = at.since(*self.since.get_or_insert(at));
        let text = match self.style {
            Style::Silent => return,
            Style::Plain => match words::line(event) {
                Some((_, line)) => format!("{:>7.3}s  {line}\n", elapsed.as_secs_f64()),
                None => return,
            },
            Style::Live { color, size } => self.live.show(event, at, color, size),
        };
        self.write(&text);
    }

    /// Draws what is going on anew, so that waiting times move. Does nothing but on a terminal.
    pub fn tick(&mut self, now: Timestamp) {
        if let Style::Live { color, size } = self.style {
            let text = self.live.tick(now, color, size);
            self.write(&text);
        }
    }

    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// Takes the lines at the bottom away, so that what follows begins on a line of its own.
impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        let text = self.live.clear();
        self.write(&text);
    }
}
