//! Names that count up: what those of one kind have in common stands there once, and their numbers by the first and the last
//! of those that follow each other.

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hv_saga::SagaState;
use hv_types::wire::{Reader, put_bytes, put_varint};
use hv_types::{SagaId, Undecodable, Wire};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

/// A name, and the number in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Split<'a> {
    kind: Kind<'a>,
    /// What its digits say; 0 without any.
    value: u64,
}

/// What names have in common that differ by their number alone: what stands around the last digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Kind<'a> {
    stem: &'a [u8],
    /// How many digits follow.
    width: u8,
    /// What follows them.
    tail: &'a [u8],
}

/// So many digits count at most: whatever number they are, there is one behind it.
const DIGITS: usize = 18;

impl<'a> Split<'a> {
    #[inline]
    pub(super) fn of(name: &'a [u8]) -> Self {
        let end = name.iter().rposition(u8::is_ascii_digit).map_or(name.len(), |last| last + 1);
        let (counted, tail) = name.split_at_checked(end).unwrap_or((name, &[]));
        let width = counted.iter().rev().take(DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
        let (stem, digits) = counted.split_at_checked(end - width).unwrap_or((counted, &[]));
        let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit.wrapping_sub(b'0')));
        // No more than there are counted.
        let width = u8::try_from(width).unwrap_or_default();
        Self { kind: Kind { stem, width, tail }, value }
    }
}

impl Kind<'_> {
    /// The name with this number.
    fn name(self, value: u64) -> Option<SagaId> {
        let Kind { stem, width, tail } = self;
        let [stem, tail] = [stem, tail].map(std::str::from_utf8);
        let digits =
            if width == 0 { String::new() } else { format!("{value:0width$}", width = width.into()) };
        SagaId::new(&format!("{}{digits}{}", stem.ok()?, tail.ok()?)).ok()
    }
}

/// Names that follow each other and ended alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a> {
    kind: Kind<'a>,
    first: u64,
    last: u64,
    pub(super) state: SagaState,
}

impl<'a> Span<'a> {
    /// How many follow the first.
    pub(super) const fn more(&self) -> u64 {
        self.last - self.first
    }

    pub(super) fn names(self) -> impl Iterator<Item = SagaId> + use<'a> {
        (self.first..=self.last).filter_map(move |value| self.kind.name(value))
    }
}

/// How sagas ended, by name.
#[derive(Debug, Default)]
pub(super) struct Counted<S = RandomState> {
    kinds: Kinds,
    /// How many there are of all kinds.
    spans: usize,
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
    /// How many digits it has.
    width: u8,
    /// How many bytes stand behind them.
    tail: u16,
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
        let digits = of.end.checked_sub(of.tail.into())?;
        let stem = self.firsts.get(start..digits.checked_sub(of.width.into())?)?;
        Some(Kind { stem, width: of.width, tail: self.firsts.get(digits..of.end)? })
    }

    /// Whether those of a kind have this in common.
    #[inline]
    fn is(&self, at: usize, Kind { stem, width, tail }: Kind<'_>) -> bool {
        self.kind(at).is_some_and(|own| {
            let alike = own.width == width && own.tail.len() == tail.len() && own.stem == stem;
            alike && (tail.is_empty() || own.tail == tail)
        })
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
        let same = |at: &u32| kinds.is(*at as usize, kind);
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

impl<S: BuildHasher + Default> Counted<S> {
    fn find(&self, kind: Kind<'_>) -> Option<usize> {
        match &self.index {
            None => (0..self.kinds.each.len()).find(|at| self.kinds.is(*at, kind)),
            Some(index) => index.find(&self.kinds, kind),
        }
    }

    /// How many spans there are.
    pub(super) const fn spans(&self) -> usize {
        self.spans
    }

    #[inline]
    pub(super) fn get(&self, name: &[u8]) -> Option<SagaState> {
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
    pub(super) fn insert(&mut self, name: &[u8], state: SagaState) {
        let Split { kind, value } = Split::of(name);
        match self.find(kind) {
            Some(at) => drop(self.insert_at(at, (value, value), state, true)),
            None => self.push(name, kind, state),
        }
    }

    /// Takes note of one that is not there yet where it follows others that ended alike, or they follow it. Says whether
    /// it does.
    pub(super) fn extend(&mut self, name: &[u8], state: SagaState) -> bool {
        let Split { kind, value } = Split::of(name);
        self.find(kind).is_some_and(|at| self.insert_at(at, (value, value), state, false))
    }

    /// Takes note of several of which none is there yet.
    pub(super) fn insert_span(&mut self, span: Span<'_>) {
        let Span { kind, first, last, state } = span;
        let Some(at) = self.find(kind) else {
            let Some(name) = kind.name(first) else { return };
            self.push(name.as_str().as_bytes(), kind, state);
            if let (true, Some(of)) = (last > first, self.kinds.each.last_mut()) {
                of.spans = Some(Box::new([(first, (last, state))].into()));
            }
            return;
        };
        self.insert_at(at, (first, last), state, true);
    }

    /// Takes note of numbers of a kind; `alone` also where none that ended alike is beside them. Says whether it did.
    fn insert_at(&mut self, at: usize, (first, last): (u64, u64), state: SagaState, alone: bool) -> bool {
        let beside = |a: u64, b: u64| a.checked_add(1) == Some(b);
        let of = self.kinds.each.get(at).filter(|of| of.spans.is_none());
        if let Some(of) = of {
            let (own, ended) = (self.kinds.first(at).value, of.state);
            if !alone && (ended != state || !beside(own, first) && !beside(last, own)) {
                return false;
            }
            if let Some(of) = self.kinds.each.get_mut(at) {
                of.spans = Some(Box::new([(own, (own, ended))].into()));
            }
        }
        let Some(spans) = self.kinds.each.get_mut(at).and_then(|of| of.spans.as_deref_mut()) else {
            return false;
        };
        if let Some(mut newest) = spans.last_entry()
            && beside(newest.get().0, first)
            && newest.get().1 == state
        {
            newest.get_mut().0 = last;
            return true;
        }
        // Where they lie between two that ended as they did, all become one.
        let before = spans.range(..first).next_back().map(|(first, span)| (*first, *span));
        let before = before.filter(|(_, (end, ended))| beside(*end, first) && *ended == state);
        let next = last.saturating_add(1);
        let behind = spans.get(&next).copied().filter(|(_, ended)| *ended == state);
        if before.is_none() && behind.is_none() && !alone {
            return false;
        }
        if behind.is_some() {
            spans.remove(&next);
        }
        let known = usize::from(before.is_some()) + usize::from(behind.is_some());
        spans
            .insert(before.map_or(first, |(first, _)| first), (behind.map_or(last, |(last, _)| last), state));
        self.spans = self.spans + 1 - known;
        true
    }

    /// Takes note of the first of its kind.
    #[inline]
    fn push(&mut self, name: &[u8], kind: Kind<'_>, state: SagaState) {
        self.spans += 1;
        self.kinds.firsts.extend_from_slice(name);
        // A name is not that long.
        let (width, tail) = (kind.width, u16::try_from(kind.tail.len()).unwrap_or_default());
        self.kinds.each.push(OfKind { end: self.kinds.firsts.len(), width, tail, state, spans: None });
        let kinds = self.kinds.each.len();
        if kinds > FEW {
            // From the first time on that there are more than a few, all of them are found there.
            let from = if self.index.is_some() { kinds - 1 } else { 0 };
            let index = self.index.get_or_insert_default();
            (from..kinds).for_each(|at| index.enter(&self.kinds, at));
        }
    }

    /// By the kinds in the order in which they came, and then by the numbers.
    pub(super) fn each_span(&self) -> impl Iterator<Item = Span<'_>> {
        (0..self.kinds.each.len()).flat_map(|at| {
            let kind = self.kinds.first(at).kind;
            self.kinds.spans(at).map(move |(first, (last, state))| Span { kind, first, last, state })
        })
    }

    /// Whether one of these is there.
    fn overlaps(&self, Span { kind, first, last, .. }: Span<'_>) -> bool {
        let Some(at) = self.find(kind) else { return false };
        let spans = self.kinds.each.get(at).and_then(|of| of.spans.as_deref());
        let Some(spans) = spans else { return (first..=last).contains(&self.kinds.first(at).value) };
        spans.range(..=last).next_back().is_some_and(|(_, (end, _))| *end >= first)
    }

    /// Whether one name is in both.
    pub(super) fn shares(&self, other: &Self) -> bool {
        other.each_span().any(|span| self.overlaps(span))
    }
}

/// By the first name of each kind: the numbers of those that follow each other and ended alike, and how.
impl<S: BuildHasher + Default> Wire for Counted<S> {
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
        let mut counted = Self::default();
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
                own.filter(|_| counted.find(kind).is_none()).ok_or_else(|| reader.invalid("saga name"))?;
            counted.push(name.as_str().as_bytes(), kind, state);
            counted.spans += spans.len() - 1;
            if let Some(of) = counted.kinds.each.last_mut().filter(|_| count > 0 || spans.len() > 1) {
                of.spans = Some(Box::new(spans));
            }
        }
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_names_are_is_refused() {
        type Span = (u64, u64, SagaState);
        let read = |kinds: &[(&str, &[Span])]| {
            let mut out = Vec::new();
            put_varint(kinds.len() as u64, &mut out);
            for (name, spans) in kinds {
                put_bytes(name.as_bytes(), &mut out);
                spans.to_vec().put(&mut out);
            }
            Counted::<RandomState>::from_bytes(&out).is_ok()
        };
        let [done, undone] = [SagaState::Completed, SagaState::Compensated];
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
    }

    #[test]
    fn names_differ_by_their_last_number() {
        let split = |name: &'static str| {
            let Split { kind: Kind { stem, width, tail }, value } = Split::of(name.as_bytes());
            let text = |bytes| std::str::from_utf8(bytes).unwrap();
            (text(stem), width, value, text(tail))
        };
        assert_eq!(split("run-7-step-012-done"), ("run-7-step-", 3, 12, "-done"));
        assert_eq!(split("release"), ("release", 0, 0, ""));
        assert_eq!(split("41"), ("", 2, 41, ""));
        // A number of more digits has its last ones.
        assert_eq!(split("1234567890123456789x"), ("1", 18, 234_567_890_123_456_789, "x"));
        for name in ["run-7-step-012-done", "release", "41", "1234567890123456789x", "9a"] {
            let Split { kind, value } = Split::of(name.as_bytes());
            assert_eq!(kind.name(value).unwrap().as_str(), name);
        }
    }
}
