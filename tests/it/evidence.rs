//! Evidence at the gate: what opens Ring 1 and Ring 0, what does not, and what the trail says of it.

use hv_core::audit::{Entry, MemoryLog};
use hv_core::event::{NodeEvent, Rejected, SessionEvent};
use hv_core::identity::{Content, Envelope, Finding, Signer, Statement, Verdict};
use hv_core::liability::Stake;
use hv_core::rings::breach::BreachPolicy;
use hv_core::rings::class::{Claim, Override};
use hv_core::rings::fold::FoldPolicy;
use hv_core::rings::intent::Policy;
use hv_core::saga::drive::{Control, drive};
use hv_core::saga::exec::Closures;
use hv_core::saga::{Outcome, Plan, SagaCommand, SagaState, StepDef, Task};
use hv_core::session::SessionConfig;
use hv_core::types::{
    ActionId, ActionKind, Call, Did, Digest, Reversibility, Ring, RiskWeight, SagaId, SessionId, Share,
    Sigma, StepId, Timestamp,
};
use hv_core::{
    Accepted, Clock, Denied, Entrant, Error, Guards, Hypervisor, ManualClock, NodeConfig, Presented, Reason,
    Request, TrailEvent, call_for, read_record,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

pub const START: Timestamp = Timestamp(1_769_860_800_000_000_000);
pub const HOUR: Duration = Duration::from_secs(3600);

/// A node with a name, an open session with five agents and a human who may vote, a witness and a verifier.
pub struct Court {
    pub hv: Hypervisor,
    pub log: Arc<MemoryLog>,
    pub clock: Arc<ManualClock>,
    pub session: SessionId,
    nonce: AtomicU64,
}

/// Somebody's key; the first byte is its seed.
pub fn key(name: &str) -> Signer {
    let mut seed = [0; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    Signer::new(&seed).unwrap()
}

pub fn did(name: &str) -> Did {
    key(name).did().clone()
}

pub fn node() -> Did {
    Did::new("did:web:node.example").unwrap()
}

pub fn action(name: &str) -> ActionId {
    ActionId::new(name).unwrap()
}

pub fn sigma(text: &str) -> Sigma {
    text.parse().unwrap()
}

pub fn config() -> NodeConfig {
    NodeConfig::new(node()).with_witness(did("witness")).with_verifier(did("verifier"))
}

/// What a step's action counts as: nothing of it can be undone, or it changes the supervisor.
pub fn step(kind: &str, agent: &str) -> StepDef {
    StepDef::new(StepId::new("only").unwrap(), action(kind), did(agent), Task::closure("work"))
}

impl Court {
    pub async fn bare() -> Self {
        // The same agent is refused above its ring again and again here, which is not what is looked at.
        let patient = BreachPolicy { least: u32::MAX, patience: u32::MAX, ..BreachPolicy::default() };
        let fold = FoldPolicy { in_full: u32::MAX, in_full_together: u32::MAX, ..FoldPolicy::default() };
        let guards = Guards { breach: patient, fold, ..Guards::default() };
        Self::guarded(guards)
    }

    /// A node of its own under these limits.
    pub fn guarded(guards: Guards) -> Self {
        let (log, clock) = (Arc::new(MemoryLog::new()), Arc::new(ManualClock::at(START)));
        let hv = Hypervisor::open_guarded(log.clone(), clock.clone(), guards).unwrap();
        Self { hv, log, clock, session: SessionId::new("s").unwrap(), nonce: AtomicU64::new(0) }
    }

    pub async fn configured() -> Self {
        let court = Self::bare().await;
        court.hv.establish(&did("operator"), &config(), &[]).await.unwrap();
        court
    }

    /// The agents a to d with 0.97, e with 0.50, and the human h.
    pub async fn open(&self) {
        self.open_under(Policy::default()).await;
    }

    /// The same in a session that makes this of intents.
    pub async fn open_under(&self, intents: Policy) {
        let (hv, session) = (&self.hv, &self.session);
        hv.create_session(session, SessionConfig::default(), &did("operator")).await.unwrap();
        for name in ["a", "b", "c", "d"] {
            hv.join_session(session, &Entrant::new(did(name)).with_sigma(sigma("0.97"))).await.unwrap();
        }
        hv.join_session(session, &Entrant::new(did("e")).with_sigma(sigma("0.5"))).await.unwrap();
        for (name, kind, reversibility) in [
            ("final", ActionKind::Effect, Reversibility::None),
            ("govern", ActionKind::Admin, Reversibility::None),
            ("change", ActionKind::Effect, Reversibility::Full),
            ("push", ActionKind::Effect, Reversibility::Full),
            ("look", ActionKind::ReadOnly, Reversibility::Full),
        ] {
            let claim = Claim { kind: Some(kind), reversibility: Some(reversibility), risk: None };
            hv.register_action(session, &action(name), claim).await.unwrap();
        }
        hv.name_voters(session, &BTreeSet::from([did("h")])).await.unwrap();
        if intents != Policy::default() {
            hv.rule_intents(session, intents).await.unwrap();
        }
        hv.activate_session(session).await.unwrap();
    }

    /// The same in a session before: who was known before is on probation no longer.
    pub async fn acquaint(&self) {
        let (hv, first) = (&self.hv, SessionId::new("first").unwrap());
        hv.create_session(&first, SessionConfig::default(), &did("operator")).await.unwrap();
        for name in ["a", "b", "c", "d"] {
            hv.join_session(&first, &Entrant::new(did(name)).with_sigma(sigma("0.97"))).await.unwrap();
        }
        hv.join_session(&first, &Entrant::new(did("e")).with_sigma(sigma("0.5"))).await.unwrap();
        hv.terminate_session(&first).await.unwrap();
    }

    pub async fn new() -> Self {
        let court = Self::configured().await;
        court.acquaint().await;
        court.open().await;
        court
    }

    pub fn deadline(&self) -> Timestamp {
        START.after(HOUR / 2)
    }

    pub fn statement(&self, by: &str, content: Content) -> Statement {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.nonce.fetch_add(1, Ordering::SeqCst).to_le_bytes());
        Statement {
            audience: node(),
            signer: did(by),
            nonce,
            deadline: self.clock.now().after(HOUR),
            content,
        }
    }

    pub fn signed(&self, by: &str, content: Content) -> Envelope {
        self.statement(by, content).seal(&key(by)).unwrap()
    }

    pub fn vote(&self, by: &str, call: &Call) -> Envelope {
        self.signed(by, Content::Vote { call: call.clone(), verdict: Verdict::For })
    }

    pub fn witnessed(&self, by: &str, call: &Call) -> Envelope {
        self.signed(by, Content::Witness { call: call.clone() })
    }

    pub fn call(&self, saga: &str, step: &StepDef) -> Call {
        call_for(&self.session, &SagaId::new(saga).unwrap(), 0, step, self.deadline())
    }

    /// Runs a saga of one step with what is brought for it; gives how it ended and how often it was executed.
    pub async fn run(&self, saga: &str, step: StepDef, brought: Vec<Envelope>) -> (SagaState, u32) {
        let ran = Arc::new(AtomicU32::new(0));
        let (clock, count) = (self.clock.clone(), ran.clone());
        let mut closures = Closures::new().with_clock(Arc::new(move || clock.now()));
        closures.add(
            "work",
            move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                async { Outcome::done() }
            },
            |_| async { Outcome::done() },
        );
        let id = SagaId::new(saga).unwrap();
        let mut host = self.hv.saga(&self.session, &id);
        if !brought.is_empty() {
            host = host.presenting(0, Presented::new(self.deadline(), brought).unwrap());
        }
        let plan = Plan::new(vec![Arc::new(step)]);
        let end = drive(&host, &closures, &Control::new(), SagaCommand::begin(plan)).await.unwrap();
        (end, ran.load(Ordering::SeqCst))
    }

    pub fn events(&self) -> Vec<TrailEvent> {
        let mut events = Vec::new();
        let mut read = |entry: Entry<'_>| {
            events.extend(read_record(&entry).unwrap().events);
            Ok(())
        };
        hv_core::audit::Log::replay(&*self.log, &mut |entry| read(entry)).unwrap();
        events
    }

    /// What was rejected so far, in order.
    pub fn rejected(&self) -> Vec<Rejected> {
        let rejected = self.events().into_iter().filter_map(|event| match event {
            TrailEvent::Node(NodeEvent::Rejected { rejected }) => Some(rejected),
            TrailEvent::Session(event) => match *event {
                SessionEvent::Rejected { rejected } => Some(rejected),
                _ => None,
            },
            _ => None,
        });
        rejected.collect()
    }

    /// The words for what was rejected since there were so many.
    pub fn reasons_since(&self, before: usize) -> Vec<&'static str> {
        self.rejected().iter().skip(before).map(|rejected| rejected.rejection.name()).collect()
    }

    /// The reason of the last denial.
    pub fn last_denial(&self) -> String {
        let denied = self.events().into_iter().filter_map(|event| match event {
            TrailEvent::Node(NodeEvent::Denied { denial }) => Some(denial.reason),
            TrailEvent::Session(event) => match *event {
                SessionEvent::Denied { denial } => Some(denial.reason),
                _ => None,
            },
            _ => None,
        });
        denied.last().unwrap_or_default()
    }

    /// Reopens the node on the same log: all that counts is in the trail.
    pub fn reopened(self) -> Self {
        let hv = Hypervisor::open(self.log.clone(), self.clock.clone()).unwrap();
        Self { hv, ..self }
    }
}

pub fn denied<T: std::fmt::Debug>(result: Result<T, Error>) -> Reason {
    match result.unwrap_err() {
        Error::Denied(denied) => {
            let Denied { reason, .. } = *denied;
            reason
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_quorum_for_exactly_this_call_opens_ring_1_once() {
    let court = Court::new().await;
    let call = court.call("one", &step("final", "a"));
    // b, c, d and h may vote: three of four are needed.
    let votes: Vec<Envelope> = ["b", "c", "h"].map(|by| court.vote(by, &call)).to_vec();
    assert_eq!(court.run("one", step("final", "a"), votes).await, (SagaState::Completed, 1));
    assert_eq!(court.reasons_since(0), [""; 0]);
    let certified = court.events().into_iter().find_map(|event| match event {
        TrailEvent::Session(event) => match *event {
            SessionEvent::Certified { voices, until, .. } => Some((voices.len(), until)),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(certified, Some((3, court.deadline())));
    let spent = |event: &TrailEvent| matches!(event, TrailEvent::Node(NodeEvent::Spent { .. }));
    assert_eq!(court.events().iter().filter(|event| spent(event)).count(), 3);
}

#[tokio::test]
async fn r3_a_witness_for_exactly_this_call_opens_ring_0_and_a_quorum_does_not() {
    let court = Court::new().await;
    let call = court.call("one", &step("govern", "a"));
    let votes: Vec<Envelope> = ["b", "c", "d", "h"].map(|by| court.vote(by, &call)).to_vec();
    assert_eq!(court.run("one", step("govern", "a"), votes).await, (SagaState::Compensated, 0));
    assert_eq!(court.reasons_since(0), ["other_kind"; 4]);
    let call = court.call("two", &step("govern", "a"));
    let word = court.witnessed("witness", &call);
    assert_eq!(court.run("two", step("govern", "a"), vec![word]).await, (SagaState::Completed, 1));
    // A witness is no voter either.
    let call = court.call("three", &step("final", "a"));
    let word = court.witnessed("witness", &call);
    assert_eq!(court.run("three", step("final", "a"), vec![word]).await, (SagaState::Compensated, 0));
    assert_eq!(court.reasons_since(4), ["other_kind"]);
}

/// One way to bring something that does not count: what is brought beside two good votes, and the one word for why
/// it does not count.
type Attack = (&'static str, fn(&Court, &Call) -> Vec<Envelope>, &'static [&'static str]);

const ATTACKS: [Attack; 13] = [
    (
        "forged: signed with another's key",
        |court, call| {
            let vote = court.statement("d", Content::Vote { call: call.clone(), verdict: Verdict::For });
            let payload = vote.to_payload();
            vec![Envelope::sign("application/vnd.hv.vote.v1+json", payload.as_bytes(), &key("b")).unwrap()]
        },
        &["signer_mismatch"],
    ),
    (
        "forged: another's signature",
        |court, call| {
            let other = serde_json::from_str::<serde_json::Value>(&court.vote("d", call).to_json()).unwrap();
            let mut forged =
                serde_json::from_str::<serde_json::Value>(&court.vote("d", call).to_json()).unwrap();
            forged["signatures"] = other["signatures"].clone();
            vec![Envelope::from_json(forged.to_string().as_bytes()).unwrap()]
        },
        &["bad_signature"],
    ),
    (
        "expired",
        |court, call| {
            let vote = Content::Vote { call: call.clone(), verdict: Verdict::For };
            let deadline = Timestamp(court.clock.now().0 - 1);
            vec![Statement { deadline, ..court.statement("d", vote) }.seal(&key("d")).unwrap()]
        },
        &["expired"],
    ),
    (
        "eight days ahead",
        |court, call| {
            let vote = Content::Vote { call: call.clone(), verdict: Verdict::For };
            let deadline = court.clock.now().after(Duration::from_secs(8 * 86_400));
            vec![Statement { deadline, ..court.statement("d", vote) }.seal(&key("d")).unwrap()]
        },
        &["too_far_ahead"],
    ),
    (
        "foreign audience",
        |court, call| {
            let vote = Content::Vote { call: call.clone(), verdict: Verdict::For };
            let audience = Did::new("did:web:other.example").unwrap();
            vec![Statement { audience, ..court.statement("d", vote) }.seal(&key("d")).unwrap()]
        },
        &["foreign_audience"],
    ),
    (
        "foreign session",
        |court, call| vec![court.vote("d", &Call { session: SessionId::new("t").unwrap(), ..call.clone() })],
        &["foreign_session"],
    ),
    (
        "wrong call: other parameters",
        |court, call| vec![court.vote("d", &Call { params: Digest([7; 32]), ..call.clone() })],
        &["other_call"],
    ),
    (
        "wrong call: another deadline",
        |court, call| {
            vec![court.vote("d", &Call { deadline: Timestamp(call.deadline.0 + 1), ..call.clone() })]
        },
        &["other_call"],
    ),
    ("duplicate voter", |court, call| vec![court.vote("b", call)], &["duplicate"]),
    ("the actor votes", |court, call| vec![court.vote("a", call)], &["by_actor"]),
    ("not in Ring 2", |court, call| vec![court.vote("e", call)], &["not_eligible"]),
    ("nobody that is known here", |court, call| vec![court.vote("stranger", call)], &["not_eligible"]),
    (
        "a statement of another kind",
        |court, _| vec![court.signed("d", Content::Join { session: court.session.clone() })],
        &["other_kind"],
    ),
];

#[tokio::test]
async fn what_does_not_count_is_refused_each_for_its_own_reason_and_is_on_the_trail() {
    let court = Court::new().await;
    for (n, (what, attack, reasons)) in ATTACKS.into_iter().enumerate() {
        let saga = format!("attack-{n}");
        let call = court.call(&saga, &step("final", "a"));
        // Two good votes of the three that are needed: were the third to count, the step would run.
        let mut brought = vec![court.vote("b", &call), court.vote("c", &call)];
        brought.extend(attack(&court, &call));
        let before = court.rejected().len();
        let end = court.run(&saga, step("final", "a"), brought.clone()).await;
        assert_eq!(end, (SagaState::Compensated, 0), "{what}");
        assert_eq!(court.reasons_since(before), reasons, "{what}");
        assert!(
            court.last_denial().contains("2 of 4 consent, 3 are needed"),
            "{what}: {}",
            court.last_denial()
        );
        // With one more that counts, the same is enough: nothing was used up, and nothing bad stands in the way.
        let saga = format!("remedy-{n}");
        let call = court.call(&saga, &step("final", "a"));
        let mut brought = vec![court.vote("b", &call), court.vote("c", &call)];
        brought.extend(attack(&court, &call));
        brought.push(court.vote("h", &call));
        let end = court.run(&saga, step("final", "a"), brought).await;
        assert_eq!(end, (SagaState::Completed, 1), "{what}");
    }
}

#[tokio::test]
async fn one_who_vouches_for_the_actor_has_no_vote_on_it() {
    let court = Court::new().await;
    court.hv.vouch(&court.session, &did("b"), &did("e"), Stake::Amount(sigma("0.01"))).await.unwrap();
    court.hv.vouch(&court.session, &did("a"), &did("e"), Stake::Amount(sigma("0.01"))).await.unwrap();
    // b and a vouch for the same one, so they are tied; c, d and h are left.
    let call = court.call("one", &step("final", "a"));
    let votes: Vec<Envelope> = ["b", "c", "d"].map(|by| court.vote(by, &call)).to_vec();
    assert_eq!(court.run("one", step("final", "a"), votes).await, (SagaState::Compensated, 0));
    assert_eq!(court.reasons_since(0), ["by_tied"]);
}

#[tokio::test]
async fn a_vote_that_was_used_counts_no_second_time_also_not_after_the_node_was_opened_again() {
    let court = Court::new().await;
    let call = court.call("one", &step("final", "a"));
    let votes: Vec<Envelope> = ["b", "c", "h"].map(|by| court.vote(by, &call)).to_vec();
    assert_eq!(court.run("one", step("final", "a"), votes.clone()).await, (SagaState::Completed, 1));
    // Another session of the same name, in which the same call is made.
    court.hv.terminate_session(&court.session).await.unwrap();
    court.open().await;
    assert_eq!(court.run("one", step("final", "a"), votes.clone()).await, (SagaState::Compensated, 0));
    assert_eq!(court.reasons_since(0), ["replayed"; 3]);
    court.hv.terminate_session(&court.session).await.unwrap();
    let court = court.reopened();
    court.open().await;
    assert_eq!(court.run("one", step("final", "a"), votes).await, (SagaState::Compensated, 0));
    assert_eq!(court.reasons_since(3), ["replayed"; 3]);
}

#[tokio::test]
async fn a_call_starts_at_the_last_nanosecond_of_its_deadline_and_not_later() {
    for (late, end) in [(0, (SagaState::Completed, 1)), (1, (SagaState::Compensated, 0))] {
        let court = Court::new().await;
        let call = court.call("one", &step("final", "a"));
        let far = |by| {
            let vote = Content::Vote { call: call.clone(), verdict: Verdict::For };
            let deadline = call.deadline.after(HOUR);
            Statement { deadline, ..court.statement(by, vote) }.seal(&key(by)).unwrap()
        };
        let votes = ["b", "c", "h"].map(far).to_vec();
        court.clock.set(Timestamp(court.deadline().0 + late));
        assert_eq!(court.run("one", step("final", "a"), votes).await, end, "{late}");
    }
}

#[tokio::test]
async fn without_a_configured_node_nothing_reaches_ring_1_or_ring_0() {
    let court = Court::bare().await;
    court.acquaint().await;
    court.open().await;
    for kind in ["final", "govern"] {
        let call = court.call(kind, &step(kind, "a"));
        let mut brought: Vec<Envelope> = ["b", "c", "d", "h"].map(|by| court.vote(by, &call)).to_vec();
        brought.push(court.witnessed("witness", &call));
        let before = court.rejected().len();
        assert_eq!(court.run(kind, step(kind, "a"), brought).await, (SagaState::Compensated, 0));
        assert_eq!(court.reasons_since(before), ["not_configured"; 5]);
    }
    let request = Request::Rehabilitate { agent: did("a"), sigma: sigma("1") };
    let call = request.call(&did("operator"), court.deadline()).unwrap();
    let presented = Presented::new(court.deadline(), vec![court.witnessed("witness", &call)]).unwrap();
    assert_eq!(denied(court.hv.govern(&did("operator"), &request, &presented).await), Reason::NotConfigured);
    let join = court.signed("stranger", Content::Join { session: court.session.clone() });
    assert!(matches!(denied(court.hv.accept(&join).await), Reason::Evidence(_)));
}

#[tokio::test]
async fn a_key_that_was_revoked_or_replaced_has_no_vote() {
    let court = Court::new().await;
    let revoke = court.signed("d", Content::Revoke);
    assert_eq!(court.hv.accept(&revoke).await.unwrap(), Accepted::KeyChanged);
    let call = court.call("one", &step("final", "a"));
    let votes: Vec<Envelope> = ["b", "c", "d"].map(|by| court.vote(by, &call)).to_vec();
    assert_eq!(court.run("one", step("final", "a"), votes).await, (SagaState::Compensated, 0));
    assert_eq!(court.reasons_since(0), ["key_revoked"]);
    // The same statement again revokes nothing.
    assert!(matches!(denied(court.hv.accept(&revoke).await), Reason::Evidence(_)));
}

#[tokio::test]
async fn the_operator_sets_what_an_action_needs_in_one_session_before_it_begins() {
    let court = Court::configured().await;
    court.acquaint().await;
    let (hv, session) = (&court.hv, &court.session);
    hv.create_session(session, SessionConfig::default(), &did("operator")).await.unwrap();
    hv.join_session(session, &Entrant::new(did("a"))).await.unwrap();
    let claim = |kind| Claim { kind: Some(kind), reversibility: Some(Reversibility::None), risk: None };
    for (name, kind) in [("final", ActionKind::Effect), ("look", ActionKind::ReadOnly)] {
        hv.register_action(session, &action(name), claim(kind)).await.unwrap();
    }
    // Ring 0 and a weight of 0 are values like others, and not "nothing set".
    let (root, zero) = (Some(Ring::Root), Some(RiskWeight::ZERO));
    hv.override_action(session, &action("look"), Override { ring: root, risk: zero }).await.unwrap();
    let standard = Override { ring: Some(Ring::Standard), risk: None };
    hv.override_action(session, &action("final"), standard).await.unwrap();
    hv.activate_session(session).await.unwrap();
    assert_eq!(court.run("one", step("final", "a"), vec![]).await, (SagaState::Completed, 1));
    assert_eq!(court.run("two", step("look", "a"), vec![]).await, (SagaState::Compensated, 0));
    assert!(court.last_denial().contains("Ring 0 (root) needs a witness"), "{}", court.last_denial());
    let late = hv.override_action(session, &action("look"), standard).await;
    assert_eq!(denied(late), Reason::Begun(session.clone()));
    assert_eq!(denied(hv.name_voters(session, &BTreeSet::new()).await), Reason::Begun(session.clone()));
}

/// What a verifier finds about an agent in the open session.
pub fn finding(court: &Court, about: &str, evidence: u8) -> Content {
    Content::Evidence {
        about: did(about),
        session: Some(court.session.clone()),
        finding: Finding::Violation,
        fault: Share::ONE,
        class: None,
        risk: None,
        happened: court.clock.now(),
        evidence: Digest([evidence; 32]),
    }
}

#[tokio::test]
async fn a_verifiers_finding_slashes_once_and_ends_the_membership_everywhere() {
    let court = Court::new().await;
    let other = SessionId::new("other").unwrap();
    court.hv.create_session(&other, SessionConfig::default(), &did("operator")).await.unwrap();
    for name in ["d", "c"] {
        court.hv.join_session(&other, &Entrant::new(did(name))).await.unwrap();
    }
    court.hv.vouch(&court.session, &did("c"), &did("d"), Stake::Amount(sigma("0.4"))).await.unwrap();
    let found = court.signed("verifier", finding(&court, "d", 1));
    let (about, evidence) = (did("d"), Digest([1; 32]));
    let accepted = court.hv.accept(&found).await.unwrap();
    assert_eq!(accepted, Accepted::Slashed { about: about.clone(), evidence });
    // Whoever vouched has lost the bond, which is recorded in both of its sessions; d is in neither any more.
    for session in [&court.session, &other] {
        let call = hv_core::types::Call { session: session.clone(), ..court.call("x", &step("change", "d")) };
        assert_eq!(call.agent, about);
        assert_eq!(court.hv.standing(session, &did("c")).unwrap().1, Ring::Sandbox, "{session}");
    }
    assert_eq!(court.run("after", step("change", "d"), vec![]).await, (SagaState::Compensated, 0));
    let evicted = |event: &TrailEvent| {
        matches!(event, TrailEvent::Session(event) if matches!(
            **event,
            SessionEvent::Session { event: hv_core::event::MembershipEvent::Evicted { .. } }
        ))
    };
    assert_eq!(court.events().iter().filter(|event| evicted(event)).count(), 2);
    // The same finding, signed again: nothing more. The same envelope: used. Somebody else's word: no verifier.
    let again = court.hv.accept(&court.signed("verifier", finding(&court, "d", 1))).await.unwrap();
    assert_eq!(again, Accepted::AlreadySlashed { about, evidence });
    for (envelope, word) in [
        (found, "replayed"),
        (court.signed("b", finding(&court, "c", 2)), "not_a_verifier"),
        (court.signed("witness", finding(&court, "c", 2)), "not_a_verifier"),
    ] {
        let Reason::Evidence(rejected) = denied(court.hv.accept(&envelope).await) else { panic!("{word}") };
        assert_eq!(rejected.rejection.name(), word);
        assert_eq!(court.rejected().last(), Some(&*rejected), "on the trail");
    }
}

#[tokio::test]
async fn ring_0_guards_what_changes_the_supervisor() {
    let court = Court::new().await;
    let operator = did("operator");
    let requests = [
        Request::Configure { config: config().with_witness(did("second")) },
        Request::Slash {
            about: did("d"),
            session: Some(court.session.clone()),
            fault: Share::ONE,
            class: None,
            risk: None,
            happened: court.clock.now(),
            evidence: Digest([9; 32]),
        },
        Request::Rehabilitate { agent: did("d"), sigma: sigma("0.7") },
        Request::Purge { purge: hv_core::PurgeRequest::default() },
        Request::BindKey {
            statement: court
                .statement(
                    "mesh",
                    Content::Bind { key: key("mesh").public().clone(), from: START, until: Timestamp::MAX },
                )
                .into_bound(),
        },
    ];
    for request in &requests {
        let call = request.call(&operator, court.deadline()).unwrap();
        let bring = |envelopes| Presented::new(court.deadline(), envelopes).unwrap();
        let other = Call { params: Digest([1; 32]), ..call.clone() };
        let wrong = [
            bring(vec![]),
            bring(vec![court.witnessed("verifier", &call)]),
            bring(vec![court.witnessed("witness", &other)]),
            bring(vec![court.vote("witness", &call)]),
        ];
        for presented in &wrong {
            let reason = denied(court.hv.govern(&operator, request, presented).await);
            assert!(matches!(reason, Reason::Ring(_)), "{reason}");
        }
        // Nobody witnesses its own act.
        let own = request.call(&did("witness"), court.deadline()).unwrap();
        let own = bring(vec![court.witnessed("witness", &own)]);
        assert!(matches!(denied(court.hv.govern(&did("witness"), request, &own).await), Reason::Ring(_)));
        let word = bring(vec![court.witnessed("witness", &call)]);
        court.hv.govern(&operator, request, &word).await.unwrap();
        let again = denied(court.hv.govern(&operator, request, &word).await);
        // A purge is not asked for once more by whoever did not hear that it was carried out.
        match request {
            Request::Purge { .. } => assert!(matches!(again, Reason::Purged { .. }), "{again}"),
            _ => assert!(matches!(again, Reason::Ring(_)), "{again}"),
        }
    }
    let reasons: BTreeSet<&str> = court.reasons_since(0).into_iter().collect();
    assert_eq!(reasons, BTreeSet::from(["not_eligible", "other_call", "other_kind", "by_actor", "replayed"]));
    // The configuration cannot be set a second time as if it were the first.
    let first = court.hv.establish(&operator, &config(), &[]).await;
    assert_eq!(denied(first), Reason::Configured);
    // What was decided holds after the node was opened again.
    let court = court.reopened();
    assert_eq!(court.hv.config().unwrap().unwrap().witnesses().len(), 2);
}

trait IntoBound {
    fn into_bound(self) -> Envelope;
}

impl IntoBound for Statement {
    /// Signed as the key that it binds to another name.
    fn into_bound(self) -> Envelope {
        Statement { signer: Did::new("did:mesh:named").unwrap(), ..self }.seal(&key("mesh")).unwrap()
    }
}

#[tokio::test]
async fn signed_joins_vouches_and_releases_count_once() {
    let court = Court::new().await;
    let session = court.session.clone();
    let join = court.signed("new", Content::Join { session: session.clone() });
    let joined = court.hv.accept(&join).await.unwrap();
    assert_eq!(joined, Accepted::Joined { session: session.clone(), ring: Ring::Sandbox });
    assert!(matches!(denied(court.hv.accept(&join).await), Reason::Evidence(_)));
    let vouch = Content::Vouch { session: session.clone(), vouchee: did("e"), stake: sigma("0.3") };
    assert_eq!(court.hv.accept(&court.signed("b", vouch.clone())).await.unwrap(), Accepted::Vouched);
    assert_eq!(court.hv.standing(&session, &did("e")).unwrap(), (sigma("0.74"), Ring::Standard));
    // Nobody vouches in another's name.
    let forged = court.statement("b", vouch);
    let forged =
        Envelope::sign("application/vnd.hv.vouch.v1+json", forged.to_payload().as_bytes(), &key("e"));
    assert!(matches!(denied(court.hv.accept(&forged.unwrap()).await), Reason::Evidence(_)));
    let release = Content::Release { session: session.clone(), vouchee: did("e") };
    assert_eq!(court.hv.accept(&court.signed("b", release.clone())).await.unwrap(), Accepted::Released);
    assert_eq!(court.hv.standing(&session, &did("e")).unwrap(), (sigma("0.5"), Ring::Sandbox));
    let nothing = denied(court.hv.accept(&court.signed("b", release)).await);
    assert_eq!(nothing, Reason::NoBond { voucher: did("b"), vouchee: did("e") });
    // Votes are brought with their call, and binding a name takes a witness.
    let call = court.call("one", &step("final", "a"));
    for envelope in [court.vote("b", &call), court.witnessed("witness", &call)] {
        assert!(matches!(denied(court.hv.accept(&envelope).await), Reason::Evidence(_)));
    }
}
