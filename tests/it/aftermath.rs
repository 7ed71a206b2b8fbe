//! What a run says of itself once a person has seen to what it could not undo.

use crate::scene::{
    SERVICE, assert_complete, change, ended, file, look, ran, runs, said, scene, sh, signal, spawn, wait_for,
    with,
};
use crate::support::{Run, hv, json as report_of};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};

/// The DID of the node of these runs.
const NODE: &str = "did:web:node.example";

/// A run of one step whose undo works only where MENDED is, and of one that fails, on a node that listens to a witness.
struct Aftermath {
    run: Run,
    key: PathBuf,
    _keys: tempfile::TempDir,
}

impl Aftermath {
    fn of(undo: &str) -> Self {
        Self::of_step(change("one", sh("touch ONE"), sh(undo)))
    }

    fn of_step(one: Value) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let key = keys.path().join("human.key");
        let made = ran(hv().args(["id", "new", "--key"]).arg(&key));
        let human = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let steps = vec![one, look("fails", sh("exit 1"))];
        let node = json!({ "did": NODE, "witnesses": [human] });
        let run = scene(&with(file(0.9, steps), json!({ "node": node })));
        let output = ran(&mut run.start());
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        Self { run, key, _keys: keys }
    }

    /// `hv saga VERB` on the step, with the word of the witness.
    fn settling(&self, verb: &str) -> Command {
        let path = |name: &str| self.run.folder.path().join(name);
        let call = ran(hv().args(["saga", verb, "--by", "did:mesh:op"]).arg(self.run.data()).arg("one"));
        std::fs::write(path("call.json"), call.stdout).unwrap();
        let mut sign = hv();
        sign.args(["id", "sign", "--type", "witness", "--audience", NODE, "--deadline", "1h", "--key"]);
        let word = ran(sign.arg(&self.key).arg(path("call.json")));
        assert!(word.status.success(), "{}", said(&word));
        std::fs::write(path("word.json"), word.stdout).unwrap();
        let mut settling = hv();
        settling.args(["saga", verb, "--witness"]).arg(path("word.json")).arg(self.run.data()).arg("one");
        settling
    }

    /// What the run says of itself now.
    fn now(&self) -> (Option<i32>, Value) {
        let output = ran(&mut self.run.resume());
        (output.status.code(), report_of(&output))
    }

    fn summary(&self) -> String {
        let output: Output = ran(hv().args(["run", "--resume", "--data"]).arg(self.run.data()));
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn what_is_settled_is_not_said_to_wait_for_a_person() {
    for (verb, how) in [("retry", "undone"), ("resolve", "resolved"), ("skip", "skipped")] {
        let after = Aftermath::of("test -e MENDED");
        let failed = ran(&mut after.settling("retry"));
        assert_eq!(failed.status.code(), Some(4), "{}", said(&failed));
        let (code, report) = after.now();
        assert_eq!((code, &report["outcome"]), (Some(4), &json!("escalated")), "it still waits");
        assert_eq!(report["failed_undos"][0]["settled"], Value::Null);
        std::fs::write(after.run.work().join("MENDED"), "").unwrap();
        let settled = ran(&mut after.settling(verb));
        assert_eq!(settled.status.code(), Some(0), "{}", said(&settled));
        let (code, report) = after.now();
        assert_eq!((code, &report["outcome"], &report["exit_code"]), (Some(3), &json!("settled"), &json!(3)));
        assert_eq!(report["failed_undos"][0]["settled"], how, "{report:#}");
        let summary = after.summary();
        assert!(summary.contains("nothing waits for a person\n"), "{summary}");
        assert!(summary.contains(&format!("; since then {how} by a person; ")), "{summary}");
    }
}

/// Who interrupts a person's retry stops the program, keeps what came of it, and may try again.
#[test]
fn a_retry_is_interrupted_in_order() {
    for name in ["INT", "TERM"] {
        let after =
            Aftermath::of("test -e MENDED && exit; test -e HANG || exit 1; touch TRYING; exec sleep 600");
        let work = |name: &str| after.run.work().join(name);
        std::fs::write(work("HANG"), "").unwrap();
        let retry = spawn(&mut after.settling("retry"));
        wait_for("the undo to begin", || work("TRYING").exists());
        signal(&retry, name);
        let output = ended(retry);
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).contains("another try takes a new one"), "{}", said(&output));
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains("one: still not undone: ") && told.contains("stopped"), "{told}");
        assert_complete(&after.run);
        std::fs::write(work("MENDED"), "").unwrap();
        let again = ran(&mut after.settling("retry"));
        assert_eq!(again.status.code(), Some(0), "{}", said(&again));
        assert_complete(&after.run);
    }
}

/// An undo that could not even start is not tried, and the word of the witness is not used up.
#[test]
fn a_retry_without_the_work_folder_is_bad_input_and_takes_no_word() {
    let after = Aftermath::of("test -e MENDED");
    let (work, away) = (after.run.work(), after.run.folder.path().join("away"));
    std::fs::write(work.join("MENDED"), "").unwrap();
    std::fs::rename(&work, &away).unwrap();
    let mut retry = after.settling("retry");
    let gone = ran(&mut retry);
    assert_eq!(gone.status.code(), Some(2), "{}", said(&gone));
    assert!(
        said(&gone).contains("is not there; put it back, then go on with `hv saga retry"),
        "{}",
        said(&gone)
    );
    std::fs::rename(&away, &work).unwrap();
    let again = ran(&mut retry);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert_complete(&after.run);
}

/// The undo that a killed retry has left is stopped before anybody tries again or says what became of it, once its time is
/// over; before that the item is busy. What the step itself has begun, as a service, goes on.
#[test]
fn what_a_killed_retry_left_is_stopped_before_the_next() {
    let undo = "test -e HANG || exit 1; echo $$ > TRYING; exec sleep 600";
    let one = with(change("one", sh(SERVICE), sh(undo)), json!({ "undo_timeout": "4s" }));
    let after = Aftermath::of_step(one);
    let work = |name: &str| after.run.work().join(name);
    let process = |name: &str| std::fs::read_to_string(work(name)).unwrap().trim().to_owned();
    std::fs::write(work("HANG"), "").unwrap();
    for verb in ["retry", "resolve"] {
        let mut retry = spawn(&mut after.settling("retry"));
        wait_for("the undo to begin", || work("TRYING").exists() && !process("TRYING").is_empty());
        let left = process("TRYING");
        retry.kill().unwrap();
        retry.wait().unwrap();
        let busy = ran(&mut after.settling(verb));
        assert_eq!(busy.status.code(), Some(5), "{}", said(&busy));
        assert!(said(&busy).contains("may be going on until"), "{}", said(&busy));
        assert!(runs(&left), "it has time until then");
        std::fs::remove_file(work("TRYING")).unwrap();
        std::fs::remove_file(work("HANG")).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(4));
        let settled = ran(&mut after.settling(verb));
        assert!(said(&settled).contains("and was stopped"), "{}", said(&settled));
        assert!(!runs(&left), "{verb} goes on beside it");
        assert_eq!(settled.status.code(), Some(if verb == "retry" { 4 } else { 0 }), "{}", said(&settled));
        std::fs::write(work("HANG"), "").unwrap();
    }
    assert!(runs(&process("SERVICE")), "it is none of the undo's programs");
    assert!(Command::new("kill").arg(process("SERVICE")).status().unwrap().success());
    assert_complete(&after.run);
}
