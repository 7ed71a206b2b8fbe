//! Refusals that come in floods: the first ones of a window are told one by one, the others as numbers.
//!
//! Nothing is dropped. What is not told in full is counted by kind and by who asked, and the count is told when it
//! has doubled and when its window ends; so what a crash can take of a count is never more than what was told of it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;
use hv_types::Timestamp;

/// When refusals are told one by one, and when as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct FoldPolicy {
    /// How long a window is.
    pub window: Duration,
    /// How long a window becomes at most: each that follows on a flood is twice as long as the one before.
    pub longest: Duration,
    /// How many refusals of one source are told in full in each window.
    pub in_full: u32,
    /// How many of all sources together are, in [`window`](Self::window).
    pub in_full_together: u32,
}

/// A minute, twice as long after each flood up to a day; 32 refusals of a source and 512 of all in full.
impl Default for FoldPolicy {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            longest: Duration::from_secs(86_400),
            in_full: 32,
            in_full_together: 512,
        }
    }
}

hv_types::wire_struct!(FoldPolicy { window, longest, in_full, in_full_together });

/// How many sources are told apart; what comes from any more of them is counted together.
pub const MAX_SOURCES: usize = 256;

/// How many of those who asked are named in one count; the others are counted together.
pub const MAX_NAMED: usize = 16;

/// How one refusal is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a count that is due and not told is lost"]
pub struct Telling<S, K, W> {
    /// Whether this one refusal is told in full. Otherwise it is in a count, one that is due or a later one.
    pub form: Form,
    /// The counts that are due.
    pub due: Vec<Tally<S, K, W>>,
}

/// Whether a refusal is told by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// It is told in full.
    InFull,
    /// It is counted.
    Counted,
}

/// So many refusals, told together; what was told of the same window before is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally<S, K, W> {
    /// Where they came from; nothing where there were too many sources to tell them apart.
    pub source: Option<S>,
    /// When their window began.
    pub since: Timestamp,
    /// When the last of them was refused.
    pub until: Timestamp,
    /// How many of each kind, in order; the sum is that of all.
    pub kinds: Vec<(K, u64)>,
    /// Who asked how often, in order; at most [`MAX_NAMED`].
    pub who: Vec<(W, u64)>,
    /// How many were asked for by others than those.
    pub others: u64,
}

impl<S, K, W> Tally<S, K, W> {
    /// How many refusals it tells of.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.kinds.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

/// The windows of all sources. `K` is a kind of refusal and must have few values; `W` says who asked.
///
/// ```
/// use hv_rings::Timestamp;
/// use hv_rings::fold::{Fold, FoldPolicy, Form};
///
/// let policy = FoldPolicy { in_full: 1, ..FoldPolicy::default() };
/// let mut fold = Fold::<&str, &str, &str>::default();
/// assert_eq!(fold.refused(&policy, &"10.0.0.7", "unknown", &"eve", Timestamp(1)).form, Form::InFull);
/// // The first count says that counting has begun; then it is told whenever it has doubled.
/// let told: Vec<u64> = (0..8)
///     .flat_map(|n| fold.refused(&policy, &"10.0.0.7", "unknown", &"eve", Timestamp(2 + n)).due)
///     .map(|tally| tally.count())
///     .collect();
/// assert_eq!(told, [1, 1, 2, 4]);
/// ```
#[derive(Debug, Clone)]
pub struct Fold<S, K, W> {
    windows: BTreeMap<S, Window<K, W>>,
    /// The one of all sources for which there is no room.
    crowd: Option<Window<K, W>>,
    capacity: usize,
    latest: Timestamp,
    next_end: Timestamp,
    /// When the present stretch of counting together what is told in full ends, and how many are.
    together: (Timestamp, u32),
}

#[derive(Debug, Clone)]
struct Window<K, W> {
    since: Timestamp,
    ends: Timestamp,
    length: Duration,
    /// Told in full.
    full: u32,
    /// Counted in this window, told or not.
    counted: u64,
    /// Counted and not told yet.
    kinds: BTreeMap<K, u64>,
    who: BTreeMap<W, u64>,
    others: u64,
    last: Timestamp,
}

impl<S, K, W> Default for Fold<S, K, W> {
    fn default() -> Self {
        Self::with_capacity(MAX_SOURCES)
    }
}

impl<S, K, W> Fold<S, K, W> {
    /// Tells so many sources apart.
    #[must_use]
    pub const fn with_capacity(capacity: usize) -> Self {
        Self {
            windows: BTreeMap::new(),
            crowd: None,
            capacity,
            latest: Timestamp(0),
            next_end: Timestamp::MAX,
            together: (Timestamp(0), 0),
        }
    }

    /// The next point in time at which [`due`](Self::due) has something to do; [`Timestamp::MAX`] for never.
    #[must_use]
    pub const fn next_end(&self) -> Timestamp {
        self.next_end
    }

    /// How many sources are told apart at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether no source is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.crowd.is_none()
    }
}

impl<S: Ord + Clone, K: Ord, W: Ord + Clone> Fold<S, K, W> {
    /// Notes one refusal; answers how it is told.
    ///
    /// Costs O(log n). A clock that runs backwards counts as standing still.
    pub fn refused(
        &mut self,
        policy: &FoldPolicy,
        source: &S,
        kind: K,
        who: &W,
        now: Timestamp,
    ) -> Telling<S, K, W> {
        let mut due = self.due(policy, now);
        let now = self.latest;
        if self.together.0 <= now {
            self.together = (now.after(policy.window), 0);
        }
        let room = self.windows.len() < self.capacity;
        let open = || Window::open(now, policy.window);
        let (window, named) = match self.windows.get_mut(source) {
            Some(window) => (window, Some(source)),
            None if room => (self.windows.entry(source.clone()).or_insert_with(open), Some(source)),
            None => (self.crowd.get_or_insert_with(open), None),
        };
        self.next_end = self.next_end.min(window.ends);
        if window.full < policy.in_full && self.together.1 < policy.in_full_together {
            window.full += 1;
            self.together.1 += 1;
            return Telling { form: Form::InFull, due };
        }
        window.count(kind, who, now);
        if window.counted.is_power_of_two() {
            due.extend(window.tell(named.cloned()));
        }
        Telling { form: Form::Counted, due }
    }

    /// The counts of the windows that have ended by now. Nothing, at no cost, before [`next_end`](Self::next_end).
    pub fn due(&mut self, policy: &FoldPolicy, now: Timestamp) -> Vec<Tally<S, K, W>> {
        self.latest = self.latest.max(now);
        let now = self.latest;
        if now < self.next_end {
            return Vec::new();
        }
        let mut due = Vec::new();
        self.windows.retain(|source, window| window.turn(Some(source), policy, now, &mut due));
        if self.crowd.as_mut().is_some_and(|window| !window.turn(None, policy, now, &mut due)) {
            self.crowd = None;
        }
        let ends = self.windows.values().chain(&self.crowd).map(|window| window.ends);
        self.next_end = ends.min().unwrap_or(Timestamp::MAX);
        due
    }

    /// Every count that was not told yet, whether or not its window has ended.
    pub fn rest(&mut self) -> Vec<Tally<S, K, W>> {
        let mut rest = Vec::new();
        for (source, window) in &mut self.windows {
            rest.extend(window.tell(Some(source.clone())));
        }
        rest.extend(self.crowd.as_mut().and_then(|window| window.tell(None)));
        rest
    }
}

impl<K: Ord, W: Ord + Clone> Window<K, W> {
    fn open(now: Timestamp, length: Duration) -> Self {
        Self {
            since: now,
            ends: now.after(length),
            length,
            full: 0,
            counted: 0,
            kinds: BTreeMap::new(),
            who: BTreeMap::new(),
            others: 0,
            last: now,
        }
    }

    fn count(&mut self, kind: K, who: &W, now: Timestamp) {
        self.counted = self.counted.saturating_add(1);
        self.last = now;
        add(self.kinds.entry(kind).or_default());
        if let Some(times) = self.who.get_mut(who) {
            add(times);
        } else if self.who.len() < MAX_NAMED {
            self.who.insert(who.clone(), 1);
        } else {
            add(&mut self.others);
        }
    }

    /// What was counted and not told; then it is told.
    fn tell<S>(&mut self, source: Option<S>) -> Option<Tally<S, K, W>> {
        if self.kinds.is_empty() {
            return None;
        }
        Some(Tally {
            source,
            since: self.since,
            until: self.last,
            kinds: core::mem::take(&mut self.kinds).into_iter().collect(),
            who: core::mem::take(&mut self.who).into_iter().collect(),
            others: core::mem::take(&mut self.others),
        })
    }

    /// Goes on to the window for `now`; answers whether there is anything to remember of its source.
    fn turn<S: Clone, D: Extend<Tally<S, K, W>>>(
        &mut self,
        source: Option<&S>,
        policy: &FoldPolicy,
        now: Timestamp,
        due: &mut D,
    ) -> bool {
        if now < self.ends {
            return true;
        }
        due.extend(self.tell(source.cloned()));
        if self.counted == 0 {
            return false;
        }
        let longer = self.length.saturating_mul(2).min(policy.longest.max(policy.window));
        let next = Self::open(self.ends, longer);
        // Whoever has been quiet for a whole window since is forgotten.
        let flooding = now < next.ends;
        *self = next;
        flooding
    }
}

const fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    const SECOND: u64 = 1_000_000_000;
    const POLICY: FoldPolicy = FoldPolicy {
        window: Duration::from_secs(60),
        longest: Duration::from_secs(200),
        in_full: 2,
        in_full_together: 5,
    };

    type Counting = Fold<u32, u32, u32>;

    fn at(second: u64) -> Timestamp {
        Timestamp(second * SECOND)
    }

    /// The window after a flood is twice as long; who is quiet up to its last nanosecond is forgotten then.
    #[test]
    fn a_source_is_forgotten_to_the_nanosecond() {
        let mut fold = Counting::default();
        flood(&mut fold, 1, 10, at(0));
        let mut longer = fold.clone();
        let _ = fold.due(&POLICY, Timestamp(at(60 + 120).0 - 1));
        let _ = longer.due(&POLICY, at(60 + 120));
        assert_eq!((fold.len(), longer.len()), (1, 0));
    }

    /// So many refusals of one kind, all at once; how many were told in full, and the counts that came due.
    fn flood(fold: &mut Counting, source: u32, times: u32, now: Timestamp) -> (u32, Vec<u64>) {
        let (mut full, mut told) = (0, Vec::new());
        for _ in 0..times {
            let telling = fold.refused(&POLICY, &source, 7, &source, now);
            full += u32::from(telling.form == Form::InFull);
            told.extend(telling.due.iter().map(Tally::count));
        }
        (full, told)
    }

    #[test]
    fn the_defaults() {
        let FoldPolicy { window, longest, in_full, in_full_together } = FoldPolicy::default();
        assert_eq!((window.as_secs(), longest.as_secs(), in_full, in_full_together), (60, 86_400, 32, 512));
        assert_eq!((MAX_SOURCES, MAX_NAMED), (256, 16));
        let fold = Counting::default();
        assert!(fold.is_empty() && fold.next_end() == Timestamp::MAX);
    }

    #[test]
    fn the_first_are_told_in_full_and_the_count_whenever_it_has_doubled() {
        let mut fold = Counting::default();
        assert_eq!(flood(&mut fold, 1, 2, at(5)), (2, vec![]));
        assert_eq!(flood(&mut fold, 1, 17, at(5)), (0, vec![1, 1, 2, 4, 8]));
        // Another source has its own window.
        assert_eq!(flood(&mut fold, 2, 3, at(6)), (2, vec![1]));
        assert_eq!((fold.len(), fold.next_end()), (2, at(65)));
        // To the nanosecond: the window ends, and what was left of the count is told.
        assert_eq!(fold.due(&POLICY, Timestamp(at(65).0 - 1)), []);
        let tally = Tally {
            source: Some(1),
            since: at(5),
            until: at(5),
            kinds: vec![(7, 1)],
            who: vec![(1, 1)],
            others: 0,
        };
        assert_eq!(fold.due(&POLICY, at(65)), [tally]);
    }

    #[test]
    fn windows_grow_while_the_flood_lasts_and_are_forgotten_after_it() {
        let mut fold = Counting::default();
        for (begins, ends) in [(0, 60), (60, 180), (180, 380), (380, 580)] {
            let (full, told) = flood(&mut fold, 1, 4, at(begins));
            assert_eq!((full, told), (2, vec![1, 1]), "{begins}");
            assert_eq!(fold.next_end(), at(ends));
        }
        // The next window is empty; when it has ended, nothing is remembered.
        assert!(fold.due(&POLICY, at(580)).is_empty() && !fold.is_empty());
        assert!(fold.due(&POLICY, at(779)).is_empty() && !fold.is_empty());
        assert!(fold.due(&POLICY, at(780)).is_empty() && fold.is_empty());
        assert_eq!(fold.next_end(), Timestamp::MAX);
        // Nor after a long silence, whenever it is noticed; a source that was told in full alone is forgotten at once.
        flood(&mut fold, 1, 4, at(1000));
        assert!(fold.due(&POLICY, at(5000)).is_empty() && fold.is_empty());
        flood(&mut fold, 1, 2, at(6000));
        assert!(fold.due(&POLICY, at(6060)).is_empty() && fold.is_empty());
    }

    #[test]
    fn a_window_is_never_shorter_than_the_policy_says() {
        let policy = FoldPolicy { longest: Duration::ZERO, ..POLICY };
        let mut fold = Counting::default();
        for _ in 0..3 {
            let _ = fold.refused(&policy, &1, 7, &1, at(0));
        }
        assert!(fold.due(&policy, at(60)).is_empty());
        assert_eq!(fold.next_end(), at(120));
    }

    #[test]
    fn sources_without_room_are_counted_together() {
        let mut fold = Counting::with_capacity(2);
        for source in 0..5 {
            let (full, _) = flood(&mut fold, source, 1, at(0));
            assert_eq!(full, u32::from(source < 4), "two of their own, and two of the crowd");
        }
        assert_eq!(fold.len(), 2);
        assert!(!fold.is_empty());
        let telling = fold.refused(&POLICY, &9, 8, &9, at(1));
        assert_eq!(telling.form, Form::Counted);
        let [tally] = telling.due.as_slice() else { panic!("the second is told") };
        assert_eq!((tally.source, &tally.kinds, &tally.who), (None, &vec![(8, 1)], &vec![(9, 1)]));
        let _ = fold.refused(&POLICY, &9, 8, &9, at(1));
        let rest = fold.rest();
        assert_eq!(rest.iter().map(|tally| (tally.source, tally.count())).collect::<Vec<_>>(), [(None, 1)]);
        assert_eq!(fold.rest(), []);
        // After the crowd has gone, its window has.
        assert!(fold.due(&POLICY, at(10_000)).is_empty() && fold.is_empty());
    }

    #[test]
    fn many_sources_together_fill_nothing_either() {
        let mut fold = Counting::default();
        let full = |fold: &mut Counting, now| (0..9).map(|source| flood(fold, source, 1, now).0).sum::<u32>();
        assert_eq!(full(&mut fold, at(0)), 5);
        assert_eq!(full(&mut fold, Timestamp(at(60).0 - 1)), 0);
        assert_eq!(full(&mut fold, at(60)), 5);
    }

    #[test]
    fn only_so_many_are_named_and_the_others_counted() {
        let mut fold = Counting::default();
        let mut told = Vec::new();
        for who in 0..2 + 64 {
            told.extend(fold.refused(&POLICY, &1, who % 3, &who, at(0)).due);
        }
        let last = told.last().unwrap();
        assert_eq!((last.count(), last.who.len(), last.others), (32, MAX_NAMED, 16));
        assert_eq!(last.kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(told.iter().map(Tally::count).sum::<u64>(), 64);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: crate::tests::cases(2_000), ..ProptestConfig::default() })]

        /// Told in full and told in counts is all there was, of every kind, whatever the clock does; at every
        /// moment what is not told yet is not more than what was told; and a window tells only so much.
        #[test]
        fn nothing_is_lost_and_little_is_told(
            capacity in 0usize..3,
            refusals in prop::collection::vec((0u32..4, 0u32..3, 0u32..40, -5i64..200), 1..400),
        ) {
            let mut fold = Counting::with_capacity(capacity);
            let mut clock = 1000i64;
            let mut told = [0u64; 3];
            let mut all = [0u64; 3];
            let (mut full, mut tallies, mut counted) = (0u64, 0u64, 0u64);
            let count = |tally: &Tally<u32, u32, u32>, told: &mut [u64; 3]| {
                prop_assert!(tally.since <= tally.until && tally.count() > 0);
                let named: u64 = tally.who.iter().map(|(_, n)| n).sum();
                prop_assert_eq!(named + tally.others, tally.count());
                tally.kinds.iter().for_each(|(kind, n)| told[*kind as usize] += n);
                Ok(())
            };
            for (source, kind, who, step) in refusals {
                clock += step;
                let now = at(u64::try_from(clock.max(0)).unwrap());
                all[kind as usize] += 1;
                let telling = fold.refused(&POLICY, &source, kind, &who, now);
                match telling.form {
                    Form::InFull => {
                        full += 1;
                        told[kind as usize] += 1;
                    }
                    Form::Counted => counted += 1,
                }
                for tally in &telling.due {
                    tallies += 1;
                    count(tally, &mut told)?;
                }
                let open = all.iter().sum::<u64>() - told.iter().sum::<u64>();
                prop_assert!(open <= counted - open, "of {} counted, {} are not told", counted, open);
                prop_assert!(fold.len() <= capacity);
            }
            prop_assert!(tallies <= counted && full + counted == all.iter().sum::<u64>());
            for tally in fold.rest() {
                count(&tally, &mut told)?;
            }
            prop_assert_eq!(told, all);
        }
    }
}
