//! Opening a log and making something of its records in one go: whoever follows is shown each one as it is checked.

use crate::disk::Disk;
use crate::folder::Folder;
use crate::log::{LogError, Lsn};
use crate::record::{Entry, Kind};
use crate::snapshot::{self, Print, Read};
use crate::survey::Survey;
use hv_types::Illegal;
use std::collections::BTreeSet;
use std::path::Path;

/// Makes something of a log while it is [opened](crate::FileLog::open_following), so that it is read once.
///
/// What was made holds only where opening succeeds: damage may lie further on.
pub trait Follow {
    /// Records follow from here on: all of the log, or those behind a snapshot, which is the one that its record names.
    /// What was shown before does not count. Answers whether it can begin with that.
    fn begin(&mut self, kept: Option<Kept<'_>>) -> bool;

    /// Takes the next record.
    ///
    /// # Errors
    /// The rule that the record breaks. Behind a snapshot, it then begins anew at an earlier place.
    fn take(&mut self, entry: &Entry<'_>) -> Result<(), Illegal>;
}

/// What a snapshot kept of whoever made it.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// The batch that holds the snapshot's digest.
    pub lsn: Lsn,
    /// The state that was kept.
    pub state: &'a [u8],
}

/// Makes nothing of it.
pub(crate) struct Nobody;

impl Follow for Nobody {
    fn begin(&mut self, _: Option<Kept<'_>>) -> bool {
        true
    }

    fn take(&mut self, _: &Entry<'_>) -> Result<(), Illegal> {
        Ok(())
    }
}

/// Reads a log, from its last snapshot on where that can be used; what it leaves unread is for later.
pub(crate) fn surveyed<'d>(
    disk: &'d dyn Disk,
    dir: &'d Path,
    snapshots: bool,
    follow: &mut dyn Follow,
) -> Result<(Survey<'d>, Option<(Lsn, Read)>), LogError> {
    let names = if snapshots { Folder::list(disk, dir)?.snapshots } else { BTreeSet::new() };
    for lsn in names.into_iter().rev() {
        let Some(read) = snapshot::read(disk, dir, lsn) else { continue };
        let mut survey = Survey::new(disk, dir);
        let mut shown = Shown { follow: &mut *follow, begun: false, refused: None };
        let behind = survey.read_behind(Some(&read.point), &mut |entry| {
            // The first record behind it names it, or it is none.
            if !shown.begun && !shown.begin(&entry, &read, lsn) {
                return Err(LogError::Abandoned);
            }
            shown.take(&entry);
            shown.refused.clone().map_or(Ok(()), Err)
        });
        // What is wrong behind it is told by whoever reads everything.
        let fits = behind.is_ok() && shown.begun && survey.chain.reducing().is_empty();
        if fits && lsn == read.point.lsn.next() {
            return Ok((survey, Some((lsn, read))));
        }
    }
    let mut survey = Survey::new(disk, dir);
    let mut shown = Shown { begun: follow.begin(None), follow, refused: None };
    survey.read(&mut |entry| {
        shown.take(&entry);
        Ok(())
    })?;
    // Damage is told before what may have come of it.
    shown.refused.map_or(Ok((survey, None)), Err)
}

struct Shown<'f> {
    follow: &'f mut dyn Follow,
    begun: bool,
    /// The first record that was refused; none is shown after it.
    refused: Option<LogError>,
}

impl Shown<'_> {
    /// Begins behind a snapshot, where the first record names just this one.
    fn begin(&mut self, first: &Entry<'_>, read: &Read, lsn: Lsn) -> bool {
        let named = match first.kind {
            Kind::Snapshot { digest, length } => first.lsn == lsn && read.print == Print { digest, length },
            _ => false,
        };
        self.begun = named && self.follow.begin(Some(Kept { lsn, state: read.state() }));
        self.begun
    }

    fn take(&mut self, entry: &Entry<'_>) {
        if self.begun && self.refused.is_none() {
            self.refused = self.follow.take(entry).map_err(|cause| entry.illegal(cause)).err();
        }
    }
}
