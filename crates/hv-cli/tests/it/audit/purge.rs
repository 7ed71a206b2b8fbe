//! `hv audit purge` and `hv audit hold`: contents go, records stay, and what must not go does not.

use super::trails::{Stage, did};
use super::{Place, audit, audit_json, files, trails};
use hv_core::audit::retention::{Fate, Scope};
use hv_core::audit::{FileLog, FileOptions, Log};
use hv_core::session::Expect;
use hv_core::types::{SessionId, Timestamp};
use hv_core::{Clock, Error, PurgeRequest, Reason, SystemClock, entropy};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A finished trail of 2001, whatever the clock of the machine says today.
async fn long_ago() -> Place {
    let place = Place::new();
    trails::finished_since(&place.dir(), Timestamp(1_000_000_000_000_000_000)).await;
    place
}

/// Streams with their roots.
fn roots(dir: &std::path::Path) -> BTreeMap<u64, Value> {
    let (code, document) = audit_json("verify", dir, &[]);
    assert_eq!(code, 0, "{document}");
    let streams = document["streams"].as_array().unwrap().iter();
    streams.filter(|s| s["closed"] == true).map(|s| (s["no"].as_u64().unwrap(), s["root"].clone())).collect()
}

fn contents(dir: &std::path::Path) -> Vec<PathBuf> {
    files(dir).into_keys().filter(|name| name.starts_with("payloads")).collect()
}

#[tokio::test]
async fn what_is_old_goes_evidence_stays_and_the_trail_is_complete() {
    let place = long_ago().await;
    let before = (roots(&place.dir()), contents(&place.dir()).len());
    let untouched = files(&place.dir());
    let (code, would) = audit_json("purge", &place.dir(), &["--dry-run"]);
    assert_eq!((code, &would["dry_run"]), (0, &true.into()), "{would}");
    assert_eq!(files(&place.dir()), untouched, "a dry run changes nothing");
    let (due, evidence) = (would["contents"].as_u64().unwrap(), would["evidence"].as_u64().unwrap());
    assert!(due >= 10 && would["bytes"].as_u64().unwrap() > 100, "{would}");

    let (code, done) = audit_json("purge", &place.dir(), &[]);
    assert_eq!((code, &done["contents"]), (0, &would["contents"]), "{done}");
    assert_eq!(done["ids"], would["ids"]);
    assert_eq!(contents(&place.dir()).len() as u64, before.1 as u64 - due);
    assert_eq!(roots(&place.dir()), before.0, "no root changes");
    let (code, verified) = audit_json("verify", &place.dir(), &["--sealed"]);
    assert_eq!((code, &verified["verdict"], &verified["purged"]), (0, &"complete".into(), &due.into()));
    let (_, text, _) = audit("verify", &place.dir(), &[]);
    assert!(text.contains(&format!("purged: {due} payloads")), "{text}");

    // A second time nothing is left to do.
    let (code, again) = audit_json("purge", &place.dir(), &[]);
    assert_eq!((code, &again["contents"], &again["purged"]), (0, &0.into(), &due.into()));
    assert_eq!(again["evidence"].as_u64(), Some(evidence));

    let (_, shown, _) = audit("show", &place.dir(), &[]);
    assert!(shown.contains("contents destroyed by a purge, with the keys"), "{shown}");
    assert!(shown.contains("nothing of it can be read"), "{shown}");
}

#[tokio::test]
async fn a_hold_keeps_what_it_covers_until_it_is_released() {
    let place = long_ago().await;
    let all = contents(&place.dir()).len();
    let reason = ["--reason", "case 2026-114"];
    let (code, _, stderr) =
        audit("hold", &place.dir(), &[&["add", "--session", "release"], &reason[..]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (code, holds, _) = audit("hold", &place.dir(), &["list"]);
    assert_eq!((code, holds.as_str()), (0, "hold 0 on session release: case 2026-114\n"));
    let (code, done) = audit_json("purge", &place.dir(), &[]);
    assert_eq!((code, &done["contents"]), (0, &0.into()), "{done}");
    assert!(done["held"].as_u64().unwrap() >= 10, "{done}");
    assert_eq!(contents(&place.dir()).len(), all);

    let (code, _, stderr) = audit("hold", &place.dir(), &["release", "7"]);
    assert!(code == 5 && stderr.contains("there is no hold 7"), "{code} {stderr}");
    assert_eq!(audit("hold", &place.dir(), &["release", "0"]).0, 0);
    let (code, holds) = audit_json("hold", &place.dir(), &["list"]);
    assert_eq!((code, holds), (0, Value::Array(vec![])));
    let (code, done) = audit_json("purge", &place.dir(), &["--subject", "did:mesh:builder"]);
    assert_eq!((code, &done["held"]), (0, &0.into()));
    assert!(contents(&place.dir()).len() < all, "{done}");
    let shown = audit("show", &place.dir(), &[]).1;
    for words in ["hold 0 is put on all contents of session release: case 2026-114", "hold 0 is taken off"] {
        assert!(shown.contains(words), "{words}");
    }
    assert!(shown.contains("denied: there is no hold 7"), "the refusal is on the trail: {shown}");
}

#[tokio::test]
async fn before_its_time_nothing_is_purged_and_the_denial_is_on_the_trail() {
    let place = Place::new();
    let stage = Stage::new(&place.dir());
    let session = stage.session("young").await;
    stage.work(&session).await;
    let asked = PurgeRequest { scope: Scope::default(), older_than: Some(Duration::ZERO) };
    let plan = stage.hv.purge(&asked).await.unwrap();
    assert!(plan.due.is_empty() && plan.staying(Fate::InUse) > 3, "an open session needs it: {plan:?}");
    stage.hv.terminate_session(&session).await.unwrap();

    let refused = stage.hv.purge(&asked).await.unwrap_err();
    let Error::Denied(denied) = &refused else { panic!("{refused}") };
    assert!(matches!(denied.reason, Reason::Retention { contents } if contents > 3), "{refused}");
    assert!(denied.reason.needs().contains("younger than the retention"));
    // Without asking for it nothing is due yet, to the last second.
    stage.clock.advance(Duration::from_secs(183 * 86_400));
    let plan = stage.hv.purge(&PurgeRequest::default()).await.unwrap();
    assert!(plan.due.is_empty() && plan.staying(Fate::Stays) > 3, "{plan:?}");
    stage.clock.advance(Duration::from_secs(86_400));
    let plan = stage.hv.purge(&PurgeRequest::default()).await.unwrap();
    assert!(plan.due.len() > 3 && plan.staying(Fate::Stays) == 0, "{plan:?}");
    stage.hv.seal().await.unwrap();
    drop(stage);
    let (_, shown, _) = audit("show", &place.dir(), &[]);
    assert!(shown.contains("have to be kept longer, so nothing is purged"), "{shown}");
}

#[tokio::test]
async fn what_is_purged_says_so_where_it_is_read() {
    let place = Place::new();
    let stage = Stage::new(&place.dir());
    let old = stage.session("old").await;
    stage.work(&old).await;
    stage.hv.terminate_session(&old).await.unwrap();
    stage.clock.advance(Duration::from_secs(184 * 86_400));
    // A session that is open meanwhile, whose files are as old as nothing.
    let young = stage.session("young").await;
    let agent = did("builder");
    stage.hv.write_file(&young, &agent, "a", b"fresh".to_vec(), Expect::Absent).await.unwrap();
    let kept: Vec<_> = stage.hv.contents().unwrap().kept().collect();
    let plan = stage.hv.purge(&PurgeRequest::default()).await.unwrap();
    assert_eq!(plan.staying(Fate::Stays), 1, "the fresh one: {plan:?}");
    for kept in kept {
        let read = stage.hv.log().payload(&kept.payload.id());
        if kept.session == Some(SessionId::new("young").unwrap()) {
            assert_eq!(read.unwrap().as_deref(), Some(&b"fresh"[..]));
        } else {
            let error = read.unwrap_err().to_string();
            assert!(error.contains("was purged; its content is gone for good"), "{error}");
        }
    }
    assert_eq!(stage.hv.read_file(&young, &agent, "a").await.unwrap().as_deref(), Some(&b"fresh"[..]));
}

/// A saga that escalated: what it printed has to show what happened.
#[tokio::test]
async fn what_an_escalated_saga_printed_is_evidence() {
    let place = Place::new();
    let stage = Stage::new(&place.dir());
    let session = stage.session("doomed").await;
    stage.talkative_slash(&session).await;
    stage.hv.terminate_session(&session).await.unwrap();
    stage.clock.advance(Duration::from_secs(10_000 * 86_400));
    let plan = stage.hv.purge(&PurgeRequest::default()).await.unwrap();
    assert!(plan.due.is_empty() && plan.staying(Fate::Forensic) >= 1, "{plan:?}");
    let asked = PurgeRequest { scope: Scope::default(), older_than: Some(Duration::from_secs(1)) };
    let plan = stage.hv.purge(&asked).await.unwrap();
    assert!(plan.due.is_empty() && plan.staying(Fate::Forensic) >= 1, "{plan:?}");
}

#[tokio::test]
async fn what_came_back_is_said_and_destroyed_again_where_that_is_asked() {
    let place = long_ago().await;
    let old = files(&place.dir());
    audit_json("purge", &place.dir(), &[]);
    for (name, bytes) in old.iter().filter(|(name, _)| name.starts_with("payloads") || name.ends_with("keys"))
    {
        fs::create_dir_all(place.dir().join("payloads")).unwrap();
        fs::write(place.dir().join(name), bytes).unwrap();
    }
    let (code, text, _) = audit("verify", &place.dir(), &[]);
    assert!(code == 1 && text.contains("was purged, and it or its key is there again"), "{text}");
    let (code, _, stderr) = audit("purge", &place.dir(), &[]);
    assert!(code == 1 && stderr.contains("was purged, and it or its key is there again"), "{stderr}");
    assert_eq!(audit("purge", &place.dir(), &["--again"]).0, 0);
    let (code, verified) = audit_json("verify", &place.dir(), &["--sealed"]);
    assert_eq!((code, &verified["verdict"]), (0, &"complete".into()), "{verified}");
}

const NODE: &str = "did:web:node.example";

/// A trail whose contents are fifty days old, some of them evidence, and files beside it.
struct Office {
    place: Place,
}

impl Office {
    async fn new() -> Self {
        let place = Place::new();
        let begun = SystemClock.now().0 - 50 * 86_400 * 1_000_000_000;
        let stage = Stage::since(&place.dir(), Timestamp(begun));
        let session = stage.session("release").await;
        stage.work(&session).await;
        stage.talkative_slash(&session).await;
        stage.hv.terminate_session(&session).await.unwrap();
        stage.hv.seal().await.unwrap();
        Self { place }
    }

    fn path(&self, name: &str) -> String {
        self.place.dir().with_file_name(name).to_str().unwrap().to_owned()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = crate::hv(arguments.iter().copied());
        assert!(output.status.success(), "{arguments:?}: {}", crate::text(&output.stderr));
        crate::text(&output.stdout).to_owned()
    }

    fn key(&self, name: &str) -> String {
        self.done(&["id", "new", "--key", &self.path(name)]).trim().to_owned()
    }

    fn configure(&self, witness: &str) {
        let data = self.path("trail");
        self.done(&["node", "configure", "--data", &data, "--did", NODE, "--witness", witness]);
    }

    /// What the program asks a witness about, signed with this key.
    fn word(&self, name: &str, key: &str, purge: &[&str]) -> String {
        let before = files(&self.place.dir());
        let (code, asked, stderr) = audit("purge", &self.place.dir(), &[purge, &["--ask"]].concat());
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert_eq!(files(&self.place.dir()), before, "asking changes nothing");
        let (call, word, key) = (self.path("call.json"), self.path(name), self.path(key));
        fs::write(&call, asked).unwrap();
        let sign =
            ["id", "sign", "--key", &key, "--type", "witness", "--audience", NODE, "--deadline", "10m"];
        fs::write(&word, self.done(&[&sign[..], &[&call]].concat())).unwrap();
        word
    }

    fn contents(&self) -> usize {
        contents(&self.place.dir()).len()
    }

    /// Asks for a purge that is refused, and gives why.
    fn refused(&self, purge: &[&str], word: &str) -> String {
        let before = self.contents();
        let (code, _, stderr) = audit("purge", &self.place.dir(), &[purge, &["--witness", word]].concat());
        assert_eq!((code, self.contents()), (5, before), "{stderr}");
        stderr
    }
}

#[tokio::test]
async fn before_its_time_contents_go_by_the_word_of_a_witness_on_exactly_this_purge() {
    let office = Office::new().await;
    let dir = office.place.dir();
    let purge = ["--older-than", "30d"];
    let (witness, _) = (office.key("witness.key"), office.key("stranger.key"));

    // A node that listens to nobody listens to no witness either.
    let early = office.word("early.json", "witness.key", &purge);
    assert!(office.refused(&purge, &early).contains("a node that is configured"), "nobody is asked");
    office.configure(&witness);

    let (code, _, stderr) = audit("purge", &dir, &purge);
    assert!(code == 5 && stderr.contains("or the word of a witness on exactly this purge"), "{stderr}");
    let forged = office.word("forged.json", "stranger.key", &purge);
    office.refused(&purge, &forged);
    // A word on another scope, another age, and another who asks.
    let builder = ["--older-than", "30d", "--subject", "did:mesh:builder"];
    for other in [&builder[..], &["--older-than", "31d"], &["--older-than", "30d", "--by", "did:mesh:x"]] {
        let word = office.word("other.json", "witness.key", other);
        office.refused(&purge, &word);
    }

    // A hold is stronger than the word, which is used up all the same.
    assert_eq!(audit("hold", &dir, &["add", "--session", "release", "--reason", "case"]).0, 0);
    let word = office.word("word.json", "witness.key", &purge);
    let with = |word: &str| audit_json("purge", &dir, &[&purge[..], &["--witness", word]].concat());
    let (before, roots_before) = (office.contents(), roots(&dir));
    let (code, held) = with(&word);
    assert_eq!((code, &held["contents"], office.contents()), (0, &0.into(), before), "{held}");
    assert!(held["held"].as_u64().unwrap() >= 5, "{held}");
    assert_eq!(audit("hold", &dir, &["release", "0"]).0, 0);
    office.refused(&purge, &word);

    let word = office.word("again.json", "witness.key", &purge);
    let (code, done) = with(&word);
    let gone = done["contents"].as_u64().unwrap();
    assert!(code == 0 && gone >= 5 && done["early"] == 0, "{done}");
    assert_eq!(done["evidence"], held["evidence"], "evidence stays");
    assert!(done["evidence"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(office.contents() as u64, before as u64 - gone);
    assert_eq!(roots(&dir), roots_before, "no root changes");
    let (code, verified) = audit_json("verify", &dir, &["--sealed"]);
    assert_eq!((code, &verified["verdict"], &verified["purged"]), (0, &"complete".into(), &gone.into()));
    // Whoever asks once more, as after a crash, is told that it was done, and when.
    let why = office.refused(&purge, &word);
    let told = format!("is carried out: {gone} contents are gone");
    assert!(
        why.contains("was used for this purge, which was recorded at 20") && why.contains(&told),
        "{why}"
    );
    assert!(
        !office.refused(&purge, &office.word("narrow.json", "witness.key", &builder)).contains("carried out")
    );
    let (_, shown, _) = audit("show", &dir, &[]);
    for words in ["hv.purge", &witness, "it was used before"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn what_is_due_needs_no_word() {
    let place = Place::new();
    let log = FileLog::create(&place.dir(), SystemClock.now(), FileOptions::new(entropy().unwrap())).unwrap();
    log.seal(SystemClock.now()).unwrap();
    drop(log);
    for options in
        [&["--ask"][..], &["--witness", "word.json"], &["--older-than", "1d", "--witness", "nowhere"]]
    {
        let (code, _, stderr) = audit("purge", &place.dir(), options);
        assert_eq!(code, 2, "{options:?}: {stderr}");
    }
}

/// A session may come after the hold on it, so a name that the trail does not have is told, and is no error.
#[tokio::test]
async fn a_session_that_is_not_there_is_told() {
    let place = long_ago().await;
    let told = |stderr: &str, so: &str| {
        let words =
            format!("hv: there is no session `relaese` in this trail yet; {so} (`hv audit stats` lists");
        assert!(stderr.starts_with(&words), "{stderr}");
    };
    let wrong = ["--session", "relaese"];
    for (options, so) in [(&["--dry-run"][..], "nothing of it is purged"), (&[], "nothing of it is purged")] {
        let (code, _, stderr) = audit("purge", &place.dir(), &[&wrong[..], options].concat());
        assert_eq!(code, 0, "{stderr}");
        told(&stderr, so);
        // One that is there, and over, is not told of.
        let (code, _, stderr) = audit("purge", &place.dir(), &[&["--session", "release"], options].concat());
        assert_eq!((code, stderr.as_str()), (0, ""));
    }
    let add = ["add", "--reason", "case", "--json"];
    let (code, stdout, stderr) = audit("hold", &place.dir(), &[&add[..], &wrong].concat());
    assert_eq!(code, 0);
    told(&stderr, "the hold waits for one of that name");
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["session"], "relaese", "the answer is on stdout alone");
    let (code, _, stderr) = audit("hold", &place.dir(), &[&add[..], &["--session", "release"]].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn bad_input_is_told_and_changes_nothing() {
    let place = Place::new();
    for options in [&["--older-than", "soon"][..], &["--subject", "alice"], &["--session", "a b"]] {
        let (code, _, stderr) = audit("purge", &place.dir(), options);
        assert_eq!(code, 2, "{options:?}: {stderr}");
    }
    let (code, _, stderr) = audit("purge", &place.dir(), &[]);
    assert!(code == 2 && stderr.contains("there is no such folder"), "{stderr}");
    assert!(!place.dir().exists());
}
