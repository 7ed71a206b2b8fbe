//! Taking up the log: each record changes the state as it did when it was written.

use super::State;
use crate::event::{self, LedgerEvent, NodeEvent, RECORD_VERSION, SessionEvent};
use hv_audit::{Entry, Kind, PayloadRef, StreamNo};
use hv_types::wire::Reader;
use hv_types::{Illegal, SagaId, SessionId, Wire};

const UNREADABLE: Illegal = Illegal::new("a record holds events of a known version");

const OTHER_VERSION: Illegal = Illegal::new(
    "a record holds events of the version that this hv writes; a trail of another one can be verified and shown, and \
     only the version that wrote it goes on with it",
);

/// Why the body of a record cannot be read.
fn unreadable(body: &[u8]) -> Illegal {
    if body.first().is_some_and(|version| *version != RECORD_VERSION) { OTHER_VERSION } else { UNREADABLE }
}

impl State {
    /// Takes up one record of the log.
    pub(crate) fn replay(&mut self, entry: &Entry<'_>) -> Result<(), Illegal> {
        match (entry.kind, entry.stream) {
            // The log itself says so when something purged was found again.
            (Kind::Purge { .. }, StreamNo::NODE) if entry.body.is_empty() => Ok(()),
            (Kind::Data | Kind::Purge { .. } | Kind::Reduce(_), StreamNo::NODE) => {
                let events: Vec<NodeEvent> =
                    event::read_body(entry.body).map_err(|_| unreadable(entry.body))?;
                events.iter().try_for_each(|event| self.apply_node(event))
            }
            (Kind::Data, StreamNo::LEDGER) => {
                let events: Vec<LedgerEvent> =
                    event::read_body(entry.body).map_err(|_| unreadable(entry.body))?;
                self.apply_ledger(&events)
            }
            (Kind::Data | Kind::Genesis { .. }, stream) => {
                if let Kind::Genesis { label } = entry.kind {
                    let id =
                        SessionId::new(label).map_err(|_| Illegal::new("a session is named by an id"))?;
                    self.open_session(stream, &id)?;
                }
                let attached: Vec<PayloadRef> = entry.attachments.collect();
                self.change_session(stream, |slot| {
                    each_event(entry.body, |event| slot.apply(event, &attached, None))
                })
            }
            (Kind::Close { root, .. }, stream) => {
                if !entry.body.is_empty() {
                    self.change_session(stream, |slot| {
                        each_event(entry.body, |event| slot.apply(event, &[], None))
                    })?;
                }
                self.close_session(stream, root)
            }
            (Kind::Gone { .. } | Kind::StreamOpened { .. } | Kind::StreamClosed { .. }, stream) => {
                self.note_gone(stream, entry.kind);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Hands on the names with which a record of a session opens sagas.
pub(crate) fn sagas_opened(entry: &Entry<'_>, mut take: impl FnMut(&SagaId)) -> Result<(), Illegal> {
    let (Kind::Data | Kind::Genesis { .. } | Kind::Close { .. }) = entry.kind else { return Ok(()) };
    if entry.body.is_empty() {
        return Ok(());
    }
    each_event(entry.body, |event| {
        if let SessionEvent::SagaOpened { id, .. } = event {
            take(id);
        }
        Ok(())
    })
}

/// Reads the body of a session's record, and hands on each event as it is read. What was handed on does not count where
/// this fails: an event cannot be read, or `take` refuses it.
fn each_event(
    body: &[u8],
    mut take: impl FnMut(&SessionEvent) -> Result<(), Illegal>,
) -> Result<(), Illegal> {
    let mut reader = Reader::new(body);
    if reader.byte() != Ok(RECORD_VERSION) {
        return Err(unreadable(body));
    }
    while !reader.rest().is_empty() {
        take(&SessionEvent::take(&mut reader).map_err(|_| UNREADABLE)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::put_body;

    #[test]
    fn events_are_handed_on_one_by_one_and_what_cannot_be_read_is_refused() {
        let noted = |key: &str| SessionEvent::Noted { key: key.to_owned() };
        let (mut body, events) = (Vec::new(), [noted("a"), noted("b"), noted("c")]);
        put_body(&events, &mut body);
        let mut read = Vec::new();
        let mut keep = |event: &SessionEvent| {
            read.push(event.clone());
            Ok(())
        };
        assert_eq!(each_event(&body, &mut keep), Ok(()));
        assert_eq!(each_event(&body[..body.len() - 1], &mut keep), Err(UNREADABLE));
        assert_eq!(each_event(&[RECORD_VERSION - 1], &mut keep), Err(OTHER_VERSION));
        assert_eq!(each_event(&[], &mut keep), Err(UNREADABLE));
        assert_eq!(read, [&events[..], &events[..2]].concat());
        // What is refused is the last that was handed on.
        let (mut seen, refused) = (0, Illegal::new("a test refuses"));
        let refuse = |_: &SessionEvent| {
            seen += 1;
            if seen == 2 { Err(refused) } else { Ok(()) }
        };
        assert_eq!((each_event(&body, refuse), seen), (Err(refused), 2));
    }
}
