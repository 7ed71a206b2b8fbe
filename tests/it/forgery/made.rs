//! A grant cannot be made.

fn main() {
    let _ = hv_core::Grant::new;
}
