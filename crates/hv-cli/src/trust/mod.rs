//! `hv trust`: what is known of agents, and what it amounts to.

pub mod args;

mod book;
mod score;

use crate::Exit;
use crate::output::Refused;
use args::{TrustArgs, TrustCommand};

/// Does what `hv trust` is asked.
///
/// # Errors
/// As the part that is asked for.
pub fn run(args: &TrustArgs) -> Result<Exit, Refused> {
    match &args.command {
        TrustCommand::Score(lines) => score::run(lines),
        TrustCommand::Show(args) => book::show(args),
        TrustCommand::History(args) => book::history(args),
        TrustCommand::WhatIf(args) => book::what_if(args),
    }
}
