//! What is wrong with a log, and where.

use crate::log::{Lsn, StreamNo};
use core::fmt;
use hv_types::Undecodable;
use std::path::PathBuf;

/// A place where a log does not hold what an honest writer left, even after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as named within the log's folder; empty for a log in memory.
    pub file: PathBuf,
    /// The first byte of the file that does not fit, or of the smallest checked unit that holds it.
    pub offset: u64,
    /// The stream, where it is known.
    pub stream: Option<StreamNo>,
    /// The record's place in its stream, where it is known.
    pub record: Option<u64>,
    /// The batch, where it is known.
    pub lsn: Option<Lsn>,
    /// What is wrong.
    pub what: What,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The bytes are no record.
    NotARecord(Undecodable),
    /// The record names another parent than the record before it: one of the two is not what it was.
    Parent,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.as_os_str().is_empty() {
            write!(f, "{} at byte {}: ", self.file.display(), self.offset)?;
        }
        if let (Some(stream), Some(record)) = (self.stream, self.record) {
            write!(f, "record {record} of {stream}: ")?;
        }
        if let Some(lsn) = self.lsn {
            write!(f, "batch {lsn}: ")?;
        }
        write!(f, "{}", self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecord(cause) => write!(f, "the bytes are no record: {cause}"),
            Self::Parent => f.write_str("the record names another parent than the record before it"),
        }
    }
}
