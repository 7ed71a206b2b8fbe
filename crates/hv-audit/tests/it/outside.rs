//! Whoever can write to the folder, and has the log's own key, rewrites the log so that it agrees with itself: what
//! was kept outside finds it out, and names the record.

use crate::deep;
use crate::sim::{Dice, Image, SimDisk};
use crate::trail::{DIR, options};
use hv_audit::{
    Ends, Entry, FileLog, Log, LogError, Lsn, Outside, Prints, Rank, Report, StreamNo, Transcript, Verdict,
    What, Why, verify_against,
};
use hv_types::{Digest, Timestamp};
use std::path::Path;

/// What a writer does, so that somebody else can do nearly the same.
#[derive(Debug, Clone, PartialEq)]
enum Op {
    Open(u8),
    Push(usize, Vec<u8>),
    Close(usize),
}

/// Batches, each with its time; one without operations ends the log, and it is opened again.
type Work = Vec<(u64, Vec<Op>)>;

fn honest(dice: &mut Dice, batches: u64) -> Work {
    let (mut work, mut opened, mut now) = (vec![(5, vec![Op::Open(0)])], 1, 5);
    for n in 1..batches {
        now += dice.below(4);
        let count = 1 + dice.below(3);
        let ops = (0..count).map(|_| match dice.below(12) {
            0 => {
                opened += 1;
                Op::Open(u8::try_from(dice.below(200)).unwrap())
            }
            1 => Op::Close(usize::try_from(dice.below(opened)).unwrap() + 2),
            _ => {
                let length = usize::try_from(dice.below(30)).unwrap();
                let stream = usize::try_from(dice.below(opened + 2)).unwrap();
                Op::Push(stream, (0..length).map(|_| u8::try_from(dice.below(256)).unwrap()).collect())
            }
        });
        let ops = if n % 17 == 16 { vec![] } else { ops.collect() };
        work.push((now, ops));
    }
    work
}

/// Does the work with correct hashes, checksums and marks; what cannot be done is left out.
fn write(work: &Work) -> SimDisk {
    let disk = SimDisk::default();
    let mut log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, 900)).unwrap();
    for (now, ops) in work {
        if ops.is_empty() {
            log.seal(Timestamp(*now)).unwrap();
            drop(log);
            log = FileLog::open(Path::new(DIR), Timestamp(*now), options(&disk, 900)).unwrap();
            continue;
        }
        let possible: Vec<&Op> = ops.iter().filter(|op| is_possible(&log, op)).collect();
        let mut closed = vec![];
        let done = log.append(&[], Timestamp(*now), &mut |batch| {
            for op in &possible {
                let number = |at: usize| StreamNo(u32::try_from(at).unwrap());
                match op {
                    Op::Open(label) => drop(batch.genesis(&format!("s{label}"), |_| {})?),
                    Op::Push(at, body) if !closed.contains(at) => {
                        batch.push(number(*at), &[], |out| out.extend(body)).map(drop)?;
                    }
                    Op::Close(at) if !closed.contains(at) => {
                        closed.push(*at);
                        batch.close(number(*at)).map(drop)?;
                    }
                    Op::Push(..) | Op::Close(_) => {}
                }
            }
            Ok(())
        });
        match done {
            Ok(lsn) => log.sync(lsn).unwrap(),
            Err(LogError::Empty) => {}
            Err(error) => panic!("{error}"),
        }
    }
    log.sync(Lsn(u64::MAX)).ok();
    drop(log);
    disk
}

fn is_possible(log: &FileLog, op: &Op) -> bool {
    match op {
        Op::Open(_) => true,
        Op::Push(at, _) | Op::Close(at) => log.head(StreamNo(u32::try_from(*at).unwrap())).is_some(),
    }
}

/// All records, as far as they are told apart.
fn records(disk: &SimDisk) -> (Report, Vec<(Digest, StreamNo, u64, Lsn)>) {
    let mut seen = vec![];
    let report = verify_against(disk, Path::new(DIR), &[], &mut |entry: Entry<'_>| {
        seen.push((entry.hash, entry.stream, entry.seq, entry.lsn));
    });
    (report.unwrap(), seen)
}

/// What somebody keeps elsewhere.
struct Kept {
    size: u64,
    root: Digest,
    prints: Prints,
    reach: Lsn,
}

impl Kept {
    fn of(disk: &SimDisk) -> Self {
        let (report, read) = Transcript::read_on(disk, Path::new(DIR), &mut |_| false).unwrap();
        assert!(!matches!(report.verdict, Verdict::Tampered(_)), "{report}");
        let (size, root) = (read.size(), read.root(read.size()).unwrap());
        let stored = read.prints(size, None).unwrap().to_file();
        let prints = Prints::from_file(&stored).unwrap();
        Self { size, root, prints, reach: read.reach(size) }
    }

    fn verify(&self, disk: &SimDisk) -> Report {
        let Self { size, root, ref prints, .. } = *self;
        let outside = Outside { rank: Rank::Signed, size, root, ends: None, prints: Some(prints) };
        verify_against(disk, Path::new(DIR), &[outside], &mut |_| {}).unwrap()
    }
}

/// Changes the work as an enemy does.
fn change(dice: &mut Dice, work: &Work) -> Work {
    let mut other = work.clone();
    let any = |dice: &mut Dice| usize::try_from(dice.below(work.len() as u64)).unwrap();
    let at = any(dice);
    let stream = usize::try_from(dice.below(5)).unwrap();
    match dice.below(9) {
        // Edit.
        0 | 1 => {
            for op in &mut other[at].1 {
                if let Op::Push(_, body) = op {
                    body.push(1);
                }
            }
        }
        // Delete a record, or a batch.
        2 => {
            other[at].1.pop();
        }
        3 => drop(other.remove(at.max(1))),
        // Insert.
        4 => other[at].1.insert(0, Op::Push(stream, vec![9])),
        // Reorder.
        5 => {
            let with = any(dice).max(1);
            other.swap(at.max(1), with);
        }
        // Truncate: everything from there on never was.
        6 => other.truncate(at.max(1)),
        // Splice the end of another log in.
        7 => {
            let foreign = honest(&mut Dice(dice.roll()), work.len() as u64);
            other.splice(at.max(1).., foreign.into_iter().skip(at.max(1)));
        }
        // Back-date, or post-date.
        _ => {
            let by = dice.below(3);
            other[at].0 = if dice.below(2) == 0 { other[at].0.saturating_sub(by) } else { other[at].0 + by };
        }
    }
    other
}

/// Every change at or below what was kept outside is found and named; above it, the level says how far it reaches.
#[test]
fn a1_a_log_that_was_rewritten_as_a_whole_is_found_out_and_the_record_is_named() {
    let mut dice = Dice(2026);
    let (mut found, mut above, mut same) = (0u64, 0u64, 0u64);
    let logs = deep(20, 200);
    for _ in 0..logs {
        let batches = 12 + dice.below(30);
        let mut work = honest(&mut dice, batches);
        let keep_at = usize::try_from(1 + dice.below(work.len() as u64)).unwrap();
        // Most are kept where the log was ended: there the reach is everything.
        if dice.below(3) > 0 {
            work.insert(keep_at, (work[keep_at - 1].0, vec![]));
        }
        let kept = Kept::of(&write(&work[..(keep_at + 1).min(work.len())].to_vec()));
        let real = write(&work);
        let (report, original) = records(&real);
        assert!(!matches!(report.verdict, Verdict::Tampered(_)));
        let level = kept.verify(&real).level;
        assert_eq!((level.outside[0].lsn, level.outside[0].size), (kept.reach, kept.size));
        for _ in 0..deep(500, 5000) {
            let forged = write(&change(&mut dice, &work));
            let (alone, records) = records(&forged);
            assert!(!matches!(alone.verdict, Verdict::Tampered(_)), "the forger makes it agree with itself");
            let report = kept.verify(&forged);
            let first = original.iter().zip(&records).find(|(a, b)| a.0 != b.0).map(|(_, b)| *b);
            // Where the forged log only lacks the end, the first that is missing is named by its absence.
            let first_lsn = first.map(|(_, _, _, lsn)| lsn).or_else(|| {
                let missing = original.get(records.len()).map(|(_, _, _, lsn)| *lsn);
                missing.or_else(|| records.get(original.len()).map(|(_, _, _, lsn)| *lsn))
            });
            match first_lsn {
                Some(lsn) if lsn <= kept.reach => {
                    let Verdict::Tampered(finding) = report.verdict else { panic!("not found: {report}") };
                    let here = first.map(|(_, stream, seq, lsn)| (stream, seq, lsn));
                    let named = finding.stream.zip(finding.record).zip(finding.lsn);
                    assert_eq!(named.map(|((stream, seq), lsn)| (stream, seq, lsn)), here, "{finding}");
                    assert!(!finding.file.as_os_str().is_empty() && finding.offset > 0, "{finding}");
                    assert!(matches!(finding.what, What::NotAsSigned { .. } | What::BelowSigned { .. }));
                    found += 1;
                }
                Some(_) => {
                    // What was changed lies above: whatever is said holds up to the reach, and not further.
                    if let [held] = report.level.outside.as_slice() {
                        assert_eq!(held.lsn, kept.reach, "{report}");
                    } else {
                        assert!(matches!(report.verdict, Verdict::Tampered(_)), "{report}");
                    }
                    above += 1;
                }
                None => same += 1,
            }
        }
    }
    println!("{found} found and named, {above} above what was kept, {same} changed nothing");
    let all = found + above + same;
    assert!(found > all / 4 && above > all / 50, "{found} {above} {same}");
}

/// An old state of the folder is played back: it agrees with itself, and was honest once.
#[test]
fn a1_an_old_state_of_the_folder_is_found_out() {
    let mut dice = Dice(7);
    let work = honest(&mut dice, 34);
    let states: Vec<Image> = (1..work.len()).map(|end| write(&work[..end].to_vec()).image()).collect();
    let kept = Kept::of(&write(&work));
    for state in &states {
        let disk = SimDisk::from_image(state);
        let (alone, records) = records(&disk);
        assert!(!matches!(alone.verdict, Verdict::Tampered(_)));
        let report = kept.verify(&disk);
        match report.verdict {
            Verdict::Tampered(finding) => {
                assert!(matches!(finding.what, What::BelowSigned { .. }), "{finding}");
                assert!(!finding.file.as_os_str().is_empty());
            }
            // Only what stands above the reach is missing.
            _ => assert!(records.iter().all(|(_, _, _, lsn)| lsn.0 > 0) && alone.batches >= kept.reach.0),
        }
    }
}

/// Whatever honest writers add later, what was kept holds; and whatever a crash leaves of what they wrote since.
#[test]
fn no_honest_log_is_called_rewritten() {
    let mut dice = Dice(99);
    let (mut logs, mut cuts) = (0, 0);
    let enough = deep(280, 100_000);
    while logs < enough || cuts < enough {
        let batches = 5 + dice.below(30);
        let work = honest(&mut dice, batches);
        let end = usize::try_from(1 + dice.below(work.len() as u64)).unwrap();
        let kept = Kept::of(&write(&work[..end].to_vec()));
        let disk = write(&work);
        let report = kept.verify(&disk);
        assert!(!matches!(report.verdict, Verdict::Tampered(_)), "{report}");
        assert_eq!(report.level.outside[0].lsn, kept.reach);
        // A crash takes nothing that was synced, and all of it was.
        let report = kept.verify(&disk.crash(&mut dice));
        assert!(!matches!(report.verdict, Verdict::Tampered(_)), "{report}");
        // A write above the mark that was torn and never acknowledged.
        let mut image = disk.image();
        let last = image.keys().rfind(|path| path.extension().is_some_and(|e| e == "seg")).cloned().unwrap();
        let bytes = image.get_mut(&last).unwrap();
        // The last record may end in zeros: its body has 30 bytes at most.
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 31;
        let torn = usize::try_from(dice.below(40)).unwrap();
        if matches!(report.verdict, Verdict::Open(Why::NotEnded { .. })) && bytes.len() > used + 41 {
            bytes[used..used + torn]
                .iter_mut()
                .for_each(|byte| *byte = u8::try_from(dice.below(256)).unwrap());
            let report = kept.verify(&SimDisk::from_image(&image));
            assert!(!matches!(report.verdict, Verdict::Tampered(_)), "{report}");
            cuts += 1;
        }
        (logs, cuts) = (logs + 2, cuts + 1);
    }
    println!("{logs} clean logs and {cuts} crash cuts, no false alarm");
}

/// Without anything to tell where, the change is found all the same, and no place is made up.
#[test]
fn without_prints_a_rewritten_log_is_found_out_and_no_record_is_named() {
    let work = honest(&mut Dice(3), 20);
    let mut sealed = work.clone();
    sealed.push((1000, vec![]));
    let kept = Kept::of(&write(&sealed));
    let mut changed = sealed;
    changed[3].1.push(Op::Push(1, vec![1]));
    let disk = write(&changed);
    let outside =
        Outside { rank: Rank::Witnessed, size: kept.size, root: kept.root, ends: None, prints: None };
    let report = verify_against(&disk, Path::new(DIR), &[outside], &mut |_| {}).unwrap();
    let Verdict::Tampered(finding) = report.verdict else { panic!("{report}") };
    assert_eq!(
        (finding.stream, finding.record, finding.what),
        (None, None, What::NotAsSigned { size: kept.size })
    );
    assert!(report.level.outside.is_empty());
}

/// Levels are told from the strongest to the weakest, each with how far it reaches.
#[test]
fn levels_say_how_far_they_reach() {
    let mut work = honest(&mut Dice(5), 14);
    work.push((500, vec![]));
    let early = Kept::of(&write(&work));
    work.push((600, vec![Op::Push(1, vec![1])]));
    work.push((700, vec![]));
    let late = Kept::of(&write(&work));
    let disk = write(&work);
    let all = [
        Outside { rank: Rank::Signed, size: early.size, root: early.root, ends: None, prints: None },
        Outside { rank: Rank::Witnessed, size: early.size, root: early.root, ends: None, prints: None },
        Outside { rank: Rank::Signed, size: late.size, root: late.root, ends: None, prints: None },
    ];
    let report = verify_against(&disk, Path::new(DIR), &all, &mut |_| {}).unwrap();
    let (early, late, end) = (early.reach, late.reach, report.level.lsn);
    assert_eq!(
        report.level.to_string(),
        format!(
            "L2, witnessed, up to batch {early}; L1, signed outside the folder, up to batch {late}; \
             L0, self-consistent, consistent up to batch {end}"
        )
    );
}

/// Where a log goes on, a checkpoint that says where its streams end speaks for all of it, open sessions too; without
/// that it does not.
#[test]
fn a1_ends_speak_for_what_no_record_commits_to_yet() {
    let mut dice = Dice(23);
    let (mut found, mut same) = (0, 0);
    for _ in 0..deep(60, 3000) {
        let mut work = honest(&mut dice, 16);
        // Something that only the ends can know.
        work.push((900, vec![Op::Push(1, vec![1, 2, 3])]));
        let disk = write(&work);
        let (_, read) = Transcript::read_on(&disk, Path::new(DIR), &mut |_| false).unwrap();
        let mark = read.mark("log").unwrap();
        let ends = Ends::of_lines(&mark.extension).unwrap();
        assert_eq!(ends, read.ends().unwrap());
        let prints = read.prints(mark.size, Some(ends)).unwrap();
        let (size, root) = (mark.size, mark.root);
        let outside = Outside { rank: Rank::Signed, size, root, ends: Some(ends), prints: Some(&prints) };
        let verify =
            |disk: &SimDisk, outside| verify_against(disk, Path::new(DIR), &[outside], &mut |_| {}).unwrap();
        let report = verify(&disk, outside);
        assert_eq!(report.level.outside[0].lsn, report.level.lsn, "{report}");
        // What comes later changes nothing about that.
        let mut more = work.clone();
        more.push((901, vec![Op::Push(0, vec![1]), Op::Push(1, vec![2])]));
        assert_eq!(verify(&write(&more), outside).level.outside[0].lsn, ends.lsn);
        let changed = write(&change(&mut dice, &work));
        let (_, was) = records(&disk);
        let (_, is) = records(&changed);
        let report = verify(&changed, outside);
        if was.iter().zip(&is).all(|(was, is)| was == is) && is.len() >= was.len() {
            same += 1;
            continue;
        }
        let Verdict::Tampered(finding) = &report.verdict else { panic!("{report}") };
        let first = was.iter().zip(&is).position(|(was, is)| was.0 != is.0);
        if let Some(first) = first {
            let (_, stream, seq, _) = is[first];
            assert_eq!((finding.stream, finding.record), (Some(stream), Some(seq)), "{finding}");
        }
        found += 1;
    }
    assert!(found > same, "{found} {same}");
}

/// A line about ends has one form, and of several none counts.
#[test]
fn ends_are_one_line() {
    let ends = Ends { lsn: Lsn(7), digest: Digest([1; 32]) };
    let line = ends.to_line();
    assert_eq!(line, "hv-ends 7 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n");
    assert_eq!(Ends::of_lines(&line), Some(ends));
    assert_eq!(Ends::of_lines(&format!("other line\n{line}")), Some(ends));
    for bad in
        ["", "hv-ends 7\n", "hv-ends 07 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n", "hv-ends 7 AQE=\n"]
    {
        assert_eq!(Ends::of_lines(bad), None, "{bad}");
    }
    assert_eq!(Ends::of_lines(&line.repeat(2)), None);
}
