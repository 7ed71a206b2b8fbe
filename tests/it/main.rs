//! Tests of what crosses crates, with the real program, real processes and real repositories.

mod denied;
mod escalated;
mod evidence;
mod forgery;
mod gate;
mod input;
mod interrupts;
mod kill;
mod kill_switch;
mod limits;
mod lines;
mod live;
mod open_saga;
mod ports;
mod presented;
mod quickstart;
mod release;
mod scene;
mod secrets;
mod server;
mod simulation;
mod support;
mod surroundings;
mod unfinished;
mod vfs;
mod vouching;
