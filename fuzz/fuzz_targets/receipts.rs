//! What anchors answered, and what another node says of an agent. The first 32 bytes are the digest that is asked about.
#![no_main]

use hv_audit::{Ends, HistoryProof};
use hv_integrations::anchor::{evm, tsa};
use hv_types::Digest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(history) = HistoryProof::from_file(bytes) {
        assert_eq!(history.to_file(), bytes);
        let _ = history.claimed_origin();
    }
    if let Some(ends) = core::str::from_utf8(bytes).ok().and_then(Ends::of_lines) {
        assert_eq!(Ends::of_lines(&ends.to_line()), Some(ends));
    }
    let Some((digest, receipt)) = bytes.split_first_chunk() else { return };
    let digest = Digest(*digest);
    let _ = tsa::time_of(receipt, &digest);
    if let Ok(name) = evm::transaction_of(receipt, &digest) {
        assert!(name.starts_with("0x"));
    }
});
