//! The state as a snapshot keeps it: what every part gives to be taken up again, in an order that depends on nothing but
//! what they say, so that equal states have equal bytes.
//!
//! Every field is named here. Whoever adds one to the state is asked by the compiler what becomes of it.

use super::{Slot, State, plans};
use hv_audit::StreamNo;
use hv_rings::standing::Cap;
use hv_types::wire::{Reader, put_varint};
use hv_types::{Machine, Timestamp, Undecodable, Wire};
use smallvec::SmallVec;

/// The version of the encoding. A state of another version is made again from the trail.
const VERSION: u8 = 6;

/// The bytes that a snapshot keeps of a node whose last record has this time.
pub(crate) fn keep(state: &State, last: Timestamp) -> Vec<u8> {
    let mut out = vec![VERSION];
    last.put(&mut out);
    state.put(&mut out);
    out
}

/// The state from such bytes.
pub(crate) fn restore(bytes: &[u8]) -> Result<(State, Timestamp), Undecodable> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err(reader.invalid("version"));
    }
    let last = Timestamp::take(&mut reader)?;
    let state = State::take(&mut reader)?;
    reader.end()?;
    Ok((state, last))
}

impl Wire for State {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            authority,
            guards,
            // Not a matter of the trail: every bucket is full again.
            meters: _,
            track,
            breakers,
            ledger,
            ledger_length,
            kills,
            anchors,
            histories,
            holds,
            next_hold,
            // Counted anew.
            creators: _,
            scores,
            outbox,
            items,
            unusable,
            // Each session says its own.
            names: _,
            sessions,
            answering,
            // Nothing of that where a log is not being replayed.
            gone: _,
        } = self;
        authority.put(out);
        guards.put(out);
        track.put(out);
        breakers.put(out);
        ledger.compact().put(out);
        ledger_length.put(out);
        kills.put(out);
        anchors.put(out);
        histories.put(out);
        holds.put(out);
        next_hold.put(out);
        scores.put(out);
        outbox.put(out);
        items.put(out);
        unusable.put(out);
        answering.put(out);
        put_varint(sessions.len() as u64, out);
        self.slots().into_iter().for_each(|slot| slot.put(out));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let mut state = Self {
            authority: Wire::take(reader)?,
            guards: Wire::take(reader)?,
            track: Wire::take(reader)?,
            breakers: Wire::take(reader)?,
            ledger: machine(reader, "Ledger")?,
            ledger_length: Wire::take(reader)?,
            kills: Wire::take(reader)?,
            anchors: Wire::take(reader)?,
            histories: Wire::take(reader)?,
            holds: Wire::take(reader)?,
            next_hold: Wire::take(reader)?,
            scores: Wire::take(reader)?,
            outbox: Wire::take(reader)?,
            items: Wire::take(reader)?,
            unusable: Wire::take(reader)?,
            answering: Wire::take(reader)?,
            ..Self::default()
        };
        for slot in Vec::<Slot>::take(reader)? {
            if let Some(creator) = slot.session.creator() {
                super::count(&mut state.creators, creator);
            }
            let twice = state.names.insert(slot.id.clone(), slot.stream).is_some();
            if twice || state.sessions.insert(slot.stream, Box::new(slot)).is_some() {
                return Err(reader.invalid("session"));
            }
        }
        Ok(state)
    }
}

impl Wire for Slot {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            id,
            stream,
            length,
            session,
            saga_names,
            // In the order of their numbers.
            running: _,
            // Counted anew.
            busy: _,
            // Empty between records.
            escalated: _,
            registry,
            undos,
            caps,
            notes,
            voters,
            overrides,
            certified,
            elevations,
            intents,
            adapted,
            outcomes: _,
            judged: _,
        } = self;
        id.put(out);
        stream.0.put(out);
        length.put(out);
        session.compact().put(out);
        plans::put(saga_names, self.numbered_sagas(), out);
        registry.put(out);
        undos.put(out);
        caps.iter().map(|of_member| of_member.to_vec()).collect::<Vec<_>>().put(out);
        notes.put(out);
        voters.put(out);
        overrides.put(out);
        certified.put(out);
        elevations.put(out);
        intents.put(out);
        adapted.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let (id, stream) = (Wire::take(reader)?, StreamNo(Wire::take(reader)?));
        let length = Wire::take(reader)?;
        let session = machine(reader, "Session")?;
        let plans::Sagas { names, running, busy } = plans::take(reader, &session)?;
        let slot = Self {
            length,
            session,
            saga_names: names,
            running,
            busy,
            registry: Wire::take(reader)?,
            undos: Wire::take(reader)?,
            caps: Vec::<Vec<Cap>>::take(reader)?.into_iter().map(SmallVec::from_vec).collect(),
            notes: Wire::take(reader)?,
            voters: Wire::take(reader)?,
            overrides: Wire::take(reader)?,
            certified: Wire::take(reader)?,
            elevations: Wire::take(reader)?,
            intents: Wire::take(reader)?,
            adapted: Wire::take(reader)?,
            ..Self::new(id, stream)
        };
        Ok(slot)
    }
}

/// A machine from the events that it gave.
fn machine<M: Machine>(reader: &mut Reader<'_>, name: &'static str) -> Result<M, Undecodable> {
    let mut machine = M::default();
    for event in Vec::<M::Event>::take(reader)? {
        machine.apply(&event).map_err(|_| reader.invalid(name))?;
    }
    Ok(machine)
}
