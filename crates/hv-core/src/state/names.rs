//! The names of a session's sagas: the numbers of those that run, and how those ended that have. What has ended is kept by
//! what names that count up have in common, and by the numbers with which they end: so however many sagas have ended, they
//! hold nothing where a counter names them.

use super::CROWD;
use crate::few::Few;
use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hv_saga::SagaState;
use hv_types::wire::{Reader, put_bytes, put_varint};
use hv_types::{SagaId, Undecodable, Wire};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

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
            self.ended.insert(name.as_str().as_bytes(), state);
        }
    }

    /// Those that have ended, by name, and behind them those that run, in the order of their numbers.
    pub(super) fn all(&self) -> Vec<SagaId> {
        let running = self.numbered().into_iter().map(|(_, name)| name.clone());
        self.ended.names().chain(running).collect()
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

/// A name in two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Split<'a> {
    kind: Kind<'a>,
    /// The number that its digits are; 0 without any.
    value: u64,
}

/// What names have in common that differ by their number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind<'a> {
    stem: &'a [u8],
    /// How many digits follow.
    width: u8,
}

/// So many digits count at most: whatever number they are, there is one behind it.
const DIGITS: usize = 18;

impl<'a> Split<'a> {
    #[inline]
    fn of(name: &'a [u8]) -> Self {
        let width = name.iter().rev().take(DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
        let (stem, digits) = name.split_at_checked(name.len() - width).unwrap_or((name, &[]));
        let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit.wrapping_sub(b'0')));
        // No more than there are counted.
        let width = u8::try_from(width).unwrap_or_default();
        Self { kind: Kind { stem, width }, value }
    }
}

impl Kind<'_> {
    /// The name that ends with this number.
    fn name(self, value: u64) -> Option<SagaId> {
        let Kind { stem, width } = self;
        let digits =
            if width == 0 { String::new() } else { format!("{value:0width$}", width = width.into()) };
        SagaId::new(&format!("{}{digits}", std::str::from_utf8(stem).ok()?)).ok()
    }
}

/// How sagas ended, by name.
#[derive(Debug, Default)]
struct Ended<S = RandomState> {
    kinds: Kinds,
    /// Where there are more than a [few](FEW).
    index: Option<Box<Index<S>>>,
}

/// Kinds, to be found by what their names have in common. Whoever chooses names does not know their hashes.
#[derive(Debug, Default)]
struct Index<S> {
    table: HashTable<u32>,
    hasher: S,
}

/// So many kinds are compared one by one.
const FEW: usize = 8;

/// In the order in which they came.
#[derive(Debug, Default)]
struct Kinds {
    /// The first name of each, one behind another.
    firsts: SmallVec<[u8; 16]>,
    each: SmallVec<[OfKind; 1]>,
}

/// Those whose names are of one kind.
#[derive(Debug)]
struct OfKind {
    /// Where the first name ends.
    end: usize,
    /// With how many digits.
    width: u8,
    /// How that one ended.
    state: SagaState,
    /// All of them, where there are more.
    spans: Option<Box<Spans>>,
}

/// Names that count up and ended alike, by the number of the first; the number of the last.
type Spans = BTreeMap<u64, (u64, SagaState)>;

impl Kinds {
    fn first_name(&self, at: usize) -> &[u8] {
        let end = |at: usize| self.each.get(at).map_or(0, |of| of.end);
        let start = at.checked_sub(1).map_or(0, end);
        self.firsts.get(start..end(at)).unwrap_or_default()
    }

    fn first(&self, at: usize) -> Split<'_> {
        Split::of(self.first_name(at))
    }

    /// What those of a kind have in common; nothing has what is not there.
    #[inline]
    fn kind(&self, at: usize) -> Option<Kind<'_>> {
        let of = self.each.get(at)?;
        let start = at.checked_sub(1).and_then(|at| self.each.get(at)).map_or(0, |of| of.end);
        let stem = self.firsts.get(start..of.end.checked_sub(of.width.into())?)?;
        Some(Kind { stem, width: of.width })
    }

    /// Numbers and how they ended, in ascending order.
    fn spans(&self, at: usize) -> impl Iterator<Item = (u64, (u64, SagaState))> {
        let spans = self.each.get(at).map(|of| of.spans.as_deref().ok_or(of.state));
        let value = self.first(at).value;
        let alone = spans.and_then(Result::err).map(|state| (value, (value, state)));
        let all = spans.and_then(Result::ok).into_iter().flatten();
        alone.into_iter().chain(all.map(|(first, span)| (*first, *span)))
    }
}

impl<S: BuildHasher> Index<S> {
    fn find(&self, kinds: &Kinds, kind: Kind<'_>) -> Option<usize> {
        let same = |at: &u32| kinds.kind(*at as usize) == Some(kind);
        self.table.find(self.hasher.hash_one(Some(kind)), same).map(|at| *at as usize)
    }

    fn enter(&mut self, kinds: &Kinds, at: usize) {
        let Self { table, hasher } = self;
        let hash = |at: usize| hasher.hash_one(kinds.kind(at));
        if let Ok(entry) = u32::try_from(at) {
            table.insert_unique(hash(at), entry, |at| hash(*at as usize));
        }
    }
}

impl<S: BuildHasher + Default> Ended<S> {
    fn find(&self, kind: Kind<'_>) -> Option<usize> {
        match &self.index {
            None => (0..self.kinds.each.len()).find(|at| self.kinds.kind(*at) == Some(kind)),
            Some(index) => index.find(&self.kinds, kind),
        }
    }

    #[inline]
    fn get(&self, name: &[u8]) -> Option<SagaState> {
        if self.kinds.each.is_empty() { None } else { self.look_up(name) }
    }

    fn look_up(&self, name: &[u8]) -> Option<SagaState> {
        let Split { kind, value } = Split::of(name);
        let at = self.find(kind)?;
        let of = self.kinds.each.get(at)?;
        let Some(spans) = &of.spans else { return (self.kinds.first(at).value == value).then_some(of.state) };
        // Mostly it is behind all others, or one of those that came last.
        let newest = spans.last_key_value().filter(|(first, _)| **first <= value);
        let (_, (last, state)) = newest.or_else(|| spans.range(..=value).next_back())?;
        (value <= *last).then_some(*state)
    }

    /// Takes note of one that is not there yet.
    fn insert(&mut self, name: &[u8], state: SagaState) {
        let Split { kind, value } = Split::of(name);
        let Some(at) = self.find(kind) else { return self.push(name, kind.width, state) };
        let first = self.kinds.first(at).value;
        let Some(of) = self.kinds.each.get_mut(at) else { return };
        let spans = of.spans.get_or_insert_with(|| Box::new([(first, (first, of.state))].into()));
        if let Some(mut newest) = spans.last_entry()
            && newest.get().0.checked_add(1) == Some(value)
            && newest.get().1 == state
        {
            newest.get_mut().0 = value;
            return;
        }
        // Where it lies between two that ended as it did, they become one.
        let before = spans.range(..value).next_back().map(|(first, span)| (*first, *span));
        let before =
            before.filter(|(_, (last, ended))| last.checked_add(1) == Some(value) && *ended == state);
        let next = value.saturating_add(1);
        let behind = spans.get(&next).copied().filter(|(_, ended)| *ended == state);
        if behind.is_some() {
            spans.remove(&next);
        }
        spans.insert(
            before.map_or(value, |(first, _)| first),
            (behind.map_or(value, |(last, _)| last), state),
        );
    }

    /// Takes note of the first of its kind.
    #[inline]
    fn push(&mut self, name: &[u8], width: u8, state: SagaState) {
        self.kinds.firsts.extend_from_slice(name);
        self.kinds.each.push(OfKind { end: self.kinds.firsts.len(), width, state, spans: None });
        let kinds = self.kinds.each.len();
        if kinds > FEW {
            // From the first time on that there are more than a few, all of them are found there.
            let from = if self.index.is_some() { kinds - 1 } else { 0 };
            let index = self.index.get_or_insert_default();
            (from..kinds).for_each(|at| index.enter(&self.kinds, at));
        }
    }

    /// In the order of their names.
    fn names(&self) -> impl Iterator<Item = SagaId> {
        let mut kinds: Vec<_> =
            (0..self.kinds.each.len()).map(|at| (self.kinds.first(at).kind, at)).collect();
        kinds.sort_unstable_by_key(|(kind, _)| (kind.stem, kind.width));
        kinds.into_iter().flat_map(|(kind, at)| {
            let values = self.kinds.spans(at).flat_map(|(first, (last, _))| first..=last);
            values.filter_map(move |value| kind.name(value))
        })
    }
}

/// By the first name of each kind: the numbers of those that follow each other and ended alike, and how.
impl<S: BuildHasher + Default> Wire for Ended<S> {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(self.kinds.each.len() as u64, out);
        for at in 0..self.kinds.each.len() {
            put_bytes(self.kinds.first_name(at), out);
            let spans: Vec<_> = self.kinds.spans(at).collect();
            put_varint(spans.len() as u64, out);
            for (first, (last, state)) in spans {
                put_varint(first, out);
                put_varint(last, out);
                state.put(out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let mut ended = Self::default();
        for _ in 0..u32::take(reader)? {
            let name = SagaId::take(reader)?;
            let Split { kind, value } = Split::of(name.as_str().as_bytes());
            let largest = 10u64.pow(kind.width.into()) - 1;
            let (mut spans, mut count, mut own) = (Spans::new(), 0, None);
            for _ in 0..u32::take(reader)? {
                let (first, last, state) = <(u64, u64, SagaState)>::take(reader)?;
                let before = spans.last_key_value().map(|(_, (last, state))| (*last, *state));
                let apart = before.is_none_or(|(end, as_state)| first > end + u64::from(as_state == state));
                if !apart || first > last || last > largest {
                    return Err(reader.invalid("end of a saga"));
                }
                own = own.or((first..=last).contains(&value).then_some(state));
                count += last - first;
                spans.insert(first, (last, state));
            }
            let state =
                own.filter(|_| ended.find(kind).is_none()).ok_or_else(|| reader.invalid("saga name"))?;
            ended.push(name.as_str().as_bytes(), kind.width, state);
            if let Some(of) = ended.kinds.each.last_mut().filter(|_| count > 0 || spans.len() > 1) {
                of.spans = Some(Box::new(spans));
            }
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
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
        let first = prop_oneof![0u64..30, 95u64..105, 999_999_999_999_999_990u64..1_000_000_000_000_000_005];
        let part = (stem, first, 1u64..15, 1u64..3, 0usize..4, any::<bool>());
        let part = part.prop_map(|(stem, first, count, step, width, down)| {
            let mut values: Vec<_> = (0..count).map(|n| first + n * step).collect();
            if down {
                values.reverse();
            }
            values.into_iter().map(|value| format!("{stem}{value:0width$}")).collect::<Vec<_>>()
        });
        prop::collection::vec(part, 0..12).prop_map(|mut parts| {
            parts.push(["a", "b", "c-", "x"].map(str::to_owned).to_vec());
            let names = parts.concat().into_iter();
            names.filter(|name| SagaId::new(name).is_ok()).collect()
        })
    }

    fn hold_ends<S: BuildHasher + Default>(ends: &[(String, SagaState)]) -> Result<(), TestCaseError> {
        let (mut ended, mut model) = (Ended::<S>::default(), BTreeMap::new());
        for (name, state) in ends {
            prop_assert_eq!(ended.get(name.as_bytes()), model.get(name).copied(), "{}", name);
            if !model.contains_key(name) {
                ended.insert(name.as_bytes(), *state);
                model.insert(name.clone(), *state);
            }
        }
        for ended in [restored(&ended), ended] {
            for (name, state) in &model {
                prop_assert_eq!(ended.get(name.as_bytes()), Some(*state), "{}", name);
            }
            for other in
                ["a", "b07", "a-3", "0", "9", "10", "00", "c999999999999999999", "c1000000000000000000"]
            {
                prop_assert_eq!(ended.get(other.as_bytes()), model.get(other).copied(), "{}", other);
            }
            let mut names: Vec<_> = ended.names().map(|name| name.as_str().to_owned()).collect();
            names.sort_unstable();
            prop_assert!(names.iter().eq(model.keys()), "{:?}", names);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn how_each_ended_is_found_by_its_name(names in counting(), states in prop::collection::vec(0usize..3, 1..4)) {
            let states = states.into_iter().map(|at| STATES[at]).cycle();
            let ends: Vec<_> = names.into_iter().zip(states).collect();
            hold_ends::<RandomState>(&ends)?;
            hold_ends::<Nothing>(&ends)?;
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
                let all = known.all();
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
        let kinds: Vec<_> =
            (0..names.ended.kinds.each.len()).map(|at| names.ended.kinds.spans(at).count()).collect();
        // As many as there are numbers of digits, and no more than what ended and what did not.
        assert_eq!(kinds, [1, 1, 1, 1, 2]);
        assert!(names.ended.kinds.firsts.len() < 70 && names.running.len() == 64);
        assert_eq!(
            (names.ended(&id("release.99999")), names.running(&id("release.99999"))),
            (None, Some(99_999))
        );
        assert_eq!(names.ended(&id("release.5")), Some(SagaState::Completed));
    }

    #[test]
    fn whoever_chooses_names_for_it_finds_them_as_fast() {
        for name in [|n: u32| format!("x{}", n * 2), |n: u32| format!("x{n}y")] {
            let mut ended = Ended::<RandomState>::default();
            for n in (0..40_000u32).rev() {
                ended.insert(name(n).as_bytes(), SagaState::Completed);
            }
            for n in 0..40_000u32 {
                assert!(ended.get(name(n).as_bytes()).is_some());
            }
            assert_eq!((ended.get(b"x3"), ended.names().count()), (None, 40_000));
        }
    }

    #[test]
    fn what_no_names_are_is_refused() {
        type Span = (u64, u64, SagaState);
        let ends = |kinds: &[(&str, &[Span])]| {
            let mut out = Vec::new();
            put_varint(kinds.len() as u64, &mut out);
            for (name, spans) in kinds {
                put_bytes(name.as_bytes(), &mut out);
                spans.to_vec().put(&mut out);
            }
            out
        };
        let read = |kinds: &[(&str, &[Span])]| Ended::<RandomState>::from_bytes(&ends(kinds)).is_ok();
        let [done, undone, _] = STATES;
        assert!(
            read(&[])
                && read(&[("a", &[(0, 0, done)]), ("a1", &[(1, 3, done), (4, 4, undone), (6, 9, undone)])])
        );
        for kinds in [
            &[("a", &[][..])][..],
            &[("a", &[(1, 1, done)])],
            &[("a", &[(0, 1, done)])],
            &[("a1", &[(2, 2, done)])],
            &[("a1", &[(1, 0, done)])],
            &[("a1", &[(1, 10, done)])],
            &[("a1", &[(1, 2, done), (2, 3, undone)])],
            &[("a1", &[(1, 2, done), (3, 3, done)])],
            &[("a3", &[(3, 3, done), (1, 1, done)])],
            &[("a1", &[(1, 1, done)]), ("a2", &[(2, 2, done)])],
            &[("-", &[(0, 0, done)])],
        ] {
            assert!(!read(kinds), "{kinds:?}");
        }
        let names = |next: u32, running: &[(u32, SagaId)]| {
            let mut out = next.to_bytes();
            running.to_vec().put(&mut out);
            out.extend(ends(&[("a1", &[(1, 3, done)])]));
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
