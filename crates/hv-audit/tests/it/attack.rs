//! What an enemy, a broken disk or a careless hand does to a trail.

use crate::sim::{Dice, Image, SimDisk};
use crate::trail::{DIR, finished, options, unfinished, verdict};
use hv_audit::{FileLog, Finding, Log, LogError, Lsn, Report, StreamNo, Verdict, What, salvage_on};
use hv_types::Timestamp;
use hv_types::wire::{Reader, Wire};
use std::path::{Path, PathBuf};

/// A changed trail is found out and the place is named; opening it is refused and changes nothing.
fn tampered(image: &Image, what: &str) -> Finding {
    let disk = SimDisk::from_image(image);
    let report = verdict(&disk);
    let Verdict::Tampered(finding) = report.verdict else { panic!("{what}: {report}") };
    assert!(!finding.file.as_os_str().is_empty(), "{what}: no file is named");
    *finding
}

/// Whether the file is a payload, whose content opening leaves to verification and to whoever reads it, or a
/// snapshot, which it does without.
fn is_payload(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("payloads")) || is_snapshot(path)
}

fn is_snapshot(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "snap")
}

/// Opening is refused, and the folder stays as it is.
fn refused(image: &Image, what: &str) {
    if what.contains(".snap") {
        // Nothing is read from it.
        return;
    }
    let disk = SimDisk::from_image(image);
    // What opening from a snapshot leaves unread is refused later, before anything is sealed.
    let opened = FileLog::open(Path::new(DIR), Timestamp(2000), options(&disk, 1500).without_snapshots());
    assert!(opened.is_err(), "{what} was opened");
    assert_eq!(disk.image(), *image, "{what} was changed");
}

fn changed(image: &Image, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Image {
    let mut image = image.clone();
    change(image.get_mut(path).unwrap());
    image
}

fn segments(image: &Image) -> Vec<PathBuf> {
    image.keys().filter(|path| path.extension().is_some_and(|e| e == "seg")).cloned().collect()
}

/// Where the frames of a segment lie.
fn frames(segment: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut at, mut frames) = (76, vec![]);
    while at + 20 <= segment.len() && segment[at..at + 4] != [0; 4] {
        let length = 20 + u32::from_le_bytes(segment[at..at + 4].try_into().unwrap()) as usize;
        frames.push(at..at + length);
        at += length;
    }
    frames
}

/// Gives a frame another number, with its checksums put right.
fn renumber(frame: &mut [u8], lsn: u64) {
    frame[4..12].copy_from_slice(&lsn.to_le_bytes());
    put_right(frame);
}

fn put_right(frame: &mut [u8]) {
    let crc = crc32c::crc32c(&frame[20..]);
    frame[12..16].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&frame[..16]);
    frame[16..20].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a1_every_flipped_byte_of_a_finished_trail_is_found_and_located() {
    let image = finished();
    for (path, bytes) in &image {
        for at in 0..bytes.len() {
            let bits: &[u8] =
                if at % 37 == 0 || crate::deep(0, 1) == 1 { &[0, 1, 2, 3, 4, 5, 6, 7] } else { &[0] };
            let bit = u8::try_from(at % 8).unwrap();
            for bit in bits.iter().map(|b| (b + bit) % 8) {
                let what = format!("bit {bit} of byte {at} of {}", path.display());
                let changed = changed(&image, path, |bytes| bytes[at] ^= 1 << bit);
                let finding = tampered(&changed, &what);
                assert_eq!(Path::new(DIR).join(&finding.file), *path, "{what}: {finding}");
                assert!(finding.offset <= at as u64, "{what}: {finding}");
                if at % 101 == 0 && !is_payload(path) {
                    refused(&changed, &what);
                }
            }
        }
    }
}

/// A record of a segment: stream, place, and where its bytes lie.
fn records(segment: &[u8]) -> Vec<(StreamNo, u64, std::ops::Range<usize>)> {
    let mut records = vec![];
    for frame in frames(segment) {
        let payload = &segment[frame.start + 20..frame.end];
        let mut reader = Reader::new(payload);
        while !reader.rest().is_empty() {
            let stream = StreamNo(u32::take(&mut reader).unwrap());
            let record = reader.bytes().unwrap();
            let end = frame.start + 20 + reader.offset();
            // Behind the parent and the kind.
            let seq = Reader::new(&record[33..]).varint().unwrap();
            records.push((stream, seq, end - record.len()..end));
        }
    }
    records
}

#[test]
fn a1_a_flipped_byte_in_a_record_names_exactly_that_record() {
    let image = finished();
    for path in segments(&image) {
        for (stream, seq, range) in records(&image[&path]) {
            for at in range {
                let finding = tampered(&changed(&image, &path, |bytes| bytes[at] ^= 0x10), "a record's byte");
                let named = (finding.stream, finding.record);
                assert_eq!(named, (Some(stream), Some(seq)), "byte {at} of {}: {finding}", path.display());
            }
        }
    }
}

#[test]
fn a1_every_cut_of_a_finished_trail_is_found() {
    let image = finished();
    for (path, bytes) in &image {
        for at in 0..bytes.len() {
            let what = format!("{} cut at byte {at}", path.display());
            let cut = changed(&image, path, |bytes| bytes.truncate(at));
            tampered(&cut, &what);
            if at % 101 == 0 {
                refused(&cut, &what);
            }
        }
    }
}

#[test]
fn a1_every_byte_behind_a_finished_trail_is_found() {
    let image = finished();
    for path in image.keys() {
        for tail in [&[0][..], &[1], &[0; 20], &[0; 600], &[0xff; 600]] {
            let what = format!("{} with {} more bytes", path.display(), tail.len());
            let longer = changed(&image, path, |bytes| bytes.extend(tail));
            let finding = tampered(&longer, &what);
            assert_eq!(Path::new(DIR).join(&finding.file), *path, "{what}: {finding}");
            refused(&longer, &what);
        }
    }
}

#[test]
fn a1_swapped_dropped_and_doubled_frames_are_found() {
    let image = finished();
    for path in segments(&image) {
        let segment = &image[&path];
        let frames = frames(segment);
        assert_eq!(frames.last().map(|last| last.end), Some(segment.len()));
        let lsn_of = |at: &std::ops::Range<usize>| {
            u64::from_le_bytes(segment[at.start + 4..at.start + 12].try_into().unwrap())
        };
        let first = lsn_of(&frames[0]);
        for (index, frame) in frames.iter().enumerate() {
            let whole = |order: Vec<usize>, numbered: bool| {
                let mut bytes = segment[..76].to_vec();
                for (place, from) in order.into_iter().enumerate() {
                    let mut frame = segment[frames[from].clone()].to_vec();
                    if numbered {
                        renumber(&mut frame, first + place as u64);
                    }
                    bytes.extend(frame);
                }
                bytes
            };
            for numbered in [false, true] {
                let mut orders = vec![];
                let all: Vec<usize> = (0..frames.len()).collect();
                let mut dropped = all.clone();
                dropped.remove(index);
                orders.push((dropped, "dropped"));
                let mut doubled = all.clone();
                doubled.insert(index, index);
                orders.push((doubled, "doubled"));
                if index > 0 {
                    let mut swapped = all.clone();
                    swapped.swap(index, index - 1);
                    orders.push((swapped, "swapped"));
                }
                for (order, what) in orders {
                    let what = format!("frame {index} of {} {what}, renumbered {numbered}", path.display());
                    let bytes = whole(order, numbered);
                    let other = changed(&image, &path, |segment| *segment = bytes);
                    let finding = tampered(&other, &what);
                    assert!(
                        finding.lsn.is_some() || finding.offset > 0 || frame.start == 76,
                        "{what}: {finding}"
                    );
                    refused(&other, &what);
                }
            }
        }
    }
}

/// Failure 2: verification that believes stored hashes. Every field of a record is changed with all checksums
/// put right; what later records say about it gives it away.
#[test]
fn a1_a_record_changed_with_its_checksums_is_found_at_its_place() {
    let image = finished();
    let of = |path: &PathBuf| records(&image[path]).into_iter().map(|(stream, seq, _)| (stream, seq));
    let all: Vec<(StreamNo, u64)> = segments(&image).iter().flat_map(of).collect();
    let mut bodies = 0;
    for path in segments(&image) {
        let segment = image[&path].clone();
        for (stream, seq, range) in records(&segment) {
            let frame = frames(&segment).into_iter().find(|frame| frame.contains(&range.start)).unwrap();
            let end = range.end;
            for at in range.clone() {
                let other = changed(&image, &path, |bytes| {
                    bytes[at] ^= 1;
                    put_right(&mut bytes[frame.clone()]);
                });
                let finding = tampered(&other, "a record changed with its checksums");
                let what = format!("byte {at} of {}: {finding}", path.display());
                // The last byte of a caller's record is its body's, and only the next record tells of it.
                let next = all.contains(&(stream, seq + 1));
                if at + 1 == end && segment[range.start + 32] == 0 && next {
                    assert_eq!((&finding.what, finding.record), (&What::Parent, Some(seq + 1)), "{what}");
                    bodies += 1;
                }
                let here = (path.file_name(), frame.start as u64);
                let there = (finding.file.file_name(), finding.offset);
                assert!(there >= here, "{what}");
                let named = (finding.stream, finding.record);
                match finding.what {
                    // The record itself, or the next one, which still names what the record was.
                    What::Parent => {
                        assert!(
                            named == (Some(stream), Some(seq)) || named == (Some(stream), Some(seq + 1)),
                            "{what}"
                        );
                    }
                    // The record that ends the log, or the one that it ends a stream with.
                    What::EndOf { stream: of } => assert!([of, StreamNo::NODE].contains(&stream), "{what}"),
                    // Told by what a later record or the mark says about the record as a whole.
                    What::Commitment | What::Root | What::NotAsMarked | What::Uncommitted => {}
                    _ => assert!(named == (Some(stream), Some(seq)) || finding.lsn.is_some(), "{what}"),
                }
            }
        }
    }
    assert!(bodies > 20);
}

/// A mark with another content and a check that is right.
fn forged(image: &Image, at: usize, bytes: &[u8]) -> Image {
    let key = blake3::derive_key("hv 2026 audit mark v1", &[]);
    changed(image, &Path::new(DIR).join("mark"), |mark| {
        for slot in mark.chunks_mut(512) {
            slot[at..at + bytes.len()].copy_from_slice(bytes);
            let check = blake3::keyed_hash(&key, &slot[..480]);
            slot[480..].copy_from_slice(check.as_bytes());
        }
    })
}

#[test]
fn a1_a_forged_mark_is_compared_with_the_log() {
    let image = finished();
    let mark = &image[&Path::new(DIR).join("mark")];
    assert_eq!(forged(&image, 0, &[]), image);
    let number = |at: usize| u64::from_le_bytes(mark[at..at + 8].try_into().unwrap());
    for (at, bytes, what) in [
        (24, vec![9; 16], What::SegmentPlace),
        (
            40,
            (number(40) + 1).to_le_bytes().to_vec(),
            What::BelowMark { marked: Lsn(number(40) + 1), found: Lsn(number(40)) },
        ),
        (40, (number(40) - 1).to_le_bytes().to_vec(), What::NotAsMarked),
        (48, vec![2, 0, 0, 0], What::NotAsMarked),
        (48, vec![9, 0, 0, 0], What::Missing),
        (56, (number(56) - 1).to_le_bytes().to_vec(), What::NotAsMarked),
        (64, (number(64) - 1).to_le_bytes().to_vec(), What::NotAsMarked),
        (72, vec![9; 32], What::NotAsMarked),
        (104, vec![9; 32], What::EndDigest),
    ] {
        assert_eq!(tampered(&forged(&image, at, &bytes), "a forged mark").what, what, "at {at}");
        refused(&forged(&image, at, &bytes), "a log with a forged mark");
    }
}

#[test]
fn what_can_be_read_of_a_damaged_trail_is_shown() {
    let image = finished();
    let whole = verdict(&SimDisk::from_image(&image)).records;
    let shown = |image: &Image| {
        let mut shown = 0;
        salvage_on(&SimDisk::from_image(image), Path::new(DIR), &mut |_| shown += 1).unwrap();
        shown
    };
    assert_eq!(shown(&image), whole);
    let mut without = image.clone();
    without.remove(&Path::new(DIR).join("mark")).unwrap();
    assert_eq!(shown(&without), whole);
    let second = &segments(&image)[1];
    let damaged = shown(&changed(&image, second, |bytes| bytes[100] ^= 1));
    assert_eq!(damaged, records(&image[&segments(&image)[0]]).len() as u64);
}

#[test]
fn a1_deleted_renamed_and_added_files_are_found() {
    let image = finished();
    for path in image.keys() {
        let mut without = image.clone();
        let bytes = without.remove(path).unwrap();
        if is_snapshot(path) {
            // It holds nothing that the records do not.
            assert_eq!(verdict(&SimDisk::from_image(&without)).verdict, Verdict::Complete);
            continue;
        }
        tampered(&without, &format!("{} deleted", path.display()));
        refused(&without, &format!("{} deleted", path.display()));
        for name in ["00000099.seg", "mark2", "payloads/x"] {
            let mut renamed = without.clone();
            renamed.insert(Path::new(DIR).join(name), bytes.clone());
            tampered(&renamed, &format!("{} renamed to {name}", path.display()));
            refused(&renamed, &format!("{} renamed to {name}", path.display()));
        }
    }
    let digest = "ab".repeat(32);
    for name in [
        "note.txt",
        "00000099.seg",
        "0.seg",
        "mark~",
        "payloads/readme",
        "other/file",
        ".hidden",
        &format!("payloads/{digest}"),
        &format!("payloads/{digest}.tmp"),
        &format!("payloads/{}", digest.to_uppercase()),
    ] {
        let mut more = image.clone();
        more.insert(Path::new(DIR).join(name), b"x".to_vec());
        tampered(&more, &format!("{name} added"));
    }
    let files: Vec<_> = image.keys().collect();
    for pair in files.windows(2) {
        let mut swapped = image.clone();
        let (a, b) = (image[pair[0]].clone(), image[pair[1]].clone());
        swapped.insert(pair[0].clone(), b);
        swapped.insert(pair[1].clone(), a);
        tampered(&swapped, &format!("{} and {} swapped", pair[0].display(), pair[1].display()));
    }
}

#[test]
fn a1_a_segment_of_another_trail_is_found() {
    let ours = finished();
    let theirs = {
        let disk = SimDisk::default();
        let mut other = crate::trail::entropy();
        other();
        let options = hv_audit::FileOptions::new(other)
            .with_disk(std::sync::Arc::new(disk.clone()))
            .with_segment_bytes(1500);
        let log = FileLog::create(Path::new(DIR), Timestamp(1), options).unwrap();
        crate::trail::work(&log, 10).unwrap();
        log.seal(Timestamp(1000)).unwrap();
        disk.image()
    };
    for path in segments(&ours) {
        let spliced = changed(&ours, &path, |bytes| bytes.clone_from(&theirs[&path]));
        assert_ne!(spliced, ours);
        tampered(&spliced, &format!("{} of another trail", path.display()));
    }
}

/// What may be said about an unfinished trail that was changed: never that it is complete, and never less than
/// what was durable without saying that it was tampered with.
fn open_or_tampered(image: &Image, what: &str, durable: Lsn) -> Report {
    let disk = SimDisk::from_image(image);
    let report = verdict(&disk);
    match &report.verdict {
        Verdict::Complete => panic!("{what} is called complete"),
        Verdict::Open(_) => assert!(report.batches >= durable.0, "{what}: {report}"),
        Verdict::Tampered(finding) if finding.what == What::PayloadDamaged => {}
        Verdict::Tampered(_) => refused(image, what),
    }
    report
}

#[test]
fn c2_an_unfinished_trail_cut_anywhere_is_never_complete_and_loses_nothing_unsaid() {
    let image = unfinished();
    let Report { batches, verdict: Verdict::Open(_), .. } = verdict(&SimDisk::from_image(&image)) else {
        panic!("the trail should be open")
    };
    for (path, bytes) in &image {
        for at in 0..bytes.len() {
            let what = format!("{} cut at byte {at}", path.display());
            open_or_tampered(&changed(&image, path, |bytes| bytes.truncate(at)), &what, Lsn(batches));
        }
    }
}

#[test]
fn c2_a_flip_in_an_unfinished_trail_loses_nothing_unsaid() {
    let image = unfinished();
    let batches = verdict(&SimDisk::from_image(&image)).batches;
    for (path, bytes) in &image {
        for at in (0..bytes.len()).step_by(3) {
            let what = format!("byte {at} of {}", path.display());
            open_or_tampered(&changed(&image, path, |bytes| bytes[at] ^= 4), &what, Lsn(batches));
        }
    }
}

/// Failure 25: what cannot be read is neither taken for nothing nor overwritten.
#[test]
fn an_unreadable_log_is_never_taken_for_an_empty_one() {
    let image = unfinished();
    for path in image.keys() {
        for bytes in [vec![], vec![0; 10], vec![0; 1024], vec![0xff; 2000], vec![0; image[path].len()]] {
            let other = changed(&image, path, |old| *old = bytes);
            let disk = SimDisk::from_image(&other);
            let created = FileLog::create(Path::new(DIR), Timestamp(3000), options(&disk, 1500));
            assert!(matches!(created, Err(LogError::NotEmpty { .. })), "{created:?}");
            if !is_snapshot(path) && (!is_payload(path) || other[path].len() != image[path].len()) {
                refused(&other, &path.display().to_string());
            }
        }
    }
    let disk = SimDisk::default();
    let missing = FileLog::open(Path::new(DIR), Timestamp(1), options(&disk, 1500));
    assert!(matches!(missing, Err(LogError::NoLog { .. })), "{missing:?}");
    assert!(disk.image().is_empty());
}

#[test]
fn a_trail_that_was_ended_is_opened_continued_and_ended_again() {
    let disk = SimDisk::from_image(&finished());
    let before = verdict(&disk).records;
    for round in 0..3 {
        let log = FileLog::open(Path::new(DIR), Timestamp(2000), options(&disk, 1500)).unwrap();
        assert!(matches!(verdict(&disk).verdict, Verdict::Open(_)));
        crate::trail::work(&log, 3000 + round).unwrap();
        log.seal(Timestamp(4000)).unwrap();
        assert_eq!(log.append(&[], Timestamp(5000), &mut |_| Ok(())), Err(LogError::Sealed));
    }
    let report = verdict(&disk);
    assert_eq!(report.verdict, Verdict::Complete);
    assert!(report.records > 3 * before);
}

/// Whatever is done to a finished trail at random, checksums put right or not, it is not complete any more.
#[test]
fn a1_random_changes_are_found() {
    let image = finished();
    let paths: Vec<&PathBuf> = image.keys().collect();
    let mut dice = Dice(5);
    for round in 0..crate::deep(3000, 1_000_000) {
        let mut other = image.clone();
        for _ in 0..=dice.below(3) {
            let path = paths[dice.index(paths.len())];
            let from = &image[paths[dice.index(paths.len())]];
            let bytes = other.get_mut(path).unwrap();
            let (a, b) = (dice.index(bytes.len() + 1), dice.index(bytes.len() + 1));
            let range = a.min(b)..a.max(b);
            let (c, d) = (dice.index(from.len() + 1), dice.index(from.len() + 1));
            let spliced = &from[c.min(d)..c.max(d)];
            match dice.below(6) {
                0 => drop(bytes.drain(range)),
                1 => bytes.truncate(a),
                2 => drop(bytes.splice(range, spliced.iter().copied())),
                3 => drop(bytes.splice(a..a, spliced.iter().copied())),
                4 => bytes[range].reverse(),
                _ => {
                    if let Some(byte) = bytes.get_mut(a) {
                        *byte = byte.wrapping_add(u8::try_from(dice.below(255)).unwrap() + 1);
                    }
                }
            }
            if dice.below(2) == 0 && path.extension().is_some() && bytes.len() > 76 {
                for frame in frames(bytes) {
                    if frame.end <= bytes.len() {
                        put_right(&mut bytes[frame]);
                    }
                }
            }
        }
        if other != image {
            tampered(&other, &format!("round {round}"));
        }
    }
}

#[test]
fn a1_a_forged_segment_header_is_compared_with_the_log() {
    let image = finished();
    for path in segments(&image) {
        for (at, what) in [
            (0, What::SegmentHeader),
            (8, What::SegmentVersion { found: 3 }),
            (12, What::SegmentPlace),
            (16, What::SegmentPlace),
            (32, What::SegmentPlace),
            (40, What::SegmentDigest),
        ] {
            let other = changed(&image, &path, |bytes| {
                bytes[at] ^= 1;
                let crc = crc32c::crc32c(&bytes[..72]);
                bytes[72..76].copy_from_slice(&crc.to_le_bytes());
            });
            let finding = tampered(&other, "a forged header");
            assert_eq!(
                (&finding.what, Path::new(DIR).join(&finding.file)),
                (&what, path.clone()),
                "{finding}"
            );
            refused(&other, "a log with a forged header");
        }
    }
}
