//! A grant is used up.

use hv_core::Grant;
use hv_types::{Call, Timestamp};

fn twice(grant: Grant, call: &Call, now: Timestamp) {
    let _ = grant.redeem(call, now);
    let _ = grant.redeem(call, now);
}

fn main() {}
