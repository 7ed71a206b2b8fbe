//! Where an intent bounds places: folders and files are where their links lead, and an address is what the client that
//! sends to it reads in it.

use crate::evidence::{Court, did};
use crate::intent::{
    allowed, bounds_of, court, declare, pays, push, session_events, set, starts, uses, usual,
};
use hv_core::event::SessionEvent;
use hv_core::rings::intent::{Bounds, CommandBounds, CommandLine, Policy, Rest, UndoRule, What};
use hv_core::saga::{StepDef, Value};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use ureq::http::Uri;

/// `in/sub`, a file in `in`, and links in it: out of it, back into it, and to what is not there yet.
fn tree(base: &Path) -> PathBuf {
    for folder in ["in/sub", "out"] {
        fs::create_dir_all(base.join(folder)).unwrap();
    }
    fs::write(base.join("in/file"), "x").unwrap();
    for (to, link) in [("out", "in/away"), ("in/sub", "in/back"), ("later", "in/dangling")] {
        symlink(base.join(to), base.join(link)).unwrap();
    }
    base.join("in")
}

/// Runs `rm`, in this folder and with files below it.
fn tidy(folder: &Path) -> Bounds {
    let folders = || BTreeSet::from([folder.to_str().unwrap().to_owned()]);
    let line = CommandLine { argv: vec!["rm".to_owned()], more: 2, rest: Rest::Paths { folders: folders() } };
    let bounds =
        CommandBounds { commands: [line].into(), folders: folders(), variables: set(&[]), input: false };
    bounds_of([("push", allowed(What::Command { bounds }))], None)
}

fn denials(court: &Court) -> usize {
    session_events(court).iter().filter(|event| matches!(event, SessionEvent::Denied { .. })).count()
}

/// What undoes a call names a path that the call does not.
#[tokio::test]
async fn what_undoes_a_call_is_held_to_where_its_files_really_are() {
    let temp = tempfile::tempdir().unwrap();
    let folder = tree(&fs::canonicalize(temp.path()).unwrap());
    let court = court(Policy { undo: UndoRule::Held, ..Policy::default() }).await;
    declare(&court, "a", &tidy(&folder)).await.unwrap();
    let rm = |of: &str| push(&["rm", of], folder.to_str().unwrap());
    let undone_by = |of: &str| {
        let step = rm("file");
        let by = rm(of).execute;
        StepDef { undo: step.undo.map(|_| by), ..step }
    };
    assert!(undone_by("x").undo.is_some());
    for (n, within) in ["sub/x", "back/x"].into_iter().enumerate() {
        assert_eq!(starts(&court, &format!("in{n}"), undone_by(within)).await, Ok(()), "{within}");
    }
    for (n, outside) in ["away/x", "../out/x"].into_iter().enumerate() {
        let why = starts(&court, &format!("out{n}"), undone_by(outside)).await.unwrap_err();
        assert!(why.contains("of its undo, the argument"), "{outside}: {why}");
    }
}

#[tokio::test]
async fn a_link_leads_out_of_no_folder_and_to_no_file_outside() {
    let temp = tempfile::tempdir().unwrap();
    let base = fs::canonicalize(temp.path()).unwrap();
    let folder = tree(&base);
    let court = court(Policy::default()).await;
    declare(&court, "a", &tidy(&folder)).await.unwrap();
    let rm = |argv: &[&str], cwd: &str| push(&[&["rm"], argv].concat(), folder.join(cwd).to_str().unwrap());
    let out = base.join("out").to_str().unwrap().to_owned();
    let within = [rm(&[], ""), rm(&["file", "sub/none"], ""), rm(&["x"], "back"), rm(&["back/x"], "")];
    for (n, step) in within.into_iter().enumerate() {
        assert_eq!(starts(&court, &format!("in{n}"), step).await, Ok(()));
    }
    let absolute = folder.join("away/x").to_str().unwrap().to_owned();
    let outside: [(StepDef, &str); 8] = [
        (rm(&[], "away"), "folder"),
        (rm(&[], "away/further"), "folder"),
        (rm(&[], "dangling"), "folder"),
        (rm(&["away"], ""), "argument"),
        (rm(&["file", "away/x"], ""), "argument"),
        (rm(&[&absolute], ""), "argument"),
        (rm(&["dangling"], ""), "argument"),
        (rm(&["../out"], ""), "argument"),
    ];
    for (n, (step, part)) in outside.into_iter().enumerate() {
        let (words, before) = (format!("{:?}", step.execute), denials(&court));
        let why = starts(&court, &format!("out{n}"), step).await.unwrap_err();
        assert!(why.starts_with(&format!("the {part} `")), "{words}: {why}");
        // The reason names the place that it really is.
        let named = why.contains(&format!("`{out}")) || why.contains("cannot be told") || why.contains("`..");
        assert!(named, "{words}: {why}");
        assert_eq!(denials(&court), before + 1, "once on the trail: {words}");
    }
    assert_eq!(uses(&court).len(), 4);
    // What was a folder a moment ago is a link now.
    assert_eq!(starts(&court, "before", rm(&[], "sub")).await, Ok(()));
    fs::remove_dir(folder.join("sub")).unwrap();
    symlink(&out, folder.join("sub")).unwrap();
    let why = starts(&court, "after", rm(&[], "sub")).await.unwrap_err();
    assert!(why.starts_with(&format!("the folder `{out} (by ")), "{why}");
    // Whoever is held to nothing is not looked after.
    let free = StepDef { agent: did("b"), ..rm(&["/etc"], "away") };
    assert_eq!(starts(&court, "free", free).await, Ok(()));
}

#[tokio::test]
async fn an_escaped_address_is_what_it_stands_for() {
    let court = court(Policy::default()).await;
    declare(&court, "a", &usual()).await.unwrap();
    let body = || Value::Literal(r#"{"amount": 1, "currency": "EUR"}"#.to_owned());
    for (n, (path, outside)) in [
        ("/v1/payments/a%20b", None),
        ("/%76%31/p%61yments", None),
        ("/v1/re%66unds", Some("the path `/v1/refunds`")),
        ("/v1/payments/%2e%2e/admin", Some("the address ")),
        ("/v1/payments%2f..%2fadmin", Some("the address ")),
        ("/v1/payments/%252e%252e/admin", Some("the address ")),
    ]
    .into_iter()
    .enumerate()
    {
        let made = pays(&format!("https://pay.example.com{path}"), body());
        match (starts(&court, &format!("s{n}"), made).await, outside) {
            (Ok(()), None) => {}
            (Err(why), Some(begins)) => assert!(why.starts_with(begins), "{path}: {why}"),
            (came, _) => panic!("{path}: {came:?}"),
        }
    }
}

/// However an address is put together: where it is let through, the client that sends the request connects to the host
/// that was looked at and asks for the path that was.
#[tokio::test]
async fn whoever_sends_reads_the_address_as_it_was_held() {
    let pieces = [
        "https://", "http://", "HTTPS://", "a.b", "c.d", "@", ":", "443", "80", "/", "//", "v1", "v%31",
        "..", "%2e", "%2F", "%5c", "\\", ";", "?", "#", "x", "%41", "[", "]", "%", "%C3%A4", "ä",
    ];
    let bounds = hv_core::rings::intent::HttpBounds {
        methods: set(&["GET"]),
        hosts: set(&["a.b"]),
        paths: set(&["/v1"]),
        headers: set(&[]),
        query: true,
        body: false,
        amounts: [].into(),
    };
    let bounds = bounds_of([("change", allowed(What::Http { bounds }))], None);
    let action = hv_core::types::ActionId::new("change").unwrap();
    let (mut seed, mut within, mut escaped) = (7u64, 0, 0);
    for n in 0..200_000 {
        let mut url = String::from(["https://a.b/v1", "http://a.b/", "https://", ""][n % 4]);
        for _ in 0..1 + n % 5 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            url.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
        }
        let deed = hv_core::rings::intent::Deed::Http {
            method: "GET",
            url: &url,
            headers: &[],
            body: hv_core::rings::intent::Body::Empty,
        };
        if bounds.hold(&action, &deed, hv_core::rings::intent::Used::default()).is_err() {
            continue;
        }
        within += 1;
        escaped += usize::from(url.contains('%'));
        let read: Uri = url.parse().unwrap_or_else(|why| panic!("{url}: {why}"));
        assert_eq!(read.host(), Some("a.b"), "{url}");
        let own = if read.scheme_str() == Some("https") { 443 } else { 80 };
        assert!(read.port_u16().is_none_or(|port| port == own), "{url}");
        // Whoever resolves it, also twice, and takes a backslash for a slash, comes out in the same place.
        let path = resolved(&resolved(read.path()));
        let mut parts = path.split(['/', '\\']).skip(1);
        assert_eq!(parts.next(), Some("v1"), "{url}");
        assert!(!parts.any(|part| matches!(part, "." | "..")), "{url}");
    }
    assert!(within > 500 && escaped > 100, "{within} {escaped}");
}

/// A path with its escapes resolved where they are some, and kept where they are none.
fn resolved(path: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), path.as_bytes());
    while let [first, others @ ..] = rest {
        let escape = others.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
