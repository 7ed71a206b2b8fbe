//! Whom the node listens to, and what came of what they said.

use super::super::told::{Told, json, list, object};
use super::{Scene, short};
use crate::output::counted;
use hv_core::NodeConfig;
use hv_core::event::{KeyEvent, Rejected, Voice};
use hv_core::rings::class::Override;
use hv_core::rings::elevation::Elevation;
use hv_core::rings::{Basis, Nonce};
use hv_core::types::{ActionId, Did, Digest, Ring, Timestamp};
use serde_json::Value;

pub(super) fn configured(config: &NodeConfig, by: &Did, witness: Option<&Did>) -> Told {
    let word = match witness {
        Some(witness) => format!(", by the word of {witness}"),
        None => ", for the first time".to_owned(),
    };
    Told::new("node.configured", format!("{by} configures the node{word}: {}", config_words(config)))
        .with("by", by)
        .with("witness", witness)
        .with("config", config_fields(config))
}

pub(super) fn spent(by: &Did, nonce: &Nonce, deadline: Timestamp, at: Timestamp) -> Told {
    let nonce: String = nonce.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let words = format!("a statement of {by} is used, and cannot be used again (nonce {nonce})");
    Told::new("node.spent", words)
        .with("by", by)
        .with("nonce", nonce)
        .with("deadline", deadline)
        .with("at", at)
}

pub(super) fn governed(action: &ActionId, params: &Digest, by: &Did, witness: &Did) -> Told {
    let words = format!("{by} does {action} in {}, by the word of {witness}", Ring::Root);
    Told::new("node.governed", words)
        .with("action", action)
        .with("params", params)
        .with("by", by)
        .with("witness", witness)
}

pub(super) fn contested(charge: &Digest, grounds: &Digest) -> Told {
    let words = format!("the charge on evidence {charge} is contested, on the grounds {grounds}");
    Told::new("node.contested", words).with("charge", charge).with("grounds", grounds)
}

impl Scene<'_> {
    pub(super) fn certified(
        &self,
        (saga, step): (u32, u32),
        (basis, until): (Basis, Timestamp),
        voices: &[Voice],
    ) -> Told {
        let (saga, step) = (self.names.saga(self.stream, saga), self.names.step(self.stream, saga, step));
        let by: Vec<&str> = voices.iter().map(|voice| voice.by.as_str()).collect();
        let (name, words) = match basis {
            Basis::Elevation => {
                ("elevation", format!("step {step} may start on the elevation of its agent, until {until}"))
            }
            Basis::Witness => {
                ("witness", format!("step {step} may start on the word of a witness, until {until}"))
            }
            _ => ("quorum", format!("step {step} may start on the word of a quorum, until {until}")),
        };
        let words = if by.is_empty() { words } else { format!("{words}: {}", by.join(", ")) };
        Told::new("session.certified", words)
            .with("saga", saga)
            .with("step", step)
            .with("basis", name)
            .with("until", until)
            .with("by", by)
    }
}

/// An agent that may do for a time what needs Ring 1.
pub(super) fn elevated(elevation: &Elevation, voices: &[Voice]) -> Told {
    let request = elevation.request();
    let actions: Vec<&str> = request.actions().iter().map(ActionId::as_str).collect();
    let by: Vec<&str> = voices.iter().map(|voice| voice.by.as_str()).collect();
    let words = format!(
        "{} is elevated to {} for {} until {}, by the word of {}: {}",
        request.agent(),
        Ring::Privileged,
        actions.join(", "),
        elevation.until(),
        by.join(", "),
        request.reason()
    );
    Told::new("session.elevated", words)
        .with("agent", request.agent())
        .with("actions", request.actions())
        .with("reason", request.reason())
        .with("since", elevation.since())
        .with("until", elevation.until())
        .with("by", by)
}

/// A statement that does not count.
pub(super) fn rejection(event: &'static str, rejected: &Rejected) -> Told {
    Told::new(event, format!("{rejected} (envelope {})", short(&rejected.envelope)))
        .with("envelope", rejected.envelope)
        .with("names", &rejected.names)
        .with("reason", rejected.rejection.name())
        .with("words", rejected.rejection.to_string())
}

pub(super) fn voters(voters: &[Did]) -> Told {
    let names: Vec<&str> = voters.iter().map(Did::as_str).collect();
    let words = match names.as_slice() {
        [] => "no human votes in this session".to_owned(),
        some => format!("these humans vote in this session: {}", some.join(", ")),
    };
    Told::new("session.voters_named", words).with("voters", voters)
}

pub(super) fn overridden(action: &ActionId, set: &Override) -> Told {
    Told::new("session.overridden", format!("action {action}: the operator sets {}", terms(set)))
        .with("action", action)
        .with("ring", set.ring)
        .with("risk", set.risk)
}

fn terms(set: &Override) -> String {
    match (set.ring, set.risk) {
        (None, None) => "nothing, so it counts as what was said of it".to_owned(),
        (Some(ring), None) => format!("that it needs {ring}"),
        (None, Some(risk)) => format!("that its risk is {risk}"),
        (Some(ring), Some(risk)) => format!("that it needs {ring} and its risk is {risk}"),
    }
}

fn config_words(config: &NodeConfig) -> String {
    let some = |what: &str, names: &mut dyn Iterator<Item = &Did>| {
        let names: Vec<&str> = names.map(Did::as_str).collect();
        if names.is_empty() { format!("no {what}") } else { format!("{what} {}", names.join(", ")) }
    };
    let overrides: String = config
        .overrides()
        .iter()
        .map(|(action, set)| format!("; for action {action} it sets {}", terms(set)))
        .collect();
    let (witnesses, verifiers) = (config.witnesses(), config.verifiers());
    let grace = match config.grace() {
        Some(grace) => format!("may contest a charge for {grace:?}"),
        None => "is slashed at once".to_owned(),
    };
    format!(
        "it is {}; {}; {}; {} numbers of vouching; whoever violates {grace}{overrides}",
        config.node(),
        some("witnesses", &mut witnesses.iter()),
        some("verifiers", &mut verifiers.iter()),
        config.vouching(),
    )
}

fn config_fields(config: &NodeConfig) -> Value {
    let set = |(action, set): (&ActionId, &Override)| {
        object([("action", json(action)), ("ring", json(set.ring)), ("risk", json(set.risk))])
    };
    let overrides: Vec<_> = config.overrides().iter().collect();
    object([
        ("node", json(config.node())),
        ("witnesses", json(config.witnesses())),
        ("verifiers", json(config.verifiers())),
        ("overrides", list(&overrides, |entry| set(*entry))),
        ("vouching", json(config.vouching().name())),
        ("grace_seconds", json(config.grace().map(|grace| grace.as_secs_f64()))),
    ])
}

pub(super) fn key(event: &KeyEvent) -> Told {
    let lasting = |until: &Timestamp| match *until {
        Timestamp::MAX => String::new(),
        until => format!(" until {until}"),
    };
    match event {
        KeyEvent::Bound { did, key, from, until } => {
            let words = format!("{did} has the key {key} from {from} on{}", lasting(until));
            Told::new("node.key_bound", words)
                .with("did", did)
                .with("key", key.did())
                .with("from", from)
                .with("until", until)
        }
        KeyEvent::Rotated { did, key, from, until } => {
            let words = format!("{did} has the new key {key} from {from} on{}", lasting(until));
            Told::new("node.key_rotated", words)
                .with("did", did)
                .with("key", key.did())
                .with("from", from)
                .with("until", until)
        }
        KeyEvent::Revoked { did, at } => {
            Told::new("node.key_revoked", format!("no key of {did} counts from {at} on"))
                .with("did", did)
                .with("at", at)
        }
        KeyEvent::Replaced { did, key, from, until, at } => {
            let words =
                format!("{did} is given the key {key}{}; those before it are revoked", lasting(until));
            Told::new("node.key_replaced", words)
                .with("did", did)
                .with("key", key.did())
                .with("from", from)
                .with("until", until)
                .with("at", at)
        }
        KeyEvent::Restored { did, keys } => {
            let words = format!("snapshot: {did} has had {}", counted(keys.len(), "key"));
            let held = |held: &hv_core::identity::registry::Held| {
                object([
                    ("key", json(held.key.did())),
                    ("from", json(held.from)),
                    ("until", json(held.until)),
                    ("revoked", json(held.revoked)),
                ])
            };
            Told::new("node.key_restored", words).with("did", did).with("keys", list(keys, held))
        }
    }
}
