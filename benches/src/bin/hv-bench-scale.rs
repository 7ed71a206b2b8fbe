//! Runs one function of the scaling table at one size and prints how often it was called; without a name, prints every
//! function with its claim, its smallest size and what is counted there.

// What it prints is what the caller divides by.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use hv_benches::scale::SCALED;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (name, size) = match words.as_slice() {
        [] => {
            for scaled in SCALED {
                println!("{}\t{}\t{}\t{}", scaled.name, scaled.claim, scaled.from, scaled.of);
            }
            return ExitCode::SUCCESS;
        }
        [name, size] => (name.as_str(), size.parse().ok()),
        _ => ("", None),
    };
    let scaled = SCALED.iter().find(|scaled| scaled.name == name);
    match (scaled, size) {
        (Some(scaled), Some(size)) => match (scaled.run)(size) {
            Ok(calls) => {
                println!("{calls}");
                ExitCode::SUCCESS
            }
            Err(why) => {
                eprintln!("{name} at {size}: {why}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("give a function of the scaling table and a size");
            ExitCode::from(2)
        }
    }
}
