//! A grant cannot be written down.

use hv_core::Grant;

fn main() {
    let _ = Grant { call: unimplemented!(), lsn: unimplemented!(), node: unimplemented!(), right: unimplemented!() };
}
