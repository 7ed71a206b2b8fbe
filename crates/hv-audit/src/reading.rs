//! Reading a log that is written to: again and again, each time what is new.

use crate::disk::Disk;
use crate::log::LogError;
use crate::record::Entry;
use crate::survey::Survey;
use std::path::Path;

/// A log as far as it was read, without its writer's lock.
///
/// Records, checksums, segments and the mark are verified as [`verify_on`](crate::verify_on) does, each record once; the
/// contents beside them are not looked at.
#[derive(Debug)]
pub struct Reading<'d> {
    survey: Survey<'d>,
}

impl<'d> Reading<'d> {
    /// Nothing was read yet.
    #[must_use]
    pub fn new(disk: &'d dyn Disk, dir: &'d Path) -> Self {
        Self { survey: Survey::new(disk, dir) }
    }

    /// Shows every record that is there and was not shown before. Costs time in proportion to those.
    ///
    /// # Errors
    /// [`LogError::Damaged`] where what is there now does not follow what was read: the log was tampered with, records of
    /// it were destroyed meanwhile, or a crash took what was not durable; whoever reads it from the beginning knows
    /// which. [`LogError::NoLog`], [`LogError::Version`], [`LogError::Io`]. After an error begin anew.
    pub fn go_on(&mut self, f: &mut dyn FnMut(Entry<'_>)) -> Result<(), LogError> {
        self.survey.read_on(&mut |entry| {
            f(entry);
            Ok(())
        })
    }
}
