//! What each event changes, and what makes it one that no honest run could have written.
//!
//! Everything is checked before anything changes, by the same functions that decided: a record whose figures
//! do not follow from what is recorded before it is refused.

use crate::books::{BondRow, Day, Fit};
use crate::decide::is_used;
use crate::ledger::{Stage, ppm};
use crate::{
    AgentNo, BondNo, BondState, Case, Event, Ledger, Offence, SessionNo, Slashed, Source, Standing, Verdict,
};
use core::time::Duration;
use hv_types::{Did, Digest, Illegal, Sigma, Timestamp};

type Applied = Result<(), Illegal>;

pub(crate) fn apply(ledger: &mut Ledger, event: &Event) -> Applied {
    let part_of_snapshot = crate::snapshot::is_row(event);
    match (ledger.stage, part_of_snapshot) {
        (Stage::Restoring, true) => return crate::snapshot::restore(ledger, event),
        (Stage::New, _) if matches!(event, Event::Restoring { .. }) => {
            return crate::snapshot::restore(ledger, event);
        }
        (Stage::New | Stage::Running, false) => {}
        (Stage::Restoring, false) => return illegal("a snapshot is whole before anything follows it"),
        (_, true) => return illegal("a snapshot stands at the beginning"),
    }
    match event {
        Event::Configured { policy } => {
            check(policy.check().is_ok(), "a policy is fit to hold somebody liable")?;
            let binds = ledger.bond_count() > 0 || !ledger.cases.is_empty();
            check(**policy != ledger.policy, "a policy is set where it changes")?;
            check(!binds, "a policy does not change while it binds somebody")?;
            ledger.policy = **policy;
        }
        Event::Opened { agent, did, sigma, source } => open(ledger, *agent, did, *sigma, *source)?,
        Event::Endowed { agent, added, source } => {
            let row = ledger.row(*agent);
            let fits = row.is_some_and(|row| row.source == Source::Unknown && row.slashes == 0);
            check(fits && *source != Source::Unknown, "only an agent of which nothing was known is endowed")?;
            add(ledger, *agent, *added, |totals| &mut totals.endowed)?;
            if let Some(row) = ledger.books.account_mut(agent.0) {
                row.source = *source;
            }
        }
        Event::Vouched { bond, session, voucher, vouchee, amount, at, expires } => {
            vouched(ledger, *bond, *session, (*voucher, *vouchee), *amount, (*at, *expires))?;
        }
        Event::Released { bond, at } => {
            check_time(ledger, *at)?;
            let active = ledger.books.bond_no(*bond).is_some_and(|bond| bond.state() == BondState::Active);
            check(active, "only an active bond is released")?;
            ledger.books.unbond(bond.slot, *at, at.after(ledger.policy.unbonding));
            ledger.clock = *at;
        }
        Event::SessionReleased { session, at } => {
            check_time(ledger, *at)?;
            let active =
                |slot: &u32| ledger.books.bond(*slot).is_some_and(|bond| bond.state() == BondState::Active);
            let slots: Vec<u32> = ledger.books.in_session(*session).filter(active).collect();
            check(!slots.is_empty(), "a session whose bonds are released has some")?;
            let ends = at.after(ledger.policy.unbonding);
            slots.into_iter().for_each(|slot| ledger.books.unbond(slot, *at, ends));
            ledger.clock = *at;
        }
        Event::Slashed { slashed } => slash(ledger, slashed)?,
        Event::Elapsed { at } => elapse(ledger, *at)?,
        Event::Earned { agent, amount, at } => {
            check_time(ledger, *at)?;
            check(ledger.quarantine(*agent, *at).is_none(), "a quarantined agent earns nothing")?;
            check(*amount > Sigma::ZERO, "a gain is something")?;
            check(*amount <= ledger.gain_left(*agent, *at), "gains stay within the limit of their day")?;
            add(ledger, *agent, *amount, |totals| &mut totals.earned)?;
            if let Some(row) = ledger.books.account_mut(agent.0) {
                let today = if row.gain_day == Day::of(*at) { row.gained } else { 0 };
                (row.gain_day, row.gained) = (Day::of(*at), today + amount.ppm());
            }
            ledger.clock = *at;
        }
        Event::Decayed { agent, amount, at } => {
            check_time(ledger, *at)?;
            check(*amount > Sigma::ZERO, "a decay is something")?;
            // INVARIANT (L1)
            check(*amount <= ledger.low(*agent, *at), "nothing that is bonded decays")?;
            let row = ledger.books.account_mut(agent.0).ok_or(NO_ACCOUNT)?;
            row.reputation -= amount.ppm();
            ledger.totals.decayed += u64::from(amount.ppm());
            ledger.clock = *at;
        }
        Event::Quarantined { agent, until } => {
            let row = ledger.books.account_mut(agent.0).ok_or(NO_ACCOUNT)?;
            check(*until > row.quarantine, "a quarantine does not shorten another")?;
            row.quarantine = *until;
        }
        Event::Rehabilitated { agent, added } => {
            let row = ledger.row(*agent).ok_or(NO_ACCOUNT)?;
            let lacks = row.quarantine > Timestamp(0) || *added > Sigma::ZERO;
            let charged = row.cases > 0 && row.quarantine < Timestamp::MAX;
            check(lacks && !charged, "an agent is rehabilitated from something, and not from a charge")?;
            add(ledger, *agent, *added, |totals| &mut totals.endowed)?;
            if let Some(row) = ledger.books.account_mut(agent.0) {
                row.quarantine = Timestamp(0);
            }
        }
        Event::Charged { offence, at, until } => {
            check_time(ledger, *at)?;
            check_offence(ledger, offence, *at)?;
            check(!is_used(ledger, &offence.evidence), "evidence is used once")?;
            check(*until == at.after(ledger.policy.grace), "a charge waits for the grace period")?;
            let case = Case { offence: (**offence).clone(), until: *until, standing: Standing::Uncontested };
            open_case(ledger, case)?;
            ledger.clock = *at;
        }
        Event::Disputed { evidence } => {
            let case = ledger.cases.get_mut(evidence).ok_or(NO_CASE)?;
            check(case.standing == Standing::Uncontested, "a charge is disputed once")?;
            case.standing = Standing::Disputed;
            ledger.docket.remove(&(case.until, *evidence));
        }
        Event::Dismissed { evidence, at } => {
            check_time(ledger, *at)?;
            let case = ledger.cases.remove(evidence).ok_or(NO_CASE)?;
            ledger.verdicts.insert(*evidence, Verdict::Dismissed);
            close_case(ledger, &case, *at);
            ledger.clock = *at;
        }
        Event::Restoring { .. }
        | Event::AccountKept { .. }
        | Event::BondKept { .. }
        | Event::SlotKept { .. }
        | Event::VerdictKept { .. }
        | Event::CaseKept { .. }
        | Event::Restored {} => {}
    }
    ledger.stage = Stage::Running;
    Ok(())
}

const NO_ACCOUNT: Illegal = Illegal::new("only known agents have accounts");
pub(crate) const ONE_ACCOUNT: Illegal = Illegal::new("an agent has one account");
const NO_CASE: Illegal = Illegal::new("only an open charge is decided");

const fn illegal(rule: &'static str) -> Applied {
    Err(Illegal::new(rule))
}

pub(crate) const fn check(holds: bool, rule: &'static str) -> Applied {
    if holds { Ok(()) } else { illegal(rule) }
}

/// Time does not run backwards, and what was due took effect first.
fn check_time(ledger: &Ledger, at: Timestamp) -> Applied {
    check(at >= ledger.clock, "time does not run backwards")?;
    check(!ledger.overdue(at), "what is due takes effect before anything else happens")
}

fn check_offence(ledger: &Ledger, offence: &Offence, at: Timestamp) -> Applied {
    check(ledger.row(offence.agent).is_some(), "only known agents are slashed")?;
    check(offence.fault.ppm() > 0, "only an agent at fault is slashed")?;
    check(offence.happened <= at, "a violation happens before it is punished")
}

pub(crate) fn open(ledger: &mut Ledger, agent: AgentNo, did: &Did, sigma: Sigma, source: Source) -> Applied {
    check(ledger.books.next_agent() == Some(agent), "agents are numbered in order")?;
    let most = match source {
        Source::Asserted | Source::Scored | Source::Attested => Sigma::ONE,
        Source::Hint => ledger.policy.hint_cap,
        Source::Unknown => Sigma::ZERO,
    };
    check(sigma <= most, "a source endows no more than it may")?;
    ledger.books.open(did.clone(), source, sigma).ok_or(ONE_ACCOUNT)?;
    ledger.totals.endowed += u64::from(sigma.ppm());
    Ok(())
}

/// Adds to a reputation and to one of the totals. `INVARIANT (L4)`
fn add(
    ledger: &mut Ledger,
    agent: AgentNo,
    amount: Sigma,
    total: fn(&mut crate::Totals) -> &mut u64,
) -> Applied {
    let row = ledger.books.account_mut(agent.0).ok_or(NO_ACCOUNT)?;
    let sum = ppm(row.reputation).checked_add(amount);
    let sum = sum.ok_or(Illegal::new("no reputation exceeds 1"))?;
    row.reputation = sum.ppm();
    *total(&mut ledger.totals) += u64::from(amount.ppm());
    Ok(())
}

fn vouched(
    ledger: &mut Ledger,
    bond: BondNo,
    session: SessionNo,
    (voucher, vouchee): (AgentNo, AgentNo),
    amount: Sigma,
    (at, expires): (Timestamp, Option<Timestamp>),
) -> Applied {
    check_time(ledger, at)?;
    check(voucher != vouchee, "nobody vouches for itself")?;
    for agent in [voucher, vouchee] {
        check(ledger.row(agent).is_some(), "only known agents vouch")?;
        check(ledger.quarantine(agent, at).is_none(), "a quarantined agent takes no part in a vouch")?;
    }
    check(expires.is_none_or(|expires| expires > at), "a bond lasts")?;
    let reputation = ledger.row_reputation(voucher);
    check(reputation >= ledger.policy.minimum, "vouching takes the least reputation")?;
    // INVARIANT (L2)
    let left = ledger.policy.exposure_limit(reputation).saturating_sub(ledger.bonded(voucher, at));
    check(amount > Sigma::ZERO && amount <= left, "a bond is within the exposure limit")?;
    check(ledger.books.next_bond() == Some(bond), "a bond gets the next number")?;
    // INVARIANT (L10)
    let fit = ledger.books.fit(voucher.0, vouchee.0);
    check(!matches!(fit, Fit::Cycle(_)), "nobody answers for itself through others")?;
    let ends = expires.unwrap_or(Timestamp::MAX);
    let row = BondRow::new(amount.ppm(), at, ends);
    ledger.books.lock((voucher.0, vouchee.0), session, &row, &fit).ok_or(NO_ACCOUNT)?;
    ledger.clock = at;
    Ok(())
}

fn slash(ledger: &mut Ledger, slashed: &Slashed) -> Applied {
    let Slashed { offence, at, toll } = slashed;
    check_time(ledger, *at)?;
    check_offence(ledger, offence, *at)?;
    // INVARIANT (L12)
    check(!ledger.verdicts.contains_key(&offence.evidence), "evidence is used once")?;
    if let Some(case) = ledger.cases.get(&offence.evidence) {
        check(case.offence == *offence, "a charge is carried out as it was brought")?;
        let ripe = case.standing == Standing::Disputed || *at >= case.until;
        check(ripe, "a charge is carried out after the grace period or by a ruling")?;
    }
    check(crate::slash::toll(ledger, offence, *at) == *toll, "a slash costs what follows from the ledger")?;
    crate::slash::collect(ledger, offence, toll, *at);
    ledger.verdicts.insert(offence.evidence, Verdict::Slashed);
    if let Some(case) = ledger.cases.remove(&offence.evidence) {
        close_case(ledger, &case, *at);
    }
    ledger.clock = *at;
    Ok(())
}

/// Lets everything take effect that is due, each at its own time: however often time is told to pass, the
/// outcome is the same. `INVARIANT (L13)`
fn elapse(ledger: &mut Ledger, at: Timestamp) -> Applied {
    check(at >= ledger.clock, "time does not run backwards")?;
    check(ledger.overdue(at), "time passes where something is due")?;
    while let Some((due, slot)) = ledger.books.next_due().filter(|&(due, _)| due <= at) {
        let Some(bond) = ledger.books.bond(slot) else { break };
        match bond.state() {
            BondState::Active => ledger.books.unbond(slot, due, due.after(ledger.policy.unbonding)),
            BondState::Unbonding if ledger.is_held(bond) => ledger.books.hold(slot),
            BondState::Unbonding => ledger.books.pay_back(slot),
        }
    }
    ledger.clock = at;
    Ok(())
}

pub(crate) fn open_case(ledger: &mut Ledger, case: Case) -> Applied {
    let row = ledger.books.account_mut(case.offence.agent.0).ok_or(NO_ACCOUNT)?;
    row.cases = row.cases.checked_add(1).ok_or(Illegal::new("charges can be counted"))?;
    if let Some(session) = case.offence.session {
        *ledger.held.entry(session).or_default() += 1;
    }
    let evidence: Digest = case.offence.evidence;
    if case.standing == Standing::Uncontested {
        ledger.docket.insert((case.until, evidence));
    }
    ledger.cases.insert(evidence, case);
    Ok(())
}

/// Lifts what a case held up: the agent's quarantine, and the bonds of the session.
fn close_case(ledger: &mut Ledger, Case { offence, until, .. }: &Case, at: Timestamp) {
    ledger.docket.remove(&(*until, offence.evidence));
    if let Some(row) = ledger.books.account_mut(offence.agent.0) {
        row.cases = row.cases.saturating_sub(1);
    }
    if let Some(session) = offence.session
        && let Some(count) = ledger.held.get_mut(&session)
    {
        *count -= 1;
        if *count == 0 {
            ledger.held.remove(&session);
            // INVARIANT (L7): not in the moment of the slash itself.
            ledger.books.unhold(session, at.after(Duration::from_nanos(1)));
        }
    }
}
