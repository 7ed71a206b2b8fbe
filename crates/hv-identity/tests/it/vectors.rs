//! What others have published: the edge cases of Project Wycheproof, the vectors of DSSE and of did:key.

use crate::{did, hex};
use hv_identity::{BadKey, DidKey, Envelope, PublicKey, Resolver, Signer, Timestamp, pae};

#[test]
fn wycheproof_accepts_and_refuses_as_it_says() {
    let mut count = (0, 0);
    for line in include_str!("../vectors/wycheproof-ed25519.txt").lines().filter(|l| !l.starts_with('#')) {
        let [number, verdict, flag, key, signature, message] =
            line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let [key, signature, message] = [key, signature, message].map(|text| hex(text.trim_matches('-')));
        let key = PublicKey::from_bytes(&key.try_into().unwrap()).unwrap();
        let valid = key.verify(&message, &signature).is_ok();
        assert_eq!(valid, verdict == "valid", "{number} {flag}");
        if valid { count.0 += 1 } else { count.1 += 1 }
    }
    assert_eq!(count, (88, 63));
}

/// The test vectors of the did:key method of the W3C Credentials Community Group: Ed25519, from seeds that are
/// zero but for the last byte.
const DID_KEYS: [(&str, &str); 5] = [
    (
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        "4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS",
    ),
    (
        "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG",
        "6ASf5EcmmEHTgDJ4X4ZT5vT6iHVJBXPg5AN5YoTCpGWt",
    ),
    (
        "did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf",
        "8pM1DN3RiT8vbom5u1sNryaNT1nyL8CTTW3b5PwWXRBH",
    ),
    (
        "did:key:z6MkvqoYXQfDDJRv8L4wKzxYeuKyVZBfi9Qo6Ro8MiLH3kDQ",
        "HPYVwAQmskwT1qEEeRzhoomyfyupJGASQQtCXSNG8XS2",
    ),
    (
        "did:key:z6MkwW6aqMnjgrhJXFUko3NnZPGzVpkNzhYK7yEhnsibmLwL",
        "J3qYF7YJMKCqQke47UQwiHizgFUXapHxRxKmxbkar89x",
    ),
];

#[test]
fn did_keys_as_published() {
    for (last, (text, base58)) in DID_KEYS.iter().enumerate() {
        let mut seed = [0; 32];
        seed[31] = u8::try_from(last).unwrap();
        let signer = Signer::new(&seed).unwrap();
        assert_eq!(signer.did().as_str(), *text);
        let key = PublicKey::of(&did(text)).unwrap();
        assert_eq!(&key, signer.public());
        assert_eq!(bs58::encode(key.as_bytes()).into_string(), *base58);
        assert_eq!(DidKey.key(&did(text), Timestamp(0)), Ok(key));
    }
}

/// Those of the did:key test suite and of the method's document that are keys of another kind, or none.
#[test]
fn did_keys_that_are_not_ours_as_published() {
    for (text, why) in [
        ("did:key:z6LSeu9HkTHSfLLeUs2nnzUSNedgDUevfNQgQjQC23ZCit6F", BadKey::OtherKind),
        ("did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme", BadKey::OtherKind),
        ("did:key:zTjsVPtY", BadKey::Length),
    ] {
        assert_eq!(PublicKey::of(&did(text)), Err(why), "{text}");
    }
}

/// The example of the DSSE protocol, which is signed with ECDSA: read, and not taken for one of ours.
#[test]
fn the_example_of_the_dsse_protocol() {
    let json = r#"{"payload": "aGVsbG8gd29ybGQ=",
 "payloadType": "http://example.com/HelloWorld",
 "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}"#;
    let envelope = Envelope::from_json(json.as_bytes()).unwrap();
    assert_eq!(envelope.payload(), b"hello world");
    assert_eq!(
        pae(envelope.payload_type(), envelope.payload()),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
    let [signature] = envelope.signatures() else { panic!("one signature") };
    assert_eq!((signature.keyid(), signature.bytes().len()), ("", 64));
    assert_eq!(envelope.to_json(), json.replace(['\n', ' '], ""));
    assert!(envelope.verify(Signer::new(&[7; 32]).unwrap().public()).is_err());
}

/// The keys of the published DSSE vectors, which are those of RFC 8032, tests 1 and 2.
const KEYS: [(&str, &str); 2] = [
    ("A", "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
    ("B", "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
];
const IN_TOTO: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEifQ==";
const BY_A: &str = "2WAfaHm5jluo0w+0rk8uVkluELJYWjSmU9x7EUzx+AyteDGJ4/nqyJXfmAUVFIAoQafWm7AxBZNw5M9ixNHiCA==";
const BY_B: &str = "c1+67/aT0yqEpwx8PsVY3MLHsj9D0CZ014/Fv/QlG59P+9CobUZ7xECJ/V3USG0Ob9CiE5LjReEZUzNF2l7eBw==";

/// The test vectors of the DSSE project: payload type, payload, signatures with their key ids, how many of the
/// trusted keys must have signed, which payload type is supported, and whether that is so.
#[test]
fn the_vectors_of_dsse() {
    let type_of = |name: &str| format!("application/vnd.{name}+json");
    let swapped = type_of("example.other");
    let umlaut = type_of("exämple");
    for (id, payload_type, payload, signatures, keys, threshold, supported, accepted) in [
        ("single-signature", IN_TOTO, STATEMENT, vec![(BY_A, Some("A"))], "A", 1, IN_TOTO, true),
        (
            "url-safe-base64",
            IN_TOTO,
            "-_-_Pj8=",
            vec![(
                "P-_KHICeR7tI6S_YyejJTRtrXhcQyQ2LYPaL8h90KjC9qN8HU_svOQ6TuDOT1HIrsGW886DbWNWcCmX5twLrAw==",
                Some("A"),
            )],
            "A",
            1,
            IN_TOTO,
            true,
        ),
        ("payload-type-swapped", &swapped, STATEMENT, vec![(BY_A, Some("A"))], "A", 1, &swapped, false),
        (
            "non-ascii-payload-type",
            &umlaut,
            STATEMENT,
            vec![(
                "xmSk/ug66ysT7ayhkCIjhAq42zgZXSsEWuzUaNL7w2eGAdF/NU6/fRXPtmfN+5DNSAs5/i2lUnHjbbjPsu0tAw==",
                Some("A"),
            )],
            "A",
            1,
            &umlaut,
            true,
        ),
        (
            "empty-payload",
            IN_TOTO,
            "",
            vec![(
                "gSggCAaTLTYyRH6FIDBem6meyIynsYy8RTHVzwx9tnTb7Bg/1jMWnuVgI/gffqmbsC2VX5/jHfkkDqsj7CDbDg==",
                Some("A"),
            )],
            "A",
            1,
            IN_TOTO,
            true,
        ),
        (
            "empty-payload-type",
            "",
            STATEMENT,
            vec![(
                "iC3q/+3Rm0+lpAJRueDmDh15PnwCfxKmS0NAfKsbv+zgulXQC/WM9trc+j1XEqlwDIg/vf/uNfebeD6sxInrDg==",
                Some("A"),
            )],
            "A",
            1,
            IN_TOTO,
            false,
        ),
        (
            "threshold-two-distinct-keys",
            IN_TOTO,
            STATEMENT,
            vec![(BY_A, Some("A")), (BY_B, Some("B"))],
            "AB",
            2,
            IN_TOTO,
            true,
        ),
        (
            "threshold-two-one-key-twice",
            IN_TOTO,
            STATEMENT,
            vec![(BY_A, Some("A")), (BY_A, Some("A"))],
            "AB",
            2,
            IN_TOTO,
            false,
        ),
        (
            "threshold-two-without-keyids",
            IN_TOTO,
            STATEMENT,
            vec![(BY_A, None), (BY_B, None)],
            "AB",
            2,
            IN_TOTO,
            true,
        ),
    ] {
        let signatures: Vec<serde_json::Value> = signatures
            .into_iter()
            .map(|(sig, keyid)| match keyid {
                Some(keyid) => serde_json::json!({ "sig": sig, "keyid": keyid }),
                None => serde_json::json!({ "sig": sig }),
            })
            .collect();
        let json = serde_json::json!({
            "payload": payload, "payloadType": payload_type, "signatures": signatures,
        });
        let envelope = Envelope::from_json(json.to_string().as_bytes()).unwrap();
        let signed = KEYS
            .iter()
            .filter(|(name, _)| keys.contains(name))
            .map(|(_, seed)| Signer::new(&hex(seed).try_into().unwrap()).unwrap())
            .filter(|signer| envelope.verify(signer.public()).is_ok())
            .count();
        let accepts = signed >= threshold && envelope.payload_type() == supported;
        assert_eq!(accepts, accepted, "{id}");
    }
}

/// The published signatures are the ones that a key makes, so the bytes under them are the published ones too.
#[test]
fn the_signatures_of_the_dsse_vectors_are_ours() {
    let signer = Signer::new(&hex(KEYS[0].1).try_into().unwrap()).unwrap();
    let payload = br#"{"_type":"https://in-toto.io/Statement/v1"}"#;
    let envelope = Envelope::sign(IN_TOTO, payload, &signer).unwrap();
    assert!(envelope.to_json().contains(BY_A), "{}", envelope.to_json());
}
