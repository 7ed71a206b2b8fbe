//! The kill switch: what it stops, from when on, and what its record says.

use hv_core::audit::MemoryLog;
use hv_core::event::{KillAnswer, KillTarget, NodeEvent};
use hv_core::rings::class::Claim;
use hv_core::saga::exec::Closures;
use hv_core::saga::{Attempt, Outcome, Permit, Plan, SagaCommand, SagaState, StepDef};
use hv_core::session::{Eviction, Expect, SessionConfig, Standing};
use hv_core::types::{ActionId, ActionKind, Did, Reversibility, SagaId, SessionId, StepId};
use hv_core::{Entrant, Error, Grant, Hypervisor, KillOrder, Reason, SystemClock, TrailEvent, read_record};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn order(target: KillTarget) -> KillOrder {
    KillOrder { target, by: Some(did("admin")), reason: "it leaks".to_owned() }
}

fn agent(name: &str) -> KillTarget {
    KillTarget::Agent { did: did(name) }
}

fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

fn change() -> ActionId {
    ActionId::new("change").unwrap()
}

async fn done() -> Result<(), Infallible> {
    Ok(())
}

/// Active sessions of these names, each with these agents, all of whom may change something.
async fn stage(sessions: &[&str], agents: &[&str]) -> (Hypervisor, Arc<MemoryLog>) {
    let log = Arc::new(MemoryLog::new());
    let hv = Hypervisor::open(log.clone(), Arc::new(SystemClock)).unwrap();
    for name in sessions {
        let id = session(name);
        let config = SessionConfig::default().with_max_participants(1000).unwrap();
        hv.create_session(&id, config, &did("admin")).await.unwrap();
        for name in agents {
            hv.join_session(&id, &Entrant::new(did(name)).with_sigma("0.85".parse().unwrap())).await.unwrap();
        }
        let claim = Claim {
            kind: Some(ActionKind::Effect),
            reversibility: Some(Reversibility::Full),
            ..Claim::default()
        };
        hv.register_action(&id, &change(), claim).await.unwrap();
        hv.activate_session(&id).await.unwrap();
    }
    (hv, log)
}

fn step(agent: &str) -> Arc<StepDef> {
    Arc::new(Closures::step(StepId::new("only").unwrap(), change(), did(agent), "work"))
}

/// Runs one step of an agent; whether it was executed.
async fn acts(hv: &Hypervisor, id: &str, agent: &str) -> bool {
    static SAGAS: AtomicU64 = AtomicU64::new(0);
    let name = SagaId::new(&format!("g{}", SAGAS.fetch_add(1, Ordering::SeqCst))).unwrap();
    let host = hv.create_saga(&session(id), &name, Plan::new(vec![step(agent)]), vec![0]).await.unwrap();
    let end = host.run(SagaCommand::advance(), |_| async { Outcome::done() }).await.unwrap();
    end == SagaState::Completed
}

fn told(log: &MemoryLog) -> Vec<NodeEvent> {
    use hv_core::audit::Log;
    let mut events = Vec::new();
    log.replay(&mut |entry| {
        for event in read_record(&entry).unwrap().events {
            if let TrailEvent::Node(event) = event {
                events.push(event);
            }
        }
        Ok(())
    })
    .unwrap();
    events
}

#[tokio::test]
async fn each_target_stops_what_it_names_and_nothing_else() {
    // (target, a in s acts, b in s acts, a in t acts, new agent joins s)
    let cases = [
        (KillTarget::All {}, [false; 4]),
        (KillTarget::Session { id: session("s") }, [false, false, true, false]),
        (agent("a"), [false, true, false, true]),
        (KillTarget::Action { action: change() }, [false, false, false, true]),
    ];
    for (target, expected) in cases {
        let (hv, log) = stage(&["s", "t"], &["a", "b"]).await;
        assert_eq!(hv.kill(&order(target.clone()), done()).await.unwrap(), KillAnswer::Stopped {});
        let joins = hv.join_session(&session("s"), &Entrant::new(did("new"))).await;
        let seen =
            [acts(&hv, "s", "a").await, acts(&hv, "s", "b").await, acts(&hv, "t", "a").await, joins.is_ok()];
        assert_eq!(seen, expected, "{target}");
        // A node that replays the log knows it too.
        let again = Hypervisor::open(log, Arc::new(SystemClock)).unwrap();
        assert_eq!(again.kills().unwrap(), hv.kills().unwrap());
        assert!(!acts(&again, "s", "a").await, "{target}");
        again.lift_kill(&order(target.clone())).await.unwrap();
        if matches!(target, KillTarget::Agent { .. }) {
            again.readmit_agent(&session("s"), &did("a")).await.unwrap();
            again.join_session(&session("s"), &Entrant::new(did("a"))).await.unwrap();
        }
        assert!(acts(&again, "s", "a").await, "{target}");
    }
}

#[tokio::test]
async fn a_killed_agent_reads_no_file_vouches_for_nobody_and_is_out() {
    let (hv, _) = stage(&["s"], &["a", "b"]).await;
    hv.kill(&order(agent("a")), done()).await.unwrap();
    let denied = |result: Result<(), Error>| match result {
        Err(Error::Denied(denied)) => denied.reason,
        other => panic!("{other:?}"),
    };
    let read = hv.read_file(&session("s"), &did("a"), "x").await.map(|_| ());
    assert!(matches!(denied(read), Reason::Killed { .. }));
    let write = hv.write_file(&session("s"), &did("a"), "x", vec![1], Expect::Any).await;
    assert!(matches!(denied(write), Reason::Killed { .. }));
    let again = hv.kill(&order(agent("a")), done()).await.map(|_| ());
    assert!(matches!(denied(again), Reason::AlreadyKilled { .. }));
    let stake = hv_core::liability::Stake::Default;
    assert!(matches!(
        denied(hv.vouch(&session("s"), &did("a"), &did("b"), stake).await),
        Reason::Killed { .. }
    ));
    assert!(matches!(denied(hv.lift_kill(&order(agent("b"))).await), Reason::NotKilled { .. }));
    // The last member may be killed as well; then the session is only left to end.
    hv.kill(&order(agent("b")), done()).await.unwrap();
    hv.terminate_session(&session("s")).await.unwrap();
}

#[tokio::test]
async fn what_came_of_the_callback_is_recorded_either_way() {
    let (hv, log) = stage(&["s"], &["a", "b"]).await;
    hv.kill(&order(agent("a")), async { Err("no such process") }).await.unwrap();
    hv.kill(&order(agent("b")), async { Err::<(), _>(panics()) }).await.unwrap();
    let began = std::time::Instant::now();
    let never = async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok::<_, Infallible>(())
    };
    let late = hv.kill(&order(KillTarget::All {}), never).await.unwrap();
    assert_eq!(late, KillAnswer::Late {});
    assert!((5..10).contains(&began.elapsed().as_secs()));
    let answers: Vec<KillAnswer> = told(&log)
        .into_iter()
        .filter_map(|event| match event {
            NodeEvent::KillAnswered { answer, .. } => Some(answer),
            _ => None,
        })
        .collect();
    let failed = |why: &str| KillAnswer::Failed { why: why.to_owned() };
    assert_eq!(answers, [failed("no such process"), failed("the callback panicked"), KillAnswer::Late {}]);
}

#[test]
fn without_a_runtime_a_kill_holds_and_says_that_nothing_was_stopped() {
    let hv = Hypervisor::in_memory().unwrap();
    let order = order(agent("a"));
    let killing = std::pin::pin!(hv.kill(&order, done()));
    let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
    // In memory and without a runtime, everything happens where it is asked for.
    let std::task::Poll::Ready(answer) = killing.poll(context) else { panic!("nothing waits") };
    assert!(matches!(answer.unwrap(), KillAnswer::Failed { .. }));
    assert_eq!(hv.kills().unwrap().len(), 1);
}

fn panics() -> &'static str {
    panic!("the callback itself fails")
}

/// Starts effects the way it is told to, and counts those that begin although their agent is killed.
struct Watched {
    hv: Hypervisor,
    begun: AtomicU64,
    after_the_kill: AtomicU64,
    careful: bool,
}

impl Watched {
    fn effect(&self, agent: &Did) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let killed = self.hv.kills().unwrap();
        let hit = killed.iter().any(|(target, _)| *target == KillTarget::Agent { did: agent.clone() });
        self.after_the_kill.fetch_add(u64::from(hit), Ordering::SeqCst);
    }

    fn start(&self, permit: Grant, attempt: &Attempt) -> Outcome {
        let now = self.hv.now();
        if self.careful {
            let _ = permit.start(attempt, now, || self.effect(&attempt.agent));
        } else if Permit::redeem(permit, attempt, now).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
            self.effect(&attempt.agent);
        }
        Outcome::done()
    }
}

impl hv_core::saga::Executor<Grant> for Watched {
    fn run<'a>(&'a self, permit: Grant, attempt: &'a Attempt) -> hv_core::saga::BoxFuture<'a, Outcome> {
        let outcome = self.start(permit, attempt);
        Box::pin(std::future::ready(outcome))
    }

    fn stops_within(&self) -> Duration {
        Duration::ZERO
    }
}

/// So many agents are killed while they act; how many effects began, and how many of them after the kill.
fn hunted(kills: u64, careful: bool) -> (u64, u64) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_time().build().unwrap();
    runtime.block_on(async {
        let (hv, _) = stage(&["s"], &["stays"]).await;
        let (begun, after_the_kill) = (AtomicU64::new(0), AtomicU64::new(0));
        let watched = Arc::new(Watched { hv: hv.clone(), begun, after_the_kill, careful });
        let names = Arc::new(AtomicU64::new(0));
        for n in 0..kills {
            let name = format!("k{n}");
            let entrant = Entrant::new(did(&name)).with_sigma("0.85".parse().unwrap());
            hv.join_session(&session("s"), &entrant).await.unwrap();
            let acting: Vec<_> = (0..2)
                .map(|_| {
                    let (hv, watched, names, name) =
                        (hv.clone(), watched.clone(), names.clone(), name.clone());
                    tokio::spawn(async move {
                        loop {
                            let saga =
                                SagaId::new(&format!("h{}", names.fetch_add(1, Ordering::SeqCst))).unwrap();
                            let plan = Plan::new(vec![step(&name)]);
                            let host = hv.create_saga(&session("s"), &saga, plan, vec![0]).await.unwrap();
                            let control = hv_core::saga::drive::Control::new();
                            let first = SagaCommand::advance();
                            let end = hv_core::saga::drive::drive(&host, &*watched, &control, first).await;
                            if end.unwrap() != SagaState::Completed || host.take_refused().is_some() {
                                return;
                            }
                        }
                    })
                })
                .collect();
            // Not before one of them has begun something, as far as the machine lets them.
            let before = watched.begun.load(Ordering::SeqCst);
            for _ in 0..50 {
                if watched.begun.load(Ordering::SeqCst) > before {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            hv.kill(&order(agent(&name)), done()).await.unwrap();
            for task in acting {
                task.await.unwrap();
            }
        }
        (watched.begun.load(Ordering::SeqCst), watched.after_the_kill.load(Ordering::SeqCst))
    })
}

#[test]
fn r4_no_effect_of_a_killed_agent_begins_after_the_record_of_its_kill() {
    let kills = if std::env::var_os("HV_DEEP").is_some() { 10_000 } else { 300 };
    let (begun, after) = hunted(kills, true);
    assert!(begun >= kills / 10, "the agents act: {begun} effects under {kills} kills");
    assert_eq!(after, 0, "{begun} effects under {kills} kills");
}

#[test]
fn an_executor_that_only_asks_beforehand_is_found_to_be_late() {
    let (begun, after) = hunted(40, false);
    assert!(after > 0, "the test sees nothing: {begun} effects");
}

#[tokio::test]
async fn a_watcher_that_panics_or_falls_behind_harms_nobody() {
    let (hv, _) = stage(&["s"], &["a"]).await;
    let mut slow = hv.subscribe();
    let seen = Arc::new(Mutex::new(0));
    let (mut good, mut bad, counted) = (hv.subscribe(), hv.subscribe(), seen.clone());
    let bad = tokio::spawn(async move {
        bad.recv().await.unwrap();
        panic!("a bad watcher");
    });
    let good = tokio::spawn(async move {
        while let Ok(_notice) = good.recv().await {
            *counted.lock().unwrap() += 1;
        }
    });
    for n in 0..2000 {
        hv.note(&session("s"), &format!("n{}", n % 7), vec![1]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(bad.await.is_err());
    let missed = slow.recv().await.unwrap_err();
    assert!(matches!(missed, tokio::sync::broadcast::error::RecvError::Lagged(n) if n >= 900), "{missed:?}");
    drop(hv);
    good.await.unwrap();
    assert_eq!(*seen.lock().unwrap(), 2000);
}

#[tokio::test]
async fn a_kill_that_nobody_waits_for_any_more_is_answered_and_puts_out_all_the_same() {
    let (hv, log) = stage(&["s", "t"], &["a", "b"]).await;
    let stop = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok::<_, Infallible>(())
    };
    let target = order(agent("a"));
    let given_up = tokio::time::timeout(Duration::from_millis(20), hv.kill(&target, stop)).await;
    assert!(given_up.is_err());
    let members = |id: &str| hv.session_view(&session(id)).unwrap().members;
    for id in ["s", "t"] {
        let a = members(id).into_iter().find(|member| member.did == did("a")).unwrap();
        assert_eq!(a.standing, Standing::Evicted { reason: Eviction::Killed }, "{id}");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answers = told(&log).into_iter().filter(|event| matches!(event, NodeEvent::KillAnswered { .. }));
    assert_eq!(answers.count(), 1);
}

/// The callback may take its time, and what the agent was to its sessions ends with the record of the kill.
#[tokio::test]
async fn who_acts_for_a_killed_agent_is_out_with_it_before_the_callback_has_answered() {
    let (hv, log) = stage(&["s"], &["a", "b"]).await;
    let child = Entrant::new(did("c")).with_parent(did("a")).with_sigma("0.85".parse().unwrap());
    hv.join_session(&session("s"), &child).await.unwrap();
    let (asked, answer) = tokio::sync::oneshot::channel::<()>();
    let killing = tokio::spawn({
        let hv = hv.clone();
        async move { hv.kill(&order(agent("a")), async { answer.await.map_err(|_| "gone") }).await }
    });
    while hv.kills().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    for name in ["a", "c"] {
        let read = hv.read_file(&session("s"), &did(name), "x").await;
        assert!(read.is_err(), "{name}");
        assert!(hv.leave_session(&session("s"), &did(name)).await.is_err(), "{name} leaves no more");
    }
    // Whoever ends the process now finds the agent out when it is lifted, too.
    let again = Hypervisor::open(log, Arc::new(SystemClock)).unwrap();
    again.lift_kill(&order(agent("a"))).await.unwrap();
    assert!(again.join_session(&session("s"), &Entrant::new(did("a"))).await.is_err());
    asked.send(()).unwrap();
    assert_eq!(killing.await.unwrap().unwrap(), KillAnswer::Stopped {});
}

/// However many sessions an agent is in, its kill is no larger than a batch may be: the rest follows it.
#[tokio::test]
async fn an_agent_in_very_many_sessions_is_killed_and_put_out_of_all() {
    let names: Vec<String> = (0..1100).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (hv, _log) = stage(&names, &["a"]).await;
    let mut notices = hv.subscribe();
    assert_eq!(hv.kill(&order(agent("a")), done()).await.unwrap(), KillAnswer::Stopped {});
    let out = Standing::Evicted { reason: Eviction::Killed };
    for name in names {
        assert_eq!(hv.session_view(&session(name)).unwrap().members[0].standing, out, "{name}");
    }
    let batches: Vec<usize> =
        std::iter::from_fn(|| notices.try_recv().ok()).map(|n| n.said().count()).collect();
    assert!(batches.len() > 2 && batches.iter().all(|said| *said <= 1024), "{batches:?}");
    assert_eq!(
        batches.iter().sum::<usize>(),
        1 + 2 * 1100 + 1,
        "the kill, the members, empty sessions, the answer"
    );
}
