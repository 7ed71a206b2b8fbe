//! A step that is taken over is its substitute's from there on: what it says of whoever did it, and whose its output is.

use crate::guard::{Stage, did, session};
use hv_core::event::KillTarget;
use hv_core::integrations::trust::{ScorerFault, TaskOutcome, TrustEvent, TrustPoints, TrustScorer};
use hv_core::rings::class::Claim;
use hv_core::saga::drive::{Control, drive};
use hv_core::saga::exec::Closures;
use hv_core::saga::{Class, Outcome, Output, Plan, Reason, SagaCommand, SagaState, StepDef, Task};
use hv_core::types::{ActionId, ActionKind, Did, Reversibility, SagaId, StepId};
use hv_core::{Clock, Hypervisor, KillOrder, adapters::TrustSetup};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// A node where `a` may do a step and `b` may take it over.
async fn stage(connect: impl FnOnce(Hypervisor) -> Hypervisor) -> Stage {
    let stage = Stage::connected(&[("a", "0.7"), ("b", "0.7")], connect).await;
    let change =
        Claim { kind: Some(ActionKind::Effect), reversibility: Some(Reversibility::Full), risk: None };
    stage.hv.register_action(&session(), &ActionId::new("change").unwrap(), change).await.unwrap();
    stage
}

impl Stage {
    /// Kills `a`, and has the step done, which `b` takes over.
    async fn taken_over(&self, works: bool) {
        let order = KillOrder { target: KillTarget::Agent { did: did("a") }, by: None, reason: "no".into() };
        self.hv.kill(&order, async { Ok::<_, Infallible>(()) }).await.unwrap();
        let work = || Task::closure("work");
        let step =
            StepDef::new(StepId::new("s").unwrap(), ActionId::new("change").unwrap(), did("a"), work());
        let step = step.with_undo(work()).with_substitute(did("b"));
        let host = self.hv.saga(&session(), &SagaId::new("g").unwrap()).accepting(vec![0]);
        let clock = self.clock.clone();
        let mut closures = Closures::new().with_clock(Arc::new(move || clock.now()));
        let said = Output { stdout: b"done".to_vec(), ..Output::default() };
        let outcome = if works {
            Outcome::done().with_output(said)
        } else {
            Outcome::failed(Class::Permanent, Reason::other("it cannot be done"))
        };
        closures.add("work", move |_| std::future::ready(outcome.clone()), |_| async { Outcome::done() });
        let first = SagaCommand::begin(Plan::new(vec![Arc::new(step)]));
        let end = drive(&host, &closures, &Control::new(), first).await.unwrap();
        assert_eq!(end, if works { SagaState::Completed } else { SagaState::Compensated });
    }
}

#[tokio::test]
async fn what_is_taken_over_and_fails_speaks_against_whoever_did_it() {
    let stage = stage(|hv| hv).await;
    stage.taken_over(false).await;
    let sigma = |hv: &Hypervisor| hv.standing(&session(), &did("b")).unwrap().0.ppm();
    assert_eq!(sigma(&stage.hv), 690_000);
    // Another process sees the same.
    let again = Hypervisor::open(stage.log.clone(), stage.clock.clone()).unwrap();
    assert_eq!(sigma(&again), 690_000);
}

/// A scorer that notes whom it is asked about and what it is told.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl TrustScorer for Heard {
    type Facts = ();

    fn points(&self, agent: &Did, _: Option<&()>) -> Result<TrustPoints, ScorerFault> {
        self.0.lock().unwrap().push(format!("asked {agent}"));
        Ok(TrustPoints::new(700)?)
    }

    fn report(&self, event: &TrustEvent) -> Result<(), ScorerFault> {
        if let TrustEvent::Task(agent, outcome) = event {
            let went = if *outcome == TaskOutcome::Success { "well" } else { "badly" };
            self.0.lock().unwrap().push(format!("{agent} {went}"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_scorer_is_asked_about_who_takes_over_and_told_of_it() {
    let heard = Arc::new(Heard::default());
    let stage = stage(|hv| hv.with_trust("heard", heard.clone(), TrustSetup::default())).await;
    // What was answered at the beginning counts no longer.
    stage.clock.advance(TrustSetup::default().life * 2);
    heard.0.lock().unwrap().clear();
    stage.taken_over(true).await;
    stage.hv.deliver_reports().await.unwrap();
    let heard = heard.0.lock().unwrap();
    assert!(heard.contains(&"asked did:mesh:b".to_owned()), "{heard:?}");
    let told: Vec<&String> = heard.iter().filter(|line| !line.starts_with("asked")).collect();
    assert_eq!(told, ["did:mesh:b well"]);
}

#[tokio::test]
async fn what_a_substitute_printed_is_its_own() {
    let stage = stage(|hv| hv).await;
    stage.taken_over(true).await;
    let contents = stage.hv.contents().unwrap();
    let subjects: Vec<Option<Did>> = contents.kept().map(|kept| kept.subject).collect();
    assert_eq!(subjects, [Some(did("b"))]);
}
