//! The gate in front of every effect: what is denied does not happen, and its denial is on the trail.

use hv_core::audit::{MemoryLog, StreamNo};
use hv_core::event::{Denial, KillTarget, SessionEvent};
use hv_core::rings::class::{Claim, Override};
use hv_core::saga::drive::{Control, drive};
use hv_core::saga::exec::Closures;
use hv_core::saga::{
    Class, Executor, Host, Outcome, Plan, Reason as Why, SagaCommand, SagaState, StepDef, Task,
};
use hv_core::session::{ConsistencyMode, SessionConfig};
use hv_core::types::{
    ActionId, ActionKind, Did, Reversibility, Ring, SagaId, SessionId, Sigma, StepId, Timestamp,
};
use hv_core::{
    Clock, Entrant, Error, Grant, Hypervisor, KillOrder, ManualClock, Mismatch, Reason, SagaHost, TrailEvent,
    read_record,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn action(name: &str) -> ActionId {
    ActionId::new(name).unwrap()
}

fn effect(reversibility: Reversibility) -> Claim {
    Claim { kind: Some(ActionKind::Effect), reversibility: Some(reversibility), risk: None }
}

/// A node with an active session and one member with this score.
struct Stage {
    hv: Hypervisor,
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
    session: SessionId,
}

async fn stage(sigma: &str) -> Stage {
    let log = Arc::new(MemoryLog::new());
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
    let hv = Hypervisor::open(log.clone(), clock.clone()).unwrap();
    let session = SessionId::new("s").unwrap();
    hv.create_session(&session, SessionConfig::default(), &did("admin")).await.unwrap();
    let entrant = Entrant::new(did("a")).with_sigma(sigma.parse().unwrap());
    hv.join_session(&session, &entrant).await.unwrap();
    hv.activate_session(&session).await.unwrap();
    Stage { hv, log, clock, session }
}

impl Stage {
    /// Runs one step with this undo; gives how it ended and how often it was executed.
    async fn step(&self, name: &str, step: StepDef, accept: Vec<u32>) -> (SagaState, u32) {
        let ran = Arc::new(AtomicU32::new(0));
        let mut closures = self.closures();
        let count = ran.clone();
        closures.add(
            "work",
            move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                async { Outcome::done() }
            },
            |_| async { Outcome::done() },
        );
        let plan = Plan::new(vec![Arc::new(step)]);
        let host =
            self.hv.create_saga(&self.session, &SagaId::new(name).unwrap(), plan, accept).await.unwrap();
        let end = drive(&host, &closures, &Control::new(), SagaCommand::advance()).await.unwrap();
        (end, ran.load(Ordering::SeqCst))
    }

    fn closures(&self) -> Closures {
        let clock = self.clock.clone();
        Closures::new().with_clock(Arc::new(move || clock.now()))
    }

    fn denials(&self) -> Vec<Denial> {
        let mut denials = Vec::new();
        self.hv
            .log()
            .replay(&mut |entry| {
                for event in read_record(&entry).unwrap().events {
                    match event {
                        TrailEvent::Session(event) => {
                            if let SessionEvent::Denied { denial } = *event {
                                denials.push(denial);
                            }
                        }
                        TrailEvent::Node(hv_core::event::NodeEvent::Denied { denial }) => {
                            denials.push(denial)
                        }
                        _ => {}
                    }
                }
                Ok(())
            })
            .unwrap();
        denials
    }
}

fn plain(action_name: &str) -> StepDef {
    StepDef::new(StepId::new("only").unwrap(), action(action_name), did("a"), Task::closure("work"))
}

#[tokio::test]
async fn f1_an_effect_without_the_ring_never_happens_and_the_denial_says_what_would_be_enough() {
    let cases = [
        // (σ, declared, undo, accepted) → executed
        ("0.85", Reversibility::Full, true, true, true),
        ("0.600001", Reversibility::Full, true, true, true),
        ("0.60", Reversibility::Full, true, true, false),
        ("0.30", Reversibility::Full, true, true, false),
        // An undo that nobody has shown to work does not count, and neither does one that is missing.
        ("0.85", Reversibility::Full, true, false, false),
        ("0.85", Reversibility::Full, false, true, false),
        ("1", Reversibility::None, true, true, false),
    ];
    for (sigma, reversibility, undo, accepted, executed) in cases {
        let stage = stage(sigma).await;
        stage.hv.register_action(&stage.session, &action("act"), effect(reversibility)).await.unwrap();
        let step = if undo { plain("act").with_undo(Task::closure("work")) } else { plain("act") };
        let (end, ran) = stage.step("g", step, if accepted { vec![0] } else { vec![] }).await;
        let context = format!("{sigma} {reversibility} {undo} {accepted}");
        assert_eq!(ran, u32::from(executed), "{context}");
        assert_eq!(end == SagaState::Completed, executed, "{context}");
        let denials = stage.denials();
        assert_eq!(denials.is_empty(), executed, "{context}");
        for denial in denials {
            assert_eq!((denial.agent, denial.action), (Some(did("a")), Some(action("act"))));
            assert!(denial.reason.contains("σ_eff") || denial.reason.contains("quorum"), "{}", denial.reason);
            assert!(denial.needs.contains("σ_eff above 0."), "{}", denial.needs);
        }
    }
}

/// Whoever may do two things at once does six of them one behind the other, and never three at once.
#[tokio::test]
async fn an_attempt_that_ends_makes_room_for_the_next_in_the_same_record() {
    let stage = stage("0.3").await;
    let look = Claim { kind: Some(ActionKind::ReadOnly), ..Claim::default() };
    stage.hv.register_action(&stage.session, &action("look"), look).await.unwrap();
    let run = async |name: &str, at_once: u32| {
        let steps = (0..6).map(|n| {
            let id = StepId::new(&format!("s{n}")).unwrap();
            let step = StepDef::new(id, action("look"), did("a"), Task::closure("work"));
            Arc::new(StepDef { kind: ActionKind::ReadOnly, ..step })
        });
        let mut plan = Plan::new(steps.collect());
        plan.limits.concurrency = at_once;
        let host = stage.hv.saga(&stage.session, &SagaId::new(name).unwrap());
        host.run(SagaCommand::begin(plan), |_| async { Outcome::done() }).await.unwrap()
    };
    assert_eq!(run("two", 2).await, SagaState::Completed);
    assert!(stage.denials().is_empty());
    assert_eq!(run("three", 3).await, SagaState::Compensated);
    let denials = stage.denials();
    assert!(!denials.is_empty() && denials.iter().all(|d| d.request == "step"), "{denials:?}");
}

#[tokio::test]
async fn an_action_that_nobody_registered_is_denied_and_so_is_an_agent_that_left() {
    let stage = stage("0.9").await;
    let (end, ran) = stage.step("g", plain("unheard.of"), vec![0]).await;
    assert_eq!((end, ran), (SagaState::Compensated, 0));
    assert!(stage.denials()[0].reason.contains("unheard.of"));
}

#[tokio::test]
async fn reading_needs_no_score() {
    let stage = stage("0.0").await;
    let claim = Claim { kind: Some(ActionKind::ReadOnly), ..Claim::default() };
    stage.hv.register_action(&stage.session, &action("look"), claim).await.unwrap();
    let step = StepDef { kind: ActionKind::ReadOnly, ..plain("look") };
    assert_eq!(stage.step("g", step, vec![]).await, (SagaState::Completed, 1));
}

/// Takes the grant instead of acting on it.
#[derive(Default)]
struct Thief(Mutex<Vec<(Grant, hv_core::saga::Attempt)>>);

impl Executor<Grant> for Thief {
    fn run<'a>(
        &'a self,
        permit: Grant,
        attempt: &'a hv_core::saga::Attempt,
    ) -> hv_core::saga::BoxFuture<'a, Outcome> {
        self.0.lock().unwrap().push((permit, attempt.clone()));
        Box::pin(async { Outcome::failed(Class::Permanent, Why::NotPermitted) })
    }

    fn stops_within(&self) -> Duration {
        Duration::ZERO
    }
}

async fn planned(stage: &Stage, name: &str) -> SagaHost {
    stage.hv.register_action(&stage.session, &action("act"), effect(Reversibility::Full)).await.unwrap();
    let plan = Plan::new(vec![Arc::new(plain("act").with_undo(Task::closure("work")))]);
    let saga = SagaId::new(name).unwrap();
    stage.hv.create_saga(&stage.session, &saga, plan, vec![0]).await.unwrap()
}

/// A grant of an attempt that is under way.
async fn granted(stage: &Stage, name: &str) -> Grant {
    let progress = planned(stage, name).await.commit(SagaCommand::advance(), None).await.unwrap();
    let [(_, grant)] = <[_; 1]>::try_from(progress.starts).unwrap();
    grant
}

async fn stolen(stage: &Stage, name: &str) -> (Grant, hv_core::saga::Attempt) {
    let host = planned(stage, name).await;
    let thief = Thief::default();
    drive(&host, &thief, &Control::new(), SagaCommand::advance()).await.unwrap();
    thief.0.into_inner().unwrap().remove(0)
}

#[tokio::test]
async fn c1_a_grant_opens_its_own_call_only_in_time_only_while_the_agent_stands() {
    let stage = stage("0.9").await;
    let now = stage.hv.now();
    let grant = granted(&stage, "g0").await;
    let call = grant.call().clone();
    assert!(grant.redeem(&call, now).is_ok());

    // The saga was told that the attempt has ended.
    let (grant, _) = stolen(&stage, "g1").await;
    let call = grant.call().clone();
    assert_eq!(grant.redeem(&call, now), Err(Mismatch::Over));

    let (grant, _) = stolen(&stage, "g2").await;
    let mut other = grant.call().clone();
    other.params.0[0] ^= 1;
    assert_eq!(grant.redeem(&other, now), Err(Mismatch::OtherCall));

    let (grant, _) = stolen(&stage, "g3").await;
    let (call, deadline) = (grant.call().clone(), grant.call().deadline);
    assert_eq!(grant.redeem(&call, Timestamp(deadline.0 + 1)), Err(Mismatch::TooLate { deadline }));

    let (grant, _) = stolen(&stage, "g4").await;
    let call = grant.call().clone();
    assert!(grant.redeem(&call, deadline).is_err() || deadline >= now, "the deadline itself is in time");

    // The session runs out while the grant is on its way.
    let (grant, _) = stolen(&stage, "g5").await;
    let call = grant.call().clone();
    stage.clock.advance(Duration::from_secs(3601));
    assert_eq!(grant.redeem(&call, now), Err(Mismatch::Withdrawn));
}

#[tokio::test]
async fn f17_an_undo_that_fails_costs_the_liable_agent_its_reputation_on_the_ledger() {
    let stage = stage("0.9").await;
    stage.hv.register_action(&stage.session, &action("act"), effect(Reversibility::Full)).await.unwrap();
    let mut closures = stage.closures();
    closures.add(
        "work",
        |_| async { Outcome::done() },
        |_| async { Outcome::failed(Class::Permanent, Why::Exit { code: 1 }) },
    );
    closures.add(
        "fail",
        |_| async { Outcome::failed(Class::Permanent, Why::Exit { code: 1 }) },
        |_| async { Outcome::done() },
    );
    let first = StepDef { id: StepId::new("one").unwrap(), ..plain("act").with_undo(Task::closure("work")) };
    let second = StepDef {
        id: StepId::new("two").unwrap(),
        execute: Arc::new(Task::closure("fail")),
        after: vec![0],
        ..plain("act").with_undo(Task::closure("fail"))
    };
    let plan = Plan::new(vec![Arc::new(first), Arc::new(second)]);
    let host =
        stage.hv.create_saga(&stage.session, &SagaId::new("g").unwrap(), plan, vec![0, 1]).await.unwrap();
    let end = drive(&host, &closures, &Control::new(), SagaCommand::advance()).await.unwrap();
    assert_eq!(end, SagaState::Escalated);
    assert_eq!(stage.hv.standing(&stage.session, &did("a")).unwrap(), (Sigma::ZERO, Ring::Sandbox));
    // And nowhere else either: the next session does not take it.
    let other = SessionId::new("other").unwrap();
    stage.hv.create_session(&other, SessionConfig::default(), &did("admin")).await.unwrap();
    let again = stage.hv.join_session(&other, &Entrant::new(did("a")).with_sigma(Sigma::ONE)).await;
    match again.unwrap_err() {
        Error::Denied(denied) => assert_eq!(denied.reason, Reason::Quarantined(did("a"))),
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn r4_a_loss_committed_before_an_effect_starts_is_seen_by_it() {
    let stage = stage("0.9").await;
    // Granted, and on its way to the effect.
    let (grant, _) = stolen(&stage, "granted").await;
    let call = grant.call().clone();
    let mut closures = stage.closures();
    closures.add(
        "work",
        |_| async { Outcome::done() },
        |_| async { Outcome::failed(Class::Permanent, Why::Exit { code: 1 }) },
    );
    closures.add_read_only("fail", |_| async { Outcome::failed(Class::Permanent, Why::Exit { code: 1 }) });
    let first = StepDef { id: StepId::new("one").unwrap(), ..plain("act").with_undo(Task::closure("work")) };
    let second = StepDef {
        id: StepId::new("two").unwrap(),
        execute: Arc::new(Task::closure("fail")),
        after: vec![0],
        ..plain("act").with_undo(Task::closure("fail"))
    };
    let plan = Plan::new(vec![Arc::new(first), Arc::new(second)]);
    let host =
        stage.hv.create_saga(&stage.session, &SagaId::new("lost").unwrap(), plan, vec![0, 1]).await.unwrap();
    let end = drive(&host, &closures, &Control::new(), SagaCommand::advance()).await.unwrap();
    assert_eq!(end, SagaState::Escalated);
    assert_eq!(grant.redeem(&call, stage.hv.now()), Err(Mismatch::Withdrawn));
}

#[tokio::test]
async fn for_a_known_agent_what_the_caller_says_is_ignored() {
    let stage = stage("0.3").await;
    let other = SessionId::new("other").unwrap();
    stage.hv.create_session(&other, SessionConfig::default(), &did("admin")).await.unwrap();
    let ring = stage.hv.join_session(&other, &Entrant::new(did("a")).with_sigma(Sigma::ONE)).await.unwrap();
    assert_eq!(ring, Ring::Sandbox);
    let unknown = stage.hv.join_session(&other, &Entrant::new(did("nobody"))).await.unwrap();
    assert_eq!(unknown, Ring::Sandbox);
}

#[tokio::test]
async fn a_vouch_lifts_and_a_replay_sees_the_same() {
    let stage = stage("0.9").await;
    let low = Entrant::new(did("low")).with_sigma("0.5".parse().unwrap());
    assert_eq!(stage.hv.join_session(&stage.session, &low).await.unwrap(), Ring::Sandbox);
    let stake = hv_core::liability::Stake::Default;
    stage.hv.vouch(&stage.session, &did("a"), &did("low"), stake).await.unwrap();
    // 0.5 + 0.8 · 0.18 = 0.644; the voucher keeps 0.72.
    let lifted = stage.hv.standing(&stage.session, &did("low")).unwrap();
    assert_eq!(lifted, ("0.644".parse().unwrap(), Ring::Standard));
    assert_eq!(stage.hv.standing(&stage.session, &did("a")).unwrap().0, "0.72".parse().unwrap());
    // Every refusal of the ledger is on the trail too.
    assert!(stage.hv.vouch(&stage.session, &did("low"), &did("a"), stake).await.is_err());
    assert_eq!(stage.denials().len(), 1);
    let again = Hypervisor::open(stage.log.clone(), stage.clock.clone()).unwrap();
    assert_eq!(again.standing(&stage.session, &did("low")).unwrap(), lifted);
    assert_eq!(again.open_sessions().unwrap(), std::slice::from_ref(&stage.session));
    let root = stage.hv.terminate_session(&stage.session).await.unwrap();
    assert_ne!(root, Default::default());
    assert!(
        Hypervisor::open(stage.log.clone(), stage.clock.clone()).unwrap().open_sessions().unwrap().is_empty()
    );
    assert!(stage.log_length(StreamNo::NODE) >= 2);
}

impl Stage {
    fn log_length(&self, stream: StreamNo) -> u64 {
        self.hv.log().head(stream).unwrap().length
    }
}

#[tokio::test]
async fn requests_that_concern_no_session_are_denied_on_the_node_stream() {
    let stage = stage("0.9").await;
    let nowhere = SessionId::new("nowhere").unwrap();
    assert!(stage.hv.join_session(&nowhere, &Entrant::new(did("b"))).await.is_err());
    let again = stage.hv.create_session(&stage.session, SessionConfig::default(), &did("admin")).await;
    assert!(matches!(again, Err(Error::Denied(_))));
    let reasons: Vec<String> = stage.denials().into_iter().map(|denial| denial.to_string()).collect();
    assert!(reasons[0].contains("nowhere") && reasons[1].contains('s'), "{reasons:?}");
}

fn mode(stage: &Stage) -> ConsistencyMode {
    stage.hv.session_view(&stage.session).unwrap().mode
}

#[tokio::test]
async fn whoever_says_that_an_action_cannot_be_undone_forces_the_strong_mode() {
    use ConsistencyMode::{Eventual, Strong};
    let read = Claim { kind: Some(ActionKind::ReadOnly), ..effect(Reversibility::None) };
    for (claim, expected) in
        [(effect(Reversibility::None), Strong), (effect(Reversibility::Full), Eventual), (read, Eventual)]
    {
        // The manifest of an agent that joins, and not of one that may not.
        let on = stage("0.85").await;
        let twice = Entrant::new(did("a")).with_claim(action("send"), claim);
        on.hv.join_session(&on.session, &twice).await.unwrap_err();
        assert_eq!(mode(&on), Eventual, "a join that fails leaves nothing");
        let joins = Entrant::new(did("b")).with_claim(action("send"), claim);
        on.hv.join_session(&on.session, &joins).await.unwrap();
        assert_eq!(mode(&on), expected, "joins: {claim:?}");
        let on = stage("0.85").await;
        let child = Entrant::new(did("b")).with_parent(did("a")).with_claim(action("send"), claim);
        on.hv.join_session(&on.session, &child).await.unwrap();
        assert_eq!(mode(&on), expected, "a child joins: {claim:?}");
        // What is registered, declared, or said with a saga.
        let on = stage("0.85").await;
        on.hv.register_action(&on.session, &action("send"), claim).await.unwrap();
        assert_eq!(mode(&on), expected, "registered: {claim:?}");
        let on = stage("0.85").await;
        on.hv.declare_action(&on.session, &action("send"), claim).await.unwrap();
        assert_eq!(mode(&on), expected, "declared: {claim:?}");
        let on = stage("0.85").await;
        let host = on.hv.saga(&on.session, &SagaId::new("g").unwrap()).registering(action("send"), claim);
        let step = StepDef::new(StepId::new("s").unwrap(), action("send"), did("a"), Task::closure("work"));
        host.create(Plan::new(vec![Arc::new(step)])).await.unwrap();
        assert_eq!(mode(&on), expected, "said with a saga: {claim:?}");
    }
    // Of what nothing is said of its undo, it is not said that there is one.
    let on = stage("0.85").await;
    let unsaid = Claim { kind: Some(ActionKind::Effect), ..Claim::default() };
    on.hv.register_action(&on.session, &action("send"), unsaid).await.unwrap();
    assert_eq!(mode(&on), Strong);
}

/// The action can be undone, and the step brings no undo.
#[tokio::test]
async fn a_step_that_cannot_be_undone_forces_the_strong_mode_when_it_starts() {
    let log = Arc::new(MemoryLog::new());
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000_000)));
    let hv = Hypervisor::open(log.clone(), clock.clone()).unwrap();
    let session = SessionId::new("s").unwrap();
    hv.create_session(&session, SessionConfig::default(), &did("admin")).await.unwrap();
    hv.join_session(&session, &Entrant::new(did("a")).with_sigma("0.85".parse().unwrap())).await.unwrap();
    let set = Override { ring: Some(Ring::Standard), risk: None };
    hv.override_action(&session, &action("work"), set).await.unwrap();
    hv.register_action(&session, &action("work"), effect(Reversibility::Full)).await.unwrap();
    hv.activate_session(&session).await.unwrap();
    let stage = Stage { hv, log, clock, session };
    let step = StepDef::new(StepId::new("s").unwrap(), action("work"), did("a"), Task::closure("work"));
    let undone = step.clone().with_undo(Task::closure("work"));
    assert_eq!(stage.step("undone", undone, vec![0]).await, (SagaState::Completed, 1));
    assert_eq!(mode(&stage), ConsistencyMode::Eventual);
    assert_eq!(stage.step("final", step, vec![]).await, (SagaState::Completed, 1));
    assert_eq!(mode(&stage), ConsistencyMode::Strong);
    let again = Hypervisor::open(stage.log.clone(), stage.clock.clone()).unwrap();
    assert_eq!(again.state_digest().unwrap(), stage.hv.state_digest().unwrap());
}

/// What `a` loses.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lost {
    Nothing,
    Trust,
    Life,
}

/// Uses a grant when `a` has lost that, and keeps what came of it.
struct Late {
    hv: Hypervisor,
    lost: Lost,
    opened: Mutex<Option<Result<(), Mismatch>>>,
}

impl Executor<Grant> for Late {
    fn run<'a>(
        &'a self,
        permit: Grant,
        _: &'a hv_core::saga::Attempt,
    ) -> hv_core::saga::BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.lost {
                Lost::Nothing => {}
                Lost::Trust => {
                    self.hv.quarantine(&did("a"), Duration::from_secs(60)).await.unwrap();
                }
                Lost::Life => {
                    let target = KillTarget::Agent { did: did("a") };
                    let order = KillOrder { target, by: None, reason: "no".to_owned() };
                    self.hv.kill(&order, async { Ok::<_, String>(()) }).await.unwrap();
                }
            }
            let call = permit.call();
            *self.opened.lock().unwrap() = Some(permit.redeem(&call, self.hv.now()).map(drop));
            Outcome::failed(Class::Permanent, Why::NotPermitted)
        })
    }

    fn stops_within(&self) -> Duration {
        Duration::ZERO
    }
}

/// What an agent does, each of those for whom it acts could do itself, also at the moment in which it begins: its parent,
/// and whom its saga names.
#[tokio::test]
async fn r4_a_grant_opens_nothing_once_somebody_for_whom_the_agent_acts_may_not_act() {
    for lost in [Lost::Nothing, Lost::Trust, Lost::Life] {
        for named in [false, true] {
            let stage = stage("0.9").await;
            let other = Entrant::new(did("b")).with_sigma("0.9".parse().unwrap());
            let other = if named { other } else { other.with_parent(did("a")) };
            stage.hv.join_session(&stage.session, &other).await.unwrap();
            let act = effect(Reversibility::Full);
            stage.hv.register_action(&stage.session, &action("act"), act).await.unwrap();
            let step = StepDef { agent: did("b"), ..plain("act").with_undo(Task::closure("work")) };
            let host = stage.hv.saga(&stage.session, &SagaId::new("g").unwrap()).accepting(vec![0]);
            let host = host.on_behalf_of(if named { vec![did("a")] } else { vec![] });
            let late = Late { hv: stage.hv.clone(), lost, opened: Mutex::default() };
            let first = SagaCommand::begin(Plan::new(vec![Arc::new(step)]));
            drive(&host, &late, &Control::new(), first).await.unwrap();
            let expected = if lost == Lost::Nothing { Ok(()) } else { Err(Mismatch::Withdrawn) };
            assert_eq!(late.opened.into_inner().unwrap(), Some(expected), "named {named}, lost {lost:?}");
        }
    }
}
