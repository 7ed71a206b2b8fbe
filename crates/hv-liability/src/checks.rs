//! The invariants of a ledger as checks that anybody can run: on a ledger as it is, and on what a slash did.
//!
//! Everything here is computed anew from the lists of bonds, not from the running figures that the ledger
//! decides by.

use crate::{Bond, BondState, Cause, Event, Ledger, SessionNo, SlashRule, Slashed};
use core::fmt;
use hv_types::{Did, Machine, Reversibility, Sigma, Timestamp, WHOLE};
use std::collections::{BTreeMap, BTreeSet};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The invariant's name, such as `L4`.
    pub invariant: &'static str,
    /// What it says.
    pub says: &'static str,
    /// The agent for which it does not hold, if it is about one.
    pub agent: Option<Did>,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not hold: {}", self.invariant, self.says)?;
        self.agent.as_ref().map_or(Ok(()), |agent| write!(f, " ({agent})"))
    }
}

impl core::error::Error for Breach {}

const CLASSES: [Reversibility; 3] = [Reversibility::Full, Reversibility::Partial, Reversibility::None];

/// Checks what must hold of a ledger at any time: L1, L3, L4, L8, L9, L10, L14. Costs the ledger.
///
/// ```
/// use hv_liability::{Ledger, checks};
/// use hv_types::Timestamp;
///
/// checks::ledger(&Ledger::default(), Timestamp(0))?;
/// # Ok::<(), checks::Breach>(())
/// ```
///
/// # Errors
/// The first [`Breach`].
pub fn ledger(ledger: &Ledger, now: Timestamp) -> Result<(), Breach> {
    let matrix = ledger.matrix(now);
    let bonds = matrix.bonds();
    let sessions: BTreeSet<SessionNo> = bonds.iter().map(|bond| bond.session).collect();
    let mut bonded: BTreeMap<u32, u64> = BTreeMap::new();
    let mut received: BTreeMap<(u32, SessionNo), u64> = BTreeMap::new();
    for bond in &bonds {
        let Bond { initial, remaining, .. } = *bond;
        hold(Sigma::ZERO < remaining && remaining <= initial, "L3", "a bond has something left", None)?;
        *bonded.entry(bond.voucher.0).or_default() += u64::from(remaining.ppm());
        if bond.state == BondState::Active {
            *received.entry((bond.vouchee.0, bond.session)).or_default() += u64::from(remaining.ppm());
        }
    }
    hold(matrix.cycles().is_empty(), "L10", "nobody answers for itself through others", None)?;

    let mut reputations = 0;
    let mut standing: BTreeMap<(SessionNo, Reversibility), u64> = BTreeMap::new();
    for did in ledger.agents() {
        let agent = || Some(did);
        let Some(account) = ledger.account(did, now) else { continue };
        let (reputation, low) = (account.reputation, ledger.sigma_low(did, now));
        reputations += u64::from(reputation.ppm());
        let locked = bonded.get(&account.agent.0).copied().unwrap_or(0);
        hold(account.bonded <= reputation, "L1", "nobody has more bonded than its reputation", agent())?;
        hold(
            u64::from(account.bonded.ppm()) == locked,
            "L1",
            "what is bonded is the sum of the bonds",
            agent(),
        )?;
        hold(
            low.ppm() + account.bonded.ppm() == reputation.ppm(),
            "L9",
            "what is bonded is not there",
            agent(),
        )?;
        let limit = ledger.policy().exposure_limit(reputation);
        let capacity = limit.saturating_sub(account.bonded);
        hold(ledger.capacity(did, now) == capacity, "L9", "capacity comes of reputation alone", agent())?;
        for &session in &sessions {
            let sum = received.get(&(account.agent.0, session)).copied().unwrap_or(0);
            hold(ledger.backing(did, session, now) == sum, "L3", "backing is the sum of the bonds", agent())?;
            for class in CLASSES {
                let sigma = ledger.sigma_eff(did, session, class, now);
                let quarantined = account.quarantine.is_some();
                hold(!quarantined || sigma == Sigma::ZERO, "L14", "quarantine takes all trust", agent())?;
                *standing.entry((session, class)).or_default() += u64::from(sigma.ppm());
            }
        }
    }
    let totals = ledger.totals();
    let sum = (totals.endowed + totals.earned).checked_sub(totals.decayed + totals.burned);
    hold(sum == Some(reputations), "L4", "reputation is what was given less what was taken", None)?;
    let clip = matches!(ledger.policy().rule, SlashRule::Clip { .. });
    let created = standing.values().any(|&sum| sum > reputations);
    hold(clip || !created, "L8", "no vouching creates trust", None)
}

/// Checks what a slash did: L5, L6, L7, L11, L12, L14. Costs the ledger.
///
/// `before` is the ledger in which the slash was decided, `after` the one in which it took effect. L5 to L7
/// are not asked of [`SlashRule::Clip`].
///
/// # Errors
/// The first [`Breach`].
pub fn slash(before: &Ledger, after: &Ledger, slashed: &Slashed) -> Result<(), Breach> {
    let Slashed { offence, at, toll } = slashed;
    let now = *at;
    let did = |agent| before.did(agent);
    let again = after.clone().apply(&Event::Slashed { slashed: Box::new(slashed.clone()) });
    hold(again.is_err(), "L12", "evidence is used once", did(offence.agent))?;
    hold(after.verdict(&offence.evidence).is_some(), "L12", "evidence that was used is known", None)?;
    let offender = did(offence.agent);
    let quarantined = offender.is_some_and(|did| after.quarantined(did, now).is_some());
    hold(quarantined, "L14", "a slash quarantines", offender)?;
    let deep = |cause: Cause| matches!(cause, Cause::Backed { depth } if depth > crate::CASCADE_DEPTH);
    hold(!toll.cuts.iter().any(|cut| deep(cut.cause)), "L11", "a cascade has two levels", None)?;
    if matches!(before.policy().rule, SlashRule::Clip { .. }) {
        return Ok(());
    }
    for loss in toll.losses.iter().filter(|loss| loss.agent != offence.agent) {
        let burned = toll.cuts.iter().filter(|cut| cut.voucher == loss.agent);
        let burned: u64 = burned.map(|cut| u64::from(cut.burned.ppm())).sum();
        let loses = u64::from(loss.amount.ppm());
        hold(loses <= burned, "L5", "a voucher loses at most its bonds", did(loss.agent))?;
    }
    if let Some(class) = offence.class {
        let omega = u64::from(before.policy().omega(class).ppm());
        for cut in &toll.cuts {
            let was = before.bond(cut.bond, now).filter(|bond| bond.state == BondState::Active);
            let Some(was) = was.filter(|_| cut.cause == (Cause::Backed { depth: 0 })) else { continue };
            let lift = u64::from(was.remaining.ppm()) * omega / u64::from(WHOLE);
            let covered = u64::from(cut.burned.ppm()) >= lift;
            hold(covered, "L6", "a bond loses at least the lift it gave", did(cut.voucher))?;
        }
    }
    let sessions: BTreeSet<SessionNo> = before.matrix(now).bonds().iter().map(|bond| bond.session).collect();
    for did in before.agents() {
        let low = after.sigma_low(did, now) <= before.sigma_low(did, now);
        let offended = Some(did) == offender;
        hold(low || offended, "L7", "a slash raises nobody", Some(did))?;
        for &session in &sessions {
            for class in CLASSES {
                let (was, is) =
                    (before.sigma_eff(did, session, class, now), after.sigma_eff(did, session, class, now));
                hold(is <= was, "L7", "a slash raises nobody", Some(did))?;
            }
        }
    }
    Ok(())
}

fn hold(holds: bool, invariant: &'static str, says: &'static str, agent: Option<&Did>) -> Result<(), Breach> {
    if holds { Ok(()) } else { Err(Breach { invariant, says, agent: agent.cloned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::{BondRow, Fit};
    use crate::{Command, Cut, SlashOrder, SlashReason, Source, Stake, VouchOrder};
    use hv_types::{Digest, Share};

    const NOW: Timestamp = Timestamp(1);

    fn did(name: &str) -> Did {
        Did::new(&format!("did:mesh:{name}")).unwrap()
    }

    fn give(ledger: &mut Ledger, command: &Command) -> Vec<Event> {
        let events = ledger.decide(command, NOW).unwrap();
        events.iter().for_each(|event| ledger.apply(event).unwrap());
        events
    }

    /// Ada vouches for Bob and for Cy, in one session.
    fn sound() -> Ledger {
        let mut ledger = Ledger::default();
        for name in ["ada", "bob", "cy"] {
            let (agent, sigma) = (did(name), Sigma::capped(800_000));
            give(&mut ledger, &Command::Endow { agent, sigma, source: Source::Scored });
        }
        for name in ["bob", "cy"] {
            let (voucher, vouchee, stake) = (did("ada"), did(name), Stake::Default);
            let order = VouchOrder { session: SessionNo(0), voucher, vouchee, stake, expires: None };
            give(&mut ledger, &Command::Vouch(order));
        }
        ledger
    }

    fn slashed() -> (Ledger, Ledger, Slashed) {
        slashed_in(sound())
    }

    /// Bob is slashed.
    fn slashed_in(before: Ledger) -> (Ledger, Ledger, Slashed) {
        let mut after = before.clone();
        let order = SlashOrder {
            evidence: Digest([1; 32]),
            agent: did("bob"),
            session: Some(SessionNo(0)),
            fault: Share::ONE,
            class: Some(Reversibility::Full),
            risk: None,
            happened: NOW,
            reason: SlashReason::Violation,
        };
        let events = give(&mut after, &Command::Slash(order));
        let [Event::Slashed { slashed }] = events.as_slice() else { panic!("{events:?}") };
        (before, after, (**slashed).clone())
    }

    #[test]
    fn each_breach_of_a_ledger_is_named() {
        assert_eq!(ledger(&sound(), NOW), Ok(()));
        let breach = |invariant: &str, change: &dyn Fn(&mut Ledger)| {
            let mut broken = sound();
            change(&mut broken);
            assert_eq!(ledger(&broken, NOW).map_err(|breach| breach.invariant), Err(invariant));
        };
        breach("L1", &|ledger| ledger.books.account_mut(0).unwrap().reputation = 319_999);
        breach("L1", &|ledger| ledger.books.account_mut(0).unwrap().bonded -= 1);
        breach("L1", &|ledger| ledger.books.account_mut(1).unwrap().bonded += 1);
        breach("L4", &|ledger| ledger.books.account_mut(1).unwrap().reputation += 1);
        breach("L4", &|ledger| ledger.totals.endowed += 1);
        breach("L4", &|ledger| ledger.totals.earned += 1);
        breach("L4", &|ledger| ledger.totals.decayed += 1);
        breach("L4", &|ledger| ledger.totals.burned += 1);
        breach("L4", &|ledger| ledger.totals.burned = u64::MAX / 2);
        breach("L10", &|ledger| {
            let row = BondRow::new(1, NOW, Timestamp::MAX);
            ledger.books.lock((2, 0), SessionNo(0), &row, &Fit::Agrees).unwrap();
        });
        breach("L3", &|ledger| {
            let row = BondRow::new(0, NOW, Timestamp::MAX);
            ledger.books.lock((1, 2), SessionNo(0), &row, &Fit::Agrees).unwrap();
        });
        // The two sides of an unexpected lift: a sum that no bonds make, and a weight above 1 in effect.
        breach("L3", &|ledger| ledger.books.misstate_backing(1, SessionNo(0), 1_000));
    }

    /// Lent at its whole weight, trust is what it was, and that is no breach.
    #[test]
    fn l8_trust_that_only_moves_is_none_created() {
        let mut whole = sound();
        whole.policy.weights.full = Share::ONE;
        let standing = |name| u64::from(whole.standing_sigma(&did(name), SessionNo(0), NOW).ppm());
        assert_eq!(["ada", "bob", "cy"].map(standing).iter().sum::<u64>(), 3 * 800_000);
        assert_eq!(ledger(&whole, NOW), Ok(()));
    }

    #[test]
    fn each_breach_of_a_slash_is_named() {
        let (before, after, sound) = slashed();
        assert_eq!(slash(&before, &after, &sound), Ok(()));
        let breach = |invariant: &str, change: &dyn Fn(&mut Ledger, &mut Slashed)| {
            let (mut after, mut slashed) = (after.clone(), sound.clone());
            change(&mut after, &mut slashed);
            let answer = slash(&before, &after, &slashed);
            assert_eq!(answer.map_err(|breach| breach.invariant), Err(invariant));
        };
        breach("L5", &|_, slashed| slashed.toll.losses[0].amount = Sigma::capped(128_001));
        breach("L6", &|_, slashed| {
            slashed.toll.cuts[0].burned = Sigma::capped(127_999);
            slashed.toll.losses[0].amount = Sigma::capped(127_999);
        });
        breach("L7", &|after, _| after.books.account_mut(0).unwrap().bonded -= 1);
        breach("L7", &|after, _| after.books.account_mut(2).unwrap().reputation += 1);
        breach("L7", &|after, _| after.books.misstate_backing(2, SessionNo(0), 1_000));
        breach("L11", &|_, slashed| {
            let cut = slashed.toll.cuts[0];
            slashed.toll.cuts.push(Cut { cause: Cause::Backed { depth: 3 }, ..cut });
        });
        breach("L12", &|after, _| after.verdicts.clear());
        breach("L14", &|after, _| after.books.account_mut(1).unwrap().quarantine = Timestamp(0));
        // Where nobody vouched for anybody, there is no session to look into.
        let mut alone = Ledger::default();
        for name in ["ada", "bob"] {
            let (agent, sigma) = (did(name), Sigma::capped(800_000));
            give(&mut alone, &Command::Endow { agent, sigma, source: Source::Scored });
        }
        let (before_alone, mut after_alone, of_bob) = slashed_in(alone);
        after_alone.books.account_mut(0).unwrap().reputation += 1;
        let answer = slash(&before_alone, &after_alone, &of_bob);
        assert_eq!(answer.map_err(|breach| breach.invariant), Err("L7"));
        // A loss that the bonds cover, however it is spread over them, is no breach.
        let mut spread = sound.clone();
        spread.toll.cuts[0].burned = Sigma::capped(130_000);
        assert_eq!(slash(&before, &after, &spread), Ok(()));
    }
}
