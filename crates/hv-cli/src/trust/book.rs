//! `hv trust show`, `history` and `what-if`: who answers for whom, how it came about, and what a slash would cost.

use super::args::{HistoryArgs, ShowArgs, WhatIfArgs};
use crate::Exit;
use crate::audit::ledger::{NoLedger, Trust};
use crate::elevate::fields;
use crate::output::{self, Refused, one_line};
use hv_core::liability::{Bond, Case, Command, Machine, SessionNo, SlashOrder, SlashReason, Standing};
use hv_core::rings::earned;
use hv_core::types::{ActionId, Did, Digest, Ring, Share, Timestamp};
use hv_core::{Clock, SystemClock};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// So many ways from an agent to those who answer for it are told.
const PATHS: usize = 32;

fn read(data: &Path) -> Result<Trust, Exit> {
    Trust::read(data).map_err(|none| {
        output::error(&format!("hv: {none}"));
        match none {
            NoLedger::NoTrail { .. } => Exit::BadInput,
            NoLedger::Tampered { .. } => Exit::Failed,
        }
    })
}

/// Prints words for people or a document for programs.
fn tell(json: bool, words: &str, document: &Value) -> Result<Exit, Refused> {
    if json {
        output::json(document)?
    } else {
        output::print(&words)?
    }
    Ok(Exit::Done)
}

/// Who has which reputation, how much of it is bonded, and what that comes to in the open sessions.
pub(super) fn show(args: &ShowArgs) -> Result<Exit, Refused> {
    let trust = match read(&args.data) {
        Ok(trust) => trust,
        Err(exit) => return Ok(exit),
    };
    let now = SystemClock.now();
    let matrix = trust.ledger.matrix(now);
    if args.dot {
        let mut dot = String::new();
        // A text takes whatever is written.
        let _ = matrix.write_dot(None, |session| trust.session(session), &mut dot);
        output::print(&dot)?;
        return Ok(Exit::Done);
    }
    let wanted = |did: &&Did| args.agent.as_ref().is_none_or(|agent| agent == *did);
    let (mut words, mut agents, mut bonds) = (String::new(), Vec::new(), Vec::new());
    for did in trust.ledger.agents().filter(wanted) {
        let (Some(account), Some(exposure)) = (trust.ledger.account(did, now), matrix.exposure(did)) else {
            continue;
        };
        let quarantine = account.quarantine.map(|by| by.to_string());
        let held = quarantine.as_ref().map(|by| format!("; quarantined {by}")).unwrap_or_default();
        line(
            &mut words,
            &format!(
                "{did}: ρ {}, bonded {} of at most {}{held}",
                exposure.reputation, exposure.bonded, exposure.limit
            ),
        );
        let mut standing = Vec::new();
        for (no, named) in trust.sessions.iter().filter(|(_, named)| named.open) {
            let sigma = trust.ledger.standing_sigma(did, *no, now);
            let ring = earned(sigma);
            line(&mut words, &format!("  in {}: σ_eff {sigma}, which earns {ring}", named.id));
            let elevation = trust.elevations.get(&(*no, did.clone())).filter(|it| now <= it.until());
            if let Some(elevation) = elevation {
                let actions: Vec<&str> = elevation.request().actions().iter().map(ActionId::as_str).collect();
                let until = elevation.until();
                line(&mut words, &format!("    elevated for {} until {until}", actions.join(", ")));
            }
            standing.push(json!({
                "session": named.id, "sigma_eff": sigma, "earns": ring, "elevation": elevation.map(fields),
            }));
        }
        agents.push(json!({
            "did": did.as_str(), "source": account.source.name(), "reputation": exposure.reputation,
            "bonded": exposure.bonded, "limit": exposure.limit, "left": exposure.left,
            "slashes": account.slashes, "quarantine": quarantine, "sessions": standing,
        }));
    }
    for bond in matrix.bonds() {
        let Some((voucher, vouchee)) = ends(&trust, &bond) else { continue };
        if ![voucher, vouchee].iter().any(wanted) {
            continue;
        }
        let session = trust.session(bond.session);
        let Bond { remaining, initial, state, .. } = bond;
        line(
            &mut words,
            &format!("{voucher} answers for {vouchee} in {session} with {remaining} of {initial} ({state})"),
        );
        bonds.push(json!({
            "bond": bond.no.to_string(), "session": session, "voucher": voucher.as_str(),
            "vouchee": vouchee.as_str(), "initial": initial, "remaining": remaining, "state": state.name(),
            "since": bond.since, "ends": bond.ends,
        }));
    }
    let charges: Vec<Value> =
        trust.ledger.cases().filter_map(|case| charge(&trust, case, &wanted, now, &mut words)).collect();
    if words.is_empty() {
        line(&mut words, "nobody is known here");
    }
    tell(args.json, &words, &json!({ "at": now, "agents": agents, "bonds": bonds, "charges": charges }))
}

/// A charge that is open, where it is against somebody who is wanted.
fn charge(
    trust: &Trust,
    case: &Case,
    wanted: &impl Fn(&&Did) -> bool,
    now: Timestamp,
    words: &mut String,
) -> Option<Value> {
    let about = trust.ledger.did(case.offence.agent).filter(wanted)?;
    let (evidence, until) = (case.offence.evidence, case.until);
    let contested = case.standing == Standing::Disputed;
    let then = match contested {
        true => "it is contested, and waits for a ruling".to_owned(),
        false if until <= now => format!("it was due on {until}, and is carried out by whatever comes next"),
        false => format!("it is carried out on {until} unless it is contested"),
    };
    line(
        words,
        &format!("{about} is charged with {} on evidence {evidence}; {then}", case.offence.reason.name()),
    );
    Some(json!({
        "evidence": evidence, "about": about.as_str(), "reason": case.offence.reason.name(), "until": until,
        "contested": contested,
    }))
}

/// What happened to trust, in order.
pub(super) fn history(args: &HistoryArgs) -> Result<Exit, Refused> {
    let trust = match read(&args.data) {
        Ok(trust) => trust,
        Err(exit) => return Ok(exit),
    };
    let wanted = |agent: &Did| trust.history.iter().filter(|happened| happened.names(agent)).collect();
    let happened: Vec<_> = args.agent.as_ref().map_or_else(|| trust.history.iter().collect(), wanted);
    let mut words = String::new();
    for happened in &happened {
        line(&mut words, &format!("{:>6}  {}  {}", happened.lsn, happened.time, happened.words()));
    }
    tell(args.json, &words, &json!(happened))
}

/// What it would cost whom if an agent did now what cannot be undone, all by its own fault.
pub(super) fn what_if(args: &WhatIfArgs) -> Result<Exit, Refused> {
    let trust = match read(&args.data) {
        Ok(trust) => trust,
        Err(exit) => return Ok(exit),
    };
    let now = SystemClock.now();
    let agent = &args.slash;
    let session = match session(&trust, args, agent) {
        Ok(session) => session,
        Err(why) => {
            output::error(&format!("hv: {}: {why}", args.data.display()));
            return Ok(Exit::BadInput);
        }
    };
    let order = order(agent, session, now);
    let (toll, after) = match after(&trust, &order, now) {
        Ok(done) => done,
        Err(why) => {
            output::error(&format!("hv: {}: {why}", args.data.display()));
            return Ok(Exit::BadInput);
        }
    };
    let mut words =
        format!("if {agent} is slashed in {}, for what cannot be undone:\n", trust.session(session));
    let name = |agent| trust.ledger.did(agent).map(ToString::to_string).unwrap_or_default();
    let (mut losses, mut fallen, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    for loss in &toll.losses {
        let did = name(loss.agent);
        line(&mut words, &format!("  {did} loses {}", loss.amount));
        losses.push(json!({ "agent": did, "amount": loss.amount }));
    }
    for agent in &toll.fallen {
        let did = name(*agent);
        line(&mut words, &format!("  {did} has too little left to vouch, and all its vouches end"));
        fallen.push(did);
    }
    for did in trust.ledger.agents() {
        let sigma = |ledger: &hv_core::liability::Ledger| ledger.standing_sigma(did, session, now);
        let (before, then) = (sigma(&trust.ledger), sigma(&after));
        if before == then {
            continue;
        }
        let rings: (Ring, Ring) = (earned(before), earned(then));
        let change =
            if rings.0 == rings.1 { String::new() } else { format!(", from {} to {}", rings.0, rings.1) };
        line(&mut words, &format!("  {did} has σ_eff {then} instead of {before}{change}"));
        moved.push(json!({
            "agent": did.as_str(), "before": before, "after": then, "earned": rings.0, "earns": rings.1,
        }));
    }
    let paths: Vec<Vec<String>> = trust
        .ledger
        .matrix(now)
        .cascade_paths(agent, session, PATHS)
        .iter()
        .map(|path| path.iter().map(ToString::to_string).collect())
        .collect();
    for path in paths.iter().filter(|path| path.len() > 2) {
        line(&mut words, &format!("  by way of {}", path.join(" ← ")));
    }
    let document = json!({
        "at": now, "agent": agent.as_str(), "session": trust.session(session), "losses": losses,
        "fallen": fallen, "standing": moved, "paths": paths,
    });
    tell(args.json, &words, &document)
}

fn order(agent: &Did, session: SessionNo, now: Timestamp) -> SlashOrder {
    SlashOrder {
        // No evidence has this digest; nothing is recorded under it.
        evidence: Digest([0; 32]),
        agent: agent.clone(),
        session: Some(session),
        fault: Share::ONE,
        class: None,
        risk: None,
        happened: now,
        reason: SlashReason::Violation,
    }
}

fn after(
    trust: &Trust,
    order: &SlashOrder,
    now: Timestamp,
) -> Result<(hv_core::liability::Toll, hv_core::liability::Ledger), String> {
    let toll = trust.ledger.preview_slash(order, now).map_err(|denial| denial.to_string())?;
    let mut after = trust.ledger.clone();
    let events = after.decide(&Command::Slash(order.clone()), now).map_err(|denial| denial.to_string())?;
    events.iter().try_for_each(|event| after.apply(event)).map_err(|illegal| illegal.to_string())?;
    Ok((toll, after))
}

/// The session that is named, or the one in which somebody answers for the agent, or the last one.
fn session(trust: &Trust, args: &WhatIfArgs, agent: &Did) -> Result<SessionNo, String> {
    if let Some(named) = &args.session {
        let found = trust.sessions.iter().rev().find(|(_, known)| known.id == named.as_str());
        return found
            .map(|(no, _)| *no)
            .ok_or_else(|| format!("there is no session `{named}` on this trail"));
    }
    let bonds = trust.ledger.matrix(SystemClock.now()).vouchers_of(agent);
    let backed = bonds.last().map(|bond| bond.session);
    backed
        .or_else(|| trust.sessions.keys().next_back().copied())
        .ok_or_else(|| "there is no session on this trail".to_owned())
}

fn ends<'a>(trust: &'a Trust, bond: &Bond) -> Option<(&'a Did, &'a Did)> {
    Some((trust.ledger.did(bond.voucher)?, trust.ledger.did(bond.vouchee)?))
}

fn line(words: &mut String, text: &str) {
    // A text takes whatever is written.
    let _ = writeln!(words, "{}", one_line(text));
}
