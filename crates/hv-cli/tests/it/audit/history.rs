//! `hv audit history`: what a node says of an agent's sessions, as another node weighs it.

use super::outside::Desk;
use super::trails;
use hv_core::audit::{BadHistory, HistoryProof, NoteVerifier, VerifierKey};
use hv_core::types::{Did, Timestamp};
use hv_core::{Clock, SystemClock};
use std::fs;
use std::time::Duration;

struct Strict;

impl NoteVerifier for Strict {
    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        hv_core::identity::PublicKey::from_bytes(key).is_ok_and(|key| key.verify(message, signature).is_ok())
    }
}

#[tokio::test]
async fn a_history_says_what_the_trail_has_and_for_how_long() {
    let desk = Desk::new();
    let dir = desk.trail("t").await;
    let helper = Did::new("did:mesh:helper").unwrap();
    let line = "audit history t --agent did:mesh:helper --key log.key --origin node.example --for 20m --to h";
    let (code, document) = desk.json(line);
    assert_eq!((code, &document["sessions"]), (0, &1.into()), "{document}");
    let key: VerifierKey = document["key"].as_str().unwrap().parse().unwrap();
    let bytes = fs::read(desk.path("h")).unwrap();
    let proof = HistoryProof::from_file(&bytes).unwrap();
    let check = |who: &Did, now: Timestamp| proof.check(who, now, std::slice::from_ref(&key), &Strict);
    let now = SystemClock.now();
    let proven = check(&helper, now).unwrap();
    let (_, found) = desk.json("audit verify t");
    let release =
        found["streams"].as_array().unwrap().iter().find(|stream| stream["label"] == "release").unwrap();
    assert_eq!(proven.summaries.len(), 1);
    assert_eq!(proven.summaries[0].to_string(), release["root"].as_str().unwrap());
    assert_eq!(check(&Did::new("did:mesh:other").unwrap(), now), Err(BadHistory::OtherAgent));
    assert_eq!(check(&helper, now.after(Duration::from_secs(1201))), Err(BadHistory::Time));

    // Whoever was in no session has none, and says so.
    let (code, document) = desk.json("audit history t --agent did:mesh:nobody --key log.key --to n");
    assert_eq!((code, &document["sessions"]), (0, &0.into()));
    let (code, _, stderr) = desk.hv("audit history t --agent did:mesh:helper --key log.key --for 25h --to x");
    assert!(code == 2 && stderr.contains("longer than a day") && !desk.path("x").exists(), "{code} {stderr}");

    // Nothing is said about a trail that was tampered with.
    fs::remove_dir_all(&dir).unwrap();
    trails::finished(&dir).await;
    let segment = dir.join("00000000.seg");
    let mut changed = fs::read(&segment).unwrap();
    changed[500] ^= 1;
    fs::write(&segment, changed).unwrap();
    assert_eq!(desk.hv("audit history t --agent did:mesh:helper --key log.key --to x").0, 1);
    assert!(!desk.path("x").exists());
}
