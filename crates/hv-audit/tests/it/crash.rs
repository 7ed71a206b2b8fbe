//! Crashes: at every step, and with everything lost, torn or reordered that was not synced.

use crate::deep;
use crate::sim::{Dice, Fail, SimDisk};
use crate::trail::{DIR, keep, options, verdict, work};
use hv_audit::{FileLog, Log, LogError, Lsn, StreamNo, Verdict};
use hv_types::Timestamp;
use std::path::Path;

type Seen = Vec<(Lsn, StreamNo, u64, Vec<u8>)>;

fn read(log: &dyn Log) -> Seen {
    let mut seen = vec![];
    log.replay(&mut |entry| {
        seen.push((entry.lsn, entry.stream, entry.seq, entry.body.to_vec()));
        Ok(())
    })
    .unwrap();
    seen
}

/// What one life of a writer acknowledged: its batches up to the last one that was synced.
#[derive(Default)]
struct Acknowledged {
    records: Seen,
    sealed: bool,
}

/// Opens or creates, works, perhaps ends; stops where the disk fails.
fn live(disk: &SimDisk, seed: u64, acknowledged: &mut Acknowledged) -> Result<(), LogError> {
    let dir = Path::new(DIR);
    let now = Timestamp(1000 * (seed % 7));
    let limit = 400 + 300 * (seed % 5);
    // A log that is opened to be continued is no longer an ended one.
    acknowledged.sealed = false;
    let log = match FileLog::open(dir, now, options(disk, limit)) {
        Err(LogError::NoLog { .. }) => FileLog::create(dir, now, options(disk, limit))?,
        opened => opened?,
    };
    let seen = read(&log);
    if let (_, Some(state)) = log.opening() {
        let before = u64::from_le_bytes(state.try_into().unwrap());
        let mut rest = vec![];
        log.replay_rest(&mut |entry| {
            rest.push((entry.lsn, entry.stream, entry.seq, entry.body.to_vec()));
            Ok(())
        })
        .unwrap();
        assert_eq!(
            rest,
            seen[usize::try_from(before).unwrap()..],
            "what follows the snapshot is not what it was"
        );
    }
    let before = acknowledged.records.len();
    assert!(seen.len() >= before, "{} of {before} acknowledged records are there", seen.len());
    assert_eq!(seen[..before], acknowledged.records, "what was acknowledged is not what is there");
    acknowledged.records = seen;
    // Around the work, where the number says so. A file that cannot be written harms the log nothing.
    let kept = if seed.is_multiple_of(2) { keep(&log, now).map(drop) } else { Ok(()) };
    let worked = kept.is_ok().then(|| work(&log, now.0));
    let kept = kept.and_then(|()| match worked {
        Some(Ok(_)) if seed.is_multiple_of(4) => keep(&log, now).map(drop),
        _ => Ok(()),
    });
    if let Err(error) = kept {
        acknowledged.records = durable(disk, log.durable());
        return Err(error);
    }
    let worked = worked.unwrap_or_else(|| Ok(vec![])).map(drop);
    let worked = worked.and_then(|()| if seed.is_multiple_of(3) { log.seal(now).map(drop) } else { Ok(()) });
    if worked.is_ok() {
        acknowledged.sealed = seed.is_multiple_of(3);
        acknowledged.records = read(&log);
    } else {
        assert_eq!(log.sync(Lsn(u64::MAX)), Err(LogError::Poisoned));
        assert!(matches!(log.failure(), Some(LogError::Io { .. })), "{:?}", log.failure());
        let refused = log.append(&[], now, &mut |batch| batch.push(StreamNo::NODE, &[], |_| {}).map(drop));
        assert_eq!(refused, Err(LogError::Poisoned));
        assert_eq!(log.seal(now), Err(LogError::Poisoned));
        // What was durable is read from the disk as it is now, not as the log remembers it.
        acknowledged.records = durable(disk, log.durable());
    }
    worked
}

/// The records of all batches up to one, as a stranger reads them.
fn durable(disk: &SimDisk, to: Lsn) -> Seen {
    let mut seen = vec![];
    let report = hv_audit::verify_on(disk, Path::new(DIR), &mut |entry| {
        if entry.lsn <= to {
            seen.push((entry.lsn, entry.stream, entry.seq, entry.body.to_vec()));
        }
    });
    assert!(!matches!(report.unwrap().verdict, Verdict::Tampered(_)));
    seen
}

/// Whatever a crash leaves is no sign of tampering and opens again with all that was acknowledged.
fn c2_survives(disk: &SimDisk, acknowledged: &Acknowledged, what: &str) {
    match hv_audit::verify_on(disk, Path::new(DIR), &mut |_| {}) {
        Ok(report) => {
            assert!(!matches!(report.verdict, Verdict::Tampered(_)), "{what}: {report}");
            assert!(report.records >= acknowledged.records.len() as u64, "{what}: {report}");
            if acknowledged.sealed {
                assert!(is_ended(&report.verdict), "{what}: {report}");
            }
        }
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{what}");
            assert!(acknowledged.records.is_empty(), "{what}: nothing is there");
        }
    }
}

/// Ended as a whole, or ended with sessions open that an earlier life left.
fn is_ended(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Complete | Verdict::Open(hv_audit::Why::SessionsOpen { .. }))
}

#[test]
fn c2_a_disk_that_loses_and_tears_what_was_not_synced_loses_nothing_acknowledged() {
    for seed in 0..deep(400, 10_000) {
        let mut dice = Dice(seed);
        let mut disk = SimDisk::default();
        let mut acknowledged = Acknowledged::default();
        for life in 0..4 {
            // Stop somewhere; where the number is large, the work is done before.
            disk.fail_at(dice.below(700), Fail::Forever);
            let _ = live(&disk, dice.roll() % 1000, &mut acknowledged);
            disk = disk.crash(&mut dice);
            c2_survives(&disk, &acknowledged, &format!("seed {seed}, life {life}"));
        }
        let mut last = acknowledged;
        live(&disk, 0, &mut last).unwrap();
        let report = verdict(&disk);
        assert!(is_ended(&report.verdict), "seed {seed}: {report}");
    }
}

#[test]
fn c2_a_failure_at_any_step_poisons_and_loses_nothing_acknowledged() {
    let steps = {
        let disk = SimDisk::default();
        live(&disk, 0, &mut Acknowledged::default()).unwrap();
        disk.steps()
    };
    assert!(steps > 100);
    for how in [Fail::Once, Fail::Forever] {
        for step in 0..steps {
            let disk = SimDisk::default();
            disk.fail_at(step, how);
            let mut acknowledged = Acknowledged::default();
            let lived = live(&disk, 0, &mut acknowledged);
            assert!(matches!(lived, Err(LogError::Io { .. })), "step {step}, {how:?}: {lived:?}");
            let left = SimDisk::from_image(&disk.image());
            c2_survives(&left, &acknowledged, &format!("step {step}, {how:?}"));
            live(&left, 0, &mut acknowledged).unwrap();
            assert_eq!(work_open_sessions(&left), 0, "step {step}, {how:?}");
        }
    }
}

/// How many sessions are open that the last life opened: none, for it ended them.
fn work_open_sessions(disk: &SimDisk) -> usize {
    let report = verdict(disk);
    report.streams.iter().rev().take(2).filter(|stream| !stream.closed).count()
}

#[test]
fn what_a_crash_tore_is_kept_and_the_log_goes_on() {
    let image = crate::trail::unfinished();
    let last = image.keys().rfind(|path| path.extension().is_some_and(|e| e == "seg")).unwrap();
    let batches = verdict(&SimDisk::from_image(&image)).batches;
    let used = image[last].iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut torn = image.clone();
    // Longer than the record that is written in its place.
    let tail = b"half a batch that never became one, ".repeat(9);
    torn.get_mut(last).unwrap()[used + 5..used + 5 + tail.len()].copy_from_slice(&tail);
    let disk = SimDisk::from_image(&torn);
    let report = verdict(&disk);
    let torn_bytes = tail.len() as u64 + 5;
    assert_eq!(report.verdict, Verdict::Open(hv_audit::Why::NotEnded { torn_bytes }), "{report}");

    let log = FileLog::open(Path::new(DIR), Timestamp(5000), options(&disk, 1500)).unwrap();
    let mut kept = None;
    log.replay(&mut |entry| {
        kept = entry.attachments.last().map(|payload| payload.id());
        Ok(())
    })
    .unwrap();
    let content = log.payload(&kept.expect("the last record refers to what was torn")).unwrap().unwrap();
    assert_eq!(content, [&[0; 5][..], &tail].concat());
    let left = verdict(&disk).verdict;
    assert_eq!(
        left,
        Verdict::Open(hv_audit::Why::NotEnded { torn_bytes: 0 }),
        "nothing of it is left behind"
    );
    log.seal(Timestamp(6000)).unwrap();
    let report = verdict(&disk);
    assert_eq!(report.verdict, Verdict::Complete);
    assert_eq!(report.batches, batches + 2);
}
