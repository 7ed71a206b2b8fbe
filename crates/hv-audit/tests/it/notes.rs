//! Signed notes, checkpoints, cosignatures, policies and rotations, against published notes and against forgers.

use crate::sim::Dice;
use data_encoding::BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use hv_audit::{
    AddCheckpoint, BadCheckpoint, BadKeyText, BadNote, BadRotation, Checkpoint, CompactRange,
    ConsistencyProof, InclusionProof, KeyChain, KeyKind, Note, NoteSigner, NoteVerifier, Policy, Rfc6962,
    Rotation, Seen, TlogProof, TreeHash, VerifierKey, WitnessRefusal,
};
use hv_types::Digest;

/// A private key as a user of the crate brings it.
pub(crate) struct Key(SigningKey);

impl Key {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    pub(crate) fn named(&self, name: &str, kind: KeyKind) -> VerifierKey {
        VerifierKey::new(name, kind, self.public()).unwrap()
    }
}

impl NoteSigner for Key {
    fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        Some(self.0.sign(message).to_bytes())
    }
}

/// Checks signatures strictly.
pub(crate) struct Strict;

impl NoteVerifier for Strict {
    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(key).is_ok_and(|key| {
            key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
        })
    }
}

/// Key and note of the tests of the Go implementation (golang.org/x/mod/sumdb/note).
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_SEED: &str = "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=";
const GO_TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                       then you don't know what your problem is.\n";
const GO_SIGNATURE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn a_published_note_is_read_and_written_alike() {
    let key: VerifierKey = GO_KEY.parse().unwrap();
    let bytes = format!("{GO_TEXT}\n{GO_SIGNATURE}");
    let note = Note::parse(bytes.as_bytes()).unwrap();
    assert_eq!((note.text(), note.to_string()), (GO_TEXT, bytes.clone()));
    assert_eq!(note.verify([&key], &Strict).unwrap()[0].key, &key);
    // The seed is the published private key without its type byte: RFC 8032 has one signature for it.
    let seed = BASE64.decode(b"AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").unwrap();
    assert_eq!(BASE64.encode(&seed[1..]), GO_SEED);
    let signer = Key(SigningKey::from_bytes(seed[1..].try_into().unwrap()));
    let made = Note::new(GO_TEXT).unwrap().signed(&key, 0, &signer).unwrap();
    assert_eq!(made.to_string(), bytes);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone().into_bytes();
        changed[at] ^= 1;
        let counts = Note::parse(&changed).is_ok_and(|note| note.verify([&key], &Strict).is_ok());
        assert!(!counts, "byte {at}");
    }
}

/// The table of malformed notes of the Go implementation, as far as it speaks of the form.
#[test]
fn what_is_no_note_is_refused() {
    let good = format!("{GO_TEXT}\n{GO_SIGNATURE}");
    for bad in [
        String::new(),
        GO_TEXT.to_owned(),
        format!("{GO_TEXT}\n"),
        format!("{GO_TEXT}\n{}", GO_SIGNATURE.trim_end()),
        format!("{GO_TEXT}{GO_SIGNATURE}"),
        format!("{GO_TEXT}\n{GO_SIGNATURE}\n"),
        format!("{GO_TEXT}\n{GO_SIGNATURE}x"),
        good.replace("— Peter", "- Peter"),
        good.replace("— Peter", "—  Peter"),
        good.replace("PeterNeumann ", ""),
        good.replace("PeterNeumann ", "Peter+Neumann "),
        good.replace("x08go", "x08g"),
        good.replace("JnAM=", "JnAN="),
        good.replace("problem,", "problem,\r"),
        good.replace("problem,", "problem,\u{7}"),
        format!("{GO_TEXT}\n{}", GO_SIGNATURE.repeat(65)),
    ] {
        assert!(Note::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert_eq!(Note::parse(b"\xff\n\n\xff"), Err(BadNote::Characters));
    assert_eq!(Note::parse(&vec![b'a'; 2 << 20]), Err(BadNote::TooLong));
    assert_eq!(Note::new("no end"), Err(BadNote::Text));
}

#[test]
fn known_keys_count_once_and_others_not_at_all() {
    let (a, b) = (Key::new(1), Key::new(2));
    let (key_a, key_b) = (a.named("a", KeyKind::Signer), b.named("b", KeyKind::Signer));
    let note = Note::new("text\n").unwrap();
    let by_a = note.clone().signed(&key_a, 0, &a).unwrap();
    assert_eq!(by_a.verify([&key_b], &Strict), Err(BadNote::Unsigned));
    let both = by_a.clone().signed(&key_b, 0, &b).unwrap();
    assert_eq!(both.verify([&key_a, &key_b], &Strict).unwrap().len(), 2);
    let twice = by_a.clone().signed(&key_a, 0, &a).unwrap();
    assert_eq!(twice.verify([&key_a], &Strict), Err(BadNote::Twice { name: "a".to_owned() }));
    assert_eq!(twice.verify([&key_b], &Strict), Err(BadNote::Unsigned), "twice by somebody unknown");
    // The right name and id over another text.
    let other = Note::new("another\n").unwrap().signed(&key_a, 0, &a).unwrap();
    let forged = note.clone().with(other.signatures()[0].clone());
    assert_eq!(forged.verify([&key_a], &Strict), Err(BadNote::Signature { name: "a".to_owned() }));
    assert_eq!(note.signed(&key_a, 0, &b), Err(BadNote::Refused), "the key of another name");
}

const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

#[test]
fn the_published_checkpoint_is_read_and_its_neighbours_are_not() {
    let note = format!(
        "{EXAMPLE}\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
         — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    );
    let parsed = Note::parse(note.as_bytes()).unwrap();
    assert_eq!((parsed.to_string(), parsed.signatures().len()), (note, 2));
    let checkpoint = Checkpoint::parse(parsed.text()).unwrap();
    assert_eq!((checkpoint.size, checkpoint.to_string().as_str()), (20_852_163, EXAMPLE));
    for (bad, why) in [
        (String::new(), BadCheckpoint::Line),
        (EXAMPLE.trim_end().to_owned(), BadCheckpoint::Line),
        (EXAMPLE.replace("2085", "02085"), BadCheckpoint::Size),
        (EXAMPLE.replace("2085", "+2085"), BadCheckpoint::Size),
        (EXAMPLE.replace("20852163", ""), BadCheckpoint::Size),
        (EXAMPLE.replace("20852163", "18446744073709551616"), BadCheckpoint::Size),
        (EXAMPLE.replace("xq2I=", "xq2J="), BadCheckpoint::Root),
        (EXAMPLE.replace("CsUY", ""), BadCheckpoint::Root),
        (EXAMPLE.replace("-sofa", " sofa"), BadCheckpoint::Origin),
        (EXAMPLE.replace("example.com/behind-the-sofa", ""), BadCheckpoint::Origin),
        (format!("{EXAMPLE}\n"), BadCheckpoint::Line),
        (format!("{EXAMPLE}a\n\nb\n"), BadCheckpoint::Line),
    ] {
        assert_eq!(Checkpoint::parse(&bad), Err(why), "{bad}");
    }
    assert_eq!(Checkpoint::parse(&format!("{EXAMPLE}more\n")).unwrap().extension, "more\n");
}

/// Roots of a log of so many entries, and a proof from one to the other.
struct Grown {
    leaves: Vec<Digest>,
}

impl Grown {
    fn new(n: u64, salt: u8) -> Self {
        Self { leaves: (0..n).map(|i| Rfc6962::leaf(&[&i.to_le_bytes()[..], &[salt]].concat())).collect() }
    }

    fn checkpoint(&self, size: usize) -> Checkpoint {
        let mut range = CompactRange::<Rfc6962>::new();
        self.leaves[..size].iter().for_each(|leaf| range.push(*leaf));
        Checkpoint::new("log", size as u64, range.root()).unwrap()
    }

    fn request(&self, old: usize, size: usize, log: &Key) -> AddCheckpoint {
        let note = self.checkpoint(size).sign(&log.named("log", KeyKind::Signer), log).unwrap();
        let proof = ConsistencyProof::make::<Rfc6962>(&self.leaves[..size], old as u64).unwrap();
        AddCheckpoint { old: old as u64, path: proof.path, note }
    }
}

#[test]
fn a_witness_cosigns_growth_and_refuses_everything_else() {
    let (log, witness, stranger) = (Key::new(1), Key::new(2), Key::new(3));
    let key = witness.named("w/1", KeyKind::Cosigner);
    let logs = [log.named("log", KeyKind::Signer)];
    let (grown, fork) = (Grown::new(40, 0), Grown::new(40, 1));
    let consider = |request: &AddCheckpoint, seen: Option<&Seen>| {
        let parsed = AddCheckpoint::parse(request.to_string().as_bytes()).unwrap();
        assert_eq!(&parsed, request);
        parsed.consider(&logs, seen, 1000, &Strict)
    };
    let first = grown.request(0, 7, &log);
    let seen = consider(&first, None).unwrap();
    let cosigned = first.note.clone().with(first.cosign(&seen, &key, &witness).unwrap());
    let witnessed = Checkpoint::witnessed(&cosigned, [&key], &Strict).unwrap();
    assert_eq!((witnessed.len(), witnessed[0].time), (1, Some(1000)));
    assert_eq!(Checkpoint::open(&cosigned, &logs, &Strict).unwrap(), grown.checkpoint(7));

    let seen = consider(&grown.request(7, 23, &log), Some(&seen)).unwrap();
    assert_eq!(seen.checkpoint.size, 23);
    let again = consider(&grown.request(23, 23, &log), Some(&seen));
    assert_eq!(again.as_ref(), Ok(&seen), "the same once more is no fork");

    let refused = |request: &AddCheckpoint, status: u16| {
        let refusal = consider(request, Some(&seen)).unwrap_err();
        assert_eq!(refusal.status(), status, "{refusal}");
        refusal
    };
    assert_eq!(refused(&grown.request(7, 30, &log), 409), WitnessRefusal::Conflict { size: 23 });
    refused(&grown.request(0, 12, &log), 409);
    assert_eq!(refused(&fork.request(23, 30, &log), 422), WitnessRefusal::Forked);
    refused(&fork.request(23, 23, &log), 422);
    refused(&AddCheckpoint { path: vec![], ..grown.request(23, 30, &log) }, 422);
    refused(&AddCheckpoint { old: 31, ..grown.request(23, 30, &log) }, 400);
    refused(&grown.request(23, 30, &stranger), 403);
    let other = Checkpoint { origin: "another".to_owned(), ..grown.checkpoint(30) };
    let other = other.sign(&log.named("another", KeyKind::Signer), &log).unwrap();
    refused(&AddCheckpoint { note: other, ..grown.request(23, 30, &log) }, 404);
    let extended = Checkpoint { extension: "more\n".to_owned(), ..grown.checkpoint(30) };
    let extended = extended.sign(&logs[0], &log).unwrap();
    refused(&AddCheckpoint { note: extended, ..grown.request(23, 30, &log) }, 400);
    let late = Seen { time: 2000, ..seen.clone() };
    let refusal = consider(&grown.request(23, 30, &log), Some(&late)).unwrap_err();
    assert_eq!((refusal.status(), refusal.is_evidence()), (503, false));
}

#[test]
fn a_policy_wants_k_of_n() {
    let (log, keys) = (Key::new(9), [1, 2, 3].map(Key::new));
    let named: Vec<_> =
        keys.iter().zip(["a", "b", "c"]).map(|(k, n)| k.named(n, KeyKind::Cosigner)).collect();
    let grown = Grown::new(5, 0);
    let signed = grown.request(0, 5, &log).note;
    for present in 0..8usize {
        let mut note = signed.clone();
        for at in (0..3).filter(|at| present >> at & 1 == 1) {
            note = note.signed(&named[at], 100 + at as u64, &keys[at]).unwrap();
        }
        let count = present.count_ones() as usize;
        for least in 0..=3 {
            let policy = Policy::least_of(least, named.clone()).unwrap();
            let quorum = policy.check(&note, &Strict).unwrap();
            assert_eq!(quorum.witnesses, count);
            assert_eq!(quorum.reached, least > 0 && count >= least, "{least} of {present:b}");
        }
        let text = format!(
            "witness A {}\nwitness B {}\nwitness C {}\ngroup AB any A B\ngroup G all AB C\nquorum G\n",
            named[0], named[1], named[2]
        );
        let policy: Policy = text.parse().unwrap();
        let expected = present & 4 != 0 && present & 3 != 0;
        assert_eq!(policy.check(&note, &Strict).unwrap().reached, expected, "{present:b}");
    }
    assert!(Policy::least_of(4, named).is_err());
    // A cosignature that is wrong makes the note count for nothing.
    let other =
        Grown::new(6, 0).request(0, 6, &log).note.signed(&keys[0].named("a", KeyKind::Cosigner), 1, &keys[0]);
    let forged = signed.with(other.unwrap().signatures()[1].clone());
    let policy = Policy::least_of(1, vec![keys[0].named("a", KeyKind::Cosigner)]).unwrap();
    assert!(policy.check(&forged, &Strict).is_err());
}

#[test]
fn a_key_is_replaced_by_both() {
    let (old, new, third) = (Key::new(1), Key::new(2), Key::new(3));
    let (k_old, k_new) = (old.named("log", KeyKind::Signer), new.named("log", KeyKind::Signer));
    let rotation = Rotation { to: k_new.clone(), from: 50 };
    let note = rotation.sign((&k_old, &old), &new).unwrap();
    let note = Note::parse(note.to_string().as_bytes()).unwrap();
    assert_eq!(Rotation::open(&note, &k_old, &Strict), Ok(rotation.clone()));
    let mut chain = KeyChain::new(k_old.clone());
    chain.rotate(&note, &Strict).unwrap();
    assert_eq!((chain.at(49), chain.at(50), chain.at(u64::MAX)), (Some(&k_old), Some(&k_new), Some(&k_new)));
    let k_third = third.named("log", KeyKind::Signer);
    let back = Rotation { to: k_third.clone(), from: 20 }.sign((&k_new, &new), &third).unwrap();
    assert_eq!(chain.rotate(&back, &Strict), Err(BadRotation::Text), "before the rotation before it");
    assert!(chain.rotate(&note, &Strict).is_err(), "the old key has no say any more");

    let alone = Note::new(&rotation.to_string()).unwrap().signed(&k_new, 0, &new).unwrap();
    assert_eq!(Rotation::open(&alone, &k_old, &Strict), Err(BadRotation::Note(BadNote::Unsigned)));
    let alone = Note::new(&rotation.to_string()).unwrap().signed(&k_old, 0, &old).unwrap();
    assert_eq!(Rotation::open(&alone, &k_old, &Strict), Err(BadRotation::Note(BadNote::Unsigned)));
    let elsewhere = Rotation { to: new.named("else", KeyKind::Signer), from: 1 };
    assert_eq!(elsewhere.sign((&k_old, &old), &new), Err(BadRotation::OtherLog));
    let checkpoint = Grown::new(3, 0).request(0, 3, &old).note;
    assert_eq!(Rotation::open(&checkpoint, &k_old, &Strict), Err(BadRotation::Text));
    assert!(Checkpoint::parse(note.text()).is_err(), "a rotation is no checkpoint");
}

#[test]
fn a_proof_goes_there_and_back_and_no_byte_of_it_is_free() {
    let log = Key::new(1);
    let grown = Grown::new(11, 0);
    let inclusion = InclusionProof::make::<Rfc6962>(&grown.leaves, 6).unwrap();
    for extra in [None, Some(vec![1, 2, 3])] {
        let note = grown.request(0, 11, &log).note;
        let proof = TlogProof { extra, index: 6, path: inclusion.path.clone(), note };
        let text = proof.to_string();
        assert_eq!(TlogProof::parse(text.as_bytes()), Ok(proof.clone()));
        assert_eq!(proof.check(&grown.leaves[6]).unwrap(), grown.checkpoint(11));
        assert!(proof.check(&grown.leaves[5]).is_err());
        let keys = [log.named("log", KeyKind::Signer)];
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let holds = TlogProof::parse(&changed).is_ok_and(|changed| {
                let opened = Checkpoint::open(&changed.note, &keys, &Strict);
                // What an application adds is not covered by anything; the application checks it itself.
                opened.is_ok() && changed.check(&grown.leaves[6]).is_ok() && changed.extra == proof.extra
            });
            assert!(!holds, "byte {at} of\n{text}");
        }
    }
}

#[test]
fn no_bytes_make_a_reader_panic() {
    let mut dice = Dice(11);
    let log = Key::new(1);
    let grown = Grown::new(9, 0);
    let request = grown.request(4, 9, &log).to_string();
    let path = InclusionProof::make::<Rfc6962>(&grown.leaves, 3).unwrap().path;
    let proof = TlogProof { extra: Some(vec![7; 9]), index: 3, path, note: grown.request(0, 9, &log).note };
    for text in [request, proof.to_string(), format!("witness a {GO_KEY}\nquorum a\n"), GO_KEY.to_owned()] {
        for _ in 0..crate::deep(3000, 300_000) {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..=dice.below(3) {
                let at = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
                match dice.below(3) {
                    0 => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
                    1 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at.max(1)),
                }
                if bytes.is_empty() {
                    bytes.push(b'\n');
                }
            }
            let _ = Note::parse(&bytes).map(|note| Checkpoint::parse(note.text()));
            let _ = TlogProof::parse(&bytes);
            let _ = AddCheckpoint::parse(&bytes).map(|request| request.continues(&Digest::default()));
            if let Ok(text) = core::str::from_utf8(&bytes) {
                let _ = text.parse::<Policy>();
                let _: Result<VerifierKey, BadKeyText> = text.parse();
            }
        }
    }
}

/// The published vectors of transparency-dev/merkle.
#[test]
fn the_vectors_of_merkle_proofs_hold() {
    let digest = |text: &str| Digest(BASE64.decode(text.as_bytes()).unwrap().try_into().unwrap());
    let mut count = 0;
    for line in include_str!("../vectors/merkle.txt").lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let (a, b) = (words[1].parse().unwrap(), words[2].parse().unwrap());
        let (first, second) = (digest(words[3]), digest(words[4]));
        let path = words[6].split(',').map(digest).collect();
        let holds = match words[0] {
            "inclusion" => {
                InclusionProof { index: a, size: b, path }.check::<Rfc6962>(&second, &first).is_ok()
            }
            _ => ConsistencyProof { from: a, to: b, path }.check::<Rfc6962>(&first, &second).is_ok(),
        };
        assert_eq!(holds, words[5] == "yes", "{line}");
        count += 1;
    }
    assert_eq!(count, 9);
}
