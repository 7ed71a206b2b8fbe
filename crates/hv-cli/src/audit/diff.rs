//! `hv audit diff`: the first record in which two trails differ.

use super::args::DiffArgs;
use super::{Failure, NoTrail, bad_input, look};
use crate::Exit;
use crate::output::{self, counted};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Kind, Lsn, StreamNo, Verdict, verify_on};
use hv_core::types::{Digest, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, slice};

/// A record as far as it is compared, or records that were purged and of which the hash of the last is left.
#[derive(Debug, Clone, Copy, Serialize)]
struct Place {
    lsn: u64,
    stream: u32,
    record: u64,
    time: Timestamp,
    hash: Digest,
    /// How many records these are.
    #[serde(skip)]
    count: u64,
}

impl Place {
    const fn last(&self) -> u64 {
        self.record + (self.count - 1)
    }

    fn begins_with(&self, other: &Self) -> bool {
        (self.lsn, self.stream, self.record) == (other.lsn, other.stream, other.record)
    }
}

/// What was read of a trail.
#[derive(Debug, Default)]
struct Read {
    places: Vec<Place>,
    records: u64,
    gone: u64,
    /// Whether nothing is wrong with it.
    whole: bool,
}

/// What the two have in common.
#[derive(Debug, Serialize)]
struct Document {
    /// `same`, `first_continues`, `second_continues` or `differ`.
    verdict: &'static str,
    /// The number of records that both begin with.
    common: u64,
    records: [u64; 2],
    /// How many of them were purged.
    gone: [u64; 2],
    /// How many of one nothing is left in the other to compare with.
    unknown: u64,
    /// The first record of each behind those.
    first: Option<Place>,
    second: Option<Place>,
}

/// Compares two trails.
pub(super) fn run(args: &DiffArgs) -> Result<Exit, Failure> {
    let one = read(&args.one)?;
    look(&args.other).map_err(|cause| bad_input(&format_args!("{}: {cause}", args.other.display())))?;
    let other = read(&args.other)?;
    let mut comparison = Comparison::default();
    let [first, second] = comparison.run(&mut Side::new(&one.places), &mut Side::new(&other.places));
    let verdict = match (first, second) {
        (None, None) => "same",
        (Some(_), None) => "first_continues",
        (None, Some(_)) => "second_continues",
        (Some(_), Some(_)) => "differ",
    };
    let document = Document {
        verdict,
        common: comparison.common,
        records: [one.records, other.records],
        gone: [one.gone, other.gone],
        unknown: comparison.open.values().sum(),
        first,
        second,
    };
    output::document(&document, args.json)?;
    // What was compared in part may differ in the rest.
    let told = verdict != "differ" && document.unknown == 0 && one.whole && other.whole;
    Ok(if told { Exit::Done } else { Exit::Failed })
}

/// One of the two on the way through it.
struct Side<'a> {
    places: slice::Iter<'a, Place>,
    /// Of each stream the last records that only one hash is left of.
    runs: BTreeMap<u32, Place>,
}

impl<'a> Side<'a> {
    fn new(places: &'a [Place]) -> Self {
        Self { places: places.iter(), runs: BTreeMap::new() }
    }

    fn next(&self) -> Option<Place> {
        self.places.as_slice().first().copied()
    }

    fn pass(&mut self) {
        if let Some(place) = self.places.next().filter(|place| place.count > 1) {
            self.runs.insert(place.stream, *place);
        }
    }

    /// The records that are gone here and among which this one is.
    fn run_of(&self, place: Place) -> Option<Place> {
        self.runs.get(&place.stream).copied().filter(|run| place.record <= run.last())
    }
}

/// What both begin with. A record's hash holds that of the one before, so where only the hash of the last of some is
/// left, it says the same of all of them.
#[derive(Default)]
struct Comparison {
    common: u64,
    /// How many records of each stream wait for the next hash that both have.
    open: BTreeMap<u32, u64>,
}

impl Comparison {
    /// The first record of each behind what they have in common.
    fn run(&mut self, one: &mut Side<'_>, other: &mut Side<'_>) -> [Option<Place>; 2] {
        loop {
            let (a, b) = (one.next(), other.next());
            if let Some((a, run)) = a.and_then(|a| Some((a, other.run_of(a)?))) {
                if !self.within(a, run) {
                    return [Some(a), Some(run)];
                }
                one.pass();
            } else if let Some((b, run)) = b.and_then(|b| Some((b, one.run_of(b)?))) {
                if !self.within(b, run) {
                    return [Some(run), Some(b)];
                }
                other.pass();
            } else if let Some((a, b)) = a.zip(b).filter(|(a, b)| a.begins_with(b)) {
                // What only one hash is left of is compared with what the other has of it.
                if a.count > 1 {
                    one.pass();
                } else if b.count > 1 {
                    other.pass();
                } else if self.within(a, b) {
                    one.pass();
                    other.pass();
                } else {
                    return [Some(a), Some(b)];
                }
            } else {
                return [a, b];
            }
        }
    }

    /// Takes records of one that the other has, alone or among others; says whether they may be the same.
    fn within(&mut self, place: Place, run: Place) -> bool {
        let (last, both) = (place.last().min(run.last()), place.last() == run.last());
        if both && place.hash != run.hash {
            return false;
        }
        let open = self.open.entry(place.stream).or_default();
        *open += last + 1 - place.record;
        if both {
            self.common += core::mem::take(open);
        }
        true
    }
}

/// The records of a trail, up to the first thing that is wrong with it.
fn read(data: &Path) -> Result<Read, Failure> {
    look(data)?;
    let mut read = Read::default();
    let report = verify_on(&RealDisk, data, &mut |entry| {
        let (Lsn(lsn), StreamNo(stream)) = (entry.lsn, entry.stream);
        let (count, gone) = match entry.kind {
            Kind::Gone { records } => (records.max(1), records),
            _ => (1, 0),
        };
        let record = entry.seq.saturating_sub(count - 1);
        read.records += count;
        read.gone += gone;
        read.places.push(Place { lsn, stream, record, time: entry.time, hash: entry.hash, count });
    });
    let verdict = report.map_err(NoTrail::from)?.verdict;
    if let Verdict::Tampered(finding) = &verdict {
        output::error(&format!(
            "hv: {}: compared up to where it was tampered with: {finding}",
            data.display()
        ));
    }
    read.whole = !matches!(verdict, Verdict::Tampered(_));
    Ok(read)
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, common, records: [one, other], .. } = self;
        match *verdict {
            "same" => writeln!(f, "the same {}", counted(*common, "record"))?,
            "first_continues" => {
                writeln!(
                    f,
                    "the first continues the second: {common} in common, then {} more",
                    one - common
                )?;
            }
            "second_continues" => writeln!(
                f,
                "the second continues the first: {common} in common, then {} more",
                other - common
            )?,
            _ => {
                writeln!(f, "they differ behind {}", counted(*common, "record"))?;
                let places = [("first", self.first), ("second", self.second)];
                places.iter().try_for_each(|(name, place)| match place {
                    Some(Place { lsn, stream, record, time, hash, .. }) => {
                        writeln!(
                            f,
                            "  {name:6}  batch {lsn}, record {record} of stream {stream}, {time}, {hash}"
                        )
                    }
                    None => Ok(()),
                })?;
            }
        }
        let gone = ["first", "second"].into_iter().zip(self.gone).filter(|(_, gone)| *gone > 0);
        for (name, gone) in gone {
            writeln!(f, "  {name:6}  {gone} of its records purged, compared by the hashes that are left")?;
        }
        match self.unknown {
            0 => Ok(()),
            unknown => writeln!(f, "  nothing is left to compare {} with", counted(unknown, "record")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(lsn: u64, stream: u32, record: u64, count: u64, hash: u8) -> Place {
        Place { lsn, stream, record, time: Timestamp(0), hash: Digest([hash; 32]), count }
    }

    fn compared(one: &[Place], other: &[Place]) -> (u64, u64, [Option<u64>; 2]) {
        let mut comparison = Comparison::default();
        let places = comparison.run(&mut Side::new(one), &mut Side::new(other));
        (comparison.common, comparison.open.values().sum(), places.map(|place| Some(place?.record)))
    }

    #[test]
    fn what_one_hash_is_left_of_is_compared_with_all_that_it_stands_for() {
        let node = |lsn, record, hash| place(lsn, 0, record, 1, hash);
        let whole = [node(1, 0, 1), place(2, 2, 1, 1, 2), node(3, 1, 3), place(3, 2, 2, 1, 4), node(4, 2, 5)];
        let short = [node(1, 0, 1), place(2, 2, 1, 2, 4), node(3, 1, 3), node(4, 2, 5)];
        let all = (5, 0, [None, None]);
        assert_eq!(compared(&whole, &short), all);
        assert_eq!(compared(&short, &whole), all);
        assert_eq!(compared(&short, &short), all);
        // Another record among those that are gone.
        let other = [node(1, 0, 1), place(2, 2, 1, 1, 9), node(3, 1, 3), place(3, 2, 2, 1, 8), node(4, 2, 5)];
        assert_eq!(compared(&other, &short), (2, 1, [Some(2), Some(1)]));
        assert_eq!(compared(&short, &other), (2, 1, [Some(1), Some(2)]));
        // A copy that ends among them.
        assert_eq!(compared(&whole[..3], &short), (2, 1, [None, Some(2)]));
        // Runs of other lengths.
        let longer = [place(2, 2, 1, 3, 6)];
        let shorter = [place(2, 2, 1, 2, 4), place(5, 2, 3, 1, 6)];
        for (one, other) in [(&longer[..], &shorter[..]), (&shorter, &longer)] {
            assert_eq!(compared(one, other), (3, 0, [None, None]));
        }
    }
}
