//! Reading a log on while it is written to: every record once, in the order of the log, and nothing that does not follow.

use crate::sim::SimDisk;
use crate::trail::{DIR, keep, options, work};
use hv_audit::{FileLog, Log, LogError, Lsn, Reading, StreamNo};
use hv_types::{Digest, Timestamp};
use std::path::Path;

type Records = Vec<(Lsn, StreamNo, Digest)>;

fn go_on(reading: &mut Reading<'_>, seen: &mut Records) -> Result<usize, LogError> {
    let before = seen.len();
    reading.go_on(&mut |entry| seen.push((entry.lsn, entry.stream, entry.hash)))?;
    Ok(seen.len() - before)
}

fn replayed(log: &dyn Log) -> Records {
    let mut records = Vec::new();
    log.replay(&mut |entry| {
        records.push((entry.lsn, entry.stream, entry.hash));
        Ok(())
    })
    .unwrap();
    records
}

#[test]
fn each_look_shows_what_came_since_over_segments_snapshots_and_the_end_of_the_log() {
    let disk = SimDisk::default();
    let mut log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1500)).unwrap();
    let mut reading = Reading::new(&disk, Path::new(DIR));
    let mut seen = Vec::new();
    assert!(go_on(&mut reading, &mut seen).unwrap() > 0);
    for round in 1..8 {
        work(&log, 100 * round).unwrap();
        keep(&log, Timestamp(100 * round + 99)).unwrap();
        assert!(go_on(&mut reading, &mut seen).unwrap() > 3);
        assert_eq!(go_on(&mut reading, &mut seen), Ok(0), "nothing is shown twice");
        if round % 3 == 0 {
            log.seal(Timestamp(100 * round + 99)).unwrap();
            drop(log);
            assert!(go_on(&mut reading, &mut seen).unwrap() > 0);
            log = FileLog::open(Path::new(DIR), Timestamp(100 * round + 99), options(&disk, 1500)).unwrap();
        }
        assert!(go_on(&mut reading, &mut seen).is_ok());
        assert!(seen == replayed(&log), "round {round}");
    }
    assert!(disk.image().keys().filter(|path| path.extension().is_some_and(|e| e == "seg")).count() > 4);
}

#[test]
fn a1_what_does_not_follow_what_was_read_is_damage() {
    let disk = SimDisk::default();
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 16 << 10)).unwrap();
    work(&log, 100).unwrap();
    let before = disk.image();
    let sync = |log: &FileLog| log.sync(Lsn(u64::MAX)).unwrap();
    sync(&log);
    let read = disk.image();
    work(&log, 200).unwrap();
    sync(&log);
    drop(log);
    let after = disk.image();
    let segment = Path::new(DIR).join("00000000.seg");
    let used = |image: &crate::sim::Image| image[&segment].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // Of what is new, every byte counts.
    for at in (used(&read)..used(&after)).step_by(5) {
        let disk = SimDisk::from_image(&read);
        let mut reading = Reading::new(&disk, Path::new(DIR));
        let mut seen = Vec::new();
        go_on(&mut reading, &mut seen).unwrap();
        let mut changed = after.clone();
        changed.get_mut(&segment).unwrap()[at] ^= 1;
        disk.put_image(&changed);
        let error = go_on(&mut reading, &mut seen);
        assert!(matches!(error, Err(LogError::Damaged(_))), "byte {at}: {error:?}");
    }
    // All of a folder put back to what it was before, and then with the mark of later.
    let disk = SimDisk::from_image(&after);
    let mut reading = Reading::new(&disk, Path::new(DIR));
    go_on(&mut reading, &mut Vec::new()).unwrap();
    disk.put_image(&read);
    assert!(matches!(go_on(&mut reading, &mut Vec::new()), Err(LogError::Damaged(_))));
    let disk = SimDisk::from_image(&read);
    let mut reading = Reading::new(&disk, Path::new(DIR));
    go_on(&mut reading, &mut Vec::new()).unwrap();
    let mut back = after.clone();
    back.insert(segment.clone(), before[&segment].clone());
    disk.put_image(&back);
    assert!(matches!(go_on(&mut reading, &mut Vec::new()), Err(LogError::Damaged(_))));
}
