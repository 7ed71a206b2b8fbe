//! `hv id`, as a shell sees it.

use crate::{hv, text};
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A folder with keys and files in it.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `hv` with a line of arguments, in which names in braces stand for files of the folder.
    fn hv(&self, line: &str) -> Output {
        let place = |word: &str| match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            Some(name) => self.path(name).to_str().unwrap().to_owned(),
            None => word.to_owned(),
        };
        let arguments: Vec<String> = line.split(' ').map(place).collect();
        hv(arguments.iter().map(String::as_str))
    }

    /// The same where it must succeed: what it prints, without the line break.
    fn print(&self, line: &str) -> String {
        let output = self.hv(line);
        assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
        text(&output.stdout).trim_end().to_owned()
    }

    /// The same where it must be bad input: what it says.
    fn refused(&self, line: &str) -> String {
        let output = self.hv(line);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{line}");
        text(&output.stderr).to_owned()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn sign(&self, kind: &str, content: &str, rest: &str) -> String {
        self.write("content.json", content);
        let line = format!(
            "id sign --key {{a.key}} --type {kind} --audience did:mesh:node --deadline 10m{rest} {{content.json}}"
        );
        self.print(&line)
    }

    /// The verdict, and whether it is given by the exit code as well.
    fn verify(&self, envelope: &str, rest: &str) -> Value {
        self.write("envelope.json", envelope);
        let output = self.hv(&format!("id verify --json{rest} {{envelope.json}}"));
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
        let code = if verdict["valid"] == true { 0 } else { 1 };
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(code), ""));
        verdict
    }
}

fn call() -> Value {
    json!({
        "session": "release", "agent": "did:mesh:alpha", "action": "git.push",
        "params": "ab".repeat(32), "deadline": "2030-01-31T12:05:00Z",
    })
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let desk = Desk::new();
    let did = desk.print("id new --key {a.key}");
    assert!(did.starts_with("did:key:z6Mk"), "{did}");
    assert_eq!(fs::metadata(desk.path("a.key")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(desk.print("id show --key {a.key}"), did);
    assert_ne!(desk.print("id new --key {b.key}"), did);

    let before = fs::read(desk.path("a.key")).unwrap();
    assert!(desk.refused("id new --key {a.key}").contains("there is a file already"));
    assert_eq!(fs::read(desk.path("a.key")).unwrap(), before);
    assert!(desk.refused("id new --key {no/such.key}").contains("No such file"));

    fs::set_permissions(desk.path("a.key"), fs::Permissions::from_mode(0o640)).unwrap();
    desk.write("content.json", "{}");
    let sign = "id sign --key {a.key} --type revoke --audience did:mesh:node --deadline 1m {content.json}";
    for line in ["id show --key {a.key}", sign] {
        assert!(desk.refused(line).contains("its mode is 0640"), "{line}");
    }
    desk.write("none.key", "-----BEGIN PRIVATE KEY-----\n");
    fs::set_permissions(desk.path("none.key"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(desk.refused("id show --key {none.key}").contains("not a private key"));
    assert!(desk.refused("id show --key {nowhere}").contains("No such file"));
}

#[test]
fn what_is_signed_is_verified_and_shown() {
    let desk = Desk::new();
    let did = desk.print("id new --key {a.key}");
    let envelope = desk.sign("witness", &json!({ "call": call() }).to_string(), "");
    let verdict = desk.verify(&envelope, "");
    assert_eq!(verdict["type"], "witness");
    assert_eq!(verdict["key"], did);
    let statement = &verdict["statement"];
    assert_eq!(statement["signer"], did);
    assert_eq!(statement["audience"], "did:mesh:node");
    assert_eq!(statement["call"]["action"], "git.push");
    assert_eq!(statement["call"]["deadline"], "2030-01-31T12:05:00.000000000Z");
    assert_eq!(statement["nonce"].as_str().unwrap().len(), 32);
    let again = desk.sign("witness", &json!({ "call": call() }).to_string(), "");
    assert_ne!(desk.verify(&again, "")["statement"]["nonce"], statement["nonce"]);

    let shown = desk.print("id verify {envelope.json}");
    assert!(shown.starts_with(&format!("valid: witness\n  signed with    {did}\n")), "{shown}");
    assert!(shown.contains("\n  call.action    git.push\n"), "{shown}");
    assert_eq!(desk.verify(&envelope, &format!(" --did {did} --audience did:mesh:node"))["valid"], true);
}

#[test]
fn every_type_of_statement_is_signed() {
    let desk = Desk::new();
    let did = desk.print("id new --key {a.key}");
    let other = desk.print("id new --key {b.key}");
    let mut own = call();
    own["agent"] = json!(did);
    let span = json!({ "key": other, "from": "2026-01-31T12:00:00Z", "until": "2036-01-31T12:00:00Z" });
    let evidence = json!({
        "about": "did:mesh:beta", "finding": "violation", "fault": "1", "evidence": "cd".repeat(32),
        "happened": "2026-01-31T12:00:00Z", "session": "release", "class": "none", "risk": "0.95",
    });
    for (kind, content, rest) in [
        ("join", json!({ "session": "release" }), ""),
        ("vouch", json!({ "session": "release", "vouchee": "did:mesh:beta", "stake": "0.16" }), ""),
        ("release", json!({ "session": "release", "vouchee": "did:mesh:beta" }), ""),
        ("vote", json!({ "call": call(), "verdict": "against" }), ""),
        ("witness", json!({ "call": call() }), ""),
        ("evidence", evidence, ""),
        ("intent", json!({ "call": own, "on_behalf_of": "did:mesh:boss" }), ""),
        ("rotate", span.clone(), " --cosign {b.key}"),
        ("revoke", json!({}), ""),
    ] {
        let verdict = desk.verify(&desk.sign(kind, &content.to_string(), rest), "");
        assert_eq!((&verdict["valid"], &verdict["type"]), (&json!(true), &json!(kind)), "{verdict}");
    }
    // A binding is signed by the key that is bound, for the name that it is bound to.
    desk.write("content.json", &span.to_string());
    let envelope = desk.print(
        "id sign --key {b.key} --type bind --as did:mesh:beta --audience did:mesh:node --deadline 1m {content.json}",
    );
    let verdict = desk.verify(&envelope, "");
    assert_eq!((&verdict["valid"], &verdict["key"]), (&json!(true), &json!(other)), "{verdict}");
}

#[test]
fn what_does_not_count_says_why() {
    let desk = Desk::new();
    let did = desk.print("id new --key {a.key}");
    let other = desk.print("id new --key {b.key}");
    let good = desk.sign("join", "{\"session\": \"release\"}", "");
    let flipped = good.replacen("\"sig\":\"", "\"sig\":\"AAAA", 1);
    let (head, tail) = flipped.split_at(flipped.find("\"sig\":\"").unwrap() + 11);
    let flipped = format!("{head}{}", &tail[4..]);
    let foreign_kind = good.replace("hv.join.v1", "hv.join.v2");
    let other_kind = good.replace("hv.join.v1", "hv.revoke.v1");
    let twice = {
        let mut value: Value = serde_json::from_str(&good).unwrap();
        let signature = value["signatures"][0].clone();
        value["signatures"].as_array_mut().unwrap().push(signature);
        value.to_string()
    };
    for (envelope, rest, reason) in [
        (&flipped, "", "bad_signature"),
        (&foreign_kind, "", "payload_type"),
        (&other_kind, "", "malformed"),
        (&twice, "", "signatures"),
        (&good[..good.len() - 1].to_owned(), "", "malformed"),
        (&String::new(), "", "malformed"),
        (&" ".repeat(1 << 20), "", "too_large"),
        (&good, " --audience did:mesh:elsewhere", "foreign_audience"),
        (&good, &format!(" --did {other}"), "other_signer"),
        (&good, " --did did:mesh:alpha", "other_signer"),
    ] {
        let verdict = desk.verify(envelope, rest);
        assert_eq!((&verdict["valid"], &verdict["reason"]), (&json!(false), &json!(reason)), "{verdict}");
        assert!(!verdict["message"].as_str().unwrap().is_empty());
    }
    let output = desk.hv("id verify --audience did:mesh:elsewhere {envelope.json}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "not valid: it is addressed to did:mesh:node, another node\n");

    desk.write("content.json", "{\"session\": \"release\"}");
    let brief = desk
        .print("id sign --key {a.key} --type join --audience did:mesh:node --deadline 1ms {content.json}");
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(desk.verify(&brief, "")["reason"], "expired");

    // A name that is no key needs the key that it is bound to.
    let named = desk.sign("join", "{\"session\": \"release\"}", " --as did:mesh:alpha");
    assert_eq!(desk.verify(&named, "")["reason"], "key_unknown");
    assert_eq!(desk.verify(&named, " --did did:mesh:alpha")["reason"], "key_unknown");
    let pinned = |key: &str| desk.verify(&named, &format!(" --did did:mesh:alpha --bound-to {key}"));
    assert_eq!(pinned(&did)["valid"], true);
    assert_eq!(pinned(&other)["reason"], "signer_mismatch");
    // A did:key is bound to itself, which may be said, and to nothing else.
    assert_eq!(desk.verify(&good, &format!(" --did {did} --bound-to {did}"))["valid"], true);
    let said = desk.refused(&format!("id verify --did {did} --bound-to {other} {{envelope.json}}"));
    assert!(said.contains("is its own key, and no other is bound to it"), "{said}");
}

#[test]
fn what_cannot_be_signed_is_bad_input() {
    let desk = Desk::new();
    desk.print("id new --key {a.key}");
    desk.print("id new --key {b.key}");
    let refused = |kind: &str, content: &str, rest: &str| {
        desk.write("content.json", content);
        let line =
            format!("id sign --key {{a.key}} --type {kind} --audience did:mesh:node{rest} {{content.json}}");
        desk.refused(&line)
    };
    let call = json!({ "call": call() }).to_string();
    for (kind, content, rest, fragment) in [
        ("join", "{}", " --deadline 1m", "no `join`: `session` is missing: a session id (at byte 0)"),
        ("join", "{\"session\":\"a b\"}", " --deadline 1m", "`session` must be a session id (at byte 11)"),
        ("join", "{\"session\":\"s\",\"x\":1}", " --deadline 1m", "does not belong here (at byte 19)"),
        ("join", "session", " --deadline 1m", "not JSON (at byte 0)"),
        ("join", &" ".repeat(1 << 20), " --deadline 1m", "more than 16384 bytes"),
        ("witness", &call, " --deadline 8d", "at most 604800 s"),
        ("witness", &call, " --deadline 604800001ms", "at most 604800 s"),
        ("witness", &call, " --deadline 10", "not a number with its unit"),
        ("witness", &call, " --deadline 9999999999999d", "longer than can be told"),
        ("witness", &call, "", "--deadline"),
        ("witness", &call, " --deadline 1m --as alpha", "a DID reads did:<method>:<id>"),
        (
            "witness",
            &call,
            " --deadline 1m --as did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
            "cannot speak for",
        ),
        ("witness", &call, " --deadline 1m --cosign {b.key}", "leave --cosign out"),
        ("intent", &call, " --deadline 1m", "cannot speak for"),
        ("rotate", "{}", " --deadline 1m", "--cosign"),
        ("oath", "{}", " --deadline 1m", "possible values: join, vouch"),
    ] {
        let said = refused(kind, content, rest);
        assert!(said.contains(fragment), "{kind}{rest}: {said}");
    }
    let nowhere = "id sign --key {a.key} --type join --audience did:mesh:node --deadline 1m {nowhere}";
    assert!(desk.refused(nowhere).contains("it cannot be read: there is no such file; check the path"));
    assert!(
        desk.refused("id verify {nowhere}")
            .contains("it cannot be read: there is no such file; check the path")
    );
    assert!(desk.refused("id verify --bound-to did:key:z6Mk --did did:mesh:a {a.key}").contains("bound-to"));
    assert!(desk.refused("id verify --did alpha {a.key}").contains("a DID reads"));
}

#[test]
fn dash_is_stdin() {
    let desk = Desk::new();
    desk.print("id new --key {a.key}");
    let key = desk.path("a.key");
    let pipe = |arguments: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hv"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        text(&output.stdout).to_owned()
    };
    let line =
        ["id", "sign", "--key", key.to_str().unwrap(), "--type", "join", "--audience", "did:mesh:node"];
    let line = [&line[..], &["--deadline", "1h", "-"]].concat();
    let envelope = pipe(&line, "{\"session\": \"release\"}");
    assert!(pipe(&["id", "verify", "-"], &envelope).starts_with("valid: join\n"));
}

#[test]
fn nothing_of_a_private_key_is_printed() {
    let desk = Desk::new();
    desk.print("id new --key {a.key}");
    let pem = fs::read_to_string(desk.path("a.key")).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    // The last 40 characters are the key alone, whatever comes before it.
    let secret = &secret[secret.len() - 40..];
    let broken = pem.replace("PRIVATE", "PRIVAT");
    desk.write("broken.key", &broken);
    fs::set_permissions(desk.path("broken.key"), fs::Permissions::from_mode(0o600)).unwrap();
    desk.write("content.json", "{}");
    let sign = |key: &str| {
        format!("id sign --key {key} --type revoke --audience did:mesh:node --deadline 1m {{content.json}}")
    };
    for line in [
        "id show --key {a.key}",
        "id show --key {broken.key}",
        "id new --key {a.key}",
        &sign("{a.key}"),
        &sign("{broken.key}"),
        // A key taken for the content and for an envelope.
        "id sign --key {a.key} --type revoke --audience did:mesh:node --deadline 1m {a.key}",
        "id verify {a.key}",
        "id verify --json {a.key}",
    ] {
        let output = desk.hv(line);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(!said.contains(secret) && !said.is_empty(), "{line}: {said}");
    }
}

/// Whoever signs with another program finds in docs/FORMATS.md what each kind says: exactly the fields of the samples.
#[test]
fn the_page_on_formats_names_the_fields_of_every_kind() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/FORMATS.md")).unwrap();
    let samples = fs::read_to_string(root.join("crates/hv-identity/tests/vectors/envelopes.jsonl")).unwrap();
    let section = page.split("\n## 13. ").nth(1).unwrap();
    let mut kinds = BTreeSet::new();
    for sample in samples.lines() {
        let envelope: Value = serde_json::from_str(sample).unwrap();
        let kind = envelope["payloadType"].as_str().unwrap();
        let kind = kind.strip_prefix("application/vnd.hv.").unwrap().strip_suffix(".v1+json").unwrap();
        let payload = BASE64.decode(envelope["payload"].as_str().unwrap().as_bytes()).unwrap();
        let payload: BTreeMap<String, Value> = serde_json::from_slice(&payload).unwrap();
        let names = |row: &str| row.split(" | ").next().unwrap().split(", ").any(|name| name == kind);
        let row = section.lines().filter_map(|line| line.strip_prefix("| ")).find(|row| names(row));
        let row = row.unwrap_or_else(|| panic!("{kind}: no row"));
        // Fields stand in backquotes, with a question mark behind where they may be missing; values stand in brackets.
        let row: String = row.split('(').map(|part| part.rsplit(')').next().unwrap()).collect();
        let parts: Vec<&str> = row.split('`').collect();
        let mut said: BTreeSet<&str> = payload.keys().map(String::as_str).collect();
        for common in ["audience", "signer", "nonce", "deadline"] {
            assert!(said.remove(common), "{kind}: {common}");
        }
        for field in parts.chunks_exact(2).map(|pair| pair[1]).enumerate() {
            let behind = parts[2 * field.0 + 2];
            assert!(said.remove(field.1) || behind.starts_with('?'), "{kind} has no {}", field.1);
        }
        assert!(said.is_empty(), "{kind}: {said:?} is missing on the page");
        kinds.insert(kind.to_owned());
    }
    assert_eq!(kinds.len(), 10);
}

#[test]
fn the_help_says_which_command_prints_what_is_signed() {
    let help = hv(["id", "sign", "--help"]);
    let words: Vec<&str> = text(&help.stdout).split_whitespace().collect();
    let words = words.join(" ");
    for command in ["`hv call` prints what a vote or a witness signs", "`hv intent --ask` an intent"] {
        assert!(words.contains(command), "{words}");
    }
}
