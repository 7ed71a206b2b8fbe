//! A grant cannot be turned into one for another attempt.

use hv_core::Grant;
use hv_saga::Attempt;

fn another(grant: Grant, attempt: Attempt) -> Grant {
    Grant { attempt, ..grant }
}

fn main() {}
