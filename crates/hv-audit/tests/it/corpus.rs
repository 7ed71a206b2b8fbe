//! Folders that the fuzz target `folders` begins with: a whole log that was ended, one that a crash cut, and where records
//! of a session are gone, both tiers, a log that was ended, one that goes on, and one whose destruction was interrupted.
//! `HV_BLESS=1` writes them anew.

use crate::reduce::{checkpoint, reduce};
use crate::sim::SimDisk;
use crate::trail::{DIR, options, verdict};
use hv_audit::{FileLog, Log, Report, StreamNo, Tier, Verdict, Why};
use hv_types::Timestamp;
use std::fs;
use std::path::Path;

/// The files of a folder that the target takes, in its order.
const FILES: [&str; 5] = ["mark", "00000000.seg", "00000001.seg", "keys", "0000000000000002.snap"];

/// A session that is closed and one that goes on, in one segment.
fn begun(disk: &SimDisk) -> FileLog {
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options(disk, 3000)).unwrap();
    let mut sessions = vec![];
    for name in ["session:gone", "session:stays"] {
        log.append(&[], Timestamp(2), &mut |batch| {
            sessions.push(batch.genesis(name, |body| body.push(1))?.0);
            Ok(())
        })
        .unwrap();
    }
    for n in 0..6u8 {
        log.append(&[], Timestamp(3), &mut |batch| {
            batch.push(sessions[0], &[], |body| body.extend([n; 12]))?;
            batch.push(sessions[usize::from(n) % 2], &[], |body| body.extend([n; 3])).map(drop)
        })
        .unwrap();
    }
    log.append(&[], Timestamp(4), &mut |batch| batch.close(sessions[0]).map(drop)).unwrap();
    log
}

/// As the target reads it: each file behind two bytes of its length.
fn packed(disk: &SimDisk) -> Vec<u8> {
    let image = disk.image();
    let known = |path: &Path| FILES.iter().any(|name| path == Path::new(DIR).join(name));
    assert!(image.keys().all(|path| known(path)), "{:?}", image.keys());
    let files = FILES.map(|name| image.get(&Path::new(DIR).join(name)).cloned().unwrap_or_default());
    files
        .iter()
        .flat_map(|file| [&u16::try_from(file.len()).unwrap().to_le_bytes()[..], file].concat())
        .collect()
}

fn unpacked(mut rest: &[u8]) -> SimDisk {
    let files = FILES.iter().map_while(|name| {
        let (length, behind) = rest.split_first_chunk()?;
        let (file, behind) = behind.split_at(usize::from(u16::from_le_bytes(*length)));
        rest = behind;
        Some((Path::new(DIR).join(name), file.to_vec()))
    });
    SimDisk::from_image(&files.filter(|(_, file)| !file.is_empty()).collect())
}

/// Compares a folder with what is kept of this name, or keeps it; gives what verification says of what is kept.
fn kept(name: &str, disk: &SimDisk) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/folders").join(name);
    if std::env::var_os("HV_BLESS").is_some() {
        fs::write(&path, packed(disk)).unwrap();
    }
    let kept = fs::read(&path).unwrap_or_default();
    assert!(kept == packed(disk), "{name} is not what the code writes; run with HV_BLESS=1");
    verdict(&unpacked(&kept))
}

#[test]
fn whole_folders_are_among_those_that_fuzzing_begins_with() {
    let disk = SimDisk::default();
    let log = begun(&disk);
    log.append(&[], Timestamp(5), &mut |batch| batch.close(StreamNo(3)).map(drop)).unwrap();
    log.seal(Timestamp(6)).unwrap();
    assert_eq!(kept("ended", &disk).verdict, Verdict::Complete);
    let disk = SimDisk::default();
    let log = begun(&disk);
    log.sync(
        log.append(&[], Timestamp(5), &mut |batch| batch.push(StreamNo::LEDGER, &[], |_| {}).map(drop))
            .unwrap(),
    )
    .unwrap();
    let mut image = disk.image();
    drop(log);
    let segment = image.get_mut(&Path::new(DIR).join("00000000.seg")).unwrap();
    let used = segment.iter().rposition(|byte| *byte != 0).unwrap();
    segment.truncate(used - 5);
    let report = kept("cut", &SimDisk::from_image(&image));
    assert!(matches!(report.verdict, Verdict::Tampered(_)), "{report}");
}

#[test]
fn folders_with_short_segments_are_among_those_that_fuzzing_begins_with() {
    let going_on = Verdict::Open(Why::NotEnded { torn_bytes: 0 });
    for (name, tier, seal, destroy) in [
        ("short-leaves", Tier::Leaves, true, true),
        ("short-roots", Tier::Roots, true, true),
        ("short-open", Tier::Roots, false, true),
        ("short-begun", Tier::Leaves, false, false),
    ] {
        let disk = SimDisk::default();
        let log = begun(&disk);
        if destroy {
            reduce(&log, &[StreamNo::FIRST_SESSION], tier).unwrap();
        } else {
            let these = log.reductions(&[StreamNo::FIRST_SESSION], tier, checkpoint(&log)).unwrap();
            let fill = &mut |batch: &mut hv_audit::Batch<'_>| batch.reduce(&these[0], |_| {}).map(drop);
            log.sync(log.append(&[], Timestamp(5), fill).unwrap()).unwrap();
        }
        if seal {
            log.append(&[], Timestamp(5), &mut |batch| batch.close(StreamNo(3)).map(drop)).unwrap();
            log.seal(Timestamp(6)).unwrap();
        }
        drop(log);
        let report = kept(name, &disk);
        assert_eq!(&report.verdict, if seal { &Verdict::Complete } else { &going_on }, "{name}: {report}");
        assert_eq!(report.gone.sessions, u64::from(destroy), "{name}: {report}");
    }
}
