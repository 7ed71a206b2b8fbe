//! A grant cannot be turned into one for another call.

use hv_core::Grant;
use hv_types::Call;

fn another(grant: Grant, call: Call) -> Grant {
    Grant { call: Box::new(call), ..grant }
}

fn main() {}
