//! No executor runs without a grant.

use hv_core::Grant;
use hv_saga::exec::CommandExecutor;
use hv_saga::{Attempt, Executor};

fn run(executor: &CommandExecutor, attempt: &Attempt) {
    let _ = <CommandExecutor as Executor<Grant>>::run(executor, (), attempt);
}

fn main() {}
