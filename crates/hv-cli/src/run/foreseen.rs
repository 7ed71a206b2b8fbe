//! What keeps a run from being resumed, seen without the writer's lock: that a trail was opened is recorded in it.

use super::begun::{Begun, NOTE, begun};
use super::{RunFailure, place};
use crate::shell::quoted;
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Kind, Reading, StreamNo};
use hv_core::event::{MembershipEvent, SessionEvent};
use hv_core::types::Digest;
use hv_core::{TrailEvent, read_record};
use std::collections::BTreeMap;
use std::path::Path;

/// A session, as far as that is needed here.
#[derive(Default)]
struct Seen {
    name: String,
    /// What it was started with.
    note: Option<Digest>,
    /// Whether anything is in it.
    touched: bool,
    closed: bool,
}

/// Whether the session is open; then its programs start in the work folder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    Open,
    Closed,
}

/// Refuses to resume before anything is recorded. What cannot be read is left to whoever opens the trail.
pub(super) fn foresee(data: &Path, has_file: bool, given: Option<&Path>) -> Result<(), RunFailure> {
    let Some(sessions) = seen(data) else { return Ok(()) };
    let nothing = |session| match has_file {
        true => Ok(()),
        false => Err(RunFailure::NothingBegun { data: data.to_owned(), session }),
    };
    let open = || sessions.values().filter(|session| !session.closed);
    let (session, stands) = match (open().find(|session| session.note.is_some()).or(open().next()), &sessions)
    {
        (Some(session), _) => (session, Stands::Open),
        (None, sessions) => match sessions.values().next_back() {
            Some(session) => (session, Stands::Closed),
            None => return nothing(None),
        },
    };
    match session.note {
        Some(note) => match begun(data, &note) {
            Ok(begun) => as_begun(&begun, given, (data, &session.name), stands),
            Err(_) => Ok(()),
        },
        None if stands == Stands::Open && !session.touched => nothing(Some(session.name.clone())),
        None => Ok(()),
    }
}

/// That a run works where it was begun, and that this folder is there.
pub(super) fn as_begun(
    begun: &Begun,
    given: Option<&Path>,
    (data, session): (&Path, &str),
    stands: Stands,
) -> Result<(), RunFailure> {
    let work = Path::new(&begun.work);
    if let Some(given) = given
        && place::real(&place::absolute(given)?) != place::real(work)
    {
        let (data, session) = (data.to_owned(), session.to_owned());
        return Err(RunFailure::OtherWork { data, session, given: given.to_owned(), work: work.to_owned() });
    }
    match stands {
        Stands::Open => place::check_there(work, &format!("hv run --resume --data {}", quoted(data))),
        Stands::Closed => Ok(()),
    }
}

/// The sessions of a trail, or nothing where it cannot be read.
fn seen(data: &Path) -> Option<BTreeMap<StreamNo, Seen>> {
    let mut sessions: BTreeMap<StreamNo, Seen> = BTreeMap::new();
    let mut readable = true;
    let read = Reading::new(&RealDisk, data).go_on(&mut |entry| {
        let Ok(record) = read_record(&entry) else {
            readable = false;
            return;
        };
        if let Kind::Genesis { label } = entry.kind
            && record.stream >= StreamNo::FIRST_SESSION
        {
            sessions.entry(record.stream).or_default().name = label.to_owned();
        }
        let attached = record.attached.first().map(|payload| payload.id());
        for event in record.events {
            match event {
                TrailEvent::Opened { stream, label, .. } if stream >= StreamNo::FIRST_SESSION => {
                    sessions.entry(stream).or_default().name = label;
                }
                TrailEvent::Closed { stream, .. } => {
                    if let Some(session) = sessions.get_mut(&stream) {
                        session.closed = true;
                    }
                }
                TrailEvent::Session(event) => {
                    let Some(session) = sessions.get_mut(&record.stream) else { continue };
                    match *event {
                        SessionEvent::Noted { key } if key == NOTE => session.note = attached,
                        SessionEvent::Noted { .. }
                        | SessionEvent::SagaOpened { .. }
                        | SessionEvent::Session { event: MembershipEvent::Joined { .. } } => {
                            session.touched = true;
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    });
    (read.is_ok() && readable).then_some(sessions)
}
