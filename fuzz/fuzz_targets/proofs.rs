//! Proofs in all their forms: reading one never panics, and what is read is written back as the same bytes.
#![no_main]

use hv_audit::{AddCheckpoint, DeltaProof, Prints, TlogProof, bundle_entries};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = TlogProof::parse(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
        let _ = proof.check(&Default::default());
        let _ = proof.extra.map(|extra| DeltaProof::from_extra(&extra).map(|delta| delta.node_leaf()));
    }
    if let Ok(request) = AddCheckpoint::parse(bytes) {
        assert_eq!(request.to_string().as_bytes(), bytes);
        let _ = request.continues(&Default::default());
    }
    if let Ok(delta) = DeltaProof::from_extra(bytes) {
        assert_eq!(delta.to_extra(), bytes);
        let _ = delta.node_leaf();
    }
    if let Some(prints) = Prints::from_file(bytes) {
        assert_eq!(prints.to_file(), bytes);
    }
    let _ = bundle_entries(bytes);
});
