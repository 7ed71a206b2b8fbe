//! The bytes that are signed, pinned: whoever changes them makes every signature so far worthless.

use crate::{NOW, call, did, statement};
use hv_identity::registry::{Denial, Event, Held};
use hv_identity::strategies::known_signer;
use hv_identity::{
    BadKey, Content, Digest, Envelope, Field, Finding, KeyFault, Kind, Malformed, MalformedCause, Refusal,
    Reversibility, RiskWeight, Share, Sigma, Statement, TextLimit, Timestamp, Verdict,
};
use hv_types::Wire;

/// One statement of each kind, with every optional field and without any.
fn statements() -> Vec<Statement> {
    let session = call().session;
    let own = hv_identity::Call { agent: known_signer(1).did().clone(), ..call() };
    let key = known_signer(2).public().clone();
    let evidence = |session, class, risk| Content::Evidence {
        about: did("did:mesh:beta"),
        session,
        finding: Finding::OutsideIntent,
        fault: Share::from_ppm(500_000).unwrap(),
        class,
        risk,
        happened: Timestamp(NOW.0 - 1),
        evidence: Digest([0xcd; 32]),
    };
    let contents = vec![
        Content::Join { session: session.clone() },
        Content::Vouch {
            session: session.clone(),
            vouchee: did("did:mesh:beta"),
            stake: Sigma::from_ppm(160_000).unwrap(),
        },
        Content::Release { session: session.clone(), vouchee: did("did:mesh:beta") },
        Content::Vote { call: call(), verdict: Verdict::For },
        Content::Vote { call: call(), verdict: Verdict::Against },
        Content::Witness { call: call() },
        evidence(Some(session), Some(Reversibility::None), Some(RiskWeight::from_ppm(950_001).unwrap())),
        evidence(None, None, None),
        Content::Intent { call: own.clone(), on_behalf_of: Some(did("did:mesh:boss")) },
        Content::Intent { call: own, on_behalf_of: None },
        Content::Bind { key: key.clone(), from: NOW, until: Timestamp::MAX },
        Content::Rotate { key, from: Timestamp(0), until: NOW },
        Content::Revoke,
    ];
    contents.into_iter().map(|content| statement(1, content)).collect()
}

#[test]
fn each_kind_of_statement() {
    let lines: Vec<String> =
        statements().iter().map(|statement| statement.seal(&known_signer(1)).unwrap().to_json()).collect();
    let golden: Vec<&str> = include_str!("../vectors/envelopes.jsonl").lines().collect();
    for (line, golden) in lines.iter().zip(&golden) {
        assert_eq!(line, golden);
    }
    assert_eq!(lines.len(), golden.len());
    for kind in Kind::ALL {
        let named = |line: &&String| line.contains(&format!("\"payloadType\":\"{}\"", kind.payload_type()));
        assert!(lines.iter().any(|line| named(&line)), "{kind} is not pinned");
    }
}

#[test]
fn a_witness_word_as_it_is_signed() {
    let witness = statement(1, Content::Witness { call: call() });
    let signer = known_signer(1).did().clone();
    assert_eq!(
        witness.to_payload(),
        format!(
            r#"{{"audience":"did:mesh:node","call":{{"action":"git.push","agent":"did:mesh:alpha","deadline":"2026-01-31T12:05:00.000000000Z","params":"{}","session":"release"}},"deadline":"2026-01-31T12:01:00.000000000Z","nonce":"{}","signer":"{signer}"}}"#,
            "ab".repeat(32),
            "0f".repeat(16),
        )
    );
    let envelope = witness.seal(&known_signer(1)).unwrap();
    assert_eq!(envelope.payload_type(), "application/vnd.hv.witness.v1+json");
    assert_eq!(envelope.payload(), witness.to_payload().as_bytes());
}

#[test]
fn an_envelope_in_the_log() {
    let envelope = Envelope::sign("ab", b"cde", &known_signer(1)).unwrap();
    let bytes = envelope.to_bytes();
    let did = known_signer(1).did().clone();
    let head = [b"\x02ab\x03cde\x01\x38", did.as_str().as_bytes(), b"\x40"].concat();
    assert!(bytes.starts_with(&head), "{bytes:?}");
    assert_eq!(bytes.len(), head.len() + 64);
    assert_eq!(Envelope::from_bytes(&bytes), Ok(envelope));
    // No signature, or nine.
    assert!(Envelope::from_bytes(b"\x00\x00\x00").is_err());
    assert!(Envelope::from_bytes(&[b"\x00\x00\x09".as_slice(), &[0; 18]].concat()).is_err());
    assert!(Envelope::from_bytes(&[b"\x00\x00\x08".as_slice(), &[0; 16]].concat()).is_ok());
}

#[test]
fn events_and_reasons_in_the_log() {
    let key = known_signer(1).public().clone();
    let k = key.as_bytes().as_slice();
    let (a, t) = (did("did:x:a"), |n: u8| [n, 0, 0, 0, 0, 0, 0, 0]);
    let named = [b"\x07did:x:a".as_slice()].concat();
    let (from, until, at) = (Timestamp(1), Timestamp(2), Timestamp(3));
    let times = [t(1), t(2)].concat();
    let held = Held { key: key.clone(), from, until, revoked: Some(at) };
    for (event, bytes) in [
        (
            Event::Bound { did: a.clone(), key: key.clone(), from, until },
            [&[0], named.as_slice(), k, &times].concat(),
        ),
        (
            Event::Rotated { did: a.clone(), key: key.clone(), from, until },
            [&[1], named.as_slice(), k, &times].concat(),
        ),
        (Event::Revoked { did: a.clone(), at }, [&[2], named.as_slice(), &t(3)].concat()),
        (
            Event::Replaced { did: a.clone(), key: key.clone(), from, until, at },
            [&[3], named.as_slice(), k, &times, &t(3)].concat(),
        ),
        (
            Event::Restored { did: a.clone(), keys: vec![held] },
            [&[16], named.as_slice(), &[1], k, &times, &[1], &t(3)].concat(),
        ),
    ] {
        assert_eq!(event.to_bytes(), bytes);
        assert_eq!(Event::from_bytes(&bytes), Ok(event));
    }
    let malformed = |cause| Refusal::Malformed { malformed: Malformed { offset: 300, cause } };
    for (refusal, bytes) in [
        (Refusal::TooLarge { what: TextLimit::Signature }, vec![0, 4]),
        (malformed(MalformedCause::NotJson), vec![1, 0xac, 2, 0]),
        (malformed(MalformedCause::Missing { field: Field::Until }), vec![1, 0xac, 2, 4, 27]),
        (malformed(MalformedCause::Value { field: Field::Payload }), vec![1, 0xac, 2, 6, 0]),
        (Refusal::PayloadType, vec![2]),
        (Refusal::NotCanonical { offset: 5 }, vec![3, 5]),
        (Refusal::ForeignAudience { audience: a.clone() }, [&[4], named.as_slice()].concat()),
        (Refusal::Expired { deadline: at }, [&[5], t(3).as_slice()].concat()),
        (Refusal::TooFarAhead { deadline: at }, [&[6], t(3).as_slice()].concat()),
        (Refusal::Signatures { found: 2, wanted: 1 }, vec![7, 2, 1]),
        (
            Refusal::Key { signer: a.clone(), fault: KeyFault::Revoked { at } },
            [&[8], named.as_slice(), &[4], &t(3)].concat(),
        ),
        (
            Refusal::Key { signer: a.clone(), fault: KeyFault::Bad { why: BadKey::SmallOrder } },
            [&[8], named.as_slice(), &[1, 5]].concat(),
        ),
        (
            Refusal::SignerMismatch { signer: a.clone(), by: a.clone() },
            [&[9], named.as_slice(), named.as_slice()].concat(),
        ),
        (Refusal::BadSignature, vec![10]),
    ] {
        assert_eq!(refusal.to_bytes(), bytes);
        assert_eq!(Refusal::from_bytes(&bytes), Ok(refusal));
    }
    for (denial, bytes) in [
        (Denial::OtherKind { kind: Kind::Join }, vec![0, 0]),
        (Denial::IsKey, vec![2]),
        (Denial::KeyTaken { by: a }, [&[5], named.as_slice()].concat()),
        (Denial::Key { fault: KeyFault::Unknown }, vec![9, 0]),
        (Denial::Pending { from }, [&[10], t(1).as_slice()].concat()),
    ] {
        assert_eq!(denial.to_bytes(), bytes);
        assert_eq!(Denial::from_bytes(&bytes), Ok(denial));
    }
}
