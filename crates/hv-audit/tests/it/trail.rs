//! Trails to test with.

use crate::sim::{Image, SimDisk};
use hv_audit::{
    Entropy, Expect, FileLog, FileOptions, Log, LogError, Lsn, Report, StreamNo, Verdict, verify_on,
};
use hv_types::Timestamp;
use std::path::Path;
use std::sync::Arc;

/// Where the trail lies on a simulated disk.
pub(crate) const DIR: &str = "/trail";

/// Numbers that look random and are the same in every run.
pub(crate) fn entropy() -> Entropy {
    let mut count = 0u64;
    Box::new(move || {
        count += 1;
        *blake3::hash(&count.to_le_bytes()).as_bytes()
    })
}

/// The same for a log that goes on from what lies on a disk: no number is drawn twice.
fn entropy_on(disk: &SimDisk) -> Entropy {
    let image = disk.image();
    if image.is_empty() {
        return entropy();
    }
    let mut hasher = blake3::Hasher::new();
    for bytes in image.values() {
        hasher.update(bytes);
    }
    let (seed, mut plain) = (hasher.finalize(), entropy());
    Box::new(move || *blake3::keyed_hash(seed.as_bytes(), &plain()).as_bytes())
}

pub(crate) fn options(disk: &SimDisk, segment_bytes: u64) -> FileOptions {
    FileOptions::new(entropy_on(disk)).with_disk(Arc::new(disk.clone())).with_segment_bytes(segment_bytes)
}

pub(crate) fn verdict(disk: &SimDisk) -> Report {
    verify_on(disk, Path::new(DIR), &mut |_| {}).unwrap()
}

/// Appends and syncs what a small piece of work records: node, ledger, two sessions, payloads.
pub(crate) fn work(log: &dyn Log, from: u64) -> Result<Vec<Lsn>, LogError> {
    let mut done = vec![];
    let mut now = from;
    let mut append =
        |expect: &[Expect], fill: &mut dyn FnMut(&mut hv_audit::Batch<'_>) -> Result<(), LogError>| {
            now += 1;
            let lsn = log.append(expect, Timestamp(now), fill)?;
            log.sync(lsn)?;
            done.push(lsn);
            Ok::<_, LogError>(())
        };
    let mut sessions = vec![];
    for name in ["alpha", "beta"] {
        append(&[], &mut |batch| {
            let (stream, _) = batch.genesis(&format!("session:{name}"), |body| body.extend(b"settings"))?;
            batch.push(StreamNo::LEDGER, &[], |body| body.extend(name.bytes()))?;
            sessions.push(stream);
            Ok(())
        })?;
    }
    let small = log.put_payload(b"a small content")?;
    let large = log.put_payload(&[7; 700])?;
    for round in 0..8u8 {
        for (index, stream) in sessions.iter().enumerate() {
            let length = log.head(*stream).ok_or(LogError::Unknown { stream: *stream })?.length;
            append(&[Expect { stream: *stream, length }], &mut |batch| {
                batch.push(*stream, &[], |body| body.extend([round; 20]))?;
                batch.push(*stream, &[small][..usize::from(round == 2)], |body| body.extend([round, 1]))?;
                if index == 1 {
                    batch.push(StreamNo::LEDGER, &[], |body| body.extend([round; 5]))?;
                }
                Ok(())
            })?;
        }
        append(&[], &mut |batch| {
            let attachments = [large];
            batch.push(StreamNo::NODE, &attachments[..usize::from(round == 3)], |body| body.push(round))?;
            Ok(())
        })?;
    }
    // Purged within the same life: a crash may come anywhere in between.
    let gone = log.put_payload(&[9; 300])?;
    append(&[], &mut |batch| batch.push(sessions[0], &[gone], |body| body.push(1)).map(drop))?;
    append(&[], &mut |batch| batch.purge(&[gone.id()], |body| body.push(2)).map(drop))?;
    log.destroy(Timestamp(from))?;
    append(&[], &mut |batch| sessions.iter().try_for_each(|stream| batch.close(*stream).map(drop)))?;
    Ok(done)
}

/// Keeps a snapshot whose state is how many records lie before it.
pub(crate) fn keep(log: &dyn Log, now: Timestamp) -> Result<Lsn, LogError> {
    let mut records = 0u64;
    log.replay(&mut |_| {
        records += 1;
        Ok(())
    })?;
    let pending = log.begin_snapshot(now, &records.to_le_bytes())?.expect("this engine keeps snapshots");
    let lsn = pending.lsn();
    log.finish_snapshot(pending)?;
    Ok(lsn)
}

/// A trail that was ended, in several segments, with more than fifty records.
pub(crate) fn finished() -> Image {
    let disk = SimDisk::default();
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1500)).unwrap();
    work(&log, 10).unwrap();
    keep(&log, Timestamp(900)).unwrap();
    log.seal(Timestamp(1000)).unwrap();
    drop(log);
    let report = verdict(&disk);
    assert_eq!(report.verdict, Verdict::Complete);
    assert!(report.records >= 50, "{report:?}");
    let image = disk.image();
    assert!(image.len() >= 7, "several segments, two payloads and the mark: {:?}", image.keys());
    image
}

/// A trail whose writer was killed, everything synced.
pub(crate) fn unfinished() -> Image {
    let disk = SimDisk::default();
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1500)).unwrap();
    work(&log, 10).unwrap();
    keep(&log, Timestamp(900)).unwrap();
    log.append(&[], Timestamp(901), &mut |batch| {
        batch.push(StreamNo::NODE, &[], |body| body.push(7)).map(drop)
    })
    .unwrap();
    log.sync(Lsn(u64::MAX)).unwrap();
    drop(log);
    disk.image()
}
