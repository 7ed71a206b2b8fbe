//! The world around the node: agents that ask, effects that happen, a disk that fails and a clock that jumps.

use super::disk::{Dice, Fail, SimDisk};
use super::shadow::Shadow;
use effects::{Place, place_of};
use hv_core::audit::{FileLog, FileOptions, LogError};
use hv_core::event::KillTarget;
use hv_core::liability::Stake;
use hv_core::rings::class::Claim;
use hv_core::saga::{
    Attempt, Class, Growth, Halt, Host, Idempotence, Join, Outcome, Permit, Plan, ProbeAnswer, Progress,
    Purpose, Reason as Why, Report, Retry, SagaCommand, SagaState, StepDef, Task,
};
use hv_core::session::{Expect, SessionConfig};
use hv_core::types::{ActionId, ActionKind, Did, Reversibility, SagaId, SessionId, Sigma, StepId, Timestamp};
use hv_core::{Entrant, Error, Grant, Hypervisor, KillOrder, ManualClock, Notice, OpenTrail, TrailEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;

mod effects;

/// Where the trail lies on the simulated disk.
pub const DIR: &str = "/trail";

/// How many refusals of one source stand on the trail one by one before others are counted.
const IN_FULL: usize = 32;
const AGENTS: u64 = 6;
const DAY: Duration = Duration::from_secs(86_400);
/// What is registered in every session, with what it can be undone.
const ACTIONS: [(&str, ActionKind, Reversibility); 4] = [
    ("draft", ActionKind::Effect, Reversibility::Full),
    ("deploy", ActionKind::Effect, Reversibility::Partial),
    ("pay", ActionKind::Effect, Reversibility::None),
    ("look", ActionKind::ReadOnly, Reversibility::Full),
];

pub struct World {
    seed: u64,
    dice: Dice,
    disk: SimDisk,
    clock: Arc<ManualClock>,
    hv: Option<Hypervisor>,
    shadow: Shadow,
    /// What is there in the world because of a step, and how often; nothing is there more than once.
    effects: BTreeMap<Place, u32>,
    /// How often each key has acted, whether that changed anything or not.
    acts: BTreeMap<(Place, Purpose), u32>,
    /// Attempts that run: granted, and not reported yet.
    running: Vec<(Attempt, Phase)>,
    /// Steps that acted under a grant, with what the grant was for.
    acted: Vec<(hv_core::types::Digest, Timestamp)>,
    /// So many records were acknowledged.
    acknowledged: usize,
    notices: Option<Receiver<Arc<Notice>>>,
    /// What files should hold; nothing where a crash left it open.
    files: BTreeMap<(SessionId, String), Option<Vec<u8>>>,
    names: u64,
    /// How often the process died.
    lives: u32,
    /// The saga that something is asked of, until that is answered.
    asked: Option<(SessionId, SagaId)>,
    /// How many attempts crashes left in doubt: how often it was so many.
    doubts: BTreeMap<&'static str, u32>,
    /// Snapshots of the node, and how often one was opened from.
    kept: u32,
    resumed: u32,
    faults: bool,
}

/// How far an attempt is.
enum Phase {
    Granted(Grant),
    Ended(Outcome),
}

/// Waits for a future that never waits: there is no runtime, so everything happens where it is asked for.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("without a runtime nothing waits"),
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut world = Self {
            seed,
            dice: Dice(seed),
            disk: SimDisk::default(),
            clock: Arc::new(ManualClock::at(Timestamp(1_800_000_000_000_000_000))),
            hv: None,
            shadow: Shadow::default(),
            effects: BTreeMap::new(),
            acts: BTreeMap::new(),
            asked: None,
            doubts: BTreeMap::new(),
            running: Vec::new(),
            acted: Vec::new(),
            acknowledged: 0,
            notices: None,
            files: BTreeMap::new(),
            names: 0,
            lives: 0,
            kept: 0,
            resumed: 0,
            faults: true,
        };
        world.boot();
        world
    }

    /// Opens the node on what the disk holds, and checks that nothing acknowledged is missing.
    fn boot(&mut self) {
        // The entropy of each life is its own and follows from the seed.
        let (seed, mut count) = (self.dice.roll(), 0u64);
        let entropy = Box::new(move || {
            count += 1;
            let mut bytes = [0; 32];
            let mut dice = Dice(seed ^ count);
            bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&dice.roll().to_le_bytes()));
            bytes
        });
        let options =
            FileOptions::new(entropy).with_disk(Arc::new(self.disk.clone())).with_segment_bytes(4096);
        let at = self.clock_now();
        let trail = match hv_core::audit::verify_on(&self.disk, Path::new(DIR), &mut |_| {}) {
            Ok(_) => OpenTrail::open(Path::new(DIR), at, options),
            Err(_) => OpenTrail::create(Path::new(DIR), at, options),
        };
        let trail =
            trail.unwrap_or_else(|error| panic!("seed {}: the trail opens again: {error}", self.seed));
        let hv = Hypervisor::open(trail, self.clock.clone());
        let hv = hv.unwrap_or_else(|error| panic!("seed {}: the state is replayed: {error}", self.seed));
        self.resumed += u32::from(hv.opening().snapshot.is_some());
        self.same_as_replayed(&hv);
        let mut replayed = Shadow::default();
        let read = hv.log().replay(&mut |entry| {
            replayed.read(&entry);
            Ok(())
        });
        read.unwrap();
        // C2, and S4: what live readers were told is what the trail says.
        let told = self.shadow.records.get(..self.acknowledged);
        assert!(
            replayed.records.get(..self.acknowledged) == told,
            "C2: seed {}: what was acknowledged is not there any more",
            self.seed
        );
        self.notices = Some(hv.subscribe());
        self.hv = Some(hv);
        self.shadow = replayed;
        self.acknowledged = self.shadow.records.len();
        for acted in &self.acted {
            assert!(
                self.shadow.granted.contains(acted),
                "C1: seed {}: an effect without a durable grant",
                self.seed
            );
        }
    }

    /// S4: a node that was opened from a snapshot is the one that its whole trail makes.
    fn same_as_replayed(&self, hv: &Hypervisor) {
        if hv.opening().snapshot.is_none() {
            return;
        }
        let copy = SimDisk::from_image(&self.disk.image());
        let options = FileOptions::new(Box::new(|| [7; 32])).with_disk(Arc::new(copy)).without_snapshots();
        let log = FileLog::open(Path::new(DIR), self.clock_now(), options).unwrap();
        let replayed = Hypervisor::open(Arc::new(log), self.clock.clone()).unwrap();
        assert_eq!(
            hv.state_digest().unwrap(),
            replayed.state_digest().unwrap(),
            "S4: seed {}: opened from a snapshot, the node is another",
            self.seed
        );
        hv.log().verify_rest().unwrap();
    }

    fn clock_now(&self) -> Timestamp {
        hv_core::Clock::now(&*self.clock)
    }

    fn hv(&self) -> Hypervisor {
        self.hv.clone().expect("a node is open")
    }

    /// Reads what became durable since the last time.
    fn catch_up(&mut self) {
        while let Ok(notice) = self.notices.as_mut().expect("a node is open").try_recv() {
            for told in notice.told() {
                let events = told.said().map(TrailEvent::from).collect();
                self.shadow.take(notice.lsn, notice.time, told.stream, events);
            }
        }
        self.acknowledged = self.shadow.records.len();
        self.check_ends();
    }

    /// Whatever was asked for, the node answered it: an answer is durable, a refusal is on the trail, and a
    /// failure of the disk ends this life.
    fn answered<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => {
                self.catch_up();
                Some(value)
            }
            Err(Error::Denied(denied)) => {
                self.catch_up();
                assert!(
                    denied.lsn.is_none_or(|lsn| self.shadow.denials.contains(&lsn)),
                    "seed {}: a refusal that is not on the trail: {}",
                    self.seed,
                    denied.reason
                );
                None
            }
            Err(Error::Log(LogError::Io { .. } | LogError::Poisoned) | Error::Poisoned) => {
                assert!(self.faults, "seed {}: nothing fails any more", self.seed);
                self.crash();
                None
            }
            Err(Error::NoSession(_) | Error::NoSaga(_)) => None,
            Err(error) => panic!("seed {}: {error}", self.seed),
        }
    }

    /// The process dies; what it had not synced is lost, torn or there. The disk that it leaves works.
    fn crash(&mut self) {
        self.hv = None;
        self.lives += 1;
        let ran: BTreeSet<_> =
            self.running.drain(..).map(|(attempt, _)| (place_of(&attempt), attempt.purpose)).collect();
        self.disk = self.disk.crash(&mut self.dice);
        self.files.values_mut().for_each(|content| *content = None);
        self.boot();
        let asked = self.asked.take();
        self.check_doubts(&ran, asked.as_ref());
        let sessions: Vec<_> = self.sagas();
        for (session, saga) in sessions {
            self.saga(&session, &saga, SagaCommand::recover());
        }
    }

    /// The sagas that have not ended, as the trail tells.
    fn sagas(&self) -> Vec<(SessionId, SagaId)> {
        let mut open = Vec::new();
        for shade in self.shadow.sessions.values() {
            let Some(session) = shade.session.id() else { continue };
            let running = shade.sagas.iter().filter(|(_, saga)| !saga.state().is_terminal());
            open.extend(running.map(|(id, _)| (session.clone(), id.clone())));
        }
        open
    }

    /// Commits a command of a saga; what it starts runs from now on.
    fn saga(&mut self, session: &SessionId, saga: &SagaId, command: SagaCommand) -> Option<SagaState> {
        let host = self.hv().saga(session, saga);
        let accepted = host.accepting((0..20).collect());
        self.asked = Some((session.clone(), saga.clone()));
        let result = match now(accepted.commit(command, None)) {
            Ok(progress) => Ok(progress),
            Err(Halt::Denied(denial)) => {
                let known = self.shadow.denials.len();
                self.catch_up();
                // Of a flood, the first ones are told in full; the others are in a count that may come later.
                let told = self.shadow.denials.len() > known || known >= IN_FULL;
                assert!(told, "seed {}: a refusal that is not on the trail: {denial}", self.seed);
                self.asked = None;
                return None;
            }
            Err(Halt::Host(error)) => Err(*error.downcast::<Error>().unwrap()),
            Err(Halt::Gone) => panic!("seed {}: nobody else runs it", self.seed),
        };
        let progress = self.answered(result);
        self.asked = None;
        let Progress { starts, state, .. } = progress?;
        self.running.extend(starts.into_iter().map(|(attempt, grant)| (attempt, Phase::Granted(grant))));
        Some(state)
    }

    /// Something happens to one attempt that runs: it acts, or its outcome is reported.
    fn step_on(&mut self, index: usize) {
        let (attempt, task) = self.running.swap_remove(index);
        match task {
            Phase::Granted(grant) => {
                let call = grant.call().clone();
                let at = self.hv().now();
                let outcome = match Permit::redeem(grant, &attempt, at) {
                    Ok(()) => {
                        self.may_act(&attempt);
                        self.acted.push((call.params, call.deadline));
                        self.act(&attempt)
                    }
                    Err(_) => Outcome::failed(Class::Permanent, Why::NotPermitted),
                };
                self.running.push((attempt, Phase::Ended(outcome)));
            }
            Phase::Ended(outcome) => {
                let report = Report::of(attempt.at(), outcome.verdict);
                self.saga(&attempt.session, &attempt.saga, report.into());
            }
        }
    }

    /// R4: whoever acts may, as the trail stands at this moment.
    fn may_act(&self, attempt: &Attempt) {
        if attempt.purpose != Purpose::Execute {
            return;
        }
        let agent = &attempt.agent;
        let at = self.hv().now();
        let quarantined = self.shadow.ledger.quarantined(agent, at).is_some();
        let member = self
            .shadow
            .session(&attempt.session)
            .and_then(|(_, shade)| shade.session.member(agent).map(drop));
        let killed = self.shadow.killed.contains(agent);
        let may = !quarantined && !killed && member.is_some();
        assert!(may, "R4: seed {}: {agent} acts and may not", self.seed);
    }

    /// The effect itself, and what the executor says of it.
    fn act(&mut self, attempt: &Attempt) -> Outcome {
        let place = place_of(attempt);
        let (faults, roll) = (self.faults, self.dice.below(10));
        let unknown = || Outcome::failed(Class::Unknown, Why::TimedOut);
        match (attempt.purpose, roll) {
            (Purpose::Probe, 9) if faults => Outcome::answer(ProbeAnswer::Unknown),
            (Purpose::Probe, _) => Outcome::answer(if self.there(&place) > 0 {
                ProbeAnswer::Present
            } else {
                ProbeAnswer::Absent
            }),
            (_, 0) if faults => Outcome::failed(Class::Retryable, Why::NotConnected),
            (_, 1) if faults => Outcome::failed(Class::Permanent, Why::Exit { code: 1 }),
            (_, 2) if faults => unknown(),
            (purpose, roll) => {
                if attempt.action.as_str() != "look" {
                    self.change(attempt, place, purpose);
                }
                if roll == 3 && faults { unknown() } else { Outcome::done() }
            }
        }
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    fn agent(&mut self) -> Did {
        did(self.dice.below(AGENTS))
    }

    fn some_session(&mut self) -> Option<SessionId> {
        let all: Vec<_> =
            self.shadow.sessions.values().filter_map(|shade| shade.session.id().cloned()).collect();
        if all.is_empty() { None } else { Some(all[self.dice.index(all.len())].clone()) }
    }

    /// So many random events, with faults.
    pub fn safety(&mut self, events: u32) {
        for _ in 0..events {
            self.event();
        }
    }

    fn event(&mut self) {
        match self.dice.below(100) {
            0..6 => self.open(),
            6..14 => {
                let (Some(session), agent) = (self.some_session(), self.agent()) else { return };
                self.join(&session, &agent);
            }
            14..20 => {
                let Some(session) = self.some_session() else { return };
                let (voucher, vouchee) = (self.agent(), self.agent());
                let stake = if self.dice.below(2) == 0 {
                    Stake::Default
                } else {
                    Stake::Amount(Sigma::capped(self.dice.below(700_000)))
                };
                let vouched = now(self.hv().vouch(&session, &voucher, &vouchee, stake));
                self.answered(vouched);
            }
            20..30 => self.begin(),
            30..34 => {
                let sagas = self.sagas();
                if let Some((session, saga)) = pick(&mut self.dice, &sagas) {
                    let command =
                        if self.dice.below(3) == 0 { SagaCommand::Cancel } else { SagaCommand::advance() };
                    self.saga(&session, &saga, command);
                }
            }
            34..74 => {
                if !self.running.is_empty() {
                    let index = self.dice.index(self.running.len());
                    self.step_on(index);
                }
            }
            74..84 => self.file(),
            84..88 => {
                let Some(session) = self.some_session() else { return };
                let ended = now(self.hv().terminate_session(&session));
                if self.answered(ended).is_some() {
                    self.files.retain(|(of, _), _| *of != session);
                }
            }
            88..91 => self.clock.advance(Duration::from_millis(self.dice.below(5_000))),
            91..92 => {
                let kept = now(self.hv().keep_snapshot());
                self.kept += u32::from(kept.is_ok());
                self.answered(kept);
            }
            92..93 => self.clock.advance(DAY),
            93..94 => {
                let back = u64::try_from(DAY.as_nanos()).unwrap();
                self.clock.set(Timestamp(self.clock_now().0 - back));
            }
            94..97 => {
                let how = if self.dice.below(2) == 0 { Fail::Once } else { Fail::Forever };
                self.disk.fail_at(self.dice.below(12), how);
            }
            97..98 => self.crash(),
            98..99 => {
                let agent = self.agent();
                let quarantined = now(self.hv().quarantine(&agent, Duration::from_secs(300)));
                self.answered(quarantined);
            }
            _ => self.kill(),
        }
    }

    /// Kills an agent, or lifts the kill of one.
    fn kill(&mut self) {
        let target = KillTarget::Agent { did: self.agent() };
        let order = KillOrder { target, by: None, reason: "seen".to_owned() };
        if self.dice.below(3) == 0 {
            let lifted = now(self.hv().lift_kill(&order));
            self.answered(lifted);
            return;
        }
        // Its callback has a deadline, and so needs a runtime.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let killed = runtime.block_on(self.hv().kill(&order, async { Ok::<(), Infallible>(()) }));
        self.answered(killed);
    }

    fn open(&mut self) {
        let id = SessionId::new(&format!("s{}", self.name())).unwrap();
        let config = SessionConfig::default().with_max_duration(Duration::from_secs(604_800)).unwrap();
        let created = now(self.hv().create_session(&id, config, &did(0)));
        if self.answered(created).is_none() {
            return;
        }
        for n in 0..2 + self.dice.below(3) {
            self.join(&id, &did(n));
        }
        for (name, kind, reversibility) in ACTIONS {
            let claim = Claim { kind: Some(kind), reversibility: Some(reversibility), risk: None };
            let registered = now(self.hv().register_action(&id, &ActionId::new(name).unwrap(), claim));
            self.answered(registered);
        }
        let active = now(self.hv().activate_session(&id));
        self.answered(active);
    }

    fn join(&mut self, session: &SessionId, agent: &Did) {
        let entrant = Entrant::new(agent.clone());
        let entrant = match self.dice.below(6) {
            0 => entrant,
            _ => entrant.with_sigma(Sigma::capped(400_000 + self.dice.below(600_001))),
        };
        let joined = now(self.hv().join_session(session, &entrant));
        self.answered(joined);
    }

    /// A saga of a few random steps.
    fn begin(&mut self) {
        let Some(session) = self.some_session() else { return };
        let id = SagaId::new(&format!("g{}", self.name())).unwrap();
        let count = 1 + self.dice.below(5);
        let steps = (0..count).map(|ordinal| Arc::new(self.step(ordinal))).collect();
        let mut plan = Plan { seed: self.dice.roll(), ..Plan::new(steps) };
        plan.limits.concurrency = 1 + u32::try_from(self.dice.below(4)).unwrap();
        if self.dice.below(4) == 0 {
            plan.growth = Growth::Open;
        }
        self.saga(&session, &id, SagaCommand::begin(plan));
    }

    fn step(&mut self, ordinal: u64) -> StepDef {
        let (action, kind, reversibility) = ACTIONS[self.dice.index(ACTIONS.len())];
        let name = format!("t{ordinal}");
        let mut step = StepDef::new(
            StepId::new(&name).unwrap(),
            ActionId::new(action).unwrap(),
            self.agent(),
            Task::closure("act"),
        );
        step.kind = kind;
        if kind == ActionKind::Effect {
            if reversibility != Reversibility::None || self.dice.below(3) == 0 {
                step = step.with_undo(Task::closure("act"));
            }
            if self.dice.below(3) > 0 {
                step = step.with_probe(Task::closure("act"));
            }
        }
        let waits = |dice: &mut Dice| dice.below(2) == 0;
        step.after = (0..u32::try_from(ordinal).unwrap()).filter(|_| waits(&mut self.dice)).collect();
        if step.after.len() > 1 && self.dice.below(4) == 0 {
            step.join = Join::Majority;
        }
        step.retry = Retry::times(u32::try_from(self.dice.below(3)).unwrap());
        step.undo_retry = Retry::times(u32::try_from(self.dice.below(4)).unwrap());
        step.idempotent = [Idempotence::None, Idempotence::Execute, Idempotence::Both][self.dice.index(3)];
        step
    }

    fn file(&mut self) {
        let (Some(session), agent) = (self.some_session(), self.agent()) else { return };
        let path = format!("f{}", self.dice.below(4));
        let key = (session.clone(), path.clone());
        match self.dice.below(4) {
            0 => {
                let deleted = now(self.hv().delete_file(&session, &agent, &path, Expect::Any));
                self.changed(key, None, deleted);
            }
            1 => {
                let read = now(self.hv().read_file(&session, &agent, &path));
                let Some(read) = self.answered(read) else { return };
                match self.files.get(&key) {
                    Some(None) => drop(match read {
                        Some(content) => self.files.insert(key, Some(content)),
                        None => self.files.remove(&key),
                    }),
                    expected => assert_eq!(
                        read.as_ref(),
                        expected.and_then(Option::as_ref),
                        "seed {}: {session} {path}",
                        self.seed
                    ),
                }
            }
            _ => {
                let content = self.dice.roll().to_le_bytes().to_vec();
                let written =
                    now(self.hv().write_file(&session, &agent, &path, content.clone(), Expect::Any));
                self.changed(key, Some(content), written);
            }
        }
    }

    /// A change that was refused changed nothing; of one that a crash cut off nobody knows.
    fn changed(&mut self, key: (SessionId, String), content: Option<Vec<u8>>, result: Result<(), Error>) {
        let lives = self.lives;
        if self.answered(result).is_some() {
            match content {
                Some(content) => drop(self.files.insert(key, Some(content))),
                None => drop(self.files.remove(&key)),
            }
        } else if self.lives != lives {
            self.files.insert(key, None);
        }
    }

    /// No faults any more: everything that is open comes to its end.
    pub fn liveness(&mut self) {
        self.faults = false;
        // The node may have met a failure that nobody has seen yet, so this life ends too.
        self.crash();
        // A clock that was set back would have to catch up with the trail before anything becomes due.
        self.clock.set(self.hv().now());
        for round in 0.. {
            assert!(round < 10_000, "seed {}: it does not drain: {:?}", self.seed, self.sagas());
            if !self.running.is_empty() {
                self.step_on(0);
                continue;
            }
            let Some((session, saga)) = self.sagas().into_iter().next() else { break };
            self.clock.advance(Duration::from_secs(61));
            let open = self.shadow.session(&session).and_then(|(_, shade)| shade.saga(&saga));
            // What turned back already goes on by the clock alone.
            let command = match open.map(|saga| (saga.growth(), saga.state())) {
                Some((Growth::Open, SagaState::Running)) => SagaCommand::Finish,
                _ => SagaCommand::advance(),
            };
            self.saga(&session, &saga, command);
            if self.running.is_empty() && round % 50 == 49 {
                self.saga(&session, &saga, SagaCommand::Cancel);
            }
        }
        while let Some(session) = self.some_session() {
            let ended = now(self.hv().terminate_session(&session));
            assert!(self.answered(ended).is_some(), "seed {}: {session} does not end", self.seed);
        }
    }

    /// Ends the trail; gives the disk, and how often what happened.
    pub fn end(self) -> (SimDisk, BTreeMap<&'static str, u32>) {
        now(self.hv().seal()).unwrap();
        let mut happened = self.shadow.ends;
        happened.insert("denied", u32::try_from(self.shadow.denials.len()).unwrap());
        happened.extend(self.doubts);
        happened.insert("crashed", self.lives);
        happened.insert("kept", self.kept);
        happened.insert("resumed", self.resumed);
        happened.insert("acted", u32::try_from(self.acted.len()).unwrap());
        (self.disk, happened)
    }
}

fn did(n: u64) -> Did {
    Did::new(&format!("did:mesh:a{n}")).unwrap()
}

fn pick<T: Clone>(dice: &mut Dice, from: &[T]) -> Option<T> {
    if from.is_empty() { None } else { Some(from[dice.index(from.len())].clone()) }
}
