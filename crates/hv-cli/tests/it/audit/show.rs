//! `hv audit show`.

use super::every::every;
use super::trails::{self, Stage};
use super::{Place, audit, audit_json, files};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// The lines without number, stream, time and hash.
fn words(text: &str) -> Vec<String> {
    let after = |line: &str| line.split_once("Z  ").unwrap().1.get(10..).unwrap().to_owned();
    text.lines().map(after).collect()
}

#[tokio::test]
async fn a_trail_is_told_in_words_with_names() {
    let place = Place::finished().await;
    let (code, text, stderr) = audit("show", &place.dir(), &[]);
    assert!(code == 0 && stderr.contains(": L0, self-consistent"), "{stderr}: {text}");
    let words = words(&text);
    let mut from = 0;
    for expected in [
        "the log begins",
        "session release is created by did:mesh:admin: eventual, at most 10 members, 3600s long, σ_eff at least 0.60",
        "session release begins as stream 2; its first record ",
        "did:mesh:builder has an account with reputation 0.90 (asserted)",
        "did:mesh:builder joins",
        "did:mesh:builder stands in Ring 2 (standard) with σ 0.90; at most Ring 2 (standard), because it is \
         on probation, with no history yet",
        "did:mesh:builder vouches for did:mesh:helper in release with 0.18 (bond 0.0)",
        "did:mesh:helper stands in Ring 2 (standard) with σ 0.644",
        "action git.tag: the registry says it has an effect, it can be undone entirely",
        "the session is in the strong mode from here on",
        "action git.push: the registry says it has an effect, it cannot be undone",
        "the session is active",
        "saga release is opened; undo counts without proof in steps number 0, 1",
        "saga release: tag (git.tag by did:mesh:helper); check (git.tag by did:mesh:builder) after tag",
        "step tag: did:mesh:helper starts git.tag",
        "granted in Ring 2 (standard) with σ 0.644, for a start until 2026-01-31T12:05:00.000Z",
        "step tag: committed",
        "step check: did:mesh:builder starts git.tag",
        "step check: committed",
        "saga release is completed",
        "step denied to did:mesh:builder for git.push: ",
        "step push: denied by the gate",
        "saga publish turns back: step push was denied",
        "saga publish is compensated",
        "did:mesh:builder creates notes/plan.md: 5 bytes, ",
        "did:mesh:builder writes notes/plan.md: 5 bytes, ",
        "a note is kept under the name `plan\\u{1b}[2J`",
        "activate_session denied: there is no open session `nowhere` on this node",
        "step leave: committed",
        "step break: failed for good and left nothing: it ended with exit code 1",
        "saga doomed turns back: step break failed",
        "step leave: undoing",
        "did:mesh:helper is slashed (undo_failed in release, fault 1.00, evidence ",
        "step leave: cannot be undone: it ended with exit code 7; a person must look",
        "saga doomed is escalated",
        "the session is archived",
        "closed after ",
        "the log is ended; this record holds the end of every open stream",
    ] {
        let found = words.iter().position(|line| line.starts_with(expected));
        let found = found.unwrap_or_else(|| panic!("{expected}\n{text}"));
        from = from.max(found);
    }
    assert_eq!(from + 1, words.len(), "{text}");
    let slash = words.iter().find(|line| line.contains("is slashed")).unwrap();
    for part in ["; did:mesh:helper loses 0.5", "; bond 0.0 of did:mesh:builder for did:mesh:helper burns "] {
        assert!(slash.contains(part), "{slash}");
    }
    let denial = words.iter().find(|line| line.starts_with("step denied")).unwrap();
    assert_eq!(denial.matches("enough would be σ_eff above 0.95 and a quorum").count(), 1, "{denial}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));

    // Every line begins with batch, stream, place, time and hash.
    let first = text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(&first[..4], ["1", "node", "0", "2026-01-31T12:00:00.000Z"]);
    assert!(first[4].len() == 8 && first[4].bytes().all(|b| b.is_ascii_hexdigit()));
    // What a step printed is a payload of the record of its end.
    let commit = text.lines().find(|line| line.contains("step tag: committed")).unwrap();
    let record: Vec<&str> = text.lines().filter(|line| line.starts_with(commit.get(..20).unwrap())).collect();
    assert!(
        record.iter().any(|line| line.contains("  [payload ") && line.ends_with(" bytes]")),
        "{record:?}"
    );
}

#[tokio::test]
async fn the_json_is_one_array_with_every_record() {
    let place = Place::finished().await;
    let (code, records) = audit_json("show", &place.dir(), &[]);
    let (_, report) = audit_json("verify", &place.dir(), &[]);
    assert_eq!(code, 0);
    let records = records.as_array().unwrap();
    assert_eq!(records.len() as u64, report["records"].as_u64().unwrap());
    let keys = ["attached", "events", "hash", "label", "lsn", "seq", "stream", "time"];
    for record in records {
        assert_eq!(record.as_object().unwrap().keys().collect::<Vec<_>>(), keys, "{record}");
        assert!(record["events"].as_array().unwrap().iter().all(|event| event["event"].is_string()));
    }
    // The chain ends with the hash by which the trail commits to it.
    for stream in report["streams"].as_array().unwrap() {
        let of = records.iter().filter(|record| record["stream"] == stream["no"]);
        assert_eq!(of.clone().count() as u64, stream["length"].as_u64().unwrap());
        let places: Vec<u64> = of.map(|record| record["seq"].as_u64().unwrap()).collect();
        assert!(places.iter().zip(0..).all(|(place, expected)| *place == expected), "{places:?}");
    }
    let events: Vec<&Value> =
        records.iter().flat_map(|record| record["events"].as_array().unwrap()).collect();
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    let moved = named("saga.moved");
    let moved: Vec<_> = moved
        .iter()
        .map(|event| (event["saga"].as_str(), event["step"].as_str(), event["to"].as_str()))
        .collect();
    assert!(moved.contains(&(Some("release"), Some("tag"), Some("committed"))), "{moved:?}");
    let denied = named("session.denied");
    assert_eq!((&denied[0]["agent"], &denied[0]["action"]), (&"did:mesh:builder".into(), &"git.push".into()));
    let slashed = named("ledger.slashed");
    let lost = slashed[0]["losses"].as_array().unwrap();
    let lost: Vec<&str> = lost.iter().map(|loss| loss["agent"].as_str().unwrap()).collect();
    assert_eq!(lost, ["did:mesh:builder", "did:mesh:helper"]);
    assert_eq!(slashed[0]["cuts"][0]["voucher"], "did:mesh:builder");
    assert_eq!(slashed[0]["offence"]["session"], "release");
    let granted = named("session.granted");
    assert_eq!((&granted[0]["ring"], &granted[0]["sigma"]), (&2.into(), &0.644.into()));
    let closed = named("log.closed");
    assert_eq!(closed.len(), 2);
    assert!(closed.iter().all(|event| event["root"] == report["streams"][2]["root"]), "{closed:?}");
}

#[tokio::test]
async fn a_trail_that_is_written_to_is_shown_and_left_as_it_is() {
    let place = Place::new();
    let stage = Stage::new(&place.dir());
    let session = stage.session("release").await;
    let before = files(&place.dir());
    let (code, text, stderr) = audit("show", &place.dir(), &[]);
    assert!(code == 0 && stderr.contains(": L0, self-consistent"), "{stderr}");
    assert!(text.lines().last().unwrap().ends_with("the session is active"), "{text}");
    assert_eq!(files(&place.dir()), before);
    stage.slash(&session).await;
    let (_, text, _) = audit("show", &place.dir(), &[]);
    assert!(text.lines().any(|line| line.ends_with("saga doomed is escalated")), "{text}");
}

#[tokio::test]
async fn of_a_tampered_trail_is_shown_what_is_whole() {
    let place = Place::finished().await;
    let (_, whole, _) = audit("show", &place.dir(), &[]);
    let segment = place.dir().join("00000000.seg");
    let bytes = fs::read(&segment).unwrap();
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 0x10;
    fs::write(&segment, changed).unwrap();
    let (code, text, stderr) = audit("show", &place.dir(), &[]);
    assert_eq!(code, 1);
    assert!(whole.starts_with(&text) && text.lines().count() > 10 && text.len() < whole.len());
    assert!(stderr.contains("the trail is tampered with: 00000000.seg at byte "), "{stderr}");
    let (code, records) = audit_json("show", &place.dir(), &[]);
    assert_eq!(code, 1);
    assert!(records.as_array().unwrap().len() > 10);
    // The records are whole where the mark is not.
    fs::write(&segment, &bytes).unwrap();
    let mark = place.dir().join("mark");
    let marked = fs::read(&mark).unwrap();
    for damage in [None, Some(marked[..100].to_vec()), Some(vec![7; marked.len()])] {
        match damage {
            None => fs::remove_file(&mark).unwrap(),
            Some(bytes) => fs::write(&mark, bytes).unwrap(),
        }
        let (code, text, stderr) = audit("show", &place.dir(), &[]);
        assert_eq!((code, text == whole), (1, true), "{stderr}");
        assert!(stderr.contains("tampered"), "{stderr}");
    }
}

#[test]
fn what_this_version_does_not_know_is_shown_as_such() {
    let place = Place::new();
    trails::of_the_future(&place.dir());
    let (code, text, stderr) = audit("show", &place.dir(), &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("3 records of what this version does not know"), "{stderr}");
    for said in [
        "says nothing",
        "cannot be read by this version: SessionEvent has no tag 250 (at byte 2)",
        "cannot be read by this version: no record version has this value (at byte 1)",
        "cannot be read by this version: the record ends too early (at byte 0)",
        "session \\u{1b}]0;owned\\u{7} begins as stream 2",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    let (code, records) = audit_json("show", &place.dir(), &[]);
    assert_eq!(code, 0);
    let unreadable = records.as_array().unwrap().iter().filter(|record| record["unreadable"].is_string());
    assert_eq!(unreadable.count(), 3);
    let (_, text, _) = audit("verify", &place.dir(), &[]);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
}

#[test]
fn what_has_no_name_is_shown_by_its_number_and_what_shares_one_by_its_saga() {
    let place = Place::new();
    trails::of_numbers(&place.dir());
    let (code, text, _) = audit("show", &place.dir(), &[]);
    assert_eq!(code, 0);
    let words = words(&text);
    for said in [
        "member 7 leaves",
        "step number 3: starts",
        "step tag: did:mesh:a starts git.tag",
        "step one/tag: committed",
        "step number 4294967295: committed",
        "account 5 earns 1.00",
    ] {
        assert!(words.iter().any(|line| line == said), "{said}\n{text}");
    }
    let (_, records) = audit_json("show", &place.dir(), &[]);
    let events = records.as_array().unwrap().iter().flat_map(|record| record["events"].as_array().unwrap());
    let left = events.clone().find(|event| event["event"] == "session.left").unwrap();
    assert_eq!(left["member"], 7);
    let started = events.clone().find(|event| event["event"] == "saga.started").unwrap();
    assert_eq!((&started["saga"], &started["step"]), (&9.into(), &3.into()));
}

#[test]
fn every_event_has_words_and_a_name() {
    let place = Place::new();
    let samples = every();
    trails::of_every_event(&place.dir(), &samples);
    let (code, text, stderr) = audit("show", &place.dir(), &[]);
    assert!(code == 0 && stderr.contains("L0, self-consistent") && stderr.lines().count() == 1, "{stderr}");
    let words = words(&text);
    let count = samples.node.len() + samples.ledger.len() + samples.session.len();
    // Begun, a session begun and closed on two streams each, something purged and that it is done, kept, ended; and a
    // record that says nothing. Another session begun and closed of whose records only hashes are there, and that they
    // were purged and that this is done.
    assert_eq!(words.len(), count + 10 + 7);
    assert_eq!(
        words.iter().collect::<BTreeSet<_>>().len(),
        words.len() - 3,
        "two denials read the same, and three records that are gone: {text}"
    );
    // Everybody was named before anything was said of them.
    for number in ["member ", "account ", "step number ", "saga 0", "session 2"] {
        assert!(!words.iter().any(|line| line.starts_with(number)), "{number}: {text}");
    }
    let (_, records) = audit_json("show", &place.dir(), &[]);
    let events = records.as_array().unwrap().iter().flat_map(|record| record["events"].as_array().unwrap());
    let names: BTreeSet<&str> = events.map(|event| event["event"].as_str().unwrap()).collect();
    let expected = [
        "file.acl_cleared",
        "file.acl_set",
        "file.created",
        "file.deleted",
        "file.diverged",
        "file.renamed",
        "file.restored",
        "file.rolled_back",
        "file.snapshot_dropped",
        "file.snapshot_taken",
        "file.updated",
        "ledger.charged",
        "ledger.configured",
        "ledger.decayed",
        "ledger.dismissed",
        "ledger.disputed",
        "ledger.earned",
        "ledger.elapsed",
        "ledger.endowed",
        "ledger.opened",
        "ledger.quarantined",
        "ledger.rehabilitated",
        "ledger.released",
        "ledger.session_released",
        "ledger.slashed",
        "ledger.snapshot",
        "ledger.vouched",
        "log.closed",
        "log.destroyed",
        "log.gone",
        "log.opened",
        "log.purged",
        "log.records_destroyed",
        "log.records_purged",
        "log.sealed",
        "log.snapshot",
        "log.started",
        "node.anchor_moved",
        "node.anchor_queued",
        "node.configured",
        "node.contested",
        "node.denied",
        "node.governed",
        "node.item_settled",
        "node.undo_ended",
        "node.undo_restored",
        "node.undo_granted",
        "node.undo_restored",
        "node.key_bound",
        "node.key_replaced",
        "node.key_restored",
        "node.key_revoked",
        "node.key_rotated",
        "node.rejected",
        "node.snapshot_unusable",
        "node.spent",
        "node.kill_answered",
        "node.folded",
        "node.guarded",
        "node.tripped",
        "session.held",
        "session.on_behalf",
        "node.kill_lifted",
        "node.killed",
        "node.held",
        "node.hold_released",
        "node.purged",
        "node.reduced",
        "node.reported",
        "node.scored",
        "node.unreported",
        "node.unscored",
        "saga.appended",
        "saga.created",
        "saga.expiring",
        "saga.finished",
        "saga.handed_over",
        "saga.moved",
        "saga.paused",
        "saga.restored",
        "saga.resumed",
        "saga.sealed",
        "saga.started",
        "saga.turned",
        "node.write_lost",
        "session.assessed",
        "session.certified",
        "session.complete",
        "session.created",
        "session.denied",
        "session.drift_checked",
        "session.elevated",
        "session.evicted",
        "session.files",
        "session.granted",
        "session.intent_declared",
        "session.intent_ruled",
        "session.intent_used",
        "session.joined",
        "session.left",
        "session.moved",
        "session.noted",
        "session.overridden",
        "session.ports",
        "session.readmitted",
        "session.registered",
        "session.rehearsal",
        "session.rehearsal_demanded",
        "session.rejected",
        "session.rejoined",
        "session.resumed",
        "session.saga_opened",
        "session.seated",
        "session.strong_forced",
        "session.undo_accepted",
        "session.voters_named",
        "node.history_weighed",
    ];
    assert_eq!(names, BTreeSet::from(expected));
}
