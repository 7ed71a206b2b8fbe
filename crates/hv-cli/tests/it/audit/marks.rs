//! `hv run --mark`: what lies outside the folder speaks for what a run has done, while it goes on and when it has ended.

use super::outside::Desk;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const WORK: &str = r#"
[session]
id = "marked"

[[agent]]
did = "did:mesh:clerk"
sigma = 0.85

[[action]]
id = "file.write"
reversibility = "full"

[[step]]
id = "first"
agent = "did:mesh:clerk"
action = "file.write"
execute = { command = ["sh", "-c", "echo first > first"] }
undo = { command = ["rm", "-f", "first"] }
probe = { command = ["test", "-e", "first"] }

[[step]]
id = "waits"
after = ["first"]
agent = "did:mesh:clerk"
action = "file.write"
execute = { command = ["sh", "-c", "until test -e go; do sleep 0.02; done; echo > second"] }
undo = { command = ["rm", "-f", "second"] }
probe = { command = ["test", "-e", "second"] }
"#;

const RUN: &str = "--data t --work w --mark m --mark-key log.key --mark-every 50ms --json --quiet";

fn run(desk: &Desk, what: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hv"))
        .arg("run")
        .args(what.split_whitespace().chain(RUN.split_whitespace()))
        .current_dir(desk.path(""))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn copied(desk: &Desk, from: &str, to: &str) {
    let copy = Command::new("cp").args(["-r", from, to]).current_dir(desk.path("")).status().unwrap();
    assert!(copy.success());
}

#[test]
fn a_run_is_signed_outside_its_folder_while_it_goes_on_and_when_it_has_ended() {
    let desk = Desk::new();
    desk.keep("work.toml", WORK);
    let mut life = run(&desk, "work.toml");
    until("there is a mark of the first step", || {
        desk.path("w/first").exists()
            && desk.path("m").exists()
            && desk.json("audit verify t --mark m --key log.key").1["level"]["up_to"].as_u64() > Some(4)
    });
    life.kill().unwrap();
    life.wait().unwrap();
    let (code, found) = desk.json("audit verify t --mark m --key log.key");
    assert_eq!((code, &found["level"]["name"]), (0, &"L1".into()), "{found}");
    let (killed, up_to) =
        (found["level"]["end"].as_u64().unwrap(), found["level"]["up_to"].as_u64().unwrap());
    assert!(up_to <= killed);
    copied(&desk, "t", "killed");

    fs::write(desk.path("w/go"), "").unwrap();
    assert!(run(&desk, "--resume").wait().unwrap().success());
    let (code, found) = desk.json("audit verify t --sealed --mark m --key log.key");
    assert_eq!((code, &found["level"]["name"]), (0, &"L1".into()), "{found}");
    assert_eq!(found["level"]["up_to"], found["level"]["end"], "all of it");
    // The state as it was when it was killed is an honest one, and not that of the mark.
    let (code, found) = desk.json("audit verify killed --mark m --key log.key");
    assert_eq!((code, &found["verdict"]), (1, &"tampered".into()), "{found}");
    // Asked once more, it is the same.
    let mark = fs::read(desk.path("m")).unwrap();
    assert!(run(&desk, "--resume").wait().unwrap().success());
    let (code, found) = desk.json("audit verify t --sealed --mark m --key log.key");
    assert_eq!((code, found["level"]["up_to"] == found["level"]["end"]), (0, true), "{found}");
    let (again, before) = (fs::read_to_string(desk.path("m")).unwrap(), String::from_utf8(mark).unwrap());
    assert_eq!(again.lines().next(), before.lines().next(), "the same log");
}

#[test]
fn a_mark_that_is_none_or_in_the_folder_is_refused_before_anything_is_run() {
    let desk = Desk::new();
    desk.keep("work.toml", WORK);
    let refused = |options: &str| {
        let (code, _, stderr) = desk.hv(&format!("run work.toml --data t --work w --quiet {options}"));
        assert!(!desk.path("t").exists() && !desk.path("w").exists(), "{options}: {stderr}");
        (code, stderr)
    };
    let (code, stderr) = refused("--mark t/m --mark-key log.key");
    assert!(code == 2 && stderr.contains("must not lie in the folder"), "{code} {stderr}");
    let (code, stderr) = refused("--mark m --mark-key nowhere.key");
    assert!(code == 2 && stderr.contains("nowhere.key"), "{code} {stderr}");
    desk.keep("m", "something else\n");
    let (code, stderr) = refused("--mark m --mark-key log.key");
    assert!(code == 2 && stderr.contains("it is not overwritten"), "{code} {stderr}");
    let (code, stderr) = refused("--mark no/such/m --mark-key log.key");
    assert!(code == 2 && stderr.contains("it cannot be written"), "{code} {stderr}");
    // Nor anything of it in the folder of another trail.
    desk.keep("one.toml", &WORK[..WORK.rfind("[[step]]").unwrap()]);
    assert_eq!(desk.hv("run one.toml --data other --work otherwork --quiet").0, 0);
    let (code, stderr) = refused("--mark other/m --mark-key log.key");
    assert!(code == 2 && stderr.contains("is the folder of a trail"), "{code} {stderr}");
    let (code, _, stderr) = desk.hv("run work.toml --data t --work other/w --quiet");
    assert!(code == 2 && stderr.contains("must not lie in one another"), "{code} {stderr}");
    assert_eq!(desk.json("audit verify other").0, 0);
    for options in ["--mark m", "--mark-key log.key", "--mark m --mark-key log.key --mark-every 0s"] {
        assert_eq!(refused(options).0, 2, "{options}");
    }
}
