//! A grant cannot be made.

use hv_core::Grant;

fn main() {
    let call = unimplemented!();
    let _ = Grant::new(call, unimplemented!(), unimplemented!(), unimplemented!());
}
