//! Every decoder on bytes that nobody made: never a panic, and one encoding for each value.

use crate::{NOW, cases, node};
use core::fmt::Debug;
use hv_identity::registry::{Denial, Event, Held};
use hv_identity::strategies as any_of;
use hv_identity::strategies::known_signer;
use hv_identity::{
    Content, DidKey, Envelope, KeyFault, Kind, MAX_VALIDITY, PublicKey, Refusal, Statement, Timestamp, open,
    open_among, pae,
};
use hv_types::Wire;
use proptest::prelude::*;

/// There and back, and no other bytes decode to it.
fn one_encoding<T: Wire + PartialEq + Debug>(value: &T, noise: &[(usize, u8)]) -> Result<(), TestCaseError> {
    let bytes = value.to_bytes();
    let again = T::from_bytes(&bytes);
    prop_assert_eq!(again.as_ref(), Ok(value));
    let mut other = bytes;
    for (at, byte) in noise {
        let at = at % (other.len() + 1);
        if at == other.len() { other.push(*byte) } else { other[at] = *byte }
    }
    decodes_to_itself::<T>(&other)
}

fn decodes_to_itself<T: Wire>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = T::from_bytes(bytes) {
        prop_assert_eq!(value.to_bytes(), bytes);
    }
    Ok(())
}

fn noise() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((any::<usize>(), any::<u8>()), 0..3)
}

/// JSON with the names and the sort of values that statements have, and some that they have not.
fn nearly_a_statement() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "audience", "signer", "nonce", "deadline", "session", "vouchee", "stake", "call", "agent", "action",
        "params", "verdict", "about", "finding", "fault", "happened", "evidence", "key", "from", "until",
        "x",
    ]);
    let leaf = prop::sample::select(vec![
        "\"did:mesh:a\"".to_owned(),
        "\"00000000000000000000000000000000\"".to_owned(),
        "\"2026-01-31T12:00:00.000000000Z\"".to_owned(),
        "\"2026-01-31T12:00:00Z\"".to_owned(),
        format!("\"{}\"", "0".repeat(64)),
        format!("\"{}\"", known_signer(1).did()),
        "\"for\"".to_owned(),
        "\"drift\"".to_owned(),
        "\"0.50\"".to_owned(),
        "\"\"".to_owned(),
        "1".to_owned(),
        "null".to_owned(),
    ]);
    let object = |value: BoxedStrategy<String>| {
        prop::collection::btree_map(name.clone(), value, 0..12).prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        })
    };
    let inner = object(leaf.clone().boxed());
    object(prop_oneof![3 => leaf, 1 => inner].boxed())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(256), ..ProptestConfig::default() })]

    #[test]
    fn a4_one_encoding_for_each_value(
        envelope in any_of::envelope(),
        refusal in any_of::refusal(),
        fault in any_of::key_fault(),
        event in any_of::registry_event(),
        held in any_of::held(),
        denial in any_of::registry_denial(),
        key in any_of::public_key(),
        noise in noise(),
    ) {
        one_encoding(&envelope, &noise)?;
        one_encoding(&refusal, &noise)?;
        one_encoding(&fault, &noise)?;
        one_encoding(&event, &noise)?;
        one_encoding(&held, &noise)?;
        one_encoding(&denial, &noise)?;
        one_encoding(&key, &noise)?;
    }

    #[test]
    fn any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decodes_to_itself::<Envelope>(&bytes)?;
        decodes_to_itself::<Refusal>(&bytes)?;
        decodes_to_itself::<KeyFault>(&bytes)?;
        decodes_to_itself::<Event>(&bytes)?;
        decodes_to_itself::<Held>(&bytes)?;
        decodes_to_itself::<Denial>(&bytes)?;
        decodes_to_itself::<PublicKey>(&bytes)?;
        let _ = Envelope::from_json(&bytes);
        for kind in Kind::ALL {
            if let Ok(statement) = Statement::from_payload(*kind, &bytes) {
                prop_assert_eq!(statement.to_payload().into_bytes(), bytes.clone());
            }
            let _ = Content::from_json(*kind, &bytes);
        }
    }

    #[test]
    fn a4_a_statement_has_one_text(statement in any_of::statement(), noise in noise(), insert: bool) {
        let kind = statement.content.kind();
        let text = statement.to_payload();
        let again = Statement::from_payload(kind, text.as_bytes());
        prop_assert_eq!(again.as_ref(), Ok(&statement));
        // Another writer, who sorts names as well, writes the same.
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(value.to_string(), text.clone());
        // The same with space is the same statement, but not what is signed.
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(Statement::from_json(kind, pretty.as_bytes()), Ok(statement));
        let refused = Statement::from_payload(kind, pretty.as_bytes());
        prop_assert_eq!(refused, Err(Refusal::NotCanonical { offset: 1 }));

        let mut other = text.into_bytes();
        for (at, byte) in noise {
            let at = at % other.len();
            let byte = byte % 95 + 32;
            if insert { other.insert(at, byte) } else { other[at] = byte }
        }
        for kind in Kind::ALL {
            if let Ok(statement) = Statement::from_payload(*kind, &other) {
                prop_assert_eq!(statement.to_payload().into_bytes(), other.clone());
            }
        }
    }

    #[test]
    fn what_is_nearly_a_statement(text in nearly_a_statement()) {
        for kind in Kind::ALL {
            if let Ok(statement) = Statement::from_json(*kind, text.as_bytes()) {
                let payload = statement.to_payload();
                prop_assert_eq!(Statement::from_payload(*kind, payload.as_bytes()), Ok(statement));
            }
            if let Ok(statement) = Statement::from_payload(*kind, text.as_bytes()) {
                prop_assert_eq!(statement.to_payload(), text.clone());
            }
        }
    }

    #[test]
    fn an_envelope_has_one_text(envelope in any_of::envelope()) {
        let json = envelope.to_json();
        prop_assert_eq!(Envelope::from_json(json.as_bytes()), Ok(envelope));
        // The same text as another writer gives who sorts names.
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(value.to_string(), json);
    }

    #[test]
    fn two_pairs_are_never_signed_as_one(
        a in ("[ 0-9a]{0,6}", "[ 0-9a]{0,6}"),
        b in ("[ 0-9a]{0,6}", "[ 0-9a]{0,6}"),
    ) {
        let encoded = |(kind, payload): &(String, String)| pae(kind, payload.as_bytes());
        prop_assert_eq!(encoded(&a) == encoded(&b), a == b);
    }

    #[test]
    fn whatever_is_signed_is_opened_or_refused(
        (number, mut statement) in any_of::signed_statement(),
        here: bool,
        in_time: bool,
    ) {
        if here {
            statement.audience = node();
        }
        if in_time {
            statement.deadline = Timestamp(NOW.0 + statement.deadline.0 % 604_800_000_000_000);
        }
        let signer = known_signer(number);
        let envelope = statement.seal(&signer).unwrap();
        let in_time = statement.deadline >= NOW && statement.deadline.since(NOW) <= MAX_VALIDITY;
        let expected = here && in_time && match &statement.content {
            Content::Bind { key, .. } => key == signer.public(),
            _ => true,
        };
        let envelope = match &statement.content {
            Content::Rotate { key, .. } => {
                let new = (0..6).map(known_signer).find(|signer| signer.public() == key).unwrap();
                envelope.cosign(&new).unwrap()
            }
            _ => envelope,
        };
        let opened = open(&envelope, &DidKey, &node(), NOW);
        let among = open_among(&envelope, &DidKey, &node(), NOW);
        prop_assert_eq!(opened.is_ok(), expected, "{:?}", opened);
        prop_assert_eq!(among.is_ok(), opened.is_ok());
        if let Ok(opened) = opened {
            prop_assert_eq!(opened.statement(), &statement);
        }
    }
}
