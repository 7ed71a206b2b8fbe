//! Every state that three agents can reach, breadth first.

use crate::model::{Class, NEVER, Offence, SECOND};
use crate::twin::{Twin, name};
use hv_liability::{Command, Ledger, SessionNo, checks};
use hv_types::{Machine, Wire};
use std::collections::BTreeSet;

const DEPTH: usize = 6;

#[derive(Debug, Clone, Copy)]
enum Step {
    Vouch(usize, usize, u64),
    Release,
    ReleaseSession,
    Slash(usize, Class, u64),
    Charge(usize),
    Uphold(usize),
    Dismiss(usize),
    Rehabilitate(usize),
    Wait(u64),
}

/// What can be done in each state; charges, halves of faults and more only with `HV_DEEP`, so that the
/// everyday run takes seconds.
fn alphabet() -> Vec<Step> {
    let pairs = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)];
    let mut steps: Vec<Step> = pairs.iter().map(|&(a, b)| Step::Vouch(a, b, 300_000)).collect();
    steps.extend((0..3).map(|agent| Step::Slash(agent, Class::None, 1_000_000)));
    steps.extend([Step::Release, Step::Wait(60)]);
    if std::env::var_os("HV_DEEP").is_some() {
        steps.extend([Step::Vouch(0, 1, 419_999), Step::ReleaseSession, Step::Wait(30)]);
        steps.extend((0..3).map(Step::Rehabilitate));
        steps.extend([
            Step::Charge(1),
            Step::Uphold(1),
            Step::Dismiss(1),
            Step::Slash(1, Class::Full, 500_000),
        ]);
    }
    steps
}

impl Step {
    fn take(self, twin: &mut Twin) -> Result<(), String> {
        let offence = |twin: &Twin, agent: usize, class: Option<Class>, fault: u64| Offence {
            evidence: u8::try_from(agent * 4).unwrap() + class.map_or(3, |class| class as u8),
            agent,
            session: Some(0),
            fault,
            class,
            risk: None,
            happened: twin.model.now,
        };
        let before = twin.ledger.clone();
        let answer = match self {
            Self::Vouch(voucher, vouchee, amount) => twin.vouch(0, (voucher, vouchee), amount, NEVER),
            Self::Release => match twin.bonds.len() {
                0 => Ok(Vec::new()),
                bonds => twin.release(bonds - 1),
            },
            Self::ReleaseSession => {
                let _ = twin.model.release_session(0);
                twin.give(&Command::ReleaseSession { session: SessionNo(0) })
            }
            Self::Slash(agent, class, fault) => {
                let offence = offence(twin, agent, Some(class), fault);
                twin.slash(&offence)
            }
            Self::Charge(agent) => {
                let offence = offence(twin, agent, None, 1_000_000);
                twin.charge(&offence)
            }
            Self::Uphold(agent) => twin.uphold(u8::try_from(agent * 4).unwrap() + 3),
            Self::Dismiss(agent) => twin.dismiss(u8::try_from(agent * 4).unwrap() + 3),
            Self::Rehabilitate(agent) => twin.rehabilitate(agent, 600_000),
            Self::Wait(seconds) => {
                twin.wait(seconds * SECOND);
                Ok(Vec::new())
            }
        };
        let events = answer.map_err(|denial| name(&denial))?;
        if let Some(slashed) = Twin::slashed(&events) {
            checks::slash(&before, &twin.ledger, slashed).unwrap();
        }
        Ok(())
    }
}

#[test]
fn every_state_within_reach_is_that_of_the_naive_model() {
    let steps = alphabet();
    let start = Twin::new(&[900_000, 700_000, 510_000]);
    let (mut seen, mut level) = (BTreeSet::new(), vec![start]);
    let mut refused = 0u64;
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for twin in &level {
            for &step in &steps {
                let mut twin = twin.clone();
                twin.events.clear();
                if step.take(&mut twin).is_err() {
                    refused += 1;
                } else if seen.insert(key(&twin.ledger, twin.model.now)) {
                    twin.compare();
                    checks::ledger(&twin.ledger, twin.now()).unwrap();
                    next.push(twin);
                }
            }
        }
        level = next;
    }
    // Measured once; far fewer would mean that the search no longer gets anywhere.
    assert!(seen.len() > 12_000 && refused > 25_000, "{} states, {refused} refusals", seen.len());
}

/// What a state is, in few bytes: its snapshot, hashed, and the time, which a snapshot knows only as far as
/// something happened at it.
fn key(ledger: &Ledger, now: u64) -> (u64, u64, u64) {
    let mut bytes = Vec::new();
    ledger.compact().iter().for_each(|event| event.put(&mut bytes));
    let hash = |seed: u64| {
        bytes.iter().fold(seed, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    };
    (hash(0xcbf2_9ce4_8422_2325), hash(0x9e37_79b9_7f4a_7c15), now)
}
