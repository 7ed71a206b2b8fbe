//! Damage in a log of which records are gone is located, too: every record that is there as exactly as in a whole log.

use crate::reduce::reduce;
use crate::sim::{Image, SimDisk};
use crate::trail::{DIR, options, verdict, work};
use hv_audit::{FileLog, Kind, Log, Lsn, StreamNo, Tier, Verdict, verify_on};
use hv_types::Timestamp;
use hv_types::wire::put_varint;
use std::path::Path;

/// A log with one of its sessions gone, in several segments.
fn reduced(tier: Tier) -> Image {
    let disk = SimDisk::default();
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1500)).unwrap();
    work(&log, 10).unwrap();
    reduce(&log, &[StreamNo::FIRST_SESSION], tier).unwrap();
    log.seal(Timestamp(6000)).unwrap();
    drop(log);
    assert_eq!(verdict(&disk).verdict, Verdict::Complete);
    disk.image()
}

/// What a segment holds of a record, or of those that are gone, and where that is told.
struct Part {
    place: (StreamNo, u64, Lsn),
    gone: bool,
    bytes: Vec<u8>,
}

fn parts(image: &Image) -> Vec<Part> {
    let mut parts = vec![];
    verify_on(&SimDisk::from_image(image), Path::new(DIR), &mut |entry| {
        let bytes = match entry.kind {
            Kind::Gone { records: 1 } => {
                let mut bytes = vec![];
                put_varint(u64::from(entry.stream.0), &mut bytes);
                bytes.extend([0, 1]);
                bytes.extend(entry.hash.0);
                bytes
            }
            Kind::Gone { .. } => entry.hash.0.to_vec(),
            _ => entry.bytes.to_vec(),
        };
        let gone = matches!(entry.kind, Kind::Gone { .. });
        parts.push(Part { place: (entry.stream, entry.seq, entry.lsn), gone, bytes });
    })
    .unwrap();
    parts
}

#[test]
fn a1_a_flipped_byte_of_a_log_of_which_records_are_gone_is_located() {
    for tier in [Tier::Leaves, Tier::Roots] {
        let image = reduced(tier);
        let mut short = 0;
        for Part { place, gone, bytes } in parts(&image) {
            let mut there = image.iter().filter_map(|(path, file)| {
                let at = file.windows(bytes.len()).position(|window| window == bytes)?;
                path.extension().is_some_and(|e| e == "seg").then_some((path, at))
            });
            let (path, at) = there.next().unwrap();
            short += usize::from(image[path].starts_with(b"hv-short"));
            // Behind what tells a part that is gone from a record.
            for at in (at + 3..at + bytes.len()).step_by(11) {
                let mut changed = image.clone();
                changed.get_mut(path).unwrap()[at] ^= 0x10;
                let report = verdict(&SimDisk::from_image(&changed));
                let Verdict::Tampered(finding) = report.verdict else { panic!("{tier}: {report}") };
                let (stream, seq, lsn) = place;
                let what = format!("{tier}, byte {at} of record {seq} of {stream}: {finding}");
                assert_eq!((finding.stream, finding.lsn), (Some(stream), Some(lsn)), "{what}");
                // Of two that are gone from one batch, nothing tells which was changed.
                let record = finding.record.unwrap();
                assert!(record == seq || gone && record + 1 == seq, "{what}");
            }
        }
        assert!(short > 10, "{tier}: {short}");
    }
}
