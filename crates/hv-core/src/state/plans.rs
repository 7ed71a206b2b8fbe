//! Running sagas as a snapshot keeps them: definitions that many of them have stand there once, and are shared by them
//! when they are taken up again.

use super::NamedSaga;
use foldhash::fast::FixedState;
use foldhash::quality::RandomState;
use hv_saga::{Saga, SagaEvent, Steps};
use hv_types::wire::{Reader, put_varint};
use hv_types::{Machine, Undecodable, Wire};
use std::collections::HashMap;

/// Sagas by number.
pub(super) type Numbered = HashMap<u32, Box<NamedSaga>, FixedState>;

/// The sagas in the order that is given: first the definitions in the order in which they are needed, then the rest.
pub(super) fn put<'a>(sagas: impl ExactSizeIterator<Item = (u32, &'a NamedSaga)>, out: &mut Vec<u8>) {
    let (mut plans, mut rest) = (Plans::default(), Vec::new());
    put_varint(sagas.len() as u64, &mut rest);
    for (number, saga) in sagas {
        number.put(&mut rest);
        put_saga(saga, &mut plans, &mut rest);
    }
    put_varint(plans.by_bytes.len() as u64, out);
    out.append(&mut plans.bytes);
    out.append(&mut rest);
}

/// Takes them up again, and shows each of them.
pub(super) fn take(
    reader: &mut Reader<'_>,
    show: &mut dyn FnMut(&NamedSaga),
) -> Result<Numbered, Undecodable> {
    let plans = Vec::<Steps>::take(reader)?;
    let count = u32::take(reader)?;
    // No more than there can be: each takes some bytes.
    let room = reader.rest().len().min(count as usize);
    let mut sagas = Numbered::with_capacity_and_hasher(room, FixedState::default());
    for _ in 0..count {
        let number = u32::take(reader)?;
        let saga = Box::new(take_saga(&plans, reader)?);
        show(&saga);
        if sagas.insert(number, saga).is_some() {
            return Err(reader.invalid("saga"));
        }
    }
    Ok(sagas)
}

/// Definitions, each once.
#[derive(Default)]
struct Plans {
    bytes: Vec<u8>,
    by_bytes: HashMap<Vec<u8>, u32, RandomState>,
    /// By where they lie in memory, where sagas share them already.
    by_place: HashMap<usize, u32, FixedState>,
}

impl Plans {
    fn number(&mut self, steps: &Steps) -> u32 {
        let Self { bytes, by_bytes, by_place } = self;
        *by_place.entry(steps.as_ptr().addr()).or_insert_with(|| {
            let next = u32::try_from(by_bytes.len()).unwrap_or(u32::MAX);
            let own = steps.to_bytes();
            *by_bytes.entry(own).or_insert_with_key(|own| {
                bytes.extend_from_slice(own);
                next
            })
        })
    }
}

/// What is an event of its own, and what is one with definitions that stand elsewhere.
const OTHER: u8 = 0;
const APPENDED: u8 = 1;

fn put_saga(saga: &NamedSaga, plans: &mut Plans, out: &mut Vec<u8>) {
    let NamedSaga { id, machine, unproven, principals, rehearsal, held } = saga;
    id.put(out);
    let events = machine.compact();
    put_varint(events.len() as u64, out);
    for event in &events {
        if let SagaEvent::Appended { steps, growth } = event {
            out.push(APPENDED);
            plans.number(steps).put(out);
            growth.put(out);
        } else {
            out.push(OTHER);
            event.put(out);
        }
    }
    unproven.put(out);
    principals.put(out);
    rehearsal.put(out);
    held.put(out);
}

fn take_saga(plans: &[Steps], reader: &mut Reader<'_>) -> Result<NamedSaga, Undecodable> {
    let id = Wire::take(reader)?;
    let mut machine = Saga::default();
    for _ in 0..u32::take(reader)? {
        let event = match reader.byte()? {
            OTHER => SagaEvent::take(reader)?,
            APPENDED => {
                let steps = plans.get(u32::take(reader)? as usize);
                let steps = steps.ok_or_else(|| reader.invalid("steps"))?.clone();
                SagaEvent::Appended { steps, growth: Wire::take(reader)? }
            }
            tag => return Err(reader.unknown_tag("Saga", tag)),
        };
        machine.apply(&event).map_err(|_| reader.invalid("Saga"))?;
    }
    Ok(NamedSaga {
        id,
        machine,
        unproven: Wire::take(reader)?,
        principals: Wire::take(reader)?,
        rehearsal: Wire::take(reader)?,
        held: Wire::take(reader)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hv_saga::{Plan, SagaCommand, StepDef, Task};
    use hv_types::{ActionId, Did, SagaId, Solo, StepId, Timestamp};
    use std::sync::Arc;

    fn saga(name: &str, steps: &[&str]) -> NamedSaga {
        let step = |name: &&str| {
            let (id, action) = (StepId::new(name).unwrap(), ActionId::new("act").unwrap());
            Arc::new(StepDef::new(id, action, Did::new("did:mesh:a").unwrap(), Task::closure("f")))
        };
        let mut machine = Solo::<Saga>::default();
        if !steps.is_empty() {
            let plan = Plan::new(steps.iter().map(step).collect::<Vec<_>>());
            machine.run(&SagaCommand::begin(plan), Timestamp(5)).unwrap();
        }
        let saga = NamedSaga::new(SagaId::new(name).unwrap(), &[0]);
        NamedSaga { machine: machine.state().clone(), ..saga }
    }

    fn bytes(sagas: &[NamedSaga]) -> Vec<u8> {
        let mut out = Vec::new();
        put((3u32..).zip(sagas).collect::<Vec<_>>().into_iter(), &mut out);
        out
    }

    #[test]
    fn definitions_that_are_equal_stand_there_once_whether_they_were_shared_or_not() {
        let one = saga("a", &["first", "second"]);
        let shared = NamedSaga { id: SagaId::new("b").unwrap(), ..one.clone() };
        let equal = saga("b", &["first", "second"]);
        assert_ne!(one.machine.steps().as_ptr(), equal.machine.steps().as_ptr());
        assert_eq!(one.machine.steps().as_ptr(), shared.machine.steps().as_ptr());
        let (other, new) = (saga("c", &["first"]), saga("d", &[]));
        let kept = bytes(&[one.clone(), shared, other.clone(), new.clone()]);
        assert_eq!(kept, bytes(&[one, equal, other, new]));
        let count = |name: &[u8]| kept.windows(name.len()).filter(|window| *window == name).count();
        assert_eq!((count(b"first"), count(b"second")), (2, 1));

        let mut reader = Reader::new(&kept);
        let again = take(&mut reader, &mut |_| {}).unwrap();
        assert!(reader.rest().is_empty() && again.len() == 4);
        let place = |number| again[&number].machine.steps().as_ptr();
        assert_eq!(place(3), place(4));
        let sagas: Vec<_> = (3..7).map(|number| (number, &*again[&number])).collect();
        let mut out = Vec::new();
        put(sagas.into_iter(), &mut out);
        assert_eq!(out, kept);
    }

    #[test]
    fn what_is_cut_or_names_definitions_that_are_not_there_is_refused() {
        let kept = bytes(&[saga("a", &["first"]), saga("b", &["second"])]);
        for end in 0..kept.len() {
            assert!(take(&mut Reader::new(&kept[..end]), &mut |_| {}).is_err(), "{end}");
        }
        let mut refused = 0;
        for at in 0..kept.len() {
            let mut changed = kept.clone();
            changed[at] ^= 0x40;
            refused += u32::from(take(&mut Reader::new(&changed), &mut |_| {}).is_err());
        }
        assert!(refused > 20, "{refused}");
        // The same number twice.
        let twice = bytes(&[saga("a", &["first"]), saga("a", &["first"])]);
        let at = twice.iter().rposition(|byte| *byte == 4).unwrap();
        let mut twice = twice;
        twice[at] = 3;
        assert!(take(&mut Reader::new(&twice), &mut |_| {}).is_err());
    }
}
