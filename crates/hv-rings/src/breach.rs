//! Who calls above its ring, and when that is too often.
//!
//! One call above the ring is a mistake. Two rules say when it is more: within a short window, when such calls
//! are many, far above, and a large share of all; and over hours, when they add up, however much lies between
//! them. Ordinary calls never trip either, whatever their pace.

use crate::decide::Denial;
use crate::mostly_one::MostlyOne;
use crate::rate::{Limited, MAX_BUCKETS};
use crate::standing::Cap;
use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;
use hv_types::{Counted, Ring, Timestamp};

/// When calls above the ring are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct BreachPolicy {
    /// The window of the first rule; it moves on in sixths.
    pub window: Duration,
    /// The first rule speaks from so many calls above the ring in the window.
    pub least: u32,
    /// It trips where the weight of those calls is at least this many percent of the number of all calls in
    /// the window.
    pub percent: u32,
    /// The second rule trips where the weight that was not yet forgotten reaches this.
    pub patience: u32,
    /// How long it takes to forget a weight of 1.
    pub forget: Duration,
    /// How long the breaker stays open.
    pub open: Duration,
}

/// Three calls above the ring among six in a minute, or twelve in a row of which one is forgotten every quarter
/// of an hour; then five minutes in Ring 3.
impl Default for BreachPolicy {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            least: 3,
            percent: 50,
            patience: 12,
            forget: Duration::from_secs(900),
            open: Duration::from_secs(300),
        }
    }
}

hv_types::wire_struct!(BreachPolicy { window, least, percent, patience, forget, open });

/// One call, as the detector sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Within the ring, or above it by a certificate.
    Within,
    /// Refused, and so many rings above where the agent stands: 1 to 3.
    Above(Distance),
}

/// How many rings lie between two; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance(u8);

impl Distance {
    /// From where an agent stands up to what a call needs; none where the call needs no more.
    #[must_use]
    pub const fn up(held: Ring, need: Ring) -> Option<Self> {
        match held.number().saturating_sub(need.number()) {
            0 => None,
            rings => Some(Self(rings)),
        }
    }

    /// The number of rings, 1 to 3.
    #[must_use]
    pub const fn rings(self) -> u8 {
        self.0
    }

    /// What a call at this distance weighs: the square, so 1, 4 or 9.
    #[must_use]
    pub const fn weight(self) -> u32 {
        self.0 as u32 * self.0 as u32
    }
}

impl Attempt {
    /// What the decision about a call tells the detector.
    ///
    /// `held` is where the agent stands apart from the breaker; otherwise an open breaker would make breaches
    /// of ordinary calls and never close.
    #[must_use]
    pub const fn of(held: Ring, decision: &Result<Ring, Denial>) -> Self {
        match decision {
            Ok(_) => Self::Within,
            Err(denial) => match Distance::up(held, denial.need()) {
                Some(distance) => Self::Above(distance),
                None => Self::Within,
            },
        }
    }
}

/// How the calls above the ring became too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case", tag = "breach"))]
pub enum Breach {
    /// Within the window.
    Burst {
        /// How many calls there were in the window.
        calls: u32,
        /// How many of them were above the ring.
        above: u32,
        /// What these weigh.
        weight: u32,
    },
    /// Over time.
    Persistent {
        /// The weight that was not yet forgotten.
        weight: u32,
    },
}

hv_types::wire_enum!(Breach { 0 => Burst { calls, above, weight }, 1 => Persistent { weight } });

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Burst { calls, above, weight } => {
                let (calls, were) = (Counted(*calls, "call"), if *above == 1 { "was" } else { "were" });
                write!(f, "{above} of {calls} lately {were} above its ring, with a weight of {weight}")
            }
            Self::Persistent { weight } => {
                write!(f, "calls above its ring have added up over time to a weight of {weight}")
            }
        }
    }
}

/// What is remembered of one agent's calls: a fixed size, whatever the pace.
///
/// ```
/// use hv_rings::{Ring, Timestamp};
/// use hv_rings::breach::{Attempt, BreachPolicy, Distance, Watch};
///
/// let (mut watch, policy) = (Watch::default(), BreachPolicy::default());
/// let above = Attempt::Above(Distance::up(Ring::Sandbox, Ring::Privileged).unwrap());
/// assert_eq!(watch.observe(&policy, above, Timestamp(1)), None);
/// assert_eq!(watch.observe(&policy, above, Timestamp(2)), None);
/// assert!(watch.observe(&policy, above, Timestamp(3)).is_some());
/// assert!(watch.cap(Timestamp(4)).is_some());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    slots: [Slot; SLOTS],
    /// The number of the slot that was written last, counted from the beginning of time.
    slot: u64,
    latest: Timestamp,
    /// When everything will be forgotten.
    clear_at: Timestamp,
    open_until: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    calls: u32,
    above: u32,
    weight: u32,
}

const SLOTS: usize = 6;

impl Watch {
    /// Notes one call; answers whether it trips the breaker, which then is open from now on.
    ///
    /// A clock that runs backwards counts as standing still. After a trip the window begins anew, while what
    /// adds up over time goes on: whoever does not stop trips again with the next call above its ring.
    pub fn observe(&mut self, policy: &BreachPolicy, attempt: Attempt, now: Timestamp) -> Option<Breach> {
        let now = now.max(self.latest);
        self.latest = now;
        self.turn_to(now, policy);
        let newest = self.slots.first_mut()?;
        newest.calls = newest.calls.saturating_add(1);
        let Attempt::Above(distance) = attempt else {
            return None;
        };
        newest.above = newest.above.saturating_add(1);
        newest.weight = newest.weight.saturating_add(distance.weight());
        let (burst, persistent) = (self.burst(policy), self.persistent(policy, distance, now));
        let breach = burst.or(persistent);
        if breach.is_some() {
            self.slots = [Slot::default(); SLOTS];
            self.open_until = Some(now.after(policy.open));
        }
        breach
    }

    /// The cap that an open breaker lays on the agent.
    #[must_use]
    pub fn cap(&self, now: Timestamp) -> Option<Cap> {
        let until = self.open_until.filter(|until| now <= *until)?;
        Some(Cap::Breaker { until })
    }

    /// Whether nothing is left that a fresh watch would not also know, so that this one may be dropped.
    #[must_use]
    pub fn is_idle(&self, policy: &BreachPolicy, now: Timestamp) -> bool {
        let still = self.latest.after(policy.window) < now;
        still && self.clear_at <= now && self.cap(now).is_none()
    }

    /// Makes the first slot the one for `now`, and drops what has left the window.
    fn turn_to(&mut self, now: Timestamp, policy: &BreachPolicy) {
        let length = nanos(policy.window).div_ceil(SLOTS as u64).max(1);
        let slot = now.0 / length;
        let passed = usize::try_from(slot.saturating_sub(self.slot)).unwrap_or(SLOTS).min(SLOTS);
        self.slot = slot;
        self.slots.rotate_right(passed % SLOTS);
        self.slots.iter_mut().take(passed).for_each(|slot| *slot = Slot::default());
    }

    fn burst(&self, policy: &BreachPolicy) -> Option<Breach> {
        let sum = |count: fn(&Slot) -> u32| self.slots.iter().map(count).fold(0, u32::saturating_add);
        let (calls, above, weight) = (sum(|s| s.calls), sum(|s| s.above), sum(|s| s.weight));
        let large = u64::from(weight) * 100 >= u64::from(calls) * u64::from(policy.percent);
        (above >= policy.least && large).then_some(Breach::Burst { calls, above, weight })
    }

    fn persistent(&mut self, policy: &BreachPolicy, distance: Distance, now: Timestamp) -> Option<Breach> {
        let forget = nanos(policy.forget).max(1);
        let left = self.clear_at.since(now);
        let added = nanos(left).saturating_add(forget.saturating_mul(u64::from(distance.weight())));
        // What lies beyond twice the patience is forgotten at once, so that the way back has an end.
        let most = forget.saturating_mul(u64::from(policy.patience).saturating_mul(2));
        let owed = added.min(most);
        self.clear_at = Timestamp(now.0.saturating_add(owed));
        let weight = u32::try_from(owed.div_ceil(forget)).unwrap_or(u32::MAX);
        (weight >= policy.patience).then_some(Breach::Persistent { weight })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A watch for each agent, as many as there are rate buckets.
///
/// One is dropped only when it knows no more than a fresh one would, so nobody gets rid of its own by crowding it
/// out. Where none can be dropped, there is no room for an agent that is not watched yet, and its calls must wait.
///
/// ```
/// use hv_rings::Timestamp;
/// use hv_rings::breach::{Attempt, BreachPolicy, Watches};
///
/// let (mut watches, policy) = (Watches::with_capacity(1), BreachPolicy::default());
/// assert!(watches.room(&policy, &"alpha", Timestamp(1)).is_ok());
/// watches.observe(&policy, &"alpha", Attempt::Within, Timestamp(1));
/// assert!(watches.room(&policy, &"beta", Timestamp(2)).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Watches<K> {
    /// Boxed, so that the first few agents do not take room for eleven.
    watches: MostlyOne<K, Box<Watch>>,
    capacity: usize,
    search_at: Timestamp,
}

/// How long after a search for room in vain the next one waits.
const SEARCH_AGAIN: Duration = Duration::from_secs(1);

impl<K> Default for Watches<K> {
    fn default() -> Self {
        Self::with_capacity(MAX_BUCKETS)
    }
}

impl<K> Watches<K> {
    /// Watches so many agents at once.
    #[must_use]
    pub const fn with_capacity(capacity: usize) -> Self {
        Self { watches: MostlyOne::new(), capacity, search_at: Timestamp(0) }
    }
}

impl<K: Ord + Clone> Watches<K> {
    /// Whether an agent is watched, or can be. Costs O(log n); where there is no room, O(n) at most once a second.
    ///
    /// # Errors
    /// [`Limited::Crowded`] where every watch remembers something and the agent has none.
    pub fn room(&mut self, policy: &BreachPolicy, agent: &K, now: Timestamp) -> Result<(), Limited> {
        if self.watches.len() < self.capacity || self.watches.get(agent).is_some() {
            return Ok(());
        }
        if now >= self.search_at {
            self.watches.retain(|watch| !watch.is_idle(policy, now));
            self.search_at = now.after(SEARCH_AGAIN);
        }
        if self.watches.len() < self.capacity {
            Ok(())
        } else {
            Err(Limited::Crowded { retry_at: self.search_at })
        }
    }

    /// Notes one call of an agent for which there is [`room`](Self::room); answers whether it trips the breaker. O(log n).
    pub fn observe(
        &mut self,
        policy: &BreachPolicy,
        agent: &K,
        attempt: Attempt,
        now: Timestamp,
    ) -> Option<Breach> {
        if let Some(watch) = self.watches.get_mut(agent) {
            return watch.observe(policy, attempt, now);
        }
        let mut watch = Watch::default();
        let breach = watch.observe(policy, attempt, now);
        if self.watches.len() < self.capacity {
            self.watches.add(agent.clone(), Box::new(watch));
        }
        breach
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Lack;
    use crate::evidence::Certificate;
    use hv_types::Sigma;

    const SECOND: u64 = 1_000_000_000;

    fn above(rings: u8) -> Attempt {
        Attempt::Above(Distance(rings))
    }

    /// Observes the attempts at their times in seconds; answers with the breaches and when they came.
    fn run(attempts: impl IntoIterator<Item = (u64, Attempt)>) -> std::vec::Vec<(u64, Breach)> {
        let (mut watch, policy) = (Watch::default(), BreachPolicy::default());
        let observed = attempts.into_iter().filter_map(|(second, attempt)| {
            watch.observe(&policy, attempt, Timestamp(second * SECOND)).map(|breach| (second, breach))
        });
        observed.collect()
    }

    #[test]
    fn distance_is_counted_upwards_and_weighs_its_square() {
        for held in Ring::ALL {
            for need in Ring::ALL {
                let rings = held.number().saturating_sub(need.number());
                let distance = Distance::up(held, need);
                assert_eq!(distance.map_or(0, Distance::rings), rings);
                assert_eq!(distance.map_or(0, Distance::weight), u32::from(rings).pow(2));
            }
        }
    }

    #[test]
    fn only_a_refused_call_above_the_ring_is_an_attempt() {
        let denial = |need| Denial::Certificate {
            need,
            sigma: Sigma::ONE,
            certificate: Certificate::Quorum,
            lack: Lack::Missing,
        };
        let of = |decision| Attempt::of(Ring::Standard, &decision);
        assert_eq!(of(Ok(Ring::Root)), Attempt::Within);
        assert_eq!(of(Ok(Ring::Standard)), Attempt::Within);
        assert_eq!(of(Err(denial(Ring::Standard))), Attempt::Within);
        assert_eq!(of(Err(denial(Ring::Privileged))), above(1));
        assert_eq!(of(Err(denial(Ring::Root))), above(2));
    }

    #[test]
    fn ordinary_calls_never_trip_whatever_their_pace() {
        assert_eq!(run([(0, Attempt::Within), (0, Attempt::Within)]), []);
        assert_eq!(run((0..100_000).map(|i| (i / 1000, Attempt::Within))), []);
    }

    #[test]
    fn a_mistake_or_two_do_not_trip() {
        assert_eq!(run([(0, above(3))]), [], "one");
        assert_eq!(run([(0, above(1)), (0, above(1))]), [], "two");
    }

    #[test]
    fn a_burst_trips_by_number_share_and_distance() {
        let padded = |ordinary: u32, rings| {
            let padding = (0..ordinary).map(|_| (10, Attempt::Within));
            run(padding.chain((0..3).map(|_| (11, above(rings)))))
        };
        for (rings, most) in [(1, 3), (2, 21)] {
            let weight = 3 * u32::from(rings).pow(2);
            let breach = Breach::Burst { calls: most + 3, above: 3, weight };
            assert_eq!(padded(most, rings), [(11, breach)], "{rings}");
            assert_eq!(
                padded(most + 1, rings).iter().filter(|(_, b)| matches!(b, Breach::Burst { .. })).count(),
                0
            );
        }
    }

    #[test]
    fn the_window_moves_on() {
        // Slots of ten seconds: the first attempt has left the window when the sixth slot after it begins.
        let burst = Breach::Burst { calls: 3, above: 3, weight: 3 };
        assert_eq!(run([(0, above(1)), (1, above(1)), (59, above(1))]), [(59, burst)]);
        assert_eq!(run([(0, above(1)), (1, above(1)), (60, above(1))]), []);
        assert_eq!(run([(9, above(1)), (10, above(1)), (69, above(1))]), []);
        assert_eq!(run([(0, above(1)), (30, above(1)), (40, above(1))]), [(40, burst)]);
        assert_eq!(run([(0, above(1)), (30, above(1)), (5000, above(1)), (5001, above(1))]), []);
    }

    #[test]
    fn a_slow_prober_trips_however_it_pads() {
        let padding = |at: u64| (0..200).map(move |_| (at, Attempt::Within));
        // One call above the ring every five minutes, in the midst of two hundred ordinary ones.
        let breaches = run((0..40).flat_map(|i| padding(300 * i).chain([(300 * i + 1, above(1))])));
        assert_eq!(breaches.first(), Some(&(300 * 16 + 1, Breach::Persistent { weight: 12 })));
        assert_eq!(breaches.len(), 40 - 16, "whoever goes on trips with every call");
        // At the pace of forgetting it never adds up.
        assert_eq!(run((0..1000).map(|i| (900 * i, above(1)))), []);
        let (at, weight) = (899 * 9001, 12);
        let adding = run((0..9002).map(|i| (899 * i, above(1))));
        assert_eq!(adding, [(at, Breach::Persistent { weight })], "a second gained with every call");
        // Far above weighs more: the second call at a distance of three.
        assert_eq!(run([(0, above(3)), (100, above(3))]), [(100, Breach::Persistent { weight: 18 })]);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let (mut watch, policy) = (Watch::default(), BreachPolicy::default());
        for _ in 0..10_000 {
            watch.observe(&policy, above(3), Timestamp(0));
        }
        let forgotten = 2 * 12 * 900 * SECOND;
        assert!(!watch.is_idle(&policy, Timestamp(forgotten - 1)));
        assert!(watch.is_idle(&policy, Timestamp(forgotten)));
        assert_eq!(watch.observe(&policy, above(1), Timestamp(forgotten)), None);
    }

    #[test]
    fn the_breaker_is_open_to_its_last_nanosecond() {
        let (mut watch, policy) = (Watch::default(), BreachPolicy::default());
        for _ in 0..3 {
            assert_eq!(watch.cap(Timestamp(7)), None);
            watch.observe(&policy, above(1), Timestamp(7));
        }
        let until = Timestamp(7 + 300 * SECOND);
        assert_eq!(watch.cap(until), Some(Cap::Breaker { until }));
        assert_eq!(watch.cap(Timestamp(until.0 + 1)), None);
    }

    #[test]
    fn idle_is_what_a_fresh_watch_knows() {
        let policy = BreachPolicy { forget: Duration::from_secs(1), ..BreachPolicy::default() };
        let mut watch = Watch::default();
        assert!(watch.is_idle(&policy, Timestamp(61 * SECOND)));
        watch.observe(&policy, Attempt::Within, Timestamp(SECOND));
        assert!(!watch.is_idle(&policy, Timestamp(61 * SECOND)));
        assert!(watch.is_idle(&policy, Timestamp(61 * SECOND + 1)));
        for _ in 0..3 {
            watch.observe(&policy, above(1), Timestamp(100 * SECOND));
        }
        assert!(!watch.is_idle(&policy, Timestamp(400 * SECOND)));
        assert!(watch.is_idle(&policy, Timestamp(400 * SECOND + 1)));
    }

    #[test]
    fn a_clock_that_runs_backwards_stands_still() {
        let (mut watch, policy) = (Watch::default(), BreachPolicy::default());
        watch.observe(&policy, above(1), Timestamp(1000 * SECOND));
        watch.observe(&policy, above(1), Timestamp(0));
        assert!(watch.observe(&policy, above(1), Timestamp(500 * SECOND)).is_some());
        let until = Timestamp(1300 * SECOND);
        assert_eq!(watch.cap(Timestamp(0)), Some(Cap::Breaker { until }));
    }

    #[test]
    fn each_agent_has_its_own_watch_and_only_idle_ones_make_room() {
        let (mut watches, policy) = (Watches::with_capacity(2), BreachPolicy::default());
        let crowded = |second| Err(Limited::Crowded { retry_at: Timestamp(second * SECOND) });
        let see = |watches: &mut Watches<u32>, agent, attempt, second| {
            watches.observe(&policy, &agent, attempt, Timestamp(second * SECOND)).is_some()
        };
        let tripped = [0, 1, 0, 1, 1, 0].map(|agent| see(&mut watches, agent, above(1), 0));
        assert_eq!(tripped, [false, false, false, false, true, true]);
        assert_eq!(watches.room(&policy, &0, Timestamp(0)), Ok(()));
        assert_eq!(watches.room(&policy, &9, Timestamp(0)), crowded(1));
        // One for which there is no room is not remembered, whatever it does.
        assert!((0..9).all(|_| !see(&mut watches, 9, above(1), 0)));
        // Three calls are forgotten after three quarters of an hour, but the search is not made again at once.
        let forgotten = 3 * 900;
        assert_eq!(watches.room(&policy, &9, Timestamp(forgotten * SECOND - 1)), {
            Err(Limited::Crowded { retry_at: Timestamp((forgotten + 1) * SECOND - 1) })
        });
        assert!(watches.room(&policy, &9, Timestamp(forgotten * SECOND)).is_err());
        assert_eq!(watches.room(&policy, &9, Timestamp((forgotten + 1) * SECOND)), Ok(()));
        assert!(!see(&mut watches, 9, Attempt::Within, forgotten + 1));
        assert_eq!(Watches::<u32>::default().capacity, MAX_BUCKETS);
    }

    /// Where there is room none is searched for, and so no later search is put off.
    #[test]
    fn room_that_is_there_puts_no_search_off() {
        let (mut watches, policy) = (Watches::with_capacity(2), BreachPolicy::default());
        let tenths = |tenths| Timestamp(tenths * SECOND / 10);
        watches.observe(&policy, &0, Attempt::Within, tenths(0));
        assert_eq!(watches.room(&policy, &1, tenths(595)), Ok(()));
        watches.observe(&policy, &1, Attempt::Within, tenths(595));
        // The first one remembers nothing any more.
        assert_eq!(watches.room(&policy, &2, tenths(601)), Ok(()));
    }

    #[test]
    fn any_policy_is_taken() {
        let extremes = [Duration::ZERO, Duration::MAX];
        for (window, forget) in extremes.into_iter().flat_map(|w| extremes.map(|f| (w, f))) {
            for number in [0, u32::MAX] {
                let policy = BreachPolicy {
                    window,
                    least: number,
                    percent: number,
                    patience: number,
                    forget,
                    open: Duration::MAX,
                };
                let mut watch = Watch::default();
                for now in [0, 1, u64::MAX] {
                    let tripped = watch.observe(&policy, above(3), Timestamp(now)).is_some();
                    assert_eq!(tripped, number == 0, "{policy:?}");
                }
            }
        }
    }

    #[test]
    fn words_and_bytes() {
        use hv_types::Wire;
        for (breach, words, bytes) in [
            (
                Breach::Burst { calls: 6, above: 3, weight: 12 },
                "3 of 6 calls lately were above its ring, with a weight of 12",
                &[0, 6, 3, 12][..],
            ),
            (
                Breach::Persistent { weight: 12 },
                "calls above its ring have added up over time to a weight of 12",
                &[1, 12],
            ),
        ] {
            assert_eq!(std::format!("{breach}"), words);
            assert_eq!(breach.to_bytes(), bytes);
        }
    }
}
