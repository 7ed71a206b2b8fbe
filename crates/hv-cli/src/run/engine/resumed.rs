//! A run that was interrupted goes on where its trail says that it stands; one that has ended is reported again.

use super::summary::{blank, ended, report};
use super::{Run, begin, finish};
use crate::args::RunArgs;
use crate::plan::Plan;
use crate::progress::{Progress, Start};
use crate::report::Report;
use crate::run::adapters::Connected;
use crate::run::begun::{Begun, NOTE, TURNED};
use crate::run::brought::brought;
use crate::run::entrants::entrants;
use crate::run::foreseen::{Stands, as_begun, foresee};
use crate::run::history::History;
use crate::run::interrupts::Interrupts;
use crate::run::marks::{Marks, marker};
use crate::run::verified::verified;
use crate::run::watch::{Names, watch};
use crate::run::{RunFailure, place};
use hv_core::audit::{FileLog, Log, LogError};
use hv_core::config::Config;
use hv_core::types::SessionId;
use hv_core::{Hypervisor, SystemClock};
use std::io::Stderr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// The open session that a run began, or else the first one, with what the trail says of it.
pub(super) fn open_run(hv: &Hypervisor, log: &FileLog) -> Result<Option<(SessionId, History)>, RunFailure> {
    let mut first = None;
    for open in hv.open_sessions()? {
        let Some(history) = History::read(log, Some(&open))? else { continue };
        if history.note(NOTE).is_some() {
            return Ok(Some((open, history)));
        }
        first.get_or_insert((open, history));
    }
    Ok(first)
}

pub(super) async fn resume(
    (args, config): (&RunArgs, &Config),
    plan: Option<Plan>,
    progress: Arc<Mutex<Progress<Stderr>>>,
    interrupts: Interrupts,
) -> Result<Report, RunFailure> {
    let Some(data) = &args.data else { return Err(RunFailure::NoHome) };
    let data = place::absolute(data)?;
    let marker = marker(args, &data)?;
    foresee(&data, plan.is_some(), args.work.as_deref())?;
    let (trail, plan) = match (place::reopen(&data), plan) {
        (Ok(trail), plan) => (trail, plan),
        (Err(RunFailure::Log(LogError::NoLog { .. })), Some(plan)) => {
            return Box::pin(begin((args, config), plan, progress, interrupts)).await;
        }
        (Err(failure), _) => return Err(failure),
    };
    let log = Arc::clone(trail.log());
    let hv = Hypervisor::open_configured(trail, Arc::new(SystemClock), config)?;
    let (open, history) = match open_run(&hv, &log)? {
        Some((open, history)) => (Some(open), Some(history)),
        None => (None, History::read(&*log, None)?),
    };
    let unbegun = history
        .as_ref()
        .is_none_or(|history| open.is_some() && history.is_of_a_run() && history.note(NOTE).is_none());
    if unbegun {
        // Interrupted before it was known what to do, so that nothing was done: only its file says what that was.
        drop((hv, log));
        let session = open.map(|open| open.to_string());
        let Some(plan) = plan else { return Err(RunFailure::NothingBegun { data, session }) };
        return Box::pin(begin((args, config), plan, progress, interrupts)).await;
    }
    let Some(history) = history else { return Err(RunFailure::NothingBegun { data, session: None }) };
    let session = history.session.clone();
    if !history.is_of_a_run() {
        // Somebody else's, whom it would end; its own commands settle what an interrupted one left.
        hv.seal().await?;
        return Err(RunFailure::NoRun { data, session: session.to_string() });
    }
    let Some(note) = history.note(NOTE) else {
        // It was ended before it was known what to do: nothing was done, so there is nothing to undo.
        hv.seal().await?;
        drop(hv);
        let mut report = blank(Some(session), &data);
        (report.root, report.started) = (history.root, history.started);
        return verified(report, &data);
    };
    let Some(note) = log.payload(&note)? else {
        if open.is_none() {
            hv.seal().await?;
        }
        return Err(RunFailure::Purged { data, session: session.to_string() });
    };
    let begun: Begun =
        serde_json::from_slice(&note).map_err(|_| RunFailure::Unreadable { what: "the note of the run" })?;
    let source =
        begun.source().map_err(|_| RunFailure::Unreadable { what: "the format of the session file" })?;
    if let Some(given) = plan.filter(|given| given.source().text() != source.text()) {
        if open.is_none() {
            hv.seal().await?;
        }
        let file = PathBuf::from(given.source().name());
        return Err(RunFailure::OtherFile { data, session: session.to_string(), file });
    }
    let plan = Plan::parse(&source)?;
    let work = PathBuf::from(&begun.work);
    let stands = if open.is_some() { Stands::Open } else { Stands::Closed };
    if let Err(failure) = as_begun(&begun, args.work.as_deref(), (&data, session.as_str()), stands) {
        if open.is_none() {
            hv.seal().await?;
        }
        return Err(failure);
    }
    let bound = plan.bind(&work)?;
    if open.is_none() {
        // It had ended; the report is the same as then.
        let end = ended(&history);
        hv.seal().await?;
        drop(hv);
        Marks::begin(marker, args.mark_every, log.clone(), &progress).end().await?;
        return report(&history, &*log, &bound, &data, end).and_then(|report| verified(report, &data));
    }
    plan.check_references()?;
    let entrants = entrants(&plan)?;
    let brought = brought(&plan, &bound)?;
    let connected = Connected::to(hv, &plan)?;
    let run = Run::new((connected, session, &data), plan, bound, brought, &begun, progress, interrupts)?;
    run.interrupts.resumable(&data);
    if history.note(TURNED).is_some() {
        run.interrupts.turn_back();
    }
    run.announce(&data, Start::Resumed);
    let names = Names::read(&*log, &run.session)?;
    let watcher = tokio::spawn(watch(names, run.hv.subscribe(), Arc::clone(&run.progress)));
    let marks = Marks::begin(marker, args.mark_every, log.clone(), &run.progress);
    finish(run, entrants, data, (log, marks), watcher).await
}
