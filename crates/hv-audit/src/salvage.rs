//! What can still be read of a log whose folder is not as it should be.

use crate::disk::Disk;
use crate::folder::Folder;
use crate::log::LogError;
use crate::record::Entry;
use crate::survey::Survey;
use std::io;
use std::path::Path;

/// Shows every record from the first one on that fits, whatever the mark and the rest of the folder say: what can
/// be read of a log in which [`verify_on`](crate::verify_on) found something wrong before it came to the records.
///
/// Vouches for nothing, takes no lock and changes nothing.
///
/// # Errors
/// Those of the operating system, [`io::ErrorKind::NotFound`] where there is no log, and
/// [`io::ErrorKind::Unsupported`] where it is in a version of the format that is not read.
pub fn salvage_on(disk: &dyn Disk, dir: &Path, f: &mut dyn FnMut(Entry<'_>)) -> io::Result<()> {
    let mut survey = Survey::new(disk, dir);
    let read = Folder::list(disk, dir).and_then(|folder| {
        let unbroken = folder.segments.iter().zip(0..).take_while(|(index, next)| *index == next).count();
        let segments = u32::try_from(unbroken).unwrap_or(u32::MAX);
        survey.read_segments(segments, None, &mut |entry| {
            f(entry);
            Ok(())
        })
    });
    match read {
        Ok(()) | Err(LogError::Damaged(_)) => Ok(()),
        Err(LogError::Io { kind, .. }) => Err(kind.into()),
        Err(error @ LogError::Version { .. }) => Err(io::Error::new(io::ErrorKind::Unsupported, error)),
        Err(error) => Err(io::Error::new(io::ErrorKind::NotFound, error)),
    }
}
