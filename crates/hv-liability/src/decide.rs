//! What each command would change, or why it is refused.

use crate::books::{BondRow, Day, next_turn};
use crate::denial::CYCLE_NAMES_MAX;
use crate::ledger::ppm;
use crate::{
    AgentNo, BondNo, Command, Denial, Event, Ledger, Offence, Quarantine, SlashOrder, Slashed, Source, Stake,
    Standing, Verdict, VouchOrder,
};
use hv_types::{Did, Digest, Sigma, Timestamp};

pub(crate) fn decide(
    ledger: &Ledger,
    command: &Command,
    now: Timestamp,
    events: &mut Vec<Event>,
) -> Result<(), Denial> {
    let event = match command {
        Command::Configure(policy) => {
            policy.check().map_err(Denial::UnfitPolicy)?;
            let (bonds, charges) = (ledger.bond_count() as u64, ledger.cases.len() as u64);
            if bonds + charges > 0 {
                return Err(Denial::PolicyBinds { bonds, charges });
            }
            (*policy != ledger.policy).then(|| Event::Configured { policy: Box::new(*policy) })
        }
        Command::Endow { agent, sigma, source } => endow(ledger, agent, *sigma, *source)?,
        Command::Vouch(order) => {
            let checked = check_vouch(ledger, order, now)?;
            Some(Event::Vouched {
                bond: checked.bond,
                session: order.session,
                voucher: checked.voucher,
                vouchee: checked.vouchee,
                amount: checked.amount,
                at: now,
                expires: order.expires,
            })
        }
        Command::Release { bond } => {
            let view = ledger.bond(*bond, now).ok_or(Denial::UnknownBond { bond: *bond })?;
            if let (crate::BondState::Unbonding, ends) = (view.state, view.ends) {
                return Err(Denial::Unbonding { bond: *bond, until: ends.unwrap_or(Timestamp::MAX) });
            }
            Some(Event::Released { bond: *bond, at: now })
        }
        Command::ReleaseSession { session } => {
            let mut slots = ledger.books.in_session(*session);
            let any = ledger.bond_count() > 0
                && slots.any(|slot| {
                    ledger.view(slot, now).is_some_and(|bond| bond.state == crate::BondState::Active)
                });
            any.then_some(Event::SessionReleased { session: *session, at: now })
        }
        Command::Slash(order) => {
            let offence = check_offence_order(ledger, order, now)?;
            match ledger.verdict(&order.evidence) {
                // INVARIANT (L12)
                Some(Verdict::Slashed) => None,
                Some(Verdict::Dismissed) => return Err(Denial::Dismissed { evidence: order.evidence }),
                None if ledger.cases.contains_key(&order.evidence) => {
                    return Err(Denial::UnderCharge { evidence: order.evidence });
                }
                None => Some(slashed(ledger, offence, now)),
            }
        }
        Command::Charge(order) => {
            let offence = check_offence_order(ledger, order, now)?;
            match ledger.verdict(&order.evidence) {
                Some(Verdict::Slashed) => None,
                Some(Verdict::Dismissed) => return Err(Denial::Dismissed { evidence: order.evidence }),
                None if ledger.cases.contains_key(&order.evidence) => None,
                None => Some(Event::Charged {
                    offence: Box::new(offence),
                    at: now,
                    until: now.after(ledger.policy.grace),
                }),
            }
        }
        Command::Dispute { evidence } => {
            match ledger.cases.get(evidence).ok_or(Denial::NoCharge { evidence: *evidence })?.standing {
                Standing::Uncontested => Some(Event::Disputed { evidence: *evidence }),
                Standing::Disputed => return Err(Denial::Disputed { evidence: *evidence }),
            }
        }
        Command::Uphold { evidence } => {
            let case = ledger.cases.get(evidence).ok_or(Denial::NoCharge { evidence: *evidence })?;
            if case.standing == Standing::Uncontested && now < case.until {
                return Err(Denial::GraceRunning { evidence: *evidence, until: case.until });
            }
            Some(slashed(ledger, case.offence.clone(), now))
        }
        Command::Dismiss { evidence } => {
            ledger.cases.get(evidence).ok_or(Denial::NoCharge { evidence: *evidence })?;
            Some(Event::Dismissed { evidence: *evidence, at: now })
        }
        Command::Quarantine { agent, until } => {
            let no = known(ledger, agent)?;
            if *until <= now {
                return Err(Denial::Past { named: *until, now });
            }
            let longer = ledger.row(no).is_some_and(|row| *until > row.quarantine);
            longer.then_some(Event::Quarantined { agent: no, until: *until })
        }
        Command::Rehabilitate { agent, sigma } => Some(rehabilitate(ledger, agent, *sigma, now)?),
        Command::Earn { agent, amount, ceiling } => earn(ledger, agent, *amount, *ceiling, now)?,
        Command::Decay { agent, amount } => {
            let no = known(ledger, agent)?;
            // INVARIANT (L1): what is bonded does not decay.
            let amount = ledger.low(no, now).min(*amount);
            (amount > Sigma::ZERO).then_some(Event::Decayed { agent: no, amount, at: now })
        }
        Command::Settle => None,
    };
    // Whatever has come due takes effect first, in the record as it did in the answers.
    let elapsed = ledger.overdue(now).then_some(Event::Elapsed { at: now });
    let needed = event.as_ref().map_or(matches!(command, Command::Settle), takes_time);
    if needed && let Some(elapsed) = elapsed {
        events.reserve_exact(2);
        events.push(elapsed);
    }
    // Mostly this is all, so there is room for no more.
    if let Some(event) = event {
        events.reserve_exact(1);
        events.push(event);
    }
    Ok(())
}

/// Whether an event has a time, so that nothing may be due before it.
const fn takes_time(event: &Event) -> bool {
    matches!(
        event,
        Event::Vouched { .. }
            | Event::Released { .. }
            | Event::SessionReleased { .. }
            | Event::Slashed { .. }
            | Event::Earned { .. }
            | Event::Decayed { .. }
            | Event::Charged { .. }
            | Event::Dismissed { .. }
    )
}

/// A vouch that may be.
pub(crate) struct CheckedVouch {
    pub(crate) bond: BondNo,
    pub(crate) voucher: AgentNo,
    pub(crate) vouchee: AgentNo,
    pub(crate) amount: Sigma,
}

/// Checks an order to vouch; the cheap reasons to refuse it come first, the search for a cycle last.
pub(crate) fn check_vouch(
    ledger: &Ledger,
    order: &VouchOrder,
    now: Timestamp,
) -> Result<CheckedVouch, Denial> {
    let VouchOrder { voucher: agent, vouchee: other, .. } = order;
    if agent == other {
        return Err(Denial::SelfVouch { agent: agent.clone() });
    }
    let (voucher, vouchee) = (known(ledger, agent)?, known(ledger, other)?);
    for (agent, no) in [(agent, voucher), (other, vouchee)] {
        if let Some(by) = ledger.quarantine(no, now) {
            return Err(Denial::Quarantined { agent: agent.clone(), by });
        }
    }
    if let Some(named) = order.expires.filter(|&expires| expires <= now) {
        return Err(Denial::Past { named, now });
    }
    let (reputation, minimum) = (ledger.row_reputation(voucher), ledger.policy.minimum);
    if reputation < minimum {
        return Err(Denial::BelowMinimum { agent: agent.clone(), reputation, minimum });
    }
    let amount = match order.stake {
        Stake::Default => reputation.part(ledger.policy.default_stake),
        Stake::Share(share) => reputation.part(share),
        Stake::Amount(amount) => amount,
    };
    if amount == Sigma::ZERO {
        return Err(Denial::EmptyStake { agent: agent.clone(), reputation });
    }
    // INVARIANT (L2): over all sessions, from the ledger's own figures. INVARIANT (L9): of reputation alone.
    let (bonded, limit) = (ledger.bonded(voucher, now), ledger.policy.exposure_limit(reputation));
    let left = limit.saturating_sub(bonded);
    if amount > left {
        return Err(Denial::Exposure { agent: agent.clone(), asked: amount, left, bonded, limit });
    }
    let over = |bond: &BondRow| ledger.paid_back(bond, now);
    let over: Option<&dyn Fn(&BondRow) -> bool> = if ledger.overdue(now) { Some(&over) } else { None };
    if let Some(path) = ledger.books.cycle(voucher.0, vouchee.0, over) {
        return Err(cycle(ledger, &path));
    }
    let Some(bond) = ledger.bond_after_settling(now) else { return Err(Denial::Full { what: "bonds" }) };
    Ok(CheckedVouch { bond, voucher, vouchee, amount })
}

/// A denial for a path of agents that leads from the vouchee to the voucher.
pub(crate) fn cycle(ledger: &Ledger, path: &[u32]) -> Denial {
    let omitted = path.len().saturating_sub(CYCLE_NAMES_MAX);
    let (head, tail) = match omitted {
        0 => (path.len(), 0),
        _ => (CYCLE_NAMES_MAX / 2, CYCLE_NAMES_MAX / 2),
    };
    let shown = path.iter().take(head).chain(path.iter().skip(path.len() - tail));
    let path = shown.filter_map(|&agent| ledger.did(AgentNo(agent)).cloned()).collect();
    Denial::Cycle { path, omitted }
}

impl Ledger {
    /// The number that the next bond gets once everything that is due was paid back.
    fn bond_after_settling(&self, now: Timestamp) -> Option<BondNo> {
        let next = self.books.next_bond();
        if !self.overdue(now) {
            return next;
        }
        // A place that is paid back becomes free, and the lowest free one is used.
        let mut free: Vec<BondNo> = next.into_iter().collect();
        self.books.due(now, &mut |slot, bond| {
            if self.paid_back(bond, now) {
                free.extend(next_turn(bond.turn).map(|turn| BondNo { slot, turn }));
            }
        });
        free.into_iter().min()
    }
}

fn known(ledger: &Ledger, agent: &Did) -> Result<AgentNo, Denial> {
    ledger.agent(agent).ok_or_else(|| Denial::UnknownAgent { agent: agent.clone() })
}

fn endow(ledger: &Ledger, agent: &Did, sigma: Sigma, source: Source) -> Result<Option<Event>, Denial> {
    let sigma = match source {
        Source::Asserted | Source::Scored | Source::Attested => sigma,
        Source::Hint => sigma.min(ledger.policy.hint_cap),
        Source::Unknown => Sigma::ZERO,
    };
    let Some(no) = ledger.agent(agent) else {
        let Some(no) = ledger.books.next_agent() else { return Err(Denial::Full { what: "accounts" }) };
        return Ok(Some(Event::Opened { agent: no, did: agent.clone(), sigma, source }));
    };
    let nothing_known = ledger.row(no).is_some_and(|row| row.source == Source::Unknown && row.slashes == 0);
    let added = sigma.saturating_sub(ledger.row_reputation(no));
    let learned = nothing_known && source != Source::Unknown;
    Ok(learned.then_some(Event::Endowed { agent: no, added, source }))
}

pub(crate) fn check_offence_order(
    ledger: &Ledger,
    order: &SlashOrder,
    now: Timestamp,
) -> Result<Offence, Denial> {
    let agent = known(ledger, &order.agent)?;
    if order.fault.ppm() == 0 {
        return Err(Denial::NoFault { agent: order.agent.clone() });
    }
    if order.happened > now {
        return Err(Denial::Future { named: order.happened, now });
    }
    Ok(Offence {
        evidence: order.evidence,
        agent,
        session: order.session,
        fault: order.fault,
        class: order.class,
        risk: order.risk,
        happened: order.happened,
        reason: order.reason,
    })
}

fn slashed(ledger: &Ledger, offence: Offence, now: Timestamp) -> Event {
    let toll = crate::slash::toll(ledger, &offence, now);
    Event::Slashed { slashed: Box::new(Slashed { offence, at: now, toll }) }
}

fn rehabilitate(ledger: &Ledger, agent: &Did, sigma: Sigma, now: Timestamp) -> Result<Event, Denial> {
    let no = known(ledger, agent)?;
    let by = ledger.quarantine(no, now);
    if by == Some(Quarantine::Charged) {
        return Err(Denial::Quarantined { agent: agent.clone(), by: Quarantine::Charged });
    }
    let added = sigma.saturating_sub(ledger.row_reputation(no));
    if by.is_none() && added == Sigma::ZERO {
        return Err(Denial::NothingToRehabilitate { agent: agent.clone() });
    }
    Ok(Event::Rehabilitated { agent: no, added })
}

fn earn(
    ledger: &Ledger,
    agent: &Did,
    amount: Sigma,
    ceiling: Sigma,
    now: Timestamp,
) -> Result<Option<Event>, Denial> {
    let no = known(ledger, agent)?;
    if let Some(by) = ledger.quarantine(no, now) {
        return Err(Denial::Quarantined { agent: agent.clone(), by });
    }
    let below = ceiling.saturating_sub(ledger.row_reputation(no));
    let amount = amount.min(below).min(ledger.gain_left(no, now));
    Ok((amount > Sigma::ZERO).then_some(Event::Earned { agent: no, amount, at: now }))
}

impl Ledger {
    /// What an agent may still earn on the day of a time.
    pub(crate) fn gain_left(&self, agent: AgentNo, at: Timestamp) -> Sigma {
        let gained = self.row(agent).filter(|row| row.gain_day == Day::of(at)).map_or(0, |row| row.gained);
        self.policy.gain_per_day.saturating_sub(ppm(gained))
    }
}

/// Whether evidence was used, or is under a charge.
pub(crate) fn is_used(ledger: &Ledger, evidence: &Digest) -> bool {
    ledger.verdicts.contains_key(evidence) || ledger.cases.contains_key(evidence)
}
