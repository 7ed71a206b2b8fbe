//! Contents wait in memory and become durable with the batch behind them: all together, in any crash, before any record
//! names them.

use crate::deep;
use crate::sim::{Dice, Fail, Image, SimDisk};
use crate::trail::{DIR, options, verdict};
use hv_audit::{FileLog, Log, LogError, Lsn, PayloadRef, StreamNo, Verdict, What};
use hv_types::{Digest, Timestamp};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

fn create(disk: &SimDisk) -> FileLog {
    FileLog::create(Path::new(DIR), Timestamp(1), options(disk, 1 << 20)).unwrap()
}

fn open(disk: &SimDisk) -> Result<FileLog, LogError> {
    FileLog::open(Path::new(DIR), Timestamp(2), options(disk, 1 << 20))
}

fn name(log: &dyn Log, payloads: &[PayloadRef]) -> Result<Lsn, LogError> {
    log.append(&[], Timestamp(3), &mut |batch| {
        batch.push(StreamNo::LEDGER, payloads, |body| body.push(1)).map(drop)
    })
}

fn payload_files(image: &Image, unfinished: bool) -> Vec<PathBuf> {
    let of = |path: &&PathBuf| {
        path.to_str().unwrap().contains("/payloads/")
            && path.extension().is_some_and(|extension| extension == "tmp") == unfinished
    };
    image.keys().filter(of).cloned().collect()
}

#[test]
fn putting_asks_nothing_of_the_disk_and_the_next_sync_asks_once_for_all() {
    let disk = SimDisk::default();
    let log = create(&disk);
    let first = log.put_payload(b"so that folder and keys are there").unwrap();
    log.sync(name(&log, &[first]).unwrap()).unwrap();
    let (steps, syncs) = (disk.steps(), disk.syncs());
    let put: Vec<PayloadRef> = (0..64u8).map(|n| log.put_payload(&[n; 300]).unwrap()).collect();
    let lsn = name(&log, &put).unwrap();
    assert_eq!(disk.steps(), steps, "nothing was asked of the disk");
    for (payload, n) in put.iter().zip(0u8..) {
        assert_eq!(log.payload(&payload.id()).unwrap(), Some(vec![n; 300]), "what waits is read from memory");
    }
    log.sync(lsn).unwrap();
    assert_eq!(disk.syncs() - syncs, 1 + 64 + 1, "the keys, each file, and the batch");
    // Keys and their sync; each file made, written, synced and named; the folder twice; frame, its sync, and the mark.
    assert_eq!(disk.steps() - steps, 2 + 64 * 4 + 2 + 3);
    for (payload, n) in put.iter().zip(0u8..) {
        assert_eq!(log.payload(&payload.id()).unwrap(), Some(vec![n; 300]), "and then from the disk");
    }
    assert_eq!(payload_files(&disk.image(), false).len(), 65);
    // Alone, one costs no more than it did.
    let (steps, syncs) = (disk.steps(), disk.syncs());
    let alone = log.put_payload(b"alone").unwrap();
    log.sync(name(&log, &[alone]).unwrap()).unwrap();
    assert_eq!((disk.steps() - steps, disk.syncs() - syncs), (2 + 4 + 1 + 3, 3));
    log.seal(Timestamp(4)).unwrap();
    assert_eq!(verdict(&disk).verdict, Verdict::Complete);
}

/// At most 8 MiB of contents that are not durable are kept, each weighing 32 KiB more than it has.
#[test]
fn what_waits_is_bounded_and_whoever_goes_beyond_it_waits() {
    const LARGE: usize = 100_000;
    const BOUND: usize = 8 << 20;
    const EACH: usize = 32 << 10;
    for (length, many) in [(LARGE, 64), (0, 257)] {
        let disk = SimDisk::default();
        let log = create(&disk);
        let syncs = disk.syncs();
        let mut put = Vec::new();
        while disk.syncs() == syncs {
            put.push(log.put_payload(&vec![1; length]).unwrap());
            assert!(put.len() <= many, "{} wait", put.len());
        }
        assert_eq!(many, BOUND / (length + EACH) + 1);
        assert_eq!(put.len(), many);
        // All of them are durable now, though no record names them; the next one waits in memory again.
        assert_eq!(payload_files(&disk.image(), false).len(), put.len());
        let steps = disk.steps();
        log.put_payload(b"next").unwrap();
        assert_eq!(disk.steps(), steps);
    }
}

#[test]
fn whoever_must_not_block_gets_back_what_would_take_time() {
    let disk = SimDisk::default();
    let log = create(&disk);
    let steps = disk.steps();
    let mut taken = Vec::new();
    let back = loop {
        match log.try_take_payload(vec![2; 190_000]).unwrap() {
            Ok(payload) => taken.push(payload),
            Err(back) => break back,
        }
    };
    assert_eq!((back, taken.len()), (vec![2; 190_000], (8 << 20) / (190_000 + (32 << 10))));
    assert_eq!(disk.steps(), steps, "nothing was asked of the disk");
    assert!(log.try_take_payload(vec![3; 10]).unwrap().is_ok(), "what is small has room beside it");
    log.sync(name(&log, &taken).unwrap()).unwrap();
    assert!(log.try_take_payload(vec![2; 190_000]).unwrap().is_ok(), "there is room again");
    assert!(log.try_take_payload(vec![2; 300_000]).unwrap().is_err(), "what is large takes long");
    log.seal(Timestamp(4)).unwrap();
    assert_eq!(log.try_take_payload(vec![1]), Err(LogError::Sealed));
    assert_eq!(log.put_payload(&[1]), Err(LogError::Sealed));
    assert_eq!(verdict(&disk).verdict, Verdict::Complete);
}

/// What is purged, sealed or kept in a snapshot before anything of it was synced is as if it had been stored all along.
#[test]
fn purges_snapshots_and_the_end_take_along_what_waits() {
    let disk = SimDisk::default();
    let log = create(&disk);
    let [gone, stays, loose] = [&b"gone"[..], b"stays", b"loose"].map(|c| log.put_payload(c).unwrap());
    name(&log, &[gone, stays]).unwrap();
    let ids = [gone.id()];
    log.append(&[], Timestamp(4), &mut |batch| batch.purge(&ids, |_| {}).map(drop)).unwrap();
    assert_eq!(log.payload(&gone.id()), Err(LogError::Purged { id: gone.id() }), "also while it waits");
    assert_eq!(log.durable(), Lsn(1), "nothing was synced yet");
    assert_eq!(log.destroy(Timestamp(4)), Ok(1));
    assert_eq!(payload_files(&disk.image(), false).len(), 2);
    let kept = log.put_payload(b"kept").unwrap();
    name(&log, &[kept]).unwrap();
    let pending = log.begin_snapshot(Timestamp(5), b"state").unwrap().unwrap();
    assert_eq!(payload_files(&disk.image(), false).len(), 2);
    log.finish_snapshot(pending).unwrap();
    assert_eq!(payload_files(&disk.image(), false).len(), 3);
    let last = log.put_payload(b"last").unwrap();
    log.seal(Timestamp(6)).unwrap();
    let report = verdict(&disk);
    assert_eq!((&report.verdict, report.purged), (&Verdict::Complete, 1));
    drop(log);
    let log = open(&disk).unwrap();
    for (payload, content) in [(stays, &b"stays"[..]), (loose, b"loose"), (kept, b"kept"), (last, b"last")] {
        assert_eq!(log.payload(&payload.id()).unwrap().as_deref(), Some(content));
    }
}

#[test]
fn what_is_forgotten_before_anybody_names_it_is_never_stored() {
    let disk = SimDisk::default();
    let log = create(&disk);
    let memory = hv_audit::MemoryLog::new();
    let logs: [&dyn Log; 2] = [&log, &memory];
    for log in logs {
        let [named, forgotten, loose] = [b"named", b"forgo", b"loose"].map(|c| log.put_payload(c).unwrap());
        name(log, &[named]).unwrap();
        for payload in [&forgotten, &named, &forgotten] {
            log.forget_payload(payload).unwrap();
        }
        assert_eq!(log.payload(&forgotten.id()), Ok(None));
        log.sync(Lsn(u64::MAX)).unwrap();
        assert_eq!(
            log.payload(&named.id()).unwrap().as_deref(),
            Some(&b"named"[..]),
            "a record refers to it"
        );
        let last = log.seal(Timestamp(4)).unwrap();
        let mut at_the_end = vec![];
        log.replay(&mut |entry| {
            at_the_end.extend(entry.attachments.filter(|_| entry.lsn == last));
            Ok(())
        })
        .unwrap();
        assert_eq!(at_the_end, [loose]);
    }
    assert_eq!(payload_files(&disk.image(), false).len(), 2);
    assert_eq!(verdict(&disk).verdict, Verdict::Complete);
    // What is on the disk stays, and is named at the end.
    let disk = SimDisk::default();
    let log = create(&disk);
    let stored = log.put_payload(b"stored").unwrap();
    log.sync(name(&log, &[]).unwrap()).unwrap();
    log.forget_payload(&stored).unwrap();
    assert_eq!(log.payload(&stored.id()).unwrap().as_deref(), Some(&b"stored"[..]));
    log.seal(Timestamp(4)).unwrap();
    assert_eq!(verdict(&disk).verdict, Verdict::Complete);
}

/// A stranger sees keys, files and names come and go in any order, and says of none of it that somebody took it.
#[test]
fn verifying_while_many_contents_are_stored_and_purged_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("trail");
    let log =
        FileLog::create(&dir, Timestamp(1), hv_audit::FileOptions::new(crate::trail::entropy())).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                let report = hv_audit::verify(&dir).unwrap();
                assert!(matches!(report.verdict, Verdict::Open(_)), "{report}");
                looks += 1;
            }
            looks
        });
        for round in 0..deep(40, 2000) {
            let put: Vec<PayloadRef> = (0..8u8).map(|n| log.put_payload(&[n; 100]).unwrap()).collect();
            log.sync(name(&log, &put[2..]).unwrap()).unwrap();
            if round % 4 == 3 {
                let ids: Vec<Digest> = put[4..6].iter().map(|payload| payload.id()).collect();
                log.append(&[], Timestamp(4), &mut |batch| batch.purge(&ids, |_| {}).map(drop)).unwrap();
                log.destroy(Timestamp(4)).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    println!("{looks} looks");
    assert!(looks > 0);
    log.seal(Timestamp(9)).unwrap();
    assert_eq!(hv_audit::verify(&dir).unwrap().verdict, Verdict::Complete);
}

#[test]
fn what_was_put_and_never_synced_is_gone_with_the_log() {
    let disk = SimDisk::default();
    let log = create(&disk);
    let image = disk.image();
    let payload = log.put_payload(b"nobody waited").unwrap();
    name(&log, &[payload]).unwrap();
    drop(log);
    assert_eq!(disk.image(), image);
}

/// What a life was told is durable: contents by their names, and which of them it began to purge.
#[derive(Default, Clone)]
struct Told {
    contents: BTreeMap<Digest, Vec<u8>>,
    purging: Vec<Digest>,
}

/// Opens a log, or begins it, and checks that whatever a record names can be read and that nothing is gone that was told
/// to be durable.
fn opened(disk: &SimDisk, told: &Told) -> Result<FileLog, LogError> {
    let log = match open(disk) {
        Err(LogError::NoLog { .. }) => {
            assert!(told.contents.is_empty());
            FileLog::create(Path::new(DIR), Timestamp(1), options(disk, 4000))?
        }
        opened => opened?,
    };
    let mut named = vec![];
    log.replay(&mut |entry| {
        named.extend(entry.attachments);
        Ok(())
    })?;
    for payload in &named {
        match log.payload(&payload.id()) {
            Ok(Some(content)) => assert_eq!(content.len() as u64, payload.length()),
            Err(LogError::Purged { .. }) => {}
            other => panic!("a record names what is not there: {other:?}"),
        }
    }
    for (id, content) in &told.contents {
        match log.payload(id) {
            Err(LogError::Purged { .. }) if told.purging.contains(id) => {}
            other => assert_eq!(other.unwrap().as_ref(), Some(content), "what was told is not there"),
        }
        assert!(named.iter().any(|payload| payload.id() == *id), "its record is not there");
    }
    Ok(log)
}

/// Commits with many contents each; some are named by no record, some are purged, some commits are not waited for.
fn live(disk: &SimDisk, dice: &mut Dice, told: &mut Told) -> Result<(), LogError> {
    let log = opened(disk, told)?;
    let mut waiting: Vec<(PayloadRef, Vec<u8>)> = vec![];
    for round in 0..4 {
        let mut put = vec![];
        for _ in 0..=dice.below(6) {
            let content = vec![round; dice.index(1500)];
            put.push((log.put_payload(&content)?, content));
        }
        // The first one stays loose, where the dice say so.
        let named: Vec<_> = put.into_iter().skip(usize::from(dice.below(4) == 0)).collect();
        let refs: Vec<PayloadRef> = named.iter().map(|(payload, _)| *payload).collect();
        let lsn = name(&log, &refs)?;
        waiting.extend(named);
        if dice.below(3) > 0 {
            log.sync(lsn)?;
            told.contents.extend(waiting.drain(..).map(|(payload, content)| (payload.id(), content)));
        }
        if dice.below(4) == 0
            && let Some(payload) = refs.first()
        {
            told.purging.push(payload.id());
            log.append(&[], Timestamp(4), &mut |batch| batch.purge(&[payload.id()], |_| {}).map(drop))?;
            log.destroy(Timestamp(4))?;
            assert_eq!(log.payload(&payload.id()), Err(LogError::Purged { id: payload.id() }));
        }
        if dice.below(6) == 0
            && let Some(pending) = log.begin_snapshot(Timestamp(5), b"state")?
        {
            log.finish_snapshot(pending)?;
        }
    }
    if dice.below(3) == 0 {
        log.seal(Timestamp(9))?;
    }
    Ok(())
}

/// Keys whose payloads a crash kept from their names while others got theirs behind them.
fn kept_from_their_names(disk: &SimDisk) -> usize {
    let image = disk.image();
    let Some(keys) = image.get(&Path::new(DIR).join("keys")) else { return 0 };
    let [named, unnamed] = [false, true].map(|unfinished| payload_files(&image, unfinished));
    let holds = |files: &[PathBuf], slot: &[u8]| {
        let id = Digest(slot[4..36].try_into().unwrap()).to_string();
        files.iter().any(|path| path.to_str().unwrap().contains(&id))
    };
    let slots: Vec<&[u8]> = keys[128.min(keys.len())..].chunks_exact(128).collect();
    let last = slots.iter().rposition(|slot| holds(&named, slot)).unwrap_or(0);
    slots[..last.min(slots.len())].iter().filter(|slot| holds(&unnamed, slot)).count()
}

fn not_tampered(disk: &SimDisk, what: &str) {
    if let Ok(report) = hv_audit::verify_on(disk, Path::new(DIR), &mut |_| {}) {
        assert!(!matches!(report.verdict, Verdict::Tampered(_)), "{what}: {report}");
    }
}

#[test]
fn c2_no_crash_takes_a_content_that_was_told_or_leaves_a_record_without_one() {
    let mut kept = 0;
    for seed in 0..deep(120, 20_000) {
        let mut dice = Dice(seed);
        let (mut disk, mut told) = (SimDisk::default(), Told::default());
        for life in 0..4 {
            disk.fail_at(dice.below(350), Fail::Forever);
            let _ = live(&disk, &mut dice, &mut told);
            disk = disk.crash(&mut dice);
            not_tampered(&disk, &format!("seed {seed}, life {life}"));
            kept += kept_from_their_names(&disk);
        }
        let log = opened(&disk, &told).unwrap();
        assert_eq!(payload_files(&disk.image(), true), <Vec<PathBuf>>::new(), "seed {seed}: it is tidied");
        log.seal(Timestamp(9)).unwrap();
        assert_eq!(verdict(&disk).verdict, Verdict::Complete, "seed {seed}");
    }
    println!("{kept} contents were kept from their names and got them");
    assert!(kept > 0, "no crash came between two names");
}

/// A log with a stored content, and one commit behind it that names five contents and leaves one loose.
fn commit(disk: &SimDisk, told: &mut Told) -> Result<(), LogError> {
    let log = opened(disk, told)?;
    let put = |n: u8| Ok::<_, LogError>((log.put_payload(&[n; 600])?, vec![n; 600]));
    let contents = (0..6).map(put).collect::<Result<Vec<_>, _>>()?;
    let refs: Vec<PayloadRef> = contents.iter().skip(1).map(|(payload, _)| *payload).collect();
    log.sync(name(&log, &refs)?)?;
    told.contents.extend(contents.into_iter().skip(1).map(|(payload, content)| (payload.id(), content)));
    Ok(())
}

/// Every operation of a commit with many contents, and of tidying up after it, is where the power fails: with what was
/// not synced there, gone or torn.
#[test]
fn c2_the_power_fails_at_every_step_of_a_commit_with_many_contents_and_of_opening_after_it() {
    let begun = {
        let disk = SimDisk::default();
        let log = create(&disk);
        let payload = log.put_payload(b"from before").unwrap();
        log.sync(name(&log, &[payload]).unwrap()).unwrap();
        drop(log);
        disk.image()
    };
    let steps = {
        let disk = SimDisk::from_image(&begun);
        commit(&disk, &mut Told::default()).unwrap();
        disk.steps()
    };
    assert!(steps > 6 * 4);
    let (mut kept, mut taken_up) = (0, 0);
    let dice = AtomicU64::new(0);
    let roll = || Dice(dice.fetch_add(1, Ordering::Relaxed));
    for how in [Fail::Once, Fail::Forever] {
        for step in 0..=steps {
            for _ in 0..deep(1, 50) {
                let disk = SimDisk::from_image(&begun);
                disk.fail_at(step, how);
                let mut told = Told::default();
                let committed = commit(&disk, &mut told);
                assert_eq!(committed.is_ok(), step == steps, "step {step}: {committed:?}");
                // Once with all that was written, and otherwise with any part of what was not synced.
                let crashed = disk.crash(&mut roll());
                for left in [SimDisk::from_image(&disk.image()), crashed] {
                    not_tampered(&left, &format!("step {step}, {how:?}"));
                    let between = kept_from_their_names(&left);
                    kept += between;
                    if between > 0 {
                        taken_up += interrupted(&left, &told, &mut roll());
                    }
                    let log = opened(&left, &told).unwrap();
                    assert_eq!(payload_files(&left.image(), true), <Vec<PathBuf>>::new(), "step {step}");
                    drop(log);
                    commit(&left, &mut told.clone()).unwrap();
                    opened(&left, &told).unwrap().seal(Timestamp(9)).unwrap();
                    assert_eq!(verdict(&left).verdict, Verdict::Complete, "step {step}, {how:?}");
                }
            }
        }
    }
    println!("{steps} steps, {kept} contents kept from their names, {taken_up} openings interrupted");
    assert!(kept > 0 && taken_up > 0);
}

/// Opening is interrupted at each of its steps in turn, and goes on the next time; gives how often.
fn interrupted(left: &SimDisk, told: &Told, dice: &mut Dice) -> u64 {
    for step in 0.. {
        let disk = SimDisk::from_image(&left.image());
        disk.fail_at(step, Fail::Forever);
        let done = opened(&disk, told).is_ok();
        let crashed = disk.crash(dice);
        not_tampered(&crashed, &format!("opening, step {step}"));
        opened(&crashed, told).unwrap().seal(Timestamp(9)).unwrap();
        assert_eq!(verdict(&crashed).verdict, Verdict::Complete, "opening, step {step}");
        if done {
            return step;
        }
    }
    0
}

/// What a crash leaves is told from what somebody took: a key without its payload, before one that has its own.
#[test]
fn a_payload_that_is_taken_from_among_others_shows_though_no_record_names_it() {
    let disk = SimDisk::default();
    let log = create(&disk);
    let put: Vec<PayloadRef> = (0..3u8).map(|n| log.put_payload(&[n; 50]).unwrap()).collect();
    log.sync(name(&log, &[]).unwrap()).unwrap();
    drop(log);
    let whole = disk.image();
    let path = |n: usize| Path::new(DIR).join("payloads").join(put[n].id().to_string());
    let unnamed = |n: usize| Path::new(DIR).join("payloads").join(format!("{}.tmp", put[n].id()));
    let finding = |image: &Image| {
        let disk = SimDisk::from_image(image);
        let opened = open(&disk).map(drop);
        let Verdict::Tampered(finding) = verdict(&disk).verdict else {
            assert_eq!(opened, Ok(()));
            return None;
        };
        assert!(matches!(opened, Err(LogError::Damaged(_))), "{opened:?}");
        assert_eq!(disk.image(), *image, "what is damaged is not touched");
        Some(finding.what)
    };
    assert_eq!(finding(&whole), None);
    // Taken away.
    let mut taken = whole.clone();
    taken.remove(&path(1));
    assert_eq!(finding(&taken), Some(What::KeyUnreferenced));
    // Kept from its name by a crash, and it may be the last one as well.
    for (n, payload) in put.iter().enumerate() {
        let mut kept = whole.clone();
        let bytes = kept.remove(&path(n)).unwrap();
        kept.insert(unnamed(n), bytes);
        assert_eq!(finding(&kept), None);
        let disk = SimDisk::from_image(&kept);
        let log = open(&disk).unwrap();
        // The last one was of no use to the others, and nobody was told of it.
        let there = log.payload(&payload.id()).unwrap();
        assert_eq!(there.is_some(), n < 2);
        // No half of it passes, nor another in its place.
        if n < 2 {
            let mut half = kept.clone();
            half.get_mut(&unnamed(n)).unwrap().truncate(40);
            assert_eq!(finding(&half), Some(What::PayloadDamaged));
            let mut other = whole.clone();
            other.remove(&path(n));
            other.insert(unnamed(n), whole[&path(2)].clone());
            assert_eq!(finding(&other), Some(What::PayloadDamaged));
        }
    }
    // In a log that was ended nothing is without its name.
    let disk = SimDisk::from_image(&whole);
    open(&disk).unwrap().seal(Timestamp(9)).unwrap();
    let mut ended = disk.image();
    assert_eq!(verdict(&disk).verdict, Verdict::Complete);
    let bytes = ended.remove(&path(1)).unwrap();
    ended.insert(unnamed(1), bytes);
    assert!(finding(&ended).is_some());
}

/// Threads that put, read, commit and purge side by side, on a disk that fails somewhere.
#[test]
fn c2_many_writers_of_contents_lose_nothing_that_they_were_told() {
    for seed in 0..deep(30, 1000) {
        let mut dice = Dice(seed);
        let disk = SimDisk::default();
        let log = create(&disk);
        disk.fail_at(dice.below(600), Fail::Forever);
        let told: Vec<Told> = std::thread::scope(|scope| {
            let writer = |thread: u8| {
                let log = &log;
                move || {
                    let mut told = Told::default();
                    let _ = (0..8).try_for_each(|n| write(log, thread, n, &mut told));
                    told
                }
            };
            let threads: Vec<_> = (0..4u8).map(|thread| scope.spawn(writer(thread))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        drop(log);
        let crashed = disk.crash(&mut dice);
        not_tampered(&crashed, &format!("seed {seed}"));
        let mut all = Told::default();
        for told in told {
            all.contents.extend(told.contents);
            all.purging.extend(told.purging);
        }
        opened(&crashed, &all).unwrap().seal(Timestamp(9)).unwrap();
        assert_eq!(verdict(&crashed).verdict, Verdict::Complete, "seed {seed}");
    }
}

fn write(log: &FileLog, thread: u8, n: u8, told: &mut Told) -> Result<(), LogError> {
    let content = vec![thread * 16 + n; 200];
    let payload = log.put_payload(&content)?;
    let lsn = name(log, &[payload])?;
    assert_eq!(log.payload(&payload.id()).unwrap().as_ref(), Some(&content));
    log.sync(lsn)?;
    assert_eq!(log.payload(&payload.id()).unwrap().as_ref(), Some(&content));
    told.contents.insert(payload.id(), content);
    if n % 4 == 3 {
        told.purging.push(payload.id());
        log.append(&[], Timestamp(4), &mut |batch| batch.purge(&[payload.id()], |_| {}).map(drop))?;
        log.destroy(Timestamp(4))?;
    }
    Ok(())
}
