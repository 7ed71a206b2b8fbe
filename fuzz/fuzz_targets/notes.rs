//! Signed notes, checkpoints, keys and policies: what is read is written back as the same bytes.
#![no_main]

use hv_audit::{Checkpoint, Note, NoteVerifier, Policy, Rotation, VerifierKey};
use libfuzzer_sys::fuzz_target;

/// Every signature counts, so that what stands behind signatures is reached.
struct Trusting;

impl NoteVerifier for Trusting {
    fn verify(&self, _: &[u8; 32], _: &[u8], _: &[u8; 64]) -> bool {
        true
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_string().as_bytes(), bytes);
        if let Ok(checkpoint) = Checkpoint::parse(note.text()) {
            assert_eq!(checkpoint.to_string(), note.text());
        }
        for signature in note.signatures() {
            if let Ok(key) = VerifierKey::new(signature.name(), hv_audit::KeyKind::Signer, [7; 32]) {
                let _ = note.verify([&key], &Trusting);
                let _ = Rotation::open(&note, &key, &Trusting);
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(key) = text.parse::<VerifierKey>() {
            assert_eq!(key.to_string(), text);
        }
        let _ = text.parse::<Policy>();
    }
});
