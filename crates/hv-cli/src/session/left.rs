//! What an earlier command left in the middle, because it was killed, is taken up before anything else is done: whatever is
//! asked of a command is heeded while its programs are waited for, too.

use super::failure::LiveFailure;
use super::folder::{Folder, Live};
use super::steps::{Kept, driven, heeded};
use crate::output;
use crate::run::{GoingOn, blocking, stopped_at_once};
use hv_core::Error;
use hv_core::saga::drive::{Control, Heading, Left, drive_left};
use hv_core::saga::exec::survivors::survivors_of;
use hv_core::saga::{
    AttemptRef, BoxFuture, Class, Halt, Outcome, Purpose, Reason, Saga, SagaCommand, SagaState, StepState,
};
use hv_core::types::{SagaId, SessionId};
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// How long a command that outlived its supervisor may go on.
const SURVIVORS: Duration = Duration::from_secs(10);

/// Takes up what an earlier command left in the middle.
pub(super) async fn recover(folder: &Folder, session: &SessionId, live: &Live) -> Result<(), LiveFailure> {
    let mut left = Vec::new();
    for saga in folder.hv.sagas(session)? {
        let machine = folder.hv.saga_machine(session, &saga)?;
        let open = |machine: Saga| machine.running().next().is_some() || unsettled(&machine);
        // A rehearsal that was cut off stands on what it did until it is undone.
        if machine.is_some_and(open) || folder.hv.is_rehearsal(session, &saga)? {
            left.push(saga);
        }
    }
    let until = Instant::now() + SURVIVORS;
    for saga in left {
        let host = folder.hv.saga(session, &saga);
        let executor = Kept::new(live, &[]);
        let rehearsal = folder.hv.is_rehearsal(session, &saga)?;
        let taken_up = taken_up(folder, (session, &saga), live, &executor, until);
        let mut state = heeded(folder, session, &saga, &executor, taken_up).await?;
        if rehearsal && state == SagaState::Running {
            state = driven(folder, session, &saga, &host, &executor, SagaCommand::Cancel).await?;
        }
        let end = match state {
            SagaState::Running | SagaState::Completed => "it was done and stands",
            SagaState::Compensated => "what it left is undone",
            SagaState::Escalated => "it could not be undone; look at it",
            _ => "it is not settled yet; the next command takes it up",
        };
        output::error(&format!("hv: {saga} was interrupted; {end}"));
        if executor.is_interrupted() {
            return Err(LiveFailure::Interrupted);
        }
    }
    Ok(())
}

fn unsettled(machine: &Saga) -> bool {
    machine.state() == SagaState::Compensating
        || machine.runs().any(|run| !matches!(run.state, StepState::Committed | StepState::Pending))
}

/// Drives a saga on. What its attempts have left running has until then to end; what a command that is done has begun goes
/// on.
async fn taken_up(
    folder: &Folder,
    (session, saga): (&SessionId, &SagaId),
    live: &Live,
    executor: &Kept,
    until: Instant,
) -> Result<SagaState, Halt> {
    let host = folder.hv.saga(session, saga);
    let machine = folder.hv.saga_machine(session, saga).map_err(host_halt)?;
    let Some(machine) = machine else { return host.state().map_err(host_halt) };
    let mut given_up: Vec<String> = machine.unsettled_keys(session, saga).collect();
    let (failed, mut failures) = unbounded_channel();
    let mut left = Vec::new();
    for at in machine.running() {
        let (Some((def, _)), Some(agent)) = (machine.step(at.step), machine.agent(at.step)) else { continue };
        let keys = [Purpose::Execute, Purpose::Probe, Purpose::Undo].map(|of| of.key(session, saga, &def.id));
        given_up.retain(|key| !keys.contains(key));
        let (token, sought) = (live.token.clone(), keys.to_vec());
        if !blocking(move || survivors_of(&token, &sought)).await.map_err(halt)?.is_empty() {
            let going_on = GoingOn::new(&live.token, keys.to_vec());
            let end = end(going_on, at, until, &executor.control, failed.clone());
            left.push(Left { attempt: at, agent: agent.clone(), end });
        }
    }
    stopped_at_once(&live.token, given_up, |_| ()).await.map_err(halt)?;
    let driven = drive_left(&host, executor, &executor.control, (machine.state(), Heading::AsItStands), left);
    tokio::select! {
        biased;
        Some(error) = failures.recv() => Err(halt(error)),
        state = driven => state,
    }
}

/// When nothing of an attempt is at work any more.
fn end(
    going_on: GoingOn,
    at: AttemptRef,
    until: Instant,
    control: &Control,
    failed: UnboundedSender<io::Error>,
) -> BoxFuture<'static, Outcome> {
    let stopping = control.stopping();
    Box::pin(async move {
        let wait = until.saturating_duration_since(Instant::now());
        match going_on.ended(wait, stopping.asked(at.purpose), |_| ()).await {
            Ok(()) => Outcome::failed(Class::Unknown, Reason::Crashed),
            Err(error) => {
                // Nothing goes on beside it; whoever drives is told, and leaves.
                let _ = failed.send(error);
                std::future::pending().await
            }
        }
    })
}

fn halt(error: io::Error) -> Halt {
    Halt::Host(Box::new(error))
}

fn host_halt(error: Error) -> Halt {
    Halt::Host(Box::new(error))
}
