//! Intents: what an agent signed that it will do is all that it can do, its parameters included, and what is outside is
//! evidence.

use crate::evidence::{Court, HOUR, START, action, denied, did, key, sigma};
use hv_core::event::{LedgerEvent, SessionEvent};
use hv_core::identity::{Content, Envelope, Statement};
use hv_core::rings::gate::GateDenial;
use hv_core::rings::intent::{
    Allowed, AmountBound, Bounds, CommandBounds, CommandLine, Demand, HttpBounds, LASTS, Part, Policy, Rest,
    Rule, Unintended, Unit, Violation, What,
};
use hv_core::saga::{CommandTask, Host, HttpTask, Outcome, Plan, SagaCommand, StepDef, Task, Value};
use hv_core::session::{Expect, Standing};
use hv_core::types::{Call, Did, SagaId, SessionId, StepId, Timestamp};
use hv_core::{
    Clock, Entrant, Error, Grant, Hypervisor, Intent, NotDeclared, Presented, Reason, TrailEvent,
    intent_call, intent_evidence,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(ToString::to_string).collect()
}

pub(crate) fn allowed(what: What) -> Allowed {
    Allowed { calls: None, what }
}

fn git(calls: Option<u32>) -> Allowed {
    let argv = ["git", "push", "origin"].map(String::from).to_vec();
    let bounds = CommandBounds {
        commands: BTreeSet::from([CommandLine { argv, more: 1, rest: Rest::Any }]),
        folders: set(&["/srv/repo"]),
        variables: set(&[]),
        input: false,
    };
    Allowed { calls, what: What::Command { bounds } }
}

fn pay() -> Allowed {
    let most = AmountBound {
        most: "100".parse().unwrap(),
        unit: Some(Unit { at: "/currency".to_owned(), is: "EUR".to_owned() }),
    };
    let bounds = HttpBounds {
        methods: set(&["POST"]),
        hosts: set(&["pay.example.com"]),
        paths: set(&["/v1/payments"]),
        headers: set(&["content-type"]),
        query: false,
        body: true,
        amounts: BTreeMap::from([("/amount".to_owned(), most)]),
    };
    allowed(What::Http { bounds })
}

pub(crate) fn bounds_of(
    actions: impl IntoIterator<Item = (&'static str, Allowed)>,
    calls: Option<u32>,
) -> Bounds {
    let actions = actions.into_iter().map(|(name, allowed)| (action(name), allowed)).collect();
    Bounds::new(actions, calls, LASTS).unwrap()
}

/// Pushes to origin, pays up to 100 EUR, works, and changes files below /src.
pub(crate) fn usual() -> Bounds {
    bounds_of(
        [
            ("push", git(None)),
            ("change", pay()),
            ("look", allowed(What::Functions { names: set(&["work"]) })),
            ("hv.files.change", allowed(What::Files { paths: set(&["/src"]) })),
        ],
        None,
    )
}

fn step(action_name: &str, task: impl Into<Task>) -> StepDef {
    let step = StepDef::new(StepId::new("only").unwrap(), action(action_name), did("a"), task.into());
    step.with_undo(Task::closure("work"))
}

pub(crate) fn push(argv: &[&str], cwd: &str) -> StepDef {
    let argv = argv.iter().map(ToString::to_string).collect();
    step("push", CommandTask { argv, cwd: Some(cwd.to_owned()), ..CommandTask::default() })
}

pub(crate) fn pays(url: &str, body: Value) -> StepDef {
    let request = HttpTask {
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers: vec![("Content-Type".to_owned(), Value::Literal("application/json".to_owned()))],
        body: Some(body),
        ..HttpTask::default()
    };
    step("change", request)
}

const PAY: &str = "https://pay.example.com/v1/payments";

fn amount(text: &str) -> Value {
    Value::Literal(format!(r#"{{"amount": {text}, "currency": "EUR"}}"#))
}

/// A court whose session makes this of intents.
pub(crate) async fn court(policy: Policy) -> Court {
    let court = Court::configured().await;
    court.acquaint().await;
    court.open_under(policy).await;
    court
}

fn intended(court: &Court, by: &str, bounds: &Bounds) -> Statement {
    let call = intent_call(&court.session, &did(by), bounds, court.clock.now().after(HOUR)).unwrap();
    court.statement(by, Content::Intent { call, on_behalf_of: None })
}

pub(crate) async fn declare(court: &Court, by: &str, bounds: &Bounds) -> Result<Intent, Error> {
    let signed = intended(court, by, bounds).seal(&key(by)).unwrap();
    court.hv.declare_intent(&court.session, &signed, bounds, &Presented::default()).await
}

/// What starts of these steps, all of them together.
async fn begin(court: &Court, saga: &str, steps: Vec<StepDef>, brought: Vec<Envelope>) -> Vec<Grant> {
    // The undo of what changes something counts here, so that Ring 2 is enough for it.
    let mut host = court.hv.saga(&court.session, &SagaId::new(saga).unwrap()).accepting(vec![0, 1]);
    if !brought.is_empty() {
        host = host.presenting(0, Presented::new(court.deadline(), brought).unwrap());
    }
    let plan = Plan::new(steps.into_iter().map(Arc::new).collect());
    let progress = host.commit(SagaCommand::begin(plan), None).await.unwrap();
    progress.starts.into_iter().map(|(_, grant)| grant).collect()
}

/// Whether a step starts; where it does not, what the trail says of it.
pub(crate) async fn starts(court: &Court, saga: &str, step: StepDef) -> Result<(), String> {
    let denied = court.last_denial();
    let granted = begin(court, saga, vec![step], vec![]).await;
    match court.last_denial() {
        same if same == denied && granted.len() == 1 => Ok(()),
        other => {
            assert!(granted.is_empty());
            Err(other)
        }
    }
}

pub(crate) fn session_events(court: &Court) -> Vec<SessionEvent> {
    let events = court.events().into_iter();
    let of_session = |event| if let TrailEvent::Session(event) = event { Some(*event) } else { None };
    events.filter_map(of_session).collect()
}

pub(crate) fn uses(court: &Court) -> Vec<(String, bool)> {
    let used = |event| match event {
        SessionEvent::IntentUsed { action, consented, .. } => Some((action.as_str().to_owned(), consented)),
        _ => None,
    };
    session_events(court).into_iter().filter_map(used).collect()
}

fn unintended(reason: Reason) -> Unintended {
    match reason {
        Reason::Gate(denial) => match *denial {
            GateDenial::Intent { why } => why,
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    }
}

fn not_declared(result: Result<Intent, Error>) -> NotDeclared {
    match denied(result) {
        Reason::Intent(why) => why,
        other => panic!("{other}"),
    }
}

/// A way to bring an intent that does not count, and the one word for why.
type Attack = (&'static str, fn(&Court) -> Envelope, &'static str);

const ATTACKS: [Attack; 10] = [
    (
        "forged: the statement of one under the signature of another",
        |court| {
            let payload = intended(court, "a", &usual()).to_payload();
            Envelope::sign("application/vnd.hv.intent.v1+json", payload.as_bytes(), &key("b")).unwrap()
        },
        "signer_mismatch",
    ),
    (
        "forged: another text under a good signature",
        |court| {
            let seal = |statement: Statement| {
                let sealed = statement.seal(&key("a")).unwrap();
                serde_json::from_str::<serde_json::Value>(&sealed.to_json()).unwrap()
            };
            let (mut one, other) =
                (seal(intended(court, "a", &usual())), seal(intended(court, "a", &bounds_of([], None))));
            one["signatures"] = other["signatures"].clone();
            Envelope::from_json(one.to_string().as_bytes()).unwrap()
        },
        "bad_signature",
    ),
    (
        "another agent's: signed by b for a",
        |court| {
            let call = intent_call(&court.session, &did("a"), &usual(), court.deadline()).unwrap();
            let foreign = court.statement("b", Content::Intent { call, on_behalf_of: None });
            let kind = "application/vnd.hv.intent.v1+json";
            Envelope::sign(kind, foreign.to_payload().as_bytes(), &key("b")).unwrap()
        },
        "signer_mismatch",
    ),
    (
        "expired",
        |court| {
            let deadline = Timestamp(court.clock.now().0 - 1);
            Statement { deadline, ..intended(court, "a", &usual()) }.seal(&key("a")).unwrap()
        },
        "expired",
    ),
    (
        "for another node",
        |court| {
            let audience = Did::new("did:web:other.example").unwrap();
            Statement { audience, ..intended(court, "a", &usual()) }.seal(&key("a")).unwrap()
        },
        "foreign_audience",
    ),
    (
        "for another session",
        |court| {
            let other = SessionId::new("other").unwrap();
            let call = intent_call(&other, &did("a"), &usual(), court.deadline()).unwrap();
            court.signed("a", Content::Intent { call, on_behalf_of: None })
        },
        "foreign_session",
    ),
    (
        "on other bounds",
        |court| intended(court, "a", &bounds_of([], None)).seal(&key("a")).unwrap(),
        "other_call",
    ),
    (
        "on another action",
        |court| {
            let call = intent_call(&court.session, &did("a"), &usual(), court.deadline()).unwrap();
            let call = Call { action: action("push"), ..call };
            court.signed("a", Content::Intent { call, on_behalf_of: None })
        },
        "other_call",
    ),
    (
        "a vote in place of an intent",
        |court| {
            let call = intent_call(&court.session, &did("a"), &usual(), court.deadline()).unwrap();
            court.vote("a", &call)
        },
        "other_kind",
    ),
    (
        "eight days ahead",
        |court| {
            let deadline = court.clock.now().after(Duration::from_secs(8 * 86_400));
            Statement { deadline, ..intended(court, "a", &usual()) }.seal(&key("a")).unwrap()
        },
        "too_far_ahead",
    ),
];

#[tokio::test]
async fn each_forgery_is_refused_with_its_own_reason_and_binds_nobody() {
    let court = court(Policy::default()).await;
    for (n, (what, attack, reason)) in ATTACKS.iter().enumerate() {
        let envelope = attack(&court);
        let declared =
            court.hv.declare_intent(&court.session, &envelope, &usual(), &Presented::default()).await;
        assert!(matches!(denied(declared), Reason::Evidence(_)), "{what}");
        assert_eq!(court.reasons_since(n), [*reason], "{what}");
        assert_eq!(court.hv.intent(&court.session, &did("a")).unwrap(), None, "{what}");
    }
    // Used twice, also after the node was opened again.
    let signed = intended(&court, "a", &usual()).seal(&key("a")).unwrap();
    court.hv.declare_intent(&court.session, &signed, &usual(), &Presented::default()).await.unwrap();
    let court = court.reopened();
    let again = court.hv.declare_intent(&court.session, &signed, &usual(), &Presented::default()).await;
    assert!(matches!(denied(again), Reason::Evidence(_)));
    assert_eq!(court.reasons_since(ATTACKS.len()), ["replayed"]);
    // The call itself has a time of its own; a stranger has none.
    let call = intent_call(&court.session, &did("b"), &usual(), Timestamp(START.0 - 1)).unwrap();
    let late = court.signed("b", Content::Intent { call, on_behalf_of: None });
    let late = court.hv.declare_intent(&court.session, &late, &usual(), &Presented::default()).await;
    assert!(matches!(denied(late), Reason::Late(_)));
    let stranger = denied(declare(&court, "h", &usual()).await);
    assert!(matches!(stranger, Reason::Session(_)), "{stranger}");
    let call = intent_call(&court.session, &did("b"), &usual(), court.deadline()).unwrap();
    let boss = Content::Intent { call, on_behalf_of: Some(did("c")) };
    let boss = court.signed("b", boss);
    let boss = court.hv.declare_intent(&court.session, &boss, &usual(), &Presented::default()).await;
    assert_eq!(not_declared(boss), NotDeclared::OnBehalfOf { principal: did("c") });
}

#[tokio::test]
async fn commands_requests_and_functions_are_held_to_their_parameters() {
    let court = court(Policy::default()).await;
    let origin = ["git", "push", "origin"];
    // Whoever declares nothing is held to nothing.
    assert_eq!(starts(&court, "before", push(&["sh"], "/")).await, Ok(()));
    assert!(uses(&court).is_empty());
    declare(&court, "a", &usual()).await.unwrap();
    let outside = |part: Part| format!("the {part} ");
    let secret = Value::Env("BODY".to_owned());
    let twice = Value::Literal(r#"{"amount": 1, "amount": 1000, "currency": "EUR"}"#.to_owned());
    for (n, (made, part)) in [
        (push(&origin, "/srv/repo"), None),
        (push(&["git", "push", "origin", "main"], "/srv/repo/sub"), None),
        (push(&["git", "push", "evil"], "/srv/repo"), Some(Part::Command)),
        (push(&["sh", "-c", "git push origin"], "/srv/repo"), Some(Part::Command)),
        (push(&origin, "/srv/repo/../secrets"), Some(Part::Folder)),
        (pays(PAY, amount("100")), None),
        (pays(PAY, amount("100.01")), Some(Part::Amount)),
        (pays(PAY, amount("1e1")), Some(Part::Amount)),
        (pays(PAY, Value::Literal(r#"{"amount": 1, "currency": "USD"}"#.to_owned())), Some(Part::Unit)),
        (pays(PAY, Value::Literal("amount=1".to_owned())), Some(Part::Amount)),
        (pays(PAY, twice), Some(Part::Amount)),
        (pays(PAY, secret), Some(Part::Amount)),
        (pays("https://evil.example/v1/payments", amount("1")), Some(Part::Host)),
        (pays("https://pay.example.com/v1/payments/../admin", amount("1")), Some(Part::Address)),
        (pays("https://pay.example.com/admin", amount("1")), Some(Part::Path)),
        (step("look", Task::closure("work")), None),
        (step("look", Task::closure("other")), Some(Part::Function)),
        (step("look", Task::command(["work"])), Some(Part::Kind)),
        (step("final", Task::closure("work")), Some(Part::Action)),
    ]
    .into_iter()
    .enumerate()
    {
        let words = format!("{:?}", made.execute);
        let came = starts(&court, &format!("s{n}"), made).await;
        match part {
            None => assert_eq!(came, Ok(()), "{words}"),
            Some(part) => {
                let reason = came.unwrap_err();
                assert!(reason.starts_with(&outside(part)), "{words}: {reason}");
                assert!(reason.contains("outside the agent's intent"), "{reason}");
            }
        }
    }
    assert_eq!(uses(&court).len(), 4, "each grant is counted, and nothing else");
    // What would be enough is said beside the reason.
    let needs = session_events(&court).into_iter().filter_map(|event| match event {
        SessionEvent::Denied { denial } => Some(denial.needs),
        _ => None,
    });
    assert!(needs.into_iter().any(|needs| needs == "the amount within 100 EUR at /amount"));
    // Others are held to nothing, and an intent opens no ring: `final` needs a quorum all the same.
    let final_too = allowed(What::Functions { names: set(&["work"]) });
    declare(&court, "b", &bounds_of([("final", final_too)], None)).await.unwrap();
    let made = StepDef { agent: did("b"), ..step("final", Task::closure("work")) };
    assert!(starts(&court, "ring", made).await.unwrap_err().contains("needs a quorum"));
}

#[tokio::test]
async fn files_are_held_to_their_paths() {
    let court = court(Policy::default()).await;
    let (hv, session, a) = (&court.hv, &court.session, did("a"));
    hv.write_file(session, &a, "notes.md", b"n".to_vec(), Expect::Any).await.unwrap();
    declare(&court, "a", &usual()).await.unwrap();
    hv.write_file(session, &a, "src/a.rs", b"1".to_vec(), Expect::Any).await.unwrap();
    hv.rename_file(session, &a, "src/a.rs", "src/b.rs", Expect::Any).await.unwrap();
    assert_eq!(uses(&court), vec![("hv.files.change".to_owned(), false); 2]);
    let outside = |result: Result<(), Error>| match unintended(denied(result)) {
        Unintended::Outside { outside } => (outside.part, outside.given),
        other => panic!("{other}"),
    };
    let file = |path: &str| (Part::File, path.to_owned());
    let write = hv.write_file(session, &a, "notes.md", b"2".to_vec(), Expect::Any).await;
    assert_eq!(outside(write), file("/notes.md"));
    assert_eq!(outside(hv.delete_file(session, &a, "srcs/x", Expect::Any).await), file("/srcs/x"));
    let rename = hv.rename_file(session, &a, "src/b.rs", "notes.md", Expect::Any).await;
    assert_eq!(outside(rename), file("/notes.md"));
    assert_eq!(outside(hv.set_acl(session, &a, "notes.md", None).await), file("/notes.md"));
    assert_eq!(outside(hv.take_snapshot(session, &a, None).await.map(drop)), file("/"));
    // Reading is not named at all, so it is outside; nobody else is held to it.
    let read = hv.read_file(session, &a, "src/b.rs").await.map(drop);
    assert_eq!(outside(read), (Part::Action, "hv.files.read".to_owned()));
    assert_eq!(outside(hv.stat_files(session, &a, None).await.map(drop)).0, Part::Action);
    assert_eq!(hv.read_file(session, &did("b"), "src/b.rs").await.unwrap(), Some(b"1".to_vec()));
    assert_eq!(court.last_denial(), "the action `hv.files.read` is outside the agent's intent");
}

#[tokio::test]
async fn a_witness_lets_exactly_one_call_outside_pass_and_only_where_the_session_says_so() {
    let outside = || push(&["git", "push", "mirror"], "/srv/repo");
    for (rule, passes) in [(Rule::Consent, true), (Rule::Deny, false)] {
        let court = court(Policy { outside: rule, ..Policy::default() }).await;
        declare(&court, "a", &usual()).await.unwrap();
        let call = court.call("one", &outside());
        let word = court.witnessed("witness", &call);
        let granted = begin(&court, "one", vec![outside()], vec![word.clone()]).await;
        assert_eq!(granted.len(), usize::from(passes), "{rule:?}");
        if !passes {
            continue;
        }
        assert!(granted[0].call().deadline <= court.deadline(), "no later than the word counts");
        assert_eq!(uses(&court), [("push".to_owned(), true)]);
        // Without a word, with a vote in its place, with one for another call, and with one that is used up.
        let other = court.witnessed("witness", &court.call("other", &outside()));
        let stranger = court.witnessed("b", &court.call("two-2", &outside()));
        let before = court.reasons_since(0).len();
        for (n, (brought, reason)) in [
            (vec![], None),
            (vec![other], Some("other_call")),
            (vec![stranger], Some("not_eligible")),
            (vec![word], Some("other_call")),
        ]
        .into_iter()
        .enumerate()
        {
            let count = court.reasons_since(before).len();
            assert!(begin(&court, &format!("two-{n}"), vec![outside()], brought).await.is_empty(), "{n}");
            let reason: Vec<&str> = reason.into_iter().collect();
            assert_eq!(court.reasons_since(before + count), reason, "{n}");
            let why = court.last_denial();
            assert!(why.ends_with("outside the agent's intent, and no witness has consented"), "{why}");
        }
        // What also needs a quorum needs both.
        let both = || step("final", Task::closure("work"));
        let call = court.call("both", &both());
        let votes = ["b", "c", "h"].map(|by| court.vote(by, &call)).to_vec();
        assert!(begin(&court, "both", vec![both()], votes).await.is_empty());
        let call = court.call("both-2", &both());
        let word = court.witnessed("witness", &call);
        assert!(begin(&court, "both-2", vec![both()], vec![word]).await.is_empty());
        let call = court.call("both-3", &both());
        let mut brought = ["b", "c", "h"].map(|by| court.vote(by, &call)).to_vec();
        brought.push(court.witnessed("witness", &call));
        let before = court.reasons_since(0).len();
        assert_eq!(begin(&court, "both-3", vec![both()], brought).await.len(), 1);
        assert_eq!(court.reasons_since(before), [""; 0]);
    }
}

#[tokio::test]
async fn a_later_intent_may_only_narrow_unless_a_witness_consents_or_the_first_is_over() {
    let court = court(Policy::default()).await;
    let first = bounds_of([("push", git(Some(3)))], Some(5));
    declare(&court, "a", &first).await.unwrap();
    assert_eq!(starts(&court, "one", push(&["git", "push", "origin"], "/srv/repo")).await, Ok(()));
    let wider = |result| match not_declared(result) {
        NotDeclared::Wider { wider } => wider.part,
        other => panic!("{other}"),
    };
    let with = |calls, all| bounds_of([("push", git(calls))], all);
    assert_eq!(wider(declare(&court, "a", &with(Some(3), Some(4))).await), Part::CallsOfAction);
    assert_eq!(wider(declare(&court, "a", &with(Some(2), Some(5))).await), Part::Calls);
    assert_eq!(wider(declare(&court, "a", &usual()).await), Part::Calls);
    assert_eq!(wider(declare(&court, "a", &bounds_of([("change", pay())], Some(1))).await), Part::Action);
    // The same bounds a moment later would last longer.
    court.clock.set(START.after(Duration::from_nanos(1)));
    let longer = not_declared(declare(&court, "a", &with(Some(2), Some(4))).await);
    assert_eq!(longer, NotDeclared::Longer { until: START.after(LASTS) });
    let left = LASTS - Duration::from_nanos(1);
    let narrower = Bounds::new(BTreeMap::from([(action("push"), git(Some(2)))]), Some(4), left).unwrap();
    declare(&court, "a", &narrower).await.unwrap();
    assert_eq!(
        court.last_denial(),
        format!("it lasts longer than the one in force, which holds until {}", START.after(LASTS))
    );
    // A witness on exactly the call of the new one.
    let wide = |n: u32| bounds_of([("push", git(None)), ("change", pay())], Some(n));
    let signed = |bounds: &Bounds| {
        let statement = intended(&court, "a", bounds);
        let Content::Intent { call, .. } = statement.content.clone() else { panic!() };
        (statement.seal(&key("a")).unwrap(), call)
    };
    let other = signed(&wide(9));
    let word = court.witnessed("witness", &other.1);
    let (own, call) = signed(&wide(8));
    let before = court.reasons_since(0).len();
    let presented = Presented::new(call.deadline, vec![word]).unwrap();
    let refused = court.hv.declare_intent(&court.session, &own, &wide(8), &presented).await;
    assert_eq!(wider(refused), Part::Calls);
    assert_eq!(court.reasons_since(before), ["other_call"]);
    let presented = Presented::new(call.deadline, vec![court.witnessed("witness", &call)]).unwrap();
    court.hv.declare_intent(&court.session, &own, &wide(8), &presented).await.unwrap();
    // When it is over, anything may be declared.
    let until = court.hv.intent(&court.session, &did("a")).unwrap().unwrap().until();
    court.clock.set(until);
    assert_eq!(wider(declare(&court, "a", &usual()).await), Part::Calls);
    court.clock.set(Timestamp(until.0 + 1));
    declare(&court, "a", &usual()).await.unwrap();
}

#[tokio::test]
async fn i1_no_more_calls_than_were_named_also_side_by_side_and_after_a_crash() {
    let court = court(Policy::default()).await;
    declare(&court, "a", &bounds_of([("push", git(Some(3)))], None)).await.unwrap();
    let origin =
        |id: &str| StepDef { id: StepId::new(id).unwrap(), ..push(&["git", "push", "origin"], "/srv/repo") };
    assert_eq!(begin(&court, "two", vec![origin("x"), origin("y")], vec![]).await.len(), 2);
    // Of two at once only one is left.
    assert!(begin(&court, "more", vec![origin("x"), origin("y")], vec![]).await.len() <= 1);
    let reason = "the number of calls of the action `one more than 3` is outside the agent's intent";
    assert_eq!(court.last_denial(), reason);
    assert_eq!(uses(&court).len(), 3);
    let before = (court.hv.intent(&court.session, &did("a")).unwrap(), court.hv.state_digest().unwrap());
    assert_eq!(before.0.as_ref().unwrap().used(&action("push")).of_action, 3);
    let court = court.reopened();
    assert_eq!(
        (court.hv.intent(&court.session, &did("a")).unwrap(), court.hv.state_digest().unwrap()),
        before
    );
    assert_eq!(starts(&court, "last", origin("x")).await, Err(reason.to_owned()));
}

#[tokio::test]
async fn where_an_intent_is_required_nothing_but_reading_goes_without() {
    let court = court(Policy { demand: Demand::Required, ..Policy::default() }).await;
    let (hv, session, a) = (&court.hv, &court.session, did("a"));
    let none = "the session asks for an intent, and the agent has none in force";
    let origin = || push(&["git", "push", "origin"], "/srv/repo");
    assert_eq!(starts(&court, "one", origin()).await, Err(none.to_owned()));
    assert_eq!(starts(&court, "look", step("look", Task::closure("work"))).await, Ok(()));
    let write = hv.write_file(session, &a, "x", vec![], Expect::Any).await;
    assert_eq!(unintended(denied(write)), Unintended::Undeclared);
    assert_eq!(hv.read_file(session, &a, "x").await.unwrap(), None);
    let lasts = Duration::from_secs(600);
    let short = Bounds::new(usual().actions().clone(), None, lasts).unwrap();
    declare(&court, "a", &short).await.unwrap();
    assert_eq!(starts(&court, "two", origin()).await, Ok(()));
    // Leaving and coming back is no way out, nor is waiting until it is over. What was granted starts by then.
    hv.leave_session(session, &a).await.unwrap();
    hv.join_session(session, &Entrant::new(a.clone())).await.unwrap();
    assert!(starts(&court, "three", push(&["sh"], "/")).await.unwrap_err().starts_with("the command"));
    court.clock.set(Timestamp(START.after(lasts).0 - 1));
    let granted = begin(&court, "four", vec![origin()], vec![]).await.remove(0);
    assert_eq!(granted.call().deadline, START.after(lasts));
    court.clock.set(Timestamp(START.after(lasts).0 + 1));
    assert_eq!(hv.intent(session, &a).unwrap(), None);
    assert_eq!(starts(&court, "five", origin()).await, Err(none.to_owned()));
    // What is in force is settled before a session begins.
    assert!(matches!(denied(hv.rule_intents(session, Policy::default()).await), Reason::Begun(_)));
    assert!(matches!(denied(hv.bind_intent(session, &a, &usual()).await), Reason::Begun(_)));
}

#[tokio::test]
async fn what_is_outside_is_evidence_where_the_session_says_so() {
    for violation in [Violation::Slash, Violation::Deny] {
        let court = court(Policy { violation, ..Policy::default() }).await;
        let (hv, session) = (&court.hv, &court.session);
        for name in ["a", "b"] {
            declare(&court, name, &usual()).await.unwrap();
        }
        let before = hv.standing(session, &did("a")).unwrap();
        let evil = pays("https://evil.example/v1/payments", amount("1"));
        let call = court.call("steal", &evil);
        assert!(starts(&court, "steal", evil).await.unwrap_err().starts_with("the host `evil.example`"));
        let outside = hv.write_file(session, &did("b"), "etc/x", vec![], Expect::Any).await;
        assert!(matches!(unintended(denied(outside)), Unintended::Outside { .. }));
        let slashed: Vec<_> = court
            .events()
            .into_iter()
            .filter_map(|event| match event {
                TrailEvent::Ledger(LedgerEvent::Slashed { slashed }) => Some(slashed.offence.clone()),
                _ => None,
            })
            .collect();
        if violation == Violation::Deny {
            assert!(slashed.is_empty());
            assert_eq!(hv.standing(session, &did("a")).unwrap(), before);
            continue;
        }
        let evidence: Vec<_> = slashed.iter().map(|offence| offence.evidence).collect();
        assert_eq!(evidence[0], intent_evidence(session, &did("a"), &call.action, call.params));
        assert_eq!(evidence.len(), 2);
        // Both are put out, and what was slashed once stays slashed after a crash.
        let members = |hv: &Hypervisor| {
            let view = hv.session_view(session).unwrap();
            view.members.iter().filter(|member| member.standing == Standing::Present).count()
        };
        assert_eq!(members(hv), 3);
        let again = Hypervisor::open(court.log.clone(), court.clock.clone()).unwrap();
        assert_eq!(members(&again), 3);
        let ran = court.run("after", step("look", Task::closure("work")), vec![]).await;
        assert_eq!(ran.1, 0, "nothing starts after a slash");
    }
}

/// INVARIANT (I1), read from the trail alone: whatever was started by an agent with an intent in force was within it,
/// parameter by parameter, or a witness consented to it.
#[tokio::test]
async fn i1_no_effect_outside_an_intent_in_force() {
    let court = court(Policy { outside: Rule::Consent, ..Policy::default() }).await;
    let bounds = usual();
    declare(&court, "a", &bounds).await.unwrap();
    let mut started = 0;
    for n in 0..60u32 {
        let targets = ["origin", "evil", "mirror"];
        let target = targets[(n % 3) as usize];
        let folder = ["/srv/repo", "/srv/repo/sub", "/tmp"][(n / 3 % 3) as usize];
        let made = push(&["git", "push", target], folder);
        let saga = format!("s{n}");
        // At a pace that its rate lets through.
        court.clock.set(court.clock.now().after(Duration::from_secs(1)));
        let brought =
            if n % 5 == 0 { vec![court.witnessed("witness", &court.call(&saga, &made))] } else { vec![] };
        let within = target == "origin" && folder != "/tmp";
        let mut host = court.hv.saga(&court.session, &SagaId::new(&saga).unwrap()).accepting(vec![0]);
        if !brought.is_empty() {
            host = host.presenting(0, Presented::new(court.deadline(), brought).unwrap());
        }
        let mut acts = 0;
        let act = |_| {
            acts += 1;
            async { Outcome::done() }
        };
        host.run(SagaCommand::begin(Plan::new(vec![Arc::new(made)])), act).await.unwrap();
        assert_eq!(acts == 1, within || n % 5 == 0, "{n}");
        started += acts;
    }
    // From the trail: each grant has one use before it, and a use without a witness was of what is within.
    let (mut used, mut granted, mut task) = (None, 0, None);
    for event in session_events(&court) {
        match event {
            SessionEvent::Saga { event: hv_core::saga::SagaEvent::Appended { steps, .. }, .. } => {
                task = steps.first().map(|step| step.execute.clone());
            }
            SessionEvent::IntentUsed { consented, .. } => used = Some(consented),
            SessionEvent::Granted { .. } => {
                granted += 1;
                let consented = used.take().expect("a grant without a use before it");
                let Some(Task::Command(command)) = task.as_deref() else { panic!() };
                let inside = command.argv[2] == "origin" && command.cwd.as_deref() != Some("/tmp");
                assert!(consented || inside, "{command:?}");
            }
            _ => {}
        }
    }
    assert_eq!(granted, started);
    assert!(started > 12);
}

#[tokio::test]
async fn an_operator_binds_before_the_session_begins_and_the_agent_may_only_narrow_that() {
    let court = Court::configured().await;
    let session = &court.session;
    court.hv.create_session(session, hv_core::SessionConfig::default(), &did("operator")).await.unwrap();
    let stranger = denied(court.hv.bind_intent(session, &did("a"), &usual()).await);
    assert!(matches!(stranger, Reason::Session(_)), "{stranger}");
    court.hv.join_session(session, &Entrant::new(did("a")).with_sigma(sigma("0.97"))).await.unwrap();
    court.hv.bind_intent(session, &did("a"), &bounds_of([("push", git(None))], Some(2))).await.unwrap();
    court.hv.activate_session(session).await.unwrap();
    let bound = court.hv.intent(session, &did("a")).unwrap().unwrap();
    assert!(!bound.signed());
    assert!(matches!(not_declared(declare(&court, "a", &usual()).await), NotDeclared::Wider { .. }));
    let own = declare(&court, "a", &bounds_of([("push", git(None))], Some(1))).await.unwrap();
    assert!(own.signed());
    assert_eq!(court.reopened().hv.intent(&SessionId::new("s").unwrap(), &did("a")).unwrap(), Some(own));
}

/// The saga ends with the denial that its agent is slashed on, after many that lifted it: what follows on the ledger is
/// one record, and it can be read again.
#[tokio::test]
async fn an_agent_that_earned_is_slashed_by_the_record_that_ends_its_saga() {
    let court = court(Policy { violation: Violation::Slash, ..Policy::default() }).await;
    let look = |id: &str, name: &str| StepDef {
        id: StepId::new(id).unwrap(),
        agent: did("e"),
        ..step("look", Task::closure(name))
    };
    declare(&court, "e", &bounds_of([("look", allowed(What::Functions { names: set(&["work"]) }))], None))
        .await
        .unwrap();
    let mut earned = 0;
    for n in 0..40 {
        court.clock.set(court.clock.now().after(Duration::from_secs(1)));
        let mut steps = vec![Arc::new(look("one", "work"))];
        // The last saga goes on to what is outside.
        if n == 39 {
            steps.push(Arc::new(StepDef { after: vec![0], ..look("two", "other") }));
        }
        let host = court.hv.saga(&court.session, &SagaId::new(&format!("s{n}")).unwrap());
        host.run(SagaCommand::begin(Plan::new(steps)), |_| async { Outcome::done() }).await.unwrap();
        let gains = court.events().into_iter();
        earned =
            gains.filter(|event| matches!(event, TrailEvent::Ledger(LedgerEvent::Earned { .. }))).count();
    }
    assert!(earned > 0, "the agent earns where it keeps to its word");
    let slashed = |event: &TrailEvent| matches!(event, TrailEvent::Ledger(LedgerEvent::Slashed { .. }));
    assert_eq!(court.events().iter().filter(|event| slashed(event)).count(), 1);
    // The node goes on, and what it wrote can be read again.
    let digest = court.hv.state_digest().unwrap();
    assert_eq!(court.reopened().hv.state_digest().unwrap(), digest);
}
