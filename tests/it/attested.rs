//! Manifests with attestation records of the package's own making, from sidecars of the package: what counts is worth
//! its score, what does not admits nobody, and each says why.

use crate::kernels::{PATIENCE, Server, python};
use crate::scene::{assert_complete, denials, file, look, ran, scene, sh, with};
use crate::support::{hv, json as document, workspace};
use hv_core::Hypervisor;
use hv_core::integrations::http::Sidecar;
use hv_core::integrations::iatp::{Attesters, ManifestDesk, config_hash};
use hv_core::session::SessionConfig;
use hv_core::types::{Did, Ring, SessionId};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const SEED: [u8; 32] = [7; 32];

fn key() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&SEED)
}

fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

fn folder() -> String {
    workspace().join("tests/fixtures").display().to_string()
}

/// A manifest and its record, as the package makes them; the package leaves out signing.
fn made(python: &Path) -> Value {
    let output = Command::new(python).arg(workspace().join("tests/fixtures/attested.py")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The same signed, as the package's documentation has it for production.
fn signed(mut case: Value) -> Value {
    let fields = ["agent_id", "codebase_hash", "config_hash", "timestamp"];
    let message = fields.map(|field| case["record"][field].as_str().unwrap()).join(":");
    let signature = ed25519_dalek::Signer::sign(&key(), message.as_bytes());
    case["record"]["signature"] = base64(&signature.to_bytes()).into();
    case
}

fn changed(case: &Value, pointer: &str, to: &str) -> Value {
    let mut case = case.clone();
    *case.pointer_mut(pointer).unwrap() = to.into();
    case
}

/// Every case, and the words with which it is refused; none for what is admitted.
fn cases(python: &Path) -> Vec<(&'static str, Value, Option<&'static str>)> {
    let made = made(python);
    let good = signed(made.clone());
    let mut bare = made.clone();
    bare["record"] = Value::Null;
    let timed = |at: &str| signed(changed(&made, "/record/timestamp", at));
    vec![
        ("good", good.clone(), None),
        ("bare", bare, None),
        ("unsigned", made.clone(), Some("not signed")),
        ("tampered", changed(&good, "/record/codebase_hash", &"b".repeat(64)), Some("changed, or forged")),
        ("expired", timed("2026-01-31T12:00:00Z"), Some("counted until 2026-02-01")),
        (
            "ended",
            changed(&good, "/record/expires_at", "2026-01-31T12:00:00Z"),
            Some("counted until 2026-01-31"),
        ),
        ("early", timed("2099-01-31T12:00:00Z"), Some("later than now")),
        ("foreign", signed(changed(&made, "/record/agent_id", "did:mesh:b")), Some("speaks of `did:mesh:b`")),
        ("unknown", signed(changed(&made, "/record/signing_key_id", "cp-2")), Some("nobody here trusts")),
        (
            "inflated",
            changed(&good, "/manifest/trust_level", "verified_partner"),
            Some("another configuration"),
        ),
        (
            "other-agent",
            changed(&good, "/manifest/agent_id", "did:mesh:b"),
            Some("speaks of `did:mesh:attested`"),
        ),
    ]
}

fn served(python: &Path, cases: &[(&'static str, Value, Option<&'static str>)]) -> Server {
    let all: Value = cases.iter().map(|(name, case, _)| (name.to_string(), case.clone())).collect();
    Server::start_in(python, &["attested:app", "--app-dir", &folder()], &[("CASES", &all.to_string())])
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_attested_is_worth_its_score_and_every_other_record_admits_nobody() {
    let Some(python) = python() else { return };
    let cases = cases(&python);
    let server = served(&python, &cases);
    let agent = Did::new("did:mesh:attested").unwrap();
    let key = key().verifying_key().to_bytes();
    let attesters = Attesters::default().with_key("control-plane-1", &key).unwrap();
    let other_code = attesters.clone().with_codebase(&agent, &"c".repeat(64));
    let join = async |name: &str, attesters: &Attesters| {
        let sidecar = Sidecar::new(&format!("{}/{name}", server.url), PATIENCE);
        let desk = ManifestDesk::new(sidecar).attested_by(attesters.clone());
        let hv = Hypervisor::in_memory().unwrap().with_manifests("iatp", desk, PATIENCE);
        let session = SessionId::new("s").unwrap();
        hv.create_session(&session, SessionConfig::default(), &Did::new("did:mesh:admin").unwrap())
            .await
            .unwrap();
        let ring = hv.join_by_manifest(&session, &agent).await.map_err(|error| error.to_string())?;
        Ok::<_, String>((ring, hv.standing(&session, &agent).unwrap().0.to_string()))
    };
    for (name, _, refused) in &cases {
        let joined = join(name, &attesters).await;
        match (refused, joined) {
            (Some(words), Err(why)) => assert!(why.contains(words), "{name}: {why}"),
            (None, Ok(stands)) if *name == "good" => assert_eq!(stands, (Ring::Standard, "1.00".into())),
            (None, Ok(stands)) => assert_eq!(stands, (Ring::Sandbox, "0.60".into()), "{name}"),
            (_, joined) => panic!("{name}: {joined:?}"),
        }
        // Where nobody's attestation counts, none is looked at, and none is worth anything.
        if !["other-agent"].contains(name) {
            assert_eq!(join(name, &Attesters::default()).await, Ok((Ring::Sandbox, "0.60".into())), "{name}");
        }
    }
    let refused = join("good", &other_code).await.unwrap_err();
    assert!(refused.contains("other code"), "{refused}");
}

#[test]
fn a_session_file_names_whose_attestations_count() {
    let Some(python) = python() else { return };
    let cases = cases(&python);
    let server = served(&python, &cases);
    let key = base64(&key().verifying_key().to_bytes());
    let codebase = format!("sha256:{}", cases[0].1["record"]["codebase_hash"].as_str().unwrap());
    for (name, codebase, exit) in [
        ("good", codebase.clone(), 0),
        ("good", format!("sha256:{}", "c".repeat(64)), 5),
        ("tampered", codebase, 5),
    ] {
        let mut session = with(
            file(0.9, vec![look("see", sh("true"))]),
            json!({ "adapters": {
                "manifests": format!("{}/{name}", server.url), "attesters": { "control-plane-1": key },
            } }),
        );
        let agents = session["agent"].as_array_mut().unwrap();
        agents.push(json!({ "did": "did:mesh:attested", "fetch_manifest": true, "codebase": codebase }));
        let run = scene(&session);
        let output = ran(&mut run.start());
        assert_eq!(output.status.code(), Some(exit), "{name}: {:#}", document(&output));
        assert_complete(&run);
        if exit == 0 {
            let shown = hv().args(["audit", "show"]).arg(run.data()).output().unwrap();
            let shown = String::from_utf8(shown.stdout).unwrap();
            assert!(
                shown.contains("did:mesh:attested has an account with reputation 1.00 (attested)"),
                "{shown}"
            );
        } else {
            let denied = denials(&run.data());
            assert_eq!(denied.last().unwrap().agent.as_ref().unwrap().as_str(), "did:mesh:attested");
        }
    }
}

#[test]
fn the_command_line_says_whether_a_manifest_is_attested_and_why_not() {
    let Some(python) = python() else { return };
    let cases = cases(&python);
    let key = base64(&key().verifying_key().to_bytes());
    let mut lines = Vec::new();
    for (_, case, _) in &cases {
        let mut manifest = case["manifest"].clone();
        assert!(config_hash(&manifest.to_string()).is_some());
        manifest["attestation"] = case["record"].clone();
        lines.push(manifest.to_string());
    }
    let mut child = hv()
        .args(["manifest", "-", "--attester", &format!("control-plane-1={key}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), cases.len());
    for ((name, _, refused), answer) in cases.iter().zip(answers) {
        assert_eq!(answer["attested"], json!(*name == "good"), "{name}: {answer}");
        match refused {
            Some(words) => {
                assert!(answer["refused"].as_str().unwrap().contains(words), "{name}: {answer}");
                assert_eq!(answer["sigma_hint"], Value::Null, "{name}");
            }
            None => {
                assert_eq!(answer["sigma_hint"], json!(if *name == "good" { 1.0 } else { 0.6 }), "{name}")
            }
        }
    }
    let bad = hv().args(["manifest", "-", "--attester", "a=b"]).output().unwrap();
    assert_eq!(bad.status.code(), Some(2));
}
