//! `hv audit anchor`, with a real node of a chain, a real time-stamping authority, a file and a repository.
//!
//! `HV_TEST_ANVIL` names the folder where the node is installed. Without it, what needs one leaves itself out, loudly; with
//! `HV_REQUIRE_SERVICES=1` it fails instead.

use super::{Place, audit, audit_json};
use hv_core::anchor::evm::{DATA_PREFIX, transaction_of};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{
    Checkpoint, FileLog, FileOptions, Log, Rfc6962, StreamNo, Transcript, Verdict, verify_on,
};
use hv_core::event::RECORD_VERSION;
use hv_core::types::{Digest, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The first account of every development chain.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

fn skip(why: &str) {
    let required = std::env::var_os("HV_REQUIRE_SERVICES").is_some_and(|value| value == "1");
    assert!(!required, "HV_REQUIRE_SERVICES=1, and {why}");
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}

/// A chain of one node, which mines when it is told to; stopped in the end.
struct Chain {
    node: Child,
    url: String,
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

impl Chain {
    fn start() -> Option<Self> {
        let Some(folder) = std::env::var_os("HV_TEST_ANVIL") else {
            skip("HV_TEST_ANVIL names no folder with anvil; `cargo xtask test` prepares one");
            return None;
        };
        // The package for this platform is the only one that is installed.
        let packages = fs::read_dir(Path::new(&folder).join("node_modules/@foundry-rs")).unwrap();
        let mut programs = packages.map(|package| package.unwrap().path().join("bin/anvil"));
        let program = programs.find(|program| program.is_file()).expect("anvil for this platform");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let node = Command::new(&program)
            .args(["--host", "127.0.0.1", "--no-mining", "--silent", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let chain = Self { node, url: format!("http://127.0.0.1:{port}") };
        let until = Instant::now() + Duration::from_secs(60);
        while chain.try_ask("eth_chainId", &json!([])).is_none() {
            assert!(Instant::now() < until, "the node does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(chain)
    }

    fn try_ask(&self, method: &str, params: &Value) -> Option<Value> {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(host).ok()?;
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let head = "Content-Type: application/json\r\nConnection: close\r\n";
        let request =
            format!("POST / HTTP/1.1\r\nHost: {host}\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer.get("result").cloned()
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        self.try_ask(method, params).unwrap_or_else(|| panic!("{method}: no answer"))
    }

    fn mine(&self, blocks: u64) {
        self.ask("anvil_mine", &json!([format!("{blocks:#x}")]));
    }

    /// How often each digest stands on the chain.
    fn anchored(&self) -> BTreeMap<String, u32> {
        let last = self.ask("eth_blockNumber", &json!([]));
        let last = u64::from_str_radix(&last.as_str().unwrap()[2..], 16).unwrap();
        let mut found = BTreeMap::new();
        let prefix: String = DATA_PREFIX.iter().map(|byte| format!("{byte:02x}")).collect();
        for number in 0..=last {
            let block = self.ask("eth_getBlockByNumber", &json!([format!("{number:#x}"), true]));
            for transaction in block["transactions"].as_array().unwrap() {
                let data = transaction["input"].as_str().unwrap().trim_start_matches("0x");
                let digest = data.strip_prefix(&prefix).expect("nothing else happens here");
                *found.entry(digest.to_owned()).or_default() += 1;
            }
        }
        found
    }

    /// One go of `hv audit anchor`.
    fn go(&self, dir: &Path) -> Vec<Value> {
        let output = self.command(dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap().as_array().unwrap().clone()
    }

    fn command(&self, dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hv"));
        command.args(["audit", "anchor"]).arg(dir).args(["--to", "evm", "--at", &self.url]);
        command.args(["--key", "env:HV_TEST_KEY", "--confirmations", "3", "--json"]);
        command.env("HV_TEST_KEY", KEY).stdout(Stdio::piped());
        command
    }
}

fn states(dir: &Path) -> Vec<String> {
    let (code, records) = audit_json("show", dir, &[]);
    assert_eq!(code, 0);
    let events = records.as_array().unwrap().iter().flat_map(|record| record["events"].as_array().unwrap());
    let moved = events.filter(|event| event["event"] == "node.anchor_moved");
    moved.map(|event| event["state"].as_str().unwrap().to_owned()).collect()
}

/// What `hv audit verify` says where it looks for anchors at a place: exit code, the highest level, the first anchor.
fn looked(dir: &Path, place: &str, more: &[&str]) -> (i32, String, Value) {
    let (code, found) = audit_json("verify", dir, &[&["--anchor", place][..], more].concat());
    (code, found["level"]["name"].as_str().unwrap().to_owned(), found["anchors"][0].clone())
}

/// Gives the trail something new to say.
fn say(dir: &Path, reason: &str) {
    assert_eq!(audit("hold", dir, &["add", "--reason", reason]).0, 0);
}

#[tokio::test]
async fn each_checkpoint_is_anchored_once_and_its_state_follows_the_chain() {
    let Some(chain) = Chain::start() else { return };
    let place = Place::finished().await;
    let dir = place.dir();

    // Sent, and waiting, however often one asks.
    for _ in 0..3 {
        let entries = chain.go(&dir);
        assert_eq!((entries.len(), &entries[0]["state"]), (1, &"pending".into()));
    }
    assert_eq!(chain.ask("txpool_status", &json!([]))["pending"], "0x1");
    let node = format!("evm:{}", chain.url);
    let look = || looked(&dir, &node, &["--confirmations", "3"]);
    let (code, level, anchor) = look();
    assert_eq!((code, &*level, &anchor["found"]), (1, "L0", &"not there".into()), "sent is not there yet");
    chain.mine(1);
    let (code, level, anchor) = look();
    assert_eq!((code, &*level, &anchor["found"]), (1, "L0", &"included".into()), "it could be taken back");
    let (.., said) = audit("verify", &dir, &["--anchor", &node, "--confirmations", "3"]);
    assert!(said.contains("has to be there, and on a chain final"), "{said}");
    let entries = chain.go(&dir);
    assert_eq!((&entries[0]["state"], &entries[0]["level"]), (&"included".into(), &"L3".into()));
    let first = entries[0]["receipt"]["block"].clone();

    // The chain takes another way.
    chain.ask("anvil_reorg", &json!([1, []]));
    assert!(chain.anchored().is_empty(), "the other way does not have it");
    let (code, level, anchor) = look();
    assert_eq!((code, &*level, &anchor["found"]), (1, "L0", &"not there".into()));
    assert_eq!(anchor["said"], "included", "the trail does not know yet, and its word does not count");
    let entries = chain.go(&dir);
    assert_eq!(entries[0]["state"], "pending");
    chain.mine(1);
    let entries = chain.go(&dir);
    assert_eq!(entries[0]["state"], "included");
    assert_ne!(entries[0]["receipt"]["block"], first);
    chain.mine(2);
    assert_eq!(chain.go(&dir)[0]["state"], "final");
    let (code, level, anchor) = look();
    assert_eq!((code, &*level, &anchor["found"]), (0, "L3", &"final".into()));
    assert!(
        anchor["since"].as_str().unwrap().ends_with('Z') && anchor["up_to"].as_u64() > Some(0),
        "{anchor}"
    );
    let seen = states(&dir);
    assert_eq!(seen[..3], ["prepared", "pending", "included"], "{seen:?}");
    assert!(seen.contains(&"reorged".to_owned()) && seen.last().unwrap() == "final", "{seen:?}");
    assert_eq!(chain.go(&dir).len(), 1, "nothing new was said, so nothing more is anchored");

    // Dropped from the pool: the same transaction is sent again.
    say(&dir, "a case");
    let entries = chain.go(&dir);
    assert_eq!((entries.len(), &entries[1]["state"]), (2, &"pending".into()));
    let transaction = entries[1]["receipt"]["transaction"].clone();
    chain.ask("anvil_dropTransaction", &json!([transaction]));
    assert_eq!(chain.ask("eth_getTransactionByHash", &json!([transaction])), Value::Null);
    let entries = chain.go(&dir);
    assert_eq!(
        (&entries[1]["state"], &entries[1]["receipt"]["transaction"]),
        (&"pending".into(), &transaction)
    );
    chain.mine(3);
    assert_eq!(chain.go(&dir)[1]["state"], "final");
    assert!(states(&dir).contains(&"dropped".to_owned()));

    // Killed again and again, at any moment.
    say(&dir, "another case");
    for round in 0..40u64 {
        let mut life = chain.command(&dir).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(round * 2));
        life.kill().unwrap();
        life.wait().unwrap();
    }
    chain.go(&dir);
    chain.mine(3);
    let entries = chain.go(&dir);
    assert_eq!(entries.len(), 3, "{entries:?}");
    assert!(entries.iter().all(|entry| entry["state"] == "final"), "{entries:?}");
    let digests: BTreeMap<String, u32> =
        entries.iter().map(|entry| (entry["digest"].as_str().unwrap().to_owned(), 1)).collect();
    assert_eq!(chain.anchored(), digests, "each of them once");
    let (code, verified) = audit_json("verify", &dir, &["--sealed"]);
    assert_eq!((code, &verified["verdict"]), (0, &"complete".into()));

    let (code, _, _) = look();
    assert_eq!(code, 0);
    let url = chain.url.clone();
    drop(chain);
    let (code, level, anchor) = looked(&dir, &format!("evm:{url}"), &[]);
    assert_eq!((code, &*level), (1, "L0"), "nobody answers, so nothing is known");
    assert!(anchor["found"].as_str().unwrap().contains("cannot be reached"), "{anchor}");

    // What the trail says needs no node and no key.
    let (code, told) = audit_json("anchor", &dir, &["--status"]);
    assert_eq!((code, told.as_array().unwrap()), (0, &entries));
    // Nor does the key stand anywhere.
    let key = &KEY[2..];
    let files = super::files(&dir);
    assert!(!files.values().any(|bytes| bytes.windows(key.len()).any(|window| window == key.as_bytes())));
}

/// Whoever has a session's record, its proof, the checkpoint and the receipt needs nothing else of the log.
#[test]
fn any_of_a_thousand_sessions_verifies_alone() {
    let Some(chain) = Chain::start() else { return };
    let place = Place::new();
    let dir = place.dir();
    let mut count = 0u64;
    let options = FileOptions::new(Box::new(move || {
        count += 1;
        *blake3::hash(&count.to_le_bytes()).as_bytes()
    }));
    let log = FileLog::create(&dir, Timestamp(1), options).unwrap();
    for session in 0..1000 {
        let open = &mut |batch: &mut hv_core::audit::Batch<'_>| {
            let (stream, _) = batch.genesis(&format!("s{session}"), |out| out.push(RECORD_VERSION))?;
            batch.close(stream).map(drop)
        };
        log.append(&[], Timestamp(2), open).unwrap();
    }
    log.seal(Timestamp(3)).unwrap();
    drop(log);
    chain.go(&dir);
    chain.mine(3);
    chain.go(&dir);
    let entry = chain.go(&dir).remove(0);
    assert_eq!(entry["state"], "final");
    let receipt = entry["receipt"].to_string().into_bytes();
    let size = entry["size"].as_u64().unwrap();

    let (report, read) =
        Transcript::read_on(&RealDisk, &dir, &mut |entry| entry.stream > StreamNo::LEDGER).unwrap();
    assert_eq!(report.verdict, Verdict::Complete);
    let checkpoint = read.checkpoint(&read.origin(), size).unwrap().to_string();
    let bundles: Vec<_> = (0..1000)
        .map(|session| {
            let proof = read.delta(StreamNo(2 + session), 1, size).unwrap();
            let (index, _) = proof.node_leaf().unwrap();
            (proof.to_extra(), read.inclusion(index, size).unwrap())
        })
        .collect();
    drop((read, place));

    // From here on only what a stranger was given.
    let checkpoint = Checkpoint::parse(&checkpoint).unwrap();
    let transaction = transaction_of(&receipt, &checkpoint.digest()).unwrap();
    let mined = chain.ask("eth_getTransactionReceipt", &json!([transaction]));
    assert_eq!(mined["blockHash"], entry["receipt"]["block"]);
    assert!(transaction_of(&receipt, &Digest([1; 32])).is_err(), "it anchors this one alone");
    for (extra, inclusion) in &bundles {
        let proof = hv_core::audit::DeltaProof::from_extra(extra).unwrap();
        let (_, leaf) = proof.node_leaf().unwrap();
        inclusion.check::<Rfc6962>(&leaf, &checkpoint.root).unwrap();
    }
    let (extra, inclusion) = &bundles[500];
    for at in (0..extra.len()).step_by(7) {
        let mut changed = extra.clone();
        changed[at] ^= 1;
        let holds = hv_core::audit::DeltaProof::from_extra(&changed).ok().and_then(|proof| {
            let (_, leaf) = proof.node_leaf().ok()?;
            inclusion.check::<Rfc6962>(&leaf, &checkpoint.root).ok()
        });
        assert_eq!(holds, None, "byte {at}");
    }
}

#[tokio::test]
async fn a_file_and_a_repository_keep_each_checkpoint_once() {
    let place = Place::finished().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("anchors.txt");
    let repository = elsewhere.path().join("repository");
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(&repository).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    fs::create_dir(&repository).unwrap();
    git(&["init", "--quiet"]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
    git(&[&who[..], &["commit", "--quiet", "--allow-empty", "-m", "first"]].concat());
    for _ in 0..3 {
        for (to, at) in [("file", &file), ("git", &repository)] {
            let (code, entries) =
                audit_json("anchor", &place.dir(), &["--to", to, "--at", at.to_str().unwrap()]);
            assert_eq!(code, 0);
            assert!(
                entries.as_array().unwrap().iter().all(|entry| entry["state"] == "included"),
                "{entries}"
            );
        }
    }
    let (_, entries) = audit_json("anchor", &place.dir(), &["--status"]);
    assert_eq!(entries.as_array().unwrap().len(), 2, "{entries}");
    let line = |at: usize| format!("hv-anchor v1 {}\n", entries[at]["digest"].as_str().unwrap());
    assert_eq!(fs::read_to_string(&file).unwrap(), line(0));
    assert_eq!(git(&["notes", "--ref=hv-anchor", "show", "HEAD"]), line(1));

    // Whoever verifies looks there themselves; what the trail says gives no level.
    let (code, found) = audit_json("verify", &place.dir(), &[]);
    assert_eq!(
        (code, &found["level"]["name"], &found["anchors"][0]["found"]),
        (0, &"L0".into(), &Value::Null)
    );
    let at_file = format!("file:{}", file.display());
    let at_git = format!("git:{}", repository.display());
    for at in [&at_file, &at_git] {
        let (code, found) = audit_json("verify", &place.dir(), &["--anchor", at]);
        assert_eq!((code, &found["level"]["name"]), (0, &"L3".into()), "{at}: {found}");
        let sealed = found["level"]["outside"][0]["up_to"].as_u64().unwrap();
        assert!(sealed > 0 && sealed < found["level"]["end"].as_u64().unwrap(), "{found}");
    }
    // A repository that is not there says nothing of its notes, neither to whoever verifies nor to whoever anchors.
    let away = elsewhere.path().join("away");
    fs::rename(&repository, &away).unwrap();
    let (code, found, _) = audit("verify", &place.dir(), &["--anchor", &at_git]);
    assert!(code == 1 && found.contains("the anchor cannot be reached"), "{found}");
    let (code, _, told) =
        audit("anchor", &place.dir(), &["--to", "git", "--at", repository.to_str().unwrap()]);
    assert!(code == 1 && told.contains("the anchor cannot be reached"), "{told}");
    let status = || audit_json("anchor", &place.dir(), &["--status"]).1.as_array().unwrap().clone();
    assert!(status().iter().all(|entry| entry["state"] == "included"), "{:?}", status());
    fs::rename(&away, &repository).unwrap();
    assert_eq!(audit("verify", &place.dir(), &["--anchor", &at_git]).0, 0);
    // What cannot be a place never gets onto the trail.
    assert_eq!(audit("anchor", &place.dir(), &["--to", "rfc3161", "--at", "ftp://x"]).0, 2);
    assert_eq!(status().len(), 2);

    let stats = audit("stats", &place.dir(), &[]).1;
    assert!(stats.contains("by its own word anchored up to batch"), "{stats}");
    assert!(audit("show", &place.dir(), &[]).2.contains("by its own word anchored up to batch"));

    // A receipt that was kept outside finds out whoever rewrites the trail, its anchors and all.
    let kept = elsewhere.path().join("kept.json");
    fs::write(&kept, audit("anchor", &place.dir(), &["--status", "--json"]).1).unwrap();
    let kept = kept.to_str().unwrap();
    let (code, found) = audit_json("verify", &place.dir(), &["--anchor", &at_file, "--receipt", kept]);
    assert_eq!((code, found["anchors"].as_array().unwrap().len()), (0, 4), "{found}");
    let other = Place::new();
    super::trails::rewritten(&other.dir()).await;
    let (code, found) = audit_json("verify", &other.dir(), &["--anchor", &at_file, "--receipt", kept]);
    assert_eq!((code, &found["verdict"]), (1, &"tampered".into()), "{found}");
    let mut changed: Value = serde_json::from_str(&fs::read_to_string(kept).unwrap()).unwrap();
    changed[0]["size"] = (changed[0]["size"].as_u64().unwrap() + 1).into();
    let forged = elsewhere.path().join("forged.json");
    fs::write(&forged, changed.to_string()).unwrap();
    let options = ["--anchor", &*at_file, "--receipt", forged.to_str().unwrap()];
    let (code, _, stderr) = audit("verify", &place.dir(), &options);
    assert!(code == 2 && stderr.contains("not that of its checkpoint"), "{code} {stderr}");

    // Somebody takes it away: it is put there again, and the trail says what happened.
    fs::write(&file, "").unwrap();
    assert_eq!(looked(&place.dir(), &at_file, &[]).0, 1, "an anchor that is not there is none");
    let (code, _) = audit_json("anchor", &place.dir(), &["--to", "file", "--at", file.to_str().unwrap()]);
    assert_eq!((code, fs::read_to_string(&file).unwrap()), (0, line(0)));
    let seen = states(&place.dir());
    assert_eq!(seen[seen.len() - 4..], ["reorged", "dropped", "pending", "included"], "{seen:?}");
}

#[tokio::test]
async fn an_anchor_that_does_not_answer_is_told_and_the_trail_stays_complete() {
    let place = Place::finished().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = format!("http://127.0.0.1:{port}");
    let run = |options: &[&str]| audit("anchor", &place.dir(), options);
    let (code, _, stderr) = run(&["--to", "rfc3161", "--at", &at]);
    assert!(code == 1 && stderr.contains("the anchor cannot be reached"), "{code} {stderr}");
    let (code, verified) = audit_json("verify", &place.dir(), &["--sealed"]);
    assert_eq!((code, &verified["verdict"]), (0, &"complete".into()));
    for (options, words) in [
        (&["--to", "evm", "--at", &at][..], "--key"),
        (&["--to", "evm", "--at", &at, "--key", "abc"], "a reference"),
        (&["--to", "evm", "--at", &at, "--key", "env:HV_NO_SUCH_KEY"], "nothing is there"),
        (&["--to", "file"], "--at"),
        (&[], "--to"),
    ] {
        let (code, _, stderr) = run(options);
        assert!(code == 2 && stderr.contains(words), "{options:?}: {code} {stderr}");
    }
}

/// A time-stamping authority: `openssl ts` behind HTTP.
struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            skip("openssl is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        fs::write(
            place.join("tsa.cnf"),
            "[req]\ndistinguished_name=dn\nx509_extensions=tsa\nprompt=no\n[dn]\nCN=hv test authority\n\
             [tsa]\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=critical,timeStamping\n\
             keyUsage=critical,digitalSignature\n\
             [answers]\nserial=serial\nsigner_digest=sha256\ndefault_policy=1.2.3.4.1\ndigests=sha256\n\
             accuracy=secs:1\nordering=no\ntsa_name=no\ness_cert_id_chain=no\nsigner_cert=tsa.pem\nsigner_key=tsa.key\n",
        )
        .unwrap();
        fs::write(place.join("serial"), "01\n").unwrap();
        let authority = Self { folder };
        let made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-config", "tsa.cnf"];
        authority.openssl(&[&made[..], &["-keyout", "tsa.key", "-out", "tsa.pem"]].concat());
        Some(authority)
    }

    fn openssl(&self, arguments: &[&str]) {
        let output =
            Command::new("openssl").current_dir(self.folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Answers so many requests.
    fn serve(&self, listener: &TcpListener, requests: u32) {
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            let body = loop {
                let count = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
                let length = text.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
                });
                if request.len() >= end + 4 + length.unwrap_or(0) {
                    assert!(text.contains("application/timestamp-query"), "{text}");
                    break request[end + 4..].to_vec();
                }
            };
            fs::write(self.folder.path().join("query"), body).unwrap();
            let reply = ["ts", "-reply", "-config", "tsa.cnf", "-section", "answers", "-queryfile", "query"];
            self.openssl(&[&reply[..], &["-out", "reply"]].concat());
            let reply = fs::read(self.folder.path().join("reply")).unwrap();
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\nConnection: close\r\n";
            stream.write_all(format!("{head}Content-Length: {}\r\n\r\n", reply.len()).as_bytes()).unwrap();
            stream.write_all(&reply).unwrap();
        }
    }
}

#[tokio::test]
async fn a_time_stamp_is_final_once_openssl_has_verified_it() {
    let Some(authority) = Authority::new() else { return };
    let place = Place::finished().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let path = |name: &str| authority.folder.path().join(name).into_os_string();
    let other = Authority::new().unwrap();
    let entries = std::thread::scope(|scope| {
        // One answer is all that is ever asked for.
        scope.spawn(|| authority.serve(&listener, 1));
        let go = |ca: Option<OsString>| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_hv"));
            command
                .args(["audit", "anchor"])
                .arg(place.dir())
                .args(["--to", "rfc3161", "--at", &at, "--json"])
                // Nothing is written where everybody may write.
                .env("TMPDIR", "/nowhere");
            if let Some(ca) = ca {
                command.arg("--ca").arg(ca);
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            serde_json::from_slice::<Value>(&output.stdout).unwrap()
        };
        let entries = go(None);
        assert_eq!(entries[0]["state"], "included", "nobody verified it yet");
        let entries = go(Some(other.folder.path().join("tsa.pem").into_os_string()));
        assert_eq!(entries[0]["state"], "included", "another authority did not sign it");
        go(Some(path("tsa.pem")))
    });
    assert_eq!((&entries[0]["state"], entries.as_array().unwrap().len()), (&"final".into(), 1));
    // The answer is on the trail, so nobody is asked; whose word it is, is the verifier's to say.
    let ca = |authority: &Authority| format!("rfc3161:{}", authority.folder.path().join("tsa.pem").display());
    let (code, level, anchor) = looked(&place.dir(), &ca(&authority), &[]);
    assert_eq!((code, &*level, &anchor["found"]), (0, "L3", &"final".into()), "{anchor}");
    assert_eq!(anchor["since"].as_str().map(str::len), Some(15), "{anchor}");
    let (code, level, _) = looked(&place.dir(), &ca(&other), &[]);
    assert_eq!((code, &*level), (1, "L0"), "another authority did not sign it");
    // What is kept is what any tool reads.
    let reply = entries[0]["receipt"].as_str().unwrap();
    let bytes: Vec<u8> =
        (0..reply.len()).step_by(2).map(|at| u8::from_str_radix(&reply[at..at + 2], 16).unwrap()).collect();
    fs::write(path("kept"), bytes).unwrap();
    let digest = entries[0]["digest"].as_str().unwrap();
    authority.openssl(&["ts", "-verify", "-digest", digest, "-in", "kept", "-CAfile", "tsa.pem"]);
    let report = verify_on(&RealDisk, &place.dir(), &mut |_| {}).unwrap();
    assert_eq!(report.verdict, Verdict::Complete);
}
