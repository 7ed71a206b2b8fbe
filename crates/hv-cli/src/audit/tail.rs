//! `hv audit tail`: the last records, and what comes after them.

use super::args::TailArgs;
use super::show::{self, Form, Printer};
use super::source::tampered;
use super::{Failure, NoTrail, look};
use crate::Exit;
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Kind, Reading, Verdict, Why, verify_on};
use std::path::Path;
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
    let printer = Printer::new(Form::Lines, args.filter.clone(), Some(args.lines));
    let mut followed = Followed::new(&args.trail.data, printer);
    while !followed.go_on()? {
        thread::sleep(PAUSE);
    }
    followed.printer.end()?;
    Ok(Exit::Done)
}

/// A trail that is shown as it is written to: each record is read and verified once.
struct Followed<'d> {
    data: &'d Path,
    printer: Printer,
    /// What is read on; nothing where it has to begin anew.
    reading: Option<Reading<'d>>,
    /// How many records it has read.
    place: u64,
    /// Whether the last of them ends the trail.
    sealed: bool,
    /// How often all of the trail was verified, with the contents.
    verified: u32,
}

impl<'d> Followed<'d> {
    const fn new(data: &'d Path, printer: Printer) -> Self {
        Self { data, printer, reading: None, place: 0, sealed: false, verified: 0 }
    }

    /// Shows what came since; says whether that was all that there is to show.
    ///
    /// All of the trail is verified at first, where it says that it is ended, and where what is there does not follow what
    /// was read: a crash took something, something was destroyed by right, or somebody tampered with it.
    fn go_on(&mut self) -> Result<bool, Failure> {
        if self.read_on() && !self.sealed {
            return Ok(self.printer.is_over());
        }
        let report = verify_on(&RealDisk, self.data, &mut |_| {}).map_err(NoTrail::from)?;
        self.verified = self.verified.saturating_add(1);
        let ended = match &report.verdict {
            Verdict::Tampered(finding) => return Err(tampered(self.data, finding)),
            Verdict::Open(Why::NotEnded { .. } | Why::Nothing | Why::EndInterrupted) => false,
            Verdict::Complete | Verdict::Open(Why::SessionsOpen { .. }) => true,
        };
        if self.reading.is_none() {
            self.reading = Some(Reading::new(&RealDisk, self.data));
            (self.place, self.sealed) = (0, false);
        }
        // What came between the two looks is shown before it ends.
        let read = self.read_on();
        Ok((ended && read && self.sealed) || self.printer.is_over())
    }

    /// Reads what came since, and shows what was not shown before; says whether it follows what was read.
    fn read_on(&mut self) -> bool {
        let Self { printer, reading, place, sealed, .. } = self;
        let Some(known) = reading else { return false };
        let read = known.go_on(&mut |entry| {
            *place += 1;
            *sealed = matches!(entry.kind, Kind::Sealed { .. });
            if *place > printer.seen() {
                printer.show(&entry);
            }
        });
        printer.catch_up();
        if read.is_err() {
            *reading = None;
        }
        read.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::FilterArgs;
    use super::*;
    use hv_core::types::{Did, SessionId};
    use hv_core::{Hypervisor, SessionConfig};

    #[tokio::test]
    async fn what_is_followed_is_read_once_and_verified_as_a_whole_where_it_begins_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("trail");
        let hv = Hypervisor::in_folder(&data).unwrap();
        let creator = Did::new("did:mesh:a").unwrap();
        // Nothing is printed by the test.
        let nobody =
            FilterArgs { agent: Some(Did::new("did:mesh:nobody").unwrap()), ..FilterArgs::default() };
        let mut followed = Followed::new(&data, Printer::new(Form::Lines, nobody, Some(10)));
        assert!(!followed.go_on().unwrap());
        for n in 0..3 {
            let before = followed.printer.seen();
            let session = SessionId::new(&format!("s{n}")).unwrap();
            hv.create_session(&session, SessionConfig::default(), &creator).await.unwrap();
            assert!(!followed.go_on().unwrap());
            assert!(followed.printer.seen() > before);
            assert!(!followed.go_on().unwrap());
        }
        let (seen, verified) = (followed.printer.seen(), followed.verified);
        assert_eq!((followed.place, verified), (seen, 1));
        // Ended with sessions that go on: that is the end of it for now.
        hv.seal().await.unwrap();
        drop(hv);
        assert!(followed.go_on().unwrap());
        assert_eq!(followed.verified, 2);
        let all = verify_on(&RealDisk, &data, &mut |_| {}).unwrap();
        assert_eq!(followed.printer.seen(), all.records);

        // Whoever destroys records by right, or takes the trail away and begins another, makes it be read anew.
        let hv = Hypervisor::in_folder(&data).unwrap();
        assert!(!followed.go_on().unwrap());
        drop(hv);
        std::fs::remove_dir_all(&data).unwrap();
        drop(Hypervisor::in_folder(&data).unwrap());
        assert!(!followed.go_on().unwrap());
        assert_eq!(followed.verified, 3);
        // What is gone is found out at the next look; what was changed before that, where all of it is verified.
        let segment = data.join("00000000.seg");
        let mut bytes = std::fs::read(&segment).unwrap();
        std::fs::remove_file(&segment).unwrap();
        assert!(followed.go_on().is_err());
        bytes[100] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
        assert!(followed.go_on().is_err());
    }
}
