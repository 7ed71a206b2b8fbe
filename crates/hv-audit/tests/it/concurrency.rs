//! Many threads, one log.

use crate::sim::{Fail, SimDisk};
use crate::trail::{DIR, entropy, options, verdict};
use hv_audit::{FileLog, FileOptions, Log, LogError, Lsn, StreamNo, Verdict};
use hv_types::Timestamp;
use std::path::Path;
use std::thread;

const THREADS: u8 = 8;
const COMMITS: u64 = 100;

fn commit(log: &dyn Log, stream: StreamNo, thread: u8, n: u64) -> Result<Lsn, LogError> {
    let lsn = log.append(&[], Timestamp(n), &mut |batch| {
        batch.push(stream, &[], |body| body.extend([&[thread][..], &n.to_le_bytes()].concat())).map(drop)
    })?;
    log.sync(lsn)?;
    assert!(log.durable() >= lsn);
    Ok(lsn)
}

/// Failure 23: chains broken under threads.
#[test]
fn c2_eight_threads_share_syncs_and_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("trail");
    let log =
        FileLog::create(&dir, Timestamp(1), FileOptions::new(entropy()).with_segment_bytes(8000)).unwrap();
    thread::scope(|scope| {
        for t in 0..THREADS {
            let log = &log;
            scope.spawn(move || {
                let mut last = Lsn(0);
                for n in 0..COMMITS {
                    let lsn = commit(log, StreamNo(u32::from(t % 2)), t, n).unwrap();
                    assert!(lsn > last);
                    last = lsn;
                }
            });
        }
    });
    let mut next = [0; THREADS as usize];
    log.replay(&mut |entry| {
        if let Some((thread, n)) = entry.body.split_first() {
            let next = &mut next[usize::from(*thread)];
            assert_eq!(u64::from_le_bytes(n.try_into().unwrap()), *next);
            *next += 1;
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(next, [COMMITS; THREADS as usize]);
    // A stranger may read while the log is open, and nobody else may write.
    assert!(matches!(hv_audit::verify(&dir).unwrap().verdict, Verdict::Open(_)));
    let second = FileLog::open(&dir, Timestamp(1), FileOptions::new(entropy()));
    assert!(matches!(second, Err(LogError::Locked { .. })), "{second:?}");
    log.seal(Timestamp(1)).unwrap();
    assert_eq!(hv_audit::verify(&dir).unwrap().verdict, Verdict::Complete);
    drop(log);
    FileLog::open(&dir, Timestamp(1), FileOptions::new(entropy())).unwrap();
}

#[test]
fn one_sync_serves_all_who_wait() {
    let disk = SimDisk::default();
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1 << 20)).unwrap();
    let before = disk.syncs();
    let mut last = Lsn(0);
    for n in 0..50 {
        last = log
            .append(&[], Timestamp(n), &mut |batch| batch.push(StreamNo::NODE, &[], |_| {}).map(drop))
            .unwrap();
    }
    assert!(log.durable() < last);
    log.sync(Lsn(3)).unwrap();
    assert_eq!(log.durable(), last, "what waits is written with what is asked for");
    log.sync(last).unwrap();
    assert_eq!(disk.syncs() - before, 1);
}

#[test]
fn c2_nobody_is_told_of_what_a_failed_sync_left_open() {
    for step in 0..12 {
        let disk = SimDisk::default();
        let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 4000)).unwrap();
        disk.fail_at(step * 3, Fail::Once);
        let told: Vec<Lsn> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|t| {
                    let log = &log;
                    scope.spawn(move || {
                        let mut told = vec![];
                        for n in 0..40 {
                            match commit(log, StreamNo::NODE, t, n) {
                                Ok(lsn) => told.push(lsn),
                                Err(LogError::Io { .. } | LogError::Poisoned) => break,
                                Err(other) => panic!("{other}"),
                            }
                        }
                        told
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(log.sync(Lsn(1)), Err(LogError::Poisoned));
        let last = told.iter().max().copied().unwrap_or_default();
        drop(log);
        let crashed = disk.crash(&mut crate::sim::Dice(step));
        let report = verdict(&crashed);
        assert!(report.batches >= last.0, "step {step}: {report}");
        assert!(matches!(report.verdict, Verdict::Open(_)), "step {step}: {report}");
    }
}

#[test]
fn a_stranger_reads_while_the_log_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("trail");
    let log =
        FileLog::create(&dir, Timestamp(1), FileOptions::new(entropy()).with_segment_bytes(3000)).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let durable = log.durable();
                let report = hv_audit::verify(&dir).unwrap();
                assert!(matches!(report.verdict, Verdict::Open(_)), "{report}");
                assert!(report.batches >= durable.0, "{report}");
                rounds += 1;
            }
            rounds
        });
        for n in 0..600 {
            commit(&log, StreamNo::LEDGER, 0, n).unwrap();
            if n % 50 == 0 {
                let payload = log.put_payload(&n.to_le_bytes()).unwrap();
                log.append(&[], Timestamp(n), &mut |batch| {
                    batch.push(StreamNo::LEDGER, &[payload], |_| {}).map(drop)
                })
                .unwrap();
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
}
