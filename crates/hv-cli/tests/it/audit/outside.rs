//! What is kept outside a trail, signed, witnessed and exported, with the real program: honest trails pass, and a
//! trail that was rewritten with the log's own key, rolled back or forked does not.

use super::{Place, files, trails};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder with keys in it, in which commands are run.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        for key in ["log", "new", "w1", "w2"] {
            assert_eq!(desk.hv(&format!("id new --key {key}.key")).0, 0);
        }
        for witness in ["w1", "w2"] {
            let (_, key, _) =
                desk.hv(&format!("audit witness key --key {witness}.key --name w.example/{witness}"));
            fs::write(desk.path(&format!("{witness}.vkey")), key).unwrap();
        }
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `hv` with the words of a line; gives exit code, stdout and stderr.
    pub(crate) fn hv(&self, line: &str) -> (i32, String, String) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_hv"));
        program.args(line.split_whitespace()).current_dir(self.folder.path()).stdin(Stdio::null());
        let Output { status, stdout, stderr } = program.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    /// The same where it must work; gives stdout.
    pub(crate) fn done(&self, line: &str) -> String {
        let (code, stdout, stderr) = self.hv(line);
        assert_eq!(code, 0, "{line}: {stderr}");
        stdout
    }

    /// The same with `--json`; gives the exit code and the document.
    pub(crate) fn json(&self, line: &str) -> (i32, Value) {
        let (code, stdout, stderr) = self.hv(&format!("{line} --json"));
        (
            code,
            serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{line}: {error}: {stdout}{stderr}")),
        )
    }

    /// A trail with two finished sessions, ended.
    pub(crate) async fn trail(&self, name: &str) -> PathBuf {
        let dir = self.path(name);
        trails::finished(&dir).await;
        dir
    }

    pub(crate) fn keep(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }
}

#[tokio::test]
async fn a_mark_raises_the_level_up_to_where_it_reaches_and_not_above() {
    let desk = Desk::new();
    let dir = desk.trail("t").await;
    let before = files(&dir);
    let told = desk.done("audit checkpoint t --key log.key --mark m");
    assert!(told.contains("speaking for everything up to batch"), "{told}");
    assert_eq!(files(&dir), before, "signing changes nothing in the folder");

    for key in ["log.key".to_owned(), desk.done("id show --key log.key").trim().to_owned()] {
        let (code, document) = desk.json(&format!("audit verify t --sealed --mark m --key {key}"));
        assert_eq!(
            (code, &document["verdict"], &document["level"]["name"]),
            (0, &"complete".into(), &"L1".into())
        );
        assert_eq!(document["level"]["up_to"], document["level"]["end"]);
    }
    // Somebody else's key, and no key.
    let (code, _, stderr) = desk.hv("audit verify t --mark m --key new.key");
    assert!(code == 2 && stderr.contains("none of the known keys signed it"), "{stderr}");
    assert_eq!(desk.hv("audit verify t --mark m").0, 2);

    // The trail goes on: above the mark nothing more than L0 is said.
    trails::goes_on(&dir).await;
    let (code, document) = desk.json("audit verify t --mark m --key log.key");
    assert_eq!(code, 0);
    let level = &document["level"];
    assert!(level["up_to"].as_u64() < level["end"].as_u64(), "{level}");
    assert!(
        level["text"].as_str().unwrap().starts_with("L1, signed outside the folder, up to batch "),
        "{level}"
    );

    // The mark is continued.
    desk.done("audit checkpoint t --key log.key --mark m");
    let (_, document) = desk.json("audit verify t --mark m --key log.key");
    assert_eq!(document["level"]["up_to"], document["level"]["end"]);
}

#[tokio::test]
async fn a1_a_trail_rewritten_with_the_log_s_own_key_is_found_out_by_the_mark_and_by_the_witness() {
    let desk = Desk::new();
    desk.trail("t").await;
    desk.done("audit checkpoint t --key log.key --origin l --mark m");
    let grown = desk.done("audit prove t --from 0 --checkpoint m");
    desk.keep("grown", &grown);
    let cosign = "audit witness cosign --key w1.key --name w.example/w1 --log log.key --state seen";
    desk.keep("cosigned", &desk.done(&format!("{cosign} grown")));
    desk.done("audit witness add m --witness w1.vkey cosigned");

    // The same work once more with another content: a trail that agrees with itself, and the operator has the key.
    trails::rewritten(&desk.path("forged")).await;
    let (code, document) = desk.json("audit verify forged --sealed");
    assert_eq!((code, &document["verdict"]), (0, &"complete".into()), "alone it cannot be found out");
    let (code, document) = desk.json("audit verify forged --mark m --key log.key");
    let finding = &document["finding"];
    assert_eq!((code, &document["verdict"]), (1, &"tampered".into()));
    let (_, compared) = desk.json("audit diff t forged");
    assert_eq!(compared["verdict"], "differ");
    for (named, there) in [("stream", "stream"), ("record", "record"), ("lsn", "lsn")] {
        assert_eq!(finding[named], compared["second"][there], "{finding}");
    }
    assert!(finding["what"].as_str().unwrap().contains("rewritten"), "{finding}");
    assert_eq!(document["level"]["name"], "L0");

    // Nothing that contradicts the mark is signed, and what shows it is kept.
    let mark = fs::read(desk.path("m")).unwrap();
    let (code, _, stderr) = desk.hv("audit checkpoint forged --key log.key --origin l --mark m");
    assert!(code == 1 && stderr.contains("rewritten") && stderr.contains("m.evidence-1"), "{stderr}");
    assert_eq!(fs::read(desk.path("m")).unwrap(), mark);
    assert!(fs::read_to_string(desk.path("m.evidence-1")).unwrap().starts_with("l\n"));

    // The witness refuses the fork, and keeps it.
    let size = document["level"]["end"].as_u64().unwrap();
    assert!(size > 0);
    let seen = grown.lines().skip_while(|line| *line != "l").nth(1).unwrap().to_owned();
    desk.done("audit checkpoint forged --key log.key --origin l --mark other");
    desk.keep("fork", &desk.done(&format!("audit prove forged --from {seen} --checkpoint other")));
    let (code, answer) = desk.json(&format!("{cosign} fork"));
    assert_eq!((code, &answer["status"]), (1, &422.into()), "{answer}");
    let evidence = fs::read_to_string(desk.path(answer["evidence"].as_str().unwrap())).unwrap();
    assert!(evidence.matches("— l ").count() == 2, "both signed checkpoints are in it: {evidence}");
    let (code, answer) = desk.json(&format!("{cosign} grown"));
    assert_eq!((code, &answer["status"]), (1, &409.into()), "from another size than was seen");
}

#[tokio::test]
async fn an_old_state_is_a_rollback() {
    let desk = Desk::new();
    let dir = desk.trail("t").await;
    let old = files(&dir);
    trails::goes_on(&dir).await;
    desk.done("audit checkpoint t --key log.key --mark m");
    for (name, bytes) in &old {
        let path = desk.path("old").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(desk.hv("audit verify old --sealed").0, 0);
    let (code, document) = desk.json("audit verify old --mark m --key log.key");
    assert_eq!(code, 1);
    assert!(document["finding"]["what"].as_str().unwrap().contains("rolled back"), "{document}");
    let (code, _, stderr) = desk.hv("audit checkpoint old --key log.key --mark m");
    assert!(code == 1 && stderr.contains("rolled back"), "{stderr}");
}

#[tokio::test]
async fn two_of_two_witnesses_make_l2_and_one_does_not() {
    let desk = Desk::new();
    desk.trail("t").await;
    desk.done("audit checkpoint t --key log.key --mark m");
    desk.keep("grown", &desk.done("audit prove t --from 0 --checkpoint m"));
    let both = "audit verify t --mark m --key log.key --witness w1.vkey --witness w2.vkey";
    for (witness, enough) in [("w1", false), ("w2", true)] {
        let line = format!(
            "audit witness cosign --key {witness}.key --name w.example/{witness} --log log.key --state seen-{witness} grown"
        );
        desk.keep("cosigned", &desk.done(&line));
        desk.done(&format!("audit witness add m --witness {witness}.vkey cosigned"));
        let (code, document) = desk.json(both);
        let expected = if enough { (0, "L2") } else { (1, "L1") };
        assert_eq!((code, document["level"]["name"].as_str().unwrap()), expected);
        let (code, document) = desk.json(&format!("{both} --quorum 1"));
        assert_eq!((code, document["level"]["name"].as_str().unwrap()), (0, "L2"));
    }
    let keys = ["w1", "w2"].map(|name| fs::read_to_string(desk.path(&format!("{name}.vkey"))).unwrap());
    desk.keep("policy", &format!("witness a {}witness b {}group g all a b\nquorum g\n", keys[0], keys[1]));
    let (code, document) = desk.json("audit verify t --mark m --key log.key --policy policy");
    assert_eq!((code, document["level"]["name"].as_str().unwrap()), (0, "L2"));
    // Of no witness nothing follows, and where nothing came back nothing is added.
    assert_eq!(desk.hv(&format!("{both} --quorum 0")).0, 2);
    desk.keep("nothing", "\n");
    let (code, _, stderr) = desk.hv("audit witness add m --witness w1.vkey nothing");
    assert!(code == 2 && stderr.contains("there is no cosignature in it"), "{stderr}");
    // A cosignature over another checkpoint is not added.
    trails::goes_on(&desk.path("t")).await;
    desk.done("audit checkpoint t --key log.key --mark n");
    let (code, _, stderr) = desk.hv("audit witness add n --witness w2.vkey cosigned");
    assert!(code == 1 && stderr.contains("not over this checkpoint"), "{stderr}");
    // Cosignatures stay on a mark that is signed again without any growth.
    desk.done("audit checkpoint t --key log.key --mark n");
}

#[tokio::test]
async fn a_new_key_counts_where_the_old_one_said_so() {
    let desk = Desk::new();
    let dir = desk.trail("t").await;
    desk.done("audit checkpoint t --key log.key --mark m");
    trails::goes_on(&dir).await;
    let (code, _, stderr) = desk.hv("audit checkpoint t --key new.key --mark m");
    assert!(code == 2 && stderr.contains("--rotate-from"), "{stderr}");
    desk.done("audit checkpoint t --key new.key --rotate-from log.key --mark m");
    assert_eq!(desk.hv("audit verify t --mark m --key log.key").0, 2, "the old key alone does not know it");
    desk.done("audit verify t --mark m --key new.key");
    desk.done("audit verify t --mark m --key log.key --rotation m.rotation-1");
    // A rotation that the old key did not sign.
    desk.done("audit checkpoint t --key w1.key --mark x");
    desk.done("audit checkpoint t --key new.key --rotate-from w1.key --mark x");
    let (code, _, stderr) = desk.hv("audit verify t --mark m --key log.key --rotation x.rotation-1");
    assert!(code == 2 && stderr.contains("not both keys signed it"), "{stderr}");
}

#[tokio::test]
async fn every_record_is_proven_and_no_byte_of_a_proof_is_free() {
    let desk = Desk::new();
    desk.trail("t").await;
    desk.done("audit checkpoint t --key log.key --mark m");
    let (_, shown) = desk.json("audit show t");
    let mut proven = 0;
    for (at, record) in shown.as_array().unwrap().iter().enumerate() {
        let (stream, seq) = (&record["stream"], &record["seq"]);
        let line = match at % 2 {
            0 => format!("audit prove t --stream {stream} --record {seq} --checkpoint m"),
            _ => format!("audit prove t --hash {} --checkpoint m", record["hash"].as_str().unwrap()),
        };
        desk.keep("proof", &desk.done(&line));
        let (code, document) = desk.json("audit check proof --key log.key");
        assert_eq!((code, &document["stream"], &document["record"]), (0, stream, seq), "{document}");
        assert_eq!(document["hash"], record["hash"]);
        proven += 1;
    }
    assert!(proven > 20, "{proven}");
    let proof = fs::read(desk.path("proof")).unwrap();
    for at in (0..proof.len()).step_by(if super::deep() { 1 } else { 13 }) {
        let mut changed = proof.clone();
        changed[at] ^= 1;
        fs::write(desk.path("changed"), changed).unwrap();
        let (code, _, _) = desk.hv("audit check changed --key log.key");
        assert!(code == 1 || code == 2, "byte {at}");
    }
    let (code, _, stderr) = desk.hv("audit prove t --record 99999 --checkpoint m");
    assert!(code == 2 && stderr.contains("no such record"), "{stderr}");
    assert_eq!(desk.hv("audit check proof").0, 2, "whose signature counts?");
    assert_eq!(desk.hv("audit check proof --key new.key").0, 1);
}

#[tokio::test]
async fn growth_is_proven_from_one_checkpoint_to_another() {
    let desk = Desk::new();
    let dir = desk.trail("t").await;
    desk.done("audit checkpoint t --key log.key --mark m");
    let (_, first) = desk.json("audit check m --key log.key");
    trails::goes_on(&dir).await;
    desk.done("audit checkpoint t --key log.key --mark n");
    desk.keep("grown", &desk.done(&format!("audit prove t --from {} --checkpoint n", first["size"])));
    let (code, document) = desk.json("audit check grown --old m --key log.key");
    assert_eq!((code, &document["from"]), (0, &first["size"]));
    assert_eq!(desk.hv("audit check grown --key log.key").0, 2, "from where?");
    assert_eq!(desk.hv("audit check grown --old n --key log.key").0, 2, "from another size");
    trails::rewritten(&desk.path("forged")).await;
    desk.done(&format!(
        "audit checkpoint forged --key log.key --origin {} --mark f",
        first["origin"].as_str().unwrap()
    ));
    let (_, forged) = desk.json("audit check f --key log.key");
    desk.keep("grown", &desk.done(&format!("audit prove t --from {} --checkpoint n", forged["size"])));
    assert_eq!(desk.hv("audit check grown --old f --key log.key").0, 1, "from a fork");
}

#[tokio::test]
async fn filters_and_counts_agree_with_what_is_shown() {
    let desk = Desk::new();
    desk.trail("t").await;
    let (_, all) = desk.json("audit show t");
    let all = all.as_array().unwrap();
    let shown = |options: &str| desk.json(&format!("audit show t {options}")).1.as_array().unwrap().clone();
    let helper = shown("--agent did:mesh:helper");
    assert!(!helper.is_empty() && helper.len() < all.len());
    assert!(helper.iter().all(|record| record.to_string().contains("did:mesh:helper")));
    let expected = all.iter().filter(|record| record["events"].to_string().contains("\"did:mesh:helper\""));
    assert_eq!(helper.len(), expected.count());
    assert!(shown("--agent did:mesh:nobody").is_empty());
    let tags = shown("--action git.tag");
    assert!(!tags.is_empty() && tags.len() < helper.len() + all.len());
    let release = shown("--session release");
    assert!(release.iter().any(|record| record["label"] == "release"));
    assert!(
        release
            .iter()
            .all(|record| record["label"] == "release" || record.to_string().contains("\"release\""))
    );
    let middle = all[all.len() / 2]["time"].as_str().unwrap();
    let (before, after) =
        (shown(&format!("--until {middle}")).len(), shown(&format!("--since {middle}")).len());
    assert_eq!(before + after, all.len());
    assert_eq!(shown("--since 2020-01-01").len(), all.len());
    assert_eq!(desk.hv("audit show t --since yesterday").0, 2);

    let (code, tail) = desk.json("audit tail t -n 5");
    assert_eq!((code, tail.as_array().unwrap().as_slice()), (0, &all[all.len() - 5..]));
    let followed = desk.done("audit tail t -n 3 --follow");
    let last = all[all.len() - 3..].iter().map(|record| record["events"].as_array().unwrap().len());
    assert_eq!(followed.lines().count(), last.sum::<usize>(), "an ended trail is followed to its end");

    let (_, stats) = desk.json("audit stats t");
    assert_eq!(stats["records"], all.len());
    let events: u64 =
        stats["events"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(
        usize::try_from(events).unwrap(),
        all.iter().map(|record| record["events"].as_array().unwrap().len()).sum::<usize>()
    );

    let tree = desk.done("audit show t --tree");
    for line in
        ["session release, made by did:mesh:admin, archived", "├─ did:mesh:builder", "answers for it with"]
    {
        assert!(tree.contains(line), "{line}\n{tree}");
    }
    assert!(tree.contains("denied:"), "what was refused is drawn too: {tree}");
    // A filter leaves out who made the session and what became of it; nothing is put in its place.
    let tree = desk.done("audit show t --tree --agent did:mesh:helper");
    assert_eq!(tree.lines().next(), Some("session release"), "{tree}");
    assert!(tree.chars().all(|c| !c.is_control() || c == '\n'), "{tree}");

    let (code, same) = desk.json("audit diff t t");
    assert_eq!((code, &same["verdict"], &same["common"]), (0, &"same".into(), &all.len().into()));
}

#[tokio::test]
async fn nothing_is_signed_or_proven_about_a_trail_that_was_tampered_with() {
    let desk = Desk::new();
    let dir = desk.trail("t").await;
    desk.done("audit checkpoint t --key log.key --mark m");
    let path = dir.join("00000000.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[500] ^= 1;
    fs::write(&path, bytes).unwrap();
    for line in [
        "audit checkpoint t --key log.key",
        "audit prove t --record 0 --checkpoint m",
        "audit export t --to out --tiles --checkpoint m",
        "audit export t --to out --bundle --session release --key log.key",
        "audit stats t",
        "audit tail t",
        "audit show t --tree",
    ] {
        let (code, _, stderr) = desk.hv(line);
        assert!(code == 1 && stderr.contains("tampered with"), "{line}: {code} {stderr}");
    }
    assert!(!desk.path("out").exists());
}

/// The folder of the place, for those that need no desk.
#[tokio::test]
async fn what_is_not_ended_is_signed_as_far_as_it_reaches() {
    let place = Place::new();
    let stage = trails::Stage::new(&place.dir());
    let session = stage.session("live").await;
    stage.work(&session).await;
    let desk = Desk::new();
    let dir = place.dir();
    desk.done(&format!("audit checkpoint {} --key log.key --mark m", dir.display()));
    let line = format!("audit verify {} --mark m --key log.key", dir.display());
    let (_, document) = desk.json(&line);
    let (level, end) = (&document["level"], &document["level"]["end"]);
    assert_eq!((&level["name"], &level["up_to"]), (&"L1".into(), end), "it says where each stream ends");
    // Where the work goes on, it speaks up to where it spoke.
    stage.slash(&session).await;
    let (code, document) = desk.json(&line);
    assert_eq!((code, &document["level"]["up_to"]), (0, end));
    assert!(document["level"]["end"].as_u64() > end.as_u64());
    let (code, _, stderr) =
        desk.hv(&format!("audit prove {} --session live --record 3 --checkpoint m", dir.display()));
    assert!(code == 1 && stderr.contains("nothing that was signed commits to this record"), "{stderr}");
    assert!(Path::new(&dir).exists());
}
