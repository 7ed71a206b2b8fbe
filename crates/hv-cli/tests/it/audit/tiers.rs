//! `hv audit purge --tier`: records go, everything that was proven stays proven, and a node goes on as it was.

use super::files;
use super::outside::Desk;
use super::trails::{self, Stage, did};
use hv_core::audit::retention::Fate;
use hv_core::audit::{FileLog, FileOptions, LogError, Lsn, Tier, Transcript};
use hv_core::session::Expect;
use hv_core::types::{Digest, SessionId, Timestamp};
use hv_core::{Error, Hypervisor, ManualClock, Reason, ReduceRequest, entropy};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// 2001: whatever the clock of the machine says today, that is long ago.
const LONG_AGO: Timestamp = Timestamp(1_000_000_000_000_000_000);

const DAY: Duration = Duration::from_secs(86_400);

/// Two sessions in which nothing happened that has to be shown for ever, and one with a denial, a slash and more.
async fn sessions(stage: &Stage) {
    for name in ["plain", "other"] {
        stage.clock.advance(Duration::from_secs(3600));
        let session = stage.quiet(name).await;
        stage.rounds_by("clerk", &session, 12).await;
        let content = format!("what {name} wrote, in a file").into_bytes();
        stage.hv.write_file(&session, &did("clerk"), "plan", content, Expect::Absent).await.unwrap();
        stage.hv.note(&session, "note", b"a note".to_vec()).await.unwrap();
        stage.hv.terminate_session(&session).await.unwrap();
    }
    stage.clock.advance(Duration::from_secs(3600));
    let session = stage.session("evidence").await;
    stage.work(&session).await;
    stage.slash(&session).await;
    stage.hv.terminate_session(&session).await.unwrap();
}

async fn trail(dir: &Path) {
    let stage = Stage::since(dir, LONG_AGO);
    sessions(&stage).await;
    stage.hv.seal().await.unwrap();
}

#[tokio::test]
async fn records_go_and_what_was_proven_stays_proven() {
    let desk = Desk::new();
    let dir = desk.path("t");
    trail(&dir).await;
    desk.done("audit checkpoint t --key log.key --mark m");
    for (record, name) in [(0, "first"), (7, "some")] {
        let line = format!("audit prove t --session plain --record {record} --checkpoint m");
        desk.keep(name, &desk.done(&line));
    }
    desk.done("audit export t --to b.py --bundle --session plain --key log.key");
    let (_, before) = desk.json("audit verify t --mark m --key log.key");
    let bytes = |name: &str| files(&desk.path(name)).values().map(Vec::len).sum::<usize>();
    let whole = (files(&dir), bytes("t"));
    fs::create_dir(desk.path("kept")).unwrap();
    whole.0.iter().for_each(|(name, bytes)| {
        let to = desk.path("kept").join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    });
    let records = before["records"].as_u64().unwrap();

    let (code, would) = desk.json("audit purge t --tier leaves --mark m --key log.key --dry-run");
    assert_eq!((code, &would["evidence"], &would["contents"]), (0, &1.into(), &28.into()), "{would}");
    let named: Vec<&str> =
        would["sessions"].as_array().unwrap().iter().map(|s| s["session"].as_str().unwrap()).collect();
    assert_eq!(named, ["plain", "other"], "{would}");
    assert_eq!(files(&dir), whole.0, "a dry run changes nothing");

    let mut sizes = vec![whole.1];
    for tier in ["leaves", "roots"] {
        let (code, done) = desk.json(&format!("audit purge t --tier {tier} --mark m --key log.key"));
        assert_eq!((code, &done["sessions"]), (0, &would["sessions"]), "{done}");
        let (code, after) = desk.json("audit verify t --sealed --mark m --key log.key");
        assert_eq!((code, &after["verdict"]), (0, &"complete".into()), "{after}");
        assert_eq!(after["level"]["outside"], before["level"]["outside"], "the mark holds as far as it did");
        let rows = |document: &serde_json::Value| -> Vec<_> {
            let streams = document["streams"].as_array().unwrap().iter().skip(2);
            streams.map(|s| (s["label"].clone(), s["root"].clone(), s["length"].clone())).collect()
        };
        assert_eq!(rows(&after), rows(&before), "no root changes");
        let (leaves, roots) = (&after["gone"]["leaves"], &after["gone"]["roots"]);
        assert_eq!(after["gone"]["sessions"], 2);
        assert_eq!(roots.as_u64() > Some(0), tier == "roots", "{after}");
        assert_eq!(leaves.as_u64().unwrap() + roots.as_u64().unwrap(), done["records"].as_u64().unwrap());
        // What was taken out before holds, and against the trail as it is now.
        for proof in ["first", "some"] {
            desk.done(&format!("audit check {proof} --key log.key"));
        }
        desk.done("audit check b.py");
        let grown = format!("audit prove t --from {} --key log.key", before["level"]["outside"][0]["size"]);
        desk.keep("grown", &desk.done(&grown));
        desk.done("audit check grown --key log.key --old m");
        let (code, _, stderr) = desk.hv("audit prove t --session plain --record 7 --checkpoint m");
        assert!(code == 2 && stderr.contains("records of its session were purged"), "{code} {stderr}");
        let (code, _, stderr) = desk.hv("audit export t --to c.py --bundle --session plain --key log.key");
        assert!(code != 0 && stderr.contains("were purged"), "{code} {stderr}");
        assert!(!desk.path("c.py").exists());
        desk.done("audit export t --to e.py --bundle --session evidence --key log.key");
        fs::remove_file(desk.path("e.py")).unwrap();
        let shown = desk.done("audit show t");
        for words in [
            "the records of session plain, batches ",
            "session plain is purged; of 1 agent it",
            " purged; what was said there is vouched for",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
        // A copy from before has the same records as far as any are left, and none that are not known to be.
        for (line, verdict, gone) in [("kept t", "second_continues", 1), ("t kept", "first_continues", 0)] {
            let (code, compared) = desk.json(&format!("audit diff {line}"));
            assert_eq!((code, &compared["verdict"]), (0, &verdict.into()), "{line}: {compared}");
            assert_eq!(
                (&compared["common"], &compared["unknown"]),
                (&records.into(), &0.into()),
                "{compared}"
            );
            assert_eq!((&compared["gone"][gone], &compared["gone"][1 - gone]), (&done["records"], &0.into()));
        }
        let (code, compared) = desk.json("audit diff t t");
        assert_eq!((code, &compared["verdict"]), (0, &"same".into()), "{compared}");
        let told = desk.done("audit verify t");
        assert!(told.contains(&format!("purged: {} records of 2 sessions", done["records"])), "{told}");
        let counted = desk.done("audit stats t");
        assert!(
            counted.contains(&format!("{leaves} by their hash, {roots} by roots; 28 payloads purged")),
            "{counted}"
        );
        assert!(
            counted.contains("session plain (stream 2): ") && counted.contains("closed, its records purged")
        );
        // Once more, nothing is left to do.
        let (code, again) = desk.json(&format!("audit purge t --tier {tier} --mark m --key log.key"));
        assert_eq!((code, &again["records"], &again["reduced"]), (0, &0.into(), &2.into()), "{again}");
        let segments =
            files(&dir).into_iter().filter(|(name, _)| name.extension().is_some_and(|e| e == "seg"));
        sizes.push(segments.map(|(_, bytes)| bytes.len()).sum());
    }
    assert!(sizes.is_sorted_by(|more, less| less < more), "{sizes:?}");
    // Nothing of what the records said lies in a segment any more, but for what the node itself said.
    assert!(!files(&dir).values().any(|bytes| bytes.windows(8).any(|window| window == b"round-11")));
    // It goes on.
    trails::goes_on(&dir).await;
    let (code, after) = desk.json("audit verify t --sealed --mark m --key log.key");
    assert_eq!((code, &after["verdict"]), (0, &"complete".into()), "{after}");
}

#[tokio::test]
async fn what_is_not_vouched_for_outside_stays() {
    let desk = Desk::new();
    let dir = desk.path("t");
    trail(&dir).await;
    desk.done("audit checkpoint t --key log.key --mark m");
    let untouched = files(&dir);
    let line = "audit purge t --tier leaves";
    for (options, says) in [
        ("", "--mark"),
        ("--mark m", "--key"),
        ("--mark m --key new.key", "none of the known keys signed it"),
        ("--mark m --key log.key --again", "cannot be used with"),
        ("--mark m --key log.key --subject did:mesh:builder", "cannot be used with"),
    ] {
        let (code, _, stderr) = desk.hv(&format!("{line} {options}"));
        assert!(code == 2 && stderr.contains(says), "{options}: {code} {stderr}");
    }
    fs::copy(desk.path("m"), dir.join("m")).unwrap();
    let (code, _, stderr) = desk.hv(&format!("{line} --mark t/m --key log.key"));
    assert!(code == 2 && stderr.contains("vouches for nothing"), "{code} {stderr}");
    fs::remove_file(dir.join("m")).unwrap();
    // A mark of another trail with the same key.
    trails::of_many_sessions(&desk.path("o"), 3);
    desk.done("audit checkpoint o --key log.key --mark n");
    let (code, _, stderr) = desk.hv(&format!("{line} --mark n --key log.key"));
    assert!(code == 1 && stderr.contains("the log was rewritten"), "{code} {stderr}");
    assert_eq!(files(&dir), untouched);
    // What is on hold.
    let (code, _, stderr) = desk.hv("audit hold t add --session plain --reason case");
    assert_eq!(code, 0, "{stderr}");
    let (_, held) = desk.json(&format!("{line} --mark m --key log.key --dry-run"));
    assert_eq!((&held["held"], held["sessions"].as_array().unwrap().len()), (&1.into(), 1), "{held}");
    assert_eq!(desk.hv("audit hold t add --subject did:mesh:nobody --reason all").0, 0);
    let (_, held) = desk.json(&format!("{line} --mark m --key log.key"));
    assert_eq!((&held["held"], &held["records"]), (&2.into(), &0.into()), "{held}");
    assert_eq!(held["contents"], 0);
}

fn node(dir: &Path, now: Timestamp, snapshots: bool) -> (Hypervisor, bool) {
    let open = || {
        let options = FileOptions::new(entropy().unwrap());
        FileLog::open(dir, now, if snapshots { options } else { options.without_snapshots() })
    };
    // A program that another test is about to start has the lock for a moment, too: until it is another program.
    let mut opened = open();
    for _ in 0..100 {
        if !matches!(opened, Err(LogError::Locked { .. })) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        opened = open();
    }
    let log = Arc::new(opened.unwrap());
    let used = hv_core::audit::Log::opening(&*log).0.snapshot.is_some();
    (Hypervisor::open(log, Arc::new(ManualClock::at(now))).unwrap(), used)
}

/// What the node makes of its trail does not change: not while records go, and not when it is opened without them.
#[tokio::test]
async fn a_node_opens_without_the_records_as_what_it_was() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("t");
    let stage = Stage::since(&dir, LONG_AGO);
    sessions(&stage).await;
    let log = Arc::clone(stage.hv.log());
    let read = Transcript::of(&*log, &mut |_| false).unwrap();
    let checkpoint = (read.size(), read.root(read.size()).unwrap());
    let request = |tier, session: Option<&str>, older_than| ReduceRequest {
        session: session.map(|name| SessionId::new(name).unwrap()),
        older_than,
        tier,
        checkpoint,
    };
    // Before its time nothing goes, and that it was asked for is on the trail.
    let refused = stage.hv.reduce(&request(Tier::Leaves, None, Some(Duration::ZERO))).await.unwrap_err();
    let Error::Denied(denied) = &refused else { panic!("{refused}") };
    assert!(matches!(denied.reason, Reason::Retention { contents: 2 }), "{refused}");
    stage.clock.advance(183 * DAY);
    let plan = stage.hv.reduce(&request(Tier::Leaves, None, None)).await.unwrap();
    assert!(plan.due.is_empty() && plan.staying(Fate::Stays) == 2, "{plan:?}");
    stage.clock.advance(2 * DAY);
    // A checkpoint from before they ended speaks for none of them.
    let early = ReduceRequest { checkpoint: (2, read.root(2).unwrap()), ..request(Tier::Roots, None, None) };
    let plan = stage.hv.reduce(&early).await.unwrap();
    assert!(plan.due.is_empty() && plan.uncovered == 2, "{plan:?}");
    let other = ReduceRequest { checkpoint: (read.size(), Digest([1; 32])), ..early };
    let refused = stage.hv.reduce(&other).await.unwrap_err();
    assert!(refused.to_string().contains("does not have the root that the checkpoint signs"), "{refused}");
    let late = stage.quiet("late").await;
    stage.rounds_by("clerk", &late, 2).await;
    stage.hv.terminate_session(&late).await.unwrap();
    let open = stage.quiet("open").await;
    stage.rounds_by("clerk", &open, 3).await;

    let digest = |hv: &Hypervisor| hv.state_digest().unwrap();
    let histories =
        |hv: &Hypervisor| ["clerk", "builder", "nobody"].map(|name| hv.history(&did(name)).unwrap());
    let before = (digest(&stage.hv), histories(&stage.hv));
    assert_eq!(before.1[0].len(), 3);
    for (tier, session) in [(Tier::Leaves, Some("plain")), (Tier::Roots, None)] {
        let plan = stage.hv.reduce(&request(tier, session, None)).await.unwrap();
        assert_eq!(plan.due.len(), if session.is_some() { 1 } else { 2 }, "{plan:?}");
        assert_eq!(plan.staying(Fate::Forensic), u64::from(session.is_none()), "{plan:?}");
        assert_eq!((digest(&stage.hv), histories(&stage.hv)), before, "nothing that counts has changed");
    }
    stage.hv.seal().await.unwrap();
    drop((stage, log));
    let now = LONG_AGO.after(200 * DAY);
    for snapshots in [true, false, true, false] {
        let (hv, used) = node(&dir, now, snapshots);
        assert!(!used || snapshots);
        assert_eq!((digest(&hv), histories(&hv)), before, "opened with a snapshot: {used}");
        assert!(hv.open_sessions().unwrap().into_iter().eq([open.clone()]));
        let closed = hv.closed_sessions(&SessionId::new("evidence").unwrap()).unwrap();
        assert_eq!((closed.len(), closed[0].purged), (1, false));
        let closed = hv.closed_sessions(&SessionId::new("plain").unwrap()).unwrap();
        assert_eq!((closed.len(), closed[0].purged, closed[0].root), (1, true, before.1[0][0]));
        hv.log().sync(Lsn(u64::MAX)).unwrap();
        hv.seal().await.unwrap();
    }
}
