//! Functions whose instructions are counted.
//!
//! Each is called `measured_…` and never inlined, because the count goes on when such a function is entered and
//! off when it is left. It is called once for every case of its table, so the count for a call is a mean over
//! the table; the table's cases take every way through the function. What the hypervisor does as a whole is counted
//! with the workloads of [`peer`](crate::peer), each many times in a row and the runtime with them.

use crate::peer::{Stage, text};
use hv_core::audit::{Log, LogError, MemoryLog, StreamNo};
use hv_core::saga::Steps;
use hv_core::{Hypervisor, Origin};
use hv_rings::quorum::{Electorate, Verdict, Vote, tally};
use hv_rings::{Denial, Evidence, Nonce, Scope, Spent, Statement, decide, earned, witness};
use hv_types::{ActionId, BadIdent, Call, Did, Digest, Ring, SessionId, Sigma, Timestamp};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;

/// A function whose instructions are counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// The function's name.
    pub name: &'static str,
    /// Calls it for every case and says how often that was.
    pub run: fn() -> Result<u64, String>,
}

/// Every counted function.
pub const COUNTED: &[Counted] = &[
    Counted { name: "measured_ring_earned", run: ring_earned },
    Counted { name: "measured_ring_decision", run: ring_decision },
    Counted { name: "measured_certified_decision", run: certified_decision },
    Counted { name: "measured_record_captured", run: record_captured },
    Counted { name: "measured_note", run: note },
    Counted { name: "measured_request_of_a_flood", run: request_of_a_flood },
    Counted { name: "measured_session_lifecycle", run: session_lifecycle },
    Counted { name: "measured_saga_of_three_steps", run: saga_of_three_steps },
    Counted { name: "measured_governance_pipeline", run: governance_pipeline },
];

#[inline(never)]
fn measured_ring_earned(sigma: Sigma) -> Ring {
    earned(sigma)
}

/// Both sides of each threshold, and both ends.
const SCORES: [u64; 7] = [0, 599_999, 600_000, 600_001, 950_000, 950_001, 1_000_000];

fn ring_earned() -> Result<u64, String> {
    let mut calls = 0;
    for ppm in SCORES {
        black_box(measured_ring_earned(black_box(Sigma::capped(ppm))));
        calls += 1;
    }
    Ok(calls)
}

#[inline(never)]
fn measured_ring_decision(
    need: Ring,
    sigma: Sigma,
    cap: Ring,
    call: &Call,
    brought: &Evidence,
) -> Result<Ring, Denial> {
    decide(need, sigma, cap, call, brought)
}

/// Every ring, every score, every cap, and nothing brought.
fn ring_decision() -> Result<u64, String> {
    let call = black_box(call().map_err(|e| e.to_string())?);
    let nothing = black_box(Evidence::none());
    let mut calls = 0;
    for need in Ring::ALL {
        for cap in Ring::ALL {
            for ppm in SCORES {
                let sigma = black_box(Sigma::capped(ppm));
                let answer = measured_ring_decision(black_box(need), sigma, black_box(cap), &call, &nothing);
                _ = black_box(answer);
                calls += 1;
            }
        }
    }
    Ok(calls)
}

#[inline(never)]
fn measured_certified_decision(need: Ring, call: &Call, brought: &Evidence) -> Result<Ring, Denial> {
    decide(need, Sigma::ONE, Ring::Root, call, brought)
}

/// A yes to Ring 1 with a quorum and to Ring 0 with a witness: every byte of the call is compared with that of
/// the certificate. The calls are equal and share no memory, which is the slowest case.
fn certified_decision() -> Result<u64, String> {
    let brought = black_box(evidence().map_err(|e| e.to_string())?);
    let call = black_box(call().map_err(|e| e.to_string())?);
    let mut calls = 0;
    for need in [Ring::Privileged, Ring::Root] {
        let answer = black_box(measured_certified_decision(black_box(need), &call, &brought));
        answer.map_err(|denial| denial.to_string())?;
        calls += 1;
    }
    Ok(calls)
}

#[inline(never)]
fn measured_record_captured(log: &MemoryLog, now: Timestamp, body: &[u8]) -> Result<(), LogError> {
    log.append(&[], now, &mut |batch| {
        batch.push(StreamNo::LEDGER, &[], |out| out.extend_from_slice(body)).map(drop)
    })
    .map(drop)
}

/// A record of 60 bytes in a batch of its own: its bytes, its hash, its place in the chain and in the tree.
fn record_captured() -> Result<u64, String> {
    const RECORDS: u64 = 4096;
    let (log, body) = (MemoryLog::new(), black_box([7; 60]));
    for now in 0..RECORDS {
        measured_record_captured(&log, Timestamp(now), &body).map_err(|e| e.to_string())?;
    }
    Ok(RECORDS)
}

/// So often a workload is called, and before that for the first time.
const CALLS: (u64, u64) = (10, 50);

/// Calls a workload so often.
fn repeated<T>(stage: &Stage, calls: u64, call: impl AsyncFn() -> Result<T, String>) -> Result<u64, String> {
    stage.runtime.block_on(async {
        for _ in 0..calls {
            black_box(call().await?);
        }
        Ok(calls)
    })
}

#[inline(never)]
fn measured_note(stage: &Stage, hv: &Hypervisor, calls: u64) -> Result<u64, String> {
    repeated(stage, calls, async || hv.note(&stage.session, "k", vec![1]).await.map_err(text))
}

/// A note of somebody who does what he may: a record of its own.
fn note() -> Result<u64, String> {
    let stage = Stage::new()?;
    let hv = stage.runtime.block_on(stage.begin(Hypervisor::in_memory().map_err(text)?))?;
    measured_note(&stage, &hv, CALLS.0)?;
    measured_note(&stage, &hv, black_box(CALLS.1))
}

#[inline(never)]
fn measured_request_of_a_flood(stage: &Stage, hv: &Hypervisor, by: &Did, calls: u64) -> Result<u64, String> {
    repeated(stage, calls, async || match hv.read_file(&stage.session, by, "a.txt").await {
        Ok(_) => Err("a stranger read a file".to_owned()),
        Err(refused) => Ok(refused),
    })
}

/// A request of somebody whom nobody knows, from where more came than is listened to.
fn request_of_a_flood() -> Result<u64, String> {
    const FLOOD: u64 = 1_000;
    let stage = Stage::new()?;
    let hv = stage.runtime.block_on(stage.begin(Hypervisor::in_memory().map_err(text)?))?;
    let hv = hv.at(Origin::new("203.0.113.7").ok_or("no origin")?);
    let stranger = Did::new("did:mesh:stranger").map_err(text)?;
    repeated(&stage, FLOOD, async || Ok(hv.read_file(&stage.session, &stranger, "a.txt").await.is_err()))?;
    measured_request_of_a_flood(&stage, &hv, &stranger, black_box(CALLS.1))
}

#[inline(never)]
fn measured_session_lifecycle(stage: &Stage, calls: u64) -> Result<u64, String> {
    repeated(stage, calls, || stage.lifecycle())
}

/// A node, a session, a member, its activation and its end.
fn session_lifecycle() -> Result<u64, String> {
    let stage = Stage::new()?;
    repeated(&stage, CALLS.0, || stage.lifecycle())?;
    measured_session_lifecycle(&stage, black_box(CALLS.1))
}

#[inline(never)]
fn measured_saga_of_three_steps(
    stage: &Stage,
    (hv, steps, n): (&Hypervisor, &Steps, &Cell<u64>),
    calls: u64,
) -> Result<u64, String> {
    repeated(stage, calls, || stage.next_saga(hv, steps, n))
}

/// A saga of three steps with undo, in a session that goes on.
fn saga_of_three_steps() -> Result<u64, String> {
    let stage = Stage::new()?;
    let (steps, n) = (stage.three_steps()?, Cell::new(0));
    let hv = stage.runtime.block_on(stage.busy_session())?;
    repeated(&stage, CALLS.0, || stage.next_saga(&hv, &steps, &n))?;
    measured_saga_of_three_steps(&stage, (&hv, &steps, &n), black_box(CALLS.1))
}

#[inline(never)]
fn measured_governance_pipeline(stage: &Stage, steps: &Steps, calls: u64) -> Result<u64, String> {
    repeated(stage, calls, || stage.pipeline(steps))
}

/// A node, a session, a member, its activation, three files, a saga of one step, and its end.
fn governance_pipeline() -> Result<u64, String> {
    let stage = Stage::new()?;
    let steps = stage.look()?;
    repeated(&stage, CALLS.0, || stage.pipeline(&steps))?;
    measured_governance_pipeline(&stage, &steps, black_box(CALLS.1))
}

fn call() -> Result<Call, BadIdent> {
    Ok(Call {
        session: SessionId::new("release-2026-03-14")?,
        agent: Did::new("did:mesh:alpha")?,
        action: ActionId::new("git.push")?,
        params: Digest::default(),
        deadline: Timestamp(1_000),
    })
}

/// A quorum and a witness, both for that call.
fn evidence() -> Result<Evidence, BadIdent> {
    let (call, node) = (call()?, Did::new("did:web:node.example")?);
    let (voter, human) = (Did::new("did:mesh:beta")?, Did::new("did:mesh:gamma")?);
    let members = BTreeMap::from([(voter.clone(), Ring::Standard)]);
    let (tied, spent, humans) = (BTreeSet::new(), Spent::default(), BTreeSet::from([human.clone()]));
    let scope = Scope { node: &node, call: &call, tied: &tied, spent: &spent, now: Timestamp(500) };
    let says = |by: Did| Statement {
        by,
        audience: node.clone(),
        call: call.clone(),
        nonce: Nonce([1; 16]),
        deadline: Timestamp(900),
    };
    let electorate = Electorate { members: &members, humans: &humans };
    let votes = [voter, human.clone()].map(|by| Vote { statement: says(by), verdict: Verdict::For });
    let mut brought = Evidence::none();
    if let Ok(quorum) = tally(&scope, &electorate, &votes) {
        brought = brought.with_quorum(quorum);
    }
    if let Ok(witness) = witness::check(&scope, &humans, &says(human)) {
        brought = brought.with_witness(witness);
    }
    Ok(brought)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counted_function_is_called() {
        for counted in COUNTED {
            assert!(counted.name.starts_with("measured_"), "{}", counted.name);
            assert!((counted.run)().unwrap() > 0, "{}", counted.name);
        }
    }
}
