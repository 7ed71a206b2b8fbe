//! Many at once: what holds of ledger and sessions under threads, and a slash against whoever acts meanwhile.

use hv_core::audit::MemoryLog;
use hv_core::event::{LedgerEvent, MembershipEvent, NodeEvent, SessionEvent};
use hv_core::liability::{Ledger, Stake, checks};
use hv_core::rings::class::Claim;
use hv_core::rings::rate::{Limits, PerRing, Rate};
use hv_core::saga::{
    Attempt, Class, Failure, Host, Permit, Plan, Purpose, Reason, Report, SagaCommand, SagaState, StepDef,
    Task, Verdict,
};
use hv_core::session::SessionConfig;
use hv_core::types::{ActionId, ActionKind, Did, Machine, Reversibility, SagaId, SessionId, StepId};
use hv_core::{
    Entrant, Grant, Guards, Hypervisor, ManualClock, SagaHost, Scoring, SystemClock, TrailEvent, read_record,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that look drawn and repeat for a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(most).unwrap()).unwrap()
    }
}

fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn session(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

fn step(n: usize, agent: &Did, after: Vec<u32>) -> Arc<StepDef> {
    let (id, action) = (StepId::new(&format!("s{n}")).unwrap(), ActionId::new("change").unwrap());
    let step = StepDef::new(id, action, agent.clone(), Task::closure("work"));
    Arc::new(StepDef { after, ..step.with_undo(Task::closure("work")) })
}

async fn begin(hv: &Hypervisor, id: &SessionId, agents: &[Did], sigma: &str) {
    let config = SessionConfig::default().with_max_participants(8).unwrap();
    hv.create_session(id, config, &did("admin")).await.unwrap();
    for agent in agents {
        // A full session takes nobody, and that is no fault here.
        let _ = hv.join_session(id, &Entrant::new(agent.clone()).with_sigma(sigma.parse().unwrap())).await;
    }
    let undoable = Claim {
        kind: Some(ActionKind::Effect),
        reversibility: Some(Reversibility::Full),
        ..Claim::default()
    };
    hv.register_action(id, &ActionId::new("change").unwrap(), undoable).await.unwrap();
    hv.activate_session(id).await.unwrap();
}

/// What is granted in a saga and waits for somebody to do it, and what was begun.
struct Pending {
    host: usize,
    attempt: Attempt,
    /// None once it has begun.
    grant: Option<Grant>,
}

fn failed() -> Verdict {
    Verdict::Failed(Failure::new(Class::Permanent, Reason::NotPermitted))
}

/// One order of events, by a scheduler of our own: one saga of an agent with four steps at once, and one whose undo
/// fails, so that the agent is slashed. Gives how many effects there were, and how many were stopped by the slash.
async fn interleaving(seed: u64) -> (u32, u32) {
    let hv = Hypervisor::open(Arc::new(MemoryLog::new()), Arc::new(ManualClock::at(START))).unwrap();
    let (id, agent) = (session("s"), did("a"));
    begin(&hv, &id, std::slice::from_ref(&agent), "0.9").await;
    let hosts: [SagaHost; 2] =
        ["acts", "fails"].map(|name| hv.saga(&id, &SagaId::new(name).unwrap()).accepting((0..4).collect()));
    let plans = [
        Plan::new((0..4).map(|n| step(n, &agent, vec![])).collect()),
        Plan::new(vec![step(0, &agent, vec![]), step(1, &agent, vec![0])]),
    ];
    let mut dice = Dice(seed);
    let mut pending: Vec<Pending> = Vec::new();
    let mut unbegun: Vec<(usize, Plan)> = plans.into_iter().enumerate().collect();
    let (mut slashed, mut effects, mut stopped) = (false, 0, 0);
    while !pending.is_empty() || !unbegun.is_empty() {
        let choice = dice.below(pending.len() + unbegun.len());
        let (host, command) = if choice >= pending.len() {
            let (host, plan) = unbegun.remove(choice - pending.len());
            (host, SagaCommand::begin(plan))
        } else {
            let now = hv.now();
            let next = &mut pending[choice];
            let fails =
                next.host == 1 && (next.attempt.purpose == Purpose::Undo || next.attempt.ordinal == 1);
            let verdict = match next.grant.take() {
                Some(grant) => match Permit::redeem(grant, &next.attempt, now) {
                    Ok(()) => {
                        let executes = next.attempt.purpose == Purpose::Execute;
                        assert!(!(slashed && executes), "seed {seed}: an effect after the slash");
                        effects += u32::from(executes);
                        continue;
                    }
                    Err(_) => {
                        stopped += 1;
                        failed()
                    }
                },
                None if fails => failed(),
                None => Verdict::Done,
            };
            let done = pending.swap_remove(choice);
            (done.host, SagaCommand::from(Report::of(done.attempt.at(), verdict)))
        };
        let Some(saga) = hosts.get(host) else { panic!("two hosts") };
        // The agent may be put out in between; then its saga takes nothing more, and that is the end of it.
        let Ok(progress) = saga.commit(command, None).await else { continue };
        slashed |= host == 1 && progress.state == SagaState::Escalated;
        let starts = progress.starts.into_iter();
        pending.extend(starts.map(|(attempt, grant)| Pending { host, attempt, grant: Some(grant) }));
    }
    (effects, stopped)
}

const START: hv_core::types::Timestamp = hv_core::types::Timestamp(1_000_000_000);

#[tokio::test]
async fn r4_no_effect_begins_after_a_slash_was_recorded_in_whatever_order() {
    let orders = if std::env::var_os("HV_DEEP").is_some() { 100_000 } else { 1_000 };
    let (mut effects, mut stopped, mut both) = (0, 0, 0);
    for seed in 0..orders {
        let (began, ended) = interleaving(seed).await;
        effects += began;
        stopped += ended;
        both += u32::from(began > 1 && ended > 0);
    }
    assert!(effects > 0 && stopped > 0 && both > 0, "{effects} effects, {stopped} stopped, {both} with both");
}

/// An agent that answers for an undo that failed.
async fn disgrace(hv: &Hypervisor, id: &SessionId, agent: &Did, name: &str) {
    let saga = hv.saga(id, &SagaId::new(name).unwrap()).accepting(vec![0, 1]);
    let plan = Plan::new(vec![step(0, agent, vec![]), step(1, agent, vec![0])]);
    let Ok(mut progress) = saga.commit(SagaCommand::begin(plan), None).await else { return };
    while let Some((attempt, grant)) = progress.starts.pop() {
        let begun = Permit::redeem(grant, &attempt, hv.now()).is_ok();
        let works = begun && attempt.purpose == Purpose::Execute && attempt.ordinal == 0;
        let verdict = if works { Verdict::Done } else { failed() };
        let Ok(next) = saga.commit(Report::of(attempt.at(), verdict).into(), None).await else { return };
        progress = next;
    }
}

#[test]
fn sixty_four_threads_break_no_promise_of_the_ledger() {
    const THREADS: u64 = 64;
    const AGENTS: usize = 40;
    const SESSIONS: usize = 6;
    let deep = std::env::var_os("HV_DEEP").is_some();
    let operations: u64 = if deep { 1_000_000 } else { 12_800 };
    let fast = Rate { per_second: u32::MAX, burst: u32::MAX };
    let rate = PerRing { root: fast, privileged: fast, standard: fast, sandbox: fast };
    let guards =
        Guards { limits: Limits { rate, ..Limits::default() }, score: Scoring::Off, ..Guards::default() };
    let log = Arc::new(MemoryLog::new());
    let hv = Hypervisor::open_guarded(log.clone(), Arc::new(SystemClock), guards).unwrap();
    let agents: Vec<Did> = (0..AGENTS).map(|n| did(&format!("a{n}"))).collect();
    let sessions: Vec<SessionId> = (0..SESSIONS).map(|n| session(&format!("s{n}"))).collect();
    let block_on = |work: &mut dyn FnMut(&tokio::runtime::Runtime)| {
        work(&tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap());
    };
    block_on(&mut |runtime| {
        for (n, id) in sessions.iter().enumerate() {
            let members: Vec<Did> = agents.iter().cycle().skip(n * 7).take(8).cloned().collect();
            runtime.block_on(begin(&hv, id, &members, "0.9"));
        }
    });
    let accepted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (hv, agents, sessions, accepted) = (&hv, &agents, &sessions, &accepted);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                let mut dice = Dice(thread);
                runtime.block_on(async {
                    for n in 0..operations / THREADS {
                        let (id, agent) = (&sessions[dice.below(SESSIONS)], &agents[dice.below(AGENTS)]);
                        let done = match dice.below(40) {
                            0..24 => {
                                let other = &agents[dice.below(AGENTS)];
                                let share = u64::try_from(1 + dice.below(300_000)).unwrap();
                                let stake = Stake::Share(hv_core::types::Share::capped(share));
                                hv.vouch(id, agent, other, stake).await.is_ok()
                            }
                            24..32 => hv.join_session(id, &Entrant::new(agent.clone())).await.is_ok(),
                            32..39 => hv.leave_session(id, agent).await.is_ok(),
                            _ => {
                                disgrace(hv, id, agent, &format!("t{thread}-{n}")).await;
                                true
                            }
                        };
                        accepted.fetch_add(u64::from(done), Ordering::Relaxed);
                    }
                });
            });
        }
    });
    // What the trail says is a ledger that keeps its promises after each of its records, and the node's own.
    let (mut ledger, mut vouches, mut slashes, mut told) = (Ledger::default(), 0u32, 0u32, 0u32);
    let (mut checked, mut members) = (0, BTreeMap::new());
    hv.log()
        .replay(&mut |entry| {
            for event in read_record(&entry).unwrap().events {
                match event {
                    TrailEvent::Ledger(event) => {
                        if let LedgerEvent::Vouched { voucher, amount, at, .. } = &event {
                            vouches += 1;
                            let voucher = ledger.did(*voucher).unwrap();
                            assert!(*amount <= ledger.capacity(voucher, *at), "L2: {voucher}");
                        }
                        slashes += u32::from(matches!(event, LedgerEvent::Slashed { .. }));
                        ledger.apply(&event).unwrap();
                        checked += 1;
                        if !deep || checked % 64 == 0 {
                            checks::ledger(&ledger, entry.time).unwrap();
                        }
                    }
                    TrailEvent::Session(event) => {
                        let SessionEvent::Session { event } = *event else { continue };
                        let present: &mut i32 = members.entry(entry.stream).or_default();
                        *present += match event {
                            MembershipEvent::Joined { .. } | MembershipEvent::Rejoined { .. } => 1,
                            MembershipEvent::Left { .. } | MembershipEvent::Evicted { .. } => -1,
                            _ => 0,
                        };
                        assert!((0..=8).contains(present), "a session has as many members as it may");
                    }
                    TrailEvent::Node(NodeEvent::Folded { .. } | NodeEvent::Denied { .. }) => told += 1,
                    _ => {}
                }
            }
            Ok(())
        })
        .unwrap();
    checks::ledger(&ledger, hv.now()).unwrap();
    assert!(vouches > 0 && slashes > 0 && told > 0 && accepted.load(Ordering::Relaxed) > 100);
    // A node that replays the trail is the same node.
    let again = Hypervisor::open(log, Arc::new(SystemClock)).unwrap();
    for (id, agent) in sessions.iter().flat_map(|id| agents.iter().map(move |agent| (id, agent))) {
        assert_eq!(again.standing(id, agent).ok(), hv.standing(id, agent).ok(), "{id} {agent}");
    }
}
