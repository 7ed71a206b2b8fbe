//! What is in a folder and in a session.

use super::args::{At, Place};
use super::failure::LiveFailure;
use super::folder::Folder;
use super::told::Answer;
use crate::Exit;
use crate::elevate::fields;
use crate::output;
use crate::run::history::History;
use crate::run::{RunFailure, place};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{LogError, StreamNo, Verdict, verify_on};
use hv_core::session::Standing;
use hv_core::types::{ActionId, Did, Digest, Timestamp};
use hv_core::{TrailEvent, UndoView, read_record};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;

/// What a log's reader said, where it was not the operating system.
fn cause(error: &io::Error) -> Option<&LogError> {
    error.get_ref().and_then(|cause| cause.downcast_ref())
}

/// A session as the node's own stream tells it.
struct Line {
    name: String,
    began: Timestamp,
    ended: Option<(Timestamp, Digest)>,
}

/// The sessions of a folder, read as a stranger reads it: also while a command works on it.
pub(super) fn list(at: &Place) -> Result<Answer, LiveFailure> {
    let data = place::absolute(&at.data)?;
    let mut sessions: BTreeMap<StreamNo, Line> = BTreeMap::new();
    let read = verify_on(&RealDisk, &data, &mut |entry| {
        if entry.stream != StreamNo::NODE {
            return;
        }
        let Ok(record) = read_record(&entry) else { return };
        for event in record.events {
            match event {
                TrailEvent::Opened { stream, label, .. } => {
                    sessions.insert(stream, Line { name: label, began: record.time, ended: None });
                }
                TrailEvent::Closed { stream, root, .. } => {
                    if let Some(line) = sessions.get_mut(&stream) {
                        line.ended = Some((record.time, root));
                    }
                }
                _ => {}
            }
        }
    });
    let report = read.map_err(|error| match (error.kind(), cause(&error)) {
        (io::ErrorKind::NotFound, _) => RunFailure::Log(LogError::NoLog { dir: data.clone() }),
        (_, Some(cause)) => RunFailure::Log(cause.clone()),
        (kind, None) => {
            RunFailure::Unusable { path: data.clone(), doing: "read".to_owned(), kind, option: "--data" }
        }
    })?;
    if let Verdict::Tampered(finding) = report.verdict {
        return Err(RunFailure::Log(LogError::Damaged(finding)).into());
    }
    let mut words = String::new();
    let mut listed = Vec::new();
    for line in sessions.values() {
        let (state, ended, root) = match &line.ended {
            None => ("open", None, None),
            Some((at, root)) => ("ended", Some(at), Some(root)),
        };
        let root_words = root.map(|root| format!("  root {root}")).unwrap_or_default();
        let _ = writeln!(words, "{:<5}  {}  since {}{root_words}", state, line.name, line.began);
        listed.push(json!({ "session": line.name, "state": state, "began": line.began, "ended": ended, "root": root }));
    }
    Ok(Answer::new(Exit::Done, words, json!({ "sessions": listed })))
}

/// Who is in a session, what was run in it, and what was refused.
pub(super) fn status(folder: &Folder, at: &At) -> Result<Answer, LiveFailure> {
    let session = folder.session(at)?;
    let view = folder.hv.session_view(&session)?;
    let history = History::read(folder.log(), Some(&session))?;
    let history = history.ok_or(RunFailure::Unreadable { what: "the session" })?;
    let mut words = format!("session {session} is {}, {}", view.state, view.mode);
    if let Some(deadline) = view.deadline {
        let _ = write!(words, ", until {deadline}");
    }
    words.push('\n');
    let mut members = Vec::new();
    for member in &view.members {
        let standing = standing(member.standing);
        let _ = writeln!(words, "  {}  {}, σ {}, {standing}", member.did, member.ring, member.sigma);
        if let Some(elevation) = &member.elevation {
            let actions: Vec<&str> = elevation.request().actions().iter().map(ActionId::as_str).collect();
            let _ = writeln!(words, "    elevated for {} until {}", actions.join(", "), elevation.until());
        }
        if let Some(intent) = &member.intent {
            let _ = writeln!(words, "    held to an intent until {}", intent.until());
        }
        members.push(json!({
            "agent": member.did,
            "ring": member.ring,
            "sigma": member.sigma,
            "standing": standing,
            "parent": member.parent,
            "elevation": member.elevation.as_ref().map(fields),
            "intent": member.intent.as_ref().map(crate::intent::fields),
        }));
    }
    let mut steps: Vec<Value> = Vec::new();
    let mut reported = Vec::new();
    for saga in &history.sagas {
        reported.extend(saga.step_reports(folder.log())?.into_iter().map(|step| (saga, step)));
    }
    for (saga, step) in reported {
        let _ = writeln!(
            words,
            "  {}  {} by {}: {}, the saga is {}",
            step.id, step.action, step.agent, step.state, saga.state
        );
        if let Some(last) = step.last_words() {
            let _ = writeln!(words, "    {}", output::one_line(&last));
        }
        let mut told = serde_json::to_value(&step).unwrap_or_default();
        if let Some(told) = told.as_object_mut() {
            told.insert("saga".to_owned(), json!(saga.id.as_str()));
            told.insert("saga_state".to_owned(), json!(saga.state.name()));
        }
        steps.push(told);
    }
    let mut undos: Vec<Value> = Vec::new();
    for undo in folder.hv.undos(&session)? {
        words.push_str(&undo_words(&undo));
        undos.push(json!({
            "action": undo.action,
            "only_rehearsed": undo.demanded,
            "failed": undo.failed.as_ref().map(|failed| json!({
                "agent": failed.agent, "step": failed.step, "at": failed.at,
            })),
            "rehearsed_by": undo.rehearsed,
        }));
    }
    for denial in &history.denials {
        let who = denial.agent.as_ref().map(|agent| format!(" to {agent}")).unwrap_or_default();
        let _ = writeln!(words, "  denied{who}: {}", denial.reason);
    }
    let kills = folder.hv.kills()?;
    for (target, since) in &kills {
        let _ = writeln!(words, "  killed: {target}, since {since}");
    }
    let document = json!({
        "session": session.as_str(),
        "state": view.state.name(),
        "mode": view.mode.name(),
        "creator": view.creator,
        "deadline": view.deadline,
        "members": members,
        "files": view.files,
        "steps": steps,
        "undos": undos,
        "denials": history.denials,
        "kills": kills.iter().map(|(target, since)| json!({ "target": target.to_string(), "since": since })).collect::<Vec<_>>(),
    });
    Ok(Answer::new(Exit::Done, words, document))
}

/// What is known of an action's undo, as one line.
fn undo_words(undo: &UndoView) -> String {
    let why = match (&undo.failed, undo.demanded) {
        (Some(failed), _) => {
            format!("failed at {} ({} of {})", failed.at, failed.step, failed.agent)
        }
        (None, true) => "counts only where it is rehearsed".to_owned(),
        (None, false) => "is rehearsed".to_owned(),
    };
    let by: Vec<&str> = undo.rehearsed.iter().map(Did::as_str).collect();
    let by = if by.is_empty() { String::new() } else { format!(", rehearsed by {}", by.join(", ")) };
    format!("  undo of {}: {why}{by}\n", undo.action)
}

fn standing(standing: Standing) -> String {
    match standing {
        Standing::Present => "member".to_owned(),
        Standing::Left => "left".to_owned(),
        Standing::Evicted { reason } => format!("put out: {reason}"),
    }
}
