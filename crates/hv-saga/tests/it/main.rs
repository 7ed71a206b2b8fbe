//! What a saga promises, shown on simulated worlds and on real processes.

#![cfg(test)]
#![allow(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

#[cfg(feature = "proptest")]
mod any;
mod bytes;
mod crash;
mod drawing;
mod forged;
mod growing;
mod held;
mod planted;
mod representative;
mod reversibility;
mod rules;
mod settles;
mod simulation;
mod table;
mod timed;
mod unlike;
mod worlds;

#[cfg(feature = "tokio")]
mod driving;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "command")]
mod programs;
#[cfg(feature = "tokio")]
mod running;
#[cfg(all(feature = "command", target_os = "linux"))]
mod survivors;
