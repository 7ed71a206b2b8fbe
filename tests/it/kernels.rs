//! The five packages themselves, alive: Nexus, CMVK and SCAK behind bridges, IATP and CaaS as servers.
//!
//! Once with the library, once with the program and the example that it comes with.
//!
//! `HV_KERNELS_VENV` names a virtual environment that has them. Without it these tests are skipped, loudly; with
//! `HV_REQUIRE_SERVICES=1` they fail instead.

use crate::scene::{
    AGENT, assert_complete, change, denials, file, look, names, ran, scene, sh, step, trail, with,
};
use crate::support::{Run, json as document, workspace};
use hv_core::adapters::{Correction, DriftSample, DriftSetup, TrustSetup};
use hv_core::audit::{FileLog, FileOptions, Verdict, verify};
use hv_core::integrations::bridge::{
    Bridge, BridgeFault, CmvkBridge, Kernel, NexusBridge, ScakBridge, python_of,
};
use hv_core::integrations::cmvk::NativeVerifier;
use hv_core::integrations::context::ContextStore;
use hv_core::integrations::correction::{FailureKind, FailureReport, Heard};
use hv_core::integrations::drift::{DriftSettings, DriftVerifier, Metric, Response};
use hv_core::integrations::http::{CaasStore, Sidecar};
use hv_core::integrations::iatp::ManifestDesk;
use hv_core::integrations::trust::{ScorerFault, TrustScorer};
use hv_core::session::{Expect, SessionConfig};
use hv_core::types::{Did, Ring, SessionId};
use hv_core::{Clock, Entrant, Hypervisor, SystemClock};
use serde_json::json;
use std::ffi::OsString;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Long enough for a Python process on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(30);

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

/// The Python that has the packages; nothing where there is none and need not be.
pub fn python() -> Option<PathBuf> {
    if let Some(venv) = std::env::var_os("HV_KERNELS_VENV") {
        return Some(python_of(Path::new(&venv)));
    }
    assert!(
        std::env::var_os("HV_REQUIRE_SERVICES").is_none_or(|value| value != "1"),
        "HV_KERNELS_VENV names no virtual environment, and HV_REQUIRE_SERVICES=1"
    );
    std::io::stderr().write_all(b"SKIPPED: the packages themselves were not asked\n").unwrap();
    None
}

/// A server of one of the packages, on a port of its own; stopped with the test.
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    pub fn start(python: &Path, app: &str, env: &[(&str, &str)]) -> Self {
        Self::start_in(python, &[app], env)
    }

    /// The same with further arguments for the program that serves it.
    pub fn start_in(python: &Path, app: &[&str], env: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(python)
            .args(["-m", "uvicorn", "--host", "127.0.0.1", "--log-level", "error", "--port"])
            .arg(port.to_string())
            .args(app)
            .envs(env.iter().copied())
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, url: format!("http://127.0.0.1:{port}") };
        let until = Instant::now() + Duration::from_secs(90);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "{app:?} ends; is its package installed?");
            assert!(Instant::now() < until, "{app:?} does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

impl Server {
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_all_five() {
    let Some(python) = python() else { return };
    let agent = did("analyst");
    let caas = Server::start(&python, "caas.api.server:app", &[]);
    let sidecar = Server::start(
        &python,
        "iatp.main:app",
        &[("IATP_AGENT_ID", agent.as_str()), ("IATP_TRUST_LEVEL", "trusted")],
    );
    let nexus = Arc::new(NexusBridge::new(&python, PATIENCE));
    let facts = json!({ "verification_level": "verified", "history": { "successful_tasks": 85 } });
    nexus.known(&agent, &facts).unwrap();
    let scak = Arc::new(ScakBridge::new(&python, PATIENCE));
    let setup = TrustSetup { deadline: PATIENCE, ..TrustSetup::default() };
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(
        FileLog::create(folder.path(), SystemClock.now(), FileOptions::new(Box::new(random))).unwrap(),
    );
    let hv = Hypervisor::open(log, Arc::new(SystemClock))
        .unwrap()
        .with_trust("nexus", nexus.clone(), setup)
        .with_drift(
            "cmvk",
            CmvkBridge::new(&python, PATIENCE),
            DriftSetup { deadline: PATIENCE, ..DriftSetup::default() },
        )
        .with_manifests("iatp", ManifestDesk::new(Sidecar::new(&sidecar.url, PATIENCE)), PATIENCE)
        .with_context("caas", CaasStore::new(&caas.url, PATIENCE), PATIENCE)
        .with_correction("scak", Arc::clone(&scak), PATIENCE);
    let session = SessionId::new("kernels").unwrap();
    hv.create_session(&session, SessionConfig::default(), &did("admin")).await.unwrap();

    // The sidecar's hint came over a wire, so it weighs at most 0.60, however high Nexus goes.
    assert_eq!(hv.join_by_manifest(&session, &agent).await.unwrap(), Ring::Sandbox);
    // Somebody else's manifest admits nobody.
    assert!(hv.join_by_manifest(&session, &did("impostor")).await.is_err());
    // Given by the program and scored by Nexus: the lower of the two.
    let writer = did("writer");
    nexus.known(&writer, &facts).unwrap();
    let entrant = Entrant::new(writer.clone()).with_sigma("0.90".parse().unwrap());
    assert_eq!(hv.join_session(&session, &entrant).await.unwrap(), Ring::Standard);
    assert_eq!(hv.standing(&session, &writer).unwrap().0, "0.82".parse().unwrap());
    hv.activate_session(&session).await.unwrap();

    // A write through the gate, given to CaaS in the writer's name; what CaaS has, taken back through the gate.
    hv.write_file(&session, &writer, "plan.txt", b"the plan".to_vec(), Expect::Absent).await.unwrap();
    hv.publish_file(&session, &writer, "plan.txt").await.unwrap();
    let store = CaasStore::new(&caas.url, PATIENCE);
    let kept = store.read("/sessions/kernels/plan.txt").unwrap().unwrap();
    assert_eq!((kept.content.as_str(), kept.modified_by.as_str()), ("the plan", writer.as_str()));
    store.write("/sessions/kernels/plan.txt", "the other plan", &did("outsider")).unwrap();
    assert!(hv.take_file(&session, &agent, "plan.txt").await.is_err(), "Ring 3 writes");
    assert!(hv.take_file(&session, &writer, "plan.txt").await.unwrap());
    assert!(!hv.take_file(&session, &writer, "nothing.txt").await.unwrap());
    let now = hv.read_file(&session, &writer, "plan.txt").await.unwrap();
    assert_eq!(now.as_deref(), Some(&b"the other plan"[..]));

    // Twice the opposite of what was claimed: CMVK measures it, the ledger slashes, Nexus knows.
    let sample =
        DriftSample { claimed: vec![0.9, 0.1, 0.2], observed: vec![-0.9, 0.3, 0.1], ..Default::default() };
    let mut responses = Vec::new();
    for _ in 0..2 {
        responses.push(hv.check_drift(&session, &writer, sample.clone()).await.unwrap().response);
    }
    assert_eq!(responses, [Response::Nothing, Response::Slash]);
    let record = nexus.record(&writer).unwrap();
    let slash = Some(("hallucination".to_owned(), "critical".to_owned()));
    assert_eq!((record.times_slashed, record.last_slash), (1, slash));
    assert_eq!(nexus.points(&writer, None).unwrap().get(), 745);
    assert_eq!(hv.reports_owed().unwrap(), 0);
    assert!(hv.write_file(&session, &writer, "b.txt", b"b".to_vec(), Expect::Any).await.is_err());

    // SCAK hears of it, and of what else goes wrong. What it proposes is a proposal.
    let tell = async |kind: FailureKind, what: &str| {
        let (what, asked) = (what.to_owned(), Some("find the log of error 500".to_owned()));
        let report = FailureReport { agent: writer.clone(), kind, what, step: None, action: asked };
        match hv.tell_failure(&session, report).await.unwrap() {
            Correction::Heard(heard) => heard,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(tell(FailureKind::Drifted, "slashed for drift").await, Heard { failures: 1, proposal: None });
    for (kind, what, of, says) in [
        (FailureKind::TimedOut, "it did not end in time", "config", "timeout"),
        (FailureKind::Refused, "the agent is no member", "code", "validate_permissions"),
        (FailureKind::GaveUp, "No data found.", "system_prompt", "archived"),
    ] {
        let proposal = tell(kind, what).await.proposal.unwrap_or_else(|| panic!("{kind:?}"));
        assert_eq!(proposal.kind, of, "{proposal:?}");
        assert!(proposal.content.contains(says), "{proposal:?}");
    }
    // A give-up is no failure of its own to the package.
    assert_eq!(scak.failures(&writer).unwrap(), 3);

    // A Nexus that was killed is told again what it was told, and counts it once.
    let killed = nexus.bridge().process().unwrap();
    assert!(Command::new("kill").args(["-9", &killed.to_string()]).status().unwrap().success());
    let until = Instant::now() + PATIENCE;
    while nexus.record(&writer).map(|record| record.times_slashed) != Ok(1) {
        assert!(Instant::now() < until, "the bridge does not come back");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_ne!(nexus.bridge().process(), Some(killed));

    hv.terminate_session(&session).await.unwrap();
    hv.seal().await.unwrap();
    drop(hv);
    assert_eq!(verify(folder.path()).unwrap().verdict, Verdict::Complete);
}

/// The example with the servers at these addresses, in folders of its own.
pub fn example(sidecar: &str, caas: &str) -> Run {
    let text = std::fs::read_to_string(workspace().join("examples/kernels.toml")).unwrap();
    let moved = text
        .replace("\nmanifests = \"http://127.0.0.1:8081\"", &format!("\nmanifests = \"{sidecar}\""))
        .replace("\ncontext = \"http://127.0.0.1:8082\"", &format!("\ncontext = \"{caas}\""));
    assert!(moved.contains(sidecar) && moved.contains(caas));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kernels.toml");
    std::fs::write(&file, moved).unwrap();
    Run { folder, file }
}

/// What the trail says, in words, in order.
fn told(run: &Run) -> String {
    let shown = crate::support::hv().args(["audit", "show"]).arg(run.data()).output().unwrap();
    String::from_utf8(shown.stdout).unwrap()
}

/// That all of it stands in the text, one after the other.
fn assert_in_order(text: &str, all: &[&str]) {
    let mut rest = text;
    for said in all {
        let Some(at) = rest.find(said) else { panic!("{said} is not there, or too early\n{text}") };
        rest = &rest[at + said.len()..];
    }
}

/// What the trail keeps beside its records.
fn kept(run: &Run) -> Vec<Vec<u8>> {
    let attached = trail(&run.data()).into_iter().flat_map(|record| record.attached);
    let read = |payload: hv_audit::PayloadRef| {
        let found = hv_audit::open_payload(&hv_audit::disk::RealDisk, &run.data(), &payload.id());
        found.unwrap().unwrap().content
    };
    attached.map(read).collect()
}

/// What was told to SCAK, as the trail keeps it.
fn corrections(run: &Run) -> Vec<serde_json::Value> {
    let json = kept(run).into_iter().filter_map(|kept| serde_json::from_slice(&kept).ok());
    json.filter(|kept: &serde_json::Value| kept["failure"].is_string()).collect()
}

#[test]
fn the_program_runs_the_example_with_the_real_five() {
    let Some(python) = python() else { return };
    let caas = Server::start(&python, "caas.api.server:app", &[]);
    let env = [("IATP_AGENT_ID", "did:mesh:analyst"), ("IATP_TRUST_LEVEL", "trusted")];
    let sidecar = Server::start(&python, "iatp.main:app", &env);
    let run = example(&sidecar.url, &caas.url);
    let output = ran(run.start().env("HV_KERNELS_PYTHON", &python));
    let report = document(&output);
    assert_eq!(output.status.code(), Some(3), "{report:#}");
    assert_complete(&run);
    // From the manifest to what everybody was told, in this order.
    assert_in_order(
        &told(&run),
        &[
            "the scorer says σ 0.82 for did:mesh:analyst",
            "did:mesh:analyst has an account with reputation 0.60 (hint)",
            "did:mesh:analyst stands in Ring 3 (sandbox) with σ 0.60",
            "did:mesh:analyst stands in Ring 2 (standard) with σ 0.78",
            "step plan: committed",
            "did:mesh:analyst creates plan.txt",
            "step share: committed",
            "step read: committed",
            "did:mesh:analyst: critical drift of 0.92955",
            "did:mesh:analyst is slashed (drift in kernels",
            "the scorer took note of what happened to did:mesh:analyst",
            "a note is kept under the name `hv.correction`",
            // By Nexus's own record: 820 points less 75.
            "the scorer says σ 0.745 for did:mesh:analyst",
            "step denied to did:mesh:analyst for file.write",
            "step share: undone",
        ],
    );
    let [slash] = &report["slashes"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!((&slash["agent"], &slash["reason"]), (&json!("did:mesh:analyst"), &json!("drift")));
    assert_eq!(names(&report["undo_order"]), ["share", "plan"]);
    // What CaaS had is what the session's file was made of, and it has it no more.
    assert!(kept(&run).iter().any(|kept| kept == b"the plan\n"), "the session has no such file");
    let store = CaasStore::new(&caas.url, PATIENCE);
    assert_eq!(store.read("/sessions/kernels/plan.txt").unwrap(), None);
    // SCAK has it as its first failure of this agent. Of drift it knows no cause, so it proposes nothing.
    let [drifted, refused] = &corrections(&run)[..] else { panic!("{:?}", corrections(&run)) };
    assert_eq!((&drifted["agent"], &drifted["step"]), (&json!("did:mesh:analyst"), &json!("measure")));
    assert_eq!(drifted["answer"], json!({ "failures": 1, "proposal": null }), "{drifted}");
    // What the gate refused it knows how to mend, and says so; nothing follows from it.
    assert_eq!((&refused["kind"], &refused["action"]), (&json!("refused"), &json!("file.write")));
    assert_eq!(refused["answer"]["failures"], 2, "{refused}");
    let proposal = &refused["answer"]["proposal"];
    assert_eq!(proposal["kind"], "code", "{refused}");
    assert!(proposal["content"].as_str().unwrap().contains("validate_permissions"), "{refused}");
}

/// A Python that has none of the packages.
fn bare() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(folder.path()).status();
    assert!(made.unwrap().success());
    let python = python_of(folder.path());
    (folder, python)
}

#[test]
fn the_example_without_its_sidecar_admits_nobody_by_manifest() {
    let nowhere = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (_folder, python) = bare();
    let run = example(&nowhere, &nowhere);
    let output = ran(run.start().env("HV_KERNELS_PYTHON", &python));
    assert_eq!(output.status.code(), Some(5), "{:#}", document(&output));
    assert_complete(&run);
    let denied = denials(&run.data());
    let last = denied.last().unwrap();
    assert_eq!(last.agent.as_ref().unwrap().as_str(), "did:mesh:analyst", "{denied:?}");
    assert_eq!(last.request, "join", "{denied:?}");
    // The scorer was asked too, and its silence counts against everybody.
    assert!(told(&run).contains("did:mesh:steward stands in Ring 3 (sandbox)"), "{}", told(&run));
}

#[test]
fn samples_that_nobody_can_measure_fail_their_step_and_slash_nobody() {
    let (_folder, python) = bare();
    let sample = r#"{"agent": "did:mesh:a", "claimed": [1.0, 0.0], "observed": [-1.0, 0.0]}"#;
    for (printed, said) in [
        (format!("{sample}\n{sample}"), "cmvk"),
        (r#"{"agent": "did:mesh:a", "claimed": [1.0]}"#.into(), "observed"),
        (sample.replace("did:mesh:a", "a"), "did:"),
        (sample.replace("did:mesh:a", "did:mesh:nobody"), "member"),
        (sample.replace("\"claimed\"", "\"metric\": \"far\", \"claimed\""), "no metric `far`"),
        ("nonsense".into(), "expected"),
    ] {
        // Braces are placeholders in a session file, unless they are doubled.
        let literally = printed.replace('{', "{{").replace('}', "}}");
        let command = json!({ "command": ["printf", "%s", literally] });
        let measure = with(look("measure", command), json!({ "drift": true }));
        let adapters = json!({ "python": python, "drift": "cmvk", "correction": "scak" });
        let run = scene(&with(file(0.9, vec![measure]), json!({ "adapters": adapters })));
        let output = ran(&mut run.start());
        let report = document(&output);
        assert_eq!(output.status.code(), Some(3), "{printed}: {report:#}");
        let why = step(&report, "measure").to_string();
        assert!(why.contains("the sample does not count") && why.contains(said), "{printed}: {why}");
        assert_eq!(report["slashes"], json!([]), "{printed}");
        // Who cannot be told is on the trail as well.
        let [told] = &corrections(&run)[..] else { panic!("{printed}: {:?}", corrections(&run)) };
        assert!(told["answer"]["untold"].as_str().unwrap().contains("scak"), "{told}");
        assert_complete(&run);
    }
}

#[test]
fn what_a_session_file_does_not_turn_on_is_recorded_as_off() {
    let run = scene(&file(0.9, vec![look("see", sh("true"))]));
    assert_eq!(ran(&mut run.start()).status.code(), Some(0));
    let off = told(&run);
    let adapters = json!({ "python": "python3", "drift": "cmvk", "correction": "scak" });
    let run = scene(&with(file(0.9, vec![look("see", sh("true"))]), json!({ "adapters": adapters })));
    assert_eq!(ran(&mut run.start()).status.code(), Some(0));
    let on = told(&run);
    assert!(
        off.contains("trust scores off, drift checks off, manifests off, context off, correction off"),
        "{off}"
    );
    assert!(
        on.contains("trust scores off, drift checks by cmvk, manifests off, context off, correction by scak"),
        "{on}"
    );
}

#[test]
fn the_real_cmvk_measures_what_the_native_one_does() {
    let Some(python) = python() else { return };
    let cmvk = CmvkBridge::new(&python, PATIENCE);
    let (claimed, observed) = ([0.3, -0.2, 0.9, 0.1], [0.1, 0.2, 0.7, -0.4]);
    for metric in Metric::ALL.map(Some).into_iter().chain([None]) {
        let settings = DriftSettings { metric, ..DriftSettings::default() };
        let real = cmvk.verify(&claimed, &observed, &settings).unwrap();
        let native = NativeVerifier.verify(&claimed, &observed, &settings).unwrap();
        assert!((real.score.get() - native.score.get()).abs() < 1e-9, "{metric:?}");
        assert_eq!((real.metric, real.confidence), (native.metric, native.confidence), "{metric:?}");
    }
}

#[test]
fn a_package_that_is_not_installed_is_said_and_not_imitated() {
    let (_folder, python) = bare();
    for kernel in [Kernel::Nexus, Kernel::Cmvk, Kernel::Scak] {
        let bridge = Bridge::new(&python, kernel, PATIENCE);
        let fault = bridge.ask("points", json!({})).unwrap_err();
        assert!(matches!(fault, BridgeFault::NotInstalled { .. }), "{fault}");
        assert!(fault.to_string().contains(kernel.package()), "{fault}");
    }
}

/// A program that speaks to the bridge as this shell script does.
fn lying(script: &str, deadline: Duration) -> Bridge {
    let hello = r#"{"bridge":1,"kernel":"nexus","version":"0.1.0"}"#;
    let script = format!("echo '{hello}'; {script}");
    let argv = ["sh", "-c", &script].map(OsString::from).to_vec();
    Bridge::of_program(argv, Kernel::Nexus, deadline)
}

#[test]
fn whatever_a_bridge_does_it_is_no_trust_and_in_time() {
    let deadline = Duration::from_millis(500);
    for (what, script, believed) in [
        ("hangs", "sleep 60", "500 ms"),
        ("is slow", "read q; sleep 2; echo '{\"id\":1,\"ok\":{\"points\":900}}'; cat", "500 ms"),
        ("ends", "exit 0", "gone"),
        ("is killed", "kill -9 $$", "gone"),
        ("says 5000", "read q; echo '{\"id\":1,\"ok\":{\"points\":5000}}'; cat >&2", "5000"),
        ("says -1", "read q; echo '{\"id\":1,\"ok\":{\"points\":-1}}'; cat >&2", "-1"),
        ("says NaN", "read q; echo '{\"id\":1,\"ok\":{\"points\":NaN}}'; cat >&2", "no JSON"),
        ("says half", "read q; echo '{\"id\":1,\"ok\":{\"points\":0.5}}'; cat >&2", "whole number"),
        ("says nothing", "read q; echo '{\"id\":1,\"ok\":{}}'; cat >&2", "whole number"),
        ("answers another", "read q; echo '{\"id\":7,\"ok\":{\"points\":900}}'; cat >&2", "another question"),
        ("talks nonsense", "read q; echo nonsense; cat >&2", "no JSON"),
        ("talks without end", "read q; head -c 9000000 /dev/zero | tr '\\\\0' a; sleep 60", "too long"),
        ("refuses", "read q; echo '{\"id\":1,\"error\":\"no\"}'; cat >&2", "refused"),
    ] {
        let began = Instant::now();
        let nexus = NexusBridge::over(lying(script, deadline));
        let fault = nexus.points(&did("a"), None).unwrap_err();
        let said = match &fault {
            ScorerFault::Unreachable { scorer } => scorer.clone(),
            fault => fault.to_string(),
        };
        assert!(said.contains(believed), "{what}: {said}");
        assert!(began.elapsed() < Duration::from_secs(4), "{what}: {:?}", began.elapsed());
    }
    // A program that is not there, one that speaks another version, and one of another kernel.
    for (argv, said) in [
        (vec!["/nowhere/python"], "does not start"),
        (vec!["sh", "-c", r#"echo '{"bridge":2,"kernel":"nexus","version":"0.1.0"}'"#], "protocol"),
        (vec!["sh", "-c", r#"echo '{"bridge":1,"kernel":"cmvk","version":"0.3.0"}'"#], "protocol"),
        (vec!["sh", "-c", r#"echo '{"bridge":1,"kernel":"nexus","version":"9"}'"#], "version"),
    ] {
        let argv = argv.into_iter().map(OsString::from).collect();
        let bridge = Bridge::of_program(argv, Kernel::Nexus, deadline);
        let fault = bridge.ask("points", json!({})).unwrap_err();
        assert!(fault.to_string().contains(said), "{fault}");
        // It is not started again at once.
        assert!(matches!(bridge.ask("points", json!({})), Err(BridgeFault::Waiting { .. })));
    }
}

/// Thirty-two bytes that nobody can guess.
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut bytes).unwrap();
    bytes
}

/// A server that answers every request with these bytes, after this long; stopped with the test.
fn answering(answer: Vec<u8>, after: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), answer) = (stream, answer.clone()) else { return };
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let _ = std::io::Read::read(&mut stream, &mut request);
                std::thread::sleep(after);
                let _ = stream.write_all(&answer);
            });
        }
    });
    url
}

fn response(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// Everything that a sidecar or a store may do wrong: what it does, its answer, and how long it takes to give it.
fn faults() -> Vec<(&'static str, Vec<u8>, Duration)> {
    let manifest = |agent: &str| {
        format!(
            r#"{{"agent_id": "{agent}", "trust_level": "trusted", "capabilities": {{"reversibility": "full"}},
                "privacy_contract": {{"retention": "ephemeral"}}}}"#
        )
    };
    let now = Duration::ZERO;
    let endless = format!("HTTP/1.1 200 X\r\n\r\n{}", "a".repeat(8 * 1024 * 1024)).into_bytes();
    vec![
        ("hangs", response(200, &manifest("did:mesh:a")), Duration::from_secs(30)),
        ("is slow", response(200, &manifest("did:mesh:a")), Duration::from_secs(2)),
        ("hangs up", Vec::new(), now),
        ("talks nonsense", b"nonsense\r\n\r\n".to_vec(), now),
        ("breaks off", b"HTTP/1.1 200 X\r\nContent-Length: 900\r\n\r\n{\"agent_id\":".to_vec(), now),
        ("says too much", endless, now),
        ("fails", response(500, "{}"), now),
        ("leads elsewhere", b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\n\r\n".to_vec(), now),
        ("says no JSON", response(200, "<html>"), now),
        ("says a list", response(200, "[]"), now),
        ("says NaN", response(200, r#"{"agent_id": NaN}"#), now),
        ("says nothing", response(200, "{}"), now),
        ("speaks of another", response(200, &manifest("did:mesh:b")), now),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_server_does_nobody_joins_by_it_nothing_is_written_and_the_trail_says_so() {
    let deadline = Duration::from_millis(400);
    let killed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let served = faults().into_iter().map(|(what, answer, after)| (what, answering(answer, after)));
    for (what, url) in served.chain([("is not there", killed)]) {
        let log = Arc::new(hv_core::audit::MemoryLog::new());
        let hv = Hypervisor::open(log.clone(), Arc::new(SystemClock))
            .unwrap()
            .with_manifests("iatp", ManifestDesk::new(Sidecar::new(&url, deadline)), deadline)
            .with_context("caas", CaasStore::new(&url, deadline), deadline);
        let (session, agent, member) = (SessionId::new("s").unwrap(), did("a"), did("member"));
        hv.create_session(&session, SessionConfig::default(), &did("admin")).await.unwrap();
        let entrant = Entrant::new(member.clone()).with_sigma("0.90".parse().unwrap());
        hv.join_session(&session, &entrant).await.unwrap();
        hv.activate_session(&session).await.unwrap();
        hv.write_file(&session, &member, "a.txt", b"mine".to_vec(), Expect::Any).await.unwrap();
        let began = Instant::now();
        assert!(hv.join_by_manifest(&session, &agent).await.is_err(), "{what}");
        assert!(hv.take_file(&session, &member, "a.txt").await.is_err(), "{what}");
        assert!(hv.publish_file(&session, &member, "a.txt").await.is_err(), "{what}");
        assert!(began.elapsed() < Duration::from_secs(4), "{what}: {:?}", began.elapsed());
        let kept = hv.read_file(&session, &member, "a.txt").await.unwrap();
        assert_eq!(kept.as_deref(), Some(&b"mine"[..]), "{what}");
        let mut denials = Vec::new();
        hv_core::audit::Log::replay(&*log, &mut |entry| {
            for event in hv_core::read_record(&entry).unwrap().events {
                if let hv_core::TrailEvent::Session(event) = event
                    && let hv_core::event::SessionEvent::Denied { denial } = *event
                {
                    denials.push(denial.request);
                }
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(denials, ["join", "context", "context"], "{what}");
    }
}

#[test]
fn a_store_that_says_no_or_nothing_is_given_nothing_and_the_run_turns_back() {
    let nowhere = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    // Whoever has no such file and no such gateway has not said yes.
    for (store, denied, said) in [
        (answering(response(404, "{}"), Duration::ZERO), 1, "refused with status 404"),
        (nowhere, 0, "gave no answer"),
    ] {
        let path = |does: &str| json!({ "context": { does: "plan.txt" } });
        let share = json!({
            "id": "share", "agent": AGENT, "action": "change", "execute": path("write"),
            "undo": path("remove"), "probe": path("look"),
        });
        let plan = change("plan", sh("printf 'the plan' > plan.txt"), sh("rm plan.txt"));
        let adapters = json!({ "adapters": { "context": store, "deadline": "5s" } });
        let run = scene(&with(file(0.9, vec![plan, share]), adapters));
        let output = ran(&mut run.start());
        let report = document(&output);
        assert_eq!(output.status.code(), Some(3), "{report:#}");
        assert!(step(&report, "share").to_string().contains(said), "{report:#}");
        let requests: Vec<_> = denials(&run.data()).into_iter().map(|denial| denial.request).collect();
        assert_eq!(requests, vec!["context"; denied], "{said}");
        assert_complete(&run);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_verifier_does_it_is_no_pass_and_never_a_slash() {
    let deadline = Duration::from_millis(400);
    let answer = |ok: &str| format!("read q; echo '{{\"id\":1,\"ok\":{ok}}}'; cat >&2");
    let good = r#""confidence":0.9,"raw_distance":1.0,"metric_used":"cosine""#;
    for (what, script) in [
        ("hangs", "sleep 60".to_owned()),
        ("is slow", format!("read q; sleep 2; {}", answer(&format!("{{\"drift_score\":0.9,{good}}}")))),
        ("ends", "exit 0".to_owned()),
        ("says NaN", answer(&format!("{{\"drift_score\":NaN,{good}}}"))),
        ("says 5000", answer(&format!("{{\"drift_score\":5000,{good}}}"))),
        ("says -1", answer(&format!("{{\"drift_score\":-1,{good}}}"))),
        ("says no score", answer(&format!("{{{good}}}"))),
        ("says no metric", answer(r#"{"drift_score":0.1,"confidence":0.9,"raw_distance":1.0}"#)),
        ("talks nonsense", "read q; echo nonsense; cat >&2".to_owned()),
        ("talks without end", "read q; head -c 9000000 /dev/zero | tr '\\0' a; sleep 60".to_owned()),
        ("refuses", "read q; echo '{\"id\":1,\"error\":\"no\"}'; cat >&2".to_owned()),
    ] {
        let hello = r#"{"bridge":1,"kernel":"cmvk","version":"0.3.0"}"#;
        let argv = ["sh", "-c", &format!("echo '{hello}'; {script}")].map(OsString::from).to_vec();
        let cmvk = CmvkBridge::over(Bridge::of_program(argv, Kernel::Cmvk, deadline));
        let setup = DriftSetup { deadline: deadline * 3, ..DriftSetup::default() };
        let hv = Hypervisor::in_memory().unwrap().with_drift("cmvk", cmvk, setup);
        let (session, agent) = (SessionId::new("s").unwrap(), did("a"));
        hv.create_session(&session, SessionConfig::default(), &did("admin")).await.unwrap();
        let entrant = Entrant::new(agent.clone()).with_sigma("0.90".parse().unwrap());
        hv.join_session(&session, &entrant).await.unwrap();
        hv.activate_session(&session).await.unwrap();
        let sample =
            DriftSample { claimed: vec![1.0, 0.0], observed: vec![1.0, 0.0], ..DriftSample::default() };
        let began = Instant::now();
        let mut responses = Vec::new();
        for _ in 0..2 {
            let answer = hv.check_drift(&session, &agent, sample.clone()).await.unwrap();
            assert!(!answer.passed(), "{what}: {:?}", answer.verdict);
            responses.push(answer.response);
        }
        assert_eq!(responses, [Response::Nothing, Response::Demote], "{what}");
        assert_eq!(
            hv.standing(&session, &agent).unwrap(),
            ("0.90".parse().unwrap(), Ring::Sandbox),
            "{what}"
        );
        assert!(began.elapsed() < Duration::from_secs(5), "{what}: {:?}", began.elapsed());
    }
}
