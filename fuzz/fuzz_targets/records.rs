//! Records and the events in them, as any stream may hold them. The first byte says which stream.
#![no_main]

use hv_core::audit::{StreamNo, read_entry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((stream, record)) = bytes.split_first() else { return };
    if let Ok(entry) = read_entry(record, StreamNo(u32::from(*stream % 4))) {
        assert_eq!(entry.bytes, record);
        entry.attachments.for_each(drop);
        let _ = hv_core::read_record(&entry);
    }
});
