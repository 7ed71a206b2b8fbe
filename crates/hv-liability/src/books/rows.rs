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
    pub(crate) gain_day: u32,
    /// Open charges.
    pub(crate) cases: u32,
    pub(crate) slashes: u32,
    pub(crate) source: Source,
    pub(super) first_given: u32,
    pub(super) first_backing: u32,
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
    /// The sum of the active ones, in parts per million.
    pub(crate) active: u64,
    pub(crate) vouchee: u32,
    pub(super) session: u32,
    pub(super) first_bond: u32,
    pub(super) of_agent: Link,
    pub(super) of_session: Link,
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
