//! The trail that a kill leaves, cut at many places: open or tampered, never complete, and what was acknowledged is
//! never missing from what is called open.

use crate::scene::{change, file, image, look, ran, said, scene, sh, spawn, trail, wait_for};
use crate::support::{Run, hv};
use hv_audit::{Verdict, verify};
use hv_core::TrailEvent;
use hv_core::event::SessionEvent;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// A run of eight small steps that was killed after so many of them.
fn killed_after(steps: usize) -> Run {
    let line = |n: usize| sh(&format!("echo {n} >> LOG; echo said {n}"));
    let all = (0..8).map(|n| change(&format!("step-{n}"), line(n), sh("true"))).collect();
    let run = scene(&file(0.9, all));
    let mut child = spawn(&mut run.start());
    wait_for("the steps", || done(&run) >= steps);
    child.kill().unwrap();
    child.wait().unwrap();
    // A step's program outlives hv, and what it does is counted below.
    wait_for("the last step", || nobody_works(&run));
    run
}

/// Whether no program of a step is at work: a process that has the arguments of `hv run` until it becomes the program, and
/// that program's folder from before then on.
fn nobody_works(run: &Run) -> bool {
    let work = run.work().canonicalize().unwrap();
    let folder = run.folder.path().as_os_str().as_encoded_bytes();
    let works = |process: std::fs::DirEntry| {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        arguments.windows(folder.len()).any(|piece| piece == folder)
            || std::fs::read_link(process.path().join("cwd")).is_ok_and(|place| place.starts_with(&work))
    };
    !std::fs::read_dir("/proc").unwrap().flatten().any(works)
}

/// Steps whose effect is there.
fn done(run: &Run) -> usize {
    std::fs::read_to_string(run.work().join("LOG")).unwrap_or_default().lines().count()
}

/// Up to where the trail's mark says that it is durable: the batch, and where in the segment it ends. Read as
/// docs/FORMATS.md has it, with other eyes than the program's.
fn mark(data: &Path) -> (u64, u64) {
    let bytes = std::fs::read(data.join("mark")).unwrap();
    let number = |slot: &[u8], at: usize| u64::from_le_bytes(slot[at..at + 8].try_into().unwrap());
    let newest = bytes.chunks(512).max_by_key(|slot| number(slot, 16)).unwrap();
    (number(newest, 40), number(newest, 56))
}

/// The folder again, somewhere else.
fn copy(data: &Path, to: &Path) -> PathBuf {
    let to = to.join("copy");
    for (path, bytes) in image(data) {
        let there = to.join(path.strip_prefix(data).unwrap());
        std::fs::create_dir_all(there.parent().unwrap()).unwrap();
        std::fs::write(there, bytes).unwrap();
    }
    to
}

#[test]
fn c2_an_unfinished_trail_cut_anywhere_is_never_complete_and_loses_nothing_below_the_mark() {
    for steps in [1, 6] {
        let run = killed_after(steps);
        let (durable, end) = mark(&run.data());
        let records = trail(&run.data());
        let below = records.iter().filter(|record| record.lsn.0 <= durable).count() as u64;
        let granted =
            records.iter().filter(|record| record.lsn.0 <= durable).flat_map(|record| &record.events);
        let granted = granted.filter(|event| {
            matches!(event, TrailEvent::Session(event) if matches!(**event, SessionEvent::Granted { .. }))
        });
        assert!(granted.count() >= done(&run), "C1: what was done had its grant below the mark");

        let copied = copy(&run.data(), run.folder.path());
        let segment = copied.join("00000000.seg");
        let whole = std::fs::read(&segment).unwrap();
        let used = whole.iter().rposition(|&byte| byte != 0).unwrap() as u64 + 1;
        assert!(end > 1000 && end <= used, "there is something to cut: {end} of {used}");
        let stride = if std::env::var_os("HV_DEEP").is_some() { 1 } else { 23 };
        let near = |cut: &u64| cut.abs_diff(end) < 24 || cut.abs_diff(used) < 24 || *cut < 24;
        let cuts = (0..used + 24).filter(|cut| near(cut) || cut % stride == 0);
        let (mut open, mut tampered) = (0, 0);
        for (cut, zeros) in cuts.flat_map(|cut| [(cut, false), (cut, true)]) {
            let file = OpenOptions::new().write(true).create(true).truncate(true).open(&segment).unwrap();
            std::io::Write::write_all(&mut &file, &whole[..cut as usize]).unwrap();
            if zeros {
                file.set_len(used + 64).unwrap();
            }
            let report = verify(&copied).unwrap();
            let context = format!("{steps} steps, cut at {cut}, zeros {zeros}: {report}");
            match &report.verdict {
                Verdict::Complete => panic!("{context}"),
                Verdict::Open(_) => {
                    assert!(cut >= end, "{context}: what was acknowledged is missing");
                    assert!(report.batches >= durable && report.records >= below, "{context}");
                    open += 1;
                }
                Verdict::Tampered(finding) => {
                    assert!(cut < end, "{context}: a crash can leave this");
                    assert_eq!(finding.file, Path::new("00000000.seg"), "{context}");
                    tampered += 1;
                }
            }
        }
        assert!(open > 24 && tampered > 24, "{open} open, {tampered} tampered");
    }
}

#[test]
fn a_trail_cut_below_its_mark_is_not_resumed_and_nothing_is_run() {
    let run = killed_after(3);
    let (_, end) = mark(&run.data());
    let segment = run.data().join("00000000.seg");
    OpenOptions::new().write(true).open(&segment).unwrap().set_len(end - 1).unwrap();
    let (before, work) = (image(&run.data()), done(&run));
    let output = ran(&mut run.resume());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("00000000.seg"), "{}", said(&output));
    assert_eq!(done(&run), work, "nothing is run: {}", said(&output));
    let after = image(&run.data());
    let names = |image: &[(PathBuf, Vec<u8>)]| image.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before), "{}", said(&output));
    let other = before.iter().zip(&after).find(|(before, after)| before != after);
    assert!(other.is_none(), "{:?} is another: {}", other.map(|(before, _)| &before.0), said(&output));
    let verified = run.verify();
    assert_eq!(verified.status.code(), Some(1));
    assert_eq!(
        hv().args(["audit", "verify", "--sealed"]).arg(run.data()).output().unwrap().status.code(),
        Some(1)
    );
}

#[test]
fn what_a_crash_tore_is_kept_and_the_run_goes_on() {
    let run = killed_after(3);
    let segment = run.data().join("00000000.seg");
    let (_, end) = mark(&run.data());
    let mut bytes = std::fs::read(&segment).unwrap();
    // Half a batch, as a write leaves it that the power cut.
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    let from = usize::try_from(end).unwrap().max(used);
    let piece = bytes[200..260].to_vec();
    bytes[from..from + piece.len()].copy_from_slice(&piece);
    std::fs::write(&segment, bytes).unwrap();
    assert!(matches!(verify(&run.data()).unwrap().verdict, Verdict::Open(_)));
    let verified = run.verify();
    assert_eq!(verified.status.code(), Some(0), "open is no failure: {}", said(&verified));
    assert_eq!(
        hv().args(["audit", "verify", "--sealed"]).arg(run.data()).output().unwrap().status.code(),
        Some(1)
    );
    let output = ran(&mut run.resume());
    // The step in the middle was in doubt and is undone, or nothing was.
    assert!([0, 3].contains(&output.status.code().unwrap()), "{}", said(&output));
    assert_eq!(verify(&run.data()).unwrap().verdict, Verdict::Complete);
    let kept =
        image(&run.data()).into_iter().any(|(_, bytes)| bytes.windows(piece.len()).any(|w| w == piece));
    assert!(kept, "what was torn is in quarantine, not gone");
}

#[test]
fn reading_a_trail_while_it_is_written_finds_it_open() {
    let slow = (0..5).map(|n| change(&format!("step-{n}"), sh("sleep 0.1; echo x >> LOG"), sh("true")));
    let run = scene(&file(0.9, slow.chain([look("last", sh("true"))]).collect()));
    let mut child = spawn(&mut run.start());
    wait_for("the first step", || done(&run) > 0);
    let mut seen = 0;
    while child.try_wait().unwrap().is_none() {
        let report = verify(&run.data()).unwrap();
        match report.verdict {
            Verdict::Open(_) => seen += 1,
            // It may end between the question and the look.
            Verdict::Complete => {}
            Verdict::Tampered(finding) => panic!("{finding}"),
        }
    }
    assert!(seen > 3, "{seen}");
    assert!(child.wait().unwrap().success());
    assert_eq!(verify(&run.data()).unwrap().verdict, Verdict::Complete);
}

/// Whoever watches a run that nobody drives any more is told so, and not before.
#[test]
fn who_watches_a_run_that_nobody_drives_is_told() {
    let run = scene(&file(0.85, vec![look("long", sh("touch BEGUN; sleep 20"))]));
    let mut driver = spawn(&mut run.start());
    wait_for("the step to begin", || run.work().join("BEGUN").exists());
    let heard = run.folder.path().join("heard");
    let mut watch = hv();
    watch.args(["saga", "watch"]).arg(run.data()).stdout(Stdio::null());
    let mut watch = watch.stderr(std::fs::File::create(&heard).unwrap()).spawn().unwrap();
    let hint = || std::fs::read_to_string(&heard).unwrap();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(hint(), "", "somebody drives it");
    driver.kill().unwrap();
    driver.wait().unwrap();
    wait_for("the hint", || {
        hint().contains("nobody drives this run at the moment; `hv run --resume --data ")
    });
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert_eq!(hint().lines().count(), 1);
}
