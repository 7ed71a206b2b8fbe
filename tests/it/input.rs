//! Places that a run cannot use, and runs that come at the wrong time: one clear message, the right exit code, and
//! nothing is changed by asking.

use crate::scene::{
    assert_calm, assert_complete, change, ended, file, image, look, ran, said, scene, sh, signal, spawn,
    trail, with, written,
};
use crate::support::{Run, hv, json as report_of};
use hv_audit::{Verdict, verify};
use hv_core::TrailEvent;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn named(id: &str) -> Value {
    with(file(0.9, vec![change("mark", sh("touch MARK"), sh("rm MARK"))]), json!({ "session": { "id": id } }))
}

/// `hv run FILE` with these folders.
fn at(run: &Run, data: &Path, work: &Path) -> Output {
    let mut command = hv();
    command.arg("run").arg(&run.file).arg("--json").arg("--data").arg(data).arg("--work").arg(work);
    ran(&mut command)
}

/// That a command was refused as bad input with these words, and has printed nothing else.
fn assert_refused(output: &Output, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "one message: {said}");
    for word in words {
        assert!(said.contains(word), "{word} in {said}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn a_place_that_cannot_be_used_is_bad_input_and_stays_as_it_is() {
    let run = scene(&named("s"));
    let root = run.folder.path();
    let path = |name: &str| root.join(name);
    std::fs::write(path("file"), "text").unwrap();
    std::fs::create_dir(path("full")).unwrap();
    std::fs::write(path("full/notes.txt"), "mine").unwrap();
    std::os::unix::fs::symlink(path("t"), path("link")).unwrap();
    let before = image(root);
    for (data, work, words) in [
        ("full", "w", &["full", "not empty"][..]),
        ("file", "w", &["file", "--data"]),
        ("file/below", "w", &["file", "--data"]),
        ("t", "file", &["file", "--work"]),
        ("t", "file/below", &["file", "--work"]),
        ("t", "full", &["full", "not empty", "--work"]),
        ("t", "t", &["must not lie in one another"]),
        ("t", "t/work", &["must not lie in one another"]),
        ("t", "t/../t/work", &["must not lie in one another"]),
        ("w/trail", "w", &["must not lie in one another"]),
    ] {
        let output = at(&run, &path(data), &path(work));
        assert_refused(&output, words);
        assert_eq!(image(root), before, "--data {data} --work {work}");
        assert!(!path("t").exists() && !path("w").exists(), "--data {data} --work {work}");
    }
    // The link leads to the trail, once there is one.
    std::fs::create_dir(path("t")).unwrap();
    assert_refused(&at(&run, &path("t"), &path("link/work")), &["must not lie in one another"]);
    assert_eq!(std::fs::read_dir(path("t")).unwrap().count(), 0);
}

#[test]
fn a_place_where_nobody_can_write_is_bad_input() {
    let run = scene(&named("s"));
    for place in ["/proc/hv-trail", "/sys/hv-trail"] {
        assert_refused(&at(&run, Path::new(place), &run.work()), &[place, "--data"]);
        assert!(!run.work().exists());
        assert_refused(&at(&run, &run.data(), Path::new(place)), &[place, "--work"]);
    }
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if root {
        eprintln!("SKIPPED: who runs this is root, and may write to a folder that is read-only");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let locked = run.folder.path().join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o500)).unwrap();
    assert_refused(&at(&run, &locked.join("trail"), &run.work()), &["locked", "--data"]);
    assert_refused(&at(&run, &locked, &run.work()), &["locked", "--data"]);
}

#[test]
fn without_a_place_and_without_a_home_there_is_no_run() {
    let run = scene(&named("s"));
    let mut command = hv();
    command.arg("run").arg(&run.file).env_remove("HOME").env_remove("XDG_DATA_HOME");
    assert_refused(&ran(&mut command), &["--data", "--work"]);
    // With one, trail and work lie beside each other in the user's data directory.
    let home = run.folder.path().join("home");
    let mut command = hv();
    command.arg("run").arg(&run.file).arg("--json").env("HOME", &home).env_remove("XDG_DATA_HOME");
    let output = ran(&mut command);
    let report = report_of(&output);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let data = Path::new(report["data"].as_str().unwrap());
    assert!(data.starts_with(home.join(".local/share/hv")), "{}", data.display());
    assert_eq!(verify(data).unwrap().verdict, Verdict::Complete);
    assert!(Path::new(report["work"].as_str().unwrap()).join("MARK").exists());
}

#[test]
fn a_trail_that_another_run_writes_to_is_refused_and_left_alone() {
    let run =
        scene(&file(0.9, vec![change("long", sh("echo > BEGUN; sleep 600"), sh("echo undo > UNDONE"))]));
    let child = spawn(&mut run.start());
    written(&run.work().join("BEGUN"));
    let other = run.folder.path().join("other");
    let output = at(&run, &run.data(), &other);
    assert_refused(&output, &["another", run.data().to_str().unwrap()]);
    assert!(!other.exists());
    // A resumed run waits a moment for the one that holds it, in vain.
    let mut resume = run.resume();
    let waiting = spawn(&mut resume);
    // Reading needs no lock.
    assert!(matches!(verify(&run.data()).unwrap().verdict, Verdict::Open(_)));
    let output = ended(waiting);
    assert_refused(&output, &[run.data().to_str().unwrap()]);
    signal(&child, "TERM");
    assert_eq!(ended(child).status.code(), Some(130));
    // Nothing that happened meanwhile keeps it from being resumed.
    let output = ran(&mut run.resume());
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(run.work().join("UNDONE").exists());
    assert_complete(&run);
}

#[test]
fn resuming_what_is_not_there_is_bad_input_and_creates_nothing() {
    let run = scene(&named("s"));
    let root = run.folder.path();
    std::fs::create_dir(root.join("notes")).unwrap();
    std::fs::write(root.join("notes/a.txt"), "mine").unwrap();
    let before = image(root);
    for name in ["nowhere", "notes", "session.json", "session.json/below"] {
        let data = root.join(name);
        let output = ran(hv().args(["run", "--resume", "--json", "--data"]).arg(&data));
        assert_refused(&output, &[name]);
        assert_eq!(image(root), before, "{name}");
        assert!(!root.join("nowhere").exists());
    }
}

/// The report without what verifying it said, which tells of the resuming itself.
fn lasting(output: &Output) -> Value {
    let mut report = report_of(output);
    report.as_object_mut().unwrap().remove("verify");
    report
}

#[test]
fn resuming_a_run_that_has_ended_tells_how_it_ended_and_does_nothing() {
    let line = |end: &str| {
        file(0.9, vec![change("mark", sh("echo x >> MARK"), sh("echo y >> MARK")), look("last", sh(end))])
    };
    let broken = with(
        line("exit 1"),
        json!({ "step": [change("mark", sh("true"), sh("exit 1")), look("last", sh("exit 1"))] }),
    );
    for (session, code) in [
        (line("true"), 0),
        (line("exit 1"), 3),
        (broken, 4),
        (file(0.6, vec![change("mark", sh("true"), sh("true"))]), 5),
    ] {
        let run = scene(&session);
        let first = ran(&mut run.start());
        assert_eq!(first.status.code(), Some(code), "{}", said(&first));
        let mark = std::fs::read(run.work().join("MARK")).ok();
        for _ in 0..3 {
            let again = ran(&mut run.resume());
            assert_eq!(again.status.code(), Some(code), "{}", said(&again));
            assert_eq!(lasting(&again), lasting(&first));
            assert_complete(&run);
        }
        assert_eq!(std::fs::read(run.work().join("MARK")).ok(), mark, "{code}: nothing is done again");
    }
}

#[test]
fn one_trail_takes_many_runs_and_each_session_is_whole() {
    let run = scene(&named("first"));
    let first = at(&run, &run.data(), &run.work());
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    let fails = with(
        file(0.6, vec![change("mark", sh("touch MARK"), sh("rm MARK"))]),
        json!({ "session": { "id": "second" } }),
    );
    // The ledger knows the agent: what the second file says of it does not count.
    std::fs::write(&run.file, fails.to_string()).unwrap();
    let second = at(&run, &run.data(), &run.folder.path().join("work2"));
    assert_eq!(second.status.code(), Some(0), "{}", said(&second));
    assert_eq!(report_of(&second)["agents"][0]["sigma"], 0.9);
    assert_complete(&run);
    let report = verify(&run.data()).unwrap();
    for (output, name) in [(&first, "first"), (&second, "second")] {
        let stream = report.streams.iter().find(|stream| stream.label == name).unwrap();
        assert!(stream.closed);
        assert_eq!(report_of(output)["root"], stream.root.to_string(), "{name}: the report holds its root");
    }
    let opened = trail(&run.data()).into_iter().flat_map(|record| record.events);
    assert_eq!(opened.filter(|event| matches!(event, TrailEvent::Opened { .. })).count(), 2);
}

#[test]
fn a_session_name_that_is_taken_is_refused_and_the_trail_stays_ended() {
    let run = scene(&named("same"));
    assert_eq!(at(&run, &run.data(), &run.work()).status.code(), Some(0));
    let roots = |run: &Run| -> Vec<String> {
        let report = verify(&run.data()).unwrap();
        report.streams.iter().filter(|stream| stream.no.0 > 0).map(|stream| stream.root.to_string()).collect()
    };
    let (before, other) = (roots(&run), run.folder.path().join("other"));
    let output = at(&run, &run.data(), &other);
    assert_refused(&output, &["`same`", run.data().to_str().unwrap()]);
    assert!(!other.exists(), "nothing was begun");
    assert_complete(&run);
    assert_eq!(roots(&run), before);
}

#[test]
fn a_new_run_does_not_begin_in_the_trail_of_one_that_was_interrupted() {
    let run = scene(&file(
        0.9,
        vec![change("long", sh("echo > BEGUN; sleep 0.5; echo end > END"), sh("echo undo > UNDONE"))],
    ));
    let mut child = spawn(&mut run.start());
    written(&run.work().join("BEGUN"));
    child.kill().unwrap();
    child.wait().unwrap();
    let other = run.folder.path().join("other");
    // A program that was just started may hold the lock of its dead supervisor for a moment.
    let output = at(&run, &run.data(), &other);
    assert_refused(&output, &["--resume", "unfinished"]);
    assert!(!other.exists());
    assert_eq!(ran(&mut run.resume()).status.code(), Some(3));
    assert_complete(&run);
}

#[test]
fn a_trail_that_was_tampered_with_is_not_written_to() {
    let run = scene(&named("s"));
    assert_eq!(at(&run, &run.data(), &run.work()).status.code(), Some(0));
    let segment = run.data().join("00000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let before = image(run.folder.path());
    for output in [ran(&mut run.resume()), at(&run, &run.data(), &run.folder.path().join("other"))] {
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("00000000.seg"), "{}", said(&output));
    }
    assert_eq!(image(run.folder.path()), before);
    assert_eq!(run.verify().status.code(), Some(1));
}

#[test]
fn a_file_in_the_trail_that_is_not_its_own_is_found() {
    let run = scene(&named("s"));
    assert_eq!(at(&run, &run.data(), &run.work()).status.code(), Some(0));
    std::fs::write(run.data().join("notes.txt"), "mine").unwrap();
    assert!(matches!(verify(&run.data()).unwrap().verdict, Verdict::Tampered(_)));
    assert_eq!(ran(&mut run.resume()).status.code(), Some(1));
}

#[test]
fn the_exit_code_tells_how_the_run_ended_also_when_nobody_reads_the_report() {
    let denied = scene(&file(0.6, vec![change("mark", sh("touch MARK"), sh("rm MARK"))]));
    for (stdout, json_too) in [("closed", true), ("closed", false)] {
        let data = denied.folder.path().join(format!("trail-{stdout}-{json_too}"));
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = hv();
        command
            .arg("run")
            .arg(&denied.file)
            .arg("--data")
            .arg(&data)
            .arg("--work")
            .arg(data.with_extension("work"));
        command.args(json_too.then_some("--json")).stdout(writer);
        let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert_calm(&output);
        assert_eq!(output.status.code(), Some(5), "{}", said(&output));
        assert_eq!(verify(&data).unwrap().verdict, Verdict::Complete);
    }
    // A full disk is told, and is nobody's success.
    let done = scene(&named("s"));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output =
        done.start().stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_calm(&output);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("stdout"));
    assert_complete(&done);
    assert_eq!(ran(&mut done.resume()).status.code(), Some(0), "the report can be had again");
}

#[test]
fn a_disk_without_room_stops_the_run_which_can_be_resumed() {
    // No file may grow beyond 600 KiB: the trail begins, and the output of the second step has no room.
    let big = "head -c 700000 /dev/zero | tr '\\0' x; echo two >> LOG";
    let two =
        with(change("two", sh(big), sh("echo undo two >> LOG")), json!({ "probe": sh("grep -q two LOG") }));
    let mut session = file(0.9, vec![change("one", sh("echo one >> LOG"), sh("echo undo one >> LOG")), two]);
    session["limits"] = json!({ "output_bytes": 1_048_576 });
    let run = scene(&session);
    let start = run.start();
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$@\""]);
    limited.arg(start.get_program()).args(start.get_args());
    let output = ran(&mut limited);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(run.data().to_str().unwrap()), "it says where: {}", said(&output));
    assert!(matches!(verify(&run.data()).unwrap().verdict, Verdict::Open(_)));
    let output = ran(&mut run.resume());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(run.work().join("LOG")).unwrap(), "one\ntwo\n");
    assert_complete(&run);
}

/// What is given where the folder of a trail is wanted is named as it was given, with what it is and what to give.
#[test]
fn what_is_no_trail_is_told_as_what_it_is_by_whatever_command() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("F"), "").unwrap();
    std::fs::create_dir(folder.path().join("D")).unwrap();
    let refused = |words: &[&str], told: &[&str]| {
        let output = ran(hv().args(words).current_dir(folder.path()));
        assert_refused(&output, told);
        assert_eq!(said(&output).matches(told[0]).count(), 1, "it is named once: {}", said(&output));
    };
    let (file, none) = (["F: ", "it is no folder"], ["NOSUCH: ", "no such folder"]);
    for reads in [&["saga", "list"][..], &["saga", "watch"], &["saga", "pause"], &["trust", "show", "--data"]]
    {
        refused(&[reads, &["F"]].concat(), &file);
        refused(&[reads, &["NOSUCH"]].concat(), &none);
        refused(&[reads, &["D"]].concat(), &["D: ", "no trail lies here"]);
    }
    refused(&["config", "show", "--data", "NOSUCH"], &none);
    for opens in
        [&["node", "show"][..], &["session", "status"], &["kill", "--agent", "did:mesh:a", "--reason", "r"]]
    {
        refused(
            &[opens, &["--data", "F"]].concat(),
            &["/F: not a directory", "give another folder with --data"],
        );
    }
    refused(
        &["config", "show", "--config", "NOSUCH"],
        &["NOSUCH: ", "there is no such file", "with --config"],
    );
    refused(&["id", "verify", "NOSUCH"], &["NOSUCH: ", "there is no such file; check the path"]);
    refused(&["test", "NOSUCH"], &["NOSUCH: ", "there is no such file or folder; check the path"]);
    refused(&["test", "D"], &["D: ", "there is no scenario in it"]);
}
