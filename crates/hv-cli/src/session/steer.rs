//! How a word for a saga reaches the program that drives it: a request beside the folder of the trail, and its answer.
//!
//! What can be asked for stops, holds back, lets go on, or takes an agent's work away; nothing of it starts what the
//! gate would not let start.

use super::failure::LiveFailure;
use super::request::{INTERVAL, Scene, beside, read, write};
use crate::run::{PATIENCE, place};
use hv_core::Hypervisor;
use hv_core::saga::SagaState;
use hv_core::saga::drive::Control;
use hv_core::types::Did;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the driver may take to record what it was asked for.
const RECORDED: Duration = Duration::from_secs(5);
/// Why nothing is paused that turned back.
const UNDOING: &str = "what was done is undone, and that is not held back";
/// Why what was asked for does not show in what has ended.
const ENDED: &str = "it was taken up, and what was driven has ended since; see `hv saga show`";

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
    /// Whether it was not taken up, because it makes no sense.
    #[serde(default)]
    refused: bool,
}

/// What a word to cancel turns back.
pub(crate) enum Cancels {
    /// The saga that is driven.
    Driven,
    /// What follows: only a look around is driven, and nothing of the work begins when that has ended.
    Following(Control),
    /// Nothing: only a look around is driven, behind the work.
    Nothing,
}

/// Whether what was asked for shows in the saga.
enum Shown {
    Yes,
    NotYet,
    /// It does not, for this reason.
    No(&'static str),
}

/// Takes up a request, if there is one, and answers when it is recorded.
pub(super) async fn look(hv: &Hypervisor, scene: &Scene) -> Result<(), LiveFailure> {
    let file = beside(&scene.data, "saga");
    let Some(Request { id, word }) = read::<Request>(&file) else { return Ok(()) };
    let _ = fs::remove_file(&file);
    let mut shown = Shown::NotYet;
    let reply = beside(&scene.data, &format!("saga.{id}"));
    if let Word::Relieve(agent) = &word
        && let Some(words) = stranger(hv, scene, agent)?
    {
        return write(&reply, &Reply { words, done: false, refused: true });
    }
    match (&word, &scene.cancels) {
        (Word::Pause, _) if turned_back(hv, scene)? => shown = Shown::No(UNDOING),
        (Word::Pause, cancels) => {
            scene.control.pause();
            // Behind the look around the work would begin.
            if let Cancels::Following(work) = cancels {
                work.pause();
            }
        }
        (Word::Resume, cancels) => {
            scene.control.resume();
            if let Cancels::Following(work) = cancels {
                work.resume();
            }
        }
        (Word::Relieve(agent), _) => scene.control.relieve(agent.clone()),
        (Word::Cancel, Cancels::Driven) => scene.control.cancel(PATIENCE),
        (Word::Cancel, Cancels::Following(work)) => {
            work.cancel(PATIENCE);
            shown = Shown::No("it was asked for: when the look around has ended, nothing of the work begins");
        }
        (Word::Cancel, Cancels::Nothing) => {
            shown = Shown::No("the work has ended, and stays as it ended; only a look around runs");
        }
    }
    let until = Instant::now() + RECORDED;
    while matches!(shown, Shown::NotYet) {
        shown = shows(hv, scene, &word)?;
        if matches!(shown, Shown::Yes | Shown::No(_)) || Instant::now() >= until {
            break;
        }
        tokio::time::sleep(INTERVAL / 5).await;
    }
    let (words, done) = match (&word, shown) {
        (Word::Pause, Shown::Yes) => ("paused; what runs goes on, nothing more starts".to_owned(), true),
        (Word::Resume, Shown::Yes) => ("it goes on".to_owned(), true),
        (Word::Relieve(agent), Shown::Yes) => {
            let words = format!(
                "what {agent} executed is stopped; its steps that name a substitute go to it, and what was stopped \
                 of others is looked at, and tried again or undone; `hv kill` keeps it from starting more"
            );
            (words, true)
        }
        (Word::Cancel, Shown::Yes) => {
            ("cancelled; what was done is undone, and nothing more starts".to_owned(), true)
        }
        (_, Shown::NotYet) => ("it was asked for, and is not recorded yet".to_owned(), false),
        (_, Shown::No(why)) => (why.to_owned(), false),
    };
    write(&reply, &Reply { words, done, refused: false })
}

/// What to say of an agent that no step of the saga is, or may come to be, in the hands of.
fn stranger(hv: &Hypervisor, scene: &Scene, agent: &Did) -> Result<Option<String>, LiveFailure> {
    let now = hv.saga_machine(&scene.session, &scene.saga)?;
    let Some(saga) = now.as_ref().or(scene.machine.as_ref()) else { return Ok(None) };
    let agents: BTreeSet<&Did> = saga
        .steps()
        .iter()
        .flat_map(|step| [Some(&step.agent), step.substitute.as_ref()])
        .flatten()
        .collect();
    if agents.contains(agent) {
        return Ok(None);
    }
    let names: Vec<&str> = agents.into_iter().map(Did::as_str).collect();
    Ok(Some(format!(
        "no step of the saga `{}`, which runs now, is {agent}'s, so nothing is stopped; its agents are {}",
        scene.saga,
        names.join(", ")
    )))
}

/// Whether the saga that is driven undoes what was done.
fn turned_back(hv: &Hypervisor, scene: &Scene) -> Result<bool, LiveFailure> {
    let machine = hv.saga_machine(&scene.session, &scene.saga)?;
    Ok(machine.is_some_and(|machine| machine.state() == SagaState::Compensating))
}

/// Whether what was asked for shows in the saga that is driven.
fn shows(hv: &Hypervisor, scene: &Scene, word: &Word) -> Result<Shown, LiveFailure> {
    let (session, saga) = (&scene.session, &scene.saga);
    let (holds, never) = match (word, hv.saga_machine(session, saga)?) {
        (Word::Relieve(agent), _) => (!hv.executes(session, agent)?, None),
        (Word::Pause, Some(machine)) => {
            let back = machine.state() == SagaState::Compensating;
            (machine.is_paused(), back.then_some(UNDOING))
        }
        (Word::Resume, Some(machine)) => (!machine.is_paused(), None),
        (Word::Cancel, Some(machine)) => (machine.state() == SagaState::Compensating, None),
        (Word::Resume, None) => (true, None),
        (Word::Pause, None) => (false, Some(ENDED)),
        (Word::Cancel, None) => (hv.saga(session, saga).state()? == SagaState::Compensated, Some(ENDED)),
    };
    Ok(match (holds, never) {
        (true, _) => Shown::Yes,
        (false, Some(why)) => Shown::No(why),
        (false, None) => Shown::NotYet,
    })
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
        if let Some(Reply { words, done, refused }) = read::<Reply>(&reply) {
            let _ = fs::remove_file(&reply);
            if refused {
                return Err(LiveFailure::Input { why: words });
            }
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
