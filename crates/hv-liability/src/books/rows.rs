//! What the rows of a ledger look like, and the lists that tie them together.

use super::NIL;
use crate::{BondState, SessionNo, Source};
use hv_types::{Did, Timestamp};

/// An agent's account.
#[derive(Debug, Clone)]
pub(crate) struct AccountRow {
    pub(crate) did: Did,
    /// Until when it is quarantined: [`Timestamp::MAX`] until rehabilitation, 0 not at all.
    pub(crate) quarantine: Timestamp,
    /// ρ, in parts per million.
    pub(crate) reputation: u32,
    /// E, the sum of what is left of its bonds, active and unbonding.
    pub(crate) bonded: u32,
    /// What it earned on `gain_day`.
    pub(crate) gained: u32,
    pub(super) first_given: u32,
    pub(super) first_backing: u32,
    /// In how many sessions somebody has vouched for it.
    pub(super) backings: u32,
    pub(crate) gain_day: Day,
    /// Open charges.
    pub(crate) cases: u16,
    pub(crate) slashes: u16,
    pub(crate) source: Source,
}

/// A day, counted from 1970-01-01 and from 0 again after 65 536 days: what was earned on a day in 1970 counts
/// in 2149 too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day(u16);

impl Day {
    /// The day of a time.
    pub(crate) fn of(time: Timestamp) -> Self {
        const NANOS: u64 = 86_400 * 1_000_000_000;
        Self::from_number((time.0 / NANOS) & 0xffff)
    }

    /// The day of this number, which is below 65 536.
    pub(crate) fn from_number(number: u64) -> Self {
        Self(u16::try_from(number).unwrap_or(0))
    }

    pub(crate) const fn number(self) -> u16 {
        self.0
    }
}

/// A bond. The row of a place that is free keeps only its `turn`.
#[derive(Debug, Clone)]
pub(crate) struct BondRow {
    pub(crate) since: Timestamp,
    /// When it expires (active) or is paid back (unbonding); [`Timestamp::MAX`] if it never expires.
    pub(crate) ends: Timestamp,
    /// When it stopped lifting; [`Timestamp::MAX`] while it is active.
    pub(crate) released: Timestamp,
    pub(crate) voucher: u32,
    /// The backing it belongs to; [`NIL`] marks a free place.
    pub(crate) backing: u32,
    pub(crate) initial: u32,
    pub(crate) remaining: u32,
    pub(crate) turn: u32,
    pub(super) timer_at: u32,
    pub(super) of_voucher: Link,
    pub(super) of_backing: Link,
}

/// All bonds for one agent in one session.
#[derive(Debug, Clone)]
pub(crate) struct Backing {
    /// The sum of the active ones; in two halves, which spares four bytes of padding.
    active: [u32; 2],
    pub(crate) vouchee: u32,
    pub(crate) session: SessionNo,
    pub(super) first_bond: u32,
    pub(super) of_agent: Link,
    pub(super) of_session: Link,
}

impl Backing {
    /// One without bonds, which hangs nowhere yet.
    pub(super) const fn new(vouchee: u32, session: SessionNo) -> Self {
        let alone = Link::ALONE;
        Self { active: [0; 2], vouchee, session, first_bond: NIL, of_agent: alone, of_session: alone }
    }

    /// Whom they are for, and where.
    pub(super) const fn of(&self) -> (u32, SessionNo) {
        (self.vouchee, self.session)
    }

    /// The sum of the active ones, in parts per million.
    pub(crate) const fn active(&self) -> u64 {
        let [high, low] = self.active;
        (high as u64) << 32 | low as u64
    }

    /// Adds to the sum of the active ones.
    pub(super) fn add(&mut self, amount: u32) {
        self.set(self.active().saturating_add(u64::from(amount)));
    }

    /// Takes from the sum of the active ones.
    pub(super) fn subtract(&mut self, amount: u32) {
        self.set(self.active().saturating_sub(u64::from(amount)));
    }

    #[allow(clippy::cast_possible_truncation, reason = "the halves are what is meant")]
    const fn set(&mut self, sum: u64) {
        self.active = [(sum >> 32) as u32, sum as u32];
    }
}

/// A session in which there are bonds.
#[derive(Debug, Clone)]
pub(super) struct SessionRow {
    pub(super) no: SessionNo,
    pub(super) first_backing: u32,
}

/// A row's neighbours in a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    before: u32,
    pub(super) after: u32,
}

impl Link {
    pub(super) const ALONE: Self = Self { before: NIL, after: NIL };
}

/// Rows whose places are used again; what they are numbered is nobody else's business.
#[derive(Debug, Clone)]
pub(super) struct Slab<T> {
    pub(super) rows: Vec<T>,
    pub(super) free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn add(&mut self, row: T) -> u32 {
        if let Some(at) = self.free.pop()
            && let Some(place) = self.rows.get_mut(at as usize)
        {
            *place = row;
            return at;
        }
        let at = u32::try_from(self.rows.len()).unwrap_or(NIL);
        self.rows.push(row);
        at
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.rows.get(at as usize)
    }
}

impl BondRow {
    /// A bond as it is locked; the books fill in where it hangs.
    pub(crate) const fn new(initial: u32, since: Timestamp, ends: Timestamp) -> Self {
        Self { initial, remaining: initial, since, ends, ..Self::free() }
    }

    /// Whether it lifts.
    pub(crate) const fn state(&self) -> BondState {
        if self.released.0 == Timestamp::MAX.0 { BondState::Active } else { BondState::Unbonding }
    }

    pub(super) const fn free() -> Self {
        Self {
            since: Timestamp(0),
            ends: Timestamp::MAX,
            released: Timestamp::MAX,
            voucher: NIL,
            backing: NIL,
            initial: 0,
            remaining: 0,
            turn: 0,
            timer_at: NIL,
            of_voucher: Link::ALONE,
            of_backing: Link::ALONE,
        }
    }
}

/// Puts a row at the front of a list.
pub(super) fn push<T>(rows: &mut [T], link: fn(&mut T) -> &mut Link, first: &mut u32, at: u32) {
    let Some(row) = rows.get_mut(at as usize) else { return };
    let after = core::mem::replace(first, at);
    *link(row) = Link { before: NIL, after };
    if let Some(row) = rows.get_mut(after as usize) {
        link(row).before = at;
    }
}

/// Takes a row out of a list.
pub(super) fn unlink<T>(rows: &mut [T], link: fn(&mut T) -> &mut Link, first: &mut u32, at: u32) {
    let Some(row) = rows.get_mut(at as usize) else { return };
    let Link { before, after } = core::mem::replace(link(row), Link::ALONE);
    match rows.get_mut(before as usize) {
        Some(row) => link(row).after = after,
        None => *first = after,
    }
    if let Some(row) = rows.get_mut(after as usize) {
        link(row).before = before;
    }
}

/// The rows of a list from its first one on.
pub(super) fn walk(first: u32, link: impl Fn(u32) -> Option<Link>) -> impl Iterator<Item = u32> {
    let mut next = first;
    core::iter::from_fn(move || {
        let at = next;
        next = link(at)?.after;
        Some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bonds of some ten thousand vouchers for one agent do not fit into 32 bits.
    #[test]
    fn what_backs_an_agent_is_counted_beyond_32_bits() {
        let mut backing = Backing::new(0, SessionNo(0));
        for times in 1..=3 {
            backing.add(u32::MAX);
            assert_eq!(backing.active(), times * u64::from(u32::MAX));
        }
        backing.subtract(7);
        assert_eq!(backing.active(), 3 * u64::from(u32::MAX) - 7);
    }

    #[test]
    fn days_begin_at_midnight_and_again_after_65_536() {
        const NANOS: u64 = 86_400_000_000_000;
        for (time, day) in
            [(0, 0), (NANOS - 1, 0), (NANOS, 1), (20_000 * NANOS + 5, 20_000), (65_537 * NANOS, 1)]
        {
            assert_eq!(Day::of(Timestamp(time)), Day(day), "{time}");
        }
    }
}
