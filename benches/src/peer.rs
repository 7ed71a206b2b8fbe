//! The workloads of the comparison with agent-hypervisor (Python), under the names of its own benchmark.
//!
//! `benches/peer/peer.py` does the same work with that package. A workload that is not in [`WORKLOADS`] is not
//! compared. Each run starts from fresh state, warms up with as many calls as the Python benchmark does, and
//! then times all calls together, because a call here can be shorter than reading the clock.

use core::fmt::{Display, Write};
use hv_core::audit::{Entry, Log, MemoryLog, StreamNo};
use hv_core::event::{MembershipEvent, RECORD_VERSION, SessionEvent};
use hv_core::rings::class::Claim;
use hv_core::rings::rate::{Limits, PerRing, Rate};
use hv_core::saga::exec::Closures;
use hv_core::saga::{Outcome, Plan, SagaCommand, SagaState, StepDef, Steps};
use hv_core::session::{Content, Expect, FileEvent, FilePath, SessionConfig};
use hv_core::{Clock, Entrant, Guards, Hypervisor, SagaHost, SystemClock};
use hv_liability::{Command, Ledger, SessionNo, Source, Stake, VouchOrder};
use hv_rings::earned;
use hv_types::{
    ActionId, ActionKind, Did, Digest, Reversibility, SagaId, SessionId, Sigma, Solo, StepId, Timestamp, Wire,
};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// A piece of work that both sides can do.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// The name that the Python benchmark gives it.
    pub name: &'static str,
    /// Does it this many times.
    pub run: fn(u64) -> Result<Timed, String>,
}

/// How long the calls of one run took.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Nanoseconds for each call, warm-up excluded.
    pub ns_per_call: f64,
    /// What the last call answered: a ring, a score, a root.
    pub answer: String,
}

/// Every workload that this side runs.
pub const WORKLOADS: &[Workload] = &[
    Workload { name: "ring_computation", run: ring_computation },
    Workload { name: "vouching_sigma_eff", run: vouching_sigma_eff },
    Workload { name: "delta_capture", run: delta_capture },
    Workload { name: "merkle_root_10_deltas", run: merkle_root::<10> },
    Workload { name: "merkle_root_100_deltas", run: merkle_root::<100> },
    Workload { name: "chain_verify_50_deltas", run: chain_verify::<50> },
    Workload { name: "session_lifecycle", run: session_lifecycle },
    Workload { name: "saga_3_steps", run: saga_3_steps },
    Workload { name: "saga_of_3_new_steps", run: saga_of_3_new_steps },
    Workload { name: "full_governance_pipeline", run: full_governance_pipeline },
];

/// The ring that a score of 0.85 earns, from the floating-point number on, as the Python package takes it.
fn ring_computation(calls: u64) -> Result<Timed, String> {
    timed(calls, || Sigma::try_from(black_box(0.85)).map(|sigma| earned(sigma).number()))
}

/// One vouch between two agents that nobody heard of before, in a session of its own, and the score that it
/// gives; everything vouched before stays.
fn vouching_sigma_eff(calls: u64) -> Result<Timed, String> {
    let mut ledger = Solo::<Ledger>::default();
    let (mut n, mut name) = (0, String::new());
    timed(calls, || -> Result<_, String> {
        n += 1;
        let now = Timestamp(n);
        let session = SessionNo(u32::try_from(n).map_err(text)?);
        let (voucher, vouchee) = (did(&mut name, "did:v:", n)?, did(&mut name, "did:e:", n)?);
        for (agent, ppm) in [(&voucher, 900_000), (&vouchee, 400_000)] {
            let sigma = Sigma::from_ppm(ppm).map_err(text)?;
            let endow = Command::Endow { agent: agent.clone(), sigma, source: Source::Asserted };
            ledger.run(&endow, now).map_err(debug)?;
        }
        let order =
            VouchOrder { session, voucher, vouchee: vouchee.clone(), stake: Stake::Default, expires: None };
        ledger.run(&Command::Vouch(order), now).map_err(debug)?;
        Ok(ledger.state().sigma_eff(&vouchee, session, Reversibility::Partial, now))
    })
}

/// One change of a file, recorded in a log that stays: its bytes, its hash, its place in the chain.
///
/// There, the engine that records is made anew for every call, which is a small part of it.
fn delta_capture(calls: u64) -> Result<Timed, String> {
    let deltas = Deltas::new()?;
    timed(calls, || deltas.capture("data/file.txt", 1))
}

/// So many changes of files, recorded in a log of their own, and the root over them.
fn merkle_root<const DELTAS: u8>(calls: u64) -> Result<Timed, String> {
    let paths = paths(DELTAS);
    timed(calls, || {
        let deltas = Deltas::of(&paths)?;
        let head = deltas.log.head(deltas.stream);
        head.map(|head| head.root).ok_or_else(|| "the stream is open".to_owned())
    })
}

/// So many changes of files, recorded in a log of their own, and every record of it checked: read again, its hash
/// computed anew, its place in its chain.
fn chain_verify<const DELTAS: u8>(calls: u64) -> Result<Timed, String> {
    let paths = paths(DELTAS);
    timed(calls, || {
        let deltas = Deltas::of(&paths)?;
        let mut checked = 0;
        let count = &mut |_: Entry<'_>| {
            checked += 1;
            Ok(())
        };
        deltas.log.replay(count).map_err(text)?;
        Ok::<_, String>(checked)
    })
}

fn paths(count: u8) -> Vec<String> {
    (0..count).map(|n| format!("f{n}")).collect()
}

/// The log of a session in which nothing happens but changes of files.
struct Deltas {
    log: MemoryLog,
    stream: StreamNo,
    session: SessionId,
}

impl Deltas {
    fn new() -> Result<Self, String> {
        let (log, session) = (MemoryLog::new(), SessionId::new("bench-session").map_err(text)?);
        let mut stream = None;
        let opened = log.append(&[], SystemClock.now(), &mut |batch| {
            stream = Some(batch.genesis(session.as_str(), |_| {})?.0);
            Ok(())
        });
        opened.map_err(text)?;
        Ok(Self { log, stream: stream.ok_or("a stream was opened")?, session })
    }

    fn of(paths: &[String]) -> Result<Self, String> {
        let deltas = Self::new()?;
        for (n, path) in (0..).zip(paths) {
            deltas.capture(path, n)?;
        }
        Ok(deltas)
    }

    /// Records that a file was made: by whom, when, where, and the id of its content; gives the record's hash.
    fn capture(&self, path: &str, n: u8) -> Result<Digest, String> {
        let path = FilePath::parse(&self.session, path).map_err(text)?;
        let (agent, at) = (0, SystemClock.now());
        let event = FileEvent::Created { path, content: content(n) };
        let event = SessionEvent::Session { event: MembershipEvent::File { agent, at, event } };
        let mut hash = Digest::default();
        let appended = self.log.append(&[], at, &mut |batch| {
            hash = batch.push(self.stream, &[], |body| {
                body.push(RECORD_VERSION);
                event.put(body);
            })?;
            Ok(())
        });
        appended.map_err(text)?;
        Ok(hash)
    }
}

/// The id of a content that somebody else keeps, and its length.
const fn content(n: u8) -> Content {
    Content { id: Digest([n; 32]), length: 2 }
}

/// A node, a session, one member, its activation and its end; each of them recorded.
fn session_lifecycle(calls: u64) -> Result<Timed, String> {
    let stage = Stage::new()?;
    stage.timed(calls, || stage.lifecycle())
}

/// A saga of three steps with undo, from its creation to its end.
///
/// Here its steps are data that many sagas have, put together once. There a saga has no steps until they are added to it,
/// which is a seventh of the call; [`saga_of_3_new_steps`] makes them anew on this side too.
fn saga_3_steps(calls: u64) -> Result<Timed, String> {
    let stage = Stage::new()?;
    let steps = stage.three_steps()?;
    let hv = stage.runtime.block_on(stage.busy_session())?;
    let n = Cell::new(0);
    stage.timed(calls, || stage.next_saga(&hv, &steps, &n))
}

/// The same with its steps made and put together anew for each.
fn saga_of_3_new_steps(calls: u64) -> Result<Timed, String> {
    let stage = Stage::new()?;
    let hv = stage.runtime.block_on(stage.busy_session())?;
    let n = Cell::new(0);
    stage.timed(calls, async || stage.next_saga(&hv, &stage.three_steps()?, &n).await)
}

/// A node, a session, one member, its activation, three changes of files, a saga of one step, and the root.
///
/// As there, the changes are told with the id of a content that somebody else keeps, and the step has no undo;
/// here that takes a step that only reads.
fn full_governance_pipeline(calls: u64) -> Result<Timed, String> {
    let stage = Stage::new()?;
    let steps = stage.look()?;
    stage.timed(calls, || stage.pipeline(&steps))
}

/// What the workloads of the composed hypervisor have in common.
pub(crate) struct Stage {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) session: SessionId,
    creator: Did,
    pub(crate) agent: Did,
    pub(crate) action: ActionId,
}

impl Stage {
    pub(crate) fn new() -> Result<Self, String> {
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(text)?,
            session: SessionId::new("bench-session").map_err(text)?,
            creator: Did::new("did:mesh:admin").map_err(text)?,
            agent: Did::new("did:mesh:a").map_err(text)?,
            action: ActionId::new("action").map_err(text)?,
        })
    }

    /// One call of `session_lifecycle`.
    pub(crate) async fn lifecycle(&self) -> Result<Digest, String> {
        let hv = self.active_session().await?;
        hv.terminate_session(&self.session).await.map_err(text)
    }

    /// One call of `saga_3_steps`; `n` counts them.
    pub(crate) async fn next_saga(
        &self,
        hv: &Hypervisor,
        steps: &Steps,
        n: &Cell<u64>,
    ) -> Result<SagaState, String> {
        n.set(n.get() + 1);
        self.saga(hv, &format!("g{}", n.get()), steps.clone(), vec![0, 1, 2], undoable()).await
    }

    /// One call of `full_governance_pipeline`.
    pub(crate) async fn pipeline(&self, steps: &Steps) -> Result<Digest, String> {
        let look = Claim { kind: Some(ActionKind::ReadOnly), ..Claim::default() };
        let hv = self.active_session().await?;
        for (n, path) in (0..).zip(["f0", "f1", "f2"]) {
            self.change(&hv, path, n).await?;
        }
        // As whoever embeds hv writes it: a future that waits for another one holds it, and is moved with it.
        let saga = self.host(&hv, "saga", vec![], look)?;
        let end = saga.run(SagaCommand::begin(Plan::of(steps.clone())), |_| async { Outcome::done() }).await;
        completed(end.map_err(text)?)?;
        hv.terminate_session(&self.session).await.map_err(text)
    }

    /// A step that only reads.
    pub(crate) fn look(&self) -> Result<Steps, String> {
        let step = self.step(0, None)?;
        let step = StepDef { kind: ActionKind::ReadOnly, undo: None, ..(*step).clone() };
        Ok(Steps::from(vec![Arc::new(step)]))
    }

    /// Three steps with undo, one after another.
    pub(crate) fn three_steps(&self) -> Result<Steps, String> {
        let steps: Result<Vec<_>, _> = (0..3).map(|n| self.step(n, n.checked_sub(1))).collect();
        steps.map(Steps::from)
    }

    async fn active_session(&self) -> Result<Hypervisor, String> {
        self.begin(Hypervisor::in_memory().map_err(text)?).await
    }

    /// The same for more calls than the agent's rate allows: what is measured is not waiting.
    pub(crate) async fn busy_session(&self) -> Result<Hypervisor, String> {
        self.begin(unlimited(Arc::new(MemoryLog::new()))?).await
    }

    pub(crate) async fn begin(&self, hv: Hypervisor) -> Result<Hypervisor, String> {
        self.begin_with(hv, SessionConfig::default()).await
    }

    pub(crate) async fn begin_with(
        &self,
        hv: Hypervisor,
        config: SessionConfig,
    ) -> Result<Hypervisor, String> {
        hv.create_session(&self.session, config, &self.creator).await.map_err(text)?;
        let entrant = Entrant::new(self.agent.clone()).with_sigma(Sigma::try_from(0.8).map_err(text)?);
        hv.join_session(&self.session, &entrant).await.map_err(text)?;
        hv.activate_session(&self.session).await.map_err(text)?;
        Ok(hv)
    }

    /// One change of a file, told with the id of a content that somebody else keeps.
    async fn change(&self, hv: &Hypervisor, path: &str, n: u8) -> Result<(), String> {
        hv.record_file(&self.session, &self.agent, path, content(n), Expect::Any).await.map_err(text)
    }

    pub(crate) fn step(&self, n: u32, after: Option<u32>) -> Result<Arc<StepDef>, String> {
        let id = StepId::new(&format!("step{n}")).map_err(text)?;
        let step = Closures::step(id, self.action.clone(), self.agent.clone(), "work");
        Ok(Arc::new(StepDef { after: after.into_iter().collect(), ..step }))
    }

    pub(crate) async fn saga(
        &self,
        hv: &Hypervisor,
        name: &str,
        steps: Steps,
        unproven: Vec<u32>,
        claim: Claim,
    ) -> Result<SagaState, String> {
        let host = self.host(hv, name, unproven, claim)?;
        let end = host.run(SagaCommand::begin(Plan::of(steps)), |_| async { Outcome::done() }).await;
        completed(end.map_err(text)?)
    }

    fn host(
        &self,
        hv: &Hypervisor,
        name: &str,
        unproven: Vec<u32>,
        claim: Claim,
    ) -> Result<SagaHost, String> {
        let saga = SagaId::new(name).map_err(text)?;
        Ok(hv.saga(&self.session, &saga).accepting(unproven).registering(self.action.clone(), claim))
    }
}

fn completed(end: SagaState) -> Result<SagaState, String> {
    if end == SagaState::Completed { Ok(end) } else { Err(format!("the saga is {end}")) }
}

/// What changes something and can be taken back entirely.
pub(crate) fn undoable() -> Claim {
    Claim { kind: Some(ActionKind::Effect), reversibility: Some(Reversibility::Full), ..Claim::default() }
}

/// A node on a log that asks nobody how often or how much at once.
pub(crate) fn unlimited(log: Arc<dyn Log>) -> Result<Hypervisor, String> {
    let fast = Rate { per_second: u32::MAX, burst: u32::MAX };
    let rate = PerRing { root: fast, privileged: fast, standard: fast, sandbox: fast };
    let tools = PerRing { root: u32::MAX, privileged: u32::MAX, standard: u32::MAX, sandbox: u32::MAX };
    let guards = Guards { limits: Limits { rate, tools }, open_sessions: u32::MAX, ..Guards::default() };
    Hypervisor::open_guarded(log, Arc::new(SystemClock), guards).map_err(text)
}

/// The name of one of many, written where the last one stood.
fn did(name: &mut String, kind: &str, n: u64) -> Result<Did, String> {
    name.clear();
    name.push_str(kind);
    write!(name, "{n}").map_err(text)?;
    Did::new(name).map_err(text)
}

pub(crate) fn text(error: impl Display) -> String {
    error.to_string()
}

pub(crate) fn debug(error: impl core::fmt::Debug) -> String {
    format!("{error:?}")
}

impl Stage {
    /// Times the calls of one run together, on the runtime, as the Python package is timed on its event loop.
    pub(crate) fn timed<T: Display>(
        &self,
        calls: u64,
        call: impl AsyncFn() -> Result<T, String>,
    ) -> Result<Timed, String> {
        self.runtime.block_on(async {
            for _ in 0..warm_up(calls) {
                black_box(call().await?);
            }
            let mut answer = None;
            let started = Instant::now();
            for _ in 0..calls {
                answer = Some(black_box(call().await?));
            }
            tell(started, calls, answer)
        })
    }
}

/// Times the calls of one run together.
pub(crate) fn timed<T: Display, E: Display>(
    calls: u64,
    mut call: impl FnMut() -> Result<T, E>,
) -> Result<Timed, String> {
    for _ in 0..warm_up(calls) {
        black_box(call().map_err(text)?);
    }
    let mut answer = None;
    let started = Instant::now();
    for _ in 0..calls {
        answer = Some(black_box(call().map_err(text)?));
    }
    tell(started, calls, answer)
}

/// As many calls as the Python benchmark makes before it measures.
fn warm_up(calls: u64) -> u64 {
    (calls / 10).min(100)
}

fn tell<T: Display>(started: Instant, calls: u64, answer: Option<T>) -> Result<Timed, String> {
    let took = started.elapsed();
    let answer = answer.ok_or("no calls, so nothing to time")?.to_string();
    let calls = u32::try_from(calls).map_err(|_| "at most 4 294 967 295 calls")?;
    Ok(Timed { ns_per_call: took.as_secs_f64() * 1e9 / f64::from(calls), answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_answers() {
        for workload in WORKLOADS {
            let timed = (workload.run)(20).unwrap();
            assert!(timed.ns_per_call > 0.0 && !timed.answer.is_empty(), "{}", workload.name);
            assert!((workload.run)(0).is_err(), "{}", workload.name);
        }
    }

    #[test]
    fn the_answers_are_those_of_the_rules() {
        assert_eq!(ring_computation(10).unwrap().answer, "2");
    }
}
