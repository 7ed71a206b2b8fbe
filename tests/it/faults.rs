//! Each of the real packages killed, hung, slow and lying in the middle of a session that had worked: the gate stays
//! closed or at Ring 3, in time, and the trail says so; and when the package is well again, so is the session.
//!
//! The bridges are the real ones, with a process in between that holds their answers up or rewrites them; the servers
//! are the real ones, with a proxy in front that does the same.

use crate::kernels::{Server, python};
use crate::support::workspace;
use hv_core::adapters::{Correction, DriftSample, DriftSetup, DriftVerdict, TrustSetup};
use hv_core::audit::{Log, MemoryLog};
use hv_core::event::{NodeEvent, SessionEvent};
use hv_core::integrations::bridge::{Bridge, CmvkBridge, Kernel, NexusBridge, ScakBridge};
use hv_core::integrations::correction::{FailureKind, FailureReport};
use hv_core::integrations::http::{CaasStore, Sidecar};
use hv_core::integrations::iatp::ManifestDesk;
use hv_core::session::{Expect, SessionConfig};
use hv_core::types::{Did, Ring, SessionId};
use hv_core::{Entrant, Hypervisor, SystemClock, TrailEvent, read_record};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Far more than a package needs that is well, on a machine that has other things to do, and less than a slow one takes.
const DEADLINE: Duration = Duration::from_secs(3);
/// How long anything may take that meets a fault: a deadline, and what else there is to do.
const IN_TIME: Duration = Duration::from_secs(15);
/// How long it may take to be well again: a start, after the longest wait before it.
const RECOVERY: Duration = Duration::from_secs(60);

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn sid() -> SessionId {
    SessionId::new("s").unwrap()
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.unwrap().success(), "{name} {process}");
}

/// What goes wrong with a bridge.
enum Fault {
    Signal(&'static str),
    Mode(Value),
}

fn bridge_faults(field: &str) -> Vec<(&'static str, Fault)> {
    let replaced = |by: &str| {
        Fault::Mode(
            json!({ "replace": format!(r#""{field}": [^,}}]+"#), "by": format!(r#""{field}": {by}"#) }),
        )
    };
    let line = |line: &str, times: u32| Fault::Mode(json!({ "line": line, "times": times }));
    vec![
        ("killed", Fault::Signal("KILL")),
        ("hung", Fault::Signal("STOP")),
        ("slow", Fault::Mode(json!("slow"))),
        ("says NaN", replaced("NaN")),
        ("says 5000", replaced("5000")),
        ("says a text", replaced("\"900\"")),
        ("answers another question", Fault::Mode(json!({ "replace": r#""id": \d+"#, "by": "\"id\": 7000" }))),
        ("talks nonsense", line("nonsense", 1)),
        ("talks without end", line("aaaaaaaaaa", 100_000)),
    ]
}

/// A bridge to a real package, with a process in between whose mode stands in a file.
struct Between {
    mode: PathBuf,
    _folder: tempfile::TempDir,
}

impl Between {
    fn new(python: &Path, kernel: Kernel) -> (Self, Bridge) {
        let folder = tempfile::tempdir().unwrap();
        let mode = folder.path().join("mode.json");
        std::fs::write(&mode, "null").unwrap();
        let argv: Vec<OsString> = vec![
            python.into(),
            workspace().join("tests/fixtures/between.py").into(),
            mode.clone().into(),
            python.into(),
            "-I".into(),
            workspace().join("crates/hv-integrations/src/bridge/bridge.py").into(),
            kernel.name().into(),
        ];
        (Self { mode, _folder: folder }, Bridge::of_program(argv, kernel, DEADLINE))
    }

    /// Makes it go wrong like this.
    fn goes_wrong(&self, fault: &Fault, process: u32) {
        match fault {
            Fault::Signal(name) => signal(name, process),
            Fault::Mode(mode) => self.set(mode),
        }
    }

    fn set(&self, mode: &Value) {
        // At once, because it may be read at any time.
        let new = self.mode.with_extension("new");
        std::fs::write(&new, mode.to_string()).unwrap();
        std::fs::rename(&new, &self.mode).unwrap();
    }
}

fn node() -> (Hypervisor, Arc<MemoryLog>) {
    let log = Arc::new(MemoryLog::new());
    (Hypervisor::open(log.clone(), Arc::new(SystemClock)).unwrap(), log)
}

fn events(log: &MemoryLog) -> Vec<TrailEvent> {
    let mut events = Vec::new();
    Log::replay(log, &mut |entry| {
        events.extend(read_record(&entry).unwrap().events);
        Ok(())
    })
    .unwrap();
    events
}

fn denied(log: &MemoryLog) -> Vec<String> {
    let denied = |event| match event {
        TrailEvent::Session(event) => match *event {
            SessionEvent::Denied { denial } => Some(denial.request),
            _ => None,
        },
        _ => None,
    };
    events(log).into_iter().filter_map(denied).collect()
}

async fn opened(hv: &Hypervisor, agent: &Did) -> Ring {
    hv.create_session(&sid(), SessionConfig::default(), &did("admin")).await.unwrap();
    let ring = hv
        .join_session(&sid(), &Entrant::new(agent.clone()).with_sigma("0.90".parse().unwrap()))
        .await
        .unwrap();
    hv.activate_session(&sid()).await.unwrap();
    ring
}

async fn written(hv: &Hypervisor, agent: &Did) -> bool {
    hv.write_file(&sid(), agent, "a.txt", b"mine".to_vec(), Expect::Any).await.is_ok()
}

/// Waits until it is so, as long as a recovery may take.
async fn in_the_end(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + RECOVERY;
    while !so().await {
        assert!(Instant::now() < until, "{what}: it does not come back");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_real_nexus_does_an_agent_stands_in_ring_3_until_it_is_well_again() {
    let Some(python) = python() else { return };
    for (what, fault) in bridge_faults("points") {
        let (between, bridge) = Between::new(&python, Kernel::Nexus);
        let nexus = Arc::new(NexusBridge::over(bridge));
        let agent = did("a");
        let facts = json!({ "verification_level": "verified", "history": { "successful_tasks": 85 } });
        nexus.known(&agent, &facts).unwrap();
        let (life, retry) = (Duration::from_secs(1), Duration::from_millis(200));
        let (hv, log) = node();
        let hv = hv.with_trust("nexus", Arc::clone(&nexus), TrustSetup { deadline: DEADLINE, life, retry });
        assert_eq!(opened(&hv, &agent).await, Ring::Standard, "{what}");
        assert!(written(&hv, &agent).await, "{what}");
        between.goes_wrong(&fault, nexus.bridge().process().unwrap());
        tokio::time::sleep(life + Duration::from_millis(100)).await;
        let began = Instant::now();
        assert!(!written(&hv, &agent).await, "{what}: Ring 3 writes");
        assert!(began.elapsed() < IN_TIME, "{what}: {:?}", began.elapsed());
        assert_eq!(hv.standing(&sid(), &agent).unwrap().1, Ring::Sandbox, "{what}");
        let unscored = |event: &TrailEvent| matches!(event, TrailEvent::Node(NodeEvent::Unscored { .. }));
        assert_eq!(events(&log).iter().filter(|event| unscored(event)).count(), 1, "{what}");
        between.set(&Value::Null);
        // It looks, and does not try what it may not: whoever does is stopped by the breaker.
        let stands = async || {
            hv.read_file(&sid(), &agent, "a.txt").await.unwrap();
            hv.standing(&sid(), &agent).unwrap() == ("0.82".parse().unwrap(), Ring::Standard)
        };
        in_the_end(what, stands).await;
        assert!(written(&hv, &agent).await, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_real_cmvk_does_it_is_no_pass_and_no_slash_until_it_is_well_again() {
    let Some(python) = python() else { return };
    for (what, fault) in bridge_faults("drift_score") {
        let (between, bridge) = Between::new(&python, Kernel::Cmvk);
        let cmvk = Arc::new(CmvkBridge::over(bridge));
        let agent = did("a");
        let (hv, log) = node();
        let setup = DriftSetup { deadline: DEADLINE * 2, ..DriftSetup::default() };
        let hv = hv.with_drift("cmvk", Arc::clone(&cmvk), setup);
        opened(&hv, &agent).await;
        let sample = |observed: [f64; 2]| DriftSample {
            claimed: vec![1.0, 0.0],
            observed: observed.to_vec(),
            ..DriftSample::default()
        };
        let good = async || hv.check_drift(&sid(), &agent, sample([1.0, 0.01])).await.unwrap().passed();
        in_the_end(what, good).await;
        between.goes_wrong(&fault, cmvk.bridge().process().unwrap());
        // It would be a slash, if anybody could tell.
        for _ in 0..2 {
            let began = Instant::now();
            let answer = hv.check_drift(&sid(), &agent, sample([-1.0, 0.0])).await.unwrap();
            assert!(!answer.passed(), "{what}: {:?}", answer.verdict);
            assert!(
                matches!(answer.verdict, DriftVerdict::Indeterminate { .. }),
                "{what}: {:?}",
                answer.verdict
            );
            assert!(began.elapsed() < IN_TIME, "{what}: {:?}", began.elapsed());
        }
        assert_eq!(hv.standing(&sid(), &agent).unwrap(), ("0.90".parse().unwrap(), Ring::Sandbox), "{what}");
        let told = |event: &TrailEvent| {
            matches!(event, TrailEvent::Session(event) if matches!(&**event, SessionEvent::DriftChecked { check, .. }
                if matches!(check.verdict, DriftVerdict::Indeterminate { .. })))
        };
        assert!(events(&log).iter().filter(|event| told(event)).count() >= 2, "{what}");
        between.set(&Value::Null);
        in_the_end(what, good).await;
        in_the_end(what, async || {
            good().await;
            hv.standing(&sid(), &agent).unwrap().1 == Ring::Standard
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_real_scak_does_it_is_told_in_time_or_said_to_be_untold() {
    let Some(python) = python() else { return };
    for (what, fault) in bridge_faults("failures").into_iter().filter(|(what, _)| *what != "says 5000") {
        let (between, bridge) = Between::new(&python, Kernel::Scak);
        let scak = Arc::new(ScakBridge::over(bridge));
        let (hv, _) = node();
        let hv = hv.with_correction("scak", Arc::clone(&scak), DEADLINE * 2);
        opened(&hv, &did("a")).await;
        let report = FailureReport {
            agent: did("a"),
            kind: FailureKind::Failed,
            what: "it failed".to_owned(),
            step: None,
            action: None,
        };
        let tell = async || hv.tell_failure(&sid(), report.clone()).await.unwrap();
        in_the_end(what, async || matches!(tell().await, Correction::Heard(_))).await;
        between.goes_wrong(&fault, scak.bridge().process().unwrap());
        let began = Instant::now();
        let told = tell().await;
        assert!(matches!(&told, Correction::Untold { why } if why.starts_with("scak: ")), "{what}: {told:?}");
        assert!(began.elapsed() < IN_TIME, "{what}: {:?}", began.elapsed());
        between.set(&Value::Null);
        in_the_end(what, async || matches!(tell().await, Correction::Heard(_))).await;
    }
}

/// What a proxy does to the answers of the server behind it.
#[derive(Debug, Clone)]
enum Doing {
    Nothing,
    Slow,
    /// Answers with this many bytes.
    Endless(usize),
    /// Cuts the answer off in the middle.
    Cut,
    /// Replaces one text by another in the body.
    Says(&'static str, &'static str),
}

/// A proxy in front of a server, which takes one request a connection.
fn proxy(to: &str) -> (String, Arc<Mutex<Doing>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (doing, to) = (Arc::new(Mutex::new(Doing::Nothing)), to.strip_prefix("http://").unwrap().to_owned());
    let mode = Arc::clone(&doing);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), to, doing) = (stream, to.clone(), mode.lock().unwrap().clone()) else { return };
            std::thread::spawn(move || relay(stream, &to, &doing));
        }
    });
    (url, doing)
}

/// Reads a head and as much body as it announces.
fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut read, mut byte) = (Vec::new(), [0]);
    while !read.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        read.push(byte[0]);
    }
    let head = String::from_utf8(read).ok()?;
    let of = |line: &str| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok();
    let length: Option<usize> = head.lines().find_map(of);
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn relay(mut client: TcpStream, to: &str, doing: &Doing) -> Option<()> {
    let (head, body) = request(&mut client)?;
    let mut server = TcpStream::connect(to).ok()?;
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(head.as_bytes()).ok()?;
    server.write_all(&body).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.lines().next()?;
    let body = match doing {
        Doing::Nothing | Doing::Cut => body.to_owned(),
        Doing::Slow => {
            std::thread::sleep(DEADLINE * 2);
            body.to_owned()
        }
        Doing::Endless(bytes) => "a".repeat(*bytes),
        Doing::Says(from, by) => body.replace(from, by),
    };
    let sent = if matches!(doing, Doing::Cut) { &body[..body.len() / 2] } else { &body };
    let length = body.len();
    write!(client, "{status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{sent}").ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_real_sidecar_does_nobody_joins_by_it_until_it_is_well_again() {
    let Some(python) = python() else { return };
    let env = [("IATP_AGENT_ID", "did:mesh:a"), ("IATP_TRUST_LEVEL", "trusted")];
    let server = Server::start(&python, "iatp.main:app", &env);
    let (url, doing) = proxy(&server.url);
    let mut number = 0;
    let mut join = async || {
        let (hv, log) = node();
        let sidecar = Sidecar::new(&url, DEADLINE);
        let hv = hv.with_manifests("iatp", ManifestDesk::new(sidecar), DEADLINE);
        hv.create_session(&sid(), SessionConfig::default(), &did("admin")).await.unwrap();
        number += 1;
        let began = Instant::now();
        let joined = hv.join_by_manifest(&sid(), &did("a")).await;
        assert!(began.elapsed() < IN_TIME, "{number}: {:?}", began.elapsed());
        assert_eq!(joined.is_err(), denied(&log) == ["join"], "{number}");
        joined.ok()
    };
    in_the_end("at first", async || join().await == Some(Ring::Sandbox)).await;
    for fault in [
        Doing::Slow,
        Doing::Cut,
        Doing::Endless(2_000_000),
        Doing::Says("did:mesh:a", "did:mesh:b"),
        Doing::Says("\"trusted\"", "5000"),
        Doing::Says("\"rate_limit\":100", "\"rate_limit\":NaN"),
        Doing::Says("\"24h\"", "\"24\""),
        Doing::Says("{", "["),
    ] {
        *doing.lock().unwrap() = fault.clone();
        assert_eq!(join().await, None, "{fault:?}");
        *doing.lock().unwrap() = Doing::Nothing;
        in_the_end(&format!("after {fault:?}"), async || join().await == Some(Ring::Sandbox)).await;
    }
    signal("STOP", server.process());
    assert_eq!(join().await, None, "hung");
    signal("CONT", server.process());
    in_the_end("hung", async || join().await == Some(Ring::Sandbox)).await;
    signal("KILL", server.process());
    assert_eq!(join().await, None, "killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_real_caas_does_nothing_is_exchanged_until_it_is_well_again() {
    let Some(python) = python() else { return };
    let server = Server::start(&python, "caas.api.server:app", &[]);
    let (url, doing) = proxy(&server.url);
    let (hv, log) = node();
    let hv = hv.with_context("caas", CaasStore::new(&url, DEADLINE), DEADLINE);
    let agent = did("a");
    opened(&hv, &agent).await;
    assert!(written(&hv, &agent).await);
    let exchange = async || {
        // An agent has a rate, and this is about something else.
        tokio::time::sleep(Duration::from_millis(700)).await;
        let before = denied(&log).len();
        let began = Instant::now();
        let given = hv.publish_file(&sid(), &agent, "a.txt").await;
        let taken = hv.take_file(&sid(), &agent, "a.txt").await;
        assert!(began.elapsed() < 2 * IN_TIME, "{:?}", began.elapsed());
        let refused = denied(&log).split_off(before);
        assert_eq!(refused.len(), usize::from(given.is_err()) + usize::from(taken.is_err()));
        assert!(refused.iter().all(|request| request == "context"), "{refused:?}");
        let kept = hv.read_file(&sid(), &agent, "a.txt").await.unwrap();
        assert_eq!(kept.as_deref(), Some(&b"mine"[..]));
        (given.is_ok(), matches!(taken, Ok(true)))
    };
    let well = async || exchange().await == (true, true);
    in_the_end("at first", well).await;
    for (fault, expected) in [
        (Doing::Slow, (false, false)),
        (Doing::Cut, (false, false)),
        (Doing::Endless(9_000_000), (false, false)),
        (Doing::Says("{", "["), (false, false)),
        // Its gateway: allowed, and yet with violations; neither; a no.
        (Doing::Says("\"violations\":[]", "\"violations\":[\"one\"]"), (false, false)),
        (Doing::Says("\"valid\":true", "\"valid\":NaN"), (false, false)),
        (Doing::Says("\"violations\":[]", "\"violations\":[\"no\"],\"valid\":false"), (false, false)),
        // Its files: another's, another.
        (Doing::Says("\"modified_by\":\"did:mesh:a\"", "\"modified_by\":\"did:mesh:b\""), (false, true)),
        (Doing::Says("/sessions/s/a.txt", "/sessions/s/b.txt"), (false, false)),
        (Doing::Says("\"content\":\"mine\"", "\"content\":5000"), (false, false)),
    ] {
        *doing.lock().unwrap() = fault.clone();
        assert_eq!(exchange().await, expected, "{fault:?}");
        *doing.lock().unwrap() = Doing::Nothing;
        in_the_end(&format!("after {fault:?}"), well).await;
    }
    signal("STOP", server.process());
    assert_eq!(exchange().await, (false, false), "hung");
    signal("CONT", server.process());
    in_the_end("hung", well).await;
    signal("KILL", server.process());
    assert_eq!(exchange().await, (false, false), "killed");
}
