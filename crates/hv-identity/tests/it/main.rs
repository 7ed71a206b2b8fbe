//! Tests of identities and statements as a user of the crate sees them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod decoders;
mod golden;
mod keys;
mod opening;
mod registry;
mod twin;
mod vectors;

use hv_identity::strategies::known_signer;
use hv_identity::{Call, Content, Did, Digest, SessionId, Statement, Timestamp};

/// When the tests take place: 2026-01-31T12:00:00Z.
const NOW: Timestamp = Timestamp(1_769_860_800_000_000_000);

fn did(text: &str) -> Did {
    Did::new(text).unwrap()
}

fn node() -> Did {
    did("did:mesh:node")
}

fn call() -> Call {
    Call {
        session: SessionId::new("release").unwrap(),
        agent: did("did:mesh:alpha"),
        action: hv_identity::ActionId::new("git.push").unwrap(),
        params: Digest([0xab; 32]),
        deadline: Timestamp(NOW.0 + 300_000_000_000),
    }
}

/// What the known signer of that number says to the node, for a minute.
fn statement(signer: u8, content: Content) -> Statement {
    Statement {
        audience: node(),
        signer: known_signer(signer).did().clone(),
        nonce: [0x0f; 16],
        deadline: Timestamp(NOW.0 + 60_000_000_000),
        content,
    }
}

/// How many cases a property is tried with.
fn cases(every_day: u32) -> u32 {
    if std::env::var_os("HV_DEEP").is_some() { every_day * 20 } else { every_day }
}

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}
