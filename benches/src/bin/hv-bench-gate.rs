//! Runs one counted function and prints how often it was called; without a name, prints all names.

// What it prints is what the caller divides by.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use hv_benches::counted::COUNTED;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        COUNTED.iter().for_each(|counted| println!("{}", counted.name));
        return ExitCode::SUCCESS;
    };
    let counted = COUNTED.iter().find(|counted| counted.name == name);
    match counted.map(|counted| (counted.run)()) {
        Some(Ok(calls)) => {
            println!("{calls}");
            ExitCode::SUCCESS
        }
        Some(Err(why)) => {
            eprintln!("{name}: {why}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("there is no counted function `{name}`");
            ExitCode::from(2)
        }
    }
}
