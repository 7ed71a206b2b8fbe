//! What a signature costs on this machine: the least wall time of many tries.
//!
//! `cargo run --release -p hv-identity --example costs`

#![allow(clippy::print_stdout, reason = "what an example is for")]

use hv_identity::registry::{Command, Event};
use hv_identity::{ActionId, SessionId, Statement, Timestamp, open};
use hv_identity::{
    Call, Content, Did, DidKey, Digest, Envelope, Machine, PublicKey, Registry, Resolver, Signer,
};
use hv_types::Wire;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let (signer, node, now) = (Signer::new(&[7; 32])?, Did::new("did:mesh:node")?, Timestamp(0));
    let statement = |signer: &Did, content| Statement {
        audience: node.clone(),
        signer: signer.clone(),
        nonce: [1; 16],
        deadline: Timestamp(1),
        content,
    };
    let call = Call {
        session: SessionId::new("release")?,
        agent: Did::new("did:mesh:alpha")?,
        action: ActionId::new("git.push")?,
        params: Digest([0xab; 32]),
        deadline: Timestamp(1),
    };
    let witness = statement(signer.did(), Content::Witness { call });
    let envelope = witness.seal(&signer)?;
    let json = envelope.to_json();
    let other = Did::new("did:mesh:other")?;

    let bytes = *signer.public().as_bytes();
    least("a public key is checked", || PublicKey::from_bytes(black_box(&bytes)).is_ok());
    least("a did:key is read", || PublicKey::of(black_box(signer.did())).is_ok());
    least("a witness's word is signed", || witness.seal(&signer).is_ok());
    least("an envelope is read", || Envelope::from_json(black_box(json.as_bytes())).is_ok());
    least("an envelope is opened", || open(&envelope, &DidKey, &node, now).is_ok());
    least("one for another node is refused", || open(&envelope, &DidKey, &other, now).is_err());

    let mut registry = Registry::default();
    let mut events = Vec::new();
    for n in 0..10_000u32 {
        let mut seed = [0; 32];
        seed.iter_mut().zip(n.to_le_bytes()).for_each(|(to, from)| *to = from);
        let key = Signer::new(&seed)?;
        let did = Did::new(&format!("did:mesh:agent-{n}"))?;
        let bind = Content::Bind { key: key.public().clone(), from: now, until: Timestamp::MAX };
        let opened = open(&statement(&did, bind).seal(&key)?, &registry, &node, now)?;
        for event in registry.decide(&Command::Record(opened), now).map_err(|denial| denial.to_string())? {
            registry.apply(&event)?;
            events.push(event.to_bytes());
        }
    }
    let did = Did::new("did:mesh:agent-5000")?;
    least("one of 10 000 bound DIDs is looked up", || registry.key(black_box(&did), now).is_ok());
    let replay = || {
        let mut registry = Registry::default();
        let applied =
            |bytes: &Vec<u8>| Event::from_bytes(bytes).is_ok_and(|event| registry.apply(&event).is_ok());
        events.iter().all(applied)
    };
    least("10 000 bindings are replayed", replay);
    Ok(())
}

/// The least time of one try, over at least half a second.
fn least(what: &str, mut work: impl FnMut() -> bool) {
    let (began, mut least, mut good) = (Instant::now(), Duration::MAX, true);
    while began.elapsed() < Duration::from_millis(500) {
        let start = Instant::now();
        good &= work();
        least = least.min(start.elapsed());
    }
    let failed = if good { "" } else { " (failed)" };
    println!("{what:<40} {:>12.1} µs{failed}", least.as_secs_f64() * 1e6);
}
