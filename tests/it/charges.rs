//! Charges through the node: time for the accused, a ruling, or the deadline; each step of it on the trail.

use crate::evidence::{Court, HOUR, action, config, denied, did, finding, sigma, step};
use hv_core::event::{LedgerEvent, MembershipEvent, NodeEvent, SessionEvent};
use hv_core::liability::{Denial as LedgerDenial, SlashReason, Stake, VouchPolicy};
use hv_core::rings::class::Override;
use hv_core::saga::SagaState;
use hv_core::session::Expect;
use hv_core::types::{Digest, Reversibility, Ring, Share, Timestamp};
use hv_core::{
    Accepted, Charge, Clock, Entrant, NodeConfig, Presented, Reason, Request, Said, TrailEvent, Vouching,
};
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(600);
const EVIDENCE: Digest = Digest([1; 32]);

/// What is changed needs Ring 2 here, whether it can be undone or not.
fn lenient() -> NodeConfig {
    let standard = Override { ring: Some(Ring::Standard), risk: None };
    config().with_grace(GRACE).with_override(action("change"), standard)
}

impl Court {
    /// A court in which the accused has ten minutes; c has bonded 0.4 for d.
    async fn lenient() -> Self {
        let court = Self::bare().await;
        court.hv.establish(&did("operator"), &lenient(), &[]).await.unwrap();
        court.acquaint().await;
        court.open().await;
        court.hv.vouch(&court.session, &did("c"), &did("d"), Stake::Amount(sigma("0.4"))).await.unwrap();
        court
    }

    /// The same, and d is charged.
    async fn charged() -> (Self, Timestamp) {
        let court = Self::lenient().await;
        let until = court.clock.now().after(GRACE);
        let found = court.signed("verifier", finding(&court, "d", 1));
        let accepted = court.hv.accept(&found).await.unwrap();
        assert_eq!(accepted, Accepted::Charged { about: did("d"), evidence: EVIDENCE, until });
        (court, until)
    }

    /// Asks for a change of the supervisor with the word of the witness for it.
    async fn ask(&self, request: &Request) -> Result<(), hv_core::Error> {
        let deadline = self.clock.now().after(HOUR);
        let call = request.call(&did("operator"), deadline).unwrap();
        let word = Presented::new(deadline, vec![self.witnessed("witness", &call)]).unwrap();
        self.hv.govern(&did("operator"), request, &word).await.map(drop)
    }

    async fn refused(&self, request: &Request) -> LedgerDenial {
        match denied(self.ask(request).await) {
            Reason::Ledger(denial) => {
                assert_eq!(self.last_denial(), denial.to_string(), "on the trail");
                *denial
            }
            other => panic!("{other}"),
        }
    }

    fn slashes(&self) -> usize {
        let events = self.events();
        events.iter().filter(|event| matches!(event, TrailEvent::Ledger(LedgerEvent::Slashed { .. }))).count()
    }

    fn evictions(&self) -> usize {
        let evicted = |event: &TrailEvent| {
            matches!(event, TrailEvent::Session(event)
                if matches!(**event, SessionEvent::Session { event: MembershipEvent::Evicted { .. } }))
        };
        self.events().iter().filter(|event| evicted(event)).count()
    }

    fn ring(&self, name: &str) -> Ring {
        self.hv.standing(&self.session, &did(name)).unwrap().1
    }

    async fn change(&self, saga: &str, name: &str) -> SagaState {
        self.run(saga, step("change", name), vec![]).await.0
    }
}

const fn dispute() -> Request {
    Request::Dispute { charge: EVIDENCE, grounds: Digest([2; 32]) }
}

#[tokio::test]
async fn a_finding_charges_where_there_is_a_grace_period_and_takes_nothing_yet() {
    let before = Court::lenient().await;
    assert_eq!(before.change("before", "d").await, SagaState::Completed);
    let (court, until) = Court::charged().await;
    let charge = Charge {
        evidence: EVIDENCE,
        about: did("d"),
        reason: SlashReason::Violation,
        until,
        contested: false,
    };
    assert_eq!((court.hv.charges().unwrap(), court.hv.next_charge().unwrap()), (vec![charge], Some(until)));
    // The accused stands in Ring 3 and is a member still; its voucher has lost nothing.
    assert_eq!((court.ring("d"), court.slashes(), court.evictions()), (Ring::Sandbox, 0, 0));
    assert_eq!(court.hv.standing(&court.session, &did("c")).unwrap(), (sigma("0.57"), Ring::Sandbox));
    assert_eq!(court.change("charged", "d").await, SagaState::Compensated);
    let assessed = court.events().into_iter().rev().find_map(|event| match event {
        TrailEvent::Session(event) => match *event {
            SessionEvent::Assessed { sigma, ring, .. } => Some((sigma, ring)),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(assessed, Some((sigma("0"), Ring::Sandbox)), "the trail says where it stands");
    // What it asks for is refused with what would end that: a ruling does, rehabilitation does not.
    let why =
        format!("{} is charged, and under quarantine until the charges against it are decided", did("d"));
    assert!(court.last_denial().contains(&why), "{}", court.last_denial());
    let rehabilitate = Request::Rehabilitate { agent: did("d"), sigma: sigma("0.9") };
    assert!(matches!(court.refused(&rehabilitate).await, LedgerDenial::Quarantined { .. }));
    let join = court.hv.join_session(&court.session, &Entrant::new(did("d"))).await;
    assert_eq!(denied(join), Reason::Charged(did("d")));
    let written = court.hv.write_file(&court.session, &did("d"), "a", vec![1], Expect::Absent).await;
    assert_eq!(denied(written), Reason::Charged(did("d")));
    // The same finding again changes nothing, and a decision on the same evidence neither.
    let again = court.signed("verifier", finding(&court, "d", 1));
    let accepted = court.hv.accept(&again).await.unwrap();
    assert_eq!(accepted, Accepted::Charged { about: did("d"), evidence: EVIDENCE, until });
    assert_eq!(court.hv.charges().unwrap().len(), 1);
}

#[tokio::test]
async fn a_charge_that_is_contested_and_dropped_costs_nobody_anything() {
    let (court, until) = Court::charged().await;
    court.ask(&dispute()).await.unwrap();
    let contested = NodeEvent::Contested { charge: EVIDENCE, grounds: Digest([2; 32]) };
    assert!(court.events().contains(&TrailEvent::Node(contested)));
    // When its time would have been over, it waits.
    court.clock.set(until.after(GRACE));
    court.hv.carry_out_charges().await.unwrap();
    assert_eq!((court.slashes(), court.ring("d"), court.hv.next_charge().unwrap()), (0, Ring::Sandbox, None));
    assert!(court.hv.charges().unwrap()[0].contested);
    let court = court.reopened();
    court.ask(&Request::Dismiss { charge: EVIDENCE }).await.unwrap();
    assert_eq!((court.slashes(), court.evictions(), court.hv.charges().unwrap()), (0, 0, vec![]));
    assert_eq!(court.ring("d"), Ring::Standard);
    assert_eq!(court.change("free", "d").await, SagaState::Completed);
    // The same evidence can be used no more, neither by a verifier nor by a person.
    let again = court.signed("verifier", finding(&court, "d", 1));
    let denial = denied(court.hv.accept(&again).await);
    assert_eq!(denial, Reason::Ledger(Box::new(LedgerDenial::Dismissed { evidence: EVIDENCE })));
}

#[tokio::test]
async fn a_charge_that_nobody_contests_is_carried_out_at_its_deadline_by_whatever_comes_next() {
    let (court, until) = Court::charged().await;
    court.clock.set(Timestamp(until.0 - 1));
    court.hv.carry_out_charges().await.unwrap();
    assert_eq!(court.slashes(), 0, "not a nanosecond early");
    court.clock.set(until);
    // Somebody else's request, and one that is refused at that.
    let late = court.refused(&dispute()).await;
    assert_eq!(late, LedgerDenial::NoCharge { evidence: EVIDENCE });
    assert_eq!((court.slashes(), court.evictions(), court.hv.charges().unwrap()), (1, 1, vec![]));
    // It stands before what was asked.
    let events = court.events();
    let place = |wanted: fn(&TrailEvent) -> bool| events.iter().rposition(wanted);
    let slashed = place(|event| matches!(event, TrailEvent::Ledger(LedgerEvent::Slashed { .. })));
    assert!(slashed < place(|event| matches!(event, TrailEvent::Node(NodeEvent::Denied { .. }))));
    assert_eq!(court.change("after", "d").await, SagaState::Compensated);
    assert_eq!(court.ring("c"), Ring::Sandbox);
    let join = court.hv.join_session(&court.session, &Entrant::new(did("d"))).await;
    assert!(matches!(denied(join), Reason::Quarantined(_) | Reason::Session(_)));
    // Once, also after the node was opened again.
    let court = court.reopened();
    court.hv.carry_out_charges().await.unwrap();
    assert_eq!(court.slashes(), 1);
}

/// A node that was down at the deadline carries the charge out when something is asked of it again, and a reader of
/// the trail sees the same.
#[tokio::test]
async fn a_charge_outlives_the_node_that_brought_it() {
    let (court, until) = Court::charged().await;
    let court = court.reopened();
    assert_eq!((court.ring("d"), court.hv.next_charge().unwrap()), (Ring::Sandbox, Some(until)));
    court.clock.set(until.after(GRACE));
    let court = court.reopened();
    assert_eq!(court.slashes(), 0);
    assert_eq!(court.change("other", "a").await, SagaState::Completed);
    assert_eq!((court.slashes(), court.evictions()), (1, 1));
    let digest = court.hv.state_digest().unwrap();
    let court = court.reopened();
    assert_eq!(court.hv.state_digest().unwrap(), digest);
}

#[tokio::test]
async fn charges_that_come_due_together_are_carried_out_sixteen_at_a_time() {
    let court = Court::lenient().await;
    for evidence in 0..20 {
        court.hv.accept(&court.signed("verifier", finding(&court, "d", evidence))).await.unwrap();
    }
    court.clock.set(court.clock.now().after(GRACE));
    court.hv.carry_out_charges().await.unwrap();
    assert_eq!((court.slashes(), court.hv.charges().unwrap().len()), (16, 4));
    assert!(court.hv.next_charge().unwrap().is_some());
    court.hv.carry_out_charges().await.unwrap();
    assert_eq!((court.slashes(), court.hv.next_charge().unwrap()), (20, None));
}

/// Whoever listens hears of it as of anything else.
#[tokio::test]
async fn what_time_carries_out_is_told_to_subscribers_before_what_follows() {
    let (court, until) = Court::charged().await;
    let mut notices = court.hv.subscribe();
    court.clock.set(until);
    court.hv.note(&court.session, "k", b"v".to_vec()).await.unwrap();
    let mut heard = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        let slashed = notice.said().filter(|it| matches!(it, Said::Ledger(LedgerEvent::Slashed { .. })));
        heard.push(slashed.count());
    }
    assert_eq!(heard, [1, 0]);
}

#[tokio::test]
async fn a_persons_decision_is_a_charge_too_and_a_ruling_carries_it_out_before_its_time() {
    let court = Court::lenient().await;
    let slash = Request::Slash {
        about: did("d"),
        session: Some(court.session.clone()),
        fault: Share::ONE,
        class: None,
        risk: None,
        happened: court.clock.now(),
        evidence: EVIDENCE,
    };
    court.ask(&slash).await.unwrap();
    assert_eq!((court.slashes(), court.hv.charges().unwrap().len(), court.ring("d")), (0, 1, Ring::Sandbox));
    let until = court.clock.now().after(GRACE);
    let uphold = Request::Uphold { charge: EVIDENCE };
    let early = court.refused(&uphold).await;
    assert_eq!(early, LedgerDenial::GraceRunning { evidence: EVIDENCE, until });
    court.ask(&dispute()).await.unwrap();
    assert_eq!(court.refused(&dispute()).await, LedgerDenial::Disputed { evidence: EVIDENCE });
    court.ask(&uphold).await.unwrap();
    assert_eq!((court.slashes(), court.evictions()), (1, 1));
    for request in [uphold, dispute(), Request::Dismiss { charge: EVIDENCE }] {
        assert_eq!(court.refused(&request).await, LedgerDenial::NoCharge { evidence: EVIDENCE });
    }
}

#[tokio::test]
async fn ring_0_guards_what_becomes_of_a_charge() {
    let (court, _) = Court::charged().await;
    let requests = [dispute(), Request::Uphold { charge: EVIDENCE }, Request::Dismiss { charge: EVIDENCE }];
    for request in &requests {
        let call = request.call(&did("operator"), court.deadline()).unwrap();
        // Another's ground is another call.
        let other = Request::Dispute { charge: EVIDENCE, grounds: Digest([3; 32]) };
        let other = other.call(&did("operator"), court.deadline()).unwrap();
        for envelopes in
            [vec![], vec![court.witnessed("verifier", &call)], vec![court.witnessed("witness", &other)]]
        {
            let presented = Presented::new(court.deadline(), envelopes).unwrap();
            let reason = denied(court.hv.govern(&did("operator"), request, &presented).await);
            assert!(matches!(reason, Reason::Ring(_)), "{reason}");
            assert_eq!(court.last_denial(), reason.to_string());
        }
        // The accused has no say in it.
        let own = request.call(&did("d"), court.deadline()).unwrap();
        let word = Presented::new(court.deadline(), vec![court.witnessed("witness", &own)]).unwrap();
        let reason = denied(court.hv.govern(&did("d"), request, &word).await);
        assert_eq!(reason, Reason::Charged(did("d")));
    }
    assert_eq!((court.hv.charges().unwrap().len(), court.slashes()), (1, 0));
}

#[tokio::test]
async fn a_configuration_chooses_the_numbers_only_while_they_bind_nobody() {
    let court = Court::bare().await;
    let reference = config().with_vouching(Vouching::Reference).with_grace(GRACE);
    court.hv.establish(&did("operator"), &reference, &[]).await.unwrap();
    let policies = |court: &Court| {
        let events = court.events().into_iter();
        let set = events.filter_map(|event| match event {
            TrailEvent::Ledger(LedgerEvent::Configured { policy }) => Some(policy),
            _ => None,
        });
        set.collect::<Vec<_>>()
    };
    let first = VouchPolicy { grace: GRACE, ..VouchPolicy::reference() };
    assert_eq!(policies(&court), [Box::new(first)]);
    court.acquaint().await;
    court.open().await;
    // What is borrowed weighs by the risk there: 0.5 and a bond of 0.1, of which 0.1 counts for what can be undone.
    court.hv.vouch(&court.session, &did("b"), &did("e"), Stake::Amount(sigma("0.1"))).await.unwrap();
    let full = first.omega(Reversibility::Full);
    let lifted = hv_core::liability::lifted(sigma("0.5"), full, 100_000);
    assert_eq!(court.hv.standing(&court.session, &did("e")).unwrap().0, lifted);
    assert_ne!(lifted, sigma("0.58"));
    let court = court.reopened();
    assert_eq!(court.hv.config().unwrap().as_ref(), Some(&reference));
    assert_eq!(court.hv.standing(&court.session, &did("e")).unwrap().0, lifted);
    // Other numbers would let a bond count otherwise; whom the node listens to may change all the same.
    let other = Request::Configure { config: config().with_grace(GRACE) };
    assert_eq!(court.refused(&other).await, LedgerDenial::PolicyBinds { bonds: 1, charges: 0 });
    assert_eq!(court.hv.config().unwrap().as_ref(), Some(&reference));
    let heard = reference.clone().with_witness(did("second"));
    court.ask(&Request::Configure { config: heard }).await.unwrap();
    assert_eq!(policies(&court).len(), 1);
}

#[tokio::test]
async fn without_a_grace_period_whoever_violates_is_slashed_at_once() {
    let court = Court::new().await;
    let found = court.signed("verifier", finding(&court, "d", 1));
    let accepted = court.hv.accept(&found).await.unwrap();
    assert_eq!(accepted, Accepted::Slashed { about: did("d"), evidence: EVIDENCE });
    assert_eq!(
        (court.slashes(), court.hv.charges().unwrap(), court.hv.next_charge().unwrap()),
        (1, vec![], None)
    );
    // An hour is what the numbers say anyway: setting it sets nothing on the ledger.
    court.ask(&Request::Configure { config: config().with_grace(HOUR) }).await.unwrap();
    let set = |event: &TrailEvent| matches!(event, TrailEvent::Ledger(LedgerEvent::Configured { .. }));
    assert!(!court.events().iter().any(set));
    let found = court.signed("verifier", finding(&court, "a", 2));
    assert!(matches!(court.hv.accept(&found).await.unwrap(), Accepted::Charged { .. }));
}
