//! Opening an envelope: what counts, and each reason why something does not.

use crate::{NOW, call, did, node, statement};
use hv_identity::registry::Command;
use hv_identity::strategies::known_signer;
use hv_identity::{
    Content, Did, DidKey, ENVELOPE_MAX_BYTES, Envelope, Fallback, Field, KeyFault, Kind, MAX_VALIDITY,
    Machine, Malformed, MalformedCause, Opened, PAYLOAD_MAX_BYTES, PublicKey, Refusal, Registry, Resolver,
    SIGNATURES_MAX, Statement, TextLimit, Timestamp, Verdict, open, open_among,
};

/// Opens it now, at the node, with nothing but keys that are their own names.
fn plainly(envelope: &Envelope) -> Result<Opened, Refusal> {
    open(envelope, &DidKey, &node(), NOW)
}

/// What is wrong with a witness's word that was changed before it was signed.
fn changed(change: impl FnOnce(&mut Statement)) -> Option<Refusal> {
    let mut statement = statement(1, Content::Witness { call: call() });
    change(&mut statement);
    plainly(&statement.seal(&known_signer(1)).unwrap()).err()
}

/// What is wrong with a payload that is signed as it is.
fn signed(kind: &str, payload: &str) -> Refusal {
    plainly(&Envelope::sign(kind, payload.as_bytes(), &known_signer(1)).unwrap()).unwrap_err()
}

#[test]
fn what_was_said_is_what_is_opened() {
    let statement = statement(1, Content::Vote { call: call(), verdict: Verdict::Against });
    let opened = plainly(&statement.seal(&known_signer(1)).unwrap()).unwrap();
    assert_eq!((opened.statement(), opened.key()), (&statement, known_signer(1).public()));
    assert_eq!(opened.into_statement(), statement);
}

#[test]
fn deadlines_to_the_nanosecond() {
    let at = |deadline| changed(|statement| statement.deadline = Timestamp(deadline));
    let deadline = Timestamp(NOW.0 - 1);
    assert_eq!(at(deadline.0), Some(Refusal::Expired { deadline }));
    assert_eq!(at(NOW.0), None);
    let farthest = NOW.after(MAX_VALIDITY);
    assert_eq!(at(farthest.0), None);
    let deadline = Timestamp(farthest.0 + 1);
    assert_eq!(at(deadline.0), Some(Refusal::TooFarAhead { deadline }));
    assert_eq!(at(u64::MAX), Some(Refusal::TooFarAhead { deadline: Timestamp::MAX }));
    assert_eq!(MAX_VALIDITY.as_secs(), 7 * 24 * 60 * 60);
}

#[test]
fn an_envelope_for_another_node_is_refused() {
    let audience = did("did:mesh:elsewhere");
    let refusal = changed(|statement| statement.audience = audience.clone());
    assert_eq!(refusal, Some(Refusal::ForeignAudience { audience }));
}

#[test]
fn a_payload_under_another_type_is_another_statement() {
    let vote = statement(1, Content::Vote { call: call(), verdict: Verdict::For });
    let payload = vote.to_payload();
    // Signed under the other type from the start: the fields do not fit.
    let offset = u32::try_from(payload.find("\"for\"").unwrap()).unwrap();
    let unknown = Refusal::Malformed { malformed: Malformed { offset, cause: MalformedCause::Unknown } };
    assert_eq!(signed(Kind::Witness.payload_type(), &payload), unknown);
    // The type exchanged afterwards: a witness's word, of which only the type differs from that of an intent.
    let witness = statement(
        1,
        Content::Witness { call: hv_identity::Call { agent: known_signer(1).did().clone(), ..call() } },
    );
    let json = witness.seal(&known_signer(1)).unwrap().to_json();
    let exchanged = json.replace("hv.witness.v1", "hv.intent.v1");
    let exchanged = Envelope::from_json(exchanged.as_bytes()).unwrap();
    assert_eq!(plainly(&exchanged), Err(Refusal::BadSignature));
    for kind in
        ["", "application/json", "application/vnd.hv.witness.v2+json", "Application/vnd.hv.witness.v1+json"]
    {
        assert_eq!(signed(kind, &payload), Refusal::PayloadType, "{kind}");
    }
}

#[test]
fn only_the_canonical_payload_counts() {
    let statement = statement(1, Content::Witness { call: call() });
    let good = statement.to_payload();
    let kind = Kind::Witness.payload_type();
    assert!(plainly(&Envelope::sign(kind, good.as_bytes(), &known_signer(1)).unwrap()).is_ok());
    for (from, to, offset) in [
        ("{\"audience\"", "{ \"audience\"", 1),
        ("}", "} ", good.find('}').unwrap() + 1),
        ("12:01:00.000000000Z", "12:01:00Z", good.find("12:01:00.").unwrap() + 8),
        ("12:01:00.000000000Z", "12:01:00.0Z", good.find("12:01:00.").unwrap() + 10),
        ("git.push", "git\\u002epush", good.find("git.push").unwrap() + 3),
        ("\"params\":\"abab", "\"params\":\"ABab", good.find("\"abab").unwrap() + 1),
    ] {
        let other = good.replacen(from, to, 1);
        assert_ne!(other, good);
        let offset = u32::try_from(offset).unwrap();
        assert_eq!(signed(kind, &other), Refusal::NotCanonical { offset }, "{other}");
    }
    // Names in another order.
    let (head, tail) = good.split_once(",\"signer\":").unwrap();
    let other = format!("{{\"signer\":{},{}}}", tail.trim_end_matches('}'), head.trim_start_matches('{'));
    assert_eq!(signed(kind, &other), Refusal::NotCanonical { offset: 2 });
    // More than six places of a stake.
    let vouch = crate::statement(
        1,
        Content::Vouch {
            session: call().session,
            vouchee: did("did:mesh:beta"),
            stake: "0.16".parse().unwrap(),
        },
    )
    .to_payload();
    for spelled in ["0.160", "0.1600001", ".16", "1.6e-1"] {
        let other = vouch.replace("\"0.16\"", &format!("\"{spelled}\""));
        assert!(
            matches!(signed(Kind::Vouch.payload_type(), &other), Refusal::NotCanonical { .. }),
            "{spelled}"
        );
    }
}

#[test]
fn a_payload_that_is_no_statement_says_where() {
    let good = statement(1, Content::Witness { call: call() }).to_payload();
    let at = |needle: &str| u32::try_from(good.find(needle).unwrap()).unwrap();
    let value =
        |needle: &str, field| Malformed { offset: at(needle), cause: MalformedCause::Value { field } };
    for (from, to, expected) in [
        ("did:mesh:node", "node", value("\"did:mesh:node\"", Field::Audience)),
        ("did:mesh:alpha", "did:mesh:", value("\"did:mesh:alpha\"", Field::Agent)),
        ("\"git.push\"", "1", value("\"git.push\"", Field::Action)),
        ("\"release\"", "{}", value("\"release\"", Field::Session)),
        ("0f0f0f0f", "0F0f0f0f", value("\"0f0f0f0f", Field::Nonce)),
        ("0f0f0f0f", "0f0f0f", value("\"0f0f0f0f", Field::Nonce)),
        ("abab", "ab", value("\"abab", Field::Params)),
        ("2026-01-31T12:01:00", "2026-02-31T12:01:00", value("\"2026-01-31T12:01", Field::Deadline)),
    ] {
        let payload = good.replacen(from, to, 1);
        assert_ne!(payload, good, "{from}");
        let found = signed(Kind::Witness.payload_type(), &payload);
        assert_eq!(found, Refusal::Malformed { malformed: expected }, "{from}");
    }
    let missing = |field| MalformedCause::Missing { field };
    for (payload, offset, cause) in [
        ("", 0, MalformedCause::NotJson),
        ("null", 0, MalformedCause::OtherKind),
        ("[]", 0, MalformedCause::OtherKind),
        ("{}", 0, missing(Field::Audience)),
        (&good.replace("\"nonce\"", "\"once\""), 0, missing(Field::Nonce)),
        (&good.replace("\"agent\"", "\"urgent\""), at("{\"action\""), missing(Field::Agent)),
        (&good.replace("\"call\":{", "\"call\":{\"x\":1,"), at("{\"action\"") + 5, MalformedCause::Unknown),
        (&good.replacen('{', "{\"x\":1,", 1), 5, MalformedCause::Unknown),
        (&good.replacen('{', "{\"nonce\":\"\",", 1), at("\"nonce\"") + 11, MalformedCause::NameTwice),
        (&format!("{good}{good}"), u32::try_from(good.len()).unwrap(), MalformedCause::NotJson),
    ] {
        let malformed = Malformed { offset, cause };
        assert_eq!(
            signed(Kind::Witness.payload_type(), payload),
            Refusal::Malformed { malformed },
            "{payload}"
        );
    }
}

#[test]
fn nobody_signs_for_another() {
    let (one, two) = (known_signer(1), known_signer(2));
    let statement = statement(1, Content::Witness { call: call() });
    let mismatch = Refusal::SignerMismatch { signer: one.did().clone(), by: two.did().clone() };
    assert_eq!(statement.seal(&two), Err(mismatch.clone()));
    // Whoever does it by hand is found out; without a key id it cannot be said who it was.
    let kind = Kind::Witness.payload_type();
    let forged = Envelope::sign(kind, statement.to_payload().as_bytes(), &two).unwrap();
    assert_eq!(plainly(&forged), Err(mismatch));
    for keyid in ["", "2", one.did().as_str(), known_signer(3).did().as_str()] {
        let json = forged.to_json().replace(two.did().as_str(), keyid);
        let forged = Envelope::from_json(json.as_bytes()).unwrap();
        assert_eq!(plainly(&forged), Err(Refusal::BadSignature), "{keyid}");
    }
    // A key id is a hint and decides nothing.
    for keyid in ["", "2", two.did().as_str()] {
        let json = statement.seal(&one).unwrap().to_json();
        let json = json.replace(&format!("keyid\":\"{}", one.did()), &format!("keyid\":\"{keyid}"));
        assert!(plainly(&Envelope::from_json(json.as_bytes()).unwrap()).is_ok(), "{keyid}");
    }
}

#[test]
fn an_intent_is_the_agents_own() {
    let (one, agent) = (known_signer(1), did("did:mesh:alpha"));
    let foreign = statement(1, Content::Intent { call: call(), on_behalf_of: None });
    let mismatch = Refusal::SignerMismatch { signer: one.did().clone(), by: agent };
    assert_eq!(foreign.seal(&one), Err(mismatch.clone()));
    assert_eq!(signed(Kind::Intent.payload_type(), &foreign.to_payload()), mismatch);
    let own = hv_identity::Call { agent: one.did().clone(), ..call() };
    let own = statement(1, Content::Intent { call: own, on_behalf_of: Some(did("did:mesh:boss")) });
    assert!(plainly(&own.seal(&one).unwrap()).is_ok());
}

#[test]
fn one_signature_unless_others_are_asked_for() {
    let statement = statement(1, Content::Witness { call: call() });
    let two = statement.seal(&known_signer(1)).unwrap().cosign(&known_signer(2)).unwrap();
    assert_eq!(plainly(&two), Err(Refusal::Signatures { found: 2, wanted: 1 }));
    let among = |envelope: &Envelope| open_among(envelope, &DidKey, &node(), NOW);
    assert_eq!(among(&two).unwrap().key(), known_signer(1).public());
    let kind = Kind::Witness.payload_type();
    let payload = statement.to_payload();
    let late = Envelope::sign(kind, payload.as_bytes(), &known_signer(2)).unwrap();
    assert!(among(&late.clone().cosign(&known_signer(1)).unwrap()).is_ok(), "in any order");
    let others = late.cosign(&known_signer(3)).unwrap();
    let by = known_signer(2).did().clone();
    assert_eq!(among(&others), Err(Refusal::SignerMismatch { signer: known_signer(1).did().clone(), by }));
    // The same key twice is two signatures.
    let twice = statement.seal(&known_signer(1)).unwrap().cosign(&known_signer(1)).unwrap();
    assert_eq!(plainly(&twice), Err(Refusal::Signatures { found: 2, wanted: 1 }));
}

#[test]
fn sizes_at_their_limits() {
    let one = known_signer(1);
    let sign = |kind: &str, payload: usize| Envelope::sign(kind, &vec![b'x'; payload], &one);
    assert!(sign("t", PAYLOAD_MAX_BYTES).is_ok());
    assert_eq!(sign("t", PAYLOAD_MAX_BYTES + 1), Err(Refusal::TooLarge { what: TextLimit::Payload }));
    assert!(sign(&"t".repeat(256), 1).is_ok());
    assert_eq!(sign(&"t".repeat(257), 1), Err(Refusal::TooLarge { what: TextLimit::PayloadType }));

    let mut full = sign("t", 1).unwrap();
    for _ in 1..SIGNATURES_MAX {
        full = full.cosign(&one).unwrap();
    }
    assert_eq!(Envelope::from_json(full.to_json().as_bytes()), Ok(full.clone()));
    assert_eq!(full.cosign(&one), Err(Refusal::Signatures { found: 9, wanted: 1 }));

    // The longest of everything is still an envelope that is read.
    let json = |sig: usize, keyid: usize, signatures: usize| {
        let sig = data_encoding::BASE64.encode(&vec![1; sig]);
        let signature = format!(r#"{{"keyid":"{}","sig":"{sig}"}}"#, "k".repeat(keyid));
        let payload = data_encoding::BASE64.encode(&vec![b'x'; PAYLOAD_MAX_BYTES]);
        format!(
            r#"{{"payload":"{payload}","payloadType":"{}","signatures":[{}]}}"#,
            "t".repeat(256),
            vec![signature; signatures].join(",")
        )
    };
    let read = |text: &str| Envelope::from_json(text.as_bytes());
    assert!(read(&json(512, 256, 8)).is_ok());
    assert_eq!(read(&json(513, 256, 8)), Err(Refusal::TooLarge { what: TextLimit::Signature }));
    assert_eq!(read(&json(512, 257, 8)), Err(Refusal::TooLarge { what: TextLimit::KeyId }));
    for signatures in [0, 9] {
        let Err(Refusal::Malformed { malformed }) = read(&json(64, 0, signatures)) else { panic!() };
        assert_eq!(malformed.cause, MalformedCause::Value { field: Field::Signatures });
    }
    let mut padded = json(64, 0, 1);
    padded.push_str(&" ".repeat(ENVELOPE_MAX_BYTES - padded.len()));
    assert!(read(&padded).is_ok());
    assert_eq!(read(&format!("{padded} ")), Err(Refusal::TooLarge { what: TextLimit::Envelope }));
}

#[test]
fn an_envelope_that_is_none_says_where() {
    let good = r#"{"payload":"eA==","payloadType":"t","signatures":[{"sig":"eA=="}]}"#;
    let read = |text: &str| match Envelope::from_json(text.as_bytes()) {
        Ok(envelope) => panic!("{text}: {envelope:?}"),
        Err(Refusal::Malformed { malformed: Malformed { offset, cause } }) => (offset, cause),
        Err(other) => panic!("{text}: {other}"),
    };
    assert!(Envelope::from_json(good.as_bytes()).is_ok());
    let value = |field| MalformedCause::Value { field };
    let missing = |field| MalformedCause::Missing { field };
    for (from, to, expected) in [
        ("eA==", "eB==", (11, value(Field::Payload))),
        ("eA==", "eA", (11, value(Field::Payload))),
        ("eA==", "eA== ", (11, value(Field::Payload))),
        ("eA==", "-_+/", (11, value(Field::Payload))),
        ("\"eA==\"", "null", (11, value(Field::Payload))),
        ("\"t\"", "1", (32, value(Field::PayloadType))),
        ("payload\"", "pay\"", (0, missing(Field::Payload))),
        ("payloadType", "payloadtype", (0, missing(Field::PayloadType))),
        ("signatures", "signature", (0, missing(Field::Signatures))),
        ("[{\"sig\":\"eA==\"}]", "{}", (49, value(Field::Signatures))),
        ("[{\"sig\":\"eA==\"}]", "[]", (49, value(Field::Signatures))),
        ("[{", "[1,{", (50, MalformedCause::OtherKind)),
        ("\"sig\"", "\"sign\"", (50, missing(Field::Sig))),
        ("{\"sig\"", "{\"keyid\":null,\"sig\"", (59, value(Field::KeyId))),
        ("{\"sig\"", "{\"sig\":\"\",\"sig\"", (60, MalformedCause::NameTwice)),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        assert_eq!(read(&text), expected, "{text}");
    }
    assert_eq!(read("[]"), (0, MalformedCause::OtherKind));
    assert_eq!(read("{"), (1, MalformedCause::NotJson));
}

/// DSSE, "Parsing rules": unknown fields are ignored, an unset key id is an empty one, either base64 is read.
#[test]
fn what_the_specification_leaves_open_is_read_alike() {
    let envelope = Envelope::sign("t", b"\xfb\xff\xbf>>??", &known_signer(1)).unwrap();
    let plain = envelope.to_json();
    let url_safe: String = plain.replace('+', "-").replace("/", "_");
    assert_ne!(plain, url_safe);
    assert_eq!(Envelope::from_json(url_safe.as_bytes()), Ok(envelope.clone()));
    let more = plain.replacen('{', "{\"extra\": [1.5e3, null, {\"deep\": [true]}],\n", 1);
    assert_eq!(Envelope::from_json(more.as_bytes()), Ok(envelope.clone()));
    let bare = plain.replace(&format!("\"keyid\":\"{}\",", known_signer(1).did()), "");
    let empty = plain.replace(known_signer(1).did().as_str(), "");
    let [bare, empty] = [bare, empty].map(|json| Envelope::from_json(json.as_bytes()).unwrap());
    assert_eq!(bare, empty);
    assert!(!bare.to_json().contains("keyid"));
    assert_eq!(bare.verify(known_signer(1).public()), Ok(()));
}

/// A registry in which `did:mesh:alpha` had key 2 until `NOW`, has key 3 from then on, and key 4 a day later.
fn rotated() -> (Registry, Did) {
    let alpha = did("did:mesh:alpha");
    let mut registry = Registry::default();
    let mut record =
        |now: Timestamp, old: u8, new: u8, content: fn(PublicKey, Timestamp) -> Content, from| {
            let mut claim = statement(0, content(known_signer(new).public().clone(), from));
            (claim.signer, claim.deadline) = (alpha.clone(), now);
            let mut envelope = claim.seal(&known_signer(old)).unwrap();
            if old != new {
                envelope = envelope.cosign(&known_signer(new)).unwrap();
            }
            let opened = open(&envelope, &registry, &node(), now).unwrap();
            for event in registry.decide(&Command::Record(opened), now).unwrap() {
                registry.apply(&event).unwrap();
            }
        };
    let bind = |key, from| Content::Bind { key, from, until: Timestamp::MAX };
    let rotate = |key, from| Content::Rotate { key, from, until: Timestamp::MAX };
    record(Timestamp(NOW.0 - 2), 2, 2, bind, Timestamp(0));
    record(Timestamp(NOW.0 - 1), 2, 3, rotate, NOW);
    record(NOW, 3, 4, rotate, TOMORROW);
    (registry, alpha)
}

const TOMORROW: Timestamp = Timestamp(NOW.0 + 86_400_000_000_000);

#[test]
fn a_key_counts_in_its_time_and_no_other() {
    let (registry, alpha) = rotated();
    let by = |number: u8, now: Timestamp| {
        let mut statement = statement(0, Content::Witness { call: call() });
        (statement.signer, statement.deadline) = (alpha.clone(), now);
        let envelope = statement.seal(&known_signer(number)).unwrap();
        open(&envelope, &registry, &node(), now).map(|opened| opened.key().clone())
    };
    let key = |number: u8| Ok(known_signer(number).public().clone());
    let fault = |fault| Err(Refusal::Key { signer: alpha.clone(), fault });
    let before = |time: Timestamp| Timestamp(time.0 - 1);
    assert_eq!(by(2, before(NOW)), key(2));
    assert_eq!(by(2, NOW), fault(KeyFault::Ended { at: NOW }));
    assert_eq!(by(3, before(NOW)), fault(KeyFault::NotYet { from: NOW }));
    assert_eq!(by(3, NOW), key(3));
    assert_eq!(by(3, before(TOMORROW)), key(3));
    assert_eq!(by(3, TOMORROW), fault(KeyFault::Ended { at: TOMORROW }));
    assert_eq!(by(4, before(TOMORROW)), fault(KeyFault::NotYet { from: TOMORROW }));
    assert_eq!(by(4, TOMORROW), key(4));
    assert_eq!(by(2, before(before(before(NOW)))), fault(KeyFault::NotYet { from: Timestamp(NOW.0 - 2) }));
    let stranger = known_signer(5).did().clone();
    assert_eq!(by(5, NOW), Err(Refusal::SignerMismatch { signer: alpha.clone(), by: stranger }));
}

#[test]
fn keys_that_nobody_knows_or_that_speak_for_another() {
    let (registry, alpha) = rotated();
    let by = |signer: &Did, number: u8, keys: &dyn Resolver| {
        let mut statement = statement(0, Content::Witness { call: call() });
        statement.signer = signer.clone();
        let payload = statement.to_payload();
        let envelope =
            Envelope::sign(Kind::Witness.payload_type(), payload.as_bytes(), &known_signer(number)).unwrap();
        open(&envelope, keys, &node(), NOW).map(|opened| opened.key().clone())
    };
    let fault = |signer: &Did, fault| Err(Refusal::Key { signer: signer.clone(), fault });
    let beta = did("did:mesh:beta");
    assert_eq!(by(&beta, 1, &registry), fault(&beta, KeyFault::Unknown));
    assert_eq!(by(&alpha, 3, &DidKey), fault(&alpha, KeyFault::Unknown));
    // A key that was ever bound is nobody else's, not even its own.
    for number in [2, 3, 4] {
        let own = known_signer(number).did().clone();
        assert_eq!(by(&own, number, &registry), fault(&own, KeyFault::Bound { to: alpha.clone() }));
    }
    let one = known_signer(1);
    assert_eq!(by(one.did(), 1, &registry), Ok(one.public().clone()));
    let weak = did("did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP");
    let bad = by(&weak, 1, &registry);
    assert!(matches!(&bad, Err(Refusal::Key { fault: KeyFault::Bad { .. }, .. })), "{bad:?}");

    // A resolver answers for what the registry does not know, and never against it.
    struct Web(PublicKey);
    impl Resolver for Web {
        fn key(&self, did: &Did, _: Timestamp) -> Result<PublicKey, KeyFault> {
            match did.as_str() {
                "did:web:down.example" => Err(KeyFault::Unreachable),
                _ => Ok(self.0.clone()),
            }
        }
    }
    let web = |number: u8| Web(known_signer(number).public().clone());
    let (up, down) = (did("did:web:up.example"), did("did:web:down.example"));
    let with = |number: u8, signer: &Did, by_number: u8| {
        by(signer, by_number, &Fallback { registry: &registry, other: &web(number) })
    };
    assert_eq!(with(1, &up, 1), Ok(one.public().clone()));
    assert_eq!(with(1, &down, 1), fault(&down, KeyFault::Unreachable));
    assert_eq!(with(3, &up, 3), fault(&up, KeyFault::Bound { to: alpha.clone() }));
    let stranger = one.did().clone();
    assert_eq!(with(1, &alpha, 1), Err(Refusal::SignerMismatch { signer: alpha.clone(), by: stranger }));
}

#[test]
fn a_rotation_is_signed_by_both_keys() {
    let (registry, alpha) = rotated();
    let mut rotation = statement(
        0,
        Content::Rotate { key: known_signer(5).public().clone(), from: NOW, until: Timestamp::MAX },
    );
    rotation.signer = alpha.clone();
    let by = |numbers: &[u8]| {
        let (first, others) = numbers.split_first().unwrap();
        let first = rotation.seal(&known_signer(*first)).unwrap();
        let envelope = others.iter().fold(first, |e, n| e.cosign(&known_signer(*n)).unwrap());
        (open(&envelope, &registry, &node(), NOW), open_among(&envelope, &registry, &node(), NOW))
    };
    for numbers in [[3, 5], [5, 3]] {
        let (strict, among) = by(&numbers);
        assert_eq!(strict.unwrap().key(), known_signer(3).public());
        assert!(among.is_ok());
    }
    assert_eq!(by(&[3]).0, Err(Refusal::Signatures { found: 1, wanted: 2 }));
    assert_eq!(by(&[3]).1, Err(Refusal::BadSignature), "the new key is not shown to be there");
    assert_eq!(by(&[3, 3]).0, Err(Refusal::BadSignature));
    let by_another = Refusal::SignerMismatch { signer: alpha.clone(), by: known_signer(1).did().clone() };
    assert_eq!(by(&[3, 1]).0, Err(by_another.clone()));
    assert_eq!(by(&[1, 5]).0, Err(by_another));
    let ended = Refusal::Key { signer: alpha, fault: KeyFault::Ended { at: NOW } };
    assert_eq!(by(&[2, 5]).0, Err(ended), "the key before the old one");
    assert_eq!(by(&[3, 5, 1]).0, Err(Refusal::Signatures { found: 3, wanted: 2 }));
    assert!(by(&[3, 5, 1]).1.is_ok());
}

#[test]
fn a_binding_is_signed_by_the_key_that_it_names() {
    let mut claim = statement(
        0,
        Content::Bind { key: known_signer(1).public().clone(), from: NOW, until: Timestamp::MAX },
    );
    claim.signer = did("did:mesh:alpha");
    let by = |number: u8| plainly(&claim.seal(&known_signer(number)).unwrap()).map(|o| o.key().clone());
    assert_eq!(by(1), Ok(known_signer(1).public().clone()));
    let by_two = Refusal::SignerMismatch { signer: claim.signer.clone(), by: known_signer(2).did().clone() };
    assert_eq!(by(2), Err(by_two));
}

/// Every byte of an envelope, changed in every bit: what is opened after all says the same as before.
#[test]
fn a_changed_envelope_says_the_same_or_nothing() {
    let statement = statement(1, Content::Join { session: call().session });
    let json = statement.seal(&known_signer(1)).unwrap().to_json().into_bytes();
    let mut survived = 0;
    for at in 0..json.len() {
        for bit in 0..8 {
            let mut other = json.clone();
            other[at] ^= 1 << bit;
            let opened = Envelope::from_json(&other).and_then(|envelope| plainly(&envelope));
            if let Ok(opened) = opened {
                assert_eq!(opened.statement(), &statement);
                survived += 1;
            }
        }
    }
    // Only the key id, which is a hint, and its name, which then is that of an unknown field, may change.
    let hint = known_signer(1).did().as_str().len() + "keyid".len();
    assert!((1..=hint * 8).contains(&survived), "{survived}");
}

#[test]
fn an_envelope_that_was_opened_is_opened_again_by_the_keys_as_they_are_then() {
    let (old, new, alpha) = (known_signer(7), known_signer(8), did("did:mesh:alpha"));
    let mut keys = Registry::default();
    let record = |keys: &mut Registry, envelope: &Envelope| {
        let opened = open(envelope, keys, &node(), NOW).unwrap();
        let events = keys.decide(&Command::Record(opened), NOW).unwrap();
        events.iter().for_each(|event| keys.apply(event).unwrap());
    };
    let said = |n: u8, content| Statement { signer: did("did:mesh:alpha"), ..statement(n, content) };
    let until = Timestamp::MAX;
    let bind = said(1, Content::Bind { key: old.public().clone(), from: NOW, until });
    record(&mut keys, &bind.seal(&old).unwrap());
    let word = said(2, Content::Revoke).seal(&old).unwrap();
    let late = said(3, Content::Revoke).seal(&old).unwrap();
    for envelope in [&word, &late] {
        assert_eq!(open(envelope, &keys, &node(), NOW).unwrap().key(), old.public());
    }
    // Another key takes its place after the signatures were verified.
    let rotate = Content::Rotate { key: new.public().clone(), from: NOW, until };
    record(&mut keys, &said(4, rotate).seal(&old).unwrap().cosign(&new).unwrap());
    let ended = Refusal::Key { signer: alpha.clone(), fault: KeyFault::Ended { at: NOW } };
    for envelope in [&word, &word.clone(), &late] {
        assert_eq!(open(envelope, &keys, &node(), NOW).unwrap_err(), ended);
    }
    let now_known = said(5, Content::Revoke).seal(&new).unwrap();
    assert_eq!(open(&now_known, &keys, &node(), NOW).unwrap().key(), new.public());
    record(&mut keys, &now_known);
    let revoked = Refusal::Key { signer: alpha, fault: KeyFault::Revoked { at: NOW } };
    assert_eq!(open(&now_known, &keys, &node(), NOW).unwrap_err(), revoked);
    // What is at hand says nothing about time and audience.
    let own = statement(1, Content::Revoke).seal(&known_signer(1)).unwrap();
    assert!(plainly(&own).is_ok());
    let elsewhere = did("did:mesh:elsewhere");
    assert!(matches!(open(&own, &DidKey, &elsewhere, NOW), Err(Refusal::ForeignAudience { .. })));
    assert!(matches!(open(&own, &DidKey, &node(), Timestamp::MAX), Err(Refusal::Expired { .. })));
}

#[test]
fn a_key_is_asked_for_by_what_signed_and_never_counts_more_than_when_it_is_looked_up() {
    let (one, other) = (known_signer(1), known_signer(2));
    let mut keys = Registry::default();
    let agrees = |keys: &Registry| {
        for who in [one.did(), other.did(), &did("did:mesh:alpha")] {
            for key in [one.public(), other.public()] {
                let looked_up = keys.key(who, NOW).as_ref() == Ok(key);
                assert_eq!(keys.speaks(who, key, NOW), looked_up, "{who} {key:?}");
            }
        }
    };
    agrees(&keys);
    let bind = Content::Bind { key: one.public().clone(), from: NOW, until: Timestamp::MAX };
    let bind = Statement { signer: did("did:mesh:alpha"), ..statement(9, bind) }.seal(&one).unwrap();
    let opened = open(&bind, &keys, &node(), NOW).unwrap();
    let events = keys.decide(&Command::Record(opened), NOW).unwrap();
    events.iter().for_each(|event| keys.apply(event).unwrap());
    agrees(&keys);
    let revoke = statement(2, Content::Revoke).seal(&other).unwrap();
    let opened = open(&revoke, &keys, &node(), NOW).unwrap();
    let events = keys.decide(&Command::Record(opened), NOW).unwrap();
    events.iter().for_each(|event| keys.apply(event).unwrap());
    agrees(&keys);
}
