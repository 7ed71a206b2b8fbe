//! Elevation: Ring 1 for named actions and a short time, by a quorum on exactly that, and everything that ends it.

use crate::evidence::{Court, START, action, denied, did, sigma, step};
use hv_core::event::SessionEvent;
use hv_core::identity::{Content, Finding};
use hv_core::rings::breach::BreachPolicy;
use hv_core::rings::elevation::{BadRequest, Elevation, LASTS, LASTS_AT_MOST, NotElevated, Request};
use hv_core::rings::{Basis, Denial};
use hv_core::saga::{Host, Plan, SagaCommand, SagaState};
use hv_core::session::SessionConfig;
use hv_core::types::{Digest, SagaId, SessionId, Share, Timestamp};
use hv_core::{
    Clock, Entrant, Error, Guards, KillOrder, Mismatch, Presented, Reason, TrailEvent, elevation_call,
};
use std::sync::Arc;
use std::time::Duration;

const ENDED: (SagaState, u32) = (SagaState::Compensated, 0);
const DONE: (SagaState, u32) = (SagaState::Completed, 1);

fn request(court: &Court, agent: &str, actions: &[&str], lasts: Duration) -> Request {
    let actions = actions.iter().map(|name| action(name));
    Request::new(court.session.clone(), did(agent), actions, "ship 1.2", lasts).unwrap()
}

async fn elevate(court: &Court, request: &Request, voters: &[&str]) -> Result<Elevation, Error> {
    let call = elevation_call(request, court.deadline()).unwrap();
    let votes = voters.iter().map(|by| court.vote(by, &call)).collect();
    court.hv.elevate(request, &Presented::new(court.deadline(), votes).unwrap()).await
}

fn why<T: std::fmt::Debug>(result: Result<T, Error>) -> NotElevated {
    match denied(result) {
        Reason::Elevation { why, .. } => why,
        other => panic!("{other}"),
    }
}

/// An agent that a quorum has elevated for `final` and five minutes.
async fn elevated() -> Court {
    let court = Court::new().await;
    let asked = request(&court, "a", &["final"], LASTS);
    let elevation = elevate(&court, &asked, &["b", "c", "h"]).await.unwrap();
    assert_eq!((elevation.since(), elevation.until()), (START, START.after(LASTS)));
    court
}

fn holds(court: &Court) -> bool {
    court.hv.elevation(&court.session, &did("a")).unwrap().is_some()
}

#[tokio::test]
async fn what_is_named_needs_no_votes_up_to_the_last_nanosecond_and_nothing_else_is_opened() {
    let court = elevated().await;
    assert_eq!(court.run("named", step("final", "a"), vec![]).await, DONE);
    assert_eq!(court.run("again", step("final", "a"), vec![]).await, DONE);
    // Neither Ring 0, nor for somebody else, nor what it does not name.
    assert_eq!(court.run("root", step("govern", "a"), vec![]).await, ENDED);
    assert!(court.last_denial().contains("needs a witness"), "{}", court.last_denial());
    assert_eq!(court.run("other", step("final", "b"), vec![]).await, ENDED);
    assert!(court.last_denial().contains("needs a quorum"), "{}", court.last_denial());
    // What rests on it is on the trail, with nobody's word used up a second time.
    let on_it = |event: TrailEvent| match event {
        TrailEvent::Session(event) => match *event {
            SessionEvent::Certified { basis, until, voices, .. } => Some((basis, until, voices.len())),
            _ => None,
        },
        _ => None,
    };
    let rests: Vec<_> = court.events().into_iter().filter_map(on_it).collect();
    assert_eq!(rests, [(Basis::Elevation, START.after(LASTS), 0); 2]);
    // Opened again, it still holds, and ends to the nanosecond.
    let court = court.reopened();
    court.clock.set(START.after(LASTS));
    assert!(holds(&court));
    assert_eq!(court.run("last", step("final", "a"), vec![]).await, DONE);
    court.clock.set(Timestamp(START.after(LASTS).0 + 1));
    assert!(!holds(&court));
    assert_eq!(court.run("late", step("final", "a"), vec![]).await, ENDED);
    let denial = court.last_denial();
    assert!(denial.contains("needs a quorum") && denial.contains("; the elevation held until "), "{denial}");
}

#[tokio::test]
async fn a_start_that_was_granted_on_it_begins_no_later_than_it_ends() {
    for (late, opens) in [(0, true), (1, false)] {
        let court = elevated().await;
        let host = court.hv.saga(&court.session, &SagaId::new("one").unwrap());
        let plan = Plan::new(vec![Arc::new(step("final", "a"))]);
        court.clock.set(START.after(LASTS - Duration::from_secs(1)));
        let mut progress = host.commit(SagaCommand::begin(plan), None).await.unwrap();
        let (_, grant) = progress.starts.remove(0);
        let call = grant.call().clone();
        assert_eq!(call.deadline, START.after(LASTS), "the attempt itself has five minutes more");
        let at = Timestamp(START.after(LASTS).0 + late);
        court.clock.set(at);
        let redeemed = grant.redeem(&call, at);
        assert_eq!(redeemed.is_ok(), opens, "{late}");
        assert!(opens || matches!(redeemed, Err(Mismatch::TooLate { .. })), "{redeemed:?}");
    }
}

#[tokio::test]
async fn each_bound_has_its_own_no() {
    let court = Court::new().await;
    let asked = |agent| request(&court, agent, &["final"], LASTS);
    // No votes, too few, the agent's own, and votes on another request.
    assert!(matches!(why(elevate(&court, &asked("a"), &[]).await), NotElevated::Denied { .. }));
    let few = denied(elevate(&court, &asked("a"), &["b", "c"]).await);
    assert!(few.to_string().contains("2 of 4 consent, 3 are needed"), "{few}");
    assert!(few.needs().contains("a quorum"), "{}", few.needs());
    assert!(matches!(why(elevate(&court, &asked("a"), &["a", "b", "c"]).await), NotElevated::Denied { .. }));
    assert_eq!(court.reasons_since(0), ["by_actor"]);
    let longer = request(&court, "a", &["final"], LASTS_AT_MOST);
    let call = elevation_call(&longer, court.deadline()).unwrap();
    let votes = ["b", "c", "h"].map(|by| court.vote(by, &call)).to_vec();
    let presented = Presented::new(court.deadline(), votes).unwrap();
    assert!(matches!(why(court.hv.elevate(&asked("a"), &presented).await), NotElevated::Denied { .. }));
    assert_eq!(court.reasons_since(1), ["other_call"; 3]);
    // The score: 0.50 of e, whoever consents.
    let Reason::Elevation { why: low, .. } =
        denied(elevate(&court, &asked("e"), &["a", "b", "c", "d", "h"]).await)
    else {
        panic!("not elevated")
    };
    assert!(matches!(low, NotElevated::Denied { denial: Denial::Score { .. } }), "{low}");
    // One at a time, also at the last nanosecond of the first.
    elevate(&court, &asked("a"), &["b", "c", "h"]).await.unwrap();
    court.clock.set(START.after(LASTS));
    let second = why(elevate(&court, &asked("a"), &["b", "c", "d"]).await);
    assert_eq!(second, NotElevated::OneAtATime { until: START.after(LASTS) });
    court.clock.set(Timestamp(START.after(LASTS).0 + 1));
    elevate(&court, &asked("a"), &["b", "c", "d"]).await.unwrap();
    // The call is late.
    court.clock.set(Timestamp(court.deadline().0 + 1));
    let late = why(elevate(&court, &asked("b"), &["a", "c", "h"]).await);
    assert_eq!(late, NotElevated::Late { deadline: court.deadline() });
    // What cannot be asked for at all: more than an hour, no reason, itself.
    let ask = |action_name: &str, reason: &str, lasts| {
        Request::new(court.session.clone(), did("a"), [action(action_name)], reason, lasts).unwrap_err()
    };
    let long = LASTS_AT_MOST + Duration::from_nanos(1);
    assert_eq!(ask("final", "x", long), BadRequest::TooLong { lasts: long });
    assert_eq!(ask("final", " ", LASTS), BadRequest::NoReason);
    assert_eq!(ask("hv.elevate", "x", LASTS), BadRequest::NamesItself);
}

#[tokio::test]
async fn votes_are_used_up_by_it_also_after_the_node_was_opened_again() {
    let court = Court::new().await;
    let asked = request(&court, "a", &["final"], Duration::from_secs(1));
    let call = elevation_call(&asked, court.deadline()).unwrap();
    let votes = ["b", "c", "h"].map(|by| court.vote(by, &call)).to_vec();
    let presented = Presented::new(court.deadline(), votes).unwrap();
    court.hv.elevate(&asked, &presented).await.unwrap();
    let court = court.reopened();
    court.clock.set(START.after(Duration::from_secs(2)));
    assert!(matches!(why(court.hv.elevate(&asked, &presented).await), NotElevated::Denied { .. }));
    assert_eq!(court.reasons_since(0), ["replayed"; 3]);
}

#[tokio::test]
async fn whoever_is_new_or_acts_for_another_is_capped_and_not_elevated() {
    // A first session: everybody is on probation.
    let court = Court::configured().await;
    court.open().await;
    let capped = why(elevate(&court, &request(&court, "a", &["final"], LASTS), &["b", "c", "h"]).await);
    assert!(matches!(capped, NotElevated::Denied { denial: Denial::Capped { .. } }), "{capped}");
    // Whoever brings no votes is told that they would not be enough.
    assert_eq!(court.run("alone", step("final", "a"), vec![]).await, ENDED);
    let denial = court.last_denial();
    assert!(
        denial.contains("a quorum alone would not be enough") && denial.contains("on probation"),
        "{denial}"
    );
    // A child stands no higher than its parent stands, which is Ring 2.
    let court = Court::new().await;
    court.hv.leave_session(&court.session, &did("d")).await.unwrap();
    let second = SessionId::new("second").unwrap();
    court.hv.create_session(&second, SessionConfig::default(), &did("operator")).await.unwrap();
    for name in ["a", "b", "c"] {
        court.hv.join_session(&second, &Entrant::new(did(name))).await.unwrap();
    }
    court.hv.join_session(&second, &Entrant::new(did("d")).with_parent(did("a"))).await.unwrap();
    court.hv.activate_session(&second).await.unwrap();
    let asked = Request::new(second.clone(), did("d"), [action("final")], "ship", LASTS).unwrap();
    let call = elevation_call(&asked, court.deadline()).unwrap();
    let votes = ["b", "c"].map(|by| court.vote(by, &call)).to_vec();
    let child = why(court.hv.elevate(&asked, &Presented::new(court.deadline(), votes).unwrap()).await);
    assert!(matches!(child, NotElevated::Denied { denial: Denial::Capped { .. } }), "{child}");
}

#[tokio::test]
async fn whoever_leaves_comes_back_without_it() {
    let court = elevated().await;
    court.hv.leave_session(&court.session, &did("a")).await.unwrap();
    assert!(!holds(&court));
    court.hv.join_session(&court.session, &Entrant::new(did("a"))).await.unwrap();
    assert!(!holds(&court));
    assert_eq!(court.run("after", step("final", "a"), vec![]).await, ENDED);
    // The same from the trail; and another may be asked for at once.
    let court = court.reopened();
    assert!(!holds(&court));
    let asked = request(&court, "a", &["final"], LASTS);
    elevate(&court, &asked, &["b", "c", "d"]).await.unwrap();
    assert_eq!(court.run("anew", step("final", "a"), vec![]).await, DONE);
}

#[tokio::test]
async fn a_slash_ends_it_and_rehabilitation_does_not_bring_it_back() {
    let court = elevated().await;
    let found = Content::Evidence {
        about: did("a"),
        session: Some(court.session.clone()),
        finding: Finding::Violation,
        fault: Share::ONE,
        class: None,
        risk: None,
        happened: court.clock.now(),
        evidence: Digest([1; 32]),
    };
    // A start that it was granted before the slash does not begin after it either.
    let host = court.hv.saga(&court.session, &SagaId::new("one").unwrap());
    let plan = Plan::new(vec![Arc::new(step("final", "a"))]);
    let mut progress = host.commit(SagaCommand::begin(plan), None).await.unwrap();
    let (_, grant) = progress.starts.remove(0);
    court.hv.accept(&court.signed("verifier", found)).await.unwrap();
    let call = grant.call().clone();
    assert!(grant.redeem(&call, court.clock.now()).is_err());
    assert!(!holds(&court));
    assert_eq!(court.run("after", step("final", "a"), vec![]).await, ENDED);
    let (operator, agent) = (did("operator"), did("a"));
    let request = hv_core::Request::Rehabilitate { agent: agent.clone(), sigma: sigma("0.97") };
    let asked = request.call(&operator, court.deadline()).unwrap();
    let word = Presented::new(court.deadline(), vec![court.witnessed("witness", &asked)]).unwrap();
    court.hv.govern(&operator, &request, &word).await.unwrap();
    court.hv.readmit_agent(&court.session, &agent).await.unwrap();
    court.hv.join_session(&court.session, &Entrant::new(agent)).await.unwrap();
    for court in [&court.reopened()] {
        assert!(!holds(court));
        assert_eq!(court.run("back", step("final", "a"), vec![]).await, ENDED);
    }
}

#[tokio::test]
async fn a_demotion_ends_it_for_good() {
    let (least, patience, open) = (2, 2, Duration::from_secs(10));
    let breach = BreachPolicy { least, patience, open, ..BreachPolicy::default() };
    let court = Court::guarded(Guards { breach, ..Guards::default() });
    court.hv.establish(&did("operator"), &crate::evidence::config(), &[]).await.unwrap();
    court.acquaint().await;
    court.open().await;
    elevate(&court, &request(&court, "a", &["final"], LASTS), &["b", "c", "h"]).await.unwrap();
    for n in 0..4 {
        assert_eq!(court.run(&format!("above-{n}"), step("govern", "a"), vec![]).await, ENDED);
    }
    let tripped =
        |event: &TrailEvent| matches!(event, TrailEvent::Node(hv_core::event::NodeEvent::Tripped { .. }));
    assert!(court.events().iter().any(tripped), "the breaker opened");
    assert!(!holds(&court));
    // When the breaker is closed it stands where it stood, without the elevation.
    court.clock.set(START.after(open + Duration::from_secs(1)));
    assert_eq!(court.hv.standing(&court.session, &did("a")).unwrap().1.number(), 2);
    assert_eq!(court.run("after", step("final", "a"), vec![]).await, ENDED);
    assert!(!holds(&court.reopened()));
}

#[tokio::test]
async fn a_kill_ends_it_also_when_it_is_lifted() {
    for target in [
        hv_core::event::KillTarget::Agent { did: did("a") },
        hv_core::event::KillTarget::Session { id: SessionId::new("s").unwrap() },
        hv_core::event::KillTarget::All {},
    ] {
        let court = elevated().await;
        let order = KillOrder { target: target.clone(), by: None, reason: "stop".to_owned() };
        court.hv.kill(&order, async { Ok::<(), String>(()) }).await.unwrap();
        court.hv.lift_kill(&order).await.unwrap();
        assert!(!holds(&court), "{target}");
        assert_eq!(court.run("after", step("final", "a"), vec![]).await, ENDED, "{target}");
        assert!(!holds(&court.reopened()), "{target}");
    }
}

/// At every point of its life the trail says the same as the node that wrote it.
#[tokio::test]
async fn what_a_crash_leaves_is_what_was_acknowledged() {
    let court = elevated().await;
    let held = |court: &Court| court.hv.elevation(&court.session, &did("a")).unwrap();
    let reopened = |court: &Court| {
        let hv = hv_core::Hypervisor::open(court.log.clone(), court.clock.clone()).unwrap();
        hv.elevation(&court.session, &did("a")).unwrap()
    };
    let elevation = held(&court).unwrap();
    assert_eq!(reopened(&court), Some(elevation.clone()));
    let again = hv_core::Hypervisor::open(court.log.clone(), court.clock.clone()).unwrap();
    assert_eq!(again.state_digest().unwrap(), court.hv.state_digest().unwrap());
    // A start on it, and the crash between the grant and the effect: the grant is gone, the elevation is not.
    let host = court.hv.saga(&court.session, &SagaId::new("one").unwrap());
    let plan = Plan::new(vec![Arc::new(step("final", "a"))]);
    drop(host.commit(SagaCommand::begin(plan), None).await.unwrap());
    assert_eq!(reopened(&court), Some(elevation));
    court.clock.set(START.after(LASTS + Duration::from_nanos(1)));
    assert_eq!((held(&court), reopened(&court)), (None, None));
}
