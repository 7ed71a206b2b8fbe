//! How often somebody may call, and how many tools one may use at once.

use crate::mostly_one::MostlyOne;
use core::fmt;
use core::time::Duration;
use hv_types::wire::{Bytes, Reader};
use hv_types::{Counted, Ring, Timestamp, Undecodable, Wire};

/// One value for each ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct PerRing<T> {
    /// For Ring 0.
    pub root: T,
    /// For Ring 1.
    pub privileged: T,
    /// For Ring 2.
    pub standard: T,
    /// For Ring 3.
    pub sandbox: T,
}

impl<T> PerRing<T> {
    /// The value for a ring.
    #[must_use]
    pub const fn get(&self, ring: Ring) -> &T {
        match ring {
            Ring::Root => &self.root,
            Ring::Privileged => &self.privileged,
            Ring::Standard => &self.standard,
            Ring::Sandbox => &self.sandbox,
        }
    }
}

impl<T: Wire> Wire for PerRing<T> {
    fn put(&self, out: &mut Bytes) {
        let Self { root, privileged, standard, sandbox } = self;
        [root, privileged, standard, sandbox].into_iter().for_each(|value| value.put(out));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        Ok(Self {
            root: T::take(reader)?,
            privileged: T::take(reader)?,
            standard: T::take(reader)?,
            sandbox: T::take(reader)?,
        })
    }
}

/// The limits by standing ring; the defaults are those of the published execution-control specification.
///
/// ```
/// use hv_rings::Ring;
/// use hv_rings::rate::{Limits, Rate};
///
/// let limits = Limits::default();
/// assert_eq!(*limits.rate.get(Ring::Sandbox), Rate { per_second: 5, burst: 10 });
/// assert_eq!(*limits.tools.get(Ring::Sandbox), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct Limits {
    /// How often an agent may call.
    pub rate: PerRing<Rate>,
    /// How many tools it may use at once.
    pub tools: PerRing<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |per_second, burst| Rate { per_second, burst };
        Self {
            rate: PerRing {
                root: rate(100, 200),
                privileged: rate(50, 100),
                standard: rate(20, 40),
                sandbox: rate(5, 10),
            },
            tools: PerRing { root: 32, privileged: 16, standard: 8, sandbox: 2 },
        }
    }
}

/// How often: so many calls a second in the long run, and so many at once.
///
/// A rate of 0 never gives back what was used, and a burst of 0 lets nothing through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]
pub struct Rate {
    /// Calls a second.
    pub per_second: u32,
    /// Calls at once.
    pub burst: u32,
}

hv_types::wire_struct!(Rate { per_second, burst });
hv_types::wire_struct!(Limits { rate, tools });

/// What one source of requests may, whoever it speaks for.
///
/// Both are asked before anything is looked at, so that knocking costs the one who knocks and nobody else: how often
/// a source may ask at all, and how often it may have been refused. Refusals take from the second alone.
///
/// ```
/// use hv_rings::rate::{Rate, SourceLimits};
///
/// let SourceLimits { requests, refused } = SourceLimits::default();
/// assert_eq!(requests, Rate { per_second: 100, burst: 200 });
/// assert_eq!(refused, Rate { per_second: 5, burst: 10 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct SourceLimits {
    /// How often it may ask.
    pub requests: Rate,
    /// How often it may be refused before it is not listened to for a while.
    pub refused: Rate,
}

hv_types::wire_struct!(SourceLimits { requests, refused });

/// A source may ask as often as an agent in Ring 0 may call, and be refused as often as one in Ring 3 may.
impl Default for SourceLimits {
    fn default() -> Self {
        let Limits { rate, .. } = Limits::default();
        Self { requests: rate.root, refused: rate.sandbox }
    }
}

/// Why a call comes too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case", tag = "limit"))]
pub enum Limited {
    /// The caller is faster than its rate.
    TooFast {
        /// What it may.
        rate: Rate,
        /// The first point in time at which one more call passes; [`Timestamp::MAX`] for never.
        retry_at: Timestamp,
    },
    /// So many callers are active at once that a new one cannot be kept count of.
    Crowded {
        /// The first point in time at which room is looked for again.
        retry_at: Timestamp,
    },
}

hv_types::wire_enum!(Limited { 0 => TooFast { rate, retry_at }, 1 => Crowded { retry_at } });

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFast { rate: Rate { per_second, burst }, retry_at } => {
                let calls = Counted(*per_second, "call");
                write!(f, "faster than {calls} a second and {burst} at once; try again at {retry_at}")
            }
            Self::Crowded { retry_at } => {
                write!(f, "too many callers at once to count one more; try again at {retry_at}")
            }
        }
    }
}

impl core::error::Error for Limited {}

/// How many callers are kept count of.
pub const MAX_BUCKETS: usize = 100_000;

/// How long after a search for room in vain the next one waits.
const SEARCH_AGAIN: Duration = Duration::from_secs(1);

/// Parts of a call: a rate of one call a second gains one part a nanosecond, so all arithmetic is exact.
const PARTS: u64 = 1_000_000_000;

/// A bucket of calls for each caller. Key it by agent, not by session, or every session gives calls for free.
///
/// There is no way to fill a bucket but to wait: a change of rate takes away what exceeds the new burst and
/// gives nothing, a clock that runs backwards gives nothing, and a bucket is dropped only when it would be full
/// at every rate in use. Where none can be dropped, new callers are refused, so nobody gets rid of an empty bucket by
/// crowding it out.
///
/// ```
/// use hv_rings::Timestamp;
/// use hv_rings::rate::{Buckets, Rate};
///
/// let (mut buckets, rate) = (Buckets::default(), Rate { per_second: 5, burst: 2 });
/// assert!(buckets.take(&"alpha", rate, Timestamp(0)).is_ok());
/// assert!(buckets.take(&"alpha", rate, Timestamp(0)).is_ok());
/// assert!(buckets.take(&"alpha", rate, Timestamp(199_999_999)).is_err());
/// assert!(buckets.take(&"alpha", rate, Timestamp(200_000_000)).is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct Buckets<K> {
    buckets: MostlyOne<K, Bucket>,
    capacity: usize,
    latest: Timestamp,
    search_at: Timestamp,
    /// The slowest rate and the largest burst that anybody ever came with.
    slowest: u32,
    largest: u32,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    rate: Rate,
    parts: u64,
    at: Timestamp,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self::with_capacity(MAX_BUCKETS)
    }
}

impl<K> Buckets<K> {
    /// Keeps count of so many callers at once.
    #[must_use]
    pub const fn with_capacity(capacity: usize) -> Self {
        Self {
            buckets: MostlyOne::new(),
            capacity,
            latest: Timestamp(0),
            search_at: Timestamp(0),
            slowest: u32::MAX,
            largest: 0,
        }
    }

    /// How many callers are kept count of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Ord + Clone> Buckets<K> {
    /// Takes one call from a caller's bucket.
    ///
    /// Costs O(log n); where the table is full and the caller is new, O(n) at most once a second.
    ///
    /// # Errors
    /// [`Limited::TooFast`] where the bucket is empty, [`Limited::Crowded`] where there is no room for a new
    /// one.
    pub fn take(&mut self, caller: &K, rate: Rate, now: Timestamp) -> Result<(), Limited> {
        let now = now.max(self.latest);
        self.latest = now;
        self.slowest = self.slowest.min(rate.per_second);
        self.largest = self.largest.max(rate.burst);
        if let Some(bucket) = self.buckets.get_mut(caller) {
            return bucket.take(rate, now);
        }
        self.make_room(now)?;
        let mut bucket = Bucket { rate, parts: full(rate), at: now };
        let taken = bucket.take(rate, now);
        self.buckets.add(caller.clone(), bucket);
        taken
    }

    /// Whether one more call would pass now; takes nothing. O(log n).
    ///
    /// # Errors
    /// What [`take`](Self::take) would answer; a caller for whom there may be no room is not refused here.
    pub fn check(&self, caller: &K, rate: Rate, now: Timestamp) -> Result<(), Limited> {
        let now = now.max(self.latest);
        let fresh = Bucket { rate, parts: full(rate), at: now };
        let mut bucket = self.buckets.get(caller).copied().unwrap_or(fresh);
        bucket.take(rate, now)
    }

    fn make_room(&mut self, now: Timestamp) -> Result<(), Limited> {
        if self.buckets.len() < self.capacity {
            return Ok(());
        }
        if now >= self.search_at {
            // A bucket without which nothing changes: whatever its caller came back with, it would be full.
            let any = Rate { per_second: self.slowest, burst: self.largest };
            self.buckets.retain(|bucket| bucket.refilled(any, now) < full(any));
            self.search_at = now.after(SEARCH_AGAIN);
        }
        if self.buckets.len() < self.capacity {
            Ok(())
        } else {
            Err(Limited::Crowded { retry_at: self.search_at })
        }
    }
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), Limited> {
        let parts = self.refilled(rate, now);
        let left = parts.checked_sub(PARTS);
        *self = Self { rate, parts: left.unwrap_or(parts), at: now };
        match left {
            Some(_) => Ok(()),
            None => Err(Limited::TooFast { rate, retry_at: self.next() }),
        }
    }

    /// The parts that are there at `now`. The time since the last call counts at the slower of the rate then
    /// and the rate now, for it is not known when it changed.
    fn refilled(&self, rate: Rate, now: Timestamp) -> u64 {
        let slower = u64::from(rate.per_second.min(self.rate.per_second));
        let gained = now.0.saturating_sub(self.at.0).saturating_mul(slower);
        self.parts.saturating_add(gained).min(full(rate))
    }

    /// The first point in time at which there is a whole call.
    fn next(&self) -> Timestamp {
        let Rate { per_second, burst } = self.rate;
        if per_second == 0 || burst == 0 {
            return Timestamp::MAX;
        }
        let wait = PARTS.saturating_sub(self.parts).div_ceil(u64::from(per_second));
        Timestamp(self.at.0.saturating_add(wait))
    }
}

/// A `u32` of calls in parts fits a `u64`.
const fn full(rate: Rate) -> u64 {
    rate.burst as u64 * PARTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const SECOND: u64 = 1_000_000_000;

    /// How many calls in a row pass.
    fn passes(buckets: &mut Buckets<u32>, caller: u32, rate: Rate, now: u64) -> u32 {
        (0..1000).find(|_| buckets.take(&caller, rate, Timestamp(now)).is_err()).unwrap()
    }

    #[test]
    fn a_value_for_each_ring_is_written_from_ring_0_on() {
        let each = PerRing { root: 1u8, privileged: 2, standard: 3, sandbox: 4 };
        assert_eq!(each.to_bytes(), [1, 2, 3, 4]);
        assert_eq!(PerRing::from_bytes(&[1, 2, 3, 4]), Ok(each));
    }

    #[test]
    fn the_published_limits_by_ring() {
        let limits = Limits::default();
        for (ring, per_second, burst, tools) in
            [(Ring::Root, 100, 200, 32), (Ring::Privileged, 50, 100, 16), (Ring::Standard, 20, 40, 8)]
                .into_iter()
                .chain([(Ring::Sandbox, 5, 10, 2)])
        {
            let rate = *limits.rate.get(ring);
            assert_eq!((rate, *limits.tools.get(ring)), (Rate { per_second, burst }, tools));
            let mut buckets = Buckets::default();
            assert_eq!(passes(&mut buckets, 0, rate, 7), burst);
            assert_eq!(passes(&mut buckets, 0, rate, 7 + SECOND), per_second);
            assert_eq!(passes(&mut buckets, 0, rate, 7 + 9 * SECOND), burst);
        }
        assert_eq!(MAX_BUCKETS, 100_000);
    }

    #[test]
    fn one_call_comes_back_to_the_nanosecond() {
        let rate = Rate { per_second: 3, burst: 1 };
        let mut buckets = Buckets::default();
        assert_eq!(buckets.take(&0, rate, Timestamp(100)), Ok(()));
        let retry_at = Timestamp(100 + 333_333_334);
        for early in [100, 101, retry_at.0 - 1] {
            assert_eq!(
                buckets.take(&0, rate, Timestamp(early)),
                Err(Limited::TooFast { rate, retry_at }),
                "{early}"
            );
        }
        assert_eq!(buckets.take(&0, rate, retry_at), Ok(()));
        assert!(buckets.take(&0, rate, retry_at).is_err());
    }

    #[test]
    fn nought_is_a_value() {
        let mut buckets = Buckets::default();
        let never = |limited: Result<(), Limited>| match limited {
            Err(Limited::TooFast { retry_at, .. }) => retry_at == Timestamp::MAX,
            _ => false,
        };
        assert!(never(buckets.take(&0, Rate { per_second: 9, burst: 0 }, Timestamp(5))));
        assert_eq!(passes(&mut buckets, 1, Rate { per_second: 0, burst: 2 }, 5), 2);
        assert!(never(buckets.take(&1, Rate { per_second: 0, burst: 2 }, Timestamp(u64::MAX))));
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let rate = Rate { per_second: u32::MAX, burst: u32::MAX };
        let mut buckets = Buckets::default();
        assert_eq!(buckets.take(&0, rate, Timestamp(0)), Ok(()));
        assert_eq!(buckets.take(&0, rate, Timestamp::MAX), Ok(()));
        let slow = Rate { per_second: 1, burst: 1 };
        assert_eq!(buckets.take(&0, slow, Timestamp::MAX), Ok(()));
        assert_eq!(
            buckets.take(&0, slow, Timestamp::MAX),
            Err(Limited::TooFast { rate: slow, retry_at: Timestamp::MAX })
        );
    }

    /// Failure 26: refilled by a change to the same ring, or to another and back.
    #[test]
    fn a_change_of_rate_fills_nothing() {
        let limits = Limits::default();
        let (low, high) = (*limits.rate.get(Ring::Sandbox), *limits.rate.get(Ring::Standard));
        let mut buckets = Buckets::default();
        assert_eq!(passes(&mut buckets, 0, high, 0), 40);
        for rate in [high, low, high, low] {
            assert_eq!(passes(&mut buckets, 0, rate, 0), 0);
        }
        // A lower burst takes what exceeds it, and the higher one does not give it back.
        assert_eq!(passes(&mut buckets, 1, low, 0), 10);
        let mut buckets = Buckets::default();
        assert_eq!(buckets.take(&0, high, Timestamp(0)), Ok(()));
        assert_eq!(buckets.take(&0, low, Timestamp(0)), Ok(()));
        assert_eq!(passes(&mut buckets, 0, high, 0), 9);
        // The time before a change counts at the slower rate, whichever way it goes.
        assert_eq!(passes(&mut buckets, 0, low, SECOND), 5);
        assert_eq!(passes(&mut buckets, 0, high, 2 * SECOND), 5);
        assert_eq!(passes(&mut buckets, 0, high, 3 * SECOND), 20);
    }

    #[test]
    fn a_clock_that_runs_backwards_gives_nothing() {
        let rate = Rate { per_second: 1, burst: 5 };
        let mut buckets = Buckets::default();
        assert_eq!(passes(&mut buckets, 0, rate, 100 * SECOND), 5);
        assert_eq!(passes(&mut buckets, 0, rate, 0), 0);
        assert_eq!(passes(&mut buckets, 0, rate, 100 * SECOND), 0);
        assert_eq!(passes(&mut buckets, 1, rate, 0), 5);
        assert_eq!(passes(&mut buckets, 1, rate, 99 * SECOND), 0);
        assert_eq!(passes(&mut buckets, 0, rate, 101 * SECOND), 1);
    }

    #[test]
    fn looking_takes_nothing() {
        let rate = Rate { per_second: 1, burst: 2 };
        let mut buckets = Buckets::default();
        for _ in 0..5 {
            assert_eq!(buckets.check(&0, rate, Timestamp(SECOND)), Ok(()));
        }
        assert!(buckets.is_empty());
        assert_eq!(passes(&mut buckets, 0, rate, SECOND), 2);
        for now in [0, SECOND, 2 * SECOND - 1] {
            let retry_at = Timestamp(2 * SECOND);
            assert_eq!(
                buckets.check(&0, rate, Timestamp(now)),
                Err(Limited::TooFast { rate, retry_at }),
                "{now}"
            );
        }
        assert_eq!(buckets.check(&0, rate, Timestamp(2 * SECOND)), Ok(()));
        assert_eq!(passes(&mut buckets, 0, rate, 2 * SECOND), 1);
    }

    #[test]
    fn crowding_out_an_empty_bucket_does_not_refill_it() {
        let rate = Rate { per_second: 1, burst: 2 };
        let mut buckets = Buckets::with_capacity(3);
        for caller in 0..3 {
            assert_eq!(passes(&mut buckets, caller, rate, 0), 2);
        }
        let crowded = |retry_at| Err(Limited::Crowded { retry_at: Timestamp(retry_at) });
        assert_eq!(buckets.take(&9, rate, Timestamp(0)), crowded(SECOND));
        assert_eq!(buckets.take(&9, rate, Timestamp(SECOND - 1)), crowded(SECOND));
        // One more call a second keeps callers 0 and 1 busy; caller 2 is full again after two.
        assert!(buckets.take(&0, rate, Timestamp(SECOND)).is_ok());
        assert_eq!(buckets.take(&9, rate, Timestamp(SECOND)), crowded(2 * SECOND));
        assert!(buckets.take(&1, rate, Timestamp(2 * SECOND - 1)).is_ok());
        assert_eq!(buckets.take(&9, rate, Timestamp(2 * SECOND)), Ok(()));
        assert_eq!(buckets.len(), 3);
        assert_eq!(passes(&mut buckets, 0, rate, 2 * SECOND), 1);
        assert_eq!(buckets.take(&2, rate, Timestamp(2 * SECOND)), crowded(3 * SECOND));
        assert!(!buckets.is_empty());
        assert!(Buckets::<u32>::with_capacity(0).is_empty());
    }

    #[test]
    fn nothing_is_dropped_while_there_is_room() {
        let (rate, mut buckets) = (Rate { per_second: 1, burst: 1 }, Buckets::with_capacity(3));
        for (caller, held) in [(0u32, 1), (1, 2), (2, 3), (3, 1)] {
            assert_eq!(buckets.take(&caller, rate, Timestamp(u64::from(caller) * 60 * SECOND)), Ok(()));
            assert_eq!(buckets.len(), held);
        }
    }

    /// A bucket that is full at a low rate does not come back as a full one at a high rate.
    #[test]
    fn dropping_a_bucket_does_not_enlarge_it() {
        let (low, high) = (Rate { per_second: 1, burst: 1 }, Rate { per_second: 1, burst: 9 });
        let mut buckets = Buckets::with_capacity(1);
        assert_eq!(passes(&mut buckets, 0, high, 0), 9);
        assert_eq!(passes(&mut buckets, 0, low, SECOND), 1);
        let crowded = |retry_at| Err(Limited::Crowded { retry_at: Timestamp(retry_at * SECOND) });
        assert_eq!(buckets.take(&1, low, Timestamp(2 * SECOND)), crowded(3));
        assert_eq!(buckets.take(&1, low, Timestamp(10 * SECOND - 1)), {
            Err(Limited::Crowded { retry_at: Timestamp(11 * SECOND - 1) })
        });
        assert_eq!(buckets.take(&1, low, Timestamp(11 * SECOND - 1)), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: crate::tests::cases(2_000), ..ProptestConfig::default() })]

        /// Over any stretch of time nobody gets more than one burst and what the fastest rate gives, whatever
        /// the clock does, the rates do, and however small the table is.
        #[test]
        fn nobody_gets_more_than_a_burst_and_the_rate(
            capacity in 1usize..4,
            calls in prop::collection::vec((0u32..4, 0u32..3, any::<bool>(), 0u64..2_000_000_000), 1..200),
        ) {
            let rates = [(1, 2), (2, 5), (3, 3)].map(|(per_second, burst)| Rate { per_second, burst });
            let mut buckets = Buckets::with_capacity(capacity);
            let (mut clock, mut latest) = (10 * SECOND, 0);
            let mut passed: Vec<(u32, u64)> = Vec::new();
            for (caller, rate, forwards, step) in calls {
                clock = if forwards { clock + step } else { clock.saturating_sub(step) };
                latest = latest.max(clock);
                let rate = rates[usize::try_from(rate).unwrap()];
                if buckets.take(&caller, rate, Timestamp(clock)).is_ok() {
                    passed.push((caller, latest));
                }
                prop_assert!(buckets.len() <= capacity);
            }
            for caller in 0..4 {
                let times: Vec<u64> = passed.iter().filter(|(c, _)| *c == caller).map(|(_, t)| *t).collect();
                for (first, start) in times.iter().enumerate() {
                    for (last, end) in times.iter().enumerate().skip(first) {
                        let count = u64::try_from(last - first + 1).unwrap();
                        prop_assert!(count * SECOND <= 5 * SECOND + 3 * (end - start));
                    }
                }
            }
        }
    }
}
