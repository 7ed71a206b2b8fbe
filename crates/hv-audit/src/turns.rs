//! Whose turn it is to write: one sync serves all who wait for one.
//!
//! Whoever waits sleeps alone and is woken alone, once it is served, and takes no lock to find that out: many who wake up
//! for the same lock cost more than the sync that they waited for.
//!
//! Whoever was served is about to come again. Where all of them come sooner than a sync takes, the next one waits for all;
//! where they take longer, for half of them, so that the others come while it lasts. The last who is waited for writes; the
//! first who waits keeps the time, and writes where they do not come.

use crate::log::{LogError, Lsn};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

/// From so many on who wait for syncs, some are waited for: otherwise the first who wakes up syncs alone, and everybody
/// else waits for two syncs.
const TOGETHER_MIN: usize = 4;

/// The wait is no longer than this for each of them, about what a thread takes to wake up and to append; at most so often.
const TOGETHER_WAIT: (Duration, u32) = (Duration::from_micros(10), 100);

/// The turns to write to one log.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    gate: Mutex<Gate>,
    /// A turn that takes less is short.
    short: Duration,
    /// How long a turn takes, in nanoseconds and for whoever asks without the lock; 0 where there was none yet.
    takes: AtomicU64,
}

#[derive(Debug, Default)]
struct Gate {
    /// Whether it is somebody's turn.
    taken: bool,
    /// In the order in which they came. While it is nobody's turn, the first of them is awake, or wakes up in time.
    waiting: Vec<Waiter>,
    /// For how many the next turn waits.
    together: usize,
    tickets: u64,
    /// When a turn ended last, how many came since, and how long after it they came in sum.
    ended: Option<Instant>,
    came: u32,
    after: Duration,
}

/// Up to where somebody waits or is served: a batch, and how many contents.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Upto {
    pub(crate) lsn: Lsn,
    pub(crate) contents: u64,
}

impl Upto {
    /// A batch, with the contents that lie before it.
    pub(crate) const fn batch(lsn: Lsn) -> Self {
        Self { lsn, contents: 0 }
    }

    pub(crate) fn covers(self, other: Self) -> bool {
        other.lsn <= self.lsn && other.contents <= self.contents
    }
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    to: Upto,
    thread: Thread,
}

/// The turn to write. Once it is dropped it is somebody else's, and whoever was served wakes up.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    begun: Instant,
    /// Up to where everybody is served; where nobody knows, all wake up and look.
    served: Option<Upto>,
}

impl Turns {
    /// Turns of which those are short that take less than this.
    pub(crate) fn new(short: Duration) -> Self {
        Self { short, ..Self::default() }
    }

    /// Whether the next turn is likely to be short. Before the first, nobody knows.
    pub(crate) fn are_short(&self) -> bool {
        let takes = self.takes.load(Ordering::Relaxed);
        takes > 0 && Duration::from_nanos(takes) < self.short
    }

    /// Waits until everything up to there is durable, or until it is the caller's turn to make it so.
    ///
    /// What `durable` answers changes during a turn only. Where it is still not so without a turn, a turn has failed.
    pub(crate) fn wait(&self, to: Upto, durable: impl Fn() -> bool) -> Result<Option<Turn<'_>>, LogError> {
        let mut gate = self.gate.lock().map_err(|_| LogError::Poisoned)?;
        if durable() {
            return Ok(None);
        }
        let ticket = gate.come(to);
        let mut until = None;
        loop {
            let Some(place) = gate.waiting.iter().position(|waiter| waiter.ticket == ticket) else {
                return Ok(None);
            };
            let mut patience = None;
            if gate.taken {
                until = None;
            } else if gate.waiting.len() >= gate.together {
                return Ok(Some(self.begin(gate, place)));
            } else if place == 0 {
                let now = Instant::now();
                let left = until.get_or_insert_with(|| now + gate.patience()).saturating_duration_since(now);
                if left.is_zero() {
                    return Ok(Some(self.begin(gate, place)));
                }
                patience = Some(left);
            }
            drop(gate);
            patience.map_or_else(thread::park, thread::park_timeout);
            if durable() {
                // It was crossed off, or is about to be.
                return Ok(None);
            }
            gate = self.gate.lock().map_err(|_| LogError::Poisoned)?;
        }
    }

    /// Whoever waits had appended before, and so is served by whoever has the turn.
    fn begin(&self, mut gate: MutexGuard<'_, Gate>, place: usize) -> Turn<'_> {
        gate.waiting.remove(place);
        gate.taken = true;
        Turn { turns: self, begun: Instant::now(), served: None }
    }
}

impl Gate {
    fn come(&mut self, to: Upto) -> u64 {
        self.came = self.came.saturating_add(1);
        self.after += self.ended.map(|ended| ended.elapsed()).unwrap_or_default();
        self.tickets = self.tickets.wrapping_add(1);
        self.waiting.push(Waiter { ticket: self.tickets, to, thread: thread::current() });
        self.tickets
    }

    fn patience(&self) -> Duration {
        let (each, most) = TOGETHER_WAIT;
        each * u32::try_from(self.together).map_or(most, |together| together.min(most))
    }

    /// Ends a turn that took so long, where so many wait for syncs.
    fn end(&mut self, took: Duration, all: usize) {
        self.taken = false;
        self.together = together(all, self.came, self.after, took);
        self.came = 0;
        self.after = Duration::ZERO;
        self.ended = Some(Instant::now());
    }
}

/// How long the next turn takes, in nanoseconds, where that was said of one that took so long.
///
/// One that took long is forgotten by halves: where every other turn does, or every fourth, none is thought to be short.
fn next(takes: u64, took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(takes / 2).max(1)
}

/// For how many of all a turn waits, where so many came since the one before, so long after it in sum, and it took so long.
///
/// They come evenly, so all need twice the mean time of as many; the mean because one who was held up says nothing.
fn together(all: usize, came: u32, after: Duration, took: Duration) -> usize {
    let many = u32::try_from(all).unwrap_or(u32::MAX);
    let sooner = || {
        let mean = after.checked_div(came)?;
        let needed = mean.saturating_mul(2).saturating_mul(many).checked_div(came)?;
        Some(needed < took)
    };
    match all {
        0..TOGETHER_MIN => 0,
        _ if sooner() == Some(true) => all,
        _ => all.div_ceil(2),
    }
}

impl Turn<'_> {
    /// Ends the turn, with everything up to there durable.
    pub(crate) fn served(mut self, to: Upto) {
        self.served = Some(to);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut gate = self.turns.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = core::mem::take(&mut gate.waiting);
        let took = self.begun.elapsed();
        gate.end(took, waiting.len() + 1);
        let takes = &self.turns.takes;
        takes.store(next(takes.load(Ordering::Relaxed), took), Ordering::Relaxed);
        let served = |waiter: &Waiter| self.served.is_none_or(|served| served.covers(waiter.to));
        let (served, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(served);
        let first = rest.first().map(|waiter| waiter.thread.clone());
        gate.waiting = rest;
        drop(gate);
        first.iter().for_each(Thread::unpark);
        served.iter().for_each(|waiter| waiter.thread.unpark());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_waited_for_only_where_they_come_sooner_than_a_sync_takes() {
        let us = Duration::from_micros;
        for (all, came, after, took, waited) in [
            (1, 1, 0, 75, 0),
            (3, 3, 0, 75, 0),
            (4, 4, 0, 75, 4),
            // 64 come in 160 us, so 80 after the turn before each; or 32 of them came in 80.
            (64, 64, 64 * 80, 161, 64),
            (64, 64, 64 * 80, 160, 32),
            (64, 32, 32 * 40, 161, 64),
            (63, 32, 32 * 40, 75, 32),
            // One who was held up for a millisecond.
            (64, 32, 31 * 40 + 1000, 300, 64),
            (64, 0, 0, 1000, 32),
        ] {
            assert_eq!(together(all, came, us(after), us(took)), waited, "{all} {came} {after} {took}");
        }
    }

    #[test]
    fn a_turn_that_took_long_is_remembered_for_some_turns() {
        let turns = Turns::new(Duration::from_secs(10));
        let turn = || turns.wait(Upto::batch(Lsn(1)), || false).unwrap().unwrap();
        assert!(!turns.are_short(), "there was none");
        drop(turn());
        assert!(turns.are_short());
        let turn = turn();
        drop(Turn { begun: turn.begun - Duration::from_secs(20), ..turn });
        assert!(!turns.are_short());

        let us = Duration::from_micros;
        let after = |all: &[u64]| all.iter().fold(0, |takes, took| next(takes, us(*took))) / 1000;
        assert_eq!(after(&[100]), 100);
        assert_eq!(after(&[100, 8000]), 8000);
        assert_eq!(after(&[8000, 100, 100, 100]), 1000);
        assert_eq!(after(&[8000, 100, 100, 100, 100, 100, 100, 100]), 100);
        assert_eq!(next(0, Duration::ZERO), 1, "a turn that takes no time is not none");
        assert_eq!(next(5, Duration::MAX), u64::MAX);
    }

    /// Whoever waits is served or given the turn, and nobody sleeps on: otherwise this does not end.
    #[test]
    fn everybody_is_served_and_one_turn_serves_many() {
        const THREADS: u64 = 32;
        const EACH: u64 = 100;
        let (turns, appended, durable, taken) =
            (Turns::default(), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let commit = |_| {
            let to = appended.fetch_add(1, Ordering::SeqCst) + 1;
            let served = || durable.load(Ordering::SeqCst) >= to;
            while !served() {
                let Some(turn) = turns.wait(Upto::batch(Lsn(to)), served).unwrap() else { continue };
                let nth = taken.fetch_add(1, Ordering::SeqCst);
                let upto = appended.load(Ordering::SeqCst);
                thread::sleep(Duration::from_micros(200));
                if nth % 17 == 3 {
                    // Nobody is served by a turn that fails; the next one is another's, or does not fail.
                    continue;
                }
                durable.fetch_max(upto, Ordering::SeqCst);
                turn.served(Upto::batch(Lsn(upto)));
            }
        };
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| (0..EACH).for_each(commit));
            }
        });
        assert_eq!(durable.into_inner(), THREADS * EACH);
        let taken = taken.into_inner();
        assert!(taken < THREADS * EACH / 2, "{taken} turns");
    }

    #[test]
    fn a_turn_that_ends_in_a_panic_is_somebody_elses() {
        let turns = Turns::default();
        let turn = turns.wait(Upto::batch(Lsn(1)), || false).unwrap().unwrap();
        let next = thread::scope(|scope| {
            let next = scope.spawn(|| turns.wait(Upto::batch(Lsn(2)), || false).map(|turn| turn.is_some()));
            while turns.gate.lock().unwrap().waiting.is_empty() {
                thread::yield_now();
            }
            let panics = scope.spawn(|| {
                let _turn = turn;
                panic!("on purpose");
            });
            assert!(panics.join().is_err());
            next.join().unwrap()
        });
        // It was told that the turn is over, and to look again.
        assert_eq!(next, Ok(false));
        assert!(turns.wait(Upto::batch(Lsn(2)), || false).unwrap().is_some());
    }
}
