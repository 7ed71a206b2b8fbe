//! Progress on a terminal: lines that scroll by, and a block at the bottom that is drawn anew.

use super::words::{self, Tone};
use super::{Color, Event, Size};
use hv_types::{StepId, Timestamp};
use std::fmt::Write;
use std::time::Duration;

/// What is going on, and how many lines of it are on the screen.
#[derive(Debug, Default)]
pub(super) struct Live {
    rows: Vec<Row>,
    drawn: usize,
}

/// A step that is not settled.
#[derive(Debug)]
struct Row {
    step: StepId,
    what: String,
    since: Timestamp,
    /// When it goes on, where it waits.
    until: Option<Timestamp>,
}

impl Live {
    /// What to write for an event.
    pub(super) fn show(&mut self, event: &Event, at: Timestamp, color: Color, size: Size) -> String {
        let mut text = self.clear();
        let stays = self.follow(event, at);
        if let (Stays::Yes, Some((tone, line))) = (stays, words::line(event)) {
            let (mark, sgr) = mark(tone);
            let _ = match color {
                Color::On => writeln!(text, "\u{1b}[{sgr}m{mark}\u{1b}[0m {line}"),
                Color::Off => writeln!(text, "{mark} {line}"),
            };
        }
        text.push_str(&self.draw(at, color, size));
        text
    }

    /// What to write so that times move on.
    pub(super) fn tick(&mut self, now: Timestamp, color: Color, size: Size) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut text = self.clear();
        text.push_str(&self.draw(now, color, size));
        text
    }

    /// What to write so that the block is gone.
    pub(super) fn clear(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A\r\u{1b}[J"),
        }
    }

    /// Keeps the rows as the event says, and tells whether the event itself is worth a line that stays.
    fn follow(&mut self, event: &Event, at: Timestamp) -> Stays {
        match event {
            Event::StepStarted { step, agent, action, ring, attempt, attempts } => {
                let again = words::again(*attempt, *attempts);
                self.set(step, format!("{action} by {agent} in {ring}{again}"), at, None);
                Stays::No
            }
            Event::Undoing { step, attempt } => {
                let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                self.set(step, format!("undoing{again}"), at, None);
                Stays::No
            }
            Event::Probing { step } => {
                self.set(step, "asking whether its effect is there".into(), at, None);
                Stays::No
            }
            Event::RetryIn { step, purpose, delay } => {
                self.set(step, format!("{purpose} again"), at, Some(at.after(*delay)));
                Stays::No
            }
            Event::Settling { step, delay } => {
                self.set(step, "goes on when what it began has ended".into(), at, Some(at.after(*delay)));
                Stays::No
            }
            Event::StepCommitted { step }
            | Event::StepFailed { step, .. }
            | Event::StepDenied { step, .. }
            | Event::Undone { step }
            | Event::Escalated { step, .. } => {
                self.rows.retain(|row| row.step != *step);
                Stays::Yes
            }
            _ => Stays::Yes,
        }
    }

    fn set(&mut self, step: &StepId, what: String, since: Timestamp, until: Option<Timestamp>) {
        let row = Row { step: step.clone(), what, since, until };
        match self.rows.iter_mut().find(|row| row.step == *step) {
            Some(known) => *known = row,
            None => self.rows.push(row),
        }
    }

    /// The block, as high as the terminal allows with a line to spare.
    fn draw(&mut self, now: Timestamp, color: Color, size: Size) -> String {
        let room = usize::from(size.rows).saturating_sub(2).max(1);
        let shown = if self.rows.len() > room { room - 1 } else { self.rows.len() };
        let mut text = String::new();
        for row in self.rows.iter().take(shown) {
            let line = format!("  {}: {}, {}", row.step, row.what, row.time(now));
            push_row(&mut text, &line, color, size);
        }
        let hidden = self.rows.len() - shown;
        if hidden > 0 {
            push_row(&mut text, &format!("  and {hidden} more"), color, size);
        }
        self.drawn = shown + usize::from(hidden > 0);
        text
    }
}

impl Row {
    fn time(&self, now: Timestamp) -> String {
        let seconds = |duration: Duration| format!("{:.1}s", duration.as_secs_f64());
        match self.until {
            Some(until) => format!("in {}", seconds(until.since(now))),
            None => seconds(now.since(self.since)),
        }
    }
}

/// Whether an event leaves a line that scrolls by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    Yes,
    No,
}

/// A line that never wraps: a wrapped one would take two rows, and clearing would leave one behind.
fn push_row(text: &mut String, line: &str, color: Color, size: Size) {
    let columns = usize::from(size.columns).saturating_sub(1);
    let line: String = line.chars().take(columns).collect();
    let _ = match color {
        Color::On => writeln!(text, "\u{1b}[2m{line}\u{1b}[0m"),
        Color::Off => writeln!(text, "{line}"),
    };
}

const fn mark(tone: Tone) -> (char, u8) {
    match tone {
        Tone::Neutral => ('·', 2),
        Tone::Good => ('✓', 32),
        Tone::Back => ('↶', 33),
        Tone::Bad => ('✗', 31),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Progress, Style};
    use super::*;
    use hv_saga::Purpose;
    use hv_types::{ActionId, Did, Ring};

    fn started(step: &str, attempt: u32, attempts: u32) -> Event {
        Event::StepStarted {
            step: StepId::new(step).unwrap(),
            agent: Did::new("did:mesh:a").unwrap(),
            action: ActionId::new("git.push").unwrap(),
            ring: Ring::Standard,
            attempt,
            attempts: Some(attempts),
        }
    }

    /// What is on the screen after all events: a terminal that knows line breaks, `ESC[nA`, `\r` and `ESC[J`.
    fn screen(size: Size, events: &[(u64, Event)]) -> Vec<String> {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, Style::Live { color: Color::Off, size });
        for (millis, event) in events {
            progress.show(event, Timestamp(millis * 1_000_000));
        }
        std::mem::forget(progress);
        let mut lines: Vec<String> = Vec::new();
        let text = String::from_utf8(out).unwrap();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("\u{1b}[") {
                let (up, after) = after.split_once("A\r\u{1b}[J").unwrap();
                lines.truncate(lines.len() - up.parse::<usize>().unwrap());
                rest = after;
            } else {
                let (line, after) = rest.split_once('\n').unwrap();
                assert!(line.chars().count() < size.columns.into() || !line.starts_with(' '), "{line}");
                lines.push(line.into());
                rest = after;
            }
        }
        lines
    }

    #[test]
    fn what_goes_on_stays_at_the_bottom_and_what_is_settled_scrolls() {
        let step = StepId::new("push").unwrap();
        let failed = Event::AttemptFailed {
            step: step.clone(),
            purpose: Purpose::Execute,
            attempt: 1,
            reason: "it ended with exit code 1\u{1b}[2J".into(),
        };
        let retry = Event::RetryIn {
            step: step.clone(),
            purpose: Purpose::Execute,
            delay: Duration::from_millis(200),
        };
        let mut events =
            vec![(0, started("push", 1, 2)), (0, started("other", 1, 1)), (100, failed), (100, retry)];
        let size = Size { columns: 80, rows: 24 };
        assert_eq!(
            screen(size, &events),
            [
                "✗ push: attempt 1 failed: it ended with exit code 1\\u{1b}[2J",
                "  push: execute again, in 0.2s",
                "  other: git.push by did:mesh:a in Ring 2 (standard), 0.1s",
            ]
        );
        let settling = Event::Settling { step: step.clone(), delay: Duration::from_secs(2) };
        events.push((200, settling));
        assert_eq!(screen(size, &events)[1], "  push: goes on when what it began has ended, in 2.0s");
        events.extend([(300, started("push", 2, 2)), (400, Event::StepCommitted { step })]);
        assert_eq!(
            screen(size, &events)[1..],
            ["✓ push: done", "  other: git.push by did:mesh:a in Ring 2 (standard), 0.4s",]
        );
    }

    #[test]
    fn a_small_terminal_is_never_overdrawn() {
        let events: Vec<_> = (0..9).map(|n| (n, started(&format!("step-{n}"), 1, 1))).collect();
        let lines = screen(Size { columns: 20, rows: 5 }, &events);
        assert_eq!(lines, ["  step-0: git.push ", "  step-1: git.push ", "  and 7 more"]);
        assert_eq!(screen(Size { columns: 20, rows: 1 }, &events), ["  and 9 more"]);
    }

    #[test]
    fn times_move_and_the_block_goes_away_at_the_end() {
        let mut out = Vec::new();
        let size = Size { columns: 80, rows: 24 };
        let mut progress = Progress::new(&mut out, Style::Live { color: Color::On, size });
        progress.tick(Timestamp(0));
        progress.show(&started("a", 1, 1), Timestamp(0));
        progress.tick(Timestamp(1_500_000_000));
        drop(progress);
        let text = String::from_utf8(out).unwrap();
        let row = |time: &str| {
            format!(
                "\u{1b}[2m  a: git.push by did:mesh:a in Ring 2 (standard), {time}\u{1b}[0m\n\u{1b}[1A\r\u{1b}[J"
            )
        };
        assert_eq!(text, row("0.0s") + &row("1.5s"));
    }
}
