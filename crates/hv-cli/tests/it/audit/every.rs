//! One of every event, with values that never change.

use super::trails::{START, did};
use hv_core::adapters::{DriftRecord, DriftVerdict, PortsOn};
use hv_core::anchor::AnchorState;
use hv_core::event::{
    AgentKept, Denial, Folded, FoldedAsker, FoldedKind, FoldedSource, KeyEvent, KillAnswer, KillTarget,
    LedgerEvent, MembershipEvent, NodeEvent, Rejected, Rejection, SagaEvent, SessionEvent, Voice,
};
use hv_core::identity::registry::Held;
use hv_core::identity::{Kind, Signer};
use hv_core::integrations::drift::{Hysteresis, Response};
use hv_core::integrations::trust::Severity;
use hv_core::liability::{
    AccountKept, AgentNo, BondKept, BondNo, Case, Cause, Cut, Loss, Offence, SessionNo, SlashReason, Slashed,
    Source, Standing, Toll, Totals, TrackRecord, Verdict, VouchPolicy,
};
use hv_core::rings::breach::Breach;
use hv_core::rings::class::{Claim, Override, Source as Speaker};
use hv_core::rings::elevation::{Elevation, LASTS, Request};
use hv_core::rings::intent::{
    Allowed, AmountBound, Bounds, CommandBounds, CommandLine, Demand, HttpBounds, LASTS as LASTS_OF_INTENTS,
    Policy, Rest, Rule, UndoRule, Unit, Violation, What,
};
use hv_core::rings::standing::Cap;
use hv_core::rings::{Basis, Nonce};
use hv_core::saga::{
    ActionKind, Class, CommandTask, Failure, Growth, HttpTask, Idempotence, Join, Limits, Micros, Move, Pace,
    Purpose, Reason, Retry, SagaState, StepDef, StepRun, StepState, Task, Value,
};
use hv_core::session::{
    Acl, Change, ConsistencyMode, Content, Eviction, File, FileEvent, FilePath, FilesPart, Grantee, PathPast,
    Revision, Rights, SessionConfig, SessionState, SnapshotName, Stamp, Version,
};
use hv_core::types::{
    ActionId, Digest, Reversibility, Ring, RiskWeight, SagaId, SessionId, Share, Sigma, StepId, Timestamp,
    Wire,
};
use hv_core::{Guards, NodeConfig, Origin, Retried, Scoring, Settlement, Vouching};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The samples, stream by stream.
pub(crate) struct Every {
    pub(crate) node: Vec<NodeEvent>,
    pub(crate) ledger: Vec<LedgerEvent>,
    pub(crate) session: Vec<SessionEvent>,
}

pub(crate) fn every() -> Every {
    let mut node = node();
    node.extend(guards());
    node.extend(kills());
    node.extend(keeping());
    node.extend(told());
    Every { node, ledger: ledger(), session: session() }
}

fn keeping() -> Vec<NodeEvent> {
    let session = Some(SessionId::new("sample").unwrap());
    let (older_than, subject) = (Some(Duration::from_secs(365 * 86_400)), Some(did("a")));
    vec![
        NodeEvent::Purged { session: session.clone(), subject, older_than, contents: 3, bytes: 4711 },
        NodeEvent::Reduced {
            session: SessionId::new("sample").unwrap(),
            stream: 2,
            agents: vec![
                AgentKept {
                    did: did("a"),
                    summaries: vec![Digest([0xa2; 32])],
                    track: Some(TrackRecord { good: 3_000_000, bad: 1, day: 20_484 }),
                },
                AgentKept { did: did("b"), summaries: vec![], track: None },
            ],
        },
        NodeEvent::Held { hold: 0, session, subject: None, reason: "a case".to_owned() },
        NodeEvent::HoldReleased { hold: 0 },
        NodeEvent::AnchorQueued {
            anchor: 0,
            target: "file:/mnt/anchors".to_owned(),
            size: 9,
            root: Digest([0xa0; 32]),
            digest: Digest([0xa1; 32]),
        },
        NodeEvent::AnchorMoved { anchor: 0, state: AnchorState::Prepared, receipt: b"receipt".to_vec() },
        NodeEvent::HistoryWeighed {
            agent: did("a"),
            node: "node.example".to_owned(),
            sessions: 5,
            until: later(60),
            flaw: Some("it is about another agent".to_owned()),
        },
    ]
}

fn guards() -> Vec<NodeEvent> {
    let folded = |source| {
        let kind = |request: &str, rule: &str, count| FoldedKind {
            request: request.to_owned(),
            rule: rule.to_owned(),
            count,
        };
        let asker = |agent, stream, count| FoldedAsker { agent, stream, count };
        NodeEvent::Folded {
            folded: Box::new(Folded {
                source,
                since: START,
                until: later(9),
                kinds: vec![kind("file", "not_a_member", 300), kind("join", "quarantined", 4)],
                askers: vec![asker(None, 0, 1), asker(Some(did("b")), 2, 2)],
                others: 301,
            }),
        }
    };
    let tripped = |breach| NodeEvent::Tripped { agent: did("b"), breach, until: later(300) };
    let guarded = |score| NodeEvent::Guarded { guards: Box::new(Guards { score, ..Guards::default() }) };
    vec![
        folded(FoldedSource::Many),
        folded(FoldedSource::Program),
        folded(FoldedSource::Agent { did: did("b") }),
        folded(FoldedSource::Origin { origin: Origin::new("203.0.113.7:443").unwrap() }),
        tripped(Breach::Burst { calls: 6, above: 3, weight: 12 }),
        tripped(Breach::Persistent { weight: 12 }),
        guarded(Scoring::Off),
        guarded(Scoring::default()),
    ]
}

fn kills() -> Vec<NodeEvent> {
    let targets = [
        KillTarget::All {},
        KillTarget::Session { id: SessionId::new("sample").unwrap() },
        KillTarget::Agent { did: did("b") },
        KillTarget::Action { action: ActionId::new("git.push").unwrap() },
    ];
    let answers =
        [KillAnswer::Stopped {}, KillAnswer::Failed { why: "it hangs".to_owned() }, KillAnswer::Late {}];
    let (by, reason) = (Some(did("admin")), "it leaks".to_owned());
    let mut events: Vec<NodeEvent> = targets
        .iter()
        .map(|target| NodeEvent::Killed {
            target: target.clone(),
            by: by.clone(),
            reason: reason.clone(),
            at: later(3),
        })
        .collect();
    let answered = targets
        .iter()
        .zip(answers)
        .map(|(target, answer)| NodeEvent::KillAnswered { target: target.clone(), answer });
    events.extend(answered);
    events.push(NodeEvent::KillLifted { target: targets[2].clone(), by: None, reason: "mended".to_owned() });
    events
}

fn sigma(text: &str) -> Sigma {
    text.parse().unwrap()
}

fn share(text: &str) -> Share {
    text.parse().unwrap()
}

fn later(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

fn denial() -> Denial {
    Denial {
        agent: Some(did("b")),
        action: Some(ActionId::new("git.push").unwrap()),
        request: "step".to_owned(),
        reason: "it needs more".to_owned(),
        needs: "a quorum".to_owned(),
    }
}

fn node() -> Vec<NodeEvent> {
    let key = |seed| Signer::new(&[seed; 32]).unwrap().public().clone();
    let config = NodeConfig::new(did("node"))
        .with_witness(did("human"))
        .with_verifier(did("monitor"))
        .with_override(action(), Override { ring: Some(Ring::Root), risk: Some(RiskWeight::ZERO) })
        .with_vouching(Vouching::Reference)
        .with_grace(Duration::from_secs(600));
    let (from, until) = (START, later(3600));
    let held = Held { key: key(3), from, until: Timestamp::MAX, revoked: Some(until) };
    let mut events = vec![
        NodeEvent::Denied { denial: denial() },
        NodeEvent::Contested { charge: Digest([0xc1; 32]), grounds: Digest([0xc2; 32]) },
        NodeEvent::WriteLost {
            session: SessionId::new("sample").unwrap(),
            stream: 2,
            seq: 9,
            record: Digest([0xe9; 32]),
        },
        NodeEvent::SnapshotUnusable { batch: 7, why: "it is not there".to_owned() },
        NodeEvent::Configured { config: Box::new(config.clone()), by: did("operator"), witness: None },
        NodeEvent::Configured { config: Box::new(config), by: did("operator"), witness: Some(did("human")) },
    ];
    events.extend(
        [
            KeyEvent::Bound { did: did("a"), key: key(1), from, until: Timestamp::MAX },
            KeyEvent::Rotated { did: did("a"), key: key(2), from: until, until: Timestamp::MAX },
            KeyEvent::Revoked { did: did("a"), at: until },
            KeyEvent::Replaced { did: did("a"), key: key(3), from, until, at: START },
            KeyEvent::Restored { did: did("b"), keys: vec![held] },
        ]
        .map(|event| NodeEvent::Key { event }),
    );
    events.extend([
        NodeEvent::Spent { by: did("human"), nonce: Nonce([7; 16]), deadline: until, at: START },
        NodeEvent::Rejected { rejected: Rejected { envelope: Digest([0xe8; 32]), ..rejected() } },
        NodeEvent::Governed {
            action: ActionId::new("hv.slash").unwrap(),
            params: Digest([0xd3; 32]),
            by: did("operator"),
            witness: did("human"),
        },
    ]);
    let (stream, saga, step, number) = (2, 0, 1, 3);
    for how in [Settlement::Resolved {}, Settlement::Skipped {}, Settlement::Retried {}] {
        events.push(NodeEvent::ItemSettled { stream, saga, step, how, by: did("operator"), at: START });
    }
    let params = Digest([0x9b; 32]);
    events.push(NodeEvent::UndoGranted {
        stream,
        saga,
        step,
        number,
        params,
        deadline: until,
        by: did("operator"),
    });
    let failure = Failure::new(Class::Unknown, Reason::CannotTell);
    for result in [Retried::Undone {}, Retried::Failed { failure }] {
        events.push(NodeEvent::UndoEnded { stream, saga, step, number, result });
    }
    events.push(NodeEvent::UndoRestored { stream, action: action(), by: did("operator") });
    events
}

fn action() -> ActionId {
    ActionId::new("git.push").unwrap()
}

fn rejected() -> Rejected {
    let refusal = hv_core::rings::Refusal::Replayed;
    Rejected {
        envelope: Digest([0xe7; 32]),
        names: Some(did("human")),
        rejection: Rejection::NotCounted { refusal },
    }
}

/// Every way in which a statement does not count.
fn rejections() -> Vec<Rejected> {
    use hv_core::identity::Refusal;
    let rejections = [
        Rejection::Unopened { refusal: Refusal::ForeignAudience { audience: did("other") } },
        Rejection::OtherKind { kind: Kind::Join },
        Rejection::NotConfigured,
        Rejection::NotAVerifier,
    ];
    rejections.map(|rejection| Rejected { names: None, rejection, ..rejected() }).to_vec()
}

fn offence() -> Offence {
    Offence {
        evidence: Digest([0xe1; 32]),
        agent: AgentNo(1),
        session: Some(SessionNo(2)),
        fault: share("0.75"),
        class: Some(Reversibility::Partial),
        risk: Some("0.65".parse::<RiskWeight>().unwrap()),
        happened: START,
        reason: SlashReason::Drift,
    }
}

fn voice(nonce: u8) -> Voice {
    Voice { by: did("carla"), nonce: Nonce([nonce; 16]) }
}

/// The record of one: what was asked for, and since when it holds.
/// Each kind of bounds once.
fn bounds() -> Bounds {
    let set = |items: &[&str]| items.iter().map(ToString::to_string).collect::<BTreeSet<String>>();
    let argv = ["git", "push"].map(String::from).to_vec();
    let command = CommandBounds {
        commands: BTreeSet::from([CommandLine { argv, more: 1, rest: Rest::Any }]),
        folders: set(&["/work"]),
        variables: set(&["LANG"]),
        input: true,
    };
    let rests =
        [Rest::Operands, Rest::Words { words: set(&["main"]) }, Rest::Paths { folders: set(&["/work"]) }];
    let rests = rests.map(|rest| CommandLine { argv: vec!["rm".to_owned()], more: 2, rest });
    let looked = CommandBounds { commands: rests.into(), ..command.clone() };
    let unit = Some(Unit { at: "/currency".to_owned(), is: "EUR".to_owned() });
    let http = HttpBounds {
        methods: set(&["POST"]),
        hosts: set(&["pay.example.com", ".example.org"]),
        paths: set(&["/v1"]),
        headers: set(&["content-type"]),
        query: false,
        body: true,
        amounts: BTreeMap::from([(
            "/amount".to_owned(),
            AmountBound { most: "99.5".parse().unwrap(), unit },
        )]),
    };
    let allowed = |calls, what| Allowed { calls, what };
    let actions = [
        ("git.push", allowed(Some(2), What::Command { bounds: command })),
        ("tidy", allowed(None, What::Command { bounds: looked })),
        ("pay", allowed(None, What::Http { bounds: http })),
        ("hv.files.change", allowed(None, What::Files { paths: set(&["/src"]) })),
        ("think", allowed(None, What::Functions { names: set(&["think"]) })),
    ];
    let actions = actions.map(|(name, allowed)| (ActionId::new(name).unwrap(), allowed));
    Bounds::new(actions.into(), Some(9), LASTS_OF_INTENTS).unwrap()
}

fn elevation() -> Elevation {
    let request = Request::new(SessionId::new("release").unwrap(), did("b"), [action()], "ship 1.2", LASTS);
    let mut bytes = request.unwrap().to_bytes();
    later(1).put(&mut bytes);
    Elevation::from_bytes(&bytes).unwrap()
}

fn ledger() -> Vec<LedgerEvent> {
    let (a, b, bond, session) = (AgentNo(0), AgentNo(1), BondNo { slot: 0, turn: 3 }, SessionNo(2));
    let toll = Toll {
        losses: vec![Loss { agent: b, amount: sigma("0.5") }],
        cuts: vec![
            Cut { bond, voucher: a, vouchee: b, burned: sigma("0.1"), cause: Cause::Backed { depth: 0 } },
            Cut { bond, voucher: a, vouchee: b, burned: sigma("0.01"), cause: Cause::Uncovered },
        ],
        fallen: vec![a],
    };
    let slashed = Slashed { offence: offence(), at: later(60), toll };
    let totals = Totals { endowed: 1_400_000, earned: 10_000, decayed: 5_000, burned: 610_000 };
    let account = AccountKept {
        agent: a,
        did: did("a"),
        source: Source::Asserted,
        reputation: sigma("0.8"),
        quarantine: later(3600),
        slashes: 1,
        gain_day: 20_484,
        gained: sigma("0.01"),
    };
    let kept = BondKept {
        bond,
        session,
        voucher: a,
        vouchee: b,
        initial: sigma("0.2"),
        remaining: sigma("0.1"),
        since: START,
        released: Some(later(30)),
        ends: later(90_000),
    };
    let case = Case { offence: offence(), until: later(3600), standing: Standing::Disputed };
    vec![
        LedgerEvent::Configured { policy: Box::new(VouchPolicy::reference()) },
        LedgerEvent::Opened { agent: a, did: did("a"), sigma: sigma("0.9"), source: Source::Asserted },
        LedgerEvent::Opened { agent: b, did: did("b"), sigma: Sigma::ZERO, source: Source::Unknown },
        LedgerEvent::Endowed { agent: b, added: sigma("0.5"), source: Source::Hint },
        LedgerEvent::Vouched {
            bond,
            session,
            voucher: a,
            vouchee: b,
            amount: sigma("0.2"),
            at: START,
            expires: Some(later(600)),
        },
        LedgerEvent::Released { bond, at: later(10) },
        LedgerEvent::SessionReleased { session, at: later(20) },
        LedgerEvent::Slashed { slashed: Box::new(slashed) },
        LedgerEvent::Elapsed { at: later(90_000) },
        LedgerEvent::Earned { agent: a, amount: sigma("0.01"), at: later(90_001) },
        LedgerEvent::Decayed { agent: a, amount: sigma("0.005"), at: later(90_002) },
        LedgerEvent::Quarantined { agent: b, until: Timestamp::MAX },
        LedgerEvent::Rehabilitated { agent: b, added: sigma("0.25") },
        LedgerEvent::Charged { offence: Box::new(offence()), at: later(90_003), until: later(93_603) },
        LedgerEvent::Disputed { evidence: Digest([0xe1; 32]) },
        LedgerEvent::Dismissed { evidence: Digest([0xe1; 32]), at: later(90_004) },
        LedgerEvent::Restoring { policy: Box::default(), clock: later(90_004), totals },
        LedgerEvent::AccountKept { account: Box::new(account) },
        LedgerEvent::BondKept { bond: Box::new(kept) },
        LedgerEvent::SlotKept { bond: BondNo { slot: 1, turn: 300 } },
        LedgerEvent::VerdictKept { evidence: Digest([0xe2; 32]), verdict: Verdict::Dismissed },
        LedgerEvent::CaseKept { case: Box::new(case) },
        LedgerEvent::Restored {},
    ]
}

fn session() -> Vec<SessionEvent> {
    let mut events: Vec<SessionEvent> = Vec::new();
    events.extend(membership().into_iter().map(|event| SessionEvent::Session { event }));
    let files = files().into_iter().map(|event| MembershipEvent::File { agent: 0, at: later(5), event });
    events.extend(files.map(|event| SessionEvent::Session { event }));
    let caps = vec![
        Cap::Parent { parent: did("a"), ring: Ring::Sandbox },
        Cap::Demotion { ring: Ring::Sandbox, until: later(100) },
        Cap::Breaker { until: later(200) },
        Cap::Probation,
        Cap::SuspiciousHistory,
        Cap::SessionMinimum { minimum: sigma("0.6"), sigma: sigma("0.55") },
        Cap::Manifest { hint: Ring::Standard },
        Cap::Operator { ring: Ring::Sandbox },
        Cap::Drift,
        Cap::Unscored,
        Cap::UnreachableHistory,
    ];
    let action = ActionId::new("git.push").unwrap();
    let claim = Claim {
        kind: Some(ActionKind::Effect),
        reversibility: Some(Reversibility::None),
        risk: Some("0.95".parse().unwrap()),
    };
    events.push(SessionEvent::Assessed { member: 1, sigma: sigma("0.644"), ring: Ring::Sandbox, caps });
    events.push(SessionEvent::Registered { action, source: Speaker::Registry, claim });
    events.push(SessionEvent::SagaOpened { id: SagaId::new("release").unwrap(), unproven: vec![0, 1] });
    events.extend(saga().into_iter().map(|event| SessionEvent::Saga { saga: 0, event }));
    events.push(SessionEvent::Granted { deadline: later(300), ring: Ring::Standard, sigma: sigma("0.85") });
    events.push(SessionEvent::Denied { denial: denial() });
    let (score, severity) = (Share::from_ppm(500_000).unwrap(), Severity::High);
    for (verdict, response) in [
        (DriftVerdict::Aligned { score }, Response::Restore),
        (DriftVerdict::Drifted { score, severity }, Response::Slash),
        (DriftVerdict::Drifted { score, severity: Severity::Medium }, Response::Nothing),
        (DriftVerdict::Indeterminate { why: "nobody measured".to_owned() }, Response::Demote),
    ] {
        let check = DriftRecord { verdict, response, at: later(300) };
        events.push(SessionEvent::DriftChecked { member: 0, check });
    }
    let drift = Some(("cmvk".to_owned(), Hysteresis::default()));
    let on =
        PortsOn { trust: Some("nexus".to_owned()), drift, manifests: None, context: None, correction: None };
    events.push(SessionEvent::Ports { on });
    events.push(SessionEvent::Noted { key: "plan".to_owned() });
    events.push(SessionEvent::UndoAccepted { saga: 0, step: 1 });
    events.push(SessionEvent::Rehearsal { saga: 0 });
    events.push(SessionEvent::RehearsalDemanded { action: self::action() });
    events.push(SessionEvent::VotersNamed { voters: vec![did("carla"), did("david")] });
    let set = Override { ring: Some(Ring::Sandbox), risk: None };
    events.push(SessionEvent::Overridden { action: self::action(), set });
    events.push(SessionEvent::Certified {
        saga: 0,
        step: 0,
        params: Digest([0x9a; 32]),
        basis: Basis::Quorum,
        until: later(300),
        voices: vec![voice(9)],
    });
    events.push(SessionEvent::Elevated { elevation: Box::new(elevation()), voices: vec![voice(9)] });
    events.extend([UndoRule::Free, UndoRule::Held].map(|undo| {
        let (demand, outside, violation) = (Demand::Required, Rule::Consent, Violation::Slash);
        SessionEvent::IntentRuled { policy: Policy { demand, outside, violation, undo } }
    }));
    let declared =
        |voices| SessionEvent::IntentDeclared { member: 0, bounds: bounds(), since: later(1), voices };
    events.extend([vec![voice(9), voice(10)], vec![]].map(declared));
    events.extend([false, true].map(|consented| {
        let action = if consented { self::action() } else { ActionId::new("git.push").unwrap() };
        SessionEvent::IntentUsed { member: 0, action, consented }
    }));
    events.push(SessionEvent::Certified {
        saga: 0,
        step: 0,
        params: Digest([0x9a; 32]),
        basis: Basis::Elevation,
        until: later(300),
        voices: vec![],
    });
    events.push(SessionEvent::Rejected { rejected: rejected() });
    events.extend(rejections().into_iter().map(|rejected| SessionEvent::Rejected { rejected }));
    events.push(SessionEvent::Held { saga: 0, step: 1, until: later(2) });
    events.push(SessionEvent::OnBehalf { saga: 0, principals: vec![did("b"), did("c")] });
    events
}

fn membership() -> Vec<MembershipEvent> {
    let (id, creator) = (SessionId::new("sample").unwrap(), did("admin"));
    let config = SessionConfig::default();
    vec![
        MembershipEvent::Created { id: id.clone(), creator: creator.clone(), config, at: START },
        MembershipEvent::Joined { did: did("a"), parent: None },
        MembershipEvent::Joined { did: did("b"), parent: Some(0) },
        MembershipEvent::Moved { to: SessionState::Active },
        MembershipEvent::Left { member: 1 },
        MembershipEvent::Rejoined { member: 1 },
        MembershipEvent::Evicted { member: 1, reason: Eviction::Drift },
        MembershipEvent::Readmitted { member: 1 },
        MembershipEvent::StrongForced,
        MembershipEvent::Resumed {
            id,
            creator,
            config,
            at: START,
            state: SessionState::Active,
            mode: ConsistencyMode::Strong,
        },
        MembershipEvent::Seated {
            did: did("c"),
            parent: None,
            standing: hv_core::session::Standing::Evicted { reason: Eviction::Killed },
        },
        MembershipEvent::Files { part: FilesPart::File { path: path(), file: Some(Box::new(file())) } },
        MembershipEvent::Files {
            part: FilesPart::Snapshot {
                number: 1,
                name: SnapshotName::new("before").unwrap(),
                agent: 0,
                at: later(7),
                revision: Revision(4),
            },
        },
        MembershipEvent::Files {
            part: FilesPart::Past { path: path(), past: Box::new(PathPast::default()) },
        },
        MembershipEvent::Files {
            part: FilesPart::Counters { revision: Revision(9), taken: 1, forgotten: Revision(2) },
        },
        MembershipEvent::Complete,
    ]
}

fn path() -> FilePath {
    FilePath::parse(&SessionId::new("sample").unwrap(), "notes/plan.md").unwrap()
}

fn content() -> Content {
    Content { id: Digest([0xc1; 32]), length: 300 }
}

/// Only its bytes make a file: main version, siblings, owner, ACL.
fn file() -> File {
    let stamp = Stamp { revision: Revision(3), agent: 0, at: later(6), change: Change::Written };
    let mut bytes = Version { content: content(), stamp }.to_bytes();
    bytes.extend([0, 0, 0]);
    File::from_bytes(&bytes).unwrap()
}

fn files() -> Vec<FileEvent> {
    let (path, content, previous) = (path(), content(), Digest([0xc2; 32]));
    let acl = Acl::closed()
        .allow(Grantee::Everyone, Rights::READ)
        .allow(Grantee::Member { ordinal: 1 }, Rights::WRITE.and(Rights::SHARE))
        .deny(Grantee::Member { ordinal: 1 }, Rights::DELETE);
    let to = FilePath::parse(&SessionId::new("sample").unwrap(), "notes/plan-2.md").unwrap();
    vec![
        FileEvent::Created { path: path.clone(), content },
        FileEvent::Updated { path: path.clone(), content, previous },
        FileEvent::Diverged { path: path.clone(), content, previous: Some(previous), seen: Revision(1) },
        FileEvent::Deleted { path: path.clone(), previous },
        FileEvent::Renamed { from: path.clone(), to, content: previous },
        FileEvent::Restored {
            path: path.clone(),
            revision: Revision(2),
            content: previous,
            previous: Some(Digest([0xc3; 32])),
        },
        FileEvent::AclSet { path: path.clone(), acl },
        FileEvent::AclCleared { path },
        FileEvent::SnapshotTaken { name: Some(SnapshotName::new("before").unwrap()) },
        FileEvent::RolledBack { snapshot: 1 },
        FileEvent::SnapshotDropped { snapshot: 1 },
    ]
}

fn saga() -> Vec<SagaEvent> {
    let limits = Limits { concurrency: 4, retries: 10, within: Some(Duration::from_secs(600)) };
    let failure = |class, reason| Failure { class, reason, retry_after: Some(Duration::from_millis(1500)) };
    let exit = || failure(Class::Permanent, Reason::Exit { code: -1 });
    let lost = || failure(Class::Unknown, Reason::TimedOut);
    let wait = Micros(250_000);
    let moves = vec![
        Move::Committed {},
        Move::Retry { wait, failure: failure(Class::Retryable, Reason::Http { status: 503 }) },
        Move::Failed { failure: exit() },
        Move::Suspect { wait, failure: exit() },
        Move::Doubt { wait, failure: lost() },
        Move::Assumed { failure: lost() },
        Move::Denied {},
        Move::Undone {},
        Move::UndoRetry { wait, failure: exit() },
        Move::Unconfirmed { wait, failure: None },
        Move::UndoFailed { failure: Failure::new(Class::Permanent, Reason::Other { text: "no".to_owned() }) },
    ];
    let run = StepRun {
        state: StepState::Committed,
        executes: 2,
        undos: 0,
        probes: 1,
        asked: 1,
        crashes: 0,
        doubtful: false,
        handed: true,
        warned: false,
        began: Micros(1),
        started: Micros(2),
        moved: Micros(300),
        not_before: Micros(4),
    };
    let cause = hv_core::saga::Cause::Failed { step: 1 };
    let mut events = vec![
        SagaEvent::Created { seed: u64::MAX, limits, pace: Pace::Asked, at: START },
        SagaEvent::Appended { steps: steps().into(), growth: Growth::Open },
        SagaEvent::Sealed {},
    ];
    events.extend([Purpose::Execute, Purpose::Undo, Purpose::Probe].map(|purpose| SagaEvent::Started {
        step: 0,
        purpose,
        number: 2,
        at: Micros(1000),
    }));
    events.extend(moves.into_iter().map(|to| SagaEvent::Moved { step: 1, to, at: Micros(2000) }));
    events.push(SagaEvent::Turned { cause, at: Micros(3000) });
    events.push(SagaEvent::Finished { state: SagaState::Compensated, at: Micros(4000) });
    events.push(SagaEvent::Restored {
        state: SagaState::Running,
        cause: Some(cause),
        retries: 1,
        order: vec![0],
        undone: 0,
        paused: false,
        steps: vec![run],
    });
    events.push(SagaEvent::Paused { at: Micros(5000) });
    events.push(SagaEvent::Resumed { at: Micros(6000) });
    events.push(SagaEvent::Expiring { step: 0, by: 1, at: Micros(7000) });
    events.push(SagaEvent::HandedOver { step: 1, at: Micros(8000) });
    events
}

/// Two steps, `tag` and `publish`.
pub(crate) fn steps() -> Vec<Arc<StepDef>> {
    let command = CommandTask {
        argv: vec!["git".to_owned(), "tag".to_owned()],
        cwd: Some("/repository".to_owned()),
        env: vec![("TOKEN".to_owned(), Value::Env("SECRET".to_owned()))],
        stdin: Some(Value::File("/message".to_owned())),
        pin: Some(Digest([0xd1; 32])),
    };
    let http = HttpTask {
        method: "POST".to_owned(),
        url: "https://example.org/release".to_owned(),
        headers: vec![("Accept".to_owned(), Value::Literal("*/*".to_owned()))],
        body: Some(Value::Literal("{}".to_owned())),
        expect: vec![201],
    };
    let names = |step: &str, action: &str| (StepId::new(step).unwrap(), ActionId::new(action).unwrap());
    let (tag, git_tag) = names("tag", "git.tag");
    let (publish, git_push) = names("publish", "git.push");
    let first = StepDef::new(tag, git_tag, did("a"), Task::from(command)).with_undo(Task::closure("untag"));
    let second = StepDef {
        after: vec![0],
        join: Join::AtLeast(1),
        idempotent: Idempotence::Both,
        retry: Retry::times(3),
        undo_window: Some(Duration::from_secs(60)),
        substitute: Some(did("c")),
        ..StepDef::new(publish, git_push, did("b"), Task::from(http))
    };
    vec![Arc::new(first), Arc::new(second.with_probe(Task::command(["true"])))]
}

fn told() -> Vec<NodeEvent> {
    let (agent, why) = (did("a"), "no answer within 2000 ms".to_owned());
    vec![
        NodeEvent::Reported { key: Digest([7; 32]), agent: agent.clone() },
        NodeEvent::Unreported { why: why.clone() },
        NodeEvent::Scored { agent: agent.clone(), sigma: sigma("0.82"), until: later(300) },
        NodeEvent::Unscored { agent, why },
    ]
}
