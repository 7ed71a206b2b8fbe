//! A ledger as a list of events, and back.

use crate::apply::{ONE_ACCOUNT, check, open_case};
use crate::books::{BondRow, Day, Fit, NIL};
use crate::ledger::{Stage, ppm};
use crate::{
    AccountKept, AgentNo, BondKept, BondNo, BondState, Event, Ledger, SessionNo, Source, Totals, Verdict,
};
use hv_types::{Illegal, Sigma, Timestamp};

/// The rows of a ledger in an order that depends on nothing but what they say.
pub(crate) fn compact(ledger: &Ledger) -> Vec<Event> {
    if ledger.stage == Stage::New {
        return Vec::new();
    }
    let begin =
        Event::Restoring { policy: Box::new(ledger.policy), clock: ledger.clock, totals: ledger.totals };
    let accounts = (0u32..).zip(ledger.books.accounts()).map(|(agent, row)| Event::AccountKept {
        account: Box::new(AccountKept {
            agent: AgentNo(agent),
            did: row.did.clone(),
            source: row.source,
            reputation: ppm(row.reputation),
            quarantine: row.quarantine,
            slashes: row.slashes,
            gain_day: row.gain_day.number(),
            gained: ppm(row.gained),
        }),
    });
    let verdicts = ledger.verdicts.iter();
    let verdicts = verdicts.map(|(&evidence, &verdict)| Event::VerdictKept { evidence, verdict });
    let cases = ledger.cases.values().map(|case| Event::CaseKept { case: Box::new(case.clone()) });
    let bonds = (0u32..).zip(ledger.books.bonds()).map(|(slot, row)| {
        let no = BondNo { slot, turn: row.turn };
        let kept = ledger.books.bond(slot).and_then(|row| {
            let backing = ledger.books.backing(row.backing)?;
            Some(BondKept {
                bond: no,
                session: backing.session,
                voucher: AgentNo(row.voucher),
                vouchee: AgentNo(backing.vouchee),
                initial: ppm(row.initial),
                remaining: ppm(row.remaining),
                since: row.since,
                released: (row.state() == BondState::Unbonding).then_some(row.released),
                ends: row.ends,
            })
        });
        match kept {
            Some(bond) => Event::BondKept { bond: Box::new(bond) },
            None => Event::SlotKept { bond: no },
        }
    });
    let rows = accounts.chain(verdicts).chain(cases).chain(bonds);
    [begin].into_iter().chain(rows).chain([Event::Restored {}]).collect()
}

/// Whether an event belongs to a snapshot.
pub(crate) const fn is_row(event: &Event) -> bool {
    matches!(
        event,
        Event::Restoring { .. }
            | Event::AccountKept { .. }
            | Event::BondKept { .. }
            | Event::SlotKept { .. }
            | Event::VerdictKept { .. }
            | Event::CaseKept { .. }
            | Event::Restored {}
    )
}

/// Takes one event of a snapshot in.
pub(crate) fn restore(ledger: &mut Ledger, event: &Event) -> Result<(), Illegal> {
    match event {
        Event::Restoring { policy, clock, totals } if ledger.stage == Stage::New => {
            check(policy.check().is_ok(), "a policy is fit to hold somebody liable")?;
            (ledger.policy, ledger.clock, ledger.totals) = (**policy, *clock, *totals);
            ledger.stage = Stage::Restoring;
            Ok(())
        }
        Event::AccountKept { account } => keep_account(ledger, account),
        Event::VerdictKept { evidence, verdict } => {
            let verdict: Verdict = *verdict;
            check(!crate::decide::is_used(ledger, evidence), "evidence is used once")?;
            ledger.verdicts.insert(*evidence, verdict);
            Ok(())
        }
        Event::CaseKept { case } => {
            check(!crate::decide::is_used(ledger, &case.offence.evidence), "evidence is used once")?;
            open_case(ledger, (**case).clone())
        }
        Event::BondKept { bond } => keep_bond(ledger, bond),
        Event::SlotKept { bond } => {
            let BondNo { slot, turn } = *bond;
            check(slot as usize == ledger.books.bonds().len(), "places are numbered in order")?;
            ledger.books.add_free_slot(turn).ok_or(Illegal::new("places can be numbered"))
        }
        Event::Restored {} => {
            check(adds_up(ledger), "a snapshot adds up")?;
            ledger.stage = Stage::Running;
            Ok(())
        }
        _ => Err(Illegal::new("a snapshot begins once")),
    }
}

fn keep_account(ledger: &mut Ledger, account: &AccountKept) -> Result<(), Illegal> {
    check(ledger.books.next_agent() == Some(account.agent), "agents are numbered in order")?;
    let source: Source = account.source;
    ledger.books.open(account.did.clone(), source, account.reputation).ok_or(ONE_ACCOUNT)?;
    if let Some(row) = ledger.books.account_mut(account.agent.0) {
        row.quarantine = account.quarantine;
        row.slashes = account.slashes;
        (row.gain_day, row.gained) = (Day::from_number(account.gain_day.into()), account.gained.ppm());
    }
    Ok(())
}

fn keep_bond(ledger: &mut Ledger, bond: &BondKept) -> Result<(), Illegal> {
    let BondNo { slot, turn } = bond.bond;
    let known = ledger.row(bond.voucher).is_some() && ledger.row(bond.vouchee).is_some();
    check(known && bond.voucher != bond.vouchee, "a bond is between two known agents")?;
    let amounts = Sigma::ZERO < bond.remaining && bond.remaining <= bond.initial;
    check(amounts && turn != NIL, "a bond that is kept has something left")?;
    check(slot as usize == ledger.books.bonds().len(), "places are numbered in order")?;
    let session: SessionNo = bond.session;
    let held = bond.released.is_some() && ledger.held.contains_key(&session);
    let stopped = bond.released.is_none_or(|released| released <= ledger.clock);
    let on_time = bond.since <= ledger.clock && stopped && (bond.ends > ledger.clock || held);
    check(on_time, "a bond that is kept is not over")?;
    let fit = ledger.books.fit(bond.voucher.0, bond.vouchee.0);
    check(!matches!(fit, Fit::Cycle(_)), "nobody answers for itself through others")?;
    let mut row = BondRow::new(bond.initial.ppm(), bond.since, bond.ends);
    row.remaining = bond.remaining.ppm();
    row.released = bond.released.unwrap_or(Timestamp::MAX);
    let kept = ledger.books.keep(turn, (bond.voucher.0, bond.vouchee.0), session, &row, &fit);
    kept.ok_or(Illegal::new("what is bonded can be counted"))?;
    if bond.ends <= ledger.clock {
        ledger.books.hold(slot);
    }
    Ok(())
}

/// Whether the rows of a snapshot agree with its totals and with each other.
fn adds_up(ledger: &Ledger) -> bool {
    let Totals { endowed, earned, decayed, burned } = ledger.totals;
    let reputations: u64 = ledger.books.accounts().iter().map(|row| u64::from(row.reputation)).sum();
    let given = endowed.checked_add(earned);
    let taken = reputations.checked_add(decayed).and_then(|sum| sum.checked_add(burned));
    // INVARIANT (L4), INVARIANT (L1)
    given.is_some()
        && given == taken
        && ledger.books.accounts().iter().all(|row| row.bonded <= row.reputation)
        && ledger.clock < Timestamp::MAX
}
