//! An agent that plans as it goes: what it does next follows from what it has just seen, and where that fails,
//! everything that it did is undone.
//!
//! `cargo run -p hv-core --features folder --example planner -- FOLDER [dead-end] [slowly]`
//!
//! Ctrl-C undoes what was done. A second one, SIGTERM, a crash or a full disk leave it as it is; said again with the same
//! folder, the program goes on with it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use hv_core::saga::SagaState;
use hv_core::session::SessionState;
use hv_core::types::{ActionId, Did, SagaId, SessionId};
use hv_core::{
    Entrant, Error, Hypervisor, NewStep, OpenSaga, SessionConfig, SessionHandle, StepFailure, Undos,
};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

type Failed = Box<dyn std::error::Error>;

/// What the agent has put down so far: each step adds a line, and its undo takes that and all behind it away.
#[derive(Debug, Clone)]
struct Page {
    file: PathBuf,
    /// How long it takes to write a line.
    pause: Duration,
}

impl Page {
    fn lines(&self) -> io::Result<Vec<u32>> {
        let text = match std::fs::read_to_string(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let numbers: Result<_, _> = text.lines().map(str::parse).collect();
        numbers.map_err(io::Error::other)
    }

    /// Adds a line, whole or not at all: it is written beside the file first.
    async fn add(&self, number: u32) -> io::Result<()> {
        let beside = self.file.with_extension("new");
        let lines = self.lines()?.into_iter().chain([number]);
        std::fs::write(&beside, lines.map(|line| format!("{line}\n")).collect::<String>())?;
        std::fs::rename(beside, &self.file)?;
        tokio::time::sleep(self.pause).await;
        Ok(())
    }

    /// Takes away the line of this step, counted from 0. Done twice, it does no harm, and it needs no room.
    async fn take(self, step: u32) -> io::Result<()> {
        let kept: usize =
            self.lines()?.iter().take(step as usize).map(|line| format!("{line}\n").len()).sum();
        match std::fs::OpenOptions::new().write(true).open(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            file => file?.set_len(kept as u64)?,
        }
        tokio::time::sleep(self.pause).await;
        Ok(())
    }
}

/// What the user asks for while the agent works.
struct Asked {
    interrupt: Signal,
    terminate: Signal,
}

enum Stop {
    /// To undo what was done.
    Undo,
    /// To leave it as it is.
    Leave,
}

impl Asked {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.interrupt.recv() => Stop::Undo,
            _ = self.terminate.recv() => Stop::Leave,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(folder) = words.next() else {
        eprintln!("say in which folder the trail is to be");
        return ExitCode::from(2);
    };
    let words: Vec<String> = words.collect();
    match planned(Path::new(&folder), &words).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("left as it is; said again with {folder}, this goes on with it");
            ExitCode::from(130)
        }
        Err(why) => {
            eprintln!("{why}; once that is seen to, say it again with {folder}, and this goes on with it");
            ExitCode::FAILURE
        }
    }
}

/// Plans, and ends the session; whether it came to that.
async fn planned(folder: &Path, words: &[String]) -> Result<bool, Failed> {
    let said = |word: &str| words.iter().any(|said| said == word);
    let pause = Duration::from_millis(if said("slowly") { 200 } else { 0 });
    std::fs::create_dir_all(folder)?;
    let page = Page { file: folder.join("page"), pause };
    let mut asked = Asked::listen()?;
    let hv = Hypervisor::in_folder(&folder.join("trail"))?;
    let agent = Did::new("did:mesh:planner")?;
    let session = begun(&hv, &agent).await?;
    let name = SagaId::new("descent")?;
    let mut saga = if hv.sagas(session.id())?.contains(&name) {
        let (raise, halve) = (page.clone(), page.clone());
        let undos = Undos::new()
            .with("number.raise".parse()?, move |step| raise.clone().take(step))
            .with("number.halve".parse()?, move |step| halve.clone().take(step));
        session.reopen_saga(&name, &undos).await?
    } else {
        page.clone().take(0).await?;
        session.create_saga(&name).await?
    };

    let ended = loop {
        if saga.state()? != SagaState::Running {
            break saga.state()?;
        }
        // From a number down to one, halving or adding one; nobody knows beforehand how many steps that takes.
        let number = page.lines()?.last().copied().unwrap_or(13);
        if number == 1 {
            println!("planned {} steps on the way", page.lines()?.len());
            break saga.finish().await?;
        }
        let stuck = said("dead-end") && number == 4;
        let stop = {
            let mut doing = pin!(step(&mut saga, &agent, &page, (number, stuck)));
            let stop = tokio::select! {
                stop = asked.next() => stop,
                done = &mut doing => match done? {
                    Ok(()) => continue,
                    Err((why, state)) => {
                        println!("{why}");
                        break state;
                    }
                },
            };
            if matches!(stop, Stop::Leave) {
                // What is left in the middle of a step would have to be undone.
                let _ = doing.await?;
            }
            stop
        };
        match stop {
            Stop::Leave => return Ok(false),
            Stop::Undo => eprintln!("undoing what was done; once more leaves it as it is"),
        }
        tokio::select! {
            _ = asked.next() => return Ok(false),
            ended = saga.cancel() => break ended?,
        }
    };
    println!("the saga is {ended}, {} lines are left", page.lines()?.len());
    if ended == SagaState::Escalated {
        let trail = folder.join("trail");
        eprintln!(
            "not everything could be undone; `hv saga list {}` says what waits for you",
            trail.display()
        );
    }
    println!("root {}", hv.terminate_session(session.id()).await?);
    hv.seal().await?;
    Ok(true)
}

/// The session with its agent, as far as an earlier run has not begun it.
async fn begun(hv: &Hypervisor, agent: &Did) -> Result<SessionHandle, Failed> {
    let (id, admin) = (SessionId::new("planner")?, Did::new("did:mesh:admin")?);
    let session = match hv.session(&id) {
        Err(Error::NoSession(_)) => hv.create_session(&id, SessionConfig::default(), &admin).await?,
        there => there?,
    };
    let view = hv.session_view(&id)?;
    if view.members.iter().all(|member| member.did != *agent) {
        hv.join_session(&id, &Entrant::new(agent.clone()).with_sigma("0.85".parse()?)).await?;
    }
    if view.state != SessionState::Active {
        hv.activate_session(&id).await?;
    }
    Ok(session)
}

/// One step from a number towards one; why there is none, and where that leaves the saga.
async fn step(
    saga: &mut OpenSaga,
    agent: &Did,
    page: &Page,
    (number, stuck): (u32, bool),
) -> Result<Result<(), (String, SagaState)>, Failed> {
    let even = number.is_multiple_of(2);
    let action: ActionId = if even { "number.halve" } else { "number.raise" }.parse()?;
    let (of, nth) = (page.clone(), u32::try_from(page.lines()?.len())?);
    let new = NewStep::new(action, agent.clone()).with_undo(move || of.clone().take(nth));
    // An earlier run may have added it and not come to do it.
    let added = match saga.waiting()?.first() {
        Some(added) => *added,
        None => saga.add_step(new.with_idempotent_undo()).await?,
    };
    let done = saga.execute_step(added, async || {
        if stuck {
            return Err(io::Error::other("four leads nowhere"));
        }
        page.add(if even { number / 2 } else { number + 1 }).await
    });
    match done.await {
        Ok(()) => Ok(Ok(())),
        Err(StepFailure::Failed { why, saga }) => Ok(Err((why, saga))),
        Err(failure) => Err(failure.into()),
    }
}
