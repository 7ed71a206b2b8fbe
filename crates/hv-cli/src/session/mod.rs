//! `hv session` and `hv kill`: agents that live outside hv, with a shell in their hands.

pub mod args;
pub mod consent;

pub(crate) mod aim;
mod failure;
mod folder;
mod left;
mod passing;
pub(crate) mod request;
mod status;
pub(crate) mod steer;
mod steps;
mod told;

pub use failure::LiveFailure;

pub(crate) use crate::Exit;
use crate::output::Refused;
use crate::run::{RunFailure, place};
use args::{
    AllowArgs, Allowance, At, CloseArgs, JoinArgs, KillArgs, MemberArgs, OpenArgs, Place, Proof, SessionArgs,
    SessionCommand,
};
pub(crate) use folder::Folder;
use folder::Live;
use hv_core::rings::intent::Policy;
use hv_core::rings::standing::Cap;
use hv_core::session::{Eviction, SessionConfig, SessionState};
use hv_core::types::{Ring, SessionId};
use hv_core::{Entrant, Hypervisor};
use hv_integrations::iatp::IatpAdapter;
use hv_integrations::manifest::Provenance;
use serde_json::json;
use std::path::PathBuf;
pub(crate) use told::{Answer, answer as tell};

/// Does what `hv session` was asked.
///
/// # Errors
/// [`Refused`] where nothing was done, or the answer cannot be printed.
pub fn run(args: &SessionArgs) -> Result<Exit, Refused> {
    let place = place_of(&args.command);
    let answer = runtime().and_then(|runtime| {
        let answer = runtime.block_on(answer(&args.command));
        // What was cut off leaves its thread behind; nobody waits for it.
        runtime.shutdown_background();
        answer
    });
    told::answer(answer, place.json)
}

/// Does what `hv kill` was asked.
///
/// # Errors
/// [`Refused`] where nothing was recorded, or the answer cannot be printed.
pub fn kill(args: &KillArgs) -> Result<Exit, Refused> {
    let answer = runtime().and_then(|runtime| runtime.block_on(request::kill(args)));
    told::answer(answer, args.place.json)
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, LiveFailure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| {
        let path = PathBuf::from("the asynchronous runtime");
        RunFailure::Io { path, doing: "start", error }.into()
    })
}

const fn place_of(command: &SessionCommand) -> &Place {
    match command {
        SessionCommand::Open(args) => &args.place,
        SessionCommand::List(place) => place,
        SessionCommand::Join(args) => &args.at.place,
        SessionCommand::Activate(at) | SessionCommand::Status(at) => &at.place,
        SessionCommand::Allow(args) => &args.at.place,
        SessionCommand::Exec(args) => &args.exec.at.place,
        SessionCommand::Rehearse(args) => &args.at.place,
        SessionCommand::Undo(args) => &args.at.place,
        SessionCommand::Leave(args) | SessionCommand::Evict(args) | SessionCommand::Readmit(args) => {
            &args.at.place
        }
        SessionCommand::Close(args) => &args.at.place,
    }
}

async fn answer(command: &SessionCommand) -> Result<Answer, LiveFailure> {
    if let SessionCommand::List(place) = command {
        return status::list(place);
    }
    let place = place_of(command);
    let said = place.config.read()?;
    let folder = match command {
        SessionCommand::Open(args) => {
            args.config(&said.session()).map_err(|bad| LiveFailure::Input { why: bad.to_string() })?;
            Folder::open_or_create(&said, place)?
        }
        _ => Folder::open_under(&said, &place.data, place.wait)?,
    };
    let answer = match command {
        SessionCommand::Open(args) => open(&folder, args, &said.session()).await,
        SessionCommand::List(place) => status::list(place),
        SessionCommand::Join(args) => join(&folder, args).await,
        SessionCommand::Activate(at) => activate(&folder, at).await,
        SessionCommand::Allow(args) => allow(&folder, args).await,
        SessionCommand::Exec(args) => steps::exec(&folder, args).await,
        SessionCommand::Rehearse(args) => steps::rehearse(&folder, args).await,
        SessionCommand::Undo(args) => steps::undo(&folder, args).await,
        SessionCommand::Status(at) => status::status(&folder, at),
        SessionCommand::Leave(args) => leave(&folder, args).await,
        SessionCommand::Evict(args) => evict(&folder, args).await,
        SessionCommand::Readmit(args) => readmit(&folder, args).await,
        SessionCommand::Close(args) => close(&folder, args).await,
    };
    folder.leave(answer).await
}

async fn open(folder: &Folder, args: &OpenArgs, unsaid: &SessionConfig) -> Result<Answer, LiveFailure> {
    let input = |why: String| LiveFailure::Input { why };
    let id = match &args.id {
        Some(id) => id.clone(),
        None => {
            SessionId::new(&format!("live-{}", place::token::<4>()?)).map_err(|bad| input(bad.to_string()))?
        }
    };
    let config = args.config(unsaid).map_err(|bad| input(bad.to_string()))?;
    folder.hv.create_session(&id, config, &args.creator).await?;
    let intents = args.intents.policy();
    if intents != Policy::default() {
        folder.hv.rule_intents(&id, intents).await?;
    }
    let mut live = Live::new()?;
    register(folder, &id, &mut live, &args.allow).await?;
    folder.keep(&id, &live).await?;
    let document = json!({ "session": id.as_str(), "data": folder.data.display().to_string() });
    Ok(Answer::new(Exit::Done, format!("{id}\n"), document))
}

async fn allow(folder: &Folder, args: &AllowArgs) -> Result<Answer, LiveFailure> {
    let session = folder.session(&args.at)?;
    let mut live = folder.live(&session)?;
    register(folder, &session, &mut live, &args.allow).await?;
    folder.keep(&session, &live).await?;
    let names: Vec<&str> = args.allow.iter().map(|allowance| allowance.action.as_str()).collect();
    Ok(Answer::new(Exit::Done, String::new(), json!({ "session": session.as_str(), "allowed": names })))
}

async fn register(
    folder: &Folder,
    session: &SessionId,
    live: &mut Live,
    allow: &[Allowance],
) -> Result<(), LiveFailure> {
    for Allowance { action, claim, proof } in allow {
        folder.hv.register_action(session, action, *claim).await?;
        if *proof == Proof::NotNeeded && !live.unproven.contains(action) {
            live.unproven.push(action.clone());
        }
        if *proof == Proof::Rehearsed {
            folder.hv.demand_rehearsal(session, action).await?;
        }
    }
    Ok(())
}

async fn join(folder: &Folder, args: &JoinArgs) -> Result<Answer, LiveFailure> {
    let session = folder.session(&args.at)?;
    let ring = folder.hv.join_session(&session, &entrant(args)?).await?;
    let (sigma, _) = folder.hv.standing(&session, &args.agent)?;
    let document = json!({ "session": session.as_str(), "agent": args.agent, "ring": ring, "sigma": sigma });
    Ok(Answer::new(Exit::Done, format!("{} stands in {ring}\n", args.agent), document))
}

/// The agent as it presents itself.
fn entrant(args: &JoinArgs) -> Result<Entrant, LiveFailure> {
    let entrant = Entrant::new(args.agent.clone());
    let Some(file) = &args.manifest else {
        return Ok(match args.sigma {
            Some(sigma) => entrant.with_sigma(sigma),
            None => entrant,
        });
    };
    let bad = |why: String| LiveFailure::Input { why: format!("{}: {why}", file.display()) };
    let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    let analysis = IatpAdapter::default().admit(&text, &args.agent, Provenance::Given);
    let analysis = analysis.map_err(|error| bad(error.to_string()))?;
    let mut entrant = entrant.with_sigma(analysis.sigma_hint);
    if analysis.ring_hint == Ring::Sandbox {
        entrant = entrant.with_cap(Cap::Manifest { hint: analysis.ring_hint });
    }
    for action in &analysis.actions {
        entrant = entrant.with_claim(action.id().clone(), action.into());
    }
    Ok(entrant)
}

async fn activate(folder: &Folder, at: &At) -> Result<Answer, LiveFailure> {
    let session = folder.session(at)?;
    folder.hv.activate_session(&session).await?;
    Ok(Answer::new(Exit::Done, String::new(), json!({ "session": session.as_str(), "state": "active" })))
}

async fn leave(folder: &Folder, args: &MemberArgs) -> Result<Answer, LiveFailure> {
    let session = steps::settled(folder, &args.at).await?;
    folder.hv.leave_session(&session, &args.agent).await?;
    member(folder, args, &session, "left")
}

async fn evict(folder: &Folder, args: &MemberArgs) -> Result<Answer, LiveFailure> {
    let session = steps::settled(folder, &args.at).await?;
    folder.hv.evict_agent(&session, &args.agent, Eviction::Operator).await?;
    member(folder, args, &session, "evicted")
}

async fn readmit(folder: &Folder, args: &MemberArgs) -> Result<Answer, LiveFailure> {
    let session = steps::settled(folder, &args.at).await?;
    folder.hv.readmit_agent(&session, &args.agent).await?;
    member(folder, args, &session, "readmitted")
}

fn member(
    folder: &Folder,
    args: &MemberArgs,
    session: &SessionId,
    standing: &str,
) -> Result<Answer, LiveFailure> {
    let ending = ending(&folder.hv)?.contains(session);
    let document =
        json!({ "session": session.as_str(), "agent": args.agent, "standing": standing, "ending": ending });
    Ok(Answer::new(Exit::Done, String::new(), document).warning(ending.then(|| ends(session))))
}

/// The open sessions that nobody can join any more, such as those that the last member has left.
fn ending(hv: &Hypervisor) -> Result<Vec<SessionId>, LiveFailure> {
    let mut ending = hv.open_sessions()?;
    let states: Result<Vec<_>, _> = ending.iter().map(|session| hv.session_view(session)).collect();
    let mut states = states?.into_iter().map(|view| view.state);
    ending.retain(|_| states.next() == Some(SessionState::Terminating));
    Ok(ending)
}

/// What a person is told of a session that nobody can join any more.
fn ends(session: &SessionId) -> String {
    format!(
        "session {session} is ending, and nobody can join it; undo or close it, and open another to go on"
    )
}

async fn close(folder: &Folder, args: &CloseArgs) -> Result<Answer, LiveFailure> {
    let session = steps::settled(folder, &args.at).await?;
    if args.undo {
        let undone = steps::undo_all(folder, &session).await?;
        if undone.exit() != Exit::Done {
            return Ok(undone);
        }
    }
    let root = folder.hv.terminate_session(&session).await?;
    let document =
        json!({ "session": session.as_str(), "state": SessionState::Archived.name(), "root": root });
    Ok(Answer::new(Exit::Done, format!("root {root}\n"), document))
}
