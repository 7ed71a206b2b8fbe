//! A purge destroys contents and changes no hash.

use crate::deep;
use crate::sim::{Fail, SimDisk};
use crate::trail::{DIR, entropy, options, verdict};
use hv_audit::{
    Blake3, CompactRange, ConsistencyProof, FileLog, FileOptions, InclusionProof, Kind, Log, LogError,
    MemoryLog, PayloadRef, StreamNo, Verdict, What, verify,
};
use hv_types::{Digest, Timestamp};
use std::path::{Path, PathBuf};

const SECRET: &[u8] = b"the customer said: my number is 4711-0815-2342";

fn put(log: &dyn Log, content: &[u8]) -> PayloadRef {
    let payload = log.put_payload(content).unwrap();
    let lsn = log.append(&[], Timestamp(5), &mut |batch| {
        batch.push(StreamNo::LEDGER, &[payload], |body| body.push(1)).map(drop)
    });
    log.sync(lsn.unwrap()).unwrap();
    payload
}

fn purge(log: &dyn Log, payloads: &[PayloadRef]) -> Result<u64, LogError> {
    let ids: Vec<Digest> = payloads.iter().map(|payload| payload.id()).collect();
    log.append(&[], Timestamp(6), &mut |batch| batch.purge(&ids, |body| body.push(7)).map(drop))?;
    log.destroy(Timestamp(6))
}

#[test]
fn purged_content_is_gone_in_both_engines_and_says_so() {
    let disk = SimDisk::default();
    let file = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1500)).unwrap();
    let memory = MemoryLog::started(Timestamp(1), entropy()).unwrap();
    let logs: [&dyn Log; 2] = [&file, &memory];
    for log in logs {
        let (gone, stays) = (put(log, SECRET), put(log, b"stays"));
        assert_eq!(purge(log, &[gone]), Ok(1));
        assert_eq!(log.payload(&gone.id()), Err(LogError::Purged { id: gone.id() }));
        assert_eq!(log.payload(&stays.id()).unwrap().as_deref(), Some(&b"stays"[..]));
        assert_eq!(log.destroy(Timestamp(7)), Ok(0), "nothing is left to do");
        let nothing = log.append(&[], Timestamp(7), &mut |batch| batch.purge(&[], |_| {}).map(drop));
        assert_eq!(nothing, Err(LogError::Empty));
        log.seal(Timestamp(9)).unwrap();
        assert_eq!(log.destroy(Timestamp(9)), Err(LogError::Sealed));
    }
    let heads = |log: &dyn Log| [StreamNo::NODE, StreamNo::LEDGER].map(|stream| log.head(stream));
    assert_eq!(heads(&file), heads(&memory), "both engines hold the same records");
    let report = verdict(&disk);
    assert_eq!((&report.verdict, report.purged), (&Verdict::Complete, 1));
    assert!(report.to_string().ends_with("a payload purged"), "{report}");
}

/// Nothing that lies in the folder holds the content, its key, or a way to test a guess of it.
#[test]
fn f4_what_was_purged_can_neither_be_read_nor_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("trail");
    let mut drawn = 100u8;
    let random = move || {
        drawn += 1;
        [drawn; 32]
    };
    let log = FileLog::create(&dir, Timestamp(1), FileOptions::new(Box::new(random))).unwrap();
    let gone = put(&log, SECRET);
    // The second number that was drawn; the first is the log's own.
    let key = [102; 32];
    let salt = blake3::derive_key("hv 2026 audit payload salt v1", &key);
    let stream = blake3::derive_key("hv 2026 audit payload stream v1", &key);
    let holds = |needle: &[u8]| {
        let files = walk(&dir);
        assert!(files.len() >= 3);
        files.iter().any(|file| {
            let bytes = std::fs::read(file).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    };
    assert_eq!(*blake3::keyed_hash(&salt, SECRET).as_bytes(), gone.id().0, "whoever has the key can guess");
    assert!(holds(&key) && !holds(SECRET), "the content is enciphered from the beginning");
    purge(&log, &[gone]).unwrap();
    for (what, secret) in [("content", SECRET), ("key", &key), ("salt", &salt), ("stream", &stream)] {
        assert!(!holds(secret), "the {what} is still there");
    }
    // What is left is the id, and the list says that its key was destroyed.
    let keys = std::fs::read(dir.join("keys")).unwrap();
    assert_eq!(keys[128..132], [2, 0, 0, 0]);
    assert_eq!(keys[132..164], gone.id().0);
    assert_eq!(keys[164..252], [0; 88]);
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// INVARIANT (A3), with 90 % of the bytes: every hash, root, proof and consistency stays.
#[test]
fn a3_a_purge_changes_no_hash() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("trail");
    let records = deep(10_000, 1_000_000);
    let mut count = 0u64;
    let random = move || {
        count += 1;
        *blake3::hash(&count.to_le_bytes()).as_bytes()
    };
    let log = FileLog::create(&dir, Timestamp(1), FileOptions::new(Box::new(random))).unwrap();
    let mut payloads = Vec::new();
    for n in 0..records {
        // A hundred large contents of one size, spread over the log.
        let payload =
            (n % (records / 100) == 0).then(|| log.put_payload(&[n.to_le_bytes()[0]; 20_000]).unwrap());
        payloads.extend(payload);
        log.append(&[], Timestamp(n), &mut |batch| {
            batch.push(StreamNo::LEDGER, payload.as_slice(), |body| body.extend(n.to_le_bytes())).map(drop)
        })
        .unwrap();
    }
    log.sync(
        log.append(&[], Timestamp(records), &mut |b| b.push(StreamNo::NODE, &[], |_| {}).map(drop)).unwrap(),
    )
    .unwrap();
    let before = log.leaves(StreamNo::LEDGER).unwrap();
    let root = log.head(StreamNo::LEDGER).unwrap().root;
    let size = before.len() as u64;
    let proven: Vec<u64> = (0..size).step_by(before.len() / 50).collect();
    let inclusion: Vec<InclusionProof> =
        proven.iter().map(|at| InclusionProof::make::<Blake3>(&before, *at).unwrap()).collect();
    let checkpoints: Vec<(Digest, ConsistencyProof)> = proven
        .iter()
        .map(|at| {
            let first = at + 1;
            let mut range = CompactRange::<Blake3>::new();
            before.iter().take(usize::try_from(first).unwrap()).for_each(|leaf| range.push(*leaf));
            (range.root(), ConsistencyProof::make::<Blake3>(&before, first).unwrap())
        })
        .collect();
    let bytes_before: u64 =
        walk(&dir.join("payloads")).iter().map(|file| file.metadata().unwrap().len()).sum();

    assert_eq!(purge(&log, &payloads[..90]), Ok(90));

    let bytes: u64 = walk(&dir.join("payloads")).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes * 10 <= bytes_before, "{bytes} of {bytes_before} bytes are left");
    let after = log.leaves(StreamNo::LEDGER).unwrap();
    assert_eq!(after, before);
    assert_eq!(log.head(StreamNo::LEDGER).unwrap().root, root);
    for (at, proof) in proven.iter().zip(&inclusion) {
        proof.check::<Blake3>(&after[usize::try_from(*at).unwrap()], &root).unwrap();
    }
    for (checkpoint, proof) in &checkpoints {
        proof.check::<Blake3>(checkpoint, &root).unwrap();
    }
    for (n, payload) in payloads.iter().enumerate() {
        match log.payload(&payload.id()) {
            Ok(Some(content)) if n >= 90 => assert_eq!(content.len(), 20_000),
            Err(LogError::Purged { id }) if n < 90 => assert_eq!(id, payload.id()),
            other => panic!("payload {n}: {other:?}"),
        }
    }
    log.seal(Timestamp(records + 1)).unwrap();
    drop(log);
    let report = verify(&dir).unwrap();
    assert_eq!((report.verdict, report.purged), (Verdict::Complete, 90));
    let again = FileLog::open(&dir, Timestamp(records + 2), FileOptions::new(entropy())).unwrap();
    assert_eq!(again.leaves(StreamNo::LEDGER).unwrap(), before);
    assert_eq!(again.payload(&payloads[0].id()), Err(LogError::Purged { id: payloads[0].id() }));
}

/// A purge that is interrupted anywhere either never began, or is finished when the log is opened again.
#[test]
fn a_purge_that_a_crash_interrupts_goes_on() {
    let fresh = || {
        let disk = SimDisk::default();
        let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1500)).unwrap();
        let payloads = [put(&log, SECRET), put(&log, b"another"), put(&log, b"stays")];
        (disk, log, payloads)
    };
    let (disk, log, payloads) = fresh();
    let before = disk.steps();
    purge(&log, &payloads[..2]).unwrap();
    let steps = disk.steps() - before;
    assert!(steps >= 8, "{steps}");
    let (mut begun, mut not) = (0, 0);
    for step in 0..steps {
        for seed in 0..deep(4, 200) {
            let (disk, log, payloads) = fresh();
            disk.fail_at(step, Fail::Forever);
            purge(&log, &payloads[..2]).unwrap_err();
            drop(log);
            let what = format!("step {step}, seed {seed}");
            let mut dice = crate::sim::Dice(seed);
            let disk = if seed == 0 { SimDisk::from_image(&disk.image()) } else { disk.crash(&mut dice) };
            let report = verdict(&disk);
            assert!(matches!(report.verdict, Verdict::Open(_)), "{what}: {report}");
            let log = FileLog::open(Path::new(DIR), Timestamp(9), options(&disk, 1500)).unwrap();
            let purged = payloads.map(|payload| log.payload(&payload.id()));
            match &purged {
                [Err(LogError::Purged { .. }), Err(LogError::Purged { .. }), Ok(Some(stays))] => {
                    begun += 1;
                    assert_eq!(stays, b"stays");
                    let keys = &disk.image()[&Path::new(DIR).join("keys")];
                    assert_eq!([128, 256, 384].map(|at| keys[at]), [2, 2, 1], "{what}");
                }
                [Ok(Some(secret)), Ok(Some(_)), Ok(Some(_))] => {
                    not += 1;
                    assert_eq!(secret, SECRET, "{what}");
                }
                other => panic!("{what}: {other:?}"),
            }
            log.seal(Timestamp(10)).unwrap();
            assert_eq!(verdict(&disk).verdict, Verdict::Complete, "{what}");
        }
    }
    assert!(begun > 0 && not > 0, "{begun} were begun, {not} were not");
}

/// A purge that was finished before, the key or the content put back from a copy of the folder.
#[test]
fn what_was_purged_and_is_there_again_is_said() {
    let disk = SimDisk::default();
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1500)).unwrap();
    let gone = put(&log, SECRET);
    let stays = put(&log, b"stays");
    let old = disk.image();
    purge(&log, &[gone]).unwrap();
    log.seal(Timestamp(9)).unwrap();
    drop(log);
    let image = disk.image();
    let keys = Path::new(DIR).join("keys");
    let content = Path::new(DIR).join("payloads").join(gone.id().to_string());
    assert!(old.contains_key(&content) && !image.contains_key(&content));
    for (what, back) in [("key", vec![&keys]), ("content", vec![&content]), ("both", vec![&keys, &content])] {
        let mut restored = image.clone();
        for path in back {
            restored.insert(path.clone(), old[path].clone());
        }
        let disk = SimDisk::from_image(&restored);
        let report = verdict(&disk);
        let Verdict::Tampered(finding) = &report.verdict else { panic!("{what}: {report}") };
        assert_eq!(finding.what, What::PurgedAgain { id: gone.id() }, "{what}");
        assert_eq!((finding.stream, finding.record), (Some(StreamNo::LEDGER), Some(0)), "{what}");
        let opened = FileLog::open(Path::new(DIR), Timestamp(10), options(&disk, 1500));
        assert!(matches!(opened, Err(LogError::Damaged(_))), "{what}: {opened:?}");
        assert_eq!(disk.image(), restored, "{what}: a refused log is left as it is");

        let again = options(&disk, 1500).destroying_again();
        let log = FileLog::open(Path::new(DIR), Timestamp(10), again).unwrap();
        assert_eq!(log.payload(&gone.id()), Err(LogError::Purged { id: gone.id() }));
        assert_eq!(log.payload(&stays.id()).unwrap().as_deref(), Some(&b"stays"[..]));
        let mut purges = 0;
        log.replay(&mut |entry| {
            purges += u32::from(matches!(entry.kind, Kind::Purge { .. }));
            Ok(())
        })
        .unwrap();
        assert_eq!(purges, 2, "{what}: that it was destroyed again is on the trail");
        log.seal(Timestamp(11)).unwrap();
        assert_eq!(verdict(&disk).verdict, Verdict::Complete, "{what}");
        assert_eq!(disk.image()[&keys][128], 2);
    }
}

/// Missing without a purge is tampering, whatever is made to look like one.
#[test]
fn content_missing_without_a_purge_is_tampering() {
    let disk = SimDisk::default();
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 1500)).unwrap();
    let (first, second) = (put(&log, SECRET), put(&log, b"another"));
    log.seal(Timestamp(9)).unwrap();
    drop(log);
    let image = disk.image();
    let keys = Path::new(DIR).join("keys");
    let path = |payload: PayloadRef| Path::new(DIR).join("payloads").join(payload.id().to_string());
    let found = |image: &crate::sim::Image| match verdict(&SimDisk::from_image(image)).verdict {
        Verdict::Tampered(finding) => finding.what,
        other => panic!("{other}"),
    };
    let mut without = image.clone();
    without.remove(&path(first));
    assert_eq!(found(&without), What::PayloadMissing { id: first.id() });

    // The key destroyed exactly as a purge would, the content removed: no record says so.
    let purged_look = {
        let disk = SimDisk::from_image(&image);
        let log = FileLog::open(Path::new(DIR), Timestamp(10), options(&disk, 1500)).unwrap();
        purge(&log, &[first]).unwrap();
        disk.image()
    };
    let mut forged = without.clone();
    forged.insert(keys.clone(), purged_look[&keys].clone());
    assert_eq!(found(&forged), What::PayloadMissing { id: first.id() });
    let mut forged = image.clone();
    forged.insert(keys.clone(), purged_look[&keys].clone());
    assert_eq!(found(&forged), What::KeyMissing { id: first.id() });

    // Keys of two payloads exchanged, each slot whole in itself.
    let mut exchanged = image.clone();
    let bytes = exchanged.get_mut(&keys).unwrap();
    let (a, b) = (bytes[128..256].to_vec(), bytes[256..384].to_vec());
    bytes[128..256].copy_from_slice(&b);
    bytes[256..384].copy_from_slice(&a);
    assert_eq!(found(&exchanged), What::PayloadDamaged);
    assert_ne!(path(first), path(second));
}

/// Who verifies while a writer purges is told of no tampering.
#[test]
fn verifying_while_a_writer_purges_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("trail");
    let log = FileLog::create(&dir, Timestamp(1), FileOptions::new(entropy())).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..deep(60, 2000) {
                let payloads = [put(&log, SECRET), put(&log, b"another")];
                purge(&log, &payloads).unwrap();
            }
        });
        let mut verified = 0;
        while !writer.is_finished() {
            let report = verify(&dir).unwrap();
            assert!(matches!(report.verdict, Verdict::Open(_)), "{report}");
            verified += 1;
        }
        assert!(verified > 0);
    });
}
