//! What a command did: its parts, how long each took, what failed and what was left out.
//!
//! Everything is said on stderr, so that stdout belongs to the programs that a part runs.

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The parts of a command so far.
#[derive(Debug)]
pub(crate) struct Report {
    started: Instant,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    took: Duration,
    end: End,
}

#[derive(Debug)]
enum End {
    Passed,
    Failed(String),
    LeftOut(String),
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), parts: Vec::new() }
    }

    /// Does one part. Where it fails, the next ones are done all the same: one run says everything.
    pub(crate) fn part(&mut self, name: &str, work: impl FnOnce() -> Result<(), String>) -> Passed {
        eprintln!("\n== {name}");
        let started = Instant::now();
        let outcome = work();
        self.done(name, started.elapsed(), outcome)
    }

    /// Says how a part ended that was done beside others.
    pub(crate) fn done(&mut self, name: &str, took: Duration, outcome: Result<(), String>) -> Passed {
        let (end, passed) = match outcome {
            Ok(()) => {
                eprintln!("== {name}: ok, {}", seconds(took));
                (End::Passed, Passed::Yes)
            }
            Err(why) => {
                eprintln!("== {name}: FAILED, {}: {why}", seconds(took));
                (End::Failed(why), Passed::No)
            }
        };
        self.parts.push(Part { name: name.to_owned(), took, end });
        passed
    }

    /// Says that a part is not done, and why.
    pub(crate) fn leave_out(&mut self, name: &str, why: &str) {
        eprintln!("\n== {name}: LEFT OUT: {why}");
        let end = End::LeftOut(why.to_owned());
        self.parts.push(Part { name: name.to_owned(), took: Duration::ZERO, end });
    }

    /// The summary, and the exit code that goes with it.
    pub(crate) fn finish(self) -> ExitCode {
        let width = self.parts.iter().map(|part| part.name.chars().count()).max().unwrap_or(0);
        eprintln!("\n{} in {}", parts(self.parts.len()), seconds(self.started.elapsed()));
        for Part { name, took, end } in &self.parts {
            match end {
                End::Passed => eprintln!("  ok        {name:width$}  {}", seconds(*took)),
                End::LeftOut(why) => eprintln!("  LEFT OUT  {name:width$}  {why}"),
                End::Failed(_) => {}
            }
        }
        for Part { name, took, end } in &self.parts {
            if let End::Failed(why) = end {
                let first = why.lines().next().unwrap_or_default();
                eprintln!("  FAILED    {name:width$}  {}: {first}", seconds(*took));
            }
        }
        if self.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn failed(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.end, End::Failed(_)))
    }
}

/// Whether a part passed, for parts that build on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    Yes,
    No,
}

fn parts(count: usize) -> String {
    if count == 1 { "1 part".to_owned() } else { format!("{count} parts") }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_part_fails_the_command_and_stops_no_other() {
        let mut report = Report::new();
        assert_eq!(report.part("first", || Err("broken".to_owned())), Passed::No);
        let mut reached = false;
        assert_eq!(
            report.part("second", || {
                reached = true;
                Ok(())
            }),
            Passed::Yes
        );
        assert!(reached && report.failed());
        let mut report = Report::new();
        assert_eq!(report.done("beside", Duration::ZERO, Err("broken".to_owned())), Passed::No);
        assert!(report.failed());
    }

    #[test]
    fn what_is_left_out_fails_nothing() {
        let mut report = Report::new();
        report.leave_out("first", "not here");
        assert!(!report.failed());
        assert_eq!([1, 2].map(parts), ["1 part", "2 parts"]);
    }
}
