//! Following a log while it is opened: the same records as replaying it, and nothing that was not checked counts.

use crate::sim::{Image, SimDisk};
use crate::trail::{DIR, finished, keep, options, unfinished, work};
use hv_audit::{Entry, FileLog, Follow, Kept, Log, LogError, Lsn, StreamNo};
use hv_types::{Digest, Illegal, Timestamp};
use std::path::Path;

/// The batch of a snapshot and what it kept; records by batch, stream and hash.
type Snapshot = (Lsn, Vec<u8>);
type Records = Vec<(Lsn, StreamNo, Digest)>;

/// Where reading began, the records since, and what is refused.
#[derive(Default)]
struct Seen {
    begun: Vec<Option<Snapshot>>,
    records: Records,
    no_snapshot: bool,
    /// The record that is refused where reading began behind a snapshot, and where it did not, counted from 0.
    refuse: [Option<usize>; 2],
}

impl Follow for Seen {
    fn begin(&mut self, kept: Option<Kept<'_>>) -> bool {
        self.records.clear();
        self.begun.push(kept.map(|kept| (kept.lsn, kept.state.to_vec())));
        kept.is_none() || !self.no_snapshot
    }

    fn take(&mut self, entry: &Entry<'_>) -> Result<(), Illegal> {
        let whole = usize::from(self.begun.last().unwrap().is_none());
        let refused = self.refuse[whole] == Some(self.records.len());
        self.records.push((entry.lsn, entry.stream, entry.hash));
        if refused { Err(Illegal::new("a test refuses it")) } else { Ok(()) }
    }
}

fn follow(image: &Image, snapshots: bool, seen: &mut Seen) -> Result<FileLog, LogError> {
    let options = options(&SimDisk::from_image(image), 1500);
    let options = if snapshots { options } else { options.without_snapshots() };
    FileLog::open_following(Path::new(DIR), Timestamp(5000), options, seen)
}

/// What a plain opening begins with, and all records behind that which were there before it.
fn plainly(image: &Image, snapshots: bool) -> (Option<Snapshot>, Records) {
    let options = options(&SimDisk::from_image(image), 1500);
    let options = if snapshots { options } else { options.without_snapshots() };
    let log = FileLog::open(Path::new(DIR), Timestamp(5000), options).unwrap();
    let (opening, state) = log.opening();
    let mut records = Vec::new();
    log.replay_rest(&mut |entry| {
        if entry.time < Timestamp(5000) {
            records.push((entry.lsn, entry.stream, entry.hash));
        }
        Ok(())
    })
    .unwrap();
    (opening.snapshot.zip(state), records)
}

#[test]
fn whoever_follows_is_shown_what_a_replay_shows() {
    for image in [finished(), unfinished()] {
        for snapshots in [true, false] {
            let mut seen = Seen::default();
            let log = follow(&image, snapshots, &mut seen).unwrap();
            let (kept, records) = plainly(&image, snapshots);
            assert_eq!(kept.is_some(), snapshots);
            assert_eq!(log.opening().1, None, "whoever follows has it");
            assert_eq!(log.opening().0.snapshot, kept.as_ref().map(|(lsn, _)| *lsn));
            assert_eq!(seen.begun, [kept]);
            assert!(seen.records.len() > 1, "{}", seen.records.len());
            assert!(seen.records == records, "{} and {}", seen.records.len(), records.len());
            log.verify_rest().unwrap();
            log.seal(Timestamp(9000)).unwrap();
        }
    }
}

#[test]
fn a_snapshot_that_leads_nowhere_is_left_for_the_whole_log() {
    let image = finished();
    let (kept, behind) = plainly(&image, true);
    let (_, all) = plainly(&image, false);
    let last = behind.len() - 1;
    for (no_snapshot, refused) in [(true, None), (false, Some(0)), (false, Some(last))] {
        let mut seen = Seen { no_snapshot, refuse: [refused, None], ..Seen::default() };
        let log = follow(&image, true, &mut seen).unwrap();
        assert_eq!(seen.begun, [kept.clone(), None]);
        assert!(seen.records == all);
        assert_eq!(log.opening().0.snapshot, None);
        assert_eq!(log.opening().0.unusable.map(|unusable| unusable.lsn), kept.as_ref().map(|(lsn, _)| *lsn));
    }
}

/// The state in a snapshot's file is shown to nobody unless the log names just this file.
#[test]
fn nobody_begins_with_a_snapshot_that_is_not_the_one_that_was_kept() {
    let image = finished();
    let path = image.keys().find(|path| path.extension().is_some_and(|e| e == "snap")).cloned().unwrap();
    for at in 0..image[&path].len() {
        let mut image = image.clone();
        image.get_mut(&path).unwrap()[at] ^= 1;
        let mut seen = Seen::default();
        follow(&image, true, &mut seen).unwrap();
        assert_eq!(seen.begun, [None], "byte {at}");
    }
}

#[test]
fn what_is_refused_is_an_error_and_damage_behind_it_is_told_first() {
    let image = unfinished();
    let (_, all) = plainly(&image, false);
    for at in [0, all.len() / 2, all.len() - 1] {
        let mut seen = Seen { refuse: [None, Some(at)], ..Seen::default() };
        let refused = follow(&image, false, &mut seen).unwrap_err();
        let (lsn, stream, _) = all[at];
        assert!(
            matches!(refused, LogError::Illegal { lsn: l, stream: s, .. } if (l, s) == (lsn, stream)),
            "{refused}"
        );
        assert_eq!(seen.records.len(), at + 1, "nothing is shown behind what was refused");
    }
    // The first segment is finished, so nothing in the second is a tail.
    let path = Path::new(DIR).join("00000001.seg");
    let mut damaged = image.clone();
    damaged.get_mut(&path).unwrap()[200] ^= 1;
    let mut seen = Seen { refuse: [None, Some(0)], ..Seen::default() };
    let refused = follow(&damaged, false, &mut seen).unwrap_err();
    assert!(matches!(refused, LogError::Damaged(_)), "{refused}");
    assert_eq!(seen.records.len(), 1);
}

/// So long a segment is read ahead by a thread: every flipped byte of it is found as in a short one, and what is whole
/// is shown in order.
#[test]
fn a1_a_long_segment_is_read_as_a_short_one_is() {
    const LONG: u64 = 8 << 20;
    let disk = SimDisk::default();
    let log = FileLog::create(Path::new(DIR), Timestamp(1), options(&disk, LONG)).unwrap();
    for round in 0..60 {
        work(&log, 10 * round).unwrap();
        log.append(&[], Timestamp(10 * round), &mut |batch| {
            batch.push(StreamNo::LEDGER, &[], |body| body.resize(60_000, 7)).map(drop)
        })
        .unwrap();
    }
    let last = keep(&log, Timestamp(900)).unwrap();
    log.sync(last).unwrap();
    drop(log);
    let image = disk.image();
    let path = Path::new(DIR).join("00000000.seg");
    assert!(image[&path].len() > 3 << 20 && !image.contains_key(&Path::new(DIR).join("00000001.seg")));
    let open = |image: &Image, seen: &mut Seen| {
        let options = options(&SimDisk::from_image(image), LONG).without_snapshots();
        FileLog::open_following(Path::new(DIR), Timestamp(5000), options, seen)
    };
    let mut seen = Seen::default();
    let log = open(&image, &mut seen).unwrap();
    let mut replayed = Vec::new();
    log.replay(&mut |entry| {
        replayed.push((entry.lsn, entry.stream, entry.hash));
        Ok(())
    })
    .unwrap();
    // Opening it appended one record.
    replayed.pop();
    assert!(seen.records == replayed && replayed.len() > 600);
    // Refused in the middle, and read no further than that by whoever replays.
    let mut count = 0;
    let stopped = log.replay(&mut |_| {
        count += 1;
        if count == 300 { Err(Illegal::new("a test refuses it")) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(LogError::Illegal { .. })) && count == 300);
    drop(log);
    let used = image[&path].iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..used).step_by(160_009) {
        let mut image = image.clone();
        image.get_mut(&path).unwrap()[at] ^= 0x10;
        let error = open(&image, &mut Seen::default()).err();
        assert!(matches!(error, Some(LogError::Damaged(_))), "byte {at}: {error:?}");
    }
}
