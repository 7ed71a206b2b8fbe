//! What a person touches: session files, the command line, progress and reports.
//!
//! The binary `hv` is a thin shell around this library. Nothing here decides: rings come from `hv-rings`, and what
//! a run may do is the gate's to say.

pub mod answerable;
pub mod args;
pub mod audit;
pub mod call;
pub mod charge;
pub mod claimed;
pub mod config;
pub mod elevate;
pub mod id;
pub mod intent;
pub mod lines;
pub mod log;
pub mod node;
pub mod output;
mod outside;
pub mod plan;
pub mod progress;
pub mod report;
pub mod ring;
pub mod run;
pub mod saga;
pub mod session;
mod shell;
pub mod testing;
pub mod tools;
pub mod trust;
pub mod vfs;

mod exit;

pub use exit::Exit;
