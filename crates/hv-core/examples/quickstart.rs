//! A session, an agent, a saga of one step, and the root of its trail.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use hv_core::rings::class::Claim;
use hv_core::saga::drive::{Control, drive};
use hv_core::saga::exec::Closures;
use hv_core::saga::{Outcome, Plan, SagaCommand};
use hv_core::session::SessionConfig;
use hv_core::types::{ActionId, ActionKind, Did, Reversibility, SagaId, SessionId, StepId};
use hv_core::{Entrant, Hypervisor};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hv = Hypervisor::in_memory()?;
    let (session, agent) = (SessionId::new("quickstart")?, Did::new("did:mesh:agent-alpha")?);
    hv.create_session(&session, SessionConfig::default(), &Did::new("did:mesh:admin")?).await?;
    let ring = hv.join_session(&session, &Entrant::new(agent.clone()).with_sigma("0.85".parse()?)).await?;
    println!("{agent} stands in {ring}");
    let draft = ActionId::new("draft.email")?;
    let claim = Claim {
        kind: Some(ActionKind::Effect),
        reversibility: Some(Reversibility::Full),
        ..Claim::default()
    };
    hv.register_action(&session, &draft, claim).await?;
    hv.activate_session(&session).await?;

    let mut closures = Closures::new();
    closures.add("draft", |_| async { Outcome::done() }, |_| async { Outcome::done() });
    let step = Closures::step(StepId::new("draft")?, draft, agent, "draft");
    let host = hv.create_saga(&session, &SagaId::new("mail")?, Plan::new(vec![step.into()]), vec![0]).await?;
    let end = drive(&host, &closures, &Control::new(), SagaCommand::advance()).await?;
    println!("the saga is {end}");
    println!("root {}", hv.terminate_session(&session).await?);
    Ok(())
}
