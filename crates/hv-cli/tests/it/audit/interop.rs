//! What hv exports, in the hands of programs by others: the packages aics-tlog and aics-witness.

use super::outside::Desk;
use super::{deep, trails};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The virtual environment with the two packages. Where it is missing the test is skipped, loudly; with
/// `HV_REQUIRE_SERVICES=1` it fails instead.
fn venv() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("HV_TEST_TLOG_VENV") {
        return Some(PathBuf::from(folder));
    }
    let required = std::env::var_os("HV_REQUIRE_SERVICES").is_some_and(|value| value == "1");
    assert!(!required, "HV_TEST_TLOG_VENV names no folder, and HV_REQUIRE_SERVICES=1");
    std::io::stderr().write_all(b"SKIPPED: HV_TEST_TLOG_VENV names no folder\n").unwrap();
    None
}

/// The public key that is told when a checkpoint is signed.
fn vkey(told: &str) -> String {
    let line = told.lines().find_map(|line| line.trim().strip_prefix("key  "));
    line.unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[tokio::test]
async fn another_program_accepts_the_tiles_and_the_proofs() {
    let Some(venv) = venv() else { return };
    let desk = Desk::new();
    let dir = desk.path("t");
    // Enough sessions for tiles on two levels, in the long version.
    trails::of_many_sessions(&dir, if deep() { 300 } else { 20 });
    let key = vkey(&desk.done("audit checkpoint t --key log.key --origin log.example/hv --mark older"));
    trails::of_one_session_more(&dir);
    desk.done("audit checkpoint t --key log.key --origin log.example/hv --mark newer");
    desk.done("audit export t --to tiles --tiles --checkpoint newer");
    let mut proofs = Vec::new();
    for (at, what) in
        ["--session s1 --record 0", "--session s1 --record 1", "--stream 1 --record 0", "--record 2"]
            .iter()
            .enumerate()
    {
        let name = format!("{at}.tlog-proof");
        desk.keep(&name, &desk.done(&format!("audit prove t {what} --checkpoint newer")));
        proofs.push(desk.path(&name));
    }
    let script = crate::root().join("crates/hv-cli/tests/tlog/check.py");
    let output = Command::new(venv.join("bin/python"))
        .arg(script)
        .args([desk.path("tiles").into_os_string(), key.into(), desk.path("older").into_os_string()])
        .args(&proofs)
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stdout.lines().filter(|line| line.starts_with("proof")).count(), 4, "{stdout}");
    // And refuses another: one byte of a tile.
    let tile = desk
        .path("tiles/tile/0")
        .join(fs::read_dir(desk.path("tiles/tile/0")).unwrap().next().unwrap().unwrap().file_name());
    let tile =
        if tile.is_dir() { fs::read_dir(&tile).unwrap().next().unwrap().unwrap().path() } else { tile };
    let mut bytes = fs::read(&tile).unwrap();
    bytes[7] ^= 1;
    fs::write(&tile, bytes).unwrap();
    let output = Command::new(venv.join("bin/python"))
        .arg(crate::root().join("crates/hv-cli/tests/tlog/check.py"))
        .args([
            desk.path("tiles").into_os_string(),
            vkey_of(&desk).into(),
            desk.path("older").into_os_string(),
        ])
        .output()
        .unwrap();
    assert!(!output.status.success());
}

fn vkey_of(desk: &Desk) -> String {
    let (_, document) = desk.json("audit check newer --key log.key");
    document["key"].as_str().unwrap().to_owned()
}

/// A witness that listens, until it is dropped.
struct Witness {
    program: Child,
    port: u16,
    key: String,
}

impl Witness {
    fn start(venv: &std::path::Path, desk: &Desk, log: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = desk.path("witness.json");
        let run = |words: &[&str]| {
            let mut program = Command::new(venv.join("bin/python"));
            program.args(["-m", "aics_witness"]).args(words).arg("--config").arg(&config);
            program.current_dir(desk.path(""));
            program
        };
        let output = run(&["init", "--name", "witness.example/other"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let key = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let output = run(&["add-log", "--origin", "log.example/hv", "--vkey", log]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut program = run(&["serve", "--listen", &format!("127.0.0.1:{port}")]);
        let program = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let witness = Self { program, port, key };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the witness does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        witness
    }

    /// Asks it to cosign; gives the status and the body.
    fn ask(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let length = request.len();
        write!(stream, "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{request}")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[tokio::test]
async fn another_program_cosigns_growth_and_answers_a_fork_with_422() {
    let Some(venv) = venv() else { return };
    let desk = Desk::new();
    let dir = desk.path("t");
    trails::of_many_sessions(&dir, 5);
    let sign = |trail: &str, mark: &str| {
        desk.done(&format!("audit checkpoint {trail} --key log.key --origin log.example/hv --mark {mark}"))
    };
    let key = vkey(&sign("t", "m"));
    let witness = Witness::start(&venv, &desk, &key);
    desk.keep("other.vkey", &witness.key);
    let size =
        |mark: &str| desk.json(&format!("audit check {mark} --key log.key")).1["size"].as_u64().unwrap();

    let (status, line) = witness.ask(&desk.done("audit prove t --from 0 --checkpoint m"));
    assert_eq!(status, 200, "{line}");
    desk.keep("cosigned", &line);
    desk.done("audit witness add m --witness other.vkey cosigned");
    let (code, document) = desk.json("audit verify t --mark m --key log.key --witness other.vkey");
    assert_eq!((code, document["level"]["name"].as_str().unwrap()), (0, "L2"));

    let first = size("m");
    trails::of_one_session_more(&dir);
    sign("t", "n");
    let grown = desk.done(&format!("audit prove t --from {first} --checkpoint n"));
    assert_eq!(
        witness.ask(&desk.done("audit prove t --from 0 --checkpoint n")).0,
        409,
        "it saw more than that"
    );
    // Asked over HTTP, it says itself from where it would go on.
    let ask = |trail: &str, mark: &str, key: &str| {
        desk.hv(&format!(
            "audit witness ask {trail} --mark {mark} --url http://127.0.0.1:{} --witness {key}",
            witness.port
        ))
    };
    let (code, _, stderr) = ask("t", "n", "w1.vkey");
    assert!(code == 1 && stderr.contains("no cosignature of that witness"), "{code} {stderr}");
    let (code, _, stderr) = ask("t", "n", "other.vkey");
    assert_eq!(code, 0, "{stderr}");
    let (code, document) = desk.json("audit verify t --mark n --key log.key --witness other.vkey");
    assert_eq!((code, document["level"]["name"].as_str().unwrap()), (0, "L2"));
    assert_eq!(witness.ask(&grown).0, 409, "it saw it already");

    // The same log with another history, signed with the same key.
    trails::of_other_sessions(&desk.path("forged"), 9);
    sign("forged", "f");
    let seen = size("n");
    assert!(size("f") > seen);
    let fork = desk.done(&format!("audit prove forged --from {seen} --checkpoint f"));
    let (status, body) = witness.ask(&fork);
    assert_eq!(status, 422, "{body}");
    let before = fs::read(desk.path("f")).unwrap();
    let (code, _, stderr) = ask("forged", "f", "other.vkey");
    assert!(code == 1 && stderr.contains("(422)"), "{code} {stderr}");
    let (code, _, stderr) = ask("t", "f", "other.vkey");
    assert!(code == 1 && stderr.contains("no checkpoint of this trail"), "{code} {stderr}");
    assert_eq!(fs::read(desk.path("f")).unwrap(), before);
    // Ours answers alike.
    desk.keep("grown", &desk.done("audit prove t --from 0 --checkpoint n"));
    desk.keep("fork", &fork);
    let cosign = "audit witness cosign --key w1.key --name w.example/w1 --log log.key --state seen";
    desk.done(&format!("{cosign} grown"));
    let (code, answer) = desk.json(&format!("{cosign} fork"));
    assert_eq!((code, answer["status"].as_u64()), (1, Some(422)));
}
