//! The bodies of records: events, one behind the other.

use super::{MembershipEvent, RECORD_VERSION, SagaEvent, SessionEvent};
use crate::node::Granted;
use hv_types::wire::Reader;
use hv_types::{Undecodable, Wire};

/// Appends the body of a record.
pub(crate) fn put_body<E: Wire>(events: &[E], out: &mut Vec<u8>) {
    out.push(RECORD_VERSION);
    events.iter().for_each(|event| event.put(out));
}

/// Appends the body of a session's record: first what the session's machine says.
pub(crate) fn put_session(lifecycle: &[MembershipEvent], events: &[SessionEvent], out: &mut Vec<u8>) {
    out.push(RECORD_VERSION);
    for event in lifecycle {
        // As `SessionEvent::Session` is written, without making one.
        out.push(SESSION_TAG);
        event.put(out);
    }
    events.iter().for_each(|event| event.put(out));
}

/// Appends what happens to a saga, with what the gate says of each start: as [`SessionEvent::Saga`] and
/// [`SessionEvent::Granted`] are written, without making one.
pub(crate) fn put_moves(saga: u32, moves: &[SagaEvent], grants: &[Granted], out: &mut Vec<u8>) {
    let mut grants = grants.iter();
    for event in moves {
        out.push(SAGA_TAG);
        saga.put(out);
        event.put(out);
        if matches!(event, SagaEvent::Started { .. })
            && let Some(Granted { deadline, ring, sigma }) = grants.next()
        {
            out.push(GRANTED_TAG);
            deadline.put(out);
            ring.put(out);
            sigma.put(out);
        }
    }
}

/// The tag of [`SessionEvent::Session`].
const SESSION_TAG: u8 = 0;

/// The tag of [`SessionEvent::Saga`].
const SAGA_TAG: u8 = 4;

/// The tag of [`SessionEvent::Granted`].
const GRANTED_TAG: u8 = 5;

/// Reads the body of a record.
///
/// # Errors
/// [`Undecodable`] for another version, and where the bytes are not events to the last.
pub fn read_body<E: Wire>(body: &[u8]) -> Result<Vec<E>, Undecodable> {
    let mut reader = Reader::new(body);
    if reader.byte()? != RECORD_VERSION {
        return Err(reader.invalid("record version"));
    }
    let mut events = Vec::new();
    while !reader.rest().is_empty() {
        events.push(E::take(&mut reader)?);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hv_saga::{Micros, Purpose};
    use hv_session::SessionState;
    use hv_types::{Ring, Sigma, Timestamp};

    #[test]
    fn a_sessions_own_events_are_written_as_they_are_read() {
        let event = MembershipEvent::Moved { to: SessionState::Active };
        let mut out = Vec::new();
        put_session(std::slice::from_ref(&event), &[SessionEvent::Noted { key: "k".into() }], &mut out);
        let read: Vec<SessionEvent> = read_body(&out).unwrap();
        assert_eq!(read, [SessionEvent::Session { event }, SessionEvent::Noted { key: "k".into() }]);
        assert_eq!(out, [RECORD_VERSION, 0, 1, 2, 7, 1, b'k']);
    }

    #[test]
    fn what_happens_to_a_saga_is_written_as_it_is_read() {
        let (at, deadline) = (Micros(7), Timestamp(9));
        let started = |step| SagaEvent::Started { step, purpose: Purpose::Execute, number: 1, at };
        let moves = [SagaEvent::Sealed {}, started(0), SagaEvent::Paused { at }, started(1)];
        let granted = |ppm| Granted { deadline, ring: Ring::Standard, sigma: Sigma::capped(ppm) };
        let (mut out, grants) = (vec![RECORD_VERSION], [granted(800_000), granted(700_000)]);
        put_moves(3, &moves, &grants, &mut out);
        let read: Vec<SessionEvent> = read_body(&out).unwrap();
        let moved = |event: &SagaEvent| SessionEvent::Saga { saga: 3, event: event.clone() };
        let said = |ppm| SessionEvent::Granted { deadline, ring: Ring::Standard, sigma: Sigma::capped(ppm) };
        let [sealed, first, paused, second] = &moves;
        let expected =
            [moved(sealed), moved(first), said(800_000), moved(paused), moved(second), said(700_000)];
        assert_eq!(read, expected);
    }
}
