//! `hv audit diff`: the first record in which two trails differ.

use super::args::DiffArgs;
use super::{Failure, NoTrail, bad_input, look};
use crate::Exit;
use crate::output;
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Lsn, StreamNo, Verdict, verify_on};
use hv_core::types::{Digest, Timestamp};
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// A record as far as it is compared.
#[derive(Debug, Clone, Copy, Serialize)]
struct Place {
    lsn: u64,
    stream: u32,
    record: u64,
    time: Timestamp,
    hash: Digest,
}

/// What the two have in common.
#[derive(Debug, Serialize)]
struct Document {
    /// `same`, `first_continues`, `second_continues` or `differ`.
    verdict: &'static str,
    /// The number of records that both begin with.
    common: usize,
    records: [usize; 2],
    /// The first record of each behind those.
    first: Option<Place>,
    second: Option<Place>,
}

/// Compares two trails.
pub(super) fn run(args: &DiffArgs) -> Result<Exit, Failure> {
    let (one, whole) = places(&args.one)?;
    look(&args.other).map_err(|cause| bad_input(&format_args!("{}: {cause}", args.other.display())))?;
    let (other, other_whole) = places(&args.other)?;
    let common = one.iter().zip(&other).take_while(|(a, b)| (a.hash, a.lsn) == (b.hash, b.lsn)).count();
    let (first, second) = (one.get(common).copied(), other.get(common).copied());
    let verdict = match (first, second) {
        (None, None) => "same",
        (Some(_), None) => "first_continues",
        (None, Some(_)) => "second_continues",
        (Some(_), Some(_)) => "differ",
    };
    let document = Document { verdict, common, records: [one.len(), other.len()], first, second };
    output::document(&document, args.json)?;
    // What was compared in part may differ in the rest.
    Ok(if verdict != "differ" && whole && other_whole { Exit::Done } else { Exit::Failed })
}

/// The records of a trail, up to the first thing that is wrong with it, and whether nothing is.
fn places(data: &Path) -> Result<(Vec<Place>, bool), Failure> {
    look(data)?;
    let mut places = Vec::new();
    let report = verify_on(&RealDisk, data, &mut |entry| {
        let (Lsn(lsn), StreamNo(stream)) = (entry.lsn, entry.stream);
        places.push(Place { lsn, stream, record: entry.seq, time: entry.time, hash: entry.hash });
    });
    let verdict = report.map_err(NoTrail::from)?.verdict;
    if let Verdict::Tampered(finding) = &verdict {
        output::error(&format!(
            "hv: {}: compared up to where it was tampered with: {finding}",
            data.display()
        ));
    }
    Ok((places, !matches!(verdict, Verdict::Tampered(_))))
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, common, records: [one, other], .. } = self;
        match *verdict {
            "same" => writeln!(f, "the same {common} records"),
            "first_continues" => {
                writeln!(f, "the first continues the second: {common} in common, then {} more", one - common)
            }
            "second_continues" => writeln!(
                f,
                "the second continues the first: {common} in common, then {} more",
                other - common
            ),
            _ => {
                writeln!(f, "they differ behind {common} records")?;
                let places = [("first", self.first), ("second", self.second)];
                places.iter().try_for_each(|(name, place)| match place {
                    Some(Place { lsn, stream, record, time, hash }) => {
                        writeln!(
                            f,
                            "  {name:6}  batch {lsn}, record {record} of stream {stream}, {time}, {hash}"
                        )
                    }
                    None => Ok(()),
                })
            }
        }
    }
}
