//! Who acts for somebody that signed an intent is within that one's intent, too: no agent gets round its word by way of
//! another.

use crate::evidence::{Court, denied, did, sigma};
use crate::intent::{allowed, bounds_of, court, declare, push, session_events, set, starts};
use hv_core::event::{LedgerEvent, SessionEvent};
use hv_core::rings::gate::GateDenial;
use hv_core::rings::intent::{
    CommandBounds, CommandLine, Policy, Rest, Rule, UndoRule, Unintended, Violation, What,
};
use hv_core::saga::{Host, Plan, SagaCommand, Task};
use hv_core::session::Expect;
use hv_core::types::SagaId;
use hv_core::{Entrant, Presented, Reason, TrailEvent};
use std::sync::Arc;

const IN: &[&str] = &["git", "push", "origin"];
const OUT: &[&str] = &["git", "push", "evil"];

/// A court in which `a` may push to origin so often and change files below /src, with a child `c` and its child `g`.
async fn family(policy: Policy, calls: Option<u32>) -> Court {
    let court = court(policy).await;
    for (child, parent) in [("c", "a"), ("g", "c")] {
        let name = format!("child-{child}");
        let entrant = Entrant::new(did(&name)).with_sigma(sigma("0.9"));
        let parent = if parent == "a" { did("a") } else { did(&format!("child-{parent}")) };
        court.hv.join_session(&court.session, &entrant.with_parent(parent)).await.unwrap();
    }
    let line = CommandLine { argv: IN.iter().map(ToString::to_string).collect(), more: 0, rest: Rest::Any };
    let commands =
        CommandBounds { commands: [line].into(), folders: set(&["/"]), variables: set(&[]), input: false };
    let bounds = bounds_of(
        [
            ("push", allowed(What::Command { bounds: commands })),
            ("hv.files.change", allowed(What::Files { paths: set(&["/src"]) })),
        ],
        calls,
    );
    declare(&court, "a", &bounds).await.unwrap();
    court
}

/// A push by this agent.
fn by(agent: &str, argv: &[&str]) -> hv_core::saga::StepDef {
    hv_core::saga::StepDef { agent: did(agent), ..push(argv, "/srv") }
}

fn used_by(court: &Court) -> Vec<u32> {
    let used = |event| match event {
        SessionEvent::IntentUsed { member, .. } => Some(member),
        _ => None,
    };
    session_events(court).into_iter().filter_map(used).collect()
}

#[tokio::test]
async fn i1_a_child_does_nothing_that_its_parent_has_signed_not_to_do() {
    let court = family(Policy { violation: Violation::Slash, ..Policy::default() }, None).await;
    for (n, child) in ["child-c", "child-g"].into_iter().enumerate() {
        assert_eq!(starts(&court, &format!("in{n}"), by(child, IN)).await, Ok(()), "{child}");
        let why = starts(&court, &format!("out{n}"), by(child, OUT)).await.unwrap_err();
        assert!(why.contains("the command `git push evil` is outside the intent of"), "{why}");
        assert!(why.contains(did("a").as_str()), "{why}");
        // The same with files.
        let write = |path| {
            let (court, child) = (&court, did(child));
            async move { court.hv.write_file(&court.session, &child, path, vec![1], Expect::Any).await }
        };
        write("src/x").await.unwrap();
        let Reason::Gate(gate) = denied(write("etc/x").await) else { panic!("the gate") };
        assert!(matches!(*gate, GateDenial::Intent { why: Unintended::OnBehalfOf { .. } }), "{gate}");
    }
    // Each use is counted as the parent's, who alone has an intent.
    assert_eq!(used_by(&court), [0; 4]);
    // Who gave no word has broken none.
    let slashed = |event: &TrailEvent| matches!(event, TrailEvent::Ledger(LedgerEvent::Slashed { .. }));
    assert!(!court.events().iter().any(slashed));
    let digest = court.hv.state_digest().unwrap();
    assert_eq!(court.reopened().hv.state_digest().unwrap(), digest);
}

/// What undoes a call is held as the call is, where the session says so: against the parent's intent too, and as evidence
/// against whoever broke its own word, and nobody else.
#[tokio::test]
async fn i1_what_undoes_a_call_is_within_the_intents_of_both() {
    let policy = Policy { violation: Violation::Slash, undo: UndoRule::Held, ..Policy::default() };
    let court = family(policy, None).await;
    let undone_by = |agent, argv| by(agent, IN).with_undo(Task::clone(&by(agent, argv).execute));
    let slashed = || {
        let offender = |event| match event {
            TrailEvent::Ledger(LedgerEvent::Slashed { slashed }) => Some(slashed.offence.evidence),
            _ => None,
        };
        court.events().into_iter().filter_map(offender).count()
    };
    for (n, agent) in ["child-c", "a"].into_iter().enumerate() {
        assert_eq!(starts(&court, &format!("in{n}"), undone_by(agent, IN)).await, Ok(()), "{agent}");
    }
    assert_eq!(used_by(&court), [0; 2], "the call is counted, and not what undoes it");
    let why = starts(&court, "child", undone_by("child-c", OUT)).await.unwrap_err();
    assert!(why.contains("the command `git push evil` is outside the intent of"), "{why}");
    assert_eq!(slashed(), 0, "it gave no word");
    let why = starts(&court, "parent", undone_by("a", OUT)).await.unwrap_err();
    assert!(why.contains("of its undo, the command `git push evil` is outside"), "{why}");
    assert_eq!(slashed(), 1);
}

#[tokio::test]
async fn i1_children_use_up_what_their_parent_may_call() {
    let court = family(Policy::default(), Some(2)).await;
    assert_eq!(starts(&court, "one", by("child-c", IN)).await, Ok(()));
    assert_eq!(starts(&court, "two", by("child-g", IN)).await, Ok(()));
    for (n, agent) in ["child-c", "child-g", "a"].into_iter().enumerate() {
        let why = starts(&court, &format!("more{n}"), by(agent, IN)).await.unwrap_err();
        assert!(why.contains("number of calls"), "{agent}: {why}");
    }
}

/// Its own intent holds too, and both are used.
#[tokio::test]
async fn i1_a_call_is_within_the_intents_of_both() {
    let court = family(Policy::default(), None).await;
    let evil = CommandLine { argv: OUT.iter().map(ToString::to_string).collect(), more: 0, rest: Rest::Any };
    let origin = CommandLine { argv: IN.iter().map(ToString::to_string).collect(), ..evil.clone() };
    let commands = |lines: &[&CommandLine]| {
        let commands = lines.iter().map(|line| (*line).clone()).collect();
        let (folders, variables) = (set(&["/"]), set(&[]));
        allowed(What::Command { bounds: CommandBounds { commands, folders, variables, input: false } })
    };
    declare(&court, "child-g", &bounds_of([("push", commands(&[&evil, &origin]))], None)).await.unwrap();
    let why = starts(&court, "out", by("child-g", OUT)).await.unwrap_err();
    assert!(why.contains("is outside the intent of"), "{why}");
    assert_eq!(starts(&court, "in", by("child-g", IN)).await, Ok(()));
    let members = court.hv.session_view(&court.session).unwrap().members;
    let child = members.iter().position(|member| member.did == did("child-g")).unwrap();
    assert_eq!(used_by(&court), [u32::try_from(child).unwrap(), 0]);
    declare(&court, "child-c", &bounds_of([("push", commands(&[&evil]))], None)).await.unwrap();
    let why = starts(&court, "own", by("child-c", IN)).await.unwrap_err();
    assert!(why.contains("is outside the agent's intent"), "{why}");
}

#[tokio::test]
async fn i1_so_it_is_for_whom_a_saga_names() {
    let court = family(Policy::default(), None).await;
    for (name, argv, passes) in [("in", IN, true), ("out", OUT, false)] {
        let host = court.hv.saga(&court.session, &SagaId::new(name).unwrap()).accepting(vec![0]);
        let host = host.on_behalf_of(vec![did("a"), did("b")]);
        let plan = Plan::new(vec![Arc::new(by("d", argv))]);
        let progress = host.commit(SagaCommand::begin(plan), None).await.unwrap();
        assert_eq!(progress.starts.len(), usize::from(passes), "{name}: {}", court.last_denial());
    }
    assert_eq!(used_by(&court), [0]);
}

#[tokio::test]
async fn a_witness_may_consent_to_what_is_outside_the_intent_of_a_parent() {
    let court = family(Policy { outside: Rule::Consent, ..Policy::default() }, None).await;
    let step = by("child-c", OUT);
    let why = starts(&court, "alone", step.clone()).await.unwrap_err();
    assert!(why.contains("is outside the intent of"), "{why}");
    let word = court.witnessed("witness", &court.call("seen", &step));
    let host = court.hv.saga(&court.session, &SagaId::new("seen").unwrap()).accepting(vec![0]);
    let host = host.presenting(0, Presented::new(court.deadline(), vec![word]).unwrap());
    let progress = host.commit(SagaCommand::begin(Plan::new(vec![Arc::new(step)])), None).await.unwrap();
    assert_eq!(progress.starts.len(), 1, "{}", court.last_denial());
    let digest = court.hv.state_digest().unwrap();
    assert_eq!(court.reopened().hv.state_digest().unwrap(), digest);
}
