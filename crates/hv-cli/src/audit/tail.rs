//! `hv audit tail`: the last records, and what comes after them.

use super::args::TailArgs;
use super::show::{self, Form, Printer};
use super::source::tampered;
use super::{Failure, NoTrail, look};
use crate::Exit;
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Verdict, Why, verify_on};
use std::thread;
use std::time::Duration;

/// How long to wait before the trail is looked at again.
const PAUSE: Duration = Duration::from_millis(500);

/// Shows the last records; with `--follow` the ones after them as they are written, until the trail is ended.
pub(super) fn run(args: &TailArgs) -> Result<Exit, Failure> {
    if !args.follow {
        return show::last(args);
    }
    look(&args.trail.data)?;
    let mut printer = Printer::new(Form::Lines, args.filter.clone(), Some(args.lines));
    loop {
        // Read from the beginning each time, because names are told there, and verified on the way.
        let (mut place, before) = (0, printer.seen());
        let report = verify_on(&RealDisk, &args.trail.data, &mut |entry| {
            place += 1;
            if place > before {
                printer.show(&entry);
            }
        });
        let report = report.map_err(NoTrail::from)?;
        printer.catch_up();
        match &report.verdict {
            Verdict::Tampered(finding) => return Err(tampered(&args.trail.data, finding)),
            Verdict::Open(Why::NotEnded { .. } | Why::Nothing | Why::EndInterrupted) => thread::sleep(PAUSE),
            Verdict::Complete | Verdict::Open(Why::SessionsOpen { .. }) => {
                printer.end()?;
                return Ok(Exit::Done);
            }
        }
    }
}
