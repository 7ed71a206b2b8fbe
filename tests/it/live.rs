//! Agents that live outside hv, with a shell in their hands: `hv session` and `hv kill` with the real program.

use crate::scene::{SERVICE, assert_calm, denials, runs, said, wait_for};
use crate::support::{hv, json};
use hv_audit::{Verdict, verify};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A folder for a trail, and one beside it in which agents work.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// With an active session in which `did:mesh:coder` stands in Ring 2 and `did:mesh:intern` in Ring 3.
    pub(crate) fn new(allow: &[&str]) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(desk.work()).unwrap();
        let mut open = desk.session("open");
        for allow in allow {
            open.args(["--allow", allow]);
        }
        assert_eq!(code(&mut open), 0);
        for (agent, sigma) in [("did:mesh:coder", "0.85"), ("did:mesh:intern", "0.4")] {
            assert_eq!(code(desk.session("join").args(["--agent", agent, "--sigma", sigma])), 0);
        }
        assert_eq!(code(&mut desk.session("activate")), 0);
        desk
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("trail")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// `hv session COMMAND --data DIR`, from the folder in which agents work.
    pub(crate) fn session(&self, command: &str) -> Command {
        let mut hv = hv();
        hv.args(["session", command, "--data"]).arg(self.data()).current_dir(self.work());
        hv
    }

    pub(crate) fn exec(&self, agent: &str, action: &str) -> Command {
        let mut exec = self.session("exec");
        exec.args(["--agent", agent, "--action", action]);
        exec
    }

    pub(crate) fn kill(&self, target: &[&str]) -> Command {
        let mut kill = hv();
        kill.arg("kill").arg("--data").arg(self.data()).args(target).args(["--reason", "it leaks"]);
        kill
    }

    fn status(&self) -> Value {
        let output = ran(self.session("status").arg("--json"));
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        json(&output)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        verify(&self.data()).unwrap().verdict
    }

    pub(crate) fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.work().join(file)).unwrap_or_default()
    }
}

fn ran(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_calm(&output);
    output
}

fn code(command: &mut Command) -> i32 {
    let output = ran(command);
    output.status.code().unwrap_or_else(|| panic!("{}", said(&output)))
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_agent_commits_and_pushes_and_both_are_undone() {
    let desk = Desk::new(&["git.commit=full", "git.push=full", "look=read-only", "deploy=none"]);
    let repository = desk.work();
    git(&repository, &["init", "-q", "-b", "main"]);
    git(&repository, &["init", "-q", "--bare", "../remote.git"]);
    git(&repository, &["remote", "add", "origin", "../remote.git"]);
    for (name, value) in [("user.name", "coder"), ("user.email", "coder@example.org")] {
        git(&repository, &["config", name, value]);
    }
    git(&repository, &["commit", "-q", "--allow-empty", "-m", "One"]);

    let look = ran(desk.exec("did:mesh:intern", "look").args(["--", "git", "log", "--format=%s"]));
    assert_eq!((look.status.code(), &*look.stdout), (Some(0), &b"One\n"[..]));
    let mut commit = desk.exec("did:mesh:coder", "git.commit");
    commit.args(["--undo", "git reset -q --soft HEAD~1", "--probe", "git log -1 --format=%s | grep -qx Two"]);
    assert_eq!(code(commit.args(["--", "git", "commit", "-q", "--allow-empty", "-m", "Two"])), 0);
    let push = |agent: &str| {
        let mut push = desk.exec(agent, "git.push");
        push.args(["--undo", "git push -q origin :main"]);
        push.args(["--probe", "git ls-remote --exit-code origin main > /dev/null || exit 1"]);
        push.args(["--", "git", "push", "-q", "origin", "main"]);
        push
    };
    assert_eq!(code(&mut push("did:mesh:intern")), 5);
    assert!(git(&repository, &["ls-remote", "origin"]).is_empty(), "a denied push does not happen");
    assert_eq!(code(&mut push("did:mesh:coder")), 0);
    assert!(!git(&repository, &["ls-remote", "origin"]).is_empty());
    // What cannot be undone needs more than its score, and what nobody allowed is denied.
    assert_eq!(code(desk.exec("did:mesh:coder", "deploy").args(["--", "true"])), 5);
    assert_eq!(code(desk.exec("did:mesh:coder", "unheard.of").args(["--", "true"])), 5);
    // An undo without a proof is no undo, and saying that less can be undone makes it stricter.
    let unproven = |action: &str| {
        let output = ran(desk.exec("did:mesh:coder", action).args(["--undo", "true", "--", "true"]));
        (output.status.code(), said(&output).contains("an undo counts with a --probe"))
    };
    assert_eq!(unproven("git.push"), (Some(5), true));
    assert_eq!(unproven("deploy"), (Some(5), false), "whatever is shown, it cannot be undone");

    assert_eq!(code(&mut desk.session("undo")), 0);
    assert!(git(&repository, &["ls-remote", "origin"]).is_empty());
    assert_eq!(code(&mut desk.session("undo")), 0);
    assert_eq!(git(&repository, &["log", "--format=%s"]), "One\n");
    assert_eq!(code(&mut desk.session("undo")), 2, "what only looked is not undone");
    let status = desk.status();
    assert_eq!(status["denials"].as_array().unwrap().len(), 5);
    assert_eq!(status["members"][0]["ring"], 2);
    assert!(matches!(desk.verdict(), Verdict::Open(_)));
    let closed = ran(desk.session("close").arg("--json"));
    assert_eq!(json(&closed)["root"].as_str().unwrap().len(), 64);
    assert_eq!(desk.verdict(), Verdict::Complete);
    assert_eq!(denials(&desk.data()).len(), 5);
}

#[test]
fn a_command_that_fails_exits_3_and_one_that_cannot_be_undone_4() {
    let desk = Desk::new(&["change=full-unproven"]);
    let change = |undo: &str, line: &str| {
        let mut exec = desk.exec("did:mesh:coder", "change");
        exec.args(["--undo", undo, "--json", "--", "sh", "-c", line]);
        ran(&mut exec)
    };
    let failed = change("true", "echo half; exit 7");
    assert_eq!(failed.status.code(), Some(3));
    let told = json(&failed);
    assert_eq!(
        (&told["command_exit"], &told["state"], &told["stdout"]),
        (&7.into(), &"compensated".into(), &"half\n".into())
    );
    assert_eq!(change("exit 9", "echo done").status.code(), Some(0));
    let undone = ran(&mut desk.session("undo"));
    assert_eq!(undone.status.code(), Some(4), "{}", said(&undone));
    // Who could not undo what it did answers for it, on the ledger: nothing of it starts any more.
    assert_eq!(change("true", "true").status.code(), Some(5));
    assert_eq!(code(&mut desk.session("close")), 0);
    assert_eq!(desk.verdict(), Verdict::Complete);
}

#[test]
fn a_secret_is_named_and_kept_out_of_the_trail() {
    let desk = Desk::new(&["look=read-only"]);
    std::fs::write(desk.folder.path().join("key"), "k-8f2e61").unwrap();
    let mut exec = desk.exec("did:mesh:intern", "look");
    exec.env("SECRET_OF_MINE", "s3cr3t-4711").args(["--env", "TOKEN=env:SECRET_OF_MINE"]);
    exec.arg("--stdin").arg(format!("file:{}", desk.folder.path().join("key").display()));
    let told = ran(exec.args(["--", "sh", "-c", "echo \"$TOKEN\"; cat; echo \"[$SECRET_OF_MINE]\""]));
    assert_eq!(String::from_utf8_lossy(&told.stdout), "[redacted]\n[redacted][]\n", "{}", said(&told));
    for file in crate::scene::files(desk.folder.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let holds = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!holds(b"s3cr3t-4711"), "{}", file.display());
        assert!(!holds(b"k-8f2e61") || file.ends_with("key"), "{}", file.display());
    }
}

/// What a command prints is there while it runs, on the stream on which it printed it, and without its secrets.
#[test]
fn what_a_command_prints_is_shown_as_it_comes() {
    let desk = Desk::new(&["look=read-only"]);
    let mut exec = desk.exec("did:mesh:intern", "look");
    exec.env("SECRET_OF_MINE", "s3cr3t-4711").args(["--env", "TOKEN=env:SECRET_OF_MINE", "--", "sh", "-c"]);
    let script = "echo one; echo aside >&2; printf 'key s3cr3t-'; until [ -e go ]; do sleep 0.05; done; echo 4711; exit 3";
    let mut child = exec.arg(script).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    // Each read ends when that much is there; the command waits meanwhile.
    let shown = |stream: &mut dyn Read, expected: &str| {
        let mut bytes = vec![0; expected.len()];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    };
    shown(&mut stdout, "one\nkey ");
    shown(&mut stderr, "aside\n");
    assert!(child.try_wait().unwrap().is_none(), "it runs");
    std::fs::write(desk.work().join("go"), "").unwrap();
    let (mut rest, mut words) = (String::new(), String::new());
    stdout.read_to_string(&mut rest).unwrap();
    stderr.read_to_string(&mut words).unwrap();
    assert_eq!((child.wait().unwrap().code(), rest.as_str()), (Some(3), "[redacted]\n"), "{words}");
    assert!(words.contains("failed (exit code 3)") && !words.contains("aside"), "once: {words}");
    // Whoever reads the beginning only keeps the command neither from its end nor from being told of.
    let mut exec = desk.exec("did:mesh:intern", "look");
    exec.args(["--", "sh", "-c", "yes | head -c 3000000; touch ended; exit 1"]);
    let mut child = exec.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut some = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert_eq!((child.wait().unwrap().code(), desk.work().join("ended").exists()), (Some(3), true));
    // What prints for ever is told by its closed pipe, as it would be without hv.
    let mut exec = desk.exec("did:mesh:intern", "look");
    exec.args(["--timeout", "60s", "--", "yes"]);
    let mut child = exec.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let ended = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{words}");
    assert!(words.contains("signal 13"), "{words}");
    assert_eq!(code(&mut desk.session("close")), 0);
    assert_eq!(desk.verdict(), Verdict::Complete);
}

/// Starts a command that takes a minute, and waits until it has begun.
fn slow(desk: &Desk, agent: &str) -> Child {
    let mut exec = desk.exec(agent, "change");
    exec.args([
        "--undo",
        "echo undone >> log",
        "--",
        "sh",
        "-c",
        "echo begun >> log; sleep 60; echo ended >> log",
    ]);
    let child = exec.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the command", || desk.text("log").ends_with("begun\n"));
    child
}

#[test]
fn a_kill_reaches_the_command_that_runs_and_holds_afterwards() {
    let desk = Desk::new(&["change=full-unproven"]);
    let running = slow(&desk, "did:mesh:coder");
    let began = Instant::now();
    assert_eq!(code(&mut desk.kill(&["--agent", "did:mesh:coder"])), 0);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(running.wait_with_output().unwrap().status.code(), Some(3));
    assert_eq!(desk.text("log"), "begun\nundone\n");
    assert_eq!(code(desk.exec("did:mesh:coder", "change").args(["--undo", "true", "--", "true"])), 5);
    assert_eq!(code(desk.session("join").args(["--agent", "did:mesh:coder"])), 5);
    assert_eq!(code(&mut desk.kill(&["--agent", "did:mesh:coder"])), 5, "it is killed already");
    assert_eq!(desk.status()["kills"][0]["target"], "agent did:mesh:coder");

    assert_eq!(code(&mut desk.kill(&["--agent", "did:mesh:coder", "--lift"])), 0);
    assert_eq!(code(desk.session("join").args(["--agent", "did:mesh:coder"])), 5, "it was put out");
    assert_eq!(code(desk.session("readmit").args(["--agent", "did:mesh:coder"])), 0);
    assert_eq!(code(desk.session("join").args(["--agent", "did:mesh:coder"])), 0);
    assert_eq!(code(desk.exec("did:mesh:coder", "change").args(["--undo", "true", "--", "true"])), 0);
    assert_eq!(code(desk.session("leave").args(["--agent", "did:mesh:coder"])), 0);
    assert_eq!(code(desk.exec("did:mesh:coder", "change").args(["--undo", "true", "--", "true"])), 5);
    assert_eq!(code(desk.session("leave").args(["--agent", "did:mesh:intern"])), 5, "the last one stays");
    assert_eq!(code(&mut desk.session("close")), 0);
    assert_eq!(desk.verdict(), Verdict::Complete);
    // Nothing is left beside the trail.
    let left: Vec<_> =
        std::fs::read_dir(desk.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn who_puts_the_last_member_out_is_told_that_its_session_ends() {
    let desk = Desk::new(&["change=full-unproven"]);
    let ends = |command: &mut Command| {
        let output = ran(command);
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output);
        assert_eq!(output.status.code(), Some(0), "{told}");
        told.contains("is ending, and nobody can join it")
    };
    let (coder, intern) = (["--agent", "did:mesh:coder"], ["--agent", "did:mesh:intern"]);
    assert!(!ends(&mut desk.kill(&coder)), "another member is there");
    assert!(ends(&mut desk.kill(&intern)));
    assert!(!ends(&mut desk.kill(&["--action", "change"])), "it ended before");
    assert!(!ends(&mut desk.kill(&[&intern[..], &["--lift"]].concat())));
    assert!(ends(desk.session("readmit").args(intern)), "it cannot join all the same");
    assert_eq!(code(desk.session("join").args(intern)), 5);
    let readmitted = ran(desk.session("readmit").args(coder).arg("--json"));
    assert_eq!(json(&readmitted)["ending"], true);
}

/// What was done in spite of it is taken back, and is no failure of the command.
#[test]
fn a_command_that_somebody_interrupts_did_not_fail() {
    let desk = Desk::new(&["change=full"]);
    let mut exec = desk.exec("did:mesh:coder", "change");
    exec.args(["--undo", "rm MADE", "--probe", "test -e MADE", "--", "sh", "-c", "touch MADE; sleep 1"]);
    let child = exec.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the command", || desk.work().join("MADE").exists());
    crate::scene::signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let words = said(&output);
    assert!(words.contains("e1 was interrupted (exit code 0); what it left is undone"), "{words}");
    assert!(!desk.work().join("MADE").exists());
}

#[test]
fn an_undo_that_is_missing_is_what_would_be_enough() {
    let desk = Desk::new(&["change=full-unproven", "deploy=none"]);
    let denied = |action: &str| {
        let denied = ran(desk.exec("did:mesh:coder", action).args(["--", "true"]));
        assert_eq!(denied.status.code(), Some(5), "{}", said(&denied));
        said(&denied)
    };
    assert!(denied("change").contains("or --undo, with which it counts"), "{}", denied("change"));
    assert!(!denied("deploy").contains("--undo"), "no undo helps there");
}

#[test]
fn what_a_killed_command_left_is_settled_by_the_next_one() {
    let desk = Desk::new(&["change=full-unproven"]);
    let mut running = slow(&desk, "did:mesh:coder");
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(matches!(desk.verdict(), Verdict::Open(_)));
    let next = ran(desk.exec("did:mesh:coder", "change").args(["--undo", "true", "--", "echo", "next"]));
    assert_eq!((next.status.code(), &*next.stdout), (Some(0), &b"next\n"[..]), "{}", said(&next));
    assert!(said(&next).contains("e1 was interrupted; what it left is undone"), "{}", said(&next));
    assert_eq!(desk.text("log"), "begun\nundone\n");
}

/// What an agent has begun with a command that is done, as a server to try its work with, is none of what is left.
#[test]
fn what_a_command_that_is_done_has_begun_outlives_another_that_is_killed() {
    let desk = Desk::new(&["change=full-unproven"]);
    let begun =
        ran(desk.exec("did:mesh:coder", "change").args(["--undo", "true", "--", "sh", "-c", SERVICE]));
    assert_eq!(begun.status.code(), Some(0), "{}", said(&begun));
    let mut running = slow(&desk, "did:mesh:coder");
    running.kill().unwrap();
    running.wait().unwrap();
    let next = ran(desk.exec("did:mesh:coder", "change").args(["--undo", "true", "--", "true"]));
    assert_eq!(next.status.code(), Some(0), "{}", said(&next));
    assert_eq!(desk.text("log"), "begun\nundone\n");
    let service = desk.text("SERVICE");
    assert!(runs(&service), "{}", said(&next));
    assert!(Command::new("kill").arg(service.trim()).status().unwrap().success());
}

#[test]
fn two_commands_on_one_folder_wait_for_each_other_or_say_so() {
    let desk = Desk::new(&["change=full-unproven", "look=read-only"]);
    let running = slow(&desk, "did:mesh:coder");
    let refused = ran(desk.exec("did:mesh:intern", "look").args(["--wait", "100ms", "--", "true"]));
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("another command works on"), "{}", said(&refused));
    // Who only reads does not wait.
    let list = ran(desk.session("list").arg("--json"));
    assert_eq!(json(&list)["sessions"][0]["state"], "open");
    let waiting =
        desk.exec("did:mesh:intern", "look").args(["--", "echo", "waited"]).stdout(Stdio::piped()).spawn();
    crate::scene::signal(&running, "INT");
    assert_eq!(running.wait_with_output().unwrap().status.code(), Some(3));
    let waited = waiting.unwrap().wait_with_output().unwrap();
    assert_eq!((waited.status.code(), &*waited.stdout), (Some(0), &b"waited\n"[..]));
    assert_eq!(desk.text("log"), "begun\nundone\n");
}

#[test]
fn what_is_asked_of_the_wrong_session_says_which_there_are() {
    let desk = Desk::new(&["look=read-only"]);
    let mut nowhere = hv();
    nowhere.args(["session", "status", "--data"]).arg(desk.folder.path().join("nothing"));
    assert_eq!(code(&mut nowhere), 2);
    assert_eq!(code(desk.session("open").args(["--id", "second"])), 0);
    assert_eq!(code(desk.session("open").args(["--id", "second"])), 5);
    let which = ran(&mut desk.session("status"));
    assert_eq!(which.status.code(), Some(2));
    assert!(said(&which).contains("second"), "{}", said(&which));
    assert_eq!(code(desk.session("status").args(["--session", "second"])), 0);
    assert_eq!(code(desk.session("status").args(["--session", "third"])), 2);
    assert_eq!(code(desk.session("close").args(["--session", "second"])), 0);
    assert_eq!(code(desk.session("open").args(["--duration", "8d"])), 2);
    assert_eq!(code(desk.session("open").args(["--allow", "x=harmless"])), 2);
    let list = json(&ran(desk.session("list").arg("--json")));
    let states: Vec<&Value> =
        list["sessions"].as_array().unwrap().iter().map(|line| &line["state"]).collect();
    assert_eq!(states, ["open", "ended"]);
}

/// What nobody may ask for is bad input, and no refusal of what an agent may do; it says which limit there is.
#[test]
fn what_is_above_a_limit_of_a_step_is_bad_input_and_names_the_limit() {
    let desk = Desk::new(&["look=read-only"]);
    for (option, value, limit) in
        [("--timeout", "8d", "604800 s"), ("--timeout", "0s", "1 ms"), ("--retries", "101", "100")]
    {
        for verb in ["exec", "rehearse"] {
            let mut asked = desk.session(verb);
            asked.args([
                "--agent",
                "did:mesh:coder",
                "--action",
                "look",
                option,
                value,
                "--",
                "touch",
                "done",
            ]);
            let output = ran(&mut asked);
            assert_eq!(output.status.code(), Some(2), "{verb} {option} {value}: {}", said(&output));
            assert!(said(&output).contains(limit), "{verb} {option} {value}: {}", said(&output));
        }
    }
    assert!(!desk.work().join("done").exists());
    assert!(denials(&desk.data()).is_empty());
    assert_eq!(code(desk.exec("did:mesh:coder", "look").args(["--timeout", "7d", "--", "true"])), 0);
}

#[test]
fn a_reason_says_something() {
    let desk = Desk::new(&["look=read-only"]);
    let data = desk.data();
    let data = data.to_str().unwrap();
    for command in [
        &["kill", "--data", data, "--all"][..],
        &["kill", "--data", data, "--all", "--lift"],
        &["audit", "hold", data, "add"],
        &["elevate", "--data", data, "--agent", "did:mesh:coder", "--action", "look"],
    ] {
        for nothing in ["", " \t"] {
            let output = ran(hv().args(command).args(["--reason", nothing]));
            assert_eq!(output.status.code(), Some(2), "{command:?}: {}", said(&output));
            assert!(said(&output).contains("say in a few words why"), "{command:?}: {}", said(&output));
        }
    }
    // Nothing was killed.
    assert_eq!(code(desk.exec("did:mesh:coder", "look").args(["--", "true"])), 0);
}

#[test]
fn an_undo_that_failed_counts_again_when_it_was_rehearsed_or_a_witness_has_said_so() {
    let desk = Desk::new(&["file.make=full", "db.migrate=full-rehearsed"]);
    let call = |verb: &str, agent: &str, action: &str, file: &str, undo: &str| {
        let mut call = desk.session(verb);
        call.args(["--agent", agent, "--action", action, "--probe", &format!("test -e {file}")]);
        call.args(["--undo", &format!("{undo} {file}"), "--", "touch", file]);
        call
    };
    assert_eq!(code(desk.session("join").args(["--agent", "did:mesh:other", "--sigma", "0.85"])), 0);
    let (coder, other) = ("did:mesh:coder", "did:mesh:other");
    // A probe alone is not enough where a rehearsal is demanded; the agent would say so of itself.
    let denied = ran(&mut call("exec", other, "db.migrate", "two", "rm"));
    assert_eq!(denied.status.code(), Some(5));
    assert!(said(&denied).contains("counts only once it was rehearsed"), "{}", said(&denied));
    let flawed = ran(&mut call("rehearse", other, "db.migrate", "two", "true"));
    assert_eq!(flawed.status.code(), Some(4), "{}", said(&flawed));
    let rehearsed = ran(&mut call("rehearse", coder, "db.migrate", "three", "rm"));
    assert_eq!(rehearsed.status.code(), Some(0), "{}", said(&rehearsed));
    assert!(!desk.work().join("three").exists());
    assert_eq!(code(&mut call("exec", coder, "db.migrate", "four", "rm")), 5, "another call");
    assert_eq!(code(&mut call("exec", coder, "db.migrate", "three", "rm")), 0);
    assert!(desk.work().join("three").exists());

    // An undo that fails closes its action to the next call, also where nothing was demanded.
    let desk = Desk::new(&["file.make=full"]);
    let call = |verb: &str, agent: &str, file: &str, undo: &str| {
        let mut call = desk.session(verb);
        call.args(["--agent", agent, "--action", "file.make", "--probe", &format!("test -e {file}")]);
        call.args(["--undo", &format!("{undo} {file}"), "--", "touch", file]);
        call
    };
    assert_eq!(code(desk.session("join").args(["--agent", other, "--sigma", "0.85"])), 0);
    assert_eq!(code(&mut call("exec", other, "one", "false")), 0);
    assert_eq!(code(&mut desk.session("undo")), 4);
    let status = desk.status();
    assert_eq!(status["undos"][0]["action"], "file.make");
    assert_eq!(status["undos"][0]["failed"]["agent"], other);
    let denied = ran(&mut call("exec", coder, "two", "rm"));
    assert_eq!(denied.status.code(), Some(5));
    assert!(said(&denied).contains("an undo of file.make failed in this session"), "{}", said(&denied));
    assert_eq!(code(&mut call("rehearse", coder, "two", "rm")), 0);
    assert_eq!(code(&mut call("exec", coder, "two", "rm")), 0);
    assert_eq!(desk.status()["undos"][0]["rehearsed_by"], serde_json::json!([coder]));
    let listed = ran(hv().args(["saga", "list"]).arg(desk.data()));
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.contains("hv saga restore"), "{text}");
    assert!(text.contains("name one first: hv node configure --did DID --witness DID"), "{text}");
    // The call that a witness would sign is printed; this node listens to nobody, so nobody's word counts.
    let asked = ran(hv().args(["saga", "restore"]).arg(desk.data()).args(["file.make", "--by", coder]));
    assert_eq!(asked.status.code(), Some(0), "{}", said(&asked));
    assert_eq!(json(&asked)["call"]["action"], "hv.undo.restore");
    let mut configure = hv();
    configure.args(["node", "configure", "--did", "did:web:node.example", "--data"]).arg(desk.data());
    let configured = ran(&mut configure);
    assert!(said(&configured).contains("nothing of this can be changed"), "{}", said(&configured));
    let again = said(&ran(&mut configure));
    assert!(again.contains("without a witness, and only the word of one could change it"), "{again}");
    assert!(!again.contains("enough would be"), "{again}");
    let listed = ran(hv().args(["saga", "list"]).arg(desk.data()));
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("this node has none, and only a witness could change that"), "{listed}");
}

/// What waits for a person is settled one by one, also where two sessions of one name left a step of one name.
#[test]
fn of_two_that_are_called_the_same_the_one_that_waits_longer_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let hv = |words: &[&str]| {
        let mut command = hv();
        let output = ran(command.args(words).current_dir(folder.path()));
        let told = said(&output);
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &told)
    };
    let human = hv(&["id", "new", "--key", "human.key"]).1;
    let human = human.lines().next().unwrap();
    assert_eq!(
        hv(&["node", "configure", "--data", "t", "--did", "did:web:n", "--witness", human]).0,
        Some(0)
    );
    for agent in ["did:mesh:a", "did:mesh:b"] {
        let session = |words: &[&str], code| {
            let all = [&["session"], words].concat();
            let (ended, told) = hv(&all);
            assert_eq!(ended, Some(code), "{words:?}: {told}");
        };
        session(&["open", "--data", "t", "--id", "live", "--allow", "make=full-unproven"], 0);
        session(&["join", "--data", "t", "--agent", agent, "--sigma", "0.9"], 0);
        session(&["activate", "--data", "t"], 0);
        let exec =
            ["exec", "--data", "t", "--agent", agent, "--action", "make", "--undo", "false", "--", "true"];
        session(&exec, 0);
        session(&["undo", "--data", "t"], 4);
        session(&["close", "--data", "t"], 0);
    }
    for left in [1, 0] {
        let (code, call) = hv(&["saga", "resolve", "t", "e1", "--by", "did:mesh:op"]);
        assert_eq!(code, Some(0), "{call}");
        std::fs::write(folder.path().join("call.json"), call).unwrap();
        let to_sign = ["id", "sign", "--key", "human.key", "--type", "witness", "--audience", "did:web:n"];
        let word = hv(&[&to_sign[..], &["--deadline", "1h", "call.json"]].concat()).1;
        std::fs::write(folder.path().join("word.json"), word).unwrap();
        let (code, told) = hv(&["saga", "resolve", "t", "live/e1/e1", "--witness", "word.json"]);
        assert_eq!(code, Some(0), "{told}");
        let listed = hv(&["saga", "list", "t"]).1;
        assert_eq!(listed.matches("waits for a person").count(), left, "{listed}");
        assert_eq!(listed.matches("escalated, its step could not be undone").count(), 2, "{listed}");
    }
}

/// Whether anything was undone is said as it is: without a probe nobody looked.
#[test]
fn what_a_failed_command_left_is_said_as_it_is_known() {
    let desk = Desk::new(&["unproven=full-unproven", "proven=full", "look=read-only"]);
    let failed = |action: &str, options: &[&str]| {
        let mut exec = desk.exec("did:mesh:coder", action);
        exec.args(options).args(["--", "sh", "-c", "touch LEFT; echo why >&2; exit 5"]);
        let output = ran(&mut exec);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        said(&output)
    };
    let undo = ["--undo", "rm -f LEFT"];
    let words = failed("unproven", &undo);
    assert!(words.contains("nothing was undone") && !words.contains("is undone"), "{words}");
    assert!(desk.work().join("LEFT").exists());
    let words = failed("proven", &[undo[0], undo[1], "--probe", "test -e LEFT"]);
    assert!(words.contains("what it left is undone"), "{words}");
    assert!(!desk.work().join("LEFT").exists());
    let words = failed("proven", &[undo[0], undo[1], "--probe", "exit 1"]);
    assert!(words.contains("its probe finds nothing of it"), "{words}");
    let words = failed("look", &[]);
    assert!(words.trim_end().ends_with("failed (exit code 5)"), "{words}");
    // The status says why, as the program said it.
    assert_eq!(desk.status()["steps"][0]["attempts"][0]["printed"], "why");
}

/// `hv run --resume` goes on with runs. It once ended the session of a live agent, and called undone what was not.
#[test]
fn a_session_that_no_run_began_is_not_ended_by_one() {
    let desk = Desk::new(&["change=full"]);
    let undo = ["--undo", "rm MADE", "--probe", "test -e MADE"];
    let made = ran(desk.exec("did:mesh:coder", "change").args(undo).args(["--", "touch", "MADE"]));
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    let file = desk.folder.path().join("run.json");
    let steps = vec![crate::scene::look("look", crate::scene::sh("true"))];
    std::fs::write(&file, crate::scene::file(0.9, steps).to_string()).unwrap();
    let resume = || {
        let mut resume = hv();
        resume.args(["run", "--resume", "--data"]).arg(desk.data());
        resume
    };
    let mut begin = hv();
    begin
        .arg("run")
        .arg(&file)
        .arg("--data")
        .arg(desk.data())
        .arg("--work")
        .arg(desk.folder.path().join("new"));
    let refused = |command: &mut Command| {
        let refused = ran(command);
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        let words = said(&refused);
        assert!(words.contains("was not begun by `hv run`") && words.contains("hv session list"), "{words}");
        let verified = ran(hv().args(["audit", "verify"]).arg(desk.data()));
        let words = String::from_utf8_lossy(&verified.stdout);
        assert!(words.contains("sealed up to batch"), "it is left as it was found: {words}");
    };
    refused(&mut resume());
    refused(&mut begin);
    assert_eq!(code(&mut desk.session("undo")), 0, "it goes on");
    assert!(!desk.work().join("MADE").exists());
    assert_eq!(code(&mut desk.session("close")), 0);
    // Nor is one that has ended reported as a run.
    refused(&mut resume());
}

/// What a step is called by itself is free, whatever others have called theirs.
#[test]
fn nobody_takes_the_name_of_a_step_to_come() {
    let desk = Desk::new(&["look=read-only", "make=full"]);
    assert_eq!(code(desk.exec("did:mesh:intern", "look").args(["--step", "e2", "--", "true"])), 0);
    for _ in 0..2 {
        let output = ran(desk.exec("did:mesh:coder", "look").args(["--", "true"]));
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    let names: Vec<Value> =
        desk.status()["steps"].as_array().unwrap().iter().map(|step| step["id"].clone()).collect();
    assert_eq!(names, ["e2", "e3", "e4"]);
    assert_eq!(code(desk.exec("did:mesh:intern", "look").args(["--step", "rehearsal5", "--", "true"])), 0);
    let mut rehearse = desk.session("rehearse");
    rehearse.args(["--agent", "did:mesh:coder", "--action", "make", "--probe", "test -e five"]);
    let output = ran(rehearse.args(["--undo", "rm five", "--", "touch", "five"]));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn names_of_hv_and_scores_out_of_range_are_refused_by_name() {
    let desk = Desk::new(&["look=read-only"]);
    let mut refused = Vec::new();
    for arguments in [["allow", "hv.files.change=read-only"], ["allow", "hv.x=none"]] {
        refused.push((ran(desk.session(arguments[0]).arg(arguments[1])), "kept for hv"));
    }
    let mut join = desk.session("join");
    refused.push((ran(join.args(["--agent", "did:mesh:new", "--sigma", "-1"])), "from 0 to 1"));
    for (output, words) in refused {
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}

#[test]
fn why_a_command_did_not_run_and_what_was_not_kept_is_said() {
    let desk = Desk::new(&["look=read-only"]);
    for (options, words) in [
        (&["--", "/nowhere/program"][..], "it could not be started: "),
        (
            &["--env", "TOKEN=env:HV_NO_SUCH_VARIABLE", "--", "true"],
            "`env:HV_NO_SUCH_VARIABLE` cannot be read",
        ),
        (&["--timeout", "100ms", "--", "sleep", "60"], "it did not end in time"),
    ] {
        let output = ran(desk.exec("did:mesh:coder", "look").arg("--json").args(options));
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
        assert!(json(&output)["failure"].as_str().unwrap().contains(words), "{}", said(&output));
    }
    let mut long = desk.exec("did:mesh:coder", "look");
    let output = ran(long.args(["--", "sh", "-c", "head -c 1048580 /dev/zero"]));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 1_048_580), "all of it is shown");
    assert!(said(&output).contains("printed 4 bytes more"), "{}", said(&output));
}

#[test]
fn programs_get_a_document_also_where_they_are_refused() {
    let desk = Desk::new(&[]);
    let refused = ran(desk.session("join").args(["--agent", "did:mesh:coder", "--sigma", "0.9", "--json"]));
    assert_eq!((refused.status.code(), json(&refused)["exit_code"].as_u64()), (Some(5), Some(5)));
    assert!(json(&refused)["denial"]["reason"].as_str().unwrap().contains("is a member already"));
    let mut write = hv();
    write
        .args(["vfs", "write", "--json", "--agent", "did:mesh:intern", "--data"])
        .arg(desk.data())
        .arg("plan");
    let refused = ran(write.stdin(Stdio::null()));
    assert_eq!(refused.status.code(), Some(5), "{}", said(&refused));
    assert!(json(&refused)["denial"]["needs"].as_str().unwrap().contains("0.60"), "{}", said(&refused));
}
