//! Tests of what crosses crates, with the real program, real processes and real repositories.

mod forgery;
mod gate;
mod kill;
mod release;
mod support;
