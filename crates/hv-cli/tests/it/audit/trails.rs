//! Trails to look at: a real piece of work, and one of every event that there is.

use super::every;
use hv_core::audit::{Batch, Entropy, FileLog, FileOptions, Log, LogError, StreamNo, Tier, Transcript};
use hv_core::event::{LedgerEvent, MembershipEvent, RECORD_VERSION, SagaEvent, SessionEvent};
use hv_core::liability::AgentNo;
use hv_core::rings::class::Claim;
use hv_core::saga::drive::{Control, drive};
use hv_core::saga::exec::Closures;
use hv_core::saga::{
    Class, Growth, Micros, Move, Outcome, Output, Plan, Purpose, Reason, SagaCommand, SagaState, StepDef,
    Task,
};
use hv_core::session::{Expect, SessionConfig};
use hv_core::types::{
    ActionId, ActionKind, Did, Reversibility, SagaId, SessionId, Sigma, StepId, Timestamp, Wire,
};
use hv_core::{Clock, Entrant, Hypervisor, ManualClock};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// 2026-01-31 12:00:00 UTC.
pub(crate) const START: Timestamp = Timestamp(1_769_860_800_000_000_000);

/// Numbers that look random and are the same in every run.
fn options() -> FileOptions {
    let mut count = 0u64;
    let entropy: Entropy = Box::new(move || {
        count += 1;
        *blake3::hash(&count.to_le_bytes()).as_bytes()
    });
    FileOptions::new(entropy)
}

/// A node with its log, which it holds open.
pub(crate) struct Stage {
    pub(crate) hv: Hypervisor,
    pub(crate) clock: Arc<ManualClock>,
}

pub(crate) fn did(name: &str) -> Did {
    Did::new(&format!("did:mesh:{name}")).unwrap()
}

fn session_id(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

fn step(id: &str, agent: &str, action: &str, task: &str) -> StepDef {
    let (id, action) = (StepId::new(id).unwrap(), ActionId::new(action).unwrap());
    StepDef::new(id, action, did(agent), Task::closure(task)).with_undo(Task::closure(task))
}

impl Stage {
    pub(crate) fn new(dir: &Path) -> Self {
        Self::since(dir, START)
    }

    /// One whose trail begins at another time.
    pub(crate) fn since(dir: &Path, start: Timestamp) -> Self {
        let clock = Arc::new(ManualClock::at(start));
        let log = Arc::new(FileLog::create(dir, start, options()).unwrap());
        Self { hv: Hypervisor::open(log, clock.clone()).unwrap(), clock }
    }

    /// A session with two members, one of which the other vouches for.
    pub(crate) async fn session(&self, name: &str) -> SessionId {
        let session = session_id(name);
        self.hv.create_session(&session, SessionConfig::default(), &did("admin")).await.unwrap();
        for (name, sigma) in [("builder", "0.9"), ("helper", "0.5")] {
            let entrant = Entrant::new(did(name)).with_sigma(sigma.parse().unwrap());
            self.hv.join_session(&session, &entrant).await.unwrap();
        }
        let stake = hv_core::liability::Stake::Default;
        self.hv.vouch(&session, &did("builder"), &did("helper"), stake).await.unwrap();
        for (action, reversibility) in [("git.tag", Reversibility::Full), ("git.push", Reversibility::None)] {
            let claim = Claim {
                kind: Some(ActionKind::Effect),
                reversibility: Some(reversibility),
                ..Claim::default()
            };
            self.hv.register_action(&session, &ActionId::new(action).unwrap(), claim).await.unwrap();
        }
        self.hv.activate_session(&session).await.unwrap();
        session
    }

    /// A session in which one agent works, who is vouched for by nobody.
    pub(crate) async fn quiet(&self, name: &str) -> SessionId {
        let session = session_id(name);
        self.hv.create_session(&session, SessionConfig::default(), &did("admin")).await.unwrap();
        let entrant = Entrant::new(did("clerk")).with_sigma("0.9".parse().unwrap());
        self.hv.join_session(&session, &entrant).await.unwrap();
        let claim = Claim {
            kind: Some(ActionKind::Effect),
            reversibility: Some(Reversibility::Full),
            ..Claim::default()
        };
        self.hv.register_action(&session, &ActionId::new("git.tag").unwrap(), claim).await.unwrap();
        self.hv.activate_session(&session).await.unwrap();
        session
    }

    async fn saga(&self, session: &SessionId, name: &str, steps: Vec<StepDef>, end: SagaState) {
        let mut closures = self.closures();
        let clock = Arc::clone(&self.clock);
        closures.add(
            "works",
            move |_| {
                clock.advance(Duration::from_millis(1500));
                let stdout = b"tagged v1.0\n".to_vec();
                async { Outcome::done().with_output(Output { stdout, ..Output::default() }) }
            },
            |_| async { Outcome::done() },
        );
        closures.add(
            "stays",
            |_| async { Outcome::done() },
            |_| async { Outcome::failed(Class::Permanent, Reason::Exit { code: 7 }) },
        );
        closures.add(
            "fails",
            |_| async { Outcome::failed(Class::Permanent, Reason::Exit { code: 1 }) },
            |_| async { Outcome::done() },
        );
        let unproven = (0..).zip(&steps).map(|(ordinal, _)| ordinal).collect();
        let plan = Plan::new(steps.into_iter().map(Arc::new).collect());
        let host = self.hv.create_saga(session, &SagaId::new(name).unwrap(), plan, unproven).await.unwrap();
        let ended = drive(&host, &closures, &Control::new(), SagaCommand::advance()).await.unwrap();
        assert_eq!(ended, end);
    }

    fn closures(&self) -> Closures {
        let clock = Arc::clone(&self.clock);
        Closures::new().with_clock(Arc::new(move || clock.now()))
    }

    /// Files, a note, a saga that completes, one that is denied, and a request without a session.
    pub(crate) async fn work(&self, session: &SessionId) {
        let tag = step("tag", "helper", "git.tag", "works");
        let check = StepDef { after: vec![0], ..step("check", "builder", "git.tag", "works") };
        self.saga(session, "release", vec![tag, check], SagaState::Completed).await;
        let push = step("push", "builder", "git.push", "works");
        self.saga(session, "publish", vec![push], SagaState::Compensated).await;
        for (content, expect) in [(&b"draft"[..], Expect::Absent), (b"final", Expect::Present)] {
            let (agent, content) = (did("builder"), content.to_vec());
            self.hv.write_file(session, &agent, "notes/plan.md", content, expect).await.unwrap();
        }
        self.hv.note(session, "plan\u{1b}[2J", b"a note".to_vec()).await.unwrap();
        assert!(self.hv.activate_session(&session_id("nowhere")).await.is_err());
    }

    /// A saga of so many steps, one after the other.
    async fn rounds(&self, session: &SessionId, count: u32) {
        self.rounds_by("builder", session, count).await;
    }

    /// The same by somebody.
    pub(crate) async fn rounds_by(&self, agent: &str, session: &SessionId, count: u32) {
        let round = |n: u32| StepDef {
            after: n.checked_sub(1).into_iter().collect(),
            ..step(&format!("round-{n}"), agent, "git.tag", "works")
        };
        self.saga(session, "rounds", (0..count).map(round).collect(), SagaState::Completed).await;
    }

    /// A saga whose undo fails, for which the agent and its voucher pay.
    pub(crate) async fn slash(&self, session: &SessionId) {
        let stays = step("leave", "helper", "git.tag", "stays");
        let fails = StepDef { after: vec![0], ..step("break", "helper", "git.tag", "fails") };
        self.saga(session, "doomed", vec![stays, fails], SagaState::Escalated).await;
    }
}

impl Stage {
    /// The same with a step before it that prints something.
    pub(crate) async fn talkative_slash(&self, session: &SessionId) {
        let works = step("say", "builder", "git.tag", "works");
        let stays = StepDef { after: vec![0], ..step("leave", "helper", "git.tag", "stays") };
        let fails = StepDef { after: vec![1], ..step("break", "helper", "git.tag", "fails") };
        self.saga(session, "doomed", vec![works, stays, fails], SagaState::Escalated).await;
    }
}

/// A finished trail of more than fifty records.
pub(crate) async fn finished(dir: &Path) {
    finished_since(dir, START).await;
}

/// One that began at another time.
pub(crate) async fn finished_since(dir: &Path, start: Timestamp) {
    let stage = Stage::since(dir, start);
    let session = stage.session("release").await;
    stage.work(&session).await;
    stage.rounds(&session, 20).await;
    stage.slash(&session).await;
    stage.hv.terminate_session(&session).await.unwrap();
    stage.hv.seal().await.unwrap();
}

/// A finished trail is opened again, for one session more.
pub(crate) async fn goes_on(dir: &Path) {
    let clock = Arc::new(ManualClock::at(START.after(Duration::from_secs(3600))));
    let log = Arc::new(FileLog::open(dir, clock.now(), options()).unwrap());
    let stage = Stage { hv: Hypervisor::open(log, clock.clone()).unwrap(), clock };
    let session = session_id("later");
    stage.hv.create_session(&session, SessionConfig::default(), &did("admin")).await.unwrap();
    stage.hv.terminate_session(&session).await.unwrap();
    stage.hv.seal().await.unwrap();
}

/// What somebody makes of a finished trail who has everything that its writer had: another end of the work.
pub(crate) async fn rewritten(dir: &Path) {
    let stage = Stage::new(dir);
    let session = stage.session("release").await;
    stage.work(&session).await;
    stage.rounds(&session, 19).await;
    stage.hv.terminate_session(&session).await.unwrap();
    stage.hv.seal().await.unwrap();
}

/// So many closed sessions of two records and a payload, `s0` and on, and one called `open` that is not closed; ended.
pub(crate) fn of_many_sessions(dir: &Path, count: u32) {
    of_sessions(dir, count, b"first");
}

/// The same with another content.
pub(crate) fn of_other_sessions(dir: &Path, count: u32) {
    of_sessions(dir, count, b"other");
}

fn of_sessions(dir: &Path, count: u32, content: &[u8]) {
    let log = FileLog::create(dir, START, options()).unwrap();
    for n in 0..count {
        short_session(&log, &format!("s{n}"), content);
    }
    let opened =
        log.append(&[], START, &mut |batch| batch.genesis("open", |out| out.push(RECORD_VERSION)).map(drop));
    opened.unwrap();
    log.seal(START).unwrap();
}

fn short_session(log: &FileLog, label: &str, content: &[u8]) {
    let payload = log.put_payload(content).unwrap();
    let appended = log.append(&[], START, &mut |batch| {
        let (stream, _) = batch.genesis(label, |out| out.push(RECORD_VERSION))?;
        batch.push(stream, &[payload], |out| out.push(RECORD_VERSION))?;
        batch.push(StreamNo::LEDGER, &[], |out| out.push(RECORD_VERSION))?;
        batch.close(stream).map(drop)
    });
    appended.unwrap();
}

/// A session more on an ended trail, which is ended again.
pub(crate) fn of_one_session_more(dir: &Path) {
    let log = FileLog::open(dir, START, options()).unwrap();
    short_session(&log, "more", b"more");
    log.seal(START).unwrap();
}

/// One of every event, on streams of their own, and ended. No hypervisor would write it in this order.
pub(crate) fn of_every_event(dir: &Path, every: &every::Every) {
    let log = FileLog::create(dir, START, options()).unwrap();
    let payload = log.put_payload(b"content").unwrap();
    let mut time = START;
    let mut append = |fill: &mut dyn FnMut(&mut Batch<'_>) -> Result<(), LogError>| {
        time = time.after(Duration::from_millis(250));
        log.append(&[], time, fill).unwrap();
    };
    let mut stream = None;
    append(&mut |batch| {
        stream = Some(batch.genesis("sample", |out| out.push(RECORD_VERSION))?.0);
        Ok(())
    });
    let stream = stream.unwrap();
    for event in &every.node {
        append(&mut |batch| batch.push(StreamNo::NODE, &[], |out| body(event, out)).map(|_| ()));
    }
    for event in &every.ledger {
        append(&mut |batch| batch.push(StreamNo::LEDGER, &[], |out| body(event, out)).map(|_| ()));
    }
    for event in &every.session {
        let attached = if matches!(event, SessionEvent::Noted { .. }) { vec![payload] } else { vec![] };
        append(&mut |batch| batch.push(stream, &attached, |out| body(event, out)).map(|_| ()));
    }
    let gone = log.put_payload(b"gone").unwrap();
    append(&mut |batch| batch.push(StreamNo::NODE, &[gone], |out| out.push(RECORD_VERSION)).map(|_| ()));
    append(&mut |batch| batch.purge(&[gone.id()], |out| out.push(RECORD_VERSION)).map(|_| ()));
    log.destroy(START).unwrap();
    append(&mut |batch| batch.close(stream).map(|_| ()));
    let mut spare = None;
    append(&mut |batch| {
        spare = Some(batch.genesis("spare", |out| out.push(RECORD_VERSION))?.0);
        batch.push(spare.unwrap_or(stream), &[], |out| out.push(RECORD_VERSION)).map(|_| ())
    });
    append(&mut |batch| batch.close(spare.unwrap_or(stream)).map(|_| ()));
    reduce(&log, spare.unwrap(), Tier::Leaves);
    let snapshot = log.begin_snapshot(time, b"a state").unwrap().unwrap();
    log.finish_snapshot(snapshot).unwrap();
    log.seal(time).unwrap();
}

/// Destroys the records of a session but for their hashes or roots.
pub(crate) fn reduce(log: &FileLog, stream: StreamNo, tier: Tier) {
    let read = Transcript::of(log, &mut |_| false).unwrap();
    let checkpoint = (read.size(), read.root(read.size()).unwrap());
    let reductions = log.reductions(&[stream], tier, checkpoint).unwrap();
    log.append(&[], START, &mut |batch| {
        batch.reduce(&reductions[0], |out| out.push(RECORD_VERSION)).map(drop)
    })
    .unwrap();
    log.destroy(START).unwrap();
}

/// A finished trail of small segments, of three sessions of which two are reduced, and one of those twice.
pub(crate) fn reduced(dir: &Path) {
    let log = FileLog::create(dir, START, options().with_segment_bytes(900)).unwrap();
    let streams = [2, 3, 4].map(StreamNo);
    for round in 0..25u8 {
        log.append(&[], START.after(Duration::from_secs(round.into())), &mut |batch| {
            for stream in streams {
                match round {
                    0 => drop(batch.genesis("small", |out| out.push(RECORD_VERSION))?),
                    24 => drop(batch.close(stream)?),
                    _ => drop(batch.push(stream, &[], |out| out.extend([RECORD_VERSION, round]))?),
                }
            }
            Ok(())
        })
        .unwrap();
    }
    reduce(&log, streams[0], Tier::Leaves);
    reduce(&log, streams[1], Tier::Roots);
    reduce(&log, streams[0], Tier::Roots);
    log.seal(START.after(Duration::from_secs(60))).unwrap();
}

/// A finished trail of several small segments, opened a second time, with a payload that no record of the caller
/// names.
pub(crate) fn in_segments(dir: &Path) {
    let log = FileLog::create(dir, START, options().with_segment_bytes(700)).unwrap();
    let mut stream = None;
    for round in 0..20u8 {
        let fill = &mut |batch: &mut Batch<'_>| {
            if stream.is_none() {
                stream = Some(batch.genesis("small", |out| out.push(RECORD_VERSION))?.0);
            }
            batch
                .push(stream.unwrap_or(StreamNo::NODE), &[], |out| out.extend([RECORD_VERSION, round]))
                .map(|_| ())
        };
        log.append(&[], START.after(Duration::from_secs(round.into())), fill).unwrap();
    }
    log.put_payload(b"loose").unwrap();
    log.seal(START).unwrap();
    drop(log);
    let log = FileLog::open(dir, START, options().with_segment_bytes(700)).unwrap();
    log.append(&[], START, &mut |batch| batch.close(stream.unwrap()).map(|_| ())).unwrap();
    log.seal(START).unwrap();
    assert!(dir.join("00000002.seg").is_file());
}

/// A trail whose last record no version knows, and with a label that tries to draw on the screen.
pub(crate) fn of_the_future(dir: &Path) {
    let log = FileLog::create(dir, START, options()).unwrap();
    let lsn = log
        .append(&[], START, &mut |batch| {
            let (stream, _) = batch.genesis("\u{1b}]0;owned\u{7}", |out| out.push(RECORD_VERSION))?;
            batch.push(stream, &[], |out| out.extend([RECORD_VERSION, 250]))?;
            batch.push(stream, &[], |out| out.push(RECORD_VERSION + 1))?;
            batch.push(StreamNo::LEDGER, &[], |_| ())?;
            Ok(())
        })
        .unwrap();
    log.sync(lsn).unwrap();
}

/// A trail that speaks of numbers without names, and of two steps of one name.
pub(crate) fn of_numbers(dir: &Path) {
    let log = FileLog::create(dir, START, options()).unwrap();
    let (at, purpose, number) = (Micros(0), Purpose::Execute, 1);
    let of = |saga, event| SessionEvent::Saga { saga, event };
    let appended =
        |saga| of(saga, SagaEvent::Appended { steps: every::steps().into(), growth: Growth::Sealed });
    let opened = |id| SessionEvent::SagaOpened { id: SagaId::new(id).unwrap(), unproven: vec![] };
    let events = [
        SessionEvent::Session { event: MembershipEvent::Left { member: 7 } },
        of(9, SagaEvent::Started { step: 3, purpose, number, at }),
        opened("one"),
        appended(0),
        of(0, SagaEvent::Started { step: 0, purpose, number, at }),
        opened("two"),
        appended(1),
        of(0, SagaEvent::Moved { step: 0, to: Move::Committed {}, at }),
        of(1, SagaEvent::Moved { step: u32::MAX, to: Move::Committed {}, at }),
    ];
    let earned = LedgerEvent::Earned { agent: AgentNo(5), amount: Sigma::ONE, at: START };
    let lsn = log.append(&[], START, &mut |batch| {
        let (stream, _) = batch.genesis("numbers", |out| out.push(RECORD_VERSION))?;
        events.iter().try_for_each(|event| batch.push(stream, &[], |out| body(event, out)).map(|_| ()))?;
        batch.push(StreamNo::LEDGER, &[], |out| body(&earned, out)).map(|_| ())
    });
    log.sync(lsn.unwrap()).unwrap();
}

fn body(event: &impl Wire, out: &mut Vec<u8>) {
    out.push(RECORD_VERSION);
    event.put(out);
}
