//! `hv audit verify`.

use super::trails::Stage;
use super::{Place, audit, audit_json, files, stranger};
use std::fs;
use std::path::Path;
use std::process::Command;

#[tokio::test]
async fn a_finished_trail_is_complete() {
    let place = Place::finished().await;
    let (code, text, stderr) = audit("verify", &place.dir(), &["--sealed"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{text}");
    assert!(text.starts_with("complete: "), "{text}");
    assert!(text.contains("level: L0, self-consistent, sealed up to batch "), "{text}");

    let (code, document) = audit_json("verify", &place.dir(), &[]);
    assert_eq!(code, 0);
    assert_eq!(document["verdict"], "complete");
    assert!(document["why"].is_null() && document["finding"].is_null());
    assert_eq!(document["level"]["name"], "L0");
    assert_eq!(
        (&document["level"]["up_to"], &document["level"]["sealed"]),
        (&document["batches"], &true.into())
    );
    assert!(document["records"].as_u64().unwrap() >= 50, "{document}");
    let streams = document["streams"].as_array().unwrap();
    let of = |name: &str| streams.iter().map(|stream| stream[name].to_string()).collect::<Vec<_>>();
    assert_eq!(of("label"), [r#""node""#, r#""ledger""#, r#""release""#]);
    assert_eq!(
        (of("no"), of("closed")),
        (vec!["0".into(), "1".into(), "2".into()], vec!["false".into(), "false".into(), "true".into()])
    );
    let lengths: u64 = streams.iter().map(|stream| stream["length"].as_u64().unwrap()).sum();
    assert_eq!(lengths, document["records"].as_u64().unwrap());
    let root = streams[2]["root"].as_str().unwrap();
    assert_eq!(root.len(), 64);
    let row = text.lines().find(|line| line.contains("release")).unwrap();
    assert!(row.contains("closed") && row.ends_with(root), "{row}");
}

#[tokio::test]
async fn a_trail_that_is_written_to_is_open_and_is_left_as_it_is() {
    let place = Place::new();
    let stage = Stage::new(&place.dir());
    let session = stage.session("release").await;
    let before = files(&place.dir());
    let (code, text, stderr) = audit("verify", &place.dir(), &[]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{text}");
    assert!(text.starts_with("open: ") && text.contains("it was not ended"), "{text}");
    assert!(text.contains("consistent up to batch "), "{text}");
    let (code, document) = audit_json("verify", &place.dir(), &["--sealed"]);
    assert_eq!(
        (code, &document["verdict"], &document["why"]),
        (1, &"open".into(), &"it was not ended".into())
    );
    let (_, _, stderr) = audit("verify", &place.dir(), &["--sealed"]);
    assert!(stderr.contains("open (it was not ended), and --sealed was asked for"), "{stderr}");
    assert_eq!(files(&place.dir()), before);
    // It goes on, with the writer's lock held all the time, and is complete in the end.
    stage.work(&session).await;
    assert_eq!(audit_json("verify", &place.dir(), &[]).1["verdict"], "open");
    stage.hv.seal().await.unwrap();
    let (code, document) = audit_json("verify", &place.dir(), &["--sealed"]);
    assert_eq!((code, &document["why"]), (1, &"it was ended with a session open".into()));
}

/// What a sweep changes, and how `hv` must name it.
fn tampered(dir: &Path, file: &str, context: &str) {
    let (code, document) = audit_json("verify", dir, &[]);
    assert_eq!((code, &document["verdict"]), (1, &"tampered".into()), "{context}");
    let finding = &document["finding"];
    assert_eq!(finding["file"], file, "{context}: {finding}");
    assert!(!finding["what"].as_str().unwrap().is_empty(), "{context}");
}

/// A1: every byte of an ended trail is covered, as the program tells it. Every byte with `HV_DEEP=1`.
#[tokio::test]
async fn a1_a_changed_byte_is_found_and_its_place_is_named() {
    let place = Place::finished().await;
    let deep = std::env::var_os("HV_DEEP").is_some();
    for (name, bytes) in files(&place.dir()) {
        let path = place.dir().join(&name);
        let name = name.to_str().unwrap();
        let stride = if deep { 1 } else { bytes.len() / 23 + 1 };
        for at in (0..bytes.len()).step_by(stride) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, changed).unwrap();
            tampered(&place.dir(), name, &format!("{name} changed at {at}"));
            fs::write(&path, &bytes[..at]).unwrap();
            let (code, document) = audit_json("verify", &place.dir(), &[]);
            assert_eq!(
                (code, &document["verdict"]),
                (1, &"tampered".into()),
                "{name} cut at {at}: {document}"
            );
        }
        fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
        tampered(&place.dir(), name, &format!("{name} with a zero more"));
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(audit("verify", &place.dir(), &["--sealed"]).0, 0);
}

/// A pipe in place of a file keeps nobody waiting, and a link leads nobody elsewhere.
#[tokio::test]
async fn a1_what_is_no_file_is_found_and_never_opened() {
    let place = Place::finished().await;
    for name in ["mark", "keys", "00000000.seg"] {
        let (path, kept) = (place.dir().join(name), place.dir().with_file_name("kept"));
        fs::rename(&path, &kept).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        tampered(&place.dir(), name, &format!("a pipe for {name}"));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&kept, &path).unwrap();
        tampered(&place.dir(), name, &format!("a link for {name}"));
        fs::remove_file(&path).unwrap();
        fs::rename(&kept, &path).unwrap();
    }
    assert_eq!(audit("verify", &place.dir(), &["--sealed"]).0, 0);
}

#[tokio::test]
async fn the_finding_names_stream_record_and_offset() {
    let place = Place::finished().await;
    let path = place.dir().join("00000000.seg");
    let bytes = fs::read(&path).unwrap();
    // The text of the denial of `git.push`, in the middle of a record of the session.
    let needle = b"git.push";
    let at = bytes.windows(needle.len()).rposition(|window| window == needle).unwrap();
    let mut changed = bytes.clone();
    changed[at] = b'G';
    fs::write(&path, changed).unwrap();
    let (code, document) = audit_json("verify", &place.dir(), &[]);
    let finding = &document["finding"];
    assert_eq!(code, 1);
    assert_eq!((&finding["stream"], &finding["label"]), (&2.into(), &"release".into()), "{finding}");
    let (record, lsn) = (finding["record"].as_u64().unwrap(), finding["lsn"].as_u64().unwrap());
    let offset = usize::try_from(finding["offset"].as_u64().unwrap()).unwrap();
    assert!(offset <= at && at < offset + 600, "{offset} {at}");
    let (_, text, _) = audit("verify", &place.dir(), &[]);
    for line in [
        "tampered: this is not what hv wrote".to_owned(),
        format!("  file    00000000.seg, at byte {offset}"),
        "  stream  2 (release)".to_owned(),
        format!("  record  {record}"),
        format!("  batch   {lsn}"),
        "  what    the frame's content is not what was written".to_owned(),
        format!("level: L0, self-consistent, consistent up to batch {}", lsn - 1),
    ] {
        assert!(text.lines().any(|has| has == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn what_is_no_trail_is_bad_input_and_not_tampering() {
    let place = Place::finished().await;
    let folder = place.folder.path();
    fs::create_dir(folder.join("empty")).unwrap();
    fs::create_dir(folder.join("foreign")).unwrap();
    fs::write(folder.join("foreign").join("letter"), "hello").unwrap();
    for (name, said) in [
        ("nowhere", "there is no such folder"),
        ("empty", "no trail lies here"),
        ("foreign", "no trail lies here"),
        ("foreign/letter", "it is no folder"),
        (".", "no trail lies here; one lies in"),
    ] {
        for command in ["verify", "show"] {
            let (code, stdout, stderr) = audit(command, &folder.join(name), &[]);
            assert_eq!((code, stdout.as_str()), (2, ""), "{command} {name}");
            assert!(stderr.contains(said) && stderr.lines().count() == 1, "{command} {name}: {stderr}");
        }
    }
    // A trail that lost everything else is a trail still.
    for (kept, lost) in [("mark", "00000000.seg"), ("00000000.seg", "mark")] {
        let path = place.dir().join(lost);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (code, document) = audit_json("verify", &place.dir(), &[]);
        assert_eq!((code, &document["finding"]["file"]), (1, &lost.into()), "only {kept}");
        fs::write(&path, bytes).unwrap();
    }
    fs::write(place.dir().join("letter"), "hello").unwrap();
    tampered(&place.dir(), "letter", "a file that no log puts there");
}

#[tokio::test]
async fn a_trail_in_another_version_of_the_format_is_not_said_to_be_tampered_with() {
    let place = Place::finished().await;
    let segment = place.dir().join("00000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[8] = 1;
    let crc = stranger::crc(&bytes[..72]);
    bytes[72..76].copy_from_slice(&crc.to_le_bytes());
    fs::write(&segment, bytes).unwrap();
    let (before, dir) = (files(&place.dir()), place.dir());
    for line in [
        "audit verify DIR",
        "audit verify DIR --json",
        "audit show DIR --json",
        "audit stats DIR",
        "audit purge DIR",
        "run --resume --data DIR",
        "session list --data DIR",
        "session open --data DIR --id another",
        "saga list DIR",
        "trust show --data DIR",
        "config show --data DIR",
    ] {
        let words = line.split(' ').map(|word| if word == "DIR" { dir.as_os_str() } else { word.as_ref() });
        let done = Command::new(env!("CARGO_BIN_EXE_hv")).args(words).output().unwrap();
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), done.stdout.as_slice()), (Some(2), &b""[..]), "{line}: {stderr}");
        assert!(stderr.contains("the log is in version 1 of the format"), "{line}: {stderr}");
        assert!(!stderr.contains("tampered") && !stderr.contains("damaged"), "{line}: {stderr}");
        assert_eq!(files(&dir), before, "{line}");
    }
}
