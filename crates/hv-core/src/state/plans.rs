//! Running sagas as a snapshot keeps them: definitions that many of them have stand there once, and are shared by them
//! when they are taken up again.
//!
//! What is kept of each saga stands in parts of [`PART`] sagas, in the order of their numbers and with their lengths in
//! front, so that several hands take them up side by side. What comes of that is the same with one hand.

use super::busy::Busy;
use super::names::Names;
use super::numbers::ByNumber;
use super::{Driven, NamedSaga};
use crate::few::Few;
use foldhash::fast::FixedState;
use foldhash::quality::RandomState;
use hv_saga::{Saga, SagaEvent, Steps};
use hv_session::Session;
use hv_types::wire::{Reader, put_bytes, put_varint};
use hv_types::{Machine, Undecodable, Wire};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Sagas by number.
pub(super) type Numbered = Few<u32, Box<NamedSaga>, ByNumber>;

/// So many sagas stand in a part, and in the last one as many as are left.
const PART: usize = 2048;

/// So many hands take parts up at most, the caller among them, where the machine has as many cores.
const HANDS: usize = 4;

/// What a session keeps of its sagas: the names of all of them, and those that run with what they do.
#[derive(Debug)]
pub(super) struct Sagas {
    pub(super) names: Names,
    pub(super) running: Numbered,
    pub(super) busy: Busy,
}

/// All names, and the running sagas in the order of their numbers: first the definitions in the order in which they are
/// needed, then the rest.
pub(super) fn put<'a>(
    names: &Names,
    sagas: impl ExactSizeIterator<Item = (u32, &'a NamedSaga)>,
    out: &mut Vec<u8>,
) {
    put_bytes(&names.to_bytes(), out);
    let (mut plans, mut part, mut rest) = (Plans::default(), Vec::new(), Vec::new());
    put_varint(sagas.len() as u64, &mut rest);
    for (at, (number, saga)) in (1..).zip(sagas) {
        number.put(&mut part);
        put_saga(saga, &mut plans, &mut part);
        if at % PART == 0 {
            put_bytes(&part, &mut rest);
            part.clear();
        }
    }
    if !part.is_empty() {
        put_bytes(&part, &mut rest);
    }
    put_varint(plans.by_bytes.len() as u64, out);
    out.append(&mut plans.bytes);
    out.append(&mut rest);
}

/// Takes them up again, by so many hands at most.
pub(super) fn take(reader: &mut Reader<'_>, session: &Session) -> Result<Sagas, Undecodable> {
    let hands = thread::available_parallelism().map_or(1, usize::from).min(HANDS);
    taken(reader, session, hands)
}

fn taken(reader: &mut Reader<'_>, session: &Session, hands: usize) -> Result<Sagas, Undecodable> {
    let names = Part::of(reader, 0)?;
    let plans = Vec::<Steps>::take(reader)?;
    let count = u32::take(reader)? as usize;
    let mut parts = Vec::new();
    for at in 0..count.div_ceil(PART) {
        parts.push(Part::of(reader, PART.min(count - at * PART))?);
    }
    let mut sagas = Sagas { names: Names::default(), running: Numbered::default(), busy: Busy::default() };
    let taken = side_by_side(hands.min(parts.len()), || names.names(), &|at| {
        parts.get(at).map(|part| part.sagas(&plans, session))
    });
    let (known, mut taken) = taken;
    sagas.names = known?;
    // By whichever hand, the first thing that is wrong is told.
    taken.sort_unstable_by_key(|(at, _)| *at);
    sagas.running.reserve(count.min(taken.len() * PART));
    let whole = taken.len() == parts.len();
    for (_, part) in taken {
        let (part, busy) = part?;
        for (number, saga) in part {
            if sagas.running.insert(number, saga).is_some() {
                return Err(reader.invalid("saga"));
            }
        }
        sagas.busy.join(&busy);
    }
    // A hand that is lost has told nothing.
    if whole { Ok(sagas) } else { Err(reader.invalid("saga")) }
}

/// Does `first`, and `next` for every number from 0 on until that gives nothing: by as many hands, each of which takes the
/// number that nobody has taken. Where a hand is not to be had the others do its work.
fn side_by_side<F, T: Send>(
    hands: usize,
    first: impl FnOnce() -> F,
    next: &(dyn Fn(usize) -> Option<T> + Sync),
) -> (F, Vec<(usize, T)>) {
    let free = AtomicUsize::new(0);
    let work = || {
        let take = || {
            let at = free.fetch_add(1, Ordering::Relaxed);
            Some((at, next(at)?))
        };
        std::iter::from_fn(take).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let help = |n| thread::Builder::new().name(format!("hv-restore-{n}")).spawn_scoped(scope, work);
        let helpers: Vec<_> = (1..hands).map_while(|n| help(n).ok()).collect();
        let (first, mut done) = (first(), work());
        for helper in helpers {
            done.extend(helper.join().into_iter().flatten());
        }
        (first, done)
    })
}

/// Bytes that stand on their own, and where.
struct Part<'a> {
    bytes: &'a [u8],
    start: usize,
    /// How many sagas they are.
    count: usize,
}

impl<'a> Part<'a> {
    fn of(reader: &mut Reader<'a>, count: usize) -> Result<Self, Undecodable> {
        let bytes = reader.bytes()?;
        Ok(Self { bytes, start: reader.offset() - bytes.len(), count })
    }

    /// Takes all of it, no more and no less.
    fn whole<T>(
        &self,
        take: impl FnOnce(&mut Reader<'_>) -> Result<T, Undecodable>,
    ) -> Result<T, Undecodable> {
        let mut reader = Reader::new(self.bytes);
        let taken = take(&mut reader).and_then(|taken| reader.end().map(|()| taken));
        taken.map_err(|bad| Undecodable { offset: self.start + bad.offset, ..bad })
    }

    fn names(&self) -> Result<Names, Undecodable> {
        self.whole(Names::take)
    }

    fn sagas(&self, plans: &[Steps], session: &Session) -> Result<TakenPart, Undecodable> {
        self.whole(|reader| {
            let (mut sagas, mut busy) = (Vec::new(), Busy::default());
            // No more than there can be: each takes some bytes.
            sagas.reserve(self.count.min(self.bytes.len()));
            for _ in 0..self.count {
                let number = u32::take(reader)?;
                let saga = Box::new(take_saga(plans, reader)?);
                busy.add(session, &saga.machine);
                sagas.push((number, saga));
            }
            Ok((sagas, busy))
        })
    }
}

/// The sagas of a part, and what its members are busy with in them.
type TakenPart = (Vec<(u32, Box<NamedSaga>)>, Busy);

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
    let NamedSaga { id, driven: _, machine, unproven, principals, rehearsal, held } = saga;
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
        driven: Driven::default(),
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

    fn put_all<'a>(sagas: impl ExactSizeIterator<Item = (u32, &'a NamedSaga)>) -> Vec<u8> {
        let (mut names, mut out) = (Names::default(), Vec::new());
        for name in ["x", "y", "z"] {
            names.insert(&SagaId::new(name).unwrap()).unwrap();
        }
        put(&names, sagas, &mut out);
        out
    }

    fn bytes(sagas: &[NamedSaga]) -> Vec<u8> {
        put_all((3u32..).zip(sagas).collect::<Vec<_>>().into_iter())
    }

    fn restored(bytes: &[u8], hands: usize) -> Result<Sagas, Undecodable> {
        let mut reader = Reader::new(bytes);
        let sagas = taken(&mut reader, &Session::default(), hands)?;
        reader.end().map(|()| sagas)
    }

    fn again(sagas: &Sagas) -> Vec<u8> {
        let mut running: Vec<_> = sagas.running.iter().map(|(number, saga)| (*number, &**saga)).collect();
        running.sort_unstable_by_key(|(number, _)| *number);
        let mut out = Vec::new();
        put(&sagas.names, running.into_iter(), &mut out);
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

        let sagas = restored(&kept, 1).unwrap();
        assert_eq!(sagas.running.len(), 4);
        let place = |number| sagas.running.get(&number).unwrap().machine.steps().as_ptr();
        assert_eq!(place(3), place(4));
        assert_eq!(again(&sagas), kept);
    }

    #[test]
    fn what_is_cut_or_names_definitions_that_are_not_there_is_refused() {
        let kept = bytes(&[saga("a", &["first"]), saga("b", &["second"])]);
        for end in 0..kept.len() {
            assert!(restored(&kept[..end], 1).is_err(), "{end}");
        }
        let mut refused = 0;
        for at in 0..kept.len() {
            let mut changed = kept.clone();
            changed[at] ^= 0x40;
            refused += u32::from(restored(&changed, 1).is_err());
        }
        assert!(refused > 20, "{refused}");
        // The same number twice.
        let twice = bytes(&[saga("a", &["first"]), saga("a", &["first"])]);
        let at = twice.iter().rposition(|byte| *byte == 4).unwrap();
        let mut twice = twice;
        twice[at] = 3;
        assert!(restored(&twice, 1).is_err());
    }

    /// Several hands give what one gives, and tell of the same thing first where there is something wrong.
    #[test]
    fn parts_are_the_same_by_however_many_hands_they_are_taken_up() {
        let few = [saga("a", &["first", "second"]), saga("b", &["third"])];
        for count in [0, 1, PART, PART + 1, 3 * PART - 1] {
            let count = u32::try_from(count).unwrap();
            let sagas: Vec<_> = (0..count).map(|n| (n, &few[n as usize % 2])).collect();
            let kept = put_all(sagas.into_iter());
            for hands in [0, 1, 3] {
                let sagas = restored(&kept, hands).unwrap();
                assert_eq!((sagas.running.len(), sagas.names.next()), (count as usize, 3));
                assert_eq!(again(&sagas), kept, "{count} by {hands}");
            }
        }
        let sagas: Vec<_> = (0..).zip([&few[0]; 2 * PART + 1]).collect();
        let kept = put_all(sagas.into_iter());
        let mut told = Vec::new();
        for at in (0..kept.len()).step_by(kept.len() / 31) {
            let mut changed = kept.clone();
            changed[at] ^= 0x80;
            let by_one = restored(&changed, 1).map(|sagas| again(&sagas));
            assert_eq!(restored(&changed, 3).map(|sagas| again(&sagas)), by_one, "{at}");
            told.extend(by_one.err().map(|bad| bad.offset));
        }
        // Where it is, counted from the beginning of everything.
        assert!(told.len() > 10 && told.iter().max().is_some_and(|most| *most > kept.len() / 2), "{told:?}");
    }

    #[test]
    fn each_number_is_done_once_by_whichever_hand() {
        let next = |at: usize| (at < 100).then_some(at * at);
        let (first, mut done) = side_by_side(4, || "first", &next);
        done.sort_unstable();
        assert_eq!((first, done.len()), ("first", 100));
        assert!(done.iter().enumerate().all(|(n, (at, square))| n == *at && *square == n * n));
    }
}
