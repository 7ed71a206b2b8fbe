//! Signed statements: an envelope that is read is written back as the same statement.
#![no_main]

use hv_identity::{Envelope, Kind, Statement};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::from_json(bytes) {
        let again = Envelope::from_json(envelope.to_json().as_bytes());
        assert_eq!(again.as_ref().map(Envelope::payload), Ok(envelope.payload()));
        if let Some(kind) = Kind::of_payload_type(envelope.payload_type()) {
            if let Ok(statement) = Statement::from_payload(kind, envelope.payload()) {
                assert_eq!(statement.to_payload().as_bytes(), envelope.payload());
            }
        }
    }
    let _ = hv_identity::read_time(&String::from_utf8_lossy(bytes));
});
