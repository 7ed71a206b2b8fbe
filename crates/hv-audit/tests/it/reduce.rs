//! A reduction destroys records and changes no hash.

use crate::deep;
use crate::sim::{Dice, Fail, Image, SimDisk};
use crate::trail::{DIR, keep, options, verdict, work};
use hv_audit::{
    DeltaProof, Ends, Entry, FileLog, GoneRecords, Irreducible, Kind, Log, LogError, Lsn, MemoryLog, Outside,
    Prints, Rank, Rfc6962, StreamNo, Tier, Transcript, Verdict, What, Why, verify_against,
};
use hv_types::{Digest, Timestamp};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const LIMIT: u64 = 1500;

fn open(disk: &SimDisk) -> Result<FileLog, LogError> {
    FileLog::open(Path::new(DIR), Timestamp(5000), options(disk, LIMIT))
}

/// The session of `lives` that stays open over the ends of the log in between.
const LONG: StreamNo = StreamNo(4);

/// Three lives of a writer with seven sessions, one of which goes on from the first life to the last.
fn lives() -> SimDisk {
    let disk = SimDisk::default();
    let mut log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, LIMIT)).unwrap();
    for life in 0u64..3 {
        work(&log, 100 * life + 10).unwrap();
        log.append(&[], Timestamp(100 * life + 90), &mut |batch| {
            if life == 0 {
                assert_eq!(batch.genesis("session:long", |_| {})?.0, LONG);
            }
            for n in 0..5 {
                batch.push(LONG, &[], |body| body.extend([n; 9]))?;
            }
            if life == 2 { batch.close(LONG).map(drop) } else { Ok(()) }
        })
        .unwrap();
        if life == 1 {
            keep(&log, Timestamp(150)).unwrap();
        }
        log.seal(Timestamp(100 * life + 99)).unwrap();
        if life < 2 {
            drop(log);
            log = FileLog::open(Path::new(DIR), Timestamp(1), options(&disk, LIMIT)).unwrap();
        }
    }
    disk
}

const SESSIONS: [StreamNo; 7] =
    [StreamNo(2), StreamNo(3), LONG, StreamNo(5), StreamNo(6), StreamNo(7), StreamNo(8)];

/// What somebody took out of a trail, or keeps elsewhere.
struct Before {
    proofs: Vec<DeltaProof>,
    roots: Vec<Digest>,
    streams: Vec<(StreamNo, String, u64, Digest, bool)>,
    marks: Vec<(u64, Digest, Option<Ends>, Prints)>,
    bodies: Vec<(StreamNo, Vec<u8>)>,
}

fn streams(disk: &SimDisk) -> Vec<(StreamNo, String, u64, Digest, bool)> {
    let streams = verdict(disk).streams.into_iter();
    streams.map(|stream| (stream.no, stream.label, stream.length, stream.root, stream.closed)).collect()
}

impl Before {
    fn of(disk: &SimDisk) -> Self {
        let mut bodies = vec![];
        // A mark behind every batch, as one of a trail that goes on.
        let (mut read, mut marks, mut last) = (Transcript::new(), vec![], Lsn(0));
        let report = verify_against(disk, Path::new(DIR), &[], &mut |entry: Entry<'_>| {
            if entry.lsn != last && last > Lsn(0) {
                let (size, ends) = (read.size(), read.ends());
                marks.push((size, read.root(size).unwrap(), ends, read.prints(size, ends).unwrap()));
            }
            last = entry.lsn;
            bodies.push((entry.stream, entry.bytes.to_vec()));
            read.take(&entry, &mut |_| true);
        });
        assert_eq!(report.unwrap().verdict, Verdict::Complete);
        let size = read.size();
        marks.push((size, read.root(size).unwrap(), None, read.prints(size, None).unwrap()));
        let proofs = [StreamNo::LEDGER].iter().chain(&SESSIONS).flat_map(|stream| {
            (0..read.length(*stream)).map(|seq| read.delta(*stream, seq, size).unwrap()).collect::<Vec<_>>()
        });
        let proofs = proofs.collect();
        let roots = (0..=size).map(|size| read.root(size).unwrap()).collect();
        Self { proofs, roots, streams: streams(disk), marks, bodies }
    }

    /// Everything that held before holds now.
    fn a3_holds(&self, disk: &SimDisk, reduced: &BTreeSet<StreamNo>, what: &str) {
        let (report, read) = Transcript::read_on(disk, Path::new(DIR), &mut |_| true).unwrap();
        assert!(!matches!(report.verdict, Verdict::Tampered(_)), "{what}: {report}");
        for (size, root) in (0..).zip(&self.roots) {
            assert_eq!(read.root(size).as_ref(), Ok(root), "{what}");
            let grown = read.consistency(size, read.size()).unwrap();
            assert_eq!(grown.check::<Rfc6962>(root, &read.root(read.size()).unwrap()), Ok(()), "{what}");
        }
        for proof in &self.proofs {
            proof.check().unwrap();
            if let Some(inner) = &proof.inner {
                let at = usize::try_from(inner.index).unwrap();
                assert_eq!(read.node_records()[at], inner.entry, "{what}: the entry is there");
            }
        }
        let now = streams(disk);
        for (before, now) in self.streams.iter().zip(&now).skip(2) {
            assert_eq!(before, now, "{what}");
        }
        // A mark behind every batch, with everything that it says: the furthest that it can speak for is as before, or
        // where only roots are left, as far as the last end of the log.
        for (size, root, ends, prints) in &self.marks {
            let (rank, prints) = (Rank::Signed, Some(prints));
            let outside = Outside { rank, size: *size, root: *root, ends: *ends, prints };
            let report = verify_against(disk, Path::new(DIR), &[outside], &mut |_| {}).unwrap();
            assert!(
                !matches!(report.verdict, Verdict::Tampered(_)),
                "{what}, size {size}, {ends:?}: {report}"
            );
            assert_eq!(report.level.outside.len(), 1, "{what}");
        }
        let image = disk.image();
        for (stream, bytes) in &self.bodies {
            let there = image.values().any(|file| file.windows(bytes.len()).any(|window| window == bytes));
            assert_eq!(there, !reduced.contains(stream), "{what}: a record of {stream}");
        }
    }
}

/// The checkpoint of the whole log.
pub(crate) fn checkpoint(log: &dyn Log) -> (u64, Digest) {
    let read = Transcript::of(log, &mut |_| false).unwrap();
    (read.size(), read.root(read.size()).unwrap())
}

fn purge_contents(log: &dyn Log, streams: &[StreamNo]) -> Result<(), LogError> {
    let mut ids = BTreeSet::new();
    let mut purged = BTreeSet::new();
    log.replay(&mut |entry| {
        if streams.contains(&entry.stream) {
            ids.extend(entry.attachments.map(|content| content.id()));
        }
        if let Kind::Purge { ids } = entry.kind {
            purged.extend(ids);
        }
        Ok(())
    })?;
    let ids: Vec<Digest> = ids.difference(&purged).copied().collect();
    if ids.is_empty() {
        return Ok(());
    }
    log.append(&[], Timestamp(5000), &mut |batch| batch.purge(&ids, |_| {}).map(drop))?;
    log.destroy(Timestamp(5000)).map(drop)
}

pub(crate) fn reduce(log: &dyn Log, streams: &[StreamNo], tier: Tier) -> Result<(), LogError> {
    purge_contents(log, streams)?;
    let reductions = log.reductions(streams, tier, checkpoint(log))?;
    log.append(&[], Timestamp(5001), &mut |batch| {
        reductions.iter().try_for_each(|reduction| batch.reduce(reduction, |body| body.push(7)).map(drop))
    })?;
    log.destroy(Timestamp(5002)).map(drop)
}

/// INVARIANT (A3): whatever is reduced, in whatever order, every hash, root, proof and checkpoint from before holds.
#[test]
fn a3_a_reduction_of_any_sessions_changes_no_hash() {
    let whole = lives().image();
    let before = Before::of(&SimDisk::from_image(&whole));
    for seed in 0..deep(24, 400) {
        let mut dice = Dice(seed);
        let disk = SimDisk::from_image(&whole);
        let log = open(&disk).unwrap();
        let mut reduced = BTreeSet::new();
        let mut expected = GoneRecords::default();
        for step in 0..1 + dice.below(3) {
            let tier = if dice.below(2) == 0 { Tier::Leaves } else { Tier::Roots };
            let some: Vec<StreamNo> = SESSIONS.into_iter().filter(|_| dice.below(2) == 0).collect();
            let fresh: Vec<StreamNo> =
                some.iter().copied().filter(|stream| !reduced.contains(stream)).collect();
            let chosen = if tier == Tier::Leaves { fresh } else { some };
            match reduce(&log, &chosen, tier) {
                Ok(()) => reduced.extend(chosen),
                Err(LogError::Empty) => {}
                // Not more is left of one of them.
                Err(LogError::Irreducible { why: Irreducible::Reduced, .. }) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
            if dice.below(2) == 0 {
                keep(&log, Timestamp(5003)).unwrap();
            }
            let report = verdict(&disk);
            let live = Verdict::Open(Why::NotEnded { torn_bytes: 0 });
            assert_eq!(report.verdict, live, "seed {seed}, step {step}: {report}");
            expected = report.gone;
        }
        log.seal(Timestamp(6000)).unwrap();
        drop(log);
        let report = verdict(&disk);
        assert_eq!(report.verdict, Verdict::Complete, "seed {seed}: {report}");
        assert_eq!(report.gone, expected);
        assert_eq!(report.gone.sessions, reduced.len() as u64, "seed {seed}");
        let gone: u64 = report.streams.iter().map(|stream| stream.gone).sum();
        assert_eq!(gone, report.gone.leaves + report.gone.roots);
        before.a3_holds(&disk, &reduced, &format!("seed {seed}"));
        // It goes on, from a snapshot or from the first record.
        let log = open(&disk).unwrap();
        work(&log, 7000).unwrap();
        log.seal(Timestamp(8000)).unwrap();
        assert_eq!(verdict(&disk).verdict, Verdict::Complete, "seed {seed}");
    }
}

#[test]
fn what_is_left_is_shown_and_proves_nothing_more() {
    let disk = lives();
    let log = open(&disk).unwrap();
    reduce(&log, &[StreamNo(2)], Tier::Leaves).unwrap();
    reduce(&log, &[StreamNo(3), LONG], Tier::Roots).unwrap();
    let mut gone = vec![];
    log.replay(&mut |entry| {
        if let Kind::Gone { records } = entry.kind {
            assert!(entry.body.is_empty() && entry.bytes.is_empty());
            gone.push((entry.stream, entry.seq, records));
        }
        Ok(())
    })
    .unwrap();
    let of = |stream| {
        gone.iter().filter(|(of, ..)| *of == stream).map(|(_, seq, n)| (*seq, *n)).collect::<Vec<_>>()
    };
    let leaves = of(StreamNo(2));
    assert!((0..leaves.len() as u64).map(|seq| (seq, 1)).eq(leaves.iter().copied()), "{leaves:?}");
    // The first record and the one that closes it stand alone; those in between by life, as the log ended there.
    assert_eq!(of(LONG), [(0, 1), (5, 5), (10, 5), (15, 5), (16, 1)]);
    let roots = of(StreamNo(3));
    assert!(roots.first() == Some(&(0, 1)) && roots.last().is_some_and(|(_, records)| *records == 1));
    let read = Transcript::of(&log, &mut |_| true).unwrap();
    assert_eq!(read.length(LONG), 17);
    assert_eq!(read.delta(LONG, 3, read.size()), Err(hv_audit::NoProof::Purged));
    assert_eq!(read.delta(LONG, 17, read.size()), Err(hv_audit::NoProof::Record));
    let text = verdict(&disk).to_string();
    assert!(text.contains("records of 3 sessions purged: "), "{text}");
    let missing = log.reductions(&[StreamNo(2)], Tier::Leaves, checkpoint(&log));
    assert_eq!(missing, Err(LogError::Irreducible { stream: StreamNo(2), why: Irreducible::Reduced }));
    reduce(&log, &[StreamNo(2)], Tier::Roots).unwrap();
    let report = verdict(&disk);
    assert!(report.gone.leaves < 10 && report.gone.sessions == 3, "{report}");
}

#[test]
fn what_has_to_stay_is_not_reduced() {
    let disk = lives();
    let log = open(&disk).unwrap();
    let early = checkpoint(&log);
    let mut open = None;
    log.append(&[], Timestamp(5000), &mut |batch| {
        open = Some(batch.genesis("open", |_| {})?.0);
        let late = batch.genesis("late", |_| {})?.0;
        batch.close(late).map(drop)
    })
    .unwrap();
    let (open, late, now) = (open.unwrap(), StreamNo(10), checkpoint(&log));
    let refused = |stream, checkpoint, why| {
        for tier in [Tier::Leaves, Tier::Roots] {
            let found = log.reductions(&[LONG, stream], tier, checkpoint);
            assert_eq!(found, Err(LogError::Irreducible { stream, why }), "{tier}");
        }
    };
    for stream in [StreamNo::NODE, StreamNo::LEDGER, open, StreamNo(11)] {
        refused(stream, now, Irreducible::Open);
    }
    refused(StreamNo(2), now, Irreducible::Content);
    refused(late, early, Irreducible::NotCovered);
    refused(LONG, (now.0, Digest([1; 32])), Irreducible::NotAsSigned);
    refused(LONG, (now.0 + 1, now.1), Irreducible::NotAsSigned);
    assert!(log.reductions(&[LONG], Tier::Roots, early).is_ok());
    let memory = MemoryLog::new();
    let why = Irreducible::Memory;
    assert_eq!(
        memory.reductions(&[LONG], Tier::Leaves, now),
        Err(LogError::Irreducible { stream: LONG, why })
    );
}

fn segments(image: &Image) -> Vec<PathBuf> {
    image.keys().filter(|path| path.extension().is_some_and(|e| e == "seg")).cloned().collect()
}

fn tampered(image: &Image, what: &str) -> What {
    let report = verdict(&SimDisk::from_image(image));
    let Verdict::Tampered(finding) = report.verdict else { panic!("{what}: {report}") };
    // A log that was opened at a snapshot looks at what lies before behind the work.
    let opened = open(&SimDisk::from_image(image)).and_then(|log| log.verify_rest());
    assert!(matches!(opened, Err(LogError::Damaged(_))), "{what} opens");
    finding.what
}

/// INVARIANT (A1): what is gone without a record that says so is tampering, and so is what comes back.
#[test]
fn a1_records_that_are_gone_without_a_purge_and_records_that_come_back_are_found() {
    let whole = lives().image();
    let reduced = |streams: &[StreamNo], tier| {
        let disk = SimDisk::from_image(&whole);
        let log = open(&disk).unwrap();
        // The same contents are purged in each.
        purge_contents(&log, &SESSIONS).unwrap();
        reduce(&log, streams, tier).unwrap();
        log.seal(Timestamp(6000)).unwrap();
        let image = disk.image();
        assert_eq!(verdict(&SimDisk::from_image(&image)).verdict, Verdict::Complete);
        image
    };
    let less = reduced(&[StreamNo(2)], Tier::Leaves);
    let more = [
        reduced(&[StreamNo(2), StreamNo(3)], Tier::Leaves),
        reduced(&[StreamNo(2)], Tier::Roots),
        reduced(&[StreamNo(7)], Tier::Leaves),
    ];
    let finished: Vec<PathBuf> =
        segments(&whole).into_iter().filter(|path| whole.get(path) != less.get(path)).collect();
    assert!(finished.len() >= 3, "{finished:?}");
    for path in segments(&less) {
        let mut without = less.clone();
        without.remove(&path);
        tampered(&without, "a segment is gone");
    }
    for path in &finished[..finished.len() - 1] {
        let back = with(&less, path, &whole);
        assert_eq!(tampered(&back, "a segment came back"), What::RecordsAgain, "{}", path.display());
        for (which, other) in more.iter().enumerate() {
            if other[path] != less[path] {
                let other = with(&less, path, other);
                let what = tampered(&other, "more is gone than was purged");
                let named =
                    matches!(what, What::Unpurged | What::ShortDigest | What::Parent | What::RecordsAgain);
                assert!(named || matches!(what, What::Commitment), "{which}: {what}");
            }
        }
    }
    // All of it back at once, as from a backup that somebody put under the new records.
    let mut back = less.clone();
    back.extend(finished[..finished.len() - 1].iter().map(|path| (path.clone(), whole[path].clone())));
    assert_eq!(tampered(&back, "all came back"), What::RecordsAgain);
    // The segments of the reduced trail under the records of the one that was not.
    for path in &finished[..finished.len() - 1] {
        let mut early = whole.clone();
        early.insert(path.clone(), less[path].clone());
        assert_eq!(tampered(&early, "nothing was purged"), What::Unpurged, "{}", path.display());
    }
    for path in &finished {
        let bytes = &less[path];
        for at in (0..bytes.len()).step_by(usize::try_from(deep(7, 1)).unwrap()) {
            let mut changed = less.clone();
            changed.get_mut(path).unwrap()[at] ^= 0x20;
            tampered(&changed, "a byte was changed");
        }
        for cut in [1, 20, bytes.len() / 2] {
            let mut changed = less.clone();
            changed.get_mut(path).unwrap().truncate(bytes.len() - cut);
            tampered(&changed, "it was cut");
            changed.get_mut(path).unwrap().extend([0; 9]);
            tampered(&changed, "it was lengthened");
        }
    }
}

/// The files, with one of them from another trail.
fn with(image: &Image, path: &Path, from: &Image) -> Image {
    let mut image = image.clone();
    image.insert(path.to_owned(), from[path].clone());
    image
}

/// INVARIANT (C2): interrupted at any step, a reduction never began, or goes on when the log is opened.
#[test]
fn c2_a_reduction_interrupted_at_any_step_goes_on_or_never_began() {
    let whole = lives().image();
    let run = |disk: &SimDisk, tier| {
        let log = open(disk)?;
        reduce(&log, &[StreamNo(2), LONG], tier)?;
        log.seal(Timestamp(6000)).map(drop)
    };
    let before = Before::of(&SimDisk::from_image(&whole));
    let mut resumed = [0, 0];
    for tier in [Tier::Leaves, Tier::Roots] {
        let steps = {
            let disk = SimDisk::from_image(&whole);
            run(&disk, tier).unwrap();
            disk.steps()
        };
        assert!(steps > 60);
        let seeds = deep(2, 40);
        for (step, seed) in (0..steps).flat_map(|step| (0..seeds).map(move |seed| (step, seed))) {
            let what = format!("{tier}, step {step}, seed {seed}");
            let disk = SimDisk::from_image(&whole);
            disk.fail_at(step, if seed % 2 == 0 { Fail::Forever } else { Fail::Once });
            run(&disk, tier).unwrap_err();
            let disk = disk.crash(&mut Dice(step * 100 + seed));
            let report = verdict(&disk);
            assert!(!matches!(report.verdict, Verdict::Tampered(_)), "{what}: {report}");
            let mut begun = false;
            verify_against(&disk, Path::new(DIR), &[], &mut |entry| {
                begun |= matches!(entry.kind, Kind::Reduce(_));
            })
            .unwrap();
            // It may fail once more while it goes on.
            if seed > 0 {
                disk.fail_at(seed * 5, Fail::Forever);
                if let Ok(log) = open(&disk) {
                    let _ = log.seal(Timestamp(6500));
                }
            }
            let disk = if seed > 0 { disk.crash(&mut Dice(seed)) } else { disk };
            let report = verdict(&disk);
            assert!(!matches!(report.verdict, Verdict::Tampered(_)), "{what}, again: {report}");
            let log = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
            log.seal(Timestamp(7000)).unwrap();
            let report = verdict(&disk);
            assert_eq!(report.verdict, Verdict::Complete, "{what}: {report}");
            assert_eq!(report.gone.sessions, if begun { 2 } else { 0 }, "{what}: {report}");
            let reduced = if begun { BTreeSet::from([StreamNo(2), LONG]) } else { BTreeSet::new() };
            if step % 5 == 0 && seed == 1 {
                before.a3_holds(&disk, &reduced, &what);
            }
            resumed[usize::from(begun)] += 1;
        }
    }
    assert!(resumed.iter().all(|count| *count > 20), "{resumed:?}");
}

/// What a session of ten thousand records takes, in bytes: all of it, the hashes, and the roots.
#[test]
fn the_less_is_left_the_smaller_the_folder() {
    let mut sizes = vec![];
    for tiers in [&[][..], &[Tier::Leaves], &[Tier::Roots], &[Tier::Leaves, Tier::Roots]] {
        let disk = SimDisk::default();
        let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 200_000)).unwrap();
        for n in 0u64..100 {
            log.append(&[], Timestamp(n), &mut |batch| {
                let stream = if n == 0 { batch.genesis("large", |_| {})?.0 } else { StreamNo(2) };
                for record in 0..100 {
                    batch.push(stream, &[], |body| body.extend([record; 120]))?;
                }
                if n == 99 { batch.close(stream).map(drop) } else { Ok(()) }
            })
            .unwrap();
        }
        log.sync(Lsn(u64::MAX)).unwrap();
        let whole = verdict(&disk).streams[2].clone();
        for tier in tiers {
            reduce(&log, &[StreamNo(2)], *tier).unwrap();
        }
        log.seal(Timestamp(200)).unwrap();
        let report = verdict(&disk);
        assert_eq!(report.verdict, Verdict::Complete);
        assert_eq!((report.streams[2].root, report.streams[2].length), (whole.root, whole.length));
        sizes.push(disk.image().values().map(Vec::len).sum::<usize>());
    }
    let [all, leaves, roots, both] = sizes[..] else { panic!("{sizes:?}") };
    println!("{all} bytes, {leaves} with the hashes alone, {roots} with the roots alone");
    assert!(leaves * 4 < all && roots * 100 < all && both < roots + 1000, "{sizes:?}");
}

/// Whoever verifies while a writer reduces sees no alarm.
#[test]
fn a_reduction_under_the_eyes_of_a_verifier_raises_no_alarm() {
    let whole = lives().image();
    for round in 0..deep(6, 100) {
        let disk = SimDisk::from_image(&whole);
        let log = open(&disk).unwrap();
        purge_contents(&log, &SESSIONS).unwrap();
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                for stream in SESSIONS {
                    let tier =
                        if (u64::from(stream.0) + round) % 2 == 0 { Tier::Leaves } else { Tier::Roots };
                    reduce(&log, &[stream], tier).unwrap();
                }
            });
            let mut seen = 0;
            while !writing.is_finished() || seen == 0 {
                let report = verdict(&disk);
                assert!(!matches!(report.verdict, Verdict::Tampered(_)), "round {round}: {report}");
                seen += 1;
            }
        });
        log.seal(Timestamp(9000)).unwrap();
        let report = verdict(&disk);
        assert_eq!((&report.verdict, report.gone.sessions), (&Verdict::Complete, 7), "{report}");
    }
}
