//! Snapshots: opening from one is opening, only sooner; one that is no good costs time and nothing else.

use crate::sim::{Image, SimDisk};
use crate::trail::{DIR, finished, keep, options, unfinished, verdict, work};
use hv_audit::{FileLog, Log, LogError, Lsn, StreamNo, UnusableSnapshot, Verdict, What};
use hv_types::Timestamp;
use std::path::{Path, PathBuf};

fn open(disk: &SimDisk) -> Result<FileLog, LogError> {
    FileLog::open(Path::new(DIR), Timestamp(5000), options(disk, 1500))
}

fn snapshots(image: &Image) -> Vec<PathBuf> {
    image.keys().filter(|path| path.extension().is_some_and(|e| e == "snap")).cloned().collect()
}

fn hashes(log: &dyn Log) -> Vec<(Lsn, StreamNo, hv_types::Digest)> {
    let mut seen = vec![];
    log.replay(&mut |entry| {
        seen.push((entry.lsn, entry.stream, entry.hash));
        Ok(())
    })
    .unwrap();
    seen
}

#[test]
fn opening_from_a_snapshot_gives_the_log_that_opening_from_the_beginning_gives() {
    for image in [finished(), unfinished()] {
        let logs = [true, false].map(|snapshots| {
            let disk = SimDisk::from_image(&image);
            let options = options(&disk, 1500);
            let options = if snapshots { options } else { options.without_snapshots() };
            let log = FileLog::open(Path::new(DIR), Timestamp(5000), options).unwrap();
            assert_eq!(log.opening().0.snapshot.is_some(), snapshots);
            assert_eq!(log.opening().0.unusable, None);
            work(&log, 6000).unwrap();
            (disk, log)
        });
        let [(_, from_snapshot), (_, from_start)] = &logs;
        assert_eq!(hashes(from_snapshot), hashes(from_start));
        from_snapshot.verify_rest().unwrap();
        assert!(from_snapshot.is_verified());
        for stream in (0..8).map(StreamNo) {
            assert_eq!(from_snapshot.head(stream), from_start.head(stream));
        }
        for (disk, log) in logs {
            log.seal(Timestamp(9000)).unwrap();
            drop(log);
            assert_eq!(verdict(&disk).verdict, Verdict::Complete);
        }
    }
}

#[test]
fn a_later_snapshot_takes_the_place_of_the_one_before() {
    let disk = SimDisk::default();
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1500)).unwrap();
    let mut last = Lsn(0);
    for round in 0..5 {
        work(&log, 100 * round).unwrap();
        last = keep(&log, Timestamp(100 * round + 99)).unwrap();
        assert_eq!(snapshots(&disk.image()).len(), 1);
    }
    log.seal(Timestamp(1000)).unwrap();
    drop(log);
    assert_eq!(open(&disk).unwrap().opening().0.snapshot, Some(last));
}

#[test]
fn a_snapshot_that_is_missing_or_damaged_is_said_and_costs_nothing_but_time() {
    let image = finished();
    let [path] = &snapshots(&image)[..] else { panic!("one snapshot") };
    let lsn = open(&SimDisk::from_image(&image)).unwrap().opening().0.snapshot.unwrap();
    let length = image[path].len();
    for change in (0..length).map(Some).chain([None]) {
        let mut image = image.clone();
        match change {
            Some(at) => image.get_mut(path).unwrap()[at] ^= 1,
            None => drop(image.remove(path)),
        }
        let disk = SimDisk::from_image(&image);
        match (change, verdict(&disk).verdict) {
            (None, verdict) => assert_eq!(verdict, Verdict::Complete, "a missing one says nothing"),
            (Some(at), Verdict::Tampered(finding)) => {
                let name = path.strip_prefix(DIR).unwrap();
                assert_eq!((&*finding.file, &finding.what), (name, &What::SnapshotDamaged), "byte {at}");
            }
            (Some(at), verdict) => panic!("byte {at}: {verdict}"),
        }
        let log = open(&disk).unwrap();
        let (opening, state) = log.opening();
        assert_eq!((opening.snapshot, state), (None, None), "{change:?}");
        assert_eq!(opening.unusable, Some(UnusableSnapshot { lsn, there: change.is_some() }), "{change:?}");
        assert!(snapshots(&disk.image()).is_empty(), "what is no good is removed");
        log.seal(Timestamp(9000)).unwrap();
        drop(log);
        assert_eq!(verdict(&disk).verdict, Verdict::Complete, "{change:?}");
    }
    // One that no record names is no snapshot of this log.
    let mut image = image.clone();
    let bytes = image[path].clone();
    image.insert(Path::new(DIR).join("0000000000000003.snap"), bytes);
    let Verdict::Tampered(finding) = verdict(&SimDisk::from_image(&image)).verdict else {
        panic!("a stranger")
    };
    assert_eq!(finding.what, What::SnapshotUnrecorded);
}

/// What lies before the snapshot is not looked at when the log is opened, but it is before anything is sealed: for
/// every byte that opening does not read.
#[test]
fn a1_nothing_is_sealed_over_what_opening_left_unread() {
    let image = finished();
    let segments = image.keys().filter(|path| path.extension().is_some_and(|e| e == "seg"));
    let (mut unread, mut refused) = (0, 0);
    for path in segments.cloned().collect::<Vec<_>>() {
        for at in (0..image[&path].len()).step_by(7) {
            let mut image = image.clone();
            image.get_mut(&path).unwrap()[at] ^= 4;
            let disk = SimDisk::from_image(&image);
            let log = match open(&disk) {
                Ok(log) => log,
                Err(LogError::Damaged(_)) => {
                    refused += 1;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            unread += 1;
            let sealed = log.seal(Timestamp(9000));
            assert!(matches!(sealed, Err(LogError::Damaged(_))), "byte {at} of {}", path.display());
            assert!(log.verify_rest().is_err());
            let append = log
                .append(&[], Timestamp(9001), &mut |batch| batch.push(StreamNo::NODE, &[], |_| {}).map(drop));
            assert_eq!(append, Err(LogError::Poisoned));
            assert!(matches!(log.failure(), Some(LogError::Damaged(_))), "{:?}", log.failure());
            drop(log);
            assert!(
                matches!(verdict(&disk).verdict, Verdict::Tampered(_)),
                "byte {at} of {}",
                path.display()
            );
        }
    }
    assert!(unread > 300 && refused > 10, "{unread} unread, {refused} refused");
}

/// What the mark of an ended log says of its last segment is about all of it, wherever reading it began.
#[test]
fn an_ended_log_is_refused_for_any_byte_of_its_last_segment_before_its_snapshot_too() {
    let disk = SimDisk::default();
    let options = || options(&disk, 1 << 20);
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options()).unwrap();
    work(&log, 100).unwrap();
    let kept = keep(&log, Timestamp(1000)).unwrap();
    work(&log, 2000).unwrap();
    log.seal(Timestamp(3000)).unwrap();
    drop(log);
    let image = disk.image();
    let segment = Path::new(DIR).join("00000000.seg");
    for at in (0..image[&segment].len()).step_by(3) {
        let mut image = image.clone();
        image.get_mut(&segment).unwrap()[at] ^= 4;
        let opened = open(&SimDisk::from_image(&image));
        assert!(matches!(opened, Err(LogError::Damaged(_))), "byte {at}");
    }
    let log = FileLog::open(Path::new(DIR), Timestamp(5000), options()).unwrap();
    assert_eq!(log.opening().0.snapshot, Some(kept));
    // It goes on in the same segment, and ends there.
    work(&log, 6000).unwrap();
    log.seal(Timestamp(9000)).unwrap();
    drop(log);
    assert_eq!(verdict(&disk).verdict, Verdict::Complete);
    assert_eq!(disk.image().keys().filter(|path| path.extension().is_some_and(|e| e == "seg")).count(), 1);
}

/// A content that was put and that a crash left without a record is referred to by the record that ends the log.
#[test]
fn a_content_without_a_record_is_found_behind_a_snapshot_too() {
    let disk = SimDisk::from_image(&unfinished());
    let log = open(&disk).unwrap();
    let loose = log.put_payload(b"put, and then the power failed").unwrap();
    // It became durable with a batch that did not name it.
    let lsn =
        log.append(&[], Timestamp(8000), &mut |batch| batch.push(StreamNo::NODE, &[], |_| {}).map(drop));
    log.sync(lsn.unwrap()).unwrap();
    drop(log);
    let log = open(&disk).unwrap();
    assert!(log.opening().0.snapshot.is_some());
    log.put_payload(b"another one").unwrap();
    log.seal(Timestamp(9000)).unwrap();
    let mut last = vec![];
    log.replay(&mut |entry| {
        last = entry.attachments.map(|payload| payload.id()).collect();
        Ok(())
    })
    .unwrap();
    assert!(last.contains(&loose.id()) && last.len() == 2, "{last:?}");
    drop(log);
    assert_eq!(verdict(&disk).verdict, Verdict::Complete);
}
