//! A session from the first line to the root of its trail, in a folder that anybody can verify.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use hv_core::types::{Did, SagaId, SessionId};
use hv_core::{ConsistencyMode, Entrant, ExecutionRing, Hypervisor, NewStep, SessionConfig};
use std::time::Duration;

async fn draft_email() -> Result<String, String> {
    Ok("Dear team, version 1.0 is out.".to_owned())
}

async fn undo_draft() -> Result<(), String> {
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map_or_else(
        || std::env::temp_dir().join(format!("hv-quickstart-{}", std::process::id())),
        std::path::PathBuf::from,
    );
    let hv = Hypervisor::in_folder(&folder)?;

    // Create a shared session
    let config = SessionConfig::default()
        .with_mode(ConsistencyMode::Eventual)
        .with_max_participants(5)?
        .with_min_sigma_eff("0.60".parse()?);
    let admin = Did::new("did:mesh:admin")?;
    let session = hv.create_session(&SessionId::new("quickstart")?, config, &admin).await?;

    // Agents join; the ring comes from the trust score
    let agent = Did::new("did:mesh:agent-alpha")?;
    let ring =
        hv.join_session(session.id(), &Entrant::new(agent.clone()).with_sigma("0.85".parse()?)).await?;
    assert_eq!(ring, ExecutionRing::Standard);

    // Activate and execute
    hv.activate_session(session.id()).await?;

    // A saga whose steps undo themselves where a later one fails
    let mut saga = session.create_saga(&SagaId::new("mail")?).await?;
    let step = NewStep::new("draft_email".parse()?, agent.clone()).with_undo(undo_draft);
    let step = saga.add_step(step.with_timeout(Duration::from_secs(30)).with_retries(2)).await?;
    let draft = saga.execute_step(step, draft_email).await?;

    // The saga ends; left out, it ends with its session
    println!("{agent} stands in {ring} and wrote: {draft}");
    println!("the saga is {}", saga.finish().await?);

    // Terminate: the root over the session's records comes back
    let root = hv.terminate_session(session.id()).await?;
    hv.seal().await?;

    println!("root {root}");
    println!("verify it with: hv audit verify {}", folder.display());
    Ok(())
}
