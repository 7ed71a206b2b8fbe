//! The files of a session with the real program: who may do what, what is remembered, and what is denied.

use crate::scene::{assert_calm, denials, said};
use crate::support::{hv, json};
use hv_audit::{Verdict, verify};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// An active session in which `a` and `b` stand in Ring 2 and `low` in Ring 3.
    fn new(open: &[&str]) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        desk.done(desk.session("open").args(open));
        for (agent, sigma) in [("a", "0.85"), ("b", "0.7"), ("low", "0.4")] {
            desk.done(desk.session("join").args(["--agent", &did(agent), "--sigma", sigma]));
        }
        desk.done(&mut desk.session("activate"));
        desk
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("trail")
    }

    fn session(&self, command: &str) -> Command {
        let mut hv = hv();
        hv.args(["session", command, "--data"]).arg(self.data());
        hv
    }

    fn vfs(&self, agent: &str, arguments: &[&str]) -> Command {
        let mut hv = hv();
        hv.args(["vfs", arguments[0], "--data"]).arg(self.data()).args(["--agent", &did(agent)]);
        hv.args(&arguments[1..]);
        hv
    }

    fn done(&self, command: &mut Command) -> Vec<u8> {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        output.stdout
    }

    /// What a command says as a document.
    fn told(&self, agent: &str, arguments: &[&str]) -> Value {
        let output = self.vfs(agent, arguments).arg("--json").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        json(&output)
    }

    /// Its exit code.
    fn code(&self, agent: &str, arguments: &[&str]) -> i32 {
        let output = self.vfs(agent, arguments).stdin(Stdio::null()).output().unwrap();
        assert_calm(&output);
        output.status.code().unwrap()
    }

    fn write(&self, agent: &str, path: &str, content: &[u8], more: &[&str]) -> Output {
        let mut command = self.vfs(agent, &[&["write", path], more].concat());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        child.wait_with_output().unwrap()
    }

    fn cat(&self, agent: &str, path: &str, more: &[&str]) -> Vec<u8> {
        self.done(&mut self.vfs(agent, &[&["cat", path], more].concat()))
    }
}

fn did(name: &str) -> String {
    format!("did:mesh:{name}")
}

fn paths(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect()
}

#[test]
fn files_are_written_read_moved_deleted_and_every_version_stays() {
    let desk = Desk::new(&[]);
    let binary: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    assert_eq!(desk.write("a", "notes/plan.md", b"one", &[]).status.code(), Some(0));
    assert_eq!(desk.write("b", "notes/plan.md", b"two", &["--expect", "r1"]).status.code(), Some(0));
    // A stale write is refused with the newer version, and nothing changes.
    let stale = desk.write("a", "notes/plan.md", b"lost", &["--expect", "r1"]);
    assert_eq!(stale.status.code(), Some(5));
    assert!(said(&stale).contains("r2"), "{}", said(&stale));
    assert_eq!(desk.write("a", "data.bin", &binary, &[]).status.code(), Some(0));
    assert_eq!(desk.cat("low", "data.bin", &[]), binary);
    assert_eq!(desk.cat("low", "notes/plan.md", &["--revision", "1"]), b"one");
    desk.done(&mut desk.vfs("b", &["mv", "notes/plan.md", "notes/done.md"]));
    desk.done(&mut desk.vfs("b", &["rm", "notes/done.md"]));
    assert_eq!(paths(&desk.told("low", &["ls"])["files"]), ["data.bin"]);
    assert_eq!(desk.code("a", &["cat", "notes/done.md"]), 2);
    let log = desk.told("low", &["log", "notes/plan.md"]);
    let log: Vec<(&str, &str)> = log["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (version["agent"].as_str().unwrap(), version["change"].as_str().unwrap()))
        .collect();
    let moved = "moved to notes/done.md";
    assert_eq!(log, [("did:mesh:a", "written"), ("did:mesh:b", "written"), ("did:mesh:b", moved)]);
    desk.done(&mut desk.vfs("a", &["restore", "notes/plan.md", "--revision", "1"]));
    assert_eq!(desk.cat("a", "notes/plan.md", &[]), b"one");
    desk.done(&mut desk.session("close"));
    assert_eq!(verify(&desk.data()).unwrap().verdict, Verdict::Complete);
}

#[test]
fn f14_what_an_acl_forbids_and_what_a_ring_does_not_reach_is_denied_and_on_the_trail() {
    let desk = Desk::new(&[]);
    assert_eq!(desk.write("a", "plan", b"mine", &[]).status.code(), Some(0));
    // Nobody but the owner says who may do what.
    assert_eq!(desk.code("b", &["acl", "plan", "--allow", "everyone=all"]), 5);
    let shared = desk.told(
        "a",
        &[
            "acl",
            "plan",
            "--allow",
            "everyone=read",
            "--allow",
            "did:mesh:b=read,write",
            "--deny",
            "did:mesh:low=read",
        ],
    );
    assert_eq!(shared["acl"].as_array().unwrap().len(), 3);
    assert_eq!(desk.write("b", "plan", b"ours", &[]).status.code(), Some(0));
    assert_eq!(desk.code("b", &["rm", "plan"]), 5);
    // A denial wins over what everyone may, and what may not be read is not seen either.
    assert_eq!(desk.code("low", &["cat", "plan"]), 5);
    assert_eq!(desk.code("low", &["log", "plan"]), 5);
    assert_eq!(desk.code("low", &["cat", "plan", "--revision", "1"]), 5);
    assert!(paths(&desk.told("low", &["ls"])["files"]).is_empty());
    assert_eq!(desk.write("low", "other", b"x", &[]).status.code(), Some(5), "Ring 3 changes nothing");
    assert_eq!(desk.code("stranger", &["ls"]), 5);
    for outside in ["../x", "/sessions/other/x", "a\u{202e}b", "/etc/passwd"] {
        assert_eq!(desk.write("a", outside, b"x", &[]).status.code(), Some(5), "{outside}");
    }
    assert_eq!(desk.code("b", &["acl", "plan", "--clear"]), 5);
    desk.done(&mut desk.vfs("a", &["acl", "plan", "--clear"]));
    assert_eq!(desk.cat("low", "plan", &[]), b"ours");
    assert_eq!(denials(&desk.data()).len(), 12);
}

#[test]
fn v2_a_snapshot_is_what_was_there_and_a_difference_names_what_changed() {
    let desk = Desk::new(&[]);
    for (path, content) in [("keep", "1"), ("change", "1"), ("gone", "1")] {
        assert_eq!(desk.write("a", path, content.as_bytes(), &[]).status.code(), Some(0));
    }
    assert_eq!(desk.done(&mut desk.vfs("a", &["snapshot", "before"])), b"before\n");
    assert_eq!(desk.code("a", &["snapshot", "before"]), 5, "the name is taken");
    assert_eq!(desk.write("b", "change", b"2", &[]).status.code(), Some(0));
    assert_eq!(desk.write("b", "new", b"2", &[]).status.code(), Some(0));
    desk.done(&mut desk.vfs("b", &["rm", "gone"]));
    assert_eq!(desk.done(&mut desk.vfs("a", &["diff", "before"])), b"~ change\n- gone\n+ new\n");
    assert_eq!(desk.cat("b", "change", &["--snapshot", "before"]), b"1");
    desk.done(&mut desk.vfs("a", &["snapshot", "after"]));
    desk.done(&mut desk.vfs("a", &["restore", "--snapshot", "before"]));
    assert!(desk.done(&mut desk.vfs("a", &["diff", "before"])).is_empty());
    assert_eq!(desk.done(&mut desk.vfs("a", &["diff", "before", "after"])), b"~ change\n- gone\n+ new\n");
    assert_eq!(desk.cat("b", "gone", &[]), b"1");
    let snapshots = desk.told("low", &["snapshot", "--list"]);
    assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 2);
    assert_eq!(desk.code("b", &["snapshot", "after", "--drop"]), 5, "it is not b's");
    desk.done(&mut desk.vfs("a", &["snapshot", "after", "--drop"]));
    assert_eq!(desk.code("a", &["restore", "--snapshot", "after"]), 5);
}

#[test]
fn a_folder_goes_in_and_comes_out_as_it_was() {
    let desk = Desk::new(&[]);
    let (from, to) = (desk.folder.path().join("from"), desk.folder.path().join("to"));
    std::fs::create_dir_all(from.join("deep/er")).unwrap();
    let files = [("a.txt", &b"text"[..]), ("deep/b.bin", &[0, 255, 10, 13]), ("deep/er/empty", b"")];
    for (path, content) in files {
        std::fs::write(from.join(path), content).unwrap();
    }
    // More files than an agent has calls at once.
    for n in 0..45 {
        std::fs::write(desk.folder.path().join("from/deep/er").join(format!("many{n}")), [n]).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", from.join("link")).unwrap();
    // Names that no path of a session can have stop nothing in the middle; they are left out like a link.
    for name in ["back\\slash", "b\nreak", "es\u{1b}[31m", "deep/\u{202e}back"] {
        std::fs::write(from.join(name), name).unwrap();
    }
    let imported = desk.told("a", &["import", from.to_str().unwrap(), "--to", "in"]);
    let written = imported["written"].as_array().unwrap();
    assert_eq!((written.len(), &written[1]), (48, &"in/deep/b.bin".into()));
    assert_eq!(imported["left_out"].as_array().unwrap().len(), 5);
    let outside = desk.vfs("a", &["import", from.to_str().unwrap(), "--to", "../out"]).output().unwrap();
    assert_eq!(outside.status.code(), Some(5), "what cannot be at all is no matter of names");
    let deep = desk.told("a", &["ls", "in/deep"]);
    assert_eq!(paths(&deep["files"])[..2], ["in/deep/b.bin", "in/deep/er/empty"]);
    desk.done(&mut desk.vfs("low", &["export", to.to_str().unwrap()]));
    for (path, content) in files {
        assert_eq!(std::fs::read(to.join("in").join(path)).unwrap(), content);
    }
    assert_eq!(desk.code("low", &["export", to.to_str().unwrap()]), 2, "it is not empty");
    // A path can be a file and a folder in a session, and not outside.
    assert_eq!(desk.write("a", "in", b"both", &[]).status.code(), Some(0));
    assert_eq!(desk.code("a", &["export", desk.folder.path().join("other").to_str().unwrap()]), 2);
}

#[test]
fn quotas_hold_and_eventual_sessions_keep_what_was_written_at_once() {
    let desk = Desk::new(&["--max-files", "2", "--max-bytes", "10", "--mode", "eventual"]);
    assert_eq!(desk.write("a", "one", b"12345", &[]).status.code(), Some(0));
    assert_eq!(desk.write("a", "two", b"123456", &[]).status.code(), Some(5), "11 bytes");
    assert_eq!(desk.write("a", "two", b"12345", &[]).status.code(), Some(0));
    assert_eq!(desk.write("a", "three", b"", &[]).status.code(), Some(5), "3 files");
    desk.done(&mut desk.vfs("a", &["rm", "two"]));
    // Both have seen version 1; nobody's work is lost.
    assert_eq!(desk.write("a", "one", b"a", &["--expect", "r1"]).status.code(), Some(0));
    assert_eq!(desk.write("b", "one", b"b", &["--expect", "r1"]).status.code(), Some(0));
    let file = &desk.told("low", &["ls"])["files"][0];
    assert_eq!(file["siblings"].as_array().unwrap().len(), 1, "{file}");
    let (main, beside) = (&file["main"], &file["siblings"][0]["revision"]);
    assert_eq!(&file["revision"], beside, "{file}");
    let line = String::from_utf8(desk.done(&mut desk.vfs("low", &["ls"]))).unwrap();
    let newest = format!("and 1 beside it, the newest of all is r{beside}");
    assert!(line.starts_with(&format!("r{main} ")) && line.contains(&newest), "{line}");
    // What is written outside is one of them, and it is said which.
    let to = desk.folder.path().join("out");
    let output = desk.vfs("low", &["export", to.to_str().unwrap()]).output().unwrap();
    assert!(said(&output).contains(&format!("one is as of r{main}, beside which stand r{beside}")));
    assert_eq!(std::fs::read(to.join("one")).unwrap(), b"a");
}

/// Every file in the folder of a trail counts; nothing that hv is asked to write goes there.
#[test]
fn the_folder_of_a_trail_is_no_place_for_files_and_none_of_its_keys_go_into_a_session() {
    let desk = Desk::new(&[]);
    assert_eq!(desk.write("a", "plan", b"x", &[]).status.code(), Some(0));
    let (data, link) = (desk.data(), desk.folder.path().join("link"));
    std::os::unix::fs::symlink(&data, &link).unwrap();
    let key = desk.folder.path().join("log.key");
    assert_eq!(hv().args(["id", "new", "--key"]).arg(&key).output().unwrap().status.code(), Some(0));
    for folder in [&data, &link, &data.join("payloads")] {
        let to = folder.join("new");
        let mut checkpoint = hv();
        checkpoint.arg("audit").arg("checkpoint").arg(&data).arg("--key").arg(&key).arg("--mark").arg(&to);
        let mut made = hv();
        made.args(["id", "new", "--key"]).arg(&to);
        for command in [&mut desk.vfs("a", &["export", to.to_str().unwrap()]), &mut checkpoint, &mut made] {
            let output = command.output().unwrap();
            let words = said(&output);
            assert_eq!(output.status.code(), Some(2), "{command:?}: {words}");
            assert!(words.contains("folder of a trail"), "{words}");
        }
        let output = desk.vfs("a", &["import", folder.to_str().unwrap()]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    }
    let imported = desk.told("a", &["import", desk.folder.path().to_str().unwrap()]);
    assert!(imported["left_out"].as_array().unwrap().iter().any(|left| *left == data.to_str().unwrap()));
    assert!(imported["written"].as_array().unwrap().iter().all(|path| path != "trail/keys"), "{imported}");
    // A place that is none is bad input.
    for place in [&key, &key.join("below")] {
        assert_eq!(desk.code("a", &["export", place.to_str().unwrap()]), 2, "{place:?}");
    }
    assert!(!matches!(verify(&data).unwrap().verdict, Verdict::Tampered(_)));
}
