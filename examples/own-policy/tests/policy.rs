//! Shows that the rules of this house keep what hv promises, and that the checks would tell if they did not.

use hv_liability::{Command, Event, Ledger, SessionNo, Source, Stake, VouchOrder, VouchPolicy, Weights};
use hv_liability::{checks, strategies as ledgers};
use hv_rings::properties::{Evidence, Policy, check, r2_thresholds};
use hv_rings::{ActionDescriptor, Call, Ring, Sigma, strategies as calls};
use hv_types::strategies::{action, ring, sigma};
use hv_types::{Did, Machine, Reversibility, Share, Timestamp};
use own_policy::{House, vouching};
use proptest::prelude::*;

/// The house as the checks of rings want to see it.
struct Checked;

impl Policy for Checked {
    fn standard_above(&self) -> Sigma {
        House::STANDARD_ABOVE
    }

    fn earned(&self, sigma: Sigma) -> Ring {
        House.earns(sigma)
    }

    fn required(&self, action: &ActionDescriptor) -> Ring {
        House.needs(action)
    }

    fn allows(&self, need: Ring, sigma: Sigma, cap: Ring, call: &Call, evidence: &Evidence) -> bool {
        House.decide(need, sigma, cap, call, evidence).is_ok()
    }
}

/// R1 to R3: all of them, in one line.
#[test]
fn the_rings_of_this_house_keep_every_invariant() {
    check(&Checked, 2_000).unwrap();
}

/// The mistake that is made most easily: one place says 0.70, the other still 0.60.
#[test]
fn a_threshold_that_is_raised_in_one_place_only_is_found() {
    struct Forgot;

    impl Policy for Forgot {
        fn standard_above(&self) -> Sigma {
            House::STANDARD_ABOVE
        }

        fn earned(&self, sigma: Sigma) -> Ring {
            House.earns(sigma)
        }
    }

    let broken = r2_thresholds(&Forgot, 2_000).unwrap_err();
    assert_eq!(broken.invariant, "R2");
}

proptest! {
    /// A promise that is this house's alone: it is never laxer than hv is.
    #[test]
    fn what_this_house_allows_hv_allows(
        action in action(),
        sigma in sigma(),
        cap in ring(),
        (call, evidence) in calls::call_and_evidence(),
    ) {
        let (ours, theirs) = (House.needs(&action), hv_rings::required(&action));
        prop_assert!(ours.permits(theirs), "{ours} is needed here, {theirs} by hv");
        if House.decide(ours, sigma, cap, &call, &evidence).is_ok() {
            prop_assert!(hv_rings::decide(theirs, sigma, cap, &call, &evidence).is_ok());
        }
    }

    /// The ledger keeps L1 to L14 under this policy, whatever happens and in whichever order.
    #[test]
    fn the_ledger_keeps_its_invariants(history in history()) {
        let (ledger, now) = lived(vouching(), &history)?;
        checks::ledger(&ledger, now)?;
    }

    /// Promises that are this house's alone, about everybody after every history.
    #[test]
    fn nobody_risks_more_than_half_and_nobody_borrows_trust_for_good(history in history()) {
        let (mut ledger, mut now) = opened(vouching())?;
        for (command, after) in &history {
            now = Timestamp(now.0 + after);
            let Ok(events) = ledger.decide(command, now) else { continue };
            for event in &events {
                ledger.apply(event).unwrap();
                if let Event::Vouched { .. } = event {
                    let Command::Vouch(order) = command else { panic!("{command:?} vouches") };
                    let account = ledger.account(&order.voucher, now).unwrap();
                    prop_assert!(account.bonded.ppm() <= account.reputation.ppm() / 2, "{account:?}");
                }
            }
            let all: Vec<Did> = ledger.agents().cloned().collect();
            for did in all {
                let low = ledger.sigma_low(&did, now);
                for session in (0..3).map(SessionNo) {
                    let lifted = ledger.sigma_eff(&did, session, Reversibility::None, now);
                    prop_assert!(lifted <= low, "{did} has {low}, and {lifted} for what cannot be undone");
                }
            }
        }
    }
}

/// A policy under which more could be borrowed the more is at stake is not taken by the ledger at all.
#[test]
fn weights_that_rise_with_the_risk_are_refused() {
    assert_eq!(vouching().check(), Ok(()));
    let Weights { full, partial, .. } = vouching().weights;
    let rising = VouchPolicy { weights: Weights { full, partial, none: Share::ONE }, ..vouching() };
    assert!(rising.check().is_err());
    assert!(Ledger::default().decide(&Command::Configure(rising), Timestamp(0)).is_err());
}

/// Half of a reputation and not a millionth more; hv's own numbers would let four fifths pass.
#[test]
fn the_promise_is_one_of_this_house_and_not_of_hv() {
    let vouch = |policy, ppm| {
        let (mut ledger, now) = opened(policy)?;
        let (voucher, vouchee, stake) = (agent('a')?, agent('g')?, Stake::Amount(Sigma::capped(ppm)));
        let order = VouchOrder { session: SessionNo(0), voucher, vouchee, stake, expires: None };
        take(&mut ledger, &Command::Vouch(order), now)
    };
    assert!(vouch(vouching(), 450_000).is_ok());
    assert!(vouch(vouching(), 450_001).is_err());
    assert!(vouch(VouchPolicy::default(), 450_001).is_ok());
}

type History = Vec<(Command, u64)>;

/// Commands that make sense together, each with the nanoseconds that pass before it.
fn history() -> impl Strategy<Value = History> {
    prop::collection::vec((ledgers::command(), 0u64..50_000_000_000), 0..60)
}

/// A ledger of eight agents with this policy.
fn opened(policy: VouchPolicy) -> Result<(Ledger, Timestamp), TestCaseError> {
    let (mut ledger, now) = (Ledger::default(), Timestamp(0));
    take(&mut ledger, &Command::Configure(policy), now)?;
    for (name, ppm) in ('a'..='h').zip([900_000, 800_000, 700_000, 650_000, 500_000, 499_999, 100_000, 0]) {
        let agent = agent(name)?;
        take(&mut ledger, &Command::Endow { agent, sigma: Sigma::capped(ppm), source: Source::Scored }, now)?;
    }
    Ok((ledger, now))
}

fn agent(name: char) -> Result<Did, TestCaseError> {
    Did::new(&format!("did:mesh:{name}")).map_err(failed)
}

/// What the ledger says of a command, taken up.
fn take(ledger: &mut Ledger, command: &Command, now: Timestamp) -> Result<(), TestCaseError> {
    let events = ledger.decide(command, now).map_err(failed)?;
    events.iter().try_for_each(|event| ledger.apply(event)).map_err(failed)
}

fn failed(why: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(why.to_string())
}

/// What becomes of it; every slash on the way is checked too (L5 to L7, L11, L12).
fn lived(policy: VouchPolicy, history: &History) -> Result<(Ledger, Timestamp), TestCaseError> {
    let (mut ledger, mut now) = opened(policy)?;
    for (command, after) in history {
        now = Timestamp(now.0 + after);
        for event in ledger.decide(command, now).unwrap_or_default() {
            let before = ledger.clone();
            ledger.apply(&event).map_err(failed)?;
            if let Event::Slashed { slashed } = &event {
                checks::slash(&before, &ledger, slashed)?;
            }
        }
    }
    Ok((ledger, now))
}
