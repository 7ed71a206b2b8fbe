//! How a word for a saga reaches the program that drives it: a request beside the folder of the trail, and its answer.
//!
//! What can be asked for stops, holds back, lets go on, or takes an agent's work away; nothing of it starts what the
//! gate would not let start.

use super::failure::LiveFailure;
use super::request::{INTERVAL, beside, read, write};
use crate::run::{PATIENCE, place};
use hv_core::Hypervisor;
use hv_core::saga::SagaState;
use hv_core::saga::drive::Control;
use hv_core::types::{Did, SessionId};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the driver may take to record what it was asked for.
const RECORDED: Duration = Duration::from_secs(5);

/// What is asked of whoever drives a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// Start nothing more until it is told to.
    Pause,
    /// Start again what is ready.
    Resume,
    /// Take the work from an agent, for good.
    Relieve(Did),
    /// Turn back, and undo what was done.
    Cancel,
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    id: String,
    word: Word,
}

#[derive(Debug, Serialize, Deserialize)]
struct Reply {
    words: String,
    done: bool,
}

/// Takes up a request, if there is one, and answers when it is recorded.
pub(super) async fn look(
    hv: &Hypervisor,
    data: &Path,
    session: &SessionId,
    control: &Control,
) -> Result<(), LiveFailure> {
    let file = beside(data, "saga");
    let Some(Request { id, word }) = read::<Request>(&file) else { return Ok(()) };
    let _ = fs::remove_file(&file);
    match &word {
        Word::Pause => control.pause(),
        Word::Resume => control.resume(),
        Word::Relieve(agent) => control.relieve(agent.clone()),
        Word::Cancel => control.cancel(PATIENCE),
    }
    let until = Instant::now() + RECORDED;
    let mut done = holds(hv, session, &word)?;
    while !done && Instant::now() < until {
        tokio::time::sleep(INTERVAL / 5).await;
        done = holds(hv, session, &word)?;
    }
    let words = match (&word, done) {
        (Word::Pause, true) => "paused; what runs goes on, nothing more starts".to_owned(),
        (Word::Resume, true) => "it goes on".to_owned(),
        (Word::Relieve(agent), true) => {
            format!(
                "what {agent} executed is stopped; its steps that name a substitute go to it, and what was stopped \
                 of others is looked at, and tried again or undone; `hv kill` keeps it from starting more"
            )
        }
        (Word::Cancel, true) => "cancelled; what was done is undone, and nothing more starts".to_owned(),
        (_, false) => "it was asked for, and is not recorded yet".to_owned(),
    };
    write(&beside(data, &format!("saga.{id}")), &Reply { words, done })
}

/// Whether what was asked for shows in the sagas of the session that have not ended.
fn holds(hv: &Hypervisor, session: &SessionId, word: &Word) -> Result<bool, LiveFailure> {
    if let Word::Relieve(agent) = word {
        return Ok(!hv.executes(session, agent)?);
    }
    for saga in hv.sagas(session)? {
        if let Some(machine) =
            hv.saga_machine(session, &saga)?.filter(|machine| !machine.state().is_terminal())
        {
            return Ok(match word {
                Word::Cancel => machine.state() == SagaState::Compensating,
                word => machine.is_paused() == (*word == Word::Pause),
            });
        }
    }
    // What has ended holds back nothing, and nothing of it runs.
    Ok(true)
}

/// Asks whoever drives a saga of this folder; gives what it says, and whether it is recorded.
/// Whoever takes it up may end before it answers.
pub(crate) fn ask(data: &Path, word: Word, wait: Duration) -> Result<(String, bool), LiveFailure> {
    let data = place::absolute(data)?;
    let id = place::token::<8>()?;
    let (file, reply) = (beside(&data, "saga"), beside(&data, &format!("saga.{id}")));
    write(&file, &Request { id, word })?;
    let until = Instant::now() + wait;
    loop {
        if let Some(Reply { words, done }) = read::<Reply>(&reply) {
            let _ = fs::remove_file(&reply);
            return Ok((words, done));
        }
        if Instant::now() > until {
            if fs::remove_file(&file).is_ok() {
                return Err(LiveFailure::NothingDriven { data });
            }
            let words = "it was taken up, and whoever drove the saga has ended since; see `hv saga show`";
            return Ok((words.to_owned(), false));
        }
        std::thread::sleep(INTERVAL);
    }
}
