//! How what is done once grows with what is there already: functions counted in instructions, each at several sizes.
//!
//! As in [`counted`](crate::counted), each is called `measured_…` and never inlined. What it finds there, so many agents,
//! bonds, files, sagas or records, is made before and not counted. The log is in memory, so that nothing waits.
//!
//! Sizes lie where no table is doubled while the calls are counted: what that costs is spread over many more calls than
//! are made here. Functions whose bodies are alike would become one, under one name; so each names itself.

use crate::peer::{Stage, debug, text, undoable, unlimited};
use hv_core::audit::{Blake3, InclusionProof, Log, MemoryLog, StreamNo, TreeHash};
use hv_core::saga::{Outcome, Plan, SagaCommand, SagaState, StepDef};
use hv_core::session::{Content, Expect, Quotas, SessionConfig};
use hv_core::{Clock, Entrant, Hypervisor, SystemClock};
use hv_liability::{Command, Ledger, SessionNo, SlashOrder, SlashReason, Source, Stake, VouchOrder};
use hv_rings::rate::{Buckets, Rate};
use hv_types::{ActionId, Did, Digest, Reversibility, SagaId, SessionId, Share, Sigma, Solo, Timestamp};
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

/// How the cost of one call may grow with the size of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Not at all, over a thousand times the size.
    Flat,
    /// Not at all.
    Constant,
    /// With its logarithm.
    Logarithm,
    /// With it.
    Linear,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flat => "flat",
            Self::Constant => "O(1)",
            Self::Logarithm => "O(log n)",
            Self::Linear => "O(n)",
        })
    }
}

/// An operation, what it claims, and where it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Scaled {
    /// The function's name.
    pub name: &'static str,
    /// What `n` counts.
    pub of: &'static str,
    /// How it grows.
    pub claim: Growth,
    /// The smallest size; the others are twice, four and eight times that, or ten, a hundred and a thousand times where it
    /// is to be flat.
    pub from: u32,
    /// Makes what is there, calls the function, and says how often.
    pub run: fn(u32) -> Result<u64, String>,
}

/// Every operation that is measured at several sizes.
pub const SCALED: &[Scaled] = &[
    scaled("measured_rate_bucket", "callers", Growth::Logarithm, 2_000, rate_bucket),
    scaled("measured_sigma_eff", "bonds", Growth::Logarithm, 1_100, sigma_eff),
    scaled("measured_vouch", "bonds", Growth::Logarithm, 1_100, vouch),
    scaled("measured_vouch_at_random", "bonds and agents", Growth::Flat, 1_000, vouch_at_random),
    scaled("measured_slash_of_one", "bonds of others", Growth::Logarithm, 1_100, slash_of_one),
    scaled("measured_slash_of_many", "bonds of the offender", Growth::Linear, 100, slash_of_many),
    scaled("measured_append", "records", Growth::Constant, 2_000, append),
    scaled("measured_running_root", "records", Growth::Logarithm, 2_000, running_root),
    scaled("measured_inclusion_made", "records", Growth::Linear, 1_000, inclusion_made),
    scaled("measured_inclusion_checked", "records", Growth::Logarithm, 1_000, inclusion_checked),
    scaled("measured_session_created", "open sessions", Growth::Logarithm, 300, session_created),
    scaled("measured_join", "members", Growth::Logarithm, 70, join),
    scaled("measured_call_among_agents", "agents and sessions", Growth::Logarithm, 300, call_among_agents),
    scaled(
        "measured_call_among_sagas",
        "open sagas of the session",
        Growth::Logarithm,
        300,
        call_among_sagas,
    ),
    scaled(
        "measured_call_among_attempts",
        "running attempts of the session",
        Growth::Logarithm,
        150,
        call_among_attempts,
    ),
    scaled("measured_file_written", "files", Growth::Logarithm, 1_000, file_written),
    scaled("measured_file_read", "files", Growth::Logarithm, 1_000, file_read),
    scaled("measured_snapshot", "files", Growth::Constant, 12_500, snapshot),
    scaled("measured_replay", "records, for each of them", Growth::Logarithm, 500, replay),
];

const fn scaled(
    name: &'static str,
    of: &'static str,
    claim: Growth,
    from: u32,
    run: fn(u32) -> Result<u64, String>,
) -> Scaled {
    Scaled { name, of, claim, from, run }
}

/// So often is called what leaves the size as it is, or changes it little.
const CALLS: u32 = 32;

fn did(kind: &str, n: u32) -> Result<Did, String> {
    Did::new(&format!("did:{kind}:{n}")).map_err(text)
}

/// One of many things that are there, spread over all of them.
const fn spread(n: u32, call: u32) -> u32 {
    (call.wrapping_mul(2_654_435_761) >> 4) % n
}

#[inline(never)]
fn measured_rate_bucket(buckets: &mut Buckets<Did>, agent: &Did, now: Timestamp) -> bool {
    buckets.take(agent, Rate { per_second: 20, burst: 40 }, now).is_ok()
}

fn rate_bucket(n: u32) -> Result<u64, String> {
    let mut buckets = Buckets::default();
    let rate = Rate { per_second: 20, burst: 40 };
    for agent in 0..n {
        buckets.take(&did("a", agent)?, rate, Timestamp(0)).map_err(text)?;
    }
    for call in 0..CALLS {
        let agent = did("a", spread(n, call))?;
        if !black_box(measured_rate_bucket(&mut buckets, &agent, Timestamp(1))) {
            return Err("the bucket was empty".to_owned());
        }
    }
    Ok(CALLS.into())
}

const SESSION: SessionNo = SessionNo(1);

/// A ledger that only grows.
struct Bonds(Solo<Ledger>);

impl Bonds {
    /// So many vouchers, each with a bond for an agent of its own.
    fn of(n: u32) -> Result<Self, String> {
        let mut bonds = Self(Solo::default());
        for pair in 0..n {
            bonds.pair(pair)?;
            bonds.run(&order("v", pair, pair)?)?;
        }
        Ok(bonds)
    }

    fn endow(&mut self, agent: Did, ppm: u32) -> Result<(), String> {
        let sigma = Sigma::from_ppm(ppm).map_err(text)?;
        self.run(&Command::Endow { agent, sigma, source: Source::Asserted })
    }

    fn pair(&mut self, pair: u32) -> Result<(), String> {
        self.endow(did("v", pair)?, 900_000)?;
        self.endow(did("e", pair)?, 400_000)
    }

    fn run(&mut self, command: &Command) -> Result<(), String> {
        self.0.run(command, Timestamp(1)).map(drop).map_err(debug)
    }
}

fn order(kind: &str, voucher: u32, vouchee: u32) -> Result<Command, String> {
    let (voucher, vouchee) = (did(kind, voucher)?, did("e", vouchee)?);
    let stake = Stake::Default;
    Ok(Command::Vouch(VouchOrder { session: SESSION, voucher, vouchee, stake, expires: None }))
}

fn slash(agent: Did, n: u8) -> Result<Command, String> {
    Ok(Command::Slash(SlashOrder {
        evidence: Digest([n; 32]),
        agent,
        session: Some(SESSION),
        fault: Share::from_ppm(100_000).map_err(text)?,
        class: None,
        risk: None,
        happened: Timestamp(1),
        reason: SlashReason::Violation,
    }))
}

#[inline(never)]
fn measured_sigma_eff(ledger: &Ledger, agent: &Did) -> Sigma {
    ledger.sigma_eff(agent, SESSION, Reversibility::Partial, Timestamp(1))
}

fn sigma_eff(n: u32) -> Result<u64, String> {
    let bonds = Bonds::of(n)?;
    for call in 0..CALLS {
        let agent = did("e", spread(n, call))?;
        let sigma = black_box(measured_sigma_eff(bonds.0.state(), &agent));
        if sigma.ppm() <= 400_000 {
            return Err(format!("nothing lifts {agent}"));
        }
    }
    Ok(CALLS.into())
}

#[inline(never)]
fn measured_vouch(bonds: &mut Bonds, command: &Command) -> Result<(), String> {
    black_box("vouch");
    bonds.run(command)
}

fn vouch(n: u32) -> Result<u64, String> {
    let mut bonds = Bonds::of(n)?;
    for pair in n..n + CALLS {
        bonds.pair(pair)?;
    }
    for pair in n..n + CALLS {
        measured_vouch(&mut bonds, &order("v", pair, pair)?)?;
    }
    Ok(CALLS.into())
}

/// Whether the vouch was made; it is refused where it would close a cycle.
#[inline(never)]
fn measured_vouch_at_random(bonds: &mut Bonds, command: &Command) -> bool {
    black_box("vouch at random");
    bonds.0.run(command, Timestamp(1)).is_ok()
}

/// Random graphs with as many bonds as agents, which is where such graphs grow together. What a vouch costs there depends
/// on how many bonds an agent has, so that graphs of every size are measured at the same number: while the last
/// hundredth of their bonds is made, over as many graphs as make the same number of calls.
fn vouch_at_random(n: u32) -> Result<u64, String> {
    let (last, graphs) = ((n / 100).max(1), (1_000_000 / n).clamp(1, 1_000));
    for graph in 1..=graphs {
        let mut state = u64::from(graph) << 32 | 1;
        // Numbers that look random and are the same on every run (xorshift).
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            u32::try_from(state % u64::from(n)).map_err(text)
        };
        let mut bonds = Bonds(Solo::default());
        (0..n).try_for_each(|agent| bonds.endow(did("e", agent)?, 900_000))?;
        let mut made = 0;
        for bond in 0..n {
            let command = small_order(random()?, random()?)?;
            made += match bond < n - last {
                true => u32::from(bonds.0.run(&command, Timestamp(1)).is_ok()),
                false => u32::from(measured_vouch_at_random(&mut bonds, &command)),
            };
        }
        if made < n / 2 {
            return Err(format!("only {made} of {n} vouches were made"));
        }
    }
    Ok(u64::from(graphs) * u64::from(last))
}

/// So small that an agent can give any number of them.
fn small_order(voucher: u32, vouchee: u32) -> Result<Command, String> {
    let (voucher, vouchee) = (did("e", voucher)?, did("e", vouchee)?);
    let (stake, expires) = (Stake::Amount(Sigma::capped(1)), Some(Timestamp(1_000_000_001)));
    Ok(Command::Vouch(VouchOrder { session: SESSION, voucher, vouchee, stake, expires }))
}

#[inline(never)]
fn measured_slash_of_one(bonds: &mut Bonds, command: &Command) -> Result<(), String> {
    black_box("slash of one");
    bonds.run(command)
}

fn slash_of_one(n: u32) -> Result<u64, String> {
    let mut bonds = Bonds::of(n)?;
    for (call, evidence) in (0..CALLS).zip(0..) {
        let command = slash(did("e", spread(n, call))?, evidence)?;
        measured_slash_of_one(&mut bonds, &command)?;
    }
    Ok(CALLS.into())
}

#[inline(never)]
fn measured_slash_of_many(bonds: &mut Bonds, command: &Command) -> Result<(), String> {
    black_box("slash of many");
    bonds.run(command)
}

/// An agent for which so many others answer.
fn slash_of_many(n: u32) -> Result<u64, String> {
    let mut bonds = Bonds(Solo::default());
    bonds.endow(did("e", 0)?, 400_000)?;
    for voucher in 0..n {
        bonds.endow(did("v", voucher)?, 900_000)?;
        bonds.run(&order("v", voucher, 0)?)?;
    }
    measured_slash_of_many(&mut bonds, &slash(did("e", 0)?, 1)?)?;
    Ok(1)
}

/// A log with so many records in one stream.
fn records(n: u32) -> Result<MemoryLog, String> {
    let log = MemoryLog::new();
    for record in 0..n {
        add(&log, record)?;
    }
    Ok(log)
}

fn add(log: &MemoryLog, record: u32) -> Result<(), String> {
    let body = [7; 60];
    let now = Timestamp(record.into());
    let added = log.append(&[], now, &mut |batch| {
        batch.push(StreamNo::LEDGER, &[], |out| out.extend_from_slice(&body)).map(drop)
    });
    added.map(drop).map_err(text)
}

#[inline(never)]
fn measured_append(log: &MemoryLog, record: u32) -> Result<(), String> {
    add(log, record)
}

/// Over as many records as make every carry of the tree equally often.
fn append(n: u32) -> Result<u64, String> {
    const APPENDS: u32 = 256;
    let log = records(n)?;
    for record in n..n + APPENDS {
        measured_append(&log, record)?;
    }
    Ok(APPENDS.into())
}

#[inline(never)]
fn measured_running_root(log: &MemoryLog) -> Option<Digest> {
    log.head(StreamNo::LEDGER).map(|head| head.root)
}

fn running_root(n: u32) -> Result<u64, String> {
    let log = records(n)?;
    for record in n..n + CALLS {
        add(&log, record)?;
        black_box(measured_running_root(&log)).ok_or("the stream has no root")?;
    }
    Ok(CALLS.into())
}

/// So many leaves, and the root over them.
fn leaves(n: u32) -> Result<(Vec<Digest>, Digest), String> {
    let leaves: Vec<Digest> = (0..n).map(|leaf| Blake3::leaf(&leaf.to_le_bytes())).collect();
    let mut tree = hv_core::audit::CompactRange::<Blake3>::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    let root = tree.root();
    Ok((leaves, root))
}

#[inline(never)]
fn measured_inclusion_made(leaves: &[Digest], at: u64) -> Option<InclusionProof> {
    InclusionProof::make::<Blake3>(leaves, at)
}

#[inline(never)]
fn measured_inclusion_checked(proof: &InclusionProof, leaf: &Digest, root: &Digest) -> bool {
    proof.check::<Blake3>(leaf, root).is_ok()
}

/// From all leaves, which are hashed once: that is linear, and a proof is made seldom.
fn inclusion_made(n: u32) -> Result<u64, String> {
    let (leaves, _) = leaves(n)?;
    for call in 0..4 {
        black_box(measured_inclusion_made(&leaves, spread(n, call).into())).ok_or("no proof")?;
    }
    Ok(4)
}

fn inclusion_checked(n: u32) -> Result<u64, String> {
    let (leaves, root) = leaves(n)?;
    for call in 0..4 {
        let at = spread(n, call);
        let leaf = leaves.get(at as usize).ok_or("no leaf")?;
        let proof = InclusionProof::make::<Blake3>(&leaves, at.into()).ok_or("no proof")?;
        if !black_box(measured_inclusion_checked(&proof, leaf, &root)) {
            return Err("the proof does not hold".to_owned());
        }
    }
    Ok(4)
}

/// A node with one session in which somebody works, and what else is there.
struct Busy {
    stage: Stage,
    hv: Hypervisor,
    step: Arc<StepDef>,
    log: Arc<MemoryLog>,
}

impl Busy {
    fn new() -> Result<Self, String> {
        let (stage, log) = (Stage::new()?, Arc::new(MemoryLog::new()));
        let quotas = Quotas { files: 1_000_000, bytes: u64::MAX, snapshots: 1_000_000, ..Quotas::default() };
        let config = SessionConfig::default().with_max_participants(1000).map_err(text)?.with_quotas(quotas);
        let hv =
            stage.runtime.block_on(stage.begin_with(unlimited(Arc::clone(&log) as Arc<dyn Log>)?, config))?;
        let step = stage.step(0, None)?;
        Ok(Self { stage, hv, step, log })
    }

    /// A saga of one step, from its beginning to its end.
    fn call(&self, name: &str) -> Result<SagaState, String> {
        let steps = vec![Arc::clone(&self.step)].into();
        let saga = self.stage.saga(&self.hv, name, steps, vec![0], undoable());
        self.stage.runtime.block_on(saga)
    }

    fn file(&self, n: u32, version: u8) -> Result<(), String> {
        let content = Content { id: Digest([version; 32]), length: 2 };
        let Stage { session, agent, .. } = &self.stage;
        let path = path(n);
        let recorded = self.hv.record_file(session, agent, &path, content, Expect::Any);
        self.stage.runtime.block_on(recorded).map_err(text)
    }

    fn files(n: u32) -> Result<Self, String> {
        let busy = Self::new()?;
        (0..n).try_for_each(|file| busy.file(file, 1))?;
        Ok(busy)
    }

    /// Another session with a member of its own.
    fn session(&self, n: u32) -> Result<(), String> {
        let id = SessionId::new(&format!("s{n}")).map_err(text)?;
        let entrant = Entrant::new(did("m", n)?).with_sigma(Sigma::from_ppm(800_000).map_err(text)?);
        self.stage.runtime.block_on(async {
            self.hv.create_session(&id, SessionConfig::default(), &did("c", n)?).await.map_err(text)?;
            self.hv.join_session(&id, &entrant).await.map_err(text).map(drop)
        })
    }

    fn join(&self, n: u32) -> Result<(), String> {
        let entrant = Entrant::new(did("m", n)?).with_sigma(Sigma::from_ppm(800_000).map_err(text)?);
        let joined = self.hv.join_session(&self.stage.session, &entrant);
        self.stage.runtime.block_on(joined).map(drop).map_err(text)
    }
}

fn path(n: u32) -> String {
    format!("src/part{}/file{n}", n % 16)
}

#[inline(never)]
fn measured_session_created(busy: &Busy, id: &SessionId, creator: &Did) -> Result<(), String> {
    let created = busy.hv.create_session(id, SessionConfig::default(), creator);
    busy.stage.runtime.block_on(created).map(drop).map_err(text)
}

fn session_created(n: u32) -> Result<u64, String> {
    let busy = Busy::new()?;
    (0..n).try_for_each(|session| busy.session(session))?;
    for session in n..n + CALLS {
        let id = SessionId::new(&format!("s{session}")).map_err(text)?;
        measured_session_created(&busy, &id, &did("c", 0)?)?;
    }
    Ok(CALLS.into())
}

#[inline(never)]
fn measured_join(busy: &Busy, n: u32) -> Result<(), String> {
    busy.join(n)
}

fn join(n: u32) -> Result<u64, String> {
    let busy = Busy::new()?;
    (0..n).try_for_each(|member| busy.join(member))?;
    (n..n + CALLS).try_for_each(|member| measured_join(&busy, member))?;
    Ok(CALLS.into())
}

#[inline(never)]
fn measured_call_among_agents(busy: &Busy, name: &str) -> Result<SagaState, String> {
    black_box("call among agents");
    busy.call(name)
}

fn call_among_agents(n: u32) -> Result<u64, String> {
    let busy = Busy::new()?;
    (0..n).try_for_each(|session| busy.session(session))?;
    busy.call("first")?;
    for call in 0..CALLS {
        black_box(measured_call_among_agents(&busy, &format!("g{call}"))?);
    }
    Ok(CALLS.into())
}

#[inline(never)]
fn measured_call_among_sagas(busy: &Busy, name: &str) -> Result<SagaState, String> {
    black_box("call among sagas");
    busy.call(name)
}

fn call_among_sagas(n: u32) -> Result<u64, String> {
    let busy = Busy::new()?;
    busy.call("first")?;
    for saga in 0..n {
        let id = SagaId::new(&format!("open{saga}")).map_err(text)?;
        let host = busy.hv.saga(&busy.stage.session, &id).accepting(vec![0]);
        let created = host.create(Plan::new(vec![Arc::clone(&busy.step)]));
        busy.stage.runtime.block_on(created).map_err(text)?;
    }
    for call in 0..CALLS {
        black_box(measured_call_among_sagas(&busy, &format!("g{call}"))?);
    }
    Ok(CALLS.into())
}

#[inline(never)]
fn measured_call_among_attempts(busy: &Busy, name: &str) -> Result<SagaState, String> {
    black_box("call among attempts");
    busy.call(name)
}

/// Sagas whose step has begun and not ended, because whoever drives them never answers.
fn call_among_attempts(n: u32) -> Result<u64, String> {
    let busy = Busy::new()?;
    busy.call("first")?;
    busy.stage.runtime.block_on(async {
        for saga in 0..n {
            let id = SagaId::new(&format!("open{saga}")).map_err(text)?;
            let host = busy.hv.saga(&busy.stage.session, &id).accepting(vec![0]);
            let host = host.registering(ActionId::clone(&busy.stage.action), undoable());
            let began = std::cell::Cell::new(false);
            let run = host.run(SagaCommand::begin(Plan::new(vec![Arc::clone(&busy.step)])), |_| {
                began.set(true);
                std::future::pending::<Outcome>()
            });
            let mut run = std::pin::pin!(run);
            std::future::poll_fn(|cx| {
                let _ = run.as_mut().poll(cx);
                std::task::Poll::Ready(())
            })
            .await;
            if !began.get() {
                return Err(format!("{id} has not begun"));
            }
        }
        Ok(())
    })?;
    for call in 0..CALLS {
        black_box(measured_call_among_attempts(&busy, &format!("g{call}"))?);
    }
    Ok(CALLS.into())
}

#[inline(never)]
fn measured_file_written(busy: &Busy, file: u32) -> Result<(), String> {
    busy.file(file, 2)
}

fn file_written(n: u32) -> Result<u64, String> {
    let busy = Busy::files(n)?;
    (0..CALLS).try_for_each(|call| measured_file_written(&busy, spread(n, call)))?;
    Ok(CALLS.into())
}

#[inline(never)]
fn measured_file_read(busy: &Busy, path: &str) -> Result<usize, String> {
    let Stage { session, agent, runtime, .. } = &busy.stage;
    runtime.block_on(busy.hv.stat_files(session, agent, Some(path))).map(|files| files.len()).map_err(text)
}

fn file_read(n: u32) -> Result<u64, String> {
    let busy = Busy::files(n)?;
    for call in 0..CALLS {
        if black_box(measured_file_read(&busy, &path(spread(n, call)))?) != 1 {
            return Err("the file is there".to_owned());
        }
    }
    Ok(CALLS.into())
}

#[inline(never)]
fn measured_snapshot(busy: &Busy) -> Result<(), String> {
    let Stage { session, agent, runtime, .. } = &busy.stage;
    runtime.block_on(busy.hv.take_snapshot(session, agent, None)).map(drop).map_err(text)
}

fn snapshot(n: u32) -> Result<u64, String> {
    let busy = Busy::files(n)?;
    (0..CALLS).try_for_each(|_| measured_snapshot(&busy))?;
    Ok(CALLS.into())
}

#[inline(never)]
fn measured_replay(log: Arc<MemoryLog>) -> Result<Hypervisor, String> {
    Hypervisor::open(log, Arc::new(SystemClock)).map_err(text)
}

/// A trail of files and calls, one of them after every four files; the calls are the records.
fn replay(n: u32) -> Result<u64, String> {
    let busy = Busy::new()?;
    for record in 0..n {
        busy.file(record, 1)?;
        if record % 4 == 0 {
            busy.call(&format!("g{record}"))?;
        }
    }
    let mut count = 0;
    let counted = busy.log.replay(&mut |_| {
        count += 1;
        Ok(())
    });
    counted.map_err(text)?;
    black_box(measured_replay(Arc::clone(&busy.log))?);
    black_box(SystemClock.now());
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scaled_function_is_called_at_a_small_size() {
        for scaled in SCALED {
            assert!(scaled.name.starts_with("measured_"), "{}", scaled.name);
            let calls = (scaled.run)(20).unwrap_or_else(|why| panic!("{}: {why}", scaled.name));
            assert!(calls > 0, "{}", scaled.name);
        }
    }
}
