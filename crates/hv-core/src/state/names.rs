//! The names of a session's sagas: the numbers of those that run, and how those ended that have. What has ended is kept by
//! what names that count up have in common, and by their numbers: so however many sagas have ended, they hold nothing where
//! a counter names them. Of a name that none counts, eight bytes stay.

mod counted;
mod digests;

use self::counted::{Counted, Span, Split};
use self::digests::Digests;
use super::CROWD;
use crate::few::Few;
use foldhash::quality::RandomState;
use hv_saga::SagaState;
use hv_types::wire::{Reader, put_varint};
use hv_types::{SagaId, Undecodable, Wire};
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::mem;
use std::sync::LazyLock;

/// Names that are there once each, numbered from 0 in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The number that the next one gets.
    next: u32,
    running: Few<SagaId, u32, RandomState>,
    ended: Ended,
}

impl Names {
    /// The number that the next name gets.
    pub(super) const fn next(&self) -> u32 {
        self.next
    }

    /// Takes up the name of a saga that begins, and gives its number; nothing where the name is there already, or there is no
    /// number left.
    pub(super) fn insert(&mut self, name: &SagaId) -> Option<u32> {
        let (number, next) = (self.next, self.next.checked_add(1)?);
        if self.ended(name).is_some() {
            return None;
        }
        if let Some(known) = self.running.insert(name.clone(), number) {
            self.running.insert(name.clone(), known);
            return None;
        }
        self.next = next;
        Some(number)
    }

    /// The number of a saga that runs.
    pub(super) fn running(&self, name: &SagaId) -> Option<u32> {
        self.running.get(name).copied()
    }

    /// How a saga ended, where it has.
    pub(super) fn ended(&self, name: &SagaId) -> Option<SagaState> {
        self.ended.get(name.as_str().as_bytes())
    }

    /// Takes note of how a saga ended.
    pub(super) fn end(&mut self, name: &SagaId, state: SagaState) {
        if self.running.remove(name).is_some() {
            self.running.fit(CROWD);
            // Between those that run there is room for as many spans and one more.
            self.ended.insert(name.as_str().as_bytes(), state, RECENT + self.running.len());
        }
    }

    /// What is known of all of them.
    pub(super) fn all(&self) -> All {
        let running = self.numbered().into_iter().map(|(_, name)| name.clone()).collect();
        All { opened: self.next, ended: self.ended.names(), running }
    }

    fn numbered(&self) -> Vec<(u32, &SagaId)> {
        let mut numbered: Vec<_> = self.running.iter().map(|(name, number)| (*number, name)).collect();
        numbered.sort_unstable_by_key(|(number, _)| *number);
        numbered
    }
}

/// As a snapshot keeps them: the next number, the running ones in the order of their numbers, and the others.
impl Wire for Names {
    fn put(&self, out: &mut Vec<u8>) {
        let numbered = self.numbered();
        self.next.put(out);
        put_varint(numbered.len() as u64, out);
        for (number, name) in numbered {
            number.put(out);
            name.put(out);
        }
        self.ended.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let (next, count) = (u32::take(reader)?, u32::take(reader)?);
        let mut running = Few::default();
        // No more than there can be: each takes some bytes.
        running.reserve(reader.rest().len().min(count as usize));
        let mut free = 0;
        for _ in 0..count {
            let (number, name) = <(u32, SagaId)>::take(reader)?;
            if !(free..next).contains(&number) || running.insert(name, number).is_some() {
                return Err(reader.invalid("saga name"));
            }
            free = number + 1;
        }
        let ended = Ended::take(reader)?;
        if running.iter().any(|(name, _)| ended.get(name.as_str().as_bytes()).is_some()) {
            return Err(reader.invalid("saga name"));
        }
        Ok(Self { next, running, ended })
    }
}

/// The names of sagas, as far as they are known.
#[derive(Debug)]
pub(crate) struct All {
    /// How many were opened.
    opened: u32,
    /// Those that have ended, where their names are kept.
    ended: Option<Vec<SagaId>>,
    /// Those that run, in the order of their numbers.
    running: Vec<SagaId>,
}

impl All {
    /// Those that have ended, by name, and behind them those that run, in the order of their numbers. `opened` gives the
    /// names with which sagas were opened, in that order, and maybe more of them by now; it is asked where they are not
    /// all kept.
    pub(crate) fn names<E>(self, opened: impl FnOnce() -> Result<Vec<SagaId>, E>) -> Result<Vec<SagaId>, E> {
        let Self { opened: count, ended, mut running } = self;
        let mut names = if let Some(ended) = ended {
            ended
        } else {
            let mut names = opened()?;
            names.truncate(count as usize);
            let running: HashSet<&SagaId, RandomState> = running.iter().collect();
            names.retain(|name| !running.contains(name));
            names
        };
        names.sort_unstable_by(|one, other| {
            Split::of(one.as_str().as_bytes()).cmp(&Split::of(other.as_str().as_bytes()))
        });
        names.append(&mut running);
        Ok(names)
    }
}

/// How sagas ended, by name.
#[derive(Debug, Default)]
struct Ended<S = RandomState> {
    /// Of those that ended last, all that is known.
    recent: Counted<S>,
    settled: Option<Box<Settled<S>>>,
}

/// What is kept of those that ended before.
#[derive(Debug, Default)]
struct Settled<S> {
    /// Where so many follow each other that they take less together than their digests.
    counted: Counted<S>,
    /// The [digests](digest) of all others, by how they ended.
    others: Vec<(SagaState, Digests)>,
}

/// So many spans are kept as they are, whatever their length, and one more for each saga that runs.
const RECENT: usize = 512;

/// So many names take less as a span than by their digests.
const LONG: u64 = 64;

static NAME_KEY: LazyLock<[u8; 32]> =
    LazyLock::new(|| blake3::derive_key("hv 2026 name of an ended saga v1", &[]));

/// What stays of a name. Where two have the same, as one in 2⁶⁴ has that of a given name, the second cannot be taken.
fn digest(name: &[u8]) -> u64 {
    let digest = blake3::keyed_hash(&NAME_KEY, name);
    digest.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl<S> Settled<S> {
    /// How the one with this digest ended.
    fn other(&self, digest: u64) -> Option<SagaState> {
        self.others.iter().find(|(_, digests)| digests.contains(digest)).map(|(state, _)| *state)
    }
}

impl<S: BuildHasher + Default> Settled<S> {
    fn get(&self, name: &[u8]) -> Option<SagaState> {
        let other = || if self.others.is_empty() { None } else { self.other(digest(name)) };
        self.counted.get(name).or_else(other)
    }

    fn insert(&mut self, span: Span<'_>) {
        if span.more() >= LONG {
            return self.counted.insert_span(span);
        }
        for name in span.names() {
            let digest = digest(name.as_str().as_bytes());
            if self.other(digest).is_some() {
                continue;
            }
            match self.others.iter_mut().find(|(state, _)| *state == span.state) {
                Some((_, digests)) => digests.insert(digest),
                None => {
                    let mut digests = Digests::default();
                    digests.insert(digest);
                    self.others.push((span.state, digests));
                }
            }
        }
    }
}

impl<S: BuildHasher + Default> Ended<S> {
    #[inline]
    fn get(&self, name: &[u8]) -> Option<SagaState> {
        self.recent.get(name).or_else(|| self.settled.as_ref()?.get(name))
    }

    /// Takes note of one that is not there yet, and keeps no more spans than so many as they are.
    fn insert(&mut self, name: &[u8], state: SagaState, spans: usize) {
        let known = self.settled.as_mut().is_some_and(|settled| settled.counted.extend(name, state));
        if !known {
            self.recent.insert(name, state);
        }
        if self.recent.spans() > spans {
            let settled = self.settled.get_or_insert_default();
            mem::take(&mut self.recent).each_span().for_each(|span| settled.insert(span));
        }
    }

    /// Where all of them are kept.
    fn names(&self) -> Option<Vec<SagaId>> {
        let counted = match &self.settled {
            None => None,
            Some(settled) if settled.others.is_empty() => Some(&settled.counted),
            Some(_) => return None,
        };
        let spans = [Some(&self.recent), counted].into_iter().flatten().flat_map(Counted::each_span);
        Some(spans.flat_map(Span::names).collect())
    }
}

/// What is recent; behind it, where there is any, what is settled.
impl<S: BuildHasher + Default> Wire for Ended<S> {
    fn put(&self, out: &mut Vec<u8>) {
        self.recent.put(out);
        self.settled.is_some().put(out);
        if let Some(Settled { counted, others }) = self.settled.as_deref() {
            counted.put(out);
            put_varint(others.len() as u64, out);
            for (state, digests) in others {
                state.put(out);
                digests.put(out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let recent = Counted::take(reader)?;
        if !bool::take(reader)? {
            return Ok(Self { recent, settled: None });
        }
        let counted = Counted::take(reader)?;
        let mut settled = Settled { counted, others: Vec::new() };
        for _ in 0..u32::take(reader)? {
            let (state, digests) = <(SagaState, Digests)>::take(reader)?;
            let twice = settled.others.iter().any(|(known, _)| *known == state);
            if twice || digests.iter().any(|digest| settled.other(digest).is_some()) {
                return Err(reader.invalid("end of a saga"));
            }
            settled.others.push((state, digests));
        }
        if settled.counted.shares(&recent) {
            return Err(reader.invalid("end of a saga"));
        }
        Ok(Self { recent, settled: Some(Box::new(settled)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::hash::Hasher;

    /// By which everything is the same.
    #[derive(Debug, Default, Clone, Copy)]
    struct Nothing;

    impl Hasher for Nothing {
        fn finish(&self) -> u64 {
            0
        }

        fn write(&mut self, _: &[u8]) {}
    }

    impl BuildHasher for Nothing {
        type Hasher = Self;

        fn build_hasher(&self) -> Self {
            Self
        }
    }

    fn id(name: &str) -> SagaId {
        SagaId::new(name).unwrap()
    }

    fn restored<T: Wire>(value: &T) -> T {
        let again = T::from_bytes(&value.to_bytes()).unwrap();
        assert_eq!(again.to_bytes(), value.to_bytes());
        again
    }

    const STATES: [SagaState; 3] = [SagaState::Completed, SagaState::Compensated, SagaState::Escalated];

    /// Parts of counters: of several at once, with gaps, back and forth, and over the end of their digits.
    fn counting() -> impl Strategy<Value = Vec<String>> {
        let stem = prop::sample::select(vec!["a", "a-", "b", "b0", "", "c", "d", "e", "f"]);
        let tail = prop::sample::select(vec!["", "", "a", "-b"]);
        let first = prop_oneof![0u64..30, 95u64..105, 999_999_999_999_999_990u64..1_000_000_000_000_000_005];
        let count = prop_oneof![3 => 1u64..15, 1 => 60u64..200];
        let part = (stem, tail, first, count, 1u64..3, 0usize..4, any::<bool>());
        let part = part.prop_map(|(stem, tail, first, count, step, width, down)| {
            let mut values: Vec<_> = (0..count).map(|n| first + n * step).collect();
            if down {
                values.reverse();
            }
            values.into_iter().map(|value| format!("{stem}{value:0width$}{tail}")).collect::<Vec<_>>()
        });
        prop::collection::vec(part, 0..12).prop_map(|mut parts| {
            parts.push(["a", "b", "c-", "x"].map(str::to_owned).to_vec());
            let names = parts.concat().into_iter();
            names.filter(|name| SagaId::new(name).is_ok()).collect()
        })
    }

    fn hold_ends<S: BuildHasher + Default>(
        ends: &[(String, SagaState)],
        spans: usize,
    ) -> Result<(), TestCaseError> {
        let (mut ended, mut model) = (Ended::<S>::default(), BTreeMap::new());
        for (name, state) in ends {
            prop_assert_eq!(ended.get(name.as_bytes()), model.get(name).copied(), "{}", name);
            if !model.contains_key(name) {
                ended.insert(name.as_bytes(), *state, spans);
                model.insert(name.clone(), *state);
            }
            prop_assert!(ended.recent.spans() <= spans);
            for counted in [Some(&ended.recent), ended.settled.as_ref().map(|settled| &settled.counted)] {
                prop_assert!(counted.is_none_or(|counted| counted.spans() == counted.each_span().count()));
            }
        }
        for ended in [restored(&ended), ended] {
            for (name, state) in &model {
                prop_assert_eq!(ended.get(name.as_bytes()), Some(*state), "{}", name);
            }
            for other in [
                "a",
                "b07",
                "a-3",
                "0",
                "9",
                "10",
                "00",
                "9-b",
                "c999999999999999999",
                "c1000000000000000000",
            ] {
                prop_assert_eq!(ended.get(other.as_bytes()), model.get(other).copied(), "{}", other);
            }
            let others = ended.settled.as_ref().map_or(0, |settled| settled.others.len());
            prop_assert_eq!(ended.names().is_none(), others > 0);
            let mut names = ended.names().unwrap_or_else(|| model.keys().map(|name| id(name)).collect());
            names.sort_unstable();
            prop_assert!(names.iter().map(SagaId::as_str).eq(model.keys()), "{:?}", names);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn how_each_ended_is_found_by_its_name(
            names in counting(),
            states in prop::collection::vec(0usize..3, 1..4),
            spans in prop_oneof![Just(0usize), 1usize..20, Just(RECENT)],
        ) {
            let states = states.into_iter().map(|at| STATES[at]).cycle();
            let ends: Vec<_> = names.into_iter().zip(states).collect();
            hold_ends::<RandomState>(&ends, spans)?;
            hold_ends::<Nothing>(&ends, spans)?;
        }

        #[test]
        fn every_name_is_taken_once(names in counting(), ends in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
            let (mut known, mut model) = (Names::default(), BTreeMap::new());
            for name in names.iter().chain(&names) {
                let number = u32::try_from(model.len()).unwrap();
                let fresh = !model.contains_key(name);
                prop_assert_eq!(known.next(), number);
                prop_assert_eq!(known.insert(&id(name)), fresh.then_some(number));
                model.entry(name.clone()).or_insert((number, None));
            }
            for at in ends {
                let name = at.get(&names);
                known.end(&id(name), SagaState::Completed);
                // What has ended does not end again.
                known.end(&id(name), SagaState::Escalated);
                model.insert(name.clone(), (model[name].0, Some(SagaState::Completed)));
            }
            known.end(&id("nobody"), SagaState::Completed);
            for known in [restored(&known), known] {
                for (name, (number, ended)) in &model {
                    let running = ended.is_none().then_some(*number);
                    prop_assert_eq!((known.running(&id(name)), known.ended(&id(name))), (running, *ended));
                }
                prop_assert_eq!(known.ended(&id("nobody")), None);
                let mut running: Vec<_> = model.iter().filter(|(_, (_, ended))| ended.is_none()).collect();
                running.sort_unstable_by_key(|(_, (number, _))| *number);
                let running: Vec<_> = running.into_iter().map(|(name, _)| id(name)).collect();
                let all = known.all().names(|| -> Result<_, TestCaseError> { panic!("few are all kept") })?;
                prop_assert_eq!((all.len(), &all[all.len() - running.len()..]), (model.len(), &*running));
            }
        }
    }

    #[test]
    fn what_a_counter_names_holds_nothing_however_it_ended() {
        let mut names = Names::default();
        for number in 0..100_000u32 {
            names.insert(&id(&format!("release.{number}"))).unwrap();
            // They end in another order than they begin, and the last ones run.
            if let Some(number) = number.checked_sub(64) {
                let number = number ^ 7;
                names.end(&id(&format!("release.{number}")), STATES[usize::from(number > 50_000)]);
            }
        }
        // As many as there are numbers of digits, and no more than what ended and what did not.
        assert!(
            names.ended.recent.spans() <= 6 && names.ended.settled.is_none() && names.running.len() == 64
        );
        assert_eq!(
            (names.ended(&id("release.99999")), names.running(&id("release.99999"))),
            (None, Some(99_999))
        );
        assert_eq!(names.ended(&id("release.5")), Some(SagaState::Completed));
    }

    /// A name of which nothing can be said from others.
    fn single(n: u64) -> SagaId {
        let number = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let letter = |at: u32| char::from(b'a' + u8::try_from(number >> (4 * at) & 15).unwrap());
        id(&(0..16).map(letter).collect::<String>())
    }

    #[test]
    fn of_names_that_none_counts_digests_stay_and_counters_beside_them_are_kept_as_before() {
        let (mut names, mut opened) = (Names::default(), Vec::new());
        for n in 0..10_000u32 {
            for name in [single(n.into()), id(&format!("release.{n}.done"))] {
                names.insert(&name).unwrap();
                opened.push(name);
            }
            if let Some(n) = n.checked_sub(64) {
                names.end(&single((n ^ 7).into()), STATES[n as usize % 3]);
                names.end(&id(&format!("release.{}.done", n ^ 7)), SagaState::Completed);
            }
        }
        for names in [restored(&names), names] {
            let settled = names.ended.settled.as_ref().unwrap();
            let others: usize = settled.others.iter().map(|(_, digests)| digests.iter().count()).sum();
            let running = names.running.len();
            assert!(running == 128, "{running}");
            assert!((9_000..11_000).contains(&others), "{others}");
            assert!(settled.counted.spans() < 40, "{}", settled.counted.spans());
            assert!(names.ended.recent.spans() <= RECENT + 200, "{}", names.ended.recent.spans());
            for name in &opened {
                assert!(names.running(name).is_some() != names.ended(name).is_some(), "{name}");
            }
            for n in 10_000..20_000u32 {
                let known =
                    [single(n.into()), id(&format!("release.{n}.done"))].map(|name| names.ended(&name));
                assert_eq!(known, [None, None]);
            }
            let mut listed = names.all().names(|| {
                // Somebody opens another one while they are read.
                Ok::<_, ()>(opened.iter().cloned().chain([id("later")]).collect())
            });
            let listed = listed.as_mut().unwrap();
            assert_eq!(listed.len(), opened.len());
            let ended = listed.len() - running;
            let number = |name: &SagaId| {
                name.as_str().strip_prefix("release.")?.strip_suffix(".done")?.parse::<u32>().ok()
            };
            assert!(listed[..ended].is_sorted_by_key(number));
            assert!(listed[ended..].iter().all(|name| names.running(name).is_some()));
            let unread = names.all().names(|| Err::<Vec<SagaId>, _>("unreadable"));
            assert_eq!(unread, Err("unreadable"));
        }
    }

    #[test]
    fn a_name_comes_once_however_long_ago_it_ended() {
        let mut names = Names::default();
        for n in 0..5_000u32 {
            names.insert(&single(n.into())).unwrap();
            names.end(&single(n.into()), STATES[n as usize % 3]);
        }
        for n in 0..5_000u32 {
            assert_eq!(names.ended(&single(n.into())), Some(STATES[n as usize % 3]));
            assert_eq!((names.insert(&single(n.into())), names.running(&single(n.into()))), (None, None));
        }
        assert_eq!(names.insert(&single(5_000)), Some(5_000));
    }

    #[test]
    fn whoever_chooses_names_for_it_finds_them_as_fast() {
        for name in [|n: u32| format!("x{}", n * 2), |n: u32| format!("x{n}y{}", n % 7)] {
            for spans in [RECENT, usize::MAX] {
                let mut ended = Ended::<RandomState>::default();
                for n in (0..40_000u32).rev() {
                    ended.insert(name(n).as_bytes(), SagaState::Completed, spans);
                }
                for n in 0..40_000u32 {
                    assert!(ended.get(name(n).as_bytes()).is_some());
                }
                assert_eq!((ended.get(b"x3"), ended.names().is_some()), (None, spans == usize::MAX));
            }
        }
    }

    #[test]
    fn what_no_names_are_is_refused() {
        let counted = |names: &[&str]| {
            let mut counted = Counted::<RandomState>::default();
            names.iter().for_each(|name| counted.insert(name.as_bytes(), SagaState::Completed));
            counted
        };
        let digests = |of: &[u64]| {
            let mut digests = Digests::default();
            of.iter().for_each(|digest| digests.insert(*digest));
            digests
        };
        let read = |recent: &[&str], before: &[&str], others: &[(SagaState, &[u64])]| {
            let others = others.iter().map(|(state, of)| (*state, digests(of))).collect();
            let settled = Some(Box::new(Settled { counted: counted(before), others }));
            Ended::<RandomState>::from_bytes(&Ended { recent: counted(recent), settled }.to_bytes()).is_ok()
        };
        let [done, undone, _] = STATES;
        assert!(read(&["a1", "b"], &["a2", "a5"], &[(undone, &[1, 3]), (done, &[2, u64::MAX])]));
        for (recent, before) in [("a1", "a1"), ("b", "b")] {
            assert!(!read(&[recent, "c"], &[before, "d"], &[]), "{recent}");
        }
        assert!(!read(&["a2"], &["a1", "a2", "a3"], &[]) && !read(&["a1", "a2", "a3"], &["a2"], &[]));
        assert!(
            !read(&[], &[], &[(done, &[1]), (done, &[2])])
                && !read(&[], &[], &[(done, &[1]), (undone, &[1])])
        );

        let names = |next: u32, running: &[(u32, SagaId)]| {
            let mut out = next.to_bytes();
            running.to_vec().put(&mut out);
            out.extend(
                Ended::<RandomState> { recent: counted(&["a1", "a2", "a3"]), settled: None }.to_bytes(),
            );
            Names::from_bytes(&out).is_ok()
        };
        assert!(names(9, &[]) && names(9, &[(2, id("a")), (8, id("b"))]));
        for running in [
            &[(9, id("a"))][..],
            &[(2, id("a")), (2, id("b"))],
            &[(3, id("a")), (2, id("b"))],
            &[(2, id("a")), (3, id("a"))],
            &[(2, id("a2"))],
        ] {
            assert!(!names(9, running), "{running:?}");
        }
    }
}
