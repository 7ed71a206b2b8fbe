//! An agent that plans as it goes: what it does next follows from what it has just seen, and where that fails,
//! everything that it did is undone.
//!
//! `cargo run -p hv-core --features folder --example planner -- FOLDER [dead-end]`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use hv_core::types::{Did, SagaId, SessionId};
use hv_core::{Entrant, Hypervisor, NewStep, SessionConfig, StepFailure};
use std::sync::{Arc, Mutex};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().ok_or("say in which folder the trail is to be")?;
    let dead_end = words.next().is_some_and(|word| word == "dead-end");
    let hv = Hypervisor::in_folder(std::path::Path::new(&folder))?;
    let admin = Did::new("did:mesh:admin")?;
    let session = hv.create_session(&SessionId::new("planner")?, SessionConfig::default(), &admin).await?;
    let agent = Did::new("did:mesh:planner")?;
    hv.join_session(session.id(), &Entrant::new(agent.clone()).with_sigma("0.85".parse()?)).await?;
    hv.activate_session(session.id()).await?;

    // What the agent has put down so far; each step adds a line, and its undo takes it away.
    let page = Arc::new(Mutex::new(Vec::<u32>::new()));
    let lines = |page: &Mutex<Vec<u32>>| page.lock().map(|page| page.len()).unwrap_or_default();
    let mut saga = session.create_saga(&SagaId::new("descent")?).await?;
    // From a number down to one, halving or adding one; nobody knows beforehand how many steps that takes.
    let mut number = 13u32;
    while number != 1 {
        let (to_undo, to_do) = (Arc::clone(&page), Arc::clone(&page));
        let undo = move || {
            let page = Arc::clone(&to_undo);
            async move {
                page.lock().map(|mut page| page.pop().is_some()).map(|_| ()).map_err(|_| "the page is torn")
            }
        };
        let action = if number.is_multiple_of(2) { "number.halve" } else { "number.raise" };
        let step = saga.add_step(NewStep::new(action.parse()?, agent.clone()).with_undo(undo)).await?;
        let stuck = dead_end && number == 4;
        let done = saga.execute_step(step, || {
            let page = Arc::clone(&to_do);
            async move {
                if stuck {
                    return Err("four leads nowhere");
                }
                let next = if number.is_multiple_of(2) { number / 2 } else { number + 1 };
                page.lock().map(|mut page| page.push(next)).map_err(|_| "the page is torn")?;
                Ok(next)
            }
        });
        match done.await {
            Ok(next) => number = next,
            Err(StepFailure::Failed { why, saga }) => {
                println!("{why}: the saga is {saga}, {} lines are left", lines(&page));
                break;
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    if number == 1 {
        println!("planned {} steps on the way; the saga is {}", lines(&page), saga.finish().await?);
    }
    println!("root {}", hv.terminate_session(session.id()).await?);
    hv.seal().await?;
    Ok(())
}
