//! How a kill reaches the command that works on a folder: a request beside the folder, and its answer.
//!
//! A request can only stop something; whoever can write beside the folder could take the folder away as well.

use super::aim::{self, Aim};
use super::args::KillArgs;
use super::failure::LiveFailure;
use super::folder::Folder;
use super::steer::Cancels;
use super::told::Answer;
use crate::Exit;
use crate::run::{Begun, NOTE, RunFailure, place};
use hv_core::config::Config;
use hv_core::event::{KillAnswer, KillTarget};
use hv_core::saga::Saga;
use hv_core::saga::drive::Control;
use hv_core::saga::exec::survivors::{Survivor, settle, stop_those, survivors_of};
use hv_core::types::{ActionId, Did, SagaId, SessionId};
use hv_core::{Hypervisor, KillOrder};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often somebody looks for a request, or for its answer.
pub(super) const INTERVAL: Duration = Duration::from_millis(50);
/// How long a program that outlived its run may take to end when a kill asks it to.
const LISTENS: Duration = Duration::from_secs(2);
/// The longest request or answer that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// What runs while somebody may ask for a kill.
pub(crate) struct Scene {
    pub(crate) data: PathBuf,
    pub(crate) session: SessionId,
    pub(crate) saga: SagaId,
    pub(crate) machine: Option<Saga>,
    pub(crate) control: Control,
    pub(crate) cancels: Cancels,
    /// Whether it has ended.
    pub(crate) over: tokio::sync::watch::Receiver<bool>,
}

/// A kill that is asked of whoever works on the folder.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    id: String,
    agent: Option<Did>,
    action: Option<ActionId>,
    session: Option<SessionId>,
    by: Did,
    reason: String,
    lift: bool,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
struct Reply {
    id: String,
    exit_code: u8,
    words: String,
}

/// Looks for requests until what runs has ended.
pub(crate) async fn watch(hv: Hypervisor, scene: Scene) -> Result<(), LiveFailure> {
    let mut over = scene.over.clone();
    loop {
        tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => return Ok(()),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        super::steer::look(&hv, &scene).await?;
        let file = beside(&scene.data, "kill");
        let Some(request) = read::<Request>(&file) else { continue };
        let _ = fs::remove_file(&file);
        let order = request.order();
        let stop = stop(hv.clone(), &scene, &order.target);
        let (words, exit) = match carry_out(&hv, &order, request.lift, stop).await {
            Ok(told) => told,
            Err(LiveFailure::Denied(denied)) => (denied.to_string(), Exit::Denied),
            Err(failure) => return Err(failure),
        };
        let reply = Reply { id: request.id.clone(), exit_code: exit.code(), words };
        write(&beside(&scene.data, &format!("kill.{}", request.id)), &reply)?;
    }
}

/// Kills or lifts, wherever the node is.
pub(super) async fn kill(args: &KillArgs) -> Result<Answer, LiveFailure> {
    let data = place::absolute(&args.place.data)?;
    let request = Request::of(args)?;
    let (file, reply) = (beside(&data, "kill"), beside(&data, &format!("kill.{}", request.id)));
    let until = Instant::now() + args.place.wait;
    let mut asked = false;
    // Nothing that somebody misspelt holds a kill back.
    let config = args.place.config.read().unwrap_or_else(|bad| {
        crate::output::error(&format!("{bad}; what the trail says holds"));
        Config::default()
    });
    loop {
        match Folder::open_under(&config, &data, Duration::ZERO) {
            Ok(folder) => {
                let _ = fs::remove_file(&file);
                let answer = match read::<Reply>(&reply) {
                    Some(told) => Ok(answered(&request, told.words, told.exit_code)),
                    None => here(&folder, &request, asked).await,
                };
                let _ = fs::remove_file(&reply);
                return folder.leave(answer).await;
            }
            Err(failure) if failure.is_locked() => {}
            Err(failure) => return Err(failure),
        }
        if let Some(told) = read::<Reply>(&reply) {
            let _ = fs::remove_file(&reply);
            return Ok(answered(&request, told.words, told.exit_code));
        }
        if Instant::now() > until {
            let _ = fs::remove_file(&file);
            return Err(LiveFailure::NoAnswer { data });
        }
        if !asked {
            write(&file, &request)?;
            asked = true;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Kills or lifts where nobody else works on the folder.
async fn here(folder: &Folder, request: &Request, asked: bool) -> Result<Answer, LiveFailure> {
    let order = request.order();
    let killed = folder.hv.kills()?.iter().any(|(target, _)| *target == order.target);
    if asked && killed != request.lift {
        // Whoever was asked has recorded it, and ended before it could say so.
        let words = if request.lift { "the kill is lifted" } else { "the kill is recorded" };
        return Ok(answered(request, format!("{}: {words}", order.target), Exit::Done.code()));
    }
    let outliving = Outliving::of(folder, &order.target)?;
    let sought = outliving.clone();
    // Neither half may take as long as the callback, or nobody would be there to end what does not listen.
    let grace = (folder.hv.guards().kill_callback / 3).min(LISTENS);
    let stop = async move {
        let stopped = tokio::task::spawn_blocking(move || sought.stop(grace));
        stopped.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    };
    let (mut words, exit) = carry_out(&folder.hv, &order, request.lift, stop).await?;
    if exit == Exit::Failed {
        for left in outliving.left() {
            words.extend([format!("; {left} goes on")]);
        }
    }
    Ok(answered(request, words, exit.code()))
}

/// What programs a kill is to stop where nobody drives anything: they have outlived who did.
#[derive(Debug, Clone, Default)]
struct Outliving {
    /// Of sessions that commands work on, all of them.
    live: Vec<String>,
    /// Of runs those whose steps are meant, by their keys.
    runs: Vec<(String, Vec<String>)>,
}

impl Outliving {
    fn of(folder: &Folder, target: &KillTarget) -> Result<Self, LiveFailure> {
        let mut outliving = Self::default();
        for session in folder.hv.open_sessions()? {
            outliving.live.extend(folder.live(&session).ok().map(|live| live.token));
            let note = folder.hv.noted(&session, NOTE)?;
            let Some(begun) = note.and_then(|note| serde_json::from_slice::<Begun>(&note).ok()) else {
                continue;
            };
            let mut keys = Vec::new();
            for id in folder.hv.sagas(&session)? {
                let saga = folder.hv.saga_machine(&session, &id)?;
                keys.extend(saga.iter().flat_map(|saga| aim::keys(target, &session, &id, saga)));
            }
            outliving.runs.push((begun.token, keys));
        }
        Ok(outliving)
    }

    /// Stops them and waits until they are gone.
    fn stop(self, grace: Duration) -> io::Result<()> {
        let live = self.live.iter().map(|token| settle(token, Duration::ZERO));
        let runs = self.runs.iter().map(|(token, keys)| stop_those(token, keys, grace));
        for settled in live.chain(runs) {
            let left: Vec<String> = settled?.left.iter().map(ToString::to_string).collect();
            if !left.is_empty() {
                return Err(io::Error::other(format!("{} cannot be stopped", left.join(", "))));
            }
        }
        Ok(())
    }

    /// Those of runs that go on.
    fn left(&self) -> Vec<Survivor> {
        let left = self.runs.iter().map(|(token, keys)| survivors_of(token, keys).unwrap_or_default());
        left.flatten().collect()
    }
}

async fn carry_out<F>(
    hv: &Hypervisor,
    order: &KillOrder,
    lift: bool,
    stop: F,
) -> Result<(String, Exit), LiveFailure>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let target = &order.target;
    if lift {
        hv.lift_kill(order).await?;
        return Ok((format!("{target} is not killed any more"), Exit::Done));
    }
    let before = super::ending(hv)?;
    let answer = hv.kill(order, stop).await?;
    let exit = if answer == (KillAnswer::Stopped {}) { Exit::Done } else { Exit::Failed };
    let mut words = format!("{target} is killed; {answer}");
    for session in super::ending(hv)?.iter().filter(|session| !before.contains(session)) {
        words.extend(["; ", super::ends(session).as_str()]);
    }
    Ok((words, exit))
}

/// Stops what runs, if the kill is meant for it, and waits for its end. Where others are named to take over from a
/// killed agent, its work is handed to them, and only what it executes is waited for.
fn stop(
    hv: Hypervisor,
    scene: &Scene,
    target: &KillTarget,
) -> impl Future<Output = io::Result<()>> + Send + 'static {
    let aim = scene.machine.as_ref().map_or(Aim::Nothing, |saga| aim::aim(target, &scene.session, saga));
    let session = scene.session.clone();
    let (control, mut over) = (scene.control.clone(), scene.over.clone());
    async move {
        match aim {
            Aim::Relieves(agent) => hv.relieved(&session, &control, &agent).await.map_err(io::Error::other),
            Aim::Cancels => {
                control.cancel(Duration::ZERO);
                over.wait_for(|over| *over).await.map(drop).map_err(io::Error::other)
            }
            Aim::Nothing => Ok(()),
        }
    }
}

fn answered(request: &Request, words: String, exit_code: u8) -> Answer {
    let exit = match exit_code {
        0 => Exit::Done,
        5 => Exit::Denied,
        _ => Exit::Failed,
    };
    let document = json!({ "target": request.order().target.to_string(), "lift": request.lift,
        "answer": words, "exit_code": exit.code() });
    if exit == Exit::Done {
        Answer::new(exit, format!("{words}\n"), document)
    } else {
        Answer::new(exit, String::new(), document).warning(Some(words))
    }
}

impl Request {
    fn of(args: &KillArgs) -> Result<Self, LiveFailure> {
        let KillArgs { agent, action, session, by, reason, lift, .. } = args;
        let (agent, action, session) = (agent.clone(), action.clone(), session.clone());
        let (id, by, reason) = (place::token::<8>()?, by.clone(), reason.clone());
        Ok(Self { id, agent, action, session, by, reason, lift: *lift })
    }

    fn order(&self) -> KillOrder {
        let target = match (&self.agent, &self.action, &self.session) {
            (Some(did), ..) => KillTarget::Agent { did: did.clone() },
            (_, Some(action), _) => KillTarget::Action { action: action.clone() },
            (.., Some(id)) => KillTarget::Session { id: id.clone() },
            (None, None, None) => KillTarget::All {},
        };
        KillOrder { target, by: Some(self.by.clone()), reason: self.reason.clone() }
    }
}

/// A file beside the folder of the trail; in it, every file that is not the trail's would count as tampering.
pub(super) fn beside(data: &Path, what: &str) -> PathBuf {
    let name = data.file_name().unwrap_or_default().to_string_lossy();
    data.with_file_name(format!(".{name}.{what}"))
}

pub(super) fn read<T: for<'de> Deserialize<'de>>(file: &Path) -> Option<T> {
    let length = fs::symlink_metadata(file).ok().filter(fs::Metadata::is_file)?.len();
    if length > LONGEST {
        return None;
    }
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// Writes a file as a whole or not at all.
pub(super) fn write(file: &Path, what: &impl Serialize) -> Result<(), LiveFailure> {
    let io = |error: io::Error| RunFailure::Io { path: file.to_owned(), doing: "write", error };
    let text = serde_json::to_vec(what).map_err(|error| io(io::Error::other(error)))?;
    let mut whole = file.as_os_str().to_owned();
    whole.push(".new");
    fs::write(&whole, text).and_then(|()| fs::rename(&whole, file)).map_err(io)?;
    Ok(())
}
