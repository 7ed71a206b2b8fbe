//! What agents run: one saga for each command, open until it is undone or the session is closed.

use super::args::{AskedArgs, At, ExecArgs, UndoArgs};
use super::consent;
use super::failure::LiveFailure;
use super::folder::{Folder, Live};
use super::left::recover;
use super::passing::Passing;
use super::request;
use super::steer::Cancels;
use super::told::Answer;
use crate::Exit;
use crate::output;
use crate::outside::trail_of;
use crate::report::AttemptOutcome;
use crate::run::history::History;
use crate::run::{MOMENT, PATIENCE, RunFailure};
use hv_core::Grant;
use hv_core::event::Denial;
use hv_core::rings::class::{Claim, Undo, Unproven};
use hv_core::saga::drive::{Control, drive};
use hv_core::saga::exec::CommandExecutor;
use hv_core::saga::{
    Attempt, BoxFuture, CommandTask, Executor, Growth, Halt, Outcome, Output, Plan, Purpose, Retry, Saga,
    SagaCommand, SagaState, StepDef, StepState, Task, Value,
};
use hv_core::types::{ActionKind, Reversibility, SagaId, SessionId, StepId};
use serde_json::json;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How much of what a command prints is kept, in bytes of each stream.
const KEPT: usize = 1 << 20;

/// An executor that keeps what the execution said, and the handle by which it is stopped.
pub(super) struct Kept {
    inner: CommandExecutor,
    pub(super) control: Control,
    /// Whether somebody at the terminal has asked for its end.
    interrupted: Arc<AtomicBool>,
    said: Mutex<Option<Output>>,
}

impl Kept {
    pub(super) fn new(live: &Live, pass: &[String]) -> Self {
        let control = Control::new();
        let inner = CommandExecutor::new(&live.token)
            .with_output_bytes(KEPT)
            .with_passed(pass.to_vec())
            .with_stopping(control.stopping());
        Self { inner, control, interrupted: Arc::default(), said: Mutex::new(None) }
    }

    /// The same that shows what the execution prints while it prints it.
    fn passing(self, passing: Option<&Passing>) -> Self {
        match passing {
            Some(passing) => Self { inner: self.inner.with_relay(passing.relay()), ..self },
            None => self,
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(SeqCst)
    }

    fn take(&self) -> Option<Output> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Executor<Grant> for Kept {
    fn run<'a>(&'a self, permit: Grant, attempt: &'a Attempt) -> BoxFuture<'a, Outcome> {
        let ran = self.inner.run(permit, attempt);
        Box::pin(async move {
            let outcome = ran.await;
            if attempt.purpose == Purpose::Execute {
                self.said.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&outcome.output);
            }
            outcome
        })
    }

    fn stops_within(&self) -> Duration {
        Executor::<Grant>::stops_within(&self.inner)
    }
}

/// Runs a command as an agent, or says what others sign about it.
pub(super) async fn exec(folder: &Folder, asked: &AskedArgs) -> Result<Answer, LiveFailure> {
    let AskedArgs { exec: args, consent } = asked;
    if let Some(whom) = consent.ask {
        return consent::ask(folder, asked, whom);
    }
    let brought = consent::brought(&consent.signed)?;
    let session = folder.session(&args.at)?;
    let live = folder.live(&session)?;
    recover(folder, &session, &live).await?;
    if let Some(reversibility) = args.reversibility {
        let claim = Claim { reversibility: Some(reversibility.into()), ..Claim::default() };
        folder.hv.declare_action(&session, &args.action, claim).await?;
    }
    let step = Arc::new(definition(folder, &session, args)?);
    let (effect, probed) = (step.has_effect(), step.probe.is_some());
    let unproven = if live.unproven.contains(&args.action) { vec![0] } else { Vec::new() };
    let saga = SagaId::new(step.id.as_str()).map_err(|bad| LiveFailure::Input { why: bad.to_string() })?;
    let plan = Plan { growth: Growth::Open, ..Plan::new(vec![step]) };
    let mut host = folder.hv.create_saga(&session, &saga, plan, unproven).await?;
    if let Some(brought) = brought {
        host = host.presenting(0, brought);
    }
    // A document holds what was printed; people see it as it comes.
    let passing = (!args.at.place.json).then(Passing::begin).flatten();
    let executor = Kept::new(&live, &args.pass).passing(passing.as_ref());
    let state = driven(folder, &session, &saga, &host, &executor, SagaCommand::advance()).await?;
    let denial = host.take_refused();
    let output = executor.take();
    let machine = folder.hv.saga_machine(&session, &saga)?;
    let committed =
        machine.is_some_and(|machine| machine.runs().all(|run| run.state == StepState::Committed));
    let exit = match (state, &denial) {
        (SagaState::Running, _) if committed => Exit::Done,
        (SagaState::Escalated, _) => Exit::Escalated,
        (_, Some(_)) if output.is_none() => Exit::Denied,
        (SagaState::Compensated, _) => Exit::RolledBack,
        _ => Exit::Interrupted,
    };
    let end = match exit {
        Exit::RolledBack | Exit::Escalated => How::it_failed(folder, &session, &saga)?,
        _ => How::default(),
    };
    let left = (effect && exit == Exit::RolledBack).then(|| end.left(probed));
    let (mut hint, mut vain) = (String::new(), Vec::new());
    if exit == Exit::Denied {
        hint.push_str(uncounted(folder, &session, &live, args)?);
        if !consent.signed.is_empty() {
            vain = consent::in_vain(folder, &session)?;
        }
    }
    vain.iter().for_each(|why| hint.extend(["; ", why]));
    let denial = denial.as_ref().map(|denial| (denial, hint.as_str(), vain.as_slice()));
    Ok(executed((&saga, state, end, left), exit, denial, output).passed(passing))
}

/// Runs a command and undoes it, so that it is seen whether that works.
pub(super) async fn rehearse(folder: &Folder, args: &ExecArgs) -> Result<Answer, LiveFailure> {
    let session = folder.session(&args.at)?;
    let live = folder.live(&session)?;
    recover(folder, &session, &live).await?;
    let step = Arc::new(definition(folder, &session, args)?);
    let saga = SagaId::new(&free_name(folder, &session, "rehearsal")?)
        .map_err(|bad| LiveFailure::Input { why: bad.to_string() })?;
    let host = folder.hv.create_rehearsal(&session, &saga, Plan::new(vec![step]), &[0]).await?;
    // A document holds what was printed; people see it as it comes.
    let passing = (!args.at.place.json).then(Passing::begin).flatten();
    let executor = Kept::new(&live, &args.pass).passing(passing.as_ref());
    let mut state = driven(folder, &session, &saga, &host, &executor, SagaCommand::advance()).await?;
    let (denial, output) = (host.take_refused(), executor.take());
    // What has ended already was not seen to work.
    let seen = state == SagaState::Running;
    if seen {
        state = driven(folder, &session, &saga, &host, &executor, SagaCommand::Cancel).await?;
    }
    let (exit, words) = match (state, denial.as_ref()) {
        (SagaState::Compensated, None) if seen => {
            (Exit::Done, format!("{} of {} is rehearsed: it was seen and undone", args.action, args.agent))
        }
        (SagaState::Escalated, _) => {
            (Exit::Escalated, format!("{saga} could not be undone; look at it, it does not count"))
        }
        (_, Some(denial)) if output.is_none() => (Exit::Denied, denial_words(denial)),
        (SagaState::Compensated, _) => {
            (Exit::RolledBack, format!("{saga} was not seen to work; it is undone, and does not count"))
        }
        _ => (Exit::Interrupted, format!("{saga} was stopped; the next command takes it up")),
    };
    let output = output.unwrap_or_default();
    let document = json!({
        "saga": saga.as_str(),
        "state": state.name(),
        "rehearsed": exit == Exit::Done,
        "exit_code": exit.code(),
        "command_exit": output.exit,
        "answer": words,
    });
    let answer = Answer::new(exit, String::new(), document).saying(output.stdout, output.stderr);
    Ok(answer.passed(passing).warning(Some(words)))
}

/// Undoes what was run last, what is named, or everything.
pub(super) async fn undo(folder: &Folder, args: &UndoArgs) -> Result<Answer, LiveFailure> {
    let session = folder.session(&args.at)?;
    let live = folder.live(&session)?;
    recover(folder, &session, &live).await?;
    let done = done(folder, &session)?;
    let chosen: Vec<SagaId> = match &args.step {
        Some(step) => done.into_iter().filter(|saga| saga.as_str() == step.as_str()).collect(),
        None if args.all => done.into_iter().rev().collect(),
        None => done.into_iter().next_back().into_iter().collect(),
    };
    if chosen.is_empty() {
        return Err(LiveFailure::NothingToUndo { step: args.step.clone() });
    }
    undo_each(folder, &session, &live, &chosen).await
}

/// Undoes everything that is done, the last first.
pub(super) async fn undo_all(folder: &Folder, session: &SessionId) -> Result<Answer, LiveFailure> {
    let live = folder.live(session)?;
    let all: Vec<SagaId> = done(folder, session)?.into_iter().rev().collect();
    undo_each(folder, session, &live, &all).await
}

async fn undo_each(
    folder: &Folder,
    session: &SessionId,
    live: &Live,
    chosen: &[SagaId],
) -> Result<Answer, LiveFailure> {
    let (mut words, mut exit, mut undone) = (String::new(), Exit::Done, Vec::new());
    // Who asked once for the end of one undo asks for the end of all with the second time.
    let interrupted = Arc::default();
    for saga in chosen {
        let host = folder.hv.saga(session, saga);
        let executor = Kept { interrupted: Arc::clone(&interrupted), ..Kept::new(live, &[]) };
        let state = driven(folder, session, saga, &host, &executor, SagaCommand::Cancel).await?;
        words.push_str(&match state {
            SagaState::Compensated => format!("{saga} is undone\n"),
            SagaState::Compensating => format!("{saga} was stopped; the next command takes it up\n"),
            state => format!("{saga} could not be undone: it is {state}\n"),
        });
        undone.push(json!({ "step": saga.as_str(), "state": state.name() }));
        if state != SagaState::Compensated {
            // What was done before it may be what keeps it from being undone; a person has to look.
            exit = if state == SagaState::Escalated { Exit::Escalated } else { Exit::Interrupted };
            break;
        }
    }
    Ok(Answer::new(exit, words, json!({ "exit_code": exit.code(), "undone": undone })))
}

/// The sagas that have changed something that is not undone, in the order in which they began.
fn done(folder: &Folder, session: &SessionId) -> Result<Vec<SagaId>, LiveFailure> {
    let mut done = Vec::new();
    for saga in folder.hv.sagas(session)? {
        let machine = folder.hv.saga_machine(session, &saga)?;
        let undoable = |machine: Saga| {
            let mut steps = machine.steps().iter().zip(machine.runs());
            steps.any(|(step, run)| step.has_effect() && run.state == StepState::Committed)
        };
        if machine.is_some_and(undoable) {
            done.push(saga);
        }
    }
    Ok(done)
}

/// Drives a saga to where nothing is left to do, or until somebody stops it: at the terminal, or with a kill.
pub(super) async fn driven(
    folder: &Folder,
    session: &SessionId,
    saga: &SagaId,
    host: &hv_core::SagaHost,
    executor: &Kept,
    first: SagaCommand,
) -> Result<SagaState, LiveFailure> {
    heeded(folder, session, saga, executor, drive(host, executor, &executor.control, first)).await
}

/// The same of what drives it; what is asked for meanwhile reaches it.
pub(super) async fn heeded(
    folder: &Folder,
    session: &SessionId,
    saga: &SagaId,
    executor: &Kept,
    work: impl Future<Output = Result<SagaState, Halt>>,
) -> Result<SagaState, LiveFailure> {
    let control = &executor.control;
    let heard = |kind| {
        let io = |error| RunFailure::Io { path: PathBuf::from("signals"), doing: "listen to", error };
        signal(kind).map_err(io)
    };
    let (mut interrupt, mut terminate) = (heard(SignalKind::interrupt())?, heard(SignalKind::terminate())?);
    let (listening, interrupted) = (control.clone(), Arc::clone(&executor.interrupted));
    let listener = tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if interrupted.swap(true, SeqCst) {
                listening.suspend(MOMENT);
                return;
            }
            output::error("hv: interrupted; undoing what was done. Once more to stop at once");
            listening.cancel(PATIENCE);
        }
    });
    let (finished, over) = tokio::sync::watch::channel(false);
    let scene = request::Scene {
        data: folder.data.clone(),
        session: session.clone(),
        saga: saga.clone(),
        machine: folder.hv.saga_machine(session, saga)?,
        control: control.clone(),
        cancels: Cancels::Driven,
        over,
    };
    let watcher = tokio::spawn(request::watch(folder.hv.clone(), scene));
    let state = work.await;
    let _ = finished.send(true);
    listener.abort();
    // A kill that was begun is recorded to its end.
    if let Ok(Err(failure)) = watcher.await {
        return Err(failure);
    }
    state.map_err(|halt| match halt {
        Halt::Host(error) => match error.downcast::<hv_core::Error>() {
            Ok(error) => (*error).into(),
            Err(error) => match error.downcast::<std::io::Error>() {
                Ok(error) => {
                    RunFailure::Io { path: PathBuf::from("/proc"), doing: "read", error: *error }.into()
                }
                Err(error) => LiveFailure::Input { why: error.to_string() },
            },
        },
        halt => LiveFailure::Input { why: halt.to_string() },
    })
}

pub(super) fn definition(
    folder: &Folder,
    session: &SessionId,
    args: &ExecArgs,
) -> Result<StepDef, LiveFailure> {
    let input = |why: String| LiveFailure::Input { why };
    let id = match &args.step {
        Some(step) => step.clone(),
        None => StepId::new(&free_name(folder, session, "e")?).map_err(|bad| input(bad.to_string()))?,
    };
    let claims = folder.hv.action_claims(session, &args.action)?;
    let kind =
        claims.map_or(ActionKind::Effect, |claims| claims.class(Undo::Absent, Unproven::DoesNotCount).kind);
    let here = std::env::current_dir().map_err(|error| RunFailure::Io {
        path: PathBuf::from("."),
        doing: "find",
        error,
    })?;
    if let Some(trail) = trail_of(&here) {
        return Err(input(format!(
            "{} is in the folder of a trail, {}, where every other file would count as tampering; work elsewhere",
            here.display(),
            trail.display()
        )));
    }
    let cwd = here.to_str().ok_or_else(|| input(format!("{} is no text", here.display())))?;
    let env: Vec<(String, Value)> =
        args.env.iter().map(|(name, value)| (name.clone(), Value::parse(value))).collect();
    let task = |argv: Vec<String>, stdin: Option<&String>| {
        Task::from(CommandTask {
            argv,
            cwd: Some(cwd.to_owned()),
            env: env.clone(),
            stdin: stdin.map(|text| Value::parse(text)),
            pin: None,
        })
    };
    let shell = |line: &Option<String>| {
        let argv = |line: &String| vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()];
        line.as_ref().map(|line| Arc::new(task(argv(line), None)))
    };
    let execute = task(args.command.clone(), args.stdin.as_ref());
    execute.check().map_err(|problem| input(format!("the command cannot be run: {problem}")))?;
    let step = StepDef {
        kind,
        undo: shell(&args.undo),
        probe: shell(&args.probe),
        timeout: args.timeout,
        retry: Retry::times(args.retries),
        ..StepDef::new(id, args.action.clone(), args.agent.clone(), execute)
    };
    // What no saga takes is bad input here, and no refusal of anything the agent may do.
    Plan::new(vec![Arc::new(step.clone())]).check().map_err(|bad| input(bad.to_string()))?;
    Ok(step)
}

/// The next name that begins so and that no saga has: somebody may have given a name like it.
fn free_name(folder: &Folder, session: &SessionId, begin: &str) -> Result<String, LiveFailure> {
    let taken = folder.hv.sagas(session)?;
    let mut names = (taken.len() + 1..).map(|next| format!("{begin}{next}"));
    Ok(names.find(|name| taken.iter().all(|saga| saga.as_str() != name)).unwrap_or_default())
}

/// How a command failed.
#[derive(Default)]
struct How {
    /// Why its last attempt did.
    why: Option<String>,
    /// Whether its undo was run.
    undone: bool,
    /// Whether it did not fail, and somebody asked for its end.
    cancelled: bool,
}

impl How {
    /// Its saga is over, so the trail is asked.
    fn it_failed(folder: &Folder, session: &SessionId, saga: &SagaId) -> Result<Self, LiveFailure> {
        let history = History::read(folder.log(), Some(session))?;
        let Some(saga) = history.as_ref().and_then(|history| history.saga(saga.as_str())) else {
            return Ok(Self::default());
        };
        let steps = saga.step_reports(folder.log())?;
        let mut attempts = steps.iter().flat_map(|step| step.attempts.iter().rev());
        let last = attempts.find(|attempt| attempt.purpose == Purpose::Execute);
        let why = last.and_then(|attempt| attempt.reason.clone());
        let cancelled = last.is_some_and(|attempt| attempt.outcome == AttemptOutcome::Done);
        Ok(Self { why, undone: !saga.undone.is_empty(), cancelled })
    }

    /// What became of what it may have left.
    const fn left(&self, probed: bool) -> &'static str {
        match (self.undone, probed) {
            (true, _) => "what it left is undone",
            (false, true) => "its probe finds nothing of it",
            (false, false) => {
                "without a probe it counts as having left nothing behind, and nothing was undone"
            }
        }
    }
}

fn executed(
    (saga, state, How { why, cancelled, .. }, left): (&SagaId, SagaState, How, Option<&str>),
    exit: Exit,
    denial: Option<(&Denial, &str, &[String])>,
    output: Option<Output>,
) -> Answer {
    let output = output.unwrap_or_default();
    let end = match (output.exit, &why) {
        (Some(exit), _) => format!("exit code {exit}"),
        (None, Some(why)) => why.clone(),
        (None, None) => "it did not end by itself".to_owned(),
    };
    let words = match (exit, denial) {
        (Exit::Done, _) if output.dropped > 0 => Some(format!(
            "{saga} printed {} more than the {KEPT} of each stream that are kept",
            output::counted(output.dropped, "byte")
        )),
        (Exit::Done, _) => None,
        (Exit::Denied, Some((denial, hint, _))) => Some(denial_words(denial) + hint),
        (Exit::RolledBack, _) => {
            let left = left.map(|left| format!("; {left}")).unwrap_or_default();
            let fate = if cancelled { "was interrupted" } else { "failed" };
            Some(format!("{saga} {fate} ({end}){left}"))
        }
        (Exit::Escalated, _) => Some(format!("{saga} failed ({end}) and could not be undone; look at it")),
        _ => Some(format!("{saga} was stopped; the next command takes it up")),
    };
    let document = json!({
        "step": saga.as_str(),
        "state": state.name(),
        "exit_code": exit.code(),
        "command_exit": output.exit,
        "failure": why,
        "stdout": String::from_utf8_lossy(&output.stdout),
        "stderr": String::from_utf8_lossy(&output.stderr),
        "dropped_bytes": output.dropped,
        "denial": denial.map(|(denial, _, vain)| json!({
            "agent": denial.agent,
            "action": denial.action,
            "request": denial.request,
            "reason": denial.reason,
            "needs": denial.needs,
            "rejected": vain,
        })),
    });
    Answer::new(exit, String::new(), document).saying(output.stdout, output.stderr).warning(words)
}

/// What an agent is told whose undo does not count, though the action can be undone: nobody has seen that it works.
fn uncounted(
    folder: &Folder,
    session: &SessionId,
    live: &Live,
    args: &ExecArgs,
) -> Result<&'static str, LiveFailure> {
    let counts = args.undo.is_some() && (args.probe.is_some() || live.unproven.contains(&args.action));
    let claims = folder.hv.action_claims(session, &args.action)?;
    let undone = claims.is_some_and(|claims| {
        let class = claims.class(Undo::Proven, Unproven::DoesNotCount);
        class.kind == ActionKind::Effect && class.reversibility != Reversibility::None
    });
    Ok(match (undone && !counts, &args.undo) {
        (true, Some(_)) => "; an undo counts with a --probe that sees whether it worked",
        (true, None) => "; or --undo, with which it counts as what can be undone",
        (false, _) => "",
    })
}

/// A refusal, with what would be enough where its reason does not say it already.
fn denial_words(denial: &Denial) -> String {
    let said = denial.reason.contains(&denial.needs);
    let needs = if said { String::new() } else { denial.needs.clone() };
    Denial { needs, ..denial.clone() }.to_string()
}

/// The session that is meant, with what an interrupted command left in it taken up.
pub(super) async fn settled(folder: &Folder, at: &At) -> Result<SessionId, LiveFailure> {
    let session = folder.session(at)?;
    let live = folder.live(&session)?;
    recover(folder, &session, &live).await?;
    Ok(session)
}
