//! For whom agents act, how often they may call, and what becomes of what they did not intend.

use super::fault::{Fault, Located};
use super::file::{RawAgent, RawIntents, RawOutside, RawRate, RawRates, RawUndoRule, RawViolation};
use super::tree::At;
use super::{Agent, value};
use hv_core::rings::intent::{Demand, Policy, Rule, UndoRule, Violation};
use hv_core::rings::rate::{Limits, Rate};
use hv_types::Did;

/// The most that a rate may say.
const MOST: u64 = 1_000_000;

/// The parent of an agent: one that joins before it.
pub(super) fn parent(raw: &RawAgent, before: &[Agent]) -> Result<Option<Did>, Located> {
    let Some(name) = &raw.parent else { return Ok(None) };
    let did = value::ident(name, Did::new)?;
    match before.iter().find(|agent| agent.did == did) {
        Some(_) if raw.fetch_manifest => {
            let fault = Fault::FetchedChild { agent: raw.did.value.clone() };
            Err(Located { line: name.line, fault })
        }
        Some(agent) => Ok(Some(agent.did.clone())),
        None => {
            let fault = Fault::Parent { agent: raw.did.value.clone(), parent: name.value.clone() };
            Err(Located { line: name.line, fault })
        }
    }
}

/// What is said of rates; what is left out is as usual.
pub(super) fn rates(raw: &RawRates) -> Result<Limits, Located> {
    let RawRates { root, privileged, standard, sandbox } = raw;
    let Limits { mut rate, mut tools } = Limits::default();
    for (raw, rate, tools) in [
        (root, &mut rate.root, &mut tools.root),
        (privileged, &mut rate.privileged, &mut tools.privileged),
        (standard, &mut rate.standard, &mut tools.standard),
        (sandbox, &mut rate.sandbox, &mut tools.sandbox),
    ] {
        let Some(RawRate { per_second, burst, tools: at_once }) = raw else { continue };
        *rate = Rate {
            per_second: number(per_second.as_ref(), "per_second", rate.per_second)?,
            burst: number(burst.as_ref(), "burst", rate.burst)?,
        };
        *tools = number(at_once.as_ref(), "tools", *tools)?;
    }
    Ok(Limits { rate, tools })
}

/// What the session makes of intents.
pub(super) const fn intents(RawIntents { required, outside, violation, undo }: RawIntents) -> Policy {
    Policy {
        demand: if required { Demand::Required } else { Demand::Optional },
        outside: match outside {
            RawOutside::Deny => Rule::Deny,
            RawOutside::Consent => Rule::Consent,
        },
        violation: match violation {
            RawViolation::Deny => Violation::Deny,
            RawViolation::Slash => Violation::Slash,
        },
        undo: match undo {
            RawUndoRule::Free => UndoRule::Free,
            RawUndoRule::Held => UndoRule::Held,
        },
    }
}

fn number(given: Option<&At<u64>>, key: &'static str, usual: u32) -> Result<u32, Located> {
    let count = value::count(given, key, usual.into(), 1..=MOST)?;
    Ok(u32::try_from(count).unwrap_or(usual))
}
